/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stage 5: to the node, by MAC address alone (¶18, 19). The IP packet is not touched.
 */
#ifndef XDPVEC_FORWARD_BPF_H
#define XDPVEC_FORWARD_BPF_H

#include "maps.bpf.h"
#include "parse.bpf.h"

/* Writes the MAC addresses. Returns the verdict; *egress_slot says by which interface. */
static __always_inline __u32 forward(struct xdp_md *ctx, const struct node *node, __u32 ingress_slot,
				     __u32 *egress_slot)
{
	const struct hop *hop = &node->hop[*(volatile __u32 *)&node->live & 1];
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u64 macs = *(__u64 *)hop;
	__u32 macs_rest = *(__u32 *)((void *)hop + 8);

	if ((void *)(eth + 1) > end)
		return DROPPED(truncated);
	if (hop->kind == HOP_NONE)
		return DROPPED(node_unresolved);
	if (hop->kind == HOP_WIRE) {
		/* Somebody else forwards for the same service, in a circle with us. */
		if (*(__u32 *)eth->h_source == (__u32)macs &&
		    *(__u16 *)(eth->h_source + 4) == (__u16)(macs >> 32))
			return DROPPED(loop);
		*(__u64 *)data = macs;
		*(__u32 *)(data + 8) = macs_rest;
	}
	if (hop->kind == HOP_LOCAL)
		return VERDICT_local;
	*egress_slot = hop->iface;
	return hop->iface == ingress_slot ? VERDICT_tx : VERDICT_redirect;
}

#endif

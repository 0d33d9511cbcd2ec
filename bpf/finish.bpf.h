/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The last stage: the one place where a verdict becomes an action of XDP, and where it is counted.
 */
#ifndef XDPVEC_FINISH_BPF_H
#define XDPVEC_FINISH_BPF_H

#include "maps.bpf.h"

static __always_inline void count_drop(__u32 reason, __u32 cpu)
{
	struct drop_stats *stats = bpf_map_lookup_elem(&drop_stats, &cpu);

	if (stats && reason < DROP_COUNT)
		stats->drop[reason]++;
}

static __always_inline void count_node(__u32 slot, __u32 length, __u32 cpu)
{
	__u32 at = cpu * NODE_SLOTS + slot;
	struct node_stats *stats = bpf_map_lookup_elem(&node_stats, &at);

	if (!stats)
		return;
	stats->packets++;
	stats->bytes += length;
}

/*
 * verdict as a stage gave it; egress_slot for VERDICT_redirect; node_slot, and length of the IP packet, of a
 * packet that goes to a node, else 0.
 */
static __always_inline int finish(__u32 verdict, __u32 egress_slot, __u32 node_slot, __u32 length,
				  __u32 ingress_slot, __u32 cpu)
{
	__u32 at = cpu * IFACE_SLOTS + ingress_slot;
	struct iface_stats *stats;
	int action;

	switch (verdict) {
	case VERDICT_pass:
	case VERDICT_local:
		action = XDP_PASS;
		break;
	case VERDICT_tx:
		action = XDP_TX;
		break;
	case VERDICT_redirect:
		action = bpf_redirect_map(&egress, egress_slot, XDP_DROP);
		if (action == XDP_REDIRECT)
			break;
		verdict = DROPPED(redirect_failed);
		/* fall through */
	default:
		count_drop(verdict - VERDICT_COUNT, cpu);
		verdict = VERDICT_drop;
		action = XDP_DROP;
	}
	if (node_slot && verdict != VERDICT_drop)
		count_node(node_slot, length, cpu);
	stats = bpf_map_lookup_elem(&iface_stats, &at);
	if (stats)
		stats->verdict[verdict % 8]++;
	return action;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stage 4, for a new connection: which node (¶24–26, figure 9). User space has laid the walk of the
 * figure out in full; here is only the position in it, one per CPU, which outlives a change of weights.
 */
#ifndef XDPVEC_CHOOSE_BPF_H
#define XDPVEC_CHOOSE_BPF_H

#include "maps.bpf.h"

/* A node's slot, or 0: all weights are 0. */
static __always_inline __u32 choose_next(const struct service *service, __u32 slot, __u32 cpu)
{
	__u64 choice = *(volatile __u64 *)&service->choice;
	__u32 count = choice >> 32;
	__u32 at = cpu * SERVICE_SLOTS + slot;
	__u32 *cursor = bpf_map_lookup_elem(&cursors, &at);
	__u32 position;
	__u16 *node;

	if (!cursor || !count)
		return 0;
	position = *cursor;
	if (position >= count)
		position %= count;
	*cursor = position + 1;
	at = (__u32)choice + position;
	node = bpf_map_lookup_elem(&choices, &at);
	return node ? *node : 0;
}

/* The node that a flow without an entry finds again and again while the weights stay. */
static __always_inline __u32 choose_by_hash(const struct service *service, __u64 flow_hash)
{
	__u64 choice = *(volatile __u64 *)&service->choice;
	__u32 at = (__u32)choice + ((flow_hash >> 32) * (choice >> 32) >> 32);
	__u16 *node;

	if (!(choice >> 32))
		return 0;
	node = bpf_map_lookup_elem(&choices, &at);
	return node ? *node : 0;
}

#endif

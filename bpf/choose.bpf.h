/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stage 4, for a new connection: which node (¶24–26, figure 9). User space has laid the walk of the
 * figure out in full; here is only the position in it, one per CPU, which outlives a change of weights.
 */
#ifndef XDPVEC_CHOOSE_BPF_H
#define XDPVEC_CHOOSE_BPF_H

#include "hash.h"
#include "maps.bpf.h"

static __always_inline __u32 choice_at(__u32 at)
{
	__u32 index = at / CHOICE_BLOCK;
	struct choice_block *block = bpf_map_lookup_elem(&choices, &index);

	return block ? block->node[at % CHOICE_BLOCK] : 0;
}

/* A node's slot, or 0: all weights are 0. */
static __always_inline __u32 choose_next(const struct service *service, __u32 slot, __u32 cpu)
{
	__u64 choice = *(volatile __u64 *)&service->choice;
	struct cursors *cursors_of_cpu = bpf_map_lookup_elem(&cursors, &cpu);
	__u32 count = choice >> 32;
	__u32 *cursor, position;

	if (!cursors_of_cpu || !count)
		return 0;
	cursor = &cursors_of_cpu->position[slot % SERVICE_SLOTS];
	position = *cursor;
	if (position >= count)
		position %= count;
	*cursor = position + 1;
	return choice_at((__u32)choice + position);
}

/* The node that a flow without an entry finds again and again while the weights stay. */
static __always_inline __u32 choose_by_hash(const struct service *service, __u64 flow_hash)
{
	__u64 choice = *(volatile __u64 *)&service->choice;
	__u32 count = choice >> 32;

	return count ? choice_at((__u32)choice + (hash_spread(flow_hash) * count >> 32)) : 0;
}

#endif

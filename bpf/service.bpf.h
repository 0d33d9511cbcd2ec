/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stage 2: which service the packet is for (claims 1 and 2, ¶27): VEC, port and protocol in one
 * look. User space owns the table and sees to it that every service lies within SERVICE_PROBES of its hash.
 */
#ifndef XDPVEC_SERVICE_BPF_H
#define XDPVEC_SERVICE_BPF_H

#include "hash.h"
#include "maps.bpf.h"

/* The row of addr and door, or NULL. DOOR_OF_VEC: of the VEC itself. */
static __always_inline struct service *service_find(__u64 hash, __u64 addr0, __u64 addr1, __u32 door,
						    __u32 *slot)
{
	__u64 want = service_head(hash);
	__u32 at = hash % SERVICE_SLOTS;

	for (int probe = 0; probe < SERVICE_PROBES; probe++) {
		struct service *row = &services.row[at];
		__u64 head = *(volatile __u64 *)&row->head;

		if (head == want && row->addr[1] == addr1 && row->door == door && row->addr[0] == addr0) {
			*slot = at;
			return row;
		}
		if (!head)
			return NULL;
		at = (at + 1) % SERVICE_SLOTS;
	}
	return NULL;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The connection table as user space sees it: loops over mapped memory, no system call per entry.
 */
#ifndef XDPVEC_CONNTABLE_H
#define XDPVEC_CONNTABLE_H

#include "instance.h"

/* Which entries: 0 is any. */
struct conn_filter {
	uint32_t service; /* slot */
	uint32_t node;	  /* slot */
};

/* One living entry, read whole. */
struct conn_row {
	struct in6_addr client;
	uint16_t client_port; /* host order */
	uint32_t service;
	uint32_t node;
	enum conn_class state;
	uint64_t idle_ms;
};

/* Calls row for each living (not expired) entry; stops when it returns nonzero, and returns that. */
int conntable_each(const struct instance *inst, const struct conn_filter *filter,
		   int (*row)(const struct conn_row *row, void *arg), void *arg);

struct conn_counts {
	uint64_t total;
	/* living entries per node slot, [NODE_SLOTS]; half-open ones count as active */
	uint32_t *active;
	uint32_t *fin;
};

/* One pass over the table. Free with conntable_counts_free(). 0 or -ENOMEM. */
int conntable_count(const struct instance *inst, struct conn_counts *counts);
void conntable_counts_free(struct conn_counts *counts);

/* Free the entries of the filter, whatever their state; returns how many. */
uint64_t conntable_purge(struct instance *inst, const struct conn_filter *filter);

struct sweep {
	uint64_t taken;	 /* entries found */
	uint64_t purged; /* of these freed */
};

/*
 * Free the entries that have expired (E9; ¶46), counting those that were closed or reset as completed. tight:
 * the table is nearly full, so half-open, closed and reset entries get a quarter of their time.
 */
struct sweep conntable_sweep(struct instance *inst, bool tight);

/* Free the entries whose service or node is removed or being removed (SERVICE_GONE, NODE_LEAVING). */
uint64_t conntable_purge_removed(struct instance *inst);

#endif

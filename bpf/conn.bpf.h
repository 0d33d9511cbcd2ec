/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stage 3: the connection table (¶20–23).
 *
 * A flow lies in one of two buckets of eight, each 256 bytes within one page. The eight heads of a
 * bucket are independent loads, so a CPU fetches its lines at once; the tag in a head says with a
 * chance of error of 2^-23 which way it is, and the key beside it decides. An entry changes owner by a
 * compare-and-swap of its head alone: taken (no tag) while the key is written, then published.
 */
#ifndef XDPVEC_CONN_BPF_H
#define XDPVEC_CONN_BPF_H

#include "hash.h"
#include "maps.bpf.h"
#include "parse.bpf.h"
#include "state.h"

/* From this many taken ways on a newcomer prefers the second bucket. */
#define CROWDED	    6

#define WAYS_BOTH   (2 * CONN_WAYS)
#define WAY_NONE    0xffu

#define RANK_IN_USE 3

/* A flow and where it may lie. */
struct flow {
	__u64 client[2];
	__u64 tag; /* in its place in a head */
	__u64 hash;
	__u32 first; /* bucket */
	__u32 second;
	__u32 lane;
	__u32 now;
};

static __always_inline struct bucket *bucket_at(__u32 index)
{
	return bpf_map_lookup_elem(&conns, &index);
}

/* Of a place 0..15 over both buckets. */
static __always_inline struct bucket *bucket_of(const struct flow *flow, __u32 place)
{
	return bucket_at(place < CONN_WAYS ? flow->first : flow->second);
}

static __always_inline __u64 head_read(struct conn *conn)
{
	return *(volatile __u64 *)&conn->head;
}

/* The first way whose tag matches, or WAY_NONE, and its head. For the verifier the result is some number up
 * to 7, whichever way it was: it need not follow eight paths from here. */
static __always_inline __u32 bucket_match(struct bucket *bucket, __u64 tag, __u64 *head)
{
#pragma unroll
	for (__u32 way = 0; way < CONN_WAYS; way++) {
		__u64 found = head_read(&bucket->way[way]);
		__u64 differs = found ^ tag;
		__u64 zero = differs;

		opaque(zero);
		if (!(differs >> HEAD_TAG_SHIFT)) {
			*head = found;
			return ((zero >> HEAD_TAG_SHIFT) + way) % CONN_WAYS;
		}
	}
	return WAY_NONE;
}

static __always_inline int conn_is(const struct conn *conn, __u64 client0, __u64 client1, __u32 lane)
{
	return conn->client[1] == client1 && conn->lane == lane && conn->client[0] == client0;
}

static __always_inline struct conn *conn_at(const struct flow *flow, __u32 place)
{
	struct bucket *bucket = bucket_of(flow, place);

	if (!bucket)
		return NULL;
	opaque(bucket); /* or clang adds first and compares with NULL after, which the verifier refuses */
	return &bucket->way[place % CONN_WAYS];
}

/* All ways by tag and key, for the rare case that a tag matched a stranger. */
static __noinline __u32 conn_search(const struct flow *flow)
{
	for (__u32 i = 0; i < WAYS_BOTH; i++) {
		struct conn *conn = conn_at(flow, i);

		if (!conn)
			return WAY_NONE;
		if (!((head_read(conn) ^ flow->tag) >> HEAD_TAG_SHIFT) &&
		    conn_is(conn, flow->client[0], flow->client[1], flow->lane))
			return i;
	}
	return WAY_NONE;
}

/*
 * The entry whose tag matches, in either bucket, and its head; or NULL. The caller compares the key, and
 * looks at every way with conn_search() where it differs.
 */
static __always_inline struct conn *conn_match(__u32 first, __u32 second, __u64 tag, __u64 *head)
{
	struct bucket *bucket = bucket_at(first);
	__u32 way;

	if (!bucket)
		return NULL;
	way = bucket_match(bucket, tag, head);
	if (way == WAY_NONE) {
		bucket = bucket_at(second);
		if (!bucket)
			return NULL;
		way = bucket_match(bucket, tag, head);
		if (way == WAY_NONE)
			return NULL;
	}
	return &bucket->way[way % CONN_WAYS];
}

/* Bit i set: way i is free. Arithmetic only, since branches would double the verifier's paths eight times. */
static __always_inline __u32 bucket_free(struct bucket *bucket)
{
	__u32 free = 0;

#pragma unroll
	for (__u32 way = 0; way < CONN_WAYS; way++) {
		__u64 tag = head_read(&bucket->way[way]) >> HEAD_TAG_SHIFT;

		opaque(tag);
		free |= (__u32)((tag - 1) >> 63) << way;
	}
	return free;
}

static __always_inline __u32 bits_count(__u32 bits)
{
	bits = bits - (bits >> 1 & 0x55);
	bits = (bits & 0x33) + (bits >> 2 & 0x33);
	return (bits + (bits >> 4)) & 0x0f;
}

/* Number of the lowest set bit of a byte that is not 0: the bit alone, times a de Bruijn number, names a row
 * of a table of eight numbers of four bits. */
static __always_inline __u32 bits_lowest(__u32 bits)
{
	__u32 row = ((bits & -bits) * 0x17 & 0xff) >> 5;

	return 0x56374210u >> (row * 4) & 7;
}

/* How dispensable an entry is: 0 expired; 1 a SYN and nothing since; 2 no more than a handshake; RANK_IN_USE.
 * Arithmetic, like bucket_free(). */
static __always_inline __u32 conn_rank(__u64 head, __u32 idle, __u32 service)
{
	__u32 data = head >> HEAD_STATE_SHIFT >> 2 & 1; /* STATE_DATA */
	__u32 half_open = (head_class(head) - 1) >> 31; /* CLASS_HALF_OPEN is 0 */
	__u32 expired = -((services.row[service % SERVICE_SLOTS].timeout[head_class(head)] - idle) >> 31);

	opaque(data);
	opaque(half_open);
	opaque(expired);
	return (2 - half_open + data * (1 + half_open)) & ~expired;
}

/* For how many ticks the entry has been idle. A stamp of a CPU that is ahead is not old. */
static __always_inline __u32 conn_idle(const struct conn *conn, __u32 now)
{
	__u32 idle = now - conn->seen;

	return idle >> 31 ? 0 : idle;
}

/*
 * Both buckets are full: the entry that may go, of the least rank the longest idle, or WAY_NONE. So
 * space returns with no process alive, and neither a flood of SYNs nor of forged handshakes pushes
 * out a connection that works.
 */
static __noinline __u32 conn_displace(const struct flow *flow)
{
	__u64 best = (__u64)RANK_IN_USE << 40;

	for (__u32 i = 0; i < WAYS_BOTH; i++) {
		struct conn *conn = conn_at(flow, i);
		__u64 score, lower;
		__u32 idle;

		if (!conn)
			return WAY_NONE;
		idle = conn_idle(conn, flow->now);
		score = (__u64)conn_rank(head_read(conn), idle, lane_service(conn->lane)) << 40 |
			(__u64)~idle << 8 | i;
		lower = (__s64)(score - best) >> 63;
		opaque(lower);
		best ^= (best ^ score) & lower;
	}
	return best == (__u64)RANK_IN_USE << 40 ? WAY_NONE : best % WAYS_BOTH;
}

/* Where a new flow goes: a place 0..15 over both buckets, or WAY_NONE. */
static __always_inline __u32 conn_place(const struct flow *flow)
{
	struct bucket *first = bucket_at(flow->first);
	struct bucket *second;
	__u32 free, free_second;

	if (!first)
		return WAY_NONE;
	free = bucket_free(first);
	if (bits_count(free) > CONN_WAYS - CROWDED)
		return bits_lowest(free);
	second = bucket_at(flow->second);
	if (!second)
		return WAY_NONE;
	free_second = bucket_free(second);
	if (bits_count(free_second) > bits_count(free))
		return CONN_WAYS + bits_lowest(free_second);
	if (free)
		return bits_lowest(free);
	return conn_displace(flow);
}

/*
 * Give the place to the flow. old is the head that was judged; if it has changed since, another CPU was
 * faster and 0 comes back. The key is written while the slot has no tag, so nobody reads it half.
 */
static __always_inline int conn_take(struct conn *conn, __u64 old, const struct flow *flow, __u32 node,
				     __u32 state)
{
	__u64 taken = head_free(old);

	if (__sync_val_compare_and_swap(&conn->head, old, taken) != old)
		return 0;
	conn->client[0] = flow->client[0];
	conn->client[1] = flow->client[1];
	conn->lane = flow->lane;
	conn->seen = flow->now;
	__sync_val_compare_and_swap(&conn->head, taken, head_make(taken, flow->tag, node, state));
	return 1;
}

#endif

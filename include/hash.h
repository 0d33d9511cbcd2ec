/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The keyed hashes of both sides. The keys are drawn at random when an instance is made, so
 * nobody outside can aim at a bucket: each input passes a secret xor and at least two rounds
 * of multiplication by a secret odd number with the upper half folded down.
 *
 * The halves for the service and for the client do not depend on each other, so a CPU works on both at once.
 */
#ifndef XDPVEC_HASH_H
#define XDPVEC_HASH_H

#include "layout.h"

#define HASH_INLINE static inline __attribute__((always_inline))

HASH_INLINE __u64 hash_round(__u64 x, __u64 multiplier)
{
	x *= multiplier;
	return x ^ (x >> 32);
}

HASH_INLINE __u64 hash_service(const __u64 keys[6], __u64 addr0, __u64 addr1, __u32 door)
{
	__u64 x = hash_round(addr1 ^ keys[0], keys[2]);

	return hash_round(x ^ addr0 ^ (__u64)door << 24, keys[3]);
}

HASH_INLINE __u64 hash_client(const __u64 keys[6], __u64 addr0, __u64 addr1, __be16 port)
{
	__u64 x = hash_round(addr1 ^ keys[1], keys[4]);

	return hash_round(x ^ addr0 ^ (__u64)port << 24, keys[5]);
}

/* Of a flow: service and client joined by one more round. */
HASH_INLINE __u64 hash_flow(const __u64 keys[6], __u64 service, __u64 client)
{
	return hash_round(service ^ (client >> 7 | client << 57), keys[2]);
}

HASH_INLINE __u32 hash_first_bucket(__u64 flow, __u32 buckets)
{
	return (flow >> 32) * buckets >> 32;
}

HASH_INLINE __u32 hash_second_bucket(__u64 flow, __u32 buckets)
{
	return (__u64)(__u32)flow * buckets >> 32;
}

#define HASH_SPREAD 0x9e3779b97f4a7c15ull

/* 32 bits that differ between flows of the same bucket. */
HASH_INLINE __u64 hash_spread(__u64 flow)
{
	return flow * HASH_SPREAD >> 32;
}

/* In the place where a connection's head holds it. */
HASH_INLINE __u64 hash_tag(__u64 flow)
{
	return (flow * HASH_SPREAD | 1ull << HEAD_TAG_SHIFT) >> HEAD_TAG_SHIFT << HEAD_TAG_SHIFT;
}

/* In the place where a service's head holds it. */
HASH_INLINE __u64 service_head(__u64 hash)
{
	return hash >> 32 << 32 | SERVICE_LIVE;
}

#endif

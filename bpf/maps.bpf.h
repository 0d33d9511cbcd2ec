/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps behind include/layout.h. Sizes that are 1 here are set by the loader, from the number
 * of CPUs and of connections.
 */
#ifndef XDPVEC_MAPS_BPF_H
#define XDPVEC_MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "layout.h"
#include "verdict.h"

/*
 * In the section .bss, which is a map of its own, reached without any lookup. This table alone: Linux 6.1
 * allows 4 MiB for one value, which is just its size.
 */
struct services services;

struct ifaces ifaces SEC(".data.ifaces");

/* One value as well: a row is found by arithmetic in registers, where the key of a lookup would
 * travel through memory, 5 cycles on the way from packet to node. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nodes);
} nodes_table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, CHOICE_SLOTS / CHOICE_BLOCK);
	__type(key, __u32);
	__type(value, struct choice_block);
} choices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bucket);
} conns SEC(".maps");

/* Where redirected packets leave: one slot per interface, as in ifaces. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, IFACE_SLOTS);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} egress SEC(".maps");

/* Per CPU: slot + CPU × slots per CPU. Flat arrays instead of per-CPU maps, since those cost a
 * call before Linux 6.10, and user space reads these without a system call. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cursors);
} cursors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct node_stats);
} node_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct iface_stats);
} iface_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct drop_stats);
} drop_stats SEC(".maps");

/* Keeps clang from reasoning about x: so that arithmetic stays arithmetic, and so that the verifier
 * sees one unknown number where it would else follow one path for each constant. */
#define opaque(x) asm volatile("" : "+r"(x))

/* --- what user space alone keeps --- */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct params);
} params SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SERVICE_SLOTS);
	__type(key, __u32);
	__type(value, struct service_conf);
} service_conf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, NODE_SLOTS);
	__type(key, __u32);
	__type(value, struct node_conf);
} node_conf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SERVICE_SLOTS);
	__type(key, __u32);
	__type(value, struct vec_conf);
} vec_conf SEC(".maps");

/* LAYOUT_VERSION: what the tables were made with. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} layout SEC(".maps");

/* Set by the loader before the program is loaded, from the pinned params. */
const volatile __u64 hash_keys[6];
const volatile __u32 conn_buckets = 1;
const volatile __u32 tick_shift;
const volatile __u32 ticks_untracked; /* how long a service remembers that it has flows without an entry */

/* Read as plain memory: through `volatile` each use would be loaded again. */
static __always_inline const __u64 *keys(void)
{
	const __u64 *keys = (const __u64 *)hash_keys;

	opaque(keys);
	return keys;
}

static __always_inline struct node *node_at(__u32 slot)
{
	__u32 only = 0;
	struct nodes *nodes = bpf_map_lookup_elem(&nodes_table, &only);

	return nodes ? &nodes->row[slot % NODE_SLOTS] : NULL;
}

static __always_inline __u32 tick_now(void)
{
	return bpf_jiffies64() >> tick_shift;
}

#endif

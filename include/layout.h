/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tables: all that the data plane and user space share. Both sides include this file and
 * nothing else of each other.
 *
 * Every table is a flat array that user space maps into its memory. The data plane finds its way
 * with inline hashes and plain loads; on the path of a known connection it calls no helper.
 * Who writes what:
 *
 *	services    user space; the data plane only sets untracked_until
 *	nodes       user space
 *	choices     user space
 *	conns       the data plane; user space purges, and fills it after a takeover
 *	cursors     the data plane; user space staggers them once
 *	*_stats     the data plane; user space clears a slot that it hands out again
 *	*_conf      user space alone
 *
 * Slots become visible, and vanish, by one store of 8 bytes: `head` of a service or a connection,
 * `choice` of a service, `service` and `live` of a node. What else a slot holds is written while it is
 *invisible.
 */
#ifndef XDPVEC_LAYOUT_H
#define XDPVEC_LAYOUT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Raised by whoever changes a struct, a limit or the meaning of a field below. Pinned as a map of
 * its own and compared before anything pinned is touched. */
#define LAYOUT_VERSION 1

#define SERVICE_SLOTS  65536u /* 10 000 services and as many VECs fill 31 % */
#define SERVICE_PROBES 64     /* a service lies at most this far behind its hash */
#define NODE_SLOTS     65536u /* slot 0 means "no node" */
#define CHOICE_SLOTS   (8u << 20)
#define CHOICE_BLOCK   64u /* slots per value of the map */
#define IFACE_SLOTS    256u
#define IFACE_PROBES   4
#define CONN_WAYS      8
#define MAC_LEN	       6

/* --- services ------------------------------------------------------------------------------ */

/*
 * One line per service (VEC + port + protocol), open addressing, linear probing. A VEC itself is the
 * row with port 0 and protocol 0. The slot's number is the service's number: rows never move.
 *
 * head: 0 ends a probe; SERVICE_GONE is passed over, and its connections may still have to be
 * purged; SERVICE_FREE is passed over and may be taken; anything else is hash << 32 | SERVICE_LIVE.
 */
#define SERVICE_GONE 1ull
#define SERVICE_FREE 2ull
#define SERVICE_LIVE 4ull

/* Which timeout governs a connection: the lowest two bits of its state. */
enum conn_class {
	CLASS_HALF_OPEN, /* SYN seen, nothing since */
	CLASS_ACTIVE,
	CLASS_FIN,
	CLASS_RESET, /* RST seen: a short while to live, revived by any packet without RST */
	CLASS_COUNT,
};

/* Port (network order) and protocol in one word. */
#define DOOR(port, proto) ((__u32)(port) | (__u32)(proto) << 16)
#define DOOR_OF_VEC	  0u
#define door_port(door)	  ((__be16)((door)&0xffff))
#define door_proto(door)  ((__u8)((door) >> 16))

struct service {
	__u64 head;
	__u64 addr[2];		    /* the VEC's address, network order, IPv4 as ::ffff:a.b.c.d */
	__u32 door;		    /* DOOR(port, protocol) */
	__u32 untracked_until;	    /* tick until which flows without an entry may exist */
	__u64 choice;		    /* first choice slot | number of choices << 32; 0: no node is eligible */
	__u32 timeout[CLASS_COUNT]; /* ticks */
	__u64 reserved;
};

struct services {
	struct service row[SERVICE_SLOTS];
};

/* --- nodes --------------------------------------------------------------------------------- */

enum hop_kind {
	HOP_NONE,  /* not resolved: nothing can be sent there */
	HOP_WIRE,  /* by MAC out of an interface */
	HOP_LOCAL, /* this host's own stack */
};

struct hop {
	__u8 dst_mac[MAC_LEN];
	__u8 src_mac[MAC_LEN];
	__u16 iface; /* slot of the egress interface */
	__u16 kind;  /* enum hop_kind */
};

/* A node of a service. hop[live] is in force; the other half is written before live turns to it. */
struct node {
	__u32 live;
	__u32 service; /* slot of its service, or NODE_UNUSED */
	struct hop hop[2];
	__u64 reserved[3];
};

struct nodes {
	struct node row[NODE_SLOTS];
};

#define NODE_UNUSED 0u /* no service: slot 0 of services is never given out */

/* Laid out walks of figure 9. The kernel rounds a value up to 8 bytes, hence blocks. */
struct choice_block {
	__u16 node[CHOICE_BLOCK];
};

/* Position of one CPU in the walk of each service. */
struct cursors {
	__u32 position[SERVICE_SLOTS];
};

/* --- connections --------------------------------------------------------------------------- */

/*
 * head of a connection, from the top:
 *	tag   24 bits of the hash, the lowest always 1 (a free slot's tag is 0)
 *	node  16 bits
 *	state  8 bits: class | STATE_DATA | STATE_FIN
 *	turn  16 bits, raised whenever the slot is taken or freed, so that a compare-and-swap
 *	      prepared for one tenant never hits the next
 */
#define HEAD_TAG_SHIFT	 40
#define HEAD_NODE_SHIFT	 24
#define HEAD_STATE_SHIFT 16
#define HEAD_TURN_MASK	 0xffffull

#define STATE_CLASS_MASK 3u
#define STATE_DATA	 4u /* carried more than a handshake: never displaced */
#define STATE_FIN	 8u /* the client closed its half: what a reset connection revives to */

/* The client's port (network order) and the service's slot in one word. */
#define LANE(client_port, service) ((__u32)(client_port) | (__u32)(service) << 16)
#define lane_port(lane)		   ((__be16)((lane)&0xffff))
#define lane_service(lane)	   ((lane) >> 16)

struct conn {
	__u64 head;
	__u32 seen;	 /* tick of its last packet */
	__u32 lane;	 /* LANE(client's port, slot of the service) */
	__u64 client[2]; /* network order, IPv4 mapped */
};

/* A flow may lie in either of two buckets, in the second only if the first was crowded. */
struct bucket {
	struct conn way[CONN_WAYS];
};

/* --- interfaces ---------------------------------------------------------------------------- */

#define IFACE_GONE 0xffffffffu

/* Open addressing by ifindex. Also the slots of the devmap. */
struct iface {
	__u32 ifindex;	 /* 0: empty; IFACE_GONE: passed over, may be taken */
	__u32 mac_start; /* its first four bytes, and the other two, as they stand in memory */
	__u16 mac_end;
	__u8 attached; /* packets are received here, not only sent */
	__u8 pad[5];
};

struct ifaces {
	struct iface row[IFACE_SLOTS];
};

/* node_stats has one row more than there are CPUs: what user space counts. */
#define USER_ROWS 1

/* --- counters, [CPU][slot] ------------------------------------------------------------------ */

struct node_stats {
	__u64 packets;
	__u64 bytes;	   /* of IP packets */
	__u64 connections; /* entries made */
	__u64 completed;   /* entries purged or taken over after FIN or RST */
};

/* --- what user space alone keeps ------------------------------------------------------------- */

struct params {
	__u64 keys[6]; /* of the hashes, random, the last four odd */
	__u64 netns;   /* inode of the network namespace that the instance lives in */
	__u32 hz;
	__u32 tick_shift; /* a tick is 1 << tick_shift jiffies */
	__u32 cpus;
	__u32 buckets;
	__u32 connections; /* capacity asked for */
	__u32 generation;  /* raised with every change of VECs, ports and nodes */
	__u64 stale_ms;	   /* defaults */
	__u64 fin_ms;
	__u64 half_open_ms;
	__u64 udp_ms;
};

#define CONF_MS_INHERIT 0ull

struct service_conf {
	__u64 stale_ms; /* or CONF_MS_INHERIT */
	__u64 fin_ms;
	__u32 choice_first; /* the two halves of this service in choices: 2 × choice_room slots */
	__u32 choice_room;
	__u16 weight_bound;
	__u16 pad[3];
	__u64 reserved[4];
};

#define NAME_LEN   64
#define IFNAME_LEN 16

/* Keyed by the VEC's slot. */
struct vec_conf {
	__u64 stale_ms;
	__u64 fin_ms;
	char name[NAME_LEN];
	char dev[IFNAME_LEN];
	__u32 claimed; /* we put the address on dev, and take it off again */
	__u32 pad;
};

#define NODE_MAC_FIXED	  1 /* `mac` was given, not resolved */
#define NODE_WEIGHT_FIXED 2 /* fixed_weight holds */
#define NODE_QUIESCED	  4
#define NODE_LEAVING	  8 /* being removed: no new connections */

struct node_conf {
	__u64 addr[2];
	char dev[IFNAME_LEN]; /* given, or empty */
	__u8 mac[MAC_LEN];    /* given, with NODE_MAC_FIXED */
	__u16 flags;
	__u16 weight;
	__u16 weight_now;
	__u16 fixed_weight;
	__u16 pad;
	__u64 reserved[1];
};

_Static_assert(sizeof(struct service) == 64, "a service is one cache line");
_Static_assert(sizeof(struct node) == 64, "a node is one cache line");
_Static_assert(sizeof(struct hop) == 16, "two hops and the rest share a line");
_Static_assert(sizeof(struct conn) == 32, "two connections share a cache line");
_Static_assert(sizeof(struct iface) == 16, "an interface is two words");
_Static_assert(sizeof(struct node_stats) == 32, "two nodes' counters share a line");
_Static_assert(sizeof(struct params) == 112, "params has no hidden padding");
_Static_assert(sizeof(struct service_conf) == 64, "service_conf has no hidden padding");
_Static_assert(sizeof(struct vec_conf) == 104, "vec_conf has no hidden padding");
_Static_assert(sizeof(struct node_conf) == 56, "node_conf has no hidden padding");

#endif

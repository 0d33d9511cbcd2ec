/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel knows of the network around this host, asked over rtnetlink (libmnl): links,
 * routes, neighbours, addresses. Works in the network namespace of the calling process.
 */
#ifndef XDPVEC_NET_H
#define XDPVEC_NET_H

#include <linux/if_ether.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct link_info {
	uint32_t ifindex;
	char name[IF_NAMESIZE];
	uint8_t mac[ETH_ALEN];
	uint32_t mtu;
	bool up;       /* administratively and carrier */
	bool ethernet; /* has a 6-byte MAC and carries Ethernet frames */
};

/* 0, -ENODEV, or another -errno. */
int net_link_by_name(const char *name, struct link_info *out);
int net_link_by_index(uint32_t ifindex, struct link_info *out);

enum reach_kind {
	REACH_LOCAL,	  /* one of this host's own addresses */
	REACH_LINK,	  /* on a link of ours, MAC known */
	REACH_UNRESOLVED, /* on a link of ours, but the neighbour does not answer, or the link has no MACs */
	REACH_ROUTED,	  /* behind a router: direct routing cannot serve it */
	REACH_NONE,	  /* no route */
};

struct reach {
	enum reach_kind kind;
	uint32_t ifindex;	   /* egress; 0 for REACH_LOCAL and REACH_NONE */
	uint8_t mac[ETH_ALEN];	   /* the neighbour's, for REACH_LINK */
	uint8_t src_mac[ETH_ALEN]; /* ours on that link, for REACH_LINK and REACH_UNRESOLVED */
};

/* How addr is reached. dev restricts the answer to that interface (NULL: any). A neighbour that is not
 * known yet is asked for (ARP / neighbour solicitation, through the kernel; needs CAP_NET_ADMIN) and waited
 * for up to wait_ms, less when the kernel itself gives up on it. An own address is REACH_LOCAL whatever dev.
 * Returns 0 and fills *out, whatever the kind; -errno only when the kernel could not be asked, -ENODEV when
 * dev does not exist or the interface went away meanwhile. */
int net_reach(const struct in6_addr *addr, const char *dev, int wait_ms, struct reach *out);

/* Is addr one of this host's own addresses, on whatever interface? 1, 0 or -errno. */
int net_addr_held(const struct in6_addr *addr);

/* Put addr on the interface as a /32 or /128 (IPv6 with NODAD) / take it off again.
 * add: 0, -EEXIST when the interface has it already, with whatever prefix length, -errno.
 * del: 0, -EADDRNOTAVAIL when the interface does not have it as a /32 or /128, -errno. */
int net_addr_add(const struct in6_addr *addr, uint32_t ifindex);
int net_addr_del(const struct in6_addr *addr, uint32_t ifindex);

/* Tell the link's neighbours that addr is here now: gratuitous ARP (request and reply) / unsolicited
 * neighbour advertisement, once. 0, -ENODEV, -ENETDOWN, -EOPNOTSUPP when the link is not Ethernet, -errno. */
int net_addr_announce(const struct in6_addr *addr, uint32_t ifindex);

/* Have the kernel make sure that a neighbour is still where it was: its traffic passes the kernel by, so that
 * nothing else would. ifindex as net_reach() gave it. 0 or -errno. */
int net_neighbour_probe(const struct in6_addr *addr, uint32_t ifindex);

/* A descriptor that becomes readable when links, neighbours, addresses or routes change; -errno. */
int net_watch_open(void);
/* Reads all that has come. changed is called for each change: with the neighbour's address, or with NULL
 * where anything may have changed (links, addresses, routes, or changes lost). 0 or -errno. */
int net_watch_read(int fd, void (*changed)(const struct in6_addr *neighbour, void *arg), void *arg);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Addresses of both families in one type: struct in6_addr, IPv4 as ::ffff:a.b.c.d, the form
 * in which the tables hold them. Text is canonical: IPv4 dotted, IPv6 as inet_ntop writes it.
 */
#ifndef XDPVEC_ADDR_H
#define XDPVEC_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define ADDR_TEXT_MAX	 INET6_ADDRSTRLEN
#define SERVICE_TEXT_MAX (INET6_ADDRSTRLEN + 16)
#define MAC_TEXT_MAX	 18

/* A service: where clients connect. port in host byte order, proto IPPROTO_TCP or IPPROTO_UDP.
 * A VEC alone is written with port 0 and proto 0. */
struct service_name {
	struct in6_addr addr;
	uint16_t port;
	uint8_t proto;
};

bool addr_is_v4(const struct in6_addr *addr);
int addr_compare(const struct in6_addr *a, const struct in6_addr *b);
int service_compare(const struct service_name *a, const struct service_name *b);

/* Whole-word parsers: 0, or -EINVAL with *out untouched. */
int addr_parse(const char *word, struct in6_addr *out);	       /* "10.0.0.1", "2001:db8::1" */
int service_parse(const char *word, struct service_name *out); /* "10.0.0.1:80/tcp", "[2001:db8::1]:53/udp" */
int mac_parse(const char *word, uint8_t out[6]); /* "02:00:00:00:00:01"; refuses multicast and all zero */

/* Why no VEC, node or service can be called so, for a message that quotes the word
 * ("a multicast address, …"); NULL when one can. Beyond what the parsers refuse: the unspecified,
 * loopback, multicast, broadcast and link-local addresses. The text is static. */
const char *addr_fault(const char *word);
const char *service_fault(const char *word);

/* Writers return buf. A service with port 0 and proto 0 is written as its address alone. */
const char *addr_text(const struct in6_addr *addr, char buf[ADDR_TEXT_MAX]);
const char *service_text(const struct service_name *service, char buf[SERVICE_TEXT_MAX]);
const char *mac_text(const uint8_t mac[6], char buf[MAC_TEXT_MAX]);
const char *proto_text(uint8_t proto); /* "tcp", "udp"; "?" for any other */

#endif

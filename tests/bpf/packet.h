/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What data-plane tests are made of: frames built from a few words, the real program run on one
 * frame by BPF_PROG_TEST_RUN, and all counters of an instance in one struct.
 */
#ifndef XDPVEC_TESTS_PACKET_H
#define XDPVEC_TESTS_PACKET_H

#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "instance.h"

#define FRAME_MAX 16384

/* TCP flags as the header's 14th byte has them. */
#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10
#define URG 0x20
#define ECE 0x40
#define CWR 0x80

/* One packet in words. Whatever is left out is 0 or, where that makes no sense, the value in brackets. */
struct packet {
	const char *from; /* [192.0.2.1 or 2001:db8::1] */
	const char *to;	  /* [10.0.0.100]; its family is the packet's */
	uint16_t from_port;
	uint16_t to_port;      /* [80] */
	uint8_t proto;	       /* [IPPROTO_TCP] */
	uint8_t flags;	       /* of TCP */
	uint16_t payload;      /* bytes */
	uint8_t ip_options;    /* bytes, in fours, IPv4 only */
	uint8_t tcp_options;   /* bytes, in fours */
	uint8_t vlans;	       /* tags, the outer of two an 802.1ad one */
	uint16_t padding;      /* bytes behind the IP packet */
	const uint8_t *to_mac; /* [gateway_mac] */
};

extern const uint8_t gateway_mac[ETH_ALEN];
extern const uint8_t router_mac[ETH_ALEN]; /* the source of every packet */

struct frame {
	uint32_t length;
	uint32_t l3; /* offset of the IP header */
	uint32_t l4; /* and of what follows it */
	uint8_t bytes[FRAME_MAX];
};

/* With valid lengths and checksums. */
void frame_build(struct frame *frame, const struct packet *packet);

/* The packet with everything spelt out that was left to a default. */
struct packet packet_whole(const struct packet *packet);

/* Bytes of the IP packet. */
uint32_t packet_ip_length(const struct packet *packet);

/* Writers for tests that spoil a frame. 16 bits go in network order. */
void frame_put8(struct frame *frame, uint32_t at, uint8_t value);
void frame_put16(struct frame *frame, uint32_t at, uint16_t value);

/* Squeeze bytes in at an offset, e.g. an extension header. Lengths within the headers stay. */
void frame_insert(struct frame *frame, uint32_t at, const void *bytes, uint32_t count);

struct outcome {
	int action; /* enum xdp_action */
	struct frame frame;
};

/* Runs the gateway once on a frame that came in by an interface of this namespace. */
void frame_run(const struct instance *inst, uint32_t ifindex, const struct frame *in, struct outcome *out);

/* Every counter, summed over the CPUs; of nodes those in the first slots, which are given out first. */
#define NODES_WATCHED 1024
struct counters {
	uint64_t verdict[IFACE_SLOTS][8];
	uint64_t drop[DROP_COUNT];
	uint64_t untracked;
	struct node_stats node[NODES_WATCHED];
};

void counters_read(const struct instance *inst, struct counters *counters);

/* Has any counter moved of a node that struct counters does not hold? */
bool counters_moved_elsewhere(const struct instance *inst);

/* NULL when equal, else the first difference in words, in static memory. */
const char *counters_differ(const struct counters *actual, const struct counters *expected);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stage 1: what the packet is. Everything that later stages need is copied into struct packet, so
 * that they hold no pointers into the packet.
 *
 * Until the destination is known to be a service the packet may belong to the host, so nothing is
 * dropped here: what cannot be parsed is noted as a flaw, and judged once it is known whose it is.
 */
#ifndef XDPVEC_PARSE_BPF_H
#define XDPVEC_PARSE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.bpf.h"
#include "state.h"
#include "verdict.h"

#define ETHERTYPE_IPV4	     0x0800
#define ETHERTYPE_IPV6	     0x86dd
#define ETHERTYPE_VLAN	     0x8100
#define ETHERTYPE_QINQ	     0x88a8
#define VLAN_DEPTH_MAX	     2
#define IPV4_MORE_FRAGMENTS  0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff
#define MAPPED_PREFIX	     ((__u32)bpf_htonl(0x0000ffff))

#define PROTO_HOPOPTS	     0
#define PROTO_TCP	     6
#define PROTO_UDP	     17
#define PROTO_ROUTING	     43
#define PROTO_FRAGMENT	     44
#define PROTO_AH	     51
#define PROTO_DSTOPTS	     60

struct packet {
	__u64 vec[2]; /* network order, IPv4 mapped */
	/* known only of a packet without a flaw: */
	__u64 client[2];
	__be16 client_port;
	__u32 door;
	__u32 flags;  /* FLAG_* of state.h */
	__u32 length; /* of the IP packet, in bytes */
};

/*
 * What parse() answers beside DROPPED(reason). A flaw counts only if the packet is addressed to a VEC:
 * only then may it be dropped.
 */
#define PARSE_DONE     0
#define PARSE_NOT_OURS 1 /* neither TCP nor UDP, or too short to say for whom: the host's business */

_Static_assert(PARSE_NOT_OURS < DROPPED(truncated), "a flaw is neither");

static __always_inline __u64 mapped(__be32 addr)
{
	return (__u64)addr << 32 | MAPPED_PREFIX;
}

/* Does the frame hold less than the IP header says? Of a frame in several buffers (jumbo) only the first lies
 * before end. */
static __always_inline int cut_short(struct xdp_md *ctx, void *l3, void *end, __u32 length)
{
	if (length <= (__u32)(end - l3))
		return 0;
	return (__u64)(l3 - (void *)(long)ctx->data) + length > bpf_xdp_get_buff_len(ctx);
}

/* TCP and UDP at l4, with l4_length bytes of it in the IP packet. */
static __always_inline __u32 parse_transport(struct packet *pkt, __u32 proto, void *l4, void *end,
					     __u32 l4_length)
{
	__u32 ports, header, data;

	if (proto != PROTO_TCP && proto != PROTO_UDP)
		return PARSE_NOT_OURS;
	if (l4 + sizeof(struct udphdr) > end || l4_length < sizeof(struct udphdr))
		return DROPPED(truncated);
	ports = *(__u32 *)l4;
	pkt->client_port = ports & 0xffff;
	pkt->door = DOOR(ports >> 16, proto);
	if (proto == PROTO_UDP) {
		__u32 length = bpf_ntohs(((struct udphdr *)l4)->len);

		pkt->flags = FLAG_PAYLOAD;
		return length < sizeof(struct udphdr) || length > l4_length ? DROPPED(bad_udp) : PARSE_DONE;
	}
	if (l4 + sizeof(struct tcphdr) > end)
		return DROPPED(truncated);
	header = (((__u8 *)l4)[12] >> 4) * 4;
	if (header < sizeof(struct tcphdr) || header > l4_length)
		return DROPPED(bad_tcp);
	/* The sign bit says that there is more than the header: without a branch, since it varies. */
	data = header - l4_length;
	opaque(data);
	pkt->flags = ((__u8 *)l4)[13] | data >> 31 << FLAG_PAYLOAD_SHIFT;
	return PARSE_DONE;
}

static __always_inline __u32 parse_ipv4(struct xdp_md *ctx, struct packet *pkt, void *l3, void *end)
{
	struct iphdr *ip = l3;
	__u32 proto, first, header, length;

	if ((void *)(ip + 1) > end)
		return PARSE_NOT_OURS;
	pkt->client[0] = 0;
	pkt->client[1] = mapped(ip->saddr);
	pkt->vec[0] = 0;
	pkt->vec[1] = mapped(ip->daddr);
	proto = ip->protocol;
	first = *(__u8 *)l3;
	header = (first & 0x0f) * 4;
	length = bpf_ntohs(ip->tot_len);
	pkt->length = length;
	if (first >> 4 != 4 || header < sizeof(*ip) || length < header)
		return DROPPED(bad_ip);
	if (cut_short(ctx, l3, end, length))
		return DROPPED(truncated);
	if (ip->frag_off & bpf_htons(IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))
		return proto == PROTO_TCP || proto == PROTO_UDP ? DROPPED(fragment) : PARSE_NOT_OURS;
	return parse_transport(pkt, proto, l3 + header, end, length - header);
}

static __always_inline __u32 parse_ipv6(struct xdp_md *ctx, struct packet *pkt, void *l3, void *end)
{
	struct ipv6hdr *ip = l3;
	__u32 proto, length;

	if ((void *)(ip + 1) > end)
		return PARSE_NOT_OURS;
	pkt->client[0] = *(__u64 *)(l3 + 8);
	pkt->client[1] = *(__u64 *)(l3 + 16);
	pkt->vec[0] = *(__u64 *)(l3 + 24);
	pkt->vec[1] = *(__u64 *)(l3 + 32);
	if (!pkt->vec[0]) /* no VEC lies there, but the mapped form of an IPv4 one does */
		return PARSE_NOT_OURS;
	proto = ip->nexthdr;
	length = bpf_ntohs(ip->payload_len);
	pkt->length = length + sizeof(*ip);
	if (*(__u8 *)l3 >> 4 != 6)
		return DROPPED(bad_ip);
	if (cut_short(ctx, l3, end, pkt->length))
		return DROPPED(truncated);
	if (proto == PROTO_FRAGMENT)
		return DROPPED(fragment);
	if (proto == PROTO_HOPOPTS || proto == PROTO_ROUTING || proto == PROTO_AH || proto == PROTO_DSTOPTS)
		return DROPPED(extension_header);
	return parse_transport(pkt, proto, ip + 1, end, length);
}

/* Ethernet with up to two VLAN tags, then IP. PARSE_* or DROPPED(flaw). */
static __always_inline __u32 parse(struct xdp_md *ctx, struct packet *pkt, void *data, void *end)
{
	void *l3 = data + sizeof(struct ethhdr);
	__be16 ethertype;

	if (l3 > end)
		return PARSE_NOT_OURS;
	ethertype = ((struct ethhdr *)data)->h_proto;
#pragma unroll
	for (int depth = 0; depth < VLAN_DEPTH_MAX; depth++) {
		struct vlan_hdr *tag = l3;

		if (ethertype != bpf_htons(ETHERTYPE_VLAN) && ethertype != bpf_htons(ETHERTYPE_QINQ))
			break;
		if ((void *)(tag + 1) > end)
			return PARSE_NOT_OURS;
		ethertype = tag->h_vlan_encapsulated_proto;
		l3 = tag + 1;
	}
	if (ethertype == bpf_htons(ETHERTYPE_IPV4))
		return parse_ipv4(ctx, pkt, l3, end);
	if (ethertype == bpf_htons(ETHERTYPE_IPV6))
		return parse_ipv6(ctx, pkt, l3, end);
	return PARSE_NOT_OURS;
}

#endif

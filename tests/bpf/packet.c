/* SPDX-License-Identifier: GPL-2.0-only */
#include "packet.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define TAG_LEN	     4
#define VLAN_ID	     100
#define HOP_LIMIT    57 /* not what anybody would write by itself */
#define CLIENT_PORT  40000
#define SERVICE_PORT 80

const uint8_t gateway_mac[ETH_ALEN] = { 0x02, 0x00, 0x5e, 0x10, 0x00, 0xfe };
const uint8_t router_mac[ETH_ALEN] = { 0x02, 0x00, 0x5e, 0x10, 0x00, 0x01 };

/* ---- frames ---- */

struct packet packet_whole(const struct packet *packet)
{
	struct packet full = *packet;

	if (!full.to)
		full.to = full.from && strchr(full.from, ':') ? "2001:db8::100" : "10.0.0.100";
	if (!full.from)
		full.from = strchr(full.to, ':') ? "2001:db8::1" : "192.0.2.1";
	if (!full.from_port)
		full.from_port = CLIENT_PORT;
	if (!full.to_port)
		full.to_port = SERVICE_PORT;
	if (!full.proto)
		full.proto = IPPROTO_TCP;
	if (!full.to_mac)
		full.to_mac = gateway_mac;
	return full;
}

static bool is_v6(const struct packet *packet)
{
	return strchr(packet->to, ':') != NULL;
}

static uint32_t l3_header(const struct packet *packet)
{
	return is_v6(packet) ? sizeof(struct ip6_hdr) : sizeof(struct iphdr) + packet->ip_options;
}

static uint32_t l4_header(const struct packet *packet)
{
	switch (packet->proto) {
	case IPPROTO_TCP:
		return sizeof(struct tcphdr) + packet->tcp_options;
	case IPPROTO_UDP:
		return sizeof(struct udphdr);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 8;
	default:
		return 0;
	}
}

uint32_t packet_ip_length(const struct packet *packet)
{
	struct packet full = packet_whole(packet);

	return l3_header(&full) + l4_header(&full) + full.payload;
}

void frame_put8(struct frame *frame, uint32_t at, uint8_t value)
{
	cr_assert(lt(u32, at, frame->length));
	frame->bytes[at] = value;
}

void frame_put16(struct frame *frame, uint32_t at, uint16_t value)
{
	frame_put8(frame, at, value >> 8);
	frame_put8(frame, at + 1, value & 0xff);
}

void frame_insert(struct frame *frame, uint32_t at, const void *bytes, uint32_t count)
{
	cr_assert(le(u32, frame->length + count, FRAME_MAX));
	memmove(frame->bytes + at + count, frame->bytes + at, frame->length - at);
	memcpy(frame->bytes + at, bytes, count);
	frame->length += count;
}

static uint32_t sum16(const void *data, uint32_t length, uint32_t sum)
{
	const uint8_t *byte = data;

	for (uint32_t i = 0; i < length; i++)
		sum += i % 2 ? byte[i] : byte[i] << 8;
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum & 0xffff);
}

/* Over the pseudo header and all of l4. */
static uint16_t l4_checksum(const void *addrs, uint32_t addrs_length, uint8_t proto, const void *l4,
			    uint32_t l4_length)
{
	return sum_fold(sum16(addrs, addrs_length, sum16(l4, l4_length, proto + l4_length)));
}

static uint8_t *put_ethernet(uint8_t *at, const struct packet *packet)
{
	const uint16_t ethertype = htons(is_v6(packet) ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	const uint16_t outer = htons(packet->vlans > 1 ? 0x88a8 : ETHERTYPE_VLAN);
	const uint16_t inner = htons(ETHERTYPE_VLAN);

	memcpy(at, packet->to_mac, ETH_ALEN);
	memcpy(at + ETH_ALEN, router_mac, ETH_ALEN);
	at += 2 * ETH_ALEN;
	for (int i = 0; i < packet->vlans; i++) {
		const uint16_t tag = htons(VLAN_ID + i);

		memcpy(at, i ? &inner : &outer, 2);
		memcpy(at + 2, &tag, 2);
		at += TAG_LEN;
	}
	memcpy(at, &ethertype, 2);
	return at + 2;
}

static void put_ipv4(uint8_t *at, const struct packet *packet)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = l3_header(packet) / 4,
		.tos = 0x2a,
		.tot_len = htons(packet_ip_length(packet)),
		.id = htons(0x1234),
		.frag_off = htons(IP_DF),
		.ttl = HOP_LIMIT,
		.protocol = packet->proto,
	};

	cr_assert(eq(int, inet_pton(AF_INET, packet->from, &ip.saddr), 1), "%s", packet->from);
	cr_assert(eq(int, inet_pton(AF_INET, packet->to, &ip.daddr), 1), "%s", packet->to);
	memcpy(at, &ip, sizeof(ip));
	memset(at + sizeof(ip), IPOPT_NOP, packet->ip_options);
	ip.check = sum_fold(sum16(at, l3_header(packet), 0));
	memcpy(at, &ip, sizeof(ip));
}

static void put_ipv6(uint8_t *at, const struct packet *packet)
{
	struct ip6_hdr ip = { 0 };

	ip.ip6_flow = htonl(6u << 28 | 0x2au << 20 | 0x54321);
	ip.ip6_plen = htons(l4_header(packet) + packet->payload);
	ip.ip6_nxt = packet->proto;
	ip.ip6_hlim = HOP_LIMIT;
	cr_assert(eq(int, inet_pton(AF_INET6, packet->from, &ip.ip6_src), 1), "%s", packet->from);
	cr_assert(eq(int, inet_pton(AF_INET6, packet->to, &ip.ip6_dst), 1), "%s", packet->to);
	memcpy(at, &ip, sizeof(ip));
}

static void put_l4(uint8_t *at, const struct packet *packet, const void *addrs, uint32_t addrs_length)
{
	const uint32_t header = l4_header(packet), length = header + packet->payload;
	struct tcphdr tcp = {
		.source = htons(packet->from_port),
		.dest = htons(packet->to_port),
		.seq = htonl(0x01020304),
		.ack_seq = htonl(0x05060708),
		.window = htons(0x4321),
	};
	struct udphdr udp = {
		.source = htons(packet->from_port),
		.dest = htons(packet->to_port),
		.len = htons(length),
	};

	for (uint32_t i = 0; i < packet->payload; i++)
		at[header + i] = i * 7 + 1;
	if (packet->proto == IPPROTO_TCP) {
		memcpy(at, &tcp, sizeof(tcp));
		at[12] = header / 4 << 4;
		at[13] = packet->flags;
		memset(at + sizeof(tcp), TCPOPT_NOP, packet->tcp_options);
		tcp.check = l4_checksum(addrs, addrs_length, packet->proto, at, length);
		memcpy(at + offsetof(struct tcphdr, check), &tcp.check, sizeof(tcp.check));
	} else if (packet->proto == IPPROTO_UDP) {
		memcpy(at, &udp, sizeof(udp));
		udp.check = l4_checksum(addrs, addrs_length, packet->proto, at, length);
		memcpy(at, &udp, sizeof(udp));
	} else if (packet->proto == IPPROTO_ICMP || packet->proto == IPPROTO_ICMPV6) {
		uint16_t check;

		memset(at, 0, header);
		at[0] = packet->proto == IPPROTO_ICMP ? 8 : 128; /* echo request */
		check = packet->proto == IPPROTO_ICMP
				? sum_fold(sum16(at, length, 0))
				: l4_checksum(addrs, addrs_length, packet->proto, at, length);
		memcpy(at + 2, &check, sizeof(check));
	}
}

void frame_build(struct frame *frame, const struct packet *packet)
{
	struct packet full = packet_whole(packet);
	uint8_t *l3 = put_ethernet(frame->bytes, &full);
	uint8_t *l4 = l3 + l3_header(&full);

	frame->l3 = l3 - frame->bytes;
	frame->l4 = l4 - frame->bytes;
	frame->length = frame->l4 + l4_header(&full) + full.payload + full.padding;
	cr_assert(le(u32, frame->length, FRAME_MAX));
	if (is_v6(&full)) {
		put_ipv6(l3, &full);
		put_l4(l4, &full, l3 + offsetof(struct ip6_hdr, ip6_src), 2 * sizeof(struct in6_addr));
	} else {
		put_ipv4(l3, &full);
		put_l4(l4, &full, l3 + offsetof(struct iphdr, saddr), 2 * sizeof(struct in_addr));
	}
	memset(frame->bytes + frame->length - full.padding, 0xee, full.padding);
}

void frame_run(const struct instance *inst, uint32_t ifindex, const struct frame *in, struct outcome *out)
{
	struct xdp_md ctx = { .data_end = in->length, .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->bytes, .data_size_in = in->length,
		    .data_out = out->frame.bytes, .data_size_out = FRAME_MAX, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx));
	int ret = bpf_prog_test_run_opts(inst->gateway_fd, &opts);

	cr_assert(zero(int, ret), "BPF_PROG_TEST_RUN of %u bytes: %s", in->length, strerror(errno));
	out->action = opts.retval;
	out->frame.length = opts.data_size_out;
	out->frame.l3 = in->l3;
	out->frame.l4 = in->l4;
}

/* ---- counters ---- */

void counters_read(const struct instance *inst, struct counters *counters)
{
	memset(counters, 0, sizeof(*counters));
	for (uint32_t cpu = 0; cpu < inst->params->cpus; cpu++) {
		const struct iface_stats *ifaces = inst->iface_stats + cpu * IFACE_SLOTS;
		const struct node_stats *nodes = inst->node_stats + cpu * NODE_SLOTS;
		const struct drop_stats *drops = inst->drop_stats + cpu;

		for (uint32_t slot = 0; slot < IFACE_SLOTS; slot++)
			for (int verdict = 0; verdict < 8; verdict++)
				counters->verdict[slot][verdict] += ifaces[slot].verdict[verdict];
		for (int reason = 0; reason < DROP_COUNT; reason++)
			counters->drop[reason] += drops->drop[reason];
		counters->untracked += drops->untracked;
		for (uint32_t slot = 0; slot < NODES_WATCHED; slot++) {
			counters->node[slot].packets += nodes[slot].packets;
			counters->node[slot].bytes += nodes[slot].bytes;
			counters->node[slot].connections += nodes[slot].connections;
			counters->node[slot].completed += nodes[slot].completed;
		}
	}
}

bool counters_moved_elsewhere(const struct instance *inst)
{
	static const struct node_stats still;

	for (uint32_t cpu = 0; cpu < inst->params->cpus; cpu++)
		for (uint32_t slot = NODES_WATCHED; slot < NODE_SLOTS; slot++)
			if (memcmp(&inst->node_stats[cpu * NODE_SLOTS + slot], &still, sizeof(still)))
				return true;
	return false;
}

static const char *const verdict_names[8] = {
#define X(name, meaning) [VERDICT_##name] = #name,
	VERDICTS(X)
#undef X
};

static const char *const drop_names[DROP_COUNT] = {
#define X(name, meaning) [DROP_##name] = #name,
	DROPS(X)
#undef X
};

static char difference[256];

static bool differs(uint64_t actual, uint64_t expected, const char *what, const char *name, uint32_t slot)
{
	if (actual == expected)
		return false;
	snprintf(difference, sizeof(difference), "%s %s [%u] is %" PRIu64 " and not %" PRIu64, what,
		 name ? name : "without a name", slot, actual, expected);
	return true;
}

static bool node_differs(const struct node_stats *actual, const struct node_stats *expected, uint32_t slot)
{
	return differs(actual->packets, expected->packets, "counter of node:", "packets", slot) ||
	       differs(actual->bytes, expected->bytes, "counter of node:", "bytes", slot) ||
	       differs(actual->connections, expected->connections, "counter of node:", "connections", slot) ||
	       differs(actual->completed, expected->completed, "counter of node:", "completed", slot);
}

const char *counters_differ(const struct counters *actual, const struct counters *expected)
{
	for (int i = 0; i < DROP_COUNT; i++)
		if (differs(actual->drop[i], expected->drop[i], "drops:", drop_names[i], 0))
			return difference;
	for (uint32_t slot = 0; slot < IFACE_SLOTS; slot++)
		for (int i = 0; i < 8; i++)
			if (differs(actual->verdict[slot][i], expected->verdict[slot][i],
				    "verdicts of interface:", verdict_names[i], slot))
				return difference;
	for (uint32_t slot = 0; slot < NODES_WATCHED; slot++)
		if (node_differs(&actual->node[slot], &expected->node[slot], slot))
			return difference;
	if (differs(actual->untracked, expected->untracked, "counter", "untracked", 0))
		return difference;
	return NULL;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The journey of single packets: which service they are for, what is refused, how they leave, and
 * that nothing but MAC addresses changes (E1, E2, E7, E12, E13). Connections have conn_test.c,
 * the choice of nodes choose_test.c, changing tables changes_test.c.
 */
#include <linux/bpf.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "lab.h"

#define CONNECTIONS 4096
#define ELSEWHERE   "10.0.0.101" /* an address of no VEC */
#define ELSEWHERE6  "2001:db8::101"
#define GATEWAY_MAC "02:00:5e:10:00:fe" /* as gateway_mac */
#define EAST_MAC    "02:00:5e:10:02:01"

static void raise_two_families(void)
{
	static const char *const services[] = { WEB, DNS, WEB6, DNS6 };

	lab_raise(CONNECTIONS);
	apply("vec add 10.0.0.100");
	apply("vec add 2001:db8::100");
	for (unsigned int i = 0; i < COUNT(services); i++) {
		apply("port add %s", services[i]);
		node_add(services[i], i + 1, 10); /* node 1 serves WEB, 2 DNS, 3 WEB6, 4 DNS6 */
	}
}

TestSuite(gateway, .init = raise_two_families, .fini = lab_end);

/* ---- which service (E1, E2, E13) ---- */

Test(gateway, a_service_is_found_by_address_port_and_protocol)
{
	sends(OPENS_AT(1), .to = "10.0.0.100", .flags = SYN);
	sends(OPENS_AT(2), .to = "10.0.0.100", .to_port = 53, .proto = IPPROTO_UDP);
	sends(OPENS_AT(3), .to = "2001:db8::100", .flags = SYN);
	sends(OPENS_AT(4), .to = "2001:db8::100", .to_port = 53, .proto = IPPROTO_UDP);
}

Test(gateway, another_protocol_on_the_port_of_a_service_passes)
{
	sends(PASSES, .to_port = 80, .proto = IPPROTO_UDP, .payload = 20);
	sends(PASSES, .to_port = 53, .flags = SYN);
	sends(PASSES, .to = "2001:db8::100", .to_port = 80, .proto = IPPROTO_UDP);
	sends(PASSES, .to = "2001:db8::100", .to_port = 53, .flags = SYN);
}

Test(gateway, another_port_of_a_vec_passes)
{
	static const uint16_t ports[] = { 79, 81, 443, 20480 /* 80 in the wrong byte order */, 65535 };

	for (unsigned int i = 0; i < COUNT(ports); i++) {
		sends(PASSES, .to_port = ports[i], .flags = SYN);
		sends(PASSES, .to_port = ports[i], .flags = ACK, .payload = 100);
		sends(PASSES, .to = "2001:db8::100", .to_port = ports[i], .flags = SYN);
	}
}

Test(gateway, the_port_of_a_service_at_another_address_passes)
{
	sends(PASSES, .to = ELSEWHERE, .flags = SYN);
	sends(PASSES, .to = "10.0.0.99", .flags = ACK, .payload = 10);
	sends(PASSES, .to = "100.0.0.10", .flags = SYN);
	sends(PASSES, .to = ELSEWHERE6, .flags = SYN);
	sends(PASSES, .to = "2001:db8::1:100", .flags = SYN);
	sends(PASSES, .to = "::a00:64", .from = CLIENT6, .flags = SYN);
}

Test(gateway, an_ipv6_packet_to_the_mapped_form_of_an_ipv4_vec_is_not_for_that_vec)
{
	sends(OPENS_AT(1), .flags = SYN);
	sends(PASSES, .to = "::ffff:10.0.0.100", .from = CLIENT6, .flags = SYN);
	sends(PASSES, .to = "::ffff:10.0.0.100", .from = "::ffff:192.0.2.9", .flags = SYN);
	sends(PASSES, .to = "::ffff:10.0.0.100", .from = "::ffff:192.0.2.1", .flags = RST);
	expect_state(HALF_OPEN, .from = "192.0.2.1");
}

Test(gateway, a_vec_without_ports_passes_everything)
{
	apply("vec add 10.0.0.102");
	sends(PASSES, .to = "10.0.0.102", .flags = SYN);
	sends(PASSES, .to = "10.0.0.102", .proto = IPPROTO_UDP);
	sends(PASSES, .to = "10.0.0.102", .proto = IPPROTO_ICMP);
}

Test(gateway, many_services_are_all_found)
{
	for (unsigned int vec = 1; vec <= 20; vec++) {
		apply("vec add 10.1.0.%u", vec);
		for (unsigned int port = 1; port <= 20; port++) {
			apply("port add 10.1.0.%u:%u/udp", vec, port);
			/* No node: that the packet is dropped tells that the service was found. */
		}
	}
	for (unsigned int vec = 1; vec <= 20; vec++) {
		char to[16];

		snprintf(to, sizeof(to), "10.1.0.%u", vec);
		for (unsigned int port = 1; port <= 20; port++) {
			sends(DROPS_AS(no_node), .to = to, .to_port = port, .proto = IPPROTO_UDP);
			sends(PASSES, .to = to, .to_port = port, .flags = SYN);
		}
		sends(PASSES, .to = to, .to_port = 21, .proto = IPPROTO_UDP);
	}
}

/* ---- whose frame ---- */

Test(gateway, a_frame_for_another_mac_passes)
{
	for (int byte = 0; byte < ETH_ALEN; byte++) {
		for (int bit = 0; bit < 8; bit++) {
			uint8_t mac[ETH_ALEN];

			memcpy(mac, gateway_mac, ETH_ALEN);
			mac[byte] ^= 1 << bit;
			sends(PASSES, .to_mac = mac, .flags = SYN);
		}
	}
}

Test(gateway, broadcast_and_multicast_frames_pass)
{
	static const uint8_t broadcast[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	static const uint8_t multicast[ETH_ALEN] = { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x01 };
	static const uint8_t multicast6[ETH_ALEN] = { 0x33, 0x33, 0x00, 0x00, 0x00, 0x01 };

	sends(PASSES, .to_mac = broadcast, .flags = SYN);
	sends(PASSES, .to_mac = multicast, .flags = SYN);
	sends(PASSES, .to = "2001:db8::100", .to_mac = multicast6, .flags = SYN);
}

Test(gateway, frames_that_are_not_ip_pass)
{
	static const uint16_t ethertypes[] = {
		ETHERTYPE_ARP, 0x88cc, 0x8847, 0x8864, 0x0000, 0x05dc, 0xffff
	};
	struct frame frame;

	for (unsigned int i = 0; i < COUNT(ethertypes); i++) {
		frame_build(&frame, &PACKET(.flags = SYN));
		frame_put16(&frame, 12, ethertypes[i]);
		sends_frame(PASSES, &frame);
		frame_build(&frame, &PACKET(.flags = SYN, .vlans = 2));
		frame_put16(&frame, 20, ethertypes[i]);
		sends_frame(PASSES, &frame);
	}
}

Test(gateway, three_vlan_tags_pass)
{
	sends(PASSES, .flags = SYN, .vlans = 3);
	sends(PASSES, .to = "2001:db8::100", .flags = SYN, .vlans = 3);
}

Test(gateway, a_frame_from_an_interface_that_is_not_the_gateways_passes_uncounted)
{
	struct counters before, after;
	struct outcome outcome;
	struct frame frame;

	shell("ip link add stranger type veth peer name its-peer");
	frame_build(&frame, &PACKET(.flags = SYN));
	counters_read(&inst, &before);
	frame_run(&inst, if_nametoindex("stranger"), &frame, &outcome);
	counters_read(&inst, &after);
	cr_assert(eq(int, outcome.action, XDP_PASS));
	cr_assert(eq(ptr, (void *)counters_differ(&after, &before), NULL));
	cr_assert(zero(int, memcmp(frame.bytes, outcome.frame.bytes, frame.length)));
}

/* ---- untouched bytes (E7) ---- */

Test(gateway, nothing_but_the_mac_addresses_changes_whatever_the_frame_holds)
{
	static const struct packet packets[] = {
		{ .flags = SYN, .tcp_options = 20 },
		{ .flags = SYN, .tcp_options = 40 },
		{ .flags = SYN | ECE | CWR },
		{ .flags = SYN, .payload = 1 },
		{ .flags = SYN, .payload = 1460 },
		{ .flags = SYN, .ip_options = 4 },
		{ .flags = SYN, .ip_options = 40, .tcp_options = 40, .payload = 100 },
		{ .flags = SYN, .padding = 6 },
		{ .flags = SYN, .padding = 1000 },
		{ .flags = SYN, .vlans = 1 },
		{ .flags = SYN, .vlans = 2 },
		{ .flags = SYN, .vlans = 2, .ip_options = 8, .tcp_options = 12, .payload = 77 },
		{ .flags = SYN, .payload = 8900 }, /* in several buffers */
		{ .flags = SYN, .vlans = 2, .payload = 8900 },
		{ .to_port = 53, .proto = IPPROTO_UDP },
		{ .to_port = 53, .proto = IPPROTO_UDP, .payload = 1 },
		{ .to_port = 53, .proto = IPPROTO_UDP, .payload = 1472 },
		{ .to_port = 53, .proto = IPPROTO_UDP, .ip_options = 12, .payload = 50, .vlans = 1 },
		{ .to_port = 53, .proto = IPPROTO_UDP, .padding = 18 },
		{ .to_port = 53, .proto = IPPROTO_UDP, .payload = 8900 },
		{ .to = "2001:db8::100", .flags = SYN, .tcp_options = 20 },
		{ .to = "2001:db8::100", .flags = SYN, .payload = 1440, .vlans = 1 },
		{ .to = "2001:db8::100", .flags = SYN, .payload = 8900, .vlans = 2 },
		{ .to = "2001:db8::100", .to_port = 53, .proto = IPPROTO_UDP },
		{ .to = "2001:db8::100", .to_port = 53, .proto = IPPROTO_UDP, .payload = 1452, .vlans = 2 },
	};

	for (unsigned int i = 0; i < COUNT(packets); i++) {
		struct packet packet = packets[i];

		packet.from_port = 1000 + i;
		sends_packet(OPENS, &packet);
		packet.to = strchr(packet_whole(&packet).to, ':') ? ELSEWHERE6 : ELSEWHERE;
		sends_packet(PASSES, &packet);
	}
}

Test(gateway, both_orders_of_vlan_tag_types_are_understood)
{
	static const uint16_t types[] = { 0x8100, 0x88a8 };
	uint16_t port = 1000;
	struct frame frame;

	for (int outer = 0; outer < 2; outer++) {
		frame_build(&frame, &PACKET(.from_port = port++, .flags = SYN, .vlans = 1));
		frame_put16(&frame, 12, types[outer]);
		sends_frame(OPENS, &frame);
		for (int inner = 0; inner < 2; inner++) {
			frame_build(&frame, &PACKET(.from_port = port++, .flags = SYN, .vlans = 2));
			frame_put16(&frame, 12, types[outer]);
			frame_put16(&frame, 16, types[inner]);
			sends_frame(OPENS, &frame);
		}
	}
}

/* ---- broken packets ---- */

enum base { L3, L4 };

/* A valid packet, one field of it overwritten, and what must come of it. */
struct spoilt {
	const char *what;
	struct packet packet;
	enum base base;
	uint32_t at;
	uint32_t bits;
	uint16_t value;
	enum drop reason;
	bool passes;
};

#define V4_TCP                              \
	{                                   \
		.flags = SYN, .payload = 40 \
	}
#define V4_UDP                                                     \
	{                                                          \
		.to_port = 53, .proto = IPPROTO_UDP, .payload = 40 \
	}
#define V6_TCP                                                     \
	{                                                          \
		.to = "2001:db8::100", .flags = SYN, .payload = 40 \
	}
#define V6_UDP                                                                            \
	{                                                                                 \
		.to = "2001:db8::100", .to_port = 53, .proto = IPPROTO_UDP, .payload = 40 \
	}

static const struct spoilt spoilt[] = {
	{ "an IPv4 header of 0 words", V4_TCP, L3, 0, 8, 0x40, DROP_bad_ip, false },
	{ "an IPv4 header of 4 words", V4_TCP, L3, 0, 8, 0x44, DROP_bad_ip, false },
	{ "version 6 in an IPv4 frame", V4_TCP, L3, 0, 8, 0x65, DROP_bad_ip, false },
	{ "version 0 in an IPv4 frame", V4_UDP, L3, 0, 8, 0x05, DROP_bad_ip, false },
	{ "an IPv4 packet of 0 bytes", V4_TCP, L3, 2, 16, 0, DROP_bad_ip, false },
	{ "an IPv4 packet of 19 bytes", V4_UDP, L3, 2, 16, 19, DROP_bad_ip, false },
	{ "an IPv4 packet shorter than its header",
	  { .flags = SYN, .ip_options = 40 },
	  L3,
	  2,
	  16,
	  59,
	  DROP_bad_ip,
	  false },
	{ "an IPv4 packet that ends with its header", V4_TCP, L3, 2, 16, 20, DROP_truncated, false },
	{ "7 bytes of UDP in IPv4", V4_UDP, L3, 2, 16, 27, DROP_truncated, false },
	{ "7 bytes of TCP in IPv4", V4_TCP, L3, 2, 16, 27, DROP_truncated, false },
	{ "8 bytes of TCP in IPv4", V4_TCP, L3, 2, 16, 28, DROP_bad_tcp, false },
	{ "19 bytes of TCP in IPv4", V4_TCP, L3, 2, 16, 39, DROP_bad_tcp, false },
	{ "a TCP header of 0 words", V4_TCP, L4, 12, 8, 0x00, DROP_bad_tcp, false },
	{ "a TCP header of 4 words", V4_TCP, L4, 12, 8, 0x40, DROP_bad_tcp, false },
	{ "a TCP header beyond the IPv4 packet",
	  { .flags = SYN, .payload = 39 },
	  L4,
	  12,
	  8,
	  0xf0,
	  DROP_bad_tcp,
	  false },
	{ "a UDP length of 0 in IPv4", V4_UDP, L4, 4, 16, 0, DROP_bad_udp, false },
	{ "a UDP length of 7 in IPv4", V4_UDP, L4, 4, 16, 7, DROP_bad_udp, false },
	{ "a UDP length beyond the IPv4 packet", V4_UDP, L4, 4, 16, 49, DROP_bad_udp, false },
	{ "the greatest UDP length in IPv4", V4_UDP, L4, 4, 16, 65535, DROP_bad_udp, false },
	{ "the first fragment of TCP", V4_TCP, L3, 6, 16, 0x2000, DROP_fragment, false },
	{ "a later fragment of TCP", V4_TCP, L3, 6, 16, 0x2001, DROP_fragment, false },
	{ "the last fragment of TCP", V4_TCP, L3, 6, 16, 0x0001, DROP_fragment, false },
	{ "the last fragment of TCP, far behind", V4_TCP, L3, 6, 16, 0x1fff, DROP_fragment, false },
	{ "the first fragment of UDP", V4_UDP, L3, 6, 16, 0x2000, DROP_fragment, false },
	{ "the last fragment of UDP", V4_UDP, L3, 6, 16, 0x0100, DROP_fragment, false },
	{ "a fragment of ICMP", { .proto = IPPROTO_ICMP, .payload = 40 }, L3, 6, 16, 0x2000, 0, true },
	{ "a later fragment of ICMP", { .proto = IPPROTO_ICMP, .payload = 40 }, L3, 6, 16, 0x0001, 0, true },
	{ "version 4 in an IPv6 frame", V6_TCP, L3, 0, 8, 0x42, DROP_bad_ip, false },
	{ "an IPv6 packet that ends with its header", V6_TCP, L3, 4, 16, 0, DROP_truncated, false },
	{ "7 bytes of UDP in IPv6", V6_UDP, L3, 4, 16, 7, DROP_truncated, false },
	{ "7 bytes of TCP in IPv6", V6_TCP, L3, 4, 16, 7, DROP_truncated, false },
	{ "19 bytes of TCP in IPv6", V6_TCP, L3, 4, 16, 19, DROP_bad_tcp, false },
	{ "a TCP header of 4 words in IPv6", V6_TCP, L4, 12, 8, 0x40, DROP_bad_tcp, false },
	{ "a TCP header beyond the IPv6 packet",
	  { .to = "2001:db8::100", .flags = SYN },
	  L4,
	  12,
	  8,
	  0x60,
	  DROP_bad_tcp,
	  false },
	{ "a UDP length of 7 in IPv6", V6_UDP, L4, 4, 16, 7, DROP_bad_udp, false },
	{ "a UDP length beyond the IPv6 packet", V6_UDP, L4, 4, 16, 49, DROP_bad_udp, false },
	{ "hop-by-hop options", V6_TCP, L3, 6, 8, 0, DROP_extension_header, false },
	{ "a routing header", V6_TCP, L3, 6, 8, 43, DROP_extension_header, false },
	{ "an authentication header", V6_TCP, L3, 6, 8, 51, DROP_extension_header, false },
	{ "destination options", V6_UDP, L3, 6, 8, 60, DROP_extension_header, false },
	{ "a fragment header", V6_UDP, L3, 6, 8, 44, DROP_fragment, false },
	{ "encrypted IPv6", V6_TCP, L3, 6, 8, 50, 0, true },
	{ "IPv6 without a next header", V6_TCP, L3, 6, 8, 59, 0, true },
	{ "encrypted IPv4", V4_TCP, L3, 9, 8, 50, 0, true },
	{ "SCTP", V4_TCP, L3, 9, 8, 132, 0, true },
	{ "GRE", V4_UDP, L3, 9, 8, 47, 0, true },
};

static void build_spoilt(struct frame *frame, const struct spoilt *row, bool elsewhere, int vlans)
{
	struct packet packet = row->packet;
	uint32_t at;

	if (elsewhere)
		packet.to = packet.to ? ELSEWHERE6 : ELSEWHERE;
	packet.vlans = vlans;
	frame_build(frame, &packet);
	at = (row->base == L3 ? frame->l3 : frame->l4) + row->at;
	if (row->bits == 8)
		frame_put8(frame, at, row->value);
	else
		frame_put16(frame, at, row->value);
}

Test(gateway, a_broken_packet_to_a_vec_is_dropped_under_its_reason)
{
	for (unsigned int i = 0; i < COUNT(spoilt); i++) {
		struct effect effect = { .verdict = VERDICT_drop, .reason = spoilt[i].reason };
		struct frame frame;

		for (int vlans = 0; vlans <= 2; vlans++) {
			cr_log_info("%s", spoilt[i].what);
			build_spoilt(&frame, &spoilt[i], false, vlans);
			/* Row i stands for the line. */
			lab_send_frame(-(int)i, spoilt[i].passes ? PASSES : effect, &frame);
		}
	}
}

Test(gateway, a_broken_packet_to_another_address_passes)
{
	for (unsigned int i = 0; i < COUNT(spoilt); i++) {
		struct frame frame;

		build_spoilt(&frame, &spoilt[i], true, i % 3);
		lab_send_frame(-(int)i, PASSES, &frame);
	}
}

Test(gateway, odd_but_valid_packets_are_forwarded)
{
	struct frame frame;

	/* The evil bit; no fragment. */
	frame_build(&frame, &PACKET(.from_port = 1, .flags = SYN));
	frame_put16(&frame, frame.l3 + 6, 0x8000);
	sends_frame(OPENS, &frame);
	/* Neither DF nor a fragment. */
	frame_build(&frame, &PACKET(.from_port = 2, .flags = SYN));
	frame_put16(&frame, frame.l3 + 6, 0);
	sends_frame(OPENS, &frame);
	/* UDP shorter than its IP packet. */
	frame_build(&frame, &PACKET(.from_port = 3, .to_port = 53, .proto = IPPROTO_UDP, .payload = 40));
	frame_put16(&frame, frame.l4 + 4, 8);
	sends_frame(OPENS, &frame);
	/* A TCP header that ends exactly with its packet. */
	sends(OPENS, .from_port = 4, .flags = SYN, .tcp_options = 40);
	/* Reserved bits beside the header's length. */
	frame_build(&frame, &PACKET(.from_port = 5, .flags = SYN));
	frame_put8(&frame, frame.l4 + 12, 0x5f);
	sends_frame(OPENS, &frame);
	/* The last hop: the node is where it wants to go. */
	frame_build(&frame, &PACKET(.from_port = 6, .flags = SYN));
	frame_put8(&frame, frame.l3 + 8, 1);
	sends_frame(OPENS, &frame);
}

Test(gateway, fragments_of_ipv6_are_dropped)
{
	static const struct packet packets[] = { V6_TCP, V6_UDP };
	static const uint16_t offsets[] = { 0x0001 /* first */, 0x0009, 0x0008 /* last */, 0xfff8,
					    0x0000 /* whole */ };

	for (unsigned int i = 0; i < COUNT(packets); i++) {
		for (unsigned int k = 0; k < COUNT(offsets); k++) {
			uint8_t header[8] = { packets[i].proto ? packets[i].proto : IPPROTO_TCP };
			struct frame frame;

			header[2] = offsets[k] >> 8;
			header[3] = offsets[k] & 0xff;
			frame_build(&frame, &packets[i]);
			frame_put8(&frame, frame.l3 + 6, IPPROTO_FRAGMENT);
			frame_put16(&frame, frame.l3 + 4, frame.length - frame.l4 + sizeof(header));
			frame_insert(&frame, frame.l4, header, sizeof(header));
			sends_frame(DROPS_AS(fragment), &frame);
		}
	}
}

Test(gateway, icmp_to_a_vec_passes)
{
	sends(PASSES, .proto = IPPROTO_ICMP, .payload = 56);
	sends(PASSES, .to = "2001:db8::100", .proto = IPPROTO_ICMPV6, .payload = 56);
}

/* Nothing is sent on before all that the gateway reads of it is there, and nothing is lost uncounted. */
Test(gateway, a_frame_cut_short_anywhere_is_never_forwarded_unparsed)
{
	static const struct packet packets[] = {
		V4_TCP,
		V4_UDP,
		V6_TCP,
		V6_UDP,
		{ .flags = SYN, .vlans = 2, .ip_options = 40 },
		{ .to = "2001:db8::100", .to_port = 53, .proto = IPPROTO_UDP, .vlans = 1 },
	};

	for (unsigned int i = 0; i < COUNT(packets); i++) {
		struct packet packet = packets[i];
		bool v6 = packet.to != NULL;
		struct frame frame;

		frame_build(&frame, &packet);
		for (uint32_t length = ETH_HLEN; length <= frame.length; length++) {
			/* No IP header: nobody's packet. Less than the IP header says: nobody's connection.
			 */
			uint32_t addressed = frame.l3 + (v6 ? 40 : 20);
			struct frame cut;

			packet.from_port = 1000 + length;
			frame_build(&cut, &packet);
			cut.length = length;
			if (length < addressed)
				sends_frame(PASSES, &cut);
			else
				sends_frame(length < frame.length ? DROPS_AS(truncated) : OPENS, &cut);
		}
	}
}

Test(gateway, a_jumbo_frame_in_several_buffers_must_be_whole_too)
{
	static const struct packet packets[] = {
		{ .flags = SYN, .payload = 8900, .vlans = 1 },
		{ .to_port = 53, .proto = IPPROTO_UDP, .payload = 8900 },
		{ .to = "2001:db8::100", .flags = SYN, .payload = 8900 },
		{ .to = "2001:db8::100", .to_port = 53, .proto = IPPROTO_UDP, .payload = 8900, .vlans = 2 },
	};

	for (unsigned int i = 0; i < COUNT(packets); i++) {
		static struct frame frame;

		frame_build(&frame, &packets[i]);
		frame.length--;
		sends_frame(DROPS_AS(truncated), &frame);
		frame.length -= 4000;
		sends_frame(DROPS_AS(truncated), &frame);
		sends_packet(OPENS, &packets[i]);
	}
}

/* ---- a frame of random bytes ---- */

struct reader {
	const uint8_t *at;
	uint32_t left;
};

static const uint8_t *take(struct reader *reader, uint32_t count)
{
	const uint8_t *at = reader->at;

	if (reader->left < count)
		return NULL;
	reader->at += count;
	reader->left -= count;
	return at;
}

static uint32_t number16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

static bool is_service(uint32_t port, uint8_t proto)
{
	return (proto == IPPROTO_TCP && port == 80) || (proto == IPPROTO_UDP && port == 53);
}

/* A second opinion, from the RFCs: a whole packet with a whole TCP or UDP header to one of the services. */
static bool may_be_forwarded(const struct frame *frame)
{
	struct reader reader = { frame->bytes, frame->length };
	const uint8_t *at = take(&reader, ETH_HLEN), *l4;
	static const uint8_t vec6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x00, [14] = 0x01 };
	uint32_t ethertype, l4_length;
	uint8_t proto;

	if (!at || memcmp(at, gateway_mac, ETH_ALEN))
		return false;
	ethertype = number16(at + 12);
	for (int tags = 0; tags < 2 && (ethertype == 0x8100 || ethertype == 0x88a8); tags++) {
		at = take(&reader, 4);
		if (!at)
			return false;
		ethertype = number16(at + 2);
	}
	if (ethertype == ETHERTYPE_IP) {
		uint32_t header, length;

		at = take(&reader, 20);
		if (!at || at[0] >> 4 != 4 || memcmp(at + 16, "\x0a\x00\x00\x64", 4))
			return false;
		header = (at[0] & 15) * 4;
		length = number16(at + 2);
		if (header < 20 || length < header || number16(at + 6) & 0x3fff)
			return false;
		proto = at[9];
		l4_length = length - header;
		if (!take(&reader, header - 20) || reader.left < l4_length)
			return false;
	} else if (ethertype == ETHERTYPE_IPV6) {
		at = take(&reader, 40);
		if (!at || at[0] >> 4 != 6 || memcmp(at + 24, vec6, 14) || number16(at + 38) != 0x100)
			return false;
		proto = at[6];
		l4_length = number16(at + 4);
		if (reader.left < l4_length)
			return false;
	} else {
		return false;
	}
	l4 = take(&reader, proto == IPPROTO_UDP ? 8 : 20);
	if (!l4 || !is_service(number16(l4 + 2), proto))
		return false;
	if (proto == IPPROTO_UDP)
		return number16(l4 + 4) >= 8 && number16(l4 + 4) <= l4_length;
	return (l4[12] >> 4) * 4u >= 20 && (l4[12] >> 4) * 4u <= l4_length;
}

Test(gateway, whatever_is_in_a_frame_it_is_counted_once_and_forwarded_only_if_it_is_sound)
{
	static const struct packet packets[] = {
		V4_TCP,
		V4_UDP,
		V6_TCP,
		V6_UDP,
		{ .flags = SYN, .vlans = 2, .ip_options = 8, .tcp_options = 12 },
		{ .to = "2001:db8::100", .flags = ACK, .vlans = 1, .payload = 3 },
	};
	unsigned int forwarded = 0, dropped = 0;

	srandom(1);
	for (int round = 0; round < 30000; round++) {
		struct counters before, after;
		static struct outcome outcome;
		uint64_t verdicts = 0, drops = 0;
		struct frame frame;
		uint32_t same;

		frame_build(&frame, &packets[random() % COUNT(packets)]);
		for (int spoils = random() % 4; spoils >= 0; spoils--)
			frame.bytes[random() % 8 ? 12 + random() % 60 : random() % frame.length] = random();
		if (random() % 8 == 0)
			frame.length = ETH_HLEN + random() % (frame.length - ETH_HLEN);
		counters_read(&inst, &before);
		frame_run(&inst, 1, &frame, &outcome);
		counters_read(&inst, &after);
		for (int i = 0; i < VERDICT_COUNT; i++)
			verdicts += after.verdict[1][i] - before.verdict[1][i];
		for (int i = 0; i < DROP_COUNT; i++)
			drops += after.drop[i] - before.drop[i];
		cr_assert(eq(u64, verdicts, 1), "round %d", round);
		cr_assert(eq(u64, drops, outcome.action == XDP_DROP), "round %d", round);
		cr_assert(eq(u32, outcome.frame.length, frame.length), "round %d", round);
		same = outcome.action == XDP_TX ? 2 * ETH_ALEN : 0;
		if (outcome.action != XDP_DROP)
			cr_assert(zero(int, memcmp(outcome.frame.bytes + same, frame.bytes + same,
						   frame.length - same)),
				  "round %d", round);
		if (outcome.action == XDP_TX)
			cr_assert(may_be_forwarded(&frame), "round %d", round);
		cr_assert(outcome.action == XDP_TX || outcome.action == XDP_DROP ||
				  outcome.action == XDP_PASS,
			  "round %d: XDP action %d", round, outcome.action);
		forwarded += outcome.action == XDP_TX;
		dropped += outcome.action == XDP_DROP;
	}
	cr_assert(gt(uint, forwarded, 1000), "too few of the frames were sound for the test to say much");
	cr_assert(gt(uint, dropped, 1000));
}

/* ---- sources that no client can have ---- */

Test(gateway, martian_sources_of_newcomers_are_dropped)
{
	static const char *const sources[] = { "0.0.0.0",	  "0.1.2.3",	     "127.0.0.1",
					       "127.255.255.255", "224.0.0.1",	     "239.255.255.255",
					       "240.0.0.1",	  "255.255.255.255", "10.0.0.100" };
	static const char *const sources6[] = {
		"::", "::1", "ff02::1", "ff0e::1:2", "2001:db8::100", "::ffff:192.0.2.1", "::ffff:127.0.0.1"
	};

	for (unsigned int i = 0; i < COUNT(sources); i++) {
		sends(DROPS_AS(martian), .from = sources[i], .flags = SYN);
		sends(DROPS_AS(martian), .from = sources[i], .flags = ACK, .payload = 1);
		sends(DROPS_AS(martian), .from = sources[i], .to_port = 53, .proto = IPPROTO_UDP);
		sends(PASSES, .from = sources[i], .to = ELSEWHERE, .flags = SYN);
		sends(PASSES, .from = sources[i], .to_port = 81, .flags = SYN);
		expect_state(NONE, .from = sources[i]);
	}
	for (unsigned int i = 0; i < COUNT(sources6); i++) {
		sends(DROPS_AS(martian), .from = sources6[i], .to = "2001:db8::100", .flags = SYN);
		sends(DROPS_AS(martian), .from = sources6[i], .to = "2001:db8::100", .to_port = 53,
		      .proto = IPPROTO_UDP);
		sends(PASSES, .from = sources6[i], .to = ELSEWHERE6, .flags = SYN);
		expect_state(NONE, .from = sources6[i], .to = "2001:db8::100");
	}
}

Test(gateway, sources_next_to_the_martian_ones_are_clients)
{
	static const char *const sources[] = { "1.0.0.0",	  "126.255.255.255", "128.0.0.1",
					       "223.255.255.255", "10.0.0.99",	     "10.0.0.101" };
	static const char *const sources6[] = {
		"::2", "1::", "2001:db8::101", "fe80::1", "fd00::1", "::fffe:192.0.2.1", "64:ff9b::192.0.2.1"
	};

	for (unsigned int i = 0; i < COUNT(sources); i++)
		sends(OPENS, .from = sources[i], .flags = SYN);
	for (unsigned int i = 0; i < COUNT(sources6); i++)
		sends(OPENS, .from = sources6[i], .to = "2001:db8::100", .flags = SYN);
}

/* ---- the way out (E12) ---- */

/* A veth pair; returns the slot of the end `east`, which has this MAC. */
static uint32_t east_slot(const char *mac)
{
	struct error err;
	int slot;

	shell("ip link add east address %s type veth peer name west && ip link set east up && ip link set "
	      "west up",
	      mac);
	slot = instance_iface_slot(&inst, if_nametoindex("east"), &err);
	cr_assert(ge(int, slot, 0), "%s: %s", err.what, err.why);
	return slot;
}

Test(gateway, a_node_on_another_interface_is_reached_by_redirect)
{
	const struct effect redirects = { .verdict = VERDICT_redirect, .node = 1 };
	struct effect opens = redirects;
	struct hop hop = hop_to(1);

	hop.iface = east_slot(EAST_MAC);
	node_set_hop(WEB, 1, &hop);
	opens.opens = true;
	sends(opens, .flags = SYN);
	sends(redirects, .flags = ACK, .vlans = 1, .ip_options = 8, .payload = 1400);
}

Test(gateway, what_came_in_by_the_nodes_own_interface_goes_back_there)
{
	uint32_t slot = east_slot(GATEWAY_MAC);
	struct hop hop = hop_to(1);

	hop.iface = slot;
	node_set_hop(WEB, 1, &hop);
	lab_ingress(if_nametoindex("east"), slot);
	sends(OPENS_AT(1), .flags = SYN);
	sends(FOLLOWS_TO(1), .flags = ACK);
	/* And lo, where the node of WEB6 is, is the other one now. */
	sends(((struct effect){ .verdict = VERDICT_redirect, .node = 3, .opens = true }),
	      .to = "2001:db8::100", .flags = SYN);
}

Test(gateway, each_interface_knows_only_its_own_mac)
{
	static const uint8_t east_mac[ETH_ALEN] = { 0x02, 0x00, 0x5e, 0x10, 0x02, 0x01 };
	uint32_t slot = east_slot(EAST_MAC);

	sends(PASSES, .to_mac = east_mac, .flags = SYN);
	lab_ingress(if_nametoindex("east"), slot);
	sends(PASSES, .flags = SYN);
	sends(((struct effect){ .verdict = VERDICT_redirect, .node = 1, .opens = true }), .to_mac = east_mac,
	      .flags = SYN);
}

/* Interfaces lie in their table by number, and two numbers may want one place. */
Test(gateway, interfaces_that_want_one_place_are_told_apart)
{
	const uint32_t number = 1 + IFACE_SLOTS; /* lo is number 1 */
	struct hop hop = hop_to(1);
	struct error err;
	int slot;

	shell("ip link add east index %u address " GATEWAY_MAC " type veth peer name west", number);
	slot = instance_iface_slot(&inst, number, &err);
	cr_assert(gt(int, slot, 0), "%s: %s", err.what, err.why);
	hop.iface = slot;
	node_set_hop(WEB, 1, &hop);
	sends(((struct effect){ .verdict = VERDICT_redirect, .node = 1, .opens = true }), .flags = SYN);
	lab_ingress(number, slot);
	sends(FOLLOWS_TO(1), .flags = ACK);
	sends(((struct effect){ .verdict = VERDICT_redirect, .node = 2, .opens = true }), .to_port = 53,
	      .proto = IPPROTO_UDP);
	/* The first goes, and the second is still found behind its place. */
	inst.ifaces[1].ifindex = IFACE_GONE;
	sends(FOLLOWS_TO(1), .flags = ACK);
}

Test(gateway, what_cannot_be_redirected_is_dropped_and_counted_for_no_node)
{
	struct effect fails = DROPS_AS(redirect_failed);
	struct hop hop = hop_to(1);
	uint32_t slot = east_slot(EAST_MAC);

	hop.iface = slot;
	node_set_hop(WEB, 1, &hop);
	cr_assert(zero(int, bpf_map_delete_elem(inst.egress_fd, &slot)));
	fails.opens = true;
	fails.node = 1;
	sends(fails, .flags = SYN);
	sends(DROPS_AS(redirect_failed), .flags = ACK);
}

Test(gateway, the_local_node_gets_its_share_by_the_hosts_stack)
{
	struct effect local = { .verdict = VERDICT_local, .node = 9 }, opens = local;

	apply("node del 10.0.0.11 at %s", WEB);
	shell("ip addr add 10.0.0.19/32 dev lo");
	apply("node add 10.0.0.19 at %s", WEB);
	opens.opens = true;
	sends(opens, .flags = SYN);
	sends(local, .flags = ACK, .payload = 333, .vlans = 1);
	expect_state(ACTIVE | WITH_DATA, .flags = 0);
	local.completes_at = 9;
	sends(((struct effect){ .verdict = VERDICT_local, .node = 9 }), .flags = FIN | ACK);
	local.opens = true;
	sends(local, .flags = SYN);
}

Test(gateway, a_packet_from_the_nodes_own_mac_is_not_sent_in_a_circle)
{
	struct effect loops = DROPS_AS(loop);
	struct hop hop = hop_to(1);

	memcpy(hop.dst_mac, router_mac, ETH_ALEN);
	node_set_hop(WEB, 1, &hop);
	loops.opens = true;
	loops.node = 1;
	sends(loops, .flags = SYN);
	sends(DROPS_AS(loop), .flags = ACK);
	/* Any byte that differs makes it another host. */
	for (int byte = 0; byte < ETH_ALEN; byte++) {
		struct outcome outcome;
		struct frame frame;

		hop = hop_to(1);
		memcpy(hop.dst_mac, router_mac, ETH_ALEN);
		hop.dst_mac[byte] ^= 0x40;
		node_set_hop(WEB, 1, &hop);
		frame_build(&frame, &PACKET(.flags = ACK));
		frame_run(&inst, 1, &frame, &outcome);
		cr_assert(eq(int, outcome.action, XDP_TX), "byte %d", byte);
		cr_assert(zero(int, memcmp(outcome.frame.bytes, hop.dst_mac, ETH_ALEN)));
	}
}

Test(gateway, a_node_that_cannot_be_resolved_gets_no_packets)
{
	struct hop nowhere = { .kind = HOP_NONE }, again = hop_to(1);

	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
	node_set_hop(WEB, 1, &nowhere);
	sends(DROPS_AS(node_unresolved), .from_port = 1, .flags = ACK);
	sends(DROPS_AS(no_node), .from_port = 2, .flags = SYN);
	expect_state(NONE, .from_port = 2);
	node_set_hop(WEB, 1, &again);
	sends(FOLLOWS_TO(1), .from_port = 1, .flags = ACK);
	sends(OPENS_AT(1), .from_port = 2, .flags = SYN);
}

Test(gateway, a_node_that_moves_to_another_mac_takes_its_connections_along)
{
	struct hop hop = hop_to(30);

	sends(OPENS_AT(1), .flags = SYN);
	node_set_hop(WEB, 1, &hop);
	{
		struct outcome outcome;
		struct frame frame;

		frame_build(&frame, &PACKET(.flags = ACK));
		frame_run(&inst, 1, &frame, &outcome);
		cr_assert(eq(int, outcome.action, XDP_TX));
		cr_assert(zero(int, memcmp(outcome.frame.bytes, hop.dst_mac, ETH_ALEN)));
	}
}

/* ---- counters ---- */

Test(gateway, bytes_are_those_of_the_ip_packet)
{
	const uint32_t slot = node_slot(WEB, 1), slot6 = node_slot(DNS6, 4);
	struct counters counters;

	sends(OPENS, .flags = SYN, .vlans = 2, .padding = 100);
	sends(FOLLOWS, .flags = ACK, .ip_options = 4, .tcp_options = 12, .payload = 1000);
	sends(OPENS, .to = "2001:db8::100", .to_port = 53, .proto = IPPROTO_UDP, .payload = 12, .vlans = 1);
	counters_read(&inst, &counters);
	cr_assert(eq(u64, counters.node[slot].packets, 2));
	cr_assert(eq(u64, counters.node[slot].bytes, 40 + 20 + 4 + 20 + 12 + 1000));
	cr_assert(eq(u64, counters.node[slot].connections, 1));
	cr_assert(eq(u64, counters.node[slot6].packets, 1));
	cr_assert(eq(u64, counters.node[slot6].bytes, 40 + 8 + 12));
}

Test(gateway, each_cpu_counts_for_itself_and_nothing_is_lost)
{
	const uint32_t slot = node_slot(WEB, 1);
	struct counters counters;

	sends(OPENS, .from_port = 1, .flags = SYN);
	if (lab_use_cpu(1) < 0)
		cr_skip_test("needs two CPUs");
	sends(FOLLOWS, .from_port = 1, .flags = ACK);
	sends(OPENS, .from_port = 2, .flags = SYN);
	sends(DROPS_AS(not_syn), .from_port = 3, .flags = ACK);
	counters_read(&inst, &counters);
	cr_assert(eq(u64, counters.node[slot].packets, 3));
	cr_assert(eq(u64, counters.node[slot].connections, 2));
	cr_assert(eq(u64, counters.verdict[1][VERDICT_tx], 3));
	cr_assert(eq(u64, counters.verdict[1][VERDICT_drop], 1));
	/* Each in rows of its own, or they would count over each other. */
	for (int i = 0; i < 2; i++) {
		size_t cpu = lab_use_cpu(i);

		cr_assert(eq(u64, inst.iface_stats[cpu * IFACE_SLOTS + 1].verdict[VERDICT_tx], 1 + i));
		cr_assert(eq(u64, inst.node_stats[cpu * NODE_SLOTS + slot].packets, 1 + i));
		cr_assert(eq(u64, inst.node_stats[cpu * NODE_SLOTS + slot].connections, 1));
		cr_assert(eq(u64, inst.drop_stats[cpu].drop[DROP_not_syn], i));
	}
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of a connection in the data plane: figures 7 and 8, timeouts, and what gives way to
 * what when the table is full (E3, E4, E5, E9).
 */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "conntable.h"
#include "hash.h"
#include "lab.h"

#define CONNECTIONS 1024
#define WAYS	    (2 * CONN_WAYS)
#define SLACK_MS    3000 /* far more than a test takes between two packets */

#define SECONDS	    1000ull

/* Two nodes of equal weight: what gets another node than before can be told. */
static void raise_two_nodes(void)
{
	static const char *const services[] = { WEB, DNS, WEB6, DNS6 };

	lab_raise(CONNECTIONS);
	apply("vec add 10.0.0.100");
	apply("vec add 2001:db8::100");
	for (unsigned int i = 0; i < COUNT(services); i++) {
		apply("port add %s", services[i]);
		node_add(services[i], 1, 10);
		node_add(services[i], 2, 10);
	}
}

TestSuite(conn, .init = raise_two_nodes, .fini = lab_end);

/* ---- figures 7 and 8 as scripts of packets ---- */

/* One packet of a connection: how long after the one before, what it is, what it must lead to, and the
 * state of the connection then. */
struct step {
	uint64_t after_ms;
	uint16_t flags;
	uint16_t payload;
	struct effect effect;
	uint32_t state;
};

/* From the first port on, over both families. */
static void play_script(int line, const struct step *steps, unsigned int count)
{
	static const char *const vecs[] = { "10.0.0.100", "2001:db8::100" };

	for (unsigned int family = 0; family < COUNT(vecs); family++) {
		for (unsigned int i = 0; i < count; i++) {
			struct packet packet = { .to = vecs[family] };
			uint32_t now, before;

			if (steps[i].after_ms)
				entry_age(lab_entry(&packet), steps[i].after_ms);
			packet.flags = steps[i].flags;
			packet.payload = steps[i].payload;
			/* Step i stands behind the line of the script. */
			before = instance_now(&inst);
			lab_send(line + 1 + i, steps[i].effect, &packet);
			now = instance_now(&inst);
			lab_expect_state(line + 1 + i, steps[i].state, &packet);
			if (steps[i].state != NONE) {
				cr_assert(ge(u32, lab_entry(&packet)->seen, before),
					  "the packet left no stamp");
				cr_assert(le(u32, lab_entry(&packet)->seen, now));
			}
		}
	}
}

#define play(steps) play_script(__LINE__ - (int)COUNT(steps) - 2, (steps), COUNT(steps))

Test(conn, an_ordinary_connection_goes_through_all_states)
{
	const struct step steps[] = {
		{ 0, SYN, 0, OPENS_AT(1), HALF_OPEN },
		{ 0, ACK, 0, FOLLOWS_TO(1), ACTIVE },
		{ 0, ACK | PSH, 100, FOLLOWS_TO(1), ACTIVE | WITH_DATA },
		{ 0, ACK, 0, FOLLOWS_TO(1), ACTIVE | WITH_DATA },
		{ 5 * SECONDS, ACK, 1460, FOLLOWS_TO(1), ACTIVE | WITH_DATA },
		{ 0, FIN | ACK, 0, FOLLOWS_TO(1), FINISHED | WITH_DATA },
		{ 2 * SECONDS, ACK, 0, FOLLOWS_TO(1), FINISHED | WITH_DATA },
		{ 2 * SECONDS, ACK, 0, FOLLOWS_TO(1), FINISHED | WITH_DATA },
	};
	play(steps);
}

Test(conn, data_may_come_with_the_acknowledgement_of_the_handshake)
{
	const struct step steps[] = {
		{ 0, SYN, 0, OPENS_AT(1), HALF_OPEN },
		{ 0, ACK | PSH, 1, FOLLOWS_TO(1), ACTIVE | WITH_DATA },
	};
	play(steps);
}

Test(conn, data_may_come_with_the_fin)
{
	const struct step steps[] = {
		{ 0, SYN, 0, OPENS_AT(1), HALF_OPEN },
		{ 0, ACK, 0, FOLLOWS_TO(1), ACTIVE },
		{ 0, FIN | ACK, 10, FOLLOWS_TO(1), FINISHED | WITH_DATA },
	};
	play(steps);
}

Test(conn, data_with_the_syn_does_not_protect_an_entry)
{
	/* Else a flood of SYNs with a byte each would fill the table for good. */
	const struct step steps[] = {
		{ 0, SYN, 100, OPENS_AT(1), HALF_OPEN },
		{ 0, SYN, 100, FOLLOWS_TO(1), HALF_OPEN },
	};
	play(steps);
}

Test(conn, frames_padded_by_the_wire_carry_no_data)
{
	sends(OPENS, .flags = SYN, .padding = 6);
	sends(FOLLOWS, .flags = ACK, .padding = 6);
	expect_state(ACTIVE, .flags = 0);
	sends(FOLLOWS, .flags = ACK, .tcp_options = 12, .ip_options = 8);
	expect_state(ACTIVE, .flags = 0);
}

Test(conn, a_repeated_syn_goes_to_the_same_node)
{
	const struct step steps[] = {
		{ 0, SYN, 0, OPENS_AT(1), HALF_OPEN },
		{ 1 * SECONDS, SYN, 0, FOLLOWS_TO(1), HALF_OPEN },
		{ 3 * SECONDS, SYN | ECE | CWR, 0, FOLLOWS_TO(1), HALF_OPEN },
		{ 0, ACK, 0, FOLLOWS_TO(1), ACTIVE },
	};
	play(steps);
}

Test(conn, a_syn_on_an_active_connection_changes_nothing)
{
	const struct step steps[] = {
		{ 0, SYN, 0, OPENS_AT(1), HALF_OPEN },
		{ 0, ACK, 0, FOLLOWS_TO(1), ACTIVE },
		{ 0, SYN, 0, FOLLOWS_TO(1), ACTIVE },
		{ 0, ACK, 10, FOLLOWS_TO(1), ACTIVE | WITH_DATA },
		{ 0, SYN, 0, FOLLOWS_TO(1), ACTIVE | WITH_DATA },
		{ 0, SYN, 100, FOLLOWS_TO(1), ACTIVE | WITH_DATA },
	};
	play(steps);
}

Test(conn, a_syn_after_fin_begins_a_new_connection_at_the_same_node)
{
	const struct step steps[] = {
		{ 0, SYN, 0, OPENS_AT(1), HALF_OPEN },
		{ 0, FIN | ACK, 0, FOLLOWS_TO(1), FINISHED },
		{ 30 * SECONDS, SYN, 0, REOPENS_AT(1, 1), HALF_OPEN },
		{ 0, SYN, 0, FOLLOWS_TO(1), HALF_OPEN },
		{ 0, ACK, 10, FOLLOWS_TO(1), ACTIVE | WITH_DATA },
		{ 0, FIN | ACK, 0, FOLLOWS_TO(1), FINISHED | WITH_DATA },
		{ 0, SYN, 0, REOPENS_AT(1, 1), HALF_OPEN | WITH_DATA },
		{ 0, ACK, 0, FOLLOWS_TO(1), ACTIVE | WITH_DATA },
	};
	play(steps);
}

Test(conn, a_reset_is_forwarded_and_leaves_the_entry_ten_seconds)
{
	const struct step steps[] = {
		{ 0, SYN, 0, OPENS_AT(1), HALF_OPEN },
		{ 0, ACK, 10, FOLLOWS_TO(1), ACTIVE | WITH_DATA },
		{ 0, RST, 0, FOLLOWS_TO(1), RESET | WITH_DATA },
		{ 10 * SECONDS - SLACK_MS, RST | ACK, 0, FOLLOWS_TO(1), RESET | WITH_DATA },
	};
	play(steps);
	entry_age(entry(.flags = 0), 10 * SECONDS + SLACK_MS);
	sends(DROPS_AS(not_syn), .flags = ACK, .payload = 10);
	sends(DROPS_AS(not_syn), .flags = RST);
}

Test(conn, a_packet_after_a_forged_reset_revives_the_connection)
{
	const struct step steps[] = {
		{ 0, SYN, 0, OPENS_AT(1), HALF_OPEN },
		{ 0, ACK, 0, FOLLOWS_TO(1), ACTIVE },
		{ 0, RST, 0, FOLLOWS_TO(1), RESET },
		{ 6 * SECONDS, ACK, 0, FOLLOWS_TO(1), ACTIVE },
		{ 100 * SECONDS, ACK, 10, FOLLOWS_TO(1), ACTIVE | WITH_DATA },
		{ 0, RST | ACK, 0, FOLLOWS_TO(1), RESET | WITH_DATA },
		{ 0, FIN | ACK, 0, FOLLOWS_TO(1), FINISHED | WITH_DATA },
		{ 0, RST, 0, FOLLOWS_TO(1), RESET | AFTER_FIN | WITH_DATA },
		{ 6 * SECONDS, ACK, 0, FOLLOWS_TO(1), FINISHED | WITH_DATA },
	};
	play(steps);
}

Test(conn, a_syn_after_a_reset_begins_a_new_connection_at_the_same_node)
{
	const struct step steps[] = {
		{ 0, SYN, 0, OPENS_AT(1), HALF_OPEN },
		{ 0, RST, 0, FOLLOWS_TO(1), RESET },
		{ 5 * SECONDS, SYN, 0, REOPENS_AT(1, 1), HALF_OPEN },
		{ 0, ACK, 10, FOLLOWS_TO(1), ACTIVE | WITH_DATA },
		{ 0, RST, 0, FOLLOWS_TO(1), RESET | WITH_DATA },
		{ 0, SYN, 0, REOPENS_AT(1, 1), HALF_OPEN | WITH_DATA },
	};
	play(steps);
}

Test(conn, the_first_packet_of_a_udp_flow_enters_it)
{
	static const char *const vecs[] = { "10.0.0.100", "2001:db8::100" };

	for (unsigned int i = 0; i < COUNT(vecs); i++) {
		struct packet packet = { .to = vecs[i], .to_port = 53, .proto = IPPROTO_UDP, .payload = 30 };

		sends_packet(OPENS_AT(1), &packet);
		lab_expect_state(__LINE__, ACTIVE, &packet);
		sends_packet(FOLLOWS_TO(1), &packet);
		lab_expect_state(__LINE__, ACTIVE | WITH_DATA, &packet);
		packet.payload = 0;
		entry_age(lab_entry(&packet), 100 * SECONDS);
		sends_packet(FOLLOWS_TO(1), &packet);
		lab_expect_state(__LINE__, ACTIVE | WITH_DATA, &packet);
		packet.from_port = 50000;
		sends_packet(OPENS_AT(2), &packet);
		lab_expect_state(__LINE__, ACTIVE, &packet);
	}
}

Test(conn, an_unknown_packet_that_is_no_plain_syn_is_dropped_and_enters_nothing)
{
	uint16_t port = 1000;

	for (uint32_t flags = 0; flags < 256; flags++, port++) {
		if ((flags & (SYN | ACK | FIN | RST)) == SYN)
			continue;
		sends(DROPS_AS(not_syn), .from_port = port, .flags = flags);
		sends(DROPS_AS(not_syn), .from_port = port, .flags = flags, .payload = 10);
		sends(DROPS_AS(not_syn), .to = "2001:db8::100", .from_port = port, .flags = flags);
		expect_state(NONE, .from_port = port);
		expect_state(NONE, .to = "2001:db8::100", .from_port = port);
	}
}

Test(conn, a_plain_syn_opens_whatever_other_bits_it_has)
{
	static const uint8_t others[] = { 0, PSH, URG, ECE, CWR, PSH | URG | ECE | CWR };

	for (unsigned int i = 0; i < COUNT(others); i++) {
		sends(OPENS, .from_port = 1000 + i, .flags = SYN | others[i]);
		expect_state(HALF_OPEN, .from_port = 1000 + i);
	}
}

/* ---- who is who ---- */

Test(conn, one_client_port_may_serve_several_connections)
{
	static const struct packet packets[] = {
		{ .from = "192.0.2.1" },
		{ .from = "192.0.2.2" },
		{ .from = "192.0.2.1", .from_port = 40001 },
		{ .from = "192.0.2.1", .to_port = 81 },
		{ .from = "192.0.2.1", .to = "10.0.0.101" },
		{ .from = "192.0.2.1", .to_port = 53, .proto = IPPROTO_UDP },
		{ .from = "192.0.2.1", .to_port = 53 },
		{ .from = "2001:db8::1", .to = "2001:db8::100" },
		{ .from = "2001:db8:0:1::1", .to = "2001:db8::100" },
		{ .from = "2001:db8::1", .to = "2001:db8::100", .to_port = 53, .proto = IPPROTO_UDP },
	};
	unsigned int nodes[COUNT(packets)];

	apply("vec add 10.0.0.101");
	apply("port add 10.0.0.100:81/tcp");
	apply("port add 10.0.0.100:53/tcp");
	apply("port add 10.0.0.101:80/tcp");
	for (unsigned int number = 1; number <= 2; number++) {
		node_add("10.0.0.100:81/tcp", number, 10);
		node_add("10.0.0.100:53/tcp", number, 10);
		node_add("10.0.0.101:80/tcp", number, 10);
	}
	for (unsigned int i = 0; i < COUNT(packets); i++) {
		struct packet packet = packets[i];

		packet.flags = SYN;
		nodes[i] = sends_packet(OPENS, &packet);
	}
	for (unsigned int i = 0; i < COUNT(packets); i++) {
		struct packet packet = packets[i];

		packet.flags = i % 2 ? RST : ACK;
		sends_packet(FOLLOWS_TO(nodes[i]), &packet);
		lab_expect_state(__LINE__,
				 packet.proto == IPPROTO_UDP ? ACTIVE | WITH_DATA
				 : i % 2		     ? RESET
							     : ACTIVE,
				 &packet);
	}
}

Test(conn, an_entry_remembers_client_service_and_node)
{
	struct conn *conn;
	struct in6_addr client;

	sends(OPENS_AT(1), .from = "198.51.100.7", .from_port = 5000, .flags = SYN);
	conn = entry(.from = "198.51.100.7", .from_port = 5000);
	cr_assert(ne(ptr, conn, NULL));
	cr_assert(eq(u32, head_node(conn->head), node_slot(WEB, 1)));
	cr_assert(eq(u32, lane_service(conn->lane), service_slot(WEB)));
	sends(OPENS_AT(1), .to = "2001:db8::100", .from_port = 5000, .flags = SYN);
	conn = entry(.to = "2001:db8::100", .from_port = 5000);
	cr_assert(ne(ptr, conn, NULL));
	inet_pton(AF_INET6, CLIENT6, &client);
	cr_assert(zero(int, memcmp(conn->client, &client, sizeof(client))));
}

/* ---- time ---- */

static void open_as(enum conn_class class, uint16_t port)
{
	sends(OPENS, .from_port = port, .flags = SYN);
	if (class >= CLASS_ACTIVE)
		sends(FOLLOWS, .from_port = port, .flags = ACK);
	if (class >= CLASS_FIN)
		sends(FOLLOWS, .from_port = port, .flags = FIN | ACK);
	if (class == CLASS_RESET)
		sends(FOLLOWS, .from_port = port, .flags = RST);
}

/* That TCP connections in each class live this long, and no longer, after their last packet. */
static void expect_timeouts(int line, const uint64_t ms[CLASS_COUNT])
{
	static uint16_t port = 1000;
	uint64_t told[CLASS_COUNT];

	service_timeouts(&inst, service_slot(WEB), told);
	for (int class = 0; class < CLASS_COUNT; class ++) {
		struct packet packet = { .from_port = port++ };

		cr_assert(eq(u64, told[class], ms[class]), "line %d, class %d", line, class);
		open_as(class, packet.from_port);
		entry_age(lab_entry(&packet), ms[class] - SLACK_MS);
		packet.flags = RST;
		lab_send(line, FOLLOWS, &packet);

		packet.from_port = port++;
		open_as(class, packet.from_port);
		entry_age(lab_entry(&packet), ms[class] + SLACK_MS);
		packet.flags = ACK;
		lab_send(line, DROPS_AS(not_syn), &packet);
	}
}

#define expect_timeouts(half_open, stale, fin)                                                             \
	expect_timeouts(__LINE__, (const uint64_t[]){ (half_open)*SECONDS, (stale)*SECONDS, (fin)*SECONDS, \
						      10 * SECONDS })

Test(conn, the_default_timeouts_are_those_of_the_contract)
{
	expect_timeouts(60, 8000, 90);
}

Test(conn, timeouts_are_inherited_from_the_defaults_by_the_vec_and_from_the_vec_by_the_port)
{
	apply("defaults set stale-timeout 300s fin-timeout 70s half-open 20s");
	expect_timeouts(20, 300, 70);
	apply("vec set 10.0.0.100 stale-timeout 200s");
	expect_timeouts(20, 200, 70);
	apply("vec set 10.0.0.100 fin-timeout 30s");
	expect_timeouts(20, 200, 30);
	apply("port set %s fin-timeout 25s", WEB);
	expect_timeouts(20, 200, 25);
	apply("port set %s stale-timeout 100s", WEB);
	expect_timeouts(20, 100, 25);
	apply("vec set 10.0.0.100 stale-timeout 400s fin-timeout 45s");
	expect_timeouts(20, 100, 25);
	apply("defaults set stale-timeout 500s fin-timeout 55s half-open 50s");
	expect_timeouts(50, 100, 25);
}

Test(conn, a_timeout_of_one_vec_is_not_anothers)
{
	apply("vec add 10.0.0.101 stale-timeout 50s fin-timeout 20s");
	apply("port add 10.0.0.101:80/tcp");
	expect_timeouts(60, 8000, 90);
}

Test(conn, a_longer_timeout_holds_for_connections_that_are_there)
{
	open_as(CLASS_ACTIVE, 1);
	apply("port set %s stale-timeout 10000s", WEB);
	entry_age(entry(.from_port = 1), 9000 * SECONDS);
	sends(FOLLOWS, .from_port = 1, .flags = ACK);
	apply("port set %s stale-timeout 100s", WEB);
	entry_age(entry(.from_port = 1), 100 * SECONDS + SLACK_MS);
	sends(DROPS_AS(not_syn), .from_port = 1, .flags = ACK);
}

/* It lives this long after a packet, and what comes later begins anew. */
static void expect_udp_timeout(int line, uint64_t ms)
{
	static uint16_t port = 1000;
	struct packet packet = { .from_port = ++port, .to_port = 53, .proto = IPPROTO_UDP };
	unsigned int node = lab_send(line, OPENS, &packet);

	entry_age(lab_entry(&packet), ms - SLACK_MS);
	lab_send(line, FOLLOWS_TO(node), &packet);
	entry_age(lab_entry(&packet), ms + SLACK_MS);
	lab_send(line, OPENS_AT(3 - node), &packet);
}

Test(conn, a_udp_flow_has_a_timeout_of_its_own)
{
	expect_udp_timeout(__LINE__, 120 * SECONDS);
	apply("defaults set stale-timeout 300s");
	expect_udp_timeout(__LINE__, 120 * SECONDS);
	apply("defaults set udp-timeout 30s");
	expect_udp_timeout(__LINE__, 30 * SECONDS);
	apply("port set %s stale-timeout 20s", DNS);
	expect_udp_timeout(__LINE__, 20 * SECONDS);
}

Test(conn, an_expired_entry_is_taken_in_place_and_with_a_new_node)
{
	struct conn *place;

	sends(OPENS_AT(1), .flags = SYN);
	sends(FOLLOWS_TO(1), .flags = ACK, .payload = 10);
	place = entry(.flags = 0);
	entry_age(place, 8000 * SECONDS + SLACK_MS);
	for (unsigned int flags = 0; flags < 32; flags++)
		if ((flags & (SYN | ACK | FIN | RST)) != SYN)
			sends(DROPS_AS(not_syn), .flags = flags);
	/* Nobody closed it, so it does not count as completed. */
	sends(OPENS_AT(2), .flags = SYN);
	cr_assert(eq(ptr, entry(.flags = 0), place));
	expect_state(HALF_OPEN, .flags = 0);
}

Test(conn, an_expired_closed_entry_counts_as_completed_when_it_is_taken)
{
	struct conn *place;

	sends(OPENS_AT(1), .flags = SYN);
	sends(FOLLOWS_TO(1), .flags = FIN | ACK);
	place = entry(.flags = 0);
	entry_age(place, 90 * SECONDS + SLACK_MS);
	sends(REOPENS_AT(2, 1), .flags = SYN);
	cr_assert(eq(ptr, entry(.flags = 0), place));
	sends(FOLLOWS_TO(2), .flags = RST);
	entry_age(place, 10 * SECONDS + SLACK_MS);
	sends(REOPENS_AT(1, 2), .flags = SYN);
	cr_assert(eq(ptr, entry(.flags = 0), place));
}

Test(conn, expired_entries_are_not_listed)
{
	struct conn_counts counts;

	open_as(CLASS_ACTIVE, 1);
	open_as(CLASS_HALF_OPEN, 2);
	open_as(CLASS_FIN, 3);
	open_as(CLASS_RESET, 4);
	cr_assert(zero(int, conntable_count(&inst, &counts)));
	cr_assert(eq(u64, counts.total, 4));
	cr_assert(eq(u32, counts.active[node_slot(WEB, 1)], 1));
	cr_assert(eq(u32, counts.active[node_slot(WEB, 2)], 1));
	cr_assert(eq(u32, counts.fin[node_slot(WEB, 1)], 1));
	cr_assert(eq(u32, counts.fin[node_slot(WEB, 2)], 1));
	conntable_counts_free(&counts);
	entry_age(entry(.from_port = 1), 8000 * SECONDS + SLACK_MS);
	entry_age(entry(.from_port = 3), 90 * SECONDS + SLACK_MS);
	cr_assert(zero(int, conntable_count(&inst, &counts)));
	cr_assert(eq(u64, counts.total, 2));
	cr_assert(eq(u32, counts.active[node_slot(WEB, 1)], 0));
	cr_assert(eq(u32, counts.fin[node_slot(WEB, 1)], 0));
	conntable_counts_free(&counts);
}

Test(conn, the_clock_of_the_tables_runs)
{
	uint32_t before = instance_now(&inst);

	cr_assert(eq(u64, instance_ms(&inst, instance_ticks(&inst, 10 * SECONDS)) / SECONDS, 10));
	shell("sleep 1");
	cr_assert(ge(u64, instance_ms(&inst, instance_now(&inst) - before), 900));
	cr_assert(le(u64, instance_ms(&inst, instance_now(&inst) - before), 10000));
}

/* ---- a crowded table ---- */

struct flow {
	char from[INET_ADDRSTRLEN];
	uint16_t port;
	uint64_t tag;
	uint32_t first; /* bucket */
	uint32_t second;
};

/* Of the n-th client of WEB. */
static struct flow flow_of(uint32_t client, uint16_t port)
{
	const __u64 *keys = inst.params->keys;
	struct in_addr addr = { .s_addr = htonl(0x0b000001u + client) };
	const uint64_t mapped = (uint64_t)addr.s_addr << 32 | htonl(0xffff);
	const uint64_t vec = (uint64_t)htonl(0x0a000064) << 32 | htonl(0xffff);
	struct flow flow = { .port = port };
	uint64_t hash = hash_flow(keys, hash_service(keys, 0, vec, DOOR(htons(80), IPPROTO_TCP)),
				  hash_client(keys, 0, mapped, htons(port)));

	inet_ntop(AF_INET, &addr, flow.from, sizeof(flow.from));
	flow.tag = hash_tag(hash);
	flow.first = hash_first_bucket(hash, inst.params->buckets);
	flow.second = hash_second_bucket(hash, inst.params->buckets);
	return flow;
}

/* The n-th of a long row. */
static struct flow flow_number(uint32_t n)
{
	return flow_of(n / 60000, 1024 + n % 60000);
}

/* Flows that may lie in the same two buckets, which differ. */
static void find_rivals(struct flow *rivals, unsigned int count)
{
	unsigned int found = 0;

	for (uint32_t n = 0; found < count; n++) {
		struct flow flow = flow_number(n);

		if (!found ? flow.first != flow.second
			   : flow.first == rivals[0].first && flow.second == rivals[0].second)
			rivals[found++] = flow;
	}
}

#define of_flow(flow, ...) &PACKET(.from = (flow)->from, .from_port = (flow)->port, __VA_ARGS__)

static uint32_t bucket_of(const struct flow *flow)
{
	struct conn *conn = lab_entry(of_flow(flow, .flags = 0));

	cr_assert(ne(ptr, conn, NULL), "client %s port %u has no entry", flow->from, flow->port);
	return (conn - (struct conn *)inst.conns) / CONN_WAYS;
}

static bool has_entry(const struct flow *flow)
{
	return lab_entry(of_flow(flow, .flags = 0)) != NULL;
}

/* How far a connection of a crowded table has come. */
enum progress { SYN_ONLY, HANDSHAKE, DATA };

static void open_flow(const struct flow *flow, enum progress progress, uint64_t idle_ms)
{
	sends_packet(OPENS, of_flow(flow, .flags = SYN));
	if (progress >= HANDSHAKE)
		sends_packet(FOLLOWS, of_flow(flow, .flags = ACK));
	if (progress >= DATA)
		sends_packet(FOLLOWS, of_flow(flow, .flags = ACK, .payload = 10));
	entry_age(lab_entry(of_flow(flow, .flags = 0)), idle_ms);
}

Test(conn, flows_lie_where_user_space_would_look_for_them)
{
	for (uint32_t n = 0; n < 500; n++) {
		struct flow flow = flow_number(n * 7);
		struct conn *conn;
		uint32_t bucket;

		open_flow(&flow, SYN_ONLY, 0);
		bucket = bucket_of(&flow);
		conn = lab_entry(of_flow(&flow, .flags = 0));
		cr_assert(bucket == flow.first || bucket == flow.second);
		cr_assert(eq(u64, conn->head >> HEAD_TAG_SHIFT << HEAD_TAG_SHIFT, flow.tag));
	}
}

Test(conn, the_second_bucket_is_used_once_the_first_is_crowded)
{
	struct flow rivals[WAYS];

	find_rivals(rivals, WAYS);
	for (int i = 0; i < 6; i++) {
		open_flow(&rivals[i], SYN_ONLY, 0);
		cr_assert(eq(u32, bucket_of(&rivals[i]), rivals[i].first));
	}
	/* As long as it is the emptier one. */
	for (int i = 6; i < 12; i++) {
		open_flow(&rivals[i], SYN_ONLY, 0);
		cr_assert(eq(u32, bucket_of(&rivals[i]), rivals[i].second));
	}
	for (int i = 12; i < WAYS; i++)
		open_flow(&rivals[i], SYN_ONLY, 0);
	for (int i = 0; i < WAYS; i++)
		cr_assert(has_entry(&rivals[i]), "flow %d", i);
}

Test(conn, each_of_sixteen_flows_in_two_buckets_keeps_its_node)
{
	struct flow rivals[WAYS];
	unsigned int nodes[WAYS];

	find_rivals(rivals, WAYS);
	for (int i = 0; i < WAYS; i++)
		nodes[i] = sends_packet(OPENS, of_flow(&rivals[i], .flags = SYN));
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < WAYS; i++)
			sends_packet(FOLLOWS_TO(nodes[i]),
				     of_flow(&rivals[i], .flags = ACK, .payload = round));
	for (int i = 0; i < WAYS; i++)
		lab_expect_state(__LINE__, ACTIVE | WITH_DATA, of_flow(&rivals[i], .flags = 0));
}

Test(conn, a_freed_place_is_used_again)
{
	const struct conn_filter web = { .service = service_slot(WEB) };
	struct flow rivals[WAYS + 1];

	find_rivals(rivals, WAYS + 1);
	for (int i = 0; i < WAYS; i++)
		open_flow(&rivals[i], DATA, 0);
	cr_assert(eq(u64, conntable_purge(&inst, &web), WAYS));
	sends_packet(DROPS_AS(not_syn), of_flow(&rivals[0], .flags = ACK));
	for (int i = 1; i <= WAYS; i++)
		open_flow(&rivals[i], DATA, 0);
}

Test(conn, the_half_open_entry_that_is_idle_the_longest_gives_way_first)
{
	struct flow rivals[WAYS + 2];

	find_rivals(rivals, WAYS + 2);
	for (int i = 0; i < WAYS; i++) {
		bool half_open = i == 3 || i == 8 || i == 13;

		/* The others are older, and still stay. */
		open_flow(&rivals[i],
			  half_open ? SYN_ONLY
			  : i % 2   ? DATA
				    : HANDSHAKE,
			  half_open ? i * SECONDS : 50 * SECONDS);
	}
	open_flow(&rivals[WAYS], DATA, 0);
	cr_assert(not(has_entry(&rivals[13])));
	open_flow(&rivals[WAYS + 1], DATA, 0);
	cr_assert(not(has_entry(&rivals[8])));
	for (int i = 0; i < WAYS + 2; i++)
		cr_assert(eq(int, has_entry(&rivals[i]), i != 8 && i != 13), "flow %d", i);
	sends_packet(DROPS_AS(not_syn), of_flow(&rivals[13], .flags = ACK));
}

Test(conn, a_mere_handshake_gives_way_before_data_and_data_never)
{
	struct flow rivals[WAYS + 4];

	find_rivals(rivals, WAYS + 4);
	for (int i = 0; i < WAYS; i++)
		open_flow(&rivals[i], i < 3 ? HANDSHAKE : DATA, (i < 3 ? 1 + i : 7000) * SECONDS);
	open_flow(&rivals[WAYS], DATA, 0);
	cr_assert(not(has_entry(&rivals[2])));
	open_flow(&rivals[WAYS + 1], DATA, 0);
	cr_assert(not(has_entry(&rivals[1])));
	open_flow(&rivals[WAYS + 2], DATA, 0);
	cr_assert(not(has_entry(&rivals[0])));
	sends_packet(UNTRACKED, of_flow(&rivals[WAYS + 3], .flags = SYN));
	for (int i = 3; i < WAYS + 3; i++)
		sends_packet(FOLLOWS, of_flow(&rivals[i], .flags = ACK));
}

Test(conn, closed_connections_that_carried_data_are_kept_until_they_expire)
{
	struct flow rivals[WAYS + 2];

	find_rivals(rivals, WAYS + 2);
	for (int i = 0; i < WAYS; i++)
		open_flow(&rivals[i], DATA, 0);
	sends_packet(FOLLOWS, of_flow(&rivals[5], .flags = FIN | ACK));
	sends_packet(FOLLOWS, of_flow(&rivals[6], .flags = RST));
	sends_packet(UNTRACKED, of_flow(&rivals[WAYS], .flags = SYN));
	cr_assert(has_entry(&rivals[5]) && has_entry(&rivals[6]));
	/* The node whose connection is completed by that. */
	entry_age(lab_entry(of_flow(&rivals[6], .flags = 0)), 10 * SECONDS + SLACK_MS);
	{
		bool at_1 = head_node(lab_entry(of_flow(&rivals[6], .flags = 0))->head) == node_slot(WEB, 1);

		sends_packet(REOPENS_AT(0, at_1 ? 1 : 2), of_flow(&rivals[WAYS + 1], .flags = SYN));
	}
	cr_assert(has_entry(&rivals[5]) && !has_entry(&rivals[6]) && has_entry(&rivals[WAYS + 1]));
}

Test(conn, an_expired_entry_gives_way_before_any_living_one)
{
	struct flow rivals[WAYS + 1];

	find_rivals(rivals, WAYS + 1);
	for (int i = 0; i < WAYS; i++)
		open_flow(&rivals[i], i < 8 ? SYN_ONLY : DATA,
			  i == 11 ? 8000 * SECONDS + SLACK_MS : 50 * SECONDS);
	open_flow(&rivals[WAYS], SYN_ONLY, 0);
	cr_assert(not(has_entry(&rivals[11])));
	for (int i = 0; i <= WAYS; i++)
		cr_assert(eq(int, has_entry(&rivals[i]), i != 11), "flow %d", i);
}

Test(conn, an_entry_that_another_cpu_stamped_a_moment_ahead_is_not_the_oldest)
{
	struct flow rivals[WAYS + 1];

	find_rivals(rivals, WAYS + 1);
	for (int i = 0; i < WAYS; i++)
		open_flow(&rivals[i], SYN_ONLY, i == 4 ? 20 * SECONDS : 5 * SECONDS);
	lab_entry(of_flow(&rivals[9], .flags = 0))->seen =
		instance_now(&inst) + instance_ticks(&inst, SECONDS);
	open_flow(&rivals[WAYS], SYN_ONLY, 0);
	for (int i = 0; i <= WAYS; i++)
		cr_assert(eq(int, has_entry(&rivals[i]), i != 4), "flow %d", i);
}

Test(conn, a_flow_without_a_place_is_sent_to_one_node_untracked)
{
	struct service *web = &inst.services[service_slot(WEB)];
	unsigned int seen[3] = { 0 };
	struct flow rivals[WAYS + 30];

	find_rivals(rivals, COUNT(rivals));
	for (int i = 0; i < WAYS; i++)
		open_flow(&rivals[i], DATA, 0);
	for (unsigned int i = WAYS; i < COUNT(rivals); i++) {
		struct effect same = UNTRACKED;
		unsigned int node;

		web->untracked_until = instance_now(&inst); /* as if it were the first one */
		node = sends_packet(UNTRACKED, of_flow(&rivals[i], .flags = SYN));
		same.node = node;
		seen[node]++;
		sends_packet(same, of_flow(&rivals[i], .flags = SYN));
		sends_packet(same, of_flow(&rivals[i], .flags = ACK));
		sends_packet(same, of_flow(&rivals[i], .flags = ACK, .payload = 1000));
		sends_packet(same, of_flow(&rivals[i], .flags = FIN | ACK));
		cr_assert(not(has_entry(&rivals[i])));
	}
	/* By the hash, that is: not all to one. */
	cr_assert(seen[1] > 0 && seen[2] > 0);
	for (int i = 0; i < WAYS; i++)
		sends_packet(FOLLOWS, of_flow(&rivals[i], .flags = ACK));
}

Test(conn, an_untracked_flow_keeps_its_node_when_its_syn_is_repeated_and_finds_a_place)
{
	uint32_t *position = &inst.cursors[(uint32_t)lab_use_cpu(0) * SERVICE_SLOTS + service_slot(WEB)];
	struct flow rivals[WAYS + 16];

	find_rivals(rivals, COUNT(rivals));
	for (int i = 0; i < WAYS; i++)
		open_flow(&rivals[i], DATA, 0);
	for (unsigned int i = WAYS; i < COUNT(rivals); i++) {
		struct conn *place = lab_entry(of_flow(&rivals[i - WAYS], .flags = 0));
		unsigned int node = sends_packet(UNTRACKED, of_flow(&rivals[i], .flags = SYN));

		*position = i % 2; /* whichever node is next in the walk */
		entry_age(place, 8000 * SECONDS + SLACK_MS);
		/* Its node has answered the first SYN already. */
		sends_packet(OPENS_AT(node), of_flow(&rivals[i], .flags = SYN));
		sends_packet(FOLLOWS_TO(node), of_flow(&rivals[i], .flags = ACK, .payload = 1));
	}
}

Test(conn, unknown_packets_are_dropped_again_a_while_after_the_table_was_full)
{
	struct flow rivals[WAYS + 1];
	struct service *web = &inst.services[service_slot(WEB)];

	find_rivals(rivals, COUNT(rivals));
	for (int i = 0; i < WAYS; i++)
		open_flow(&rivals[i], DATA, 0);
	sends(DROPS_AS(not_syn), .flags = ACK);
	sends_packet(UNTRACKED, of_flow(&rivals[WAYS], .flags = SYN));
	sends(UNTRACKED, .flags = ACK);				       /* may be one without a place */
	sends(DROPS_AS(not_syn), .to = "2001:db8::100", .flags = ACK); /* not of that service */
	cr_assert(gt(u32, web->untracked_until, instance_now(&inst) + instance_ticks(&inst, 10 * SECONDS)));
	cr_assert(lt(u32, web->untracked_until, instance_now(&inst) + instance_ticks(&inst, 120 * SECONDS)));
	web->untracked_until = instance_now(&inst);
	sends(DROPS_AS(not_syn), .flags = ACK);
	sends_packet(DROPS_AS(not_syn), of_flow(&rivals[WAYS], .flags = ACK));
}

Test(conn, untracked_flows_have_no_node_when_all_weights_are_0)
{
	struct flow rivals[WAYS + 1];

	find_rivals(rivals, COUNT(rivals));
	for (int i = 0; i < WAYS; i++)
		open_flow(&rivals[i], DATA, 0);
	sends_packet(UNTRACKED, of_flow(&rivals[WAYS], .flags = SYN));
	apply("node set 10.0.0.11 weight 0");
	apply("node set 10.0.0.12 weight 0");
	sends_packet(DROPS_AS(no_node), of_flow(&rivals[WAYS], .flags = SYN));
	sends_packet(DROPS_AS(no_node), of_flow(&rivals[WAYS], .flags = ACK));
	for (int i = 0; i < WAYS; i++)
		sends_packet(FOLLOWS, of_flow(&rivals[i], .flags = ACK));
}

Test(conn, udp_packets_that_came_once_give_way_and_flows_do_not)
{
	const uint32_t ways = inst.params->buckets * CONN_WAYS;
	const struct packet answered = { .from = "198.51.100.9", .to_port = 53, .proto = IPPROTO_UDP };
	unsigned int node = sends_packet(OPENS, &answered);
	struct frame frame;

	sends_packet(FOLLOWS_TO(node), &answered);
	/* Ten times the table, each from another source, and each gets an entry. */
	for (uint32_t n = 0; n < 10 * ways; n++) {
		char from[INET_ADDRSTRLEN];
		static struct outcome outcome;

		snprintf(from, sizeof(from), "198.18.%u.%u", n / 200 % 200, n % 200);
		frame_build(&frame, &PACKET(.from = from, .from_port = 1 + n / 40000, .to_port = 53,
					    .proto = IPPROTO_UDP));
		frame_run(&inst, 1, &frame, &outcome);
		cr_assert(eq(int, outcome.action, XDP_TX));
	}
	sends_packet(FOLLOWS_TO(node), &answered);
	{
		struct counters counters;

		counters_read(&inst, &counters);
		cr_assert(eq(u64, counters.untracked, 0));
	}
}

/* ---- tags that are alike ---- */

struct candidate {
	uint64_t key; /* tag and first bucket */
	uint32_t n;
};

static int order_candidates(const void *a, const void *b)
{
	const struct candidate *left = a, *right = b;

	return left->key < right->key ? -1 : left->key > right->key;
}

/* Two flows with one tag in one bucket: only the keys beside tell them apart, of which either the ports or
 * the clients are the same. */
static void find_twins(bool one_port, struct flow twins[2])
{
	const uint32_t count = 1000000;
	struct candidate *all = malloc(count * sizeof(*all));
	bool found = false;

	cr_assert(ne(ptr, all, NULL));
	for (uint32_t n = 0; n < count; n++) {
		struct flow flow = one_port ? flow_of(n, 5000) : flow_number(n);

		all[n].key = flow.tag | flow.first;
		all[n].n = n;
	}
	qsort(all, count, sizeof(*all), order_candidates);
	for (uint32_t i = 1; i < count && !found; i++) {
		uint32_t a = all[i - 1].n, b = all[i].n;

		if (all[i].key != all[i - 1].key)
			continue;
		twins[0] = one_port ? flow_of(a, 5000) : flow_number(a);
		twins[1] = one_port ? flow_of(b, 5000) : flow_number(b);
		found = one_port || !strcmp(twins[0].from, twins[1].from);
	}
	free(all);
	if (!found)
		cr_skip_test("no two of %u flows have a tag and a bucket in common", count);
}

static void tell_apart(bool one_port)
{
	struct flow twins[2];

	find_twins(one_port, twins);
	sends_packet(OPENS_AT(1), of_flow(&twins[0], .flags = SYN));
	sends_packet(DROPS_AS(not_syn), of_flow(&twins[1], .flags = ACK));
	sends_packet(OPENS_AT(2), of_flow(&twins[1], .flags = SYN));
	cr_assert(eq(u32, bucket_of(&twins[0]), bucket_of(&twins[1])));
	for (int round = 0; round < 2; round++) {
		sends_packet(FOLLOWS_TO(1), of_flow(&twins[0], .flags = ACK, .payload = 1));
		sends_packet(FOLLOWS_TO(2), of_flow(&twins[1], .flags = ACK));
	}
	lab_expect_state(__LINE__, ACTIVE | WITH_DATA, of_flow(&twins[0], .flags = 0));
	lab_expect_state(__LINE__, ACTIVE, of_flow(&twins[1], .flags = 0));
	sends_packet(FOLLOWS_TO(2), of_flow(&twins[1], .flags = FIN | ACK));
	sends_packet(REOPENS_AT(2, 2), of_flow(&twins[1], .flags = SYN));
	sends_packet(FOLLOWS_TO(2), of_flow(&twins[1], .flags = RST));
	lab_expect_state(__LINE__, ACTIVE | WITH_DATA, of_flow(&twins[0], .flags = 0));
	lab_expect_state(__LINE__, RESET, of_flow(&twins[1], .flags = 0));
}

Test(conn, flows_whose_tags_are_alike_are_told_apart_by_client)
{
	tell_apart(true);
}

Test(conn, flows_whose_tags_are_alike_are_told_apart_by_port)
{
	tell_apart(false);
}

Test(conn, the_expired_entry_of_a_flow_is_taken_and_not_that_of_its_twin)
{
	struct conn *places[2];
	struct flow twins[2];

	find_twins(true, twins);
	sends_packet(OPENS_AT(1), of_flow(&twins[0], .flags = SYN));
	sends_packet(OPENS_AT(2), of_flow(&twins[1], .flags = SYN));
	for (int i = 0; i < 2; i++)
		places[i] = lab_entry(of_flow(&twins[i], .flags = 0));
	entry_age(places[1], 60 * SECONDS + SLACK_MS);
	sends_packet(DROPS_AS(not_syn), of_flow(&twins[1], .flags = ACK));
	sends_packet(OPENS_AT(1), of_flow(&twins[1], .flags = SYN));
	for (int i = 0; i < 2; i++)
		cr_assert(eq(ptr, lab_entry(of_flow(&twins[i], .flags = 0)), places[i]));
	/* And the other way round: an expired stranger is no reason to lose one's own. */
	entry_age(places[0], 60 * SECONDS + SLACK_MS);
	sends_packet(FOLLOWS_TO(1), of_flow(&twins[1], .flags = ACK));
	sends_packet(DROPS_AS(not_syn), of_flow(&twins[0], .flags = ACK));
}

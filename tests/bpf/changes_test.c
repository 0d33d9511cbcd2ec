/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tables that change while connections are there, as packets meet them (E10): each command takes
 * effect for the next packet, whole, and what it did not name goes on as before.
 */
#include <linux/bpf.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "conntable.h"
#include "hash.h"
#include "lab.h"

#define CONNECTIONS 4096

static void raise_web(void)
{
	lab_raise(CONNECTIONS);
	apply("vec add 10.0.0.100");
	apply("port add %s", WEB);
	node_add(WEB, 1, 10);
	node_add(WEB, 2, 10);
}

TestSuite(changes, .init = raise_web, .fini = lab_end);

/* Opens connections from ports first.., and carries data over each; notes the nodes. */
static void open_many(uint16_t first, unsigned int count, unsigned int *nodes)
{
	for (unsigned int i = 0; i < count; i++) {
		nodes[i] = sends(OPENS, .from_port = first + i, .flags = SYN);
		sends(FOLLOWS_TO(nodes[i]), .from_port = first + i, .flags = ACK, .payload = 10);
	}
}

static uint64_t count_entries(void)
{
	struct conn *ways = (struct conn *)inst.conns;
	uint64_t count = 0;

	for (uint32_t i = 0; i < inst.params->buckets * CONN_WAYS; i++)
		count += head_taken(ways[i].head);
	return count;
}

/* ---- nodes ---- */

Test(changes, the_connections_of_a_removed_node_are_gone_and_the_others_stay)
{
	unsigned int nodes[20];

	open_many(1, 20, nodes);
	apply("node del 10.0.0.11 at %s", WEB);
	cr_assert(eq(u64, count_entries(), 10));
	for (unsigned int i = 0; i < 20; i++) {
		if (nodes[i] == 2) {
			sends(FOLLOWS_TO(2), .from_port = 1 + i, .flags = ACK);
			continue;
		}
		expect_state(NONE, .from_port = 1 + i);
		sends(DROPS_AS(not_syn), .from_port = 1 + i, .flags = ACK, .payload = 10);
		sends(OPENS_AT(2), .from_port = 1 + i, .flags = SYN);
	}
}

Test(changes, the_successor_in_a_nodes_slot_does_not_inherit_its_connections)
{
	uint32_t slot = node_slot(WEB, 1);

	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
	apply("node del 10.0.0.11 at %s", WEB);
	/* The next command is another process. */
	tables_free(tables);
	tables = tables_new(&inst);
	cr_assert(eq(u32, node_add(WEB, 3, 10), slot), "the test needs the slot to be used again");
	sends(DROPS_AS(not_syn), .from_port = 1, .flags = ACK);
	cr_assert(eq(u64, inst.node_stats[slot].connections, 0));
}

Test(changes, entries_of_nodes_that_are_no_more_are_purged)
{
	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
	sends(OPENS_AT(2), .from_port = 2, .flags = SYN);
	cr_assert(eq(u64, conntable_purge_removed(&inst), 0));
	inst.nodes[node_slot(WEB, 1)].service = NODE_UNUSED;
	cr_assert(eq(u64, conntable_purge_removed(&inst), 1));
	inst.node_conf[node_slot(WEB, 2)].flags |= NODE_LEAVING;
	cr_assert(eq(u64, conntable_purge_removed(&inst), 1));
	cr_assert(eq(u64, count_entries(), 0));
}

/* A stale entry, as a process would leave it that was killed in the middle of `node del`. */
Test(changes, an_entry_whose_node_is_no_longer_of_the_service_is_not_followed)
{
	struct conn_counts counts;
	struct conn *conn;

	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
	conn = entry(.from_port = 1);
	inst.nodes[node_slot(WEB, 1)].service = NODE_UNUSED;
	sends(DROPS_AS(not_syn), .from_port = 1, .flags = ACK);
	cr_assert(zero(int, conntable_count(&inst, &counts)));
	cr_assert(eq(u64, counts.total, 0), "it is listed");
	conntable_counts_free(&counts);
	inst.nodes[node_slot(WEB, 1)].service = service_slot(WEB);
	apply("node set 10.0.0.11 weight 0");
	inst.nodes[node_slot(WEB, 1)].service = NODE_UNUSED;
	sends(OPENS_AT(2), .from_port = 1, .flags = SYN);
	cr_assert(eq(ptr, entry(.from_port = 1), conn));
	inst.nodes[node_slot(WEB, 1)].service = service_slot(WEB);
}

Test(changes, a_node_that_joins_gets_its_share_and_moves_no_connection)
{
	unsigned int nodes[20], got[4] = { 0 };

	open_many(1, 20, nodes);
	node_add(WEB, 3, 20);
	for (unsigned int i = 0; i < 20; i++)
		sends(FOLLOWS_TO(nodes[i]), .from_port = 1 + i, .flags = ACK, .payload = 10);
	for (unsigned int i = 0; i < 40; i++)
		got[sends(OPENS, .from_port = 100 + i, .flags = SYN)]++;
	cr_assert(eq(uint, got[1], 10));
	cr_assert(eq(uint, got[2], 10));
	cr_assert(eq(uint, got[3], 20));
}

Test(changes, removing_the_last_node_leaves_no_node_and_adding_one_serves_again)
{
	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
	apply("node del 10.0.0.11");
	apply("node del 10.0.0.12");
	sends(DROPS_AS(no_node), .from_port = 1, .flags = SYN);
	sends(DROPS_AS(not_syn), .from_port = 1, .flags = ACK);
	cr_assert(eq(u64, count_entries(), 0));
	node_add(WEB, 1, 10);
	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
}

Test(changes, a_node_of_several_services_leaves_the_one_that_is_named)
{
	apply("port add 10.0.0.100:443/tcp");
	node_add("10.0.0.100:443/tcp", 1, 10);
	apply("node set 10.0.0.12 at %s weight 0", WEB);
	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
	sends(OPENS_AT(1), .from_port = 1, .to_port = 443, .flags = SYN);
	apply("node del 10.0.0.11 at %s", WEB);
	sends(DROPS_AS(not_syn), .from_port = 1, .flags = ACK);
	sends(FOLLOWS_TO(1), .from_port = 1, .to_port = 443, .flags = ACK);
	sends(OPENS_AT(1), .from_port = 2, .to_port = 443, .flags = SYN);
}

Test(changes, node_del_without_a_service_means_all_of_them)
{
	apply("port add 10.0.0.100:443/tcp");
	node_add("10.0.0.100:443/tcp", 1, 10);
	apply("node set 10.0.0.12 at %s weight 0", WEB);
	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
	sends(OPENS_AT(1), .from_port = 1, .to_port = 443, .flags = SYN);
	apply("node del 10.0.0.11");
	sends(DROPS_AS(not_syn), .from_port = 1, .flags = ACK);
	sends(DROPS_AS(not_syn), .from_port = 1, .to_port = 443, .flags = ACK);
	sends(DROPS_AS(no_node), .from_port = 1, .to_port = 443, .flags = SYN);
}

Test(changes, a_node_moves_from_one_vec_to_another)
{
	apply("vec add 10.0.0.101");
	apply("port add 10.0.0.101:80/tcp");
	apply("node set 10.0.0.12 weight 0");
	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
	sends(DROPS_AS(no_node), .from_port = 1, .to = "10.0.0.101", .flags = SYN);
	apply("node del 10.0.0.11 at %s", WEB);
	node_add("10.0.0.101:80/tcp", 1, 10);
	sends(DROPS_AS(not_syn), .from_port = 1, .flags = ACK);
	sends(DROPS_AS(no_node), .from_port = 1, .flags = SYN);
	sends(OPENS_AT(1), .from_port = 1, .to = "10.0.0.101", .flags = SYN);
}

Test(changes, a_node_that_was_added_unresolved_gets_traffic_once_it_is_resolved)
{
	struct hop hop = hop_to(3);

	apply("node del 10.0.0.11");
	apply("node del 10.0.0.12");
	/* Nobody on lo answers for it, and no MAC is given. */
	apply("node add 10.0.0.13 at %s", WEB);
	sends(DROPS_AS(no_node), .from_port = 1, .flags = SYN);
	node_set_hop(WEB, 3, &hop);
	sends(OPENS_AT(3), .from_port = 1, .flags = SYN);
}

/* ---- ports ---- */

Test(changes, packets_of_a_removed_port_pass_at_once_and_its_entries_are_gone)
{
	unsigned int nodes[10];

	apply("port add %s", DNS);
	node_add(DNS, 1, 10);
	sends(OPENS_AT(1), .from_port = 1, .to_port = 53, .proto = IPPROTO_UDP);
	open_many(1, 10, nodes);
	apply("port del %s", WEB);
	for (uint16_t port = 1; port <= 10; port++) {
		sends(PASSES, .from_port = port, .flags = ACK, .payload = 10);
		sends(PASSES, .from_port = port, .flags = SYN);
		sends(PASSES, .from_port = port, .flags = RST);
	}
	cr_assert(eq(u64, count_entries(), 1));
	sends(FOLLOWS_TO(1), .from_port = 1, .to_port = 53, .proto = IPPROTO_UDP);
}

Test(changes, a_port_that_comes_back_does_not_resurrect_its_connections)
{
	uint32_t slot = service_slot(WEB);
	unsigned int nodes[10];

	open_many(1, 10, nodes);
	apply("port del %s", WEB);
	apply("port add %s", WEB);
	cr_assert(eq(u32, service_slot(WEB), slot), "the test needs the slot to be used again");
	sends(DROPS_AS(no_node), .from_port = 1, .flags = SYN);
	node_add(WEB, 1, 10);
	node_add(WEB, 2, 10);
	for (uint16_t port = 1; port <= 10; port++)
		sends(DROPS_AS(not_syn), .from_port = port, .flags = ACK, .payload = 10);
	for (uint16_t port = 1; port <= 10; port++)
		sends(OPENS, .from_port = port, .flags = SYN);
}

Test(changes, a_port_that_comes_back_has_forgotten_its_attributes)
{
	apply("port set %s stale-timeout 1s fin-timeout 1s", WEB);
	apply("port del %s", WEB);
	apply("port add %s", WEB);
	node_add(WEB, 1, 10);
	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
	sends(FOLLOWS_TO(1), .from_port = 1, .flags = ACK);
	entry_age(entry(.from_port = 1), 5000);
	sends(FOLLOWS_TO(1), .from_port = 1, .flags = ACK);
}

Test(changes, a_port_added_to_a_vec_takes_its_packets_from_the_host)
{
	sends(PASSES, .from_port = 1, .to_port = 443, .flags = SYN);
	apply("port add 10.0.0.100:443/tcp");
	sends(DROPS_AS(no_node), .from_port = 1, .to_port = 443, .flags = SYN);
	node_add("10.0.0.100:443/tcp", 1, 10);
	sends(OPENS_AT(1), .from_port = 1, .to_port = 443, .flags = SYN);
}

/* The n-th name of a service of the VEC, and the slot where a search for it begins. */
static uint32_t name_number(uint32_t n, struct service_name *name)
{
	uint64_t addr[2];

	*name = (struct service_name){ .port = 1 + n % 65535,
				       .proto = n / 65535 ? IPPROTO_UDP : IPPROTO_TCP };
	cr_assert(zero(int, addr_parse("10.0.0.100", &name->addr)));
	memcpy(addr, &name->addr, sizeof(addr));
	return hash_service(inst.params->keys, addr[0], addr[1], DOOR(htons(name->port), name->proto)) %
	       SERVICE_SLOTS;
}

/* Up to max names for which it begins at one and the same. Returns how many. */
static unsigned int find_neighbours(struct service_name *names, unsigned int max)
{
	static uint8_t crowd[SERVICE_SLOTS];
	struct service_name name;
	unsigned int count = 0;
	uint32_t home = 0;

	for (uint32_t n = 0; n < 2 * 65535; n++)
		crowd[name_number(n, &name)]++;
	for (uint32_t slot = 0; slot < SERVICE_SLOTS; slot++)
		if (crowd[slot] > crowd[home])
			home = slot;
	for (uint32_t n = 0; n < 2 * 65535 && count < max; n++)
		if (name_number(n, &name) == home)
			names[count++] = name;
	return count;
}

Test(changes, services_that_hash_alike_are_told_apart_and_outlive_each_other)
{
	struct service_name names[5];
	unsigned int count = find_neighbours(names, COUNT(names));
	char text[SERVICE_TEXT_MAX];

	cr_assert(ge(uint, count, 2), "more names than slots, and no two share one");
	for (unsigned int i = 0; i < count; i++) {
		apply("port add %s", service_text(&names[i], text));
		node_add(text, 1 + i, 10);
		sends(OPENS_AT(1 + i), .to_port = names[i].port, .proto = names[i].proto, .flags = SYN);
	}
	for (unsigned int gone = 0; gone < count; gone++) {
		apply("port del %s", service_text(&names[gone], text));
		for (unsigned int i = 0; i < count; i++)
			sends(i <= gone ? PASSES : FOLLOWS_TO(1 + i), .to_port = names[i].port,
			      .proto = names[i].proto, .flags = SYN);
	}
}

/* Removed services leave marks that a search goes on behind, however many there are. */
Test(changes, services_are_found_among_many_that_came_and_went)
{
	unsigned int nodes[5];

	open_many(1, 5, nodes);
	for (int round = 0; round < 3; round++) {
		for (unsigned int port = 1000; port < 1060; port++)
			apply("port add 10.0.0.100:%u/tcp", port);
		for (unsigned int port = 1000; port < 1060; port++) {
			sends(DROPS_AS(no_node), .from_port = 1, .to_port = port, .flags = SYN);
			apply("port del 10.0.0.100:%u/tcp", port);
			sends(PASSES, .from_port = 1, .to_port = port, .flags = SYN);
		}
	}
	for (unsigned int i = 0; i < 5; i++)
		sends(FOLLOWS_TO(nodes[i]), .from_port = 1 + i, .flags = ACK);
}

/* ---- VECs ---- */

Test(changes, packets_of_a_removed_vec_pass_whatever_they_are)
{
	struct frame frame;

	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
	frame_build(&frame, &PACKET(.from_port = 1, .flags = ACK));
	frame_put16(&frame, frame.l3 + 6, 0x2000);
	sends_frame(DROPS_AS(fragment), &frame);
	apply("vec del 10.0.0.100");
	sends_frame(PASSES, &frame);
	sends(PASSES, .from_port = 1, .flags = ACK);
	sends(PASSES, .from_port = 1, .flags = SYN);
	cr_assert(eq(u64, count_entries(), 0));
	cr_assert(eq(u32, inst.nodes[1].service, NODE_UNUSED));
	cr_assert(eq(u32, inst.nodes[2].service, NODE_UNUSED));
}

Test(changes, a_vec_that_comes_back_is_empty)
{
	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
	apply("vec del 10.0.0.100");
	apply("vec add 10.0.0.100");
	sends(PASSES, .from_port = 1, .flags = ACK);
	apply("port add %s", WEB);
	sends(DROPS_AS(not_syn), .from_port = 1, .flags = ACK);
	node_add(WEB, 2, 10);
	sends(OPENS_AT(2), .from_port = 1, .flags = SYN);
}

Test(changes, one_vec_goes_and_the_others_stay)
{
	apply("vec add 10.0.0.101");
	apply("port add 10.0.0.101:80/tcp");
	node_add("10.0.0.101:80/tcp", 1, 10);
	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
	sends(OPENS_AT(1), .from_port = 1, .to = "10.0.0.101", .flags = SYN);
	apply("vec del 10.0.0.101");
	sends(PASSES, .from_port = 1, .to = "10.0.0.101", .flags = ACK);
	sends(FOLLOWS_TO(1), .from_port = 1, .flags = ACK);
	sends(OPENS_AT(2), .from_port = 2, .flags = SYN);
}

/* ---- flushing ---- */

static uint64_t flush(uint32_t service, uint32_t node)
{
	return conntable_purge(&inst, &(struct conn_filter){ .service = service, .node = node });
}

Test(changes, a_flush_takes_what_it_names_and_nothing_else)
{
	unsigned int nodes[10];

	apply("port add %s", DNS);
	node_add(DNS, 1, 10);
	sends(OPENS_AT(1), .from_port = 1, .to_port = 53, .proto = IPPROTO_UDP);
	open_many(1, 10, nodes);
	cr_assert(eq(u64, flush(0, node_slot(WEB, 2)), 5));
	for (unsigned int i = 0; i < 10; i++)
		sends(nodes[i] == 2 ? DROPS_AS(not_syn) : FOLLOWS_TO(1), .from_port = 1 + i, .flags = ACK);
	cr_assert(eq(u64, flush(service_slot(DNS), node_slot(WEB, 1)), 0));
	cr_assert(eq(u64, flush(service_slot(WEB), 0), 5));
	sends(DROPS_AS(not_syn), .from_port = 1, .flags = ACK);
	sends(FOLLOWS_TO(1), .from_port = 1, .to_port = 53, .proto = IPPROTO_UDP);
	cr_assert(eq(u64, flush(0, 0), 1));
	cr_assert(eq(u64, count_entries(), 0));
}

/* ---- all at once ---- */

/* What the tables should hold, kept apart from them. */
struct model {
	bool port[4];
	bool node[4][4];
	unsigned int conn[4][8]; /* node of the connection from client port 1 + i, 0: none */
};

static const char *const model_ports[4] = { "10.0.0.100:1001/tcp", "10.0.0.100:1002/tcp",
					    "10.0.0.100:1003/tcp", "10.0.0.100:1004/tcp" };

static void change_at_random(struct model *model)
{
	int port = random() % 4, node = random() % 4;

	if (!model->port[port]) {
		apply("port add %s", model_ports[port]);
		model->port[port] = true;
	} else if (random() % 8 == 0) {
		apply("port del %s", model_ports[port]);
		model->port[port] = false;
		memset(model->node[port], 0, sizeof(model->node[port]));
		memset(model->conn[port], 0, sizeof(model->conn[port]));
	} else if (!model->node[port][node]) {
		node_add(model_ports[port], 1 + node, 1 + random() % 20);
		model->node[port][node] = true;
	} else if (random() % 2) {
		apply("node set 10.0.0.%d at %s weight %ld", 11 + node, model_ports[port], 1 + random() % 20);
	} else {
		apply("node del 10.0.0.%d at %s", 11 + node, model_ports[port]);
		model->node[port][node] = false;
		for (int i = 0; i < 8; i++)
			if (model->conn[port][i] == 1u + node)
				model->conn[port][i] = 0;
	}
}

static void send_at_random(struct model *model)
{
	int port = random() % 4, i = random() % 8;
	struct packet packet = { .from_port = 1 + i,
				 .to_port = 1001 + port,
				 .flags = random() % 2 ? SYN : ACK };
	bool any = false;

	for (int node = 0; node < 4; node++)
		any |= model->node[port][node];
	if (!model->port[port]) {
		sends_packet(PASSES, &packet);
	} else if (model->conn[port][i]) {
		sends_packet(FOLLOWS_TO(model->conn[port][i]), &packet);
	} else if (packet.flags == ACK) {
		sends_packet(DROPS_AS(not_syn), &packet);
	} else if (!any) {
		sends_packet(DROPS_AS(no_node), &packet);
	} else {
		unsigned int node = sends_packet(OPENS, &packet);

		cr_assert(model->node[port][node - 1]);
		model->conn[port][i] = node;
	}
}

Test(changes, tables_that_change_at_random_are_always_what_was_asked_for, .timeout = 300)
{
	struct model model = { 0 };

	srandom(11);
	for (int round = 0; round < 300; round++) {
		change_at_random(&model);
		for (int i = 0; i < 20; i++)
			send_at_random(&model);
	}
}

/* ---- while packets flow ---- */

#define OLD_CONNECTIONS 32
#define CHANGES		60

/* What another CPU sends while this one changes the tables. */
struct traffic {
	unsigned int nodes[OLD_CONNECTIONS]; /* of the connections from client ports 1.., at node 1 or 2 */
	atomic_uint epoch;		     /* odd: node 3 may be there; even: it is not */
	atomic_bool end;
	unsigned long packets;
	unsigned long broken;  /* packets of old connections that did not get to their node */
	unsigned long refused; /* new connections that got no node */
	unsigned long haunted; /* packets to a node after its removal was done */
};

static void *send_traffic(void *arg)
{
	struct traffic *traffic = arg;
	static struct outcome outcome;
	static struct frame frame;

	lab_use_cpu(1);
	for (uint32_t n = 0; !traffic->end; n++) {
		uint32_t old = n / 2 % OLD_CONNECTIONS;
		unsigned int epoch = traffic->epoch;
		bool newcomer = n % 2;

		/* 2 000 new ones over and over: most of them have an entry, some at a node that has gone. */
		frame_build(&frame, newcomer ? &PACKET(.from_port = 1000 + n / 2 % 2000, .flags = SYN)
					     : &PACKET(.from_port = 1 + old, .flags = ACK, .payload = 1));
		frame_run(&inst, 1, &frame, &outcome);
		traffic->packets++;
		if (!newcomer)
			traffic->broken += outcome.action != XDP_TX ||
					   outcome.frame.bytes[ETH_ALEN - 1] != traffic->nodes[old];
		else
			traffic->refused += outcome.action != XDP_TX;
		if (epoch % 2 == 0 && epoch == traffic->epoch && outcome.action == XDP_TX)
			traffic->haunted += outcome.frame.bytes[ETH_ALEN - 1] == 3;
	}
	return NULL;
}

Test(changes, connections_of_untouched_nodes_do_not_notice_what_goes_on_around_them, .timeout = 300)
{
	static struct traffic traffic;
	uint64_t verdicts = 0;
	struct counters counters;
	pthread_t thread;

	if (lab_use_cpu(1) < 0)
		cr_skip_test("needs two CPUs");
	lab_use_cpu(0);
	open_many(1, OLD_CONNECTIONS, traffic.nodes);
	counters_read(&inst, &counters);
	for (int i = 0; i < VERDICT_COUNT; i++)
		verdicts -= counters.verdict[1][i];
	cr_assert(zero(int, pthread_create(&thread, NULL, send_traffic, &traffic)));
	for (int change = 0; change < CHANGES; change++) {
		traffic.epoch++;
		node_add(WEB, 3, 1 + change % 20);
		apply("node set 10.0.0.11 weight %d", 1 + change % 7);
		apply("port add %s", DNS);
		node_add(DNS, 3, 20);
		apply("node set 10.0.0.13 weight %d", 1 + change % 3);
		apply("port del %s", DNS);
		apply("node del 10.0.0.13 at %s", WEB);
		traffic.epoch++;
		apply("node set 10.0.0.12 weight %d", 1 + change % 5);
	}
	traffic.end = true;
	cr_assert(zero(int, pthread_join(thread, NULL)));
	cr_assert(gt(ulong, traffic.packets, 10 * CHANGES), "too few packets for the test to say much");
	cr_assert(eq(ulong, traffic.broken, 0));
	cr_assert(eq(ulong, traffic.refused, 0));
	cr_assert(eq(ulong, traffic.haunted, 0));
	counters_read(&inst, &counters);
	for (int i = 0; i < VERDICT_COUNT; i++)
		verdicts += counters.verdict[1][i];
	cr_assert(eq(u64, verdicts, traffic.packets), "every packet is counted once");
	for (unsigned int i = 0; i < OLD_CONNECTIONS; i++)
		sends(FOLLOWS_TO(traffic.nodes[i]), .from_port = 1 + i, .flags = ACK);
}

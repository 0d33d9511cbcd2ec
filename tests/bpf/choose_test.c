/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The weighted choice as packets meet it, in the very order of figure 9 (E6). That the walk is laid
 * out as the figure draws it is tested in tests/unit/choice_test.c; here is the data plane's way through it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "../figure9.h"
#include "lab.h"

#define CONNECTIONS 200000
#define NODES_MAX   12
#define WEIGHT_TOP  20

static uint8_t weights[NODES_MAX];
static int cpu;

static void raise_web(void)
{
	lab_raise(CONNECTIONS);
	cpu = lab_use_cpu(0);
	apply("vec add 10.0.0.100");
	apply("port add %s", WEB);
}

TestSuite(choose, .init = raise_web, .fini = lab_end);

/* The next new connection's node. */
static unsigned int connect_once(void)
{
	static uint32_t clients;
	char from[INET_ADDRSTRLEN];

	clients++;
	snprintf(from, sizeof(from), "198.18.%u.%u", clients >> 16 & 0xff, clients >> 8 & 0xff);
	return sends(OPENS, .from = from, .from_port = 1024 + (clients & 0xff), .flags = SYN);
}

static void refuse_once(void)
{
	sends(DROPS_AS(no_node), .from_port = 1, .flags = SYN);
	expect_state(NONE, .from_port = 1);
}

/* Nodes 1..n with these weights. */
static void serve(uint32_t n, const uint8_t *with)
{
	memcpy(weights, with, n);
	for (uint32_t i = 0; i < n; i++)
		node_add(WEB, i + 1, weights[i]);
}

static void reweigh(uint32_t n, const uint8_t *with)
{
	for (uint32_t i = 0; i < n; i++)
		if (weights[i] != with[i])
			apply("node set 10.0.0.%u at %s weight %u", 11 + i, WEB, with[i]);
	memcpy(weights, with, n);
}

static void draw(uint32_t n, uint8_t *out)
{
	for (uint32_t i = 0; i < n; i++)
		out[i] = random() % (WEIGHT_TOP + 1);
}

/* After how many choices the walk begins again. */
static uint32_t period(uint32_t n)
{
	uint32_t sum = 0, good = 0, max = 0;

	for (uint32_t i = 0; i < n; i++) {
		sum += weights[i];
		good += weights[i] != 0;
		if (weights[i] > max)
			max = weights[i];
	}
	return sum == good * max ? good : sum;
}

/* How far this CPU has come in the walk. */
static uint32_t *position_of(int of_cpu)
{
	return &inst.cursors[(uint32_t)of_cpu * SERVICE_SLOTS + service_slot(WEB)];
}

/* Connects a number of times and holds each choice against the figure, which begins at this place of its
 * walk. Returns the place behind the last choice. */
static uint32_t follow_figure(uint32_t n, uint32_t position, uint32_t times)
{
	struct figure9 figure = figure9_start(weights, n);
	const uint32_t around = period(n);

	if (!around) {
		cr_assert(eq(u32, figure9_next(&figure), 0));
		refuse_once();
		return position;
	}
	for (uint32_t i = 0; i < position % around; i++)
		figure9_next(&figure);
	for (uint32_t i = 0; i < times; i++) {
		cr_assert(eq(uint, connect_once(), figure9_next(&figure)), "choice %u of %u", i, times);
		position = position % around + 1;
	}
	return position;
}

Test(choose, weights_3_and_2_are_chosen_as_the_figure_draws_them)
{
	static const unsigned int walk[] = { 1, 1, 2, 1, 2 };

	serve(2, (const uint8_t[]){ 3, 2 });
	for (int i = 0; i < 50; i++)
		cr_assert(eq(uint, connect_once(), walk[i % 5]), "choice %d", i);
}

Test(choose, nodes_are_numbered_by_address_in_whatever_order_they_came)
{
	static const unsigned int walk[] = { 1, 3, 1, 2, 3, 1, 2, 3, 4 };

	node_add(WEB, 3, 3);
	node_add(WEB, 1, 3);
	node_add(WEB, 4, 1);
	node_add(WEB, 2, 2);
	for (int i = 0; i < 27; i++)
		cr_assert(eq(uint, connect_once(), walk[i % 9]), "choice %d", i);
}

Test(choose, equal_weights_take_turns)
{
	serve(3, (const uint8_t[]){ 10, 10, 10 });
	for (unsigned int i = 0; i < 90; i++)
		cr_assert(eq(uint, connect_once(), 1 + i % 3));
}

Test(choose, connections_are_shared_exactly_by_weight)
{
	static const uint8_t shares[] = { 7, 0, 20, 1, 13 };
	unsigned int got[COUNT(shares) + 1] = { 0 };

	serve(COUNT(shares), shares);
	for (unsigned int i = 0; i < 3 * 41; i++)
		got[connect_once()]++;
	for (unsigned int i = 0; i < COUNT(shares); i++)
		cr_assert(eq(uint, got[i + 1], 3u * shares[i]));
}

Test(choose, random_weights_are_chosen_as_the_figure_draws_them, .timeout = 300)
{
	srandom(9);
	for (int round = 0; round < 40; round++) {
		uint32_t n = 1 + random() % NODES_MAX;
		uint8_t drawn[NODES_MAX];

		draw(n, drawn);
		serve(n, drawn);
		follow_figure(n, *position_of(cpu), 2 * period(n) + 3);
		apply("port del %s", WEB);
		apply("port add %s", WEB);
	}
}

Test(choose, a_change_of_weights_goes_on_at_the_same_position_of_the_new_walk, .timeout = 300)
{
	uint32_t n = 7, position;
	uint8_t drawn[NODES_MAX];

	srandom(10);
	draw(n, drawn);
	serve(n, drawn);
	position = *position_of(cpu);
	for (int round = 0; round < 40; round++) {
		position = follow_figure(n, position, 1 + random() % 100);
		draw(n, drawn);
		for (uint32_t i = 0; round % 8 == 7 && i < n; i++)
			drawn[i] = round % 16 == 7 ? 0 : 5;
		reweigh(n, drawn);
	}
}

Test(choose, all_weights_0_means_no_node_until_one_is_raised)
{
	serve(2, (const uint8_t[]){ 0, 0 });
	refuse_once();
	reweigh(2, (const uint8_t[]){ 0, 1 });
	cr_assert(eq(uint, connect_once(), 2));
	reweigh(2, (const uint8_t[]){ 0, 0 });
	refuse_once();
}

Test(choose, a_service_without_nodes_has_no_node)
{
	refuse_once();
	sends(DROPS_AS(not_syn), .flags = ACK);
}

Test(choose, a_node_of_weight_0_keeps_its_connections_and_gets_no_more)
{
	serve(2, (const uint8_t[]){ 1, 1 });
	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
	reweigh(2, (const uint8_t[]){ 0, 1 });
	for (int i = 0; i < 10; i++)
		cr_assert(eq(uint, connect_once(), 2));
	sends(FOLLOWS_TO(1), .from_port = 1, .flags = ACK, .payload = 10);
	sends(FOLLOWS_TO(1), .from_port = 1, .flags = SYN);
}

Test(choose, a_quiesced_node_keeps_its_connections_and_gets_no_more)
{
	serve(2, (const uint8_t[]){ 1, 1 });
	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
	apply("node set 10.0.0.11 quiesce on");
	for (int i = 0; i < 10; i++)
		cr_assert(eq(uint, connect_once(), 2));
	sends(FOLLOWS_TO(1), .from_port = 1, .flags = ACK, .payload = 10);
	apply("node set 10.0.0.11 quiesce off");
	cr_assert(ne(uint, connect_once(), connect_once()));
}

Test(choose, a_fixed_weight_holds_instead_of_the_other)
{
	static const unsigned int walk[] = { 2, 2, 1, 2 };

	serve(2, (const uint8_t[]){ 1, 1 });
	apply("node set 10.0.0.12 fixed-weight 3");
	apply("node set 10.0.0.12 weight 1");
	for (int i = 0; i < 12; i++)
		cr_assert(eq(uint, connect_once(), walk[i % 4]), "choice %d", i);
	apply("node set 10.0.0.12 fixed-weight off");
	cr_assert(ne(uint, connect_once(), connect_once()));
}

Test(choose, a_node_without_a_way_is_left_out_of_the_walk)
{
	struct hop nowhere = { .kind = HOP_NONE }, back = hop_to(2);

	serve(3, (const uint8_t[]){ 1, 1, 1 });
	node_set_hop(WEB, 2, &nowhere);
	for (int i = 0; i < 10; i++)
		cr_assert(ne(uint, connect_once(), 2));
	node_set_hop(WEB, 2, &back);
	{
		unsigned int got[4] = { 0 };

		for (int i = 0; i < 9; i++)
			got[connect_once()]++;
		cr_assert(eq(uint, got[2], 3));
	}
}

Test(choose, known_connections_do_not_move_the_walk)
{
	serve(2, (const uint8_t[]){ 1, 1 });
	sends(OPENS_AT(1), .from_port = 1, .flags = SYN);
	for (int i = 0; i < 3; i++) {
		sends(FOLLOWS_TO(1), .from_port = 1, .flags = SYN);
		sends(FOLLOWS_TO(1), .from_port = 1, .flags = ACK);
	}
	sends(DROPS_AS(not_syn), .from_port = 2, .flags = ACK);
	sends(DROPS_AS(martian), .from = "127.0.0.1", .flags = SYN);
	sends(OPENS_AT(2), .from_port = 3, .flags = SYN);
}

Test(choose, each_service_walks_by_itself)
{
	static const unsigned int walk[] = { 1, 1, 2 };

	apply("port add %s", DNS);
	serve(2, (const uint8_t[]){ 2, 1 });
	node_add(DNS, 1, 2);
	node_add(DNS, 2, 1);
	for (uint16_t i = 0; i < 12; i++) {
		cr_assert(eq(uint, connect_once(), walk[i % 3]), "choice %u", i);
		sends(OPENS_AT(walk[i % 3]), .from_port = 1 + i, .to_port = 53, .proto = IPPROTO_UDP);
	}
}

Test(choose, each_cpu_walks_by_itself)
{
	static const uint8_t shares[] = { 5, 1, 3, 2 };
	uint32_t n = COUNT(shares), positions[2];
	int cpus[2] = { lab_use_cpu(0), lab_use_cpu(1) };

	if (cpus[1] < 0)
		cr_skip_test("needs two CPUs");
	serve(n, shares);
	for (int i = 0; i < 2; i++)
		positions[i] = *position_of(cpus[i]);
	for (int round = 0; round < 20; round++) {
		lab_use_cpu(round % 2);
		positions[round % 2] = follow_figure(n, positions[round % 2], 1 + round);
	}
}

Test(choose, the_cpus_begin_at_different_places_of_the_walk)
{
	if (inst.params->cpus < 2)
		cr_skip_test("needs two CPUs");
	serve(4, (const uint8_t[]){ 3, 3, 3, 3 });
	/* Else the first node would get one connection of every CPU before the second got any. */
	cr_assert(ne(u32, *position_of(0) % period(4), *position_of(inst.params->cpus / 2) % period(4)));
}

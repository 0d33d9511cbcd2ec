/* SPDX-License-Identifier: GPL-2.0-only */
/* choice.c against figure 9 itself. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "../figure9.h"
#include "choice.h"

#define NODES_MAX  40
#define WEIGHT_TOP 100
#define SLOTS_MAX  (NODES_MAX * WEIGHT_TOP)
#define UNTOUCHED  0xaaaa

static uint16_t slots[SLOTS_MAX + 1];
static uint32_t length;

/* The nodes' ids, in the test, are their numbers and 1000. */
static void lay_out(const uint8_t *weights, uint32_t n)
{
	uint16_t ids[NODES_MAX];

	for (uint32_t i = 0; i < n; i++)
		ids[i] = 1001 + i;
	memset(slots, 0xaa, sizeof(slots));
	length = choice_lay_out(weights, ids, n, slots);
	cr_assert(le(u32, length, SLOTS_MAX));
	cr_assert(eq(u32, choice_length(weights, n), length));
	cr_assert(eq(u16, slots[length], UNTOUCHED), "a slot behind the last was written");
}

/* Twice around, so that the seam between the end and the beginning is seen too. */
static void assert_walks_as_drawn(const uint8_t *weights, uint32_t n)
{
	struct figure9 figure = figure9_start(weights, n);

	lay_out(weights, n);
	if (!length) {
		cr_assert(eq(u32, figure9_next(&figure), 0));
		return;
	}
	for (uint32_t step = 0; step < 2 * SLOTS_MAX; step++)
		cr_assert(eq(u32, slots[step % length], 1000 + figure9_next(&figure)), "step %u of %u", step,
			  length);
}

static uint32_t count_of(uint16_t id)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < length; i++)
		count += slots[i] == id;
	return count;
}

Test(choice, weights_3_and_2_are_walked_as_the_figure_draws_them)
{
	static const uint16_t walk[] = { 1001, 1001, 1002, 1001, 1002 };

	lay_out((const uint8_t[]){ 3, 2 }, 2);
	cr_assert(eq(u32, length, 5));
	cr_assert(zero(int, memcmp(slots, walk, sizeof(walk))));
}

Test(choice, a_heavy_node_waits_for_its_turn_within_each_round)
{
	/* Eligible 3: c. 2: b c. 1: a b c. */
	static const uint16_t walk[] = { 1003, 1002, 1003, 1001, 1002, 1003 };

	lay_out((const uint8_t[]){ 1, 2, 3 }, 3);
	cr_assert(eq(u32, length, 6));
	cr_assert(zero(int, memcmp(slots, walk, sizeof(walk))));
}

Test(choice, random_weights_are_walked_as_the_figure_draws_them)
{
	uint8_t weights[NODES_MAX];

	srandom(1);
	for (int round = 0; round < 2000; round++) {
		uint32_t n = 1 + random() % (round % 10 ? 12 : NODES_MAX);
		uint32_t top = round % 10 ? 20 : WEIGHT_TOP;

		for (uint32_t i = 0; i < n; i++)
			weights[i] = random() % (top + 1);
		assert_walks_as_drawn(weights, n);
	}
}

Test(choice, every_pair_of_small_weights_is_walked_as_the_figure_draws_it)
{
	for (uint8_t a = 0; a <= 20; a++)
		for (uint8_t b = 0; b <= 20; b++)
			assert_walks_as_drawn((const uint8_t[]){ a, b }, 2);
}

Test(choice, each_node_has_as_many_slots_as_its_weight)
{
	static const uint8_t weights[] = { 7, 0, 20, 1, 13 };

	lay_out(weights, 5);
	cr_assert(eq(u32, length, 41));
	for (uint32_t i = 0; i < 5; i++)
		cr_assert(eq(u32, count_of(1001 + i), weights[i]));
}

Test(choice, equal_weights_take_one_round_of_slots_whatever_they_are)
{
	assert_walks_as_drawn((const uint8_t[]){ 20, 20, 20 }, 3);
	cr_assert(eq(u32, length, 3));
	assert_walks_as_drawn((const uint8_t[]){ 20, 0, 20 }, 3);
	cr_assert(eq(u32, length, 2));
	assert_walks_as_drawn((const uint8_t[]){ 0, 0, 17 }, 3);
	cr_assert(eq(u32, length, 1));
}

Test(choice, no_weight_at_all_means_no_node)
{
	assert_walks_as_drawn((const uint8_t[]){ 0, 0, 0 }, 3);
	cr_assert(eq(u32, length, 0));
	lay_out(NULL, 0);
	cr_assert(eq(u32, length, 0));
}

Test(choice, the_greatest_weights_and_many_nodes_fit)
{
	uint8_t weights[NODES_MAX];

	memset(weights, WEIGHT_TOP, sizeof(weights));
	weights[0] = 1;
	assert_walks_as_drawn(weights, NODES_MAX);
	cr_assert(eq(u32, length, 1 + (NODES_MAX - 1) * WEIGHT_TOP));
}

Test(choice, the_eligible_weight_of_a_position_is_that_of_the_figure)
{
	uint8_t weights[12];

	srandom(2);
	for (int round = 0; round < 500; round++) {
		uint32_t n = 1 + random() % 12;
		struct figure9 figure;
		uint32_t sum = 0;

		for (uint32_t i = 0; i < n; i++)
			sum += weights[i] = random() % 21;
		figure = figure9_start(weights, n);
		for (uint32_t position = 0; position < sum; position++) {
			figure9_next(&figure);
			cr_assert(eq(u32, choice_eligible_weight(weights, n, position), figure.eligible));
		}
	}
	cr_assert(eq(u32, choice_eligible_weight((const uint8_t[]){ 0, 0 }, 2, 0), 0));
}

/* SPDX-License-Identifier: GPL-2.0-only */
/* state.h: figures 7 and 8 as pure functions, and the age of an entry. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "state.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define SYN	     FLAG_SYN
#define ACK	     FLAG_ACK
#define FIN	     FLAG_FIN
#define RST	     FLAG_RST
#define DATA	     FLAG_PAYLOAD

#define HALF_OPEN    CLASS_HALF_OPEN
#define ACTIVE	     CLASS_ACTIVE
#define FINISHED     CLASS_FIN
#define RESET	     CLASS_RESET
#define D	     STATE_DATA
#define F	     STATE_FIN

Test(state, each_packet_moves_a_known_connection_as_figure_7_says)
{
	static const struct {
		uint32_t before, flags, after;
	} rows[] = {
		/* Opened, and opened again by a client that did not hear the answer. */
		{ HALF_OPEN, SYN, HALF_OPEN },
		{ HALF_OPEN, ACK, ACTIVE },
		{ HALF_OPEN, ACK | DATA, ACTIVE | D },
		{ HALF_OPEN, FIN | ACK, FINISHED | F },
		{ HALF_OPEN, RST, RESET },
		/* At work. */
		{ ACTIVE, ACK, ACTIVE },
		{ ACTIVE, ACK | DATA, ACTIVE | D },
		{ ACTIVE | D, ACK, ACTIVE | D },
		{ ACTIVE | D, SYN, ACTIVE | D },
		{ ACTIVE, SYN, ACTIVE },
		/* Closed by the client: packets flow on. */
		{ ACTIVE | D, FIN | ACK, FINISHED | D | F },
		{ ACTIVE | D, FIN | ACK | DATA, FINISHED | D | F },
		{ ACTIVE, FIN | ACK | DATA, FINISHED | D | F },
		{ FINISHED | D | F, ACK, FINISHED | D | F },
		{ FINISHED | F, ACK | DATA, FINISHED | D | F },
		{ FINISHED | D | F, FIN | ACK, FINISHED | D | F },
		/* A new connection from the same port. Once it carried data it is protected for good. */
		{ FINISHED | D | F, SYN, HALF_OPEN | D },
		{ FINISHED | F, SYN, HALF_OPEN },
		{ RESET | D, SYN, HALF_OPEN | D },
		{ RESET, SYN, HALF_OPEN },
		/* Reset, truly or by a forger. */
		{ ACTIVE | D, RST, RESET | D },
		{ ACTIVE | D, RST | ACK, RESET | D },
		{ FINISHED | D | F, RST, RESET | D | F },
		{ RESET | D, RST, RESET | D },
		{ RESET | D, ACK, ACTIVE | D },
		{ RESET, ACK | DATA, ACTIVE | D },
		{ RESET | D | F, ACK, FINISHED | D | F },
		{ RESET | D, FIN | ACK, FINISHED | D | F },
		/* Mixtures that no client sends: the RST counts most. */
		{ ACTIVE | D, RST | SYN, RESET | D },
		{ ACTIVE | D, RST | FIN, RESET | D },
		{ ACTIVE | D, SYN | ACK, ACTIVE | D },
		{ ACTIVE | D, 0, ACTIVE | D },
	};

	for (unsigned int i = 0; i < COUNT(rows); i++)
		cr_expect(eq(u32, state_next(rows[i].before, rows[i].flags), rows[i].after),
			  "state %#x, flags %#x", rows[i].before, rows[i].flags);
}

Test(state, the_other_flags_change_nothing)
{
	const uint32_t others = 0x08 | 0x20 | 0x40 | 0x80; /* PSH, URG, ECE, CWR */

	for (uint32_t state = 0; state < 16; state++)
		for (uint32_t flags = 0; flags < 0x20; flags++)
			cr_assert(eq(u32, state_next(state, flags | others), state_next(state, flags)));
	for (uint32_t flags = 0; flags < 0x20; flags++)
		cr_assert(eq(int, starts_connection(flags | others), starts_connection(flags)));
}

Test(state, only_a_plain_syn_starts_a_connection)
{
	for (uint32_t flags = 0; flags < 0x200; flags++)
		cr_assert(eq(int, starts_connection(flags), (flags & (SYN | ACK | FIN | RST)) == SYN),
			  "flags %#x", flags);
}

Test(state, an_entry_expires_after_its_timeout_and_not_at_it)
{
	cr_assert(zero(int, conn_expired(1000, 1000, 0)));
	cr_assert(not(zero(int, conn_expired(1001, 1000, 0))));
	cr_assert(zero(int, conn_expired(1500, 1000, 500)));
	cr_assert(not(zero(int, conn_expired(1501, 1000, 500))));
}

Test(state, an_entry_that_another_cpu_stamped_a_moment_ahead_is_not_old)
{
	cr_assert(zero(int, conn_expired(1000, 1001, 0)));
	cr_assert(zero(int, conn_expired(0, 5, 0)));
}

Test(state, the_clock_may_wrap)
{
	cr_assert(zero(int, conn_expired(99, 0xffffff9c, 199)));
	cr_assert(not(zero(int, conn_expired(100, 0xffffff9c, 199))));
}

Test(state, a_head_holds_what_it_was_made_of)
{
	const uint64_t tag = 0xabcdefull << HEAD_TAG_SHIFT;
	const uint64_t head = head_make(0x1234, tag, 0xfedc, ACTIVE | D | F);

	cr_assert(not(zero(int, head_taken(head))));
	cr_assert(eq(u64, head >> HEAD_TAG_SHIFT << HEAD_TAG_SHIFT, tag));
	cr_assert(eq(u32, head_node(head), 0xfedc));
	cr_assert(eq(u32, head_state(head), ACTIVE | D | F));
	cr_assert(eq(u32, head_class(head), ACTIVE));
	cr_assert(eq(u64, head & HEAD_TURN_MASK, 0x1235));
}

Test(state, a_freed_head_is_free_and_differs_from_all_that_came_before)
{
	const uint64_t head = head_make(0xfffe, 1ull << HEAD_TAG_SHIFT, 7, ACTIVE);

	cr_assert(eq(u64, head & HEAD_TURN_MASK, 0xffff));
	cr_assert(eq(u64, head_free(head), 0), "the turn wraps within its 16 bits");
	cr_assert(zero(int, head_taken(head_free(head))));
}

Test(state, only_what_was_closed_or_reset_counts_as_completed)
{
	const uint64_t tag = 1ull << HEAD_TAG_SHIFT;

	cr_assert(zero(int, head_closing(head_make(0, tag, 1, HALF_OPEN | D))));
	cr_assert(zero(int, head_closing(head_make(0, tag, 1, ACTIVE | D | F))));
	cr_assert(not(zero(int, head_closing(head_make(0, tag, 1, FINISHED)))));
	cr_assert(not(zero(int, head_closing(head_make(0, tag, 1, RESET)))));
}

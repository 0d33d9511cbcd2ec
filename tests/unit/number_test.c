/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers and times as words: whole, or refused. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "number.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

Test(number, a_decimal_number_is_read_whole)
{
	uint64_t value = 0;

	cr_assert(eq(int, number_parse("0", 0, 9, &value), 0));
	cr_assert(eq(u64, value, 0));
	cr_assert(eq(int, number_parse("65535", 1, 65535, &value), 0));
	cr_assert(eq(u64, value, 65535));
	cr_assert(eq(int, number_parse("18446744073709551615", 0, UINT64_MAX, &value), 0));
	cr_assert(eq(u64, value, UINT64_MAX));
}

Test(number, anything_but_decimal_digits_is_refused_and_the_output_untouched)
{
	static const char *const words[] = { "",     "+1", "-1",  " 1",	 "1 ", "1x",	"x1",
					     "0x10", "1.", "1e3", "010", "00", "1,000", "\xd9\xa1" };

	for (size_t i = 0; i < COUNT(words); i++) {
		uint64_t value = 77;

		cr_assert(eq(int, number_parse(words[i], 0, UINT64_MAX, &value), -EINVAL), "%s", words[i]);
		cr_assert(eq(u64, value, 77));
	}
}

Test(number, a_number_outside_its_range_is_told_from_a_bad_word)
{
	static const char *const words[] = { "4", "101", "18446744073709551616", "99999999999999999999999" };

	for (size_t i = 0; i < COUNT(words); i++) {
		uint64_t value = 77;

		cr_assert(eq(int, number_parse(words[i], 5, 100, &value), -ERANGE), "%s", words[i]);
		cr_assert(eq(u64, value, 77));
	}
}

Test(number, an_overflow_is_refused_even_where_any_number_fits)
{
	uint64_t value = 77;

	cr_assert(eq(int, number_parse("18446744073709551616", 0, UINT64_MAX, &value), -ERANGE));
	cr_assert(eq(int, number_parse("30000000000000000000", 0, UINT64_MAX, &value), -ERANGE));
	cr_assert(eq(int, number_parse("184467440737095516160", 0, UINT64_MAX, &value), -ERANGE));
	cr_assert(eq(u64, value, 77));
}

Test(number, a_time_is_a_number_and_a_unit)
{
	static const struct {
		const char *word;
		uint64_t ms;
	} times[] = { { "1ms", 1 },
		      { "200ms", 200 },
		      { "5s", 5000 },
		      { "2m", 120000 },
		      { "1h", 3600000 },
		      { "8000s", 8000000 },
		      { "8760h", TIME_MAX_MS },
		      { "31536000000ms", TIME_MAX_MS } };

	for (size_t i = 0; i < COUNT(times); i++) {
		uint64_t ms = 0;

		cr_assert(eq(int, time_parse(times[i].word, &ms), 0), "%s", times[i].word);
		cr_assert(eq(u64, ms, times[i].ms), "%s", times[i].word);
	}
}

Test(number, a_time_without_a_known_unit_is_refused)
{
	static const char *const words[] = { "",     "90",  "s",   "5S",  "5 s", "5ss", "5d",
					     "1.5s", "-5s", "+5s", "05s", "5s ", "5us", "1h30m" };

	for (size_t i = 0; i < COUNT(words); i++) {
		uint64_t ms = 77;

		cr_assert(eq(int, time_parse(words[i], &ms), -EINVAL), "%s", words[i]);
		cr_assert(eq(u64, ms, 77));
	}
}

Test(number, a_time_of_zero_or_of_more_than_a_year_is_out_of_range)
{
	static const char *const words[] = { "0s",
					     "0ms",
					     "8761h",
					     "31536000001ms",
					     "18446744073709551616ms",
					     "18446744073709551615h",
					     "5124095576031h" };

	for (size_t i = 0; i < COUNT(words); i++) {
		uint64_t ms = 77;

		cr_assert(eq(int, time_parse(words[i], &ms), -ERANGE), "%s", words[i]);
		cr_assert(eq(u64, ms, 77));
	}
}

/* SPDX-License-Identifier: GPL-2.0-only */
/* Rows in both forms. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"

#define ROWS_HELD 1000

/* What one test prints, and where it goes. */
static char *output;
static size_t output_size;
static FILE *stream;

static struct print *start(bool json, bool pretty)
{
	struct print *p;

	stream = open_memstream(&output, &output_size);
	p = print_new(stream, json, pretty);
	cr_assert(ne(ptr, p, NULL));
	return p;
}

static void finish(struct print *p)
{
	cr_assert(zero(int, print_free(p)));
	fclose(stream);
}

static void assert_output(struct print *p, const char *expected)
{
	finish(p);
	cr_assert(eq(str, output, (char *)expected));
	free(output);
}

static void two_rows(struct print *p)
{
	print_row(p);
	print_text(p, "vec", "10.0.0.100");
	print_text(p, "name", "web");
	print_uint(p, "port", 80);
	print_bool(p, "up", true);
	print_row(p);
	print_text(p, "vec", "10.0.0.9");
	print_text(p, "name", NULL);
	print_uint(p, "port", 65535);
	print_bool(p, "up", false);
}

/* The JSON form of one text. */
static void assert_json_string(const char *text, const char *expected)
{
	stream = open_memstream(&output, &output_size);
	print_json_string(stream, text);
	fclose(stream);
	cr_assert(eq(str, output, (char *)expected));
	free(output);
}

Test(print, json_is_an_array_of_flat_objects)
{
	struct print *p = start(true, false);

	two_rows(p);
	assert_output(p, "[{\"vec\":\"10.0.0.100\",\"name\":\"web\",\"port\":80,\"up\":true},"
			 "{\"vec\":\"10.0.0.9\",\"name\":null,\"port\":65535,\"up\":false}]\n");
}

Test(print, pretty_json_is_indented)
{
	struct print *p = start(true, true);

	print_row(p);
	print_uint(p, "port", 80);
	print_null(p, "name");
	print_row(p);
	print_uint(p, "port", 81);
	assert_output(p, "[\n    {\n        \"port\": 80,\n        \"name\": null\n    },"
			 "\n    {\n        \"port\": 81\n    }\n]\n");
}

Test(print, no_rows_are_an_empty_array_in_json)
{
	assert_output(start(true, false), "[]\n");
	assert_output(start(true, true), "[]\n");
}

Test(print, no_rows_are_nothing_in_the_table)
{
	assert_output(start(false, false), "");
}

Test(print, the_table_has_aligned_columns_under_the_keys)
{
	struct print *p = start(false, false);

	two_rows(p);
	assert_output(p, "vec         name   port  up\n"
			 "10.0.0.100  web      80  yes\n"
			 "10.0.0.9    -     65535  no\n");
}

Test(print, numbers_are_aligned_right_also_under_and_over_an_absent_one)
{
	struct print *p = start(false, false);

	print_row(p);
	print_null(p, "n");
	print_text(p, "x", "a");
	print_row(p);
	print_uint(p, "n", 1234);
	print_text(p, "x", "b");
	assert_output(p, "   n  x\n   -  a\n1234  b\n");
}

Test(print, a_word_among_numbers_is_aligned_as_they_are)
{
	struct print *p = start(false, false);

	print_row(p);
	print_uint(p, "n", 1234);
	print_row(p);
	print_text(p, "n", "off");
	assert_output(p, "   n\n1234\n off\n");
}

Test(print, a_value_goes_to_the_column_of_its_key)
{
	struct print *p = start(false, false);

	print_row(p);
	print_text(p, "a", "a1");
	print_text(p, "b", "b1");
	print_row(p);
	print_text(p, "b", "b2");
	print_text(p, "c", "no column");
	assert_output(p, "a   b\na1  b1\n-   b2\n");
}

Test(print, a_column_is_measured_in_characters)
{
	struct print *p = start(false, false);

	print_row(p);
	print_text(p, "a", "\xc3\xa4\xc3\xb6\xc3\xbc");
	print_text(p, "b", "x");
	print_row(p);
	print_text(p, "a", "abc");
	print_text(p, "b", "y");
	assert_output(p, "a    b\n\xc3\xa4\xc3\xb6\xc3\xbc  x\nabc  y\n");
}

Test(print, control_characters_do_not_break_the_table)
{
	struct print *p = start(false, false);

	print_row(p);
	print_text(p, "a", "x\ny\x1bz\x7f");
	assert_output(p, "a\nx?y?z?\n");
}

Test(print, a_number_keeps_all_its_64_bits)
{
	struct print *p = start(true, false);

	print_row(p);
	print_uint(p, "n", UINT64_MAX);
	assert_output(p, "[{\"n\":18446744073709551615}]\n");
}

Test(print, a_real_reads_back_the_same_in_json)
{
	struct print *p = start(true, false);

	print_row(p);
	print_real(p, "a", 1.5);
	print_real(p, "b", 0.1);
	print_real(p, "c", 1.0 / 3);
	print_real(p, "d", 1e300);
	assert_output(p, "[{\"a\":1.5,\"b\":0.1,\"c\":0.33333333333333331,\"d\":1e+300}]\n");
}

Test(print, a_real_that_json_cannot_say_is_null)
{
	struct print *p = start(true, false);

	print_row(p);
	print_real(p, "a", NAN);
	print_real(p, "b", INFINITY);
	assert_output(p, "[{\"a\":null,\"b\":null}]\n");
}

Test(print, a_real_is_short_in_the_table)
{
	struct print *p = start(false, false);

	print_row(p);
	print_real(p, "a", 1.0 / 3);
	print_real(p, "b", NAN);
	assert_output(p, "       a  b\n0.333333  -\n");
}

Test(print, quotes_backslashes_and_control_characters_are_escaped)
{
	assert_json_string("a\"b\\c\nd\te\x01\x1f\x7f/",
			   "\"a\\\"b\\\\c\\u000ad\\u0009e\\u0001\\u001f\\u007f/\"");
}

Test(print, valid_utf8_passes_unchanged)
{
	assert_json_string("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf",
			   "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf\"");
}

Test(print, the_smallest_character_of_each_length_passes)
{
	assert_json_string("\xc2\x80 \xe0\xa0\x80 \xf0\x90\x80\x80",
			   "\"\xc2\x80 \xe0\xa0\x80 \xf0\x90\x80\x80\"");
}

Test(print, bytes_that_are_not_utf8_are_replaced_one_by_one)
{
	assert_json_string("a\xff"
			   "b",
			   "\"a\\ufffdb\"");
	assert_json_string("\x80", "\"\\ufffd\"");
	assert_json_string("\xc3", "\"\\ufffd\"");
	assert_json_string("\xe2\x82", "\"\\ufffd\\ufffd\"");
	assert_json_string("\xc0\xaf", "\"\\ufffd\\ufffd\"");
	assert_json_string("\xe0\x80\x80", "\"\\ufffd\\ufffd\\ufffd\"");
	assert_json_string("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"");
	assert_json_string("\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

static void number_rows(struct print *p, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		print_row(p);
		print_uint(p, "n", i);
		print_text(p, "word", "w");
	}
}

Test(print, the_first_thousand_rows_are_held_back)
{
	struct print *p = start(false, false);

	number_rows(p, ROWS_HELD);
	fflush(stream);
	cr_assert(eq(sz, output_size, 0));
	number_rows(p, 1);
	fflush(stream);
	cr_assert(gt(sz, output_size, 0));
	finish(p);
	free(output);
}

Test(print, later_rows_stream_in_the_widths_of_the_first)
{
	struct print *p = start(false, false);
	unsigned int lines = 0;

	number_rows(p, ROWS_HELD);
	print_row(p);
	print_uint(p, "n", 7);
	print_text(p, "word", "first to stream");
	print_row(p);
	print_uint(p, "n", 1234567);
	print_null(p, "word");
	finish(p);
	for (const char *c = output; *c; c++)
		lines += *c == '\n';
	cr_assert(eq(uint, lines, 1 + ROWS_HELD + 2));
	cr_assert(zero(int, strncmp(output, "  n  word\n  0  w\n", 17)));
	cr_assert(ne(ptr, strstr(output, "999  w\n  7  first to stream\n1234567  -\n"), NULL));
	free(output);
}

Test(print, many_rows_are_all_printed_in_json)
{
	struct print *p = start(true, false);
	unsigned int rows = 0;

	number_rows(p, 3 * ROWS_HELD);
	finish(p);
	for (const char *c = output; (c = strchr(c, '{')); c++)
		rows++;
	cr_assert(eq(uint, rows, 3 * ROWS_HELD));
	free(output);
}

static int print_to_full_disk(bool json, unsigned int rows)
{
	FILE *full = fopen("/dev/full", "w");
	struct print *p;
	int err;

	cr_assert(ne(ptr, full, NULL));
	p = print_new(full, json, false);
	number_rows(p, rows);
	err = print_free(p);
	fclose(full);
	return err;
}

Test(print, a_full_disk_is_an_error)
{
	cr_assert(eq(int, print_to_full_disk(true, 1), -ENOSPC));
	cr_assert(eq(int, print_to_full_disk(false, 1), -ENOSPC));
}

Test(print, a_full_disk_is_an_error_also_when_it_shows_long_before_the_end)
{
	cr_assert(eq(int, print_to_full_disk(true, 5000), -ENOSPC));
	cr_assert(eq(int, print_to_full_disk(false, 5000), -ENOSPC));
}

Test(print, without_memory_for_it_everything_is_taken_and_the_end_says_so)
{
	print_row(NULL);
	print_text(NULL, "a", "b");
	print_uint(NULL, "a", 1);
	print_real(NULL, "a", 1);
	print_bool(NULL, "a", true);
	print_null(NULL, "a");
	cr_assert(eq(int, print_free(NULL), -ENOMEM));
}

Test(print, more_columns_than_there_is_room_for_are_an_error)
{
	static char keys[40][8];
	struct print *p = start(false, false);

	print_row(p);
	for (int i = 0; i < 40; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		print_uint(p, keys[i], 1);
	}
	cr_assert(eq(int, print_free(p), -E2BIG));
	fclose(stream);
	free(output);
}

/* SPDX-License-Identifier: GPL-2.0-only */
/* Errors: what is kept, and both printed forms. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* The printed form, to be freed. */
static char *printed(const struct error *err, bool json)
{
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	cr_assert(ne(ptr, out, NULL));
	error_print(out, err, json);
	fclose(out);
	return text;
}

static void assert_printed(const struct error *err, bool json, const char *expected)
{
	char *text = printed(err, json);

	cr_assert(eq(str, text, (char *)expected));
	free(text);
}

Test(error, wrong_words_have_status_1)
{
	struct error err;

	cr_assert(eq(int, error_words(&err, "\"x\"", "use y", "no %s at %d", "z", 3), -EINVAL));
	cr_assert(eq(int, err.status, 1));
	cr_assert(eq(str, err.what, "\"x\""));
	cr_assert(eq(str, err.why, "no z at 3"));
	cr_assert(eq(str, err.hint, "use y"));
}

Test(error, a_refusal_has_status_2)
{
	struct error err;

	cr_assert(eq(int, error_refuse(&err, "eth0", NULL, "%s", strerror(ENODEV)), -EPERM));
	cr_assert(eq(int, err.status, 2));
	cr_assert(eq(str, err.why, strerror(ENODEV)));
	cr_assert(eq(str, err.hint, ""));
}

Test(error, plain_form_is_one_line_and_a_hint_line)
{
	struct error err;

	error_words(&err, "\"x\"", "use y", "unknown");
	assert_printed(&err, false, "xdp-vec: error: \"x\": unknown\nxdp-vec: hint: use y\n");
}

Test(error, plain_form_without_a_hint_is_one_line)
{
	struct error err;

	error_refuse(&err, "eth0", NULL, "gone");
	assert_printed(&err, false, "xdp-vec: error: eth0: gone\n");
}

Test(error, json_form_is_one_object)
{
	struct error err;

	error_words(&err, "\"x\"", "use \"y\"", "unknown");
	assert_printed(&err, true, "{\"error\":\"\\\"x\\\": unknown\",\"hint\":\"use \\\"y\\\"\"}\n");
}

Test(error, json_form_has_a_null_hint_where_there_is_none)
{
	struct error err;

	error_refuse(&err, "eth0", NULL, "gone");
	assert_printed(&err, true, "{\"error\":\"eth0: gone\",\"hint\":null}\n");
}

Test(error, control_characters_of_a_word_do_not_reach_the_terminal)
{
	struct error err;

	error_words(&err, "\"a\x1b[2J\nb\"", "c\rd", "unknown");
	assert_printed(&err, false, "xdp-vec: error: \"a?[2J?b\": unknown\nxdp-vec: hint: c?d\n");
}

Test(error, a_text_without_room_is_cut_off)
{
	struct error err;
	char long_text[2000];

	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	error_words(&err, long_text, long_text, "%s", long_text);
	cr_assert(eq(sz, strlen(err.what), sizeof(err.what) - 1));
	cr_assert(eq(sz, strlen(err.why), sizeof(err.why) - 1));
	cr_assert(eq(sz, strlen(err.hint), sizeof(err.hint) - 1));
	free(printed(&err, true));
}

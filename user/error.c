/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one form of every failure: filled in by whoever knows the object, printed by main().
 */
#include "error.h"

#include <errno.h>
#include <stdarg.h>

#include "print.h"

static void error_fill(struct error *err, enum exit_status status, const char *what, const char *hint)
{
	err->status = status;
	snprintf(err->what, sizeof(err->what), "%s", what);
	snprintf(err->hint, sizeof(err->hint), "%s", hint ? hint : "");
}

int error_words(struct error *err, const char *what, const char *hint, const char *why, ...)
{
	va_list args;

	error_fill(err, STATUS_WORDS, what, hint);
	va_start(args, why);
	vsnprintf(err->why, sizeof(err->why), why, args);
	va_end(args);
	return -EINVAL;
}

int error_refuse(struct error *err, const char *what, const char *hint, const char *why, ...)
{
	va_list args;

	error_fill(err, STATUS_REFUSED, what, hint);
	va_start(args, why);
	vsnprintf(err->why, sizeof(err->why), why, args);
	va_end(args);
	return -EPERM;
}

static void error_print_json(FILE *out, const char *message, const char *hint)
{
	fputs("{\"error\":", out);
	print_json_string(out, message);
	fputs(",\"hint\":", out);
	if (hint[0])
		print_json_string(out, hint);
	else
		fputs("null", out);
	fputs("}\n", out);
}

/* A word of the user's may hold anything: an error stays one line, and free of terminal sequences. */
static void error_print_plain(FILE *out, const char *message, const char *hint)
{
	fputs("xdp-vec: error: ", out);
	print_plain_text(out, message);
	if (hint[0]) {
		fputs("\nxdp-vec: hint: ", out);
		print_plain_text(out, hint);
	}
	fputc('\n', out);
}

void error_print(FILE *out, const struct error *err, bool json)
{
	char message[sizeof(err->what) + sizeof(err->why) + 2];

	snprintf(message, sizeof(message), "%s: %s", err->what, err->why);
	if (json)
		error_print_json(out, message, err->hint);
	else
		error_print_plain(out, message, err->hint);
}

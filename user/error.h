/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What went wrong, in words for a person: filled in where the failure is known,
 * printed once by main(). Nothing below main() writes to stderr.
 */
#ifndef XDPVEC_ERROR_H
#define XDPVEC_ERROR_H

#include <stdbool.h>
#include <stdio.h>

enum exit_status {
	STATUS_OK = 0,
	STATUS_WORDS = 1,   /* the words of the command are wrong */
	STATUS_REFUSED = 2, /* the system, or the state of the tables, refuses */
};

struct error {
	enum exit_status status;
	char what[256]; /* the offending word or object, quoted where it is the user's */
	char why[512];
	char hint[512]; /* empty: no hint */
};

/* Each fills *err and returns -EINVAL / -EPERM-like negative, never 0, so that a caller can write
 * `return error_words(...)`. hint may be NULL. why is a printf format. */
int error_words(struct error *err, const char *what, const char *hint, const char *why, ...)
	__attribute__((format(printf, 4, 5)));
int error_refuse(struct error *err, const char *what, const char *hint, const char *why, ...)
	__attribute__((format(printf, 4, 5)));

/* `xdp-vec: error: WHAT: WHY` and, where there is one, `xdp-vec: hint: DO THIS`;
 * with json one object with the keys error and hint (null without one). */
void error_print(FILE *out, const struct error *err, bool json);

#endif

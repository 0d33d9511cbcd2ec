/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rows of named values, printed as an aligned table for people or as a JSON array of flat
 * objects for scripts: a command describes each row once and does not know which form it takes.
 *
 *	struct print *p = print_new(stdout, json, pretty);
 *	print_row(p);
 *	print_text(p, "vec", "10.0.0.100");
 *	print_uint(p, "port", 80);
 *	print_free(p);   // ends the last row and the array
 *
 * The table's header is the keys of the first row. Widths are measured over the first rows
 * (at most 1000 are held back); later rows stream, so that a million rows need no memory.
 * A value whose key the first row lacks has no column and shows in JSON only.
 * No rows: `[]` in JSON, nothing in the table.
 */
#ifndef XDPVEC_PRINT_H
#define XDPVEC_PRINT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct print;

/* NULL without memory: the functions below take it, and print_free(NULL) says -ENOMEM. */
struct print *print_new(FILE *out, bool json, bool pretty);
void print_row(struct print *p);
/* Keys are snake_case and must outlive the print (string literals). A NULL text prints as null / "-". */
void print_text(struct print *p, const char *key, const char *text);
void print_uint(struct print *p, const char *key, uint64_t value);
void print_real(struct print *p, const char *key, double value);
void print_bool(struct print *p, const char *key, bool value);
void print_null(struct print *p, const char *key);
/* Flushes; returns 0, or -errno when writing failed (a full disk must not look like success). */
int print_free(struct print *p);

/* One text by itself: as a quoted JSON string (bytes that are not UTF-8 become U+FFFD), or for a
 * terminal (control characters become '?'). */
void print_json_string(FILE *out, const char *text);
void print_plain_text(FILE *out, const char *text);

#endif

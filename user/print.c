/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One description of rows, two forms: JSON is written as the values come; the table holds back
 * its first rows to measure the columns, and later rows stream in those widths.
 */
#include "print.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MAX    1000
#define COLUMNS_MAX 32

struct column {
	const char *key;
	int width;
	bool number; /* aligned right */
};

struct print {
	FILE *out;
	bool json;
	bool pretty;
	bool in_row;
	int err;     /* the first failure, -errno */
	size_t rows; /* begun */

	/* JSON */
	bool row_has_value;

	/* table */
	struct column columns[COLUMNS_MAX];
	size_t column_count;
	bool streaming; /* header and first rows are out */
	size_t held;
	char *cells[HELD_MAX][COLUMNS_MAX]; /* NULL: "-" */
};

struct print *print_new(FILE *out, bool json, bool pretty)
{
	struct print *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->out = out;
	p->json = json;
	p->pretty = pretty;
	if (json)
		fputc('[', out);
	return p;
}

static void fail(struct print *p, int err)
{
	if (!p->err)
		p->err = err;
}

/* To be called right after writing, while errno is still of that write. */
static void check_written(struct print *p)
{
	if (ferror(p->out))
		fail(p, errno ? -errno : -EIO);
}

/* ---- JSON ---- */

/* Length of the UTF-8 sequence at text (RFC 3629: no overlong forms, no surrogates), 0 when there is none. */
static size_t utf8_length(const unsigned char *text)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = text[0] < 0x80		 ? 1
			: (text[0] >> 5) == 0x6	 ? 2
			: (text[0] >> 4) == 0xe	 ? 3
			: (text[0] >> 3) == 0x1e ? 4
						 : 0;
	uint32_t rune;

	if (length < 2)
		return length;
	rune = text[0] & (0x7f >> length);
	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		rune = rune << 6 | (text[i] & 0x3f);
	}
	if (rune < smallest[length] || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff))
		return 0;
	return length;
}

static bool is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7f;
}

void print_json_string(FILE *out, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	fputc('"', out);
	while (*at) {
		size_t length = utf8_length(at);

		if (!length)
			fputs("\\ufffd", out);
		else if (*at == '"' || *at == '\\')
			fprintf(out, "\\%c", *at);
		else if (is_control(*at))
			fprintf(out, "\\u%04x", *at);
		else
			fwrite(at, 1, length, out);
		at += length ? length : 1;
	}
	fputc('"', out);
}

static void json_indent(struct print *p, int depth)
{
	if (p->pretty)
		fprintf(p->out, "\n%*s", depth * 4, "");
}

static void json_row_begin(struct print *p)
{
	if (p->rows > 1)
		fputc(',', p->out);
	json_indent(p, 1);
	fputc('{', p->out);
	p->row_has_value = false;
}

static void json_row_end(struct print *p)
{
	json_indent(p, 1);
	fputc('}', p->out);
	check_written(p);
}

static void json_key(struct print *p, const char *key)
{
	if (p->row_has_value)
		fputc(',', p->out);
	p->row_has_value = true;
	json_indent(p, 2);
	print_json_string(p->out, key);
	fputs(p->pretty ? ": " : ":", p->out);
}

static void json_end(struct print *p)
{
	if (p->rows)
		json_indent(p, 0);
	fputs("]\n", p->out);
}

/* ---- table ---- */

void print_plain_text(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc(is_control((unsigned char)*text) ? '?' : *text, out);
}

/* Characters, not bytes. */
static int text_width(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void table_write_cell(struct print *p, size_t column, const char *text)
{
	const struct column *c = &p->columns[column];
	int padding = c->width - text_width(text);
	bool last = column + 1 == p->column_count;

	if (padding < 0)
		padding = 0;
	if (column)
		fputs("  ", p->out);
	if (c->number)
		fprintf(p->out, "%*s", padding, "");
	print_plain_text(p->out, text);
	if (!c->number && !last)
		fprintf(p->out, "%*s", padding, "");
}

static void table_write_header(struct print *p)
{
	for (size_t i = 0; i < p->column_count; i++)
		table_write_cell(p, i, p->columns[i].key);
	fputc('\n', p->out);
}

static void table_write_row(struct print *p, char **cells)
{
	for (size_t i = 0; i < p->column_count; i++) {
		table_write_cell(p, i, cells[i] ? cells[i] : "-");
		free(cells[i]);
		cells[i] = NULL;
	}
	fputc('\n', p->out);
}

static void table_flush(struct print *p)
{
	if (!p->streaming)
		table_write_header(p);
	p->streaming = true;
	for (size_t row = 0; row < p->held; row++)
		table_write_row(p, p->cells[row]);
	p->held = 0;
	check_written(p);
}

static void table_row_begin(struct print *p)
{
	if (p->held == (p->streaming ? 1 : HELD_MAX))
		table_flush(p);
	p->held++;
}

/* The column of key; a new one while the first row is being described. COLUMNS_MAX: none. */
static size_t table_column(struct print *p, const char *key)
{
	size_t i;

	for (i = 0; i < p->column_count; i++)
		if (!strcmp(p->columns[i].key, key))
			return i;
	if (p->rows > 1)
		return COLUMNS_MAX;
	if (i == COLUMNS_MAX) {
		fail(p, -E2BIG);
		return COLUMNS_MAX;
	}
	p->columns[i] = (struct column){ .key = key, .width = text_width(key) };
	p->column_count++;
	return i;
}

/* text NULL: absent. */
static void table_cell(struct print *p, const char *key, const char *text, bool number)
{
	size_t column = table_column(p, key);
	struct column *c = &p->columns[column];
	char *copy;

	if (column == COLUMNS_MAX || !text)
		return;
	copy = strdup(text);
	if (!copy) {
		fail(p, -ENOMEM);
		return;
	}
	free(p->cells[p->held - 1][column]);
	p->cells[p->held - 1][column] = copy;
	if (p->streaming)
		return;
	c->number |= number;
	if (text_width(text) > c->width)
		c->width = text_width(text);
}

/* ---- both ---- */

static void row_end(struct print *p)
{
	if (p->in_row && p->json)
		json_row_end(p);
	p->in_row = false;
}

void print_row(struct print *p)
{
	if (!p)
		return;
	row_end(p);
	p->in_row = true;
	p->rows++;
	if (p->json)
		json_row_begin(p);
	else
		table_row_begin(p);
}

/* A value that needs no quotes in JSON. */
static void print_bare(struct print *p, const char *key, const char *json, const char *plain, bool number)
{
	if (!p)
		return;
	if (!p->json) {
		table_cell(p, key, plain, number);
		return;
	}
	json_key(p, key);
	fputs(json, p->out);
	check_written(p);
}

void print_text(struct print *p, const char *key, const char *text)
{
	if (!p)
		return;
	if (!text) {
		print_null(p, key);
	} else if (!p->json) {
		table_cell(p, key, text, false);
	} else {
		json_key(p, key);
		print_json_string(p->out, text);
		check_written(p);
	}
}

void print_uint(struct print *p, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	print_bare(p, key, text, text, true);
}

/* JSON carries enough digits to read back the same value; a person gets six. */
void print_real(struct print *p, const char *key, double value)
{
	char json[32], plain[32];

	if (!isfinite(value)) {
		print_null(p, key);
		return;
	}
	snprintf(json, sizeof(json), "%.15g", value);
	if (strtod(json, NULL) != value)
		snprintf(json, sizeof(json), "%.17g", value);
	snprintf(plain, sizeof(plain), "%g", value);
	print_bare(p, key, json, plain, true);
}

void print_bool(struct print *p, const char *key, bool value)
{
	print_bare(p, key, value ? "true" : "false", value ? "yes" : "no", false);
}

void print_null(struct print *p, const char *key)
{
	print_bare(p, key, "null", NULL, false);
}

int print_free(struct print *p)
{
	int err;

	if (!p)
		return -ENOMEM;
	row_end(p);
	if (p->json)
		json_end(p);
	else if (p->held)
		table_flush(p);
	check_written(p);
	if (fflush(p->out))
		fail(p, -errno);
	err = p->err;
	free(p);
	return err;
}

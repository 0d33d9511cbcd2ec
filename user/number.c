/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Numbers and times as words, for every place where a person writes one: services, keywords
 * of commands, lines of the configuration file.
 */
#include "number.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The digits at the start of word. *end is set on every return that is not -EINVAL. */
static int digits_parse(const char *word, uint64_t *out, const char **end)
{
	bool overflow = false;
	uint64_t value = 0;

	if (!is_digit(word[0]) || (word[0] == '0' && is_digit(word[1])))
		return -EINVAL;
	for (; is_digit(*word); word++) {
		overflow |= __builtin_mul_overflow(value, 10, &value);
		overflow |= __builtin_add_overflow(value, (uint64_t)(*word - '0'), &value);
	}
	*end = word;
	*out = value;
	return overflow ? -ERANGE : 0;
}

int number_parse(const char *word, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *end = NULL;
	uint64_t value = 0;
	int err = digits_parse(word, &value, &end);

	if (err == -EINVAL || *end)
		return -EINVAL;
	if (err || value < min || value > max)
		return -ERANGE;
	*out = value;
	return 0;
}

/* Milliseconds in a unit, 0 when there is no such unit. */
static uint64_t unit_ms(const char *unit)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(unit, units[i].name))
			return units[i].ms;
	return 0;
}

int time_parse(const char *word, uint64_t *out_ms)
{
	const char *unit = NULL;
	uint64_t count = 0, ms = 0;
	int err = digits_parse(word, &count, &unit);

	if (err == -EINVAL || !unit_ms(unit))
		return -EINVAL;
	if (err || __builtin_mul_overflow(count, unit_ms(unit), &ms) || !ms || ms > TIME_MAX_MS)
		return -ERANGE;
	*out_ms = ms;
	return 0;
}

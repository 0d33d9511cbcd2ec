/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Numbers and times as words: parsed whole, in decimal, or refused. No sign, no blanks, no
 * leading zeros (010 is eight to some and ten to others).
 */
#ifndef XDPVEC_NUMBER_H
#define XDPVEC_NUMBER_H

#include <stdint.h>

#define TIME_MAX_MS (365ULL * 24 * 60 * 60 * 1000)

/* 0; -EINVAL: not a decimal number; -ERANGE: not from min to max. *out is set only on success. */
int number_parse(const char *word, uint64_t min, uint64_t max, uint64_t *out);

/* "200ms", "5s", "2m", "1h" to milliseconds, from 1 to TIME_MAX_MS. Errors as number_parse. */
int time_parse(const char *word, uint64_t *out_ms);

#endif

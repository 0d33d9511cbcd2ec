/* SPDX-License-Identifier: GPL-2.0-only */
/* Figure 9 laid out. Pure: weights in, walk out. */
#include "choice.h"

static uint32_t weight_max(const uint8_t *weights, uint32_t n)
{
	uint32_t max = 0;

	for (uint32_t i = 0; i < n; i++)
		if (weights[i] > max)
			max = weights[i];
	return max;
}

/* Where all nodes that take part have one weight, each eligible weight repeats the same round. */
static uint32_t rounds_needed(const uint8_t *weights, uint32_t n)
{
	uint32_t max = weight_max(weights, n);

	for (uint32_t i = 0; i < n; i++)
		if (weights[i] && weights[i] != max)
			return max;
	return max ? 1 : 0;
}

uint32_t choice_length(const uint8_t *weights, uint32_t n)
{
	uint32_t rounds = rounds_needed(weights, n);
	uint32_t length = 0;

	for (uint32_t i = 0; i < n; i++)
		length += weights[i] < rounds ? weights[i] : rounds;
	return length;
}

uint32_t choice_lay_out(const uint8_t *weights, const uint16_t *ids, uint32_t n, uint16_t *out)
{
	uint32_t max = weight_max(weights, n);
	uint32_t rounds = rounds_needed(weights, n);
	uint32_t length = 0;

	for (uint32_t eligible = max; eligible > max - rounds; eligible--)
		for (uint32_t i = 0; i < n; i++)
			if (weights[i] >= eligible)
				out[length++] = ids[i];
	return length;
}

uint32_t choice_eligible_weight(const uint8_t *weights, uint32_t n, uint32_t position)
{
	uint32_t max = weight_max(weights, n);

	for (uint32_t eligible = max; eligible > 0; eligible--) {
		uint32_t good = 0;

		for (uint32_t i = 0; i < n; i++)
			good += weights[i] >= eligible;
		if (position < good)
			return eligible;
		position -= good;
	}
	return max;
}

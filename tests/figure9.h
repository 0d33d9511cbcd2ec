/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Figure 9 as it is drawn and as ¶25 tells it, box by box, to hold the program's walks against. It
 * shares no thought with user/choice.c.
 */
#ifndef XDPVEC_TESTS_FIGURE9_H
#define XDPVEC_TESTS_FIGURE9_H

#include <stdbool.h>
#include <stdint.h>

struct figure9 {
	const uint8_t *weights; /* of the servers 1..n */
	uint32_t n;
	uint32_t server;   /* the one chosen last */
	uint32_t eligible; /* the current eligible weight */
};

/* Before the first choice: as if the walk had just come to its end. */
static inline struct figure9 figure9_start(const uint8_t *weights, uint32_t n)
{
	return (struct figure9){ .weights = weights, .n = n, .server = n, .eligible = 1 };
}

static inline uint32_t figure9_max_weight(const struct figure9 *f)
{
	uint32_t max = 0;

	for (uint32_t server = 1; server <= f->n; server++)
		if (f->weights[server - 1] > max)
			max = f->weights[server - 1];
	return max;
}

/* The number 1..n of the server that the next connection gets, or 0: none is available. */
static inline uint32_t figure9_next(struct figure9 *f)
{
	for (;;) {
		f->server++;		    /* 734: next higher server, current eligible weight */
		if (f->server > f->n) {	    /* 735: too large? */
			f->server = 1;	    /* 736: first server and */
			f->eligible--;	    /* 736: next lower weight */
			if (!f->eligible) { /* 738: is that zero? */
				f->eligible = figure9_max_weight(f); /* 740: first server, maximum weight */
				if (!f->eligible)		     /* 742: is any server available? */
					return 0;		     /* 744 */
			}
		}
		if (f->weights[f->server - 1] >= f->eligible) /* 746: a good choice? */
			return f->server;		      /* 748, 750 */
	}
}

#endif

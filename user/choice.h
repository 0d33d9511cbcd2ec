/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Figure 9 of the source (¶24–26) laid out in full: which node each of the coming connections gets.
 */
#ifndef XDPVEC_CHOICE_H
#define XDPVEC_CHOICE_H

#include <stdint.h>

/*
 * The walk for nodes 1..n in their order: the eligible weight runs from the greatest weight down to 1, and at
 * each the nodes whose weight is no less are taken in turn; then it starts again. Equal weights repeat after
 * one round, which is then all that is laid out.
 *
 * choice_length: number of slots that choice_lay_out will fill; 0 if all weights are 0 (no node).
 * choice_lay_out: writes ids[i] of the chosen nodes to out, returns the same number.
 */
uint32_t choice_length(const uint8_t *weights, uint32_t n);
uint32_t choice_lay_out(const uint8_t *weights, const uint16_t *ids, uint32_t n, uint16_t *out);

/* The eligible weight in force at a position of the walk (¶27: current eligible weight). */
uint32_t choice_eligible_weight(const uint8_t *weights, uint32_t n, uint32_t position);

#endif

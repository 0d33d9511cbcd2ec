/* SPDX-License-Identifier: GPL-2.0-only */
/* All counters as Prometheus text, exposition format 0.0.4. */
#ifndef XDPVEC_STATS_H
#define XDPVEC_STATS_H

#include <stdio.h>

#include "tables.h"

/* 0 or -errno (no memory, or out cannot be written). */
int stats_write(FILE *out, struct instance *inst, struct tables *tables);

#endif

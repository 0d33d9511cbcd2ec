/* SPDX-License-Identifier: GPL-2.0-only */
/* Between instance.c and attach.c: what is pinned, and how it is loaded. */
#ifndef XDPVEC_INSTANCE_PINS_H
#define XDPVEC_INSTANCE_PINS_H

#include "instance.h"

#define BPFFS	     "/sys/fs/bpf"
#define PINS_ROOT    BPFFS "/xdp-vec"
#define PIN_PATH_MAX 512

/* Mapped tables first, params the first of all; then what is used by descriptor. */
#define PINS(X)         \
	X(params)       \
	X(services)     \
	X(service_conf) \
	X(nodes)        \
	X(node_conf)    \
	X(choices)      \
	X(conns)        \
	X(ifaces)       \
	X(cursors)      \
	X(node_stats)   \
	X(iface_stats)  \
	X(drop_stats)   \
	X(vec_conf)     \
	X(egress)       \
	X(gateway)      \
	X(clock)        \
	X(layout)

enum pin {
#define X(name) PIN_##name,
	PINS(X)
#undef X
		PIN_COUNT,
};

extern const char *const pin_names[PIN_COUNT];

struct bpf_map;

/* The skeleton's map behind a pin; NULL for programs. */
struct bpf_map *skel_map(const struct gateway *skel, enum pin pin);

/* Open and load the skeleton for these params, over existing maps (descriptors by enum pin) or NULL for new
 * ones. */
int skel_load(const struct params *params, const int *reuse, struct gateway **out, struct error *err);

int pin_open(const char *instance, const char *pin);

/* A descriptor that holds the exclusive lock of the directory, or -errno. */
int instance_lock(const char *dir);

#endif

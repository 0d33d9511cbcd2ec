/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An instance: one gateway's maps and programs. Its pins under /sys/fs/bpf/xdp-vec/NAME/ are the truth;
 * a process that opens it maps the tables into its memory and works on them directly.
 *
 * This module makes, opens, pins and locks an instance and attaches it to interfaces. What the
 * tables hold is the business of tables.h.
 */
#ifndef XDPVEC_INSTANCE_H
#define XDPVEC_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "layout.h"
#include "spec.h"
#include "verdict.h"

#define CONNECTIONS_DEFAULT 1000000u

struct gateway;

struct instance {
	char name[64];
	struct gateway *skel; /* only in the process that made the instance, until it is closed */
	int lock_fd;	      /* of the pins' directory, or -1 */

	/* The tables in memory, shared with the data plane. */
	struct params *params;
	struct service *services;	   /* [SERVICE_SLOTS] */
	struct service_conf *service_conf; /* [SERVICE_SLOTS] */
	struct node *nodes;		   /* [NODE_SLOTS] */
	struct node_conf *node_conf;	   /* [NODE_SLOTS] */
	uint16_t *choices;		   /* [CHOICE_SLOTS] */
	struct bucket *conns;		   /* [params->buckets] */
	struct iface *ifaces;		   /* [IFACE_SLOTS] */
	uint32_t *cursors;		   /* [cpus][SERVICE_SLOTS] */
	struct node_stats *node_stats;	   /* [cpus + USER_ROWS][NODE_SLOTS] */
	struct iface_stats *iface_stats;   /* [cpus][IFACE_SLOTS] */
	struct drop_stats *drop_stats;	   /* [cpus] */

	int vec_conf_fd; /* hash: VEC's slot → struct vec_conf */
	int egress_fd;	 /* devmap */
	int gateway_fd;	 /* the data plane's program, to run it by BPF_PROG_TEST_RUN */
	int clock_fd;	 /* program that tells the tick */
};

/* Make an instance that is pinned nowhere: for tests and the bench. connections: the capacity asked
 * for. Ends with instance_close(). 0, or negative with *err filled; then *inst is closed. */
int instance_make(struct instance *inst, uint32_t connections, struct error *err);

/* Open the pinned instance. lock: wait for the writers' lock and hold it until instance_close(). */
int instance_open(struct instance *inst, const char *name, bool lock, struct error *err);

/* Unmap, close descriptors, release the lock. Pins stay. Harmless on an instance that failed to open. */
void instance_close(struct instance *inst);

/* For a process that stays: the lock taken with instance_open() can be let go and taken again. */
void instance_hold(const struct instance *inst);
void instance_release(const struct instance *inst);
/* Has the instance been detached since it was opened? */
bool instance_removed(const struct instance *inst);

/* `attach`: make the instance if it is not there, else load the program anew over its tables and swap it into
 * every link; then attach what is named and not attached. warnings go to the callback, a line each. */
int instance_attach(const char *name, const struct spec *spec, void (*warn)(const char *line),
		    struct error *err);

/* `detach`: the interfaces named, or everything, pins included. */
int instance_detach(const char *name, const struct spec *spec, struct error *err);

/* The data plane's clock, in ticks. */
uint32_t instance_now(const struct instance *inst);
/* Conversions of that clock. To ticks it rounds up, so that a timeout is never shorter than asked for. */
uint32_t instance_ticks(const struct instance *inst, uint64_t ms);
uint64_t instance_ms(const struct instance *inst, uint32_t ticks);

/* One attached interface, for status. */
struct attachment {
	uint32_t ifindex; /* 0: the interface is gone */
	char ifname[16];
	bool native;
};

/* Up to max rows; returns how many, or -errno. */
int instance_attachments(const struct instance *inst, struct attachment *rows, int max);

/* Slot of an interface in ifaces and the devmap, entered where it is not there yet. Negative with *err filled
 * when the table has no room or the interface does not exist. */
int instance_iface_slot(struct instance *inst, uint32_t ifindex, struct error *err);

/* Bring the rows of all interfaces up to date: MAC addresses that changed, interfaces that have gone. */
void instance_refresh_ifaces(struct instance *inst);

/* Name of the interface in a slot, or its number as `#N` where it has gone or lives in another network
 * namespace than the caller. Returns buf, of IF_NAMESIZE bytes. */
const char *instance_ifname(const struct instance *inst, uint32_t slot, char *buf);

/* After this returns no packet is in flight that saw the tables as they were before. */
void instance_settle(void);

#endif

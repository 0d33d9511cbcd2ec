/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only code that changes VECs, ports and nodes in the tables (E8, E10; ¶27). Each call checks everything
 * first and then applies, in an order in which the data plane never sees half a change and a process
 * killed in the middle leaves tables that the next one can complete.
 *
 * Callers hold the instance's lock. Timeouts are milliseconds; 0 in a set means "inherit": port from
 * VEC, VEC from the defaults.
 */
#ifndef XDPVEC_TABLES_H
#define XDPVEC_TABLES_H

#include "addr.h"
#include "instance.h"

#define WEIGHT_DEFAULT	     10
#define WEIGHT_BOUND_DEFAULT 20
#define WEIGHT_MAX	     100

/* An index over the rows, built by one pass when it is made, kept by the calls below. */
struct tables;

/* NULL: no memory. Does not own inst. */
struct tables *tables_new(struct instance *inst);
void tables_free(struct tables *tables);

/* Slot of a VEC (port and proto 0) or service; 0: unknown. */
uint32_t tables_find(const struct tables *tables, const struct service_name *name);
/* Slot of the node at a service; 0: none. */
uint32_t tables_find_node(const struct tables *tables, uint32_t service, const struct in6_addr *addr);

/* What a row is called. */
struct service_name service_name_of(const struct instance *inst, uint32_t service);
struct in6_addr node_addr_of(const struct instance *inst, uint32_t node);

/* Walks, in the order of addresses and ports. *count rows of slots; valid until the next change.
 * VECs / services of a VEC (0: of all) / nodes of a service. */
const uint32_t *tables_vecs(struct tables *tables, unsigned int *count);
const uint32_t *tables_services(struct tables *tables, uint32_t vec, unsigned int *count);
const uint32_t *tables_nodes(struct tables *tables, uint32_t service, unsigned int *count);

/* Each carries out one spec (CMD_VEC_ADD, CMD_NODE_SET …): 0, or negative with *err filled and nothing
 * changed. */
int tables_apply(struct tables *tables, const struct spec *spec, struct error *err);

/* Take every address that a VEC claimed off its interface: first of all when an instance is removed. */
void tables_give_up_addresses(struct tables *tables);

/* What is kept of a VEC beside its row; all zero if there is none. */
struct vec_conf vec_conf_of(const struct instance *inst, uint32_t vec);

/* Effective timeouts of a service, in ms, indexed by enum conn_class. */
void service_timeouts(const struct instance *inst, uint32_t service, uint64_t ms[CLASS_COUNT]);

/* The weight with which a node takes part in the choice: 0 if it is quiesced, leaving or not up. */
uint32_t node_weight(const struct instance *inst, uint32_t node);
/* The node's counters, summed over all CPUs and user space. */
struct node_stats node_stats_total(const struct instance *inst, uint32_t node);
/* Is it known where to send the node's packets? */
bool node_up(const struct instance *inst, uint32_t node);
const struct hop *node_hop(const struct instance *inst, uint32_t node);
/* Positions of the walk in force: the node chosen last (slot, 0: none yet) and the eligible weight, of the
 * CPU that has gone farthest (¶27). */
void service_walk(struct tables *tables, uint32_t service, uint32_t *last_node, uint32_t *eligible_weight);

/* Ask the kernel anew for the way to the node, without waiting for a neighbour that is not known, and use it
 * where it differs. 0, or negative with *err filled. */
int tables_refresh_node(struct tables *tables, uint32_t node, struct error *err);

/* Set where a node's packets go, without asking the network: for tests and the bench, and for the neighbour
 * watcher. The service's choices are laid out anew if its eligibility changed. */
int tables_set_hop(struct tables *tables, uint32_t node, const struct hop *hop, struct error *err);

#endif

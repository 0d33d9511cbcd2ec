/* SPDX-License-Identifier: GPL-2.0-only */
/* Loops over the mapped connection table. */
#include "conntable.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

static uint64_t head_load(const struct conn *conn)
{
	return __atomic_load_n(&conn->head, __ATOMIC_ACQUIRE);
}

static bool wanted(const struct conn_filter *filter, uint64_t head, const struct conn *conn)
{
	return head_taken(head) && (!filter->node || head_node(head) == filter->node) &&
	       (!filter->service || lane_service(conn->lane) == filter->service);
}

/* Of a service that is still there, and not idle for too long. */
static bool alive(const struct instance *inst, const struct conn *conn, uint64_t head, uint32_t now)
{
	const struct service *service = &inst->services[lane_service(conn->lane)];

	return service->head & SERVICE_LIVE &&
	       inst->nodes[head_node(head)].service == lane_service(conn->lane) &&
	       !conn_expired(now, conn->seen, service->timeout[head_class(head)]);
}

static size_t slots(const struct instance *inst)
{
	return (size_t)inst->params->buckets * CONN_WAYS;
}

int conntable_each(const struct instance *inst, const struct conn_filter *filter,
		   int (*row)(const struct conn_row *row, void *arg), void *arg)
{
	const struct conn *conns = (const struct conn *)inst->conns;
	uint32_t now = instance_now(inst);

	for (size_t i = 0; i < slots(inst); i++) {
		uint64_t head = head_load(&conns[i]);
		struct conn copy = conns[i];
		struct conn_row out;
		int32_t idle;
		int ret;

		if (!wanted(filter, head, &copy) || !alive(inst, &copy, head, now))
			continue;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if ((head_load(&conns[i]) ^ head) & (~0ull << HEAD_NODE_SHIFT | HEAD_TURN_MASK))
			continue; /* changed hands while it was copied */
		idle = now - copy.seen;
		memcpy(&out.client, copy.client, sizeof(out.client));
		out.client_port = be16toh(lane_port(copy.lane));
		out.service = lane_service(copy.lane);
		out.node = head_node(head);
		out.state = head_class(head);
		out.idle_ms = instance_ms(inst, idle > 0 ? idle : 0);
		ret = row(&out, arg);
		if (ret)
			return ret;
	}
	return 0;
}

int conntable_count(const struct instance *inst, struct conn_counts *counts)
{
	static const struct conn_filter all;
	const struct conn *conns = (const struct conn *)inst->conns;
	uint32_t now = instance_now(inst);

	counts->total = 0;
	counts->active = calloc(NODE_SLOTS, sizeof(*counts->active));
	counts->fin = calloc(NODE_SLOTS, sizeof(*counts->fin));
	if (!counts->active || !counts->fin) {
		conntable_counts_free(counts);
		return -ENOMEM;
	}
	for (size_t i = 0; i < slots(inst); i++) {
		uint64_t head = head_load(&conns[i]);

		if (!wanted(&all, head, &conns[i]) || !alive(inst, &conns[i], head, now))
			continue;
		counts->total++;
		if (head_closing(head))
			counts->fin[head_node(head)]++;
		else
			counts->active[head_node(head)]++;
	}
	return 0;
}

void conntable_counts_free(struct conn_counts *counts)
{
	free(counts->active);
	free(counts->fin);
	counts->active = counts->fin = NULL;
}

/* Frees the entry if it (still) is one of those. A packet may move its state meanwhile: then look again. */
static bool purge_one(struct conn *conn, bool (*dead)(const struct conn *, uint64_t head, const void *arg),
		      const void *arg)
{
	__u64 head = head_load(conn);

	while (head_taken(head) && dead(conn, head, arg))
		if (__atomic_compare_exchange_n(&conn->head, &head, head_free(head), false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			return true;
	return false;
}

static bool dead_by_filter(const struct conn *conn, uint64_t head, const void *arg)
{
	return wanted(arg, head, conn);
}

static bool dead_by_removal(const struct conn *conn, uint64_t head, const void *arg)
{
	const struct instance *inst = arg;
	uint32_t service = lane_service(conn->lane), node = head_node(head);

	return inst->services[service].head == SERVICE_GONE || inst->nodes[node].service != service ||
	       inst->node_conf[node].flags & NODE_LEAVING;
}

static uint64_t purge(struct instance *inst,
		      bool (*dead)(const struct conn *, uint64_t head, const void *arg), const void *arg)
{
	uint64_t purged = 0;

	for (size_t i = 0; i < slots(inst); i++)
		purged += purge_one(&((struct conn *)inst->conns)[i], dead, arg);
	return purged;
}

uint64_t conntable_purge(struct instance *inst, const struct conn_filter *filter)
{
	return purge(inst, dead_by_filter, filter);
}

uint64_t conntable_purge_removed(struct instance *inst)
{
	return purge(inst, dead_by_removal, inst);
}

struct sweeper {
	struct instance *inst;
	uint32_t now;
	bool tight;
};

static bool dead_by_time(const struct conn *conn, uint64_t head, const void *arg)
{
	const struct sweeper *sweeper = arg;
	uint32_t class = head_class(head);
	uint32_t timeout = sweeper->inst->services[lane_service(conn->lane)].timeout[class];

	if (sweeper->tight && class != CLASS_ACTIVE)
		timeout /= 4;
	return conn_expired(sweeper->now, conn->seen, timeout);
}

struct sweep conntable_sweep(struct instance *inst, bool tight)
{
	struct node_stats *counters = &inst->node_stats[(size_t)inst->params->cpus * NODE_SLOTS];
	const struct sweeper sweeper = { inst, instance_now(inst), tight };
	struct conn *conns = (struct conn *)inst->conns;
	struct sweep sweep = { 0 };

	for (size_t i = 0; i < slots(inst); i++) {
		uint64_t head = head_load(&conns[i]);

		if (!head_taken(head))
			continue;
		sweep.taken++;
		if (!purge_one(&conns[i], dead_by_time, &sweeper))
			continue;
		sweep.purged++;
		counters[head_node(head)].completed += head_closing(head);
	}
	return sweep;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The gateway's daemon: one loop that waits for signals, changes of the network, and time. It frees
 * expired connections and keeps the nodes' MAC addresses fresh. Nothing of it lies on the way of a packet:
 * stopped or killed, it leaves the data plane forwarding.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "commands.h"
#include "conntable.h"
#include "net.h"
#include "tables.h"

#define TICK_SECONDS	1
#define REFRESH_SECONDS 15 /* in which every node is looked at once */
#define TIGHT_PERCENT	90 /* of the capacity: from here on space is given up early */

struct daemon {
	struct instance inst;
	struct tables *tables;
	uint32_t generation; /* that tables stands for */
	uint32_t next_node;  /* where the round of refreshing goes on */
	bool all_changed;    /* the network changed in a way that may concern every node */
	bool tight;
	int signals;
	int timer;
	int watch;
};

/* Under the lock: the index, rebuilt where another process changed the tables. */
static struct tables *tables_current(struct daemon *daemon)
{
	if (daemon->tables && daemon->generation == daemon->inst.params->generation)
		return daemon->tables;
	tables_free(daemon->tables);
	daemon->tables = tables_new(&daemon->inst);
	daemon->generation = daemon->inst.params->generation;
	return daemon->tables;
}

static bool is_node(const struct instance *inst, uint32_t slot)
{
	return inst->nodes[slot].service != NODE_UNUSED && !(inst->node_conf[slot].flags & NODE_LEAVING);
}

static void refresh_node(struct daemon *daemon, uint32_t slot)
{
	struct error err;

	if (tables_refresh_node(daemon->tables, slot, &err))
		error_print(stderr, &err, false);
}

/* Its traffic does not pass through the kernel, which would forget the neighbour, or believe for ever what it
 * knew. */
static void probe_node(struct daemon *daemon, uint32_t slot)
{
	const struct hop *hop = node_hop(&daemon->inst, slot);
	struct in6_addr addr = node_addr_of(&daemon->inst, slot);

	if (hop->kind == HOP_WIRE && !(daemon->inst.node_conf[slot].flags & NODE_MAC_FIXED))
		net_neighbour_probe(&addr, daemon->inst.ifaces[hop->iface].ifindex);
}

static void neighbour_changed(const struct in6_addr *neighbour, void *arg)
{
	struct daemon *daemon = arg;

	if (!neighbour) {
		daemon->all_changed = true;
		return;
	}
	for (uint32_t slot = 1; slot < NODE_SLOTS; slot++)
		if (is_node(&daemon->inst, slot) &&
		    !memcmp(daemon->inst.node_conf[slot].addr, neighbour, sizeof(*neighbour)))
			refresh_node(daemon, slot);
}

/* A share of the nodes each time, so that a thousand of them are not asked for at once; unresolved ones
 * always. */
static void refresh_some(struct daemon *daemon)
{
	uint32_t share = NODE_SLOTS * TICK_SECONDS / REFRESH_SECONDS + 1;

	if (daemon->all_changed)
		instance_refresh_ifaces(&daemon->inst);
	for (uint32_t slot = 1; slot < NODE_SLOTS; slot++) {
		bool turn = slot - daemon->next_node < share;

		if (!is_node(&daemon->inst, slot) ||
		    (!turn && !daemon->all_changed && node_up(&daemon->inst, slot)))
			continue;
		refresh_node(daemon, slot);
		if (turn)
			probe_node(daemon, slot);
	}
	daemon->all_changed = false;
	daemon->next_node += share;
	if (daemon->next_node >= NODE_SLOTS)
		daemon->next_node = 1;
}

static void sweep(struct daemon *daemon)
{
	uint64_t bound = (uint64_t)daemon->inst.params->connections * TIGHT_PERCENT / 100;
	struct sweep swept = conntable_sweep(&daemon->inst, daemon->tight);
	bool tight = swept.taken - swept.purged > bound;

	if (tight != daemon->tight)
		fputs(tight ? "xdp-vec: warning: the connection table is nearly full: space is given up "
			      "early\n"
			    : "xdp-vec: the connection table has room again\n",
		      stderr);
	daemon->tight = tight;
}

static int timer_open(void)
{
	const struct itimerspec every = { { TICK_SECONDS, 0 }, { TICK_SECONDS, 0 } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0 || timerfd_settime(fd, 0, &every, NULL))
		return -errno;
	return fd;
}

static int signals_open(void)
{
	sigset_t wanted;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	return signalfd(-1, &wanted, SFD_CLOEXEC);
}

/* Until a signal says stop: 0; or negative with *err filled. */
static int loop(struct daemon *daemon, struct error *err)
{
	struct pollfd fds[] = {
		{ .fd = daemon->signals, .events = POLLIN },
		{ .fd = daemon->timer, .events = POLLIN },
		{ .fd = daemon->watch, .events = POLLIN },
	};

	for (;;) {
		uint64_t expirations;

		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			return error_refuse(err, "the daemon", NULL, "cannot wait: %s", strerror(errno));
		if (fds[0].revents)
			return 0;
		if (instance_removed(&daemon->inst))
			return error_refuse(err, daemon->inst.name, "`xdp-vec attach IFACE` makes it again",
					    "this instance has been removed");
		instance_hold(&daemon->inst);
		if (!tables_current(daemon)) {
			instance_release(&daemon->inst);
			return error_refuse(err, "the daemon", NULL, "out of memory");
		}
		if (fds[2].revents)
			net_watch_read(daemon->watch, neighbour_changed, daemon);
		if (fds[1].revents || daemon->all_changed)
			refresh_some(daemon);
		instance_release(&daemon->inst);
		if (fds[1].revents && read(daemon->timer, &expirations, sizeof(expirations)) > 0)
			sweep(daemon);
	}
}

int cmd_run(const struct invocation *run, struct error *err)
{
	struct daemon daemon = {
		.next_node = 1, .all_changed = true, .signals = -1, .timer = -1, .watch = -1
	};
	int ret = instance_open(&daemon.inst, run->instance, true, err);

	if (ret)
		return ret;
	instance_release(&daemon.inst);
	daemon.signals = signals_open();
	daemon.timer = timer_open();
	daemon.watch = net_watch_open();
	if (daemon.signals < 0 || daemon.timer < 0 || daemon.watch < 0)
		ret = error_refuse(err, "the daemon", NULL, "cannot open its descriptors: %s",
				   strerror(errno));
	else
		ret = loop(&daemon, err);
	tables_free(daemon.tables);
	if (daemon.signals >= 0)
		close(daemon.signals);
	if (daemon.timer >= 0)
		close(daemon.timer);
	if (daemon.watch >= 0)
		close(daemon.watch);
	instance_close(&daemon.inst);
	return ret;
}

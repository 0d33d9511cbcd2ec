/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An instance's maps: made by loading the skeleton, or opened by their pins; mapped into memory either
 * way. Attaching and detaching are in attach.c.
 */
#include "instance.h"
#include "instance_pins.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "gateway.skel.h"

#define WAYS_PER_CONNECTION_NUM 5 /* at most 60 % of the slots are asked for */
#define WAYS_PER_CONNECTION_DEN 3
#define TICK_MS			64
#define UNTRACKED_MS		30000

#define STALE_MS_DEFAULT	8000000
#define FIN_MS_DEFAULT		90000
#define HALF_OPEN_MS_DEFAULT	60000
#define UDP_MS_DEFAULT		120000

/* ---- Memory ------------------------------------------------------------------------------------ */

struct mapping {
	void **at;
	size_t size;
};

/* One list of what is mapped, for mapping and unmapping alike. params must come first: sizes depend on it. */
static int mappings(struct instance *inst, struct mapping *list)
{
	size_t cpus = inst->params ? inst->params->cpus : 0;
	size_t buckets = inst->params ? inst->params->buckets : 0;
	const struct mapping all[] = {
		[PIN_params] = { (void **)&inst->params, sizeof(struct params) },
		[PIN_services] = { (void **)&inst->services, sizeof(struct services) },
		[PIN_service_conf] = { (void **)&inst->service_conf,
				       SERVICE_SLOTS * sizeof(struct service_conf) },
		[PIN_nodes] = { (void **)&inst->nodes, sizeof(struct nodes) },
		[PIN_node_conf] = { (void **)&inst->node_conf, NODE_SLOTS * sizeof(struct node_conf) },
		[PIN_choices] = { (void **)&inst->choices, CHOICE_SLOTS * sizeof(uint16_t) },
		[PIN_conns] = { (void **)&inst->conns, buckets * sizeof(struct bucket) },
		[PIN_ifaces] = { (void **)&inst->ifaces, sizeof(struct ifaces) },
		[PIN_cursors] = { (void **)&inst->cursors, cpus * sizeof(struct cursors) },
		[PIN_node_stats] = { (void **)&inst->node_stats,
				     (cpus + USER_ROWS) * NODE_SLOTS * sizeof(struct node_stats) },
		[PIN_iface_stats] = { (void **)&inst->iface_stats,
				      cpus * IFACE_SLOTS * sizeof(struct iface_stats) },
		[PIN_drop_stats] = { (void **)&inst->drop_stats, cpus * sizeof(struct drop_stats) },
	};

	memcpy(list, all, sizeof(all));
	return sizeof(all) / sizeof(all[0]);
}

static size_t whole_pages(size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

static int map_one(const struct mapping *mapping, int fd)
{
	void *at = mmap(NULL, whole_pages(mapping->size), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	*mapping->at = at;
	return 0;
}

/* fds by enum pin. */
static int map_all(struct instance *inst, const int fds[PIN_COUNT], struct error *err)
{
	struct mapping list[PIN_COUNT];
	int count, ret;

	mappings(inst, list);
	ret = map_one(&list[PIN_params], fds[PIN_params]);
	if (!ret)
		count = mappings(inst, list);
	for (int i = PIN_params + 1; !ret && i < count; i++)
		ret = map_one(&list[i], fds[i]);
	if (ret)
		return error_refuse(err, "cannot map the tables into memory", NULL, "%s", strerror(-ret));
	return 0;
}

static void unmap_all(struct instance *inst)
{
	struct mapping list[PIN_COUNT];
	int count = mappings(inst, list);

	for (int i = count - 1; i >= 0; i--) {
		if (*list[i].at)
			munmap(*list[i].at, whole_pages(list[i].size));
		*list[i].at = NULL;
	}
}

/* ---- The clock ----------------------------------------------------------------------------------- */

static uint32_t kernel_hz(void)
{
	struct timespec resolution;

	clock_getres(CLOCK_MONOTONIC_COARSE, &resolution);
	return (1000000000 + resolution.tv_nsec / 2) / resolution.tv_nsec;
}

uint32_t instance_now(const struct instance *inst)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	if (bpf_prog_test_run_opts(inst->clock_fd, &opts))
		return 0;
	return opts.retval;
}

uint32_t instance_ticks(const struct instance *inst, uint64_t ms)
{
	uint64_t tick_jiffies = 1ull << inst->params->tick_shift;
	uint64_t jiffies = (ms * inst->params->hz + 999) / 1000;
	uint64_t ticks = (jiffies + tick_jiffies - 1) / tick_jiffies;

	return ticks > INT32_MAX ? INT32_MAX : ticks;
}

uint64_t instance_ms(const struct instance *inst, uint32_t ticks)
{
	return ((uint64_t)ticks << inst->params->tick_shift) * 1000 / inst->params->hz;
}

/* ---- Making --------------------------------------------------------------------------------------- */

static int refuse_load(struct error *err, int ret)
{
	if (ret == -EPERM || ret == -EACCES)
		return error_refuse(err, "cannot load the data plane",
				    "run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
				    "the kernel does not permit it (%s)", strerror(-ret));
	if (ret == -ENOMEM || ret == -E2BIG)
		return error_refuse(err, "cannot load the data plane", "ask for fewer connections",
				    "not enough memory for the tables (%s)", strerror(-ret));
	return error_refuse(
		err, "cannot load the data plane",
		"Linux 6.1 or later with BPF, BTF and XDP is needed; -d shows what the kernel says", "%s",
		strerror(-ret));
}

/* What a program is told at its birth. */
static void tell_program(struct gateway *skel, const struct params *params)
{
	for (unsigned int i = 0; i < sizeof(params->keys) / sizeof(params->keys[0]); i++)
		skel->rodata->hash_keys[i] = params->keys[i];
	skel->rodata->conn_buckets = params->buckets;
	skel->rodata->tick_shift = params->tick_shift;
	skel->rodata->ticks_untracked = (UNTRACKED_MS / 1000 * params->hz >> params->tick_shift) + 1;
	bpf_map__set_max_entries(skel->maps.conns, params->buckets);
	bpf_map__set_max_entries(skel->maps.cursors, params->cpus);
	bpf_map__set_max_entries(skel->maps.node_stats, (params->cpus + USER_ROWS) * NODE_SLOTS);
	bpf_map__set_max_entries(skel->maps.iface_stats, params->cpus * IFACE_SLOTS);
	bpf_map__set_max_entries(skel->maps.drop_stats, params->cpus);
}

static void params_draw(struct params *params, uint32_t connections)
{
	struct stat netns;
	int cpus = libbpf_num_possible_cpus();
	uint64_t ways = (uint64_t)connections * WAYS_PER_CONNECTION_NUM / WAYS_PER_CONNECTION_DEN;

	memset(params, 0, sizeof(*params));
	if (getrandom(params->keys, sizeof(params->keys), 0) != sizeof(params->keys))
		abort(); /* cannot happen for 48 bytes, and predictable keys must never pass */
	for (int i = 2; i < 6; i++)
		params->keys[i] |= 1;
	if (!stat("/proc/self/ns/net", &netns))
		params->netns = netns.st_ino;
	params->hz = kernel_hz();
	while ((2u << params->tick_shift) * 1000 <= TICK_MS * params->hz)
		params->tick_shift++;
	params->cpus = cpus > 0 ? cpus : 1;
	params->buckets = ways / CONN_WAYS + 1;
	params->connections = connections;
	params->stale_ms = STALE_MS_DEFAULT;
	params->fin_ms = FIN_MS_DEFAULT;
	params->half_open_ms = HALF_OPEN_MS_DEFAULT;
	params->udp_ms = UDP_MS_DEFAULT;
}

struct bpf_map *skel_map(const struct gateway *skel, enum pin pin)
{
	switch (pin) {
	case PIN_params:
		return skel->maps.params;
	case PIN_services:
		return skel->maps.bss;
	case PIN_service_conf:
		return skel->maps.service_conf;
	case PIN_nodes:
		return skel->maps.nodes_table;
	case PIN_node_conf:
		return skel->maps.node_conf;
	case PIN_choices:
		return skel->maps.choices;
	case PIN_conns:
		return skel->maps.conns;
	case PIN_ifaces:
		return skel->maps.data_ifaces;
	case PIN_cursors:
		return skel->maps.cursors;
	case PIN_node_stats:
		return skel->maps.node_stats;
	case PIN_iface_stats:
		return skel->maps.iface_stats;
	case PIN_drop_stats:
		return skel->maps.drop_stats;
	case PIN_vec_conf:
		return skel->maps.vec_conf;
	case PIN_egress:
		return skel->maps.egress;
	case PIN_layout:
		return skel->maps.layout;
	default:
		return NULL;
	}
}

const char *const pin_names[PIN_COUNT] = {
#define X(name) [PIN_##name] = #name,
	PINS(X)
#undef X
};

int skel_load(const struct params *params, const int *reuse, struct gateway **out, struct error *err)
{
	struct gateway *skel = gateway__open();
	int ret = skel ? 0 : -errno;

	if (ret)
		return refuse_load(err, ret);
	tell_program(skel, params);
	for (int pin = 0; reuse && !ret && pin < PIN_COUNT; pin++)
		if (skel_map(skel, pin))
			ret = bpf_map__reuse_fd(skel_map(skel, pin), reuse[pin]);
	if (!ret)
		ret = gateway__load(skel);
	if (ret) {
		gateway__destroy(skel);
		return refuse_load(err, ret);
	}
	*out = skel;
	return 0;
}

static void instance_init(struct instance *inst)
{
	memset(inst, 0, sizeof(*inst));
	inst->lock_fd = inst->vec_conf_fd = inst->egress_fd = inst->gateway_fd = inst->clock_fd = -1;
}

int instance_make(struct instance *inst, uint32_t connections, struct error *err)
{
	const uint32_t only = 0, version = LAYOUT_VERSION;
	struct params params;
	int fds[PIN_COUNT];
	int ret;

	instance_init(inst);
	params_draw(&params, connections);
	ret = skel_load(&params, NULL, &inst->skel, err);
	if (ret)
		return ret;
	for (int pin = 0; pin < PIN_COUNT; pin++)
		fds[pin] = skel_map(inst->skel, pin) ? bpf_map__fd(skel_map(inst->skel, pin)) : -1;
	if (bpf_map_update_elem(fds[PIN_params], &only, &params, BPF_ANY) ||
	    bpf_map_update_elem(fds[PIN_layout], &only, &version, BPF_ANY))
		ret = error_refuse(err, "cannot fill the tables", NULL, "%s", strerror(errno));
	else
		ret = map_all(inst, fds, err);
	if (ret) {
		instance_close(inst);
		return ret;
	}
	inst->services[0].head = SERVICE_FREE; /* slot 0 is no service, but a probe goes on behind it */
	inst->vec_conf_fd = dup(fds[PIN_vec_conf]);
	inst->egress_fd = dup(fds[PIN_egress]);
	inst->gateway_fd = dup(bpf_program__fd(inst->skel->progs.gateway));
	inst->clock_fd = dup(bpf_program__fd(inst->skel->progs.tell_tick));
	return 0;
}

/* ---- Opening --------------------------------------------------------------------------------------- */

int pin_open(const char *instance, const char *pin)
{
	char path[PIN_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/%s", PINS_ROOT, instance, pin);
	return bpf_obj_get(path);
}

static int refuse_open(struct error *err, const char *name, int ret)
{
	if (ret == -ENOENT)
		return error_refuse(err, name, "xdp-vec attach IFACE makes it", "there is no such instance");
	if (ret == -EACCES || ret == -EPERM)
		return error_refuse(err, name, "run as root", "the kernel does not permit it (%s)",
				    strerror(-ret));
	return error_refuse(err, name, NULL, "cannot open the pins of this instance: %s", strerror(-ret));
}

static int check_layout(int fd, const char *name, struct error *err)
{
	const uint32_t only = 0;
	uint32_t version = 0;

	if (!bpf_map_lookup_elem(fd, &only, &version) && version == LAYOUT_VERSION)
		return 0;
	return error_refuse(err, name,
			    "let it go on with the xdp-vec that made it, or `xdp-vec detach` with that one "
			    "and attach anew",
			    "its tables have layout %u, this xdp-vec knows layout %u", version,
			    LAYOUT_VERSION);
}

static bool at_home(const struct instance *inst)
{
	struct stat netns;

	return stat("/proc/self/ns/net", &netns) || netns.st_ino == inst->params->netns;
}

const char *instance_ifname(const struct instance *inst, uint32_t slot, char *buf)
{
	uint32_t ifindex = inst->ifaces[slot].ifindex;

	if (!at_home(inst) || !if_indextoname(ifindex, buf))
		snprintf(buf, IF_NAMESIZE, "#%u", ifindex);
	return buf;
}

static int check_netns(const struct instance *inst, const char *name, struct error *err)
{
	if (at_home(inst))
		return 0;
	return error_refuse(
		err, name,
		"run it there: nsenter --net=/run/netns/NAME xdp-vec …, or choose another instance with -i",
		"this instance lives in another network namespace");
}

int instance_lock(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX)) {
		if (errno == EINTR)
			continue;
		close(fd);
		return -errno;
	}
	return fd;
}

int instance_open(struct instance *inst, const char *name, bool lock, struct error *err)
{
	char dir[PIN_PATH_MAX];
	int fds[PIN_COUNT];
	int ret = 0;

	instance_init(inst);
	for (int pin = 0; pin < PIN_COUNT; pin++)
		fds[pin] = -1;
	snprintf(inst->name, sizeof(inst->name), "%s", name);
	snprintf(dir, sizeof(dir), "%s/%s", PINS_ROOT, name);
	if (access(dir, F_OK))
		return refuse_open(err, name, -errno);
	if (lock) {
		inst->lock_fd = instance_lock(dir);
		if (inst->lock_fd < 0)
			return refuse_open(err, name, inst->lock_fd);
	}
	for (int pin = PIN_COUNT - 1; !ret && pin >= 0; pin--) {
		fds[pin] = pin_open(name, pin_names[pin]);
		if (fds[pin] < 0)
			ret = refuse_open(err, name, -errno);
		else if (pin == PIN_layout)
			ret = check_layout(fds[pin], name, err);
	}
	if (!ret)
		ret = map_all(inst, fds, err);
	if (!ret && lock)
		ret = check_netns(inst, name, err);
	inst->vec_conf_fd = fds[PIN_vec_conf];
	inst->egress_fd = fds[PIN_egress];
	inst->gateway_fd = fds[PIN_gateway];
	inst->clock_fd = fds[PIN_clock];
	for (int pin = 0; pin < PIN_vec_conf; pin++)
		if (fds[pin] >= 0)
			close(fds[pin]);
	if (fds[PIN_layout] >= 0)
		close(fds[PIN_layout]);
	if (ret)
		instance_close(inst);
	return ret;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void instance_close(struct instance *inst)
{
	if (inst->params)
		unmap_all(inst);
	gateway__destroy(inst->skel);
	inst->skel = NULL;
	close_one(&inst->vec_conf_fd);
	close_one(&inst->egress_fd);
	close_one(&inst->gateway_fd);
	close_one(&inst->clock_fd);
	close_one(&inst->lock_fd);
}

void instance_hold(const struct instance *inst)
{
	while (flock(inst->lock_fd, LOCK_EX) && errno == EINTR)
		;
}

void instance_release(const struct instance *inst)
{
	flock(inst->lock_fd, LOCK_UN);
}

bool instance_removed(const struct instance *inst)
{
	struct stat now, ours;
	char dir[PIN_PATH_MAX];

	snprintf(dir, sizeof(dir), "%s/%s", PINS_ROOT, inst->name);
	return stat(dir, &now) || fstat(inst->lock_fd, &ours) || now.st_ino != ours.st_ino;
}

void instance_settle(void)
{
	/* Waits for all CPUs to pass a point where no packet is being worked on. Where CPUs without a timer
	 * forbid it, the longest that a packet can take has passed many times over. */
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000 * 1000 }, NULL);
}

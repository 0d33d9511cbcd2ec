/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a packet costs. Each row is the time of (driver + subject) minus the time of (driver + floor), floor
 * and subject in turn, several rounds, on one CPU: the median of the differences, with the least and the
 * greatest. The driver writes a fresh packet each time and tail-calls the subject; the floor swaps the MAC
 * addresses and sends.
 *
 * Timings never fail the run. What fails it: something that cannot be measured, or a packet that is not
 * treated as the row says.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conntable.h"
#include "hash.h"
#include "print.h"
#include "state.h"
#include "tables.h"

#include "driver.skel.h"

#define ROUNDS	   7
#define REPEAT	   2000000u
#define FLOWS_MAX  1000000u
#define FRAME_SIZE 128
#define CAPACITY   1000000u
#define LO_IFINDEX 1
/* Of a million flows at 60 % of the slots as many may find no place, or lose it to another that only began.
 */
#define PLACELESS_MAX (FLOWS_MAX / 10000)

extern char **environ;

static struct driver *driver;
static struct print *out;
static bool json;
static int failures;

static void failed(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	failures++;
}

/* ---- Rows -------------------------------------------------------------------------------------------- */

static int order(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return left < right ? -1 : left > right;
}

struct figures {
	double min;
	double median;
	double max;
};

static struct figures figures_of(double *values, int count)
{
	qsort(values, count, sizeof(*values), order);
	return (struct figures){ values[0], values[count / 2], values[count - 1] };
}

/* limit and aim: 0 where there is none. higher: more is better. */
static void row(const char *name, const char *unit, struct figures figures, double limit, double aim,
		bool higher)
{
	double median = figures.median;
	bool in_limit = higher ? median >= limit : median <= limit,
	     in_aim = higher ? median >= aim : median <= aim;

	print_row(out);
	print_text(out, "row", name);
	print_text(out, "unit", unit);
	print_real(out, "min", figures.min);
	print_real(out, "median", median);
	print_real(out, "max", figures.max);
	if (limit > 0)
		print_real(out, "limit", limit);
	else
		print_null(out, "limit");
	if (aim > 0)
		print_real(out, "aim", aim);
	else
		print_null(out, "aim");
	print_text(out, "verdict",
		   limit <= 0	       ? NULL
		   : in_aim && aim > 0 ? "within aim"
		   : in_limit	       ? "within limit"
				       : "OVER");
}

static double round_to(double value, double step)
{
	return (double)(long long)(value / step + (value < 0 ? -0.5 : 0.5)) * step;
}

static struct figures rounded(struct figures figures, double step)
{
	return (struct figures){ round_to(figures.min, step), round_to(figures.median, step),
				 round_to(figures.max, step) };
}

/* ---- The rig ------------------------------------------------------------------------------------------- */

struct rig {
	struct instance inst;
	struct tables *tables;
};

static const uint8_t gateway_mac[6] = { 2, 0, 0, 0, 0, 1 }, client_mac[6] = { 2, 0, 0, 0, 0, 0x99 };

static void apply(struct rig *rig, const char *format, ...)
{
	char line[256], *words[32], *save = NULL;
	struct spec spec;
	struct error err;
	va_list args;
	int count = 0;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (char *word = strtok_r(line, " ", &save); word && count < 32; word = strtok_r(NULL, " ", &save))
		words[count++] = word;
	if (spec_parse(count, (const char *const *)words, &spec, &err) ||
	    tables_apply(rig->tables, &spec, &err)) {
		error_print(stderr, &err, false);
		exit(1);
	}
}

/* A node that is never asked for, under a MAC of its own; nobody answers there. */
static void node(struct rig *rig, const char *addr, const char *service, unsigned int weight)
{
	apply(rig, "node add %s at %s weight %u mac 02:00:00:00:01:01 dev bench0", addr, service, weight);
}

static void rig_make(struct rig *rig)
{
	struct error err;
	struct iface *iface;

	if (instance_make(&rig->inst, CAPACITY, &err)) {
		error_print(stderr, &err, false);
		exit(1);
	}
	rig->tables = tables_new(&rig->inst);
	iface = &rig->inst.ifaces[LO_IFINDEX];
	memcpy(&iface->mac_start, gateway_mac, 4);
	memcpy(&iface->mac_end, gateway_mac + 4, 2);
	iface->ifindex = LO_IFINDEX;
	iface->attached = 1;
	apply(rig, "vec add 10.0.0.100");
	apply(rig, "port add 10.0.0.100:80/tcp");
	apply(rig, "vec add fd00::100");
	apply(rig, "port add [fd00::100]:80/tcp");
}

static void rig_free(struct rig *rig)
{
	tables_free(rig->tables);
	instance_close(&rig->inst);
}

/* All nodes of the services leave by that interface slot. */
static void hops_set(struct rig *rig, uint16_t iface)
{
	for (uint32_t slot = 1; slot < NODE_SLOTS; slot++) {
		struct hop hop = { .dst_mac = { 2, 0, 0, 0, 1, slot & 0xff },
				   .iface = iface,
				   .kind = HOP_WIRE };
		struct error err;

		if (rig->inst.nodes[slot].service == NODE_UNUSED)
			continue;
		memcpy(hop.src_mac, gateway_mac, 6);
		if (tables_set_hop(rig->tables, slot, &hop, &err))
			error_print(stderr, &err, false);
	}
}

static void table_empty(struct rig *rig)
{
	memset(rig->inst.conns, 0, (size_t)rig->inst.params->buckets * sizeof(struct bucket));
}

static uint16_t checksum(const uint8_t *bytes, int count)
{
	uint32_t sum = 0;

	for (int i = 0; i < count; i += 2)
		sum += bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

/* The driver changes the client's address after this: the checksum is right for the first flow only, and
 * nobody on this path looks at it. */
static void template_set(bool v6, uint8_t tcp_flags, uint8_t last_byte)
{
	uint8_t *frame = (uint8_t *)driver->bss->template;
	uint8_t *ip = frame + 14, *tcp;

	memset(frame, 0, sizeof(driver->bss->template));
	memcpy(frame, gateway_mac, 6);
	memcpy(frame + 6, client_mac, 6);
	frame[12] = v6 ? 0x86 : 0x08;
	frame[13] = v6 ? 0xdd : 0x00;
	if (v6) {
		ip[0] = 0x60;
		ip[5] = 20;
		ip[6] = 6;
		ip[7] = 64;
		inet_pton(AF_INET6, "2001:db8::", ip + 8);
		inet_pton(AF_INET6, "fd00::", ip + 24);
		ip[38] = 1;
		ip[39] = last_byte == 100 ? 0 : last_byte;
		tcp = ip + 40;
		driver->bss->client_at = 14 + 8 + 12;
	} else {
		uint16_t sum;

		ip[0] = 0x45;
		ip[3] = 40;
		ip[8] = 64;
		ip[9] = 6;
		ip[12] = 11;
		ip[16] = 10;
		ip[19] = last_byte;
		sum = checksum(ip, 20);
		memcpy(ip + 10, &sum, 2);
		tcp = ip + 20;
		driver->bss->client_at = 14 + 12;
	}
	driver->bss->port_at = tcp - frame;
	tcp[3] = 80;
	tcp[12] = 0x50;
	tcp[13] = tcp_flags;
}

#define SYN FLAG_SYN
#define ACK FLAG_ACK

/* Nanoseconds a packet; the last packet must have met with this action. */
static double run(int subject, uint32_t flows, uint32_t repeat, uint32_t action)
{
	static uint8_t frame[FRAME_SIZE], answer[FRAME_SIZE];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .data_out = answer, .data_size_out = sizeof(answer), .repeat = repeat);
	const uint32_t only = 0;

	driver->bss->next_flow = 0;
	driver->data->flows = flows;
	if (bpf_map_update_elem(bpf_map__fd(driver->maps.subject), &only, &subject, BPF_ANY) ||
	    bpf_prog_test_run_opts(bpf_program__fd(driver->progs.driver), &opts)) {
		failed("cannot run the driver: %s", strerror(errno));
		return 0;
	}
	if (opts.retval != action)
		failed("a packet met with action %u instead of %u", opts.retval, action);
	return opts.duration;
}

static int floor_fd(void)
{
	return bpf_program__fd(driver->progs.floor_tx);
}

static uint64_t connections_made(const struct rig *rig)
{
	uint64_t total = 0;

	for (uint32_t slot = 1; slot < NODE_SLOTS; slot++)
		if (rig->inst.nodes[slot].service != NODE_UNUSED)
			total += node_stats_total(&rig->inst, slot).connections;
	return total;
}

static struct figures above_floor(struct rig *rig, uint32_t flows, uint32_t action)
{
	double values[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		double below = run(floor_fd(), flows, REPEAT, XDP_TX);

		values[i] = run(rig->inst.gateway_fd, flows, REPEAT, action) - below;
	}
	return figures_of(values, ROUNDS);
}

/* ---- Rows of the packet path ------------------------------------------------------------------------------
 */

/* SYN and ACK of each flow, so that the ACKs that follow are of established connections. */
static void establish(struct rig *rig, bool v6, uint32_t flows)
{
	uint64_t before = connections_made(rig);

	table_empty(rig);
	template_set(v6, SYN, 100);
	run(rig->inst.gateway_fd, flows, flows, XDP_TX);
	template_set(v6, ACK, 100);
	run(rig->inst.gateway_fd, flows, flows, XDP_TX);
	if (connections_made(rig) - before != flows)
		failed("%u flows made %llu entries", flows,
		       (unsigned long long)(connections_made(rig) - before));
}

static void rows_established(struct rig *rig)
{
	static const struct {
		const char *name;
		bool v6;
		uint32_t flows;
		double limit, aim;
	} rows[] = {
		{ "established IPv4, 1 flow", false, 1, 25, 15 },
		{ "established IPv4, 1 k flows", false, 1000, 30, 18 },
		{ "established IPv4, 100 k flows", false, 100000, 200, 150 },
		{ "established IPv4, 1 M flows", false, 1000000, 250, 190 },
		{ "established IPv6, 1 flow", true, 1, 30, 18 },
		{ "established IPv6, 1 k flows", true, 1000, 30, 18 },
		{ "established IPv6, 100 k flows", true, 100000, 200, 150 },
		{ "established IPv6, 1 M flows", true, 1000000, 250, 190 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		establish(rig, rows[i].v6, rows[i].flows);
		row(rows[i].name, "ns", above_floor(rig, rows[i].flows, XDP_TX), rows[i].limit, rows[i].aim,
		    false);
	}
}

static void row_floor(void)
{
	double values[ROUNDS];

	template_set(false, ACK, 100);
	for (int i = 0; i < ROUNDS; i++)
		values[i] = run(floor_fd(), 1, REPEAT, XDP_TX);
	row("floor (driver, swap MACs, XDP_TX)", "ns", figures_of(values, ROUNDS), 0, 0, false);
}

/* What one access to memory costs here, at the least, for a table of that size: the rows with many flows
 * cannot be faster than one of these, unless packets overlap. */
static void row_memory(const struct rig *rig)
{
	size_t size = (size_t)rig->inst.params->buckets * sizeof(struct bucket);
	uint32_t count = 200000, *at = malloc(count * sizeof(*at));
	volatile uint8_t *memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	double values[ROUNDS];

	if (memory == MAP_FAILED || !at) {
		free(at);
		failed("no memory for the reference row");
		return;
	}
	madvise((void *)memory, size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < size; i += 4096)
		memory[i] = 1;
	srandom(1);
	for (uint32_t i = 0; i < count; i++)
		at[i] = (uint64_t)random() * rig->inst.params->buckets >> 31;
	for (int i = 0; i < ROUNDS; i++) {
		struct timespec begin, end;
		size_t last = 0;

		clock_gettime(CLOCK_MONOTONIC, &begin);
		for (uint32_t k = 0; k < count; k++) /* each address depends on what was read before */
			last = memory[at[k] * sizeof(struct bucket) + (last & 2)];
		clock_gettime(CLOCK_MONOTONIC, &end);
		values[i] = ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / count;
	}
	row("reference: one random access to such a table", "ns", rounded(figures_of(values, ROUNDS), 1), 0,
	    0, false);
	munmap((void *)memory, size);
	free(at);
}

static void row_new(struct rig *rig)
{
	double values[ROUNDS];

	template_set(false, SYN, 100);
	for (int i = 0; i < ROUNDS; i++) {
		double below;

		table_empty(rig);
		below = run(floor_fd(), FLOWS_MAX, FLOWS_MAX, XDP_TX);
		values[i] = run(rig->inst.gateway_fd, FLOWS_MAX, FLOWS_MAX, XDP_TX) - below;
	}
	row("new TCP connection, stored, 1 M", "ns", figures_of(values, ROUNDS), 300, 220, false);
}

static void row_nobody(struct rig *rig)
{
	template_set(false, ACK, 99);
	row("packet for nobody", "ns", above_floor(rig, 1, XDP_PASS), 10, 6, false);
}

static void row_redirect(struct rig *rig)
{
	struct bpf_devmap_val egress = { .ifindex = LO_IFINDEX };
	double values[ROUNDS];
	uint32_t slot = 2;

	if (bpf_map_update_elem(rig->inst.egress_fd, &slot, &egress, BPF_ANY)) {
		failed("cannot fill the devmap: %s", strerror(errno));
		return;
	}
	establish(rig, false, 1);
	for (int i = 0; i < ROUNDS; i++) {
		double same;

		hops_set(rig, LO_IFINDEX);
		same = run(rig->inst.gateway_fd, 1, REPEAT, XDP_TX);
		hops_set(rig, 2);
		values[i] = run(rig->inst.gateway_fd, 1, REPEAT, XDP_REDIRECT) - same;
	}
	hops_set(rig, LO_IFINDEX);
	row("extra for another interface", "ns", figures_of(values, ROUNDS), 45, 30, false);
}

/* ---- Growth, memory, user space ---------------------------------------------------------------------------
 */

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

/* The same packets through a small and a grown instance, in turn: the ratio of the whole times. */
static struct figures ratio(struct rig *grown, struct rig *small)
{
	double values[ROUNDS];

	establish(grown, false, 1000);
	establish(small, false, 1000);
	for (int i = 0; i < ROUNDS; i++) {
		double less = run(small->inst.gateway_fd, 1000, REPEAT, XDP_TX);

		values[i] = run(grown->inst.gateway_fd, 1000, REPEAT, XDP_TX) / less;
	}
	return rounded(figures_of(values, ROUNDS), 0.001);
}

static void rows_growth(struct rig *small)
{
	double values[ROUNDS];
	struct rig grown;

	rig_make(&grown);
	node(&grown, "10.0.1.1", "10.0.0.100:80/tcp", 1);
	hops_set(&grown, LO_IFINDEX);
	for (int port = 1; port <= 10000; port++)
		apply(&grown, "port add 10.0.0.100:%d/udp", port);
	row("10 000 services against 1", "ratio", ratio(&grown, small), 1.1, 0, false);
	for (int i = 0; i < ROUNDS; i++) {
		double begin = now_ms();

		apply(&grown, "node set 10.0.1.1 at 10.0.0.100:80/tcp weight %d", 2 + i);
		values[i] = now_ms() - begin;
	}
	row("weight change with 10 000 services", "ms", rounded(figures_of(values, ROUNDS), 0.001), 1, 0,
	    false);
	rig_free(&grown);

	rig_make(&grown);
	for (int i = 0; i < 1000; i++)
		apply(&grown, "node add 10.0.%d.%d at 10.0.0.100:80/tcp mac 02:00:00:00:01:01 dev bench0",
		      1 + i / 250, 1 + i % 250);
	hops_set(&grown, LO_IFINDEX);
	row("1 000 nodes against 1", "ratio", ratio(&grown, small), 1.1, 0, false);
	rig_free(&grown);
}

static void rows_user_space(struct rig *rig)
{
	double scans[ROUNDS], sweeps[ROUNDS];
	double bytes =
		(double)rig->inst.params->buckets * sizeof(struct bucket) / rig->inst.params->connections;

	row("memory for one connection of capacity", "bytes",
	    rounded((struct figures){ bytes, bytes, bytes }, 0.1), 64, 0, false);
	establish(rig, false, FLOWS_MAX);
	for (int i = 0; i < ROUNDS; i++) {
		struct conn_counts counts;
		struct sweep swept;
		double begin = now_ms();

		if (conntable_count(&rig->inst, &counts))
			failed("cannot count");
		scans[i] = now_ms() - begin;
		if (counts.total + PLACELESS_MAX < FLOWS_MAX)
			failed("%llu entries instead of %u", (unsigned long long)counts.total, FLOWS_MAX);
		conntable_counts_free(&counts);
		begin = now_ms();
		swept = conntable_sweep(&rig->inst, false);
		sweeps[i] = now_ms() - begin;
		if (swept.taken + PLACELESS_MAX < FLOWS_MAX || swept.purged)
			failed("the sweep found %llu and purged %llu", (unsigned long long)swept.taken,
			       (unsigned long long)swept.purged);
	}
	row("count of 1 M entries", "ms", rounded(figures_of(scans, ROUNDS), 0.1), 30, 0, false);
	row("sweep of 1 M entries", "ms", rounded(figures_of(sweeps, ROUNDS), 0.1), 30, 0, false);
}

/* ---- Churn at full capacity
 * -------------------------------------------------------------------------------- */

/*
 * The table as full as it was asked for, of connections that carried data, and then ten times as many that
 * come while as many go: the share that found no place. Through the real program; connections go by a cleared
 * head.
 */
static void row_untracked(struct rig *rig)
{
	struct drop_stats *stats = rig->inst.drop_stats;
	const uint32_t ways = rig->inst.params->buckets * CONN_WAYS;
	struct conn *conns = (struct conn *)rig->inst.conns;
	uint64_t untracked = 0, more = 0, displaced = 0;

	table_empty(rig);
	for (uint32_t cpu = 0; cpu < rig->inst.params->cpus; cpu++)
		untracked += stats[cpu].untracked;
	template_set(false, SYN, 100);
	driver->bss->first_flow = 0;
	run(rig->inst.gateway_fd, CAPACITY, CAPACITY, XDP_TX);
	srandom(2);
	for (uint32_t round = 1; round <= 50; round++) {
		/* A fiftieth of all goes, a fiftieth comes, and every survivor carried data. */
		uint64_t made = connections_made(rig), before = 0, after = 0;
		uint32_t gone = 0;

		for (uint32_t i = 0; i < ways; i++)
			if (head_taken(conns[i].head))
				conns[i].head |= (uint64_t)(STATE_DATA | CLASS_ACTIVE) << HEAD_STATE_SHIFT;
		while (gone < CAPACITY / 50) {
			struct conn *conn = &conns[(uint64_t)random() * ways >> 31];

			if (!head_taken(conn->head))
				continue;
			conn->head = head_free(conn->head);
			gone++;
		}
		driver->bss->first_flow = CAPACITY + (round - 1) * (CAPACITY / 50);
		for (uint32_t i = 0; i < ways; i++)
			before += head_taken(conns[i].head);
		run(rig->inst.gateway_fd, CAPACITY / 50, CAPACITY / 50, XDP_TX);
		for (uint32_t i = 0; i < ways; i++)
			after += head_taken(conns[i].head);
		displaced += connections_made(rig) - made - (after - before);
	}
	driver->bss->first_flow = 0;
	for (uint32_t cpu = 0; cpu < rig->inst.params->cpus; cpu++)
		more += stats[cpu].untracked;
	row("untracked under churn at full capacity", "percent",
	    (struct figures){ 0, (more - untracked + displaced) * 100.0 / CAPACITY, 0 }, 0.01, 0.003, false);
}

/* ---- veth at full rate
 * --------------------------------------------------------------------------------------- */

static int shell(const char *command)
{
	char *const argv[] = { "sh", "-c", (char *)command, NULL };
	int status = -1;
	pid_t pid;

	if (posix_spawnp(&pid, "sh", NULL, NULL, argv, environ) || waitpid(pid, &status, 0) < 0)
		return -1;
	return status;
}

/* Packets a second that come back to the sender, which sends as fast as it can through a veth pair to the
 * program. */
static double veth_rate(int subject, uint32_t sender, uint32_t receiver, uint32_t packets)
{
	static uint8_t frame[FRAME_SIZE];
	struct xdp_md ctx = { .data_end = sizeof(frame), .ingress_ifindex = sender };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = packets, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
	double begin, took;

	if (bpf_xdp_attach(receiver, subject, XDP_FLAGS_DRV_MODE, NULL)) {
		failed("cannot attach to the veth: %s", strerror(errno));
		return 0;
	}
	driver->bss->next_flow = 0;
	driver->data->flows = 1000;
	driver->bss->sunk = 0;
	begin = now_ms();
	if (bpf_prog_test_run_opts(bpf_program__fd(driver->progs.generator), &opts))
		failed("cannot send: %s", strerror(errno));
	took = now_ms() - begin;
	bpf_xdp_detach(receiver, XDP_FLAGS_DRV_MODE, NULL);
	if (driver->bss->sunk < packets - packets / 100)
		failed("of %u packets only %llu came back", packets, (unsigned long long)driver->bss->sunk);
	return driver->bss->sunk / took * 1e3;
}

/* The same from a socket, as the frames of a real host come: each is an skb that the veth turns into a frame.
 */
static double socket_rate(int subject, uint32_t sender, uint32_t receiver, uint32_t packets)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = sender };
	struct mmsghdr batch[64];
	struct iovec part = { driver->bss->template, sizeof(driver->bss->template) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), on = 1;
	double begin, took;

	memset(batch, 0, sizeof(batch));
	for (int i = 0; i < 64; i++)
		batch[i].msg_hdr = (struct msghdr){
			.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &part, .msg_iovlen = 1
		};
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) ||
	    bpf_xdp_attach(receiver, subject, XDP_FLAGS_DRV_MODE, NULL)) {
		failed("cannot send from a socket: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return 0;
	}
	driver->bss->sunk = 0;
	begin = now_ms();
	for (uint32_t sent = 0; sent < packets;) {
		int count = sendmmsg(fd, batch, 64, 0);

		if (count <= 0) {
			failed("cannot send: %s", strerror(errno));
			break;
		}
		sent += count;
	}
	took = now_ms() - begin;
	bpf_xdp_detach(receiver, XDP_FLAGS_DRV_MODE, NULL);
	close(fd);
	return driver->bss->sunk / took * 1e3;
}

static void row_socket(struct rig *rig, uint32_t sender, uint32_t receiver)
{
	double shares[ROUNDS], rates[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		double below = socket_rate(floor_fd(), sender, receiver, REPEAT / 4);

		rates[i] = socket_rate(rig->inst.gateway_fd, sender, receiver, REPEAT / 4);
		shares[i] = rates[i] / below;
		rates[i] /= 1e6;
	}
	row("veth at full rate, sent by a socket", "Mpps", rounded(figures_of(rates, ROUNDS), 0.01), 0, 0,
	    true);
	row("  share of the floor's", "ratio", rounded(figures_of(shares, ROUNDS), 0.001), 0.95, 0, true);
}

static void row_veth(struct rig *rig)
{
	double shares[ROUNDS], rates[ROUNDS];
	uint32_t sender, receiver;
	struct error err;
	int slot;

	sender = if_nametoindex("bench0");
	receiver = if_nametoindex("bench1");
	slot = instance_iface_slot(&rig->inst, receiver, &err);
	if (slot < 0 ||
	    bpf_xdp_attach(sender, bpf_program__fd(driver->progs.sink), XDP_FLAGS_DRV_MODE, NULL)) {
		failed("cannot use the veth pair");
		return;
	}
	rig->inst.ifaces[slot].attached = 1;
	establish(rig, false, 1000);
	hops_set(rig, slot);
	for (int i = 0; i < ROUNDS; i++) {
		double below = veth_rate(floor_fd(), sender, receiver, REPEAT);

		rates[i] = veth_rate(rig->inst.gateway_fd, sender, receiver, REPEAT);
		shares[i] = rates[i] / below;
		rates[i] /= 1e6;
	}
	row("veth at full rate, sent by XDP", "Mpps", rounded(figures_of(rates, ROUNDS), 0.01), 0, 0, true);
	row("  share of the floor's", "ratio", rounded(figures_of(shares, ROUNDS), 0.001), 0.95, 0, true);
	row_socket(rig, sender, receiver);
}

int main(int argc, char **argv)
{
	cpu_set_t cpus;
	struct rig rig;

	json = argc > 1 && !strcmp(argv[1], "--json");
	if (argc > 2 || (argc == 2 && !json)) {
		fprintf(stderr, "usage: bench [--json]\n");
		return 1;
	}
	/* A namespace of its own: for the veth pair, and so that lo is number 1. */
	if (unshare(CLONE_NEWNET)) {
		failed("needs root: %s", strerror(errno));
		return 1;
	}
	if (shell("ip link set lo up && ip link add bench0 type veth peer name bench1 && ip link set bench0 "
		  "up && "
		  "ip link set bench1 address 02:00:00:00:00:01 up")) {
		failed("cannot make a veth pair");
		return 1;
	}
	CPU_ZERO(&cpus);
	CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	driver = driver__open_and_load();
	if (!driver) {
		failed("cannot load the driver: %s", strerror(errno));
		return 1;
	}
	rig_make(&rig);
	node(&rig, "10.0.1.1", "10.0.0.100:80/tcp", 1);
	node(&rig, "fd00::1", "[fd00::100]:80/tcp", 1);
	hops_set(&rig, LO_IFINDEX);
	out = print_new(stdout, json, true);
	row_floor();
	row_memory(&rig);
	rows_established(&rig);
	row_new(&rig);
	row_nobody(&rig);
	row_redirect(&rig);
	rows_growth(&rig);
	rows_user_space(&rig);
	row_untracked(&rig);
	row_veth(&rig);
	print_free(out);
	rig_free(&rig);
	driver__destroy(driver);
	return failures ? 1 : 0;
}

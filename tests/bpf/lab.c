/* SPDX-License-Identifier: GPL-2.0-only */
#include "lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "conntable.h"
#include "spec.h"

#define WORDS_MAX 32
#define MACS	  (2 * ETH_ALEN)
#define LO_INDEX  1
#define LO_SLOT	  (LO_INDEX % IFACE_SLOTS)

struct instance inst;
struct tables *tables;

static cpu_set_t cpus_allowed;
static uint32_t ingress_index, ingress_slot;
static const uint8_t node_macs[ETH_ALEN - 1] = { 0x02, 0x00, 0x5e, 0x10, 0x01 };

void shell(const char *format, ...)
{
	char command[512];
	va_list args;
	int status;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	status = system(command);
	cr_assert(zero(int, status), "`%s` failed", command);
}

int lab_use_cpu(int n)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		cpu_set_t only;

		if (!CPU_ISSET(cpu, &cpus_allowed) || n--)
			continue;
		CPU_ZERO(&only);
		CPU_SET(cpu, &only);
		cr_assert(zero(int, sched_setaffinity(0, sizeof(only), &only)));
		return cpu;
	}
	return -1;
}

/* BPF_PROG_TEST_RUN lets packets come in by lo, which therefore plays the gateway's network card. */
static void enter_lo(void)
{
	struct error err;
	int slot = instance_iface_slot(&inst, LO_INDEX, &err);

	cr_assert(eq(int, slot, LO_SLOT), "%s: %s", err.what, err.why);
	inst.ifaces[slot].attached = 1;
	lab_ingress(LO_INDEX, LO_SLOT);
}

void lab_raise(uint32_t connections)
{
	struct error err;

	if (geteuid() != 0)
		cr_skip_test("needs root, to load the data plane");
	cr_assert(zero(int, sched_getaffinity(0, sizeof(cpus_allowed), &cpus_allowed)));
	cr_assert(zero(int, unshare(CLONE_NEWNET)), "unshare: %s", strerror(errno));
	shell("ip link set lo address 02:00:5e:10:00:fe up && ip route add 10.0.0.0/24 dev lo && ip -6 route "
	      "add 2001:db8:0:1::/64 dev "
	      "lo");
	lab_use_cpu(0);
	cr_assert(zero(int, instance_make(&inst, connections, &err)), "%s: %s", err.what, err.why);
	enter_lo();
	tables = tables_new(&inst);
	cr_assert(ne(ptr, tables, NULL));
}

void lab_end(void)
{
	if (!tables)
		return;
	cr_assert(not(counters_moved_elsewhere(&inst)), "a counter of a node that does not exist has moved");
	tables_free(tables);
	instance_close(&inst);
}

/* ---- tables ---- */

void apply(const char *format, ...)
{
	char line[256], *rest = line;
	const char *words[WORDS_MAX];
	struct spec spec;
	struct error err;
	va_list args;
	int count = 0;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	while (rest && count < WORDS_MAX)
		words[count++] = strsep(&rest, " ");
	cr_assert(zero(int, spec_parse(count, words, &spec, &err)), "%s: %s", err.what, err.why);
	cr_assert(zero(int, tables_apply(tables, &spec, &err)), "%s: %s", err.what, err.why);
}

static struct service_name service_named(const char *service)
{
	struct service_name name;

	cr_assert(zero(int, service_parse(service, &name)), "%s", service);
	return name;
}

uint32_t service_slot(const char *service)
{
	struct service_name name = service_named(service);
	uint32_t slot = tables_find(tables, &name);

	cr_assert(ne(u32, slot, 0), "no service %s", service);
	return slot;
}

const char *node_address(const char *service, unsigned int number)
{
	static char text[ADDR_TEXT_MAX];

	snprintf(text, sizeof(text), service[0] == '[' ? "2001:db8:0:1::%u" : "10.0.0.%u", 10 + number);
	return text;
}

static uint32_t find_node(uint32_t service, bool v6, unsigned int number)
{
	struct in6_addr addr;

	cr_assert(zero(int, addr_parse(node_address(v6 ? "[" : "", number), &addr)));
	return tables_find_node(tables, service, &addr);
}

uint32_t node_slot(const char *service, unsigned int number)
{
	uint32_t slot = find_node(service_slot(service), service[0] == '[', number);

	cr_assert(ne(u32, slot, 0), "no node %u at %s", number, service);
	cr_assert(lt(u32, slot, NODES_WATCHED), "a slot beyond those whose counters are compared");
	return slot;
}

struct hop hop_to(unsigned int number)
{
	struct hop hop = { .iface = LO_SLOT, .kind = HOP_WIRE };

	memcpy(hop.dst_mac, node_macs, sizeof(node_macs));
	hop.dst_mac[ETH_ALEN - 1] = number;
	memcpy(hop.src_mac, gateway_mac, ETH_ALEN);
	return hop;
}

void node_set_hop(const char *service, unsigned int number, const struct hop *hop)
{
	struct error err;

	cr_assert(zero(int, tables_set_hop(tables, node_slot(service, number), hop, &err)), "%s: %s",
		  err.what, err.why);
}

uint32_t node_add(const char *service, unsigned int number, unsigned int weight)
{
	struct hop hop = hop_to(number);

	apply("node add %s at %s weight %u mac 02:00:5e:10:01:%02x", node_address(service, number), service,
	      weight, number);
	node_set_hop(service, number, &hop);
	return node_slot(service, number);
}

/* ---- packets ---- */

void lab_ingress(uint32_t ifindex, uint32_t slot)
{
	ingress_index = ifindex;
	ingress_slot = slot;
}

static bool frame_is_v6(const struct frame *frame)
{
	return frame->bytes[frame->l3 - 1] == 0xdd;
}

/* Slot of the service that a frame is for, 0: none. Its headers are where frame_build() put them. */
static uint32_t service_of(const struct frame *frame)
{
	const uint8_t *l3 = frame->bytes + frame->l3, *l4 = frame->bytes + frame->l4;
	struct service_name name = { .port = l4[2] << 8 | l4[3] };

	if (frame_is_v6(frame)) {
		memcpy(&name.addr, l3 + 24, 16);
		name.proto = l3[6];
	} else {
		name.addr.s6_addr[10] = name.addr.s6_addr[11] = 0xff;
		memcpy(name.addr.s6_addr + 12, l3 + 16, 4);
		name.proto = l3[9];
	}
	return tables_find(tables, &name);
}

static uint32_t ip_length_of(const struct frame *frame)
{
	const uint8_t *l3 = frame->bytes + frame->l3;

	return frame_is_v6(frame) ? 40u + (l3[4] << 8 | l3[5]) : (uint32_t)(l3[2] << 8 | l3[3]);
}

static bool by_wire(enum verdict verdict)
{
	return verdict == VERDICT_tx || verdict == VERDICT_redirect;
}

static enum xdp_action action_of(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_tx:
		return XDP_TX;
	case VERDICT_redirect:
		return XDP_REDIRECT;
	case VERDICT_drop:
		return XDP_DROP;
	default:
		return XDP_PASS;
	}
}

/* Returns the number of the node by whose MAC the frame went out. */
static unsigned int check_bytes(int line, struct effect effect, const struct frame *in,
				const struct frame *out)
{
	uint32_t at = 0;

	cr_assert(eq(u32, out->length, in->length), "line %d: the frame has another length", line);
	if (by_wire(effect.verdict)) {
		cr_assert(zero(int, memcmp(out->bytes, node_macs, sizeof(node_macs))),
			  "line %d: sent to a MAC address of no node", line);
		cr_assert(zero(int, memcmp(out->bytes + ETH_ALEN, gateway_mac, ETH_ALEN)),
			  "line %d: sent from another MAC address than the gateway's", line);
	}
	if (effect.verdict != VERDICT_pass && effect.verdict != VERDICT_local)
		at = MACS;
	for (; at < in->length; at++)
		cr_assert(eq(u8, out->bytes[at], in->bytes[at]), "line %d: byte %u was changed", line, at);
	return by_wire(effect.verdict) ? out->bytes[ETH_ALEN - 1] : 0;
}

static void count_effect(struct counters *counters, struct effect effect, const struct frame *in,
			 unsigned int number)
{
	uint32_t service = service_of(in);

	counters->verdict[ingress_slot][effect.verdict]++;
	if (effect.verdict == VERDICT_drop)
		counters->drop[effect.reason]++;
	if (number && effect.verdict != VERDICT_drop && effect.verdict != VERDICT_pass) {
		struct node_stats *stats = &counters->node[find_node(service, frame_is_v6(in), number)];

		stats->packets++;
		stats->bytes += ip_length_of(in);
	}
	if (effect.opens)
		counters->node[find_node(service, frame_is_v6(in), number)].connections++;
	if (effect.completes_at)
		counters->node[find_node(service, frame_is_v6(in), effect.completes_at)].completed++;
	counters->untracked += effect.untracked;
}

unsigned int lab_send_frame(int line, struct effect effect, const struct frame *frame)
{
	static struct outcome outcome;
	struct counters expected, actual;
	unsigned int number;
	const char *difference;

	counters_read(&inst, &expected);
	frame_run(&inst, ingress_index, frame, &outcome);
	counters_read(&inst, &actual);
	if (outcome.action != (int)action_of(effect.verdict)) {
		difference = counters_differ(&actual, &expected);
		cr_fatal("line %d: XDP action %d and not %d; %s before", line, outcome.action,
			 action_of(effect.verdict), difference ? difference : "all counters as");
	}
	number = check_bytes(line, effect, frame, &outcome.frame);
	if (effect.node && by_wire(effect.verdict))
		cr_assert(eq(uint, number, effect.node), "line %d: sent to another node", line);
	count_effect(&expected, effect, frame, effect.node ? effect.node : number);
	difference = counters_differ(&actual, &expected);
	cr_assert(eq(ptr, (void *)difference, NULL), "line %d: %s", line, difference);
	return number;
}

unsigned int lab_send(int line, struct effect effect, const struct packet *packet)
{
	static struct frame frame;

	frame_build(&frame, packet);
	return lab_send_frame(line, effect, &frame);
}

/* ---- connections ---- */

struct key {
	struct in6_addr client;
	uint32_t service;
	uint16_t port; /* host order */
};

/* Of any address, also of those that addr_parse() refuses. */
static struct in6_addr addr_of(const char *text)
{
	struct in6_addr addr = { .s6_addr = { [10] = 0xff, [11] = 0xff } };
	bool v6 = strchr(text, ':');

	cr_assert(eq(int, inet_pton(v6 ? AF_INET6 : AF_INET, text, v6 ? addr.s6_addr : addr.s6_addr + 12), 1),
		  "%s", text);
	return addr;
}

static struct key key_of(const struct packet *packet)
{
	struct packet full = packet_whole(packet);
	struct service_name name = { .port = full.to_port, .proto = full.proto };
	struct key key = { .port = full.from_port };

	name.addr = addr_of(full.to);
	key.client = addr_of(full.from);
	key.service = tables_find(tables, &name);
	return key;
}

struct conn *lab_entry(const struct packet *packet)
{
	struct key key = key_of(packet);
	struct conn *ways = (struct conn *)inst.conns, *found = NULL;

	for (uint32_t i = 0; i < inst.params->buckets * CONN_WAYS; i++) {
		if (!head_taken(ways[i].head) || memcmp(ways[i].client, &key.client, sizeof(key.client)) ||
		    lane_service(ways[i].lane) != key.service || ntohs(lane_port(ways[i].lane)) != key.port)
			continue;
		cr_assert(eq(ptr, found, NULL), "the connection of port %u has two entries", key.port);
		found = &ways[i];
	}
	return found;
}

struct sought {
	struct key key;
	struct conn_row row;
	int hits;
};

static int seek(const struct conn_row *row, void *arg)
{
	struct sought *sought = arg;

	if (memcmp(&row->client, &sought->key.client, sizeof(row->client)) ||
	    row->client_port != sought->key.port || row->service != sought->key.service)
		return 0;
	sought->row = *row;
	sought->hits++;
	return 0;
}

void lab_expect_state(int line, uint32_t state, const struct packet *packet)
{
	static const struct conn_filter any;
	struct sought sought = { .key = key_of(packet) };
	struct conn *conn = lab_entry(packet);

	conntable_each(&inst, &any, seek, &sought);
	if (state == NONE) {
		cr_assert(eq(ptr, conn, NULL), "line %d: the connection has an entry", line);
		cr_assert(eq(int, sought.hits, 0), "line %d: the connection is listed", line);
		return;
	}
	cr_assert(ne(ptr, conn, NULL), "line %d: the connection has no entry", line);
	cr_assert(eq(u32, head_state(conn->head), state), "line %d: state of the connection", line);
	cr_assert(eq(int, sought.hits, 1), "line %d: not listed once", line);
	cr_assert(eq(u32, sought.row.state, state & STATE_CLASS_MASK), "line %d: listed state", line);
	cr_assert(eq(u32, sought.row.node, head_node(conn->head)), "line %d: listed node", line);
}

void entry_age(struct conn *conn, uint64_t ms)
{
	cr_assert(ne(ptr, conn, NULL));
	conn->seen = instance_now(&inst) - instance_ticks(&inst, ms);
}

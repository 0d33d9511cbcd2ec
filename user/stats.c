/* SPDX-License-Identifier: GPL-2.0-only */
/* Counters of the mapped tables as Prometheus text. Families in one list, each written whole. */
#include "stats.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <string.h>

#include "commands.h"
#include "conntable.h"
#include "verdict.h"

static const char *const verdict_names[] = {
#define X(name, meaning) #name,
	VERDICTS(X)
#undef X
};

static const char *const drop_names[] = {
#define X(name, meaning) #name,
	DROPS(X)
#undef X
};

static void family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* ---- Of the whole gateway -------------------------------------------------------------------------- */

static void write_build(FILE *out)
{
	family(out, "xdpvec_build_info", "gauge", "Always 1; the version is in the label.");
	fprintf(out, "xdpvec_build_info{version=\"%s\"} 1\n", XDPVEC_VERSION);
}

static void write_interfaces(FILE *out, const struct instance *inst)
{
	family(out, "xdpvec_interface_packets_total", "counter", "Packets received, by what became of them.");
	for (uint32_t slot = 0; slot < IFACE_SLOTS; slot++) {
		char ifname[IF_NAMESIZE];

		if (!inst->ifaces[slot].attached)
			continue;
		instance_ifname(inst, slot, ifname);
		for (int verdict = 0; verdict < VERDICT_COUNT; verdict++) {
			uint64_t total = 0;

			for (uint32_t cpu = 0; cpu < inst->params->cpus; cpu++)
				total += inst->iface_stats[cpu * IFACE_SLOTS + slot].verdict[verdict];
			fprintf(out,
				"xdpvec_interface_packets_total{interface=\"%s\",verdict=\"%s\"} %" PRIu64
				"\n",
				ifname, verdict_names[verdict], total);
		}
	}
}

static void write_drops(FILE *out, const struct instance *inst)
{
	uint64_t untracked = 0;

	family(out, "xdpvec_drops_total", "counter", "Packets dropped, by reason.");
	for (int reason = 0; reason < DROP_COUNT; reason++) {
		uint64_t total = 0;

		for (uint32_t cpu = 0; cpu < inst->params->cpus; cpu++)
			total += inst->drop_stats[cpu].drop[reason];
		fprintf(out, "xdpvec_drops_total{reason=\"%s\"} %" PRIu64 "\n", drop_names[reason], total);
	}
	for (uint32_t cpu = 0; cpu < inst->params->cpus; cpu++)
		untracked += inst->drop_stats[cpu].untracked;
	family(out, "xdpvec_untracked_packets_total", "counter",
	       "Packets forwarded by hash, since their flow found no place in the connection table.");
	fprintf(out, "xdpvec_untracked_packets_total %" PRIu64 "\n", untracked);
}

static void write_connections(FILE *out, const struct instance *inst, const struct conn_counts *counts)
{
	family(out, "xdpvec_connections", "gauge", "Entries in the connection table.");
	fprintf(out, "xdpvec_connections %" PRIu64 "\n", counts->total);
	family(out, "xdpvec_connections_capacity", "gauge", "Connections that the table was made for.");
	fprintf(out, "xdpvec_connections_capacity %" PRIu32 "\n", inst->params->connections);
}

/* ---- Of a node of a service ------------------------------------------------------------------------ */

struct node_view {
	const struct instance *inst;
	const struct conn_counts *counts;
	uint32_t node;
	struct node_stats stats;
};

static uint64_t packets(const struct node_view *view)
{
	return view->stats.packets;
}

static uint64_t bytes(const struct node_view *view)
{
	return view->stats.bytes;
}

static uint64_t connections(const struct node_view *view)
{
	return view->stats.connections;
}

static uint64_t completed(const struct node_view *view)
{
	return view->stats.completed;
}

static uint64_t active(const struct node_view *view)
{
	return view->counts->active[view->node];
}

static uint64_t fin(const struct node_view *view)
{
	return view->counts->fin[view->node];
}

static uint64_t weight(const struct node_view *view)
{
	return node_weight(view->inst, view->node);
}

static uint64_t up(const struct node_view *view)
{
	return node_up(view->inst, view->node);
}

/* A family with help follows on its own lines; one without continues the family before it, with one more
 * label. */
static const struct node_family {
	const char *name;
	const char *type;
	const char *help;
	const char *label;
	uint64_t (*value)(const struct node_view *view);
} node_families[] = {
	{ "xdpvec_node_packets_total", "counter", "Packets sent to the node.", "", packets },
	{ "xdpvec_node_bytes_total", "counter", "Bytes of IP packets sent to the node.", "", bytes },
	{ "xdpvec_node_connections_total", "counter", "Connections given to the node.", "", connections },
	{ "xdpvec_node_connections_completed_total", "counter",
	  "Connections of the node that were closed or reset and have left the table.", "", completed },
	{ "xdpvec_node_connections", "gauge", "Connections of the node in the table, by state.",
	  ",state=\"active\"", active },
	{ "xdpvec_node_connections", "gauge", NULL, ",state=\"fin\"", fin },
	{ "xdpvec_node_weight", "gauge", "Weight in force; 0 takes no new connections.", "", weight },
	{ "xdpvec_node_up", "gauge", "1: packets can be sent to the node.", "", up },
};

static void write_node(FILE *out, const struct node_family *of, const struct node_view *view)
{
	struct service_name service = service_name_of(view->inst, view->inst->nodes[view->node].service);
	struct in6_addr addr = node_addr_of(view->inst, view->node);
	char vec[ADDR_TEXT_MAX], node[ADDR_TEXT_MAX];

	fprintf(out, "%s{vec=\"%s\",port=\"%u\",proto=\"%s\",node=\"%s\"%s} %" PRIu64 "\n", of->name,
		addr_text(&service.addr, vec), service.port, proto_text(service.proto),
		addr_text(&addr, node), of->label, of->value(view));
}

static void write_nodes(FILE *out, const struct instance *inst, struct tables *tables,
			const struct conn_counts *counts)
{
	for (size_t i = 0; i < sizeof(node_families) / sizeof(node_families[0]); i++) {
		const struct node_family *of = &node_families[i];
		unsigned int ports;
		const uint32_t *slots = tables_services(tables, 0, &ports);

		if (of->help)
			family(out, of->name, of->type, of->help);
		for (unsigned int port = 0; port < ports; port++) {
			unsigned int nodes;
			const uint32_t *list = tables_nodes(tables, slots[port], &nodes);

			for (unsigned int k = 0; k < nodes; k++)
				write_node(out, of,
					   &(struct node_view){ inst, counts, list[k],
								node_stats_total(inst, list[k]) });
		}
	}
}

int stats_write(FILE *out, struct instance *inst, struct tables *tables)
{
	struct conn_counts counts;
	int ret = conntable_count(inst, &counts);

	if (ret)
		return ret;
	write_build(out);
	write_interfaces(out, inst);
	write_drops(out, inst);
	write_connections(out, inst, &counts);
	write_nodes(out, inst, tables, &counts);
	conntable_counts_free(&counts);
	return fflush(out) || ferror(out) ? -EIO : 0;
}

int cmd_stats(const struct invocation *run, struct error *err)
{
	struct instance inst;
	struct tables *tables;
	int ret = instance_open(&inst, run->instance, false, err);

	if (ret)
		return ret;
	tables = tables_new(&inst);
	ret = tables ? stats_write(stdout, &inst, tables) : -ENOMEM;
	if (ret)
		error_refuse(err, "statistics", NULL, "%s", strerror(-ret));
	tables_free(tables);
	instance_close(&inst);
	return ret;
}

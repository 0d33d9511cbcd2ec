/* SPDX-License-Identifier: GPL-2.0-only */
/* Commands on a whole instance: attach, detach, status. */
#include <errno.h>
#include <string.h>

#include "commands.h"
#include "conntable.h"
#include "net.h"
#include "print.h"
#include "tables.h"

static void warn(const char *line)
{
	fprintf(stderr, "xdp-vec: warning: %s\n", line);
}

int cmd_attach(const struct invocation *run, struct error *err)
{
	return instance_attach(run->instance, &run->spec, warn, err);
}

/* Addresses first: without the tables the host would answer clients with resets. */
static int give_up_addresses(const struct invocation *run, struct error *err)
{
	struct instance inst;
	struct tables *tables;
	int ret = instance_open(&inst, run->instance, true, err);

	if (ret)
		return ret;
	tables = tables_new(&inst);
	if (tables)
		tables_give_up_addresses(tables);
	else
		ret = error_refuse(err, run->instance, NULL, "out of memory");
	tables_free(tables);
	instance_close(&inst);
	return ret;
}

int cmd_detach(const struct invocation *run, struct error *err)
{
	int ret = run->spec.iface_count ? 0 : give_up_addresses(run, err);

	return ret ? ret : instance_detach(run->instance, &run->spec, err);
}

/* ---- status ------------------------------------------------------------------------------------------ */

static void status_summary(struct print *print, const struct instance *inst, struct tables *tables,
			   const struct conn_counts *counts)
{
	unsigned int vecs, ports, nodes = 0;
	const uint32_t *slots;

	tables_vecs(tables, &vecs);
	slots = tables_services(tables, 0, &ports);
	for (unsigned int i = 0; i < ports; i++) {
		unsigned int count;

		tables_nodes(tables, slots[i], &count);
		nodes += count;
	}
	print_row(print);
	print_text(print, "instance", inst->name);
	print_text(print, "role", "single");
	print_uint(print, "vecs", vecs);
	print_uint(print, "ports", ports);
	print_uint(print, "nodes", nodes);
	print_uint(print, "connections", counts->total);
	print_uint(print, "capacity", inst->params->connections);
}

/* What is wrong, one line each, until there is nothing to tell. */
static unsigned int status_troubles(const struct instance *inst, struct tables *tables,
				    const struct conn_counts *counts, const struct attachment *rows,
				    int attached, void (*tell)(const char *what, const char *why, void *arg),
				    void *arg)
{
	char what[SERVICE_TEXT_MAX + ADDR_TEXT_MAX + 8], text[SERVICE_TEXT_MAX];
	unsigned int ports, troubles = 0;
	const uint32_t *slots;

	for (int i = 0; i < attached; i++) {
		struct link_info link;

		if (!rows[i].ifindex) {
			tell(rows[i].ifname, "this interface has gone", arg);
			troubles++;
		} else if (!net_link_by_index(rows[i].ifindex, &link) && !link.up) {
			tell(rows[i].ifname, "this interface is down", arg);
			troubles++;
		}
	}
	if (!attached) {
		tell(inst->name, "not attached to any interface", arg);
		troubles++;
	}
	slots = tables_services(tables, 0, &ports);
	for (unsigned int i = 0; i < ports; i++) {
		struct service_name name = service_name_of(inst, slots[i]);
		unsigned int count;
		const uint32_t *nodes = tables_nodes(tables, slots[i], &count);

		service_text(&name, text);
		if (!(inst->services[slots[i]].choice >> 32)) {
			tell(text,
			     count ? "no node takes connections: each has weight 0, is quiesced or not up"
				   : "has no nodes",
			     arg);
			troubles++;
		}
		for (unsigned int k = 0; k < count; k++) {
			struct in6_addr addr = node_addr_of(inst, nodes[k]);
			char node[ADDR_TEXT_MAX];

			if (node_up(inst, nodes[k]))
				continue;
			snprintf(what, sizeof(what), "%s at %s", addr_text(&addr, node), text);
			tell(what, "does not answer on the link: takes no traffic", arg);
			troubles++;
		}
	}
	if (counts->total > inst->params->connections) {
		tell("connections", "more than the table was made for: some flows may find no place", arg);
		troubles++;
	}
	return troubles;
}

static void tell_plain(const char *what, const char *why, void *arg)
{
	(void)arg;
	printf("! %s: %s\n", what, why);
}

static void tell_json(const char *what, const char *why, void *arg)
{
	struct print *print = arg;

	print_row(print);
	print_text(print, "trouble", what);
	print_text(print, "why", why);
}

static void status_interface(struct print *print, const struct attachment *row)
{
	print_row(print);
	print_text(print, "interface", row->ifname);
	print_text(print, "mode", !row->ifindex ? "gone" : row->native ? "native" : "generic");
}

int cmd_status(const struct invocation *run, struct error *err)
{
	struct attachment rows[IFACE_SLOTS];
	struct conn_counts counts = { 0 };
	struct tables *tables = NULL;
	struct instance inst;
	struct print *print;
	int attached, ret;

	ret = instance_open(&inst, run->instance, false, err);
	if (ret)
		return ret;
	tables = tables_new(&inst);
	attached = instance_attachments(&inst, rows, IFACE_SLOTS);
	if (!tables || attached < 0 || conntable_count(&inst, &counts)) {
		ret = error_refuse(err, run->instance, NULL, "cannot be read");
		goto out;
	}
	print = print_new(stdout, run->json, run->pretty);
	status_summary(print, &inst, tables, &counts);
	if (!run->json) {
		print_free(print);
		putchar('\n');
		print = print_new(stdout, false, false);
	}
	for (int i = 0; i < attached; i++)
		status_interface(print, &rows[i]);
	if (run->json) {
		status_troubles(&inst, tables, &counts, rows, attached, tell_json, print);
		print_free(print);
	} else {
		print_free(print);
		putchar('\n');
		if (!status_troubles(&inst, tables, &counts, rows, attached, tell_plain, NULL))
			puts("nothing is wrong");
	}
out:
	conntable_counts_free(&counts);
	tables_free(tables);
	instance_close(&inst);
	return ret;
}

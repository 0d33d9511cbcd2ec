/* SPDX-License-Identifier: GPL-2.0-only */
/* Commands on VECs, ports, nodes and connections: open the instance, change it or show its rows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "conntable.h"
#include "print.h"
#include "tables.h"

struct session {
	struct instance inst;
	struct tables *tables;
};

static int session_begin(struct session *session, const struct invocation *run, bool write, struct error *err)
{
	int ret = instance_open(&session->inst, run->instance, write, err);

	if (ret)
		return ret;
	session->tables = tables_new(&session->inst);
	if (session->tables)
		return 0;
	instance_close(&session->inst);
	return error_refuse(err, run->instance, NULL, "out of memory");
}

static void session_end(struct session *session)
{
	tables_free(session->tables);
	instance_close(&session->inst);
}

/* Done as asked, yet not what the operator hopes for. */
static void warn_unresolved(struct session *session, const struct spec *spec)
{
	const uint32_t *ports;
	unsigned int count;
	char text[ADDR_TEXT_MAX];

	ports = tables_services(session->tables, 0, &count);
	for (unsigned int i = 0; i < count; i++) {
		uint32_t node = tables_find_node(session->tables, ports[i], &spec->addr);

		if (!node || node_up(&session->inst, node))
			continue;
		fprintf(stderr,
			"xdp-vec: warning: %s: does not answer on the link: it takes no traffic until it "
			"does\n"
			"xdp-vec: hint: `ip neigh` shows it; `node set %s` asks again, `mac` needs no "
			"answer\n",
			addr_text(&spec->addr, text), text);
		return;
	}
}

int cmd_apply(const struct invocation *run, struct error *err)
{
	struct session session;
	int ret = session_begin(&session, run, true, err);

	if (ret)
		return ret;
	ret = tables_apply(session.tables, &run->spec, err);
	if (!ret && (run->spec.command == CMD_NODE_ADD || run->spec.command == CMD_NODE_SET))
		warn_unresolved(&session, &run->spec);
	session_end(&session);
	return ret;
}

static int print_end(struct print *print, struct error *err)
{
	int ret = print_free(print);

	return ret ? error_refuse(err, "standard output", NULL, "%s", strerror(-ret)) : 0;
}

static bool given(const struct invocation *run, enum spec_field field)
{
	return run->spec.given & 1u << field;
}

/* The service that `at` names, or 0 for all. */
static int service_meant(const struct session *session, const struct invocation *run, uint32_t *service,
			 struct error *err)
{
	char text[SERVICE_TEXT_MAX];

	*service = 0;
	if (!given(run, FIELD_SERVICE))
		return 0;
	*service = tables_find(session->tables, &run->spec.service);
	if (*service)
		return 0;
	return error_refuse(err, service_text(&run->spec.service, text), "`port show` lists what there is",
			    "there is no such port");
}

/* ---- vec, defaults ---------------------------------------------------------------------------------- */

static const char *text_or_null(const char *text)
{
	return text[0] ? text : NULL;
}

static void print_ms(struct print *print, const char *key, uint64_t ms)
{
	if (ms)
		print_uint(print, key, ms);
	else
		print_null(print, key);
}

int cmd_vec_show(const struct invocation *run, struct error *err)
{
	struct session session;
	const uint32_t *vecs;
	struct print *print;
	unsigned int count;
	int ret = session_begin(&session, run, false, err);

	if (ret)
		return ret;
	print = print_new(stdout, run->json, run->pretty);
	vecs = tables_vecs(session.tables, &count);
	for (unsigned int i = 0; i < count; i++) {
		struct service_name name = service_name_of(&session.inst, vecs[i]);
		struct vec_conf conf = vec_conf_of(&session.inst, vecs[i]);
		char text[ADDR_TEXT_MAX];
		unsigned int ports;

		tables_services(session.tables, vecs[i], &ports);
		print_row(print);
		print_text(print, "vec", addr_text(&name.addr, text));
		print_text(print, "name", text_or_null(conf.name));
		print_text(print, "dev", text_or_null(conf.dev));
		print_bool(print, "claimed", conf.claimed);
		print_ms(print, "stale_timeout_ms", conf.stale_ms);
		print_ms(print, "fin_timeout_ms", conf.fin_ms);
		print_uint(print, "ports", ports);
	}
	ret = print_end(print, err);
	session_end(&session);
	return ret;
}

int cmd_defaults_show(const struct invocation *run, struct error *err)
{
	struct instance inst;
	struct print *print;
	int ret = instance_open(&inst, run->instance, false, err);

	if (ret)
		return ret;
	print = print_new(stdout, run->json, run->pretty);
	print_row(print);
	print_uint(print, "stale_timeout_ms", inst.params->stale_ms);
	print_uint(print, "fin_timeout_ms", inst.params->fin_ms);
	print_uint(print, "half_open_ms", inst.params->half_open_ms);
	print_uint(print, "udp_timeout_ms", inst.params->udp_ms);
	ret = print_end(print, err);
	instance_close(&inst);
	return ret;
}

/* ---- port ------------------------------------------------------------------------------------------- */

static void print_service(struct print *print, const struct instance *inst, uint32_t service)
{
	struct service_name name = service_name_of(inst, service);
	char text[ADDR_TEXT_MAX];

	print_text(print, "vec", addr_text(&name.addr, text));
	print_uint(print, "port", name.port);
	print_text(print, "proto", proto_text(name.proto));
}

static void print_node_addr(struct print *print, const char *key, const struct instance *inst, uint32_t node)
{
	struct in6_addr addr = node_addr_of(inst, node);
	char text[ADDR_TEXT_MAX];

	print_text(print, key, node ? addr_text(&addr, text) : NULL);
}

static void port_row(struct session *session, struct print *print, uint32_t port)
{
	const struct instance *inst = &session->inst;
	uint32_t last_node, eligible, max_weight = 0;
	uint64_t ms[CLASS_COUNT];
	const uint32_t *nodes;
	unsigned int count;

	nodes = tables_nodes(session->tables, port, &count);
	for (unsigned int i = 0; i < count; i++)
		if (node_weight(inst, nodes[i]) > max_weight)
			max_weight = node_weight(inst, nodes[i]);
	service_timeouts(inst, port, ms);
	service_walk(session->tables, port, &last_node, &eligible);
	print_row(print);
	print_service(print, inst, port);
	print_uint(print, "nodes", count);
	print_uint(print, "stale_timeout_ms", ms[CLASS_ACTIVE]);
	print_uint(print, "fin_timeout_ms", ms[CLASS_FIN]);
	print_uint(print, "weight_bound", inst->service_conf[port].weight_bound);
	print_uint(print, "max_weight", max_weight);
	print_node_addr(print, "last_node", inst, last_node);
	print_uint(print, "eligible_weight", eligible);
}

int cmd_port_show(const struct invocation *run, struct error *err)
{
	struct session session;
	const uint32_t *ports;
	struct print *print;
	unsigned int count;
	int ret = session_begin(&session, run, false, err);

	if (ret)
		return ret;
	print = print_new(stdout, run->json, run->pretty);
	ports = tables_services(session.tables, 0, &count);
	for (unsigned int i = 0; i < count; i++)
		port_row(&session, print, ports[i]);
	ret = print_end(print, err);
	session_end(&session);
	return ret;
}

/* ---- node ------------------------------------------------------------------------------------------- */

static void print_way(struct print *print, const struct instance *inst, uint32_t node)
{
	const struct hop *hop = node_hop(inst, node);
	const struct node_conf *conf = &inst->node_conf[node];
	char ifname[IF_NAMESIZE], mac[MAC_TEXT_MAX];

	if (hop->kind == HOP_WIRE) {
		print_text(print, "mac", mac_text(hop->dst_mac, mac));
		print_text(print, "dev", instance_ifname(inst, hop->iface, ifname));
		return;
	}
	print_text(print, "mac", conf->flags & NODE_MAC_FIXED ? mac_text(conf->mac, mac) : NULL);
	print_text(print, "dev", hop->kind == HOP_LOCAL ? "lo" : text_or_null(conf->dev));
}

static void node_row(const struct instance *inst, const struct conn_counts *counts, struct print *print,
		     uint32_t node)
{
	const struct node_conf *conf = &inst->node_conf[node];
	struct node_stats total = node_stats_total(inst, node);

	print_row(print);
	print_service(print, inst, inst->nodes[node].service);
	print_node_addr(print, "node", inst, node);
	print_way(print, inst, node);
	print_uint(print, "weight", conf->weight);
	print_uint(print, "weight_now",
		   conf->flags & NODE_QUIESCED	     ? 0
		   : conf->flags & NODE_WEIGHT_FIXED ? conf->fixed_weight
						     : conf->weight_now);
	if (conf->flags & NODE_WEIGHT_FIXED)
		print_uint(print, "fixed_weight", conf->fixed_weight);
	else
		print_null(print, "fixed_weight");
	print_bool(print, "quiesced", conf->flags & NODE_QUIESCED);
	print_bool(print, "up", node_up(inst, node));
	print_uint(print, "active", counts->active[node]);
	print_uint(print, "fin", counts->fin[node]);
	print_uint(print, "connections", total.connections);
	print_uint(print, "completed", total.completed);
	print_uint(print, "packets", total.packets);
	print_uint(print, "bytes", total.bytes);
}

int cmd_node_show(const struct invocation *run, struct error *err)
{
	struct conn_counts counts = { 0 };
	struct session session;
	const uint32_t *ports;
	struct print *print;
	unsigned int count;
	uint32_t only;
	int ret = session_begin(&session, run, false, err);

	if (ret)
		return ret;
	ret = service_meant(&session, run, &only, err);
	if (!ret && conntable_count(&session.inst, &counts))
		ret = error_refuse(err, "connections", NULL, "out of memory");
	if (ret)
		goto out;
	print = print_new(stdout, run->json, run->pretty);
	ports = tables_services(session.tables, 0, &count);
	for (unsigned int i = 0; i < count; i++) {
		unsigned int nodes;
		const uint32_t *slots = tables_nodes(session.tables, ports[i], &nodes);

		for (unsigned int k = 0; k < nodes && (!only || only == ports[i]); k++)
			node_row(&session.inst, &counts, print, slots[k]);
	}
	ret = print_end(print, err);
out:
	conntable_counts_free(&counts);
	session_end(&session);
	return ret;
}

/* ---- conn ------------------------------------------------------------------------------------------- */

struct conn_listing {
	const struct instance *inst;
	struct print *print;
	const struct in6_addr *node; /* NULL: any */
	uint32_t left;
};

static int conn_row_print(const struct conn_row *row, void *arg)
{
	static const char *const states[] = { "half-open", "active", "fin", "fin" };
	struct conn_listing *listing = arg;
	struct in6_addr node = node_addr_of(listing->inst, row->node);
	char text[ADDR_TEXT_MAX];

	if (listing->node && addr_compare(listing->node, &node))
		return 0;
	if (!listing->left)
		return 1;
	listing->left--;
	print_row(listing->print);
	print_service(listing->print, listing->inst, row->service);
	print_text(listing->print, "client", addr_text(&row->client, text));
	print_uint(listing->print, "client_port", row->client_port);
	print_text(listing->print, "node", addr_text(&node, text));
	print_text(listing->print, "state", states[row->state]);
	print_uint(listing->print, "idle_ms", row->idle_ms);
	return 0;
}

/* The node that `node` names must be one, or a typing error would look like an idle node. */
static int check_node(struct session *session, const struct invocation *run, uint32_t service,
		      struct error *err)
{
	const uint32_t *ports;
	unsigned int count;
	char text[ADDR_TEXT_MAX];

	if (!given(run, FIELD_ADDR))
		return 0;
	ports = tables_services(session->tables, 0, &count);
	for (unsigned int i = 0; i < count; i++)
		if ((!service || service == ports[i]) &&
		    tables_find_node(session->tables, ports[i], &run->spec.addr))
			return 0;
	return error_refuse(err, addr_text(&run->spec.addr, text), "`node show` lists what there is",
			    "there is no such node");
}

int cmd_conn_show(const struct invocation *run, struct error *err)
{
	struct conn_filter filter = { 0 };
	struct conn_listing listing = {
		.node = given(run, FIELD_ADDR) ? &run->spec.addr : NULL,
		.left = given(run, FIELD_LIMIT) ? run->spec.limit : UINT32_MAX,
	};
	struct session session;
	int ret = session_begin(&session, run, false, err);

	if (ret)
		return ret;
	ret = service_meant(&session, run, &filter.service, err);
	if (!ret)
		ret = check_node(&session, run, filter.service, err);
	if (!ret) {
		listing.inst = &session.inst;
		listing.print = print_new(stdout, run->json, run->pretty);
		conntable_each(&session.inst, &filter, conn_row_print, &listing);
		ret = print_end(listing.print, err);
	}
	session_end(&session);
	return ret;
}

int cmd_conn_count(const struct invocation *run, struct error *err)
{
	struct conn_counts counts = { 0 };
	struct instance inst;
	struct print *print;
	int ret = instance_open(&inst, run->instance, false, err);

	if (ret)
		return ret;
	if (conntable_count(&inst, &counts)) {
		instance_close(&inst);
		return error_refuse(err, "connections", NULL, "out of memory");
	}
	print = print_new(stdout, run->json, run->pretty);
	print_row(print);
	print_uint(print, "connections", counts.total);
	print_uint(print, "capacity", inst.params->connections);
	ret = print_end(print, err);
	conntable_counts_free(&counts);
	instance_close(&inst);
	return ret;
}

static void flush_node(struct session *session, const struct invocation *run, uint32_t service,
		       uint64_t *flushed)
{
	const uint32_t *ports;
	unsigned int count;

	ports = tables_services(session->tables, 0, &count);
	for (unsigned int i = 0; i < count; i++) {
		uint32_t node = tables_find_node(session->tables, ports[i], &run->spec.addr);

		if (node && (!service || service == ports[i]))
			*flushed += conntable_purge(&session->inst, &(struct conn_filter){ .node = node });
	}
}

int cmd_conn_flush(const struct invocation *run, struct error *err)
{
	struct session session;
	struct print *print;
	uint64_t flushed = 0;
	uint32_t service;
	int ret = session_begin(&session, run, true, err);

	if (ret)
		return ret;
	ret = service_meant(&session, run, &service, err);
	if (!ret)
		ret = check_node(&session, run, service, err);
	if (!ret) {
		if (given(run, FIELD_ADDR))
			flush_node(&session, run, service, &flushed);
		else
			flushed = conntable_purge(&session.inst, &(struct conn_filter){ .service = service });
		print = print_new(stdout, run->json, run->pretty);
		print_row(print);
		print_uint(print, "flushed", flushed);
		ret = print_end(print, err);
	}
	session_end(&session);
	return ret;
}

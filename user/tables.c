/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VECs, ports and nodes in the mapped tables.
 *
 * Order of every change: what the data plane does not see yet is written first; then one store of 8 bytes
 * shows it; what is no longer seen is cleaned up last, after the packets in flight have passed. A process
 * killed in between leaves at worst slots that nobody sees (SERVICE_GONE, NODE_LEAVING): tables_new()
 * completes them.
 */
#include "tables.h"

#include <bpf/bpf.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "choice.h"
#include "conntable.h"
#include "hash.h"
#include "net.h"

#define RESOLVE_WAIT_MS 2000 /* longer than an IPv6 address is on probation */
#define RESET_MS	10000

/* Slots of one service's nodes, or of one VEC's services, or of all VECs. */
struct list {
	uint32_t *slots;
	unsigned int count;
	unsigned int room;
};

struct tables {
	struct instance *inst;
	struct list *nodes; /* [SERVICE_SLOTS], by address */
	struct list vecs;   /* by address */
	struct list all;    /* services, by address, port, protocol */
	struct list of_vec; /* answer of the last tables_services() */
	uint32_t next_node; /* where to look for a free node slot first */
};

/* ---- Names ------------------------------------------------------------------------------------------ */

struct service_name service_name_of(const struct instance *inst, uint32_t service)
{
	const struct service *row = &inst->services[service];
	struct service_name name = {
		.port = be16toh(door_port(row->door)),
		.proto = door_proto(row->door),
	};

	memcpy(&name.addr, row->addr, sizeof(name.addr));
	return name;
}

struct in6_addr node_addr_of(const struct instance *inst, uint32_t node)
{
	struct in6_addr addr;

	memcpy(&addr, inst->node_conf[node].addr, sizeof(addr));
	return addr;
}

static uint64_t name_hash(const struct instance *inst, const struct service_name *name, uint64_t addr[2],
			  uint32_t *door)
{
	memcpy(addr, &name->addr, 2 * sizeof(*addr));
	*door = DOOR(htobe16(name->port), name->proto);
	return hash_service((const __u64 *)inst->params->keys, addr[0], addr[1], *door);
}

uint32_t tables_find(const struct tables *tables, const struct service_name *name)
{
	const struct instance *inst = tables->inst;
	uint64_t addr[2];
	uint32_t door;
	uint64_t hash = name_hash(inst, name, addr, &door);
	uint32_t at = hash % SERVICE_SLOTS;

	for (int probe = 0; probe < SERVICE_PROBES; probe++, at = (at + 1) % SERVICE_SLOTS) {
		const struct service *row = &inst->services[at];

		if (!row->head)
			return 0;
		if (row->head == service_head(hash) && row->addr[0] == addr[0] && row->addr[1] == addr[1] &&
		    row->door == door)
			return at;
	}
	return 0;
}

/* A slot for a new row, or 0: too many rows hash to this place. */
static uint32_t service_slot_free(const struct instance *inst, uint64_t hash)
{
	uint32_t at = hash % SERVICE_SLOTS;

	for (int probe = 0; probe < SERVICE_PROBES; probe++, at = (at + 1) % SERVICE_SLOTS)
		if (at && (!inst->services[at].head || inst->services[at].head == SERVICE_FREE))
			return at;
	return 0;
}

/* ---- The index --------------------------------------------------------------------------------------- */

static int list_insert(struct list *list, unsigned int at, uint32_t slot)
{
	if (list->count == list->room) {
		unsigned int room = list->room ? list->room * 2 : 4;
		uint32_t *slots = realloc(list->slots, room * sizeof(*slots));

		if (!slots)
			return -ENOMEM;
		list->slots = slots;
		list->room = room;
	}
	memmove(list->slots + at + 1, list->slots + at, (list->count - at) * sizeof(*list->slots));
	list->slots[at] = slot;
	list->count++;
	return 0;
}

static void list_remove(struct list *list, uint32_t slot)
{
	for (unsigned int i = 0; i < list->count; i++) {
		if (list->slots[i] != slot)
			continue;
		memmove(list->slots + i, list->slots + i + 1, (list->count - i - 1) * sizeof(*list->slots));
		list->count--;
		return;
	}
}

static int order_services(const struct instance *inst, uint32_t a, uint32_t b)
{
	struct service_name left = service_name_of(inst, a), right = service_name_of(inst, b);

	return service_compare(&left, &right);
}

static int order_nodes(const struct instance *inst, uint32_t a, uint32_t b)
{
	struct in6_addr left = node_addr_of(inst, a), right = node_addr_of(inst, b);

	return addr_compare(&left, &right);
}

/* First place whose slot is not before the given one. */
static unsigned int list_place(const struct instance *inst, const struct list *list, uint32_t slot,
			       int (*order)(const struct instance *, uint32_t, uint32_t))
{
	unsigned int low = 0, high = list->count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (order(inst, list->slots[middle], slot) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int index_service(struct tables *tables, uint32_t slot)
{
	struct list *list = tables->inst->services[slot].door == DOOR_OF_VEC ? &tables->vecs : &tables->all;

	return list_insert(list, list_place(tables->inst, list, slot, order_services), slot);
}

static int index_node(struct tables *tables, uint32_t slot)
{
	struct list *list = &tables->nodes[tables->inst->nodes[slot].service];

	return list_insert(list, list_place(tables->inst, list, slot, order_nodes), slot);
}

static bool service_live(const struct service *row)
{
	return row->head & SERVICE_LIVE;
}

static void complete_removals(struct tables *tables);

struct tables *tables_new(struct instance *inst)
{
	struct tables *tables = calloc(1, sizeof(*tables));

	if (!tables)
		return NULL;
	tables->inst = inst;
	tables->next_node = 1;
	tables->nodes = calloc(SERVICE_SLOTS, sizeof(*tables->nodes));
	if (!tables->nodes)
		goto fail;
	for (uint32_t slot = 1; slot < SERVICE_SLOTS; slot++)
		if (service_live(&inst->services[slot]) && index_service(tables, slot))
			goto fail;
	for (uint32_t slot = 1; slot < NODE_SLOTS; slot++)
		if (inst->nodes[slot].service != NODE_UNUSED &&
		    service_live(&inst->services[inst->nodes[slot].service]) && index_node(tables, slot))
			goto fail;
	if (inst->lock_fd >= 0)
		complete_removals(tables);
	return tables;
fail:
	tables_free(tables);
	return NULL;
}

void tables_free(struct tables *tables)
{
	if (!tables)
		return;
	for (uint32_t slot = 0; tables->nodes && slot < SERVICE_SLOTS; slot++)
		free(tables->nodes[slot].slots);
	free(tables->nodes);
	free(tables->vecs.slots);
	free(tables->all.slots);
	free(tables->of_vec.slots);
	free(tables);
}

uint32_t tables_find_node(const struct tables *tables, uint32_t service, const struct in6_addr *addr)
{
	const struct list *list = &tables->nodes[service];
	unsigned int low = 0, high = list->count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;
		struct in6_addr at = node_addr_of(tables->inst, list->slots[middle]);
		int order = addr_compare(&at, addr);

		if (!order)
			return list->slots[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

const uint32_t *tables_vecs(struct tables *tables, unsigned int *count)
{
	*count = tables->vecs.count;
	return tables->vecs.slots;
}

const uint32_t *tables_nodes(struct tables *tables, uint32_t service, unsigned int *count)
{
	*count = tables->nodes[service].count;
	return tables->nodes[service].slots;
}

const uint32_t *tables_services(struct tables *tables, uint32_t vec, unsigned int *count)
{
	const struct service *services = tables->inst->services;
	struct list *out = &tables->of_vec;

	if (!vec) {
		*count = tables->all.count;
		return tables->all.slots;
	}
	out->count = 0;
	/* By address: all of them follow the place where the VEC itself (port 0) would stand. */
	for (unsigned int i = list_place(tables->inst, &tables->all, vec, order_services);
	     i < tables->all.count; i++) {
		uint32_t slot = tables->all.slots[i];

		if (memcmp(services[slot].addr, services[vec].addr, sizeof(services[vec].addr)) ||
		    list_insert(out, out->count, slot))
			break;
	}
	*count = out->count;
	return out->slots;
}

/* ---- Timeouts ------------------------------------------------------------------------------------------ */

static uint32_t vec_of(const struct tables *tables, uint32_t service)
{
	struct service_name name = service_name_of(tables->inst, service);

	name.port = 0;
	name.proto = 0;
	return tables_find(tables, &name);
}

struct vec_conf vec_conf_of(const struct instance *inst, uint32_t vec)
{
	struct vec_conf conf;

	if (!vec || bpf_map_lookup_elem(inst->vec_conf_fd, &vec, &conf))
		memset(&conf, 0, sizeof(conf));
	return conf;
}

void service_timeouts(const struct instance *inst, uint32_t service, uint64_t ms[CLASS_COUNT])
{
	const struct service_conf *conf = &inst->service_conf[service];
	const struct tables view = { .inst = (struct instance *)inst };
	struct vec_conf vec = vec_conf_of(inst, vec_of(&view, service));
	bool udp = door_proto(inst->services[service].door) == IPPROTO_UDP;

	ms[CLASS_HALF_OPEN] = inst->params->half_open_ms;
	ms[CLASS_ACTIVE] = udp ? inst->params->udp_ms : inst->params->stale_ms;
	ms[CLASS_FIN] = inst->params->fin_ms;
	ms[CLASS_RESET] = RESET_MS;
	if (vec.stale_ms)
		ms[CLASS_ACTIVE] = vec.stale_ms;
	if (vec.fin_ms)
		ms[CLASS_FIN] = vec.fin_ms;
	if (conf->stale_ms)
		ms[CLASS_ACTIVE] = conf->stale_ms;
	if (conf->fin_ms)
		ms[CLASS_FIN] = conf->fin_ms;
}

static void refresh_timeouts(struct tables *tables, uint32_t service)
{
	uint64_t ms[CLASS_COUNT];

	service_timeouts(tables->inst, service, ms);
	for (int class = 0; class < CLASS_COUNT; class ++)
		tables->inst->services[service].timeout[class] = instance_ticks(tables->inst, ms[class]);
}

/* ---- Choices ------------------------------------------------------------------------------------------- */

const struct hop *node_hop(const struct instance *inst, uint32_t node)
{
	const struct node *row = &inst->nodes[node];

	return &row->hop[row->live & 1];
}

bool node_up(const struct instance *inst, uint32_t node)
{
	return node_hop(inst, node)->kind != HOP_NONE;
}

uint32_t node_weight(const struct instance *inst, uint32_t node)
{
	const struct node_conf *conf = &inst->node_conf[node];

	if (conf->flags & (NODE_QUIESCED | NODE_LEAVING) || !node_up(inst, node))
		return 0;
	return conf->flags & NODE_WEIGHT_FIXED ? conf->fixed_weight : conf->weight_now;
}

/* What choices are in use, to find room for more. */
struct extent {
	uint32_t first;
	uint32_t end;
};

static int order_extents(const void *a, const void *b)
{
	const struct extent *left = a, *right = b;

	return left->first < right->first ? -1 : left->first > right->first;
}

/* First fit for a number of slots, or CHOICE_SLOTS: there is no such gap. */
static uint32_t choices_find_room(const struct tables *tables, uint32_t room)
{
	const struct instance *inst = tables->inst;
	struct extent *used = calloc(2 * (size_t)tables->all.count + 1, sizeof(*used));
	unsigned int count = 0;
	uint32_t at = 0;

	if (!used)
		return CHOICE_SLOTS;
	for (unsigned int i = 0; i < tables->all.count; i++) {
		uint32_t slot = tables->all.slots[i];
		const struct service_conf *conf = &inst->service_conf[slot];
		uint64_t choice = inst->services[slot].choice;

		used[count++] =
			(struct extent){ conf->choice_first, conf->choice_first + 2 * conf->choice_room };
		/* In force, though its owner was killed before it said so in choice_first. */
		used[count++] =
			(struct extent){ (uint32_t)choice, (uint32_t)choice + (uint32_t)(choice >> 32) };
	}
	qsort(used, count, sizeof(*used), order_extents);
	for (unsigned int i = 0; i < count; i++) {
		if (used[i].first > at && used[i].first - at >= room)
			break;
		if (used[i].end > at)
			at = used[i].end;
	}
	free(used);
	return at + room <= CHOICE_SLOTS ? at : CHOICE_SLOTS;
}

/* CPUs begin at different places of the walk, or the first node would get a connection of each before the
 * second got any. The first choice takes the number modulo the walk's length, whatever that is by then. */
static void stagger_cursors(struct instance *inst, uint32_t service)
{
	for (uint32_t cpu = 0; cpu < inst->params->cpus; cpu++)
		inst->cursors[(size_t)cpu * SERVICE_SLOTS + service] = cpu * 0x9e3779b1u >> 8;
}

/* Lay the walk of a service out anew and let the data plane see it by one store. */
static int publish_choices(struct tables *tables, uint32_t service, struct error *err)
{
	struct instance *inst = tables->inst;
	struct service_conf *conf = &inst->service_conf[service];
	struct service *row = &inst->services[service];
	const struct list *list = &tables->nodes[service];
	uint8_t *weights = malloc(list->count + 1);
	uint16_t *ids = malloc((list->count + 1) * sizeof(*ids));
	uint32_t count, first;
	int ret = 0;

	if (!weights || !ids) {
		ret = error_refuse(err, "cannot lay out the choices", NULL, "out of memory");
		goto out;
	}
	for (unsigned int i = 0; i < list->count; i++) {
		weights[i] = node_weight(inst, list->slots[i]);
		ids[i] = list->slots[i];
	}
	count = choice_length(weights, list->count);
	if (count > conf->choice_room) {
		uint32_t room = count + count / 4 + 4;

		first = choices_find_room(tables, 2 * room);
		if (first == CHOICE_SLOTS) {
			ret = error_refuse(err, "no room for the weights",
					   "use smaller weights: only their ratios matter",
					   "the choices of all services together exceed %u", CHOICE_SLOTS);
			goto out;
		}
		choice_lay_out(weights, ids, list->count, inst->choices + first);
		__atomic_store_n(&row->choice, (uint64_t)count << 32 | first, __ATOMIC_RELEASE);
		conf->choice_first = first;
		conf->choice_room = room;
		goto out;
	}
	/* The half that is not in force. */
	first = (uint32_t)row->choice == conf->choice_first ? conf->choice_first + conf->choice_room
							    : conf->choice_first;
	choice_lay_out(weights, ids, list->count, inst->choices + first);
	__atomic_store_n(&row->choice, count ? (uint64_t)count << 32 | first : first, __ATOMIC_RELEASE);
out:
	free(weights);
	free(ids);
	return ret;
}

void service_walk(struct tables *tables, uint32_t service, uint32_t *last_node, uint32_t *eligible_weight)
{
	struct instance *inst = tables->inst;
	const struct list *list = &tables->nodes[service];
	uint64_t choice = inst->services[service].choice;
	uint32_t count = choice >> 32, position = 0;
	uint8_t *weights = malloc(list->count + 1);

	*last_node = 0;
	*eligible_weight = 0;
	for (uint32_t cpu = 0; cpu < inst->params->cpus; cpu++)
		if (inst->cursors[(size_t)cpu * SERVICE_SLOTS + service] > position)
			position = inst->cursors[(size_t)cpu * SERVICE_SLOTS + service];
	if (weights && count && position) {
		position = (position - 1) % count;
		for (unsigned int i = 0; i < list->count; i++)
			weights[i] = node_weight(inst, list->slots[i]);
		*last_node = inst->choices[(uint32_t)choice + position];
		*eligible_weight = choice_eligible_weight(weights, list->count, position);
	}
	free(weights);
}

/* ---- Removal --------------------------------------------------------------------------------------------
 */

static void node_free_slot(struct instance *inst, uint32_t node)
{
	__atomic_store_n(&inst->nodes[node].service, NODE_UNUSED, __ATOMIC_RELEASE);
	memset(&inst->node_conf[node], 0, sizeof(inst->node_conf[node]));
}

static bool node_leaving(const struct instance *inst, uint32_t node)
{
	return inst->nodes[node].service != NODE_UNUSED && inst->node_conf[node].flags & NODE_LEAVING;
}

static bool node_removed(const struct instance *inst, uint32_t node)
{
	return node_leaving(inst, node) || (inst->nodes[node].service != NODE_UNUSED &&
					    inst->services[inst->nodes[node].service].head == SERVICE_GONE);
}

/*
 * The second half of every removal, also of those that a killed process began: nobody chooses these rows any
 * more, but packets in flight may, and connections still name them.
 */
static void complete_removals(struct tables *tables)
{
	struct instance *inst = tables->inst;
	bool any = false;

	for (uint32_t node = 1; node < NODE_SLOTS; node++) {
		uint32_t service = inst->nodes[node].service;
		struct error ignored;

		any |= node_removed(inst, node);
		if (!node_leaving(inst, node))
			continue;
		list_remove(&tables->nodes[service], node);
		publish_choices(tables, service, &ignored); /* shorter than before: there is room */
	}
	for (uint32_t slot = 1; slot < SERVICE_SLOTS; slot++)
		any |= inst->services[slot].head == SERVICE_GONE;
	if (!any)
		return;
	instance_settle();
	conntable_purge_removed(inst);
	for (uint32_t node = 1; node < NODE_SLOTS; node++)
		if (node_removed(inst, node))
			node_free_slot(inst, node);
	for (uint32_t slot = 1; slot < SERVICE_SLOTS; slot++) {
		if (inst->services[slot].head != SERVICE_GONE)
			continue;
		tables->nodes[slot].count = 0;
		memset(&inst->service_conf[slot], 0, sizeof(inst->service_conf[slot]));
		__atomic_store_n(&inst->services[slot].head, SERVICE_FREE, __ATOMIC_RELEASE);
	}
}

/* The row passes out of sight of the data plane. complete_removals() does the rest. */
static void service_remove(struct tables *tables, uint32_t slot)
{
	struct service *row = &tables->inst->services[slot];

	list_remove(row->door == DOOR_OF_VEC ? &tables->vecs : &tables->all, slot);
	row->choice = 0;
	__atomic_store_n(&row->head, SERVICE_GONE, __ATOMIC_RELEASE);
}

/* ---- VECs ------------------------------------------------------------------------------------------------
 */

static const char *name_text(const struct service_name *name)
{
	static char text[SERVICE_TEXT_MAX];

	return service_text(name, text);
}

static const char *address_text(const struct in6_addr *addr)
{
	static char text[ADDR_TEXT_MAX];

	return addr_text(addr, text);
}

static bool given(const struct spec *spec, enum spec_field field)
{
	return spec->given & 1u << field;
}

/* Write a row that nobody sees, then show it. */
static int service_insert(struct tables *tables, const struct service_name *name, struct service_conf conf,
			  uint32_t *slot_out, struct error *err)
{
	struct instance *inst = tables->inst;
	uint64_t addr[2];
	uint32_t door;
	uint64_t hash = name_hash(inst, name, addr, &door);
	uint32_t slot = service_slot_free(inst, hash);
	struct service *row = &inst->services[slot];

	if (!slot)
		return error_refuse(err, name_text(name), "remove VECs or ports that are not needed",
				    "the service table has no room for it");
	row->addr[0] = addr[0];
	row->addr[1] = addr[1];
	row->door = door;
	row->untracked_until = instance_now(inst);
	row->choice = 0;
	inst->service_conf[slot] = conf;
	tables->nodes[slot].count = 0;
	stagger_cursors(inst, slot);
	refresh_timeouts(tables, slot);
	if (index_service(tables, slot))
		return error_refuse(err, name_text(name), NULL, "out of memory");
	__atomic_store_n(&row->head, service_head(hash), __ATOMIC_RELEASE);
	*slot_out = slot;
	return 0;
}

static void vec_conf_merge(struct vec_conf *conf, const struct spec *spec)
{
	if (given(spec, FIELD_NAME))
		memcpy(conf->name, spec->name, sizeof(conf->name));
	if (given(spec, FIELD_STALE_TIMEOUT))
		conf->stale_ms = spec->stale_timeout_ms;
	if (given(spec, FIELD_FIN_TIMEOUT))
		conf->fin_ms = spec->fin_timeout_ms;
	if (given(spec, FIELD_DEV))
		memcpy(conf->dev, spec->dev, sizeof(conf->dev));
}

static int vec_conf_write(const struct instance *inst, uint32_t vec, const struct vec_conf *conf,
			  struct error *err)
{
	if (bpf_map_update_elem(inst->vec_conf_fd, &vec, conf, BPF_ANY))
		return error_refuse(err, "cannot store the VEC", NULL, "%s", strerror(errno));
	return 0;
}

static void refresh_timeouts_of_vec(struct tables *tables, uint32_t vec)
{
	unsigned int count;
	const uint32_t *slots = tables_services(tables, vec, &count);

	for (unsigned int i = 0; i < count; i++)
		refresh_timeouts(tables, slots[i]);
}

static int device_find(const char *dev, struct link_info *link, struct error *err)
{
	int ret = net_link_by_name(dev, link);

	if (!ret)
		return 0;
	return error_refuse(err, dev, "`ip link` lists what there is", "%s",
			    ret == -ENODEV ? "there is no such interface" : strerror(-ret));
}

static int device_index(const char *dev, uint32_t *ifindex, struct error *err)
{
	struct link_info link = { 0 };
	int ret = device_find(dev, &link, err);

	*ifindex = link.ifindex;
	return ret;
}

static int check_name_free(struct tables *tables, const struct spec *spec, uint32_t own, struct error *err)
{
	if (!given(spec, FIELD_NAME))
		return 0;
	for (unsigned int i = 0; i < tables->vecs.count; i++) {
		struct vec_conf conf = vec_conf_of(tables->inst, tables->vecs.slots[i]);
		struct in6_addr addr = service_name_of(tables->inst, tables->vecs.slots[i]).addr;

		if (tables->vecs.slots[i] != own && !strcmp(conf.name, spec->name))
			return error_refuse(err, spec->name, "choose another name",
					    "the VEC %s already has this name", address_text(&addr));
	}
	return 0;
}

/* The address comes last: before that the host would answer clients with resets. */
static int vec_claim(struct tables *tables, uint32_t vec, struct vec_conf *conf, struct error *err)
{
	struct service_name name = service_name_of(tables->inst, vec);
	uint32_t ifindex = 0;
	int held, ret;

	if (!conf->dev[0])
		return 0;
	ret = device_index(conf->dev, &ifindex, err);
	if (ret)
		return ret;
	held = net_addr_held(&name.addr);
	if (held == 1)
		return 0; /* used as it is, and left as it is later */
	conf->claimed = 1;
	ret = vec_conf_write(tables->inst, vec, conf, err);
	if (ret)
		return ret;
	ret = net_addr_add(&name.addr, ifindex);
	if (ret && ret != -EEXIST) {
		conf->claimed = 0;
		return error_refuse(err, conf->dev, NULL, "cannot put %s on it: %s", address_text(&name.addr),
				    strerror(-ret));
	}
	net_addr_announce(&name.addr, ifindex);
	return 0;
}

static void vec_give_up(struct tables *tables, uint32_t vec, struct vec_conf *conf)
{
	struct service_name name = service_name_of(tables->inst, vec);
	struct link_info link = { 0 };
	struct error ignored;

	if (!conf->claimed)
		return;
	if (!net_link_by_name(conf->dev, &link))
		net_addr_del(&name.addr, link.ifindex);
	conf->claimed = 0;
	vec_conf_write(tables->inst, vec, conf, &ignored);
}

void tables_give_up_addresses(struct tables *tables)
{
	for (unsigned int i = 0; i < tables->vecs.count; i++) {
		struct vec_conf conf = vec_conf_of(tables->inst, tables->vecs.slots[i]);

		vec_give_up(tables, tables->vecs.slots[i], &conf);
	}
}

static int vec_add(struct tables *tables, const struct spec *spec, struct error *err)
{
	struct service_name name = { .addr = spec->addr };
	struct vec_conf conf = { 0 };
	uint32_t ifindex, vec = 0;
	int ret;

	if (tables_find(tables, &name))
		return error_refuse(err, address_text(&spec->addr), "`vec set` changes it",
				    "this VEC exists already");
	ret = check_name_free(tables, spec, 0, err);
	if (!ret && given(spec, FIELD_DEV))
		ret = device_index(spec->dev, &ifindex, err);
	if (!ret)
		ret = service_insert(tables, &name, (struct service_conf){ 0 }, &vec, err);
	if (ret)
		return ret;
	vec_conf_merge(&conf, spec);
	ret = vec_conf_write(tables->inst, vec, &conf, err);
	if (!ret)
		ret = vec_claim(tables, vec, &conf, err);
	if (ret) {
		service_remove(tables, vec);
		complete_removals(tables);
	}
	return ret;
}

static int find_vec(struct tables *tables, const struct in6_addr *addr, uint32_t *vec, struct error *err)
{
	struct service_name name = { .addr = *addr };

	*vec = tables_find(tables, &name);
	if (*vec)
		return 0;
	return error_refuse(err, address_text(addr), "`vec show` lists what there is, `vec add` makes one",
			    "there is no such VEC");
}

static int vec_set(struct tables *tables, const struct spec *spec, struct error *err)
{
	struct vec_conf before, conf;
	uint32_t ifindex, vec;
	int ret = find_vec(tables, &spec->addr, &vec, err);

	if (!ret)
		ret = check_name_free(tables, spec, vec, err);
	if (!ret && given(spec, FIELD_DEV))
		ret = device_index(spec->dev, &ifindex, err);
	if (ret)
		return ret;
	before = vec_conf_of(tables->inst, vec);
	conf = before;
	vec_conf_merge(&conf, spec);
	if (strcmp(conf.dev, before.dev)) {
		vec_give_up(tables, vec, &before);
		conf.claimed = 0;
	}
	ret = vec_conf_write(tables->inst, vec, &conf, err);
	if (!ret && !conf.claimed)
		ret = vec_claim(tables, vec, &conf, err);
	refresh_timeouts_of_vec(tables, vec);
	return ret;
}

static int vec_del(struct tables *tables, const struct spec *spec, struct error *err)
{
	struct vec_conf conf;
	const uint32_t *slots;
	unsigned int count;
	uint32_t vec;
	int ret = find_vec(tables, &spec->addr, &vec, err);

	if (ret)
		return ret;
	conf = vec_conf_of(tables->inst, vec);
	vec_give_up(tables, vec, &conf);
	slots = tables_services(tables, vec, &count);
	for (unsigned int i = 0; i < count; i++)
		service_remove(tables, slots[i]);
	service_remove(tables, vec);
	bpf_map_delete_elem(tables->inst->vec_conf_fd, &vec);
	complete_removals(tables);
	return 0;
}

/* ---- Ports ------------------------------------------------------------------------------------------------
 */

static void port_conf_merge(struct service_conf *conf, const struct spec *spec)
{
	if (given(spec, FIELD_STALE_TIMEOUT))
		conf->stale_ms = spec->stale_timeout_ms;
	if (given(spec, FIELD_FIN_TIMEOUT))
		conf->fin_ms = spec->fin_timeout_ms;
	if (given(spec, FIELD_WEIGHT_BOUND))
		conf->weight_bound = spec->weight_bound;
}

static int find_port(struct tables *tables, const struct service_name *name, uint32_t *port,
		     struct error *err)
{
	*port = tables_find(tables, name);
	if (*port)
		return 0;
	return error_refuse(err, name_text(name), "`port show` lists what there is, `port add` makes one",
			    "there is no such port");
}

static int port_add(struct tables *tables, const struct spec *spec, struct error *err)
{
	struct service_conf conf = { .weight_bound = WEIGHT_BOUND_DEFAULT };
	struct service_name vec = { .addr = spec->service.addr };
	uint32_t slot;

	if (!tables_find(tables, &vec))
		return error_refuse(err, name_text(&spec->service),
				    "make the VEC first: xdp-vec vec add ADDR", "no VEC has this address");
	if (tables_find(tables, &spec->service))
		return error_refuse(err, name_text(&spec->service), "`port set` changes it",
				    "this port exists already");
	port_conf_merge(&conf, spec);
	return service_insert(tables, &spec->service, conf, &slot, err);
}

static int port_set(struct tables *tables, const struct spec *spec, struct error *err)
{
	struct instance *inst = tables->inst;
	uint32_t port;
	int ret = find_port(tables, &spec->service, &port, err);

	if (ret)
		return ret;
	for (unsigned int i = 0; given(spec, FIELD_WEIGHT_BOUND) && i < tables->nodes[port].count; i++) {
		const struct node_conf *conf = &inst->node_conf[tables->nodes[port].slots[i]];
		struct in6_addr addr = node_addr_of(inst, tables->nodes[port].slots[i]);

		if (conf->weight > spec->weight_bound ||
		    (conf->flags & NODE_WEIGHT_FIXED && conf->fixed_weight > spec->weight_bound))
			return error_refuse(err, name_text(&spec->service), "lower that weight first",
					    "node %s has a weight above the bound of %u", address_text(&addr),
					    spec->weight_bound);
	}
	port_conf_merge(&inst->service_conf[port], spec);
	refresh_timeouts(tables, port);
	return 0;
}

static int port_del(struct tables *tables, const struct spec *spec, struct error *err)
{
	uint32_t port;
	int ret = find_port(tables, &spec->service, &port, err);

	if (ret)
		return ret;
	service_remove(tables, port);
	complete_removals(tables);
	return 0;
}

/* ---- Nodes ------------------------------------------------------------------------------------------------
 */

struct node_stats node_stats_total(const struct instance *inst, uint32_t node)
{
	struct node_stats total = { 0 };

	for (uint32_t row = 0; row < inst->params->cpus + USER_ROWS; row++) {
		const struct node_stats *stats = &inst->node_stats[(size_t)row * NODE_SLOTS + node];

		total.packets += stats->packets;
		total.bytes += stats->bytes;
		total.connections += stats->connections;
		total.completed += stats->completed;
	}
	return total;
}

/* The half that is not in force is written, then live turns to it. */
static void hop_write(struct node *node, const struct hop *hop)
{
	uint32_t next = (node->live + 1) & 1;

	node->hop[next] = *hop;
	__atomic_store_n(&node->live, next, __ATOMIC_RELEASE);
}

int tables_set_hop(struct tables *tables, uint32_t node, const struct hop *hop, struct error *err)
{
	struct instance *inst = tables->inst;
	bool was_up = node_up(inst, node);

	hop_write(&inst->nodes[node], hop);
	if (was_up == node_up(inst, node))
		return 0;
	return publish_choices(tables, inst->nodes[node].service, err);
}

static int hop_by_wire(struct instance *inst, uint32_t ifindex, const uint8_t dst_mac[MAC_LEN],
		       const uint8_t src_mac[MAC_LEN], struct hop *hop, struct error *err)
{
	int slot = instance_iface_slot(inst, ifindex, err);

	if (slot < 0)
		return slot;
	hop->kind = HOP_WIRE;
	hop->iface = slot;
	memcpy(hop->dst_mac, dst_mac, MAC_LEN);
	memcpy(hop->src_mac, src_mac, MAC_LEN);
	return 0;
}

/* MAC and interface were given: nothing is left to ask for. */
static int node_take_word(struct instance *inst, const struct node_conf *conf, struct hop *hop,
			  struct error *err)
{
	struct link_info link = { 0 };
	int ret = device_find(conf->dev, &link, err);

	if (ret)
		return ret;
	if (!link.ethernet)
		return error_refuse(err, conf->dev, "name an interface that has a MAC address",
				    "carries no Ethernet frames");
	return hop_by_wire(inst, link.ifindex, conf->mac, link.mac, hop, err);
}

/* Where packets for the node go: as told, else as the kernel's routes and neighbours have it. -EAGAIN: the
 * node does not answer (yet); *hop is then HOP_NONE. */
static int node_resolve(struct instance *inst, const struct in6_addr *addr, const struct node_conf *conf,
			int wait_ms, struct hop *hop, struct error *err)
{
	bool mac_given = conf->flags & NODE_MAC_FIXED;
	struct reach reach = { 0 };
	int ret;

	memset(hop, 0, sizeof(*hop));
	if (mac_given && conf->dev[0])
		return node_take_word(inst, conf, hop, err);
	ret = net_reach(addr, conf->dev[0] ? conf->dev : NULL, mac_given ? 0 : wait_ms, &reach);
	if (ret)
		return error_refuse(err, address_text(addr), NULL,
				    "cannot ask the kernel for the way there: %s", strerror(-ret));
	switch (reach.kind) {
	case REACH_LOCAL:
		hop->kind = HOP_LOCAL;
		return 0;
	case REACH_ROUTED:
		return error_refuse(
			err, address_text(addr),
			"direct routing needs every node on a link of the gateway; name it with `dev`",
			"the node is behind a router");
	case REACH_NONE:
		return error_refuse(err, address_text(addr), "`ip route get` shows what the kernel thinks",
				    "no route leads to the node");
	case REACH_UNRESOLVED:
		if (!mac_given)
			return -EAGAIN;
		break;
	case REACH_LINK:
		break;
	}
	return hop_by_wire(inst, reach.ifindex, mac_given ? conf->mac : reach.mac, reach.src_mac, hop, err);
}

int tables_refresh_node(struct tables *tables, uint32_t node, struct error *err)
{
	struct instance *inst = tables->inst;
	struct in6_addr addr = node_addr_of(inst, node);
	struct hop hop;
	int ret = node_resolve(inst, &addr, &inst->node_conf[node], 0, &hop, err);

	/* A neighbour that does not answer just now keeps its MAC: whether it serves is for the advisors to
	 * say. */
	if (ret == -EAGAIN && node_up(inst, node))
		return 0;
	if (ret && ret != -EAGAIN)
		return ret;
	return memcmp(&hop, node_hop(inst, node), sizeof(hop)) ? tables_set_hop(tables, node, &hop, err) : 0;
}

static int check_weight(const struct service_conf *conf, const struct spec *spec, struct error *err)
{
	uint32_t weight = given(spec, FIELD_WEIGHT) ? spec->weight : 0;

	if (given(spec, FIELD_FIXED_WEIGHT) && spec->fixed_weight > (int32_t)weight)
		weight = spec->fixed_weight;
	if (weight > conf->weight_bound)
		return error_refuse(err, address_text(&spec->addr),
				    "`port set SERVICE weight-bound N` raises it",
				    "the weight %u is above the port's bound of %u", weight,
				    conf->weight_bound);
	return 0;
}

static uint32_t node_slot_free(struct tables *tables)
{
	for (uint32_t i = 0; i < NODE_SLOTS - 1; i++) {
		uint32_t slot = tables->next_node + i;

		if (slot >= NODE_SLOTS)
			slot -= NODE_SLOTS - 1;
		if (tables->inst->nodes[slot].service == NODE_UNUSED) {
			tables->next_node = slot;
			return slot;
		}
	}
	return 0;
}

static void node_conf_merge(struct node_conf *conf, const struct spec *spec)
{
	if (given(spec, FIELD_WEIGHT))
		conf->weight = conf->weight_now = spec->weight;
	if (given(spec, FIELD_FIXED_WEIGHT)) {
		conf->flags &= ~NODE_WEIGHT_FIXED;
		if (spec->fixed_weight >= 0) {
			conf->flags |= NODE_WEIGHT_FIXED;
			conf->fixed_weight = spec->fixed_weight;
		}
	}
	if (given(spec, FIELD_QUIESCE)) {
		conf->flags &= ~NODE_QUIESCED;
		if (spec->quiesce)
			conf->flags |= NODE_QUIESCED;
	}
	if (given(spec, FIELD_MAC)) {
		memcpy(conf->mac, spec->mac, MAC_LEN);
		conf->flags |= NODE_MAC_FIXED;
	}
	if (given(spec, FIELD_DEV))
		memcpy(conf->dev, spec->dev, sizeof(conf->dev));
}

static int node_add(struct tables *tables, const struct spec *spec, struct error *err)
{
	struct instance *inst = tables->inst;
	struct node_conf conf = { .weight = WEIGHT_DEFAULT, .weight_now = WEIGHT_DEFAULT };
	uint32_t port, slot, ifindex;
	struct hop hop;
	int ret = find_port(tables, &spec->service, &port, err);

	if (ret)
		return ret;
	if (tables_find_node(tables, port, &spec->addr))
		return error_refuse(err, address_text(&spec->addr), "`node set` changes it",
				    "it is a node of %s already", name_text(&spec->service));
	ret = check_weight(&inst->service_conf[port], spec, err);
	if (!ret && given(spec, FIELD_DEV))
		ret = device_index(spec->dev, &ifindex, err);
	if (ret)
		return ret;
	if (conf.weight > inst->service_conf[port].weight_bound)
		conf.weight = conf.weight_now = inst->service_conf[port].weight_bound;
	memcpy(conf.addr, &spec->addr, sizeof(conf.addr));
	node_conf_merge(&conf, spec);
	ret = node_resolve(inst, &spec->addr, &conf, RESOLVE_WAIT_MS, &hop, err);
	if (ret && ret != -EAGAIN)
		return ret;
	slot = node_slot_free(tables);
	if (!slot)
		return error_refuse(err, address_text(&spec->addr), "remove nodes that are not needed",
				    "the node table is full: %u pairs of node and service", NODE_SLOTS - 1);
	inst->node_conf[slot] = conf;
	hop_write(&inst->nodes[slot], &hop);
	for (uint32_t row = 0; row < inst->params->cpus + USER_ROWS; row++)
		memset(&inst->node_stats[(size_t)row * NODE_SLOTS + slot], 0, sizeof(*inst->node_stats));
	__atomic_store_n(&inst->nodes[slot].service, port, __ATOMIC_RELEASE);
	if (index_node(tables, slot)) {
		node_free_slot(inst, slot);
		return error_refuse(err, address_text(&spec->addr), NULL, "out of memory");
	}
	ret = publish_choices(tables, port, err);
	if (ret) {
		inst->node_conf[slot].flags |= NODE_LEAVING;
		complete_removals(tables);
	}
	return ret;
}

static bool node_is_of(const struct tables *tables, uint32_t port, const struct spec *spec)
{
	return tables_find_node(tables, port, &spec->addr) != 0;
}

/* The services that a `node set` or `node del` means: the one named, or all of the node's. */
static int services_meant(struct tables *tables, const struct spec *spec, struct list *out, struct error *err)
{
	uint32_t port;
	int ret;

	if (given(spec, FIELD_SERVICE)) {
		ret = find_port(tables, &spec->service, &port, err);
		if (ret)
			return ret;
		if (!node_is_of(tables, port, spec))
			return error_refuse(err, address_text(&spec->addr),
					    "`node show` lists what there is, `node add` adds it",
					    "it is no node of %s", name_text(&spec->service));
		return list_insert(out, 0, port) ? error_refuse(err, "cannot go on", NULL, "out of memory")
						 : 0;
	}
	for (unsigned int i = 0; i < tables->all.count; i++)
		if (node_is_of(tables, tables->all.slots[i], spec) &&
		    list_insert(out, out->count, tables->all.slots[i]))
			return error_refuse(err, "cannot go on", NULL, "out of memory");
	if (!out->count)
		return error_refuse(err, address_text(&spec->addr),
				    "`node show` lists what there is, `node add` adds it",
				    "no service has this node");
	return 0;
}

/* A node that was not resolved may answer by now. */
static void node_ask_again(struct tables *tables, uint32_t node)
{
	struct in6_addr addr = node_addr_of(tables->inst, node);
	struct error ignored;
	struct hop hop;

	if (!node_up(tables->inst, node) && !node_resolve(tables->inst, &addr, &tables->inst->node_conf[node],
							  RESOLVE_WAIT_MS, &hop, &ignored))
		hop_write(&tables->inst->nodes[node], &hop);
}

static int node_set(struct tables *tables, const struct spec *spec, struct error *err)
{
	struct instance *inst = tables->inst;
	struct list ports = { 0 };
	int ret = services_meant(tables, spec, &ports, err);

	for (unsigned int i = 0; !ret && i < ports.count; i++)
		ret = check_weight(&inst->service_conf[ports.slots[i]], spec, err);
	for (unsigned int i = 0; !ret && i < ports.count; i++) {
		uint32_t node = tables_find_node(tables, ports.slots[i], &spec->addr);
		struct node_conf before = inst->node_conf[node];

		node_conf_merge(&inst->node_conf[node], spec);
		node_ask_again(tables, node);
		ret = publish_choices(tables, ports.slots[i], err);
		if (ret)
			inst->node_conf[node] = before;
	}
	free(ports.slots);
	return ret;
}

static int node_del(struct tables *tables, const struct spec *spec, struct error *err)
{
	struct instance *inst = tables->inst;
	struct list ports = { 0 };
	int ret = services_meant(tables, spec, &ports, err);

	for (unsigned int i = 0; !ret && i < ports.count; i++)
		inst->node_conf[tables_find_node(tables, ports.slots[i], &spec->addr)].flags |= NODE_LEAVING;
	if (!ret)
		complete_removals(tables);
	free(ports.slots);
	return ret;
}

/* ---- Defaults -------------------------------------------------------------------------------------------
 */

static int defaults_set(struct tables *tables, const struct spec *spec)
{
	struct params *params = tables->inst->params;

	if (given(spec, FIELD_STALE_TIMEOUT))
		params->stale_ms = spec->stale_timeout_ms;
	if (given(spec, FIELD_FIN_TIMEOUT))
		params->fin_ms = spec->fin_timeout_ms;
	if (given(spec, FIELD_HALF_OPEN))
		params->half_open_ms = spec->half_open_ms;
	if (given(spec, FIELD_UDP_TIMEOUT))
		params->udp_ms = spec->udp_timeout_ms;
	for (unsigned int i = 0; i < tables->all.count; i++)
		refresh_timeouts(tables, tables->all.slots[i]);
	return 0;
}

int tables_apply(struct tables *tables, const struct spec *spec, struct error *err)
{
	tables->inst->params->generation++;
	switch (spec->command) {
	case CMD_VEC_ADD:
		return vec_add(tables, spec, err);
	case CMD_VEC_SET:
		return vec_set(tables, spec, err);
	case CMD_VEC_DEL:
		return vec_del(tables, spec, err);
	case CMD_DEFAULTS_SET:
		return defaults_set(tables, spec);
	case CMD_PORT_ADD:
		return port_add(tables, spec, err);
	case CMD_PORT_SET:
		return port_set(tables, spec, err);
	case CMD_PORT_DEL:
		return port_del(tables, spec, err);
	case CMD_NODE_ADD:
		return node_add(tables, spec, err);
	case CMD_NODE_SET:
		return node_set(tables, spec, err);
	case CMD_NODE_DEL:
		return node_del(tables, spec, err);
	default:
		return error_refuse(err, "this command", NULL, "does not change the tables");
	}
}

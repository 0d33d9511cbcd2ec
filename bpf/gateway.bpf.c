/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The gateway's data plane. The journey of a packet:
 *
 *	gateway()   in by which interface, and is it for our MAC?
 *	parse()     what is it?                                 parse.bpf.h
 *	service_find()  for which service?                       service.bpf.h
 *	conn_match() of a known connection?    figure 7         conn.bpf.h, state.h
 *	newcomer()  if not, may it start one?  figure 8
 *	choose_…()  then at which node?        figure 9         choose.bpf.h
 *	forward()   on to the node                              forward.bpf.h
 *	finish()    verdict → action, counted                   finish.bpf.h
 *
 * A packet of a known connection calls no helper function (but one where it leaves by another
 * interface): with the mitigations of today's CPUs each costs as much as all of the rest.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "choose.bpf.h"
#include "conn.bpf.h"
#include "finish.bpf.h"
#include "forward.bpf.h"
#include "hash.h"
#include "maps.bpf.h"
#include "parse.bpf.h"
#include "service.bpf.h"
#include "state.h"

static __always_inline struct iface *iface_find(__u32 ifindex, __u32 *slot)
{
	__u32 at = ifindex % IFACE_SLOTS;

	for (int probe = 0; probe < IFACE_PROBES; probe++) {
		struct iface *iface = &ifaces.row[at];

		if (iface->ifindex == ifindex) {
			*slot = at;
			return iface;
		}
		if (!iface->ifindex)
			return NULL;
		at = (at + 1) % IFACE_SLOTS;
	}
	return NULL;
}

/* A switch floods frames for other hosts' MACs too, to a standby gateway above all. */
static __always_inline int for_our_mac(const void *data, const struct iface *iface)
{
	return *(const __u32 *)data == iface->mac_start && *(const __u16 *)(data + 4) == iface->mac_end;
}

/* Broken, or no beginning that can be told apart: the host's, unless it is addressed to a VEC. */
static __noinline __u32 flawed(const __u64 vec[2], __u32 flaw)
{
	__u64 hash = hash_service(keys(), vec[0], vec[1], DOOR_OF_VEC);
	__u32 slot;

	return service_find(hash, vec[0], vec[1], DOOR_OF_VEC, &slot) ? flaw : VERDICT_pass;
}

/* Addresses that no client can have: unspecified, loopback, multicast, broadcast, the VEC's own. */
static __always_inline int martian(const struct packet *pkt)
{
	__u8 first;

	if (pkt->client[1] == pkt->vec[1] && pkt->client[0] == pkt->vec[0])
		return 1;
	if ((__u32)pkt->vec[1] == MAPPED_PREFIX && !pkt->vec[0]) {
		first = pkt->client[1] >> 32 & 0xff;
		return first == 0 || first == 127 || first >= 224;
	}
	if ((__u8)pkt->client[0] == 0xff)
		return 1;
	if (pkt->client[0])
		return 0;
	return (__u32)pkt->client[1] == MAPPED_PREFIX || !(pkt->client[1] & ~bpf_cpu_to_be64(1));
}

static __always_inline void count_connection(__u32 node, __u32 cpu, int made, int completed)
{
	__u32 at = cpu * NODE_SLOTS + node;
	struct node_stats *stats = bpf_map_lookup_elem(&node_stats, &at);

	if (!stats)
		return;
	stats->connections += made;
	stats->completed += completed;
}

static __always_inline void count_untracked(__u32 cpu)
{
	struct drop_stats *stats = bpf_map_lookup_elem(&drop_stats, &cpu);

	if (stats)
		stats->untracked++;
}

/* Enter the flow in the table, in the place of its own dead entry where it has one. 1: done; 0: no place, or
 * lost. */
static __noinline int conn_make(const struct flow *flow, struct conn *mine, __u32 node, __u32 state)
{
	__u32 place = mine ? 0 : conn_place(flow);
	struct conn *conn = mine ? mine : conn_at(flow, place);
	__u32 cpu = bpf_get_smp_processor_id();
	__u64 old;

	if (place == WAY_NONE || !conn)
		return 0;
	old = head_read(conn);
	if (!mine && head_taken(old) &&
	    conn_rank(old, conn_idle(conn, flow->now), lane_service(conn->lane)) >= RANK_IN_USE)
		return 0;
	if (!conn_take(conn, old, flow, node, state))
		return 0;
	if (head_taken(old))
		count_connection(head_node(old), cpu, 0, head_closing(old));
	count_connection(node, cpu, 1, 0);
	return 1;
}

/* Figure 7: move the entry's state, stamp its time. */
static __always_inline void conn_follow(struct conn *conn, __u64 head, __u32 now, __u32 flags, __u32 cpu)
{
	__u32 state = head_state(head);
	__u32 next = state_next(state, flags);

	if (conn->seen != now)
		conn->seen = now;
	if (next == state)
		return;
	if (__sync_val_compare_and_swap(&conn->head, head,
					head ^ (__u64)(state ^ next) << HEAD_STATE_SHIFT) != head)
		return; /* lost to another CPU: its packet was as new as ours */
	if (head_closing(head) && (next & STATE_CLASS_MASK) == CLASS_HALF_OPEN)
		count_connection(head_node(head), cpu, 1, 1);
}

/* The node of the entry, or NULL: it has expired, or its node has been removed. */
static __always_inline struct node *conn_node(const struct conn *conn, __u64 head,
					      const struct service *service, __u32 service_slot, __u32 now)
{
	struct node *node = node_at(head_node(head));

	if (!node || node->service != service_slot ||
	    conn_expired(now, conn->seen, service->timeout[head_class(head)]))
		return NULL;
	return node;
}

/*
 * Figure 8, for a flow without a living entry: only a SYN or a UDP packet starts a connection. mine is the
 * entry with its tag, if there is one. Answers the node's slot, or minus a verdict.
 *
 * Where the table has no place at all the flow is sent by its hash instead, and so are its followers while
 * the service remembers that it has such flows.
 */
static __noinline int newcomer(const struct packet *pkt, const struct flow *flow, struct service *service,
			       struct conn *mine)
{
	int udp = door_proto(pkt->door) == PROTO_UDP;
	int starts = udp || starts_connection(pkt->flags);
	int untracked = (__s32)(service->untracked_until - flow->now) > 0;
	__u32 state = udp ? CLASS_ACTIVE : CLASS_HALF_OPEN;
	__u32 cpu = bpf_get_smp_processor_id();
	__u32 node;

	if (mine && !conn_is(mine, flow->client[0], flow->client[1], flow->lane)) {
		__u32 place = conn_search(flow);

		mine = place == WAY_NONE ? NULL : conn_at(flow, place);
		if (mine && conn_node(mine, head_read(mine), service, lane_service(flow->lane), flow->now)) {
			conn_follow(mine, head_read(mine), flow->now, pkt->flags, cpu);
			return head_node(head_read(mine));
		}
	}
	if (martian(pkt))
		return -DROPPED(martian);
	if (!starts && !untracked)
		return -DROPPED(not_syn);
	/* While flows without a place may exist all newcomers go by hash: one of them may be such a flow's
	 * second SYN. */
	if (untracked)
		node = choose_by_hash(service, flow->hash);
	else
		node = choose_next(service, lane_service(flow->lane), cpu);
	if (!node)
		return -DROPPED(no_node);
	if (!starts) {
		count_untracked(cpu);
		return node;
	}
	/* Once more, where another CPU took the place first. */
	if (conn_make(flow, mine, node, state) || conn_make(flow, NULL, node, state))
		return node;
	service->untracked_until = flow->now + ticks_untracked;
	count_untracked(cpu);
	return choose_by_hash(service, flow->hash);
}

/* The way off the fast path: no entry, a dead one, or a tag that matched a stranger. The structs it
 * hands on are copies, so that the fast path's own values stay in registers. */
static __always_inline int route_slowly(const struct packet *pkt, struct service *service, __u32 slot,
					__u64 hash, __u32 now, struct conn *mine)
{
	struct packet copy = *pkt;
	struct flow flow = {
		.client = { pkt->client[0], pkt->client[1] },
		.tag = hash_tag(hash),
		.hash = hash,
		.first = hash_first_bucket(hash, conn_buckets),
		.second = hash_second_bucket(hash, conn_buckets),
		.lane = LANE(pkt->client_port, slot),
		.now = now,
	};

	return newcomer(&copy, &flow, service, mine);
}

/* From parsed packet to its node: the slot, or minus a verdict. */
static __always_inline int route(const struct packet *pkt, __u32 cpu, struct node **node)
{
	const __u64 *secret = keys();
	__u64 service_hash = hash_service(secret, pkt->vec[0], pkt->vec[1], pkt->door);
	__u64 hash = hash_flow(secret, service_hash,
			       hash_client(secret, pkt->client[0], pkt->client[1], pkt->client_port));
	struct service *service;
	struct conn *conn;
	__u64 head = 0;
	__u32 now, slot;
	int routed;

	service = service_find(service_hash, pkt->vec[0], pkt->vec[1], pkt->door, &slot);
	if (!service)
		return -VERDICT_pass;
	now = tick_now();
	conn = conn_match(hash_first_bucket(hash, conn_buckets), hash_second_bucket(hash, conn_buckets),
			  hash_tag(hash), &head);
	if (conn && conn_is(conn, pkt->client[0], pkt->client[1], LANE(pkt->client_port, slot))) {
		*node = conn_node(conn, head, service, slot, now);
		if (*node) {
			conn_follow(conn, head, now, pkt->flags, cpu);
			return head_node(head);
		}
	}
	routed = route_slowly(pkt, service, slot, hash, now, conn);
	*node = node_at(routed);
	return routed;
}

SEC("xdp.frags")
int gateway(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 cpu = bpf_get_smp_processor_id();
	struct node *node = NULL;
	__u32 ingress, egress = 0;
	struct iface *iface;
	struct packet pkt = {};
	__u32 flaw, verdict;
	int routed;

	iface = iface_find(ctx->ingress_ifindex, &ingress);
	if (!iface)
		return XDP_PASS;
	if (data + sizeof(struct ethhdr) > end || !for_our_mac(data, iface))
		return finish(VERDICT_pass, 0, 0, 0, ingress, cpu);
	flaw = parse(ctx, &pkt, data, end);
	if (flaw == PARSE_NOT_OURS)
		return finish(VERDICT_pass, 0, 0, 0, ingress, cpu);
	if (flaw) {
		__u64 vec[2] = { pkt.vec[0], pkt.vec[1] };

		return finish(flawed(vec, flaw), 0, 0, 0, ingress, cpu);
	}
	routed = route(&pkt, cpu, &node);
	if (routed <= 0 || !node)
		return finish(-routed, 0, 0, 0, ingress, cpu);
	verdict = forward(ctx, node, ingress, &egress);
	return finish(verdict, egress, routed, pkt.length, ingress, cpu);
}

/* Tells user space the time of the tables (BPF_PROG_TEST_RUN): the wall clock and time namespaces shift the
 * others. */
SEC("syscall")
int tell_tick(void *ctx __attribute__((unused)))
{
	return tick_now();
}

char LICENSE[] SEC("license") = "GPL";

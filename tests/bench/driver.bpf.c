/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the bench feeds the programs under test with. BPF_PROG_TEST_RUN does not reset the packet between
 * repetitions, so this program writes the headers anew from a template, steps the client's
 * address and port through a number of flows, and tail-calls the subject.
 */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define TEMPLATE_WORDS 10 /* Ethernet, IPv6 and TCP fit in 80 bytes */

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} subject SEC(".maps");

__u64 template[TEMPLATE_WORDS];
__u32 flows = 1;
__u32 first_flow;
__u32 next_flow; /* from first_flow on */
__u64 sunk;
__u32 client_at; /* offset of the lowest four bytes of the client's address */
__u32 port_at;	 /* offset of the client's port */

/* 0, or negative: the frame is too small. */
static __always_inline int write_packet(struct xdp_md *ctx)
{
	__u64 *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 turn = next_flow, flow = first_flow + turn;
	__u32 at;

	if ((void *)(data + TEMPLATE_WORDS) > end)
		return -1;
	for (int i = 0; i < TEMPLATE_WORDS; i++)
		data[i] = template[i];
	at = client_at & 0x3f;
	if ((void *)data + at + 4 > end)
		return -1;
	*(__u32 *)((void *)data + at) = bpf_htonl(0x0b000001 + (flow >> 4));
	at = port_at & 0x3f;
	if ((void *)data + at + 2 > end)
		return -1;
	*(__u16 *)((void *)data + at) = bpf_htons(1024 + (flow & 0xf) * 997);
	/* Atomic, since that empties the store buffer: a packet comes out of the cache, as from a NIC, and
	 * the subject does not wait for halves of words just written. */
	__sync_fetch_and_add(&next_flow, turn + 1 < flows ? 1 : -turn);
	return 0;
}

SEC("xdp.frags")
int driver(struct xdp_md *ctx)
{
	if (write_packet(ctx))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &subject, 0);
	return XDP_ABORTED;
}

/* With live frames: sends what it writes out of the interface that the frames claim to come from. */
SEC("xdp.frags")
int generator(struct xdp_md *ctx)
{
	return write_packet(ctx) ? XDP_ABORTED : XDP_TX;
}

/* Where those that come back end. */
SEC("xdp.frags")
int sink(struct xdp_md *ctx __attribute__((unused)))
{
	__sync_fetch_and_add(&sunk, 1);
	return XDP_DROP;
}

/* The least that a forwarder can do. */
SEC("xdp.frags")
int floor_tx(struct xdp_md *ctx)
{
	__u32 *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 a, b, c;

	if ((void *)(data + 4) > end)
		return XDP_ABORTED;
	a = data[0];
	b = data[1];
	c = data[2];
	data[0] = b >> 16 | c << 16;
	data[1] = c >> 16 | a << 16;
	data[2] = a >> 16 | b << 16;
	return XDP_TX;
}

char LICENSE[] SEC("license") = "GPL";

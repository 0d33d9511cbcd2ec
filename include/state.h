/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of a connection as the gateway sees it, half of its packets (¶20–23, figures 7 and 8).
 * Pure functions of the head and of what a packet carries; data plane and user space share them.
 */
#ifndef XDPVEC_STATE_H
#define XDPVEC_STATE_H

#include "layout.h"

#define STATE_INLINE static inline __attribute__((always_inline))

/* What a packet means for its connection. The TCP bits are those of the header's 14th byte. */
#define FLAG_FIN	   0x01u
#define FLAG_SYN	   0x02u
#define FLAG_RST	   0x04u
#define FLAG_ACK	   0x10u
#define FLAG_PAYLOAD	   0x100u /* carries data; a UDP packet always does */
#define FLAG_PAYLOAD_SHIFT 8

STATE_INLINE __u32 head_state(__u64 head)
{
	return head >> HEAD_STATE_SHIFT & 0xff;
}

STATE_INLINE __u32 head_class(__u64 head)
{
	return head >> HEAD_STATE_SHIFT & STATE_CLASS_MASK;
}

STATE_INLINE __u32 head_node(__u64 head)
{
	return head >> HEAD_NODE_SHIFT & 0xffff;
}

STATE_INLINE int head_taken(__u64 head)
{
	return head >> HEAD_TAG_SHIFT != 0;
}

/* The head of a slot's next tenant. tag as hash_tag() gives it. */
STATE_INLINE __u64 head_make(__u64 old, __u64 tag, __u32 node, __u32 state)
{
	return tag | (__u64)node << HEAD_NODE_SHIFT | (__u64)state << HEAD_STATE_SHIFT |
	       ((old + 1) & HEAD_TURN_MASK);
}

STATE_INLINE __u64 head_free(__u64 old)
{
	return (old + 1) & HEAD_TURN_MASK;
}

/* Idle for longer than its class allows. Ticks wrap after years; a tick stamped by a CPU that is ahead is not
 * old. */
STATE_INLINE int conn_expired(__u32 now, __u32 seen, __u32 timeout)
{
	return (__s32)(now - seen) > (__s32)timeout;
}

/* Does a packet without an entry start a connection (figure 8)? */
STATE_INLINE int starts_connection(__u32 flags)
{
	return (flags & (FLAG_SYN | FLAG_ACK | FLAG_RST | FLAG_FIN)) == FLAG_SYN;
}

/*
 * Figure 7: the state after a packet of a known connection.
 *
 * A connection that carried data keeps that mark for good, whatever forged SYNs say, since the
 * mark alone protects it from being displaced. A RST only shortens its life.
 */
STATE_INLINE __u32 state_next(__u32 state, __u32 flags)
{
	__u32 class = state & STATE_CLASS_MASK;
	__u32 marks = state & (STATE_DATA | STATE_FIN);

	if (flags & FLAG_RST)
		return marks | CLASS_RESET;
	if ((flags & (FLAG_SYN | FLAG_ACK)) == FLAG_SYN) {
		if (class == CLASS_FIN || class == CLASS_RESET)
			return (marks & STATE_DATA) | CLASS_HALF_OPEN;
		return state;
	}
	if (flags & FLAG_PAYLOAD)
		marks |= STATE_DATA;
	if (flags & FLAG_FIN)
		marks |= STATE_FIN;
	return marks | (marks & STATE_FIN ? CLASS_FIN : CLASS_ACTIVE);
}

/* Its next end counts as completed: closed by the client, or reset. */
STATE_INLINE int head_closing(__u64 head)
{
	return head_class(head) >= CLASS_FIN;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What becomes of a packet. A stage answers with a verdict of this project, and only finish() turns
 * it into an action of XDP, so nothing goes uncounted. Names appear in statistics as they
 * stand here.
 */
#ifndef XDPVEC_VERDICT_H
#define XDPVEC_VERDICT_H

/* X(name, meaning) */
#define VERDICTS(X)                                                              \
	X(pass, "not for a service: handed to the host's stack untouched")       \
	X(tx, "sent out of the interface it came in by")                         \
	X(redirect, "sent out of another interface")                             \
	X(local, "for the gateway itself as a node: handed to the host's stack") \
	X(drop, "dropped, see xdpvec_drops_total")

#define DROPS(X)                                                                     \
	X(truncated, "a header is cut short")                                        \
	X(bad_ip, "IP header with an impossible length")                             \
	X(bad_tcp, "TCP header with an impossible length")                           \
	X(bad_udp, "UDP header with an impossible length")                           \
	X(martian, "source address that no client can have")                         \
	X(fragment, "IP fragment")                                                   \
	X(extension_header, "IPv6 extension header that hides the transport header") \
	X(not_syn, "no known connection, and not the start of one")                  \
	X(no_node, "all weights of the service are 0")                               \
	X(node_unresolved, "the node's MAC address or interface is not known")       \
	X(loop, "it came from the MAC address that it would be sent to")             \
	X(redirect_failed, "the egress interface takes no redirected packets")

enum verdict {
#define X(name, meaning) VERDICT_##name,
	VERDICTS(X)
#undef X
		VERDICT_COUNT,
};

enum drop {
#define X(name, meaning) DROP_##name,
	DROPS(X)
#undef X
		DROP_COUNT,
};

/* One number carries both: a verdict below VERDICT_COUNT, or a drop with its reason. */
#define DROPPED(reason) (VERDICT_COUNT + DROP_##reason)

/* [CPU] */
struct drop_stats {
	unsigned long long drop[DROP_COUNT];
	unsigned long long untracked; /* forwarded without an entry in the connection table */
};

/* [CPU][interface slot] */
struct iface_stats {
	unsigned long long verdict[8];
};

_Static_assert(VERDICT_COUNT <= 8, "iface_stats is one cache line");

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bench of the data-plane tests: an instance of its own in a network namespace of its own,
 * filled by commands, that packets are sent through one at a time. Each packet is sent together
 * with all that it must lead to:
 *
 *	apply("node add 10.0.0.11 at 10.0.0.100:80/tcp mac 02:00:5e:10:01:01");
 *	sends(OPENS, .flags = SYN);
 *	sends(DROPS_AS(not_syn), .from_port = 50000, .flags = ACK);
 *
 * Whatever the effect does not name must not happen: no other byte of the frame and no other
 * counter of the instance may change.
 */
#ifndef XDPVEC_TESTS_LAB_H
#define XDPVEC_TESTS_LAB_H

#include "instance.h"
#include "packet.h"
#include "state.h"
#include "tables.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define WEB	     "10.0.0.100:80/tcp"
#define DNS	     "10.0.0.100:53/udp"
#define WEB6	     "[2001:db8::100]:80/tcp"
#define DNS6	     "[2001:db8::100]:53/udp"
#define CLIENT6	     "2001:db8::1"

extern struct instance inst;
extern struct tables *tables;

/* Called by .init and .fini. Skips the test without root. connections: capacity of the table. */
void lab_raise(uint32_t connections);
void lab_end(void);

/* A shell command, e.g. to make interfaces in the test's own namespace. */
void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Pins the test to the n-th CPU it may use; returns its number, or -1: there are not so many. */
int lab_use_cpu(int n);

/* ---- tables ---- */

/* One command that changes the tables, as on the command line. */
void apply(const char *format, ...) __attribute__((format(printf, 1, 2)));

uint32_t service_slot(const char *service);

/* Nodes have numbers from 1, which their addresses and MACs end in. Makes one whose MAC is reached
 * by the interface that packets come in by. Returns its slot. */
uint32_t node_add(const char *service, unsigned int number, unsigned int weight);
uint32_t node_slot(const char *service, unsigned int number);
const char *node_address(const char *service, unsigned int number);
struct hop hop_to(unsigned int number);
void node_set_hop(const char *service, unsigned int number, const struct hop *hop);

/* ---- packets ---- */

struct effect {
	enum verdict verdict;
	enum drop reason;	   /* of a drop */
	unsigned int node;	   /* that it goes to; 0: any, of a packet sent by wire */
	bool opens;		   /* enters a connection, or an old entry begins a new one */
	unsigned int completes_at; /* node whose old connection is completed thereby */
	bool untracked;
};

#define PASSES	       ((struct effect){ .verdict = VERDICT_pass })
#define FOLLOWS	       ((struct effect){ .verdict = VERDICT_tx })
#define OPENS	       ((struct effect){ .verdict = VERDICT_tx, .opens = true })
#define UNTRACKED      ((struct effect){ .verdict = VERDICT_tx, .untracked = true })
#define DROPS_AS(name) ((struct effect){ .verdict = VERDICT_drop, .reason = DROP_##name })
#define FOLLOWS_TO(n)  ((struct effect){ .verdict = VERDICT_tx, .node = (n) })
#define OPENS_AT(n)    ((struct effect){ .verdict = VERDICT_tx, .opens = true, .node = (n) })
/* … where an old connection of node m was completed. */
#define REOPENS_AT(n, m) \
	((struct effect){ .verdict = VERDICT_tx, .opens = true, .node = (n), .completes_at = (m) })

#define PACKET(...) ((struct packet){ __VA_ARGS__ })

/* All return the number of the node that the packet was sent to, or 0. */
#define sends(effect, ...)	lab_send(__LINE__, (effect), &PACKET(__VA_ARGS__))
#define sends_packet(effect, p) lab_send(__LINE__, (effect), (p))
#define sends_frame(effect, f)	lab_send_frame(__LINE__, (effect), (f))

unsigned int lab_send(int line, struct effect effect, const struct packet *packet);
unsigned int lab_send_frame(int line, struct effect effect, const struct frame *frame);

/* By which interface packets come in from now on; at first lo. slot: in the table of interfaces. */
void lab_ingress(uint32_t ifindex, uint32_t slot);

/* ---- connections ---- */

/* States as the table holds them. */
#define HALF_OPEN CLASS_HALF_OPEN
#define ACTIVE	  CLASS_ACTIVE
#define FINISHED  (CLASS_FIN | STATE_FIN)
#define RESET	  CLASS_RESET
#define WITH_DATA STATE_DATA
#define AFTER_FIN STATE_FIN
#define NONE	  0xffu

/* The entry of a packet's connection, found by looking at all of them; NULL: none. */
struct conn *lab_entry(const struct packet *packet);
#define entry(...) lab_entry(&PACKET(__VA_ARGS__))

/* That the packet's connection is in this state, in the table and in listings. NONE: in neither. */
void lab_expect_state(int line, uint32_t state, const struct packet *packet);
#define expect_state(state, ...) lab_expect_state(__LINE__, (state), &PACKET(__VA_ARGS__))

/* Makes an entry this old. */
void entry_age(struct conn *conn, uint64_t ms);

#endif

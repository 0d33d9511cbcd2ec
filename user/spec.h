/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A spec is one command as data: what the words of a command line, or of a line of the
 * configuration file, ask for. One parser makes it, one applier carries it out; nothing in
 * between looks at words again.
 *
 * The grammar is one table in spec.c: for each command its object, verb, positional arguments,
 * keywords with their kinds, synopsis and one line of help. Parser, `help`, error hints and
 * (later) completion all read that table.
 */
#ifndef XDPVEC_SPEC_H
#define XDPVEC_SPEC_H

#include <linux/if_ether.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "addr.h"
#include "error.h"

#define SPEC_IFACES_MAX 64
#define SPEC_NAME_MAX	64

enum spec_command {
	CMD_NONE,
	CMD_HELP, /* `help`, `OBJECT help`: spec.help_object says of what, NULL: everything */
	CMD_ATTACH,
	CMD_DETACH,
	CMD_RUN,
	CMD_STATUS,
	CMD_STATS,
	CMD_VEC_ADD,
	CMD_VEC_SET,
	CMD_VEC_DEL,
	CMD_VEC_SHOW,
	CMD_DEFAULTS_SET,
	CMD_DEFAULTS_SHOW,
	CMD_PORT_ADD,
	CMD_PORT_SET,
	CMD_PORT_DEL,
	CMD_PORT_SHOW,
	CMD_NODE_ADD,
	CMD_NODE_SET,
	CMD_NODE_DEL,
	CMD_NODE_SHOW,
	CMD_CONN_SHOW,
	CMD_CONN_COUNT,
	CMD_CONN_FLUSH,
};

/* Which arguments were given: spec.given & (1u << FIELD_X). */
enum spec_field {
	FIELD_IFACES,
	FIELD_MODE,
	FIELD_CONNECTIONS,
	FIELD_ADDR, /* the VEC of `vec`, the node of `node` and of `conn … node` */
	FIELD_SERVICE,
	FIELD_NAME,
	FIELD_DEV,
	FIELD_MAC,
	FIELD_STALE_TIMEOUT,
	FIELD_FIN_TIMEOUT,
	FIELD_HALF_OPEN,
	FIELD_UDP_TIMEOUT,
	FIELD_WEIGHT,
	FIELD_WEIGHT_BOUND,
	FIELD_FIXED_WEIGHT,
	FIELD_QUIESCE,
	FIELD_LIMIT,
};

enum attach_mode { MODE_AUTO, MODE_NATIVE, MODE_GENERIC };

struct spec {
	enum spec_command command;
	uint32_t given;
	const char *help_object;

	unsigned int iface_count;
	char ifaces[SPEC_IFACES_MAX][IF_NAMESIZE];
	enum attach_mode mode;
	uint32_t connections;

	struct in6_addr addr;
	struct service_name service;
	char name[SPEC_NAME_MAX];
	char dev[IF_NAMESIZE];
	uint8_t mac[ETH_ALEN];

	uint64_t stale_timeout_ms;
	uint64_t fin_timeout_ms;
	uint64_t half_open_ms;
	uint64_t udp_timeout_ms;

	uint32_t weight;
	uint32_t weight_bound;
	int32_t fixed_weight; /* -1: off */
	bool quiesce;
	uint32_t limit;
};

/* Words without the program's name and global options. 0, or negative with *err filled
 * (status STATUS_WORDS, the offending word quoted, a hint listing what would fit) and *out untouched. */
int spec_parse(int argc, const char *const *argv, struct spec *out, struct error *err);

/* Help of one object ("vec"), or of everything for NULL. */
void spec_help(FILE *out, const char *object);

#endif

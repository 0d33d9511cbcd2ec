/* SPDX-License-Identifier: GPL-2.0-only */
/* What main() dispatches to: one function per command, or one for several that only differ in their spec. */
#ifndef XDPVEC_COMMANDS_H
#define XDPVEC_COMMANDS_H

#include "error.h"
#include "spec.h"

struct invocation {
	const char *instance;
	bool json;
	bool pretty;
	struct spec spec;
};

/* Each: 0, or negative with *err filled. */
int cmd_attach(const struct invocation *run, struct error *err);
int cmd_detach(const struct invocation *run, struct error *err);
int cmd_run(const struct invocation *run, struct error *err);
int cmd_status(const struct invocation *run, struct error *err);
int cmd_stats(const struct invocation *run, struct error *err);
int cmd_apply(const struct invocation *run,
	      struct error *err); /* whatever changes VECs, ports, nodes, defaults */
int cmd_vec_show(const struct invocation *run, struct error *err);
int cmd_defaults_show(const struct invocation *run, struct error *err);
int cmd_port_show(const struct invocation *run, struct error *err);
int cmd_node_show(const struct invocation *run, struct error *err);
int cmd_conn_show(const struct invocation *run, struct error *err);
int cmd_conn_count(const struct invocation *run, struct error *err);
int cmd_conn_flush(const struct invocation *run, struct error *err);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* The command line: global options, then one command, carried out and answered for here. */
#include <bpf/libbpf.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"

static const struct {
	enum spec_command command;
	int (*carry_out)(const struct invocation *run, struct error *err);
} handlers[] = {
	{ CMD_ATTACH, cmd_attach },
	{ CMD_DETACH, cmd_detach },
	{ CMD_RUN, cmd_run },
	{ CMD_STATUS, cmd_status },
	{ CMD_STATS, cmd_stats },
	{ CMD_VEC_ADD, cmd_apply },
	{ CMD_VEC_SET, cmd_apply },
	{ CMD_VEC_DEL, cmd_apply },
	{ CMD_VEC_SHOW, cmd_vec_show },
	{ CMD_DEFAULTS_SET, cmd_apply },
	{ CMD_DEFAULTS_SHOW, cmd_defaults_show },
	{ CMD_PORT_ADD, cmd_apply },
	{ CMD_PORT_SET, cmd_apply },
	{ CMD_PORT_DEL, cmd_apply },
	{ CMD_PORT_SHOW, cmd_port_show },
	{ CMD_NODE_ADD, cmd_apply },
	{ CMD_NODE_SET, cmd_apply },
	{ CMD_NODE_DEL, cmd_apply },
	{ CMD_NODE_SHOW, cmd_node_show },
	{ CMD_CONN_SHOW, cmd_conn_show },
	{ CMD_CONN_COUNT, cmd_conn_count },
	{ CMD_CONN_FLUSH, cmd_conn_flush },
};

static void usage(FILE *out)
{
	fputs("usage: xdp-vec [-j|--json] [-p|--pretty] [-d|--debug] [-i|--instance NAME] COMMAND …\n"
	      "       xdp-vec -h|--help | -V|--version\n\n",
	      out);
	spec_help(out, NULL);
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static int check_instance_name(const char *name, struct error *err)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	if (length && length < 32 && !name[length])
		return 0;
	return error_words(err, name, "up to 31 letters, digits, `_` and `-`", "is no name for an instance");
}

static int carry_out(const struct invocation *run, struct error *err)
{
	if (run->spec.command == CMD_HELP) {
		if (run->spec.help_object)
			spec_help(stdout, run->spec.help_object);
		else
			usage(stdout);
		return 0;
	}
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		if (handlers[i].command == run->spec.command)
			return handlers[i].carry_out(run, err);
	return error_words(err, "this command", NULL, "is not known");
}

static int report(const struct error *err, bool json)
{
	error_print(stderr, err, json);
	return err->status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "pretty", no_argument, NULL, 'p' },
		{ "debug", no_argument, NULL, 'd' },
		{ "instance", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const char *from_environment = getenv("XDP_VEC_INSTANCE");
	struct invocation run = {
		.instance = from_environment && *from_environment ? from_environment : "default",
	};
	struct error err = { .status = STATUS_OK };
	bool debug = false;
	int option;

	opterr = 0;
	/* `+`: options end where the command begins, since its words are not ours to reorder. */
	while ((option = getopt_long(argc, argv, "+jpdi:hV", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			run.json = true;
			break;
		case 'p':
			run.pretty = true;
			break;
		case 'd':
			debug = true;
			break;
		case 'i':
			run.instance = optarg;
			break;
		case 'h':
			usage(stdout);
			return STATUS_OK;
		case 'V':
			puts("xdp-vec " XDPVEC_VERSION);
			return STATUS_OK;
		default:
			error_words(&err, argv[optind - 1], "xdp-vec --help lists the options",
				    "is no option, or lacks its value");
			return report(&err, run.json);
		}
	}
	if (optind == argc) {
		error_words(&err, "no command", "xdp-vec help lists them", "nothing was asked for");
		return report(&err, run.json);
	}
	if (!debug)
		libbpf_set_print(quiet);
	if (check_instance_name(run.instance, &err) ||
	    spec_parse(argc - optind, (const char *const *)argv + optind, &run.spec, &err) ||
	    carry_out(&run, &err))
		return report(&err, run.json);
	if (fflush(stdout) || ferror(stdout)) {
		error_refuse(&err, "standard output", NULL, "cannot be written");
		return report(&err, run.json);
	}
	return STATUS_OK;
}

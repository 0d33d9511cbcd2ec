/* SPDX-License-Identifier: GPL-2.0-only */
/* Words to specs, and what is said about words that are none. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "spec.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define WORDS_MAX    80

/* What the last line of words came to. */
static struct spec spec;
static struct error err;

/* Parses a line, cut at single blanks. Two blanks make an empty word. */
static int parse(const char *line)
{
	char *text = strdup(line), *rest = text;
	const char *words[WORDS_MAX];
	int count = 0, result;

	while (rest && line[0]) {
		cr_assert(lt(int, count, WORDS_MAX));
		words[count++] = strsep(&rest, " ");
	}
	memset(&spec, 0xaa, sizeof(spec));
	memset(&err, 0, sizeof(err));
	result = spec_parse(count, words, &spec, &err);
	free(text);
	return result;
}

static void assert_spec(const char *line, enum spec_command command, uint32_t given)
{
	cr_assert(zero(int, parse(line)), "%s: %s: %s", line, err.what, err.why);
	cr_assert(eq(int, spec.command, command), "%s", line);
	cr_assert(eq(u32, spec.given, given), "%s", line);
}

static void assert_contains(const char *text, const char *fragment, const char *line)
{
	cr_assert(ne(ptr, strstr(text, fragment), NULL), "%s: \"%s\" is not in: %s", line, fragment, text);
}

/* Each error has status 1, names what is wrong, and leaves the output alone. */
static void assert_refused(const char *line, const char *what, const char *why, const char *hint)
{
	unsigned char untouched[sizeof(spec)];

	memset(untouched, 0xaa, sizeof(untouched));
	cr_assert(lt(int, parse(line), 0), "%s is taken", line);
	cr_assert(eq(int, err.status, STATUS_WORDS), "%s", line);
	cr_assert(zero(int, memcmp(&spec, untouched, sizeof(spec))), "%s", line);
	cr_assert(eq(str, err.what, (char *)what), "%s", line);
	assert_contains(err.why, why, line);
	assert_contains(err.hint, hint, line);
}

static void assert_addr(const struct in6_addr *addr, const char *expected)
{
	char text[ADDR_TEXT_MAX];

	cr_assert(eq(str, (char *)addr_text(addr, text), (char *)expected));
}

static void assert_service(const char *expected)
{
	char text[SERVICE_TEXT_MAX];

	cr_assert(eq(str, (char *)service_text(&spec.service, text), (char *)expected));
}

static uint32_t bit(enum spec_field field)
{
	return 1u << field;
}

/* ---- every command, in its shortest and its longest form ---- */

Test(spec, attach_takes_interfaces_then_keywords)
{
	assert_spec("attach eth0", CMD_ATTACH, bit(FIELD_IFACES));
	cr_assert(eq(uint, spec.iface_count, 1));
	assert_spec("attach eth0 wan.100 mode native connections 4096", CMD_ATTACH,
		    bit(FIELD_IFACES) | bit(FIELD_MODE) | bit(FIELD_CONNECTIONS));
	cr_assert(eq(uint, spec.iface_count, 2));
	cr_assert(eq(str, spec.ifaces[0], "eth0"));
	cr_assert(eq(str, spec.ifaces[1], "wan.100"));
	cr_assert(eq(int, spec.mode, MODE_NATIVE));
	cr_assert(eq(u32, spec.connections, 4096));
}

Test(spec, attach_knows_three_modes)
{
	assert_spec("attach eth0 mode auto", CMD_ATTACH, bit(FIELD_IFACES) | bit(FIELD_MODE));
	cr_assert(eq(int, spec.mode, MODE_AUTO));
	assert_spec("attach eth0 mode generic", CMD_ATTACH, bit(FIELD_IFACES) | bit(FIELD_MODE));
	cr_assert(eq(int, spec.mode, MODE_GENERIC));
}

Test(spec, detach_takes_any_number_of_interfaces)
{
	assert_spec("detach", CMD_DETACH, 0);
	cr_assert(eq(uint, spec.iface_count, 0));
	assert_spec("detach eth0 eth1", CMD_DETACH, bit(FIELD_IFACES));
	cr_assert(eq(uint, spec.iface_count, 2));
	cr_assert(eq(str, spec.ifaces[1], "eth1"));
}

Test(spec, commands_without_arguments_take_none)
{
	assert_spec("status", CMD_STATUS, 0);
	assert_spec("stats", CMD_STATS, 0);
	assert_spec("vec show", CMD_VEC_SHOW, 0);
	assert_spec("defaults show", CMD_DEFAULTS_SHOW, 0);
	assert_spec("port show", CMD_PORT_SHOW, 0);
	assert_spec("conn count", CMD_CONN_COUNT, 0);
}

Test(spec, show_is_the_default_of_each_object)
{
	assert_spec("vec", CMD_VEC_SHOW, 0);
	assert_spec("defaults", CMD_DEFAULTS_SHOW, 0);
	assert_spec("port", CMD_PORT_SHOW, 0);
	assert_spec("node", CMD_NODE_SHOW, 0);
	assert_spec("conn", CMD_CONN_SHOW, 0);
}

Test(spec, vec_add_takes_an_address_and_what_it_is_to_be)
{
	assert_spec("vec add 10.0.0.100", CMD_VEC_ADD, bit(FIELD_ADDR));
	assert_spec("vec add 2001:db8::1 name web-1.a_B dev eth0 stale-timeout 2h fin-timeout 90s",
		    CMD_VEC_ADD,
		    bit(FIELD_ADDR) | bit(FIELD_NAME) | bit(FIELD_DEV) | bit(FIELD_STALE_TIMEOUT) |
			    bit(FIELD_FIN_TIMEOUT));
	assert_addr(&spec.addr, "2001:db8::1");
	cr_assert(eq(str, spec.name, "web-1.a_B"));
	cr_assert(eq(str, spec.dev, "eth0"));
	cr_assert(eq(u64, spec.stale_timeout_ms, 7200000));
	cr_assert(eq(u64, spec.fin_timeout_ms, 90000));
}

Test(spec, vec_set_and_del_name_their_vec)
{
	assert_spec("vec set 10.0.0.100 name api", CMD_VEC_SET, bit(FIELD_ADDR) | bit(FIELD_NAME));
	cr_assert(eq(str, spec.name, "api"));
	assert_spec("vec del 10.0.0.100", CMD_VEC_DEL, bit(FIELD_ADDR));
	assert_addr(&spec.addr, "10.0.0.100");
}

Test(spec, defaults_set_takes_four_timeouts)
{
	assert_spec("defaults set stale-timeout 8000s fin-timeout 1m half-open 500ms udp-timeout 120s",
		    CMD_DEFAULTS_SET,
		    bit(FIELD_STALE_TIMEOUT) | bit(FIELD_FIN_TIMEOUT) | bit(FIELD_HALF_OPEN) |
			    bit(FIELD_UDP_TIMEOUT));
	cr_assert(eq(u64, spec.stale_timeout_ms, 8000000));
	cr_assert(eq(u64, spec.fin_timeout_ms, 60000));
	cr_assert(eq(u64, spec.half_open_ms, 500));
	cr_assert(eq(u64, spec.udp_timeout_ms, 120000));
}

Test(spec, port_add_set_and_del_name_their_service)
{
	assert_spec("port add 10.0.0.100:80/tcp", CMD_PORT_ADD, bit(FIELD_SERVICE));
	assert_service("10.0.0.100:80/tcp");
	assert_spec("port add [2001:db8::1]:53/udp stale-timeout 5s fin-timeout 6s weight-bound 100",
		    CMD_PORT_ADD,
		    bit(FIELD_SERVICE) | bit(FIELD_STALE_TIMEOUT) | bit(FIELD_FIN_TIMEOUT) |
			    bit(FIELD_WEIGHT_BOUND));
	assert_service("[2001:db8::1]:53/udp");
	cr_assert(eq(u64, spec.stale_timeout_ms, 5000));
	cr_assert(eq(u64, spec.fin_timeout_ms, 6000));
	cr_assert(eq(u32, spec.weight_bound, 100));
	assert_spec("port set 10.0.0.100:80/tcp weight-bound 1", CMD_PORT_SET,
		    bit(FIELD_SERVICE) | bit(FIELD_WEIGHT_BOUND));
	assert_spec("port del 10.0.0.100:80/tcp", CMD_PORT_DEL, bit(FIELD_SERVICE));
}

Test(spec, node_add_takes_a_node_its_service_and_its_way)
{
	static const uint8_t mac[] = { 2, 0, 0, 0, 0, 0xb };

	assert_spec("node add 10.0.0.11 at 10.0.0.100:80/tcp", CMD_NODE_ADD,
		    bit(FIELD_ADDR) | bit(FIELD_SERVICE));
	assert_spec("node add 10.0.0.11 at 10.0.0.100:80/tcp weight 3 mac 02:00:00:00:00:0b dev eth1",
		    CMD_NODE_ADD,
		    bit(FIELD_ADDR) | bit(FIELD_SERVICE) | bit(FIELD_WEIGHT) | bit(FIELD_MAC) |
			    bit(FIELD_DEV));
	assert_addr(&spec.addr, "10.0.0.11");
	assert_service("10.0.0.100:80/tcp");
	cr_assert(eq(u32, spec.weight, 3));
	cr_assert(zero(int, memcmp(spec.mac, mac, sizeof(mac))));
	cr_assert(eq(str, spec.dev, "eth1"));
}

Test(spec, node_set_changes_weight_fixed_weight_and_quiesce)
{
	assert_spec("node set 10.0.0.11 at 10.0.0.100:80/tcp weight 0 fixed-weight 7 quiesce on",
		    CMD_NODE_SET,
		    bit(FIELD_ADDR) | bit(FIELD_SERVICE) | bit(FIELD_WEIGHT) | bit(FIELD_FIXED_WEIGHT) |
			    bit(FIELD_QUIESCE));
	cr_assert(eq(u32, spec.weight, 0));
	cr_assert(eq(i32, spec.fixed_weight, 7));
	cr_assert(spec.quiesce);
	assert_spec("node set 10.0.0.11 fixed-weight off quiesce off", CMD_NODE_SET,
		    bit(FIELD_ADDR) | bit(FIELD_FIXED_WEIGHT) | bit(FIELD_QUIESCE));
	cr_assert(eq(i32, spec.fixed_weight, -1));
	cr_assert(not(spec.quiesce));
}

Test(spec, node_del_and_show_need_no_service)
{
	assert_spec("node del 10.0.0.11", CMD_NODE_DEL, bit(FIELD_ADDR));
	assert_spec("node del 10.0.0.11 at 10.0.0.100:80/tcp", CMD_NODE_DEL,
		    bit(FIELD_ADDR) | bit(FIELD_SERVICE));
	assert_spec("node show", CMD_NODE_SHOW, 0);
	assert_spec("node show at 10.0.0.100:80/tcp", CMD_NODE_SHOW, bit(FIELD_SERVICE));
}

Test(spec, conn_show_and_flush_select_by_service_and_node)
{
	assert_spec("conn show", CMD_CONN_SHOW, 0);
	assert_spec("conn show at 10.0.0.100:80/tcp node 10.0.0.11 limit 20", CMD_CONN_SHOW,
		    bit(FIELD_SERVICE) | bit(FIELD_ADDR) | bit(FIELD_LIMIT));
	assert_addr(&spec.addr, "10.0.0.11");
	cr_assert(eq(u32, spec.limit, 20));
	assert_spec("conn flush", CMD_CONN_FLUSH, 0);
	assert_spec("conn flush at 10.0.0.100:80/tcp node 10.0.0.11", CMD_CONN_FLUSH,
		    bit(FIELD_SERVICE) | bit(FIELD_ADDR));
}

Test(spec, keywords_come_in_any_order)
{
	assert_spec("node add 10.0.0.11 weight 3 at 10.0.0.100:80/tcp", CMD_NODE_ADD,
		    bit(FIELD_ADDR) | bit(FIELD_SERVICE) | bit(FIELD_WEIGHT));
	assert_spec("attach eth0 connections 1024 mode auto", CMD_ATTACH,
		    bit(FIELD_IFACES) | bit(FIELD_MODE) | bit(FIELD_CONNECTIONS));
}

Test(spec, what_is_not_given_is_zero)
{
	assert_spec("vec add 10.0.0.100", CMD_VEC_ADD, bit(FIELD_ADDR));
	cr_assert(eq(str, spec.name, ""));
	cr_assert(eq(u64, spec.stale_timeout_ms, 0));
	cr_assert(eq(uint, spec.iface_count, 0));
	cr_assert(eq(ptr, (void *)spec.help_object, NULL));
}

/* ---- words that do not fit ---- */

Test(spec, an_unknown_command_is_quoted_and_all_are_listed)
{
	assert_refused("frobnicate", "\"frobnicate\"", "no such command",
		       "attach detach run status stats vec defaults port node conn help");
	assert_refused("VEC add 10.0.0.1", "\"VEC\"", "no such command", "vec");
}

Test(spec, no_words_at_all_are_an_error_that_lists_the_commands)
{
	assert_refused("", "command", "none is given", "attach detach");
}

Test(spec, an_unknown_verb_is_quoted_and_those_of_the_object_are_listed)
{
	assert_refused("vec remove 10.0.0.1", "\"remove\"", "no command of vec",
		       "use one of: add set del show help");
	assert_refused("conn add", "\"add\"", "no command of conn", "use one of: show count flush help");
	assert_refused("defaults del", "\"del\"", "no command of defaults", "use one of: set show help");
}

Test(spec, words_are_not_abbreviated)
{
	assert_refused("sta", "\"sta\"", "no such command", "status");
	assert_refused("vec sh", "\"sh\"", "no command of vec", "show");
	assert_refused("node add 10.0.0.11 at 10.0.0.100:80/tcp w 3", "\"w\"", "does not fit here",
		       "weight N");
}

Test(spec, an_unknown_keyword_is_quoted_and_what_fits_is_listed)
{
	assert_refused("vec add 10.0.0.100 nam web", "\"nam\"", "does not fit here",
		       "use one of: name NAME, dev IFACE, stale-timeout TIME, fin-timeout TIME");
	assert_refused("vec add 10.0.0.100 weight 3", "\"weight\"", "does not fit here", "name NAME");
	assert_refused("node del 10.0.0.11 weight 3", "\"weight\"", "does not fit here",
		       "use one of: at SERVICE");
}

Test(spec, what_was_given_is_no_longer_listed)
{
	assert_refused("vec add 10.0.0.100 name web dev eth0 x", "\"x\"", "does not fit here",
		       "use one of: stale-timeout TIME, fin-timeout TIME");
}

Test(spec, a_repeated_keyword_is_quoted_and_what_fits_is_listed)
{
	assert_refused("vec add 10.0.0.100 name web name api", "\"name\"", "given twice",
		       "use one of: dev IFACE, stale-timeout TIME, fin-timeout TIME");
	assert_refused("conn show limit 1 limit 1", "\"limit\"", "given twice", "at SERVICE");
}

Test(spec, a_word_after_the_end_is_quoted)
{
	assert_refused("status now", "\"now\"", "does not fit here", "its form is: status");
	assert_refused("vec show 10.0.0.1", "\"10.0.0.1\"", "does not fit here", "its form is: vec show");
	assert_refused("vec del 10.0.0.1 10.0.0.2", "\"10.0.0.2\"", "does not fit here", "vec del ADDR");
	assert_refused("help vec", "\"vec\"", "does not fit here", "help");
	assert_refused("vec help add", "\"add\"", "does not fit here", "help");
}

Test(spec, an_empty_word_is_an_error_too)
{
	assert_refused("vec add ", "\"\"", "not an IPv4 or IPv6 address", "2001:db8::11");
	assert_refused("attach eth0 ", "\"\"", "not an interface name", "interface name");
	assert_refused("vec ", "\"\"", "no command of vec", "show");
	assert_refused("vec add 10.0.0.1 name ", "name \"\"", "not a name", "A-Z");
}

Test(spec, a_very_long_word_is_quoted_in_part)
{
	char line[1100] = "vec ";

	memset(line + 4, 'x', 1000);
	cr_assert(lt(int, parse(line), 0));
	cr_assert(eq(sz, strlen(err.what), 202));
	cr_assert(eq(chr, err.what[201], '"'));
}

Test(spec, a_missing_argument_is_named)
{
	assert_refused("attach", "attach", "IFACE is missing", "attach IFACE... [mode auto|native|generic]");
	assert_refused("attach mode native", "attach", "IFACE is missing", "attach IFACE...");
	assert_refused("vec add", "vec add", "ADDR is missing", "vec add ADDR [name NAME]");
	assert_refused("vec add name web", "vec add", "ADDR is missing", "vec add ADDR [name NAME]");
	assert_refused("vec del", "vec del", "ADDR is missing", "vec del ADDR");
	assert_refused("port add", "port add", "SERVICE is missing", "port add SERVICE");
	assert_refused("node add 10.0.0.11", "node add", "at SERVICE is missing", "node add ADDR at SERVICE");
	assert_refused("node add 10.0.0.11 weight 3", "node add", "at SERVICE is missing",
		       "node add ADDR at SERVICE");
}

Test(spec, a_keyword_without_its_value_is_named)
{
	assert_refused("vec add 10.0.0.1 name", "vec add", "NAME is missing after \"name\"", "[name NAME]");
	assert_refused("node add 10.0.0.1 at", "node add", "SERVICE is missing after \"at\"", "at SERVICE");
	assert_refused("conn show node", "conn show", "ADDR is missing after \"node\"", "[node ADDR]");
}

Test(spec, set_without_anything_to_change_is_an_error)
{
	assert_refused("vec set 10.0.0.1", "vec set", "nothing to change", "[name NAME]");
	assert_refused("defaults set", "defaults set", "nothing to change", "[half-open TIME]");
	assert_refused("port set 10.0.0.1:80/tcp", "port set", "nothing to change", "[weight-bound N]");
	assert_refused("node set 10.0.0.1", "node set", "nothing to change", "[quiesce on|off]");
	assert_refused("node set 10.0.0.1 at 10.0.0.100:80/tcp", "node set", "nothing to change",
		       "[weight N]");
}

Test(spec, one_thing_to_change_is_enough)
{
	static const char *const lines[] = {
		"vec set 10.0.0.1 name web",
		"vec set 10.0.0.1 dev eth0",
		"vec set 10.0.0.1 stale-timeout 1h",
		"vec set 10.0.0.1 fin-timeout 1h",
		"defaults set stale-timeout 1h",
		"defaults set fin-timeout 1h",
		"defaults set half-open 1h",
		"defaults set udp-timeout 1h",
		"port set 10.0.0.1:80/tcp stale-timeout 1h",
		"port set 10.0.0.1:80/tcp fin-timeout 1h",
		"port set 10.0.0.1:80/tcp weight-bound 1",
		"node set 10.0.0.1 weight 1",
		"node set 10.0.0.1 fixed-weight 1",
		"node set 10.0.0.1 quiesce on",
	};

	for (size_t i = 0; i < COUNT(lines); i++)
		cr_assert(zero(int, parse(lines[i])), "%s: %s", lines[i], err.why);
}

/* ---- values ---- */

Test(spec, addresses_that_cannot_be_a_vec_or_a_node_are_refused)
{
	static const char *const faults[][2] = {
		{ "web", "not an IPv4 or IPv6 address" },
		{ "0.0.0.0", "unspecified" },
		{ "::", "unspecified" },
		{ "127.0.0.1", "loopback" },
		{ "::1", "loopback" },
		{ "224.0.0.1", "multicast" },
		{ "ff02::1", "multicast" },
		{ "255.255.255.255", "broadcast" },
		{ "169.254.1.1", "link-local" },
		{ "fe80::1", "link-local" },
		{ "::ffff:10.0.0.1", "IPv4-mapped" },
		{ "10.0.0.0/24", "not an IPv4 or IPv6 address" },
	};
	static const char *const commands[] = { "vec add", "vec del", "node set", "node del" };
	char line[64], quoted[64];

	for (size_t i = 0; i < COUNT(faults) * COUNT(commands); i++) {
		const char *word = faults[i / COUNT(commands)][0];

		snprintf(line, sizeof(line), "%s %s", commands[i % COUNT(commands)], word);
		snprintf(quoted, sizeof(quoted), "\"%s\"", word);
		assert_refused(line, quoted, faults[i / COUNT(commands)][1], "an IPv4 or IPv6 address");
	}
}

Test(spec, services_are_refused_with_their_reason)
{
	assert_refused("port add 10.0.0.1:80", "\"10.0.0.1:80\"", "/tcp or /udp is missing",
		       "ADDR:PORT/PROTO");
	assert_refused("port add 10.0.0.1/tcp", "\"10.0.0.1/tcp\"", "no port", "ADDR:PORT/PROTO");
	assert_refused("port add 10.0.0.1:0/tcp", "\"10.0.0.1:0/tcp\"", "1 to 65535", "ADDR:PORT/PROTO");
	assert_refused("port add 2001:db8::1:53/udp", "\"2001:db8::1:53/udp\"", "without brackets",
		       "[2001:db8::1]");
	assert_refused("port add 127.0.0.1:80/tcp", "\"127.0.0.1:80/tcp\"", "loopback", "ADDR:PORT/PROTO");
	assert_refused("node show at 10.0.0.1", "at \"10.0.0.1\"", "/tcp or /udp is missing",
		       "ADDR:PORT/PROTO");
}

Test(spec, node_and_service_are_of_one_family)
{
	assert_refused("node add 10.0.0.11 at [2001:db8::1]:53/udp", "\"10.0.0.11\"",
		       "IPv4 node cannot serve the IPv6 service [2001:db8::1]:53/udp", "same address family");
	assert_refused("node add 2001:db8::11 at 10.0.0.100:80/tcp", "\"2001:db8::11\"",
		       "IPv6 node cannot serve the IPv4 service 10.0.0.100:80/tcp", "same address family");
	assert_refused("node set 10.0.0.11 at [2001:db8::1]:53/udp weight 1", "\"10.0.0.11\"", "IPv6 service",
		       "family");
	assert_refused("conn show node 10.0.0.11 at [2001:db8::1]:53/udp", "\"10.0.0.11\"", "IPv6 service",
		       "family");
	assert_spec("node add 2001:db8::11 at [2001:db8::1]:53/udp", CMD_NODE_ADD,
		    bit(FIELD_ADDR) | bit(FIELD_SERVICE));
}

/* `lowest` and `highest` are taken, one step beyond is not, and neither is a word that is no number. */
static void assert_range(const char *command, const char *keyword, uint64_t lowest, uint64_t highest,
			 const uint32_t *field)
{
	static const char *const junk[] = { "x", "-1", "+1", "1x", "01", "1.0", "0x1", "1e3", "" };
	char line[128], what[64], hint[64];

	snprintf(hint, sizeof(hint), "from %lu to %lu", lowest, highest);
	for (size_t i = 0; i < COUNT(junk); i++) {
		snprintf(line, sizeof(line), "%s %s %s", command, keyword, junk[i]);
		snprintf(what, sizeof(what), "%s \"%s\"", keyword, junk[i]);
		assert_refused(line, what, "not a decimal number", hint);
	}
	snprintf(line, sizeof(line), "%s %s %lu", command, keyword, lowest);
	cr_assert(zero(int, parse(line)), "%s", line);
	cr_assert(eq(u32, *field, (uint32_t)lowest), "%s", line);
	snprintf(line, sizeof(line), "%s %s %lu", command, keyword, highest);
	cr_assert(zero(int, parse(line)), "%s", line);
	cr_assert(eq(u32, *field, (uint32_t)highest), "%s", line);
	snprintf(line, sizeof(line), "%s %s %lu", command, keyword, highest + 1);
	snprintf(what, sizeof(what), "%s \"%lu\"", keyword, highest + 1);
	assert_refused(line, what, "out of range", hint);
	if (!lowest)
		return;
	snprintf(line, sizeof(line), "%s %s %lu", command, keyword, lowest - 1);
	snprintf(what, sizeof(what), "%s \"%lu\"", keyword, lowest - 1);
	assert_refused(line, what, "out of range", hint);
}

Test(spec, numbers_are_read_whole_and_kept_in_their_range)
{
	assert_range("attach eth0", "connections", 1024, 16000000, &spec.connections);
	assert_range("node set 10.0.0.11", "weight", 0, 100, &spec.weight);
	assert_range("port set 10.0.0.1:80/tcp", "weight-bound", 1, 100, &spec.weight_bound);
	assert_range("node set 10.0.0.11", "fixed-weight", 0, 100, (const uint32_t *)&spec.fixed_weight);
	assert_range("conn show", "limit", 1, UINT32_MAX, &spec.limit);
}

Test(spec, a_time_needs_a_unit_and_a_sensible_length)
{
	assert_refused("defaults set half-open 60", "half-open \"60\"", "has no unit", "ms, s, m, h");
	assert_refused("defaults set half-open x", "half-open \"x\"", "not a time", "ms, s, m, h");
	assert_refused("defaults set half-open ", "half-open \"\"", "not a time", "ms, s, m, h");
	assert_refused("defaults set half-open 1.5s", "half-open \"1.5s\"", "not a time", "whole number");
	assert_refused("defaults set half-open 0s", "half-open \"0s\"", "out of range", "365 days");
	assert_refused("defaults set half-open 8761h", "half-open \"8761h\"", "out of range", "365 days");
	assert_refused("defaults set half-open 99999999999999999999h", "half-open \"99999999999999999999h\"",
		       "out of range", "365 days");
}

Test(spec, choices_are_listed)
{
	assert_refused("attach eth0 mode fast", "mode \"fast\"", "not a mode",
		       "use one of auto|native|generic");
	assert_refused("node set 10.0.0.1 quiesce yes", "quiesce \"yes\"", "neither on nor off",
		       "use one of on|off");
	assert_refused("node set 10.0.0.1 fixed-weight none", "fixed-weight \"none\"", "not a decimal number",
		       "from 0 to 100, or off");
}

Test(spec, a_mac_must_be_of_one_host)
{
	static const char *const words[] = { "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00",
					     "02:00:00:00:00" };
	char line[96], what[64];

	for (size_t i = 0; i < COUNT(words); i++) {
		snprintf(line, sizeof(line), "node add 10.0.0.1 at 10.0.0.100:80/tcp mac %s", words[i]);
		snprintf(what, sizeof(what), "mac \"%s\"", words[i]);
		assert_refused(line, what, "not a unicast MAC address", "02:00:00:00:00:0b");
	}
}

Test(spec, a_name_has_1_to_63_plain_characters)
{
	static const char longest[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-";
	char line[128], what[128];

	cr_assert(eq(sz, strlen(longest), 63));
	assert_refused("vec add 10.0.0.1 name a/b", "name \"a/b\"", "not a name", "1 to 63");
	assert_refused("vec add 10.0.0.1 name a\tb", "name \"a\tb\"", "not a name", "1 to 63");
	assert_refused("vec add 10.0.0.1 name \xc3\xa4", "name \"\xc3\xa4\"", "not a name", "1 to 63");
	snprintf(line, sizeof(line), "vec add 10.0.0.1 name %s", longest);
	assert_spec(line, CMD_VEC_ADD, bit(FIELD_ADDR) | bit(FIELD_NAME));
	cr_assert(eq(str, spec.name, (char *)longest));
	snprintf(line, sizeof(line), "vec add 10.0.0.1 name %sx", longest);
	snprintf(what, sizeof(what), "name \"%sx\"", longest);
	assert_refused(line, what, "too long", "1 to 63");
}

Test(spec, an_interface_name_is_one_the_kernel_takes)
{
	assert_refused("attach .", "\".\"", "not an interface name", "1 to 15");
	assert_refused("attach ..", "\"..\"", "not an interface name", "1 to 15");
	assert_refused("attach a/b", "\"a/b\"", "holds a character", "1 to 15");
	assert_refused("attach eth0:1", "\"eth0:1\"", "holds a character", "1 to 15");
	assert_refused("attach a\tb", "\"a\tb\"", "holds a character", "1 to 15");
	assert_refused("attach a\rb", "\"a\rb\"", "holds a character", "1 to 15");
	assert_refused("attach a\xa0", "\"a\xa0\"", "holds a character", "1 to 15");
	assert_refused("attach a234567890123456", "\"a234567890123456\"", "too long", "1 to 15");
	assert_refused("vec add 10.0.0.1 dev a/b", "dev \"a/b\"", "holds a character", "1 to 15");
	assert_spec("attach a23456789012345 eth0@x ...", CMD_ATTACH, bit(FIELD_IFACES));
	cr_assert(eq(str, spec.ifaces[0], "a23456789012345"));
}

Test(spec, an_interface_given_twice_is_refused)
{
	assert_refused("attach eth0 eth1 eth0", "\"eth0\"", "given twice", "once");
	assert_refused("detach eth0 eth0", "\"eth0\"", "given twice", "once");
}

Test(spec, more_interfaces_than_there_is_room_for_are_refused)
{
	char line[1024] = "attach";
	size_t used = strlen(line);

	for (int i = 0; i < SPEC_IFACES_MAX; i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used, " eth%d", i);
	assert_spec(line, CMD_ATTACH, bit(FIELD_IFACES));
	cr_assert(eq(uint, spec.iface_count, SPEC_IFACES_MAX));
	cr_assert(eq(str, spec.ifaces[SPEC_IFACES_MAX - 1], "eth63"));
	snprintf(line + used, sizeof(line) - used, " one-more");
	assert_refused(line, "attach", "more than 64 interfaces", "second command");
}

/* ---- help ---- */

/* To be freed. */
static char *help_of(const char *object)
{
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	cr_assert(ne(ptr, out, NULL));
	spec_help(out, object);
	fclose(out);
	return text;
}

Test(spec, help_alone_is_of_everything)
{
	assert_spec("help", CMD_HELP, 0);
	cr_assert(eq(ptr, (void *)spec.help_object, NULL));
}

Test(spec, each_object_answers_help)
{
	static const char *const objects[] = { "attach", "detach",   "status", "stats", "vec",
					       "port",	 "defaults", "node",   "conn" };
	char line[32];

	for (size_t i = 0; i < COUNT(objects); i++) {
		snprintf(line, sizeof(line), "%s help", objects[i]);
		assert_spec(line, CMD_HELP, 0);
		cr_assert(eq(str, (char *)spec.help_object, (char *)objects[i]));
	}
}

Test(spec, the_help_of_an_object_has_its_commands_and_no_others)
{
	char *text = help_of("node");

	assert_contains(text, "node add ADDR at SERVICE [weight N] [mac MAC] [dev IFACE]\n", "node");
	assert_contains(text, "node set ADDR [at SERVICE] [weight N] [fixed-weight N|off] [quiesce on|off]\n",
			"node");
	assert_contains(text, "node show [at SERVICE]\n", "node");
	assert_contains(text, "fixed-weight     a whole number from 0 to 100, or off\n", "node");
	cr_assert(eq(ptr, strstr(text, "vec add"), NULL));
	cr_assert(eq(ptr, strstr(text, "TIME"), NULL));
	cr_assert(eq(ptr, strstr(text, "1024"), NULL));
	free(text);
}

Test(spec, the_help_of_everything_has_the_forms_of_all_commands)
{
	static const char *const forms[] = {
		"  attach IFACE... [mode auto|native|generic] [connections N]\n",
		"  detach [IFACE...]\n",
		"  status\n",
		"  stats\n",
		"  vec add ADDR [name NAME] [dev IFACE] [stale-timeout TIME] [fin-timeout TIME]\n",
		"  vec del ADDR\n",
		"defaults set [stale-timeout TIME] [fin-timeout TIME] [half-open TIME] [udp-timeout TIME]",
		"  port add SERVICE [stale-timeout TIME] [fin-timeout TIME] [weight-bound N]\n",
		"  node del ADDR [at SERVICE]\n",
		"  conn show [at SERVICE] [node ADDR] [limit N]\n",
		"  conn count\n",
		"  conn flush [at SERVICE] [node ADDR]\n",
	};
	char *text = help_of(NULL);

	for (size_t i = 0; i < COUNT(forms); i++)
		assert_contains(text, forms[i], "help");
	free(text);
}

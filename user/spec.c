/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Words to a spec. Three tables say everything: kinds (what a word may look like), arguments
 * (each field of a spec: its keyword, kind and range) and commands (which arguments fit where).
 * A new command is a row in the last, a new argument a row in the one before.
 */
#include "spec.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "number.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define HINT_MAX	  sizeof(((struct error *)0)->hint)
#define WHAT_MAX	  sizeof(((struct error *)0)->what)
#define USES_MAX	  8

/* ---- kinds of words ---- */

struct argument;

/* Reads one word into the field at out: NULL, or why it does not fit, with *out untouched. */
typedef const char *word_reader(const struct argument *arg, const char *word, void *out);

struct kind {
	const char *shown; /* in a synopsis */
	const char *fits;  /* in hints and help; NULL: `shown` lists the choices */
	word_reader *read;
};

struct argument {
	const char *keyword; /* NULL: only ever positional */
	const struct kind *kind;
	size_t offset; /* in struct spec */
	uint64_t min;  /* numbers only */
	uint64_t max;
};

static const char *read_addr(const struct argument *arg, const char *word, void *out)
{
	const char *fault = addr_fault(word);

	(void)arg;
	if (!fault)
		addr_parse(word, out);
	return fault;
}

static const char *read_service(const struct argument *arg, const char *word, void *out)
{
	const char *fault = service_fault(word);

	(void)arg;
	if (!fault)
		service_parse(word, out);
	return fault;
}

/* The kernel's isspace() is that of Latin-1, where 0xa0 is a blank. */
static bool iface_char_is_valid(unsigned char c)
{
	return c != '/' && c != ':' && c != ' ' && (c < '\t' || c > '\r') && c != 0xa0;
}

/* As the kernel's dev_valid_name(). */
static const char *read_iface(const struct argument *arg, const char *word, void *out)
{
	(void)arg;
	if (!word[0] || !strcmp(word, ".") || !strcmp(word, ".."))
		return "not an interface name";
	if (strlen(word) >= IF_NAMESIZE)
		return "too long for an interface name";
	for (const char *c = word; *c; c++)
		if (!iface_char_is_valid((unsigned char)*c))
			return "holds a character that no interface name can have";
	memcpy(out, word, strlen(word) + 1);
	return NULL;
}

static const char *read_name(const struct argument *arg, const char *word, void *out)
{
	static const char valid[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz"
				    "0123456789._-";

	(void)arg;
	if (!word[0] || word[strspn(word, valid)])
		return "not a name";
	if (strlen(word) >= SPEC_NAME_MAX)
		return "too long for a name";
	memcpy(out, word, strlen(word) + 1);
	return NULL;
}

static const char *read_mac(const struct argument *arg, const char *word, void *out)
{
	(void)arg;
	return mac_parse(word, out) ? "not a unicast MAC address" : NULL;
}

static const char *read_time(const struct argument *arg, const char *word, void *out)
{
	(void)arg;
	switch (time_parse(word, out)) {
	case 0:
		return NULL;
	case -ERANGE:
		return "out of range";
	default:
		return word[0] && !word[strspn(word, "0123456789")] ? "has no unit" : "not a time";
	}
}

static const char *read_number(const struct argument *arg, const char *word, void *out)
{
	uint64_t number;

	switch (number_parse(word, arg->min, arg->max, &number)) {
	case 0:
		*(uint32_t *)out = (uint32_t)number;
		return NULL;
	case -ERANGE:
		return "out of range";
	default:
		return "not a decimal number";
	}
}

static const char *read_number_or_off(const struct argument *arg, const char *word, void *out)
{
	uint32_t number;
	const char *fault;

	if (!strcmp(word, "off")) {
		*(int32_t *)out = -1;
		return NULL;
	}
	fault = read_number(arg, word, &number);
	if (!fault)
		*(int32_t *)out = (int32_t)number;
	return fault;
}

static const char *read_mode(const struct argument *arg, const char *word, void *out)
{
	static const char *const modes[] = {
		[MODE_AUTO] = "auto",
		[MODE_NATIVE] = "native",
		[MODE_GENERIC] = "generic",
	};

	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(word, modes[i]) != 0)
			continue;
		*(enum attach_mode *)out = (enum attach_mode)i;
		return NULL;
	}
	return "not a mode";
}

static const char *read_switch(const struct argument *arg, const char *word, void *out)
{
	bool on = !strcmp(word, "on");

	(void)arg;
	if (!on && strcmp(word, "off") != 0)
		return "neither on nor off";
	*(bool *)out = on;
	return NULL;
}

static const struct kind kind_addr = {
	"ADDR", "an IPv4 or IPv6 address that one host can have: 10.0.0.11, 2001:db8::11", read_addr
};
static const struct kind kind_service = { "SERVICE",
					  "ADDR:PORT/PROTO: 10.0.0.100:80/tcp, [2001:db8::1]:53/udp",
					  read_service };
static const struct kind kind_iface = { "IFACE",
					"an interface name: 1 to 15 characters without blanks, '/' and ':'",
					read_iface };
static const struct kind kind_name = { "NAME", "1 to 63 of A-Z a-z 0-9 . _ -", read_name };
static const struct kind kind_mac = { "MAC", "a unicast MAC address: 02:00:00:00:00:0b", read_mac };
static const struct kind kind_time = {
	"TIME", "a whole number and a unit (ms, s, m, h), at most 365 days: 200ms, 5s, 2m, 1h", read_time
};
static const struct kind kind_number = { "N", NULL, read_number };
static const struct kind kind_number_or_off = { "N|off", NULL, read_number_or_off };
static const struct kind kind_mode = { "auto|native|generic", NULL, read_mode };
static const struct kind kind_switch = { "on|off", NULL, read_switch };

static const struct kind *const kinds_explained[] = {
	&kind_addr, &kind_service, &kind_iface, &kind_name, &kind_mac, &kind_time,
};

/* ---- arguments ---- */

#define IN_SPEC(member) offsetof(struct spec, member)

static const struct argument arguments[] = {
	[FIELD_IFACES] = { NULL, &kind_iface, IN_SPEC(ifaces), 0, 0 },
	[FIELD_MODE] = { "mode", &kind_mode, IN_SPEC(mode), 0, 0 },
	[FIELD_CONNECTIONS] = { "connections", &kind_number, IN_SPEC(connections), 1024, 16000000 },
	[FIELD_ADDR] = { "node", &kind_addr, IN_SPEC(addr), 0, 0 },
	[FIELD_SERVICE] = { "at", &kind_service, IN_SPEC(service), 0, 0 },
	[FIELD_NAME] = { "name", &kind_name, IN_SPEC(name), 0, 0 },
	[FIELD_DEV] = { "dev", &kind_iface, IN_SPEC(dev), 0, 0 },
	[FIELD_MAC] = { "mac", &kind_mac, IN_SPEC(mac), 0, 0 },
	[FIELD_STALE_TIMEOUT] = { "stale-timeout", &kind_time, IN_SPEC(stale_timeout_ms), 0, 0 },
	[FIELD_FIN_TIMEOUT] = { "fin-timeout", &kind_time, IN_SPEC(fin_timeout_ms), 0, 0 },
	[FIELD_HALF_OPEN] = { "half-open", &kind_time, IN_SPEC(half_open_ms), 0, 0 },
	[FIELD_UDP_TIMEOUT] = { "udp-timeout", &kind_time, IN_SPEC(udp_timeout_ms), 0, 0 },
	[FIELD_WEIGHT] = { "weight", &kind_number, IN_SPEC(weight), 0, 100 },
	[FIELD_WEIGHT_BOUND] = { "weight-bound", &kind_number, IN_SPEC(weight_bound), 1, 100 },
	[FIELD_FIXED_WEIGHT] = { "fixed-weight", &kind_number_or_off, IN_SPEC(fixed_weight), 0, 100 },
	[FIELD_QUIESCE] = { "quiesce", &kind_switch, IN_SPEC(quiesce), 0, 0 },
	[FIELD_LIMIT] = { "limit", &kind_number, IN_SPEC(limit), 1, UINT32_MAX },
};

/* ---- commands ---- */

enum form {
	FORM_END,	 /* after the last use */
	FORM_PLACE,	 /* VALUE, first in the command */
	FORM_LIST,	 /* VALUE..., at least one */
	FORM_MAYBE_LIST, /* [VALUE...] */
	FORM_KEYWORD,	 /* keyword VALUE, must be given */
	FORM_OPTION,	 /* [keyword VALUE] */
	FORM_CHANGE,	 /* [keyword VALUE], of which a command needs at least one */
};

struct use {
	enum form form;
	enum spec_field field;
};

struct command {
	enum spec_command command;
	const char *object;
	const char *verb; /* NULL: the object is the whole command */
	const char *help;
	struct use uses[USES_MAX]; /* in the order of the synopsis: places and lists first */
};

static const struct command commands[] = {
	{ CMD_ATTACH,
	  "attach",
	  NULL,
	  "load programs and maps if there are none, and forward what arrives at these interfaces",
	  { { FORM_LIST, FIELD_IFACES }, { FORM_OPTION, FIELD_MODE }, { FORM_OPTION, FIELD_CONNECTIONS } } },
	{ CMD_DETACH,
	  "detach",
	  NULL,
	  "undo attach; without IFACE everything of the instance, tables included",
	  { { FORM_MAYBE_LIST, FIELD_IFACES } } },
	{ CMD_RUN,
	  "run",
	  NULL,
	  "stay in the foreground: free expired connections, follow the neighbours",
	  {} },
	{ CMD_STATUS, "status", NULL, "show the instance on one screen, and what is wrong with it", {} },
	{ CMD_STATS, "stats", NULL, "print all counters as Prometheus text", {} },

	{ CMD_VEC_ADD,
	  "vec",
	  "add",
	  "make a virtual address; with dev, claim it on that interface",
	  { { FORM_PLACE, FIELD_ADDR },
	    { FORM_OPTION, FIELD_NAME },
	    { FORM_OPTION, FIELD_DEV },
	    { FORM_OPTION, FIELD_STALE_TIMEOUT },
	    { FORM_OPTION, FIELD_FIN_TIMEOUT } } },
	{ CMD_VEC_SET,
	  "vec",
	  "set",
	  "change what is given, leave the rest",
	  { { FORM_PLACE, FIELD_ADDR },
	    { FORM_CHANGE, FIELD_NAME },
	    { FORM_CHANGE, FIELD_DEV },
	    { FORM_CHANGE, FIELD_STALE_TIMEOUT },
	    { FORM_CHANGE, FIELD_FIN_TIMEOUT } } },
	{ CMD_VEC_DEL,
	  "vec",
	  "del",
	  "remove a virtual address and everything in it",
	  { { FORM_PLACE, FIELD_ADDR } } },
	{ CMD_VEC_SHOW, "vec", "show", "list the virtual addresses (default)", {} },

	{ CMD_DEFAULTS_SET,
	  "defaults",
	  "set",
	  "change the timeouts of services that have none of their own",
	  { { FORM_CHANGE, FIELD_STALE_TIMEOUT },
	    { FORM_CHANGE, FIELD_FIN_TIMEOUT },
	    { FORM_CHANGE, FIELD_HALF_OPEN },
	    { FORM_CHANGE, FIELD_UDP_TIMEOUT } } },
	{ CMD_DEFAULTS_SHOW, "defaults", "show", "show these timeouts (default)", {} },

	{ CMD_PORT_ADD,
	  "port",
	  "add",
	  "offer a service at a virtual address",
	  { { FORM_PLACE, FIELD_SERVICE },
	    { FORM_OPTION, FIELD_STALE_TIMEOUT },
	    { FORM_OPTION, FIELD_FIN_TIMEOUT },
	    { FORM_OPTION, FIELD_WEIGHT_BOUND } } },
	{ CMD_PORT_SET,
	  "port",
	  "set",
	  "change what is given, leave the rest",
	  { { FORM_PLACE, FIELD_SERVICE },
	    { FORM_CHANGE, FIELD_STALE_TIMEOUT },
	    { FORM_CHANGE, FIELD_FIN_TIMEOUT },
	    { FORM_CHANGE, FIELD_WEIGHT_BOUND } } },
	{ CMD_PORT_DEL,
	  "port",
	  "del",
	  "remove a service with its nodes and connections",
	  { { FORM_PLACE, FIELD_SERVICE } } },
	{ CMD_PORT_SHOW, "port", "show", "list the services (default)", {} },

	{ CMD_NODE_ADD,
	  "node",
	  "add",
	  "let a node take connections of a service",
	  { { FORM_PLACE, FIELD_ADDR },
	    { FORM_KEYWORD, FIELD_SERVICE },
	    { FORM_OPTION, FIELD_WEIGHT },
	    { FORM_OPTION, FIELD_MAC },
	    { FORM_OPTION, FIELD_DEV } } },
	{ CMD_NODE_SET,
	  "node",
	  "set",
	  "change what is given; without at, in every service of the node",
	  { { FORM_PLACE, FIELD_ADDR },
	    { FORM_OPTION, FIELD_SERVICE },
	    { FORM_CHANGE, FIELD_WEIGHT },
	    { FORM_CHANGE, FIELD_FIXED_WEIGHT },
	    { FORM_CHANGE, FIELD_QUIESCE } } },
	{ CMD_NODE_DEL,
	  "node",
	  "del",
	  "remove a node; without at, from every service",
	  { { FORM_PLACE, FIELD_ADDR }, { FORM_OPTION, FIELD_SERVICE } } },
	{ CMD_NODE_SHOW,
	  "node",
	  "show",
	  "list nodes and what they carry (default)",
	  { { FORM_OPTION, FIELD_SERVICE } } },

	{ CMD_CONN_SHOW,
	  "conn",
	  "show",
	  "list connections (default)",
	  { { FORM_OPTION, FIELD_SERVICE }, { FORM_OPTION, FIELD_ADDR }, { FORM_OPTION, FIELD_LIMIT } } },
	{ CMD_CONN_COUNT, "conn", "count", "show how full the connection table is", {} },
	{ CMD_CONN_FLUSH,
	  "conn",
	  "flush",
	  "forget connections; without at and node, all of them",
	  { { FORM_OPTION, FIELD_SERVICE }, { FORM_OPTION, FIELD_ADDR } } },
};

static bool use_has_keyword(const struct use *use)
{
	return use->form == FORM_KEYWORD || use->form == FORM_OPTION || use->form == FORM_CHANGE;
}

static bool use_is_list(const struct use *use)
{
	return use->form == FORM_LIST || use->form == FORM_MAYBE_LIST;
}

/* The first row of an object, NULL when there is no such object. */
static const struct command *object_find(const char *object)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].object, object))
			return &commands[i];
	return NULL;
}

static bool same_object(const struct command *a, const struct command *b)
{
	return !strcmp(a->object, b->object);
}

static const struct command *verb_find(const struct command *object, const char *verb)
{
	for (const struct command *c = object; c < commands + ARRAY_SIZE(commands); c++)
		if (same_object(c, object) && !strcmp(c->verb, verb))
			return c;
	return NULL;
}

static const struct use *keyword_find(const struct command *command, const char *word)
{
	for (const struct use *use = command->uses; use->form; use++)
		if (use_has_keyword(use) && !strcmp(arguments[use->field].keyword, word))
			return use;
	return NULL;
}

/* ---- the tables as text ---- */

/* Appends to the string in buf, cutting off what has no room. */
__attribute__((format(printf, 3, 4))) static void append(char *buf, size_t size, const char *format, ...)
{
	size_t used = strlen(buf);
	va_list args;

	va_start(args, format);
	vsnprintf(buf + used, size - used, format, args);
	va_end(args);
}

static void append_use(char *buf, size_t size, const struct use *use)
{
	const struct argument *arg = &arguments[use->field];
	bool optional = use->form == FORM_OPTION || use->form == FORM_CHANGE || use->form == FORM_MAYBE_LIST;

	append(buf, size, " %s", optional ? "[" : "");
	if (use_has_keyword(use))
		append(buf, size, "%s ", arg->keyword);
	append(buf, size, "%s%s%s", arg->kind->shown, use_is_list(use) ? "..." : "", optional ? "]" : "");
}

static void append_command_name(char *buf, size_t size, const struct command *command)
{
	append(buf, size, "%s%s%s", command->object, command->verb ? " " : "",
	       command->verb ? command->verb : "");
}

static void append_synopsis(char *buf, size_t size, const struct command *command)
{
	append_command_name(buf, size, command);
	for (const struct use *use = command->uses; use->form; use++)
		append_use(buf, size, use);
}

static void append_fits(char *buf, size_t size, const struct argument *arg)
{
	if (arg->kind->fits)
		append(buf, size, "%s", arg->kind->fits);
	else if (arg->max)
		append(buf, size, "a whole number from %llu to %llu%s", (unsigned long long)arg->min,
		       (unsigned long long)arg->max, arg->kind == &kind_number_or_off ? ", or off" : "");
	else
		append(buf, size, "one of %s", arg->kind->shown);
}

/* ---- errors, all of status 1 ---- */

/* A command being read. */
struct parse {
	const struct command *command;
	int argc;
	const char *const *argv;
	int at; /* the next word */
	struct spec spec;
	struct error *err;
};

static bool field_given(const struct parse *p, enum spec_field field)
{
	return p->spec.given & (1u << field);
}

/* A word of the user's, for a message. */
static const char *quote(const char *word, char buf[WHAT_MAX])
{
	snprintf(buf, WHAT_MAX, "\"%.200s\"", word);
	return buf;
}

static int error_word(struct error *err, const char *word, const char *hint, const char *why)
{
	char what[WHAT_MAX];

	return error_words(err, quote(word, what), hint, "%s", why);
}

static int error_object(struct error *err, const char *word)
{
	char hint[HINT_MAX] = "use one of:";

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!i || !same_object(&commands[i - 1], &commands[i]))
			append(hint, sizeof(hint), " %s", commands[i].object);
	append(hint, sizeof(hint), " help");
	if (!word)
		return error_words(err, "command", hint, "none is given");
	return error_word(err, word, hint, "no such command");
}

static int error_verb(struct error *err, const struct command *object, const char *word)
{
	char hint[HINT_MAX] = "use one of:";
	char what[WHAT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (same_object(&commands[i], object))
			append(hint, sizeof(hint), " %s", commands[i].verb);
	append(hint, sizeof(hint), " help");
	return error_words(err, quote(word, what), hint, "no command of %s", object->object);
}

/* The keywords that may still come. */
static void append_open_keywords(char *buf, size_t size, const struct parse *p)
{
	const char *separator = "";

	for (const struct use *use = p->command->uses; use->form; use++) {
		const struct argument *arg = &arguments[use->field];

		if (!use_has_keyword(use) || field_given(p, use->field))
			continue;
		append(buf, size, "%s%s %s", separator, arg->keyword, arg->kind->shown);
		separator = ", ";
	}
}

/* A word where a keyword or the end should be. */
static int error_keyword(const struct parse *p, const char *word, const char *why)
{
	char open[HINT_MAX] = "", hint[HINT_MAX] = "";

	append_open_keywords(open, sizeof(open), p);
	if (open[0]) {
		append(hint, sizeof(hint), "use one of: %s", open);
	} else {
		append(hint, sizeof(hint), "end the command here; its form is: ");
		append_synopsis(hint, sizeof(hint), p->command);
	}
	return error_word(p->err, word, hint, why);
}

/* The command as a whole lacks something: the hint is its form. */
static int error_form(const struct parse *p, const char *why)
{
	char what[WHAT_MAX] = "", hint[HINT_MAX] = "write: ";

	append_command_name(what, sizeof(what), p->command);
	append_synopsis(hint, sizeof(hint), p->command);
	return error_words(p->err, what, hint, "%s", why);
}

/* keyword: what the value should have followed, NULL for a place. */
static int error_missing(const struct parse *p, const struct argument *arg, const char *keyword)
{
	char why[WHAT_MAX] = "";

	append(why, sizeof(why), "%s is missing", arg->kind->shown);
	if (keyword)
		append(why, sizeof(why), " after \"%s\"", keyword);
	return error_form(p, why);
}

static int error_value(const struct parse *p, const struct argument *arg, const char *keyword,
		       const char *word, const char *why)
{
	char quoted[WHAT_MAX], what[WHAT_MAX] = "", hint[HINT_MAX] = "use ";

	append(what, sizeof(what), "%s%s%s", keyword ? keyword : "", keyword ? " " : "", quote(word, quoted));
	append_fits(hint, sizeof(hint), arg);
	return error_words(p->err, what, hint, "%s", why);
}

/* ---- the parser ---- */

static const char *next_word(const struct parse *p)
{
	return p->at < p->argc ? p->argv[p->at] : NULL;
}

/* Takes the next word as the value of a field. keyword: the one before it, NULL for a place. */
static int parse_value(struct parse *p, enum spec_field field, const char *keyword, void *out)
{
	const struct argument *arg = &arguments[field];
	const char *word = next_word(p);
	const char *fault;

	if (!word || (!keyword && keyword_find(p->command, word)))
		return error_missing(p, arg, keyword);
	fault = arg->kind->read(arg, word, out);
	if (fault)
		return error_value(p, arg, keyword, word, fault);
	p->spec.given |= 1u << field;
	p->at++;
	return 0;
}

/* One more interface of a list, which must not be in it yet. */
static int parse_list_item(struct parse *p, enum spec_field field)
{
	char iface[IF_NAMESIZE] = "";
	const char *word = next_word(p);
	int err;

	if (p->spec.iface_count == SPEC_IFACES_MAX)
		return error_words(p->err, p->command->object, "give the rest in a second command",
				   "more than %d interfaces", SPEC_IFACES_MAX);
	err = parse_value(p, field, NULL, iface);
	if (err)
		return err;
	for (unsigned int i = 0; i < p->spec.iface_count; i++)
		if (!strcmp(p->spec.ifaces[i], iface))
			return error_word(p->err, word, "name each interface once", "given twice");
	memcpy(p->spec.ifaces[p->spec.iface_count++], iface, sizeof(iface));
	return 0;
}

static int parse_list(struct parse *p, const struct use *use)
{
	int err = 0;

	if (use->form == FORM_LIST)
		err = parse_list_item(p, use->field);
	while (!err && next_word(p) && !keyword_find(p->command, next_word(p)))
		err = parse_list_item(p, use->field);
	return err;
}

static int parse_places(struct parse *p)
{
	int err = 0;

	for (const struct use *use = p->command->uses; use->form && !use_has_keyword(use) && !err; use++) {
		if (use_is_list(use))
			err = parse_list(p, use);
		else
			err = parse_value(p, use->field, NULL,
					  (char *)&p->spec + arguments[use->field].offset);
	}
	return err;
}

static int parse_keywords(struct parse *p)
{
	int err = 0;

	while (!err && next_word(p)) {
		const char *word = next_word(p);
		const struct use *use = keyword_find(p->command, word);

		if (!use)
			return error_keyword(p, word, "does not fit here");
		if (field_given(p, use->field))
			return error_keyword(p, word, "given twice");
		p->at++;
		err = parse_value(p, use->field, word, (char *)&p->spec + arguments[use->field].offset);
	}
	return err;
}

static int check_required(const struct parse *p)
{
	for (const struct use *use = p->command->uses; use->form; use++) {
		const struct argument *arg = &arguments[use->field];
		char why[WHAT_MAX] = "";

		if (use->form != FORM_KEYWORD || field_given(p, use->field))
			continue;
		append(why, sizeof(why), "%s %s is missing", arg->keyword, arg->kind->shown);
		return error_form(p, why);
	}
	return 0;
}

static int check_changes(const struct parse *p)
{
	bool wanted = false;

	for (const struct use *use = p->command->uses; use->form; use++) {
		if (use->form != FORM_CHANGE)
			continue;
		if (field_given(p, use->field))
			return 0;
		wanted = true;
	}
	return wanted ? error_form(p, "nothing to change is given") : 0;
}

/* A node answers the client itself, with the address of the VEC: both are of one family. */
static int check_family(const struct parse *p)
{
	char service[SERVICE_TEXT_MAX], node[ADDR_TEXT_MAX], what[WHAT_MAX];
	bool v4 = addr_is_v4(&p->spec.addr);

	if (!field_given(p, FIELD_ADDR) || !field_given(p, FIELD_SERVICE) ||
	    v4 == addr_is_v4(&p->spec.service.addr))
		return 0;
	return error_words(p->err, quote(addr_text(&p->spec.addr, node), what),
			   "name a node and a service of the same address family",
			   "an %s node cannot serve the %s service %s", v4 ? "IPv4" : "IPv6",
			   v4 ? "IPv6" : "IPv4", service_text(&p->spec.service, service));
}

static int parse_command(struct parse *p)
{
	int err;

	p->spec.command = p->command->command;
	err = parse_places(p);
	if (!err)
		err = parse_keywords(p);
	if (!err)
		err = check_required(p);
	if (!err)
		err = check_changes(p);
	if (!err)
		err = check_family(p);
	return err;
}

/* `help`, `OBJECT help`; p->at stands after it. */
static int parse_help(struct parse *p, const char *object)
{
	if (next_word(p))
		return error_word(p->err, next_word(p), "end the command after help", "does not fit here");
	p->spec.command = CMD_HELP;
	p->spec.help_object = object;
	return 0;
}

static int parse_words(struct parse *p)
{
	const struct command *object;
	const char *word = next_word(p);

	p->at++;
	if (word && !strcmp(word, "help"))
		return parse_help(p, NULL);
	object = word ? object_find(word) : NULL;
	if (!object)
		return error_object(p->err, word);

	word = next_word(p);
	if (word && !strcmp(word, "help")) {
		p->at++;
		return parse_help(p, object->object);
	}
	p->command = object;
	if (object->verb) {
		p->command = verb_find(object, word ? word : "show");
		p->at++;
	}
	if (!p->command)
		return error_verb(p->err, object, word);
	return parse_command(p);
}

int spec_parse(int argc, const char *const *argv, struct spec *out, struct error *err)
{
	struct parse p = { .argc = argc, .argv = argv, .err = err };
	int result = parse_words(&p);

	if (!result)
		*out = p.spec;
	return result;
}

/* ---- help ---- */

static bool object_uses_field(const char *object, enum spec_field field)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (object && strcmp(commands[i].object, object) != 0)
			continue;
		for (const struct use *use = commands[i].uses; use->form; use++)
			if (use->field == field)
				return true;
	}
	return false;
}

static bool object_uses_kind(const char *object, const struct kind *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(arguments); i++)
		if (arguments[i].kind == kind && object_uses_field(object, (enum spec_field)i))
			return true;
	return false;
}

/* What the capitals mean: the kinds that are used, and the range of every number. */
static void help_legend(FILE *out, const char *object)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds_explained); i++)
		if (object_uses_kind(object, kinds_explained[i]))
			fprintf(out, "  %-16s %s\n", kinds_explained[i]->shown, kinds_explained[i]->fits);
	for (size_t i = 0; i < ARRAY_SIZE(arguments); i++) {
		char fits[HINT_MAX] = "";

		if (!arguments[i].max || !object_uses_field(object, (enum spec_field)i))
			continue;
		append_fits(fits, sizeof(fits), &arguments[i]);
		fprintf(out, "  %-16s %s\n", arguments[i].keyword, fits);
	}
}

void spec_help(FILE *out, const char *object)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		char synopsis[HINT_MAX] = "";

		if (object && strcmp(commands[i].object, object) != 0)
			continue;
		append_synopsis(synopsis, sizeof(synopsis), &commands[i]);
		fprintf(out, "  %s\n      %s\n", synopsis, commands[i].help);
	}
	fputc('\n', out);
	help_legend(out, object);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The oracle for connections: many of them, each echoing 16 bytes a second, every byte checked.
 *
 *	echo serve PORT NAME                               a server; greets with NAME, echoes the rest
 *	echo load ADDRESS PORT CONNECTIONS SECONDS         a client
 *
 * The client prints `ready` once every connection is up or has failed, keeps them busy for SECONDS, and
 * prints one JSON object:
 *
 *	{"connections":N,"connect_failed":N,"resets":N,"timeouts":N,"mismatches":N,"longest_gap_ms":N,
 *	 "nodes":{"NAME":{"connections":N,"broken":N},...}}
 *
 * A connection that the server ends counts as reset; longest_gap_ms is the longest that any of them
 * waited for an echo. Its status is 0 when it could measure, whatever it found.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_SIZE 16
#define CONNECT_MS   10000
#define ECHO_MS	     10000
#define PERIOD_MS    1000
#define OPENING_MAX  256 /* connections on their way at the same time */
#define NODES_MAX    64
#define EVENTS_MAX   256

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void die(const char *what)
{
	fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void watch(int epoll, int op, int fd, uint32_t events, uint32_t id)
{
	struct epoll_event event = { .events = events, .data.u32 = id };

	if (epoll_ctl(epoll, op, fd, &event))
		die("epoll_ctl");
}

/* ---- Server --------------------------------------------------------------------------------------- */

static void greet(int listener, int epoll, const char greeting[MESSAGE_SIZE])
{
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (send(fd, greeting, MESSAGE_SIZE, MSG_NOSIGNAL) != MESSAGE_SIZE) {
			close(fd);
			continue;
		}
		watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, (uint32_t)fd);
	}
}

static void echo_back(int fd)
{
	char bytes[4096];
	ssize_t got = recv(fd, bytes, sizeof(bytes), 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* A client has at most one message on its way: it always fits into the send buffer. */
	if (got <= 0 || send(fd, bytes, (size_t)got, MSG_NOSIGNAL) != got)
		close(fd);
}

_Noreturn static void serve(uint16_t port, const char *name)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	char greeting[MESSAGE_SIZE] = { 0 };
	int listener, epoll, one = 1, zero = 0;

	snprintf(greeting, sizeof(greeting), "%s", name);
	listener = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	epoll = epoll_create1(0);
	if (listener < 0 || epoll < 0)
		die("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(listener, 4096))
		die("listen");
	watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, (uint32_t)listener);

	for (;;) {
		struct epoll_event events[EVENTS_MAX];
		int count = epoll_wait(epoll, events, EVENTS_MAX, -1);

		for (int i = 0; i < count; i++) {
			int fd = (int)events[i].data.u32;

			if (fd == listener)
				greet(listener, epoll, greeting);
			else
				echo_back(fd);
		}
	}
}

/* ---- Client --------------------------------------------------------------------------------------- */

enum fate { CONNECTING, GREETING, ALIVE, CONNECT_FAILED, RESET, TIMED_OUT, MISMATCHED };

struct conn {
	int fd;
	enum fate fate;
	bool waiting;	   /* for an echo, since since_ms */
	uint32_t round;	   /* of the message last sent */
	uint32_t got;	   /* bytes of the message now awaited */
	uint64_t since_ms; /* of the state or of the message */
	uint64_t due_ms;   /* of the next message */
	int node;	   /* index in nodes, -1 before the greeting */
	char awaited[MESSAGE_SIZE];
};

struct node {
	char name[MESSAGE_SIZE];
	uint32_t connections;
	uint32_t broken;
};

struct load {
	int epoll;
	uint32_t count;
	struct conn *conns;
	struct node nodes[NODES_MAX];
	int node_count;
	uint64_t longest_gap_ms;
};

static void conn_end(struct conn *c, enum fate fate)
{
	close(c->fd);
	c->fd = -1;
	/* One that never got its greeting was never up. */
	c->fate = c->node < 0 ? CONNECT_FAILED : fate;
}

static bool conn_is_open(const struct conn *c)
{
	return c->fd >= 0;
}

static int node_of_greeting(struct load *load, const char greeting[MESSAGE_SIZE])
{
	struct node *node;

	for (int i = 0; i < load->node_count; i++)
		if (memcmp(load->nodes[i].name, greeting, MESSAGE_SIZE) == 0)
			return i;
	if (load->node_count == NODES_MAX || greeting[MESSAGE_SIZE - 1])
		return -1;
	node = &load->nodes[load->node_count];
	memcpy(node->name, greeting, MESSAGE_SIZE);
	return load->node_count++;
}

static void conn_open(struct load *load, struct conn *c, uint32_t id, const struct sockaddr *addr,
		      socklen_t len)
{
	int one = 1;

	*c = (struct conn){ .node = -1, .fate = CONNECTING, .since_ms = now_ms() };
	c->fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		die("socket");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, addr, len) && errno != EINPROGRESS) {
		conn_end(c, CONNECT_FAILED);
		return;
	}
	watch(load->epoll, EPOLL_CTL_ADD, c->fd, EPOLLIN | EPOLLOUT, id);
}

static void conn_send(struct conn *c, uint32_t id, uint64_t now)
{
	uint64_t words[2];

	c->round++;
	words[0] = (uint64_t)id << 32 | c->round;
	words[1] = words[0] * 0x9e3779b97f4a7c15u;
	memcpy(c->awaited, words, MESSAGE_SIZE);
	c->got = 0;
	c->waiting = true;
	c->since_ms = now;
	c->due_ms += PERIOD_MS;
	if (send(c->fd, c->awaited, MESSAGE_SIZE, MSG_NOSIGNAL) != MESSAGE_SIZE)
		conn_end(c, RESET);
}

/* Takes in what has arrived: the greeting, or the echo awaited. */
static void conn_receive(struct load *load, struct conn *c, uint64_t now)
{
	char bytes[MESSAGE_SIZE];
	ssize_t got = recv(c->fd, bytes, MESSAGE_SIZE - c->got, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		conn_end(c, RESET);
		return;
	}
	if (c->fate == GREETING) {
		memcpy(c->awaited + c->got, bytes, (size_t)got);
		c->got += (uint32_t)got;
		if (c->got < MESSAGE_SIZE)
			return;
		c->node = node_of_greeting(load, c->awaited);
		if (c->node < 0) {
			conn_end(c, MISMATCHED);
			return;
		}
		load->nodes[c->node].connections++;
		c->fate = ALIVE;
		c->got = 0;
		return;
	}
	if (!c->waiting || memcmp(c->awaited + c->got, bytes, (size_t)got) != 0) {
		conn_end(c, MISMATCHED);
		return;
	}
	c->got += (uint32_t)got;
	if (c->got == MESSAGE_SIZE) {
		c->waiting = false;
		c->got = 0;
		if (now - c->since_ms > load->longest_gap_ms)
			load->longest_gap_ms = now - c->since_ms;
	}
}

static void conn_event(struct load *load, uint32_t id, uint32_t events, uint64_t now)
{
	struct conn *c = &load->conns[id];
	int error = 0;
	socklen_t len = sizeof(error);

	if (!conn_is_open(c))
		return;
	if (c->fate == CONNECTING) {
		if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) || error) {
			conn_end(c, CONNECT_FAILED);
			return;
		}
		if (!(events & EPOLLOUT))
			return;
		c->fate = GREETING;
		watch(load->epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, id);
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		conn_receive(load, c, now);
}

/* Waits up to wait_ms for events and handles them. */
static void turn(struct load *load, int wait_ms)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(load->epoll, events, EVENTS_MAX, wait_ms);
	uint64_t now = now_ms();

	for (int i = 0; i < count; i++)
		conn_event(load, events[i].data.u32, events[i].events, now);
}

/* Opens them all, some at a time, and returns when none is on its way any more. */
static void open_all(struct load *load, const struct sockaddr *addr, socklen_t len)
{
	uint32_t opened = 0, opening;

	do {
		uint64_t now = now_ms();

		opening = 0;
		for (uint32_t i = 0; i < opened; i++) {
			struct conn *c = &load->conns[i];

			if (!conn_is_open(c) || c->fate == ALIVE)
				continue;
			if (now - c->since_ms > CONNECT_MS)
				conn_end(c, CONNECT_FAILED);
			else
				opening++;
		}
		while (opened < load->count && opening < OPENING_MAX) {
			conn_open(load, &load->conns[opened], opened, addr, len);
			opened++;
			opening++;
		}
		turn(load, 10);
	} while (opening);
}

static void keep_busy(struct load *load, uint64_t duration_ms)
{
	uint64_t begin = now_ms(), now = begin;

	for (uint32_t i = 0; i < load->count; i++)
		load->conns[i].due_ms = begin + (uint64_t)i * PERIOD_MS / load->count;
	/* At the end every message on its way gets its time to come back. */
	for (bool waiting = true; now - begin < duration_ms || waiting; now = now_ms()) {
		waiting = false;
		for (uint32_t i = 0; i < load->count; i++) {
			struct conn *c = &load->conns[i];

			if (!conn_is_open(c))
				continue;
			if (c->waiting && now - c->since_ms > ECHO_MS)
				conn_end(c, TIMED_OUT);
			else if (!c->waiting && now >= c->due_ms && now - begin < duration_ms)
				conn_send(c, i, now);
			waiting |= conn_is_open(c) && c->waiting;
		}
		turn(load, 5);
	}
}

static void report(struct load *load)
{
	uint32_t count[MISMATCHED + 1] = { 0 };

	for (uint32_t i = 0; i < load->count; i++) {
		const struct conn *c = &load->conns[i];

		count[c->fate]++;
		if (c->node >= 0 && c->fate != ALIVE)
			load->nodes[c->node].broken++;
	}
	printf("{\"connections\":%u,\"connect_failed\":%u,\"resets\":%u,\"timeouts\":%u,\"mismatches\":%u,"
	       "\"longest_gap_ms\":%llu,\"nodes\":{",
	       load->count, count[CONNECT_FAILED], count[RESET], count[TIMED_OUT], count[MISMATCHED],
	       (unsigned long long)load->longest_gap_ms);
	for (int i = 0; i < load->node_count; i++)
		printf("%s\"%s\":{\"connections\":%u,\"broken\":%u}", i ? "," : "", load->nodes[i].name,
		       load->nodes[i].connections, load->nodes[i].broken);
	printf("}}\n");
}

static int run_load(const char *address, uint16_t port, uint32_t count, uint32_t seconds)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct load load = { .count = count };

	load.conns = calloc(count, sizeof(*load.conns));
	load.epoll = epoll_create1(0);
	if (!load.conns || load.epoll < 0)
		die("start");
	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
		open_all(&load, (struct sockaddr *)&v4, sizeof(v4));
	else if (inet_pton(AF_INET6, address, &v6.sin6_addr) == 1)
		open_all(&load, (struct sockaddr *)&v6, sizeof(v6));
	else
		die(address);
	printf("ready\n");
	fflush(stdout);
	keep_busy(&load, (uint64_t)seconds * 1000);
	report(&load);
	free(load.conns);
	return 0;
}

static unsigned long number(const char *word, unsigned long max)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(word, &end, 10);
	if (errno || end == word || *end || !value || value > max) {
		fprintf(stderr, "echo: bad number \"%s\"\n", word);
		exit(1);
	}
	return value;
}

int main(int argc, char **argv)
{
	struct rlimit files;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (argc == 4 && !strcmp(argv[1], "serve"))
		serve((uint16_t)number(argv[2], 65535), argv[3]);
	if (argc == 6 && !strcmp(argv[1], "load"))
		return run_load(argv[2], (uint16_t)number(argv[3], 65535), (uint32_t)number(argv[4], 1000000),
				(uint32_t)number(argv[5], 1000000));
	fprintf(stderr, "usage: echo serve PORT NAME | echo load ADDRESS PORT CONNECTIONS SECONDS\n");
	return 1;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * net.c against the kernel itself. Each test is a process of its own with two private network
 * namespaces, "here" and "there", joined by the veth pair left - peer; only file descriptors hold
 * them, so that nothing is left behind however the test ends. Here is also right, the end of
 * a second pair, whose other end hangs free there.
 */
#include "net.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "addr.h"

/* Far beyond what a busy machine needs; only a failing test takes this long. */
#define GENEROUS_MS 30000

/* For net_reach() where the answer, not the limit, must end the wait: more than the test allows. */
#define LONGER_MS (2 * GENEROUS_MS)

static int here = -1, there = -1;

/* ---- namespaces ---- */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static __attribute__((format(printf, 1, 2))) void run(const char *format, ...)
{
	char command[512];
	va_list args;
	int status;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	status = system(command);
	if (status)
		cr_fatal("`%s` failed with status %d", command, status);
}

/* A new namespace, entered, in which addresses of both families are usable at once. */
static int namespace_new(void)
{
	int fd;

	cr_assert(eq(int, unshare(CLONE_NEWNET), 0), "unshare: %s", strerror(errno));
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	cr_assert(ge(int, fd, 0));
	run("echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad && echo 0 > "
	    "/proc/sys/net/ipv6/conf/default/accept_dad");
	run("ip link set lo up");
	return fd;
}

static void enter(int namespace)
{
	cr_assert(eq(int, setns(namespace, CLONE_NEWNET), 0), "setns: %s", strerror(errno));
}

/* A link-local address that may be used: without one IPv6 solicits no neighbour. */
static bool has_link_local(const char *dev)
{
	FILE *file = fopen("/proc/thread-self/net/if_inet6", "re");
	unsigned int index, prefix, scope, flags;
	char addr[33], name[IF_NAMESIZE];
	bool found = false;

	cr_assert(ne(ptr, file, NULL));
	while (fscanf(file, "%32s %x %x %x %x %15s", addr, &index, &prefix, &scope, &flags, name) == 6)
		found |= strcmp(name, dev) == 0 && strncmp(addr, "fe80", 4) == 0 && !(flags & 0x40);
	fclose(file);
	return found;
}

static void wait_ready(const char *dev)
{
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
	const int64_t deadline = now_ms() + GENEROUS_MS;
	struct link_info link;

	while (net_link_by_name(dev, &link) || !link.up || !has_link_local(dev)) {
		cr_assert(lt(i64, now_ms(), deadline), "%s does not come up", dev);
		nanosleep(&pause, NULL);
	}
}

static void namespaces_join(void)
{
	if (geteuid() != 0)
		cr_skip_test("SKIPPED: needs root, to create network namespaces");

	there = namespace_new();
	here = namespace_new();
	run("ip link add left type veth peer name peer netns /proc/%d/fd/%d", getpid(), there);
	run("ip link add right type veth peer name free netns /proc/%d/fd/%d", getpid(), there);
	run("ip address add 10.0.0.1/24 dev left && ip address add fd00::1/64 dev left nodad");
	run("ip address add 10.1.0.1/24 dev right && ip address add fd01::1/64 dev right nodad");
	run("ip link set left up && ip link set right up");
	enter(there);
	run("ip address add 10.0.0.2/24 dev peer && ip address add fd00::2/64 dev peer nodad");
	run("ip link set peer up && ip link set free up");
	wait_ready("peer");
	enter(here);
	wait_ready("left");
	wait_ready("right");
}

/* Criterion itself counts skipped tests as nothing at all. */
ReportHook(PRE_ALL)(struct criterion_test_set *tests)
{
	(void)tests;
	if (geteuid() != 0)
		fprintf(stderr, "net_test: SKIPPED, all of it: needs root, to create network namespaces\n");
}

TestSuite(net, .init = namespaces_join, .timeout = 120);

/* ---- shorthand ---- */

static struct in6_addr address(const char *text)
{
	struct in6_addr addr;

	cr_assert(eq(int, addr_parse(text, &addr), 0), "%s", text);
	return addr;
}

static struct link_info link_named(const char *name)
{
	struct link_info link;

	cr_assert(eq(int, net_link_by_name(name, &link), 0), "%s", name);
	return link;
}

static struct link_info link_there(const char *name)
{
	struct link_info link;

	enter(there);
	link = link_named(name);
	enter(here);
	return link;
}

static struct reach reach(const char *text, const char *dev, int wait_ms)
{
	struct in6_addr addr = address(text);
	struct reach reach;
	int err;

	memset(&reach, 0xaa, sizeof(reach));
	err = net_reach(&addr, dev, wait_ms, &reach);
	cr_assert(eq(int, err, 0), "%s: %s", text, strerror(-err));
	return reach;
}

static void expect_kind(const char *text, const char *dev, enum reach_kind kind, const char *egress)
{
	struct reach r = reach(text, dev, 0);

	cr_expect(eq(int, (int)r.kind, (int)kind), "%s dev %s", text, dev ? dev : "any");
	cr_expect(eq(u32, r.ifindex, egress ? link_named(egress).ifindex : 0), "%s dev %s", text,
		  dev ? dev : "any");
}

static bool same_mac(const uint8_t a[ETH_ALEN], const uint8_t b[ETH_ALEN])
{
	return memcmp(a, b, ETH_ALEN) == 0;
}

static void expect_neighbour(const char *text, const char *dev, int wait_ms, const uint8_t mac[ETH_ALEN])
{
	struct link_info left = link_named("left");
	int64_t started = now_ms();
	struct reach r = reach(text, dev, wait_ms);

	cr_expect(lt(i64, now_ms() - started, GENEROUS_MS), "%s", text);
	cr_expect(eq(int, (int)r.kind, REACH_LINK), "%s", text);
	cr_expect(eq(u32, r.ifindex, left.ifindex), "%s", text);
	cr_expect(same_mac(r.mac, mac), "%s", text);
	cr_expect(same_mac(r.src_mac, left.mac), "%s", text);
}

/* ---- the wire, seen from there ---- */

struct frame {
	uint8_t bytes[2048];
	size_t size;
};

/* Reads there, whichever namespace is entered later. */
static int sniffer_open(void)
{
	struct sockaddr_ll bound = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd;

	enter(there);
	bound.sll_ifindex = (int)link_named("peer").ifindex;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	cr_assert(ge(int, fd, 0));
	cr_assert(eq(int, bind(fd, (struct sockaddr *)&bound, sizeof(bound)), 0));
	enter(here);
	return fd;
}

/* The next frame of that size that holds these bytes at offset. */
static bool sniff(int fd, size_t size, size_t offset, const void *bytes, size_t count, struct frame *out)
{
	const int64_t deadline = now_ms() + GENEROUS_MS;
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int64_t left;

	while ((left = deadline - now_ms()) > 0 && poll(&pfd, 1, (int)left) > 0) {
		ssize_t received = recv(fd, out->bytes, sizeof(out->bytes), MSG_DONTWAIT);

		if (received != (ssize_t)size || memcmp(out->bytes + offset, bytes, count) != 0)
			continue;
		out->size = (size_t)received;
		return true;
	}
	return false;
}

#define ARP_SIZE      42
#define ARP_OPERATION 20 /* where the operation is, and after it the sender's MAC and address */
#define ARP_TARGET    38 /* where the target's address is */

static bool sniff_arp(int fd, uint8_t operation, struct frame *out)
{
	const uint8_t bytes[] = { 0, operation };

	return sniff(fd, ARP_SIZE, ARP_OPERATION, bytes, sizeof(bytes), out);
}

/* Acts there, in a thread, once the kernel here has asked for 10.0.0.77: in the midst of net_reach(). */
struct midst {
	pthread_t thread;
	int sniffer;
	const char *command;
};

static void *midst_main(void *arg)
{
	static const uint8_t wanted[] = { 10, 0, 0, 77 };
	struct midst *midst = arg;
	struct frame frame;

	if (setns(there, CLONE_NEWNET) == 0 &&
	    sniff(midst->sniffer, ARP_SIZE, ARP_TARGET, wanted, sizeof(wanted), &frame) &&
	    system(midst->command) == 0)
		return midst;
	return NULL;
}

static void midst_start(struct midst *midst, const char *command)
{
	midst->sniffer = sniffer_open();
	midst->command = command;
	cr_assert(eq(int, pthread_create(&midst->thread, NULL, midst_main, midst), 0));
}

static void midst_end(struct midst *midst)
{
	void *done;

	cr_assert(eq(int, pthread_join(midst->thread, &done), 0));
	cr_assert(ne(ptr, done, NULL), "`%s` did not run", midst->command);
	close(midst->sniffer);
}

/* ---- links ---- */

Test(net, a_link_is_found_by_name_and_by_index)
{
	struct link_info by_name, by_index;
	char text[MAC_TEXT_MAX];

	run("ip link set left address 02:00:00:00:00:11 mtu 1400");
	cr_assert(eq(int, net_link_by_name("left", &by_name), 0));
	cr_expect(eq(u32, by_name.ifindex, if_nametoindex("left")));
	cr_expect(eq(str, by_name.name, "left"));
	cr_expect(eq(str, (char *)mac_text(by_name.mac, text), "02:00:00:00:00:11"));
	cr_expect(eq(u32, by_name.mtu, 1400));
	cr_expect(by_name.up);
	cr_expect(by_name.ethernet);

	cr_assert(eq(int, net_link_by_index(by_name.ifindex, &by_index), 0));
	cr_expect(eq(u32, by_index.ifindex, by_name.ifindex));
	cr_expect(eq(str, by_index.name, "left"));
	cr_expect(same_mac(by_index.mac, by_name.mac));
}

Test(net, a_link_that_does_not_exist_is_enodev)
{
	struct link_info link = { .ifindex = 77 };

	cr_expect(eq(int, net_link_by_name("nosuch", &link), -ENODEV));
	cr_expect(eq(int, net_link_by_name("", &link), -ENODEV));
	cr_expect(eq(int, net_link_by_name("a-name-longer-than-any-interface-has", &link), -ENODEV));
	cr_expect(eq(int, net_link_by_index(4242, &link), -ENODEV));
	cr_expect(eq(int, net_link_by_index(0, &link), -ENODEV));
	cr_expect(eq(int, net_link_by_index(UINT32_MAX, &link), -ENODEV));
	cr_expect(eq(u32, link.ifindex, 77), "the output was touched");
}

Test(net, a_link_is_up_only_when_set_up_and_with_carrier)
{
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
	const int64_t deadline = now_ms() + GENEROUS_MS;

	run("ip link set right down");
	cr_expect(not(link_named("right").up));
	run("ip link set right up");
	enter(there);
	run("ip link set free down");
	enter(here);
	while (link_named("right").up) {
		cr_assert(lt(i64, now_ms(), deadline), "the lost carrier is not seen");
		nanosleep(&pause, NULL);
	}
}

Test(net, the_loopback_is_not_ethernet)
{
	cr_expect(not(link_named("lo").ethernet));
}

/* ---- reach ---- */

Test(net, an_own_address_is_local)
{
	expect_kind("10.0.0.1", NULL, REACH_LOCAL, NULL);
	expect_kind("fd00::1", NULL, REACH_LOCAL, NULL);
	expect_kind("127.0.0.1", NULL, REACH_LOCAL, NULL);
	expect_kind("::1", NULL, REACH_LOCAL, NULL);
}

Test(net, an_own_address_is_local_whichever_interface_is_named)
{
	cr_expect(eq(int, (int)reach("10.0.0.1", "left", 0).kind, REACH_LOCAL));
	cr_expect(eq(int, (int)reach("10.0.0.1", "right", 0).kind, REACH_LOCAL));
	cr_expect(eq(int, (int)reach("fd00::1", "left", 0).kind, REACH_LOCAL));
	cr_expect(eq(int, (int)reach("fd00::1", "right", 0).kind, REACH_LOCAL));
}

Test(net, a_neighbour_that_answers_is_resolved_to_its_mac)
{
	struct link_info peer = link_there("peer");

	expect_neighbour("10.0.0.2", NULL, LONGER_MS, peer.mac);
	expect_neighbour("fd00::2", NULL, LONGER_MS, peer.mac);
}

Test(net, a_neighbour_is_resolved_on_the_named_interface)
{
	struct link_info peer = link_there("peer");

	expect_neighbour("10.0.0.2", "left", LONGER_MS, peer.mac);
	expect_neighbour("fd00::2", "left", LONGER_MS, peer.mac);
}

Test(net, a_link_local_neighbour_is_asked_for_on_the_named_interface)
{
	struct link_info peer = link_there("peer");
	struct reach r;

	enter(there);
	run("ip address add fe80::77/64 dev peer nodad");
	enter(here);
	expect_neighbour("fe80::77", "left", LONGER_MS, peer.mac);
	r = reach("fe80::77", "right", 0);
	cr_expect(eq(int, (int)r.kind, REACH_UNRESOLVED));
	cr_expect(eq(u32, r.ifindex, link_named("right").ifindex));
}

Test(net, a_known_neighbour_is_found_without_waiting)
{
	static const char *const states[] = { "permanent", "reachable", "stale", "delay", "probe", "noarp" };
	const uint8_t mac[ETH_ALEN] = { 2, 0, 0, 0, 0, 0x22 };

	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
		run("ip neigh replace 10.0.0.50 lladdr 02:00:00:00:00:22 dev left nud %s", states[i]);
		run("ip neigh replace fd00::50 lladdr 02:00:00:00:00:22 dev left nud %s", states[i]);
		expect_neighbour("10.0.0.50", NULL, 0, mac);
		expect_neighbour("fd00::50", NULL, 0, mac);
	}
}

static void expect_silence(const char *text)
{
	struct link_info left = link_named("left");
	int64_t started = now_ms(), took;
	struct reach r = reach(text, NULL, 300);

	took = now_ms() - started;
	cr_expect(eq(int, (int)r.kind, REACH_UNRESOLVED), "%s", text);
	cr_expect(eq(u32, r.ifindex, left.ifindex), "%s", text);
	cr_expect(same_mac(r.src_mac, left.mac), "%s", text);
	cr_expect(ge(i64, took, 300), "%s", text);
	cr_expect(lt(i64, took, GENEROUS_MS), "%s", text);
}

Test(net, a_silent_neighbour_is_unresolved_after_the_wait)
{
	expect_silence("10.0.0.99");
	expect_silence("fd00::99");
}

Test(net, a_neighbour_the_kernel_gave_up_on_is_not_waited_for_longer)
{
	int64_t started = now_ms();

	run("echo 20 > /proc/sys/net/ipv4/neigh/left/retrans_time_ms");
	run("echo 20 > /proc/sys/net/ipv6/neigh/left/retrans_time_ms");
	cr_expect(eq(int, (int)reach("10.0.0.99", NULL, LONGER_MS).kind, REACH_UNRESOLVED));
	cr_expect(eq(int, (int)reach("fd00::99", NULL, LONGER_MS).kind, REACH_UNRESOLVED));
	cr_expect(lt(i64, now_ms() - started, GENEROUS_MS));
}

Test(net, a_neighbour_that_failed_before_is_asked_again)
{
	struct link_info peer = link_there("peer");

	run("echo 20 > /proc/sys/net/ipv4/neigh/left/retrans_time_ms");
	cr_assert(eq(int, (int)reach("10.0.0.77", NULL, LONGER_MS).kind, REACH_UNRESOLVED));
	enter(there);
	run("ip address add 10.0.0.77/24 dev peer");
	enter(here);
	expect_neighbour("10.0.0.77", NULL, LONGER_MS, peer.mac);
}

Test(net, a_neighbour_that_comes_up_during_the_wait_is_resolved)
{
	struct link_info peer = link_there("peer");
	struct midst midst;

	run("echo 60 > /proc/sys/net/ipv4/neigh/left/mcast_solicit");
	midst_start(&midst, "ip address add 10.0.0.77/24 dev peer");
	expect_neighbour("10.0.0.77", NULL, LONGER_MS, peer.mac);
	midst_end(&midst);
}

Test(net, an_interface_that_vanishes_during_the_wait_is_enodev)
{
	struct in6_addr addr = address("10.0.0.77");
	int64_t started = now_ms();
	struct midst midst;
	struct reach r;

	run("echo 60 > /proc/sys/net/ipv4/neigh/left/mcast_solicit");
	midst_start(&midst, "ip link delete peer");
	cr_expect(eq(int, net_reach(&addr, NULL, LONGER_MS, &r), -ENODEV));
	cr_expect(lt(i64, now_ms() - started, GENEROUS_MS));
	midst_end(&midst);
}

Test(net, an_address_behind_a_router_is_routed)
{
	run("ip route add 10.50.0.0/16 via 10.0.0.2");
	run("ip route add fd50::/16 via fd00::2");
	expect_kind("10.50.0.1", NULL, REACH_ROUTED, "left");
	expect_kind("10.50.0.1", "left", REACH_ROUTED, "left");
	expect_kind("fd50::1", NULL, REACH_ROUTED, "left");
	expect_kind("fd50::1", "left", REACH_ROUTED, "left");
}

Test(net, every_form_of_a_gateway_is_routed)
{
	run("ip route add fd51::/16 via fe80::2 dev left onlink");
	run("ip route add 10.52.0.0/16 via inet6 fe80::2 dev left");
	run("ip route add 10.53.0.0/16 nexthop via 10.0.0.2 nexthop via 10.0.0.3");
	run("ip route add fd53::/16 nexthop via fd00::2 nexthop via fd00::3");
	expect_kind("fd51::1", NULL, REACH_ROUTED, "left");
	expect_kind("10.52.0.1", NULL, REACH_ROUTED, "left");
	expect_kind("10.53.0.1", NULL, REACH_ROUTED, "left");
	expect_kind("10.53.0.1", "left", REACH_ROUTED, "left");
	expect_kind("fd53::1", NULL, REACH_ROUTED, "left");
	expect_kind("fd53::1", "left", REACH_ROUTED, "left");
}

Test(net, a_nexthop_object_is_routed_even_without_compatibility_mode)
{
	run("echo 0 > /proc/sys/net/ipv4/nexthop_compat_mode");
	run("ip nexthop add id 7 via 10.0.0.2 dev left");
	run("ip nexthop add id 8 via 10.1.0.2 dev right");
	run("ip nexthop add id 9 via fd00::2 dev left");
	run("ip route add 10.54.7.0/24 nhid 7");
	run("ip route add 10.54.0.0/16 nhid 8");
	run("ip -6 route add fd54::/16 nhid 9");
	expect_kind("10.54.7.1", NULL, REACH_ROUTED, "left");
	expect_kind("10.54.7.1", "right", REACH_ROUTED, "right");
	expect_kind("fd54::1", "left", REACH_ROUTED, "left");
}

Test(net, no_route_is_none)
{
	expect_kind("192.0.2.1", NULL, REACH_NONE, NULL);
	expect_kind("2001:db8::1", NULL, REACH_NONE, NULL);
}

Test(net, a_route_that_refuses_is_none)
{
	static const char *const types[] = { "blackhole", "unreachable", "prohibit", "throw" };

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		run("ip route add %s 10.6%zu.0.0/16", types[i], i);
		run("ip -6 route add %s fd6%zu::/16", types[i], i);
	}
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		char text[ADDR_TEXT_MAX];

		snprintf(text, sizeof(text), "10.6%zu.0.1", i);
		expect_kind(text, NULL, REACH_NONE, NULL);
		snprintf(text, sizeof(text), "fd6%zu::1", i);
		expect_kind(text, NULL, REACH_NONE, NULL);
	}
}

Test(net, an_address_of_no_single_host_is_none)
{
	expect_kind("10.0.0.255", NULL, REACH_NONE, NULL);
	expect_kind("255.255.255.255", NULL, REACH_NONE, NULL);
	expect_kind("224.0.0.1", NULL, REACH_NONE, NULL);
	expect_kind("ff02::1", "left", REACH_NONE, NULL);
	expect_kind("0.0.0.0", NULL, REACH_NONE, NULL);
	expect_kind("::", NULL, REACH_NONE, NULL);
}

Test(net, an_interface_without_a_route_to_the_address_is_none)
{
	expect_kind("10.0.0.2", "right", REACH_NONE, NULL);
	expect_kind("fd00::2", "right", REACH_NONE, NULL);
	expect_kind("192.0.2.1", "right", REACH_NONE, NULL);
	expect_kind("2001:db8::1", "right", REACH_NONE, NULL);
}

Test(net, the_named_interface_decides_between_two_routes)
{
	run("ip route add 10.70.0.0/16 dev left");
	run("ip route add 10.70.0.0/16 via 10.1.0.2 dev right metric 500");
	run("ip -6 route add fd70::/16 dev left metric 10");
	run("ip -6 route add fd70::/16 via fd01::2 dev right metric 500");
	expect_kind("10.70.0.1", NULL, REACH_UNRESOLVED, "left");
	expect_kind("10.70.0.1", "left", REACH_UNRESOLVED, "left");
	expect_kind("10.70.0.1", "right", REACH_ROUTED, "right");
	expect_kind("fd70::1", NULL, REACH_UNRESOLVED, "left");
	expect_kind("fd70::1", "left", REACH_UNRESOLVED, "left");
	expect_kind("fd70::1", "right", REACH_ROUTED, "right");
}

Test(net, a_named_interface_that_does_not_exist_is_enodev)
{
	struct in6_addr addr = address("10.0.0.2");
	struct reach r = { .ifindex = 77 };

	cr_expect(eq(int, net_reach(&addr, "nosuch", 0, &r), -ENODEV));
	cr_expect(eq(u32, r.ifindex, 77), "the output was touched");
}

Test(net, a_link_without_macs_is_unresolved_at_once)
{
	int64_t started = now_ms();

	run("ip route add 10.80.0.0/16 dev lo");
	cr_expect(eq(int, (int)reach("10.80.0.1", NULL, LONGER_MS).kind, REACH_UNRESOLVED));
	cr_expect(lt(i64, now_ms() - started, GENEROUS_MS));
}

Test(net, an_own_address_is_local_though_its_link_is_down)
{
	run("ip link set right down");
	run("ip address add 10.2.0.1/24 dev right && ip address add fd02::1/64 dev right nodad");
	expect_kind("10.2.0.1", NULL, REACH_LOCAL, NULL);
	expect_kind("fd02::1", NULL, REACH_LOCAL, NULL);
}

Test(net, an_own_link_local_address_is_local_on_its_own_interface_only)
{
	run("ip address add fe80::77/64 dev left nodad");
	expect_kind("fe80::77", "left", REACH_LOCAL, NULL);
	expect_kind("fe80::77", "right", REACH_UNRESOLVED, "right");
}

/* ---- own addresses ---- */

static void expect_added_and_deleted(const char *text)
{
	struct in6_addr addr = address(text);
	uint32_t ifindex = link_named("left").ifindex;

	cr_expect(eq(int, net_addr_held(&addr), 0), "%s", text);
	cr_expect(eq(int, net_addr_add(&addr, ifindex), 0), "%s", text);
	cr_expect(eq(int, net_addr_held(&addr), 1), "%s", text);
	expect_kind(text, NULL, REACH_LOCAL, NULL);
	cr_expect(eq(int, net_addr_add(&addr, ifindex), -EEXIST), "%s", text);
	cr_expect(eq(int, net_addr_del(&addr, ifindex), 0), "%s", text);
	cr_expect(eq(int, net_addr_held(&addr), 0), "%s", text);
	cr_expect(eq(int, net_addr_del(&addr, ifindex), -EADDRNOTAVAIL), "%s", text);
}

Test(net, an_address_is_added_held_and_deleted)
{
	expect_added_and_deleted("10.0.0.100");
	expect_added_and_deleted("192.0.2.100");
	expect_added_and_deleted("fd00::100");
	expect_added_and_deleted("2001:db8::100");
}

Test(net, an_added_address_is_a_host_prefix_and_usable_at_once)
{
	struct in6_addr v4 = address("10.0.0.100"), v6 = address("fd00::100");
	uint32_t ifindex = link_named("left").ifindex;

	run("echo 1 > /proc/sys/net/ipv6/conf/left/accept_dad");
	cr_assert(eq(int, net_addr_add(&v4, ifindex), 0));
	cr_assert(eq(int, net_addr_add(&v6, ifindex), 0));
	run("ip -o address show dev left | grep -q 'inet 10.0.0.100/32 '");
	run("ip -o address show dev left | grep 'inet6 fd00::100/128 ' | grep -q nodad");
	run("! ip -o address show dev left tentative | grep -q fd00::100");
}

Test(net, an_address_with_another_prefix_length_exists_and_is_not_deleted)
{
	struct in6_addr v4 = address("10.0.0.1"), v6 = address("fd00::1");
	uint32_t ifindex = link_named("left").ifindex;

	cr_expect(eq(int, net_addr_add(&v4, ifindex), -EEXIST));
	cr_expect(eq(int, net_addr_add(&v6, ifindex), -EEXIST));
	cr_expect(eq(int, net_addr_del(&v4, ifindex), -EADDRNOTAVAIL));
	cr_expect(eq(int, net_addr_del(&v6, ifindex), -EADDRNOTAVAIL));
	cr_expect(eq(int, net_addr_held(&v4), 1));
	cr_expect(eq(int, net_addr_held(&v6), 1));
}

Test(net, the_address_of_a_peer_is_not_held)
{
	struct in6_addr own = address("10.9.0.1"), peer = address("10.9.0.2");
	struct in6_addr own6 = address("fd09::1"), peer6 = address("fd09::2");

	run("ip address add 10.9.0.1 peer 10.9.0.2 dev right");
	run("ip address add fd09::1 peer fd09::2 dev right nodad");
	cr_expect(eq(int, net_addr_held(&own), 1));
	cr_expect(eq(int, net_addr_held(&peer), 0));
	cr_expect(eq(int, net_addr_held(&own6), 1));
	cr_expect(eq(int, net_addr_held(&peer6), 0));
}

Test(net, an_address_is_found_among_hundreds)
{
	struct in6_addr last = address("10.20.3.200"), absent = address("10.20.4.200");
	struct in6_addr last6 = address("fd20::3:c8"), absent6 = address("fd20::4:c8");

	run("for i in 0 1 2 3; do for j in $(seq 1 200); do echo address add 10.20.$i.$j/32 dev right;"
	    " echo address add fd20::$i:$(printf %%x $j)/128 dev right nodad; done; done | ip -batch -");
	cr_expect(eq(int, net_addr_held(&last), 1));
	cr_expect(eq(int, net_addr_held(&absent), 0));
	cr_expect(eq(int, net_addr_held(&last6), 1));
	cr_expect(eq(int, net_addr_held(&absent6), 0));
}

Test(net, an_address_cannot_be_put_on_an_interface_that_does_not_exist)
{
	struct in6_addr v4 = address("10.0.0.100"), v6 = address("fd00::100");

	cr_expect(eq(int, net_addr_add(&v4, 4242), -ENODEV));
	cr_expect(eq(int, net_addr_add(&v6, 4242), -ENODEV));
	cr_expect(eq(int, net_addr_del(&v4, 4242), -ENODEV));
	cr_expect(eq(int, net_addr_del(&v6, 4242), -ENODEV));
	cr_expect(eq(int, net_addr_announce(&v4, 4242), -ENODEV));
	cr_expect(eq(int, net_addr_announce(&v6, 4242), -ENODEV));
}

/* ---- announcements ---- */

Test(net, an_ipv4_announcement_is_a_gratuitous_request_and_reply)
{
	const uint8_t expected[ARP_SIZE] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,	0, 0, 0,   0, 0x11, 0x08, 0x06, /* Ethernet */
		0,    1,    0x08, 0x00, 6,    4,    0,	1,	   /* ARP, Ethernet and IPv4, request */
		2,    0,    0,	  0,	0,    0x11, 10, 0, 0, 100, /* sender */
		0,    0,    0,	  0,	0,    0,    10, 0, 0, 100, /* target */
	};
	struct in6_addr addr = address("10.0.0.100");
	uint8_t reply[ARP_SIZE];
	struct frame frame;
	int sniffer;

	run("ip link set left address 02:00:00:00:00:11");
	sniffer = sniffer_open();
	cr_assert(eq(int, net_addr_announce(&addr, link_named("left").ifindex), 0));

	cr_assert(sniff_arp(sniffer, 1, &frame), "no request");
	cr_expect(eq(int, memcmp(frame.bytes, expected, ARP_SIZE), 0));

	memcpy(reply, expected, ARP_SIZE);
	reply[ARP_OPERATION + 1] = 2;
	memcpy(reply + 32, expected + 6, ETH_ALEN); /* the target's MAC is the sender's */
	cr_assert(sniff_arp(sniffer, 2, &frame), "no reply");
	cr_expect(eq(int, memcmp(frame.bytes, reply, ARP_SIZE), 0));
	close(sniffer);
}

/* What a receiver does: over the pseudo header and the message with its checksum the sum is all ones. */
static uint32_t icmp6_verify(const uint8_t *ip)
{
	uint32_t size = (uint32_t)ip[4] << 8 | ip[5], sum = size + IPPROTO_ICMPV6;

	for (uint32_t i = 8; i < 40 + size; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

Test(net, an_ipv6_announcement_is_an_unsolicited_advertisement)
{
	const uint8_t expected[86] = {
		0x33, 0x33, 0, 0, 0,	1,    2,
		0,    0,    0, 0, 0x11, 0x86, 0xdd, /* Ethernet */
		0x60, 0,    0, 0, 0,	32,   IPPROTO_ICMPV6,
		255, /* IPv6 */
		0xfd, 0,    0, 0, 0,	0,    0,
		0,    0,    0, 0, 0,	0,    0,
		0x01, 0x00, /* from fd00::100 */
		0xff, 2,    0, 0, 0,	0,    0,
		0,    0,    0, 0, 0,	0,    0,
		0,    1, /* to ff02::1 */
		136,  0,    0, 0, 0x20, 0,    0,
		0, /* neighbour advertisement, override */
		0xfd, 0,    0, 0, 0,	0,    0,
		0,    0,    0, 0, 0,	0,    0,
		0x01, 0x00, /* target */
		2,    1,    2, 0, 0,	0,    0,
		0x11, /* target's MAC */
	};
	const size_t checksum = 14 + 40 + 2;
	struct in6_addr addr = address("fd00::100");
	struct frame frame;
	int sniffer;

	run("ip link set left address 02:00:00:00:00:11");
	sniffer = sniffer_open();
	cr_assert(eq(int, net_addr_announce(&addr, link_named("left").ifindex), 0));

	cr_assert(sniff(sniffer, sizeof(expected), 14 + 8, addr.s6_addr, 16, &frame), "no advertisement");
	cr_expect(eq(u32, icmp6_verify(frame.bytes + 14), 0xffff));
	memset(frame.bytes + checksum, 0, 2);
	cr_expect(eq(int, memcmp(frame.bytes, expected, sizeof(expected)), 0));
	close(sniffer);
}

Test(net, a_neighbour_follows_the_announcement)
{
	static const char *const texts[] = { "10.0.0.100", "fd00::100" };
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
	struct link_info left = link_named("left");

	enter(there);
	run("echo 0 > /proc/sys/net/ipv4/neigh/peer/locktime");
	run("ip neigh add 10.0.0.100 lladdr 02:00:00:00:00:99 dev peer nud stale");
	run("ip neigh add fd00::100 lladdr 02:00:00:00:00:99 dev peer nud stale");
	enter(here);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		const int64_t deadline = now_ms() + GENEROUS_MS;
		struct in6_addr addr = address(texts[i]);
		struct reach r;

		cr_assert(eq(int, net_addr_announce(&addr, left.ifindex), 0));
		enter(there);
		for (r = reach(texts[i], NULL, 0); !same_mac(r.mac, left.mac); r = reach(texts[i], NULL, 0)) {
			cr_assert(lt(i64, now_ms(), deadline), "%s still has the old MAC", texts[i]);
			nanosleep(&pause, NULL);
		}
		enter(here);
	}
}

Test(net, an_announcement_needs_an_ethernet_link_that_is_up)
{
	struct in6_addr v4 = address("10.0.0.100"), v6 = address("fd00::100");

	cr_expect(eq(int, net_addr_announce(&v4, link_named("lo").ifindex), -EOPNOTSUPP));
	run("ip link set right down");
	cr_expect(eq(int, net_addr_announce(&v4, link_named("right").ifindex), -ENETDOWN));
	cr_expect(eq(int, net_addr_announce(&v6, link_named("right").ifindex), -ENETDOWN));
}

/* ---- all of it ---- */

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	cr_assert(ne(ptr, dir, NULL));
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

Test(net, no_call_leaves_a_file_descriptor_behind)
{
	static const char *const texts[] = { "10.0.0.1", "10.0.0.2",  "10.0.0.99", "10.50.0.1",
					     "fd00::2",	 "192.0.2.1", "fd00::99",  "0.0.0.0" };
	struct link_info left = link_named("left");
	int before = open_files();

	run("ip route add 10.50.0.0/16 via 10.0.0.2");
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		const uint32_t indexes[] = { left.ifindex, link_named("lo").ifindex, 4242 };
		struct in6_addr addr = address(texts[i]);
		struct link_info link;
		struct reach r;

		(void)net_reach(&addr, NULL, 10, &r);
		(void)net_reach(&addr, "right", 10, &r);
		(void)net_reach(&addr, "nosuch", 10, &r);
		(void)net_link_by_name("nosuch", &link);
		(void)net_addr_held(&addr);
		for (size_t j = 0; j < sizeof(indexes) / sizeof(*indexes); j++) {
			(void)net_link_by_index(indexes[j], &link);
			(void)net_addr_add(&addr, indexes[j]);
			(void)net_addr_announce(&addr, indexes[j]);
			(void)net_addr_del(&addr, indexes[j]);
		}
	}
	cr_expect(eq(int, open_files(), before));
}

Test(net, without_a_free_file_descriptor_each_call_says_so)
{
	struct in6_addr addr = address("10.0.0.2");
	uint32_t ifindex = link_named("left").ifindex;
	struct link_info link;
	struct reach r;
	int held, reached, found, added, deleted, announced, fd, last = -1;

	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		last = fd;
	cr_assert(ge(int, last, 0));
	held = net_addr_held(&addr);
	reached = net_reach(&addr, NULL, 0, &r);
	found = net_link_by_index(ifindex, &link);
	added = net_addr_add(&addr, ifindex);
	deleted = net_addr_del(&addr, ifindex);
	announced = net_addr_announce(&addr, ifindex);
	for (fd = last; fd > last - 16; fd--)
		close(fd);
	cr_expect(eq(int, held, -EMFILE));
	cr_expect(eq(int, reached, -EMFILE));
	cr_expect(eq(int, found, -EMFILE));
	cr_expect(eq(int, added, -EMFILE));
	cr_expect(eq(int, deleted, -EMFILE));
	cr_expect(eq(int, announced, -EMFILE));
}

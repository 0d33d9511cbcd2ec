/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Questions and orders to the kernel over rtnetlink. Each public function opens a socket, speaks one
 * or a few request/answer pairs over it and closes it: nothing is cached, so nothing can be stale.
 * Only the announcement bypasses the kernel's protocols: its frames are written here, whole.
 */
#include "net.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <sys/socket.h>

#include "addr.h"

/* A link's answer with statistics of every kind stays well below; a longer message is refused, not cut. */
#define ANSWER_MAX  32768
#define REQUEST_MAX 256

/* How often a dump is asked again when the table changed under it. */
#define DUMP_TRIES 16

struct rtnl {
	struct mnl_socket *socket;
	uint32_t seq;
};

union request {
	struct nlmsghdr header;
	char bytes[REQUEST_MAX];
};

/* Called for each message of an answer. */
typedef void (*answer_fn)(const struct nlmsghdr *nlh, void *data);

static int rtnl_open(struct rtnl *nl, unsigned int groups)
{
	nl->seq = 0;
	nl->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl->socket)
		return -errno;
	if (mnl_socket_bind(nl->socket, groups, MNL_SOCKET_AUTOPID) < 0) {
		int err = -errno;

		mnl_socket_close(nl->socket);
		return err;
	}
	return 0;
}

static void rtnl_close(struct rtnl *nl)
{
	mnl_socket_close(nl->socket);
}

/* The header of a request with its family header of that size, zeroed. */
static void *request_init(union request *req, uint16_t type, uint16_t flags, size_t size)
{
	memset(req->bytes, 0, sizeof(req->bytes));
	mnl_nlmsg_put_header(req->bytes);
	req->header.nlmsg_type = type;
	req->header.nlmsg_flags = NLM_F_REQUEST | flags;
	return mnl_nlmsg_put_extra_header(&req->header, size);
}

/* Both NLMSG_ERROR and NLMSG_DONE begin with 0 or a negative errno; an old kernel's DONE may be empty. */
static int answer_status(const struct nlmsghdr *nlh)
{
	int status;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(status))
		return nlh->nlmsg_type == NLMSG_DONE ? 0 : -EBADMSG;
	memcpy(&status, mnl_nlmsg_get_payload(nlh), sizeof(status));
	return status > 0 ? -EBADMSG : status;
}

/* Sends the request and hands each message of its answer to answer (NULL: none expected). Every request
 * is either a dump, ended by NLMSG_DONE, or asks for an acknowledgement, so that the end is always seen.
 * -EINTR: the dump was inconsistent, ask again. */
static int rtnl_ask(struct rtnl *nl, union request *req, answer_fn answer, void *data)
{
	_Alignas(struct nlmsghdr) char buf[ANSWER_MAX];
	const bool dump = (req->header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	const unsigned int portid = mnl_socket_get_portid(nl->socket);
	bool interrupted = false;

	req->header.nlmsg_seq = ++nl->seq;
	if (!dump)
		req->header.nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(nl->socket, req, req->header.nlmsg_len) < 0)
		return -errno;

	for (;;) {
		const struct nlmsghdr *nlh;
		ssize_t received = mnl_socket_recvfrom(nl->socket, buf, sizeof(buf));
		int left;

		if (received < 0 && errno == EINTR)
			continue;
		if (received < 0)
			return -errno;
		if (received == 0)
			return -EBADMSG;

		left = (int)received;
		for (nlh = (const void *)buf; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
			if (nlh->nlmsg_seq != nl->seq || nlh->nlmsg_pid != portid)
				continue;
			if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
				interrupted = true;
			if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE) {
				int status = answer_status(nlh);

				return status == 0 && interrupted ? -EINTR : status;
			}
			if (nlh->nlmsg_type >= NLMSG_MIN_TYPE && answer)
				answer(nlh, data);
		}
	}
}

/* The attributes after the family header, one after the other; NULL after the last or at a broken one. */
static const struct nlattr *attr_ok(const struct nlmsghdr *nlh, const struct nlattr *attr)
{
	return mnl_attr_ok(attr, (int)((char *)mnl_nlmsg_get_payload_tail(nlh) - (char *)attr)) ? attr : NULL;
}

static const struct nlattr *attr_first(const struct nlmsghdr *nlh, size_t header)
{
	return attr_ok(nlh, mnl_nlmsg_get_payload_offset(nlh, header));
}

static const struct nlattr *attr_next(const struct nlmsghdr *nlh, const struct nlattr *attr)
{
	return attr_ok(nlh, mnl_attr_next(attr));
}

/* The attribute of that type and of at least that size, or NULL. */
static const struct nlattr *attr_find(const struct nlmsghdr *nlh, size_t header, uint16_t type, size_t size)
{
	const struct nlattr *attr;

	for (attr = attr_first(nlh, header); attr; attr = attr_next(nlh, attr))
		if (mnl_attr_get_type(attr) == type && mnl_attr_get_payload_len(attr) >= size)
			break;
	return attr;
}

/* The family header of a message of the wanted type, or NULL when the message is another or too short. */
static const void *answer_header(const struct nlmsghdr *nlh, uint16_t type, size_t size)
{
	if (nlh->nlmsg_type != type || mnl_nlmsg_get_payload_len(nlh) < size)
		return NULL;
	return mnl_nlmsg_get_payload(nlh);
}

/* An address as the kernel wants it: its family, and its bytes there. */
struct wire_addr {
	uint8_t family;
	uint8_t size;
	const uint8_t *bytes;
};

static struct wire_addr wire_addr(const struct in6_addr *addr)
{
	if (addr_is_v4(addr))
		return (struct wire_addr){ AF_INET, 4, addr->s6_addr + 12 };
	return (struct wire_addr){ AF_INET6, 16, addr->s6_addr };
}

/* ---- links ---- */

struct link_answer {
	struct link_info info;
	bool found;
};

static void link_read(const struct nlmsghdr *nlh, void *data)
{
	struct link_answer *answer = data;
	const struct ifinfomsg *ifi = answer_header(nlh, RTM_NEWLINK, sizeof(*ifi));
	const struct nlattr *name, *mac, *mtu;
	struct link_info info = { 0 };
	size_t name_max;

	if (!ifi || ifi->ifi_index <= 0)
		return;
	name = attr_find(nlh, sizeof(*ifi), IFLA_IFNAME, 1);
	mac = attr_find(nlh, sizeof(*ifi), IFLA_ADDRESS, 0);
	mtu = attr_find(nlh, sizeof(*ifi), IFLA_MTU, sizeof(uint32_t));
	if (!name)
		return;
	name_max = mnl_attr_get_payload_len(name);
	if (name_max >= IF_NAMESIZE)
		name_max = IF_NAMESIZE - 1;

	info.ifindex = (uint32_t)ifi->ifi_index;
	info.up = (ifi->ifi_flags & IFF_UP) && (ifi->ifi_flags & IFF_LOWER_UP);
	/* The rest of info.name is zero: an attribute without its own 0 ends there. */
	memcpy(info.name, mnl_attr_get_payload(name), strnlen(mnl_attr_get_payload(name), name_max));
	if (mac && mnl_attr_get_payload_len(mac) == ETH_ALEN) {
		memcpy(info.mac, mnl_attr_get_payload(mac), ETH_ALEN);
		info.ethernet = ifi->ifi_type == ARPHRD_ETHER;
	}
	if (mtu)
		info.mtu = mnl_attr_get_u32(mtu);
	answer->info = info;
	answer->found = true;
}

/* By name, or with a NULL name by ifindex. */
static int link_ask(struct rtnl *nl, const char *name, uint32_t ifindex, struct link_info *out)
{
	struct link_answer answer = { 0 };
	struct ifinfomsg *ifi;
	union request req;
	int err;

	/* To the kernel an index of 0 is no index, and a name that is too long another error. */
	if (name ? !*name || strlen(name) >= IF_NAMESIZE : !ifindex || ifindex > INT_MAX)
		return -ENODEV;

	ifi = request_init(&req, RTM_GETLINK, 0, sizeof(*ifi));
	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = name ? 0 : (int)ifindex;
	if (name)
		mnl_attr_put_strz(&req.header, IFLA_IFNAME, name);
	mnl_attr_put_u32(&req.header, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	err = rtnl_ask(nl, &req, link_read, &answer);
	if (err)
		return err;
	if (!answer.found)
		return -ENODEV;
	*out = answer.info;
	return 0;
}

static int link_open_ask(const char *name, uint32_t ifindex, struct link_info *out)
{
	struct rtnl nl;
	int err = rtnl_open(&nl, 0);

	if (err)
		return err;
	err = link_ask(&nl, name, ifindex, out);
	rtnl_close(&nl);
	return err;
}

int net_link_by_name(const char *name, struct link_info *out)
{
	return link_open_ask(name, 0, out);
}

int net_link_by_index(uint32_t ifindex, struct link_info *out)
{
	return link_open_ask(NULL, ifindex, out);
}

/* ---- own addresses, asked ---- */

struct addr_search {
	struct wire_addr addr;
	uint32_t ifindex; /* 0: any */
	bool found;
};

static void addr_match(const struct nlmsghdr *nlh, void *data)
{
	struct addr_search *search = data;
	const struct ifaddrmsg *ifa = answer_header(nlh, RTM_NEWADDR, sizeof(*ifa));
	const struct nlattr *own;

	if (!ifa || ifa->ifa_family != search->addr.family)
		return;
	if (search->ifindex && ifa->ifa_index != search->ifindex)
		return;
	/* With a peer IFA_ADDRESS is the peer's; IPv6 has no IFA_LOCAL without one. */
	own = attr_find(nlh, sizeof(*ifa), IFA_LOCAL, search->addr.size);
	if (!own)
		own = attr_find(nlh, sizeof(*ifa), IFA_ADDRESS, search->addr.size);
	if (own && memcmp(mnl_attr_get_payload(own), search->addr.bytes, search->addr.size) == 0)
		search->found = true;
}

/* Is addr on the interface (0: on any)? 1, 0 or -errno. */
static int addr_find(struct rtnl *nl, struct wire_addr addr, uint32_t ifindex)
{
	int err = -EINTR;

	for (int i = 0; err == -EINTR && i < DUMP_TRIES; i++) {
		struct addr_search search = { .addr = addr, .ifindex = ifindex };
		struct ifaddrmsg *ifa;
		union request req;

		ifa = request_init(&req, RTM_GETADDR, NLM_F_DUMP, sizeof(*ifa));
		ifa->ifa_family = addr.family;
		err = rtnl_ask(nl, &req, addr_match, &search);
		/* What an interrupted dump did show was there. */
		if (search.found && (!err || err == -EINTR))
			return 1;
	}
	return err;
}

int net_addr_held(const struct in6_addr *addr)
{
	struct rtnl nl;
	int found = rtnl_open(&nl, 0);

	if (found)
		return found;
	found = addr_find(&nl, wire_addr(addr), 0);
	rtnl_close(&nl);
	return found;
}

/* ---- routes ---- */

struct route {
	uint8_t type; /* RTN_UNSPEC: none */
	bool gateway; /* not handed to the destination itself: a router or a tunnel is between */
	uint32_t ifindex;
};

static bool attr_is_gateway(const struct nlattr *attr)
{
	switch (mnl_attr_get_type(attr)) {
	case RTA_GATEWAY:
	case RTA_VIA:
	case RTA_ENCAP:
		return true;
	}
	return false;
}

/* One hop without a gateway is enough for the destination to be on a link; that hop is then the way. */
static void multipath_read(const struct nlattr *multipath, struct route *route)
{
	const char *cursor = mnl_attr_get_payload(multipath);
	const char *end = cursor + mnl_attr_get_payload_len(multipath);

	route->ifindex = 0;
	while (end - cursor >= (ptrdiff_t)sizeof(struct rtnexthop)) {
		const struct rtnexthop *hop = (const void *)cursor;
		const struct nlattr *attr = (const void *)(hop + 1);
		bool gateway = false;

		if (hop->rtnh_len < sizeof(*hop) || hop->rtnh_len > end - cursor)
			return;
		for (; mnl_attr_ok(attr, (int)(cursor + hop->rtnh_len - (const char *)attr));
		     attr = mnl_attr_next(attr))
			gateway |= attr_is_gateway(attr);

		route->gateway = gateway;
		if (!gateway || !route->ifindex)
			route->ifindex = (uint32_t)hop->rtnh_ifindex;
		if (!gateway)
			return;
		cursor += RTNH_ALIGN(hop->rtnh_len);
	}
}

static void route_read(const struct nlmsghdr *nlh, void *data)
{
	struct route *route = data;
	const struct rtmsg *rtm = answer_header(nlh, RTM_NEWROUTE, sizeof(*rtm));
	const struct nlattr *attr, *oif;

	if (!rtm)
		return;
	*route = (struct route){ .type = rtm->rtm_type };
	oif = attr_find(nlh, sizeof(*rtm), RTA_OIF, sizeof(uint32_t));
	if (oif)
		route->ifindex = mnl_attr_get_u32(oif);
	for (attr = attr_first(nlh, sizeof(*rtm)); attr; attr = attr_next(nlh, attr)) {
		if (attr_is_gateway(attr))
			route->gateway = true;
		else if (mnl_attr_get_type(attr) == RTA_MULTIPATH)
			multipath_read(attr, route);
	}
}

static int route_ask_flags(struct rtnl *nl, struct wire_addr dst, uint32_t oif, uint32_t flags,
			   struct route *out)
{
	struct route route = { .type = RTN_UNSPEC };
	struct rtmsg *rtm;
	union request req;
	int err;

	rtm = request_init(&req, RTM_GETROUTE, 0, sizeof(*rtm));
	rtm->rtm_family = dst.family;
	rtm->rtm_dst_len = dst.size * 8;
	rtm->rtm_flags = flags;
	mnl_attr_put(&req.header, RTA_DST, dst.size, dst.bytes);
	if (oif)
		mnl_attr_put_u32(&req.header, RTA_OIF, oif);

	err = rtnl_ask(nl, &req, route_read, &route);
	switch (err) {
	case 0:
		break;
	case -ENETUNREACH:
	case -EHOSTUNREACH:
	case -EINVAL: /* a blackhole route */
	case -EACCES: /* a prohibit route */
		route.type = RTN_UNSPEC;
		break;
	default:
		return err;
	}
	*out = route;
	return 0;
}

/* oif 0: any. 0 with type RTN_UNSPEC when there is no route. */
static int route_ask(struct rtnl *nl, struct wire_addr dst, uint32_t oif, struct route *out)
{
	/* Asked for an interface without a route, IPv4 takes the destination to be on that link. Only
	 * a query for the matching entry tells that there is none; that entry in turn may name a nexthop
	 * object instead of its gateway, so the plain query decides the rest. */
	if (oif && dst.family == AF_INET) {
		struct route route;
		int err = route_ask_flags(nl, dst, oif, RTM_F_FIB_MATCH, &route);

		if (err)
			return err;
		if (route.type == RTN_UNSPEC) {
			*out = route;
			return 0;
		}
	}
	return route_ask_flags(nl, dst, oif, 0, out);
}

/* The route to addr, through the interface oif where one is given. */
static int route_find(struct rtnl *nl, const struct in6_addr *addr, uint32_t oif, struct route *out)
{
	/* A link-local address means something else on each link: there the interface alone counts. Any
	 * other is asked for without it first, for an own address stays one whichever interface was named. */
	const bool link_local = IN6_IS_ADDR_LINKLOCAL(addr);
	const struct wire_addr dst = wire_addr(addr);
	struct route route;
	int err;

	err = route_ask(nl, dst, link_local ? oif : 0, &route);
	if (err)
		return err;
	/* An IPv6 address just added becomes a local route in the background, and on a link that is down it
	 * never does: until then its route leads to a neighbour, or nowhere. */
	if (route.type != RTN_LOCAL && dst.family == AF_INET6) {
		int found = addr_find(nl, dst, link_local ? oif : 0);

		if (found < 0)
			return found;
		if (found)
			route.type = RTN_LOCAL;
	}
	if (route.type != RTN_LOCAL && oif && route.ifindex != oif) {
		err = route_ask(nl, dst, oif, &route);
		if (err)
			return err;
	}
	*out = route;
	return 0;
}

/* ---- neighbours ---- */

struct neighbour {
	uint16_t state; /* NUD_NONE: the kernel has no entry */
	bool has_mac;
	uint8_t mac[ETH_ALEN];
};

static bool mac_is_usable(const uint8_t mac[ETH_ALEN])
{
	static const uint8_t zero[ETH_ALEN];

	return !(mac[0] & 1) && memcmp(mac, zero, ETH_ALEN) != 0;
}

static bool neighbour_is_known(const struct neighbour *n)
{
	return n->has_mac &&
	       (n->state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP));
}

static void neighbour_read(const struct nlmsghdr *nlh, void *data)
{
	struct neighbour *n = data;
	const struct ndmsg *ndm = answer_header(nlh, RTM_NEWNEIGH, sizeof(*ndm));
	const struct nlattr *mac;

	if (!ndm)
		return;
	*n = (struct neighbour){ .state = ndm->ndm_state };
	mac = attr_find(nlh, sizeof(*ndm), NDA_LLADDR, ETH_ALEN);
	if (mac && mnl_attr_get_payload_len(mac) == ETH_ALEN && mac_is_usable(mnl_attr_get_payload(mac))) {
		memcpy(n->mac, mnl_attr_get_payload(mac), ETH_ALEN);
		n->has_mac = true;
	}
}

static struct ndmsg *neighbour_request(union request *req, uint16_t type, uint16_t flags,
				       struct wire_addr addr, uint32_t ifindex)
{
	struct ndmsg *ndm = request_init(req, type, flags, sizeof(*ndm));

	ndm->ndm_family = addr.family;
	ndm->ndm_ifindex = (int)ifindex;
	mnl_attr_put(&req->header, NDA_DST, addr.size, addr.bytes);
	return ndm;
}

static int neighbour_ask(struct rtnl *nl, struct wire_addr addr, uint32_t ifindex, struct neighbour *out)
{
	struct neighbour n = { .state = NUD_NONE };
	union request req;
	int err;

	neighbour_request(&req, RTM_GETNEIGH, 0, addr, ifindex);
	err = rtnl_ask(nl, &req, neighbour_read, &n);
	if (err && err != -ENOENT)
		return err;
	*out = n;
	return 0;
}

/* Has the kernel start resolving, as if it had a packet for that neighbour. */
static int neighbour_use(struct rtnl *nl, struct wire_addr addr, uint32_t ifindex)
{
	struct ndmsg *ndm;
	union request req;

	ndm = neighbour_request(&req, RTM_NEWNEIGH, NLM_F_CREATE, addr, ifindex);
	ndm->ndm_state = NUD_NONE;
	ndm->ndm_flags = NTF_USE;
	return rtnl_ask(nl, &req, NULL, NULL);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for any event. The caller looks at the neighbour itself afterwards, so what the event says, and
 * whether some were lost in an overrun, does not matter. */
static int event_wait(struct rtnl *events, int64_t timeout_ms)
{
	struct pollfd pfd = { .fd = mnl_socket_get_fd(events->socket), .events = POLLIN };
	char buf[ANSWER_MAX];

	if (poll(&pfd, 1, (int)timeout_ms) < 0)
		return errno == EINTR ? 0 : -errno;
	if (!pfd.revents)
		return 0;
	if (recv(pfd.fd, buf, sizeof(buf), MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != EINTR &&
	    errno != ENOBUFS)
		return -errno;
	return 0;
}

/* 0 whether or not the neighbour answered; then out is what the kernel knows at the end. */
static int neighbour_resolve(struct rtnl *nl, struct wire_addr addr, uint32_t ifindex, int wait_ms,
			     struct neighbour *out)
{
	struct rtnl events;
	int64_t deadline;
	int err;

	err = neighbour_ask(nl, addr, ifindex, out);
	if (err || neighbour_is_known(out))
		return err;

	/* Before the trigger, so that an answer cannot slip through between the two. Links too: the
	 * interface may go away while its neighbour is waited for. */
	err = rtnl_open(&events, RTMGRP_NEIGH | RTMGRP_LINK);
	if (err)
		return err;
	deadline = now_ms() + (wait_ms > 0 ? wait_ms : 0);
	err = neighbour_use(nl, addr, ifindex);
	while (!err) {
		int64_t left = deadline - now_ms();

		err = neighbour_ask(nl, addr, ifindex, out);
		/* NUD_FAILED after the trigger: the kernel has asked as often as it is configured to. */
		if (err || neighbour_is_known(out) || out->state == NUD_FAILED)
			break;
		if (left <= 0)
			break;
		err = event_wait(&events, left);
	}
	rtnl_close(&events);
	return err;
}

static int link_reach(struct rtnl *nl, const struct in6_addr *addr, uint32_t ifindex, int wait_ms,
		      struct reach *reach)
{
	struct neighbour neighbour;
	struct link_info link;
	int err;

	err = link_ask(nl, NULL, ifindex, &link);
	if (err)
		return err;
	reach->kind = REACH_UNRESOLVED;
	reach->ifindex = ifindex;
	if (!link.ethernet)
		return 0;
	memcpy(reach->src_mac, link.mac, ETH_ALEN);

	err = neighbour_resolve(nl, wire_addr(addr), ifindex, wait_ms, &neighbour);
	if (err)
		return err;
	if (neighbour_is_known(&neighbour)) {
		reach->kind = REACH_LINK;
		memcpy(reach->mac, neighbour.mac, ETH_ALEN);
	}
	return 0;
}

/* 0.0.0.0 and :: are nobody's address, though the kernel takes them for its own. */
static bool addr_is_unspecified(const struct in6_addr *addr)
{
	return IN6_IS_ADDR_UNSPECIFIED(addr) || (addr_is_v4(addr) && !addr->s6_addr32[3]);
}

int net_reach(const struct in6_addr *addr, const char *dev, int wait_ms, struct reach *out)
{
	struct reach reach = { .kind = REACH_NONE };
	struct link_info link = { 0 };
	struct route route;
	struct rtnl nl;
	int err;

	err = rtnl_open(&nl, 0);
	if (err)
		return err;
	if (dev) {
		err = link_ask(&nl, dev, 0, &link);
		if (err)
			goto out;
	}
	if (addr_is_unspecified(addr))
		goto out;
	err = route_find(&nl, addr, link.ifindex, &route);
	if (err)
		goto out;

	switch (route.type) {
	case RTN_LOCAL:
	case RTN_ANYCAST: /* a subnet's router anycast: this host, as it forwards there */
		reach.kind = REACH_LOCAL;
		break;
	case RTN_UNICAST:
		if (route.gateway) {
			reach.kind = REACH_ROUTED;
			reach.ifindex = route.ifindex;
			break;
		}
		err = link_reach(&nl, addr, route.ifindex, wait_ms, &reach);
		break;
	default:
		/* Blackholes and the like, and broadcast and multicast: no single host is there. */
		break;
	}
out:
	rtnl_close(&nl);
	if (!err)
		*out = reach;
	return err;
}

/* ---- own addresses, changed ---- */

static int addr_change(struct rtnl *nl, uint16_t type, uint16_t flags, struct wire_addr addr,
		       uint32_t ifindex)
{
	struct ifaddrmsg *ifa;
	union request req;

	ifa = request_init(&req, type, flags, sizeof(*ifa));
	ifa->ifa_family = addr.family;
	ifa->ifa_prefixlen = addr.size * 8;
	ifa->ifa_scope = RT_SCOPE_UNIVERSE;
	ifa->ifa_index = ifindex;
	mnl_attr_put(&req.header, IFA_LOCAL, addr.size, addr.bytes);
	mnl_attr_put(&req.header, IFA_ADDRESS, addr.size, addr.bytes);
	/* The address is usable at once: a takeover cannot wait for duplicate address detection. */
	if (addr.family == AF_INET6)
		mnl_attr_put_u32(&req.header, IFA_FLAGS, IFA_F_NODAD);
	return rtnl_ask(nl, &req, NULL, NULL);
}

int net_addr_add(const struct in6_addr *addr, uint32_t ifindex)
{
	struct wire_addr wire = wire_addr(addr);
	struct rtnl nl;
	int err = rtnl_open(&nl, 0);

	if (err)
		return err;
	/* IPv4 would put a /32 next to the same address with another prefix length. */
	err = addr_find(&nl, wire, ifindex);
	if (err > 0)
		err = -EEXIST;
	if (!err)
		err = addr_change(&nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, wire, ifindex);
	rtnl_close(&nl);
	return err;
}

int net_addr_del(const struct in6_addr *addr, uint32_t ifindex)
{
	struct rtnl nl;
	int err = rtnl_open(&nl, 0);

	if (err)
		return err;
	err = addr_change(&nl, RTM_DELADDR, 0, wire_addr(addr), ifindex);
	rtnl_close(&nl);
	return err;
}

/* ---- announcements ---- */

struct arp_frame {
	struct ethhdr eth;
	__be16 hw_type;
	__be16 proto_type;
	uint8_t hw_size;
	uint8_t proto_size;
	__be16 operation;
	uint8_t sender_mac[ETH_ALEN];
	uint8_t sender_addr[4];
	uint8_t target_mac[ETH_ALEN];
	uint8_t target_addr[4];
} __attribute__((packed));

struct na_message {
	struct nd_neighbor_advert advert;
	struct nd_opt_hdr option;
	uint8_t option_mac[ETH_ALEN];
} __attribute__((packed));

struct na_frame {
	struct ethhdr eth;
	struct ip6_hdr ip;
	struct na_message icmp;
} __attribute__((packed));

_Static_assert(sizeof(struct arp_frame) == 42, "an ARP frame");
_Static_assert(sizeof(struct na_message) == 32, "a neighbour advertisement with one option");
_Static_assert(sizeof(struct na_frame) == 86, "a neighbour advertisement's frame");

static uint32_t sum_words(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	return sum;
}

static uint16_t na_checksum(const struct na_frame *frame)
{
	uint32_t sum = sizeof(frame->icmp) + IPPROTO_ICMPV6;

	sum = sum_words(sum, &frame->ip.ip6_src, sizeof(frame->ip.ip6_src));
	sum = sum_words(sum, &frame->ip.ip6_dst, sizeof(frame->ip.ip6_dst));
	sum = sum_words(sum, &frame->icmp, sizeof(frame->icmp));
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static int frame_send(int fd, uint32_t ifindex, const void *frame, size_t size)
{
	const struct ethhdr *eth = frame;
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = eth->h_proto,
		.sll_ifindex = (int)ifindex,
		.sll_halen = ETH_ALEN,
	};
	ssize_t sent;

	memcpy(to.sll_addr, eth->h_dest, ETH_ALEN);
	do
		sent = sendto(fd, frame, size, 0, (struct sockaddr *)&to, sizeof(to));
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == ENXIO ? -ENODEV : -errno;
	return 0;
}

/* Some hosts learn from a request only, some from a reply only: both are sent. */
static int announce_v4(int fd, const struct link_info *link, const uint8_t addr[4])
{
	struct arp_frame frame = {
		.eth.h_proto = htons(ETH_P_ARP),
		.hw_type = htons(ARPHRD_ETHER),
		.proto_type = htons(ETH_P_IP),
		.hw_size = ETH_ALEN,
		.proto_size = 4,
		.operation = htons(ARPOP_REQUEST),
	};
	int err;

	memset(frame.eth.h_dest, 0xff, ETH_ALEN);
	memcpy(frame.eth.h_source, link->mac, ETH_ALEN);
	memcpy(frame.sender_mac, link->mac, ETH_ALEN);
	memcpy(frame.sender_addr, addr, 4);
	memcpy(frame.target_addr, addr, 4);
	err = frame_send(fd, link->ifindex, &frame, sizeof(frame));
	if (err)
		return err;

	frame.operation = htons(ARPOP_REPLY);
	memcpy(frame.target_mac, link->mac, ETH_ALEN);
	return frame_send(fd, link->ifindex, &frame, sizeof(frame));
}

static int announce_v6(int fd, const struct link_info *link, const struct in6_addr *addr)
{
	static const uint8_t all_nodes_mac[ETH_ALEN] = { 0x33, 0x33, 0, 0, 0, 1 };
	static const struct in6_addr all_nodes = { .s6_addr = { 0xff, 0x02, [15] = 1 } };
	struct na_frame frame = {
		.eth.h_proto = htons(ETH_P_IPV6),
		.ip.ip6_plen = htons(sizeof(frame.icmp)),
		.ip.ip6_nxt = IPPROTO_ICMPV6,
		.ip.ip6_hlim = 255, /* a receiver refuses less: it could come from another link */
		.ip.ip6_src = *addr,
		.ip.ip6_dst = all_nodes,
		.icmp.advert.nd_na_type = ND_NEIGHBOR_ADVERT,
		.icmp.advert.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE,
		.icmp.advert.nd_na_target = *addr,
		.icmp.option.nd_opt_type = ND_OPT_TARGET_LINKADDR,
		.icmp.option.nd_opt_len = 1,
	};

	frame.ip.ip6_vfc = 6 << 4;
	memcpy(frame.eth.h_dest, all_nodes_mac, ETH_ALEN);
	memcpy(frame.eth.h_source, link->mac, ETH_ALEN);
	memcpy(frame.icmp.option_mac, link->mac, ETH_ALEN);
	frame.icmp.advert.nd_na_cksum = htons(na_checksum(&frame));
	return frame_send(fd, link->ifindex, &frame, sizeof(frame));
}

int net_addr_announce(const struct in6_addr *addr, uint32_t ifindex)
{
	struct wire_addr wire = wire_addr(addr);
	struct link_info link;
	int fd, err;

	err = net_link_by_index(ifindex, &link);
	if (err)
		return err;
	if (!link.ethernet)
		return -EOPNOTSUPP;

	/* Protocol 0: it sends and receives nothing. */
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = wire.family == AF_INET ? announce_v4(fd, &link, wire.bytes) : announce_v6(fd, &link, addr);
	close(fd);
	return err;
}

/* ---- Watching ------------------------------------------------------------------------------------ */

int net_neighbour_probe(const struct in6_addr *addr, uint32_t ifindex)
{
	struct rtnl nl;
	int err = rtnl_open(&nl, 0);

	if (err)
		return err;
	err = neighbour_use(&nl, wire_addr(addr), ifindex);
	rtnl_close(&nl);
	return err;
}

int net_watch_open(void)
{
	const struct sockaddr_nl groups = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
			     RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int err;

	if (fd < 0)
		return -errno;
	if (!bind(fd, (const struct sockaddr *)&groups, sizeof(groups)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

struct watcher {
	void (*changed)(const struct in6_addr *neighbour, void *arg);
	void *arg;
};

static int watch_message(const struct nlmsghdr *nlh, void *data)
{
	const struct watcher *watcher = data;
	const struct nlattr *attr;

	if (nlh->nlmsg_type != RTM_NEWNEIGH && nlh->nlmsg_type != RTM_DELNEIGH) {
		watcher->changed(NULL, watcher->arg);
		return MNL_CB_OK;
	}
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct ndmsg))
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(struct ndmsg))
	{
		struct in6_addr addr = { .s6_addr = { [10] = 0xff, [11] = 0xff } };
		uint16_t size = mnl_attr_get_payload_len(attr);

		if (mnl_attr_get_type(attr) != NDA_DST || (size != 4 && size != 16))
			continue;
		memcpy(addr.s6_addr + 16 - size, mnl_attr_get_payload(attr), size);
		watcher->changed(&addr, watcher->arg);
	}
	return MNL_CB_OK;
}

int net_watch_read(int fd, void (*changed)(const struct in6_addr *neighbour, void *arg), void *arg)
{
	struct watcher watcher = { changed, arg };
	char buffer[16384];

	for (;;) {
		ssize_t size = recv(fd, buffer, sizeof(buffer), 0);

		if (size > 0) {
			mnl_cb_run(buffer, size, 0, 0, watch_message, &watcher);
			continue;
		}
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == ENOBUFS) { /* more than the socket could hold: some are lost */
			changed(NULL, arg);
			continue;
		}
		return size < 0 && errno == EAGAIN ? 0 : -errno;
	}
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Addresses, services and MACs between words and the form of the tables.
 */
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "number.h"

bool addr_is_v4(const struct in6_addr *addr)
{
	return IN6_IS_ADDR_V4MAPPED(addr);
}

int addr_compare(const struct in6_addr *a, const struct in6_addr *b)
{
	return memcmp(a, b, sizeof(*a));
}

int service_compare(const struct service_name *a, const struct service_name *b)
{
	int order = addr_compare(&a->addr, &b->addr);

	if (order)
		return order;
	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	return (int)a->proto - (int)b->proto;
}

/* Readers: NULL, or why the word is none, with *out untouched. */

static const char *addr_read(const char *word, struct in6_addr *out)
{
	struct in6_addr addr = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

	if (inet_pton(AF_INET, word, &addr.s6_addr[12]) == 1) {
		*out = addr;
		return NULL;
	}
	if (inet_pton(AF_INET6, word, &addr) != 1)
		return "not an IPv4 or IPv6 address";
	if (addr_is_v4(&addr))
		return "an IPv4-mapped IPv6 address; write the IPv4 address itself";
	*out = addr;
	return NULL;
}

/* Cuts "ADDR:PORT" in place. */
static const char *host_port_split(char *text, char **host, char **port)
{
	char *colon = strrchr(text, ':');

	if (text[0] == '[') {
		char *bracket = strchr(text, ']');

		if (!bracket || bracket[1] != ':')
			return "not [ADDR]:PORT/PROTO";
		*bracket = '\0';
		*host = text + 1;
		*port = bracket + 2;
		return strchr(*host, ':') ? NULL : "has brackets, which are for IPv6 addresses";
	}
	if (!colon)
		return "names no port";
	if (strchr(text, ':') != colon)
		return "has an IPv6 address without brackets";
	*colon = '\0';
	*host = text;
	*port = colon + 1;
	return NULL;
}

static uint8_t proto_parse(const char *word)
{
	if (!strcmp(word, "tcp"))
		return IPPROTO_TCP;
	return strcmp(word, "udp") ? 0 : IPPROTO_UDP;
}

static const char *service_read(const char *word, struct service_name *out)
{
	struct service_name service = { .proto = 0 };
	char text[SERVICE_TEXT_MAX], *slash, *host, *port;
	const char *fault;
	uint64_t number;

	if (strlen(word) >= sizeof(text))
		return "too long for a service";
	memcpy(text, word, strlen(word) + 1);
	slash = strrchr(text, '/');
	if (!slash)
		return "names no protocol: /tcp or /udp is missing";
	*slash = '\0';
	service.proto = proto_parse(slash + 1);
	if (!service.proto)
		return "names a protocol that is neither tcp nor udp";
	fault = host_port_split(text, &host, &port);
	if (fault)
		return fault;
	if (number_parse(port, 1, 65535, &number))
		return "has a port that is not a number from 1 to 65535";
	service.port = (uint16_t)number;
	fault = addr_read(host, &service.addr);
	if (fault)
		return fault;
	*out = service;
	return NULL;
}

int addr_parse(const char *word, struct in6_addr *out)
{
	return addr_read(word, out) ? -EINVAL : 0;
}

int service_parse(const char *word, struct service_name *out)
{
	return service_read(word, out) ? -EINVAL : 0;
}

/* Why clients or the gateway could not reach a VEC or node of this address, NULL when they can. */
static const char *addr_unfit(const struct in6_addr *addr)
{
	const uint8_t *v4 = &addr->s6_addr[12];
	bool is_v4 = addr_is_v4(addr);

	if (is_v4 ? !memcmp(v4, "\0\0\0\0", 4) : IN6_IS_ADDR_UNSPECIFIED(addr))
		return "the unspecified address, which no host has";
	if (is_v4 ? v4[0] == 127 : IN6_IS_ADDR_LOOPBACK(addr))
		return "a loopback address, which no other host can reach";
	if (is_v4 ? v4[0] >= 224 && v4[0] <= 239 : IN6_IS_ADDR_MULTICAST(addr))
		return "a multicast address, not of one host";
	if (is_v4 && !memcmp(v4, "\377\377\377\377", 4))
		return "the broadcast address, not of one host";
	if (is_v4 ? v4[0] == 169 && v4[1] == 254 : IN6_IS_ADDR_LINKLOCAL(addr))
		return "a link-local address, which means another host on each link";
	return NULL;
}

const char *addr_fault(const char *word)
{
	struct in6_addr addr;
	const char *fault = addr_read(word, &addr);

	return fault ? fault : addr_unfit(&addr);
}

const char *service_fault(const char *word)
{
	struct service_name service;
	const char *fault = service_read(word, &service);

	return fault ? fault : addr_unfit(&service.addr);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int mac_parse(const char *word, uint8_t out[6])
{
	static const uint8_t zero[6];
	uint8_t mac[6];

	if (strlen(word) != MAC_TEXT_MAX - 1)
		return -EINVAL;
	for (int i = 0; i < 6; i++, word += 3) {
		int high = hex_digit(word[0]), low = hex_digit(word[1]);

		if (high < 0 || low < 0 || word[2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	if ((mac[0] & 1) || !memcmp(mac, zero, sizeof(mac)))
		return -EINVAL;
	memcpy(out, mac, sizeof(mac));
	return 0;
}

const char *addr_text(const struct in6_addr *addr, char buf[ADDR_TEXT_MAX])
{
	bool v4 = addr_is_v4(addr);

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &addr->s6_addr[12] : addr->s6_addr, buf, ADDR_TEXT_MAX);
	return buf;
}

const char *service_text(const struct service_name *service, char buf[SERVICE_TEXT_MAX])
{
	bool v4 = addr_is_v4(&service->addr);
	char addr[ADDR_TEXT_MAX];

	addr_text(&service->addr, addr);
	if (!service->port && !service->proto)
		snprintf(buf, SERVICE_TEXT_MAX, "%s", addr);
	else
		snprintf(buf, SERVICE_TEXT_MAX, v4 ? "%s:%u/%s" : "[%s]:%u/%s", addr, service->port,
			 proto_text(service->proto));
	return buf;
}

const char *mac_text(const uint8_t mac[6], char buf[MAC_TEXT_MAX])
{
	snprintf(buf, MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		 mac[5]);
	return buf;
}

const char *proto_text(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	default:
		return "?";
	}
}

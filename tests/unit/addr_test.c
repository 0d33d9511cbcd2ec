/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses, services and MACs: words to the form of the tables and back. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#include "addr.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct in6_addr addr_of(const char *word)
{
	struct in6_addr addr;

	cr_assert(eq(int, addr_parse(word, &addr), 0), "%s", word);
	return addr;
}

static struct service_name service_of(const char *word)
{
	struct service_name service;

	cr_assert(eq(int, service_parse(word, &service), 0), "%s", word);
	return service;
}

static void assert_fault(const char *fault, const char *fragment, const char *word)
{
	cr_assert(ne(ptr, (void *)fault, NULL), "%s is taken", word);
	cr_assert(ne(ptr, strstr(fault, fragment), NULL), "%s: %s", word, fault);
}

Test(addr, an_ipv4_address_is_held_as_ipv4_mapped)
{
	static const uint8_t mapped[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3 };
	struct in6_addr addr = addr_of("10.1.2.3");

	cr_assert(zero(int, memcmp(&addr, mapped, sizeof(mapped))));
	cr_assert(addr_is_v4(&addr));
}

Test(addr, an_ipv6_address_is_held_as_it_is)
{
	static const uint8_t wire[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
	struct in6_addr addr = addr_of("2001:db8::1");

	cr_assert(zero(int, memcmp(&addr, wire, sizeof(wire))));
	cr_assert(not(addr_is_v4(&addr)));
}

Test(addr, text_is_canonical)
{
	static const char *const pairs[][2] = {
		{ "10.0.0.100", "10.0.0.100" },
		{ "255.255.255.255", "255.255.255.255" },
		{ "2001:DB8:0:0:0:0:0:1", "2001:db8::1" },
		{ "2001:0db8::0001", "2001:db8::1" },
	};
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < COUNT(pairs); i++) {
		struct in6_addr addr = addr_of(pairs[i][0]);

		cr_assert(eq(str, (char *)addr_text(&addr, text), (char *)pairs[i][1]));
	}
}

Test(addr, what_is_no_literal_is_refused_and_the_output_untouched)
{
	static const char *const words[] = { "",	  "10.0.0",	  "10.0.0.256",	 "10.0.0.01",
					     " 10.0.0.1", "10.0.0.1 ",	  "10.0.0.1/24", "[2001:db8::1]",
					     "2001:db8",  "fe80::1%eth0", "localhost",	 "::ffff:10.0.0.1",
					     "1::2::3",	  "::ffff:a00:1" };
	struct in6_addr before = addr_of("192.0.2.1"), addr = before;

	for (size_t i = 0; i < COUNT(words); i++) {
		cr_assert(eq(int, addr_parse(words[i], &addr), -EINVAL), "%s", words[i]);
		cr_assert(zero(int, addr_compare(&addr, &before)));
	}
}

Test(addr, an_address_that_no_single_host_has_is_refused_with_its_reason)
{
	static const char *const faults[][2] = {
		{ "nonsense", "not an IPv4 or IPv6 address" },
		{ "0.0.0.0", "unspecified" },
		{ "::", "unspecified" },
		{ "127.0.0.1", "loopback" },
		{ "127.255.255.254", "loopback" },
		{ "::1", "loopback" },
		{ "224.0.0.1", "multicast" },
		{ "239.255.255.255", "multicast" },
		{ "ff02::1", "multicast" },
		{ "255.255.255.255", "broadcast" },
		{ "169.254.0.1", "link-local" },
		{ "fe80::1", "link-local" },
		{ "febf::1", "link-local" },
		{ "::ffff:10.0.0.1", "IPv4-mapped" },
	};

	for (size_t i = 0; i < COUNT(faults); i++)
		assert_fault(addr_fault(faults[i][0]), faults[i][1], faults[i][0]);
}

Test(addr, an_ordinary_address_has_no_fault)
{
	static const char *const words[] = { "10.0.0.1",    "192.168.1.1",     "126.255.255.255",
					     "128.0.0.1",   "223.255.255.255", "240.0.0.1",
					     "169.253.1.1", "2001:db8::1",     "fd00::1",
					     "fec0::1",	    "0.0.0.1" };

	for (size_t i = 0; i < COUNT(words); i++)
		cr_assert(eq(ptr, (void *)addr_fault(words[i]), NULL), "%s", words[i]);
}

Test(addr, addresses_are_ordered_by_their_bytes)
{
	static const char *const ascending[] = { "9.255.255.255", "10.0.0.9",	 "10.0.0.10",
						 "200.0.0.1",	  "2001:db8::1", "2001:db8::a" };

	for (size_t i = 0; i + 1 < COUNT(ascending); i++) {
		struct in6_addr a = addr_of(ascending[i]), b = addr_of(ascending[i + 1]);

		cr_assert(lt(int, addr_compare(&a, &b), 0));
		cr_assert(gt(int, addr_compare(&b, &a), 0));
		cr_assert(zero(int, addr_compare(&a, &a)));
	}
}

Test(service, a_service_is_read_and_written_back_the_same)
{
	static const char *const words[] = { "10.0.0.100:80/tcp", "10.0.0.100:1/udp", "[2001:db8::1]:53/udp",
					     "[2001:db8::1]:65535/tcp" };
	char text[SERVICE_TEXT_MAX];

	for (size_t i = 0; i < COUNT(words); i++) {
		struct service_name service = service_of(words[i]);

		cr_assert(eq(str, (char *)service_text(&service, text), (char *)words[i]));
	}
}

Test(service, its_parts_are_in_host_order)
{
	struct service_name service = service_of("10.0.0.100:8080/udp");
	struct in6_addr addr = addr_of("10.0.0.100");

	cr_assert(zero(int, addr_compare(&service.addr, &addr)));
	cr_assert(eq(u16, service.port, 8080));
	cr_assert(eq(u8, service.proto, IPPROTO_UDP));
}

Test(service, the_longest_service_fits_its_text)
{
	static const char longest[] = "[1111:2222:3333:4444:5555:6666:7777:8888]:65535/tcp";
	struct service_name service = service_of(longest);
	char text[SERVICE_TEXT_MAX];

	cr_assert(eq(str, (char *)service_text(&service, text), (char *)longest));
}

Test(service, a_vec_alone_is_written_as_its_address)
{
	struct service_name vec = { .addr = addr_of("2001:db8::1") };
	char text[SERVICE_TEXT_MAX];

	cr_assert(eq(str, (char *)service_text(&vec, text), "2001:db8::1"));
}

Test(service, a_malformed_service_is_refused_with_its_reason)
{
	static const char *const faults[][2] = {
		{ "", "no protocol" },
		{ "10.0.0.1:80", "no protocol" },
		{ "10.0.0.1:80/", "neither tcp nor udp" },
		{ "10.0.0.1:80/TCP", "neither tcp nor udp" },
		{ "10.0.0.1:80/sctp", "neither tcp nor udp" },
		{ "10.0.0.1/tcp", "no port" },
		{ "10.0.0.1:/tcp", "1 to 65535" },
		{ "10.0.0.1:0/tcp", "1 to 65535" },
		{ "10.0.0.1:65536/tcp", "1 to 65535" },
		{ "10.0.0.1:-1/tcp", "1 to 65535" },
		{ "10.0.0.1:80x/tcp", "1 to 65535" },
		{ "10.0.0.1:80/x/tcp", "1 to 65535" },
		{ "10.0.0:80/tcp", "not an IPv4 or IPv6 address" },
		{ "2001:db8::1:53/udp", "without brackets" },
		{ "[10.0.0.1]:80/tcp", "brackets" },
		{ "[2001:db8::1]/udp", "[ADDR]:PORT/PROTO" },
		{ "[2001:db8::1:53/udp", "[ADDR]:PORT/PROTO" },
		{ "[2001:db8::1]53/udp", "[ADDR]:PORT/PROTO" },
		{ "[::ffff:10.0.0.1]:80/tcp", "IPv4-mapped" },
		{ "10.0.0.100:80/tcp/0000000000000000000000000000000000000000000000000000/tcp", "too long" },
	};
	struct service_name before = service_of("192.0.2.1:1/tcp"), service = before;

	for (size_t i = 0; i < COUNT(faults); i++) {
		cr_assert(eq(int, service_parse(faults[i][0], &service), -EINVAL), "%s", faults[i][0]);
		cr_assert(zero(int, service_compare(&service, &before)));
		assert_fault(service_fault(faults[i][0]), faults[i][1], faults[i][0]);
	}
}

Test(service, a_word_of_one_character_too_many_is_refused)
{
	char word[SERVICE_TEXT_MAX + 1];

	memset(word, '1', SERVICE_TEXT_MAX);
	word[SERVICE_TEXT_MAX] = '\0';
	assert_fault(service_fault(word), "too long", word);
	assert_fault(service_fault(word + 1), "no protocol", word + 1);
}

Test(service, a_service_at_an_address_no_single_host_has_is_at_fault)
{
	assert_fault(service_fault("127.0.0.1:80/tcp"), "loopback", "127.0.0.1:80/tcp");
	assert_fault(service_fault("[fe80::1]:80/tcp"), "link-local", "[fe80::1]:80/tcp");
	cr_assert(eq(ptr, (void *)service_fault("10.0.0.1:80/tcp"), NULL));
}

Test(service, services_are_ordered_by_address_then_port_then_protocol)
{
	static const char *const ascending[] = { "10.0.0.1:80/tcp", "10.0.0.1:80/udp", "10.0.0.1:443/tcp",
						 "10.0.0.1:65535/tcp", "10.0.0.2:1/tcp" };

	for (size_t i = 0; i + 1 < COUNT(ascending); i++) {
		struct service_name a = service_of(ascending[i]), b = service_of(ascending[i + 1]);

		cr_assert(lt(int, service_compare(&a, &b), 0), "%s", ascending[i]);
		cr_assert(gt(int, service_compare(&b, &a), 0), "%s", ascending[i]);
		cr_assert(zero(int, service_compare(&a, &a)));
	}
}

Test(mac, a_mac_is_read_and_written_in_lower_case)
{
	uint8_t mac[6];
	char text[MAC_TEXT_MAX];

	cr_assert(eq(int, mac_parse("02:aB:CD:AF:9f:0E", mac), 0));
	cr_assert(eq(str, (char *)mac_text(mac, text), "02:ab:cd:af:9f:0e"));
}

Test(mac, what_is_no_unicast_mac_is_refused_and_the_output_untouched)
{
	static const char *const words[] = { "",
					     "02:00:00:00:00",
					     "02:00:00:00:00:0",
					     "02:00:00:00:00:001",
					     "02-00-00-00-00-01",
					     "02:00:00:00:00:0g",
					     "2:00:00:00:00:001",
					     "02:00:00:00:00:01:",
					     "01:00:5e:00:00:01",
					     "ff:ff:ff:ff:ff:ff",
					     "00:00:00:00:00:00" };

	for (size_t i = 0; i < COUNT(words); i++) {
		uint8_t mac[6] = { 7, 7, 7, 7, 7, 7 };

		cr_assert(eq(int, mac_parse(words[i], mac), -EINVAL), "%s", words[i]);
		cr_assert(zero(int, memcmp(mac, "\7\7\7\7\7\7", 6)));
	}
}

Test(proto, protocols_are_named_and_others_are_a_question_mark)
{
	cr_assert(eq(str, (char *)proto_text(IPPROTO_TCP), "tcp"));
	cr_assert(eq(str, (char *)proto_text(IPPROTO_UDP), "udp"));
	cr_assert(eq(str, (char *)proto_text(0), "?"));
}

/* SPDX-License-Identifier: MIT
 *
 * place_test.c: the laws of engine/stream/place.c: every URL leads to an address or a name, or is an error that says
 * which kind it is. What a URL is at all: url_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "engine/stream/place.h"

static void
expect_error(const char *text, nng_err error)
{
	struct pw_place place;
	nng_err got = pw_place_of_text(&place, text);
	if (got != error) {
		print_error("%s: %s, not %s\n", text != NULL ? text : "(NULL)", nng_strerror(got),
		    nng_strerror(error));
	}
	assert_int_equal(got, error);
}

static struct pw_place
parsed(const char *text)
{
	struct pw_place place;
	assert_int_equal(pw_place_of_text(&place, text), NNG_OK);
	return place;
}

/* An IPv4 address and a port are complete after parsing, in network order. Method: every byte of the result. */
static void
place_reads_ipv4(void **state)
{
	static const uint8_t bytes[4] = { 192, 0, 2, 7 };
	struct pw_place place = parsed("tcp://192.0.2.7:8080");

	(void) state;
	assert_int_equal(place.kind, PW_URL_TCP);
	assert_true(place.numeric);
	assert_int_equal(place.port, 8080);
	assert_int_equal(place.address.s_in.sa_family, NNG_AF_INET);
	assert_int_equal(place.address.s_in.sa_port, htons(8080));
	assert_memory_equal(&place.address.s_in.sa_addr, bytes, sizeof(bytes));
}

/* An IPv6 address stands in brackets, and may have a zone. Method: loopback; a zone by number and by name ("lo"). */
static void
place_reads_ipv6(void **state)
{
	static const uint8_t loopback[16] = { [15] = 1 };
	struct pw_place place = parsed("tcp://[::1]:0");

	(void) state;
	assert_true(place.numeric);
	assert_int_equal(place.port, 0);
	assert_int_equal(place.address.s_in6.sa_family, NNG_AF_INET6);
	assert_memory_equal(place.address.s_in6.sa_addr, loopback, sizeof(loopback));
	assert_int_equal(place.address.s_in6.sa_scope, 0);
	assert_int_equal(parsed("tcp://[fe80::1%7]:1").address.s_in6.sa_scope, 7);
	assert_int_equal(parsed("tcp://[fe80::1%lo]:1").address.s_in6.sa_scope, 1);
	assert_int_equal(parsed("tcp://[::ffff:192.0.2.7]:1").address.s_in6.sa_addr[15], 7);
}

/* A name is kept for the resolver, in lower case; an empty host means any address; no port is port 0. Method: each,
 * and what a name may hold. */
static void
place_keeps_names(void **state)
{
	struct pw_place place = parsed("tcp://my-host_1.Example.org:65535");

	(void) state;
	assert_false(place.numeric);
	assert_string_equal(place.host, "my-host_1.example.org");
	assert_int_equal(place.port, 65535);
	place = parsed("tcp://:80");
	assert_false(place.numeric);
	assert_string_equal(place.host, "");
	assert_string_equal(parsed("tcp://127.0.0.1.example:1").host, "127.0.0.1.example");
	assert_string_equal(parsed("tcp://").host, "");
	assert_int_equal(parsed("tcp://").port, 0);
	assert_int_equal(parsed("tcp://host").port, 0);
	assert_int_equal(parsed("tcp://127.0.0.1").port, 0);
	assert_int_equal(parsed("tcp://[::1]").port, 0);
	assert_int_equal(parsed("tcp://127.0.0.1:80/").port, 80);
}

/* ipc and unix are one: the rest is the path as it stands. Method: relative, absolute, with bytes that other URLs
 * would read as syntax. */
static void
place_reads_paths(void **state)
{
	(void) state;
	assert_int_equal(parsed("ipc:///run/x.sock").kind, PW_URL_PATH);
	assert_int_equal(parsed("ipc:///run/x.sock").address.s_ipc.sa_family, NNG_AF_IPC);
	assert_string_equal(parsed("ipc:///run/x.sock").address.s_ipc.sa_path, "/run/x.sock");
	assert_string_equal(parsed("unix://x.sock").address.s_ipc.sa_path, "x.sock");
	assert_string_equal(parsed("ipc://a://b?c#%41").address.s_ipc.sa_path, "a://b?c#%41");
}

/* tcp4 and tcp6 are tcp with one family: of a name's addresses, of every address; an address of the other one is
 * NNG_EADDRINVAL. */
static void
place_keeps_to_a_family(void **state)
{
	(void) state;
	assert_int_equal(parsed("tcp://host:1").family, NNG_AF_UNSPEC);
	assert_int_equal(parsed("tcp4://host:1").family, NNG_AF_INET);
	assert_int_equal(parsed("tcp6://:1").family, NNG_AF_INET6);
	assert_int_equal(parsed("tcp4://127.0.0.1:1").address.s_family, NNG_AF_INET);
	assert_int_equal(parsed("tcp6://[::1]:1").address.s_family, NNG_AF_INET6);
	expect_error("tcp4://[::1]:1", NNG_EADDRINVAL);
	expect_error("tcp6://127.0.0.1:1", NNG_EADDRINVAL);
}

/* A name of the abstract namespace may hold any byte, by escapes, and none at all. Method: a NUL, a percent sign, the
 * longest, one more; escapes that are none. */
static void
place_reads_abstract_names(void **state)
{
	struct pw_place place = parsed("abstract://a%00b%25/c?");
	char text[400] = "abstract://";

	(void) state;
	assert_int_equal(place.kind, PW_URL_ABSTRACT);
	assert_int_equal(place.address.s_abstract.sa_family, NNG_AF_ABSTRACT);
	assert_int_equal(place.address.s_abstract.sa_len, 7);
	assert_memory_equal(place.address.s_abstract.sa_name, "a\0b%/c?", 7);
	assert_int_equal(parsed("abstract://").address.s_abstract.sa_len, 0);
	for (unsigned i = 0; i < 107; i++) {
		(void) snprintf(text + strlen(text), 4, "%%%02X", 255 - i);
	}
	place = parsed(text);
	assert_int_equal(place.address.s_abstract.sa_len, 107);
	for (unsigned i = 0; i < 107; i++) {
		assert_int_equal(place.address.s_abstract.sa_name[i], 255 - i);
	}
	expect_error(strcat(text, "x"), NNG_EINVAL);
	expect_error("abstract://%", NNG_EINVAL);
	expect_error("abstract://x%0", NNG_EINVAL);
	expect_error("abstract://%0g", NNG_EINVAL);
	expect_error("abstract://%g0", NNG_EINVAL);
}

/* socket:// stands alone. */
static void
place_reads_sockets(void **state)
{
	(void) state;
	assert_int_equal(parsed("socket://").kind, PW_URL_SOCKET);
	expect_error("socket://x", NNG_EINVAL);
	expect_error("socket:///", NNG_EINVAL);
}

/* The scheme is compared without regard to case (RFC 3986). */
static void
place_scheme_has_no_case(void **state)
{
	(void) state;
	assert_int_equal(parsed("TCP://127.0.0.1:1").kind, PW_URL_TCP);
	assert_int_equal(parsed("Ipc://x").kind, PW_URL_PATH);
}

/* "unknown scheme NNG_ENOTSUP (tls+tcp, ws, wss too)". Method: those, their 4 and 6 variants, others of NNG. */
static void
place_other_schemes_are_not_supported(void **state)
{
	static const char *const scheme[] = { "tls+tcp", "tls+tcp4", "tls+tcp6", "ws", "ws4", "ws6", "wss", "wss4",
		"wss6", "inproc", "udp", "udp4", "http", "dtls", "mailto", "zt", "tcpx", "tc", "tcp46", "x+y-z.1" };
	char text[64];

	(void) state;
	for (size_t i = 0; i < sizeof(scheme) / sizeof(scheme[0]); i++) {
		(void) snprintf(text, sizeof(text), "%s://127.0.0.1:80", scheme[i]);
		expect_error(text, NNG_ENOTSUP);
	}
}

/* "malformed ... NNG_EINVAL". Method: one of every kind that the grammar in url.c excludes. */
static void
place_malformed_is_invalid(void **state)
{
	static const char *const text[] = {
		/* no URL at all */
		"",
		"tcp",
		"tcp:",
		"tcp:/",
		"127.0.0.1:80",
		"tcp:127.0.0.1:80",
		"tcp:/127.0.0.1:80",
		/* scheme */
		"://127.0.0.1:80",
		"1tcp://127.0.0.1:80",
		"+tcp://127.0.0.1:80",
		"t cp://127.0.0.1:80",
		" tcp://127.0.0.1:80",
		"t\xc3\xa4://x:1",
		/* a port that is none */
		"tcp://127.0.0.1:",
		"tcp://host:",
		"tcp://:",
		"tcp://[::1]:",
		/* port */
		"tcp://127.0.0.1:x",
		"tcp://127.0.0.1:80x",
		"tcp://127.0.0.1:-1",
		"tcp://127.0.0.1:+1",
		"tcp://127.0.0.1: 1",
		"tcp://127.0.0.1:0x10",
		"tcp://127.0.0.1:1.5",
		"tcp://127.0.0.1:http",
		/* what would be a path, a query, a user elsewhere */
		"tcp://127.0.0.1:80/x",
		"tcp://127.0.0.1:80/..a",
		"tcp://127.0.0.1:80?x",
		"tcp://127.0.0.1:80#x",
		"tcp://user@127.0.0.1:80",
		"tcp://@127.0.0.1:80",
		"tcp://127.0.0.1:80?",
		"tcp://127.0.0.1:80#",
		"tcp://127.0.0.1/:80",
		/* IPv4 */
		"tcp://256.0.0.1:80",
		"tcp://1.2.3:80",
		"tcp://1.2.3.4.5:80",
		"tcp://1:80",
		"tcp://1..2.3:80",
		"tcp://.:80",
		"tcp://01.2.3.04.:80",
		/* IPv6 */
		"tcp://::1:80",
		"tcp://[]:80",
		"tcp://[:80",
		"tcp://]:80",
		"tcp://[::1:80",
		"tcp://::1]:80",
		"tcp://[::g]:80",
		"tcp://[1::2::3]:80",
		"tcp://[::1]x:80",
		"tcp://x[::1]:80",
		"tcp://[127.0.0.1]:80",
		"tcp://[fe80::1%]:80",
		"tcp://[fe80::1%0]:80",
		"tcp://[fe80::1%no-such-link]:80",
		"tcp://[1111:2222:3333:4444:5555:6666:7777:8888%aaaaaaaaaaaaaaaaaaaaaaaaaaaaa]:80",
		/* names */
		"tcp://*:80",
		"tcp://a b:80",
		"tcp://a%41:80",
		"tcp://a/b:80",
		"tcp://\xc3\xa4:80",
		"tcp://a\n:80",
		"tcp://a,b:80",
		/* paths */
		"ipc://",
		"unix://",
	};

	(void) state;
	expect_error(NULL, NNG_EINVAL);
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		expect_error(text[i], NNG_EINVAL);
	}
}

/* "port above 65535 NNG_EINVAL". Method: the last good one, the first bad one, ones that wrap 16, 32 and 64 bits. */
static void
place_port_ends_at_65535(void **state)
{
	(void) state;
	assert_int_equal(parsed("tcp://127.0.0.1:65535").port, 65535);
	assert_int_equal(parsed("tcp://127.0.0.1:00080").port, 80);
	expect_error("tcp://127.0.0.1:65536", NNG_EINVAL);
	expect_error("tcp://127.0.0.1:65616", NNG_EINVAL);
	expect_error("tcp://127.0.0.1:4294967376", NNG_EINVAL);
	expect_error("tcp://127.0.0.1:18446744073709551696", NNG_EINVAL);
}

/* "too long ... NNG_EINVAL": a path that does not fit sun_path, a name longer than DNS has.
 * Method: the longest good one of each, and one byte more. */
static void
place_too_long_is_invalid(void **state)
{
	char text[1024];

	(void) state;
	for (size_t length = 107; length <= 108; length++) {
		(void) snprintf(text, sizeof(text), "ipc://%.*s", (int) length,
		    (char *) memset(text + 600, 'p', 200));
		if (length == 107) {
			struct pw_place place = parsed(text);
			assert_int_equal(strlen(place.address.s_ipc.sa_path), 107);
		} else {
			expect_error(text, NNG_EINVAL);
		}
	}
	for (size_t length = 253; length <= 254; length++) {
		(void) snprintf(text, sizeof(text), "tcp://%.*s:1", (int) length,
		    (char *) memset(text + 600, 'n', 300));
		if (length == 253) {
			struct pw_place place = parsed(text);
			assert_int_equal(strlen(place.host), 253);
		} else {
			expect_error(text, NNG_EINVAL);
		}
	}
}

/* Whatever the text, the parser ends, answers with one of four codes, and a name it accepts ends in its place.
 * Method: random edits of good URLs; the sanitizers watch. */
static void
place_survives_any_bytes(void **state)
{
	static const char *const good[] = { "tcp://127.0.0.1:80", "tcp://[fe80::1%1]:80", "tcp://host.example:80",
		"ipc:///a/b", "tls+tcp://x:1", "tcp4://127.0.0.1:80", "abstract://a%20b%00", "socket://" };
	const char *given = getenv("PW_TEST_SEED");
	uint64_t x = given != NULL ? strtoull(given, NULL, 0) : 88172645463325252u;
	struct pw_place place;
	char text[64];

	(void) state;
	print_message("seed %llu\n", (unsigned long long) x);
	const char *percent = getenv("PW_TEST_SCALE");
	unsigned rounds = 1000 * (percent != NULL ? (unsigned) strtoul(percent, NULL, 10) : 100);
	for (unsigned i = 0; i < rounds; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		(void) snprintf(text, sizeof(text), "%s", good[x % 8]);
		size_t length = strlen(text);
		for (unsigned edit = 0; edit <= (x >> 8) % 3; edit++) {
			text[(x >> (16 + 8 * edit)) % length] = (char) (x >> (32 + 8 * edit));
		}
		nng_err error = pw_place_of_text(&place, text);
		assert_true(
		    error == NNG_OK || error == NNG_EINVAL || error == NNG_ENOTSUP || error == NNG_EADDRINVAL);
		assert_true(error != NNG_OK || memchr(place.host, '\0', sizeof(place.host)) != NULL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(place_reads_ipv4),
		cmocka_unit_test(place_reads_ipv6),
		cmocka_unit_test(place_keeps_names),
		cmocka_unit_test(place_reads_paths),
		cmocka_unit_test(place_keeps_to_a_family),
		cmocka_unit_test(place_reads_abstract_names),
		cmocka_unit_test(place_reads_sockets),
		cmocka_unit_test(place_scheme_has_no_case),
		cmocka_unit_test(place_other_schemes_are_not_supported),
		cmocka_unit_test(place_malformed_is_invalid),
		cmocka_unit_test(place_port_ends_at_65535),
		cmocka_unit_test(place_too_long_is_invalid),
		cmocka_unit_test(place_survives_any_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

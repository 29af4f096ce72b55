/* SPDX-License-Identifier: MIT
 *
 * sockaddr_test.c: the laws of engine/stream/sockaddr.c: addresses survive both ways, texts stay in their buffers.
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
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/stream/sockaddr.h"

static void
expect_text(const nng_sockaddr *sa, const char *text)
{
	char buf[NNG_MAXADDRSTRLEN + 512];
	assert_ptr_equal(nng_str_sockaddr(sa, buf, sizeof(buf)), buf);
	assert_string_equal(buf, text);
}

static nng_sockaddr
inet_address(const char *text, uint16_t port)
{
	nng_sockaddr sa = { .s_in = { .sa_family = NNG_AF_INET, .sa_port = htons(port) } };
	assert_int_equal(inet_pton(AF_INET, text, &sa.s_in.sa_addr), 1);
	return sa;
}

static nng_sockaddr
inet6_address(const char *text, uint16_t port, uint32_t scope)
{
	nng_sockaddr sa = { .s_in6 = { .sa_family = NNG_AF_INET6, .sa_port = htons(port), .sa_scope = scope } };
	assert_int_equal(inet_pton(AF_INET6, text, sa.s_in6.sa_addr), 1);
	return sa;
}

/* Every family has its text. */
static void
sockaddr_has_a_text_for_every_family(void **state)
{
	nng_sockaddr sa = inet_address("192.0.2.1", 80);

	(void) state;
	expect_text(&sa, "192.0.2.1:80");
	sa = inet6_address("2001:db8::1", 65535, 0);
	expect_text(&sa, "[2001:db8::1]:65535");
	sa = inet6_address("fe80::1", 80, 2);
	expect_text(&sa, "[fe80::1%2]:80");
	sa = (nng_sockaddr){ .s_ipc = { NNG_AF_IPC, "/run/x.sock" } };
	expect_text(&sa, "/run/x.sock");
	sa = (nng_sockaddr){ .s_inproc = { NNG_AF_INPROC, "name" } };
	expect_text(&sa, "inproc[name]");
	sa = (nng_sockaddr){ .s_abstract = { NNG_AF_ABSTRACT, 4, "a\0 b" } };
	expect_text(&sa, "abstract[a\\x00\\x20b]");
	sa = (nng_sockaddr){ .s_family = NNG_AF_UNSPEC };
	expect_text(&sa, "unknown");
	sa = (nng_sockaddr){ .s_family = 77 };
	expect_text(&sa, "unknown");
}

/* A text never leaves its buffer and always ends there; bufsz 0 writes nothing. Method: every size from 0 to more
 * than enough, a fence behind it, names without an end. */
static void
sockaddr_text_stays_in_its_buffer(void **state)
{
	nng_sockaddr all[6] = { inet_address("192.0.2.1", 80), inet6_address("fe80::1", 80, 4000000000u) };
	char whole[1024], cut[1024];

	(void) state;
	all[2].s_ipc.sa_family = NNG_AF_IPC;
	memset(all[2].s_ipc.sa_path, 'p', sizeof(all[2].s_ipc.sa_path));
	all[3].s_inproc.sa_family = NNG_AF_INPROC;
	memset(all[3].s_inproc.sa_name, 'i', sizeof(all[3].s_inproc.sa_name));
	all[4].s_abstract.sa_family = NNG_AF_ABSTRACT;
	all[4].s_abstract.sa_len = UINT16_MAX;
	memset(all[4].s_abstract.sa_name, 0xff, sizeof(all[4].s_abstract.sa_name));
	all[5].s_family = NNG_AF_UNSPEC;
	for (unsigned i = 0; i < 6; i++) {
		(void) nng_str_sockaddr(&all[i], whole, sizeof(whole));
		for (size_t size = 0; size < 600; size++) {
			memset(cut, '#', sizeof(cut));
			assert_ptr_equal(nng_str_sockaddr(&all[i], cut, size), cut);
			assert_int_equal(cut[size], '#');
			if (size != 0) {
				size_t length = strlen(whole) < size - 1 ? strlen(whole) : size - 1;
				assert_int_equal(strnlen(cut, size), length);
				assert_memory_equal(cut, whole, length);
			}
		}
	}
}

/* The port is in host order; families without one say 0. */
static void
sockaddr_port_is_in_host_order(void **state)
{
	nng_sockaddr sa = inet_address("127.0.0.1", 0x1234);

	(void) state;
	assert_int_equal(nng_sockaddr_port(&sa), 0x1234);
	sa = inet6_address("::1", 65535, 0);
	assert_int_equal(nng_sockaddr_port(&sa), 65535);
	sa = (nng_sockaddr){ .s_ipc = { NNG_AF_IPC, "x" } };
	assert_int_equal(nng_sockaddr_port(&sa), 0);
	sa = (nng_sockaddr){ .s_family = NNG_AF_UNSPEC };
	assert_int_equal(nng_sockaddr_port(&sa), 0);
}

/* To the system and back changes nothing. */
static void
sockaddr_survives_the_system(void **state)
{
	const nng_sockaddr all[] = { inet_address("192.0.2.1", 80), inet6_address("fe80::1", 443, 7),
		{ .s_ipc = { NNG_AF_IPC, "/run/x.sock" } }, { .s_abstract = { NNG_AF_ABSTRACT, 3, "a\0b" } },
		{ .s_abstract = { NNG_AF_ABSTRACT, 0, "" } } };
	struct sockaddr_storage system;
	nng_sockaddr back;

	(void) state;
	for (unsigned i = 0; i < 5; i++) {
		socklen_t size = pw_sockaddr_to_system(&all[i], &system);
		assert_int_not_equal(size, 0);
		pw_sockaddr_from_system(&back, &system, size);
		assert_int_equal(back.s_family, all[i].s_family);
		char a[256], b[256];
		assert_string_equal(nng_str_sockaddr(&back, a, sizeof(a)), nng_str_sockaddr(&all[i], b, sizeof(b)));
		assert_true(nng_sockaddr_equal(&back, &all[i]));
	}
}

/* What sockets have no family for is refused; a path that does not fit too. */
static void
sockaddr_refuses_what_no_socket_has(void **state)
{
	struct sockaddr_storage system;
	nng_sockaddr sa = { .s_inproc = { NNG_AF_INPROC, "name" } };

	(void) state;
	assert_int_equal(pw_sockaddr_to_system(&sa, &system), 0);
	sa = (nng_sockaddr){ .s_family = NNG_AF_UNSPEC };
	assert_int_equal(pw_sockaddr_to_system(&sa, &system), 0);
	sa.s_ipc.sa_family = NNG_AF_IPC;
	memset(sa.s_ipc.sa_path, 'p', sizeof(sa.s_ipc.sa_path));
	assert_int_equal(pw_sockaddr_to_system(&sa, &system), 0);
	sa = (nng_sockaddr){ .s_abstract = { NNG_AF_ABSTRACT, 108, "" } };
	assert_int_equal(pw_sockaddr_to_system(&sa, &system), 0);
	assert_int_equal(pw_sockaddr_system_family(NNG_AF_INPROC), AF_UNSPEC);
	assert_int_equal(pw_sockaddr_system_family(NNG_AF_UNSPEC), AF_UNSPEC);
	assert_int_equal(pw_sockaddr_system_family(NNG_AF_ABSTRACT), AF_UNIX);
}

/* Addresses are equal when what they mean is; equal ones have one hash, never 0. Method: a pair of each family in
 * memory full of noise, then each thing that counts changed, and what does not. */
static nng_sockaddr
noisy(nng_sockaddr sa, size_t size, int noise)
{
	nng_sockaddr copy;
	memset(&copy, noise, sizeof(copy));
	memcpy(&copy, &sa, size);
	return copy;
}

static void
expect_equal(const nng_sockaddr *a, const nng_sockaddr *b, bool equal)
{
	assert_int_equal(nng_sockaddr_equal(a, b), equal);
	assert_int_equal(nng_sockaddr_equal(b, a), equal);
	assert_int_equal(nng_sockaddr_hash(a) == nng_sockaddr_hash(b), equal);
	assert_true(nng_sockaddr_hash(a) != 0 && nng_sockaddr_hash(b) != 0);
}

static void
sockaddr_equality_is_of_meaning(void **state)
{
	const size_t path = offsetof(nng_sockaddr_path, sa_path), name = offsetof(nng_sockaddr_abstract, sa_name);
	const struct {
		nng_sockaddr sa;
		size_t size;
	} all[] = {
		{ { .s_family = NNG_AF_UNSPEC }, 2 },
		{ inet_address("192.0.2.1", 80), sizeof(nng_sockaddr_in) },
		{ inet_address("192.0.2.1", 81), sizeof(nng_sockaddr_in) },
		{ inet_address("192.0.2.2", 80), sizeof(nng_sockaddr_in) },
		{ inet6_address("fe80::1", 80, 0), sizeof(nng_sockaddr_in6) },
		{ inet6_address("fe80::1", 80, 1), sizeof(nng_sockaddr_in6) },
		{ inet6_address("fe80::1", 81, 0), sizeof(nng_sockaddr_in6) },
		{ inet6_address("fe80::2", 80, 0), sizeof(nng_sockaddr_in6) },
		{ { .s_ipc = { NNG_AF_IPC, "a" } }, path + 2 },
		{ { .s_ipc = { NNG_AF_IPC, "ab" } }, path + 3 },
		{ { .s_inproc = { NNG_AF_INPROC, "a" } }, path + 2 },
		{ { .s_abstract = { NNG_AF_ABSTRACT, 1, "a" } }, name + 1 },
		{ { .s_abstract = { NNG_AF_ABSTRACT, 2, "a\0" } }, name + 2 },
		{ { .s_abstract = { NNG_AF_ABSTRACT, 0, "" } }, name },
	};
	const unsigned count = sizeof(all) / sizeof(all[0]);

	(void) state;
	for (unsigned i = 0; i < count; i++) {
		for (unsigned j = 0; j < count; j++) {
			nng_sockaddr a = noisy(all[i].sa, all[i].size, 0x55), b = noisy(all[j].sa, all[j].size, 0xaa);
			expect_equal(&a, &b, i == j);
		}
	}
}

/* What has no end, or a length beyond it, is compared up to its bound, and nothing is read after that. */
static void
sockaddr_equality_stays_in_bounds(void **state)
{
	nng_sockaddr *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b));

	(void) state;
	memset(a, 'x', sizeof(*a));
	memset(b, 'x', sizeof(*b));
	a->s_family = b->s_family = NNG_AF_IPC;
	expect_equal(a, b, true);
	b->s_ipc.sa_path[sizeof(b->s_ipc.sa_path) - 1] = 'y';
	expect_equal(a, b, false);
	a->s_family = b->s_family = NNG_AF_ABSTRACT;
	a->s_abstract.sa_len = b->s_abstract.sa_len = UINT16_MAX;
	expect_equal(a, b, true);
	b->s_abstract.sa_name[106] = 'y';
	expect_equal(a, b, false);
	free(a);
	free(b);
}

/* Hashes of neighbouring addresses are spread: as indices into a table of 1024 they leave no slot with more than a
 * few times its share. */
static void
sockaddr_hash_spreads(void **state)
{
	unsigned low[1024] = { 0 }, high[1024] = { 0 };

	(void) state;
	for (unsigned i = 0; i < 10240; i++) {
		nng_sockaddr sa = inet_address("10.0.0.1", (uint16_t) (i % 1024));
		sa.s_in.sa_addr += htonl(i / 1024);
		uint64_t hash = nng_sockaddr_hash(&sa);
		assert_in_range(++low[hash % 1024], 1, 40);
		assert_in_range(++high[hash >> 54], 1, 40);
	}
}

/* A pair is two connected stream sockets, for the caller to close. */
static void
socket_pair_is_connected(void **state)
{
	int fds[2] = { -1, -1 };
	char byte = 0;

	(void) state;
	assert_int_equal(nng_socket_pair(NULL), NNG_EINVAL);
	assert_int_equal(nng_socket_pair(fds), NNG_OK);
	assert_int_equal(write(fds[0], "a", 1), 1);
	assert_int_equal(read(fds[1], &byte, 1), 1);
	assert_int_equal(byte, 'a');
	assert_int_equal(write(fds[1], "b", 1), 1);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(byte, 'b');
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
}

/* The kernel's Unix addresses: a path of full length has no NUL, an unnamed one has no bytes, an abstract one begins
 * with a NUL; a family that is not known is UNSPEC. */
static void
sockaddr_reads_what_the_kernel_writes(void **state)
{
	struct sockaddr_storage system = { .ss_family = AF_UNIX };
	struct sockaddr_un *un = (void *) &system;
	const socklen_t offset = offsetof(struct sockaddr_un, sun_path);
	nng_sockaddr sa;

	(void) state;
	memset(un->sun_path, 'p', sizeof(un->sun_path));
	pw_sockaddr_from_system(&sa, &system, sizeof(*un));
	assert_int_equal(sa.s_family, NNG_AF_IPC);
	assert_int_equal(strlen(sa.s_ipc.sa_path), sizeof(un->sun_path));

	pw_sockaddr_from_system(&sa, &system, offset);
	assert_int_equal(sa.s_family, NNG_AF_ABSTRACT);
	assert_int_equal(sa.s_abstract.sa_len, 0);

	memcpy(un->sun_path, "\0ab", 3);
	pw_sockaddr_from_system(&sa, &system, offset + 3);
	assert_int_equal(sa.s_family, NNG_AF_ABSTRACT);
	assert_int_equal(sa.s_abstract.sa_len, 2);
	assert_memory_equal(sa.s_abstract.sa_name, "ab", 2);

	system.ss_family = AF_NETLINK;
	pw_sockaddr_from_system(&sa, &system, sizeof(system));
	assert_int_equal(sa.s_family, NNG_AF_UNSPEC);
	pw_sockaddr_from_system(&sa, &system, 0);
	assert_int_equal(sa.s_family, NNG_AF_UNSPEC);
}

/* Law: the names that RFC 6761 keeps for the loopback address are known by themselves, and no others. */
static void
sockaddr_knows_localhost(void **state)
{
	static const char *const local[] = { "localhost", "LocalHost", "localhost.", "a.localhost", "a.b.localhost." };
	static const char *const other[] = { "", ".", "local", "localhos", "localhost.org", "alocalhost", "localhost..",
		"127.0.0.1" };

	(void) state;
	for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
		assert_string_equal(pw_sockaddr_loopback(local[i], AF_UNSPEC), "127.0.0.1");
		assert_string_equal(pw_sockaddr_loopback(local[i], AF_INET), "127.0.0.1");
		assert_string_equal(pw_sockaddr_loopback(local[i], AF_INET6), "::1");
	}
	for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
		assert_null(pw_sockaddr_loopback(other[i], AF_UNSPEC));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockaddr_has_a_text_for_every_family),
		cmocka_unit_test(sockaddr_text_stays_in_its_buffer),
		cmocka_unit_test(sockaddr_port_is_in_host_order),
		cmocka_unit_test(sockaddr_survives_the_system),
		cmocka_unit_test(sockaddr_refuses_what_no_socket_has),
		cmocka_unit_test(sockaddr_reads_what_the_kernel_writes),
		cmocka_unit_test(sockaddr_equality_is_of_meaning),
		cmocka_unit_test(sockaddr_equality_stays_in_bounds),
		cmocka_unit_test(sockaddr_hash_spreads),
		cmocka_unit_test(sockaddr_knows_localhost),
		cmocka_unit_test(socket_pair_is_connected),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * sockaddr_test.c: the laws of engine/stream/sockaddr.c: addresses survive both ways, texts stay in their buffers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

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
		{ .s_ipc = { NNG_AF_IPC, "/run/x.sock" } } };
	struct sockaddr_storage system;
	nng_sockaddr back;

	(void) state;
	for (unsigned i = 0; i < 3; i++) {
		socklen_t size = pw_sockaddr_to_system(&all[i], &system);
		assert_int_not_equal(size, 0);
		pw_sockaddr_from_system(&back, &system, size);
		assert_int_equal(back.s_family, all[i].s_family);
		char a[256], b[256];
		assert_string_equal(nng_str_sockaddr(&back, a, sizeof(a)), nng_str_sockaddr(&all[i], b, sizeof(b)));
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * stream_socket_test.c: descriptors from outside: a socket that listens already (NNG_OPT_LISTEN_FD), connections that
 * are given to a listener of socket:// (NNG_OPT_SOCKET_FD), and who closes what.
 */
#include "stream.h"

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* A socket of the test's own that is bound, and perhaps listens. */
static int
bound_socket(int family, int type, const char *path, bool listens)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	void *address = family == AF_INET ? (void *) &in : family == AF_INET6 ? (void *) &in6 : (void *) &un;
	socklen_t size = family == AF_INET ? sizeof(in) : family == AF_INET6 ? sizeof(in6) : sizeof(un);
	int fd = socket(family, type, 0);

	assert_true(fd >= 0);
	if (path != NULL) {
		(void) snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	} else if (family == AF_UNIX) {
		size = sizeof(sa_family_t); /* an abstract name of the system's choice */
	}
	assert_int_equal(bind(fd, address, size), 0);
	assert_int_equal(listens ? listen(fd, 8) : 0, 0);
	return fd;
}

/* ---- socket activation */

static void
expect_adopted(const char *url, int fd, struct ends *ends)
{
	assert_int_equal(nng_stream_listener_alloc(&ends->listener, url), NNG_OK);
	assert_int_equal(nng_stream_listener_set_int(ends->listener, NNG_OPT_LISTEN_FD, fd), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(ends->listener), NNG_ESTATE); /* it does */
	assert_int_equal(nng_stream_listener_set_int(ends->listener, NNG_OPT_LISTEN_FD, fd), NNG_EBUSY);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

/* A socket that listens already serves as the listener's own, which closes it; the file of one stays, since another
 * made it. Method: TCP of both families, one through "tcp://", a path, an abstract name; a connection over each. */
static void
stream_adopts_a_listening_socket(void **state)
{
	char path[96];
	struct {
		const char *url;
		int family;
		unsigned transport; /* whose dial_url fits; UNIX: its path */
	} each[] = { { "tcp://", AF_INET, TCP }, { "tcp4://:80", AF_INET, TCP }, { "tcp6://", AF_INET6, TCP + 1 },
		{ NULL, AF_UNIX, UNIX }, { "abstract://", AF_UNIX, ABSTRACT } };

	(void) state;
	for (unsigned i = 0; i < 5; i++) {
		struct ends ends = { .descriptors = open_descriptors(), .aio = new_aio(), .other = new_aio() };
		char url[160];
		bool is_path = each[i].url == NULL;
		(void) snprintf(path, sizeof(path), "%s/socket", directory);
		(void) snprintf(url, sizeof(url), "ipc://%s", path);
		int fd = bound_socket(each[i].family, SOCK_STREAM, is_path ? path : NULL, true);
		expect_adopted(is_path ? url : each[i].url, fd, &ends);
		dial_url(ends.url, sizeof(ends.url), each[i].transport, ends.listener);
		assert_int_equal(nng_stream_dialer_alloc(&ends.dialer, ends.url), NNG_OK);
		connect_ends(ends.dialer, ends.listener, &ends.dialed, &ends.accepted);
		both_ways(&ends);
		ends_close(&ends);
		assert_false(is_open(fd));
		if (is_path) {
			assert_int_equal(unlink(path), 0);
		}
	}
}

/* What is no listening stream socket of the URL's kind is refused, stays open and the caller's, and the listener may
 * listen itself or adopt another. */
static void
stream_adopts_nothing_else(void **state)
{
	unsigned descriptors = open_descriptors();
	nng_stream_listener *listener, *v4, *path;
	char url[160];
	int pipes[2], pair[2];

	(void) state;
	dial_url(url, sizeof(url), UNIX, NULL);
	assert_int_equal(nng_stream_listener_alloc(&listener, "tcp://127.0.0.1:0"), NNG_OK);
	assert_int_equal(nng_stream_listener_alloc(&v4, "tcp4://127.0.0.1:0"), NNG_OK);
	assert_int_equal(nng_stream_listener_alloc(&path, url), NNG_OK);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(nng_socket_pair(pair), NNG_OK);
	int closed = dup(0);
	assert_int_equal(close(closed), 0);
	int bad[] = { -1, closed, pipes[0], pair[0], bound_socket(AF_INET, SOCK_DGRAM, NULL, false),
		bound_socket(AF_INET, SOCK_STREAM, NULL, false), INT32_MAX };
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bool open = is_open(bad[i]);
		assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_LISTEN_FD, bad[i]), NNG_EINVAL);
		assert_int_equal(nng_stream_listener_set_int(path, NNG_OPT_LISTEN_FD, bad[i]), NNG_EINVAL);
		assert_int_equal(is_open(bad[i]), open);
	}
	int v6 = bound_socket(AF_INET6, SOCK_STREAM, NULL, true), un = bound_socket(AF_UNIX, SOCK_STREAM, NULL, true);
	assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_LISTEN_FD, un), NNG_EADDRINVAL);
	assert_int_equal(nng_stream_listener_set_int(v4, NNG_OPT_LISTEN_FD, v6), NNG_EADDRINVAL);
	assert_int_equal(nng_stream_listener_set_int(path, NNG_OPT_LISTEN_FD, v6), NNG_EADDRINVAL);
	assert_true(is_open(v6) && is_open(un));
	assert_int_equal(nng_stream_listener_listen(v4), NNG_OK);
	assert_int_equal(nng_stream_listener_set_int(v4, NNG_OPT_LISTEN_FD, v6), NNG_EBUSY);
	nng_stream_listener_close(path);
	assert_int_equal(nng_stream_listener_set_int(path, NNG_OPT_LISTEN_FD, un), NNG_ECLOSED);
	assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_LISTEN_FD, v6), NNG_OK);
	nng_stream_listener_free(listener);
	nng_stream_listener_free(v4);
	nng_stream_listener_free(path);
	assert_false(is_open(v6));
	const int rest[] = { pipes[0], pipes[1], pair[0], pair[1], bad[4], bad[5], un };
	for (unsigned i = 0; i < sizeof(rest) / sizeof(rest[0]); i++) {
		assert_int_equal(close(rest[i]), 0);
	}
	assert_int_equal(open_descriptors(), descriptors);
}

/* ---- socket:// */

/* A stream of a descriptor is a stream like any other: bytes both ways, an end, its peer's process; no addresses. */
static void
stream_of_a_descriptor_carries_bytes(void **state)
{
	struct ends ends;
	char buf[4];
	int pid;

	(void) state;
	pair_open(&ends);
	both_ways(&ends);
	assert_int_equal(nng_stream_self_addr(ends.accepted)->s_family, NNG_AF_UNSPEC);
	assert_int_equal(nng_stream_peer_addr(ends.accepted)->s_family, NNG_AF_UNSPEC);
	assert_int_equal(nng_stream_get_int(ends.accepted, NNG_OPT_PEER_PID, &pid), NNG_OK);
	assert_int_equal(pid, getpid());
	set_buffer(ends.aio, buf, sizeof(buf));
	nng_stream_recv(ends.accepted, ends.aio); /* waits: the descriptor was a blocking one */
	nng_stream_recv(ends.dialed, ends.other);
	nng_aio_cancel(ends.other);
	nng_stream_stop(ends.dialed);
	assert_int_equal(result_of(ends.aio), NNG_ECONNSHUT);
	ends_close(&ends);
}

#define OFFERED 16u

/* Descriptors are accepted in the order in which they were offered, whether the accept or the descriptor was first;
 * 16 wait, the next is NNG_ENOSPC and stays the caller's. Method: 16 pairs, each with its number written to it. */
static void
expect_number(nng_aio *accept, nng_aio *aio, unsigned number)
{
	char got = 0;
	assert_int_equal(result_of(accept), NNG_OK);
	nng_stream *stream = nng_aio_get_output(accept, 0);
	assert_non_null(stream);
	assert_int_equal(recv_now(stream, aio, &got, 1), NNG_OK);
	assert_int_equal(got, number);
	nng_stream_free(stream);
}

static void
stream_accepts_what_was_offered_in_order(void **state)
{
	unsigned descriptors = open_descriptors();
	nng_stream_listener *listener;
	nng_aio *aio = new_aio(), *accept[OFFERED];
	int fds[OFFERED + 1][2];

	(void) state;
	assert_int_equal(nng_stream_listener_alloc(&listener, "socket://"), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_OK); /* may be, need not */
	assert_int_equal(nng_stream_listener_listen(listener), NNG_ESTATE);
	for (unsigned i = 0; i <= OFFERED; i++) {
		char number = (char) i;
		assert_int_equal(nng_socket_pair(fds[i]), NNG_OK);
		assert_int_equal(write(fds[i][1], &number, 1), 1);
		assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_SOCKET_FD, fds[i][0]),
		    i < OFFERED ? NNG_OK : NNG_ENOSPC);
	}
	assert_true(is_open(fds[OFFERED][0]));
	for (unsigned i = 0; i < OFFERED; i++) {
		assert_int_equal(pinwheel_aio_alloc_on(&accept[i], (int) (i % 2), NULL, NULL), NNG_OK);
		nng_stream_listener_accept(listener, accept[i]);
		expect_number(accept[i], aio, i);
		assert_int_equal(close(fds[i][1]), 0);
	}
	for (unsigned i = 0; i < OFFERED; i++) { /* the accepts first */
		nng_stream_listener_accept(listener, accept[i]);
	}
	nng_aio_cancel(accept[3]);
	assert_int_equal(result_of(accept[3]), NNG_ECANCELED);
	for (unsigned i = 0; i < OFFERED; i++) {
		char number = (char) i;
		if (i == 3) {
			continue;
		}
		assert_int_equal(nng_socket_pair(fds[i]), NNG_OK);
		assert_int_equal(write(fds[i][1], &number, 1), 1);
		assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_SOCKET_FD, fds[i][0]), NNG_OK);
		expect_number(accept[i], aio, i);
		assert_int_equal(close(fds[i][1]), 0);
	}
	for (unsigned i = 0; i < OFFERED; i++) {
		nng_aio_free(accept[i]);
	}
	nng_stream_listener_free(listener);
	nng_aio_free(aio);
	assert_int_equal(close(fds[OFFERED][0]), 0);
	assert_int_equal(close(fds[OFFERED][1]), 0);
	assert_int_equal(open_descriptors(), descriptors);
}

/* Close ends accepts, and closes what was offered and not accepted: the other end sees it. After it nothing is taken.
 * A deadline ends an accept. */
static void
stream_closes_what_was_offered(void **state)
{
	unsigned descriptors = open_descriptors();
	nng_stream_listener *listener;
	nng_aio *aio = new_aio();
	int fds[2], more[2];
	char byte;

	(void) state;
	assert_int_equal(nng_stream_listener_alloc(&listener, "socket://"), NNG_OK);
	nng_aio_set_timeout(aio, SOON_MS);
	nng_stream_listener_accept(listener, aio);
	assert_int_equal(result_of(aio), NNG_ETIMEDOUT);
	nng_aio_set_timeout(aio, NNG_DURATION_INFINITE);
	nng_stream_listener_accept(listener, aio);
	assert_true(nng_aio_busy(aio));
	nng_stream_listener_stop(listener);
	assert_int_equal(result_of(aio), NNG_ECLOSED);
	nng_stream_listener_free(listener);

	assert_int_equal(nng_stream_listener_alloc(&listener, "socket://"), NNG_OK);
	assert_int_equal(nng_socket_pair(fds), NNG_OK);
	assert_int_equal(nng_socket_pair(more), NNG_OK);
	assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_SOCKET_FD, fds[0]), NNG_OK);
	nng_stream_listener_stop(listener);
	assert_int_equal(read(fds[1], &byte, 1), 0);
	assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_SOCKET_FD, more[0]), NNG_ECLOSED);
	assert_true(is_open(more[0]));
	nng_stream_listener_free(listener);
	assert_int_equal(close(fds[1]), 0);
	assert_int_equal(close(more[0]), 0);
	assert_int_equal(close(more[1]), 0);
	nng_aio_free(aio);
	assert_int_equal(open_descriptors(), descriptors);
}

/* What is no stream socket, or one that listens, is refused and stays the caller's. A TCP connection is one: its
 * stream has the bytes, and no process at the other end. */
static void
stream_offers_are_stream_sockets(void **state)
{
	struct ends ends;
	nng_stream_listener *listener;
	int pipes[2], uid;

	(void) state;
	ends_listen(&ends, TCP);
	assert_int_equal(nng_stream_listener_alloc(&listener, "socket://"), NNG_OK);
	assert_int_equal(pipe(pipes), 0);
	int closed = dup(0);
	assert_int_equal(close(closed), 0);
	int bad[] = { -1, closed, pipes[1], bound_socket(AF_INET, SOCK_DGRAM, NULL, false),
		bound_socket(AF_INET, SOCK_STREAM, NULL, true) };
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bool open = is_open(bad[i]);
		assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_SOCKET_FD, bad[i]), NNG_EINVAL);
		assert_int_equal(is_open(bad[i]), open);
	}
	nng_stream_listener_accept(ends.listener, ends.aio);
	assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_SOCKET_FD, raw_connect(ends.url)), NNG_OK);
	nng_stream_listener_accept(listener, ends.other);
	assert_int_equal(result_of(ends.aio), NNG_OK);
	assert_int_equal(result_of(ends.other), NNG_OK);
	ends.accepted = nng_aio_get_output(ends.aio, 0);
	ends.dialed = nng_aio_get_output(ends.other, 0);
	both_ways(&ends);
	assert_int_equal(nng_stream_get_int(ends.dialed, NNG_OPT_PEER_UID, &uid), NNG_ENOTSUP);
	nng_stream_listener_free(listener);
	const int rest[] = { pipes[0], pipes[1], bad[3], bad[4] };
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(close(rest[i]), 0);
	}
	ends_close(&ends);
}

/* Offers and the close of the listener race: every descriptor has one owner in the end. Method: a thread offers pairs
 * while this one accepts some and closes; what was refused is closed by the thread, the rest is gone. */
struct offerer {
	nng_stream_listener *listener;
	unsigned taken;
	bool good;
};

static void *
offer_many(void *arg)
{
	struct offerer *offerer = arg;
	offerer->good = true;
	for (;;) {
		int fds[2];
		offerer->good = offerer->good && nng_socket_pair(fds) == NNG_OK && close(fds[1]) == 0;
		nng_err error = nng_stream_listener_set_int(offerer->listener, NNG_OPT_SOCKET_FD, fds[0]);
		if (error == NNG_OK) {
			offerer->taken++;
			continue;
		}
		offerer->good = offerer->good && close(fds[0]) == 0 && (error == NNG_ENOSPC || error == NNG_ECLOSED);
		if (error == NNG_ECLOSED || !offerer->good) {
			return NULL;
		}
	}
}

static void
stream_offers_race_with_close(void **state)
{
	unsigned descriptors = open_descriptors();
	nng_aio *aio = new_aio();

	(void) state;
	for (unsigned round = 0; round < 50; round++) {
		struct offerer offerer = { 0 };
		assert_int_equal(nng_stream_listener_alloc(&offerer.listener, "socket://"), NNG_OK);
		pthread_t thread = thread_start(offer_many, &offerer);
		for (unsigned i = 0; i < round; i++) {
			nng_stream_listener_accept(offerer.listener, aio);
			assert_int_equal(result_of(aio), NNG_OK);
			nng_stream_free(nng_aio_get_output(aio, 0));
		}
		nng_stream_listener_close(offerer.listener);
		thread_end(thread);
		assert_true(offerer.good);
		assert_true(offerer.taken >= round);
		nng_stream_listener_free(offerer.listener);
		assert_int_equal(open_descriptors(), descriptors);
	}
	nng_aio_free(aio);
}

/* ---- the abstract namespace */

/* A name may be chosen, hold any byte, and is free again when its listener has gone. */
static void
stream_has_an_abstract_name(void **state)
{
	char url[96];
	nng_sockaddr name;
	struct ends ends = { .descriptors = open_descriptors(), .aio = new_aio(), .other = new_aio() };
	nng_stream_listener *second;

	(void) state;
	(void) snprintf(url, sizeof(url), "abstract://pinwheel-%d%%00%%ff%%2f", (int) getpid());
	assert_int_equal(nng_stream_listener_alloc(&ends.listener, url), NNG_OK);
	assert_int_equal(nng_stream_listener_alloc(&second, url), NNG_OK);
	assert_int_equal(nng_stream_dialer_alloc(&ends.dialer, url), NNG_OK);
	nng_stream_dialer_dial(ends.dialer, ends.aio);
	assert_int_equal(result_of(ends.aio), NNG_ECONNREFUSED); /* nobody there */
	assert_int_equal(nng_stream_listener_listen(ends.listener), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(second), NNG_EADDRINUSE);
	assert_int_equal(nng_stream_listener_get_addr(ends.listener, NNG_OPT_LOCADDR, &name), NNG_OK);
	assert_int_equal(name.s_family, NNG_AF_ABSTRACT);
	assert_memory_equal(name.s_abstract.sa_name + name.s_abstract.sa_len - 3, "\0\xff/", 3);
	connect_ends(ends.dialer, ends.listener, &ends.dialed, &ends.accepted);
	assert_true(nng_sockaddr_equal(nng_stream_peer_addr(ends.dialed), &name));
	both_ways(&ends);
	nng_stream_free(ends.accepted);
	nng_stream_listener_free(ends.listener);
	assert_int_equal(nng_stream_listener_listen(second), NNG_OK);
	ends.accepted = NULL;
	ends.listener = second;
	ends_close(&ends);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(stream_adopts_a_listening_socket),
		TEST_TWO(stream_adopts_nothing_else),
		TEST_TWO(stream_of_a_descriptor_carries_bytes),
		TEST_TWO(stream_accepts_what_was_offered_in_order),
		TEST_TWO(stream_closes_what_was_offered),
		TEST_TWO(stream_offers_are_stream_sockets),
		TEST_TWO(stream_offers_race_with_close),
		TEST_TWO(stream_has_an_abstract_name),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}

/* SPDX-License-Identifier: MIT
 *
 * stream.h: what the contract tests of streams share: a directory for sockets, a listener, a dialer and a connection
 * over each transport, a peer that is a plain socket, one that never answers.
 *
 * A test that makes streams ends with everything freed and the number of open descriptors where it was (ends_close).
 */
#ifndef PINWHEEL_TESTS_STREAM_H
#define PINWHEEL_TESTS_STREAM_H

#include "contract.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "engine/shard/fleet.h"
#include "engine/stream/stream.h"

#define SOON_MS 50 /* a deadline that is to pass */

static char directory[] = "stream-XXXXXX"; /* in the current directory: a socket's path is short */

static inline unsigned
open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;
	assert_non_null(dir);
	while (readdir(dir) != NULL) {
		count++;
	}
	(void) closedir(dir);
	return count;
}

static inline nng_aio *
new_aio(void)
{
	nng_aio *aio;
	assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), NNG_OK);
	return aio;
}

static inline nng_err
result_of(nng_aio *aio)
{
	nng_aio_wait(aio);
	return nng_aio_result(aio);
}

static inline void
set_buffer(nng_aio *aio, const void *buf, size_t size)
{
	nng_iov iov = { (void *) (uintptr_t) buf, size };
	assert_int_equal(nng_aio_set_iov(aio, 1, &iov), NNG_OK);
}

static inline nng_err
send_now(nng_stream *stream, nng_aio *aio, const void *buf, size_t size)
{
	set_buffer(aio, buf, size);
	nng_stream_send(stream, aio);
	return result_of(aio);
}

static inline nng_err
recv_now(nng_stream *stream, nng_aio *aio, void *buf, size_t size)
{
	set_buffer(aio, buf, size);
	nng_stream_recv(stream, aio);
	return result_of(aio);
}

static inline void
recv_exactly(nng_stream *stream, nng_aio *aio, char *buf, size_t size)
{
	while (size != 0) {
		assert_int_equal(recv_now(stream, aio, buf, size), NNG_OK);
		assert_in_range(nng_aio_count(aio), 1, size);
		buf += nng_aio_count(aio);
		size -= nng_aio_count(aio);
	}
}

/* A listener, a dialer to it, and one connection. */
struct ends {
	unsigned descriptors; /* before */
	char url[160];        /* the dialer's */
	nng_stream_listener *listener;
	nng_stream_dialer *dialer;
	nng_stream *dialed;
	nng_stream *accepted;
	nng_aio *aio; /* two of the test's own */
	nng_aio *other;
};

static const char *const transports[] = { "tcp://127.0.0.1:0", "tcp://[::1]:0", "ipc", "abstract://" };

#define TRANSPORTS 4u
#define TCP 0u
#define UNIX 2u
#define ABSTRACT 3u

static inline void
dial_url(char *url, size_t size, unsigned transport, nng_stream_listener *listener)
{
	int port = 0;
	if (transport == UNIX) {
		(void) snprintf(url, size, "ipc://%s/socket", directory);
		return;
	}
	if (transport == ABSTRACT) { /* the system has chosen a name */
		nng_sockaddr name;
		assert_int_equal(nng_stream_listener_get_addr(listener, NNG_OPT_LOCADDR, &name), NNG_OK);
		assert_int_equal(name.s_family, NNG_AF_ABSTRACT);
		assert_in_range(name.s_abstract.sa_len, 1, 20);
		(void) snprintf(url, size, "abstract://");
		for (unsigned i = 0; i < name.s_abstract.sa_len; i++) {
			(void) snprintf(url + strlen(url), size - strlen(url), "%%%02x", name.s_abstract.sa_name[i]);
		}
		return;
	}
	assert_int_equal(nng_stream_listener_get_int(listener, NNG_OPT_BOUND_PORT, &port), NNG_OK);
	assert_in_range(port, 1, 65535);
	(void) snprintf(url, size, transport == TCP ? "tcp://127.0.0.1:%d" : "tcp://[::1]:%d", port);
}

static inline void
connect_ends(nng_stream_dialer *dialer, nng_stream_listener *listener, nng_stream **dialed, nng_stream **accepted)
{
	nng_aio *dial = new_aio(), *accept = new_aio();
	nng_stream_listener_accept(listener, accept);
	nng_stream_dialer_dial(dialer, dial);
	assert_int_equal(result_of(dial), NNG_OK);
	assert_int_equal(result_of(accept), NNG_OK);
	*dialed = nng_aio_get_output(dial, 0);
	*accepted = nng_aio_get_output(accept, 0);
	assert_non_null(*dialed);
	assert_non_null(*accepted);
	nng_aio_free(dial);
	nng_aio_free(accept);
}

static inline void
ends_listen(struct ends *ends, unsigned transport)
{
	char url[160];
	*ends = (struct ends){ .descriptors = open_descriptors(), .aio = new_aio(), .other = new_aio() };
	(void) snprintf(url, sizeof(url), "%s", transports[transport]);
	if (transport == UNIX) {
		dial_url(url, sizeof(url), UNIX, NULL);
	}
	assert_int_equal(nng_stream_listener_alloc(&ends->listener, url), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(ends->listener), NNG_OK);
	dial_url(ends->url, sizeof(ends->url), transport, ends->listener);
	assert_int_equal(nng_stream_dialer_alloc(&ends->dialer, ends->url), NNG_OK);
}

static inline void
ends_open(struct ends *ends, unsigned transport)
{
	ends_listen(ends, transport);
	connect_ends(ends->dialer, ends->listener, &ends->dialed, &ends->accepted);
}

static inline void
ends_close(struct ends *ends)
{
	nng_stream_free(ends->dialed);
	nng_stream_free(ends->accepted);
	nng_stream_dialer_free(ends->dialer);
	nng_stream_listener_free(ends->listener);
	nng_aio_free(ends->aio);
	nng_aio_free(ends->other);
	assert_int_equal(open_descriptors(), ends->descriptors);
}

/* A listener of socket:// and a stream of it, whose other end is one as well: `dialed` by no dialer. */
static inline void
pair_open(struct ends *ends)
{
	int fds[2];
	nng_stream **stream[2] = { &ends->dialed, &ends->accepted };
	*ends = (struct ends){ .descriptors = open_descriptors(), .aio = new_aio(), .other = new_aio() };
	assert_int_equal(nng_socket_pair(fds), NNG_OK);
	assert_int_equal(nng_stream_listener_alloc(&ends->listener, "socket://"), NNG_OK);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(nng_stream_listener_set_int(ends->listener, NNG_OPT_SOCKET_FD, fds[i]), NNG_OK);
		nng_stream_listener_accept(ends->listener, ends->aio);
		assert_int_equal(result_of(ends->aio), NNG_OK);
		*stream[i] = nng_aio_get_output(ends->aio, 0);
	}
}

/* Runs a test's body over every transport. */
static inline void
over_each(void (*body)(struct ends *ends))
{
	for (unsigned transport = 0; transport < TRANSPORTS; transport++) {
		struct ends ends;
		ends_open(&ends, transport);
		body(&ends);
		ends_close(&ends);
	}
}

static inline int
shard_of(const nng_stream *stream)
{
	return (int) pw_fleet_index(stream->end.shard->settings.id);
}

/* A connection whose peer is a plain socket of the test's. */
static inline int
raw_connect(const char *url)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	to.sin_port = htons((uint16_t) atoi(strrchr(url, ':') + 1));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *) &to, sizeof(to)), 0);
	return fd;
}

/* Bytes go both ways. */
static inline void
both_ways(struct ends *ends)
{
	char buf[16];
	assert_int_equal(send_now(ends->dialed, ends->aio, "ping", 4), NNG_OK);
	assert_int_equal(nng_aio_count(ends->aio), 4);
	recv_exactly(ends->accepted, ends->aio, buf, 4);
	assert_memory_equal(buf, "ping", 4);
	assert_int_equal(send_now(ends->accepted, ends->aio, "pong!", 5), NNG_OK);
	recv_exactly(ends->dialed, ends->aio, buf, 5);
	assert_memory_equal(buf, "pong!", 5);
}

/* The peer reads nothing: sends until one has to wait, and lets its deadline pass. */
static inline void
fill(struct ends *ends)
{
	static char zeros[1 << 20];
	nng_err error;
	nng_aio_set_timeout(ends->aio, SOON_MS);
	do {
		error = send_now(ends->dialed, ends->aio, zeros, sizeof(zeros));
	} while (error == NNG_OK);
	assert_int_equal(error, NNG_ETIMEDOUT);
	assert_int_equal(nng_aio_count(ends->aio), 0);
}

/* Until what was freed inside a callback is closed. */
static inline void
await_descriptors(unsigned count)
{
	while (open_descriptors() != count) {
		shard_pass(0);
		shard_pass(1);
	}
}

/* No descriptor can be opened until the limit is set back to what this returns. */
static inline struct rlimit
exhaust_descriptors(void)
{
	struct rlimit before, now;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = before;
	int next = dup(0); /* the lowest free number */
	assert_true(next >= 0);
	assert_int_equal(close(next), 0);
	now.rlim_cur = (rlim_t) next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	return before;
}

/* A dial on a shard's own thread. */
struct dial_errand {
	nng_stream_dialer *dialer;
	nng_aio *aio;
};

static inline void
dial_here(void *arg)
{
	struct dial_errand *errand = arg;
	nng_stream_dialer_dial(errand->dialer, errand->aio);
}

/* A listening socket whose backlog is full, which lets a connect wait for ever. */
struct silence {
	int listener;
	int client[8];
	char url[160];
};

static inline void
silence_open(struct silence *silence, unsigned transport)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	bool tcp = transport == TCP;
	struct sockaddr *address = tcp ? (struct sockaddr *) &in : (struct sockaddr *) &un;
	socklen_t size = tcp ? sizeof(in) : sizeof(un);

	(void) snprintf(un.sun_path, sizeof(un.sun_path), "%s/silence", directory);
	silence->listener = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(silence->listener, address, size), 0);
	assert_int_equal(getsockname(silence->listener, address, &size), 0);
	assert_int_equal(listen(silence->listener, 0), 0);
	if (tcp) {
		(void) snprintf(silence->url, sizeof(silence->url), "tcp://127.0.0.1:%d", ntohs(in.sin_port));
	} else {
		(void) snprintf(silence->url, sizeof(silence->url), "ipc://%s/silence", directory);
	}
	for (unsigned i = 0; i < 8; i++) {
		silence->client[i] = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void) connect(silence->client[i], address, size);
	}
}

static inline void
silence_close(struct silence *silence)
{
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(close(silence->client[i]), 0);
	}
	assert_int_equal(close(silence->listener), 0);
	if (strncmp(silence->url, "ipc", 3) == 0) {
		assert_int_equal(unlink(silence->url + strlen("ipc://")), 0);
	}
}

static inline int
make_directory(void **state)
{
	(void) state;
	return mkdtemp(directory) != NULL ? 0 : -1;
}

static inline int
remove_directory(void **state)
{
	(void) state;
	return rmdir(directory);
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * stream_test.c: CONTRACT 3a, sentence by sentence, over TCP v4, TCP v6 and Unix-domain sockets; and the faults that
 * a network has: nobody there, nobody answering, nobody left, no descriptors, no name.
 *
 * A test that makes streams ends with everything freed and the number of open descriptors where it was.
 */
#include "contract.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "engine/aio/aio.h"
#include "engine/shard/fleet.h"
#include "engine/stream/end.h"
#include "engine/stream/stream.h"

#define SOON_MS 50 /* a deadline that is to pass */

/* ---- what the tests share */

static char directory[] = "stream-XXXXXX"; /* in the current directory: a socket's path is short */

static unsigned
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

static nng_aio *
new_aio(void)
{
	nng_aio *aio;
	assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), NNG_OK);
	return aio;
}

static nng_err
result_of(nng_aio *aio)
{
	nng_aio_wait(aio);
	return nng_aio_result(aio);
}

static void
set_buffer(nng_aio *aio, const void *buf, size_t size)
{
	nng_iov iov = { (void *) (uintptr_t) buf, size };
	assert_int_equal(nng_aio_set_iov(aio, 1, &iov), NNG_OK);
}

static nng_err
send_now(nng_stream *stream, nng_aio *aio, const void *buf, size_t size)
{
	set_buffer(aio, buf, size);
	nng_stream_send(stream, aio);
	return result_of(aio);
}

static nng_err
recv_now(nng_stream *stream, nng_aio *aio, void *buf, size_t size)
{
	set_buffer(aio, buf, size);
	nng_stream_recv(stream, aio);
	return result_of(aio);
}

static void
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

static const char *const transports[] = { "tcp://127.0.0.1:0", "tcp://[::1]:0", "ipc" };

#define TRANSPORTS 3u
#define TCP 0u
#define UNIX 2u

static void
dial_url(char *url, size_t size, unsigned transport, nng_stream_listener *listener)
{
	int port = 0;
	if (transport == UNIX) {
		(void) snprintf(url, size, "ipc://%s/socket", directory);
		return;
	}
	assert_int_equal(nng_stream_listener_get_int(listener, NNG_OPT_BOUND_PORT, &port), NNG_OK);
	assert_in_range(port, 1, 65535);
	(void) snprintf(url, size, transport == TCP ? "tcp://127.0.0.1:%d" : "tcp://[::1]:%d", port);
}

static void
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

static void
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

static void
ends_open(struct ends *ends, unsigned transport)
{
	ends_listen(ends, transport);
	connect_ends(ends->dialer, ends->listener, &ends->dialed, &ends->accepted);
}

static void
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

/* Runs a test's body over every transport. */
static void
over_each(void (*body)(struct ends *ends))
{
	for (unsigned transport = 0; transport < TRANSPORTS; transport++) {
		struct ends ends;
		ends_open(&ends, transport);
		body(&ends);
		ends_close(&ends);
	}
}

static int
shard_of(const nng_stream *stream)
{
	return (int) pw_fleet_index(stream->end.shard->settings.id);
}

/* A connection whose peer is a plain socket of the test's. */
static int
raw_connect(const char *url)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	to.sin_port = htons((uint16_t) atoi(strrchr(url, ':') + 1));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *) &to, sizeof(to)), 0);
	return fd;
}

/* ---- dial and accept */

/* "alloc, listen, get, set return nng_err; dial, accept, send, recv, close, stop, free return void." Method: the
 * compiler compares the types. */
static void
stream_functions_have_their_types(void **state)
{
	nng_err (*alloc_dialer)(nng_stream_dialer **, const char *) = nng_stream_dialer_alloc;
	nng_err (*alloc_listener)(nng_stream_listener **, const char *) = nng_stream_listener_alloc;
	nng_err (*listener_listen)(nng_stream_listener *) = nng_stream_listener_listen;
	nng_err (*get)(nng_stream *, const char *, bool *) = nng_stream_get_bool;
	nng_err (*set)(nng_stream *, const char *, bool) = nng_stream_set_bool;
	void (*dial)(nng_stream_dialer *, nng_aio *) = nng_stream_dialer_dial;
	void (*accept_one)(nng_stream_listener *, nng_aio *) = nng_stream_listener_accept;
	void (*operation[])(nng_stream *, nng_aio *) = { nng_stream_send, nng_stream_recv };
	void (*end[])(nng_stream *) = { nng_stream_close, nng_stream_stop, nng_stream_free };

	(void) state;
	assert_true(alloc_dialer && alloc_listener && listener_listen && get && set && dial && accept_one &&
	    operation[0] && operation[1] && end[0] && end[1] && end[2]);
}

/* "dial, accept: result 0 and the new nng_stream in output 0, owned by the consumer". Method: bytes go both ways. */
static void
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

static void
stream_carries_bytes_both_ways(void **state)
{
	(void) state;
	over_each(both_ways);
}

/* "on any error output 0 is NULL". Method: an aio that has brought a stream fails next, in every way: refused, no one
 * there, cancelled, closed, not listening. */
static void
stream_output_is_null_on_error(void **state)
{
	struct ends ends;
	nng_stream *first, *second;
	nng_stream_listener *deaf;

	(void) state;
	ends_open(&ends, TCP);
	nng_stream_listener_accept(ends.listener, ends.other);
	nng_stream_dialer_dial(ends.dialer, ends.aio);
	assert_int_equal(result_of(ends.aio), NNG_OK);
	assert_int_equal(result_of(ends.other), NNG_OK);
	first = nng_aio_get_output(ends.aio, 0);
	second = nng_aio_get_output(ends.other, 0);

	nng_stream_listener_accept(ends.listener, ends.other);
	nng_aio_cancel(ends.other);
	assert_int_equal(result_of(ends.other), NNG_ECANCELED);
	assert_null(nng_aio_get_output(ends.other, 0));

	assert_int_equal(nng_stream_listener_alloc(&deaf, "tcp://127.0.0.1:0"), NNG_OK);
	nng_stream_listener_accept(deaf, ends.other);
	assert_int_equal(result_of(ends.other), NNG_ESTATE);
	assert_null(nng_aio_get_output(ends.other, 0));
	nng_stream_listener_free(deaf);

	nng_stream_listener_stop(ends.listener);
	nng_stream_dialer_dial(ends.dialer, ends.aio);
	assert_int_equal(result_of(ends.aio), NNG_ECONNREFUSED);
	assert_null(nng_aio_get_output(ends.aio, 0));
	nng_stream_listener_accept(ends.listener, ends.other);
	assert_int_equal(result_of(ends.other), NNG_ECLOSED);
	assert_null(nng_aio_get_output(ends.other, 0));
	nng_stream_dialer_close(ends.dialer);
	nng_stream_dialer_dial(ends.dialer, ends.aio);
	assert_int_equal(result_of(ends.aio), NNG_ECLOSED);
	assert_null(nng_aio_get_output(ends.aio, 0));

	nng_stream_free(first);
	nng_stream_free(second);
	ends_close(&ends);
}

#define MANY 40u

/* "Several may be outstanding." Method: 40 accepts, then 40 dials, before any is waited for; every stream is another;
 * each dialled one finds its own accepted one by what it sends. */
static void
many_outstanding(struct ends *ends)
{
	nng_aio *dial[MANY], *accept[MANY];
	nng_stream *dialed[MANY], *accepted[MANY];
	bool seen[MANY] = { false };

	for (unsigned i = 0; i < MANY; i++) {
		dial[i] = new_aio();
		accept[i] = new_aio();
		nng_stream_listener_accept(ends->listener, accept[i]);
	}
	for (unsigned i = 0; i < MANY; i++) {
		nng_stream_dialer_dial(ends->dialer, dial[i]);
	}
	for (unsigned i = 0; i < MANY; i++) {
		char number = (char) i;
		assert_int_equal(result_of(dial[i]), NNG_OK);
		dialed[i] = nng_aio_get_output(dial[i], 0);
		assert_int_equal(send_now(dialed[i], dial[i], &number, 1), NNG_OK);
	}
	for (unsigned i = 0; i < MANY; i++) {
		char number;
		assert_int_equal(result_of(accept[i]), NNG_OK);
		accepted[i] = nng_aio_get_output(accept[i], 0);
		recv_exactly(accepted[i], accept[i], &number, 1);
		assert_in_range(number, 0, MANY - 1);
		assert_false(seen[(unsigned) number]);
		seen[(unsigned) number] = true;
	}
	for (unsigned i = 0; i < MANY; i++) {
		nng_stream_free(dialed[i]);
		nng_stream_free(accepted[i]);
		nng_aio_free(dial[i]);
		nng_aio_free(accept[i]);
	}
}

static void
stream_many_dials_and_accepts(void **state)
{
	(void) state;
	over_each(many_outstanding);
}

/* Connections are spread over the shards, dialled and accepted ones; a dial on a shard's thread stays there. Method:
 * the shards of eight pairs; a dial from a callback of each shard. */
struct dial_errand {
	nng_stream_dialer *dialer;
	nng_aio *aio;
};

static void
dial_here(void *arg)
{
	struct dial_errand *errand = arg;
	nng_stream_dialer_dial(errand->dialer, errand->aio);
}

static void
stream_spreads_over_the_shards(void **state)
{
	struct ends ends;
	unsigned dialed_on[2] = { 0, 0 }, accepted_on[2] = { 0, 0 };

	(void) state;
	ends_open(&ends, TCP);
	for (unsigned i = 0; i < 8; i++) {
		nng_stream *dialed, *accepted;
		connect_ends(ends.dialer, ends.listener, &dialed, &accepted);
		dialed_on[shard_of(dialed)]++;
		accepted_on[shard_of(accepted)]++;
		both_ways(&(struct ends){ .dialed = dialed, .accepted = accepted, .aio = ends.aio });
		nng_stream_free(dialed);
		nng_stream_free(accepted);
	}
	assert_true(dialed_on[0] > 0 && dialed_on[1] > 0);
	assert_true(accepted_on[0] > 0 && accepted_on[1] > 0);
	for (int shard = 0; shard < 2; shard++) {
		for (unsigned i = 0; i < 3; i++) {
			struct dial_errand errand = { ends.dialer, ends.aio };
			nng_stream_listener_accept(ends.listener, ends.other);
			shard_run(shard, dial_here, &errand);
			assert_int_equal(result_of(ends.aio), NNG_OK);
			assert_int_equal(result_of(ends.other), NNG_OK);
			assert_int_equal(shard_of(nng_aio_get_output(ends.aio, 0)), shard);
			nng_stream_free(nng_aio_get_output(ends.aio, 0));
			nng_stream_free(nng_aio_get_output(ends.other, 0));
		}
	}
	ends_close(&ends);
}

/* ---- listen */

/* "listen binds and listens at once, in the caller": a connection is accepted by the kernel before any accept. */
static void
stream_listen_is_at_once(void **state)
{
	struct ends ends;

	(void) state;
	ends_listen(&ends, TCP);
	int fd = raw_connect(ends.url);
	nng_stream_listener_accept(ends.listener, ends.aio);
	assert_int_equal(result_of(ends.aio), NNG_OK);
	ends.accepted = nng_aio_get_output(ends.aio, 0);
	assert_int_equal(close(fd), 0);
	ends_close(&ends);
}

/* "accept without listen, listen twice: NNG_ESTATE." A listen that failed may be tried again. */
static void
stream_listen_wants_its_order(void **state)
{
	struct ends ends;
	nng_stream_listener *listener;

	(void) state;
	ends_listen(&ends, TCP);
	assert_int_equal(nng_stream_listener_listen(ends.listener), NNG_ESTATE);
	assert_int_equal(nng_stream_listener_alloc(&listener, ends.url), NNG_OK);
	nng_stream_listener_accept(listener, ends.aio);
	assert_int_equal(result_of(ends.aio), NNG_ESTATE);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_EADDRINUSE);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_EADDRINUSE);
	nng_stream_listener_stop(ends.listener);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_ESTATE);
	nng_stream_listener_close(listener);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_ECLOSED);
	nng_stream_listener_free(listener);
	ends_close(&ends);
}

/* "Bound port: nng_stream_listener_get_int(l, NNG_OPT_BOUND_PORT, &p), also in self_addr." And: "peer_addr,
 * self_addr: valid while the stream lives, network byte order." Method: what one end calls self, the other calls
 * peer; the text of the family. */
static void
stream_knows_its_addresses(void **state)
{
	struct ends ends;
	char a[NNG_MAXADDRSTRLEN], b[NNG_MAXADDRSTRLEN];
	int port;

	(void) state;
	for (unsigned transport = 0; transport < UNIX; transport++) {
		ends_open(&ends, transport);
		assert_int_equal(nng_stream_listener_get_int(ends.listener, NNG_OPT_BOUND_PORT, &port), NNG_OK);
		const nng_sockaddr *self = nng_stream_self_addr(ends.accepted),
				   *peer = nng_stream_peer_addr(ends.dialed);
		assert_int_equal(nng_sockaddr_port(self), port);
		assert_int_equal(transport == TCP ? self->s_in.sa_port : self->s_in6.sa_port, htons((uint16_t) port));
		assert_int_equal(self->s_family, transport == TCP ? NNG_AF_INET : NNG_AF_INET6);
		assert_string_equal(nng_str_sockaddr(self, a, sizeof(a)), nng_str_sockaddr(peer, b, sizeof(b)));
		assert_string_equal(b, ends.url + strlen("tcp://"));
		self = nng_stream_self_addr(ends.dialed);
		peer = nng_stream_peer_addr(ends.accepted);
		assert_string_equal(nng_str_sockaddr(self, a, sizeof(a)), nng_str_sockaddr(peer, b, sizeof(b)));
		nng_stream_stop(ends.accepted);
		assert_ptr_equal(peer, nng_stream_peer_addr(ends.accepted)); /* closed, not freed */
		ends_close(&ends);
	}
	ends_open(&ends, UNIX);
	assert_string_equal(nng_stream_self_addr(ends.accepted)->s_ipc.sa_path, ends.url + strlen("ipc://"));
	assert_string_equal(nng_stream_peer_addr(ends.dialed)->s_ipc.sa_path, ends.url + strlen("ipc://"));
	assert_int_equal(nng_stream_peer_addr(ends.accepted)->s_family, NNG_AF_ABSTRACT); /* unnamed */
	assert_int_equal(nng_sockaddr_port(nng_stream_self_addr(ends.accepted)), 0);
	ends_close(&ends);
}

/* tcp://:port is every local address, of IPv4 and of IPv6 where there is one. Method: both loopbacks reach it. */
static void
stream_listens_on_every_address(void **state)
{
	unsigned descriptors = open_descriptors();
	nng_stream_listener *listener;
	int port;

	(void) state;
	assert_int_equal(nng_stream_listener_alloc(&listener, "tcp://:0"), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_OK);
	assert_int_equal(nng_stream_listener_get_int(listener, NNG_OPT_BOUND_PORT, &port), NNG_OK);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		char url[64];
		nng_stream_dialer *dialer;
		nng_stream *dialed, *accepted;
		(void) snprintf(url, sizeof(url), v6 ? "tcp://[::1]:%d" : "tcp://127.0.0.1:%d", port);
		assert_int_equal(nng_stream_dialer_alloc(&dialer, url), NNG_OK);
		connect_ends(dialer, listener, &dialed, &accepted);
		assert_int_equal(nng_sockaddr_port(nng_stream_self_addr(accepted)), port);
		nng_stream_free(dialed);
		nng_stream_free(accepted);
		nng_stream_dialer_free(dialer);
	}
	nng_stream_listener_free(listener);
	assert_int_equal(open_descriptors(), descriptors);
}

/* A name in a listener's URL is looked up in the caller. */
static void
stream_listens_on_a_name(void **state)
{
	nng_stream_listener *listener;
	int port = 0;

	(void) state;
	assert_int_equal(nng_stream_listener_alloc(&listener, "tcp://localhost:0"), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_OK);
	assert_int_equal(nng_stream_listener_get_int(listener, NNG_OPT_BOUND_PORT, &port), NNG_OK);
	assert_int_not_equal(port, 0);
	nng_stream_listener_free(listener);
}

/* A Unix-domain listener removes its file when it closes; what a dead process left is bound anew; what lives, and
 * what is no socket, is in use. */
static void
stream_listens_where_a_dead_one_was(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char url[160];
	const char *path = url + strlen("ipc://");
	nng_stream_listener *listener, *second;
	struct stat st;

	(void) state;
	dial_url(url, sizeof(url), UNIX, NULL);
	(void) snprintf(un.sun_path, sizeof(un.sun_path), "%s/socket", directory);
	int left = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(left, (struct sockaddr *) &un, sizeof(un)), 0);
	assert_int_equal(close(left), 0); /* the file stays */

	assert_int_equal(nng_stream_listener_alloc(&listener, url), NNG_OK);
	assert_int_equal(nng_stream_listener_alloc(&second, url), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(second), NNG_EADDRINUSE);
	assert_int_equal(stat(path, &st), 0);
	nng_stream_listener_free(listener);
	assert_int_equal(stat(path, &st), -1);

	left = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(left >= 0);
	assert_int_equal(close(left), 0);
	assert_int_equal(nng_stream_listener_listen(second), NNG_EADDRINUSE);
	assert_int_equal(unlink(path), 0);

	/* Another one's file is not removed. */
	assert_int_equal(nng_stream_listener_listen(second), NNG_OK);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(nng_stream_listener_alloc(&listener, url), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_OK);
	nng_stream_listener_free(second);
	assert_int_equal(stat(path, &st), 0);
	nng_stream_listener_free(listener);
	assert_int_equal(stat(path, &st), -1);
}

/* ---- send and recv */

/* "send, recv use the aio's iov; complete after at least one byte, count says how many". Method: four pieces out, the
 * empty among them, four other pieces in; one byte there is enough for a large receive. */
static void
scattered(struct ends *ends)
{
	char in[4][4] = { "", "", "", "" }, one[64];
	const nng_iov out_iov[4] = { { "ab", 2 }, { "", 0 }, { "cdefg", 5 }, { "h", 1 } };
	const nng_iov in_iov[4] = { { in[0], 1 }, { in[1], 3 }, { in[2], 0 }, { in[3], 4 } };

	assert_int_equal(nng_aio_set_iov(ends->aio, 4, out_iov), NNG_OK);
	nng_stream_send(ends->dialed, ends->aio);
	assert_int_equal(result_of(ends->aio), NNG_OK);
	assert_int_equal(nng_aio_count(ends->aio), 8);
	assert_int_equal(nng_aio_set_iov(ends->aio, 4, in_iov), NNG_OK);
	nng_stream_recv(ends->accepted, ends->aio);
	assert_int_equal(result_of(ends->aio), NNG_OK);
	assert_int_equal(nng_aio_count(ends->aio), 8);
	assert_memory_equal(in[0], "a", 1);
	assert_memory_equal(in[1], "bcd", 3);
	assert_memory_equal(in[3], "efgh", 4);

	set_buffer(ends->aio, one, sizeof(one));
	nng_stream_recv(ends->accepted, ends->aio);
	assert_int_equal(send_now(ends->dialed, ends->other, "x", 1), NNG_OK);
	assert_int_equal(result_of(ends->aio), NNG_OK);
	assert_int_equal(nng_aio_count(ends->aio), 1);
}

static void
stream_gathers_and_scatters(void **state)
{
	(void) state;
	over_each(scattered);
}

/* "an iov of total length 0: NNG_EINVAL". Method: none set, one empty, four empty, both directions. */
static void
empty_iov(struct ends *ends)
{
	const nng_iov empty[4] = { { "", 0 }, { NULL, 0 }, { "", 0 }, { "", 0 } };
	const unsigned count[3] = { 0, 1, 4 };

	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(nng_aio_set_iov(ends->aio, count[i], empty), NNG_OK);
		nng_stream_send(ends->dialed, ends->aio);
		assert_int_equal(result_of(ends->aio), NNG_EINVAL);
		nng_stream_recv(ends->dialed, ends->aio);
		assert_int_equal(result_of(ends->aio), NNG_EINVAL);
		assert_int_equal(nng_aio_count(ends->aio), 0);
	}
}

static void
stream_refuses_an_empty_iov(void **state)
{
	(void) state;
	over_each(empty_iov);
}

/* A large transfer in pieces of any size arrives whole. Method: 3 MB, sent from four pieces at a time by one thread,
 * received by this one, every byte checked; sizes from a seed. */
#define LARGE (3u * 1000 * 1000)

struct sender {
	nng_stream *stream;
	nng_aio *aio;
	const char *bytes;
	bool good;
};

static void *
send_large(void *arg)
{
	struct sender *sender = arg;
	uint32_t x = 2463534242;
	sender->good = true;
	for (size_t sent = 0; sent < LARGE && sender->good;) {
		nng_iov iov[4];
		size_t at = sent;
		for (unsigned i = 0; i < 4; i++) {
			x ^= x << 13, x ^= x >> 17, x ^= x << 5;
			iov[i].iov_buf = (void *) (uintptr_t) (sender->bytes + at);
			iov[i].iov_len = x % 50000 < LARGE - at ? x % 50000 : LARGE - at;
			at += iov[i].iov_len;
		}
		if (at == sent) {
			continue;
		}
		(void) nng_aio_set_iov(sender->aio, 4, iov);
		nng_stream_send(sender->stream, sender->aio);
		nng_aio_wait(sender->aio);
		sender->good = nng_aio_result(sender->aio) == NNG_OK && nng_aio_count(sender->aio) >= 1 &&
		    nng_aio_count(sender->aio) <= at - sent;
		sent += nng_aio_count(sender->aio);
	}
	return NULL;
}

static void
large(struct ends *ends)
{
	char *out = malloc(LARGE), *in = malloc(LARGE);
	struct sender sender = { ends->dialed, ends->other, out, false };

	for (size_t i = 0; i < LARGE; i++) {
		out[i] = (char) (i * 2654435761u >> 24);
	}
	pthread_t thread = thread_start(send_large, &sender);
	recv_exactly(ends->accepted, ends->aio, in, LARGE);
	thread_end(thread);
	assert_true(sender.good);
	assert_memory_equal(in, out, LARGE);
	free(in);
	free(out);
}

static void
stream_carries_large_transfers(void **state)
{
	(void) state;
	over_each(large);
}

/* "Each direction completes in the order of submission." Method: 64 receives of one byte on aios of both shards, then
 * 64 sends of one byte each, all queued at once; the nth receive got the nth byte, and the callbacks of those whose home
 * is the stream's shard came in order. (Completions that go to another shard may overtake each other on the way: its
 * inbox is emptied out of order.) */
#define QUEUED 64u

static void
one_byte_each(struct ends *ends)
{
	struct consumer in[QUEUED], out[QUEUED];
	char from[QUEUED], to[QUEUED];
	uint64_t last = 0;

	for (unsigned i = 0; i < QUEUED; i++) {
		in[i] = (struct consumer) CONSUMER;
		out[i] = (struct consumer) CONSUMER;
		consumer_open(&in[i], (int) (i / 2 % 2));
		consumer_open(&out[i], (int) (i % 2));
		from[i] = (char) ('A' + i);
		set_buffer(in[i].aio, &to[i], 1);
		set_buffer(out[i].aio, &from[i], 1);
	}
	for (unsigned i = 0; i < QUEUED; i++) {
		nng_stream_recv(ends->accepted, in[i].aio);
	}
	for (unsigned i = 0; i < QUEUED; i++) {
		nng_stream_send(ends->dialed, out[i].aio);
	}
	for (unsigned i = 0; i < QUEUED; i++) {
		gate_pass(&in[i].called, 1);
		gate_pass(&out[i].called, 1);
		assert_int_equal(in[i].result, NNG_OK);
		assert_int_equal(out[i].result, NNG_OK);
		assert_int_equal(in[i].count, 1);
		assert_int_equal(to[i], from[i]);
		if (in[i].shard == shard_of(ends->accepted)) {
			assert_true(in[i].entered > last);
			last = in[i].entered;
		}
	}
	for (unsigned i = 0; i < QUEUED; i++) {
		nng_aio_free(in[i].aio);
		nng_aio_free(out[i].aio);
	}
}

static void
stream_completes_in_order(void **state)
{
	(void) state;
	over_each(one_byte_each);
}

/* The order holds between threads, too: what another thread submitted before comes before what the stream's own shard
 * submits. Method: the shard is held in a callback while two receives are submitted from outside and a third one in
 * that callback. */
struct inside {
	struct hold hold;
	nng_stream *stream;
	nng_aio *aio;
};

static void
recv_inside(void *arg)
{
	struct inside *inside = arg;
	gate_open(&inside->hold.in);
	gate_pass(&inside->hold.out, 1);
	nng_stream_recv(inside->stream, inside->aio);
}

static void
order_between_threads(struct ends *ends)
{
	struct inside inside = { HOLD, ends->accepted, new_aio() };
	char got[3];

	set_buffer(ends->aio, &got[0], 1);
	set_buffer(ends->other, &got[1], 1);
	set_buffer(inside.aio, &got[2], 1);
	assert_int_equal(pinwheel_run_on(shard_of(ends->accepted), recv_inside, &inside), NNG_OK);
	gate_pass(&inside.hold.in, 1);
	nng_stream_recv(ends->accepted, ends->aio);
	nng_stream_recv(ends->accepted, ends->other);
	shard_let_go(&inside.hold, shard_of(ends->accepted));
	nng_aio *out = new_aio();
	assert_int_equal(send_now(ends->dialed, out, "123", 3), NNG_OK);
	assert_int_equal(result_of(ends->aio), NNG_OK);
	assert_int_equal(result_of(ends->other), NNG_OK);
	assert_int_equal(result_of(inside.aio), NNG_OK);
	assert_memory_equal(got, "123", 3);
	nng_aio_free(out);
	nng_aio_free(inside.aio);
}

static void
stream_order_holds_between_threads(void **state)
{
	(void) state;
	over_each(order_between_threads);
}

/* ---- cancel and deadline */

/* Cancel, abort and deadline work on every operation, at every place of the queue, and the others go on. Method: five
 * receives on aios of both shards; the middle one is cancelled, the first one aborted, the last one's deadline passes;
 * the remaining two get the next two bytes. */
static void
cancel_anywhere(struct ends *ends)
{
	nng_aio *aio[5];
	char to[5] = { 0 };

	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(pinwheel_aio_alloc_on(&aio[i], (int) (i % 2), NULL, NULL), NNG_OK);
		set_buffer(aio[i], &to[i], 1);
		nng_aio_set_timeout(aio[i], i == 4 ? SOON_MS : NNG_DURATION_INFINITE);
		nng_stream_recv(ends->accepted, aio[i]);
	}
	nng_aio_cancel(aio[2]);
	assert_int_equal(result_of(aio[2]), NNG_ECANCELED);
	nng_aio_abort(aio[0], NNG_EPROTO);
	assert_int_equal(result_of(aio[0]), NNG_EPROTO);
	assert_int_equal(result_of(aio[4]), NNG_ETIMEDOUT);
	assert_int_equal(nng_aio_count(aio[4]), 0);
	assert_true(nng_aio_busy(aio[1]) && nng_aio_busy(aio[3]));
	assert_int_equal(send_now(ends->dialed, ends->aio, "yz", 2), NNG_OK);
	assert_int_equal(result_of(aio[1]), NNG_OK);
	assert_int_equal(result_of(aio[3]), NNG_OK);
	assert_int_equal(to[1], 'y');
	assert_int_equal(to[3], 'z');
	for (unsigned i = 0; i < 5; i++) {
		nng_aio_stop(aio[i]);
		nng_stream_recv(ends->accepted, aio[i]);
		assert_int_equal(result_of(aio[i]), NNG_ESTOPPED);
		nng_aio_free(aio[i]);
	}
}

static void
stream_cancels_anywhere_in_the_queue(void **state)
{
	(void) state;
	over_each(cancel_anywhere);
}

/* A deadline ends every kind of operation: a send that the peer does not read, a receive, an accept, a dial that
 * nobody answers. Method: each with 50 ms; a zero timeout is refused. */
static void
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

static void
deadlines(struct ends *ends)
{
	char buf[4];
	fill(ends);
	assert_int_equal(recv_now(ends->dialed, ends->aio, buf, sizeof(buf)), NNG_ETIMEDOUT);
	nng_stream_listener_accept(ends->listener, ends->aio);
	assert_int_equal(result_of(ends->aio), NNG_ETIMEDOUT);
	nng_aio_set_timeout(ends->aio, NNG_DURATION_ZERO);
	assert_int_equal(recv_now(ends->dialed, ends->aio, buf, sizeof(buf)), NNG_ETIMEDOUT);
	assert_int_equal(send_now(ends->accepted, ends->aio, buf, sizeof(buf)), NNG_ETIMEDOUT);
	nng_stream_dialer_dial(ends->dialer, ends->aio);
	assert_int_equal(result_of(ends->aio), NNG_ETIMEDOUT);
	nng_stream_listener_accept(ends->listener, ends->aio);
	assert_int_equal(result_of(ends->aio), NNG_ETIMEDOUT);
}

static void
stream_deadline_on_every_operation(void **state)
{
	(void) state;
	over_each(deadlines);
}

/* A dial that nobody answers ends by its deadline, by cancel, and by the dialer's close. Method: a listening socket
 * whose backlog is full, which lets a connect wait. */
struct silence {
	int listener;
	int client[8];
	char url[160];
};

static void
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

static void
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

static void
stream_dial_to_silence_can_be_ended(void **state)
{
	(void) state;
	for (unsigned transport = TCP; transport <= UNIX; transport += UNIX) {
		struct silence silence;
		nng_stream_dialer *dialer;
		nng_aio *aio[6];

		unsigned descriptors = open_descriptors();
		silence_open(&silence, transport);
		assert_int_equal(nng_stream_dialer_alloc(&dialer, silence.url), NNG_OK);
		for (unsigned i = 0; i < 6; i++) {
			assert_int_equal(pinwheel_aio_alloc_on(&aio[i], (int) (i % 2), NULL, NULL), NNG_OK);
			nng_aio_set_timeout(aio[i], i < 2 ? SOON_MS : NNG_DURATION_INFINITE);
			nng_stream_dialer_dial(dialer, aio[i]);
		}
		assert_int_equal(result_of(aio[0]), NNG_ETIMEDOUT);
		assert_int_equal(result_of(aio[1]), NNG_ETIMEDOUT);
		nng_aio_cancel(aio[2]);
		nng_aio_cancel(aio[3]);
		assert_int_equal(result_of(aio[2]), NNG_ECANCELED);
		assert_int_equal(result_of(aio[3]), NNG_ECANCELED);
		assert_true(nng_aio_busy(aio[4]) && nng_aio_busy(aio[5]));
		nng_stream_dialer_stop(dialer);
		assert_int_equal(result_of(aio[4]), NNG_ECLOSED);
		assert_int_equal(result_of(aio[5]), NNG_ECLOSED);
		for (unsigned i = 0; i < 6; i++) {
			assert_null(nng_aio_get_output(aio[i], 0));
			nng_aio_free(aio[i]);
		}
		nng_stream_dialer_free(dialer);
		silence_close(&silence);
		assert_int_equal(open_descriptors(), descriptors);
	}
}

/* ---- the end of a stream */

/* "End of file: NNG_ECONNSHUT (bytes received before are delivered first, result 0 ...)". And again for every later
 * receive. */
static void
end_of_file(struct ends *ends)
{
	char buf[16];
	assert_int_equal(send_now(ends->dialed, ends->aio, "last", 4), NNG_OK);
	nng_stream_stop(ends->dialed);
	recv_exactly(ends->accepted, ends->aio, buf, 4);
	assert_memory_equal(buf, "last", 4);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(recv_now(ends->accepted, ends->aio, buf, sizeof(buf)), NNG_ECONNSHUT);
		assert_int_equal(nng_aio_count(ends->aio), 0);
	}
}

static void
stream_end_of_file_is_econnshut(void **state)
{
	(void) state;
	over_each(end_of_file);
}

/* A receive that waits sees the end, too, and so do those behind it. */
static void
end_while_waiting(struct ends *ends)
{
	char buf[2] = { 0 };
	set_buffer(ends->aio, &buf[0], 1);
	set_buffer(ends->other, &buf[1], 1);
	nng_stream_recv(ends->accepted, ends->aio);
	nng_stream_recv(ends->accepted, ends->other);
	nng_stream_close(ends->dialed);
	assert_int_equal(result_of(ends->aio), NNG_ECONNSHUT);
	assert_int_equal(result_of(ends->other), NNG_ECONNSHUT);
}

static void
stream_end_ends_waiting_receives(void **state)
{
	(void) state;
	over_each(end_while_waiting);
}

/* "Reset: NNG_ECONNRESET." Method: a plain peer that closes with a reset (linger 0). */
static void
stream_reset_is_econnreset(void **state)
{
	const struct linger linger = { 1, 0 };
	struct ends ends;
	char buf[4];

	(void) state;
	ends_listen(&ends, TCP);
	int fd = raw_connect(ends.url);
	nng_stream_listener_accept(ends.listener, ends.aio);
	assert_int_equal(result_of(ends.aio), NNG_OK);
	ends.accepted = nng_aio_get_output(ends.aio, 0);
	set_buffer(ends.aio, buf, sizeof(buf));
	nng_stream_recv(ends.accepted, ends.aio);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(result_of(ends.aio), NNG_ECONNRESET);
	ends_close(&ends);
}

/* "Send after the peer closed (EPIPE) ...: NNG_ECLOSED." TCP learns of it from the answer to the first send, which may
 * be told as a reset. */
static void
send_after_peer_closed(struct ends *ends)
{
	nng_err error;
	nng_stream_stop(ends->accepted);
	do {
		error = send_now(ends->dialed, ends->aio, "x", 1);
	} while (error == NNG_OK);
	if (error == NNG_ECONNRESET) {
		error = send_now(ends->dialed, ends->aio, "x", 1);
	}
	assert_int_equal(error, NNG_ECLOSED);
}

static void
stream_send_after_peer_closed_is_eclosed(void **state)
{
	(void) state;
	over_each(send_after_peer_closed);
}

/* "own close, pending or later: NNG_ECLOSED." Method: receives and sends that wait, on aios of both shards, and later
 * ones; close twice. */
static void
own_close(struct ends *ends)
{
	nng_aio *aio[4];
	char buf[4];

	fill(ends);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pinwheel_aio_alloc_on(&aio[i], (int) (i % 2), NULL, NULL), NNG_OK);
		set_buffer(aio[i], &buf[i], 1);
		if (i < 2) {
			nng_stream_recv(ends->dialed, aio[i]);
		} else {
			nng_stream_send(ends->dialed, aio[i]);
		}
	}
	nng_stream_close(ends->dialed);
	nng_stream_close(ends->dialed);
	for (unsigned i = 0; i < 4; i++) {
		/* TCP may have had room for one more byte: its acknowledgements come when they come. */
		bool sent = i >= 2 && strncmp(ends->url, "tcp", 3) == 0 && result_of(aio[i]) == NNG_OK;
		assert_true(sent || result_of(aio[i]) == NNG_ECLOSED);
		nng_aio_free(aio[i]);
	}
	nng_aio_set_timeout(ends->aio, NNG_DURATION_INFINITE);
	assert_int_equal(recv_now(ends->dialed, ends->aio, buf, 1), NNG_ECLOSED);
	assert_int_equal(send_now(ends->dialed, ends->aio, buf, 1), NNG_ECLOSED);
}

static void
stream_own_close_is_eclosed(void **state)
{
	(void) state;
	over_each(own_close);
}

/* A killed peer is seen like one that closed. Method: a child process that connects, writes, and is killed. */
static void
stream_sees_a_killed_peer(void **state)
{
	struct ends ends;
	char buf[8];

	(void) state;
	ends_listen(&ends, TCP);
	nng_stream_listener_accept(ends.listener, ends.aio);
	int fd = raw_connect(ends.url);
	pid_t child = fork();
	if (child == 0) { /* holds the connection; makes system calls only */
		(void) write(fd, "hello", 5);
		for (;;) {
			(void) pause();
		}
	}
	assert_true(child > 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(result_of(ends.aio), NNG_OK);
	ends.accepted = nng_aio_get_output(ends.aio, 0);
	recv_exactly(ends.accepted, ends.aio, buf, 5);
	set_buffer(ends.aio, buf, sizeof(buf));
	nng_stream_recv(ends.accepted, ends.aio);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(result_of(ends.aio), NNG_ECONNSHUT);
	assert_int_equal(waitpid(child, NULL, 0), child);
	ends_close(&ends);
}

/* "close never waits." Method: close returns on an outside thread while the stream's shard is held in a callback, with
 * a receive pending that therefore cannot have ended. */
static void
stream_close_never_waits(void **state)
{
	struct ends ends;
	struct hold hold = HOLD;
	char byte;

	(void) state;
	ends_open(&ends, TCP);
	int shard = shard_of(ends.accepted);
	set_buffer(ends.aio, &byte, 1);
	nng_stream_recv(ends.accepted, ends.aio);
	shard_pass(shard);
	shard_hold(&hold, shard);
	nng_stream_close(ends.accepted);
	assert_true(nng_aio_busy(ends.aio));
	shard_let_go(&hold, shard);
	assert_int_equal(result_of(ends.aio), NNG_ECLOSED);
	ends_close(&ends);
}

/* "stop: close, and wait until nothing is pending and the kernel holds nothing." Method: after stop the operations are
 * complete without a wait (their words are not busy after their shards are passed), and the descriptor is closed; stop
 * by two threads at once; stop again. */
static void *
stop_stream(void *arg)
{
	nng_stream_stop(arg);
	return NULL;
}

static void
stopping(struct ends *ends)
{
	char byte;
	unsigned descriptors = open_descriptors();

	set_buffer(ends->aio, &byte, 1);
	nng_stream_recv(ends->accepted, ends->aio);
	pthread_t thread = thread_start(stop_stream, ends->accepted);
	nng_stream_stop(ends->accepted);
	assert_int_equal(open_descriptors(), descriptors - 1);
	shard_pass(0);
	shard_pass(1);
	assert_false(nng_aio_busy(ends->aio));
	assert_int_equal(nng_aio_result(ends->aio), NNG_ECLOSED);
	thread_end(thread);
	nng_stream_stop(ends->accepted);
}

static void
stream_stop_waits_for_the_kernel(void **state)
{
	(void) state;
	over_each(stopping);
}

/* "free: stop and release, NULL no-op." */
static void
stream_null_is_a_no_op(void **state)
{
	(void) state;
	nng_stream_close(NULL);
	nng_stream_stop(NULL);
	nng_stream_free(NULL);
	nng_stream_dialer_close(NULL);
	nng_stream_dialer_stop(NULL);
	nng_stream_dialer_free(NULL);
	nng_stream_listener_close(NULL);
	nng_stream_listener_stop(NULL);
	nng_stream_listener_free(NULL);
	assert_int_equal(misuse_take().count, 0);
}

/* Free ends what is pending. Method: a receive, an accept, a dial. */
static void
stream_free_ends_what_is_pending(void **state)
{
	struct ends ends;
	struct silence silence;
	nng_stream_dialer *dialer;
	nng_aio *dial;
	char byte;

	(void) state;
	ends_open(&ends, TCP);
	silence_open(&silence, TCP);
	dial = new_aio();
	assert_int_equal(nng_stream_dialer_alloc(&dialer, silence.url), NNG_OK);
	nng_stream_dialer_dial(dialer, dial);
	set_buffer(ends.aio, &byte, 1);
	nng_stream_recv(ends.accepted, ends.aio);
	nng_stream_listener_accept(ends.listener, ends.other);
	nng_stream_free(ends.accepted);
	nng_stream_listener_free(ends.listener);
	nng_stream_dialer_free(dialer);
	assert_int_equal(result_of(ends.aio), NNG_ECLOSED);
	assert_int_equal(result_of(ends.other), NNG_ECLOSED);
	assert_int_equal(result_of(dial), NNG_ECLOSED);
	ends.accepted = NULL;
	ends.listener = NULL;
	nng_aio_free(dial);
	silence_close(&silence);
	ends_close(&ends);
}

/* "Freeing a dialer or listener leaves its streams alone." */
static void
orphans(struct ends *ends)
{
	nng_stream_dialer_free(ends->dialer);
	nng_stream_listener_free(ends->listener);
	ends->dialer = NULL;
	ends->listener = NULL;
	both_ways(ends);
}

static void
stream_outlives_its_maker(void **state)
{
	(void) state;
	over_each(orphans);
}

/* "nng_stream_free inside a callback closes and releases later". Method: both ends are freed in the callbacks of their
 * own receives, on their own shard and on the other one; the peer sees the end; the descriptors come back. */
static void
free_arg(struct consumer *consumer)
{
	nng_stream_free(consumer->arg);
}

static void
await_descriptors(unsigned count)
{
	while (open_descriptors() != count) {
		shard_pass(0);
		shard_pass(1);
	}
}

static void
stream_free_inside_a_callback(void **state)
{
	struct ends ends;

	(void) state;
	for (int home = 0; home < 2; home++) {
		struct consumer consumer = CONSUMER;
		char byte;
		ends_open(&ends, TCP);
		unsigned descriptors = open_descriptors();
		consumer_open(&consumer, home);
		consumer.step = free_arg;
		consumer.arg = ends.accepted;
		set_buffer(consumer.aio, &byte, 1);
		set_buffer(ends.other, &byte, 1);
		nng_stream_recv(ends.accepted, consumer.aio);
		nng_stream_recv(ends.accepted, ends.other); /* pending when it is freed */
		assert_int_equal(send_now(ends.dialed, ends.aio, "x", 1), NNG_OK);
		gate_pass(&consumer.called, 1);
		assert_int_equal(result_of(ends.other), NNG_ECLOSED);
		assert_int_equal(recv_now(ends.dialed, ends.aio, &byte, 1), NNG_ECONNSHUT);
		await_descriptors(descriptors - 1);
		ends.accepted = NULL;
		nng_aio_free(consumer.aio);
		ends_close(&ends);
	}
}

/* R26: "Busy, homed on the same shard: certain deadlock, misuse by name ... before anything blocks", and "the call has
 * had no effect"; "Not busy: done at once"; "Busy, on another shard: waits". Method: stop in a callback of each shard,
 * with and without a receive pending. */
static void
stop_arg(void *arg)
{
	nng_stream_stop(arg);
}

static void
stream_stop_inside_a_callback(void **state)
{
	struct ends ends;
	char byte;

	(void) state;
	ends_open(&ends, TCP);
	int here = shard_of(ends.accepted), elsewhere = 1 - here;
	set_buffer(ends.aio, &byte, 1);
	nng_stream_recv(ends.accepted, ends.aio);
	shard_pass(here);
	shard_run(here, stop_arg, ends.accepted);
	(void) misuse_expect("nng_stream_stop", NULL, "");
	assert_true(nng_aio_busy(ends.aio));
	assert_int_equal(send_now(ends.dialed, ends.other, "x", 1), NNG_OK); /* it is as it was */
	assert_int_equal(result_of(ends.aio), NNG_OK);

	nng_stream_recv(ends.accepted, ends.aio);
	shard_run(elsewhere, stop_arg, ends.accepted);
	assert_int_equal(result_of(ends.aio), NNG_ECLOSED);

	shard_run(shard_of(ends.dialed), stop_arg, ends.dialed); /* nothing pending */
	assert_int_equal(recv_now(ends.dialed, ends.aio, &byte, 1), NNG_ECLOSED);
	assert_int_equal(misuse_take().count, 0);
	ends_close(&ends);
}

/* The same for dialers and listeners. A dialer waits for every shard on which it dials. */
static void
stop_listener_arg(void *arg)
{
	nng_stream_listener_stop(arg);
}

static void
stop_dialer_arg(void *arg)
{
	nng_stream_dialer_stop(arg);
}

static void
stream_stop_of_makers_inside_a_callback(void **state)
{
	struct ends ends;
	struct silence silence;
	nng_stream_dialer *dialer;

	(void) state;
	ends_listen(&ends, TCP);
	int here = (int) pw_fleet_index(ends.listener->end.shard->settings.id);
	nng_stream_listener_accept(ends.listener, ends.aio);
	shard_pass(here);
	shard_run(here, stop_listener_arg, ends.listener);
	(void) misuse_expect("nng_stream_listener_stop", NULL, "");
	assert_true(nng_aio_busy(ends.aio));
	shard_run(1 - here, stop_listener_arg, ends.listener);
	assert_int_equal(result_of(ends.aio), NNG_ECLOSED);

	silence_open(&silence, TCP);
	assert_int_equal(nng_stream_dialer_alloc(&dialer, silence.url), NNG_OK);
	struct dial_errand errand = { dialer, ends.aio };
	here = (int) pw_fleet_index(dialer->end.shard->settings.id);
	shard_run(1 - here, dial_here, &errand);
	for (int shard = 0; shard < 2; shard++) { /* its own shard must hear of the end, the other one must make it */
		shard_run(shard, stop_dialer_arg, dialer);
		(void) misuse_expect("nng_stream_dialer_stop", NULL, "");
		assert_true(nng_aio_busy(ends.aio));
	}
	nng_stream_dialer_stop(dialer);
	assert_int_equal(result_of(ends.aio), NNG_ECLOSED);
	nng_stream_dialer_free(dialer);
	silence_close(&silence);
	ends_close(&ends);
}

/* "On a thread that lends a shard, outside callbacks, these calls poll that shard while they wait". Method: all shards
 * are lent; one thread polls by hand, dials and accepts, then stops and frees with operations pending. */
static void
poll_until_idle(nng_aio *aio)
{
	while (nng_aio_busy(aio)) {
		(void) pinwheel_poll(0, 64);
	}
}

static void
stream_stop_polls_a_lent_shard(void **state)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	nng_stream_listener *listener;
	nng_stream_dialer *dialer;
	nng_aio *aio, *other;
	char url[64], byte;
	int port;

	(void) state;
	config.shards = PINWHEEL_NONE;
	config.lent_shards = 1;
	assert_int_equal(pinwheel_start(&config), NNG_OK);
	assert_int_equal(pinwheel_poll(0, 64) >= 0, 1);
	assert_int_equal(nng_stream_listener_alloc(&listener, "tcp://127.0.0.1:0"), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_OK);
	assert_int_equal(nng_stream_listener_get_int(listener, NNG_OPT_BOUND_PORT, &port), NNG_OK);
	(void) snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
	assert_int_equal(nng_stream_dialer_alloc(&dialer, url), NNG_OK);
	aio = new_aio();
	other = new_aio();
	nng_stream_listener_accept(listener, aio);
	nng_stream_dialer_dial(dialer, other);
	poll_until_idle(aio);
	poll_until_idle(other);
	nng_stream *accepted = nng_aio_get_output(aio, 0), *dialed = nng_aio_get_output(other, 0);
	assert_non_null(accepted);
	assert_non_null(dialed);
	set_buffer(aio, &byte, 1);
	nng_stream_recv(accepted, aio);
	nng_stream_listener_accept(listener, other);
	nng_stream_stop(accepted);
	assert_int_equal(result_of(aio), NNG_ECLOSED);
	nng_stream_free(accepted);
	nng_stream_free(dialed);
	nng_stream_listener_free(listener);
	assert_int_equal(result_of(other), NNG_ECLOSED);
	nng_stream_dialer_free(dialer);
	nng_aio_free(aio);
	nng_aio_free(other);
	nng_fini();
}

/* ---- options */

static void
expect_switch(struct ends *ends, const char *name, bool at_first)
{
	nng_stream *dialed, *accepted;
	bool value = !at_first;
	unsigned dialed_is = 0;

	assert_int_equal(nng_stream_get_bool(ends->dialed, name, &value), NNG_OK);
	assert_int_equal(value, at_first);
	value = !at_first;
	assert_int_equal(nng_stream_get_bool(ends->accepted, name, &value), NNG_OK);
	assert_int_equal(value, at_first);
	assert_int_equal(nng_stream_dialer_get_bool(ends->dialer, name, &value), NNG_OK);
	assert_int_equal(value, at_first);
	assert_int_equal(nng_stream_listener_get_bool(ends->listener, name, &value), NNG_OK);
	assert_int_equal(value, at_first);

	assert_int_equal(nng_stream_set_bool(ends->dialed, name, !at_first), NNG_OK);
	assert_int_equal(nng_stream_get_bool(ends->dialed, name, &value), NNG_OK);
	assert_int_equal(value, !at_first);

	assert_int_equal(nng_stream_dialer_set_bool(ends->dialer, name, !at_first), NNG_OK);
	assert_int_equal(nng_stream_listener_set_bool(ends->listener, name, !at_first), NNG_OK);
	connect_ends(ends->dialer, ends->listener, &dialed, &accepted);
	assert_int_equal(nng_stream_get_bool(dialed, name, &value), NNG_OK);
	dialed_is = value;
	assert_int_equal(nng_stream_get_bool(accepted, name, &value), NNG_OK);
	assert_int_equal(dialed_is, !at_first);
	assert_int_equal(value, !at_first);
	assert_int_equal(nng_stream_get_bool(ends->accepted, name, &value), NNG_OK); /* made before */
	assert_int_equal(value, at_first);
	nng_stream_free(dialed);
	nng_stream_free(accepted);
}

/* "TCP_NODELAY is on by default, as in NNG." Keepalive is off. Both: get and set on stream, dialer, listener; the later
 * streams of a dialer and a listener begin with what was set. */
static void
stream_tcp_options_are_switches(void **state)
{
	(void) state;
	for (unsigned transport = 0; transport < UNIX; transport++) {
		struct ends ends;
		ends_open(&ends, transport);
		expect_switch(&ends, NNG_OPT_TCP_NODELAY, true);
		expect_switch(&ends, NNG_OPT_TCP_KEEPALIVE, false);
		ends_close(&ends);
	}
}

/* Wrong option, wrong type, wrong time, wrong direction, wrong transport: each has its code, and a get that fails
 * writes nothing. */
static void
stream_wrong_options_have_their_codes(void **state)
{
	struct ends ends;
	nng_stream_listener *listener;
	const nng_sockaddr address = { .s_family = NNG_AF_UNSPEC };
	bool b = true;
	int i = 7;
	nng_duration ms = 7;
	size_t size = 7;
	uint64_t u = 7;
	const char *s = "7";

	(void) state;
	ends_open(&ends, TCP);
	assert_int_equal(nng_stream_get_bool(ends.dialed, "no-such-option", &b), NNG_ENOTSUP);
	assert_int_equal(nng_stream_get_int(ends.dialed, "no-such-option", &i), NNG_ENOTSUP);
	assert_int_equal(nng_stream_get_ms(ends.dialed, "no-such-option", &ms), NNG_ENOTSUP);
	assert_int_equal(nng_stream_set_bool(ends.dialed, "no-such-option", true), NNG_ENOTSUP);
	assert_int_equal(nng_stream_dialer_set_string(ends.dialer, "no-such-option", "x"), NNG_ENOTSUP);
	assert_int_equal(nng_stream_listener_set_ms(ends.listener, "no-such-option", 1), NNG_ENOTSUP);
	assert_int_equal(nng_stream_get_bool(ends.dialed, NULL, &b), NNG_EINVAL);

	assert_int_equal(nng_stream_get_int(ends.dialed, NNG_OPT_TCP_NODELAY, &i), NNG_EBADTYPE);
	assert_int_equal(nng_stream_get_ms(ends.dialed, NNG_OPT_TCP_NODELAY, &ms), NNG_EBADTYPE);
	assert_int_equal(nng_stream_get_size(ends.dialed, NNG_OPT_TCP_NODELAY, &size), NNG_EBADTYPE);
	assert_int_equal(nng_stream_get_uint64(ends.dialed, NNG_OPT_TCP_NODELAY, &u), NNG_EBADTYPE);
	assert_int_equal(nng_stream_get_string(ends.dialed, NNG_OPT_TCP_NODELAY, &s), NNG_EBADTYPE);
	assert_int_equal(nng_stream_set_int(ends.dialed, NNG_OPT_TCP_NODELAY, 1), NNG_EBADTYPE);
	assert_int_equal(nng_stream_dialer_get_int(ends.dialer, NNG_OPT_TCP_KEEPALIVE, &i), NNG_EBADTYPE);
	assert_int_equal(nng_stream_dialer_set_addr(ends.dialer, NNG_OPT_TCP_KEEPALIVE, &address), NNG_EBADTYPE);
	assert_int_equal(nng_stream_dialer_set_ms(ends.dialer, NNG_OPT_TCP_KEEPALIVE, 1), NNG_EBADTYPE);
	assert_int_equal(nng_stream_dialer_set_size(ends.dialer, NNG_OPT_TCP_KEEPALIVE, 1), NNG_EBADTYPE);
	assert_int_equal(nng_stream_dialer_set_uint64(ends.dialer, NNG_OPT_TCP_KEEPALIVE, 1), NNG_EBADTYPE);
	assert_int_equal(nng_stream_listener_get_bool(ends.listener, NNG_OPT_BOUND_PORT, &b), NNG_EBADTYPE);
	assert_int_equal(nng_stream_listener_set_string(ends.listener, NNG_OPT_TCP_NODELAY, "on"), NNG_EBADTYPE);

	assert_int_equal(nng_stream_listener_set_int(ends.listener, NNG_OPT_BOUND_PORT, 1), NNG_EREADONLY);
	assert_int_equal(nng_stream_set_int(ends.dialed, NNG_OPT_BOUND_PORT, 1), NNG_EREADONLY);
	assert_int_equal(nng_stream_dialer_get_int(ends.dialer, NNG_OPT_BOUND_PORT, &i), NNG_ENOTSUP);
	assert_int_equal(nng_stream_listener_alloc(&listener, "tcp://127.0.0.1:0"), NNG_OK);
	assert_int_equal(nng_stream_listener_get_int(listener, NNG_OPT_BOUND_PORT, &i), NNG_ESTATE);
	nng_stream_listener_free(listener);
	nng_stream_close(ends.dialed);
	assert_int_equal(nng_stream_get_bool(ends.dialed, NNG_OPT_TCP_NODELAY, &b), NNG_ECLOSED);
	assert_int_equal(nng_stream_set_bool(ends.dialed, NNG_OPT_TCP_NODELAY, true), NNG_ECLOSED);
	assert_true(b && i == 7 && ms == 7 && size == 7 && u == 7 && strcmp(s, "7") == 0);
	assert_int_equal(nng_stream_get_int(ends.accepted, NNG_OPT_BOUND_PORT, &i), NNG_OK);
	assert_int_equal(i, nng_sockaddr_port(nng_stream_self_addr(ends.accepted)));
	ends_close(&ends);

	ends_open(&ends, UNIX);
	assert_int_equal(nng_stream_get_bool(ends.dialed, NNG_OPT_TCP_NODELAY, &b), NNG_ENOTSUP);
	assert_int_equal(nng_stream_set_bool(ends.accepted, NNG_OPT_TCP_KEEPALIVE, true), NNG_ENOTSUP);
	assert_int_equal(nng_stream_dialer_set_bool(ends.dialer, NNG_OPT_TCP_NODELAY, true), NNG_ENOTSUP);
	assert_int_equal(nng_stream_listener_get_int(ends.listener, NNG_OPT_BOUND_PORT, &i), NNG_ENOTSUP);
	ends_close(&ends);
}

/* ---- URLs and names */

/* "unknown scheme NNG_ENOTSUP ...; malformed, too long, port above 65535 NNG_EINVAL". Every kind of it is in
 * unit/url_test.c; here: both allocs pass it on and write nothing. */
static void
stream_url_errors_reach_the_caller(void **state)
{
	static const struct {
		const char *url;
		nng_err error;
	} bad[] = { { "tls+tcp://127.0.0.1:1", NNG_ENOTSUP }, { "ws://127.0.0.1:1", NNG_ENOTSUP },
		{ "wss://127.0.0.1:1", NNG_ENOTSUP }, { "nothing", NNG_EINVAL }, { "tcp://127.0.0.1", NNG_EINVAL },
		{ "tcp://127.0.0.1:65536", NNG_EINVAL }, { NULL, NNG_EINVAL } };
	nng_stream_dialer *dialer = NULL;
	nng_stream_listener *listener = NULL;

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(nng_stream_dialer_alloc(&dialer, bad[i].url), bad[i].error);
		assert_int_equal(nng_stream_listener_alloc(&listener, bad[i].url), bad[i].error);
	}
	assert_int_equal(nng_stream_dialer_alloc(&dialer, "tcp://:80"), NNG_EINVAL); /* nowhere to go */
	assert_int_equal(nng_stream_dialer_alloc(NULL, "tcp://127.0.0.1:80"), NNG_EINVAL);
	assert_int_equal(nng_stream_listener_alloc(NULL, "tcp://127.0.0.1:80"), NNG_EINVAL);
	assert_null(dialer);
	assert_null(listener);
}

/* "NNG_ECONNREFUSED" where nobody listens; for a path, also where nothing is. */
static void
stream_nobody_there_is_refused(void **state)
{
	struct ends ends;
	char url[160];
	nng_stream_dialer *dialer;

	(void) state;
	ends_listen(&ends, TCP);
	nng_stream_listener_stop(ends.listener);
	nng_stream_dialer_dial(ends.dialer, ends.aio);
	assert_int_equal(result_of(ends.aio), NNG_ECONNREFUSED);
	(void) snprintf(url, sizeof(url), "unix://%s/nothing", directory);
	assert_int_equal(nng_stream_dialer_alloc(&dialer, url), NNG_OK);
	nng_stream_dialer_dial(dialer, ends.aio);
	assert_int_equal(result_of(ends.aio), NNG_ECONNREFUSED);
	nng_stream_dialer_free(dialer);
	ends_close(&ends);
}

/* Names come from the hosts file without a server; each address is tried in turn. Method: "localhost", which has more
 * than one address where IPv6 is known, to a listener on one of them. */
static void
stream_dials_localhost(void **state)
{
	struct ends ends;
	nng_stream_dialer *dialer;
	char url[64];
	int port;

	(void) state;
	for (unsigned transport = 0; transport < UNIX; transport++) {
		ends_listen(&ends, transport);
		assert_int_equal(nng_stream_listener_get_int(ends.listener, NNG_OPT_BOUND_PORT, &port), NNG_OK);
		(void) snprintf(url, sizeof(url), "tcp://localhost:%d", port);
		assert_int_equal(nng_stream_dialer_alloc(&dialer, url), NNG_OK);
		nng_stream_dialer_dial(dialer, ends.aio);
		if (transport == TCP) { /* every hosts file has it */
			assert_int_equal(result_of(ends.aio), NNG_OK);
		}
		if (result_of(ends.aio) == NNG_OK) {
			ends.dialed = nng_aio_get_output(ends.aio, 0);
			assert_int_equal(nng_sockaddr_port(nng_stream_peer_addr(ends.dialed)), port);
		}
		nng_stream_dialer_free(dialer);
		ends_close(&ends);
	}
}

/* A server of names on the loopback: "yes" has 127.0.0.1, "two" has 127.0.0.2 and then 127.0.0.1, "no" does not exist,
 * anything else gets no answer. Ends when its socket is shut down. */
struct names {
	int fd;
	uint16_t port;
	pthread_t thread;
	pw_a64 asked; /* questions that got no answer */
};

static size_t
put_answer(uint8_t *at, uint8_t last)
{
	const uint8_t answer[16] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, last };
	memcpy(at, answer, sizeof(answer));
	return sizeof(answer);
}

/* The question in `m` made into its answer. The size; 0: none. */
static size_t
answer_to(uint8_t *m, size_t size)
{
	const uint8_t *name = m + 12; /* length, letters, ..., 0, type, class */
	size_t end = 12;
	while (end < size && m[end] != 0) {
		end += m[end] + 1u;
	}
	size_t length = end + 5;
	if (length > size) {
		return 0;
	}
	bool is_a = m[end + 2] == 1;
	m[2] = 0x81;
	m[3] = 0x80;
	memset(m + 6, 0, 6);
	if (memcmp(name, "\3yes", 4) == 0 && is_a) {
		m[7] = 1;
		length += put_answer(m + length, 1);
	} else if (memcmp(name, "\3two", 4) == 0 && is_a) {
		m[7] = 2;
		length += put_answer(m + length, 2);
		length += put_answer(m + length, 1);
	} else if (memcmp(name, "\2no", 3) == 0) {
		m[3] = 0x83;
	} else if (memcmp(name, "\3yes", 4) != 0 && memcmp(name, "\3two", 4) != 0) {
		return 0;
	}
	return length;
}

static void *
serve_names(void *arg)
{
	struct names *names = arg;
	for (;;) {
		uint8_t message[512 + 64];
		struct sockaddr_in from;
		socklen_t size = sizeof(from);
		ssize_t got = recvfrom(names->fd, message, 512, 0, (struct sockaddr *) &from, &size);
		if (got < 12) {
			return NULL; /* the empty message that ends it */
		}
		size_t length = answer_to(message, (size_t) got);
		if (length != 0) {
			(void) sendto(names->fd, message, length, 0, (struct sockaddr *) &from, size);
		} else {
			(void) pw_fetch_add_relaxed_64(&names->asked, 1);
		}
	}
}

static void
names_open(struct names *names)
{
	static char servers[64];
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(in);

	names->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(names->fd, (struct sockaddr *) &in, size), 0);
	assert_int_equal(getsockname(names->fd, (struct sockaddr *) &in, &size), 0);
	names->port = in.sin_port;
	pw_store_relaxed_64(&names->asked, 0);
	(void) snprintf(servers, sizeof(servers), "127.0.0.1:%d", ntohs(in.sin_port));
	pw_resolver_use_servers(servers);
	names->thread = thread_start(serve_names, names);
}

static void
names_close(struct names *names)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	in.sin_port = names->port;
	assert_int_equal(sendto(names->fd, "", 0, 0, (struct sockaddr *) &in, sizeof(in)), 0);
	thread_end(names->thread);
	assert_int_equal(close(names->fd), 0);
	pw_resolver_use_servers(NULL);
}

static void
dial_name(const char *name, int port, nng_stream_dialer **dialer)
{
	char url[128];
	(void) snprintf(url, sizeof(url), "tcp://%s:%d", name, port);
	assert_int_equal(nng_stream_dialer_alloc(dialer, url), NNG_OK);
}

/* "Names are resolved on the shard's own poller (c-ares)"; "name not found NNG_EADDRINVAL"; each address in turn.
 * Method: a server of our own; a name with one address, one whose first address refuses, one that is not there, one
 * that is not a name; then no descriptor is left. */
static void
stream_resolves_names(void **state)
{
	struct ends ends;
	struct names names;
	nng_stream_dialer *dialer;
	int port;
	static const char *const good[] = { "yes.test", "two.test" };
	static const char *const bad[] = { "no.test",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test" };

	(void) state;
	names_open(&names);
	ends_listen(&ends, TCP);
	assert_int_equal(nng_stream_listener_get_int(ends.listener, NNG_OPT_BOUND_PORT, &port), NNG_OK);
	for (unsigned round = 0; round < 4; round++) { /* from both shards */
		for (unsigned i = 0; i < 2; i++) {
			dial_name(good[i], port, &dialer);
			nng_stream_listener_accept(ends.listener, ends.other);
			nng_stream_dialer_dial(dialer, ends.aio);
			assert_int_equal(result_of(ends.aio), NNG_OK);
			assert_int_equal(result_of(ends.other), NNG_OK);
			nng_stream_free(nng_aio_get_output(ends.aio, 0));
			nng_stream_free(nng_aio_get_output(ends.other, 0));
			nng_stream_dialer_free(dialer);
			dial_name(bad[i], port, &dialer);
			nng_stream_dialer_dial(dialer, ends.aio);
			assert_int_equal(result_of(ends.aio), NNG_EADDRINVAL);
			nng_stream_dialer_free(dialer);
		}
	}
	await_descriptors(ends.descriptors + 1); /* the listener; none of the resolver */
	ends_close(&ends);
	names_close(&names);
}

/* "cancellable, under the aio's deadline". Method: a name that gets no answer: by deadline, by cancel, by the dialer's
 * close, while another lookup of the same shard goes on to its end. */
static void
stream_lookup_can_be_ended(void **state)
{
	struct ends ends;
	struct names names;
	nng_stream_dialer *silent, *good;
	nng_aio *aio[6];
	int port;

	(void) state;
	names_open(&names);
	ends_listen(&ends, TCP);
	assert_int_equal(nng_stream_listener_get_int(ends.listener, NNG_OPT_BOUND_PORT, &port), NNG_OK);
	dial_name("silence.test", port, &silent);
	dial_name("yes.test", port, &good);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(pinwheel_aio_alloc_on(&aio[i], (int) (i % 2), NULL, NULL), NNG_OK);
		nng_aio_set_timeout(aio[i], i < 2 ? SOON_MS : NNG_DURATION_INFINITE);
		nng_stream_dialer_dial(silent, aio[i]);
	}
	while (pw_load_acquire_64(&names.asked) < 6) { /* the server has been asked, and is silent */
		(void) poll(NULL, 0, 1);
	}
	nng_stream_dialer_dial(good, ends.aio);
	assert_int_equal(result_of(ends.aio), NNG_OK);
	ends.dialed = nng_aio_get_output(ends.aio, 0);
	assert_int_equal(result_of(aio[0]), NNG_ETIMEDOUT);
	assert_int_equal(result_of(aio[1]), NNG_ETIMEDOUT);
	nng_aio_cancel(aio[2]);
	nng_aio_cancel(aio[3]);
	assert_int_equal(result_of(aio[2]), NNG_ECANCELED);
	assert_int_equal(result_of(aio[3]), NNG_ECANCELED);
	assert_true(nng_aio_busy(aio[4]) && nng_aio_busy(aio[5]));
	nng_stream_dialer_free(silent);
	assert_int_equal(result_of(aio[4]), NNG_ECLOSED);
	assert_int_equal(result_of(aio[5]), NNG_ECLOSED);
	for (unsigned i = 0; i < 6; i++) {
		nng_aio_free(aio[i]);
	}
	nng_stream_dialer_free(good);
	await_descriptors(ends.descriptors + 2); /* the listener and the stream; none of the resolver */
	ends_close(&ends);
	names_close(&names);
}

/* ---- faults */

/* A busy port is NNG_EADDRINUSE. Method: a plain socket listens there. */
static void
stream_busy_port_is_eaddrinuse(void **state)
{
	struct silence silence;
	nng_stream_listener *listener;

	(void) state;
	silence_open(&silence, TCP);
	assert_int_equal(nng_stream_listener_alloc(&listener, silence.url), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_EADDRINUSE);
	nng_stream_listener_free(listener);
	silence_close(&silence);
}

static struct rlimit
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

/* "descriptors exhausted in accept (keeps serving afterwards)". Method: two connections wait in the backlog, the limit
 * is set to what is open; an accept does not fail but stays pending (its deadline ends it), a second one is cancelled, a
 * third one gets its connection once there are descriptors again, and so does a fourth. */
static void
stream_accept_survives_exhausted_descriptors(void **state)
{
	struct ends ends;

	(void) state;
	ends_listen(&ends, TCP);
	int first = raw_connect(ends.url), second = raw_connect(ends.url);
	nng_stream_listener_accept(ends.listener, ends.aio); /* whatever is opened once is opened now */
	assert_int_equal(result_of(ends.aio), NNG_OK);
	nng_stream_free(nng_aio_get_output(ends.aio, 0));
	int third = raw_connect(ends.url);

	struct rlimit before = exhaust_descriptors();
	nng_aio_set_timeout(ends.aio, SOON_MS);
	nng_stream_listener_accept(ends.listener, ends.aio);
	nng_err timed_out = result_of(ends.aio);
	nng_aio_set_timeout(ends.aio, NNG_DURATION_INFINITE);
	nng_stream_listener_accept(ends.listener, ends.aio);
	nng_aio_cancel(ends.aio);
	nng_err canceled = result_of(ends.aio);
	for (int i = 0; i < 4; i++) { /* the pause has ended with its reason: it would wake an idle process */
		shard_pass(i % 2);
	}
	bool pausing = nng_aio_busy(ends.listener->pause);
	nng_stream_listener_accept(ends.listener, ends.aio);
	nng_stream_dialer_dial(ends.dialer, ends.other);
	nng_err no_files = result_of(ends.other);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(timed_out, NNG_ETIMEDOUT);
	assert_int_equal(canceled, NNG_ECANCELED);
	assert_false(pausing);
	assert_int_equal(no_files, NNG_ENOFILES);

	assert_int_equal(result_of(ends.aio), NNG_OK);
	ends.accepted = nng_aio_get_output(ends.aio, 0);
	nng_stream_listener_accept(ends.listener, ends.aio);
	assert_int_equal(result_of(ends.aio), NNG_OK);
	ends.dialed = nng_aio_get_output(ends.aio, 0);
	assert_int_equal(close(first), 0);
	assert_int_equal(close(second), 0);
	assert_int_equal(close(third), 0);
	ends_close(&ends);
}

/* Closing a listener that pauses ends the pause. */
static void
stream_closes_while_accept_pauses(void **state)
{
	struct ends ends;

	(void) state;
	ends_listen(&ends, TCP);
	int fd = raw_connect(ends.url);
	struct rlimit before = exhaust_descriptors();
	nng_stream_listener_accept(ends.listener, ends.aio);
	shard_pass(0);
	shard_pass(1);
	nng_stream_listener_stop(ends.listener);
	nng_err result = result_of(ends.aio);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(result, NNG_ECLOSED);
	assert_int_equal(close(fd), 0);
	ends_close(&ends);
}

/* A connection whose accept was cancelled is not lost. Method: many times, a connection and a cancel at once; in the
 * end as many accepts succeed as there were connections. */
static void
stream_loses_no_connection_to_a_cancel(void **state)
{
	struct ends ends;
	unsigned accepted = 0;
	enum {
		ROUNDS = 60
	};
	int fd[ROUNDS];

	(void) state;
	ends_listen(&ends, TCP);
	for (unsigned i = 0; i < ROUNDS; i++) {
		nng_stream_listener_accept(ends.listener, ends.aio);
		fd[i] = raw_connect(ends.url);
		nng_aio_cancel(ends.aio);
		if (result_of(ends.aio) == NNG_OK) {
			accepted++;
			nng_stream_free(nng_aio_get_output(ends.aio, 0));
		}
	}
	for (; accepted < ROUNDS; accepted++) {
		nng_stream_listener_accept(ends.listener, ends.aio);
		assert_int_equal(result_of(ends.aio), NNG_OK);
		nng_stream_free(nng_aio_get_output(ends.aio, 0));
	}
	for (unsigned i = 0; i < ROUNDS; i++) {
		assert_int_equal(close(fd[i]), 0);
	}
	ends_close(&ends);
}

/* Out of memory is NNG_ENOMEM, and nothing is lost by it. Method: the Nth allocation fails, N = 0, 1, ... until a whole
 * run of what allocates (40 connections by name, so that every pool must grow, on fresh shards) goes through. After a
 * failure in accept the connection is still there for the next one. */
#define GROW 40u

static bool
one_connection(struct ends *ends, nng_stream **dialed, nng_stream **accepted)
{
	nng_stream_dialer_dial(ends->dialer, ends->aio);
	nng_err error = result_of(ends->aio);
	assert_true(error == NNG_OK || error == NNG_ENOMEM);
	*dialed = nng_aio_get_output(ends->aio, 0);
	if (error != NNG_OK) {
		return false;
	}
	nng_stream_listener_accept(ends->listener, ends->other);
	error = result_of(ends->other);
	assert_true(error == NNG_OK || error == NNG_ENOMEM);
	bool whole = error == NNG_OK;
	if (!whole) {
		nng_stream_listener_accept(ends->listener, ends->other);
		assert_int_equal(result_of(ends->other), NNG_OK);
	}
	*accepted = nng_aio_get_output(ends->other, 0);
	both_ways(&(struct ends){ .dialed = *dialed, .accepted = *accepted, .aio = ends->aio });
	return whole;
}

static bool
whole_run(int64_t fail_after)
{
	struct ends ends = { .descriptors = open_descriptors(), .aio = new_aio(), .other = new_aio() };
	nng_stream *dialed[GROW] = { NULL }, *accepted[GROW] = { NULL };
	nng_err error;
	int port;

	pw_memory_fail_after(fail_after);
	error = nng_stream_listener_alloc(&ends.listener, "tcp://127.0.0.1:0");
	if (error == NNG_OK) {
		assert_int_equal(nng_stream_listener_listen(ends.listener), NNG_OK);
		assert_int_equal(nng_stream_listener_get_int(ends.listener, NNG_OPT_BOUND_PORT, &port), NNG_OK);
		(void) snprintf(ends.url, sizeof(ends.url), "tcp://localhost:%d", port);
		error = nng_stream_dialer_alloc(&ends.dialer, ends.url);
	}
	assert_true(error == NNG_OK || error == NNG_ENOMEM);
	bool whole = error == NNG_OK;
	for (unsigned i = 0; whole && i < GROW; i++) {
		whole = one_connection(&ends, &dialed[i], &accepted[i]);
	}
	pw_memory_fail_after(-1);
	for (unsigned i = 0; i < GROW; i++) {
		nng_stream_free(dialed[i]);
		nng_stream_free(accepted[i]);
	}
	ends_close(&ends);
	return whole;
}

/* Forgets the parent's shards, as a forked child does, so that the engine's records are made anew. */
static void
stream_out_of_memory_is_enomem(void **state)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	unsigned failures = 0;

	(void) state;
	config.shards = 2;
	for (bool whole = false; !whole; failures += !whole) {
		pw_fleet_forget();
		assert_int_equal(pinwheel_start(&config), NNG_OK);
		whole = whole_run(failures);
		nng_fini();
	}
	print_message("%u failures injected\n", failures);
	assert_true(failures > 5);
}

/* NULL handles, and objects of a parent, are misuse. */
static void
stream_null_operands_are_misuse(void **state)
{
	struct ends ends;
	bool b;

	(void) state;
	ends_open(&ends, TCP);
	nng_stream_send(NULL, ends.aio);
	(void) misuse_expect("nng_stream_send", NULL, "");
	nng_stream_recv(ends.dialed, NULL);
	(void) misuse_expect("nng_stream_recv", NULL, "");
	nng_stream_dialer_dial(NULL, ends.aio);
	(void) misuse_expect("nng_stream_dialer_dial", NULL, "");
	nng_stream_listener_accept(NULL, ends.aio);
	(void) misuse_expect("nng_stream_listener_accept", NULL, "");
	assert_int_equal(nng_stream_listener_listen(NULL), NNG_EINVAL);
	(void) misuse_expect("nng_stream_listener_listen", NULL, "");
	assert_null(nng_stream_peer_addr(NULL));
	(void) misuse_expect("nng_stream_peer_addr", NULL, "");
	assert_int_equal(nng_stream_get_bool(NULL, NNG_OPT_TCP_NODELAY, &b), NNG_EINVAL);
	(void) misuse_expect("nng_stream_get_bool", NULL, "");
	assert_false(nng_aio_busy(ends.aio));
	ends_close(&ends);
}

/* A start on a busy handle is misuse and takes nothing from the operation under way, its cancel included. */
static void
stream_busy_handle_is_misuse(void **state)
{
	struct ends ends;
	char byte;

	(void) state;
	ends_open(&ends, TCP);
	set_buffer(ends.aio, &byte, 1);
	nng_stream_recv(ends.accepted, ends.aio);
	nng_stream_recv(ends.accepted, ends.aio);
	(void) misuse_expect("nng_aio_start", ends.aio, "DEFERRED");
	nng_aio_cancel(ends.aio);
	assert_int_equal(result_of(ends.aio), NNG_ECANCELED);
	ends_close(&ends);
}

/* ---- nng_fini */

/* nng_fini with streams, listener and dialer left, and operations pending: the operations end with NNG_ESTOPPED, the
 * descriptors are closed, the handles are dead but may be closed and freed, then or in the next engine's time. */
static void
stream_survives_nng_fini(void **state)
{
	(void) state;
	for (unsigned later = 0; later < 2; later++) {
		struct ends ends;
		nng_stream *extra[2];
		char byte;

		assert_int_equal(start_shards(2), NNG_OK);
		ends_open(&ends, UNIX);
		connect_ends(ends.dialer, ends.listener, &extra[0], &extra[1]);
		set_buffer(ends.aio, &byte, 1);
		nng_stream_recv(ends.accepted, ends.aio);
		nng_stream_listener_accept(ends.listener, ends.other);
		unsigned descriptors = open_descriptors();
		nng_fini();
		assert_true(open_descriptors() <= descriptors - 5);
		assert_int_equal(nng_aio_result(ends.aio), NNG_ESTOPPED);
		assert_int_equal(nng_aio_result(ends.other), NNG_ESTOPPED);
		assert_int_equal(access(ends.url + strlen("ipc://"), F_OK), -1);
		if (later == 1) {
			assert_int_equal(start_shards(1), NNG_OK);
		}
		nng_stream_send(ends.dialed, ends.aio); /* a stopped handle */
		assert_int_equal(result_of(ends.aio), NNG_ESTOPPED);
		if (later == 1) {
			nng_aio *aio = new_aio();
			set_buffer(aio, &byte, 1);
			nng_stream_recv(ends.dialed, aio);
			assert_int_equal(result_of(aio), NNG_ECLOSED);
			nng_stream_listener_accept(ends.listener, aio);
			assert_int_equal(result_of(aio), NNG_ECLOSED);
			nng_aio_free(aio);
		}
		nng_stream_close(ends.dialed);
		nng_stream_stop(ends.accepted);
		nng_stream_free(ends.dialed);
		nng_stream_free(ends.accepted);
		nng_stream_free(extra[0]);
		nng_stream_free(extra[1]);
		nng_stream_dialer_free(ends.dialer);
		nng_stream_listener_free(ends.listener);
		nng_aio_free(ends.aio);
		nng_aio_free(ends.other);
		if (later == 1) {
			ends_open(&ends, UNIX); /* and the records serve again */
			both_ways(&ends);
			ends_close(&ends);
			nng_fini();
		}
	}
}

/* ---- */

static int
make_directory(void **state)
{
	(void) state;
	return mkdtemp(directory) != NULL ? 0 : -1;
}

static int
remove_directory(void **state)
{
	(void) state;
	return rmdir(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(stream_functions_have_their_types),
		TEST_TWO(stream_carries_bytes_both_ways),
		TEST_TWO(stream_output_is_null_on_error),
		TEST_TWO(stream_many_dials_and_accepts),
		TEST_TWO(stream_spreads_over_the_shards),
		TEST_TWO(stream_listen_is_at_once),
		TEST_TWO(stream_listen_wants_its_order),
		TEST_TWO(stream_knows_its_addresses),
		TEST_TWO(stream_listens_on_every_address),
		TEST_TWO(stream_listens_on_a_name),
		TEST_TWO(stream_listens_where_a_dead_one_was),
		TEST_TWO(stream_gathers_and_scatters),
		TEST_TWO(stream_refuses_an_empty_iov),
		TEST_TWO(stream_carries_large_transfers),
		TEST_TWO(stream_completes_in_order),
		TEST_TWO(stream_order_holds_between_threads),
		TEST_TWO(stream_cancels_anywhere_in_the_queue),
		TEST_TWO(stream_deadline_on_every_operation),
		TEST_TWO(stream_dial_to_silence_can_be_ended),
		TEST_TWO(stream_end_of_file_is_econnshut),
		TEST_TWO(stream_end_ends_waiting_receives),
		TEST_TWO(stream_reset_is_econnreset),
		TEST_TWO(stream_send_after_peer_closed_is_eclosed),
		TEST_TWO(stream_own_close_is_eclosed),
		TEST_TWO(stream_sees_a_killed_peer),
		TEST_TWO(stream_close_never_waits),
		TEST_TWO(stream_stop_waits_for_the_kernel),
		TEST_RECORDED(stream_null_is_a_no_op),
		TEST_TWO(stream_free_ends_what_is_pending),
		TEST_TWO(stream_outlives_its_maker),
		TEST_TWO(stream_free_inside_a_callback),
		TEST_RECORDED(stream_stop_inside_a_callback),
		TEST_RECORDED(stream_stop_of_makers_inside_a_callback),
		cmocka_unit_test(stream_stop_polls_a_lent_shard),
		TEST_TWO(stream_tcp_options_are_switches),
		TEST_TWO(stream_wrong_options_have_their_codes),
		TEST_TWO(stream_url_errors_reach_the_caller),
		TEST_TWO(stream_nobody_there_is_refused),
		TEST_TWO(stream_dials_localhost),
		TEST_TWO(stream_resolves_names),
		TEST_TWO(stream_lookup_can_be_ended),
		TEST_TWO(stream_busy_port_is_eaddrinuse),
		TEST_TWO(stream_accept_survives_exhausted_descriptors),
		TEST_TWO(stream_closes_while_accept_pauses),
		TEST_TWO(stream_loses_no_connection_to_a_cancel),
		cmocka_unit_test(stream_out_of_memory_is_enomem),
		TEST_RECORDED(stream_null_operands_are_misuse),
		TEST_RECORDED(stream_busy_handle_is_misuse),
		cmocka_unit_test(stream_survives_nng_fini),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}

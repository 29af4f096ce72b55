/* SPDX-License-Identifier: MIT
 *
 * stream_connect_test.c: CONTRACT 3a: dialling, listening, accepting, addresses, over TCP v4, TCP v6 and Unix-domain
 * sockets.
 */
#include "stream.h"

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
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}

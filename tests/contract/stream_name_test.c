/* SPDX-License-Identifier: MIT
 *
 * stream_name_test.c: CONTRACT 3a: URLs and names: what both allocs make of a URL, and how names are resolved, by the
 * hosts file and by a server of our own.
 */
#include "stream.h"

/* "unknown scheme NNG_ENOTSUP ...; malformed, too long, port above 65535 NNG_EINVAL". Every kind of it is in
 * unit/url_test.c; here: both allocs pass it on and write nothing. */
static void
stream_url_errors_reach_the_caller(void **state)
{
	static const struct {
		const char *url;
		nng_err error;
	} bad[] = {
		{ "tls+tcp://127.0.0.1:1", NNG_ENOTSUP },
		{ "ws://127.0.0.1:1", NNG_ENOTSUP },
		{ "wss://127.0.0.1:1", NNG_ENOTSUP },
		{ "udp://127.0.0.1:1", NNG_ENOTSUP },
		{ "inproc://x", NNG_ENOTSUP },
		{ "zt://x", NNG_ENOTSUP },
		{ "nothing", NNG_EINVAL },
		{ "tcp://127.0.0.1:", NNG_EINVAL },
		{ "tcp://127.0.0.1:65536", NNG_EINVAL },
		{ "tcp://127.0.0.1:80/path", NNG_EINVAL },
		{ "tcp4://[::1]:1", NNG_EADDRINVAL },
		{ "tcp6://127.0.0.1:1", NNG_EADDRINVAL },
		{ "ipc://", NNG_EINVAL },
		{ "abstract://%0", NNG_EINVAL },
		{ "socket://x", NNG_EINVAL },
		{ NULL, NNG_EINVAL },
	}, nowhere[] = {
		{ "tcp://", NNG_EINVAL },
		{ "tcp://:80", NNG_EINVAL },
		{ "tcp://127.0.0.1", NNG_EINVAL },
		{ "tcp://127.0.0.1:0", NNG_EINVAL },
		{ "tcp6://localhost", NNG_EINVAL },
		{ "abstract://", NNG_EINVAL },
		{ "socket://", NNG_ENOTSUP },
	};
	nng_stream_dialer *dialer = NULL;
	nng_stream_listener *listener = NULL;

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(nng_stream_dialer_alloc(&dialer, bad[i].url), bad[i].error);
		assert_int_equal(nng_stream_listener_alloc(&listener, bad[i].url), bad[i].error);
	}
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) { /* a listener has a use for them */
		assert_int_equal(nng_stream_dialer_alloc(&dialer, nowhere[i].url), nowhere[i].error);
		assert_int_equal(nng_stream_listener_alloc(&listener, nowhere[i].url), NNG_OK);
		nng_stream_listener_free(listener);
		listener = NULL;
	}
	assert_int_equal(nng_stream_dialer_alloc(NULL, "tcp://127.0.0.1:80"), NNG_EINVAL);
	assert_int_equal(nng_stream_listener_alloc(NULL, "tcp://127.0.0.1:80"), NNG_EINVAL);
	assert_null(dialer);
	assert_null(listener);
}

/* A parsed URL does what its text does, with the same errors; the URL is copied. Method: every text above parsed; a
 * listener from a URL with port 0, which is then resolved and dialled, and freed before anything is done. */
static void
stream_is_made_of_a_parsed_url(void **state)
{
	static const struct {
		const char *url;
		nng_err error;
	} bad[] = {
		{ "wss://127.0.0.1:1", NNG_ENOTSUP },
		{ "tcp://127.0.0.1:80/path", NNG_EINVAL },
		{ "tcp4://[::1]:1", NNG_EADDRINVAL },
		{ "abstract://%0", NNG_EINVAL },
	};
	struct ends ends = { .descriptors = open_descriptors(), .aio = new_aio(), .other = new_aio() };
	nng_url *url;
	int port;

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(nng_url_parse(&url, bad[i].url), NNG_OK);
		assert_int_equal(nng_stream_dialer_alloc_url(&ends.dialer, url), bad[i].error);
		assert_int_equal(nng_stream_listener_alloc_url(&ends.listener, url), bad[i].error);
		nng_url_free(url);
	}
	assert_null(ends.dialer);
	assert_null(ends.listener);
	assert_int_equal(nng_stream_dialer_alloc_url(&ends.dialer, NULL), NNG_EINVAL);
	assert_int_equal(nng_stream_listener_alloc_url(&ends.listener, NULL), NNG_EINVAL);

	assert_int_equal(nng_url_parse(&url, "TCP://LocalHost:0"), NNG_OK);
	assert_int_equal(nng_stream_dialer_alloc_url(NULL, url), NNG_EINVAL);
	assert_int_equal(nng_stream_dialer_alloc_url(&ends.dialer, url), NNG_EINVAL); /* no port */
	assert_int_equal(nng_stream_listener_alloc_url(NULL, url), NNG_EINVAL);
	assert_int_equal(nng_stream_listener_alloc_url(&ends.listener, url), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(ends.listener), NNG_OK);
	assert_int_equal(nng_stream_listener_get_int(ends.listener, NNG_OPT_BOUND_PORT, &port), NNG_OK);
	nng_url_resolve_port(url, (uint32_t) port);
	assert_int_equal(nng_stream_dialer_alloc_url(&ends.dialer, url), NNG_OK);
	nng_url_free(url);
	connect_ends(ends.dialer, ends.listener, &ends.dialed, &ends.accepted);
	both_ways(&ends);
	ends_close(&ends);
}

/* tcp4 and tcp6 take the addresses of a name that are of their family, and no other. Method: "localhost" is 127.0.0.1
 * for tcp4; listeners on every address of one family are reached by that family alone. */
static void
stream_keeps_to_a_family(void **state)
{
	static const char *const any[] = { "tcp4://:0", "tcp6://:0" };
	static const char *const from[] = { "tcp4://127.0.0.1:%d", "tcp6://[::1]:%d" };
	unsigned descriptors = open_descriptors();
	nng_aio *aio = new_aio();

	(void) state;
	for (unsigned family = 0; family < 2; family++) {
		nng_stream_listener *listener;
		int port;
		assert_int_equal(nng_stream_listener_alloc(&listener, any[family]), NNG_OK);
		assert_int_equal(nng_stream_listener_listen(listener), NNG_OK);
		assert_int_equal(nng_stream_listener_get_int(listener, NNG_OPT_BOUND_PORT, &port), NNG_OK);
		for (unsigned by = 0; by < 2; by++) {
			nng_stream_dialer *dialer;
			char url[64];
			(void) snprintf(url, sizeof(url), from[by], port);
			assert_int_equal(nng_stream_dialer_alloc(&dialer, url), NNG_OK);
			nng_stream_dialer_dial(dialer, aio);
			assert_int_equal(result_of(aio), by == family ? NNG_OK : NNG_ECONNREFUSED);
			nng_stream_free(nng_aio_get_output(aio, 0));
			nng_stream_dialer_free(dialer);
		}
		if (family == 0) {
			nng_stream_dialer *dialer;
			char url[64];
			(void) snprintf(url, sizeof(url), "tcp4://localhost:%d", port);
			assert_int_equal(nng_stream_dialer_alloc(&dialer, url), NNG_OK);
			nng_stream_dialer_dial(dialer, aio);
			assert_int_equal(result_of(aio), NNG_OK);
			const nng_sockaddr *peer = nng_stream_peer_addr(nng_aio_get_output(aio, 0));
			assert_int_equal(peer->s_family, NNG_AF_INET);
			nng_stream_free(nng_aio_get_output(aio, 0));
			nng_stream_dialer_free(dialer);
		}
		nng_stream_listener_free(listener);
	}
	nng_aio_free(aio);
	await_descriptors(descriptors);
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

/* A server of names on the loopback: "yes" has 127.0.0.1, "two" has 127.0.0.2 and then 127.0.0.1, "no" does not
 * exist, anything else gets no answer. Ends when its socket is shut down. */
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
	char url[64]; /* of IPv6 the name has none */
	(void) snprintf(url, sizeof(url), "tcp6://yes.test:%d", port);
	assert_int_equal(nng_stream_dialer_alloc(&dialer, url), NNG_OK);
	nng_stream_dialer_dial(dialer, ends.aio);
	assert_int_equal(result_of(ends.aio), NNG_EADDRINVAL);
	nng_stream_dialer_free(dialer);
	await_descriptors(ends.descriptors + 1); /* the listener; none of the resolver */
	ends_close(&ends);
	names_close(&names);
}

/* "cancellable, under the aio's deadline". Method: a name that gets no answer: by deadline, by cancel, by the
 * dialer's close, while another lookup of the same shard goes on to its end. */
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(stream_url_errors_reach_the_caller),
		TEST_TWO(stream_is_made_of_a_parsed_url),
		TEST_TWO(stream_keeps_to_a_family),
		TEST_TWO(stream_nobody_there_is_refused),
		TEST_TWO(stream_dials_localhost),
		TEST_TWO(stream_resolves_names),
		TEST_TWO(stream_lookup_can_be_ended),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}

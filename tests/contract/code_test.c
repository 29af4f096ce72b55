/* SPDX-License-Identifier: MIT
 *
 * code_test.c: error codes: those whose cause belongs to no other test here, and all of them as what a provider or an
 * abort says. Which test has which code: tests/package/coverage.sh.
 */
#include "stream.h"

/* "NNG_EUNREACHABLE": a dial where no route leads. Method: a multicast group, which TCP has no way to, on every
 * machine. */
static void
dial_without_a_route_is_eunreachable(void **state)
{
	unsigned descriptors = open_descriptors();
	nng_stream_dialer *dialer;
	nng_aio *aio = new_aio();

	(void) state;
	assert_int_equal(nng_stream_dialer_alloc(&dialer, "tcp://224.0.0.1:80"), NNG_OK);
	for (unsigned i = 0; i < 3; i++) {
		nng_stream_dialer_dial(dialer, aio);
		assert_int_equal(result_of(aio), NNG_EUNREACHABLE);
		assert_null(nng_aio_get_output(aio, 0));
	}
	nng_stream_dialer_free(dialer);
	nng_aio_free(aio);
	assert_int_equal(open_descriptors(), descriptors);
}

/* A listen in a folder that does not exist is NNG_ENOENT, and may be tried again. (A dial there is
 * NNG_ECONNREFUSED.) Method: the folder is made in between. */
static void
listen_in_no_folder_is_enoent(void **state)
{
	unsigned descriptors = open_descriptors();
	nng_stream_listener *listener;
	nng_stream_dialer *dialer;
	nng_aio *aio = new_aio();
	char url[64], folder[40];

	(void) state;
	(void) snprintf(folder, sizeof(folder), "%s/folder", directory);
	(void) snprintf(url, sizeof(url), "ipc://%s/socket", folder);
	assert_int_equal(nng_stream_listener_alloc(&listener, url), NNG_OK);
	assert_int_equal(nng_stream_dialer_alloc(&dialer, url), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_ENOENT);
	nng_stream_dialer_dial(dialer, aio);
	assert_int_equal(result_of(aio), NNG_ECONNREFUSED);
	nng_stream_listener_accept(listener, aio);
	assert_int_equal(result_of(aio), NNG_ESTATE);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_OK);
	nng_stream_listener_free(listener);
	nng_stream_dialer_free(dialer);
	nng_aio_free(aio);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(open_descriptors(), descriptors);
}

/* "NNG_EPERM (a broadcast, a firewall)". Method: a datagram to the loopback network's broadcast address. */
static void
udp_broadcast_is_eperm(void **state)
{
	unsigned descriptors = open_descriptors();
	nng_sockaddr any = { .s_in = { .sa_family = NNG_AF_INET, .sa_addr = htonl(INADDR_LOOPBACK) } }, all = any;
	nng_aio *aio = new_aio();
	nng_udp *udp;

	(void) state;
	assert_int_equal(nng_udp_open(&udp, &any), NNG_OK);
	all.s_in.sa_addr = htonl(0x7fffffff);
	all.s_in.sa_port = htons(9);
	set_buffer(aio, "x", 1);
	assert_int_equal(nng_aio_set_input(aio, 0, &all), NNG_OK);
	nng_udp_send(udp, aio);
	assert_int_equal(result_of(aio), NNG_EPERM);
	assert_int_equal(nng_aio_count(aio), 0);
	nng_udp_close(udp);
	nng_aio_free(aio);
	assert_int_equal(open_descriptors(), descriptors);
}

/* Whatever a provider or an abort says is what the callback gets, every code of nng.h, those that the library itself
 * never says too. */
static void
every_code_arrives_as_it_was_given(void **state)
{
	static const nng_err codes[] = { NNG_OK, NNG_EINTR, NNG_ENOMEM, NNG_EINVAL, NNG_EBUSY, NNG_ETIMEDOUT,
		NNG_ECONNREFUSED, NNG_ECLOSED, NNG_EAGAIN, NNG_ENOTSUP, NNG_EADDRINUSE, NNG_ESTATE, NNG_ENOENT,
		NNG_EPROTO, NNG_EUNREACHABLE, NNG_EADDRINVAL, NNG_EPERM, NNG_EMSGSIZE, NNG_ECONNABORTED,
		NNG_ECONNRESET, NNG_ECANCELED, NNG_ENOFILES, NNG_ENOSPC, NNG_EEXIST, NNG_EREADONLY, NNG_EWRITEONLY,
		NNG_ECRYPTO, NNG_EPEERAUTH, NNG_ENOARG, NNG_EAMBIGUOUS, NNG_EBADTYPE, NNG_ECONNSHUT, NNG_ESTOPPED,
		NNG_EINTERNAL, NNG_ESYSERR + EIO, NNG_ETRANERR + 1 };
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	unsigned calls = 0;

	(void) state;
	consumer_open(&c, 0);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		assert_true(provider_start(&p, c.aio));
		nng_aio_finish(c.aio, codes[i]);
		gate_pass(&c.called, ++calls);
		nng_aio_wait(c.aio);
		assert_int_equal(c.result, codes[i]);
		assert_int_equal(nng_aio_result(c.aio), codes[i]);

		assert_true(provider_start(&p, c.aio));
		nng_aio_abort(c.aio, codes[i]);
		gate_pass(&c.called, ++calls);
		nng_aio_wait(c.aio);
		assert_int_equal(p.reason, codes[i]);
		assert_int_equal(c.result, codes[i]);
	}
	nng_aio_free(c.aio);
	assert_int_equal(consumer_calls(&c), calls);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(dial_without_a_route_is_eunreachable),
		TEST_TWO(listen_in_no_folder_is_enoent),
		TEST_TWO(udp_broadcast_is_eperm),
		TEST_TWO(every_code_arrives_as_it_was_given),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}

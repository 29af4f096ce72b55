/* SPDX-License-Identifier: MIT
 *
 * stream_life_test.c: CONTRACT 3a, R26: close, stop and free of streams, dialers and listeners, anywhere; what is
 * misuse; what nng_fini leaves.
 */
#include "stream.h"

/* "close never waits." Method: close returns on an outside thread while the stream's shard is held in a callback,
 * with a receive pending that therefore cannot have ended. */
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

/* "stop: close, and wait until nothing is pending and the kernel holds nothing." Method: after stop the operations
 * are complete without a wait (their words are not busy after their shards are passed), and the descriptor is closed;
 * stop by two threads at once; stop again. */
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

/* "nng_stream_free inside a callback closes and releases later". Method: both ends are freed in the callbacks of
 * their own receives, on their own shard and on the other one; the peer sees the end; the descriptors come back. */
static void
free_arg(struct consumer *consumer)
{
	nng_stream_free(consumer->arg);
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

/* R26: "Busy, homed on the same shard: certain deadlock, misuse by name ... before anything blocks", and "the call
 * has had no effect"; "Not busy: done at once"; "Busy, on another shard: waits". Method: stop in a callback of each
 * shard, with and without a receive pending. */
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

/* "On a thread that lends a shard, outside callbacks, these calls poll that shard while they wait". Method: all
 * shards are lent; one thread polls by hand, dials and accepts, then stops and frees with operations pending. */
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(stream_close_never_waits),
		TEST_TWO(stream_stop_waits_for_the_kernel),
		TEST_RECORDED(stream_null_is_a_no_op),
		TEST_TWO(stream_free_ends_what_is_pending),
		TEST_TWO(stream_outlives_its_maker),
		TEST_TWO(stream_free_inside_a_callback),
		TEST_RECORDED(stream_stop_inside_a_callback),
		TEST_RECORDED(stream_stop_of_makers_inside_a_callback),
		cmocka_unit_test(stream_stop_polls_a_lent_shard),
		TEST_RECORDED(stream_null_operands_are_misuse),
		TEST_RECORDED(stream_busy_handle_is_misuse),
		cmocka_unit_test(stream_survives_nng_fini),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}

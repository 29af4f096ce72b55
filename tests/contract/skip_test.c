/* SPDX-License-Identifier: MIT
 *
 * skip_test.c: the contract of nng_aio_skip_callback.
 */
#include "tests/contract/contract.h"

/* "sets *b false when called". Method: a bool that was true. */
static void
skip_sets_false_when_called(void **unused)
{
	bool skipped = true;
	nng_aio *aio;

	(void) unused;
	assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), NNG_OK);
	nng_aio_skip_callback(aio, &skipped);
	assert_false(skipped);
	nng_aio_free(aio);
}

/* "for the next operation: if it completes without going asynchronous, *b becomes true instead of a callback. That
 * is: if the operation ends (finish, ...) on the thread that asked, before defer or start made it asynchronous."
 * Method: reset and finish, begin and finish: the result is there at once, the handle is idle, no callback comes. */
static void
skip_takes_the_place_of_the_callback(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	consumer_open(&c, 0);
	for (int form = 0; form < 2; form++) {
		bool skipped;
		nng_aio_skip_callback(c.aio, &skipped);
		if (form == 0) {
			nng_aio_reset(c.aio);
		} else {
			assert_true(nng_aio_begin(c.aio));
		}
		assert_false(skipped);
		nng_aio_finish(c.aio, NNG_EPROTO);
		assert_true(skipped);
		assert_false(nng_aio_busy(c.aio));
		assert_int_equal(nng_aio_result(c.aio), NNG_EPROTO);
		shard_pass(0);
		assert_int_equal(consumer_calls(&c), 0);
	}
	nng_aio_free(c.aio);
}

/* "for the next operation": not for the one after it. Method: an operation that is skipped, and one after it that is
 * called; an asynchronous one after the request, and a synchronous one after that: called. */
static void
skip_is_for_one_operation(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	bool skipped;

	(void) unused;
	consumer_open(&c, 0);
	nng_aio_skip_callback(c.aio, &skipped);
	nng_aio_reset(c.aio);
	nng_aio_finish(c.aio, NNG_OK);
	assert_true(skipped);
	skipped = false;
	nng_aio_reset(c.aio);
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_wait(c.aio);
	assert_false(skipped);
	assert_int_equal(consumer_calls(&c), 1);

	nng_aio_skip_callback(c.aio, &skipped);
	assert_true(provider_start(&p, c.aio));
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_wait(c.aio);
	nng_aio_reset(c.aio);
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_wait(c.aio);
	assert_false(skipped);
	assert_int_equal(consumer_calls(&c), 3);
	nng_aio_free(c.aio);
}

/* "before defer or start made it asynchronous." Method: start and finish, begin, defer and finish, a sleep of 0, all
 * on the thread that asked: the callback is called. */
static void
skip_of_an_asynchronous_operation_calls_back(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	for (unsigned form = 0; form < 3; form++) {
		bool skipped = true;
		nng_aio_skip_callback(c.aio, &skipped);
		if (form == 0) {
			assert_true(provider_start(&p, c.aio));
			nng_aio_finish(c.aio, NNG_OK);
		} else if (form == 1) {
			assert_true(nng_aio_begin(c.aio));
			nng_aio_defer(c.aio, provider_cancel, &p);
			nng_aio_finish(c.aio, NNG_OK);
		} else {
			nng_sleep_aio(0, c.aio);
		}
		nng_aio_wait(c.aio);
		assert_false(skipped);
		assert_int_equal(consumer_calls(&c), form + 1);
	}
	nng_aio_free(c.aio);
}

/* "(finish, or a refused begin or start, R10 included)". Method: a start refused for its deadline; a begin and a
 * start refused because the handle is stopped: *b true, the reason is the result, no callback. */
static void
skip_of_a_refused_start(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	for (int i = 0; i < 4; i++) {
		bool skipped = false;
		if (i == 0) {
			nng_aio_set_timeout(c.aio, NNG_DURATION_ZERO);
		} else if (i == 2) {
			nng_aio_stop(c.aio);
		}
		nng_aio_skip_callback(c.aio, &skipped);
		if (i == 1) { /* "Reset does not withdraw the request." */
			nng_aio_reset(c.aio);
		}
		if (i == 2) {
			assert_false(nng_aio_begin(c.aio));
		} else {
			assert_false(provider_start(&p, c.aio));
		}
		assert_true(skipped);
		assert_false(nng_aio_busy(c.aio));
		assert_int_equal(nng_aio_result(c.aio), i < 2 ? NNG_ETIMEDOUT : NNG_ESTOPPED);
		shard_pass(0);
		assert_int_equal(consumer_calls(&c), 0);
	}
	nng_aio_free(c.aio);
}

struct inner {
	struct provider p;
	bool asked;
	bool skipped;
	bool started;
};

static void
skip_and_start(struct consumer *c)
{
	struct inner *in = c->arg;
	nng_aio_skip_callback(c->aio, &in->skipped);
	in->asked = !in->skipped;
	in->started = provider_start(&in->p, c->aio);
}

/* "R10 included". Method: in a callback that delivers NNG_ESTOPPED: the request, and a start: refused, *b true. */
static void
skip_of_a_start_refused_in_the_stopped_callback(void **unused)
{
	struct consumer c = CONSUMER;
	struct inner in = { .p = PROVIDER };
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	c.step = skip_and_start;
	c.arg = &in;
	assert_true(provider_start(&p, c.aio));
	nng_aio_stop(c.aio);
	assert_int_equal(consumer_calls(&c), 1);
	assert_true(in.asked);
	assert_false(in.started);
	assert_true(in.skipped);
	assert_int_equal(nng_aio_result(c.aio), NNG_ESTOPPED);
	nng_aio_free(c.aio);
}

static void *
finish_there(void *arg)
{
	nng_aio_finish(arg, NNG_OK);
	return NULL;
}

static void *
refuse_there(void *arg)
{
	(void) nng_aio_start(arg, NULL, NULL);
	return NULL;
}

/* "On any other thread, or with a reap pending, the callback is called as usual." Method: this thread asks, another
 * one finishes, after reset and after begin; another one's start is refused: called, and *b stays false. */
static void
skip_on_another_thread_calls_back(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	consumer_open(&c, 0);
	for (unsigned form = 0; form < 3; form++) {
		bool skipped;
		nng_aio_skip_callback(c.aio, &skipped);
		if (form == 0) {
			nng_aio_reset(c.aio);
		} else if (form == 1) {
			assert_true(nng_aio_begin(c.aio));
		} else {
			nng_aio_set_timeout(c.aio, NNG_DURATION_ZERO);
		}
		thread_end(thread_start(form < 2 ? finish_there : refuse_there, c.aio));
		nng_aio_wait(c.aio);
		assert_false(skipped);
		assert_int_equal(consumer_calls(&c), form + 1);
	}
	nng_aio_free(c.aio);
}

/* "with a reap pending, the callback is called as usual." Method: a provider that has begun the operation; the
 * consumer reaps the handle; the provider finishes, on the thread that asked: the callback runs and the slot goes. */
static void
skip_with_a_reap_pending_calls_back(void **unused)
{
	struct consumer c = CONSUMER;
	bool skipped;

	(void) unused;
	consumer_open(&c, 0);
	nng_aio_skip_callback(c.aio, &skipped);
	assert_true(nng_aio_begin(c.aio));
	nng_aio_reap(c.aio);
	nng_aio_finish(c.aio, NNG_EPROTO);
	gate_pass(&c.called, 1);
	assert_false(skipped);
	assert_int_equal(c.result, NNG_EPROTO);
	assert_int_equal(shard_slots(0), 0);
	assert_int_equal(consumer_calls(&c), 1);
}

struct waiting {
	nng_aio *aio;
	struct gate begun;
};

static void *
wait_there(void *arg)
{
	struct waiting *w = arg;
	gate_open(&w->begun);
	nng_aio_wait(w->aio);
	return NULL;
}

/* An operation that is skipped completes for those who wait, too. Method: a thread waits for a begun operation; the
 * finish is skipped; the thread comes back. */
static void
skip_wakes_who_waits(void **unused)
{
	struct consumer c = CONSUMER;
	struct waiting w = { .begun = GATE };
	bool skipped;

	(void) unused;
	consumer_open(&c, 0);
	nng_aio_skip_callback(c.aio, &skipped);
	assert_true(nng_aio_begin(c.aio));
	w.aio = c.aio;
	pthread_t thread = thread_start(wait_there, &w);
	gate_pass(&w.begun, 1);
	nng_aio_finish(c.aio, NNG_OK);
	thread_end(thread);
	assert_true(skipped);
	nng_aio_free(c.aio);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(skip_sets_false_when_called),
		TEST_TWO(skip_takes_the_place_of_the_callback),
		TEST_TWO(skip_is_for_one_operation),
		TEST_TWO(skip_of_an_asynchronous_operation_calls_back),
		TEST_TWO(skip_of_a_refused_start),
		TEST_TWO(skip_of_a_start_refused_in_the_stopped_callback),
		TEST_TWO(skip_on_another_thread_calls_back),
		TEST_TWO(skip_with_a_reap_pending_calls_back),
		TEST_TWO(skip_wakes_who_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * reap_test.c: the contract of nng_aio_reap.
 */
#include "tests/contract/contract.h"

/* "nng_aio_reap(aio): the same [as free], never blocks". Method: the operation's provider ignores its cancel, so free
 * would wait; reap returns while the operation is under way, the cancel function gets NNG_ESTOPPED, the callback runs
 * once, after the finish that reap did not wait for, and then the slot is released. */
static void
reap_does_what_free_does_and_never_blocks(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	p.ignores = true;
	consumer_open(&c, 0);
	assert_true(provider_start(&p, c.aio));
	nng_aio_reap(c.aio);
	gate_pass(&p.canceled, 1);
	assert_int_equal(p.reason, NNG_ESTOPPED);
	assert_int_equal(shard_slots(0), 1);
	assert_int_equal(consumer_calls(&c), 0);
	nng_aio_finish(c.aio, NNG_EPROTO); /* the provider may: the operation is its until here */
	gate_pass(&c.called, 1);
	assert_int_equal(c.result, NNG_EPROTO);
	assert_int_equal(shard_slots(0), 0);
	assert_int_equal(consumer_calls(&c), 1);
	assert_int_equal(provider_cancels(&p), 1);
}

static void
reap_self(struct consumer *c)
{
	nng_aio_reap(c->aio);
}

/* "legal in the own callback". Method: the callback reaps its handle. */
static void
reap_is_legal_in_the_own_callback(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	consumer_open(&c, 0);
	c.step = reap_self;
	nng_sleep_aio(0, c.aio);
	gate_pass(&c.called, 1);
	assert_int_equal(shard_slots(0), 0);
	assert_int_equal(consumer_calls(&c), 1);
}

static void
start_and_reap_self(struct consumer *c)
{
	struct provider *p = c->arg;
	if (nng_aio_result(c->aio) == NNG_OK && provider_start(p, c->aio)) {
		nng_aio_reap(c->aio);
	}
}

/* "legal in the own callback", also one that has started the handle again: that operation is aborted, has its one
 * callback, and only then the slot goes. Method: as it says. */
static void
reap_in_a_callback_that_started_again(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	c.step = start_and_reap_self;
	c.arg = &p;
	nng_sleep_aio(0, c.aio);
	gate_pass(&c.called, 2);
	assert_int_equal(p.reason, NNG_ESTOPPED);
	assert_int_equal(c.result, NNG_ESTOPPED);
	assert_int_equal(shard_slots(0), 0);
	assert_int_equal(consumer_calls(&c), 2);
}

/* "reap" of an idle handle: released at once, or by home when its timer is still linked; never at the deadline.
 * Method: one handle that was never used; one whose operation ended long before its deadline of an hour. */
static void
reap_of_an_idle_handle_releases_it(void **unused)
{
	struct provider p = PROVIDER;
	nng_aio *fresh, *timed;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&fresh, 0, NULL, NULL), NNG_OK);
	assert_int_equal(pinwheel_aio_alloc_on(&timed, 0, NULL, NULL), NNG_OK);
	nng_aio_set_timeout(timed, HOUR_MS);
	assert_true(provider_start(&p, timed));
	shard_pass(0); /* the timer is linked */
	nng_aio_finish(timed, NNG_OK);
	nng_aio_wait(timed);
	assert_int_equal(shard_stats(0).timers_linked, 1);
	nng_aio_reap(fresh);
	assert_int_equal(shard_slots(0), 1);
	nng_aio_reap(timed);
	assert_int_equal(shard_slots(0), 0);
	assert_int_equal(shard_stats(0).timers_linked, 0);
	assert_int_equal(provider_cancels(&p), 0);
}

/* "A state machine of the home shard, not a thread: a provider that ignores its cancel delays nobody else's reap."
 * Method: one handle whose provider ignores is reaped first; the ten reaped after it, on the same shard, are released
 * while it still waits. */
static void
reap_is_delayed_by_nobody_else(void **unused)
{
	struct provider stubborn = PROVIDER;
	struct provider p[10];
	nng_aio *first, *aio[10];

	(void) unused;
	stubborn.ignores = true;
	assert_int_equal(pinwheel_aio_alloc_on(&first, 0, NULL, NULL), NNG_OK);
	assert_true(provider_start(&stubborn, first));
	nng_aio_reap(first);
	gate_pass(&stubborn.canceled, 1);
	for (int i = 0; i < 10; i++) {
		p[i] = (struct provider) PROVIDER;
		assert_int_equal(pinwheel_aio_alloc_on(&aio[i], 0, NULL, NULL), NNG_OK);
		assert_true(provider_start(&p[i], aio[i]));
		nng_aio_reap(aio[i]);
	}
	assert_int_equal(shard_slots(0), 1);
	assert_true(nng_aio_busy(first)); /* this test may look: it is the provider, and has not finished */
	nng_aio_finish(first, NNG_OK);
	assert_int_equal(shard_slots(0), 0);
}

static void
again_until_refused(struct consumer *c)
{
	struct provider *p = c->arg;
	c->count = provider_start(p, c->aio);
}

/* Reap marks the handle stopped, so what its callback starts is refused. Method: the callback of the aborted
 * operation starts it again and records the answer. */
static void
reap_refuses_what_the_callback_starts(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	c.step = again_until_refused;
	c.arg = &p;
	assert_true(provider_start(&p, c.aio));
	nng_aio_reap(c.aio);
	gate_pass(&c.called, 1);
	assert_int_equal(c.count, false);
	assert_int_equal(shard_slots(0), 0);
	assert_int_equal(consumer_calls(&c), 1);
}

/* "Reaping twice, or reap and free, is misuse and is reported." Method: all four orders, while the operation is under
 * way, so that the handle is certainly still there; each second call is reported and has no effect. */
static void
reap_twice_is_misuse(void **unused)
{
	void (*const ends[])(nng_aio *) = { nng_aio_reap, nng_aio_free };
	const char *const names[] = { "nng_aio_reap", "nng_aio_free" };

	(void) unused;
	for (int second = 0; second < 2; second++) {
		struct consumer c = CONSUMER;
		struct provider p = PROVIDER;
		p.ignores = true;
		consumer_open(&c, 0);
		assert_true(provider_start(&p, c.aio));
		nng_aio_reap(c.aio);
		gate_pass(&p.canceled, 1);
		ends[second](c.aio);
		(void) misuse_expect(names[second], c.aio, "CANCELING|STOPPED|FREEING");
		nng_aio_finish(c.aio, NNG_OK);
		gate_pass(&c.called, 1);
		assert_int_equal(shard_slots(0), 0);
		assert_int_equal(consumer_calls(&c), 1);
	}
}

struct freeing {
	nng_aio *aio;
};

static void *
free_it(void *arg)
{
	struct freeing *f = arg;
	nng_aio_free(f->aio);
	return NULL;
}

/* "reap and free, is misuse", the other way round: a free is waiting when the handle is reaped, and when it is freed
 * again. Method: as above; the first free stands, and returns after the finish. */
static void
reap_while_a_free_waits_is_misuse(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	p.ignores = true;
	consumer_open(&c, 0);
	assert_true(provider_start(&p, c.aio));
	struct freeing f = { .aio = c.aio };
	pthread_t thread = thread_start(free_it, &f);
	gate_pass(&p.canceled, 1); /* free has marked it */
	nng_aio_reap(c.aio);
	(void) misuse_expect("nng_aio_reap", c.aio, "CANCELING|STOPPED|FREEING");
	nng_aio_free(c.aio);
	(void) misuse_expect("nng_aio_free", c.aio, "CANCELING|STOPPED|FREEING");
	nng_aio_finish(c.aio, NNG_OK);
	thread_end(thread);
	assert_int_equal(consumer_calls(&c), 1);
	assert_int_equal(shard_slots(0), 0);
}

#if !defined(__SANITIZE_ADDRESS__)
/* "Reaping twice, or reap and free, is misuse and is reported", also when the first one is over: the released slot
 * says so until it is given out again. (A build with AddressSanitizer poisons it, and reports the second call
 * itself.) Method: an idle handle, ended in each of two ways, twice. */
static void
free_of_a_released_handle_is_misuse(void **unused)
{
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 1, NULL, NULL), NNG_OK);
	nng_aio_free(aio);
	nng_aio_free(aio);
	(void) misuse_expect("nng_aio_free", aio, "IDLE|STOPPED|FREEING");
	nng_aio_reap(aio);
	(void) misuse_expect("nng_aio_reap", aio, "IDLE|STOPPED|FREEING");
	assert_int_equal(shard_slots(1), 0);
}
#endif

/* "nng_fini drains." Method: ten handles are reaped, their operations under way, and nng_fini called at once: when it
 * returns, all callbacks have left. */
static void
reap_is_carried_out_by_fini(void **unused)
{
	struct consumer c[10];
	struct provider p[10];

	(void) unused;
	for (int i = 0; i < 10; i++) {
		c[i] = (struct consumer) CONSUMER;
		p[i] = (struct provider) PROVIDER;
		consumer_open(&c[i], i % 2);
		nng_aio_set_timeout(c[i].aio, HOUR_MS);
		assert_true(provider_start(&p[i], c[i].aio));
		nng_aio_reap(c[i].aio);
	}
	nng_fini();
	uint64_t over = moment();
	for (int i = 0; i < 10; i++) {
		assert_int_equal(consumer_calls(&c[i]), 1);
		assert_int_equal(c[i].result, NNG_ESTOPPED);
		assert_true(c[i].left < over);
	}
	assert_int_equal(start_shards(2), NNG_OK);
	assert_int_equal(shard_slots(0) + shard_slots(1), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(reap_does_what_free_does_and_never_blocks),
		TEST_TWO(reap_is_legal_in_the_own_callback),
		TEST_TWO(reap_in_a_callback_that_started_again),
		TEST_TWO(reap_of_an_idle_handle_releases_it),
		TEST_TWO(reap_is_delayed_by_nobody_else),
		TEST_TWO(reap_refuses_what_the_callback_starts),
		TEST_RECORDED(reap_twice_is_misuse),
		TEST_RECORDED(reap_while_a_free_waits_is_misuse),
#if !defined(__SANITIZE_ADDRESS__)
		TEST_RECORDED(free_of_a_released_handle_is_misuse),
#endif
		TEST_TWO(reap_is_carried_out_by_fini),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

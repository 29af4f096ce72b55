/* SPDX-License-Identifier: MIT
 *
 * sleep_test.c: the contract of time: nng_clock, nng_msleep, nng_sleep_aio, pinwheel_sleep_ns.
 */
#include "tests/contract/contract.h"

/* "nng_duration is int32_t ms (INFINITE -1, DEFAULT -2, ZERO 0); nng_time uint64_t ms, monotonic (nng_clock)."
 * Method: sizes and signs; the clock beside the one in nanoseconds, which it is, rounded down. Needs no engine. */
static void
clock_counts_monotonic_milliseconds(void **unused)
{
	uint64_t last_ns = 0;

	(void) unused;
	assert_int_equal(sizeof(nng_duration), 4);
	assert_true((nng_duration) -1 < 0);
	assert_int_equal(sizeof(nng_time), 8);
	assert_true((nng_time) -1 > 0);
	for (int i = 0; i < 1000; i++) {
		uint64_t before_ns = pinwheel_clock_ns();
		nng_time now_ms = nng_clock();
		uint64_t after_ns = pinwheel_clock_ns();
		assert_in_range(now_ms, before_ns / MS, after_ns / MS);
		assert_true(before_ns >= last_ns);
		last_ns = after_ns;
	}
}

/* "nng_msleep(ms) at least ms; negative: returns at once." Method: the clock around it; the most negative values,
 * which as unsigned ones would be 24 days. */
static void
msleep_is_never_short_and_negative_is_none(void **unused)
{
	(void) unused;
	for (nng_duration ms = 0; ms <= 4; ms++) {
		uint64_t before_ns = pinwheel_clock_ns();
		nng_msleep(ms);
		assert_true(pinwheel_clock_ns() - before_ns >= (uint64_t) ms * MS);
	}
	nng_msleep(NNG_DURATION_INFINITE);
	nng_msleep(NNG_DURATION_DEFAULT);
	nng_msleep(INT32_MIN);
}

struct nap {
	struct consumer *c;
	int64_t ns;
};

static void
nap_here(void *arg)
{
	struct nap *nap = arg;
	pinwheel_sleep_ns(nap->ns, nap->c->aio);
}

/* "nng_sleep_aio(ms, aio): result 0 after at least ms". Method: the clock before the call and after the wait, over
 * several lengths, in milliseconds and nanoseconds; from outside and on the home shard. */
static void
sleep_ends_with_0_and_is_never_short(void **unused)
{
	static const int64_t lengths_ns[] = { 1, 1000, 65536, 99999, 1000000, 3000001, 12000000 };
	struct consumer c = CONSUMER;

	(void) unused;
	consumer_open(&c, 0);
	for (nng_duration ms = 1; ms <= 5; ms++) {
		uint64_t before_ns = pinwheel_clock_ns();
		nng_sleep_aio(ms, c.aio);
		nng_aio_wait(c.aio);
		assert_true(pinwheel_clock_ns() - before_ns >= (uint64_t) ms * MS);
		assert_int_equal(c.result, NNG_OK);
		assert_int_equal(c.count, 0);
	}
	for (size_t i = 0; i < sizeof lengths_ns / sizeof lengths_ns[0]; i++) {
		struct nap nap = { .c = &c, .ns = lengths_ns[i] };
		uint64_t before_ns = pinwheel_clock_ns();
		pinwheel_sleep_ns(lengths_ns[i], c.aio);
		nng_aio_wait(c.aio);
		assert_true(pinwheel_clock_ns() - before_ns >= (uint64_t) lengths_ns[i]);
		before_ns = pinwheel_clock_ns();
		shard_run(0, nap_here, &nap);
		nng_aio_wait(c.aio);
		assert_true(pinwheel_clock_ns() - before_ns >= (uint64_t) lengths_ns[i]);
		assert_int_equal(c.result, NNG_OK);
	}
	assert_int_equal(consumer_calls(&c), 5 + 2 * sizeof lengths_ns / sizeof lengths_ns[0]);
	nng_aio_free(c.aio);
}

struct late {
	struct consumer *c;
	uint64_t called_ns;
};

static void
stay_and_sleep(void *arg)
{
	struct late *late = arg;
	nng_msleep(8);
	late->called_ns = pinwheel_clock_ns();
	nng_sleep_aio(10, late->c->aio);
}

/* "Never early", although a callback before it has kept the shard. DESIGN: "a cached now is a lower bound". Method:
 * in one function of the shard, first 8 ms in the processor, then a sleep of 10 ms: measured from its own start. */
static void
sleep_started_late_in_a_turn_is_not_short(void **unused)
{
	struct consumer c = CONSUMER;
	struct late late = { .c = &c };

	(void) unused;
	consumer_open(&c, 0);
	shard_run(0, stay_and_sleep, &late);
	nng_aio_wait(c.aio);
	assert_true(pinwheel_clock_ns() - late.called_ns >= 10 * MS);
	nng_aio_free(c.aio);
}

/* "NNG_ETIMEDOUT at the timeout or expiration if that comes first". Method: a sleep of an hour with each; not before
 * its time. And the other way round: 0, with a timeout and an expiration of an hour. */
static void
sleep_ends_with_etimedout_when_the_deadline_is_first(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	consumer_open(&c, 0);
	for (int i = 0; i < 4; i++) {
		uint64_t due_ns = pinwheel_clock_ns() + 5 * MS;
		bool short_limit = i < 2;
		if (i % 2 == 0) {
			nng_aio_set_timeout(c.aio, short_limit ? 5 : HOUR_MS);
		} else {
			nng_aio_set_timeout(c.aio, NNG_DURATION_DEFAULT);
			nng_aio_set_expire(c.aio, nng_clock() + (short_limit ? 6 : HOUR_MS));
		}
		nng_sleep_aio(short_limit ? HOUR_MS : 5, c.aio);
		nng_aio_wait(c.aio);
		assert_true(pinwheel_clock_ns() >= due_ns);
		assert_int_equal(c.result, short_limit ? NNG_ETIMEDOUT : NNG_OK);
	}
	assert_int_equal(consumer_calls(&c), 4);
	nng_aio_free(c.aio);
}

/* "(equal: 0, also when both are 0: a sleep is exempt from R15) (R16)". Method: equal lengths above 0 and at 0, and
 * infinite both; a zero timeout with a longer sleep, which is ETIMEDOUT; an expiration in the past, which comes first
 * even against a sleep of 0. */
static void
sleep_as_long_as_its_timeout_ends_with_0(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	consumer_open(&c, 0);
	for (nng_duration ms = 0; ms <= 3; ms++) {
		nng_aio_set_timeout(c.aio, ms);
		nng_sleep_aio(ms, c.aio);
		nng_aio_wait(c.aio);
		assert_int_equal(c.result, NNG_OK);
		assert_int_equal(consumer_calls(&c), ms + 1);
	}
	nng_aio_set_timeout(c.aio, NNG_DURATION_ZERO);
	nng_sleep_aio(HOUR_MS, c.aio);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_ETIMEDOUT);
	nng_aio_set_expire(c.aio, 1);
	nng_sleep_aio(0, c.aio);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_ETIMEDOUT);
	nng_aio_set_timeout(c.aio, -3); /* already expired */
	nng_sleep_aio(0, c.aio);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_ETIMEDOUT);
	assert_int_equal(consumer_calls(&c), 7);
	nng_aio_free(c.aio);
}

struct order {
	struct consumer zero;
	struct consumer mark;
};

static void
start_zero(void *arg)
{
	struct order *o = arg;
	nng_sleep_aio(0, o->zero.aio);
	nng_aio_reset(o->mark.aio);
	nng_aio_finish(o->mark.aio, NNG_OK);
}

/* "0: as soon as possible". Method: on the shard, a sleep of 0 and then a synchronous completion: the sleep's
 * callback is not later. */
static void
sleep_of_0_ends_as_soon_as_possible(void **unused)
{
	struct order o = { .zero = CONSUMER, .mark = CONSUMER };

	(void) unused;
	consumer_open(&o.zero, 0);
	consumer_open(&o.mark, 0);
	shard_run(0, start_zero, &o);
	nng_aio_wait(o.zero.aio);
	nng_aio_wait(o.mark.aio);
	assert_true(o.zero.entered < o.mark.entered);
	nng_aio_free(o.zero.aio);
	nng_aio_free(o.mark.aio);
}

static void
sleep_again(struct consumer *c)
{
	if (nng_aio_result(c->aio) == NNG_OK) {
		nng_sleep_aio(0, c->aio);
	}
}

/* A sleep of 0 that its callback repeats for ever does not keep the shard from the rest (libuv #4250). Method: such a
 * one, and a sleep of 2 ms and a function sent to the same shard, which end. */
static void
sleep_of_0_repeated_starves_nobody(void **unused)
{
	struct consumer c = CONSUMER;
	nng_aio *sleeper;

	(void) unused;
	consumer_open(&c, 0);
	c.step = sleep_again;
	nng_sleep_aio(0, c.aio);
	assert_int_equal(pinwheel_aio_alloc_on(&sleeper, 0, NULL, NULL), NNG_OK);
	nng_sleep_aio(2, sleeper);
	nng_aio_wait(sleeper);
	shard_pass(0);
	nng_aio_stop(c.aio);
	assert_int_equal(c.result, NNG_ESTOPPED);
	nng_aio_free(c.aio);
	nng_aio_free(sleeper);
}

/* "INFINITE: never (R22)." Method: both forms, with a sleep of the same shard in between; cancelled at the end; an
 * infinite timeout beside it does not end it either. A timeout does. */
static void
sleep_of_infinite_never_ends_by_itself(void **unused)
{
	struct consumer c = CONSUMER;
	nng_aio *sleeper;

	(void) unused;
	consumer_open(&c, 0);
	assert_int_equal(pinwheel_aio_alloc_on(&sleeper, 0, NULL, NULL), NNG_OK);
	for (unsigned form = 0; form < 2; form++) {
		nng_aio_set_timeout(c.aio, NNG_DURATION_INFINITE);
		if (form == 0) {
			nng_sleep_aio(NNG_DURATION_INFINITE, c.aio);
		} else {
			pinwheel_sleep_ns(NNG_DURATION_INFINITE, c.aio);
		}
		nng_sleep_aio(3, sleeper);
		nng_aio_wait(sleeper);
		assert_true(nng_aio_busy(c.aio));
		nng_aio_cancel(c.aio);
		nng_aio_wait(c.aio);
		assert_int_equal(consumer_calls(&c), form + 1);
		assert_int_equal(c.result, NNG_ECANCELED);
	}
	nng_aio_set_timeout(c.aio, 2);
	nng_sleep_aio(NNG_DURATION_INFINITE, c.aio);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_ETIMEDOUT);
	nng_aio_free(sleeper);
	nng_aio_free(c.aio);
}

/* "Cancel, stop as any operation". Method: abort with a reason; stop; a refused sleep on the stopped handle (R9). */
static void
sleep_is_aborted_and_stopped_as_any_operation(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	consumer_open(&c, 0);
	nng_sleep_aio(HOUR_MS, c.aio);
	nng_aio_abort(c.aio, NNG_EPROTO);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_EPROTO);
	nng_sleep_aio(HOUR_MS, c.aio);
	nng_aio_stop(c.aio);
	assert_int_equal(c.result, NNG_ESTOPPED);
	assert_int_equal(consumer_calls(&c), 2);
	for (unsigned i = 0; i < 2; i++) {
		nng_sleep_aio(i == 0 ? HOUR_MS : 0, c.aio);
		nng_aio_wait(c.aio);
		assert_int_equal(consumer_calls(&c), 3 + i);
		assert_int_equal(c.result, NNG_ESTOPPED);
	}
	nng_aio_free(c.aio);
}

static void
find_left(const struct pinwheel_outstanding *one, void *arg)
{
	*(int64_t *) arg = one->deadline_in_ns;
}

/* "leaves the timeout as it was." Method: a timeout of an hour, a sleep of 1 ms and one of 0; a provider's operation
 * on the same handle then has the hour. */
static void
sleep_leaves_the_timeout_as_it_was(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	int64_t left_ns = 0;

	(void) unused;
	consumer_open(&c, 0);
	nng_aio_set_timeout(c.aio, HOUR_MS);
	for (nng_duration ms = 0; ms < 2; ms++) {
		nng_sleep_aio(ms, c.aio);
		nng_aio_wait(c.aio);
		assert_int_equal(c.result, NNG_OK);
		assert_true(provider_start(&p, c.aio));
		assert_int_equal(pinwheel_dump_each(find_left, &left_ns), 1);
		assert_in_range(left_ns, 1, HOUR_MS * MS);
		nng_aio_finish(c.aio, NNG_OK);
		nng_aio_wait(c.aio);
	}
	nng_aio_free(c.aio);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clock_counts_monotonic_milliseconds),
		cmocka_unit_test(msleep_is_never_short_and_negative_is_none),
		TEST_TWO(sleep_ends_with_0_and_is_never_short),
		TEST_TWO(sleep_started_late_in_a_turn_is_not_short),
		TEST_TWO(sleep_ends_with_etimedout_when_the_deadline_is_first),
		TEST_TWO(sleep_as_long_as_its_timeout_ends_with_0),
		TEST_TWO(sleep_of_0_ends_as_soon_as_possible),
		TEST_TWO(sleep_of_0_repeated_starves_nobody),
		TEST_TWO(sleep_of_infinite_never_ends_by_itself),
		TEST_TWO(sleep_is_aborted_and_stopped_as_any_operation),
		TEST_TWO(sleep_leaves_the_timeout_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * timeout_test.c: the contract of nng_aio_set_timeout, nng_aio_set_expire and their forms in nanoseconds.
 */
#include "tests/contract/contract.h"

/* The time left of the one operation that is under way; INT64_MAX: no deadline. */
struct left {
	const nng_aio *aio;
	int64_t left_ns;
	unsigned found;
};

static void
look_at(const struct pinwheel_outstanding *one, void *arg)
{
	struct left *left = arg;
	if (one->aio == left->aio) {
		left->left_ns = one->deadline_in_ns;
		left->found++;
	}
}

static int64_t
time_left_ns(const nng_aio *aio)
{
	struct left left = { .aio = aio };
	(void) pinwheel_dump_each(look_at, &left);
	assert_int_equal(left.found, 1);
	return left.left_ns;
}

/* Ends the operation under way from outside. */
static void
end(nng_aio *aio)
{
	nng_aio_finish(aio, NNG_OK);
	nng_aio_wait(aio);
}

/* "nng_aio_set_timeout(aio, ms) / nng_aio_set_expire(aio, t)": "Expiry calls the cancel function with NNG_ETIMEDOUT",
 * and "Never early." Method: both setters and their forms in nanoseconds, 7 ms each; the clock before the start and
 * when the callback has run. An absolute time that passes before the start, because the machine stood still, is a
 * refusal, and tried again. */
static void
expiry_calls_the_cancel_function_and_is_never_early(void **unused)
{
	(void) unused;
	for (int setter = 0; setter < 4; setter++) {
		struct consumer c = CONSUMER;
		struct provider p = PROVIDER;
		consumer_open(&c, 0);
		uint64_t due_ns;
		bool started;
		do {
			due_ns = pinwheel_clock_ns() + 7 * MS;
			if (setter == 0) {
				nng_aio_set_timeout(c.aio, 7);
			} else if (setter == 1) {
				pinwheel_aio_set_timeout_ns(c.aio, (int64_t) (7 * MS));
			} else if (setter == 2) {
				nng_time due_ms = nng_clock() + 8;
				due_ns = due_ms * MS;
				nng_aio_set_expire(c.aio, due_ms);
			} else {
				pinwheel_aio_set_deadline_ns(c.aio, due_ns);
			}
			started = provider_start(&p, c.aio);
			nng_aio_wait(c.aio);
		} while (!started);
		assert_true(pinwheel_clock_ns() >= due_ns);
		assert_int_equal(p.reason, NNG_ETIMEDOUT);
		assert_int_equal(provider_cancels(&p), 1);
		assert_int_equal(c.result, NNG_ETIMEDOUT);
		nng_aio_free(c.aio);
	}
}

/* "take effect at the next start", and "Set while busy: takes effect next time." Method: an operation without a
 * deadline is under way when each setter sets one; it still has none; the next one has it. */
static void
setters_take_effect_at_the_next_start(void **unused)
{
	struct provider p = PROVIDER;
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	for (int setter = 0; setter < 2; setter++) {
		nng_aio_set_timeout(aio, NNG_DURATION_INFINITE);
		assert_true(provider_start(&p, aio));
		if (setter == 0) {
			nng_aio_set_timeout(aio, HOUR_MS);
		} else {
			nng_aio_set_expire(aio, nng_clock() + HOUR_MS);
		}
		assert_int_equal(time_left_ns(aio), INT64_MAX);
		end(aio);
		assert_true(provider_start(&p, aio));
		assert_in_range(time_left_ns(aio), 1, HOUR_MS * MS);
		end(aio);
	}
	nng_aio_free(aio);
}

/* "The timeout is sticky; INFINITE (-1) and DEFAULT (-2, unless the provider substitutes its own) are none." Method:
 * three operations with one setting each, of the 2.x form and of the 1.x form. */
static void
timeout_is_sticky_and_infinite_and_default_are_none(void **unused)
{
	static const nng_duration settings[] = { HOUR_MS, NNG_DURATION_INFINITE, NNG_DURATION_DEFAULT };
	struct provider p = PROVIDER;
	nng_aio *aio;

	(void) unused;
	assert_int_equal(NNG_DURATION_INFINITE, -1);
	assert_int_equal(NNG_DURATION_DEFAULT, -2);
	assert_int_equal(NNG_DURATION_ZERO, 0);
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	for (int s = 0; s < 3; s++) {
		nng_aio_set_timeout(aio, settings[s]);
		for (int i = 0; i < 4; i++) {
			if (i % 2 == 0) {
				assert_true(provider_start(&p, aio));
			} else {
				assert_true(nng_aio_begin(aio));
				nng_aio_defer(aio, provider_cancel, &p);
			}
			if (s == 0) {
				assert_in_range(time_left_ns(aio), 1, HOUR_MS * MS);
			} else {
				assert_int_equal(time_left_ns(aio), INT64_MAX);
			}
			end(aio);
		}
	}
	assert_int_equal(provider_cancels(&p), 0);
	nng_aio_free(aio);
}

/* "ZERO: the start is refused with NNG_ETIMEDOUT, the cancel function is never registered (R15). Other negative
 * values: already expired." And of the expiration: "in the past = refused with NNG_ETIMEDOUT". Method: each refuses
 * each time, with one completion, on the home shard and from outside; the cancel function is never called. */
static void
start_is_refused_when_the_time_is_over(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	for (unsigned i = 0; i < 9; i++) {
		switch (i) {
		case 0:
			nng_aio_set_timeout(c.aio, NNG_DURATION_ZERO);
			break;
		case 2:
			nng_aio_set_timeout(c.aio, -3);
			break;
		case 3:
			nng_aio_set_timeout(c.aio, INT32_MIN);
			break;
		case 4:
			pinwheel_aio_set_timeout_ns(c.aio, INT64_MIN);
			break;
		case 5:
			nng_aio_set_timeout(c.aio, NNG_DURATION_DEFAULT);
			nng_aio_set_expire(c.aio, 0);
			break;
		case 6:
			nng_aio_set_expire(c.aio, nng_clock());
			break;
		case 7:
			pinwheel_aio_set_deadline_ns(c.aio, 0);
			break;
		case 8:
			pinwheel_aio_set_deadline_ns(c.aio, pinwheel_clock_ns());
			break;
		default: /* sticky: as before */
			break;
		}
		assert_false(provider_start(&p, c.aio));
		nng_aio_wait(c.aio);
		shard_pass(0);
		assert_int_equal(consumer_calls(&c), i + 1);
		assert_int_equal(c.result, NNG_ETIMEDOUT);
		assert_int_equal(nng_aio_result(c.aio), NNG_ETIMEDOUT);
	}
	assert_int_equal(provider_cancels(&p), 0);
	nng_aio_free(c.aio);
}

/* The 1.x form of the same: "A zero or past deadline counts as expired there: fn(NNG_ETIMEDOUT) right after defer
 * (R15 is start's); the deadline is fixed by begin, armed by defer." Method: each such time; begin accepts, defer
 * returns before the cancel function is called with the reason. And a deadline that passes between begin and
 * defer. */
static void
begin_accepts_when_the_time_is_over_and_defer_expires(void **unused)
{
	(void) unused;
	for (int i = 0; i < 4; i++) {
		struct consumer c = CONSUMER;
		struct provider p = PROVIDER;
		struct hold hold = HOLD;
		consumer_open(&c, 0);
		if (i == 0) {
			nng_aio_set_timeout(c.aio, NNG_DURATION_ZERO);
		} else if (i == 1) {
			nng_aio_set_timeout(c.aio, -3);
		} else if (i == 2) {
			nng_aio_set_expire(c.aio, 1);
		} else {
			nng_aio_set_timeout(c.aio, 2);
		}
		assert_true(nng_aio_begin(c.aio));
		nng_aio_set_timeout(c.aio, NNG_DURATION_INFINITE); /* begin has fixed it */
		nng_msleep(3);
		shard_hold(&hold, 0);
		nng_aio_defer(c.aio, provider_cancel, &p);
		assert_int_equal(provider_cancels(&p), 0);
		assert_true(nng_aio_busy(c.aio));
		shard_let_go(&hold, 0);
		nng_aio_wait(c.aio);
		assert_int_equal(p.reason, NNG_ETIMEDOUT);
		assert_int_equal(c.result, NNG_ETIMEDOUT);
		assert_int_equal(consumer_calls(&c), 1);
		assert_true(provider_start(&p, c.aio)); /* INFINITE holds for this one */
		end(c.aio);
		nng_aio_free(c.aio);
	}
}

/* "The expiration is an absolute nng_clock time for one operation, consumed however that ends (R17: NNG leaks it) ...
 * then the sticky timeout is back". Method: a past expiration, consumed by a refusal; one of an hour, consumed by an
 * operation that succeeds, one that is cancelled, one that completes from reset, one that is begun and finished, and
 * a sleep: the next operation has the timeout of two hours. */
static void
expiration_is_for_one_operation_however_it_ends(void **unused)
{
	struct provider p = PROVIDER;
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	nng_aio_set_timeout(aio, 2 * HOUR_MS);
	for (int way = 0; way < 6; way++) {
		nng_aio_set_expire(aio, way == 0 ? 1 : nng_clock() + HOUR_MS);
		switch (way) {
		case 0:
			assert_false(provider_start(&p, aio));
			break;
		case 1:
			assert_true(provider_start(&p, aio));
			assert_in_range(time_left_ns(aio), 1, HOUR_MS * MS);
			nng_aio_finish(aio, NNG_OK);
			break;
		case 2:
			assert_true(provider_start(&p, aio));
			nng_aio_cancel(aio);
			break;
		case 3:
			nng_aio_reset(aio);
			nng_aio_finish(aio, NNG_OK);
			break;
		case 4:
			assert_true(nng_aio_begin(aio));
			nng_aio_finish(aio, NNG_OK);
			break;
		default:
			nng_sleep_aio(0, aio);
			break;
		}
		nng_aio_wait(aio);
		assert_true(provider_start(&p, aio));
		assert_in_range(time_left_ns(aio), HOUR_MS * MS + 1, 2 * HOUR_MS * MS);
		end(aio);
	}
	nng_aio_free(aio);
}

/* "the last setter of the two wins". Method: both orders. */
static void
last_setter_wins(void **unused)
{
	struct provider p = PROVIDER;
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	nng_aio_set_timeout(aio, NNG_DURATION_ZERO);
	nng_aio_set_expire(aio, nng_clock() + HOUR_MS);
	assert_true(provider_start(&p, aio));
	assert_in_range(time_left_ns(aio), 1, HOUR_MS * MS);
	end(aio);

	nng_aio_set_expire(aio, 1);
	nng_aio_set_timeout(aio, 2 * HOUR_MS);
	assert_true(provider_start(&p, aio));
	assert_in_range(time_left_ns(aio), HOUR_MS * MS + 1, 2 * HOUR_MS * MS);
	end(aio);

	nng_aio_set_expire(aio, 1);
	pinwheel_aio_set_timeout_ns(aio, NNG_DURATION_INFINITE);
	assert_true(provider_start(&p, aio));
	assert_int_equal(time_left_ns(aio), INT64_MAX);
	end(aio);
	nng_aio_free(aio);
}

/* "all ones = never." Method: over a zero timeout, which would refuse. Also what nanoseconds cannot hold, and the
 * form in nanoseconds. */
static void
expiration_of_all_ones_is_never(void **unused)
{
	struct provider p = PROVIDER;
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	nng_aio_set_timeout(aio, NNG_DURATION_ZERO);
	for (int i = 0; i < 3; i++) {
		if (i == 0) {
			nng_aio_set_expire(aio, UINT64_MAX);
		} else if (i == 1) {
			nng_aio_set_expire(aio, UINT64_MAX / 2);
		} else {
			pinwheel_aio_set_deadline_ns(aio, PINWHEEL_NEVER_NS);
		}
		assert_true(provider_start(&p, aio));
		assert_int_equal(time_left_ns(aio), INT64_MAX);
		end(aio);
	}
	assert_false(provider_start(&p, aio)); /* for one operation */
	nng_aio_wait(aio);
	nng_aio_free(aio);
}

/* "Expiry calls the cancel function with NNG_ETIMEDOUT; without one the operation has no deadline." Method: fn NULL,
 * both forms, 3 ms; when a sleep of 10 ms of the same shard has ended the operation still runs. */
static void
operation_without_a_cancel_function_has_no_deadline(void **unused)
{
	nng_aio *aio, *sleeper;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	assert_int_equal(pinwheel_aio_alloc_on(&sleeper, 0, NULL, NULL), NNG_OK);
	nng_aio_set_timeout(aio, 3);
	for (int i = 0; i < 2; i++) {
		if (i == 0) {
			assert_true(nng_aio_start(aio, NULL, NULL));
		} else {
			assert_true(nng_aio_begin(aio));
			nng_aio_defer(aio, NULL, NULL);
		}
		assert_int_equal(time_left_ns(aio), INT64_MAX);
		nng_sleep_aio(10, sleeper);
		nng_aio_wait(sleeper);
		assert_true(nng_aio_busy(aio));
		end(aio);
		assert_int_equal(nng_aio_result(aio), NNG_OK);
	}
	nng_aio_free(sleeper);
	nng_aio_free(aio);
}

static void
start_own(void *arg)
{
	struct consumer *c = arg;
	c->count = provider_start(c->arg, c->aio);
}

static void
start_and_finish_own(void *arg)
{
	struct consumer *c = arg;
	if (provider_start(c->arg, c->aio)) {
		nng_aio_finish(c->aio, NNG_OK);
	}
}

/* A deadline of one operation never ends the next one, which is what a lazy timer must not do. Method: an operation
 * of 5 ms is started and finished in one function of its home shard, so it cannot have expired, and leaves its timer
 * linked; it is followed by one of an hour, and by one without: when a sleep of 20 ms of the same shard has ended,
 * neither has been cancelled. Then one of 5 ms again, which is. */
static void
deadline_of_a_finished_operation_is_not_the_next_ones(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	nng_aio *sleeper;

	(void) unused;
	consumer_open(&c, 0);
	c.arg = &p;
	assert_int_equal(pinwheel_aio_alloc_on(&sleeper, 0, NULL, NULL), NNG_OK);
	for (int i = 0; i < 2; i++) {
		nng_aio_set_timeout(c.aio, 5);
		shard_run(0, start_and_finish_own, &c);
		nng_aio_wait(c.aio);
		nng_aio_set_timeout(c.aio, i == 0 ? HOUR_MS : NNG_DURATION_INFINITE);
		assert_true(provider_start(&p, c.aio));
		nng_sleep_aio(20, sleeper);
		nng_aio_wait(sleeper);
		assert_int_equal(provider_cancels(&p), 0);
		end(c.aio);
		assert_int_equal(c.result, NNG_OK);
	}
	nng_aio_set_timeout(c.aio, 5);
	assert_true(provider_start(&p, c.aio));
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_ETIMEDOUT);
	nng_aio_free(sleeper);
	nng_aio_free(c.aio);
}

/* An operation may have an earlier deadline than the one the handle's timer is linked at. Method: an hour, finished;
 * then 5 ms, started at home and from outside, in both forms: it expires. */
static void
earlier_deadline_than_the_last_one_expires_in_time(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	consumer_open(&c, 0);
	for (int form = 0; form < 3; form++) {
		struct provider p = PROVIDER;
		nng_aio_set_timeout(c.aio, HOUR_MS);
		assert_true(provider_start(&p, c.aio));
		shard_pass(0);
		end(c.aio);
		assert_int_equal(shard_stats(0).timers_linked, 1);
		nng_aio_set_timeout(c.aio, 5);
		c.arg = &p;
		if (form == 0) {
			assert_true(provider_start(&p, c.aio));
		} else if (form == 1) {
			shard_run(0, start_own, &c);
		} else {
			assert_true(nng_aio_begin(c.aio));
			nng_aio_defer(c.aio, provider_cancel, &p);
		}
		nng_aio_wait(c.aio);
		assert_int_equal(c.result, NNG_ETIMEDOUT);
		assert_int_equal(provider_cancels(&p), 1);
	}
	nng_aio_free(c.aio);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(expiry_calls_the_cancel_function_and_is_never_early),
		TEST_TWO(setters_take_effect_at_the_next_start),
		TEST_TWO(timeout_is_sticky_and_infinite_and_default_are_none),
		TEST_TWO(start_is_refused_when_the_time_is_over),
		TEST_TWO(begin_accepts_when_the_time_is_over_and_defer_expires),
		TEST_TWO(expiration_is_for_one_operation_however_it_ends),
		TEST_TWO(last_setter_wins),
		TEST_TWO(expiration_of_all_ones_is_never),
		TEST_TWO(operation_without_a_cancel_function_has_no_deadline),
		TEST_TWO(deadline_of_a_finished_operation_is_not_the_next_ones),
		TEST_TWO(earlier_deadline_than_the_last_one_expires_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

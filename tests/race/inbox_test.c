/* SPDX-License-Identifier: MIT
 *
 * inbox_test.c: many threads send to one shard: nothing is lost in the ring, on the overflow stack or while the shard
 * falls asleep. See race.h.
 */
#include <poll.h>

#include "tests/race/race.h"

#define SHARDS 2

/* ---- the full ring */

enum {
	SENDERS = 3
};

struct flood {
	struct race_op *op; /* of all senders */
	unsigned each;
	unsigned rounds;
	pthread_barrier_t gate;
};

struct sender {
	struct flood *flood;
	unsigned number;
};

static void *
send_all(void *arg)
{
	struct sender *me = arg;
	struct flood *flood = me->flood;
	uint64_t random = race_stream(110 + me->number);
	struct race_op *first = flood->op + (size_t) me->number * flood->each;
	for (unsigned round = 0; round < flood->rounds; round++) {
		for (unsigned i = 0; i < flood->each; i++) {
			(void) race_start(&first[i]);
		}
		race_meet(&flood->gate); /* the shard is held */
		race_meet(&flood->gate);
		for (unsigned i = 0; i < flood->each; i++) {
			if (race_below(&random, 2) == 0) {
				nng_aio_cancel(first[i].aio);
			}
			if (race_below(&random, 4) != 0) {
				(void) race_finish(&first[i], NNG_OK, i);
			} else {
				nng_aio_cancel(first[i].aio);
			}
		}
		race_meet(&flood->gate); /* the shard is let go */
		for (unsigned i = 0; i < flood->each; i++) {
			nng_aio_wait(first[i].aio);
		}
		race_meet(&flood->gate);
		race_meet(&flood->gate); /* the ledger has been looked at */
	}
	return NULL;
}

/* A full ring is no error: what does not fit goes to the overflow stack, no sender waits, nothing is lost or comes
 * twice. Method: a shard is held in a callback while three threads send it completions and requests, far more than
 * its ring has slots; then it is let go, in some rounds while they still send. */
static void
full_ring_and_overflow_lose_nothing(void **unused)
{
	struct flood flood = { .each = PW_INBOX_SLOTS, .rounds = race_scaled(20, 2) };
	struct sender me[SENDERS];
	pthread_t thread[SENDERS];
	size_t count = (size_t) SENDERS * flood.each;

	(void) unused;
	flood.op = calloc(count, sizeof *flood.op);
	assert_non_null(flood.op);
	for (size_t i = 0; i < count; i++) {
		race_op_init(&flood.op[i], 0);
	}
	assert_int_equal(pthread_barrier_init(&flood.gate, NULL, SENDERS + 1), 0);
	for (unsigned i = 0; i < SENDERS; i++) {
		me[i] = (struct sender){ &flood, i };
		thread[i] = race_thread(send_all, &me[i]);
	}
	for (unsigned round = 0; round < flood.rounds; round++) {
		struct race_hold hold;
		race_meet(&flood.gate);
		race_hold(&hold, 0);
		race_meet(&flood.gate);
		if (round % 2 == 0) {
			race_meet(&flood.gate); /* all are sent: more than the ring holds */
			race_let_go(&hold);
		} else {
			race_let_go(&hold); /* while they send */
			race_meet(&flood.gate);
		}
		race_meet(&flood.gate);
		for (size_t i = 0; i < count; i++) {
			race_op_check(&flood.op[i]);
			assert_int_equal(race_get(&flood.op[i].callbacks), round + 1);
		}
		race_meet(&flood.gate);
	}
	for (unsigned i = 0; i < SENDERS; i++) {
		race_join(thread[i]);
	}
	printf("over the stack: %llu\n", (unsigned long long) race_stats(0).mails_overflowed);
	assert_true(race_stats(0).mails_overflowed > 0);
	for (size_t i = 0; i < count; i++) {
		nng_aio_free(flood.op[i].aio);
	}
	free(flood.op);
	(void) pthread_barrier_destroy(&flood.gate);
}

/* ---- the sleep pair */

struct knock {
	nng_aio *aio;
	pw_a64 answers;
	pw_a64 stop;
	pw_a64 over;
};

static void
answer(void *arg)
{
	struct knock *k = arg;
	race_add(&k->answers, 1);
}

static void
knock_once(struct knock *k)
{
	nng_aio_reset(k->aio);
	nng_aio_finish(k->aio, NNG_OK);
}

static void
knock_many(unsigned rounds, uint64_t stream)
{
	struct knock k;
	uint64_t random = race_stream((unsigned) stream);

	race_set(&k.answers, 0);
	assert_int_equal(pinwheel_aio_alloc_on(&k.aio, 0, answer, &k), NNG_OK);
	for (unsigned i = 1; i <= rounds; i++) {
		knock_once(&k);
		if (i % 4 != 0) {
			race_await(&k.answers, i);
			race_jitter(&random); /* around the moment at which the shard parks */
		}
		nng_aio_wait(k.aio);
		assert_int_equal(race_get(&k.answers), i);
	}
	nng_aio_free(k.aio);
}

/* The sleep pair: mail posted to a shard that falls asleep at the same moment wakes it. Method: one mail at a time
 * to an otherwise idle shard, each answered before the next; one lost wake ends the test's progress. The shard
 * never spins, so it parks for each of them; the figures must say that it slept and was woken. */
static void
no_lost_wake(void **unused)
{
	(void) unused;
	struct pinwheel_shard_stats before = race_stats(0);
	knock_many(race_scaled(100000, 2000), 120);
	struct pinwheel_shard_stats after = race_stats(0);
	printf("parked %llu times, woken %llu times\n", (unsigned long long) (after.parks - before.parks),
	    (unsigned long long) (after.wakes - before.wakes));
	assert_true(after.parks - before.parks > 0);
	assert_true(after.wakes - before.wakes > 0);
}

/* The same with the adaptive spin before each sleep. */
static void
no_lost_wake_beside_the_spin(void **unused)
{
	(void) unused;
	knock_many(race_scaled(100000, 2000), 121);
}

static void *
knock_from_outside(void *arg)
{
	struct knock *k = arg;
	uint64_t random = race_stream(122);
	for (uint64_t i = 1; race_get(&k->stop) == 0; i++) {
		knock_once(k);
		race_await(&k->answers, i);
		race_jitter(&random);
		nng_aio_wait(k->aio);
	}
	race_set(&k->over, 1);
	return NULL;
}

/* The same for a lent shard: when a poll has found nothing left to do, mail makes the descriptor readable. Method:
 * the lending thread blocks on the descriptor without a limit; another sends one mail at a time. */
static void
no_lost_wake_of_a_lent_shard(void **unused)
{
	struct knock k;
	uint64_t rounds = race_scaled(50000, 1000), sleeps = 0;
	int lent = pinwheel_shard_count() - 1;

	(void) unused;
	race_set(&k.answers, 0);
	race_set(&k.stop, 0);
	race_set(&k.over, 0);
	assert_int_equal(pinwheel_aio_alloc_on(&k.aio, lent, answer, &k), NNG_OK);
	struct pollfd readable = { .fd = pinwheel_poll_fd(lent), .events = POLLIN };
	assert_true(readable.fd >= 0);
	pthread_t thread = race_thread(knock_from_outside, &k);
	while (race_get(&k.answers) < rounds) {
		if (pinwheel_poll(lent, 0) == 0) {
			sleeps++;
			assert_int_equal(poll(&readable, 1, -1), 1);
		}
	}
	race_set(&k.stop, 1);
	while (race_get(&k.over) == 0) { /* it may have one knock left in hand */
		(void) pinwheel_poll(lent, 0);
	}
	race_join(thread);
	printf("blocked %llu times\n", (unsigned long long) sleeps);
	assert_true(sleeps > 0);
	nng_aio_free(k.aio);
}

enum {
	RINGERS = 3
};

struct ringing {
	pthread_barrier_t gate;
	unsigned rounds;
};

static void *
ring_now_and_then(void *arg)
{
	struct ringing *ringing = arg;
	uint64_t random = race_stream(123);
	for (unsigned i = 0; i < ringing->rounds; i++) {
		race_meet(&ringing->gate);
		for (uint64_t rings = 1 + race_below(&random, 8); rings > 0; rings--) {
			pw_shard_wake(pw_fleet_nth(0));
			race_jitter(&random);
		}
		race_meet(&ringing->gate);
	}
	return NULL;
}

/* Law: a shard that was woken for nothing sleeps again. (io_uring: the kernel's flag that says that there is work
 * may come after the work; a shard that trusts it enters the kernel for ever.) Method: several threads ring its
 * bell at any moment, asleep or not; after each burst it must park again. */
static void
shard_rung_at_any_moment_sleeps_again(void **unused)
{
	struct pw_shard *shard = pw_fleet_nth(0);
	struct ringing ringing = { .rounds = race_scaled(10000, 300) };
	pthread_t thread[RINGERS];

	(void) unused;
	assert_int_equal(pthread_barrier_init(&ringing.gate, NULL, RINGERS + 1), 0);
	for (unsigned i = 0; i < RINGERS; i++) {
		thread[i] = race_thread(ring_now_and_then, &ringing);
	}
	for (unsigned i = 0; i < ringing.rounds; i++) {
		race_meet(&ringing.gate);
		race_meet(&ringing.gate);
		while ((race_get(&shard->inbox.parked) & 1) == 0) {
			(void) sched_yield();
		}
	}
	for (unsigned i = 0; i < RINGERS; i++) {
		race_join(thread[i]);
	}
	assert_true(race_stats(0).parks > 0);
	race_flush(0);
	(void) pthread_barrier_destroy(&ringing.gate);
}

/* ---- starvation */

struct spinner {
	nng_aio *aio;
	pw_a64 turns;
	pw_a64 stop;
};

static void
spin_again(void *arg)
{
	struct spinner *s = arg;
	race_add(&s->turns, 1);
	if (race_get(&s->stop) == 0) {
		nng_sleep_aio(0, s->aio);
	}
}

/* libuv 4250: a zero delay that is started again in its own callback does not starve the loop. Method: several of
 * them on one shard; meanwhile mails, timers and aborts of the same shard must go on, and the zero delays beside
 * them. */
static void
zero_delay_rearmed_in_its_callback_does_not_starve(void **unused)
{
	static struct spinner spinner[300]; /* more than the budget of a turn */
	unsigned rounds = race_scaled(300, 20);
	struct knock k;
	nng_aio *sleeper;

	(void) unused;
	race_set(&k.answers, 0);
	assert_int_equal(pinwheel_aio_alloc_on(&k.aio, 0, answer, &k), NNG_OK);
	assert_int_equal(pinwheel_aio_alloc_on(&sleeper, 0, NULL, NULL), NNG_OK);
	for (size_t i = 0; i < sizeof spinner / sizeof spinner[0]; i++) {
		race_set(&spinner[i].turns, 0);
		race_set(&spinner[i].stop, 0);
		assert_int_equal(pinwheel_aio_alloc_on(&spinner[i].aio, 0, spin_again, &spinner[i]), NNG_OK);
		nng_sleep_aio(0, spinner[i].aio);
	}
	for (unsigned i = 1; i <= rounds; i++) {
		uint64_t turns = race_get(&spinner[i % 300].turns);
		knock_once(&k);
		race_await(&k.answers, i);
		pinwheel_sleep_ns(200000, sleeper);
		nng_aio_wait(sleeper);
		assert_int_equal(nng_aio_result(sleeper), NNG_OK);
		nng_sleep_aio(NNG_DURATION_INFINITE, sleeper);
		nng_aio_cancel(sleeper);
		nng_aio_wait(sleeper);
		assert_int_equal(nng_aio_result(sleeper), NNG_ECANCELED);
		race_await(&spinner[i % 300].turns, turns + 1);
		nng_aio_wait(k.aio);
	}
	for (size_t i = 0; i < sizeof spinner / sizeof spinner[0]; i++) {
		race_set(&spinner[i].stop, 1);
		nng_aio_free(spinner[i].aio);
	}
	nng_aio_free(k.aio);
	nng_aio_free(sleeper);
}

static int
start_engine(void **unused)
{
	(void) unused;
	race_engine(SHARDS);
	return 0;
}

static int
start_engine_that_never_spins(void **unused)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	(void) unused;
	config.shards = SHARDS;
	config.spin_ns = 1;
	assert_int_equal(pinwheel_start(&config), NNG_OK);
	return 0;
}

static int
start_engine_with_a_lent_shard(void **unused)
{
	(void) unused;
	race_engine_with(1, 1, 0);
	return 0;
}

static int
end_engine(void **unused)
{
	(void) unused;
	race_engine_end();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(full_ring_and_overflow_lose_nothing, start_engine, end_engine),
		cmocka_unit_test_setup_teardown(no_lost_wake, start_engine_that_never_spins, end_engine),
		cmocka_unit_test_setup_teardown(no_lost_wake_beside_the_spin, start_engine, end_engine),
		cmocka_unit_test_setup_teardown(no_lost_wake_of_a_lent_shard, start_engine_with_a_lent_shard,
		    end_engine),
		cmocka_unit_test_setup_teardown(shard_rung_at_any_moment_sleeps_again, start_engine, end_engine),
		cmocka_unit_test_setup_teardown(zero_delay_rearmed_in_its_callback_does_not_starve, start_engine,
		    end_engine),
	};

	race_print_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

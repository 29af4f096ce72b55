/* SPDX-License-Identifier: MIT
 *
 * deadline_test.c: deadlines under real threads: C7, and the lazy timer of which a restart reuses the entry. See
 * race.h.
 *
 * Deadlines are asked of the clock before the start, so what the engine may do is not judged too strictly: never
 * before that, and after it at some time.
 */
#include "tests/race/race.h"

#define SHARDS 2
#define HOUR_MS 3600000

/* ---- a handle with deadlines */

struct timed {
	struct race_op op;
	uint64_t earliest_ns; /* written before the start: no expiry may come before it */
	uint64_t random;
	unsigned left; /* operations that the callback starts yet */
	pw_a64 early;
	pw_a64 expired;
	pw_a64 finished;
	pw_a64 other; /* any other result */
};

static void
judge(struct timed *t)
{
	switch ((nng_err) race_get(&t->op.last_result)) {
	case NNG_ETIMEDOUT:
		race_add(&t->early, pw_clock_now_ns() < t->earliest_ns);
		race_add(&t->expired, 1);
		break;
	case NNG_OK:
		race_add(&t->finished, 1);
		break;
	default:
		race_add(&t->other, 1);
		break;
	}
}

static void
start_timed(struct timed *t, uint64_t timeout_ns)
{
	t->earliest_ns = pw_clock_now_ns() + timeout_ns;
	pinwheel_aio_set_timeout_ns(t->op.aio, (int64_t) timeout_ns);
	(void) race_start(&t->op);
}

static void
timed_again(struct race_op *op)
{
	struct timed *t = op->context;
	judge(t);
	if (t->left > 0) {
		t->left--;
		start_timed(t, 1 + race_below(&t->random, 300) * PW_NS_PER_US);
	}
}

static void
timed_init(struct timed *t, int shard, unsigned number)
{
	memset(t, 0, sizeof *t);
	race_op_init(&t->op, shard);
	t->op.context = t;
	t->random = race_stream(number);
}

#define CROWD 32

struct expiring {
	struct timed timed[CROWD];
	pw_a64 quit;
	nng_err result; /* what the racing thread ends operations with; 0: finish, else abort */
	unsigned stream;
};

static void *
end_some(void *arg)
{
	struct expiring *game = arg;
	uint64_t random = race_stream(game->stream);
	while (race_get(&game->quit) == 0) {
		struct race_op *op = &game->timed[race_below(&random, CROWD)].op;
		if (game->result == NNG_OK) {
			(void) race_finish(op, NNG_OK, 0);
		} else {
			nng_aio_abort(op->aio, game->result);
		}
		pw_clock_sleep_ns(race_below(&random, 20) * PW_NS_PER_US);
	}
	return NULL;
}

static void
race_expiry(nng_err result)
{
	static struct expiring game;
	uint64_t expired = 0, ended = 0;

	memset(&game, 0, sizeof game);
	game.result = result;
	game.stream = 50 + (unsigned) result;
	unsigned each = race_scaled(300, 20);
	for (unsigned i = 0; i < CROWD; i++) {
		timed_init(&game.timed[i], -1, 60 + i);
		game.timed[i].op.then = timed_again;
		game.timed[i].left = each;
	}
	for (unsigned i = 0; i < CROWD; i++) {
		start_timed(&game.timed[i], PW_NS_PER_MS);
	}
	pthread_t thread = race_thread(end_some, &game);
	for (unsigned i = 0; i < CROWD; i++) {
		nng_aio_wait(game.timed[i].op.aio);
	}
	race_set(&game.quit, 1);
	race_join(thread);
	for (unsigned i = 0; i < CROWD; i++) {
		struct timed *t = &game.timed[i];
		race_op_check(&t->op);
		assert_int_equal(race_get(&t->early), 0);
		assert_int_equal(race_get(&t->op.callbacks), each + 1);
		assert_int_equal(race_get(result == NNG_OK ? &t->other : &t->finished), 0);
		expired += race_get(&t->expired);
		ended += race_get(&t->finished) + race_get(&t->other);
		nng_aio_free(t->op.aio);
	}
	printf("expired %llu, ended before %llu\n", (unsigned long long) expired, (unsigned long long) ended);
	assert_true(expired > 0);
	assert_true(ended > 0);
}

/* C1, C7: an operation that is finished while its deadline passes ends once, as finished or as expired, and expired
 * never early. Method: short random deadlines, a thread that finishes at random times. */
static void
expiry_races_finish(void **unused)
{
	(void) unused;
	race_expiry(NNG_OK);
}

/* The same with aborts: the cancel function is called once, by the abort or by the deadline, with one reason, which
 * is the result. */
static void
expiry_races_abort(void **unused)
{
	(void) unused;
	race_expiry(NNG_ECANCELED);
}

/* ---- never early */

#define SLEEPERS 64

struct sleeper {
	nng_aio *aio;
	uint64_t earliest_ns;
	uint64_t random;
	unsigned left;
	pw_a64 early;
	pw_a64 wrong;
	pw_a64 callbacks;
};

static void
sleep_some(struct sleeper *s)
{
	uint64_t duration_ns = race_below(&s->random, 4) * 100 * PW_NS_PER_US + race_below(&s->random, 100000);
	s->earliest_ns = pw_clock_now_ns() + duration_ns;
	pinwheel_sleep_ns((int64_t) duration_ns, s->aio);
}

static void
slept(void *arg)
{
	struct sleeper *s = arg;
	race_add(&s->early, pw_clock_now_ns() < s->earliest_ns);
	race_add(&s->wrong, nng_aio_result(s->aio) != NNG_OK);
	race_add(&s->callbacks, 1);
	if (s->left > 0) {
		s->left--;
		sleep_some(s);
	}
}

struct sleepers {
	struct sleeper *first;
	unsigned rounds;
};

static void *
sleep_from_outside(void *arg)
{
	struct sleepers *mine = arg;
	for (unsigned round = 0; round < mine->rounds; round++) {
		for (unsigned i = 0; i < SLEEPERS; i++) {
			sleep_some(&mine->first[i]);
		}
		for (unsigned i = 0; i < SLEEPERS; i++) {
			nng_aio_wait(mine->first[i].aio);
		}
	}
	return NULL;
}

/* C7 (libuv 4773): a sleep is never early, started in a callback or from another thread. Method: random durations,
 * the clock read before the start and in the callback. */
static void
completion_is_never_early(void **unused)
{
	static struct sleeper sleeper[2 * SLEEPERS];
	struct sleepers half[2];
	pthread_t thread[2];
	unsigned rounds = race_scaled(40, 4);

	(void) unused;
	memset(sleeper, 0, sizeof sleeper);
	for (unsigned i = 0; i < 2 * SLEEPERS; i++) {
		assert_int_equal(nng_aio_alloc(&sleeper[i].aio, slept, &sleeper[i]), NNG_OK);
		sleeper[i].random = race_stream(100 + i);
		sleeper[i].left = 3 * rounds;
	}
	for (unsigned i = 0; i < 2; i++) {
		half[i] = (struct sleepers){ &sleeper[i * SLEEPERS], rounds };
		thread[i] = race_thread(sleep_from_outside, &half[i]);
	}
	race_join(thread[0]);
	race_join(thread[1]);
	for (unsigned i = 0; i < 2 * SLEEPERS; i++) {
		assert_int_equal(race_get(&sleeper[i].early), 0);
		assert_int_equal(race_get(&sleeper[i].wrong), 0);
		assert_int_equal(race_get(&sleeper[i].callbacks), 4 * rounds);
		nng_aio_free(sleeper[i].aio);
	}
}

/* ---- the lazy timer */

struct lazy {
	struct timed timed;
	pw_a64 wants_finish; /* the operation under way has a far deadline: it must be finished */
	pw_a64 over;
	pw_a64 expired_far;
	bool near;
};

static void
start_lazy(struct lazy *lazy)
{
	struct timed *t = &lazy->timed;
	bool near = race_below(&t->random, 2) == 0;
	uint64_t timeout_ns = near ? 1 + race_below(&t->random, 500) * PW_NS_PER_US : HOUR_MS * PW_NS_PER_MS;
	lazy->near = near;
	race_set(&lazy->wants_finish, near ? UINT64_MAX : race_generation(&t->op) + 1);
	start_timed(t, timeout_ns); /* from here on it may be over, and another thread may start the next */
}

static void
lazy_again(struct race_op *op)
{
	struct lazy *lazy = op->context;
	struct timed *t = &lazy->timed;
	judge(t);
	race_add(&lazy->expired_far, !lazy->near && race_get(&op->last_result) == NNG_ETIMEDOUT);
	if (t->left > 0) {
		t->left--;
		if (race_below(&t->random, 2) == 0) {
			start_lazy(lazy);
			return;
		}
	}
	race_set(&lazy->over, 1); /* started again from outside, if it is */
}

struct lazies {
	struct lazy lazy[CROWD];
	pw_a64 quit;
};

static void *
finish_far_ones(void *arg)
{
	struct lazies *game = arg;
	while (race_get(&game->quit) == 0) {
		for (unsigned i = 0; i < CROWD; i++) {
			struct lazy *lazy = &game->lazy[i];
			if (race_get(&lazy->wants_finish) == race_generation(&lazy->timed.op)) {
				(void) race_finish(&lazy->timed.op, NNG_OK, 0);
			}
		}
		(void) sched_yield();
	}
	return NULL;
}

/* The lazy timer: an entry left in the wheel by an earlier operation neither ends a later one nor hides a deadline
 * that is earlier than itself. Method: far and near deadlines in random order on one handle, started in the
 * callback and from outside. The far ones are finished and must not expire; the near ones nobody finishes: each
 * must expire. */
static void
lazy_timer_restart_with_earlier_and_later_deadlines(void **unused)
{
	static struct lazies game;

	(void) unused;
	memset(&game, 0, sizeof game);
	unsigned each = race_scaled(400, 30);
	for (unsigned i = 0; i < CROWD; i++) {
		timed_init(&game.lazy[i].timed, -1, 300 + i);
		game.lazy[i].timed.op.then = lazy_again;
		game.lazy[i].timed.op.context = &game.lazy[i];
		game.lazy[i].timed.left = each;
		race_set(&game.lazy[i].wants_finish, UINT64_MAX);
		race_set(&game.lazy[i].over, 1);
	}
	pthread_t finisher = race_thread(finish_far_ones, &game);
	for (unsigned left = CROWD; left > 0;) {
		left = 0;
		for (unsigned i = 0; i < CROWD; i++) {
			struct lazy *lazy = &game.lazy[i];
			if (race_get(&lazy->over) == 0) {
				left++;
			} else if (lazy->timed.left > 0) {
				left++;
				nng_aio_wait(lazy->timed.op.aio);
				race_set(&lazy->over, 0);
				start_lazy(lazy);
			}
		}
		(void) sched_yield();
	}
	race_set(&game.quit, 1);
	race_join(finisher);
	for (unsigned i = 0; i < CROWD; i++) {
		struct timed *t = &game.lazy[i].timed;
		nng_aio_wait(t->op.aio);
		race_op_check(&t->op);
		assert_int_equal(race_get(&t->early), 0);
		assert_int_equal(race_get(&t->other), 0);
		assert_int_equal(race_get(&game.lazy[i].expired_far), 0);
		assert_true(race_get(&t->expired) > 0);
		nng_aio_free(t->op.aio);
	}
}

/* The same at the end of the wheel's range: an entry that was linked there, clamped, does not hide a near deadline
 * that is begun right after it. Method: a deadline far beyond the range is aborted; the next operation, begun and
 * deferred from outside, has 2 ms and nobody to finish it. */
static void
near_deadline_after_one_beyond_the_wheels_range(void **unused)
{
	struct timed t;
	unsigned rounds = race_scaled(200, 20);

	(void) unused;
	timed_init(&t, 0, 400);
	for (unsigned i = 0; i < rounds; i++) {
		nng_aio_set_timeout(t.op.aio, INT32_MAX);
		assert_true(race_start(&t.op));
		race_flush(0); /* linked now */
		nng_aio_cancel(t.op.aio);
		nng_aio_wait(t.op.aio);
		assert_int_equal(nng_aio_result(t.op.aio), NNG_ECANCELED);

		uint64_t generation = race_opening(&t.op);
		uint64_t earliest_ns = pw_clock_now_ns() + 2 * PW_NS_PER_MS;
		pinwheel_aio_set_timeout_ns(t.op.aio, 2 * (int64_t) PW_NS_PER_MS);
		assert_true(nng_aio_begin(t.op.aio));
		nng_aio_defer(t.op.aio, race_on_cancel, &t.op);
		race_opened(&t.op, generation);
		nng_aio_wait(t.op.aio);
		assert_int_equal(nng_aio_result(t.op.aio), NNG_ETIMEDOUT);
		assert_true(pw_clock_now_ns() >= earliest_ns);

		/* A fresh handle: the entry of this one is gone from the end of the range. */
		nng_aio_free(t.op.aio);
		timed_init(&t, 0, 400);
	}
	nng_aio_free(t.op.aio);
}

/* C7: what has no deadline does not expire, not even when the entry of an operation that had one comes out. Method:
 * a deadline of 2 ms, finished at once; the next operation has none, and the shard's visits of stale entries are
 * awaited. */
static void
stale_entry_does_not_end_an_operation_without_deadline(void **unused)
{
	static struct timed t[CROWD];

	(void) unused;
	for (unsigned i = 0; i < CROWD; i++) {
		timed_init(&t[i], 0, 500 + i);
		nng_aio_set_timeout(t[i].op.aio, 1000);
		assert_true(race_start(&t[i].op));
	}
	race_flush(0);
	struct pinwheel_shard_stats before = race_stats(0);
	for (unsigned i = 0; i < CROWD; i++) {
		/* However these two end (on a slow machine by their deadlines), they leave an entry that comes out
		 * within a second. */
		(void) race_finish(&t[i].op, NNG_OK, 0);
		nng_aio_wait(t[i].op.aio);
		nng_aio_set_timeout(t[i].op.aio, 2);
		assert_true(race_start(&t[i].op));
		(void) race_finish(&t[i].op, NNG_OK, 0);
		nng_aio_wait(t[i].op.aio);
		nng_aio_set_timeout(t[i].op.aio, NNG_DURATION_INFINITE);
		assert_true(race_start(&t[i].op));
	}
	uint64_t visits;
	do {
		race_flush(0);
		struct pinwheel_shard_stats now = race_stats(0);
		visits = now.timer_visits + now.expired - before.timer_visits - before.expired;
	} while (visits < CROWD);
	for (unsigned i = 0; i < CROWD; i++) {
		assert_true(nng_aio_busy(t[i].op.aio));
		assert_int_equal(race_get(&t[i].op.cancel_calls), race_get(&t[i].op.cancelled));
		assert_true(race_finish(&t[i].op, NNG_OK, 0));
		nng_aio_wait(t[i].op.aio);
		race_op_check(&t[i].op);
		nng_aio_free(t[i].op.aio);
	}
}

static int
start_engine(void **unused)
{
	(void) unused;
	race_engine(SHARDS);
	return 0;
}

/* The finest tick: the wheel's range is 37 minutes then, and a machine's clock soon beyond it. */
static int
start_engine_finest_tick(void **unused)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	(void) unused;
	config.shards = SHARDS;
	config.tick_ns = 1000;
	assert_int_equal(pinwheel_start(&config), NNG_OK);
	return 0;
}

static int
end_engine(void **unused)
{
	(void) unused;
	race_engine_end();
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_engine, end_engine)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(expiry_races_finish),
		TEST(expiry_races_abort),
		TEST(completion_is_never_early),
		TEST(lazy_timer_restart_with_earlier_and_later_deadlines),
		cmocka_unit_test_setup_teardown(near_deadline_after_one_beyond_the_wheels_range,
		    start_engine_finest_tick, end_engine),
		TEST(stale_entry_does_not_end_an_operation_without_deadline),
	};

	race_print_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

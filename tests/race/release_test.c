/* SPDX-License-Identifier: MIT
 *
 * release_test.c: the end of a handle under real threads: C6. See race.h.
 *
 * That nobody touches a released slot is seen in two ways: every slot is given out again at once, and its next life
 * must be a fresh one that ends with its own results; and under AddressSanitizer a released slot is poisoned. That
 * every slot comes back is seen by counting (race_engine_end, and where a far deadline must not keep one, before
 * the end).
 */
#include "tests/race/race.h"

#define SHARDS 2
#define HOUR_MS 3600000

struct ending {
	struct race_op op;
	pthread_barrier_t gate;
	unsigned rounds;
	pw_a64 aborted;        /* the round in which the abort has returned */
	pw_a64 callbacks;      /* over all rounds */
	pw_a64 after_callback; /* the callback's last touch of the test's memory */
};

static void *
abort_once_per_round(void *arg)
{
	struct ending *game = arg;
	uint64_t random = race_stream(70);
	for (unsigned i = 1; i <= game->rounds; i++) {
		race_meet(&game->gate);
		race_jitter(&random);
		nng_aio_abort(game->op.aio, NNG_ECLOSED);
		race_set(&game->aborted, i);
		race_meet(&game->gate);
	}
	return NULL;
}

static void *
finish_once_per_round(void *arg)
{
	struct ending *game = arg;
	uint64_t random = race_stream(71);
	for (unsigned i = 1; i <= game->rounds; i++) {
		race_meet(&game->gate);
		race_jitter(&random);
		(void) race_finish(&game->op, NNG_OK, i);
		race_meet(&game->gate);
	}
	return NULL;
}

static void
ending_begin(struct ending *game, unsigned rounds, void (*then)(struct race_op *))
{
	memset(game, 0, sizeof *game);
	game->rounds = race_scaled(rounds, rounds / 40);
	game->op.then = then;
	game->op.context = game;
	assert_int_equal(pthread_barrier_init(&game->gate, NULL, 3), 0);
}

/* A fresh handle and a fresh ledger, and one operation on it, with a far deadline in two rounds of three. */
static void
ending_start(struct ending *game, unsigned round, void (*then)(struct race_op *))
{
	race_op_init(&game->op, -1);
	game->op.then = then;
	game->op.context = game;
	assert_false(nng_aio_busy(game->op.aio));
	assert_int_equal(nng_aio_result(game->op.aio), NNG_OK);
	assert_int_equal(nng_aio_count(game->op.aio), 0);
	assert_null(nng_aio_get_msg(game->op.aio));
	assert_null(nng_aio_get_output(game->op.aio, 0));
	if (round % 3 != 0) {
		nng_aio_set_timeout(game->op.aio, HOUR_MS);
	}
	assert_true(race_start(&game->op));
}

/* C6: free waits for the finish and the callback, which comes once, and then nobody has the handle; the request entry
 * of an abort that has returned may still be on its way. Method: finish and abort race, free is called as soon as the
 * abort has returned, beside the finish; the slot is taken again in the next round. */
static void
free_races_finish_and_an_aborter_in_flight(void **unused)
{
	static struct ending game;

	(void) unused;
	ending_begin(&game, 10000, NULL);
	pthread_t aborter = race_thread(abort_once_per_round, &game),
		  finisher = race_thread(finish_once_per_round, &game);
	for (unsigned round = 1; round <= game.rounds; round++) {
		ending_start(&game, round, NULL);
		race_meet(&game.gate);
		race_await(&game.aborted, round);
		nng_aio_free(game.op.aio);
		race_op_check(&game.op);
		race_meet(&game.gate);
		race_op_check(&game.op);
	}
	race_join(aborter);
	race_join(finisher);
	(void) pthread_barrier_destroy(&game.gate);
}

static void
reap_after_the_abort(struct race_op *op)
{
	struct ending *game = op->context;
	race_await(&game->aborted, race_get(&game->callbacks) + 1);
	nng_aio_reap(op->aio);
	race_add(&game->callbacks, 1);
}

/* C6: a reap in the own callback beside a request entry that an abort has left. Method: finish and abort race; the
 * callback reaps as soon as the abort has returned. */
static void
reap_in_the_own_callback_races_aborts(void **unused)
{
	static struct ending game;

	(void) unused;
	ending_begin(&game, 10000, reap_after_the_abort);
	pthread_t aborter = race_thread(abort_once_per_round, &game),
		  finisher = race_thread(finish_once_per_round, &game);
	for (unsigned round = 1; round <= game.rounds; round++) {
		ending_start(&game, round, reap_after_the_abort);
		race_meet(&game.gate);
		race_meet(&game.gate);
		race_await(&game.callbacks, round);
		race_op_check(&game.op);
	}
	race_join(aborter);
	race_join(finisher);
	(void) pthread_barrier_destroy(&game.gate);
}

static void
count_the_round(struct race_op *op)
{
	struct ending *game = op->context;
	race_add(&game->callbacks, 1);
}

/* C6: a reap from outside beside the completion: the callback runs once, and a far deadline does not keep the slot.
 * Method: finish, abort and reap race; after each batch of rounds all slots must come back while the engine runs
 * on. */
static void
reap_from_outside_races_completion(void **unused)
{
	static struct ending game;

	(void) unused;
	ending_begin(&game, 10000, count_the_round);
	pthread_t aborter = race_thread(abort_once_per_round, &game),
		  finisher = race_thread(finish_once_per_round, &game);
	for (unsigned round = 1; round <= game.rounds; round++) {
		ending_start(&game, round, count_the_round);
		race_meet(&game.gate);
		race_await(&game.aborted, round);
		nng_aio_reap(game.op.aio);
		race_meet(&game.gate);
		race_await(&game.callbacks, round);
		race_op_check(&game.op);
		while (round % 100 == 0 && race_live_handles() != 0) {
			(void) sched_yield();
		}
	}
	race_join(aborter);
	race_join(finisher);
	(void) pthread_barrier_destroy(&game.gate);
}

static void
linger(struct race_op *op)
{
	struct ending *game = op->context;
	uint64_t random = race_stream((unsigned) race_get(&op->callbacks));
	for (int i = 0; i < 8; i++) {
		race_jitter(&random);
	}
	race_set(&game->after_callback, 1);
}

/* C5, C6: when stop or free returns, the callback has returned. Method: a callback that stays a while; its last
 * touch of the test's memory must be seen when free, or stop, has returned. */
static void
free_and_stop_wait_for_the_callback(void **unused)
{
	static struct ending game;
	uint64_t random = race_stream(72);

	(void) unused;
	ending_begin(&game, 20000, linger);
	for (unsigned round = 1; round <= game.rounds; round++) {
		ending_start(&game, round, linger);
		race_set(&game.after_callback, 0);
		assert_true(race_finish(&game.op, NNG_OK, 0));
		race_jitter(&random);
		if (round % 2 == 0) {
			nng_aio_stop(game.op.aio);
			assert_int_equal(race_get(&game.after_callback), 1);
		}
		nng_aio_free(game.op.aio);
		assert_int_equal(race_get(&game.after_callback), 1);
		race_op_check(&game.op);
	}
	(void) pthread_barrier_destroy(&game.gate);
}

/* ---- churn */

enum {
	CHURNERS = 4,
	BASKET = 64
};

struct life {
	nng_aio *aio;
	pw_a64 callbacks;
};

struct churn {
	pw_aptr basket[BASKET]; /* handles given away for another thread to free */
	unsigned rounds;
	pw_a64 lives;
	pw_a64 ends;    /* lives whose one callback has been seen */
	pw_a64 broken;  /* a callback too many or too few, a handle that is not fresh, a wrong result */
	pw_a64 refused; /* allocations */
};

struct churner {
	struct churn *churn;
	unsigned number;
};

static void
life_over(void *arg)
{
	struct life *life = arg;
	race_add(&life->callbacks, 1);
}

static void
bury(struct churn *churn, struct life *life)
{
	nng_aio_free(life->aio);
	race_add(&churn->broken, race_get(&life->callbacks) != 1);
	race_add(&churn->ends, 1);
	free(life);
}

static void
live(struct churn *churn, uint64_t *random)
{
	struct life *life = calloc(1, sizeof *life);
	if (life == NULL || nng_aio_alloc(&life->aio, life_over, life) != NNG_OK) {
		race_add(&churn->refused, 1);
		free(life);
		return;
	}
	race_add(&churn->lives, 1);
	race_add(&churn->broken, nng_aio_busy(life->aio) || nng_aio_result(life->aio) != NNG_OK);
	bool far = race_below(random, 2) == 0;
	pinwheel_sleep_ns(far ? HOUR_MS * (int64_t) PW_NS_PER_MS : (int64_t) race_below(random, 300000), life->aio);
	if (race_below(random, 3) == 0) {
		nng_aio_cancel(life->aio);
	}
	if (race_below(random, 2) == 0) {
		struct life *old = pw_exchange_acq_rel_ptr(&churn->basket[race_below(random, BASKET)], life);
		life = old;
	}
	if (life != NULL) {
		bury(churn, life);
	}
}

static void *
churn_handles(void *arg)
{
	struct churner *me = arg;
	uint64_t random = race_stream(80 + me->number);
	for (unsigned i = 0; i < me->churn->rounds; i++) {
		live(me->churn, &random);
	}
	return NULL;
}

/* C1, C6: handles allocated, started, aborted and freed by several threads, each often on another thread than it came
 * from: every life is a fresh one and has one callback, and all slots come back. */
static void
alloc_and_free_churn_from_many_threads(void **unused)
{
	static struct churn churn;
	struct churner me[CHURNERS];
	pthread_t thread[CHURNERS];

	(void) unused;
	memset(&churn, 0, sizeof churn);
	churn.rounds = race_scaled(10000, 300);
	for (unsigned i = 0; i < CHURNERS; i++) {
		me[i] = (struct churner){ &churn, i };
		thread[i] = race_thread(churn_handles, &me[i]);
	}
	for (unsigned i = 0; i < CHURNERS; i++) {
		race_join(thread[i]);
	}
	for (unsigned i = 0; i < BASKET; i++) {
		struct life *life = pw_exchange_acq_rel_ptr(&churn.basket[i], NULL);
		if (life != NULL) {
			bury(&churn, life);
		}
	}
	assert_int_equal(race_get(&churn.refused), 0);
	assert_int_equal(race_get(&churn.broken), 0);
	assert_int_equal(race_get(&churn.lives), (uint64_t) CHURNERS * churn.rounds);
	assert_int_equal(race_get(&churn.ends), race_get(&churn.lives));
	while (race_live_handles() != 0) { /* the far deadlines among them too */
		(void) sched_yield();
	}
}

/* A far deadline never keeps a slot: free and reap of a handle that is idle and still linked give it back at once. */
static void
linked_and_idle_handles_are_released_before_their_deadline(void **unused)
{
	struct race_op op;
	unsigned rounds = race_scaled(5000, 200);

	(void) unused;
	for (unsigned i = 0; i < rounds; i++) {
		race_op_init(&op, -1);
		nng_aio_set_timeout(op.aio, HOUR_MS);
		assert_true(race_start(&op));
		assert_true(race_finish(&op, NNG_OK, 0));
		nng_aio_wait(op.aio);
		if (i % 2 == 0) {
			nng_aio_free(op.aio);
		} else {
			nng_aio_reap(op.aio);
		}
		race_op_check(&op);
		while (race_live_handles() != 0) {
			(void) sched_yield();
		}
	}
}

static int
start_engine(void **unused)
{
	(void) unused;
	race_engine(SHARDS);
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
		TEST(free_races_finish_and_an_aborter_in_flight),
		TEST(reap_in_the_own_callback_races_aborts),
		TEST(reap_from_outside_races_completion),
		TEST(free_and_stop_wait_for_the_callback),
		TEST(alloc_and_free_churn_from_many_threads),
		TEST(linked_and_idle_handles_are_released_before_their_deadline),
	};

	race_print_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * stop_test.c: stop, refusal and waiting under real threads: C5, C9 and the rules of WAITERS and EPOCH. See race.h.
 */
#include <unistd.h>

#include "tests/race/race.h"

#define SHARDS 2

/* ---- stop against a callback that resubmits */

enum {
	STOPPERS = 3
};

struct stubborn {
	struct race_op op;
	pthread_barrier_t gate;
	pw_a64 quit;
	unsigned rounds;
	uint64_t callbacks_at_return[STOPPERS];
};

struct stopper {
	struct stubborn *game;
	unsigned number;
};

/* Submits again, whatever the result: the program of nanomsg/nng 1431. */
static void
blindly_again(struct race_op *op)
{
	(void) race_start(op);
}

static void *
keep_finishing(void *arg)
{
	struct stubborn *game = arg;
	while (race_get(&game->quit) == 0) {
		if (!race_finish(&game->op, NNG_OK, 0)) {
			(void) sched_yield();
		}
	}
	return NULL;
}

static void *
stop_once_per_round(void *arg)
{
	struct stopper *me = arg;
	uint64_t random = race_stream(40 + me->number);
	for (unsigned i = 0; i < me->game->rounds; i++) {
		race_meet(&me->game->gate);
		race_jitter(&random);
		nng_aio_stop(me->game->op.aio);
		me->game->callbacks_at_return[me->number] = race_get(&me->game->op.callbacks);
		race_meet(&me->game->gate);
	}
	return NULL;
}

/* A refusal in the own callback that delivers NNG_ESTOPPED has no callback of its own (R10). */
static void
check_stubborn(struct race_op *op)
{
	uint64_t quiet = race_get(&op->refused) + race_get(&op->accepted) - race_get(&op->callbacks);
	assert_int_equal(quiet, 1);
	assert_int_equal(race_get(&op->last_result), NNG_ESTOPPED);
	assert_int_equal(race_get(&op->finished) + race_get(&op->cancelled), race_get(&op->accepted));
	assert_int_equal(race_get(&op->overlapping), 0);
	assert_int_equal(race_get(&op->wrong_result), 0);
	assert_int_equal(race_get(&op->cancelled_twice), 0);
}

/* C5 (nanomsg/nng 1431): stop returns although the callback starts again whatever it is told, and afterwards no
 * callback runs; so for several threads that stop at once. Method: a new handle each round, its chain of operations
 * finished by another thread; each stopper notes how many callbacks there were when its call returned. */
static void
stop_from_several_threads_ends_a_callback_that_resubmits(void **unused)
{
	static struct stubborn game;
	struct stopper me[STOPPERS];
	pthread_t thread[STOPPERS];
	uint64_t random = race_stream(39);

	(void) unused;
	memset(&game, 0, sizeof game);
	game.rounds = race_scaled(4000, 150);
	race_op_init(&game.op, -1);
	game.op.then = blindly_again;
	assert_int_equal(pthread_barrier_init(&game.gate, NULL, STOPPERS + 1), 0);
	pthread_t finisher = race_thread(keep_finishing, &game);
	for (unsigned i = 0; i < STOPPERS; i++) {
		me[i] = (struct stopper){ &game, i };
		thread[i] = race_thread(stop_once_per_round, &me[i]);
	}
	for (unsigned round = 0; round < game.rounds; round++) {
		(void) race_start(&game.op);
		race_await(&game.op.callbacks, race_below(&random, 4));
		race_meet(&game.gate);
		race_meet(&game.gate);
		assert_false(nng_aio_busy(game.op.aio));
		race_flush(0);
		race_flush(1);
		check_stubborn(&game.op);
		for (unsigned i = 0; i < STOPPERS; i++) {
			assert_int_equal(game.callbacks_at_return[i], race_get(&game.op.callbacks));
		}
		/* The next round's handle. The finisher looks at the claim alone, which stays closed meanwhile. */
		nng_aio_free(game.op.aio);
		uint64_t generation = race_generation(&game.op);
		nng_aio *fresh;
		assert_int_equal(nng_aio_alloc(&fresh, race_on_done, &game.op), NNG_OK);
		game.op.aio = fresh;
		race_set(&game.op.claim, generation << 2);
		race_set(&game.op.accepted, 0);
		race_set(&game.op.refused, 0);
		race_set(&game.op.finished, 0);
		race_set(&game.op.cancelled, 0);
		race_set(&game.op.callbacks, 0);
	}
	race_set(&game.quit, 1);
	race_join(finisher);
	for (unsigned i = 0; i < STOPPERS; i++) {
		race_join(thread[i]);
	}
	nng_aio_free(game.op.aio);
	(void) pthread_barrier_destroy(&game.gate);
}

struct restless {
	nng_aio *aio;
	pw_a64 callbacks;
};

static void
sleep_again(void *arg)
{
	struct restless *r = arg;
	race_add(&r->callbacks, 1);
	nng_sleep_aio(0, r->aio);
}

/* C5 with the engine's own provider: a sleep of no time at all, started again in its callback for ever. */
static void
stop_ends_sleeps_that_are_started_again(void **unused)
{
	unsigned rounds = race_scaled(3000, 100);
	uint64_t random = race_stream(41);

	(void) unused;
	for (unsigned i = 0; i < rounds; i++) {
		struct restless r;
		race_set(&r.callbacks, 0);
		assert_int_equal(nng_aio_alloc(&r.aio, sleep_again, &r), NNG_OK);
		nng_sleep_aio(0, r.aio);
		race_await(&r.callbacks, 1 + race_below(&random, 3));
		nng_aio_stop(r.aio);
		uint64_t callbacks = race_get(&r.callbacks);
		assert_int_equal(nng_aio_result(r.aio), NNG_ESTOPPED);
		race_flush((int) (i % SHARDS));
		assert_int_equal(race_get(&r.callbacks), callbacks);
		nng_aio_free(r.aio);
		assert_int_equal(race_get(&r.callbacks), callbacks);
	}
}

/* ---- refusals */

struct refusing {
	struct race_op op;
	pthread_barrier_t gate;
	unsigned rounds;
	pw_a64 quit;
};

static void *
stop_in_the_middle(void *arg)
{
	struct refusing *game = arg;
	uint64_t random = race_stream(43);
	for (unsigned i = 0; i < game->rounds; i++) {
		race_meet(&game->gate);
		race_await(&game->op.callbacks, race_below(&random, 4));
		race_jitter(&random);
		pinwheel_aio_close(game->op.aio);
		race_meet(&game->gate);
	}
	return NULL;
}

/* R9: every start that a stop refuses gives one completion, with NNG_ESTOPPED, and every start that it does not
 * refuse gives one too. Method: start after start races one stop; each is waited for. */
static void
refusals_are_delivered_once(void **unused)
{
	static struct refusing game;
	uint64_t random = race_stream(42), accepted = 0, refused = 0;

	(void) unused;
	memset(&game, 0, sizeof game);
	game.rounds = race_scaled(5000, 200);
	race_op_init(&game.op, -1);
	assert_int_equal(pthread_barrier_init(&game.gate, NULL, 2), 0);
	pthread_t stopper = race_thread(stop_in_the_middle, &game);
	for (unsigned round = 0; round < game.rounds; round++) {
		race_meet(&game.gate);
		for (unsigned i = 0; i < 4; i++) {
			bool started = race_start(&game.op);
			race_jitter(&random);
			if (started) {
				(void) race_finish(&game.op, NNG_OK, 3);
			}
			nng_aio_wait(game.op.aio);
			nng_err result = nng_aio_result(game.op.aio);
			assert_true(result == NNG_ESTOPPED || (started && result == NNG_OK));
			assert_int_equal(race_get(&game.op.callbacks), i + 1);
		}
		race_meet(&game.gate);
		assert_false(race_start(&game.op));
		nng_aio_wait(game.op.aio);
		race_op_check(&game.op);
		accepted += race_get(&game.op.accepted);
		refused += race_get(&game.op.refused);
		nng_aio_free(game.op.aio);
		race_op_init(&game.op, -1);
	}
	race_join(stopper);
	nng_aio_free(game.op.aio);
	(void) pthread_barrier_destroy(&game.gate);
	printf("accepted %llu, refused %llu\n", (unsigned long long) accepted, (unsigned long long) refused);
	assert_true(refused >= game.rounds);
	assert_true(accepted > 0);
}

/* ---- skip_callback */

static void *
meddle(void *arg)
{
	struct refusing *game = arg;
	while (race_get(&game->quit) == 0) {
		nng_aio_cancel(game->op.aio);
		(void) pinwheel_aio_wait_until(game->op.aio, pw_clock_now_ns() + 20 * PW_NS_PER_US);
		nng_aio_wait(game->op.aio);
	}
	return NULL;
}

/* nng_aio_skip_callback: an operation that ends on the thread that asked, before it went asynchronous, has no
 * callback and says so at once; any other has its callback. Nothing races it: aborts and waits of other threads
 * beside it change neither, and the waits end. Method: the three endings in turn (begin, reset, asynchronous),
 * while another thread aborts and waits. */
static void
skip_callback_races_nothing(void **unused)
{
	static struct refusing game;
	uint64_t wanted = 0;

	(void) unused;
	memset(&game, 0, sizeof game);
	race_op_init(&game.op, -1);
	pthread_t meddler = race_thread(meddle, &game);
	unsigned rounds = race_scaled(30000, 900);
	for (unsigned i = 0; i < rounds; i++) {
		bool skipped = true;
		nng_aio_skip_callback(game.op.aio, &skipped);
		assert_false(skipped);
		if (i % 3 == 2) {
			assert_true(race_start(&game.op));
			(void) race_finish(&game.op, NNG_OK, i);
			nng_aio_wait(game.op.aio);
			assert_false(skipped);
			wanted++;
		} else {
			if (i % 3 == 0) {
				assert_true(nng_aio_begin(game.op.aio));
			} else {
				nng_aio_reset(game.op.aio);
			}
			pw_aio_finish(game.op.aio, NNG_EAGAIN, i);
			assert_true(skipped);
			assert_false(nng_aio_busy(game.op.aio));
			assert_int_equal(nng_aio_result(game.op.aio), NNG_EAGAIN);
			assert_int_equal(nng_aio_count(game.op.aio), i);
		}
		assert_int_equal(race_get(&game.op.callbacks), wanted);
	}
	race_set(&game.quit, 1);
	race_join(meddler);
	race_op_check(&game.op);
	nng_aio_free(game.op.aio);
}

/* ---- waiters */

enum {
	WAITERS = 4
};

struct waiting {
	struct race_op op;
	pthread_barrier_t gate;
	unsigned rounds;
	pw_a64 asking; /* threads that are about to wait, in this round */
	pw_a64 returned;
	pw_a64 chain_over;
	pw_a64 too_early; /* waits that returned inside the chain */
	pw_a64 links;     /* operations that the callback will start yet */
	pid_t id[WAITERS];
};

struct waiter {
	struct waiting *game;
	unsigned number;
};

static void *
wait_once_per_round(void *arg)
{
	struct waiter *me = arg;
	struct waiting *game = me->game;
	game->id[me->number] = gettid();
	for (unsigned i = 0; i < game->rounds; i++) {
		race_meet(&game->gate);
		race_add(&game->asking, 1);
		nng_aio_wait(game->op.aio);
		if (race_get(&game->chain_over) == 0) {
			race_add(&game->too_early, 1);
		}
		race_add(&game->returned, 1);
		race_meet(&game->gate);
	}
	return NULL;
}

/* The thread is blocked in the kernel; after `asking` there is nothing but the wait that it could block in. */
static bool
is_asleep(pid_t id)
{
	char path[64], line[512] = "";
	(void) snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int) id);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	size_t size = fread(line, 1, sizeof line - 1, file);
	(void) fclose(file);
	line[size] = '\0';
	const char *after_name = strrchr(line, ')');
	return after_name != NULL && after_name[1] == ' ' && after_name[2] == 'S';
}

static void
waiters_begin(struct waiting *game, struct waiter *me, pthread_t *thread)
{
	assert_int_equal(pthread_barrier_init(&game->gate, NULL, WAITERS + 1), 0);
	for (unsigned i = 0; i < WAITERS; i++) {
		me[i] = (struct waiter){ game, i };
		thread[i] = race_thread(wait_once_per_round, &me[i]);
	}
}

static void
waiters_end(struct waiting *game, const pthread_t *thread)
{
	for (unsigned i = 0; i < WAITERS; i++) {
		race_join(thread[i]);
	}
	race_op_check(&game->op);
	nng_aio_free(game->op.aio);
	(void) pthread_barrier_destroy(&game->gate);
}

/* C9, EPOCH: every waiter returns once the handle was not busy at some moment of its wait, also when it is started
 * again at once. Method: all waiters sleep on one operation; it ends and the next one is started as soon as the
 * handle is not busy, and not ended before every wait has returned. */
static void
waiters_all_return(void **unused)
{
	static struct waiting game;
	struct waiter me[WAITERS];
	pthread_t thread[WAITERS];

	(void) unused;
	memset(&game, 0, sizeof game);
	race_op_init(&game.op, -1);
	race_set(&game.chain_over, 1);
	game.rounds = race_scaled(1500, 60);
	waiters_begin(&game, me, thread);
	for (unsigned round = 0; round < game.rounds; round++) {
		race_set(&game.asking, 0);
		race_set(&game.returned, 0);
		assert_true(race_start(&game.op));
		race_meet(&game.gate);
		race_await(&game.asking, WAITERS);
		for (unsigned i = 0; i < WAITERS; i++) {
			while (!is_asleep(game.id[i])) {
				(void) sched_yield();
			}
		}
		assert_true(race_finish(&game.op, NNG_OK, 0));
		while (nng_aio_busy(game.op.aio)) {
		}
		assert_true(race_start(&game.op));
		race_await(&game.returned, WAITERS);
		assert_true(race_finish(&game.op, NNG_OK, 0));
		nng_aio_wait(game.op.aio);
		race_meet(&game.gate);
	}
	waiters_end(&game, thread);
}

static void
next_link(struct race_op *op)
{
	struct waiting *game = op->context;
	uint64_t links = race_get(&game->links);
	if (links > 0) {
		race_set(&game->links, links - 1);
		(void) race_start(op);
	} else {
		race_set(&game->chain_over, 1);
	}
}

/* C9: wait returns only when idle: never inside a chain of operations that the callback starts, and at its end for
 * all. Method: chains of random length; each waiter looks on return whether the last callback has said that it is
 * the last. */
static void
waiters_return_at_the_end_of_a_chain(void **unused)
{
	static struct waiting game;
	struct waiter me[WAITERS];
	pthread_t thread[WAITERS];
	uint64_t random = race_stream(44);

	(void) unused;
	memset(&game, 0, sizeof game);
	race_op_init(&game.op, -1);
	game.op.then = next_link;
	game.op.context = &game;
	game.rounds = race_scaled(3000, 100);
	waiters_begin(&game, me, thread);
	for (unsigned round = 0; round < game.rounds; round++) {
		race_set(&game.links, race_below(&random, 6));
		race_set(&game.chain_over, 0);
		assert_true(race_start(&game.op));
		race_meet(&game.gate);
		while (race_get(&game.chain_over) == 0) {
			race_jitter(&random);
			(void) race_finish(&game.op, NNG_OK, 0);
		}
		race_meet(&game.gate);
		assert_int_equal(race_get(&game.too_early), 0);
		assert_false(nng_aio_busy(game.op.aio));
	}
	waiters_end(&game, thread);
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
		TEST(stop_from_several_threads_ends_a_callback_that_resubmits),
		TEST(stop_ends_sleeps_that_are_started_again),
		TEST(refusals_are_delivered_once),
		TEST(skip_callback_races_nothing),
		TEST(waiters_all_return),
		TEST(waiters_return_at_the_end_of_a_chain),
	};

	race_print_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

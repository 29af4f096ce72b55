/* SPDX-License-Identifier: MIT
 *
 * completion_test.c: who ends an operation when several want to, under real threads: C1, C2, C4 and the rules of the
 * abort. See race.h for the claim and the ledger.
 */
#include "tests/race/race.h"

#define SHARDS 2

/* ---- a crowd: operations that their callbacks start again, threads that finish them, threads that abort them */

#define OPS 48

struct crowd {
	struct race_op op[OPS];
	pw_a64 total;  /* callbacks */
	pw_a64 ending; /* 1: callbacks start nothing */
	pw_a64 quit;   /* 1: threads end */
};

struct crowd_thread {
	struct crowd *crowd;
	unsigned stream;
};

static void
crowd_again(struct race_op *op)
{
	struct crowd *crowd = op->context;
	race_add(&crowd->total, 1);
	if (race_get(&crowd->ending) == 0) {
		(void) race_start(op);
	}
}

static void *
crowd_finish(void *arg)
{
	struct crowd_thread *me = arg;
	uint64_t random = race_stream(me->stream);
	while (race_get(&me->crowd->quit) == 0) {
		struct race_op *op = &me->crowd->op[race_below(&random, OPS)];
		size_t count = (size_t) race_below(&random, 1000);
		if (!race_finish(op, race_below(&random, 4) == 0 ? NNG_ECLOSED : NNG_OK, count)) {
			(void) sched_yield();
		}
	}
	return NULL;
}

static void *
crowd_abort(void *arg)
{
	struct crowd_thread *me = arg;
	uint64_t random = race_stream(me->stream);
	while (race_get(&me->crowd->quit) == 0) {
		nng_aio *aio = me->crowd->op[race_below(&random, OPS)].aio;
		nng_aio_abort(aio, (nng_err) (100 + race_below(&random, 50)));
		if (race_below(&random, 8) == 0) {
			(void) sched_yield();
		}
	}
	return NULL;
}

/* C1, C2: an operation that several threads finish and abort at once ends exactly once, with the result and the count
 * of the one that won. Method: callbacks start their operation again for as long as the race lasts; the claim says
 * who may finish, the handle is asked in the callback what it was given. */
static void
finish_races_abort(void **unused)
{
	static struct crowd crowd;
	struct crowd_thread me[4] = { { &crowd, 0 }, { &crowd, 1 }, { &crowd, 2 }, { &crowd, 3 } };
	unsigned wanted = race_scaled(200000, 5000);

	(void) unused;
	for (unsigned i = 0; i < OPS; i++) {
		race_op_init(&crowd.op[i], -1);
		crowd.op[i].then = crowd_again;
		crowd.op[i].context = &crowd;
	}
	for (unsigned i = 0; i < OPS; i++) {
		(void) race_start(&crowd.op[i]);
	}
	pthread_t thread[4] = {
		race_thread(crowd_finish, &me[0]),
		race_thread(crowd_finish, &me[1]),
		race_thread(crowd_abort, &me[2]),
		race_thread(crowd_abort, &me[3]),
	};
	race_await(&crowd.total, wanted);
	race_set(&crowd.ending, 1);
	for (unsigned i = 0; i < OPS; i++) {
		nng_aio_wait(crowd.op[i].aio);
	}
	race_set(&crowd.quit, 1);
	for (unsigned i = 0; i < 4; i++) {
		race_join(thread[i]);
	}
	uint64_t finished = 0, cancelled = 0;
	for (unsigned i = 0; i < OPS; i++) {
		race_op_check(&crowd.op[i]);
		finished += race_get(&crowd.op[i].finished);
		cancelled += race_get(&crowd.op[i].cancelled);
		nng_aio_free(crowd.op[i].aio);
	}
	printf("finished %llu, aborted %llu\n", (unsigned long long) finished, (unsigned long long) cancelled);
	assert_true(finished > 0);
	assert_true(cancelled > 0);
}

/* ---- rounds: one operation, all threads let go at one moment */

enum {
	ABORTERS = 3
};

struct rounds {
	struct race_op op;
	pthread_barrier_t gate;
	pw_a64 returned; /* calls of abort and finish, in this round */
	unsigned rounds;
	unsigned threads;
	nng_err reason[ABORTERS];
	nng_err recorded;
	pw_a64 ticket; /* in this round: the order of calls and returns */
	uint64_t called[ABORTERS];
	uint64_t left[ABORTERS];
	/* late_abort */
	pw_a64 second;
};

struct rounds_thread {
	struct rounds *game;
	unsigned number;
};

static void *
rounds_abort(void *arg)
{
	struct rounds_thread *me = arg;
	struct rounds *game = me->game;
	uint64_t random = race_stream(10 + me->number);
	for (unsigned i = 0; i < game->rounds; i++) {
		race_meet(&game->gate);
		race_jitter(&random);
		game->called[me->number] = race_add(&game->ticket, 1);
		nng_aio_abort(game->op.aio, game->reason[me->number]);
		game->left[me->number] = race_add(&game->ticket, 1);
		race_add(&game->returned, 1);
		race_meet(&game->gate);
	}
	return NULL;
}

static void *
rounds_finish(void *arg)
{
	struct rounds_thread *me = arg;
	struct rounds *game = me->game;
	uint64_t random = race_stream(20);
	for (unsigned i = 0; i < game->rounds; i++) {
		race_meet(&game->gate);
		race_jitter(&random);
		(void) race_finish(&game->op, NNG_OK, 1);
		race_add(&game->returned, 1);
		race_meet(&game->gate);
	}
	return NULL;
}

static void
second_operation(struct race_op *op)
{
	struct rounds *game = op->context;
	if (race_get(&game->second) == 0) {
		race_await(&game->returned, 2); /* the abort was meant for the operation that ends here */
		race_set(&game->second, 1);
		(void) race_start(op);
		race_set(&game->second, 2);
	}
}

/* C4, "a late abort can never hit the next operation". Method: an abort and a finish race for one operation; its
 * callback waits until both calls have returned and starts the next operation at once. The shard takes one entry a
 * turn, so the abort's request may still be on its way then. The next operation must live until it is finished. */
static void
late_abort_never_hits_the_next_operation(void **unused)
{
	static struct rounds game;

	(void) unused;
	memset(&game, 0, sizeof game);
	race_op_init(&game.op, 0);
	game.op.then = second_operation;
	game.op.context = &game;
	game.rounds = race_scaled(8000, 300);
	game.reason[0] = NNG_ECANCELED;
	assert_int_equal(pthread_barrier_init(&game.gate, NULL, 3), 0);
	struct rounds_thread me = { &game, 0 };
	pthread_t aborter = race_thread(rounds_abort, &me), finisher = race_thread(rounds_finish, &me);

	for (unsigned i = 0; i < game.rounds; i++) {
		race_set(&game.returned, 0);
		race_set(&game.second, 0);
		assert_true(race_start(&game.op));
		race_meet(&game.gate);
		race_meet(&game.gate);
		race_await(&game.second, 2);
		uint64_t cancels = race_get(&game.op.cancel_calls), cancelled = race_get(&game.op.cancelled);
		race_flush(0); /* behind the request */
		assert_true(nng_aio_busy(game.op.aio));
		assert_int_equal(race_get(&game.op.cancel_calls), cancels);
		assert_true(race_finish(&game.op, NNG_OK, 2));
		nng_aio_wait(game.op.aio);
		assert_int_equal(nng_aio_result(game.op.aio), NNG_OK);
		assert_int_equal(race_get(&game.op.cancelled), cancelled);
	}
	race_join(aborter);
	race_join(finisher);
	race_op_check(&game.op);
	nng_aio_free(game.op.aio);
	(void) pthread_barrier_destroy(&game.gate);
}

/* ---- the same without chance */

static void
count_callback(void *arg)
{
	race_add(arg, 1);
}

#define FILLERS (PW_INBOX_SLOTS + 8) /* the last ones stand between the request and the completion */

struct overtaking {
	struct race_op op;
	pw_a64 request_was_queued; /* when the second operation began */
};

static void
second_operation_beside_the_request(struct race_op *op)
{
	struct overtaking *game = op->context;
	if (race_get(&op->callbacks) % 2 == 1) {
		race_add(&game->request_was_queued, (pw_load_acquire_64(&op->aio->word) & PW_QUEUED) != 0);
		(void) race_start(op);
	}
}

/* C4 again, with the late request certain: "a request carries no operation: home looks at the word as it is then".
 * Method: the shard is held and its ring filled, so that the abort's request and then the completion go to the
 * overflow stack, which is taken newest first, one entry a turn: the completion, whose callback starts the next
 * operation, comes some turns before the request. */
static void
request_of_an_earlier_operation_is_harmless(void **unused)
{
	static struct overtaking game;
	static nng_aio *filler[FILLERS];
	pw_a64 filled;
	unsigned rounds = race_scaled(40, 4);

	(void) unused;
	memset(&game, 0, sizeof game);
	race_set(&filled, 0);
	race_op_init(&game.op, 0);
	game.op.then = second_operation_beside_the_request;
	game.op.context = &game;
	for (unsigned i = 0; i < FILLERS; i++) {
		assert_int_equal(pinwheel_aio_alloc_on(&filler[i], 0, count_callback, &filled), NNG_OK);
	}
	for (unsigned round = 1; round <= rounds; round++) {
		struct race_hold hold;
		assert_true(race_start(&game.op));
		race_hold(&hold, 0);
		for (unsigned i = 0; i < FILLERS; i++) {
			if (i == PW_INBOX_SLOTS) {
				nng_aio_cancel(game.op.aio);
			}
			nng_aio_reset(filler[i]);
			nng_aio_finish(filler[i], NNG_OK);
		}
		assert_true(race_finish(&game.op, NNG_OK, 7));
		race_let_go(&hold);
		race_await(&filled, (uint64_t) round * FILLERS);
		assert_int_equal(race_get(&game.request_was_queued), round);
		assert_true(nng_aio_busy(game.op.aio));
		assert_true(race_finish(&game.op, NNG_OK, 8));
		nng_aio_wait(game.op.aio);
		assert_int_equal(nng_aio_result(game.op.aio), NNG_OK);
		assert_int_equal(race_get(&game.op.cancel_calls), 0);
	}
	race_op_check(&game.op);
	nng_aio_free(game.op.aio);
	for (unsigned i = 0; i < FILLERS; i++) {
		nng_aio_free(filler[i]);
	}
}

/* C3 (the lost cancels of nanomsg/nng 1236 and 2208): an abort between begin and defer, or beside the defer, is
 * remembered, and the cancel function is called. Method: nothing else would end the operation, so a lost abort is a
 * wait that does not return. */
static void
abort_in_the_begin_window_is_kept(void **unused)
{
	static struct rounds game;
	uint64_t random = race_stream(30);

	(void) unused;
	memset(&game, 0, sizeof game);
	race_op_init(&game.op, -1);
	game.rounds = race_scaled(20000, 500);
	game.reason[0] = NNG_ECANCELED;
	assert_int_equal(pthread_barrier_init(&game.gate, NULL, 2), 0);
	struct rounds_thread me = { &game, 0 };
	pthread_t aborter = race_thread(rounds_abort, &me);

	for (unsigned i = 0; i < game.rounds; i++) {
		uint64_t generation = race_opening(&game.op);
		assert_true(nng_aio_begin(game.op.aio));
		race_meet(&game.gate);
		race_jitter(&random);
		nng_aio_defer(game.op.aio, race_on_cancel, &game.op);
		race_opened(&game.op, generation);
		race_meet(&game.gate);
		nng_aio_wait(game.op.aio);
		assert_int_equal(nng_aio_result(game.op.aio), NNG_ECANCELED);
		assert_int_equal(race_get(&game.op.cancel_calls), i + 1);
	}
	race_join(aborter);
	race_op_check(&game.op);
	nng_aio_free(game.op.aio);
	(void) pthread_barrier_destroy(&game.gate);
}

static void *
close_once_per_round(void *arg)
{
	struct rounds *game = arg;
	uint64_t random = race_stream(31);
	for (unsigned i = 0; i < game->rounds; i++) {
		race_meet(&game->gate);
		race_jitter(&random);
		pinwheel_aio_close(game->op.aio);
		race_meet(&game->gate);
	}
	return NULL;
}

/* C3 for a stop in the same window, which is as sticky as the handle. Method: a new handle each round; begin is
 * either refused by the stop (never here: it comes after) or followed by a cancel function with NNG_ESTOPPED. */
static void
stop_in_the_begin_window_is_kept(void **unused)
{
	static struct rounds game;
	uint64_t random = race_stream(32);

	(void) unused;
	memset(&game, 0, sizeof game);
	game.rounds = race_scaled(10000, 300);
	assert_int_equal(pthread_barrier_init(&game.gate, NULL, 2), 0);
	race_op_init(&game.op, -1);
	pthread_t closer = race_thread(close_once_per_round, &game);
	for (unsigned i = 0; i < game.rounds; i++) {
		uint64_t generation = race_opening(&game.op);
		assert_true(nng_aio_begin(game.op.aio));
		race_meet(&game.gate);
		race_jitter(&random);
		nng_aio_defer(game.op.aio, race_on_cancel, &game.op);
		race_opened(&game.op, generation);
		race_meet(&game.gate);
		nng_aio_wait(game.op.aio);
		assert_int_equal(nng_aio_result(game.op.aio), NNG_ESTOPPED);
		assert_int_equal(race_get(&game.op.cancelled), 1);
		race_op_check(&game.op);
		nng_aio_free(game.op.aio);
		race_op_init(&game.op, -1);
	}
	race_join(closer);
	nng_aio_free(game.op.aio);
	(void) pthread_barrier_destroy(&game.gate);
}

static void
record_reason(nng_aio *aio, void *arg, nng_err reason)
{
	struct race_op *op = arg;
	struct rounds *game = op->context;
	game->recorded = reason;
	race_on_cancel(aio, arg, reason);
}

/* No other abort had returned before this one was called. */
static bool
may_have_won(const struct rounds *game, unsigned winner)
{
	for (unsigned i = 0; i < ABORTERS; i++) {
		if (game->left[i] < game->called[winner]) {
			return false;
		}
	}
	return true;
}

/* R5: of several aborts the first reason wins, and there is one call of the cancel function. Method: three threads
 * with a reason each; in every fourth round the shard is held until all have called. The cancel function and the
 * result must name the same reason, and not one that came when another abort had returned already; each thread must
 * win some rounds, and not all. */
static void
first_abort_reason_wins(void **unused)
{
	static struct rounds game;
	struct rounds_thread me[ABORTERS];
	pthread_t thread[ABORTERS];
	unsigned won[ABORTERS] = { 0 };

	(void) unused;
	memset(&game, 0, sizeof game);
	race_op_init(&game.op, 0);
	game.op.context = &game;
	game.rounds = race_scaled(10000, 300);
	assert_int_equal(pthread_barrier_init(&game.gate, NULL, ABORTERS + 1), 0);
	for (unsigned i = 0; i < ABORTERS; i++) {
		game.reason[i] = (nng_err) (200 + i);
		me[i] = (struct rounds_thread){ &game, i };
		thread[i] = race_thread(rounds_abort, &me[i]);
	}
	for (unsigned i = 0; i < game.rounds; i++) {
		struct race_hold hold;
		bool held = i % 4 == 0;
		uint64_t generation = race_opening(&game.op);
		assert_true(nng_aio_start(game.op.aio, record_reason, &game.op));
		race_opened(&game.op, generation);
		if (held) {
			race_hold(&hold, 0);
		}
		race_meet(&game.gate);
		race_meet(&game.gate);
		if (held) {
			race_let_go(&hold);
		}
		nng_aio_wait(game.op.aio);
		nng_err result = nng_aio_result(game.op.aio);
		assert_in_range(result, 200, 200 + ABORTERS - 1);
		assert_int_equal(game.recorded, result);
		assert_true(may_have_won(&game, (unsigned) result - 200));
		assert_int_equal(race_get(&game.op.cancel_calls), i + 1);
		won[result - 200]++;
	}
	for (unsigned i = 0; i < ABORTERS; i++) {
		race_join(thread[i]);
	}
	race_op_check(&game.op);
	printf("won: %u, %u, %u\n", won[0], won[1], won[2]);
	assert_true(won[0] < game.rounds && won[1] < game.rounds && won[2] < game.rounds);
	nng_aio_free(game.op.aio);
	(void) pthread_barrier_destroy(&game.gate);
}

/* ---- the cancel function and the callback */

struct handover {
	struct race_op op;
	pw_a64 handed; /* the round in which the cancel function has handed the operation over */
	pw_a64 finished;
	pw_a64 quit;
};

/* Gives the operation to another thread, and stays until that thread has finished it. */
static void
hand_over(nng_aio *aio, void *arg, nng_err reason)
{
	struct handover *game = arg;
	(void) aio;
	race_set(&game->op.in_cancel, 1);
	race_add(&game->op.cancel_calls, 1);
	if (race_take(&game->op, true)) {
		uint64_t round = race_get(&game->finished) + 1;
		game->op.expected = reason;
		race_add(&game->op.cancelled, 1);
		race_set(&game->handed, round);
		race_await(&game->finished, round);
	}
	race_set(&game->op.in_cancel, 0);
}

static void *
finish_what_was_handed_over(void *arg)
{
	struct handover *game = arg;
	for (uint64_t round = 1;; round++) {
		while (race_get(&game->handed) < round) {
			if (race_get(&game->quit) != 0) {
				return NULL;
			}
			(void) sched_yield();
		}
		nng_aio_finish(game->op.aio, game->op.expected);
		race_set(&game->finished, round);
	}
}

/* R24: a callback never starts while its operation's cancel function runs. Method: the cancel function returns only
 * after another thread has finished the operation; the callback looks whether it is still inside. */
static void
callback_waits_for_the_cancel_function(void **unused)
{
	static struct handover game;

	(void) unused;
	race_op_init(&game.op, -1);
	pthread_t helper = race_thread(finish_what_was_handed_over, &game);
	unsigned rounds = race_scaled(3000, 100);
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t generation = race_opening(&game.op);
		assert_true(nng_aio_start(game.op.aio, hand_over, &game));
		race_opened(&game.op, generation);
		nng_aio_cancel(game.op.aio);
		nng_aio_wait(game.op.aio);
		assert_int_equal(nng_aio_result(game.op.aio), NNG_ECANCELED);
	}
	race_set(&game.quit, 1);
	race_join(helper);
	race_op_check(&game.op);
	assert_int_equal(race_get(&game.op.cancel_calls), rounds);
	nng_aio_free(game.op.aio);
}

static int
start_engine(void **unused)
{
	(void) unused;
	race_engine(SHARDS);
	return 0;
}

static int
start_engine_one_entry_a_turn(void **unused)
{
	(void) unused;
	race_engine_with(SHARDS, PINWHEEL_NONE, 1);
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
		cmocka_unit_test_setup_teardown(finish_races_abort, start_engine, end_engine),
		cmocka_unit_test_setup_teardown(late_abort_never_hits_the_next_operation,
		    start_engine_one_entry_a_turn, end_engine),
		cmocka_unit_test_setup_teardown(request_of_an_earlier_operation_is_harmless,
		    start_engine_one_entry_a_turn, end_engine),
		cmocka_unit_test_setup_teardown(abort_in_the_begin_window_is_kept, start_engine, end_engine),
		cmocka_unit_test_setup_teardown(stop_in_the_begin_window_is_kept, start_engine, end_engine),
		cmocka_unit_test_setup_teardown(first_abort_reason_wins, start_engine, end_engine),
		cmocka_unit_test_setup_teardown(callback_waits_for_the_cancel_function, start_engine, end_engine),
	};

	race_print_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

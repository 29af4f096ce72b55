/* SPDX-License-Identifier: MIT
 *
 * home_test.c: a handle that moves between shards while threads abort, finish and stop it. See race.h.
 */
#include "tests/race/race.h"

#define SHARDS 3
#define HOUR_MS 3600000
#define OPS 24

struct nomad {
	struct race_op op;
	struct travels *travels;
	uint64_t random;
	uint64_t timeouts_random;
	unsigned left;
	pw_a64 astray; /* callbacks on another shard than home, or than the one it is pinned to */
	int pinned;    /* -1: it may move */
};

struct travels {
	struct nomad nomad[OPS];
	pw_a64 total;
	pw_a64 quit;
};

struct traveller {
	struct travels *travels;
	unsigned stream;
};

static void
set_off(void *arg)
{
	struct nomad *n = arg;
	/* Some with a deadline: then TIMER keeps the handle where it is linked, for the operations that follow. */
	uint64_t kind = race_below(&n->timeouts_random, 8);
	nng_aio_set_timeout(n->op.aio, kind == 0 ? HOUR_MS : kind == 1 ? 2 : NNG_DURATION_INFINITE);
	(void) race_start(&n->op);
}

/* Starts again here, or on another shard: there the handle has no TIMER, QUEUED or RUNNING sooner or later, and
 * moves. */
static void
travel_on(struct race_op *op)
{
	struct nomad *n = op->context;
	race_add(&n->astray,
	    pinwheel_shard_self() != pinwheel_aio_home(op->aio) ||
		(n->pinned >= 0 && n->pinned != pinwheel_shard_self()));
	race_add(&n->travels->total, 1);
	if (n->left == 0) {
		return;
	}
	n->left--;
	uint64_t to = race_below(&n->random, SHARDS + 1);
	if (to == SHARDS) {
		set_off(n);
	} else if (pinwheel_run_on((int) to, set_off, n) != NNG_OK) {
		n->left = 0;
	}
}

static void *
finish_travellers(void *arg)
{
	struct traveller *me = arg;
	uint64_t random = race_stream(me->stream);
	while (race_get(&me->travels->quit) == 0) {
		if (!race_finish(&me->travels->nomad[race_below(&random, OPS)].op, NNG_OK, 0)) {
			(void) sched_yield();
		}
	}
	return NULL;
}

static void *
abort_travellers(void *arg)
{
	struct traveller *me = arg;
	uint64_t random = race_stream(me->stream);
	while (race_get(&me->travels->quit) == 0) {
		nng_aio_cancel(me->travels->nomad[race_below(&random, OPS)].op.aio);
		if (race_below(&random, 4) == 0) {
			(void) sched_yield();
		}
	}
	return NULL;
}

static uint64_t
travel(int pinned)
{
	static struct travels travels;
	struct traveller me[3] = { { &travels, 90 }, { &travels, 91 }, { &travels, 92 } };
	unsigned each = race_scaled(4000, 100);

	memset(&travels, 0, sizeof travels);
	for (unsigned i = 0; i < OPS; i++) {
		struct nomad *n = &travels.nomad[i];
		race_op_init(&n->op, pinned);
		n->op.then = travel_on;
		n->op.context = n;
		n->travels = &travels;
		n->random = race_stream(200 + i);
		n->timeouts_random = race_stream(300 + i);
		n->left = each - 1;
		n->pinned = pinned;
	}
	uint64_t moved = 0;
	for (int i = 0; i < SHARDS; i++) {
		moved -= race_stats(i).moved_home;
	}
	for (unsigned i = 0; i < OPS; i++) {
		set_off(&travels.nomad[i]);
	}
	pthread_t thread[3] = {
		race_thread(finish_travellers, &me[0]),
		race_thread(abort_travellers, &me[1]),
		race_thread(abort_travellers, &me[2]),
	};
	race_await(&travels.total, (uint64_t) OPS * each);
	race_set(&travels.quit, 1);
	for (unsigned i = 0; i < 3; i++) {
		race_join(thread[i]);
	}
	for (unsigned i = 0; i < OPS; i++) {
		struct nomad *n = &travels.nomad[i];
		nng_aio_wait(n->op.aio);
		race_op_check(&n->op);
		assert_int_equal(race_get(&n->op.callbacks), each);
		assert_int_equal(race_get(&n->astray), 0);
		nng_aio_free(n->op.aio);
	}
	for (int i = 0; i < SHARDS; i++) {
		moved += race_stats(i).moved_home;
	}
	return moved;
}

/* Moving home: an operation started on another shard moves its handle there when nothing holds it, and neither an
 * abort nor a finish that races with the start goes to the shard it has left. Method: each callback has its
 * operation started again on a random shard; two threads abort, one finishes. A request that went astray would be a
 * shard touching another shard's timer, or an operation that nobody ends. */
static void
moving_home_under_abort(void **unused)
{
	(void) unused;
	uint64_t moved = travel(-1);
	printf("moved %llu times\n", (unsigned long long) moved);
	assert_true(moved > 0);
}

/* A handle allocated on a given shard never moves, wherever it is started. Method: the same, pinned. */
static void
pinned_handle_never_moves(void **unused)
{
	(void) unused;
	assert_int_equal(travel(1), 0);
}

/* ---- what keeps a handle where it is */

struct visit {
	struct race_op op;
	struct race_hold hold;
	bool hold_callback;
	bool start_elsewhere; /* the callback has shard 1 start the handle when it is not busy any more */
	bool when_idle;
	pw_a64 started;
	uint64_t word_after; /* of the start on the other shard */
};

static void
start_here(void *arg)
{
	struct visit *visit = arg;
	while (visit->when_idle && nng_aio_busy(visit->op.aio)) {
	}
	(void) race_start(&visit->op);
	visit->word_after = pw_load_acquire_64(&visit->op.aio->word);
	race_set(&visit->started, 1);
}

static void
stay_in_the_callback(struct race_op *op)
{
	struct visit *visit = op->context;
	if (visit->hold_callback) {
		race_hold_run(&visit->hold);
	}
	if (visit->start_elsewhere) {
		visit->start_elsewhere = false;
		if (pinwheel_run_on(1, start_here, visit) != NNG_OK) {
			race_set(&visit->started, 2);
		}
	}
}

/* Starts the operation on a shard's thread; returns the handle's home after it. */
static int
start_on(struct visit *visit, int shard)
{
	race_set(&visit->started, 0);
	assert_int_equal(pinwheel_run_on(shard, start_here, visit), NNG_OK);
	race_await(&visit->started, 1);
	return pinwheel_aio_home(visit->op.aio);
}

static void
finish_visit(struct visit *visit)
{
	assert_true(race_finish(&visit->op, NNG_OK, 0));
	nng_aio_wait(visit->op.aio);
}

static void
visit_begin(struct visit *visit)
{
	memset(visit, 0, sizeof *visit);
	race_op_init(&visit->op, -1);
	visit->op.then = stay_in_the_callback;
	visit->op.context = visit;
	assert_int_equal(start_on(visit, 0), 0);
	finish_visit(visit);
}

/* A handle moves to the shard that starts it, but for TIMER: its entry is in the wheel of its home. */
static void
linked_handle_does_not_move(void **unused)
{
	struct visit visit;

	(void) unused;
	visit_begin(&visit);
	assert_int_equal(start_on(&visit, 1), 1); /* nothing holds it */
	finish_visit(&visit);
	nng_aio_set_timeout(visit.op.aio, HOUR_MS);
	assert_int_equal(start_on(&visit, 0), 0);
	finish_visit(&visit);
	nng_aio_set_timeout(visit.op.aio, NNG_DURATION_INFINITE);
	assert_int_equal(start_on(&visit, 1), 0);
	assert_true((visit.word_after & PW_TIMER) != 0);
	finish_visit(&visit);
	race_op_check(&visit.op);
	nng_aio_free(visit.op.aio);
}

/* But for its callback, which is on its home's stack yet. Method: the callback is held while another shard starts the
 * handle. */
static void
running_handle_does_not_move(void **unused)
{
	struct visit visit;

	(void) unused;
	visit_begin(&visit);
	visit.hold_callback = true;
	assert_int_equal(start_on(&visit, 0), 0);
	assert_true(race_finish(&visit.op, NNG_OK, 0));
	race_await(&visit.hold.held, 1);
	assert_int_equal(start_on(&visit, 1), 0);
	assert_true((visit.word_after & PW_RUNNING) != 0);
	visit.hold_callback = false;
	race_let_go(&visit.hold);
	finish_visit(&visit);
	race_op_check(&visit.op);
	nng_aio_free(visit.op.aio);
}

#define FILLERS (2 * PW_INBOX_SLOTS)

static void
nothing(void *arg)
{
	(void) arg;
}

static void
finish_many(nng_aio **aio, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		nng_aio_reset(aio[i]);
		nng_aio_finish(aio[i], NNG_OK);
	}
}

/* But for QUEUED: an entry is on its way to its home. Method: the home is held and its ring full; then come a
 * request (an abort's), thousands of other entries, and the completion, all on the overflow stack, which is taken
 * newest first and one at a time: the operation is over long before its request is taken, and another shard starts
 * the handle between. */
static void
queued_handle_does_not_move(void **unused)
{
	static nng_aio *filler[FILLERS];
	static struct visit visit;
	unsigned queued = 0, rounds = 0, wanted = race_scaled(10, 3);

	(void) unused;
	for (unsigned i = 0; i < FILLERS; i++) {
		assert_int_equal(pinwheel_aio_alloc_on(&filler[i], 0, nothing, NULL), NNG_OK);
	}
	visit_begin(&visit);
	for (; queued < wanted && rounds < 100 * wanted; rounds++) {
		struct race_hold hold;
		visit.when_idle = false;
		assert_int_equal(start_on(&visit, 0), 0);
		visit.start_elsewhere = true;
		visit.when_idle = true;
		race_set(&visit.started, 0);
		race_hold(&hold, 0);
		finish_many(filler, FILLERS / 2);
		nng_aio_cancel(visit.op.aio);
		finish_many(filler + FILLERS / 2, FILLERS / 2);
		assert_true(race_finish(&visit.op, NNG_OK, 0));
		race_let_go(&hold);
		race_await(&visit.started, 1);
		assert_int_equal(race_get(&visit.started), 1);
		if ((visit.word_after & PW_QUEUED) != 0) {
			assert_int_equal(pinwheel_aio_home(visit.op.aio), 0);
			queued++;
		}
		finish_visit(&visit);
		for (unsigned i = 0; i < FILLERS; i++) {
			nng_aio_wait(filler[i]);
		}
	}
	printf("started with a request on its way: %u of %u\n", queued, rounds);
	assert_true(queued > 0);
	race_op_check(&visit.op);
	nng_aio_free(visit.op.aio);
	for (unsigned i = 0; i < FILLERS; i++) {
		nng_aio_free(filler[i]);
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
start_engine_one_entry_a_turn(void **unused)
{
	(void) unused;
	race_engine_with(2, PINWHEEL_NONE, 1);
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
		cmocka_unit_test_setup_teardown(moving_home_under_abort, start_engine, end_engine),
		cmocka_unit_test_setup_teardown(pinned_handle_never_moves, start_engine, end_engine),
		cmocka_unit_test_setup_teardown(linked_handle_does_not_move, start_engine, end_engine),
		cmocka_unit_test_setup_teardown(running_handle_does_not_move, start_engine, end_engine),
		cmocka_unit_test_setup_teardown(queued_handle_does_not_move, start_engine_one_entry_a_turn,
		    end_engine),
	};

	race_print_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

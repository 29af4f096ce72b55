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

/* Starts again here, or on another shard: there the handle has no TIMER, QUEUED or RUNNING sooner or later, and moves. */
static void
travel_on(struct race_op *op)
{
	struct nomad *n = op->context;
	race_add(&n->astray, pinwheel_shard_self() != pinwheel_aio_home(op->aio) ||
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

/* Moving home: an operation started on another shard moves its handle there when nothing holds it, and neither an abort
 * nor a finish that races with the start goes to the shard it has left. Method: each callback has its operation started
 * again on a random shard; two threads abort, one finishes. A request that went astray would be a shard touching another
 * shard's timer, or an operation that nobody ends. */
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(moving_home_under_abort, start_engine, end_engine),
		cmocka_unit_test_setup_teardown(pinned_handle_never_moves, start_engine, end_engine),
	};

	race_print_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * fini_test.c: nng_fini while other threads start, finish, abort, reap and allocate. See race.h.
 *
 * What an operation may see of a shutdown: accepted, it has its one callback. Refused, one callback with
 * NNG_ESTOPPED, or none where the shutdown has begun: a thread outside cannot tell the one from the other. In no
 * case does it stay busy.
 */
#include "tests/race/race.h"

#define SHARDS 2
#define HOUR_MS 3600000
#define OPS 16

enum {
	THREADS = 3
};

struct shutdown {
	struct race_op op[THREADS][OPS];
	pthread_barrier_t gate;
	pw_a64 busy_threads; /* that have started operations in this round */
	pw_a64 fini_over;
	pw_a64 reaps_wanted;
	pw_a64 reaps;
	unsigned rounds;
};

struct worker {
	struct shutdown *shutdown;
	unsigned number;
};

/* Every second operation starts itself again in its callback, until it is stopped. */
static void
once_more(struct race_op *op)
{
	if (race_get(&op->callbacks) % 2 == 1 && race_get(&op->last_result) != NNG_ESTOPPED) {
		(void) race_start(op);
	}
}

/* A handle of its own, which ends itself: its callback reaps it, whenever it comes. */
struct leaf {
	nng_aio *aio;
	struct shutdown *shutdown;
};

static void
reap_leaf(void *arg)
{
	struct leaf *leaf = arg;
	race_add(&leaf->shutdown->reaps, 1);
	nng_aio_reap(leaf->aio);
	free(leaf);
}

/* Before the shutdown alone: an allocation during it would start the next engine. */
static void
grow_leaf(struct shutdown *shutdown, uint64_t *random)
{
	struct leaf *leaf = calloc(1, sizeof *leaf);
	if (leaf != NULL && nng_aio_alloc(&leaf->aio, reap_leaf, leaf) == NNG_OK) {
		leaf->shutdown = shutdown;
		race_add(&shutdown->reaps_wanted, 1);
		pinwheel_sleep_ns(race_below(random, 2) == 0 ? -1 : (int64_t) race_below(random, 100000), leaf->aio);
		return;
	}
	free(leaf);
}

static void
work(struct shutdown *shutdown, struct race_op *op, uint64_t *random)
{
	unsigned after = 0;
	while (after < 2 * OPS) { /* and some operations with no engine */
		struct race_op *one = &op[race_below(random, OPS)];
		bool over = race_get(&shutdown->fini_over) != 0;
		if (!nng_aio_busy(one->aio)) {
			nng_aio_set_timeout(one->aio, race_below(random, 3) == 0 ? HOUR_MS : NNG_DURATION_INFINITE);
			(void) race_start(one);
		}
		(void) race_finish(&op[race_below(random, OPS)], NNG_OK, 0);
		nng_aio_cancel(op[race_below(random, OPS)].aio);
		after += over;
	}
}

static void *
work_through_shutdowns(void *arg)
{
	struct worker *me = arg;
	struct shutdown *shutdown = me->shutdown;
	uint64_t random = race_stream(130 + me->number);
	for (unsigned round = 0; round < shutdown->rounds; round++) {
		race_meet(&shutdown->gate);
		for (unsigned i = 0; i < 8; i++) {
			grow_leaf(shutdown, &random);
		}
		race_add(&shutdown->busy_threads, 1);
		work(shutdown, shutdown->op[me->number], &random);
		race_meet(&shutdown->gate);
	}
	return NULL;
}

static void
check_after_shutdown(struct race_op *op)
{
	uint64_t accepted = race_get(&op->accepted), refused = race_get(&op->refused),
		 callbacks = race_get(&op->callbacks);
	assert_false(nng_aio_busy(op->aio));
	assert_in_range(callbacks, accepted, accepted + refused);
	assert_int_equal(race_get(&op->finished) + race_get(&op->cancelled), accepted);
	assert_int_equal(race_get(&op->overlapping), 0);
	assert_int_equal(race_get(&op->cancelled_twice), 0);
	assert_int_equal(race_get(&op->wrong_result), 0);
	assert_false(race_start(op)); /* survivors are stopped, and there is nobody to call back */
	assert_int_equal(nng_aio_result(op->aio), NNG_ESTOPPED);
	assert_int_equal(race_get(&op->callbacks), callbacks);
	nng_aio_free(op->aio);
}

/* nng_fini ends every operation, once, whatever other threads do at that moment, and waits for it; handles that
 * reap themselves are gone, those that survive are stopped and idle and can be freed. It ends although the threads
 * never leave off. Method: threads start, finish and abort before, during and after the shutdown; then the library
 * is started again. */
static void
fini_races_operations_and_reaps(void **unused)
{
	static struct shutdown shutdown;
	struct worker me[THREADS];
	pthread_t thread[THREADS];

	(void) unused;
	memset(&shutdown, 0, sizeof shutdown);
	shutdown.rounds = race_scaled(60, 10);
	assert_int_equal(pthread_barrier_init(&shutdown.gate, NULL, THREADS + 1), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		me[i] = (struct worker){ &shutdown, i };
		thread[i] = race_thread(work_through_shutdowns, &me[i]);
	}
	for (unsigned round = 0; round < shutdown.rounds; round++) {
		race_engine(SHARDS);
		for (unsigned i = 0; i < THREADS * OPS; i++) {
			race_op_init(&shutdown.op[i / OPS][i % OPS], -1);
			shutdown.op[i / OPS][i % OPS].then = once_more;
		}
		race_set(&shutdown.busy_threads, 0);
		race_set(&shutdown.fini_over, 0);
		race_meet(&shutdown.gate);
		race_await(&shutdown.busy_threads, THREADS);
		nng_fini();
		race_set(&shutdown.fini_over, 1);
		race_meet(&shutdown.gate);
		assert_int_equal(race_get(&shutdown.reaps), race_get(&shutdown.reaps_wanted));
		for (unsigned i = 0; i < THREADS * OPS; i++) {
			check_after_shutdown(&shutdown.op[i / OPS][i % OPS]);
		}
		race_engine_end();
	}
	for (unsigned i = 0; i < THREADS; i++) {
		race_join(thread[i]);
	}
	(void) pthread_barrier_destroy(&shutdown.gate);
}

/* ---- refusals and synchronous completions at the very end */

struct last_moments {
	nng_aio *stopped; /* every start of it is refused */
	nng_aio *open;    /* completed synchronously, again and again */
	pthread_barrier_t gate;
	pw_a64 running;
	pw_a64 fini_over;
	unsigned rounds;
	pw_a64 accepted; /* starts of the stopped handle, to stay 0 */
};

static void
no_cancel(nng_aio *aio, void *arg, nng_err reason)
{
	(void) aio;
	(void) arg;
	(void) reason;
}

static void *
refuse_until_the_end(void *arg)
{
	struct last_moments *last = arg;
	for (unsigned round = 0; round < last->rounds; round++) {
		race_meet(&last->gate);
		for (unsigned after = 0; after < 3; after += race_get(&last->fini_over) != 0) {
			race_add(&last->accepted, nng_aio_start(last->stopped, no_cancel, NULL));
			nng_aio_wait(last->stopped);
			race_add(&last->running, 1);
		}
		race_meet(&last->gate);
	}
	return NULL;
}

static void *
complete_until_the_end(void *arg)
{
	struct last_moments *last = arg;
	for (unsigned round = 0; round < last->rounds; round++) {
		race_meet(&last->gate);
		for (unsigned after = 0; after < 3; after += race_get(&last->fini_over) != 0) {
			nng_aio_reset(last->open);
			nng_aio_finish(last->open, NNG_OK);
			nng_aio_wait(last->open);
			race_add(&last->running, 1);
		}
		race_meet(&last->gate);
	}
	return NULL;
}

static void
nothing(void *arg)
{
	(void) arg;
}

/* A refused start, and a finish straight from reset, which see the engine run and end their operation when it has
 * ended, leave no completion behind that nobody delivers. Method: two threads do nothing else while the engine is
 * shut down, each waiting for its operation to be over; a completion that is left behind is a wait without end. */
static void
fini_leaves_no_completion_behind(void **unused)
{
	static struct last_moments last;

	(void) unused;
	memset(&last, 0, sizeof last);
	last.rounds = race_scaled(100, 10);
	assert_int_equal(pthread_barrier_init(&last.gate, NULL, 3), 0);
	pthread_t refuser = race_thread(refuse_until_the_end, &last),
		  completer = race_thread(complete_until_the_end, &last);
	for (unsigned round = 0; round < last.rounds; round++) {
		race_engine(SHARDS);
		assert_int_equal(nng_aio_alloc(&last.stopped, nothing, NULL), NNG_OK);
		assert_int_equal(nng_aio_alloc(&last.open, nothing, NULL), NNG_OK);
		nng_aio_stop(last.stopped);
		race_set(&last.running, 0);
		race_set(&last.fini_over, 0);
		race_meet(&last.gate);
		race_await(&last.running, 2 + round % 8);
		nng_fini();
		race_set(&last.fini_over, 1);
		race_meet(&last.gate);
		assert_int_equal(race_get(&last.accepted), 0);
		assert_false(nng_aio_busy(last.stopped));
		assert_false(nng_aio_busy(last.open));
		nng_aio_free(last.stopped);
		nng_aio_free(last.open);
		race_engine_end();
	}
	race_join(refuser);
	race_join(completer);
	(void) pthread_barrier_destroy(&last.gate);
}

/* ---- allocation */

struct births {
	unsigned rounds;
	pw_a64 births;
	pw_a64 failed;
	pw_a64 callbacks;
	pw_a64 odd_results;
	pw_a64 over;
};

static void
count_birth(void *arg)
{
	race_add(arg, 1);
}

static void *
give_birth(void *arg)
{
	struct births *births = arg;
	for (unsigned i = 0; i < births->rounds; i++) {
		nng_aio *aio;
		if (nng_aio_alloc(&aio, count_birth, &births->callbacks) != NNG_OK) {
			race_add(&births->failed, 1);
			continue;
		}
		race_add(&births->births, 1);
		pinwheel_sleep_ns(0, aio);
		nng_aio_wait(aio);
		nng_err result = nng_aio_result(aio);
		race_add(&births->odd_results, result != NNG_OK && result != NNG_ESTOPPED);
		nng_aio_free(aio);
	}
	race_add(&births->over, 1);
	return NULL;
}

/* nng_aio_alloc on an outside thread never fails for a shutdown: it waits for it and starts the engine again; and a
 * handle allocated at any such moment works. Method: threads allocate, sleep, wait and free while the engine is shut
 * down over and over. */
static void
alloc_races_fini(void **unused)
{
	static struct births births;
	pthread_t thread[2];
	uint64_t shutdowns = 0;

	(void) unused;
	memset(&births, 0, sizeof births);
	births.rounds = race_scaled(1500, 200);
	for (unsigned i = 0; i < 2; i++) {
		thread[i] = race_thread(give_birth, &births);
	}
	while (race_get(&births.over) < 2) {
		uint64_t seen = race_get(&births.births);
		while (race_get(&births.births) < seen + 30 && race_get(&births.over) < 2) {
			(void) sched_yield();
		}
		nng_fini();
		shutdowns++;
	}
	race_join(thread[0]);
	race_join(thread[1]);
	race_engine_end();
	printf("shutdowns %llu, callbacks %llu\n", (unsigned long long) shutdowns,
	    (unsigned long long) race_get(&births.callbacks));
	assert_int_equal(race_get(&births.failed), 0);
	assert_int_equal(race_get(&births.odd_results), 0);
	assert_int_equal(race_get(&births.births), 2 * (uint64_t) births.rounds);
	assert_true(race_get(&births.callbacks) <= race_get(&births.births));
}

/* ---- refusals without end */

/* A stopped handle that somebody starts, or completes, again and again until nng_fini is over; never in between. */
struct restless {
	nng_aio *aio;
	struct restless *next; /* whose handle the callback starts */
	pw_a64 called;
	pw_a64 answered;
	pw_a64 accepted;
	pw_a64 over;
};

static void
restless_open(struct restless *r, int shard, void (*callback)(void *))
{
	memset(r, 0, sizeof *r);
	assert_int_equal(pinwheel_aio_alloc_on(&r->aio, shard, callback, r), NNG_OK);
	nng_aio_stop(r->aio);
}

static void
restless_close(struct restless *r)
{
	assert_int_equal(race_get(&r->accepted), 0);
	assert_false(nng_aio_busy(r->aio));
	assert_int_equal(nng_aio_result(r->aio), NNG_ESTOPPED);
	nng_aio_free(r->aio);
}

static void
count_call(void *arg)
{
	struct restless *r = arg;
	race_add(&r->called, 1);
}

static void *
start_without_end(void *arg)
{
	struct restless *r = arg;
	while (race_get(&r->over) == 0) {
		race_add(&r->accepted, nng_aio_start(r->aio, no_cancel, NULL));
		nng_aio_wait(r->aio);
	}
	return NULL;
}

/* Returns when the other thread has started the handle once more. */
static void
await_answer(void *arg)
{
	struct restless *r = arg;
	race_await(&r->answered, race_add(&r->called, 1) + 1);
}

static void *
start_inside_each_callback(void *arg)
{
	struct restless *r = arg;
	for (uint64_t calls = 0;; calls++) {
		race_add(&r->accepted, nng_aio_start(r->aio, no_cancel, NULL));
		race_set(&r->answered, calls);
		while (race_get(&r->called) == calls) {
			if (race_get(&r->over) != 0) {
				return NULL;
			}
			(void) sched_yield();
		}
	}
}

static void
finish_canceled(nng_aio *aio, void *arg, nng_err reason)
{
	(void) arg;
	nng_aio_finish(aio, reason);
}

static void *
defer_without_end(void *arg)
{
	struct restless *r = arg;
	while (race_get(&r->over) == 0) {
		nng_aio_defer(r->aio, finish_canceled, NULL); /* no begin: not refused (R13), and ended at once */
		nng_aio_wait(r->aio);
	}
	return NULL;
}

/* nng_fini ends although threads outside never leave off: they start stopped handles; they start a handle in each of
 * its callbacks, so that it is not idle at any moment; they defer without begin. Method: as it says, on two shards,
 * until nng_fini has returned. */
static void
fini_ends_though_outside_threads_never_leave_off(void **unused)
{
	static const struct {
		void *(*run)(void *);
		void (*callback)(void *);
	} kind[] = {
		{ start_without_end, count_call },
		{ start_without_end, count_call },
		{ start_inside_each_callback, await_answer },
		{ defer_without_end, count_call },
	};
	enum {
		KINDS = sizeof kind / sizeof kind[0]
	};
	static struct restless restless[KINDS];
	pthread_t thread[KINDS];
	unsigned rounds = race_scaled(20, 4);

	(void) unused;
	for (unsigned round = 0; round < rounds; round++) {
		race_engine(SHARDS);
		for (unsigned i = 0; i < KINDS; i++) {
			restless_open(&restless[i], (int) (i % SHARDS), kind[i].callback);
			thread[i] = race_thread(kind[i].run, &restless[i]);
		}
		for (unsigned i = 0; i < KINDS; i++) {
			race_await(&restless[i].called, 3);
		}
		nng_fini();
		for (unsigned i = 0; i < KINDS; i++) {
			race_set(&restless[i].over, 1);
		}
		for (unsigned i = 0; i < KINDS; i++) {
			race_join(thread[i]);
			restless_close(&restless[i]);
		}
		race_engine_end();
	}
}

static void
start_next(void *arg)
{
	struct restless *r = arg;
	race_add(&r->called, 1);
	if (r->next != NULL) {
		race_add(&r->next->accepted, nng_aio_start(r->next->aio, finish_canceled, NULL));
	}
}

static void
complete_again(void *arg)
{
	struct restless *r = arg;
	race_add(&r->called, 1);
	nng_aio_reset(r->aio);
	nng_aio_finish(r->aio, NNG_OK);
}

/* nng_fini ends although callbacks cause one another without end: two handles that start each other, on one shard, on
 * two, on a lent one that nobody polls; one that completes itself. Method: as it says, all four at once. */
static void
fini_ends_though_callbacks_never_leave_off(void **unused)
{
	enum {
		LENT = SHARDS,
		RESTLESS = 7
	};
	static const int shard[RESTLESS] = { 0, 0, 0, 1, LENT, LENT, 1 };
	static struct restless restless[RESTLESS];
	unsigned rounds = race_scaled(10, 3);

	(void) unused;
	for (unsigned round = 0; round < rounds; round++) {
		race_engine_with(SHARDS, 1, 0);
		for (unsigned i = 0; i < RESTLESS; i++) {
			restless_open(&restless[i], shard[i], i < RESTLESS - 1 ? start_next : complete_again);
			restless[i].next = &restless[i ^ 1];
		}
		for (unsigned i = 0; i < RESTLESS; i += 2) {
			assert_false(nng_aio_start(restless[i].aio, no_cancel, NULL));
		}
		nng_fini();
		for (unsigned i = 0; i < RESTLESS; i++) {
			assert_true(race_get(&restless[i].called) > 0);
			restless_close(&restless[i]);
		}
		race_engine_end();
	}
}

/* What a callback starts while nng_fini waits has its completion, and so has what that one's callback starts: a chain
 * is not cut that comes to an end. Method: as many handles as a chain has links, homed here and there; the first has
 * an operation, which nng_fini aborts. Nothing else keeps it. (The first links may be accepted: nng_fini stops one
 * handle after the other.) */
static void
fini_lets_a_chain_of_refusals_end(void **unused)
{
	enum {
		LINKS = 3000
	};
	static struct restless link[LINKS];
	uint64_t random = race_stream(140);
	unsigned rounds = race_scaled(20, 5);

	(void) unused;
	for (unsigned round = 0; round < rounds; round++) {
		race_engine(SHARDS);
		for (unsigned i = 0; i < LINKS; i++) {
			memset(&link[i], 0, sizeof link[i]);
			assert_int_equal(pinwheel_aio_alloc_on(&link[i].aio, (int) race_below(&random, SHARDS), start_next,
			    &link[i]), NNG_OK);
		}
		/* A walk sees handles in the order of their slots, or against it: so do the chains of two rounds. */
		for (unsigned i = 0; i + 1 < LINKS; i++) {
			link[round % 2 == 0 ? i : i + 1].next = &link[round % 2 == 0 ? i + 1 : i];
		}
		nng_sleep_aio(NNG_DURATION_INFINITE, link[round % 2 == 0 ? 0 : LINKS - 1].aio);
		nng_fini();
		for (unsigned i = 0; i < LINKS; i++) {
			assert_int_equal(race_get(&link[i].called), 1);
			race_set(&link[i].accepted, 0);
			restless_close(&link[i]);
		}
		race_engine_end();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fini_races_operations_and_reaps),
		cmocka_unit_test(fini_leaves_no_completion_behind),
		cmocka_unit_test(fini_ends_though_outside_threads_never_leave_off),
		cmocka_unit_test(fini_ends_though_callbacks_never_leave_off),
		cmocka_unit_test(fini_lets_a_chain_of_refusals_end),
		cmocka_unit_test(alloc_races_fini),
	};

	race_print_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

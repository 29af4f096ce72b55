/* SPDX-License-Identifier: MIT
 *
 * visit_test.c: threads that look at shards, lend themselves to them and make streams on them while the engine starts
 * and ends, with other numbers of shards each time. See race.h.
 *
 * What is read there (settings, a thread's handle, a poller's description) is written by the start and taken apart by
 * the end; that nobody reads it in between is for ThreadSanitizer to see.
 */
#include <poll.h>

#include "tests/race/race.h"

/* ---- engines that come and go */

/* `own` and `lent` shards. The engine may run already: a thread that allocates has started it. */
static void
come(int own, int lent)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	config.shards = own;
	config.lent_shards = lent != 0 ? lent : PINWHEEL_NONE;
	nng_err rv = pinwheel_start(&config);
	assert_true(rv == NNG_OK || rv == NNG_EBUSY);
}

/* ---- statistics */

struct looker {
	pw_a64 *over;
	pw_a64 looks;
	pw_a64 nothing; /* no such shard at that moment */
	pw_a64 wrong;
};

static bool
plausible(const struct pinwheel_shard_stats *s, int shard)
{
	bool known =
	    strcmp(s->poller, "") == 0 || strcmp(s->poller, "epoll") == 0 || strcmp(s->poller, "io_uring") == 0;
	return s->shard == shard && s->pinned == (s->cpu >= 0) && s->pinned == (s->pin_reason[0] == '\0') && known &&
	    s->poller_reason[0] != '\0' && s->slots_allocated >= s->slots_released;
}

static void *
look_without_end(void *arg)
{
	struct looker *me = arg;
	for (int shard = 0; race_get(me->over) == 0; shard = (shard + 1) % 4) {
		struct pinwheel_shard_stats stats = { .size = sizeof stats };
		if (pinwheel_stats(shard, &stats) == NNG_OK) {
			race_add(&me->looks, 1);
			race_add(&me->wrong, !plausible(&stats, shard));
		} else {
			race_add(&me->nothing, 1);
		}
	}
	return NULL;
}

/* pinwheel_stats beside nng_fini and a start: either there is no such shard, or what it says of one is true as a whole.
 * Method: two threads ask for each of four shards without end while engines of one to three shards and a lent one come
 * and go; what they get is consistent in itself. */
static void
stats_race_starts_and_finis(void **unused)
{
	struct looker looker[2];
	pthread_t thread[2];
	unsigned rounds = race_scaled(150, 30);
	pw_a64 over;

	(void) unused;
	race_set(&over, 0);
	memset(looker, 0, sizeof looker);
	for (unsigned i = 0; i < 2; i++) {
		looker[i].over = &over;
		thread[i] = race_thread(look_without_end, &looker[i]);
	}
	for (unsigned round = 0; round < rounds; round++) {
		uint64_t seen = race_get(&looker[round % 2].looks);
		come(1 + (int) (round % 3), (int) (round % 2));
		race_await(&looker[round % 2].looks, seen + 1);
		nng_fini();
		seen = race_get(&looker[round % 2].nothing);
		race_await(&looker[round % 2].nothing, seen + 1);
	}
	race_set(&over, 1);
	for (unsigned i = 0; i < 2; i++) {
		race_join(thread[i]);
		assert_int_equal(race_get(&looker[i].wrong), 0);
	}
}

/* ---- lending */

enum {
	LENDERS = 3,
	LENT = 1
};

struct lending {
	pthread_barrier_t gate;
	unsigned rounds;
	pw_a64 lenders;  /* of this round: their first call did not fail */
	pw_a64 turned;   /* of this round: their first call was answered */
	pw_a64 too_late; /* nng_fini was first */
	pw_a64 odd_codes;
};

static pw_a64 misuses;

static void
count_misuse(const struct pinwheel_misuse *misuse)
{
	(void) misuse;
	race_add(&misuses, 1);
}

static void
serve(struct lending *lending)
{
	struct pollfd p = { .fd = pinwheel_poll_fd(LENT), .events = POLLIN };
	int rv;
	while ((rv = pinwheel_poll(LENT, 0)) >= 0) {
		if (rv == 0) {
			(void) poll(&p, 1, -1);
		}
	}
	race_add(&lending->odd_codes, rv != -NNG_ESTOPPED);
}

static void *
lend_each_round(void *arg)
{
	struct lending *lending = arg;
	for (unsigned round = 0; round < lending->rounds; round++) {
		race_meet(&lending->gate);
		int rv = pinwheel_poll(LENT, 0);
		race_add(&lending->lenders, rv >= 0);
		race_add(&lending->too_late, rv == -NNG_ESTOPPED);
		race_add(&lending->odd_codes, rv < 0 && rv != -NNG_ESTOPPED && rv != -NNG_EINVAL);
		race_add(&lending->turned, 1);
		if (rv >= 0) {
			serve(lending);
		}
		race_meet(&lending->gate);
	}
	return NULL;
}

/* One thread lends itself to a shard, however many try at once; it serves the shard until nng_fini, on another thread,
 * has ended it, and is told so. The others are told of their misuse, or that the engine ends. Method: three threads
 * poll a fresh lent shard at the same moment. In every second round nng_fini waits until one has succeeded; in the
 * others it comes at that moment too, and all may be too late. An operation is pending there each time. */
static void
one_thread_lends_itself(void **unused)
{
	static struct lending lending;
	pthread_t thread[LENDERS];
	uint64_t served = 0;

	(void) unused;
	memset(&lending, 0, sizeof lending);
	race_set(&misuses, 0);
	pinwheel_set_misuse_handler(count_misuse);
	lending.rounds = race_scaled(100, 30);
	assert_int_equal(pthread_barrier_init(&lending.gate, NULL, LENDERS + 1), 0);
	for (unsigned i = 0; i < LENDERS; i++) {
		thread[i] = race_thread(lend_each_round, &lending);
	}
	for (unsigned round = 0; round < lending.rounds; round++) {
		struct race_op op;
		uint64_t late = race_get(&lending.too_late), wrong = race_get(&misuses);
		come(1, 1);
		race_op_init(&op, LENT);
		assert_true(race_start(&op));
		race_set(&lending.lenders, 0);
		race_set(&lending.turned, 0);
		race_meet(&lending.gate);
		if (round % 2 == 0) {
			race_await(&lending.turned, LENDERS);
		}
		nng_fini();
		race_meet(&lending.gate);
		late = race_get(&lending.too_late) - late;
		wrong = race_get(&misuses) - wrong;
		assert_true(race_get(&lending.lenders) <= 1);
		assert_int_equal(race_get(&lending.lenders) + late + wrong, LENDERS);
		if (round % 2 == 0) {
			assert_int_equal(race_get(&lending.lenders), 1);
			assert_int_equal(late, 0);
		}
		served += race_get(&lending.lenders);
		race_op_check(&op);
		assert_int_equal(race_get(&op.last_result), NNG_ESTOPPED);
		nng_aio_free(op.aio);
		race_engine_end();
	}
	for (unsigned i = 0; i < LENDERS; i++) {
		race_join(thread[i]);
	}
	pinwheel_set_misuse_handler(NULL);
	assert_int_equal(race_get(&lending.odd_codes), 0);
	printf("rounds %u, served %llu, too late %llu\n", lending.rounds, (unsigned long long) served,
	    (unsigned long long) race_get(&lending.too_late));
	(void) pthread_barrier_destroy(&lending.gate);
}

/* ---- what is made while engines come and go */

struct maker {
	unsigned number;
	unsigned rounds;
	pw_a64 made;
	pw_a64 failed;
	pw_a64 over;
};

static void *
make_streams(void *arg)
{
	struct maker *me = arg;
	for (unsigned i = 0; i < me->rounds; i++) {
		nng_stream_listener *listener;
		nng_stream_dialer *dialer;
		if (me->number % 2 == 0 && nng_stream_listener_alloc(&listener, "tcp://127.0.0.1:0") == NNG_OK) {
			(void) nng_stream_listener_listen(listener); /* NNG_ECLOSED if nng_fini has come */
			nng_stream_listener_free(listener);
		} else if (me->number % 2 == 1 && nng_stream_dialer_alloc(&dialer, "tcp://127.0.0.1:1") == NNG_OK) {
			nng_stream_dialer_free(dialer);
		} else {
			race_add(&me->failed, 1);
		}
		race_add(&me->made, 1);
	}
	race_add(&me->over, 1);
	return NULL;
}

/* A listener or dialer never lands on a shard that does not run, and a handle neither: freeing it would not end, nor
 * would its operation. Method: threads make and free them while engines of three shards, of one, and of one and a lent
 * one come and go; what they meet may also be the engine that their own call has started. */
static void
what_is_made_lands_on_a_running_shard(void **unused)
{
	enum {
		MAKERS = 3
	};
	static const int own[] = { 3, 1, 1 }, lent[] = { 0, 0, 2 };
	static struct maker maker[MAKERS];
	pthread_t thread[MAKERS];
	unsigned engines = 0;

	(void) unused;
	memset(maker, 0, sizeof maker);
	for (unsigned i = 0; i < MAKERS; i++) {
		maker[i].number = i;
		maker[i].rounds = race_scaled(2000, 300);
		thread[i] = race_thread(make_streams, &maker[i]);
	}
	for (unsigned i = 0; i < MAKERS;) {
		uint64_t seen = race_get(&maker[i].made);
		come(own[engines % 3], lent[engines % 3]);
		while (race_get(&maker[i].over) == 0 && race_get(&maker[i].made) < seen + 5) {
			nng_aio *aio;
			assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), NNG_OK);
			pinwheel_sleep_ns(0, aio);
			nng_aio_wait(aio);
			nng_aio_free(aio);
		}
		nng_fini();
		engines++;
		i += race_get(&maker[i].over) != 0;
	}
	for (unsigned i = 0; i < MAKERS; i++) {
		race_join(thread[i]);
		assert_int_equal(race_get(&maker[i].failed), 0);
	}
	race_engine_end();
	printf("engines %u\n", engines);
}

/* ---- orphans */

enum {
	ORPHANS = 64
};

struct orphans {
	nng_stream_listener *listener[ORPHANS];
	pthread_barrier_t gate;
	unsigned rounds;
};

static void *
free_orphans(void *arg)
{
	struct orphans *orphans = arg;
	for (unsigned round = 0; round < orphans->rounds; round++) {
		race_meet(&orphans->gate);
		for (unsigned i = 0; i < ORPHANS; i++) {
			nng_stream_listener_free(orphans->listener[i]);
		}
		race_meet(&orphans->gate);
	}
	return NULL;
}

/* A listener that has survived an engine can be freed while the next one ends, and what takes its place later is as
 * fresh as any. Method: listeners of an engine that has ended are freed beside the nng_fini of the next; those of a
 * third one can listen, and every handle of theirs comes back. */
static void
orphans_are_freed_beside_the_next_fini(void **unused)
{
	static struct orphans orphans;

	(void) unused;
	memset(&orphans, 0, sizeof orphans);
	orphans.rounds = race_scaled(120, 20);
	assert_int_equal(pthread_barrier_init(&orphans.gate, NULL, 2), 0);
	pthread_t thread = race_thread(free_orphans, &orphans);
	for (unsigned round = 0; round < orphans.rounds; round++) {
		come(1, 0);
		for (unsigned i = 0; i < ORPHANS; i++) {
			assert_int_equal(nng_stream_listener_alloc(&orphans.listener[i], "tcp://127.0.0.1:0"),
			    NNG_OK);
			if (i % 2 == 0) { /* closed before the end, or by it */
				nng_stream_listener_close(orphans.listener[i]);
			}
		}
		if (round % 2 == 0) {
			nng_fini();
			come(1, 0);
		}
		race_meet(&orphans.gate);
		nng_fini();
		race_meet(&orphans.gate);
		come(1, 0);
		for (unsigned i = 0; i < ORPHANS; i++) {
			assert_int_equal(nng_stream_listener_alloc(&orphans.listener[i], "tcp://127.0.0.1:0"),
			    NNG_OK);
			assert_int_equal(nng_stream_listener_listen(orphans.listener[i]), NNG_OK);
		}
		for (unsigned i = 0; i < ORPHANS; i++) {
			nng_stream_listener_free(orphans.listener[i]);
		}
		race_engine_end();
	}
	race_join(thread);
	(void) pthread_barrier_destroy(&orphans.gate);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stats_race_starts_and_finis),
		cmocka_unit_test(one_thread_lends_itself),
		cmocka_unit_test(what_is_made_lands_on_a_running_shard),
		cmocka_unit_test(orphans_are_freed_beside_the_next_fini),
	};

	race_print_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

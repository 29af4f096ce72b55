/* SPDX-License-Identifier: MIT
 *
 * inbox_test.c: the laws of engine/shard/inbox.c: the ring that is emptied out of order, its overflow stack, the
 * sleep pair. Single-threaded but for the two tests at the end. Random choices come from PW_TEST_SEED (printed),
 * sizes are scaled by PW_TEST_SCALE percent. The consumer records what it takes; the test function judges.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/shard/inbox.h"

#define SLOTS PW_INBOX_SLOTS
#define MANY (3 * SLOTS)
#define ALL (SLOTS + MANY) /* a budget that is none */

struct letter {
	struct pw_node node;
	pw_a64 taken;
	unsigned kind;
};

struct reader {
	uint64_t taken;
	uint64_t wrong_kind;
	unsigned order[MANY]; /* letters by the order in which they came */
	struct letter *first;
};

static struct pw_inbox inbox;
static struct letter letter[MANY];
static struct reader reader;
static uint64_t seed = 20250914;
static unsigned scale_percent = 100;

static unsigned
scaled(unsigned n, unsigned least)
{
	unsigned s = (unsigned) ((uint64_t) n * scale_percent / 100);
	return s < least ? least : s;
}

static uint64_t
below(uint64_t *state, uint64_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state >> 11) % n;
}

static void
take(void *context, pw_mail mail)
{
	struct reader *r = context;
	struct letter *l = PW_CONTAINER_OF(pw_mail_node(mail), struct letter, node);
	r->wrong_kind += pw_mail_kind(mail) != l->kind;
	if (r->taken < MANY) {
		r->order[r->taken] = (unsigned) (l - r->first);
	}
	r->taken++;
	pw_count_add(&l->taken, 1);
}

static int
fresh(void **unused)
{
	(void) unused;
	memset(letter, 0, sizeof letter);
	memset(&reader, 0, sizeof reader);
	reader.first = letter;
	for (unsigned i = 0; i < MANY; i++) {
		letter[i].kind = i % PW_KIND_COUNT;
	}
	pw_inbox_init(&inbox);
	return 0;
}

static bool
post(unsigned i)
{
	uint64_t generation;
	return pw_inbox_post(&inbox, pw_mail_of(&letter[i].node, (enum pw_kind) letter[i].kind), &generation);
}

static unsigned
drain(unsigned budget)
{
	unsigned taken = pw_inbox_drain(&inbox, budget, take, &reader);
	pw_inbox_check(&inbox);
	return taken;
}

/* Until nothing is ready. No drain is in vain: an owner that turns as long as something is ready never spins. */
static void
drain_all(void)
{
	while (pw_inbox_ready(&inbox)) {
		assert_true(drain(ALL) > 0);
	}
	assert_int_equal(drain(ALL), 0);
}

/* Every letter in [from, to) has been taken once. */
static void
assert_taken_once(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		assert_int_equal(pw_load_relaxed_64(&letter[i].taken), 1);
	}
	assert_int_equal(reader.wrong_kind, 0);
}

/* A producer that has reserved its slot and is suspended: the first two steps of post, by hand. */
static uint64_t
reserve_gap(void)
{
	uint64_t tail = pw_load_acquire_64(&inbox.tail);
	assert_true(tail - pw_load_acquire_64(&inbox.head) < SLOTS);
	assert_true(pw_cas_relaxed_64(&inbox.tail, &tail, tail + 1));
	return tail;
}

/* The producer goes on: the third step. */
static void
fill_gap(uint64_t position, unsigned i)
{
	pw_mail mail = pw_mail_of(&letter[i].node, (enum pw_kind) letter[i].kind);
	assert_int_equal(pw_exchange_acq_rel_64(&inbox.slot[position % SLOTS], mail), 0);
}

/* Law: a fresh inbox has nothing to take. */
static void
inbox_starts_empty(void **unused)
{
	(void) unused;
	assert_false(pw_inbox_ready(&inbox));
	assert_int_equal(drain(ALL), 0);
}

/* Law: what is posted is taken once, with its kind, over many laps of the ring. Method: batches of random size. */
static void
inbox_gives_out_everything_once(void **unused)
{
	uint64_t random = seed;
	(void) unused;
	for (unsigned lap = 0; lap < scaled(20, 3); lap++) {
		(void) fresh(NULL);
		for (unsigned posted = 0; posted < MANY;) {
			unsigned batch = 1 + (unsigned) below(&random, SLOTS / 3);
			for (; batch > 0 && posted < MANY; batch--) {
				assert_false(post(posted++));
				assert_true(pw_inbox_ready(&inbox));
			}
			drain_all();
			assert_int_equal(reader.taken, posted);
			assert_false(pw_inbox_ready(&inbox));
		}
		assert_taken_once(0, MANY);
		assert_int_equal(pw_load_relaxed_64(&inbox.overflowed), 0);
	}
}

/* Law: a drain takes at most its budget from the ring and as many from the stack; the rest stays ready. */
static void
inbox_respects_the_budget(void **unused)
{
	unsigned count = SLOTS + 100;
	(void) unused;
	for (unsigned i = 0; i < count; i++) {
		(void) post(i);
	}
	while (reader.taken < count) {
		uint64_t before = reader.taken;
		unsigned taken = drain(7);
		assert_in_range(taken, 1, 14);
		assert_int_equal(reader.taken - before, taken);
		assert_int_equal(pw_inbox_ready(&inbox), reader.taken < count);
	}
	assert_taken_once(0, count);
}

/* Law: a drain that takes something looks at no more slots than PW_INBOX_SCAN. */
static void
inbox_drain_is_bounded_by_the_scan(void **unused)
{
	(void) unused;
	for (unsigned i = 0; i < SLOTS; i++) {
		(void) post(i);
	}
	assert_int_equal(drain(ALL), PW_INBOX_SCAN);
	drain_all();
	assert_taken_once(0, SLOTS);
}

/* Law: a full ring is no error: what does not fit goes over the stack, nothing is lost, and the ring serves again. */
static void
inbox_overflows_and_loses_nothing(void **unused)
{
	(void) unused;
	for (unsigned i = 0; i < MANY; i++) {
		assert_false(post(i));
	}
	assert_int_equal(pw_load_relaxed_64(&inbox.tail) - pw_load_relaxed_64(&inbox.head), SLOTS);
	drain_all();
	assert_taken_once(0, MANY);
	assert_int_equal(pw_load_relaxed_64(&inbox.overflowed), MANY - SLOTS);
	(void) fresh(NULL);
	(void) post(0);
	assert_int_equal(drain(ALL), 1);
}

/* Law: what is popped from the stack and not yet taken is still ready, and comes before what is pushed later. */
static void
inbox_remainder_stays_ready(void **unused)
{
	(void) unused;
	for (unsigned i = 0; i < SLOTS + 10; i++) {
		(void) post(i);
	}
	while (pw_load_relaxed_64(&inbox.tail) != pw_load_relaxed_64(&inbox.head)) {
		(void) drain(SLOTS / 4); /* the stack's ten come with the first */
	}
	assert_int_equal(reader.taken, SLOTS + 10);
	(void) fresh(NULL);
	for (unsigned i = 0; i < SLOTS + 10; i++) {
		(void) post(i);
	}
	assert_int_equal(drain(1), 2);
	assert_true(inbox.remainder != 0);
	assert_int_equal(pw_load_relaxed_64(&inbox.overflow), 0);
	(void) post(SLOTS + 10); /* into the slot that has become free */
	(void) post(SLOTS + 11); /* full again: on the stack, behind the remainder */
	drain_all();
	assert_taken_once(0, SLOTS + 12);
}

/* Law: a slot that is reserved and not filled delays its own entry and no other. Method: gaps made by hand, one at
 * the front, one in the middle. */
static void
inbox_steps_over_a_gap(void **unused)
{
	(void) unused;
	uint64_t front = reserve_gap();
	(void) post(1);
	uint64_t middle = reserve_gap();
	(void) post(2);
	assert_true(pw_inbox_ready(&inbox));
	assert_int_equal(drain(ALL), 2);
	assert_taken_once(1, 3);
	/* What is left are two gaps: nothing to take, so the owner may sleep. */
	assert_false(pw_inbox_ready(&inbox));
	assert_int_equal(drain(ALL), 0);
	assert_int_equal(pw_load_relaxed_64(&inbox.head), front);
	fill_gap(middle, 0);
	assert_true(pw_inbox_ready(&inbox));
	assert_int_equal(drain(ALL), 1);
	assert_int_equal(pw_load_relaxed_64(&inbox.head), front);
	fill_gap(front, 3);
	assert_int_equal(drain(ALL), 1);
	assert_taken_once(0, 4);
	assert_int_equal(pw_load_relaxed_64(&inbox.head), pw_load_relaxed_64(&inbox.tail));
}

/* Law: a gap that lasts hides nothing, not even beyond the slots of one drain, and when the ring is full behind it
 * the stack serves. Method: a gap at the front while three rings' worth goes through. */
static void
inbox_gap_that_lasts_hides_nothing(void **unused)
{
	(void) unused;
	uint64_t gap = reserve_gap();
	for (unsigned i = 1; i < MANY; i++) {
		(void) post(i);
		if (i % 1000 == 0) {
			drain_all();
			assert_int_equal(reader.taken, i);
		}
	}
	drain_all();
	assert_taken_once(1, MANY);
	assert_int_equal(pw_load_relaxed_64(&inbox.head), gap);
	assert_true(pw_load_relaxed_64(&inbox.overflowed) > 0);
	fill_gap(gap, 0);
	drain_all();
	assert_taken_once(0, MANY);
	assert_int_equal(pw_load_relaxed_64(&inbox.head), pw_load_relaxed_64(&inbox.tail));
}

/* Law: what is ready is taken by the next drain, wherever it lies and wherever the scan stands. Method: a gap at the
 * front, a ring behind it that has been taken but for one more gap; that is filled, after the scan was left at each of
 * some places; on both sides of it. */
static void
inbox_takes_at_once_what_is_ready(void **unused)
{
	static const unsigned places[] = { 1, 2, PW_INBOX_SCAN, SLOTS / 2, SLOTS - PW_INBOX_SCAN, SLOTS - 1 };
	enum {
		PLACES = sizeof places / sizeof places[0]
	};
	(void) unused;
	for (unsigned gap = 0; gap < PLACES; gap++) {
		for (unsigned scan = 0; scan < PLACES; scan++) {
			(void) fresh(NULL);
			uint64_t front = reserve_gap(), second = 0;
			for (unsigned i = 1; i < SLOTS; i++) {
				if (i == places[gap]) {
					second = reserve_gap();
				} else {
					(void) post(i);
				}
			}
			drain_all();
			assert_int_equal(reader.taken, SLOTS - 2);
			inbox.scan = front + places[scan];
			assert_false(pw_inbox_ready(&inbox));
			fill_gap(second, places[gap]);
			assert_true(pw_inbox_ready(&inbox));
			assert_int_equal(drain(1), 1);
			fill_gap(front, 0);
			drain_all();
			assert_taken_once(0, SLOTS);
		}
	}
}

/* Law: nothing starves on the overflow stack: what is pushed after a pop never comes before what that pop got. Method:
 * four times as much is sent as a drain takes, without end as far as an early letter can tell; each letter that does
 * not fit in the ring notes how often the stack had been popped. */
static void
inbox_overflow_starves_nothing(void **unused)
{
	enum {
		BUDGET = 64
	};
	static unsigned pops_before[MANY];
	unsigned sent = 0, pops = 0, last = 0;
	(void) unused;
	while (reader.taken < MANY) {
		unsigned burst = sent == 0 ? SLOTS + BUDGET : 4 * BUDGET;
		for (; burst > 0 && sent < MANY; burst--, sent++) {
			bool full = pw_load_relaxed_64(&inbox.tail) - pw_load_relaxed_64(&inbox.head) == SLOTS;
			(void) post(sent);
			pops_before[sent] = full ? pops : UINT32_MAX;
		}
		pops += inbox.remainder == 0 && pw_load_relaxed_64(&inbox.overflow) != 0;
		uint64_t before = reader.taken;
		assert_in_range(drain(BUDGET), 1, 2 * BUDGET);
		for (uint64_t i = before; i < reader.taken; i++) {
			unsigned batch = pops_before[reader.order[i]];
			if (batch != UINT32_MAX) {
				assert_true(batch >= last);
				assert_true(batch < pops);
				last = batch;
			}
		}
	}
	assert_taken_once(0, MANY);
	assert_true(pops > 3);
}

/* Law: gaps at random places, filled in any order, lose nothing. */
static void
inbox_gaps_in_any_order_lose_nothing(void **unused)
{
	enum {
		GAPS = 40
	};
	uint64_t random = seed + 1, position[GAPS];
	unsigned held[GAPS];
	(void) unused;
	for (unsigned round = 0; round < scaled(100, 10); round++) {
		unsigned gaps = 0, next = 0;
		(void) fresh(NULL);
		while (next < SLOTS) {
			if (gaps < GAPS && below(&random, 50) == 0) {
				position[gaps] = reserve_gap();
				held[gaps++] = next++;
			} else {
				(void) post(next++);
			}
			if (below(&random, 200) == 0) {
				(void) drain((unsigned) below(&random, 400) + 1);
			}
			if (gaps > 0 && below(&random, 60) == 0) {
				unsigned g = (unsigned) below(&random, gaps);
				fill_gap(position[g], held[g]);
				gaps--;
				position[g] = position[gaps];
				held[g] = held[gaps];
			}
		}
		while (gaps > 0) {
			gaps--;
			fill_gap(position[gaps], held[gaps]);
			(void) drain(3);
		}
		drain_all();
		assert_taken_once(0, SLOTS);
	}
}

/* Law: park says no while there is an entry; else a sender is told to wake, with the generation, once per sleep as
 * far as it has said that it did; unpark ends that. */
static void
inbox_park_and_generation(void **unused)
{
	uint64_t generation = 0;
	(void) unused;
	assert_false(post(0));
	assert_false(pw_inbox_park(&inbox));
	assert_int_equal(pw_load_relaxed_64(&inbox.parked) & 1, 0);
	drain_all();

	assert_true(pw_inbox_park(&inbox));
	assert_true(pw_inbox_post(&inbox, pw_mail_of(&letter[1].node, PW_KIND_REQUEST), &generation));
	assert_int_equal(generation & 1, 1);
	/* No sender relies on another's wake: until this one has said that it woke, the next is told too. */
	assert_true(pw_inbox_post(&inbox, pw_mail_of(&letter[2].node, (enum pw_kind) 2), &generation));
	pw_inbox_woken(&inbox, generation);
	assert_false(post(3));
	pw_inbox_unpark(&inbox);
	assert_int_equal(pw_load_relaxed_64(&inbox.parked) & 1, 0);
	drain_all();
	assert_taken_once(0, 4);
}

/* Law: a sender that says late that it woke does not touch a later sleep. */
static void
inbox_late_woken_leaves_the_next_sleep_alone(void **unused)
{
	uint64_t first = 0, second = 0;
	(void) unused;
	assert_true(pw_inbox_park(&inbox));
	assert_true(pw_inbox_post(&inbox, pw_mail_of(&letter[0].node, PW_KIND_DONE), &first));
	pw_inbox_unpark(&inbox);
	drain_all();
	assert_true(pw_inbox_park(&inbox));
	pw_inbox_woken(&inbox, first); /* it was suspended all the time */
	assert_true(pw_inbox_post(&inbox, pw_mail_of(&letter[1].node, PW_KIND_REQUEST), &second));
	assert_true(second != first);
	pw_inbox_unpark(&inbox);
}

/* Law: the owner may sleep beside a reserved slot, and the producer that fills it later is told to wake. */
static void
inbox_sleeps_beside_a_gap(void **unused)
{
	(void) unused;
	(void) reserve_gap();
	assert_true(pw_inbox_park(&inbox));
	assert_true(post(1));
	pw_inbox_unpark(&inbox);
}

/* ---- threads */

enum {
	PRODUCERS = 4
};

struct producer {
	unsigned number;
	pw_a64 *posted;
	unsigned each;
};

static void *
produce(void *arg)
{
	struct producer *me = arg;
	uint64_t generation, random = seed + 10 + me->number;
	for (unsigned i = me->number; i < me->each * PRODUCERS; i += PRODUCERS) {
		if (pw_inbox_post(&inbox, pw_mail_of(&letter[i].node, (enum pw_kind) letter[i].kind), &generation)) {
			pw_inbox_woken(&inbox, generation);
		}
		(void) pw_fetch_add_relaxed_64(me->posted, 1);
		if (below(&random, 64) == 0) {
			(void) sched_yield();
		}
	}
	return NULL;
}

/* Law: several producers at once: nothing is lost, nothing comes twice, the invariants hold beside them. */
static void
inbox_serves_many_producers(void **unused)
{
	struct producer producer[PRODUCERS];
	pthread_t thread[PRODUCERS];
	pw_a64 posted;
	(void) unused;
	for (unsigned round = 0; round < scaled(40, 3); round++) {
		uint64_t random = seed + 20 + round;
		(void) fresh(NULL);
		pw_store_relaxed_64(&posted, 0);
		for (unsigned i = 0; i < PRODUCERS; i++) {
			producer[i] = (struct producer){ i, &posted, MANY / PRODUCERS };
			assert_int_equal(pthread_create(&thread[i], NULL, produce, &producer[i]), 0);
		}
		while (reader.taken < MANY / PRODUCERS * PRODUCERS) {
			if (pw_inbox_drain(&inbox, 1 + (unsigned) below(&random, 300), take, &reader) == 0) {
				(void) sched_yield();
			}
			pw_inbox_check(&inbox);
		}
		for (unsigned i = 0; i < PRODUCERS; i++) {
			assert_int_equal(pthread_join(thread[i], NULL), 0);
		}
		assert_int_equal(drain(ALL), 0);
		assert_taken_once(0, MANY / PRODUCERS * PRODUCERS);
	}
}

struct pair {
	pw_a64 rung;
	unsigned rounds;
	pw_a64 answered;
};

static void *
send_one_at_a_time(void *arg)
{
	struct pair *pair = arg;
	for (unsigned i = 0; i < pair->rounds; i++) {
		uint64_t generation;
		if (pw_inbox_post(&inbox, pw_mail_of(&letter[i % MANY].node, (enum pw_kind) letter[i % MANY].kind),
			&generation)) {
			pw_store_release_64(&pair->rung, 1);
			pw_inbox_woken(&inbox, generation);
		}
		while (pw_load_acquire_64(&pair->answered) <= i) {
			(void) sched_yield();
		}
	}
	return NULL;
}

/* Law: the sleep pair: an entry is seen before the sleep, or its sender is told to wake. Method: one entry at a time
 * against an owner that parks after each and then waits for the ring alone: a lost wake does not end. */
static void
inbox_sleep_pair_loses_no_wake(void **unused)
{
	struct pair pair = { .rounds = scaled(100000, 2000) };
	pthread_t thread;
	uint64_t sleeps = 0;
	(void) unused;
	pw_store_relaxed_64(&pair.rung, 0);
	pw_store_relaxed_64(&pair.answered, 0);
	assert_int_equal(pthread_create(&thread, NULL, send_one_at_a_time, &pair), 0);
	for (unsigned answered = 0; answered < pair.rounds;) {
		if (pw_inbox_park(&inbox)) {
			sleeps++;
			while (pw_load_acquire_64(&pair.rung) == 0) {
				(void) sched_yield();
			}
			(void) pw_exchange_acq_rel_64(&pair.rung, 0);
			pw_inbox_unpark(&inbox);
		}
		answered += pw_inbox_drain(&inbox, ALL, take, &reader);
		pw_store_release_64(&pair.answered, answered);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(reader.taken, pair.rounds);
	assert_true(sleeps > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(inbox_starts_empty, fresh),
		cmocka_unit_test_setup(inbox_gives_out_everything_once, fresh),
		cmocka_unit_test_setup(inbox_respects_the_budget, fresh),
		cmocka_unit_test_setup(inbox_drain_is_bounded_by_the_scan, fresh),
		cmocka_unit_test_setup(inbox_overflows_and_loses_nothing, fresh),
		cmocka_unit_test_setup(inbox_remainder_stays_ready, fresh),
		cmocka_unit_test_setup(inbox_steps_over_a_gap, fresh),
		cmocka_unit_test_setup(inbox_gap_that_lasts_hides_nothing, fresh),
		cmocka_unit_test_setup(inbox_takes_at_once_what_is_ready, fresh),
		cmocka_unit_test_setup(inbox_overflow_starves_nothing, fresh),
		cmocka_unit_test_setup(inbox_gaps_in_any_order_lose_nothing, fresh),
		cmocka_unit_test_setup(inbox_park_and_generation, fresh),
		cmocka_unit_test_setup(inbox_late_woken_leaves_the_next_sleep_alone, fresh),
		cmocka_unit_test_setup(inbox_sleeps_beside_a_gap, fresh),
		cmocka_unit_test_setup(inbox_serves_many_producers, fresh),
		cmocka_unit_test_setup(inbox_sleep_pair_loses_no_wake, fresh),
	};
	const char *text = getenv("PW_TEST_SEED");
	if (text != NULL) {
		seed = strtoull(text, NULL, 0);
	}
	text = getenv("PW_TEST_SCALE");
	if (text != NULL) {
		scale_percent = (unsigned) strtoul(text, NULL, 10);
	}
	printf("PW_TEST_SEED=%llu\n", (unsigned long long) seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

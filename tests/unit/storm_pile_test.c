/* SPDX-License-Identifier: MIT
 *
 * storm_pile_test.c: the piles of seats of `pinwheel storm`.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/storm/storm_pile.h"

#define COUNT 1000u
#define THREADS 4u

static unsigned
turns(void)
{
	const char *scale = getenv("PW_TEST_SCALE");
	return 2000u * (scale != NULL ? (unsigned) atoi(scale) : 100u) / 100u;
}

/* Marks what a chain holds. */
static unsigned
walk(struct pw_pile *pile, uint32_t chain, unsigned *seen)
{
	unsigned n = 0;

	for (; chain != 0; n++) {
		seen[pw_pile_next(pile, &chain)]++;
	}
	return n;
}

static unsigned
empty(struct pw_pile *pile, unsigned *seen)
{
	unsigned n = 0;

	for (unsigned number = 0; number < PW_PILES; number++) {
		for (uint32_t chain; (chain = pw_pile_take(pile, number)) != 0;) {
			n += walk(pile, chain, seen);
		}
	}
	return n;
}

/* Law: an index lies on its pile once, however often it is put, and again after it was picked up. */
static void
pile_holds_an_index_once(void **state)
{
	struct pw_pile pile;
	unsigned seen[COUNT] = { 0 };

	(void) state;
	assert_true(pw_pile_open(&pile, COUNT));
	assert_int_equal(empty(&pile, seen), 0);
	for (unsigned round = 1; round <= 3; round++) {
		for (uint32_t i = 0; i < COUNT; i++) {
			pw_pile_put(&pile, i);
			pw_pile_put(&pile, i);
		}
		assert_int_equal(empty(&pile, seen), COUNT);
		for (uint32_t i = 0; i < COUNT; i++) {
			assert_int_equal(seen[i], round);
		}
	}
	pw_pile_close(&pile);
}

/* Law: what is given back is all there, whatever lies there by then. Method: a chain is taken, three are picked, the
 * rest given back: into nothing; beside what was put meanwhile; beside that and a rest of another. */
static void
rest_of_a_chain_is_given_back(void **state)
{
	struct pw_pile pile;

	(void) state;
	for (unsigned others = 0; others < 3; others++) {
		unsigned seen[COUNT] = { 0 };
		uint32_t rest = 0;
		assert_true(pw_pile_open(&pile, COUNT));
		for (uint32_t i = 0; i < COUNT / 2; i += PW_PILES) {
			pw_pile_put(&pile, i);
		}
		uint32_t chain = pw_pile_take(&pile, 0);
		if (others > 1) { /* a second chain, of the same pile, is given back before */
			for (uint32_t i = 0; i < 3 * PW_PILES; i += PW_PILES) {
				pw_pile_put(&pile, COUNT / 2 / PW_PILES * PW_PILES + PW_PILES + i);
			}
			rest = pw_pile_take(&pile, 0);
			pw_pile_give_back(&pile, 0, rest);
		}
		if (others > 0) {
			pw_pile_put(&pile, (COUNT - 1) / PW_PILES * PW_PILES);
		}
		for (unsigned i = 0; i < 3; i++) {
			seen[pw_pile_next(&pile, &chain)]++;
		}
		pw_pile_give_back(&pile, 0, chain);
		pw_pile_give_back(&pile, 0, 0);
		(void) empty(&pile, seen);
		unsigned expected = (COUNT / 2 + PW_PILES - 1) / PW_PILES + (others > 0) + (others > 1 ? 3 : 0),
			 found = 0;
		for (uint32_t i = 0; i < COUNT; i++) {
			assert_in_range(seen[i], 0, 1);
			found += seen[i];
		}
		assert_int_equal(found, expected);
		pw_pile_close(&pile);
	}
}

/* Every index is a token that one thread holds, or the piles. */
struct worker {
	struct pw_pile *pile;
	_Atomic unsigned *held;
	pthread_t thread;
	uint64_t dice;
	unsigned wrong;
};

static unsigned
roll(struct worker *worker, unsigned sides)
{
	worker->dice = worker->dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned) (worker->dice >> 33) % sides;
}

static void *
run(void *arg)
{
	struct worker *worker = arg;

	for (unsigned turn = turns(); turn != 0; turn--) {
		unsigned number = roll(worker, PW_PILES), limit = roll(worker, 20);
		uint32_t chain = pw_pile_take(worker->pile, number);
		while (chain != 0 && limit-- != 0) {
			uint32_t index = pw_pile_next(worker->pile, &chain);
			worker->wrong += atomic_fetch_add(&worker->held[index], 1) != 0;
			(void) atomic_fetch_sub(&worker->held[index], 1);
			pw_pile_put(worker->pile, index);
		}
		pw_pile_give_back(worker->pile, number, chain);
	}
	return NULL;
}

/* Law: nobody has what another has, and nothing is lost, with threads that take, put and give back at once. */
static void
pile_loses_nothing_between_threads(void **state)
{
	static _Atomic unsigned held[COUNT];
	struct worker workers[THREADS];
	struct pw_pile pile;
	unsigned seen[COUNT] = { 0 };

	(void) state;
	assert_true(pw_pile_open(&pile, COUNT));
	for (uint32_t i = 0; i < COUNT; i++) {
		pw_pile_put(&pile, i);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .pile = &pile, .held = held, .dice = i + 1 };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
		assert_int_equal(workers[i].wrong, 0);
	}
	assert_int_equal(empty(&pile, seen), COUNT);
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(seen[i], 1);
	}
	pw_pile_close(&pile);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pile_holds_an_index_once),
		cmocka_unit_test(rest_of_a_chain_is_given_back),
		cmocka_unit_test(pile_loses_nothing_between_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

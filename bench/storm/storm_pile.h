/* SPDX-License-Identifier: MIT
 *
 * storm_pile.h: piles of seats: a set of indexes that any thread may put on and any thread may take off whole.
 *
 * What it is not: ordered, or a way to wait. An index lies on its pile once, however often it is put: whoever puts
 * it after a taker has picked it up puts it again. So: change what the taker will look at, then put.
 *
 * put    any thread, lock-free      take        any thread, wait-free      next   the thread that took
 *                                   give back   the same, lock-free
 *
 * The links are indexes, and a taker takes everything with one exchange, so there is no ABA. Who took more than he
 * wants gives the rest of the chain back as it is: a pile has a second place for that, and a chain may lie where
 * nothing lies. Walking it to its end, to join two chains, is left for the case that both places are taken: a pile
 * may hold a million.
 */
#ifndef PINWHEEL_BENCH_STORM_PILE_H
#define PINWHEEL_BENCH_STORM_PILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define PW_PILES 16u

struct pw_pile {
	_Atomic uint32_t head[PW_PILES][16]; /* index + 1, 0: empty; one cache line each: where is put; a rest */
	_Atomic uint32_t *next;              /* index + 1; PW_PILE_OFF: not on the pile */
};

#define PW_PILE_OFF UINT32_MAX

static inline bool
pw_pile_open(struct pw_pile *pile, uint32_t count)
{
	pile->next = malloc((size_t) count * sizeof(*pile->next));
	if (pile->next == NULL) {
		return false;
	}
	for (unsigned i = 0; i < PW_PILES; i++) {
		atomic_init(&pile->head[i][0], 0);
		atomic_init(&pile->head[i][1], 0);
	}
	for (uint32_t i = 0; i < count; i++) {
		atomic_init(&pile->next[i], PW_PILE_OFF);
	}
	return true;
}

static inline void
pw_pile_close(struct pw_pile *pile)
{
	free((void *) pile->next);
	pile->next = NULL;
}

static inline void
pw_pile_put(struct pw_pile *pile, uint32_t index)
{
	uint32_t off = PW_PILE_OFF;

	if (!atomic_compare_exchange_strong(&pile->next[index], &off, 0)) {
		return;
	}
	_Atomic uint32_t *head = &pile->head[index % PW_PILES][0];
	uint32_t top = atomic_load(head);
	do {
		atomic_store_explicit(&pile->next[index], top, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak(head, &top, index + 1));
}

/* The first of a chain, + 1; 0: nothing there. */
static inline uint32_t
pw_pile_take(struct pw_pile *pile, unsigned number)
{
	_Atomic uint32_t *head = pile->head[number % PW_PILES];
	uint32_t chain = 0;

	for (unsigned place = 2; chain == 0 && place-- > 0;) {
		chain = atomic_load_explicit(&head[place], memory_order_relaxed) == 0
		    ? 0
		    : atomic_exchange(&head[place], 0);
	}
	return chain;
}

/* Takes the first index of a chain off; the chain goes on behind it. From now on it may be put again. */
static inline uint32_t
pw_pile_next(struct pw_pile *pile, uint32_t *chain)
{
	uint32_t index = *chain - 1;
	*chain = atomic_exchange(&pile->next[index], PW_PILE_OFF);
	return index;
}

/* What is left of a chain goes back where it was taken. */
static inline void
pw_pile_give_back(struct pw_pile *pile, unsigned number, uint32_t chain)
{
	_Atomic uint32_t *head = pile->head[number % PW_PILES];
	bool lies = chain == 0;

	for (unsigned place = 2; !lies && place-- > 0;) {
		uint32_t nothing = 0;
		lies = atomic_compare_exchange_strong(&head[place], &nothing, chain);
	}
	while (!lies && chain != 0) {
		pw_pile_put(pile, pw_pile_next(pile, &chain));
	}
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * memory.h: what a load may read: the memory models. See memory.c for its book.
 */
#ifndef PINWHEEL_EXPLORE_MEMORY_H
#define PINWHEEL_EXPLORE_MEMORY_H

#include "tests/explore/core.h"

struct pw_read {
	uint64_t value;
	uint64_t version;
	bool stale; /* not the newest */
};

/* Words are numbered anew: a search begins. everything: every word has a number from its first access on (a replay),
 * else those that explore.c has found shared. */
void pw_memory_begin(enum pw_explore_memory model, unsigned stale_max, bool everything);
/* An execution begins. */
void pw_memory_reset(void);
/* explore.c has found the word shared, just now. */
void pw_memory_number(struct pw_word *word);

uint64_t pw_memory_peek(const volatile void *address, unsigned size);
void pw_memory_poke(volatile void *address, unsigned size, uint64_t value);

/* Before the running fiber touches the word: what others hold for it may arrive now. */
void pw_memory_before_load(struct pw_word *word);
void pw_memory_before_rmw(struct pw_word *word, enum pw_explore_order order);
/* The running fiber holds stores that an RMW with this order makes arrive, whatever its word. */
bool pw_memory_drains(enum pw_explore_order order);
/* may_fail: a CAS that expects `expected` and may read any value but it instead of the newest. */
struct pw_read pw_memory_load(struct pw_word *word, unsigned size, enum pw_explore_order order);
struct pw_read pw_memory_rmw(struct pw_word *word, unsigned size, enum pw_explore_order order, bool may_fail,
    uint64_t expected);
/* What pw_memory_rmw has read becomes value. */
void pw_memory_rmw_store(struct pw_word *word, unsigned size, enum pw_explore_order order, uint64_t value,
    uint64_t version);
/* False: the store waits in the fiber's buffer, under the name `history`, until pw_core_stored. Else it is `version`. */
bool pw_memory_store(struct pw_word *word, unsigned size, enum pw_explore_order order, uint64_t value,
    uint64_t history, uint64_t version);
void pw_memory_fence(void);

/* The running fiber's stores arrive: it enters the kernel. */
void pw_memory_drain(void);
/* Everybody's. False: there was none. */
bool pw_memory_drain_all(void);
/* The running fiber knows all that `fiber` did (it has ended). */
void pw_memory_join(unsigned fiber);

/* Part of the name of the state: what the fibers' histories do not tell. */
uint64_t pw_memory_name(void);
/* Happens-before: what the running fiber knows of each fiber. */
const uint32_t *pw_memory_clock(void);

#endif

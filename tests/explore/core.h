/* SPDX-License-Identifier: MIT
 *
 * core.h: what the explorer's own files know of the running execution: explore.c has it, memory.c and race.c look.
 */
#ifndef PINWHEEL_EXPLORE_CORE_H
#define PINWHEEL_EXPLORE_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/explore/explore.h"

#define PW_NOBODY (-1)

/* What the explorer knows of a word that is touched through atomic.h, a seam or the ledger. */
struct pw_word {
	const volatile void *address; /* NULL: the entry is free */
	uint64_t version;             /* the history of its last writer at that moment */
	uint32_t execution;           /* version, touched and wrote are of this one */
	uint8_t touched;              /* a bit for each fiber */
	uint8_t wrote;
	bool shared;
	uint16_t place;       /* memory.c: its number among the shared words, 0: it has none */
	uint32_t place_since; /* the execution that gave it the number; used from the next one on */
};

struct pw_core {
	int self; /* the running fiber */
	unsigned fibers;
	uint32_t execution;
	bool races;      /* of the scenario: they are no failure */
	const void *site; /* of the access that pw_explore_on_access is told of: a return address in its function */
	bool incomplete; /* a word turned out to be shared: who handed over what by it is not known */
};

extern struct pw_core pw_core;

const char *pw_core_fiber_name(unsigned fiber);
uint64_t pw_core_mix(uint64_t a, uint64_t b);
/* One of count answers of memory; 0 is the plain one. */
unsigned pw_core_choose_read(unsigned count);
/* Fiber `fiber`'s store has reached memory. */
void pw_core_stored(unsigned fiber, struct pw_word *word, uint64_t version, uint64_t value);

#endif

/* SPDX-License-Identifier: MIT
 *
 * storm_fault.h: what `pinwheel storm --fault` makes go wrong: the list, the dice, the counts.
 *
 * A fault is asked for by name, rolled at each of its occasions with so many chances in a thousand, and counted when
 * it has really struck. One that was asked for and never struck fails the run: it would prove nothing.
 *
 * who makes them           which
 * storm_wrap.c             those at the border to libc and liburing: memory, sq-full, eintr, short, uring-refused,
 *                          clock
 * storm_imp.c              those that a thread of its own does to the process: ring-full, clock, suspend, affinity,
 *                          few-cpus
 * storm_net.c              those that peers do to streams: reset, half-close, emfile
 *
 * Context: asking and settling: the main thread, before and after. Rolling and counting: any thread, lock-free.
 */
#ifndef PINWHEEL_BENCH_STORM_FAULT_H
#define PINWHEEL_BENCH_STORM_FAULT_H

#include <stdbool.h>
#include <stdint.h>

enum pw_fault {
	PW_FAULT_MEMORY,
	PW_FAULT_RING_FULL,
	PW_FAULT_SQ_FULL,
	PW_FAULT_EINTR,
	PW_FAULT_SHORT,
	PW_FAULT_RESET,
	PW_FAULT_HALF_CLOSE,
	PW_FAULT_EMFILE,
	PW_FAULT_CLOCK,
	PW_FAULT_SUSPEND,
	PW_FAULT_FEW_CPUS,
	PW_FAULT_AFFINITY,
	PW_FAULT_URING_REFUSED,
	PW_FAULT_COUNT
};

struct pw_fault_text {
	const char *name;
	const char *text;  /* for --help, with its occasion */
	uint32_t permille; /* unless asked otherwise */
	uint32_t highest;  /* what is retried at once must succeed in the end */
};
extern const struct pw_fault_text pw_fault_text[PW_FAULT_COUNT];

enum pw_fault_asked {
	PW_FAULT_NOT_ASKED,
	PW_FAULT_AMONG_ALL, /* skipped where it makes no sense */
	PW_FAULT_BY_NAME,
};

/* "NAME", "NAME=PERMILLE" or "all". NULL: understood; else what is wrong with it. */
const char *pw_fault_ask(const char *request);
enum pw_fault_asked pw_fault_asked(enum pw_fault fault);
bool pw_fault_any(void);
/* This one cannot be made here: says why. False: it was asked for by name. */
bool pw_fault_skip(enum pw_fault fault, const char *why);

/* From now on the dice are those of the seed. */
void pw_fault_seed(uint64_t seed);
/* Faults of calls strike only while armed. */
void pw_fault_arm(bool armed);
/* Shall it strike at this occasion? False where it was not asked for. */
bool pw_fault_roll(enum pw_fault fault);
/* The same for rare occasions: evenly spread over them, the first that is due no later than the second occasion where
 * half of them are asked for. Armed or not. */
bool pw_fault_in_turn(enum pw_fault fault);
/* Of the calling thread's own dice: a number below `sides`. */
uint32_t pw_fault_dice(uint32_t sides);
/* It has struck `times` times. */
void pw_fault_struck(enum pw_fault fault, uint64_t times);
uint64_t pw_fault_hits(enum pw_fault fault);
/* The first one asked for that never struck; PW_FAULT_COUNT: none. */
enum pw_fault pw_fault_missed(void);
/* One that was asked for has not struck yet, and still may: io_uring is refused at the start or not at all. */
bool pw_fault_awaited(void);

/* storm_wrap.c: time stands still from `from_ns` to `to_ns` of the real clock, and is right again from then on. from_ns
 * is to lie so far ahead that every thread that reads a later time has seen this. */
void pw_fault_freeze(uint64_t from_ns, uint64_t to_ns);
/* CLOCK_MONOTONIC, as it is. */
uint64_t pw_fault_real_ns(void);
void pw_fault_pause_ns(uint64_t ns);

#endif

/* SPDX-License-Identifier: MIT
 *
 * storm_cancels.h: raced cancels: what `pinwheel storm --cancels` (storm_cancels_run.c) asks of the pairs of threads
 * that race (storm_cancels.c, which has the book). The command's thread calls these.
 */
#ifndef PINWHEEL_BENCH_STORM_CANCELS_H
#define PINWHEEL_BENCH_STORM_CANCELS_H

#include <stdbool.h>
#include <stdint.h>

#define PW_CANCELS_PAIRS_MAX 64u
#define PW_CANCELS_STALL_S 300u /* a race that does not end in this time is a violation: a busy machine is slow */

/* Who races whom for what. */
enum pw_cancels_kind {
	PW_CANCELS_FINISH_HOME,
	PW_CANCELS_FINISH_AWAY,
	PW_CANCELS_CANCEL_HOME,
	PW_CANCELS_CANCEL_AWAY,
	PW_CANCELS_START,
	PW_CANCELS_DEADLINE,
	PW_CANCELS_EXPIRY,
	PW_CANCELS_EXPIRY_FINISH,
	PW_CANCELS_REQUEST,
	PW_CANCELS_SECOND_ABORT,
	PW_CANCELS_KINDS
};
struct pw_cancels_book {
	const char *name;  /* of the fields in JSON */
	const char *home;  /* what the home does */
	const char *rival; /* and what the rival, at the same time */
	const char *other; /* who wins, if not the cancel */
	bool one_sided;   /* the cancel cannot win while it overlaps: home calls no cancel function during the call */
	unsigned share;   /* of the turns; the sum is SHARES */
	unsigned pace_ns; /* from one call to the next: what the slower side needs */
	unsigned late_ns; /* the rival comes up to so much later: its call has its effect sooner than the home's */
};
extern const struct pw_cancels_book pw_cancels_books[PW_CANCELS_KINDS];

struct pw_cancels_sums {
	uint64_t operations[PW_CANCELS_KINDS];
	uint64_t raced[PW_CANCELS_KINDS];
	uint64_t canceled[PW_CANCELS_KINDS]; /* of raced: the cancel won; second_abort: the rival's */
	uint64_t all_operations;
	uint64_t all_raced;
	uint64_t all_canceled;
	uint64_t witnesses;
	uint64_t rests;
	uint64_t turns;
	uint64_t started; /* when all is over: starts and callbacks */
	uint64_t ended;
};

/* As many pairs as the running engine has shards. False: it has said why not. */
bool pw_cancels_open(unsigned pairs);
/* Pair n is to race so often; its rival runs on that CPU, -1: on any. False: no memory, which has been said. */
bool pw_cancels_prepare(unsigned n, uint64_t seed, uint64_t races, int cpu);
/* All pairs begin. False: no thread, which has been said. */
bool pw_cancels_start(void);
/* They end at the end of a turn, though there have not been as many races. */
void pw_cancels_stop(void);
bool pw_cancels_are_over(void);
/* While they race: a moment old. */
void pw_cancels_sum(struct pw_cancels_sums *sums);
/* Nothing has moved for so long: a line on stderr for each pair, where it is. */
void pw_cancels_print_still(uint64_t seconds);
/* Nothing moves: a violation that names a race. Ends the process. */
void pw_cancels_report_stall(void);
/* All are over: waits for the rivals, and looks whether the ledger balances (L7). */
void pw_cancels_balance(struct pw_cancels_sums *sums);
void pw_cancels_close(void);
/* What the races are timed by: the processor's counter, else the clock. */
bool pw_cancels_by_cycles(void);

#endif

/* SPDX-License-Identifier: MIT
 *
 * explore.h: what a scenario and the seams see of the explorer. See explore.c for its book.
 *
 * A scenario is a handful of fibers over the engine's real sources, small enough that every schedule with at
 * most `bound` preemptions can be run. setup and check run outside the fibers: no scheduling point, no choice.
 */
#ifndef PINWHEEL_EXPLORE_EXPLORE_H
#define PINWHEEL_EXPLORE_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/atomic.h"

#define PW_EXPLORE_FIBERS 8
#define PW_EXPLORE_BOUND_MAX 3
#define PW_EXPLORE_BOUND_NONE 7 /* no limit on preemptions */

enum {
	PW_EXPLORE_DAEMON = 1,  /* need not end: a shard, which sleeps for ever when all is done */
	PW_EXPLORE_FREEZES = 2, /* may stop for ever at any of its steps (one fiber in an execution) */
	PW_EXPLORE_EXCUSED = 4, /* may wait for ever for a fiber that froze */
};

struct pw_explore_fiber {
	const char *name;
	void (*run)(void);
	unsigned flags;
};

struct pw_explore_scenario {
	const char *name;
	const char *law;
	void (*setup)(void); /* before each execution: everything as new */
	void (*check)(void); /* after each execution that ended, NULL: nothing more to check */
	struct pw_explore_fiber fiber[PW_EXPLORE_FIBERS]; /* up to the first without a name */
	bool large;         /* not to be explored to its end: for random and pct search */
	unsigned spurious;  /* futex waits of one execution that may return for no reason */
	unsigned interrupts; /* waits in pollers of one execution that a signal may end */
	bool races;         /* it breaks the contract's rules of locking on purpose: races of plain accesses are no failure */
	unsigned steps_max; /* an execution longer than this is a livelock; 0: PW_EXPLORE_STEPS */
};

#define PW_EXPLORE_STEPS 20000u

enum pw_explore_memory {
	PW_MEMORY_SC,
	PW_MEMORY_TSO,
	PW_MEMORY_C11,
};

enum pw_explore_search {
	PW_SEARCH_ALL,    /* every schedule within the bound */
	PW_SEARCH_RANDOM, /* at each choice any alternative */
	PW_SEARCH_PCT,    /* fibers have priorities, which change at `depth` - 1 steps (Burckhardt et al., ASPLOS 2010) */
};

struct pw_explore_options {
	enum pw_explore_search search;
	uint64_t seed;    /* random, pct */
	unsigned depth;   /* pct */
	unsigned bound;
	enum pw_explore_memory memory;
	unsigned stale;         /* tso, c11: stores overlooked in one execution, at most */
	uint64_t schedules_max; /* 0: no limit */
	double seconds_max;     /* 0: no limit */
	const char *replay;     /* run this one schedule */
	bool trace;             /* print the trace of a replay that does not fail, too */
	bool quiet;             /* print nothing */
	bool no_fences;         /* fences do nothing. To test the explorer by */
	bool plain; /* no reduction: every access a choice, no state remembered. To test the explorer by. */
};

enum pw_explore_limit {
	PW_LIMIT_NONE,
	PW_LIMIT_SCHEDULES,
	PW_LIMIT_SECONDS,
};

#define PW_EXPLORE_NOTHING (-1)

struct pw_explore_report {
	bool failed;
	bool stopped; /* at a limit: not complete */
	enum pw_explore_limit limit; /* which one it was */
	int complete; /* the greatest bound explored to its end; PW_EXPLORE_NOTHING: none; PW_EXPLORE_BOUND_NONE: the bound
	               * has withheld nothing, so these are all schedules */
	char message[512];
	char replay[8192];  /* of the failure; "-" is the schedule without any deviation */
	unsigned bound;     /* of the search that failed or ended last */
	uint64_t schedules; /* executions that ran to their end, with that bound */
	uint64_t pruned;    /* executions left at a state that was known */
	uint64_t states;    /* states at which there was a choice, or might have been */
	uint64_t steps;
	unsigned deepest;  /* steps of the longest execution */
	unsigned restarts; /* searches begun anew because a word turned out to be shared */
	unsigned shared;   /* shared words */
	double seconds;
};

/* False: the scenario cannot be explored (it is not deterministic, the replay string is malformed, no memory);
 * the message says why. Else report->failed is the verdict. */
bool pw_explore_run(const struct pw_explore_scenario *scenario, const struct pw_explore_options *options,
    struct pw_explore_report *report);

/* ---- for scenarios, inside a fiber */

/* One of 0 .. count-1: every one is tried. */
unsigned pw_explore_choose(unsigned count);
/* Waits until the fiber with this index has ended (true) or is frozen. */
bool pw_explore_join(unsigned index);
/* The fiber sleeps. Not a step: what the scenario knows and no program could. */
bool pw_explore_sleeps(unsigned index);
/* The running fiber has come by this value without an access: what it does next may depend on it, and so states in which
 * it has seen another are other states. Returns the value. */
uint64_t pw_explore_learn(uint64_t value);
/* The index of the running fiber, PW_EXPLORE_FIBERS outside. */
unsigned pw_explore_self(void);
/* setup, check: the fiber was frozen in this execution. */
bool pw_explore_frozen(unsigned index);

/* A flag that a fiber can wait for. */
struct pw_explore_event {
	pw_a32 set;
};
void pw_explore_event_set(struct pw_explore_event *event);
void pw_explore_event_wait(struct pw_explore_event *event);

/* The ledger: words of the scenario that several fibers read and write. Not scheduling points (a ledger is written
 * in the same step as what it records), but known to the explorer, which else would take two states that differ in
 * the ledger alone for one. */
uint64_t pw_explore_get(const uint64_t *word);
void pw_explore_set(uint64_t *word, uint64_t value);
static inline void
pw_explore_add(uint64_t *word, uint64_t n)
{
	pw_explore_set(word, pw_explore_get(word) + n);
}

/* The fake clock. */
uint64_t pw_explore_now_ns(void);
void pw_explore_advance_ns(uint64_t ns);

/* Ends the exploration with this message, the replay string and the trace. Also in setup and check. */
__attribute__((noreturn, format(printf, 1, 2))) void pw_explore_fail(const char *format, ...);
#define PW_EXPLORE_ASSERT(condition, ...)                                                                            \
	do {                                                                                                         \
		if (!(condition)) {                                                                                  \
			pw_explore_fail(__VA_ARGS__);                                                                \
		}                                                                                                    \
	} while (0)

/* setup: how the trace calls this memory; format (may be NULL) writes a value. The name must outlive the run. */
void pw_explore_name(const volatile void *address, size_t size, const char *name,
    const char *(*format)(uint64_t value, char *text, unsigned size));

/* setup of the first execution: memory that each later execution shall find as it is at this call. */
void pw_explore_keep(void *memory, size_t size);
bool pw_explore_first(void);

/* ---- for the seams */

/* A call of the kernel (or of what stands for it) that touches a word of its own, the same for all at once; nothing
 * else runs between the two. */
void pw_explore_point(const volatile void *address, const char *verb);
void pw_explore_done(bool wrote, uint64_t value);

/* Sleeps until somebody wakes the channel (any address) or the clock reaches deadline_ns; false: the deadline passed.
 * Nothing runs between the caller's last access and its falling asleep. */
bool pw_explore_block(const volatile void *channel, uint64_t deadline_ns, const char *what);
/* Wakes all that sleep on the channel. Not a scheduling point: the caller has just passed one. */
void pw_explore_wake(const volatile void *channel);
/* The memory (aligned to 4 bytes, static) has been freed, or is in use again: plain accesses to it fail, or do not. */
void pw_explore_poison(void *memory, size_t size, bool poisoned);
/* True, as often as scenario->spurious says: a wait returns at once for no reason. */
bool pw_explore_spurious(void);
/* The same with scenario->interrupts. */
bool pw_explore_interrupted(void);
/* A line in the trace that is no access. */
void pw_explore_note(const char *text, uint64_t value);
/* Asked when every fiber sleeps, before the clock jumps: true if it has woken somebody. */
extern bool (*pw_explore_on_idle)(void);
/* Called after every access through atomic.h: what it touched, and whether memory has changed. It may fail the
 * execution; it makes no such access itself. */
extern void (*pw_explore_on_access)(const volatile void *address, bool wrote);
/* Called before each setup: seams forget what was. */
extern void (*pw_explore_on_reset)(void);

#endif

/* SPDX-License-Identifier: MIT
 *
 * fleet.h: all shards of the process: their table, whether they run, and how they are started and stopped.
 *
 * Records are made once and kept: a later start uses them again, and a sender may touch one at any time. A forked
 * child gets new numbers and new records, so a parent's handle is told by its home's number alone.
 *
 * fleet.c is the table, launch.c the threads. The explorer and tests that drive shards by hand use the table only.
 *
 * Visitors. What a start writes and an end takes apart (settings, thread handles, a poller's description, who lends
 * himself to which shard) is not for any thread to read at any time. A visit makes it so: between pw_fleet_visit and
 * pw_fleet_leave the shards of the running engine stay as they are. Coming, going and closing the door are
 * read-modify-writes of one word, so they have one order, and the one who closes it counts every visitor who came in
 * before. A visitor waits for nobody and must not block; nng_fini waits for visitors, and visitors for nothing, so
 * no deadlock is possible.
 */
#ifndef PINWHEEL_SHARD_FLEET_H
#define PINWHEEL_SHARD_FLEET_H

#include "engine/base/atomic.h"
#include "engine/shard/config.h"
#include "engine/shard/shard.h"

#define PW_IDS_MAX 32768u /* numbers of shards, over all generations of forked processes */

enum pw_fleet_state {
	PW_FLEET_NONE = 0,     /* no engine runs */
	PW_FLEET_RUNNING = 1,
	PW_FLEET_DRAINING = 2, /* nng_fini: no new handles, every live one is being stopped */
	PW_FLEET_SETTLING = 3, /* what was accepted before has ended: on threads outside refusals have no completion any more */
	PW_FLEET_CLOSING = 4,  /* nor on the shards' threads; what is owed is still delivered (engine.c) */
};

struct pw_fleet {
	pw_a32 state;  /* P12 */
	pw_a32 base;   /* the number of the first record of this process */
	pw_a32 count;  /* shards that run */
	pw_a32 lent;   /* of them, the last ones */
	pw_a32 engine; /* P12: starts so far: which engine runs */
	pw_a32 records; /* shards that were ever made in this process */
	pw_a64 visitors; /* P12: inside; PW_FLEET_WELCOME: more may come */
	unsigned tick_shift;
	struct pw_shard *shard[PW_IDS_MAX];
};

extern struct pw_fleet pw_fleet;

/* A refused start, or a finish straight from reset, on the calling thread is delivered by a shard. */
static inline bool
pw_fleet_running(void)
{
	uint32_t state = pw_load_acquire_32(&pw_fleet.state); /* P12 */
	return state == PW_FLEET_RUNNING || state == PW_FLEET_DRAINING ||
	    (state == PW_FLEET_SETTLING && pw_shard_self() != NULL);
}

/* New handles may be made. */
static inline bool
pw_fleet_open(void)
{
	return pw_load_acquire_32(&pw_fleet.state) == PW_FLEET_RUNNING; /* P12 */
}

static inline unsigned
pw_fleet_count(void)
{
	return pw_load_relaxed_32(&pw_fleet.count);
}

/* Shards [0, spread) take what threads outside make: those with a thread of their own, or, where there is none, all. A
 * lent one has nobody to run it but the thread that polls it, which may be none. */
static inline unsigned
pw_fleet_spread(void)
{
	unsigned count = pw_fleet_count(), lent = pw_load_relaxed_32(&pw_fleet.lent);
	return lent < count ? count - lent : count;
}

/* Tells one engine from the next. Who chooses a shard, makes something there and then finds the fleet open and this
 * number as it was before the choice knows that the engine he chose from runs, and will see what he made. */
static inline uint32_t
pw_fleet_engine(void)
{
	return pw_load_acquire_32(&pw_fleet.engine); /* P12 */
}

static inline struct pw_shard *
pw_fleet_shard(unsigned id)
{
	return pw_fleet.shard[id];
}

static inline struct pw_shard *
pw_fleet_nth(unsigned index)
{
	return pw_fleet.shard[pw_load_relaxed_32(&pw_fleet.base) + index];
}

static inline unsigned
pw_fleet_index(unsigned id)
{
	return id - pw_load_relaxed_32(&pw_fleet.base);
}

/* The number is that of a shard of this process's parent. */
static inline bool
pw_fleet_is_foreign(unsigned id)
{
	return id < pw_load_relaxed_32(&pw_fleet.base);
}

/* All shards have one tick. Rounded up: the first tick at which the deadline has passed. */
static inline uint64_t
pw_fleet_tick_of(uint64_t ns)
{
	uint64_t round = (UINT64_C(1) << pw_fleet.tick_shift) - 1;
	return (ns >> pw_fleet.tick_shift) + ((ns & round) != 0);
}

#define PW_FLEET_WELCOME (UINT64_C(1) << 31)

/* Any thread, lock-free. False: no engine runs, or it is ending. True: until pw_fleet_leave the shards' settings,
 * threads and pollers are there to be read, and no lent shard ends. */
bool pw_fleet_visit(void);
void pw_fleet_leave(void);
/* Under the starter's lock: the shards run and are described. */
void pw_fleet_admit(void);
/* Under the starter's lock: lets no visitor in, and waits until none is inside. */
void pw_fleet_dismiss(void);

/* Makes the record numbered base + index if it is not there yet. Under the starter's lock. 0 or -errno. */
int pw_fleet_record(unsigned index, const struct pw_shard_ops *ops);
/* Calls visit for every slot given out, of every record ever made: a stopped shard's slots too. */
void pw_fleet_walk(void (*visit)(void *context, void *slot, uint32_t slot_number), void *context);
/* In a forked child: forgets the parent's shards. */
void pw_fleet_forget(void);

/* Starts the threads for `config`. Under the starter's lock. 0 or a negative errno value; then nothing runs. */
int pw_fleet_launch(const struct pw_config *config, const struct pw_shard_ops *ops);
/* Every shard visits all its timers and links none again. */
void pw_fleet_drain(void);
/* Ends the loops and joins the threads. Nothing is outstanding. Under the starter's lock. */
void pw_fleet_join(void);
/* Says how far a shard has come, and wakes whoever waits for it. */
void pw_fleet_set_up(struct pw_shard *shard, enum pw_up up);

#endif

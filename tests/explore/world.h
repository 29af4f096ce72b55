/* SPDX-License-Identifier: MIT
 *
 * world.h: what the scenarios of the aio stand on: shards without threads, a handle with a provider and a ledger.
 *
 * The oracle, for every handle (VERIFICATION.md's numbers):
 *   C1  callbacks equal accepted operations and refusals owed (pw_handle_check); no two of a handle overlap
 *   C2  the callback sees the result, count, message and output of the one who won the provider's claim, and a reader
 *       after it sees the same
 *   home  what home alone does to the flags (TIMER; QUEUED and RUNNING cleared) is done on the home shard
 *   word  a state follows another as the table of word.h says; DONE is left only while its callback runs
 *   C4, C5, C9  the scenarios', from what the ledger recorded
 *   C6  a released slot: any access of the engine fails at once; it is filled with a pattern, so what else writes there
 *       is found when the execution has ended, and what reads there finds nonsense
 */
#ifndef PINWHEEL_EXPLORE_WORLD_H
#define PINWHEEL_EXPLORE_WORLD_H

#include <nng/nng.h>
#include <pinwheel/pinwheel.h>

#include "engine/aio/aio.h"
#include "tests/explore/explore.h"
#include "tests/explore/plain.h"

#define PW_HANDLE_RESULTS 8

/* A handle, the provider that serves it, and what happened. Words of the ledger are read by pw_explore_get in fibers,
 * plainly in check. */
struct pw_handle {
	nng_aio *aio;
	struct pw_lock lock; /* the provider's: held over start, and to take the claim; never over finish */
	uint64_t claim;      /* under the lock: an operation is pending, whoever takes the 1 finishes it */
	void (*on_callback)(struct pw_handle *handle); /* in the callback, after its checks; NULL: nothing */
	struct pw_explore_event started;               /* the first start has returned */

	uint64_t word;        /* as it was after the last access */
	uint64_t seen;        /* every flag that it has had */
	bool bare;            /* a finish gives a result and nothing else */
	bool engine_provides; /* nobody takes a claim: the result is not checked against one */

	struct pw_plain effect; /* what the callback leaves behind for who waits */

	/* ledger */
	uint64_t accepted;
	uint64_t refused; /* starts and begins that were refused and owe a callback */
	uint64_t callbacks;
	uint64_t cancels;                   /* cancel functions called, all operations */
	uint64_t calling;                   /* the callback runs */
	uint64_t cancelling;                /* the cancel function runs */
	uint64_t won;                       /* the operation under way has been claimed ... */
	uint64_t won_result;                /* ... by someone who finishes it with this */
	uint64_t canceled;                  /* its cancel function has been called */
	uint64_t result[PW_HANDLE_RESULTS]; /* of each callback */
};

/* setup: `shards` shards; their fibers must be the scenario's first, in order. */
void pw_world_setup(unsigned shards);
/* The same; prepare is called in the first setup, when all is made, and before it is noted down as what every execution
 * begins with. */
void pw_world_setup_with(unsigned shards, void (*prepare)(void));
/* What every shard here is run with. */
void pw_world_settings(struct pw_shard_settings *settings);
/* A shard's fiber. */
void pw_world_shard(void);
/* The same for a shard of the scenario's own. setup: what its thread does before its loop (a wheel is long to lay out,
 * and done here it is no part of the execution); the fiber: its loop. */
void pw_world_enter(struct pw_shard *shard);
void pw_world_run(struct pw_shard *shard);
/* check: nothing has touched a released slot. */
void pw_world_check(void);
/* Slots given back in this execution. */
unsigned pw_world_released(void);

/* setup: forgets, and allocates on shard 0 (may move). */
void pw_handle_open(struct pw_handle *handle, const char *name, void (*on_callback)(struct pw_handle *));
/* nng_aio_start with the provider's cancel function, after the provider has noted the operation. */
bool pw_handle_start(struct pw_handle *handle);
/* The same for an operation served by a shard. */
bool pw_handle_start_on(struct pw_handle *handle, unsigned shard);
/* The provider's part of a start by hand (begin/defer, reset): takes the lock and notes the operation; gives the lock
 * back, and the operation up if it was refused. */
void pw_handle_enter(struct pw_handle *handle);
void pw_handle_leave(struct pw_handle *handle, bool accepted);
/* The provider's cancel function; arg is the handle. Finishes with the reason, if it gets the claim. */
void pw_handle_cancel(nng_aio *aio, void *arg, nng_err reason);
/* The provider: finishes the operation with this result, if it gets the claim. */
bool pw_handle_finish(struct pw_handle *handle, nng_err result);
/* nng_aio_wait, nng_aio_stop, nng_aio_free for who is alone in using the handle: what the callback left behind is
 * seen afterwards. */
void pw_handle_wait(struct pw_handle *handle);
void pw_handle_stop(struct pw_handle *handle);
void pw_handle_free(struct pw_handle *handle);
/* The word as it is, and all flags that it has had since setup: not steps; what the scenario knows and no program could.
 * In a fiber always by these, never by the fields: what flows on, into the ledger or a decision, the search must know
 * of (pw_explore_learn). */
uint64_t pw_handle_peek(const struct pw_handle *handle);
uint64_t pw_handle_seen(const struct pw_handle *handle);
/* check: every accepted operation and every refusal had its callback. */
void pw_handle_check(const struct pw_handle *handle);

#endif

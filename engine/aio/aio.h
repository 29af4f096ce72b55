/* SPDX-License-Identifier: MIT
 *
 * aio.h: the asynchronous operation handle, and what the engine's own providers (sleep, streams) use beside the
 * public provider side of <nng/nng.h>.
 *
 * An aio fills one slot of four cache lines. A sleep dirties the first two.
 *
 *   line 0  the word, the callback, the cancel function, what finish gives          who writes
 *             word                                     any, by RMW
 *             cb, cb_arg, slot                         alloc
 *             fn, fn_arg, op_flags, count              the starter, then the provider until finish
 *             msg                                      consumer while idle, provider while busy
 *             home                                     the starter, before its CAS, if nothing holds the aio
 *             niov                                     consumer while idle
 *             mark                                     the stream layer's
 *   line 1  the timer and the links
 *             timer                                    home alone (a racing start reads `at`: P1, P6)
 *             deadline_ns, timer.note                  the starter, before its CAS
 *             expire_ns, timeout_ns                    consumer; expire_ns is consumed by the starter
 *             done_node, request_node                  whoever owes the entry, then home
 *             provider                                 the provider, between start and finish
 *   lines 2, 3  inputs (consumer), outputs (provider; cleared by a flag, not by a write), iov (consumer)
 *
 * There is no generation in a slot: FREEING stays set in the word of a released one until it is given out again,
 * which is what tells a handle that is freed twice.
 */
#ifndef PINWHEEL_AIO_AIO_H
#define PINWHEEL_AIO_AIO_H

#include <nng/nng.h>

#include "engine/base/atomic.h"
#include "engine/base/node.h"
#include "engine/shard/shard.h"
#include "engine/shard/slot.h"
#include "engine/shard/word.h"

#ifndef PINWHEEL_IOV_MAX
#define PINWHEEL_IOV_MAX 4
#endif

#define PW_AIO_PARAMS 4u

/* op_flags: one operation's, cleared by the next. */
#define PW_OP_SKIP 0x01u    /* nng_aio_skip_callback was asked: fn holds the asker, fn_arg the bool, until start */
#define PW_OP_OUTPUTS 0x02u /* outputs were written: without it they read as NULL */

#define PW_HOME_PINNED 0x8000u /* allocated on a given shard: never moves */
#define PW_HOME_MASK 0x7fffu

struct nng_aio {
	_Alignas(64) pw_a64 word;
	void (*cb)(void *);
	void *cb_arg;
	pw_a64 fn; /* an nng_aio_cancelfn; relaxed, handed over by the word; atomic for the dump alone */
	void *fn_arg;
	size_t count;
	nng_msg *msg;
	uint32_t slot : 28;
	uint32_t niov : 4;
	pw_a16 home;
	uint8_t op_flags;
	pw_a8 mark;

	_Alignas(64) struct pw_timer timer; /* its note: when the operation started, low 32 bits of clock ms; as fn */
	pw_a64 deadline_ns;   /* of this operation; PW_NEVER_NS: none; as fn */
	uint64_t expire_ns;   /* one operation's absolute expiration, PW_EXPIRE_UNSET: none */
	int64_t timeout_ns;   /* sticky; PW_TIMEOUT_* */
	struct pw_node done_node;
	struct pw_node request_node;
	union {
		struct pw_node node; /* on a provider's own MPSC stack */
		struct {
			uint32_t next; /* slot numbers, in a provider's list */
			uint32_t prev;
		} link;
	} provider;

	_Alignas(64) void *input[PW_AIO_PARAMS];
	void *output[PW_AIO_PARAMS];
	nng_iov iov[PINWHEEL_IOV_MAX];
};

#define PW_EXPIRE_UNSET UINT64_C(0) /* an expiration at time 0 is stored as 1: past either way */
#define PW_TIMEOUT_INFINITE INT64_C(-1)
#define PW_TIMEOUT_DEFAULT INT64_C(-2)
#define PW_TIMEOUT_PAST INT64_C(-3) /* any other negative duration: already expired */

_Static_assert(sizeof(nng_aio) == PW_SLOT_SIZE, "an aio fills one slot");
_Static_assert(PINWHEEL_IOV_MAX > 4 || sizeof(nng_aio) <= 256, "an aio is at most 256 bytes");
_Static_assert(offsetof(nng_aio, word) == 0, "a slot's first word is the state word");
_Static_assert(offsetof(nng_aio, timer) == PW_SLOT_TIMER_OFFSET, "the wheel finds the timer there");
_Static_assert(offsetof(nng_aio, input) == 128, "a sleep dirties two lines");
_Static_assert(PW_SLABS_MAX <= (UINT32_C(1) << 28) / PW_SLOTS_PER_SLAB, "a slot number has 28 bits");

static inline void
pw_aio_set_fn(nng_aio *aio, nng_aio_cancelfn fn)
{
	pw_store_relaxed_64(&aio->fn, (uint64_t) (uintptr_t) fn);
}

static inline nng_aio_cancelfn
pw_aio_fn(const nng_aio *aio)
{
	return (nng_aio_cancelfn) (uintptr_t) pw_load_relaxed_64(&aio->fn);
}

static inline nng_aio *
pw_aio_of_slot(uint32_t slot)
{
	return pw_slot_address(slot);
}

/* What a shard says of the callback on its stack (`running`): the handle, and the lap of the DONE it was called for. */
static inline uint64_t
pw_aio_lap(const nng_aio *aio, uint64_t word)
{
	return (uint64_t) (uintptr_t) aio | ((word & PW_LAP) != 0);
}

/* The shard's own thread: the handle whose callback is on the stack, NULL: none. */
static inline nng_aio *
pw_aio_running(const struct pw_shard *self)
{
	return (nng_aio *) (uintptr_t) (pw_load_relaxed_64(&self->running) & ~UINT64_C(1)); /* relaxed: our own */
}

/* Any thread: may an operation begin on this handle now? */
bool pw_aio_startable(const nng_aio *aio);

/* Starts the engine if it does not run, with the default configuration and the environment. 0, or what
 * nng_aio_alloc may return for it. Outside threads wait while another starts or stops it. */
nng_err pw_engine_ensure(void);

/* nng_aio_start for the engine's own providers. `shard`: where the operation is served, NULL: nowhere special; an
 * aio that nothing holds moves its home there. Any thread. */
bool pw_aio_start(nng_aio *aio, struct pw_shard *shard, nng_aio_cancelfn fn, void *arg);

/* nng_aio_finish with a count. Any thread; exactly once. True: the callback will come, and the aio is not touched
 * afterwards. False: there is none (skipped, or no engine to call it; or misuse). */
bool pw_aio_finish(nng_aio *aio, nng_err result, size_t count);

/* The provider: stores output i (i < PW_AIO_PARAMS) of the operation under way. */
void pw_aio_set_output(nng_aio *aio, unsigned index, void *value);

/* An operation that could not even be tried: reset, then a completion with the error. The same rules as a
 * provider that completes synchronously (refused first when the handle is stopped). */
void pw_aio_fail(nng_aio *aio, nng_err error);

/* An aio of the engine itself (resolver timers, accept pauses): homed on `shard`, never moves. As
 * nng_aio_alloc otherwise. */
nng_err pw_aio_alloc_internal(nng_aio **aiop, struct pw_shard *shard, void (*cb)(void *), void *arg);

/* Home thread or not: would blocking on something that shard `home` must do first deadlock, or is it misuse
 * (CONTRACT.md R26)? For stop and free of streams. True: the caller may block (or need not). */
bool pw_may_wait_for(const char *function, struct pw_shard *home);

/* The table that the fleet is started with; the stream layer's entries are weak references to its functions. */
extern const struct pw_shard_ops pw_aio_shard_ops;

#endif

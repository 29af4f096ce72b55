/* SPDX-License-Identifier: MIT
 *
 * word.h: the state word of an aio, as arithmetic: its fields, its states, which events they allow.
 *
 * What it is: pure functions on 64-bit values. What it is not: shared access; whoever changes a word does it by
 * read-modify-write through atomic.h, computing the new value here.
 *
 *   63                             32 31            16 15                                  3 2    0
 *   [ reason / result               ] [ epoch        ] [ flags                              ] [state]
 *
 *   IDLE ---reset--> OPEN ------------------------finish---------------------+
 *     |  \            |                                                      |
 *     |   +--begin----+--> BUSY ---defer---> DEFERRED --abort/expiry--> CANCELING
 *     |                     |                   ^ |                          |
 *     +-------start (or defer with no begin)----+ +--finish--> DONE <-finish-+
 *     ^                                                          |
 *     +----------------- the callback has returned --------------+ (home only)
 *
 * The high half is 0 from reset, begin or start until an abort or an expiry writes its reason; from DONE on it is
 * the result, carried by the same compare-and-swap that wins, so nng_aio_result is one load.
 *
 * The callback runs in DONE: delivering changes nothing in the word, and an operation costs home three
 * read-modify-writes (start, finish, the callback's end), two when its callback starts the next one. That it runs is
 * said by the shard (`running`: the handle and the lap), and only while it does may reset, begin, start and defer leave
 * DONE. Whoever leaves DONE turns LAP, home too; but for home they set RUNNING as well:
 *   - LAP tells home, when the callback returns, that the handle has been left: it differs from what was delivered.
 *     The word is then another operation's. If LAP is the same, home makes it IDLE.
 *   - LAP tells a starter that a DONE is not the one whose callback is, or was a moment ago, on the stack: `running` is
 *     cleared after the word, and a handle may meanwhile be begun and finished again; but not delivered, so the lap
 *     cannot come round. (Nor in the slot's next life, which begins with the lap of the last.)
 *   - RUNNING keeps a handle busy that was left for IDLE, OPEN or BUSY, from which an operation may end without home
 *     (skip_callback), until home clears it. From DEFERRED on, home delivers the next operation after this callback
 *     in any case: there RUNNING says nothing, is left as it is, and goes when the word becomes IDLE.
 *
 *   RUNNING   the callback is on the home shard's stack; means something in IDLE, OPEN and BUSY alone
 *   STOPPED   sticky: every later begin and start is refused
 *   FREEING   free or reap was called; a second one that finds it is misuse; nothing else tests it
 *   ABORT     an abort is wanted for this operation
 *   QUEUED    a request entry is, or is about to be, in the home inbox. Also the hold that keeps the slot from
 *             being released under a sender between its CAS and its enqueue, and the request node's owner
 *   ARM       home must link the timer (an earlier deadline than the linked one, or none linked)
 *   DESTROY   release the slot when nothing holds it
 *   TIMER     linked in the home shard's wheel; set and cleared by home alone
 *   WAITERS   someone sleeps on the low half
 *   LAP       turned whenever DONE is left
 *   EPOCH     counts, modulo 2^16, the moments at which the word became not busy while WAITERS was set. A waiter
 *             returns when it saw the word idle or the epoch differ from the one it slept on, so it cannot miss
 *             an idle moment that a restart ended at once.
 *
 * Busy is BUSY, DEFERRED, CANCELING, DONE or RUNNING. OPEN counts as idle: reset alone starts nothing.
 */
#ifndef PINWHEEL_SHARD_WORD_H
#define PINWHEEL_SHARD_WORD_H

#include <stdbool.h>
#include <stdint.h>

enum pw_state {
	PW_IDLE = 0,
	PW_OPEN = 1,
	PW_BUSY = 2,
	PW_DEFERRED = 3,
	PW_CANCELING = 4,
	PW_DONE = 5,
};

#define PW_STATE_MASK UINT64_C(0x7)
#define PW_RUNNING (UINT64_C(1) << 3)
#define PW_STOPPED (UINT64_C(1) << 4)
#define PW_FREEING (UINT64_C(1) << 5)
#define PW_ABORT (UINT64_C(1) << 6)
#define PW_QUEUED (UINT64_C(1) << 7)
#define PW_ARM (UINT64_C(1) << 8)
#define PW_DESTROY (UINT64_C(1) << 9)
#define PW_TIMER (UINT64_C(1) << 10)
#define PW_WAITERS (UINT64_C(1) << 11)
#define PW_LAP (UINT64_C(1) << 12)
#define PW_EPOCH_ONE (UINT64_C(1) << 16)
#define PW_EPOCH_MASK UINT64_C(0xffff0000)
#define PW_LOW_MASK UINT64_C(0xffffffff)

static inline enum pw_state
pw_word_state(uint64_t word)
{
	return (enum pw_state) (word & PW_STATE_MASK);
}

static inline uint64_t
pw_word_with_state(uint64_t word, enum pw_state state)
{
	return (word & ~PW_STATE_MASK) | (uint64_t) state;
}

/* The abort reason or the result. */
static inline int
pw_word_reason(uint64_t word)
{
	return (int) (uint32_t) (word >> 32);
}

static inline uint64_t
pw_word_with_reason(uint64_t word, int reason)
{
	return (word & PW_LOW_MASK) | (uint64_t) (uint32_t) reason << 32;
}

static inline uint32_t
pw_word_low(uint64_t word)
{
	return (uint32_t) word;
}

static inline bool
pw_word_busy(uint64_t word)
{
	return pw_word_state(word) >= PW_BUSY || (word & PW_RUNNING) != 0;
}

/* reset, begin and start are legal; so is a defer that implies begin. in_callback: the callback that DONE stands for
 * is on the home shard's stack. */
static inline bool
pw_word_startable(uint64_t word, bool in_callback)
{
	return pw_word_state(word) <= PW_OPEN || (pw_word_state(word) == PW_DONE && in_callback);
}

/* What leaving DONE during the callback does beside; nothing in other states. Before any other change of a startable word. */
static inline uint64_t
pw_word_left(uint64_t word)
{
	return pw_word_state(word) == PW_DONE ? (word ^ PW_LAP) | PW_RUNNING : word;
}

/* Home, when the callback has returned: did it, or another thread meanwhile, leave the DONE that was delivered? */
static inline bool
pw_word_was_left(uint64_t word, uint64_t delivered)
{
	return ((word ^ delivered) & PW_LAP) != 0;
}

static inline bool
pw_word_finishable(uint64_t word)
{
	enum pw_state state = pw_word_state(word);
	return state >= PW_OPEN && state <= PW_CANCELING;
}

/* An abort has an effect: an operation is under way, not finished, and no earlier abort or expiry was first. */
static inline bool
pw_word_abortable(uint64_t word)
{
	enum pw_state state = pw_word_state(word);
	return (state == PW_BUSY || state == PW_DEFERRED) && (word & PW_ABORT) == 0;
}

/* A startable word becomes a new operation: the state, no reason, no abort of an earlier one. ARM and QUEUED stay: they
 * belong to the entry in flight, and home looks at the word as it is then. */
static inline uint64_t
pw_word_begun(uint64_t word, enum pw_state state)
{
	return pw_word_with_reason(pw_word_with_state(pw_word_left(word), state) & ~PW_ABORT, 0);
}

/* A startable word is refused. */
static inline uint64_t
pw_word_refused(uint64_t word, enum pw_state state, int reason)
{
	return pw_word_with_reason(pw_word_with_state(pw_word_left(word), state) & ~PW_ABORT, reason);
}

/* A finishable word ends. */
static inline uint64_t
pw_word_ended(uint64_t word, enum pw_state state, int result)
{
	return pw_word_with_reason(pw_word_with_state(word, state) & ~PW_ABORT, result);
}

/* The abort itself, on an abortable word. DEFERRED: a request entry is owed too. */
static inline uint64_t
pw_word_aborted(uint64_t word, int reason)
{
	word = pw_word_with_reason(word | PW_ABORT, reason);
	return pw_word_state(word) == PW_DEFERRED ? word | PW_QUEUED : word;
}

/* The same on a DEFERRED word by its home's thread: no entry is needed, and a sleep is over. */
static inline uint64_t
pw_word_aborted_at_home(uint64_t word, bool sleep, int reason)
{
	return sleep ? pw_word_ended(word, PW_DONE, reason)
		     : pw_word_with_reason(pw_word_with_state(word | PW_ABORT, PW_CANCELING), reason);
}

/* What the RMW that makes a word not busy must do for the waiters; its author wakes them if WAITERS was set. */
static inline uint64_t
pw_word_quiet(uint64_t word)
{
	if (pw_word_busy(word) || (word & PW_WAITERS) == 0) {
		return word;
	}
	uint64_t epoch = (word + PW_EPOCH_ONE) & PW_EPOCH_MASK;
	return (word & ~(PW_WAITERS | PW_EPOCH_MASK)) | epoch;
}

/* DESTROY may be carried out by home now: nothing runs, nothing is in flight. (TIMER: home unlinks first.) */
static inline bool
pw_word_releasable(uint64_t word)
{
	return (word & PW_DESTROY) != 0 && (word & PW_QUEUED) == 0 && !pw_word_busy(word);
}

/* The allowed transitions of STATE: one table, for the engine's debug assertions and for tests/model. */
static inline bool
pw_word_allowed(enum pw_state from, enum pw_state to)
{
	static const uint8_t to_mask[6] = {
		[PW_IDLE] = 1 << PW_IDLE | 1 << PW_OPEN | 1 << PW_BUSY | 1 << PW_DEFERRED | 1 << PW_DONE,
		[PW_OPEN] = 1 << PW_IDLE | 1 << PW_OPEN | 1 << PW_BUSY | 1 << PW_DEFERRED | 1 << PW_DONE,
		[PW_BUSY] = 1 << PW_IDLE | 1 << PW_BUSY | 1 << PW_DEFERRED | 1 << PW_DONE,
		[PW_DEFERRED] = 1 << PW_DEFERRED | 1 << PW_CANCELING | 1 << PW_DONE,
		[PW_CANCELING] = 1 << PW_CANCELING | 1 << PW_DONE,
		[PW_DONE] = 1 << PW_DONE | 1 << PW_IDLE | 1 << PW_OPEN | 1 << PW_BUSY | 1 << PW_DEFERRED,
	};
	return (to_mask[from] >> to & 1) != 0;
}

/* The same of whole words, one life of a slot long: LAP is turned by leaving DONE and by nothing else, and what is
 * sticky stays. */
static inline bool
pw_word_follows(uint64_t word, uint64_t after)
{
	enum pw_state from = pw_word_state(word), to = pw_word_state(after);
	bool left = pw_word_was_left(after, word);
	bool sticks = (word & ~after & (PW_STOPPED | PW_FREEING | PW_DESTROY)) == 0;
	return pw_word_allowed(from, to) && sticks && (left ? from == PW_DONE : from != PW_DONE || to == PW_DONE);
}

#endif

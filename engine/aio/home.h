/* SPDX-License-Identifier: MIT
 *
 * home.h: what aio.c and provider.c need of the home shard's side (home.c), and the checks they share.
 */
#ifndef PINWHEEL_AIO_HOME_H
#define PINWHEEL_AIO_HOME_H

#include <assert.h>

#include "engine/aio/aio.h"
#include "engine/base/compiler.h"
#include "engine/shard/fleet.h"

/* The home shard's number; racy while the aio is idle (it may be moving), stable while an operation is under way. */
static inline unsigned
pw_aio_home(const nng_aio *aio)
{
	return pw_load_relaxed_16(&aio->home) & PW_HOME_MASK;
}

/* How every change of a word is made, but for alloc's: acq_rel, failure acquire; each site names its pair. Builds with
 * assertions hold each change against the table of word.h. */
PW_INLINE bool
pw_aio_cas(nng_aio *aio, uint64_t *word, uint64_t after)
{
	assert(pw_word_follows(*word, after));
	return pw_cas_acq_rel_64(&aio->word, word, after);
}

/* The callback that the DONE of `word` stands for is on the home shard's stack. Any thread. False from another thread
 * may mean that it has just returned: then the word has changed (P16). */
static inline bool
pw_aio_in_callback(const nng_aio *aio, uint64_t word)
{
	return pw_word_state(word) == PW_DONE && /* and so the home is stable */
	    pw_load_acquire_64(&pw_fleet_shard(pw_aio_home(aio))->running) == pw_aio_lap(aio, word); /* P16 */
}

/* The word as a person should read it: RUNNING says that the callback is on the stack, in every state. */
static inline uint64_t
pw_aio_shown(const nng_aio *aio, uint64_t word)
{
	const struct pw_shard *home = pw_fleet_shard(pw_peek_16(&aio->home) & PW_HOME_MASK);
	bool runs = (pw_load_acquire_64(&home->running) & ~UINT64_C(1)) == (uint64_t) (uintptr_t) aio;
	return runs ? word | PW_RUNNING : word & ~PW_RUNNING;
}

/* Says why the handle cannot be used, as misuse. Returns false. */
bool pw_aio_unusable(const nng_aio *aio, const char *function);

/* The public function `function` may use this handle: not NULL, not a parent's in a forked child. Else misuse. */
static inline bool
pw_aio_usable(const nng_aio *aio, const char *function)
{
	return (aio != NULL && !pw_fleet_is_foreign(pw_aio_home(aio))) || pw_aio_unusable(aio, function);
}

/* After the CAS to DONE: posts the completion entry; home's own goes straight to the ready queue. Any thread. The aio
 * is not touched afterwards. */
void pw_aio_post_done(nng_aio *aio, unsigned home);
/* After the CAS that turned QUEUED 0 -> 1: posts the request entry to the home that the word now holds still. */
void pw_aio_post_request(nng_aio *aio);

/* Home, in DEFERRED (or on the way out of it), TIMER set: links the aio at its deadline. again: it is linked already,
 * at a later tick. */
void pw_aio_link(struct pw_shard *shard, nng_aio *aio, bool again);

/* Stop without waiting: STOPPED, and the abort where one has an effect. Any thread; lock-free. */
void pw_aio_mark_stopped(nng_aio *aio);

/* The cancel function of a sleep. With PW_SLEEP_OWN_END as its argument the deadline is the sleep's own end, and
 * expiry's reason is 0. */
void pw_sleep_cancel(nng_aio *aio, void *arg, nng_err reason);
#define PW_SLEEP_OWN_END ((void *) 1)

/* Home, in DEFERRED: a sleep has no provider that would have to be asked, so an abort or its deadline ends it by one
 * CAS to DONE, and no cancel item is made. Only on home's thread: elsewhere a look at fn says nothing about the operation
 * that a CAS meets. */
static inline bool
pw_aio_is_sleep(const nng_aio *aio)
{
	return pw_aio_fn(aio) == pw_sleep_cancel;
}

/* Gives the slot back. The caller holds the last reference: nothing in flight, not linked. Any thread. */
void pw_aio_release(nng_aio *aio);

#endif

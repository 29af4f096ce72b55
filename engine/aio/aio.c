/* SPDX-License-Identifier: MIT
 *
 * aio.c: the consumer's side of a handle: alloc, free, reap, abort, stop, wait, and what it carries.
 *
 * What it is: the calls that any thread makes on a handle it owns or shares. What it is not: the operation itself
 * (provider.c), or what home does (home.c).
 *
 * Progress: abort, cancel, reap, pinwheel_aio_close and every getter and setter are lock-free. stop and free wait
 * for the operation and its callback; wait for the same, or for one idle moment. alloc takes its arena's lock.
 *
 * Blocking (pw_futex_wait on the low half of the word): a waiter sets WAITERS by CAS and sleeps on the value it then
 * saw. Whoever makes the word not busy clears WAITERS, advances EPOCH in the same RMW, and wakes all. A waiter
 * returns when it sees the word idle, or an epoch other than the one it slept on: the handle was idle in
 * between, even if a restart ended that moment at once. free is not content with a moment: it looks again.
 *
 * How a handle ends. free: FREEING and STOPPED in one CAS, with the abort; wait; then, if neither QUEUED nor TIMER is
 * set, the slot is released at once, else DESTROY and QUEUED are set in one CAS and home releases it when it has
 * processed that entry. reap: all of it in one CAS, and home releases after the RMW that makes the word not busy,
 * or with the entry. So a far deadline never keeps a slot, and no reap waits for another.
 */
#include <pinwheel/pinwheel.h>

#include <stdio.h>

#include "engine/aio/home.h"
#include "engine/base/clock.h"
#include "engine/base/misuse.h"
#include "engine/shard/fleet.h"
#include "engine/shard/lent.h"
#include "engine/shard/park.h"

/* ---- alloc */

/* Which shard an aio is born on: the caller's own, or for outside threads each in turn that has a thread (a lent one may
 * have nobody who polls it, unless there are no others). NULL: the engine has just been shut down. */
static struct pw_shard *
choose_home(void)
{
	struct pw_thread *thread = pw_thread_self();
	if (thread->shard != NULL || thread->lent != NULL) {
		return thread->shard != NULL ? thread->shard : thread->lent;
	}
	unsigned count = pw_fleet_spread();
	if (count == 0) {
		return NULL;
	}
	if (thread->allocations == 0) { /* threads start at different shards */
		thread->allocations = (unsigned) ((uintptr_t) thread >> 6);
	}
	return pw_fleet_nth(thread->allocations++ % count);
}

static void
init_slot(nng_aio *aio, uint32_t slot, unsigned home, void (*cb)(void *), void *arg)
{
	aio->cb = cb;
	aio->cb_arg = arg;
	aio->slot = slot & ((UINT32_C(1) << 28) - 1);
	aio->niov = 0;
	aio->count = 0;
	aio->msg = NULL;
	aio->op_flags = 0;
	aio->fn_arg = NULL;
	pw_store_relaxed_16(&aio->home, (uint16_t) home);
	pw_store_relaxed_8(&aio->mark, 0);
	pw_store_relaxed_64(&aio->fn, 0);
	pw_store_relaxed_32(&aio->timer.note, 0);
	pw_store_relaxed_64(&aio->deadline_ns, PW_NEVER_NS);
	aio->timer.at = 0;
	aio->expire_ns = PW_EXPIRE_UNSET;
	aio->timeout_ns = PW_TIMEOUT_DEFAULT;
	for (unsigned i = 0; i < PW_AIO_PARAMS; i++) {
		aio->input[i] = NULL;
	}
	/* A fresh word, but for LAP: its last home may be about to say that the callback of its last life is over, and until
	 * then `running` must not name a DONE of this one (P16). By exchange, not by store: the last life may still be
	 * looked at by a late reader. */
	uint64_t lap = pw_load_relaxed_64(&aio->word) & PW_LAP; /* relaxed: the slot is ours (P11) */
	(void) pw_exchange_acq_rel_64(&aio->word, PW_IDLE | lap);
}

/* `shard` was chosen in this engine (pw_fleet_engine). NNG_ESTOPPED: it does not run any more. */
static nng_err
alloc_on(nng_aio **aiop, uint32_t engine, struct pw_shard *shard, unsigned home_flags, void (*cb)(void *), void *arg)
{
	uint32_t slot;
	nng_aio *aio = pw_arena_alloc(&shard->arena, &slot);
	if (aio == NULL) {
		return NNG_ENOMEM;
	}
	init_slot(aio, slot, shard->settings.id | home_flags, cb, arg);
	/* nng_fini stores its state, then walks the slots. Either the walk finds this one as it is now, or the exchange
	 * above read what the walk wrote, and then this load sees the state. */
	/* And the engine that runs now need not be the one in which `shard` was chosen: it may have fewer, or lend it. */
	if (!pw_fleet_open() || pw_fleet_engine() != engine || pw_fleet_index(pw_aio_home(aio)) >= pw_fleet_count()) {
		pw_aio_release(aio);
		return NNG_ESTOPPED;
	}
	*aiop = aio;
	return NNG_OK;
}

nng_err
nng_aio_alloc(nng_aio **aiop, void (*cb)(void *), void *arg)
{
	if (aiop == NULL) {
		pw_misuse("nng_aio_alloc", NULL, 0, "the place for the handle is NULL");
		return NNG_EINVAL;
	}
	for (;;) {
		nng_err rv = pw_engine_ensure();
		if (rv != NNG_OK) {
			return rv;
		}
		uint32_t engine = pw_fleet_engine();
		struct pw_shard *home = choose_home();
		rv = home != NULL ? alloc_on(aiop, engine, home, 0, cb, arg) : NNG_ESTOPPED;
		if (rv != NNG_ESTOPPED) {
			return rv;
		}
	}
}

nng_err
pinwheel_aio_alloc_on(nng_aio **aiop, int shard, void (*cb)(void *), void *arg)
{
	if (aiop == NULL) {
		pw_misuse("pinwheel_aio_alloc_on", NULL, 0, "the place for the handle is NULL");
		return NNG_EINVAL;
	}
	for (;;) {
		nng_err rv = pw_engine_ensure();
		if (rv != NNG_OK) {
			return rv;
		}
		uint32_t engine = pw_fleet_engine();
		if (shard < 0 || (unsigned) shard >= pw_fleet_count()) {
			return NNG_EINVAL;
		}
		rv = alloc_on(aiop, engine, pw_fleet_nth((unsigned) shard), PW_HOME_PINNED, cb, arg);
		if (rv != NNG_ESTOPPED) {
			return rv;
		}
	}
}

nng_err
pw_aio_alloc_internal(nng_aio **aiop, struct pw_shard *shard, void (*cb)(void *), void *arg)
{
	return alloc_on(aiop, pw_fleet_engine(), shard, PW_HOME_PINNED, cb, arg);
}

int
pinwheel_aio_home(const nng_aio *aio)
{
	return pw_aio_usable(aio, "pinwheel_aio_home") ? (int) pw_fleet_index(pw_aio_home(aio)) : -1;
}

/* ---- abort */

/* The abort of an operation on its own home's thread needs no request entry: the cancel item can be listed at once
 * (home.c, I3). `home` is read after the word was seen DEFERRED: if it is this shard, only this thread can deliver the
 * operation, so the aio cannot move before the CAS. Without a cancel function, or with the node in use, it goes the
 * common way. */
static bool
aborts_at_home(const nng_aio *aio, uint64_t word)
{
	const struct pw_shard *self = pw_shard_self();
	return self != NULL && pw_word_state(word) == PW_DEFERRED && (word & PW_QUEUED) == 0 &&
	    pw_aio_home(aio) == self->settings.id && pw_aio_fn(aio) != NULL;
}

/* What an abort at home has made of the word: the cancel item, or a sleep's completion. */
static void
list_aborted(nng_aio *aio, uint64_t word)
{
	struct pw_shard *self = pw_shard_self();
	if (pw_word_state(word) == PW_DONE) {
		pw_count_add(&self->counters.cancels, 1);
		pw_aio_post_done(aio, self->settings.id);
	} else {
		pw_shard_ready(self, pw_mail_of(&aio->request_node, PW_KIND_REQUEST));
	}
}

/* One CAS: `bits` in any state, and the abort where one has an effect; then its entry. */
static void
mark(nng_aio *aio, uint64_t bits, int reason)
{
	uint64_t word = pw_load_acquire_64(&aio->word);
	uint64_t after;
	bool at_home;
	do {
		after = word | bits;
		at_home = false;
		if (pw_word_abortable(word)) { /* the first reason wins (R5) */
			at_home = aborts_at_home(aio, word);
			after = at_home ? pw_word_aborted_at_home(after, pw_aio_is_sleep(aio), reason)
					: pw_word_aborted(after, reason);
		} else if (after == word) {
			return;
		}
	} while (!pw_aio_cas(aio, &word, after)); /* P3 */
	if (at_home) {
		list_aborted(aio, after);
	} else if ((after & ~word & PW_QUEUED) != 0) {
		pw_aio_post_request(aio);
	}
}

void
pw_aio_mark_stopped(nng_aio *aio)
{
	mark(aio, PW_STOPPED, NNG_ESTOPPED);
}

void
nng_aio_abort(nng_aio *aio, nng_err reason)
{
	__builtin_prefetch(aio, 1); /* an abort comes to a cold aio: the word, to be changed, */
	__builtin_prefetch((char *) aio + offsetof(nng_aio, timer), 1); /* and the line of the nodes */
	if (aio != NULL && pw_aio_usable(aio, "nng_aio_abort")) {
		mark(aio, 0, reason);
	}
}

void
nng_aio_cancel(nng_aio *aio)
{
	nng_aio_abort(aio, NNG_ECANCELED);
}

/* ---- waiting */

/* A callback or cancel function is about to wait for a busy aio that its own shard must run first (R26). */
static bool
would_deadlock(const nng_aio *aio, const char *function, uint64_t word)
{
	struct pw_shard *self = pw_shard_self();
	if (self == NULL || !self->in_user_code || pw_aio_home(aio) != self->settings.id) {
		return false;
	}
	char why[256], text[128];
	const nng_aio *caller = pw_aio_running(self);
	if (caller != NULL) {
		(void) snprintf(why, sizeof why,
		    "waiting in the callback of %p (state %s) for a busy handle of the same shard is a deadlock; "
		    "use pinwheel_aio_close or nng_aio_reap", (const void *) caller,
		    pw_word_text(pw_aio_shown(caller, pw_load_acquire_64(&caller->word)), text, sizeof text));
	} else {
		(void) snprintf(why, sizeof why,
		    "waiting in a cancel function for a busy handle of the same shard is a deadlock");
	}
	pw_misuse(function, aio, pw_aio_shown(aio, word), why);
	return true;
}

#define BLOCKED_REPORT_NS PW_NS_PER_S /* a callback that waits this long for another shard is named */
#define LENT_NAP_NS PW_NS_PER_MS      /* a lending thread sleeps at most this long between polls of its shard */

/* Sleeps on the word once, as the calling thread may: an outside thread in the kernel; a thread that lends itself
 * polls its shard meanwhile; inside user code the wait is named, once, at *report_ns. */
static void
block(nng_aio *aio, const char *function, uint64_t word, uint64_t deadline_ns, uint64_t *report_ns)
{
	struct pw_shard *self = pw_shard_self(), *lent = pw_thread_self()->lent;
	if (self == NULL && lent == NULL) {
		(void) pw_futex_wait(&aio->word, pw_word_low(word), deadline_ns);
		return;
	}
	if (self == NULL) {
		if (pw_lent_poll(lent, 0) == 0) {
			uint64_t nap_ns = pw_clock_now_ns() + LENT_NAP_NS;
			(void) pw_futex_wait(&aio->word, pw_word_low(word), nap_ns < deadline_ns ? nap_ns : deadline_ns);
		}
		return;
	}
	/* A wait that its own deadline ends first is not named, however late the machine wakes it. */
	uint64_t until_ns = *report_ns < deadline_ns ? *report_ns : deadline_ns;
	if (!pw_futex_wait(&aio->word, pw_word_low(word), until_ns) && until_ns == *report_ns) {
		char text[128];
		*report_ns = PW_NEVER_NS;
		pw_log("pinwheel: %s: shard %u has waited 1 s in a callback of %p for %p (%s)", function,
		    pw_fleet_index(self->settings.id), (void *) pw_aio_running(self), (void *) aio,
		    pw_word_text(pw_aio_shown(aio, pw_load_acquire_64(&aio->word)), text, sizeof text));
	}
}

enum patience {
	ONE_MOMENT, /* until the handle was not busy at some moment of the call */
	QUIET,      /* until it is not busy */
};

/* False: the deadline passed, or the wait would never end (reported). */
static bool
wait_idle(nng_aio *aio, const char *function, enum patience patience, uint64_t deadline_ns)
{
	uint64_t word = pw_load_acquire_64(&aio->word); /* P5 */
	if (!pw_word_busy(word)) {
		return true;
	}
	struct pw_shard *self = pw_shard_self();
	uint64_t report_ns = PW_NEVER_NS;
	if (self != NULL && self->in_user_code) {
		if (would_deadlock(aio, function, word)) {
			return false;
		}
		pw_count_add(&self->counters.waits_blocking, 1);
		report_ns = pw_clock_now_ns() + BLOCKED_REPORT_NS;
	}
	for (;;) {
		if (!pw_word_busy(word)) {
			return true;
		}
		if ((word & PW_WAITERS) == 0) {
			if (!pw_aio_cas(aio, &word, word | PW_WAITERS)) {
				continue;
			}
			word |= PW_WAITERS;
		}
		uint64_t epoch = word & PW_EPOCH_MASK;
		block(aio, function, word, deadline_ns, &report_ns);
		word = pw_load_acquire_64(&aio->word); /* P5 */
		if (patience == ONE_MOMENT && (word & PW_EPOCH_MASK) != epoch) {
			return true;
		}
		if (pw_word_busy(word) && deadline_ns != PW_NEVER_NS && pw_clock_now_ns() >= deadline_ns) {
			return false;
		}
	}
}

/* The calling thread is inside this handle's own callback (R21). */
static bool
in_own_callback(const nng_aio *aio)
{
	const struct pw_shard *self = pw_shard_self();
	return self != NULL && pw_aio_running(self) == aio;
}

void
nng_aio_wait(nng_aio *aio)
{
	if (aio != NULL && pw_aio_usable(aio, "nng_aio_wait") && !in_own_callback(aio)) {
		(void) wait_idle(aio, "nng_aio_wait", ONE_MOMENT, PW_NEVER_NS);
	}
}

nng_err
pinwheel_aio_wait_until(nng_aio *aio, uint64_t deadline_ns)
{
	if (aio == NULL || !pw_aio_usable(aio, "pinwheel_aio_wait_until") || in_own_callback(aio)) {
		return NNG_OK;
	}
	return wait_idle(aio, "pinwheel_aio_wait_until", ONE_MOMENT, deadline_ns) ? NNG_OK : NNG_ETIMEDOUT;
}

bool
nng_aio_busy(nng_aio *aio)
{
	return pw_aio_usable(aio, "nng_aio_busy") && pw_word_busy(pw_load_acquire_64(&aio->word)); /* P5 */
}

void
nng_aio_stop(nng_aio *aio)
{
	if (aio == NULL || !pw_aio_usable(aio, "nng_aio_stop")) {
		return;
	}
	bool own = in_own_callback(aio);
	uint64_t word = pw_load_acquire_64(&aio->word);
	if (!own && pw_word_busy(word) && would_deadlock(aio, "nng_aio_stop", word)) {
		return; /* before anything is changed */
	}
	mark(aio, PW_STOPPED, NNG_ESTOPPED);
	if (!own) {
		(void) wait_idle(aio, "nng_aio_stop", ONE_MOMENT, PW_NEVER_NS);
	}
}

/* ---- the end of a handle */

static void
reap(nng_aio *aio, const char *function)
{
	uint64_t word = pw_load_acquire_64(&aio->word);
	uint64_t after;
	do {
		if ((word & PW_FREEING) != 0) {
			pw_misuse(function, aio, pw_aio_shown(aio, word), "it is being freed or reaped already");
			return;
		}
		after = word | PW_FREEING | PW_STOPPED | PW_DESTROY;
		if (pw_word_abortable(word)) {
			after = pw_word_aborted(after, NNG_ESTOPPED);
		} else if (!pw_word_busy(word) && (word & PW_TIMER) != 0) {
			after |= PW_QUEUED; /* linked and idle: home must unlink it */
		}
	} while (!pw_aio_cas(aio, &word, after)); /* P4, P5 */
	if ((after & ~word & PW_QUEUED) != 0) {
		pw_aio_post_request(aio);
	} else if (pw_word_releasable(after) && (after & PW_TIMER) == 0) {
		pw_aio_release(aio); /* nothing holds it: nobody else will look at it */
	}
}

void
nng_aio_reap(nng_aio *aio)
{
	if (aio != NULL && pw_aio_usable(aio, "nng_aio_reap")) {
		reap(aio, "nng_aio_reap");
	}
}

void
pinwheel_aio_close(nng_aio *aio)
{
	if (aio != NULL && pw_aio_usable(aio, "pinwheel_aio_close")) {
		pw_aio_mark_stopped(aio);
	}
}

/* free's first step. False: reported as misuse, nothing changed. */
static bool
claim_for_free(nng_aio *aio)
{
	uint64_t word = pw_load_acquire_64(&aio->word);
	if (pw_word_busy(word) && would_deadlock(aio, "nng_aio_free", word)) {
		return false;
	}
	uint64_t after;
	do {
		if ((word & PW_FREEING) != 0) {
			pw_misuse("nng_aio_free", aio, pw_aio_shown(aio, word), "it is being freed or reaped already");
			return false;
		}
		after = word | PW_FREEING | PW_STOPPED;
		if (pw_word_abortable(word)) {
			after = pw_word_aborted(after, NNG_ESTOPPED);
		}
	} while (!pw_aio_cas(aio, &word, after)); /* P3 */
	if ((after & ~word & PW_QUEUED) != 0) {
		pw_aio_post_request(aio);
	}
	return true;
}

void
nng_aio_free(nng_aio *aio)
{
	if (aio == NULL || !pw_aio_usable(aio, "nng_aio_free")) {
		return;
	}
	if (in_own_callback(aio)) {
		reap(aio, "nng_aio_free"); /* R21 */
		return;
	}
	if (!claim_for_free(aio) || !wait_idle(aio, "nng_aio_free", QUIET, PW_NEVER_NS)) {
		return;
	}
	uint64_t word = pw_load_acquire_64(&aio->word); /* P5 */
	while ((word & (PW_QUEUED | PW_TIMER)) != 0) {
		if (pw_aio_cas(aio, &word, word | PW_DESTROY | PW_QUEUED)) { /* P4 */
			if ((word & PW_QUEUED) == 0) {
				pw_aio_post_request(aio);
			}
			return; /* home releases it with that entry */
		}
	}
	pw_aio_release(aio);
}

/* ---- what a handle carries */

void
nng_aio_set_timeout(nng_aio *aio, nng_duration timeout_ms)
{
	if (!pw_aio_usable(aio, "nng_aio_set_timeout")) {
		return;
	}
	aio->expire_ns = PW_EXPIRE_UNSET; /* the last setter of the two wins */
	if (timeout_ms >= 0) {
		aio->timeout_ns = (int64_t) timeout_ms * (int64_t) PW_NS_PER_MS;
	} else if (timeout_ms == NNG_DURATION_INFINITE) {
		aio->timeout_ns = PW_TIMEOUT_INFINITE;
	} else {
		aio->timeout_ns = timeout_ms == NNG_DURATION_DEFAULT ? PW_TIMEOUT_DEFAULT : PW_TIMEOUT_PAST;
	}
}

void
pinwheel_aio_set_timeout_ns(nng_aio *aio, int64_t timeout_ns)
{
	if (pw_aio_usable(aio, "pinwheel_aio_set_timeout_ns")) {
		aio->expire_ns = PW_EXPIRE_UNSET;
		aio->timeout_ns = timeout_ns >= PW_TIMEOUT_DEFAULT ? timeout_ns : PW_TIMEOUT_PAST;
	}
}

void
nng_aio_set_expire(nng_aio *aio, nng_time expire_ms)
{
	bool never = expire_ms > PW_NEVER_NS / PW_NS_PER_MS; /* all ones, and what nanoseconds cannot hold */
	if (pw_aio_usable(aio, "nng_aio_set_expire")) {
		pinwheel_aio_set_deadline_ns(aio, never ? PW_NEVER_NS : expire_ms * PW_NS_PER_MS);
	}
}

void
pinwheel_aio_set_deadline_ns(nng_aio *aio, uint64_t deadline_ns)
{
	if (pw_aio_usable(aio, "pinwheel_aio_set_deadline_ns")) {
		aio->expire_ns = deadline_ns == PW_EXPIRE_UNSET ? 1 : deadline_ns; /* time 0 is as past as time 1 */
	}
}

nng_err
nng_aio_result(nng_aio *aio)
{
	if (!pw_aio_usable(aio, "nng_aio_result")) {
		return NNG_EINVAL;
	}
	uint64_t word = pw_load_acquire_64(&aio->word); /* P5 */
	enum pw_state state = pw_word_state(word);
	return state >= PW_BUSY && state <= PW_CANCELING ? NNG_OK : pw_word_reason(word);
}

size_t
nng_aio_count(nng_aio *aio)
{
	return pw_aio_usable(aio, "nng_aio_count") ? aio->count : 0;
}

void
nng_aio_set_msg(nng_aio *aio, nng_msg *msg)
{
	if (pw_aio_usable(aio, "nng_aio_set_msg")) {
		aio->msg = msg;
	}
}

nng_msg *
nng_aio_get_msg(nng_aio *aio)
{
	return pw_aio_usable(aio, "nng_aio_get_msg") ? aio->msg : NULL;
}

nng_err
nng_aio_set_iov(nng_aio *aio, unsigned count, const nng_iov *iov)
{
	if (!pw_aio_usable(aio, "nng_aio_set_iov") || count > PINWHEEL_IOV_MAX || (count != 0 && iov == NULL)) {
		return NNG_EINVAL;
	}
	for (unsigned i = 0; i < count; i++) {
		aio->iov[i] = iov[i];
	}
	aio->niov = count & 0xfu;
	return NNG_OK;
}

nng_err
nng_aio_set_input(nng_aio *aio, unsigned index, void *value)
{
	if (!pw_aio_usable(aio, "nng_aio_set_input") || index >= PW_AIO_PARAMS) {
		return NNG_EINVAL;
	}
	aio->input[index] = value;
	return NNG_OK;
}

void *
nng_aio_get_output(nng_aio *aio, unsigned index)
{
	if (!pw_aio_usable(aio, "nng_aio_get_output") || index >= PW_AIO_PARAMS) {
		return NULL;
	}
	return (aio->op_flags & PW_OP_OUTPUTS) != 0 ? aio->output[index] : NULL;
}

/* SPDX-License-Identifier: MIT
 *
 * provider.c: the provider's side of an operation: reset, begin, defer, start, finish.
 *
 * What it is: the transitions of the state word that a provider causes, from any thread. What it is not: anything
 * that home does (home.c), or the consumer's calls (aio.c).
 *
 * Progress: every function here is lock-free, waits for nobody and runs no user code; on a stopped or expired
 * handle too. A compare-and-swap that fails means that another thread made progress on the same word.
 *
 * How a start works. Everything home will need (cancel function, deadline, home itself) is written before the CAS
 * to DEFERRED and handed over by it (P1). If the deadline is earlier than the tick the aio is linked at, or it is
 * not linked, the timer must be armed: on the home thread the CAS sets TIMER and the wheel is touched right after
 * it (nobody else can be delivering this operation: home is us); elsewhere the CAS sets ARM and QUEUED, and a
 * request entry follows if QUEUED was clear. A later deadline costs nothing: home links again when the stale entry
 * comes out.
 *
 * How a finish works. The CAS to DONE carries the result. After it the aio belongs to the completion entry, which the
 * finisher posts: nothing else leads to delivery, so until it is posted nothing moves the aio. `home` is read before
 * the CAS all the same, with the line that the CAS wants anyhow.
 *
 * A refused start is a completion like any other, posted from DONE, except in three cases, in which the word stays
 * IDLE with the reason: nng_aio_skip_callback asked for it; the caller is the handle's own callback delivering
 * NNG_ESTOPPED (R10: what the shard recorded when it made the call decides, not the word, which reset has
 * cleared); no engine runs for the caller (pw_fleet_running: nng_fini's last steps).
 */
#include "engine/aio/home.h"

#include <pinwheel/pinwheel.h>

#include "engine/base/clock.h"
#include "engine/base/compiler.h"
#include "engine/base/misuse.h"
#include "engine/shard/fleet.h"
#include "engine/shard/park.h"

#define LOW_MS(ns) ((uint32_t) ((ns) / PW_NS_PER_MS))

/* ---- deadlines */

/* Now, for an end that is counted from it: never before the clock's time. */
PW_INLINE uint64_t
counted_from_ns(void)
{
	const struct pw_shard *self = pw_shard_self();
	return self != NULL ? pw_shard_clock_ns(self) : pw_clock_now_ns();
}

/* The deadline of the operation that begins now; consumes the expiration. *now_ns: read if needed, else 0.
 * 0: it has passed already. */
PW_INLINE uint64_t
fix_deadline(nng_aio *aio, uint64_t *now_ns)
{
	uint64_t expire_ns = aio->expire_ns;
	int64_t timeout_ns = aio->timeout_ns;

	*now_ns = 0;
	aio->expire_ns = PW_EXPIRE_UNSET; /* one operation only, however it ends (R17) */
	if (expire_ns == PW_NEVER_NS) {
		return PW_NEVER_NS;
	}
	if (expire_ns != PW_EXPIRE_UNSET) {
		*now_ns = pw_clock_now_ns();
		return expire_ns > *now_ns ? expire_ns : 0;
	}
	if (timeout_ns == PW_TIMEOUT_INFINITE || timeout_ns == PW_TIMEOUT_DEFAULT) {
		return PW_NEVER_NS;
	}
	if (timeout_ns <= 0) {
		return 0;
	}
	*now_ns = counted_from_ns(); /* read inside the call: a cached time would fire early */
	return *now_ns + (uint64_t) timeout_ns;
}

/* A time good enough for an age stamp and for reading a 32-bit tick: now, the shard's cached one, or the coarse one. */
static uint64_t
near_ns(uint64_t now_ns)
{
	const struct pw_shard *self = pw_shard_self();
	return now_ns != 0 ? now_ns : self != NULL ? self->now_ns : pw_clock_coarse_ns();
}

static void
stamp_age(nng_aio *aio, uint64_t now_ns)
{
	pw_store_relaxed_32(&aio->timer.note, LOW_MS(now_ns)); /* relaxed: for the dump, and nng_fini's walks */
}

/* Must home link the timer for this deadline? */
static bool
needs_arming(const nng_aio *aio, uint64_t word, uint64_t deadline_ns, uint64_t now_ns)
{
	if (deadline_ns == PW_NEVER_NS) {
		return false;
	}
	if ((word & PW_TIMER) == 0) {
		return true;
	}
	/* P6: TIMER was seen set before the start, so `at` is not being written: home links only in DEFERRED. */
	return pw_fleet_tick_of(deadline_ns) < pw_wheel_tick(aio->timer.at, pw_fleet_tick_of(now_ns));
}

/* ---- home */

/* Moves the aio to `target` if nothing holds it: TIMER (linked there), QUEUED (an entry on its way there), DONE or
 * RUNNING (that shard has its callback on the stack). Stored before the CAS that starts the operation (P1, P3). */
static void
move_home(nng_aio *aio, uint64_t word, struct pw_shard *target)
{
	uint16_t home = pw_load_relaxed_16(&aio->home);
	if (target == NULL || (word & (PW_TIMER | PW_QUEUED | PW_RUNNING)) != 0 || pw_word_state(word) == PW_DONE ||
	    (home & PW_HOME_PINNED) != 0 || home == target->settings.id) {
		return;
	}
	pw_store_relaxed_16(&aio->home, (uint16_t) target->settings.id);
	(void) pw_fetch_add_relaxed_64(&target->counters.moved_in, 1);
}

/* ---- skip_callback */

/* Where the calling thread wants to be told, NULL: it has not asked. Only before start or defer (fn holds it). */
static bool *
skip_wanted(const nng_aio *aio)
{
	if ((aio->op_flags & PW_OP_SKIP) == 0 ||
	    pw_load_relaxed_64(&aio->fn) != (uint64_t) (uintptr_t) pw_thread_self()) {
		return NULL;
	}
	return aio->fn_arg;
}

void
nng_aio_skip_callback(nng_aio *aio, bool *skipped)
{
	*skipped = false;
	if (!pw_aio_usable(aio, "nng_aio_skip_callback")) {
		return;
	}
	aio->op_flags |= PW_OP_SKIP;
	pw_store_relaxed_64(&aio->fn, (uint64_t) (uintptr_t) pw_thread_self());
	aio->fn_arg = skipped;
}

/* ---- may it begin? */

/* Is `*word` startable? When it is not, it has not changed either: `running` is cleared after the word (P16). */
PW_INLINE bool
startable_word(const nng_aio *aio, uint64_t *word)
{
	while (!pw_word_startable(*word, pw_aio_in_callback(aio, *word))) {
		uint64_t again = pw_load_acquire_64(&aio->word);
		if (again == *word) {
			return false;
		}
		*word = again;
	}
	return true;
}

bool
pw_aio_startable(const nng_aio *aio)
{
	uint64_t word = pw_load_acquire_64(&aio->word);
	return startable_word(aio, &word);
}

PW_COLD static bool
not_startable(const nng_aio *aio, const char *function, uint64_t word)
{
	pw_misuse(function, aio, pw_aio_shown(aio, word), "its operation is not over");
	return false;
}

/* The same for a call that needs it: misuse if not. */
PW_INLINE bool
expect_startable(const nng_aio *aio, const char *function, uint64_t *word)
{
	return startable_word(aio, word) || not_startable(aio, function, *word);
}

/* ---- refusal */

/* Tries to end a startable word as refused. False: the word changed, look again (`*word` is new). */
PW_COLD static bool
refuse(nng_aio *aio, uint64_t *word, int reason, bool *skip)
{
	struct pw_shard *self = pw_shard_self();
	bool by_own_callback = self != NULL && pw_aio_running(self) == aio && self->running_result == NNG_ESTOPPED;
	bool quiet = (by_own_callback && reason == NNG_ESTOPPED) || !pw_fleet_running();
	if (skip != NULL && (*word & PW_FREEING) != 0) {
		*skip = false; /* a reap is pending: the callback is called as usual, whatever an earlier try has said */
		skip = NULL;
	}

	aio->count = 0;
	aio->op_flags = 0;
	if (quiet || skip != NULL) {
		if (skip != NULL) {
			*skip = true; /* before the CAS: a waiter that it wakes may end the caller's frame */
		}
		return pw_aio_cas(aio, word, pw_word_refused(*word, PW_IDLE, reason)); /* P1 */
	}
	unsigned home = pw_aio_home(aio);
	if (!pw_aio_cas(aio, word, pw_word_refused(*word, PW_DONE, reason))) { /* P2 */
		return false;
	}
	if (self != NULL) {
		pw_count_add(&self->counters.refused, 1);
	}
	pw_aio_post_done(aio, home);
	return true;
}

/* ---- the provider's calls */

void
nng_aio_reset(nng_aio *aio)
{
	if (!pw_aio_usable(aio, "nng_aio_reset")) {
		return;
	}
	uint64_t word = pw_load_acquire_64(&aio->word);
	do {
		if (!expect_startable(aio, "nng_aio_reset", &word)) {
			return;
		}
		aio->count = 0;
		aio->op_flags &= PW_OP_SKIP; /* reset does not withdraw the request */
	} while (!pw_aio_cas(aio, &word, pw_word_begun(word, PW_OPEN))); /* P1 */
}

bool
nng_aio_begin(nng_aio *aio)
{
	if (!pw_aio_usable(aio, "nng_aio_begin")) {
		return false;
	}
	bool *skip = skip_wanted(aio);
	uint64_t word = pw_load_acquire_64(&aio->word);
	uint64_t deadline_ns = 0, now_ns = 0;

	for (bool fixed = false;;) {
		if (!expect_startable(aio, "nng_aio_begin", &word)) {
			return false;
		}
		if (!fixed) {
			deadline_ns = fix_deadline(aio, &now_ns); /* fixed here, armed by defer */
			fixed = true;
		}
		if ((word & PW_STOPPED) != 0) {
			if (refuse(aio, &word, NNG_ESTOPPED, skip)) {
				return false;
			}
			continue;
		}
		aio->count = 0;
		aio->op_flags &= PW_OP_SKIP;
		pw_store_relaxed_64(&aio->deadline_ns, deadline_ns);
		stamp_age(aio, near_ns(now_ns));
		move_home(aio, word, pw_shard_self());
		if (pw_aio_cas(aio, &word, pw_word_begun(word, PW_BUSY))) { /* P1 */
			return true;
		}
	}
}

/* What an operation that goes asynchronous is started with. */
struct deferral {
	nng_aio_cancelfn fn;
	void *arg;
	uint64_t deadline_ns;
	uint64_t near_ns;
	bool begun; /* it goes on: what begin cleared may have been set since */
};

/* Tries word -> after (DEFERRED, an abort included) and pays what is then owed: the wheel, or a request entry. False:
 * the word changed, look again. */
PW_INLINE bool
go_deferred(nng_aio *aio, uint64_t *word, uint64_t after, const struct deferral *d)
{
	struct pw_shard *self = pw_shard_self();
	uint64_t before = *word;
	uint64_t deadline_ns = d->fn != NULL ? d->deadline_ns : PW_NEVER_NS; /* nobody to call: it runs on */
	bool link = false;

	if (needs_arming(aio, before, deadline_ns, d->near_ns)) {
		link = self != NULL && self->settings.id == pw_aio_home(aio);
		after |= link ? PW_TIMER : PW_ARM | PW_QUEUED;
	}
	if ((after & PW_ABORT) != 0) {
		after |= PW_QUEUED; /* remembered since begin: home calls fn, never this stack (R12, R23) */
	}
	if (!d->begun) {
		aio->op_flags = 0;
	} else if ((aio->op_flags & PW_OP_SKIP) != 0) {
		aio->op_flags &= PW_OP_OUTPUTS; /* the request dies here: fn takes its place */
	}
	aio->fn_arg = d->arg;
	pw_aio_set_fn(aio, d->fn);
	pw_store_relaxed_64(&aio->deadline_ns, deadline_ns); /* relaxed: the CAS hands it over */
	if (!pw_aio_cas(aio, word, after)) {                 /* P1 */
		return false;
	}
	if (link) { /* home is us: nobody else delivers this operation, so the wheel may be touched after the CAS */
		pw_aio_link(self, aio, (before & PW_TIMER) != 0);
	}
	if ((after & ~before & PW_QUEUED) != 0) {
		pw_aio_post_request(aio);
	}
	return true;
}

void
nng_aio_defer(nng_aio *aio, nng_aio_cancelfn fn, void *arg)
{
	if (!pw_aio_usable(aio, "nng_aio_defer")) {
		return;
	}
	struct deferral d = { .fn = fn, .arg = arg };
	uint64_t word = pw_load_acquire_64(&aio->word);

	for (bool fixed = false;;) {
		uint64_t after;
		bool implied = startable_word(aio, &word);
		enum pw_state state = pw_word_state(word);
		if (state == PW_DONE && !implied) {
			return; /* finished, not yet delivered: no effect */
		}
		if (state == PW_DEFERRED || state == PW_CANCELING) {
			pw_misuse("nng_aio_defer", aio, pw_aio_shown(aio, word), "it is deferred already");
			return;
		}
		if (!implied) {
			d.deadline_ns = pw_load_relaxed_64(&aio->deadline_ns);
			d.near_ns = near_ns(0);
			d.begun = true;
			after = pw_word_with_state(word, PW_DEFERRED);
		} else { /* no begin: implied, and not refused (R13) */
			if (!fixed) {
				uint64_t now_ns;
				d.deadline_ns = fix_deadline(aio, &now_ns);
				d.near_ns = near_ns(now_ns);
				fixed = true;
			}
			if (!pw_fleet_running()) {
				if (refuse(aio, &word, NNG_ESTOPPED, NULL)) {
					return;
				}
				continue;
			}
			d.begun = false;
			aio->count = 0;
			stamp_age(aio, d.near_ns);
			move_home(aio, word, pw_shard_self());
			after = pw_word_begun(word, PW_DEFERRED);
		}
		if ((word & PW_STOPPED) != 0 && pw_word_abortable(after)) {
			after = pw_word_aborted(after, NNG_ESTOPPED);
		}
		if (go_deferred(aio, &word, after, &d)) {
			return;
		}
	}
}

/* start, for all, on a word that was startable: `reason` is 0 or why the operation must be refused although the handle is not stopped. */
PW_INLINE bool
start(nng_aio *aio, const char *function, uint64_t word, struct pw_shard *served, int reason,
    const struct deferral *d)
{
	bool *skip = skip_wanted(aio);
	do {
		int refusal = (word & PW_STOPPED) != 0 ? NNG_ESTOPPED : reason; /* in this order */
		if (refusal != 0) {
			if (refuse(aio, &word, refusal, skip)) {
				return false;
			}
			continue;
		}
		aio->count = 0;
		stamp_age(aio, d->near_ns);
		move_home(aio, word, served != NULL ? served : pw_shard_self());
		if (go_deferred(aio, &word, pw_word_begun(word, PW_DEFERRED), d)) {
			return true;
		}
	} while (expect_startable(aio, function, &word));
	return false;
}

/* A start that is misuse must not consume the expiration: looked at before anything is changed. */
PW_INLINE bool
startable(const nng_aio *aio, const char *function, uint64_t *word)
{
	if (!pw_aio_usable(aio, function)) {
		return false;
	}
	*word = pw_load_acquire_64(&aio->word);
	return expect_startable(aio, function, word);
}

PW_INLINE bool
start_provider(nng_aio *aio, const char *function, struct pw_shard *served, nng_aio_cancelfn fn, void *arg)
{
	uint64_t word, now_ns;
	if (!startable(aio, function, &word)) {
		return false;
	}
	uint64_t deadline_ns = fix_deadline(aio, &now_ns);
	struct deferral d = { .fn = fn, .arg = arg, .deadline_ns = deadline_ns, .near_ns = near_ns(now_ns) };
	return start(aio, function, word, served, deadline_ns == 0 ? NNG_ETIMEDOUT : 0, &d); /* R15 */
}

bool
nng_aio_start(nng_aio *aio, nng_aio_cancelfn fn, void *arg)
{
	return start_provider(aio, "nng_aio_start", NULL, fn, arg);
}

bool
pw_aio_start(nng_aio *aio, struct pw_shard *served, nng_aio_cancelfn fn, void *arg)
{
	return start_provider(aio, "nng_aio_start", served, fn, arg);
}

/* ---- finish */

/* Where the finisher must report that the callback is skipped; consumes the request. NULL: it is not asked for on this
 * thread, or the operation has gone asynchronous. */
static bool *
skip_consume(nng_aio *aio, uint64_t word)
{
	if (pw_word_state(word) > PW_BUSY) {
		return NULL;
	}
	bool *skip = skip_wanted(aio);
	aio->op_flags &= (uint8_t) ~PW_OP_SKIP;
	return skip;
}

bool
pw_aio_finish(nng_aio *aio, nng_err result, size_t count)
{
	if (!pw_aio_usable(aio, "nng_aio_finish")) {
		return false;
	}
	uint64_t word = pw_load_acquire_64(&aio->word);
	if (!pw_word_finishable(word)) {
		pw_misuse("nng_aio_finish", aio, pw_aio_shown(aio, word), "no operation is under way: a second finish?");
		return false;
	}
	bool *skip = skip_consume(aio, word);
	if (pw_word_state(word) == PW_OPEN) {
		aio->expire_ns = PW_EXPIRE_UNSET; /* consumed, like any operation's (R17) */
	}
	if (count != 0) {
		aio->count = count;
	}

	uint64_t after;
	unsigned home;
	do {
		if (!pw_word_finishable(word)) {
			pw_misuse("nng_aio_finish", aio, pw_aio_shown(aio, word), "two threads finish it");
			return false;
		}
		bool orphan = pw_word_state(word) == PW_OPEN && !pw_fleet_running();
		bool skips = skip != NULL && (word & PW_FREEING) == 0; /* with a reap pending the callback is called */
		if (skip != NULL) {
			*skip = skips; /* before the CAS: what it wakes may end the asker's frame */
		}
		home = pw_aio_home(aio); /* the operation is ours: it stays */
		after = skips || orphan
		    ? pw_word_quiet(pw_word_ended(word, PW_IDLE, orphan ? NNG_ESTOPPED : result))
		    : pw_word_ended(word, PW_DONE, result);
	} while (!pw_aio_cas(aio, &word, after)); /* P2; not busy any more: P5 */

	if (pw_word_state(after) == PW_DONE) {
		pw_aio_post_done(aio, home);
		return true;
	}
	if ((word & ~after & PW_WAITERS) != 0) {
		pw_futex_wake_all(&aio->word); /* the address alone: the slot may be gone */
	}
	return false;
}

void
nng_aio_finish(nng_aio *aio, nng_err result)
{
	(void) pw_aio_finish(aio, result, 0);
}

void
pw_aio_fail(nng_aio *aio, nng_err error)
{
	if (nng_aio_begin(aio)) {
		(void) pw_aio_finish(aio, error, 0);
	}
}

/* ---- outputs */

void
pw_aio_set_output(nng_aio *aio, unsigned index, void *value)
{
	if ((aio->op_flags & PW_OP_OUTPUTS) == 0) { /* the first of this operation: the others read as NULL */
		for (unsigned i = 0; i < PW_AIO_PARAMS; i++) {
			aio->output[i] = NULL;
		}
		aio->op_flags |= PW_OP_OUTPUTS;
	}
	aio->output[index] = value;
}

nng_err
nng_aio_set_output(nng_aio *aio, unsigned index, void *value)
{
	if (!pw_aio_usable(aio, "nng_aio_set_output") || index >= PW_AIO_PARAMS) {
		return NNG_EINVAL;
	}
	pw_aio_set_output(aio, index, value);
	return NNG_OK;
}

void *
nng_aio_get_input(nng_aio *aio, unsigned index)
{
	if (!pw_aio_usable(aio, "nng_aio_get_input") || index >= PW_AIO_PARAMS) {
		return NULL;
	}
	return aio->input[index];
}

/* ---- sleep, the provider that every engine has */

/* On the ready queue: by abort or timeout with their reason, by its own end with 0. A sleep has no other finisher, so
 * the claim needs no lock: the cancel function is called once. */
void
pw_sleep_cancel(nng_aio *aio, void *arg, nng_err reason)
{
	(void) arg;
	(void) pw_aio_finish(aio, reason, 0);
}

static void
sleep_until(nng_aio *aio, const char *function, bool never, uint64_t duration_ns)
{
	uint64_t word, now_ns;
	if (!startable(aio, function, &word)) {
		return;
	}
	bool no_timeout = aio->expire_ns == PW_EXPIRE_UNSET && aio->timeout_ns == 0;
	uint64_t limit_ns = fix_deadline(aio, &now_ns);
	if (now_ns == 0) {
		now_ns = counted_from_ns();
	}
	if (no_timeout) {
		limit_ns = now_ns; /* a zero timeout is this moment: equal to a zero sleep's end (R16) */
	}
	uint64_t end_ns = never || duration_ns > PW_NEVER_NS - now_ns ? PW_NEVER_NS : now_ns + duration_ns;
	bool own_end = end_ns <= limit_ns;
	struct deferral d = { .fn = pw_sleep_cancel, .near_ns = now_ns };

	if (own_end && duration_ns == 0 && !never) { /* as soon as possible: no tick to wait for, nothing to cancel */
		d.deadline_ns = PW_NEVER_NS;
		d.fn = NULL;
		if (start(aio, function, word, NULL, 0, &d)) {
			(void) pw_aio_finish(aio, NNG_OK, 0);
		}
		return;
	}
	d.deadline_ns = own_end ? end_ns : limit_ns;
	d.arg = own_end ? PW_SLEEP_OWN_END : NULL;
	(void) start(aio, function, word, NULL, 0, &d); /* exempt from R15 */
}

void
nng_sleep_aio(nng_duration duration_ms, nng_aio *aio)
{
	bool never = duration_ms == NNG_DURATION_INFINITE; /* R22; other negative ones: as soon as possible */
	sleep_until(aio, "nng_sleep_aio", never, duration_ms > 0 ? (uint64_t) duration_ms * PW_NS_PER_MS : 0);
}

void
pinwheel_sleep_ns(int64_t duration_ns, nng_aio *aio)
{
	sleep_until(aio, "pinwheel_sleep_ns", duration_ns == -1, duration_ns > 0 ? (uint64_t) duration_ns : 0);
}

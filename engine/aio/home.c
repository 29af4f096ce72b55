/* SPDX-License-Identifier: MIT
 *
 * home.c: what only the home shard's thread does to an aio: take its entries, link and visit its timer, call its
 * cancel function and its callback, release its slot.
 *
 * Two kinds of entry, which never stand for one another:
 *   completion  posted by whoever moved the word to DONE, always, once per operation. DONE is its own hold: nothing
 *               but this entry leads to delivery, and an aio in DONE is never released.
 *   request     (abort, ARM, DESTROY) posted by whoever turned QUEUED 0 -> 1. It carries no operation: home looks at
 *               the word as it is then, so a late abort cannot hit the next operation, and requests coalesce.
 *
 * Invariants
 *   I1  User code runs from the on_ready functions below and nowhere else, one item at a time (shard.c, I1).
 *   I2  A cancel item is on the ready queue before its operation's completion can be (the queue is FIFO, and the
 *       completion is listed when it is drained): a callback never starts while its operation's cancel function
 *       runs, and a cancel item whose word is DONE already skips the function.
 *   I3  QUEUED stays set until home clears it by RMW when it processes the request. Until then the request node is
 *       home's and the slot is not released. A cancel item travels on that node with QUEUED clear: nothing posts the
 *       node in CANCELING, and what follows, DONE, is delivered behind the item (I2).
 *   I4  TIMER is set and cleared here and in a start on this thread only. It is set exactly while the timer is linked,
 *       but for the moment between the wheel's unlinking and the CAS that says so.
 *   I5  After the callback the word alone is looked at. If the handle was left for an operation that home will deliver,
 *       it is not released before that, and nothing is written; else one RMW makes it not busy, and after it the aio
 *       is touched again only if that RMW saw DESTROY with no other hold, in which case nobody else will.
 *   I6  No visit finds a word that is releasable. Whoever sets DESTROY on a quiet word with TIMER sets QUEUED with it;
 *       on a busy word, nobody but home makes it quiet (with FREEING no callback is skipped). So it becomes releasable
 *       by an RMW of home that clears QUEUED or ends busy, and what does that releases it at once.
 *
 * The visit table (a timer came out of the wheel):
 *   DEFERRED, due               -> CANCELING with the operation's expiry reason, TIMER cleared; a cancel item on the
 *                                  timer node. A pending ABORT keeps its reason (its entry will find CANCELING).
 *                                  A sleep: DONE with that reason
 *   DEFERRED, not yet due       -> linked again at the real deadline (no deadline: TIMER cleared)
 *   any other word              -> TIMER cleared, nothing else; a racing start sees TIMER clear and arms, or wins
 *                                  the race, and then the visit starts over and links again
 */
#include "engine/aio/home.h"

#include <assert.h>

#include "engine/base/clock.h"
#include "engine/base/compiler.h"
#include "engine/base/misuse.h"
#include "engine/shard/fleet.h"
#include "engine/shard/park.h"

/* ---- entries, from any thread */

void
pw_aio_post_done(nng_aio *aio, unsigned home)
{
	struct pw_shard *self = pw_shard_self();
	pw_mail mail = pw_mail_of(&aio->done_node, PW_KIND_DONE);
	__builtin_prefetch(aio->cb_arg, 1); /* what the callback looks at first; it is cold when many are outstanding */
	if (self != NULL && self->settings.id == home) {
		pw_count_add(&self->counters.finished_home, 1);
		pw_shard_ready(self, mail);
	} else {
		pw_shard_post(pw_fleet_shard(home), mail);
	}
}

void
pw_aio_post_request(nng_aio *aio)
{
	/* P3: `home` is read after the CAS that set QUEUED; QUEUED keeps it from moving. */
	pw_shard_post(pw_fleet_shard(pw_aio_home(aio)), pw_mail_of(&aio->request_node, PW_KIND_REQUEST));
}

PW_COLD bool
pw_aio_unusable(const nng_aio *aio, const char *function)
{
	pw_misuse(function, aio, 0,
	    aio == NULL ? "the handle is NULL" : "the handle belongs to the parent of this forked process");
	return false;
}

/* ---- timers */

void
pw_aio_link(struct pw_shard *shard, nng_aio *aio, bool again)
{
	if (again) {
		pw_wheel_unlink(&shard->wheel, aio->slot);
	}
	uint64_t deadline_ns = pw_load_relaxed_64(&aio->deadline_ns); /* relaxed: P1 handed it over */
	uint64_t at_tick = pw_shard_tick_of(shard, deadline_ns);
	/* Half the range, and linked again there: a starter that reads the 32-bit tick may be late by its coarse clock,
	 * and at the end of the range would take it for one that has passed (pw_wheel_tick). */
	uint64_t furthest_tick = shard->wheel.now_tick + PW_WHEEL_RANGE / 2;
	pw_wheel_link(&shard->wheel, aio->slot, at_tick < furthest_tick ? at_tick : furthest_tick);
	pw_count_add(&shard->counters.armed, 1);
}

void
pw_aio_release(nng_aio *aio)
{
	uint32_t slot = aio->slot;
	pw_arena_release(pw_arena_of(slot), slot); /* P11 */
}

/* Home, the last one to hold the aio: out of the wheel, and back to its arena. */
static void
release_home(struct pw_shard *shard, nng_aio *aio, uint64_t word)
{
	if ((word & PW_TIMER) != 0) {
		pw_wheel_unlink(&shard->wheel, aio->slot);
	}
	pw_aio_release(aio);
}

/* A linked deadline that is later than this operation's must move. */
static bool
linked_too_late(const struct pw_shard *shard, const nng_aio *aio, uint64_t deadline_ns)
{
	uint64_t now_tick = shard->now_ns >> shard->tick_shift;
	return pw_shard_tick_of(shard, deadline_ns) < pw_wheel_tick(aio->timer.at, now_tick);
}

/* ---- drain */

static void
on_done_mail(struct pw_shard *shard, struct pw_node *node)
{
	pw_count_add(&shard->counters.finished_foreign, 1);
	pw_shard_ready(shard, pw_mail_of(node, PW_KIND_DONE));
}

static void
on_request_mail(struct pw_shard *shard, struct pw_node *node)
{
	nng_aio *aio = PW_CONTAINER_OF(node, nng_aio, request_node);
	uint64_t word = pw_load_acquire_64(&aio->word); /* P1 */

	pw_count_add(&shard->counters.requests, 1);
	for (;;) {
		bool deferred = pw_word_state(word) == PW_DEFERRED;
		if (deferred && (word & PW_ABORT) != 0) {
			bool call = pw_aio_fn(aio) != NULL; /* nothing to call: only the provider's finish ends it */
			uint64_t after = pw_word_with_state(word, PW_CANCELING) & ~(PW_ARM | PW_QUEUED);
			if (pw_aio_cas(aio, &word, after)) { /* P4 */
				if (call) {
					pw_shard_ready(shard, pw_mail_of(node, PW_KIND_REQUEST)); /* I3 */
				}
				return;
			}
			continue;
		}
		uint64_t after = word & ~(PW_QUEUED | PW_ARM);
		bool link = false, linked = (word & PW_TIMER) != 0;
		if (deferred && (word & PW_ARM) != 0) {
			uint64_t deadline_ns = pw_load_relaxed_64(&aio->deadline_ns);
			link = deadline_ns != PW_NEVER_NS && (!linked || linked_too_late(shard, aio, deadline_ns));
			after |= link ? PW_TIMER : 0;
		}
		if (!pw_aio_cas(aio, &word, after)) { /* P4 */
			continue;
		}
		if (link) {
			pw_aio_link(shard, aio, linked);
		} else if (pw_word_releasable(after)) {
			release_home(shard, aio, after);
		} else if (!deferred && (word & PW_ARM) == 0) { /* with ARM it may have been the deadline alone */
			pw_count_add(&shard->counters.cancels_late, 1);
		}
		return;
	}
}

/* ---- expiry */

/* The operation's own: fn and fn_arg are what start wrote (P1), whatever the provider does to the aio meanwhile. */
static int
expiry_reason(const nng_aio *aio)
{
	return pw_aio_is_sleep(aio) && aio->fn_arg == PW_SLEEP_OWN_END ? NNG_OK : NNG_ETIMEDOUT;
}

static void
on_expire(struct pw_shard *shard, uint32_t slot)
{
	nng_aio *aio = pw_aio_of_slot(slot);
	uint64_t word = pw_load_acquire_64(&aio->word); /* P1 */

	for (;;) {
		uint64_t deadline_ns = PW_NEVER_NS;
		if (pw_word_state(word) == PW_DEFERRED) {
			deadline_ns = pw_load_relaxed_64(&aio->deadline_ns);
		}
		if (deadline_ns <= shard->now_ns) {
			int reason = (word & PW_ABORT) != 0 ? pw_word_reason(word) : expiry_reason(aio);
			bool sleep = pw_aio_is_sleep(aio);
			uint64_t after = sleep ? pw_word_ended(word, PW_DONE, reason)
					       : pw_word_with_reason(pw_word_with_state(word, PW_CANCELING), reason);
			if (!pw_aio_cas(aio, &word, after & ~PW_TIMER)) { /* P6 */
				continue;
			}
			pw_count_add(&shard->counters.expired, 1);
			pw_histogram_record(&shard->lateness, shard->now_ns - deadline_ns);
			if (sleep) {
				pw_aio_post_done(aio, shard->settings.id);
			} else {
				pw_shard_ready(shard, pw_mail_of(&aio->timer.ready, PW_KIND_EXPIRED));
			}
			return;
		}
		if (deadline_ns != PW_NEVER_NS && pw_load_relaxed_32(&shard->phase) == PW_PHASE_RUN) {
			pw_aio_link(shard, aio, false); /* I4: TIMER is still set, and true again */
			return;
		}
		assert(!pw_word_releasable(word)); /* I6 */
		if (pw_aio_cas(aio, &word, word & ~PW_TIMER)) { /* P6 */
			pw_count_add(&shard->counters.visits_stale, 1);
			return;
		}
	}
}

/* ---- the ready queue: user code */

/* Calls the cancel function of an operation that home moved to CANCELING, unless it has been finished since. */
static void
call_cancel(struct pw_shard *shard, nng_aio *aio, uint64_t word)
{
	if (pw_word_state(word) != PW_CANCELING) {
		return;
	}
	nng_aio_cancelfn fn = pw_aio_fn(aio);
	void *arg = aio->fn_arg;
	shard->in_user_code = true;
	fn(aio, arg, pw_word_reason(word));
	shard->in_user_code = false;
	pw_shard_call_ended(shard, (void *) (uintptr_t) fn);
}

static void
on_cancel_ready(struct pw_shard *shard, struct pw_node *node)
{
	nng_aio *aio = PW_CONTAINER_OF(node, nng_aio, request_node);
	uint64_t word = pw_load_acquire_64(&aio->word); /* I3 */
	if (pw_word_state(word) == PW_CANCELING) {
		pw_count_add(&shard->counters.cancels, 1);
	}
	call_cancel(shard, aio, word);
}

static void
on_expired_ready(struct pw_shard *shard, struct pw_node *node)
{
	struct pw_timer *timer = PW_CONTAINER_OF(node, struct pw_timer, ready);
	nng_aio *aio = PW_CONTAINER_OF(timer, nng_aio, timer);
	call_cancel(shard, aio, pw_load_acquire_64(&aio->word));
}

static void
call_back(struct pw_shard *shard, nng_aio *aio, uint64_t word)
{
	void (*cb)(void *) = aio->cb;
	pw_store_release_64(&shard->running, pw_aio_lap(aio, word)); /* P16 */
	shard->running_result = pw_word_reason(word);
	shard->in_user_code = true;
	cb(aio->cb_arg);
	shard->in_user_code = false;
	pw_count_add(&shard->counters.callbacks, 1);
	pw_shard_call_ended(shard, (void *) (uintptr_t) cb);
}

/* The delivery of `delivered` is over: what makes the word not busy, unless another operation that home will deliver is
 * under way already. False: it is. *word and *after: the change. */
static bool
end_delivery(nng_aio *aio, uint64_t delivered, uint64_t *word, uint64_t *after)
{
	*word = pw_load_acquire_64(&aio->word);
	do {
		if (!pw_word_was_left(*word, delivered)) {
			*after = pw_word_with_state(*word ^ PW_LAP, PW_IDLE) & ~PW_RUNNING;
		} else if (pw_word_state(*word) <= PW_BUSY) {
			*after = *word & ~PW_RUNNING;
		} else {
			return false; /* I5 */
		}
		*after = pw_word_quiet(*after);
	} while (!pw_aio_cas(aio, word, *after)); /* P5 */
	return true;
}

static void
on_done_ready(struct pw_shard *shard, struct pw_node *node)
{
	nng_aio *aio = PW_CONTAINER_OF(node, nng_aio, done_node);
	uint64_t delivered = pw_load_acquire_64(&aio->word); /* P2 */
	uint64_t word, after;

	pw_count_add(&shard->counters.delivered, 1);
	if (aio->cb != NULL) {
		call_back(shard, aio, delivered);
	}
	bool over = end_delivery(aio, delivered, &word, &after);
	pw_store_release_64(&shard->running, 0); /* P16: after the word */
	if (!over) {
		return;
	}
	if (pw_word_releasable(after)) {
		release_home(shard, aio, after); /* I5 */
	}
	if ((word & ~after & PW_WAITERS) != 0) {
		pw_futex_wake_all(&aio->word); /* the address alone */
	}
}

/* ---- the table */

/* The stream layer's part; a build without it (the explorer's) has no entries of that kind. */
__attribute__((weak)) void pw_stream_on_mail(struct pw_shard *shard, struct pw_node *node);
__attribute__((weak)) void pw_stream_on_stop(struct pw_shard *shard);

static void
on_stream_mail(struct pw_shard *shard, struct pw_node *node)
{
	pw_stream_on_mail(shard, node);
}

static void
on_stop(struct pw_shard *shard)
{
	if (pw_stream_on_stop != NULL) {
		pw_stream_on_stop(shard);
	}
}

const struct pw_shard_ops pw_aio_shard_ops = {
	.on_mail = {
		[PW_KIND_DONE] = on_done_mail,
		[PW_KIND_REQUEST] = on_request_mail,
		[PW_KIND_STREAM] = on_stream_mail,
	},
	.on_ready = {
		[PW_KIND_DONE] = on_done_ready,
		[PW_KIND_REQUEST] = on_cancel_ready,
		[PW_KIND_EXPIRED] = on_expired_ready,
	},
	.on_expire = on_expire,
	.on_stop = on_stop,
};

/* SPDX-License-Identifier: MIT
 *
 * end.c: the record that streams, listeners, dialers and UDP sockets are built on: how operations and wishes of any
 * thread reach the one shard that serves it, and how its life ends.
 *
 * What it is not: I/O (stream.c, listener.c, udp.c), connecting (dialer.c).
 *
 * The shard's thread alone touches a record's fields. Any other thread may change `word` by RMW, push on `submitted`,
 * post `node` when its RMW turned QUEUED 0 -> 1, and read what is constant. The parts:
 *
 *   submit     start (the aio's word), push on `submitted` (P13), QUEUED; posted if QUEUED was 0
 *   cancel     the aio's `mark`, then SCAN and QUEUED; posted if QUEUED was 0
 *   close      CLOSE and QUEUED; posted if QUEUED was 0
 *   the mail   QUEUED and SCAN are cleared by one RMW (P14), then: take what was submitted, end what is marked,
 *              close, settle
 *
 * Nothing is lost: who finds QUEUED set knows that the shard's RMW that clears it is still to come, and so comes
 * after his own in the order of the word; the shard looks after it, and sees his push and his mark.
 *
 * On the record's own shard submit, cancel and close act at once. Submit takes what other threads pushed before,
 * so that operations keep the order in which they were submitted.
 *
 * Who may touch an operation. From start to finish it is the provider's: `provider` is the pusher's until the push,
 * then the shard's. `mark` is written by the cancel function, which runs on the aio's home, and with LINKED by the
 * shard, but only where the two are the same thread. The cancel function may run as soon as start has returned, and
 * then it may be earlier than the push. It only marks, and:
 *
 *   the operation is                   cancel on the record's shard         cancel elsewhere
 *   started, not pushed, or pushed     mark; the shard finds it when it     mark, SCAN: the same, or the scan ends it
 *                                      takes the operation                  if it was taken before the mark was seen
 *   in the record's queue (LINKED)     mark, and ended now                  mark, SCAN: the scan ends it
 *   finished already                   not called (the word is DONE)        mark, SCAN: see below
 *
 * A late cancel is harmless. The operation's aio is not started again before its callback, and that waits for the
 * cancel function (R24), so the mark can hit no later operation; start clears it. The record may have been released
 * meanwhile, even be another object: it is still a record of the same class on the same shard (memory is type-stable,
 * `shard` and `kind` never change), so all that happens is that a shard looks once without need. For the same reason
 * a thread that has pushed may be overtaken: the operation ends, its callback frees the object, and the RMW that sets
 * QUEUED comes after that. No generation is needed, because nothing that arrives late names an operation.
 * Such a look must not read fields that another thread is preparing for the next life: LIVE is set by the last step
 * of that, and a look that does not find it set touches the word and the stack alone.
 *
 * Invariants
 *   I1  The word is changed by RMW only, also between two lives.
 *   I2  A record is released by the RMW that clears LIVE: by the shard when it is QUIET and not QUEUED and its owner
 *       has let go (RELEASE), or by the owner when it is QUIET and ORPHAN.
 *   I3  After QUIET the shard touches no field but by the release. QUIET means: CLOSE is set, every operation that
 *       was taken has been finished, the poller holds nothing, the descriptor is closed, or is held and the thread
 *       that holds it closes it.
 *   I4  A hold (the high half) is taken only without CLOSE and keeps the number of the descriptor from being closed
 *       under a system call of another thread. Nobody waits for a hold: the last one out closes.
 *   I5  ORPHAN is set on the shard's last steps. After them no mail is read, so the owner releases.
 *   I6  A look is not nested in a look of the same record: what abandons a record inside one leaves the rest to it.
 *
 * Limits: records of 1 to 2 KiB, made 16 at a time, never unmapped; at most PW_IDS_MAX shards.
 * The idea: liburcu's wfstack for the push; the type-stable records are Linux' SLAB_TYPESAFE_BY_RCU.
 */
#include "engine/stream/end.h"

#include "engine/base/clock.h"
#include "engine/base/misuse.h"
#include "engine/shard/fleet.h"
#include "engine/shard/lent.h"
#include "engine/shard/park.h"
#include "engine/stream/stream.h"

#define CHUNK_RECORDS 16u
#define RECORD_ALIGN 64u

struct pw_end_chunk {
	struct pw_end_chunk *next;
	_Alignas(RECORD_ALIGN) char record[];
};

static const struct pw_end_kind *const kind_of[PW_CLASS_COUNT] = {
	[PW_CLASS_STREAM] = &pw_stream_kind,
	[PW_CLASS_LISTENER] = &pw_listener_kind,
	[PW_CLASS_DIALER] = &pw_dialer_kind,
	[PW_CLASS_UDP] = &pw_udp_kind,
};

/* ---- records */

static pw_aptr state_of[PW_IDS_MAX];

struct pw_stream_shard *
pw_stream_shard_of(const struct pw_shard *shard)
{
	pw_aptr *place = &state_of[shard->settings.id];
	void *state = pw_load_acquire_ptr(place); /* P12 */

	if (state != NULL) {
		return state;
	}
	struct pw_stream_shard *fresh = pw_memory_alloc(shard->arena.memory_arena, sizeof(*fresh));
	if (fresh == NULL) {
		return NULL;
	}
	fresh->lock = (struct pw_lock) PW_LOCK_INITIALIZER;
	if (pw_cas_acq_rel_ptr(place, &state, fresh)) { /* P12 */
		return fresh;
	}
	pw_memory_free(fresh, sizeof(*fresh));
	return state;
}

static size_t
record_size(const struct pw_end_kind *kind)
{
	return (kind->size + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

static struct pw_end *
record_at(const struct pw_end_chunk *chunk, const struct pw_end_kind *kind, unsigned i)
{
	return (struct pw_end *) (void *) (chunk->record + i * record_size(kind));
}

/* Under the pool's lock. */
static void
grow(struct pw_end_pool *pool, struct pw_shard *shard, const struct pw_end_kind *kind)
{
	size_t size = sizeof(struct pw_end_chunk) + CHUNK_RECORDS * record_size(kind);
	struct pw_end_chunk *chunk = pw_memory_alloc(shard->arena.memory_arena, size);

	if (chunk == NULL) {
		return;
	}
	for (unsigned i = 0; i < CHUNK_RECORDS; i++) {
		struct pw_end *end = record_at(chunk, kind, i);
		end->shard = shard;
		end->kind = kind;
		kind->on_birth(end);
		end->next_free = pool->free;
		pool->free = end;
	}
	chunk->next = pool->chunks;
	pool->chunks = chunk;
}

struct pw_end *
pw_end_alloc(struct pw_shard *shard, enum pw_end_class number)
{
	struct pw_stream_shard *state = pw_stream_shard_of(shard);

	if (state == NULL) {
		return NULL;
	}
	struct pw_end_pool *pool = &state->pool[number];
	pw_lock_acquire(&state->lock);
	if (pool->free == NULL) {
		grow(pool, shard, kind_of[number]);
	}
	struct pw_end *end = pool->free;
	if (end != NULL) {
		pool->free = end->next_free;
	}
	pw_lock_release(&state->lock);
	return end;
}

void
pw_end_discard(struct pw_end *end)
{
	struct pw_stream_shard *state = pw_stream_shard_of(end->shard);
	struct pw_end_pool *pool = &state->pool[end->kind->number];

	pw_lock_acquire(&state->lock);
	end->next_free = pool->free;
	pool->free = end;
	pw_lock_release(&state->lock);
}

void
pw_end_publish(struct pw_end *end)
{
	(void) pw_fetch_or_acq_rel_64(&end->word, PW_END_LIVE); /* P14: a look that sees it sees the fields */
}

bool
pw_end_usable(const struct pw_end *end, const char *function)
{
	if (end == NULL) {
		pw_misuse(function, NULL, 0, "the object is NULL");
		return false;
	}
	if (pw_fleet_is_foreign(end->shard->settings.id)) {
		pw_misuse(function, NULL, 0, "the object belongs to the parent of this forked process");
		return false;
	}
	if ((pw_load_acquire_64(&end->word) & (PW_END_LIVE | PW_END_RELEASE)) != PW_END_LIVE) {
		pw_misuse(function, NULL, 0, "the object has been freed");
		return false;
	}
	return true;
}

bool
pw_end_operable(const struct pw_end *end, const nng_aio *aio, const char *function)
{
	if (aio == NULL) {
		pw_misuse(function, NULL, 0, "the handle is NULL");
		return false;
	}
	return pw_end_usable(end, function);
}

bool
pw_end_closed(const struct pw_end *end)
{
	return (pw_load_acquire_64(&end->word) & PW_END_CLOSE) != 0;
}

/* ---- shards in turn */

struct pw_shard *
pw_end_next_shard(pw_a32 *turn)
{
	unsigned count = pw_fleet_spread();

	if (!pw_fleet_running() || count == 0) {
		return NULL;
	}
	return pw_fleet_nth(pw_fetch_add_relaxed_32(turn, 1) % count); /* relaxed: any order spreads them */
}

struct pw_shard *
pw_end_near_shard(pw_a32 *turn)
{
	const struct pw_thread *thread = pw_thread_self();

	return thread->shard != NULL ? thread->shard : thread->lent != NULL ? thread->lent : pw_end_next_shard(turn);
}

/* ---- what the shard does */

void
pw_end_finish_canceled(nng_aio *aio)
{
	(void) pw_aio_finish(aio, pw_word_reason(pw_load_acquire_64(&aio->word)), 0);
}

bool
pw_end_refused(struct pw_end *end, nng_aio *aio)
{
	if (pw_end_marked(aio)) {
		pw_end_finish_canceled(aio);
		return true;
	}
	if (pw_end_closed(end)) {
		(void) pw_aio_finish(aio, NNG_ECLOSED, 0);
		return true;
	}
	if ((pw_load_relaxed_16(&aio->home) & PW_HOME_MASK) == end->shard->settings.id) {
		pw_store_relaxed_8(&aio->mark, PW_MARK_LINKED); /* relaxed: this thread's own */
	}
	return false;
}

/* Everything that was pushed, oldest first. */
static void
take_submitted(struct pw_end *end)
{
	if (pw_load_relaxed_64(&end->submitted) == 0) { /* relaxed: what QUEUED handed over is seen */
		return;
	}
	pw_mail newest = (pw_mail) pw_exchange_acquire_64(&end->submitted, 0); /* P13 */
	pw_mail oldest = 0;
	while (newest != 0) {
		pw_mail next = pw_mail_node(newest)->next;
		pw_mail_node(newest)->next = oldest;
		oldest = newest;
		newest = next;
	}
	bool live = (pw_load_acquire_64(&end->word) & PW_END_LIVE) != 0; /* P14 */
	while (oldest != 0) {
		struct pw_node *node = pw_mail_node(oldest);
		nng_aio *aio = PW_CONTAINER_OF(node, nng_aio, provider.node);
		unsigned tag = (unsigned) pw_mail_kind(oldest);
		oldest = node->next;
		if (live) {
			end->kind->on_take(end, aio, tag);
		} else {
			(void) pw_aio_finish(aio, NNG_ECLOSED, 0); /* submitted to an object that was being freed */
		}
	}
}

/* `word`: as it was when QUEUED was cleared. The record may be gone afterwards. What is called here may abandon the
 * record, which then waits for the end of this look: it must not be released under it (I6). */
static void
look(struct pw_end *end, uint64_t word)
{
	if ((word & PW_END_LIVE) == 0) {
		take_submitted(end);
		return;
	}
	if (end->looking) {
		return;
	}
	end->looking = true;
	take_submitted(end);
	if ((word & PW_END_SCAN) != 0) {
		end->kind->on_scan(end);
	}
	word = pw_load_acquire_64(&end->word);
	if ((word & (PW_END_CLOSE | PW_END_QUIET)) == PW_END_CLOSE) {
		end->kind->on_close(end);
	}
	end->looking = false;
	pw_end_settle(end);
}

void
pw_stream_on_mail(struct pw_shard *shard, struct pw_node *node)
{
	struct pw_end *end = PW_CONTAINER_OF(node, struct pw_end, node);

	(void) shard;
	look(end, pw_fetch_and_acq_rel_64(&end->word, ~(PW_END_QUEUED | PW_END_SCAN))); /* P14 */
}

void
pw_end_settle(struct pw_end *end)
{
	uint64_t word = pw_load_acquire_64(&end->word);
	bool was_quiet = (word & PW_END_QUIET) != 0, closed = was_quiet;

	if ((word & PW_END_CLOSE) == 0 || (!closed && !end->kind->on_settle(end))) {
		return;
	}
	uint64_t after;
	bool release;
	do {
		if (was_quiet && (word & PW_END_QUIET) == 0) {
			return; /* an orphan, and meanwhile its owner has released it */
		}
		if (!closed && word < PW_END_HOLD_ONE) { /* I4 */
			end->kind->on_unhold(end);
			closed = true;
		}
		release = (word & PW_END_RELEASE) != 0 && (word & PW_END_QUEUED) == 0; /* I2 */
		after = release ? 0 : (word | PW_END_QUIET) & ~PW_END_WAITERS;
	} while (!pw_cas_acq_rel_64(&end->word, &word, after)); /* P14 */
	if ((word & PW_END_WAITERS) != 0) {
		pw_futex_wake_all(&end->word); /* the address alone */
	}
	if (release) {
		pw_end_discard(end);
	}
}

void
pw_end_abandon(struct pw_end *end)
{
	uint64_t word = pw_fetch_or_acq_rel_64(&end->word, PW_END_CLOSE | PW_END_RELEASE);

	look(end, word | PW_END_CLOSE);
}

/* A record that is quiet, from an earlier engine perhaps, has nothing to be closed; as an orphan it is its owner's alone,
 * who may release it at any moment, so it is not looked at. */
static void
stop_record(struct pw_end *end)
{
	uint64_t word = pw_fetch_or_acq_rel_64(&end->word, 0); /* P14, with publish: what is LIVE has its fields */

	do {
		if ((word & PW_END_LIVE) == 0) {
			return;
		}
	} while (!pw_cas_acq_rel_64(&end->word, &word, word | PW_END_CLOSE | PW_END_ORPHAN)); /* I5 */
	if ((word & PW_END_QUIET) == 0) {
		look(end, word | PW_END_CLOSE);
	}
}

void
pw_stream_on_stop(struct pw_shard *shard)
{
	struct pw_stream_shard *state = pw_load_acquire_ptr(&state_of[shard->settings.id]); /* P12 */

	for (unsigned number = 0; state != NULL && number < PW_CLASS_COUNT; number++) {
		pw_lock_acquire(&state->lock);
		struct pw_end_chunk *chunk = state->pool[number].chunks;
		pw_lock_release(&state->lock);
		for (; chunk != NULL; chunk = chunk->next) {
			for (unsigned i = 0; i < CHUNK_RECORDS; i++) {
				stop_record(record_at(chunk, kind_of[number], i));
			}
		}
	}
	if (state != NULL) {
		pw_resolver_close(state);
	}
}

/* ---- from any thread */

void
pw_end_wish(struct pw_end *end, uint64_t bits)
{
	uint64_t word = pw_load_acquire_64(&end->word);
	uint64_t after;
	bool release;

	do {
		bool orphan = (word & PW_END_ORPHAN) != 0;
		after = word | bits | (orphan ? 0 : PW_END_QUEUED);
		release = orphan && (word & PW_END_QUIET) != 0 && (bits & PW_END_RELEASE) != 0;
		if (release) {
			after = word & PW_END_QUEUED; /* I2 */
		}
	} while (!pw_cas_acq_rel_64(&end->word, &word, after)); /* P14 */
	if (release) {
		pw_end_discard(end);
	} else if ((after & ~word & PW_END_QUEUED) != 0) {
		pw_shard_post(end->shard, pw_mail_of(&end->node, PW_KIND_STREAM));
	}
}

bool
pw_end_start(struct pw_end *end, nng_aio *aio, nng_aio_cancelfn fn)
{
	/* Cleared before the start: after it the cancel function may run. Not while an operation is under way: then
	 * the start is misuse and must change nothing. */
	if (pw_aio_startable(aio)) {
		pw_store_relaxed_8(&aio->mark, PW_MARK_NEW);
	}
	return pw_aio_start(aio, end->shard, fn, end);
}

void
pw_end_submit(struct pw_end *end, nng_aio *aio, unsigned tag)
{
	if (pw_shard_self() == end->shard) {
		take_submitted(end); /* what other threads submitted before comes before it */
		end->kind->on_take(end, aio, tag);
		return;
	}
	pw_mail mail = pw_mail_of(&aio->provider.node, (enum pw_kind) tag);
	uint64_t newest = pw_load_relaxed_64(&end->submitted); /* relaxed: the CAS confirms it */
	do {
		aio->provider.node.next = (pw_mail) newest;
	} while (!pw_cas_release_64(&end->submitted, &newest, mail)); /* P13 */
	pw_end_wish(end, 0);
}

void
pw_end_cancel(struct pw_end *end, nng_aio *aio)
{
	bool here = pw_shard_self() == end->shard;
	bool linked = here && pw_load_relaxed_8(&aio->mark) == PW_MARK_LINKED; /* relaxed: this thread's own */

	pw_store_release_8(&aio->mark, PW_MARK_CANCELED); /* P14 hands it over to a scan */
	if (linked) {
		end->kind->on_cancel(end, aio);
	} else if (!here) {
		pw_end_wish(end, PW_END_SCAN);
	}
}

void
pw_end_close(struct pw_end *end)
{
	if (pw_shard_self() != end->shard) {
		if (!pw_end_closed(end)) {
			pw_end_wish(end, PW_END_CLOSE);
		}
		return;
	}
	uint64_t word = pw_fetch_or_acq_rel_64(&end->word, PW_END_CLOSE);
	if ((word & PW_END_CLOSE) == 0) {
		look(end, word | PW_END_CLOSE);
	}
}

/* ---- stop and free */

#define REPORT_NS PW_NS_PER_S    /* a callback that waits this long for another shard is named */
#define LENT_NAP_NS PW_NS_PER_MS /* a lending thread sleeps at most this long between polls of its shard */

static bool
is_quiet(const struct pw_end *end)
{
	return (pw_load_acquire_64(&end->word) & PW_END_QUIET) != 0; /* P14 */
}

/* Sleeps on the word once, as the calling thread may: an outside thread in the kernel; a thread that lends itself
 * polls its shard meanwhile; inside user code the wait is named, once, at *report_ns. */
static void
block(struct pw_end *end, const char *function, uint64_t word, uint64_t *report_ns)
{
	struct pw_shard *self = pw_shard_self(), *lent = pw_thread_self()->lent;

	if (self == NULL && lent == NULL) {
		(void) pw_futex_wait(&end->word, pw_word_low(word), PW_NEVER_NS);
	} else if (self == NULL) {
		if (pw_lent_poll(lent, 0) == 0) {
			(void) pw_futex_wait(&end->word, pw_word_low(word), pw_clock_now_ns() + LENT_NAP_NS);
		}
	} else if (!pw_futex_wait(&end->word, pw_word_low(word), *report_ns)) {
		*report_ns = PW_NEVER_NS;
		pw_log("pinwheel: %s: shard %u has waited 1 s in a callback of %p for a %s of shard %u", function,
		    pw_fleet_index(self->settings.id), (void *) pw_aio_running(self), end->kind->name,
		    pw_fleet_index(end->shard->settings.id));
	}
}

static void
await_quiet(struct pw_end *end, const char *function)
{
	uint64_t report_ns = pw_clock_now_ns() + REPORT_NS;
	uint64_t word = pw_load_acquire_64(&end->word); /* P14 */

	while ((word & PW_END_QUIET) == 0) {
		if ((word & PW_END_WAITERS) == 0) {
			if (!pw_cas_acq_rel_64(&end->word, &word, word | PW_END_WAITERS)) {
				continue;
			}
			word |= PW_END_WAITERS;
		}
		block(end, function, word, &report_ns);
		word = pw_load_acquire_64(&end->word); /* P14 */
	}
}

/* False: the wait would never end (reported), nothing has changed. */
static bool
stop(struct pw_end *end, const char *function)
{
	struct pw_shard *self = pw_shard_self();

	if (is_quiet(end)) {
		return true;
	}
	if (self != NULL && self->in_user_code && end->kind->would_wait(end, self)) {
		return pw_may_wait_for(function, self); /* says no, and why */
	}
	pw_end_close(end);
	if (!is_quiet(end)) {
		(void) pw_may_wait_for(function, end->shard); /* counted */
		await_quiet(end, function);
	}
	return true;
}

void
pw_end_stop(struct pw_end *end, const char *function)
{
	(void) stop(end, function);
}

void
pw_end_free(struct pw_end *end, const char *function)
{
	struct pw_shard *self = pw_shard_self();

	if (self == NULL || !self->in_user_code) {
		if (stop(end, function)) {
			pw_end_wish(end, PW_END_RELEASE);
		}
	} else if (self == end->shard && (pw_load_acquire_64(&end->word) & PW_END_ORPHAN) == 0) {
		pw_end_abandon(end);
	} else {
		pw_end_wish(end, PW_END_CLOSE | PW_END_RELEASE);
	}
}

/* ---- the descriptor */

bool
pw_end_hold(struct pw_end *end)
{
	uint64_t word = pw_load_acquire_64(&end->word);

	do {
		if ((word & PW_END_CLOSE) != 0) {
			return false;
		}
	} while (!pw_cas_acq_rel_64(&end->word, &word, word + PW_END_HOLD_ONE)); /* P14 */
	return true;
}

void
pw_end_unhold(struct pw_end *end, uint64_t set, uint64_t clear)
{
	uint64_t word = pw_load_acquire_64(&end->word);
	uint64_t after;

	do {
		after = ((word - PW_END_HOLD_ONE) | set) & ~clear;
	} while (!pw_cas_acq_rel_64(&end->word, &word, after)); /* P14 */
	if (after < PW_END_HOLD_ONE && (after & PW_END_QUIET) != 0) {
		end->kind->on_unhold(end); /* I4 */
	}
}

/* ---- queues */

void
pw_op_queue_init(struct pw_op_queue *queue)
{
	queue->first = PW_SLOT_NONE;
	queue->last = PW_SLOT_NONE;
}

void
pw_op_push(struct pw_op_queue *queue, nng_aio *aio)
{
	aio->provider.link.next = PW_SLOT_NONE;
	aio->provider.link.prev = queue->last;
	if (queue->last == PW_SLOT_NONE) {
		queue->first = aio->slot;
	} else {
		pw_aio_of_slot(queue->last)->provider.link.next = aio->slot;
	}
	queue->last = aio->slot;
}

void
pw_op_remove(struct pw_op_queue *queue, nng_aio *aio)
{
	uint32_t next = aio->provider.link.next, prev = aio->provider.link.prev;

	if (prev == PW_SLOT_NONE) {
		queue->first = next;
	} else {
		pw_aio_of_slot(prev)->provider.link.next = next;
	}
	if (next == PW_SLOT_NONE) {
		queue->last = prev;
	} else {
		pw_aio_of_slot(next)->provider.link.prev = prev;
	}
}

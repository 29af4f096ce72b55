/* SPDX-License-Identifier: MIT
 *
 * storm_race.c: what the threads of a storm do to the aios, and what the callbacks do back.
 *
 * Every seat is kept outstanding: a callback starts the next operation itself, or gives up the right to start and
 * puts the seat on the idle pile, from which any thread starts it, often before that callback has returned. Each
 * thread first serves the idle pile and the provider's pile, then picks seats and does something to them. Some
 * picks are blind; a third of them, two thirds of those for the calls that are seldom made, go to a seat where another
 * worker is at this moment, for with a million seats two blind picks hardly ever meet.
 *
 * The storm is a closed loop: while more than BACKLOG completions a shard wait for their callback, threads do not
 * pick, they only serve, and nap. Else the threads, who outnumber the shards, would measure the length of their own
 * queue; and with no more processors than shards, threads that only yield take most of the time for changing places
 * (seen with a million aios on two processors: 0.22 million operations a second, 0.74 with the nap).
 *
 * The threads that may block (stop, free, wait) are every second one; the others never wait for anything, so
 * whatever a blocked one waits for is finished by them (the provider's head comment has the argument).
 *
 * No other sleep stands here, and nothing is retried until it succeeds: what cannot be had at once is left to whoever
 * has it.
 */
#include "bench/storm/storm.h"
#include "bench/storm/storm_foreign.h"

#include <stdio.h>
#include <stdlib.h>

#define BACKLOG 256u
#define NAP_NS 50000
#define IDLE_AT_ONCE 256u /* seats that a thread starts before it looks at who waits for it */

static _Thread_local struct pw_storm_worker *the_worker;

void
pw_storm_be(struct pw_storm_worker *worker)
{
	the_worker = worker;
}

static struct pw_storm_worker *
self(void)
{
	if (the_worker == NULL) {
		the_worker = &pw_storm.workers[pw_storm.options.threads + (unsigned) pinwheel_shard_self()];
	}
	return the_worker;
}

struct pw_provider_actor *
pw_storm_actor(void)
{
	return &self()->actor;
}

static uint32_t
roll(struct pw_storm_worker *worker, uint32_t sides)
{
	return pw_provider_roll(&worker->actor, sides);
}

static bool
percent(struct pw_storm_worker *worker, enum pw_storm_share share)
{
	return roll(worker, 100) < pw_storm.options.share[share];
}

/* One of [first, end), by weight; `end` when all weigh nothing. */
static unsigned
choose(struct pw_storm_worker *worker, unsigned first, unsigned end)
{
	const uint32_t *share = pw_storm.options.share;
	uint32_t sum = 0;

	for (unsigned i = first; i < end; i++) {
		sum += share[i];
	}
	if (sum == 0) {
		return end;
	}
	uint32_t point = roll(worker, sum);
	unsigned chosen = first;
	while (point >= share[chosen]) {
		point -= share[chosen++];
	}
	return chosen;
}

/* ---- holds ---- */

static bool
hold(uint32_t index, uint32_t one)
{
	_Atomic uint32_t *word = &pw_storm.seats[index].hold;
	uint32_t old = atomic_load(word);

	while ((old & PW_STORM_EXCLUSIVE) == 0) {
		if (atomic_compare_exchange_weak(word, &old, old + one)) {
			return true;
		}
	}
	return false;
}

static void
unhold(uint32_t index, uint32_t one)
{
	atomic_fetch_sub(&pw_storm.seats[index].hold, one);
}

static bool
hold_alone(uint32_t index, uint32_t others_allowed)
{
	_Atomic uint32_t *word = &pw_storm.seats[index].hold;
	uint32_t old = atomic_load(word);

	while ((old & ~others_allowed) == 0) {
		if (atomic_compare_exchange_weak(word, &old, old | PW_STORM_EXCLUSIVE)) {
			return true;
		}
	}
	return false;
}

/* ---- handles ---- */

static void on_complete(void *arg);

/* Index and generation of the handle: nothing to keep alive for a callback that should not come. */
static void *
callback_argument(uint32_t index, uint64_t handle)
{
	return (void *) (uintptr_t) (handle << PW_LEDGER_INDEX_BITS | index);
}

static void *
input_of(uint32_t index)
{
	return (void *) (uintptr_t) (UINT64_C(0xa10) << 32 | index);
}

bool
pw_storm_seat_handle(uint32_t index)
{
	struct pw_storm_seat *seat = &pw_storm.seats[index];
	uint64_t handle = pw_ledger_handle(&pw_storm.ledger, index);
	void *arg = callback_argument(index, handle);
	nng_aio *aio = NULL;

	/* Every eighth handle stays on one shard. */
	nng_err err;
	do {
		err = (index + handle) % 8 == 0
		    ? pinwheel_aio_alloc_on(&aio, (int) ((index / 8) % (unsigned) pw_storm.shards), on_complete, arg)
		    : nng_aio_alloc(&aio, on_complete, arg);
	} while (pw_storm_starved(err));
	if (err != NNG_OK) {
		return false;
	}
	nng_aio_set_input(aio, 0, input_of(index));
	seat->sticky_ns = -1;
	atomic_store(&seat->aio, aio);
	return true;
}

static void
leave_idle(uint32_t index)
{
	if (!atomic_load(&pw_storm.over)) {
		pw_pile_put(&pw_storm.idle, index);
	}
}

/* The caller holds the seat alone, its old handle is gone. `operation`: whose callback still has the right to start,
 * 0: nobody has it. */
static void
reseat(uint32_t index, uint64_t operation)
{
	if (!pw_storm_seat_handle(index)) {
		fprintf(stderr, "pinwheel storm: out of memory for a new aio\n");
		_Exit(PW_EXIT_ENVIRONMENT);
	}
	if (operation != 0) {
		pw_ledger_release(&pw_storm.ledger, index, operation);
	}
	atomic_fetch_and(&pw_storm.seats[index].hold, ~PW_STORM_EXCLUSIVE);
	leave_idle(index);
}

/* If this handle was reaped and its seat is idle, and nobody else does it, the next one sits down. While it is owed
 * the seat is held alone, so once idle it stays idle: who reaped and who released both look, so one of them pays. */
static void
pay_owed(uint32_t index, uint64_t handle)
{
	struct pw_storm_seat *seat = &pw_storm.seats[index];

	if (atomic_load(&seat->owed) != handle ||
	    pw_ledger_phase_of(atomic_load(&pw_storm.ledger.entries[index].op)) != PW_LEDGER_IDLE) {
		return;
	}
	if (atomic_compare_exchange_strong(&seat->owed, &handle, 0)) {
		pw_provider_unpress(&pw_storm.provider, index);
		reseat(index, 0);
	}
}

/* ---- starting ---- */

/* A span: near 50 us .. 5 ms, far 2 s .. 120 s. */
static uint64_t
near_ns(struct pw_storm_worker *worker)
{
	return 50000 + roll(worker, 5000000);
}

static uint64_t
far_ns(struct pw_storm_worker *worker)
{
	return 1000000 * (uint64_t) (2000 + roll(worker, 118000));
}

struct span {
	bool relative; /* ns from the start, negative: none */
	int64_t ns;
};

static struct span
set_timeout(nng_aio *aio, struct pw_storm_seat *seat, uint64_t ns, bool in_ms)
{
	if (in_ms) {
		nng_duration ms = (nng_duration) (ns / 1000000 + 1);
		nng_aio_set_timeout(aio, ms);
		seat->sticky_ns = (int64_t) ms * 1000000;
	} else {
		pinwheel_aio_set_timeout_ns(aio, (int64_t) ns);
		seat->sticky_ns = (int64_t) ns;
	}
	return (struct span){ true, seat->sticky_ns };
}

static struct span
set_none(nng_aio *aio, struct pw_storm_seat *seat, struct pw_storm_worker *worker)
{
	nng_aio_set_timeout(aio, roll(worker, 2) == 0 ? NNG_DURATION_INFINITE : NNG_DURATION_DEFAULT);
	seat->sticky_ns = -1;
	return (struct span){ true, -1 };
}

static struct span
set_expiration(nng_aio *aio, uint64_t at_ns, bool in_ms)
{
	if (in_ms) {
		nng_time at_ms = at_ns / 1000000 + 1;
		nng_aio_set_expire(aio, at_ms);
		at_ns = at_ms * 1000000;
	} else {
		pinwheel_aio_set_deadline_ns(aio, at_ns);
	}
	return (struct span){ false, (int64_t) at_ns };
}

/* Gives the handle a deadline, or leaves the timeout it has. */
static struct span
set_deadline(struct pw_storm_worker *worker, nng_aio *aio, struct pw_storm_seat *seat, uint64_t now_ns,
    bool cancelable)
{
	bool in_ms = roll(worker, 4) == 0;

	if (!cancelable) {
		return set_none(aio, seat, worker);
	}
	if (percent(worker, PW_STORM_NEAR)) {
		uint64_t ns = near_ns(worker);
		return roll(worker, 2) == 0 ? set_timeout(aio, seat, ns, in_ms)
					    : set_expiration(aio, now_ns + ns, in_ms);
	}
	switch (roll(worker, 32)) {
	case 0:
		nng_aio_set_timeout(aio, NNG_DURATION_ZERO);
		seat->sticky_ns = 0;
		return (struct span){ true, 0 };
	case 1:
		pinwheel_aio_set_deadline_ns(aio, now_ns - roll(worker, 1000000));
		return (struct span){ false, (int64_t) now_ns };
	case 2:
	case 3:
	case 4:
	case 5:
		return set_none(aio, seat, worker);
	case 6:
	case 7:
	case 8:
	case 9:
		return set_expiration(aio, now_ns + far_ns(worker), in_ms);
	case 10:
	case 11:
	case 12:
		if (seat->sticky_ns != 0) {
			return (struct span){ true, seat->sticky_ns };
		}
		/* fall through */
	default:
		return set_timeout(aio, seat, far_ns(worker), in_ms);
	}
}

static void
describe_deadline(struct pw_ledger_spec *spec, struct span span, uint64_t now_ns)
{
	spec->deadline_ns = PINWHEEL_NEVER_NS;
	if (!span.relative) {
		spec->deadline_ns = (uint64_t) span.ns;
		spec->exact = true;
	} else if (span.ns >= 0) {
		spec->deadline_ns = now_ns + (uint64_t) span.ns;
	}
	spec->overdue = spec->deadline_ns <= now_ns;
}

/* What the handle shows of an operation that has ended; what is left in the message slot is taken out of it. */
static struct pw_ledger_seen
look_at(uint32_t index, nng_aio *aio)
{
	bool foreign = pw_ledger_is_foreign(&pw_storm.ledger.entries[index]);
	const char *wrong = foreign ? pw_foreign_check(aio) : NULL;
	struct pw_ledger_seen seen = {
		.result = nng_aio_result(aio),
		.count = nng_aio_count(aio),
		.message = (uint64_t) (uintptr_t) nng_aio_get_msg(aio),
		.output = (uint64_t) (uintptr_t) nng_aio_get_output(aio, 0),
		.now_ns = pinwheel_clock_ns(),
	};

	if (wrong != NULL) {
		pw_ledger_report(&pw_storm.ledger, index, "the provider's own check", wrong);
	}
	nng_aio_set_msg(aio, NULL);
	return seen;
}

/* Ended without a callback: what it shows, and the message is taken out of the slot. */
static void
ended_here(struct pw_storm_worker *worker, uint32_t index, uint64_t operation, nng_aio *aio,
    const struct pw_ledger_spec *spec)
{
	struct pw_ledger_seen seen = look_at(index, aio);

	pw_ledger_ended(&pw_storm.ledger, worker->actor.tally, index, operation, spec, &seen);
}

/* A sleep. True: it was refused silently, the right to start is still here. */
static bool
start_sleep(struct pw_storm_worker *worker, uint32_t index, uint64_t operation, nng_aio *aio,
    struct pw_ledger_spec *spec, struct span timeout, uint64_t now_ns)
{
	uint64_t ns = percent(worker, PW_STORM_NEAR) ? near_ns(worker) : far_ns(worker);
	bool in_ms = roll(worker, 4) == 0;
	nng_duration ms = (nng_duration) (ns / 1000000 + 1);

	if (roll(worker, 64) == 0) {
		ns = 0;
		ms = 0;
	}
	uint64_t span_ns = in_ms ? (uint64_t) ms * 1000000 : ns;
	spec->wake_ns = now_ns + span_ns;
	spec->may_wake = true;
	spec->may_expire = spec->deadline_ns != PINWHEEL_NEVER_NS;
	if (timeout.relative && timeout.ns >= 0) {
		/* Both run from one moment inside the call. */
		spec->may_expire = (uint64_t) timeout.ns < span_ns;
		spec->may_wake = !spec->may_expire;
	}
	pw_ledger_start(&pw_storm.ledger, worker->actor.tally, index, operation, spec);
	if (in_ms) {
		nng_sleep_aio(ms, aio);
	} else {
		pinwheel_sleep_ns((int64_t) ns, aio);
	}
	if (spec->silent) {
		ended_here(worker, index, operation, aio, spec);
		return true;
	}
	pw_ledger_accepted(&pw_storm.ledger, index, operation, spec);
	if (pw_provider_pressed(&pw_storm.provider, index)) {
		pw_pile_put(&pw_storm.provider.pile, index);
	}
	return false;
}

/* An operation of --provider's. True: it has ended without a callback, the right to start is still here. */
static bool
start_foreign(struct pw_storm_worker *worker, struct pw_provider_request *request)
{
	struct pw_ledger_spec *spec = &request->spec;
	bool skipped = false;

	pw_provider_adopt(&pw_storm.provider, request->index, request->manner);
	if (spec->skip) {
		nng_aio_skip_callback(request->aio, &skipped);
	}
	pw_ledger_start(&pw_storm.ledger, worker->actor.tally, request->index, request->operation, spec);
	pw_foreign_start(request->aio);
	if (spec->silent || skipped) {
		spec->skip = skipped;
		ended_here(worker, request->index, request->operation, request->aio, spec);
		return true;
	}
	pw_ledger_accepted(&pw_storm.ledger, request->index, request->operation, spec);
	if (pw_provider_pressed(&pw_storm.provider, request->index)) {
		pw_pile_put(&pw_storm.provider.pile, request->index);
	}
	return false;
}

static bool
ends_by_cancel(const struct pw_provider_request *request)
{
	return request->manner == PW_PROVIDER_AT_ONCE || request->manner == PW_PROVIDER_HAND_OVER;
}

static void
choose_spec(struct pw_storm_worker *worker, struct pw_provider_request *request, uint64_t inside,
    nng_err inside_result)
{
	static const enum pw_provider_manner manners[8] = { PW_PROVIDER_AT_ONCE, PW_PROVIDER_AT_ONCE,
		PW_PROVIDER_AT_ONCE, PW_PROVIDER_AT_ONCE, PW_PROVIDER_HAND_OVER, PW_PROVIDER_HAND_OVER,
		PW_PROVIDER_IGNORE, PW_PROVIDER_NONE };
	static const enum pw_ledger_message messages[4] = { PW_LEDGER_NO_MESSAGE, PW_LEDGER_NO_MESSAGE,
		PW_LEDGER_SEND, PW_LEDGER_RECEIVE };
	struct pw_ledger_spec *spec = &request->spec;
	unsigned form = choose(worker, PW_STORM_START, PW_STORM_FORMS_END);

	spec->form = (enum pw_ledger_form)(form == PW_STORM_FORMS_END ? PW_STORM_START : form);
	spec->inside = inside != 0;
	spec->wake_ns = PINWHEEL_NEVER_NS;
	request->manner = manners[roll(worker, 8)];
	request->linger = roll(worker, 16) == 0 ? roll(worker, 30000) : roll(worker, 50);
	if (spec->form != PW_LEDGER_SLEEP && pw_foreign_name() != NULL) {
		spec->form = PW_LEDGER_FOREIGN;
		spec->skip = percent(worker, PW_STORM_SKIP);
		request->manner = pw_foreign_cancels() ? PW_PROVIDER_AT_ONCE : PW_PROVIDER_NONE;
	} else if (spec->form != PW_LEDGER_SLEEP) {
		spec->message = messages[roll(worker, 4)];
		spec->skip = percent(worker, PW_STORM_SKIP);
		request->finish_begun = roll(worker, 4) == 0;
		request->abort_begun = spec->form == PW_LEDGER_BEGIN && !request->finish_begun &&
		    ends_by_cancel(request) && pw_storm.options.share[PW_STORM_ABORT] != 0 && roll(worker, 16) == 0;
	}
	spec->cancelable = spec->form == PW_LEDGER_SLEEP || request->manner != PW_PROVIDER_NONE;
	spec->silent = inside != 0 && inside_result == NNG_ESTOPPED && spec->form != PW_LEDGER_DEFER &&
	    spec->form != PW_LEDGER_SYNC;
}

_Static_assert((int) PW_STORM_START == (int) PW_LEDGER_START && (int) PW_STORM_BEGIN == (int) PW_LEDGER_BEGIN &&
	(int) PW_STORM_DEFER == (int) PW_LEDGER_DEFER && (int) PW_STORM_SYNC == (int) PW_LEDGER_SYNC &&
	(int) PW_STORM_SLEEP == (int) PW_LEDGER_SLEEP,
    "a form's share is its number");

/* The start has ended the operation, or may have. True: it did, without a callback, and the right is still here. */
static bool
after_submit(struct pw_storm_worker *worker, struct pw_provider_request *request, enum pw_provider_outcome outcome,
    bool skipped)
{
	struct pw_ledger_spec *spec = &request->spec;

	if (outcome == PW_PROVIDER_ACCEPTED) {
		return false;
	}
	bool silent = outcome == PW_PROVIDER_REFUSED && spec->silent;
	if (spec->skip && !skipped) {
		pw_ledger_not_skipped(&pw_storm.ledger, request->index, request->operation);
		spec->skip = false;
	}
	if (spec->skip || silent) {
		ended_here(worker, request->index, request->operation, request->aio, spec);
		return true;
	}
	if (outcome == PW_PROVIDER_REFUSED) {
		pw_ledger_refused(&pw_storm.ledger, request->index, request->operation, spec);
	}
	return false;
}

/* Starts an operation, if the right to start can be had: from idle by a holder of the seat or, in the own callback
 * of operation `inside`, from there. Returns the operation if it has ended at once, without a callback, and the
 * right is the caller's again; else 0, and the seat is somebody else's. */
static uint64_t
start(struct pw_storm_worker *worker, uint32_t index, uint64_t inside, nng_err inside_result)
{
	struct pw_storm_seat *seat = &pw_storm.seats[index];
	struct pw_provider_request request = { .index = index };
	uint64_t operation = pw_ledger_take(&pw_storm.ledger, index, inside);
	bool skipped = false;

	if (operation == 0) {
		return 0;
	}
	/* Not before: a callback that has the right may reap its handle and set another one on the seat, beside starters. */
	nng_aio *aio = atomic_load(&seat->aio);
	request.aio = aio;
	atomic_store_explicit(&worker->actor.hot, index + 1, memory_order_relaxed);
	pw_ledger_kept(&pw_storm.ledger, index, nng_aio_result(aio));
	request.operation = operation;
	choose_spec(worker, &request, inside, inside_result);

	struct pw_ledger_spec *spec = &request.spec;
	uint64_t now_ns = pinwheel_clock_ns();
	struct span timeout = { true, -1 };
	if (spec->form != PW_LEDGER_SYNC) {
		timeout = set_deadline(worker, aio, seat, now_ns, request.manner != PW_PROVIDER_NONE);
	}
	describe_deadline(spec, timeout, now_ns);
	bool soon = spec->deadline_ns != PINWHEEL_NEVER_NS && spec->deadline_ns < now_ns + 20000000;
	request.unopened = request.abort_begun || (soon && ends_by_cancel(&request) && roll(worker, 4) == 0);
	if (spec->form == PW_LEDGER_SLEEP) {
		return start_sleep(worker, index, operation, aio, spec, timeout, now_ns) ? operation : 0;
	}
	if (spec->form == PW_LEDGER_FOREIGN) {
		return start_foreign(worker, &request) ? operation : 0;
	}
	if (spec->message == PW_LEDGER_SEND) {
		nng_aio_set_msg(aio, (nng_msg *) (uintptr_t) pw_ledger_message_of(index, operation));
	}
	if (spec->skip) {
		skipped = true;
		nng_aio_skip_callback(aio, &skipped);
		if (skipped) {
			pw_ledger_report(&pw_storm.ledger, index, "skip_callback did not set its bool", "");
		}
	}
	pw_ledger_start(&pw_storm.ledger, worker->actor.tally, index, operation, spec);
	enum pw_provider_outcome outcome = pw_provider_submit(&pw_storm.provider, &request);
	return after_submit(worker, &request, outcome, skipped) ? operation : 0;
}

/* ---- what threads do to a seat ---- */

static void
abort_held(struct pw_storm_worker *worker, uint32_t index, nng_aio *aio)
{
	struct pw_ledger_view view;
	nng_err reason =
	    pw_ledger_abort_enter(&pw_storm.ledger, worker->actor.tally, index, pinwheel_clock_ns(), &view);

	nng_aio_abort(aio, reason);
	pw_ledger_abort_leave(&pw_storm.ledger, worker->actor.tally, index, reason, &view);
}

static void
cancel_held(struct pw_storm_worker *worker, uint32_t index, nng_aio *aio)
{
	struct pw_ledger_view view = pw_ledger_cancel_asked(&pw_storm.ledger, worker->actor.tally, index);

	nng_aio_cancel(aio);
	pw_ledger_cancel_returned(&pw_storm.ledger, worker->actor.tally, index, &view);
}

static void
stop_held(struct pw_storm_worker *worker, uint32_t index, nng_aio *aio)
{
	pw_provider_press(&pw_storm.provider, index);
	struct pw_ledger_view view =
	    pw_ledger_stop_enter(&pw_storm.ledger, worker->actor.tally, index, PW_LEDGER_BY_STOP);
	nng_aio_stop(aio);
	pw_ledger_stop_leave(&pw_storm.ledger, index, &view, PW_LEDGER_BY_STOP);
	pw_provider_unpress(&pw_storm.provider, index);
}

static void
wait_held(struct pw_storm_worker *worker, uint32_t index, nng_aio *aio)
{
	struct pw_ledger_view view =
	    pw_ledger_stop_enter(&pw_storm.ledger, worker->actor.tally, index, PW_LEDGER_ROWS);

	if (roll(worker, 2) == 0) {
		uint64_t limit_ns = pinwheel_clock_ns() + roll(worker, 300000);
		nng_err err = pinwheel_aio_wait_until(aio, limit_ns);
		if (err == NNG_OK) {
			pw_ledger_stop_leave(&pw_storm.ledger, index, &view, PW_LEDGER_ROWS);
		} else if (err != NNG_ETIMEDOUT || pinwheel_clock_ns() < limit_ns) {
			pw_ledger_report(&pw_storm.ledger, index, "wait_until gave up early", nng_strerror(err));
		}
		return;
	}
	pw_provider_press(&pw_storm.provider, index);
	nng_aio_wait(aio);
	pw_ledger_stop_leave(&pw_storm.ledger, index, &view, PW_LEDGER_ROWS);
	pw_provider_unpress(&pw_storm.provider, index);
}

/* busy is true while an operation is under way. */
static void
check_busy(uint32_t index, nng_aio *aio)
{
	struct pw_ledger_entry *entry = &pw_storm.ledger.entries[index];
	uint64_t op = atomic_load(&entry->op);
	bool busy = nng_aio_busy(aio);

	if (pw_ledger_phase_of(op) == PW_LEDGER_LIVE && !busy && atomic_load(&entry->op) == op) {
		pw_ledger_report(&pw_storm.ledger, index, "not busy with an operation under way", "nng_aio_busy");
	}
}

static void
act_shared(struct pw_storm_worker *worker, uint32_t index, enum pw_storm_share act)
{
	nng_aio *aio = NULL;

	if (!hold(index, PW_STORM_SHARER)) {
		return;
	}
	aio = atomic_load(&pw_storm.seats[index].aio);
	if (aio == NULL) {
		unhold(index, PW_STORM_SHARER); /* a callback picked a seat that has not been filled yet */
		return;
	}
	switch (act) {
	case PW_STORM_ABORT:
		abort_held(worker, index, aio);
		check_busy(index, aio);
		break;
	case PW_STORM_CANCEL:
		cancel_held(worker, index, aio);
		break;
	case PW_STORM_STOP:
		stop_held(worker, index, aio);
		break;
	default:
		wait_held(worker, index, aio);
		break;
	}
	unhold(index, PW_STORM_SHARER);
	if (act == PW_STORM_STOP) {
		leave_idle(index);
	}
}

/* Frees or reaps the handle, and sets the next one on the seat; for a reap perhaps its last callback does that. */
static bool
retire(struct pw_storm_worker *worker, uint32_t index, bool wait)
{
	struct pw_ledger *ledger = &pw_storm.ledger;

	if (!hold_alone(index, 0)) {
		return false;
	}
	nng_aio *aio = atomic_load(&pw_storm.seats[index].aio);
	uint64_t handle = pw_ledger_handle_of(ledger, index);
	pw_provider_press(&pw_storm.provider, index);
	if (!wait) {
		atomic_store(&pw_storm.seats[index].owed, handle);
	}
	struct pw_ledger_view view = pw_ledger_stop_enter(ledger, worker->actor.tally, index, PW_LEDGER_BY_FREE);
	if (wait) {
		nng_aio_free(aio);
		pw_ledger_stop_leave(ledger, index, &view, PW_LEDGER_BY_FREE);
		pw_provider_unpress(&pw_storm.provider, index);
		reseat(index, 0);
		return true;
	}
	if (roll(worker, 4) == 0) {
		pinwheel_aio_close(aio);
	}
	nng_aio_reap(aio);
	pay_owed(index, handle);
	return true;
}

static uint32_t
pick(struct pw_storm_worker *worker, bool rare)
{
	if (roll(worker, 3) < (rare ? 2u : 1u)) {
		struct pw_storm_worker *other = &pw_storm.workers[roll(worker, pw_storm.worker_count)];
		uint32_t hot = atomic_load_explicit(&other->actor.hot, memory_order_relaxed);
		if (hot != 0) {
			return hot - 1;
		}
	}
	return roll(worker, pw_storm.options.aios);
}

/* Is the seat's operation under way, and of that kind? */
static bool
live(uint32_t index, bool (*kind)(const struct pw_ledger_entry *entry))
{
	struct pw_ledger_entry *entry = &pw_storm.ledger.entries[index];
	return pw_ledger_phase_of(atomic_load(&entry->op)) == PW_LEDGER_LIVE && kind(entry);
}

/* Ends the seat's operation by its provider. False: there is none, or it is not one's to end. */
static bool
finish_seat(uint32_t index)
{
	if (pw_foreign_name() == NULL) {
		return pw_provider_finish(&pw_storm.provider, index);
	}
	if (!live(index, pw_ledger_is_foreign)) {
		return false;
	}
	pw_foreign_complete(atomic_load(&pw_storm.seats[index].aio));
	return true;
}

static void
act(struct pw_storm_worker *worker)
{
	unsigned chosen = choose(worker, PW_STORM_FINISH, worker->may_block ? PW_STORM_ACTS_END : PW_STORM_STOP);
	uint32_t index = pick(worker, chosen >= PW_STORM_REAP);

	switch (chosen) {
	case PW_STORM_FINISH:
		(void) finish_seat(index);
		break;
	case PW_STORM_ABORT:
	case PW_STORM_CANCEL:
	case PW_STORM_STOP:
	case PW_STORM_WAIT:
		act_shared(worker, index, (enum pw_storm_share) chosen);
		break;
	case PW_STORM_REAP:
		(void) retire(worker, index, false);
		break;
	case PW_STORM_FREE:
		(void) retire(worker, index, true);
		break;
	default:
		break;
	}
}

/* ---- seats that are idle ---- */

static void
start_idle(struct pw_storm_worker *worker, uint32_t index)
{
	bool stopped = (pw_ledger_flags(&pw_storm.ledger, index) & PW_LEDGER_STOP_ASKED) != 0;

	if (stopped && roll(worker, 2) == 0 && retire(worker, index, worker->may_block && roll(worker, 2) == 0)) {
		return;
	}
	if (!hold(index, PW_STORM_STARTER)) {
		return; /* whoever holds it alone puts it back */
	}
	uint64_t operation = start(worker, index, 0, NNG_OK);
	if (operation != 0) {
		pw_ledger_release(&pw_storm.ledger, index, operation);
		leave_idle(index);
	}
	unhold(index, PW_STORM_STARTER);
}

/* Starts at most `limit` of the seats on a pile. */
static void
serve_idle(struct pw_storm_worker *worker, unsigned limit)
{
	unsigned number = roll(worker, PW_PILES);
	uint32_t chain = pw_pile_take(&pw_storm.idle, number);

	for (unsigned n = 0; chain != 0 && n < limit; n++) {
		start_idle(worker, pw_pile_next(&pw_storm.idle, &chain));
	}
	pw_pile_give_back(&pw_storm.idle, number, chain);
}

/* ---- the callback ---- */

/* The callback of `operation` reaps or frees its own handle. True: another one sits there, and may start. */
static bool
retire_inside(struct pw_storm_worker *worker, uint32_t index, nng_aio *aio, uint64_t operation)
{
	if (!hold_alone(index, PW_STORM_STARTERS)) {
		return false;
	}
	(void) pw_ledger_stop_enter(&pw_storm.ledger, worker->actor.tally, index, PW_LEDGER_BY_FREE);
	switch (roll(worker, 3)) {
	case 0:
		nng_aio_free(aio);
		break;
	case 1:
		pinwheel_aio_close(aio);
		/* fall through */
	default:
		nng_aio_reap(aio);
		break;
	}
	reseat(index, operation);
	return true;
}

static void
stop_inside(struct pw_storm_worker *worker, uint32_t index, nng_aio *aio)
{
	(void) pw_ledger_stop_enter(&pw_storm.ledger, worker->actor.tally, index, PW_LEDGER_BY_STOP);
	nng_aio_stop(aio);
	pw_ledger_stop_marked(&pw_storm.ledger, index);
}

/* What a callback may do with its own handle, and with others. Returns the operation whose right to start it still
 * has, 0: none. */
static uint64_t
act_inside(struct pw_storm_worker *worker, uint32_t index, nng_aio *aio, uint64_t operation, nng_err result)
{
	bool stopped = (pw_ledger_flags(&pw_storm.ledger, index) & PW_LEDGER_STOP_ASKED) != 0;
	bool retires = roll(worker, 64) < (stopped ? 32u : 1u);
	bool pressed = pw_provider_pressed(&pw_storm.provider, index);

	switch (roll(worker, 64)) {
	case 0:
		abort_held(worker, index, aio);
		break;
	case 1:
		cancel_held(worker, index, aio);
		break;
	case 2:
		nng_aio_wait(aio);
		break;
	case 3:
		if (pw_storm.options.share[PW_STORM_STOP] != 0 && roll(worker, 4) == 0) {
			stop_inside(worker, index, aio);
		}
		break;
	case 4:
		act_shared(worker, pick(worker, false), PW_STORM_ABORT);
		break;
	case 5:
	case 6:
		serve_idle(worker, 4); /* started on a shard, other aios may move their home there */
		break;
	default:
		break;
	}
	for (int again = 0; again < 3 && operation != 0 && !pressed && percent(worker, PW_STORM_RESUBMIT); again++) {
		operation = start(worker, index, operation, result);
	}
	if (operation == 0 && roll(worker, 32) == 0) {
		abort_held(worker, index, aio);
	}
	if (operation != 0 && retires && pw_storm.options.share[PW_STORM_REAP] != 0 &&
	    retire_inside(worker, index, aio, operation)) {
		return 0;
	}
	return operation;
}

static void
check_handle(uint32_t index, nng_aio *aio)
{
	if (!nng_aio_busy(aio)) {
		pw_ledger_report(&pw_storm.ledger, index, "not busy inside its own callback", "nng_aio_busy");
	}
	if (nng_aio_get_input(aio, 0) != input_of(index)) {
		pw_ledger_report(&pw_storm.ledger, index, "an input changed", "nng_aio_get_input");
	}
	if (pw_foreign_name() == NULL && nng_aio_get_output(aio, 1) != NULL) {
		pw_ledger_report(&pw_storm.ledger, index, "an output that nobody set", "nng_aio_get_output");
	}
}

static void
record(struct pw_storm_worker *worker, const struct pw_ledger_lag *lag, uint64_t now_ns)
{
	uint64_t race_ns = atomic_load_explicit(&pw_storm.race_ns, memory_order_relaxed);

	if (lag->has_finish && now_ns - lag->finish_ns >= race_ns) {
		pw_histogram_record(&worker->finish_to_callback, lag->finish_ns);
	}
	if (lag->has_abort && now_ns - lag->abort_ns >= race_ns) {
		pw_histogram_record(&worker->abort_to_callback, lag->abort_ns);
	}
	if (lag->has_late && now_ns - lag->late_ns >= race_ns) {
		pw_histogram_record(&worker->lateness, lag->late_ns);
	}
}

static void
on_complete(void *arg)
{
	struct pw_storm_worker *worker = self();
	uint32_t index = (uint32_t) ((uintptr_t) arg & (PW_LEDGER_SEATS_MAX - 1));
	uint64_t handle = (uintptr_t) arg >> PW_LEDGER_INDEX_BITS;
	struct pw_storm_seat *seat = &pw_storm.seats[index];
	nng_aio *aio = atomic_load(&seat->aio);
	struct pw_ledger_seen seen = look_at(index, aio);
	struct pw_ledger_lag lag;

	uint64_t entered =
	    pw_ledger_callback_enter(&pw_storm.ledger, worker->actor.tally, index, handle, &seen, &lag);
	if (entered == 0) {
		return;
	}
	atomic_store_explicit(&worker->actor.hot, index + 1, memory_order_relaxed);
	record(worker, &lag, seen.now_ns);
	check_handle(index, aio);
	uint64_t operation = entered;
	if (!atomic_load(&pw_storm.over)) {
		operation = act_inside(worker, index, aio, operation, seen.result);
	}
	if (operation != 0) {
		bool lingers = roll(worker, 8) == 0;
		pw_ledger_release(&pw_storm.ledger, index, operation);
		leave_idle(index);
		if (lingers) {
			/* Others start it now, while this callback runs. */
			pw_provider_linger(roll(worker, 3000));
		}
		pay_owed(index, handle);
	}
	pw_ledger_callback_leave(&pw_storm.ledger, index, entered);
}

/* ---- a thread's life ---- */

static void
serve_provider(struct pw_storm_worker *worker)
{
	uint32_t chain = pw_pile_take(&pw_storm.provider.pile, roll(worker, PW_PILES));

	while (chain != 0) {
		uint32_t index = pw_pile_next(&pw_storm.provider.pile, &chain);
		if (!finish_seat(index) && pw_provider_pressed(&pw_storm.provider, index) &&
		    live(index, pw_ledger_sleeps)) {
			act_shared(worker, index, PW_STORM_CANCEL);
		}
	}
}

void
pw_storm_race(struct pw_storm_worker *worker)
{
	pw_storm_be(worker);
	while (worker->may_block ? !atomic_load(&pw_storm.calm)
				 : !atomic_load(&pw_storm.calm) || atomic_load(&pw_storm.blockers) != 0) {
		serve_idle(worker, IDLE_AT_ONCE);
		serve_provider(worker);
		if (pw_ledger_backlog(&pw_storm.ledger) > BACKLOG * (unsigned) pw_storm.shards) {
			pw_fault_pause_ns(
			    NAP_NS); /* the processor is the shards': there may be no more of it than shards */
			continue;
		}
		for (int i = 0; i < 8; i++) {
			act(worker);
		}
	}
	if (worker->may_block) {
		atomic_fetch_sub(&pw_storm.blockers, 1);
	}
}

void
pw_storm_fill(struct pw_storm_worker *worker, uint32_t from, uint32_t to)
{
	pw_storm_be(worker);
	for (uint32_t index = from; index < to; index++) {
		if (!pw_storm_seat_handle(index)) {
			return;
		}
		start_idle(worker, index);
		atomic_fetch_add(&pw_storm.progress, 1);
	}
}

/* Does a stop end it, without a finisher's help? */
static bool
stoppable(uint32_t index)
{
	uint64_t op = atomic_load(&pw_storm.ledger.entries[index].op);
	return pw_ledger_phase_of(op) == PW_LEDGER_LIVE &&
	    (pw_ledger_sleeps(&pw_storm.ledger.entries[index]) || pw_provider_cancelable(&pw_storm.provider, index));
}

/* Ends whatever is under way on the seats; nothing starts any more. */
void
pw_storm_end(struct pw_storm_worker *worker, uint32_t from, uint32_t to)
{
	pw_storm_be(worker);
	for (uint32_t index = from; index < to; index++) {
		if (index % 16 == 0 && stoppable(index)) {
			act_shared(worker, index, PW_STORM_STOP);
		}
		if (!finish_seat(index)) {
			act_shared(worker, index, PW_STORM_ABORT);
		}
		atomic_fetch_add(&pw_storm.progress, 1);
	}
}

void
pw_storm_stop(struct pw_storm_worker *worker, uint32_t from, uint32_t to)
{
	pw_storm_be(worker);
	for (uint32_t index = from; index < to; index++) {
		act_shared(worker, index, PW_STORM_STOP);
		atomic_fetch_add(&pw_storm.progress, 1);
	}
}

void
pw_storm_free(struct pw_storm_worker *worker, uint32_t from, uint32_t to)
{
	pw_storm_be(worker);
	for (uint32_t index = from; index < to; index++) {
		nng_aio *aio = atomic_load(&pw_storm.seats[index].aio);
		struct pw_ledger_view view =
		    pw_ledger_stop_enter(&pw_storm.ledger, worker->actor.tally, index, PW_LEDGER_BY_FREE);
		if (index % 2 == 0) {
			nng_aio_free(aio);
			pw_ledger_stop_leave(&pw_storm.ledger, index, &view, PW_LEDGER_BY_FREE);
		} else {
			nng_aio_reap(aio);
		}
		atomic_store(&pw_storm.seats[index].aio, NULL);
		atomic_fetch_add(&pw_storm.progress, 1);
	}
}

/* SPDX-License-Identifier: MIT
 *
 * storm_provider.c: a provider whose operations end when somebody claims them.
 *
 * finish must be called exactly once for an accepted operation, and many may want to: finisher threads, the cancel
 * function, a thread that took a cancel over. Whoever moves the claim to TAKEN finishes it, nobody else:
 *
 *   NONE --submit--> STARTING --start returned true--> OPEN --finisher--> TAKEN
 *                     |   |                             |                   ^
 *                     |   +--cancel function----------->+---hand over--> HANDED
 *                     +--refused--> NONE     (the cancel function may be first: the start has not returned yet)
 *
 * A finisher takes OPEN only: before start has returned nobody else can know that it was accepted, and a finish on
 * an idle handle would be misuse. The claim carries the operation's generation, so whoever comes late, the
 * starter included, fails and touches nothing.
 *
 * The 1.x form holds what a real provider's lock would hold: between begin and defer the claim is STARTING. Some
 * operations are aborted there by their own starter.
 *
 * A finisher hides what is lost: an operation whose abort or deadline comes to nothing ends all the same when
 * somebody picks its seat. So the claim of some operations, of those with an abort or a near deadline that must end
 * them, is never opened: only their cancel function can move it.
 *
 * A cancel function may do nothing, and an operation may have none; whoever waits for such a seat (stop, free,
 * wait) *presses* it. Liveness: the waiter counts itself, then puts the seat on the pile; the starter opens the
 * claim, then looks at the count and puts the seat on the pile; a finisher takes the seat off the pile, then looks
 * at the claim. All of it sequentially consistent, so one of them sees the other. Finishers never wait.
 *
 * Context: submit runs on any thread, on_cancel on the home shard, finish on any thread.
 */
#include "bench/storm/storm_provider.h"

#include <stdlib.h>

enum claim_state {
	CLAIM_NONE = 0,
	CLAIM_STARTING = 1,
	CLAIM_OPEN = 2,
	CLAIM_HANDED = 3,
	CLAIM_TAKEN = 4,
};

#define CLAIM_STATE 7u

static struct pw_provider *the_provider;

static uint64_t
pack(uint64_t operation, enum claim_state state)
{
	return operation << 3 | (uint64_t) state;
}

/* A cancel function's argument: index and generation as they were at the start. Nothing to keep alive. */
static void *
pack_argument(uint32_t index, uint64_t operation)
{
	_Static_assert(sizeof(void *) == 8, "an argument holds an index and a generation");
	return (void *) (uintptr_t) (operation << PW_LEDGER_INDEX_BITS | index);
}

static bool
claim(struct pw_claim *seat, uint64_t operation, enum claim_state from, enum claim_state to)
{
	uint64_t word = pack(operation, from);
	return atomic_compare_exchange_strong(&seat->word, &word, pack(operation, to));
}

void
pw_provider_linger(unsigned turns)
{
	for (volatile unsigned i = 0; i < turns; i++) {
	}
}

bool
pw_provider_open(struct pw_provider *provider, struct pw_ledger *ledger, uint32_t count,
    struct pw_provider_actor *(*actor)(void) )
{
	size_t size = (size_t) count * sizeof(struct pw_claim);
	void *memory = pw_ledger_table(size);

	if (memory == NULL || !pw_pile_open(&provider->pile, count)) {
		pw_ledger_table_free(memory, size);
		return false;
	}
	provider->ledger = ledger;
	provider->claims = memory;
	provider->count = count;
	provider->actor = actor;
	atomic_init(&provider->over, false);
	the_provider = provider;
	return true;
}

void
pw_provider_close(struct pw_provider *provider)
{
	pw_pile_close(&provider->pile);
	pw_ledger_table_free(provider->claims, (size_t) provider->count * sizeof(struct pw_claim));
	provider->claims = NULL;
	the_provider = NULL;
}

/* The claim is TAKEN, and the caller has taken it. */
static void
finish(struct pw_provider *provider, struct pw_provider_actor *actor, uint32_t index, uint64_t operation,
    bool by_cancel, nng_err result)
{
	nng_aio *aio = atomic_load(&provider->claims[index].aio);
	uint64_t output = 0;

	if (pw_provider_roll(actor, 2) == 0) {
		output = pw_ledger_message_of(index, operation) ^ 1;
		nng_aio_set_output(aio, 0, (void *) (uintptr_t) output);
	}
	if (result == NNG_OK) {
		nng_msg *message = nng_aio_get_msg(aio);
		struct pw_ledger_entry *entry = &provider->ledger->entries[index];
		enum pw_ledger_message kind = pw_ledger_message_kind(entry);
		if (kind == PW_LEDGER_SEND) {
			if ((uint64_t) (uintptr_t) message != pw_ledger_message_of(index, operation)) {
				pw_ledger_report(provider->ledger, index, "the message to send is not in the slot",
				    "finish");
			}
			nng_aio_set_msg(aio, NULL);
		} else if (kind == PW_LEDGER_RECEIVE) {
			nng_aio_set_msg(aio, (nng_msg *) (uintptr_t) pw_ledger_message_of(index, operation));
		}
	}
	pw_ledger_finish(provider->ledger, actor->tally, index, operation, by_cancel, result, output,
	    pinwheel_clock_ns());
	nng_aio_finish(aio, result);
}

/* A result that is the provider's own: mostly success, else a code that no cancel gives. */
static nng_err
own_result(struct pw_provider_actor *actor)
{
	return pw_provider_roll(actor, 4) != 0 ? NNG_OK : NNG_ETRANERR + (nng_err) pw_provider_roll(actor, 1 << 20);
}

static void
on_cancel(nng_aio *aio, void *arg, nng_err reason)
{
	struct pw_provider *provider = the_provider;
	struct pw_provider_actor *actor = provider->actor();
	uint32_t index = (uint32_t) ((uintptr_t) arg & (PW_LEDGER_SEATS_MAX - 1));
	uint64_t operation = (uintptr_t) arg >> PW_LEDGER_INDEX_BITS;
	struct pw_claim *seat = &provider->claims[index];

	pw_ledger_cancel_enter(provider->ledger, index, operation, reason, pinwheel_clock_ns());
	if (atomic_load(&seat->aio) != aio) {
		pw_ledger_report(provider->ledger, index, "a cancel function was given another aio", "on_cancel");
	}
	/* Others see where this is, and may be first. */
	atomic_store_explicit(&actor->hot, index + 1, memory_order_relaxed);
	pw_provider_linger(pw_provider_roll(actor, 32) == 0 ? pw_provider_roll(actor, 10000) : 0);
	uint32_t manner = atomic_load(&seat->manner);
	if (atomic_load(&provider->over)) {
		manner = PW_PROVIDER_AT_ONCE;
	}
	if (manner == PW_PROVIDER_AT_ONCE) {
		if (claim(seat, operation, CLAIM_OPEN, CLAIM_TAKEN) ||
		    claim(seat, operation, CLAIM_STARTING, CLAIM_TAKEN) ||
		    claim(seat, operation, CLAIM_OPEN, CLAIM_TAKEN)) {
			finish(provider, actor, index, operation, true, reason);
		} else {
			pw_ledger_cancel_lost(provider->ledger, actor->tally, index);
		}
	} else if (manner == PW_PROVIDER_HAND_OVER) {
		atomic_store(&seat->reason, reason);
		if (claim(seat, operation, CLAIM_OPEN, CLAIM_HANDED) ||
		    claim(seat, operation, CLAIM_STARTING, CLAIM_HANDED) ||
		    claim(seat, operation, CLAIM_OPEN, CLAIM_HANDED)) {
			pw_pile_put(&provider->pile, index);
		} else {
			pw_ledger_cancel_lost(provider->ledger, actor->tally, index);
		}
	}
	pw_ledger_cancel_leave(provider->ledger, index, operation);
}

bool
pw_provider_finish(struct pw_provider *provider, uint32_t index)
{
	struct pw_provider_actor *actor = provider->actor();
	struct pw_claim *seat = &provider->claims[index];
	uint64_t word = atomic_load(&seat->word);
	uint64_t operation = word >> 3;

	if (word == pack(operation, CLAIM_OPEN) && claim(seat, operation, CLAIM_OPEN, CLAIM_TAKEN)) {
		finish(provider, actor, index, operation, false, own_result(actor));
		return true;
	}
	word = atomic_load(&seat->word);
	if (word == pack(operation, CLAIM_HANDED) && claim(seat, operation, CLAIM_HANDED, CLAIM_TAKEN)) {
		finish(provider, actor, index, operation, true, atomic_load(&seat->reason));
		return true;
	}
	return false;
}

bool
pw_provider_cancelable(const struct pw_provider *provider, uint32_t index)
{
	return atomic_load(&provider->claims[index].manner) != PW_PROVIDER_NONE;
}

void
pw_provider_adopt(struct pw_provider *provider, uint32_t index, enum pw_provider_manner manner)
{
	atomic_store(&provider->claims[index].manner, (uint32_t) manner);
}

void
pw_provider_press(struct pw_provider *provider, uint32_t index)
{
	atomic_fetch_add(&provider->claims[index].pressing, 1);
	pw_pile_put(&provider->pile, index);
}

void
pw_provider_unpress(struct pw_provider *provider, uint32_t index)
{
	atomic_fetch_sub(&provider->claims[index].pressing, 1);
}

bool
pw_provider_pressed(const struct pw_provider *provider, uint32_t index)
{
	return atomic_load(&provider->claims[index].pressing) != 0;
}

/* The start has returned, the operation was accepted: finishers may have it. */
static enum pw_provider_outcome
accepted(struct pw_provider *provider, const struct pw_provider_request *request)
{
	struct pw_claim *seat = &provider->claims[request->index];

	pw_ledger_accepted(provider->ledger, request->index, request->operation, &request->spec);
	if (request->unopened) {
		return PW_PROVIDER_ACCEPTED;
	}
	if (claim(seat, request->operation, CLAIM_STARTING, CLAIM_OPEN) && atomic_load(&seat->pressing) != 0) {
		pw_pile_put(&provider->pile, request->index);
	}
	return PW_PROVIDER_ACCEPTED;
}

static enum pw_provider_outcome
refused(struct pw_provider *provider, const struct pw_provider_request *request)
{
	struct pw_claim *seat = &provider->claims[request->index];
	uint64_t word = pack(request->operation, CLAIM_STARTING);

	if (!atomic_compare_exchange_strong(&seat->word, &word, pack(request->operation, CLAIM_NONE)) &&
	    word >> 3 == request->operation) {
		pw_ledger_report(provider->ledger, request->index, "refused, and its cancel function was called", "");
	}
	return PW_PROVIDER_REFUSED;
}

/* On the starter's own stack, before the operation became asynchronous. */
static enum pw_provider_outcome
finish_here(struct pw_provider *provider, const struct pw_provider_request *request)
{
	struct pw_provider_actor *actor = provider->actor();

	if (!claim(&provider->claims[request->index], request->operation, CLAIM_STARTING, CLAIM_TAKEN)) {
		pw_ledger_report(provider->ledger, request->index, "a cancel function before start or defer", "");
	}
	finish(provider, actor, request->index, request->operation, false, own_result(actor));
	return PW_PROVIDER_FINISHED;
}

static void
abort_begun(struct pw_provider *provider, struct pw_provider_request *request)
{
	struct pw_ledger_tally *tally = provider->actor()->tally;
	struct pw_ledger_view view;
	nng_err reason = pw_ledger_abort_enter(provider->ledger, tally, request->index, pinwheel_clock_ns(), &view);

	nng_aio_abort(request->aio, reason);
	pw_ledger_abort_leave(provider->ledger, tally, request->index, reason, &view);
}

static enum pw_provider_outcome
submit_begin(struct pw_provider *provider, struct pw_provider_request *request, nng_aio_cancelfn fn, void *arg)
{
	if (!nng_aio_begin(request->aio)) {
		return refused(provider, request);
	}
	pw_ledger_enter(provider->ledger, request->index, request->operation, PW_LEDGER_BEGUN);
	if (request->spec.stopped) {
		pw_ledger_report(provider->ledger, request->index, "begun although stop had returned before", "");
	}
	pw_provider_linger(request->linger);
	if (request->finish_begun) {
		return finish_here(provider, request);
	}
	if (request->abort_begun) {
		abort_begun(provider, request);
	}
	pw_ledger_deferring(provider->ledger, request->index, pinwheel_clock_ns());
	nng_aio_defer(request->aio, fn, arg);
	return accepted(provider, request);
}

enum pw_provider_outcome
pw_provider_submit(struct pw_provider *provider, struct pw_provider_request *request)
{
	struct pw_claim *seat = &provider->claims[request->index];
	nng_aio_cancelfn fn = request->manner == PW_PROVIDER_NONE ? NULL : on_cancel;
	void *arg = pack_argument(request->index, request->operation);

	atomic_store(&seat->aio, request->aio);
	atomic_store(&seat->manner, (uint32_t) request->manner);
	atomic_store(&seat->word, pack(request->operation, CLAIM_STARTING));
	switch (request->spec.form) {
	case PW_LEDGER_BEGIN:
		return submit_begin(provider, request, fn, arg);
	case PW_LEDGER_DEFER:
		pw_ledger_deferring(provider->ledger, request->index, pinwheel_clock_ns());
		nng_aio_defer(request->aio, fn, arg);
		return accepted(provider, request);
	case PW_LEDGER_SYNC:
		nng_aio_reset(request->aio);
		pw_ledger_enter(provider->ledger, request->index, request->operation, PW_LEDGER_RESET);
		pw_provider_linger(request->linger);
		return finish_here(provider, request);
	default:
		return nng_aio_start(request->aio, fn, arg) ? accepted(provider, request)
							    : refused(provider, request);
	}
}

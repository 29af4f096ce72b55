/* SPDX-License-Identifier: MIT
 *
 * storm_cancels.c: `pinwheel storm --cancels N`: N raced cancels, each known to have raced.
 *
 * What it is: pairs of threads, a shard (the home) and one beside it (the rival), each on a CPU of its own, that do
 * conflicting things to the same few operations at the same moment, millions of times a second, with a ledger so
 * small that it stays in the cache. What it is not: a storm over many handles (storm_race.c): nothing here is cold,
 * nothing is freed, and only what races a cancel is done.
 *
 * The races. An operation is one race of one kind; the table below has them all. The provider's right to end an
 * operation is one word (claim), which the finisher and the cancel function take by compare-and-swap: that is the
 * arbiter that the interface asks a provider to have.
 *
 * What counts as raced. Both sides read one clock directly before and directly after their call. A race has happened
 * when the two intervals have a moment in common: each call began before the other had returned. What came wholly
 * before or after the other is an operation, checked like any other, but not counted. The clock is the processor's
 * counter if the kernel itself keeps time by it, and so has tested that no CPU sees it go backwards when another has
 * read it before; else CLOCK_MONOTONIC. A read is fenced: it is not before what precedes it has been done. The
 * intervals are of one call of the engine each, but for these: a finisher's and a cancel function's include the CAS
 * on the claim; the expiry of a deadline begins when the home thread leaves user code for its loop, where it will
 * find the deadline to have passed, and ends when the cancel function begins (kind `expiry`) or returns
 * (`expiry_finish`).
 *
 * How they meet. By the clock: the home publishes a time, and the n-th calls of both sides are due at that time and n
 * paces; a cancel function publishes a time of its own, a little ahead. Each side waits for the time and a little
 * longer, as it draws, up to about the time that a cache line takes to travel; nobody waits for the other before a
 * call, so that no word travels between them but those of the engine. One that is not running at its time comes late,
 * alone: on a machine that does something else, too, there are fewer races, and the ledger is the same.
 *
 * The ledger. A seat is a handle. Its fields are written by one side each and read by the home when that side has
 * left (`rival_left`), so nothing is summed at once but the claim. Checked for every operation, raced or not:
 *   L1  it completes once: one callback, on a seat that has an operation under way
 *   L2  result and output are those of the one who holds the claim; both name the round, so none gets another's
 *   L3  the cancel function is called at most once, with a reason that somebody gave to this operation in this round,
 *       and never for an operation that was finished before home could call it
 *   L4  of two aborts one well before the other the first one's reason counts; an abort before the start does
 *       nothing, one after it, and before the deadline could be looked at, is what ends the operation
 *   L5  result and output are still the same, and the handle not busy, when everyone has left the operation
 *   L6  nothing that was meant for an operation hits the one its callback starts (the witness: nobody aborts it)
 *   L7  at the end every start has had its one callback; a race that does not end in five minutes is a
 *       violation
 *
 * Threads: home_* run on the shard, in callbacks and cancel functions; rival_* on the rival; the rest on the thread
 * of the command.
 *
 * Limits: SEATS operations at once for a pair, 64 pairs, 2^40 rounds. With one CPU for both the races are those that
 * the scheduler makes: few.
 */
#include "bench/storm/storm_cancels.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/storm/storm.h"
#include "engine/base/atomic.h"
#include "engine/base/clock.h"
#include "engine/base/cycles.h"

#define SEATS 32u      /* at most 32: name_of */
#define LEAD_NS 300u   /* from the publication of a time to that time: it must have travelled */
#define SKEW_NS 80u    /* a side comes up to so much after the time */
#define PATIENCE 2000u /* looks for the other side's turn before a nap */
#define NAP_NS 20000
#define MARGIN_NS 50u      /* what two clocks of one machine, and who reads them, may be apart */
#define REST_ONE_IN 64u    /* turns of the kind `cancel_away` in which the home may fall asleep */
#define REST_NS_MAX 40000u /* for as long as the rival waits then */
#define WITNESS_ONE_IN 4u  /* callbacks that start another operation */

/* ---- the races ---- */

const struct pw_cancels_book pw_cancels_books[PW_CANCELS_KINDS] = {
	[PW_CANCELS_FINISH_HOME] = { "finish_home", "finish", "abort", "the finish", true, 2, 420, 0 },
	[PW_CANCELS_FINISH_AWAY] = { "finish_away", "abort", "finish", "the finish", true, 2, 420, 0 },
	[PW_CANCELS_CANCEL_HOME] = { "cancel_home", "cancel function, aborted here", "finish", "the finish", false, 2,
	    0, 0 },
	[PW_CANCELS_CANCEL_AWAY] = { "cancel_away", "cancel function", "abort, then finish", "the finish", false, 1,
	    0, 0 },
	[PW_CANCELS_START] = { "start", "start", "abort", "the start", false, 1, 620, 250 },
	[PW_CANCELS_DEADLINE] = { "deadline", "begin, defer, overdue", "abort", "the deadline", false, 1, 800, 300 },
	[PW_CANCELS_EXPIRY] = { "expiry", "expiry", "abort", "the deadline", false, 1, 0, 250 },
	[PW_CANCELS_EXPIRY_FINISH] = { "expiry_finish", "expiry, its cancel function", "finish", "the finish", false,
	    1, 0, 100 },
	[PW_CANCELS_REQUEST] = { "request", "mail of an abort, its cancel f.", "abort and finish", "the finish",
	    false, 1, 0, 250 },
	[PW_CANCELS_SECOND_ABORT] = { "second_abort", "abort", "abort", "the home's abort", false, 2, 400, 0 },
};

/* A finish that races the cancel function. */
static inline bool
is_of_cancels(enum pw_cancels_kind kind)
{
	return kind == PW_CANCELS_CANCEL_HOME || kind == PW_CANCELS_CANCEL_AWAY;
}

static inline bool
is_finished_away(enum pw_cancels_kind kind)
{
	return kind == PW_CANCELS_FINISH_AWAY || is_of_cancels(kind) || kind == PW_CANCELS_EXPIRY_FINISH ||
	    kind == PW_CANCELS_REQUEST;
}

/* An expiry that the home comes to in its loop, or an abort's mail. */
static inline bool
is_of_loop(enum pw_cancels_kind kind)
{
	return kind == PW_CANCELS_EXPIRY || kind == PW_CANCELS_EXPIRY_FINISH || kind == PW_CANCELS_REQUEST;
}

/* What the claim says beside the round. */
enum claim {
	CLAIM_OPEN = 0,
	CLAIM_FINISH = 1,
	CLAIM_CANCEL = 2,
};

/* What a result, a reason or an output says beside the round: who gave it. */
enum author {
	BY_HOME_ABORT = 1,
	BY_RIVAL_ABORT = 2,
	BY_FINISH = 3,
	BY_WITNESS = 4,
};

struct span {
	uint64_t enter;
	uint64_t leave;
};

/* What is under way on a seat. */
enum step {
	STEP_OVER,
	STEP_RACE,
	STEP_WITNESS,
	STEP_WITNESS_ENDED,
};

struct seat {
	_Alignas(64) _Atomic uint64_t claim; /* round << 2 | CLAIM_* */
	nng_aio *aio;
	struct pair *pair;
	unsigned index;
	/* The rival's, looked at by the home. */
	_Alignas(64) _Atomic uint64_t rival_left; /* the last round it is done with; hands over what follows */
	struct span rival;
	/* The home's alone. */
	_Alignas(64) enum step step;
	unsigned cancels; /* calls of the cancel function in this round */
	nng_err reason;   /* and what it was told */
	nng_err result;
	void *output;
	struct span home;
	struct span cancel;
};

struct tally {
	_Atomic uint64_t operations;
	_Atomic uint64_t raced;
	_Atomic uint64_t canceled;
};

struct pair {
	/* The home opens a turn. */
	_Alignas(64) _Atomic uint64_t turn; /* round << 8 | rest << 7 | kind; TURN_OVER: there will be none */
	uint64_t due;                       /* the first calls of that turn */
	/* The seats in the order in which the home comes to their cancel functions. */
	struct {
		_Alignas(64) _Atomic uint64_t seat; /* round << 8 | index; hands over: */
		uint64_t due;
	} called[SEATS];
	/* The home's. */
	_Alignas(64) nng_aio *conductor;
	uint64_t round;
	enum pw_cancels_kind kind;
	unsigned calls;    /* of cancel functions in this turn */
	uint64_t returned; /* when the home left the user code that opened the turn */
	uint64_t dice;
	uint64_t quota; /* races */
	uint64_t raced;
	uint64_t started;
	uint64_t ended;
	_Atomic uint64_t witnesses;
	_Atomic uint64_t rests;
	_Atomic uint64_t turns;
	_Atomic bool over;
	struct tally tallies[PW_CANCELS_KINDS];
	struct seat seats[SEATS];
	/* The rival's. */
	_Alignas(64) uint64_t rival_dice;
	int cpu; /* -1: any */
	pthread_t thread;
};

#define TURN_REST 0x80u
#define TURN_KIND 0x7fu
#define TURN_OVER UINT64_MAX

static struct {
	struct pair *pairs;
	unsigned count;
	bool by_cycles;
	uint64_t lead; /* LEAD_NS and so on, on the clock of stamp() */
	uint64_t skew;
	uint64_t margin;
	unsigned shares; /* the sum */
	uint64_t pace[PW_CANCELS_KINDS];
	uint64_t rival_skew[PW_CANCELS_KINDS];
	_Atomic bool stop;
} run;

static void
violation(const struct seat *seat, const char *what)
{
	const struct pair *pair = seat->pair;
	char detail[160];

	snprintf(detail, sizeof(detail),
	    "race %s, round %" PRIu64 ", seat %u, claim %u of round %" PRIu64
	    ", %u cancel calls, reason %#x, result %#x",
	    pw_cancels_books[pair->kind].name, pair->round, seat->index, (unsigned) (atomic_load(&seat->claim) & 3),
	    (uint64_t) atomic_load(&seat->claim) >> 2, seat->cancels, (unsigned) seat->reason,
	    (unsigned) seat->result);
	pw_storm_violation(what, detail);
}

/* ---- time and chance ---- */

static inline uint64_t
now(void)
{
	return run.by_cycles ? pw_cycles() : pw_clock_now_ns();
}

/* A time on a clock that all CPUs share, and not before what precedes it has been done. */
static inline uint64_t
stamp(void)
{
#if defined(__x86_64__)
	__builtin_ia32_lfence();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
	return now();
}

static inline uint64_t
roll(uint64_t *dice)
{
	*dice ^= *dice << 13;
	*dice ^= *dice >> 7;
	*dice ^= *dice << 17;
	return *dice;
}

/* Until some time between `due` and `span` later. */
static inline void
until(uint64_t due, uint64_t span, uint64_t *dice)
{
	due += roll(dice) % span;
	while (now() < due) {
	}
}

static void
nap(void)
{
	struct timespec moment = { 0, NAP_NS };
	(void) clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
}

/* Until the other side has written the number, or a later one. Who does not come soon is not running, or asleep. */
static inline void
await(const _Atomic uint64_t *there, uint64_t number)
{
	for (unsigned look = 0; atomic_load_explicit(there, memory_order_acquire) < number; look++) {
		if (look < PATIENCE) {
			pw_cpu_relax();
		} else {
			nap();
		}
	}
}

static inline bool
overlap(const struct span *a, const struct span *b)
{
	return a->enter < b->leave && b->enter < a->leave;
}

/* ---- names of operations ---- */

/* A number that no other round of the last 2^19 has, nor another seat, nor another author. */
static inline nng_err
name_of(const struct seat *seat, uint64_t round, enum author author)
{
	return (nng_err) (0x10000000u | (unsigned) (round & 0x7ffff) << 9 | seat->index << 4 | (unsigned) author);
}

static inline void *
output_of(uint64_t round, enum claim claim)
{
	return (void *) (uintptr_t) (round << 2 | (uint64_t) claim);
}

/* Ends the operation if nobody has. */
static inline bool
end_as(struct seat *seat, uint64_t round, enum claim claim, nng_err result)
{
	uint64_t open = round << 2 | CLAIM_OPEN;

	if (!atomic_compare_exchange_strong(&seat->claim, &open, round << 2 | (uint64_t) claim)) {
		return false;
	}
	(void) nng_aio_set_output(seat->aio, 0, output_of(round, claim));
	nng_aio_finish(seat->aio, result);
	return true;
}

/* ---- the rival ---- */

static void
rival_abort(struct seat *seat, uint64_t round)
{
	nng_err reason = name_of(seat, round, BY_RIVAL_ABORT);

	seat->rival.enter = stamp();
	nng_aio_abort(seat->aio, reason);
	seat->rival.leave = stamp();
}

static void
rival_finish(struct seat *seat, uint64_t round)
{
	nng_err result = name_of(seat, round, BY_FINISH);

	seat->rival.enter = stamp();
	(void) end_as(seat, round, CLAIM_FINISH, result);
	seat->rival.leave = stamp();
}

static void
rival_act(struct seat *seat, uint64_t round, enum pw_cancels_kind kind)
{
	if (is_finished_away(kind)) {
		rival_finish(seat, round);
	} else {
		rival_abort(seat, round);
	}
	atomic_store_explicit(&seat->rival_left, round, memory_order_release);
}

/* Beside the cancel functions, in the order in which the home comes to them: that of the seats, but for an abort of
 * the last round that was still on its way. */
static void
rival_meet_cancels(struct pair *pair, uint64_t round, enum pw_cancels_kind kind)
{
	if (kind == PW_CANCELS_CANCEL_AWAY) {
		for (unsigned i = 0; i < SEATS; i++) {
			nng_aio_abort(pair->seats[i].aio, name_of(&pair->seats[i], round, BY_RIVAL_ABORT));
		}
	}
	for (unsigned i = 0; i < SEATS; i++) {
		await(&pair->called[i].seat, round << 8);
		uint64_t index = atomic_load_explicit(&pair->called[i].seat, memory_order_relaxed) & 0xff;
		until(pair->called[i].due, run.rival_skew[kind], &pair->rival_dice);
		rival_act(&pair->seats[index], round, kind);
	}
}

/* While the home is in its loop, and comes to all deadlines at once, or to one abort after the other. */
static void
rival_meet_loop(struct pair *pair, uint64_t round, enum pw_cancels_kind kind)
{
	for (unsigned i = 0; i < SEATS; i++) {
		struct seat *seat = &pair->seats[i];
		if (kind == PW_CANCELS_REQUEST) {
			nng_aio_abort(seat->aio, name_of(seat, round, BY_RIVAL_ABORT));
		}
		if (kind == PW_CANCELS_REQUEST || i == 0) {
			until(now(), run.rival_skew[kind], &pair->rival_dice);
		}
		rival_act(seat, round, kind);
	}
}

static void
rival_meet_calls(struct pair *pair, uint64_t round, enum pw_cancels_kind kind)
{
	uint64_t due = pair->due;

	for (unsigned i = 0; i < SEATS; i++, due += run.pace[kind]) {
		until(due, run.rival_skew[kind], &pair->rival_dice);
		rival_act(&pair->seats[i], round, kind);
	}
}

static void
rival_turn(struct pair *pair, uint64_t round, enum pw_cancels_kind kind)
{
	if (is_of_cancels(kind)) {
		rival_meet_cancels(pair, round, kind);
	} else if (is_of_loop(kind)) {
		rival_meet_loop(pair, round, kind);
	} else {
		rival_meet_calls(pair, round, kind);
	}
	nng_aio_finish(pair->conductor, NNG_OK);
}

/* The home may be asleep. */
static void
rival_rest(struct pair *pair)
{
	uint64_t until_ns = pinwheel_clock_ns() + roll(&pair->rival_dice) % REST_NS_MAX;

	while (pinwheel_clock_ns() < until_ns) {
		pw_cpu_relax();
	}
}

/* Begins on a CPU of its own. It may be moved: where something else has that CPU it could wait for long. */
static void
rival_settle(const struct pair *pair)
{
	cpu_set_t all, own;

	CPU_ZERO(&own);
	CPU_SET((size_t) pair->cpu, &own);
	if (pthread_getaffinity_np(pthread_self(), sizeof(all), &all) == 0 &&
	    pthread_setaffinity_np(pthread_self(), sizeof(own), &own) == 0) {
		(void) pthread_setaffinity_np(pthread_self(), sizeof(all), &all); /* refused: it stays there */
	}
}

static void *
rival_run(void *arg)
{
	struct pair *pair = arg;
	uint64_t last = 0;

	if (pair->cpu >= 0) {
		rival_settle(pair);
	}
	for (;;) {
		await(&pair->turn, last + 1);
		uint64_t turn = atomic_load_explicit(&pair->turn, memory_order_acquire);
		if (turn == TURN_OVER) {
			return NULL;
		}
		last = turn;
		if ((turn & TURN_REST) != 0) {
			rival_rest(pair);
		}
		rival_turn(pair, turn >> 8, (enum pw_cancels_kind)(turn & TURN_KIND));
	}
}

/* ---- the home: one operation ---- */

static bool
rival_has_left(const struct seat *seat)
{
	return atomic_load_explicit(&seat->rival_left, memory_order_acquire) == seat->pair->round;
}

static void
count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* L3, first half. */
static bool
is_reason(const struct seat *seat, nng_err reason)
{
	const struct pair *pair = seat->pair;
	bool home = reason == name_of(seat, pair->round, BY_HOME_ABORT);
	bool rival = reason == name_of(seat, pair->round, BY_RIVAL_ABORT);

	switch (pair->kind) {
	case PW_CANCELS_FINISH_AWAY:
	case PW_CANCELS_CANCEL_HOME:
		return home;
	case PW_CANCELS_CANCEL_AWAY:
	case PW_CANCELS_START:
	case PW_CANCELS_REQUEST:
		return rival;
	case PW_CANCELS_DEADLINE:
	case PW_CANCELS_EXPIRY:
		return rival || reason == NNG_ETIMEDOUT;
	case PW_CANCELS_EXPIRY_FINISH:
		return reason == NNG_ETIMEDOUT;
	case PW_CANCELS_SECOND_ABORT:
		return home || rival;
	default:
		return false;
	}
}

/* In a cancel function: the rival comes, too. */
static void
home_call_rival(struct seat *seat)
{
	struct pair *pair = seat->pair;
	unsigned call = pair->calls++;

	pair->called[call].due = now() + run.lead;
	atomic_store_explicit(&pair->called[call].seat, pair->round << 8 | seat->index, memory_order_release);
	until(pair->called[call].due, run.skew, &pair->dice);
}

static void
home_on_cancel(nng_aio *aio, void *arg, nng_err reason)
{
	struct seat *seat = arg;
	struct pair *pair = seat->pair;

	seat->reason = reason;
	if (aio != seat->aio || seat->step == STEP_OVER) {
		violation(seat, "a cancel function was called with no operation under way");
	}
	if (seat->step != STEP_RACE) {
		violation(seat, "a cancel hit the operation after the one it was meant for");
	}
	if (pair->kind == PW_CANCELS_FINISH_HOME) {
		violation(seat, "a cancel function was called after the finish");
	}
	if (seat->cancels++ != 0) {
		violation(seat, "a cancel function was called twice");
	}
	if (!is_reason(seat, reason)) {
		violation(seat, "a cancel function was told a reason that nobody gave");
	}
	if (is_of_cancels(pair->kind)) {
		home_call_rival(seat);
	}
	seat->cancel.enter = stamp();
	(void) end_as(seat, pair->round, CLAIM_CANCEL, reason);
	seat->cancel.leave = stamp();
}

static void
home_start(struct seat *seat)
{
	seat->step = STEP_RACE;
	seat->pair->started++;
	if (!nng_aio_start(seat->aio, home_on_cancel, seat)) {
		violation(seat, "a start was refused");
	}
}

/* The operation that only its provider ends. */
static void
home_start_witness(struct seat *seat)
{
	seat->step = STEP_WITNESS;
	seat->pair->started++;
	count(&seat->pair->witnesses);
	if (!nng_aio_start(seat->aio, home_on_cancel, seat)) {
		violation(seat, "a start in the callback was refused");
	}
}

static void
home_on_complete(void *arg)
{
	struct seat *seat = arg;
	struct pair *pair = seat->pair;
	uint64_t claim = atomic_load_explicit(&seat->claim, memory_order_acquire);
	uint64_t round = pair->round;
	enum step step = seat->step;

	seat->result = nng_aio_result(seat->aio);
	seat->output = nng_aio_get_output(seat->aio, 0);
	seat->step = STEP_OVER;
	pair->ended++;
	if (step == STEP_OVER) {
		violation(seat, "a second completion");
	}
	if (step != STEP_RACE) {
		if (seat->result != name_of(seat, round, BY_WITNESS) || seat->output != NULL) {
			violation(seat, "the operation after a race has another one's result");
		}
		return;
	}
	if (claim != (round << 2 | CLAIM_FINISH) && claim != (round << 2 | CLAIM_CANCEL)) {
		violation(seat, "completed, and nobody has ended it");
	}
	bool canceled = (claim & 3) == CLAIM_CANCEL;
	if (canceled && seat->cancels != 1) {
		violation(seat, "canceled without a cancel function");
	}
	nng_err expected = canceled ? seat->reason : name_of(seat, round, BY_FINISH);
	if (seat->result != expected || seat->output != output_of(round, (enum claim)(claim & 3))) {
		violation(seat, "result and output are not the winner's");
	}
	/* From here on an abort would be this operation's successor's, if the rival had not left. */
	if (rival_has_left(seat) && roll(&pair->dice) % WITNESS_ONE_IN == 0) {
		home_start_witness(seat);
	}
}

/* ---- the home: a turn ---- */

static void
home_abort(struct seat *seat, uint64_t round)
{
	nng_err reason = name_of(seat, round, BY_HOME_ABORT);

	seat->home.enter = stamp();
	nng_aio_abort(seat->aio, reason);
	seat->home.leave = stamp();
}

/* An operation whose deadline has passed: refused by start, called off by begin and defer. */
static void
home_start_overdue(struct seat *seat)
{
	seat->step = STEP_RACE;
	seat->pair->started++;
	pinwheel_aio_set_deadline_ns(seat->aio, 1);
	seat->home.enter = stamp();
	if (!nng_aio_begin(seat->aio)) {
		violation(seat, "a begin was refused");
	}
	nng_aio_defer(seat->aio, home_on_cancel, seat);
	seat->home.leave = stamp();
}

/* Is the operation under way before the race? */
static bool
starts_first(enum pw_cancels_kind kind)
{
	return kind != PW_CANCELS_START && kind != PW_CANCELS_DEADLINE && kind != PW_CANCELS_EXPIRY &&
	    kind != PW_CANCELS_EXPIRY_FINISH;
}

/* Does the rival come to each call of the home, or to what follows? */
static bool
meets_calls(enum pw_cancels_kind kind)
{
	return !is_of_cancels(kind) && !is_of_loop(kind);
}

/* After how many of its calls the home tells the rival of the turn. To an expiry it is on its way when the home
 * leaves for its loop, or before; but not with a finish, which needs an operation. */
static unsigned
calls_before(struct pair *pair)
{
	return meets_calls(pair->kind)        ? 0
	    : pair->kind == PW_CANCELS_EXPIRY ? SEATS - (unsigned) (roll(&pair->dice) % 12)
					      : SEATS;
}

static void
home_act(struct seat *seat)
{
	struct pair *pair = seat->pair;
	nng_err result = name_of(seat, pair->round, BY_FINISH);

	switch (pair->kind) {
	case PW_CANCELS_FINISH_HOME:
		seat->home.enter = stamp();
		(void) end_as(seat, pair->round, CLAIM_FINISH, result);
		seat->home.leave = stamp();
		break;
	case PW_CANCELS_FINISH_AWAY:
	case PW_CANCELS_CANCEL_HOME:
	case PW_CANCELS_SECOND_ABORT:
		home_abort(seat, pair->round);
		break;
	case PW_CANCELS_START:
		seat->home.enter = stamp();
		home_start(seat);
		seat->home.leave = stamp();
		break;
	case PW_CANCELS_DEADLINE:
	case PW_CANCELS_EXPIRY:
	case PW_CANCELS_EXPIRY_FINISH:
		home_start_overdue(seat);
		break;
	default:
		break;
	}
}

static void
home_prepare(struct seat *seat)
{
	seat->cancels = 0;
	seat->reason = NNG_OK;
	atomic_store_explicit(&seat->claim, seat->pair->round << 2 | CLAIM_OPEN, memory_order_release);
	if (starts_first(seat->pair->kind)) {
		home_start(seat);
	}
}

/* What the rival had last, all at once. */
static void
home_fetch(struct pair *pair)
{
	for (unsigned i = 0; i < SEATS; i++) {
		__builtin_prefetch(&pair->seats[i].claim, 1);
		__builtin_prefetch(&pair->seats[i].rival_left, 0);
		__builtin_prefetch(pair->seats[i].aio, 1);
		__builtin_prefetch((char *) pair->seats[i].aio + 64, 1);
	}
}

static enum pw_cancels_kind
home_draw_kind(struct pair *pair)
{
	unsigned drawn = (unsigned) (roll(&pair->dice) % run.shares), kind = 0;

	while (drawn >= pw_cancels_books[kind].share) {
		drawn -= pw_cancels_books[kind++].share;
	}
	return (enum pw_cancels_kind) kind;
}

static void
home_open_turn(struct pair *pair)
{
	pair->round++;
	pair->kind = home_draw_kind(pair);
	pair->calls = 0;
	bool rests = pair->kind == PW_CANCELS_CANCEL_AWAY && roll(&pair->dice) % REST_ONE_IN == 0;
	uint64_t turn = pair->round << 8 | (rests ? TURN_REST : 0) | (uint64_t) pair->kind;

	for (unsigned i = 0; i < SEATS; i++) {
		home_prepare(&pair->seats[i]);
	}
	if (rests) {
		count(&pair->rests);
	}
	uint64_t due = now() + run.lead;
	unsigned before = calls_before(pair);
	pair->due = due;
	for (unsigned i = 0; i < SEATS; i++, due += run.pace[pair->kind]) {
		if (i == before) {
			atomic_store_explicit(&pair->turn, turn, memory_order_release);
		}
		if (meets_calls(pair->kind)) {
			until(due, run.skew, &pair->dice);
		}
		home_act(&pair->seats[i]);
	}
	pair->returned = stamp();
	if (before == SEATS) {
		atomic_store_explicit(&pair->turn, turn, memory_order_release);
	}
}

/* ---- the home: the verdict on a turn ---- */

/* L4. */
static void
home_check_order(struct seat *seat)
{
	enum pw_cancels_kind kind = seat->pair->kind;
	nng_err rival = name_of(seat, seat->pair->round, BY_RIVAL_ABORT);
	bool rival_first = seat->rival.leave + run.margin < seat->home.enter;
	bool rival_last = seat->rival.enter > seat->home.leave + run.margin;

	if (kind == PW_CANCELS_START && rival_first && seat->cancels != 0) {
		violation(seat, "an abort that had returned before the start hit the operation");
	}
	if (kind == PW_CANCELS_DEADLINE && rival_first && seat->reason == rival) {
		violation(seat, "an abort that had returned before the begin hit the operation");
	}
	if ((kind == PW_CANCELS_DEADLINE || kind == PW_CANCELS_EXPIRY) && rival_last &&
	    seat->rival.leave + run.margin < seat->pair->returned && seat->reason != rival) {
		violation(seat, "an abort was lost: the deadline, looked at later, gave the reason");
	}
	if ((kind == PW_CANCELS_DEADLINE || kind == PW_CANCELS_EXPIRY) && seat->reason == rival &&
	    seat->rival.enter > seat->cancel.enter + run.margin) {
		violation(seat, "the cancel function knew an abort that had not begun");
	}
	if (kind == PW_CANCELS_SECOND_ABORT &&
	    ((rival_first && seat->reason != rival) || (rival_last && seat->reason == rival))) {
		violation(seat, "the second of two aborts gave the reason");
	}
}

/* Did the two sides overlap? */
static bool
home_raced(const struct seat *seat)
{
	const struct pair *pair = seat->pair;

	switch (pair->kind) {
	case PW_CANCELS_CANCEL_HOME:
	case PW_CANCELS_CANCEL_AWAY:
	case PW_CANCELS_REQUEST:
		return seat->cancels != 0 && overlap(&seat->cancel, &seat->rival);
	case PW_CANCELS_EXPIRY:
		return overlap(&(struct span){ pair->returned, seat->cancel.enter }, &seat->rival);
	case PW_CANCELS_EXPIRY_FINISH:
		return seat->cancels != 0 &&
		    overlap(&(struct span){ pair->returned, seat->cancel.leave }, &seat->rival);
	default:
		return overlap(&seat->home, &seat->rival);
	}
}

/* And did the cancel win? */
static bool
home_canceled(const struct seat *seat)
{
	switch (seat->pair->kind) {
	case PW_CANCELS_DEADLINE:
	case PW_CANCELS_EXPIRY:
	case PW_CANCELS_SECOND_ABORT:
		return seat->reason == name_of(seat, seat->pair->round, BY_RIVAL_ABORT);
	default:
		return (atomic_load_explicit(&seat->claim, memory_order_relaxed) & 3) == CLAIM_CANCEL;
	}
}

static void
home_judge(struct seat *seat)
{
	struct pair *pair = seat->pair;
	struct tally *tally = &pair->tallies[pair->kind];

	if (nng_aio_busy(seat->aio)) {
		violation(seat, "busy after its operation");
	}
	if (nng_aio_result(seat->aio) != seat->result || nng_aio_get_output(seat->aio, 0) != seat->output) {
		violation(seat, "a result or an output changed after the callback");
	}
	if (pair->kind == PW_CANCELS_FINISH_HOME && home_canceled(seat)) {
		violation(seat, "the finish had the claim, and was not the winner");
	}
	home_check_order(seat);
	count(&tally->operations);
	if (home_raced(seat)) {
		pair->raced++;
		count(&tally->raced);
		if (home_canceled(seat)) {
			count(&tally->canceled);
		}
	}
}

/* The rival has left; what it and the home still owe. */
static void
home_end(struct seat *seat)
{
	const struct pair *pair = seat->pair;

	if (seat->step == STEP_WITNESS) {
		seat->step = STEP_WITNESS_ENDED;
		nng_aio_finish(seat->aio, name_of(seat, pair->round, BY_WITNESS));
	}
	/* The start may have won: then nobody else ends it. An abort that came after the start does. */
	if (seat->step == STEP_RACE && pair->kind == PW_CANCELS_START && seat->rival.enter <= seat->home.leave) {
		(void) end_as(seat, pair->round, CLAIM_FINISH, name_of(seat, pair->round, BY_FINISH));
	}
}

/* The rival has left the turn. Have all callbacks run? */
static bool
home_settled(struct pair *pair)
{
	bool over = true;

	for (unsigned i = 0; i < SEATS; i++) {
		over = over && pair->seats[i].step == STEP_OVER;
	}
	for (unsigned i = 0; !over && i < SEATS; i++) {
		home_end(&pair->seats[i]);
	}
	return over;
}

static void
home_close_turn(struct pair *pair)
{
	if (pair->round == 0) {
		return; /* none has been opened */
	}
	for (unsigned i = 0; i < SEATS; i++) {
		home_judge(&pair->seats[i]);
	}
	count(&pair->turns);
}

/* The conductor's callback. The rival ends the conductor's operation when it has left a turn, so what it did before
 * has been mailed before; after that the home calls itself until the last callback has run. */
static void
home_on_turn(void *arg)
{
	struct pair *pair = arg;

	if (!home_settled(pair)) {
		(void) nng_aio_start(pair->conductor, NULL, NULL);
		nng_aio_finish(pair->conductor, NNG_OK);
		return;
	}
	home_fetch(pair);
	home_close_turn(pair);
	if (pair->raced >= pair->quota || atomic_load_explicit(&run.stop, memory_order_relaxed)) {
		atomic_store_explicit(&pair->turn, TURN_OVER, memory_order_release);
		atomic_store_explicit(&pair->over, true, memory_order_release);
		return;
	}
	(void) nng_aio_start(pair->conductor, NULL, NULL);
	home_open_turn(pair);
}

/* ---- the command's thread ---- */

/* Nanoseconds on the clock of stamp(). */
static void
measure_clock(void)
{
	run.by_cycles = pw_clock_is_cycles();
	uint64_t from_ns = pw_clock_now_ns(), from = now();
	pw_clock_sleep_ns(PW_NS_PER_MS);
	double per_ns = (double) (now() - from) / (double) (pw_clock_now_ns() - from_ns);

	run.lead = (uint64_t) (LEAD_NS * per_ns);
	run.skew = (uint64_t) (SKEW_NS * per_ns);
	run.margin = (uint64_t) (MARGIN_NS * per_ns);
	for (unsigned kind = 0; kind < PW_CANCELS_KINDS; kind++) {
		run.shares += pw_cancels_books[kind].share;
		run.pace[kind] = (uint64_t) (pw_cancels_books[kind].pace_ns * per_ns);
		run.rival_skew[kind] = (uint64_t) ((SKEW_NS + pw_cancels_books[kind].late_ns) * per_ns);
	}
}

bool
pw_cancels_by_cycles(void)
{
	return run.by_cycles;
}

bool
pw_cancels_open(unsigned pairs)
{
	measure_clock();
	run.pairs = pairs <= PW_CANCELS_PAIRS_MAX ? aligned_alloc(64, pairs * sizeof(struct pair)) : NULL;
	if (run.pairs == NULL) {
		fprintf(stderr, "pinwheel storm: no memory for %u pairs of threads, at most %u\n", pairs,
		    PW_CANCELS_PAIRS_MAX);
		return false;
	}
	memset((void *) run.pairs, 0, pairs * sizeof(struct pair));
	run.count = pairs;
	return true;
}

bool
pw_cancels_prepare(unsigned n, uint64_t seed, uint64_t races, int cpu)
{
	struct pair *pair = &run.pairs[n];
	nng_err err = pinwheel_aio_alloc_on(&pair->conductor, (int) n, home_on_turn, pair);

	for (unsigned i = 0; err == NNG_OK && i < SEATS; i++) {
		struct seat *seat = &pair->seats[i];
		seat->pair = pair;
		seat->index = i;
		err = pinwheel_aio_alloc_on(&seat->aio, (int) n, home_on_complete, seat);
	}
	if (err != NNG_OK) {
		fprintf(stderr, "pinwheel storm: no handles: %s\n", nng_strerror(err));
		return false;
	}
	pair->dice =
	    ((seed + 1) * UINT64_C(0x2545f4914f6cdd1d) + n) | 1; /* not 0: a generator that shifts stays there */
	pair->rival_dice = ((seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + n) | 1;
	pair->quota = races;
	pair->cpu = cpu;
	return true;
}

bool
pw_cancels_start(void)
{
	for (unsigned i = 0; i < run.count; i++) {
		int err = pthread_create(&run.pairs[i].thread, NULL, rival_run, &run.pairs[i]);
		if (err != 0) {
			fprintf(stderr, "pinwheel storm: no thread: %s\n", strerror(err));
			return false;
		}
	}
	for (unsigned i = 0; i < run.count; i++) {
		(void) nng_aio_start(run.pairs[i].conductor, NULL, NULL);
		nng_aio_finish(run.pairs[i].conductor, NNG_OK);
	}
	return true;
}

void
pw_cancels_stop(void)
{
	atomic_store(&run.stop, true);
}

bool
pw_cancels_are_over(void)
{
	for (unsigned i = 0; i < run.count; i++) {
		if (!atomic_load_explicit(&run.pairs[i].over, memory_order_acquire)) {
			return false;
		}
	}
	return true;
}

void
pw_cancels_sum(struct pw_cancels_sums *sums)
{
	memset(sums, 0, sizeof(*sums));
	for (unsigned i = 0; i < run.count; i++) {
		struct pair *pair = &run.pairs[i];
		for (unsigned kind = 0; kind < PW_CANCELS_KINDS; kind++) {
			sums->operations[kind] += pair->tallies[kind].operations;
			sums->raced[kind] += pair->tallies[kind].raced;
			sums->canceled[kind] += pair->tallies[kind].canceled;
		}
		sums->witnesses += pair->witnesses;
		sums->rests += pair->rests;
		sums->turns += pair->turns;
	}
	for (unsigned kind = 0; kind < PW_CANCELS_KINDS; kind++) {
		sums->all_operations += sums->operations[kind];
		sums->all_raced += sums->raced[kind];
		sums->all_canceled += sums->canceled[kind];
	}
}

void
pw_cancels_print_still(uint64_t seconds)
{
	for (unsigned i = 0; i < run.count; i++) {
		struct pair *pair = &run.pairs[i];
		uint64_t turn = atomic_load(&pair->turn);
		unsigned left = 0;
		if (turn == TURN_OVER) {
			continue;
		}
		for (unsigned j = 0; j < SEATS; j++) {
			left += atomic_load(&pair->seats[j].rival_left) == turn >> 8;
		}
		fprintf(stderr,
		    "no turn for %" PRIu64 " s: pair %u is in turn %" PRIu64 " (%s), the rival has left %u of %u\n",
		    seconds, i, turn >> 8, pw_cancels_books[turn & TURN_KIND].name, left, SEATS);
	}
}

/* Read without order: this is the message of a run that has failed. */
void
pw_cancels_report_stall(void)
{
	for (unsigned i = 0; i < run.count; i++) {
		for (unsigned j = 0; j < SEATS; j++) {
			if (run.pairs[i].seats[j].step != STEP_OVER) {
				violation(&run.pairs[i].seats[j], "nothing moves any more");
			}
		}
	}
	pw_storm_violation("nothing moves any more", "with every operation ended");
}

void
pw_cancels_balance(struct pw_cancels_sums *sums)
{
	char detail[96];

	for (unsigned i = 0; i < run.count; i++) {
		pthread_join(run.pairs[i].thread, NULL);
	}
	pw_cancels_sum(sums);
	for (unsigned i = 0; i < run.count; i++) {
		sums->started += run.pairs[i].started;
		sums->ended += run.pairs[i].ended;
	}
	if (sums->started != sums->ended || sums->started != sums->all_operations + sums->witnesses) {
		snprintf(detail, sizeof(detail),
		    "%" PRIu64 " starts, %" PRIu64 " callbacks, %" PRIu64 " races, %" PRIu64 " witnesses",
		    sums->started, sums->ended, sums->all_operations, sums->witnesses);
		pw_storm_violation("the ledger does not balance", detail);
	}
}

void
pw_cancels_close(void)
{
	for (unsigned i = 0; i < run.count; i++) {
		for (unsigned j = 0; j < SEATS; j++) {
			nng_aio_free(run.pairs[i].seats[j].aio);
		}
		nng_aio_free(run.pairs[i].conductor);
	}
	free(run.pairs);
}

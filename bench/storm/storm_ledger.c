/* SPDX-License-Identifier: MIT
 *
 * storm_ledger.c: the ledger of a storm: what cannot be, whatever the threads did.
 *
 * An aio's own fields prove nothing about the aio, so everything is kept a second time, here, in atomics of its
 * own. What one seat goes through:
 *
 *   IDLE --take--> STARTING --accepted--> LIVE ----------------+--finish--> FINISHED --callback--> DELIVERED
 *    ^               | |  \--enter--> BEGUN --accepted--> LIVE |               |                    |    |
 *    |               | |                \----------------------+               | ended (skip)       |    |
 *    |               | \--enter--> RESET --------finish--------^               v                    |    |
 *    |               |                       CANCELLING -------^            (as DELIVERED)          |    |
 *    |               \--refused--> REFUSED --callback-----------------------------------------------+    |
 *    +-----------------------------release---------------------------------------------------------------+
 *                                                        (or take, inside the callback: STARTING again)
 *
 * Every step is one compare-and-swap on the entry's `op`, generation and phase together, so whoever comes late
 * finds another generation and knows it. The calls into the library stand between two steps: a step before says
 * what is about to be tried, a step after what came of it. Where the callback may overtake the second step, the
 * later one of the two checks both.
 *
 * What is a violation (the C numbers are VERIFICATION's):
 *   V1  a completion without an operation, a second one, or one that nobody gave cause for (C1)
 *   V2  two callbacks of one handle at once; a callback or cancel function beside the operation's other one (C1, R24)
 *   V3  result, count, output or message other than the winner gave, in the callback or later (C2, C4, C8)
 *   V4  a cancel function called twice for an operation, after it ended, or for a reason nobody gave to this
 *       operation. An abort's reason is a ticket that leads back to the call: one that had returned before an
 *       operation was taken can never be the reason of that operation's end (C4)
 *   V5  a deadline's or a sleep's end before its time, or where there was none (C7)
 *   V6  after stop, free or wait returned: an operation that was under way before and has not ended, its callback
 *       still running or coming later; a later start accepted; a callback of a released handle (C5, C6, C9)
 *   V7  a refusal without a reason for one, or the other way round (R9, R10, R15)
 *   V8  an abort or cancel that met an operation and was not answered by its end or its cancel function (C3);
 *       an operation that was finished, or whose time came, and never completed (C1); a message made and not
 *       accounted for (C8)
 *
 * What it cannot see: which of two calls that overlap in time came first. There it accepts either outcome.
 *
 * The table of cells says which states an attempt can meet: where one ends the operation, or has no effect.
 * The state is what the outside saw before the call; a cell is counted where that is certain enough: an end by the
 * reason that came with it, an abort or cancel without effect when the entry was the same after the call as before.
 */
#include "bench/storm/storm_ledger.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

const char *const pw_ledger_row_name[PW_LEDGER_ROWS] = {
	[PW_LEDGER_BY_FINISH] = "finish",
	[PW_LEDGER_BY_ABORT] = "abort",
	[PW_LEDGER_BY_CANCEL] = "cancel",
	[PW_LEDGER_BY_TIMEOUT] = "timeout",
	[PW_LEDGER_BY_STOP] = "stop",
	[PW_LEDGER_BY_FREE] = "free, reap",
	[PW_LEDGER_BY_REFUSAL] = "refusal",
	[PW_LEDGER_BY_SLEEP] = "sleep's end",
};

const char *const pw_ledger_column_name[PW_LEDGER_COLUMNS] = {
	[PW_LEDGER_ON_IDLE] = "idle",
	[PW_LEDGER_ON_RESET] = "reset",
	[PW_LEDGER_ON_BEGUN] = "begun",
	[PW_LEDGER_ON_DEFERRED] = "deferred",
	[PW_LEDGER_ON_CANCELLING] = "cancelling",
	[PW_LEDGER_ON_DONE] = "done",
	[PW_LEDGER_ON_RUNNING] = "running",
};

#define END PW_LEDGER_ENDS
#define NOT PW_LEDGER_NO_EFFECT
const uint8_t pw_ledger_effect[PW_LEDGER_ROWS][PW_LEDGER_COLUMNS] = {
	/*                        idle  reset begun deferred cancelling done running */
	[PW_LEDGER_BY_FINISH] = { 0, END, END, END, END, 0, 0 },
	[PW_LEDGER_BY_ABORT] = { NOT, NOT, END, END, NOT, NOT, NOT },
	[PW_LEDGER_BY_CANCEL] = { NOT, NOT, END, END, NOT, NOT, NOT },
	[PW_LEDGER_BY_TIMEOUT] = { 0, 0, END, END, 0, NOT, 0 },
	[PW_LEDGER_BY_STOP] = { NOT, NOT, END, END, NOT, NOT, NOT },
	[PW_LEDGER_BY_FREE] = { NOT, NOT, END, END, NOT, NOT, NOT },
	[PW_LEDGER_BY_REFUSAL] = { END, 0, 0, 0, 0, 0, END },
	[PW_LEDGER_BY_SLEEP] = { 0, 0, 0, END, 0, 0, 0 },
};
#undef END
#undef NOT

/* The bits of an entry's `spec`. */
#define SPEC_FORM 0x0fu
#define SPEC_MESSAGE_SHIFT 4
#define SPEC_MESSAGE 0x30u
#define SPEC_INSIDE 0x40u
#define SPEC_SKIP 0x80u
#define SPEC_STOPPED 0x100u
#define SPEC_OVERDUE 0x200u
#define SPEC_MAY_EXPIRE 0x400u
#define SPEC_MAY_WAKE 0x800u
#define SPEC_EXACT 0x1000u
#define SPEC_CANCELABLE 0x8000u
#define SPEC_LATE_DEFER 0x2000u /* the deadline had passed when defer was called */
#define SPEC_DIRECT 0x4000u     /* the cancel function finished it itself */

/* An abort's reason: bit 30, the tally's number, the ticket. No other code of the interface has bit 30. */
#define TICKET_MARK 0x40000000
#define TICKET_BITS 23
#define TICKET_MASK ((1u << TICKET_BITS) - 1)
_Static_assert(PW_LEDGER_TALLIES_MAX <= 1u << (30 - TICKET_BITS), "a tally's number fits a reason");
_Static_assert((PW_LEDGER_TICKETS & (PW_LEDGER_TICKETS - 1)) == 0, "a ring");

static uint64_t
pack(uint64_t operation, enum pw_ledger_phase phase)
{
	return operation << 4 | (uint64_t) phase;
}

/* One writer: its tally's owner. */
static void
count(_Atomic uint64_t *counter)
{
	uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
	atomic_store_explicit(counter, value + 1, memory_order_relaxed);
}

static void
count_cell(struct pw_ledger_tally *tally, unsigned row, unsigned column)
{
	count(&tally->counts.cell[row][column]);
}

__attribute__((format(printf, 5, 6))) static void
violation(struct pw_ledger *ledger, uint32_t index, uint64_t operation, const char *what, const char *format, ...)
{
	uint64_t handle = pw_ledger_handle_of(ledger, index);
	struct pw_ledger_violation report = { what, index, handle, operation, "" };
	va_list args;

	va_start(args, format);
	vsnprintf(report.detail, sizeof(report.detail), format, args);
	va_end(args);
	ledger->on_violation(&report, ledger->arg);
}

void
pw_ledger_report(struct pw_ledger *ledger, uint32_t index, const char *what, const char *detail)
{
	uint64_t op = atomic_load(&ledger->entries[index].op);
	violation(ledger, index, pw_ledger_operation_of(op), what, "%s", detail);
}

void *
pw_ledger_table(size_t size)
{
	void *table = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (table == MAP_FAILED) {
		return NULL;
	}
	(void) madvise(table, size, MADV_HUGEPAGE);
	memset(table, 0, size);
	return table;
}

void
pw_ledger_table_free(void *table, size_t size)
{
	if (table != NULL) {
		munmap(table, size);
	}
}

bool
pw_ledger_open(struct pw_ledger *ledger, uint32_t seats)
{
	memset(ledger, 0, sizeof(*ledger));
	ledger->count = seats;
	ledger->entries = pw_ledger_table((size_t) seats * sizeof(struct pw_ledger_entry));
	return ledger->entries != NULL;
}

struct pw_ledger_tally *
pw_ledger_add_tally(struct pw_ledger *ledger)
{
	struct pw_ledger_tally *tally = NULL;

	if (ledger->tally_count < PW_LEDGER_TALLIES_MAX) {
		tally = calloc(1, sizeof(*tally));
	}
	if (tally != NULL) {
		tally->number = ledger->tally_count;
		ledger->tallies[ledger->tally_count++] = tally;
	}
	return tally;
}

void
pw_ledger_close(struct pw_ledger *ledger)
{
	for (unsigned i = 0; i < ledger->tally_count; i++) {
		free(ledger->tallies[i]);
	}
	pw_ledger_table_free(ledger->entries, (size_t) ledger->count * sizeof(struct pw_ledger_entry));
	memset(ledger, 0, sizeof(*ledger));
}

uint64_t
pw_ledger_handle(struct pw_ledger *ledger, uint32_t index)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	uint64_t handle = pw_ledger_handle_of(ledger, index) + 1;

	atomic_store(&entry->stop_from, 0);
	atomic_store(&entry->cancel_from, 0);
	atomic_store(&entry->running, 0); /* a callback that has reaped its own handle may still be returning */
	atomic_store(&entry->result, NNG_OK);
	atomic_store(&entry->handle, handle << PW_LEDGER_FLAG_BITS);
	return handle;
}

/* ---- starting ---- */

uint64_t
pw_ledger_take(struct pw_ledger *ledger, uint32_t index, uint64_t inside)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	uint64_t op = inside != 0 ? pack(inside, PW_LEDGER_DELIVERED) : atomic_load(&entry->op);
	uint64_t operation = pw_ledger_operation_of(op) + 1;

	if (inside == 0 && pw_ledger_phase_of(op) != PW_LEDGER_IDLE) {
		return 0;
	}
	if (atomic_compare_exchange_strong(&entry->op, &op, pack(operation, PW_LEDGER_STARTING))) {
		return operation;
	}
	if (inside != 0) {
		violation(ledger, index, inside, "another completion came while a callback ran", "phase %u",
		    (unsigned) pw_ledger_phase_of(op));
	}
	return 0;
}

void
pw_ledger_kept(struct pw_ledger *ledger, uint32_t index, nng_err result)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	nng_err delivered = atomic_load(&entry->result);

	if (result != delivered) {
		violation(ledger, index, pw_ledger_operation_of(atomic_load(&entry->op)) - 1,
		    "the result changed after its completion", "delivered %d, now %d", delivered, result);
	}
}

static uint32_t
spec_bits(const struct pw_ledger_spec *spec)
{
	return (uint32_t) spec->form | (uint32_t) spec->message << SPEC_MESSAGE_SHIFT |
	    (spec->inside ? SPEC_INSIDE : 0) | (spec->skip ? SPEC_SKIP : 0) | (spec->stopped ? SPEC_STOPPED : 0) |
	    (spec->overdue ? SPEC_OVERDUE : 0) | (spec->may_expire ? SPEC_MAY_EXPIRE : 0) |
	    (spec->may_wake ? SPEC_MAY_WAKE : 0) | (spec->exact ? SPEC_EXACT : 0) |
	    (spec->cancelable ? SPEC_CANCELABLE : 0);
}

void
pw_ledger_start(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, uint64_t operation,
    struct pw_ledger_spec *spec)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];

	spec->stopped = (atomic_load(&entry->handle) & PW_LEDGER_STOP_RETURNED) != 0;
	atomic_store(&entry->spec, spec_bits(spec));
	atomic_store(&entry->deadline_ns, spec->deadline_ns);
	atomic_store(&entry->wake_ns, spec->wake_ns);
	atomic_store(&entry->abort_ns, 0);
	atomic_store(&entry->output, 0);
	atomic_store(&entry->ended_by, 0);
	count(&tally->counts.started);
	if (spec->message == PW_LEDGER_SEND) {
		count(&tally->counts.messages_made);
	}
	if (atomic_load(&entry->op) != pack(operation, PW_LEDGER_STARTING)) {
		violation(ledger, index, operation, "started by a thread that had not the right to", "form %d",
		    spec->form);
	}
}

void
pw_ledger_enter(struct pw_ledger *ledger, uint32_t index, uint64_t operation, enum pw_ledger_phase phase)
{
	uint64_t op = pack(operation, PW_LEDGER_STARTING);

	if (!atomic_compare_exchange_strong(&ledger->entries[index].op, &op, pack(operation, phase))) {
		violation(ledger, index, operation, "begun or reset, and something completed it before its provider",
		    "phase %u", (unsigned) pw_ledger_phase_of(op));
	}
}

void
pw_ledger_deferring(struct pw_ledger *ledger, uint32_t index, uint64_t now_ns)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];

	if (atomic_load(&entry->deadline_ns) <= now_ns) {
		atomic_fetch_or(&entry->spec, SPEC_LATE_DEFER);
	}
}

void
pw_ledger_accepted(struct pw_ledger *ledger, uint32_t index, uint64_t operation, const struct pw_ledger_spec *spec)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	uint64_t op = atomic_load(&entry->op);

	while (op == pack(operation, PW_LEDGER_STARTING) || op == pack(operation, PW_LEDGER_BEGUN)) {
		if (atomic_compare_exchange_weak(&entry->op, &op, pack(operation, PW_LEDGER_LIVE))) {
			break;
		}
	}
	if (spec->form != PW_LEDGER_START && spec->form != PW_LEDGER_BEGIN) {
		return;
	}
	if (spec->stopped) {
		violation(ledger, index, operation, "accepted although stop had returned before", "form %d",
		    spec->form);
	} else if (spec->form == PW_LEDGER_START && spec->overdue) {
		violation(ledger, index, operation, "accepted although its deadline had passed before", "start");
	} else if (atomic_load(&entry->refused_op) == operation) {
		violation(ledger, index, operation, "accepted, but its completion was a refusal's", "form %d",
		    spec->form);
	}
}

void
pw_ledger_refused(struct pw_ledger *ledger, uint32_t index, uint64_t operation, const struct pw_ledger_spec *spec)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	uint64_t op = pack(operation, PW_LEDGER_STARTING);

	if (atomic_compare_exchange_strong(&entry->op, &op, pack(operation, PW_LEDGER_REFUSED))) {
		return;
	}
	/* The completion has overtaken this thread. It must have looked like a refusal's. */
	if (pw_ledger_operation_of(op) == operation && atomic_load(&entry->refused_op) != operation) {
		violation(ledger, index, operation, "refused, yet it was treated as accepted", "form %d, phase %u",
		    spec->form, (unsigned) pw_ledger_phase_of(op));
	}
}

enum pw_ledger_message
pw_ledger_message_kind(const struct pw_ledger_entry *entry)
{
	return (enum pw_ledger_message)((atomic_load(&entry->spec) & SPEC_MESSAGE) >> SPEC_MESSAGE_SHIFT);
}

bool
pw_ledger_sleeps(const struct pw_ledger_entry *entry)
{
	return (atomic_load(&entry->spec) & SPEC_FORM) == PW_LEDGER_SLEEP;
}

bool
pw_ledger_is_foreign(const struct pw_ledger_entry *entry)
{
	return (atomic_load(&entry->spec) & SPEC_FORM) == PW_LEDGER_FOREIGN;
}

/* Nobody tells the ledger of its finish. */
static bool
ends_unseen(const struct pw_ledger_entry *entry)
{
	return pw_ledger_sleeps(entry) || pw_ledger_is_foreign(entry);
}

/* ---- why an operation ended ---- */

static struct pw_ledger_ticket *
find_ticket(struct pw_ledger *ledger, uint32_t index, nng_err reason)
{
	uint32_t number = ((uint32_t) reason & ~(uint32_t) TICKET_MARK) >> TICKET_BITS;
	uint32_t ticket = (uint32_t) reason & TICKET_MASK;

	if ((reason & TICKET_MARK) == 0 || reason < 0 || number >= ledger->tally_count) {
		return NULL;
	}
	struct pw_ledger_ticket *slot = &ledger->tallies[number]->tickets[ticket & (PW_LEDGER_TICKETS - 1)];
	uint64_t key = atomic_load(&slot->key);
	if (key >> 32 == ticket && (uint32_t) key != index) {
		violation(ledger, index, 0, "an abort of another aio", "it was given to aio %" PRIu32,
		    (uint32_t) key);
	}
	return slot;
}

static unsigned
column_of(uint64_t from, uint64_t operation)
{
	bool begun = from == pack(operation, PW_LEDGER_BEGUN);
	return begun ? PW_LEDGER_ON_BEGUN : PW_LEDGER_ON_DEFERRED;
}

/* row << 8 | column of an abort's reason. */
static uint32_t
judge_ticket(struct pw_ledger *ledger, uint32_t index, uint64_t operation, nng_err reason)
{
	struct pw_ledger_ticket *slot = find_ticket(ledger, index, reason);

	if (slot == NULL) {
		violation(ledger, index, operation, "ended for a reason that nobody gave", "%d", reason);
		return 0;
	}
	uint64_t key = atomic_load(&slot->key);
	uint64_t end = atomic_load(&slot->end);
	uint64_t from = atomic_load(&slot->from);
	uint64_t at_ns = atomic_load(&slot->at_ns);
	if (key >> 32 != ((uint32_t) reason & TICKET_MASK) || key != atomic_load(&slot->key)) {
		return PW_LEDGER_BY_ABORT << 8 |
		    PW_LEDGER_ON_DEFERRED; /* the ring has gone round: too old to judge */
	}
	if (operation < pw_ledger_operation_of(from) || (end != 0 && operation >= end)) {
		violation(ledger, index, operation, "ended by an abort of another operation",
		    "the abort began in operation %" PRIu64 " and returned before %" PRIu64,
		    pw_ledger_operation_of(from), end);
	}
	atomic_store(&ledger->entries[index].abort_ns, at_ns);
	return PW_LEDGER_BY_ABORT << 8 | column_of(from, operation);
}

static void
judge_deadline(struct pw_ledger *ledger, uint32_t index, uint64_t operation, uint64_t deadline_ns, uint64_t now_ns)
{
	if (deadline_ns == PINWHEEL_NEVER_NS) {
		violation(ledger, index, operation, "timed out without a deadline", "NNG_ETIMEDOUT");
	} else if (now_ns < deadline_ns) {
		violation(ledger, index, operation, "fired early", "%" PRIu64 " ns before its time",
		    deadline_ns - now_ns);
	}
}

/* row << 8 | column of a reason that a cancel function, or a sleep, was given. */
static uint32_t
judge(struct pw_ledger *ledger, uint32_t index, uint64_t operation, nng_err reason, uint64_t now_ns)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	uint64_t flags = atomic_load(&entry->handle) & PW_LEDGER_FLAGS;

	switch (reason) {
	case NNG_ETIMEDOUT:
		judge_deadline(ledger, index, operation, atomic_load(&entry->deadline_ns), now_ns);
		return PW_LEDGER_BY_TIMEOUT << 8 |
		    ((atomic_load(&entry->spec) & SPEC_LATE_DEFER) != 0 ? PW_LEDGER_ON_BEGUN : PW_LEDGER_ON_DEFERRED);
	case NNG_ESTOPPED:
		if ((flags & (PW_LEDGER_STOP_ASKED | PW_LEDGER_FREE_ASKED)) == 0) {
			violation(ledger, index, operation, "stopped, and nobody asked", "NNG_ESTOPPED");
		}
		return ((flags & PW_LEDGER_STOP_ASKED) != 0 ? PW_LEDGER_BY_STOP : PW_LEDGER_BY_FREE) << 8 |
		    column_of(atomic_load(&entry->stop_from), operation);
	case NNG_ECANCELED:
		if ((flags & PW_LEDGER_CANCEL_ASKED) == 0) {
			violation(ledger, index, operation, "cancelled, and nobody asked", "NNG_ECANCELED");
		}
		return PW_LEDGER_BY_CANCEL << 8 | column_of(atomic_load(&entry->cancel_from), operation);
	default:
		return judge_ticket(ledger, index, operation, reason);
	}
}

static void
judge_refusal(struct pw_ledger *ledger, uint32_t index, uint64_t operation, const struct pw_ledger_seen *seen)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	uint64_t flags = atomic_load(&entry->handle) & PW_LEDGER_FLAGS;
	uint32_t spec = atomic_load(&entry->spec);
	uint32_t form = spec & SPEC_FORM;

	if (form != PW_LEDGER_START && form != PW_LEDGER_BEGIN) {
		violation(ledger, index, operation, "completed, and nobody finished it", "result %d", seen->result);
	} else if (seen->result == NNG_ESTOPPED) {
		if ((flags & (PW_LEDGER_STOP_ASKED | PW_LEDGER_FREE_ASKED)) == 0) {
			violation(ledger, index, operation, "refused as stopped, and nobody asked", "form %u", form);
		}
	} else if (seen->result != NNG_ETIMEDOUT || form != PW_LEDGER_START) {
		violation(ledger, index, operation, "refused without a reason for it", "result %d", seen->result);
	} else if ((spec & SPEC_STOPPED) != 0) {
		violation(ledger, index, operation, "refused for its deadline on a stopped handle", "NNG_ETIMEDOUT");
	} else {
		judge_deadline(ledger, index, operation, atomic_load(&entry->deadline_ns), seen->now_ns);
	}
}

/* ---- cancelling ---- */

void
pw_ledger_cancel_enter(struct pw_ledger *ledger, uint32_t index, uint64_t operation, nng_err reason, uint64_t now_ns)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	uint64_t op = atomic_load(&entry->op);

	if (atomic_exchange(&entry->in_cancel, operation) != 0) {
		violation(ledger, index, operation, "two cancel functions of one aio at once", "reason %d", reason);
	}
	if (atomic_load(&entry->running) != 0) {
		violation(ledger, index, operation, "a cancel function beside the handle's callback", "reason %d",
		    reason);
	}
	for (;;) {
		enum pw_ledger_phase phase = pw_ledger_phase_of(op);
		if (pw_ledger_operation_of(op) != operation || phase == PW_LEDGER_IDLE ||
		    phase == PW_LEDGER_DELIVERED || phase == PW_LEDGER_REFUSED || phase == PW_LEDGER_RESET) {
			violation(ledger, index, operation, "a cancel function called for an operation that is over",
			    "operation %" PRIu64 ", phase %u now", pw_ledger_operation_of(op), (unsigned) phase);
			return;
		}
		if (phase == PW_LEDGER_CANCELLING || atomic_load(&entry->ended_by) != 0) {
			violation(ledger, index, operation, "the cancel function was called twice", "reason %d",
			    reason);
			return;
		}
		if (phase == PW_LEDGER_FINISHED ||
		    atomic_compare_exchange_weak(&entry->op, &op, pack(operation, PW_LEDGER_CANCELLING))) {
			break;
		}
	}
	uint32_t by = judge(ledger, index, operation, reason, now_ns);
	atomic_store(&entry->ended_by, by | 0x10000u);
}

void
pw_ledger_cancel_leave(struct pw_ledger *ledger, uint32_t index, uint64_t operation)
{
	(void) atomic_compare_exchange_strong(&ledger->entries[index].in_cancel, &operation, 0);
}

void
pw_ledger_cancel_lost(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index)
{
	uint32_t by = atomic_load(&ledger->entries[index].ended_by);

	if (by != 0) {
		count_cell(tally, by >> 8 & 0xff, PW_LEDGER_ON_DONE);
	}
}

/* ---- finishing ---- */

static unsigned
column_of_finish(enum pw_ledger_phase phase)
{
	switch (phase) {
	case PW_LEDGER_RESET:
		return PW_LEDGER_ON_RESET;
	case PW_LEDGER_BEGUN:
		return PW_LEDGER_ON_BEGUN;
	case PW_LEDGER_CANCELLING:
		return PW_LEDGER_ON_CANCELLING;
	default:
		return PW_LEDGER_ON_DEFERRED;
	}
}

static void
count_winner(struct pw_ledger_tally *tally, unsigned row, unsigned column)
{
	count_cell(tally, row, column);
	if (row == PW_LEDGER_BY_ABORT || row == PW_LEDGER_BY_CANCEL) {
		count(&tally->counts.aborts_won);
	}
}

void
pw_ledger_finish(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, uint64_t operation,
    bool by_cancel, nng_err result, uint64_t output, uint64_t now_ns)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	uint64_t op = atomic_load(&entry->op);
	enum pw_ledger_phase phase;

	atomic_store(&entry->given, result);
	atomic_store(&entry->output, output);
	atomic_store(&entry->finish_ns, now_ns);
	do {
		phase = pw_ledger_phase_of(op);
		if (pw_ledger_operation_of(op) != operation || phase == PW_LEDGER_IDLE ||
		    phase == PW_LEDGER_STARTING || phase >= PW_LEDGER_REFUSED) {
			violation(ledger, index, operation, "completed before its provider finished it",
			    "operation %" PRIu64 ", phase %u now", pw_ledger_operation_of(op), (unsigned) phase);
			return;
		}
	} while (!atomic_compare_exchange_weak(&entry->op, &op, pack(operation, PW_LEDGER_FINISHED)));

	count(&tally->counts.finished);
	uint32_t by = atomic_load(&entry->ended_by);
	if (by_cancel) {
		count_winner(tally, by >> 8 & 0xff, by & 0xff);
		if (atomic_load(&entry->in_cancel) == operation) {
			atomic_fetch_or(&entry->spec, SPEC_DIRECT);
		}
	} else {
		count_winner(tally, PW_LEDGER_BY_FINISH, column_of_finish(phase));
	}
	enum pw_ledger_message message = pw_ledger_message_kind(entry);
	if (result == NNG_OK && message == PW_LEDGER_SEND) {
		count(&tally->counts.messages_gone);
	} else if (result == NNG_OK && message == PW_LEDGER_RECEIVE) {
		count(&tally->counts.messages_made);
	}
}

/* ---- completions ---- */

/* What the slot must hold now; what is left in it is the consumer's, who takes it. */
static void
settle_message(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, uint64_t operation,
    const struct pw_ledger_seen *seen)
{
	enum pw_ledger_message message = pw_ledger_message_kind(&ledger->entries[index]);
	bool success = seen->result == NNG_OK;
	bool there = (message == PW_LEDGER_SEND && !success) || (message == PW_LEDGER_RECEIVE && success);
	uint64_t expected = there ? pw_ledger_message_of(index, operation) : 0;

	if (seen->message != expected) {
		violation(ledger, index, operation, "the message slot is not what the winner left",
		    "expected %" PRIx64 ", found %" PRIx64 ", result %d", expected, seen->message, seen->result);
	}
	if (there) {
		count(&tally->counts.messages_gone);
	}
}

static void
judge_finished(struct pw_ledger *ledger, uint32_t index, uint64_t operation, const struct pw_ledger_seen *seen)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	nng_err given = atomic_load(&entry->given);
	uint64_t output = atomic_load(&entry->output);

	if (seen->result != given) {
		violation(ledger, index, operation, "another result than finish was given", "given %d, seen %d",
		    given, seen->result);
	}
	if (seen->output != output) {
		violation(ledger, index, operation, "another output than the provider set",
		    "set %" PRIx64 ", seen %" PRIx64, output, seen->output);
	}
	if (seen->count != 0) {
		violation(ledger, index, operation, "a count that nobody gave", "%zu", seen->count);
	}
}

static void
count_refusal(struct pw_ledger_tally *tally, uint32_t spec)
{
	count(&tally->counts.refused);
	count_cell(tally, PW_LEDGER_BY_REFUSAL, (spec & SPEC_INSIDE) != 0 ? PW_LEDGER_ON_RUNNING : PW_LEDGER_ON_IDLE);
}

/* By a reason that somebody gave, when its finish is not seen. */
static void
judge_unseen(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, uint64_t operation,
    const struct pw_ledger_seen *seen)
{
	uint32_t spec = atomic_load(&ledger->entries[index].spec);
	uint32_t by = judge(ledger, index, operation, seen->result, seen->now_ns);
	bool refused = (seen->result == NNG_ESTOPPED && (spec & SPEC_STOPPED) != 0) ||
	    (seen->result == NNG_ETIMEDOUT && (spec & SPEC_OVERDUE) != 0);

	if (refused) {
		count_refusal(tally, spec);
	} else {
		count_winner(tally, by >> 8 & 0xff, by & 0xff);
	}
}

static void
judge_sleep(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, uint64_t operation,
    const struct pw_ledger_seen *seen)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	uint32_t spec = atomic_load(&entry->spec);
	uint64_t wake_ns = atomic_load(&entry->wake_ns);

	if ((spec & SPEC_STOPPED) != 0 && seen->result != NNG_ESTOPPED) {
		violation(ledger, index, operation, "a sleep on a handle whose stop had returned", "result %d",
		    seen->result);
	}
	if (seen->result == NNG_OK) {
		if (seen->now_ns < wake_ns || wake_ns == PINWHEEL_NEVER_NS) {
			violation(ledger, index, operation, "a sleep ended early", "%" PRIu64 " ns before its time",
			    wake_ns - seen->now_ns);
		}
		if ((spec & SPEC_MAY_WAKE) == 0) {
			violation(ledger, index, operation, "a sleep outlived its timeout", "result 0");
		}
		count_cell(tally, PW_LEDGER_BY_SLEEP, PW_LEDGER_ON_DEFERRED);
		return;
	}
	if (seen->result == NNG_ETIMEDOUT && (spec & SPEC_MAY_EXPIRE) == 0) {
		violation(ledger, index, operation, "a sleep timed out that ends before its timeout",
		    "NNG_ETIMEDOUT");
	}
	judge_unseen(ledger, tally, index, operation, seen);
}

static bool
is_reason(nng_err result)
{
	return result == NNG_ESTOPPED || result == NNG_ETIMEDOUT || result == NNG_ECANCELED ||
	    (result > 0 && (result & TICKET_MARK) != 0);
}

static void
judge_foreign(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, uint64_t operation,
    const struct pw_ledger_seen *seen)
{
	uint32_t spec = atomic_load(&ledger->entries[index].spec);

	if (seen->result != NNG_ESTOPPED && (spec & SPEC_STOPPED) != 0) {
		violation(ledger, index, operation, "started on a handle whose stop had returned, and not refused",
		    "result %d", seen->result);
	}
	if (is_reason(seen->result)) {
		judge_unseen(ledger, tally, index, operation, seen);
	} else {
		count_cell(tally, PW_LEDGER_BY_FINISH, PW_LEDGER_ON_DEFERRED);
	}
}

/* The completion of a start that no provider here knows of: a refusal's, a sleep's, a foreign one. */
static void
judge_unclaimed(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, uint64_t operation,
    const struct pw_ledger_seen *seen)
{
	uint32_t spec = atomic_load(&ledger->entries[index].spec);

	if ((spec & SPEC_FORM) == PW_LEDGER_FOREIGN) {
		judge_foreign(ledger, tally, index, operation, seen);
		return; /* outputs and count are its own */
	}
	if ((spec & SPEC_FORM) == PW_LEDGER_SLEEP) {
		judge_sleep(ledger, tally, index, operation, seen);
	} else {
		judge_refusal(ledger, index, operation, seen);
		count_refusal(tally, spec);
	}
	if (seen->output != 0 || seen->count != 0) {
		violation(ledger, index, operation, "an output or a count that nobody gave",
		    "output %" PRIx64 ", count %zu", seen->output, seen->count);
	}
}

void
pw_ledger_ended(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, uint64_t operation,
    const struct pw_ledger_spec *spec, const struct pw_ledger_seen *seen)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	uint64_t op = atomic_load(&entry->op);

	if (op == pack(operation, PW_LEDGER_FINISHED)) {
		judge_finished(ledger, index, operation, seen);
		count(&tally->counts.delivered);
		count(&tally->counts.skipped);
	} else if (op == pack(operation, PW_LEDGER_STARTING)) {
		if (spec->silent && seen->result != NNG_ESTOPPED) {
			violation(ledger, index, operation, "refused in the callback that delivered NNG_ESTOPPED",
			    "result %d", seen->result);
		}
		judge_unclaimed(ledger, tally, index, operation, seen);
		count(spec->skip ? &tally->counts.skipped : &tally->counts.silent);
	} else {
		violation(ledger, index, operation, "ended without a callback, and completed as well", "phase %u",
		    (unsigned) pw_ledger_phase_of(op));
		return;
	}
	settle_message(ledger, tally, index, operation, seen);
	atomic_store(&entry->result, seen->result);
	atomic_store(&entry->op, pack(operation, PW_LEDGER_DELIVERED));
}

void
pw_ledger_not_skipped(struct pw_ledger *ledger, uint32_t index, uint64_t operation)
{
	/* With a reap pending the callback is called as usual. */
	if ((pw_ledger_flags(ledger, index) & PW_LEDGER_FREE_ASKED) == 0) {
		violation(ledger, index, operation, "skip_callback was asked, and a callback comes", "same thread");
	}
}

/* Abort to callback and deadline to callback are measured where the engine alone is between them: a provider that
 * hands its cancel to another thread adds its own time, a relative deadline the time until start had read the clock. */
static void
measure(struct pw_ledger_entry *entry, enum pw_ledger_phase phase, const struct pw_ledger_seen *seen,
    struct pw_ledger_lag *lag)
{
	uint32_t spec = atomic_load(&entry->spec);
	bool direct = (spec & SPEC_DIRECT) != 0 || ((spec & SPEC_FORM) == PW_LEDGER_SLEEP && phase == PW_LEDGER_LIVE);
	uint64_t finish_ns = atomic_load(&entry->finish_ns);
	uint64_t abort_ns = atomic_load(&entry->abort_ns);
	uint64_t deadline_ns = atomic_load(&entry->deadline_ns);

	if (phase == PW_LEDGER_FINISHED && seen->now_ns >= finish_ns) {
		lag->has_finish = true;
		lag->finish_ns = seen->now_ns - finish_ns;
	}
	if (direct && (seen->result & TICKET_MARK) != 0 && abort_ns != 0 && seen->now_ns >= abort_ns) {
		lag->has_abort = true;
		lag->abort_ns = seen->now_ns - abort_ns;
	}
	if (direct && (spec & SPEC_EXACT) != 0 && seen->result == NNG_ETIMEDOUT && seen->now_ns >= deadline_ns) {
		lag->has_late = true;
		lag->late_ns = seen->now_ns - deadline_ns;
	}
}

static const char *
not_deliverable(enum pw_ledger_phase phase)
{
	switch (phase) {
	case PW_LEDGER_IDLE:
		return "a completion without an operation";
	case PW_LEDGER_DELIVERED:
		return "a second completion";
	default:
		return "completed, and nobody finished it";
	}
}

/* Moves the entry to DELIVERED and tells from which phase; IDLE: it was a violation. */
static enum pw_ledger_phase
deliver(struct pw_ledger *ledger, uint32_t index, const struct pw_ledger_seen *seen, uint64_t *operation)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	uint64_t op = atomic_load(&entry->op);

	for (;;) {
		enum pw_ledger_phase phase = pw_ledger_phase_of(op);
		*operation = pw_ledger_operation_of(op);
		bool unseen = ends_unseen(entry);
		bool refusal = phase == PW_LEDGER_STARTING || phase == PW_LEDGER_REFUSED;
		if (phase != PW_LEDGER_FINISHED && !refusal && !(unseen && phase == PW_LEDGER_LIVE)) {
			violation(ledger, index, *operation, not_deliverable(phase), "phase %u, result %d",
			    (unsigned) phase, seen->result);
			return PW_LEDGER_IDLE;
		}
		if (refusal) {
			atomic_store(&entry->refused_op, *operation);
		}
		if (atomic_compare_exchange_strong(&entry->op, &op, pack(*operation, PW_LEDGER_DELIVERED))) {
			return phase;
		}
		if (refusal) {
			atomic_store(&entry->refused_op, 0);
		}
	}
}

uint64_t
pw_ledger_callback_enter(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, uint64_t handle,
    const struct pw_ledger_seen *seen, struct pw_ledger_lag *lag)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	uint64_t operation = pw_ledger_operation_of(atomic_load(&entry->op));

	memset(lag, 0, sizeof(*lag));
	if (pw_ledger_handle_of(ledger, index) != handle) {
		violation(ledger, index, operation, "a callback of a handle that was released", "handle %" PRIu64,
		    handle);
		return 0;
	}
	if (atomic_exchange(&entry->running, operation) != 0) {
		violation(ledger, index, operation, "two callbacks of one aio at once", "result %d", seen->result);
	}
	if (atomic_load(&entry->in_cancel) != 0) {
		violation(ledger, index, operation, "a callback beside its cancel function", "result %d",
		    seen->result);
	}
	if (operation <= atomic_load(&entry->floor)) {
		violation(ledger, index, operation, "a callback after stop returned", "result %d", seen->result);
	}
	enum pw_ledger_phase phase = deliver(ledger, index, seen, &operation);
	if (phase == PW_LEDGER_IDLE) {
		return 0;
	}
	if (phase == PW_LEDGER_FINISHED) {
		judge_finished(ledger, index, operation, seen);
		count(&tally->counts.delivered);
	} else {
		judge_unclaimed(ledger, tally, index, operation, seen);
	}
	settle_message(ledger, tally, index, operation, seen);
	measure(entry, phase, seen, lag);
	count(&tally->counts.called_back);
	atomic_store(&entry->result, seen->result);
	return operation;
}

void
pw_ledger_release(struct pw_ledger *ledger, uint32_t index, uint64_t operation)
{
	uint64_t op = pack(operation, PW_LEDGER_DELIVERED);

	if (!atomic_compare_exchange_strong(&ledger->entries[index].op, &op, pack(operation, PW_LEDGER_IDLE))) {
		violation(ledger, index, operation, "another completion came while a callback ran",
		    "operation %" PRIu64 ", phase %u now", pw_ledger_operation_of(op),
		    (unsigned) pw_ledger_phase_of(op));
	}
}

void
pw_ledger_callback_leave(struct pw_ledger *ledger, uint32_t index, uint64_t operation)
{
	(void) atomic_compare_exchange_strong(&ledger->entries[index].running, &operation, 0);
}

/* ---- attempts from outside ---- */

/* The column of what an attempt meets; COLUMNS: not certain (being started), or where it would end the operation. */
static unsigned
column_of_attempt(const struct pw_ledger_view *view)
{
	switch (pw_ledger_phase_of(view->op)) {
	case PW_LEDGER_IDLE:
		return view->running != 0 ? PW_LEDGER_ON_RUNNING : PW_LEDGER_ON_IDLE;
	case PW_LEDGER_DELIVERED:
		return PW_LEDGER_ON_RUNNING;
	case PW_LEDGER_RESET:
		return PW_LEDGER_ON_RESET;
	case PW_LEDGER_CANCELLING:
		return PW_LEDGER_ON_CANCELLING;
	case PW_LEDGER_FINISHED:
	case PW_LEDGER_REFUSED:
		return PW_LEDGER_ON_DONE;
	default:
		return PW_LEDGER_COLUMNS;
	}
}

static struct pw_ledger_view
look(struct pw_ledger *ledger, uint32_t index)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	struct pw_ledger_view view = { atomic_load(&entry->op), 0 };

	view.running = atomic_load(&entry->running);
	return view;
}

/* The abort has returned. What it met must be answered: ended, or its cancel function called. */
static void
note_attempt(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, unsigned row,
    const struct pw_ledger_view *view)
{
	enum pw_ledger_phase phase = pw_ledger_phase_of(view->op);
	if (phase == PW_LEDGER_BEGUN || phase == PW_LEDGER_LIVE) {
		atomic_store(&ledger->entries[index].aborted_op, pw_ledger_operation_of(view->op));
	}
	struct pw_ledger_view now = look(ledger, index);
	unsigned column = column_of_attempt(view);

	if (column != PW_LEDGER_COLUMNS && now.op == view->op && now.running == view->running) {
		count_cell(tally, row, column);
	}
}

struct pw_ledger_view
pw_ledger_stop_enter(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, enum pw_ledger_row row)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	struct pw_ledger_view view = look(ledger, index);

	if (row == PW_LEDGER_ROWS) {
		return view;
	}
	uint64_t none = 0;
	(void) atomic_compare_exchange_strong(&entry->stop_from, &none, view.op);
	atomic_fetch_or(&entry->handle, row == PW_LEDGER_BY_STOP ? PW_LEDGER_STOP_ASKED : PW_LEDGER_FREE_ASKED);
	unsigned column = column_of_attempt(&view);
	if (column != PW_LEDGER_COLUMNS) {
		count_cell(tally, row, column);
	}
	return view;
}

/* Was what the view shows certainly accepted, or over, before the call? Then the call had to wait for it. A
 * skipped completion and a finish after reset end on their own thread, without anything to wait for. */
static bool
waited_for(uint64_t op, uint32_t spec)
{
	bool skips = (spec & SPEC_SKIP) != 0;
	bool unseen = skips || (spec & SPEC_FORM) == PW_LEDGER_SYNC;

	switch (pw_ledger_phase_of(op)) {
	case PW_LEDGER_IDLE:
	case PW_LEDGER_LIVE:
	case PW_LEDGER_CANCELLING:
		return true;
	case PW_LEDGER_DELIVERED:
		return !skips;
	case PW_LEDGER_BEGUN:
	case PW_LEDGER_REFUSED:
	case PW_LEDGER_FINISHED:
		return !unseen;
	default:
		return false;
	}
}

static void
raise_floor(struct pw_ledger_entry *entry, uint64_t floor)
{
	uint64_t old = atomic_load(&entry->floor);

	while (old < floor && !atomic_compare_exchange_weak(&entry->floor, &old, floor)) {
	}
}

void
pw_ledger_stop_leave(struct pw_ledger *ledger, uint32_t index, const struct pw_ledger_view *view,
    enum pw_ledger_row row)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	uint64_t before = pw_ledger_operation_of(view->op);
	uint32_t spec = atomic_load(&entry->spec);
	uint64_t running = atomic_load(&entry->running);
	uint64_t op = atomic_load(&entry->op);
	bool same = pw_ledger_operation_of(op) == before; /* then spec is the viewed operation's */
	bool waited = same ? waited_for(view->op, spec) : waited_for(view->op, SPEC_SKIP);

	if (same && waited && pw_ledger_phase_of(op) != PW_LEDGER_IDLE) {
		violation(ledger, index, before, "returned while the operation was under way",
		    "%s, phase %u then, %u now", row < PW_LEDGER_ROWS ? pw_ledger_row_name[row] : "wait",
		    (unsigned) pw_ledger_phase_of(view->op), (unsigned) pw_ledger_phase_of(op));
	}
	uint64_t bound = waited ? before : before - 1;
	if (running != 0 && running <= bound) {
		violation(ledger, index, running, "returned while the callback ran", "%s",
		    row < PW_LEDGER_ROWS ? pw_ledger_row_name[row] : "wait");
	}
	if (row == PW_LEDGER_BY_STOP) {
		raise_floor(entry, bound);
		pw_ledger_stop_marked(ledger, index);
	} else if (row == PW_LEDGER_BY_FREE && (pw_ledger_phase_of(op) != PW_LEDGER_IDLE || running != 0)) {
		violation(ledger, index, before, "free returned on a handle that is in use", "phase %u",
		    (unsigned) pw_ledger_phase_of(op));
	}
}

void
pw_ledger_stop_marked(struct pw_ledger *ledger, uint32_t index)
{
	atomic_fetch_or(&ledger->entries[index].handle, PW_LEDGER_STOP_RETURNED);
}

nng_err
pw_ledger_abort_enter(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, uint64_t now_ns,
    struct pw_ledger_view *view)
{
	uint32_t ticket = ++tally->ticket & TICKET_MASK;
	struct pw_ledger_ticket *slot = &tally->tickets[ticket & (PW_LEDGER_TICKETS - 1)];

	*view = look(ledger, index);
	count(&tally->counts.aborts);
	atomic_store(&slot->key, UINT64_MAX);
	atomic_store(&slot->end, 0);
	atomic_store(&slot->from, view->op);
	atomic_store(&slot->at_ns, now_ns);
	atomic_store(&slot->key, (uint64_t) ticket << 32 | index);
	return (nng_err) ((uint32_t) TICKET_MARK | tally->number << TICKET_BITS | ticket);
}

void
pw_ledger_abort_leave(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, nng_err reason,
    const struct pw_ledger_view *view)
{
	struct pw_ledger_ticket *slot = &tally->tickets[(uint32_t) reason & TICKET_MASK & (PW_LEDGER_TICKETS - 1)];

	atomic_store(&slot->end, pw_ledger_operation_of(atomic_load(&ledger->entries[index].op)) + 1);
	note_attempt(ledger, tally, index, PW_LEDGER_BY_ABORT, view);
}

struct pw_ledger_view
pw_ledger_cancel_asked(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	struct pw_ledger_view view = look(ledger, index);

	count(&tally->counts.aborts);
	atomic_store(&entry->cancel_from, view.op);
	atomic_fetch_or(&entry->handle, PW_LEDGER_CANCEL_ASKED);
	return view;
}

void
pw_ledger_cancel_returned(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index,
    const struct pw_ledger_view *view)
{
	note_attempt(ledger, tally, index, PW_LEDGER_BY_CANCEL, view);
}

/* ---- the balance ---- */

bool
pw_ledger_is_overdue(struct pw_ledger *ledger, uint32_t index, uint64_t now_ns, uint64_t limit_ns)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	uint64_t op = atomic_load(&entry->op);
	uint64_t due_ns = PINWHEEL_NEVER_NS;

	if (pw_ledger_phase_of(op) == PW_LEDGER_FINISHED) {
		due_ns = atomic_load(&entry->finish_ns);
	} else if (pw_ledger_phase_of(op) == PW_LEDGER_LIVE) {
		uint64_t deadline_ns = atomic_load(&entry->deadline_ns);
		uint64_t wake_ns = atomic_load(&entry->wake_ns);
		due_ns = deadline_ns < wake_ns ? deadline_ns : wake_ns;
	}
	return due_ns < now_ns && now_ns - due_ns > limit_ns && atomic_load(&entry->op) == op;
}

void
pw_ledger_overdue(struct pw_ledger *ledger, uint32_t index, uint64_t now_ns, uint64_t limit_ns)
{
	if (pw_ledger_is_overdue(ledger, index, now_ns, limit_ns)) {
		uint64_t op = atomic_load(&ledger->entries[index].op);
		violation(ledger, index, pw_ledger_operation_of(op), "its completion never came",
		    "phase %u, due for more than %" PRIu64 " ms", (unsigned) pw_ledger_phase_of(op), limit_ns / 1000000);
	}
}

bool
pw_ledger_is_unanswered(struct pw_ledger *ledger, uint32_t index)
{
	struct pw_ledger_entry *entry = &ledger->entries[index];
	uint64_t op = atomic_load(&entry->op);
	bool cancelable = (atomic_load(&entry->spec) & SPEC_CANCELABLE) != 0;

	return pw_ledger_phase_of(op) == PW_LEDGER_LIVE && cancelable &&
	    atomic_load(&entry->aborted_op) == pw_ledger_operation_of(op) && atomic_load(&entry->op) == op;
}

void
pw_ledger_unanswered(struct pw_ledger *ledger, uint32_t index)
{
	if (pw_ledger_is_unanswered(ledger, index)) {
		violation(ledger, index, pw_ledger_operation_of(atomic_load(&ledger->entries[index].op)),
		    "an abort was lost", "its cancel function has not been called");
	}
}

void
pw_ledger_sum(const struct pw_ledger *ledger, struct pw_ledger_counts *sum)
{
	memset(sum, 0, sizeof(*sum));
	_Static_assert(sizeof(*sum) % sizeof(_Atomic uint64_t) == 0, "counters alone");
	for (unsigned i = 0; i < ledger->tally_count; i++) {
		_Atomic uint64_t *from = (_Atomic uint64_t *) &ledger->tallies[i]->counts;
		_Atomic uint64_t *to = (_Atomic uint64_t *) sum;
		for (size_t k = 0; k < sizeof(*sum) / sizeof(*to); k++) {
			to[k] += atomic_load_explicit(&from[k], memory_order_relaxed);
		}
	}
}

uint64_t
pw_ledger_backlog(const struct pw_ledger *ledger)
{
	uint64_t finished = 0;
	uint64_t delivered = 0;

	for (unsigned i = 0; i < ledger->tally_count; i++) {
		const struct pw_ledger_counts *counts = &ledger->tallies[i]->counts;
		delivered += atomic_load_explicit(&counts->delivered, memory_order_relaxed);
		finished += atomic_load_explicit(&counts->finished, memory_order_relaxed);
	}
	return finished > delivered ? finished - delivered : 0;
}

bool
pw_ledger_balance(struct pw_ledger *ledger, struct pw_ledger_counts *sum)
{
	pw_ledger_sum(ledger, sum);
	for (uint32_t i = 0; i < ledger->count; i++) {
		uint64_t op = atomic_load(&ledger->entries[i].op);
		if (pw_ledger_phase_of(op) != PW_LEDGER_IDLE) {
			violation(ledger, i, pw_ledger_operation_of(op), "never ended", "phase %u",
			    (unsigned) pw_ledger_phase_of(op));
			return false;
		}
	}
	uint64_t ended = sum->called_back + sum->skipped + sum->silent;
	if (sum->started != ended) {
		violation(ledger, 0, 0, "starts and ends do not balance", "%" PRIu64 " starts, %" PRIu64 " ends",
		    (uint64_t) sum->started, ended);
		return false;
	}
	if (sum->messages_made != sum->messages_gone) {
		violation(ledger, 0, 0, "messages do not balance", "%" PRIu64 " made, %" PRIu64 " gone",
		    (uint64_t) sum->messages_made, (uint64_t) sum->messages_gone);
		return false;
	}
	return true;
}

unsigned
pw_ledger_empty_cells(const struct pw_ledger_counts *sum, char *text, size_t size)
{
	unsigned empty = 0;
	size_t used = 0;

	for (unsigned row = 0; row < PW_LEDGER_ROWS; row++) {
		for (unsigned column = 0; column < PW_LEDGER_COLUMNS; column++) {
			if (pw_ledger_effect[row][column] == PW_LEDGER_UNREACHABLE || sum->cell[row][column] != 0) {
				continue;
			}
			if (used < size) {
				used += (size_t) snprintf(text + used, size - used, "%s%s on %s", empty == 0 ? "" : "; ",
				    pw_ledger_row_name[row], pw_ledger_column_name[column]);
			}
			empty++;
		}
	}
	return empty;
}

/* SPDX-License-Identifier: MIT
 *
 * storm_ledger.h: what must be true of N aios, kept outside of them. See storm_ledger.c for its book.
 *
 * It knows no aio: an entry stands for a *seat* (an index), which one handle after another sits on, each with its
 * generation, and on each handle one operation after another, each with its own. The caller tells what it is about
 * to do and what it saw; the ledger says (once, through on_violation) what cannot be.
 *
 * who                                          progress
 * every function but open, close, balance      any thread, lock-free, at once for the same seat
 * a tally                                      written by one thread
 */
#ifndef PINWHEEL_BENCH_STORM_LEDGER_H
#define PINWHEEL_BENCH_STORM_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pinwheel/pinwheel.h>

#define PW_LEDGER_INDEX_BITS 28
#define PW_LEDGER_SEATS_MAX (UINT32_C(1) << PW_LEDGER_INDEX_BITS)
#define PW_LEDGER_NO_SEAT UINT32_MAX /* of a violation that concerns none */
#define PW_LEDGER_TALLIES_MAX 128u

/* Where an operation is, as far as the outside can know. */
enum pw_ledger_phase {
	PW_LEDGER_IDLE = 0,       /* none; whoever moves it to STARTING has the right to start */
	PW_LEDGER_STARTING = 1,   /* someone has that right; the call that accepts has not returned */
	PW_LEDGER_RESET = 2,      /* reset, not finished */
	PW_LEDGER_BEGUN = 3,      /* begun, not deferred */
	PW_LEDGER_LIVE = 4,       /* accepted, asynchronous */
	PW_LEDGER_CANCELLING = 5, /* its cancel function was called */
	PW_LEDGER_REFUSED = 6,    /* the start said false; its completion is to come */
	PW_LEDGER_FINISHED = 7,   /* finish is about to be called, or was */
	PW_LEDGER_DELIVERED = 8,  /* the callback has begun, and has the right to start */
	PW_LEDGER_PHASES
};

/* How an operation is started. */
enum pw_ledger_form {
	PW_LEDGER_START,   /* nng_aio_start */
	PW_LEDGER_BEGIN,   /* nng_aio_begin, then defer or finish */
	PW_LEDGER_DEFER,   /* nng_aio_defer alone: implies begin, is never refused */
	PW_LEDGER_SYNC,    /* nng_aio_reset, then finish */
	PW_LEDGER_SLEEP,   /* a sleep: the engine is the provider */
	PW_LEDGER_FOREIGN, /* the provider is not the storm's: its finish is not seen */
};

enum pw_ledger_message {
	PW_LEDGER_NO_MESSAGE,
	PW_LEDGER_SEND,    /* in the slot at the start; success: the provider took it; error: still there */
	PW_LEDGER_RECEIVE, /* success: the provider has put it there; error: nothing there */
};

/* The winner matrix: who (rows) met which state (columns). */
enum pw_ledger_row {
	PW_LEDGER_BY_FINISH,
	PW_LEDGER_BY_ABORT,
	PW_LEDGER_BY_CANCEL,
	PW_LEDGER_BY_TIMEOUT,
	PW_LEDGER_BY_STOP,
	PW_LEDGER_BY_FREE,
	PW_LEDGER_BY_REFUSAL,
	PW_LEDGER_BY_SLEEP,
	PW_LEDGER_ROWS
};
enum pw_ledger_column {
	PW_LEDGER_ON_IDLE,
	PW_LEDGER_ON_RESET,
	PW_LEDGER_ON_BEGUN,
	PW_LEDGER_ON_DEFERRED,
	PW_LEDGER_ON_CANCELLING,
	PW_LEDGER_ON_DONE,
	PW_LEDGER_ON_RUNNING,
	PW_LEDGER_COLUMNS
};
extern const char *const pw_ledger_row_name[PW_LEDGER_ROWS];
extern const char *const pw_ledger_column_name[PW_LEDGER_COLUMNS];

/* What may happen in a cell: nothing, an operation ends, or the attempt has no effect. */
enum pw_ledger_effect {
	PW_LEDGER_UNREACHABLE,
	PW_LEDGER_ENDS,
	PW_LEDGER_NO_EFFECT
};
extern const uint8_t pw_ledger_effect[PW_LEDGER_ROWS][PW_LEDGER_COLUMNS];

struct pw_ledger_ticket {
	_Atomic uint64_t key;  /* ticket << 32 | index: whose abort this was */
	_Atomic uint64_t end;  /* the first operation it cannot have met, 0: it has not returned */
	_Atomic uint64_t from; /* generation << 4 | phase before it */
	_Atomic uint64_t at_ns;
};
#define PW_LEDGER_TICKETS 4096u

/* What is counted. The sum over all threads is the balance. */
struct pw_ledger_counts {
	_Atomic uint64_t started; /* calls that could accept an operation */
	_Atomic uint64_t called_back;
	_Atomic uint64_t skipped;   /* ended through nng_aio_skip_callback */
	_Atomic uint64_t finished;  /* finish calls */
	_Atomic uint64_t delivered; /* of called_back and skipped, how many such a call was the cause of */
	_Atomic uint64_t silent;    /* refused in the own callback that delivered NNG_ESTOPPED: no completion */
	_Atomic uint64_t refused;   /* of called_back, skipped and silent, how many were refusals */
	_Atomic uint64_t aborts;    /* nng_aio_abort and nng_aio_cancel calls */
	_Atomic uint64_t aborts_won;
	_Atomic uint64_t messages_made;
	_Atomic uint64_t messages_gone;
	_Atomic uint64_t cell[PW_LEDGER_ROWS][PW_LEDGER_COLUMNS];
};

/* One thread's page of the ledger: its counts, and its last aborts. */
struct pw_ledger_tally {
	struct pw_ledger_counts counts;
	unsigned number;
	uint32_t ticket; /* the last one */
	struct pw_ledger_ticket tickets[PW_LEDGER_TICKETS];
};

struct pw_ledger_entry {
	_Alignas(64) _Atomic uint64_t op; /* generation << 4 | phase */
	_Atomic uint64_t handle;          /* generation << 8 | PW_LEDGER_* flags */
	_Atomic uint64_t running;         /* the operation whose callback runs, 0: none */
	_Atomic uint64_t in_cancel;       /* the operation whose cancel function runs, 0: none */
	_Atomic uint64_t floor;           /* stop has returned: no callback up to this operation any more */
	_Atomic uint64_t refused_op;      /* the last operation whose completion could only be a refusal's */
	_Atomic uint64_t deadline_ns;
	_Atomic uint64_t wake_ns;   /* a sleep's own end */
	_Atomic uint64_t finish_ns; /* when finish was called */
	_Atomic uint64_t abort_ns;
	_Atomic uint64_t stop_from; /* generation << 4 | phase that the first stop, free or reap met */
	_Atomic uint64_t cancel_from;
	_Atomic uint64_t aborted_op; /* the last operation that an abort or cancel which has returned met under way */
	_Atomic uint64_t output;
	_Atomic uint32_t spec;
	_Atomic int32_t given;
	_Atomic int32_t result;    /* what the last completion delivered */
	_Atomic uint32_t ended_by; /* row << 8 | column, when a cancel function was called */
};

struct pw_ledger_violation {
	const char *what;
	uint32_t index;
	uint64_t handle;
	uint64_t operation;
	char detail[160];
};

struct pw_ledger {
	uint32_t count;
	struct pw_ledger_entry *entries;
	struct pw_ledger_tally *tallies[PW_LEDGER_TALLIES_MAX];
	unsigned tally_count;
	void (*on_violation)(const struct pw_ledger_violation *violation, void *arg);
	void *arg;
};

/* Flags of a handle. Set before the call they are named after. */
#define PW_LEDGER_STOP_ASKED 0x01u
#define PW_LEDGER_STOP_RETURNED 0x02u /* set after it */
#define PW_LEDGER_FREE_ASKED 0x04u    /* free, reap or close */
#define PW_LEDGER_CANCEL_ASKED 0x08u
#define PW_LEDGER_FLAG_BITS 8
#define PW_LEDGER_FLAGS 0xffu

/* What one operation is to be. */
struct pw_ledger_spec {
	enum pw_ledger_form form;
	enum pw_ledger_message message;
	bool inside;          /* started in the handle's own callback */
	bool silent;          /* and that callback delivered NNG_ESTOPPED: a refusal has no completion */
	bool skip;            /* nng_aio_skip_callback was asked */
	bool overdue;         /* the deadline had passed before the call: a start must refuse */
	bool stopped;         /* pw_ledger_start's: stop had returned before the call: it must be refused */
	uint64_t deadline_ns; /* not earlier than this; PINWHEEL_NEVER_NS: none */
	uint64_t wake_ns;     /* a sleep's end, not earlier than this; PINWHEEL_NEVER_NS */
	bool cancelable;      /* it has a cancel function, or is a sleep */
	bool exact;           /* deadline_ns is the engine's own, not a lower bound of it */
	bool may_expire;      /* a sleep: its timeout may come before its end */
	bool may_wake;        /* and the other way round */
};

/* What a completion showed. */
struct pw_ledger_seen {
	nng_err result;
	size_t count;
	uint64_t message;
	uint64_t output;
	uint64_t now_ns;
};

/* How long it took: 0 where it does not apply. */
struct pw_ledger_lag {
	uint64_t finish_ns;
	uint64_t abort_ns;
	uint64_t late_ns;
	bool has_finish;
	bool has_abort;
	bool has_late;
};

/* A table of zeroed records, resident, on huge pages where the kernel has them: a storm touches it at random, and
 * would wait for the page tables else. NULL: no memory. */
void *pw_ledger_table(size_t size);
void pw_ledger_table_free(void *table, size_t size);

/* False: no memory. Tallies are added by the thread that opens, before the others run. */
bool pw_ledger_open(struct pw_ledger *ledger, uint32_t count);
struct pw_ledger_tally *pw_ledger_add_tally(struct pw_ledger *ledger);
void pw_ledger_close(struct pw_ledger *ledger);

/* A new handle sits down; the caller has the seat for itself. Its generation. */
uint64_t pw_ledger_handle(struct pw_ledger *ledger, uint32_t index);

/* The right to start: from idle or, inside the own callback of operation `inside`, from that. The new operation's
 * generation; 0: someone else has the right. */
uint64_t pw_ledger_take(struct pw_ledger *ledger, uint32_t index, uint64_t inside);
/* The result is still what the last completion delivered. The caller has the right to start. */
void pw_ledger_kept(struct pw_ledger *ledger, uint32_t index, nng_err result);
/* Directly before the call. The spec is the caller's until the operation's start has returned. */
void pw_ledger_start(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, uint64_t operation,
    struct pw_ledger_spec *spec);
/* After begin or reset: BEGUN or RESET. */
void pw_ledger_enter(struct pw_ledger *ledger, uint32_t index, uint64_t operation, enum pw_ledger_phase phase);
/* Directly before defer. */
void pw_ledger_deferring(struct pw_ledger *ledger, uint32_t index, uint64_t now_ns);
/* start returned true, defer or the sleep's call returned. */
void pw_ledger_accepted(struct pw_ledger *ledger, uint32_t index, uint64_t operation,
    const struct pw_ledger_spec *spec);
/* start or begin returned false, and skip did not end it. */
void pw_ledger_refused(struct pw_ledger *ledger, uint32_t index, uint64_t operation,
    const struct pw_ledger_spec *spec);
/* The operation has ended without a callback, and the caller still has the right to start: the bool of
 * nng_aio_skip_callback is true, or the refusal was silent. */
void pw_ledger_ended(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, uint64_t operation,
    const struct pw_ledger_spec *spec, const struct pw_ledger_seen *seen);
/* And gives it up: the handle is idle. */
void pw_ledger_release(struct pw_ledger *ledger, uint32_t index, uint64_t operation);

/* skip_callback was asked, the operation ended on the thread that asked, and yet the bool is false. */
void pw_ledger_not_skipped(struct pw_ledger *ledger, uint32_t index, uint64_t operation);

/* Directly before finish. by_cancel: what the cancel function was told to do, whoever does it. */
void pw_ledger_finish(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, uint64_t operation,
    bool by_cancel, nng_err result, uint64_t output, uint64_t now_ns);
/* The cancel function's first and last act. */
void pw_ledger_cancel_enter(struct pw_ledger *ledger, uint32_t index, uint64_t operation, nng_err reason,
    uint64_t now_ns);
void pw_ledger_cancel_leave(struct pw_ledger *ledger, uint32_t index, uint64_t operation);
/* The cancel function came too late: a finisher was first. */
void pw_ledger_cancel_lost(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index);

/* The callback's first act: which operation it completes. 0: none, and that was reported. */
uint64_t pw_ledger_callback_enter(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index,
    uint64_t handle, const struct pw_ledger_seen *seen, struct pw_ledger_lag *lag);
/* Its last act. pw_ledger_release comes before, unless it has started again. */
void pw_ledger_callback_leave(struct pw_ledger *ledger, uint32_t index, uint64_t operation);

/* What an attempt met: the entry before the call. */
struct pw_ledger_view {
	uint64_t op;
	uint64_t running;
};

/* Around stop (BY_STOP), free (BY_FREE), wait (ROWS: an attempt at nothing). Before reap and close: BY_FREE, and no
 * second call. In the own callback stop does not wait: pw_ledger_stop_marked after it, instead of leave. */
struct pw_ledger_view pw_ledger_stop_enter(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index,
    enum pw_ledger_row row);
void pw_ledger_stop_leave(struct pw_ledger *ledger, uint32_t index, const struct pw_ledger_view *view,
    enum pw_ledger_row row);
void pw_ledger_stop_marked(struct pw_ledger *ledger, uint32_t index);

/* Around nng_aio_abort: the reason to give, which leads back to the call. And around nng_aio_cancel. */
nng_err pw_ledger_abort_enter(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index,
    uint64_t now_ns, struct pw_ledger_view *view);
void pw_ledger_abort_leave(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index, nng_err reason,
    const struct pw_ledger_view *view);
struct pw_ledger_view pw_ledger_cancel_asked(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index);
void pw_ledger_cancel_returned(struct pw_ledger *ledger, struct pw_ledger_tally *tally, uint32_t index,
    const struct pw_ledger_view *view);

/* Something else that cannot be, seen by the caller. */
void pw_ledger_report(struct pw_ledger *ledger, uint32_t index, const char *what, const char *detail);
/* An operation that was finished, or whose deadline passed, more than limit_ns ago and never completed. */
/* An operation should have completed more than limit_ns ago. */
bool pw_ledger_is_overdue(struct pw_ledger *ledger, uint32_t index, uint64_t now_ns, uint64_t limit_ns);
void pw_ledger_overdue(struct pw_ledger *ledger, uint32_t index, uint64_t now_ns, uint64_t limit_ns);

/* An abort that returned before has not been answered. Only when every shard has handled all mail sent before. */
bool pw_ledger_is_unanswered(struct pw_ledger *ledger, uint32_t index);
void pw_ledger_unanswered(struct pw_ledger *ledger, uint32_t index);

/* All threads have left: every entry is idle, every start has its one end, every message is accounted for. */
bool pw_ledger_balance(struct pw_ledger *ledger, struct pw_ledger_counts *sum);
void pw_ledger_sum(const struct pw_ledger *ledger, struct pw_ledger_counts *sum);
/* Finished and not yet delivered: a racy sum, cheap. */
uint64_t pw_ledger_backlog(const struct pw_ledger *ledger);
/* The cells that can be reached and were not: their number, and as many of their names as the text holds, "timeout
 * on done, ...". */
unsigned pw_ledger_empty_cells(const struct pw_ledger_counts *sum, char *text, size_t size);

static inline enum pw_ledger_phase
pw_ledger_phase_of(uint64_t op)
{
	return (enum pw_ledger_phase)(op & 15);
}

static inline uint64_t
pw_ledger_operation_of(uint64_t op)
{
	return op >> 4;
}

/* The message of an operation: a pointer's worth of bits that no other one has, never 0. */
static inline uint64_t
pw_ledger_message_of(uint32_t index, uint64_t operation)
{
	return UINT64_C(1) << 63 | (operation << PW_LEDGER_INDEX_BITS & (UINT64_MAX >> 1)) | index;
}

/* What the seat's operation carries; for whoever is to finish it. */
enum pw_ledger_message pw_ledger_message_kind(const struct pw_ledger_entry *entry);
bool pw_ledger_sleeps(const struct pw_ledger_entry *entry);
bool pw_ledger_is_foreign(const struct pw_ledger_entry *entry);

static inline uint64_t
pw_ledger_flags(const struct pw_ledger *ledger, uint32_t index)
{
	return atomic_load(&ledger->entries[index].handle) & PW_LEDGER_FLAGS;
}

static inline uint64_t
pw_ledger_handle_of(const struct pw_ledger *ledger, uint32_t index)
{
	return atomic_load(&ledger->entries[index].handle) >> PW_LEDGER_FLAG_BITS;
}

#endif

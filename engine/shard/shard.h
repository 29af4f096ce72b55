/* SPDX-License-Identifier: MIT
 *
 * shard.h: one event loop: inbox, wheel, poller, ready queue, slots, counters. See shard.c for its book.
 *
 * A shard never names an aio or a stream: mails and wheel entries are handed to the functions of the table that
 * the fleet was started with.
 */
#ifndef PINWHEEL_SHARD_SHARD_H
#define PINWHEEL_SHARD_SHARD_H

#include <pthread.h>

#include "engine/base/atomic.h"
#include "engine/base/histogram.h"
#include "engine/base/node.h"
#include "engine/base/thread.h"
#include "engine/shard/arena.h"
#include "engine/shard/inbox.h"
#include "engine/shard/poller.h"
#include "engine/shard/wheel.h"

struct pw_shard;

/* What stands above the shard. All run on the shard's thread. */
struct pw_shard_ops {
	/* Drain: may change words, link timers and append to the ready queue; never runs user code. */
	void (*on_mail[PW_KIND_COUNT])(struct pw_shard *shard, struct pw_node *node);
	/* The ready queue: the one place where callbacks and cancel functions run. */
	void (*on_ready[PW_KIND_COUNT])(struct pw_shard *shard, struct pw_node *node);
	/* A wheel entry came due; it is unlinked. As on_mail. */
	void (*on_expire)(struct pw_shard *shard, uint32_t slot);
	/* The shard's thread is about to end its loop (the fleet stops): close what is open. */
	void (*on_stop)(struct pw_shard *shard);
};

enum pw_phase {
	PW_PHASE_RUN = 0,
	PW_PHASE_DRAIN = 1, /* the fleet stops: every timer is visited now, none is linked again */
	PW_PHASE_END = 2,   /* nothing is outstanding: the loop ends */
};

enum pw_up {
	PW_UP_NOT = 0, /* its thread has not entered yet; a lent one: no thread has claimed it */
	PW_UP_RUNNING = 1,
	PW_UP_FAILED = 2,
	PW_UP_ENDED = 3,
	PW_UP_OPENING = 4, /* lent: claimed by the thread that opens it now */
};

enum pw_idle {
	PW_IDLE_PARK = 0, /* spin briefly and adaptively, then sleep in the kernel */
	PW_IDLE_SPIN = 1, /* spin for spin_ns after the last work, then sleep */
	PW_IDLE_BUSY = 2, /* never sleep */
};

/* What a shard is run with. */
struct pw_shard_settings {
	uint32_t id;
	unsigned tick_shift; /* a tick is 2^tick_shift ns */
	enum pw_idle idle;
	enum pw_poller_kind poller;
	uint64_t spin_ns;      /* the longest spin before sleeping */
	uint64_t long_turn_ns; /* a callback or turn above it is counted and named */
	unsigned budget;       /* entries per stage and turn */
	bool lent;
	int cpu; /* to pin to; -1: none */
	int priority; /* SCHED_FIFO, 0: none */
};

/* One writer, the home shard, unless the comment says otherwise; relaxed readers. */
struct pw_counters {
	pw_a64 delivered;       /* completions delivered */
	pw_a64 callbacks;       /* callbacks called */
	pw_a64 finished_home;   /* finishes on the home shard */
	pw_a64 finished_foreign; /* completion entries received from other threads */
	pw_a64 requests;        /* request entries processed */
	pw_a64 cancels;         /* cancel functions called, and sleeps ended, because of an abort */
	pw_a64 cancels_late;    /* request entries that found nothing left to abort */
	pw_a64 expired;         /* deadlines that ended an operation */
	pw_a64 visits_stale;    /* wheel visits that found nothing due */
	pw_a64 armed;           /* timers linked */
	pw_a64 moved_in;        /* aios that moved their home here (RMW: any shard's start) */
	pw_a64 mails;           /* inbox entries taken */
	pw_a64 turns;
	pw_a64 turns_long;
	pw_a64 turn_max_ns;
	pw_aptr turn_max_call;  /* the callback or cancel function that caused the longest one */
	pw_a64 waits_blocking;  /* stop, free or wait for another shard inside a callback */
	pw_a64 parks;
	pw_a64 wakes;           /* bells rung for this shard (RMW: any sender) */
	pw_a64 refused;         /* starts refused on this shard's thread */
	pw_a64 io_done;         /* poller completions */
	pw_a64 linked;          /* levels, copied at the end of a turn: entries in the wheel */
	pw_a64 cascades;        /* entries moved down, ever */
	pw_a64 io_in_flight;    /* operations the kernel holds */
};

struct pw_shard {
	struct pw_inbox inbox;

	/* Home alone from here on, but for what says otherwise. */
	_Alignas(64) struct pw_wheel wheel;
	uint64_t now_ns; /* cached: read once a turn; drives the wheel and nothing else */
	unsigned tick_shift;
	pw_mail ready_head;
	pw_mail ready_tail;
	const struct pw_shard_ops *ops;
	pw_a64 running;     /* P16: whose callback is on this thread's stack, in its owner's terms; 0: nobody's */
	int running_result; /* what that callback was given */
	bool in_user_code;  /* a callback or a cancel function is on the stack */
	uint64_t spin_now_ns; /* the adaptive spin */
	uint64_t cycles_mark; /* when the run of calls that is being timed began */
	uint64_t cycles_base; /* the two clocks at the same moment: the beginning of a window; and the last one's ratio */
	uint64_t cycles_base_ns;
	double ns_per_cycle;
	uint64_t cycles_turn;  /* when now_ns was read, or before */
	uint64_t cycles_limit; /* so long after that the counter may tell the time; 0: not at all */
	bool cycles_trusted;
	void *turn_call; /* the slowest user code of this turn, and its cycles */
	uint64_t turn_call_cycles;
	void *run_call;       /* the function of all calls of this run; PW_CALLS_MIXED: there were several */
	unsigned run_calls;   /* calls of this run */
	unsigned watch_turns; /* so many more turns time every call alone */
	struct pw_poller poller;
	int bell_fd;
	int lent_fd;  /* lent.c: an epoll descriptor of the poller's and timer_fd */
	int timer_fd; /* lent.c: the next deadline */
	void *stream_state; /* the stream layer's, per shard */
	struct pw_shard_settings settings;
	pthread_t thread;
	bool has_thread;
	pw_a32 phase;        /* P12: enum pw_phase; the fleet stores, then wakes */
	uint32_t phase_seen; /* home's own: by the last turn */
	pw_a64 up;       /* P12: enum pw_up; the starter and nng_fini sleep on it */
	int start_error; /* a negative errno value, when up is PW_UP_FAILED */
	pw_a32 pinned_cpu; /* CPU + 1; 0: runs unpinned */
	int pin_error;      /* errno of the refusal, 0: none was asked or none happened */
	int priority_error; /* the same of SCHED_FIFO */

	struct pw_arena arena; /* any thread, under its own lock */
	_Alignas(64) struct pw_counters counters;
	pw_a64 probe_ns; /* mail-to-run: a sender's sample, 0: free */
	struct pw_histogram lateness; /* deadline to the turn that saw it */
	struct pw_histogram turn;     /* a turn that did something */
	struct pw_histogram call;     /* callbacks and cancel functions: the mean of each run of up to 16 */
	struct pw_histogram mail_to_run;
};

/* Before first use: zeroed memory. Opens the bell. 0 or a negative errno value. */
int pw_shard_init(struct pw_shard *shard, const struct pw_shard_ops *ops);
/* On the thread that is to be the shard's: opens the poller, sets the time. 0 or a negative errno value. */
int pw_shard_enter(struct pw_shard *shard, const struct pw_shard_settings *settings);
/* The same thread, nothing outstanding. */
void pw_shard_leave(struct pw_shard *shard);

/* One turn: inbox, wheel, I/O that is there, ready queue; each stage bounded. Returns what it did: 0 is idle. */
unsigned pw_shard_turn(struct pw_shard *shard);
/* After a turn that did nothing: spins or sleeps as the strategy says, until there may be something, at most until
 * limit_ns (absolute; PW_NEVER_NS: none). */
void pw_shard_idle(struct pw_shard *shard, uint64_t limit_ns);
/* Before a sleep: senders ring the bell from now on. False: there is work, do not sleep. */
bool pw_shard_park(struct pw_shard *shard);
/* The shard's own thread: now, for an end that is counted from it: never before the clock's time, which would make it
 * early; after it by less than 2 us. A third of what the clock costs. */
uint64_t pw_shard_clock_ns(const struct pw_shard *shard);
/* When a turn will next have something to do without mail or I/O: ns, PW_NEVER_NS: never. */
uint64_t pw_shard_next_ns(const struct pw_shard *shard);
/* The loop of a shard's own thread, until the phase is END. */
void pw_shard_run(struct pw_shard *shard);
/* The thread of a shard whose phase is END: closes what is open, waits for what the kernel still holds, and leaves. */
void pw_shard_end(struct pw_shard *shard);

/* Any thread, lock-free: hands the mail to the shard and wakes it if it sleeps. */
void pw_shard_post(struct pw_shard *shard, pw_mail mail);
/* Any thread: makes the loop look again (stopping, a shutdown). */
void pw_shard_wake(struct pw_shard *shard);

/* Home: the end of the ready queue. */
static inline void
pw_shard_ready(struct pw_shard *shard, pw_mail mail)
{
	pw_mail_node(mail)->next = 0;
	if (shard->ready_tail == 0) {
		shard->ready_head = mail;
	} else {
		pw_mail_node(shard->ready_tail)->next = mail;
	}
	shard->ready_tail = mail;
}

/* The first tick at which the deadline has passed: rounded up, so that nothing fires early. */
static inline uint64_t
pw_shard_tick_of(const struct pw_shard *shard, uint64_t deadline_ns)
{
	uint64_t round = (UINT64_C(1) << shard->tick_shift) - 1;
	return (deadline_ns >> shard->tick_shift) + ((deadline_ns & round) != 0);
}

/* Reading the processor's counter costs as much as a whole small callback, so calls are timed in runs of up to 16; a
 * long run of one function names it, a long run of several makes the next turns time every call alone. */
#define PW_CALLS_RUN 16u
#define PW_CALLS_MIXED ((void *) 1)

void pw_shard_calls_timed(struct pw_shard *shard);

/* After a callback or cancel function. */
static inline void
pw_shard_call_ended(struct pw_shard *shard, void *function)
{
	shard->run_call = shard->run_calls == 0 || shard->run_call == function ? function : PW_CALLS_MIXED;
	if (++shard->run_calls == PW_CALLS_RUN || shard->watch_turns != 0) {
		pw_shard_calls_timed(shard);
	}
}

/* The shard that the calling thread is, NULL outside (a lending thread between polls is outside). */
static inline struct pw_shard *
pw_shard_self(void)
{
	return pw_thread_self()->shard;
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * Copyright (c) 2025 the pinwheel authors
 *
 * pinwheel.h: what only a sharded engine has: its shards, nanoseconds, polling from the application's own thread,
 * statistics, and a dump of what is outstanding.
 *
 * What it is not: needed. A program that includes <nng/nng.h> alone runs on the same engine with its defaults.
 * The words and the rules H1 to H6 of nng.h hold here too.
 *
 * A shard is one event loop: inbox, timing wheel, poller, ready queue, memory. Shards are numbered from 0. Each has a
 * thread of its own, pinned to one CPU; *lent* shards, numbered after the others, have none and are run by threads of
 * the application (pinwheel_poll). What a thread outside makes (handles, dialers, listeners, accepted connections) is
 * spread over the shards with threads of their own; over the lent ones only if there are no others.
 *
 * Settings. Each comes from the configuration given to pinwheel_start, else from the environment, else its default.
 * A name PINWHEEL_* in the environment that is not below, or a value that does not parse, makes the start fail with
 * NNG_EINVAL and a line on stderr that says what would be right. pinwheel_settings_each and `pinwheel info` list all,
 * with the value in force and where it came from.
 *
 *   environment              field           default       meaning
 *   PINWHEEL_CPUS            cpus            the affinity  CPUs to pin shards to: "0-3,8"; also outside the mask
 *   PINWHEEL_SHARDS          shards          one per CPU   shards with a thread; more than CPUs: pinned round-robin
 *   PINWHEEL_LENT            lent_shards     0             shards that the application polls
 *   PINWHEEL_IDLE            idle            park          park, spin, busy: enum pinwheel_idle
 *   PINWHEEL_POLLER          poller          auto          auto, uring, epoll: enum pinwheel_poller
 *   PINWHEEL_PRIORITY        priority        0, none       1 to 99: threads run under SCHED_FIFO
 *   PINWHEEL_TURN_BUDGET     turn_budget     256           entries that one stage of a turn takes at most
 *   PINWHEEL_TICK            tick_ns         65.536us      the wheel's tick, 2^n ns; 4.096us if not park
 *   PINWHEEL_SPIN            spin_ns         20us          the longest spin before a shard sleeps; 1ms if not park
 *   PINWHEEL_LONG_TURN       long_turn_ns    10ms          a turn above it is counted, its slowest callback named
 *
 * Times are numbers with a unit, ns, us, ms or s, in the environment, and nanoseconds in the configuration.
 * Without PINWHEEL_CPUS and shards, a cgroup's cpu.max that allows fewer CPUs makes fewer shards. A pinning or a
 * priority that is refused is no error: the shard runs without, and its statistics say so and why.
 */
#ifndef PINWHEEL_PINWHEEL_H
#define PINWHEEL_PINWHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <nng/nng.h>

#ifndef PINWHEEL_NNG_H
#error "<nng/nng.h> is another library's: put pinwheel's include folder first"
#endif

/* These functions' symbols are their names. */
#define PINWHEEL_DECL __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

#define PINWHEEL_VERSION_MAJOR 0
#define PINWHEEL_VERSION_MINOR 1
#define PINWHEEL_VERSION_PATCH 0
#define PINWHEEL_VERSION_STRING "0.1.0"

#define PINWHEEL_NEVER_NS UINT64_MAX /* a deadline that does not come */
#define PINWHEEL_NONE (-1)           /* shards, lent_shards, priority: none, whatever the environment says */

/* ---- Starting ---------------------------------------------------------------------------------------------- */

/* What a shard does when it has nothing to do. */
enum pinwheel_idle {
	PINWHEEL_IDLE_DEFAULT = 0, /* as the environment says, else park */
	PINWHEEL_IDLE_PARK = 1,    /* spins briefly, as long as that has paid off lately, then sleeps in the kernel */
	PINWHEEL_IDLE_SPIN = 2,    /* spins for spin_ns after its last work, then sleeps */
	PINWHEEL_IDLE_BUSY = 3     /* never sleeps */
};

/* Through what a shard talks to the kernel. Both behave alike. */
enum pinwheel_poller {
	PINWHEEL_POLLER_DEFAULT = 0, /* as the environment says, else auto */
	PINWHEEL_POLLER_AUTO = 1,    /* io_uring, or epoll where the kernel lacks or refuses it */
	PINWHEEL_POLLER_URING = 2,   /* a refusal is an error of the start */
	PINWHEEL_POLLER_EPOLL = 3
};

/* Called on each shard's own thread after it is pinned and named, before it runs anything; not for lent shards. */
typedef void (*pinwheel_thread_start_fn)(int shard, void *arg);

/* Called with each line that the library prints on stderr (misuse, long waits, bad settings), without a newline,
 * on the thread concerned. It must not call the library. */
typedef void (*pinwheel_log_fn)(const char *line, void *arg);

/*
 * How to start. Initialise with PINWHEEL_CONFIG_INIT and set what you care about: a field left at 0 or NULL comes
 * from the environment or is the default. `size` tells which fields the program was compiled with, so a program built
 * against an older header runs with a newer library.
 */
struct pinwheel_config {
	size_t size; /* sizeof(struct pinwheel_config): PINWHEEL_CONFIG_INIT sets it */
	const char *cpus;
	int shards;      /* PINWHEEL_NONE: lent shards only */
	int lent_shards; /* or PINWHEEL_NONE */
	enum pinwheel_idle idle;
	enum pinwheel_poller poller;
	int priority; /* or PINWHEEL_NONE */
	unsigned turn_budget;
	uint64_t tick_ns;
	uint64_t spin_ns;
	uint64_t long_turn_ns;
	pinwheel_thread_start_fn on_thread_start;
	void *on_thread_start_arg;
	pinwheel_log_fn on_log;
	void *on_log_arg;
};

/* clang-format off */
#define PINWHEEL_CONFIG_INIT { \
	sizeof(struct pinwheel_config), NULL, 0, 0, PINWHEEL_IDLE_DEFAULT, PINWHEEL_POLLER_DEFAULT, \
	0, 0, 0, 0, 0, NULL, NULL, NULL, NULL }
/* clang-format on */

/*
 * pinwheel_start: nng_init with a configuration.
 *
 * Context:    any thread; may block on another thread's start or nng_fini.
 * Ownership:  config and its strings are read during the call only; the hooks' args must live until nng_fini returns.
 * Effect:     starts the engine; NULL: from the environment and the defaults, or counts one more user of a running
 *             engine. Each success is to be undone by one nng_fini. On an error nothing is left started.
 * Errors:     NNG_EINVAL (a bad setting, named on stderr with what would be right; a size this library does not
 *             know), NNG_EBUSY (a configuration given while the engine runs), NNG_ENOMEM, NNG_ENOFILES, NNG_EPERM (a
 *             forced poller was refused), NNG_ESTOPPED (on a shard thread while nng_fini shuts down).
 */
PINWHEEL_DECL nng_err pinwheel_start(const struct pinwheel_config *config);

/* ---- Shards ------------------------------------------------------------------------------------------------ */

/*
 * pinwheel_shard_count: the number of shards, lent ones included; 0 when no engine runs.
 *
 * Context:    any thread; wait-free.
 */
PINWHEEL_DECL int pinwheel_shard_count(void);

/*
 * pinwheel_shard_self: the shard whose thread the caller is, or to which it has lent itself; -1: none.
 *
 * Context:    any thread; wait-free.
 */
PINWHEEL_DECL int pinwheel_shard_self(void);

/*
 * pinwheel_aio_home: the shard that moves the handle at this moment.
 *
 * Context:    any thread; wait-free. A handle may move when it is started, unless it was allocated on a given shard;
 *             in its callback and cancel function the answer is that thread's shard.
 */
PINWHEEL_DECL int pinwheel_aio_home(const nng_aio *aio);

/*
 * pinwheel_aio_alloc_on: nng_aio_alloc on a given shard, from whose thread its callback will always come.
 *
 * Context, Ownership, Effect: as nng_aio_alloc; the handle never moves.
 * Errors:     as nng_aio_alloc; NNG_EINVAL: there is no such shard.
 */
PINWHEEL_DECL nng_err pinwheel_aio_alloc_on(nng_aio **aiop, int shard, void (*cb)(void *), void *arg);

/*
 * pinwheel_run_on: calls fn(arg) once on a shard's thread.
 *
 * Context:    any thread; allocates a handle, so may block as nng_aio_alloc does. fn runs later, also when the caller
 *             is on that shard; it is a callback in the sense of nng.h (H3, H4).
 * Ownership:  arg is passed on, never looked at.
 * Effect:     calls made by one thread to one shard run in the order made, unless so much is on its way to that shard
 *             (more than 256 entries) that it is not taken in within one turn. Accepted calls run even if nng_fini comes
 *             first.
 * Errors:     NNG_EINVAL (no such shard), NNG_ENOMEM, NNG_ESTOPPED (nng_fini shuts down, or no engine runs). fn is
 *             then not called.
 */
PINWHEEL_DECL nng_err pinwheel_run_on(int shard, void (*fn)(void *), void *arg);

/* ---- Nanoseconds ------------------------------------------------------------------------------------------- */

/*
 * pinwheel_clock_ns: the time now, on the clock that deadlines are given on and of which nng_clock is the
 * milliseconds.
 *
 * Context:    any thread; wait-free. Needs no running engine.
 * Units:      nanoseconds; CLOCK_MONOTONIC.
 */
PINWHEEL_DECL uint64_t pinwheel_clock_ns(void);

/*
 * pinwheel_aio_set_timeout_ns: nng_aio_set_timeout in nanoseconds.
 *
 * Context, Effect: as nng_aio_set_timeout, with the same meaning of 0 and of negative values, NNG_DURATION_INFINITE
 * and NNG_DURATION_DEFAULT among them (R15, R17).
 * Units:      nanoseconds; never early, and late by at most a tick plus one turn of the home shard.
 */
PINWHEEL_DECL void pinwheel_aio_set_timeout_ns(nng_aio *aio, int64_t timeout_ns);

/*
 * pinwheel_aio_set_deadline_ns: nng_aio_set_expire in nanoseconds: for the next operation only (R17).
 *
 * Context, Effect: as nng_aio_set_expire. PINWHEEL_NEVER_NS: that operation has no deadline.
 * Units:      nanoseconds on pinwheel_clock_ns.
 */
PINWHEEL_DECL void pinwheel_aio_set_deadline_ns(nng_aio *aio, uint64_t deadline_ns);

/*
 * pinwheel_sleep_ns: nng_sleep_aio in nanoseconds.
 *
 * Context, Effect: as nng_sleep_aio (R16, R22). NNG_DURATION_INFINITE: never.
 * Units:      nanoseconds, at least; late by at most a tick plus one turn of the home shard.
 */
PINWHEEL_DECL void pinwheel_sleep_ns(int64_t duration_ns, nng_aio *aio);

/*
 * pinwheel_aio_wait_until: nng_aio_wait with a deadline.
 *
 * Context:    as nng_aio_wait; blocks until deadline_ns at the latest.
 * Effect:     0: the handle was not busy at some moment during the call. NNG_ETIMEDOUT: the deadline passed first;
 *             the operation goes on, nothing has been aborted. A deadline in the past only looks. In the own callback
 *             0 at once (R21); on a shard thread H4 (R26). A wait that would deadlock is misuse and gives
 *             NNG_ETIMEDOUT. NULL: 0.
 * Units:      nanoseconds on pinwheel_clock_ns; PINWHEEL_NEVER_NS: as nng_aio_wait.
 */
PINWHEEL_DECL nng_err pinwheel_aio_wait_until(nng_aio *aio, uint64_t deadline_ns);

/*
 * pinwheel_aio_close: nng_aio_stop without waiting: how to stop a handle inside a callback (R26).
 *
 * Context:    any thread, any callback, the own one included; lock-free, never waits. NULL: no effect.
 * Ownership:  the handle stays the caller's: nng_aio_reap or nng_aio_free releases it. What its arg points to must
 *             live until the callback of a pending operation has returned.
 * Effect:     marks the handle stopped, for good; aborts with NNG_ESTOPPED; a pending operation still has its one
 *             callback. Later starts are refused as nng_aio_start says. Idempotent.
 */
PINWHEEL_DECL void pinwheel_aio_close(nng_aio *aio);

/* ---- Running a shard from the application's own thread -------------------------------------------------------- */

/*
 * pinwheel_poll: does what a lent shard has to do, up to a budget, and returns; never sleeps.
 *
 * Context:    outside callbacks. The first thread that calls pinwheel_poll or pinwheel_poll_fd for a shard lends
 *             itself to it until nng_fini, and no other thread may call them for that shard. Callbacks, cancel
 *             functions and functions of pinwheel_run_on run inside this call. While no thread polls, operations
 *             homed there do not complete, and nng_fini on another thread waits.
 * Effect:     returns the number of things done, at most about budget in each stage of the loop; 0: nothing is left
 *             to do, and pinwheel_poll_fd becomes readable when there is. budget 0: the setting turn_budget.
 * Errors:     negative, an error code with its sign changed. -NNG_ESTOPPED: nng_fini is shutting down or has, or no
 *             engine runs; this thread lends itself to no shard any more, and the descriptor is closed. Who polls until
 *             then has done what nng_fini on another thread waits for. -NNG_ENOFILES, -NNG_ENOMEM, -NNG_EPERM: the
 *             first call could not open the shard's poller; the thread has not lent itself, and may try again.
 *             -NNG_EINVAL: misuse (R27), that is no lent shard of that number, another thread's shard, inside a
 *             callback.
 */
PINWHEEL_DECL int pinwheel_poll(int shard, unsigned budget);

/*
 * pinwheel_poll_fd: a descriptor that is readable when pinwheel_poll would find something: mail, I/O, a deadline.
 *
 * Context:    as pinwheel_poll. After a poll that returned 0; before that, poll first.
 * Ownership:  the library's: wait on it, never read or close it. It stays the same until nng_fini, which makes it
 *             readable: the poll that follows ends the shard and closes it.
 * Errors:     negative: as pinwheel_poll.
 */
PINWHEEL_DECL int pinwheel_poll_fd(int shard);

/* ---- Misuse ------------------------------------------------------------------------------------------------ */

/* What was done wrong (R27). Everything pointed to holds during the handler's call only. */
struct pinwheel_misuse {
	const char *function; /* the public function that was called, "nng_aio_finish" */
	const nng_aio *aio;   /* NULL where no handle is concerned */
	const char *state;    /* the handle's state word as text, "DONE|QUEUED"; "" without a handle */
	const char *reason;   /* a clause; in a wait that would deadlock it names the other handle and its state (R26) */
	const char *thread;   /* the calling thread's name, "pw/0" on a shard */
};

typedef void (*pinwheel_misuse_fn)(const struct pinwheel_misuse *misuse);

/*
 * pinwheel_set_misuse_handler: calls fn in place of abort() when misuse is recognised; NULL: abort() again.
 *
 * Context:    any thread; wait-free; may be called before the engine starts and holds across nng_fini. fn runs on the
 *             thread of the wrong call, after the line on stderr, with no lock of the library held; it may be called
 *             on several threads at once.
 * Effect:     when fn returns, the wrong call has no effect, as H5 of nng.h says for each function.
 */
PINWHEEL_DECL void pinwheel_set_misuse_handler(pinwheel_misuse_fn fn);

/* ---- Statistics -------------------------------------------------------------------------------------------- */

/* A distribution of times, in nanoseconds. Percentiles are at most 6.25 % above the truth, never below; the maximum
 * is exact. All 0 when count is 0. */
struct pinwheel_histogram {
	uint64_t count;
	uint64_t mean_ns;
	uint64_t p50_ns;
	uint64_t p90_ns;
	uint64_t p99_ns;
	uint64_t p999_ns;
	uint64_t max_ns;
};

/* One shard, counted since it started, but for what is called a level: that is how much there is now. */
struct pinwheel_shard_stats {
	size_t size; /* the caller sets it: sizeof(struct pinwheel_shard_stats) */
	int shard;
	int cpu;     /* the CPU it is pinned to; -1: runs unpinned */
	bool pinned;
	bool lent;
	char pin_reason[120];    /* why it is not pinned, "" when it is */
	char poller[16];         /* "io_uring", "epoll" */
	char poller_reason[120]; /* why this one */

	uint64_t refused;         /* starts and begins refused on this shard's thread */
	uint64_t finished_home;   /* operations finished on this shard's thread */
	uint64_t finished_remote; /* finished on another thread and sent here */
	uint64_t delivered;       /* completions */
	uint64_t callbacks;       /* completions that had a callback */
	uint64_t cancels_won;     /* aborts and stops that ended or called the cancel function of an operation */
	uint64_t cancels_late;    /* aborts and stops that found nothing left to abort */
	uint64_t expired;         /* deadlines that reached an operation, sleeps' own ends included */

	uint64_t mails_received;   /* inbox entries taken */
	uint64_t mails_overflowed; /* of them, over the overflow stack */
	uint64_t requests;         /* of them, requests (abort, earlier deadline, release) */
	uint64_t wakes;            /* times another thread woke this shard by a system call */
	uint64_t parks;            /* times it slept in the kernel */
	uint64_t turns;
	uint64_t long_turns;            /* turns above the setting long_turn_ns */
	uint64_t longest_turn_ns;
	uintptr_t longest_turn_function; /* the slowest callback or cancel function in it; 0: none, or it ran among others
	                                  * in a run timed as one (after such a turn each is timed alone for a while) */
	uint64_t blocking_waits;        /* stop, free or wait for another shard's handle inside a callback */

	uint64_t timers_linked;  /* level */
	uint64_t timers_armed;   /* entries linked */
	uint64_t timer_visits;   /* due entries that ended nothing: the operation was over, or its deadline later */
	uint64_t timer_cascades; /* entries moved down a level */
	uint64_t moved_home;     /* handles that moved here */

	uint64_t slots_allocated; /* handles, ever */
	uint64_t slots_released;  /* of them, released */
	uint64_t slabs;           /* level; a slab holds 256 handles and is never given back */
	uint64_t allocations;     /* calls to the allocator; stands still once the shard is warm */

	uint64_t io_completed; /* operations that the poller has reported */
	uint64_t io_in_flight; /* level */

	struct pinwheel_histogram lateness;    /* from a deadline to the turn that saw it */
	struct pinwheel_histogram turn;        /* turns that did something */
	struct pinwheel_histogram callback;    /* callbacks and cancel functions: the mean of each run of up to 16 */
	struct pinwheel_histogram mail_to_run; /* from sending to a shard to its taking out; one mail in 64 */
};

/*
 * pinwheel_stats: a snapshot of one shard.
 *
 * Context:    any thread; lock-free, also beside nng_fini, which waits for the call. The shard runs on: each figure
 *             is right for some moment of the call, two of them need not be for the same one.
 * Ownership:  fills out->size bytes of *out; fields that this library does not know become 0.
 * Errors:     NNG_EINVAL: no such shard (none at all while no engine runs, and in the last steps of nng_fini), or
 *             out->size is 0.
 */
PINWHEEL_DECL nng_err pinwheel_stats(int shard, struct pinwheel_shard_stats *out);

/* ---- What is outstanding --------------------------------------------------------------------------------------- */

/* One operation that is not completed. Texts hold during the call only. */
struct pinwheel_outstanding {
	const nng_aio *aio; /* to compare, not to use: it may be gone */
	int home;
	const char *state;         /* "DEFERRED|TIMER" */
	uint64_t age_ms;           /* since it was accepted; up to 10 ms off; modulo 49 days */
	int64_t deadline_in_ns;    /* from now; negative: past; INT64_MAX: none */
	uintptr_t cancel_function; /* 0: none */
	const char *module;        /* where that is, "libfoo.so+0x1234"; "" without one */
	const char *symbol;        /* its name where the dynamic linker knows one, else "" */
};

typedef void (*pinwheel_outstanding_fn)(const struct pinwheel_outstanding *one, void *arg);

/*
 * pinwheel_dump_each: calls fn for every operation that is outstanding, shard by shard; returns their number.
 *
 * Context:    any thread, for a service that hangs. Takes the locks under which handles are allocated, so allocations
 *             wait, operations do not. fn must not call the library.
 * Effect:     what starts or completes meanwhile may be missed or still seen. A callback that runs counts as
 *             outstanding.
 */
PINWHEEL_DECL size_t pinwheel_dump_each(pinwheel_outstanding_fn fn, void *arg);

/*
 * pinwheel_dump: pinwheel_dump_each as a table, one line per operation; returns their number.
 *
 * Context:    as pinwheel_dump_each, and it writes to out.
 */
PINWHEEL_DECL size_t pinwheel_dump(FILE *out);

/* ---- Messages ---------------------------------------------------------------------------------------------- */

/*
 * pinwheel_msg_body: the body's bytes, to be read only; nng_msg_len says how many they are.
 *
 * Context:    any thread; wait-free; beside other functions that take a const message. A NULL message is misuse.
 * Ownership:  the message's; holds until the next call that changes the body's length or capacity, or nng_msg_body.
 * Effect:     a body shared with duplicates stays shared, where nng_msg_body must copy it. Never NULL.
 */
PINWHEEL_DECL const void *pinwheel_msg_body(const nng_msg *msg);

/* ---- Settings ---------------------------------------------------------------------------------------------- */

/* name: as in the environment; value: as it would be written there; source: "configuration", "environment" or
 * "default", with a reason where one is needed; meaning: a line. Texts hold during the call only. */
typedef void (*pinwheel_setting_fn)(const char *name, const char *value, const char *source, const char *meaning,
    void *arg);

/*
 * pinwheel_settings_each: calls fn for every setting: those in force, or, with no engine running, those with which a
 * start would be tried now.
 *
 * Context:    any thread; may block on another thread's start or nng_fini. fn must not start or stop the engine.
 */
PINWHEEL_DECL void pinwheel_settings_each(pinwheel_setting_fn fn, void *arg);

#ifdef __cplusplus
}
#endif

#endif

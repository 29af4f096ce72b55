/* SPDX-License-Identifier: MIT
 *
 * Copyright (c) 2025 the pinwheel authors
 *
 * test.h: for tests of programs that stand on pinwheel: a provider of your own under the ledger of `pinwheel storm`,
 * and time that only your test moves.
 *
 * What it is not: part of the library that a program ships with. The first half is what the command `pinwheel` looks
 * for in a shared object; the second half is in the static library pinwheel_test, which a test links instead of
 * pinwheel. The words and the rules H1 to H6 of nng.h hold here too.
 */
#ifndef PINWHEEL_TEST_H
#define PINWHEEL_TEST_H

#include <pinwheel/pinwheel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- A provider under the storm ------------------------------------------------------------------------------- */

/*
 *   pinwheel storm --provider ./mine.so
 *
 * mine.so is a shared object that exports pinwheel_provider_get. It calls nng_aio_* and pinwheel_*, which the command
 * has: compile it with -shared -fPIC, and do not link it with libpinwheel. The storm then races everything that a
 * consumer may do (start, abort, cancel, timeouts, stop, free, reap, wait, resubmission in the callback, skipping the
 * callback, sleeps on the same handles) over operations of this provider, and checks each completion:
 *
 *   - each start leads to exactly one completion (or to none, where R10 says so), and callbacks never overlap
 *   - after stop has returned nothing runs, and starts end with NNG_ESTOPPED; nothing touches a handle that was freed
 *   - NNG_ECANCELED, NNG_ESTOPPED and the reasons of aborts come only where someone asked for them, for this operation;
 *     NNG_ETIMEDOUT only where a deadline was set, and not before it
 *   - with PINWHEEL_PROVIDER_CANCELS: no abort and no deadline is lost
 *   - whatever `check` says
 *
 * What it takes for granted: `start` calls nng_aio_begin or nng_aio_start before it does anything with the handle,
 * and leaves the handle alone when the answer is false. The results NNG_ECANCELED, NNG_ESTOPPED and NNG_ETIMEDOUT are
 * given only for the reason that a cancel function was called with; every other number is the provider's own, but for
 * those between 0x40000000 and 0x7fffffff, which are the storm's reasons.
 *
 * The exit status is the storm's: 0 all well, 1 a violation, 2 not a provider of this version, 3 it cannot be loaded
 * or does not open.
 */
#define PINWHEEL_PROVIDER_VERSION 1

/* What a provider promises. */
#define PINWHEEL_PROVIDER_CANCELS 0x1u /* an operation whose cancel function is called ends before long, by itself */

struct pinwheel_provider {
	uint32_t version;  /* PINWHEEL_PROVIDER_VERSION */
	uint32_t promises; /* PINWHEEL_PROVIDER_CANCELS or 0 */
	const char *name;  /* for the report */

	/*
	 * open: makes what the other functions are given; NULL: not possible.
	 *
	 * Context:    the main thread, once, with the engine running. aios: how many operations are under way at most.
	 */
	void *(*open)(uint32_t aios);

	/*
	 * start: begins one operation on the handle, as any function of yours that takes an nng_aio does.
	 *
	 * Context:    any thread, also inside callbacks, the handle's own included; many at once, for different handles.
	 * Ownership:  the handle is the storm's, and so are its deadlines and input 0. The rest is free to use: iov,
	 *             message, outputs, the other inputs.
	 */
	void (*start)(void *provider, nng_aio *aio);

	/*
	 * complete: what happens in the world your operations wait for. Where there is nothing to wait for it does
	 * nothing.
	 *
	 * Context:    racing threads, again and again, many at once, also for handles that have no operation or are gone:
	 *             look the handle up among those that you have, compare it, never follow it.
	 * Effect:     an operation on this handle whose start had returned before ends before long, unless it ends by
	 *             itself anyway. It may also end others.
	 */
	void (*complete)(void *provider, nng_aio *aio);

	/*
	 * check: looks at a completion, and takes from the handle what the operation has left there (a message). NULL
	 * here: nothing to look at. Returns NULL, or what is wrong, which ends the storm.
	 *
	 * Context:    the handle's callback, or the thread whose start ended without one.
	 */
	const char *(*check)(void *provider, nng_aio *aio);

	/*
	 * close: releases what open made. Nothing is under way any more.
	 *
	 * Context:    the main thread, once.
	 */
	void (*close)(void *provider);
};

/* What the shared object exports. The struct lives as long as the object is loaded. */
typedef const struct pinwheel_provider *(*pinwheel_provider_get_fn)(void);
PINWHEEL_DECL const struct pinwheel_provider *pinwheel_provider_get(void);
#define PINWHEEL_PROVIDER_SYMBOL "pinwheel_provider_get"

/* ---- Time by hand --------------------------------------------------------------------------------------------- */

/*
 * A program linked with pinwheel_test (libpinwheel_test.a: all of the library, for static linking) in the place of
 * pinwheel has a clock that stands still until it is told otherwise: nng_clock, pinwheel_clock_ns, every timeout,
 * expiration and sleep are on it. It begins at PINWHEEL_TEST_START_NS and is moved by the functions below, by
 * nng_msleep, which moves it by as much and returns within 10 ms, and by nng_fini while it waits for other threads.
 *
 * With one lent shard and no other (shards PINWHEEL_NONE, lent_shards 1) everything runs on the test's own thread,
 * inside pinwheel_poll and pinwheel_test_run_ns, in an order that the test decides: what it starts, finishes and
 * aborts between two polls is one round, and an hour of timeouts takes no time.
 *
 *	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
 *	config.shards = PINWHEEL_NONE;
 *	config.lent_shards = 1;
 *	pinwheel_start(&config);
 *	...
 *	nng_sleep_aio(60000, aio);
 *	pinwheel_test_run_ns(0, UINT64_C(59999000000));  // not yet
 *	assert(nng_aio_busy(aio));
 *	pinwheel_test_run_ns(0, UINT64_C(2000000));      // now
 *	assert(nng_aio_result(aio) == NNG_OK && !nng_aio_busy(aio));
 *
 * Shards with a thread of their own must be PINWHEEL_IDLE_BUSY, any other is misuse (R27): a thread that spins for
 * some time, then sleeps for some time, needs real time. So a program that is to be tested so starts the engine
 * itself.
 *
 * What only time can end is not to be waited for: nng_aio_wait and pinwheel_aio_wait_until on the thread that alone
 * moves the time do not return. Run first, then wait. What the kernel measures stays real: pinwheel_poll_fd's
 * readiness for a deadline, name servers.
 */
#define PINWHEEL_TEST_START_NS UINT64_C(1000000000000)

/*
 * pinwheel_test_advance_ns: moves the time.
 *
 * Context:    any thread, also inside callbacks. What comes due is done by the shards' next turns, not here; after a
 *             poll that returned 0, pinwheel_poll_fd becomes readable.
 */
PINWHEEL_DECL void pinwheel_test_advance_ns(uint64_t ns);

/*
 * pinwheel_test_run_ns: lets so much time pass on a lent shard: does what is due, moves the time to the shard's next
 * deadline, and so on; at the end everything that is due by then is done, and the time has moved by ns.
 *
 * Context:    as pinwheel_poll, which it calls: callbacks and cancel functions run inside. A deadline is met within a
 *             tick (the setting tick_ns), never early. A callback that starts an operation without a delay, for ever,
 *             keeps it from returning.
 * Effect:     returns the number of things done, as pinwheel_poll counts them.
 * Errors:     negative: misuse (R27), as pinwheel_poll; the time has not moved.
 */
PINWHEEL_DECL int pinwheel_test_run_ns(int shard, uint64_t ns);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: MIT
 *
 * ops.h: what a bench asks of a library that runs asynchronous operations. Plain C types: it is included by C and by
 * C++ files, and by peers that see no other header of ours.
 *
 * A peer is one C file that includes its own library and this file, and fills one table. The workloads (workload.h)
 * are written once, over the table, so that every library does the same work.
 *
 * An operation is started or put to sleep, and completes once, by finish, by cancel or by its own end; then the
 * callback runs. The callback may start the next operation of the same handle.
 */
#ifndef PINWHEEL_BENCH_OPS_H
#define PINWHEEL_BENCH_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where a handle's callbacks come from, in a library that lets one choose. */
enum bench_place {
	BENCH_ONE_LOOP = 0, /* all from the same event loop */
	BENCH_SPREAD = 1,   /* from all event loops, by turns */
};

enum bench_result {
	BENCH_DONE = 0, /* finished, or slept to the end */
	BENCH_CANCELED = 1,
	BENCH_FAILED = 2,
};

struct bench_ops {
	const char *name;
	/* The library's clock is this coarse: its sleep may end so much before a finer clock says so. */
	uint64_t clock_step_ns;
	/* The callbacks of handles on BENCH_ONE_LOOP come from one thread: they can count without atomic operations. */
	bool one_thread;

	/* Starts the library. False: it cannot run here, and has said why on stderr. */
	bool (*open)(void);
	/* Version, threads, where they are pinned, poller: one line. */
	void (*describe)(char *text, size_t size);

	/* NULL: out of memory. */
	void *(*alloc)(enum bench_place place, void (*callback)(void *), void *arg);
	void (*free)(void *aio);
	/* Calls function(arg) where operations are best started: on the one loop if the library has such a thing,
	 * else in the caller, before run returns. */
	bool (*run)(void (*function)(void *), void *arg);

	/* An operation with a cancel function and without a deadline. */
	bool (*start)(void *aio);
	void (*finish)(void *aio);
	void (*sleep)(void *aio, int32_t duration_ms);
	void (*cancel)(void *aio);
	enum bench_result (*result)(void *aio);
};

extern const struct bench_ops bench_pinwheel;
extern const struct bench_ops bench_nng;

#ifdef __cplusplus
}
#endif

#endif

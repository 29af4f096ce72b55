/* SPDX-License-Identifier: MIT
 *
 * ops.h: what a bench asks of a library that runs asynchronous operations. Plain C types: it is included by C and by
 * C++ files, and by peers that see no other header of ours.
 *
 * A peer is one file that includes its own library, this file and at most host.h, and fills one table. The workloads
 * (workload.h) are written once, over the table, so that every library does the same work. What a library has no
 * word for (libuv knows no operation that another thread finishes) the peer builds of what the library offers, in
 * the way its manual says; it keeps no promise that the workloads do not need. What cannot be built is NULL.
 *
 * An operation is started or put to sleep, and completes once: by finish, by cancel, by its deadline, or by its own
 * end; then the callback runs, on the handle's loop. The callback may start the next operation of the same handle.
 *
 * Context. *On the loop*: inside a function given to run, or inside a callback of the same loop. *Outside*: on
 * another thread, on another CPU. A library with `any_thread` takes every call from everywhere.
 */
#ifndef PINWHEEL_BENCH_OPS_H
#define PINWHEEL_BENCH_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum bench_result {
	BENCH_DONE = 0, /* finished, or slept to the end */
	BENCH_CANCELED = 1,
	BENCH_TIMED_OUT = 2,
	BENCH_FAILED = 3,
};

/* What a loop does that has nothing to do. */
enum bench_idle {
	BENCH_IDLE_DEFAULT = 0, /* what the library does by itself */
	BENCH_IDLE_SPIN = 1,    /* it asks again and never blocks */
};

/* Atomic operations of all threads of a library, ever. */
struct bench_counts {
	uint64_t loads;
	uint64_t stores;
	uint64_t locked; /* read-modify-writes */
	uint64_t fences;
};

#define BENCH_LOOPS_MAX 64u
#define BENCH_LOOP_ANY (-1) /* handles go to all loops by turns */

struct bench_setup {
	/* Event loops, each a thread; loop i is pinned to bench_cpu_of_loop(i) (host.h). At most ops->loops_max.
	 * 0: as many as the library starts by itself, where it pins them. */
	unsigned loops;
	enum bench_idle idle;
};

struct bench_ops {
	const char *name; /* as in B1/depth:1024/NAME; a floor's begins with "floor:" */
	/* The library's clock is this coarse: its sleep may end so much before a finer clock says so. */
	uint64_t clock_step_ns;
	/* The callbacks of one loop's handles come from one thread: they can count without atomic operations. */
	bool one_thread;
	bool any_thread;    /* every call is legal on every thread; run(...) may call where it stands */
	bool silent_cancel; /* a bare wheel: cancel calls nothing back, the handle is idle at once */
	unsigned loops_max;
	/* Of a handle, what the peer's file adds to the library's own object and what a sleep would do without. */
	size_t adapter_bytes;

	/* Starts the library, which must not be open; on success close ends it, and it may be opened again,
	 * otherwise. False: it cannot run here, and has said why on stderr. Outside. */
	bool (*open)(const struct bench_setup *setup);
	/* All handles have been freed. Outside. */
	void (*close)(void);
	/* Version, threads, where they are pinned, poller: one line. Outside, while it is open. */
	void (*describe)(char *text, size_t size);

	/* Calls function(arg) on the loop, once, soon; does not wait for that unless any_thread says that it may.
	 * Outside. */
	bool (*run)(int loop, void (*function)(void *), void *arg);

	/* ---- on the loop */

	/* A handle of this loop; with any_thread also BENCH_LOOP_ANY. NULL: out of memory. */
	void *(*alloc)(int loop, void (*callback)(void *), void *arg);
	/* The handle is idle, and its last callback has returned. */
	void (*free)(void *handle);
	/* Each later operation that is started gets a deadline, this far from its start; negative: none. */
	void (*set_timeout)(void *handle, int32_t timeout_ms);
	/* An operation that ends by finish, cancel or its deadline. False: refused. */
	bool (*start)(void *handle);
	/* False: it has ended already, and the callback comes with another result. */
	bool (*finish)(void *handle);
	void (*sleep)(void *handle, int32_t duration_ms);
	/* Ends an operation or a sleep; no effect on an idle handle. */
	void (*cancel)(void *handle);
	/* In the callback: how the operation ended. */
	enum bench_result (*result)(void *handle);

	/* ---- outside: one thread at a time */

	void (*finish_outside)(void *handle);
	void (*cancel_outside)(void *handle);

	/* NULL: it does not count. Any thread. */
	void (*counts)(struct bench_counts *counts);
};

extern const struct bench_ops bench_pinwheel;
extern const struct bench_ops bench_nng; /* Debian's, 1.5.2: begin, defer, finish */
extern const struct bench_ops bench_libuv;
extern const struct bench_ops bench_libev;
extern const struct bench_ops bench_libevent; /* sleeps only, as common timeouts, rounded up to 256 ms */
extern const struct bench_ops bench_asio;

/* The floors: the least that a question needs, with no promise kept. floor.c says how each is built. */
extern const struct bench_ops bench_floor_queue;       /* "floor:raw-queue": an intrusive list, one thread */
extern const struct bench_ops bench_floor_queue_wheel; /* "floor:raw-queue+wheel": and a timer for each deadline */
extern const struct bench_ops bench_floor_wheel;       /* "floor:wheel": a timing wheel and a clock */
extern const struct bench_ops bench_floor_ck_ring;     /* "floor:ck-ring": ck's MPSC ring, busy polling */
extern const struct bench_ops bench_floor_ring_word;   /* "floor:ring+word": SPSC ring, a CAS per side, 256 bytes */
extern const struct bench_ops bench_floor_eventfd;     /* "floor:eventfd": ring, eventfd, epoll; and a wheel */
extern const struct bench_ops bench_floor_msg_ring;    /* "floor:msg-ring": io_uring's MSG_RING from ring to ring */

#ifdef __cplusplus
}
#endif

#endif

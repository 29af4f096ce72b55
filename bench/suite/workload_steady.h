/* SPDX-License-Identifier: MIT
 *
 * workload_steady.h: a crowd of sleeps of which some end all the time, each sleeping again: how long a call of cancel
 * takes beside them, and how long a turn of their loop. Plain C types, for C and for C++ files.
 *
 * Context: as workload.h.
 */
#ifndef PINWHEEL_BENCH_WORKLOAD_STEADY_H
#define PINWHEEL_BENCH_WORKLOAD_STEADY_H

#include "bench/suite/workload.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bench_steady;

/* `count` sleeps on loop 0, of which count / period_ms end per millisecond. NULL: out of memory. */
struct bench_steady *bench_steady_open(const struct bench_ops *ops, uint32_t count, int32_t period_ms);
/* Ends it and frees it and its handles. False: the last callbacks do not come, and nothing is freed. */
bool bench_steady_close(struct bench_steady *steady);

/* Times of one kind. */
struct bench_times {
	uint64_t count;
	double mean_ns;
	uint64_t p50_ns;
	uint64_t p90_ns;
	uint64_t p99_ns;
	uint64_t p999_ns;
	uint64_t max_ns;
};

/* For duration_ms, 10 sleeps are canceled each millisecond, on the loop, or by the caller in a library where `run`
 * calls in place. outcome.operations: cancels; outcome.cpu_ns: without the thread that keeps the pace. */
struct bench_outcome bench_steady_cancel(struct bench_steady *steady, uint32_t duration_ms, struct bench_times *call,
    uint64_t *expired);

/* Of a loop, or of a thread that does nothing but look at the clock. */
struct bench_turns {
	struct bench_times wall; /* from one turn to the next */
	uint64_t own_max_ns;     /* the longest by the thread's own processor time: not while another thread ran */
	uint64_t own_long;       /* those above BENCH_LONG_TURN_NS */
	uint64_t beside_max_ns;  /* the same of a thread that only looked at the clock on another CPU meanwhile */
};

#define BENCH_LONG_TURN_NS UINT64_C(100000)

/* For duration_ms, an operation on the loop starts and finishes itself again in each of its callbacks: it runs once a
 * turn, and looks at the clock. */
struct bench_outcome bench_steady_turns(struct bench_steady *steady, uint32_t duration_ms, struct bench_turns *turns);

/* The same of a thread on loop 0's CPU that does nothing else: what the machine does to any thread there. */
struct bench_outcome bench_bare_turns(uint32_t duration_ms, struct bench_turns *turns);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: MIT
 *
 * workload.h: what the benches let a library do, written once over ops.h. Plain C types, for C and for C++ files.
 *
 * What it is not: a bench. A workload does a given amount of work once, checks that every callback came as it should,
 * and says how long it took; repetitions, pairs and statistics are the caller's.
 *
 * Context: one thread, outside callbacks. Every call returns when its work is over.
 */
#ifndef PINWHEEL_BENCH_WORKLOAD_H
#define PINWHEEL_BENCH_WORKLOAD_H

#include "bench/suite/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* error: what was wrong, static text; NULL: every callback came, once, with the right result, none early. */
struct bench_outcome {
	const char *error;
	uint64_t operations;
	uint64_t elapsed_ns;
	uint64_t cpu_ns;            /* of the whole process, meanwhile */
	uint64_t late;              /* operations that ended by their deadline, where that is no error */
	struct bench_counts counts; /* meanwhile, of a library that counts */
};

uint64_t bench_now_ns(void);
uint64_t bench_cpu_ns(void);
/* Calls function(arg) on the loop and returns when it has returned. False: it did not come. */
bool bench_call(const struct bench_ops *ops, int loop, void (*function)(void *), void *arg);

/* ---- finish (workload_finish.c) */

enum bench_driver {
	BENCH_BY_EACH = 0, /* each callback starts and finishes its handle's next operation */
	BENCH_BY_LAST = 1, /* the last callback of all handles starts and finishes all again */
};

/* `depth` handles, each started and finished `rounds` times on loop 0: start -> finish -> callback and nothing else.
 * timeout_ms: each operation has this deadline, which does not come; negative: none. */
struct bench_outcome bench_finish(const struct bench_ops *ops, enum bench_driver driver, unsigned depth,
    uint64_t rounds, int32_t timeout_ms);

/* ---- across CPUs (workload_cross.c); the caller is pinned meanwhile: it is the outside thread */

enum bench_end {
	BENCH_END_FINISH = 0,
	BENCH_END_CANCEL = 1,
};

/* `depth` handles of loop 0, started by their callbacks, ended by the caller at once: `operations` in all. */
struct bench_outcome bench_cross(const struct bench_ops *ops, enum bench_end end, unsigned depth, uint64_t operations,
    int32_t timeout_ms);

/* One handle, `count` operations one after the other, each ended by the caller gap_ns after it has heard of it.
 * latency_ns[i]: from before the end to the beginning of callback i, by the processor's counter. */
struct bench_outcome bench_latency(const struct bench_ops *ops, enum bench_end end, uint64_t count,
    int32_t timeout_ms, uint64_t gap_ns, uint64_t *latency_ns);

/* ---- a crowd (workload_crowd.c) */

struct bench_crowd;

/* `count` idle handles, on loop 0 or, with BENCH_LOOP_ANY, by turns on all. NULL: out of memory. */
struct bench_crowd *bench_crowd_open(const struct bench_ops *ops, int loop, uint32_t count);
/* Ends what its handles do, and frees all. False: the callbacks do not come, and nothing is freed. */
bool bench_crowd_close(struct bench_crowd *crowd);

/* An idle crowd goes to sleep, in random order, each handle for a random time of 10 to 20 minutes. */
bool bench_crowd_sleep(struct bench_crowd *crowd);
/* An idle crowd is started, in order, each operation with this deadline. */
bool bench_crowd_start(struct bench_crowd *crowd, int32_t timeout_ms);
/* Resident memory that the handles and their sleeps took, each; right for the first crowd of a process. What the
 * peer's file adds to each handle is taken off. */
double bench_crowd_bytes_per_sleep(const struct bench_crowd *crowd);

/* The crowd sleeps; for `seconds` nothing happens. */
struct bench_outcome bench_crowd_idle(struct bench_crowd *crowd, unsigned seconds);

enum bench_order {
	BENCH_IN_ORDER = 0, /* of allocation, again and again */
	BENCH_AT_RANDOM = 1,
};

/* The crowd sleeps or is started: cancels `operations` of the sleeps, or finishes as many operations; each callback
 * begins its handle's next sleep or operation, so the crowd stays as large as it is. At most `window` are ended and
 * not called back yet. Each handle's turn comes once in `count` operations, so that a deadline comes only to a
 * library that takes longer for a whole crowd: outcome.late counts these. A crowd on loop 0. */
struct bench_outcome bench_crowd_churn(struct bench_crowd *crowd, enum bench_order order, uint64_t operations,
    unsigned window);

/* The crowd sleeps, and beside it one more handle for `duration_ms`, `count` times in a row. lateness_ns[i]: from the
 * end of its sleep i to the callback. */
struct bench_outcome bench_crowd_beside(struct bench_crowd *crowd, int32_t duration_ms, unsigned count,
    uint64_t *lateness_ns);

/* What came of a burst. */
struct bench_burst {
	uint64_t fired;           /* callbacks that came before the limit */
	uint64_t early;           /* of them, before their deadline, the library's clock_step_ns granted */
	uint64_t lateness_p50_ns; /* of them, from a deadline to its callback */
	uint64_t lateness_p99_ns;
	uint64_t lateness_max_ns;
	uint64_t last_ns; /* from the last deadline to the last callback; if not all came: the limit */
	bool too_slow;    /* the lead was over before all were asleep: no figures; if no error, the crowd is idle */
};

/* An idle crowd goes to sleep, so that all sleeps end, at random, within `spread_ms` that begin `lead_ms` from now.
 * Waits until `limit_ms` after the last of these ends. Not all came until then: the crowd must not be used again. */
struct bench_outcome bench_crowd_burst(struct bench_crowd *crowd, int32_t lead_ms, int32_t spread_ms,
    int32_t limit_ms, struct bench_burst *burst);

#ifdef __cplusplus
}
#endif

#endif

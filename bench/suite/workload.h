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
	uint64_t cpu_ns; /* of the whole process, meanwhile */
};

uint64_t bench_now_ns(void);
uint64_t bench_cpu_ns(void);

/* ---- finish (workload_finish.c) */

enum bench_driver {
	BENCH_BY_EACH = 0, /* each callback starts and finishes its handle's next operation */
	BENCH_BY_LAST = 1, /* the last callback of all handles starts and finishes all again */
};

/* `depth` handles, each started and finished `rounds` times: start -> finish -> callback and nothing else, on one
 * loop. */
struct bench_outcome bench_finish(const struct bench_ops *ops, enum bench_driver driver, unsigned depth,
    uint64_t rounds);

/* ---- a crowd of sleeps (workload_sleep.c) */

struct bench_crowd;

/* `count` idle handles. NULL: out of memory. A crowd is never given back. */
struct bench_crowd *bench_crowd_open(const struct bench_ops *ops, enum bench_place place, uint32_t count);
/* An idle crowd goes to sleep, in random order, each handle for a random time of 10 to 20 minutes. */
void bench_crowd_sleep(struct bench_crowd *crowd);
/* Resident memory that the handles and their sleeps took, per sleep; right for the first crowd of a process. */
double bench_crowd_bytes_per_sleep(const struct bench_crowd *crowd);

/* The crowd sleeps; for `seconds` nothing happens. */
struct bench_outcome bench_crowd_idle(struct bench_crowd *crowd, unsigned seconds);

/* The crowd sleeps: cancels `operations` of the sleeps in random order; each callback lets its handle sleep again,
 * so the crowd stays as large as it is. At most `window` are canceled and not called back yet. */
struct bench_outcome bench_crowd_churn(struct bench_crowd *crowd, uint64_t operations, unsigned window);

/* The crowd sleeps, and beside it one more handle for `duration_ms`, `count` times in a row. lateness_ns[i]: from the
 * end of its sleep i to the callback. */
struct bench_outcome bench_crowd_beside(struct bench_crowd *crowd, int32_t duration_ms, unsigned count,
    uint64_t *lateness_ns);

/* What came of a burst. */
struct bench_burst {
	uint64_t fired;           /* callbacks that came before the limit */
	uint64_t lateness_p50_ns; /* of them, from a deadline to its callback */
	uint64_t lateness_p99_ns;
	uint64_t lateness_max_ns;
	uint64_t last_ns; /* from the last deadline to the last callback; if not all came: the limit */
	bool too_slow;    /* the lead was over before all were asleep: no figures, and the crowd is spoilt */
};

/* An idle crowd goes to sleep, so that all sleeps end, at random, within one second that begins `lead_ms` from now.
 * Waits until `limit_ms` after the last of these ends. Not all came until then: the crowd must not be used again. */
struct bench_outcome bench_crowd_burst(struct bench_crowd *crowd, int32_t lead_ms, int32_t limit_ms,
    struct bench_burst *burst);

#ifdef __cplusplus
}
#endif

#endif

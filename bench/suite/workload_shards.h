/* SPDX-License-Identifier: MIT
 *
 * workload_shards.h: the same work on many loops at once, and what a suspended thread does to others. Plain C types,
 * for C and for C++ files.
 *
 * Context: as workload.h.
 */
#ifndef PINWHEEL_BENCH_WORKLOAD_SHARDS_H
#define PINWHEEL_BENCH_WORKLOAD_SHARDS_H

#include "bench/suite/workload.h"

#ifdef __cplusplus
extern "C" {
#endif

enum bench_neighbour {
	BENCH_AT_HOME = 0,        /* each loop finishes its own operations */
	BENCH_NEIGHBOUR_FINISHES, /* callbacks of another loop do; there are two loops or more */
	BENCH_NEIGHBOUR_CANCELS,
};

/* Each of `loops` loops has `depth` handles, which do `operations` in all. For one_thread and any_thread. */
struct bench_outcome bench_shards(const struct bench_ops *ops, unsigned loops, enum bench_neighbour neighbour,
    unsigned depth, uint64_t operations);

/* What happens to a thread that finishes operations while another that does so is suspended wherever it is. */
struct bench_stall {
	uint64_t stalled; /* suspensions in which a call of the other thread waited for more than BENCH_STALL_NS */
	uint64_t rounds;
};

#define BENCH_STALL_NS UINT64_C(500000)

/* `rounds` suspensions, each for 2 ms or until the other thread has done `each` operations, one by one.
 * latency_ns[rounds * each]: from before the finish to the callback. `finish_outside` takes two threads at once,
 * whatever ops.h says: a library with any_thread, or floor:ck-ring. */
struct bench_outcome bench_stalled(const struct bench_ops *ops, unsigned rounds, unsigned each, uint64_t *latency_ns,
    struct bench_stall *stall);

#ifdef __cplusplus
}
#endif

#endif

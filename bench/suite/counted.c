/* SPDX-License-Identifier: MIT
 *
 * counted.c: pinwheel's table (peer_pinwheel.c) over the engine that counts its atomic operations: a library that the
 * suite loads beside the engine that it measures, each with its own threads and records.
 */
#include "bench/suite/counted.h"
#include "bench/suite/host.h"
#include "engine/base/atomic.h"

static void
counts_of_all(struct bench_counts *counts)
{
	struct pw_counts all;
	pw_counts_all(&all);
	*counts = (struct bench_counts){
		.loads = all.loads,
		.stores = all.stores,
		.locked = all.locked,
		.fences = all.fences,
	};
}

const struct bench_ops *
bench_counted(void)
{
	static struct bench_ops ops;
	ops = bench_pinwheel;
	ops.counts = counts_of_all;
	return bench_host_init() ? &ops : NULL;
}

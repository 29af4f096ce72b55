/* SPDX-License-Identifier: MIT
 *
 * peer_pinwheel.c: ops.h on pinwheel, through its public headers alone.
 *
 * Operations are started by nng_aio_start, the 2.x form, on the shard itself where a workload asks for one loop.
 */
#include "bench/suite/ops.h"

#include <pinwheel/pinwheel.h>

#include <stdio.h>

static bool
open_pinwheel(void)
{
	nng_err rv = pinwheel_start(NULL);
	if (rv != NNG_OK) {
		(void) fprintf(stderr, "pinwheel: %s\n", nng_strerror(rv));
	}
	return rv == NNG_OK;
}

static void
describe_pinwheel(char *text, size_t size)
{
	int used = snprintf(text, size, "%s, %d shards", nng_version(), pinwheel_shard_count());
	for (int i = 0; i < pinwheel_shard_count() && used > 0 && (size_t) used < size; i++) {
		struct pinwheel_shard_stats stats = { .size = sizeof stats };
		(void) pinwheel_stats(i, &stats);
		int more = snprintf(text + used, size - (size_t) used,
		    stats.pinned ? "%s %d on CPU %d by %s" : "%s %d not pinned (CPU %d) by %s", i == 0 ? ":" : ",", i,
		    stats.cpu, stats.poller);
		used = more < 0 ? more : used + more;
	}
}

static void *
alloc_pinwheel(enum bench_place place, void (*callback)(void *), void *arg)
{
	static int next;
	int shard = place == BENCH_ONE_LOOP ? 0 : next++ % pinwheel_shard_count();
	nng_aio *aio;
	return pinwheel_aio_alloc_on(&aio, shard, callback, arg) == NNG_OK ? aio : NULL;
}

static void
free_pinwheel(void *aio)
{
	nng_aio_free(aio);
}

static bool
run_pinwheel(void (*function)(void *), void *arg)
{
	return pinwheel_run_on(0, function, arg) == NNG_OK;
}

static void
on_cancel(nng_aio *aio, void *arg, nng_err reason)
{
	(void) arg;
	nng_aio_finish(aio, reason);
}

static bool
start_pinwheel(void *aio)
{
	return nng_aio_start(aio, on_cancel, NULL);
}

static void
finish_pinwheel(void *aio)
{
	nng_aio_finish(aio, NNG_OK);
}

static void
sleep_pinwheel(void *aio, int32_t duration_ms)
{
	nng_sleep_aio(duration_ms, aio);
}

static void
cancel_pinwheel(void *aio)
{
	nng_aio_cancel(aio);
}

static enum bench_result
result_pinwheel(void *aio)
{
	nng_err rv = nng_aio_result(aio);
	return rv == NNG_OK ? BENCH_DONE : rv == NNG_ECANCELED ? BENCH_CANCELED : BENCH_FAILED;
}

const struct bench_ops bench_pinwheel = {
	.name = "pinwheel",
	.clock_step_ns = 0,
	.one_thread = true,
	.open = open_pinwheel,
	.describe = describe_pinwheel,
	.alloc = alloc_pinwheel,
	.free = free_pinwheel,
	.run = run_pinwheel,
	.start = start_pinwheel,
	.finish = finish_pinwheel,
	.sleep = sleep_pinwheel,
	.cancel = cancel_pinwheel,
	.result = result_pinwheel,
};

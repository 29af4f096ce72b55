/* SPDX-License-Identifier: MIT
 *
 * peer_pinwheel.c: ops.h on pinwheel, through its public headers alone.
 *
 * Operations are started by nng_aio_start, the 2.x form. A workload finishes and aborts an operation from one thread,
 * and its deadline is far: so the provider here needs no lock of its own against a second finish.
 */
#include "bench/suite/host.h"
#include "bench/suite/ops.h"

#include <pinwheel/pinwheel.h>

#include <stdio.h>

static int
cpus_of_loops(unsigned loops, char *text, size_t size)
{
	int used = 0;
	text[0] = '\0';
	for (unsigned i = 0; i < loops && i < bench_cpu_count() && (size_t) used < size; i++) {
		used += snprintf(text + used, size - (size_t) used, "%s%d", i == 0 ? "" : ",", bench_cpu_of_loop(i));
	}
	return used;
}

static bool
open_pinwheel(const struct bench_setup *setup)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	char cpus[1024];
	if (setup->loops != 0) {
		(void) cpus_of_loops(setup->loops, cpus, sizeof cpus);
		config.cpus = cpus;
		config.shards = (int) setup->loops;
	}
	if (setup->idle == BENCH_IDLE_SPIN) {
		config.idle = PINWHEEL_IDLE_BUSY;
	}
	nng_err rv = pinwheel_start(&config);
	if (rv != NNG_OK) {
		(void) fprintf(stderr, "pinwheel: %s\n", nng_strerror(rv));
	}
	return rv == NNG_OK;
}

static void
close_pinwheel(void)
{
	nng_fini();
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

static bool
run_pinwheel(int loop, void (*function)(void *), void *arg)
{
	return pinwheel_run_on(loop, function, arg) == NNG_OK;
}

static void *
alloc_pinwheel(int loop, void (*callback)(void *), void *arg)
{
	static int next;
	int shard = loop == BENCH_LOOP_ANY ? next++ % pinwheel_shard_count() : loop;
	nng_aio *aio;
	return pinwheel_aio_alloc_on(&aio, shard, callback, arg) == NNG_OK ? aio : NULL;
}

static void
free_pinwheel(void *handle)
{
	nng_aio_free(handle);
}

static void
set_timeout_pinwheel(void *handle, int32_t timeout_ms)
{
	nng_aio_set_timeout(handle, timeout_ms < 0 ? NNG_DURATION_INFINITE : timeout_ms);
}

static void
on_cancel(nng_aio *aio, void *arg, nng_err reason)
{
	(void) arg;
	nng_aio_finish(aio, reason);
}

static bool
start_pinwheel(void *handle)
{
	return nng_aio_start(handle, on_cancel, NULL);
}

static bool
finish_pinwheel(void *handle)
{
	nng_aio_finish(handle, NNG_OK);
	return true;
}

static void
finish_outside_pinwheel(void *handle)
{
	nng_aio_finish(handle, NNG_OK);
}

static void
sleep_pinwheel(void *handle, int32_t duration_ms)
{
	nng_sleep_aio(duration_ms, handle);
}

static void
cancel_pinwheel(void *handle)
{
	nng_aio_cancel(handle);
}

static enum bench_result
result_pinwheel(void *handle)
{
	nng_err rv = nng_aio_result(handle);
	return rv == NNG_OK       ? BENCH_DONE
	    : rv == NNG_ECANCELED ? BENCH_CANCELED
	    : rv == NNG_ETIMEDOUT ? BENCH_TIMED_OUT
				  : BENCH_FAILED;
}

const struct bench_ops bench_pinwheel = {
	.name = "pinwheel",
	.one_thread = true,
	.any_thread = true,
	.loops_max = BENCH_LOOPS_MAX,
	.open = open_pinwheel,
	.close = close_pinwheel,
	.describe = describe_pinwheel,
	.run = run_pinwheel,
	.alloc = alloc_pinwheel,
	.free = free_pinwheel,
	.set_timeout = set_timeout_pinwheel,
	.start = start_pinwheel,
	.finish = finish_pinwheel,
	.sleep = sleep_pinwheel,
	.cancel = cancel_pinwheel,
	.result = result_pinwheel,
	.finish_outside = finish_outside_pinwheel,
	.cancel_outside = cancel_pinwheel,
};

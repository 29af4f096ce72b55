/* SPDX-License-Identifier: MIT
 *
 * peer_nng.c: ops.h on NNG 1.x, as Debian packages it. Compiled without our include folder, so <nng/nng.h> is NNG's.
 *
 * 1.x starts an operation by begin and defer. It has no event loop to choose: callbacks come from its own threads, so
 * `place` says nothing here, and `run` calls in the caller's thread.
 */
#include "bench/suite/ops.h"

#include <nng/nng.h>

#include <stdio.h>

#ifdef PINWHEEL_NNG_H
#error "this is pinwheel's nng.h: the peer must see its own library's"
#endif

static bool
open_nng(void)
{
	nng_aio *aio; /* the first handle starts the library */
	int rv = nng_aio_alloc(&aio, NULL, NULL);
	if (rv != 0) {
		(void) fprintf(stderr, "NNG: %s\n", nng_strerror(rv));
		return false;
	}
	nng_aio_free(aio);
	return true;
}

static void
describe_nng(char *text, size_t size)
{
	(void) snprintf(text, size, "%s, its own threads, not pinned", nng_version());
}

static void *
alloc_nng(enum bench_place place, void (*callback)(void *), void *arg)
{
	(void) place;
	nng_aio *aio;
	return nng_aio_alloc(&aio, callback, arg) == 0 ? aio : NULL;
}

static void
free_nng(void *aio)
{
	nng_aio_free(aio);
}

static bool
run_nng(void (*function)(void *), void *arg)
{
	function(arg);
	return true;
}

static void
on_cancel(nng_aio *aio, void *arg, int reason)
{
	(void) arg;
	nng_aio_finish(aio, reason);
}

static bool
start_nng(void *aio)
{
	if (!nng_aio_begin(aio)) {
		return false;
	}
	nng_aio_defer(aio, on_cancel, NULL);
	return true;
}

static void
finish_nng(void *aio)
{
	nng_aio_finish(aio, 0);
}

static void
sleep_nng(void *aio, int32_t duration_ms)
{
	nng_sleep_aio(duration_ms, aio);
}

static void
cancel_nng(void *aio)
{
	nng_aio_cancel(aio);
}

static enum bench_result
result_nng(void *aio)
{
	int rv = nng_aio_result(aio);
	return rv == 0 ? BENCH_DONE : rv == NNG_ECANCELED ? BENCH_CANCELED : BENCH_FAILED;
}

const struct bench_ops bench_nng = {
	.name = "NNG",
	.clock_step_ns = 1000000,
	.open = open_nng,
	.describe = describe_nng,
	.alloc = alloc_nng,
	.free = free_nng,
	.run = run_nng,
	.start = start_nng,
	.finish = finish_nng,
	.sleep = sleep_nng,
	.cancel = cancel_nng,
	.result = result_nng,
};

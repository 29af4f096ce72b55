/* SPDX-License-Identifier: MIT
 *
 * peer_nng.c: ops.h on NNG 1.x, as Debian packages it. Compiled without our include folder, so <nng/nng.h> is NNG's.
 *
 * 1.x starts an operation by begin and defer. It has no event loop to choose: callbacks come from its own threads,
 * which inherit the CPUs of the loops that a workload asks for, and `run` calls in a thread of ours on the same CPUs.
 * A deadline ends an operation on another thread than finish: a provider holds a lock against a second finish; here
 * it is an exchange.
 */
#include "bench/suite/host.h"
#include "bench/suite/ops.h"

#include <nng/nng.h>

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/atomic.h"

#ifdef PINWHEEL_NNG_H
#error "this is pinwheel's nng.h: the peer must see its own library's"
#endif

struct operation {
	nng_aio *aio;
	pw_a32 open; /* 1: started, and neither finished nor canceled */
};

static struct bench_pool pool;
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static bool pinned;

static bool
open_nng(const struct bench_setup *setup)
{
	nng_aio *aio; /* the first handle starts the library */
	pinned = setup->loops != 0;
	if (pinned && !bench_pin_as_loops(setup->loops)) {
		(void) fprintf(stderr, "NNG: its threads cannot be pinned\n");
		return false;
	}
	int rv = nng_aio_alloc(&aio, NULL, NULL);
	if (pinned) {
		bench_unpin();
	}
	if (rv != 0) {
		(void) fprintf(stderr, "NNG: %s\n", nng_strerror(rv));
		return false;
	}
	nng_aio_free(aio);
	bench_pool_init(&pool, sizeof(struct operation));
	return true;
}

static void
close_nng(void)
{
	bench_pool_close(&pool);
	nng_fini();
}

static void
describe_nng(char *text, size_t size)
{
	(void) snprintf(text, size, "%s, its own threads, %s", nng_version(),
	    pinned ? "on the CPUs of the loops" : "not pinned");
}

struct call {
	void (*function)(void *);
	void *arg;
};

static void *
on_call(void *arg)
{
	struct call call = *(struct call *) arg;
	free(arg);
	call.function(call.arg);
	return NULL;
}

static bool
run_nng(int loop, void (*function)(void *), void *arg)
{
	if (!pinned) {
		function(arg);
		return true;
	}
	struct call *call = malloc(sizeof *call);
	pthread_t thread;
	if (call == NULL) {
		return false;
	}
	*call = (struct call){ function, arg };
	if (!bench_thread_start(&thread, bench_cpu_of_loop((unsigned) loop), on_call, call)) {
		free(call);
		return false;
	}
	(void) pthread_detach(thread);
	return true;
}

static void *
alloc_nng(int loop, void (*callback)(void *), void *arg)
{
	(void) loop;
	(void) pthread_mutex_lock(&pool_lock);
	struct operation *operation = bench_pool_get(&pool);
	(void) pthread_mutex_unlock(&pool_lock);
	if (operation != NULL) {
		pw_store_relaxed_32(&operation->open, 0); /* relaxed: nobody knows it yet */
		if (nng_aio_alloc(&operation->aio, callback, arg) != 0) {
			return NULL;
		}
	}
	return operation;
}

static void
free_nng(void *handle)
{
	struct operation *operation = handle;
	nng_aio_free(operation->aio);
	(void) pthread_mutex_lock(&pool_lock);
	bench_pool_put(&pool, operation);
	(void) pthread_mutex_unlock(&pool_lock);
}

static void
set_timeout_nng(void *handle, int32_t timeout_ms)
{
	struct operation *operation = handle;
	nng_aio_set_timeout(operation->aio, timeout_ms < 0 ? NNG_DURATION_INFINITE : timeout_ms);
}

static bool
end(struct operation *operation, int result)
{
	bool first = pw_exchange_acq_rel_32(&operation->open, 0) == 1;
	if (first) {
		nng_aio_finish(operation->aio, result);
	}
	return first;
}

static void
on_cancel(nng_aio *aio, void *arg, int reason)
{
	(void) aio;
	(void) end(arg, reason);
}

static bool
start_nng(void *handle)
{
	struct operation *operation = handle;
	if (!nng_aio_begin(operation->aio)) {
		return false;
	}
	pw_store_release_32(&operation->open, 1);
	nng_aio_defer(operation->aio, on_cancel, operation);
	return true;
}

static bool
finish_nng(void *handle)
{
	return end(handle, 0);
}

static void
finish_outside_nng(void *handle)
{
	(void) end(handle, 0);
}

static void
sleep_nng(void *handle, int32_t duration_ms)
{
	struct operation *operation = handle;
	nng_sleep_aio(duration_ms, operation->aio);
}

static void
cancel_nng(void *handle)
{
	struct operation *operation = handle;
	nng_aio_cancel(operation->aio);
}

static enum bench_result
result_nng(void *handle)
{
	struct operation *operation = handle;
	switch (nng_aio_result(operation->aio)) {
	case 0:
		return BENCH_DONE;
	case NNG_ECANCELED:
		return BENCH_CANCELED;
	case NNG_ETIMEDOUT:
		return BENCH_TIMED_OUT;
	default:
		return BENCH_FAILED;
	}
}

const struct bench_ops bench_nng = {
	.name = "NNG",
	.clock_step_ns = 1000000,
	.any_thread = true,
	.loops_max = BENCH_LOOPS_MAX,
	.adapter_bytes = sizeof(struct operation),
	.open = open_nng,
	.close = close_nng,
	.describe = describe_nng,
	.run = run_nng,
	.alloc = alloc_nng,
	.free = free_nng,
	.set_timeout = set_timeout_nng,
	.start = start_nng,
	.finish = finish_nng,
	.sleep = sleep_nng,
	.cancel = cancel_nng,
	.result = result_nng,
	.finish_outside = finish_outside_nng,
	.cancel_outside = cancel_nng,
};

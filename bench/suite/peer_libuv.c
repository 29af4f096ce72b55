/* SPDX-License-Identifier: MIT
 *
 * peer_libuv.c: ops.h on libuv.
 *
 * libuv has timers and a wake-up from other threads (uv_async_t), and no operations. So an operation is a timer where
 * it has a deadline, and a completion is a place in a list that an async handle's callback runs: that is how a
 * program posts to a libuv loop. From outside it is a ring and uv_async_send. A timer counts from the loop's time,
 * which stands still during a turn: as a program does it, uv_update_time is not called for each.
 */
#include "bench/suite/host.h"
#include "bench/suite/ops.h"

#include <uv.h>

#include <stdio.h>

#include "bench/suite/spsc.h"

enum state {
	IDLE = 0,
	STARTED, /* an operation, perhaps with a timer */
	ASLEEP,
	ENDED, /* its callback is due */
};

struct handle {
	uv_timer_t timer; /* timer.data: the callback's argument */
	void (*callback)(void *);
	struct handle *next;
	int32_t timeout_ms;
	uint8_t state;
	uint8_t result;
	bool cancel_wanted; /* written outside before the ring hands the handle over */
};

static struct {
	uv_loop_t loop;
	uv_async_t posted;
	uv_async_t mailed;
	pthread_t thread;
	enum bench_idle idle;
	bool stop;
	struct handle *first, **last;
	struct bench_mail mail;
	struct bench_spsc ring;
	struct bench_pool pool;
} peer;

static void
append(struct handle *handle, enum bench_result result)
{
	handle->state = ENDED;
	handle->result = (uint8_t) result;
	handle->next = NULL;
	*peer.last = handle;
	peer.last = &handle->next;
}

static void
end(struct handle *handle, enum bench_result result)
{
	if (handle->state == ASLEEP || handle->timeout_ms >= 0) {
		(void) uv_timer_stop(&handle->timer);
	}
	append(handle, result);
}

static void
call(struct handle *handle)
{
	handle->state = IDLE;
	handle->callback(handle->timer.data);
}

/* What is in the list now; what callbacks append is left to the next turn, which the first of it has asked for. */
static void
run_list(void)
{
	struct handle *handle = peer.first;
	peer.first = NULL;
	peer.last = &peer.first;
	while (handle != NULL) {
		struct handle *next = handle->next;
		call(handle);
		handle = next;
	}
}

static void
on_posted(uv_async_t *async)
{
	(void) async;
	struct handle *handle;
	while ((handle = bench_spsc_pop(&peer.ring)) != NULL) {
		if (handle->state == STARTED || handle->state == ASLEEP) {
			end(handle, handle->cancel_wanted ? BENCH_CANCELED : BENCH_DONE);
		}
	}
	run_list();
}

static void
on_mailed(uv_async_t *async)
{
	(void) async;
	bench_mail_run(&peer.mail);
}

static void *
loop_thread(void *arg)
{
	(void) arg;
	while (!peer.stop) {
		(void) uv_run(&peer.loop, peer.idle == BENCH_IDLE_SPIN ? UV_RUN_NOWAIT : UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *) &peer.posted, NULL);
	uv_close((uv_handle_t *) &peer.mailed, NULL);
	while (uv_loop_close(&peer.loop) != 0) {
		(void) uv_run(&peer.loop, UV_RUN_NOWAIT);
	}
	return NULL;
}

static bool
open_libuv(const struct bench_setup *setup)
{
	peer.idle = setup->idle;
	peer.stop = false;
	peer.first = NULL;
	peer.last = &peer.first;
	bench_mail_init(&peer.mail);
	bench_spsc_init(&peer.ring);
	bench_pool_init(&peer.pool, sizeof(struct handle));
	if (uv_loop_init(&peer.loop) != 0 || uv_async_init(&peer.loop, &peer.posted, on_posted) != 0 ||
	    uv_async_init(&peer.loop, &peer.mailed, on_mailed) != 0 ||
	    !bench_thread_start(&peer.thread, bench_cpu_of_loop(0), loop_thread, NULL)) {
		(void) fprintf(stderr, "libuv: it cannot start\n");
		return false;
	}
	return true;
}

static bool
run_libuv(int loop, void (*function)(void *), void *arg)
{
	(void) loop;
	return bench_mail_put(&peer.mail, function, arg) && uv_async_send(&peer.mailed) == 0;
}

static void
on_stop(void *arg)
{
	(void) arg;
	peer.stop = true;
}

static void
close_libuv(void)
{
	(void) run_libuv(0, on_stop, NULL);
	(void) pthread_join(peer.thread, NULL);
	bench_pool_close(&peer.pool);
}

static void
describe_libuv(char *text, size_t size)
{
	(void) snprintf(text, size, "%s, a loop on CPU %d", uv_version_string(), bench_cpu_of_loop(0));
}

static void *
alloc_libuv(int loop, void (*callback)(void *), void *arg)
{
	(void) loop;
	struct handle *handle = bench_pool_get(&peer.pool);
	if (handle != NULL) {
		(void) uv_timer_init(&peer.loop, &handle->timer);
		handle->timer.data = arg;
		handle->callback = callback;
		handle->timeout_ms = -1;
		handle->state = IDLE;
		handle->cancel_wanted = false;
	}
	return handle;
}

static void
on_closed(uv_handle_t *timer)
{
	bench_pool_put(&peer.pool, timer); /* the handle's first member */
}

static void
free_libuv(void *arg)
{
	struct handle *handle = arg;
	uv_close((uv_handle_t *) &handle->timer, on_closed);
}

static void
set_timeout_libuv(void *arg, int32_t timeout_ms)
{
	struct handle *handle = arg;
	handle->timeout_ms = timeout_ms;
}

static void
on_timer(uv_timer_t *timer)
{
	struct handle *handle = (struct handle *) timer;
	handle->result = handle->state == ASLEEP ? BENCH_DONE : BENCH_TIMED_OUT;
	call(handle);
}

static bool
start_libuv(void *arg)
{
	struct handle *handle = arg;
	handle->state = STARTED;
	handle->cancel_wanted = false;
	if (handle->timeout_ms >= 0) {
		(void) uv_timer_start(&handle->timer, on_timer, (uint64_t) handle->timeout_ms, 0);
	}
	return true;
}

static void
sleep_libuv(void *arg, int32_t duration_ms)
{
	struct handle *handle = arg;
	handle->state = ASLEEP;
	(void) uv_timer_start(&handle->timer, on_timer, (uint64_t) duration_ms, 0);
}

static bool
post(struct handle *handle, enum bench_result result)
{
	if (handle->state != STARTED && handle->state != ASLEEP) {
		return false;
	}
	bool first = peer.first == NULL;
	end(handle, result);
	if (first) {
		(void) uv_async_send(&peer.posted);
	}
	return true;
}

static bool
finish_libuv(void *handle)
{
	return post(handle, BENCH_DONE);
}

static void
cancel_libuv(void *handle)
{
	(void) post(handle, BENCH_CANCELED);
}

static enum bench_result
result_libuv(void *arg)
{
	const struct handle *handle = arg;
	return (enum bench_result) handle->result;
}

static void
finish_outside_libuv(void *handle)
{
	bench_spsc_push(&peer.ring, handle);
	(void) uv_async_send(&peer.posted);
}

static void
cancel_outside_libuv(void *arg)
{
	struct handle *handle = arg;
	handle->cancel_wanted = true;
	finish_outside_libuv(handle);
}

const struct bench_ops bench_libuv = {
	.name = "libuv",
	.clock_step_ns = 1000000,
	.one_thread = true,
	.loops_max = 1,
	.adapter_bytes = sizeof(struct handle) - sizeof(uv_timer_t),
	.open = open_libuv,
	.close = close_libuv,
	.describe = describe_libuv,
	.run = run_libuv,
	.alloc = alloc_libuv,
	.free = free_libuv,
	.set_timeout = set_timeout_libuv,
	.start = start_libuv,
	.finish = finish_libuv,
	.sleep = sleep_libuv,
	.cancel = cancel_libuv,
	.result = result_libuv,
	.finish_outside = finish_outside_libuv,
	.cancel_outside = cancel_outside_libuv,
};

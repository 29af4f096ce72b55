/* SPDX-License-Identifier: MIT
 *
 * peer_libev.c: ops.h on libev.
 *
 * libev has timers, a way to queue an event by hand (ev_feed_event), and a wake-up from other threads (ev_async). So
 * an operation is a timer watcher, active where it has a deadline, and a completion is an event fed to it; from
 * outside it is a ring and ev_async_send. A timer counts from the loop's time, which stands still during a turn: as a
 * program does it, ev_now_update is not called for each.
 */
#include "bench/suite/host.h"
#include "bench/suite/ops.h"

#include <ev.h>

#include <stdio.h>

#include "bench/suite/spsc.h"

enum state {
	IDLE = 0,
	STARTED, /* an operation, perhaps with a timer */
	ASLEEP,
	ENDED, /* its callback is due */
};

struct handle {
	ev_timer timer; /* timer.data: the callback's argument */
	void (*callback)(void *);
	int32_t timeout_ms;
	uint8_t state;
	uint8_t result;
	bool cancel_wanted; /* written outside before the ring hands the handle over */
};

static struct {
	struct ev_loop *loop;
	ev_async posted;
	ev_async mailed;
	pthread_t thread;
	enum bench_idle idle;
	bool stop;
	struct bench_mail mail;
	struct bench_spsc ring;
	struct bench_pool pool;
} peer;

static bool
end(struct handle *handle, enum bench_result result)
{
	if (handle->state != STARTED && handle->state != ASLEEP) {
		return false;
	}
	ev_timer_stop(peer.loop, &handle->timer);
	handle->state = ENDED;
	handle->result = (uint8_t) result;
	ev_feed_event(peer.loop, &handle->timer, EV_CUSTOM);
	return true;
}

static void
on_event(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void) loop;
	struct handle *handle = (struct handle *) timer;
	if (events & EV_TIMER) {
		handle->result = handle->state == ASLEEP ? BENCH_DONE : BENCH_TIMED_OUT;
	}
	handle->state = IDLE;
	handle->callback(timer->data);
}

static void
on_posted(struct ev_loop *loop, ev_async *async, int events)
{
	(void) loop;
	(void) async;
	(void) events;
	struct handle *handle;
	while ((handle = bench_spsc_pop(&peer.ring)) != NULL) {
		(void) end(handle, handle->cancel_wanted ? BENCH_CANCELED : BENCH_DONE);
	}
}

static void
on_mailed(struct ev_loop *loop, ev_async *async, int events)
{
	(void) loop;
	(void) async;
	(void) events;
	bench_mail_run(&peer.mail);
}

static void *
loop_thread(void *arg)
{
	(void) arg;
	while (!peer.stop) {
		(void) ev_run(peer.loop, peer.idle == BENCH_IDLE_SPIN ? EVRUN_NOWAIT : EVRUN_ONCE);
	}
	ev_async_stop(peer.loop, &peer.posted);
	ev_async_stop(peer.loop, &peer.mailed);
	ev_loop_destroy(peer.loop);
	return NULL;
}

static bool
open_libev(const struct bench_setup *setup)
{
	peer.idle = setup->idle;
	peer.stop = false;
	bench_mail_init(&peer.mail);
	bench_spsc_init(&peer.ring);
	bench_pool_init(&peer.pool, sizeof(struct handle));
	peer.loop = ev_loop_new(EVFLAG_AUTO);
	if (peer.loop == NULL) {
		(void) fprintf(stderr, "libev: it cannot start\n");
		return false;
	}
	ev_async_init(&peer.posted, on_posted);
	ev_async_init(&peer.mailed, on_mailed);
	ev_async_start(peer.loop, &peer.posted);
	ev_async_start(peer.loop, &peer.mailed);
	if (!bench_thread_start(&peer.thread, bench_cpu_of_loop(0), loop_thread, NULL)) {
		ev_loop_destroy(peer.loop);
		(void) fprintf(stderr, "libev: no thread\n");
		return false;
	}
	return true;
}

static bool
run_libev(int loop, void (*function)(void *), void *arg)
{
	(void) loop;
	bool room = bench_mail_put(&peer.mail, function, arg);
	ev_async_send(peer.loop, &peer.mailed);
	return room;
}

static void
on_stop(void *arg)
{
	(void) arg;
	peer.stop = true;
}

static void
close_libev(void)
{
	(void) run_libev(0, on_stop, NULL);
	(void) pthread_join(peer.thread, NULL);
	bench_pool_close(&peer.pool);
}

static void
describe_libev(char *text, size_t size)
{
	(void) snprintf(text, size, "%d.%d, a loop on CPU %d", ev_version_major(), ev_version_minor(),
	    bench_cpu_of_loop(0));
}

static void *
alloc_libev(int loop, void (*callback)(void *), void *arg)
{
	(void) loop;
	struct handle *handle = bench_pool_get(&peer.pool);
	if (handle != NULL) {
		ev_timer_init(&handle->timer, on_event, 0., 0.);
		handle->timer.data = arg;
		handle->callback = callback;
		handle->timeout_ms = -1;
		handle->state = IDLE;
	}
	return handle;
}

static void
free_libev(void *arg)
{
	struct handle *handle = arg;
	ev_timer_stop(peer.loop, &handle->timer);
	bench_pool_put(&peer.pool, handle);
}

static void
set_timeout_libev(void *arg, int32_t timeout_ms)
{
	struct handle *handle = arg;
	handle->timeout_ms = timeout_ms;
}

static void
arm(struct handle *handle, int32_t duration_ms)
{
	ev_timer_set(&handle->timer, duration_ms * 1e-3, 0.);
	ev_timer_start(peer.loop, &handle->timer);
}

static bool
start_libev(void *arg)
{
	struct handle *handle = arg;
	handle->state = STARTED;
	handle->cancel_wanted = false;
	if (handle->timeout_ms >= 0) {
		arm(handle, handle->timeout_ms);
	}
	return true;
}

static void
sleep_libev(void *arg, int32_t duration_ms)
{
	struct handle *handle = arg;
	handle->state = ASLEEP;
	handle->cancel_wanted = false;
	arm(handle, duration_ms);
}

static bool
finish_libev(void *handle)
{
	return end(handle, BENCH_DONE);
}

static void
cancel_libev(void *handle)
{
	(void) end(handle, BENCH_CANCELED);
}

static enum bench_result
result_libev(void *arg)
{
	const struct handle *handle = arg;
	return (enum bench_result) handle->result;
}

static void
finish_outside_libev(void *handle)
{
	bench_spsc_push(&peer.ring, handle);
	ev_async_send(peer.loop, &peer.posted);
}

static void
cancel_outside_libev(void *arg)
{
	struct handle *handle = arg;
	handle->cancel_wanted = true;
	finish_outside_libev(handle);
}

const struct bench_ops bench_libev = {
	.name = "libev",
	.clock_step_ns = 1000000,
	.one_thread = true,
	.loops_max = 1,
	.adapter_bytes = sizeof(struct handle) - sizeof(ev_timer),
	.open = open_libev,
	.close = close_libev,
	.describe = describe_libev,
	.run = run_libev,
	.alloc = alloc_libev,
	.free = free_libev,
	.set_timeout = set_timeout_libev,
	.start = start_libev,
	.finish = finish_libev,
	.sleep = sleep_libev,
	.cancel = cancel_libev,
	.result = result_libev,
	.finish_outside = finish_outside_libev,
	.cancel_outside = cancel_outside_libev,
};

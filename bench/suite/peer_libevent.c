/* SPDX-License-Identifier: MIT
 *
 * peer_libevent.c: ops.h on libevent: sleeps, and nothing else.
 *
 * The sleeps are libevent's common timeouts, lists for durations that many events have in common: its answer to a
 * million timers. There may be 256 of them, so a duration up to 64 s is rounded up to a multiple of 256 ms: cheap and
 * late, as the figures show. A longer one goes on libevent's heap.
 */
#include "bench/suite/host.h"
#include "bench/suite/ops.h"

#include <event2/event.h>
#include <event2/event_struct.h>

#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STEP_MS 256
#define STEPS 250 /* of common timeouts */

enum state {
	IDLE = 0,
	ASLEEP,
	ENDED, /* its callback is due */
};

struct handle {
	struct event event;
	void (*callback)(void *);
	void *arg;
	uint8_t state;
	uint8_t result;
};

static struct {
	struct event_base *base;
	struct event *mailed;
	int mail_fd;
	pthread_t thread;
	enum bench_idle idle;
	bool stop;
	const struct timeval *common[STEPS + 1];
	struct bench_mail mail;
	struct bench_pool pool;
} peer;

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	struct handle *handle = arg;
	if (handle->state == ASLEEP) {
		handle->result = BENCH_DONE;
	}
	handle->state = IDLE;
	handle->callback(handle->arg);
}

static void
on_mailed(evutil_socket_t fd, short what, void *arg)
{
	(void) what;
	(void) arg;
	uint64_t count;
	if (read(fd, &count, sizeof count) == sizeof count) {
		bench_mail_run(&peer.mail);
	}
}

static void *
loop_thread(void *arg)
{
	(void) arg;
	while (!peer.stop) {
		(void) event_base_loop(peer.base, EVLOOP_ONCE | (peer.idle == BENCH_IDLE_SPIN ? EVLOOP_NONBLOCK : 0));
	}
	event_free(peer.mailed);
	event_base_free(peer.base);
	(void) close(peer.mail_fd);
	return NULL;
}

static bool
open_libevent(const struct bench_setup *setup)
{
	peer.idle = setup->idle;
	peer.stop = false;
	bench_mail_init(&peer.mail);
	bench_pool_init(&peer.pool, (sizeof(struct handle) + 7) / 8 * 8);
	for (unsigned i = 0; i <= STEPS; i++) {
		peer.common[i] = NULL;
	}
	peer.mail_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	peer.base = event_base_new();
	peer.mailed =
	    peer.base == NULL ? NULL : event_new(peer.base, peer.mail_fd, EV_READ | EV_PERSIST, on_mailed, NULL);
	if (peer.mailed == NULL || event_add(peer.mailed, NULL) != 0 ||
	    !bench_thread_start(&peer.thread, bench_cpu_of_loop(0), loop_thread, NULL)) {
		(void) fprintf(stderr, "libevent: it cannot start\n");
		return false;
	}
	return true;
}

static bool
run_libevent(int loop, void (*function)(void *), void *arg)
{
	(void) loop;
	const uint64_t one = 1;
	return bench_mail_put(&peer.mail, function, arg) && write(peer.mail_fd, &one, sizeof one) == sizeof one;
}

static void
on_stop(void *arg)
{
	(void) arg;
	peer.stop = true;
}

static void
close_libevent(void)
{
	(void) run_libevent(0, on_stop, NULL);
	(void) pthread_join(peer.thread, NULL);
	bench_pool_close(&peer.pool);
}

static void
describe_libevent(char *text, size_t size)
{
	(void) snprintf(text, size, "%s, a loop on CPU %d, common timeouts of %d ms", event_get_version(),
	    bench_cpu_of_loop(0), STEP_MS);
}

static void *
alloc_libevent(int loop, void (*callback)(void *), void *arg)
{
	(void) loop;
	struct handle *handle = bench_pool_get(&peer.pool);
	if (handle != NULL) {
		(void) event_assign(&handle->event, peer.base, -1, 0, on_event, handle);
		handle->callback = callback;
		handle->arg = arg;
		handle->state = IDLE;
	}
	return handle;
}

static void
free_libevent(void *arg)
{
	struct handle *handle = arg;
	(void) event_del(&handle->event);
	bench_pool_put(&peer.pool, handle);
}

static void
sleep_libevent(void *arg, int32_t duration_ms)
{
	struct handle *handle = arg;
	int32_t step = (duration_ms + STEP_MS - 1) / STEP_MS;
	handle->state = ASLEEP;
	if (step > STEPS) { /* far: libevent's heap */
		struct timeval far = { .tv_sec = duration_ms / 1000, .tv_usec = duration_ms % 1000 * 1000 };
		(void) event_add(&handle->event, &far);
		return;
	}
	if (peer.common[step] == NULL) {
		struct timeval duration = {
			.tv_sec = step * STEP_MS / 1000,
			.tv_usec = step * STEP_MS % 1000 * 1000,
		};
		peer.common[step] = event_base_init_common_timeout(peer.base, &duration);
	}
	(void) event_add(&handle->event, peer.common[step]);
}

static void
cancel_libevent(void *arg)
{
	struct handle *handle = arg;
	if (handle->state == ASLEEP) {
		(void) event_del(&handle->event);
		handle->state = ENDED;
		handle->result = BENCH_CANCELED;
		event_active(&handle->event, EV_TIMEOUT, 0);
	}
}

static enum bench_result
result_libevent(void *arg)
{
	const struct handle *handle = arg;
	return (enum bench_result) handle->result;
}

const struct bench_ops bench_libevent = {
	.name = "libevent",
	.clock_step_ns = 1000000,
	.one_thread = true,
	.loops_max = 1,
	.adapter_bytes = sizeof(struct handle) - sizeof(struct event),
	.open = open_libevent,
	.close = close_libevent,
	.describe = describe_libevent,
	.run = run_libevent,
	.alloc = alloc_libevent,
	.free = free_libevent,
	.sleep = sleep_libevent,
	.cancel = cancel_libevent,
	.result = result_libevent,
};

/* SPDX-License-Identifier: MIT
 *
 * floor.c: the floors: for each question the least that an answer needs, as tables of ops.h.
 *
 * They keep no promise: nothing is checked, a handle may be freed while it is known elsewhere, a finish may hit the
 * next operation, a wrong call crashes. What they do is done as well as we know how. One thread, a *ready list* of
 * handles whose callbacks are due, linked through the handle (64 bytes, a line), and beside it:
 *
 *   floor:raw-queue        nothing: finish appends to the list
 *   floor:raw-queue+wheel  floor_wheel.h: each start with a deadline arms, each finish unlinks
 *   floor:wheel            the same wheel, timers of 72 bytes; cancel calls nothing back: a cancel and an arm are all
 *   floor:ck-ring          outside threads enqueue on ck's MPSC ring; the loop polls it and never blocks
 *   floor:ring+word        spsc.h in place of it, and a word of the handle (256 bytes) that start and finish move by
 *                          CAS: the price of each protocol whose finish touches the operation; deadlines: the wheel
 *   floor:eventfd          spsc.h, and an eventfd that is written when the loop may block, and read through epoll
 *   floor:msg-ring         an io_uring of the outside thread sends the handle to the io_uring of the loop, one by one
 *
 * The wheel counts from the time that the loop has read at the beginning of its turn: no start reads a clock.
 */
#include "bench/suite/host.h"
#include "bench/suite/ops.h"

#include <ck_ring.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "bench/suite/floor_wheel.h"
#include "bench/suite/spsc.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define CK_SLOTS 4096u
#define CQ_SLOTS 8192u
#define HANDLE_BYTES 64u /* a line */
#define WHEEL_BYTES 72u  /* packed: links, list, deadline, interval, flags, callback, argument of a usual timer */
#define WORD_BYTES 256u  /* an aio's */

enum channel {
	CHANNEL_EVENTFD = 0,
	CHANNEL_CK_RING,
	CHANNEL_SPSC,
	CHANNEL_MSG_RING,
};

enum state {
	IDLE = 0,
	STARTED,
	ASLEEP,
	ENDED,
};

/* The word of ring+word. */
#define WORD_IDLE UINT32_C(0)
#define WORD_STARTED UINT32_C(1)
#define WORD_DONE UINT32_C(2)

struct handle {
	struct floor_timer timer; /* owner: the timeout, in ms */
	struct handle *next;
	void (*callback)(void *);
	void *arg;
	uint8_t state;
	uint8_t result;
	pw_a32 word;
};
_Static_assert(sizeof(struct handle) == HANDLE_BYTES, "one line");

static struct {
	enum channel channel;
	enum bench_idle idle;
	bool wheel_used;
	bool stop;
	pw_a32 mailed;
	struct bench_mail mail;
	struct handle *first, **last;
	uint64_t now_ns;
	struct floor_wheel wheel;
	pthread_t thread;
	struct bench_pool pool;

	/* eventfd */
	int event_fd, epoll_fd;
	_Alignas(64) pw_a32 blocked; /* the loop blocks, or is about to */

	struct bench_spsc spsc;
	ck_ring_t ck;
	ck_ring_buffer_t ck_slot[CK_SLOTS];
	struct io_uring receiver, sender;
	bool uring_open;
} loop;

static uint64_t
clock_ns(void)
{
	struct timespec now;
	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * NS_PER_S + (uint64_t) now.tv_nsec;
}

/* ---- the ready list */

static void
append(struct handle *handle)
{
	handle->state = ENDED;
	handle->next = NULL;
	*loop.last = handle;
	loop.last = &handle->next;
}

static void
call(struct handle *handle)
{
	handle->state = IDLE;
	handle->callback(handle->arg);
}

/* What is due now; what callbacks append is left to the next turn. */
static void
run_list(void)
{
	struct handle *handle = loop.first;
	loop.first = NULL;
	loop.last = &loop.first;
	while (handle != NULL) {
		struct handle *next = handle->next;
		call(handle);
		handle = next;
	}
}

static void
on_expire(struct floor_timer *timer)
{
	struct handle *handle = (struct handle *) timer;
	handle->result = handle->state == ASLEEP ? BENCH_DONE : BENCH_TIMED_OUT;
	append(handle);
}

/* What an outside thread has ended. */
static void
on_arrival(struct handle *handle)
{
	if (handle->timer.next != NULL) {
		floor_wheel_cancel(&loop.wheel, &handle->timer);
	}
	call(handle);
}

/* ---- the turn */

static bool
take_spsc(void)
{
	struct handle *handle;
	bool any = false;
	while ((handle = bench_spsc_pop(&loop.spsc)) != NULL) {
		on_arrival(handle);
		any = true;
	}
	return any;
}

static bool
take_ck(void)
{
	void *handle;
	bool any = false;
	while (ck_ring_dequeue_mpsc(&loop.ck, loop.ck_slot, &handle)) {
		on_arrival(handle);
		any = true;
	}
	return any;
}

static bool
take_msg(void)
{
	struct io_uring_cqe *cqe;
	bool any = false;
	while (io_uring_peek_cqe(&loop.receiver, &cqe) == 0) {
		struct handle *handle = io_uring_cqe_get_data(cqe);
		io_uring_cqe_seen(&loop.receiver, cqe);
		if (handle != NULL) {
			on_arrival(handle);
		}
		any = true;
	}
	return any;
}

static bool
take(void)
{
	switch (loop.channel) {
	case CHANNEL_CK_RING:
		return take_ck();
	case CHANNEL_MSG_RING:
		return take_msg();
	default:
		return take_spsc();
	}
}

static struct __kernel_timespec
until_next(void)
{
	uint64_t next = floor_wheel_next(&loop.wheel);
	uint64_t wait_ns = 3600 * NS_PER_S;
	if (next != FLOOR_NEVER) {
		uint64_t deadline_ns = next << FLOOR_TICK_BITS, now_ns = clock_ns();
		wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
	}
	return (struct __kernel_timespec){
		.tv_sec = (long long) (wait_ns / NS_PER_S),
		.tv_nsec = (long long) (wait_ns % NS_PER_S),
	};
}

static void
poll_eventfd(bool block)
{
	struct epoll_event event;
	struct timespec none = { .tv_sec = 0 };
	if (block) {
		struct __kernel_timespec wait = until_next();
		none = (struct timespec){ .tv_sec = (time_t) wait.tv_sec, .tv_nsec = (long) wait.tv_nsec };
	}
	if (epoll_pwait2(loop.epoll_fd, &event, 1, &none, NULL) == 1) {
		uint64_t count;
		(void) !read(loop.event_fd, &count, sizeof count);
	}
}

/* Nothing was to do. */
static void
rest(void)
{
	if (loop.channel == CHANNEL_CK_RING || loop.channel == CHANNEL_SPSC) {
		return; /* a pause takes as long as a cache line needs to come */
	}
	if (loop.channel == CHANNEL_MSG_RING) {
		if (loop.idle == BENCH_IDLE_DEFAULT) {
			struct __kernel_timespec wait = until_next();
			struct io_uring_cqe *cqe;
			(void) io_uring_wait_cqe_timeout(&loop.receiver, &cqe, &wait);
		}
	} else if (loop.idle == BENCH_IDLE_SPIN) {
		poll_eventfd(false);
	} else {
		(void) pw_exchange_acq_rel_32(&loop.blocked, 1); /* locked: also before the second look */
		if (!take_spsc() && loop.first == NULL && pw_load_acquire_32(&loop.mailed) == 0) {
			poll_eventfd(true);
		}
		pw_store_relaxed_32(&loop.blocked, 0); /* relaxed: an eventfd too many is harmless */
	}
}

static void *
loop_thread(void *arg)
{
	(void) arg;
	while (!loop.stop) {
		bool any = take();
		if (loop.wheel_used) {
			loop.now_ns = clock_ns();
			floor_wheel_advance(&loop.wheel, loop.now_ns, on_expire);
		}
		any |= loop.first != NULL;
		run_list();
		if (pw_load_acquire_32(&loop.mailed) != 0) {
			pw_store_relaxed_32(&loop.mailed, 0); /* relaxed: the mail has a lock */
			bench_mail_run(&loop.mail);
			any = true;
		}
		if (!any) {
			rest();
		}
	}
	return NULL;
}

/* ---- the table's calls */

static bool
open_loop(const struct bench_setup *setup, enum channel channel, bool wheel_used, size_t size)
{
	loop.channel = channel;
	loop.idle = setup->idle;
	loop.wheel_used = wheel_used;
	loop.stop = false;
	loop.first = NULL;
	loop.last = &loop.first;
	loop.now_ns = clock_ns();
	floor_wheel_init(&loop.wheel, loop.now_ns);
	bench_mail_init(&loop.mail);
	bench_spsc_init(&loop.spsc);
	ck_ring_init(&loop.ck, CK_SLOTS);
	bench_pool_init(&loop.pool, size);
	pw_store_relaxed_32(&loop.mailed, 0); /* relaxed: nothing runs yet */
	pw_store_relaxed_32(&loop.blocked, 0);
	loop.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	loop.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	if (loop.event_fd < 0 || loop.epoll_fd < 0 ||
	    epoll_ctl(loop.epoll_fd, EPOLL_CTL_ADD, loop.event_fd, &event) != 0 ||
	    !bench_thread_start(&loop.thread, bench_cpu_of_loop(0), loop_thread, NULL)) {
		(void) fprintf(stderr, "floor: it cannot start\n");
		return false;
	}
	return true;
}

static bool
open_queue(const struct bench_setup *setup)
{
	return open_loop(setup, CHANNEL_EVENTFD, false, HANDLE_BYTES);
}

static bool
open_queue_wheel(const struct bench_setup *setup)
{
	return open_loop(setup, CHANNEL_EVENTFD, true, HANDLE_BYTES);
}

static bool
open_wheel(const struct bench_setup *setup)
{
	return open_loop(setup, CHANNEL_EVENTFD, true, WHEEL_BYTES);
}

static bool
open_ck_ring(const struct bench_setup *setup)
{
	return open_loop(setup, CHANNEL_CK_RING, false, HANDLE_BYTES);
}

static bool
open_ring_word(const struct bench_setup *setup)
{
	return open_loop(setup, CHANNEL_SPSC, false, WORD_BYTES);
}

static bool
open_msg_ring(const struct bench_setup *setup)
{
	struct io_uring_params params = { .flags = IORING_SETUP_CQSIZE, .cq_entries = CQ_SLOTS };
	struct io_uring_params plain = { .flags = 0 };
	int rv = io_uring_queue_init_params(16, &loop.receiver, &params);
	if (rv != 0) {
		(void) fprintf(stderr, "floor:msg-ring: io_uring: %s\n", strerror(-rv));
		return false;
	}
	rv = io_uring_queue_init_params(16, &loop.sender, &plain);
	if (rv != 0) {
		(void) fprintf(stderr, "floor:msg-ring: io_uring: %s\n", strerror(-rv));
		io_uring_queue_exit(&loop.receiver);
		return false;
	}
	struct io_uring_probe *probe = io_uring_get_probe_ring(&loop.sender);
	bool known = probe != NULL && io_uring_opcode_supported(probe, IORING_OP_MSG_RING);
	io_uring_free_probe(probe);
	if (!known) {
		(void) fprintf(stderr, "floor:msg-ring: this kernel has no MSG_RING\n");
	}
	loop.uring_open = known && open_loop(setup, CHANNEL_MSG_RING, false, HANDLE_BYTES);
	if (!loop.uring_open) {
		io_uring_queue_exit(&loop.sender);
		io_uring_queue_exit(&loop.receiver);
	}
	return loop.uring_open;
}

static void
send_msg(void *handle)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop.sender);
	io_uring_prep_msg_ring(sqe, loop.receiver.ring_fd, 0, (uint64_t) (uintptr_t) handle, 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	(void) io_uring_submit(&loop.sender);
	struct io_uring_cqe *cqe;
	if (io_uring_peek_cqe(&loop.sender, &cqe) == 0) { /* only failures come */
		(void) fprintf(stderr, "floor:msg-ring: %s\n", strerror(-cqe->res));
		abort();
	}
}

static void
ring_bell(void)
{
	const uint64_t one = 1;
	(void) !write(loop.event_fd, &one, sizeof one);
}

static bool
run_loop(int number, void (*function)(void *), void *arg)
{
	(void) number;
	if (!bench_mail_put(&loop.mail, function, arg)) {
		return false;
	}
	pw_store_release_32(&loop.mailed, 1);
	if (loop.channel == CHANNEL_MSG_RING) {
		send_msg(NULL);
	} else if (loop.channel == CHANNEL_EVENTFD) {
		ring_bell();
	}
	return true;
}

static void
on_stop(void *arg)
{
	(void) arg;
	loop.stop = true;
}

static void
close_loop(void)
{
	(void) run_loop(0, on_stop, NULL);
	(void) pthread_join(loop.thread, NULL);
	if (loop.uring_open) {
		io_uring_queue_exit(&loop.sender);
		io_uring_queue_exit(&loop.receiver);
		loop.uring_open = false;
	}
	(void) close(loop.epoll_fd);
	(void) close(loop.event_fd);
	bench_pool_close(&loop.pool);
}

static void
describe_loop(char *text, size_t size)
{
	(void) snprintf(text, size, "a loop on CPU %d", bench_cpu_of_loop(0));
}

static void *
alloc_handle(int number, void (*callback)(void *), void *arg)
{
	(void) number;
	struct handle *handle = bench_pool_get(&loop.pool);
	if (handle != NULL) {
		handle->timer.next = NULL;
		handle->callback = callback;
		handle->arg = arg;
		handle->timer.owner = -1;
		handle->state = IDLE;
		pw_store_relaxed_32(&handle->word, WORD_IDLE); /* relaxed: nobody knows it yet */
	}
	return handle;
}

static void
free_handle(void *arg)
{
	struct handle *handle = arg;
	if (handle->timer.next != NULL) {
		floor_wheel_cancel(&loop.wheel, &handle->timer);
	}
	bench_pool_put(&loop.pool, handle);
}

static void
set_timeout(void *arg, int32_t timeout_ms)
{
	struct handle *handle = arg;
	handle->timer.owner = timeout_ms;
	if (timeout_ms >= 0 && !loop.wheel_used) { /* who has no deadlines reads no clock */
		loop.now_ns = clock_ns();
		loop.wheel_used = true;
	}
}

static enum bench_result
result(void *arg)
{
	const struct handle *handle = arg;
	return (enum bench_result) handle->result;
}

static bool
start_bare(void *arg)
{
	struct handle *handle = arg;
	handle->state = STARTED;
	return true;
}

static bool
finish_bare(void *arg)
{
	struct handle *handle = arg;
	handle->result = BENCH_DONE;
	append(handle);
	return true;
}

static void
cancel_bare(void *arg)
{
	struct handle *handle = arg;
	handle->result = BENCH_CANCELED;
	append(handle);
}

static void
arm(struct handle *handle, int32_t duration_ms)
{
	floor_wheel_arm(&loop.wheel, &handle->timer, loop.now_ns + (uint64_t) duration_ms * NS_PER_MS);
}

static bool
start_timed(void *arg)
{
	struct handle *handle = arg;
	handle->state = STARTED;
	if (handle->timer.owner >= 0) {
		arm(handle, handle->timer.owner);
	}
	return true;
}

static bool
end_timed(struct handle *handle, enum bench_result how)
{
	if (handle->timer.next != NULL) {
		floor_wheel_cancel(&loop.wheel, &handle->timer);
	}
	if (handle->state == IDLE || handle->state == ENDED) {
		return false;
	}
	handle->result = (uint8_t) how;
	append(handle);
	return true;
}

static bool
finish_timed(void *handle)
{
	return end_timed(handle, BENCH_DONE);
}

static void
cancel_timed(void *handle)
{
	(void) end_timed(handle, BENCH_CANCELED);
}

static void
sleep_timed(void *arg, int32_t duration_ms)
{
	struct handle *handle = arg;
	handle->state = ASLEEP;
	arm(handle, duration_ms);
}

static void
cancel_silent(void *arg)
{
	struct handle *handle = arg;
	floor_wheel_cancel(&loop.wheel, &handle->timer);
}

static bool
start_word(void *arg)
{
	struct handle *handle = arg;
	uint32_t word = pw_load_relaxed_32(&handle->word); /* relaxed: the CAS decides */
	if (word == WORD_STARTED || !pw_cas_acq_rel_32(&handle->word, &word, WORD_STARTED)) {
		return false;
	}
	return start_timed(handle);
}

static void
finish_word(void *arg)
{
	struct handle *handle = arg;
	uint32_t word = WORD_STARTED;
	if (pw_cas_acq_rel_32(&handle->word, &word, WORD_DONE)) {
		bench_spsc_push(&loop.spsc, handle);
	}
}

static void
end_word(struct handle *handle, enum bench_result how)
{
	handle->result = (uint8_t) how;
	finish_word(handle);
}

static void
finish_outside_word(void *handle)
{
	end_word(handle, BENCH_DONE);
}

static void
cancel_outside_word(void *handle)
{
	end_word(handle, BENCH_CANCELED);
}

static void
send_ck(void *arg, enum bench_result how)
{
	struct handle *handle = arg;
	handle->result = (uint8_t) how;
	while (!ck_ring_enqueue_mpsc(&loop.ck, loop.ck_slot, handle)) {
		pw_cpu_relax();
	}
}

static void
finish_outside_ck(void *handle)
{
	send_ck(handle, BENCH_DONE);
}

static void
cancel_outside_ck(void *handle)
{
	send_ck(handle, BENCH_CANCELED);
}

static void
send_eventfd(void *arg, enum bench_result how)
{
	struct handle *handle = arg;
	handle->result = (uint8_t) how;
	bench_spsc_push(&loop.spsc, handle);
	pw_fence_seq_cst();
	if (pw_load_relaxed_32(&loop.blocked) != 0) { /* relaxed: the fence orders it */
		if (pw_exchange_acq_rel_32(&loop.blocked, 0) != 0) {
			ring_bell();
		}
	}
}

static void
finish_outside_eventfd(void *handle)
{
	send_eventfd(handle, BENCH_DONE);
}

static void
cancel_outside_eventfd(void *handle)
{
	send_eventfd(handle, BENCH_CANCELED);
}

static void
finish_outside_msg(void *arg)
{
	struct handle *handle = arg;
	handle->result = BENCH_DONE;
	send_msg(handle);
}

static void
cancel_outside_msg(void *arg)
{
	struct handle *handle = arg;
	handle->result = BENCH_CANCELED;
	send_msg(handle);
}

#define FLOOR_COMMON                                                                                                 \
	.one_thread = true, .loops_max = 1, .close = close_loop, .describe = describe_loop, .run = run_loop,         \
	.alloc = alloc_handle, .free = free_handle, .set_timeout = set_timeout, .result = result

const struct bench_ops bench_floor_queue = {
	FLOOR_COMMON,
	.name = "floor:raw-queue",
	.open = open_queue,
	.start = start_bare,
	.finish = finish_bare,
	.cancel = cancel_bare,
};

const struct bench_ops bench_floor_queue_wheel = {
	FLOOR_COMMON,
	.name = "floor:raw-queue+wheel",
	.clock_step_ns = UINT64_C(1) << FLOOR_TICK_BITS,
	.open = open_queue_wheel,
	.start = start_timed,
	.finish = finish_timed,
	.sleep = sleep_timed,
	.cancel = cancel_timed,
};

const struct bench_ops bench_floor_wheel = {
	FLOOR_COMMON,
	.name = "floor:wheel",
	.clock_step_ns = UINT64_C(1) << FLOOR_TICK_BITS,
	.silent_cancel = true,
	.open = open_wheel,
	.sleep = sleep_timed,
	.cancel = cancel_silent,
};

const struct bench_ops bench_floor_ck_ring = {
	FLOOR_COMMON,
	.name = "floor:ck-ring",
	.open = open_ck_ring,
	.start = start_bare,
	.finish_outside = finish_outside_ck,
	.cancel_outside = cancel_outside_ck,
};

const struct bench_ops bench_floor_ring_word = {
	FLOOR_COMMON,
	.name = "floor:ring+word",
	.open = open_ring_word,
	.start = start_word,
	.finish_outside = finish_outside_word,
	.cancel_outside = cancel_outside_word,
};

const struct bench_ops bench_floor_eventfd = {
	FLOOR_COMMON,
	.name = "floor:eventfd",
	.clock_step_ns = UINT64_C(1) << FLOOR_TICK_BITS,
	.open = open_queue_wheel,
	.start = start_timed,
	.finish = finish_timed,
	.sleep = sleep_timed,
	.cancel = cancel_timed,
	.finish_outside = finish_outside_eventfd,
	.cancel_outside = cancel_outside_eventfd,
};

const struct bench_ops bench_floor_msg_ring = {
	FLOOR_COMMON,
	.name = "floor:msg-ring",
	.open = open_msg_ring,
	.start = start_bare,
	.finish_outside = finish_outside_msg,
	.cancel_outside = cancel_outside_msg,
};

/* SPDX-License-Identifier: MIT
 *
 * poller_epoll.c: poller.h on epoll(7), edge triggered: completions made from readiness.
 *
 * What it is not: a reactor. No readiness is reported or remembered; an edge is an occasion to try again.
 *
 * Context: the poller's own thread.
 *
 * How an operation goes. Submit makes the system call at once. A result goes to the queue `done`; EAGAIN leaves
 * the operation in READY. An edge of its direction makes the call again. A connect that is under way is in READY
 * too, and the edge asks for its outcome (SO_ERROR). Every descriptor costs one EPOLL_CTL_ADD in its life.
 *
 * I1  No wake is lost. An operation is in READY only when the kernel has said, after it was submitted, that it
 *     cannot go on (EAGAIN, EINPROGRESS). From that moment on a change of readiness makes an edge, and an edge that
 *     is not yet fetched stays on epoll's ready list; fetching takes it off the list before it looks at the
 *     readiness, so a change after the look makes the next edge. A short read is not taken for EAGAIN: urgent data
 *     and passed descriptors end a read early although more is there.
 * I2  No event is stale. Between the fetch of a batch and the end of its handling no code of the owner runs (on_done
 *     runs after it), so no file of the batch can be detached, nor a descriptor number be used again. A spurious
 *     edge costs one system call. A connect believes an edge because the edge was fetched after it was submitted.
 * I3  An io is in READY, on `retries` (BACKOFF) or on `done` (DONE), on no two of them.
 * I4  Fairness. Every wait asks the kernel, also when results are at hand, so that a busy descriptor hides neither
 *     an edge nor the bell; results go out in the order in which they came.
 *
 * A Unix-domain connect to a full backlog is told EAGAIN and no event ever tells of room: such connects are tried
 * again every PW_CONNECT_RETRY_NS by a timerfd that runs only while there is one.
 *
 * Limits: 128 edges per wait. The timeout is in nanoseconds (epoll_pwait2, Linux 5.11), on older kernels in
 * milliseconds, rounded up. A descriptor belongs to one file at a time (attach answers EEXIST).
 */
#include "engine/shard/poller_private.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/shard/arena.h"
#include "engine/shard/park.h"

#define BATCH_MAX 128u
#define EDGE_IN (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)
#define EDGE_OUT (EPOLLOUT | EPOLLHUP | EPOLLERR)

struct epoll_state {
	struct pw_io_queue done;
	struct pw_io_queue retries; /* connects in BACKOFF; the timer runs while there are some */
	int timer_fd;
	bool timer_fired;
	bool has_pwait2;
};

static struct epoll_state *
state_of(const struct pw_poller *poller)
{
	return poller->state;
}

/* The tries: one system call each, repeated only when it was interrupted. A result, or a negative errno value. */

/* A connection that its peer gave up while it was in the backlog is nobody's error: take the next. */
static int
try_accept(struct pw_io *io)
{
	int fd;

	do {
		fd = accept4(io->file->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	return fd < 0 ? -errno : fd;
}

static int
try_poll(struct pw_io *io)
{
	struct pollfd p = { .fd = io->file->fd, .events = io->op == PW_IO_POLL_IN ? POLLIN : POLLOUT };
	int n;

	do {
		n = poll(&p, 1, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return -errno;
	}
	if (n == 0) {
		return -EAGAIN;
	}
	return (p.revents & POLLNVAL) != 0 ? -EBADF : 0;
}

static int
connect_outcome(const struct pw_io *io)
{
	int error = 0;
	socklen_t size = sizeof(error);

	return getsockopt(io->file->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? -error : -errno;
}

static int
try_io(struct pw_io *io)
{
	switch ((enum pw_io_op) io->op) {
	case PW_IO_RECV:
		return pw_io_try_recv(io);
	case PW_IO_SEND:
		return pw_io_try_send(io);
	case PW_IO_ACCEPT:
		return try_accept(io);
	case PW_IO_CONNECT:
		return io->stage == PW_STAGE_READY ? connect_outcome(io) : pw_io_connect(io);
	case PW_IO_POLL_IN:
	case PW_IO_POLL_OUT:
		return try_poll(io);
	case PW_IO_NONE:
		break;
	}
	return -EINVAL;
}

/* Runs the timer for one shot. A relative time that is not zero and a descriptor that is a timer: it cannot fail. */
static void
start_retry_timer(struct epoll_state *state)
{
	struct itimerspec after = { .it_value = { .tv_nsec = (long) PW_CONNECT_RETRY_NS } };

	if (timerfd_settime(state->timer_fd, 0, &after, NULL) != 0) {
		pw_poller_fatal("timerfd_settime", errno);
	}
}

static void
back_off(struct epoll_state *state, struct pw_io *io)
{
	if (pw_io_queue_empty(&state->retries)) {
		start_retry_timer(state);
	}
	io->stage = PW_STAGE_BACKOFF;
	pw_io_queue_push(&state->retries, io);
}

static void
attempt(struct epoll_state *state, struct pw_io *io)
{
	int result = try_io(io);

	if (io->op == PW_IO_CONNECT && result == -EAGAIN) {
		back_off(state, io);
	} else if (result == -EAGAIN || (io->op == PW_IO_CONNECT && result == -EINPROGRESS)) {
		io->stage = PW_STAGE_READY;
	} else {
		pw_io_finish(&state->done, io, result);
	}
}

static void
silence_timer(struct epoll_state *state)
{
	uint64_t shots;

	if (read(state->timer_fd, &shots, sizeof(shots)) < 0 && errno != EAGAIN) {
		pw_poller_fatal("read of a timer", errno);
	}
	state->timer_fired = true;
}

/* After the batch, not in it: an edge that was fetched before the new try must not be taken for its answer. */
static void
retry_connects(struct epoll_state *state)
{
	struct pw_io_queue due = state->retries;

	state->timer_fired = false;
	state->retries.first = NULL;
	while (!pw_io_queue_empty(&due)) {
		attempt(state, pw_io_queue_pop(&due));
	}
}

static int
epoll_attach(struct pw_poller *poller, struct pw_file *file)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = file };

	assert(!file->attached);
	if (epoll_ctl(poller->fd, EPOLL_CTL_ADD, file->fd, &event) != 0) {
		return -errno;
	}
	file->attached = true;
	pw_io_reset(&file->in);
	pw_io_reset(&file->out);
	return 0;
}

/* Asked for even though the owner closes the descriptor next: a duplicate in another process would keep it here. */
static void
epoll_detach(struct pw_poller *poller, struct pw_file *file)
{
	assert(file->attached && !file->in.in_flight && !file->out.in_flight);
	if (epoll_ctl(poller->fd, EPOLL_CTL_DEL, file->fd, NULL) != 0) {
		pw_poller_fatal("epoll_ctl of a descriptor that was closed before detach", errno);
	}
	file->attached = false;
}

static void
epoll_submit(struct pw_poller *poller, struct pw_io *io)
{
	pw_io_begin(poller, io);
	attempt(state_of(poller), io);
}

static void
epoll_cancel(struct pw_poller *poller, struct pw_io *io)
{
	struct epoll_state *state = state_of(poller);

	if (!io->in_flight || io->stage == PW_STAGE_DONE) {
		return;
	}
	if (io->stage == PW_STAGE_BACKOFF) {
		(void) pw_io_queue_remove(&state->retries, io);
	}
	pw_io_finish(&state->done, io, -ECANCELED);
}

static int
wait_ns(struct pw_poller *poller, struct epoll_event *event, int size, uint64_t timeout_ns)
{
	struct timespec timeout = {
		.tv_sec = (time_t) (timeout_ns / PW_NS_PER_S),
		.tv_nsec = (long) (timeout_ns % PW_NS_PER_S),
	};

	return epoll_pwait2(poller->fd, event, size, timeout_ns == PW_NEVER_NS ? NULL : &timeout, NULL);
}

static int
wait_ms(struct pw_poller *poller, struct epoll_event *event, int size, uint64_t timeout_ns)
{
	uint64_t timeout_ms = timeout_ns / PW_NS_PER_MS + (timeout_ns % PW_NS_PER_MS != 0);
	int limited_ms = timeout_ms < INT_MAX ? (int) timeout_ms : INT_MAX;

	return epoll_wait(poller->fd, event, size, timeout_ns == PW_NEVER_NS ? -1 : limited_ms);
}

static unsigned
fetch(struct pw_poller *poller, struct epoll_event *event, unsigned size, uint64_t timeout_ns)
{
	struct epoll_state *state = state_of(poller);
	int n = -1;

	/* Without a timeout both calls mean the same, and the older one is known to every tracer and sanitizer. */
	if (state->has_pwait2 && timeout_ns != 0) {
		n = wait_ns(poller, event, (int) size, timeout_ns);
		state->has_pwait2 = n >= 0 || errno != ENOSYS;
	}
	if (!state->has_pwait2 || timeout_ns == 0) {
		n = wait_ms(poller, event, (int) size, timeout_ns);
	}
	if (n >= 0) {
		return (unsigned) n;
	}
	if (errno != EINTR) {
		pw_poller_fatal("epoll_wait", errno);
	}
	return 0;
}

static void
on_edge(struct epoll_state *state, struct pw_file *file, uint32_t events)
{
	if ((events & EDGE_IN) != 0 && file->in.stage == PW_STAGE_READY) {
		attempt(state, &file->in);
	}
	if ((events & EDGE_OUT) != 0 && file->out.stage == PW_STAGE_READY) {
		attempt(state, &file->out);
	}
}

static void
on_event(struct pw_poller *poller, const struct epoll_event *event)
{
	struct epoll_state *state = state_of(poller);

	if (event->data.ptr == &poller->bell_fd) {
		pw_bell_clear(poller->bell_fd);
	} else if (event->data.ptr == &state->timer_fd) {
		silence_timer(state);
	} else {
		on_edge(state, event->data.ptr, event->events);
	}
}

static unsigned
epoll_wait_done(struct pw_poller *poller, uint64_t timeout_ns, unsigned budget)
{
	struct epoll_state *state = state_of(poller);
	struct epoll_event event[BATCH_MAX];
	unsigned size = budget == 0 ? 1 : budget < BATCH_MAX ? budget : BATCH_MAX;
	unsigned count = fetch(poller, event, size, pw_io_queue_empty(&state->done) ? timeout_ns : 0);

	for (unsigned i = 0; i < count; i++) {
		on_event(poller, &event[i]);
	}
	if (state->timer_fired) {
		retry_connects(state);
	}
	return pw_io_deliver(poller, &state->done, budget);
}

static bool
epoll_pending(const struct pw_poller *poller)
{
	return !pw_io_queue_empty(&state_of(poller)->done);
}

static void
release(struct pw_poller *poller)
{
	struct epoll_state *state = state_of(poller);

	if (state->timer_fd >= 0) {
		(void) close(state->timer_fd);
	}
	if (poller->fd >= 0) {
		(void) close(poller->fd);
	}
	pw_memory_free(state, sizeof(*state));
	poller->state = NULL;
	poller->fd = -1;
}

static void
epoll_close(struct pw_poller *poller)
{
	assert(poller->in_flight == 0);
	release(poller);
}

static const struct pw_poller_ops epoll_ops = {
	.name = "epoll",
	.attach = epoll_attach,
	.detach = epoll_detach,
	.submit = epoll_submit,
	.cancel = epoll_cancel,
	.wait = epoll_wait_done,
	.pending = epoll_pending,
	.close = epoll_close,
};

/* The bell and the timer are level triggered: both are silenced when they are seen. */
static bool
watch(struct pw_poller *poller, int fd, void *tag)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = tag };

	return epoll_ctl(poller->fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

int
pw_poller_open_epoll(struct pw_poller *poller, int bell_fd)
{
	struct epoll_state *state = pw_memory_alloc(0, sizeof(*state));

	if (state == NULL) {
		return -ENOMEM;
	}
	*poller = (struct pw_poller){ .ops = &epoll_ops, .bell_fd = bell_fd, .state = state };
	state->has_pwait2 = true;
	state->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	poller->fd = epoll_create1(EPOLL_CLOEXEC);
	if (state->timer_fd < 0 || poller->fd < 0 || !watch(poller, bell_fd, &poller->bell_fd) ||
	    !watch(poller, state->timer_fd, &state->timer_fd)) {
		int error = errno;
		release(poller);
		return -error;
	}
	return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * storm_wrap.c: the faults at the border between the engine and the system: in this program's link every call of the
 * functions below goes through here (the linker's --wrap, bench/CMakeLists.txt), with no change in the engine.
 *
 * Without a fault asked for, each is one or two loads and the call itself. What belongs to the storm, and not to the
 * engine, calls functions that are not wrapped (recvfrom, sendto).
 *
 * What an injected error means is what the kernel's means: EINTR comes after the kernel has run what was ready, as it
 * does there; a submission that is refused has submitted nothing, and leaves something to be submitted.
 *
 * The clock. A stall is a window [from, to) of real time in which every answer is `from`. The window is announced a
 * millisecond before it begins, so whoever reads a time in it knows of it, and the answers of all threads are one
 * function of real time that never falls. A thread that is suspended over the whole window between its reading and
 * its look at the window answers with a time inside it, which is late, not early.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#ifdef PINWHEEL_URING
#include <liburing.h>
#endif

#include "bench/storm/storm_fault.h"

#define SQ_ENTRIES_FEW 4u

/* The linker's names. */
ssize_t __real_recv(int fd, void *buffer, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *buffer, size_t size, int flags);
ssize_t __real_send(int fd, const void *buffer, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *buffer, size_t size, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __real_epoll_wait(int fd, struct epoll_event *events, int size, int timeout_ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int size, int timeout_ms);
int __real_epoll_pwait2(int fd, struct epoll_event *events, int size, const struct timespec *timeout,
    const sigset_t *signals);
int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int size, const struct timespec *timeout,
    const sigset_t *signals);
int __real_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now);
bool __real_pw_clock_is_cycles(void);
bool __wrap_pw_clock_is_cycles(void);

static bool
interrupted(void)
{
	if (!pw_fault_roll(PW_FAULT_EINTR)) {
		return false;
	}
	pw_fault_struck(PW_FAULT_EINTR, 1);
	errno = EINTR;
	return true;
}

/* 1 to size bytes. */
static size_t
shortened(size_t size)
{
	if (size <= 1 || !pw_fault_roll(PW_FAULT_SHORT)) {
		return size;
	}
	pw_fault_struck(PW_FAULT_SHORT, 1);
	return 1 + pw_fault_dice((uint32_t) (size - 1 < 65536 ? size - 1 : 65536));
}

/* ---- sockets ---- */

ssize_t
__wrap_recv(int fd, void *buffer, size_t size, int flags)
{
	return interrupted() ? -1 : __real_recv(fd, buffer, shortened(size), flags);
}

ssize_t
__wrap_send(int fd, const void *buffer, size_t size, int flags)
{
	return interrupted() ? -1 : __real_send(fd, buffer, shortened(size), flags);
}

/* The first of several buffers, and of it a part. */
static bool
shorten_message(struct msghdr *message, struct iovec *first)
{
	if (message->msg_iovlen < 2 || message->msg_iov[0].iov_len < 2) {
		return false;
	}
	size_t size = shortened(message->msg_iov[0].iov_len);
	if (size == message->msg_iov[0].iov_len) {
		return false;
	}
	*first = (struct iovec){ message->msg_iov[0].iov_base, size };
	message->msg_iov = first;
	message->msg_iovlen = 1;
	return true;
}

ssize_t
__wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
	struct msghdr less = *message;
	struct iovec first;

	if (interrupted()) {
		return -1;
	}
	return __real_recvmsg(fd, shorten_message(&less, &first) ? &less : message, flags);
}

ssize_t
__wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct msghdr less = *message;
	struct iovec first;

	if (interrupted()) {
		return -1;
	}
	return __real_sendmsg(fd, shorten_message(&less, &first) ? &less : message, flags);
}

int
__wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	if (interrupted()) {
		return -1;
	}
	int accepted = __real_accept4(fd, address, size, flags);
	if (accepted < 0 && errno == EMFILE) {
		pw_fault_struck(PW_FAULT_EMFILE, 1);
	}
	return accepted;
}

int
__wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	return interrupted() ? -1 : __real_poll(fds, count, timeout_ms);
}

int
__wrap_epoll_wait(int fd, struct epoll_event *events, int size, int timeout_ms)
{
	return interrupted() ? -1 : __real_epoll_wait(fd, events, size, timeout_ms);
}

int
__wrap_epoll_pwait2(int fd, struct epoll_event *events, int size, const struct timespec *timeout,
    const sigset_t *signals)
{
	return interrupted() ? -1 : __real_epoll_pwait2(fd, events, size, timeout, signals);
}

/* ---- memory ---- */

static bool
exhausted(void)
{
	if (!pw_fault_roll(PW_FAULT_MEMORY)) {
		return false;
	}
	pw_fault_struck(PW_FAULT_MEMORY, 1);
	return true;
}

#ifdef PINWHEEL_ALLOCATOR_JEMALLOC
void *__real_mallocx(size_t size, int flags);
void *__wrap_mallocx(size_t size, int flags);

void *
__wrap_mallocx(size_t size, int flags)
{
	return exhausted() ? NULL : __real_mallocx(size, flags);
}
#else
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);

void *
__wrap_aligned_alloc(size_t align, size_t size)
{
	return exhausted() ? NULL : __real_aligned_alloc(align, size);
}
#endif

/* ---- the clock ---- */

#define WINDOWS 1024u /* a reader is never so far behind */

struct window {
	uint64_t from_ns;
	uint64_t to_ns;
	_Atomic bool seen;
};

static struct window windows[WINDOWS];
static _Atomic(struct window *) window_now;

static uint64_t
ns_of(const struct timespec *time)
{
	return (uint64_t) time->tv_sec * UINT64_C(1000000000) + (uint64_t) time->tv_nsec;
}

uint64_t
pw_fault_real_ns(void)
{
	struct timespec now = { 0, 0 };

	(void) __real_clock_gettime(CLOCK_MONOTONIC, &now);
	return ns_of(&now);
}

void
pw_fault_pause_ns(uint64_t ns)
{
	struct timespec span = { (time_t) (ns / 1000000000), (long) (ns % 1000000000) };

	while (nanosleep(&span, &span) != 0 && errno == EINTR) {
	}
}

void
pw_fault_freeze(uint64_t from_ns, uint64_t to_ns)
{
	static unsigned used; /* one thread calls this */
	struct window *window = &windows[used++ % WINDOWS];

	window->from_ns = from_ns;
	window->to_ns = to_ns;
	atomic_store(&window->seen, false);
	atomic_store(&window_now, window);
}

int
__wrap_clock_gettime(clockid_t id, struct timespec *now)
{
	int result = __real_clock_gettime(id, now);
	struct window *window = atomic_load_explicit(&window_now, memory_order_acquire);

	if (window == NULL || (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)) {
		return result;
	}
	uint64_t real_ns = ns_of(now);
	if (real_ns >= window->from_ns && real_ns < window->to_ns) {
		now->tv_sec = (time_t) (window->from_ns / UINT64_C(1000000000));
		now->tv_nsec = (long) (window->from_ns % UINT64_C(1000000000));
		if (!atomic_load_explicit(&window->seen, memory_order_relaxed) &&
		    !atomic_exchange(&window->seen, true)) {
			pw_fault_struck(PW_FAULT_CLOCK, 1);
		}
	}
	return result;
}

/* The processor's counter goes on while this clock stands still. */
bool
__wrap_pw_clock_is_cycles(void)
{
	return pw_fault_asked(PW_FAULT_CLOCK) == PW_FAULT_NOT_ASKED && __real_pw_clock_is_cycles();
}

/* ---- io_uring ---- */

#ifdef PINWHEEL_URING
int __real_io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *params);
int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __real_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring);
int __real_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **first, unsigned count,
    struct __kernel_timespec *timeout, sigset_t *signals);
int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **first, unsigned count,
    struct __kernel_timespec *timeout, sigset_t *signals);

int
__wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
	if (pw_fault_in_turn(PW_FAULT_URING_REFUSED)) {
		pw_fault_struck(PW_FAULT_URING_REFUSED, 1);
		return -EPERM;
	}
	if (pw_fault_asked(PW_FAULT_SQ_FULL) != PW_FAULT_NOT_ASKED) {
		entries = SQ_ENTRIES_FEW;
	}
	return __real_io_uring_queue_init_params(entries, ring, params);
}

/* Fewer bytes in what is about to be submitted. */
static void
shorten_entries(struct io_uring *ring)
{
	if (pw_fault_asked(PW_FAULT_SHORT) == PW_FAULT_NOT_ASKED) {
		return;
	}
	for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++) {
		struct io_uring_sqe *entry = &ring->sq.sqes[i & ring->sq.ring_mask];
		if (entry->opcode == IORING_OP_RECV || entry->opcode == IORING_OP_SEND) {
			entry->len = (uint32_t) shortened(entry->len);
		}
	}
}

/* Accepts that found no descriptor, among the completions that were not there before. */
static void
look_for_emfile(const struct io_uring *ring)
{
	static _Thread_local unsigned looked; /* a ring has one thread, and here a thread one ring */

	if (pw_fault_asked(PW_FAULT_EMFILE) == PW_FAULT_NOT_ASKED) {
		return;
	}
	unsigned head = *ring->cq.khead, tail = io_uring_smp_load_acquire(ring->cq.ktail);
	if (tail - looked > tail - head) {
		looked = head;
	}
	for (; looked != tail; looked++) {
		if (ring->cq.cqes[looked & ring->cq.ring_mask].res == -EMFILE) {
			pw_fault_struck(PW_FAULT_EMFILE, 1);
		}
	}
}

/* The kernel takes none of the entries that wait: 0 or a negative errno value. */
static int
refused(struct io_uring *ring, bool only_full)
{
	bool waiting = only_full ? io_uring_sq_space_left(ring) == 0 : io_uring_sq_ready(ring) != 0;

	if (!waiting || !pw_fault_roll(PW_FAULT_SQ_FULL)) {
		return 0;
	}
	pw_fault_struck(PW_FAULT_SQ_FULL, 1);
	return pw_fault_dice(2) == 0 ? -EAGAIN : -EBUSY;
}

int
__wrap_io_uring_submit(struct io_uring *ring)
{
	int result = refused(ring, true);

	if (result == 0) {
		shorten_entries(ring);
		result = __real_io_uring_submit(ring);
		look_for_emfile(ring);
	}
	return result;
}

int
__wrap_io_uring_submit_and_get_events(struct io_uring *ring)
{
	int result = refused(ring, false);

	if (result == 0) {
		shorten_entries(ring);
		result = __real_io_uring_submit_and_get_events(ring);
		look_for_emfile(ring);
		result = result >= 0 && interrupted() ? -EINTR : result;
	}
	return result;
}

int
__wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **first, unsigned count,
    struct __kernel_timespec *timeout, sigset_t *signals)
{
	int result = refused(ring, false);

	if (result != 0) {
		return result;
	}
	if (interrupted()) { /* at once: what is ready is run, nothing is waited for */
		shorten_entries(ring);
		result = __real_io_uring_submit_and_get_events(ring);
		look_for_emfile(ring);
		return result < 0 ? result : -EINTR;
	}
	shorten_entries(ring);
	result = __real_io_uring_submit_and_wait_timeout(ring, first, count, timeout, signals);
	look_for_emfile(ring);
	return result;
}
#endif

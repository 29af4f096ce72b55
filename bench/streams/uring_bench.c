/* SPDX-License-Identifier: MIT
 *
 * uring_bench.c: what io_uring offers, each offer beside what it would replace: why poller_uring.c uses what it uses.
 *
 * What it is not: a bench of pinwheel. Each pair of forms does the same work on a ring of its own, opened as the poller
 * opens its own, by hand; rounds are interleaved. Said are the medians over the rounds of the processor time of an
 * operation, user and system, of the thread that has the ring, and of the ratio, new to old, with the least and the
 * largest.
 *
 *   accept      a connection taken by one request each, or by a multishot accept
 *   descriptor  a receive and a send of 64 bytes on descriptors, or on files registered with the ring
 *   poll first  a receive that has to wait, and a send: tried first, or IORING_RECVSEND_POLL_FIRST
 *   watch       the same: a request that waits for each receive, or one that tries when a multishot poll has told of data
 *   multishot   the same: with a watch, or by a multishot receive into buffers of the ring's, copied from there
 *   send N      N sends of 64 bytes: a request each and one entering of the kernel, or a system call each
 *   wake        the sender's side of waking a shard that sleeps in its ring: an eventfd, or MSG_RING
 *   zero copy   a send of 256 KiB: copied, or IORING_OP_SEND_ZC, complete when its buffer is free again: over loopback
 *               when the receiver has read it. The processor time is that of both ends
 */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)
#define ROUNDS 15u
#define PAIRS 64u
#define MESSAGE 64u
#define LARGE (256u * 1024)

struct pair {
	int near; /* the ring's end */
	int far;
	char in[MESSAGE];
};

static struct io_uring ring;
static struct pair pairs[PAIRS];
static int listener;
static struct sockaddr_in address;
static char *large;

static void
die(const char *what, int error)
{
	(void) fprintf(stderr, "uring_bench: %s: %s\n", what, strerror(error));
	exit(3);
}

static void
check(bool good, const char *what)
{
	if (!good) {
		die(what, errno);
	}
}

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec t;

	check(clock_gettime(clock, &t) == 0, "clock_gettime");
	return (uint64_t) t.tv_sec * NS_PER_S + (uint64_t) t.tv_nsec;
}

static uint64_t
cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void
open_ring(struct io_uring *r)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
		.cq_entries = 4096,
	};
	int result = io_uring_queue_init_params(256, r, &params);

	if (result < 0) {
		die("io_uring", -result);
	}
	(void) io_uring_register_ring_fd(r);
}

static struct io_uring_sqe *
entry_of(void)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&ring);

	check(entry != NULL, "the submission queue");
	return entry;
}

/* Waits for `count` completions and gives the last one's result; each must be at least `least`. */
static int
complete(unsigned count, int least)
{
	int result = 0;

	while (count != 0) {
		struct io_uring_cqe *completion;
		unsigned head, seen = 0;
		(void) io_uring_submit_and_wait(&ring, 1);
		io_uring_for_each_cqe(&ring, head, completion)
		{
			result = completion->res;
			if (result < least) {
				die("a completion", result < 0 ? -result : EIO);
			}
			seen++;
			count--;
		}
		io_uring_cq_advance(&ring, seen);
	}
	return result;
}

static int
connected(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	check(fd >= 0 && connect(fd, (struct sockaddr *) &address, sizeof(address)) == 0, "connect");
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void
drop(int fd)
{
	struct linger reset = { .l_onoff = 1 };

	(void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)); /* no TIME_WAIT */
	(void) close(fd);
}

static void
open_pairs(void)
{
	socklen_t size = sizeof(address);
	int on = 1;

	address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(listener >= 0 && bind(listener, (struct sockaddr *) &address, size) == 0 &&
		listen(listener, 512) == 0 && getsockname(listener, (struct sockaddr *) &address, &size) == 0,
	    "listen");
	for (unsigned i = 0; i < PAIRS; i++) {
		pairs[i].far = connected();
		pairs[i].near = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		check(pairs[i].near >= 0, "accept");
		(void) setsockopt(pairs[i].near, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
}

/* ---- the pairs of forms. Each does its work and returns ns for each operation. */

static double
accept_form(bool multishot)
{
	enum {
		COUNT = 200
	};
	int fd[COUNT];
	unsigned accepted = 0;

	for (unsigned i = 0; i < COUNT; i++) {
		fd[i] = connected();
	}
	uint64_t began_ns = cpu_ns();
	if (multishot) {
		io_uring_prep_multishot_accept(entry_of(), listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	}
	int got[COUNT];
	while (accepted < COUNT) {
		struct io_uring_cqe *completion;
		unsigned head, seen = 0;
		if (!multishot) {
			io_uring_prep_accept(entry_of(), listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		}
		(void) io_uring_submit_and_wait(&ring, 1);
		io_uring_for_each_cqe(&ring, head, completion)
		{
			if (completion->res < 0) {
				die("accept", -completion->res);
			}
			got[accepted++] = completion->res;
			seen++;
		}
		io_uring_cq_advance(&ring, seen);
	}
	uint64_t took_ns = cpu_ns() - began_ns;
	if (multishot) {
		struct io_uring_cqe *completion;
		io_uring_prep_cancel_fd(entry_of(), listener, 0);
		(void) io_uring_submit_and_wait(&ring, 2);
		while (io_uring_peek_cqe(&ring, &completion) == 0) {
			io_uring_cqe_seen(&ring, completion);
		}
	}
	for (unsigned i = 0; i < COUNT; i++) {
		drop(fd[i]);
		drop(got[i]);
	}
	return (double) took_ns / COUNT;
}

static void
register_files(void)
{
	int fd[PAIRS];

	for (unsigned i = 0; i < PAIRS; i++) {
		fd[i] = pairs[i].near;
	}
	int result = io_uring_register_files(&ring, fd, PAIRS);
	if (result < 0) {
		die("io_uring_register_files", -result);
	}
}

static void
queue_recv(unsigned i, bool direct, bool poll_first)
{
	struct io_uring_sqe *entry = entry_of();

	io_uring_prep_recv(entry, direct ? (int) i : pairs[i].near, pairs[i].in, MESSAGE, 0);
	entry->flags |= direct ? IOSQE_FIXED_FILE : 0;
	entry->ioprio |= poll_first ? IORING_RECVSEND_POLL_FIRST : 0;
}

static void
queue_send(unsigned i, bool direct)
{
	struct io_uring_sqe *entry = entry_of();

	io_uring_prep_send(entry, direct ? (int) i : pairs[i].near, pairs[i].in, MESSAGE, MSG_NOSIGNAL);
	entry->flags |= direct ? IOSQE_FIXED_FILE : 0;
}

/* The far ends, outside of what is timed. */
static void
far_send(void)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		check(send(pairs[i].far, pairs[i].in, MESSAGE, 0) == (ssize_t) MESSAGE, "send");
	}
}

static void
far_recv(unsigned count)
{
	char data[MESSAGE];

	for (unsigned i = 0; i < count; i++) {
		check(recv(pairs[i].far, data, MESSAGE, MSG_WAITALL) == (ssize_t) MESSAGE, "recv");
	}
}

/* A receive that waits, and a send, on each of the pairs. */
static double
echo_form(bool direct, bool poll_first)
{
	uint64_t took_ns = 0;
	enum {
		TIMES = 30
	};

	if (direct) {
		register_files();
	}
	for (unsigned t = 0; t < TIMES; t++) {
		uint64_t began_ns = cpu_ns();
		for (unsigned i = 0; i < PAIRS; i++) {
			queue_recv(i, direct, poll_first);
		}
		(void) io_uring_submit(&ring);
		took_ns += cpu_ns() - began_ns;
		far_send();
		began_ns = cpu_ns();
		(void) complete(PAIRS, MESSAGE);
		for (unsigned i = 0; i < PAIRS; i++) {
			queue_send(i, direct);
		}
		(void) complete(PAIRS, MESSAGE);
		took_ns += cpu_ns() - began_ns;
		far_recv(PAIRS);
	}
	if (direct) {
		(void) io_uring_unregister_files(&ring);
	}
	return (double) took_ns / (TIMES * PAIRS);
}

/* Ends the `count` requests that are under way. */
static void
cancel_all(unsigned count)
{
	struct io_uring_sqe *entry = entry_of();

	io_uring_prep_cancel64(entry, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
	(void) complete(count + 1, -ECANCELED);
}

#define GROUP 1
#define GROUP_BUFFERS 256u /* a power of two */

static struct io_uring_buf_ring *
open_group(char *memory)
{
	struct io_uring_buf_ring *group = NULL;
	size_t size = GROUP_BUFFERS * sizeof(struct io_uring_buf);

	check(posix_memalign((void **) &group, 4096, size) == 0, "memory");
	memset(group, 0, size);
	struct io_uring_buf_reg registration = {
		.ring_addr = (uintptr_t) group,
		.ring_entries = GROUP_BUFFERS,
		.bgid = GROUP,
	};
	int result = io_uring_register_buf_ring(&ring, &registration, 0);
	if (result < 0) {
		die("io_uring_register_buf_ring", -result);
	}
	for (unsigned i = 0; i < GROUP_BUFFERS; i++) {
		io_uring_buf_ring_add(group, memory + i * MESSAGE, MESSAGE, (unsigned short) i, GROUP_BUFFERS - 1,
		    (int) i);
	}
	io_uring_buf_ring_advance(group, GROUP_BUFFERS);
	return group;
}

/* Takes PAIRS messages from the group's buffers, and gives these back. */
static void
take_from_group(struct io_uring_buf_ring *group, const char *memory)
{
	unsigned count = PAIRS;

	while (count != 0) {
		struct io_uring_cqe *completion;
		unsigned head, seen = 0;
		(void) io_uring_submit_and_wait(&ring, 1);
		io_uring_for_each_cqe(&ring, head, completion)
		{
			unsigned buffer = completion->flags >> IORING_CQE_BUFFER_SHIFT;
			if (completion->res != (int) MESSAGE || (completion->flags & IORING_CQE_F_MORE) == 0) {
				die("a multishot receive", completion->res < 0 ? -completion->res : EIO);
			}
			memcpy(pairs[completion->user_data].in, memory + buffer * MESSAGE, MESSAGE);
			io_uring_buf_ring_add(group, (char *) (uintptr_t) memory + buffer * MESSAGE, MESSAGE,
			    (unsigned short) buffer, GROUP_BUFFERS - 1, (int) seen);
			seen++;
			count--;
		}
		io_uring_buf_ring_advance(group, (int) seen);
		io_uring_cq_advance(&ring, seen);
	}
}

/* Requests that stay: a multishot poll, or a multishot receive, on each of the pairs. */
static double
staying_form(bool receives)
{
	enum {
		TIMES = 30
	};
	static char memory[GROUP_BUFFERS * MESSAGE];
	struct io_uring_buf_ring *group = receives ? open_group(memory) : NULL;
	uint64_t took_ns = 0;

	for (unsigned i = 0; i < PAIRS; i++) {
		struct io_uring_sqe *entry = entry_of();
		if (receives) {
			io_uring_prep_recv_multishot(entry, pairs[i].near, NULL, 0, 0);
			entry->flags |= IOSQE_BUFFER_SELECT;
			entry->buf_group = GROUP;
		} else {
			io_uring_prep_poll_multishot(entry, pairs[i].near, POLLIN | POLLRDHUP);
		}
		io_uring_sqe_set_data64(entry, i);
	}
	(void) io_uring_submit(&ring);
	for (unsigned t = 0; t < TIMES; t++) {
		far_send();
		uint64_t began_ns = cpu_ns();
		if (receives) {
			take_from_group(group, memory);
		} else {
			(void) complete(PAIRS, 0);
			for (unsigned i = 0; i < PAIRS; i++) {
				queue_recv(i, false, false);
			}
			(void) complete(PAIRS, MESSAGE);
		}
		for (unsigned i = 0; i < PAIRS; i++) {
			queue_send(i, false);
		}
		(void) complete(PAIRS, MESSAGE);
		took_ns += cpu_ns() - began_ns;
		far_recv(PAIRS);
	}
	cancel_all(PAIRS);
	if (receives) {
		(void) io_uring_unregister_buf_ring(&ring, GROUP);
		free(group);
	}
	return (double) took_ns / (TIMES * PAIRS);
}

static double
watch_form(bool watch)
{
	return watch ? staying_form(false) : echo_form(false, false);
}

static double
descriptor_form(bool direct)
{
	return echo_form(direct, true);
}

static double
poll_first_form(bool poll_first)
{
	return echo_form(false, poll_first);
}

static double
send_form(unsigned count, bool by_call)
{
	enum {
		TIMES = 2000
	};
	uint64_t took_ns = 0;
	unsigned times = TIMES / count;

	for (unsigned t = 0; t < times; t++) {
		uint64_t began_ns = cpu_ns();
		for (unsigned i = 0; i < count; i++) {
			if (by_call) {
				check(send(pairs[i].near, pairs[i].in, MESSAGE, MSG_NOSIGNAL | MSG_DONTWAIT) ==
					MESSAGE,
				    "send");
			} else {
				queue_send(i, false);
			}
		}
		if (!by_call) {
			(void) complete(count, MESSAGE);
		}
		took_ns += cpu_ns() - began_ns;
		far_recv(count);
	}
	return (double) took_ns / (times * count);
}

static double
send_1_form(bool by_call)
{
	return send_form(1, by_call);
}
static double
send_4_form(bool by_call)
{
	return send_form(4, by_call);
}
static double
send_16_form(bool by_call)
{
	return send_form(16, by_call);
}
static double
send_64_form(bool by_call)
{
	return send_form(64, by_call);
}

/* ---- waking */

static struct {
	struct io_uring ring;
	int bell;
	int ready; /* an eventfd: the sleeper is about to sleep */
	bool stop;
} sleeper;

static void *
sleep_in_ring(void *unused)
{
	struct io_uring_sqe *entry;
	bool armed = false, stop = false;

	(void) unused;
	open_ring(&sleeper.ring);
	while (!stop) {
		struct io_uring_cqe *completion;
		if (!armed) {
			entry = io_uring_get_sqe(&sleeper.ring);
			io_uring_prep_poll_multishot(entry, sleeper.bell, POLLIN);
			io_uring_sqe_set_data64(entry, 1);
			armed = true;
			(void) io_uring_submit(&sleeper.ring);
		}
		(void) eventfd_write(sleeper.ready, 1);
		(void) io_uring_submit_and_wait(&sleeper.ring, 1);
		while (io_uring_peek_cqe(&sleeper.ring, &completion) == 0) {
			if (completion->user_data == 1) {
				eventfd_t value;
				(void) eventfd_read(sleeper.bell, &value);
				armed = (completion->flags & IORING_CQE_F_MORE) != 0;
			}
			stop = completion->user_data == 2 && completion->res != 0;
			io_uring_cqe_seen(&sleeper.ring, completion);
		}
	}
	return NULL;
}

static void
ring_message(unsigned value)
{
	io_uring_prep_msg_ring(entry_of(), sleeper.ring.ring_fd, value, 2, 0);
	(void) complete(1, 0);
}

static double
wake_form(bool by_message)
{
	enum {
		TIMES = 300
	};
	static pthread_t thread;
	static bool started;
	uint64_t took_ns = 0;
	eventfd_t value;

	if (!started) {
		started = true;
		sleeper.bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		sleeper.ready = eventfd(0, EFD_CLOEXEC);
		check(sleeper.bell >= 0 && sleeper.ready >= 0 &&
			pthread_create(&thread, NULL, sleep_in_ring, NULL) == 0,
		    "a thread");
		(void) eventfd_read(sleeper.ready, &value);
	}
	for (unsigned t = 0; t < TIMES; t++) {
		struct timespec pause = { .tv_nsec = 20000 };
		(void) nanosleep(&pause,
		    NULL); /* it sleeps by now, or this one is a little cheaper, in either form */
		uint64_t began_ns = cpu_ns();
		if (by_message) {
			ring_message(0);
		} else {
			(void) eventfd_write(sleeper.bell, 1);
		}
		took_ns += cpu_ns() - began_ns;
		(void) eventfd_read(sleeper.ready, &value);
	}
	return (double) took_ns / TIMES;
}

/* ---- zero copy */

static void *
drain(void *arg)
{
	char *data = malloc(LARGE);
	ssize_t n = 1;

	while (data != NULL && n > 0) {
		n = recv(*(int *) arg, data, LARGE, 0);
	}
	free(data);
	return NULL;
}

static double
zero_copy_form(bool zero_copy)
{
	enum {
		TIMES = 100
	};
	int far = connected();
	int near = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	pthread_t thread;
	uint64_t began_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);

	check(near >= 0 && pthread_create(&thread, NULL, drain, &far) == 0, "a reader");
	for (unsigned t = 0; t < TIMES; t++) {
		struct io_uring_sqe *entry = entry_of();
		if (zero_copy) {
			io_uring_prep_send_zc(entry, near, large, LARGE, MSG_NOSIGNAL | MSG_WAITALL, 0);
		} else {
			io_uring_prep_send(entry, near, large, LARGE, MSG_NOSIGNAL | MSG_WAITALL);
		}
		(void) complete(zero_copy ? 2 : 1, 0); /* and the notification that the buffer is free */
	}
	(void) shutdown(near, SHUT_WR);
	(void) pthread_join(thread, NULL);
	uint64_t took_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - began_ns;
	(void) close(near);
	(void) close(far);
	return (double) took_ns / TIMES;
}

/* ---- the table */

static const struct choice {
	const char *name;
	const char *was;
	const char *is;
	double (*form)(bool is);
} choices[] = {
	{ "accept", "one request each", "multishot", accept_form },
	{ "descriptor", "descriptors", "registered files", descriptor_form },
	{ "poll first", "tried first", "POLL_FIRST", poll_first_form },
	{ "watch", "a request each", "watch", watch_form },
	{ "multishot", "watch", "multishot receive", staying_form },
	{ "send 1", "request", "send(2)", send_1_form },
	{ "send 4", "requests", "send(2)", send_4_form },
	{ "send 16", "requests", "send(2)", send_16_form },
	{ "send 64", "requests", "send(2)", send_64_form },
	{ "wake", "eventfd", "MSG_RING", wake_form },
	{ "zero copy", "SEND", "SEND_ZC", zero_copy_form },
};
#define CHOICES (sizeof(choices) / sizeof(choices[0]))

static int
compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
run(const struct choice *choice)
{
	double was[ROUNDS], is[ROUNDS], ratio[ROUNDS];

	(void) choice->form(false);
	(void) choice->form(true);
	for (unsigned round = 0; round < ROUNDS; round++) {
		bool first = round % 2 != 0;
		double one = choice->form(first);
		double two = choice->form(!first);
		was[round] = first ? two : one;
		is[round] = first ? one : two;
		ratio[round] = is[round] / was[round];
	}
	qsort(was, ROUNDS, sizeof(was[0]), compare);
	qsort(is, ROUNDS, sizeof(is[0]), compare);
	qsort(ratio, ROUNDS, sizeof(ratio[0]), compare);
	(void) printf("%-12s %-18s %10.0f %-18s %10.0f %8.2f %8.2f to %.2f\n", choice->name, choice->was,
	    was[ROUNDS / 2], choice->is, is[ROUNDS / 2], ratio[ROUNDS / 2], ratio[0], ratio[ROUNDS - 1]);
	(void) fflush(stdout);
}

int
main(int argc, char **argv)
{
	large = calloc(1, LARGE);
	check(large != NULL, "memory");
	open_ring(&ring);
	open_pairs();
	(void) printf("%-12s %-18s %10s %-18s %10s %8s\n", "", "", "CPU ns", "", "CPU ns", "ratio");
	for (size_t i = 0; i < CHOICES; i++) {
		if (argc < 2 || strcmp(argv[1], choices[i].name) == 0) {
			run(&choices[i]);
		}
	}
	return 0;
}

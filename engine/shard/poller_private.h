/* SPDX-License-Identifier: MIT
 *
 * poller_private.h: what the two back ends of poller.h share: the stages of an operation, the queues it waits in,
 * and the delivery of results. Included by poller*.c and by their test only.
 *
 * Context: the poller's own thread.
 */
#ifndef PINWHEEL_SHARD_POLLER_PRIVATE_H
#define PINWHEEL_SHARD_POLLER_PRIVATE_H

#include <assert.h>

#include "engine/shard/poller.h"

/* A connect that a full backlog refused (EAGAIN) is tried again after this time. No event tells of the room. */
#define PW_CONNECT_RETRY_NS UINT64_C(4000000)

/* Where an operation is. An io is on at most one queue, and the stage says on which: its `next` serves one. */
enum pw_io_stage {
	PW_STAGE_IDLE = 0,
	PW_STAGE_KERNEL,  /* io_uring: the operation itself is in the submission queue or in the kernel */
	PW_STAGE_READY,   /* waits for its descriptor: for an edge of epoll, for a poll request of io_uring */
	PW_STAGE_WATCH,   /* io_uring: a receive waits for an edge of its file's watch */
	PW_STAGE_BACKOFF, /* a connect waits for its next try */
	PW_STAGE_BACKLOG, /* io_uring: the kernel takes no submissions now; on the queue `backlog` */
	PW_STAGE_DONE,    /* has its result; on the queue `done` */
};

struct pw_io_queue {
	struct pw_io *first;
	struct pw_io *last;
};

static inline bool
pw_io_queue_empty(const struct pw_io_queue *queue)
{
	return queue->first == NULL;
}

static inline void
pw_io_queue_push(struct pw_io_queue *queue, struct pw_io *io)
{
	io->next = NULL;
	if (queue->first == NULL) {
		queue->first = io;
	} else {
		queue->last->next = io;
	}
	queue->last = io;
}

static inline struct pw_io *
pw_io_queue_pop(struct pw_io_queue *queue)
{
	struct pw_io *io = queue->first;

	queue->first = io->next;
	return io;
}

/* False: it is not there. Walks the queue: for the queues that are rare. */
bool pw_io_queue_remove(struct pw_io_queue *queue, struct pw_io *io);

static inline bool
pw_io_is_input(const struct pw_io *io)
{
	return io->op == PW_IO_RECV || io->op == PW_IO_ACCEPT || io->op == PW_IO_POLL_IN;
}

/* The operation's memory is as new, idle. */
void pw_io_reset(struct pw_io *io);
/* Idle -> in flight. */
void pw_io_begin(struct pw_poller *poller, struct pw_io *io);
/* It has its result; on_done is called by a later pw_io_deliver. */
void pw_io_finish(struct pw_io_queue *done, struct pw_io *io, int result);
/* Calls on_done for at most `budget` of the queue, oldest first; returns their number. */
unsigned pw_io_deliver(struct pw_poller *poller, struct pw_io_queue *done, unsigned budget);
/* One receive or send that does not wait, repeated only when it was interrupted: bytes, or a negative errno value. */
int pw_io_try_recv(struct pw_io *io);
int pw_io_try_send(struct pw_io *io);
/* connect(2) on the non-blocking descriptor: 0, -EINPROGRESS (the answer comes with writability) or the error. */
int pw_io_connect(const struct pw_io *io);

/* A system call failed as it can only when the process damaged the engine (closed its descriptors) or the kernel lost
 * completions. To go on would be to hang without a word. */
_Noreturn void pw_poller_fatal(const char *call, int error);

/* io_uring with these setup flags and no others. answers_eagain: ask the kernel to answer EAGAIN where it would wait,
 * as kernels do that heed O_NONBLOCK; the test runs its suite so. */
int pw_poller_open_uring_with(struct pw_poller *poller, int bell_fd, unsigned setup_flags, bool answers_eagain,
    bool forced);

#endif

/* SPDX-License-Identifier: MIT
 *
 * poller.c: the choice of a back end, and what both share (poller_private.h).
 *
 * The choice is made once, when a shard starts. io_uring may be refused for reasons that the program cannot know
 * beforehand: not in the kernel (ENOSYS), forbidden by the system or a seccomp filter (EPERM), too little memory
 * that may be locked (ENOMEM), an older interface (EINVAL, EOPNOTSUPP). Each leads to epoll, and `why` says so.
 */
#include "engine/shard/poller_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *
error_text(int error)
{
	const char *text = strerrordesc_np(error);

	return text != NULL ? text : "unknown error";
}

static int
open_auto(struct pw_poller *poller, int bell_fd)
{
	int refused = pw_poller_open_uring(poller, bell_fd, false);

	if (refused == 0) {
		(void) snprintf(poller->why, sizeof(poller->why), "the kernel offers io_uring");
		return 0;
	}
	int result = pw_poller_open_epoll(poller, bell_fd);
	(void) snprintf(poller->why, sizeof(poller->why), "io_uring refused: %s", error_text(-refused));
	return result;
}

static int
open_forced(struct pw_poller *poller, enum pw_poller_kind kind, int bell_fd)
{
	int result = kind == PW_POLLER_URING ? pw_poller_open_uring(poller, bell_fd, true)
					     : pw_poller_open_epoll(poller, bell_fd);

	(void) snprintf(poller->why, sizeof(poller->why), "asked for");
	return result;
}

int
pw_poller_open(struct pw_poller *poller, enum pw_poller_kind kind, int bell_fd)
{
	return kind == PW_POLLER_AUTO ? open_auto(poller, bell_fd) : open_forced(poller, kind, bell_fd);
}

bool
pw_io_queue_remove(struct pw_io_queue *queue, struct pw_io *io)
{
	struct pw_io *before = NULL;

	for (struct pw_io *at = queue->first; at != NULL; before = at, at = at->next) {
		if (at != io) {
			continue;
		}
		if (before == NULL) {
			queue->first = io->next;
		} else {
			before->next = io->next;
		}
		if (queue->last == io) {
			queue->last = before;
		}
		return true;
	}
	return false;
}

void
pw_io_reset(struct pw_io *io)
{
	io->in_flight = false;
	io->cancel_wanted = false;
	io->stage = PW_STAGE_IDLE;
	io->next = NULL;
}

void
pw_io_begin(struct pw_poller *poller, struct pw_io *io)
{
	assert(!io->in_flight && io->stage == PW_STAGE_IDLE);
	assert(io->file->attached && io->niov <= PW_IO_IOV_MAX);
	assert(io->op > PW_IO_NONE && io->op <= PW_IO_POLL_OUT);
	assert(io == (pw_io_is_input(io) ? &io->file->in : &io->file->out));

	io->in_flight = true;
	io->cancel_wanted = false;
	if (io->niov != 1) {
		io->msg = (struct msghdr){ .msg_iov = io->iov, .msg_iovlen = io->niov };
	}
	poller->in_flight++;
}

void
pw_io_finish(struct pw_io_queue *done, struct pw_io *io, int result)
{
	assert(io->in_flight && io->stage != PW_STAGE_DONE);
	io->stage = PW_STAGE_DONE;
	io->result = result;
	pw_io_queue_push(done, io);
}

/* The io is idle before on_done runs, and not looked at after: it may be submitted again, or be another file's. */
unsigned
pw_io_deliver(struct pw_poller *poller, struct pw_io_queue *done, unsigned budget)
{
	unsigned count = 0;

	while (count < budget && !pw_io_queue_empty(done)) {
		struct pw_io *io = pw_io_queue_pop(done);
		assert(io->in_flight && io->stage == PW_STAGE_DONE && poller->in_flight > 0);
		pw_io_reset(io);
		poller->in_flight--;
		count++;
		io->on_done(io, io->result);
	}
	return count;
}

int
pw_io_try_recv(struct pw_io *io)
{
	ssize_t n;

	do {
		n = io->niov == 1 ? recv(io->file->fd, io->iov[0].iov_base, io->iov[0].iov_len, MSG_DONTWAIT)
				  : recvmsg(io->file->fd, &io->msg, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int) n;
}

int
pw_io_try_send(struct pw_io *io)
{
	const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
	ssize_t n;

	do {
		n = io->niov == 1 ? send(io->file->fd, io->iov[0].iov_base, io->iov[0].iov_len, flags)
				  : sendmsg(io->file->fd, &io->msg, flags);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int) n;
}

int
pw_io_connect(const struct pw_io *io)
{
	if (connect(io->file->fd, (const struct sockaddr *) &io->address, io->address_size) == 0) {
		return 0;
	}
	/* Interrupted, a connect goes on by itself; a second one would be told EALREADY. */
	return errno == EINTR ? -EINPROGRESS : -errno;
}

_Noreturn void
pw_poller_fatal(const char *call, int error)
{
	(void) fprintf(stderr, "pinwheel: %s: %s\n", call, error_text(error));
	abort();
}

/* SPDX-License-Identifier: MIT
 *
 * poller.h: one shard's door to the kernel: submits socket operations, waits, and reports what completed.
 *
 * Two back ends with one behaviour, chosen when a shard starts: io_uring (poller_uring.c) and epoll
 * (poller_epoll.c). The interface is that of completions; epoll makes them from readiness. The tests with a
 * virtual clock and the explorer have a third (poller_fake in tests/).
 *
 * Context: everything here runs on the thread of the poller's shard, the one that opened it. What another thread
 * may do is ring the shard's bell (park.h), which makes pw_poller_wait return.
 *
 * What holds in both back ends:
 *   - An operation (struct pw_io) is idle or in flight. Submit takes an idle one; its on_done is called exactly
 *     once, from pw_poller_wait, never from inside submit or cancel.
 *   - Until on_done is called the buffers, the descriptor and the struct pw_io belong to the kernel.
 *   - Cancel is a wish: on_done comes anyway, with -ECANCELED or with the operation's own result, whichever the
 *     kernel decided. It cannot fail (what it needs was reserved by submit) and never hits a later operation of
 *     the same struct (io_uring: the user data carries a generation).
 *   - on_done may submit, cancel, attach and detach anything, its own io included.
 *   - wait calls at most `budget` on_done; what is left comes in the next call.
 */
#ifndef PINWHEEL_SHARD_POLLER_H
#define PINWHEEL_SHARD_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PW_IO_IOV_MAX 8 /* at least the aio's */

enum pw_io_op {
	PW_IO_NONE = 0,
	PW_IO_RECV,     /* recvmsg into iov; result: bytes, 0 at end of file */
	PW_IO_SEND,     /* sendmsg of iov with MSG_NOSIGNAL; result: bytes, possibly fewer than asked */
	PW_IO_ACCEPT,   /* result: a new descriptor, SOCK_NONBLOCK | SOCK_CLOEXEC */
	PW_IO_CONNECT,  /* to `address`; result: 0 */
	PW_IO_POLL_IN,  /* readable once (one shot); result: 0. For descriptors that a library reads itself. */
	PW_IO_POLL_OUT, /* writable once */
};

struct pw_io;
struct pw_file;
/* result: as above, or a negative errno value. */
typedef void (*pw_io_done)(struct pw_io *io, int result);

/* An operation of one buffer, the usual one, needs the first 64 bytes alone. */
struct pw_io {
	/* the caller sets file, on_done, op, niov, iov, and the address, before submit; the rest is the poller's own */
	struct pw_file *file;
	pw_io_done on_done;
	struct pw_io *next;
	int result;
	uint16_t generation;
	uint8_t op; /* enum pw_io_op */
	uint8_t niov;
	uint8_t stage; /* enum pw_io_stage of poller_private.h */
	bool in_flight;
	bool cancel_wanted;
	struct iovec iov[PW_IO_IOV_MAX]; /* copied from the operation: the poller may change it */
	struct msghdr msg;
	socklen_t address_size;
	struct sockaddr_storage address; /* PW_IO_CONNECT */
};

/* A descriptor and the two directions in which one operation at a time may be in flight: RECV, ACCEPT and
 * POLL_IN use `in`; SEND, CONNECT and POLL_OUT use `out`. Type-stable memory of the owner: it may be reused after
 * detach, never unmapped while the poller lives (a late readiness event may still look at it). */
struct pw_file {
	int fd; /* -1: not attached */
	/* the poller's own */
	bool attached;
	bool watched;    /* io_uring: a watch of `in` is under way, of the generation `watch` */
	bool drained;    /* io_uring: the next receive would find nothing, unless an edge has come since */
	bool tells_rest; /* io_uring: a receive tells whether it has left something behind */
	uint16_t watch;
	struct pw_io in;
	struct pw_io out;
};

enum pw_poller_kind {
	PW_POLLER_AUTO = 0,
	PW_POLLER_URING = 1,
	PW_POLLER_EPOLL = 2,
};

struct pw_poller;

struct pw_poller_ops {
	const char *name;
	int (*attach)(struct pw_poller *, struct pw_file *);
	void (*detach)(struct pw_poller *, struct pw_file *);
	void (*submit)(struct pw_poller *, struct pw_io *);
	void (*cancel)(struct pw_poller *, struct pw_io *);
	unsigned (*wait)(struct pw_poller *, uint64_t timeout_ns, unsigned budget);
	bool (*pending)(const struct pw_poller *);
	void (*close)(struct pw_poller *);
	int (*lend)(struct pw_poller *); /* NULL: `fd` is fit for it as it is */
};

struct pw_poller {
	const struct pw_poller_ops *ops;
	int fd;             /* readable when wait(0) would find something: see pw_poller_lend */
	int bell_fd;        /* the shard's, not ours */
	void *state;        /* the back end's */
	unsigned in_flight; /* operations submitted and not done */
	char why[120];      /* for AUTO: why this back end ("io_uring refused: Operation not permitted") */
};

/* Opens a poller for the calling thread, which becomes its owner. `kind` AUTO tries io_uring and falls back to
 * epoll; a forced one that is refused is an error. 0, or a negative errno value (nothing is left open). */
int pw_poller_open(struct pw_poller *poller, enum pw_poller_kind kind, int bell_fd);
int pw_poller_open_uring(struct pw_poller *poller, int bell_fd, bool forced);
int pw_poller_open_epoll(struct pw_poller *poller, int bell_fd);

/* For a shard that waits in its application's loop: from now on poller->fd (it may be another one than before) also
 * wakes who already sleeps on it in poll(2) or epoll_wait(2); without this an io_uring poller's does not. Who sleeps
 * on it has seen pw_poller_pending false after the last wait. Once, before the first wait; close undoes it. 0 or a
 * negative errno value (the poller is as before). */
static inline int
pw_poller_lend(struct pw_poller *poller)
{
	return poller->ops->lend != NULL ? poller->ops->lend(poller) : 0;
}

/* Gives the descriptor (non-blocking) to the poller. 0 or a negative errno value. */
static inline int
pw_poller_attach(struct pw_poller *poller, struct pw_file *file)
{
	return poller->ops->attach(poller, file);
}

/* Both directions idle. After it the owner closes the descriptor. */
static inline void
pw_poller_detach(struct pw_poller *poller, struct pw_file *file)
{
	poller->ops->detach(poller, file);
}

static inline void
pw_poller_submit(struct pw_poller *poller, struct pw_io *io)
{
	poller->ops->submit(poller, io);
}

/* Idle operations: no effect. */
static inline void
pw_poller_cancel(struct pw_poller *poller, struct pw_io *io)
{
	poller->ops->cancel(poller, io);
}

/* Submits what is queued, waits at most timeout_ns (0: not at all, PW_NEVER_NS: until something comes or the
 * bell rings), calls on_done for at most `budget` completions; clears the bell. Returns their number.
 * EINTR counts as nothing came. */
static inline unsigned
pw_poller_wait(struct pw_poller *poller, uint64_t timeout_ns, unsigned budget)
{
	return poller->ops->wait(poller, timeout_ns, budget);
}

/* Completions are known that wait(0) would report without asking the kernel, or submissions are not yet handed over. */
static inline bool
pw_poller_pending(const struct pw_poller *poller)
{
	return poller->ops->pending(poller);
}

/* Nothing in flight. */
static inline void
pw_poller_close(struct pw_poller *poller)
{
	poller->ops->close(poller);
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * poller_uring.c: poller.h on io_uring(7).
 *
 * Context: the poller's own thread, which made the ring (IORING_SETUP_SINGLE_ISSUER).
 *
 * How an operation goes. Submit writes one entry (KERNEL); entries are handed over by the next wait, or when the
 * submission queue is full. Its completion goes to the queue `done`. Two answers lead back to the kernel: EAGAIN
 * (kernels that heed O_NONBLOCK in some operations) becomes a poll request and then the operation again (READY), and
 * a connect refused by a full backlog becomes a timeout request and then the operation again (BACKOFF).
 *
 * Receives do not wait in the kernel each for itself: to arm a request and to take it down costs more than the receive.
 * Each file that has had to wait once has a watch, a multishot poll request, until it is detached. A receive that finds
 * nothing (MSG_DONTWAIT) is in WATCH until the watch reports an edge, and is tried again then.
 *
 * Few at a time. A single receive, and up to CROWD_SEND sends, are system calls at once, whose results the next wait
 * gives out: an entry each and one entering of the kernel cost more, and the bytes leave later. Where many completions
 * came together, what they cause goes as entries in one entering.
 *
 * What io_uring has and this file does not use. `scripts/streams U` measures each beside what it would replace
 * (processor time, Linux 6.18):
 *   multishot accept    0.8 of 1.4 us for each connection; it would take connections that nobody has asked for out of
 *                       the backlog (listener.c)
 *   registered files    0.95 of 1.6 us for a receive and a send, less a system call for each attach and each detach
 *   MSG_RING to wake    1.4 times what writing the bell's eventfd costs the sender
 *   zero-copy send      0.4 of a copy of 256 KiB over loopback, but the buffer is free only when the peer has read it
 *                       (over a network: acknowledged it): who sends before he receives would wait for his like
 *   multishot receive   as fast as the watch (1.0); it would take from the socket what nobody has asked for
 *   polling first       0.97 of a request for each receive; the watch is 0.88
 *
 * I1  In KERNEL, READY and BACKOFF there is exactly one request of the operation in the kernel or in the submission
 *     queue; its user data is the io's address, the generation in the top 16 bits and a tag in the low 3. The
 *     generation is counted by the poller, not by the io: memory that was cleared repeats none.
 * I2  A cancel is a request of its own, aimed at that user data, behind its target in the queue. It cannot fail:
 *     while the kernel takes no submissions (no memory) the io itself waits on `cancels`, and an operation whose
 *     entry was not yet written ends without the kernel. When the cancel finds nothing (ENOENT) or comes too late
 *     (EALREADY) and the operation still has not ended when its answer is read (it was between two tries), it is
 *     sent again. An operation that is to be cancelled is never tried again.
 * I3  An io is on `backlog` (BACKLOG), on `done` (DONE), on `cancels` or on no queue.
 * I4  The bell is a multishot poll request, armed before every sleep: a wait that cannot arm it sleeps 1 ms at most.
 * I5  The kernel runs our completions only when we enter it (DEFER_TASKRUN); IORING_SQ_TASKRUN says that there are
 *     some, so a wait(0) that has nothing to submit and sees neither it nor an overflow makes no system call.
 * I6  Lent: the descriptor of such a ring does not wake who already sleeps on it (seen on Linux 6.18), so the ring
 *     signals an eventfd, and poller->fd is an epoll descriptor over it and the bell; the bell itself, because a
 *     signal made from within another eventfd's write waits for an RCU grace period. Every wait silences the eventfd
 *     after it entered the kernel and before it looks: what comes later signals again, what came before is seen by
 *     this wait or by pw_poller_pending.
 * I7  No edge is lost. An operation is in WATCH only if a receive has found nothing, or has said that it left nothing
 *     (IORING_CQE_F_SOCK_NONEMPTY; of TCP alone, whose count heeds urgent data and the end of the stream: `drained`),
 *     and no edge was read since, and the watch is armed or in the submission queue. The answer of a receive stands in
 *     the completion queue before the edge of whatever came later: it is made within the submission, and edges are
 *     made between system calls. A watch that begins looks first, so its first edge covers what came before it.
 * I8  When detach returns the kernel holds nothing of the file: the watch is cancelled, and the kernel is entered once
 *     so that it lets go. What the watch has said by then is made nobody's. Where the kernel kept more in a list of its
 *     own, or refused to be entered, the rest is read later, and finds `watched` unset or another generation.
 *
 * A Unix-domain connect is made by connect(2) in submit: it is answered at once, and io_uring would let a thread of
 * its own sleep for room in the backlog.
 *
 * Limits: 256 submissions between two system calls, 4096 completions before the kernel keeps the rest in a list of
 * its own (IORING_FEAT_NODROP; a completion that it had no memory for ends the process: its operation would hang).
 * Needs Linux 5.13; the flags that make it fast came with 5.19, 6.0 and 6.1 and are asked for in falling order. Watches,
 * and calls at once, need 6.0 (IORING_REGISTER_SYNC_CANCEL): before it a receive is a request that waits in the kernel.
 */
#include "engine/shard/poller_private.h"

#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/node.h"
#include "engine/shard/arena.h"
#include "engine/shard/park.h"

#define SQ_ENTRIES 256u
#define CQ_ENTRIES 4096u
#define HARVEST_MIN 64u /* completions that a wait reads, however small its budget of results is */
#define AHEAD 2u        /* completions; what lies behind the last one is an old one, and a prefetch cannot fault */
#define CROWD_RECV 1u   /* with so few completions at once, a receive is a system call */
#define CROWD_SEND 8u   /* ... and a send */
#define REFUSED_WAIT_NS PW_NS_PER_MS
#define GENERATION_SHIFT 48
#define TAG_MASK UINT64_C(7)

_Static_assert(sizeof(void *) == 8, "user data: an address below 2^48 and a generation");
_Static_assert(_Alignof(struct pw_io) >= 8, "user data: a tag in the low bits");

enum tag {
	TAG_IO = 0,
	TAG_CANCEL = 1, /* the answer to a cancel of that io */
	TAG_BELL = 2,   /* no io */
	TAG_WATCH = 3,  /* an edge of the file that has that io as `in`; the generation is the watch's */
	TAG_NONE = 4,   /* nobody's */
};

struct uring_state {
	struct io_uring ring;
	struct pw_io_queue done;
	struct pw_io_queue backlog; /* operations without an entry */
	struct pw_io_queue cancels; /* operations in the kernel whose cancel has no entry */
	uint16_t generation;
	bool bell_armed;
	bool answers_eagain; /* poller_private.h */
	bool watches;        /* receives wait for an edge of a watch; else in a request each */
	unsigned crowd;      /* how many completions or results came together last */
	unsigned tries;      /* receives that edges have made entries again in this harvest */
	int signal_fd;       /* lent: the eventfd that the ring signals; else -1 */
};

/* What Linux 5.13 has; that release gave multishot poll no feature bit, but this one. FAST_POLL: operations that must
 * wait do so without a thread. */
static const unsigned needed_features =
    IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_FAST_POLL | IORING_FEAT_RSRC_TAGS;

static const uint8_t needed_ops[] = {
	IORING_OP_RECV,
	IORING_OP_RECVMSG,
	IORING_OP_SEND,
	IORING_OP_SENDMSG,
	IORING_OP_ACCEPT,
	IORING_OP_CONNECT,
	IORING_OP_POLL_ADD,
	IORING_OP_TIMEOUT,
	IORING_OP_ASYNC_CANCEL,
};

/* Copied by the kernel with the entry, at some later time: static. */
static struct __kernel_timespec connect_retry = { .tv_nsec = (long long) PW_CONNECT_RETRY_NS };

static struct uring_state *
state_of(const struct pw_poller *poller)
{
	return poller->state;
}

static uint64_t
user_data_of(const struct pw_io *io, enum tag tag)
{
	return (uint64_t) (uintptr_t) io | (uint64_t) io->generation << GENERATION_SHIFT | tag;
}

static struct pw_io *
io_of(uint64_t user_data)
{
	return (struct pw_io *) (uintptr_t) (user_data & ((UINT64_C(1) << GENERATION_SHIFT) - 1) & ~TAG_MASK);
}

static uint64_t
watch_data_of(const struct pw_file *file)
{
	return (uint64_t) (uintptr_t) &file->in | (uint64_t) file->watch << GENERATION_SHIFT | TAG_WATCH;
}

static bool
in_kernel(const struct pw_io *io)
{
	return io->stage == PW_STAGE_KERNEL || io->stage == PW_STAGE_READY || io->stage == PW_STAGE_BACKOFF;
}

/* Entries. */

/* What the kernel refuses stays in the submission queue; the next wait handles the reason. */
static bool
has_room(struct uring_state *state)
{
	if (io_uring_sq_space_left(&state->ring) == 0) {
		(void) io_uring_submit(&state->ring);
	}
	return io_uring_sq_space_left(&state->ring) != 0;
}

/* NULL: the queue is full and the kernel takes nothing now. */
static struct io_uring_sqe *
take_entry(struct uring_state *state)
{
	return has_room(state) ? io_uring_get_sqe(&state->ring) : NULL;
}

static void
prepare_recv(const struct uring_state *state, struct io_uring_sqe *entry, struct pw_io *io)
{
	unsigned flags = state->answers_eagain || state->watches ? MSG_DONTWAIT : 0;

	if (io->niov == 1) {
		io_uring_prep_recv(entry, io->file->fd, io->iov[0].iov_base, io->iov[0].iov_len, (int) flags);
	} else {
		io_uring_prep_recvmsg(entry, io->file->fd, &io->msg, flags);
	}
}

static void
prepare_send(const struct uring_state *state, struct io_uring_sqe *entry, struct pw_io *io)
{
	unsigned flags = MSG_NOSIGNAL | (state->answers_eagain ? MSG_DONTWAIT : 0);

	if (io->niov == 1) {
		io_uring_prep_send(entry, io->file->fd, io->iov[0].iov_base, io->iov[0].iov_len, (int) flags);
	} else {
		io_uring_prep_sendmsg(entry, io->file->fd, &io->msg, flags);
	}
}

static void
prepare_operation(const struct uring_state *state, struct io_uring_sqe *entry, struct pw_io *io)
{
	switch ((enum pw_io_op) io->op) {
	case PW_IO_RECV:
		prepare_recv(state, entry, io);
		return;
	case PW_IO_SEND:
		prepare_send(state, entry, io);
		return;
	case PW_IO_ACCEPT:
		io_uring_prep_accept(entry, io->file->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		return;
	case PW_IO_CONNECT:
		io_uring_prep_connect(entry, io->file->fd, (struct sockaddr *) &io->address, io->address_size);
		return;
	case PW_IO_POLL_IN:
		io_uring_prep_poll_add(entry, io->file->fd, POLLIN);
		return;
	case PW_IO_POLL_OUT:
		io_uring_prep_poll_add(entry, io->file->fd, POLLOUT);
		return;
	case PW_IO_NONE:
		break;
	}
	io_uring_prep_nop(entry); /* pw_io_begin asserts that it is none of the caller's */
}

/* Hands the operation, its poll request or its timeout to the kernel, as `stage` says. */
static void
enqueue(struct uring_state *state, struct pw_io *io, enum pw_io_stage stage)
{
	struct io_uring_sqe *entry = take_entry(state);

	if (entry == NULL) {
		io->stage = PW_STAGE_BACKLOG;
		pw_io_queue_push(&state->backlog, io);
		return;
	}
	io->stage = (uint8_t) stage;
	if (stage == PW_STAGE_READY) {
		io_uring_prep_poll_add(entry, io->file->fd, pw_io_is_input(io) ? POLLIN : POLLOUT);
	} else if (stage == PW_STAGE_BACKOFF) {
		io_uring_prep_timeout(entry, &connect_retry, 0, 0);
	} else {
		prepare_operation(state, entry, io);
	}
	io_uring_sqe_set_data64(entry, user_data_of(io, TAG_IO));
}

/* A receive that has found nothing waits for the next edge. The watch looks at the descriptor when it is armed, so
 * what came before that is an edge too. */
static void
await_edge(struct uring_state *state, struct pw_io *io)
{
	struct pw_file *file = io->file;

	if (!file->watched) {
		struct io_uring_sqe *entry = take_entry(state);
		if (entry == NULL) {
			io->stage = PW_STAGE_BACKLOG;
			pw_io_queue_push(&state->backlog, io);
			return;
		}
		file->watched = true;
		file->watch = ++state->generation;
		io_uring_prep_poll_multishot(entry, file->fd, POLLIN | POLLRDHUP);
		io_uring_sqe_set_data64(entry, watch_data_of(file));
	}
	io->stage = PW_STAGE_WATCH;
}

/* The system call, here and now. */
static void
try_here(struct uring_state *state, struct pw_io *io)
{
	int result = io->op == PW_IO_RECV ? pw_io_try_recv(io) : pw_io_try_send(io);

	if (result != -EAGAIN) {
		pw_io_finish(&state->done, io, result);
	} else if (io->op == PW_IO_RECV) {
		await_edge(state, io);
	} else {
		enqueue(state, io, PW_STAGE_KERNEL);
	}
}

/* A Unix-domain connect: the system call, here and now. */
static void
connect_unix(struct uring_state *state, struct pw_io *io)
{
	int result = pw_io_connect(io);

	if (result == -EAGAIN) {
		enqueue(state, io, PW_STAGE_BACKOFF);
	} else {
		pw_io_finish(&state->done, io, result);
	}
}

/* So few completions came together that a system call for this one costs less than an entry. */
static bool
few(const struct uring_state *state, const struct pw_io *io)
{
	return state->watches &&
	    ((io->op == PW_IO_RECV && state->crowd <= CROWD_RECV) ||
		(io->op == PW_IO_SEND && state->crowd <= CROWD_SEND));
}

static void
start(struct uring_state *state, struct pw_io *io)
{
	if (io->op == PW_IO_CONNECT && io->address.ss_family == AF_UNIX) {
		connect_unix(state, io);
	} else if (io->op == PW_IO_RECV && io->file->drained) {
		await_edge(state, io);
	} else if (few(state, io)) {
		try_here(state, io);
	} else {
		enqueue(state, io, PW_STAGE_KERNEL);
	}
}

static void
enqueue_cancel(struct uring_state *state, struct pw_io *io)
{
	struct io_uring_sqe *entry = take_entry(state);

	if (entry == NULL) {
		pw_io_queue_push(&state->cancels, io);
		return;
	}
	io_uring_prep_cancel64(entry, user_data_of(io, TAG_IO), 0);
	io_uring_sqe_set_data64(entry, user_data_of(io, TAG_CANCEL));
}

/* Submits what found no entry before, as far as there are entries now. */
static void
flush(struct uring_state *state)
{
	while (!pw_io_queue_empty(&state->cancels) && has_room(state)) {
		enqueue_cancel(state, pw_io_queue_pop(&state->cancels));
	}
	while (!pw_io_queue_empty(&state->backlog) && has_room(state)) {
		start(state, pw_io_queue_pop(&state->backlog));
	}
}

/* Completions. */

static void
finish(struct uring_state *state, struct pw_io *io, int result)
{
	if (io->cancel_wanted && !pw_io_queue_empty(&state->cancels)) {
		(void) pw_io_queue_remove(&state->cancels, io);
	}
	pw_io_finish(&state->done, io, result);
}

/* The kernel's answer is not yet the operation's: another try is due. */
static bool
wants_retry(const struct pw_io *io, int result)
{
	if (io->stage != PW_STAGE_KERNEL) {
		return result >= 0 || result == -ETIME; /* what it waited for has come */
	}
	return result == -EAGAIN || result == -EINTR || (io->op == PW_IO_ACCEPT && result == -ECONNABORTED);
}

static void
retry(struct uring_state *state, struct pw_io *io, int result)
{
	if (io->stage == PW_STAGE_KERNEL && result == -EAGAIN && io->op == PW_IO_RECV && state->watches) {
		await_edge(state, io);
	} else if (io->stage == PW_STAGE_KERNEL && result == -EAGAIN) {
		enqueue(state, io, io->op == PW_IO_CONNECT ? PW_STAGE_BACKOFF : PW_STAGE_READY);
	} else {
		start(state, io);
	}
}

static void
on_operation(struct uring_state *state, struct pw_io *io, int result)
{
	if (wants_retry(io, result)) {
		if (io->cancel_wanted) {
			finish(state, io, -ECANCELED);
		} else {
			retry(state, io, result);
		}
	} else if (io->op == PW_IO_POLL_IN || io->op == PW_IO_POLL_OUT) {
		finish(state, io, result < 0 ? result : 0);
	} else {
		finish(state, io, result);
	}
}

/* An edge, or the end of a watch. A watch that the kernel refuses is none: a poll request of the operation's own asks
 * for the reason. */
static void
on_watch(struct uring_state *state, struct pw_file *file, const struct io_uring_cqe *completion)
{
	struct pw_io *io = &file->in;

	file->drained = false;
	file->watched = (completion->flags & IORING_CQE_F_MORE) != 0;
	if (!io->in_flight || io->stage != PW_STAGE_WATCH) {
		return;
	}
	if (completion->res < 0) {
		enqueue(state, io, PW_STAGE_READY);
	} else {
		start(state, io);
		state->tries += io->stage == PW_STAGE_KERNEL;
	}
}

/* An answer of a cancel that may have missed. The operation's own answer is read before it when there is one. */
static void
on_cancel(struct uring_state *state, struct pw_io *io, int result)
{
	if (result < 0 && io->cancel_wanted && in_kernel(io)) {
		enqueue_cancel(state, io);
	}
}

/* What a receive has left behind. */
static void
note_rest(struct pw_io *io, const struct io_uring_cqe *completion)
{
	if (io->op == PW_IO_RECV && io->stage == PW_STAGE_KERNEL) {
		io->file->drained = io->file->tells_rest && completion->res > 0 &&
		    (completion->flags & IORING_CQE_F_SOCK_NONEMPTY) == 0;
	}
}

static void
on_completion(struct pw_poller *poller, const struct io_uring_cqe *completion)
{
	struct uring_state *state = state_of(poller);
	uint64_t user_data = completion->user_data;
	enum tag tag = (enum tag)(user_data & TAG_MASK);

	if (tag == TAG_NONE) {
		return;
	}
	if (tag == TAG_BELL) {
		state->bell_armed = (completion->flags & IORING_CQE_F_MORE) != 0;
		pw_bell_clear(poller->bell_fd);
		return;
	}
	struct pw_io *io = io_of(user_data);
	struct pw_file *file = PW_CONTAINER_OF(io, struct pw_file, in); /* TAG_WATCH */
	uint16_t generation = (uint16_t) (user_data >> GENERATION_SHIFT);
	if (tag == TAG_WATCH) {
		if (file->watched && file->watch == generation) {
			on_watch(state, file, completion);
		}
		return;
	}
	bool current = io->in_flight && io->generation == generation;
	if (tag == TAG_IO) {
		assert(current && in_kernel(io));
		note_rest(io, completion);
		on_operation(state, io, completion->res);
	} else if (current) {
		on_cancel(state, io, completion->res);
	}
}

/* No code of the owner runs here, so the number of completions that are there now bounds it. */
static void
harvest(struct pw_poller *poller, unsigned budget)
{
	struct uring_state *state = state_of(poller);
	struct io_uring *ring = &state->ring;
	unsigned count = io_uring_cq_ready(ring);
	unsigned limit = budget > HARVEST_MIN ? budget : HARVEST_MIN;

	state->tries = 0;
	state->crowd = count != 0 ? count : state->crowd;
	for (unsigned i = 0; i < count && i < limit; i++) {
		__builtin_prefetch(io_of(ring->cq.cqes[(*ring->cq.khead + AHEAD) & ring->cq.ring_mask].user_data), 1);
		/* A copy: a retry may enter the kernel, which may use the place once it is given back. */
		struct io_uring_cqe completion = ring->cq.cqes[*ring->cq.khead & ring->cq.ring_mask];
		io_uring_cq_advance(ring, 1);
		on_completion(poller, &completion);
	}
}

/* Entering the kernel. */

static void
arm_bell(struct pw_poller *poller)
{
	struct uring_state *state = state_of(poller);
	struct io_uring_sqe *entry = take_entry(state);

	if (entry == NULL) {
		return;
	}
	io_uring_prep_poll_multishot(entry, poller->bell_fd, POLLIN);
	io_uring_sqe_set_data64(entry, TAG_BELL);
	state->bell_armed = true;
}

static bool
kernel_has_work(const struct uring_state *state)
{
	return (IO_URING_READ_ONCE(*state->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

static bool
has_completions(const struct uring_state *state)
{
	return !pw_io_queue_empty(&state->done) || io_uring_cq_ready(&state->ring) != 0;
}

static bool
has_unsubmitted(const struct uring_state *state)
{
	return io_uring_sq_ready(&state->ring) != 0 || !pw_io_queue_empty(&state->backlog) ||
	    !pw_io_queue_empty(&state->cancels);
}

/* The kernel queues work first and sets IORING_SQ_TASKRUN after it. If we run that work in between, the flag that then
 * comes stands for nothing, and the kernel clears it only when it next runs some (seen on Linux 6.18): a shard that
 * trusts it would never sleep again, nor end. So we take it down ourselves before we enter: what was queued until then
 * is run by this enter, and what is queued later sets it again. At most one enter is in vain. */
static void
forget_work_flag(struct uring_state *state)
{
	_Static_assert(sizeof(pw_a32) == sizeof(*state->ring.sq.kflags), "the flags are one 32-bit word");

	(void) pw_fetch_and_acq_rel_32((pw_a32 *) (void *) state->ring.sq.kflags, ~IORING_SQ_TASKRUN);
}

static void
enter(struct uring_state *state)
{
	int result = 0;

	if (io_uring_sq_ready(&state->ring) != 0 || kernel_has_work(state)) {
		forget_work_flag(state);
		result = io_uring_submit_and_get_events(&state->ring);
	}
	switch (result < 0 ? -result : 0) {
	case 0:
	case EINTR:
	case EAGAIN: /* no memory for the requests, or nothing came */
	case EBUSY:  /* completions must be taken first */
	case ETIME:
		return;
	default: /* EBADR: a completion was dropped */
		pw_poller_fatal("io_uring_enter", -result);
	}
}

static void
enter_and_wait(struct uring_state *state, uint64_t timeout_ns)
{
	struct __kernel_timespec timeout = {
		.tv_sec = (long long) (timeout_ns / PW_NS_PER_S),
		.tv_nsec = (long long) (timeout_ns % PW_NS_PER_S),
	};
	struct io_uring_cqe *first;
	int result = io_uring_submit_and_wait_timeout(&state->ring, &first, 1,
	    timeout_ns == PW_NEVER_NS ? NULL : &timeout, NULL);

	switch (result < 0 ? -result : 0) {
	case 0:
	case EINTR:
	case ETIME:
		return;
	case EAGAIN:
	case EBUSY: {
		/* The submissions were refused: wait for completions alone, not long. */
		struct __kernel_timespec pause = { .tv_nsec = (long long) REFUSED_WAIT_NS };
		(void) io_uring_wait_cqe_timeout(&state->ring, &first, &pause);
		return;
	}
	default:
		pw_poller_fatal("io_uring_enter", -result);
	}
}

static unsigned
uring_wait(struct pw_poller *poller, uint64_t timeout_ns, unsigned budget)
{
	struct uring_state *state = state_of(poller);

	flush(state);
	if (!state->bell_armed) {
		arm_bell(poller);
	}
	if (timeout_ns == 0 || has_completions(state)) {
		enter(state);
	} else if (state->bell_armed && pw_io_queue_empty(&state->backlog) && pw_io_queue_empty(&state->cancels)) {
		enter_and_wait(state, timeout_ns);
	} else {
		enter_and_wait(state, timeout_ns < REFUSED_WAIT_NS ? timeout_ns : REFUSED_WAIT_NS);
	}
	if (state->signal_fd >= 0) {
		pw_bell_clear(state->signal_fd);
	}
	harvest(poller, budget);
	if (state->tries != 0) { /* their results are for this wait */
		enter(state);
		harvest(poller, budget);
	}
	unsigned count = pw_io_deliver(poller, &state->done, budget);
	state->crowd = count != 0 ? count : state->crowd;
	return count;
}

/* The rest of the interface. */

/* A socket's protocol; 0: none, or it is no socket; -EBADF. */
static int
protocol_of(int fd)
{
	int protocol = 0;
	socklen_t size = sizeof(protocol);

	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) != 0) {
		return errno == EBADF ? -EBADF : 0;
	}
	return protocol;
}

static int
uring_attach(struct pw_poller *poller, struct pw_file *file)
{
	const struct uring_state *state = state_of(poller);

	assert(!file->attached);
	int protocol = protocol_of(file->fd);
	if (protocol < 0) {
		return protocol;
	}
	file->attached = true;
	file->watched = false;
	file->drained = false;
	file->tells_rest = state->watches && protocol == IPPROTO_TCP;
	pw_io_reset(&file->in);
	pw_io_reset(&file->out);
	return 0;
}

/* Takes an entry back that the kernel has not seen yet. */
static bool
withdraw(struct uring_state *state, uint64_t user_data)
{
	struct io_uring *ring = &state->ring;
	unsigned tail = ring->sq.sqe_tail;

	for (unsigned at = tail - io_uring_sq_ready(ring); at != tail; at++) {
		struct io_uring_sqe *entry = &ring->sq.sqes[at & ring->sq.ring_mask];
		if (entry->user_data == user_data) {
			io_uring_prep_nop(entry);
			io_uring_sqe_set_data64(entry, TAG_NONE);
			return true;
		}
	}
	return false;
}

/* Makes what the kernel has said already nobody's. */
static void
disown(struct uring_state *state, uint64_t user_data)
{
	const struct io_uring *ring = &state->ring;
	unsigned head = *ring->cq.khead;

	for (unsigned count = io_uring_cq_ready(ring); count != 0; count--) {
		struct io_uring_cqe *completion = &ring->cq.cqes[head++ & ring->cq.ring_mask];
		if (completion->user_data == user_data) {
			completion->user_data = TAG_NONE;
		}
	}
}

/* I8: until the kernel lets go of the socket the owner's close would not be the last one, and the peer would not see it.
 * The cancel needs neither an entry nor memory. */
static void
end_watch(struct uring_state *state, struct pw_file *file)
{
	struct io_uring_sync_cancel_reg cancel = {
		.addr = watch_data_of(file),
		.fd = -1,
		.timeout = { .tv_sec = -1, .tv_nsec = -1 },
	};

	if (!withdraw(state, cancel.addr)) {
		(void) io_uring_register_sync_cancel(&state->ring, &cancel);
		enter(state);
		disown(state, cancel.addr);
	}
	file->watched = false;
}

static void
uring_detach(struct pw_poller *poller, struct pw_file *file)
{
	assert(file->attached && !file->in.in_flight && !file->out.in_flight);
	if (file->watched) {
		end_watch(state_of(poller), file);
	}
	file->attached = false;
}

static void
uring_submit(struct pw_poller *poller, struct pw_io *io)
{
	struct uring_state *state = state_of(poller);

	pw_io_begin(poller, io);
	io->generation = ++state->generation;
	start(state, io);
}

static void
uring_cancel(struct pw_poller *poller, struct pw_io *io)
{
	struct uring_state *state = state_of(poller);

	if (!io->in_flight || io->cancel_wanted) {
		return;
	}
	io->cancel_wanted = true;
	if (in_kernel(io)) {
		enqueue_cancel(state, io);
	} else if (io->stage == PW_STAGE_BACKLOG) {
		(void) pw_io_queue_remove(&state->backlog, io);
		pw_io_finish(&state->done, io, -ECANCELED);
	} else if (io->stage == PW_STAGE_WATCH) {
		pw_io_finish(&state->done, io, -ECANCELED);
	}
}

static bool
uring_pending(const struct pw_poller *poller)
{
	const struct uring_state *state = state_of(poller);

	return has_completions(state) || has_unsubmitted(state) || kernel_has_work(state);
}

static void
close_if_open(int fd)
{
	if (fd >= 0) {
		(void) close(fd);
	}
}

static bool
watch(int epoll_fd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static int
uring_lend(struct pw_poller *poller)
{
	struct uring_state *state = state_of(poller);
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	int result = epoll_fd >= 0 ? pw_bell_open(&state->signal_fd) : -errno;

	if (result == 0 && !(watch(epoll_fd, state->signal_fd) && watch(epoll_fd, poller->bell_fd))) {
		result = -errno;
	}
	if (result == 0) {
		result = io_uring_register_eventfd(&state->ring, state->signal_fd);
	}
	if (result == 0) {
		poller->fd = epoll_fd;
		return 0;
	}
	close_if_open(state->signal_fd);
	close_if_open(epoll_fd);
	state->signal_fd = -1;
	return result;
}

static void
uring_close(struct pw_poller *poller)
{
	struct uring_state *state = state_of(poller);

	assert(poller->in_flight == 0);
	if (state->signal_fd >= 0) {
		(void) close(state->signal_fd);
		(void) close(poller->fd);
	}
	io_uring_queue_exit(&state->ring);
	pw_memory_free(state, sizeof(*state));
	poller->state = NULL;
	poller->fd = -1;
}

static const struct pw_poller_ops uring_ops = {
	.name = "io_uring",
	.attach = uring_attach,
	.detach = uring_detach,
	.submit = uring_submit,
	.cancel = uring_cancel,
	.wait = uring_wait,
	.pending = uring_pending,
	.close = uring_close,
	.lend = uring_lend,
};

/* Opening. */

static bool
offers_needed_ops(struct io_uring *ring)
{
	union {
		struct io_uring_probe probe;
		char room[sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op)];
	} answer;

	memset(&answer, 0, sizeof(answer));
	if (io_uring_register_probe(ring, &answer.probe, 256) != 0) {
		return false;
	}
	for (size_t i = 0; i < sizeof(needed_ops); i++) {
		if (!io_uring_opcode_supported(&answer.probe, needed_ops[i])) {
			return false;
		}
	}
	return true;
}

/* Arms the bell at once: the descriptor must be readable for it before the first wait. */
static int
bring_up(struct pw_poller *poller, const struct io_uring_params *params)
{
	struct uring_state *state = state_of(poller);

	if ((params->features & needed_features) != needed_features || !offers_needed_ops(&state->ring)) {
		return -EOPNOTSUPP;
	}
	arm_bell(poller);
	int submitted = io_uring_submit(&state->ring);
	return submitted < 0 ? submitted : 0;
}

#define SETUP_TRIES 50u
#define SETUP_TRIES_FORCED 500u
#define SETUP_PAUSE_NS (10 * PW_NS_PER_MS)

/* Without CAP_IPC_LOCK a ring counts against RLIMIT_MEMLOCK, and the kernel gives a closed one back some time after the
 * close (seen on Linux 6.18: 8 MiB are used up by an engine that is started and stopped quickly). So ENOMEM is asked
 * again for half a second, or for five where there is nothing to fall back to; a limit that is too small for good is
 * still ENOMEM then. */
static int
setup(struct io_uring *ring, const struct io_uring_params *wanted, struct io_uring_params *params, unsigned tries_max)
{
	int result;

	for (unsigned tries = 0;; tries++) {
		*params = *wanted;
		result = io_uring_queue_init_params(SQ_ENTRIES, ring, params);
		if (result != -ENOMEM || tries == tries_max) {
			return result;
		}
		pw_clock_sleep_ns(SETUP_PAUSE_NS);
	}
}

int
pw_poller_open_uring_with(struct pw_poller *poller, int bell_fd, unsigned setup_flags, bool answers_eagain,
    bool forced)
{
	const struct io_uring_params wanted = { .flags = setup_flags | IORING_SETUP_CQSIZE,
		.cq_entries = CQ_ENTRIES };
	struct io_uring_params params;
	struct uring_state *state = pw_memory_alloc(0, sizeof(*state));

	if (state == NULL) {
		return -ENOMEM;
	}
	int result = setup(&state->ring, &wanted, &params, forced ? SETUP_TRIES_FORCED : SETUP_TRIES);
	if (result < 0) {
		pw_memory_free(state, sizeof(*state));
		return result;
	}
	*poller = (struct pw_poller){
		.ops = &uring_ops,
		.fd = state->ring.ring_fd,
		.bell_fd = bell_fd,
		.state = state,
	};
	state->answers_eagain = answers_eagain;
	state->watches = !answers_eagain && (setup_flags & IORING_SETUP_SINGLE_ISSUER) != 0;
	state->signal_fd = -1;
	result = bring_up(poller, &params);
	if (result < 0) {
		uring_close(poller);
		return result;
	}
	/* Saves a look-up per system call. Refused: it works without. */
	(void) io_uring_register_ring_fd(&state->ring);
	return 0;
}

int
pw_poller_open_uring(struct pw_poller *poller, int bell_fd, bool forced)
{
	static const unsigned flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		    IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		    IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
		0,
	};
	int result = -EINVAL;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && result == -EINVAL; i++) {
		result = pw_poller_open_uring_with(poller, bell_fd, flags[i], false, forced);
	}
	return result;
}

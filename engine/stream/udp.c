/* SPDX-License-Identifier: MIT
 *
 * udp.c: sockets for datagrams: sending to and receiving from anybody, multicast groups.
 *
 * What it is not: how operations reach the shard (end.c); connected sockets; a protocol with peers.
 *
 * In each direction the operations stand in a FIFO. The first one is tried at once, by the system call; only when the
 * kernel says that it cannot (EAGAIN) the poller is asked for readiness, and then they are tried again. So, unlike a
 * stream's, an operation's memory is never the kernel's between two calls, a cancelled one ends at once wherever it
 * stands, and one datagram is one operation's or nobody's.
 *
 * Invariants
 *   I1  While operations of a direction are pending and the socket is open, a readiness request of that direction is
 *       in flight: every one that completes is followed by tries until the kernel says EAGAIN, and then by the next.
 *   I2  When the last operation of a direction has gone, its readiness request is called off.
 *   I3  The descriptor is closed after the poller has given back both directions and has detached the file.
 *
 * Limits: one system call for each datagram; a receive that completes may be followed by as many others as are
 * pending.
 */
#include "engine/stream/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/misuse.h"
#include "engine/shard/fleet.h"
#include "engine/stream/sockaddr.h"

/* What an operation was submitted as. */
enum udp_tag {
	TAG_SEND = 0,
	TAG_RECV = 1,
};

static nng_udp *
udp_of(struct pw_end *end)
{
	return (nng_udp *) end;
}

/* ---- one system call; the shard */

struct outcome {
	nng_err error;
	size_t count;
};

struct buffers {
	struct sockaddr_storage address;
	struct iovec iov[PINWHEEL_IOV_MAX];
	struct msghdr msg;
};

static void
fill(struct buffers *buffers, const nng_aio *aio, socklen_t address_size)
{
	for (unsigned i = 0; i < aio->niov; i++) {
		buffers->iov[i] = (struct iovec){ aio->iov[i].iov_buf, aio->iov[i].iov_len };
	}
	buffers->msg = (struct msghdr){ .msg_name = &buffers->address,
		.msg_namelen = address_size,
		.msg_iov = buffers->iov,
		.msg_iovlen = aio->niov };
}

/* NNG_EAGAIN: the kernel has no room. */
static struct outcome
try_send(const nng_udp *udp, const nng_aio *aio)
{
	const nng_sockaddr *to = aio->input[0];
	struct buffers buffers;
	ssize_t sent;

	if (to == NULL || to->s_family != udp->family || nng_sockaddr_port(to) == 0) {
		return (struct outcome){ NNG_EADDRINVAL, 0 };
	}
	fill(&buffers, aio, pw_sockaddr_to_system(to, &buffers.address));
	do {
		sent = sendmsg(udp->file.fd, &buffers.msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? (struct outcome){ pw_error_from_errno(errno), 0 }
			: (struct outcome){ NNG_OK, (size_t) sent };
}

/* NNG_EAGAIN: there is none. */
static struct outcome
try_recv(const nng_udp *udp, const nng_aio *aio)
{
	nng_sockaddr *from = aio->input[0];
	struct buffers buffers;
	ssize_t got;

	fill(&buffers, aio, sizeof(buffers.address));
	do {
		got = recvmsg(udp->file.fd, &buffers.msg, MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		return (struct outcome){ pw_error_from_errno(errno), 0 };
	}
	if (from != NULL) {
		pw_sockaddr_from_system(from, &buffers.address, buffers.msg.msg_namelen);
	}
	bool whole = (buffers.msg.msg_flags & MSG_TRUNC) == 0;
	return whole ? (struct outcome){ NNG_OK, (size_t) got } : (struct outcome){ NNG_EMSGSIZE, 0 };
}

/* ---- operations */

static struct pw_op_queue *
queue_of(nng_udp *udp, const struct pw_io *io)
{
	return io == &udp->file.in ? &udp->in : &udp->out;
}

static void
end_first(struct pw_op_queue *queue, nng_err error, size_t count)
{
	nng_aio *aio = pw_op_first(queue);

	pw_op_remove(queue, aio);
	(void) pw_aio_finish(aio, error, count);
}

static void on_ready(struct pw_io *io, int result);

static nng_err
await_ready(nng_udp *udp, struct pw_io *io)
{
	if (!udp->file.attached) {
		int result = pw_poller_attach(&udp->end.shard->poller, &udp->file);
		if (result != 0) {
			return pw_error_from_errno(-result);
		}
	}
	io->file = &udp->file;
	io->on_done = on_ready;
	io->op = io == &udp->file.in ? PW_IO_POLL_IN : PW_IO_POLL_OUT;
	io->niov = 0;
	pw_poller_submit(&udp->end.shard->poller, io);
	return NNG_OK;
}

/* I1 */
static void
advance(nng_udp *udp, struct pw_io *io)
{
	struct pw_op_queue *queue = queue_of(udp, io);

	for (nng_aio *aio = pw_op_first(queue); aio != NULL && !io->in_flight; aio = pw_op_first(queue)) {
		struct outcome outcome = io == &udp->file.in ? try_recv(udp, aio) : try_send(udp, aio);
		if (outcome.error == NNG_EAGAIN) {
			outcome.error = await_ready(udp, io);
			if (outcome.error == NNG_OK) {
				return;
			}
		}
		end_first(queue, outcome.error, outcome.count);
	}
}

static void
on_ready(struct pw_io *io, int result)
{
	nng_udp *udp = PW_CONTAINER_OF(io->file, nng_udp, file);

	if (udp->closed) {
		pw_end_settle(&udp->end);
		return;
	}
	if (result < 0 && result != -ECANCELED && pw_op_first(queue_of(udp, io)) != NULL) {
		end_first(queue_of(udp, io), pw_error_from_errno(-result), 0);
	}
	advance(udp, io);
}

static void
on_take(struct pw_end *end, nng_aio *aio, unsigned tag)
{
	nng_udp *udp = udp_of(end);
	struct pw_io *io = tag == TAG_SEND ? &udp->file.out : &udp->file.in;

	if (!pw_end_refused(end, aio)) {
		pw_op_push(queue_of(udp, io), aio);
		advance(udp, io);
	}
}

static void
cancel_send(nng_aio *aio, void *arg, nng_err reason)
{
	(void) reason; /* it is in the word */
	pw_end_cancel(arg, aio);
}

static void
cancel_recv(nng_aio *aio, void *arg, nng_err reason)
{
	(void) reason;
	pw_end_cancel(arg, aio);
}

/* I2 */
static void
call_off(nng_udp *udp, struct pw_io *io)
{
	if (pw_op_first(queue_of(udp, io)) == NULL) {
		pw_poller_cancel(&udp->end.shard->poller, io);
	}
}

static void
on_cancel(struct pw_end *end, nng_aio *aio)
{
	nng_udp *udp = udp_of(end);
	struct pw_io *io = pw_aio_fn(aio) == cancel_send ? &udp->file.out : &udp->file.in;

	pw_op_remove(queue_of(udp, io), aio);
	pw_end_finish_canceled(aio);
	call_off(udp, io);
}

static void
scan(struct pw_end *end, const struct pw_op_queue *queue)
{
	nng_aio *next;

	for (nng_aio *aio = pw_op_first(queue); aio != NULL; aio = next) {
		next = pw_op_after(aio);
		if (pw_end_marked(aio)) {
			on_cancel(end, aio);
		}
	}
}

static void
on_scan(struct pw_end *end)
{
	scan(end, &udp_of(end)->in);
	scan(end, &udp_of(end)->out);
}

/* ---- the end */

static void
close_direction(nng_udp *udp, struct pw_io *io)
{
	while (pw_op_first(queue_of(udp, io)) != NULL) {
		end_first(queue_of(udp, io), NNG_ECLOSED, 0);
	}
	call_off(udp, io);
}

static void
on_close(struct pw_end *end)
{
	nng_udp *udp = udp_of(end);

	udp->closed = true;
	close_direction(udp, &udp->file.in);
	close_direction(udp, &udp->file.out);
}

static bool
on_settle(struct pw_end *end)
{
	nng_udp *udp = udp_of(end);

	if (!udp->closed || udp->file.in.in_flight || udp->file.out.in_flight) {
		return false;
	}
	if (udp->file.attached) {
		pw_poller_detach(&end->shard->poller, &udp->file); /* I3 */
	}
	return true;
}

static void
on_unhold(struct pw_end *end)
{
	nng_udp *udp = udp_of(end);

	if (udp->file.fd >= 0) {
		(void) close(udp->file.fd);
		udp->file.fd = -1;
	}
}

static void
on_birth(struct pw_end *end)
{
	udp_of(end)->file.fd = -1;
}

static bool
would_wait(struct pw_end *end, const struct pw_shard *shard)
{
	const nng_udp *udp = udp_of(end);

	return end->shard == shard &&
	    (udp->file.in.in_flight || udp->file.out.in_flight || pw_load_acquire_64(&end->submitted) != 0);
}

const struct pw_end_kind pw_udp_kind = {
	.name = "UDP socket",
	.number = PW_CLASS_UDP,
	.size = sizeof(nng_udp),
	.on_birth = on_birth,
	.on_take = on_take,
	.on_cancel = on_cancel,
	.on_scan = on_scan,
	.on_close = on_close,
	.on_settle = on_settle,
	.on_unhold = on_unhold,
	.would_wait = would_wait,
};

/* ---- opening; the caller */

/* The descriptor, or a negative errno value. */
static int
bind_datagram(const nng_sockaddr *sa)
{
	struct sockaddr_storage address;
	socklen_t size = pw_sockaddr_to_system(sa, &address);
	int fd = socket(address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && bind(fd, (const struct sockaddr *) &address, size) != 0) {
		int error = errno;
		(void) close(fd);
		return -error;
	}
	return fd >= 0 ? fd : -errno;
}

static pw_a32 udp_turn;

/* See the dialer's. The descriptor is the socket's on success only. */
static nng_err
alloc_visiting(nng_udp **udpp, int fd, enum nng_sockaddr_family family)
{
	struct pw_shard *shard = pw_end_near_shard(&udp_turn);
	struct pw_end *end = shard != NULL ? pw_end_alloc(shard, PW_CLASS_UDP) : NULL;

	if (end == NULL) {
		return shard != NULL ? NNG_ENOMEM : NNG_ESTOPPED;
	}
	nng_udp *udp = udp_of(end);
	pw_op_queue_init(&udp->in);
	pw_op_queue_init(&udp->out);
	udp->family = family;
	udp->closed = false;
	if (!pw_fleet_open()) {
		pw_end_discard(end);
		return NNG_ESTOPPED;
	}
	udp->file.fd = fd;
	pw_end_publish(end);
	*udpp = udp;
	return NNG_OK;
}

static nng_err
alloc(nng_udp **udpp, int fd, enum nng_sockaddr_family family)
{
	nng_err error = pw_engine_ensure();

	if (error != NNG_OK) {
		return error;
	}
	if (!pw_fleet_visit()) {
		return NNG_ESTOPPED;
	}
	error = alloc_visiting(udpp, fd, family);
	pw_fleet_leave();
	return error;
}

nng_err
nng_udp_open(nng_udp **udpp, nng_sockaddr *sa)
{
	nng_err error;

	if (udpp == NULL) {
		return NNG_EINVAL;
	}
	if (sa == NULL) {
		return NNG_EADDRINVAL;
	}
	if (sa->s_family != NNG_AF_INET && sa->s_family != NNG_AF_INET6) {
		return NNG_EADDRINVAL;
	}
	int fd = bind_datagram(sa);
	if (fd < 0) {
		return pw_error_from_errno(-fd);
	}
	do {
		error = alloc(udpp, fd, (enum nng_sockaddr_family) sa->s_family);
	} while (error == NNG_ESTOPPED && pw_shard_self() == NULL); /* outside: waits for the next engine */
	if (error != NNG_OK) {
		(void) close(fd);
	}
	return error;
}

/* ---- groups; the caller, with a hold on the descriptor */

static bool
is_multicast(const nng_sockaddr *sa)
{
	return sa->s_family == NNG_AF_INET ? IN_MULTICAST(ntohl(sa->s_in.sa_addr)) : sa->s_in6.sa_addr[0] == 0xff;
}

static int
change_v4(int fd, const nng_sockaddr *group, bool join)
{
	struct ip_mreq request = { .imr_multiaddr.s_addr = group->s_in.sa_addr };
	nng_sockaddr self;

	pw_sockaddr_of_socket(&self, fd);
	if (self.s_family == NNG_AF_INET && !is_multicast(&self)) {
		request.imr_interface.s_addr = self.s_in.sa_addr;
	}
	return setsockopt(fd, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request, sizeof(request));
}

static int
change_v6(int fd, const nng_sockaddr *group, bool join)
{
	struct ipv6_mreq request = { .ipv6mr_interface = group->s_in6.sa_scope };

	memcpy(&request.ipv6mr_multiaddr, group->s_in6.sa_addr, sizeof(group->s_in6.sa_addr));
	return setsockopt(fd, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &request, sizeof(request));
}

nng_err
nng_udp_multicast_membership(nng_udp *udp, nng_sockaddr *sa, bool join)
{
	if (!pw_end_usable((struct pw_end *) udp, __func__) || sa == NULL) {
		return NNG_EINVAL;
	}
	if (sa->s_family != udp->family || !is_multicast(sa)) {
		return NNG_EADDRINVAL;
	}
	if (!pw_end_hold(&udp->end)) {
		return NNG_ECLOSED;
	}
	int rv = sa->s_family == NNG_AF_INET ? change_v4(udp->file.fd, sa, join) : change_v6(udp->file.fd, sa, join);
	nng_err error = rv == 0 ? NNG_OK : pw_error_from_errno(errno);
	pw_end_unhold(&udp->end, 0, 0);
	return error;
}

/* ---- the other public functions */

nng_err
nng_udp_sockname(nng_udp *udp, nng_sockaddr *sa)
{
	if (!pw_end_usable((struct pw_end *) udp, __func__) || sa == NULL) {
		return NNG_EINVAL;
	}
	if (!pw_end_hold(&udp->end)) {
		return NNG_ECLOSED;
	}
	pw_sockaddr_of_socket(sa, udp->file.fd);
	pw_end_unhold(&udp->end, 0, 0);
	return NNG_OK;
}

static void
start(nng_udp *udp, nng_aio *aio, const char *function, enum udp_tag tag, nng_aio_cancelfn fn)
{
	if (!pw_end_operable((struct pw_end *) udp, aio, function)) {
		return;
	}
	if (pw_end_closed(&udp->end)) {
		pw_aio_fail(aio, NNG_ECLOSED);
	} else if (pw_end_start(&udp->end, aio, fn)) {
		pw_end_submit(&udp->end, aio, tag);
	}
}

void
nng_udp_send(nng_udp *udp, nng_aio *aio)
{
	start(udp, aio, __func__, TAG_SEND, cancel_send);
}

void
nng_udp_recv(nng_udp *udp, nng_aio *aio)
{
	start(udp, aio, __func__, TAG_RECV, cancel_recv);
}

void
nng_udp_stop(nng_udp *udp)
{
	if (udp != NULL && pw_end_usable(&udp->end, __func__)) {
		pw_end_stop(&udp->end, __func__);
	}
}

void
nng_udp_close(nng_udp *udp)
{
	if (udp != NULL && pw_end_usable(&udp->end, __func__)) {
		pw_end_free(&udp->end, __func__);
	}
}

/* SPDX-License-Identifier: MIT
 *
 * stream.c: byte streams: sending, receiving, and the end of a stream.
 *
 * What it is not: how operations reach the shard (end.c), how a stream comes to be (dialer.c, listener.c).
 *
 * A stream has one descriptor and two directions. In each the operations stand in a FIFO, and the first one alone is
 * given to the poller: so they complete in the order of submission on every back end. An operation that is cancelled
 * before its turn leaves the FIFO; the one that the poller has stays at its place until the poller gives it back,
 * because until then its memory is the kernel's. What the kernel says then counts: bytes that were moved are
 * reported, also when the cancel was first, since they are moved.
 *
 * The descriptor is given to the poller with the first operation, on the stream's own shard. So the shard that
 * accepts a connection makes the stream for another shard by filling in its record.
 *
 * Invariants
 *   I1  In the phase OPEN the first operation of a direction is the poller's, and no other is.
 *   I2  In the phase CLOSED nothing is submitted. The stream is quiet when both directions are idle.
 *   I3  The descriptor is closed after the poller has given back both directions and has detached the file, so its
 *       number is not used again while the kernel can touch it.
 *
 * What a result means: NNG_ECONNSHUT, the peer has ended the stream (0 bytes); NNG_ECLOSED, the peer takes no more
 * (EPIPE), or the stream was closed here; NNG_ECONNRESET, the connection is gone.
 */
#include "engine/stream/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/misuse.h"
#include "engine/stream/sockaddr.h"

_Static_assert(PINWHEEL_IOV_MAX <= PW_IO_IOV_MAX, "an aio's iov fits a poller operation");

static nng_stream *
stream_of(struct pw_end *end)
{
	return (nng_stream *) end;
}

/* ---- sockets */

int
pw_socket_open(int family)
{
	return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

void
pw_socket_apply(int fd, const struct pw_tcp_options *options)
{
	int on = 1;

	if (pw_load_relaxed_8(&options->no_delay) != 0) {
		(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
	if (pw_load_relaxed_8(&options->keep_alive) != 0) {
		(void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
}

void
pw_tcp_options_init(struct pw_tcp_options *options)
{
	pw_store_relaxed_8(&options->no_delay, 1);
	pw_store_relaxed_8(&options->keep_alive, 0);
}

/* ---- making one */

static void
on_birth(struct pw_end *end)
{
	stream_of(end)->file.fd = -1;
}

nng_stream *
pw_stream_alloc(struct pw_shard *shard)
{
	struct pw_end *end = pw_end_alloc(shard, PW_CLASS_STREAM);

	if (end == NULL) {
		return NULL;
	}
	nng_stream *stream = stream_of(end);
	pw_op_queue_init(&stream->in);
	pw_op_queue_init(&stream->out);
	stream->phase = PW_STREAM_DIALING;
	stream->dial = (struct pw_dial){ 0 };
	stream->peer.s_family = NNG_AF_UNSPEC;
	stream->self.s_family = NNG_AF_UNSPEC;
	return stream;
}

void
pw_stream_read_addresses(nng_stream *stream)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	pw_sockaddr_of_socket(&stream->self, stream->file.fd);
	/* Not when it was reset already. */
	if (getpeername(stream->file.fd, (struct sockaddr *) &address, &size) == 0) {
		pw_sockaddr_from_system(&stream->peer, &address, size);
	}
}

void
pw_stream_connected(nng_stream *stream, int fd, enum pw_url_kind kind, const struct pw_tcp_options *options)
{
	stream->file.fd = fd;
	stream->phase = PW_STREAM_OPEN;
	stream->kind = kind;
	if (kind == PW_URL_TCP) {
		pw_socket_apply(fd, options);
	}
	if (kind != PW_URL_SOCKET) {
		pw_stream_read_addresses(stream);
	}
	pw_end_publish(&stream->end);
}

nng_err
pw_stream_attach(nng_stream *stream)
{
	if (stream->file.attached) {
		return NNG_OK;
	}
	return pw_error_from_errno(-pw_poller_attach(&stream->end.shard->poller, &stream->file));
}

/* ---- operations */

static struct pw_op_queue *
queue_of(nng_stream *stream, const struct pw_io *io)
{
	return io == &stream->file.in ? &stream->in : &stream->out;
}

static void on_io_done(struct pw_io *io, int result);

static void
submit_first(nng_stream *stream, struct pw_io *io, const nng_aio *aio)
{
	io->file = &stream->file;
	io->on_done = on_io_done;
	io->op = io == &stream->file.in ? PW_IO_RECV : PW_IO_SEND;
	io->niov = (uint8_t) aio->niov;
	for (unsigned i = 0; i < aio->niov; i++) {
		io->iov[i] = (struct iovec){ aio->iov[i].iov_buf, aio->iov[i].iov_len };
	}
	pw_poller_submit(&stream->end.shard->poller, io);
}

/* I1: after the first operation of a direction has gone, or come. */
static void
advance(nng_stream *stream, struct pw_io *io)
{
	struct pw_op_queue *queue = queue_of(stream, io);

	for (nng_aio *aio = pw_op_first(queue); aio != NULL && !io->in_flight; aio = pw_op_first(queue)) {
		nng_err error = pw_stream_attach(stream);
		if (error == NNG_OK) {
			submit_first(stream, io, aio);
		} else {
			pw_op_remove(queue, aio);
			(void) pw_aio_finish(aio, error, 0);
		}
	}
}

/* What the kernel said of an operation that moved nothing. */
static nng_err
error_of(const nng_stream *stream, const struct pw_io *io, int result)
{
	if (result == -ECANCELED && stream->phase == PW_STREAM_CLOSED) {
		return NNG_ECLOSED;
	}
	if (result == 0) {
		return io == &stream->file.in ? NNG_ECONNSHUT : NNG_ECLOSED;
	}
	return pw_error_from_errno(-result);
}

static void
on_io_done(struct pw_io *io, int result)
{
	nng_stream *stream = PW_CONTAINER_OF(io->file, nng_stream, file);
	struct pw_op_queue *queue = queue_of(stream, io);
	nng_aio *aio = pw_op_first(queue);

	pw_op_remove(queue, aio);
	if (result > 0) {
		(void) pw_aio_finish(aio, NNG_OK, (size_t) result);
	} else if (result == -ECANCELED && pw_end_marked(aio)) {
		pw_end_finish_canceled(aio);
	} else {
		(void) pw_aio_finish(aio, error_of(stream, io, result), 0);
	}
	if (stream->phase == PW_STREAM_OPEN) {
		advance(stream, io);
	} else {
		pw_end_settle(&stream->end);
	}
}

static void
on_take(struct pw_end *end, nng_aio *aio, unsigned tag)
{
	nng_stream *stream = stream_of(end);

	if (tag == PW_TAG_DIAL) {
		pw_dial_begin(stream, aio);
		return;
	}
	if (pw_end_refused(end, aio)) {
		return;
	}
	struct pw_io *io = tag == PW_TAG_SEND ? &stream->file.out : &stream->file.in;
	pw_op_push(queue_of(stream, io), aio);
	advance(stream, io);
}

/* The poller's gives itself back, with on_io_done; any other ends now. */
static void
cancel_linked(nng_stream *stream, struct pw_io *io, nng_aio *aio)
{
	struct pw_op_queue *queue = queue_of(stream, io);

	if (aio == pw_op_first(queue)) {
		pw_poller_cancel(&stream->end.shard->poller, io);
	} else {
		pw_op_remove(queue, aio);
		pw_end_finish_canceled(aio);
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

static void
on_cancel(struct pw_end *end, nng_aio *aio)
{
	nng_stream *stream = stream_of(end);

	if (aio == stream->dial.aio) {
		pw_dial_fail(stream, pw_word_reason(pw_load_acquire_64(&aio->word)));
	} else {
		cancel_linked(stream, pw_aio_fn(aio) == cancel_send ? &stream->file.out : &stream->file.in, aio);
	}
}

static void
scan(nng_stream *stream, struct pw_io *io)
{
	nng_aio *next;

	for (nng_aio *aio = pw_op_first(queue_of(stream, io)); aio != NULL; aio = next) {
		next = pw_op_after(aio);
		if (pw_end_marked(aio)) {
			cancel_linked(stream, io, aio);
		}
	}
}

static void
on_scan(struct pw_end *end)
{
	nng_stream *stream = stream_of(end);

	scan(stream, &stream->file.in);
	scan(stream, &stream->file.out);
	if (stream->dial.aio != NULL && pw_end_marked(stream->dial.aio)) {
		on_cancel(end, stream->dial.aio);
	}
}

/* ---- the end of a stream */

static void
close_direction(nng_stream *stream, struct pw_io *io)
{
	struct pw_op_queue *queue = queue_of(stream, io);
	nng_aio *first = io->in_flight ? pw_op_first(queue) : NULL;
	nng_aio *next;

	for (nng_aio *aio = pw_op_first(queue); aio != NULL; aio = next) {
		next = pw_op_after(aio);
		if (aio != first) {
			pw_op_remove(queue, aio);
			(void) pw_aio_finish(aio, NNG_ECLOSED, 0);
		}
	}
	if (io->in_flight) {
		pw_poller_cancel(&stream->end.shard->poller, io);
	}
}

static void
on_close(struct pw_end *end)
{
	nng_stream *stream = stream_of(end);

	if (stream->phase == PW_STREAM_CLOSED) {
		return;
	}
	stream->phase = PW_STREAM_CLOSED;
	pw_dial_end(stream);
	close_direction(stream, &stream->file.in);
	close_direction(stream, &stream->file.out);
}

static bool
on_settle(struct pw_end *end)
{
	nng_stream *stream = stream_of(end);

	if (stream->phase != PW_STREAM_CLOSED || stream->file.in.in_flight || stream->file.out.in_flight) {
		return false;
	}
	if (stream->file.attached) {
		pw_poller_detach(&end->shard->poller, &stream->file); /* I3 */
	}
	pw_dial_settled(stream);
	return true;
}

static void
on_unhold(struct pw_end *end)
{
	nng_stream *stream = stream_of(end);

	if (stream->file.fd >= 0) {
		(void) close(stream->file.fd);
		stream->file.fd = -1;
	}
}

static bool
would_wait(struct pw_end *end, const struct pw_shard *shard)
{
	const nng_stream *stream = stream_of(end);

	return end->shard == shard &&
	    (stream->in.first != PW_SLOT_NONE || stream->out.first != PW_SLOT_NONE || stream->file.in.in_flight ||
		stream->file.out.in_flight || pw_load_acquire_64(&end->submitted) != 0);
}

const struct pw_end_kind pw_stream_kind = {
	.name = "stream",
	.number = PW_CLASS_STREAM,
	.size = sizeof(nng_stream),
	.on_birth = on_birth,
	.on_take = on_take,
	.on_cancel = on_cancel,
	.on_scan = on_scan,
	.on_close = on_close,
	.on_settle = on_settle,
	.on_unhold = on_unhold,
	.would_wait = would_wait,
};

/* ---- the public functions */

static bool
iov_is_empty(const nng_aio *aio)
{
	for (unsigned i = 0; i < aio->niov; i++) {
		if (aio->iov[i].iov_len != 0) {
			return false;
		}
	}
	return true;
}

static void
start(nng_stream *stream, nng_aio *aio, const char *function, enum pw_stream_tag tag, nng_aio_cancelfn fn)
{
	if (!pw_end_operable((struct pw_end *) stream, aio, function)) {
		return;
	}
	if (iov_is_empty(aio)) {
		pw_aio_fail(aio, NNG_EINVAL);
	} else if (pw_end_closed(&stream->end)) {
		pw_aio_fail(aio, NNG_ECLOSED);
	} else if (pw_end_start(&stream->end, aio, fn)) {
		pw_end_submit(&stream->end, aio, tag);
	}
}

void
nng_stream_send(nng_stream *stream, nng_aio *aio)
{
	start(stream, aio, "nng_stream_send", PW_TAG_SEND, cancel_send);
}

void
nng_stream_recv(nng_stream *stream, nng_aio *aio)
{
	start(stream, aio, "nng_stream_recv", PW_TAG_RECV, cancel_recv);
}

void
nng_stream_close(nng_stream *stream)
{
	if (stream != NULL && pw_end_usable(&stream->end, "nng_stream_close")) {
		pw_end_close(&stream->end);
	}
}

void
nng_stream_stop(nng_stream *stream)
{
	if (stream != NULL && pw_end_usable(&stream->end, "nng_stream_stop")) {
		pw_end_stop(&stream->end, "nng_stream_stop");
	}
}

void
nng_stream_free(nng_stream *stream)
{
	if (stream != NULL && pw_end_usable(&stream->end, "nng_stream_free")) {
		pw_end_free(&stream->end, "nng_stream_free");
	}
}

const nng_sockaddr *
nng_stream_peer_addr(nng_stream *stream)
{
	return pw_end_usable((struct pw_end *) stream, "nng_stream_peer_addr") ? &stream->peer : NULL;
}

const nng_sockaddr *
nng_stream_self_addr(nng_stream *stream)
{
	return pw_end_usable((struct pw_end *) stream, "nng_stream_self_addr") ? &stream->self : NULL;
}

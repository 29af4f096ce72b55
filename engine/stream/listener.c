/* SPDX-License-Identifier: MIT
 *
 * listener.c: listeners: binding in the caller, accepting on the listener's shard, streams for all shards.
 *
 * listen() binds in the calling thread, because its result is an answer and not a completion. A name in the URL is
 * therefore looked up there, too, and may block; addresses and paths do not.
 *
 * An accept takes a connection from the kernel's backlog only while one is pending here. Its stream is made for the
 * next shard in turn: the record is taken from that shard's pool before the accept is given to the poller, so that no
 * connection is lost for want of memory, filled in here, and given to the consumer. Its own shard sees it with the
 * first operation.
 *
 * When descriptors are exhausted (EMFILE and the like) the accept stays pending and is tried again after PAUSE_MS,
 * by a sleep that exists only while an accept is pending. The connection stays in the backlog meanwhile. A connection
 * that arrives when its accept has just been cancelled is kept for the next one.
 *
 * A Unix-domain path: what a process that died left behind is a socket file that refuses connections; it is removed
 * and bound anew, as a service that restarts needs. Any other file, and a socket that answers, is NNG_EADDRINUSE.
 * The file is removed when the listener closes, if it still is the one that was made.
 *
 * Invariants
 *   I1  An accept is in the poller only if BOUND is set, and not while pausing, nor with a connection kept.
 *   I2  If accepts are pending, the listener is open, one is in the poller, or it is pausing.
 */
#include "engine/stream/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/misuse.h"
#include "engine/shard/fleet.h"
#include "engine/stream/sockaddr.h"

#define PAUSE_MS 10
#define BACKLOG SOMAXCONN

static nng_stream_listener *
listener_of(struct pw_end *end)
{
	return (nng_stream_listener *) end;
}

/* ---- accepting; the shard */

static void on_accepted(struct pw_io *io, int result);

static void
fail_first(nng_stream_listener *listener, nng_err error)
{
	nng_aio *aio = pw_op_first(&listener->accepts);

	pw_op_remove(&listener->accepts, aio);
	(void) pw_aio_finish(aio, error, 0);
}

static void
serve_first(nng_stream_listener *listener, int fd)
{
	nng_aio *aio = pw_op_first(&listener->accepts);
	nng_stream *stream = listener->spare;

	listener->spare = NULL;
	pw_op_remove(&listener->accepts, aio);
	pw_stream_connected(stream, fd, listener->url.kind == PW_URL_TCP ? &listener->options : NULL);
	pw_aio_set_output(aio, 0, stream);
	(void) pw_aio_finish(aio, NNG_OK, 0);
}

/* What the next accept needs. */
static nng_err
prepare(nng_stream_listener *listener)
{
	if (listener->spare == NULL) {
		listener->spare = pw_stream_alloc(pw_end_next_shard(&listener->turn));
	}
	if (listener->spare == NULL) {
		return NNG_ENOMEM;
	}
	if (!listener->file.attached) {
		return pw_error_from_errno(-pw_poller_attach(&listener->end.shard->poller, &listener->file));
	}
	return NNG_OK;
}

static void
submit_accept(nng_stream_listener *listener)
{
	struct pw_io *io = &listener->file.in;

	io->file = &listener->file;
	io->on_done = on_accepted;
	io->op = PW_IO_ACCEPT;
	io->niov = 0;
	pw_poller_submit(&listener->end.shard->poller, io);
}

/* I2 */
static void
advance(nng_stream_listener *listener)
{
	while (pw_op_first(&listener->accepts) != NULL && !listener->file.in.in_flight && !listener->pausing) {
		nng_err error = prepare(listener);
		if (error != NNG_OK) {
			fail_first(listener, error);
		} else if (listener->kept_fd >= 0) {
			int fd = listener->kept_fd;
			listener->kept_fd = -1;
			serve_first(listener, fd);
		} else {
			submit_accept(listener);
		}
	}
}

/* Nobody accepts any more: what waits for a connection is called off. */
static void
call_off(nng_stream_listener *listener)
{
	if (pw_op_first(&listener->accepts) != NULL) {
		return;
	}
	pw_poller_cancel(&listener->end.shard->poller, &listener->file.in);
	if (listener->pausing) {
		nng_aio_cancel(listener->pause);
	}
}

static void
on_paused(void *arg)
{
	nng_stream_listener *listener = arg;

	listener->pausing = false;
	if (listener->closed) {
		pw_end_settle(&listener->end);
	} else if (nng_aio_result(listener->pause) !=
	    NNG_ESTOPPED) { /* else the engine stops, and so do the accepts */
		advance(listener);
	}
}

static void
pause_accepts(nng_stream_listener *listener)
{
	listener->pausing = true;
	nng_sleep_aio(PAUSE_MS, listener->pause);
}

static void
on_connection(nng_stream_listener *listener, int fd)
{
	if (listener->closed) {
		(void) close(fd);
	} else if (pw_op_first(&listener->accepts) != NULL) {
		serve_first(listener, fd);
	} else {
		listener->kept_fd = fd;
	}
}

/* The kernel's answer to an accept that brought no connection. accept(2): what went wrong with a connection before it
 * was accepted is reported here, and concerns no later one. */
static void
on_accept_error(nng_stream_listener *listener, int error)
{
	switch (error) {
	case ECANCELED: /* nobody waited; if somebody does again, advance sees it */
	case EINTR:
	case EAGAIN:
	case ECONNABORTED:
	case ENETDOWN:
	case EPROTO:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
	case EPERM: /* a firewall's */
		break;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		if (!listener->closed && pw_op_first(&listener->accepts) != NULL) {
			pause_accepts(listener);
		}
		break;
	default:
		if (pw_op_first(&listener->accepts) != NULL) {
			fail_first(listener, pw_error_from_errno(error));
		}
		break;
	}
}

static void
on_accepted(struct pw_io *io, int result)
{
	nng_stream_listener *listener = PW_CONTAINER_OF(io->file, nng_stream_listener, file);

	if (result >= 0) {
		on_connection(listener, result);
	} else {
		on_accept_error(listener, -result);
	}
	if (listener->closed) {
		pw_end_settle(&listener->end);
	} else {
		advance(listener);
	}
}

static void
on_take(struct pw_end *end, nng_aio *aio, unsigned tag)
{
	nng_stream_listener *listener = listener_of(end);

	(void) tag; /* there is one operation */
	if (!pw_end_refused(end, aio)) {
		pw_op_push(&listener->accepts, aio);
		advance(listener);
	}
}

static void
on_cancel(struct pw_end *end, nng_aio *aio)
{
	nng_stream_listener *listener = listener_of(end);

	pw_op_remove(&listener->accepts,
	    aio); /* the kernel's accept is anybody's: it needs none of this one's memory */
	pw_end_finish_canceled(aio);
	call_off(listener);
}

static void
on_scan(struct pw_end *end)
{
	nng_aio *next;

	for (nng_aio *aio = pw_op_first(&listener_of(end)->accepts); aio != NULL; aio = next) {
		next = pw_op_after(aio);
		if (pw_end_marked(aio)) {
			on_cancel(end, aio);
		}
	}
}

/* ---- the end */

static void
on_close(struct pw_end *end)
{
	nng_stream_listener *listener = listener_of(end);

	listener->closed = true;
	while (pw_op_first(&listener->accepts) != NULL) {
		fail_first(listener, NNG_ECLOSED);
	}
	call_off(listener);
}

static bool
on_settle(struct pw_end *end)
{
	nng_stream_listener *listener = listener_of(end);

	if (!listener->closed || listener->file.in.in_flight || listener->pausing) {
		return false;
	}
	if (listener->file.attached) {
		pw_poller_detach(&end->shard->poller, &listener->file);
	}
	if (listener->kept_fd >= 0) {
		(void) close(listener->kept_fd);
		listener->kept_fd = -1;
	}
	if (listener->spare != NULL) {
		pw_end_discard(&listener->spare->end);
		listener->spare = NULL;
	}
	nng_aio_free(listener->pause); /* idle, or this is its callback */
	listener->pause = NULL;
	return true;
}

/* Removes the socket file that listen made, unless it is another one by now. */
static void
remove_path(nng_stream_listener *listener)
{
	const char *path = listener->url.address.s_ipc.sa_path;
	struct stat st;

	if (listener->path_inode != 0 && lstat(path, &st) == 0 && st.st_dev == listener->path_device &&
	    st.st_ino == listener->path_inode) {
		(void) unlink(path);
	}
	listener->path_inode = 0;
}

static void
on_unhold(struct pw_end *end)
{
	nng_stream_listener *listener = listener_of(end);

	if (listener->file.fd >= 0) {
		remove_path(listener); /* first: who finds it must not find it dead */
		(void) close(listener->file.fd);
		listener->file.fd = -1;
	}
}

static void
on_birth(struct pw_end *end)
{
	listener_of(end)->file.fd = -1;
}

static bool
would_wait(struct pw_end *end, const struct pw_shard *shard)
{
	const nng_stream_listener *listener = listener_of(end);

	return end->shard == shard &&
	    (listener->file.in.in_flight || listener->pausing || pw_load_acquire_64(&end->submitted) != 0);
}

const struct pw_end_kind pw_listener_kind = {
	.name = "listener",
	.number = PW_CLASS_LISTENER,
	.size = sizeof(nng_stream_listener),
	.on_birth = on_birth,
	.on_take = on_take,
	.on_cancel = on_cancel,
	.on_scan = on_scan,
	.on_close = on_close,
	.on_settle = on_settle,
	.on_unhold = on_unhold,
	.would_wait = would_wait,
};

/* ---- binding; the caller of listen, which holds the descriptor (end.c, I4) */

/* Listens on the address. The descriptor, or a negative errno value. */
static int
bind_to(const struct sockaddr_storage *address, socklen_t size, bool dual_stack)
{
	int fd = pw_socket_open(address->ss_family);
	int on = 1, v6_only = dual_stack ? 0 : 1;

	if (fd < 0) {
		return -errno;
	}
	if ((address->ss_family != AF_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) ||
	    (address->ss_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only)) != 0) ||
	    bind(fd, (const struct sockaddr *) address, size) != 0 || listen(fd, BACKLOG) != 0) {
		int error = errno;
		(void) close(fd);
		return -error;
	}
	return fd;
}

/* Every local address: IPv6 and IPv4 on one socket, or IPv4 alone where there is no IPv6. */
static int
bind_any(uint16_t port)
{
	const nng_sockaddr any6 = { .s_in6 = { .sa_family = NNG_AF_INET6, .sa_port = htons(port) } };
	const nng_sockaddr any4 = { .s_in = { .sa_family = NNG_AF_INET, .sa_port = htons(port) } };
	struct sockaddr_storage address;
	socklen_t size = pw_sockaddr_to_system(&any6, &address);
	int fd = bind_to(&address, size, true);

	if (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL || fd == -EINVAL || fd == -ENOPROTOOPT) {
		size = pw_sockaddr_to_system(&any4, &address);
		fd = bind_to(&address, size, false);
	}
	return fd;
}

static nng_err
error_of_lookup(int code)
{
	switch (code) {
	case EAI_MEMORY:
		return NNG_ENOMEM;
	case EAI_SYSTEM:
		return pw_error_from_errno(errno);
	default:
		return NNG_EADDRINVAL;
	}
}

/* Blocks. The first of the name's addresses that can be bound. */
static nng_err
bind_name(const struct pw_url *url, int *fd)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV };
	struct addrinfo *found;
	char port[8];

	(void) snprintf(port, sizeof(port), "%u", (unsigned) url->port);
	int code = getaddrinfo(url->host, port, &hints, &found);
	if (code != 0) {
		return error_of_lookup(code);
	}
	*fd = -EADDRNOTAVAIL;
	for (const struct addrinfo *at = found; at != NULL && *fd < 0; at = at->ai_next) {
		struct sockaddr_storage address = { 0 };
		memcpy(&address, at->ai_addr, at->ai_addrlen);
		*fd = bind_to(&address, at->ai_addrlen, false);
	}
	freeaddrinfo(found);
	return *fd < 0 ? pw_error_from_errno(-*fd) : NNG_OK;
}

/* A socket file to which nobody listens any more. */
static bool
is_stale(const char *path, const struct sockaddr_storage *address, socklen_t size)
{
	struct stat st;

	if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
		return false;
	}
	int fd = pw_socket_open(AF_UNIX);
	if (fd < 0) {
		return false;
	}
	bool refused = connect(fd, (const struct sockaddr *) address, size) != 0 && errno == ECONNREFUSED;
	(void) close(fd);
	return refused;
}

static int
bind_path(nng_stream_listener *listener)
{
	const char *path = listener->url.address.s_ipc.sa_path;
	struct sockaddr_storage address;
	socklen_t size = pw_sockaddr_to_system(&listener->url.address, &address);
	struct stat st;
	int fd = bind_to(&address, size, false);

	if (fd == -EADDRINUSE && is_stale(path, &address, size) && unlink(path) == 0) {
		fd = bind_to(&address, size, false);
	}
	if (fd >= 0 && lstat(path, &st) == 0) {
		listener->path_device = st.st_dev;
		listener->path_inode = st.st_ino;
	}
	return fd;
}

static nng_err
bind_url(nng_stream_listener *listener, int *fd)
{
	const struct pw_url *url = &listener->url;
	struct sockaddr_storage address;

	if (url->kind == PW_URL_PATH) {
		*fd = bind_path(listener);
	} else if (url->numeric) {
		socklen_t size = pw_sockaddr_to_system(&url->address, &address);
		*fd = bind_to(&address, size, false);
	} else if (url->host[0] == '\0') {
		*fd = bind_any(url->port);
	} else {
		return bind_name(url, fd);
	}
	return *fd < 0 ? pw_error_from_errno(-*fd) : NNG_OK;
}

static void
read_bound(nng_stream_listener *listener)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	if (getsockname(listener->file.fd, (struct sockaddr *) &address, &size) == 0) {
		pw_sockaddr_from_system(&listener->bound, &address, size);
	}
}

/* ---- the public functions */

static pw_a32 listener_turn;

static nng_err
alloc(nng_stream_listener **listenerp, const struct pw_url *url)
{
	nng_err error = pw_engine_ensure();

	if (error != NNG_OK) {
		return error;
	}
	struct pw_shard *shard = pw_end_near_shard(&listener_turn);
	struct pw_end *end = shard != NULL ? pw_end_alloc(shard, PW_CLASS_LISTENER) : NULL;
	if (end == NULL) {
		return shard != NULL ? NNG_ENOMEM : NNG_ESTOPPED;
	}
	nng_stream_listener *listener = listener_of(end);
	error = pw_aio_alloc_internal(&listener->pause, shard, on_paused, listener);
	if (error != NNG_OK) {
		pw_end_discard(end);
		return error;
	}
	listener->url = *url;
	pw_tcp_options_init(&listener->options);
	pw_op_queue_init(&listener->accepts);
	pw_store_relaxed_32(&listener->turn, shard->settings.id); /* listeners begin at different shards */
	listener->spare = NULL;
	listener->kept_fd = -1;
	listener->closed = false;
	listener->pausing = false;
	listener->path_inode = 0;
	pw_end_publish(end);
	if (!pw_fleet_open()) { /* see the dialer's alloc */
		pw_end_wish(end, PW_END_CLOSE | PW_END_RELEASE);
		return NNG_ESTOPPED;
	}
	*listenerp = listener;
	return NNG_OK;
}

nng_err
nng_stream_listener_alloc(nng_stream_listener **listenerp, const char *text)
{
	struct pw_url url;
	nng_err error = listenerp != NULL ? pw_url_parse(&url, text) : NNG_EINVAL;

	if (error != NNG_OK) {
		return error;
	}
	do {
		error = alloc(listenerp, &url);
	} while (error == NNG_ESTOPPED && pw_shard_self() == NULL); /* outside: waits for the next engine */
	return error;
}

nng_err
nng_stream_listener_listen(nng_stream_listener *listener)
{
	if (!pw_end_usable((struct pw_end *) listener, "nng_stream_listener_listen")) {
		return NNG_EINVAL;
	}
	struct pw_end *end = &listener->end;
	if (!pw_end_hold(end)) {
		return NNG_ECLOSED;
	}
	if ((pw_fetch_or_acq_rel_64(&end->word, PW_END_BINDING) & PW_END_BINDING) != 0) {
		pw_end_unhold(end, 0, 0);
		return NNG_ESTATE;
	}
	int fd = -1;
	nng_err error = bind_url(listener, &fd);
	if (error != NNG_OK) {
		pw_end_unhold(end, 0, PW_END_BINDING); /* it may be tried again */
		return error;
	}
	listener->file.fd = fd;
	read_bound(listener);
	pw_end_unhold(end, PW_END_BOUND, 0); /* P14: an accept that sees BOUND sees the descriptor */
	return NNG_OK;
}

static void
cancel_accept(nng_aio *aio, void *arg, nng_err reason)
{
	(void) reason; /* it is in the word */
	pw_end_cancel(arg, aio);
}

void
nng_stream_listener_accept(nng_stream_listener *listener, nng_aio *aio)
{
	if (!pw_end_operable((struct pw_end *) listener, aio, "nng_stream_listener_accept")) {
		return;
	}
	uint64_t word = pw_load_acquire_64(&listener->end.word); /* P14 */
	if ((word & PW_END_CLOSE) != 0) {
		pw_aio_fail(aio, NNG_ECLOSED);
	} else if ((word & PW_END_BOUND) == 0) {
		pw_aio_fail(aio, NNG_ESTATE);
	} else if (pw_end_start(&listener->end, aio, cancel_accept)) {
		pw_end_submit(&listener->end, aio, 0);
	}
}

void
nng_stream_listener_close(nng_stream_listener *listener)
{
	if (listener != NULL && pw_end_usable(&listener->end, "nng_stream_listener_close")) {
		pw_end_close(&listener->end);
	}
}

void
nng_stream_listener_stop(nng_stream_listener *listener)
{
	if (listener != NULL && pw_end_usable(&listener->end, "nng_stream_listener_stop")) {
		pw_end_stop(&listener->end, "nng_stream_listener_stop");
	}
}

void
nng_stream_listener_free(nng_stream_listener *listener)
{
	if (listener != NULL && pw_end_usable(&listener->end, "nng_stream_listener_free")) {
		pw_end_free(&listener->end, "nng_stream_listener_free");
	}
}

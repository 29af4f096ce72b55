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
 * A listener of socket:// has no descriptor: its connections are those that it was offered, at most PW_OFFERED_MAX at
 * a time, kept under a lock that is held for three short system calls at most. A socket that listens already may be
 * adopted in place of listen (socket activation): its file, if it has one, is its maker's.
 *
 * A Unix-domain path: what a process that died left behind is a socket file that refuses connections; it is removed
 * and bound anew, as a service that restarts needs. Any other file, and a socket that answers, is NNG_EADDRINUSE.
 * The file is removed when the listener closes, if it still is the one that was made. It has its mode before it
 * listens, so nobody connects that the mode forbids.
 *
 * Invariants
 *   I1  An accept is in the poller only if BOUND is set, and not while pausing, nor with a connection kept.
 *   I2  If accepts are pending, the listener is open, one is in the poller, or it is pausing; with socket:// none is
 *       offered.
 *   I3  A descriptor is offered under the lock and only without CLOSE, and taken back under it after CLOSE: each has
 *       one owner.
 */
#include "engine/stream/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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
	pw_stream_connected(stream, fd, listener->place.kind, &listener->options);
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
	if (!listener->file.attached && listener->place.kind != PW_URL_SOCKET) {
		return pw_error_from_errno(-pw_poller_attach(&listener->end.shard->poller, &listener->file));
	}
	return NNG_OK;
}

/* The oldest descriptor that was offered; -1: none. */
static int
take_offered(nng_stream_listener *listener)
{
	int fd = -1;

	pw_lock_acquire(&listener->lock);
	if (listener->offered_count != 0) {
		fd = listener->offered[0];
		listener->offered_count--;
		memmove(&listener->offered[0], &listener->offered[1], listener->offered_count * sizeof(int));
	}
	pw_lock_release(&listener->lock);
	return fd;
}

/* A connection that is here already; -1: none. */
static int
take_waiting(nng_stream_listener *listener)
{
	int fd = listener->kept_fd;

	listener->kept_fd = -1;
	return listener->place.kind == PW_URL_SOCKET ? take_offered(listener) : fd;
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
			continue;
		}
		int fd = take_waiting(listener);
		if (fd >= 0) {
			serve_first(listener, fd);
		} else if (listener->place.kind != PW_URL_SOCKET) {
			submit_accept(listener);
		} else {
			return; /* until one is offered */
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
	nng_stream_listener *listener = listener_of(end);
	nng_aio *next;

	for (nng_aio *aio = pw_op_first(&listener->accepts); aio != NULL; aio = next) {
		next = pw_op_after(aio);
		if (pw_end_marked(aio)) {
			on_cancel(end, aio);
		}
	}
	if (!listener->closed) {
		advance(listener); /* a descriptor may have been offered */
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
	for (int fd = take_waiting(listener); fd >= 0; fd = take_waiting(listener)) {
		(void) close(fd);
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
	const char *path = listener->place.address.s_ipc.sa_path;
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
	listener_of(end)->lock = (struct pw_lock) PW_LOCK_INITIALIZER;
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

/* The descriptor, or a negative errno value; so do all below. */
static int
listen_on(int fd)
{
	if (fd < 0 || listen(fd, BACKLOG) == 0) {
		return fd;
	}
	int error = errno;
	(void) close(fd);
	return -error;
}

static int
bind_socket(const struct sockaddr_storage *address, socklen_t size, bool dual_stack)
{
	int fd = pw_socket_open(address->ss_family);
	int on = 1, v6_only = dual_stack ? 0 : 1;

	if (fd < 0) {
		return -errno;
	}
	if ((address->ss_family != AF_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) ||
	    (address->ss_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only)) != 0) ||
	    bind(fd, (const struct sockaddr *) address, size) != 0) {
		int error = errno;
		(void) close(fd);
		return -error;
	}
	return fd;
}

static int
bind_to(const struct sockaddr_storage *address, socklen_t size, bool dual_stack)
{
	return listen_on(bind_socket(address, size, dual_stack));
}

/* Every local address, of one family, or of both: IPv6 and IPv4 on one socket, or IPv4 alone where there is no IPv6.
 * */
static int
bind_any(uint16_t port, enum nng_sockaddr_family family)
{
	const nng_sockaddr any6 = { .s_in6 = { .sa_family = NNG_AF_INET6, .sa_port = htons(port) } };
	const nng_sockaddr any4 = { .s_in = { .sa_family = NNG_AF_INET, .sa_port = htons(port) } };
	struct sockaddr_storage address;
	socklen_t size = pw_sockaddr_to_system(&any6, &address);
	int fd = -EAFNOSUPPORT;

	if (family != NNG_AF_INET) {
		fd = bind_to(&address, size, family == NNG_AF_UNSPEC);
	}
	bool no_ipv6 = fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL || fd == -EINVAL || fd == -ENOPROTOOPT;
	if (no_ipv6 && family != NNG_AF_INET6) {
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
bind_name(const struct pw_place *place, int *fd)
{
	const struct addrinfo hints = { .ai_family = pw_sockaddr_system_family(place->family),
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV };
	struct addrinfo *found;
	char port[8];

	(void) snprintf(port, sizeof(port), "%u", (unsigned) place->port);
	int code = getaddrinfo(place->host, port, &hints, &found);
	const char *loopback = pw_sockaddr_loopback(place->host, hints.ai_family);
	if (code != 0 && code != EAI_MEMORY && loopback != NULL) {
		code = getaddrinfo(loopback, port, &hints, &found);
	}
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

/* The file is there, and nobody can connect yet. */
static int
finish_path(nng_stream_listener *listener, int fd)
{
	const char *path = listener->place.address.s_ipc.sa_path;
	uint32_t mode = pw_load_relaxed_32(&listener->permissions); /* relaxed: a set beside this one has lost */
	struct stat st;

	if (lstat(path, &st) == 0) {
		listener->path_device = st.st_dev;
		listener->path_inode = st.st_ino;
	}
	if (mode != 0 && chmod(path, mode & ~(uint32_t) S_IFMT) != 0) {
		int error = errno;
		(void) close(fd);
		fd = -error;
	}
	fd = listen_on(fd);
	if (fd < 0) {
		remove_path(listener);
	}
	return fd;
}

static int
bind_path(nng_stream_listener *listener)
{
	const char *path = listener->place.address.s_ipc.sa_path;
	struct sockaddr_storage address;
	socklen_t size = pw_sockaddr_to_system(&listener->place.address, &address);
	int fd = bind_socket(&address, size, false);

	if (fd == -EADDRINUSE && is_stale(path, &address, size) && unlink(path) == 0) {
		fd = bind_socket(&address, size, false);
	}
	return fd >= 0 ? finish_path(listener, fd) : fd;
}

static nng_err
bind_place(nng_stream_listener *listener, int *fd)
{
	const struct pw_place *place = &listener->place;
	struct sockaddr_storage address;

	if (place->kind == PW_URL_SOCKET) {
		return NNG_OK;
	}
	if (place->kind == PW_URL_PATH) {
		*fd = bind_path(listener);
	} else if (place->kind == PW_URL_ABSTRACT || place->numeric) {
		socklen_t size = pw_sockaddr_to_system(&place->address, &address);
		*fd = bind_to(&address, size, false);
	} else if (place->host[0] == '\0') {
		*fd = bind_any(place->port, place->family);
	} else {
		return bind_name(place, fd);
	}
	return *fd < 0 ? pw_error_from_errno(-*fd) : NNG_OK;
}

/* NNG_OK: BINDING is ours, with a hold; to be ended by end_binding. */
static nng_err
begin_binding(nng_stream_listener *listener, nng_err taken)
{
	struct pw_end *end = &listener->end;

	if (!pw_end_hold(end)) {
		return NNG_ECLOSED;
	}
	if ((pw_fetch_or_acq_rel_64(&end->word, PW_END_BINDING) & PW_END_BINDING) != 0) {
		pw_end_unhold(end, 0, 0);
		return taken;
	}
	return NNG_OK;
}

static nng_err
end_binding(nng_stream_listener *listener, int fd, nng_err error)
{
	if (error != NNG_OK) {
		pw_end_unhold(&listener->end, 0, PW_END_BINDING); /* it may be tried again */
		return error;
	}
	if (fd >= 0) {
		listener->file.fd = fd;
		pw_sockaddr_of_socket(&listener->bound, fd);
	}
	pw_end_unhold(&listener->end, PW_END_BOUND, 0); /* P14: an accept that sees BOUND sees the descriptor */
	return NNG_OK;
}

/* ---- descriptors from outside; the caller */

static int
option_of(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

/* A stream socket that listens, or one that does not. */
static bool
is_stream_socket(int fd, bool listens)
{
	return option_of(fd, SO_TYPE) == SOCK_STREAM && option_of(fd, SO_ACCEPTCONN) == (listens ? 1 : 0);
}

/* A blocking descriptor would let io_uring's or our own calls wait. */
static nng_err
make_ours(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
		return pw_error_from_errno(errno);
	}
	return NNG_OK;
}

static nng_err
check_listening(const struct pw_place *place, int fd)
{
	if (!is_stream_socket(fd, true)) {
		return NNG_EINVAL;
	}
	int family = option_of(fd, SO_DOMAIN);
	int wanted = pw_sockaddr_system_family(place->kind == PW_URL_TCP ? place->family : NNG_AF_IPC);
	bool fits = wanted == AF_UNSPEC ? family == AF_INET || family == AF_INET6 : family == wanted;
	return fits ? make_ours(fd) : NNG_EADDRINVAL;
}

nng_err
pw_listener_adopt(nng_stream_listener *listener, int fd)
{
	nng_err error = begin_binding(listener, NNG_EBUSY);

	return error == NNG_OK ? end_binding(listener, fd, check_listening(&listener->place, fd)) : error;
}

nng_err
pw_listener_offer(nng_stream_listener *listener, int fd)
{
	nng_err error = is_stream_socket(fd, false) ? NNG_OK : NNG_EINVAL;

	if (error != NNG_OK) {
		return error;
	}
	pw_lock_acquire(&listener->lock);
	if (pw_end_closed(&listener->end)) { /* I3 */
		error = NNG_ECLOSED;
	} else if (listener->offered_count == PW_OFFERED_MAX) {
		error = NNG_ENOSPC;
	} else {
		error = make_ours(fd);
	}
	if (error == NNG_OK) {
		listener->offered[listener->offered_count++] = fd;
	}
	pw_lock_release(&listener->lock);
	if (error == NNG_OK) {
		pw_end_wish(&listener->end, PW_END_SCAN);
	}
	return error;
}

nng_err
pw_listener_set_permissions(nng_stream_listener *listener, int mode)
{
	uint64_t word = pw_load_acquire_64(&listener->end.word); /* P14 */

	if (mode < 0 || mode > 07777) {
		return NNG_EINVAL;
	}
	if ((word & PW_END_CLOSE) != 0) {
		return NNG_ECLOSED;
	}
	if ((word & PW_END_BINDING) != 0) {
		return NNG_EBUSY;
	}
	pw_store_relaxed_32(&listener->permissions, (uint32_t) mode | S_IFSOCK); /* relaxed: for a later listen */
	return NNG_OK;
}

/* ---- the public functions */

static pw_a32 listener_turn;

/* See the dialer's. */
static nng_err
alloc_visiting(nng_stream_listener **listenerp, const struct pw_place *place)
{
	struct pw_shard *shard = pw_end_near_shard(&listener_turn);
	struct pw_end *end = shard != NULL ? pw_end_alloc(shard, PW_CLASS_LISTENER) : NULL;
	if (end == NULL) {
		return shard != NULL ? NNG_ENOMEM : NNG_ESTOPPED;
	}
	nng_stream_listener *listener = listener_of(end);
	nng_err error = pw_aio_alloc_internal(&listener->pause, shard, on_paused, listener);
	if (error != NNG_OK) {
		pw_end_discard(end);
		return error;
	}
	listener->place = *place;
	pw_tcp_options_init(&listener->options);
	pw_op_queue_init(&listener->accepts);
	pw_store_relaxed_32(&listener->turn, shard->settings.id); /* listeners begin at different shards */
	listener->spare = NULL;
	listener->kept_fd = -1;
	listener->closed = false;
	listener->pausing = false;
	listener->path_inode = 0;
	listener->offered_count = 0;
	listener->bound.s_family = NNG_AF_UNSPEC;
	pw_store_relaxed_32(&listener->permissions, 0);
	if (place->kind == PW_URL_SOCKET) {
		(void) pw_fetch_or_acq_rel_64(&end->word, PW_END_BOUND); /* nothing is left to bind */
	}
	pw_end_publish(end);
	if (!pw_fleet_open()) {
		pw_end_wish(end, PW_END_CLOSE | PW_END_RELEASE);
		return NNG_ESTOPPED;
	}
	*listenerp = listener;
	return NNG_OK;
}

static nng_err
alloc(nng_stream_listener **listenerp, const struct pw_place *place)
{
	nng_err error = pw_engine_ensure();

	if (error != NNG_OK) {
		return error;
	}
	if (!pw_fleet_visit()) {
		return NNG_ESTOPPED;
	}
	error = alloc_visiting(listenerp, place);
	pw_fleet_leave();
	return error;
}

static nng_err
alloc_at(nng_stream_listener **listenerp, const struct pw_place *place)
{
	nng_err error;

	do {
		error = alloc(listenerp, place);
	} while (error == NNG_ESTOPPED && pw_shard_self() == NULL); /* outside: waits for the next engine */
	return error;
}

nng_err
nng_stream_listener_alloc(nng_stream_listener **listenerp, const char *text)
{
	struct pw_place place;
	nng_err error = listenerp != NULL ? pw_place_of_text(&place, text) : NNG_EINVAL;

	return error == NNG_OK ? alloc_at(listenerp, &place) : error;
}

nng_err
nng_stream_listener_alloc_url(nng_stream_listener **listenerp, const nng_url *url)
{
	struct pw_place place;
	nng_err error = listenerp != NULL && url != NULL ? pw_place_of_url(&place, url) : NNG_EINVAL;

	return error == NNG_OK ? alloc_at(listenerp, &place) : error;
}

nng_err
nng_stream_listener_listen(nng_stream_listener *listener)
{
	if (!pw_end_usable((struct pw_end *) listener, "nng_stream_listener_listen")) {
		return NNG_EINVAL;
	}
	int fd = -1;
	nng_err error = begin_binding(listener, NNG_ESTATE);
	if (error == NNG_OK) {
		error = bind_place(listener, &fd);
		error = end_binding(listener, fd, error);
	}
	return error;
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

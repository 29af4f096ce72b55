/* SPDX-License-Identifier: MIT
 *
 * dialer.c: dialers, and what a stream does while it is being dialled.
 *
 * A dial is the first operation of a stream that nobody has yet. The caller picks the shard, takes a record there and
 * submits the operation DIAL to it; from then on the dial is that stream's, on its own shard: the name is looked up
 * there, each address is tried there in turn, and on success the stream is in place. So dials of one dialer run on
 * all shards and do not wait for one another. A dial that fails abandons its record: it is closed and released when
 * the poller has let go.
 *
 * The dialer itself is passive: a place, options, and the list of the streams that are being dialled, so that close
 * can close them. The list, and the local address, are under a lock, taken once when a dial begins and once when it
 * ends; a thread that is suspended in it delays dials of this dialer and nothing else.
 *
 * Invariants
 *   I1  A stream is in its dialer's list from before its DIAL is submitted until it is connected (it leaves before
 *       the consumer has it) or until the poller has let go of it.
 *   I2  CLOSE of a dialer is set before the list is walked, and looked at under the lock before a stream is added; so
 *       every dial is either refused or found.
 *   I3  The lock of a dialer is held while streams are wished to close, never while one looks: that may take it.
 *
 * Lookups: the names and addresses of the hosts file and of DNS, through c-ares (resolver.c); numeric addresses and
 * paths need none.
 */
#include "engine/stream/stream.h"

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/misuse.h"
#include "engine/shard/fleet.h"
#include "engine/stream/sockaddr.h"

static nng_stream_dialer *
dialer_of(struct pw_end *end)
{
	return (nng_stream_dialer *) end;
}

/* Idle in both directions. */
static void
drop_socket(nng_stream *stream)
{
	if (stream->file.attached) {
		pw_poller_detach(&stream->end.shard->poller, &stream->file);
	}
	if (stream->file.fd >= 0) {
		(void) close(stream->file.fd);
		stream->file.fd = -1;
	}
}

/* ---- the list */

/* False: the dialer is closed. */
static bool
enlist(nng_stream_dialer *dialer, nng_stream *stream)
{
	pw_lock_acquire(&dialer->lock);
	bool open = !pw_end_closed(&dialer->end); /* I2 */
	if (open) {
		stream->dial.dialer = dialer;
		stream->dial.local = dialer->local;
		stream->dial.prev = NULL;
		stream->dial.next = dialer->dialing;
		if (dialer->dialing != NULL) {
			dialer->dialing->dial.prev = stream;
		}
		dialer->dialing = stream;
	}
	pw_lock_release(&dialer->lock);
	return open;
}

static void
unlink_locked(nng_stream_dialer *dialer, nng_stream *stream)
{
	if (stream->dial.prev != NULL) {
		stream->dial.prev->dial.next = stream->dial.next;
	} else {
		dialer->dialing = stream->dial.next;
	}
	if (stream->dial.next != NULL) {
		stream->dial.next->dial.prev = stream->dial.prev;
	}
	stream->dial.dialer = NULL;
}

/* The stream is connected. False: the dialer is closed, so it must not be given to anybody; it stays in the list. */
static bool
leave(nng_stream *stream)
{
	nng_stream_dialer *dialer = stream->dial.dialer;

	pw_lock_acquire(&dialer->lock);
	bool open = !pw_end_closed(&dialer->end);
	if (open) {
		unlink_locked(dialer, stream);
	}
	pw_lock_release(&dialer->lock);
	return open;
}

/* The poller has let go of the stream. */
void
pw_dial_settled(nng_stream *stream)
{
	nng_stream_dialer *dialer = stream->dial.dialer;

	if (dialer == NULL) {
		return;
	}
	drop_socket(stream); /* before the dialer can be quiet */
	pw_lock_acquire(&dialer->lock);
	unlink_locked(dialer, stream);
	bool last = dialer->dialing == NULL;
	pw_lock_release(&dialer->lock);
	if (last && pw_end_closed(&dialer->end)) {
		pw_end_wish(&dialer->end, 0); /* it may be quiet now */
	}
}

/* ---- a stream that is being dialled; its shard */

static void try_next(nng_stream *stream);

/* A port of ours that nobody listens on may be given to the very socket that connects to it, which then is connected
 * to itself (simultaneous open). */
static bool
is_self_connected(const nng_stream *stream)
{
	return stream->kind == PW_URL_TCP && nng_sockaddr_equal(&stream->self, &stream->peer);
}

static void
succeed(nng_stream *stream)
{
	nng_aio *aio = stream->dial.aio;

	if (!leave(stream)) { /* I1 */
		pw_dial_fail(stream, NNG_ECLOSED);
		return;
	}
	ares_freeaddrinfo(stream->dial.found);
	stream->dial.found = NULL;
	stream->dial.aio = NULL;
	stream->phase = PW_STREAM_OPEN;
	pw_aio_set_output(aio, 0, stream);
	(void) pw_aio_finish(aio, NNG_OK, 0);
}

static void
on_connected(struct pw_io *io, int result)
{
	nng_stream *stream = PW_CONTAINER_OF(io->file, nng_stream, file);

	if (stream->phase == PW_STREAM_CLOSED) {
		pw_end_settle(&stream->end);
		return;
	}
	if (result == 0) {
		pw_stream_read_addresses(stream);
		if (!is_self_connected(stream)) {
			succeed(stream);
			return;
		}
		result = -ECONNREFUSED;
	}
	stream->dial.error = pw_error_from_connect_errno(-result);
	drop_socket(stream);
	try_next(stream);
}

/* The port is chosen by connect, which knows the peer and so has more of them. */
static nng_err
bind_local(int fd, const nng_sockaddr *local, sa_family_t family)
{
	struct sockaddr_storage address;
	int on = 1;

	if (local->s_family == NNG_AF_UNSPEC) {
		return NNG_OK;
	}
	socklen_t size = pw_sockaddr_to_system(local, &address);
	if (address.ss_family != family) {
		return NNG_EADDRINVAL;
	}
	(void) setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	return bind(fd, (const struct sockaddr *) &address, size) == 0 ? NNG_OK : pw_error_from_errno(errno);
}

/* NNG_OK: the connect is under way. */
static nng_err
try_address(nng_stream *stream, const struct sockaddr_storage *address, socklen_t size)
{
	struct pw_io *io = &stream->file.out;

	stream->file.fd = pw_socket_open(address->ss_family);
	if (stream->file.fd < 0) {
		return pw_error_from_errno(errno);
	}
	if (stream->kind == PW_URL_TCP) {
		pw_socket_apply(stream->file.fd, &stream->dial.dialer->options);
	}
	nng_err error = bind_local(stream->file.fd, &stream->dial.local, address->ss_family);
	if (error == NNG_OK) {
		error = pw_stream_attach(stream);
	}
	if (error != NNG_OK) {
		drop_socket(stream);
		return error;
	}
	io->file = &stream->file;
	io->on_done = on_connected;
	io->op = PW_IO_CONNECT;
	io->niov = 0;
	io->address = *address;
	io->address_size = size;
	pw_poller_submit(&stream->end.shard->poller, io);
	return NNG_OK;
}

static void
set_port(struct sockaddr_storage *address, uint16_t port)
{
	void *any = address;

	if (address->ss_family == AF_INET) {
		((struct sockaddr_in *) any)->sin_port = htons(port);
	} else {
		((struct sockaddr_in6 *) any)->sin6_port = htons(port);
	}
}

/* The next address of the name; none: the dial fails with what the last one said. */
static void
try_next(nng_stream *stream)
{
	while (stream->dial.untried != NULL) {
		struct ares_addrinfo_node *node = stream->dial.untried;
		struct sockaddr_storage address = { 0 };
		stream->dial.untried = node->ai_next;
		memcpy(&address, node->ai_addr, node->ai_addrlen);
		set_port(&address, stream->dial.dialer->place.port);
		stream->dial.error = try_address(stream, &address, node->ai_addrlen);
		if (stream->dial.error == NNG_OK) {
			return;
		}
	}
	pw_dial_fail(stream, stream->dial.error);
}

static void
on_found(void *arg, nng_err error, struct ares_addrinfo *found)
{
	nng_stream *stream = arg;

	stream->dial.lookup = NULL;
	stream->dial.error = error;
	stream->dial.found = found;
	stream->dial.untried = found != NULL ? found->nodes : NULL;
	try_next(stream);
}

static void
try_only(nng_stream *stream, const nng_sockaddr *to)
{
	struct sockaddr_storage address;
	socklen_t size = pw_sockaddr_to_system(to, &address);
	nng_err error = try_address(stream, &address, size);

	if (error != NNG_OK) {
		pw_dial_fail(stream, error);
	}
}

void
pw_dial_begin(nng_stream *stream, nng_aio *aio)
{
	const struct pw_place *place = &stream->dial.dialer->place;

	if (pw_end_refused(&stream->end, aio)) {
		pw_end_abandon(&stream->end);
		return;
	}
	stream->dial.aio = aio;
	if (place->kind != PW_URL_TCP || place->numeric) {
		try_only(stream, &place->address);
		return;
	}
	nng_err error = pw_resolver_start(stream->end.shard, place->host, pw_sockaddr_system_family(place->family),
	    &stream->dial.lookup, on_found, stream);
	if (error != NNG_OK) {
		pw_dial_fail(stream, error);
	}
}

void
pw_dial_fail(nng_stream *stream, nng_err error)
{
	(void) pw_aio_finish(stream->dial.aio, error, 0);
	stream->dial.aio = NULL;
	pw_end_abandon(&stream->end);
}

void
pw_dial_end(nng_stream *stream)
{
	if (stream->dial.aio != NULL) {
		/* The dialer closes, or the shard ends: nobody has the stream. */
		(void) pw_aio_finish(stream->dial.aio, NNG_ECLOSED, 0);
		stream->dial.aio = NULL;
		(void) pw_fetch_or_acq_rel_64(&stream->end.word, PW_END_RELEASE);
	}
	if (stream->dial.lookup != NULL) {
		pw_resolver_forget(stream->dial.lookup);
		stream->dial.lookup = NULL;
	}
	ares_freeaddrinfo(stream->dial.found);
	stream->dial.found = NULL;
	stream->dial.untried = NULL;
}

/* ---- the dialer as a record */

static void
on_birth(struct pw_end *end)
{
	dialer_of(end)->lock = (struct pw_lock) PW_LOCK_INITIALIZER;
}

static void
on_close(struct pw_end *end)
{
	nng_stream_dialer *dialer = dialer_of(end);

	pw_lock_acquire(&dialer->lock);
	for (nng_stream *stream = dialer->dialing; stream != NULL; stream = stream->dial.next) {
		pw_end_wish(&stream->end, PW_END_CLOSE); /* I3: by mail, also on this shard */
	}
	pw_lock_release(&dialer->lock);
}

static bool
on_settle(struct pw_end *end)
{
	nng_stream_dialer *dialer = dialer_of(end);

	pw_lock_acquire(&dialer->lock);
	bool empty = dialer->dialing == NULL;
	pw_lock_release(&dialer->lock);
	/* When the engine stops, no dial has an operation left, and every shard closes its own streams. */
	return empty || (pw_load_acquire_64(&end->word) & PW_END_ORPHAN) != 0;
}

static void
on_unhold(struct pw_end *end)
{
	(void) end; /* no descriptor */
}

/* A dial on that shard, or any dial if that shard must hear of its end. */
static bool
would_wait(struct pw_end *end, const struct pw_shard *shard)
{
	nng_stream_dialer *dialer = dialer_of(end);
	bool found = false;

	pw_lock_acquire(&dialer->lock);
	for (nng_stream *stream = dialer->dialing; stream != NULL; stream = stream->dial.next) {
		found = found || stream->end.shard == shard || end->shard == shard;
	}
	pw_lock_release(&dialer->lock);
	return found;
}

/* No operation is submitted to a dialer: each goes to a stream. */
const struct pw_end_kind pw_dialer_kind = {
	.name = "dialer",
	.number = PW_CLASS_DIALER,
	.size = sizeof(nng_stream_dialer),
	.on_birth = on_birth,
	.on_take = NULL,
	.on_cancel = NULL,
	.on_scan = NULL,
	.on_close = on_close,
	.on_settle = on_settle,
	.on_unhold = on_unhold,
	.would_wait = would_wait,
};

/* ---- the public functions */

static pw_a32 dialer_turn;

/* In a visit: the shards of the engine from which one is chosen do not end before the dialer is there, so the walk of
 * the ending shard finds it. */
static nng_err
alloc_visiting(nng_stream_dialer **dialerp, const struct pw_place *place)
{
	struct pw_shard *shard = pw_end_near_shard(&dialer_turn);
	struct pw_end *end = shard != NULL ? pw_end_alloc(shard, PW_CLASS_DIALER) : NULL;
	if (end == NULL) {
		return shard != NULL ? NNG_ENOMEM : NNG_ESTOPPED;
	}
	nng_stream_dialer *dialer = dialer_of(end);
	dialer->place = *place;
	dialer->dialing = NULL;
	dialer->local.s_family = NNG_AF_UNSPEC;
	pw_store_relaxed_32(&dialer->turn, shard->settings.id); /* dialers begin at different shards */
	pw_tcp_options_init(&dialer->options);
	pw_end_publish(end);
	if (!pw_fleet_open()) { /* nng_fini is under way: nothing new, and the shard releases it */
		pw_end_wish(end, PW_END_CLOSE | PW_END_RELEASE);
		return NNG_ESTOPPED;
	}
	*dialerp = dialer;
	return NNG_OK;
}

static nng_err
alloc(nng_stream_dialer **dialerp, const struct pw_place *place)
{
	nng_err error = pw_engine_ensure();

	if (error != NNG_OK) {
		return error;
	}
	if (!pw_fleet_visit()) {
		return NNG_ESTOPPED;
	}
	error = alloc_visiting(dialerp, place);
	pw_fleet_leave();
	return error;
}

/* Can one dial it? A descriptor cannot be dialled; what else misses an end has nowhere to go. */
static nng_err
check_goal(const struct pw_place *place)
{
	bool somewhere = true;

	switch (place->kind) {
	case PW_URL_TCP:
		somewhere = place->port != 0 && (place->numeric || place->host[0] != '\0');
		break;
	case PW_URL_ABSTRACT:
		somewhere = place->address.s_abstract.sa_len != 0;
		break;
	case PW_URL_PATH:
		break;
	case PW_URL_SOCKET:
	case PW_URL_OTHER:
		return NNG_ENOTSUP;
	}
	return somewhere ? NNG_OK : NNG_EINVAL;
}

static nng_err
alloc_at(nng_stream_dialer **dialerp, const struct pw_place *place)
{
	nng_err error = check_goal(place);

	if (error != NNG_OK) {
		return error;
	}
	do {
		error = alloc(dialerp, place);
	} while (error == NNG_ESTOPPED && pw_shard_self() == NULL); /* outside: waits for the next engine */
	return error;
}

nng_err
nng_stream_dialer_alloc(nng_stream_dialer **dialerp, const char *text)
{
	struct pw_place place;
	nng_err error = dialerp != NULL ? pw_place_of_text(&place, text) : NNG_EINVAL;

	return error == NNG_OK ? alloc_at(dialerp, &place) : error;
}

nng_err
nng_stream_dialer_alloc_url(nng_stream_dialer **dialerp, const nng_url *url)
{
	struct pw_place place;
	nng_err error = dialerp != NULL && url != NULL ? pw_place_of_url(&place, url) : NNG_EINVAL;

	return error == NNG_OK ? alloc_at(dialerp, &place) : error;
}

nng_err
pw_dialer_set_local(nng_stream_dialer *dialer, const nng_sockaddr *local)
{
	bool known =
	    local->s_family == NNG_AF_UNSPEC || local->s_family == NNG_AF_INET || local->s_family == NNG_AF_INET6;

	if (!known || nng_sockaddr_port(local) != 0) {
		return NNG_EADDRINVAL;
	}
	pw_lock_acquire(&dialer->lock);
	bool open = !pw_end_closed(&dialer->end);
	if (open) {
		dialer->local = *local;
	}
	pw_lock_release(&dialer->lock);
	return open ? NNG_OK : NNG_ECLOSED;
}

void
pw_dialer_get_local(nng_stream_dialer *dialer, nng_sockaddr *local)
{
	pw_lock_acquire(&dialer->lock);
	*local = dialer->local;
	pw_lock_release(&dialer->lock);
}

static void
cancel_dial(nng_aio *aio, void *arg, nng_err reason)
{
	(void) reason; /* it is in the word */
	pw_end_cancel(arg, aio);
}

static void
dial(nng_stream *stream, nng_stream_dialer *dialer, nng_aio *aio)
{
	stream->kind = dialer->place.kind;
	if (!pw_end_start(&stream->end, aio, cancel_dial)) {
		pw_end_discard(&stream->end);
		return;
	}
	if (!enlist(dialer, stream)) {
		pw_end_discard(&stream->end);
		(void) pw_aio_finish(aio, NNG_ECLOSED, 0);
		return;
	}
	pw_end_publish(&stream->end);
	pw_end_submit(&stream->end, aio, PW_TAG_DIAL);
}

void
nng_stream_dialer_dial(nng_stream_dialer *dialer, nng_aio *aio)
{
	if (!pw_end_operable((struct pw_end *) dialer, aio, "nng_stream_dialer_dial")) {
		return;
	}
	struct pw_shard *shard = pw_end_near_shard(&dialer->turn);
	nng_stream *stream = shard != NULL && !pw_end_closed(&dialer->end) ? pw_stream_alloc(shard) : NULL;
	if (stream != NULL) {
		dial(stream, dialer, aio);
	} else {
		pw_aio_fail(aio, shard == NULL || pw_end_closed(&dialer->end) ? NNG_ECLOSED : NNG_ENOMEM);
	}
}

void
nng_stream_dialer_close(nng_stream_dialer *dialer)
{
	if (dialer != NULL && pw_end_usable(&dialer->end, "nng_stream_dialer_close")) {
		pw_end_close(&dialer->end);
	}
}

void
nng_stream_dialer_stop(nng_stream_dialer *dialer)
{
	if (dialer != NULL && pw_end_usable(&dialer->end, "nng_stream_dialer_stop")) {
		pw_end_stop(&dialer->end, "nng_stream_dialer_stop");
	}
}

void
nng_stream_dialer_free(nng_stream_dialer *dialer)
{
	if (dialer != NULL && pw_end_usable(&dialer->end, "nng_stream_dialer_free")) {
		pw_end_free(&dialer->end, "nng_stream_dialer_free");
	}
}

/* SPDX-License-Identifier: MIT
 *
 * resolver.c: names to addresses, with c-ares on the shard's own poller: no thread, no blocking query.
 *
 * What it is not: a cache, or a policy: the hosts file and the servers of resolv.conf, in the order and with the
 * timeouts that c-ares takes from the system (5 s, then longer, 4 tries); the dial's own deadline is what ends it.
 *
 * A shard has one channel, made by its first lookup. c-ares says which descriptors it waits for (sock_state), and
 * ares_process_fd reads and writes them when the poller says that they are ready. It closes a descriptor right after
 * it has said so, at a time when the poller may still hold it; so the poller is given a duplicate, which is closed
 * here when the poller has let go. When c-ares wants to be called for a timeout, an aio of the engine's sleeps.
 *
 * c-ares can cancel all queries of a channel, not one. A lookup that is forgotten runs on without anybody waiting for
 * it; when nobody waits for any, all are cancelled. So an idle process has no timer and no socket of the resolver.
 *
 * A socket of c-ares for which there is no watch (no memory, no descriptor for the duplicate) would be silent until
 * c-ares has given up, more than a minute later. So the lookups of that moment end at once, with the reason: all of
 * the channel, since c-ares shares its sockets among them.
 *
 * "localhost" is what the hosts file says, and where that says nothing the loopback address; no server is asked.
 *
 * Blocking: small local files are read here, resolv.conf and nsswitch.conf once, the hosts file for each lookup.
 *
 * Invariants (all on the shard's thread)
 *   I1  `wanted` counts the lookups that have an on_done; a lookup is freed by its c-ares callback, which comes once.
 *   I2  A watch has c-ares's descriptor as its key while c-ares has it open, and is on the list of watches until
 *       c-ares and the poller have both let go; then it is on the free list. It is never unmapped.
 *   I3  ares_cancel is not called inside a callback of c-ares.
 *
 * Limits: a watch is 1 KiB; there are as many as there were queries' sockets at a time.
 */
#include "engine/stream/stream.h"

#include <ares.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/stream/sockaddr.h"

struct watch {
	struct pw_file file; /* fd: the duplicate */
	struct pw_resolver *resolver;
	struct watch *next;
	ares_socket_t key; /* ARES_SOCKET_BAD: c-ares has closed it */
	bool want_in;
	bool want_out;
};

struct pw_resolver {
	ares_channel channel;
	struct pw_shard *shard;
	struct watch *watches;
	struct watch *free_watches;
	nng_aio *timer;
	bool timing;
	nng_err blind; /* why there is a socket without a watch, until its lookups have been ended; else NNG_OK */
	unsigned wanted;
};

struct pw_lookup {
	struct pw_resolver *resolver;
	pw_resolver_done on_done; /* NULL: forgotten */
	void *arg;
};

static pw_aptr servers; /* pw_resolver_use_servers */

/* ---- sockets */

static void on_ready(struct pw_io *io, int result);

static void
watch_submit(struct watch *watch, struct pw_io *io, enum pw_io_op op)
{
	io->file = &watch->file;
	io->on_done = on_ready;
	io->op = (uint8_t) op;
	io->niov = 0;
	pw_poller_submit(&watch->resolver->shard->poller, io);
}

/* I2: both have let go. */
static void
watch_retire(struct watch *watch)
{
	struct pw_resolver *resolver = watch->resolver;
	struct watch **link = &resolver->watches;

	while (*link != watch) {
		link = &(*link)->next;
	}
	*link = watch->next;
	pw_poller_detach(&resolver->shard->poller, &watch->file);
	(void) close(watch->file.fd);
	watch->file.fd = -1;
	watch->next = resolver->free_watches;
	resolver->free_watches = watch;
}

/* Makes the poller's two operations what c-ares wants. The watch may be retired by it. */
static void
watch_update(struct watch *watch)
{
	struct pw_poller *poller = &watch->resolver->shard->poller;

	if (watch->key == ARES_SOCKET_BAD) {
		pw_poller_cancel(poller, &watch->file.in);
		pw_poller_cancel(poller, &watch->file.out);
		if (!watch->file.in.in_flight && !watch->file.out.in_flight) {
			watch_retire(watch);
		}
		return;
	}
	if (watch->want_in && !watch->file.in.in_flight) {
		watch_submit(watch, &watch->file.in, PW_IO_POLL_IN);
	}
	if (watch->want_out && !watch->file.out.in_flight) {
		watch_submit(watch, &watch->file.out, PW_IO_POLL_OUT);
	}
}

static struct watch *
watch_take(struct pw_resolver *resolver)
{
	struct watch *watch = resolver->free_watches;

	if (watch != NULL) {
		resolver->free_watches = watch->next;
		return watch;
	}
	watch = pw_memory_alloc(resolver->shard->arena.memory_arena, sizeof(*watch));
	if (watch != NULL) {
		watch->resolver = resolver;
		watch->file.fd = -1;
	}
	return watch;
}

/* The duplicate, with the poller. 0 or a negative errno value. */
static int
watch_attach(struct watch *watch, ares_socket_t key)
{
	watch->file.fd = fcntl(key, F_DUPFD_CLOEXEC, 0);
	return watch->file.fd < 0 ? -errno : pw_poller_attach(&watch->resolver->shard->poller, &watch->file);
}

/* NULL: no memory, no descriptor; `blind` says which. */
static struct watch *
watch_open(struct pw_resolver *resolver, ares_socket_t key)
{
	struct watch *watch = watch_take(resolver);

	if (watch == NULL) {
		resolver->blind = NNG_ENOMEM;
		return NULL;
	}
	int result = watch_attach(watch, key);
	if (result != 0) {
		resolver->blind = pw_error_from_errno(-result);
		if (watch->file.fd >= 0) {
			(void) close(watch->file.fd);
			watch->file.fd = -1;
		}
		watch->next = resolver->free_watches;
		resolver->free_watches = watch;
		return NULL;
	}
	watch->key = key;
	watch->next = resolver->watches;
	resolver->watches = watch;
	return watch;
}

static struct watch *
watch_find(struct pw_resolver *resolver, ares_socket_t key)
{
	for (struct watch *watch = resolver->watches; watch != NULL; watch = watch->next) {
		if (watch->key == key) {
			return watch;
		}
	}
	return NULL;
}

/* c-ares's: which readiness of its socket it waits for; neither: it closes it now. */
static void
sock_state(void *arg, ares_socket_t key, int readable, int writable)
{
	struct pw_resolver *resolver = arg;
	struct watch *watch = watch_find(resolver, key);

	if (watch == NULL && (readable != 0 || writable != 0)) {
		watch = watch_open(resolver, key);
	}
	if (watch == NULL) {
		return;
	}
	watch->want_in = readable != 0;
	watch->want_out = writable != 0;
	if (readable == 0 && writable == 0) {
		watch->key = ARES_SOCKET_BAD;
	}
	watch_update(watch);
}

/* ---- time */

/* The sleep ends when c-ares wants to be called, not later, or there is none. */
static void
timer_update(struct pw_resolver *resolver)
{
	struct timeval due;

	if (resolver->timing) {
		if (resolver->wanted == 0) {
			nng_aio_cancel(resolver->timer);
		}
		return; /* when it ends it is set anew */
	}
	if (resolver->wanted == 0 || ares_timeout(resolver->channel, NULL, &due) == NULL) {
		return;
	}
	resolver->timing = true;
	nng_sleep_aio((nng_duration) (due.tv_sec * 1000 + due.tv_usec / 1000 + 1), resolver->timer);
}

/* c-ares has worked: when nobody waits any more, or what is waited for cannot be seen, all ends. Outside its
 * callbacks (I3). */
static void
processed(struct pw_resolver *resolver)
{
	if (resolver->wanted == 0 || resolver->blind != NNG_OK) {
		ares_cancel(resolver->channel); /* frees the lookups */
		resolver->blind = NNG_OK;
	}
	timer_update(resolver);
}

static void
on_timer(void *arg)
{
	struct pw_resolver *resolver = arg;

	resolver->timing = false;
	if (nng_aio_result(resolver->timer) == NNG_ESTOPPED) {
		return; /* the engine stops; so do the dials */
	}
	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	processed(resolver);
}

/* ---- answers */

static void
on_ready(struct pw_io *io, int result)
{
	struct watch *watch = PW_CONTAINER_OF(io->file, struct watch, file);
	struct pw_resolver *resolver = watch->resolver;
	ares_socket_t key = watch->key;

	if (key == ARES_SOCKET_BAD) {
		watch_update(watch);
		return;
	}
	if (result != -ECANCELED) { /* an error of the socket is found by reading it */
		bool in = io == &watch->file.in;
		ares_process_fd(resolver->channel, in ? key : ARES_SOCKET_BAD, in ? ARES_SOCKET_BAD : key);
	}
	/* c-ares may have closed this socket, and opened another one of that number: both are in the list. */
	watch = watch_find(resolver, key);
	if (watch != NULL) {
		watch_update(watch);
	}
	processed(resolver);
}

static nng_err
error_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return NNG_OK;
	case ARES_ENOMEM:
		return NNG_ENOMEM;
	case ARES_ETIMEOUT:
		return NNG_ETIMEDOUT;
	case ARES_ECANCELLED:
	case ARES_EDESTRUCTION:
		return NNG_ECLOSED;
	default:
		return NNG_EADDRINVAL; /* not found, no server that knows, not a name */
	}
}

static void
on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
	struct pw_lookup *lookup = arg;
	struct pw_lookup copy = *lookup;

	(void) timeouts;
	pw_memory_free(lookup, sizeof(*lookup));
	if (copy.on_done == NULL) {
		ares_freeaddrinfo(found);
		return;
	}
	copy.resolver->wanted--;
	bool blind = status == ARES_ECANCELLED && copy.resolver->blind != NNG_OK;
	nng_err error = blind ? copy.resolver->blind : error_of(status);
	if (error == NNG_OK && (found == NULL || found->nodes == NULL)) {
		error = NNG_EADDRINVAL;
	}
	if (error != NNG_OK) {
		ares_freeaddrinfo(found);
		found = NULL;
	}
	copy.on_done(copy.arg, error, found);
}

/* ---- the channel */

void
pw_resolver_use_servers(const char *list)
{
	(void) pw_exchange_acq_rel_ptr(&servers, (void *) (uintptr_t) list); /* P12 */
}

static nng_err
channel_open(struct pw_resolver *resolver)
{
	struct ares_options options = { .sock_state_cb = sock_state, .sock_state_cb_data = resolver };
	const char *list = pw_load_acquire_ptr(&servers); /* P12 */

	if (ares_init_options(&resolver->channel, &options, ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS) {
		resolver->channel = NULL;
		return NNG_ENOMEM;
	}
	int status = list != NULL ? ares_set_servers_ports_csv(resolver->channel, list) : ARES_SUCCESS;
	if (status != ARES_SUCCESS) {
		ares_destroy(resolver->channel);
		resolver->channel = NULL;
		return status == ARES_ENOMEM ? NNG_ENOMEM : NNG_EINVAL;
	}
	return NNG_OK;
}

/* The record is made once per shard and kept; channel and timer are those of one run of the engine. */
static nng_err
resolver_open(struct pw_stream_shard *state, struct pw_shard *shard)
{
	if (state->resolver == NULL) {
		state->resolver = pw_memory_alloc(shard->arena.memory_arena, sizeof(*state->resolver));
		if (state->resolver == NULL) {
			return NNG_ENOMEM;
		}
		state->resolver->shard = shard;
	}
	struct pw_resolver *resolver = state->resolver;
	if (resolver->channel != NULL) {
		return NNG_OK;
	}
	nng_err error = pw_aio_alloc_internal(&resolver->timer, shard, on_timer, resolver);
	if (error != NNG_OK) {
		return error;
	}
	error = channel_open(resolver);
	if (error != NNG_OK) {
		nng_aio_free(resolver->timer);
	}
	return error;
}

static bool
in_hosts_file(ares_channel channel, const char *host, int family)
{
	struct hostent *found = NULL;
	bool there = ares_gethostbyname_file(channel, host, family, &found) == ARES_SUCCESS;
	if (there) {
		ares_free_hostent(found);
	}
	return there;
}

/* What c-ares is asked for. */
static const char *
name_to_ask(ares_channel channel, const char *host, int family)
{
	const char *loopback = pw_sockaddr_loopback(host, family);
	if (loopback == NULL || (family != AF_INET6 && in_hosts_file(channel, host, AF_INET)) ||
	    (family != AF_INET && in_hosts_file(channel, host, AF_INET6))) {
		return host;
	}
	return loopback;
}

nng_err
pw_resolver_start(struct pw_shard *shard, const char *host, int family, struct pw_lookup **lookupp,
    pw_resolver_done on_done, void *arg)
{
	struct pw_stream_shard *state = pw_stream_shard_of(shard);
	const struct ares_addrinfo_hints hints = { .ai_family = family, .ai_socktype = SOCK_STREAM };
	nng_err error = resolver_open(state, shard);

	if (error != NNG_OK) {
		return error;
	}
	struct pw_resolver *resolver = state->resolver;
	struct pw_lookup *lookup = pw_memory_alloc(shard->arena.memory_arena, sizeof(*lookup));
	if (lookup == NULL) {
		return NNG_ENOMEM;
	}
	*lookup = (struct pw_lookup){ .resolver = resolver, .on_done = on_done, .arg = arg };
	*lookupp = lookup;
	resolver->wanted++;
	ares_getaddrinfo(resolver->channel, name_to_ask(resolver->channel, host, family), NULL, &hints, on_answer, lookup);
	if (resolver->blind != NNG_OK) {
		processed(resolver);
	} else {
		timer_update(resolver);
	}
	return NNG_OK;
}

void
pw_resolver_forget(struct pw_lookup *lookup)
{
	struct pw_resolver *resolver = lookup->resolver;

	lookup->on_done = NULL;
	resolver->wanted--;
	processed(resolver);
}

void
pw_resolver_close(struct pw_stream_shard *state)
{
	struct pw_resolver *resolver = state->resolver;

	if (resolver != NULL && resolver->channel != NULL) {
		ares_destroy(resolver->channel);
		resolver->channel = NULL;
		nng_aio_free(resolver->timer);
	}
}

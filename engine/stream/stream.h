/* SPDX-License-Identifier: MIT
 *
 * stream.h: the records of streams, listeners, dialers and UDP sockets, and what their files need of one another.
 *
 * Fields are the shard's alone (end.c), but for what says otherwise.
 */
#ifndef PINWHEEL_STREAM_STREAM_H
#define PINWHEEL_STREAM_STREAM_H

#include "engine/shard/poller.h"
#include "engine/stream/end.h"
#include "engine/stream/place.h"

extern const struct pw_end_kind pw_stream_kind;
extern const struct pw_end_kind pw_listener_kind;
extern const struct pw_end_kind pw_dialer_kind;
extern const struct pw_end_kind pw_udp_kind;

/* ---- streams (stream.c; while it is being dialled: dialer.c) */

enum pw_stream_phase {
	PW_STREAM_DIALING = 0,
	PW_STREAM_OPEN = 1,
	PW_STREAM_CLOSED = 2,
};

/* What an operation was submitted as. */
enum pw_stream_tag {
	PW_TAG_SEND = 0,
	PW_TAG_RECV = 1,
	PW_TAG_DIAL = 2,
};

struct pw_lookup;
struct ares_addrinfo;
struct ares_addrinfo_node;

/* A connection in the making. */
struct pw_dial {
	nng_stream_dialer *dialer; /* NULL: accepted, or connected already */
	nng_stream *next;          /* in the dialer's list, under its lock */
	nng_stream *prev;
	nng_aio *aio;             /* NULL: it has been completed */
	struct pw_lookup *lookup; /* under way */
	struct ares_addrinfo *found;
	struct ares_addrinfo_node *untried;
	nng_err error;      /* of the last attempt */
	nng_sockaddr local; /* the dialer's, when the dial began */
};

struct nng_stream {
	struct pw_end end;
	struct pw_op_queue in; /* the first one is the poller's, if the phase is OPEN */
	struct pw_op_queue out;
	enum pw_stream_phase phase;
	enum pw_url_kind kind; /* constant from publish on */
	struct pw_file file;   /* fd: before publish the creator's; under a hold any thread reads it */
	struct pw_dial dial;
	nng_sockaddr peer; /* constant once a consumer has the stream */
	nng_sockaddr self;
};

/* The TCP options that a dialer or listener gives its streams; any thread, relaxed: the next stream sees them. */
struct pw_tcp_options {
	pw_a8 no_delay;
	pw_a8 keep_alive;
};

/* A fresh record on that shard, not published, without a descriptor; NULL: out of memory. */
nng_stream *pw_stream_alloc(struct pw_shard *shard);
/* The creator, before the stream has a user: it is connected. Reads the addresses, publishes. options: TCP's alone.
 * */
void pw_stream_connected(nng_stream *stream, int fd, enum pw_url_kind kind, const struct pw_tcp_options *options);
void pw_stream_read_addresses(nng_stream *stream);
/* The shard: the descriptor is given to the poller, if it is not yet. NNG_OK, or what refused it. */
nng_err pw_stream_attach(nng_stream *stream);

/* dialer.c, for stream.c: the operation DIAL, in the phase DIALING */
void pw_dial_begin(nng_stream *stream, nng_aio *aio);
void pw_dial_fail(nng_stream *stream, nng_err error);
/* The phase is CLOSED: what the dial holds is let go of, but for the place in the dialer's list, which goes last. */
void pw_dial_end(nng_stream *stream);
void pw_dial_settled(nng_stream *stream);

/* ---- listeners (listener.c) */

#define PW_OFFERED_MAX 16u

struct nng_stream_listener {
	struct pw_end end;
	struct pw_file file;   /* fd: the binder's until BOUND is set, then as a stream's; socket://: none */
	struct pw_place place; /* constant */
	struct pw_tcp_options options;
	pw_a32 permissions; /* any thread, until BINDING: a mode and S_IFSOCK; 0: the system's */
	struct pw_op_queue accepts;
	pw_a32 turn;       /* the shard of the next stream */
	nng_stream *spare; /* for the next connection */
	int kept_fd;       /* a connection that came when nobody wanted it any more; -1: none */
	bool closed;
	bool pausing; /* descriptors were exhausted: the next try is when `pause` completes */
	nng_aio *pause;
	nng_sockaddr bound;   /* constant once BOUND is set */
	uint64_t path_device; /* of the socket file that was made, to unlink that and no other; 0: none */
	uint64_t path_inode;
	struct pw_lock lock; /* of what was offered and not accepted: descriptors for socket:// */
	unsigned offered_count;
	int offered[PW_OFFERED_MAX]; /* oldest first */
};

/* The two options that give a listener a descriptor, and the mode of its file. Any thread. On an error the descriptor
 * is the caller's. */
nng_err pw_listener_adopt(nng_stream_listener *listener, int fd);
nng_err pw_listener_offer(nng_stream_listener *listener, int fd);
nng_err pw_listener_set_permissions(nng_stream_listener *listener, int mode);

/* ---- dialers (dialer.c) */

struct nng_stream_dialer {
	struct pw_end end;
	struct pw_place place; /* constant */
	struct pw_tcp_options options;
	pw_a32 turn; /* any thread: the shard of the next stream */
	struct pw_lock lock;
	nng_stream *dialing; /* under the lock */
	nng_sockaddr local;  /* under the lock; NNG_AF_UNSPEC: any */
};

/* What later streams are bound to. Any thread. */
nng_err pw_dialer_set_local(nng_stream_dialer *dialer, const nng_sockaddr *local);
void pw_dialer_get_local(nng_stream_dialer *dialer, nng_sockaddr *local);

/* ---- UDP (udp.c) */

struct nng_udp {
	struct pw_end end;
	struct pw_file file; /* fd: before publish the opener's; under a hold any thread reads it */
	struct pw_op_queue in;
	struct pw_op_queue out;
	enum nng_sockaddr_family family; /* constant from publish on */
	bool closed;
};

/* ---- sockets */

/* A non-blocking socket for the address; -1: errno says why. */
int pw_socket_open(int family);
/* Options that fail are left as they are: a connection without them is better than none. */
void pw_socket_apply(int fd, const struct pw_tcp_options *options);
void pw_tcp_options_init(struct pw_tcp_options *options);

/* ---- names (resolver.c); the shard */

/* found: the caller's, to be freed with ares_freeaddrinfo; NULL: `error` says why. May be called by pw_resolver_start
 * itself, after it has set *lookup; *lookup is gone then. */
typedef void (*pw_resolver_done)(void *arg, nng_err error, struct ares_addrinfo *found);

/* Looks a name up; family: AF_UNSPEC, AF_INET, AF_INET6. NNG_OK: on_done is called once, unless it is forgotten
 * before. */
nng_err pw_resolver_start(struct pw_shard *shard, const char *host, int family, struct pw_lookup **lookup,
    pw_resolver_done on_done, void *arg);
/* on_done will not be called. Not inside on_done of any lookup. */
void pw_resolver_forget(struct pw_lookup *lookup);
/* The shard ends. */
void pw_resolver_close(struct pw_stream_shard *state);
/* Resolvers made from now on ask these servers ("127.0.0.1:5353"), not the system's; NULL: the system's again. */
void pw_resolver_use_servers(const char *servers);

#endif

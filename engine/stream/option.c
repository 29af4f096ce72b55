/* SPDX-License-Identifier: MIT
 *
 * option.c: get and set of options, on streams, dialers and listeners. The table below is the one of nng.h.
 *
 * A stream's options are the socket's; the call is made in the caller, with a hold on the descriptor (end.c, I4).
 * The TCP options of a dialer and a listener are what their later streams begin with.
 *
 * What is wrong is told in this order: the object does not have the option, it has it for the other direction only,
 * it is of another type; then what the option itself finds.
 *
 * Any thread; lock-free, but for a dialer's local address and what listener.c does with a descriptor.
 */
#include "engine/stream/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/base/error.h"

enum option_type {
	TYPE_BOOL,
	TYPE_INT,
	TYPE_ADDR,
	TYPE_OTHER, /* ms, size, uint64, string: no option has them */
};

struct value {
	enum option_type type;
	union {
		bool b;
		int i;
		nng_sockaddr addr;
	} of;
};

enum option_id {
	OPTION_LOCAL_ADDRESS,
	OPTION_REMOTE_ADDRESS,
	OPTION_BOUND_PORT,
	OPTION_NO_DELAY,
	OPTION_KEEP_ALIVE,
	OPTION_LISTEN_FD,
	OPTION_SOCKET_FD,
	OPTION_PERMISSIONS,
	OPTION_PEER_UID,
	OPTION_PEER_GID,
	OPTION_PEER_PID,
	OPTION_COUNT,
};

#define TCP (1u << PW_URL_TCP)
#define PATH (1u << PW_URL_PATH)
#define ABSTRACT (1u << PW_URL_ABSTRACT)
#define SOCKET (1u << PW_URL_SOCKET)
#define ALL (TCP | PATH | ABSTRACT | SOCKET)

/* Which kinds of each class have it: [PW_CLASS_STREAM], [PW_CLASS_LISTENER], [PW_CLASS_DIALER]. */
struct option {
	const char *name;
	enum option_type type;
	uint8_t get[3];
	uint8_t set[3];
};

/* clang-format off */
static const struct option options[OPTION_COUNT] = {
	[OPTION_LOCAL_ADDRESS] = { NNG_OPT_LOCADDR, TYPE_ADDR, { ALL, ALL, TCP }, { 0, 0, TCP } },
	[OPTION_REMOTE_ADDRESS] = { NNG_OPT_REMADDR, TYPE_ADDR, { ALL, 0, 0 }, { 0, 0, 0 } },
	[OPTION_BOUND_PORT] = { NNG_OPT_BOUND_PORT, TYPE_INT, { TCP, TCP, 0 }, { 0, 0, 0 } },
	[OPTION_NO_DELAY] = { NNG_OPT_TCP_NODELAY, TYPE_BOOL, { TCP, TCP, TCP }, { TCP, TCP, TCP } },
	[OPTION_KEEP_ALIVE] = { NNG_OPT_TCP_KEEPALIVE, TYPE_BOOL, { TCP, TCP, TCP }, { TCP, TCP, TCP } },
	[OPTION_LISTEN_FD] = { NNG_OPT_LISTEN_FD, TYPE_INT, { 0, 0, 0 }, { 0, TCP | PATH | ABSTRACT, 0 } },
	[OPTION_SOCKET_FD] = { NNG_OPT_SOCKET_FD, TYPE_INT, { 0, 0, 0 }, { 0, SOCKET, 0 } },
	[OPTION_PERMISSIONS] = { NNG_OPT_IPC_PERMISSIONS, TYPE_INT, { 0, 0, 0 }, { 0, PATH | ABSTRACT, 0 } },
	[OPTION_PEER_UID] = { NNG_OPT_PEER_UID, TYPE_INT, { PATH | ABSTRACT | SOCKET, 0, 0 }, { 0, 0, 0 } },
	[OPTION_PEER_GID] = { NNG_OPT_PEER_GID, TYPE_INT, { PATH | ABSTRACT | SOCKET, 0, 0 }, { 0, 0, 0 } },
	[OPTION_PEER_PID] = { NNG_OPT_PEER_PID, TYPE_INT, { PATH | ABSTRACT | SOCKET, 0, 0 }, { 0, 0, 0 } },
};
/* clang-format on */

_Static_assert(PW_CLASS_STREAM < 3 && PW_CLASS_LISTENER < 3 && PW_CLASS_DIALER < 3, "the table has a place for each");

static enum pw_url_kind
kind_of(const struct pw_end *end)
{
	switch (end->kind->number) {
	case PW_CLASS_STREAM:
		return ((const nng_stream *) end)->kind;
	case PW_CLASS_LISTENER:
		return ((const nng_stream_listener *) end)->place.kind;
	case PW_CLASS_DIALER:
		return ((const nng_stream_dialer *) end)->place.kind;
	case PW_CLASS_UDP:
	case PW_CLASS_COUNT:
		break;
	}
	return PW_URL_OTHER;
}

/* What `end` answers to a get or set of `name` with a value of that type. NNG_OK: *id is the option. */
static nng_err
find(const struct pw_end *end, const char *function, const char *name, enum option_type type, bool set,
    enum option_id *id)
{
	if (!pw_end_usable(end, function) || name == NULL) {
		return NNG_EINVAL;
	}
	unsigned class = end->kind->number, kind = 1u << kind_of(end);
	for (unsigned i = 0; i < OPTION_COUNT; i++) {
		const struct option *option = &options[i];
		if (strcmp(name, option->name) != 0) {
			continue;
		}
		bool gets = (option->get[class] & kind) != 0, sets = (option->set[class] & kind) != 0;
		if (set ? !sets : !gets) {
			return gets ? NNG_EREADONLY : sets ? NNG_EWRITEONLY : NNG_ENOTSUP;
		}
		*id = (enum option_id) i;
		return option->type == type ? NNG_OK : NNG_EBADTYPE;
	}
	return NNG_ENOTSUP;
}

/* ---- TCP's switches */

/* Where a dialer or listener keeps what its streams begin with. */
static pw_a8 *
kept(struct pw_end *end, enum option_id id)
{
	struct pw_tcp_options *tcp = end->kind == &pw_listener_kind ? &((nng_stream_listener *) end)->options
								    : &((nng_stream_dialer *) end)->options;
	return id == OPTION_NO_DELAY ? &tcp->no_delay : &tcp->keep_alive;
}

static nng_err
get_socket(nng_stream *stream, int level, int option, void *value, socklen_t size)
{
	if (!pw_end_hold(&stream->end)) {
		return NNG_ECLOSED;
	}
	int rv = getsockopt(stream->file.fd, level, option, value, &size);
	nng_err error = rv == 0 ? NNG_OK : pw_error_from_errno(errno);
	pw_end_unhold(&stream->end, 0, 0);
	return error;
}

static nng_err
set_socket(nng_stream *stream, int level, int option, int value)
{
	if (!pw_end_hold(&stream->end)) {
		return NNG_ECLOSED;
	}
	int rv = setsockopt(stream->file.fd, level, option, &value, sizeof(value));
	nng_err error = rv == 0 ? NNG_OK : pw_error_from_errno(errno);
	pw_end_unhold(&stream->end, 0, 0);
	return error;
}

static int
level_of(enum option_id id)
{
	return id == OPTION_NO_DELAY ? IPPROTO_TCP : SOL_SOCKET;
}

static int
socket_option_of(enum option_id id)
{
	return id == OPTION_NO_DELAY ? TCP_NODELAY : SO_KEEPALIVE;
}

static nng_err
get_switch(struct pw_end *end, enum option_id id, bool *value)
{
	int got = 0;
	nng_err error = NNG_OK;

	if (end->kind == &pw_stream_kind) {
		error = get_socket((nng_stream *) end, level_of(id), socket_option_of(id), &got, sizeof(got));
	} else {
		got = pw_load_relaxed_8(kept(end, id));
	}
	*value = got != 0;
	return error;
}

static nng_err
set_switch(struct pw_end *end, enum option_id id, bool value)
{
	if (end->kind == &pw_stream_kind) {
		return set_socket((nng_stream *) end, level_of(id), socket_option_of(id), value ? 1 : 0);
	}
	pw_store_relaxed_8(kept(end, id), value ? 1 : 0);
	return NNG_OK;
}

/* ---- addresses and peers */

static nng_err
get_port(struct pw_end *end, int *port)
{
	if (end->kind == &pw_stream_kind) {
		*port = (int) nng_sockaddr_port(&((nng_stream *) end)->self);
		return NNG_OK;
	}
	if ((pw_load_acquire_64(&end->word) & PW_END_BOUND) == 0) { /* P14 */
		return NNG_ESTATE;
	}
	*port = (int) nng_sockaddr_port(&((nng_stream_listener *) end)->bound);
	return NNG_OK;
}

static nng_err
get_local(struct pw_end *end, nng_sockaddr *address)
{
	*address = (nng_sockaddr){ .s_family = NNG_AF_UNSPEC };
	if (end->kind == &pw_stream_kind) {
		*address = ((nng_stream *) end)->self;
	} else if (end->kind == &pw_dialer_kind) {
		pw_dialer_get_local((nng_stream_dialer *) end, address);
	} else if ((pw_load_acquire_64(&end->word) & PW_END_BOUND) != 0) { /* P14 */
		*address = ((nng_stream_listener *) end)->bound;
	}
	return NNG_OK;
}

static nng_err
get_peer(nng_stream *stream, enum option_id id, int *value)
{
	struct ucred peer;
	int domain = AF_UNSPEC;
	nng_err error = get_socket(stream, SOL_SOCKET, SO_DOMAIN, &domain, sizeof(domain));

	if (error == NNG_OK && domain != AF_UNIX) {
		error = NNG_ENOTSUP; /* a descriptor that was given: of its peer the kernel knows nobody */
	}
	if (error == NNG_OK) {
		error = get_socket(stream, SOL_SOCKET, SO_PEERCRED, &peer, sizeof(peer));
	}
	if (error == NNG_OK) {
		*value = id == OPTION_PEER_PID ? peer.pid : (int) (id == OPTION_PEER_UID ? peer.uid : peer.gid);
	}
	return error;
}

/* ---- by name */

static nng_err
get(struct pw_end *end, const char *function, const char *name, struct value *value)
{
	enum option_id id = OPTION_COUNT;
	nng_err error = find(end, function, name, value->type, false, &id);

	if (error != NNG_OK) {
		return error;
	}
	switch (id) {
	case OPTION_LOCAL_ADDRESS:
		return get_local(end, &value->of.addr);
	case OPTION_REMOTE_ADDRESS:
		value->of.addr = ((nng_stream *) end)->peer;
		return NNG_OK;
	case OPTION_BOUND_PORT:
		return get_port(end, &value->of.i);
	case OPTION_NO_DELAY:
	case OPTION_KEEP_ALIVE:
		return get_switch(end, id, &value->of.b);
	case OPTION_PEER_UID:
	case OPTION_PEER_GID:
	case OPTION_PEER_PID:
		return get_peer((nng_stream *) end, id, &value->of.i);
	default:
		return NNG_EWRITEONLY; /* not reached: find has said so */
	}
}

static nng_err
set(struct pw_end *end, const char *function, const char *name, const struct value *value)
{
	enum option_id id = OPTION_COUNT;
	nng_err error = find(end, function, name, value->type, true, &id);

	if (error != NNG_OK) {
		return error;
	}
	switch (id) {
	case OPTION_LOCAL_ADDRESS:
		return pw_dialer_set_local((nng_stream_dialer *) end, &value->of.addr);
	case OPTION_NO_DELAY:
	case OPTION_KEEP_ALIVE:
		return set_switch(end, id, value->of.b);
	case OPTION_LISTEN_FD:
		return pw_listener_adopt((nng_stream_listener *) end, value->of.i);
	case OPTION_SOCKET_FD:
		return pw_listener_offer((nng_stream_listener *) end, value->of.i);
	case OPTION_PERMISSIONS:
		return pw_listener_set_permissions((nng_stream_listener *) end, value->of.i);
	default:
		return NNG_EREADONLY; /* not reached: find has said so */
	}
}

static nng_err
set_address(struct pw_end *end, const char *function, const char *name, const nng_sockaddr *address)
{
	static const nng_sockaddr none = { .s_family = UINT16_MAX };
	struct value value = { .type = TYPE_ADDR, .of.addr = address != NULL ? *address : none };
	nng_err error = set(end, function, name, &value);

	return error == NNG_EADDRINVAL && address == NULL ? NNG_EINVAL : error;
}

/* A form that no option has: always an error. */
static nng_err
refuse(const struct pw_end *end, const char *function, const char *name, bool set_it)
{
	enum option_id id;

	return find(end, function, name, TYPE_OTHER, set_it, &id);
}

/* ---- the public functions. A get that fails writes nothing. */

#define END(object) ((struct pw_end *) (object))

#define GET(object_type, prefix, suffix, value_type, tag, member)                                                    \
	nng_err prefix##_get_##suffix(object_type *object, const char *name, value_type *value)                      \
	{                                                                                                            \
		struct value got = { .type = tag };                                                                  \
		nng_err error = get(END(object), #prefix "_get_" #suffix, name, &got);                               \
		if (error == NNG_OK && value == NULL) {                                                              \
			error = NNG_EINVAL;                                                                          \
		}                                                                                                    \
		if (error == NNG_OK) {                                                                               \
			*value = got.of.member;                                                                      \
		}                                                                                                    \
		return error;                                                                                        \
	}
#define SET(object_type, prefix, suffix, value_type, tag, member)                                                    \
	nng_err prefix##_set_##suffix(object_type *object, const char *name, value_type value)                       \
	{                                                                                                            \
		struct value given = { .type = tag, .of.member = value };                                            \
		return set(END(object), #prefix "_set_" #suffix, name, &given);                                      \
	}
#define GET_NONE(object_type, prefix, suffix, value_type)                                                            \
	nng_err prefix##_get_##suffix(object_type *object, const char *name, value_type *value)                      \
	{                                                                                                            \
		(void) value;                                                                                        \
		return refuse(END(object), #prefix "_get_" #suffix, name, false);                                    \
	}
#define SET_NONE(object_type, prefix, suffix, value_type)                                                            \
	nng_err prefix##_set_##suffix(object_type *object, const char *name, value_type value)                       \
	{                                                                                                            \
		(void) value;                                                                                        \
		return refuse(END(object), #prefix "_set_" #suffix, name, true);                                     \
	}
#define SET_ADDRESS(object_type, prefix)                                                                             \
	nng_err prefix##_set_addr(object_type *object, const char *name, const nng_sockaddr *value)                  \
	{                                                                                                            \
		return set_address(END(object), #prefix "_set_addr", name, value);                                   \
	}
#define FORMS(object_type, prefix)                                                                                   \
	GET(object_type, prefix, bool, bool, TYPE_BOOL, b)                                                           \
	GET(object_type, prefix, int, int, TYPE_INT, i)                                                              \
	GET(object_type, prefix, addr, nng_sockaddr, TYPE_ADDR, addr)                                                \
	GET_NONE(object_type, prefix, ms, nng_duration)                                                              \
	GET_NONE(object_type, prefix, size, size_t)                                                                  \
	GET_NONE(object_type, prefix, uint64, uint64_t)                                                              \
	GET_NONE(object_type, prefix, string, const char *)                                                          \
	SET(object_type, prefix, bool, bool, TYPE_BOOL, b)                                                           \
	SET(object_type, prefix, int, int, TYPE_INT, i)                                                              \
	SET_ADDRESS(object_type, prefix)                                                                             \
	SET_NONE(object_type, prefix, ms, nng_duration)                                                              \
	SET_NONE(object_type, prefix, size, size_t)                                                                  \
	SET_NONE(object_type, prefix, uint64, uint64_t)                                                              \
	SET_NONE(object_type, prefix, string, const char *)

FORMS(nng_stream, nng_stream)
FORMS(nng_stream_dialer, nng_stream_dialer)
FORMS(nng_stream_listener, nng_stream_listener)

/* SPDX-License-Identifier: MIT
 *
 * option.c: get and set of options, on streams, dialers and listeners.
 *
 *   option                  type   stream            dialer             listener
 *   NNG_OPT_BOUND_PORT      int    get (TCP)         -                  get (TCP, after listen)
 *   NNG_OPT_TCP_NODELAY     bool   get, set (TCP)    get, set (TCP)     get, set (TCP)
 *   NNG_OPT_TCP_KEEPALIVE   bool   get, set (TCP)    get, set (TCP)     get, set (TCP)
 *
 * A stream's TCP options are the socket's; the call is made in the caller, with a hold on the descriptor (end.c, I4).
 * Those of a dialer and a listener are what their later streams begin with.
 *
 * Any thread; lock-free.
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
	TYPE_OTHER, /* ms, size, uint64, string, address: no option has them */
};

enum option_id {
	OPTION_BOUND_PORT,
	OPTION_NO_DELAY,
	OPTION_KEEP_ALIVE,
	OPTION_COUNT,
};

static const struct option {
	const char *name;
	enum option_type type;
	bool settable;
	int level; /* of the socket option */
	int socket_option;
} options[OPTION_COUNT] = {
	[OPTION_BOUND_PORT] = { NNG_OPT_BOUND_PORT, TYPE_INT, false, 0, 0 },
	[OPTION_NO_DELAY] = { NNG_OPT_TCP_NODELAY, TYPE_BOOL, true, IPPROTO_TCP, TCP_NODELAY },
	[OPTION_KEEP_ALIVE] = { NNG_OPT_TCP_KEEPALIVE, TYPE_BOOL, true, SOL_SOCKET, SO_KEEPALIVE },
};

static bool
is_tcp(const struct pw_end *end)
{
	if (end->kind == &pw_stream_kind) {
		return ((const nng_stream *) end)->tcp;
	}
	if (end->kind == &pw_listener_kind) {
		return ((const nng_stream_listener *) end)->url.kind == PW_URL_TCP;
	}
	return ((const nng_stream_dialer *) end)->url.kind == PW_URL_TCP;
}

/* What `end` answers to a get or set of `name` with a value of that type. NNG_OK: *id is the option. */
static nng_err
find(const struct pw_end *end, const char *function, const char *name, enum option_type type, bool set,
    enum option_id *id)
{
	if (!pw_end_usable(end, function)) {
		return NNG_EINVAL;
	}
	if (name == NULL) {
		return NNG_EINVAL;
	}
	for (unsigned i = 0; i < OPTION_COUNT; i++) {
		if (strcmp(name, options[i].name) != 0) {
			continue;
		}
		if (!is_tcp(end) || (i == OPTION_BOUND_PORT && end->kind == &pw_dialer_kind)) {
			return NNG_ENOTSUP;
		}
		if (options[i].type != type) {
			return NNG_EBADTYPE;
		}
		*id = (enum option_id) i;
		return set && !options[i].settable ? NNG_EREADONLY : NNG_OK;
	}
	return NNG_ENOTSUP;
}

/* Where a dialer or listener keeps what its streams begin with. */
static pw_a8 *
kept(struct pw_end *end, enum option_id id)
{
	struct pw_tcp_options *tcp = end->kind == &pw_listener_kind ? &((nng_stream_listener *) end)->options
								    : &((nng_stream_dialer *) end)->options;
	return id == OPTION_NO_DELAY ? &tcp->no_delay : &tcp->keep_alive;
}

static nng_err
get_socket(nng_stream *stream, const struct option *option, bool *value)
{
	int got = 0;
	socklen_t size = sizeof(got);

	if (!pw_end_hold(&stream->end)) {
		return NNG_ECLOSED;
	}
	int rv = getsockopt(stream->file.fd, option->level, option->socket_option, &got, &size);
	nng_err error = rv == 0 ? NNG_OK : pw_error_from_errno(errno);
	pw_end_unhold(&stream->end, 0, 0);
	if (error == NNG_OK) {
		*value = got != 0;
	}
	return error;
}

static nng_err
set_socket(nng_stream *stream, const struct option *option, bool value)
{
	int wanted = value ? 1 : 0;

	if (!pw_end_hold(&stream->end)) {
		return NNG_ECLOSED;
	}
	int rv = setsockopt(stream->file.fd, option->level, option->socket_option, &wanted, sizeof(wanted));
	nng_err error = rv == 0 ? NNG_OK : pw_error_from_errno(errno);
	pw_end_unhold(&stream->end, 0, 0);
	return error;
}

static nng_err
get_bool(struct pw_end *end, const char *function, const char *name, bool *value)
{
	enum option_id id;
	nng_err error = find(end, function, name, TYPE_BOOL, false, &id);

	if (error == NNG_OK && end->kind == &pw_stream_kind) {
		error = get_socket((nng_stream *) end, &options[id], value);
	} else if (error == NNG_OK) {
		*value = pw_load_relaxed_8(kept(end, id)) != 0;
	}
	return error;
}

static nng_err
set_bool(struct pw_end *end, const char *function, const char *name, bool value)
{
	enum option_id id;
	nng_err error = find(end, function, name, TYPE_BOOL, true, &id);

	if (error == NNG_OK && end->kind == &pw_stream_kind) {
		error = set_socket((nng_stream *) end, &options[id], value);
	} else if (error == NNG_OK) {
		pw_store_relaxed_8(kept(end, id), value ? 1 : 0);
	}
	return error;
}

/* The one option of this type is the port. */
static nng_err
get_int(struct pw_end *end, const char *function, const char *name, int *value)
{
	enum option_id id;
	nng_err error = find(end, function, name, TYPE_INT, false, &id);

	if (error != NNG_OK) {
		return error;
	}
	if (end->kind == &pw_stream_kind) {
		*value = (int) nng_sockaddr_port(&((nng_stream *) end)->self);
		return NNG_OK;
	}
	if ((pw_load_acquire_64(&end->word) & PW_END_BOUND) == 0) { /* P14 */
		return NNG_ESTATE;
	}
	*value = (int) nng_sockaddr_port(&((nng_stream_listener *) end)->bound);
	return NNG_OK;
}

/* A set of the port, or a form that no option has: always an error. */
static nng_err
refuse(const struct pw_end *end, const char *function, const char *name, enum option_type type, bool set)
{
	enum option_id id;

	return find(end, function, name, type, set, &id);
}

/* ---- the public functions. A form that no option has never writes its value. */

#define END(object) ((struct pw_end *) (object))

#define GET_FORM(object_type, prefix, suffix, value_type)                                                            \
	nng_err prefix##_get_##suffix(object_type *object, const char *name, value_type *value)                      \
	{                                                                                                            \
		(void) value;                                                                                        \
		return refuse(END(object), #prefix "_get_" #suffix, name, TYPE_OTHER, false);                        \
	}
#define SET_FORM(object_type, prefix, suffix, value_type, type)                                                      \
	nng_err prefix##_set_##suffix(object_type *object, const char *name, value_type value)                       \
	{                                                                                                            \
		(void) value;                                                                                        \
		return refuse(END(object), #prefix "_set_" #suffix, name, type, true);                               \
	}
#define COMMON_FORMS(object_type, prefix)                                                                            \
	nng_err prefix##_get_bool(object_type *object, const char *name, bool *value)                                \
	{                                                                                                            \
		return get_bool(END(object), #prefix "_get_bool", name, value);                                      \
	}                                                                                                            \
	nng_err prefix##_get_int(object_type *object, const char *name, int *value)                                  \
	{                                                                                                            \
		return get_int(END(object), #prefix "_get_int", name, value);                                        \
	}                                                                                                            \
	nng_err prefix##_set_bool(object_type *object, const char *name, bool value)                                 \
	{                                                                                                            \
		return set_bool(END(object), #prefix "_set_bool", name, value);                                      \
	}                                                                                                            \
	SET_FORM(object_type, prefix, int, int, TYPE_INT)                                                            \
	GET_FORM(object_type, prefix, ms, nng_duration)                                                              \
	GET_FORM(object_type, prefix, size, size_t)                                                                  \
	GET_FORM(object_type, prefix, uint64, uint64_t)                                                              \
	GET_FORM(object_type, prefix, string, const char *)
#define MORE_FORMS(object_type, prefix)                                                                              \
	SET_FORM(object_type, prefix, ms, nng_duration, TYPE_OTHER)                                                  \
	SET_FORM(object_type, prefix, size, size_t, TYPE_OTHER)                                                      \
	SET_FORM(object_type, prefix, uint64, uint64_t, TYPE_OTHER)                                                  \
	SET_FORM(object_type, prefix, string, const char *, TYPE_OTHER)                                              \
	SET_FORM(object_type, prefix, addr, const nng_sockaddr *, TYPE_OTHER)

COMMON_FORMS(nng_stream, nng_stream)
COMMON_FORMS(nng_stream_dialer, nng_stream_dialer)
MORE_FORMS(nng_stream_dialer, nng_stream_dialer)
COMMON_FORMS(nng_stream_listener, nng_stream_listener)
MORE_FORMS(nng_stream_listener, nng_stream_listener)

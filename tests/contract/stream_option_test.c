/* SPDX-License-Identifier: MIT
 *
 * stream_option_test.c: CONTRACT 3a: options of streams, dialers and listeners: each with its value, its time, and
 * the codes of whatever is wrong.
 */
#include "stream.h"

static void
expect_switch(struct ends *ends, const char *name, bool at_first)
{
	nng_stream *dialed, *accepted;
	bool value = !at_first;
	unsigned dialed_is = 0;

	assert_int_equal(nng_stream_get_bool(ends->dialed, name, &value), NNG_OK);
	assert_int_equal(value, at_first);
	value = !at_first;
	assert_int_equal(nng_stream_get_bool(ends->accepted, name, &value), NNG_OK);
	assert_int_equal(value, at_first);
	assert_int_equal(nng_stream_dialer_get_bool(ends->dialer, name, &value), NNG_OK);
	assert_int_equal(value, at_first);
	assert_int_equal(nng_stream_listener_get_bool(ends->listener, name, &value), NNG_OK);
	assert_int_equal(value, at_first);

	assert_int_equal(nng_stream_set_bool(ends->dialed, name, !at_first), NNG_OK);
	assert_int_equal(nng_stream_get_bool(ends->dialed, name, &value), NNG_OK);
	assert_int_equal(value, !at_first);

	assert_int_equal(nng_stream_dialer_set_bool(ends->dialer, name, !at_first), NNG_OK);
	assert_int_equal(nng_stream_listener_set_bool(ends->listener, name, !at_first), NNG_OK);
	connect_ends(ends->dialer, ends->listener, &dialed, &accepted);
	assert_int_equal(nng_stream_get_bool(dialed, name, &value), NNG_OK);
	dialed_is = value;
	assert_int_equal(nng_stream_get_bool(accepted, name, &value), NNG_OK);
	assert_int_equal(dialed_is, !at_first);
	assert_int_equal(value, !at_first);
	assert_int_equal(nng_stream_get_bool(ends->accepted, name, &value), NNG_OK); /* made before */
	assert_int_equal(value, at_first);
	nng_stream_free(dialed);
	nng_stream_free(accepted);
}

/* "TCP_NODELAY is on by default, as in NNG." Keepalive is off. Both: get and set on stream, dialer, listener; the
 * later streams of a dialer and a listener begin with what was set. */
static void
stream_tcp_options_are_switches(void **state)
{
	(void) state;
	for (unsigned transport = 0; transport < UNIX; transport++) {
		struct ends ends;
		ends_open(&ends, transport);
		expect_switch(&ends, NNG_OPT_TCP_NODELAY, true);
		expect_switch(&ends, NNG_OPT_TCP_KEEPALIVE, false);
		ends_close(&ends);
	}
}

/* Wrong option, wrong type, wrong time, wrong direction, wrong transport: each has its code, and a get that fails
 * writes nothing. */
static void
stream_wrong_options_have_their_codes(void **state)
{
	struct ends ends;
	nng_stream_listener *listener;
	const nng_sockaddr address = { .s_family = NNG_AF_UNSPEC };
	bool b = true;
	int i = 7;
	nng_duration ms = 7;
	size_t size = 7;
	uint64_t u = 7;
	const char *s = "7";

	(void) state;
	ends_open(&ends, TCP);
	assert_int_equal(nng_stream_get_bool(ends.dialed, "no-such-option", &b), NNG_ENOTSUP);
	assert_int_equal(nng_stream_get_int(ends.dialed, "no-such-option", &i), NNG_ENOTSUP);
	assert_int_equal(nng_stream_get_ms(ends.dialed, "no-such-option", &ms), NNG_ENOTSUP);
	assert_int_equal(nng_stream_set_bool(ends.dialed, "no-such-option", true), NNG_ENOTSUP);
	assert_int_equal(nng_stream_dialer_set_string(ends.dialer, "no-such-option", "x"), NNG_ENOTSUP);
	assert_int_equal(nng_stream_listener_set_ms(ends.listener, "no-such-option", 1), NNG_ENOTSUP);
	assert_int_equal(nng_stream_get_bool(ends.dialed, NULL, &b), NNG_EINVAL);

	assert_int_equal(nng_stream_get_int(ends.dialed, NNG_OPT_TCP_NODELAY, &i), NNG_EBADTYPE);
	assert_int_equal(nng_stream_get_ms(ends.dialed, NNG_OPT_TCP_NODELAY, &ms), NNG_EBADTYPE);
	assert_int_equal(nng_stream_get_size(ends.dialed, NNG_OPT_TCP_NODELAY, &size), NNG_EBADTYPE);
	assert_int_equal(nng_stream_get_uint64(ends.dialed, NNG_OPT_TCP_NODELAY, &u), NNG_EBADTYPE);
	assert_int_equal(nng_stream_get_string(ends.dialed, NNG_OPT_TCP_NODELAY, &s), NNG_EBADTYPE);
	assert_int_equal(nng_stream_set_int(ends.dialed, NNG_OPT_TCP_NODELAY, 1), NNG_EBADTYPE);
	assert_int_equal(nng_stream_dialer_get_int(ends.dialer, NNG_OPT_TCP_KEEPALIVE, &i), NNG_EBADTYPE);
	assert_int_equal(nng_stream_dialer_set_addr(ends.dialer, NNG_OPT_TCP_KEEPALIVE, &address), NNG_EBADTYPE);
	assert_int_equal(nng_stream_dialer_set_ms(ends.dialer, NNG_OPT_TCP_KEEPALIVE, 1), NNG_EBADTYPE);
	assert_int_equal(nng_stream_dialer_set_size(ends.dialer, NNG_OPT_TCP_KEEPALIVE, 1), NNG_EBADTYPE);
	assert_int_equal(nng_stream_dialer_set_uint64(ends.dialer, NNG_OPT_TCP_KEEPALIVE, 1), NNG_EBADTYPE);
	assert_int_equal(nng_stream_listener_get_bool(ends.listener, NNG_OPT_BOUND_PORT, &b), NNG_EBADTYPE);
	assert_int_equal(nng_stream_listener_set_string(ends.listener, NNG_OPT_TCP_NODELAY, "on"), NNG_EBADTYPE);

	assert_int_equal(nng_stream_listener_set_int(ends.listener, NNG_OPT_BOUND_PORT, 1), NNG_EREADONLY);
	assert_int_equal(nng_stream_set_int(ends.dialed, NNG_OPT_BOUND_PORT, 1), NNG_EREADONLY);
	assert_int_equal(nng_stream_dialer_get_int(ends.dialer, NNG_OPT_BOUND_PORT, &i), NNG_ENOTSUP);
	assert_int_equal(nng_stream_listener_get_int(ends.listener, NNG_OPT_LISTEN_FD, &i), NNG_EWRITEONLY);
	assert_int_equal(nng_stream_listener_alloc(&listener, "tcp://127.0.0.1:0"), NNG_OK);
	assert_int_equal(nng_stream_listener_get_int(listener, NNG_OPT_BOUND_PORT, &i), NNG_ESTATE);
	nng_stream_listener_free(listener);
	nng_stream_close(ends.dialed);
	assert_int_equal(nng_stream_get_bool(ends.dialed, NNG_OPT_TCP_NODELAY, &b), NNG_ECLOSED);
	assert_int_equal(nng_stream_set_bool(ends.dialed, NNG_OPT_TCP_NODELAY, true), NNG_ECLOSED);
	assert_true(b && i == 7 && ms == 7 && size == 7 && u == 7 && strcmp(s, "7") == 0);
	assert_int_equal(nng_stream_get_int(ends.accepted, NNG_OPT_TCP_BOUND_PORT, &i), NNG_OK);
	assert_int_equal(i, nng_sockaddr_port(nng_stream_self_addr(ends.accepted)));
	ends_close(&ends);

	ends_open(&ends, UNIX);
	assert_int_equal(nng_stream_get_bool(ends.dialed, NNG_OPT_TCP_NODELAY, &b), NNG_ENOTSUP);
	assert_int_equal(nng_stream_set_bool(ends.accepted, NNG_OPT_TCP_KEEPALIVE, true), NNG_ENOTSUP);
	assert_int_equal(nng_stream_dialer_set_bool(ends.dialer, NNG_OPT_TCP_NODELAY, true), NNG_ENOTSUP);
	assert_int_equal(nng_stream_listener_get_int(ends.listener, NNG_OPT_BOUND_PORT, &i), NNG_ENOTSUP);
	ends_close(&ends);
}

/* ---- every option, every form, every object */

enum kind {
	KIND_TCP,
	KIND_PATH,
	KIND_ABSTRACT,
	KIND_SOCKET,
	KINDS
};

enum class {
	CLASS_STREAM,
	CLASS_DIALER,
	CLASS_LISTENER,
	CLASSES
};

enum form {
	FORM_BOOL,
	FORM_INT,
	FORM_ADDR,
	FORM_MS,
	FORM_SIZE,
	FORM_UINT64,
	FORM_STRING,
	FORMS
};

#define T (1u << KIND_TCP)
#define P (1u << KIND_PATH)
#define A (1u << KIND_ABSTRACT)
#define S (1u << KIND_SOCKET)
#define ALL (T | P | A | S)

/* The table of nng.h once more: which kinds of each class can get it, and set it. */
/* clang-format off */
static const struct expected {
	const char *name;
	enum form form;
	unsigned get[CLASSES];
	unsigned set[CLASSES];
} table[] = {
	{ NNG_OPT_LOCADDR, FORM_ADDR, { ALL, T, ALL }, { 0, T, 0 } },
	{ NNG_OPT_REMADDR, FORM_ADDR, { ALL, 0, 0 }, { 0, 0, 0 } },
	{ NNG_OPT_BOUND_PORT, FORM_INT, { T, 0, T }, { 0, 0, 0 } },
	{ NNG_OPT_TCP_NODELAY, FORM_BOOL, { T, T, T }, { T, T, T } },
	{ NNG_OPT_TCP_KEEPALIVE, FORM_BOOL, { T, T, T }, { T, T, T } },
	{ NNG_OPT_LISTEN_FD, FORM_INT, { 0, 0, 0 }, { 0, 0, T | P | A } },
	{ NNG_OPT_SOCKET_FD, FORM_INT, { 0, 0, 0 }, { 0, 0, S } },
	{ NNG_OPT_IPC_PERMISSIONS, FORM_INT, { 0, 0, 0 }, { 0, 0, P | A } },
	{ NNG_OPT_PEER_UID, FORM_INT, { P | A | S, 0, 0 }, { 0, 0, 0 } },
	{ NNG_OPT_PEER_GID, FORM_INT, { P | A | S, 0, 0 }, { 0, 0, 0 } },
	{ NNG_OPT_PEER_PID, FORM_INT, { P | A | S, 0, 0 }, { 0, 0, 0 } },
	{ NNG_OPT_PEER_ZONEID, FORM_INT, { 0, 0, 0 }, { 0, 0, 0 } },
	/* their names in NNG 1.x */
	{ NNG_OPT_TCP_BOUND_PORT, FORM_INT, { T, 0, T }, { 0, 0, 0 } },
	{ NNG_OPT_IPC_PEER_UID, FORM_INT, { P | A | S, 0, 0 }, { 0, 0, 0 } },
	{ NNG_OPT_IPC_PEER_GID, FORM_INT, { P | A | S, 0, 0 }, { 0, 0, 0 } },
	{ NNG_OPT_IPC_PEER_PID, FORM_INT, { P | A | S, 0, 0 }, { 0, 0, 0 } },
	{ NNG_OPT_IPC_PEER_ZONEID, FORM_INT, { 0, 0, 0 }, { 0, 0, 0 } },
	{ "no-such-option", FORM_INT, { 0, 0, 0 }, { 0, 0, 0 } },
	{ "", FORM_BOOL, { 0, 0, 0 }, { 0, 0, 0 } },
};
/* clang-format on */

union any {
	bool b;
	int i;
	nng_sockaddr addr;
	nng_duration ms;
	size_t size;
	uint64_t u;
	const char *s;
	unsigned char bytes[sizeof(nng_sockaddr)];
};

#define GET(prefix, object)                                                                                          \
	switch (form) {                                                                                              \
	case FORM_BOOL:                                                                                              \
		return prefix##_get_bool(object, name, &value->b);                                                   \
	case FORM_INT:                                                                                               \
		return prefix##_get_int(object, name, &value->i);                                                    \
	case FORM_ADDR:                                                                                              \
		return prefix##_get_addr(object, name, &value->addr);                                                \
	case FORM_MS:                                                                                                \
		return prefix##_get_ms(object, name, &value->ms);                                                    \
	case FORM_SIZE:                                                                                              \
		return prefix##_get_size(object, name, &value->size);                                                \
	case FORM_UINT64:                                                                                            \
		return prefix##_get_uint64(object, name, &value->u);                                                 \
	default:                                                                                                     \
		return prefix##_get_string(object, name, &value->s);                                                 \
	}
#define SET(prefix, object)                                                                                          \
	switch (form) {                                                                                              \
	case FORM_BOOL:                                                                                              \
		return prefix##_set_bool(object, name, true);                                                        \
	case FORM_INT:                                                                                               \
		return prefix##_set_int(object, name, -1);                                                           \
	case FORM_ADDR:                                                                                              \
		return prefix##_set_addr(object, name, &unspecified);                                                \
	case FORM_MS:                                                                                                \
		return prefix##_set_ms(object, name, 1);                                                             \
	case FORM_SIZE:                                                                                              \
		return prefix##_set_size(object, name, 1);                                                           \
	case FORM_UINT64:                                                                                            \
		return prefix##_set_uint64(object, name, 1);                                                         \
	default:                                                                                                     \
		return prefix##_set_string(object, name, "x");                                                       \
	}

static const nng_sockaddr unspecified = { .s_family = NNG_AF_UNSPEC };

static nng_err
get_form(void *object, enum class class, enum form form, const char *name, union any *value)
{
	switch (class) {
	case CLASS_STREAM:
		GET(nng_stream, object)
	case CLASS_DIALER:
		GET(nng_stream_dialer, object)
	default:
		GET(nng_stream_listener, object)
	}
}

static nng_err
set_form(void *object, enum class class, enum form form, const char *name)
{
	switch (class) {
	case CLASS_STREAM:
		SET(nng_stream, object)
	case CLASS_DIALER:
		SET(nng_stream_dialer, object)
	default:
		SET(nng_stream_listener, object)
	}
}

/* NNG_OK: the option is there; what it says to this value is its own matter. */
static nng_err
expected_of(const struct expected *expected, enum class class, enum kind kind, enum form form, bool set)
{
	bool gets = (expected->get[class] & 1u << kind) != 0, sets = (expected->set[class] & 1u << kind) != 0;

	if (set ? !sets : !gets) {
		return gets ? NNG_EREADONLY : sets ? NNG_EWRITEONLY : NNG_ENOTSUP;
	}
	return form == expected->form ? NNG_OK : NNG_EBADTYPE;
}

static void
expect_forms(void *object, enum class class, enum kind kind, const struct expected *expected)
{
	for (unsigned form = 0; form < FORMS; form++) {
		union any value, before;
		memset(&value, 0x5a, sizeof(value));
		before = value;
		nng_err wanted = expected_of(expected, class, kind, form, false);
		nng_err got = get_form(object, class, form, expected->name, &value);
		assert_int_equal(got, wanted);
		if (got != NNG_OK) {
			assert_memory_equal(&value, &before, sizeof(value)); /* a get that fails writes nothing */
		}
		wanted = expected_of(expected, class, kind, form, true);
		got = set_form(object, class, form, expected->name);
		if (wanted != NNG_OK) {
			assert_int_equal(got, wanted);
		} else {
			assert_true(got == NNG_OK || got == NNG_EINVAL || got == NNG_EBUSY);
		}
	}
}

/* "Wrong option, wrong type": every form of every option on every object gives the code of the table in nng.h, and
 * never anything else. Method: streams, dialers and listeners of all four kinds, 19 names, 7 types, get and set. */
static void
stream_options_are_those_of_the_table(void **state)
{
	static const unsigned transport_of[KINDS] = { TCP, UNIX, ABSTRACT, 0 };
	const size_t count = sizeof(table) / sizeof(table[0]);

	(void) state;
	for (unsigned kind = 0; kind < KIND_SOCKET; kind++) {
		struct ends ends;
		ends_open(&ends, transport_of[kind]);
		for (size_t i = 0; i < count; i++) {
			expect_forms(ends.dialed, CLASS_STREAM, kind, &table[i]);
			expect_forms(ends.accepted, CLASS_STREAM, kind, &table[i]);
			expect_forms(ends.dialer, CLASS_DIALER, kind, &table[i]);
			expect_forms(ends.listener, CLASS_LISTENER, kind, &table[i]);
		}
		ends_close(&ends);
	}
	struct ends ends;
	pair_open(&ends);
	for (size_t i = 0; i < count; i++) {
		expect_forms(ends.accepted, CLASS_STREAM, KIND_SOCKET, &table[i]);
		expect_forms(ends.listener, CLASS_LISTENER, KIND_SOCKET, &table[i]);
	}
	ends_close(&ends);
}

/* A name, a place for the value, or an address that is NULL is NNG_EINVAL. */
static void
stream_option_null_is_invalid(void **state)
{
	struct ends ends;

	(void) state;
	ends_open(&ends, TCP);
	assert_int_equal(nng_stream_get_bool(ends.dialed, NNG_OPT_TCP_NODELAY, NULL), NNG_EINVAL);
	assert_int_equal(nng_stream_get_addr(ends.dialed, NNG_OPT_LOCADDR, NULL), NNG_EINVAL);
	assert_int_equal(nng_stream_get_int(ends.dialed, NNG_OPT_BOUND_PORT, NULL), NNG_EINVAL);
	assert_int_equal(nng_stream_dialer_set_addr(ends.dialer, NNG_OPT_LOCADDR, NULL), NNG_EINVAL);
	assert_int_equal(nng_stream_dialer_set_addr(ends.dialer, NULL, &unspecified), NNG_EINVAL);
	assert_int_equal(nng_stream_listener_set_int(ends.listener, NULL, 1), NNG_EINVAL);
	assert_int_equal(nng_stream_set_string(ends.dialed, NULL, "x"), NNG_EINVAL);
	ends_close(&ends);
}

/* ---- addresses */

static nng_sockaddr
address_v4(const char *text, uint16_t port)
{
	nng_sockaddr sa = { .s_in = { .sa_family = NNG_AF_INET, .sa_port = htons(port) } };
	assert_int_equal(inet_pton(AF_INET, text, &sa.s_in.sa_addr), 1);
	return sa;
}

/* NNG_OPT_LOCADDR and NNG_OPT_REMADDR say what self_addr, peer_addr and the bound address say; before a listener
 * listens there is none. */
static void
addresses(struct ends *ends)
{
	nng_sockaddr local, remote, bound;

	assert_int_equal(nng_stream_get_addr(ends->dialed, NNG_OPT_LOCADDR, &local), NNG_OK);
	assert_true(nng_sockaddr_equal(&local, nng_stream_self_addr(ends->dialed)));
	assert_int_equal(nng_stream_get_addr(ends->dialed, NNG_OPT_REMADDR, &remote), NNG_OK);
	assert_true(nng_sockaddr_equal(&remote, nng_stream_peer_addr(ends->dialed)));
	assert_int_equal(nng_stream_listener_get_addr(ends->listener, NNG_OPT_LOCADDR, &bound), NNG_OK);
	assert_true(nng_sockaddr_equal(&remote, &bound));
	assert_int_not_equal(bound.s_family, NNG_AF_UNSPEC);
}

static void
stream_addresses_are_options(void **state)
{
	nng_stream_listener *listener;
	nng_sockaddr none = { .s_family = NNG_AF_INPROC };

	(void) state;
	over_each(addresses);
	assert_int_equal(nng_stream_listener_alloc(&listener, "tcp://127.0.0.1:0"), NNG_OK);
	assert_int_equal(nng_stream_listener_get_addr(listener, NNG_OPT_LOCADDR, &none), NNG_OK);
	assert_int_equal(none.s_family, NNG_AF_UNSPEC);
	nng_stream_listener_free(listener);
}

/* A dialer's local address is where its later streams come from; none again with NNG_AF_UNSPEC. What it cannot be:
 * another family's, one with a port, one that is not of this machine, anything after close. Method: 127.0.0.5, which
 * the accepted end sees. */
static void
stream_dials_from_a_local_address(void **state)
{
	nng_sockaddr from = address_v4("127.0.0.5", 0), with_port = address_v4("127.0.0.5", 80), got;
	nng_sockaddr strange = address_v4("198.51.100.1", 0), path = { .s_ipc = { NNG_AF_IPC, "x" } };
	nng_sockaddr v6 = { .s_in6 = { .sa_family = NNG_AF_INET6, .sa_addr = { [15] = 1 } } };
	struct ends ends;

	(void) state;
	ends_listen(&ends, TCP);
	assert_int_equal(nng_stream_dialer_get_addr(ends.dialer, NNG_OPT_LOCADDR, &got), NNG_OK);
	assert_int_equal(got.s_family, NNG_AF_UNSPEC);
	assert_int_equal(nng_stream_dialer_set_addr(ends.dialer, NNG_OPT_LOCADDR, &from), NNG_OK);
	assert_int_equal(nng_stream_dialer_set_addr(ends.dialer, NNG_OPT_LOCADDR, &with_port), NNG_EADDRINVAL);
	assert_int_equal(nng_stream_dialer_set_addr(ends.dialer, NNG_OPT_LOCADDR, &path), NNG_EADDRINVAL);
	assert_int_equal(nng_stream_dialer_get_addr(ends.dialer, NNG_OPT_LOCADDR, &got), NNG_OK);
	assert_true(nng_sockaddr_equal(&got, &from));
	for (unsigned i = 0; i < 3; i++) {
		connect_ends(ends.dialer, ends.listener, &ends.dialed, &ends.accepted);
		assert_int_equal(nng_stream_peer_addr(ends.accepted)->s_in.sa_addr, from.s_in.sa_addr);
		assert_int_equal(nng_stream_self_addr(ends.dialed)->s_in.sa_addr, from.s_in.sa_addr);
		both_ways(&ends);
		nng_stream_free(ends.dialed);
		nng_stream_free(ends.accepted);
	}
	const nng_sockaddr *wrong[] = { &v6, &strange };
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(nng_stream_dialer_set_addr(ends.dialer, NNG_OPT_LOCADDR, wrong[i]), NNG_OK);
		nng_stream_dialer_dial(ends.dialer, ends.aio);
		assert_int_equal(result_of(ends.aio), NNG_EADDRINVAL);
	}
	assert_int_equal(nng_stream_dialer_set_addr(ends.dialer, NNG_OPT_LOCADDR, &unspecified), NNG_OK);
	connect_ends(ends.dialer, ends.listener, &ends.dialed, &ends.accepted);
	assert_int_equal(nng_stream_peer_addr(ends.accepted)->s_in.sa_addr, htonl(INADDR_LOOPBACK));
	nng_stream_dialer_close(ends.dialer);
	assert_int_equal(nng_stream_dialer_set_addr(ends.dialer, NNG_OPT_LOCADDR, &from), NNG_ECLOSED);
	ends_close(&ends);
}

/* ---- the file's mode */

/* NNG_OPT_IPC_PERMISSIONS is the mode of the socket's file, whatever the umask; before listen only; a mode alone. */
static void
stream_file_has_its_mode(void **state)
{
	static const int modes[] = { 0600, 0777, 0, 04755, 07777 };
	char url[160];
	struct stat st;
	nng_stream_listener *listener;

	(void) state;
	dial_url(url, sizeof(url), UNIX, NULL);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(nng_stream_listener_alloc(&listener, url), NNG_OK);
		assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, -1), NNG_EINVAL);
		assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, 010000), NNG_EINVAL);
		assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, S_IFREG | 0600),
		    NNG_EINVAL);
		assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, modes[i]), NNG_OK);
		assert_int_equal(nng_stream_listener_listen(listener), NNG_OK);
		assert_int_equal(stat(url + strlen("ipc://"), &st), 0);
		assert_int_equal(st.st_mode, S_IFSOCK | (unsigned) modes[i]);
		assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, 0600), NNG_EBUSY);
		nng_stream_listener_close(listener);
		assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, 0600), NNG_ECLOSED);
		nng_stream_listener_free(listener);
	}
	assert_int_equal(nng_stream_listener_alloc(&listener, "abstract://"), NNG_OK);
	assert_int_equal(nng_stream_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, 0600), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(listener), NNG_OK);
	nng_stream_listener_free(listener);
}

/* ---- the process at the other end */

static void
expect_peer(nng_stream *stream, pid_t pid)
{
	int uid, gid, got;

	assert_int_equal(nng_stream_get_int(stream, NNG_OPT_PEER_UID, &uid), NNG_OK);
	assert_int_equal(uid, getuid());
	assert_int_equal(nng_stream_get_int(stream, NNG_OPT_PEER_GID, &gid), NNG_OK);
	assert_int_equal(gid, getgid());
	assert_int_equal(nng_stream_get_int(stream, NNG_OPT_PEER_PID, &got), NNG_OK);
	assert_int_equal(got, pid);
}

/* A Unix-domain stream knows who is at the other end, also when that process is gone. Method: this process, both
 * ends; a child that connects and ends. */
static void
stream_knows_its_peer_process(void **state)
{
	struct ends ends;
	int value;

	(void) state;
	for (unsigned transport = UNIX; transport <= ABSTRACT; transport++) {
		ends_open(&ends, transport);
		expect_peer(ends.dialed, getpid());
		expect_peer(ends.accepted, getpid());
		nng_stream_close(ends.dialed);
		assert_int_equal(nng_stream_get_int(ends.dialed, NNG_OPT_PEER_PID, &value), NNG_ECLOSED);
		ends_close(&ends);
	}
	ends_listen(&ends, UNIX);
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	(void) snprintf(un.sun_path, sizeof(un.sun_path), "%s/socket", directory);
	pid_t child = fork();
	if (child == 0) { /* makes system calls only */
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		_exit(connect(fd, (struct sockaddr *) &un, sizeof(un)));
	}
	assert_int_equal(waitpid(child, &value, 0), child);
	assert_int_equal(value, 0);
	nng_stream_listener_accept(ends.listener, ends.aio);
	assert_int_equal(result_of(ends.aio), NNG_OK);
	ends.accepted = nng_aio_get_output(ends.aio, 0);
	expect_peer(ends.accepted, child);
	ends_close(&ends);
}

/* ---- what there is not */

/* TLS and security descriptors: NNG_ENOTSUP, and nothing is written. */
static void
stream_tls_is_not_supported(void **state)
{
	struct ends ends;
	nng_tls_config *config = (nng_tls_config *) (void *) &ends;
	nng_tls_cert *cert = (nng_tls_cert *) (void *) &ends;

	(void) state;
	ends_open(&ends, TCP);
	assert_int_equal(nng_stream_peer_cert(ends.dialed, &cert), NNG_ENOTSUP);
	assert_int_equal(nng_stream_dialer_get_tls(ends.dialer, &config), NNG_ENOTSUP);
	assert_int_equal(nng_stream_dialer_set_tls(ends.dialer, config), NNG_ENOTSUP);
	assert_int_equal(nng_stream_listener_get_tls(ends.listener, &config), NNG_ENOTSUP);
	assert_int_equal(nng_stream_listener_set_tls(ends.listener, config), NNG_ENOTSUP);
	assert_int_equal(nng_stream_listener_set_security_descriptor(ends.listener, NULL), NNG_ENOTSUP);
	assert_ptr_equal(config, &ends);
	assert_ptr_equal(cert, &ends);
	ends_close(&ends);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(stream_tcp_options_are_switches),
		TEST_TWO(stream_wrong_options_have_their_codes),
		TEST_TWO(stream_options_are_those_of_the_table),
		TEST_TWO(stream_option_null_is_invalid),
		TEST_TWO(stream_addresses_are_options),
		TEST_TWO(stream_dials_from_a_local_address),
		TEST_TWO(stream_file_has_its_mode),
		TEST_TWO(stream_knows_its_peer_process),
		TEST_TWO(stream_tls_is_not_supported),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}

/* SPDX-License-Identifier: MIT
 *
 * header_test.c: what programs written for NNG 1.x and 2.x need of the public headers, in C. Most of it is decided by
 * the compiler (a failure is a build that stops, warnings being errors here); the C++ half is header_cxx_test.cc.
 *
 * What it is not: a test of the engine. No function of the library is called.
 */
#pragma GCC diagnostic error "-Wall"
#pragma GCC diagnostic error "-Wextra"
#pragma GCC diagnostic error "-Wpedantic"
#pragma GCC diagnostic error "-Wincompatible-pointer-types"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <nng/nng.h>
#include <pinwheel/pinwheel.h>

#include <cmocka.h>

#define IS(expression, type) _Generic((expression), type : 1, default : 0)

/* The codes, their values, and that a code is an int (R25, R20). */
_Static_assert(IS((nng_err) 0, int), "nng_err is int");
_Static_assert(NNG_OK == 0 && NNG_EINTR == 1 && NNG_ENOMEM == 2 && NNG_EINVAL == 3, "values");
_Static_assert(NNG_EBUSY == 4 && NNG_ETIMEDOUT == 5 && NNG_ECONNREFUSED == 6 && NNG_ECLOSED == 7, "values");
_Static_assert(NNG_EAGAIN == 8 && NNG_ENOTSUP == 9 && NNG_EADDRINUSE == 10 && NNG_ESTATE == 11, "values");
_Static_assert(NNG_ENOENT == 12 && NNG_EPROTO == 13 && NNG_EUNREACHABLE == 14 && NNG_EADDRINVAL == 15, "values");
_Static_assert(NNG_EPERM == 16 && NNG_EMSGSIZE == 17 && NNG_ECONNABORTED == 18 && NNG_ECONNRESET == 19, "values");
_Static_assert(NNG_ECANCELED == 20 && NNG_ENOFILES == 21 && NNG_ENOSPC == 22 && NNG_EEXIST == 23, "values");
_Static_assert(NNG_EREADONLY == 24 && NNG_EWRITEONLY == 25 && NNG_ECRYPTO == 26 && NNG_EPEERAUTH == 27, "values");
_Static_assert(NNG_ENOARG == 28 && NNG_EAMBIGUOUS == 29 && NNG_EBADTYPE == 30 && NNG_ECONNSHUT == 31, "values");
_Static_assert(NNG_ESTOPPED == 999 && NNG_EINTERNAL == 1000, "values");
_Static_assert(NNG_ESYSERR == 0x10000000 && NNG_ETRANERR == 0x20000000, "values");

/* Versions, durations, families, limits. */
_Static_assert(NNG_MAJOR_VERSION == 2 && NNG_MINOR_VERSION == 0 && NNG_PATCH_VERSION == 0, "version");
_Static_assert(PINWHEEL_VERSION_MAJOR == 0 && PINWHEEL_VERSION_MINOR == 1 && PINWHEEL_VERSION_PATCH == 0, "version");
_Static_assert(IS((nng_duration) 0, int32_t) && IS((nng_time) 0, uint64_t), "time types");
_Static_assert(NNG_DURATION_INFINITE == -1 && NNG_DURATION_DEFAULT == -2 && NNG_DURATION_ZERO == 0, "durations");
_Static_assert(NNG_AF_UNSPEC == 0 && NNG_AF_INPROC == 1 && NNG_AF_IPC == 2, "families");
_Static_assert(NNG_AF_INET == 3 && NNG_AF_INET6 == 4 && NNG_AF_ABSTRACT == 5, "families");
_Static_assert(NNG_MAXADDRLEN == 128 && NNG_MAXADDRSTRLEN == 144, "limits");
_Static_assert(NNG_LOG_NONE == 0 && NNG_LOG_ERR == 3 && NNG_LOG_WARN == 4 && NNG_LOG_NOTICE == 5, "levels");
_Static_assert(NNG_LOG_INFO == 6 && NNG_LOG_DEBUG == 7, "levels");
_Static_assert(NNG_LOG_USER == 1 && NNG_LOG_DAEMON == 3 && NNG_LOG_AUTH == 10 && NNG_LOG_LOCAL0 == 16, "facilities");
_Static_assert(NNG_LOG_LOCAL7 == 23, "facilities");

/* Layouts of NNG 2.x, which programs fill member by member. */
_Static_assert(sizeof(nng_iov) == sizeof(void *) + sizeof(size_t) && offsetof(nng_iov, iov_buf) == 0, "nng_iov");
_Static_assert(sizeof(nng_sockaddr) == sizeof(nng_sockaddr_storage) && sizeof(nng_sockaddr) == 136, "nng_sockaddr");
_Static_assert(sizeof(nng_sockaddr_in) == 8 && offsetof(nng_sockaddr_in, sa_addr) == 4, "nng_sockaddr_in");
_Static_assert(sizeof(nng_sockaddr_in6) == 24 && offsetof(nng_sockaddr_in6, sa_addr) == 8, "nng_sockaddr_in6");
_Static_assert(sizeof(nng_sockaddr_ipc) == 130 && offsetof(nng_sockaddr_ipc, sa_path) == 2, "nng_sockaddr_ipc");
_Static_assert(sizeof(nng_sockaddr_inproc) == 130, "nng_sockaddr_inproc");
_Static_assert(sizeof(((nng_sockaddr_abstract *) 0)->sa_name) == 107, "nng_sockaddr_abstract");

/* Signatures: a program may store any of these in a pointer of NNG's type. */
_Static_assert(IS(&nng_aio_alloc, nng_err (*)(nng_aio **, void (*)(void *), void *)), "nng_aio_alloc");
_Static_assert(IS(&nng_aio_abort, void (*)(nng_aio *, nng_err)), "nng_aio_abort");
_Static_assert(IS(&nng_aio_result, nng_err (*)(nng_aio *)), "nng_aio_result");
_Static_assert(IS(&nng_aio_set_iov, nng_err (*)(nng_aio *, unsigned, const nng_iov *)), "nng_aio_set_iov");
_Static_assert(IS(&nng_aio_set_input, nng_err (*)(nng_aio *, unsigned, void *)), "nng_aio_set_input");
_Static_assert(IS(&nng_aio_start, bool (*)(nng_aio *, nng_aio_cancelfn, void *)), "nng_aio_start");
_Static_assert(IS(&nng_aio_begin, bool (*)(nng_aio *)), "nng_aio_begin");
_Static_assert(IS(&nng_aio_defer, void (*)(nng_aio *, nng_aio_cancelfn, void *)), "nng_aio_defer");
_Static_assert(IS(&nng_aio_finish, void (*)(nng_aio *, nng_err)), "nng_aio_finish");
_Static_assert(IS(&nng_aio_skip_callback, void (*)(nng_aio *, bool *)), "nng_aio_skip_callback");
_Static_assert(IS(&nng_sleep_aio, void (*)(nng_duration, nng_aio *)), "nng_sleep_aio");
_Static_assert(IS(&nng_init, nng_err (*)(const nng_init_params *)), "nng_init");
_Static_assert(IS(&nng_strerror, const char *(*) (nng_err)), "nng_strerror");
_Static_assert(IS(&nng_msg_alloc, int (*)(nng_msg **, size_t)), "nng_msg_alloc");
_Static_assert(IS(&nng_msg_dup, int (*)(nng_msg **, const nng_msg *)), "nng_msg_dup");
_Static_assert(IS(&nng_msg_capacity, size_t(*)(nng_msg *)), "nng_msg_capacity");
_Static_assert(IS(&nng_msg_len, size_t(*)(const nng_msg *)), "nng_msg_len");
_Static_assert(IS(&nng_msg_append, int (*)(nng_msg *, const void *, size_t)), "nng_msg_append");
_Static_assert(IS(&nng_msg_header_trim_u16, int (*)(nng_msg *, uint16_t *)), "nng_msg_header_trim_u16");
_Static_assert(IS(&nng_msg_chop_u64, int (*)(nng_msg *, uint64_t *)), "nng_msg_chop_u64");
_Static_assert(IS(&nng_msg_set_pipe, void (*)(nng_msg *, nng_pipe)), "nng_msg_set_pipe");
_Static_assert(IS(&nng_msg_get_pipe, nng_pipe(*)(const nng_msg *)), "nng_msg_get_pipe");
_Static_assert(IS(&nng_pipe_id, int (*)(nng_pipe)), "nng_pipe_id");
_Static_assert(IS(((nng_pipe) NNG_PIPE_INITIALIZER).id, uint32_t), "nng_pipe");
_Static_assert(IS(&nng_free, void (*)(void *, size_t)), "nng_free");
_Static_assert(IS(&nng_strdup, char *(*) (const char *) ), "nng_strdup");
_Static_assert(IS(&nng_thread_create, int (*)(nng_thread **, void (*)(void *), void *)), "nng_thread_create");
_Static_assert(IS(&nng_cv_until, int (*)(nng_cv *, nng_time)), "nng_cv_until");
_Static_assert(IS(&nng_random, uint32_t(*)(void)), "nng_random");
_Static_assert(IS(&nng_stderr_logger, nng_logger), "nng_stderr_logger");
_Static_assert(IS(&nng_log_auth, void (*)(nng_log_level, const char *, const char *, ...)), "nng_log_auth");
_Static_assert(IS(&nng_stream_dialer_alloc, nng_err (*)(nng_stream_dialer **, const char *)), "dialer alloc");
_Static_assert(IS(&nng_stream_peer_addr, const nng_sockaddr *(*) (nng_stream *) ), "peer_addr");

static int calls_1x;
static int calls_2x;

/* As a provider for 1.x declares it. */
static void
cancel_1x(nng_aio *aio, void *arg, int err)
{
	(void) aio;
	calls_1x += arg == &calls_1x && err == NNG_ECANCELED;
}

/* As a provider for 2.x declares it. */
static void
cancel_2x(nng_aio *aio, void *arg, nng_err err)
{
	(void) aio;
	calls_2x += arg == &calls_2x && err == NNG_ETIMEDOUT;
}

/* Providers and consumers as both versions write them. Never called: that they compile without a cast is the test. */
__attribute__((unused)) static void
provider_1x(nng_aio *aio)
{
	if (nng_aio_begin(aio)) {
		nng_aio_defer(aio, cancel_1x, &calls_1x);
		nng_aio_defer(aio, cancel_2x, &calls_2x);
		nng_aio_finish(aio, 0);
	}
}

__attribute__((unused)) static void
provider_2x(nng_aio *aio)
{
	nng_aio_reset(aio);
	if (nng_aio_start(aio, cancel_2x, &calls_2x) || nng_aio_start(aio, cancel_1x, &calls_1x)) {
		nng_aio_finish(aio, NNG_OK);
	}
}

__attribute__((unused)) static int
consumer(nng_aio *aio)
{
	char byte[1];
	nng_iov changing = { .iov_buf = byte, .iov_len = sizeof(byte) };
	const nng_iov constant = changing;
	nng_aio_set_iov(aio, 1, &changing); /* the chapter's second form: nothing returned, const or not */
	nng_aio_set_iov(aio, 1, &constant);
	int first_form = nng_aio_set_iov(aio, 1, &changing);
	nng_err rv = nng_aio_set_iov(aio, 1, &constant);
	nng_aio_set_input(aio, 0, byte); /* the chapter's form: nothing returned */
	nng_aio_abort(aio, NNG_ECANCELED);
	switch (nng_aio_result(aio)) {
	case NNG_OK:
		return first_form;
	case NNG_ECANCELED:
	default:
		return rv;
	}
}

/* Law: one cancel function type takes a function declared for 1.x and one declared for 2.x (R25).
 * Method: both through the type, called. */
static void
header_cancel_functions_of_both_versions_are_one_type(void **state)
{
	(void) state;
	nng_aio_cancelfn fn = cancel_1x;
	fn(NULL, &calls_1x, NNG_ECANCELED);
	fn = cancel_2x;
	fn(NULL, &calls_2x, NNG_ETIMEDOUT);
	assert_int_equal(calls_1x, 1);
	assert_int_equal(calls_2x, 1);
}

/* Law: PINWHEEL_CONFIG_INIT sets the size and leaves every choice to the environment and the defaults.
 * Method: every field, by name. */
static void
header_config_init_chooses_nothing(void **state)
{
	(void) state;
	const struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	assert_int_equal(config.size, sizeof(config));
	assert_null(config.cpus);
	assert_int_equal(config.shards, 0);
	assert_int_equal(config.lent_shards, 0);
	assert_int_equal(config.idle, PINWHEEL_IDLE_DEFAULT);
	assert_int_equal(config.poller, PINWHEEL_POLLER_DEFAULT);
	assert_int_equal(config.priority, 0);
	assert_int_equal(config.turn_budget, 0);
	assert_int_equal(config.tick_ns, 0);
	assert_int_equal(config.spin_ns, 0);
	assert_int_equal(config.long_turn_ns, 0);
	assert_true(config.on_thread_start == NULL);
	assert_null(config.on_thread_start_arg);
	assert_true(config.on_log == NULL);
	assert_null(config.on_log_arg);
}

/* Law: the version text is the version numbers'. */
static void
header_version_text_matches_its_numbers(void **state)
{
	(void) state;
#define TEXT(x) #x
#define VERSION(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)
	assert_string_equal(PINWHEEL_VERSION_STRING,
	    VERSION(PINWHEEL_VERSION_MAJOR, PINWHEEL_VERSION_MINOR, PINWHEEL_VERSION_PATCH));
}

/* Law: the options have NNG's names, the 1.x name of the port included. */
static void
header_options_have_their_names(void **state)
{
	(void) state;
	assert_string_equal(NNG_OPT_BOUND_PORT, "bound-port");
	assert_string_equal(NNG_OPT_TCP_BOUND_PORT, NNG_OPT_BOUND_PORT);
	assert_string_equal(NNG_OPT_TCP_NODELAY, "tcp-nodelay");
	assert_string_equal(NNG_OPT_TCP_KEEPALIVE, "tcp-keepalive");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_cancel_functions_of_both_versions_are_one_type),
		cmocka_unit_test(header_config_init_chooses_nothing),
		cmocka_unit_test(header_version_text_matches_its_numbers),
		cmocka_unit_test(header_options_have_their_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * header_cxx_test.cc: what C++17 programs written for NNG 2.x need of the public headers. Most of it is decided by
 * the compiler; the C half, with the values, is header_test.c. No function of the library is called.
 */
#pragma GCC diagnostic error "-Wall"
#pragma GCC diagnostic error "-Wextra"
#pragma GCC diagnostic error "-Wpedantic"

#include <nng/nng.h>
#include <pinwheel/pinwheel.h>

#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <type_traits>

extern "C" {
#include <cmocka.h>
}

static_assert(std::is_same<nng_err, int>::value, "nng_err is int (R25)");
static_assert(std::is_same<nng_aio_cancelfn, void (*)(nng_aio *, void *, int)>::value, "the 1.x form");
static_assert(std::is_same<nng_aio_cancelfn, void (*)(nng_aio *, void *, nng_err)>::value, "the 2.x form");
static_assert(std::is_same<decltype(nng_aio_start), bool(nng_aio *, nng_aio_cancelfn, void *)>::value, "start");
static_assert(std::is_same<decltype(nng_aio_set_iov), nng_err(nng_aio *, unsigned, const nng_iov *)>::value, "iov");
static_assert(std::is_same<nng_duration, std::int32_t>::value, "milliseconds");
static_assert(std::is_same<nng_time, std::uint64_t>::value, "milliseconds");
static_assert(std::is_same<decltype(nng_msg_dup), int(nng_msg **, const nng_msg *)>::value, "msg dup");
static_assert(std::is_same<decltype(nng_msg_get_pipe), nng_pipe(const nng_msg *)>::value, "msg pipe");
static_assert(std::is_same<decltype(nng_cv_until), int(nng_cv *, nng_time)>::value, "cv until");
static_assert(std::is_same<decltype(&nng_null_logger), nng_logger>::value, "logger");
static_assert(NNG_ESTOPPED == 999 && NNG_ESYSERR == 0x10000000, "values");
static_assert(sizeof(nng_sockaddr) == 136 && sizeof(nng_iov) == 16, "layouts");
static_assert(std::is_standard_layout<pinwheel_config>::value, "a C layout");
static_assert(std::is_standard_layout<nng_init_params>::value, "a C layout");

namespace {

int calls_1x;
int calls_2x;

void
cancel_1x(nng_aio *, void *arg, int err)
{
	calls_1x += arg == &calls_1x && err == NNG_ECANCELED;
}

void
cancel_2x(nng_aio *, void *arg, nng_err err)
{
	calls_2x += arg == &calls_2x && err == NNG_ETIMEDOUT;
}

/* Never called: that they compile without a cast is the test. */
[[maybe_unused]] void
provider(nng_aio *aio)
{
	if (nng_aio_begin(aio)) {
		nng_aio_defer(aio, cancel_1x, &calls_1x);
		nng_aio_defer(aio, cancel_2x, &calls_2x);
	}
	nng_aio_reset(aio);
	if (nng_aio_start(aio, cancel_1x, &calls_1x) || nng_aio_start(aio, cancel_2x, nullptr)) {
		nng_aio_finish(aio, NNG_OK);
	}
}

[[maybe_unused]] nng_err
consumer()
{
	nng_aio *aio = nullptr;
	nng_err rv = nng_aio_alloc(&aio, [](void *) {}, nullptr);
	if (rv != NNG_OK) {
		return rv;
	}
	char byte[1];
	nng_iov changing{byte, sizeof(byte)};
	const nng_iov constant{byte, sizeof(byte)};
	nng_aio_set_iov(aio, 1, &changing);
	int first_form = nng_aio_set_iov(aio, 1, &constant);
	pinwheel_aio_set_deadline_ns(aio, pinwheel_clock_ns() + 1);
	switch (nng_aio_result(aio)) {
	case NNG_OK:
		return first_form;
	case NNG_ECANCELED:
	default:
		return pinwheel_aio_wait_until(aio, PINWHEEL_NEVER_NS);
	}
}

[[maybe_unused]] int
neighbours()
{
	static const auto logger = [](nng_log_level level, nng_log_facility, const char *, const char *) {
		(void) level;
	};
	nng_log_set_logger(logger);
	nng_log_err("ID", "%d", 1);
	nng_mtx *mtx;
	nng_cv *cv;
	nng_thread *thread;
	nng_msg *msg;
	nng_pipe pipe = NNG_PIPE_INITIALIZER;
	int rv = nng_mtx_alloc(&mtx);
	if (rv != 0 || (rv = nng_cv_alloc(&cv, mtx)) != 0 || (rv = nng_msg_alloc(&msg, 8)) != 0 ||
	    (rv = nng_thread_create(&thread, [](void *arg) { nng_cv_wake(static_cast<nng_cv *>(arg)); }, cv)) != 0) {
		return rv;
	}
	nng_msg_set_pipe(msg, pipe);
	auto *bytes = static_cast<char *>(nng_msg_body(msg));
	const void *read = pinwheel_msg_body(msg);
	return bytes == read && nng_cv_until(cv, nng_clock() + 1) == NNG_ETIMEDOUT;
}

/* Law: one cancel function type takes a function declared for 1.x and one declared for 2.x, in C++ too (R25).
 * Method: both through the type, called. */
void
header_cancel_functions_of_both_versions_are_one_type(void **)
{
	nng_aio_cancelfn fn = cancel_1x;
	fn(nullptr, &calls_1x, NNG_ECANCELED);
	fn = cancel_2x;
	fn(nullptr, &calls_2x, NNG_ETIMEDOUT);
	assert_int_equal(calls_1x, 1);
	assert_int_equal(calls_2x, 1);
}

/* Law: PINWHEEL_CONFIG_INIT initialises in C++, and chooses nothing. */
void
header_config_init_chooses_nothing(void **)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	assert_int_equal(config.size, sizeof(config));
	assert_true(config.cpus == nullptr && config.shards == 0 && config.lent_shards == 0 && config.priority == 0);
	assert_int_equal(config.idle, PINWHEEL_IDLE_DEFAULT);
	assert_int_equal(config.poller, PINWHEEL_POLLER_DEFAULT);
	assert_true(config.on_thread_start == nullptr && config.on_log == nullptr && config.on_log_arg == nullptr);
	config.on_log = [](const char *, void *) {};
	assert_true(config.on_log != nullptr);
}

} // namespace

int
main()
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_cancel_functions_of_both_versions_are_one_type),
		cmocka_unit_test(header_config_init_chooses_nothing),
	};
	return cmocka_run_group_tests(tests, nullptr, nullptr);
}

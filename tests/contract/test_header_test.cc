// SPDX-License-Identifier: MIT
//
// test_header_test.cc: <pinwheel/test.h> serves a C++ program: a provider written in it, and time by hand.
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>

extern "C" {
#include <cmocka.h>
}

#include <pinwheel/test.h>

static void
start(void *, nng_aio *aio)
{
	if (nng_aio_begin(aio)) {
		nng_aio_finish(aio, NNG_OK);
	}
}

static void
ignore(void *, nng_aio *)
{
}

const struct pinwheel_provider *
pinwheel_provider_get()
{
	static struct pinwheel_provider provider;

	provider.version = PINWHEEL_PROVIDER_VERSION;
	provider.start = start;
	provider.complete = ignore;
	return &provider;
}

// Law: what a C++ program exports is of the type that the storm looks for, and its operations are as any other.
static void
provider_can_be_written_in_cxx(void **)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	pinwheel_provider_get_fn get = pinwheel_provider_get;
	nng_aio *aio = nullptr;

	config.shards = PINWHEEL_NONE;
	config.lent_shards = 1;
	assert_int_equal(pinwheel_start(&config), NNG_OK);
	assert_int_equal(nng_aio_alloc(&aio, nullptr, nullptr), NNG_OK);
	get()->start(nullptr, aio);
	assert_true(nng_aio_busy(aio));
	assert_true(pinwheel_test_run_ns(0, 0) > 0);
	assert_false(nng_aio_busy(aio));
	assert_int_equal(nng_aio_result(aio), NNG_OK);
	get()->complete(nullptr, aio);
	nng_aio_free(aio);
	nng_fini();
}

// Law: the functions of pinwheel_test have C linkage.
static void
time_is_moved_from_cxx(void **)
{
	uint64_t began_ns = pinwheel_clock_ns();

	pinwheel_test_advance_ns(5);
	assert_int_equal(pinwheel_clock_ns(), began_ns + 5);
}

int
main()
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(provider_can_be_written_in_cxx),
		cmocka_unit_test(time_is_moved_from_cxx),
	};
	return cmocka_run_group_tests(tests, nullptr, nullptr);
}

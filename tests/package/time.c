/* SPDX-License-Identifier: MIT
 *
 * time.c: the smallest test that a user builds with pinwheel_test: an hour passes at once, and exits with 0 when what
 * was to happen in it has happened, not before.
 */
#include <pinwheel/test.h>

int
main(void)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	nng_aio *aio;

	config.shards = PINWHEEL_NONE;
	config.lent_shards = 1;
	if (pinwheel_start(&config) != NNG_OK || nng_aio_alloc(&aio, NULL, NULL) != NNG_OK) {
		return 1;
	}
	nng_sleep_aio(3600 * 1000, aio);
	int failed = pinwheel_test_run_ns(0, UINT64_C(3599999000000)) < 0 || !nng_aio_busy(aio);
	failed = failed || pinwheel_test_run_ns(0, UINT64_C(2000000)) < 0 || nng_aio_busy(aio);
	failed = failed || nng_aio_result(aio) != NNG_OK;
	nng_aio_free(aio);
	nng_fini();
	return failed;
}

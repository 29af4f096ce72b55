/* SPDX-License-Identifier: MIT
 *
 * hello.c: the smallest program a user builds against an installed pinwheel: sleeps a millisecond, and exits with 0
 * when the sleep said so.
 */
#include <pinwheel/pinwheel.h>

int
main(void)
{
	nng_aio *aio;

	if (nng_init(NULL) != NNG_OK || nng_aio_alloc(&aio, NULL, NULL) != NNG_OK) {
		return 1;
	}
	nng_sleep_aio(1, aio);
	nng_aio_wait(aio);
	int failed = nng_aio_result(aio) != NNG_OK;
	nng_aio_free(aio);
	nng_fini();
	return failed;
}

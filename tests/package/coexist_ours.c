/* SPDX-License-Identifier: MIT
 *
 * coexist_ours.c: the half that sees pinwheel's <nng/nng.h>.
 */
#include <pinwheel/pinwheel.h>

#include "coexist.h"

const char *
coexist_ours(void)
{
	nng_aio *aio;

	if (nng_init(NULL) != NNG_OK || nng_aio_alloc(&aio, NULL, NULL) != NNG_OK) {
		return "pinwheel: no aio";
	}
	int home = pinwheel_aio_home(aio); /* only pinwheel's own aio has one */
	nng_sleep_aio(NNG_DURATION_INFINITE, aio);
	nng_aio_cancel(aio);
	nng_aio_wait(aio);
	nng_err canceled = nng_aio_result(aio);
	nng_sleep_aio(1, aio);
	nng_aio_wait(aio);
	nng_err slept = nng_aio_result(aio);
	nng_aio_free(aio);
	if (home < 0 || home >= pinwheel_shard_count()) {
		return "pinwheel: an aio without a home";
	}
	if (canceled != NNG_ECANCELED) {
		return "pinwheel: a cancelled sleep did not end with NNG_ECANCELED";
	}
	return slept == NNG_OK ? NULL : "pinwheel: a sleep failed";
}

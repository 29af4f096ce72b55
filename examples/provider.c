/* SPDX-License-Identifier: MIT
 *
 * provider.c: a provider of one's own, semaphore.c, from its consumer's side: one permit, and four ways in which
 * waiting for it ends.
 */
#include <stdio.h>

#include "semaphore.h"

static nng_err
wait_for(const char *name, nng_aio *aio)
{
	nng_aio_wait(aio);
	nng_err err = nng_aio_result(aio);
	printf("%s: %s\n", name, nng_strerror(err));
	return err;
}

/* True: each ended as it must. */
static int
take_turns(struct semaphore *semaphore, nng_aio *aio[5])
{
	int good = 1;

	nng_aio_set_timeout(aio[1], 20);
	for (int i = 0; i < 5; i++) {
		semaphore_acquire(semaphore, aio[i]);
	}
	good &= wait_for("the first", aio[0]) == NNG_OK;
	good &= wait_for("one that waits 20 ms", aio[1]) == NNG_ETIMEDOUT;
	nng_aio_cancel(aio[2]);
	good &= wait_for("one that is canceled", aio[2]) == NNG_ECANCELED;
	nng_aio_stop(aio[3]);
	good &= wait_for("one that is stopped", aio[3]) == NNG_ESTOPPED;
	semaphore_release(semaphore); /* the first one's permit */
	good &= wait_for("the next in line", aio[4]) == NNG_OK;
	semaphore_release(semaphore);
	printf("permits in the end: %u\n", semaphore_permits(semaphore));
	return good && semaphore_permits(semaphore) == 1;
}

int
main(void)
{
	struct semaphore *semaphore = NULL;
	nng_aio *aio[5] = { NULL };
	int good = 0;
	nng_err err = nng_init(NULL);

	if (err != NNG_OK) {
		fprintf(stderr, "provider: %s\n", nng_strerror(err));
		return 1;
	}
	err = semaphore_alloc(&semaphore, 1);
	for (int i = 0; i < 5 && err == NNG_OK; i++) {
		err = nng_aio_alloc(&aio[i], NULL, NULL);
	}
	if (err == NNG_OK) {
		good = take_turns(semaphore, aio);
	} else {
		fprintf(stderr, "provider: %s\n", nng_strerror(err));
	}
	for (int i = 0; i < 5; i++) {
		nng_aio_free(aio[i]);
	}
	semaphore_free(semaphore);
	nng_fini();
	return good ? 0 : 1;
}

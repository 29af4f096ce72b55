/* SPDX-License-Identifier: MIT
 *
 * semaphore_storm.c: what the command `pinwheel storm` needs to race semaphore.c.
 *
 *	cc -shared -fPIC -I PREFIX/include/pinwheel semaphore_storm.c semaphore.c -o semaphore.so
 *	pinwheel storm --provider ./semaphore.so
 *
 * An operation is a wait for a permit, and whoever gets one gives it back in the callback. So an operation ends by
 * itself, as soon as it is its turn. The semaphores are many, so that their lines are short, with one permit each. In
 * the end every permit must be back: one that was given to an operation that ended otherwise would be missing.
 */
#include <stdint.h>
#include <stdlib.h>

#include <pinwheel/test.h>

#include "semaphore.h"

#define SEMAPHORES 64u

static struct semaphore *
semaphore_of(void *provider, const nng_aio *aio)
{
	struct semaphore **semaphores = provider;
	return semaphores[(uintptr_t) aio / 256 % SEMAPHORES];
}

static void
storm_close(void *provider)
{
	struct semaphore **semaphores = provider;

	for (unsigned i = 0; i < SEMAPHORES; i++) {
		if (semaphores[i] != NULL && semaphore_permits(semaphores[i]) != 1) {
			abort();
		}
		semaphore_free(semaphores[i]);
	}
	free(semaphores);
}

static void *
storm_open(uint32_t aios)
{
	struct semaphore **semaphores = calloc(SEMAPHORES, sizeof(struct semaphore *));

	(void) aios;
	for (unsigned i = 0; semaphores != NULL && i < SEMAPHORES; i++) {
		if (semaphore_alloc(&semaphores[i], 1) != NNG_OK) {
			storm_close(semaphores);
			return NULL;
		}
	}
	return semaphores;
}

static void
storm_start(void *provider, nng_aio *aio)
{
	semaphore_acquire(semaphore_of(provider, aio), aio);
}

/* Nothing to do: the permit comes from those that wait before. */
static void
storm_complete(void *provider, nng_aio *aio)
{
	(void) provider;
	(void) aio;
}

static const char *
storm_check(void *provider, nng_aio *aio)
{
	if (nng_aio_result(aio) == NNG_OK) {
		semaphore_release(semaphore_of(provider, aio));
	}
	return NULL;
}

const struct pinwheel_provider *
pinwheel_provider_get(void)
{
	static const struct pinwheel_provider provider = {
		.version = PINWHEEL_PROVIDER_VERSION,
		.promises = PINWHEEL_PROVIDER_CANCELS,
		.name = "semaphore",
		.open = storm_open,
		.start = storm_start,
		.complete = storm_complete,
		.check = storm_check,
		.close = storm_close,
	};
	return &provider;
}

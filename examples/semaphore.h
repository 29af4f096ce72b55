/* SPDX-License-Identifier: MIT
 *
 * semaphore.h: a provider of one's own: permits that operations wait for. At most so many things are done at a time,
 * and who waits for a permit may give up: by a timeout, a cancel, a stop of the handle.
 */
#ifndef SEMAPHORE_H
#define SEMAPHORE_H

#include <nng/nng.h>

struct semaphore;

/* With so many permits to begin with. */
nng_err semaphore_alloc(struct semaphore **semaphore, unsigned permits);
/* No operation waits any more. NULL: no effect. */
void semaphore_free(struct semaphore *semaphore);

/*
 * Waits for a permit. Result NNG_OK: the caller has one, and gives it back with semaphore_release. With any other
 * result it has none: NNG_ETIMEDOUT, NNG_ECANCELED, NNG_ESTOPPED, NNG_ENOMEM. First come, first served.
 */
void semaphore_acquire(struct semaphore *semaphore, nng_aio *aio);
/* Any thread, callbacks included; never waits for an operation. */
void semaphore_release(struct semaphore *semaphore);

/* How many nobody has. */
unsigned semaphore_permits(struct semaphore *semaphore);

#endif

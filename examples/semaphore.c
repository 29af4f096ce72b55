/* SPDX-License-Identifier: MIT
 *
 * semaphore.c: see semaphore.h. What every provider does is here once:
 *
 *   - It asks nng_aio_start whether it may. False: the handle is stopped, or the time is over; the library tells the
 *     consumer, and the provider forgets the handle.
 *   - From true on it owes one nng_aio_finish. Two may want to give it, a release and a cancel. The list says who may:
 *     whoever takes the waiter off it, under the lock, finishes; who does not find it there does nothing.
 *   - nng_aio_start is called with the lock held, so a cancel that comes at once waits until the waiter is on the list.
 *     nng_aio_finish may be called with the lock held too: callbacks never run inside either of them.
 *   - The cancel function's argument must live until the operation's callback begins. It is the semaphore, not the
 *     waiter: a waiter may be gone by then.
 *
 * A cancel looks through the waiters. Where thousands may wait, a table by handle takes the place of the list.
 */
#include <stdlib.h>

#include "semaphore.h"

struct waiter {
	nng_aio *aio;
	struct waiter *next;
};

struct semaphore {
	nng_mtx *lock; /* over all below */
	unsigned permits;
	struct waiter *first;
	struct waiter **end; /* where the next one is put */
};

nng_err
semaphore_alloc(struct semaphore **semaphorep, unsigned permits)
{
	struct semaphore *semaphore = calloc(1, sizeof(*semaphore));

	if (semaphore == NULL) {
		return NNG_ENOMEM;
	}
	nng_err err = nng_mtx_alloc(&semaphore->lock);
	if (err != NNG_OK) {
		free(semaphore);
		return err;
	}
	semaphore->permits = permits;
	semaphore->end = &semaphore->first;
	*semaphorep = semaphore;
	return NNG_OK;
}

void
semaphore_free(struct semaphore *semaphore)
{
	if (semaphore == NULL) {
		return;
	}
	if (semaphore->first != NULL) {
		abort(); /* the caller's fault: an operation waits */
	}
	nng_mtx_free(semaphore->lock);
	free(semaphore);
}

/* Takes off the waiter that the link points to. */
static nng_aio *
take(struct semaphore *semaphore, struct waiter **link)
{
	struct waiter *waiter = *link;
	nng_aio *aio = waiter->aio;

	*link = waiter->next;
	if (*link == NULL) {
		semaphore->end = link;
	}
	free(waiter);
	return aio;
}

static nng_err
put(struct semaphore *semaphore, nng_aio *aio)
{
	struct waiter *waiter = malloc(sizeof(*waiter));

	if (waiter == NULL) {
		return NNG_ENOMEM;
	}
	waiter->aio = aio;
	waiter->next = NULL;
	*semaphore->end = waiter;
	semaphore->end = &waiter->next;
	return NNG_OK;
}

static void
on_cancel(nng_aio *aio, void *arg, nng_err reason)
{
	struct semaphore *semaphore = arg;
	struct waiter **link;

	nng_mtx_lock(semaphore->lock);
	for (link = &semaphore->first; *link != NULL && (*link)->aio != aio; link = &(*link)->next) {
	}
	if (*link != NULL) {
		nng_aio_finish(take(semaphore, link), reason);
	} /* else it has been finished already, and that counts */
	nng_mtx_unlock(semaphore->lock);
}

void
semaphore_acquire(struct semaphore *semaphore, nng_aio *aio)
{
	nng_mtx_lock(semaphore->lock);
	if (nng_aio_start(aio, on_cancel, semaphore)) {
		if (semaphore->permits > 0) {
			semaphore->permits--;
			nng_aio_finish(aio, NNG_OK);
		} else {
			nng_err err = put(semaphore, aio);
			if (err != NNG_OK) {
				nng_aio_finish(aio, err);
			}
		}
	}
	nng_mtx_unlock(semaphore->lock);
}

void
semaphore_release(struct semaphore *semaphore)
{
	nng_mtx_lock(semaphore->lock);
	if (semaphore->first != NULL) {
		nng_aio_finish(take(semaphore, &semaphore->first), NNG_OK); /* the permit passes on */
	} else {
		semaphore->permits++;
	}
	nng_mtx_unlock(semaphore->lock);
}

unsigned
semaphore_permits(struct semaphore *semaphore)
{
	nng_mtx_lock(semaphore->lock);
	unsigned permits = semaphore->permits;
	nng_mtx_unlock(semaphore->lock);
	return permits;
}

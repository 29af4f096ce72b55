/* SPDX-License-Identifier: MIT
 *
 * provider_queue.c: an example of what `pinwheel storm --provider` races: a queue. An operation takes an item from
 * it, or waits until there is one.
 *
 * Waiting operations are found by their handle, in buckets with a lock each. Whoever takes one out of its bucket, a
 * cancel or an arriving item, finishes it; who finds none has come too late. The cancel function's argument is the
 * queue, so nothing that belongs to one operation has to outlive it. An operation in eight finds an item at once.
 *
 * The environment variable QUEUE_BREAK makes it wrong in one way, by name, so that the test of the storm can fail.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <pinwheel/test.h>

#define BUCKETS 1024u

struct waiter {
	nng_aio *aio;
	struct waiter *next;
};

struct bucket {
	pthread_mutex_t lock;
	struct waiter *first;
};

struct queue {
	struct bucket buckets[BUCKETS];
	_Atomic unsigned starts;
	int item; /* its address is what every operation takes */
};

static bool
broken(const char *how)
{
	const char *asked = getenv("QUEUE_BREAK");
	return asked != NULL && strcmp(asked, how) == 0;
}

static struct bucket *
bucket_of(struct queue *queue, const nng_aio *aio)
{
	return &queue->buckets[((uintptr_t) aio >> 6) * 2654435761u % BUCKETS];
}

/* False: it does not wait here. */
static bool
take_out(struct queue *queue, const nng_aio *aio)
{
	struct bucket *bucket = bucket_of(queue, aio);
	struct waiter *found = NULL;

	pthread_mutex_lock(&bucket->lock);
	for (struct waiter **link = &bucket->first; *link != NULL; link = &(*link)->next) {
		if ((*link)->aio == aio) {
			found = *link;
			*link = found->next;
			break;
		}
	}
	pthread_mutex_unlock(&bucket->lock);
	free(found);
	return found != NULL;
}

static void
on_cancel(nng_aio *aio, void *arg, nng_err reason)
{
	bool waited = take_out(arg, aio);

	if (waited || broken("finish-twice")) {
		nng_aio_finish(aio, reason);
	}
}

static void
give(struct queue *queue, nng_aio *aio)
{
	nng_err result = broken("cancelled-alone") ? NNG_ECANCELED
	    : broken("timed-out-alone")            ? NNG_ETIMEDOUT
						   : NNG_OK;

	if (result == NNG_OK) {
		nng_aio_set_output(aio, 1, &queue->item);
	}
	nng_aio_finish(aio, result);
}

static void
start_at_once(struct queue *queue, nng_aio *aio)
{
	if (broken("never-refused")) {
		nng_aio_reset(aio);
		give(queue, aio);
	} else if (nng_aio_begin(aio)) {
		give(queue, aio);
	}
}

static void
queue_start(void *provider, nng_aio *aio)
{
	struct queue *queue = provider;
	struct bucket *bucket = bucket_of(queue, aio);

	if (atomic_fetch_add(&queue->starts, 1) % 8 == 0) {
		start_at_once(queue, aio);
		return;
	}
	struct waiter *waiter = malloc(sizeof(*waiter));
	if (waiter == NULL) {
		abort();
	}
	pthread_mutex_lock(&bucket->lock);
	bool accepted = nng_aio_start(aio, on_cancel, queue);
	if (accepted) {
		*waiter = (struct waiter){ aio, bucket->first };
		bucket->first = waiter;
	}
	pthread_mutex_unlock(&bucket->lock);
	if (!accepted) {
		free(waiter);
	}
}

static void
queue_complete(void *provider, nng_aio *aio)
{
	if (take_out(provider, aio)) {
		give(provider, aio);
	}
}

static const char *
queue_check(void *provider, nng_aio *aio)
{
	struct queue *queue = provider;
	bool took = nng_aio_get_output(aio, 1) == &queue->item;

	if (broken("check")) {
		return "the check is broken";
	}
	return took == (nng_aio_result(aio) == NNG_OK) ? NULL : "an item without success, or the other way round";
}

static void *
queue_open(uint32_t aios)
{
	struct queue *queue = aios != 0 && !broken("open") ? calloc(1, sizeof(*queue)) : NULL;

	for (unsigned i = 0; queue != NULL && i < BUCKETS; i++) {
		pthread_mutex_init(&queue->buckets[i].lock, NULL);
	}
	return queue;
}

static void
queue_close(void *provider)
{
	struct queue *queue = provider;

	for (unsigned i = 0; i < BUCKETS; i++) {
		if (queue->buckets[i].first != NULL) {
			abort(); /* nothing is under way any more */
		}
		pthread_mutex_destroy(&queue->buckets[i].lock);
	}
	free(queue);
}

const struct pinwheel_provider *
pinwheel_provider_get(void)
{
	static struct pinwheel_provider queue = {
		.version = PINWHEEL_PROVIDER_VERSION,
		.promises = PINWHEEL_PROVIDER_CANCELS,
		.name = "queue",
		.open = queue_open,
		.start = queue_start,
		.complete = queue_complete,
		.check = queue_check,
		.close = queue_close,
	};

	if (broken("version")) {
		queue.version = 99;
	} else if (broken("promise")) {
		queue.promises = 0x80;
	} else if (broken("function")) {
		queue.start = NULL;
	} else if (broken("reluctant")) {
		queue.promises = 0;
	}
	return broken("null") ? NULL : &queue;
}

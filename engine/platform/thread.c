/* SPDX-License-Identifier: MIT
 *
 * thread.c: nng_thread, nng_mtx, nng_cv: threads and locks for the application, on pthreads.
 *
 * What it is not: anything the engine runs on. Shards have their own threads (launch.c) and no lock of these.
 *
 * Any thread. A mutex checks for errors (PTHREAD_MUTEX_ERRORCHECK), so that who locks twice, or unlocks what is not
 * his, is told so. A condition variable runs on CLOCK_MONOTONIC, which nng_clock reads: a wait until t ends when
 * nng_clock() is t, not before.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include <nng/nng.h>

#include "engine/base/misuse.h"
#include "engine/platform/memory.h"

#define NAME_SIZE 16 /* of a thread, its NUL included: the kernel's */

struct nng_thread {
	pthread_t thread;
	void (*func)(void *);
	void *arg;
};

struct nng_mtx {
	pthread_mutex_t mutex;
};

struct nng_cv {
	pthread_cond_t cond;
	nng_mtx *mtx;
};

static bool
usable(const void *object, const char *function)
{
	if (object == NULL) {
		pw_misuse(function, NULL, 0, "the object is NULL");
	}
	return object != NULL;
}

/* ---- threads */

static void *
run(void *arg)
{
	nng_thread *thr = arg;
	sigset_t pipe;
	(void) sigemptyset(&pipe);
	(void) sigaddset(&pipe, SIGPIPE);
	(void) pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	thr->func(thr->arg);
	return NULL;
}

nng_err
nng_thread_create(nng_thread **thrp, void (*func)(void *), void *arg)
{
	if (thrp == NULL || func == NULL) {
		pw_misuse(__func__, NULL, 0,
		    thrp == NULL ? "the place for the thread is NULL" : "the function is NULL");
		return NNG_EINVAL;
	}
	nng_thread *thr = pw_near_alloc(sizeof(*thr));
	if (thr == NULL) {
		return NNG_ENOMEM;
	}
	thr->func = func;
	thr->arg = arg;
	if (pthread_create(&thr->thread, NULL, run, thr) != 0) { /* EAGAIN: no memory for a stack, or a limit */
		pw_near_free(thr, sizeof(*thr));
		return NNG_ENOMEM;
	}
	*thrp = thr;
	return NNG_OK;
}

void
nng_thread_destroy(nng_thread *thr)
{
	if (thr == NULL) {
		return;
	}
	if (pthread_equal(thr->thread, pthread_self())) {
		pw_misuse(__func__, NULL, 0, "the thread would wait for itself");
		return;
	}
	(void) pthread_join(thr->thread, NULL);
	pw_near_free(thr, sizeof(*thr));
}

void
nng_thread_set_name(nng_thread *thr, const char *name)
{
	if (name == NULL) {
		pw_misuse(__func__, NULL, 0, "the name is NULL");
		return;
	}
	char text[NAME_SIZE];
	(void) snprintf(text, sizeof(text), "%s", name);
	/* Fails for a thread that has ended, whose name nobody reads. */
	(void) pthread_setname_np(thr != NULL ? thr->thread : pthread_self(), text);
}

/* ---- locks */

nng_err
nng_mtx_alloc(nng_mtx **mtxp)
{
	if (!usable(mtxp, __func__)) {
		return NNG_EINVAL;
	}
	nng_mtx *mtx = pw_near_alloc(sizeof(*mtx));
	if (mtx == NULL) {
		return NNG_ENOMEM;
	}
	pthread_mutexattr_t attributes;
	(void) pthread_mutexattr_init(&attributes);
	(void) pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
	(void) pthread_mutex_init(&mtx->mutex, &attributes); /* needs no memory */
	(void) pthread_mutexattr_destroy(&attributes);
	*mtxp = mtx;
	return NNG_OK;
}

void
nng_mtx_free(nng_mtx *mtx)
{
	if (mtx == NULL) {
		return;
	}
	if (pthread_mutex_destroy(&mtx->mutex) != 0) {
		pw_misuse(__func__, NULL, 0, "the lock is held");
		return;
	}
	pw_near_free(mtx, sizeof(*mtx));
}

void
nng_mtx_lock(nng_mtx *mtx)
{
	if (usable(mtx, __func__) && pthread_mutex_lock(&mtx->mutex) != 0) {
		pw_misuse(__func__, NULL, 0, "this thread holds the lock already");
	}
}

void
nng_mtx_unlock(nng_mtx *mtx)
{
	if (usable(mtx, __func__) && pthread_mutex_unlock(&mtx->mutex) != 0) {
		pw_misuse(__func__, NULL, 0, "this thread does not hold the lock");
	}
}

/* ---- condition variables */

nng_err
nng_cv_alloc(nng_cv **cvp, nng_mtx *mtx)
{
	if (!usable(cvp, __func__) || !usable(mtx, __func__)) {
		return NNG_EINVAL;
	}
	nng_cv *cv = pw_near_alloc(sizeof(*cv));
	if (cv == NULL) {
		return NNG_ENOMEM;
	}
	cv->mtx = mtx;
	pthread_condattr_t attributes;
	(void) pthread_condattr_init(&attributes);
	(void) pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void) pthread_cond_init(&cv->cond, &attributes); /* needs no memory */
	(void) pthread_condattr_destroy(&attributes);
	*cvp = cv;
	return NNG_OK;
}

void
nng_cv_free(nng_cv *cv)
{
	if (cv != NULL) {
		(void) pthread_cond_destroy(&cv->cond);
		pw_near_free(cv, sizeof(*cv));
	}
}

void
nng_cv_wait(nng_cv *cv)
{
	if (usable(cv, __func__) && pthread_cond_wait(&cv->cond, &cv->mtx->mutex) != 0) {
		pw_misuse(__func__, NULL, 0, "this thread does not hold the lock");
	}
}

nng_err
nng_cv_until(nng_cv *cv, nng_time when)
{
	if (!usable(cv, __func__)) {
		return NNG_EINVAL;
	}
	/* All ones is half a billion years from now: never. */
	struct timespec until = { .tv_sec = (time_t) (when / 1000), .tv_nsec = (long) (when % 1000) * 1000000 };
	switch (pthread_cond_timedwait(&cv->cond, &cv->mtx->mutex, &until)) {
	case 0:
		return NNG_OK;
	case ETIMEDOUT:
		return NNG_ETIMEDOUT;
	default:
		pw_misuse(__func__, NULL, 0, "this thread does not hold the lock");
		return NNG_EINVAL;
	}
}

void
nng_cv_wake(nng_cv *cv)
{
	if (usable(cv, __func__)) {
		(void) pthread_cond_broadcast(&cv->cond);
	}
}

void
nng_cv_wake1(nng_cv *cv)
{
	if (usable(cv, __func__)) {
		(void) pthread_cond_signal(&cv->cond);
	}
}

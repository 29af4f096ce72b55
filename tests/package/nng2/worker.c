/* SPDX-License-Identifier: MIT
 *
 * worker.c: a program for NNG 2.x, C and C++: threads that share a queue, a provider of its own, a logger.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>

#define WORKERS 3
#define JOBS 20

static void
must(const char *what, int rv)
{
	if (rv != NNG_OK) {
		fprintf(stderr, "%s: %s\n", what, nng_strerror((nng_err) rv));
		exit(1);
	}
}

struct pool {
	nng_mtx *mtx;
	nng_cv *cv;
	nng_aio *jobs[JOBS]; /* accepted, not taken */
	unsigned count;
	bool closed;
};

static struct pool pool;
static nng_mtx *log_mtx;
static unsigned logged;

static void
count_lines(nng_log_level level, nng_log_facility facility, const char *msgid, const char *msg)
{
	nng_mtx_lock(log_mtx);
	if (level == NNG_LOG_WARN && facility == NNG_LOG_LOCAL0 && strcmp(msgid, "JOB") == 0 &&
	    strncmp(msg, "job ", 4) == 0) {
		logged++;
	}
	nng_mtx_unlock(log_mtx);
}

/* Of a job that no worker has taken. */
static void
job_cancel(nng_aio *aio, void *arg, nng_err rv)
{
	struct pool *p = (struct pool *) arg;

	nng_mtx_lock(p->mtx);
	for (unsigned i = 0; i < p->count; i++) {
		if (p->jobs[i] == aio) {
			p->jobs[i] = p->jobs[--p->count];
			nng_aio_finish(aio, rv);
			break;
		}
	}
	nng_mtx_unlock(p->mtx);
}

static void
job_submit(struct pool *p, nng_aio *aio)
{
	nng_mtx_lock(p->mtx);
	nng_aio_reset(aio);
	if (nng_aio_start(aio, job_cancel, p)) {
		p->jobs[p->count++] = aio;
		nng_cv_wake1(p->cv);
	}
	nng_mtx_unlock(p->mtx);
}

/* Squares input 0. */
static void
work(void *arg)
{
	struct pool *p = (struct pool *) arg;

	nng_thread_set_name(NULL, "worker");
	nng_mtx_lock(p->mtx);
	for (;;) {
		while (p->count == 0 && !p->closed) {
			nng_cv_wait(p->cv);
		}
		if (p->count == 0) {
			break;
		}
		nng_aio *aio = p->jobs[--p->count];
		nng_mtx_unlock(p->mtx);
		uintptr_t number = (uintptr_t) nng_aio_get_input(aio, 0);
		nng_log_warn("JOB", "job %u", (unsigned) number);
		nng_log_debug("JOB", "not to be seen");
		nng_aio_set_output(aio, 0, (void *) (number * number));
		nng_aio_finish(aio, NNG_OK);
		nng_mtx_lock(p->mtx);
	}
	nng_mtx_unlock(p->mtx);
}

static void
run_jobs(nng_aio **aios)
{
	nng_thread *threads[WORKERS];
	uintptr_t sum = 0;

	for (unsigned i = 0; i < WORKERS; i++) {
		must("nng_thread_create", nng_thread_create(&threads[i], work, &pool));
	}
	for (unsigned i = 0; i < JOBS; i++) {
		nng_aio_wait(aios[i]);
		must("job", nng_aio_result(aios[i]));
		sum += (uintptr_t) nng_aio_get_output(aios[i], 0);
	}
	nng_mtx_lock(pool.mtx);
	pool.closed = true;
	nng_cv_wake(pool.cv);
	nng_mtx_unlock(pool.mtx);
	for (unsigned i = 0; i < WORKERS; i++) {
		nng_thread_destroy(threads[i]);
	}
	printf("sum of squares: %u\n", (unsigned) sum);
}

int
main(void)
{
	nng_aio *aios[JOBS];
	nng_init_params params;

	memset(&params, 0, sizeof(params));
	params.num_task_threads = 2;
	params.max_poller_threads = 1;
	must("nng_init", nng_init(&params));
	must("nng_mtx_alloc", nng_mtx_alloc(&pool.mtx));
	must("nng_mtx_alloc", nng_mtx_alloc(&log_mtx));
	must("nng_cv_alloc", nng_cv_alloc(&pool.cv, pool.mtx));
	nng_log_set_logger(count_lines);
	nng_log_set_level(NNG_LOG_INFO);
	nng_log_set_facility(NNG_LOG_LOCAL0);

	for (unsigned i = 0; i < JOBS; i++) {
		must("nng_aio_alloc", nng_aio_alloc(&aios[i], NULL, NULL));
		must("nng_aio_set_input", nng_aio_set_input(aios[i], 0, (void *) (uintptr_t) (i + 1)));
	}
	/* No worker is there yet: this one waits, until it is canceled or its time is over. */
	job_submit(&pool, aios[0]);
	nng_aio_cancel(aios[0]);
	nng_aio_wait(aios[0]);
	printf("canceled: %d\n", nng_aio_result(aios[0]) == NNG_ECANCELED);
	nng_aio_set_expire(aios[0], nng_clock() + 10);
	job_submit(&pool, aios[0]);
	nng_aio_wait(aios[0]);
	printf("timed out: %d\n", nng_aio_result(aios[0]) == NNG_ETIMEDOUT);

	for (unsigned i = 0; i < JOBS; i++) {
		job_submit(&pool, aios[i]);
	}
	run_jobs(aios);
	nng_log_set_logger(nng_null_logger);
	printf("logged: %u, level %d\n", logged, (int) nng_log_get_level());

	nng_mtx_lock(pool.mtx);
	printf("nobody wakes: %d\n", nng_cv_until(pool.cv, nng_clock() + 5) == NNG_ETIMEDOUT);
	nng_mtx_unlock(pool.mtx);
	for (unsigned i = 0; i < JOBS; i++) {
		nng_aio_stop(aios[i]);
		nng_aio_free(aios[i]);
	}
	nng_cv_free(pool.cv);
	nng_mtx_free(pool.mtx);
	nng_mtx_free(log_mtx);
	nng_msleep(1);
	(void) nng_random();
	nng_fini();
	return 0;
}

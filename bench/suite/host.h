/* SPDX-License-Identifier: MIT
 *
 * host.h: where the benches run: the CPUs that loops and outside threads are pinned to, and their threads. Plain C
 * types.
 *
 * The list is the affinity of the process when bench_host_init is called, in ascending order. Loops are pinned from
 * its front, outside threads from its back, so that with two CPUs a loop and an outside thread do not meet.
 */
#ifndef PINWHEEL_BENCH_HOST_H
#define PINWHEEL_BENCH_HOST_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Before any thread is started. False: the affinity cannot be read. */
bool bench_host_init(void);
unsigned bench_cpu_count(void);
int bench_cpu_of_loop(unsigned loop);     /* round and round, if there are more loops than CPUs */
int bench_cpu_outside(unsigned outsider); /* outsider 0: the last CPU */
/* The calling thread runs on this CPU only. */
bool bench_pin(int cpu);
/* The calling thread may run on the CPUs of loops 0 to loops - 1: threads that a library starts inherit it. */
bool bench_pin_as_loops(unsigned loops);
/* The calling thread may run on all CPUs of the list again. */
void bench_unpin(void);

/* The median time that a cache line takes from the CPU of loop 0 to that of outsider 0 and back; 0: they are the
 * same, or no thread can be started. What goes from CPU to CPU costs a multiple of it, and hosts differ. */
double bench_line_round_trip_ns(void);

/* A thread of a peer, pinned, with a timer slack of 1 ns, as pinwheel gives its own. */
bool bench_thread_start(pthread_t *thread, int cpu, void *(*body)(void *), void *arg);

/* ---- what outside threads ask a loop to run; the peer wakes its loop in its own way after put */

struct bench_mail {
	pthread_mutex_t lock;
	unsigned count;
	struct {
		void (*function)(void *);
		void *arg;
	} entry[16];
};

void bench_mail_init(struct bench_mail *mail);
bool bench_mail_put(struct bench_mail *mail, void (*function)(void *), void *arg); /* false: it is full */
void bench_mail_run(struct bench_mail *mail); /* on the loop: calls what is there */

/* ---- memory for handles: all of one size, without a header, as a program lays out a million of them */

struct bench_pool {
	size_t size; /* a multiple of 8; a multiple of 64 is aligned to cache lines */
	void *free;  /* linked through the first word */
	char *fresh;
	char *end;
	struct bench_chunk *chunk;
};

void bench_pool_init(struct bench_pool *pool, size_t size);
void *bench_pool_get(struct bench_pool *pool); /* one thread at a time, as put and close; not cleared */
void bench_pool_put(struct bench_pool *pool, void *handle);
void bench_pool_close(struct bench_pool *pool);

#ifdef __cplusplus
}
#endif

#endif

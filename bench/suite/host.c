/* SPDX-License-Identifier: MIT
 *
 * host.c: see host.h.
 */
#include "bench/suite/host.h"

#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "engine/base/atomic.h"
#include "engine/base/cycles.h"

#define CHUNK_SIZE ((size_t) 1 << 20)

static cpu_set_t all;
static int cpu_list[CPU_SETSIZE];
static unsigned cpu_count;

bool
bench_host_init(void)
{
	if (sched_getaffinity(0, sizeof all, &all) != 0) {
		return false;
	}
	cpu_count = 0;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &all)) {
			cpu_list[cpu_count++] = cpu;
		}
	}
	return cpu_count != 0;
}

unsigned
bench_cpu_count(void)
{
	return cpu_count;
}

int
bench_cpu_of_loop(unsigned loop)
{
	return cpu_list[loop % cpu_count];
}

int
bench_cpu_outside(unsigned outsider)
{
	return cpu_list[cpu_count - 1 - outsider % cpu_count];
}

bool
bench_pin(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof set, &set) == 0;
}

bool
bench_pin_as_loops(unsigned loops)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	for (unsigned i = 0; i < loops; i++) {
		CPU_SET(bench_cpu_of_loop(i), &set);
	}
	return sched_setaffinity(0, sizeof set, &set) == 0;
}

void
bench_unpin(void)
{
	(void) sched_setaffinity(0, sizeof all, &all);
}

/* ---- a line's round trip */

#define TRIPS_MAX 20000u
#define TRIPS_NS UINT64_C(100000000) /* then fewer will do: who shares the CPUs may keep the two apart */
#define TRIPS_OVER UINT32_MAX

struct trip {
	_Alignas(64) pw_a32 there;
	_Alignas(64) pw_a32 back;
};

static void *
answer(void *arg)
{
	struct trip *trip = arg;
	uint32_t seen = 0;
	while (seen != TRIPS_OVER) {
		uint32_t there = pw_load_acquire_32(&trip->there);
		if (there != seen) {
			seen = there;
			pw_store_release_32(&trip->back, seen);
		}
	}
	return NULL;
}

static uint64_t
now_ns(void)
{
	struct timespec now;
	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

static int
compare(const void *left, const void *right)
{
	uint64_t l = *(const uint64_t *) left, r = *(const uint64_t *) right;
	return (l > r) - (l < r);
}

double
bench_line_round_trip_ns(void)
{
	static struct trip trip;
	static uint64_t cycles[TRIPS_MAX];
	uint32_t trips = 0;
	pthread_t thread;
	if (bench_cpu_of_loop(0) == bench_cpu_outside(0)) {
		return 0;
	}
	pw_store_relaxed_32(&trip.there, 0); /* relaxed: nothing runs */
	pw_store_relaxed_32(&trip.back, 0);
	if (!bench_pin(bench_cpu_of_loop(0)) || !bench_thread_start(&thread, bench_cpu_outside(0), answer, &trip)) {
		return 0;
	}
	uint64_t began_ns = now_ns(), began = pw_cycles();
	while (trips < TRIPS_MAX && (trips == 0 || now_ns() - began_ns < TRIPS_NS)) {
		uint64_t before = pw_cycles();
		pw_store_release_32(&trip.there, trips + 1);
		while (pw_load_acquire_32(&trip.back) != trips + 1) {
		}
		cycles[trips++] = pw_cycles() - before;
	}
	pw_store_release_32(&trip.there, TRIPS_OVER);
	double ns_per_cycle = (double) (now_ns() - began_ns) / (double) (pw_cycles() - began);
	(void) pthread_join(thread, NULL);
	bench_unpin();
	qsort(cycles, trips, sizeof cycles[0], compare);
	return (double) cycles[trips / 2] * ns_per_cycle;
}

/* ---- threads, mail, memory */

struct start {
	void *(*body)(void *);
	void *arg;
};

static void *
on_thread(void *arg)
{
	struct start start = *(struct start *) arg;
	free(arg);
	(void) prctl(PR_SET_TIMERSLACK, 1UL);
	return start.body(start.arg);
}

bool
bench_thread_start(pthread_t *thread, int cpu, void *(*body)(void *), void *arg)
{
	struct start *start = malloc(sizeof *start);
	pthread_attr_t attributes;
	cpu_set_t set;
	if (start == NULL) {
		return false;
	}
	*start = (struct start){ body, arg };
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void) pthread_attr_init(&attributes);
	(void) pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
	bool started = pthread_create(thread, &attributes, on_thread, start) == 0;
	(void) pthread_attr_destroy(&attributes);
	if (!started) {
		free(start);
	}
	return started;
}

void
bench_mail_init(struct bench_mail *mail)
{
	*mail = (struct bench_mail){ .count = 0 };
	(void) pthread_mutex_init(&mail->lock, NULL);
}

bool
bench_mail_put(struct bench_mail *mail, void (*function)(void *), void *arg)
{
	(void) pthread_mutex_lock(&mail->lock);
	bool room = mail->count < sizeof mail->entry / sizeof mail->entry[0];
	if (room) {
		mail->entry[mail->count].function = function;
		mail->entry[mail->count++].arg = arg;
	}
	(void) pthread_mutex_unlock(&mail->lock);
	return room;
}

void
bench_mail_run(struct bench_mail *mail)
{
	struct bench_mail taken;
	(void) pthread_mutex_lock(&mail->lock);
	taken.count = mail->count;
	for (unsigned i = 0; i < taken.count; i++) {
		taken.entry[i] = mail->entry[i];
	}
	mail->count = 0;
	(void) pthread_mutex_unlock(&mail->lock);
	for (unsigned i = 0; i < taken.count; i++) {
		taken.entry[i].function(taken.entry[i].arg);
	}
}

struct bench_chunk {
	struct bench_chunk *next;
};

void
bench_pool_init(struct bench_pool *pool, size_t size)
{
	*pool = (struct bench_pool){ .size = size };
}

static bool
grow(struct bench_pool *pool)
{
	void *memory = mmap(NULL, CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		return false;
	}
	struct bench_chunk *chunk = memory;
	chunk->next = pool->chunk;
	pool->chunk = chunk;
	pool->fresh = (char *) memory + 64;
	pool->end = (char *) memory + CHUNK_SIZE;
	return true;
}

void *
bench_pool_get(struct bench_pool *pool)
{
	void *handle = pool->free;
	if (handle != NULL) {
		pool->free = *(void **) handle;
		return handle;
	}
	if ((size_t) (pool->end - pool->fresh) < pool->size && !grow(pool)) {
		return NULL;
	}
	handle = pool->fresh;
	pool->fresh += pool->size;
	return handle;
}

void
bench_pool_put(struct bench_pool *pool, void *handle)
{
	*(void **) handle = pool->free;
	pool->free = handle;
}

void
bench_pool_close(struct bench_pool *pool)
{
	while (pool->chunk != NULL) {
		struct bench_chunk *chunk = pool->chunk;
		pool->chunk = chunk->next;
		(void) munmap(chunk, CHUNK_SIZE);
	}
	bench_pool_init(pool, pool->size);
}

/* SPDX-License-Identifier: MIT
 *
 * workload_machine.c: see workload_machine.h.
 *
 * Cold objects: 256 MiB of 256-byte objects are visited in random order, so each visit misses the caches. Dependent:
 * the next is known only when this one has come, as in a list. Independent: the order is known before, as in a batch.
 */
#include "bench/suite/workload_machine.h"

#include <liburing.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/suite/countdown.h"
#include "bench/suite/host.h"
#include "engine/base/cycles.h"

#define CALLS 200000u
#define SYSTEM_CALLS 20000u
#define OBJECTS (1u << 20)
#define VISITS 100000u

/* A result that somebody might look at. */
static volatile uint64_t sink;

static struct bench_outcome
outcome_of(uint64_t began_ns, uint64_t operations)
{
	uint64_t elapsed_ns = bench_now_ns() - began_ns;
	return (struct bench_outcome){ .operations = operations, .elapsed_ns = elapsed_ns, .cpu_ns = elapsed_ns };
}

static struct bench_outcome
measure_clock(void)
{
	uint64_t began_ns = bench_now_ns(), sum = 0;
	for (unsigned i = 0; i < CALLS; i++) {
		sum += bench_now_ns();
	}
	sink = sum;
	return outcome_of(began_ns, CALLS);
}

static struct bench_outcome
measure_cycles(void)
{
	uint64_t began_ns = bench_now_ns(), sum = 0;
	for (unsigned i = 0; i < CALLS; i++) {
		sum += pw_cycles();
	}
	sink = sum;
	return outcome_of(began_ns, CALLS);
}

static struct bench_outcome
measure_cas(void)
{
	static pw_a64 word;
	uint64_t value = pw_load_relaxed_64(&word); /* relaxed: our own */
	uint64_t began_ns = bench_now_ns();
	for (unsigned i = 0; i < CALLS; i++) {
		if (pw_cas_acq_rel_64(&word, &value, value + 1)) {
			value++;
		}
	}
	return outcome_of(began_ns, CALLS);
}

static struct bench_outcome
measure_epoll(void)
{
	struct epoll_event event;
	int fd = epoll_create1(EPOLL_CLOEXEC);
	uint64_t began_ns = bench_now_ns();
	for (unsigned i = 0; i < SYSTEM_CALLS; i++) {
		(void) epoll_wait(fd, &event, 1, 0);
	}
	struct bench_outcome outcome = outcome_of(began_ns, SYSTEM_CALLS);
	if (fd < 0) {
		outcome.error = "epoll cannot be opened";
	} else {
		(void) close(fd);
	}
	return outcome;
}

static struct bench_outcome
measure_uring(void)
{
	struct io_uring ring;
	struct bench_outcome outcome = { .error = "io_uring cannot be opened" };
	if (io_uring_queue_init(8, &ring, 0) != 0) {
		return outcome;
	}
	uint64_t began_ns = bench_now_ns();
	for (unsigned i = 0; i < SYSTEM_CALLS; i++) {
		(void) io_uring_enter((unsigned) ring.ring_fd, 0, 0, IORING_ENTER_GETEVENTS, NULL);
	}
	outcome = outcome_of(began_ns, SYSTEM_CALLS);
	io_uring_queue_exit(&ring);
	return outcome;
}

struct object {
	_Alignas(64) uint32_t next;
	char rest[252];
};
_Static_assert(sizeof(struct object) == 256, "as large as an aio");

/* One cycle through all, in random order (Sattolo). */
static struct object *
make_objects(void)
{
	struct object *object = aligned_alloc(4096, OBJECTS * sizeof *object);
	uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
	if (object == NULL) {
		return NULL;
	}
	for (uint32_t i = 0; i < OBJECTS; i++) {
		object[i].next = i;
	}
	for (uint32_t i = OBJECTS - 1; i > 0; i--) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		uint32_t other = (uint32_t) ((state >> 32) * i >> 32);
		uint32_t next = object[i].next;
		object[i].next = object[other].next;
		object[other].next = next;
	}
	return object;
}

static struct bench_outcome
measure_dependent(void)
{
	struct bench_outcome outcome = { .error = "out of memory" };
	struct object *object = make_objects();
	if (object != NULL) {
		uint32_t at = 0;
		uint64_t began_ns = bench_now_ns();
		for (unsigned i = 0; i < VISITS; i++) {
			at = object[at].next;
		}
		outcome = outcome_of(began_ns, VISITS);
		sink = at;
	}
	free(object);
	return outcome;
}

static struct bench_outcome
measure_independent(void)
{
	struct bench_outcome outcome = { .error = "out of memory" };
	struct object *object = make_objects();
	uint32_t *order = malloc(VISITS * sizeof *order);
	if (object != NULL && order != NULL) {
		uint64_t sum = 0;
		for (uint32_t i = 0, at = OBJECTS / 2; i < VISITS; i++) {
			order[i] = at = object[at].next;
		}
		for (uint32_t i = 0; i < OBJECTS; i++) { /* what was just seen is cold again */
			sum += object[i].rest[0];
		}
		uint64_t began_ns = bench_now_ns();
		for (unsigned i = 0; i < VISITS; i++) {
			sum += object[order[i]].next;
		}
		outcome = outcome_of(began_ns, VISITS);
		sink = sum;
	}
	free(order);
	free(object);
	return outcome;
}

const struct bench_machine bench_machine_floors[] = {
	{ "clock", measure_clock },
	{ "cycles", measure_cycles },
	{ "cas", measure_cas },
	{ "epoll_wait", measure_epoll },
	{ "io_uring_enter", measure_uring },
	{ "cold-dependent", measure_dependent },
	{ "cold-independent", measure_independent },
};
const unsigned bench_machine_floor_count = sizeof bench_machine_floors / sizeof *bench_machine_floors;

/* SPDX-License-Identifier: MIT
 *
 * storm_fault.c: see storm_fault.h.
 */
#include "bench/storm/storm_fault.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct pw_fault_text pw_fault_text[PW_FAULT_COUNT] = {
	[PW_FAULT_MEMORY] = { "memory", "an allocation of the engine fails (each allocation)", 300, 900 },
	[PW_FAULT_RING_FULL] = { "ring-full",
	    "a shard is held while more is sent to it than its inbox ring has room for (each ms)", 20, 1000 },
	[PW_FAULT_SQ_FULL] = { "sq-full",
	    "io_uring's submission queue has 4 places, and the kernel takes nothing (each full queue)", 300, 900 },
	[PW_FAULT_EINTR] = { "eintr", "a system call of a shard is interrupted (each call)", 100, 900 },
	[PW_FAULT_SHORT] = { "short", "a receive or send moves fewer bytes than it could (each one)", 300, 1000 },
	[PW_FAULT_RESET] = { "reset", "a peer resets its connection (each ms)", 100, 1000 },
	[PW_FAULT_HALF_CLOSE] = { "half-close", "a peer ends its direction and goes on receiving (each ms)", 100,
	    1000 },
	[PW_FAULT_EMFILE] = { "emfile", "descriptors are exhausted while connections arrive (each ms)", 20, 1000 },
	[PW_FAULT_CLOCK] = { "clock", "the clock stands still for 1 to 20 ms, then leaps (each ms)", 20, 1000 },
	[PW_FAULT_SUSPEND] = { "suspend",
	    "a thread, racing or a shard's, is suspended for 0.05 to 20 ms wherever it is (each ms)", 100, 1000 },
	[PW_FAULT_FEW_CPUS] = { "few-cpus", "there are more shards than CPUs (once)", 1000, 1000 },
	[PW_FAULT_AFFINITY] = { "affinity",
	    "the CPUs that all threads may use shrink to one for 5 to 50 ms (each ms)", 20, 1000 },
	[PW_FAULT_URING_REFUSED] = { "uring-refused", "the kernel refuses io_uring (each shard)", 1000, 1000 },
};

static struct {
	enum pw_fault_asked asked;
	uint32_t permille;
	_Atomic uint64_t occasions; /* of pw_fault_in_turn */
	_Alignas(64) _Atomic uint64_t hits;
} faults[PW_FAULT_COUNT];

static _Atomic bool armed;
static uint64_t seed;
static _Atomic uint64_t threads;
static _Thread_local uint64_t dice;

/* ---- asking ---- */

static void
ask_all(void)
{
	for (unsigned i = 0; i < PW_FAULT_COUNT; i++) {
		if (faults[i].asked == PW_FAULT_NOT_ASKED) {
			faults[i].asked = PW_FAULT_AMONG_ALL;
			faults[i].permille = pw_fault_text[i].permille;
		}
	}
	/* Beside sq-full some shards must keep io_uring. */
	if (faults[PW_FAULT_URING_REFUSED].asked == PW_FAULT_AMONG_ALL) {
		faults[PW_FAULT_URING_REFUSED].permille = 500;
	}
}

static const char *
ask_one(enum pw_fault fault, const char *number)
{
	const struct pw_fault_text *text = &pw_fault_text[fault];
	char *end = NULL;
	unsigned long permille = number != NULL ? strtoul(number, &end, 10) : text->permille;

	if (number != NULL && (end == number || *end != '\0' || permille == 0 || permille > text->highest)) {
		static char why[80];
		snprintf(why, sizeof(why), "expected %s=N with N from 1 to %u, in a thousand", text->name,
		    (unsigned) text->highest);
		return why;
	}
	faults[fault].asked = PW_FAULT_BY_NAME;
	faults[fault].permille = (uint32_t) permille;
	return NULL;
}

const char *
pw_fault_ask(const char *request)
{
	const char *equals = strchr(request, '=');
	size_t length = equals != NULL ? (size_t) (equals - request) : strlen(request);

	if (strcmp(request, "all") == 0) {
		ask_all();
		return NULL;
	}
	for (unsigned i = 0; i < PW_FAULT_COUNT; i++) {
		if (strlen(pw_fault_text[i].name) == length && strncmp(pw_fault_text[i].name, request, length) == 0) {
			return ask_one((enum pw_fault) i, equals != NULL ? equals + 1 : NULL);
		}
	}
	return "no such fault; --help lists them";
}

enum pw_fault_asked
pw_fault_asked(enum pw_fault fault)
{
	return faults[fault].asked;
}

bool
pw_fault_any(void)
{
	for (unsigned i = 0; i < PW_FAULT_COUNT; i++) {
		if (faults[i].asked != PW_FAULT_NOT_ASKED) {
			return true;
		}
	}
	return false;
}

bool
pw_fault_skip(enum pw_fault fault, const char *why)
{
	bool by_name = faults[fault].asked == PW_FAULT_BY_NAME;

	fprintf(stderr, "pinwheel storm: fault %s %s: %s\n", pw_fault_text[fault].name,
	    by_name ? "cannot be made here" : "is skipped", why);
	faults[fault].asked = PW_FAULT_NOT_ASKED;
	return !by_name;
}

/* ---- dice ---- */

void
pw_fault_seed(uint64_t value)
{
	seed = value;
}

void
pw_fault_arm(bool value)
{
	atomic_store(&armed, value);
}

uint32_t
pw_fault_dice(uint32_t sides)
{
	if (dice == 0) {
		uint64_t thread = atomic_fetch_add(&threads, 1) + 1;
		dice = (seed + 1) * UINT64_C(0x2545f4914f6cdd1d) ^ thread * UINT64_C(0xd1342543de82ef95);
	}
	/* splitmix64 */
	uint64_t z = dice += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t) (((z ^ (z >> 31)) >> 32) * sides >> 32);
}

bool
pw_fault_roll(enum pw_fault fault)
{
	return faults[fault].asked != PW_FAULT_NOT_ASKED && atomic_load_explicit(&armed, memory_order_relaxed) &&
	    pw_fault_dice(1000) < faults[fault].permille;
}

bool
pw_fault_in_turn(enum pw_fault fault)
{
	if (faults[fault].asked == PW_FAULT_NOT_ASKED) {
		return false;
	}
	uint64_t before = atomic_fetch_add(&faults[fault].occasions, 1);
	return (before + 1) * faults[fault].permille / 1000 != before * faults[fault].permille / 1000;
}

/* ---- counts ---- */

void
pw_fault_struck(enum pw_fault fault, uint64_t times)
{
	atomic_fetch_add_explicit(&faults[fault].hits, times, memory_order_relaxed);
}

uint64_t
pw_fault_hits(enum pw_fault fault)
{
	return atomic_load_explicit(&faults[fault].hits, memory_order_relaxed);
}

static bool
is_missed(enum pw_fault fault)
{
	return faults[fault].asked != PW_FAULT_NOT_ASKED && pw_fault_hits(fault) == 0;
}

enum pw_fault
pw_fault_missed(void)
{
	unsigned i = 0;

	while (i < PW_FAULT_COUNT && !is_missed((enum pw_fault) i)) {
		i++;
	}
	return (enum pw_fault) i;
}

bool
pw_fault_awaited(void)
{
	for (unsigned i = 0; i < PW_FAULT_COUNT; i++) {
		if (i != PW_FAULT_URING_REFUSED && is_missed((enum pw_fault) i)) {
			return true;
		}
	}
	return false;
}

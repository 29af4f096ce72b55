/* SPDX-License-Identifier: MIT
 *
 * cycles.h: the processor's own counter. A shard converts by the ratio it has itself seen between this counter and the
 * clock: for statistics, and, where clock.h says that the kernel does the same, for the few nanoseconds between the
 * turn's look at the clock and now (shard.c).
 */
#ifndef PINWHEEL_BASE_CYCLES_H
#define PINWHEEL_BASE_CYCLES_H

#include <stdint.h>

#if defined(PW_ATOMIC_EXPLORE)
static inline uint64_t
pw_cycles(void)
{
	return 0;
}
#elif defined(__x86_64__)
#include <x86intrin.h>
static inline uint64_t
pw_cycles(void)
{
	return __rdtsc();
}
#elif defined(__aarch64__)
static inline uint64_t
pw_cycles(void)
{
	uint64_t value;
	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
	return value;
}
#else
#include "engine/base/clock.h"
static inline uint64_t
pw_cycles(void)
{
	return pw_clock_now_ns();
}
#endif

#endif

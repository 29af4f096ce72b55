/* SPDX-License-Identifier: MIT
 *
 * clock.h: the one clock of the engine: CLOCK_MONOTONIC, in nanoseconds.
 *
 * Any thread; never blocks. The explorer and the tests with a virtual clock link another definition of these
 * functions, so nothing else in the engine may read a clock.
 */
#ifndef PINWHEEL_BASE_CLOCK_H
#define PINWHEEL_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define PW_NS_PER_US UINT64_C(1000)
#define PW_NS_PER_MS UINT64_C(1000000)
#define PW_NS_PER_S UINT64_C(1000000000)
#define PW_NEVER_NS UINT64_MAX

/* The time now. Never earlier than an earlier answer on the same thread. */
uint64_t pw_clock_now_ns(void);
/* A cheap time for age stamps: up to one kernel tick (10 ms) old. */
uint64_t pw_clock_coarse_ns(void);
/* The kernel itself makes this clock from the processor's counter (cycles.h), and so trusts it on every CPU. Opens a
 * file: not for hot paths. */
bool pw_clock_is_cycles(void);
/* Waits in the calling thread. */
void pw_clock_sleep_ns(uint64_t ns);

#endif

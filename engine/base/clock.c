/* SPDX-License-Identifier: MIT
 *
 * clock.c: clock.h on the kernel's CLOCK_MONOTONIC (the vDSO: no system call where the kernel trusts the TSC).
 */
#include "engine/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t
read_ns(clockid_t id)
{
	struct timespec now;

	(void) clock_gettime(id, &now); /* fails only for a clock that is unknown */
	return (uint64_t) now.tv_sec * PW_NS_PER_S + (uint64_t) now.tv_nsec;
}

uint64_t
pw_clock_now_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

uint64_t
pw_clock_coarse_ns(void)
{
	return read_ns(CLOCK_MONOTONIC_COARSE);
}

bool
pw_clock_is_cycles(void)
{
	char name[32] = "";
	FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
	if (file == NULL) {
		return false;
	}
	bool read = fgets(name, sizeof name, file) != NULL;
	(void) fclose(file);
	return read && (strcmp(name, "tsc\n") == 0 || strcmp(name, "arch_sys_counter\n") == 0);
}

/* An absolute target, so that a signal does not lengthen the wait. */
void
pw_clock_sleep_ns(uint64_t ns)
{
	uint64_t now_ns = pw_clock_now_ns();
	uint64_t until_ns = ns < PW_NEVER_NS - now_ns ? now_ns + ns : PW_NEVER_NS;
	struct timespec until = {
		.tv_sec = (time_t) (until_ns / PW_NS_PER_S),
		.tv_nsec = (long) (until_ns % PW_NS_PER_S),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
	}
}

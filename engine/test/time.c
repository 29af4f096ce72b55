/* SPDX-License-Identifier: MIT
 *
 * time.c: <pinwheel/test.h>'s time by hand: the functions of clock.h on a number that a test moves, and turns of a
 * lent shard from deadline to deadline.
 *
 * What it is not: in the library that programs ship with. The library pinwheel_test is the same objects with this one
 * in the place of base/clock.c; nothing else in the engine reads a clock that decides anything (c-ares, which looks
 * names up, and the processor's counter, which times callbacks for the statistics, go on in real time).
 *
 * Context: the time may be moved and read by any thread. Whoever moves it rings the shards' bells, so that the
 * descriptor of a lent shard tells of it.
 *
 * The time never falls: it is only ever added to.
 *
 * A shard's own thread measures how long it spins and sleeps, so with a time that stands still it would spin for
 * ever; only PINWHEEL_IDLE_BUSY asks no clock. Any other is misuse, told by the first thread that reads the time on
 * it.
 */
#include <pinwheel/test.h>

#include <errno.h>
#include <time.h>

#include "engine/base/clock.h"
#include "engine/base/misuse.h"
#include "engine/shard/fleet.h"

/* What waits for another thread gives it a chance, and does not take the test's time for it. */
#define REAL_SLEEP_MAX_NS (10 * PW_NS_PER_MS)

static pw_a64 time_ns = { PINWHEEL_TEST_START_NS };

static void
check_shard(const struct pw_shard *shard)
{
	static pw_a32 told;

	if (shard != NULL && !shard->settings.lent && shard->settings.idle != PW_IDLE_BUSY &&
	    pw_exchange_acq_rel_32(&told, 1) == 0) {
		pw_misuse("pinwheel_start", NULL, 0,
		    "with pinwheel_test a shard is lent, or its idle strategy is busy: any other needs real time");
	}
}

uint64_t
pw_clock_now_ns(void)
{
	check_shard(pw_shard_self());
	return pw_load_acquire_64(&time_ns); /* P12: what was done before the time was moved is seen */
}

uint64_t
pw_clock_coarse_ns(void)
{
	return pw_clock_now_ns();
}

bool
pw_clock_is_cycles(void)
{
	return false;
}

static void
move_to(uint64_t to_ns)
{
	uint64_t now_ns = pw_clock_now_ns();

	while (now_ns < to_ns && !pw_cas_acq_rel_64(&time_ns, &now_ns, to_ns)) { /* P12 */
	}
	for (unsigned i = 0; i < pw_fleet_count(); i++) {
		pw_shard_wake(pw_fleet_nth(i));
	}
}

static uint64_t
after(uint64_t ns)
{
	uint64_t now_ns = pw_clock_now_ns();

	return ns < PW_NEVER_NS - now_ns ? now_ns + ns : PW_NEVER_NS - 1;
}

void
pw_clock_sleep_ns(uint64_t ns)
{
	uint64_t real_ns = ns < REAL_SLEEP_MAX_NS ? ns : REAL_SLEEP_MAX_NS;
	struct timespec span = { .tv_nsec = (long) real_ns };

	move_to(after(ns));
	while (nanosleep(&span, &span) != 0 && errno == EINTR) {
	}
}

void
pinwheel_test_advance_ns(uint64_t ns)
{
	move_to(after(ns));
}

/* Everything that is due now. Negative: misuse, which has been reported. */
static int
poll_all(int shard, unsigned *done)
{
	int n;

	while ((n = pinwheel_poll(shard, 0)) > 0) {
		*done += (unsigned) n;
	}
	return n;
}

int
pinwheel_test_run_ns(int shard, uint64_t ns)
{
	uint64_t until_ns = after(ns);
	unsigned done = 0;

	for (;;) {
		if (poll_all(shard, &done) < 0) {
			return -1;
		}
		uint64_t now_ns = pw_clock_now_ns();
		uint64_t next_ns = pw_shard_next_ns(pw_fleet_nth((unsigned) shard));
		if (now_ns >= until_ns) {
			return (int) done;
		}
		move_to(next_ns < until_ns ? next_ns > now_ns ? next_ns : now_ns + 1 : until_ns);
	}
}

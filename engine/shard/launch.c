/* SPDX-License-Identifier: MIT
 *
 * launch.c: the threads of the fleet: one per shard that is not lent, pinned to its CPU, and no other.
 *
 * A shard's thread is named pw/N, blocks all signals (they are the application's), has a timer slack of 1 ns, and
 * SCHED_FIFO where a priority is set. Pinning or scheduling that is refused is not an error: the shard runs
 * without, and its statistics and `pinwheel info` say why.
 *
 * Context: everything here is called with the starter's lock held (engine.c), but for the threads themselves.
 * Hand-over: the settings are in the record before pthread_create; `up` (P12, release) hands back how it went.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "engine/base/clock.h"
#include "engine/shard/fleet.h"
#include "engine/shard/lent.h"
#include "engine/shard/park.h"

static pinwheel_thread_start_fn on_thread_start;
static void *on_thread_start_arg;

void
pw_fleet_set_up(struct pw_shard *shard, enum pw_up up)
{
	(void) pw_exchange_acq_rel_64(&shard->up, up); /* P12 */
	pw_futex_wake_all(&shard->up);
}

static enum pw_up
wait_up(struct pw_shard *shard, enum pw_up not_this)
{
	for (;;) {
		uint64_t up = pw_load_acquire_64(&shard->up); /* P12 */
		if (up != not_this) {
			return (enum pw_up) up;
		}
		(void) pw_futex_wait(&shard->up, (uint32_t) up, PW_NEVER_NS);
	}
}

/* A lent shard's thread ends it in its next poll. Nobody lends himself to one any more (fleet.h: no visitors). */
static void
await_lender(struct pw_shard *shard)
{
	uint64_t up = pw_load_acquire_64(&shard->up); /* P12 */
	while (up == PW_UP_OPENING || up == PW_UP_RUNNING) {
		up = wait_up(shard, (enum pw_up) up);
	}
}

/* Asks for one CPU. Refused, or not in the machine: the shard runs where the scheduler puts it. */
static void
pin(struct pw_shard *shard)
{
	int cpu = shard->settings.cpu;
	shard->pin_error = 0;
	pw_store_relaxed_32(&shard->pinned_cpu, 0);
	if (cpu < 0) {
		return;
	}
	size_t size = CPU_ALLOC_SIZE(cpu + 1);
	cpu_set_t *set = CPU_ALLOC((size_t) cpu + 1);
	if (set == NULL) {
		shard->pin_error = ENOMEM;
		return;
	}
	CPU_ZERO_S(size, set);
	CPU_SET_S((size_t) cpu, size, set);
	if (sched_setaffinity(0, size, set) == 0) {
		pw_store_relaxed_32(&shard->pinned_cpu, (uint32_t) cpu + 1);
	} else {
		shard->pin_error = errno;
	}
	CPU_FREE(set);
}

static void
schedule(struct pw_shard *shard)
{
	if (shard->settings.priority > 0) {
		struct sched_param param = { .sched_priority = shard->settings.priority };
		shard->priority_error = sched_setscheduler(0, SCHED_FIFO, &param) == 0 ? 0 : errno;
	}
	(void) prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

static void *
shard_main(void *arg)
{
	struct pw_shard *shard = arg;
	char name[16];
	(void) snprintf(name, sizeof name, "pw/%u", pw_fleet_index(shard->settings.id));
	(void) pthread_setname_np(pthread_self(), name);
	pin(shard);
	schedule(shard);

	int rv = pw_shard_enter(shard, &shard->settings);
	if (rv != 0) {
		shard->start_error = rv;
		pw_fleet_set_up(shard, PW_UP_FAILED);
		return NULL;
	}
	if (on_thread_start != NULL) {
		on_thread_start((int) pw_fleet_index(shard->settings.id), on_thread_start_arg);
	}
	pw_fleet_set_up(shard, PW_UP_RUNNING);
	pw_shard_run(shard);
	pw_fleet_set_up(shard, PW_UP_ENDED);
	return NULL;
}

/* A thread with all signals blocked from its first instruction on. */
static int
spawn(struct pw_shard *shard)
{
	sigset_t all, before;
	(void) sigfillset(&all);
	(void) pthread_sigmask(SIG_SETMASK, &all, &before);
	int rv = pthread_create(&shard->thread, NULL, shard_main, shard);
	(void) pthread_sigmask(SIG_SETMASK, &before, NULL);
	shard->has_thread = rv == 0;
	return -rv;
}

static void
set_phase(struct pw_shard *shard, enum pw_phase phase)
{
	pw_store_release_32(&shard->phase, phase); /* P12 */
	pw_shard_wake(shard);
}

/* Ends the shards [0, count) that were begun. */
static void
end_all(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		set_phase(pw_fleet_nth(i), PW_PHASE_END);
	}
	for (unsigned i = 0; i < count; i++) {
		struct pw_shard *shard = pw_fleet_nth(i);
		if (shard->has_thread) {
			(void) pthread_join(shard->thread, NULL);
			shard->has_thread = false;
		} else if (pw_thread_self()->lent == shard) { /* lent, by this very thread */
			pw_lent_leave(shard);
		} else {
			await_lender(shard);
		}
	}
}

_Static_assert(offsetof(struct pw_shard_settings, id) == 0, "configure leaves the first member alone");

/* All but the id, which is written once, with the record: allocators of any thread may read it while the fleet starts. */
static void
configure(struct pw_shard *shard, const struct pw_config *config, unsigned index)
{
	struct pw_shard_settings fresh;
	size_t behind_id = sizeof fresh.id;
	pw_config_shard(config, index, &fresh);
	memcpy((char *) &shard->settings + behind_id, (const char *) &fresh + behind_id, sizeof fresh - behind_id);
}

int
pw_fleet_launch(const struct pw_config *config, const struct pw_shard_ops *ops)
{
	unsigned count = (unsigned) (config->value[PW_SETTING_SHARDS] + config->value[PW_SETTING_LENT]);
	int rv = 0;

	on_thread_start = config->on_thread_start;
	on_thread_start_arg = config->on_thread_start_arg;
	for (unsigned i = 0; rv == 0 && i < count; i++) {
		rv = pw_fleet_record(i, ops);
	}
	if (rv != 0) {
		return rv;
	}
	pw_fleet.tick_shift = (unsigned) __builtin_ctzll(config->value[PW_SETTING_TICK]);

	unsigned begun = 0;
	for (; rv == 0 && begun < count; begun++) {
		struct pw_shard *shard = pw_fleet_nth(begun);
		configure(shard, config, begun);
		pw_store_release_32(&shard->phase, PW_PHASE_RUN);
		pw_store_release_64(&shard->up, PW_UP_NOT);
		rv = shard->settings.lent ? 0 : spawn(shard);
	}
	for (unsigned i = 0; i < begun; i++) {
		struct pw_shard *shard = pw_fleet_nth(i);
		if (shard->has_thread && wait_up(shard, PW_UP_NOT) == PW_UP_FAILED && rv == 0) {
			rv = shard->start_error;
		}
	}
	if (rv != 0) {
		end_all(begun);
		return rv;
	}
	pw_store_relaxed_32(&pw_fleet.lent, (uint32_t) config->value[PW_SETTING_LENT]);
	pw_store_release_32(&pw_fleet.count, count);
	return 0;
}

void
pw_fleet_drain(void)
{
	for (unsigned i = 0; i < pw_fleet_count(); i++) {
		set_phase(pw_fleet_nth(i), PW_PHASE_DRAIN);
	}
}

void
pw_fleet_join(void)
{
	end_all(pw_fleet_count());
	pw_store_release_32(&pw_fleet.count, 0);
}

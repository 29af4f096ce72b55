/* SPDX-License-Identifier: MIT
 *
 * stats.c: the snapshot of one shard. Every figure is a relaxed read of what the shard alone writes: late, never torn.
 * What describes the shard (settings, thread, poller) is read as a visitor (fleet.h): nng_fini waits for the snapshot
 * before it takes the shard apart, and there is none of an engine that is being started.
 */
#include <pinwheel/pinwheel.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "engine/aio/aio.h"
#include "engine/shard/fleet.h"

/* The value that `share` of the recorded ones are not above. */
static uint64_t
percentile(const struct pw_histogram *h, uint64_t count, double share)
{
	uint64_t wanted = (uint64_t) ((double) count * share + 0.999999);
	uint64_t max_ns = pw_load_relaxed_64(&h->max_ns), seen = 0;
	for (unsigned i = 0; i < PW_HISTOGRAM_BUCKETS; i++) {
		seen += pw_load_relaxed_64(&h->bucket[i]);
		if (seen >= wanted) {
			uint64_t top_ns = pw_histogram_top_ns(i);
			return top_ns < max_ns ? top_ns : max_ns;
		}
	}
	return max_ns;
}

static void
summarise(const struct pw_histogram *h, struct pinwheel_histogram *out)
{
	uint64_t count = pw_load_relaxed_64(&h->count);
	*out = (struct pinwheel_histogram) { .count = count };
	if (count == 0) {
		return;
	}
	out->mean_ns = pw_load_relaxed_64(&h->sum_ns) / count;
	out->p50_ns = percentile(h, count, 0.5);
	out->p90_ns = percentile(h, count, 0.9);
	out->p99_ns = percentile(h, count, 0.99);
	out->p999_ns = percentile(h, count, 0.999);
	out->max_ns = pw_load_relaxed_64(&h->max_ns);
}

/* Pinned when it was, and when the kernel has not moved it since (a mask that shrank while it ran). */
static void
describe_pinning(struct pw_shard *shard, struct pinwheel_shard_stats *s)
{
	uint32_t pinned = pw_load_relaxed_32(&shard->pinned_cpu);
	s->cpu = -1;
	if (shard->settings.lent) {
		(void) snprintf(s->pin_reason, sizeof s->pin_reason, "lent: it runs where the lending thread runs");
		return;
	}
	if (pinned == 0) {
		(void) snprintf(s->pin_reason, sizeof s->pin_reason, shard->pin_error != 0 ? "CPU %d refused: %s" : "no CPU was chosen",
		    shard->settings.cpu, strerrordesc_np(shard->pin_error));
		return;
	}
	cpu_set_t now;
	int cpu = (int) pinned - 1;
	if (cpu < CPU_SETSIZE && shard->has_thread && pthread_getaffinity_np(shard->thread, sizeof now, &now) == 0 &&
	    (CPU_COUNT(&now) != 1 || !CPU_ISSET((size_t) cpu, &now))) {
		(void) snprintf(s->pin_reason, sizeof s->pin_reason, "CPU %d was taken from the process while it ran", cpu);
		return;
	}
	s->cpu = cpu;
	s->pinned = true;
}

/* Inside a visit. */
static void
snapshot(int index, struct pinwheel_shard_stats *out)
{
	struct pw_shard *shard = pw_fleet_nth((unsigned) index);
	const struct pw_counters *c = &shard->counters;
	struct pinwheel_shard_stats s = { .size = out->size, .shard = index, .lent = shard->settings.lent };

	describe_pinning(shard, &s);
	bool up = pw_load_acquire_64(&shard->up) == PW_UP_RUNNING; /* P12: the poller is open */
	(void) snprintf(s.poller, sizeof s.poller, "%s", up ? shard->poller.ops->name : "");
	(void) snprintf(s.poller_reason, sizeof s.poller_reason, "%s", up ? shard->poller.why : "not polled yet");
	s.refused = pw_load_relaxed_64(&c->refused);
	s.finished_home = pw_load_relaxed_64(&c->finished_home);
	s.finished_remote = pw_load_relaxed_64(&c->finished_foreign);
	s.delivered = pw_load_relaxed_64(&c->delivered);
	s.callbacks = pw_load_relaxed_64(&c->callbacks);
	s.cancels_won = pw_load_relaxed_64(&c->cancels);
	s.cancels_late = pw_load_relaxed_64(&c->cancels_late);
	s.expired = pw_load_relaxed_64(&c->expired);
	s.mails_received = pw_load_relaxed_64(&c->mails);
	s.mails_overflowed = pw_load_relaxed_64(&shard->inbox.overflowed);
	s.requests = pw_load_relaxed_64(&c->requests);
	s.wakes = pw_load_relaxed_64(&c->wakes);
	s.parks = pw_load_relaxed_64(&c->parks);
	s.turns = pw_load_relaxed_64(&c->turns);
	s.long_turns = pw_load_relaxed_64(&c->turns_long);
	s.longest_turn_ns = pw_load_relaxed_64(&c->turn_max_ns);
	s.longest_turn_function = (uintptr_t) pw_load_relaxed_ptr(&c->turn_max_call);
	s.blocking_waits = pw_load_relaxed_64(&c->waits_blocking);
	s.timers_linked = pw_load_relaxed_64(&c->linked);
	s.timers_armed = pw_load_relaxed_64(&c->armed);
	s.timer_visits = pw_load_relaxed_64(&c->visits_stale);
	s.timer_cascades = pw_load_relaxed_64(&c->cascades);
	s.moved_home = pw_load_relaxed_64(&c->moved_in);
	s.slots_allocated = pw_load_relaxed_64(&shard->arena.allocated);
	s.slots_released = pw_load_relaxed_64(&shard->arena.released);
	s.slabs = pw_load_relaxed_64(&shard->arena.slab_count);
	s.allocations = pw_load_relaxed_64(&shard->arena.slab_count);
	s.io_completed = pw_load_relaxed_64(&c->io_done);
	s.io_in_flight = pw_load_relaxed_64(&c->io_in_flight);
	summarise(&shard->lateness, &s.lateness);
	summarise(&shard->turn, &s.turn);
	summarise(&shard->call, &s.callback);
	summarise(&shard->mail_to_run, &s.mail_to_run);

	size_t known = out->size < sizeof s ? out->size : sizeof s;
	size_t rest = out->size - known;
	memset((char *) out + known, 0, rest);
	memcpy(out, &s, known);
}

nng_err
pinwheel_stats(int index, struct pinwheel_shard_stats *out)
{
	if (out == NULL || out->size == 0 || index < 0 || !pw_fleet_visit()) {
		return NNG_EINVAL;
	}
	bool there = (unsigned) index < pw_fleet_count();
	if (there) {
		snapshot(index, out);
	}
	pw_fleet_leave();
	return there ? NNG_OK : NNG_EINVAL;
}

/* SPDX-License-Identifier: MIT
 *
 * shard.c: the event loop of one CPU.
 *
 * What it is: the turn (inbox -> wheel -> I/O -> ready queue), the decision to spin or sleep, and the figures a
 * shard keeps about itself. What it is not: the rules of an aio (aio/), the threads (fleet.c).
 *
 * Which thread: the shard's own, or the one that lends itself to it; pw_shard_post and pw_shard_wake: any.
 *
 * Invariants
 *   I1  User code (callbacks, cancel functions) runs from run_ready alone. Drain, expiry and I/O completions
 *       change words and append to the ready queue; so no user code ever runs with a popped list half walked.
 *   I2  Each stage takes in at most `budget` entries a turn (the inbox: from its ring and from its overflow stack),
 *       and the ready queue runs as many and two more for each taken in; so a turn is bounded, at most 9 budgets,
 *       however much is outstanding, and no stage starves another.
 *   I3  The loop sleeps only after pw_inbox_park has said yes and the ready queue, the wheel and the poller have
 *       been looked at *after* it: mail posted before is seen, mail posted later rings the bell (P10).
 *   I4  The cached time only ever lags: it drives the wheel (late is allowed, early is not) and nothing else. What is
 *       counted from now is counted from pw_shard_clock_ns, which never lags: the cached time and what the counter
 *       has gone since, made a thousandth longer, and 128 ns for the order in which a processor may read it. The
 *       counter tells at most 1 ms, and only while its rate in two windows in a row agreed within 1/4096: suspending
 *       or moving the machine breaks that, and then the clock is asked.
 *   I5  Idle is idle: a parked shard has no periodic wake-up; it sleeps until the wheel's next tick with work,
 *       until its bell, or until the kernel has a completion.
 *
 * The adaptive spin (strategy park): what a sleep costs is a wake-up (interrupt, VM exit: tens of microseconds).
 * If the last sleep was shorter than the longest spin allowed, spinning would have caught the mail, so the
 * next spin doubles; else it halves, down to nothing. A shard that is asked once a second never spins.
 */
#include "engine/shard/shard.h"

#include <errno.h>

#include "engine/base/clock.h"
#include "engine/base/cycles.h"
#include "engine/base/misuse.h"
#include "engine/shard/park.h"

#define SPIN_FLOOR_NS UINT64_C(1000)
#define SPIN_LOOK 32 /* looks at the inbox and at the poller's completions between two readings of the clock */

int
pw_shard_init(struct pw_shard *shard, const struct pw_shard_ops *ops)
{
	pw_inbox_init(&shard->inbox);
	pw_arena_init(&shard->arena);
	shard->ops = ops;
	return pw_bell_open(&shard->bell_fd);
}

int
pw_shard_enter(struct pw_shard *shard, const struct pw_shard_settings *settings)
{
	if (settings != &shard->settings) { /* the fleet's own are there already, and others read the id */
		shard->settings = *settings;
	}
	shard->tick_shift = settings->tick_shift;
	shard->now_ns = pw_clock_now_ns();
	shard->cycles_base = pw_cycles();
	shard->cycles_base_ns = shard->now_ns;
	shard->ns_per_cycle = 0; /* until the ratio is known */
	shard->cycles_limit = 0;
	shard->cycles_trusted = pw_clock_is_cycles();
	shard->spin_now_ns = 0;
	pw_wheel_init(&shard->wheel, shard->now_ns >> shard->tick_shift);
	int rv = pw_poller_open(&shard->poller, settings->poller, shard->bell_fd);
	if (rv == 0) {
		pw_thread_self()->shard = shard;
	}
	return rv;
}

void
pw_shard_leave(struct pw_shard *shard)
{
	pw_poller_close(&shard->poller);
	pw_thread_self()->shard = NULL;
}

/* ---- one turn */

static void
take_mail(void *context, pw_mail mail)
{
	struct pw_shard *shard = context;
	shard->ops->on_mail[pw_mail_kind(mail)](shard, pw_mail_node(mail));
}

static void
take_expired(void *context, uint32_t slot)
{
	struct pw_shard *shard = context;
	shard->ops->on_expire(shard, slot);
}

/* The mail-to-run sample: a sender left the time of its post, the batch that holds the mail has now been run. */
static void
probe_read(struct pw_shard *shard, uint64_t probe_ns)
{
	if (probe_ns != 0) {
		uint64_t now_ns = pw_clock_now_ns();
		pw_histogram_record(&shard->mail_to_run, now_ns > probe_ns ? now_ns - probe_ns : 0);
		pw_store_release_64(&shard->probe_ns, 0); /* release: the sample is free for the next sender */
	}
}

/* The next entry: its node's line, and the one before, where an aio has its word. */
static inline void
prefetch_ready(pw_mail mail)
{
	__builtin_prefetch((void *) mail, 1);
	__builtin_prefetch((void *) (mail - 64), 1);
}

/* At most budget entries, and two for each that the stages before have taken in: what an expiry or an abort lists is
 * followed by the completion it causes, so with less the queue would grow, and go cold, as long as they come. */
static unsigned
run_ready(struct pw_shard *shard, unsigned taken_in)
{
	unsigned run = 0, limit = shard->settings.budget + 2 * taken_in;
	shard->turn_call_cycles = 0;
	shard->turn_call = NULL;
	if (shard->ready_head == 0) {
		return 0;
	}
	shard->watch_turns -= shard->watch_turns != 0;
	shard->cycles_mark = pw_cycles();
	while (shard->ready_head != 0 && run < limit) {
		pw_mail mail = shard->ready_head;
		struct pw_node *node = pw_mail_node(mail);
		shard->ready_head = node->next;
		if (shard->ready_head == 0) {
			shard->ready_tail = 0;
		}
		prefetch_ready(shard->ready_head);
		shard->ops->on_ready[pw_mail_kind(mail)](shard, node);
		run++;
	}
	if (shard->run_calls != 0) {
		pw_shard_calls_timed(shard);
	}
	return run;
}

#define WINDOW_FIRST_NS PW_NS_PER_MS
#define WINDOW_NS PW_NS_PER_S
#define COUNTER_SPAN_NS PW_NS_PER_MS

/* The ratio of the counter to the clock, from window to window. */
static void
see_ratio(struct pw_shard *shard, uint64_t now_ns)
{
	uint64_t window_ns = now_ns - shard->cycles_base_ns;
	if (window_ns < (shard->cycles_limit == 0 ? WINDOW_FIRST_NS : WINDOW_NS)) {
		return;
	}
	uint64_t cycles = pw_cycles();
	double ratio = (double) window_ns / (double) (cycles - shard->cycles_base);
	double change = ratio - shard->ns_per_cycle;
	bool steady = (change < 0 ? -change : change) * 4096 < ratio;
	shard->cycles_limit =
	    shard->cycles_trusted && steady ? (uint64_t) ((double) COUNTER_SPAN_NS / ratio) : 0;
	shard->ns_per_cycle = ratio;
	shard->cycles_base = cycles;
	shard->cycles_base_ns = now_ns;
}

uint64_t
pw_shard_clock_ns(const struct pw_shard *shard)
{
	uint64_t cycles = pw_cycles() - shard->cycles_turn;
	if (cycles >= shard->cycles_limit) {
		return pw_clock_now_ns();
	}
	return shard->now_ns + (uint64_t) ((double) cycles * shard->ns_per_cycle * (1 + 1.0 / 1024)) + 128;
}

static void
turn_account(struct pw_shard *shard, uint64_t began_ns)
{
	uint64_t now_ns = pw_clock_now_ns();
	uint64_t took_ns = now_ns - began_ns;
	struct pw_counters *c = &shard->counters;

	pw_count_add(&c->turns, 1);
	pw_store_relaxed_64(&c->linked, shard->wheel.count);
	pw_store_relaxed_64(&c->cascades, shard->wheel.cascades);
	pw_store_relaxed_64(&c->io_in_flight, shard->poller.in_flight);
	pw_histogram_record(&shard->turn, took_ns);
	see_ratio(shard, now_ns);
	if (took_ns > shard->settings.long_turn_ns) {
		pw_count_add(&c->turns_long, 1);
	}
	if (took_ns > pw_load_relaxed_64(&c->turn_max_ns)) {
		pw_store_relaxed_64(&c->turn_max_ns, took_ns);
		pw_store_relaxed_ptr(&c->turn_max_call, shard->turn_call);
	}
}

#define WATCH_TURNS 4096u

void
pw_shard_calls_timed(struct pw_shard *shard)
{
	uint64_t now = pw_cycles();
	uint64_t took = now - shard->cycles_mark;
	uint64_t took_ns = (uint64_t) ((double) took * shard->ns_per_cycle);
	void *call = shard->run_call;

	pw_histogram_record(&shard->call, took_ns / shard->run_calls);
	if (call == PW_CALLS_MIXED && took_ns > shard->settings.long_turn_ns) {
		shard->watch_turns = WATCH_TURNS;
	}
	if (took > shard->turn_call_cycles) {
		shard->turn_call_cycles = took;
		shard->turn_call = call == PW_CALLS_MIXED ? NULL : call;
	}
	shard->cycles_mark = now;
	shard->run_calls = 0;
}

unsigned
pw_shard_turn(struct pw_shard *shard)
{
	unsigned budget = shard->settings.budget;
	shard->cycles_turn = pw_cycles(); /* before the clock: I4 */
	uint64_t began_ns = pw_clock_now_ns();
	uint64_t probe_ns = pw_load_relaxed_64(&shard->probe_ns); /* relaxed: a sample */

	shard->now_ns = began_ns;
	unsigned mails = pw_inbox_drain(&shard->inbox, budget, take_mail, shard);
	pw_count_add(&shard->counters.mails, mails);

	unsigned done = mails;
	shard->phase_seen = pw_load_acquire_32(&shard->phase); /* P12 */
	if (shard->phase_seen >= PW_PHASE_DRAIN && shard->wheel.count != 0) {
		pw_wheel_flush(&shard->wheel);
	}
	done += pw_wheel_advance(&shard->wheel, began_ns >> shard->tick_shift, budget, take_expired, shard);
	if (shard->poller.in_flight != 0 || pw_poller_pending(&shard->poller)) {
		unsigned io = pw_poller_wait(&shard->poller, 0, budget);
		pw_count_add(&shard->counters.io_done, io);
		done += io;
	}
	done += run_ready(shard, done);
	probe_read(shard, mails != 0 ? probe_ns : 0);
	if (done != 0) {
		turn_account(shard, began_ns);
	}
	return done;
}

/* ---- idle */

/* A change of phase is work until a turn has seen it: the bell that told of it may have been silenced by a look at the
 * poller in between. */
static bool
has_work(const struct pw_shard *shard)
{
	uint32_t phase = pw_load_acquire_32(&shard->phase); /* P12 */
	if (phase != shard->phase_seen || (phase >= PW_PHASE_DRAIN && shard->wheel.count != 0)) {
		return true;
	}
	return shard->ready_head != 0 || pw_wheel_pending(&shard->wheel) || pw_poller_pending(&shard->poller);
}

uint64_t
pw_shard_next_ns(const struct pw_shard *shard)
{
	uint64_t tick = pw_wheel_next(&shard->wheel);
	return tick >= PW_NEVER_NS >> shard->tick_shift ? PW_NEVER_NS : tick << shard->tick_shift;
}

/* Looks for mail, I/O and due timers until `until_ns`. True: there is something. */
static bool
spin(struct pw_shard *shard, uint64_t until_ns)
{
	uint64_t next_ns = pw_shard_next_ns(shard);
	for (;;) {
		for (int look = 0; look < SPIN_LOOK; look++) {
			if (pw_inbox_ready(&shard->inbox) || pw_poller_pending(&shard->poller)) {
				return true;
			}
			pw_cpu_relax();
		}
		if (shard->poller.in_flight != 0) {
			unsigned io = pw_poller_wait(&shard->poller, 0, shard->settings.budget);
			pw_count_add(&shard->counters.io_done, io);
			if (io != 0) {
				return true;
			}
		}
		uint64_t now_ns = pw_clock_now_ns();
		if (now_ns >= next_ns) {
			return true;
		}
		if (now_ns >= until_ns) {
			return false;
		}
	}
}

static void
spin_adapt(struct pw_shard *shard, uint64_t slept_ns)
{
	uint64_t longest_ns = shard->settings.spin_ns;
	if (slept_ns < longest_ns) {
		uint64_t next_ns = shard->spin_now_ns < SPIN_FLOOR_NS ? SPIN_FLOOR_NS : shard->spin_now_ns * 2;
		shard->spin_now_ns = next_ns < longest_ns ? next_ns : longest_ns;
	} else {
		shard->spin_now_ns = shard->spin_now_ns < SPIN_FLOOR_NS ? 0 : shard->spin_now_ns / 2;
	}
}

bool
pw_shard_park(struct pw_shard *shard)
{
	if (has_work(shard) || !pw_inbox_park(&shard->inbox)) {
		return false;
	}
	if (has_work(shard)) { /* I3 */
		pw_inbox_unpark(&shard->inbox);
		return false;
	}
	return true;
}

static void
sleep_in_kernel(struct pw_shard *shard, uint64_t limit_ns)
{
	if (!pw_shard_park(shard)) {
		return;
	}
	uint64_t next_ns = pw_shard_next_ns(shard);
	next_ns = next_ns < limit_ns ? next_ns : limit_ns;
	uint64_t now_ns = pw_clock_now_ns();
	uint64_t timeout_ns = next_ns == PW_NEVER_NS ? PW_NEVER_NS : next_ns > now_ns ? next_ns - now_ns : 0;

	pw_count_add(&shard->counters.parks, 1);
	unsigned io = pw_poller_wait(&shard->poller, timeout_ns, shard->settings.budget);
	pw_count_add(&shard->counters.io_done, io);
	pw_inbox_unpark(&shard->inbox);
	spin_adapt(shard, pw_clock_now_ns() - now_ns);
}

void
pw_shard_idle(struct pw_shard *shard, uint64_t limit_ns)
{
	uint64_t now_ns = pw_clock_now_ns();
	switch (shard->settings.idle) {
	case PW_IDLE_BUSY:
		(void) spin(shard, now_ns); /* one round of looks, then the next turn */
		return;
	case PW_IDLE_SPIN:
		if (spin(shard, now_ns + shard->settings.spin_ns)) {
			return;
		}
		break;
	case PW_IDLE_PARK:
		if (shard->spin_now_ns != 0 && spin(shard, now_ns + shard->spin_now_ns)) {
			return;
		}
		break;
	}
	sleep_in_kernel(shard, limit_ns);
}

void
pw_shard_end(struct pw_shard *shard)
{
	shard->ops->on_stop(shard);
	for (;;) {
		if (pw_shard_turn(shard) != 0) {
			continue; /* it may have been the last work: nothing would end a sleep */
		}
		if (shard->poller.in_flight == 0 && !has_work(shard)) {
			break;
		}
		pw_shard_idle(shard, PW_NEVER_NS);
	}
	pw_shard_leave(shard);
}

void
pw_shard_run(struct pw_shard *shard)
{
	for (;;) {
		if (pw_shard_turn(shard) != 0) {
			continue;
		}
		if (pw_load_acquire_32(&shard->phase) == PW_PHASE_END) { /* P12: set when nothing is outstanding */
			pw_shard_end(shard);
			return;
		}
		pw_shard_idle(shard, PW_NEVER_NS);
	}
}

/* ---- from other threads */

#define PROBE_EVERY 64u /* a power of two */

/* One post in 64 of a thread leaves its time, if the sample before it has been read. */
static void
probe_leave(struct pw_shard *shard)
{
	uint64_t free_probe = 0;
	if ((++pw_thread_self()->posts & (PROBE_EVERY - 1)) == 0 && pw_load_relaxed_64(&shard->probe_ns) == 0) {
		(void) pw_cas_relaxed_64(&shard->probe_ns, &free_probe, pw_clock_now_ns()); /* relaxed: a figure */
	}
}

void
pw_shard_post(struct pw_shard *shard, pw_mail mail)
{
	uint64_t generation;
	probe_leave(shard);
	if (pw_inbox_post(&shard->inbox, mail, &generation)) {
		pw_bell_ring(shard->bell_fd); /* wake first, then say so: inbox.c */
		pw_inbox_woken(&shard->inbox, generation);
		(void) pw_fetch_add_relaxed_64(&shard->counters.wakes, 1);
	}
}

void
pw_shard_wake(struct pw_shard *shard)
{
	pw_bell_ring(shard->bell_fd);
}

/* SPDX-License-Identifier: MIT
 *
 * workload_crowd.c: a crowd of sleeps or of operations with a deadline: what it weighs, what it costs to end one of
 * it and begin it again, what it does to one sleep beside it, and what happens when all sleeps end within a second or
 * two.
 *
 * A handle's callbacks never overlap and each is seen by the next, so a handle counts in memory of its own, whichever
 * threads its callbacks come from. What a callback does depends on what the crowd is doing, `on_end`; it is changed
 * only while no callback is due. An item is the program's own record of an operation. Whoever ends one has that at
 * hand, so it is prefetched then: what is measured is the library's memory, not the workload's.
 */
#include "bench/suite/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/suite/countdown.h"

#define LONG_SLEEP_MS 600000 /* and as much again, at random */
#define BURST_PART 1024u

struct crowd_item {
	void *handle;
	struct bench_crowd *crowd;
	pw_a64 called;  /* one writer, the callback */
	uint32_t wrong; /* callbacks that were not due, too early, or had a result that they should not have */
	uint32_t late;  /* ended by their deadline, where that is no error */
};

struct victim {
	void *handle;
	struct crowd_item *item;
};

/* Of a burst. */
struct crowd_time {
	uint64_t deadline_ns;
	uint64_t lateness_ns;
	bool early;
};

struct bench_crowd {
	const struct bench_ops *ops;
	int loop;
	uint32_t count;
	struct crowd_item *item;
	struct crowd_time *time; /* NULL until a burst */
	uint32_t *order;         /* all items, shuffled */
	struct victim *victim;   /* in the order of a churn: what ends them needs no look at a cold item */
	int32_t timeout_ms;      /* negative: it sleeps */
	bool alloc_failed;
	bool begun; /* each handle sleeps or is started, and goes on until the crowd is closed */
	uint64_t resident_before;
	double bytes_per_sleep;

	void (*on_end)(struct bench_crowd *crowd, struct crowd_item *item);
	enum bench_result expected;
	uint64_t began_ns, ended_ns;
	sem_t over;
	struct bench_countdown open; /* burst */

	/* churn; one thread at a time, handed over by ended */
	_Alignas(64) uint64_t left; /* not ended yet */
	uint32_t next;              /* in `victim` */
	unsigned window;
	uint64_t missed;           /* ended by their deadline before their turn */
	_Alignas(64) pw_a64 ended; /* not called back yet, and one for the thread that ends */
};

/* xorshift: deadlines need no quality, only no order. One state per thread. */
static uint32_t
random_below(uint32_t limit)
{
	static _Thread_local uint64_t state;
	if (state == 0) {
		state = (uint64_t) (uintptr_t) &state * UINT64_C(0x9e3779b97f4a7c15) | 1;
	}
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t) ((state >> 32) * limit >> 32);
}

static uint64_t
resident_bytes(void)
{
	unsigned long total = 0, resident = 0;
	FILE *statm = fopen("/proc/self/statm", "r");
	if (statm != NULL) {
		if (fscanf(statm, "%lu %lu", &total, &resident) != 2) {
			resident = 0;
		}
		(void) fclose(statm);
	}
	return (uint64_t) resident * (uint64_t) sysconf(_SC_PAGESIZE);
}

/* True: it was the last. Handles are ended on the loop, too, so one thread is all there is. */
static bool
count_down(struct bench_crowd *crowd)
{
	if (!crowd->ops->one_thread) {
		return bench_count_down(&crowd->ended);
	}
	uint64_t left = pw_load_relaxed_64(&crowd->ended) - 1; /* relaxed: our own */
	pw_store_relaxed_64(&crowd->ended, left);
	return left == 0;
}

/* ---- the crowd */

static void
on_callback(void *arg)
{
	struct crowd_item *item = arg;
	item->crowd->on_end(item->crowd, item);
}

/* Nothing is due: a callback that comes nevertheless is wrong. */
static void
on_unexpected(struct bench_crowd *crowd, struct crowd_item *item)
{
	(void) crowd;
	item->wrong++;
}

/* A crowd that is started and left alone: its deadlines may come. */
static void
on_deadline(struct bench_crowd *crowd, struct crowd_item *item)
{
	if (crowd->ops->result(item->handle) == BENCH_TIMED_OUT) {
		item->late++;
	} else {
		item->wrong++;
	}
	(void) crowd->ops->start(item->handle);
}

static void
called(struct crowd_item *item)
{
	pw_store_release_64(&item->called, pw_load_relaxed_64(&item->called) + 1); /* relaxed: our own */
}

static void
begin(struct bench_crowd *crowd, struct crowd_item *item)
{
	if (crowd->timeout_ms < 0) {
		crowd->ops->sleep(item->handle, LONG_SLEEP_MS + (int32_t) random_below(LONG_SLEEP_MS));
	} else if (!crowd->ops->start(item->handle)) {
		item->wrong++;
	}
}

static void
shuffle(struct bench_crowd *crowd)
{
	for (uint32_t i = 0; i < crowd->count; i++) {
		uint32_t other = random_below(i + 1);
		crowd->order[i] = crowd->order[other];
		crowd->order[other] = i;
	}
}

/* A function for the items of one loop, called there. */
struct part {
	struct bench_crowd *crowd;
	uint32_t first, step;
	int loop;
	void (*function)(struct bench_crowd *crowd, const struct part *part, uint32_t index);
};

static void
on_part(void *arg)
{
	const struct part *part = arg;
	for (uint32_t i = part->first; i < part->crowd->count; i += part->step) {
		part->function(part->crowd, part, i);
	}
}

static bool
for_all(struct bench_crowd *crowd, void (*function)(struct bench_crowd *, const struct part *, uint32_t))
{
	bool spread = crowd->loop == BENCH_LOOP_ANY && crowd->ops->any_thread;
	struct part part = { .crowd = crowd, .step = 1, .loop = spread ? BENCH_LOOP_ANY : 0, .function = function };
	if (spread) {
		on_part(&part); /* from here to all loops */
		return true;
	}
	return bench_call(crowd->ops, 0, on_part, &part);
}

static void
alloc_one(struct bench_crowd *crowd, const struct part *part, uint32_t index)
{
	struct crowd_item *item = &crowd->item[index];
	item->handle = crowd->alloc_failed ? NULL : crowd->ops->alloc(part->loop, on_callback, item);
	crowd->alloc_failed |= item->handle == NULL;
}

static void
free_one(struct bench_crowd *crowd, const struct part *part, uint32_t index)
{
	(void) part;
	if (crowd->item[index].handle != NULL) {
		crowd->ops->free(crowd->item[index].handle);
	}
}

static void
release(struct bench_crowd *crowd)
{
	free(crowd->item);
	free(crowd->time);
	free(crowd->order);
	free(crowd->victim);
	free(crowd);
}

static void
cancel_one(struct bench_crowd *crowd, const struct part *part, uint32_t index)
{
	(void) part;
	crowd->ops->cancel(crowd->item[index].handle);
}

static void
on_closing(struct bench_crowd *crowd, struct crowd_item *item)
{
	(void) item;
	if (count_down(crowd)) {
		(void) sem_post(&crowd->over);
	}
}

static void
closing_caller(struct bench_crowd *crowd, const struct part *part, uint32_t index)
{
	(void) part;
	if (index == 0) {
		on_closing(crowd, NULL);
	}
}

/* Nothing else is under way: each handle has one callback to come. */
static bool
end_all(struct bench_crowd *crowd)
{
	crowd->on_end = on_closing;
	pw_store_release_64(&crowd->ended, (uint64_t) crowd->count + 1);
	if (!for_all(crowd, cancel_one)) {
		return false;
	}
	return crowd->ops->silent_cancel ||
	    (for_all(crowd, closing_caller) && bench_wait_until(&crowd->over, bench_now_ns() + BENCH_WAIT_MAX_NS));
}

bool
bench_crowd_close(struct bench_crowd *crowd)
{
	if ((crowd->begun && !end_all(crowd)) || !for_all(crowd, free_one)) {
		return false;
	}
	release(crowd);
	return true;
}

struct bench_crowd *
bench_crowd_open(const struct bench_ops *ops, int loop, uint32_t count)
{
	struct bench_crowd *crowd = aligned_alloc(64, sizeof *crowd);
	if (crowd == NULL) {
		return NULL;
	}
	*crowd = (struct bench_crowd){ .ops = ops, .loop = loop, .count = count, .timeout_ms = -1 };
	crowd->on_end = on_unexpected;
	(void) sem_init(&crowd->over, 0, 0);
	crowd->item = malloc(count * sizeof *crowd->item);
	crowd->order = malloc(count * sizeof *crowd->order);
	crowd->victim = malloc(count * sizeof *crowd->victim);
	if (crowd->item == NULL || crowd->order == NULL || crowd->victim == NULL) {
		release(crowd);
		return NULL;
	}
	for (uint32_t i = 0; i < count; i++) {
		crowd->item[i] = (struct crowd_item){ .crowd = crowd };
		crowd->victim[i] = (struct victim){ .item = &crowd->item[i] }; /* resident, too */
	}
	shuffle(crowd);
	crowd->resident_before = resident_bytes(); /* what is ours is resident by now */
	if (!for_all(crowd, alloc_one) || crowd->alloc_failed) {
		(void) bench_crowd_close(crowd);
		return NULL;
	}
	return crowd;
}

static void
begin_shuffled(struct bench_crowd *crowd, const struct part *part, uint32_t index)
{
	(void) part;
	begin(crowd, &crowd->item[crowd->order[index]]);
}

static void
begin_in_order(struct bench_crowd *crowd, const struct part *part, uint32_t index)
{
	(void) part;
	crowd->ops->set_timeout(crowd->item[index].handle, crowd->timeout_ms);
	begin(crowd, &crowd->item[index]);
}

bool
bench_crowd_sleep(struct bench_crowd *crowd)
{
	bool came = for_all(crowd, begin_shuffled);
	crowd->begun = true;
	crowd->bytes_per_sleep =
	    (double) (resident_bytes() - crowd->resident_before) / crowd->count - (double) crowd->ops->adapter_bytes;
	return came;
}

bool
bench_crowd_start(struct bench_crowd *crowd, int32_t timeout_ms)
{
	crowd->timeout_ms = timeout_ms;
	crowd->on_end = on_deadline;
	crowd->begun = true;
	return for_all(crowd, begin_in_order);
}

double
bench_crowd_bytes_per_sleep(const struct bench_crowd *crowd)
{
	return crowd->bytes_per_sleep;
}

/* Nothing runs: what the callbacks have counted; sets it back. */
static const char *
check(struct bench_crowd *crowd, uint64_t expected, struct bench_outcome *outcome)
{
	uint64_t called_sum = 0, wrong_sum = 0;
	for (uint32_t i = 0; i < crowd->count; i++) {
		struct crowd_item *item = &crowd->item[i];
		called_sum += pw_load_acquire_64(&item->called);
		wrong_sum += item->wrong;
		outcome->late += item->late;
		pw_store_relaxed_64(&item->called, 0); /* relaxed: nothing runs */
		item->wrong = item->late = 0;
	}
	if (outcome->error != NULL) {
		return outcome->error;
	}
	if (called_sum != expected) {
		return "too few or too many callbacks";
	}
	return wrong_sum != 0 ? "a callback was early, not due, or had the wrong result" : NULL;
}

struct bench_outcome
bench_crowd_idle(struct bench_crowd *crowd, unsigned seconds)
{
	struct bench_outcome outcome = { .operations = crowd->count };
	uint64_t began_ns = bench_now_ns();
	uint64_t cpu_before_ns = bench_cpu_ns();
	(void) bench_wait_until(&crowd->over, began_ns + seconds * BENCH_NS_PER_S); /* nobody posts it */
	outcome.cpu_ns = bench_cpu_ns() - cpu_before_ns;
	outcome.elapsed_ns = bench_now_ns() - began_ns;
	outcome.error = check(crowd, 0, &outcome);
	return outcome;
}

/* ---- churn */

static void
churn_over(struct bench_crowd *crowd)
{
	crowd->ended_ns = bench_now_ns();
	(void) sem_post(&crowd->over);
}

static void
end_one(struct bench_crowd *crowd, void *handle)
{
	if (crowd->timeout_ms < 0) {
		crowd->ops->cancel(handle);
	} else if (!crowd->ops->finish(handle)) { /* its deadline was first */
		(void) count_down(crowd);
		crowd->missed++;
	}
}

static void
end_window(struct bench_crowd *crowd)
{
	for (;;) {
		uint32_t from = crowd->next;
		unsigned window = crowd->left < crowd->window ? (unsigned) crowd->left : crowd->window;
		if (window == 0) {
			churn_over(crowd);
			return;
		}
		crowd->left -= window;
		crowd->next = (from + window) % crowd->count;
		pw_store_release_64(&crowd->ended, window + 1);
		for (unsigned i = 0; i < window; i++) {
			const struct victim *victim = &crowd->victim[(from + i) % crowd->count];
			__builtin_prefetch(victim->item, 1); /* who ends an operation has its own record at hand */
			end_one(crowd, victim->handle);
		}
		if (!count_down(crowd)) {
			return; /* the last callback goes on */
		}
	}
}

static void
begin_churn(void *arg)
{
	struct bench_crowd *crowd = arg;
	crowd->began_ns = bench_now_ns();
	end_window(crowd);
}

/* Where cancel calls nothing back: a cancel and the next sleep, and nothing around them. */
static void
churn_silent(void *arg)
{
	struct bench_crowd *crowd = arg;
	const struct bench_ops *ops = crowd->ops;
	crowd->began_ns = bench_now_ns();
	for (; crowd->left != 0; crowd->left--) {
		void *handle = crowd->victim[crowd->next].handle;
		crowd->next = crowd->next + 1 == crowd->count ? 0 : crowd->next + 1;
		ops->cancel(handle);
		ops->sleep(handle, LONG_SLEEP_MS + (int32_t) random_below(LONG_SLEEP_MS));
	}
	churn_over(crowd);
}

static void
on_churned(struct bench_crowd *crowd, struct crowd_item *item)
{
	enum bench_result result = crowd->ops->result(item->handle);
	if (result == BENCH_TIMED_OUT && crowd->timeout_ms >= 0) { /* nobody ended it: it is not counted down */
		item->late++;
		begin(crowd, item);
		return;
	}
	item->wrong += result != crowd->expected;
	called(item);
	begin(crowd, item);
	if (count_down(crowd)) {
		end_window(crowd);
	}
}

struct bench_outcome
bench_crowd_churn(struct bench_crowd *crowd, enum bench_order order, uint64_t operations, unsigned window)
{
	struct bench_outcome outcome = { .operations = operations };
	bool silent = crowd->ops->silent_cancel;
	bool sleeps = crowd->timeout_ms < 0;
	for (uint32_t i = 0; i < crowd->count; i++) {
		struct crowd_item *item = &crowd->item[order == BENCH_IN_ORDER ? i : crowd->order[i]];
		crowd->victim[i] = (struct victim){ item->handle, item };
	}
	crowd->left = operations;
	crowd->missed = 0;
	crowd->window = window < crowd->count ? window : crowd->count;
	crowd->expected = sleeps ? BENCH_CANCELED : BENCH_DONE;
	crowd->on_end = on_churned;

	bench_measure_begin(crowd->ops, &outcome);
	if (!crowd->ops->run(0, silent ? churn_silent : begin_churn, crowd) ||
	    !bench_wait_until(&crowd->over, bench_now_ns() + BENCH_WAIT_MAX_NS)) {
		outcome.error = "the callbacks do not come";
	}
	outcome.elapsed_ns = crowd->ended_ns - crowd->began_ns;
	bench_measure_end(crowd->ops, &outcome);
	crowd->on_end = sleeps ? on_unexpected : on_deadline;
	outcome.error = check(crowd, silent ? 0 : operations - crowd->missed, &outcome);
	return outcome;
}

/* ---- beside */

struct sleeper {
	const struct bench_ops *ops;
	void *handle;
	int32_t duration_ms;
	unsigned count;
	unsigned ended;
	unsigned wrong;
	uint64_t deadline_ns;
	uint64_t *lateness_ns;
	sem_t over;
};

static uint64_t
lateness_of(uint64_t now_ns, uint64_t deadline_ns)
{
	return now_ns > deadline_ns ? now_ns - deadline_ns : 0;
}

/* Before a sleep of `duration_ms` begins: the moment before which it must not end. */
static uint64_t
deadline_of(uint64_t now_ns, int32_t duration_ms)
{
	return now_ns + (uint64_t) duration_ms * BENCH_NS_PER_MS;
}

static void
sleeper_go(struct sleeper *sleeper)
{
	sleeper->deadline_ns = deadline_of(bench_now_ns(), sleeper->duration_ms);
	sleeper->ops->sleep(sleeper->handle, sleeper->duration_ms);
}

static void
on_sleeper(void *arg)
{
	struct sleeper *sleeper = arg;
	uint64_t now_ns = bench_now_ns();
	sleeper->wrong += now_ns + sleeper->ops->clock_step_ns < sleeper->deadline_ns ||
	    sleeper->ops->result(sleeper->handle) != BENCH_DONE;
	sleeper->lateness_ns[sleeper->ended++] = lateness_of(now_ns, sleeper->deadline_ns);
	if (sleeper->ended < sleeper->count) {
		sleeper_go(sleeper);
	} else {
		(void) sem_post(&sleeper->over);
	}
}

static void
begin_sleeper(void *arg)
{
	struct sleeper *sleeper = arg;
	sleeper->handle = sleeper->ops->alloc(0, on_sleeper, sleeper);
	if (sleeper->handle != NULL) {
		sleeper_go(sleeper);
	}
}

static void
free_sleeper(void *arg)
{
	struct sleeper *sleeper = arg;
	sleeper->ops->free(sleeper->handle);
}

struct bench_outcome
bench_crowd_beside(struct bench_crowd *crowd, int32_t duration_ms, unsigned count, uint64_t *lateness_ns)
{
	struct bench_outcome outcome = { .operations = count };
	struct sleeper sleeper = {
		.ops = crowd->ops,
		.duration_ms = duration_ms,
		.count = count,
		.lateness_ns = lateness_ns,
	};
	(void) sem_init(&sleeper.over, 0, 0);
	bench_measure_begin(crowd->ops, &outcome);
	uint64_t began_ns = bench_now_ns();
	if (!bench_call(crowd->ops, 0, begin_sleeper, &sleeper) || sleeper.handle == NULL) {
		outcome.error = "out of memory";
		return outcome;
	}
	bool came = bench_wait_until(&sleeper.over, began_ns + BENCH_WAIT_MAX_NS);
	outcome.elapsed_ns = bench_now_ns() - began_ns;
	bench_measure_end(crowd->ops, &outcome);
	came = bench_call(crowd->ops, 0, free_sleeper, &sleeper) && came;
	(void) sem_destroy(&sleeper.over);
	outcome.error = !came    ? "the callbacks do not come"
	    : sleeper.wrong != 0 ? "a callback was early or had the wrong result"
				 : NULL;
	outcome.error = check(crowd, 0, &outcome);
	return outcome;
}

/* ---- burst */

static void
on_burst(struct bench_crowd *crowd, struct crowd_item *item)
{
	uint64_t now_ns = bench_now_ns();
	uint32_t number = (uint32_t) (item - crowd->item);
	struct crowd_time *time = &crowd->time[number];
	time->lateness_ns = lateness_of(now_ns, time->deadline_ns);
	time->early = now_ns + crowd->ops->clock_step_ns < time->deadline_ns;
	item->wrong += crowd->ops->result(item->handle) != BENCH_DONE;
	called(item);
	if (bench_countdown_item(&crowd->open, number)) {
		crowd->ended_ns = now_ns;
		(void) sem_post(&crowd->over);
	}
}

struct burst_run {
	struct bench_crowd *crowd;
	uint64_t first_ns, spread_ns;
	uint32_t next;    /* in `order`: asleep before it */
	uint64_t last_ns; /* the last of the deadlines */
	bool too_slow;    /* the first deadline has come before all are asleep */
};

/* A part: a loop's own clock stands still while a function runs. */
static void
arm_burst(void *arg)
{
	struct burst_run *run = arg;
	struct bench_crowd *crowd = run->crowd;
	for (unsigned i = 0; i < BURST_PART && run->next < crowd->count; i++, run->next++) {
		uint32_t number = crowd->order[run->next];
		uint64_t now_ns = bench_now_ns();
		if (now_ns >= run->first_ns) {
			run->too_slow = true;
			return;
		}
		uint64_t end_ns = run->first_ns + random_below((uint32_t) (run->spread_ns / 1000)) * UINT64_C(1000);
		int32_t duration_ms = (int32_t) ((end_ns - now_ns) / BENCH_NS_PER_MS);
		uint64_t deadline_ns = deadline_of(now_ns, duration_ms);
		crowd->time[number] = (struct crowd_time){ .deadline_ns = deadline_ns };
		run->last_ns = deadline_ns > run->last_ns ? deadline_ns : run->last_ns;
		crowd->ops->sleep(crowd->item[number].handle, duration_ms);
	}
}

static int
compare(const void *left, const void *right)
{
	uint64_t l = *(const uint64_t *) left, r = *(const uint64_t *) right;
	return (l > r) - (l < r);
}

/* What has fired by now; callbacks may still come. */
static const char *
summarise(const struct bench_crowd *crowd, struct bench_burst *burst)
{
	uint64_t *sorted = malloc(crowd->count * sizeof *sorted);
	uint64_t wrong = 0, called_twice = 0;
	if (sorted == NULL) {
		return "out of memory";
	}
	for (uint32_t i = 0; i < crowd->count; i++) {
		const struct crowd_item *item = &crowd->item[i];
		uint64_t times = pw_load_acquire_64(&item->called);
		if (times != 0) {
			sorted[burst->fired++] = crowd->time[i].lateness_ns;
			burst->early += crowd->time[i].early;
			called_twice += times > 1;
			wrong += item->wrong;
		}
	}
	if (burst->fired != 0) {
		qsort(sorted, burst->fired, sizeof *sorted, compare);
		burst->lateness_p50_ns = sorted[burst->fired / 2];
		burst->lateness_p99_ns = sorted[burst->fired * 99 / 100];
		burst->lateness_max_ns = sorted[burst->fired - 1];
	}
	free(sorted);
	return called_twice != 0 ? "too many callbacks" : wrong != 0 ? "a callback had the wrong result" : NULL;
}

static bool
begin_burst(struct burst_run *run)
{
	bool here = run->crowd->loop == BENCH_LOOP_ANY && run->crowd->ops->any_thread;
	while (run->next < run->crowd->count && !run->too_slow) {
		if (here) {
			arm_burst(run);
		} else if (!bench_call(run->crowd->ops, 0, arm_burst, run)) {
			return false;
		}
	}
	return true;
}

/* Some are asleep, the others never will be. */
static const char *
end_burst(struct burst_run *run, uint64_t limit_ns)
{
	struct bench_crowd *crowd = run->crowd;
	bool last = false;
	for (uint32_t i = run->next; i < crowd->count; i++) {
		last = bench_countdown_item(&crowd->open, crowd->order[i]) || last;
	}
	if (!last && !bench_wait_until(&crowd->over, limit_ns)) {
		return "the callbacks do not come";
	}
	struct bench_outcome outcome = { .error = NULL };
	crowd->on_end = on_unexpected;
	return check(crowd, run->next, &outcome);
}

struct bench_outcome
bench_crowd_burst(struct bench_crowd *crowd, int32_t lead_ms, int32_t spread_ms, int32_t limit_ms,
    struct bench_burst *burst)
{
	struct bench_outcome outcome = { .operations = crowd->count };
	*burst = (struct bench_burst){ .last_ns = (uint64_t) limit_ms * BENCH_NS_PER_MS };
	if (crowd->time == NULL) {
		crowd->time = calloc(crowd->count, sizeof *crowd->time);
	}
	if (crowd->time == NULL) {
		outcome.error = "out of memory";
		return outcome;
	}
	crowd->on_end = on_burst;
	bench_countdown_set(&crowd->open, crowd->count);
	(void) bench_countdown_caller(&crowd->open); /* there are more callbacks to come than ours */

	bench_measure_begin(crowd->ops, &outcome);
	uint64_t began_ns = bench_now_ns();
	struct burst_run run = {
		.crowd = crowd,
		.first_ns = deadline_of(began_ns, lead_ms),
		.spread_ns = (uint64_t) spread_ms * BENCH_NS_PER_MS,
	};
	if (!begin_burst(&run)) {
		outcome.error = "the loop does not come";
		return outcome;
	}
	if (run.too_slow) {
		burst->too_slow = true;
		outcome.error = end_burst(&run, run.first_ns + run.spread_ns + burst->last_ns);
		return outcome;
	}
	bool all = bench_wait_until(&crowd->over, run.last_ns + burst->last_ns);
	outcome.elapsed_ns = bench_now_ns() - began_ns;
	bench_measure_end(crowd->ops, &outcome);
	outcome.error = summarise(crowd, burst);
	if (all) {
		burst->last_ns = lateness_of(crowd->ended_ns, run.last_ns);
		crowd->on_end = on_unexpected;
		outcome.error = check(crowd, crowd->count, &outcome);
	}
	return outcome;
}

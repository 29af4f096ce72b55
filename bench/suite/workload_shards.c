/* SPDX-License-Identifier: MIT
 *
 * workload_shards.c: see workload_shards.h.
 *
 * Neighbours. Operations come in pairs, one on a loop and one on the next loop. The callback of each starts it again
 * and ends the other, so every operation is ended by another CPU than its own, one of a pair after the other, and a
 * loop that has nothing to do sleeps as its library lets it.
 */
#include "bench/suite/workload_shards.h"

#include <stdlib.h>

#include "bench/suite/countdown.h"

struct shard_part;

struct shard_item {
	_Alignas(64) void *handle;
	struct shard_part *part;  /* of the loop that it lives on */
	struct shard_item *other; /* NULL: it has no neighbour */
	bool second;              /* of a pair: the pair is over with its last callback */
	uint64_t left;            /* callbacks to come */
};

struct shard_run {
	const struct bench_ops *ops;
	struct shard_part *part;
	unsigned loops;
	enum bench_neighbour neighbour;
	unsigned items; /* of a loop; with neighbours the first half are first of their pair */
	uint64_t each;  /* operations of an item */
	pw_a64 parts_open;
	uint64_t ended_ns;
	sem_t over;
};

/* What one loop's thread has. */
struct shard_part {
	_Alignas(64) struct shard_run *run;
	unsigned loop;
	struct shard_item *item;
	unsigned allocated;
	unsigned items_open;
	uint64_t wrong;
};

static void
start(struct shard_item *item)
{
	item->part->wrong += !item->part->run->ops->start(item->handle);
}

static void
end_other(struct shard_item *item)
{
	const struct shard_run *run = item->part->run;
	if (run->neighbour == BENCH_NEIGHBOUR_CANCELS) {
		run->ops->cancel_outside(item->other->handle);
	} else {
		run->ops->finish_outside(item->other->handle);
	}
}

static void
item_over(struct shard_part *part)
{
	struct shard_run *run = part->run;
	if (--part->items_open == 0 && bench_count_down(&run->parts_open)) {
		run->ended_ns = bench_now_ns();
		(void) sem_post(&run->over);
	}
}

static void
on_item(void *arg)
{
	struct shard_item *item = arg;
	struct shard_part *part = item->part;
	const struct bench_ops *ops = part->run->ops;
	const enum bench_result expected =
	    part->run->neighbour == BENCH_NEIGHBOUR_CANCELS ? BENCH_CANCELED : BENCH_DONE;
	part->wrong += ops->result(item->handle) != expected;
	bool last = --item->left == 0;
	if (!last) {
		start(item);
	}
	if (item->other != NULL) {
		if (!(last && item->second)) {
			end_other(item); /* it was started before it ended this one */
		}
	} else if (!last) {
		(void) ops->finish(item->handle);
	}
	if (last) {
		item_over(part);
	}
}

static void
alloc_part(void *arg)
{
	struct shard_part *part = arg;
	const struct shard_run *run = part->run;
	for (unsigned i = 0; i < run->items; i++) {
		struct shard_item *item = &part->item[i];
		*item = (struct shard_item){ .part = part, .left = run->each };
		item->handle = run->ops->alloc((int) part->loop, on_item, item);
		if (item->handle == NULL) {
			return;
		}
		part->allocated++;
	}
}

static void
start_part(void *arg)
{
	struct shard_part *part = arg;
	part->items_open = part->allocated;
	for (unsigned i = 0; i < part->allocated; i++) {
		start(&part->item[i]);
	}
}

/* All are started. The first of each pair is ended by its neighbour's loop, here. */
static void
begin_part(void *arg)
{
	struct shard_part *part = arg;
	for (unsigned i = 0; i < part->allocated; i++) {
		struct shard_item *item = &part->item[i];
		if (item->other == NULL) {
			(void) part->run->ops->finish(item->handle);
		} else if (item->second) {
			end_other(item);
		}
	}
}

static void
free_part(void *arg)
{
	struct shard_part *part = arg;
	for (unsigned i = 0; i < part->allocated; i++) {
		part->run->ops->free(part->item[i].handle);
	}
}

static bool
each_part(struct shard_run *run, void (*function)(void *))
{
	bool came = true;
	for (unsigned i = 0; i < run->loops; i++) {
		came = bench_call(run->ops, (int) i, function, &run->part[i]) && came;
	}
	return came;
}

static void
pair_up(struct shard_run *run)
{
	unsigned half = run->items / 2;
	for (unsigned loop = 0; loop < run->loops; loop++) {
		struct shard_part *next = &run->part[(loop + 1) % run->loops];
		for (unsigned i = 0; i < half; i++) {
			struct shard_item *first = &run->part[loop].item[i], *second = &next->item[half + i];
			first->other = second;
			second->other = first;
			second->second = true;
		}
	}
}

static const char *
run_parts(struct shard_run *run, struct bench_outcome *outcome)
{
	if (!each_part(run, start_part)) {
		return "the loops do not come";
	}
	bench_measure_begin(run->ops, outcome);
	uint64_t began_ns = bench_now_ns();
	bool came = true;
	for (unsigned i = 0; i < run->loops; i++) {
		came = run->ops->run((int) i, begin_part, &run->part[i]) && came;
	}
	came = came && bench_wait_until(&run->over, began_ns + BENCH_WAIT_MAX_NS);
	outcome->elapsed_ns = run->ended_ns - began_ns;
	bench_measure_end(run->ops, outcome);
	uint64_t wrong = 0;
	for (unsigned i = 0; came && i < run->loops; i++) {
		wrong += run->part[i].wrong;
	}
	return !came ? "the callbacks do not come" : wrong != 0 ? "a callback had the wrong result" : NULL;
}

static bool
open_parts(struct shard_run *run)
{
	run->part = aligned_alloc(64, run->loops * sizeof *run->part);
	if (run->part == NULL) {
		return false;
	}
	bool whole = true;
	for (unsigned i = 0; i < run->loops; i++) {
		struct shard_item *item = aligned_alloc(64, run->items * sizeof *item);
		run->part[i] = (struct shard_part){ .run = run, .loop = i, .item = item };
		whole = whole && item != NULL;
	}
	whole = whole && each_part(run, alloc_part);
	for (unsigned i = 0; i < run->loops; i++) {
		whole = whole && run->part[i].allocated == run->items;
	}
	return whole;
}

struct bench_outcome
bench_shards(const struct bench_ops *ops, unsigned loops, enum bench_neighbour neighbour, unsigned depth,
    uint64_t operations)
{
	struct shard_run run = { .ops = ops, .loops = loops, .neighbour = neighbour, .items = depth / 2 * 2 };
	run.each = operations / ((uint64_t) loops * run.items);
	run.each = run.each != 0 ? run.each : 1;
	struct bench_outcome outcome = { .operations = run.each * loops * run.items };
	pw_store_relaxed_64(&run.parts_open, loops); /* relaxed: run hands it over */
	(void) sem_init(&run.over, 0, 0);
	bool whole = open_parts(&run);
	if (whole && neighbour != BENCH_AT_HOME) {
		pair_up(&run);
	}
	outcome.error = whole ? run_parts(&run, &outcome) : "out of memory";
	/* With an error callbacks may still come: what they touch is left alone. */
	if (outcome.error == NULL) {
		if (!each_part(&run, free_part)) {
			outcome.error = "the handles cannot be freed";
		}
		for (unsigned i = 0; i < loops; i++) {
			free(run.part[i].item);
		}
		free(run.part);
		(void) sem_destroy(&run.over);
	}
	return outcome;
}

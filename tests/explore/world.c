/* SPDX-License-Identifier: MIT
 *
 * world.c: see world.h.
 *
 * The engine's records (shards, one slab each) are made by the first setup of a scenario, on the seam's heap, and
 * every later execution finds them as they were then: pw_fleet_record and the arena are the real ones, the threads
 * of launch.c are fibers instead. Each arena has one slab.
 */
#include "tests/explore/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/misuse.h"
#include "engine/shard/fleet.h"
#include "tests/explore/core.h"
#include "tests/explore/rows.h"
#include "tests/explore/seam.h"

#define SHARDS_MAX 2u
#define HANDLES_MAX 4u
#define TICK_SHIFT 16
#define BUDGET 16
#define POISON 0xdd
#define TEXT_NAME 64
#define COUNT_OF(result) ((size_t) (result) + 1)           /* what a provider finishes with */
#define MSG_OF(handle) ((nng_msg *) (void *) (handle)) /* an address, never looked into */
#define SLOTS_USED 32u /* of each slab: the others are not looked after between executions */

static unsigned shards;
static struct pw_slab *slab[SHARDS_MAX];
static uint64_t released[SHARDS_MAX]
			[PW_SLAB_WORDS]; /* slots given back, a bit each: in this execution, not taken since */
static unsigned released_count;
static struct pw_handle *watched[HANDLES_MAX];
static unsigned watched_count;

/* ---- what the engine calls, above the shards */

void
pw_misuse(const char *function, const void *aio, uint64_t word, const char *why)
{
	char text[128];
	(void) aio;
	pw_explore_fail("misuse: %s on %s: %s", function, pw_word_text(word, text, sizeof(text)), why);
}

void
pw_log(const char *format, ...)
{
	char text[256];
	va_list arguments;
	va_start(arguments, format);
	(void) vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	pw_explore_note("logs", 0);
}

const char *
pw_word_text(uint64_t word, char *text, unsigned size)
{
	static const char *const state[] = { "IDLE", "OPEN", "BUSY", "DEFERRED", "CANCELING", "DONE", "6", "7" };
	static const char *const flag[] = { "RUNNING", "STOPPED", "FREEING", "ABORT", "QUEUED", "ARM", "DESTROY",
		"TIMER", "WAITERS", "LAP" };
	int used = snprintf(text, size, "%s", state[word & PW_STATE_MASK]);
	for (unsigned i = 0; i < sizeof(flag) / sizeof(flag[0]) && used > 0 && (unsigned) used < size; i++) {
		if ((word & PW_RUNNING << i) != 0) {
			used += snprintf(text + used, size - (unsigned) used, "|%s", flag[i]);
		}
	}
	if (pw_word_reason(word) != 0 && used > 0 && (unsigned) used < size) {
		(void) snprintf(text + used, size - (unsigned) used, " (%d)", pw_word_reason(word));
	}
	return text;
}

/* ---- slots */

static bool
is_released(unsigned shard, uint32_t slot)
{
	return (released[shard][slot / 64] >> slot % 64 & 1) != 0;
}

/* The arena's free map is about to say, or says, what is free: released slots are filled with the pattern. */
static void
map_changed(unsigned shard, unsigned word, uint64_t map)
{
	char *base = slab[shard]->base;
	uint64_t before = released[shard][word];
	PW_EXPLORE_ASSERT(word == 0 && (map | ((UINT64_C(1) << SLOTS_USED) - 1)) == UINT64_MAX,
	    "more than %u slots in use", SLOTS_USED);
	for (uint32_t i = 0; i < 64; i++) {
		uint32_t slot = word * 64 + i;
		bool is_free = (map >> i & 1) != 0;
		uint64_t aio_word;
		memcpy(&aio_word, base + slot * PW_SLOT_SIZE, sizeof(aio_word));
		if (is_free && (before >> i & 1) == 0 && (aio_word & PW_FREEING) != 0) {
			memset(base + slot * PW_SLOT_SIZE + sizeof(pw_a64), POISON, PW_SLOT_SIZE - sizeof(pw_a64));
			pw_explore_poison(base + slot * PW_SLOT_SIZE + sizeof(pw_a64), PW_SLOT_SIZE - sizeof(pw_a64), true);
			released[shard][word] |= UINT64_C(1) << i;
			released_count++;
		} else if (!is_free && (before >> i & 1) != 0) {
			released[shard][word] &= ~(UINT64_C(1) << i);
			pw_explore_poison(base + slot * PW_SLOT_SIZE + sizeof(pw_a64), PW_SLOT_SIZE - sizeof(pw_a64), false);
		}
	}
}

/* What home alone may do to a word is done by the thread that is the home shard now: to set and clear TIMER, to clear
 * QUEUED and RUNNING. */
static void
word_touched(struct pw_handle *handle, uint64_t word, bool wrote)
{
	if (wrote) {
		pw_rows_note(handle->word, word, pw_core.site);
	}
	bool fresh = (handle->word & ~word & PW_FREEING) != 0; /* the slot's next life: alloc writes the whole word */
	uint64_t homes = ((handle->word ^ word) & PW_TIMER) | (handle->word & ~word & (PW_QUEUED | PW_RUNNING));
	enum pw_state from = pw_word_state(handle->word), to = pw_word_state(word);
	bool left = from == PW_DONE && pw_word_was_left(word, handle->word);
	PW_EXPLORE_ASSERT(pw_word_allowed(from, to), "no event leads from state %d to %d", (int) from, (int) to);
	PW_EXPLORE_ASSERT(from != PW_DONE || to == PW_DONE || left, "DONE is left and does not show it");
	PW_EXPLORE_ASSERT(!left || pw_fleet_shard(handle->aio->home.v & PW_HOME_MASK)->running.v ==
		pw_aio_lap(handle->aio, handle->word), "DONE is left and its callback is not on the stack");
	PW_EXPLORE_ASSERT((~handle->word & word & PW_RUNNING) == 0 || left, "RUNNING comes without DONE being left");
	unsigned home = handle->aio->home.v & PW_HOME_MASK;
	PW_EXPLORE_ASSERT(homes == 0 || fresh || pw_shard_self() == pw_fleet_shard(home),
	    "fiber %u does home's work, and home is shard %u", pw_explore_self(), home);
	handle->word = word;
	handle->seen |= word;
}

/* While an engine starts or ends its walks look at every slot, whosever it is: at the word, and at the time stamp. */
static bool
is_for_walks(size_t offset)
{
	return pw_fleet.state.v != PW_FLEET_RUNNING &&
	    (offset == offsetof(nng_aio, word) || offset == offsetof(nng_aio, timer.note));
}

static void
on_access(const volatile void *address, bool wrote)
{
	uintptr_t at = (uintptr_t) address;
	for (unsigned i = 0; i < watched_count; i++) {
		if (address == &watched[i]->aio->word) {
			word_touched(watched[i], watched[i]->aio->word.v, wrote);
		}
	}
	if (pw_seam_is_futex_queue(address)) {
		return; /* a wake uses the address alone: the slot may be gone */
	}
	for (unsigned i = 0; i < shards; i++) {
		uintptr_t base = (uintptr_t) slab[i]->base;
		uintptr_t map = (uintptr_t) slab[i]->free_map;
		if (at >= base && at < base + PW_SLAB_SIZE &&
		    is_released(i, (uint32_t) ((at - base) / PW_SLOT_SIZE)) && !is_for_walks((at - base) % PW_SLOT_SIZE)) {
			pw_explore_fail("a released slot is touched");
		}
		if (wrote && at >= map && at < map + sizeof(slab[i]->free_map)) {
			unsigned word = (unsigned) ((at - map) / sizeof(pw_a64));
			map_changed(i, word, slab[i]->free_map[word].v);
		}
	}
}

void
pw_world_check(void)
{
	for (unsigned i = 0; i < shards; i++) {
		for (uint32_t slot = 0; slot < PW_SLOTS_PER_SLAB; slot++) {
			const char *at = slab[i]->base + slot * PW_SLOT_SIZE;
			for (unsigned k = sizeof(pw_a64); is_released(i, slot) && k < PW_SLOT_SIZE; k++) {
				PW_EXPLORE_ASSERT((unsigned char) at[k] == POISON,
				    "byte %u of a slot was written after its release", k);
			}
		}
	}
}

unsigned
pw_world_released(void)
{
	return released_count;
}

/* ---- shards */

static void
name_shard(unsigned i)
{
	struct pw_shard *shard = pw_fleet_nth(i);
	const struct {
		const char *name;
		const volatile void *at;
		size_t size;
	} part[] = {
		{ "shard %u", shard, sizeof(*shard) },
		{ "wheel %u", &shard->wheel, sizeof(shard->wheel) },
		{ "ready_head %u", &shard->ready_head, sizeof(shard->ready_head) },
		{ "ready_tail %u", &shard->ready_tail, sizeof(shard->ready_tail) },
		{ "running %u", &shard->running, sizeof(shard->running) },
		{ "poller %u", &shard->poller, sizeof(shard->poller) },
		{ "settings %u", &shard->settings, sizeof(shard->settings) },
		{ "phase %u", &shard->phase, sizeof(shard->phase) },
		{ "arena %u", &shard->arena, sizeof(shard->arena) },
		{ "counters %u", &shard->counters, sizeof(shard->counters) },
		{ "slots %u", slab[i]->base, PW_SLAB_SIZE },
		{ "tail %u", &shard->inbox.tail, sizeof(pw_a64) },
		{ "head %u", &shard->inbox.head, sizeof(pw_a64) },
		{ "overflow %u", &shard->inbox.overflow, sizeof(pw_a64) },
		{ "parked %u", &shard->inbox.parked, sizeof(pw_a64) },
		{ "slot[0] %u", &shard->inbox.slot[0], sizeof(pw_a64) },
		{ "slot[1] %u", &shard->inbox.slot[1], sizeof(pw_a64) },
		{ "free map %u", slab[i]->free_map, sizeof(slab[i]->free_map) },
	};
	static char text[SHARDS_MAX][sizeof(part) / sizeof(part[0])][TEXT_NAME];
	for (unsigned k = 0; k < sizeof(part) / sizeof(part[0]); k++) {
		const char *format = part[k].name;
		(void) snprintf(text[i][k], TEXT_NAME, "%.*s%u", (int) strlen(format) - 2, format, i);
		pw_explore_name(part[k].at, part[k].size, text[i][k], NULL);
	}
}

void
pw_world_settings(struct pw_shard_settings *settings)
{
	settings->tick_shift = TICK_SHIFT;
	settings->budget = BUDGET;
	settings->cpu = -1;
}

void
pw_world_enter(struct pw_shard *shard)
{
	pw_world_settings(&shard->settings);
	(void) pw_shard_enter(shard, &shard->settings);
	pw_thread_self()->shard = NULL;
}

static void
build(void (*prepare)(void))
{
	pw_seam_heap_begin();
	pw_memory_set_allocator(pw_seam_heap_alloc, pw_seam_heap_zalloc, pw_seam_heap_free);
	memset(pw_fleet.shard, 0, sizeof(pw_fleet.shard[0]) * SHARDS_MAX);
	pw_fleet.tick_shift = TICK_SHIFT;
	for (unsigned i = 0; i < shards; i++) {
		uint32_t slot;
		PW_EXPLORE_ASSERT(pw_fleet_record(i, &pw_aio_shard_ops) == 0, "no shard record");
		PW_EXPLORE_ASSERT(pw_arena_alloc(&pw_fleet_nth(i)->arena, &slot) != NULL, "no slab");
		pw_arena_release(&pw_fleet_nth(i)->arena, slot);
		slab[i] = pw_fleet_nth(i)->arena.slabs;
		pw_world_enter(pw_fleet_nth(i));
		name_shard(i);
	}
	pw_store_relaxed_32(&pw_fleet.count, shards);
	pw_store_relaxed_32(&pw_fleet.state, PW_FLEET_RUNNING);
	if (prepare != NULL) {
		prepare();
	}
	void *hole[SHARDS_MAX];
	for (unsigned i = 0; i < shards; i++) {
		hole[i] = slab[i]->base + SLOTS_USED * PW_SLOT_SIZE;
	}
	pw_seam_heap_keep(hole, shards, (PW_SLOTS_PER_SLAB - SLOTS_USED) * PW_SLOT_SIZE);
}

void
pw_world_setup(unsigned count)
{
	pw_world_setup_with(count, NULL);
}

void
pw_world_setup_with(unsigned count, void (*prepare)(void))
{
	shards = count;
	released_count = 0;
	watched_count = 0;
	memset(released, 0, sizeof(released));
	if (pw_explore_first()) {
		pw_explore_on_access = NULL;
		build(prepare);
		pw_explore_on_access = on_access;
	}
}

void
pw_world_run(struct pw_shard *shard)
{
	pw_thread_self()->shard = shard;
	pw_shard_run(shard);
}

void
pw_world_shard(void)
{
	pw_world_run(pw_fleet_nth(pw_explore_self()));
}

/* ---- handles */

static void
callback(void *arg)
{
	struct pw_handle *handle = arg;
	uint64_t result = (uint64_t) nng_aio_result(handle->aio);
	uint64_t n = pw_explore_get(&handle->callbacks);

	PW_EXPLORE_ASSERT(pw_explore_get(&handle->calling) == 0, "C1: two callbacks of one handle overlap");
	PW_EXPLORE_ASSERT(pw_explore_get(&handle->cancelling) == 0,
	    "a callback runs beside its operation's cancel function");
	PW_EXPLORE_ASSERT(n < PW_HANDLE_RESULTS, "C1: more callbacks than the scenario can have");
	PW_EXPLORE_ASSERT(nng_aio_busy(handle->aio), "C9: not busy in its own callback");
	if (handle->engine_provides) {
		PW_EXPLORE_ASSERT(pw_explore_get(&handle->won) == 0, "two providers for one operation");
	} else if (pw_explore_get(&handle->won) != 0) {
		PW_EXPLORE_ASSERT(result == pw_explore_get(&handle->won_result),
		    "C2: the callback sees %lu, and %lu won", (unsigned long) result,
		    (unsigned long) pw_explore_get(&handle->won_result));
		PW_EXPLORE_ASSERT(handle->bare || (nng_aio_count(handle->aio) == COUNT_OF(result) &&
			nng_aio_get_output(handle->aio, 0) == handle && nng_aio_get_msg(handle->aio) == MSG_OF(handle)),
		    "C2: the callback does not see the count, the output or the message");
	} else {
		PW_EXPLORE_ASSERT(result == NNG_ESTOPPED || result == NNG_ETIMEDOUT,
		    "C2: nobody finished, and the result is %lu", (unsigned long) result);
		PW_EXPLORE_ASSERT(nng_aio_count(handle->aio) == 0 && nng_aio_get_output(handle->aio, 0) == NULL,
		    "C2: nobody finished, and there is a count or an output");
	}
	nng_aio_set_msg(handle->aio, NULL);
	pw_plain_write(&handle->effect, n + 1);
	pw_explore_set(&handle->result[n], result);
	pw_explore_set(&handle->callbacks, n + 1);
	pw_explore_set(&handle->calling, 1);
	if (handle->on_callback != NULL) {
		handle->on_callback(handle);
	}
	pw_explore_set(&handle->calling, 0);
}

/* The fields as race.c and the trace call them: name.field. */
static void
name_fields(nng_aio *aio, const char *name)
{
#define FIELD(F) { #F, offsetof(nng_aio, F), sizeof(aio->F) }
	static const struct {
		const char *name;
		size_t offset;
		size_t size;
	} field[] = { FIELD(cb), FIELD(cb_arg), FIELD(fn), FIELD(fn_arg), FIELD(count), FIELD(msg), FIELD(home),
		FIELD(op_flags), FIELD(mark), FIELD(timer), FIELD(timer.at), FIELD(timer.note), FIELD(deadline_ns),
		FIELD(expire_ns), FIELD(timeout_ns), FIELD(done_node), FIELD(request_node), FIELD(provider),
		FIELD(input), FIELD(output), FIELD(iov) };
#undef FIELD
	static char text[HANDLES_MAX][sizeof(field) / sizeof(field[0])][TEXT_NAME];
	pw_explore_name(aio, sizeof(*aio), name, NULL);
	pw_explore_name(&aio->word, sizeof(pw_a64), name, pw_word_text);
	for (unsigned i = 0; i < sizeof(field) / sizeof(field[0]) && pw_explore_first(); i++) {
		char *place = text[(watched_count - 1) % HANDLES_MAX][i];
		(void) snprintf(place, TEXT_NAME, "%s.%s", name, field[i].name);
		pw_explore_name((char *) aio + field[i].offset, field[i].size, place, NULL);
	}
}

void
pw_handle_open(struct pw_handle *handle, const char *name, void (*on_callback)(struct pw_handle *))
{
	memset(handle, 0, sizeof(*handle));
	handle->on_callback = on_callback;
	PW_EXPLORE_ASSERT(nng_aio_alloc(&handle->aio, callback, handle) == NNG_OK, "no handle");
	PW_EXPLORE_ASSERT(watched_count < HANDLES_MAX, "more than %u handles", HANDLES_MAX);
	watched[watched_count++] = handle;
	name_fields(handle->aio, name);
	pw_explore_name(&handle->lock, sizeof(handle->lock), "provider's lock", NULL);
	pw_explore_name(&handle->started, sizeof(handle->started), "started", NULL);
}

void
pw_handle_enter(struct pw_handle *handle)
{
	pw_lock_acquire(&handle->lock);
	pw_explore_set(&handle->won, 0);
	pw_explore_set(&handle->canceled, 0);
	pw_explore_set(&handle->claim, 1);
	pw_explore_add(&handle->accepted, 1);
}

void
pw_handle_leave(struct pw_handle *handle, bool accepted)
{
	if (!accepted) {
		pw_explore_set(&handle->claim, 0);
		pw_explore_set(&handle->accepted, pw_explore_get(&handle->accepted) - 1);
	}
	pw_lock_release(&handle->lock);
}

bool
pw_handle_start(struct pw_handle *handle)
{
	pw_handle_enter(handle);
	bool accepted = nng_aio_start(handle->aio, pw_handle_cancel, handle);
	pw_handle_leave(handle, accepted);
	return accepted;
}

bool
pw_handle_start_on(struct pw_handle *handle, unsigned shard)
{
	pw_handle_enter(handle);
	bool accepted = pw_aio_start(handle->aio, pw_fleet_nth(shard), pw_handle_cancel, handle);
	pw_handle_leave(handle, accepted);
	return accepted;
}

void
pw_handle_cancel(nng_aio *aio, void *arg, nng_err reason)
{
	struct pw_handle *handle = arg;
	PW_EXPLORE_ASSERT(aio == handle->aio, "the cancel function is given another handle");
	PW_EXPLORE_ASSERT(reason != NNG_OK, "the cancel function is given no reason");
	PW_EXPLORE_ASSERT(pw_explore_get(&handle->calling) == 0, "the cancel function runs inside the callback");
	PW_EXPLORE_ASSERT(pw_explore_get(&handle->canceled) == 0,
	    "the cancel function is called twice for one operation");
	pw_explore_set(&handle->canceled, 1);
	pw_explore_set(&handle->cancelling, 1);
	pw_explore_add(&handle->cancels, 1);
	(void) pw_handle_finish(handle, reason);
	pw_explore_set(&handle->cancelling, 0);
}

bool
pw_handle_finish(struct pw_handle *handle, nng_err result)
{
	pw_lock_acquire(&handle->lock);
	bool mine = pw_explore_get(&handle->claim) != 0;
	if (mine) {
		pw_explore_set(&handle->claim, 0);
		pw_explore_set(&handle->won, 1);
		pw_explore_set(&handle->won_result, (uint64_t) result);
	}
	pw_lock_release(&handle->lock);
	if (!mine) {
		return false;
	}
	if (handle->bare) {
		nng_aio_finish(handle->aio, result);
		return true;
	}
	nng_aio_set_msg(handle->aio, MSG_OF(handle));
	(void) nng_aio_set_output(handle->aio, 0, handle);
	(void) pw_aio_finish(handle->aio, result, COUNT_OF((unsigned) result));
	return true;
}

void
pw_handle_wait(struct pw_handle *handle)
{
	nng_aio_wait(handle->aio);
	(void) pw_plain_read(&handle->effect);
}

void
pw_handle_stop(struct pw_handle *handle)
{
	nng_aio_stop(handle->aio);
	(void) pw_plain_read(&handle->effect);
}

void
pw_handle_free(struct pw_handle *handle)
{
	nng_aio_free(handle->aio);
	pw_plain_write(&handle->effect, 0);
}

uint64_t
pw_handle_peek(const struct pw_handle *handle)
{
	return pw_explore_learn(handle->aio->word.v);
}

uint64_t
pw_handle_seen(const struct pw_handle *handle)
{
	return pw_explore_learn(handle->seen);
}

void
pw_handle_check(const struct pw_handle *handle)
{
	PW_EXPLORE_ASSERT(handle->callbacks == handle->accepted + handle->refused,
	    "C1: %lu operations, %lu refusals, %lu callbacks", (unsigned long) handle->accepted,
	    (unsigned long) handle->refused, (unsigned long) handle->callbacks);
}

/* SPDX-License-Identifier: MIT
 *
 * fleet.c: the table of shards. See fleet.h.
 */
#include "engine/shard/fleet.h"

#include <errno.h>

struct pw_fleet pw_fleet = { .tick_shift = 16 };

#if !defined(PW_ATOMIC_EXPLORE)
_Thread_local struct pw_thread pw_thread_own __attribute__((tls_model("initial-exec")));
#endif

int
pw_fleet_record(unsigned index, const struct pw_shard_ops *ops)
{
	unsigned id = pw_load_relaxed_32(&pw_fleet.base) + index;
	if (id >= PW_IDS_MAX) {
		return -ENOMEM;
	}
	if (pw_fleet.shard[id] != NULL) {
		return 0;
	}
	struct pw_shard *shard = pw_memory_alloc(0, sizeof *shard);
	if (shard == NULL) {
		return -ENOMEM;
	}
	int rv = pw_shard_init(shard, ops);
	if (rv != 0) {
		pw_memory_free(shard, sizeof *shard);
		return rv;
	}
	shard->settings.id = id;
	pw_fleet.shard[id] = shard;
	pw_store_release_32(&pw_fleet.records, index + 1); /* P12 */
	return 0;
}

void
pw_fleet_walk(void (*visit)(void *context, void *slot, uint32_t slot_number), void *context)
{
	unsigned records = pw_load_acquire_32(&pw_fleet.records); /* P12 */
	for (unsigned i = 0; i < records; i++) {
		pw_arena_walk(&pw_fleet_nth(i)->arena, visit, context);
	}
}

void
pw_fleet_forget(void)
{
	uint32_t records = pw_load_relaxed_32(&pw_fleet.records);
	pw_store_relaxed_32(&pw_fleet.base, pw_load_relaxed_32(&pw_fleet.base) + records);
	pw_store_relaxed_32(&pw_fleet.records, 0);
	pw_store_relaxed_32(&pw_fleet.count, 0);
	pw_store_relaxed_32(&pw_fleet.state, PW_FLEET_NONE);
	pw_thread_self()->shard = NULL;
	pw_thread_self()->lent = NULL;
}

/* SPDX-License-Identifier: MIT
 *
 * fleet.c: the table of shards. See fleet.h.
 */
#include "engine/shard/fleet.h"

#include <errno.h>

#include "engine/base/clock.h"
#include "engine/shard/park.h"

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

/* ---- visitors */

bool
pw_fleet_visit(void)
{
	uint64_t visitors = pw_load_relaxed_64(&pw_fleet.visitors); /* relaxed: the CAS decides */
	do {
		if ((visitors & PW_FLEET_WELCOME) == 0) {
			return false;
		}
	} while (!pw_cas_acq_rel_64(&pw_fleet.visitors, &visitors, visitors + 1)); /* P12: what admit released */
	return true;
}

void
pw_fleet_leave(void)
{
	uint64_t visitors = pw_load_relaxed_64(&pw_fleet.visitors); /* relaxed: the CAS decides */
	while (!pw_cas_acq_rel_64(&pw_fleet.visitors, &visitors, visitors - 1)) { /* P12: after our reads */
	}
	if (visitors == 1) { /* the last one, behind a closed door */
		pw_futex_wake_all(&pw_fleet.visitors);
	}
}

void
pw_fleet_admit(void)
{
	(void) pw_fetch_or_acq_rel_64(&pw_fleet.visitors, PW_FLEET_WELCOME); /* P12 */
}

void
pw_fleet_dismiss(void)
{
	(void) pw_fetch_and_acq_rel_64(&pw_fleet.visitors, ~PW_FLEET_WELCOME); /* P12 */
	uint64_t inside;
	while ((inside = pw_load_acquire_64(&pw_fleet.visitors)) != 0) { /* P12: acquires what the last one read */
		(void) pw_futex_wait(&pw_fleet.visitors, (uint32_t) inside, PW_NEVER_NS);
	}
}

void
pw_fleet_forget(void)
{
	uint32_t records = pw_load_relaxed_32(&pw_fleet.records);
	pw_store_relaxed_32(&pw_fleet.base, pw_load_relaxed_32(&pw_fleet.base) + records);
	pw_store_relaxed_32(&pw_fleet.records, 0);
	pw_store_relaxed_32(&pw_fleet.count, 0);
	pw_store_relaxed_32(&pw_fleet.lent, 0);
	pw_store_relaxed_64(&pw_fleet.visitors, 0); /* a thread of the parent may have been inside */
	pw_store_relaxed_32(&pw_fleet.state, PW_FLEET_NONE);
	pw_thread_self()->shard = NULL;
	pw_thread_self()->lent = NULL;
}

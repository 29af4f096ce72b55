/* SPDX-License-Identifier: MIT
 *
 * memory.c: memory.h, and nng_alloc, nng_free, nng_strdup, nng_strfree over it.
 *
 * Any thread; a call may wait for the allocator's lock and for nothing else.
 */
#include "engine/platform/memory.h"

#include <stdint.h>
#include <string.h>

#include <nng/nng.h>

#include "engine/base/misuse.h"
#include "engine/base/thread.h"
#include "engine/shard/arena.h"
#include "engine/shard/fleet.h"

/* Which arena is a matter of speed alone, so an engine that stops or starts meanwhile does no harm: records and their
 * arenas stay. */
static unsigned
near_arena(void)
{
	const struct pw_thread *self = pw_thread_self();
	if (self->shard != NULL) {
		return self->shard->arena.memory_arena;
	}
	if (!pw_fleet_running()) {
		return 0;
	}
	if (self->lent != NULL) {
		return self->lent->arena.memory_arena;
	}
	/* A thread's record stands in its own memory, pages away from another's. */
	unsigned count = pw_fleet_count();
	return count != 0 ? pw_fleet_nth((unsigned) ((uintptr_t) self >> 12) % count)->arena.memory_arena : 0;
}

void *
pw_near_alloc(size_t size)
{
	return pw_memory_alloc(near_arena(), size);
}

void
pw_near_free(void *memory, size_t size)
{
	pw_memory_free(memory, size);
}

void *
nng_alloc(size_t size)
{
	return pw_near_alloc(size);
}

void
nng_free(void *memory, size_t size)
{
	pw_near_free(memory, size);
}

char *
nng_strdup(const char *text)
{
	if (text == NULL) {
		pw_misuse(__func__, NULL, 0, "the text is NULL");
		return NULL;
	}
	size_t size = strlen(text) + 1;
	char *copy = pw_near_alloc(size);
	return copy != NULL ? memcpy(copy, text, size) : NULL;
}

void
nng_strfree(char *text)
{
	if (text != NULL) {
		pw_near_free(text, strlen(text) + 1);
	}
}

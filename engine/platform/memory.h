/* SPDX-License-Identifier: MIT
 *
 * memory.h: memory for what the application holds: messages, threads, locks, and what nng_alloc gives out.
 *
 * It comes from the arena of the shard that the calling thread is, or else of one that the thread is always given, so
 * that outside threads spread over the shards; with no engine running from the allocator's common arena. Zeroed,
 * 64-byte aligned; goes back to where it came from, from any thread. Failures are injected by pw_memory_fail_after.
 */
#ifndef PINWHEEL_PLATFORM_MEMORY_H
#define PINWHEEL_PLATFORM_MEMORY_H

#include <stddef.h>

/* NULL: none, or size is 0. */
void *pw_near_alloc(size_t size);
/* NULL: no effect. */
void pw_near_free(void *memory, size_t size);

#endif

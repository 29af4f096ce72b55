/* SPDX-License-Identifier: MIT
 *
 * seam.h: what a scenario may do to the fake kernel of seam.c.
 */
#ifndef PINWHEEL_EXPLORE_SEAM_H
#define PINWHEEL_EXPLORE_SEAM_H

#include "engine/shard/poller.h"
#include "tests/explore/explore.h"

/* What the kernel answers to an operation that it completes by itself (one whose cancel is wanted may end with
 * -ECANCELED instead). PW_SEAM_NEVER: it does not complete by itself. NULL: nothing ever does. */
#define PW_SEAM_NEVER INT32_MIN
extern int (*pw_seam_answer)(const struct pw_io *io);

/* Sleeps until the descriptor of this poller (pw_poller.fd) is readable, or due_ns has come. */
void pw_seam_poller_await(int poller_fd, uint64_t due_ns);

/* The address stands for the sleepers on a word, not for memory. */
bool pw_seam_is_futex_queue(const volatile void *address);

/* Before the first run: the explorer asks the fake kernel when all sleep, and resets it between executions. */
void pw_seam_install(void);

/* Memory for the engine (pw_memory_set_allocator): at the same addresses in every execution of a scenario, and as
 * the first setup left it at the start of each, but for the holes: memory that no execution changes. The first setup
 * calls begin before the engine allocates, and keep when it has. Holes in ascending order. */
void pw_seam_heap_begin(void);
void pw_seam_heap_keep(void *const *hole, unsigned holes, size_t hole_size);
void *pw_seam_heap_alloc(size_t size);
void *pw_seam_heap_zalloc(size_t count, size_t size);
void pw_seam_heap_free(void *memory, size_t size);

/* setup: so many allocations of an execution may fail, each a choice. */
void pw_seam_allocations_fail(unsigned count);
/* The first setup: what arena.c keeps for the life of the process is kept as it is now. */
void pw_seam_arena_keep(void);

#endif

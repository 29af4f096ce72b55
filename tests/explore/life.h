/* SPDX-License-Identifier: MIT
 *
 * life.h: the engine as a whole, for the scenarios of its start and its end: what stands for the configuration, for the
 * threads of shards, and for the descriptors of lent ones. See life.c.
 *
 * The engine's own engine.c, launch.c, lent.c and fleet.c run above it.
 */
#ifndef PINWHEEL_EXPLORE_LIFE_H
#define PINWHEEL_EXPLORE_LIFE_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "tests/explore/explore.h"
#include "tests/explore/plain.h"

/* setup: a machine with so many shards that have a thread, and so many to be lent. Runs: they do, as after a start; else
 * no engine has run yet, and the first handle starts it. The fibers of the threads are the scenario's first, in order. */
void pw_life_setup(unsigned threads, unsigned lent, bool runs);
/* The fiber of a shard's thread: idle until a start makes one of it, as often as one does. */
void pw_life_thread(void);
/* check: no engine runs, all its threads have ended, and so has every shard. */
void pw_life_check_ended(void);

/* What a start reads its configuration into, as it does into records: plain memory, for who finds the engine open. */
extern struct pw_plain pw_life_settings;

/* A thread that lends itself: sleeps until the descriptor of pinwheel_poll_fd is readable. */
void pw_life_await(int descriptor);
/* Lends the running fiber to that shard, polls, and waits on the descriptor when there is nothing left to do; until the
 * engine has ended. Returns the polls. */
unsigned pw_life_lend(int index);

/* ---- for the engine's files, as they are compiled here */

void pw_life_keep_engine(void);
int pw_life_spawn(pthread_t *thread, void *(*run)(void *), void *arg);
int pw_life_join(pthread_t thread);
int pw_life_descriptor(void);
int pw_life_watch(int descriptor, int fd);
int pw_life_set_timer(int fd, const struct itimerspec *spec);
int pw_life_close(int descriptor);

#endif

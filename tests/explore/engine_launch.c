/* SPDX-License-Identifier: MIT
 *
 * engine_launch.c: the engine's launch.c, whole, with the threads of life.c in place of the system's.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "tests/explore/life.h"

#define pthread_create(THREAD, ATTRIBUTES, RUN, ARG) pw_life_spawn(THREAD, RUN, ARG)
#define pthread_join(THREAD, RESULT) pw_life_join(THREAD)
#define pthread_setname_np(THREAD, NAME) ((void) (NAME), 0)
#define pthread_sigmask(HOW, SET, BEFORE) ((void) (SET), (void) (BEFORE), 0)
#define prctl(...) 0

#include "engine/shard/launch.c"

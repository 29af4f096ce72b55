/* SPDX-License-Identifier: MIT
 *
 * engine_lent.c: the engine's lent.c, whole, with the descriptors of life.c in place of the kernel's.
 */
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "engine/shard/fleet.h" /* before `close` is a macro: pollers have a member of that name */
#include "tests/explore/life.h"

#define epoll_create1(FLAGS) pw_life_descriptor()
#define timerfd_create(CLOCK, FLAGS) pw_life_descriptor()
#define epoll_ctl(EPOLL, OP, FD, EVENT) ((void) (EVENT), pw_life_watch(EPOLL, FD))
#define timerfd_settime(FD, FLAGS, SPEC, BEFORE) pw_life_set_timer(FD, SPEC)
#define close(FD) pw_life_close(FD)

#include "engine/shard/lent.c"

/* SPDX-License-Identifier: MIT
 *
 * fiber.h: threads that are switched by hand, all on one kernel thread. See fiber.c.
 */
#ifndef PINWHEEL_EXPLORE_FIBER_H
#define PINWHEEL_EXPLORE_FIBER_H

#include <stddef.h>

#define PW_FIBER_STACK_SIZE (256u * 1024u)

struct pw_fiber; /* a stack and the place where it left off */

/* Stacks are mapped once, with a guard page below each. NULL: out of memory. */
struct pw_fiber *pw_fiber_new(void);
/* The next switch to it calls run(arg) on an empty stack, whatever was on it before. run never returns. */
void pw_fiber_reset(struct pw_fiber *fiber, void (*run)(void *arg), void *arg);
/* Leaves `from` (NULL: the program's own stack) and goes on in `to` (NULL: likewise). */
void pw_fiber_switch(struct pw_fiber *from, struct pw_fiber *to);

#endif

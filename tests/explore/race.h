/* SPDX-License-Identifier: MIT
 *
 * race.h: plain memory: who may touch it when. See race.c.
 */
#ifndef PINWHEEL_EXPLORE_RACE_H
#define PINWHEEL_EXPLORE_RACE_H

#include <stdbool.h>
#include <stddef.h>

/* Before the first execution. False: out of memory. */
bool pw_race_begin(void);

/* A plain access to this memory, made at site. */
void pw_race_touch(const void *memory, size_t size, const void *site, bool stores);

#endif

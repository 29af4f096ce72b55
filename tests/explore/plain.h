/* SPDX-License-Identifier: MIT
 *
 * plain.h: plain accesses that race.c sees, for what a program hands over by the engine. See plain.c.
 */
#ifndef PINWHEEL_EXPLORE_PLAIN_H
#define PINWHEEL_EXPLORE_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pw_plain {
	uint64_t wide;
	uint8_t left; /* neighbours, in the same four bytes */
	uint8_t right;
};

void pw_plain_write(struct pw_plain *plain, uint64_t value);
uint64_t pw_plain_read(const struct pw_plain *plain);
void pw_plain_write_left(struct pw_plain *plain);
void pw_plain_write_right(struct pw_plain *plain);
/* What the C library or a program does to this memory: reported, not done. */
void pw_plain_touch(const void *memory, size_t size, bool stores);

#endif

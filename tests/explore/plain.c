/* SPDX-License-Identifier: MIT
 *
 * plain.c: compiled as the engine is, so that its loads and stores are reported to race.c. See plain.h.
 */
#include "tests/explore/plain.h"

#include "tests/explore/race.h"

void
pw_plain_write(struct pw_plain *plain, uint64_t value)
{
	plain->wide = value;
}

uint64_t
pw_plain_read(const struct pw_plain *plain)
{
	return plain->wide;
}

void
pw_plain_write_left(struct pw_plain *plain)
{
	plain->left = 1;
}

void
pw_plain_write_right(struct pw_plain *plain)
{
	plain->right = 1;
}

void
pw_plain_touch(const void *memory, size_t size, bool stores)
{
	pw_race_touch(memory, size, __builtin_return_address(0), stores);
}

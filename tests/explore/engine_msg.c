/* SPDX-License-Identifier: MIT
 *
 * engine_msg.c: the engine's msg.c, whole, with copies that race.c sees: it does not look into the C library's.
 */
#include "engine/msg/msg.h"

#include <string.h>

#include "tests/explore/plain.h"

static inline void *
copy_seen(void *to, const void *from, size_t size)
{
	pw_plain_touch(from, size, false);
	pw_plain_touch(to, size, true);
	return memmove(to, from, size);
}

#define memcpy(TO, FROM, SIZE) copy_seen(TO, FROM, SIZE)
#define memmove(TO, FROM, SIZE) copy_seen(TO, FROM, SIZE)

#include "engine/msg/msg.c"

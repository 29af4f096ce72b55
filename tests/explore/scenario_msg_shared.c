/* SPDX-License-Identifier: MIT
 *
 * Law: of messages that share a room, one alone in it writes there, and the last one to leave gives it back, both behind
 * everything that the others have read there: each message has its own bytes, and no byte is read after its room is gone.
 * (C8; P17; msg.c.)
 *
 * Method: a message with a long body and its duplicate, a thread each. One asks for its body, to write it. The other, as
 * it chooses, appends, which moves its bytes to a room of its own; or duplicates and frees; or frees at once.
 */
#include "engine/msg/msg.h"

#include <string.h>

#include "tests/explore/world.h"

#define LENGTH 200u /* too long for the message's own room */
#define BEFORE 0x11
#define AFTER 0x22

static nng_msg *first;
static nng_msg *second;

static void
setup(void)
{
	char bytes[LENGTH];
	memset(bytes, BEFORE, sizeof(bytes));
	pw_world_setup(0);
	PW_EXPLORE_ASSERT(nng_msg_alloc(&first, 0) == NNG_OK && nng_msg_append(first, bytes, LENGTH) == NNG_OK &&
		nng_msg_dup(&second, first) == NNG_OK, "no message");
	PW_EXPLORE_ASSERT(pw_msg_holders(first) == 2, "the duplicate shares no room");
}

static void
expect(nng_msg *msg, size_t length, unsigned char byte)
{
	pw_msg_check(msg);
	PW_EXPLORE_ASSERT(nng_msg_len(msg) == length, "a body of %zu bytes", nng_msg_len(msg));
	const unsigned char *body = nng_msg_body(msg);
	pw_plain_touch(body, length, false);
	for (unsigned i = 0; i < LENGTH; i++) {
		PW_EXPLORE_ASSERT(body[i] == byte, "C8: byte %u is %02x", i, body[i]);
	}
}

static void
write_it(void)
{
	unsigned char *body = nng_msg_body(first);
	pw_plain_touch(body, LENGTH, true);
	memset(body, AFTER, LENGTH);
	expect(first, LENGTH, AFTER);
	nng_msg_free(first);
}

static void
read_it(void)
{
	unsigned way = pw_explore_choose(3);
	if (way == 0) {
		PW_EXPLORE_ASSERT(nng_msg_append(second, "x", 1) == NNG_OK, "no memory");
		expect(second, LENGTH + 1, BEFORE);
	} else if (way == 1) {
		nng_msg *third;
		PW_EXPLORE_ASSERT(nng_msg_dup(&third, second) == NNG_OK, "no memory");
		nng_msg_free(second);
		second = third;
		expect(second, LENGTH, BEFORE);
	}
	nng_msg_free(second);
}

const struct pw_explore_scenario pw_scenario_msg_shared = {
	.name = "msg_shared",
	.law = "a room is written by the one who is alone in it, and given back by the last",
	.setup = setup,
	.fiber = {
		{ "writer", write_it, 0 },
		{ "reader", read_it, 0 },
	},
};

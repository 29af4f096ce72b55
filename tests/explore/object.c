/* SPDX-License-Identifier: MIT
 *
 * object.c: see object.h.
 */
#include "tests/explore/object.h"

#include "engine/shard/fleet.h"
#include "engine/stream/stream.h"

struct object {
	struct pw_end end;
	struct pw_op_queue queue;
};

static uint64_t closed; /* ledger: descriptors closed */

static struct object *
of(struct pw_end *end)
{
	return PW_CONTAINER_OF(end, struct object, end);
}

static void
on_birth(struct pw_end *end)
{
	pw_op_queue_init(&of(end)->queue);
}

static void
on_take(struct pw_end *end, nng_aio *aio, unsigned tag)
{
	PW_EXPLORE_ASSERT(tag == 1, "it was submitted as 1, and comes as %u", tag);
	if (!pw_end_refused(end, aio)) {
		pw_op_push(&of(end)->queue, aio);
	}
}

static void
on_cancel(struct pw_end *end, nng_aio *aio)
{
	pw_op_remove(&of(end)->queue, aio);
	pw_end_finish_canceled(aio);
}

static void
on_scan(struct pw_end *end)
{
	for (nng_aio *aio = pw_op_first(&of(end)->queue); aio != NULL;) {
		nng_aio *next = pw_op_after(aio);
		if (pw_end_marked(aio)) {
			on_cancel(end, aio);
		}
		aio = next;
	}
}

static void
on_close(struct pw_end *end)
{
	nng_aio *aio;
	while ((aio = pw_op_first(&of(end)->queue)) != NULL) {
		pw_op_remove(&of(end)->queue, aio);
		(void) pw_aio_finish(aio, NNG_ECLOSED, 0);
	}
}

static bool
on_settle(struct pw_end *end)
{
	return pw_op_first(&of(end)->queue) == NULL; /* close may have been asked for since the look began */
}

static void
on_unhold(struct pw_end *end)
{
	(void) end;
	PW_EXPLORE_ASSERT(pw_explore_get(&closed) == 0, "the descriptor is closed twice");
	pw_explore_set(&closed, 1);
}

static bool
would_wait(struct pw_end *end, const struct pw_shard *shard)
{
	return end->shard == shard;
}

#define KIND                                                                                                         \
	{                                                                                                            \
		.name = "object", .number = PW_CLASS_UDP, .size = sizeof(struct object), .on_birth = on_birth,       \
		.on_take = on_take, .on_cancel = on_cancel, .on_scan = on_scan, .on_close = on_close,                \
		.on_settle = on_settle, .on_unhold = on_unhold, .would_wait = would_wait,                            \
	}
const struct pw_end_kind pw_udp_kind = KIND;
const struct pw_end_kind pw_stream_kind = KIND; /* no record is ever made of the others */
const struct pw_end_kind pw_listener_kind = KIND;
const struct pw_end_kind pw_dialer_kind = KIND;

/* No shard of the explorer has one. */
void
pw_resolver_close(struct pw_stream_shard *state)
{
	(void) state;
}

struct pw_end *
pw_object_open(unsigned shard)
{
	closed = 0;
	if (pw_explore_first()) {
		pw_object_keep();
	}
	struct pw_end *end = pw_end_alloc(pw_fleet_nth(shard), PW_CLASS_UDP);
	PW_EXPLORE_ASSERT(end != NULL, "no object");
	pw_end_publish(end);
	pw_explore_name(&end->word, sizeof(end->word), "object", NULL);
	pw_explore_name(&end->submitted, sizeof(end->submitted), "submitted", NULL);
	return end;
}

/* In the engine each operation has its own name for it. */
void
pw_object_cancel(nng_aio *aio, void *arg, nng_err reason)
{
	(void) reason;
	pw_end_cancel(arg, aio);
}

bool
pw_object_submit(struct pw_end *object, nng_aio *aio)
{
	bool accepted = pw_end_start(object, aio, pw_object_cancel);
	if (accepted) {
		pw_end_submit(object, aio, 1);
	}
	return accepted;
}

void
pw_object_check(const struct pw_end *object)
{
	PW_EXPLORE_ASSERT(object->word.v == 0 && object->submitted.v == 0,
	    "the object was not released, or has work left");
	PW_EXPLORE_ASSERT(closed == 1, "its descriptor is open");
}

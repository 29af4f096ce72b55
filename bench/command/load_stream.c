/* SPDX-License-Identifier: MIT
 *
 * load_stream.c: see load.h: connections over byte streams.
 *
 * Sending and receiving go side by side, each on its own handle: a message that is longer than the buffers on its
 * way comes back while its end is still being sent, and messages that are due are sent whether or not the answers
 * keep up.
 *
 * What comes back is compared as it arrives, by its position in the stream, so one receive may end a message, hold
 * several, and begin another. A byte more than was sent is as wrong as another byte.
 *
 * An operation that runs out of time is counted and made again: a deadline loses no byte. After the end of the run it
 * ends the connection.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/command/load.h"
#include "bench/command/load_content.h"

#define IN_SIZE_MIN 4096u
#define IN_SIZE_MAX 65536u
#define HOLD_MS 3600000u /* beyond the end of the hold */

enum step {
	STEP_NONE, /* the sending handle is idle */
	STEP_DIAL,
	STEP_SLEEP,
	STEP_SEND,
};

struct connection {
	struct pw_load_connection base;
	nng_stream *stream;
	enum step step;
	bool receiving;
	size_t sent;     /* bytes of the message under way, number started - 1 */
	size_t received; /* bytes of message number settled */
	size_t in_size;
	unsigned char *out;
	unsigned char *in;
};

static void pump(struct connection *c);

static struct pw_content
content_of(const struct connection *c, uint64_t number)
{
	return (
	    struct pw_content){ pw_content_sender(pw_load.identity, c->base.number), number, pw_load.options.size };
}

/* True: the operation is to be made again. */
static bool
expired(struct connection *c, nng_err result)
{
	if (result != NNG_ETIMEDOUT) {
		return false;
	}
	pw_count_add(&c->base.tally->expired, 1);
	return pw_load.mode != PW_LOAD_HOLD && pinwheel_clock_ns() < pw_load.end_ns;
}

/* ---- receiving ---- */

static void
receive(struct connection *c)
{
	nng_iov iov = { c->in, c->in_size };

	if (c->receiving || c->base.ended) {
		return;
	}
	if (c->base.started == c->base.settled && pw_load.mode != PW_LOAD_HOLD) {
		return; /* nothing is owed: silence is no delay */
	}
	c->receiving = true;
	(void) nng_aio_set_iov(c->base.recv_aio, 1, &iov);
	nng_stream_recv(c->stream, c->base.recv_aio);
}

/* One piece of one message; returns its size, 0 if it is wrong. */
static size_t
take_piece(struct connection *c, const unsigned char *bytes, size_t count, uint64_t now_ns)
{
	struct pw_content content = content_of(c, c->base.settled);
	size_t left = content.size - c->received;
	size_t n = count < left ? count : left;
	char why[80];

	if (c->base.settled == c->base.started) {
		snprintf(why, sizeof(why), "%zu bytes more came back than were sent", count);
		pw_load_end(&c->base, PW_LOAD_CORRUPT, why);
		return 0;
	}
	size_t at = pw_content_compare(&content, c->received, bytes, n);
	if (at != n) {
		snprintf(why, sizeof(why), "byte %zu came back as %u", c->received + at, bytes[at]);
		pw_load_end(&c->base, PW_LOAD_CORRUPT, why);
		return 0;
	}
	c->received += n;
	if (c->received == content.size) {
		c->received = 0;
		pw_load_answered(&c->base, c->base.settled, now_ns);
	}
	return n;
}

static bool
take(struct connection *c, size_t count)
{
	uint64_t now_ns = pinwheel_clock_ns();

	for (size_t done = 0; done < count;) {
		size_t n = take_piece(c, c->in + done, count - done, now_ns);
		if (n == 0) {
			return false;
		}
		done += n;
	}
	return true;
}

static void
on_recv(void *arg)
{
	struct connection *c = arg;
	nng_err result = nng_aio_result(c->base.recv_aio);

	c->receiving = false;
	if (c->base.ended) {
		return;
	}
	if (result == NNG_OK) {
		if (take(c, nng_aio_count(c->base.recv_aio))) {
			pump(c);
			receive(c);
		}
	} else if (expired(c, result)) {
		receive(c);
	} else {
		pw_load_end_by(&c->base, PW_LOAD_FAILED, result);
	}
}

/* ---- sending ---- */

static void
send_rest(struct connection *c)
{
	nng_iov iov = { c->out + c->sent, pw_load.options.size - c->sent };

	c->step = STEP_SEND;
	(void) nng_aio_set_iov(c->base.send_aio, 1, &iov);
	nng_stream_send(c->stream, c->base.send_aio);
}

static void
send_message(struct connection *c)
{
	struct pw_content content = content_of(c, c->base.started - 1);

	pw_content_fill(&content, c->out);
	c->sent = 0;
	send_rest(c);
	receive(c);
}

static void
sleep_until(struct connection *c, uint64_t until_ns)
{
	uint64_t now_ns = pinwheel_clock_ns();

	c->step = STEP_SLEEP;
	pinwheel_aio_set_deadline_ns(c->base.send_aio, PINWHEEL_NEVER_NS); /* the timeout is for transfers */
	pinwheel_sleep_ns(until_ns > now_ns ? (int64_t) (until_ns - now_ns) : 0, c->base.send_aio);
}

/* Whatever is to be done next by the sending handle, if it is idle. */
static void
pump(struct connection *c)
{
	uint64_t until_ns = 0;

	if (c->step != STEP_NONE || c->base.ended) {
		return;
	}
	switch (pw_load_next(&c->base, &until_ns)) {
	case PW_LOAD_SEND:
		send_message(c);
		break;
	case PW_LOAD_SLEEP:
		sleep_until(c, until_ns);
		break;
	case PW_LOAD_WAIT:
		break;
	case PW_LOAD_OVER:
		if (c->base.settled == c->base.started) {
			pw_load_end(&c->base, PW_LOAD_DONE, NULL);
		}
		break;
	}
}

static void
on_sent(struct connection *c)
{
	nng_err result = nng_aio_result(c->base.send_aio);

	if (result == NNG_OK) {
		c->sent += nng_aio_count(c->base.send_aio);
	} else if (!expired(c, result)) {
		pw_load_end_by(&c->base, PW_LOAD_FAILED, result);
		return;
	}
	if (c->sent < pw_load.options.size) {
		send_rest(c);
	} else {
		c->step = STEP_NONE;
		pump(c);
	}
}

static void
on_slept(struct connection *c)
{
	nng_err result = nng_aio_result(c->base.send_aio);

	c->step = STEP_NONE;
	if (result == NNG_OK) {
		pump(c);
	} else {
		pw_load_end_by(&c->base, PW_LOAD_FAILED, result);
	}
}

static void
on_dialed(struct connection *c)
{
	nng_err result = nng_aio_result(c->base.send_aio);

	c->step = STEP_NONE;
	if (result == NNG_OK) {
		c->stream = nng_aio_get_output(c->base.send_aio, 0);
		pw_load_opened(&c->base);
		return;
	}
	(void) expired(c, result);
	pw_load_end_by(&c->base, PW_LOAD_UNCONNECTED, result);
}

static void
on_send(void *arg)
{
	struct connection *c = arg;

	if (pw_load_kicked(&c->base) || c->base.ended) {
		return;
	}
	switch (c->step) {
	case STEP_DIAL:
		on_dialed(c);
		break;
	case STEP_SLEEP:
		on_slept(c);
		break;
	case STEP_SEND:
		on_sent(c);
		break;
	case STEP_NONE: /* nothing was under way */
		break;
	}
}

/* ---- the carrier ---- */

static bool
prepare(struct pw_load_connection *base)
{
	struct connection *c = (struct connection *) base;
	size_t size = pw_load.options.size;

	c->in_size = pw_load.mode == PW_LOAD_HOLD ? size + 1
	    : size < IN_SIZE_MIN                  ? IN_SIZE_MIN
	    : size > IN_SIZE_MAX                  ? IN_SIZE_MAX
						  : size;
	c->out = malloc(size);
	c->in = malloc(c->in_size);
	return c->out != NULL && c->in != NULL && pw_load_handles(base, on_send, on_recv);
}

static void
open_connection(struct pw_load_connection *base)
{
	struct connection *c = (struct connection *) base;

	nng_aio_set_timeout(base->send_aio, (nng_duration) base->target->timeout_ms);
	nng_aio_set_timeout(base->recv_aio,
	    (nng_duration) (pw_load.mode == PW_LOAD_HOLD ? pw_load.options.seconds * 1000u + HOLD_MS
							 : base->target->timeout_ms));
	c->step = STEP_DIAL;
	nng_stream_dialer_dial(base->target->dialer, base->send_aio);
}

static void
run(struct pw_load_connection *base)
{
	struct connection *c = (struct connection *) base;

	pump(c);
	receive(c);
}

static void
release(struct pw_load_connection *base)
{
	struct connection *c = (struct connection *) base;

	nng_stream_free(c->stream);
	free(c->out);
	free(c->in);
}

const struct pw_load_carrier pw_load_stream = { sizeof(struct connection), prepare, open_connection, run, release };

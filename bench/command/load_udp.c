/* SPDX-License-Identifier: MIT
 *
 * load_udp.c: see load.h: messages in datagrams, which may be lost, come late, twice, or in another order.
 *
 * Each connection is a socket of its own. A datagram says which message it is; it is compared with what was sent, and
 * then counted once as one of these: answered (in time), late (after the timeout), duplicate, stray (not from the
 * place that is loaded: no answer of ours, and not looked into). What was sent and is none of them is lost. None of
 * this is a failure; another byte than was sent is.
 *
 * The time for an answer runs from when the message was due or begun. Closed: when it is over the message is given up
 * and the next one is due. Open: nothing waits for an answer, but at the end for those that may still come.
 *
 * Which messages have come back is kept for the last WINDOW of them; an older one that comes is late.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/command/load.h"
#include "bench/command/load_content.h"
#include "bench/command/udp_address.h"

#define WINDOW 65536u

enum step {
	STEP_NONE, /* the sending handle is idle */
	STEP_SLEEP,
	STEP_SEND,
};

struct flow {
	struct pw_load_connection base;
	nng_udp *udp;
	nng_sockaddr from; /* of the datagram received */
	enum step step;
	bool receiving;
	unsigned char *out;
	unsigned char *in; /* one byte longer than a message */
	uint64_t seen[WINDOW / 64];
};

static void pump(struct flow *f);

static struct pw_content
content_of(const struct flow *f, uint64_t number)
{
	return (
	    struct pw_content){ pw_content_sender(pw_load.identity, f->base.number), number, pw_load.options.size };
}

/* Has message `number` come back before? It has now. */
static bool
see(struct flow *f, uint64_t number)
{
	uint64_t bit = UINT64_C(1) << number % 64;
	uint64_t *word = &f->seen[number % WINDOW / 64];
	bool seen = (*word & bit) != 0;

	*word |= bit;
	return seen;
}

static void
forget(struct flow *f, uint64_t number)
{
	f->seen[number % WINDOW / 64] &= ~(UINT64_C(1) << number % 64);
}

/* ---- receiving ---- */

static uint64_t
answer_until_ns(const struct flow *f)
{
	return pw_load.mode == PW_LOAD_OPEN ? pw_load_patience_ns(&f->base)
					    : f->base.begun_ns + f->base.target->timeout_ms * UINT64_C(1000000);
}

static void
receive(struct flow *f)
{
	nng_iov iov = { f->in, pw_load.options.size + 1u };

	if (f->receiving || f->base.ended) {
		return;
	}
	if (pw_load.mode == PW_LOAD_CLOSED && f->base.settled == f->base.started) {
		return; /* the deadline is the next message's */
	}
	f->receiving = true;
	(void) nng_aio_set_iov(f->base.recv_aio, 1, &iov);
	(void) nng_aio_set_input(f->base.recv_aio, 0, &f->from);
	pinwheel_aio_set_deadline_ns(f->base.recv_aio, answer_until_ns(f));
	nng_udp_recv(f->udp, f->base.recv_aio);
}

/* The datagram is one of those sent, unchanged; else the flow has ended. */
static bool
right(struct flow *f, nng_err result, size_t count, uint64_t *number)
{
	char why[80];

	if (result == NNG_EMSGSIZE || count != pw_load.options.size) {
		snprintf(why, sizeof(why), "a datagram of %s%zu bytes came back", count == 0 ? "more than " : "",
		    count == 0 ? (size_t) pw_load.options.size : count);
		pw_load_end(&f->base, PW_LOAD_CORRUPT, why);
		return false;
	}
	memcpy(number, f->in + 8, sizeof(*number));
	struct pw_content content = content_of(f, *number);
	size_t at = pw_content_compare(&content, 0, f->in, count);
	if (at != count || *number >= f->base.started) {
		snprintf(why, sizeof(why), "byte %zu of a datagram came back as %u", at == count ? 8 : at,
		    f->in[at == count ? 8 : at]);
		pw_load_end(&f->base, PW_LOAD_CORRUPT, why);
		return false;
	}
	return true;
}

/* Closed: an older message was given up when its time was over. */
static bool
in_time(const struct flow *f, uint64_t number, uint64_t now_ns)
{
	if (pw_load.mode == PW_LOAD_CLOSED) {
		return number == f->base.settled;
	}
	return now_ns <= pw_load_begun_ns(&f->base, number) + f->base.target->timeout_ms * UINT64_C(1000000);
}

static void
count_datagram(struct flow *f, uint64_t number)
{
	uint64_t now_ns = pinwheel_clock_ns();

	if (f->base.started - number > WINDOW) {
		pw_count_add(&f->base.tally->late, 1);
		f->base.settled += pw_load.mode == PW_LOAD_OPEN;
	} else if (see(f, number)) {
		pw_count_add(&f->base.tally->duplicate, 1);
	} else if (in_time(f, number, now_ns)) {
		pw_load_answered(&f->base, number, now_ns);
	} else {
		pw_count_add(&f->base.tally->late, 1);
		f->base.settled += pw_load.mode == PW_LOAD_OPEN;
	}
}

/* False: the flow has ended. */
static bool
take(struct flow *f, nng_err result)
{
	uint64_t number;

	if (!pw_udp_answers(&f->from, &f->base.target->address)) {
		pw_count_add(&f->base.tally->stray, 1);
		return true;
	}
	if (!right(f, result, nng_aio_count(f->base.recv_aio), &number)) {
		return false;
	}
	count_datagram(f, number);
	return true;
}

/* The time for answers is over. */
static void
lose_patience(struct flow *f)
{
	uint64_t until_ns = 0;

	if (pw_load.mode == PW_LOAD_OPEN) {
		(void) pw_load_next(&f->base, &until_ns); /* counts what is due and will not be sent */
		pw_load_end(&f->base, PW_LOAD_DONE, NULL);
		return;
	}
	pw_count_add(&f->base.tally->expired, 1);
	f->base.settled = f->base.started;
	pump(f);
}

static void
on_recv(void *arg)
{
	struct flow *f = arg;
	nng_err result = nng_aio_result(f->base.recv_aio);

	f->receiving = false;
	if (f->base.ended) {
		return;
	}
	if (result == NNG_OK || result == NNG_EMSGSIZE) {
		if (take(f, result)) {
			pump(f);
			receive(f);
		}
	} else if (result == NNG_ETIMEDOUT) {
		lose_patience(f);
	} else {
		pw_load_end_by(&f->base, PW_LOAD_FAILED, result);
	}
}

/* ---- sending ---- */

static void
send_datagram(struct flow *f)
{
	nng_iov iov = { f->out, pw_load.options.size };

	f->step = STEP_SEND;
	(void) nng_aio_set_iov(f->base.send_aio, 1, &iov);
	nng_udp_send(f->udp, f->base.send_aio);
}

static void
send_message(struct flow *f)
{
	struct pw_content content = content_of(f, f->base.started - 1);

	forget(f, content.number);
	pw_content_fill(&content, f->out);
	send_datagram(f);
	receive(f);
}

static void
sleep_until(struct flow *f, uint64_t until_ns)
{
	uint64_t now_ns = pinwheel_clock_ns();

	f->step = STEP_SLEEP;
	pinwheel_aio_set_deadline_ns(f->base.send_aio, PINWHEEL_NEVER_NS); /* the timeout is for transfers */
	pinwheel_sleep_ns(until_ns > now_ns ? (int64_t) (until_ns - now_ns) : 0, f->base.send_aio);
}

static void
pump(struct flow *f)
{
	uint64_t until_ns = 0;

	if (f->step != STEP_NONE || f->base.ended) {
		return;
	}
	switch (pw_load_next(&f->base, &until_ns)) {
	case PW_LOAD_SEND:
		send_message(f);
		break;
	case PW_LOAD_SLEEP:
		sleep_until(f, until_ns);
		break;
	case PW_LOAD_WAIT:
		break;
	case PW_LOAD_OVER:
		if (f->base.settled == f->base.started) {
			pw_load_end(&f->base, PW_LOAD_DONE, NULL);
		}
		break;
	}
}

/* The sending handle's own operation has ended: the message is on its way, or a message is due. */
static void
on_send(void *arg)
{
	struct flow *f = arg;

	if (pw_load_kicked(&f->base)) {
		return;
	}
	nng_err result = nng_aio_result(f->base.send_aio);
	bool sending = f->step == STEP_SEND;
	f->step = STEP_NONE;
	if (f->base.ended) {
		return;
	}
	if (sending && result == NNG_ETIMEDOUT) {
		pw_count_add(&f->base.tally->expired, 1); /* the datagram was not sent, and counts as lost */
	} else if (result != NNG_OK) {
		pw_load_end_by(&f->base, PW_LOAD_FAILED, result);
		return;
	}
	pump(f);
}

/* ---- the carrier ---- */

static bool
prepare(struct pw_load_connection *base)
{
	struct flow *f = (struct flow *) base;

	f->out = malloc(pw_load.options.size);
	f->in = malloc(pw_load.options.size + 1u);
	return f->out != NULL && f->in != NULL && pw_load_handles(base, on_send, on_recv);
}

static void
open_flow(struct pw_load_connection *base)
{
	struct flow *f = (struct flow *) base;
	nng_sockaddr any = { 0 };

	any.s_family = base->target->address.s_family;
	(void) nng_aio_set_input(base->send_aio, 0, &base->target->address);
	nng_aio_set_timeout(base->send_aio, (nng_duration) base->target->timeout_ms);
	nng_err err = nng_udp_open(&f->udp, &any);
	if (err == NNG_OK) {
		pw_load_opened(base);
	} else {
		pw_load_end_by(base, PW_LOAD_UNCONNECTED, err);
	}
}

static void
run(struct pw_load_connection *base)
{
	pump((struct flow *) base);
}

static void
release(struct pw_load_connection *base)
{
	struct flow *f = (struct flow *) base;

	nng_udp_close(f->udp);
	free(f->out);
	free(f->in);
}

const struct pw_load_carrier pw_load_udp = { sizeof(struct flow), prepare, open_flow, run, release };

/* SPDX-License-Identifier: MIT
 *
 * load_connection.c: see load.h: what connections have in common: when their messages are due, their beginning and
 * their end.
 *
 * Context: the connection's shard, but for pw_load_kick, which is main's and, for a connection that nothing has been
 * done with yet, any shard's.
 */
#include "bench/command/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/eventfd.h>

#define SECOND_NS UINT64_C(1000000000)
#define MS_NS UINT64_C(1000000)

struct pw_load pw_load = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- the schedule ---- */

/* Message k of connection c is number c + k * connections of all; n of those are due every second. */
static uint64_t
due_ns(const struct pw_load_connection *c, uint64_t k)
{
	uint64_t rate = pw_load.options.rate;
	uint64_t number = c->number + k * pw_load.connection_count;

	return pw_load.start_ns + number / rate * SECOND_NS + number % rate * SECOND_NS / rate;
}

uint64_t
pw_load_begun_ns(const struct pw_load_connection *c, uint64_t number)
{
	return pw_load.mode == PW_LOAD_OPEN ? due_ns(c, number) : c->begun_ns;
}

uint64_t
pw_load_patience_ns(const struct pw_load_connection *c)
{
	return pw_load.end_ns + c->target->timeout_ms * MS_NS;
}

static enum pw_load_turn
begin(struct pw_load_connection *c, uint64_t now_ns)
{
	c->begun_ns = now_ns;
	c->started++;
	pw_count_add(&c->tally->sent, 1);
	return PW_LOAD_SEND;
}

/* What was due and is not sent stands in the percentiles with what it has waited. Every message that was to be due in
 * the run is then either sent or unsent. */
static void
give_up(struct pw_load_connection *c, uint64_t now_ns)
{
	uint64_t due;

	c->given_up = true;
	for (uint64_t k = c->started; (due = due_ns(c, k)) < pw_load.end_ns; k++) {
		if (due <= now_ns) {
			pw_latency_record(&c->tally->latency, now_ns - due);
		}
		pw_count_add(&c->tally->unsent, 1);
	}
}

static enum pw_load_turn
next_due(struct pw_load_connection *c, uint64_t now_ns, uint64_t *until_ns)
{
	uint64_t due = due_ns(c, c->started);

	if (c->given_up || due >= pw_load.end_ns) {
		return PW_LOAD_OVER;
	}
	if (now_ns < due) {
		*until_ns = due;
		return PW_LOAD_SLEEP;
	}
	if (now_ns >= pw_load_patience_ns(c)) {
		give_up(c, now_ns);
		return PW_LOAD_OVER;
	}
	pw_latency_record(&c->tally->delay, now_ns - due);
	return begin(c, now_ns);
}

enum pw_load_turn
pw_load_next(struct pw_load_connection *c, uint64_t *until_ns)
{
	uint64_t now_ns = pinwheel_clock_ns();

	switch (pw_load.mode) {
	case PW_LOAD_OPEN:
		return next_due(c, now_ns, until_ns);
	case PW_LOAD_HOLD:
		if (!c->woken) {
			return PW_LOAD_WAIT;
		}
		return c->started == 0 ? begin(c, now_ns) : PW_LOAD_OVER;
	case PW_LOAD_CLOSED:
	default:
		if (c->started != c->settled) {
			return PW_LOAD_WAIT;
		}
		return now_ns < pw_load.end_ns ? begin(c, now_ns) : PW_LOAD_OVER;
	}
}

void
pw_load_answered(struct pw_load_connection *c, uint64_t number, uint64_t now_ns)
{
	pw_latency_record(&c->tally->latency, now_ns - pw_load_begun_ns(c, number));
	pw_count_add(&c->tally->answered, 1);
	pw_count_max(&c->tally->last_ns, now_ns);
	c->settled++;
}

/* ---- a connection's beginning and end ---- */

bool
pw_load_handles(struct pw_load_connection *c, void (*on_send)(void *), void (*on_recv)(void *))
{
	return pinwheel_aio_alloc_on(&c->send_aio, c->shard, on_send, c) == NNG_OK &&
	    pinwheel_aio_alloc_on(&c->recv_aio, c->shard, on_recv, c) == NNG_OK;
}

void
pw_load_kick(struct pw_load_connection *c)
{
	nng_aio_wait(c->send_aio); /* its last callback may still be returning */
	c->kicked = true;
	nng_sleep_aio(0, c->send_aio);
}

bool
pw_load_kicked(struct pw_load_connection *c)
{
	if (!c->kicked) {
		return false;
	}
	c->kicked = false;
	if (nng_aio_result(c->send_aio) != NNG_OK) {
		pw_load_end_by(c, PW_LOAD_UNCONNECTED, nng_aio_result(c->send_aio));
	} else if (!c->opened) {
		c->carrier->open(c);
	} else if (!c->ended) {
		c->woken = c->running;
		c->running = true;
		c->carrier->run(c);
	}
	return true;
}

void
pw_load_open_next(void)
{
	uint32_t next = atomic_fetch_add(&pw_load.next_to_open, 1);

	if (next < pw_load.connection_count) {
		pw_load_kick(pw_load.connections[next]);
	}
}

/* Under the lock: one fewer to wait for. */
static void
settle(void)
{
	if (--pw_load.awaited == 0) {
		(void) eventfd_write(pw_load.awaited_fd, 1);
	}
}

void
pw_load_opened(struct pw_load_connection *c)
{
	c->opened = true;
	pw_load_open_next(); /* first: main goes on when the last one is settled */
	pthread_mutex_lock(&pw_load.lock);
	c->target->open++;
	settle();
	pthread_mutex_unlock(&pw_load.lock);
}

/* Under the lock. */
static void
note(struct pw_load_connection *c, enum pw_load_end how, const char *why)
{
	struct pw_load_target *target = c->target;

	switch (how) {
	case PW_LOAD_UNCONNECTED:
		target->unconnected++;
		break;
	case PW_LOAD_FAILED:
		target->failed++;
		break;
	case PW_LOAD_CORRUPT:
		target->corrupt++;
		break;
	case PW_LOAD_DONE:
		return;
	}
	if (pw_load.why[0] == '\0') {
		snprintf(pw_load.why, sizeof(pw_load.why), "%.100s: connection %" PRIu32 ", message %" PRIu64 ": %s",
		    target->url, c->number, c->settled, why);
	}
}

void
pw_load_end(struct pw_load_connection *c, enum pw_load_end how, const char *why)
{
	if (c->ended) {
		return;
	}
	c->ended = true;
	if (!c->opened) {
		pw_load_open_next();
	} else if (pw_load.mode == PW_LOAD_OPEN && how != PW_LOAD_DONE && !c->given_up) {
		give_up(c, pinwheel_clock_ns());
	}
	pthread_mutex_lock(&pw_load.lock);
	c->target->open -= c->opened;
	note(c, how, why);
	settle();
	pthread_mutex_unlock(&pw_load.lock);
}

void
pw_load_end_by(struct pw_load_connection *c, enum pw_load_end how, nng_err result)
{
	if (result == NNG_ESTOPPED && atomic_load(&pw_load.interrupted)) {
		if (!c->ended) {
			pw_count_add(&c->tally->abandoned, c->started - c->settled);
		}
		pw_load_end(c, PW_LOAD_DONE, NULL);
	} else {
		pw_load_end(c, how, result == NNG_ESTOPPED ? "it did not end" : nng_strerror(result));
	}
}

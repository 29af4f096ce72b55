/* SPDX-License-Identifier: MIT
 *
 * udp_race_test.c: UDP sockets that are cancelled, stopped and closed at any moment, from several threads. The laws:
 * every operation completes exactly once, with a result that its history allows; a datagram that arrives is one that
 * was sent, whole, once, in the order of sending; no descriptor and no handle is left.
 *
 * Method. Each of two workers sends from one socket of its own to another, with handles of both shards, and has an
 * accomplice: a thread that at the same time cancels the handles and stops a socket. The worker alone closes, after
 * the accomplice has ended the round, or lets a callback do it. What happens is drawn from the seed.
 */
#include "race.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 2u
#define SHARDS 2
#define OPS 6u /* in each direction */

struct datagram {
	uint64_t round;
	uint64_t number;
};

struct op {
	nng_aio *aio;
	uint64_t submitted; /* by the worker */
	pw_a64 completed;   /* callbacks */
	pw_a64 strange;     /* results that nothing explains */
	nng_udp *close_it;  /* the callback closes it */
	pw_a64 *closed;     /* whoever turns it 0 -> 1 does */
	struct datagram bytes;
	nng_sockaddr address;
};

struct worker {
	unsigned number;
	unsigned rounds;
	uint64_t random;
	uint64_t other_random; /* the accomplice's */
	pw_a64 asked;          /* rounds that the accomplice may join; UINT64_MAX: end */
	pw_a64 done;
	nng_udp *from;
	nng_udp *to;
	pw_a64 closed; /* `to` */
	bool stop;     /* the accomplice stops `to` */
	struct op in[OPS];
	struct op out[OPS];
	uint64_t next;
	uint64_t received;
	uint64_t ended;
	const char *failure; /* NULL: all laws held; the test's thread asserts */
};

#define LAW(w, condition)                                                                                            \
	do {                                                                                                         \
		if (!(condition)) {                                                                                  \
			(w)->failure = #condition;                                                                   \
			return false;                                                                                \
		}                                                                                                    \
	} while (0)

static bool
is_explained(nng_err result, size_t count)
{
	switch (result) {
	case NNG_OK:
		return count == sizeof(struct datagram);
	case NNG_ECLOSED:
	case NNG_ECANCELED:
	case NNG_ETIMEDOUT:
	case NNG_ESTOPPED:
		return count == 0;
	default:
		return false;
	}
}

static void
on_op(void *arg)
{
	struct op *op = arg;
	if (!is_explained(nng_aio_result(op->aio), nng_aio_count(op->aio))) {
		race_add(&op->strange, 1);
	}
	if (op->close_it != NULL) {
		uint64_t zero = 0;
		nng_udp *udp = op->close_it;
		op->close_it = NULL;
		if (pw_cas_acq_rel_64(op->closed, &zero, 1)) {
			nng_udp_close(udp);
		}
	}
	race_add(&op->completed, 1);
}

/* shard: where the callback runs, always; -1: the handle may move to the socket's shard. */
static void
op_open(struct op *op, int shard)
{
	memset(op, 0, sizeof(*op));
	nng_err error =
	    shard < 0 ? nng_aio_alloc(&op->aio, on_op, op) : pinwheel_aio_alloc_on(&op->aio, shard, on_op, op);
	assert_int_equal(error, NNG_OK);
	nng_iov iov = { &op->bytes, sizeof(op->bytes) };
	assert_int_equal(nng_aio_set_iov(op->aio, 1, &iov), NNG_OK);
	assert_int_equal(nng_aio_set_input(op->aio, 0, &op->address), NNG_OK);
}

static bool
op_settled(struct worker *w, struct op *op)
{
	nng_aio_wait(op->aio);
	LAW(w, race_get(&op->completed) == op->submitted);
	LAW(w, race_get(&op->strange) == 0);
	return true;
}

static void
op_free(struct op *op)
{
	nng_aio_free(op->aio);
	assert_int_equal(race_get(&op->completed), op->submitted);
}

/* ---- the accomplice */

static void
hurt(struct worker *w)
{
	for (unsigned i = 0; i < OPS; i++) {
		uint64_t which = race_below(&w->other_random, OPS);
		race_jitter(&w->other_random);
		if (race_below(&w->other_random, 2) == 0) {
			nng_aio_cancel(race_below(&w->other_random, 4) == 0 ? w->out[which].aio : w->in[which].aio);
		}
	}
	if (w->stop) {
		nng_udp_stop(w->to);
	}
}

static void *
run_accomplice(void *arg)
{
	struct worker *w = arg;
	for (uint64_t next = 1;; next++) {
		uint64_t asked;
		while ((asked = race_get(&w->asked)) < next) {
			(void) sched_yield();
		}
		if (asked == UINT64_MAX) {
			return NULL;
		}
		hurt(w);
		race_set(&w->done, next);
	}
}

/* ---- a worker */

static bool
chance(struct worker *w, unsigned percent)
{
	return race_below(&w->random, 100) < percent;
}

static void
submit(struct worker *w, uint64_t round, unsigned i)
{
	struct op *in = &w->in[i], *out = &w->out[i];

	nng_aio_set_timeout(in->aio, chance(w, 5) ? 1 : NNG_DURATION_INFINITE);
	in->submitted++;
	nng_udp_recv(w->to, in->aio);
	out->bytes = (struct datagram){ round, w->next++ };
	out->submitted++;
	nng_udp_send(w->from, out->aio);
}

/* Datagrams of this round, of this worker, in the order of sending: each receive behind another one has a later one.
 * */
static bool
check_received(struct worker *w, uint64_t round)
{
	uint64_t last = 0;

	for (unsigned i = 0; i < OPS; i++) {
		struct op *in = &w->in[i];
		if (nng_aio_result(in->aio) != NNG_OK) {
			w->ended++;
			continue;
		}
		LAW(w, in->bytes.round == round);
		LAW(w, in->bytes.number >= w->next - OPS && in->bytes.number < w->next);
		LAW(w, last == 0 || in->bytes.number > last);
		last = in->bytes.number;
		w->received++;
	}
	return true;
}

static bool
round_of(struct worker *w, uint64_t round)
{
	nng_sockaddr any = { .s_in = { .sa_family = NNG_AF_INET, .sa_addr = htonl(INADDR_LOOPBACK) } }, name;
	bool callback_closes = chance(w, 20);

	LAW(w, nng_udp_open(&w->from, &any) == NNG_OK);
	LAW(w, nng_udp_open(&w->to, &any) == NNG_OK);
	LAW(w, nng_udp_sockname(w->to, &name) == NNG_OK);
	race_set(&w->closed, 0);
	w->stop = !callback_closes && chance(w, 40);
	w->in[0].close_it = callback_closes ? w->to : NULL;
	w->in[0].closed = &w->closed;
	for (unsigned i = 0; i < OPS; i++) {
		w->out[i].address = name;
	}
	if (!callback_closes) { /* else nobody else may call on the socket */
		race_set(&w->asked, race_get(&w->asked) + 1);
	}
	for (unsigned i = 0; i < OPS; i++) {
		if (callback_closes && i == 1) {
			break;
		}
		submit(w, round, i);
		race_jitter(&w->random);
	}
	race_await(&w->done, race_get(&w->asked));
	for (unsigned i = 0; i < OPS; i++) {
		nng_aio_cancel(w->in[i].aio); /* its datagram may have gone to another */
	}
	for (unsigned i = 0; i < OPS; i++) {
		if (!op_settled(w, &w->in[i]) || !op_settled(w, &w->out[i])) {
			return false;
		}
	}
	uint64_t zero = 0;
	if (pw_cas_acq_rel_64(&w->closed, &zero, 1)) {
		nng_udp_close(w->to);
	}
	nng_udp_close(w->from);
	return callback_closes || check_received(w, round);
}

static void *
run_worker(void *arg)
{
	struct worker *w = arg;
	bool good = true;

	for (uint64_t round = 1; good && round <= w->rounds; round++) {
		good = round_of(w, (uint64_t) w->number << 32 | round);
	}
	return NULL;
}

static unsigned
open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;
	assert_non_null(dir);
	while (readdir(dir) != NULL) {
		count++;
	}
	(void) closedir(dir);
	return count;
}

/* The laws at the head of the file. */
static void
udp_survives_any_end_at_any_moment(void **state)
{
	static struct worker workers[WORKERS];
	pthread_t threads[WORKERS], accomplices[WORKERS];
	uint64_t received = 0, ended = 0;

	(void) state;
	race_engine(SHARDS);
	for (unsigned i = 0; i < WORKERS; i++) {
		struct worker *w = &workers[i];
		for (unsigned k = 0; k < OPS; k++) {
			op_open(&w->in[k], (int) (k % (SHARDS + 1)) - 1);
			op_open(&w->out[k], (int) ((k + 1) % (SHARDS + 1)) - 1);
		}
	}
	unsigned descriptors = open_descriptors();
	for (unsigned i = 0; i < WORKERS; i++) {
		struct worker *w = &workers[i];
		w->number = i + 1;
		w->next = OPS;
		w->rounds = race_scaled(3000, 50);
		w->random = race_stream(i);
		w->other_random = race_stream(100 + i);
		accomplices[i] = race_thread(run_accomplice, w);
		threads[i] = race_thread(run_worker, w);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		struct worker *w = &workers[i];
		race_join(threads[i]);
		race_set(&w->asked, UINT64_MAX);
		race_join(accomplices[i]);
		if (w->failure != NULL) {
			print_error("worker %u: not so: %s\n", i, w->failure);
		}
		assert_null(w->failure);
		for (unsigned k = 0; k < OPS; k++) {
			op_free(&w->in[k]);
			op_free(&w->out[k]);
		}
		received += w->received;
		ended += w->ended;
	}
	print_message("%llu received, %llu receives that were ended\n", (unsigned long long) received,
	    (unsigned long long) ended);
	assert_true(received > 0 && ended > 0);
	while (open_descriptors() != descriptors) { /* sockets that callbacks closed are closed by their shards */
		race_flush(0);
		race_flush(1);
	}
	race_engine_end();
}

/* nng_fini with receives under way, and sends on the way, loses nothing: every operation completes, every descriptor
 * is closed, and the handles can be released. */
static void
udp_survives_nng_fini_at_any_moment(void **state)
{
	uint64_t random = race_stream(7);

	(void) state;
	for (unsigned round = race_scaled(40, 5); round > 0; round--) {
		nng_sockaddr any = { .s_in = { .sa_family = NNG_AF_INET, .sa_addr = htonl(INADDR_LOOPBACK) } }, name;
		struct op in[4], out[4];
		nng_udp *udp;

		race_engine(SHARDS);
		for (unsigned i = 0; i < 4; i++) {
			op_open(&in[i], (int) (i % (SHARDS + 1)) - 1);
			op_open(&out[i], (int) (i % (SHARDS + 1)) - 1);
		}
		unsigned descriptors = open_descriptors();
		assert_int_equal(nng_udp_open(&udp, &any), NNG_OK);
		assert_int_equal(nng_udp_sockname(udp, &name), NNG_OK);
		unsigned sends = (unsigned) race_below(&random, 5);
		for (unsigned i = 0; i < 4; i++) {
			in[i].submitted++;
			nng_udp_recv(udp, in[i].aio);
			if (i < sends) {
				out[i].address = name;
				out[i].submitted++;
				nng_udp_send(udp, out[i].aio);
			}
			race_jitter(&random);
		}
		nng_fini();
		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(race_get(&in[i].strange), 0);
			assert_int_equal(race_get(&out[i].strange), 0);
			op_free(&in[i]);
			op_free(&out[i]);
		}
		nng_udp_close(udp);
		assert_true(open_descriptors() <= descriptors);
		assert_int_equal(race_live_handles(), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(udp_survives_any_end_at_any_moment),
		cmocka_unit_test(udp_survives_nng_fini_at_any_moment),
	};

	race_print_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * stream_race_test.c: streams, dialers and listeners that are cancelled, closed, stopped and freed at any moment, from
 * several threads. The laws: every operation completes exactly once, with a result that its history allows; the bytes
 * that arrive are those that were reported as sent, in order and without a gap, whatever was cancelled in between;
 * no descriptor and no handle is left.
 *
 * Method. Each of three workers makes connections to itself, submits sends and receives, and has an accomplice: a
 * thread that at the same time cancels their handles and closes or stops the stream. The worker alone frees, after the
 * accomplice has said that it is done, or lets a callback do it. What happens is drawn from the seed.
 */
#include "race.h"

#include <dirent.h>
#include <unistd.h>

#include "engine/stream/stream.h"

#define WORKERS 3u
#define SHARDS 2
#define OPS 4u /* in each direction */
#define PIECE 600u

static char directory[] = "race-XXXXXX";

/* ---- one handle and its ledger */

struct op {
	nng_aio *aio;
	uint64_t submitted;  /* by the worker */
	pw_a64 completed;    /* callbacks */
	pw_a64 strange;      /* results that nothing explains */
	nng_stream *free_it; /* the callback frees it */
	pw_a64 *freed;       /* whoever turns it 0 -> 1 does */
	char bytes[PIECE];
};

static bool
is_explained(nng_err result, size_t count)
{
	switch (result) {
	case NNG_OK:
		return true;
	case NNG_ECLOSED:
	case NNG_ECANCELED:
	case NNG_ETIMEDOUT:
	case NNG_ECONNSHUT:
	case NNG_ECONNRESET:
	case NNG_ECONNREFUSED:
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
	if (op->free_it != NULL) {
		uint64_t zero = 0;
		nng_stream *stream = op->free_it;
		op->free_it = NULL;
		if (pw_cas_acq_rel_64(op->freed, &zero, 1)) {
			nng_stream_free(stream);
		}
	}
	race_add(&op->completed, 1);
}

/* shard: where the callback runs, always; -1: the handle may move to the stream's shard. */
static nng_err
op_alloc(struct op *op, int shard)
{
	memset(op, 0, sizeof(*op));
	return shard < 0 ? nng_aio_alloc(&op->aio, on_op, op) : pinwheel_aio_alloc_on(&op->aio, shard, on_op, op);
}

static void
op_open(struct op *op, int shard)
{
	assert_int_equal(op_alloc(op, shard), NNG_OK);
}

/* Waits for what is under way and looks at the ledger. */
static void
op_settle(struct op *op)
{
	nng_aio_wait(op->aio);
	assert_int_equal(race_get(&op->completed), op->submitted);
	assert_int_equal(race_get(&op->strange), 0);
}

static void
op_free(struct op *op)
{
	nng_aio_free(op->aio);
	assert_int_equal(race_get(&op->completed), op->submitted);
}

/* ---- the accomplice */

enum deed {
	DEED_NONE,
	DEED_CLOSE,
	DEED_STOP,
	DEED_CANCEL,
	DEED_COUNT,
};

struct accomplice {
	pthread_t thread;
	pw_a64 asked; /* deeds asked for; UINT64_MAX: end */
	pw_a64 done;
	uint64_t random;
	enum deed deed;
	nng_stream *stream;
	struct op *ops;
	unsigned count;
};

static void
do_deed(struct accomplice *a)
{
	for (unsigned i = 0; i < a->count; i++) {
		race_jitter(&a->random);
		if (race_below(&a->random, 3) == 0) {
			nng_aio_cancel(a->ops[race_below(&a->random, a->count)].aio);
		}
		if (a->stream != NULL && race_below(&a->random, 4) == 0) {
			bool value;
			(void) nng_stream_get_bool(a->stream, NNG_OPT_TCP_NODELAY, &value);
		}
	}
	if (a->deed == DEED_CLOSE) {
		nng_stream_close(a->stream);
	} else if (a->deed == DEED_STOP) {
		nng_stream_stop(a->stream);
	}
}

static void *
run_accomplice(void *arg)
{
	struct accomplice *a = arg;
	for (uint64_t next = 1;; next++) {
		uint64_t asked;
		while ((asked = race_get(&a->asked)) < next) {
			(void) sched_yield();
		}
		if (asked == UINT64_MAX) {
			return NULL;
		}
		do_deed(a);
		race_set(&a->done, next);
	}
}

static void
ask(struct accomplice *a, enum deed deed, nng_stream *stream, struct op *ops, unsigned count)
{
	a->deed = deed;
	a->stream = stream;
	a->ops = ops;
	a->count = count;
	race_set(&a->asked, race_get(&a->asked) + 1);
}

static void
await_accomplice(struct accomplice *a)
{
	race_await(&a->done, race_get(&a->asked));
}

/* ---- a worker */

struct worker {
	unsigned number;
	unsigned rounds;
	uint64_t random;
	struct accomplice accomplice;
	nng_stream_listener *listener;
	nng_stream_dialer *dialer;
	struct op dial;
	struct op accept;
	struct op out[OPS];
	struct op in[OPS];
	unsigned connections;
	unsigned canceled_dials;
	uint64_t bytes;
	uint64_t next_byte;  /* what is sent is a running sequence */
	const char *failure; /* NULL: all laws held; the test's thread asserts */
};

static bool
chance(struct worker *w, unsigned percent)
{
	return race_below(&w->random, 100) < percent;
}

/* A law that a worker sees broken. */
#define LAW(w, condition)                                                                                            \
	do {                                                                                                         \
		if (!(condition)) {                                                                                  \
			(w)->failure = #condition;                                                                   \
			return false;                                                                                \
		}                                                                                                    \
	} while (0)

static bool
settled(struct worker *w, struct op *op)
{
	nng_aio_wait(op->aio);
	LAW(w, race_get(&op->completed) == op->submitted);
	LAW(w, race_get(&op->strange) == 0);
	return true;
}

/* A new listener of either kind, and its dialer. */
static bool
open_makers(struct worker *w)
{
	char url[128];
	int port = 0;

	if (w->number % 2 == 0) {
		(void) snprintf(url, sizeof(url), "tcp://127.0.0.1:0");
	} else {
		(void) snprintf(url, sizeof(url), "ipc://%s/%u", directory, w->number);
	}
	LAW(w, nng_stream_listener_alloc(&w->listener, url) == NNG_OK);
	LAW(w, nng_stream_listener_listen(w->listener) == NNG_OK);
	if (w->number % 2 == 0) {
		LAW(w, nng_stream_listener_get_int(w->listener, NNG_OPT_BOUND_PORT, &port) == NNG_OK);
		(void) snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
	}
	LAW(w, nng_stream_dialer_alloc(&w->dialer, url) == NNG_OK);
	return true;
}

/* Frees both with an accept, perhaps a dial, under way. */
static bool
close_makers(struct worker *w)
{
	nng_aio_reset(w->dial.aio); /* forgets the output of the last round */
	w->accept.submitted++;
	nng_stream_listener_accept(w->listener, w->accept.aio);
	if (chance(w, 50)) {
		w->dial.submitted++;
		nng_stream_dialer_dial(w->dialer, w->dial.aio);
	}
	race_jitter(&w->random);
	if (chance(w, 50)) {
		nng_stream_dialer_close(w->dialer);
	}
	nng_stream_listener_free(w->listener);
	nng_stream_dialer_free(w->dialer);
	if (!settled(w, &w->accept) || !settled(w, &w->dial)) {
		return false;
	}
	nng_stream_free(nng_aio_get_output(w->accept.aio, 0));
	nng_stream_free(nng_aio_get_output(w->dial.aio, 0));
	return true;
}

/* A dial and an accept that may be cancelled while they run. Whatever comes of it is freed, but for a pair. */
static bool
try_connect(struct worker *w, nng_stream **dialed, nng_stream **accepted)
{
	bool accept_first = chance(w, 50), hurt = chance(w, 40);

	*dialed = *accepted = NULL;
	nng_aio_set_timeout(w->dial.aio, chance(w, 5) ? 1 : NNG_DURATION_INFINITE);
	w->accept.submitted++;
	w->dial.submitted++;
	if (accept_first) {
		nng_stream_listener_accept(w->listener, w->accept.aio);
	}
	nng_stream_dialer_dial(w->dialer, w->dial.aio);
	if (!accept_first) {
		nng_stream_listener_accept(w->listener, w->accept.aio);
	}
	if (hurt) {
		ask(&w->accomplice, DEED_CANCEL, NULL, &w->dial, 1);
		race_jitter(&w->random);
		if (chance(w, 50)) {
			nng_aio_cancel(w->dial.aio);
		}
		if (chance(w, 50)) {
			nng_aio_cancel(w->accept.aio);
		}
		await_accomplice(&w->accomplice);
	}
	if (!settled(w, &w->dial)) {
		return false;
	}
	if (nng_aio_result(w->dial.aio) != NNG_OK) {
		w->canceled_dials++;
		nng_aio_cancel(w->accept.aio); /* there may be nobody to come */
	}
	if (!settled(w, &w->accept)) {
		return false;
	}
	*dialed = nng_aio_get_output(w->dial.aio, 0);
	*accepted = nng_aio_get_output(w->accept.aio, 0);
	LAW(w, (*dialed != NULL) == (nng_aio_result(w->dial.aio) == NNG_OK));
	LAW(w, (*accepted != NULL) == (nng_aio_result(w->accept.aio) == NNG_OK));
	return true;
}

/* Connections of cancelled dials may stand before ours in the backlog: accepts until the other end of *dialed comes,
 * told by the bytes it was sent. */
static bool
match(struct worker *w, nng_stream *dialed, nng_stream **accepted)
{
	struct op *out = &w->out[0], *in = &w->in[0];
	uint64_t name = race_below(&w->random, UINT64_MAX), got = 0;
	nng_iov out_iov = { &name, sizeof(name) }, in_iov = { &got, sizeof(got) };

	(void) nng_aio_set_iov(out->aio, 1, &out_iov);
	(void) nng_aio_set_iov(in->aio, 1, &in_iov);
	nng_aio_set_timeout(out->aio, NNG_DURATION_INFINITE);
	nng_aio_set_timeout(in->aio, NNG_DURATION_INFINITE);
	nng_aio_set_timeout(w->accept.aio, NNG_DURATION_INFINITE);
	out->submitted++;
	nng_stream_send(dialed, out->aio);
	if (!settled(w, out)) {
		return false;
	}
	LAW(w, nng_aio_result(out->aio) == NNG_OK && nng_aio_count(out->aio) == sizeof(name));
	for (;;) {
		if (*accepted != NULL) {
			in->submitted++;
			nng_stream_recv(*accepted, in->aio);
			if (!settled(w, in)) {
				return false;
			}
			if (nng_aio_result(in->aio) == NNG_OK && got == name) {
				return true;
			}
			nng_stream_free(*accepted);
		}
		w->accept.submitted++;
		nng_stream_listener_accept(w->listener, w->accept.aio);
		if (!settled(w, &w->accept)) {
			return false;
		}
		*accepted = nng_aio_get_output(w->accept.aio, 0);
		LAW(w, *accepted != NULL);
	}
}

static void
submit(struct worker *w, struct op *op, nng_stream *stream, bool out)
{
	size_t split = race_below(&w->random, PIECE - 1) + 1;
	nng_iov iov[2] = { { op->bytes, split }, { op->bytes + split, PIECE - split } };

	(void) nng_aio_set_iov(op->aio, chance(w, 50) ? 1 : 2, iov);
	nng_aio_set_timeout(op->aio, chance(w, 5) ? 1 : chance(w, 2) ? 0 : NNG_DURATION_INFINITE);
	op->submitted++;
	if (out) {
		nng_stream_send(stream, op->aio);
	} else {
		nng_stream_recv(stream, op->aio);
	}
}

/* What the successful sends say they sent, and whether what the successful receives got is the beginning of it. Sends
 * and receives of one direction complete in order, so the pieces are joined in that order. */
static bool
bytes_arrived_in_order(struct worker *w)
{
	char sent[OPS * PIECE], got[OPS * PIECE];
	size_t sent_size = 0, got_size = 0;

	for (unsigned i = 0; i < OPS; i++) {
		if (nng_aio_result(w->out[i].aio) == NNG_OK) {
			memcpy(sent + sent_size, w->out[i].bytes, nng_aio_count(w->out[i].aio));
			sent_size += nng_aio_count(w->out[i].aio);
		}
		if (nng_aio_result(w->in[i].aio) == NNG_OK) {
			memcpy(got + got_size, w->in[i].bytes, nng_aio_count(w->in[i].aio));
			got_size += nng_aio_count(w->in[i].aio);
		}
	}
	LAW(w, got_size <= sent_size);
	LAW(w, memcmp(got, sent, got_size) == 0);
	w->bytes += got_size;
	return true;
}

/* One connection: everything under way in both directions, and its end at some moment of that. */
static bool
use(struct worker *w, nng_stream *dialed, nng_stream *accepted)
{
	bool hurt_sender = chance(w, 50), by_callback = chance(w, 30);
	enum deed deed = (enum deed) race_below(&w->random, DEED_COUNT);
	pw_a64 freed;

	race_set(&freed, 0);
	for (unsigned i = 0; i < OPS; i++) {
		for (unsigned at = 0; at < PIECE; at++) {
			w->out[i].bytes[at] = (char) (w->next_byte++ % 251);
		}
		w->in[i].freed = &freed;
		w->in[i].free_it = NULL;
	}
	if (by_callback) { /* the stream is a callback's to free: nobody else may touch it once it may run */
		for (unsigned i = 0; i < OPS; i++) {
			submit(w, &w->out[i], dialed, true);
		}
		w->in[OPS - 1].free_it = accepted;
		for (unsigned i = 0; i < OPS; i++) {
			submit(w, &w->in[i], accepted, false);
		}
		ask(&w->accomplice, DEED_CANCEL, NULL, chance(w, 50) ? w->in : w->out, OPS);
	} else {
		ask(&w->accomplice, deed, hurt_sender ? dialed : accepted, chance(w, 50) ? w->in : w->out, OPS);
		for (unsigned i = 0; i < OPS; i++) {
			submit(w, &w->in[i], accepted, false);
			submit(w, &w->out[i], dialed, true);
		}
	}
	if (chance(w, 50)) {
		race_jitter(&w->random);
		nng_stream_close(dialed);
	}
	await_accomplice(&w->accomplice);
	nng_stream_free(dialed); /* with sends pending, perhaps */
	if (!by_callback) {
		if (chance(w, 50)) {
			nng_stream_close(accepted);
		}
		nng_stream_free(accepted);
	}
	for (unsigned i = 0; i < OPS; i++) {
		if (!settled(w, &w->in[i]) || !settled(w, &w->out[i])) {
			return false;
		}
	}
	LAW(w, !by_callback || race_get(&freed) == 1);
	return bytes_arrived_in_order(w);
}

/* Now and then handles are freed with their operation under way, too. */
static bool
change_handles(struct worker *w, nng_stream *stream)
{
	struct op *op = &w->in[race_below(&w->random, OPS)];

	submit(w, op, stream, false);
	race_jitter(&w->random);
	nng_aio_free(op->aio);
	LAW(w, race_get(&op->completed) == op->submitted);
	LAW(w, race_get(&op->strange) == 0);
	LAW(w, op_alloc(op, (int) race_below(&w->random, SHARDS + 1) - 1) == NNG_OK);
	return true;
}

static bool
round_of(struct worker *w)
{
	nng_stream *dialed, *accepted;

	if (!try_connect(w, &dialed, &accepted)) {
		return false;
	}
	if (dialed == NULL) {
		nng_stream_free(accepted);
		return true;
	}
	if (!match(w, dialed, &accepted)) {
		return false;
	}
	w->connections++;
	if (chance(w, 10) && !change_handles(w, accepted)) {
		return false;
	}
	return use(w, dialed, accepted);
}

static void *
run_worker(void *arg)
{
	struct worker *w = arg;
	bool good = open_makers(w);

	for (unsigned i = 0; good && i < w->rounds; i++) {
		good = round_of(w);
		if (good && i % 50 == 49) {
			good = close_makers(w) && open_makers(w);
		}
	}
	if (good) {
		(void) close_makers(w);
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
stream_survives_any_end_at_any_moment(void **state)
{
	static struct worker workers[WORKERS];
	pthread_t threads[WORKERS];
	unsigned descriptors = open_descriptors(), connections = 0, canceled = 0;
	uint64_t bytes = 0;

	(void) state;
	for (unsigned i = 0; i < WORKERS; i++) {
		struct worker *w = &workers[i];
		w->number = i;
		w->rounds = race_scaled(1500, 50);
		w->random = race_stream(i);
		w->accomplice.random = race_stream(100 + i);
		op_open(&w->dial, (int) (i % SHARDS));
		op_open(&w->accept, (int) (i % SHARDS));
		for (unsigned k = 0; k < OPS; k++) {
			op_open(&w->in[k], (int) (k % (SHARDS + 1)) - 1);
			op_open(&w->out[k], (int) (k % (SHARDS + 1)) - 1);
		}
		w->accomplice.thread = race_thread(run_accomplice, &w->accomplice);
		threads[i] = race_thread(run_worker, w);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		struct worker *w = &workers[i];
		race_join(threads[i]);
		if (w->failure != NULL) {
			print_error("worker %u, connection %u: not so: %s\n", i, w->connections, w->failure);
		}
		assert_null(w->failure);
		race_set(&w->accomplice.asked, UINT64_MAX);
		race_join(w->accomplice.thread);
		op_settle(&w->dial);
		op_free(&w->dial);
		op_settle(&w->accept);
		op_free(&w->accept);
		for (unsigned k = 0; k < OPS; k++) {
			op_settle(&w->in[k]);
			op_free(&w->in[k]);
			op_settle(&w->out[k]);
			op_free(&w->out[k]);
		}
		connections += w->connections;
		canceled += w->canceled_dials;
		bytes += w->bytes;
	}
	print_message("%u connections, %u dials that were ended, %llu bytes\n", connections, canceled,
	    (unsigned long long) bytes);
	assert_true(connections > 0 && canceled > 0 && bytes > 0);
	while (open_descriptors() != descriptors) { /* streams that callbacks freed are closed by their shards */
		race_flush(0);
		race_flush(1);
	}
}

/* nng_fini with everything under way loses nothing: every operation completes, every descriptor is closed, and the
 * handles can be freed. Method: connections with receives pending, accepts and dials under way, then nng_fini, many
 * times. */
static void
stream_survives_nng_fini_at_any_moment(void **state)
{
	uint64_t random = race_stream(7);

	(void) state;
	for (unsigned round = race_scaled(40, 5); round > 0; round--) {
		struct op ops[8];
		nng_stream_listener *listener;
		nng_stream_dialer *dialer;
		nng_stream *streams[8];
		char url[64], byte[8];
		int port;

		race_engine(SHARDS);
		for (unsigned i = 0; i < 8; i++) {
			op_open(&ops[i], (int) (i % (SHARDS + 1)) - 1);
		}
		unsigned descriptors = open_descriptors();
		assert_int_equal(nng_stream_listener_alloc(&listener, "tcp://127.0.0.1:0"), NNG_OK);
		assert_int_equal(nng_stream_listener_listen(listener), NNG_OK);
		assert_int_equal(nng_stream_listener_get_int(listener, NNG_OPT_BOUND_PORT, &port), NNG_OK);
		(void) snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
		assert_int_equal(nng_stream_dialer_alloc(&dialer, url), NNG_OK);
		for (unsigned i = 0; i < 8; i++) {
			ops[i].submitted++;
			if (i % 2 == 0) {
				nng_stream_dialer_dial(dialer, ops[i].aio);
			} else {
				nng_stream_listener_accept(listener, ops[i].aio);
			}
		}
		unsigned made = (unsigned) race_below(&random, 9);
		for (unsigned i = 0; i < made; i++) {
			nng_aio_wait(ops[i].aio);
		}
		for (unsigned i = 0; i < made; i++) {
			streams[i] = nng_aio_get_output(ops[i].aio, 0);
			nng_iov iov = { &byte[i], 1 };
			assert_int_equal(nng_aio_set_iov(ops[i].aio, 1, &iov), NNG_OK);
			ops[i].submitted++;
			nng_stream_recv(streams[i], ops[i].aio);
		}
		race_jitter(&random);
		nng_fini();
		for (unsigned i = 0; i < 8; i++) {
			op_settle(&ops[i]);
			nng_stream_free(i < made ? streams[i] : nng_aio_get_output(ops[i].aio, 0));
			op_free(&ops[i]);
		}
		nng_stream_listener_free(listener);
		nng_stream_dialer_free(dialer);
		assert_true(open_descriptors() <= descriptors);
		assert_int_equal(race_live_handles(), 0);
	}
}

/* A cancel that comes late finds a record that is another object by now, or is being prepared to be one: its shard looks
 * at the word and at nothing else. Method: a record in preparation whose fields would lead anywhere, and the wishes that
 * late callers leave; then the same record serves as a stream. */
static void
late_look_leaves_a_record_in_preparation_alone(void **state)
{
	(void) state;
	for (int shard = 0; shard < SHARDS; shard++) {
		nng_stream *stream = pw_stream_alloc(pw_fleet_nth((unsigned) shard));
		assert_non_null(stream);
		stream->in.first = PW_SLOT_NONE - 1;
		stream->out.first = PW_SLOT_NONE - 1;
		for (unsigned i = 0; i < 3; i++) {
			pw_end_wish(&stream->end, PW_END_SCAN);
			race_flush(shard);
			stream->in.last = i;
			stream->out.last = i;
		}
		assert_int_equal(pw_load_acquire_64(&stream->end.word), 0);
		pw_end_discard(&stream->end);
		assert_ptr_equal(pw_stream_alloc(pw_fleet_nth((unsigned) shard)), stream);
		assert_int_equal(stream->in.first, PW_SLOT_NONE);
		pw_end_discard(&stream->end);
	}
}

/* What the tests below need: a connection, and the shard of its accepted end. */
struct link {
	nng_stream_listener *listener;
	nng_stream_dialer *dialer;
	nng_aio *aio;
	nng_stream *dialed;
	nng_stream *accepted;
	int shard;
};

static void
link_listen(struct link *link)
{
	char url[64];
	int port;

	assert_int_equal(nng_aio_alloc(&link->aio, NULL, NULL), NNG_OK);
	assert_int_equal(nng_stream_listener_alloc(&link->listener, "tcp://127.0.0.1:0"), NNG_OK);
	assert_int_equal(nng_stream_listener_listen(link->listener), NNG_OK);
	assert_int_equal(nng_stream_listener_get_int(link->listener, NNG_OPT_BOUND_PORT, &port), NNG_OK);
	(void) snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
	assert_int_equal(nng_stream_dialer_alloc(&link->dialer, url), NNG_OK);
}

static void
link_dial(struct link *link)
{
	nng_stream_dialer_dial(link->dialer, link->aio);
	nng_aio_wait(link->aio);
	link->dialed = nng_aio_get_output(link->aio, 0);
	assert_non_null(link->dialed);
}

static void
link_accept(struct link *link)
{
	nng_stream_listener_accept(link->listener, link->aio);
	nng_aio_wait(link->aio);
	link->accepted = nng_aio_get_output(link->aio, 0);
	assert_non_null(link->accepted);
	link->shard = (int) pw_fleet_index(link->accepted->end.shard->settings.id);
}

static void
link_close(struct link *link)
{
	nng_stream_free(link->dialed);
	nng_stream_free(link->accepted);
	nng_stream_dialer_free(link->dialer);
	nng_stream_listener_free(link->listener);
	nng_aio_free(link->aio);
}

/* A record is not released while its node is on the way to its shard: the next life would post it a second time.
 * Method: inside a callback on the stream's shard, a mail is sent for the stream, and it is freed. */
struct release {
	nng_stream *stream;
	uint64_t after_free;
};

static void
free_while_queued(void *arg)
{
	struct release *release = arg;
	pw_end_wish(&release->stream->end, 0);
	nng_stream_free(release->stream);
	release->after_free = pw_load_acquire_64(&release->stream->end.word);
}

static void
record_is_not_released_while_queued(void **state)
{
	struct link link;
	struct race_hold hold;

	(void) state;
	link_listen(&link);
	link_dial(&link);
	link_accept(&link);
	struct release release = { link.accepted, 0 };
	race_hold(&hold, link.shard);
	assert_int_equal(pinwheel_run_on(link.shard, free_while_queued, &release), NNG_OK);
	race_let_go(&hold);
	race_flush(link.shard);
	race_flush(link.shard);
	assert_int_equal(release.after_free & (PW_END_LIVE | PW_END_QUIET | PW_END_QUEUED),
	    PW_END_LIVE | PW_END_QUIET | PW_END_QUEUED);
	assert_int_equal(pw_load_acquire_64(&link.accepted->end.word), 0);
	link.accepted = NULL;
	link_close(&link);
}

/* A descriptor is not closed while a thread is inside a system call with it, and nobody waits for that thread: the last
 * one out closes. Method: a hold, as an option call takes it, over the stream's stop. */
static void
descriptor_is_not_closed_while_held(void **state)
{
	struct link link;

	(void) state;
	link_listen(&link);
	link_dial(&link);
	link_accept(&link);
	unsigned descriptors = open_descriptors();
	assert_true(pw_end_hold(&link.accepted->end));
	nng_stream_stop(link.accepted);
	assert_int_equal(open_descriptors(), descriptors);
	assert_false(pw_end_hold(&link.accepted->end));
	pw_end_unhold(&link.accepted->end, 0, 0);
	assert_int_equal(open_descriptors(), descriptors - 1);
	link_close(&link);
}

/* A connection that the kernel gives to an accept that has just been cancelled is the next accept's. Method: inside a
 * callback on the listener's shard, with a connection in the backlog, an accept is submitted, and its cancel function's
 * work is done at once, when the kernel has the accept and may have answered it. */
struct late_accept {
	nng_stream_listener *listener;
	nng_aio *aio;
};

static void
accept_and_cancel(void *arg)
{
	struct late_accept *late = arg;
	nng_stream_listener_accept(late->listener, late->aio);
	pw_end_cancel(&late->listener->end, late->aio);
}

static void
connection_of_a_cancelled_accept_is_kept(void **state)
{
	struct link link;

	(void) state;
	link_listen(&link);
	link_dial(&link);
	int shard = (int) pw_fleet_index(link.listener->end.shard->settings.id);
	struct late_accept late = { link.listener, NULL };
	assert_int_equal(pinwheel_aio_alloc_on(&late.aio, shard, NULL, NULL), NNG_OK);
	assert_int_equal(pinwheel_run_on(shard, accept_and_cancel, &late), NNG_OK);
	race_flush(shard);
	race_flush(shard);
	assert_false(nng_aio_busy(late.aio));
	assert_null(nng_aio_get_output(late.aio, 0));
	nng_aio_free(late.aio);
	link_accept(&link);
	assert_int_equal(nng_sockaddr_port(nng_stream_peer_addr(link.accepted)),
	    nng_sockaddr_port(nng_stream_self_addr(link.dialed)));
	link_close(&link);
}

static int
start_engine(void **state)
{
	(void) state;
	race_engine(SHARDS);
	return mkdtemp(directory) != NULL ? 0 : -1;
}

static int
end_engine(void **state)
{
	(void) state;
	race_engine_end();
	return rmdir(directory);
}

static int
start_engine_only(void **state)
{
	(void) state;
	race_engine(SHARDS);
	return 0;
}

static int
end_engine_only(void **state)
{
	(void) state;
	race_engine_end();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(stream_survives_any_end_at_any_moment, start_engine, end_engine),
		cmocka_unit_test(stream_survives_nng_fini_at_any_moment),
		cmocka_unit_test_setup_teardown(record_is_not_released_while_queued, start_engine_only,
		    end_engine_only),
		cmocka_unit_test_setup_teardown(descriptor_is_not_closed_while_held, start_engine_only,
		    end_engine_only),
		cmocka_unit_test_setup_teardown(connection_of_a_cancelled_accept_is_kept, start_engine_only,
		    end_engine_only),
		cmocka_unit_test_setup_teardown(late_look_leaves_a_record_in_preparation_alone, start_engine_only,
		    end_engine_only),
	};

	race_print_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * stream_test.c: CONTRACT 3a: the bytes: sending and receiving, their order, cancel and deadline, and how a stream
 * ends, over TCP v4, TCP v6 and Unix-domain sockets.
 */
#include "stream.h"

/* "send, recv use the aio's iov; complete after at least one byte, count says how many". Method: four pieces out, the
 * empty among them, four other pieces in; one byte there is enough for a large receive. */
static void
scattered(struct ends *ends)
{
	char in[4][4] = { "", "", "", "" }, one[64];
	const nng_iov out_iov[4] = { { "ab", 2 }, { "", 0 }, { "cdefg", 5 }, { "h", 1 } };
	const nng_iov in_iov[4] = { { in[0], 1 }, { in[1], 3 }, { in[2], 0 }, { in[3], 4 } };

	assert_int_equal(nng_aio_set_iov(ends->aio, 4, out_iov), NNG_OK);
	nng_stream_send(ends->dialed, ends->aio);
	assert_int_equal(result_of(ends->aio), NNG_OK);
	assert_int_equal(nng_aio_count(ends->aio), 8);
	assert_int_equal(nng_aio_set_iov(ends->aio, 4, in_iov), NNG_OK);
	nng_stream_recv(ends->accepted, ends->aio);
	assert_int_equal(result_of(ends->aio), NNG_OK);
	assert_int_equal(nng_aio_count(ends->aio), 8);
	assert_memory_equal(in[0], "a", 1);
	assert_memory_equal(in[1], "bcd", 3);
	assert_memory_equal(in[3], "efgh", 4);

	set_buffer(ends->aio, one, sizeof(one));
	nng_stream_recv(ends->accepted, ends->aio);
	assert_int_equal(send_now(ends->dialed, ends->other, "x", 1), NNG_OK);
	assert_int_equal(result_of(ends->aio), NNG_OK);
	assert_int_equal(nng_aio_count(ends->aio), 1);
}

static void
stream_gathers_and_scatters(void **state)
{
	(void) state;
	over_each(scattered);
}

/* "an iov of total length 0: NNG_EINVAL". Method: none set, one empty, four empty, both directions. */
static void
empty_iov(struct ends *ends)
{
	const nng_iov empty[4] = { { "", 0 }, { NULL, 0 }, { "", 0 }, { "", 0 } };
	const unsigned count[3] = { 0, 1, 4 };

	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(nng_aio_set_iov(ends->aio, count[i], empty), NNG_OK);
		nng_stream_send(ends->dialed, ends->aio);
		assert_int_equal(result_of(ends->aio), NNG_EINVAL);
		nng_stream_recv(ends->dialed, ends->aio);
		assert_int_equal(result_of(ends->aio), NNG_EINVAL);
		assert_int_equal(nng_aio_count(ends->aio), 0);
	}
}

static void
stream_refuses_an_empty_iov(void **state)
{
	(void) state;
	over_each(empty_iov);
}

/* A large transfer in pieces of any size arrives whole. Method: 3 MB, sent from four pieces at a time by one thread,
 * received by this one, every byte checked; sizes from a seed. */
#define LARGE (3u * 1000 * 1000)

struct sender {
	nng_stream *stream;
	nng_aio *aio;
	const char *bytes;
	bool good;
};

static void *
send_large(void *arg)
{
	struct sender *sender = arg;
	uint32_t x = 2463534242;
	sender->good = true;
	for (size_t sent = 0; sent < LARGE && sender->good;) {
		nng_iov iov[4];
		size_t at = sent;
		for (unsigned i = 0; i < 4; i++) {
			x ^= x << 13, x ^= x >> 17, x ^= x << 5;
			iov[i].iov_buf = (void *) (uintptr_t) (sender->bytes + at);
			iov[i].iov_len = x % 50000 < LARGE - at ? x % 50000 : LARGE - at;
			at += iov[i].iov_len;
		}
		if (at == sent) {
			continue;
		}
		(void) nng_aio_set_iov(sender->aio, 4, iov);
		nng_stream_send(sender->stream, sender->aio);
		nng_aio_wait(sender->aio);
		sender->good = nng_aio_result(sender->aio) == NNG_OK && nng_aio_count(sender->aio) >= 1 &&
		    nng_aio_count(sender->aio) <= at - sent;
		sent += nng_aio_count(sender->aio);
	}
	return NULL;
}

static void
large(struct ends *ends)
{
	char *out = malloc(LARGE), *in = malloc(LARGE);
	struct sender sender = { ends->dialed, ends->other, out, false };

	for (size_t i = 0; i < LARGE; i++) {
		out[i] = (char) (i * 2654435761u >> 24);
	}
	pthread_t thread = thread_start(send_large, &sender);
	recv_exactly(ends->accepted, ends->aio, in, LARGE);
	thread_end(thread);
	assert_true(sender.good);
	assert_memory_equal(in, out, LARGE);
	free(in);
	free(out);
}

static void
stream_carries_large_transfers(void **state)
{
	(void) state;
	over_each(large);
}

/* "Each direction completes in the order of submission." Method: 64 receives of one byte on aios of both shards, then
 * 64 sends of one byte each, all queued at once; the nth receive got the nth byte, and the callbacks of those whose
 * home is the stream's shard came in order. (Completions that go to another shard may overtake each other on the way:
 * its inbox is emptied out of order.) */
#define QUEUED 64u

static void
one_byte_each(struct ends *ends)
{
	struct consumer in[QUEUED], out[QUEUED];
	char from[QUEUED], to[QUEUED];
	uint64_t last = 0;

	for (unsigned i = 0; i < QUEUED; i++) {
		in[i] = (struct consumer) CONSUMER;
		out[i] = (struct consumer) CONSUMER;
		consumer_open(&in[i], (int) (i / 2 % 2));
		consumer_open(&out[i], (int) (i % 2));
		from[i] = (char) ('A' + i);
		set_buffer(in[i].aio, &to[i], 1);
		set_buffer(out[i].aio, &from[i], 1);
	}
	for (unsigned i = 0; i < QUEUED; i++) {
		nng_stream_recv(ends->accepted, in[i].aio);
	}
	for (unsigned i = 0; i < QUEUED; i++) {
		nng_stream_send(ends->dialed, out[i].aio);
	}
	for (unsigned i = 0; i < QUEUED; i++) {
		gate_pass(&in[i].called, 1);
		gate_pass(&out[i].called, 1);
		assert_int_equal(in[i].result, NNG_OK);
		assert_int_equal(out[i].result, NNG_OK);
		assert_int_equal(in[i].count, 1);
		assert_int_equal(to[i], from[i]);
		if (in[i].shard == shard_of(ends->accepted)) {
			assert_true(in[i].entered > last);
			last = in[i].entered;
		}
	}
	for (unsigned i = 0; i < QUEUED; i++) {
		nng_aio_free(in[i].aio);
		nng_aio_free(out[i].aio);
	}
}

static void
stream_completes_in_order(void **state)
{
	(void) state;
	over_each(one_byte_each);
}

/* The order holds between threads, too: what another thread submitted before comes before what the stream's own shard
 * submits. Method: the shard is held in a callback while two receives are submitted from outside and a third one in
 * that callback. */
struct inside {
	struct hold hold;
	nng_stream *stream;
	nng_aio *aio;
};

static void
recv_inside(void *arg)
{
	struct inside *inside = arg;
	gate_open(&inside->hold.in);
	gate_pass(&inside->hold.out, 1);
	nng_stream_recv(inside->stream, inside->aio);
}

static void
order_between_threads(struct ends *ends)
{
	struct inside inside = { HOLD, ends->accepted, new_aio() };
	char got[3];

	set_buffer(ends->aio, &got[0], 1);
	set_buffer(ends->other, &got[1], 1);
	set_buffer(inside.aio, &got[2], 1);
	assert_int_equal(pinwheel_run_on(shard_of(ends->accepted), recv_inside, &inside), NNG_OK);
	gate_pass(&inside.hold.in, 1);
	nng_stream_recv(ends->accepted, ends->aio);
	nng_stream_recv(ends->accepted, ends->other);
	shard_let_go(&inside.hold, shard_of(ends->accepted));
	nng_aio *out = new_aio();
	assert_int_equal(send_now(ends->dialed, out, "123", 3), NNG_OK);
	assert_int_equal(result_of(ends->aio), NNG_OK);
	assert_int_equal(result_of(ends->other), NNG_OK);
	assert_int_equal(result_of(inside.aio), NNG_OK);
	assert_memory_equal(got, "123", 3);
	nng_aio_free(out);
	nng_aio_free(inside.aio);
}

static void
stream_order_holds_between_threads(void **state)
{
	(void) state;
	over_each(order_between_threads);
}

/* Cancel, abort and deadline work on every operation, at every place of the queue, and the others go on. Method: five
 * receives on aios of both shards; the middle one is cancelled, the first one aborted, the last one's deadline
 * passes; the remaining two get the next two bytes. */
static void
cancel_anywhere(struct ends *ends)
{
	nng_aio *aio[5];
	char to[5] = { 0 };

	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(pinwheel_aio_alloc_on(&aio[i], (int) (i % 2), NULL, NULL), NNG_OK);
		set_buffer(aio[i], &to[i], 1);
		nng_aio_set_timeout(aio[i], i == 4 ? SOON_MS : NNG_DURATION_INFINITE);
		nng_stream_recv(ends->accepted, aio[i]);
	}
	nng_aio_cancel(aio[2]);
	assert_int_equal(result_of(aio[2]), NNG_ECANCELED);
	nng_aio_abort(aio[0], NNG_EPROTO);
	assert_int_equal(result_of(aio[0]), NNG_EPROTO);
	assert_int_equal(result_of(aio[4]), NNG_ETIMEDOUT);
	assert_int_equal(nng_aio_count(aio[4]), 0);
	assert_true(nng_aio_busy(aio[1]) && nng_aio_busy(aio[3]));
	assert_int_equal(send_now(ends->dialed, ends->aio, "yz", 2), NNG_OK);
	assert_int_equal(result_of(aio[1]), NNG_OK);
	assert_int_equal(result_of(aio[3]), NNG_OK);
	assert_int_equal(to[1], 'y');
	assert_int_equal(to[3], 'z');
	for (unsigned i = 0; i < 5; i++) {
		nng_aio_stop(aio[i]);
		nng_stream_recv(ends->accepted, aio[i]);
		assert_int_equal(result_of(aio[i]), NNG_ESTOPPED);
		nng_aio_free(aio[i]);
	}
}

static void
stream_cancels_anywhere_in_the_queue(void **state)
{
	(void) state;
	over_each(cancel_anywhere);
}

/* A deadline ends every kind of operation: a send that the peer does not read, a receive, an accept, a dial that
 * nobody answers. Method: each with 50 ms; a zero timeout is refused. */
static void
deadlines(struct ends *ends)
{
	char buf[4];
	fill(ends);
	assert_int_equal(recv_now(ends->dialed, ends->aio, buf, sizeof(buf)), NNG_ETIMEDOUT);
	nng_stream_listener_accept(ends->listener, ends->aio);
	assert_int_equal(result_of(ends->aio), NNG_ETIMEDOUT);
	nng_aio_set_timeout(ends->aio, NNG_DURATION_ZERO);
	assert_int_equal(recv_now(ends->dialed, ends->aio, buf, sizeof(buf)), NNG_ETIMEDOUT);
	assert_int_equal(send_now(ends->accepted, ends->aio, buf, sizeof(buf)), NNG_ETIMEDOUT);
	nng_stream_dialer_dial(ends->dialer, ends->aio);
	assert_int_equal(result_of(ends->aio), NNG_ETIMEDOUT);
	nng_stream_listener_accept(ends->listener, ends->aio);
	assert_int_equal(result_of(ends->aio), NNG_ETIMEDOUT);
}

static void
stream_deadline_on_every_operation(void **state)
{
	(void) state;
	over_each(deadlines);
}

/* A dial that nobody answers ends by its deadline, by cancel, and by the dialer's close. */
static void
stream_dial_to_silence_can_be_ended(void **state)
{
	(void) state;
	for (unsigned transport = TCP; transport <= UNIX; transport += UNIX) {
		struct silence silence;
		nng_stream_dialer *dialer;
		nng_aio *aio[6];

		unsigned descriptors = open_descriptors();
		silence_open(&silence, transport);
		assert_int_equal(nng_stream_dialer_alloc(&dialer, silence.url), NNG_OK);
		for (unsigned i = 0; i < 6; i++) {
			assert_int_equal(pinwheel_aio_alloc_on(&aio[i], (int) (i % 2), NULL, NULL), NNG_OK);
			nng_aio_set_timeout(aio[i], i < 2 ? SOON_MS : NNG_DURATION_INFINITE);
			nng_stream_dialer_dial(dialer, aio[i]);
		}
		assert_int_equal(result_of(aio[0]), NNG_ETIMEDOUT);
		assert_int_equal(result_of(aio[1]), NNG_ETIMEDOUT);
		nng_aio_cancel(aio[2]);
		nng_aio_cancel(aio[3]);
		assert_int_equal(result_of(aio[2]), NNG_ECANCELED);
		assert_int_equal(result_of(aio[3]), NNG_ECANCELED);
		assert_true(nng_aio_busy(aio[4]) && nng_aio_busy(aio[5]));
		nng_stream_dialer_stop(dialer);
		assert_int_equal(result_of(aio[4]), NNG_ECLOSED);
		assert_int_equal(result_of(aio[5]), NNG_ECLOSED);
		for (unsigned i = 0; i < 6; i++) {
			assert_null(nng_aio_get_output(aio[i], 0));
			nng_aio_free(aio[i]);
		}
		nng_stream_dialer_free(dialer);
		silence_close(&silence);
		assert_int_equal(open_descriptors(), descriptors);
	}
}

/* "End of file: NNG_ECONNSHUT (bytes received before are delivered first, result 0 ...)". And again for every later
 * receive. */
static void
end_of_file(struct ends *ends)
{
	char buf[16];
	assert_int_equal(send_now(ends->dialed, ends->aio, "last", 4), NNG_OK);
	nng_stream_stop(ends->dialed);
	recv_exactly(ends->accepted, ends->aio, buf, 4);
	assert_memory_equal(buf, "last", 4);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(recv_now(ends->accepted, ends->aio, buf, sizeof(buf)), NNG_ECONNSHUT);
		assert_int_equal(nng_aio_count(ends->aio), 0);
	}
}

static void
stream_end_of_file_is_econnshut(void **state)
{
	(void) state;
	over_each(end_of_file);
}

/* A receive that waits sees the end, too, and so do those behind it. */
static void
end_while_waiting(struct ends *ends)
{
	char buf[2] = { 0 };
	set_buffer(ends->aio, &buf[0], 1);
	set_buffer(ends->other, &buf[1], 1);
	nng_stream_recv(ends->accepted, ends->aio);
	nng_stream_recv(ends->accepted, ends->other);
	nng_stream_close(ends->dialed);
	assert_int_equal(result_of(ends->aio), NNG_ECONNSHUT);
	assert_int_equal(result_of(ends->other), NNG_ECONNSHUT);
}

static void
stream_end_ends_waiting_receives(void **state)
{
	(void) state;
	over_each(end_while_waiting);
}

/* "Reset: NNG_ECONNRESET." Method: a plain peer that closes with a reset (linger 0). */
static void
stream_reset_is_econnreset(void **state)
{
	const struct linger linger = { 1, 0 };
	struct ends ends;
	char buf[4];

	(void) state;
	ends_listen(&ends, TCP);
	int fd = raw_connect(ends.url);
	nng_stream_listener_accept(ends.listener, ends.aio);
	assert_int_equal(result_of(ends.aio), NNG_OK);
	ends.accepted = nng_aio_get_output(ends.aio, 0);
	set_buffer(ends.aio, buf, sizeof(buf));
	nng_stream_recv(ends.accepted, ends.aio);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(result_of(ends.aio), NNG_ECONNRESET);
	ends_close(&ends);
}

/* "Send after the peer closed (EPIPE) ...: NNG_ECLOSED." TCP learns of it from the answer to the first send, which
 * may be told as a reset. */
static void
send_after_peer_closed(struct ends *ends)
{
	nng_err error;
	nng_stream_stop(ends->accepted);
	do {
		error = send_now(ends->dialed, ends->aio, "x", 1);
	} while (error == NNG_OK);
	if (error == NNG_ECONNRESET) {
		error = send_now(ends->dialed, ends->aio, "x", 1);
	}
	assert_int_equal(error, NNG_ECLOSED);
}

static void
stream_send_after_peer_closed_is_eclosed(void **state)
{
	(void) state;
	over_each(send_after_peer_closed);
}

/* "own close, pending or later: NNG_ECLOSED." Method: receives and sends that wait, on aios of both shards, and later
 * ones; close twice. */
static void
own_close(struct ends *ends)
{
	nng_aio *aio[4];
	char buf[4];

	fill(ends);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pinwheel_aio_alloc_on(&aio[i], (int) (i % 2), NULL, NULL), NNG_OK);
		set_buffer(aio[i], &buf[i], 1);
		if (i < 2) {
			nng_stream_recv(ends->dialed, aio[i]);
		} else {
			nng_stream_send(ends->dialed, aio[i]);
		}
	}
	nng_stream_close(ends->dialed);
	nng_stream_close(ends->dialed);
	for (unsigned i = 0; i < 4; i++) {
		/* TCP may have had room for one more byte: its acknowledgements come when they come. */
		bool sent = i >= 2 && strncmp(ends->url, "tcp", 3) == 0 && result_of(aio[i]) == NNG_OK;
		assert_true(sent || result_of(aio[i]) == NNG_ECLOSED);
		nng_aio_free(aio[i]);
	}
	nng_aio_set_timeout(ends->aio, NNG_DURATION_INFINITE);
	assert_int_equal(recv_now(ends->dialed, ends->aio, buf, 1), NNG_ECLOSED);
	assert_int_equal(send_now(ends->dialed, ends->aio, buf, 1), NNG_ECLOSED);
}

static void
stream_own_close_is_eclosed(void **state)
{
	(void) state;
	over_each(own_close);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(stream_gathers_and_scatters),
		TEST_TWO(stream_refuses_an_empty_iov),
		TEST_TWO(stream_carries_large_transfers),
		TEST_TWO(stream_completes_in_order),
		TEST_TWO(stream_order_holds_between_threads),
		TEST_TWO(stream_cancels_anywhere_in_the_queue),
		TEST_TWO(stream_deadline_on_every_operation),
		TEST_TWO(stream_dial_to_silence_can_be_ended),
		TEST_TWO(stream_end_of_file_is_econnshut),
		TEST_TWO(stream_end_ends_waiting_receives),
		TEST_TWO(stream_reset_is_econnreset),
		TEST_TWO(stream_send_after_peer_closed_is_eclosed),
		TEST_TWO(stream_own_close_is_eclosed),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}

/* SPDX-License-Identifier: MIT
 *
 * deadline.c: a request that must be answered in time. Connecting, sending and receiving share one deadline, and a
 * reply that comes too late leaves nothing behind.
 *
 * nng_aio_set_timeout would give each of the three operations the whole time again. nng_aio_set_expire takes a moment
 * instead, for one operation, so it is set before each. When the moment comes the operation ends with NNG_ETIMEDOUT:
 * from then on the buffer is the program's again, and nobody writes to it. The connection is closed, not kept: the late
 * reply could otherwise be taken for the answer to the next request.
 *
 * The service is in this program too, on a thread of its own. To the question "slow" it answers when the client has
 * given up.
 */
#include <stdio.h>
#include <string.h>

#include <pinwheel/pinwheel.h>

#define QUESTION_SIZE 8 /* questions and answers are texts of this size, filled up with zeros */
#define PATIENT_MS 10000
#define IMPATIENT_MS 50
#define NEVER (~(nng_time) 0)

static nng_err
result_of(nng_aio *aio)
{
	nng_aio_wait(aio);
	return nng_aio_result(aio);
}

/* ---- the client ---- */

/* Sends or receives all of the text, or ends at the deadline. */
static nng_err
move(void (*operation)(nng_stream *, nng_aio *), nng_stream *stream, nng_aio *aio, char *text, nng_time deadline)
{
	for (size_t moved = 0; moved < QUESTION_SIZE; moved += nng_aio_count(aio)) {
		nng_iov iov = { text + moved, QUESTION_SIZE - moved };
		nng_aio_set_iov(aio, 1, &iov); /* fails for more than four elements only */
		nng_aio_set_expire(aio, deadline);
		operation(stream, aio);
		nng_err err = result_of(aio);
		if (err != NNG_OK) {
			return err;
		}
	}
	return NNG_OK;
}

static nng_err
request(nng_stream_dialer *dialer, nng_aio *aio, char *question, char *answer, nng_duration limit_ms)
{
	nng_time deadline = nng_clock() + (nng_time) limit_ms;

	nng_aio_set_expire(aio, deadline);
	nng_stream_dialer_dial(dialer, aio);
	nng_err err = result_of(aio);
	if (err != NNG_OK) {
		return err;
	}
	nng_stream *stream = nng_aio_get_output(aio, 0);
	err = move(nng_stream_send, stream, aio, question, deadline);
	if (err == NNG_OK) {
		err = move(nng_stream_recv, stream, aio, answer, deadline);
	}
	nng_stream_free(stream);
	return err;
}

static nng_err
ask(nng_stream_dialer *dialer, const char *text, nng_duration limit_ms)
{
	char question[QUESTION_SIZE] = { 0 }, answer[QUESTION_SIZE] = { 0 };
	nng_aio *aio;
	nng_err err = nng_aio_alloc(&aio, NULL, NULL);

	if (err != NNG_OK) {
		return err;
	}
	snprintf(question, sizeof(question), "%s", text);
	err = request(dialer, aio, question, answer, limit_ms);
	if (err == NNG_OK) {
		printf("%s: answered \"%.*s\"\n", text, QUESTION_SIZE, answer);
	} else {
		printf("%s: %s\n", text, nng_strerror(err));
	}
	nng_aio_free(aio);
	return err;
}

/* ---- the service ---- */

struct service {
	nng_stream_listener *listener;
	nng_aio *aio;
};

static void
serve(nng_stream *stream, nng_aio *aio)
{
	char question[QUESTION_SIZE], byte;

	if (move(nng_stream_recv, stream, aio, question, NEVER) != NNG_OK) {
		return; /* the client gave up before it had asked */
	}
	if (strncmp(question, "slow", QUESTION_SIZE) == 0) {
		nng_iov iov = { &byte, 1 };
		nng_aio_set_iov(aio, 1, &iov);
		nng_stream_recv(stream, aio);
		nng_aio_wait(aio); /* NNG_ECONNSHUT: the client has gone */
	}
	move(nng_stream_send, stream, aio, question, NEVER); /* too late or not: the same for the service */
}

/* Until the listener is closed. */
static void
run_service(void *arg)
{
	struct service *service = arg;

	for (;;) {
		nng_stream_listener_accept(service->listener, service->aio);
		nng_err err = result_of(service->aio);
		if (err == NNG_ECLOSED) {
			return;
		}
		if (err == NNG_OK) {
			nng_stream *stream = nng_aio_get_output(service->aio, 0);
			serve(stream, service->aio);
			nng_stream_free(stream);
		}
	}
}

/* ---- both ---- */

static nng_err
ask_questions(nng_stream_listener *listener)
{
	nng_stream_dialer *dialer;
	char url[64];
	int port;
	nng_err err = nng_stream_listener_get_int(listener, NNG_OPT_BOUND_PORT, &port);

	if (err != NNG_OK) {
		return err;
	}
	snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
	err = nng_stream_dialer_alloc(&dialer, url);
	if (err != NNG_OK) {
		return err;
	}
	err = ask(dialer, "prompt", PATIENT_MS);
	if (err == NNG_OK) {
		err = ask(dialer, "slow", IMPATIENT_MS) == NNG_ETIMEDOUT ? NNG_OK : NNG_EINTERNAL;
	}
	if (err == NNG_OK) {
		err = ask(dialer, "again", PATIENT_MS);
	}
	nng_stream_dialer_free(dialer);
	return err;
}

static nng_err
run(struct service *service)
{
	nng_thread *thread;
	nng_err err = nng_stream_listener_listen(service->listener);

	if (err == NNG_OK) {
		err = nng_thread_create(&thread, run_service, service);
	}
	if (err == NNG_OK) {
		err = ask_questions(service->listener);
		nng_stream_listener_close(service->listener);
		nng_thread_destroy(thread); /* waits for it */
	}
	return err;
}

int
main(void)
{
	struct service service = { NULL, NULL };
	nng_err err = nng_init(NULL);

	if (err != NNG_OK) {
		fprintf(stderr, "deadline: %s\n", nng_strerror(err));
		return 1;
	}
	err = nng_stream_listener_alloc(&service.listener, "tcp://127.0.0.1:0");
	if (err == NNG_OK) {
		err = nng_aio_alloc(&service.aio, NULL, NULL);
	}
	if (err == NNG_OK) {
		err = run(&service);
	}
	nng_stream_listener_free(service.listener);
	nng_aio_free(service.aio);
	if (pinwheel_dump(stdout) != 0 && err == NNG_OK) {
		err = NNG_EINTERNAL; /* something is still under way: there is nothing */
	}
	nng_fini();
	if (err != NNG_OK) {
		fprintf(stderr, "deadline: %s\n", nng_strerror(err));
	}
	return err == NNG_OK ? 0 : 1;
}

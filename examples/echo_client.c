/* SPDX-License-Identifier: MIT
 *
 * echo_client.c: sends texts to an echo service, one after the other, and prints what comes back.
 *
 *	pinwheel echo tcp://127.0.0.1:7000 &
 *	echo_client tcp://127.0.0.1:7000 hello world
 *
 * The plainest use of an aio: one handle without a callback, and a wait after each operation. A stream carries bytes,
 * not messages, and an operation may move fewer bytes than asked: so each stands in a loop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>

#define TIMEOUT_MS 5000 /* of each operation */

static nng_err
result_of(nng_aio *aio)
{
	nng_aio_wait(aio);
	return nng_aio_result(aio);
}

static nng_err
connect_to(const char *url, nng_aio *aio, nng_stream **stream)
{
	nng_stream_dialer *dialer;
	nng_err err = nng_stream_dialer_alloc(&dialer, url);

	if (err != NNG_OK) {
		return err;
	}
	nng_stream_dialer_dial(dialer, aio);
	err = result_of(aio);
	if (err == NNG_OK) {
		*stream = nng_aio_get_output(aio, 0);
	}
	nng_stream_dialer_free(dialer); /* the stream lives on */
	return err;
}

/* Sends or receives so many bytes. A peer that closes before it has sent them is NNG_ECONNSHUT. */
static nng_err
move(void (*operation)(nng_stream *, nng_aio *), nng_stream *stream, nng_aio *aio, char *data, size_t size)
{
	for (size_t moved = 0; moved < size; moved += nng_aio_count(aio)) {
		nng_iov iov = { data + moved, size - moved };
		nng_aio_set_iov(aio, 1, &iov); /* fails for more than four elements only */
		operation(stream, aio);
		nng_err err = result_of(aio);
		if (err != NNG_OK) {
			return err;
		}
	}
	return NNG_OK;
}

static nng_err
echo(nng_stream *stream, nng_aio *aio, char *text)
{
	size_t size = strlen(text);
	char *answer = malloc(size + 1);

	if (answer == NULL) {
		return NNG_ENOMEM;
	}
	nng_err err = move(nng_stream_send, stream, aio, text, size);
	if (err == NNG_OK) {
		err = move(nng_stream_recv, stream, aio, answer, size);
	}
	if (err == NNG_OK) {
		answer[size] = '\0';
		printf("%s\n", answer);
	}
	free(answer);
	return err;
}

int
main(int argc, char **argv)
{
	nng_aio *aio = NULL;
	nng_stream *stream = NULL;

	if (argc < 3) {
		fprintf(stderr, "usage: %s URL TEXT...\n", argv[0]);
		return 2;
	}
	nng_err err = nng_init(NULL);
	if (err != NNG_OK) {
		fprintf(stderr, "%s: %s\n", argv[0], nng_strerror(err));
		return 1;
	}
	err = nng_aio_alloc(&aio, NULL, NULL);
	if (err == NNG_OK) {
		nng_aio_set_timeout(aio, TIMEOUT_MS);
		err = connect_to(argv[1], aio, &stream);
	}
	for (int i = 2; i < argc && err == NNG_OK; i++) {
		err = echo(stream, aio, argv[i]);
	}
	if (err != NNG_OK) {
		fprintf(stderr, "%s: %s: %s\n", argv[0], argv[1], nng_strerror(err));
	}
	nng_stream_free(stream); /* NULL is allowed, here and below */
	nng_aio_free(aio);
	nng_fini();
	return err == NNG_OK ? 0 : 1;
}

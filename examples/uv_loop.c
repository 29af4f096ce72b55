/* SPDX-License-Identifier: MIT
 *
 * uv_loop.c: pinwheel inside a libuv loop, on the same thread. A timer of libuv sends a datagram each 10 ms, through
 * pinwheel; pinwheel receives it and says so. After three of them everything is closed, and both loops end.
 *
 * libuv watches one descriptor for all that pinwheel has to do: pinwheel_poll_fd. When it is readable, pinwheel_poll
 * is called until it returns 0; after that the descriptor is readable whenever there is something new, also when a
 * callback of libuv has started an operation.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <pinwheel/pinwheel.h>
#include <uv.h>

#define SHARD 0 /* the lent one is the only one */
#define INTERVAL_MS 10
#define DATAGRAMS 3

struct program {
	uv_loop_t *loop;
	uv_poll_t shard;
	uv_timer_t timer;
	nng_udp *udp;
	nng_sockaddr address; /* its own: what is sent comes back */
	nng_aio *sending;
	nng_aio *receiving;
	char sent[32];
	char received[32];
	unsigned sends;
	unsigned receipts;
	nng_err err; /* the first thing that went wrong */
};

/* Lets uv_run return: nothing is left that it would wait for. */
static void
leave(struct program *program, nng_err err)
{
	if (program->err == NNG_OK) {
		program->err = err;
	}
	if (!uv_is_closing((uv_handle_t *) &program->timer)) {
		uv_close((uv_handle_t *) &program->timer, NULL);
		uv_close((uv_handle_t *) &program->shard, NULL);
	}
}

/* A callback of libuv. */
static void
on_shard(uv_poll_t *poll, int status, int events)
{
	struct program *program = poll->data;
	int done = 1;

	(void) events;
	while (status == 0 && done > 0) {
		done = pinwheel_poll(SHARD, 0);
	}
	if (status != 0) {
		leave(program, NNG_EINTERNAL);
	} else if (done < 0) {
		leave(program, -done);
	}
}

static void
receive(struct program *program)
{
	nng_iov iov = { program->received, sizeof(program->received) };

	nng_aio_set_iov(program->receiving, 1, &iov);
	nng_udp_recv(program->udp, program->receiving);
}

/* A callback of pinwheel, inside pinwheel_poll. */
static void
on_received(void *arg)
{
	struct program *program = arg;
	nng_err err = nng_aio_result(program->receiving);

	if (err != NNG_OK) {
		leave(program, err);
		return;
	}
	printf("received: %.*s\n", (int) nng_aio_count(program->receiving), program->received);
	program->receipts++;
	if (program->receipts < DATAGRAMS) {
		receive(program);
	} else {
		leave(program, NNG_OK);
	}
}

/* A callback of pinwheel. */
static void
on_sent(void *arg)
{
	struct program *program = arg;
	nng_err err = nng_aio_result(program->sending);

	if (err != NNG_OK) {
		leave(program, err);
	}
}

/* A callback of libuv. */
static void
on_timer(uv_timer_t *timer)
{
	struct program *program = timer->data;

	if (nng_aio_busy(program->sending)) {
		return; /* the last one is still on its way out */
	}
	if (program->sends == DATAGRAMS) {
		uv_timer_stop(timer);
		return;
	}
	int length = snprintf(program->sent, sizeof(program->sent), "datagram %u", ++program->sends);
	nng_iov iov = { program->sent, (size_t) length };
	nng_aio_set_iov(program->sending, 1, &iov);
	nng_aio_set_input(program->sending, 0, &program->address);
	nng_udp_send(program->udp, program->sending);
}

static nng_err
open_udp(struct program *program)
{
	nng_sockaddr any = { .s_in = { .sa_family = NNG_AF_INET } };
	const unsigned char loopback[4] = { 127, 0, 0, 1 };

	memcpy(&any.s_in.sa_addr, loopback, sizeof(loopback));
	nng_err err = nng_udp_open(&program->udp, &any);
	if (err == NNG_OK) {
		err = nng_udp_sockname(program->udp, &program->address);
	}
	if (err == NNG_OK) {
		err = nng_aio_alloc(&program->sending, on_sent, program);
	}
	if (err == NNG_OK) {
		err = nng_aio_alloc(&program->receiving, on_received, program);
	}
	return err;
}

static nng_err
run(struct program *program)
{
	int done;

	receive(program);
	while ((done = pinwheel_poll(SHARD, 0)) > 0) { /* from now on the descriptor tells */
	}
	int fd = done < 0 ? done : pinwheel_poll_fd(SHARD);
	if (fd < 0) {
		return -fd;
	}
	program->shard.data = program;
	program->timer.data = program;
	if (uv_poll_init(program->loop, &program->shard, fd) != 0) {
		return NNG_ENOMEM;
	}
	uv_timer_init(program->loop, &program->timer); /* these never fail */
	uv_poll_start(&program->shard, UV_READABLE, on_shard);
	uv_timer_start(&program->timer, on_timer, INTERVAL_MS, INTERVAL_MS);
	uv_run(program->loop, UV_RUN_DEFAULT);
	return program->err;
}

int
main(void)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;
	struct program program = { .loop = uv_default_loop() };

	config.shards = PINWHEEL_NONE; /* none with a thread */
	config.lent_shards = 1;
	nng_err err = pinwheel_start(&config);
	if (err != NNG_OK) {
		fprintf(stderr, "uv_loop: %s\n", nng_strerror(err));
		return 1;
	}
	err = program.loop != NULL ? open_udp(&program) : NNG_ENOMEM;
	if (err == NNG_OK) {
		err = run(&program);
	}
	if (err != NNG_OK) {
		fprintf(stderr, "uv_loop: %s\n", nng_strerror(err));
	}
	/* These wait, and poll the shard meanwhile: this is its thread, and no callback. */
	nng_aio_free(program.receiving);
	nng_aio_free(program.sending);
	nng_udp_close(program.udp);
	nng_fini();
	if (program.loop != NULL) {
		uv_loop_close(program.loop);
	}
	return err == NNG_OK ? 0 : 1;
}

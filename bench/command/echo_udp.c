/* SPDX-License-Identifier: MIT
 *
 * echo_udp.c: see echo.h: a service over UDP.
 *
 * One socket, on which RESPONDERS aios receive; each sends its datagram back to where it came from and receives
 * again. A datagram that cannot be sent back is counted and forgotten, as UDP does.
 */
#include <stdlib.h>

#include "bench/command/echo.h"
#include "bench/command/udp_address.h"

#define RESPONDERS 16u
#define DATAGRAM_MAX 65536u

struct service;

struct responder {
	struct service *service;
	nng_aio *aio;
	nng_sockaddr from;
	enum {
		RECEIVING,
		SENDING,
		PAUSING,
	} step;
	char buffer[DATAGRAM_MAX];
};

struct service {
	struct pw_echo_service *echo;
	nng_udp *udp;
	struct responder *responders;
};

static void
receive(struct responder *r)
{
	nng_iov iov = { r->buffer, sizeof(r->buffer) };

	r->step = RECEIVING;
	nng_aio_set_timeout(r->aio, NNG_DURATION_INFINITE);
	(void) nng_aio_set_iov(r->aio, 1, &iov);
	nng_udp_recv(r->service->udp, r->aio);
}

static void
send_back(struct responder *r, size_t count)
{
	nng_iov iov = { r->buffer, count };

	r->step = SENDING;
	nng_aio_set_timeout(r->aio, pw_echo_options.timeout_ms);
	(void) nng_aio_set_iov(r->aio, 1, &iov);
	nng_udp_send(r->service->udp, r->aio);
}

static void
pause_for_a_while(struct responder *r)
{
	r->step = PAUSING;
	nng_aio_set_timeout(r->aio, NNG_DURATION_INFINITE);
	nng_sleep_aio(PW_ECHO_PAUSE_MS, r->aio);
}

static void
on_step(void *arg)
{
	struct responder *r = arg;
	struct pw_echo_tally *tally = pw_echo_tally(r->service->echo);
	nng_err result = nng_aio_result(r->aio);
	size_t count = nng_aio_count(r->aio);

	if (result == NNG_ECLOSED || result == NNG_ESTOPPED) {
		return;
	}
	if (result == NNG_OK && r->step == RECEIVING) {
		send_back(r, count);
		return;
	}
	if (result == NNG_OK && r->step == SENDING) {
		pw_count_add(&tally->datagrams, 1);
		pw_count_add(&tally->bytes, count);
	} else if (r->step == SENDING) {
		pw_count_add(result == NNG_ETIMEDOUT ? &tally->stalled : &tally->failed, 1);
	} else if (r->step == RECEIVING) {
		pw_count_add(&tally->refused, 1);
		pause_for_a_while(r);
		return;
	}
	receive(r);
}

static nng_err
start(struct service *service)
{
	service->responders = calloc(RESPONDERS, sizeof(*service->responders));
	if (service->responders == NULL) {
		return NNG_ENOMEM;
	}
	for (unsigned i = 0; i < RESPONDERS; i++) {
		struct responder *r = &service->responders[i];
		r->service = service;
		nng_err err = nng_aio_alloc(&r->aio, on_step, r);
		if (err != NNG_OK) {
			return err;
		}
		(void) nng_aio_set_input(r->aio, 0, &r->from);
	}
	for (unsigned i = 0; i < RESPONDERS; i++) {
		receive(&service->responders[i]);
	}
	return NNG_OK;
}

nng_err
pw_echo_udp_open(struct pw_echo_service *echo, int *port, bool *usage)
{
	struct service *service = calloc(1, sizeof(*service));
	nng_sockaddr address;

	*usage = false;
	if (service == NULL) {
		return NNG_ENOMEM;
	}
	echo->state = service;
	service->echo = echo;
	nng_err err = pw_udp_address(echo->url, true, &address);
	if (err != NNG_OK) {
		*usage = err == NNG_EINVAL;
		return err;
	}
	err = nng_udp_open(&service->udp, &address);
	if (err == NNG_OK) {
		err = nng_udp_sockname(service->udp, &address);
	}
	if (err == NNG_OK) {
		*port = (int) nng_sockaddr_port(&address);
		err = start(service);
	}
	return err;
}

void
pw_echo_udp_close(struct pw_echo_service *echo)
{
	struct service *service = echo->state;

	if (service == NULL) {
		return;
	}
	nng_udp_stop(service->udp);
	for (unsigned i = 0; service->responders != NULL && i < RESPONDERS; i++) {
		nng_aio_free(service->responders[i].aio);
	}
	nng_udp_close(service->udp);
	free(service->responders);
	free(service);
}

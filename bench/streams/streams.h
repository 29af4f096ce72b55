/* SPDX-License-Identifier: MIT
 *
 * streams.h: the echo servers that streams_bench measures side by side. Each runs in a process of its own.
 *
 * What it is not: an interface to a library. A server is a whole program: it listens on 127.0.0.1 on a port that the
 * kernel chooses, announces it, and echoes what comes until it is killed.
 */
#ifndef PINWHEEL_BENCH_STREAMS_H
#define PINWHEEL_BENCH_STREAMS_H

#include <stdbool.h>
#include <stdint.h>

#define STREAMS_MESSAGE_SIZE 64u
#define STREAMS_BUFFER_SIZE 256u /* one for each connection, in every server */
#define STREAMS_DEADLINE_MS 600000

struct streams_order {
	bool spin;      /* never sleep; only for servers that can */
	bool deadlines; /* every receive has one, STREAMS_DEADLINE_MS away; only for servers that can */
};

/* They return only if they fail; errno or stderr says why. */
typedef void (*streams_serve)(const struct streams_order *order);

void streams_serve_raw_epoll(const struct streams_order *order);
void streams_serve_raw_uring(const struct streams_order *order);
void streams_serve_libuv(const struct streams_order *order);
void streams_serve_nng(const struct streams_order *order);
void streams_serve_pinwheel_uring(const struct streams_order *order);
void streams_serve_pinwheel_epoll(const struct streams_order *order);

/* For the servers, from streams_bench.c: a listening socket, not blocking; -1: errno says why. */
int streams_listen(int *port);
/* The server is ready. Once. */
void streams_announce(int port);

#endif

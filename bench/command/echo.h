/* SPDX-License-Identifier: MIT
 *
 * echo.h: what the parts of `pinwheel echo` share.
 *
 *   echo.c         the command line, the life of the services, the counts
 *   echo_stream.c  a service over byte streams: accepting, connections
 *   echo_udp.c     a service over UDP: datagrams go back to where they came from
 *
 * Everything happens in callbacks on the shards; the only other thread is main, which waits for a signal. A shard
 * counts in a tally of its own, which main reads whenever it likes.
 */
#ifndef PINWHEEL_BENCH_ECHO_H
#define PINWHEEL_BENCH_ECHO_H

#include "bench/command/command.h"
#include "engine/base/atomic.h"

#define PW_ECHO_URLS_MAX 64u
#define PW_ECHO_PAUSE_MS 20 /* after an error that may pass by itself */

struct pw_echo_options {
	const char *urls[PW_ECHO_URLS_MAX];
	unsigned url_count;
	nng_duration idle_ms;    /* a connection that sends nothing for so long is closed, or INFINITE */
	nng_duration timeout_ms; /* one that takes nothing for so long, likewise */
	bool json;
	bool progress;
	struct pw_engine_options engine;
};
extern struct pw_echo_options pw_echo_options;

/* What one shard has counted of one service. It alone writes it. */
struct pw_echo_tally {
	pw_a64 accepted;
	pw_a64 closed;  /* of them, connections that have ended */
	pw_a64 refused; /* accepts that failed for lack of descriptors or memory */
	pw_a64 failed;  /* connections that ended otherwise than by their peer's end of file, or ours; datagrams that
	                   * could not be sent back */
	pw_a64 silent;  /* closed for sending nothing */
	pw_a64 stalled; /* closed for taking nothing */
	pw_a64 datagrams;  /* sent back */
	pw_a64 bytes;      /* likewise */
	uint64_t alone[8]; /* two shards' counts are never in one cache line */
};

struct pw_echo_service {
	const char *url;
	char place[512]; /* the URL with the port that was bound, where the system chose it */
	bool udp;
	struct pw_echo_tally *tallies; /* one for each shard */
	void *state;                   /* of echo_stream.c or echo_udp.c */
};

/* On a shard's thread: its tally. */
struct pw_echo_tally *pw_echo_tally(struct pw_echo_service *service);

/* Starts the service. NNG_OK: *port is the one that was bound, 0 where there are none; else close is to be called all
 * the same. *usage: the URL itself is wrong. */
nng_err pw_echo_stream_open(struct pw_echo_service *service, int *port, bool *usage);
nng_err pw_echo_udp_open(struct pw_echo_service *service, int *port, bool *usage);

/* Ends it, and returns when nothing of it is left. */
void pw_echo_stream_close(struct pw_echo_service *service);
void pw_echo_udp_close(struct pw_echo_service *service);

#endif

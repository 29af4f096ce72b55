/* SPDX-License-Identifier: MIT
 *
 * load.h: what the parts of `pinwheel load` share: the options, the places that are loaded, and what each connection
 * has in common with the others, whatever carries its messages.
 *
 *   load.c             the command line
 *   load_run.c         the phases of a run
 *   load_connection.c  when messages are due; the beginning and the end of a connection
 *   load_stream.c      connections over streams
 *   load_udp.c         the same over UDP, where a message may be lost
 *   load_content.h     the bytes of a message
 *   load_report.c      figures: while it runs, and at the end as text or JSON
 *
 * Threads. A connection lives on one shard: its two handles are allocated there, it is opened from there, so all of
 * its callbacks run on that shard's thread, one after another, and what is in it needs no lock. Main starts it by a
 * sleep of 0 ms on its sending handle, and touches it again when it has ended. What a shard counts it counts in
 * tallies of its own, of which main takes snapshots.
 *
 * A run: every connection is opened, at most PW_LOAD_DIALS at a time. When all of those have been answered, the time
 * begins: start_ns and end_ns are set, and the connections that stand are started. Each ends by itself: with its last
 * answer, by a failure, or because the patience (--timeout) is over. When all have ended there is a report.
 */
#ifndef PINWHEEL_BENCH_LOAD_H
#define PINWHEEL_BENCH_LOAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "bench/command/command.h"
#include "bench/command/latency.h"

#define PW_LOAD_URLS_MAX 64u
#define PW_LOAD_CONNECTIONS_MAX 1000000u
#define PW_LOAD_DIALS 256u

enum pw_load_mode {
	PW_LOAD_CLOSED, /* each connection has one message under way: the next is due when the answer is there */
	PW_LOAD_OPEN,   /* messages are due at times fixed in advance, whatever the answers do */
	PW_LOAD_HOLD,   /* connections are silent, each with a receive pending, and then send one message */
};

struct pw_load_options {
	const char *urls[PW_LOAD_URLS_MAX];
	unsigned url_count;
	uint32_t connections; /* in all; 0: one for each URL */
	bool connections_max; /* as many as there are descriptors */
	uint32_t size;        /* bytes of a message */
	uint32_t seconds;
	uint64_t rate;       /* messages a second in all; 0: none was given */
	uint32_t timeout_ms; /* 0: none was given */
	bool hold;
	pid_t pid; /* the server's process; 0: none was given */
	bool json;
	bool progress;
	struct pw_engine_options engine;
};

/* What one shard has counted of one URL. It alone writes it. */
struct pw_load_tally {
	pw_a64 sent;               /* messages whose sending has begun */
	pw_a64 answered;           /* came back in time, every byte compared */
	pw_a64 late;               /* UDP: came back after the timeout */
	pw_a64 duplicate;          /* UDP: came back again */
	pw_a64 stray;              /* UDP: datagrams from elsewhere */
	pw_a64 expired;            /* operations that ran out of time */
	pw_a64 unsent;             /* open: due, and not sent when the patience was over */
	pw_a64 abandoned;          /* under way when a signal ended the run */
	pw_a64 last_ns;            /* when the last answer came */
	struct pw_latency latency; /* from when the message was due to the end of its answer */
	struct pw_latency delay;   /* open: from when it was due to its being sent */
};

struct pw_load_target {
	const char *url;
	bool udp;
	nng_stream_dialer *dialer;     /* streams */
	nng_sockaddr address;          /* UDP */
	uint32_t timeout_ms;           /* of each operation */
	struct pw_load_tally *tallies; /* one for each shard */
	uint32_t connections;
	/* Under the lock. */
	uint32_t open;
	uint32_t unconnected;
	uint32_t failed;
	uint32_t corrupt;
};

struct pw_load_connection;

/* What carries messages. */
struct pw_load_carrier {
	size_t size; /* of its record, which begins with a struct pw_load_connection and is zero at first */
	/* Main: buffers, and both handles by pw_load_handles. False: no memory. */
	bool (*prepare)(struct pw_load_connection *connection);
	/* The connection's shard: ends in pw_load_opened or pw_load_end. */
	void (*open)(struct pw_load_connection *connection);
	/* The connection's shard: sends what is due and receives; ends in pw_load_end. In hold mode called once more,
	 * when the message is due. */
	void (*run)(struct pw_load_connection *connection);
	/* Main, when the handles have been freed: everything but the record. */
	void (*release)(struct pw_load_connection *connection);
};
extern const struct pw_load_carrier pw_load_stream;
extern const struct pw_load_carrier pw_load_udp;

struct pw_load_connection {
	const struct pw_load_carrier *carrier;
	struct pw_load_target *target;
	struct pw_load_tally *tally;
	nng_aio *send_aio;
	nng_aio *recv_aio;
	uint32_t number;
	int shard;
	bool kicked; /* main's sleep is under way on send_aio */
	bool opened;
	bool running;
	bool ended;
	bool woken;        /* hold: the message is due */
	bool given_up;     /* open: what is due is not sent any more */
	uint64_t started;  /* messages whose sending has begun; the number of the next one */
	uint64_t settled;  /* of them, answered or given up */
	uint64_t begun_ns; /* closed, hold: when the message under way was begun */
};

/* When the use of memory and processors is looked at. */
enum pw_load_moment {
	PW_LOAD_BEFORE, /* the first connection */
	PW_LOAD_BEGIN,  /* of the run: all connections are open */
	PW_LOAD_FINISH, /* all is answered; hold: all have been silent, nothing is sent yet */
	PW_LOAD_MOMENTS,
};

struct pw_load {
	struct pw_load_options options;
	enum pw_load_mode mode;
	struct pw_load_target targets[PW_LOAD_URLS_MAX];
	struct pw_load_connection **connections;
	uint32_t connection_count;
	int shards;
	uint64_t identity; /* of this process: a message of another one is not taken for its own */
	uint64_t start_ns;
	uint64_t end_ns; /* nothing is due from then on */
	_Atomic uint32_t next_to_open;
	_Atomic bool interrupted; /* by a signal: what is under way is not lost */
	pthread_mutex_t lock;
	uint32_t awaited;                                /* under the lock: connections that main waits for */
	int awaited_fd;                                  /* an eventfd, written when they are none */
	char why[256];                                   /* under the lock: the first failure */
	struct pw_command_usage server[PW_LOAD_MOMENTS]; /* options.pid */
	struct pw_command_usage own[PW_LOAD_MOMENTS];
};
extern struct pw_load pw_load;

/* ---- load_connection.c: for the carriers, on the connection's shard ---- */

/* Makes both handles on a shard. send_aio's callback must begin with pw_load_kicked. */
bool pw_load_handles(struct pw_load_connection *connection, void (*on_send)(void *), void (*on_recv)(void *));
/* True: the callback was main's doing, and everything is done. */
bool pw_load_kicked(struct pw_load_connection *connection);

void pw_load_opened(struct pw_load_connection *connection);

enum pw_load_end {
	PW_LOAD_DONE,
	PW_LOAD_UNCONNECTED,
	PW_LOAD_FAILED,
	PW_LOAD_CORRUPT,
};
/* It has ended, for the reason given unless it is done. Only the first call counts; operations may be pending. */
void pw_load_end(struct pw_load_connection *connection, enum pw_load_end how, const char *why);
/* The same for an operation's result, NNG_ESTOPPED among them: main has lost its patience, or was interrupted. */
void pw_load_end_by(struct pw_load_connection *connection, enum pw_load_end how, nng_err result);

/* What a connection is to do next. */
enum pw_load_turn {
	PW_LOAD_SEND,  /* a message is due; it has been counted as begun */
	PW_LOAD_SLEEP, /* until *until_ns, when the next one is */
	PW_LOAD_WAIT,  /* for an answer, or in hold mode for the end */
	PW_LOAD_OVER,  /* nothing is due any more */
};
enum pw_load_turn pw_load_next(struct pw_load_connection *connection, uint64_t *until_ns);

/* Message `number` has come back, right. Its latency is recorded, unless it was given up before. */
void pw_load_answered(struct pw_load_connection *connection, uint64_t number, uint64_t now_ns);
/* When the answer to a message began to be waited for: when it was due, or begun. */
uint64_t pw_load_begun_ns(const struct pw_load_connection *connection, uint64_t number);
/* When what is due and not sent, or sent and not answered, is given up. */
uint64_t pw_load_patience_ns(const struct pw_load_connection *connection);

/* ---- load_connection.c, load_run.c and load_report.c: for main ---- */

/* Has the connection opened, then run, then woken, on its shard. It has ended the step before. */
void pw_load_kick(struct pw_load_connection *connection);
/* Opens the next connection, if there is one: each that is opened, or cannot be, does the same. */
void pw_load_open_next(void);

/* The whole run; returns the exit status. */
int pw_load_run(void);

void pw_load_progress_open(void);
/* A second is over. */
void pw_load_progress_second(void);
void pw_load_progress_close(void);
/* Prints the figures and what was wrong; returns the exit status. */
int pw_load_report(void);

#endif

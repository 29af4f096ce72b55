/* SPDX-License-Identifier: MIT
 *
 * storm.h: what the parts of `pinwheel storm` share: storm.c (the command and its phases), storm_race.c (what the
 * threads do), storm_imp.c and storm_net.c (what goes wrong meanwhile), storm_print.c (what is shown), storm_cancels.c
 * and storm_cancels_run.c (another storm: nothing but raced cancels). The ledger, the provider and the faults have their own headers.
 */
#ifndef PINWHEEL_BENCH_STORM_H
#define PINWHEEL_BENCH_STORM_H

#include <pthread.h>

#include "bench/command/command.h"
#include "bench/command/report.h"
#include "bench/storm/storm_fault.h"
#include "bench/storm/storm_ledger.h"
#include "bench/storm/storm_pile.h"
#include "bench/storm/storm_provider.h"

/* What is done how often. The first group are the forms an operation is started in, the second what threads do to
 * a seat they picked: weights within their group. The last are percentages. */
enum pw_storm_share {
	PW_STORM_START,
	PW_STORM_BEGIN,
	PW_STORM_DEFER,
	PW_STORM_SYNC,
	PW_STORM_SLEEP,
	PW_STORM_FINISH,
	PW_STORM_ABORT,
	PW_STORM_CANCEL,
	PW_STORM_REAP,
	PW_STORM_STOP,
	PW_STORM_FREE,
	PW_STORM_WAIT,
	PW_STORM_NEAR,     /* percent of operations with a near deadline */
	PW_STORM_RESUBMIT, /* percent of callbacks that start again themselves */
	PW_STORM_SKIP,     /* percent of starts that ask to skip the callback */
	PW_STORM_SHARES
};
#define PW_STORM_FORMS_END PW_STORM_FINISH
#define PW_STORM_ACTS_END PW_STORM_NEAR
extern const char *const pw_storm_share_name[PW_STORM_SHARES];

struct pw_storm_options {
	uint32_t aios;
	uint32_t seconds;
	uint64_t cancels; /* 0: the storm; else so many raced cancels */
	uint64_t seed;
	unsigned threads;
	uint32_t share[PW_STORM_SHARES];
	bool require_matrix;
	bool json;
	const char *provider; /* NULL: the storm's own */
	struct pw_engine_options engine;
};

/* Where one handle after another sits.
 *
 * hold: who may call what. Many may abort, stop or wait at once (sharers), or start (starters); one may free or reap,
 * alone (EXCLUSIVE): the contract forbids any other call on the handle then. The handle's own callback needs no
 * hold: the handle cannot go before the callback has returned. To free or reap in it, no sharer may be inside; a
 * starter may still be on its way back from the start whose operation the callback completes. */
struct pw_storm_seat {
	_Atomic(nng_aio *) aio;
	_Atomic uint32_t hold;
	_Atomic uint64_t owed; /* the handle's generation when it was reaped: the next one must be seated */
	int64_t sticky_ns;     /* the handle's timeout, negative: none. Whoever has the right to start */
};
#define PW_STORM_EXCLUSIVE 0x80000000u
#define PW_STORM_STARTER 0x00010000u
#define PW_STORM_STARTERS 0x7fff0000u
#define PW_STORM_SHARER 0x00000001u
#define PW_STORM_SHARERS 0x0000ffffu

/* A thread of the storm, or a shard. */
struct pw_storm_worker {
	_Alignas(64) struct pw_provider_actor actor; /* first: the provider is given it */
	bool may_block;                              /* makes the calls that wait, too */
	struct pw_histogram finish_to_callback;
	struct pw_histogram abort_to_callback;
	struct pw_histogram lateness;
	pthread_t thread;
};

struct pw_storm {
	struct pw_storm_options options;
	struct pw_ledger ledger;
	struct pw_provider provider;
	struct pw_storm_seat *seats;
	struct pw_pile idle;
	struct pw_storm_worker *workers; /* the threads, then the shards */
	unsigned worker_count;
	int shards;
	_Atomic uint64_t race_ns;   /* latencies of what happened from then on are recorded */
	_Atomic bool calm;          /* threads that may block leave */
	_Atomic bool over;          /* nothing is started any more */
	_Atomic uint32_t blockers;  /* threads that may block and have not left */
	_Atomic uint64_t progress;  /* seats done in the phase under way */
	uint64_t unreleased_before; /* handles that are not the storm's */
	double bytes_per_aio;
	double seconds_run;
	double seconds_down;
	uint64_t ended_in_run;
	struct pw_summary finish_to_callback;
	struct pw_summary abort_to_callback;
	struct pw_summary lateness;
};

extern struct pw_storm pw_storm;

/* storm.c. Something that concerns no aio cannot be: as a violation of the ledger, ends the process. */
void pw_storm_violation(const char *what, const char *detail);

/* The want of memory is one that was asked for: try again. */
static inline bool
pw_storm_starved(nng_err err)
{
	return err == NNG_ENOMEM && pw_fault_asked(PW_FAULT_MEMORY) != PW_FAULT_NOT_ASKED;
}

/* storm_imp.c. Before the engine starts, and when it runs: what the faults asked for need. False: one that was asked
 * for by name cannot be made here, which has been said. */
bool pw_storm_imp_before(struct pw_engine_options *engine);
bool pw_storm_imp_started(void);
/* Around the race. False: no thread. */
bool pw_storm_imp_start(void);
void pw_storm_imp_stop(void);

/* storm_net.c, where a fault needs streams. False: it has said why. */
bool pw_storm_net_open(void);
void pw_storm_net_close(void);
void pw_storm_net_counts(uint64_t *messages, uint64_t *bytes);

/* storm_race.c */
bool pw_storm_seat_handle(uint32_t index); /* false: no memory */
void pw_storm_fill(struct pw_storm_worker *worker, uint32_t from, uint32_t to);
void pw_storm_race(struct pw_storm_worker *worker);
void pw_storm_end(struct pw_storm_worker *worker, uint32_t from, uint32_t to);
void pw_storm_stop(struct pw_storm_worker *worker, uint32_t from, uint32_t to);
void pw_storm_free(struct pw_storm_worker *worker, uint32_t from, uint32_t to);
struct pw_provider_actor *pw_storm_actor(void);
void pw_storm_be(struct pw_storm_worker *worker);

/* storm_cancels_run.c. The exit status; the options are read, SIGINT and SIGTERM blocked. */
int pw_storm_cancels(void);

/* storm_print.c */
void pw_storm_print_head(void);
void pw_storm_print_progress(uint64_t second, uint64_t ended_before, double elapsed_s);
void pw_storm_print_phase(const char *what, uint64_t done);
void pw_storm_print_violation(const struct pw_ledger_violation *violation);
void pw_storm_print_result(const struct pw_ledger_counts *sum, const char *verdict, bool ok);
void pw_storm_merge(void);

#endif

/* SPDX-License-Identifier: MIT
 *
 * engine.c: the life of the engine as a whole: start on first use, nng_init, nng_fini, fork, lent shards, time.
 *
 * One lock (the starter's) is held by whoever starts or stops the engine; nothing that an operation does takes it. A
 * start on first use is one acquire load when the engine runs.
 *
 * nng_fini, the last one:
 *   1  state DRAINING: new handles wait (outside) or get NNG_ESTOPPED (on a shard thread)
 *   2  every live slot is marked STOPPED and aborted. Slots are found by walking the arenas, under whose lock new
 *      ones are given out: aio.c's alloc argues why none is missed
 *   3  the shards visit all their timers and link none again
 *   4  until no slot is busy, QUEUED or TIMER: the walk is repeated. What is waited for is user code (a provider
 *      that ignores its cancel, a callback) and requesters between their CAS and their enqueue
 *   5  state CLOSING, and every word that is idle without holds is changed once more (its EPOCH advances). A refusal
 *      or a finish from OPEN loads the word, then the state, then does its CAS. If it loaded the word before this
 *      change, the CAS either came before it, and then the word is found busy and waited for, or fails; if after,
 *      it acquires the change and sees CLOSING, and leaves the word IDLE without a completion. So no completion
 *      is posted any more, however long a thread was suspended on the way to it
 *   6  loops end, threads are joined, state NONE
 * A handle that survives is STOPPED and IDLE without holds.
 *
 * fork: the child's copy of the table is forgotten in the child's fork handler; its first nng_aio_alloc makes a
 * fresh engine. A parent's handle in the child is misuse, told by its home's number.
 */
#include <pinwheel/pinwheel.h>

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "engine/aio/home.h"
#include "engine/base/clock.h"
#include "engine/base/misuse.h"
#include "engine/shard/fleet.h"
#include "engine/shard/lent.h"

static struct pw_lock starter = PW_LOCK_INITIALIZER;
static struct pw_config settings; /* of the last start; under the starter's lock */
static unsigned users;            /* inits to be undone; under the starter's lock */

/* ---- fork */

static void
forked_child(void)
{
	static const struct pw_lock fresh = PW_LOCK_INITIALIZER;
	starter = fresh; /* another thread of the parent may have held it */
	users = 0;
	pw_fleet_forget();
}

static void
watch_forks(void)
{
	(void) pthread_atfork(NULL, NULL, forked_child);
}

/* ---- start */

static nng_err
error_of(int negative_errno)
{
	switch (-negative_errno) {
	case 0:
		return NNG_OK;
	case EMFILE:
	case ENFILE:
		return NNG_ENOFILES;
	case EPERM:
	case EACCES:
	case ENOSYS:
		return NNG_EPERM;
	case EINVAL:
		return NNG_EINVAL;
	default:
		return NNG_ENOMEM; /* ENOMEM, EAGAIN: no memory, no thread to be had */
	}
}

static void
rehome(void *context, void *slot, uint32_t slot_number)
{
	nng_aio *aio = slot;
	unsigned count = *(const unsigned *) context;
	(void) slot_number;
	if ((pw_load_acquire_64(&aio->word) & PW_FREEING) != 0) {
		return; /* a released slot, or about to be */
	}
	unsigned index = pw_fleet_index(pw_aio_home(aio));
	if (index >= count) {
		uint16_t pinned = pw_load_relaxed_16(&aio->home) & PW_HOME_PINNED;
		pw_store_relaxed_16(&aio->home, (uint16_t) (pw_fleet_nth(index % count)->settings.id | pinned));
	}
}

/* The application's allocators, or, when this start has none, the built-in one again. */
static void
set_allocators(const nng_init_params *params)
{
	static bool foreign; /* under the starter's lock */
	bool given = params != NULL && params->malloc_fn != NULL;
	if (given) {
		pw_memory_set_allocator(params->malloc_fn, params->calloc_fn, params->free_fn);
	} else if (foreign) {
		pw_memory_set_allocator(NULL, NULL, NULL);
	}
	foreign = given;
}

/* No line reaches the application's hook any more: its arg need not outlive the engine. */
static void
forget_log_hook(void)
{
	pw_log_set_hook(NULL, settings.on_log_arg); /* the arg stays, for a line that has just read the hook */
}

/* Under the starter's lock; no engine runs. */
static nng_err
start_locked(const struct pinwheel_config *given, const nng_init_params *params)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct pw_host host;
	(void) pthread_once(&once, watch_forks);
	set_allocators(params);
	pw_host_discover(&host, "");

	nng_err rv = pw_config_load(&settings, given, environ, &host);
	pw_log_set_hook(settings.on_log, settings.on_log_arg);
	if (rv != NNG_OK) {
		pw_log("pinwheel: %s", settings.error);
		forget_log_hook();
		return rv;
	}
	int error = pw_fleet_launch(&settings, &pw_aio_shard_ops);
	if (error != 0) {
		pw_log("pinwheel: cannot start %u shards: %s", (unsigned) settings.value[PW_SETTING_SHARDS],
		    nng_strerror(NNG_ESYSERR - error));
		forget_log_hook();
		return error_of(error);
	}
	unsigned count = pw_fleet_count();
	pw_fleet_walk(rehome, &count); /* survivors of an engine that had more shards */
	pw_store_release_32(&pw_fleet.state, PW_FLEET_RUNNING); /* P12 */
	return NNG_OK;
}

/* A thread that nng_fini may be waiting for: it must not wait for nng_fini. */
static bool
on_shard_thread(void)
{
	const struct pw_thread *thread = pw_thread_self();
	return thread->shard != NULL || thread->lent != NULL;
}

nng_err
pw_engine_ensure(void)
{
	if (pw_fleet_open()) {
		return NNG_OK;
	}
	if (on_shard_thread()) {
		return NNG_ESTOPPED; /* nng_fini is waiting for this thread */
	}
	pw_lock_acquire(&starter);
	nng_err rv = pw_fleet_open() ? NNG_OK : start_locked(NULL, NULL);
	pw_lock_release(&starter);
	return rv;
}

nng_err
pinwheel_start(const struct pinwheel_config *config)
{
	if (on_shard_thread() && !pw_fleet_open()) {
		return NNG_ESTOPPED;
	}
	pw_lock_acquire(&starter);
	nng_err rv = NNG_OK;
	if (!pw_fleet_open()) {
		rv = start_locked(config, NULL);
	} else if (config != NULL) {
		rv = NNG_EBUSY;
	}
	users += rv == NNG_OK;
	pw_lock_release(&starter);
	return rv;
}

nng_err
nng_init(const nng_init_params *params)
{
	if (params == NULL) {
		return pinwheel_start(NULL);
	}
	unsigned given = (params->malloc_fn != NULL) + (params->calloc_fn != NULL) + (params->free_fn != NULL);
	if (given != 0 && given != 3) {
		return NNG_EINVAL;
	}
	if (on_shard_thread() && !pw_fleet_open()) {
		return NNG_ESTOPPED;
	}
	pw_lock_acquire(&starter);
	nng_err rv = NNG_EBUSY;
	if (!pw_fleet_open()) {
		rv = start_locked(NULL, params); /* thread counts add no threads */
	}
	users += rv == NNG_OK;
	pw_lock_release(&starter);
	return rv;
}

/* ---- nng_fini */

static void
stop_slot(void *context, void *slot, uint32_t slot_number)
{
	(void) context;
	(void) slot_number;
	if ((pw_load_acquire_64(&((nng_aio *) slot)->word) & PW_FREEING) == 0) {
		pw_aio_mark_stopped(slot);
	}
}

static bool
is_held(uint64_t word)
{
	return pw_word_busy(word) || (word & (PW_QUEUED | PW_TIMER)) != 0;
}

static void
count_held(void *context, void *slot, uint32_t slot_number)
{
	(void) slot_number;
	*(size_t *) context += is_held(pw_load_acquire_64(&((nng_aio *) slot)->word));
}

/* Step 5. */
static void
close_slot(void *context, void *slot, uint32_t slot_number)
{
	nng_aio *aio = slot;
	uint64_t word = pw_load_acquire_64(&aio->word), after;
	(void) slot_number;
	do {
		if (is_held(word)) {
			++*(size_t *) context;
			return;
		}
		after = (word & ~PW_EPOCH_MASK) | ((word + PW_EPOCH_ONE) & PW_EPOCH_MASK);
	} while (!pw_cas_acq_rel_64(&aio->word, &word, after)); /* P12, carried by the word */
}

#define NAP_FIRST_NS (50 * PW_NS_PER_US)
#define NAP_LONGEST_NS (5 * PW_NS_PER_MS)
#define STUCK_REPORT_NS (5 * PW_NS_PER_S)

/* Lent shards that no thread has ever polled: the one that shuts down polls them. Under the starter's lock. */
static struct {
	unsigned count;
	struct pw_shard *shard[PW_SHARDS_MAX];
} adopted;

static void
adopt_lent(void)
{
	struct pw_thread *thread = pw_thread_self();
	struct pw_shard *own = thread->lent;
	adopted.count = 0;
	for (unsigned i = 0; i < pw_fleet_count(); i++) {
		struct pw_shard *shard = pw_fleet_nth(i);
		if (shard->settings.lent && pw_load_acquire_64(&shard->up) == PW_UP_NOT && pw_lent_enter(shard) == 0) {
			adopted.shard[adopted.count++] = shard;
		}
	}
	thread->lent = own;
}

static void
leave_adopted(void)
{
	struct pw_thread *thread = pw_thread_self();
	struct pw_shard *own = thread->lent;
	for (unsigned i = 0; i < adopted.count; i++) {
		pw_lent_leave(adopted.shard[i]);
	}
	thread->lent = own;
}

/* What this thread has to do while it waits, until there is nothing left. */
static void
poll_lent(void)
{
	struct pw_shard *own = pw_thread_self()->lent;
	unsigned done;
	do {
		done = own != NULL ? pw_lent_poll(own, 0) : 0;
		for (unsigned i = 0; i < adopted.count; i++) {
			done += pw_lent_poll(adopted.shard[i], 0);
		}
	} while (done != 0);
}

/* Walks until `visit` has counted nothing that is busy, queued or linked. */
static void
walk_until_quiet(void (*visit)(void *context, void *slot, uint32_t slot_number))
{
	uint64_t nap_ns = NAP_FIRST_NS, report_ns = pw_clock_now_ns() + STUCK_REPORT_NS;
	for (;;) {
		poll_lent();
		size_t held = 0;
		pw_fleet_walk(visit, &held);
		if (held == 0) {
			return;
		}
		if (pw_clock_now_ns() > report_ns) {
			pw_log("pinwheel: nng_fini has waited 5 s for %zu operations whose providers or callbacks do not end; "
			       "pinwheel_dump lists them", held);
			report_ns = PW_NEVER_NS;
		}
		pw_clock_sleep_ns(nap_ns);
		nap_ns = nap_ns * 2 < NAP_LONGEST_NS ? nap_ns * 2 : NAP_LONGEST_NS;
	}
}

void
nng_fini(void)
{
	if (pw_shard_self() != NULL) {
		pw_misuse("nng_fini", NULL, 0, "called on a shard thread, which it would wait for");
		return;
	}
	pw_lock_acquire(&starter);
	if (users > 1 || !pw_fleet_open()) {
		users -= users > 0;
		pw_lock_release(&starter);
		return;
	}
	users = 0;
	pw_store_release_32(&pw_fleet.state, PW_FLEET_DRAINING); /* P12 */
	pw_fleet_walk(stop_slot, NULL);
	pw_fleet_drain();
	adopt_lent();
	walk_until_quiet(count_held);
	pw_store_release_32(&pw_fleet.state, PW_FLEET_CLOSING); /* P12 */
	walk_until_quiet(close_slot);
	leave_adopted();
	pw_fleet_join();
	pw_store_release_32(&pw_fleet.state, PW_FLEET_NONE); /* P12 */
	forget_log_hook();
	pw_lock_release(&starter);
}

const char *
nng_version(void)
{
	return PINWHEEL_VERSION_STRING;
}

/* ---- shards */

int
pinwheel_shard_count(void)
{
	return pw_load_acquire_32(&pw_fleet.state) != PW_FLEET_NONE ? (int) pw_fleet_count() : 0; /* P12 */
}

int
pinwheel_shard_self(void)
{
	const struct pw_thread *thread = pw_thread_self();
	const struct pw_shard *self = thread->shard != NULL ? thread->shard : thread->lent;
	return self == NULL ? -1 : (int) pw_fleet_index(self->settings.id);
}

/* The callback of a run_on's handle: inputs 0 and 1 are the function and its argument. */
static void
run_call(void *arg)
{
	nng_aio *aio = arg;
	void (*fn)(void *) = (void (*)(void *)) (uintptr_t) aio->input[0];
	void *fn_arg = aio->input[1];
	nng_aio_reap(aio);
	fn(fn_arg);
}

nng_err
pinwheel_run_on(int shard, void (*fn)(void *), void *arg)
{
	if (!pw_fleet_running()) {
		return NNG_ESTOPPED;
	}
	if (fn == NULL || shard < 0 || (unsigned) shard >= pw_fleet_count()) {
		return NNG_EINVAL;
	}
	nng_aio *aio;
	nng_err rv = pw_aio_alloc_internal(&aio, pw_fleet_nth((unsigned) shard), run_call, NULL);
	if (rv != NNG_OK) {
		return rv;
	}
	aio->cb_arg = aio;
	aio->input[0] = (void *) (uintptr_t) fn;
	aio->input[1] = arg;
	nng_aio_reset(aio);
	if (!pw_aio_finish(aio, NNG_OK, 0)) { /* nng_fini came between: nobody will call it */
		pw_aio_release(aio);
		return NNG_ESTOPPED;
	}
	return NNG_OK;
}

/* The lent shard of that number, entered by this thread. NULL: misuse, reported. */
static struct pw_shard *
lent_shard(int index, const char *function)
{
	struct pw_shard *lent = pw_thread_self()->lent;
	const char *why = NULL;
	struct pw_shard *shard = NULL;

	if (index < 0 || index >= pinwheel_shard_count()) {
		why = "no shard of that number runs";
	} else if (shard = pw_fleet_nth((unsigned) index), !shard->settings.lent) {
		why = "that shard has a thread of its own";
	} else if (pw_shard_self() != NULL) {
		why = "called inside a callback";
	} else if (lent != NULL && lent != shard) {
		why = "this thread has lent itself to another shard";
	} else if (lent == NULL && pw_load_acquire_64(&shard->up) != PW_UP_NOT) {
		why = "another thread has lent itself to that shard";
	}
	if (why != NULL) {
		pw_misuse(function, NULL, 0, why);
		return NULL;
	}
	if (lent == NULL && pw_lent_enter(shard) != 0) {
		pw_misuse(function, NULL, 0, "the shard's poller could not be opened");
		return NULL;
	}
	return shard;
}

int
pinwheel_poll(int index, unsigned budget)
{
	struct pw_shard *shard = lent_shard(index, "pinwheel_poll");
	if (shard == NULL) {
		return -1;
	}
	return (int) pw_lent_poll(shard, budget);
}

int
pinwheel_poll_fd(int index)
{
	struct pw_shard *shard = lent_shard(index, "pinwheel_poll_fd");
	return shard == NULL ? -1 : shard->lent_fd;
}

bool
pw_may_wait_for(const char *function, struct pw_shard *home)
{
	struct pw_shard *self = pw_shard_self();
	if (self == NULL || !self->in_user_code) {
		return true;
	}
	if (self == home) {
		pw_misuse(function, NULL, 0, "waiting in a callback for what this shard must do first is a deadlock");
		return false;
	}
	pw_count_add(&self->counters.waits_blocking, 1);
	return true;
}

void
pinwheel_settings_each(pinwheel_setting_fn fn, void *arg)
{
	struct pw_host host;
	struct pw_config would_be;
	pw_lock_acquire(&starter);
	if (pw_fleet_open()) {
		pw_config_each(&settings, fn, arg);
	} else {
		pw_host_discover(&host, "");
		if (pw_config_load(&would_be, NULL, environ, &host) == NNG_OK) {
			pw_config_each(&would_be, fn, arg);
		} else {
			pw_log("pinwheel: %s", would_be.error);
		}
	}
	pw_lock_release(&starter);
}

/* ---- time */

nng_time
nng_clock(void)
{
	return pw_clock_now_ns() / PW_NS_PER_MS;
}

uint64_t
pinwheel_clock_ns(void)
{
	return pw_clock_now_ns();
}

void
nng_msleep(nng_duration duration_ms)
{
	if (duration_ms > 0) {
		pw_clock_sleep_ns((uint64_t) duration_ms * PW_NS_PER_MS);
	}
}

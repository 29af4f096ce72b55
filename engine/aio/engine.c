/* SPDX-License-Identifier: MIT
 *
 * engine.c: the life of the engine as a whole: start on first use, nng_init, nng_fini, fork, lent shards, time.
 *
 * One lock (the starter's) is held by whoever starts or stops the engine; nothing that an operation does takes it. A
 * start on first use is one acquire load when the engine runs. It is not undone when the handle it was for cannot be
 * had (NNG_ENOMEM): other threads may have begun to use the engine, which only nng_fini's procedure could take from
 * them again. What runs then is idle, serves the next call, and is ended by nng_fini like any engine started on first
 * use. "Nothing is left started" is said of a start that fails.
 *
 * nng_fini, the last one:
 *   1  state DRAINING: new handles wait (outside) or get NNG_ESTOPPED (on a shard thread)
 *   2  every live slot is marked STOPPED and aborted. Slots are found by walking the arenas, under whose lock new
 *      ones are given out: stop_slot says why none is missed
 *   3  the shards visit all their timers and link none again
 *   4  the walk is repeated until nothing is left of the operations accepted before step 2. What is waited for is user
 *      code: a provider that ignores its cancel, a callback
 *   5  state SETTLING: from now on a refused start, and a finish from OPEN, leave the word IDLE without a completion if
 *      the caller is an outside thread. The walk is repeated until all is calm: no slot is busy, QUEUED or TIMER. Now
 *      callbacks have come to their ends, and requesters who were between their CAS and their enqueue
 *   6  state CLOSING: the same for the shards' threads. Every word is changed once more (its EPOCH advances). Those
 *      calls load the word, then the state, then do their CAS. If one loaded the word before this change, its CAS
 *      either came before it, and then the word is found busy and waited for, or fails; if after, it acquires the
 *      change and sees CLOSING. So no completion is posted any more, however long a thread was suspended on the way to
 *      it
 *   7  visitors leave (fleet.h), loops end, threads are joined, state NONE
 * A handle that survives is STOPPED and IDLE without holds.
 *
 * Why it ends. A stopped handle accepts nothing, so what was accepted before step 2 is a fixed set; it ends when its
 * providers and callbacks do. But the engine owes each refusal a completion, and a finish from OPEN too; threads that
 * never leave off starting stopped handles would keep some slot busy for ever. So there is a point after which they get
 * none: SETTLING. A thread outside cannot tell it from the end of nng_fini, which it must expect at any moment. A
 * callback can, since nng_fini waits for it, so callbacks keep their completions until all is calm. Then callbacks
 * alone can go on for ever, those of two handles that start each other, say. They lose theirs too when the shards
 * have delivered CHAIN_LEAST completions since SETTLING, and CHAIN_EACH more for every live handle; deliveries are
 * counted, not time: on a machine that stands still nothing is cut off. After either change of state a thread can
 * still post what it was about to, one completion. A defer without begin is an operation even on a stopped handle
 * (R13), but bears a later time than the stop, so it does not put off SETTLING, and after it there is none.
 *
 * Why calm is calm. A walk is not a moment: while it goes from one end to the other, a callback may start a handle at
 * the end already seen. So two walks in a row must find nothing held, and no shard may deliver anything from before
 * the first to after the second. If a slot were busy at the moment between the two, it would be found busy by the
 * first, if its callback had been called before that, or else be delivered before the second has passed it.
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

/* Lent shards that no thread has ever polled: nng_fini polls them. Under the starter's lock. */
static struct {
	unsigned count;
	struct pw_shard *shard[PW_SHARDS_MAX];
} adopted;

/* ---- fork */

static void
forked_child(void)
{
	static const struct pw_lock fresh = PW_LOCK_INITIALIZER;
	starter = fresh; /* another thread of the parent may have held it */
	users = 0;
	adopted.count = 0;
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

/* A survivor of an engine that had more shards, or other ones with a thread: home is where it will be served. */
static void
rehome(void *context, void *slot, uint32_t slot_number)
{
	nng_aio *aio = slot;
	(void) context;
	(void) slot_number;
	if ((pw_load_acquire_64(&aio->word) & PW_FREEING) != 0) {
		return; /* a released slot, or about to be */
	}
	unsigned index = pw_fleet_index(pw_aio_home(aio));
	uint16_t pinned = pw_load_relaxed_16(&aio->home) & PW_HOME_PINNED;
	if (index >= (pinned != 0 ? pw_fleet_count() : pw_fleet_spread())) {
		unsigned id = pw_fleet_nth(index % pw_fleet_spread())->settings.id;
		pw_store_relaxed_16(&aio->home, (uint16_t) (id | pinned));
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
	pw_fleet_walk(rehome, NULL);
	pw_store_release_32(&pw_fleet.engine, pw_load_relaxed_32(&pw_fleet.engine) + 1); /* P12 */
	pw_fleet_admit();
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

/* The state was stored before the walk. A slot that is given out but not written yet shows FREEING, from its last life.
 * Then this changes nothing, but by RMW: alloc writes the fresh word by RMW too, and of the two one is first. Is it
 * alloc's, this one shows the fresh word; is it this one, alloc has acquired it, and the state that it looks at next
 * is not open (aio.c). */
static void
stop_slot(void *context, void *slot, uint32_t slot_number)
{
	nng_aio *aio = slot;
	(void) context;
	(void) slot_number;
	if ((pw_fetch_or_acq_rel_64(&aio->word, 0) & PW_FREEING) == 0) { /* P12, carried by the word */
		pw_aio_mark_stopped(aio);
	}
}

/* What a walk has found. */
struct census {
	uint32_t stopped_ms; /* given: low bits of the clock after every slot was marked */
	size_t live;
	size_t held;      /* busy, QUEUED or TIMER */
	size_t under_way; /* of them, operations accepted before the stop and not finished */
};

static bool
is_held(uint64_t word)
{
	return pw_word_busy(word) || (word & (PW_QUEUED | PW_TIMER)) != 0;
}

/* By the stamp of its acceptance, which may be early by a long turn, never late. (An operation that is older than 24
 * days looks new. It is waited for as held.) The slot may be released meanwhile, and poisoned: its memory stays. */
static bool
is_under_way(const nng_aio *aio, uint64_t word, uint32_t stopped_ms)
{
	enum pw_state state = pw_word_state(word);
	uint32_t accepted_ms = pw_peek_32(&aio->timer.note);
	return state >= PW_BUSY && state <= PW_CANCELING && (int32_t) (accepted_ms - stopped_ms) <= 0;
}

static void
count_slot(void *context, void *slot, uint32_t slot_number)
{
	struct census *census = context;
	uint64_t word = pw_load_acquire_64(&((nng_aio *) slot)->word);
	(void) slot_number;
	census->live++;
	census->held += is_held(word);
	census->under_way += is_under_way(slot, word, census->stopped_ms);
}

/* Step 6. */
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
	} while (!pw_aio_cas(aio, &word, after)); /* P12, carried by the word */
}

/* ---- what the one that shuts down does while it waits */

/* One whose poller cannot be opened now is tried again after the next walk. */
static void
adopt_lent(void)
{
	struct pw_thread *thread = pw_thread_self();
	struct pw_shard *own = thread->lent;
	for (unsigned i = 0; i < pw_fleet_count(); i++) {
		struct pw_shard *shard = pw_fleet_nth(i);
		if (shard->settings.lent && pw_lent_claim(shard) && pw_lent_enter(shard) == 0) {
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
	while (adopted.count != 0) {
		pw_lent_leave(adopted.shard[--adopted.count]);
	}
	thread->lent = own;
}

#define POLLS_PER_WALK 1024 /* they may go on for ever */

static void
poll_lent(void)
{
	struct pw_shard *own = pw_thread_self()->lent;
	unsigned done = 1;
	adopt_lent();
	for (unsigned polls = 0; done != 0 && polls < POLLS_PER_WALK; polls++) {
		done = own != NULL ? pw_lent_poll(own, 0) : 0;
		for (unsigned i = 0; i < adopted.count; i++) {
			done += pw_lent_poll(adopted.shard[i], 0);
		}
	}
}

#define NAP_FIRST_NS (50 * PW_NS_PER_US)
#define NAP_LONGEST_NS (5 * PW_NS_PER_MS)
#define STUCK_REPORT_NS (5 * PW_NS_PER_S)

struct patience {
	uint64_t nap_ns;
	uint64_t report_ns;
};

static struct patience
patience_new(void)
{
	return (struct patience){ .nap_ns = NAP_FIRST_NS, .report_ns = pw_clock_now_ns() + STUCK_REPORT_NS };
}

/* Between two walks, the first of which has found so many slots held. */
static void
have_patience(struct patience *patience, size_t held)
{
	if (held != 0 && pw_clock_now_ns() > patience->report_ns) {
		pw_log("pinwheel: nng_fini has waited 5 s for %zu operations whose providers or callbacks do not end; "
		       "pinwheel_dump lists them", held);
		patience->report_ns = PW_NEVER_NS;
	}
	pw_clock_sleep_ns(patience->nap_ns);
	patience->nap_ns = patience->nap_ns * 2 < NAP_LONGEST_NS ? patience->nap_ns * 2 : NAP_LONGEST_NS;
}

/* ---- nng_fini's steps */

#define CHAIN_LEAST 1024u
#define CHAIN_EACH 2u /* one completion that is owed when SETTLING begins, one for the start its callback makes */

/* Completions, of all shards. */
static uint64_t
delivered(void)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < pw_fleet_count(); i++) {
		sum += pw_load_relaxed_64(&pw_fleet_nth(i)->counters.delivered); /* relaxed: ordered by P5 */
	}
	return sum;
}

/* Steps 4 and 5. */
static void
settle(void)
{
	struct patience patience = patience_new();
	uint32_t stopped_ms = (uint32_t) (pw_clock_now_ns() / PW_NS_PER_MS);
	uint64_t so_far = delivered(), enough = UINT64_MAX;
	for (unsigned calm = 0; calm < 2 && so_far < enough;) {
		struct census census = { .stopped_ms = stopped_ms };
		poll_lent();
		pw_fleet_walk(count_slot, &census);
		uint64_t now = delivered();
		calm = census.held == 0 && now == so_far ? calm + 1 : 0;
		so_far = now;
		if (census.under_way == 0 && enough == UINT64_MAX) {
			pw_store_release_32(&pw_fleet.state, PW_FLEET_SETTLING); /* P12 */
			enough = now + CHAIN_LEAST + CHAIN_EACH * (uint64_t) census.live;
		}
		if (calm == 0) {
			have_patience(&patience, census.held);
		}
	}
}

/* Step 6. After a vain try words are not changed before nothing is held: EPOCH must not come round under a thread that
 * is suspended. */
static void
close_all(void)
{
	struct patience patience = patience_new();
	for (size_t held = 0;;) {
		if (held == 0) {
			pw_fleet_walk(close_slot, &held);
			if (held == 0) {
				return;
			}
		}
		have_patience(&patience, held);
		poll_lent();
		struct census census = { 0 };
		pw_fleet_walk(count_slot, &census);
		held = census.held;
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
	settle();
	pw_store_release_32(&pw_fleet.state, PW_FLEET_CLOSING); /* P12 */
	close_all();
	pw_fleet_dismiss();
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

/* ---- lent shards */

/* Inside a visit: the lent shard of that number, claimed by this thread, which has none. NULL: *why; or "": nng_fini
 * has claimed it. */
static struct pw_shard *
claim(int index, const char **why)
{
	if (index < 0 || (unsigned) index >= pw_fleet_count()) {
		*why = "no shard of that number runs";
		return NULL;
	}
	struct pw_shard *shard = pw_fleet_nth((unsigned) index);
	if (!shard->settings.lent) {
		*why = "that shard has a thread of its own";
	} else if (pw_lent_claim(shard)) {
		return shard;
	} else { /* P12: a claim that failed has acquired the claimer's state */
		*why = pw_fleet_open() ? "another thread has lent itself to that shard" : "";
	}
	return NULL;
}

/* Makes sure that this thread has lent itself to that shard. 0, or a negative code: misuse is reported. */
static int
lend(int index, const char *function)
{
	const struct pw_shard *lent = pw_thread_self()->lent;
	struct pw_shard *shard = NULL;
	const char *why = "";

	if (pw_shard_self() != NULL) {
		why = "called inside a callback";
	} else if (lent != NULL) {
		if (index == (int) pw_fleet_index(lent->settings.id)) {
			return 0;
		}
		why = "this thread has lent itself to another shard";
	} else if (pw_fleet_visit()) {
		shard = claim(index, &why);
		pw_fleet_leave(); /* nng_fini waits for whoever has claimed */
	}
	if (shard != NULL) {
		return -(int) error_of(pw_lent_enter(shard));
	}
	if (why[0] == '\0') {
		return -NNG_ESTOPPED;
	}
	pw_misuse(function, NULL, 0, why);
	return -NNG_EINVAL;
}

int
pinwheel_poll(int index, unsigned budget)
{
	int rv = lend(index, "pinwheel_poll");
	if (rv != 0) {
		return rv;
	}
	unsigned done = pw_lent_poll(pw_thread_self()->lent, budget);
	return pw_thread_self()->lent != NULL ? (int) done : -NNG_ESTOPPED; /* nng_fini waited for this poll */
}

int
pinwheel_poll_fd(int index)
{
	int rv = lend(index, "pinwheel_poll_fd");
	return rv != 0 ? rv : pw_thread_self()->lent->lent_fd;
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

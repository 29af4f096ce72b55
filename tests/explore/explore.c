/* SPDX-License-Identifier: MIT
 *
 * explore.c: runs a scenario under every schedule with at most `bound` preemptions.
 *
 * What it is: a stateless search. An execution is started from the beginning, follows the choices on the search
 * stack, takes the first alternative at every new choice until it ends, and the last choice that has another
 * alternative is changed for the next one (depth first). What a load may read is memory.c's, races of plain accesses
 * are race.c's. What it is not: a proof beyond the bounds (preemptions, stale reads, faults) that the run was given.
 *
 * A choice is: which fiber goes on before an access to a shared word; which one after a fiber fell asleep, ended or
 * spins; what pw_explore_choose returns; which store a load reads; whether a fiber that may freeze does. A switch away
 * from a fiber that could have gone on is a preemption and counts; all other choices are free.
 *
 * What keeps the number of executions small, without losing a behaviour:
 *   - Words that one fiber alone touches, or that nobody writes, are no scheduling points. The set of shared words
 *     is not given but found: every search starts with those found so far, and when an execution shows a new one
 *     the search begins anew. The last search, in which none appeared, is the one that counts. (A switch before a
 *     private access can be moved behind it without a further preemption, so nothing is lost.)
 *   - States that are known are not entered again. The state of a program without data races is determined by what
 *     each fiber has read, that is, by which write it read from at each of its steps. So each fiber has a hash of
 *     its history (the words it touched and the version each had), each word a version (the history of its last
 *     writer at that moment), and the sum of these is the state's name. An execution that comes to a known state
 *     with the same running fiber, and with no fewer preemptions used than before, ends there. This is the
 *     happens-before caching of Musuvathi and Qadeer, which unlike sleep sets is sound under a preemption bound.
 * What that rests on: the scenario is deterministic (checked: every choice replayed must offer the same
 * alternatives), memory has the same addresses in every execution, fibers hand each other nothing but through
 * atomic.h and the ledger (race.c checks it of the engine), and 61 bits of hash do not collide.
 *
 * Random and pct search keep no states and no stack: they draw. Pct runs the fiber with the highest priority, drawn at
 * the beginning, and lets it fall behind all others at a few steps, drawn too: a bug that needs d such orderings is
 * found in an execution of n steps and k fibers with a probability of at least 1 in k n^(d-1).
 *
 * Time is a number. It moves when a fiber advances it, and when every fiber sleeps: then to the earliest deadline.
 *
 * Found and reported: a failed assertion (a scenario's, or abort and a bad access in the engine), a deadlock (every
 * fiber sleeps, and one that has to end did not), an execution that does not end.
 *
 * Invariants
 *   I1  between pw_explore_point and pw_explore_done, and inside an access, no other fiber runs
 *   I2  a step is numbered whether or not there was a choice, so a replay string holds for every bound
 *   I3  a state enters the table with the fewest preemptions it has been reached with
 * Limits: 8 fibers, PW_EXPLORE_STEPS steps, DEVIATIONS_MAX deviations, 8192 words, 25 million states remembered in 256 MiB (further ones are
 * explored, and forgotten).
 */
#include "tests/explore/explore.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/explore/core.h"
#include "tests/explore/fiber.h"
#include "tests/explore/memory.h"
#include "tests/explore/race.h"
#include "tests/explore/trace.h"

#define WORDS 16384u /* a power of two */
#define STATES_MIN (UINT64_C(1) << 16)
#define STATES_MAX (UINT64_C(1) << 25) /* entries of the table; three in four are used */
#define KEPT_MAX 16
#define DEVIATIONS_MAX 1024
#define CHOICES_MAX 64
#define CHANGES_MAX 16
#define TRACE_LINES 160
#define START_NS UINT64_C(1000000000000)
#define NEVER_NS UINT64_MAX
#define FREEZE 0xfe /* an alternative that is no fiber */

enum fiber_state {
	READY,
	BLOCKED,
	FINISHED,
	FROZEN
};

struct fiber {
	struct pw_fiber *stack;
	enum fiber_state state;
	uint64_t history;
	const volatile void *channel; /* BLOCKED: on what, how it is called, until when */
	const char *what;
	uint64_t deadline_ns;
	bool timed_out;
};

enum choice_kind {
	CHOOSE_FIBER = 'f',
	CHOOSE_DATA = 'c',
	CHOOSE_READ = 'r'
};

struct choice {
	uint32_t step;
	uint8_t kind;
	uint8_t count;
	uint8_t at; /* the alternative taken */
	uint8_t alternative[CHOICES_MAX];
};

/* Where an execution left the beaten track: what a replay string is made of. */
struct deviation {
	uint32_t step;
	uint8_t kind;
	uint8_t value;
};

enum outcome {
	ENDED,
	PRUNED,
	FAILED,
	BROKEN
};

static struct {
	const struct pw_explore_scenario *scenario;
	struct pw_explore_report *report;
	unsigned bound;
	unsigned steps_max;

	/* one execution */
	struct fiber fiber[PW_EXPLORE_FIBERS];
	unsigned step;
	unsigned preemptions;
	unsigned spurious_left;
	unsigned interrupts_left;
	bool anyone_frozen;
	bool withheld; /* of the search: a switch, because of the bound */
	uint8_t spinning; /* a bit for each fiber that waits for a write of another one */
	uint64_t now_ns;
	uint64_t words_sum; /* of the versions of all words */
	struct pw_word *pending;
	enum pw_explore_order pending_order; /* of an RMW under way, and the version that it has read */
	uint64_t pending_version;
	unsigned pending_size;
	struct pw_trace_line *pending_line;
	volatile void *outside_address; /* of an RMW in setup or check */
	enum outcome outcome;
	struct deviation deviation[DEVIATIONS_MAX];
	unsigned deviations;
	struct pw_trace_line *line;

	/* the search */
	struct choice *choice;
	size_t choices;
	size_t choices_size;
	size_t depth;
	unsigned shared;
	struct pw_word word[WORDS];
	unsigned words;

	/* random and pct search */
	enum pw_explore_search kind;
	uint64_t random;                       /* the generator's state */
	uint32_t priority[PW_EXPLORE_FIBERS]; /* pct: higher goes first */
	unsigned changes;                      /* pct: steps at which the running fiber falls behind all others */
	uint32_t change[CHANGES_MAX];
	unsigned length; /* pct: steps of the longest execution so far */

	/* the options */
	enum pw_explore_memory memory;
	unsigned stale;
	bool plain;
	bool no_fences;
	bool replaying;
	bool everything; /* every word counts as shared: plain, replaying */
	struct deviation replay[DEVIATIONS_MAX];
	unsigned replays;

	jmp_buf outside; /* where a failure in setup or check goes */
} m;

struct pw_core pw_core = { .self = PW_NOBODY };

static uint64_t *states;
static uint64_t states_size;
static uint64_t states_used;

static struct {
	void *memory;
	void *copy;
	size_t size;
} kept[KEPT_MAX];
static unsigned kept_count;
static bool first_execution;

bool (*pw_explore_on_idle)(void);
void (*pw_explore_on_access)(const volatile void *address, bool wrote);
void (*pw_explore_on_reset)(void);

__attribute__((noreturn)) static void leave(enum outcome outcome);

uint64_t
pw_core_mix(uint64_t a, uint64_t b)
{
	uint64_t x = (a + UINT64_C(0x9e3779b97f4a7c15)) ^ (b * UINT64_C(0xff51afd7ed558ccd));
	x = (x ^ x >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 29) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 32;
}

const char *
pw_core_fiber_name(unsigned fiber)
{
	return m.scenario->fiber[fiber].name;
}

/* ---- failures */

static void
replay_text(char *text, size_t size)
{
	size_t used = 0;
	(void) snprintf(text, size, "-");
	for (unsigned i = 0; i < m.deviations && used + 24 < size; i++) {
		const struct deviation *d = &m.deviation[i];
		const char *dot = i != 0 ? "." : "";
		int n = d->kind == CHOOSE_FIBER && d->value == FREEZE
		    ? snprintf(text + used, size - used, "%s%ux", dot, d->step)
		    : snprintf(text + used, size - used, "%s%u%c%u", dot, d->step, d->kind, d->value);
		used += (size_t) n;
	}
}

static void
record_failure(const char *format, va_list arguments)
{
	m.report->failed = true;
	m.report->bound = m.bound;
	(void) vsnprintf(m.report->message, sizeof(m.report->message), format, arguments);
	replay_text(m.report->replay, sizeof(m.report->replay));
}

void
pw_explore_fail(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	record_failure(format, arguments);
	va_end(arguments);
	if (pw_core.self != PW_NOBODY) {
		leave(FAILED);
	}
	longjmp(m.outside, 1);
}

/* Not the scenario's fault, nor the engine's: the exploration itself cannot go on. */
__attribute__((noreturn, format(printf, 1, 2))) static void
give_up(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	record_failure(format, arguments);
	va_end(arguments);
	m.outcome = BROKEN;
	if (pw_core.self != PW_NOBODY) {
		leave(BROKEN);
	}
	longjmp(m.outside, 1);
}

/* What this execution alone shows to be shared, whatever the search has found. */
static bool
is_shared_here(const volatile void *address)
{
	unsigned touched = 0;
	bool wrote = false;
	for (unsigned i = 0; i < m.step; i++) {
		if (m.line[i].address == address) {
			touched |= 1u << m.line[i].fiber;
			wrote |= m.line[i].wrote;
		}
	}
	return wrote && (touched & (touched - 1)) != 0;
}

static void
print_failure(void)
{
	static const char *const memory_name[] = { "sc", "tso", "c11" };
	const char *names[PW_EXPLORE_FIBERS];
	for (unsigned i = 0; i < pw_core.fibers; i++) {
		names[i] = m.scenario->fiber[i].name;
	}
	for (unsigned i = 0; i < m.step; i++) {
		m.line[i].shown = m.line[i].site == NULL || is_shared_here(m.line[i].address);
	}
	(void) fflush(stdout);
	pw_trace_print(stderr, m.line, m.step, names, pw_core.fibers, TRACE_LINES);
	(void) fprintf(stderr, "%s: %s\nreplay: --scenario %s --memory %s --stale %u --replay %s\n",
	    m.report->failed ? "FAILED" : "passed", m.report->failed ? m.report->message : m.scenario->law,
	    m.scenario->name, memory_name[m.memory], m.stale, m.report->replay);
	(void) fflush(stderr);
}

/* abort() in the engine (an assertion, misuse) and bad accesses. The state is lost: report and end. */
static void
on_signal(int number)
{
	(void) signal(number, SIG_DFL);
	if (m.scenario != NULL && m.report != NULL) {
		m.report->failed = true;
		(void) snprintf(m.report->message, sizeof(m.report->message), "%s",
		    number == SIGABRT ? "the engine called abort()" : "a bad memory access");
		replay_text(m.report->replay, sizeof(m.report->replay));
		print_failure();
	}
	_exit(1);
}

static bool
catch_signals(void)
{
	static char own_stack[64 * 1024];
	stack_t stack = { .ss_sp = own_stack, .ss_size = sizeof(own_stack) };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_NODEFER };
	return sigaltstack(&stack, NULL) == 0 && sigaction(SIGABRT, &action, NULL) == 0 &&
	    sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGBUS, &action, NULL) == 0;
}

/* ---- words and histories */

static struct pw_word *
word_at(const volatile void *address)
{
	unsigned i = (unsigned) pw_core_mix(0, (uint64_t) (uintptr_t) address) & (WORDS - 1);
	while (m.word[i].address != address && m.word[i].address != NULL) {
		i = (i + 1) & (WORDS - 1);
	}
	struct pw_word *word = &m.word[i];
	if (word->address == NULL) {
		if (++m.words > WORDS / 2) {
			give_up("more than %u words: is memory at another address in each execution?", WORDS / 2);
		}
		word->address = address;
	}
	if (word->execution != pw_core.execution) {
		word->execution = pw_core.execution;
		word->version = 0;
		word->touched = 0;
		word->wrote = 0;
	}
	return word;
}

static void
set_version(struct pw_word *word, uint64_t version)
{
	uint64_t key = (uint64_t) (uintptr_t) word->address;
	m.words_sum -= word->version != 0 ? pw_core_mix(key, word->version) : 0;
	m.words_sum += version != 0 ? pw_core_mix(key, version) : 0;
	word->version = version;
}

/* What the running fiber reads becomes part of its history. */
static void
observe_version(const struct pw_word *word, uint64_t version)
{
	struct fiber *fiber = &m.fiber[pw_core.self];
	fiber->history = pw_core_mix(pw_core_mix(fiber->history, (uint64_t) (uintptr_t) word->address), version);
}

/* The running fiber touches the newest version of the word, and perhaps makes the next. */
static void
observe(struct pw_word *word, bool wrote)
{
	observe_version(word, word->version);
	if (wrote) {
		set_version(word, m.fiber[pw_core.self].history);
	}
}

/* The name of the state: what each fiber has seen, the words, who could run. */
static uint64_t
state_name(uint64_t salt)
{
	uint64_t sum = m.words_sum;
	uint64_t ready = 0;
	for (unsigned i = 0; i < pw_core.fibers; i++) {
		sum += pw_core_mix(i + 1, m.fiber[i].history);
		ready |= (uint64_t) (m.fiber[i].state == READY) << i;
	}
	return pw_core_mix(pw_core_mix(pw_core_mix(sum, ready << 8 | m.spinning), pw_memory_name()), salt);
}

/* ---- states that are known */

static uint64_t *
states_find(uint64_t *table, uint64_t size, uint64_t name)
{
	uint64_t i = name >> 3 & (size - 1);
	while (table[i] != 0 && table[i] >> 3 != name >> 3) {
		i = (i + 1) & (size - 1);
	}
	return &table[i];
}

static void
states_grow(void)
{
	uint64_t size = states_size * 2;
	uint64_t *table = calloc(size, sizeof(*table));
	if (table == NULL) {
		return; /* the table is full sooner */
	}
	for (uint64_t i = 0; i < states_size; i++) {
		if (states[i] != 0) {
			*states_find(table, size, states[i]) = states[i];
		}
	}
	free(states);
	states = table;
	states_size = size;
}

/* True: the state has been explored with at least as many preemptions left. Else it is remembered as it is now. */
static bool
state_known(uint64_t name)
{
	uint64_t used = m.bound == PW_EXPLORE_BOUND_NONE ? 0 : m.preemptions;
	name |= 8; /* never the free entry */
	uint64_t *entry = states_find(states, states_size, name);
	if (*entry != 0) {
		bool known = (*entry & 7) <= used;
		if (!known) {
			*entry = (*entry & ~UINT64_C(7)) | used;
		}
		return known;
	}
	if (states_used * 4 >= states_size * 3 && states_size < STATES_MAX) {
		states_grow();
		entry = states_find(states, states_size, name);
	}
	if (states_used * 4 < states_size * 3) {
		*entry = (name & ~UINT64_C(7)) | used;
		states_used++;
	}
	return false;
}

static void
states_clear(void)
{
	memset(states, 0, states_size * sizeof(*states));
	states_used = 0;
}

/* ---- steps and choices */

static struct pw_trace_line *
next_line(const char *verb, const volatile void *address, const void *site)
{
	if (m.step >= m.steps_max) {
		pw_explore_fail("livelock: the execution has not ended after %u steps", m.steps_max);
	}
	struct pw_trace_line *line = &m.line[m.step++];
	line->verb = verb;
	line->address = address;
	line->site = site;
	line->value = 0;
	line->fiber = (uint8_t) (pw_core.self != PW_NOBODY ? pw_core.self : 0);
	line->wrote = false;
	line->stale = false;
	line->waits = false;
	return line;
}

static uint8_t
replayed(enum choice_kind kind, const uint8_t *alternative, unsigned count)
{
	for (unsigned i = 0; i < m.replays; i++) {
		if (m.replay[i].step == m.step && m.replay[i].kind == kind) {
			for (unsigned k = 0; k < count; k++) {
				if (alternative[k] == m.replay[i].value) {
					return (uint8_t) k;
				}
			}
			give_up("the replay string does not fit: no such choice at step %u", m.step);
		}
	}
	return 0;
}

static uint8_t
stacked(enum choice_kind kind, const uint8_t *alternative, unsigned count)
{
	if (m.depth < m.choices) {
		const struct choice *choice = &m.choice[m.depth++];
		if (choice->step != m.step || choice->kind != kind || choice->count != count ||
		    memcmp(choice->alternative, alternative, count) != 0) {
			give_up("the scenario is not deterministic: step %u is not what it was", m.step);
		}
		return choice->at;
	}
	if (m.choices == m.choices_size) {
		m.choices_size = m.choices_size != 0 ? m.choices_size * 2 : 1024;
		m.choice = realloc(m.choice, m.choices_size * sizeof(*m.choice));
		if (m.choice == NULL) {
			give_up("out of memory");
		}
	}
	struct choice *choice = &m.choice[m.choices++];
	choice->step = m.step;
	choice->kind = (uint8_t) kind;
	choice->count = (uint8_t) count;
	choice->at = 0;
	memcpy(choice->alternative, alternative, count);
	m.depth = m.choices;
	return 0;
}

static uint64_t
random_next(void)
{
	return m.random = pw_core_mix(m.random, UINT64_C(0x5deece66d));
}

/* pct: the alternative with the highest priority; a fiber that would freeze comes now and then. */
static uint8_t
by_priority(const uint8_t *alternative, unsigned count)
{
	unsigned best = 0;
	for (unsigned i = 0; i < m.changes; i++) {
		if (m.change[i] == m.step && pw_core.self != PW_NOBODY) {
			m.priority[pw_core.self] = m.changes - i;
		}
	}
	for (unsigned i = 0; i < count; i++) {
		if (alternative[i] == FREEZE) {
			return (uint8_t) (random_next() % (m.length + 1) == 0 ? i : best);
		}
		best = m.priority[alternative[i]] > m.priority[alternative[best]] ? i : best;
	}
	return (uint8_t) best;
}

/* Random search goes on where it is three times in four: else no fiber would ever get far before another one. */
static uint8_t
drawn(enum choice_kind kind, const uint8_t *alternative, unsigned count)
{
	if (kind == CHOOSE_FIBER && m.kind == PW_SEARCH_PCT) {
		return by_priority(alternative, count);
	}
	uint64_t number = random_next();
	return (uint8_t) (kind != CHOOSE_DATA && number % 4 != 0 ? 0 : number / 4 % count);
}

static uint8_t
choose(enum choice_kind kind, const uint8_t *alternative, unsigned count)
{
	if (count == 1) {
		return alternative[0];
	}
	uint8_t at = m.replaying    ? replayed(kind, alternative, count)
	    : m.kind != PW_SEARCH_ALL ? drawn(kind, alternative, count)
				      : stacked(kind, alternative, count);
	if (at != 0) {
		if (m.deviations == DEVIATIONS_MAX) {
			give_up("more than %u deviations in one schedule", DEVIATIONS_MAX);
		}
		m.deviation[m.deviations++] = (struct deviation){ m.step, (uint8_t) kind, alternative[at] };
	}
	return alternative[at];
}

/* Ends the execution here if what can follow is known. */
static void
prune(uint64_t salt)
{
	if (!m.replaying && !m.plain && m.kind == PW_SEARCH_ALL && m.depth == m.choices && state_known(state_name(salt))) {
		leave(PRUNED);
	}
}

/* ---- the scheduler: runs on the stack of the fiber that gives way */

static void
fiber_wakes(struct fiber *fiber, bool timed_out)
{
	fiber->state = READY;
	fiber->timed_out = timed_out;
}

static void
set_time(uint64_t now_ns)
{
	m.now_ns = now_ns;
	set_version(word_at(&m.now_ns), pw_core_mix(1, now_ns));
	for (unsigned i = 0; i < pw_core.fibers; i++) {
		if (m.fiber[i].state == BLOCKED && m.fiber[i].deadline_ns <= now_ns) {
			fiber_wakes(&m.fiber[i], true);
		}
	}
}

/* Everybody sleeps: on to the earliest deadline. False: there is none, or nobody who has to end needs it. */
static bool
time_jumps(void)
{
	uint64_t earliest_ns = NEVER_NS;
	bool wanted = false;
	for (unsigned i = 0; i < pw_core.fibers; i++) {
		if (m.fiber[i].state == BLOCKED) {
			earliest_ns = m.fiber[i].deadline_ns < earliest_ns ? m.fiber[i].deadline_ns : earliest_ns;
			wanted |= (m.scenario->fiber[i].flags & PW_EXPLORE_DAEMON) == 0;
		}
	}
	if (earliest_ns == NEVER_NS || !wanted) {
		return false;
	}
	next_line("--- time jumps", NULL, NULL);
	set_time(earliest_ns);
	return true;
}

/* Who may go on: the running fiber first, so that the first alternative is never a preemption. */
static unsigned
candidates(bool can_continue, uint8_t *alternative)
{
	unsigned count = 0;
	bool spins = pw_core.self != PW_NOBODY && (m.spinning >> pw_core.self & 1) != 0;
	bool keeps = can_continue && !spins;
	bool may = !keeps || m.replaying || m.bound == PW_EXPLORE_BOUND_NONE || m.preemptions < m.bound;
	if (keeps) {
		alternative[count++] = (uint8_t) pw_core.self;
	}
	for (unsigned k = 1; k <= pw_core.fibers; k++) {
		unsigned i = ((unsigned) (pw_core.self + (int) k)) % pw_core.fibers;
		bool offered = keeps && (int) i == pw_core.self;
		if (!offered && m.fiber[i].state == READY && (m.spinning >> i & 1) == 0) {
			m.withheld |= !may;
			if (may) {
				alternative[count++] = (uint8_t) i;
			}
		}
	}
	if (keeps && !m.anyone_frozen && (m.scenario->fiber[pw_core.self].flags & PW_EXPLORE_FREEZES) != 0) {
		alternative[count++] = FREEZE;
	}
	return count;
}

static void
freeze(void)
{
	next_line("--- frozen for ever", NULL, NULL);
	m.fiber[pw_core.self].state = FROZEN;
	m.fiber[pw_core.self].history = pw_core_mix(m.fiber[pw_core.self].history, 'x');
	m.anyone_frozen = true;
	pw_explore_wake(&m.fiber[pw_core.self]); /* who joins it */
}

/* Nobody can go on as things are. False: the execution is over. */
static bool
stir(void)
{
	if (pw_memory_drain_all()) {
		return true;
	}
	if (pw_explore_on_idle != NULL && pw_explore_on_idle()) {
		return true;
	}
	if (time_jumps()) {
		return true;
	}
	bool spinner = m.spinning != 0;
	m.spinning = 0; /* let them spin: the limit on steps ends it */
	return spinner;
}

/* Chooses who goes on, and goes on there. Returns when the caller is chosen. */
static void
schedule(bool can_continue)
{
	uint8_t alternative[CHOICES_MAX];
	int self = pw_core.self;
	for (;;) {
		unsigned count = candidates(can_continue, alternative);
		if (count == 0) {
			if (stir()) {
				continue;
			}
			leave(ENDED);
		}
		prune(can_continue ? (uint64_t) self + 1 : 0);
		uint8_t next = choose(CHOOSE_FIBER, alternative, count);
		if (next == FREEZE) {
			freeze();
			can_continue = false;
			continue;
		}
		if (next == self) {
			return;
		}
		if (can_continue && (m.spinning >> self & 1) == 0) {
			m.preemptions++;
		}
		pw_core.self = next;
		pw_fiber_switch(self != PW_NOBODY ? m.fiber[self].stack : NULL, m.fiber[next].stack);
		return;
	}
}

static void
leave(enum outcome outcome)
{
	int self = pw_core.self;
	m.outcome = outcome;
	if (self != PW_NOBODY) {
		pw_core.self = PW_NOBODY;
		pw_fiber_switch(m.fiber[self].stack, NULL);
	}
	longjmp(m.outside, 1);
}

/* ---- what the verbs of atomic.h call */

/* Before an access by the running fiber. */
static struct pw_word *
come_to(const volatile void *address)
{
	struct pw_word *word = word_at(address);
	if (word->shared || m.everything) {
		schedule(true);
	}
	return word;
}

/* The same where the fiber's stores arrive: others see that, whoever touches the word. */
static struct pw_word *
come_to_drain(const volatile void *address, enum pw_explore_order order)
{
	struct pw_word *word = word_at(address);
	if (word->shared || m.everything || pw_memory_drains(order)) {
		schedule(true);
	}
	return word;
}

static struct pw_word *
come_to_store(const volatile void *address, enum pw_explore_order order)
{
	bool drains = m.memory == PW_MEMORY_C11 && (order & PW_EXPLORE_RELEASE) != 0;
	struct pw_word *word = drains ? come_to_drain(address, order) : come_to(address);
	if (drains) {
		pw_memory_drain();
	}
	return word;
}

/* Several fibers touch the word, and one writes it: from the next execution on it is a scheduling point. */
static void
note_touch(struct pw_word *word, unsigned fiber, bool wrote)
{
	word->touched |= (uint8_t) (1u << fiber);
	word->wrote |= (uint8_t) (wrote ? 1u << fiber : 0);
	if (!word->shared && word->wrote != 0 && (word->touched & (word->touched - 1)) != 0) {
		word->shared = true;
		pw_memory_number(word);
		m.shared++;
		pw_core.incomplete = !m.everything;
	}
}

/* Whoever spins may look again, but for the writer itself. */
static void
wake_spinners(unsigned fiber)
{
	m.spinning &= (uint8_t) (1u << fiber);
}

static void
leave_word(struct pw_word *word, struct pw_trace_line *line, bool wrote, uint64_t value)
{
	line->value = value;
	line->wrote = wrote;
	pw_core.site = line->site;
	note_touch(word, (unsigned) pw_core.self, wrote);
	if (pw_explore_on_access != NULL) {
		pw_explore_on_access(word->address, wrote && !line->waits);
	}
}

uint64_t
pw_explore_load(const volatile void *address, unsigned size, enum pw_explore_order order, const char *verb)
{
	if (pw_core.self == PW_NOBODY) {
		return pw_memory_peek(address, size);
	}
	struct pw_word *word = come_to(address);
	pw_memory_before_load(word);
	struct pw_trace_line *line = next_line(verb, address, __builtin_return_address(0));
	struct pw_read read = pw_memory_load(word, size, order);
	line->stale = read.stale;
	if (word->shared) {
		observe_version(word, read.version);
	}
	leave_word(word, line, false, read.value);
	return read.value;
}

void
pw_explore_store(volatile void *address, unsigned size, uint64_t value, enum pw_explore_order order, const char *verb)
{
	if (pw_core.self == PW_NOBODY) {
		pw_memory_poke(address, size, value);
		return;
	}
	struct pw_word *word = come_to_store(address, order);
	struct pw_trace_line *line = next_line(verb, address, __builtin_return_address(0));
	uint64_t history = 0;
	uint64_t version = 0;
	if (word->shared) {
		observe_version(word, 0); /* a store does not see what it overwrites */
		history = m.fiber[pw_core.self].history;
		version = pw_core_mix(history, word->version);
	}
	if (pw_memory_store(word, size, order, value, history, version)) {
		if (word->shared) {
			set_version(word, version);
		}
		wake_spinners((unsigned) pw_core.self);
	} else {
		line->waits = true;
	}
	leave_word(word, line, true, value);
}

void
pw_core_stored(unsigned fiber, struct pw_word *word, uint64_t version, uint64_t value)
{
	struct pw_trace_line *line = next_line("arrives", word->address, __builtin_return_address(0));
	line->fiber = (uint8_t) fiber;
	line->value = value;
	line->wrote = true;
	set_version(word, version);
	wake_spinners(fiber);
	if (pw_explore_on_access != NULL) {
		pw_explore_on_access(word->address, true);
	}
}

static uint64_t
rmw_begin(volatile void *address, unsigned size, enum pw_explore_order order, const char *verb, const void *site,
    const uint64_t *expected)
{
	struct pw_word *word = come_to_drain(address, order);
	pw_memory_before_rmw(word, order);
	m.pending = word;
	m.pending_line = next_line(verb, address, site);
	m.pending_order = order;
	m.pending_size = size;
	struct pw_read read =
	    pw_memory_rmw(word, size, order, expected != NULL, expected != NULL ? *expected : 0);
	m.pending_version = read.version;
	m.pending_line->stale = read.stale;
	return read.value;
}

static void
rmw_end(bool wrote, uint64_t value)
{
	struct pw_word *word = m.pending;
	uint64_t version = 0;
	if (word->shared) {
		observe_version(word, m.pending_version);
		version = m.fiber[pw_core.self].history;
	}
	if (wrote) {
		pw_memory_rmw_store(word, m.pending_size, m.pending_order, value, version);
		if (word->shared) {
			set_version(word, version);
		}
		wake_spinners((unsigned) pw_core.self);
	}
	leave_word(word, m.pending_line, wrote, value);
}

uint64_t
pw_explore_rmw(volatile void *address, unsigned size, enum pw_explore_order order, const char *verb)
{
	if (pw_core.self == PW_NOBODY) {
		m.outside_address = address;
		m.pending_size = size;
		return pw_memory_peek(address, size);
	}
	return rmw_begin(address, size, order, verb, __builtin_return_address(0), NULL);
}

void
pw_explore_rmw_done(bool wrote, uint64_t value)
{
	if (pw_core.self != PW_NOBODY) {
		rmw_end(wrote, value);
	} else if (wrote) {
		pw_memory_poke(m.outside_address, m.pending_size, value);
	}
}

bool
pw_explore_cas(volatile void *address, unsigned size, uint64_t *expected, uint64_t desired,
    enum pw_explore_order order, const char *verb)
{
	uint64_t wanted = *expected;
	if (pw_core.self == PW_NOBODY) {
		*expected = pw_memory_peek(address, size);
		if (*expected == wanted) {
			pw_memory_poke(address, size, desired);
		}
		return *expected == wanted;
	}
	*expected = rmw_begin(address, size, order, verb, __builtin_return_address(0), &wanted);
	bool won = *expected == wanted;
	rmw_end(won, won ? desired : *expected);
	return won;
}

void
pw_explore_fence(const char *verb)
{
	static const char order; /* of all fences: a word that each of them reads and writes */
	if (pw_core.self == PW_NOBODY || m.no_fences) {
		return;
	}
	if (m.memory == PW_MEMORY_SC) {
		pw_memory_fence();
		return;
	}
	struct pw_word *word = m.memory == PW_MEMORY_C11 ? come_to(&order) : come_to_drain(&order, PW_EXPLORE_ACQ_REL);
	struct pw_trace_line *line = next_line(verb, NULL, __builtin_return_address(0));
	pw_memory_fence();
	if (m.memory == PW_MEMORY_C11) {
		if (word->shared) {
			observe(word, true);
		}
		leave_word(word, line, true, 0);
	}
}

void
pw_explore_point(const volatile void *address, const char *verb)
{
	if (pw_core.self != PW_NOBODY) {
		m.pending = come_to_drain(address, PW_EXPLORE_ACQ_REL);
		pw_memory_drain();
		m.pending_line = next_line(verb, address, __builtin_return_address(0));
	}
}

void
pw_explore_done(bool wrote, uint64_t value)
{
	if (pw_core.self == PW_NOBODY) {
		return;
	}
	if (m.pending->shared) {
		observe(m.pending, wrote);
	}
	if (wrote) {
		wake_spinners((unsigned) pw_core.self);
	}
	leave_word(m.pending, m.pending_line, wrote, value);
}

unsigned
pw_core_choose_read(unsigned count)
{
	uint8_t alternative[CHOICES_MAX];
	for (unsigned i = 0; i < count; i++) {
		alternative[i] = (uint8_t) i;
	}
	return choose(CHOOSE_READ, alternative, count);
}

void
pw_explore_yield(void)
{
	if (pw_core.self == PW_NOBODY) {
		return;
	}
	next_line("spins", NULL, NULL);
	m.fiber[pw_core.self].history = pw_core_mix(m.fiber[pw_core.self].history, 'y');
	m.spinning |= (uint8_t) (1u << pw_core.self);
	schedule(true);
	m.spinning &= (uint8_t) ~(1u << pw_core.self);
}

unsigned
pw_explore_choose(unsigned count)
{
	uint8_t alternative[CHOICES_MAX];
	if (pw_core.self == PW_NOBODY || count < 2) {
		return 0;
	}
	if (count > CHOICES_MAX) {
		give_up("a choice among %u: at most %d", count, CHOICES_MAX);
	}
	for (unsigned i = 0; i < count; i++) {
		alternative[i] = (uint8_t) i;
	}
	prune(64u + (uint64_t) pw_core.self);
	uint8_t value = choose(CHOOSE_DATA, alternative, count);
	next_line("chooses", NULL, NULL)->value = value;
	m.fiber[pw_core.self].history = pw_core_mix(m.fiber[pw_core.self].history, UINT64_C(0x100) + value);
	return value;
}

bool
pw_explore_block(const volatile void *channel, uint64_t deadline_ns, const char *what)
{
	struct fiber *fiber = &m.fiber[pw_core.self];
	if (pw_core.self == PW_NOBODY) {
		pw_explore_fail("setup or check would sleep: %s", what);
	}
	if (deadline_ns <= m.now_ns) {
		return false;
	}
	pw_memory_drain();
	struct pw_word *word = word_at(channel);
	next_line(what, channel, NULL);
	observe(word, true);
	fiber->state = BLOCKED;
	fiber->channel = channel;
	fiber->what = what;
	fiber->deadline_ns = deadline_ns;
	schedule(false);
	observe(word, false);
	fiber->history = pw_core_mix(fiber->history, fiber->timed_out);
	return !fiber->timed_out;
}

void
pw_explore_wake(const volatile void *channel)
{
	if (pw_core.self != PW_NOBODY) {
		observe(word_at(channel), true);
	}
	for (unsigned i = 0; i < pw_core.fibers; i++) {
		if (m.fiber[i].state == BLOCKED && m.fiber[i].channel == channel) {
			fiber_wakes(&m.fiber[i], false);
		}
	}
}

static bool
happens(unsigned *left)
{
	if (*left == 0 || pw_explore_choose(2) == 0) {
		return false;
	}
	--*left;
	return true;
}

bool
pw_explore_spurious(void)
{
	return happens(&m.spurious_left);
}

bool
pw_explore_interrupted(void)
{
	return happens(&m.interrupts_left);
}

void
pw_explore_note(const char *text, uint64_t value)
{
	if (pw_core.self != PW_NOBODY) {
		next_line(text, NULL, NULL)->value = value;
	}
}

/* ---- what scenarios call */

unsigned
pw_explore_self(void)
{
	return pw_core.self != PW_NOBODY ? (unsigned) pw_core.self : PW_EXPLORE_FIBERS;
}

bool
pw_explore_frozen(unsigned index)
{
	return m.fiber[index].state == FROZEN;
}

uint64_t
pw_explore_learn(uint64_t value)
{
	if (pw_core.self != PW_NOBODY) {
		struct fiber *fiber = &m.fiber[pw_core.self];
		fiber->history = pw_core_mix(fiber->history, value);
	}
	return value;
}

bool
pw_explore_sleeps(unsigned index)
{
	return pw_explore_learn(m.fiber[index].state == BLOCKED) != 0;
}

bool
pw_explore_join(unsigned index)
{
	const struct fiber *fiber = &m.fiber[index];
	observe(word_at(fiber), false);
	while (fiber->state != FINISHED && fiber->state != FROZEN) {
		(void) pw_explore_block(fiber, NEVER_NS, "waits for the end of");
	}
	if (fiber->state == FINISHED) {
		pw_memory_join(index);
	}
	return fiber->state == FINISHED;
}

void
pw_explore_event_set(struct pw_explore_event *event)
{
	(void) pw_explore_rmw(&event->set.v, sizeof(event->set.v), PW_EXPLORE_RELEASE, "sets");
	pw_explore_rmw_done(true, 1);
	pw_explore_wake(event);
}

void
pw_explore_event_wait(struct pw_explore_event *event)
{
	for (;;) {
		uint64_t set = pw_explore_rmw(&event->set.v, sizeof(event->set.v), PW_EXPLORE_ACQUIRE, "looks at");
		pw_explore_rmw_done(false, set);
		if (set != 0) {
			return;
		}
		(void) pw_explore_block(event, NEVER_NS, "waits for");
	}
}

uint64_t
pw_explore_get(const uint64_t *word)
{
	if (pw_core.self != PW_NOBODY) {
		observe(word_at(word), false);
	}
	return *word;
}

void
pw_explore_set(uint64_t *word, uint64_t value)
{
	*word = value;
	if (pw_core.self != PW_NOBODY) {
		observe(word_at(word), true);
	}
}

uint64_t
pw_explore_now_ns(void)
{
	if (pw_core.self != PW_NOBODY) {
		m.pending = come_to(&m.now_ns);
		m.pending_line = next_line("clock", &m.now_ns, __builtin_return_address(0));
		pw_explore_done(false, m.now_ns);
	}
	return m.now_ns;
}

void
pw_explore_advance_ns(uint64_t ns)
{
	if (pw_core.self != PW_NOBODY) {
		m.pending = come_to(&m.now_ns);
		m.pending_line = next_line("time passes", &m.now_ns, __builtin_return_address(0));
		pw_explore_done(true, m.now_ns + ns);
	}
	set_time(m.now_ns + ns);
}

void
pw_explore_name(const volatile void *address, size_t size, const char *name, pw_trace_format format)
{
	if (first_execution) {
		pw_trace_name(address, size, name, format);
	}
}

void
pw_explore_keep(void *memory, size_t size)
{
	if (!first_execution) {
		return;
	}
	void *copy = malloc(size);
	if (kept_count == KEPT_MAX || copy == NULL) {
		give_up("no room to keep %zu bytes", size);
	}
	memcpy(copy, memory, size);
	kept[kept_count].memory = memory;
	kept[kept_count].copy = copy;
	kept[kept_count].size = size;
	kept_count++;
}

bool
pw_explore_first(void)
{
	return first_execution;
}

/* ---- one execution */

static void
fiber_main(void *arg)
{
	struct fiber *fiber = arg;
	m.scenario->fiber[pw_core.self].run();
	next_line("--- ends", NULL, NULL); /* what waits in its buffer arrives at any later time */
	fiber->state = FINISHED;
	fiber->history = pw_core_mix(fiber->history, 'f');
	pw_explore_wake(fiber);
	schedule(false);
}

static void
restore_kept(void)
{
	for (unsigned i = 0; i < kept_count; i++) {
		memcpy(kept[i].memory, kept[i].copy, kept[i].size);
	}
}

static void
reset(void)
{
	pw_core.execution++;
	pw_core.self = PW_NOBODY;
	m.step = 0;
	m.preemptions = 0;
	m.depth = 0;
	m.deviations = 0;
	m.spinning = 0;
	m.anyone_frozen = false;
	m.spurious_left = m.scenario->spurious;
	m.interrupts_left = m.scenario->interrupts;
	m.words_sum = 0;
	pw_core.incomplete = false;
	pw_core.races = m.scenario->races;
	m.now_ns = START_NS;
	m.outcome = ENDED;
	for (unsigned i = 0; i < pw_core.fibers; i++) {
		struct fiber *fiber = &m.fiber[i];
		fiber->state = READY;
		fiber->history = i + 1;
		fiber->channel = NULL;
		pw_fiber_reset(fiber->stack, fiber_main, fiber);
	}
	pw_memory_reset();
	if (pw_explore_on_reset != NULL) {
		pw_explore_on_reset();
	}
}

/* Every fiber sleeps, has ended or is frozen: is that how it should end? */
static void
check_deadlock(void)
{
	char where[96];
	for (unsigned i = 0; i < pw_core.fibers; i++) {
		unsigned flags = m.scenario->fiber[i].flags;
		bool excused =
		    (flags & PW_EXPLORE_DAEMON) != 0 || (m.anyone_frozen && (flags & PW_EXPLORE_EXCUSED) != 0);
		if (m.fiber[i].state == BLOCKED && !excused) {
			pw_explore_fail("deadlock: %s %s %s", m.scenario->fiber[i].name, m.fiber[i].what,
			    pw_trace_where(m.fiber[i].channel, where, sizeof(where)));
		}
	}
}

static enum outcome
execute(void)
{
	if (setjmp(m.outside) == 0) {
		restore_kept();
		reset();
		m.scenario->setup();
		first_execution = false;
		schedule(false); /* comes back through leave() */
		if (m.outcome == ENDED) {
			check_deadlock();
			if (m.scenario->check != NULL) {
				m.scenario->check();
			}
		}
	} else if (m.outcome != BROKEN && m.report->failed) {
		m.outcome = FAILED;
	}
	return m.outcome;
}

/* ---- the search */

/* The next schedule on the stack; false: that was the last. */
static bool
backtrack(void)
{
	while (m.choices > 0) {
		struct choice *choice = &m.choice[m.choices - 1];
		if (++choice->at < choice->count) {
			return true;
		}
		m.choices--;
	}
	return false;
}

static double
seconds_now(void)
{
	struct timespec now;
	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static void
search_begin(void)
{
	m.choices = 0;
	m.withheld = false;
	states_clear();
	m.report->schedules = 0;
	m.report->pruned = 0;
}

/* A limit has been reached: the search is over, and not complete. */
static bool
at_limit(const struct pw_explore_options *options, double began)
{
	struct pw_explore_report *report = m.report;
	if (options->schedules_max != 0 && report->schedules >= options->schedules_max) {
		report->limit = PW_LIMIT_SCHEDULES;
	} else if (options->seconds_max > 0 && seconds_now() - began > options->seconds_max) {
		report->limit = PW_LIMIT_SECONDS;
	}
	report->stopped = report->limit != PW_LIMIT_NONE;
	return report->stopped;
}

/* With the bound m.bound. True: go on with the next bound. */
static bool
search(const struct pw_explore_options *options, double began)
{
	struct pw_explore_report *report = m.report;
	search_begin();
	report->bound = m.bound;
	for (;;) {
		enum outcome outcome = execute();
		report->steps += m.step;
		report->deepest = m.step > report->deepest ? m.step : report->deepest;
		if (outcome == FAILED || outcome == BROKEN) {
			return false;
		}
		report->schedules += outcome == ENDED;
		report->pruned += outcome == PRUNED;
		report->states = states_used;
		if (pw_core.incomplete) {
			report->restarts++;
			search_begin();
		} else if (!backtrack()) {
			report->complete = m.withheld ? (int) m.bound : PW_EXPLORE_BOUND_NONE;
			return m.withheld;
		}
		if (at_limit(options, began)) {
			return false;
		}
	}
}

/* Each execution draws its own numbers. */
static void
draw(uint64_t seed, uint64_t execution)
{
	m.random = pw_core_mix(seed + 1, execution);
	for (unsigned i = 0; i < pw_core.fibers; i++) {
		m.priority[i] = CHANGES_MAX + 1 + (uint32_t) (random_next() % 1000000);
	}
	for (unsigned i = 0; i < m.changes; i++) {
		m.change[i] = (uint32_t) (random_next() % (m.length + 1));
	}
}

static void
search_by_lot(const struct pw_explore_options *options, double began)
{
	struct pw_explore_report *report = m.report;
	m.bound = PW_EXPLORE_BOUND_NONE;
	m.changes = options->depth != 0 ? options->depth - 1 : 0;
	m.changes = m.changes < CHANGES_MAX ? m.changes : CHANGES_MAX;
	m.length = 100;
	search_begin();
	report->bound = m.bound;
	for (uint64_t i = 0;; i++) {
		draw(options->seed, i);
		enum outcome outcome = execute();
		report->steps += m.step;
		report->deepest = m.step > report->deepest ? m.step : report->deepest;
		m.length = report->deepest;
		if (outcome == FAILED || outcome == BROKEN) {
			return;
		}
		report->schedules++;
		if (report->schedules == options->schedules_max) {
			return; /* that is what was asked for */
		}
		if (options->seconds_max > 0 && seconds_now() - began > options->seconds_max) {
			report->stopped = options->schedules_max != 0;
			report->limit = report->stopped ? PW_LIMIT_SECONDS : PW_LIMIT_NONE;
			return;
		}
	}
}

static bool
parse_replay(const char *text)
{
	m.replays = 0;
	if (strcmp(text, "-") == 0) {
		return true;
	}
	while (m.replays < DEVIATIONS_MAX) {
		char *end;
		struct deviation *d = &m.replay[m.replays++];
		d->step = (uint32_t) strtoul(text, &end, 10);
		d->kind = (uint8_t) (*end == 'x' ? CHOOSE_FIBER : *end);
		if (end == text || (*end != 'x' && *end != CHOOSE_FIBER && *end != CHOOSE_DATA && *end != CHOOSE_READ)) {
			return false;
		}
		bool frozen = *end++ == 'x';
		text = end;
		d->value = (uint8_t) (frozen ? FREEZE : strtoul(text, &end, 10));
		if (!frozen && end == text) {
			return false;
		}
		if (*end == '\0') {
			return true;
		}
		if (*end != '.') {
			return false;
		}
		text = end + 1;
	}
	return false;
}

static bool
prepare(const struct pw_explore_scenario *scenario, struct pw_explore_report *report)
{
	static bool caught;
	memset(report, 0, sizeof(*report));
	report->complete = PW_EXPLORE_NOTHING;
	m.scenario = scenario;
	m.report = report;
	m.steps_max = scenario->steps_max != 0 ? scenario->steps_max : PW_EXPLORE_STEPS;
	m.shared = 0;
	m.words = 0;
	memset(m.word, 0, sizeof(m.word));
	for (unsigned i = 0; i < kept_count; i++) {
		free(kept[i].copy);
	}
	kept_count = 0;
	first_execution = true;
	pw_trace_forget_names();
	pw_trace_name(&m.now_ns, sizeof(m.now_ns), "clock", NULL);
	for (pw_core.fibers = 0; pw_core.fibers < PW_EXPLORE_FIBERS && scenario->fiber[pw_core.fibers].name != NULL; pw_core.fibers++) {
		struct fiber *fiber = &m.fiber[pw_core.fibers];
		fiber->stack = fiber->stack != NULL ? fiber->stack : pw_fiber_new();
		if (fiber->stack == NULL) {
			return false;
		}
		pw_trace_name(fiber, sizeof(*fiber), scenario->fiber[pw_core.fibers].name, NULL);
	}
	free(m.line);
	m.line = calloc(m.steps_max + 1, sizeof(*m.line));
	free(states);
	states_size = STATES_MIN;
	states = calloc(states_size, sizeof(*states));
	caught = caught || catch_signals();
	return m.line != NULL && states != NULL && caught && pw_race_begin();
}

bool
pw_explore_run(const struct pw_explore_scenario *scenario, const struct pw_explore_options *options,
    struct pw_explore_report *report)
{
	double began = seconds_now();
	if (!prepare(scenario, report)) {
		(void) snprintf(report->message, sizeof(report->message), "out of memory");
		return false;
	}
	m.kind = options->search;
	m.plain = options->plain;
	m.replaying = options->replay != NULL;
	m.everything = m.plain || m.replaying;
	m.no_fences = options->no_fences;
	m.memory = options->memory;
	m.stale = options->stale;
	pw_memory_begin(options->memory, options->stale, m.everything);
	if (m.replaying) {
		if (!parse_replay(options->replay)) {
			(void) snprintf(report->message, sizeof(report->message), "malformed replay string");
			return false;
		}
		m.bound = PW_EXPLORE_BOUND_NONE;
		enum outcome outcome = execute();
		report->schedules = outcome == ENDED;
		report->steps = m.step;
		report->deepest = m.step;
		replay_text(report->replay, sizeof(report->replay));
	} else if (m.kind != PW_SEARCH_ALL) {
		search_by_lot(options, began);
	} else {
		/* The simplest failure first: with as few preemptions as possible. */
		for (m.bound = 0; search(options, began) && m.bound < options->bound;) {
			m.bound = m.bound < PW_EXPLORE_BOUND_MAX ? m.bound + 1 : PW_EXPLORE_BOUND_NONE;
		}
	}
	report->shared = m.shared;
	report->seconds = seconds_now() - began;
	bool sound = m.outcome != BROKEN;
	report->failed = report->failed && sound;
	if (!options->quiet && (!sound || report->failed || options->trace)) {
		print_failure();
	}
	return sound;
}

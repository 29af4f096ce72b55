/* SPDX-License-Identifier: MIT
 *
 * word_test.c: engine/shard/word.h as arithmetic: every row of the transition table, in every combination of flags.
 *
 * A word is a state, a set of flags, an epoch and a reason. What a function must do to the state is written here by
 * hand, row by row; what it must leave alone is everything else, checked bit by bit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/shard/word.h"

enum {
	STATES = 6,
	FLAGS = 10
};

static const uint64_t flag[FLAGS] = {
	PW_RUNNING,
	PW_STOPPED,
	PW_FREEING,
	PW_ABORT,
	PW_QUEUED,
	PW_ARM,
	PW_DESTROY,
	PW_TIMER,
	PW_WAITERS,
	PW_LAP,
};

#define EVERY_FLAG                                                                                                   \
	(PW_RUNNING | PW_STOPPED | PW_FREEING | PW_ABORT | PW_QUEUED | PW_ARM | PW_DESTROY | PW_TIMER | PW_WAITERS |  \
	    PW_LAP)

/* Flags that no provider's or aborter's transition may change, whatever it does to the others. */
#define KEPT (EVERY_FLAG & ~(PW_ABORT | PW_QUEUED))

static uint64_t
make(enum pw_state state, unsigned flags, uint64_t epoch, int reason)
{
	uint64_t word = (uint64_t) state | epoch * PW_EPOCH_ONE | (uint64_t) (uint32_t) reason << 32;
	for (unsigned i = 0; i < FLAGS; i++) {
		word |= (flags >> i & 1) != 0 ? flag[i] : 0;
	}
	return word;
}

/* Calls check for every state with every combination of flags. */
static void
for_every_word(void (*check)(uint64_t word))
{
	for (unsigned state = 0; state < STATES; state++) {
		for (unsigned flags = 0; flags < 1u << FLAGS; flags++) {
			check(make((enum pw_state) state, flags, 0, 0));
			check(make((enum pw_state) state, flags, 0xffff, -1));
			check(make((enum pw_state) state, flags, 0x1234, 999));
		}
	}
}

/* Law: the fields do not overlap, and fill what the layout says. */
static void
word_fields_are_apart(void **unused)
{
	uint64_t all = PW_STATE_MASK | PW_EPOCH_MASK;
	(void) unused;
	for (unsigned i = 0; i < FLAGS; i++) {
		assert_int_equal(all & flag[i], 0);
		assert_int_equal(flag[i] & (flag[i] - 1), 0);
		all |= flag[i];
	}
	assert_int_equal(all & ~PW_LOW_MASK, 0);
	assert_int_equal(PW_EPOCH_MASK & PW_EPOCH_ONE, PW_EPOCH_ONE);
	assert_int_equal((PW_EPOCH_ONE - 1) & PW_EPOCH_MASK, 0);
}

static void
check_accessors(uint64_t word)
{
	for (unsigned state = 0; state < STATES; state++) {
		uint64_t after = pw_word_with_state(word, (enum pw_state) state);
		assert_int_equal(pw_word_state(after), state);
		assert_int_equal(after & ~PW_STATE_MASK, word & ~PW_STATE_MASK);
	}
	static const int reason[] = { 0, 1, 999, -1, INT32_MAX, INT32_MIN, 0x10000000 + 104 };
	for (size_t i = 0; i < sizeof reason / sizeof reason[0]; i++) {
		uint64_t after = pw_word_with_reason(word, reason[i]);
		assert_int_equal(pw_word_reason(after), reason[i]);
		assert_int_equal(pw_word_low(after), pw_word_low(word));
	}
	assert_int_equal(pw_word_low(word), (uint32_t) (word & PW_LOW_MASK));
}

/* Law: state and reason are read and written without touching anything else; any int is a reason. */
static void
word_accessors_touch_nothing_else(void **unused)
{
	(void) unused;
	for_every_word(check_accessors);
}

static void
check_predicates(uint64_t word)
{
	enum pw_state state = pw_word_state(word);
	bool running = (word & PW_RUNNING) != 0;
	bool busy = running || state == PW_BUSY || state == PW_DEFERRED || state == PW_CANCELING || state == PW_DONE;
	assert_int_equal(pw_word_busy(word), busy);
	/* "RUNNING forbids none of reset, begin, defer, start": nor does DONE, while its callback is on the stack. */
	assert_int_equal(pw_word_startable(word, false), state == PW_IDLE || state == PW_OPEN);
	assert_int_equal(pw_word_startable(word, true), state == PW_IDLE || state == PW_OPEN || state == PW_DONE);
	/* "finish in IDLE or DONE: misuse" */
	assert_int_equal(pw_word_finishable(word), state != PW_IDLE && state != PW_DONE);
	/* "abort in IDLE, OPEN, DONE, CANCELING (with or without RUNNING): no effect, ever"; "first reason wins" */
	assert_int_equal(pw_word_abortable(word),
	    (state == PW_BUSY || state == PW_DEFERRED) && (word & PW_ABORT) == 0);
	assert_int_equal(pw_word_releasable(word), (word & PW_DESTROY) != 0 && (word & PW_QUEUED) == 0 && !busy);
}

/* Law: which event a word allows is as the table of events says, for every combination of flags. */
static void
word_predicates_are_the_table(void **unused)
{
	(void) unused;
	for_every_word(check_predicates);
}

static void
check_begun(uint64_t word)
{
	static const enum pw_state to[] = { PW_OPEN, PW_BUSY, PW_DEFERRED };
	for (size_t i = 0; i < sizeof to / sizeof to[0]; i++) {
		uint64_t after = pw_word_begun(word, to[i]);
		assert_int_equal(pw_word_state(after), to[i]);
		assert_int_equal(pw_word_reason(after), 0); /* "the high half is 0 from reset, begin or start" */
		assert_int_equal(after & PW_ABORT, 0);      /* no abort of an earlier operation */
		assert_int_equal(after & (KEPT | PW_QUEUED), pw_word_left(word) & (KEPT | PW_QUEUED));
		assert_int_equal(after & PW_EPOCH_MASK, word & PW_EPOCH_MASK);
	}
}

/* Rows reset, begin, start, defer without begin: a new operation owes nothing to the last one; ARM and QUEUED stay,
 * as they belong to the entry in flight. */
static void
word_begun_forgets_the_last_operation(void **unused)
{
	(void) unused;
	for_every_word(check_begun);
}

static void
check_left(uint64_t word)
{
	uint64_t left = pw_word_left(word);
	if (pw_word_state(word) != PW_DONE) {
		assert_true(left == word);
		return;
	}
	assert_true(pw_word_was_left(left, word));
	assert_false(pw_word_was_left(word, word));
	assert_true((left & PW_RUNNING) != 0);
	assert_true((left & ~(PW_LAP | PW_RUNNING)) == (word & ~(PW_LAP | PW_RUNNING)));
	/* Whatever leaves it is seen to have left it, and is busy until home says that the callback is over. */
	uint64_t begun = pw_word_begun(word, PW_OPEN), refused = pw_word_refused(word, PW_IDLE, 77);
	assert_true(pw_word_was_left(begun, word) && pw_word_busy(begun));
	assert_true(pw_word_was_left(refused, word) && pw_word_busy(refused));
	assert_true(pw_word_was_left(pw_word_refused(word, PW_DONE, 77), word));
	/* Once only: what it has become is left without a trace until home delivers again. */
	assert_true(pw_word_was_left(pw_word_begun(begun, PW_DEFERRED), word));
}

/* Law: DONE is left during its callback by turning LAP and setting RUNNING; no other state is. */
static void
word_left_is_seen_at_the_end_of_the_callback(void **unused)
{
	(void) unused;
	for_every_word(check_left);
}

static void
check_refused(uint64_t word)
{
	static const enum pw_state to[] = { PW_DONE, PW_IDLE };
	for (size_t i = 0; i < sizeof to / sizeof to[0]; i++) {
		uint64_t after = pw_word_refused(word, to[i], 77);
		assert_true(after == pw_word_ended(pw_word_left(word), to[i], 77));
	}
}

/* Rows begin or start refused: the reason is carried like a result. */
static void
word_refused_carries_the_reason(void **unused)
{
	(void) unused;
	for_every_word(check_refused);
}

static void
check_ended(uint64_t word)
{
	static const enum pw_state to[] = { PW_DONE, PW_IDLE };
	for (size_t i = 0; i < sizeof to / sizeof to[0]; i++) {
		uint64_t after = pw_word_ended(word, to[i], 77);
		assert_int_equal(pw_word_state(after), to[i]);
		assert_int_equal(pw_word_reason(after), 77);
		assert_int_equal(after & PW_ABORT, 0);
		assert_int_equal(after & (KEPT | PW_QUEUED), word & (KEPT | PW_QUEUED));
		assert_int_equal(after & PW_EPOCH_MASK, word & PW_EPOCH_MASK);
		assert_false(pw_word_abortable(after)); /* "a finished result is immutable" */
		assert_false(pw_word_finishable(after));
	}
}

/* Row finish: the result travels with the state. */
static void
word_ended_carries_the_result(void **unused)
{
	(void) unused;
	for_every_word(check_ended);
}

static void
check_aborted(uint64_t word)
{
	if (!pw_word_abortable(word)) {
		return;
	}
	uint64_t after = pw_word_aborted(word, 20);
	assert_int_equal(pw_word_state(after), pw_word_state(word)); /* home moves it, nobody else */
	assert_int_equal(pw_word_reason(after), 20);
	assert_true((after & PW_ABORT) != 0);
	assert_false(pw_word_abortable(after)); /* the first reason wins */
	assert_int_equal(after & KEPT, word & KEPT);
	assert_int_equal(after & PW_EPOCH_MASK, word & PW_EPOCH_MASK);
	/* DEFERRED owes a request entry, BUSY is remembered by defer. */
	bool owes = pw_word_state(word) == PW_DEFERRED;
	assert_int_equal((after & PW_QUEUED) != 0, owes || (word & PW_QUEUED) != 0);
}

/* Rows abort and stop: in BUSY and DEFERRED alone, once, and only DEFERRED posts. */
static void
word_aborted_keeps_the_state(void **unused)
{
	(void) unused;
	for_every_word(check_aborted);
}

static void
check_quiet(uint64_t word)
{
	uint64_t after = pw_word_quiet(word);
	if (pw_word_busy(word) || (word & PW_WAITERS) == 0) {
		assert_int_equal(after, word);
		return;
	}
	assert_int_equal(after & PW_WAITERS, 0);
	assert_int_equal(after & PW_EPOCH_MASK, (word + PW_EPOCH_ONE) & PW_EPOCH_MASK);
	assert_int_equal(after & ~(PW_WAITERS | PW_EPOCH_MASK), word & ~(PW_WAITERS | PW_EPOCH_MASK));
}

/* "WAITERS is cleared only by the RMW that makes the word not busy; that RMW advances EPOCH", which wraps into
 * nothing. */
static void
word_quiet_advances_the_epoch_for_waiters_alone(void **unused)
{
	(void) unused;
	for_every_word(check_quiet);
	uint64_t word = PW_WAITERS | PW_EPOCH_MASK | (uint64_t) 5 << 32;
	assert_int_equal(pw_word_quiet(word), (uint64_t) 5 << 32);
}

/* Law: a waiter that sleeps sees another epoch after any number of idle moments below 2^16. */
static void
word_epochs_differ_until_they_wrap(void **unused)
{
	uint64_t word = PW_WAITERS, first = word & PW_EPOCH_MASK;
	(void) unused;
	for (uint32_t i = 1; i < 1u << 16; i++) {
		word = pw_word_quiet(word);
		assert_int_not_equal(word & PW_EPOCH_MASK, first);
		word |= PW_WAITERS;
	}
	assert_int_equal(pw_word_quiet(word) & PW_EPOCH_MASK, first);
}

/* Law: the table of allowed transitions is the one of the events: row by row, and nothing besides. */
static void
word_allowed_is_the_table(void **unused)
{
	static const struct {
		const char *event;
		enum pw_state from;
		enum pw_state to;
	} row[] = {
		{ "reset", PW_IDLE, PW_OPEN },
		{ "reset", PW_OPEN, PW_OPEN },
		{ "begin", PW_IDLE, PW_BUSY },
		{ "begin", PW_OPEN, PW_BUSY },
		{ "begin or start refused", PW_IDLE, PW_DONE },
		{ "begin or start refused", PW_OPEN, PW_DONE },
		{ "refused under skip_callback, or with no engine", PW_IDLE, PW_IDLE },
		{ "refused under skip_callback, or with no engine", PW_OPEN, PW_IDLE },
		{ "defer", PW_BUSY, PW_DEFERRED },
		{ "defer implies begin, start", PW_IDLE, PW_DEFERRED },
		{ "defer implies begin, start", PW_OPEN, PW_DEFERRED },
		{ "finish", PW_OPEN, PW_DONE },
		{ "finish", PW_BUSY, PW_DONE },
		{ "finish", PW_DEFERRED, PW_DONE },
		{ "finish", PW_CANCELING, PW_DONE },
		{ "finish under skip_callback", PW_OPEN, PW_IDLE },
		{ "finish under skip_callback", PW_BUSY, PW_IDLE },
		{ "abort, expiry, at home", PW_DEFERRED, PW_CANCELING },
		{ "the callback has returned; refused in it", PW_DONE, PW_IDLE },
		{ "reset in the callback", PW_DONE, PW_OPEN },
		{ "begin in the callback", PW_DONE, PW_BUSY },
		{ "start in the callback", PW_DONE, PW_DEFERRED },
		{ "refused in the callback", PW_DONE, PW_DONE },
		/* a change of flags alone: stop, abort remembered, entries, timers, waiters */
		{ "flags", PW_BUSY, PW_BUSY },
		{ "flags", PW_DEFERRED, PW_DEFERRED },
		{ "flags", PW_CANCELING, PW_CANCELING },
		{ "flags", PW_DONE, PW_DONE },
	};
	(void) unused;
	for (unsigned from = 0; from < STATES; from++) {
		for (unsigned to = 0; to < STATES; to++) {
			bool listed = false;
			for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
				listed = listed || (row[i].from == from && row[i].to == to);
			}
			if (pw_word_allowed((enum pw_state) from, (enum pw_state) to) != listed) {
				print_error("%u -> %u: the table says %d\n", from, to, (int) listed);
			}
			assert_int_equal(pw_word_allowed((enum pw_state) from, (enum pw_state) to), listed);
		}
	}
}

/* Law: a change of a whole word is legal when its states are, LAP is turned exactly by leaving DONE, and nothing sticky is
 * lost. Every pair of states, with each of these flags wrong. */
static void
word_follows_holds_the_flags_too(void **unused)
{
	static const uint64_t sticky[] = { PW_STOPPED, PW_FREEING, PW_DESTROY };
	(void) unused;
	for (unsigned from = 0; from < STATES; from++) {
		for (unsigned to = 0; to < STATES; to++) {
			bool allowed = pw_word_allowed((enum pw_state) from, (enum pw_state) to);
			bool stays = from != PW_DONE || to == PW_DONE;
			assert_int_equal(pw_word_follows(from, to), allowed && stays);
			assert_int_equal(pw_word_follows(from, to | PW_LAP), allowed && from == PW_DONE);
			assert_int_equal(pw_word_follows(from | PW_LAP, to), allowed && from == PW_DONE);
			for (unsigned i = 0; i < sizeof sticky / sizeof sticky[0]; i++) {
				assert_int_equal(pw_word_follows(from, to | sticky[i]), allowed && stays);
				assert_false(pw_word_follows(from | sticky[i], to));
			}
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(word_fields_are_apart),
		cmocka_unit_test(word_accessors_touch_nothing_else),
		cmocka_unit_test(word_predicates_are_the_table),
		cmocka_unit_test(word_begun_forgets_the_last_operation),
		cmocka_unit_test(word_left_is_seen_at_the_end_of_the_callback),
		cmocka_unit_test(word_refused_carries_the_reason),
		cmocka_unit_test(word_ended_carries_the_result),
		cmocka_unit_test(word_aborted_keeps_the_state),
		cmocka_unit_test(word_quiet_advances_the_epoch_for_waiters_alone),
		cmocka_unit_test(word_epochs_differ_until_they_wrap),
		cmocka_unit_test(word_allowed_is_the_table),
		cmocka_unit_test(word_follows_holds_the_flags_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

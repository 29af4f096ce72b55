/* SPDX-License-Identifier: MIT
 *
 * storm_ledger_test.c: the ledger of `pinwheel storm` can fail.
 *
 * Laws: a correct course of events is balanced and reports nothing; each kind of broken promise is reported, by the
 * name of what was broken. Method: the test plays engine, provider and consumer by calling the ledger as the storm
 * does, with one event too many, too early, missing, or with other values. Violations are recorded, not fatal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/storm/storm_ledger.h"

#define NOW UINT64_C(1000000000)
#define SEAT 1u

struct scene {
	struct pw_ledger ledger;
	struct pw_ledger_tally *tally;
	uint64_t handle;
	unsigned violations;
	char what[128]; /* the first */
};

static void
on_violation(const struct pw_ledger_violation *violation, void *arg)
{
	struct scene *scene = arg;

	if (scene->violations++ == 0) {
		strncpy(scene->what, violation->what, sizeof(scene->what) - 1);
	}
}

static int
set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	assert_true(pw_ledger_open(&scene->ledger, 4));
	scene->ledger.on_violation = on_violation;
	scene->ledger.arg = scene;
	scene->tally = pw_ledger_add_tally(&scene->ledger);
	assert_non_null(scene->tally);
	scene->handle = pw_ledger_handle(&scene->ledger, SEAT);
	*state = scene;
	return 0;
}

static int
tear_down(void **state)
{
	struct scene *scene = *state;

	pw_ledger_close(&scene->ledger);
	free(scene);
	return 0;
}

static void
assert_reported(const struct scene *scene, const char *what)
{
	assert_true(scene->violations > 0);
	assert_string_equal(scene->what, what);
}

static void
assert_clean(const struct scene *scene)
{
	if (scene->violations != 0) {
		fail_msg("reported: %s", scene->what);
	}
}

/* ---- events ---- */

static struct pw_ledger_spec
spec_of(enum pw_ledger_form form)
{
	return (
	    struct pw_ledger_spec){ .form = form, .deadline_ns = PINWHEEL_NEVER_NS, .wake_ns = PINWHEEL_NEVER_NS };
}

static uint64_t
start(struct scene *scene, struct pw_ledger_spec *spec)
{
	uint64_t operation = pw_ledger_take(&scene->ledger, SEAT, 0);

	assert_true(operation != 0);
	pw_ledger_start(&scene->ledger, scene->tally, SEAT, operation, spec);
	return operation;
}

static uint64_t
start_and_accept(struct scene *scene, struct pw_ledger_spec *spec)
{
	uint64_t operation = start(scene, spec);

	pw_ledger_accepted(&scene->ledger, SEAT, operation, spec);
	return operation;
}

static void
finish(struct scene *scene, uint64_t operation, nng_err result)
{
	pw_ledger_finish(&scene->ledger, scene->tally, SEAT, operation, false, result, 0, NOW);
}

static struct pw_ledger_seen
seen_with(nng_err result)
{
	return (struct pw_ledger_seen){ .result = result, .now_ns = NOW };
}

static uint64_t
enter(struct scene *scene, const struct pw_ledger_seen *seen)
{
	struct pw_ledger_lag lag;
	return pw_ledger_callback_enter(&scene->ledger, scene->tally, SEAT, scene->handle, seen, &lag);
}

static void
complete(struct scene *scene, nng_err result)
{
	struct pw_ledger_seen seen = seen_with(result);
	uint64_t operation = enter(scene, &seen);

	pw_ledger_release(&scene->ledger, SEAT, operation);
	pw_ledger_callback_leave(&scene->ledger, SEAT, operation);
}

static void
cancel(struct scene *scene, uint64_t operation, nng_err reason)
{
	pw_ledger_cancel_enter(&scene->ledger, SEAT, operation, reason, NOW);
	pw_ledger_cancel_leave(&scene->ledger, SEAT, operation);
}

/* ---- what is right is balanced ---- */

/* Law: every way an operation may go, one after another, reports nothing and balances. */
static void
correct_courses_balance(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);
	struct pw_ledger_counts sum;
	struct pw_ledger_view view;

	uint64_t operation = start_and_accept(scene, &spec);
	finish(scene, operation, NNG_OK);
	complete(scene, NNG_OK);

	operation = start_and_accept(scene, &spec);
	nng_err reason = pw_ledger_abort_enter(&scene->ledger, scene->tally, SEAT, NOW, &view);
	pw_ledger_abort_leave(&scene->ledger, scene->tally, SEAT, reason, &view);
	pw_ledger_cancel_enter(&scene->ledger, SEAT, operation, reason, NOW);
	pw_ledger_finish(&scene->ledger, scene->tally, SEAT, operation, true, reason, 0, NOW);
	pw_ledger_cancel_leave(&scene->ledger, SEAT, operation);
	complete(scene, reason);

	spec = spec_of(PW_LEDGER_START);
	spec.message = PW_LEDGER_SEND;
	spec.deadline_ns = NOW - 1;
	spec.overdue = true;
	operation = start(scene, &spec);
	pw_ledger_refused(&scene->ledger, SEAT, operation, &spec);
	struct pw_ledger_seen seen = seen_with(NNG_ETIMEDOUT);
	seen.message = pw_ledger_message_of(SEAT, operation);
	assert_int_equal(enter(scene, &seen), operation);
	pw_ledger_release(&scene->ledger, SEAT, operation);
	pw_ledger_callback_leave(&scene->ledger, SEAT, operation);

	spec = spec_of(PW_LEDGER_BEGIN);
	spec.skip = true;
	operation = start(scene, &spec);
	pw_ledger_enter(&scene->ledger, SEAT, operation, PW_LEDGER_BEGUN);
	finish(scene, operation, NNG_EPROTO);
	seen = seen_with(NNG_EPROTO);
	pw_ledger_ended(&scene->ledger, scene->tally, SEAT, operation, &spec, &seen);
	pw_ledger_release(&scene->ledger, SEAT, operation);

	spec = spec_of(PW_LEDGER_SLEEP);
	spec.wake_ns = NOW;
	spec.may_wake = true;
	(void) start_and_accept(scene, &spec);
	complete(scene, NNG_OK);

	assert_clean(scene);
	assert_true(pw_ledger_balance(&scene->ledger, &sum));
	assert_int_equal(sum.started, 5);
	assert_int_equal(sum.called_back, 4);
	assert_int_equal(sum.skipped, 1);
	assert_int_equal(sum.refused, 1);
	assert_int_equal(sum.aborts_won, 1);
	assert_int_equal(sum.messages_made, sum.messages_gone);
	assert_int_equal(sum.cell[PW_LEDGER_BY_FINISH][PW_LEDGER_ON_DEFERRED], 1);
	assert_int_equal(sum.cell[PW_LEDGER_BY_FINISH][PW_LEDGER_ON_BEGUN], 1);
	assert_int_equal(sum.cell[PW_LEDGER_BY_ABORT][PW_LEDGER_ON_DEFERRED], 1);
	assert_int_equal(sum.cell[PW_LEDGER_BY_REFUSAL][PW_LEDGER_ON_IDLE], 1);
	assert_int_equal(sum.cell[PW_LEDGER_BY_SLEEP][PW_LEDGER_ON_DEFERRED], 1);
}

/* Law: a completion that overtakes the return of its start is judged as if it had not, either way round. */
static void
overtaken_start_is_judged(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);

	spec.deadline_ns = NOW - 1;
	uint64_t operation = start(scene, &spec);
	complete(scene, NNG_ETIMEDOUT);
	pw_ledger_refused(&scene->ledger, SEAT, operation, &spec);
	assert_clean(scene);

	operation = start(scene, &spec);
	complete(scene, NNG_ETIMEDOUT);
	pw_ledger_accepted(&scene->ledger, SEAT, operation, &spec);
	assert_reported(scene, "accepted, but its completion was a refusal's");
}

/* ---- each broken promise is reported ---- */

/* Law V1 (C1): the same completion twice. */
static void
second_completion_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);

	finish(scene, start_and_accept(scene, &spec), NNG_OK);
	complete(scene, NNG_OK);
	assert_clean(scene);
	complete(scene, NNG_OK);
	assert_reported(scene, "a completion without an operation");
}

/* Law V1 (C1): an accepted operation that completes, and nobody finished it. */
static void
completion_without_winner_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);

	(void) start_and_accept(scene, &spec);
	complete(scene, NNG_OK);
	assert_reported(scene, "completed, and nobody finished it");
}

/* Law V1 (C1): finish comes after the completion. */
static void
completion_before_finish_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);

	uint64_t operation = start_and_accept(scene, &spec);
	finish(scene, operation, NNG_OK);
	complete(scene, NNG_OK);
	finish(scene, operation, NNG_OK);
	assert_reported(scene, "completed before its provider finished it");
}

/* Law V2 (C1): a callback begins while another of the same handle runs. */
static void
overlapping_callbacks_are_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);
	struct pw_ledger_seen seen = seen_with(NNG_OK);

	finish(scene, start_and_accept(scene, &spec), NNG_OK);
	uint64_t first = enter(scene, &seen);
	pw_ledger_release(&scene->ledger, SEAT, first);
	finish(scene, start_and_accept(scene, &spec), NNG_OK);
	assert_clean(scene);
	(void) enter(scene, &seen);
	assert_reported(scene, "two callbacks of one aio at once");
}

/* Law V2 (R24): a callback begins while the operation's cancel function runs. */
static void
callback_beside_cancel_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);
	struct pw_ledger_seen seen = seen_with(NNG_ETIMEDOUT);

	spec.deadline_ns = NOW;
	uint64_t operation = start_and_accept(scene, &spec);
	pw_ledger_cancel_enter(&scene->ledger, SEAT, operation, NNG_ETIMEDOUT, NOW);
	pw_ledger_finish(&scene->ledger, scene->tally, SEAT, operation, true, NNG_ETIMEDOUT, 0, NOW);
	assert_clean(scene);
	(void) enter(scene, &seen);
	assert_reported(scene, "a callback beside its cancel function");
}

/* Law V3 (C2, C4): result, output, count, message other than the winner's. */
static void
other_values_are_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);
	static const char *const what[4] = { "another result than finish was given",
		"another output than the provider set", "a count that nobody gave",
		"the message slot is not what the winner left" };

	for (int i = 0; i < 4; i++) {
		struct pw_ledger_seen seen = seen_with(i == 0 ? NNG_ECANCELED : NNG_OK);
		seen.output = i == 1 ? 7 : 0;
		seen.count = i == 2 ? 7 : 0;
		seen.message = i == 3 ? 7 : 0;
		finish(scene, start_and_accept(scene, &spec), NNG_OK);
		uint64_t operation = enter(scene, &seen);
		assert_reported(scene, what[i]);
		assert_int_equal(scene->violations, 1);
		pw_ledger_release(&scene->ledger, SEAT, operation);
		pw_ledger_callback_leave(&scene->ledger, SEAT, operation);
		scene->violations = 0;
	}
}

/* Law V3 (C4): the result changes while the handle is idle. */
static void
result_changed_while_idle_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);

	finish(scene, start_and_accept(scene, &spec), NNG_OK);
	complete(scene, NNG_OK);
	(void) pw_ledger_take(&scene->ledger, SEAT, 0);
	pw_ledger_kept(&scene->ledger, SEAT, NNG_OK);
	assert_clean(scene);
	pw_ledger_kept(&scene->ledger, SEAT, NNG_ECANCELED);
	assert_reported(scene, "the result changed after its completion");
}

/* Law V4: a cancel function called twice for one operation. */
static void
second_cancel_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);

	spec.deadline_ns = NOW;
	uint64_t operation = start_and_accept(scene, &spec);
	cancel(scene, operation, NNG_ETIMEDOUT);
	assert_clean(scene);
	cancel(scene, operation, NNG_ETIMEDOUT);
	assert_reported(scene, "the cancel function was called twice");
}

/* Law V4: a cancel function called after its operation's completion. */
static void
cancel_after_completion_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);

	spec.deadline_ns = NOW;
	uint64_t operation = start_and_accept(scene, &spec);
	finish(scene, operation, NNG_OK);
	complete(scene, NNG_OK);
	cancel(scene, operation, NNG_ETIMEDOUT);
	assert_reported(scene, "a cancel function called for an operation that is over");
}

/* Law V4 (C4): an abort that had returned while the handle was idle ends the next operation. */
static void
late_abort_on_next_operation_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);
	struct pw_ledger_view view;

	nng_err reason = pw_ledger_abort_enter(&scene->ledger, scene->tally, SEAT, NOW, &view);
	pw_ledger_abort_leave(&scene->ledger, scene->tally, SEAT, reason, &view);
	uint64_t operation = start_and_accept(scene, &spec);
	cancel(scene, operation, reason);
	assert_reported(scene, "ended by an abort of another operation");
}

/* Law V4: an abort that was given to another aio. */
static void
abort_of_another_aio_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);
	struct pw_ledger_view view;

	(void) pw_ledger_handle(&scene->ledger, SEAT + 1);
	uint64_t operation = start_and_accept(scene, &spec);
	nng_err reason = pw_ledger_abort_enter(&scene->ledger, scene->tally, SEAT + 1, NOW, &view);
	cancel(scene, operation, reason);
	assert_reported(scene, "an abort of another aio");
}

/* Law V4: reasons that nobody gave. */
static void
invented_reason_is_reported(void **state)
{
	struct scene *scene = *state;
	static const struct {
		nng_err reason;
		const char *what;
	} cases[] = {
		{ NNG_ECANCELED, "cancelled, and nobody asked" },
		{ NNG_ESTOPPED, "stopped, and nobody asked" },
		{ NNG_EPROTO, "ended for a reason that nobody gave" },
		{ NNG_ETIMEDOUT, "timed out without a deadline" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);
		uint64_t operation = start_and_accept(scene, &spec);
		cancel(scene, operation, cases[i].reason);
		assert_reported(scene, cases[i].what);
		scene->violations = 0;
		pw_ledger_finish(&scene->ledger, scene->tally, SEAT, operation, true, cases[i].reason, 0, NOW);
		complete(scene, cases[i].reason);
		assert_clean(scene);
	}
}

/* Law V5 (C7): one nanosecond early is early; on time is not. For a deadline, a refusal and a sleep. */
static void
early_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);

	spec.deadline_ns = NOW;
	uint64_t operation = start_and_accept(scene, &spec);
	cancel(scene, operation, NNG_ETIMEDOUT);
	assert_clean(scene);
	finish(scene, operation, NNG_OK);
	complete(scene, NNG_OK);

	spec.deadline_ns = NOW + 1;
	operation = start_and_accept(scene, &spec);
	cancel(scene, operation, NNG_ETIMEDOUT);
	assert_reported(scene, "fired early");
	finish(scene, operation, NNG_OK);
	complete(scene, NNG_OK);

	scene->violations = 0;
	operation = start(scene, &spec);
	pw_ledger_refused(&scene->ledger, SEAT, operation, &spec);
	complete(scene, NNG_ETIMEDOUT);
	assert_reported(scene, "fired early");

	scene->violations = 0;
	spec = spec_of(PW_LEDGER_SLEEP);
	spec.wake_ns = NOW + 1;
	spec.may_wake = true;
	(void) start_and_accept(scene, &spec);
	complete(scene, NNG_OK);
	assert_reported(scene, "a sleep ended early");
}

/* Law V5 (R16): a sleep ends by whichever of its end and its timeout comes first. */
static void
sleep_ended_by_the_later_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_SLEEP);

	spec.wake_ns = NOW;
	spec.deadline_ns = NOW;
	spec.may_expire = true;
	(void) start_and_accept(scene, &spec);
	complete(scene, NNG_OK);
	assert_reported(scene, "a sleep outlived its timeout");

	scene->violations = 0;
	spec.may_expire = false;
	spec.may_wake = true;
	(void) start_and_accept(scene, &spec);
	complete(scene, NNG_ETIMEDOUT);
	assert_reported(scene, "a sleep timed out that ends before its timeout");
}

/* Law V6 (C5): stop returns while an operation accepted before it has not ended, or its callback runs. */
static void
stop_that_does_not_wait_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);
	struct pw_ledger_seen seen = seen_with(NNG_OK);

	uint64_t operation = start_and_accept(scene, &spec);
	struct pw_ledger_view view = pw_ledger_stop_enter(&scene->ledger, scene->tally, SEAT, PW_LEDGER_BY_STOP);
	pw_ledger_stop_leave(&scene->ledger, SEAT, &view, PW_LEDGER_BY_STOP);
	assert_reported(scene, "returned while the operation was under way");

	scene->violations = 0;
	finish(scene, operation, NNG_OK);
	(void) enter(scene, &seen);
	assert_reported(scene, "a callback after stop returned");

	scene->violations = 0;
	view = pw_ledger_stop_enter(&scene->ledger, scene->tally, SEAT, PW_LEDGER_BY_STOP);
	pw_ledger_release(&scene->ledger, SEAT, operation);
	pw_ledger_stop_leave(&scene->ledger, SEAT, &view, PW_LEDGER_BY_STOP);
	assert_reported(scene, "returned while the callback ran");
}

/* Law V6 (C9): wait returns while the operation is under way. Nothing is held against a wait on an idle handle. */
static void
wait_that_does_not_wait_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);

	struct pw_ledger_view view = pw_ledger_stop_enter(&scene->ledger, scene->tally, SEAT, PW_LEDGER_ROWS);
	(void) start_and_accept(scene, &spec);
	pw_ledger_stop_leave(&scene->ledger, SEAT, &view, PW_LEDGER_ROWS);
	assert_clean(scene);
	view = pw_ledger_stop_enter(&scene->ledger, scene->tally, SEAT, PW_LEDGER_ROWS);
	pw_ledger_stop_leave(&scene->ledger, SEAT, &view, PW_LEDGER_ROWS);
	assert_reported(scene, "returned while the operation was under way");
}

/* Law V6 (C5): a start after stop has returned is refused, with NNG_ESTOPPED. */
static void
start_after_stop_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);

	struct pw_ledger_view view = pw_ledger_stop_enter(&scene->ledger, scene->tally, SEAT, PW_LEDGER_BY_STOP);
	pw_ledger_stop_leave(&scene->ledger, SEAT, &view, PW_LEDGER_BY_STOP);
	uint64_t operation = start(scene, &spec);
	pw_ledger_refused(&scene->ledger, SEAT, operation, &spec);
	complete(scene, NNG_ESTOPPED);
	assert_clean(scene);

	spec.deadline_ns = NOW - 1;
	operation = start(scene, &spec);
	pw_ledger_refused(&scene->ledger, SEAT, operation, &spec);
	complete(scene, NNG_ETIMEDOUT);
	assert_reported(scene, "refused for its deadline on a stopped handle");

	scene->violations = 0;
	(void) start_and_accept(scene, &spec);
	assert_reported(scene, "accepted although stop had returned before");
}

/* Law V6 (C6): free returns on a handle in use; a released handle calls back. */
static void
use_after_free_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);

	struct pw_ledger_view view = pw_ledger_stop_enter(&scene->ledger, scene->tally, SEAT, PW_LEDGER_BY_FREE);
	uint64_t operation = start_and_accept(scene, &spec);
	pw_ledger_stop_leave(&scene->ledger, SEAT, &view, PW_LEDGER_BY_FREE);
	assert_reported(scene, "free returned on a handle that is in use");

	scene->violations = 0;
	finish(scene, operation, NNG_OK);
	(void) pw_ledger_handle(&scene->ledger, SEAT);
	complete(scene, NNG_OK);
	assert_reported(scene, "a callback of a handle that was released");
}

/* Law V7 (R9, R15): refusals without a reason; acceptance of what must be refused; a refusal the provider had. */
static void
wrong_refusal_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);

	uint64_t operation = start(scene, &spec);
	pw_ledger_refused(&scene->ledger, SEAT, operation, &spec);
	complete(scene, NNG_ESTOPPED);
	assert_reported(scene, "refused as stopped, and nobody asked");

	scene->violations = 0;
	operation = start(scene, &spec);
	pw_ledger_refused(&scene->ledger, SEAT, operation, &spec);
	complete(scene, NNG_ECANCELED);
	assert_reported(scene, "refused without a reason for it");

	scene->violations = 0;
	spec.overdue = true;
	spec.deadline_ns = NOW - 1;
	operation = start_and_accept(scene, &spec);
	assert_reported(scene, "accepted although its deadline had passed before");

	scene->violations = 0;
	finish(scene, operation, NNG_OK);
	pw_ledger_refused(&scene->ledger, SEAT, operation, &spec);
	assert_reported(scene, "refused, yet it was treated as accepted");
}

/* Law: skip_callback's bool stays false only while the handle is being released. */
static void
missing_skip_is_reported(void **state)
{
	struct scene *scene = *state;

	(void) pw_ledger_stop_enter(&scene->ledger, scene->tally, SEAT, PW_LEDGER_BY_FREE);
	pw_ledger_not_skipped(&scene->ledger, SEAT, 1);
	assert_clean(scene);
	scene->handle = pw_ledger_handle(&scene->ledger, SEAT);
	pw_ledger_not_skipped(&scene->ledger, SEAT, 1);
	assert_reported(scene, "skip_callback was asked, and a callback comes");
}

/* Law V8 (C1): a completion that does not come, after a finish, a deadline, a sleep's end; at the end, at all. */
static void
lost_completion_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);
	struct pw_ledger_counts sum;

	spec.deadline_ns = NOW;
	uint64_t operation = start_and_accept(scene, &spec);
	pw_ledger_overdue(&scene->ledger, SEAT, NOW + 10, 10);
	assert_clean(scene);
	pw_ledger_overdue(&scene->ledger, SEAT, NOW + 11, 10);
	assert_reported(scene, "its completion never came");

	scene->violations = 0;
	finish(scene, operation, NNG_OK);
	pw_ledger_overdue(&scene->ledger, SEAT, NOW + 11, 10);
	assert_reported(scene, "its completion never came");

	scene->violations = 0;
	assert_false(pw_ledger_balance(&scene->ledger, &sum));
	assert_reported(scene, "never ended");
}

/* Law V8 (C3): an abort that returned before the mail was handled, and the operation goes on as if nothing was. */
static void
lost_abort_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_BEGIN);
	struct pw_ledger_view view;

	for (int cancelable = 0; cancelable < 2; cancelable++) {
		spec.cancelable = cancelable != 0;
		uint64_t operation = start(scene, &spec);
		pw_ledger_enter(&scene->ledger, SEAT, operation, PW_LEDGER_BEGUN);
		nng_err reason = pw_ledger_abort_enter(&scene->ledger, scene->tally, SEAT, NOW, &view);
		pw_ledger_abort_leave(&scene->ledger, scene->tally, SEAT, reason, &view);
		pw_ledger_accepted(&scene->ledger, SEAT, operation, &spec);
		assert_clean(scene);
		pw_ledger_unanswered(&scene->ledger, SEAT);
		if (cancelable != 0) {
			assert_reported(scene, "an abort was lost");
		}
		finish(scene, operation, NNG_OK);
		complete(scene, NNG_OK);
	}
	scene->violations = 0;
	(void) start_and_accept(scene, &spec);
	pw_ledger_unanswered(&scene->ledger, SEAT);
	assert_clean(scene);
}

/* Law V6: an operation that ended through skip_callback, outside any callback, is nothing a stop waits for. */
static void
stop_beside_a_skipped_end_is_right(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_BEGIN);
	struct pw_ledger_seen seen = seen_with(NNG_OK);

	spec.skip = true;
	uint64_t operation = start(scene, &spec);
	pw_ledger_enter(&scene->ledger, SEAT, operation, PW_LEDGER_BEGUN);
	finish(scene, operation, NNG_OK);
	pw_ledger_ended(&scene->ledger, scene->tally, SEAT, operation, &spec, &seen);
	struct pw_ledger_view view = pw_ledger_stop_enter(&scene->ledger, scene->tally, SEAT, PW_LEDGER_BY_STOP);
	pw_ledger_stop_leave(&scene->ledger, SEAT, &view, PW_LEDGER_BY_STOP);
	assert_clean(scene);
}

/* Law V8 (C8): a message that the provider took and that came back all the same, or went nowhere. */
static void
lost_message_is_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_spec spec = spec_of(PW_LEDGER_START);
	struct pw_ledger_counts sum;

	spec.message = PW_LEDGER_RECEIVE;
	finish(scene, start_and_accept(scene, &spec), NNG_OK);
	complete(scene, NNG_OK); /* with an empty slot */
	assert_reported(scene, "the message slot is not what the winner left");

	scene->violations = 0;
	spec.message = PW_LEDGER_SEND;
	finish(scene, start_and_accept(scene, &spec), NNG_EPROTO);
	complete(scene, NNG_EPROTO); /* it should still be there */
	assert_reported(scene, "the message slot is not what the winner left");

	scene->violations = 0;
	atomic_fetch_add(&scene->tally->counts.messages_made, 1);
	assert_false(pw_ledger_balance(&scene->ledger, &sum));
	assert_reported(scene, "messages do not balance");
}

/* Law V1: at the end, starts and ends that differ in number. */
static void
unbalanced_starts_are_reported(void **state)
{
	struct scene *scene = *state;
	struct pw_ledger_counts sum;

	atomic_fetch_add(&scene->tally->counts.called_back, 1);
	assert_false(pw_ledger_balance(&scene->ledger, &sum));
	assert_reported(scene, "starts and ends do not balance");
}

/* Law: only reachable cells count as empty, each of them does, and it is named as far as the text reaches. */
static void
empty_cells_are_counted_and_named(void **state)
{
	struct pw_ledger_counts sum;
	char text[64] = "untouched";
	unsigned reachable = 0;

	(void) state;
	memset(&sum, 0, sizeof(sum));
	for (unsigned row = 0; row < PW_LEDGER_ROWS; row++) {
		for (unsigned column = 0; column < PW_LEDGER_COLUMNS; column++) {
			reachable += pw_ledger_effect[row][column] != PW_LEDGER_UNREACHABLE;
		}
	}
	assert_true(reachable > 30);
	assert_int_equal(pw_ledger_empty_cells(&sum, text, sizeof(text)), reachable);
	assert_int_equal(strncmp(text, "finish on reset; finish on begun; ", 34), 0);
	assert_int_equal(strlen(text), sizeof(text) - 1);
	sum.cell[PW_LEDGER_BY_ABORT][PW_LEDGER_ON_BEGUN] = 1;
	assert_int_equal(pw_ledger_empty_cells(&sum, text, sizeof(text)), reachable - 1);
	sum.cell[PW_LEDGER_BY_FINISH][PW_LEDGER_ON_IDLE] = 1;
	assert_int_equal(pw_ledger_empty_cells(&sum, text, sizeof(text)), reachable - 1);

	for (unsigned row = 0; row < PW_LEDGER_ROWS; row++) {
		for (unsigned column = 0; column < PW_LEDGER_COLUMNS; column++) {
			sum.cell[row][column] = 1;
		}
	}
	sum.cell[PW_LEDGER_BY_TIMEOUT][PW_LEDGER_ON_DONE] = 0;
	assert_int_equal(pw_ledger_empty_cells(&sum, text, sizeof(text)), 1);
	assert_string_equal(text, "timeout on done");
}

#define LAW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LAW(correct_courses_balance),
		LAW(overtaken_start_is_judged),
		LAW(second_completion_is_reported),
		LAW(completion_without_winner_is_reported),
		LAW(completion_before_finish_is_reported),
		LAW(overlapping_callbacks_are_reported),
		LAW(callback_beside_cancel_is_reported),
		LAW(other_values_are_reported),
		LAW(result_changed_while_idle_is_reported),
		LAW(second_cancel_is_reported),
		LAW(cancel_after_completion_is_reported),
		LAW(late_abort_on_next_operation_is_reported),
		LAW(abort_of_another_aio_is_reported),
		LAW(invented_reason_is_reported),
		LAW(early_is_reported),
		LAW(sleep_ended_by_the_later_is_reported),
		LAW(stop_that_does_not_wait_is_reported),
		LAW(wait_that_does_not_wait_is_reported),
		LAW(start_after_stop_is_reported),
		LAW(use_after_free_is_reported),
		LAW(wrong_refusal_is_reported),
		LAW(missing_skip_is_reported),
		LAW(lost_completion_is_reported),
		LAW(lost_abort_is_reported),
		LAW(stop_beside_a_skipped_end_is_right),
		LAW(lost_message_is_reported),
		LAW(unbalanced_starts_are_reported),
		LAW(empty_cells_are_counted_and_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * aio_test.c: the contract of abort, cancel and stop, and of what a handle carries: result, count, message, iov,
 * inputs and outputs.
 */
#include "tests/contract/contract.h"

#include "engine/aio/aio.h"

/* ---- abort, cancel */

/* "nng_aio_abort(aio, err) / nng_aio_cancel(aio) (cancel = abort with NNG_ECANCELED)." Method: a provider that
 * finishes with the reason it is given. */
static void
abort_passes_its_reason_and_cancel_is_ecanceled(void **unused)
{
	(void) unused;
	for (int i = 0; i < 2; i++) {
		struct consumer c = CONSUMER;
		struct provider p = PROVIDER;
		consumer_open(&c, 0);
		assert_true(provider_start(&p, c.aio));
		if (i == 0) {
			nng_aio_abort(c.aio, NNG_EPROTO);
		} else {
			nng_aio_cancel(c.aio);
		}
		nng_aio_wait(c.aio);
		assert_int_equal(p.reason, i == 0 ? NNG_EPROTO : NNG_ECANCELED);
		assert_ptr_equal(p.aio, c.aio);
		assert_int_equal(c.result, p.reason);
		assert_int_equal(consumer_calls(&c), 1);
		nng_aio_free(c.aio);
	}
}

/* "Returns without waiting. The cancel function runs later on the home shard (R24), at most once per operation."
 * Method: the home shard is held: abort returns, and its function has not run; then it runs there, once, although
 * abort, cancel and stop's mark came after it. */
static void
abort_returns_and_its_function_runs_later_at_home_once(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	struct hold hold = HOLD;

	(void) unused;
	p.ignores = true;
	consumer_open(&c, 1);
	assert_true(provider_start(&p, c.aio));
	shard_hold(&hold, 1);
	nng_aio_abort(c.aio, NNG_EPROTO);
	uint64_t returned = moment();
	assert_int_equal(provider_cancels(&p), 0);
	shard_let_go(&hold, 1);
	nng_aio_abort(c.aio, NNG_EINTR);
	nng_aio_cancel(c.aio);
	pinwheel_aio_close(c.aio);
	shard_pass(1);
	assert_int_equal(provider_cancels(&p), 1);
	assert_int_equal(p.shard, 1);
	assert_int_equal(p.reason, NNG_EPROTO);
	assert_true(p.began > returned);
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_OK);
	nng_aio_free(c.aio);
}

/* "idle, finished, or callback running with no new operation accepted: no effect, now or on the next operation".
 * Method: on a fresh handle; after reset ("Reset but not started counts as idle"); then an operation is started and
 * must not be cancelled. */
static void
abort_of_an_idle_handle_does_nothing_to_the_next_operation(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	nng_aio_abort(c.aio, NNG_EPROTO);
	nng_aio_cancel(c.aio);
	assert_int_equal(nng_aio_result(c.aio), NNG_OK);
	nng_aio_reset(c.aio);
	nng_aio_abort(c.aio, NNG_EPROTO);
	assert_int_equal(nng_aio_result(c.aio), NNG_OK);
	assert_true(provider_start(&p, c.aio));
	shard_pass(0);
	assert_int_equal(provider_cancels(&p), 0);
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_OK);
	nng_aio_reset(c.aio);
	nng_aio_abort(c.aio, NNG_EPROTO);
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_OK);
	assert_int_equal(consumer_calls(&c), 2);
	nng_aio_free(c.aio);
}

/* "a result is immutable once the operation finished (R4: the text says so; NNG 2.x and 1.12 overwrite it)", and of
 * stop: "Never changes a finished operation's result." Method: the operation is finished while its shard is held, so
 * it is certainly not delivered; then abort, cancel and close, in each order. The same after the delivery. With the
 * count, the message and an output. */
static void
late_abort_cancel_and_stop_never_change_a_finished_result(void **unused)
{
	uint64_t message = 0;

	(void) unused;
	for (int i = 0; i < 4; i++) {
		struct consumer c = CONSUMER;
		struct provider p = PROVIDER;
		struct hold hold = HOLD;
		consumer_open(&c, 0);
		assert_true(provider_start(&p, c.aio));
		shard_hold(&hold, 0);
		nng_aio_set_msg(c.aio, (nng_msg *) (void *) &message);
		assert_int_equal(nng_aio_set_output(c.aio, 0, &message), NNG_OK);
		pw_aio_finish(c.aio, i % 2 == 0 ? NNG_OK : NNG_EPROTO, 42);
		nng_aio_abort(c.aio, NNG_EINTR);
		nng_aio_cancel(c.aio);
		if (i >= 2) {
			pinwheel_aio_close(c.aio);
			nng_aio_cancel(c.aio);
		}
		shard_let_go(&hold, 0);
		nng_aio_wait(c.aio);
		assert_int_equal(c.result, i % 2 == 0 ? NNG_OK : NNG_EPROTO);
		nng_aio_abort(c.aio, NNG_EINTR);
		nng_aio_stop(c.aio);
		shard_pass(0);
		assert_int_equal(nng_aio_result(c.aio), i % 2 == 0 ? NNG_OK : NNG_EPROTO);
		assert_int_equal(nng_aio_count(c.aio), 42);
		assert_ptr_equal(nng_aio_get_msg(c.aio), &message);
		assert_ptr_equal(nng_aio_get_output(c.aio, 0), &message);
		assert_int_equal(c.count, 42);
		assert_ptr_equal(c.msg, &message);
		assert_ptr_equal(c.output, &message);
		assert_int_equal(consumer_calls(&c), 1);
		assert_int_equal(provider_cancels(&p), 0);
		nng_aio_free(c.aio);
	}
}

/* The same, against an abort that came first and whose cancel function has not run when the provider finishes: the
 * provider's finish is the result. Method: the shard is held from before the abort until after the finish. */
static void
abort_that_loses_to_a_finish_changes_nothing(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	struct hold hold = HOLD;

	(void) unused;
	consumer_open(&c, 0);
	assert_true(provider_start(&p, c.aio));
	shard_hold(&hold, 0);
	nng_aio_abort(c.aio, NNG_EINTR);
	nng_aio_finish(c.aio, NNG_OK);
	shard_let_go(&hold, 0);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_OK);
	assert_int_equal(provider_cancels(&p), 0);
	assert_true(provider_start(&p, c.aio)); /* and nothing is left for the next one */
	shard_pass(0);
	assert_int_equal(provider_cancels(&p), 0);
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_OK);
	nng_aio_free(c.aio);
}

static void
finish_here(void *arg)
{
	nng_aio_finish(arg, NNG_OK);
}

/* "finished ...: no effect", although home has taken the abort, or the deadline, and has the cancel function in its
 * queue: behind a function that finishes the operation, it is not called. Method: the shard is held while that function
 * is sent and then the abort; or while the deadline passes, which is seen after the mail. */
static void
abort_in_the_ready_queue_loses_to_a_finish_before_it(void **unused)
{
	(void) unused;
	for (int expiry = 0; expiry < 2; expiry++) {
		struct consumer c = CONSUMER;
		struct provider p = PROVIDER;
		struct hold hold = HOLD;
		p.ignores = true;
		consumer_open(&c, 0);
		nng_aio_set_timeout(c.aio, expiry ? 1 : NNG_DURATION_INFINITE);
		shard_hold(&hold, 0);
		assert_true(provider_start(&p, c.aio));
		assert_int_equal(pinwheel_run_on(0, finish_here, c.aio), NNG_OK);
		if (expiry) {
			nng_msleep(3);
		} else {
			nng_aio_abort(c.aio, NNG_EPROTO);
		}
		shard_let_go(&hold, 0);
		nng_aio_wait(c.aio);
		assert_int_equal(c.result, NNG_OK);
		assert_int_equal(consumer_calls(&c), 1);
		assert_int_equal(provider_cancels(&p), 0);
		nng_aio_free(c.aio);
	}
}

static void
abort_self(struct consumer *c)
{
	nng_aio_abort(c->aio, NNG_EINTR);
	nng_aio_cancel(c->aio);
	c->result = nng_aio_result(c->aio);
}

/* "callback running with no new operation accepted: no effect, now or on the next operation". Method: the callback
 * aborts its own handle; the next operation is not cancelled. */
static void
abort_in_the_callback_without_a_new_operation_does_nothing(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	c.step = abort_self;
	nng_sleep_aio(0, c.aio);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_OK);
	c.step = NULL;
	assert_true(provider_start(&p, c.aio));
	shard_pass(0);
	assert_int_equal(provider_cancels(&p), 0);
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_OK);
	nng_aio_free(c.aio);
}

static void
start_and_abort(struct consumer *c)
{
	struct provider *p = c->arg;
	if (consumer_calls(c) == 0 && provider_start(p, c->aio)) {
		nng_aio_abort(c->aio, NNG_EPROTO);
	}
}

/* "once the callback or another thread has started again, abort and stop act on that operation". Method: the callback
 * starts the handle again and aborts it, still inside. */
static void
abort_in_the_callback_acts_on_what_it_has_started(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	c.step = start_and_abort;
	c.arg = &p;
	nng_sleep_aio(0, c.aio);
	nng_aio_wait(c.aio);
	assert_int_equal(consumer_calls(&c), 2);
	assert_int_equal(p.reason, NNG_EPROTO);
	assert_int_equal(c.result, NNG_EPROTO);
	nng_aio_free(c.aio);
}

static void
enter_and_stay(struct consumer *c)
{
	if (c->arg != NULL) {
		struct hold *hold = c->arg;
		gate_open(&hold->in);
		gate_pass(&hold->out, 1);
	}
}

/* The same, started by another thread while the callback runs. Method: the callback stays in; this thread starts and
 * aborts (or stops); the callback leaves; the second operation ends with the reason. */
static void
abort_and_stop_act_on_what_another_thread_started_in_the_callback(void **unused)
{
	(void) unused;
	for (int stop = 0; stop < 2; stop++) {
		struct consumer c = CONSUMER;
		struct provider p = PROVIDER;
		struct hold hold = HOLD;
		consumer_open(&c, 0);
		c.step = enter_and_stay;
		c.arg = &hold;
		nng_sleep_aio(0, c.aio);
		gate_pass(&hold.in, 1);
		assert_true(provider_start(&p, c.aio));
		if (stop) {
			pinwheel_aio_close(c.aio);
		} else {
			nng_aio_abort(c.aio, NNG_EPROTO);
		}
		gate_open(&hold.out);
		nng_aio_wait(c.aio);
		assert_int_equal(consumer_calls(&c), 2);
		assert_int_equal(c.result, stop ? NNG_ESTOPPED : NNG_EPROTO);
		nng_aio_free(c.aio);
	}
}

/* "begun but not deferred: remembered for that operation, see defer." Method: begin, abort, finish without defer: the
 * finish counts, and the next operation knows nothing of the abort. */
static void
abort_of_a_begun_operation_is_for_that_operation(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	assert_true(nng_aio_begin(c.aio));
	nng_aio_abort(c.aio, NNG_EINTR);
	assert_int_equal(nng_aio_result(c.aio), NNG_OK);
	nng_aio_finish(c.aio, NNG_EPROTO);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_EPROTO);
	assert_true(provider_start(&p, c.aio));
	shard_pass(0);
	assert_int_equal(provider_cancels(&p), 0);
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_wait(c.aio);
	nng_aio_free(c.aio);
}

/* "Aborted twice: the first reason wins (R5)." Method: twice while the shard is held; twice between begin and defer;
 * and a stop after an abort. */
static void
abort_twice_the_first_reason_wins(void **unused)
{
	(void) unused;
	for (int i = 0; i < 3; i++) {
		struct consumer c = CONSUMER;
		struct provider p = PROVIDER;
		struct hold hold = HOLD;
		consumer_open(&c, 0);
		shard_hold(&hold, 0);
		if (i == 1) {
			assert_true(nng_aio_begin(c.aio));
		} else {
			assert_true(provider_start(&p, c.aio));
		}
		nng_aio_abort(c.aio, NNG_EPROTO);
		nng_aio_abort(c.aio, NNG_EINTR);
		if (i == 1) {
			nng_aio_defer(c.aio, provider_cancel, &p);
		}
		if (i == 2) {
			pinwheel_aio_close(c.aio);
		}
		shard_let_go(&hold, 0);
		nng_aio_wait(c.aio);
		assert_int_equal(p.reason, NNG_EPROTO);
		assert_int_equal(c.result, NNG_EPROTO);
		assert_int_equal(provider_cancels(&p), 1);
		nng_aio_free(c.aio);
	}
}

/* "err 0: passed on as it is." Method: an abort with 0; a second with a reason changes nothing (R5). */
static void
abort_with_0_passes_0_on(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	struct hold hold = HOLD;

	(void) unused;
	p.reason = NNG_EINTERNAL;
	consumer_open(&c, 0);
	assert_true(provider_start(&p, c.aio));
	shard_hold(&hold, 0);
	nng_aio_abort(c.aio, NNG_OK);
	nng_aio_abort(c.aio, NNG_EPROTO);
	shard_let_go(&hold, 0);
	nng_aio_wait(c.aio);
	assert_int_equal(provider_cancels(&p), 1);
	assert_int_equal(p.reason, NNG_OK);
	assert_int_equal(c.result, NNG_OK);
	nng_aio_free(c.aio);
}

/* "no cancel function: no effect on the operation." Method: both forms with fn NULL, aborted; the operation is still
 * busy afterwards and ends with its provider's result. */
static void
abort_without_a_cancel_function_has_no_effect(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	consumer_open(&c, 0);
	for (unsigned i = 0; i < 2; i++) {
		if (i == 0) {
			assert_true(nng_aio_start(c.aio, NULL, NULL));
		} else {
			assert_true(nng_aio_begin(c.aio));
			nng_aio_defer(c.aio, NULL, NULL);
		}
		nng_aio_abort(c.aio, NNG_EINTR);
		shard_pass(0);
		assert_true(nng_aio_busy(c.aio));
		assert_int_equal(consumer_calls(&c), i);
		nng_aio_finish(c.aio, NNG_OK);
		nng_aio_wait(c.aio);
		assert_int_equal(c.result, NNG_OK);
	}
	nng_aio_free(c.aio);
}

/* "After a cancel that the provider ignored, its deadline is gone too (R18)." Method: a deadline of 5 ms, aborted at
 * once; when a sleep of 20 ms on the same shard has ended, the cancel function has still been called only once. */
static void
abort_that_was_ignored_takes_the_deadline_away(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	nng_aio *sleeper;

	(void) unused;
	p.ignores = true;
	consumer_open(&c, 0);
	nng_aio_set_timeout(c.aio, 5);
	struct hold hold = HOLD;
	shard_hold(&hold, 0); /* the abort is home before the deadline can be */
	assert_true(provider_start(&p, c.aio));
	nng_aio_abort(c.aio, NNG_EPROTO);
	shard_let_go(&hold, 0);
	assert_int_equal(pinwheel_aio_alloc_on(&sleeper, 0, NULL, NULL), NNG_OK);
	nng_sleep_aio(20, sleeper);
	nng_aio_wait(sleeper);
	assert_int_equal(provider_cancels(&p), 1);
	assert_int_equal(p.reason, NNG_EPROTO);
	assert_true(nng_aio_busy(c.aio));
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_OK);
	nng_aio_free(sleeper);
	nng_aio_free(c.aio);
}

/* ---- stop */

/* "nng_aio_stop(aio): marks permanently stopped; aborts with NNG_ESTOPPED (R6); waits for operation and callback; the
 * callback runs before stop returns (R8)." Method: moments. */
static void
stop_aborts_with_estopped_and_the_callback_runs_before_it_returns(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	assert_int_equal(NNG_ESTOPPED, 999); /* R20 */
	consumer_open(&c, 0);
	assert_true(provider_start(&p, c.aio));
	nng_aio_stop(c.aio);
	uint64_t returned = moment();
	assert_int_equal(p.reason, NNG_ESTOPPED);
	assert_int_equal(consumer_calls(&c), 1);
	assert_int_equal(c.result, NNG_ESTOPPED);
	assert_true(c.left < returned);
	assert_false(nng_aio_busy(c.aio));
	nng_aio_free(c.aio);
}

struct stopper {
	nng_aio *aio;
	struct gate *started;
	pw_a32 *finishing;
	bool after;
};

static void *
stop_and_look(void *arg)
{
	struct stopper *s = arg;
	gate_open(s->started);
	nng_aio_stop(s->aio);
	s->after = pw_load_acquire_32(s->finishing) != 0;
	return NULL;
}

/* "waits for operation", and "Idempotent, from several threads at once, on an idle handle (no callback)." Method:
 * four threads stop one handle whose provider ignores its cancel; each says, when it is back, whether the finish had
 * been begun. Then twice more on the idle handle: no callback. */
static void
stop_is_idempotent_from_several_threads(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	struct gate started = GATE;
	struct stopper s[4];
	pthread_t thread[4];
	pw_a32 finishing;

	(void) unused;
	pw_store_relaxed_32(&finishing, 0);
	p.ignores = true;
	consumer_open(&c, 0);
	assert_true(provider_start(&p, c.aio));
	for (int i = 0; i < 4; i++) {
		s[i] = (struct stopper){ .aio = c.aio, .started = &started, .finishing = &finishing };
		thread[i] = thread_start(stop_and_look, &s[i]);
	}
	gate_pass(&started, 4);
	gate_pass(&p.canceled, 1);
	assert_int_equal(consumer_calls(&c), 0);
	pw_store_release_32(&finishing, 1);
	nng_aio_finish(c.aio, NNG_EPROTO);
	for (int i = 0; i < 4; i++) {
		thread_end(thread[i]);
		assert_true(s[i].after);
	}
	nng_aio_stop(c.aio);
	nng_aio_stop(c.aio);
	shard_pass(0);
	assert_int_equal(provider_cancels(&p), 1);
	assert_int_equal(consumer_calls(&c), 1);
	assert_int_equal(c.result, NNG_EPROTO);
	nng_aio_free(c.aio);
}

/* "on an idle handle (no callback)". Method: a fresh one. */
static void
stop_of_an_idle_handle_calls_nothing(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	consumer_open(&c, 0);
	nng_aio_stop(c.aio);
	shard_pass(0);
	assert_int_equal(consumer_calls(&c), 0);
	assert_int_equal(nng_aio_result(c.aio), NNG_OK);
	nng_aio_free(c.aio);
}

static void
stop_self(struct consumer *c)
{
	nng_aio_stop(c->aio);
}

/* "From the own callback: marks and does not wait for itself (R21)." Method: the callback stops its handle and
 * returns; the next start is refused. */
static void
stop_in_the_own_callback_marks_and_returns(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	c.step = stop_self;
	nng_sleep_aio(0, c.aio);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_OK);
	assert_false(provider_start(&p, c.aio));
	nng_aio_wait(c.aio);
	assert_int_equal(consumer_calls(&c), 2);
	assert_int_equal(c.result, NNG_ESTOPPED);
	nng_aio_free(c.aio);
}

/* "A start after stop is refused: false, and one completion with NNG_ESTOPPED, count 0, each time (R9, as 2.x)", and
 * in the table of the provider side: "begin: false, and one completion with NNG_ESTOPPED as R9/R10 (R11)". Method:
 * three times each form, from outside and from a shard; the last operation before had a count, an output and a
 * deadline that has passed ("Reasons are tested in this order: stopped, deadline"). */
static void
start_after_stop_is_refused_each_time_with_one_completion(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	assert_true(provider_start(&p, c.aio));
	assert_int_equal(nng_aio_set_output(c.aio, 0, &p), NNG_OK);
	pw_aio_finish(c.aio, NNG_OK, 42);
	nng_aio_stop(c.aio);
	assert_int_equal(c.count, 42);
	for (unsigned i = 0; i < 6; i++) {
		nng_aio_set_timeout(c.aio, i < 4 ? NNG_DURATION_DEFAULT : NNG_DURATION_ZERO);
		if (i % 2 == 0) {
			assert_false(provider_start(&p, c.aio));
		} else {
			assert_false(nng_aio_begin(c.aio));
		}
		nng_aio_wait(c.aio);
		shard_pass(0);
		assert_int_equal(consumer_calls(&c), 2 + i);
		assert_int_equal(c.result, NNG_ESTOPPED);
		assert_int_equal(c.count, 0);
		assert_null(c.output);
		assert_int_equal(nng_aio_result(c.aio), NNG_ESTOPPED);
		assert_int_equal(nng_aio_count(c.aio), 0);
	}
	assert_int_equal(provider_cancels(&p), 0);
	nng_aio_free(c.aio);
}

static void
resubmit_blindly(struct consumer *c)
{
	struct provider *p = c->arg;
	c->count = provider_start(p, c->aio); /* a real one would be a server: serve the next */
}

/* "A callback that resubmits blindly must not keep stop from returning", and R10: "except a begin or start made on
 * the thread that is running the handle's own callback, when that callback delivers NNG_ESTOPPED: false, no further
 * callback, the result is NNG_ESTOPPED again". Method: such a callback; stop returns, and there was one callback. */
static void
stop_returns_although_the_callback_resubmits(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	c.step = resubmit_blindly;
	c.arg = &p;
	assert_true(provider_start(&p, c.aio));
	nng_aio_stop(c.aio);
	shard_pass(0);
	assert_int_equal(consumer_calls(&c), 1);
	assert_int_equal(c.count, false);
	assert_int_equal(nng_aio_result(c.aio), NNG_ESTOPPED);
	nng_aio_free(c.aio);
}

static void
resubmit_in_every_way(struct consumer *c)
{
	struct provider *p = c->arg;
	c->count = 0;
	c->count += provider_start(p, c->aio);
	c->count += nng_aio_begin(c->aio);
	nng_aio_reset(c->aio);
	c->count += provider_start(p, c->aio);
	nng_aio_reset(c->aio);
	c->count += nng_aio_begin(c->aio);
	c->result = nng_aio_result(c->aio);
}

/* "(what the shard recorded when it made the call: reset and begin do not change that record)". Method: inside a
 * callback that delivers NNG_ESTOPPED: start, begin, reset and start, reset and begin: all refused, no callback more.
 * The completion that is delivered is once an abort's, once a refusal's. */
static void
resubmit_in_a_stopped_callback_is_refused_whatever_came_before(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	c.step = resubmit_in_every_way;
	c.arg = &p;
	assert_true(provider_start(&p, c.aio));
	nng_aio_stop(c.aio);
	for (unsigned calls = 1; calls <= 2; calls++) {
		shard_pass(0);
		assert_int_equal(consumer_calls(&c), calls);
		assert_int_equal(c.count, 0);
		assert_int_equal(c.result, NNG_ESTOPPED);
		if (calls == 1) {
			assert_false(provider_start(&p, c.aio));
			nng_aio_wait(c.aio);
		}
	}
	nng_aio_free(c.aio);
}

/* R10 holds for that thread only, and for a callback that delivers NNG_ESTOPPED only. Method: the callback of a
 * successful operation, on a handle stopped meanwhile, starts again: refused, with a completion (R9), whose callback
 * starts again: refused, without one. */
static void
resubmit_after_a_success_on_a_stopped_handle_completes_once_more(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	struct hold hold = HOLD;

	(void) unused;
	consumer_open(&c, 0);
	c.step = resubmit_blindly;
	c.arg = &p;
	assert_true(provider_start(&p, c.aio));
	shard_hold(&hold, 0);
	nng_aio_finish(c.aio, NNG_OK);
	pinwheel_aio_close(c.aio);
	shard_let_go(&hold, 0);
	nng_aio_wait(c.aio);
	shard_pass(0);
	assert_int_equal(consumer_calls(&c), 2);
	assert_int_equal(c.result, NNG_ESTOPPED);
	assert_int_equal(provider_cancels(&p), 0);
	nng_aio_free(c.aio);
}

/* R10, "made on the thread that is running the handle's own callback": another thread's start during that callback is
 * refused with a completion. Method: the callback that delivers NNG_ESTOPPED stays in while this thread starts. */
static void
start_from_another_thread_during_a_stopped_callback_completes(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	struct hold hold = HOLD;

	(void) unused;
	consumer_open(&c, 0);
	c.step = enter_and_stay;
	c.arg = &hold;
	assert_true(provider_start(&p, c.aio));
	pinwheel_aio_close(c.aio);
	gate_pass(&hold.in, 1);
	assert_false(provider_start(&p, c.aio));
	gate_open(&hold.out);
	nng_aio_wait(c.aio);
	assert_int_equal(consumer_calls(&c), 2);
	assert_int_equal(c.result, NNG_ESTOPPED);
	nng_aio_free(c.aio);
}

/* "A finish straight from reset is not refused on a stopped handle (a message may have changed hands): it is
 * delivered with its own result, also after stop returned". Method: stop, reset, finish: the callback runs with the
 * result. */
static void
finish_from_reset_on_a_stopped_handle_is_delivered(void **unused)
{
	struct consumer c = CONSUMER;
	uint64_t message = 0;

	(void) unused;
	consumer_open(&c, 0);
	nng_aio_stop(c.aio);
	nng_aio_reset(c.aio);
	nng_aio_set_msg(c.aio, (nng_msg *) (void *) &message);
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_wait(c.aio);
	assert_int_equal(consumer_calls(&c), 1);
	assert_int_equal(c.result, NNG_OK);
	assert_ptr_equal(c.msg, &message);
	nng_aio_free(c.aio);
}

/* ---- result and count */

/* "nng_aio_result / nng_aio_count: what finish was given; after a refused start the reason. count: bytes moved; 0 for
 * sleeps, refused starts and plain providers." Method: results from the whole range of int; a count by the engine's
 * own finish, which a sleep, a refusal and a plain provider then clear. "Cleared by each new operation: result,
 * count, outputs." */
static void
result_and_count_are_what_finish_was_given(void **unused)
{
	static const nng_err results[] = { NNG_OK, NNG_EPROTO, NNG_ESYSERR + 5, NNG_ETRANERR + 7, -1, INT32_MIN,
		INT32_MAX };
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
		assert_true(provider_start(&p, c.aio));
		nng_aio_finish(c.aio, results[i]);
		nng_aio_wait(c.aio);
		assert_int_equal(c.result, results[i]);
		assert_int_equal(nng_aio_result(c.aio), results[i]);
	}
	for (int i = 0; i < 4; i++) {
		assert_true(provider_start(&p, c.aio));
		pw_aio_finish(c.aio, NNG_EPROTO, SIZE_MAX);
		nng_aio_wait(c.aio);
		assert_int_equal(c.count, SIZE_MAX);
		if (i == 0) {
			nng_sleep_aio(1, c.aio);
		} else if (i == 1) {
			nng_sleep_aio(0, c.aio);
		} else if (i == 2) {
			nng_aio_set_timeout(c.aio, NNG_DURATION_ZERO);
			assert_false(provider_start(&p, c.aio));
		} else {
			nng_aio_set_timeout(c.aio, NNG_DURATION_INFINITE);
			assert_true(provider_start(&p, c.aio));
			assert_int_equal(nng_aio_result(c.aio), NNG_OK);
			nng_aio_finish(c.aio, NNG_EINTR);
		}
		nng_aio_wait(c.aio);
		assert_int_equal(c.count, 0);
		assert_int_equal(c.result, i < 2 ? NNG_OK : i == 2 ? NNG_ETIMEDOUT : NNG_EINTR);
		nng_aio_set_timeout(c.aio, NNG_DURATION_DEFAULT);
	}
	nng_aio_free(c.aio);
}

/* ---- messages */

/* Plays a protocol's send: takes the message, or fails. */
static void
send_message(nng_aio *aio, nng_err outcome, nng_msg **taken)
{
	nng_aio_reset(aio);
	if (outcome == NNG_OK) {
		*taken = nng_aio_get_msg(aio);
		nng_aio_set_msg(aio, NULL);
	}
	nng_aio_finish(aio, outcome);
}

/* "nng_aio_set_msg / get_msg: one slot, no ownership logic in the handle. Send: success: the provider took the
 * message (and clears the slot); any error: it is still there and the consumer's." Method: a send that succeeds, one
 * that fails, one that is cancelled, and one that is refused because its time is over. */
static void
msg_of_a_send_is_the_providers_on_success_and_stays_on_error(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	uint64_t place = 0;
	nng_msg *message = (nng_msg *) (void *) &place, *taken = NULL;

	(void) unused;
	consumer_open(&c, 0);
	nng_aio_set_msg(c.aio, message);
	assert_ptr_equal(nng_aio_get_msg(c.aio), message);
	send_message(c.aio, NNG_EPROTO, &taken);
	nng_aio_wait(c.aio);
	assert_null(taken);
	assert_ptr_equal(c.msg, message);

	assert_true(provider_start(&p, c.aio));
	nng_aio_cancel(c.aio);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_ECANCELED);
	assert_ptr_equal(c.msg, message);

	nng_aio_set_timeout(c.aio, NNG_DURATION_ZERO);
	assert_false(provider_start(&p, c.aio));
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_ETIMEDOUT);
	assert_ptr_equal(c.msg, message);

	send_message(c.aio, NNG_OK, &taken);
	nng_aio_wait(c.aio);
	assert_ptr_equal(taken, message);
	assert_null(c.msg);
	assert_null(nng_aio_get_msg(c.aio));
	nng_aio_free(c.aio);
}

/* "Receive: success: the slot holds it, the consumer takes it; error: nothing is stored. Result and message are
 * published together." Method: the message is stored and finished with on this thread; the callback, on the shard's,
 * sees both; the slot still holds it after that. An error before it stored nothing. */
static void
msg_of_a_receive_comes_with_the_result(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	uint64_t place = 0;
	nng_msg *message = (nng_msg *) (void *) &place;

	(void) unused;
	consumer_open(&c, 1);
	assert_true(provider_start(&p, c.aio));
	nng_aio_cancel(c.aio);
	nng_aio_wait(c.aio);
	assert_null(c.msg);
	assert_true(provider_start(&p, c.aio));
	nng_aio_set_msg(c.aio, message);
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_OK);
	assert_ptr_equal(c.msg, message);
	assert_ptr_equal(nng_aio_get_msg(c.aio), message);
	nng_aio_free(c.aio);
}

/* ---- iov, inputs, outputs */

/* "nng_aio_set_iov(aio, n, iov) -> nng_err (R1: callers of both forms in the text compile), `const nng_iov *`. Copies
 * n elements; 0 allowed; at most four (R2), above: NNG_EINVAL and the old vector stays." Method: both ways of
 * calling; the caller's vector is overwritten after the call; then five, then none. */
static void
iov_is_copied_and_at_most_four(void **unused)
{
	nng_iov vector[5];
	const nng_iov *const read_only = vector;
	char bytes[5];
	nng_aio *aio;

	(void) unused;
	assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), NNG_OK);
	for (unsigned i = 0; i < 5; i++) {
		vector[i] = (nng_iov){ .iov_buf = &bytes[i], .iov_len = i + 1 };
	}
	int rv = nng_aio_set_iov(aio, 4, vector); /* the form that returns a code */
	assert_int_equal(rv, NNG_OK);
	memset(vector, 0, sizeof vector);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(aio->niov, 4);
		for (unsigned i = 0; i < 4; i++) {
			assert_ptr_equal(aio->iov[i].iov_buf, &bytes[i]);
			assert_int_equal(aio->iov[i].iov_len, i + 1);
		}
		assert_int_equal(nng_aio_set_iov(aio, PINWHEEL_IOV_MAX + 1, read_only), NNG_EINVAL);
		assert_int_equal(nng_aio_set_iov(aio, UINT32_MAX, read_only), NNG_EINVAL);
		assert_int_equal(nng_aio_set_iov(aio, 1, NULL), NNG_EINVAL);
		nng_sleep_aio(0, aio); /* sticky: an operation leaves it */
		nng_aio_wait(aio);
	}
	nng_aio_set_iov(aio, 0, NULL); /* the form that returns nothing */
	assert_int_equal(aio->niov, 0);
	nng_aio_free(aio);
}

static void
set_outputs(struct provider *p)
{
	for (unsigned i = 0; i < 4; i++) {
		(void) nng_aio_set_output(p->aio, i, (char *) p + i);
	}
}

/* "nng_aio_set_input(aio, i, p) / get_input / set_output / get_output: 0..3. Above: set has no effect (returns
 * NNG_EINVAL, R3), get returns NULL. Inputs survive operations, outputs are cleared by a new one." Method: as it
 * says, with each entry of an operation: reset, begin, start, a refused start, a sleep. */
static void
inputs_survive_and_outputs_are_cleared(void **unused)
{
	struct provider p = PROVIDER;
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(nng_aio_set_input(aio, i, (char *) &p + i), NNG_OK);
	}
	p.aio = aio;
	p.step = set_outputs;
	for (int entry = 0; entry < 5; entry++) {
		assert_true(provider_start(&p, aio));
		nng_aio_cancel(aio);
		nng_aio_wait(aio);
		for (unsigned i = 0; i < 4; i++) {
			assert_ptr_equal(nng_aio_get_output(aio, i), (char *) &p + i);
		}
		if (entry == 0) {
			nng_aio_reset(aio);
		} else if (entry == 1) {
			assert_true(nng_aio_begin(aio));
		} else if (entry == 2) {
			assert_true(nng_aio_start(aio, NULL, NULL));
		} else if (entry == 3) {
			nng_aio_set_timeout(aio, NNG_DURATION_ZERO);
			assert_false(provider_start(&p, aio));
			nng_aio_set_timeout(aio, NNG_DURATION_DEFAULT);
		} else {
			nng_sleep_aio(0, aio);
		}
		for (unsigned i = 0; i < 4; i++) {
			assert_null(nng_aio_get_output(aio, i));
			assert_ptr_equal(nng_aio_get_input(aio, i), (char *) &p + i);
		}
		if (entry < 3) {
			/* one alone: the others stay NULL */
			assert_int_equal(nng_aio_set_output(aio, 2, aio), NNG_OK);
			nng_aio_finish(aio, NNG_OK);
		}
		nng_aio_wait(aio);
		assert_null(nng_aio_get_output(aio, 0));
		assert_ptr_equal(nng_aio_get_output(aio, 2), entry < 3 ? aio : NULL);
	}
	nng_aio_free(aio);
}

/* "Above: set has no effect (returns NNG_EINVAL, R3), get returns NULL." Method: index 4 and the largest. */
static void
inputs_and_outputs_above_three_do_not_exist(void **unused)
{
	nng_aio *aio;

	(void) unused;
	assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), NNG_OK);
	nng_aio_reset(aio);
	assert_int_equal(nng_aio_set_output(aio, 0, aio), NNG_OK);
	static const unsigned above[] = { 4, UINT32_MAX };
	for (int i = 0; i < 2; i++) {
		assert_int_equal(nng_aio_set_input(aio, above[i], aio), NNG_EINVAL);
		assert_int_equal(nng_aio_set_output(aio, above[i], aio), NNG_EINVAL);
		assert_null(nng_aio_get_input(aio, above[i]));
		assert_null(nng_aio_get_output(aio, above[i]));
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_null(nng_aio_get_input(aio, i));
		assert_ptr_equal(nng_aio_get_output(aio, i), i == 0 ? aio : NULL);
	}
	nng_aio_free(aio);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(abort_passes_its_reason_and_cancel_is_ecanceled),
		TEST_TWO(abort_returns_and_its_function_runs_later_at_home_once),
		TEST_TWO(abort_of_an_idle_handle_does_nothing_to_the_next_operation),
		TEST_TWO(late_abort_cancel_and_stop_never_change_a_finished_result),
		TEST_TWO(abort_that_loses_to_a_finish_changes_nothing),
		TEST_TWO(abort_in_the_ready_queue_loses_to_a_finish_before_it),
		TEST_TWO(abort_in_the_callback_without_a_new_operation_does_nothing),
		TEST_TWO(abort_in_the_callback_acts_on_what_it_has_started),
		TEST_TWO(abort_and_stop_act_on_what_another_thread_started_in_the_callback),
		TEST_TWO(abort_of_a_begun_operation_is_for_that_operation),
		TEST_TWO(abort_twice_the_first_reason_wins),
		TEST_TWO(abort_with_0_passes_0_on),
		TEST_TWO(abort_without_a_cancel_function_has_no_effect),
		TEST_TWO(abort_that_was_ignored_takes_the_deadline_away),
		TEST_TWO(stop_aborts_with_estopped_and_the_callback_runs_before_it_returns),
		TEST_TWO(stop_is_idempotent_from_several_threads),
		TEST_TWO(stop_of_an_idle_handle_calls_nothing),
		TEST_TWO(stop_in_the_own_callback_marks_and_returns),
		TEST_TWO(start_after_stop_is_refused_each_time_with_one_completion),
		TEST_TWO(stop_returns_although_the_callback_resubmits),
		TEST_TWO(resubmit_in_a_stopped_callback_is_refused_whatever_came_before),
		TEST_TWO(resubmit_after_a_success_on_a_stopped_handle_completes_once_more),
		TEST_TWO(start_from_another_thread_during_a_stopped_callback_completes),
		TEST_TWO(finish_from_reset_on_a_stopped_handle_is_delivered),
		TEST_TWO(result_and_count_are_what_finish_was_given),
		TEST_TWO(msg_of_a_send_is_the_providers_on_success_and_stays_on_error),
		TEST_TWO(msg_of_a_receive_comes_with_the_result),
		TEST_TWO(iov_is_copied_and_at_most_four),
		TEST_TWO(inputs_survive_and_outputs_are_cleared),
		TEST_TWO(inputs_and_outputs_above_three_do_not_exist),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * provider_test.c: the contract of the provider's side, in its 1.x form (begin, defer) and its 2.x form (reset,
 * start), and of finish and cancel functions. Refusals are in aio_test.c (stopped) and timeout_test.c (deadlines).
 */
#include <sched.h>

#include "tests/contract/contract.h"

#include "engine/aio/aio.h"

/* A provider written for 1.x: `int err`, begin and defer. Completes at once what it is told to. */
static void
old_cancel(nng_aio *aio, void *arg, int err)
{
	provider_cancel(aio, arg, err);
}

static void
old_submit(nng_aio *aio, struct provider *p, bool at_once)
{
	if (!nng_aio_begin(aio)) {
		return;
	}
	if (at_once) {
		nng_aio_finish(aio, NNG_OK);
		return;
	}
	nng_aio_defer(aio, old_cancel, p);
}

/* A provider written for 2.x: `nng_err err`, reset and start. */
static void
new_cancel(nng_aio *aio, void *arg, nng_err err)
{
	provider_cancel(aio, arg, err);
}

static void
new_submit(nng_aio *aio, struct provider *p, bool at_once)
{
	nng_aio_reset(aio);
	if (at_once) {
		nng_aio_finish(aio, NNG_OK);
		return;
	}
	if (!nng_aio_start(aio, new_cancel, p)) {
		return;
	}
}

static void (*const submits[])(nng_aio *, struct provider *, bool) = { old_submit, new_submit };

/* "`typedef void (*nng_aio_cancelfn)(nng_aio *, void *, nng_err)` with `typedef int nng_err` ... (R25 ...: 1.x and
 * 2.x providers both compile, in C and C++, without a cast)", and of section 1: "A program written for NNG 2.x
 * compiles unchanged where the interface overlaps ...; one for 1.x in C." Method: both providers of this file in one
 * program, in turns on one handle: completing at once, finished from outside, cancelled, timed out, stopped. */
static void
both_forms_work_on_one_handle(void **unused)
{
	struct consumer c = CONSUMER;
	unsigned calls = 0;

	(void) unused;
	consumer_open(&c, 0);
	for (int i = 0; i < 8; i++) {
		struct provider p = PROVIDER;
		nng_err expected = i < 4 ? NNG_OK : i < 6 ? NNG_ECANCELED : NNG_ETIMEDOUT;
		nng_aio_set_timeout(c.aio, i < 6 ? NNG_DURATION_DEFAULT : 2);
		submits[i % 2](c.aio, &p, i < 2);
		if (i == 2 || i == 3) {
			assert_true(nng_aio_busy(c.aio));
			nng_aio_finish(c.aio, NNG_OK);
		} else if (i == 4 || i == 5) {
			nng_aio_cancel(c.aio);
		}
		nng_aio_wait(c.aio);
		assert_int_equal(consumer_calls(&c), ++calls);
		assert_int_equal(c.result, expected);
		assert_int_equal(provider_cancels(&p), i >= 4);
	}
	nng_aio_stop(c.aio);
	for (int i = 0; i < 2; i++) {
		struct provider p = PROVIDER;
		submits[i](c.aio, &p, false);
		nng_aio_wait(c.aio);
		assert_int_equal(consumer_calls(&c), ++calls);
		assert_int_equal(c.result, NNG_ESTOPPED);
	}
	nng_aio_free(c.aio);
}

/* The table: "entry: bool nng_aio_begin(aio): result, count, outputs cleared, busy | optional nng_aio_reset(aio):
 * cleared, not busy"; "go asynchronous: bool nng_aio_start(aio, fn, arg) = reset + register". Method: a handle whose
 * last operation left a result, a count and an output; each entry, looked at before the finish. */
static void
entries_clear_result_count_and_outputs(void **unused)
{
	struct provider p = PROVIDER;
	nng_aio *aio;

	(void) unused;
	assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), NNG_OK);
	for (int entry = 0; entry < 4; entry++) {
		assert_true(nng_aio_begin(aio));
		assert_int_equal(nng_aio_set_output(aio, 0, aio), NNG_OK);
		pw_aio_finish(aio, NNG_EPROTO, 42);
		nng_aio_wait(aio);
		assert_int_equal(nng_aio_result(aio), NNG_EPROTO);
		assert_int_equal(nng_aio_count(aio), 42);
		assert_ptr_equal(nng_aio_get_output(aio, 0), aio);
		if (entry == 0) {
			assert_true(nng_aio_begin(aio));
		} else if (entry == 1) {
			nng_aio_reset(aio);
		} else if (entry == 2) {
			assert_true(provider_start(&p, aio));
		} else {
			nng_aio_defer(aio, provider_cancel, &p); /* implies begin */
		}
		assert_int_equal(nng_aio_busy(aio), entry != 1);
		assert_int_equal(nng_aio_result(aio), NNG_OK);
		assert_int_equal(nng_aio_count(aio), 0);
		assert_null(nng_aio_get_output(aio, 0));
		nng_aio_finish(aio, NNG_OK);
		nng_aio_wait(aio);
		assert_int_equal(nng_aio_count(aio), 0);
		assert_null(nng_aio_get_output(aio, 0));
	}
	nng_aio_free(aio);
}

/* ---- defer */

/* "defer never fails (R12): an abort, stop or expired deadline that came between begin and defer is remembered, and
 * the loop calls fn(reason) right after defer". (NNG loses it: #1236, #2208.) Method: each of the three between the
 * two calls, with the shard held, so that fn is certainly called after defer, at home, and once. */
static void
defer_remembers_what_came_since_begin(void **unused)
{
	(void) unused;
	for (int i = 0; i < 3; i++) {
		struct consumer c = CONSUMER;
		struct provider p = PROVIDER;
		struct hold hold = HOLD;
		consumer_open(&c, 1);
		shard_hold(&hold, 1);
		nng_aio_set_timeout(c.aio, i == 2 ? 1 : NNG_DURATION_DEFAULT);
		assert_true(nng_aio_begin(c.aio));
		if (i == 0) {
			nng_aio_abort(c.aio, NNG_EPROTO);
		} else if (i == 1) {
			pinwheel_aio_close(c.aio);
		} else {
			nng_msleep(2);
		}
		nng_aio_defer(c.aio, provider_cancel, &p);
		assert_int_equal(provider_cancels(&p), 0);
		uint64_t returned = moment();
		shard_let_go(&hold, 1);
		nng_aio_wait(c.aio);
		assert_int_equal(provider_cancels(&p), 1);
		assert_true(p.began > returned);
		assert_int_equal(p.shard, 1);
		assert_int_equal(p.reason, i == 0 ? NNG_EPROTO : i == 1 ? NNG_ESTOPPED : NNG_ETIMEDOUT);
		assert_int_equal(c.result, p.reason);
		nng_aio_free(c.aio);
	}
}

struct stopping {
	nng_aio *aio;
	pw_a32 *finishing;
	bool after;
};

static void *
stop_it(void *arg)
{
	struct stopping *s = arg;
	nng_aio_stop(s->aio);
	s->after = pw_load_acquire_32(s->finishing) != 0;
	return NULL;
}

/* "with fn NULL the operation runs on." Method: an abort, and a stop that waits in another thread, between begin and
 * a defer with no function: the operation ends with its finish alone, and the stop is back after that. */
static void
defer_without_a_function_runs_on(void **unused)
{
	struct consumer c = CONSUMER;
	pw_a32 finishing;

	(void) unused;
	pw_store_relaxed_32(&finishing, 0);
	consumer_open(&c, 0);
	assert_true(nng_aio_begin(c.aio));
	nng_aio_abort(c.aio, NNG_EPROTO);
	nng_aio_defer(c.aio, NULL, NULL);
	shard_pass(0);
	assert_int_equal(consumer_calls(&c), 0);
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_OK);

	assert_true(nng_aio_begin(c.aio));
	struct stopping s = { .aio = c.aio, .finishing = &finishing };
	pthread_t thread = thread_start(stop_it, &s);
	while ((pw_load_acquire_64(&c.aio->word) & PW_STOPPED) == 0) {
		(void) sched_yield();
	}
	nng_aio_defer(c.aio, NULL, NULL);
	shard_pass(0);
	assert_int_equal(consumer_calls(&c), 1);
	pw_store_release_32(&finishing, 1);
	nng_aio_finish(c.aio, NNG_OK);
	thread_end(thread);
	assert_true(s.after);
	assert_int_equal(c.result, NNG_OK);
	nng_aio_free(c.aio);
}

/* "defer without begin implies begin and is not refused; on a stopped handle fn(NNG_ESTOPPED) is called (R13)."
 * Method: on an idle handle and on a reset one; with a zero timeout, which counts as expired; on a stopped one. */
static void
defer_without_begin_implies_it(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	consumer_open(&c, 0);
	for (int i = 0; i < 5; i++) {
		struct provider p = PROVIDER;
		if (i % 2 == 1) {
			nng_aio_reset(c.aio);
		}
		nng_aio_set_timeout(c.aio, i == 2 ? NNG_DURATION_ZERO : NNG_DURATION_DEFAULT);
		if (i == 3) {
			nng_aio_stop(c.aio);
		}
		nng_aio_defer(c.aio, provider_cancel, &p);
		if (i < 2) {
			assert_true(nng_aio_busy(c.aio));
			nng_aio_finish(c.aio, NNG_EPROTO);
		}
		nng_aio_wait(c.aio);
		assert_int_equal(consumer_calls(&c), i + 1);
		assert_int_equal(provider_cancels(&p), i >= 2);
		assert_int_equal(c.result, i < 2 ? NNG_EPROTO : i == 2 ? NNG_ETIMEDOUT : NNG_ESTOPPED);
	}
	nng_aio_free(c.aio);
}

/* "defer has no effect while the finished operation is not yet delivered". The page: "it is harmless if it does".
 * Method: the home shard is held; begin, finish, defer: one completion with the finish's result, no cancel function,
 * idle after. */
static void
defer_after_finish_before_delivery_has_no_effect(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	struct hold hold = HOLD;

	(void) unused;
	consumer_open(&c, 0);
	shard_hold(&hold, 0);
	assert_true(nng_aio_begin(c.aio));
	nng_aio_finish(c.aio, NNG_EPROTO);
	nng_aio_defer(c.aio, provider_cancel, &p);
	nng_aio_cancel(c.aio);
	shard_let_go(&hold, 0);
	nng_aio_wait(c.aio);
	shard_pass(0);
	assert_false(nng_aio_busy(c.aio));
	assert_int_equal(consumer_calls(&c), 1);
	assert_int_equal(provider_cancels(&p), 0);
	assert_int_equal(c.result, NNG_EPROTO);
	nng_aio_free(c.aio);
}

/* "after delivery it cannot be told from a defer without begin and starts an operation". Method: begin, finish, wait,
 * defer: busy. */
static void
defer_after_delivery_starts_an_operation(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	assert_true(nng_aio_begin(c.aio));
	nng_aio_finish(c.aio, NNG_EPROTO);
	nng_aio_wait(c.aio);
	nng_aio_defer(c.aio, provider_cancel, &p);
	assert_true(nng_aio_busy(c.aio));
	nng_aio_cancel(c.aio);
	nng_aio_wait(c.aio);
	assert_int_equal(consumer_calls(&c), 2);
	assert_int_equal(c.result, NNG_ECANCELED);
	nng_aio_free(c.aio);
}

/* "nng_aio_reset marks the word: only then may finish act on an idle handle (synchronous completion)." Method: reset
 * once and twice, then finish: one completion. (Without reset: misuse_test.c.) */
static void
reset_lets_finish_complete_synchronously(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	consumer_open(&c, 0);
	for (unsigned resets = 1; resets <= 2; resets++) {
		for (unsigned i = 0; i < resets; i++) {
			nng_aio_reset(c.aio);
		}
		nng_aio_finish(c.aio, NNG_EPROTO);
		nng_aio_wait(c.aio);
		assert_int_equal(consumer_calls(&c), resets);
		assert_int_equal(c.result, NNG_EPROTO);
	}
	nng_aio_free(c.aio);
}

/* ---- finish */

static void *
finish_there(void *arg)
{
	nng_aio_finish(arg, NNG_EPROTO);
	return NULL;
}

static void
finish_on_shard(void *arg)
{
	nng_aio_finish(arg, NNG_EPROTO);
}

/* "nng_aio_finish(aio, err): exactly once per accepted operation, from any thread, also directly after begin or
 * reset, on the submitter's stack". Method: this thread, another, the home shard, the other shard; each after begin,
 * begin and defer, reset, start; one callback each, on the home shard. */
static void
finish_is_legal_from_any_thread_in_every_state(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	unsigned calls = 0;

	(void) unused;
	consumer_open(&c, 0);
	for (int entry = 0; entry < 4; entry++) {
		for (int where = 0; where < 4; where++) {
			if (entry == 0 || entry == 1) {
				assert_true(nng_aio_begin(c.aio));
			}
			if (entry == 1) {
				nng_aio_defer(c.aio, provider_cancel, &p);
			} else if (entry == 2) {
				nng_aio_reset(c.aio);
			} else if (entry == 3) {
				assert_true(provider_start(&p, c.aio));
			}
			if (where == 0) {
				nng_aio_finish(c.aio, NNG_EPROTO);
			} else if (where == 1) {
				thread_end(thread_start(finish_there, c.aio));
			} else {
				shard_run(where - 2, finish_on_shard, c.aio);
			}
			nng_aio_wait(c.aio);
			assert_int_equal(consumer_calls(&c), ++calls);
			assert_int_equal(c.result, NNG_EPROTO);
			assert_int_equal(c.shard, 0);
			assert_int_equal(c.home, 0);
		}
	}
	assert_int_equal(provider_cancels(&p), 0);
	nng_aio_free(c.aio);
}

/* Calls into the library on the home shard; user code that ran meanwhile would be on the same stack. */
struct stack {
	struct consumer c[6];
	struct provider p[6];
	bool inside;
	unsigned on_the_stack;
};

static void
note_callback(struct consumer *c)
{
	struct stack *s = c->arg;
	s->on_the_stack += s->inside;
}

static void
note_cancel(struct provider *p)
{
	struct stack *s = p->arg;
	s->on_the_stack += s->inside;
}

static void
call_everything(void *arg)
{
	struct stack *s = arg;
	s->inside = true;
	(void) provider_start(&s->p[0], s->c[0].aio);
	nng_aio_finish(s->c[0].aio, NNG_OK);
	(void) provider_start(&s->p[1], s->c[1].aio);
	nng_aio_abort(s->c[1].aio, NNG_EPROTO);
	(void) provider_start(&s->p[2], s->c[2].aio);
	pinwheel_aio_close(s->c[2].aio);
	nng_aio_set_timeout(s->c[3].aio, NNG_DURATION_ZERO);
	(void) provider_start(&s->p[3], s->c[3].aio); /* refused */
	nng_sleep_aio(0, s->c[4].aio);
	(void) nng_aio_begin(s->c[5].aio);
	nng_aio_cancel(s->c[5].aio);
	nng_aio_defer(s->c[5].aio, provider_cancel, &s->p[5]);
	s->inside = false;
}

/* "callbacks and cancel functions never run on the stack of an API call (R23)". Method: on the home shard of six
 * handles: finish, abort, close, a refused start, a sleep of 0, a defer that expires at once; each has its callback,
 * and none ran before the function was left. */
static void
callbacks_never_run_on_the_stack_of_a_call(void **unused)
{
	static const nng_err expected[] = { NNG_OK, NNG_EPROTO, NNG_ESTOPPED, NNG_ETIMEDOUT, NNG_OK, NNG_ECANCELED };
	struct stack s = { .inside = false };

	(void) unused;
	for (int i = 0; i < 6; i++) {
		s.c[i] = (struct consumer) CONSUMER;
		s.p[i] = (struct provider) PROVIDER;
		s.c[i].arg = s.p[i].arg = &s;
		s.c[i].step = note_callback;
		s.p[i].step = note_cancel;
		consumer_open(&s.c[i], 0);
	}
	shard_run(0, call_everything, &s);
	for (int i = 0; i < 6; i++) {
		nng_aio_wait(s.c[i].aio);
		assert_int_equal(s.c[i].result, expected[i]);
		assert_int_equal(consumer_calls(&s.c[i]), 1);
		nng_aio_free(s.c[i].aio);
	}
	assert_int_equal(s.on_the_stack, 0);
}

struct locked {
	pthread_mutex_t lock;
	struct provider p;
	nng_aio *aio;
};

static void
take_lock_in_callback(struct consumer *c)
{
	struct locked *l = c->arg;
	(void) pthread_mutex_lock(&l->lock);
	(void) pthread_mutex_unlock(&l->lock);
}

static void
take_lock_in_cancel(struct provider *p)
{
	struct locked *l = p->arg;
	(void) pthread_mutex_lock(&l->lock);
	(void) pthread_mutex_unlock(&l->lock);
}

static void
submit_and_end_locked(void *arg)
{
	struct locked *l = arg;
	(void) pthread_mutex_lock(&l->lock);
	if (provider_start(&l->p, l->aio)) {
		nng_aio_cancel(l->aio);
	}
	nng_aio_finish(l->aio, NNG_OK);
	(void) pthread_mutex_unlock(&l->lock);
}

/* "or with locks held that the callback takes". Method: start, cancel and finish under a lock that the cancel
 * function and the callback take (an ordinary mutex, which would deadlock on its own thread), on the home shard and
 * outside. */
static void
finish_with_a_lock_held_that_the_callback_takes(void **unused)
{
	(void) unused;
	for (int at_home = 0; at_home < 2; at_home++) {
		struct consumer c = CONSUMER;
		struct locked l = { .lock = PTHREAD_MUTEX_INITIALIZER, .p = PROVIDER };
		l.p.step = take_lock_in_cancel;
		l.p.arg = &l;
		l.p.ignores = true;
		c.step = take_lock_in_callback;
		c.arg = &l;
		consumer_open(&c, 0);
		l.aio = c.aio;
		if (at_home) {
			shard_run(0, submit_and_end_locked, &l);
		} else {
			submit_and_end_locked(&l);
		}
		nng_aio_wait(c.aio);
		assert_int_equal(consumer_calls(&c), 1);
		assert_int_equal(c.result, NNG_OK);
		nng_aio_free(c.aio);
	}
}

/* ---- cancel functions */

struct handed {
	struct gate given;
	nng_aio *aio;
	nng_err reason;
};

static void
hand_over(nng_aio *aio, void *arg, nng_err reason)
{
	struct handed *h = arg;
	h->aio = aio;
	h->reason = reason;
	gate_open(&h->given);
}

static void *
finish_handed(void *arg)
{
	struct handed *h = arg;
	gate_pass(&h->given, 1);
	nng_aio_finish(h->aio, h->reason);
	return NULL;
}

/* "It may do nothing (the provider's finish counts), finish at once, or hand over to another thread." Method: each.
 * */
static void
cancel_function_may_do_nothing_finish_or_hand_over(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider ignores = PROVIDER, finishes = PROVIDER;
	struct handed h = { .given = GATE };

	(void) unused;
	consumer_open(&c, 0);
	ignores.ignores = true;
	assert_true(provider_start(&ignores, c.aio));
	nng_aio_cancel(c.aio);
	gate_pass(&ignores.canceled, 1);
	nng_aio_finish(c.aio, NNG_EPROTO);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_EPROTO);

	assert_true(provider_start(&finishes, c.aio));
	nng_aio_cancel(c.aio);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_ECANCELED);

	assert_true(nng_aio_start(c.aio, hand_over, &h));
	pthread_t thread = thread_start(finish_handed, &h);
	nng_aio_cancel(c.aio);
	nng_aio_wait(c.aio);
	thread_end(thread);
	assert_int_equal(c.result, NNG_ECANCELED);
	assert_int_equal(consumer_calls(&c), 3);
	nng_aio_free(c.aio);
}

/* "A completion is delivered only after a running cancel function of that operation has returned (R24), so it can
 * never hit the next operation". Method: the cancel function stays in while the operation is finished, by itself or
 * by this thread, and while the other shard is certainly free to act: the callback begins after it has returned. A
 * callback that starts again, and a wait that starts again: the next operation is not cancelled. */
static void
completion_waits_for_the_running_cancel_function(void **unused)
{
	(void) unused;
	for (int self = 0; self < 2; self++) {
		struct consumer c = CONSUMER;
		struct provider p = PROVIDER, next = PROVIDER;
		struct gate leave = GATE;
		p.ignores = !self;
		p.leave = &leave;
		consumer_open(&c, 0);
		assert_true(provider_start(&p, c.aio));
		nng_aio_cancel(c.aio);
		gate_pass(&p.entered, 1);
		if (!self) {
			nng_aio_finish(c.aio, NNG_ECANCELED);
		}
		shard_pass(1);
		assert_int_equal(consumer_calls(&c), 0);
		assert_true(nng_aio_busy(c.aio));
		gate_open(&leave);
		nng_aio_wait(c.aio);
		assert_true(p.ended < c.entered);
		assert_int_equal(c.result, NNG_ECANCELED);
		assert_true(provider_start(&next, c.aio));
		shard_pass(0);
		assert_int_equal(provider_cancels(&p), 1);
		assert_int_equal(provider_cancels(&next), 0);
		nng_aio_finish(c.aio, NNG_OK);
		nng_aio_free(c.aio);
	}
}

static void
release_arg(struct consumer *c)
{
	free(c->arg); /* whoever touches it later is seen by a sanitizer */
	c->arg = NULL;
}

struct racer {
	nng_aio *aio;
	struct gate *start;
	unsigned round;
};

static void
note_cancel_only(nng_aio *aio, void *arg, nng_err reason)
{
	struct provider *p = arg; /* must be there */
	(void) aio;
	p->reason = reason;
	p->began = 1;
}

static void *
race_cancel(void *arg)
{
	struct racer *r = arg;
	gate_pass(r->start, r->round);
	nng_aio_cancel(r->aio);
	return NULL;
}

/* "`arg` must stay valid until the callback begins". Method: the consumer releases it in the callback, while a cancel
 * and a finish race; sanitizers see a touch that comes too late. */
static void
arg_of_a_cancel_function_may_go_in_the_callback(void **unused)
{
	struct gate start = GATE;

	(void) unused;
	for (unsigned round = 1; round <= 50; round++) {
		struct consumer c = CONSUMER;
		struct racer r = { .start = &start, .round = round };
		consumer_open(&c, 0);
		c.step = release_arg;
		c.arg = calloc(1, sizeof(struct provider));
		assert_non_null(c.arg);
		assert_true(nng_aio_start(c.aio, note_cancel_only, c.arg));
		r.aio = c.aio;
		pthread_t thread = thread_start(race_cancel, &r);
		gate_open(&start);
		nng_aio_finish(c.aio, NNG_OK);
		thread_end(thread); /* no call on the handle beside free */
		nng_aio_free(c.aio);
		assert_int_equal(consumer_calls(&c), 1);
		assert_int_equal(c.result, NNG_OK);
	}
}

/* ---- starting in the callback */

static void
start_next(struct consumer *c)
{
	struct provider *p = c->arg;
	if (consumer_calls(c) + 1 < 1000 && provider_start(p, c->aio)) {
		nng_aio_finish(c->aio, NNG_OK);
	}
}

/* "While its callback runs a start is legal". Method: a chain of a thousand operations, each started, and finished,
 * in the callback of the last: a thousand callbacks, and the stack has not grown by them (R23 again). */
static void
start_in_the_callback_is_legal(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	c.step = start_next;
	c.arg = &p;
	assert_true(provider_start(&p, c.aio));
	nng_aio_finish(c.aio, NNG_OK);
	nng_aio_wait(c.aio);
	assert_int_equal(consumer_calls(&c), 1000);
	nng_aio_free(c.aio);
}

struct stay {
	struct hold hold;
	uint64_t left;
	bool done;
};

static void
stay_once(struct consumer *c)
{
	struct stay *s = c->arg;
	if (!s->done) {
		s->done = true;
		gate_open(&s->hold.in);
		gate_pass(&s->hold.out, 1);
		s->left = moment();
	}
}

/* "While its callback runs a start is legal, from any thread." And C1: two callbacks of one handle never overlap.
 * Method: the callback stays in; this thread starts the next operation and finishes it; its callback begins after the
 * first left. */
static void
start_from_another_thread_while_the_callback_runs(void **unused)
{
	(void) unused;
	for (int form = 0; form < 3; form++) {
		struct consumer c = CONSUMER;
		struct provider p = PROVIDER;
		struct stay s = { .hold = HOLD };
		consumer_open(&c, 0);
		c.step = stay_once;
		c.arg = &s;
		nng_sleep_aio(0, c.aio);
		gate_pass(&s.hold.in, 1);
		if (form == 0) {
			assert_true(provider_start(&p, c.aio));
		} else if (form == 1) {
			assert_true(nng_aio_begin(c.aio));
			nng_aio_defer(c.aio, provider_cancel, &p);
		} else {
			nng_aio_reset(c.aio);
		}
		nng_aio_finish(c.aio, NNG_EPROTO);
		gate_open(&s.hold.out);
		nng_aio_wait(c.aio);
		assert_int_equal(consumer_calls(&c), 2);
		assert_true(s.left < c.entered);
		assert_int_equal(c.result, NNG_EPROTO);
		nng_aio_free(c.aio);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(both_forms_work_on_one_handle),
		TEST_TWO(entries_clear_result_count_and_outputs),
		TEST_TWO(defer_remembers_what_came_since_begin),
		TEST_TWO(defer_without_a_function_runs_on),
		TEST_TWO(defer_without_begin_implies_it),
		TEST_TWO(defer_after_finish_before_delivery_has_no_effect),
		TEST_TWO(defer_after_delivery_starts_an_operation),
		TEST_TWO(reset_lets_finish_complete_synchronously),
		TEST_TWO(finish_is_legal_from_any_thread_in_every_state),
		TEST_TWO(callbacks_never_run_on_the_stack_of_a_call),
		TEST_TWO(finish_with_a_lock_held_that_the_callback_takes),
		TEST_TWO(cancel_function_may_do_nothing_finish_or_hand_over),
		TEST_TWO(completion_waits_for_the_running_cancel_function),
		TEST_TWO(arg_of_a_cancel_function_may_go_in_the_callback),
		TEST_TWO(start_in_the_callback_is_legal),
		TEST_TWO(start_from_another_thread_while_the_callback_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

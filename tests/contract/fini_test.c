/* SPDX-License-Identifier: MIT
 *
 * fini_test.c: the contract of nng_fini: what it ends, what it waits for, what survives it, and starting again.
 */
#include <sched.h>

#include "tests/contract/contract.h"

#include "engine/aio/aio.h"

/* "nng_fini: undoes one nng_init". Method: three starts, by both functions; the third nng_fini ends the engine; a
 * fourth has no effect. */
static void
fini_undoes_one_init(void **unused)
{
	(void) unused;
	assert_int_equal(nng_init(NULL), NNG_OK);
	assert_int_equal(pinwheel_start(NULL), NNG_OK);
	assert_int_equal(nng_init(NULL), NNG_OK);
	for (int i = 0; i < 2; i++) {
		nng_fini();
		assert_true(pinwheel_shard_count() > 0);
	}
	nng_fini();
	assert_int_equal(pinwheel_shard_count(), 0);
	nng_fini();
	assert_int_equal(pinwheel_shard_count(), 0);
	assert_int_equal(nng_init(NULL), NNG_OK); /* the fourth one is owed nothing */
	nng_fini();
	assert_int_equal(pinwheel_shard_count(), 0);
}

/* "with none (1.x programs) it shuts down at once". Method: the engine is started by alloc alone. */
static void
fini_without_an_init_shuts_down(void **unused)
{
	nng_aio *aio;

	(void) unused;
	assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), NNG_OK);
	nng_aio_free(aio);
	nng_fini();
	assert_int_equal(pinwheel_shard_count(), 0);
}

static void
reap_self(struct consumer *c)
{
	nng_aio_reap(c->aio);
}

/* "what is pending ends with NNG_ESTOPPED, callbacks may reap themselves; it waits". Method: on two shards,
 * operations that are deferred, with a deadline of an hour and without, and sleeps; half of the callbacks reap their
 * handle. When nng_fini is back every callback has run, once. */
static void
fini_ends_what_is_pending_with_estopped(void **unused)
{
	struct consumer c[12];
	struct provider p[12];

	(void) unused;
	for (int i = 0; i < 12; i++) {
		c[i] = (struct consumer) CONSUMER;
		p[i] = (struct provider) PROVIDER;
		c[i].step = i % 2 == 0 ? reap_self : NULL;
		consumer_open(&c[i], i / 2 % 2);
		nng_aio_set_timeout(c[i].aio, i % 3 == 0 ? HOUR_MS : NNG_DURATION_DEFAULT);
		if (i < 6) {
			assert_true(provider_start(&p[i], c[i].aio));
		} else {
			nng_sleep_aio(i < 9 ? HOUR_MS / 2 : NNG_DURATION_INFINITE, c[i].aio);
		}
	}
	nng_fini();
	uint64_t over = moment();
	for (int i = 0; i < 12; i++) {
		assert_int_equal(consumer_calls(&c[i]), 1);
		assert_int_equal(c[i].result, NNG_ESTOPPED);
		assert_true(c[i].left < over);
		if (i % 2 != 0) {
			nng_aio_free(c[i].aio);
		}
	}
	assert_int_equal(start_shards(2), NNG_OK);
	assert_int_equal(shard_slots(0) + shard_slots(1), 0);
}

struct finier {
	pw_a32 *finishing;
	bool after;
};

static void *
fini_and_look(void *arg)
{
	struct finier *f = arg;
	nng_fini();
	f->after = pw_load_acquire_32(f->finishing) != 0;
	return NULL;
}

/* "it waits": for a provider that ignores its cancel, and for one that has begun and not deferred. Method: nng_fini
 * in a thread, which says, when it is back, whether the last finish had been begun. */
static void
fini_waits_for_providers(void **unused)
{
	struct consumer deferred = CONSUMER, begun = CONSUMER;
	struct provider p = PROVIDER;
	pw_a32 finishing;
	struct finier f = { .finishing = &finishing };

	(void) unused;
	pw_store_relaxed_32(&finishing, 0);
	p.ignores = true;
	consumer_open(&deferred, 0);
	consumer_open(&begun, 1);
	assert_true(provider_start(&p, deferred.aio));
	assert_true(nng_aio_begin(begun.aio));
	pthread_t thread = thread_start(fini_and_look, &f);
	gate_pass(&p.canceled, 1);
	nng_aio_finish(deferred.aio, NNG_EPROTO);
	gate_pass(&deferred.called, 1);
	assert_int_equal(consumer_calls(&begun), 0);
	pw_store_release_32(&finishing, 1);
	nng_aio_finish(begun.aio, NNG_OK);
	thread_end(thread);
	assert_true(f.after);
	assert_int_equal(deferred.result, NNG_EPROTO);
	assert_int_equal(begun.result, NNG_OK);
	nng_aio_free(deferred.aio);
	nng_aio_free(begun.aio);
}

/* What a callback does while nng_fini waits for it. */
struct during {
	nng_aio *other;
	bool started;
	nng_err alloc, alloc_on, run_on, init, start;
	int shards;
	struct provider p;
};

static void
open_nothing(void *arg)
{
	(void) arg;
}

static void
try_everything(struct consumer *c)
{
	struct during *d = c->arg;
	nng_aio *aio;
	d->started = provider_start(&d->p, d->other);
	d->alloc = nng_aio_alloc(&aio, NULL, NULL);
	d->alloc_on = pinwheel_aio_alloc_on(&aio, 0, NULL, NULL);
	d->run_on = pinwheel_run_on(0, open_nothing, NULL);
	d->init = nng_init(NULL);
	d->start = pinwheel_start(NULL);
	d->shards = pinwheel_shard_count();
}

/* Returns when nng_fini, in another thread, has stopped the handle. */
static void
await_stopped(const nng_aio *aio)
{
	while ((pw_load_acquire_64(&aio->word) & PW_STOPPED) == 0) {
		(void) sched_yield();
	}
}

/* DESIGN 5: "nng_fini, last call: nng_aio_alloc and pinwheel_start ... return NNG_ESTOPPED on a shard thread;
 * nng_aio_start and begin never wait, they are refused as on a stopped handle". Method: nng_fini has stopped both
 * handles and waits for the provider of one; it is finished, and its callback tries all of them; the start of the
 * other is refused, with a completion. */
static void
callback_during_fini_can_start_nothing(void **unused)
{
	struct consumer c = CONSUMER, other = CONSUMER;
	struct provider p = PROVIDER;
	struct during d = { .p = PROVIDER };
	pw_a32 finishing;
	struct finier f = { .finishing = &finishing };

	(void) unused;
	pw_store_relaxed_32(&finishing, 0);
	p.ignores = true;
	consumer_open(&c, 0);
	consumer_open(&other, 1);
	d.other = other.aio;
	c.step = try_everything;
	c.arg = &d;
	assert_true(provider_start(&p, c.aio));
	pthread_t thread = thread_start(fini_and_look, &f);
	await_stopped(c.aio);
	await_stopped(other.aio);
	pw_store_release_32(&finishing, 1);
	nng_aio_finish(c.aio, NNG_OK);
	thread_end(thread);
	assert_true(f.after);
	assert_int_equal(c.result, NNG_OK);
	assert_false(d.started);
	assert_int_equal(d.alloc, NNG_ESTOPPED);
	assert_int_equal(d.alloc_on, NNG_ESTOPPED);
	assert_int_equal(d.run_on, NNG_ESTOPPED);
	assert_int_equal(d.init, NNG_ESTOPPED);
	assert_int_equal(d.start, NNG_ESTOPPED);
	assert_int_equal(d.shards, 2);
	assert_int_equal(consumer_calls(&other), 1);
	assert_int_equal(other.result, NNG_ESTOPPED);
	assert_int_equal(provider_cancels(&d.p), 0);
	nng_aio_free(c.aio);
	nng_aio_free(other.aio);
}

struct outsider {
	pw_a32 *finishing;
	int way;
	nng_err rv;
	bool after;
};

static void *
start_outside(void *arg)
{
	struct outsider *o = arg;
	nng_aio *aio = NULL;
	if (o->way == 0) {
		o->rv = nng_aio_alloc(&aio, NULL, NULL);
	} else if (o->way == 1) {
		o->rv = pinwheel_aio_alloc_on(&aio, 0, NULL, NULL);
	} else {
		o->rv = nng_init(NULL);
	}
	o->after = pw_load_acquire_32(o->finishing) != 0;
	if (aio != NULL) {
		nng_aio_free(aio);
	}
	return NULL;
}

/* "nng_aio_alloc and pinwheel_start wait on outside threads". Method: nng_fini is certainly under way (a cancel
 * function has been called by it) and waits for a provider when three threads allocate and start; they come back
 * after its finish, with a new engine. */
static void
outside_threads_wait_for_fini(void **unused)
{
	struct provider p = PROVIDER;
	pw_a32 finishing;
	struct finier f = { .finishing = &finishing };
	struct outsider o[3];
	pthread_t thread[3];
	nng_aio *aio;

	(void) unused;
	pw_store_relaxed_32(&finishing, 0);
	p.ignores = true;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	assert_true(provider_start(&p, aio));
	pthread_t finier = thread_start(fini_and_look, &f);
	gate_pass(&p.canceled, 1);
	for (int i = 0; i < 3; i++) {
		o[i] = (struct outsider){ .finishing = &finishing, .way = i };
		thread[i] = thread_start(start_outside, &o[i]);
	}
	pw_store_release_32(&finishing, 1);
	nng_aio_finish(aio, NNG_OK);
	thread_end(finier);
	assert_true(f.after);
	for (int i = 0; i < 3; i++) {
		thread_end(thread[i]);
		assert_int_equal(o[i].rv, NNG_OK);
		assert_true(o[i].after);
	}
	assert_true(pinwheel_shard_count() > 0);
	nng_aio_free(aio);
}

/* pinwheel_run_on: "Accepted calls run even if nng_fini comes first." Method: the shard is held while a function is
 * sent to it and a thread calls nng_fini; then it is let go. */
static void
call_sent_before_fini_is_run(void **unused)
{
	struct gate ran = GATE;
	struct hold hold = HOLD;
	pw_a32 finishing;
	struct finier f = { .finishing = &finishing };

	(void) unused;
	pw_store_relaxed_32(&finishing, 0);
	shard_hold(&hold, 0);
	assert_int_equal(pinwheel_run_on(0, open_gate, &ran), NNG_OK);
	pthread_t thread = thread_start(fini_and_look, &f);
	gate_open(&hold.out);
	thread_end(thread);
	assert_int_equal(gate_count(&ran), 1);
}

/* "A handle that survives it: free releases at once; begin and start return false with NNG_ESTOPPED and no callback."
 * And DESIGN: "with no engine running begin, start, and a defer or finish on an idle or OPEN handle leave it IDLE
 * with NNG_ESTOPPED and no callback". Method: each on a handle, one idle when nng_fini came, one whose operation it
 * ended; every other call returns too. */
static void
survivor_refuses_everything_without_a_callback(void **unused)
{
	struct provider p = PROVIDER;

	(void) unused;
	for (int ended = 0; ended < 2; ended++) {
		struct consumer c = CONSUMER;
		bool skipped;
		assert_int_equal(start_shards(2), NNG_OK);
		consumer_open(&c, 1);
		if (ended) {
			nng_sleep_aio(HOUR_MS, c.aio);
		}
		nng_fini();
		assert_int_equal(consumer_calls(&c), ended);
		for (int call = 0; call < 7; call++) {
			switch (call) {
			case 0:
				assert_false(provider_start(&p, c.aio));
				break;
			case 1:
				assert_false(nng_aio_begin(c.aio));
				break;
			case 2:
				nng_aio_defer(c.aio, provider_cancel, &p);
				break;
			case 3:
				nng_aio_reset(c.aio);
				nng_aio_defer(c.aio, provider_cancel, &p);
				break;
			case 4:
				nng_aio_reset(c.aio);
				nng_aio_finish(c.aio, NNG_OK);
				break;
			case 5:
				nng_sleep_aio(0, c.aio);
				break;
			default:
				nng_aio_skip_callback(c.aio, &skipped);
				assert_false(provider_start(&p, c.aio));
				assert_true(skipped);
				break;
			}
			assert_false(nng_aio_busy(c.aio));
			assert_int_equal(nng_aio_result(c.aio), NNG_ESTOPPED);
		}
		nng_aio_abort(c.aio, NNG_EPROTO);
		nng_aio_cancel(c.aio);
		nng_aio_stop(c.aio);
		nng_aio_wait(c.aio);
		assert_int_equal(pinwheel_aio_wait_until(c.aio, PINWHEEL_NEVER_NS), NNG_OK);
		assert_int_equal(nng_aio_result(c.aio), NNG_ESTOPPED);
		if (ended) {
			nng_aio_free(c.aio);
		} else {
			nng_aio_reap(c.aio);
		}
		assert_int_equal(consumer_calls(&c), ended);
		assert_int_equal(provider_cancels(&p), 0);
		assert_int_equal(start_shards(2), NNG_OK);
		assert_int_equal(shard_slots(1), 0); /* released at once, not now */
		nng_fini();
	}
}

/* pinwheel_run_on: "NNG_ESTOPPED (nng_fini shuts down, or no engine runs). fn is then not called." Method: no engine.
 * */
static void
run_on_without_an_engine_is_estopped(void **unused)
{
	struct gate gate = GATE;

	(void) unused;
	assert_int_equal(pinwheel_run_on(0, open_gate, &gate), NNG_ESTOPPED);
	assert_int_equal(gate_count(&gate), 0);
	assert_int_equal(pinwheel_shard_count(), 0);
	assert_int_equal(pinwheel_shard_self(), -1);
}

#define ROUNDS 20

/* "the library can be initialised again." Method: many times, with other numbers of shards; each time operations of
 * each kind, and something left pending; handles of all rounds survive to the end and are freed there. */
static void
library_can_be_initialised_many_times(void **unused)
{
	static struct consumer c[ROUNDS];
	static struct provider p[ROUNDS];

	(void) unused;
	for (int i = 0; i < ROUNDS; i++) {
		c[i] = (struct consumer) CONSUMER;
		p[i] = (struct provider) PROVIDER;
		assert_int_equal(start_shards(1 + i % 3), NNG_OK);
		assert_int_equal(pinwheel_shard_count(), 1 + i % 3);
		consumer_open(&c[i], i % (1 + i % 3));
		nng_sleep_aio(i % 2, c[i].aio);
		nng_aio_wait(c[i].aio);
		assert_int_equal(c[i].result, NNG_OK);
		nng_aio_set_timeout(c[i].aio, HOUR_MS);
		assert_true(provider_start(&p[i], c[i].aio));
		nng_fini();
		assert_int_equal(c[i].result, NNG_ESTOPPED);
		assert_int_equal(consumer_calls(&c[i]), 2);
	}
	for (int i = 0; i < ROUNDS; i++) {
		nng_aio_free(c[i].aio);
	}
}

/* DESIGN 5: "When an engine starts with fewer shards, survivors whose home no longer runs are re-homed before the
 * first call is served." Method: handles on four shards survive; the next engine has one: each is homed there; it is
 * still stopped ("permanent"), so a start is refused with a completion (R9), which shard 0 delivers; a finish from
 * reset is delivered; it can be freed. With an engine of four again they still work. */
static void
survivors_are_rehomed_when_shards_are_fewer(void **unused)
{
	struct consumer c[4];
	struct provider p = PROVIDER;

	(void) unused;
	assert_int_equal(start_shards(4), NNG_OK);
	for (int i = 0; i < 4; i++) {
		c[i] = (struct consumer) CONSUMER;
		consumer_open(&c[i], i);
	}
	nng_fini();
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(start_shards(round == 0 ? 1 : 4), NNG_OK);
		for (int i = 0; i < 4; i++) {
			assert_int_equal(pinwheel_aio_home(c[i].aio), 0);
			assert_false(provider_start(&p, c[i].aio));
			nng_aio_wait(c[i].aio);
			assert_int_equal(consumer_calls(&c[i]), 2 * round + 1);
			assert_int_equal(c[i].result, NNG_ESTOPPED);
			assert_int_equal(c[i].shard, 0);
			nng_aio_reset(c[i].aio);
			nng_aio_finish(c[i].aio, NNG_EPROTO);
			nng_aio_wait(c[i].aio);
			assert_int_equal(consumer_calls(&c[i]), 2 * round + 2);
			assert_int_equal(c[i].result, NNG_EPROTO);
		}
		nng_fini();
	}
	for (int i = 0; i < 4; i++) {
		nng_aio_free(c[i].aio);
	}
}

/* A timer that is linked for a finished operation does not keep nng_fini, nor survive it. Method: deadlines of an
 * hour, the operations finished; nng_fini; a new engine has no timer. */
static void
fini_visits_the_timers_of_finished_operations(void **unused)
{
	struct provider p = PROVIDER;
	nng_aio *aio[4];

	(void) unused;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pinwheel_aio_alloc_on(&aio[i], i % 2, NULL, NULL), NNG_OK);
		nng_aio_set_timeout(aio[i], HOUR_MS);
		assert_true(provider_start(&p, aio[i]));
		shard_pass(i % 2);
		nng_aio_finish(aio[i], NNG_OK);
		nng_aio_wait(aio[i]);
	}
	assert_int_equal(shard_stats(0).timers_linked, 2);
	nng_fini();
	for (int i = 0; i < 4; i++) {
		nng_aio_free(aio[i]);
	}
	assert_int_equal(start_shards(2), NNG_OK);
	shard_pass(0);
	assert_int_equal(shard_stats(0).timers_linked, 0);
	assert_int_equal(shard_slots(0) + shard_slots(1), 0);
}

static void *
just_fini(void *arg)
{
	(void) arg;
	nng_fini();
	return NULL;
}

/* nng_fini of one user each, from several threads at once: the last one ends the engine, whoever it is. Method: four
 * starts, four threads. */
static void
fini_from_several_threads(void **unused)
{
	pthread_t thread[4];
	struct consumer c = CONSUMER;

	(void) unused;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(nng_init(NULL), NNG_OK);
	}
	consumer_open(&c, 0);
	nng_sleep_aio(HOUR_MS, c.aio);
	for (int i = 0; i < 4; i++) {
		thread[i] = thread_start(just_fini, NULL);
	}
	for (int i = 0; i < 4; i++) {
		thread_end(thread[i]);
	}
	assert_int_equal(pinwheel_shard_count(), 0);
	assert_int_equal(c.result, NNG_ESTOPPED);
	nng_aio_free(c.aio);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fini_undoes_one_init),
		cmocka_unit_test(fini_without_an_init_shuts_down),
		TEST_TWO(fini_ends_what_is_pending_with_estopped),
		TEST_TWO(fini_waits_for_providers),
		TEST_TWO(callback_during_fini_can_start_nothing),
		TEST_TWO(outside_threads_wait_for_fini),
		TEST_TWO(call_sent_before_fini_is_run),
		cmocka_unit_test(survivor_refuses_everything_without_a_callback),
		cmocka_unit_test(run_on_without_an_engine_is_estopped),
		cmocka_unit_test(library_can_be_initialised_many_times),
		cmocka_unit_test(survivors_are_rehomed_when_shards_are_fewer),
		TEST_TWO(fini_visits_the_timers_of_finished_operations),
		cmocka_unit_test(fini_from_several_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

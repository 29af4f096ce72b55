/* SPDX-License-Identifier: MIT
 *
 * alloc_test.c: the contract of nng_aio_alloc and nng_aio_free. Ends by reap: reap_test.c.
 */
#include "tests/contract/contract.h"

#include "engine/shard/arena.h"

/* "nng_aio_alloc(aiop, cb, arg) -> 0 or NNG_ENOMEM". Method: a callback gets arg, and what stands in aiop is a handle
 * that works. */
static void
alloc_gives_a_handle_and_the_callback_its_arg(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	assert_int_equal(nng_aio_alloc(&c.aio, consumer_call, &c), NNG_OK);
	assert_non_null(c.aio);
	nng_sleep_aio(0, c.aio);
	nng_aio_wait(c.aio);
	assert_int_equal(consumer_calls(&c), 1);
	assert_int_equal(c.result, NNG_OK);
	nng_aio_free(c.aio);
}

/* "`*aiop` is written on success only." and, of bad inputs, "alloc out of memory". Method: the next call to the
 * allocator fails, once the first, once the second of those that growing needs; handles are taken until one is
 * refused. Afterwards the same call succeeds: nothing was lost. */
static void
alloc_out_of_memory_leaves_the_pointer_alone(void **unused)
{
	static nng_aio *taken[2 * PW_SLOTS_PER_SLAB];

	(void) unused;
	for (int64_t call = 0; call < 2; call++) {
		nng_aio *const mark = (nng_aio *) (void *) taken;
		nng_aio *aio = mark;
		size_t count = 0;
		nng_err rv;

		pw_memory_fail_after(call);
		while ((rv = pinwheel_aio_alloc_on(&aio, 0, NULL, NULL)) == NNG_OK && count < 2 * PW_SLOTS_PER_SLAB) {
			taken[count++] = aio;
			aio = mark;
		}
		pw_memory_fail_after(-1);
		assert_int_equal(rv, NNG_ENOMEM);
		assert_ptr_equal(aio, mark);
		assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
		assert_ptr_not_equal(aio, mark);
		for (size_t i = 0; i < count; i++) {
			nng_aio_free(taken[i]);
		}
		nng_aio_free(aio);
	}
	assert_int_equal(shard_slots(0), 0);
}

/* "cb may be NULL." Method: the operation completes; wait, busy and result tell. */
static void
alloc_callback_may_be_null(void **unused)
{
	nng_aio *aio;

	(void) unused;
	assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), NNG_OK);
	nng_aio_reset(aio);
	nng_aio_finish(aio, NNG_EPROTO);
	nng_aio_wait(aio);
	assert_false(nng_aio_busy(aio));
	assert_int_equal(nng_aio_result(aio), NNG_EPROTO);
	nng_aio_free(aio);
}

/* "The engine starts itself on first use; nng_init is optional (R0: a superset of 1.x and 2.x)." Method: no start, a
 * whole operation, and an nng_fini that has no nng_init to undo. */
static void
alloc_starts_the_engine(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	assert_int_equal(pinwheel_shard_count(), 0);
	assert_int_equal(nng_aio_alloc(&c.aio, consumer_call, &c), NNG_OK);
	assert_true(pinwheel_shard_count() > 0);
	nng_sleep_aio(1, c.aio);
	nng_aio_wait(c.aio);
	assert_int_equal(c.result, NNG_OK);
	nng_aio_free(c.aio);
	nng_fini();
	assert_int_equal(pinwheel_shard_count(), 0);
}

static void
assert_fresh(nng_aio *aio)
{
	assert_false(nng_aio_busy(aio));
	assert_int_equal(nng_aio_result(aio), NNG_OK);
	assert_int_equal(nng_aio_count(aio), 0);
	assert_null(nng_aio_get_msg(aio));
	for (unsigned i = 0; i < 4; i++) {
		assert_null(nng_aio_get_input(aio, i));
		assert_null(nng_aio_get_output(aio, i));
	}
}

/* "Fresh: not busy, result 0, count 0, message NULL, inputs/outputs NULL, timeout NNG_DURATION_DEFAULT." Method:
 * looks at a new handle; spoils all of it, frees it, and looks at the handle that gets the same memory. The timeout:
 * a zero one would refuse the start, a short one would end it before a sleep of the same shard. */
static void
alloc_gives_a_fresh_handle(void **unused)
{
	struct provider p = PROVIDER;
	nng_aio *aio, *sleeper;
	void *place;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	assert_fresh(aio);
	place = aio;
	nng_aio_set_msg(aio, (nng_msg *) (void *) &p);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(nng_aio_set_input(aio, i, &p), NNG_OK);
		assert_int_equal(nng_aio_set_output(aio, i, &p), NNG_OK);
	}
	nng_aio_set_timeout(aio, NNG_DURATION_ZERO);
	nng_aio_reset(aio);
	assert_int_equal(nng_aio_set_output(aio, 3, &p), NNG_OK);
	nng_aio_finish(aio, NNG_EPROTO);
	nng_aio_wait(aio);
	nng_aio_set_expire(aio, 1);
	nng_aio_free(aio);

	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	assert_ptr_equal(aio, place); /* else the second half of this test looks at nothing new */
	assert_fresh(aio);
	assert_true(provider_start(&p, aio));
	assert_int_equal(pinwheel_aio_alloc_on(&sleeper, 0, NULL, NULL), NNG_OK);
	nng_sleep_aio(5, sleeper);
	nng_aio_wait(sleeper);
	assert_int_equal(provider_cancels(&p), 0);
	nng_aio_finish(aio, NNG_OK);
	nng_aio_wait(aio);
	nng_aio_free(sleeper);
	nng_aio_free(aio);
}

/* "NULL is a no-op for abort, cancel, stop, wait, free, reap." Method: with the recorder of misuse in place, which
 * must stay empty; with an engine and without one. */
static void
null_is_a_no_op_for_six(void **unused)
{
	(void) unused;
	for (int round = 0; round < 2; round++) {
		nng_aio_abort(NULL, NNG_EPROTO);
		nng_aio_cancel(NULL);
		nng_aio_stop(NULL);
		nng_aio_wait(NULL);
		nng_aio_free(NULL);
		nng_aio_reap(NULL);
		pinwheel_aio_close(NULL);
		assert_int_equal(pinwheel_aio_wait_until(NULL, 0), NNG_OK);
		nng_fini();
	}
	assert_int_equal(misuse_take().count, 0);
}

/* "nng_aio_free(aio): marks stopped, aborts with NNG_ESTOPPED, waits for completion and callback (which runs, once,
 * before free returns), releases." Method: an operation that ends by its cancel function; after free the callback has
 * left, and the shard has one handle less. */
static void
free_aborts_waits_and_releases(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	assert_true(provider_start(&p, c.aio));
	assert_int_equal(shard_slots(0), 1);
	nng_aio_free(c.aio);
	uint64_t freed = moment();
	assert_int_equal(p.reason, NNG_ESTOPPED);
	assert_int_equal(consumer_calls(&c), 1);
	assert_int_equal(c.result, NNG_ESTOPPED);
	assert_true(c.left < freed);
	assert_int_equal(shard_slots(0), 0);
	assert_int_equal(consumer_calls(&c), 1);
}

static void
start_again(struct consumer *c)
{
	c->count = nng_aio_start(c->aio, provider_cancel, c->arg);
}

/* "marks stopped": what the callback starts while free waits is refused, and free returns. Method: the callback that
 * delivers the aborted operation starts it again. */
static void
free_refuses_what_its_callback_starts(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	c.step = start_again;
	c.arg = &p;
	assert_true(provider_start(&p, c.aio));
	nng_aio_free(c.aio);
	assert_int_equal(consumer_calls(&c), 1);
	assert_int_equal(c.count, false); /* what start returned */
}

struct freer {
	nng_aio *aio;
	pw_a32 *finishing;
	bool after;
};

static void *
free_and_look(void *arg)
{
	struct freer *f = arg;
	nng_aio_free(f->aio);
	f->after = pw_load_acquire_32(f->finishing) != 0;
	return NULL;
}

/* "A provider that ignores the cancel makes free wait for its finish." Method: the cancel function has been called
 * and has done nothing; the freeing thread says, when free has returned, whether the finish had been begun. */
static void
free_waits_for_a_provider_that_ignores_its_cancel(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	pw_a32 finishing;

	(void) unused;
	pw_store_relaxed_32(&finishing, 0);
	p.ignores = true;
	consumer_open(&c, 0);
	assert_true(provider_start(&p, c.aio));
	struct freer f = { .aio = c.aio, .finishing = &finishing };
	pthread_t thread = thread_start(free_and_look, &f);
	gate_pass(&p.canceled, 1);
	shard_pass(0);
	assert_int_equal(consumer_calls(&c), 0);
	pw_store_release_32(&finishing, 1);
	nng_aio_finish(c.aio, NNG_EPROTO);
	thread_end(thread);
	assert_true(f.after);
	assert_int_equal(p.reason, NNG_ESTOPPED);
	assert_int_equal(consumer_calls(&c), 1);
	assert_int_equal(c.result, NNG_EPROTO); /* the provider's finish counts */
}

/* "A message in the slot is not freed." Method: the slot holds the address of an automatic object, which no allocator
 * would take. */
static void
free_leaves_the_message_alone(void **unused)
{
	uint64_t message = 0x600d;
	nng_aio *aio;

	(void) unused;
	assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), NNG_OK);
	nng_aio_set_msg(aio, (nng_msg *) (void *) &message);
	nng_aio_free(aio);
	assert_int_equal(message, 0x600d);
}

static void
free_self(struct consumer *c)
{
	nng_aio_free(c->aio);
}

/* "From the own callback: acts as reap (R21; NNG deadlocks, and its users were bitten for years)." Method: the
 * callback frees its handle; it returns, and afterwards every slot has been released. */
static void
free_in_the_own_callback_reaps(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	consumer_open(&c, 0);
	c.step = free_self;
	nng_sleep_aio(0, c.aio);
	gate_pass(&c.called, 1);
	assert_int_equal(shard_slots(0), 0);
}

/* "an abort that has returned is harmless" (to free and reap). Method: the shard is held, so that the abort's entry
 * is in its inbox, not yet taken, when the handle is reaped, or when a free begins; the slot comes back once. */
static void
free_after_an_abort_that_has_returned(void **unused)
{
	(void) unused;
	for (int reap = 0; reap < 2; reap++) {
		struct hold hold = HOLD;
		struct provider p = PROVIDER;
		nng_aio *aio;
		assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
		assert_true(provider_start(&p, aio));
		shard_hold(&hold, 0);
		nng_aio_abort(aio, NNG_EPROTO);
		nng_aio_finish(aio, NNG_OK); /* its completion stands behind the abort in the inbox */
		if (reap) {
			nng_aio_reap(aio);
			gate_open(&hold.out);
		} else {
			gate_open(&hold.out);
			nng_aio_free(aio);
		}
		assert_int_equal(shard_slots(0), 0);
		assert_int_equal(provider_cancels(&p), 0); /* finished before home saw the abort */
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(alloc_gives_a_handle_and_the_callback_its_arg),
		TEST_TWO(alloc_out_of_memory_leaves_the_pointer_alone),
		TEST_TWO(alloc_callback_may_be_null),
		cmocka_unit_test(alloc_starts_the_engine),
		TEST_TWO(alloc_gives_a_fresh_handle),
		TEST_RECORDED(null_is_a_no_op_for_six),
		TEST_TWO(free_aborts_waits_and_releases),
		TEST_TWO(free_refuses_what_its_callback_starts),
		TEST_TWO(free_waits_for_a_provider_that_ignores_its_cancel),
		TEST_TWO(free_leaves_the_message_alone),
		TEST_TWO(free_in_the_own_callback_reaps),
		TEST_TWO(free_after_an_abort_that_has_returned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * extension_test.c: the extensions of pinwheel.h that have no file of their own: shards and homes, functions run on a
 * shard, close, settings. Nanoseconds: timeout_test.c, sleep_test.c; wait_until: wait_test.c; starting: start_test.c.
 */
#include "tests/contract/contract.h"

#include "engine/shard/arena.h"

static void
note_self(void *arg)
{
	*(int *) arg = pinwheel_shard_self();
}

/* pinwheel_shard_count: "the number of shards, lent ones included"; pinwheel_shard_self: "the shard whose thread the
 * caller is; -1: none." Method: two shards and this thread. */
static void
shard_count_and_self(void **unused)
{
	(void) unused;
	assert_int_equal(pinwheel_shard_count(), 2);
	assert_int_equal(pinwheel_shard_self(), -1);
	for (int shard = 0; shard < 2; shard++) {
		int self = -7;
		shard_run(shard, note_self, &self);
		assert_int_equal(self, shard);
	}
}

static void
start_and_finish(void *arg)
{
	struct consumer *c = arg;
	if (provider_start(c->arg, c->aio)) {
		nng_aio_finish(c->aio, NNG_OK);
	}
}

/* pinwheel_aio_alloc_on: "nng_aio_alloc on a given shard, from whose thread its callback will always come"; "the
 * handle never moves". Method: started and finished here, on the one shard, on the other; home and callback stay. */
static void
handle_of_a_given_shard_never_moves(void **unused)
{
	(void) unused;
	for (int home = 0; home < 2; home++) {
		struct consumer c = CONSUMER;
		struct provider p = PROVIDER;
		consumer_open(&c, home);
		c.arg = &p;
		for (int where = -1; where < 2; where++) {
			if (where < 0) {
				start_and_finish(&c);
			} else {
				shard_run(where, start_and_finish, &c);
			}
			nng_aio_wait(c.aio);
			assert_int_equal(pinwheel_aio_home(c.aio), home);
			assert_int_equal(c.shard, home);
			assert_int_equal(c.home, home);
		}
		assert_int_equal(consumer_calls(&c), 3);
		nng_aio_free(c.aio);
	}
}

static void
note_home(struct provider *p)
{
	p->reason = pinwheel_aio_home(p->aio);
}

static void
start_only(void *arg)
{
	struct consumer *c = arg;
	(void) provider_start(c->arg, c->aio);
}

/* pinwheel_aio_home: "A handle may move when it is started, unless it was allocated on a given shard; in its callback
 * and cancel function the answer is that thread's shard." Method: a handle from nng_aio_alloc is started on each
 * shard in turn, with and without a deadline, finished there or cancelled from here. */
static void
handle_is_at_home_where_its_callback_runs(void **unused)
{
	struct consumer c = CONSUMER;

	(void) unused;
	assert_int_equal(nng_aio_alloc(&c.aio, consumer_call, &c), NNG_OK);
	for (unsigned i = 0; i < 8; i++) {
		struct provider p = PROVIDER;
		c.arg = &p;
		p.step = note_home;
		nng_aio_set_timeout(c.aio, i < 4 ? NNG_DURATION_DEFAULT : HOUR_MS);
		if (i % 4 < 2) {
			shard_run((int) i % 2, start_and_finish, &c);
		} else {
			shard_run((int) i % 2, start_only, &c);
			nng_aio_cancel(c.aio);
		}
		nng_aio_wait(c.aio);
		assert_int_equal(consumer_calls(&c), i + 1);
		assert_true(c.shard >= 0);
		assert_int_equal(c.home, c.shard);
		if (i % 4 >= 2) {
			assert_int_equal(provider_cancels(&p), 1);
			assert_int_equal(p.shard, p.reason);
		}
	}
	nng_aio_free(c.aio);
}

/* pinwheel_aio_alloc_on: "NNG_EINVAL: there is no such shard." Method: below and above; *aiop stays. */
static void
alloc_on_no_such_shard_is_einval(void **unused)
{
	static const int none[] = { -1, 2, INT32_MAX, INT32_MIN };

	(void) unused;
	for (int i = 0; i < 4; i++) {
		nng_aio *const mark = (nng_aio *) (void *) &i;
		nng_aio *aio = mark;
		assert_int_equal(pinwheel_aio_alloc_on(&aio, none[i], NULL, NULL), NNG_EINVAL);
		assert_ptr_equal(aio, mark);
	}
}

struct sequence {
	int ran[100];
	unsigned count;
	struct gate done;
};

struct item {
	struct sequence *sequence;
	int number;
};

static void
append(void *arg)
{
	struct item *item = arg;
	item->sequence->ran[item->sequence->count++] = item->number;
	gate_open(&item->sequence->done);
}

/* pinwheel_run_on: "calls fn(arg) once on a shard's thread"; "calls made by one thread to one shard run in the order
 * made". Method: a hundred calls while the shard is held, and a hundred while it runs. */
static void
run_on_runs_in_order_and_once(void **unused)
{
	(void) unused;
	for (int held = 0; held < 2; held++) {
		struct sequence sequence = { .done = GATE };
		struct item items[100];
		struct hold hold = HOLD;
		if (held) {
			shard_hold(&hold, 1);
		}
		for (int i = 0; i < 100; i++) {
			items[i] = (struct item){ &sequence, i };
			assert_int_equal(pinwheel_run_on(1, append, &items[i]), NNG_OK);
		}
		gate_open(&hold.out);
		gate_pass(&sequence.done, 100);
		shard_pass(1);
		assert_int_equal(sequence.count, 100);
		for (int i = 0; i < 100; i++) {
			assert_int_equal(sequence.ran[i], i);
		}
		assert_int_equal(shard_slots(1), 0);
	}
}

struct nested {
	bool inside;
	bool on_the_stack;
	nng_err rv;
	struct gate done;
};

static void
inner(void *arg)
{
	struct nested *n = arg;
	n->on_the_stack = n->inside;
	gate_open(&n->done);
}

static void
outer(void *arg)
{
	struct nested *n = arg;
	n->inside = true;
	n->rv = pinwheel_run_on(pinwheel_shard_self(), inner, n);
	n->inside = false;
}

/* "fn runs later, also when the caller is on that shard". Method: a function sends another to its own shard. */
static void
run_on_the_own_shard_runs_later(void **unused)
{
	struct nested n = { .done = GATE };

	(void) unused;
	shard_run(0, outer, &n);
	assert_int_equal(n.rv, NNG_OK);
	gate_pass(&n.done, 1);
	assert_false(n.on_the_stack);
}

#define MOST (4 * PW_SLOTS_PER_SLAB)

/* "NNG_EINVAL (no such shard), NNG_ENOMEM ... fn is then not called." Method: wrong shards; no function; the
 * allocator fails while every slot is taken. */
static void
run_on_refuses_what_it_cannot_run(void **unused)
{
	static nng_aio *taken[MOST];
	struct gate gate = GATE;
	size_t count = 0;

	(void) unused;
	assert_int_equal(pinwheel_run_on(-1, open_gate, &gate), NNG_EINVAL);
	assert_int_equal(pinwheel_run_on(2, open_gate, &gate), NNG_EINVAL);
	assert_int_equal(pinwheel_run_on(0, NULL, &gate), NNG_EINVAL);
	pw_memory_fail_after(0);
	while (count < MOST && pinwheel_aio_alloc_on(&taken[count], 0, NULL, NULL) == NNG_OK) {
		count++;
	}
	assert_true(count < MOST);
	pw_memory_fail_after(0);
	assert_int_equal(pinwheel_run_on(0, open_gate, &gate), NNG_ENOMEM);
	pw_memory_fail_after(-1);
	for (size_t i = 0; i < count; i++) {
		nng_aio_free(taken[i]);
	}
	shard_pass(0);
	assert_int_equal(gate_count(&gate), 0);
}

static void
close_self(struct consumer *c)
{
	pinwheel_aio_close(c->aio);
}

/* pinwheel_aio_close: "marks the handle stopped, for good; aborts with NNG_ESTOPPED; a pending operation still has
 * its one callback. Later starts are refused as nng_aio_start says. Idempotent." "The handle stays the caller's".
 * Method: a provider that ignores its cancel; close twice, from here and inside the callback; a start after it;
 * free. */
static void
close_stops_without_waiting(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	p.ignores = true;
	consumer_open(&c, 0);
	c.step = close_self;
	assert_true(provider_start(&p, c.aio));
	pinwheel_aio_close(c.aio);
	pinwheel_aio_close(c.aio);
	gate_pass(&p.canceled, 1);
	assert_int_equal(p.reason, NNG_ESTOPPED);
	assert_true(nng_aio_busy(c.aio));
	nng_aio_finish(c.aio, NNG_EPROTO);
	nng_aio_wait(c.aio);
	assert_int_equal(consumer_calls(&c), 1);
	assert_int_equal(c.result, NNG_EPROTO);
	assert_int_equal(provider_cancels(&p), 1);
	assert_false(provider_start(&p, c.aio));
	nng_aio_wait(c.aio);
	assert_int_equal(consumer_calls(&c), 2);
	assert_int_equal(c.result, NNG_ESTOPPED);
	nng_aio_free(c.aio);
}

struct settings {
	unsigned count;
	unsigned known;
	unsigned incomplete;
};

static void
note_setting(const char *name, const char *value, const char *source, const char *meaning, void *arg)
{
	static const char *const names[] = { "PINWHEEL_CPUS", "PINWHEEL_SHARDS", "PINWHEEL_LENT", "PINWHEEL_IDLE",
		"PINWHEEL_POLLER", "PINWHEEL_PRIORITY", "PINWHEEL_TURN_BUDGET", "PINWHEEL_TICK", "PINWHEEL_SPIN",
		"PINWHEEL_LONG_TURN" };
	struct settings *s = arg;
	s->count++;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		s->known += strcmp(name, names[i]) == 0;
	}
	s->incomplete += value == NULL || source[0] == '\0' || meaning[0] == '\0';
}

/* pinwheel_settings_each: "calls fn for every setting: those in force, or, with no engine running, those with which a
 * start would be tried now." Method: the ten of the table in pinwheel.h, each with all its texts. */
static void
settings_are_all_listed(void **unused)
{
	(void) unused;
	for (int running = 1; running >= 0; running--) {
		struct settings s = { 0 };
		pinwheel_settings_each(note_setting, &s);
		assert_int_equal(s.count, 10);
		assert_int_equal(s.known, 10);
		assert_int_equal(s.incomplete, 0);
		nng_fini();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(shard_count_and_self),
		TEST_TWO(handle_of_a_given_shard_never_moves),
		TEST_TWO(handle_is_at_home_where_its_callback_runs),
		TEST_TWO(alloc_on_no_such_shard_is_einval),
		TEST_TWO(run_on_runs_in_order_and_once),
		TEST_TWO(run_on_the_own_shard_runs_later),
		TEST_TWO(run_on_refuses_what_it_cannot_run),
		TEST_TWO(close_stops_without_waiting),
		TEST_TWO(settings_are_all_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * dump_test.c: the contract of pinwheel_dump_each and pinwheel_dump: what is outstanding.
 */
#include "tests/contract/contract.h"

/* What was said of one handle; texts are copied, for they hold during the call only. */
struct shown {
	const nng_aio *aio;
	unsigned times;
	int home;
	char state[128];
	uint64_t age_ms;
	int64_t deadline_in_ns;
	uintptr_t cancel_function;
	char module[256];
	char symbol[128];
};

static void
note(const struct pinwheel_outstanding *one, void *arg)
{
	struct shown *s = arg;
	if (one->aio != s->aio) {
		return;
	}
	s->times++;
	s->home = one->home;
	s->age_ms = one->age_ms;
	s->deadline_in_ns = one->deadline_in_ns;
	s->cancel_function = one->cancel_function;
	(void) snprintf(s->state, sizeof s->state, "%s", one->state);
	(void) snprintf(s->module, sizeof s->module, "%s", one->module);
	(void) snprintf(s->symbol, sizeof s->symbol, "%s", one->symbol);
}

static struct shown
show(const nng_aio *aio)
{
	struct shown s = { .aio = aio };
	(void) pinwheel_dump_each(note, &s);
	return s;
}

static void
count_one(const struct pinwheel_outstanding *one, void *arg)
{
	(void) one;
	++*(size_t *) arg;
}

/* "calls fn for every operation that is outstanding, shard by shard; returns their number." Method: ten operations on
 * two shards; some are finished; idle handles are not shown. */
static void
dump_shows_what_is_outstanding_and_nothing_else(void **unused)
{
	struct provider p = PROVIDER;
	nng_aio *aio[10], *idle;
	size_t calls = 0;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&idle, 0, NULL, NULL), NNG_OK);
	nng_aio_reset(idle);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(pinwheel_aio_alloc_on(&aio[i], i % 2, NULL, NULL), NNG_OK);
		assert_true(provider_start(&p, aio[i]));
	}
	assert_int_equal(pinwheel_dump_each(count_one, &calls), 10);
	assert_int_equal(calls, 10);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(show(aio[i]).times, 1);
		assert_int_equal(show(aio[i]).home, i % 2);
	}
	for (int i = 0; i < 10; i += 2) {
		nng_aio_finish(aio[i], NNG_OK);
		nng_aio_wait(aio[i]);
	}
	assert_int_equal(pinwheel_dump_each(count_one, &calls), 5);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(show(aio[i]).times, i % 2);
		if (i % 2 != 0) {
			nng_aio_finish(aio[i], NNG_OK);
		}
		nng_aio_free(aio[i]);
	}
	assert_int_equal(show(idle).times, 0);
	nng_aio_free(idle);
	assert_int_equal(pinwheel_dump_each(count_one, &calls), 0);
}

static void
enter_and_stay(struct consumer *c)
{
	struct hold *hold = c->arg;
	gate_open(&hold->in);
	gate_pass(&hold->out, 1);
}

/* Of each: "state". "A callback that runs counts as outstanding." Method: one handle in every busy state. */
static void
dump_tells_the_state(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;
	struct hold inside = HOLD, hold = HOLD;

	(void) unused;
	p.ignores = true;
	c.step = enter_and_stay;
	c.arg = &inside;
	consumer_open(&c, 0);
	assert_true(nng_aio_begin(c.aio));
	assert_string_equal(show(c.aio).state, "BUSY");
	nng_aio_defer(c.aio, provider_cancel, &p);
	assert_string_equal(show(c.aio).state, "DEFERRED");
	nng_aio_cancel(c.aio);
	gate_pass(&p.canceled, 1);
	assert_int_equal(strncmp(show(c.aio).state, "CANCELING", 9), 0);
	shard_hold(&hold, 0);
	nng_aio_finish(c.aio, NNG_OK);
	assert_string_equal(show(c.aio).state, "DONE");
	gate_open(&hold.out);
	gate_pass(&inside.in, 1);
	assert_string_equal(show(c.aio).state, "DONE|RUNNING");
	gate_open(&inside.out);
	nng_aio_wait(c.aio);
	assert_int_equal(show(c.aio).times, 0);
	nng_aio_free(c.aio);
}

static void
start_on_shard(void *arg)
{
	struct consumer *c = arg;
	(void) provider_start(c->arg, c->aio);
}

/* "since it was accepted; up to 10 ms off". Method: an operation is looked at after 40 ms: at least 30 old, and no
 * older than the time that has passed on the clock, plus 10. Each form, and a start on the home shard. */
static void
dump_tells_the_age(void **unused)
{
	struct consumer c = CONSUMER;
	struct provider p = PROVIDER;

	(void) unused;
	consumer_open(&c, 0);
	c.arg = &p;
	for (int form = 0; form < 3; form++) {
		uint64_t before_ns = pinwheel_clock_ns();
		if (form == 0) {
			assert_true(provider_start(&p, c.aio));
		} else if (form == 1) {
			assert_true(nng_aio_begin(c.aio));
			nng_aio_defer(c.aio, provider_cancel, &p);
		} else {
			shard_run(0, start_on_shard, &c);
		}
		nng_msleep(40);
		uint64_t age_ms = show(c.aio).age_ms;
		uint64_t passed_ms = (pinwheel_clock_ns() - before_ns) / MS;
		assert_in_range(age_ms, 30, passed_ms + 11);
		nng_aio_finish(c.aio, NNG_OK);
		nng_aio_wait(c.aio);
	}
	nng_aio_free(c.aio);
}

/* "from now; negative: past; INT64_MAX: none". Method: no deadline; an hour; one that passes while its shard is held.
 * */
static void
dump_tells_the_deadline(void **unused)
{
	struct provider p = PROVIDER;
	struct hold hold = HOLD;
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	assert_true(provider_start(&p, aio));
	assert_int_equal(show(aio).deadline_in_ns, INT64_MAX);
	nng_aio_finish(aio, NNG_OK);
	nng_aio_wait(aio);

	nng_aio_set_timeout(aio, HOUR_MS);
	assert_true(provider_start(&p, aio));
	assert_in_range(show(aio).deadline_in_ns, 1, HOUR_MS * MS);
	nng_aio_finish(aio, NNG_OK);
	nng_aio_wait(aio);

	shard_hold(&hold, 0);
	nng_aio_set_timeout(aio, 1);
	assert_true(provider_start(&p, aio));
	nng_msleep(2);
	assert_true(show(aio).deadline_in_ns < 0);
	shard_let_go(&hold, 0);
	nng_aio_wait(aio);
	assert_int_equal(nng_aio_result(aio), NNG_ETIMEDOUT);
	nng_aio_free(aio);
}

/* "cancel function as module+offset and symbol where there is one". "0: none"; "\"\" without one". Method: a function
 * of this program, which has no dynamic symbol, one of the C library, which has (it is never called), and none. */
static void
dump_names_the_cancel_function(void **unused)
{
	struct provider p = PROVIDER;
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	assert_true(provider_start(&p, aio));
	struct shown own = show(aio);
	assert_true(own.cancel_function == (uintptr_t) provider_cancel);
	assert_non_null(strstr(own.module, "+0x"));
	nng_aio_finish(aio, NNG_OK);
	nng_aio_wait(aio);

	union {
		int (*theirs)(const char *);
		nng_aio_cancelfn ours;
	} function = { .theirs = system };
	assert_true(nng_aio_start(aio, function.ours, NULL));
	struct shown libc = show(aio);
	assert_true(libc.cancel_function == (uintptr_t) function.ours);
	assert_non_null(strstr(libc.module, "+0x"));
	assert_non_null(strstr(libc.symbol, "system"));
	nng_aio_finish(aio, NNG_OK);
	nng_aio_wait(aio);

	assert_true(nng_aio_start(aio, NULL, NULL));
	struct shown none = show(aio);
	assert_true(none.cancel_function == 0);
	assert_string_equal(none.module, "");
	assert_string_equal(none.symbol, "");
	nng_aio_finish(aio, NNG_OK);
	nng_aio_wait(aio);
	nng_aio_free(aio);
}

/* pinwheel_dump: "as a table, one line per operation; returns their number." Method: three operations; the table
 * names each handle, and ends with their number. */
static void
dump_prints_a_line_for_each(void **unused)
{
	struct provider p = PROVIDER;
	nng_aio *aio[3];
	char *text = NULL, name[32];
	size_t size = 0, lines = 0;

	(void) unused;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pinwheel_aio_alloc_on(&aio[i], i % 2, NULL, NULL), NNG_OK);
		nng_aio_set_timeout(aio[i], HOUR_MS);
		assert_true(provider_start(&p, aio[i]));
	}
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	assert_int_equal(pinwheel_dump(out), 3);
	assert_int_equal(fclose(out), 0);
	for (const char *c = text; *c != '\0'; c++) {
		lines += *c == '\n';
	}
	assert_int_equal(lines, 1 + 3 + 1);
	assert_non_null(strstr(text, "3 outstanding"));
	for (int i = 0; i < 3; i++) {
		(void) snprintf(name, sizeof name, "%p", (void *) aio[i]);
		assert_non_null(strstr(text, name));
		nng_aio_finish(aio[i], NNG_OK);
		nng_aio_free(aio[i]);
	}
	free(text);
}

/* "Any thread, for a service that hangs": with a shard that is stuck, and with no engine. Method: both shards are
 * held. */
static void
dump_works_beside_stuck_shards_and_without_an_engine(void **unused)
{
	struct provider p = PROVIDER;
	struct hold hold[2] = { HOLD, HOLD };
	nng_aio *aio[2];
	size_t calls = 0;

	(void) unused;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pinwheel_aio_alloc_on(&aio[i], i, NULL, NULL), NNG_OK);
		assert_true(provider_start(&p, aio[i]));
		shard_hold(&hold[i], i);
	}
	assert_int_equal(show(aio[0]).times, 1);
	assert_int_equal(show(aio[1]).times, 1);
	for (int i = 0; i < 2; i++) {
		shard_let_go(&hold[i], i);
		nng_aio_finish(aio[i], NNG_OK);
		nng_aio_wait(aio[i]);
	}
	nng_fini();
	assert_int_equal(pinwheel_dump_each(count_one, &calls), 0);
	nng_aio_free(aio[0]);
	nng_aio_free(aio[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(dump_shows_what_is_outstanding_and_nothing_else),
		TEST_TWO(dump_tells_the_state),
		TEST_TWO(dump_tells_the_age),
		TEST_TWO(dump_tells_the_deadline),
		TEST_TWO(dump_names_the_cancel_function),
		TEST_TWO(dump_prints_a_line_for_each),
		TEST_TWO(dump_works_beside_stuck_shards_and_without_an_engine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * stats_test.c: the contract of pinwheel_stats: each counter counts what its line in pinwheel.h says.
 *
 * Method of all: the figures before and after something that happens a known number of times; the functions by which
 * the shard is passed are operations too, finished off the shard, with a callback each, and are taken off by doing
 * the same without the something.
 */
#include "tests/contract/contract.h"

struct look {
	int shard;
	struct pinwheel_shard_stats stats;
};

static void
look_here(void *arg)
{
	struct look *look = arg;
	look->stats.size = sizeof look->stats;
	(void) pinwheel_stats(look->shard, &look->stats);
}

/* Taken on the shard itself, so that nothing of it is half counted. */
static struct pinwheel_shard_stats
settled(int shard)
{
	struct look look = { .shard = shard };
	shard_pass(shard);
	shard_run(shard, look_here, &look);
	assert_int_equal(look.stats.shard, shard);
	return look.stats;
}

/* What a call to settled() and one to shard_run() add themselves. */
struct overhead {
	uint64_t mails, delivered, callbacks, remote, home;
};

static void
nothing(void *arg)
{
	(void) arg;
}

static struct overhead
overhead_of(int runs)
{
	struct pinwheel_shard_stats a = settled(0);
	for (int i = 0; i < runs; i++) {
		shard_run(0, nothing, NULL);
	}
	struct pinwheel_shard_stats b = settled(0);
	return (struct overhead){
		.mails = b.mails_received - a.mails_received,
		.delivered = b.delivered - a.delivered,
		.callbacks = b.callbacks - a.callbacks,
		.remote = b.finished_remote - a.finished_remote,
		.home = b.finished_home - a.finished_home,
	};
}

struct work {
	nng_aio *aio;
	struct provider p;
};

static void
ten_at_home(void *arg)
{
	struct work *w = arg;
	(void) provider_start(&w->p, w->aio);
	nng_aio_finish(w->aio, NNG_OK);
}

/* finished_home: "operations finished on this shard's thread"; finished_remote: "finished on another thread and sent
 * here"; delivered: "completions"; callbacks: "completions that had a callback"; mails_received: "inbox entries
 * taken". */
static void
stats_count_finishes_and_deliveries(void **unused)
{
	struct consumer c = CONSUMER;
	struct work w = { .p = PROVIDER };

	(void) unused;
	consumer_open(&c, 0);
	assert_int_equal(pinwheel_aio_alloc_on(&w.aio, 0, NULL, NULL), NNG_OK);
	(void) overhead_of(1);
	struct overhead self = overhead_of(10);
	struct pinwheel_shard_stats a = settled(0);
	for (int i = 0; i < 10; i++) {
		shard_run(0, ten_at_home, &w); /* without a callback */
		nng_aio_wait(w.aio);
	}
	struct pinwheel_shard_stats b = settled(0);
	assert_int_equal(b.finished_home - a.finished_home - self.home, 10);
	assert_int_equal(b.finished_remote - a.finished_remote - self.remote, 0);
	assert_int_equal(b.delivered - a.delivered - self.delivered, 10);
	assert_int_equal(b.callbacks - a.callbacks - self.callbacks, 0);
	assert_int_equal(b.mails_received - a.mails_received - self.mails, 0);

	self = overhead_of(0);
	a = settled(0);
	for (int i = 0; i < 10; i++) {
		assert_true(nng_aio_begin(c.aio));
		nng_aio_finish(c.aio, NNG_OK);
		nng_aio_wait(c.aio);
	}
	b = settled(0);
	assert_int_equal(b.finished_home - a.finished_home - self.home, 0);
	assert_int_equal(b.finished_remote - a.finished_remote - self.remote, 10);
	assert_int_equal(b.delivered - a.delivered - self.delivered, 10);
	assert_int_equal(b.callbacks - a.callbacks - self.callbacks, 10);
	assert_int_equal(b.mails_received - a.mails_received - self.mails, 10);
	assert_true(b.turns > a.turns);
	nng_aio_free(c.aio);
	nng_aio_free(w.aio);
}

static void
refuse_here(void *arg)
{
	(void) nng_aio_start(arg, NULL, NULL);
}

/* refused: "starts and begins refused on this shard's thread". */
static void
stats_count_refusals(void **unused)
{
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	nng_aio_stop(aio);
	struct pinwheel_shard_stats a = settled(0);
	for (int i = 0; i < 3; i++) {
		shard_run(0, refuse_here, aio);
		nng_aio_wait(aio);
	}
	struct pinwheel_shard_stats b = settled(0);
	assert_int_equal(b.refused - a.refused, 3);
	nng_aio_free(aio);
}

/* cancels_won: "aborts and stops that ended or called the cancel function of an operation"; cancels_late: "aborts and
 * stops that found nothing left to abort"; requests: "(abort, earlier deadline, release)". Method: five aborts that
 * are called; five that a finish beats while the shard is held; and operations whose deadline alone is sent, and
 * overtaken by a finish, which abort nothing. */
static void
stats_count_cancels_won_and_late(void **unused)
{
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	struct provider p = PROVIDER;
	struct pinwheel_shard_stats a = settled(0);
	for (int i = 0; i < 5; i++) {
		assert_true(provider_start(&p, aio));
		nng_aio_cancel(aio);
		nng_aio_wait(aio);
	}
	struct pinwheel_shard_stats b = settled(0);
	assert_int_equal(b.cancels_won - a.cancels_won, 5);
	assert_int_equal(b.cancels_late - a.cancels_late, 0);
	assert_int_equal(b.requests - a.requests, 5);

	for (int i = 0; i < 10; i++) {
		struct hold hold = HOLD;
		shard_hold(&hold, 0);
		if (i >= 5) {
			nng_aio_set_timeout(aio, HOUR_MS);
		}
		assert_true(provider_start(&p, aio));
		if (i < 5) {
			nng_aio_cancel(aio);
		}
		nng_aio_finish(aio, NNG_OK);
		shard_let_go(&hold, 0);
		nng_aio_wait(aio);
	}
	struct pinwheel_shard_stats c = settled(0);
	assert_int_equal(c.cancels_won - b.cancels_won, 0);
	assert_int_equal(c.requests - b.requests, 10);
	assert_int_equal(c.cancels_late - b.cancels_late, 5);
	nng_aio_free(aio);
}

static void
start_and_finish_here(void *arg)
{
	struct work *w = arg;
	if (provider_start(&w->p, w->aio)) {
		nng_aio_finish(w->aio, NNG_OK);
	}
}

/* expired: "deadlines that reached an operation, sleeps' own ends included"; timers_armed: "entries linked";
 * timers_linked: level; timer_visits: "due entries that ended nothing". lateness: "from a deadline to the turn that
 * saw it". Method: three sleeps and three timeouts; a deadline of an hour that stays linked; a deadline of an
 * operation that is over when it comes. */
static void
stats_count_timers(void **unused)
{
	struct work w = { .p = PROVIDER };
	nng_aio *sleeper;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&w.aio, 0, NULL, NULL), NNG_OK);
	assert_int_equal(pinwheel_aio_alloc_on(&sleeper, 0, NULL, NULL), NNG_OK);
	struct pinwheel_shard_stats a = settled(0);
	nng_aio_set_timeout(w.aio, 1);
	for (int i = 0; i < 3; i++) {
		nng_sleep_aio(1, sleeper);
		nng_aio_wait(sleeper);
		assert_true(provider_start(&w.p, w.aio));
		nng_aio_wait(w.aio);
	}
	struct pinwheel_shard_stats b = settled(0);
	assert_int_equal(b.expired - a.expired, 6);
	assert_int_equal(b.lateness.count - a.lateness.count, 6);
	assert_int_equal(b.timers_armed - a.timers_armed, 6);
	assert_int_equal(b.timers_linked, 0);

	nng_aio_set_timeout(w.aio, HOUR_MS);
	assert_true(provider_start(&w.p, w.aio));
	assert_int_equal(settled(0).timers_linked, 1);
	nng_aio_finish(w.aio, NNG_OK);
	nng_aio_free(w.aio);
	assert_int_equal(settled(0).timers_linked, 0);

	assert_int_equal(pinwheel_aio_alloc_on(&w.aio, 0, NULL, NULL), NNG_OK);
	nng_aio_set_timeout(w.aio, 2);
	shard_run(0, start_and_finish_here, &w);
	b = settled(0);
	nng_sleep_aio(10, sleeper);
	nng_aio_wait(sleeper);
	struct pinwheel_shard_stats c = settled(0);
	assert_in_range(c.timer_visits - a.timer_visits, 1, 3); /* once; wheel levels are not entries that are due */
	assert_int_equal(c.timers_linked, 0);
	nng_aio_free(w.aio);
	nng_aio_free(sleeper);
}

/* slots_allocated: "handles, ever"; slots_released: "of them, released"; slabs: "a slab holds 256 handles and is
 * never given back"; allocations: "stands still once the shard is warm". Method: 300 handles, freed, and again: the
 * second time no slab is made. */
static void
stats_count_slots(void **unused)
{
	static nng_aio *aio[300];
	uint64_t slabs = 0, allocations = 0;

	(void) unused;
	for (int round = 0; round < 2; round++) {
		struct pinwheel_shard_stats a = settled(0);
		uint64_t in_use = shard_slots(0);
		for (int i = 0; i < 300; i++) {
			assert_int_equal(pinwheel_aio_alloc_on(&aio[i], 0, NULL, NULL), NNG_OK);
		}
		assert_int_equal(shard_slots(0) - in_use, 300);
		struct pinwheel_shard_stats b = settled(0);
		assert_true(b.slots_allocated - a.slots_allocated >= 300);
		assert_true(b.slabs * 256 >= 300);
		if (round == 1) {
			assert_int_equal(b.slabs, slabs);
			assert_int_equal(b.allocations, allocations);
		}
		slabs = b.slabs;
		allocations = b.allocations;
		for (int i = 0; i < 300; i++) {
			nng_aio_free(aio[i]);
		}
		assert_int_equal(shard_slots(0), in_use);
	}
}

struct mover {
	nng_aio *aio;
	int home;
};

static void
start_here(void *arg)
{
	struct mover *m = arg;
	if (nng_aio_start(m->aio, NULL, NULL)) {
		m->home = pinwheel_aio_home(m->aio);
		nng_aio_finish(m->aio, NNG_OK);
	}
}

/* moved_home: "handles that moved here". Method: a handle that nothing holds is started on the shard it does not live
 * on. */
static void
stats_count_moves(void **unused)
{
	struct mover m = { .home = -1 };

	(void) unused;
	assert_int_equal(nng_aio_alloc(&m.aio, NULL, NULL), NNG_OK);
	int from = pinwheel_aio_home(m.aio);
	uint64_t before = settled(1 - from).moved_home;
	shard_run(1 - from, start_here, &m);
	nng_aio_wait(m.aio);
	assert_int_equal(m.home, 1 - from);
	assert_int_equal(settled(1 - from).moved_home - before, 1);
	nng_aio_free(m.aio);
}

static void
stay_long(void *arg)
{
	(void) arg;
	nng_msleep(12);
}

static void
long_callback(void *arg)
{
	stay_long(NULL);
	gate_open(arg);
}

/* long_turns: "turns above the setting long_turn_ns"; longest_turn_ns; longest_turn_function: "the slowest callback
 * or cancel function in it". Method: a callback of 12 ms, the setting is 10. (Of pinwheel_run_on the engine's own
 * caller is named.) */
static void
stats_name_the_function_of_the_longest_turn(void **unused)
{
	struct gate gate = GATE;
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, long_callback, &gate), NNG_OK);
	struct pinwheel_shard_stats a = settled(0);
	nng_sleep_aio(0, aio);
	gate_pass(&gate, 1);
	nng_aio_wait(aio);
	struct pinwheel_shard_stats b = settled(0);
	assert_true(b.long_turns > a.long_turns);
	assert_true(b.longest_turn_ns >= 12 * MS);
	if (a.longest_turn_ns < 12 * MS) { /* else an earlier turn was longer, because the machine stood still */
		assert_true(b.longest_turn_function == (uintptr_t) long_callback);
	}
	nng_aio_free(aio);
}

/* "A distribution of times": percentiles in order, mean and maximum with them; "All 0 when count is 0." Method: after
 * some sleeps; a shard that had none, of an engine that has just been started, has no lateness. */
static void
stats_histograms_are_in_order(void **unused)
{
	nng_aio *aio;

	(void) unused;
	assert_int_equal(pinwheel_aio_alloc_on(&aio, 0, NULL, NULL), NNG_OK);
	for (int i = 0; i < 20; i++) {
		pinwheel_sleep_ns(100000, aio);
		nng_aio_wait(aio);
	}
	struct pinwheel_shard_stats s = settled(0);
	const struct pinwheel_histogram *const all[] = { &s.lateness, &s.turn, &s.callback, &s.mail_to_run };
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		assert_true(all[i]->p50_ns <= all[i]->p90_ns);
		assert_true(all[i]->p90_ns <= all[i]->p99_ns);
		assert_true(all[i]->p99_ns <= all[i]->p999_ns);
		assert_true(all[i]->p999_ns <= all[i]->max_ns);
		assert_true(all[i]->mean_ns <= all[i]->max_ns);
		if (all[i]->count == 0) {
			assert_int_equal(all[i]->max_ns, 0);
		}
	}
	assert_true(s.lateness.count >= 20);
	assert_true(s.turn.count > 0);
	nng_aio_free(aio);
}

/* "NNG_EINVAL: no such shard, or out->size is 0." "fills out->size bytes of *out; fields that this library does not
 * know become 0." Method: wrong shards, size 0, a short struct, a long one. */
static void
stats_fill_the_callers_size(void **unused)
{
	struct {
		struct pinwheel_shard_stats stats;
		unsigned char more[64];
	} big;
	struct pinwheel_shard_stats none = { .size = 0 };

	(void) unused;
	none.size = sizeof none;
	assert_int_equal(pinwheel_stats(-1, &none), NNG_EINVAL);
	assert_int_equal(pinwheel_stats(2, &none), NNG_EINVAL);
	assert_int_equal(pinwheel_stats(0, NULL), NNG_EINVAL);
	none.size = 0;
	assert_int_equal(pinwheel_stats(0, &none), NNG_EINVAL);

	memset(&big, 0xee, sizeof big);
	big.stats.size = offsetof(struct pinwheel_shard_stats, cpu);
	assert_int_equal(pinwheel_stats(1, &big.stats), NNG_OK);
	assert_int_equal(big.stats.shard, 1);
	assert_int_equal((unsigned char) big.stats.poller[0], 0xee);

	memset(&big, 0xee, sizeof big);
	big.stats.size = sizeof big;
	assert_int_equal(pinwheel_stats(1, &big.stats), NNG_OK);
	assert_int_equal(big.stats.size, sizeof big);
	for (size_t i = 0; i < sizeof big.more; i++) {
		assert_int_equal(big.more[i], 0);
	}
}

/* cpu, pinned, pin_reason: "why it is not pinned, \"\" when it is"; poller: "io_uring", "epoll"; poller_reason.
 * Method: consistent with one another, and with a poller that the environment forces. */
static void
stats_describe_the_shard(void **unused)
{
	const char *forced = getenv("PINWHEEL_POLLER");

	(void) unused;
	for (int shard = 0; shard < 2; shard++) {
		struct pinwheel_shard_stats s = shard_stats(shard);
		assert_int_equal(s.shard, shard);
		assert_false(s.lent);
		assert_int_equal(s.pinned, s.cpu >= 0);
		assert_int_equal(s.pinned, s.pin_reason[0] == '\0');
		assert_true(strcmp(s.poller, "io_uring") == 0 || strcmp(s.poller, "epoll") == 0);
		assert_true(s.poller_reason[0] != '\0');
		if (forced != NULL && strcmp(forced, "auto") != 0) {
			assert_string_equal(s.poller, strcmp(forced, "uring") == 0 ? "io_uring" : "epoll");
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_TWO(stats_count_finishes_and_deliveries),
		TEST_TWO(stats_count_refusals),
		TEST_TWO(stats_count_cancels_won_and_late),
		TEST_TWO(stats_count_timers),
		TEST_TWO(stats_count_slots),
		TEST_TWO(stats_count_moves),
		TEST_TWO(stats_name_the_function_of_the_longest_turn),
		TEST_TWO(stats_histograms_are_in_order),
		TEST_TWO(stats_fill_the_callers_size),
		TEST_TWO(stats_describe_the_shard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * shard_test.c: the laws of engine/shard/shard.c, on a shard that the test's own thread runs by hand, turn by turn.
 * What stands above a shard is here a table that writes down who was called when. The poller is PW_TEST_POLLER's
 * (uring or epoll; without it the one that the kernel grants).
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/clock.h"
#include "engine/shard/park.h"
#include "engine/shard/shard.h"

#define ITEMS 1000
#define BUDGET 16u
#define EVENTS 20000

enum event {
	MAIL = 'M',
	EXPIRED = 'E',
	IO = 'I',
	READY = 'R',
	STOP = 'S'
};

/* One object: a node for the inbox, which the ready queue then uses, and a slot with a timer. */
struct item {
	struct pw_node node;
	unsigned number;
	uint32_t slot;
	uint64_t due_ns;
};

static struct pw_shard shard;
static struct item item[ITEMS];
static unsigned items_with_slot;
static char events[EVENTS]; /* of the current turn or turns, in order */
static unsigned event_count;
static unsigned ready_order[ITEMS];
static unsigned ready_count;
static unsigned expired_count;
static unsigned early_count;
static bool ready_after_mail; /* on_mail appends the item to the ready queue */
static unsigned reposts;      /* on_ready posts the item again, so often */
static bool ready_again;      /* on_ready appends the item again */

static void
note(enum event event)
{
	if (event_count < EVENTS) {
		events[event_count++] = (char) event;
	}
}

static unsigned
count_of(enum event event)
{
	unsigned count = 0;
	for (unsigned i = 0; i < event_count; i++) {
		count += events[i] == (char) event;
	}
	return count;
}

static struct item *
item_of(struct pw_node *node)
{
	return PW_CONTAINER_OF(node, struct item, node);
}

static void
on_mail(struct pw_shard *s, struct pw_node *node)
{
	note(MAIL);
	if (ready_after_mail) {
		pw_shard_ready(s, pw_mail_of(node, PW_KIND_DONE));
	}
}

static void
on_ready(struct pw_shard *s, struct pw_node *node)
{
	note(READY);
	if (ready_count < ITEMS) {
		ready_order[ready_count] = item_of(node)->number;
	}
	ready_count++;
	if (reposts > 0) {
		reposts--;
		pw_shard_post(s, pw_mail_of(node, PW_KIND_DONE));
	} else if (ready_again) {
		pw_shard_ready(s, pw_mail_of(node, PW_KIND_DONE));
	}
}

static void
on_expire(struct pw_shard *s, uint32_t slot)
{
	note(EXPIRED);
	expired_count++;
	for (unsigned i = 0; i < items_with_slot; i++) {
		if (item[i].slot == slot) {
			early_count +=
			    pw_clock_now_ns() < item[i].due_ns && pw_load_relaxed_32(&s->phase) == PW_PHASE_RUN;
		}
	}
}

static void
on_stop(struct pw_shard *s)
{
	(void) s;
	note(STOP);
}

static const struct pw_shard_ops ops = {
	.on_mail = { on_mail, on_mail, on_mail, on_mail },
	.on_ready = { on_ready, on_ready, on_ready, on_ready },
	.on_expire = on_expire,
	.on_stop = on_stop,
};

static struct pw_shard_settings
settings_of(enum pw_idle idle)
{
	const char *poller = getenv("PW_TEST_POLLER");
	struct pw_shard_settings settings = {
		.tick_shift = 16,
		.idle = idle,
		.poller = poller == NULL           ? PW_POLLER_AUTO
		    : strcmp(poller, "uring") == 0 ? PW_POLLER_URING
						   : PW_POLLER_EPOLL,
		.spin_ns = 20 * PW_NS_PER_US,
		.long_turn_ns = 10 * PW_NS_PER_MS,
		.budget = BUDGET,
		.cpu = -1,
	};
	return settings;
}

static void
forget_events(void)
{
	event_count = 0;
	ready_count = 0;
	expired_count = 0;
	early_count = 0;
}

static void
enter(enum pw_idle idle)
{
	struct pw_shard_settings settings = settings_of(idle);
	memset(&shard, 0, sizeof shard);
	assert_int_equal(pw_shard_init(&shard, &ops), 0);
	assert_int_equal(pw_shard_enter(&shard, &settings), 0);
	assert_ptr_equal(pw_shard_self(), &shard);
	forget_events();
	items_with_slot = 0;
	ready_after_mail = false;
	ready_again = false;
	reposts = 0;
	for (unsigned i = 0; i < ITEMS; i++) {
		item[i] = (struct item){ .number = i };
	}
}

static int
begin(void **unused)
{
	(void) unused;
	enter(PW_IDLE_PARK);
	return 0;
}

static int
end(void **unused)
{
	(void) unused;
	pw_shard_leave(&shard);
	assert_null(pw_shard_self());
	(void) close(shard.bell_fd); /* nobody else knows this shard */
	return 0;
}

static void
post(unsigned i)
{
	pw_shard_post(&shard, pw_mail_of(&item[i].node, (enum pw_kind)(i % PW_KIND_COUNT)));
}

/* Links items [0, count) at `in_ns` from now. */
static void
link_timers(unsigned count, uint64_t in_ns)
{
	uint64_t due_ns = pw_clock_now_ns() + in_ns;
	items_with_slot = count;
	for (unsigned i = 0; i < count; i++) {
		assert_non_null(pw_arena_alloc(&shard.arena, &item[i].slot));
		item[i].due_ns = due_ns;
		pw_wheel_link(&shard.wheel, item[i].slot, pw_shard_tick_of(&shard, due_ns));
	}
}

/* Until the tick at which the timers are due: deadlines are rounded up. */
static void
await_due(void)
{
	while (pw_clock_now_ns() >> shard.tick_shift < pw_shard_tick_of(&shard, item[0].due_ns)) {
	}
}

static void
unlink_timers(void)
{
	for (unsigned i = 0; i < items_with_slot; i++) {
		pw_wheel_unlink(&shard.wheel, item[i].slot);
	}
}

/* Law: no stage does more than its budget in a turn, and a turn says how much it did; 0 is idle. */
static void
shard_turn_respects_the_budget(void **unused)
{
	unsigned turns = 0;
	(void) unused;
	ready_after_mail = true;
	for (unsigned i = 0; i < ITEMS; i++) {
		post(i);
	}
	link_timers(ITEMS, 0);
	await_due();
	for (unsigned done = 1; done != 0; turns++) {
		unsigned ready_before = ready_count, expired_before = expired_count;
		event_count = 0;
		done = pw_shard_turn(&shard);
		assert_in_range(count_of(MAIL), 0, BUDGET);
		assert_in_range(ready_count - ready_before, 0, BUDGET);
		assert_in_range(expired_count - expired_before, 0, BUDGET);
		assert_int_equal(done, count_of(MAIL) + count_of(READY) + count_of(EXPIRED));
	}
	assert_int_equal(ready_count, ITEMS);
	assert_int_equal(expired_count, ITEMS);
	assert_true(turns > ITEMS / BUDGET);
	assert_int_equal(pw_shard_turn(&shard), 0);
}

/* Law: user code runs from the ready queue, which comes last in the turn: no callback stands between two mails or two
 * expiries of one turn. */
static void
shard_runs_user_code_after_drain_and_expiry(void **unused)
{
	(void) unused;
	ready_after_mail = true;
	link_timers(200, 0);
	for (unsigned i = 0; i < 200; i++) {
		post(i);
	}
	await_due();
	for (;;) {
		event_count = 0;
		if (pw_shard_turn(&shard) == 0) {
			break;
		}
		char last = MAIL; /* the order in a turn: M*, E*, R* */
		for (unsigned i = 0; i < event_count; i++) {
			static const char order[] = { MAIL, EXPIRED, READY };
			const char *was = memchr(order, last, sizeof order),
				   *is = memchr(order, events[i], sizeof order);
			assert_true(is >= was);
			last = events[i];
		}
	}
	assert_int_equal(ready_count, 200);
	assert_int_equal(expired_count, 200);
}

/* Law: the ready queue is FIFO, also across turns, and what is appended while it runs comes behind all that is
 * there. */
static void
shard_ready_queue_is_fifo(void **unused)
{
	(void) unused;
	for (unsigned i = 0; i < 100; i++) {
		pw_shard_ready(&shard, pw_mail_of(&item[i].node, PW_KIND_REQUEST));
	}
	ready_again = true;
	while (ready_count < 300) {
		(void) pw_shard_turn(&shard);
	}
	ready_again = false;
	while (pw_shard_turn(&shard) != 0) {
	}
	for (unsigned i = 0; i < ready_count && i < ITEMS; i++) {
		assert_int_equal(ready_order[i], i % 100);
	}
	assert_true(shard.ready_head == 0 && shard.ready_tail == 0);
}

/* Law: mail that user code sends to its own shard is taken in a later turn: a turn ends. */
static void
shard_takes_its_own_mail_in_the_next_turn(void **unused)
{
	(void) unused;
	ready_after_mail = true;
	reposts = 50;
	post(0);
	for (unsigned turn = 0; turn <= 50; turn++) {
		event_count = 0;
		assert_int_equal(pw_shard_turn(&shard), 2);
		assert_int_equal(count_of(MAIL), 1);
		assert_int_equal(count_of(READY), 1);
	}
	assert_int_equal(pw_shard_turn(&shard), 0);
}

/* Law: nothing expires before its deadline, and the shard knows when to look next. Method: turns without pause. */
static void
shard_never_expires_early(void **unused)
{
	(void) unused;
	assert_true(pw_shard_next_ns(&shard) == PW_NEVER_NS);
	for (unsigned round = 0; round < 5; round++) {
		expired_count = 0;
		link_timers(20, 300 * PW_NS_PER_US + round * 77777);
		uint64_t next_ns = pw_shard_next_ns(&shard);
		assert_true(next_ns != PW_NEVER_NS);
		assert_true(next_ns <= item[0].due_ns + (1u << 16));
		while (expired_count < 20) {
			(void) pw_shard_turn(&shard);
		}
		assert_int_equal(early_count, 0);
		assert_true(pw_shard_next_ns(&shard) == PW_NEVER_NS);
	}
}

/* Law: idle is idle: with nothing but a deadline ahead the shard sleeps until it, waking at most once for each
 * level of the wheel, not once a tick. */
static void
shard_sleeps_until_the_next_deadline(void **unused)
{
	(void) unused;
	link_timers(ITEMS, 60 * PW_NS_PER_MS); /* about 900 ticks */
	while (expired_count < ITEMS) {
		if (pw_shard_turn(&shard) == 0) {
			pw_shard_idle(&shard, PW_NEVER_NS);
		}
	}
	assert_int_equal(early_count, 0);
	/* As often as the wheel has levels; some more for a cascade that is spread over turns. */
	assert_in_range(pw_load_relaxed_64(&shard.counters.parks), 1, 2 * PW_WHEEL_LEVELS + 2);
}

/* Law: a limit ends the sleep although nothing comes. */
static void
shard_idle_ends_at_its_limit(void **unused)
{
	uint64_t limit_ns = pw_clock_now_ns() + 3 * PW_NS_PER_MS;
	(void) unused;
	while (pw_clock_now_ns() < limit_ns) {
		assert_int_equal(pw_shard_turn(&shard), 0);
		pw_shard_idle(&shard, limit_ns);
	}
	assert_int_equal(pw_load_relaxed_64(&shard.counters.turns), 0); /* turns that did nothing are not counted */
	assert_in_range(pw_load_relaxed_64(&shard.counters.parks), 1, 8);
}

/* Law: a shard with work does not park, whichever work it is; with none it does, and from then on mail rings the
 * bell. */
static void
shard_parks_only_without_work(void **unused)
{
	(void) unused;
	post(0);
	assert_false(pw_shard_park(&shard));
	assert_int_equal(pw_load_relaxed_64(&shard.counters.wakes), 0);
	while (pw_shard_turn(&shard) != 0) {
	}
	pw_shard_ready(&shard, pw_mail_of(&item[1].node, PW_KIND_DONE));
	assert_false(pw_shard_park(&shard));
	while (pw_shard_turn(&shard) != 0) {
	}
	link_timers(1, 0);
	unlink_timers();
	pw_wheel_link(&shard.wheel, item[0].slot, 0); /* due at once */
	assert_false(pw_shard_park(&shard));
	while (pw_shard_turn(&shard) != 0) {
	}
	assert_true(pw_shard_park(&shard));
	struct pollfd bell = { .fd = shard.bell_fd, .events = POLLIN };
	assert_int_equal(poll(&bell, 1, 0), 0);
	post(2);
	assert_int_equal(poll(&bell, 1, 0), 1);
	assert_int_equal(pw_load_relaxed_64(&shard.counters.wakes), 1);
	post(3); /* already woken: no second system call */
	assert_int_equal(pw_load_relaxed_64(&shard.counters.wakes), 1);
	pw_inbox_unpark(&shard.inbox);
	assert_int_equal(pw_shard_turn(&shard), 2);
}

struct knocker {
	unsigned rounds;
	pw_a64 seen;
};

static void *
knock(void *arg)
{
	struct knocker *k = arg;
	for (unsigned i = 0; i < k->rounds; i++) {
		post(i % ITEMS);
		while (pw_load_acquire_64(&k->seen) <= i) {
			(void) sched_yield();
		}
	}
	return NULL;
}

static void
answer_knocks(enum pw_idle idle)
{
	const char *percent = getenv("PW_TEST_SCALE");
	struct knocker k = {
		.rounds = (unsigned) (20000 * (percent != NULL ? strtoul(percent, NULL, 10) : 100) / 100 + 500)
	};
	pthread_t thread;
	uint64_t seen = 0;
	enter(idle);
	pw_store_relaxed_64(&k.seen, 0);
	assert_int_equal(pthread_create(&thread, NULL, knock, &k), 0);
	while (seen < k.rounds) {
		event_count = 0;
		if (pw_shard_turn(&shard) == 0) {
			pw_shard_idle(&shard, PW_NEVER_NS);
		}
		seen += count_of(MAIL);
		pw_store_release_64(&k.seen, seen);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(pw_load_relaxed_64(&shard.counters.mails), k.rounds);
	assert_int_equal(pw_load_relaxed_64(&shard.counters.parks) == 0, idle == PW_IDLE_BUSY);
	(void) end(NULL);
}

/* Law: whatever the idle strategy, no mail is slept through; and one that never sleeps never parks. */
static void
shard_answers_in_every_idle_strategy(void **unused)
{
	(void) unused;
	answer_knocks(PW_IDLE_PARK);
	answer_knocks(PW_IDLE_BUSY);
	enter(PW_IDLE_SPIN);
	uint64_t limit_ns = pw_clock_now_ns() + PW_NS_PER_MS;
	pw_shard_idle(&shard, limit_ns);
	assert_int_equal(pw_load_relaxed_64(&shard.counters.parks), 1); /* after its spin */
	(void) end(NULL);
}

static unsigned io_results;

static void
on_io(struct pw_io *io, int result)
{
	(void) io;
	note(IO);
	io_results += result == 1;
}

/* Law: a turn fetches I/O completions that are there, and a sleep ends when one comes. */
static void
shard_reaps_io_in_its_turn(void **unused)
{
	static struct pw_file file;
	static char byte;
	int pair[2];
	(void) unused;
	io_results = 0;
	memset(&file, 0, sizeof file);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	file.fd = pair[0];
	assert_int_equal(pw_poller_attach(&shard.poller, &file), 0);
	for (unsigned round = 1; round <= 3; round++) {
		file.in.file = &file;
		file.in.on_done = on_io;
		file.in.op = PW_IO_RECV;
		file.in.niov = 1;
		file.in.iov[0] = (struct iovec){ &byte, 1 };
		pw_poller_submit(&shard.poller, &file.in);
		while (pw_shard_turn(&shard) != 0) {
		}
		assert_int_equal(write(pair[1], "x", 1), 1);
		while (io_results < round) {
			if (pw_shard_turn(&shard) == 0) {
				pw_shard_idle(&shard, PW_NEVER_NS);
			}
		}
		assert_int_equal(pw_load_relaxed_64(&shard.counters.io_done), round);
	}
	pw_poller_detach(&shard.poller, &file);
	(void) close(pair[0]);
	(void) close(pair[1]);
}

/* Law: when the fleet stops, every timer is visited, however far, in bounded turns; at the end on_stop is called
 * once, and the shard is nobody's. */
static void
shard_drains_and_ends(void **unused)
{
	(void) unused;
	enter(PW_IDLE_PARK);
	link_timers(500, 3600 * PW_NS_PER_S);
	assert_int_equal(pw_shard_turn(&shard), 0);
	pw_store_release_32(&shard.phase, PW_PHASE_DRAIN);
	unsigned turns = 0;
	while (shard.wheel.count != 0) {
		unsigned before = expired_count;
		(void) pw_shard_turn(&shard);
		assert_in_range(expired_count - before, 1, BUDGET);
		turns++;
	}
	assert_int_equal(expired_count, 500);
	assert_true(turns >= 500 / BUDGET);
	ready_after_mail = true;
	post(0);
	post(1);
	pw_store_release_32(&shard.phase, PW_PHASE_END);
	pw_shard_run(&shard);
	assert_int_equal(count_of(STOP), 1);
	assert_int_equal(ready_count, 2);
	assert_null(pw_shard_self());
	(void) close(shard.bell_fd);
}

/* Law: the figures: what was taken, the level of the wheel, a turn that did something, one mail in 64 timed. */
static void
shard_counts_what_it_does(void **unused)
{
	(void) unused;
	ready_after_mail = true;
	link_timers(10, 3600 * PW_NS_PER_S);
	for (unsigned i = 0; i < 640; i++) {
		post(i);
		if (i % 64 == 63) {
			while (pw_shard_turn(&shard) != 0) {
			}
		}
	}
	struct pw_counters *c = &shard.counters;
	assert_int_equal(pw_load_relaxed_64(&c->mails), 640);
	assert_int_equal(pw_load_relaxed_64(&c->linked), 10);
	assert_true(pw_load_relaxed_64(&c->turns) >= 640 / BUDGET);
	assert_int_equal(pw_load_relaxed_64(&shard.turn.count), pw_load_relaxed_64(&c->turns));
	assert_int_equal(pw_load_relaxed_64(&shard.mail_to_run.count), 10);
	assert_int_equal(pw_load_relaxed_64(&c->parks), 0);
	unlink_timers();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shard_turn_respects_the_budget, begin, end),
		cmocka_unit_test_setup_teardown(shard_runs_user_code_after_drain_and_expiry, begin, end),
		cmocka_unit_test_setup_teardown(shard_ready_queue_is_fifo, begin, end),
		cmocka_unit_test_setup_teardown(shard_takes_its_own_mail_in_the_next_turn, begin, end),
		cmocka_unit_test_setup_teardown(shard_never_expires_early, begin, end),
		cmocka_unit_test_setup_teardown(shard_sleeps_until_the_next_deadline, begin, end),
		cmocka_unit_test_setup_teardown(shard_idle_ends_at_its_limit, begin, end),
		cmocka_unit_test_setup_teardown(shard_parks_only_without_work, begin, end),
		cmocka_unit_test(shard_answers_in_every_idle_strategy),
		cmocka_unit_test_setup_teardown(shard_reaps_io_in_its_turn, begin, end),
		cmocka_unit_test(shard_drains_and_ends),
		cmocka_unit_test_setup_teardown(shard_counts_what_it_does, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * park_test.c: the laws of park.h and of clock.h on the real kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/clock.h"
#include "engine/shard/park.h"

#define WAITERS 4

struct game {
	pw_a64 word;
	pw_a64 turns;
	pw_a32 awake;
	uint32_t rounds;
};

static uint32_t
scaled(uint32_t count)
{
	const char *percent = getenv("PW_TEST_SCALE");
	uint32_t share = percent != NULL ? (uint32_t) atoi(percent) : 100;

	return count * share / 100 + 1;
}

static bool
readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Law: a word whose low half is not `low` is not slept on; the high half does not count. Method: no deadline. */
static void
futex_returns_at_once_when_the_low_half_differs(void **unused)
{
	pw_a64 word;

	(void) unused;
	pw_store_relaxed_64(&word, UINT64_C(7) << 32 | 5);
	assert_true(pw_futex_wait(&word, 4, PW_NEVER_NS));
	assert_true(pw_futex_wait(&word, 7, PW_NEVER_NS));
}

/* Law: false after the deadline and never before; the high half may be anything. Method: the clock. */
static void
futex_deadline_is_never_early(void **unused)
{
	static const uint64_t in_ns[] = { 1, 1000, 50000, 999999, 3 * PW_NS_PER_MS };
	pw_a64 word;

	(void) unused;
	pw_store_relaxed_64(&word, UINT64_MAX << 32 | 5);
	for (size_t i = 0; i < sizeof(in_ns) / sizeof(in_ns[0]); i++) {
		uint64_t deadline_ns = pw_clock_now_ns() + in_ns[i];
		while (pw_futex_wait(&word, 5, deadline_ns)) {
		}
		assert_true(pw_clock_now_ns() >= deadline_ns);
	}
	assert_false(pw_futex_wait(&word, 5, 0));
}

/* Two players; the low half says whose turn it is, the high half counts the turns. */
static void
play(struct game *game, uint32_t me)
{
	for (uint32_t round = 0; round < game->rounds; round++) {
		uint64_t word = pw_load_acquire_64(&game->word);
		while ((uint32_t) word != me) {
			(void) pw_futex_wait(&game->word, (uint32_t) word, PW_NEVER_NS);
			word = pw_load_acquire_64(&game->word);
		}
		pw_count_add(&game->turns, 1);
		(void) pw_exchange_acq_rel_64(&game->word, ((word >> 32) + 1) << 32 | (1 - me));
		pw_futex_wake_all(&game->word);
	}
}

static void *
second_player(void *arg)
{
	play(arg, 1);
	return NULL;
}

/* Law: change the word, then wake: the sleeper is never missed. Method: two threads pass a turn; a miss is a hang. */
static void
futex_wake_is_never_lost(void **unused)
{
	struct game game = { .rounds = scaled(20000) };
	pthread_t thread;

	(void) unused;
	pw_store_relaxed_64(&game.word, 0);
	pw_store_relaxed_64(&game.turns, 0);
	assert_int_equal(pthread_create(&thread, NULL, second_player, &game), 0);
	play(&game, 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(pw_load_relaxed_64(&game.turns), 2 * (uint64_t) game.rounds);
	assert_int_equal(pw_load_relaxed_64(&game.word) >> 32, 2 * (uint64_t) game.rounds);
}

static void *
sleep_while_zero(void *arg)
{
	struct game *game = arg;

	while ((uint32_t) pw_load_acquire_64(&game->word) == 0) {
		(void) pw_futex_wait(&game->word, 0, PW_NEVER_NS);
	}
	(void) pw_fetch_add_relaxed_32(&game->awake, 1);
	return NULL;
}

/* Law: one wake wakes all that sleep on the word. Method: several sleepers; one that is left makes the join hang. */
static void
futex_wake_reaches_every_sleeper(void **unused)
{
	struct game game = { .rounds = 0 };
	pthread_t thread[WAITERS];

	(void) unused;
	for (uint32_t round = 0; round < scaled(200); round++) {
		pw_store_relaxed_64(&game.word, 0);
		pw_store_relaxed_32(&game.awake, 0);
		for (int i = 0; i < WAITERS; i++) {
			assert_int_equal(pthread_create(&thread[i], NULL, sleep_while_zero, &game), 0);
		}
		(void) pw_exchange_acq_rel_64(&game.word, 1);
		pw_futex_wake_all(&game.word);
		for (int i = 0; i < WAITERS; i++) {
			assert_int_equal(pthread_join(thread[i], NULL), 0);
		}
		assert_int_equal(pw_load_relaxed_32(&game.awake), WAITERS);
	}
}

/* Law: a bell does not block, is not inherited by a new program, and starts silent. */
static void
bell_is_nonblocking_and_closed_on_exec(void **unused)
{
	int fd;

	(void) unused;
	assert_int_equal(pw_bell_open(&fd), 0);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_false(readable(fd));
	pw_bell_clear(fd); /* silent: does not block */
	assert_int_equal(close(fd), 0);
}

/* Law: rung once or often, it is readable until it is cleared once; a full counter neither blocks nor silences it. */
static void
bell_is_heard_until_it_is_cleared(void **unused)
{
	int fd;

	(void) unused;
	assert_int_equal(pw_bell_open(&fd), 0);
	for (int i = 0; i < 3; i++) {
		pw_bell_ring(fd);
	}
	assert_true(readable(fd));
	pw_bell_clear(fd);
	assert_false(readable(fd));

	assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
	pw_bell_ring(fd);
	assert_true(readable(fd));
	pw_bell_clear(fd);
	assert_false(readable(fd));
	assert_int_equal(close(fd), 0);
}

/* Law: no descriptor left: the error, not a bell. Method: the limit is set to the next free number. */
static void
bell_open_reports_the_descriptor_limit(void **unused)
{
	struct rlimit old, low;
	int next = dup(0);
	int fd;

	(void) unused;
	assert_true(next >= 0);
	assert_int_equal(close(next), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t) next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	int result = pw_bell_open(&fd);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(result, -EMFILE);
}

/* Law: the clock never goes back, and the coarse one is never ahead. */
static void
clock_is_monotonic_and_coarse_is_behind(void **unused)
{
	uint64_t last_ns = 0;

	(void) unused;
	for (uint32_t i = 0; i < scaled(10000); i++) {
		uint64_t coarse_ns = pw_clock_coarse_ns();
		uint64_t now_ns = pw_clock_now_ns();
		assert_true(now_ns >= last_ns);
		assert_true(coarse_ns <= now_ns);
		last_ns = now_ns;
	}
}

static void
on_signal(int number)
{
	(void) number;
}

struct pest {
	pthread_t victim;
	pw_a32 stop;
	uint32_t sent;
};

static void *
send_signals(void *arg)
{
	struct pest *pest = arg;

	while (pw_load_acquire_32(&pest->stop) == 0) {
		(void) pthread_kill(pest->victim, SIGUSR1);
		pest->sent++;
		pw_clock_sleep_ns(100 * PW_NS_PER_US);
	}
	return NULL;
}

/* Law: a sleep is never short, signals or not. Method: another thread sends signals all the time. */
static void
clock_sleep_is_never_short(void **unused)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct pest pest = { .victim = pthread_self() };
	pthread_t thread;
	bool early = false;

	(void) unused;
	pw_store_relaxed_32(&pest.stop, 0);
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, send_signals, &pest), 0);
	for (uint32_t i = 0; i < 20; i++) {
		uint64_t before_ns = pw_clock_now_ns();
		pw_clock_sleep_ns(i * 100 * PW_NS_PER_US);
		early = early || pw_clock_now_ns() - before_ns < i * 100 * PW_NS_PER_US;
	}
	pw_store_release_32(&pest.stop, 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(pest.sent > 0);
	assert_false(early);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(futex_returns_at_once_when_the_low_half_differs),
		cmocka_unit_test(futex_deadline_is_never_early),
		cmocka_unit_test(futex_wake_is_never_lost),
		cmocka_unit_test(futex_wake_reaches_every_sleeper),
		cmocka_unit_test(bell_is_nonblocking_and_closed_on_exec),
		cmocka_unit_test(bell_is_heard_until_it_is_cleared),
		cmocka_unit_test(bell_open_reports_the_descriptor_limit),
		cmocka_unit_test(clock_is_monotonic_and_coarse_is_behind),
		cmocka_unit_test(clock_sleep_is_never_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

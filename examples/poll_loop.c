/* SPDX-License-Identifier: MIT
 *
 * poll_loop.c: a program with a loop of its own around poll(2), that runs pinwheel in it. There is no other thread, so
 * what callbacks share with the rest of the program needs no lock.
 *
 * It reads numbers from standard input, a line each, and says each of them when so many milliseconds have passed.
 *
 * The rule of the loop: pinwheel_poll until it returns 0, then wait for the program's own descriptors and for
 * pinwheel_poll_fd together. That one becomes readable for whatever is to be done next: I/O, a deadline, and what the
 * program itself has started since.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pinwheel/pinwheel.h>

#define SHARD 0 /* the lent one is the only one */

struct alarm {
	nng_aio *aio;
	int ms;
};

static struct {
	char line[64];
	size_t used;
	bool ended;
	unsigned pending; /* alarms */
} input;

/* Inside pinwheel_poll. */
static void
on_alarm(void *arg)
{
	struct alarm *alarm = arg;

	printf("%d ms\n", alarm->ms);
	fflush(stdout);
	input.pending--;
	nng_aio_reap(alarm->aio); /* legal in the own callback, and never waits */
	free(alarm);
}

static nng_err
set_alarm(int ms)
{
	struct alarm *alarm = malloc(sizeof(*alarm));

	if (alarm == NULL) {
		return NNG_ENOMEM;
	}
	alarm->ms = ms;
	nng_err err = nng_aio_alloc(&alarm->aio, on_alarm, alarm);
	if (err != NNG_OK) {
		free(alarm);
		return err;
	}
	input.pending++;
	nng_sleep_aio(ms, alarm->aio);
	return NNG_OK;
}

/* What is there of standard input; each whole line is an alarm. */
static nng_err
read_lines(void)
{
	char *end;
	ssize_t got = read(STDIN_FILENO, input.line + input.used, sizeof(input.line) - input.used);
	nng_err err = NNG_OK;

	if (got <= 0) {
		input.ended = got == 0;
		return got == 0 || errno == EINTR || errno == EAGAIN ? NNG_OK : NNG_ESYSERR + errno;
	}
	input.used += (size_t) got;
	while (err == NNG_OK && (end = memchr(input.line, '\n', input.used)) != NULL) {
		size_t length = (size_t) (end + 1 - input.line);
		err = set_alarm(atoi(input.line));
		input.used -= length;
		memmove(input.line, end + 1, input.used);
	}
	return input.used < sizeof(input.line) ? err : NNG_EMSGSIZE;
}

static nng_err
loop(void)
{
	nng_err err = NNG_OK;

	while (err == NNG_OK && (!input.ended || input.pending > 0)) {
		int done = pinwheel_poll(SHARD, 0);
		if (done < 0) {
			return -done;
		}
		if (done > 0) {
			continue; /* perhaps there is more */
		}
		struct pollfd fds[2] = {
			{ .fd = pinwheel_poll_fd(SHARD), .events = POLLIN },
			{ .fd = input.ended ? -1 : STDIN_FILENO, .events = POLLIN }, /* -1 is passed over */
		};
		if (fds[0].fd < 0) {
			return -fds[0].fd;
		}
		if (poll(fds, 2, -1) < 0 && errno != EINTR) {
			return NNG_ESYSERR + errno;
		}
		if (fds[1].revents != 0) {
			err = read_lines();
		}
	}
	return err;
}

int
main(void)
{
	struct pinwheel_config config = PINWHEEL_CONFIG_INIT;

	config.shards = PINWHEEL_NONE; /* none with a thread */
	config.lent_shards = 1;
	nng_err err = pinwheel_start(&config);
	if (err != NNG_OK) {
		fprintf(stderr, "poll_loop: %s\n", nng_strerror(err));
		return 1;
	}
	err = loop();
	if (err != NNG_OK) {
		fprintf(stderr, "poll_loop: %s\n", nng_strerror(err));
	}
	nng_fini(); /* ends the alarms that are left, on this thread */
	return err == NNG_OK ? 0 : 1;
}

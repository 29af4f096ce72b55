/* SPDX-License-Identifier: MIT
 *
 * lent.c: a shard that an application's thread polls by hand.
 *
 * The descriptor (lent_fd) is an epoll descriptor over two others: the poller's own, which is readable for I/O and for
 * the shard's bell, and a timerfd set to the wheel's next tick. A poll that returns 0 has cleared the bell,
 * parked the inbox (so senders ring again) and set the timer, in this order: what comes later makes it readable.
 *
 * One thread per shard: `up` says whose. NOT: nobody's; OPENING: claimed, by compare-and-swap, and being opened by the
 * claimer; RUNNING: his, until nng_fini sets the phase END and a poll of his that leaves nothing to do ends it.
 * nng_fini claims those that are nobody's, under the same rule.
 *
 * Between polls the lending thread is an outside thread: what it starts or finishes goes through the inbox and
 * rings the bell, like anybody's, so the descriptor tells of it.
 */
#include "engine/shard/lent.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/shard/fleet.h"

static int
watch(int epoll_fd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data = { .fd = fd } };
	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static void
close_descriptors(struct pw_shard *shard)
{
	if (shard->lent_fd >= 0) {
		(void) close(shard->lent_fd);
	}
	if (shard->timer_fd >= 0) {
		(void) close(shard->timer_fd);
	}
}

bool
pw_lent_claim(struct pw_shard *shard)
{
	uint64_t up = PW_UP_NOT;
	return pw_cas_acq_rel_64(&shard->up, &up, PW_UP_OPENING); /* P12 */
}

int
pw_lent_enter(struct pw_shard *shard)
{
	int rv = pw_shard_enter(shard, &shard->settings);
	if (rv != 0) {
		pw_fleet_set_up(shard, PW_UP_NOT);
		return rv;
	}
	shard->lent_fd = epoll_create1(EPOLL_CLOEXEC);
	shard->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	rv = shard->lent_fd < 0 || shard->timer_fd < 0 ? -errno : pw_poller_lend(&shard->poller);
	rv = rv != 0 ? rv : watch(shard->lent_fd, shard->poller.fd);
	rv = rv != 0 ? rv : watch(shard->lent_fd, shard->timer_fd);
	if (rv != 0) {
		close_descriptors(shard);
		pw_shard_leave(shard);
		pw_fleet_set_up(shard, PW_UP_NOT);
		return rv;
	}
	pw_thread_self()->lent = shard;
	pw_thread_self()->shard = NULL;
	pw_fleet_set_up(shard, PW_UP_RUNNING);
	return 0;
}

void
pw_lent_leave(struct pw_shard *shard)
{
	pw_thread_self()->shard = shard;
	pw_inbox_unpark(&shard->inbox);
	pw_shard_end(shard);
	pw_thread_self()->lent = NULL;
	close_descriptors(shard);
	pw_fleet_set_up(shard, PW_UP_ENDED);
}

/* Setting it also silences an expiry that was not read. */
static void
set_timer(struct pw_shard *shard, uint64_t next_ns)
{
	struct itimerspec spec = { 0 };
	if (next_ns != PW_NEVER_NS) {
		spec.it_value.tv_sec = (time_t) (next_ns / PW_NS_PER_S);
		spec.it_value.tv_nsec = (long) (next_ns % PW_NS_PER_S);
		if (next_ns == 0) {
			spec.it_value.tv_nsec = 1; /* all zero would disarm */
		}
	}
	(void) timerfd_settime(shard->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

unsigned
pw_lent_poll(struct pw_shard *shard, unsigned budget)
{
	unsigned setting = shard->settings.budget;
	unsigned done;

	pw_thread_self()->shard = shard;
	pw_inbox_unpark(&shard->inbox);
	shard->settings.budget = budget != 0 ? budget : setting;
	done = pw_poller_wait(&shard->poller, 0, shard->settings.budget);
	pw_count_add(&shard->counters.io_done, done);
	do {
		done += pw_shard_turn(shard);
	} while (done == 0 && !pw_shard_park(shard));
	shard->settings.budget = setting;
	if (done == 0 && shard->phase_seen == PW_PHASE_END) {
		/* nng_fini on another thread waits for this. The bell that told of it is silent by now, so nothing would
		 * bring the caller back. A phase set after the turn looked is not lost: the turn has not seen it, and so
		 * park refuses, or its bell comes after the poller's last look and stays. */
		pw_lent_leave(shard);
		return 0;
	}
	if (done == 0) {
		set_timer(shard, pw_shard_next_ns(shard));
	}
	pw_thread_self()->shard = NULL;
	return done;
}

/* SPDX-License-Identifier: MIT
 *
 * life.c: see life.h.
 *
 * A thread of a shard is a fiber that waits until it is spawned, runs what it was given, and waits again. What a start
 * writes before it spawns is handed over, and so is what a thread did to who joins it, as by pthread_create and _join.
 *
 * A descriptor is a number. That of a lent shard is readable when the bell of its poller has rung, when its timer is
 * due, or when the kernel has a completion for it.
 */
#include "tests/explore/life.h"

#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/misuse.h"
#include "engine/shard/config.h"
#include "engine/shard/fleet.h"
#include "engine/shard/park.h"
#include "tests/explore/seam.h"
#include "tests/explore/world.h"

#define THREADS_MAX 2u
#define STARTS_MAX 3u /* of one execution, and one that has been */
#define DESCRIPTORS_MAX 8
#define FIRST_DESCRIPTOR 500 /* bells and pollers are below */

static struct {
	struct pw_explore_event spawned[STARTS_MAX];
	struct pw_explore_event ended[STARTS_MAX];
	void *(*run)(void *);
	void *arg;
	unsigned starts; /* the starter's, under its lock */
} thread[THREADS_MAX];

struct pw_plain pw_life_settings;

static unsigned threads_wanted;
static unsigned lent_wanted;

/* ---- the configuration */

void
pw_host_discover(struct pw_host *host, const char *root)
{
	(void) host;
	(void) root;
}

nng_err
pw_config_load(struct pw_config *config, const struct pinwheel_config *given, char *const *environment,
    const struct pw_host *host)
{
	(void) given;
	(void) environment;
	(void) host;
	pw_plain_write(&pw_life_settings, 1);
	config->value[PW_SETTING_SHARDS] = threads_wanted;
	config->value[PW_SETTING_LENT] = lent_wanted;
	config->value[PW_SETTING_TICK] = UINT64_C(1) << pw_fleet.tick_shift;
	return NNG_OK;
}

void
pw_config_shard(const struct pw_config *config, uint32_t id, struct pw_shard_settings *settings)
{
	(void) config;
	memset(settings, 0, sizeof(*settings));
	pw_world_settings(settings);
	settings->lent = id >= threads_wanted;
}

void
pw_config_each(const struct pw_config *config, pinwheel_setting_fn fn, void *arg)
{
	(void) config;
	(void) fn;
	(void) arg;
}

void
pw_log_set_hook(pinwheel_log_fn hook, void *arg)
{
	(void) hook;
	(void) arg;
}

/* ---- threads */

int
pw_life_spawn(pthread_t *handle, void *(*run)(void *), void *arg)
{
	const struct pw_shard *shard = arg;
	unsigned i = pw_fleet_index(shard->settings.id);
	PW_EXPLORE_ASSERT(i < threads_wanted && thread[i].starts < STARTS_MAX, "a thread too many is started");
	*handle = i;
	thread[i].run = run;
	thread[i].arg = arg;
	pw_explore_event_set(&thread[i].spawned[thread[i].starts++]);
	return 0;
}

int
pw_life_join(pthread_t handle)
{
	PW_EXPLORE_ASSERT(handle < threads_wanted && thread[handle].starts != 0, "joins what was not started");
	pw_explore_event_wait(&thread[handle].ended[thread[handle].starts - 1]);
	return 0;
}

void
pw_life_thread(void)
{
	unsigned self = pw_explore_self();
	for (unsigned i = 0; i < STARTS_MAX; i++) {
		pw_explore_event_wait(&thread[self].spawned[i]);
		if (thread[self].run != NULL) {
			(void) thread[self].run(thread[self].arg);
		} else { /* begun by the setup */
			pw_world_shard();
			pw_fleet_set_up(pw_fleet_nth(self), PW_UP_ENDED);
		}
		pw_explore_event_set(&thread[self].ended[i]);
	}
}

/* ---- descriptors */

static struct {
	int poller_fd; /* -1: none */
	int timer;
	uint64_t due_ns;
	bool open;
} descriptor[DESCRIPTORS_MAX];
static int descriptors;

int
pw_life_descriptor(void)
{
	PW_EXPLORE_ASSERT(descriptors < DESCRIPTORS_MAX, "more than %d descriptors", DESCRIPTORS_MAX);
	descriptor[descriptors].poller_fd = -1;
	descriptor[descriptors].timer = -1;
	descriptor[descriptors].due_ns = PW_NEVER_NS;
	descriptor[descriptors].open = true;
	return FIRST_DESCRIPTOR + descriptors++;
}

static unsigned
number_of(int fd)
{
	int i = fd - FIRST_DESCRIPTOR;
	PW_EXPLORE_ASSERT(i >= 0 && i < descriptors && descriptor[i].open, "no such descriptor: %d", fd);
	return (unsigned) i;
}

int
pw_life_watch(int epoll, int fd)
{
	unsigned i = number_of(epoll);
	if (fd >= FIRST_DESCRIPTOR) {
		descriptor[i].timer = (int) number_of(fd);
	} else {
		descriptor[i].poller_fd = fd;
	}
	return 0;
}

int
pw_life_set_timer(int fd, const struct itimerspec *spec)
{
	uint64_t due_ns = (uint64_t) spec->it_value.tv_sec * PW_NS_PER_S + (uint64_t) spec->it_value.tv_nsec;
	descriptor[number_of(fd)].due_ns = due_ns != 0 ? due_ns : PW_NEVER_NS;
	return 0;
}

int
pw_life_close(int fd)
{
	descriptor[number_of(fd)].open = false;
	return 0;
}

void
pw_life_await(int fd)
{
	unsigned i = number_of(fd);
	PW_EXPLORE_ASSERT(descriptor[i].timer >= 0 && descriptor[i].poller_fd >= 0, "it does not watch both");
	pw_seam_poller_await(descriptor[i].poller_fd, descriptor[descriptor[i].timer].due_ns);
}

unsigned
pw_life_lend(int index)
{
	unsigned polls = 0;
	for (;;) {
		int rv = pinwheel_poll(index, 0);
		if (rv < 0) {
			PW_EXPLORE_ASSERT(rv == -NNG_ESTOPPED, "pinwheel_poll says %d", rv);
			return polls;
		}
		polls++;
		if (rv == 0) {
			pw_life_await(pinwheel_poll_fd(index));
		}
	}
}

/* ---- setup, check */

static bool runs_at_once;

/* As pw_fleet_launch and start_locked leave it, or as it is before the first start. */
static void
prepare(void)
{
	if (!runs_at_once) {
		pw_store_relaxed_32(&pw_fleet.count, 0);
		pw_store_relaxed_32(&pw_fleet.state, PW_FLEET_NONE);
	} else {
		for (unsigned i = 0; i < threads_wanted + lent_wanted; i++) {
			struct pw_shard *shard = pw_fleet_nth(i);
			pw_config_shard(NULL, i, &shard->settings);
			shard->settings.id = i;
			shard->has_thread = i < threads_wanted;
			shard->thread = i;
			pw_store_relaxed_64(&shard->up, i < threads_wanted ? PW_UP_RUNNING : PW_UP_NOT);
		}
		pw_store_relaxed_32(&pw_fleet.lent, lent_wanted);
		pw_store_relaxed_32(&pw_fleet.engine, 1);
		pw_fleet_admit();
	}
	pw_explore_keep(&pw_fleet, offsetof(struct pw_fleet, shard));
	pw_life_keep_engine();
	pw_explore_name(&pw_fleet.state, sizeof(pw_fleet.state), "fleet's state", NULL);
	pw_explore_name(&pw_fleet.count, sizeof(pw_fleet.count), "fleet's count", NULL);
	pw_explore_name(&pw_fleet.engine, sizeof(pw_fleet.engine), "fleet's engine", NULL);
	pw_explore_name(&pw_fleet.visitors, sizeof(pw_fleet.visitors), "visitors", NULL);
}

void
pw_life_setup(unsigned threads, unsigned lent, bool runs)
{
	PW_EXPLORE_ASSERT(threads <= THREADS_MAX, "more than %u threads", THREADS_MAX);
	memset(thread, 0, sizeof(thread));
	descriptors = 0;
	threads_wanted = threads;
	lent_wanted = lent;
	runs_at_once = runs;
	if (pw_explore_first()) {
		pw_store_relaxed_64(&pw_fleet.visitors, 0);
		pw_store_relaxed_32(&pw_fleet.engine, 0);
		pw_store_relaxed_32(&pw_fleet.lent, 0);
	}
	pw_world_setup_with(threads + lent, prepare);
	for (unsigned i = 0; runs && i < threads; i++) {
		pw_explore_event_set(&thread[i].spawned[0]);
		thread[i].starts = 1;
	}
}

void
pw_life_check_ended(void)
{
	PW_EXPLORE_ASSERT(pw_load_relaxed_32(&pw_fleet.state) == PW_FLEET_NONE, "an engine runs");
	PW_EXPLORE_ASSERT(pw_load_relaxed_64(&pw_fleet.visitors) == 0, "a visitor is inside");
	for (unsigned i = 0; i < threads_wanted + lent_wanted; i++) {
		const struct pw_shard *shard = pw_fleet_nth(i);
		PW_EXPLORE_ASSERT(pw_load_relaxed_64(&shard->up) == PW_UP_ENDED, "shard %u has not ended", i);
		PW_EXPLORE_ASSERT(shard->ready_head == 0 && shard->poller.in_flight == 0, "shard %u has work left", i);
	}
	for (unsigned i = 0; i < (unsigned) descriptors; i++) {
		PW_EXPLORE_ASSERT(!descriptor[i].open, "a descriptor is left open");
	}
}

/* SPDX-License-Identifier: MIT
 *
 * config.h: the settings that an engine is started with: what the program gave, what the environment says, what is
 * the default, in this order, and what the machine allows. See config.c for its book.
 *
 * Called where an engine starts, under the fleet's lock; nothing here is shared between threads.
 */
#ifndef PINWHEEL_SHARD_CONFIG_H
#define PINWHEEL_SHARD_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pinwheel/pinwheel.h>

#include "engine/shard/shard.h"

#define PW_CPUS_MAX 4096u   /* CPU numbers are below it */
#define PW_SHARDS_MAX 1024u /* shards, lent ones included; CPUs to pin them to */

/* CPUs in the order in which shards are pinned to them, each once. */
struct pw_cpu_list {
	unsigned count;
	uint16_t cpu[PW_SHARDS_MAX];
};

/* Reads "0-3,8". NULL: done. Else what would be right, in a clause that stands after "PINWHEEL_CPUS=0-x: ", and the
 * list is undefined. */
const char *pw_cpu_list_parse(const char *text, struct pw_cpu_list *list);
/* The same the other way, ranges joined; cut at size, always ended with a NUL. Returns text. */
const char *pw_cpu_list_print(const struct pw_cpu_list *list, char *text, size_t size);
/* Reads "64us": a decimal number and one of ns, us, ms, s ("0" needs none). False: it is no duration. */
bool pw_duration_parse(const char *text, uint64_t *ns);
/* The same the other way, exact, in the largest unit that is not above it. Returns text. */
const char *pw_duration_print(uint64_t ns, char *text, size_t size);

/* What the machine allows this process. */
struct pw_host {
	struct pw_cpu_list mask;  /* the affinity mask, ascending; none: it could not be read */
	uint64_t quota_millicpus; /* of the cgroup and its ancestors, the smallest; 0: no limit */
};

/* Looks at the calling thread's affinity mask, and at the cgroup files under `root` ("": the real ones). What cannot
 * be read or understood there is no limit. */
void pw_host_discover(struct pw_host *host, const char *root);
/* The quota alone. */
uint64_t pw_host_quota(const char *root);

enum pw_setting {
	PW_SETTING_CPUS = 0, /* its value is config.cpus */
	PW_SETTING_SHARDS,   /* with a thread */
	PW_SETTING_LENT,     /* without, numbered after the others */
	PW_SETTING_IDLE,     /* enum pw_idle */
	PW_SETTING_POLLER,   /* enum pw_poller_kind */
	PW_SETTING_PRIORITY,
	PW_SETTING_TURN_BUDGET,
	PW_SETTING_TICK,      /* ns, a power of two */
	PW_SETTING_SPIN,      /* ns */
	PW_SETTING_LONG_TURN, /* ns */
	PW_SETTING_COUNT
};

enum pw_source {
	PW_SOURCE_DEFAULT = 0,
	PW_SOURCE_ENVIRONMENT,
	PW_SOURCE_CONFIGURATION,
};

/* The effective settings. */
struct pw_config {
	uint64_t value[PW_SETTING_COUNT];
	enum pw_source source[PW_SETTING_COUNT];
	struct pw_cpu_list cpus; /* shard i with a thread is pinned to cpu[i % count]; none: unpinned */
	bool oversubscribed;     /* more threads than CPUs */
	char why_shards[160];    /* "2 CPUs in the mask, cgroup quota 1.5: 2 shards" */
	char error[300];         /* "PINWHEEL_IDLE=fast: not an idle strategy; use park, spin or busy" */
	pinwheel_thread_start_fn on_thread_start;
	void *on_thread_start_arg;
	pinwheel_log_fn on_log;
	void *on_log_arg;
};

/* Makes the effective settings from what the program gave (NULL: nothing), an environment in environ's form, and the
 * machine. NNG_EINVAL: config->error is one line that says what would be right (the caller prints it, after
 * "pinwheel: "); everything else but the hooks on_log and on_log_arg is undefined. */
nng_err pw_config_load(struct pw_config *config, const struct pinwheel_config *given, char *const *environment,
    const struct pw_host *host);

/* Shards with and without a thread. */
static inline uint32_t
pw_config_shards(const struct pw_config *config)
{
	return (uint32_t) (config->value[PW_SETTING_SHARDS] + config->value[PW_SETTING_LENT]);
}

/* What shard `id` is run with. */
void pw_config_shard(const struct pw_config *config, uint32_t id, struct pw_shard_settings *settings);

/* Every setting as texts, for pinwheel_settings_each; the source of the number of shards says why. */
void pw_config_each(const struct pw_config *config, pinwheel_setting_fn fn, void *arg);

#endif

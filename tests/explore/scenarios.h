/* SPDX-License-Identifier: MIT
 *
 * scenarios.h: the list of all scenarios; each is the whole content of its file, scenario_<name>.c.
 */
#ifndef PINWHEEL_EXPLORE_SCENARIOS_H
#define PINWHEEL_EXPLORE_SCENARIOS_H

#include "tests/explore/explore.h"

#define PW_SCENARIOS(X)                                                                                              \
	X(inbox_all_once)                                                                                            \
	X(inbox_gap_hides_nothing)                                                                                   \
	X(inbox_sleep_pair)                                                                                          \
	X(shard_sleep_pair)                                                                                          \
	X(shard_frozen_sender)                                                                                       \
	X(arena_grows)                                                                                               \
	X(finish_abort)                                                                                              \
	X(begin_window)                                                                                              \
	X(late_abort)                                                                                                \
	X(expiry_finish_abort)                                                                                       \
	X(stop_resubmit)                                                                                             \
	X(free_inflight)                                                                                             \
	X(reap_in_callback)                                                                                          \
	X(lazy_timer)                                                                                                \
	X(waiters)                                                                                                   \
	X(moving_home)                                                                                               \
	X(frozen_abort)                                                                                              \
	X(skip_callback)                                                                                             \
	X(skip_elsewhere)                                                                                            \
	X(sleep_abort_stop)                                                                                          \
	X(sleep_abort_at_home)                                                                                       \
	X(finish_defer)                                                                                              \
	X(frozen_starter)                                                                                            \
	X(frozen_any)                                                                                                \
	X(refused_start)                                                                                             \
	X(reset_window)                                                                                              \
	X(end_in_callback)                                                                                           \
	X(expiry_restart)                                                                                            \
	X(reap_outside)                                                                                              \
	X(defer_implied)                                                                                             \
	X(large_churn)                                                                                               \
	X(large_sleeps)                                                                                              \
	X(abort_at_home)                                                                                             \
	X(arena_full)                                                                                                \
	X(arm_rides)                                                                                                 \
	X(begin_in_callback)                                                                                         \
	X(begin_stop)                                                                                                \
	X(close_finds_home)                                                                                          \
	X(entry_in_begin)                                                                                            \
	X(first_reason)                                                                                              \
	X(free_linked)                                                                                               \
	X(inbox_small_budget)                                                                                        \
	X(item_before_end)                                                                                           \
	X(left_elsewhere)                                                                                            \
	X(move_after_visit)                                                                                          \
	X(next_life)                                                                                                 \
	X(other_shard)                                                                                               \
	X(poll_busy)                                                                                                 \
	X(reap_resubmit)                                                                                             \
	X(reap_reuse)                                                                                                \
	X(refused_in_cancel)                                                                                         \
	X(refused_skip_reap)                                                                                         \
	X(request_overflow)                                                                                          \
	X(restart_at_end)                                                                                            \
	X(skip_reap)                                                                                                 \
	X(skip_waiter)                                                                                               \
	X(timer_at_home)                                                                                             \
	X(two_rounds)                                                                                                \
	X(fini_abort)                                                                                                \
	X(fini_alloc)                                                                                                \
	X(fini_callback)                                                                                             \
	X(fini_reset)                                                                                                \
	X(fini_start)                                                                                                \
	X(fini_visit)                                                                                                \
	X(lent_descriptor)                                                                                           \
	X(lent_fini)                                                                                                 \
	X(lent_stop)                                                                                                 \
	X(start_once)                                                                                                \
	X(callback_starts)                                                                                           \
	X(reopen)                                                                                                    \
	X(msg_shared)                                                                                                \
	X(end_scan)                                                                                                  \
	X(end_submit)

#define PW_SCENARIO_DECLARE(NAME) extern const struct pw_explore_scenario pw_scenario_##NAME;
PW_SCENARIOS(PW_SCENARIO_DECLARE)
#undef PW_SCENARIO_DECLARE

#endif

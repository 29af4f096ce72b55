// SPDX-License-Identifier: MIT
//
// b08_burst_bench.cc: B8: a million sleeps end within 2 s: what does each cost, how late is it, and is any early?
//
// They are put to sleep in random order before the first is due. ns and cpu_ns are processor time over sleeps, from
// the first that is put to sleep to the last callback; each reads the clock twice, which is in it. Lateness is from
// the end that the program asked for, in whole milliseconds, to the callback. early: callbacks before it, by more
// than the grain of the library's own clock.
//
// NNG is not here: most of its callbacks do not come in any time that a bench has (scripts/figures F4 shows how
// many), and a library with sleeps under way cannot be closed.
#include "bench/suite/suite.h"

namespace
{

constexpr uint32_t crowd_count = 1000000;
constexpr int32_t lead_ms_min = 1000, lead_ms_max = 16000;
constexpr int32_t spread_ms = 2000;
constexpr int32_t limit_ms = 20000;

suite::Sample
burst(const bench_ops &ops)
{
	bench_burst result = {};
	bench_outcome outcome = {};
	bench_crowd *crowd = bench_crowd_open(&ops, 0, crowd_count);
	outcome.error = "out of memory";
	for (int32_t lead_ms = lead_ms_min; crowd != nullptr && lead_ms <= lead_ms_max; lead_ms *= 2) {
		outcome = bench_crowd_burst(crowd, lead_ms, spread_ms, limit_ms, &result);
		if (outcome.error != nullptr || !result.too_slow) {
			break;
		}
	}
	if (outcome.error == nullptr && result.fired != crowd_count) {
		outcome.error = result.too_slow ? "putting them to sleep takes too long" : "callbacks are lost";
	}
	if (outcome.error == nullptr && !bench_crowd_close(crowd)) {
		outcome.error = "the handles cannot be freed";
	}
	suite::Sample sample(outcome);
	if (outcome.error == nullptr) {
		sample.ns = sample.counters["cpu_ns"];
		sample.counters["p50_ns"] = static_cast<double>(result.lateness_p50_ns);
		sample.counters["p99_ns"] = static_cast<double>(result.lateness_p99_ns);
		sample.counters["max_ns"] = static_cast<double>(result.lateness_max_ns);
		sample.counters["early"] = static_cast<double>(result.early);
	}
	return sample;
}

void
add_all()
{
	suite::Options options;
	options.rounds_max = suite::quick() ? 1 : 5;
	options.counted = false;
	for (const bench_ops *ops : { &bench_pinwheel, &bench_libevent, &bench_libev, &bench_asio }) {
		suite::add("B8/due:1M", *ops, burst, options);
	}
}

const suite::Question question("B8", add_all);

} // namespace

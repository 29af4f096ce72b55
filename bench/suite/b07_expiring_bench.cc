// SPDX-License-Identifier: MIT
//
// b07_expiring_bench.cc: B7: how long does a call of cancel take while a million sleeps are outstanding and 16,900 of
// them end in each second? And how much of the processor does that need?
//
// Ten sleeps, drawn at random, are canceled in each millisecond. Each that was canceled or has ended sleeps again. ns
// is the mean of a call, percentiles are of calls, a reading of the clock included; cores: processor time over time,
// without the thread that keeps the pace.
#include "bench/suite/suite.h"
#include "bench/suite/workload_steady.h"

namespace
{

constexpr uint32_t crowd_count = 1000000;
constexpr int32_t period_ms = 59172; // 16,900 in a second

suite::Sample
expiring(const bench_ops &ops)
{
	bench_outcome outcome = {};
	bench_times call = {};
	uint64_t expired = 0;
	outcome.error = "out of memory";
	bench_steady *steady = bench_steady_open(&ops, crowd_count, period_ms);
	if (steady != nullptr) {
		outcome = bench_steady_cancel(steady, 200, &call, &expired); // as it is after the start
		if (outcome.error == nullptr) {
			outcome = bench_steady_cancel(steady, suite::quick() ? 300 : 1000, &call, &expired);
		}
		if (!bench_steady_close(steady) && outcome.error == nullptr) {
			outcome.error = "the last callbacks do not come";
		}
	}
	suite::Sample sample;
	if (outcome.error != nullptr) {
		sample.error = outcome.error;
		return sample;
	}
	double seconds = static_cast<double>(outcome.elapsed_ns) * 1e-9;
	sample.ns = call.mean_ns;
	sample.counters["p50_ns"] = static_cast<double>(call.p50_ns);
	sample.counters["p90_ns"] = static_cast<double>(call.p90_ns);
	sample.counters["p99_ns"] = static_cast<double>(call.p99_ns);
	sample.counters["p999_ns"] = static_cast<double>(call.p999_ns);
	sample.counters["max_ns"] = static_cast<double>(call.max_ns);
	sample.counters["cores"] = static_cast<double>(outcome.cpu_ns) / static_cast<double>(outcome.elapsed_ns);
	sample.counters["expired_per_s"] = static_cast<double>(expired) / seconds;
	sample.counters["canceled_per_s"] = static_cast<double>(call.count) / seconds;
	return sample;
}

void
add_all()
{
	suite::Options options, few;
	options.rounds_max = suite::quick() ? 1 : 5;
	options.counted = few.counted = false;
	few.rounds_max = 1; // a million of its sleeps take a minute and more to end
	for (const bench_ops *ops : { &bench_pinwheel, &bench_floor_wheel, &bench_libev, &bench_asio }) {
		suite::add("B7/outstanding:1M", *ops, expiring, options);
	}
	if (!suite::quick()) {
		suite::add("B7/outstanding:1M", bench_nng, expiring, few);
	}
}

const suite::Question question("B7", add_all);

} // namespace

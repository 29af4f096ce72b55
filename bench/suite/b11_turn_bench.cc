// SPDX-License-Identifier: MIT
//
// b11_turn_bench.cc: B11: how long is the longest turn of a loop that has a million or ten million sleeps, of which
// 16,900 end in each second? And what does a heartbeat of 10 ms cost beside a million sleeps?
//
// turn: an operation that starts itself again runs once a turn and looks at the clock. own_max_ns is the longest turn
// by the thread's own processor time, so what another thread took is not in it; what a hypervisor or an interrupt
// took still is. That is what the bare thread shows, which does nothing but look at the clock (floor:spin, on the
// same CPU, before or after); and beside_max_ns, the same on another CPU at the same time. libev is not here: it
// calls what was fed to it before anything else, so such an operation keeps its timers waiting.
// heartbeat: ns and cpu_ns are processor time of the process over beats.
#include "bench/suite/suite.h"
#include "bench/suite/workload_steady.h"

#include "bench/suite/host.h"

#include <cstdio>

namespace
{

constexpr uint32_t million = 1000000;
constexpr int32_t period_ms_of_million = 59172;
constexpr uint64_t bytes_each = 420; // an upper bound, with the workload's
constexpr uint64_t reserve_bytes = UINT64_C(1) << 30;

uint32_t
turn_ms()
{
	// A bare wheel of 256 lists, 65 us each, moves its third level every 4.3 s.
	return suite::quick() ? 500 : 4500;
}

suite::Sample
sample_of(const bench_outcome &outcome, const bench_turns &turns)
{
	suite::Sample sample;
	if (outcome.error != nullptr) {
		sample.error = outcome.error;
		return sample;
	}
	sample.ns = turns.wall.mean_ns;
	sample.counters["p50_ns"] = static_cast<double>(turns.wall.p50_ns);
	sample.counters["p90_ns"] = static_cast<double>(turns.wall.p90_ns);
	sample.counters["p99_ns"] = static_cast<double>(turns.wall.p99_ns);
	sample.counters["p999_ns"] = static_cast<double>(turns.wall.p999_ns);
	sample.counters["max_ns"] = static_cast<double>(turns.wall.max_ns);
	sample.counters["own_max_ns"] = static_cast<double>(turns.own_max_ns);
	sample.counters["own_long"] = static_cast<double>(turns.own_long);
	sample.counters["beside_max_ns"] = static_cast<double>(turns.beside_max_ns);
	return sample;
}

suite::Sample
turns_of(const bench_ops &ops, uint32_t millions)
{
	if (millions * million * bytes_each + reserve_bytes > suite::memory_available_bytes()) {
		suite::Sample sample;
		sample.skipped = "too little memory is free";
		return sample;
	}
	bench_outcome outcome = {};
	bench_turns turns = {};
	outcome.error = "out of memory";
	bench_steady *steady =
	    bench_steady_open(&ops, millions * million, static_cast<int32_t>(millions) * period_ms_of_million);
	if (steady != nullptr) {
		outcome = bench_steady_turns(steady, turn_ms(), &turns);
		if (!bench_steady_close(steady) && outcome.error == nullptr) {
			outcome.error = "the last callbacks do not come";
		}
	}
	return sample_of(outcome, turns);
}

// A thread and a clock: no library.
bool
open_bare(const bench_setup *)
{
	return true;
}

void
close_bare()
{
}

void
describe_bare(char *text, size_t size)
{
	std::snprintf(text, size, "a thread on CPU %d that looks at the clock", bench_cpu_of_loop(0));
}

const bench_ops &
bare()
{
	static bench_ops ops = {};
	ops.name = "floor:spin";
	ops.open = open_bare;
	ops.close = close_bare;
	ops.describe = describe_bare;
	return ops;
}

suite::Sample
bare_turns(const bench_ops &)
{
	bench_turns turns = {};
	bench_outcome outcome = bench_bare_turns(turn_ms(), &turns);
	return sample_of(outcome, turns);
}

suite::Sample
heartbeat(const bench_ops &ops)
{
	std::vector<uint64_t> lateness_ns(suite::quick() ? 20 : 100);
	bench_outcome outcome = {};
	outcome.error = "out of memory";
	bench_crowd *crowd = bench_crowd_open(&ops, 0, million);
	if (crowd != nullptr && bench_crowd_sleep(crowd)) {
		outcome = bench_crowd_beside(crowd, 10, 10, lateness_ns.data()); // what the start has left to do
		if (outcome.error == nullptr) {
			outcome = bench_crowd_beside(crowd, 10, static_cast<unsigned>(lateness_ns.size()),
			    lateness_ns.data());
		}
	}
	if (crowd != nullptr && !bench_crowd_close(crowd) && outcome.error == nullptr) {
		outcome.error = "the last callbacks do not come";
	}
	suite::Sample sample(outcome);
	if (outcome.error == nullptr) {
		sample.ns = sample.counters["cpu_ns"];
		sample.latency(lateness_ns); // of a beat
	}
	return sample;
}

void
add_all()
{
	struct {
		const char *name;
		uint32_t millions;
		unsigned rounds_max;
	} cases[] = { { "B11/turn:1M", 1, 3 }, { "B11/turn:10M", 10, 2 } };
	for (const auto &each : cases) {
		uint32_t millions = each.millions;
		suite::Options options;
		options.rounds_max = suite::quick() ? 1 : each.rounds_max;
		options.counted = false;
		if (suite::quick() && millions > 1) {
			continue;
		}
		for (const bench_ops *ops : { &bench_pinwheel, &bench_floor_queue_wheel, &bench_asio }) {
			if (millions == 1 || ops != &bench_asio) {
				suite::Work work = [millions](const bench_ops &library) {
					return turns_of(library, millions);
				};
				suite::add(each.name, *ops, work, options);
			}
		}
		suite::add(each.name, bare(), bare_turns, options);
	}
	suite::Options few;
	few.rounds_max = suite::quick() ? 1 : 5;
	few.counted = false;
	for (const bench_ops *ops : { &bench_pinwheel, &bench_floor_wheel, &bench_libev, &bench_asio }) {
		suite::add("B11/heartbeat:10ms", *ops, heartbeat, few);
	}
}

const suite::Question question("B11", add_all);

} // namespace

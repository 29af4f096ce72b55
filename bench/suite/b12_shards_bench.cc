// SPDX-License-Identifier: MIT
//
// b12_shards_bench.cc: B12: is a machine with more CPUs so much faster, and what if there are more loops than CPUs?
//
// B1: each loop starts and finishes its own operations. B2 and B9: callbacks of another loop finish or abort them,
// two operations ending each other in turn (with one loop: a thread outside, on another CPU). ns is time over all
// operations of all loops; ns_per_cpu is that times the CPUs that have a loop: what an operation costs one CPU, the
// same with any number of CPUs if they do not hinder each other. shards:cpus has a loop for each CPU, shards:twice
// two.
//
// stalled-producer: a thread that finishes operations is suspended wherever it is, and another one on the same CPU
// goes on with its own (workload_stall.c). Where a library makes a thread wait for another that is in the middle of
// its enqueue, as ck's MPSC ring does, or holds its lock, `stalled` counts the suspensions in which a call waited, of
// `rounds`.
#include "bench/suite/suite.h"
#include "bench/suite/workload_shards.h"

#include "bench/suite/host.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace
{

constexpr unsigned depth = 512;
constexpr uint64_t warm_operations = 20 * depth;

bench_outcome
work(const bench_ops &ops, unsigned loops, bench_neighbour neighbour, uint64_t operations)
{
	if (loops == 1 && neighbour != BENCH_AT_HOME) {
		return bench_cross(&ops, neighbour == BENCH_NEIGHBOUR_FINISHES ? BENCH_END_FINISH : BENCH_END_CANCEL,
		    depth, operations, -1);
	}
	return bench_shards(&ops, loops, neighbour, depth, operations);
}

suite::Sample
shards(const bench_ops &ops, unsigned loops, bench_neighbour neighbour)
{
	bench_outcome warm = work(ops, loops, neighbour, warm_operations * loops);
	if (warm.error != nullptr) {
		return suite::Sample(warm);
	}
	suite::Sample sample(
	    work(ops, loops, neighbour, suite::operations_for(warm, static_cast<uint64_t>(depth) * loops)));
	sample.counters["ns_per_cpu"] = sample.ns * std::min(loops, bench_cpu_count());
	return sample;
}

suite::Sample
stalled(const bench_ops &ops)
{
	constexpr unsigned each = 10;
	unsigned rounds = suite::quick() ? 200 : 1000;
	std::vector<uint64_t> latency_ns(static_cast<size_t>(rounds) * each);
	bench_stall stall = {};
	bench_outcome outcome = bench_stalled(&ops, rounds, each, latency_ns.data(), &stall);
	suite::Sample sample(outcome);
	if (outcome.error == nullptr) {
		sample.ns = static_cast<double>(std::accumulate(latency_ns.begin(), latency_ns.end(), UINT64_C(0))) /
		    static_cast<double>(latency_ns.size());
		sample.latency(latency_ns);
		sample.counters["stalled"] = static_cast<double>(stall.stalled);
		sample.counters["rounds"] = static_cast<double>(stall.rounds);
	}
	return sample;
}

// 1, 2, 4, ... below the CPUs, the CPUs, and twice that.
std::vector<std::pair<std::string, unsigned>>
sizes()
{
	std::vector<std::pair<std::string, unsigned>> all = { { "1", 1 } };
	unsigned cpus = bench_cpu_count();
	for (unsigned loops = 2; loops < cpus; loops *= 2) {
		all.emplace_back(std::to_string(loops), loops);
	}
	if (cpus > 1) {
		all.emplace_back("cpus", cpus);
	}
	all.emplace_back("twice", 2 * cpus);
	return all;
}

void
add_all()
{
	struct {
		const char *name;
		bench_neighbour neighbour;
	} kinds[] = { { "B1", BENCH_AT_HOME }, { "B2", BENCH_NEIGHBOUR_FINISHES },
		{ "B9", BENCH_NEIGHBOUR_CANCELS } };
	for (const auto &kind : kinds) {
		for (const auto &size : sizes()) {
			unsigned loops = size.second;
			bench_neighbour neighbour = kind.neighbour;
			suite::Options options;
			options.setup.loops = loops;
			options.counted = false;
			if (loops > BENCH_LOOPS_MAX) {
				continue;
			}
			suite::add(
			    std::string("B12/") + kind.name + ",shards:" + size.first, bench_pinwheel,
			    [loops, neighbour](const bench_ops &ops) { return shards(ops, loops, neighbour); },
			    options);
		}
	}
	suite::Options few;
	few.rounds_max = suite::quick() ? 1 : 5;
	few.counted = false;
	for (const bench_ops *ops : { &bench_pinwheel, &bench_floor_ck_ring, &bench_nng }) {
		suite::add("B12/stalled-producer", *ops, stalled, few);
	}
}

const suite::Question question("B12", add_all);

} // namespace

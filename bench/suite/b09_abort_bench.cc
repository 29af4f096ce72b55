// SPDX-License-Identifier: MIT
//
// b09_abort_bench.cc: B9: what does it cost to abort an operation from another CPU, and how soon does its callback
// run?
//
// Throughput: the loop keeps 1024 operations started, each with a deadline 5 s from its start, and a thread on
// another CPU aborts each as soon as it hears of it. Latency: one operation without a deadline, on a loop that spins,
// from before the abort to the beginning of the callback.
#include "bench/suite/suite.h"

#include <algorithm>

namespace
{

constexpr unsigned depth = 1024;
constexpr int32_t timeout_ms = 5000;
constexpr uint64_t warm_operations = 50000;
constexpr uint64_t latency_count_max = 100000;
constexpr uint64_t warm_latencies = 2000;

suite::Sample
throughput(const bench_ops &ops)
{
	bench_outcome warm = bench_cross(&ops, BENCH_END_CANCEL, depth, warm_operations, timeout_ms);
	if (warm.error != nullptr) {
		return suite::Sample(warm);
	}
	uint64_t operations = suite::operations_for(warm, depth);
	return suite::Sample(bench_cross(&ops, BENCH_END_CANCEL, depth, operations, timeout_ms));
}

suite::Sample
latency(const bench_ops &ops)
{
	std::vector<uint64_t> ns(latency_count_max);
	bench_outcome warm = bench_latency(&ops, BENCH_END_CANCEL, warm_latencies, -1, 0, ns.data());
	if (warm.error != nullptr) {
		return suite::Sample(warm);
	}
	ns.resize(std::min(latency_count_max, suite::operations_for(warm, 1)));
	suite::Sample sample(bench_latency(&ops, BENCH_END_CANCEL, ns.size(), -1, 0, ns.data()));
	if (sample.error.empty()) {
		sample.latency(ns);
	}
	return sample;
}

void
add_all()
{
	for (const bench_ops *ops : { &bench_pinwheel, &bench_floor_ring_word, &bench_floor_eventfd, &bench_libuv,
		 &bench_libev, &bench_asio, &bench_nng }) {
		suite::add("B9/depth:1024,deadline:5s", *ops, throughput);
	}
	suite::Options spinning;
	spinning.setup.idle = BENCH_IDLE_SPIN;
	for (const bench_ops *ops : { &bench_pinwheel, &bench_floor_ring_word, &bench_floor_ck_ring,
		 &bench_floor_eventfd, &bench_libuv, &bench_asio, &bench_nng }) {
		suite::add("B9/latency,spinning", *ops, latency, spinning);
	}
}

const suite::Question question("B9", add_all);

} // namespace

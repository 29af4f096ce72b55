// SPDX-License-Identifier: MIT
//
// b03_latency_bench.cc: B3: how long from finish on another CPU to the callback, when the loop is awake?
//
// One operation at a time. The loop spins; the other CPU finishes 1 us after it has heard of the operation, so that
// the loop has nothing left to do. ns is the mean.
#include "bench/suite/suite.h"

#include <numeric>

namespace
{

constexpr uint64_t warm_count = 2000;
constexpr uint64_t gap_ns = 1000;

suite::Sample
latency(const bench_ops &ops)
{
	std::vector<uint64_t> ns(suite::quick() ? 10000 : 50000);
	bench_outcome outcome = bench_latency(&ops, BENCH_END_FINISH, warm_count, -1, gap_ns, ns.data());
	if (outcome.error == nullptr) {
		outcome = bench_latency(&ops, BENCH_END_FINISH, ns.size(), -1, gap_ns, ns.data());
	}
	suite::Sample sample(outcome);
	if (outcome.error == nullptr) {
		sample.ns = static_cast<double>(std::accumulate(ns.begin(), ns.end(), UINT64_C(0))) /
		    static_cast<double>(ns.size());
		sample.latency(ns);
	}
	return sample;
}

void
add_all()
{
	suite::Options options;
	options.setup.idle = BENCH_IDLE_SPIN;
	for (const bench_ops *ops : { &bench_pinwheel, &bench_floor_ring_word, &bench_floor_ck_ring,
		 &bench_floor_eventfd, &bench_floor_msg_ring, &bench_libuv, &bench_libev, &bench_asio, &bench_nng }) {
		suite::add("B3/spinning", *ops, latency, options);
	}
}

const suite::Question question("B3", add_all);

} // namespace

// SPDX-License-Identifier: MIT
//
// b04_pingpong_bench.cc: B4: how long from finish on another CPU to the callback, with the idle strategy that a
// library has by itself: when the next finish comes at once, and when it comes after 1 ms? And what does idling cost?
//
// back-to-back: the other CPU finishes as soon as it hears of the operation. ns is the whole round: finish, callback,
// start, and the word of it. The percentiles are those of the way to the callback.
// idle:1ms: it spins for 1 ms first. ns is the mean way to the callback.
// asleep:1s: one sleep that does not end, for a second; cpu_ns is the processor time of that second.
#include "bench/suite/suite.h"

#include <numeric>

namespace
{

constexpr uint64_t idle_gap_ns = 1000000;

suite::Sample
back_to_back(const bench_ops &ops)
{
	std::vector<uint64_t> ns(suite::quick() ? 5000 : 20000);
	bench_outcome outcome = bench_latency(&ops, BENCH_END_FINISH, ns.size() / 10, -1, 0, ns.data());
	if (outcome.error == nullptr) {
		outcome = bench_latency(&ops, BENCH_END_FINISH, ns.size(), -1, 0, ns.data());
	}
	suite::Sample sample(outcome);
	if (outcome.error == nullptr) {
		sample.latency(ns);
	}
	return sample;
}

suite::Sample
after_idle(const bench_ops &ops)
{
	std::vector<uint64_t> ns(suite::quick() ? 50 : 300);
	bench_outcome outcome = bench_latency(&ops, BENCH_END_FINISH, ns.size(), -1, idle_gap_ns, ns.data());
	suite::Sample sample(outcome);
	if (outcome.error == nullptr) {
		sample.ns = static_cast<double>(std::accumulate(ns.begin(), ns.end(), UINT64_C(0))) /
		    static_cast<double>(ns.size());
		sample.latency(ns);
	}
	return sample;
}

suite::Sample
asleep(const bench_ops &ops)
{
	bench_outcome outcome = {};
	outcome.error = "out of memory";
	bench_crowd *crowd = bench_crowd_open(&ops, 0, 1);
	if (crowd != nullptr && bench_crowd_sleep(crowd)) {
		outcome = bench_crowd_idle(crowd, 1); // what the start has left to do
		if (outcome.error == nullptr) {
			outcome = bench_crowd_idle(crowd, 1);
		}
	}
	if (crowd != nullptr && !bench_crowd_close(crowd)) {
		outcome.error = "the last callbacks do not come";
	}
	return suite::Sample(outcome);
}

void
add_all()
{
	suite::Options uncounted, few;
	uncounted.counted = false; // counts depend on how often a loop wakes
	few.counted = false;
	few.rounds_max = 3;
	for (const bench_ops *ops : { &bench_pinwheel, &bench_floor_eventfd, &bench_floor_msg_ring, &bench_libuv,
		 &bench_libev, &bench_asio, &bench_nng }) {
		suite::add("B4/back-to-back", *ops, back_to_back, uncounted);
	}
	for (const bench_ops *ops : { &bench_pinwheel, &bench_floor_eventfd, &bench_floor_msg_ring, &bench_libuv,
		 &bench_libev, &bench_asio, &bench_nng }) {
		suite::add("B4/idle:1ms", *ops, after_idle, uncounted);
	}
	for (const bench_ops *ops : { &bench_pinwheel, &bench_libuv, &bench_nng }) {
		suite::add("B4/asleep:1s", *ops, asleep, few);
	}
}

const suite::Question question("B4", add_all);

} // namespace

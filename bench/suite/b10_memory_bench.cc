// SPDX-License-Identifier: MIT
//
// b10_memory_bench.cc: B10: how many bytes of resident memory does an outstanding sleep take?
//
// A million handles are allocated and put to sleep, in a process of their own. What the peer's file adds to the
// library's own object, and a program that sleeps would do without, is taken off. `ns` is what it took to put one to
// sleep.
#include "bench/suite/suite.h"

namespace
{

constexpr uint32_t crowd_count = 1000000;

suite::Sample
memory(const bench_ops &ops)
{
	suite::Sample sample;
	bench_crowd *crowd = bench_crowd_open(&ops, 0, crowd_count);
	uint64_t began_ns = bench_now_ns();
	if (crowd == nullptr || !bench_crowd_sleep(crowd)) {
		sample.error = crowd == nullptr ? "out of memory" : "the loop does not answer";
		return sample;
	}
	sample.ns = static_cast<double>(bench_now_ns() - began_ns) / crowd_count;
	sample.counters["bytes"] = bench_crowd_bytes_per_sleep(crowd);
	if (!bench_crowd_close(crowd)) {
		sample.error = "the last callbacks do not come";
	}
	return sample;
}

void
add_all()
{
	suite::Options alone;
	alone.alone = true;
	alone.rounds_max = suite::quick() ? 1 : 3;
	for (const bench_ops *ops :
	    { &bench_pinwheel, &bench_floor_wheel, &bench_libuv, &bench_libev, &bench_asio, &bench_nng }) {
		if (!suite::quick() || ops != &bench_nng) { // whose million takes ten seconds
			suite::add("B10/sleeps:1M", *ops, memory, alone);
		}
	}
}

const suite::Question question("B10", add_all);

} // namespace

// SPDX-License-Identifier: MIT
//
// b02_cross_bench.cc: B2: what does an operation cost that another CPU finishes?
//
// The loop keeps 1024 operations started; a thread on another CPU finishes each as soon as it hears of it.
#include "bench/suite/suite.h"

namespace
{

constexpr unsigned depth = 1024;
constexpr uint64_t warm_operations = 50000;

suite::Sample
cross(const bench_ops &ops)
{
	bench_outcome warm = bench_cross(&ops, BENCH_END_FINISH, depth, warm_operations, -1);
	if (warm.error != nullptr) {
		return suite::Sample(warm);
	}
	return suite::Sample(bench_cross(&ops, BENCH_END_FINISH, depth, suite::operations_for(warm, depth), -1));
}

void
add_all()
{
	for (const bench_ops *ops : { &bench_pinwheel, &bench_floor_ring_word, &bench_floor_ck_ring,
		 &bench_floor_eventfd, &bench_floor_msg_ring, &bench_libuv, &bench_libev, &bench_asio, &bench_nng }) {
		suite::add("B2/depth:1024", *ops, cross);
	}
}

const suite::Question question("B2", add_all);

} // namespace

// SPDX-License-Identifier: MIT
//
// b01_finish_bench.cc: B1: what does an operation cost that does nothing: start, finish and callback on one loop?
//
// 1024 handles; the last callback of them starts and finishes all again. Then the same with a deadline 5 s from each
// start; and with each callback starting and finishing its own handle's next operation, the form that suits NNG best.
#include "bench/suite/suite.h"

namespace
{

constexpr unsigned depth = 1024;
constexpr uint64_t warm_rounds = 50;

suite::Sample
finish(const bench_ops &ops, bench_driver driver, int32_t timeout_ms)
{
	bench_outcome warm = bench_finish(&ops, driver, depth, warm_rounds, timeout_ms);
	if (warm.error != nullptr) {
		return suite::Sample(warm);
	}
	return suite::Sample(
	    bench_finish(&ops, driver, depth, suite::operations_for(warm, depth) / depth, timeout_ms));
}

void
add_all()
{
	for (const bench_ops *ops :
	    { &bench_pinwheel, &bench_floor_queue, &bench_libuv, &bench_libev, &bench_asio, &bench_nng }) {
		suite::add("B1/depth:1024", *ops,
		    [](const bench_ops &library) { return finish(library, BENCH_BY_LAST, -1); });
	}
	for (const bench_ops *ops :
	    { &bench_pinwheel, &bench_floor_queue_wheel, &bench_libuv, &bench_libev, &bench_asio, &bench_nng }) {
		suite::add("B1/depth:1024,deadline:5s", *ops,
		    [](const bench_ops &library) { return finish(library, BENCH_BY_LAST, 5000); });
	}
	for (const bench_ops *ops :
	    { &bench_pinwheel, &bench_floor_queue, &bench_libuv, &bench_libev, &bench_asio, &bench_nng }) {
		suite::add("B1/depth:1024,each", *ops,
		    [](const bench_ops &library) { return finish(library, BENCH_BY_EACH, -1); });
	}
}

const suite::Question question("B1", add_all);

} // namespace

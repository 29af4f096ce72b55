// SPDX-License-Identifier: MIT
//
// b05_request_bench.cc: B5: what does a request with a deadline cost beside a million others?
//
// A million operations are outstanding on one loop, each with a deadline 5 s from its start. They are finished in the
// order of their start, or in a random one, 1024 at a time; each callback starts its handle's next. `late`:
// operations that a library took so long for that their deadline was first.
#include "bench/suite/suite.h"

namespace
{

constexpr uint32_t crowd_count = 1000000;
constexpr int32_t timeout_ms = 5000;
constexpr unsigned window = 1024;
constexpr uint64_t warm_operations = 100 * window;

suite::Sample
request(const bench_ops &ops, bench_order order)
{
	bench_crowd *crowd = bench_crowd_open(&ops, 0, crowd_count);
	bench_outcome outcome = {};
	outcome.error = crowd == nullptr ? "out of memory" : "the loop does not answer";
	if (crowd != nullptr && bench_crowd_start(crowd, timeout_ms)) {
		outcome = bench_crowd_churn(crowd, order, warm_operations, window);
		if (outcome.error == nullptr) {
			outcome = bench_crowd_churn(crowd, order, suite::operations_for(outcome, window), window);
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
	struct {
		const char *name;
		bench_order order;
	} cases[] = { { "in", BENCH_IN_ORDER }, { "random", BENCH_AT_RANDOM } };
	for (const auto &each : cases) {
		for (const bench_ops *ops : { &bench_pinwheel, &bench_floor_queue_wheel, &bench_libuv, &bench_libev,
			 &bench_asio, &bench_nng }) {
			bench_order order = each.order;
			suite::Options options;
			bool nng = ops == &bench_nng; // a million of its handles take long to make and to end
			options.rounds_max = suite::quick() ? (nng ? 0 : 1) : (nng ? 3 : 5);
			suite::add(
			    std::string("B5/outstanding:1M,order:") + each.name, *ops,
			    [order](const bench_ops &library) { return request(library, order); }, options);
		}
	}
}

const suite::Question question("B5", add_all);

} // namespace

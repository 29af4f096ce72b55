// SPDX-License-Identifier: MIT
//
// b06_cancel_bench.cc: B6: what does it cost to arm a timer, to cancel it and to be called back, beside 1 k, 1 M, 10
// M others?
//
// The sleeps of a crowd, 10 to 20 minutes each, are canceled in random order, 1024 at a time; each callback lets its
// handle sleep again. A bare wheel (floor:wheel) calls nothing back; floor:raw-queue+wheel is the same wheel with a
// callback.
//
// 10 M needs several GiB, and is left out, with a word, where the memory is not free; and of libraries that take minutes
// to make or to end so many: what it shows beside 1 M is what memory costs, and the floor and libev show that.
#include "bench/suite/suite.h"

#include <algorithm>

namespace
{

constexpr unsigned window = 1024;
constexpr uint64_t warm_operations = 100 * window;
constexpr uint64_t reserve_bytes = UINT64_C(1) << 30;
constexpr uint64_t item_bytes = 64; // of the workload, each

struct Peer {
	const bench_ops *ops;
	uint64_t bytes; // an upper bound of a sleep's
	bool alone;     // takes part where a case runs alone
};

constexpr Peer peers[] = { { &bench_pinwheel, 300, true }, { &bench_floor_wheel, 72, true },
	{ &bench_floor_queue_wheel, 64, true }, { &bench_libuv, 220, false }, { &bench_libev, 120, true },
	{ &bench_asio, 350, false }, { &bench_nng, 600, false } };

struct Case {
	const char *name;
	uint32_t count;
	unsigned rounds_max, rounds_max_nng, rounds_max_quick, rounds_max_quick_nng;
	bool alone; // it is left to the end of its process, because closing it takes longer than all the rest
};

constexpr Case cases[] = {
	{ "1k", 1000, 1000, 1000, 1000, 1000, false },
	{ "1M", 1000000, 5, 3, 1, 0, false },
	{ "10M", 10000000, 3, 0, 0, 0, true },
};

suite::Sample
churn(const bench_ops &ops, const Case &how, uint64_t bytes)
{
	suite::Sample sample;
	if (how.count * (bytes + item_bytes) + reserve_bytes > suite::memory_available_bytes()) {
		sample.skipped = "too little memory is free";
		return sample;
	}
	bench_crowd *crowd = bench_crowd_open(&ops, 0, how.count);
	if (crowd == nullptr || !bench_crowd_sleep(crowd)) {
		sample.error = crowd == nullptr ? "out of memory" : "the loop does not answer";
		return sample;
	}
	bench_outcome outcome = bench_crowd_churn(crowd, BENCH_AT_RANDOM, warm_operations, window);
	uint64_t operations = outcome.error == nullptr ? suite::operations_for(outcome, window) : 0;
	if (outcome.error == nullptr) {
		// The first deadlines are those of the beginning: once through the crowd, if that does not take long.
		outcome =
		    bench_crowd_churn(crowd, BENCH_AT_RANDOM, std::min<uint64_t>(how.count, 5 * operations), window);
	}
	if (outcome.error == nullptr) {
		outcome = bench_crowd_churn(crowd, BENCH_AT_RANDOM, operations, window);
	}
	if (!how.alone && !bench_crowd_close(crowd) && outcome.error == nullptr) {
		outcome.error = "the last callbacks do not come";
	}
	return suite::Sample(outcome);
}

unsigned
rounds_max(const Case &each, const bench_ops *ops)
{
	bool nng = ops == &bench_nng; // a million of its handles take long to make and to end
	if (suite::quick()) {
		return nng ? each.rounds_max_quick_nng : each.rounds_max_quick;
	}
	return nng ? each.rounds_max_nng : each.rounds_max;
}

void
add_all()
{
	for (const Case &each : cases) {
		for (const Peer &peer : peers) {
			uint64_t bytes = peer.bytes;
			if (each.alone && !peer.alone) {
				continue;
			}
			suite::Options options;
			options.rounds_max = rounds_max(each, peer.ops);
			options.alone = each.alone;
			suite::add(
			    std::string("B6/outstanding:") + each.name, *peer.ops,
			    [&each, bytes](const bench_ops &library) { return churn(library, each, bytes); },
			    options);
		}
	}
}

const suite::Question question("B6", add_all);

} // namespace

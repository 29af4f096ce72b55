// SPDX-License-Identifier: MIT
//
// suite.h: what a file of the suite, one for each question, says to suite_bench.cc.
//
// A benchmark is named QUESTION/CASE/LIBRARY, "B1/depth:1024/pinwheel". Those of one question and case are run
// together in rounds: in each round every library once, in an order drawn anew. So repetition i of one library and
// repetition i of another are neighbours in time, and make a pair.
//
// A benchmark is given a library that has been opened for it, and does its work once: it warms up, measures, and
// fills a Sample. No other library is open meanwhile.
#ifndef PINWHEEL_BENCH_SUITE_H
#define PINWHEEL_BENCH_SUITE_H

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "bench/suite/ops.h"
#include "bench/suite/workload.h"

namespace suite
{

struct Sample {
	Sample() = default;
	// ns, cpu_ns, error, and the counts of a library that counts.
	explicit Sample(const bench_outcome &outcome);
	// p50_ns, p99_ns, p999_ns, max_ns; sorts.
	void latency(std::vector<uint64_t> &ns);

	std::string error;                      // a callback was lost or wrong: the run fails
	std::string skipped;                    // it cannot run here; why
	double ns = 0;                          // the benchmark's time, per operation
	std::map<std::string, double> counters; // besides ns
};

using Work = std::function<Sample(const bench_ops &ops)>;

struct Options {
	bench_setup setup = { 1, BENCH_IDLE_DEFAULT };
	unsigned rounds_max = 1000; // fewer than the suite would do, for what takes long; 0: it is left out
	bool alone = false;         // each repetition in a process of its own, which ends without closing the library
	bool counted = true;        // pinwheel's work is done once more by the build that counts
};

// question_case: "B1/depth:1024". To be called by what a Question is given.
void add(const std::string &question_case, const bench_ops &ops, const Work &work,
    const Options &options = Options());

// The short run: about a minute in all.
bool quick();
// What one measurement should take.
uint64_t target_ns();
// How many operations that is, of which `sample` took outcome.elapsed_ns; a multiple of `step`.
uint64_t operations_for(const bench_outcome &sample, uint64_t step);
// Memory that is free for use, by the kernel's estimate.
uint64_t memory_available_bytes();

// A file has one at namespace scope.
struct Question {
	Question(const char *name, void (*add_all)());
};

} // namespace suite

#endif

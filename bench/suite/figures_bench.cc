// SPDX-License-Identifier: MIT
//
// figures_bench.cc: the figures that README.md promises, pinwheel and Debian's NNG side by side.
//
// What it is: the workloads of workload.h, run in pairs, first pinwheel, then NNG, and again; each pair gives a
// ratio. Said of each figure are the medians over the pairs, the least and the largest ratio, and whether the goal is
// reached. What it is not: a judge. The exit status says only whether every callback came as it should.
//
// F1, F2 and F3 run both libraries in this process. F4, F5 and what is said of one CPU run each library in a process of
// its own, started by this one with --alone: resident memory, processor time and the CPUs that may be used are a
// process's, and NNG's burst is not over when the time that we give it is.
//
// One CPU: the process may use one, so pinwheel has one shard, and NNG's threads share what that shard has. This is
// where F1 and F2 are judged: a shard is one CPU, and with all of them NNG has more. What it makes of these stands
// beneath.
//
// Forms. F1: the last of 1024 callbacks starts and finishes all 1024 again, on the shard, or on a thread of NNG's.
// "NNG's best form": every callback starts and finishes its own handle's next operation, so that NNG's threads hardly
// ever meet. (A thread of the program's that starts 1024 and waits for their callbacks is as slow as the first form.)
// F2: the last of 1024 callbacks sends the next 1024 cancels; NNG is as fast with 64 at a time, slower with 1 and
// with 16,384.
//
// ns is wall time over operations: the rate. cpu_ns is processor time of all threads over operations: on a machine
// with neighbours the steadier of the two, and what a core can do; NNG uses more than one.
#include <benchmark/benchmark.h>

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "bench/suite/ops.h"
#include "bench/suite/workload.h"

namespace
{

constexpr uint32_t crowd_count = 1000000;
constexpr int32_t burst_lead_ms = 5000; // doubled while a library needs longer to put all to sleep
constexpr int32_t burst_lead_ms_max = 40000;
constexpr int32_t burst_spread_ms = 1000;
constexpr int32_t burst_limit_ms = 10000;
constexpr unsigned idle_seconds = 10;

// A figure is a counter of a benchmark; the table shows its median, and for ratios the extremes.
enum class Goal {
	at_least,
	at_most
};

struct Row {
	const char *figure;
	const char *benchmark;
	const char *pinwheel; // names of counters
	const char *nng;
	const char *judged;
	const char *format; // of pinwheel's and NNG's value
	Goal goal;
	double bound;
	const char *bound_text;
};

const Row rows[] = {
	{ "F1 start, finish, callback, one CPU: ns each", "F1_one_cpu", "pinwheel_ns", "nng_ns", "ratio", "%.1f",
	    Goal::at_least, 10, ">= 10 x" },
	{ "F1 with all CPUs: ns each", "F1_finish", "pinwheel_ns", "nng_ns", "ratio", "%.1f", Goal::at_least, 0, "" },
	{ "F1 with all CPUs: CPU ns each", "F1_finish", "pinwheel_cpu_ns", "nng_cpu_ns", "", "%.1f", Goal::at_most, 0,
	    "" },
	{ "F1 in NNG's best form, one CPU: ns each", "F1_one_cpu_best_of_nng", "pinwheel_ns", "nng_ns", "ratio", "%.1f",
	    Goal::at_least, 0, "" },
	{ "F1 in NNG's best form, all CPUs: ns each", "F1_finish_best_of_nng", "pinwheel_ns", "nng_ns", "ratio", "%.1f",
	    Goal::at_least, 0, "" },
	{ "F2 arm, cancel, callback by 1 M, one CPU: ns", "F2_one_cpu", "pinwheel_ns", "nng_ns", "ratio", "%.0f",
	    Goal::at_least, 20, ">= 20 x" },
	{ "F2 with all CPUs: ns each", "F2_cancel", "pinwheel_ns", "nng_ns", "ratio", "%.0f", Goal::at_least, 0, "" },
	{ "F2 with all CPUs: CPU ns each", "F2_cancel", "pinwheel_cpu_ns", "nng_cpu_ns", "", "%.0f", Goal::at_most, 0,
	    "" },
	{ "F3 5 ms sleep beside 1 M: p99 lateness, ms", "F3_beside", "pinwheel_p99_ms", "nng_p99_ms",
	    "pinwheel_p99_ms", "%.3f", Goal::at_most, 1, "< 1 ms" },
	{ "F3 the same: mean lateness, ms", "F3_beside", "pinwheel_mean_ms", "nng_mean_ms", "", "%.3f", Goal::at_most,
	    0, "" },
	{ "F4 1 M due in 1 s: last callback late by, ms", "F4_burst", "pinwheel_last_ms", "nng_last_ms",
	    "pinwheel_last_ms", "%.1f", Goal::at_most, 100, "<= 100 ms" },
	{ "F4 the same: fired until 10 s after, of 1 M", "F4_burst", "pinwheel_fired", "nng_fired", "pinwheel_fired",
	    "%.0f", Goal::at_least, crowd_count, "all" },
	{ "F5 resident bytes per sleep", "F5_memory", "pinwheel_bytes", "nng_bytes", "pinwheel_bytes", "%.1f",
	    Goal::at_most, 264, "<= 264" },
	{ "F5 1 M far deadlines: CPU ms in 10 s", "F5_memory", "pinwheel_idle_cpu_ms", "nng_idle_cpu_ms",
	    "pinwheel_idle_cpu_ms", "%.2f", Goal::at_most, 1, "none (< 1)" },
};

constexpr bench_setup all_loops = { 0, BENCH_IDLE_DEFAULT };

const bench_ops *const peers[] = { &bench_pinwheel, &bench_nng };

std::string
counter_prefix(const bench_ops *ops)
{
	return ops == &bench_pinwheel ? "pinwheel_" : "nng_";
}

// ---- F1 to F3: both in this process

bool
succeeded(benchmark::State &state, const bench_ops *ops, const bench_outcome &outcome)
{
	if (outcome.error != nullptr) {
		state.SkipWithError((std::string(ops->name) + ": " + outcome.error).c_str());
		return false;
	}
	return true;
}

double
ns_each(const bench_outcome &outcome)
{
	return static_cast<double>(outcome.elapsed_ns) / static_cast<double>(outcome.operations);
}

// One iteration is one pair; the time of an iteration is pinwheel's.
template <typename Work>
void
run_pair(benchmark::State &state, Work work)
{
	for (auto _ : state) {
		double ns[2] = { 0, 0 };
		for (size_t i = 0; i < 2; i++) {
			bench_outcome outcome = work(peers[i]);
			if (!succeeded(state, peers[i], outcome)) {
				return;
			}
			ns[i] = ns_each(outcome);
			state.counters[counter_prefix(peers[i]) + "ns"] = ns[i];
			state.counters[counter_prefix(peers[i]) + "cpu_ns"] =
			    static_cast<double>(outcome.cpu_ns) / static_cast<double>(outcome.operations);
		}
		state.counters["ratio"] = ns[1] / ns[0];
		state.SetIterationTime(ns[0] * 1e-9);
	}
}

bench_outcome
finish(const bench_ops *ops, bench_driver driver)
{
	return bench_finish(ops, driver, 1024, ops == &bench_pinwheel ? 4000 : 500, -1);
}

void
F1_finish(benchmark::State &state)
{
	run_pair(state, [](const bench_ops *ops) { return finish(ops, BENCH_BY_LAST); });
}

void
F1_finish_best_of_nng(benchmark::State &state)
{
	run_pair(state, [](const bench_ops *ops) { return finish(ops, BENCH_BY_EACH); });
}

// A library's crowd, asleep; made when it is first needed, and kept. NULL: out of memory.
bench_crowd *
crowd_of(const bench_ops *ops)
{
	static std::map<const bench_ops *, bench_crowd *> crowds;
	bench_crowd *&crowd = crowds[ops];
	if (crowd == nullptr) {
		crowd = bench_crowd_open(ops, 0, crowd_count);
		if (crowd != nullptr) {
			bench_crowd_sleep(crowd);
		}
	}
	return crowd;
}

bool
crowds_ready(benchmark::State &state)
{
	for (const bench_ops *ops : peers) {
		if (crowd_of(ops) == nullptr) {
			state.SkipWithError("out of memory");
			return false;
		}
	}
	return true;
}

bench_outcome
churn(const bench_ops *ops, bench_crowd *crowd)
{
	return bench_crowd_churn(crowd, BENCH_AT_RANDOM, ops == &bench_pinwheel ? 2000000 : 400000, 1024);
}

void
F2_cancel(benchmark::State &state)
{
	if (crowds_ready(state)) {
		run_pair(state, [](const bench_ops *ops) { return churn(ops, crowd_of(ops)); });
	}
}

void
F3_beside(benchmark::State &state)
{
	if (!crowds_ready(state)) {
		return;
	}
	for (auto _ : state) {
		for (const bench_ops *ops : peers) {
			std::vector<uint64_t> lateness_ns(ops == &bench_pinwheel ? 600 : 12);
			bench_outcome outcome = bench_crowd_beside(crowd_of(ops), 5,
			    static_cast<unsigned>(lateness_ns.size()), lateness_ns.data());
			if (!succeeded(state, ops, outcome)) {
				return;
			}
			std::sort(lateness_ns.begin(), lateness_ns.end());
			double sum_ns = 0;
			for (uint64_t ns : lateness_ns) {
				sum_ns += static_cast<double>(ns);
			}
			auto percentile_ms = [&](size_t percent) {
				return static_cast<double>(lateness_ns[lateness_ns.size() * percent / 100]) * 1e-6;
			};
			std::string prefix = counter_prefix(ops);
			state.counters[prefix + "mean_ms"] = sum_ns * 1e-6 / static_cast<double>(lateness_ns.size());
			state.counters[prefix + "p50_ms"] = percentile_ms(50);
			state.counters[prefix + "p99_ms"] = percentile_ms(99);
			state.counters[prefix + "max_ms"] = static_cast<double>(lateness_ns.back()) * 1e-6;
			if (ops == &bench_pinwheel) {
				state.SetIterationTime(percentile_ms(99) * 1e-3);
			}
		}
	}
}

// ---- one CPU, F4, F5: each alone in its process

// The side of the new process: figures as lines "name value", or "error text"; does not return.
[[noreturn]] void
say_and_exit(const bench_outcome &outcome)
{
	if (outcome.error != nullptr) {
		std::printf("error %s\n", outcome.error);
	}
	std::fflush(stdout);
	_exit(EXIT_SUCCESS); // what still sleeps or is due goes with the process
}

[[noreturn]] void
say_ns_and_exit(const bench_outcome &outcome)
{
	if (outcome.error == nullptr) {
		std::printf("ns %.3f\n", ns_each(outcome));
	}
	say_and_exit(outcome);
}

// The second run is measured: in the first the deadlines are still those of the beginning.
[[noreturn]] void
churn_alone(const bench_ops *ops)
{
	bench_outcome outcome = {};
	outcome.error = "out of memory";
	bench_crowd *crowd = crowd_of(ops);
	if (crowd != nullptr) {
		outcome = churn(ops, crowd);
	}
	if (outcome.error == nullptr) {
		outcome = churn(ops, crowd);
	}
	say_ns_and_exit(outcome);
}

[[noreturn]] void
memory_alone(const bench_ops *ops)
{
	bench_outcome outcome = {};
	bench_crowd *crowd = bench_crowd_open(ops, BENCH_LOOP_ANY, crowd_count);
	outcome.error = "out of memory";
	if (crowd != nullptr) {
		bench_crowd_sleep(crowd);
		(void) bench_crowd_idle(crowd, 2); // whatever is still on its way to the loops
		outcome = bench_crowd_idle(crowd, idle_seconds);
		std::printf("bytes %.1f\nidle_cpu_ms %.3f\n", bench_crowd_bytes_per_sleep(crowd),
		    static_cast<double>(outcome.cpu_ns) * 1e-6);
	}
	say_and_exit(outcome);
}

[[noreturn]] void
burst_alone(const bench_ops *ops, int32_t lead_ms)
{
	bench_outcome outcome = {};
	bench_crowd *crowd = bench_crowd_open(ops, BENCH_LOOP_ANY, crowd_count);
	outcome.error = "out of memory";
	if (crowd != nullptr) {
		bench_burst burst;
		outcome = bench_crowd_burst(crowd, lead_ms, burst_spread_ms, burst_limit_ms, &burst);
		if (burst.too_slow) {
			std::printf("too_slow 1\n");
			say_and_exit(outcome);
		}
		std::printf("last_ms %.3f\nfired %llu\np50_ms %.3f\np99_ms %.3f\nmax_ms %.3f\ncpu_us_each %.3f\n",
		    static_cast<double>(burst.last_ns) * 1e-6, static_cast<unsigned long long>(burst.fired),
		    static_cast<double>(burst.lateness_p50_ns) * 1e-6,
		    static_cast<double>(burst.lateness_p99_ns) * 1e-6,
		    static_cast<double>(burst.lateness_max_ns) * 1e-6,
		    static_cast<double>(outcome.cpu_ns) * 1e-3 / static_cast<double>(outcome.operations));
	}
	say_and_exit(outcome);
}

// The side of this process: runs `what` for one library, and takes the figures as counters.
bool
run_alone(benchmark::State &state, const std::string &what, const bench_ops *ops)
{
	char self[4096];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
	if (length <= 0) {
		state.SkipWithError("/proc/self/exe cannot be read");
		return false;
	}
	self[length] = '\0';
	FILE *pipe = popen(("'" + std::string(self) + "' --alone=" + what + ":" + ops->name).c_str(), "r");
	if (pipe == nullptr) {
		state.SkipWithError("no process can be started");
		return false;
	}
	std::string error;
	char name[64], text[256];
	while (std::fscanf(pipe, "%63s %255[^\n]", name, text) == 2) {
		if (std::strcmp(name, "error") == 0) {
			error = text;
		} else {
			state.counters[counter_prefix(ops) + name] = std::strtod(text, nullptr);
		}
	}
	if (pclose(pipe) != 0 && error.empty()) {
		error = "the process ended badly";
	}
	if (!error.empty()) {
		state.SkipWithError((std::string(ops->name) + ": " + error).c_str());
	}
	return error.empty();
}

bool
run_burst(benchmark::State &state, const bench_ops *ops)
{
	std::string too_slow = counter_prefix(ops) + "too_slow";
	for (int32_t lead_ms = burst_lead_ms; lead_ms <= burst_lead_ms_max; lead_ms *= 2) {
		state.counters.erase(too_slow);
		if (!run_alone(state, "burst=" + std::to_string(lead_ms), ops)) {
			return false;
		}
		if (state.counters.count(too_slow) == 0) {
			return true;
		}
	}
	state.SkipWithError((std::string(ops->name) + ": putting them to sleep takes too long").c_str());
	return false;
}

void
run_alone_pair(benchmark::State &state, const std::string &what)
{
	for (auto _ : state) {
		for (const bench_ops *ops : peers) {
			if (!run_alone(state, what, ops)) {
				return;
			}
		}
		state.counters["ratio"] = state.counters["nng_ns"] / state.counters["pinwheel_ns"];
		state.SetIterationTime(state.counters["pinwheel_ns"] * 1e-9);
	}
}

void
F1_one_cpu(benchmark::State &state)
{
	run_alone_pair(state, "finish_by_last");
}

void
F1_one_cpu_best_of_nng(benchmark::State &state)
{
	run_alone_pair(state, "finish_by_each");
}

void
F2_one_cpu(benchmark::State &state)
{
	run_alone_pair(state, "churn");
}

void
F4_burst(benchmark::State &state)
{
	for (auto _ : state) {
		for (const bench_ops *ops : peers) {
			if (!run_burst(state, ops)) {
				return;
			}
		}
		state.SetIterationTime(state.counters["pinwheel_last_ms"] * 1e-3);
	}
}

void
F5_memory(benchmark::State &state)
{
	for (auto _ : state) {
		for (const bench_ops *ops : peers) {
			if (!run_alone(state, "memory", ops)) {
				return;
			}
		}
		state.SetIterationTime(state.counters["pinwheel_idle_cpu_ms"] * 1e-3);
	}
}

double
least(const std::vector<double> &values)
{
	return *std::min_element(values.begin(), values.end());
}

double
largest(const std::vector<double> &values)
{
	return *std::max_element(values.begin(), values.end());
}

void
add(const char *name, void (*function)(benchmark::State &), int pairs)
{
	benchmark::RegisterBenchmark(name, function)
	    ->Iterations(1)
	    ->Repetitions(pairs)
	    ->UseManualTime()
	    ->ComputeStatistics("min", least)
	    ->ComputeStatistics("max", largest);
}

// ---- the table

// Prints progress as it goes, and keeps what the table needs.
class Reporter : public benchmark::ConsoleReporter
{
public:
	Reporter() : ConsoleReporter(OO_Tabular)
	{
	}

	void
	ReportRuns(const std::vector<Run> &runs) override
	{
		for (const Run &run : runs) {
			std::string name = run.run_name.function_name;
			if (run.error_occurred) {
				errors[name] = run.error_message;
			} else if (run.run_type == Run::RT_Iteration) {
				progress(name, run);
			} else {
				for (const auto &counter : run.counters) {
					values[name][run.aggregate_name][counter.first] = counter.second.value;
				}
			}
		}
	}

	void
	table() const
	{
		std::printf("\n%-47s %11s %11s %24s %11s  %s\n", "figure", "pinwheel", bench_nng.name,
		    "ratio (min .. max)", "goal", "reached");
		for (const Row &row : rows) {
			print(row);
		}
	}

	bool
	failed() const
	{
		return !errors.empty();
	}

private:
	static void
	progress(const std::string &name, const Run &run)
	{
		std::printf("%s, pair %d of %d:", name.c_str(), static_cast<int>(run.repetition_index) + 1,
		    static_cast<int>(run.repetitions));
		for (const auto &counter : run.counters) {
			std::printf(" %s %.4g", counter.first.c_str(), counter.second.value);
		}
		std::printf("\n");
		std::fflush(stdout);
	}

	// -1: not run.
	double
	value(const Row &row, const char *aggregate, const char *counter) const
	{
		auto of_benchmark = values.find(row.benchmark);
		if (of_benchmark == values.end()) {
			return -1;
		}
		auto of_aggregate = of_benchmark->second.find(aggregate);
		if (of_aggregate == of_benchmark->second.end()) {
			return -1;
		}
		auto found = of_aggregate->second.find(counter);
		return found == of_aggregate->second.end() ? -1 : found->second;
	}

	static std::string
	text(const char *format, double number)
	{
		char buffer[64];
		std::snprintf(buffer, sizeof buffer, format, number);
		return buffer;
	}

	void
	print(const Row &row) const
	{
		auto error = errors.find(row.benchmark);
		if (error != errors.end()) {
			std::printf("%-47s FAILED: %s\n", row.figure, error->second.c_str());
			return;
		}
		double ours = value(row, "median", row.pinwheel), theirs = value(row, "median", row.nng);
		if (ours < 0) {
			return; // filtered out
		}
		std::string ratio;
		if (std::strcmp(row.judged, "ratio") == 0) {
			ratio = text("%.1f", value(row, "median", "ratio")) + " (" +
			    text("%.1f", value(row, "min", "ratio")) + " .. " +
			    text("%.1f", value(row, "max", "ratio")) + ")";
		} else {
			ratio = text("%.3g", row.goal == Goal::at_least ? ours / theirs : theirs / ours);
		}
		bool judged = row.bound_text[0] != '\0';
		double median = judged ? value(row, "median", row.judged) : 0;
		bool reached = row.goal == Goal::at_least ? median >= row.bound : median <= row.bound;
		std::printf("%-47s %11s %11s %24s %11s  %s\n", row.figure, text(row.format, ours).c_str(),
		    text(row.format, theirs).c_str(), ratio.c_str(), row.bound_text,
		    !judged       ? ""
			: reached ? "yes"
				  : "NO");
	}

	std::map<std::string, std::map<std::string, std::map<std::string, double>>> values;
	std::map<std::string, std::string> errors;
};

// ---- the host

std::string
first_line_with(const char *file, const char *key)
{
	std::ifstream in(file);
	for (std::string line; std::getline(in, line);) {
		if (line.compare(0, std::strlen(key), key) == 0) {
			size_t colon = line.find(": ");
			return colon == std::string::npos ? line : line.substr(colon + 2);
		}
	}
	return "unknown";
}

void
describe_host()
{
	utsname kernel;
	(void) uname(&kernel);
	char text[512];
	auto say = [](const char *key, const std::string &value) {
		std::printf("%-10s %s\n", key, value.c_str());
		benchmark::AddCustomContext(key, value);
	};
	say("host",
	    first_line_with("/proc/cpuinfo", "model name") + ", " + std::to_string(sysconf(_SC_NPROCESSORS_ONLN)) +
		" CPUs, Linux " + kernel.release);
	say("governor", first_line_with("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", ""));
	say("load", first_line_with("/proc/loadavg", ""));
	for (const bench_ops *ops : peers) {
		ops->describe(text, sizeof text);
		say(ops->name, text);
	}
}

// Of the CPUs that this process may use the last: the first has the most interrupts.
bool
keep_one_cpu()
{
	cpu_set_t set;
	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof set, &set) == 0) {
		for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
			if (CPU_ISSET(cpu, &set)) {
				CPU_ZERO(&set);
				CPU_SET(cpu, &set);
				return sched_setaffinity(0, sizeof set, &set) == 0;
			}
		}
	}
	return false;
}

// --alone=WHAT:LIBRARY, of which the user need not know. Does not return if it is one.
void
maybe_alone(const char *argument)
{
	static const char option[] = "--alone=";
	if (std::strncmp(argument, option, sizeof option - 1) != 0) {
		return;
	}
	char text[32], library[32];
	int lead_ms = 0;
	if (std::sscanf(argument + sizeof option - 1, "%31[^:]:%31s", text, library) == 2) {
		std::string what = text;
		for (const bench_ops *ops : peers) {
			if (std::strcmp(library, ops->name) != 0) {
				continue;
			}
			bool one_cpu = what == "churn" || what == "finish_by_last" || what == "finish_by_each";
			if ((one_cpu && !keep_one_cpu()) || !ops->open(&all_loops)) {
				std::exit(EXIT_FAILURE);
			}
			if (what == "churn") {
				churn_alone(ops);
			}
			if (one_cpu) {
				say_ns_and_exit(finish(ops, what == "finish_by_last" ? BENCH_BY_LAST : BENCH_BY_EACH));
			}
			if (std::sscanf(text, "burst=%d", &lead_ms) == 1) {
				burst_alone(ops, lead_ms);
			}
			memory_alone(ops);
		}
	}
	std::fprintf(stderr, "figures_bench: %s: nothing to run\n", argument);
	std::exit(EXIT_FAILURE);
}

} // namespace

int
main(int argc, char **argv)
{
	if (argc == 2) {
		maybe_alone(argv[1]);
	}
	benchmark::Initialize(&argc, argv);
	if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
		return 2;
	}
	for (const bench_ops *ops : peers) {
		if (!ops->open(&all_loops)) {
			return 3;
		}
	}
	describe_host();
	add("F1_one_cpu", F1_one_cpu, 9);
	add("F1_finish", F1_finish, 9);
	add("F1_one_cpu_best_of_nng", F1_one_cpu_best_of_nng, 9);
	add("F1_finish_best_of_nng", F1_finish_best_of_nng, 9);
	add("F2_one_cpu", F2_one_cpu, 5);
	add("F2_cancel", F2_cancel, 7);
	add("F3_beside", F3_beside, 3);
	add("F4_burst", F4_burst, 3);
	add("F5_memory", F5_memory, 2);
	Reporter reporter;
	benchmark::RunSpecifiedBenchmarks(&reporter);
	reporter.table();
	std::fflush(stdout);
	_exit(reporter.failed() ? 1 : 0); // two crowds sleep for minutes yet
}

// SPDX-License-Identifier: MIT
//
// suite_bench.cc: runs the benchmarks of the suite side by side, in rounds (suite.h), and says on what host.
//
// What it is: Google Benchmark's timing, names and JSON, with an order of its own. Random interleaving as Google
// Benchmark does it draws from all repetitions of all benchmarks, so that a pair may be minutes apart; here a round
// is done before the next begins. The JSON has all repetitions and no aggregates.
// What it is not: a judge. The exit status says only whether every callback came as it should.
//
// Allocators. The suite links libpinwheel.so, which has jemalloc for its own slots; malloc must stay the C library's
// for every peer, and main looks whether it is so, because a link line in another order would change it unseen.
//
// The build that counts (engine/base/atomic_count.h) is a library of its own beside this program, loaded when it is
// there: each benchmark of pinwheel is done once more with it, for `locked` and `fences`, never for times.
#include <benchmark/benchmark.h>

#include <dlfcn.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <random>
#include <regex>
#include <sstream>
#include <thread>

#include "bench/suite/host.h"
#include "bench/suite/suite.h"

namespace suite
{
namespace
{

constexpr unsigned rounds_default = 9;
constexpr unsigned rounds_quick = 3;

struct Benchmark {
	std::string question_case;
	const bench_ops *ops;
	Work work;
	Options options;

	std::string
	name() const
	{
		return question_case + "/" + ops->name;
	}
};

struct Arguments {
	bool quick = false;
	bool list = false;
	unsigned rounds = 0;
	std::string json;
	std::string alone;
};

Arguments arguments;
const bench_ops *counted; // NULL: not there

std::vector<Benchmark> &
benchmarks()
{
	static std::vector<Benchmark> all;
	return all;
}

struct Registered {
	std::string name;
	void (*add_all)();
};

std::vector<Registered> &
questions()
{
	static std::vector<Registered> all;
	return all;
}

std::string
first_line_of(const char *file)
{
	std::ifstream in(file);
	std::string line;
	std::getline(in, line);
	return line;
}

// ---- one repetition

Sample
do_here(const Benchmark &benchmark)
{
	Sample sample;
	if (!benchmark.ops->open(&benchmark.options.setup)) {
		sample.skipped = "it cannot run here";
		return sample;
	}
	sample = benchmark.work(*benchmark.ops);
	if (!benchmark.options.alone) {
		benchmark.ops->close();
	}
	return sample;
}

// In a process of its own: this program with --alone=NAME, which prints "key value" lines.
Sample
do_alone(const Benchmark &benchmark)
{
	Sample sample;
	char self[4096];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
	self[length > 0 ? length : 0] = '\0';
	std::string command = std::string("'") + self + "' --alone='" + benchmark.name() + "'";
	command += arguments.quick ? " --quick" : "";
	FILE *pipe = popen(command.c_str(), "r");
	if (pipe == nullptr) {
		sample.error = "no process can be started";
		return sample;
	}
	char key[64], text[256];
	while (std::fscanf(pipe, "%63s %255[^\n]", key, text) == 2) {
		std::string name = key;
		if (name == "error") {
			sample.error = text;
		} else if (name == "skipped") {
			sample.skipped = text;
		} else if (name == "ns") {
			sample.ns = std::strtod(text, nullptr);
		} else {
			sample.counters[name] = std::strtod(text, nullptr);
		}
	}
	if (pclose(pipe) != 0 && sample.error.empty()) {
		sample.error = "the process ended badly";
	}
	return sample;
}

[[noreturn]] void
print_alone(const Benchmark &benchmark)
{
	Sample sample = do_here(benchmark);
	if (!sample.error.empty()) {
		std::printf("error %s\n", sample.error.c_str());
	}
	if (!sample.skipped.empty()) {
		std::printf("skipped %s\n", sample.skipped.c_str());
	}
	std::printf("ns %.6g\n", sample.ns);
	for (const auto &counter : sample.counters) {
		std::printf("%s %.9g\n", counter.first.c_str(), counter.second);
	}
	std::fflush(stdout);
	_exit(EXIT_SUCCESS); // what is outstanding goes with the process
}

// `locked` and `fences` of pinwheel's benchmarks: exact for the same operations, so once is enough.
const std::map<std::string, double> &
counts_of(const Benchmark &benchmark)
{
	static std::map<std::string, std::map<std::string, double>> known;
	auto found = known.find(benchmark.name());
	if (found == known.end()) {
		std::map<std::string, double> counts;
		if (counted != nullptr && benchmark.options.counted && !benchmark.options.alone) {
			Benchmark copy = benchmark;
			copy.ops = counted;
			Sample sample = do_here(copy);
			for (const char *name : { "loads", "stores", "locked", "fences" }) {
				if (sample.error.empty() && sample.counters.count(name) != 0) {
					counts[name] = sample.counters[name];
				}
			}
		}
		found = known.emplace(benchmark.name(), counts).first;
	}
	return found->second;
}

void
run_once(benchmark::State &state, const Benchmark &benchmark)
{
	for (auto _ : state) {
		Sample sample = benchmark.options.alone ? do_alone(benchmark) : do_here(benchmark);
		if (!sample.error.empty()) {
			state.SkipWithError((benchmark.name() + ": " + sample.error).c_str());
			return;
		}
		if (benchmark.ops == &bench_pinwheel) {
			for (const auto &count : counts_of(benchmark)) {
				sample.counters[count.first] = count.second;
			}
		}
		state.SetLabel(sample.skipped.empty() ? "" : "skipped: " + sample.skipped);
		state.SetIterationTime(sample.ns * 1e-9);
		state.counters["ns"] = sample.ns;
		for (const auto &counter : sample.counters) {
			state.counters[counter.first] = counter.second;
		}
	}
}

// ---- all of them

using Run = benchmark::BenchmarkReporter::Run;

// Keeps the runs under the benchmarks' own names, with the number of their round.
class Collector : public benchmark::BenchmarkReporter
{
public:
	bool
	ReportContext(const Context &) override
	{
		return true;
	}

	void
	ReportRuns(const std::vector<Run> &reported) override
	{
		for (Run run : reported) {
			run.run_name.iterations.clear();
			run.run_name.time_type.clear();
			run.repetition_index = round;
			run.repetitions = rounds;
			runs.push_back(run);
		}
	}

	int64_t round = 0, rounds = 0;
	std::vector<Run> runs;
};

std::string
text(const char *format, double value)
{
	char buffer[64];
	std::snprintf(buffer, sizeof buffer, format, value);
	return buffer;
}

bool
is_skipped(const Run &run)
{
	return run.report_label.compare(0, 7, "skipped") == 0;
}

void
print_progress(const Run &run, size_t number, size_t of, double seconds)
{
	std::string line = text("[%4.0f", static_cast<double>(number)) + text("/%.0f] ", static_cast<double>(of));
	line += run.run_name.str() + text("  (%.1f s)", seconds);
	if (run.error_occurred) {
		line += "  FAILED: " + run.error_message;
	} else if (is_skipped(run)) {
		line += "  " + run.report_label;
	} else {
		for (const auto &counter : run.counters) {
			line += "  " + counter.first + " " + text("%.4g", counter.second.value);
		}
	}
	std::printf("%s\n", line.c_str());
}

double
median(std::vector<double> values)
{
	if (values.empty()) {
		return NAN;
	}
	std::sort(values.begin(), values.end());
	size_t middle = values.size() / 2;
	return values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

struct Line {
	std::string library;
	std::map<int64_t, double> ns; // by round
	std::map<std::string, std::vector<double>> counters;
};

void
print_case(const std::string &name, const std::vector<Line> &lines)
{
	std::printf("\n%-24s %10s %21s %27s  %s\n", name.c_str(), "ns", "(min .. max)", "x pinwheel (min .. max)",
	    "medians");
	const Line *ours = nullptr;
	for (const Line &line : lines) {
		ours = line.library == bench_pinwheel.name ? &line : ours;
	}
	for (const Line &line : lines) {
		std::vector<double> ns, ratios;
		for (const auto &value : line.ns) {
			ns.push_back(value.second);
			if (ours != nullptr && ours->ns.count(value.first) != 0) {
				ratios.push_back(value.second / ours->ns.at(value.first));
			}
		}
		if (ns.empty()) {
			std::printf("  %-22s %10s\n", line.library.c_str(), "skipped");
			continue;
		}
		auto ends = std::minmax_element(ns.begin(), ns.end());
		std::string spread = "(" + text("%.4g", *ends.first) + " .. " + text("%.4g", *ends.second) + ")";
		std::string ratio;
		if (!ratios.empty() && &line != ours) {
			auto extremes = std::minmax_element(ratios.begin(), ratios.end());
			ratio = text("%.3g", median(ratios)) + " (" + text("%.3g", *extremes.first) + " .. " +
			    text("%.3g", *extremes.second) + ")";
		}
		std::printf("  %-22s %10s %21s %27s ", line.library.c_str(), text("%.4g", median(ns)).c_str(),
		    spread.c_str(), ratio.c_str());
		for (const auto &counter : line.counters) {
			if (counter.first != "ns" && counter.first != "loads" && counter.first != "stores") {
				std::printf(" %s %s", counter.first.c_str(),
				    text("%.4g", median(counter.second)).c_str());
			}
		}
		std::printf("\n");
	}
}

void
print_table(const std::vector<Run> &runs)
{
	std::vector<std::string> order;
	std::map<std::string, std::vector<Line>> cases;
	for (const Run &run : runs) {
		std::string name = run.run_name.str();
		size_t slash = name.rfind('/');
		std::string question_case = name.substr(0, slash), library = name.substr(slash + 1);
		if (cases.count(question_case) == 0) {
			order.push_back(question_case);
		}
		std::vector<Line> &lines = cases[question_case];
		auto line = std::find_if(lines.begin(), lines.end(),
		    [&](const Line &candidate) { return candidate.library == library; });
		if (line == lines.end()) {
			line = lines.insert(lines.end(), Line{ library, {}, {} });
		}
		if (run.error_occurred || is_skipped(run)) {
			continue;
		}
		for (const auto &counter : run.counters) {
			line->counters[counter.first].push_back(counter.second.value);
			if (counter.first == "ns") {
				line->ns[run.repetition_index] = counter.second.value;
			}
		}
	}
	for (const std::string &name : order) {
		std::vector<Line> &lines = cases[name];
		std::sort(lines.begin(), lines.end(), [](const Line &left, const Line &right) {
			auto middle = [](const Line &line) {
				std::vector<double> ns;
				for (const auto &value : line.ns) {
					ns.push_back(value.second);
				}
				return ns.empty() ? HUGE_VAL : median(ns);
			};
			return middle(left) < middle(right);
		});
		print_case(name, lines);
	}
}

std::string
escaped(const std::string &name)
{
	std::string out;
	for (char c : name) {
		if (std::strchr(".[{}()\\*+?|^$", c) != nullptr) {
			out += '\\';
		}
		out += c;
	}
	return out;
}

// True: nothing failed.
bool
run_all(const std::vector<const Benchmark *> &chosen)
{
	Collector collector;
	std::mt19937 random(std::random_device{}());
	unsigned rounds = arguments.rounds != 0 ? arguments.rounds : arguments.quick ? rounds_quick : rounds_default;
	size_t of = 0, number = 0;
	for (const Benchmark *benchmark : chosen) {
		of += std::min(rounds, benchmark->options.rounds_max);
		benchmark::RegisterBenchmark(benchmark->name().c_str(),
		    [benchmark](benchmark::State &state) { run_once(state, *benchmark); })
		    ->Iterations(1)
		    ->UseManualTime();
	}
	collector.rounds = rounds;
	for (size_t first = 0, last = 0; first < chosen.size(); first = last) {
		while (last < chosen.size() && chosen[last]->question_case == chosen[first]->question_case) {
			last++;
		}
		for (unsigned round = 0; round < rounds; round++) {
			std::vector<const Benchmark *> now;
			std::copy_if(chosen.begin() + static_cast<std::ptrdiff_t>(first),
			    chosen.begin() + static_cast<std::ptrdiff_t>(last), std::back_inserter(now),
			    [&](const Benchmark *benchmark) { return round < benchmark->options.rounds_max; });
			std::shuffle(now.begin(), now.end(), random);
			collector.round = round;
			for (const Benchmark *benchmark : now) {
				uint64_t began_ns = bench_now_ns();
				(void) benchmark::RunSpecifiedBenchmarks(&collector,
				    "^" + escaped(benchmark->name()) + "/iterations:");
				print_progress(collector.runs.back(), ++number, of,
				    static_cast<double>(bench_now_ns() - began_ns) * 1e-9);
			}
		}
	}
	print_table(collector.runs);
	if (!arguments.json.empty()) {
		std::ofstream out(arguments.json);
		benchmark::JSONReporter json;
		json.SetOutputStream(&out);
		json.SetErrorStream(&std::cerr);
		if (json.ReportContext(benchmark::BenchmarkReporter::Context())) {
			json.ReportRuns(collector.runs);
		}
		json.Finalize();
		if (!out.flush()) {
			std::fprintf(stderr, "suite_bench: %s cannot be written\n", arguments.json.c_str());
			return false;
		}
	}
	return std::none_of(collector.runs.begin(), collector.runs.end(),
	    [](const Run &run) { return run.error_occurred; });
}

// ---- the host

struct Ticks {
	double busy = 0, idle = 0, steal = 0;
};

Ticks
read_ticks()
{
	std::istringstream line(first_line_of("/proc/stat"));
	std::string cpu;
	double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
	line >> cpu >> user >> nice >> system >> idle >> iowait >> irq >> softirq >> steal;
	Ticks ticks;
	ticks.busy = user + nice + system + irq + softirq;
	ticks.idle = idle + iowait;
	ticks.steal = steal;
	return ticks;
}

std::string
cpu_model()
{
	std::ifstream in("/proc/cpuinfo");
	for (std::string line; std::getline(in, line);) {
		if (line.compare(0, 10, "model name") == 0) {
			size_t colon = line.find(": ");
			return colon == std::string::npos ? line : line.substr(colon + 2);
		}
	}
	return "unknown";
}

std::string
or_unknown(const std::string &value)
{
	return value.empty() ? "unknown" : value;
}

void
say(const std::string &key, const std::string &value)
{
	std::printf("%-12s %s\n", key.c_str(), value.c_str());
	benchmark::AddCustomContext(key, value);
}

void
describe_host(const std::vector<const Benchmark *> &chosen)
{
	utsname kernel;
	(void) uname(&kernel);
	Ticks before = read_ticks();
	std::this_thread::sleep_for(std::chrono::milliseconds(500));
	Ticks after = read_ticks();
	double all = after.busy + after.idle + after.steal - before.busy - before.idle - before.steal;
	double share = all > 0 ? 100 / all : 0;

	say("cpu_model", cpu_model());
	say("cpus", std::to_string(bench_cpu_count()) + " of " + std::to_string(sysconf(_SC_NPROCESSORS_ONLN)));
	say("kernel", std::string(kernel.sysname) + " " + kernel.release);
	say("pinning",
	    "loop 0 on CPU " + std::to_string(bench_cpu_of_loop(0)) + ", outside thread on CPU " +
		std::to_string(bench_cpu_outside(0)));
	say("line_round_trip", text("%.0f ns", bench_line_round_trip_ns()));
	say("governor", or_unknown(first_line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")));
	say("huge_pages", or_unknown(first_line_of("/sys/kernel/mm/transparent_hugepage/enabled")));
	say("loadavg", or_unknown(first_line_of("/proc/loadavg")));
	say("idle_before", text("%.0f %%", (after.idle - before.idle) * share));
	say("steal_before", text("%.1f %%", (after.steal - before.steal) * share));
	say("counting", counted != nullptr ? "yes" : "no: the build that counts is not beside this program");
	std::vector<const bench_ops *> seen;
	for (const Benchmark *benchmark : chosen) {
		if (std::find(seen.begin(), seen.end(), benchmark->ops) != seen.end()) {
			continue;
		}
		seen.push_back(benchmark->ops);
		bench_setup setup = { 1, BENCH_IDLE_DEFAULT };
		char line[512];
		if (benchmark->ops->open(&setup)) {
			benchmark->ops->describe(line, sizeof line);
			benchmark->ops->close();
			say(benchmark->ops->name, line);
		}
	}
}

bool
malloc_is_libc()
{
	Dl_info info;
	bool known = dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) != 0 && info.dli_fname != nullptr;
	const char *slash = known ? std::strrchr(info.dli_fname, '/') : nullptr;
	const char *file = slash != nullptr ? slash + 1 : known ? info.dli_fname : "unknown";
	say("malloc", file);
	return std::strncmp(file, "libc.so", 7) == 0 || std::strncmp(file, "libc-", 5) == 0;
}

void
load_counted()
{
	char self[4096];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
	self[length > 0 ? length : 0] = '\0';
	char *slash = std::strrchr(self, '/');
	std::string path = (slash != nullptr ? std::string(self, slash) : ".") + "/bench_counted.so";
	if (access(path.c_str(), R_OK) != 0) {
		return;
	}
	void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
	if (library == nullptr) {
		std::fprintf(stderr, "suite_bench: %s\n", dlerror());
		return;
	}
	auto *table = reinterpret_cast<const bench_ops *(*) ()>(dlsym(library, "bench_counted"));
	counted = table != nullptr ? table() : nullptr;
}

bool
parse(int argc, char **argv, std::vector<char *> &rest)
{
	rest.push_back(argv[0]);
	for (int i = 1; i < argc; i++) {
		std::string argument = argv[i];
		size_t equals = argument.find('=');
		std::string key = argument.substr(0, equals);
		std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
		if (key == "--quick") {
			arguments.quick = true;
		} else if (key == "--list") {
			arguments.list = true;
		} else if (key == "--rounds" && std::atoi(value.c_str()) > 0) {
			arguments.rounds = static_cast<unsigned>(std::atoi(value.c_str()));
		} else if (key == "--json" || key == "--benchmark_out") {
			arguments.json = value;
		} else if (key == "--alone") {
			arguments.alone = value;
		} else if (key == "--help" || key == "--rounds") {
			return false;
		} else {
			rest.push_back(argv[i]);
		}
	}
	return true;
}

void
usage()
{
	std::fprintf(stderr,
	    "usage: suite_bench [--quick] [--rounds=N] [--json=FILE] [--list] [--benchmark_filter=REGEX]\n"
	    "Runs the benchmarks whose name (QUESTION/CASE/LIBRARY) the regular expression finds; without one, all.\n"
	    "exit status: 0 it ran; 1 a callback was lost or wrong; 2 usage; 3 the environment lacks something\n");
}

} // namespace

void
add(const std::string &question_case, const bench_ops &ops, const Work &work, const Options &options)
{
	if (options.rounds_max != 0) {
		benchmarks().push_back(Benchmark{ question_case, &ops, work, options });
	}
}

Question::Question(const char *name, void (*add_all)())
{
	questions().push_back(Registered{ name, add_all });
}

bool
quick()
{
	return arguments.quick;
}

uint64_t
target_ns()
{
	return arguments.quick ? 30000000 : 100000000;
}

uint64_t
operations_for(const bench_outcome &sample, uint64_t step)
{
	double each_ns = static_cast<double>(sample.elapsed_ns) / static_cast<double>(sample.operations);
	double steps = static_cast<double>(target_ns()) / (each_ns > 0 ? each_ns : 1) / static_cast<double>(step);
	return step * static_cast<uint64_t>(std::min(std::max(steps, 1.0), 1e9));
}

uint64_t
memory_available_bytes()
{
	std::ifstream in("/proc/meminfo");
	for (std::string line; std::getline(in, line);) {
		unsigned long long kib;
		if (std::sscanf(line.c_str(), "MemAvailable: %llu kB", &kib) == 1) {
			return kib * 1024;
		}
	}
	return 0;
}

Sample::Sample(const bench_outcome &outcome)
{
	if (outcome.error != nullptr) {
		error = outcome.error;
		return;
	}
	double operations = static_cast<double>(outcome.operations);
	ns = static_cast<double>(outcome.elapsed_ns) / operations;
	counters["cpu_ns"] = static_cast<double>(outcome.cpu_ns) / operations;
	if (outcome.late != 0) {
		counters["late"] = static_cast<double>(outcome.late);
	}
	if (outcome.counts.loads != 0) {
		counters["loads"] = static_cast<double>(outcome.counts.loads) / operations;
		counters["stores"] = static_cast<double>(outcome.counts.stores) / operations;
		counters["locked"] = static_cast<double>(outcome.counts.locked) / operations;
		counters["fences"] = static_cast<double>(outcome.counts.fences) / operations;
	}
}

void
Sample::latency(std::vector<uint64_t> &values)
{
	std::sort(values.begin(), values.end());
	auto at = [&](double share) {
		size_t index = static_cast<size_t>(share * static_cast<double>(values.size()));
		return static_cast<double>(values[std::min(index, values.size() - 1)]);
	};
	counters["p50_ns"] = at(0.5);
	counters["p99_ns"] = at(0.99);
	counters["p999_ns"] = at(0.999);
	counters["max_ns"] = at(1);
}

} // namespace suite

int
main(int argc, char **argv)
{
	using namespace suite;
	(void) std::setvbuf(stdout, nullptr, _IOLBF, 0);
	std::vector<char *> rest;
	if (!parse(argc, argv, rest)) {
		usage();
		return 2;
	}
	int count = static_cast<int>(rest.size());
	benchmark::Initialize(&count, rest.data());
	if (benchmark::ReportUnrecognizedArguments(count, rest.data())) {
		usage();
		return 2;
	}
	if (!bench_host_init()) {
		std::fprintf(stderr, "suite_bench: the CPUs of this process cannot be read\n");
		return 3;
	}
	std::sort(questions().begin(), questions().end(), [](const Registered &left, const Registered &right) {
		return std::make_pair(left.name.size(), left.name) < std::make_pair(right.name.size(), right.name);
	});
	for (const Registered &question : questions()) {
		question.add_all();
	}
	if (!arguments.alone.empty()) {
		for (const Benchmark &benchmark : benchmarks()) {
			if (benchmark.name() == arguments.alone) {
				print_alone(benchmark);
			}
		}
		return 3;
	}
	std::regex filter(benchmark::GetBenchmarkFilter().empty() ? "." : benchmark::GetBenchmarkFilter());
	std::vector<const Benchmark *> chosen;
	for (const Benchmark &benchmark : benchmarks()) {
		if (std::regex_search(benchmark.name(), filter)) {
			chosen.push_back(&benchmark);
		}
	}
	if (arguments.list) {
		for (const Benchmark *benchmark : chosen) {
			std::printf("%s\n", benchmark->name().c_str());
		}
		return 0;
	}
	if (!malloc_is_libc()) {
		std::fprintf(stderr,
		    "suite_bench: malloc is not the C library's: the peers would be measured with another\n");
		return 3;
	}
	load_counted();
	describe_host(chosen);
	return run_all(chosen) ? 0 : 1;
}

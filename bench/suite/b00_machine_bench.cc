// SPDX-License-Identifier: MIT
//
// b00_machine_bench.cc: B0: what does the machine itself cost? What goals and limits are made of.
//
// clock: a reading of it (clock_gettime); cycles: of the processor's counter; cas: a lock cmpxchg on a word in the
// cache; epoll_wait, io_uring_enter: with nothing to do and no wait; cold: a look at an object of 256 bytes, a
// million of them in random order, which is known only from the last object (dependent) or before (independent).
#include "bench/suite/suite.h"
#include "bench/suite/workload_machine.h"

#include "bench/suite/host.h"

#include <cstdio>
#include <list>

namespace
{

bool
open_machine(const bench_setup *)
{
	return bench_pin(bench_cpu_of_loop(0));
}

void
close_machine()
{
	bench_unpin();
}

void
describe_machine(char *text, size_t size)
{
	std::snprintf(text, size, "a thread on CPU %d", bench_cpu_of_loop(0));
}

void
add_all()
{
	static std::list<std::string> names;
	static std::list<bench_ops> libraries;
	for (unsigned i = 0; i < bench_machine_floor_count; i++) {
		const bench_machine &floor = bench_machine_floors[i];
		names.push_back(std::string("floor:") + floor.name);
		libraries.emplace_back();
		libraries.back().name = names.back().c_str();
		libraries.back().open = open_machine;
		libraries.back().close = close_machine;
		libraries.back().describe = describe_machine;
		suite::add("B0/machine", libraries.back(),
		    [&floor](const bench_ops &) { return suite::Sample(floor.measure()); });
	}
}

const suite::Question question("B0", add_all);

} // namespace

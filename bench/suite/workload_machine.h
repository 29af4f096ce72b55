/* SPDX-License-Identifier: MIT
 *
 * workload_machine.h: what the machine itself costs: what every operation is made of. Plain C types, for C and C++.
 */
#ifndef PINWHEEL_BENCH_WORKLOAD_MACHINE_H
#define PINWHEEL_BENCH_WORKLOAD_MACHINE_H

#include "bench/suite/workload.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bench_machine {
	const char *name;
	struct bench_outcome (*measure)(void); /* on the CPU of loop 0, for some 20 ms */
};

extern const struct bench_machine bench_machine_floors[];
extern const unsigned bench_machine_floor_count;

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: MIT
 *
 * counted.h: what the library of counted.c gives to the program that loads it.
 */
#ifndef PINWHEEL_BENCH_COUNTED_H
#define PINWHEEL_BENCH_COUNTED_H

#include "bench/suite/ops.h"

/* Pinwheel's table with `counts`; NULL: the CPUs of the process cannot be read. */
const struct bench_ops *bench_counted(void);

#endif

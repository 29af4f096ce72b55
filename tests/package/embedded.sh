#!/bin/sh
# SPDX-License-Identifier: MIT
#
# embedded.sh SOURCE WORK CC DLOPEN: law: pinwheel works as a subdirectory of another project, which then gets neither
# its tests nor its examples nor its install rules; and the shared library with the system allocator can be dlopen'ed by
# DLOPEN.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
source=$1 work=$2 cc=$3 dlopen=$4

rm -rf "$work"
mkdir -p "$work"
cmake -G Ninja -S "$here/consumer" -B "$work/consumer" -DCMAKE_C_COMPILER="$cc" -DEMBED="$source" \
	-DPINWHEEL_ALLOCATOR=system -DBUILD_SHARED_LIBS=ON >"$work/configure.log"
for option in TESTS COMMAND EXAMPLES INSTALL BENCH; do
	grep -q "^PINWHEEL_$option:BOOL=OFF$" "$work/consumer/CMakeCache.txt" || {
		echo "PINWHEEL_$option is on in a subdirectory"
		exit 1
	}
done
cmake --build "$work/consumer" -j 1 >"$work/build.log"
for program in "$work"/consumer/hello_* "$work"/consumer/malloc_* "$work"/consumer/time_*; do
	"$program"
done
"$dlopen" "$work/consumer/pinwheel/engine/libpinwheel.so.0"

#!/bin/sh
# SPDX-License-Identifier: MIT
#
# installed.sh BUILD SOURCE WORK CC: law: what `cmake --install` lays down serves programs through pkg-config and
# through find_package, shared and static, and tests with a clock of their own, leaves them their malloc, and names
# nothing nng that another package may own. The examples of SOURCE are such programs too.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$1 source=$2 work=$3 cc=$4
prefix=$work/prefix

rm -rf "$work"
mkdir -p "$work"
cmake --install "$build" --prefix "$prefix" >"$work/install.log"

found=$(cd "$prefix" && find . -iname '*nng*' | sort | tr '\n' ' ')
if [ "$found" != "./include/pinwheel/nng ./include/pinwheel/nng/nng.h " ]; then
	echo "installed under the name nng: $found"
	exit 1
fi

config=$(find "$prefix" -name pinwheel.pc)
libraries=$(dirname "$(dirname "$config")")
PKG_CONFIG_PATH=$(dirname "$config")
export PKG_CONFIG_PATH
flags=$(pkg-config --cflags --libs pinwheel)
static_flags=$(pkg-config --static --cflags --libs pinwheel |
	sed 's/-lpinwheel/-l:libpinwheel.a/')
for program in hello malloc; do
	# shellcheck disable=SC2086 # flags are words
	"$cc" "$here/$program.c" $flags "-Wl,-rpath,$libraries" -o "$work/$program"
	# shellcheck disable=SC2086
	"$cc" "$here/$program.c" $static_flags -o "$work/$program-static"
	"$work/$program"
	"$work/$program-static"
done

cmake -G Ninja -S "$here/consumer" -B "$work/consumer" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" \
	>"$work/configure.log"
cmake --build "$work/consumer" -j 1 >"$work/build.log"
for program in "$work"/consumer/hello_* "$work"/consumer/malloc_* "$work"/consumer/time_*; do
	"$program"
done

cmake -G Ninja -S "$source/examples" -B "$work/examples" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" \
	-DCMAKE_C_FLAGS="-Wall -Wextra -Wpedantic -Werror" >"$work/examples.log"
cmake --build "$work/examples" -j 1 >>"$work/examples.log"
"$source/tests/example/output.sh" provider "$work/examples/provider"
"$source/tests/example/output.sh" uv_loop "$work/examples/uv_loop"

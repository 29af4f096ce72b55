#!/bin/sh
# SPDX-License-Identifier: MIT
#
# nng2.sh SOURCE LIBRARY WORK: law: programs that are written for NNG 2.x compile against include/ without a change and
# without a warning, as C and as C++, with gcc and with clang, and do what they say.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
source=$1 library=$2 work=$3.${PW_TEST_POLLER:-}
rm -rf "$work"
mkdir -p "$work"

# build NAME COMPILER...
build() {
	name=$1
	shift
	"$@" -Wall -Wextra -Wpedantic -Werror "-I$source/include" "$here/nng2/$name.c" -x none "$library" \
		"-Wl,-rpath,$(dirname "$library")" -o "$work/$name"
	"$work/$name" >"$work/$name.out"
	diff -u "$here/nng2/$name.out" "$work/$name.out"
}

for program in "$here"/nng2/*.c; do
	name=$(basename "$program" .c)
	build "$name" gcc -std=c11 -x c
	build "$name" clang-14 -std=c11 -x c
	build "$name" g++ -std=c++11 -x c++
	build "$name" clang++-14 -std=c++17 -x c++
done

#!/bin/sh
# SPDX-License-Identifier: MIT
#
# output.sh NAME PROGRAM: law: the program ends with 0 and prints NAME.out, given NAME.in where there is one.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d example.XXXXXX)
trap 'rm -rf "$work"' EXIT

input=$here/$1.in
[ -e "$input" ] || input=/dev/null
"$2" <"$input" >"$work/out"
diff -u "$here/$1.out" "$work/out"

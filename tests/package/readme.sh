#!/bin/sh
# SPDX-License-Identifier: MIT
#
# readme.sh SOURCE LIBRARY WORK CC: law: the README's program compiles without a warning and does what it says, and every
# test that the README names exists. Method: the program is the first C block of the README, linked with LIBRARY.
set -eu
source=$1 library=$2 work=$3 cc=$4
rm -rf "$work"
mkdir -p "$work"

sed -n '/^```c$/,/^```$/p' "$source/README.md" | sed '1d;/^```$/,$d' >"$work/program.c"
"$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror "-I$source/include" "$work/program.c" "$library" \
	"-Wl,-rpath,$(dirname "$library")" -o "$work/program"
"$work/program" | sort >"$work/output"
printf 'canceled: %s\nslept 10 ms: %s\n' "Operation was cancelled" "No error" >"$work/expected"
diff "$work/expected" "$work/output"

missing=0
for name in $(sed -n 's/^| .* | [a-z]*\.\([a-z_]*\): \([a-z0-9_]*\) |$/\1:\2/p' "$source/README.md"); do
	file=${name%%:*} test=${name#*:}
	# defined, and named once more: in the table of those that run
	if [ "$(cat "$source"/tests/*/"${file}_test.c" | grep -cw "$test")" -lt 2 ]; then
		echo "README names $test in ${file}_test.c: it is not run there"
		missing=1
	fi
done
exit "$missing"

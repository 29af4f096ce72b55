#!/bin/sh
# SPDX-License-Identifier: MIT
#
# verify.sh SOURCE BUILD: law: `scripts/verify` runs every part that was asked for, whatever became of the others, and
# says in its report and by its exit status what became of them; a release profile that was interrupted goes on with
# what it had, a changed engine begins anew. Method: the parts that race and that explore, small, from a copy of the
# sources, with the programs of BUILD, and with programs that fail.
set -eu
source=$1
programs=$2
[ "$(nproc)" -ge 2 ] || {
	echo "skipped: raced cancels need 2 CPUs, there is 1"
	exit 77
}
work=$PWD/$(mktemp -d verify.XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/copy" "$work/built/tests/explore"
cp -r "$source/engine" "$source/include" "$source/bench" "$source/scripts" "$source/CMakeLists.txt" \
	"$source/CMakePresets.json" "$work/copy"
ln -s "$programs/pinwheel" "$work/built/pinwheel"
ln -s "$programs/tests/explore/explore" "$work/built/tests/explore/explore"

# verify STATUS TEXT OPTION...: it ends with that status, and the text is in its output or in the report.
verify() {
	expected=$1 text=$2
	shift 2
	status=0
	"$work/copy/scripts/verify" --build "$work/built" --report "$work/report.md" "$@" >"$work/out" 2>&1 || status=$?
	if [ "$status" -ne "$expected" ] || ! grep -q -e "$text" "$work/out" "$work/report.md"; then
		cat "$work/out" "$work/report.md"
		echo "verify $*: exit status $status, expected $expected and: $text"
		exit 1
	fi
}
: >"$work/report.md"
verify 2 'expected ci or release' --profile rain
verify 2 'expected one of: explore' --only rain
verify 2 'expected a number' --cancels 0

# Interrupted behind the first chunk.
race="--profile release --only cancels --cancels 20000 --chunk 4000"
interrupt() {
	# shellcheck disable=SC2086 # options are words
	"$work/copy/scripts/verify" --build "$work/built" --report "$work/report.md" $race >"$work/out" 2>&1 &
	verify_pid=$!
	until grep -q 'of 20,000 raced' "$work/out"; do
		kill -0 "$verify_pid"
		sleep 0.05
	done
	kill -TERM "$verify_pid"
	wait "$verify_pid" && exit 1
	[ ! -s "$work/report.md" ] # no report of half a run
}
complete=0 # a release on one poller is not complete
"$programs/pinwheel" info --poller uring >"$work/out" 2>&1 || complete=3
interrupt
# shellcheck disable=SC2086
verify "$complete" 'going on after' $race
grep -q '^# Verification: \(PASS\|INCOMPLETE\)' "$work/report.md"
[ "$(grep -c '^| finish at home' "$work/report.md")" -eq $((complete == 0 ? 2 : 1)) ]

# shellcheck disable=SC2086
[ "$complete" -ne 0 ] || verify 0 'it has passed before' $race

# The engine is another one: what was raced on the last counts no more, whether it had passed or was interrupted.
: >"$work/report.md"
echo >>"$work/copy/engine/shard/word.h"
interrupt
echo >>"$work/copy/engine/shard/word.h"
# shellcheck disable=SC2086
verify "$complete" 'of 20,000 raced' $race
if grep -q 'going on after' "$work/out"; then
	cat "$work/out"
	exit 1
fi

# A broken engine: its part fails, and the next one runs.
rm "$work/built/pinwheel"
printf '#!/bin/sh\necho "VIOLATION: a second completion"\nexit 1\n' >"$work/built/tests/explore/fails"
chmod +x "$work/built/tests/explore/fails"
mv "$work/built/tests/explore/fails" "$work/built/pinwheel"
verify 1 'VIOLATION: a second completion' --only faults --only cancels --cancels 1000
grep -q '^# Verification: FAIL' "$work/report.md"
[ "$(grep -c '^| .*| FAILED |' "$work/report.md")" -ge 1 ]
grep -q '^## Raced cancels' "$work/report.md"

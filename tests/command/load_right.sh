#!/bin/sh
# SPDX-License-Identifier: MIT
#
# load_right.sh LIAR PROGRAM...: law: with a right service every option of `pinwheel load` and `pinwheel echo` has the
# outcome that --help says, in the exit status and in the JSON: closed and open loop, UDP, many URLs, connections
# held, deadlines, progress, a service that stands still for a while, signals. LIAR is the program of liar.c; then the
# command and what stands before it.
#
# The runs go side by side. No figure is judged by its speed; that a message that waited for a second says so is. On a
# machine that has no time for them for seconds nothing may fail: hence the long timeouts.
set -eu
liar=$1
shift
program=$*
work=$(mktemp -d load_right.XXXXXX) # relative: a socket's path is at most 107 bytes
pids=
trap 'kill -9 $pids 2>/dev/null || :; rm -rf "$work"' EXIT

wrong() {
	for file in "$work"/*.out "$work"/*.err; do
		echo "-- $file"
		cat "$file"
	done
	echo "$1"
	exit 1
}

# start_echo NAME URLS OPTION...: sets echo_pid, tcp, udp, ipc.
start_echo() {
	name=$1 wanted=$(echo "$2" | wc -w)
	shift
	: >"$work/$name.out"
	# shellcheck disable=SC2048,SC2086 # the program, what stands before it, URLs and options are words
	$program echo $* --json >"$work/$name.out" 2>"$work/$name.err" &
	echo_pid=$!
	pids="$pids $echo_pid"
	until [ "$(grep -c '^listening ' "$work/$name.out")" -eq "$wanted" ]; do
		kill -0 "$echo_pid" 2>/dev/null || wrong "echo $name ended early"
		sleep 0.05
	done
	tcp=$(sed -n 's/^listening \(tcp:.*\)/\1/p' "$work/$name.out")
	udp=$(sed -n 's/^listening \(udp:.*\)/\1/p' "$work/$name.out")
	ipc=$(sed -n 's/^listening \(ipc:.*\)/\1/p' "$work/$name.out")
}

# stop_echo NAME PID
stop_echo() {
	kill -TERM "$2"
	status=0
	wait "$2" || status=$?
	[ "$status" -eq 0 ] || wrong "echo $1 ended with $status after SIGTERM"
	tail -n 1 "$work/$1.out" >"$work/$1.json"
}

# load NAME OPTION...: starts it; NAME.pid, NAME.out, NAME.err.
load() {
	name=$1
	shift
	# shellcheck disable=SC2086
	$program load --json --seconds 1 "$@" >"$work/$name.out" 2>"$work/$name.err" &
	pids="$pids $!"
	echo $! >"$work/$name.pid"
}

# ended STATUS NAME...: waits for them.
ended() {
	expected=$1
	shift
	for name in "$@"; do
		status=0
		wait "$(cat "$work/$name.pid")" || status=$?
		[ "$status" -eq "$expected" ] || wrong "load $name: exit status $status, expected $expected"
		[ "$(wc -l <"$work/$name.out")" -eq 1 ] || wrong "load $name: stdout is not one line"
	done
}

# field FILE KEY: the first value of that key.
field() {
	tr ',{' '\n\n' <"$work/$1" | sed -n "s/^[[:space:]]*\"$2\":[[:space:]]*\([a-z0-9.\"]*\).*/\1/p" | head -n 1
}

# is FILE KEY OPERATOR NUMBER
is() {
	value=$(field "$1" "$2")
	[ -n "$value" ] || wrong "$1: there is no $2"
	awk -v value="$value" -v bound="$4" "BEGIN { exit !(value $3 bound) }" || wrong "$1: $2 is $value, not $3 $4"
}

# says FILE KEY TEXT
says() {
	[ "$(field "$1" "$2")" = "$3" ] || wrong "$1: $2 is $(field "$1" "$2"), not $3"
}

# start_liar MODE: sets url.
start_liar() {
	: >"$work/$1.place"
	"$liar" "$1" >"$work/$1.place" &
	pids="$pids $!"
	until url=$(sed -n 's/^listening //p' "$work/$1.place") && [ -n "$url" ]; do
		sleep 0.05
	done
}

# Services that stand still for 1.5 s in the middle of these runs.
start_liar tcp-pause
load still_open "$url" --rate 1000 --seconds 3 --timeout 60000 --progress
start_liar tcp-pause
load still_closed "$url" --seconds 3 --timeout 700
start_liar udp-pause
load still_udp "$url" --seconds 3 --timeout 100

# One that closes who says nothing.
start_echo strict tcp://127.0.0.1:0 --idle-timeout 300
strict_pid=$echo_pid
load silent "$tcp" --hold --connections 5

# One that serves everybody.
start_echo plain "tcp://127.0.0.1:0 udp://127.0.0.1:0 ipc://$work/socket" \
	--progress --idle-timeout 600000 --timeout 600000
plain_pid=$echo_pid
load interrupted "$tcp" --rate 10 --seconds 600 --timeout 60000
load interrupted_hold "$tcp" --hold --connections 5 --seconds 600 --timeout 60000
load closed "$tcp" --connections 3 --size 1000 --timeout 60000
load big "$tcp" --size 5000000 --timeout 60000
load open "$tcp" --connections 3 --rate 500 --timeout 60000 --pid "$plain_pid"
load small "$ipc" --size 1 --rate 100 --timeout 60000 --idle spin
load udp_closed "$udp" --size 65507
load udp_open "$udp" --connections 2 --rate 400
load many "$tcp" "$udp" "$ipc" --connections 7 --rate 350 --seconds 2 --timeout 30000
load hold "$tcp" "$ipc" --hold --connections 40 --timeout 60000 --pid "$plain_pid"
# shellcheck disable=SC3045 # the shells of Linux have it
(ulimit -n 200 && load all "$tcp" --hold --connections max --timeout 60000 && ended 0 all) &
all_pid=$!

ended 0 closed big open small udp_closed udp_open many hold
wait "$all_pid"
for name in closed big open small udp_closed udp_open many hold all; do
	says $name.out ok true
	is $name.out messages '>' 0
	is $name.out corrupt == 0
	is $name.out failed == 0
	[ ! -s "$work/$name.err" ] || wrong "$name: it writes on stderr unasked"
done
for name in closed big udp_closed; do
	says $name.out mode '"closed"'
done
is closed.out connections == 3
is closed.out size == 1000
is udp_closed.out size == 65507

# What is due is sent, every message of it, and counted from then.
says open.out mode '"open"'
is open.out intended_per_second == 500
is open.out sent == 500
is open.out messages == 500
is open.out unsent == 0
is open.out count == 500
is open.out cpu_ns_per_message '>' 0
grep -q '"send_delay": {"count": 500,' "$work/open.out" || wrong "open: no send_delay"
grep -q '"server": {"rss_bytes_before": [1-9]' "$work/open.out" || wrong "open: nothing of the server"
is small.out messages == 100
is udp_open.out sent == 400

is many.out connections == 7
is many.out sent == 700
[ "$(grep -o '"url": ' "$work/many.out" | wc -l)" -eq 3 ] || wrong "many: not one entry for each URL"
for connections in 3 2; do
	grep -q "\"connections\": $connections, " "$work/many.out" || wrong "many: 7 connections are not 3, 2 and 2"
done

says hold.out mode '"hold"'
is hold.out connections == 40
is hold.out messages == 40
[ "$(grep -o rss_bytes_per_connection "$work/hold.out" | wc -l)" -eq 2 ] || wrong "hold: memory of client and server"
is all.out connections '>' 100
is all.out connections '<' 200

# Open: what was due while the service stood still has waited, and says so. Closed: one message has.
ended 0 still_open still_closed still_udp
grep -q '^  1 s: 1 open, [1-9]' "$work/still_open.err" || wrong "still_open: no progress"
is still_open.out sent == 3000
is still_open.out messages == 3000
is still_open.out p90_ns '>' 100000000
is still_open.out max_ns '>' 1000000000
is still_closed.out expired '>' 0
is still_closed.out lost == 0
is still_closed.out max_ns '>' 1000000000
is still_udp.out expired '>' 0
is still_udp.out late '>' 0

# A signal ends a run, and begins the end of a hold.
kill -INT "$(cat "$work/interrupted.pid")"
kill -TERM "$(cat "$work/interrupted_hold.pid")"
ended 0 interrupted interrupted_hold
says interrupted.out interrupted true
is interrupted.out messages '>' 0
is interrupted.out seconds '<' 600
is interrupted_hold.out messages == 5

stop_echo plain "$plain_pid"
grep -q '^  1 s: ' "$work/plain.err" || wrong "echo: no progress"
is plain.json datagrams '>' 0
is plain.json connections '>' 150
is plain.json silent == 0
is plain.json stalled == 0
grep -q "\"url\": \"$udp\"" "$work/plain.json" || wrong "echo: not the place that was bound"

ended 1 silent
is silent.out failed == 5
stop_echo strict "$strict_pid"
is strict.json silent == 5

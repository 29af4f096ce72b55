#!/bin/sh
# SPDX-License-Identifier: MIT
#
# graceful_shutdown.sh SERVICE CLIENT: law: after SIGTERM a request under way still gets its answer, a connection that
# asks for nothing is closed, and nobody can connect any more; a request that outlasts the time of grace is aborted; the
# service says how many there were, and ends with 0.
# Method: once with much grace and a short request, once with little and one of an hour; the signal is sent when the
# service has said that it works on the request.
set -eu
service=$1 client=$2
work=$(mktemp -d example.XXXXXX)
service_pid=
trap '[ -z "$service_pid" ] || kill -9 "$service_pid" 2>/dev/null || :; rm -rf "$work"' EXIT
newline='
'

# await TEXT: until the service has printed such a line.
await() {
	until grep -q "^$1" "$work/out"; do
		kill -0 "$service_pid"
		sleep 0.02
	done
}

# begin GRACE_MS
begin() {
	: >"$work/out" # what the last one said
	"$service" tcp://127.0.0.1:0 "$1" >"$work/out" &
	service_pid=$!
	await listening
	port=$(sed -n 's/^port: //p' "$work/out")
}

# end LINE: the service has ended well, and this was its last line.
end() {
	wait "$service_pid"
	service_pid=
	[ "$(tail -n 1 "$work/out")" = "$1" ] || {
		cat "$work/out"
		echo "expected: $1"
		exit 1
	}
}

begin 3600000
bash -c "exec 3<>/dev/tcp/127.0.0.1/$port && echo connected && cat <&3" >"$work/idle" &
idle_pid=$!
until [ -s "$work/idle" ]; do
	kill -0 "$idle_pid"
	sleep 0.02
done
"$client" "tcp://127.0.0.1:$port" "1$newline" >"$work/first" # one after another
"$client" "tcp://127.0.0.1:$port" "500$newline" >"$work/answer" &
client_pid=$!
await 'working: 500'
kill -TERM "$service_pid"
wait "$client_pid"
wait "$idle_pid"
end 'finished: 2, aborted: 0'
[ "$(head -n 1 "$work/answer")" = 500 ]
[ "$(cat "$work/idle")" = connected ]

begin 50
"$client" "tcp://127.0.0.1:$port" "3600000$newline" >"$work/answer" 2>"$work/err" &
client_pid=$!
await 'working: 3600000'
kill -TERM "$service_pid"
status=0
wait "$client_pid" || status=$?
[ "$status" -eq 1 ]
grep -q 'Peer has ended the stream' "$work/err"
end 'finished: 0, aborted: 1'

status=0
"$client" "tcp://127.0.0.1:$port" hello 2>"$work/err" || status=$?
[ "$status" -eq 1 ]
grep -q 'Peer refused the connection' "$work/err"

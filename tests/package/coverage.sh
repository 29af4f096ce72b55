#!/bin/sh
# SPDX-License-Identifier: MIT
#
# coverage.sh SOURCE WORK OBJECT...: law: every function that the public headers declare is called, every option is
# named, and every error code is an expected result, in a test that runs on both pollers. Each exception stands below
# with its reason; a code that is one must not occur in the engine, but where errno values are translated, and arrives
# from providers as it was given (contract/code_test.c).
# Method: OBJECT are the compiled tests that run on both pollers; what they leave undefined they call. Options and codes
# are looked up in their sources without comments: a code in a statement that asserts.
set -eu
source=$1 work=$2
shift 2
rm -rf "$work"
mkdir -p "$work"
missing=0

# NAME, the file of the engine where it stands for something inside (-: none), REASON
cat >"$work/exceptions" <<'END'
pinwheel_provider_get - a program's own function: command.storm_provider, example.semaphore_storm
NNG_EINTR - system calls that were interrupted are made again
NNG_EAGAIN stream/udp.c the kernel's "not now": the operation waits
NNG_EPROTO - no TCP, UDP or Unix-domain socket says so
NNG_ECONNABORTED - a connection that has gone before it was accepted is passed over
NNG_EEXIST - a socket's file that is in the way is NNG_EADDRINUSE
NNG_ECRYPTO - only TLS can say so
NNG_EPEERAUTH - only TLS can say so
NNG_ENOARG - of the parser of command lines in NNG 1.x
NNG_EAMBIGUOUS - of the parser of command lines in NNG 1.x
NNG_EINTERNAL - nothing in the engine is answered so
NNG_ETRANERR - no transport has numbers of its own
END

# uncommented FILE...
uncommented() {
	cat "$@" | awk 'BEGIN { RS = "\\*/" } { sub(/\/\*.*/, ""); printf "%s ", $0 }'
}

excepted() {
	grep -q "^$1 " "$work/exceptions"
}

# made_in CODE: the files of the engine that have it, but for the translation and the one that the exception names.
made_in() {
	allowed=$(sed -n "s/^$1 \([^ ]*\) .*/\1/p" "$work/exceptions")
	for file in $(cd "$source/engine" && grep -rlw "$1" --include='*.[ch]' .); do
		case ${file#./} in
		base/error.c | "$allowed") continue ;;
		esac
		if uncommented "$source/engine/$file" | grep -qw "$1"; then
			echo "$file"
		fi
	done
}

tell() {
	echo "$1"
	missing=1
}

{
	uncommented "$source/include/nng/nng.h" | grep -o 'PINWHEEL_SYM(nng_[a-z0-9_]*)' | sed 's/.*(/pinwheel_/; s/)//'
	uncommented "$source/include/pinwheel/pinwheel.h" "$source/include/pinwheel/test.h" | tr '\n' ' ' |
		grep -o 'PINWHEEL_DECL [^;(]*(' | sed -n 's/.*[ *]\(pinwheel_[a-z0-9_]*\)($/\1/p'
} | sort -u >"$work/declared"
nm -u "$@" | awk 'NF == 2 { print $2 }' | sort -u >"$work/called"
comm -23 "$work/declared" "$work/called" >"$work/uncalled"
while read -r function; do
	excepted "$function" || tell "no test on both pollers calls $function"
done <"$work/uncalled"

# .../unit_x_test.dir/unit/x_test.c.o comes from tests/unit/x_test.c
sources=$(for object; do echo "$object" | sed "s|.*\\.dir/\\(.*\\)\\.o\$|$source/tests/\\1|"; done)
# shellcheck disable=SC2086 # file names of the source tree are words
uncommented $sources | tr '\n' ' ' | sed 's/[;{}]/&\n/g' >"$work/statements"
grep 'assert_' "$work/statements" >"$work/asserts"

uncommented "$source/include/nng/nng.h" >"$work/header"
sed -n 's/^ *#define \(NNG_OPT_[A-Z0-9_]*\) .*/\1/p' "$work/header" >"$work/options"
while read -r option; do
	grep -qw "$option" "$work/statements" || tell "no test on both pollers names $option"
done <"$work/options"

sed -n '/^enum nng_errno_enum/,/^}/s/^.*\(NNG_[A-Z]*\) = .*/\1/p' "$work/header" >"$work/codes"
while read -r code; do
	if ! excepted "$code"; then
		grep -qw "$code" "$work/asserts" || tell "no test on both pollers expects $code"
	elif made=$(made_in "$code") && [ -n "$made" ]; then
		tell "$code is an exception here, and occurs in $made"
	elif ! uncommented "$source/tests/contract/code_test.c" | grep -qw "$code"; then
		tell "contract/code_test.c leaves out $code"
	fi
done <"$work/codes"

# An exception that is none any more is taken off the list.
while read -r name _; do
	grep -qx "$name" "$work/uncalled" "$work/codes" || tell "$name needs no exception"
done <"$work/exceptions"

counted() {
	wc -l <"$work/$1" | tr -d ' '
}
echo "$(counted declared) functions, $(counted options) options, $(counted codes) codes, $# test programs"
[ "$(counted declared)" -gt 200 ] && [ "$(counted options)" -gt 10 ] && [ "$(counted codes)" -gt 30 ]
exit "$missing"

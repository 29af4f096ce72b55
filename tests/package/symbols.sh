#!/bin/sh
# SPDX-License-Identifier: MIT
#
# symbols.sh SOURCE LIBRARY.so LIBRARY.a WORK: law: the shared library exports what the public headers declare, as
# pinwheel_* of version PINWHEEL_0, and nothing else; the archive defines no global but pinwheel_* and pw_*.
set -eu
source=$1 shared=$2 archive=$3 work=$4

rm -rf "$work"
mkdir -p "$work"
{
	sed -n 's/.*[^#]*PINWHEEL_SYM(\(nng_[a-z0-9_]*\)).*/pinwheel_\1/p' "$source/include/nng/nng.h"
	tr '\n' ' ' <"$source/include/pinwheel/pinwheel.h" | grep -o 'PINWHEEL_DECL [^;(]*(' |
		sed -n 's/.*[ *]\(pinwheel_[a-z0-9_]*\)($/\1/p'
} | sed 's/$/@@PINWHEEL_0/' | sort >"$work/declared"
nm -D --defined-only "$shared" | awk '$2 != "A" { print $3 }' | sort >"$work/exported"
diff -u "$work/declared" "$work/exported" || {
	echo "declared (-) and exported (+) differ"
	exit 1
}
[ "$(wc -l <"$work/declared")" -gt 100 ]

if nm -g --defined-only "$archive" | awk 'NF == 3 && $3 !~ /^(pinwheel|pw)_/ { print; n++ } END { exit n == 0 }'; then
	echo "the archive defines names of others"
	exit 1
fi

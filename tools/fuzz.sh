#!/bin/sh
# Runs every fuzz target of the module, each for a time (2m) or a number of
# inputs (100000x).
#
# usage: tools/fuzz.sh TIME        GO: the go command to use

set -eu
fuzztime=${1:?usage: tools/fuzz.sh TIME}
go=${GO:-go}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# fuzz PACKAGE TARGET: one target. Inputs that find something new are not shrunk
# for long (-fuzzminimizetime): by default that takes most of the time.
fuzz() {
	{
		rc=0
		$go test -run '^$' -fuzz "^$2\$" -fuzztime "$fuzztime" -fuzzminimizetime 20x "$1" || rc=$?
		echo "$rc" >"$work/rc"
	} 2>&1 | tee "$work/out"
	[ "$(cat "$work/rc")" -eq 0 ] && return 0
	# The engine sometimes takes its own time limit, if a worker is busy at that
	# moment, for a failure of the target. There is no failing input then.
	if grep -q '^ *context deadline exceeded$' "$work/out" && ! grep -q 'Failing input\|panic:\|seed corpus' "$work/out"; then
		echo "$2: only the engine's time limit, no failing input: clean"
		return 0
	fi
	return 1
}

found=0
for package in $($go list ./...); do
	targets=$($go test -list '^Fuzz' "$package") || {
		echo "$targets"
		exit 1
	}
	for target in $(echo "$targets" | grep '^Fuzz'); do
		echo "== $target in $package, $fuzztime"
		fuzz "$package" "$target"
		found=$((found + 1))
	done
done
echo "$found fuzz targets are clean"
[ "$found" -gt 0 ]

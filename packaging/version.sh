#!/bin/sh
# Prints the version of the packages for a commit as git describes it, so that
# dpkg and rpm order them as they should: v1.2.0-rc1 before v1.2.0 before what
# follows it, v1.2.0-5-gabcdef0. Neither has a "-", which ends a version for both.
# Without a tag, packages of later commits are newer ones: 0~DATE.COMMIT.
set -eu

describe() { git describe --tags --dirty --match 'v[0-9]*' 2>/dev/null; }

if [ $# -gt 0 ]; then
	described=$1
else
	described=$(describe) || described=
fi
case $described in
v*) ;;
*)
	date=$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y%m%d%H%M%S)
	echo "0~$date.$(git describe --always --dirty=+dirty --exclude '*')"
	exit
	;;
esac
echo "${described#v}" | sed \
	-e 's/-dirty$/+dirty/' \
	-e 's/-\([0-9][0-9]*\)-g\([0-9a-f][0-9a-f]*\)\(+dirty\)\{0,1\}$/+\1.\2\3/' \
	-e 's/-/~/g'

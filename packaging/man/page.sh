#!/bin/sh
# Makes a man page of its Markdown source: packaging/man/page.sh SOURCE >PAGE.
# A line "@include FILE" stands for the file, "@include-if-there FILE" for nothing
# where there is none; a code block of such a line is the file word for word.
# Environment: VERSION, SOURCE_DATE_EPOCH, GO.
set -eu
export LC_ALL=C TZ=UTC

: "${GO:=go}" "${VERSION:=dev}" "${SOURCE_DATE_EPOCH:=0}"
cd "$(dirname "$0")/../.."

awk -v version="$VERSION" -v date="$(date -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)" '
	$1 == "@include" || $1 == "@include-if-there" {
		while ((status = (getline line < $2)) > 0) print line
		if (status < 0 && $1 == "@include") { print "no file " $2 >"/dev/stderr"; exit 1 }
		close($2)
		next
	}
	{ gsub(/@VERSION@/, version); gsub(/@DATE@/, date); print }
' "packaging/man/$(basename "$1")" >"${TMPDIR:-/tmp}/page.$$"
trap 'rm -f "${TMPDIR:-/tmp}/page.$$"' EXIT
$GO tool -modfile=tools/go.mod go-md2man -in "${TMPDIR:-/tmp}/page.$$"

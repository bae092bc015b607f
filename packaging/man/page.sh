#!/bin/sh
# Makes a man page of its Markdown source: packaging/man/page.sh SOURCE >PAGE.
# A line "@include FILE" stands for the file, "@include-if-there FILE" for nothing
# where there is none; a code block of such a line is the file word for word.
# Tables, which are wider than a terminal, become lists: what is in the first
# column, and below it the rest, each but the second with its column's name.
# Environment: VERSION, SOURCE_DATE_EPOCH, GO.
set -eu
export LC_ALL=C TZ=UTC

: "${GO:=go}" "${VERSION:=dev}" "${SOURCE_DATE_EPOCH:=0}"
cd "$(dirname "$0")/../.."

text=$(mktemp)
trap 'rm -f "$text"' EXIT

tables() {
	awk '
		/^```/ { code = !code }
		code || !/^\|/ { row = 0; print; next }
		{
			n = split($0, cell, "|") - 1 # the first and the last are empty
			for (i = 2; i <= n; i++) gsub(/^ +| +$/, "", cell[i])
			if (++row == 1) for (i = 2; i <= n; i++) head[i] = cell[i]
			if (row < 3) next
			text = cell[3]
			for (i = 4; i <= n; i++) {
				if (cell[i] == "") continue
				text = text (text == "" ? "" : text ~ /\.$/ ? " " : ". ") head[i] ": " cell[i]
			}
			print (row == 3 ? "" : "\n") cell[2] "\n: " text
		}'
}

awk -v version="$VERSION" -v date="$(date -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)" '
	$1 == "@include" || $1 == "@include-if-there" {
		while ((status = (getline line < $2)) > 0) print line
		if (status < 0 && $1 == "@include") { print "no file " $2 >"/dev/stderr"; exit 1 }
		close($2)
		next
	}
	{ gsub(/@VERSION@/, version); gsub(/@DATE@/, date); print }
' "packaging/man/$(basename "$1")" | tables >"$text"
$GO tool -modfile=tools/go.mod go-md2man -in "$text"

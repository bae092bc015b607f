#!/bin/sh
# Shows the main job on one event of a captured boot: what auditd recorded of a
# kill(2), and what audisp-history says about the two processes in it.
#
# usage: testdata/demo.sh PROGRAM

set -eu

program=${1:?usage: testdata/demo.sh PROGRAM}
capture=$(dirname "$0")/captures/boot/stream.log.gz
serial=2736 # a process ends another with SIGTERM

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

if ! "$program" replay "$capture" >"$work/out" 2>"$work/summary"; then
	cat "$work/summary" >&2
	echo "demo: $program replay $capture failed" >&2
	exit 1
fi

# The event's two records, without the part that auditd adds after a 0x1D.
tr '\035' '\001' <"$work/out" | grep -a ":$serial): " | sed 's/'"$(printf '\001')"'.*//' >"$work/event"
if ! grep -a '^type=SYSCALL ' "$work/event" >"$work/sender" || ! grep -a '^type=OBJ_PID ' "$work/event" >"$work/target"; then
	echo "demo: event $serial is not in the output of $program" >&2
	exit 1
fi

# field NAME FILE: the value of NAME= in FILE's record, without its quotes.
field() { sed -n 's/.* '"$1"'=\("[^"]*"\|[^ ]*\).*/\1/p' "$2" | tr -d '"'; }

# chain FILE PID WHO: the history in FILE's record, one exec a line, oldest
# first; the last line says how it leads to process PID, which is WHO.
chain() {
	sed -n 's/.* o\{0,1\}history="\([^"]*\)".*/\1/p' "$1" | awk '
		{
			n = split($0, exec, "=>")
			for (i = 1; i <= n; i++) {
				name = pid = start = exec[i]
				sub(/;.*/, "", name); sub(/name=/, "", name)
				sub(/.*;pid=/, "", pid); sub(/;.*/, "", pid)
				sub(/.*;start=/, "", start)
				when = substr(start, 9, 2) ":" substr(start, 11, 2) ":" substr(start, 13, 2)
				printf "      %s  pid %-5s %*s%s%s\n", when, pid, 2 * (i - 1), "", name, i == n ? "   <== " (pid == self ? "" : "forked pid " self ", ") who : ""
			}
		}' self="$2" who="$3"
}

bold= plain=
if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); fi

sender="$(field comm "$work/sender"), pid $(field pid "$work/sender")"
target="$(field ocomm "$work/target"), pid $(field opid "$work/target")"

cat <<END

${bold}A process was killed. What auditd recorded:${plain}

END
sed -e 's/ o\{0,1\}history="[^"]*"//' \
	-e 's/ \(arch\|a2\|a3\|items\|exit\|auid\|gid\|euid\|suid\|fsuid\|egid\|sgid\|fsgid\|tty\|ses\|subj\|oauid\|ouid\|oses\|obj\)=[^ ]*//g' \
	-e 's/^/      /' "$work/sender" "$work/target"
cat <<END

   Syscall 62 is kill, a1=f is SIGTERM. But which "$(field comm "$work/sender")" was it, and who
   started it? Both processes are gone, and their numbers were given to others.

${bold}What audisp-history writes onto the same two records:${plain}

   history=   sent by $sender
END
chain "$work/sender" "$(field pid "$work/sender")" "the sender"
cat <<END

   ohistory=  sent to $target
END
chain "$work/target" "$(field opid "$work/target")" "the victim"
cat <<END

${bold}All of the capture:${plain}

END
sed 's/^/   /' "$work/summary"
echo

if ! grep -q ' history="name=' "$work/sender" || ! grep -q ' ohistory="name=' "$work/target"; then
	echo "demo: the event has no history" >&2
	exit 1
fi

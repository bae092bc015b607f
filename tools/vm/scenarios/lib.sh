# shellcheck shell=bash
# Sourced by the scripts beside it, in the machine. A scenario begins with "scenario NAME" and ends with "finish"; in
# between, its processes say their chains (chain/chain.c), and it claims what must be true (judge/scenario.go).

output=/var/log/audisp-history/history.log
all=/vm/results/scenarios
chain=/usr/local/bin/chain

now() { date +%s.%3N; }
claim() { echo "$*" | tr "\n" " " | sed "s, *$,\n," >>"$S/claims"; }

# scenario NAME: what is in $boot is what comes before vm-guest in this boot's histories.
scenario() {
	S=$all/$1
	mkdir -p "$S"
	chmod 0777 "$S"
	export CHAIN_LOG=$S/tokens CHAIN=''
	claim from "$(now)"
	claim prefix "$boot vm-guest:$PPID$late $(basename "$0"):$$$late"
	echo "scenario $1"
}

# finish waits until the output holds what has happened so far.
finish() {
	claim to "$(now)"
	settle
}

# settle says one chain and waits until that is in the output.
settle() {
	local token
	rm -f /vm/settle
	CHAIN_LOG=/vm/settle CHAIN='' "$chain" once
	token=$(cut -f 1 /vm/settle)
	until_true 90 grep -q " a1=$token a2=c4a1 " "$output" || bad "the output has not come to token $token after 90 s"
}

# until_true SECONDS COMMAND…
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.2
	done
}

ok() { claim ok "$*"; }
bad() {
	claim bad "$*"
	echo "BAD: $*"
}

# must TEXT COMMAND… runs a command that has to succeed; what it says is shown if it does not.
must() {
	local text=$1 said
	shift
	if said=$("$@" 2>&1); then
		ok "$text"
	else
		bad "$text: exit code $?: $(printf '%s' "$said" | tail -n 5 | tr '\n' '|')"
	fi
}

# install_program does what the README says. A package's test would have dpkg -i here.
install_program() {
	install -o root -g root -m 0750 audisp-history /usr/sbin/audisp-history
	install -o root -g root -m 0640 packaging/plugins.d/history.conf /etc/audit/plugins.d/history.conf
	install -o root -g root -m 0640 packaging/audisp-history.yaml /etc/audit/audisp-history.yaml
	install -D -m 0755 packaging/early-boot /usr/share/audisp-history/early-boot
	cp -r packaging/initramfs-tools/. /usr/share/initramfs-tools/
	cp -r packaging/dracut/. /usr/lib/dracut/modules.d/
}

# configure sets what the tests need of the program's configuration.
configure() {
	# Forks and execs, too: the judge compares with auditd's log.
	sed -i 's/^    everything: false/    everything: true/' /etc/audit/audisp-history.yaml
}

# logs puts auditd's log and the output where the judge looks for them, the output last, so that nothing can be missing
# in it that is in the other.
logs() {
	settle
	mkdir -p /vm/results/logs
	cp /var/log/audit/audit.log* /vm/results/logs/
	sleep 2
	cp "$output"* /vm/results/logs/
	audisp-history status >/vm/results/status.txt 2>&1
	journalctl -b --no-pager >/vm/results/journal.txt 2>&1
}

plugin_runs() { pgrep -x audisp-history >/dev/null; }

# workload SECONDS WORKERS runs chain's trees.
workload() { "$chain" run "$1" "$2"; }

# shellcheck shell=bash
# Sourced by the scripts beside it, after lib.sh: what is done in more than one boot, or takes many lines.

# early_service takes over what the early service has said, into the present scenario.
early_service() {
	until_true 60 sh -c '! systemctl -q is-active early-service' || bad "the early service does not end"
	cp /var/tmp/early/tokens "$S/tokens"
	sed -i '/^prefix\|^from/d' "$S/claims"
	claim from "$(awk -v now="$(now)" '{ printf "%.3f", now - $1 }' /proc/uptime)"
	claim prefix "$boot early-service:$(cat /var/tmp/early/pid)$late"
	claim least 100
}

# restarts is auditd restarted, stopped and started, and killed, while processes come and go.
restarts() {
	claim least 100
	workload 45 2 &
	sleep 4
	systemctl restart auditd
	sleep 6
	systemctl stop auditd
	sleep 3
	systemctl start auditd
	sleep 6
	kill -9 "$(cat /run/auditd.pid)"
	sleep 1
	# systemd starts it again by itself (Restart=on-failure); where not, this does.
	systemctl start auditd
	sleep 4
	pkill -9 -x audisp-history # auditd starts it again with the next record
	wait
	until_true 30 plugin_runs || bad "the plugin is not running after all that"
}

# restored_rules has the plugin load its own rules again after auditctl -D, and those only, while processes come and go.
restored_rules() {
	local before ours=/vm/ours
	sed -i 's/^  on_removal: report/  on_removal: restore/' /etc/audit/audisp-history.yaml
	anew
	auditctl -l | grep -v 'key=probe$' >$ours
	before=$(auditctl -l | wc -l)
	workload 15 2 &
	sleep 3
	auditctl -D >/dev/null
	until_true 60 sh -c "auditctl -l | cmp -s - $ours" || bad "the rules are $(auditctl -l), of $before before"
	sed -i 's/^  on_removal: restore/  on_removal: report/' /etc/audit/audisp-history.yaml
	augenrules --load >/dev/null
	anew
	is "rules that are loaded in the end" "$(auditctl -l | wc -l)" "$before"
	wait
}

# anew ends the plugin; auditd starts it again with the next record.
anew() {
	pkill -x audisp-history
	sleep 2
	until_true 30 plugin_runs || bad "auditd has not started the plugin again"
}

# containers: each way to one has a chain of its own before the workload in it. /proc is this machine's, for the pids.
containers() {
	local root=/var/lib/container
	mkdir -p $root/{usr,etc,proc,sys,dev,tmp,run,log,hostproc,bin} /hostproc /newproc /var/lib/runc-bundle
	cp "$chain" $root/bin/chain
	local script
	script="vm-guest:$PPID$late $(basename "$0"):$$$late"

	scenario container-unshare
	claim unsure 5
	claim prefix "$boot $script unshare:*"
	unshare -pf "$chain" run 4 1
	finish

	scenario container-bubblewrap
	claim unsure 5
	claim prefix "$boot $script bwrap:*"
	bwrap --bind / / --dev /dev --proc /newproc --bind /proc /hostproc --unshare-all \
		--setenv CHAIN_PROC /hostproc "$chain" run 4 1 || bad "bwrap: exit code $?"
	finish

	scenario container-nspawn
	claim unsure 5
	claim prefix "$boot $script systemd-nspawn:*"
	systemd-nspawn --quiet --register=no --keep-unit --directory=$root --bind=/proc:/hostproc --bind="$S:/log" \
		--setenv=CHAIN_PROC=/hostproc --setenv=CHAIN_LOG=/log/tokens /bin/chain run 4 1 || bad "systemd-nspawn: exit code $?"
	finish

	scenario container-runc
	claim unsure 5
	claim prefix "$boot $script runc:* exe:* runc:*"
	runc_config "$root" >/var/lib/runc-bundle/config.json
	runc run --bundle /var/lib/runc-bundle test || bad "runc: exit code $?"
	finish
}

# runc_config ROOT prints a configuration of runc: one program, in namespaces of its own, all capabilities.
runc_config() {
	local caps='["CAP_SYS_ADMIN", "CAP_KILL", "CAP_DAC_OVERRIDE"]'
	cat <<-END
		{
		  "ociVersion": "1.0.2",
		  "process": {
		    "user": {"uid": 0, "gid": 0}, "cwd": "/",
		    "args": ["/bin/chain", "run", "4", "1"],
		    "env": ["CHAIN_PROC=/hostproc", "CHAIN_LOG=/log/tokens"],
		    "capabilities": {"bounding": $caps, "effective": $caps, "permitted": $caps}
		  },
		  "root": {"path": "$1"},
		  "mounts": [
		    {"destination": "/proc", "type": "proc", "source": "proc"},
		    {"destination": "/hostproc", "type": "bind", "source": "/proc", "options": ["rbind"]},
		    {"destination": "/log", "type": "bind", "source": "$S", "options": ["bind"]}
		  ],
		  "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}]}
		}
	END
}

# cron_begins has cron run a job every minute; cron_ends waits for one of them and judges it.
cron_begins() {
	scenario login-cron
	echo "* * * * * root CHAIN_LOG=$CHAIN_LOG $chain once" >/etc/cron.d/chain
	chmod 0644 /etc/cron.d/chain
}

cron_ends() {
	S=$all/login-cron
	claim prefix "$boot cron:*$late sh:*"
	claim every /usr/sbin/cron USER_ACCT CRED_ACQ LOGIN USER_START
	claim least 1
	until_true 90 test -s "$S/tokens" || bad "cron has not run the job in 90 s"
	rm -f /etc/cron.d/chain
	finish
}

# logins are somebody coming in by ssh, and then by sudo.
logins() {
	local to=(ssh -q -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null alice@localhost)

	scenario login-ssh
	claim prefix "$boot sshd:*$late sshd:* bash:*"
	claim every /usr/sbin/sshd USER_AUTH USER_ACCT CRED_ACQ LOGIN USER_START USER_LOGIN USER_END
	claim least 10
	must "ssh to localhost" "${to[@]}" "CHAIN_LOG=$CHAIN_LOG $chain run 4 1"
	finish

	scenario login-sudo
	claim prefix "$boot sshd:*$late sshd:* bash:* sudo:* env:*"
	claim every /usr/bin/sudo USER_CMD USER_ACCT CRED_REFR USER_START USER_END
	claim least 10
	must "sudo" "${to[@]}" "sudo env CHAIN_LOG=$CHAIN_LOG $chain run 4 1"
	finish
}

# show_last_boot compares what "show --boot 1" says of a process of the last boot with what that said itself.
show_last_boot() {
	local line elements pid want got
	line=$(tail -n 1 /root/hold)
	elements=$(printf '%s' "$line" | cut -f 3-)
	pid=${elements%%:*}
	want="swapper/0:1 systemd:1 vm-guest 2-running.sh chain:$pid"
	audisp-history show --boot 1 "$pid" >/vm/results/show 2>&1 || bad "show --boot 1 $pid: exit code $?"
	# Lines of execs: time, pid, name, how it is known, program.
	got=$(awk 'NR > 1 { printf "%s%s:%s", sep, $3, $2; sep = " " }' /vm/results/show)
	if [ "$(echo "$got" | sed 's/\(vm-guest\|2-running.sh\):[0-9]*/\1/g')" = "$want" ]; then
		ok "show --boot 1 $pid: $got"
	else
		bad "show --boot 1 $pid: $got; it must be $want"
	fi
}

# boot_loaders has early-boot meet other machines: no GRUB as on Debian, grubby or systemd-boot instead, no initramfs.
boot_loaders() {
	local tool=/usr/share/audisp-history/early-boot said=/vm/results/boot-loaders
	away update-grub update-initramfs dracut
	mkdir -p /etc/kernel

	printf '#!/bin/sh\necho "$@" >>%s.grubby\n' "$said" >/usr/local/sbin/grubby
	chmod 0755 /usr/local/sbin/grubby
	"$tool" on >"$said" 2>&1
	is "early-boot on, grubby" "$?" 1 # because there is no initramfs
	must "early-boot says what is left" grep -q '^LEFT TO DO: neither initramfs-tools nor dracut' "$said"
	"$tool" off >>"$said" 2>&1
	is "early-boot off, grubby" "$?" 0
	is "what grubby was told" "$(grep -v info "$said.grubby")" '--update-kernel=ALL --args=audit=1 audit_backlog_limit=8192
--update-kernel=ALL --remove-args=audit=1 audit_backlog_limit=8192'
	rm /usr/local/sbin/grubby

	echo 'root=LABEL=vmroot audit_backlog_limit=65536 quiet' >/etc/kernel/cmdline
	"$tool" on >>"$said" 2>&1
	is "/etc/kernel/cmdline after on" "$(cat /etc/kernel/cmdline)" 'root=LABEL=vmroot audit_backlog_limit=65536 quiet audit=1'
	"$tool" on >>"$said" 2>&1
	is "/etc/kernel/cmdline after on, again" "$(cat /etc/kernel/cmdline)" 'root=LABEL=vmroot audit_backlog_limit=65536 quiet audit=1'
	"$tool" off >>"$said" 2>&1
	is "/etc/kernel/cmdline after off" "$(cat /etc/kernel/cmdline)" 'root=LABEL=vmroot audit_backlog_limit=65536 quiet'
	rm /etc/kernel/cmdline

	"$tool" on >"$said" 2>&1
	must "early-boot says what to do with a boot loader it does not know" grep -q '^LEFT TO DO: this boot loader' "$said"
	"$tool" off >/dev/null 2>&1
	must "early-boot off leaves nothing behind" sh -c '! ls /etc/audit/audisp-history-early-boot /etc/default/grub.d/audisp-history.cfg \
		/etc/systemd/journald.conf.d/90-audisp-history.conf 2>/dev/null'
	mv /etc/audit/rules.d/15-history.rules /root/
	"$tool" on >"$said" 2>&1
	is "early-boot on without the rules" "$?: $(cat "$said")" \
		'1: early-boot: /etc/audit/rules.d/15-history.rules is missing; run: audisp-history rules --install'
	mv /root/15-history.rules /etc/audit/rules.d/
	back
}

# away hides commands, back brings them back.
away() {
	mkdir -p /root/away
	local name at
	for name; do
		while hash -r; at=$(command -v "$name"); do
			mv "$at" "/root/away/$(echo "$at" | tr / +)"
		done
	done
}

back() {
	local file
	for file in /root/away/*; do
		mv "$file" "$(basename "$file" | tr + /)"
	done
}

# is TEXT GOT WANT
is() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		bad "$1: $2; it must be $3"
	fi
}

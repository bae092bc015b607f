#!/bin/bash
# audisp-history: puts auditctl and the history rules into the initramfs and loads them in dracut's first hook. Part of an
# initramfs only where "early-boot on" has been run. Belongs in /usr/lib/dracut/modules.d/90audisp-history.

check() {
	[[ -e /etc/audit/audisp-history-early-boot ]] || return 255
	[[ -r /etc/audit/rules.d/15-history.rules && -r /etc/audit/rules.d/85-history-exec.rules ]] || return 1
	require_binaries auditctl || return 1
	return 0
}

depends() {
	return 0
}

install() {
	inst_multiple auditctl
	mkdir -p "$initdir/etc/audit"
	# -i: go on with the next rule where the kernel does not know one.
	{
		echo -i
		cat /etc/audit/rules.d/15-history.rules /etc/audit/rules.d/85-history-exec.rules
	} >"$initdir/etc/audit/audisp-history.rules"
	chmod 0640 "$initdir/etc/audit/audisp-history.rules" # auditctl refuses what others can write
	# The journald in here, too, must not switch auditing off.
	inst_if_exists /etc/systemd/journald.conf.d/90-audisp-history.conf
	inst_hook cmdline 00 "$moddir/load-rules.sh"
}

# inst_if_exists: inst_simple complains of files that are not there.
inst_if_exists() {
	[[ ! -e $1 ]] || inst_simple "$1"
}

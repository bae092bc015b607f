#!/bin/bash
# Third boot, after "early-boot on": everything is there from the first process on.
cd /vm || exit 1
. ./scenarios/lib.sh
# What the initramfs itself begins with comes before the rules; its time is that of the boot.
boot='swapper/0:1? init:1? run-init:1 init:1' late=
. ./scenarios/common.sh

scenario early-boot
began=$(awk -v now="$(now)" '{ printf "%.3f", now - $1 - 2 }' /proc/uptime)
early_service
claim need rules-removed
# Before the rules; and what the kernel kept comes in an order of its own, some of it seconds late.
claim allow start events-lost
claim dense "$began"
claim every /usr/lib/systemd/systemd SERVICE_START SYSCALL
claim every /usr/sbin/auditd SYSCALL
cat /proc/cmdline
finish

scenario reboot-and-show
show_last_boot
finish

scenario restarts-audit=1
claim allow events-lost rules-removed
restarts
finish

scenario rules-restore
claim need rules-removed
claim allow events-lost
claim least 100
restored_rules
finish

scenario pid-reuse
claim least 100
before=$(cat /proc/sys/kernel/pid_max)
echo 700 >/proc/sys/kernel/pid_max
workload 12 3
echo "$before" >/proc/sys/kernel/pid_max
finish

cron_begins
containers
logins
cron_ends

scenario check
auditctl --reset-lost >/dev/null # some restarts above lose records, of which check would tell
audisp-history check
must "check finds nothing" audisp-history check
finish

scenario turning-off-early-boot
must "early-boot off" /usr/share/audisp-history/early-boot off
boot_loaders
finish
logs

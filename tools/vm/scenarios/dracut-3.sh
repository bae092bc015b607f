#!/bin/bash
# Third boot of the test of dracut: systemd runs in the initramfs, loads the rules there and goes on in the root.
cd /vm || exit 1
. ./scenarios/lib.sh
boot='swapper/0:1? systemd:1? systemd:1' late=
. ./scenarios/common.sh

scenario early-boot-with-dracut
began=$(awk -v now="$(now)" '{ printf "%.3f", now - $1 - 2 }' /proc/uptime)
early_service
claim need rules-removed
claim allow start events-lost
claim dense "$began"
claim every /usr/lib/systemd/systemd SERVICE_START SYSCALL
journalctl -b --no-pager >/vm/results/journal-initramfs.txt
must "dracut made this initramfs" grep -q dracut /vm/results/journal-initramfs.txt
must "check finds nothing" audisp-history check
finish
logs

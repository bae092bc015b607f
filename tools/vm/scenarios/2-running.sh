#!/bin/bash
# Second boot: rules and auditd come as on any machine. auditd and the rules come and go, too.
cd /vm || exit 1
. ./scenarios/lib.sh
# Without audit=1 the kernel does not audit systemd, so what a service executes first is marked.
boot='swapper/0:1? systemd:1?' late='?'
. ./scenarios/common.sh

scenario default-boot
early_service
claim allow start audit-disabled rules-removed events-lost plugin-down
finish

scenario restarts-plain
claim allow events-lost plugin-down rules-removed
restarts
finish

scenario rules
claim need rules-removed
claim least 200
workload 24 2 &
sleep 4
auditctl -D >/dev/null
sleep 5
augenrules --load >/dev/null
sleep 5
augenrules --load >/dev/null
wait
finish

scenario pid-reuse
claim least 200
before=$(cat /proc/sys/kernel/pid_max)
echo 700 >/proc/sys/kernel/pid_max
workload 15 3
echo "$before" >/proc/sys/kernel/pid_max
finish

cron_begins
containers
logins
cron_ends

scenario reboot
"$chain" hold &
sleep 1
cp "$S/tokens" /root/hold
finish

scenario turning-on-early-boot
must "early-boot on" /usr/share/audisp-history/early-boot on
must "early-boot on, again" sh -c '/usr/share/audisp-history/early-boot on | tee /vm/results/again | grep "as they are"'
finish
logs

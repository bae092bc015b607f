#!/bin/bash
# Second boot: rules and auditd come as on any machine. auditd and the rules come and go, too.
cd /vm || exit 1
. ./scenarios/lib.sh
# Without audit=1 the kernel does not audit systemd, so what a service executes first is marked; and it throws records
# away whenever auditd does not take them at once, not only while it is down.
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
claim allow events-lost
claim least 100
workload 20 2 &
sleep 4
auditctl -D >/dev/null
sleep 4
augenrules --load >/dev/null
sleep 4
augenrules --load >/dev/null
wait
finish

scenario reboot
"$chain" hold &
sleep 1
cp "$S/tokens" /root/hold
finish

scenario turning-on-early-boot
claim allow events-lost
must "early-boot on" /usr/share/audisp-history/early-boot on
must "early-boot on, again" sh -c '/usr/share/audisp-history/early-boot on | tee /vm/results/again | grep "as they are"'
finish
logs

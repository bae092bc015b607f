#!/bin/bash
# First boot: the program comes onto a machine that runs.
cd /vm || exit 1
. ./scenarios/lib.sh
# Everything here was running before the plugin was; what it was is taken from /proc.
boot='swapper/0:1? systemd:1?' late='?'

# Two processes at a time make more in a minute than auditd's log keeps by default, and the judge wants it all.
sed -i 's/^num_logs.*/num_logs = 60/' /etc/audit/auditd.conf
install -m 0755 chain "$chain"
# Somebody's own rule, which gives its key to what chain says.
echo '-a always,exit -F arch=b64 -S unshare -F a0=0 -F key=probe' >/etc/audit/rules.d/10-probe.rules

# For the boots to come: a workload that begins as early as a service can.
install -m 0755 scenarios/early-service /usr/local/sbin/early-service
cat >/etc/systemd/system/early-service.service <<-END
	[Unit]
	DefaultDependencies=no
	After=systemd-remount-fs.service
	Before=sysinit.target auditd.service

	[Service]
	ExecStart=/usr/local/sbin/early-service

	[Install]
	WantedBy=sysinit.target
END
systemctl enable early-service.service

# For the scenario of logins.
useradd --create-home --shell /bin/bash alice
echo 'alice ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/alice
chmod 0440 /etc/sudoers.d/alice
mkdir -p /root/.ssh /home/alice/.ssh
chmod 0700 /root/.ssh /home/alice/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
cp /root/.ssh/id_ed25519.pub /home/alice/.ssh/authorized_keys
chown -R alice: /home/alice/.ssh

scenario running-system
claim allow start rules-removed
install_program
configure
echo "--- check, before anything else:"
audisp-history check
audisp-history rules --install || bad "rules --install: exit code $?"
auditctl --signal hup || pkill -HUP -x auditd
until_true 30 plugin_runs || bad "auditd has not started the plugin after SIGHUP"
until_true 30 test -s "$output" || bad "no output"
settle
claim from "$(now)" # what was before the plugin is nobody's loss
claim least 100
workload 8 2
finish
echo "--- check, as it is now:"
audisp-history check
logs

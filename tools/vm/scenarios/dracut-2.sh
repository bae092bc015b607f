#!/bin/bash
# Second boot of the test of dracut, after 1-install.sh: initramfs-tools is taken away, and early-boot finds dracut.
cd /vm || exit 1
. ./scenarios/lib.sh
boot='swapper/0:1? systemd:1?' late='?'

scenario turning-on-with-dracut
claim allow events-lost
dpkg --force-all --purge initramfs-tools initramfs-tools-core >/dev/null 2>&1
must "initramfs-tools is gone" sh -c '! command -v update-initramfs'
printf 'hostonly=yes\ncompress=gzip\nadd_drivers+=" virtio_pci virtio_blk ext4 "\n' >/etc/dracut.conf.d/vm.conf
must "early-boot on" /usr/share/audisp-history/early-boot on
must "early-boot on, again" sh -c '/usr/share/audisp-history/early-boot on | grep "as they are"'
finish
logs

#!/bin/sh
# Sourced by dracut. What goes wrong here must not stop the boot.
auditctl -R /etc/audit/audisp-history.rules >/dev/null 2>&1 || :

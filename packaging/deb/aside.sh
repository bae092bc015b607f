# dpkg leaves configuration files where they are when a package is removed. Then
# auditd would complain of a plugin without a program at each start, and the
# kernel would go on recording every fork for nobody. So these are moved aside
# until the package comes back or is purged. auditd reads no name with two dots,
# augenrules none that does not end in .rules.
aside="$plugin /etc/audit/rules.d/15-history.rules /etc/audit/rules.d/85-history-exec.rules"

put_aside() {
	for f in $aside; do
		[ ! -e "$f" ] || mv -f "$f" "$f.removed"
	done
}

put_back() {
	for f in $aside; do
		if [ -e "$f.removed" ] && [ ! -e "$f" ]; then
			mv "$f.removed" "$f"
		fi
	done
}

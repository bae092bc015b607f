//go:build packages

package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The module links into Debian's policy, breaks none of its assertions, and allows what the program needs and little else.
func TestSELinuxPolicy(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	command(t, "sh", "-c", "cd "+dir+" && apt-get -o APT::Sandbox::User=root download -qq selinux-policy-default && dpkg-deb -x selinux-policy-default_*.deb root")
	must(t, os.MkdirAll(root+"/var/lib/selinux", 0o755))
	must(t, os.WriteFile(root+"/etc/selinux/semanage.conf", []byte("module-store = direct\nexpand-check = 1\n"), 0o600))
	command(t, "dpkg-deb", "-x", built.deb, filepath.Join(dir, "deb"))
	command(t, "sh", "-c", "semodule -n -p "+root+" -s default -i "+root+"/usr/share/selinux/default/*.pp* "+
		dir+"/deb/usr/share/selinux/packages/audisp-history/audisp_history.pp")
	policy := only(root+"/etc/selinux/default/policy", "policy.*")

	search := func(args ...string) string { return command(t, "sesearch", append(args, policy)...) }
	says(t, search("-T", "-s", "auditd_t", "-t", "audisp_history_exec_t"), "type_transition auditd_t audisp_history_exec_t:process audisp_history_t;")
	says(t, search("-T", "-s", "audisp_t", "-t", "audisp_history_exec_t"), "audisp_history_t;")
	for _, c := range []struct{ target, class, allows string }{
		{"auditd_t", "unix_stream_socket", "read"},
		{"domain", "file", "read"}, // of /proc
		{"audisp_history_t", "netlink_audit_socket", "nlmsg_readpriv"},
		{"audisp_history_var_lib_t", "file", "create"},
		{"audisp_history_log_t", "file", "append"},
		{"auditd_log_t", "file", "read"},
		{"auditd_etc_t", "file", "read"},
		{"devlog_t", "sock_file", "write"},
		{"syslogd_port_t", "tcp_socket", "name_connect"},
	} {
		rules := search("-A", "-s", "audisp_history_t", "-t", c.target, "-c", c.class, "-p", c.allows)
		if !strings.Contains(rules, " "+c.target+":"+c.class+" ") {
			t.Errorf("it cannot %s %s:%s", c.allows, c.target, c.class)
		}
	}
	for _, c := range []struct{ target, class, denies string }{
		{"bin_t", "file", "execute"},
		{"shell_exec_t", "file", "execute"},
		{"auditd_log_t", "file", "write"},
		{"auditd_etc_t", "file", "write"},
		{"shadow_t", "file", "read"},
	} {
		if rules := search("-A", "-s", "audisp_history_t", "-t", c.target, "-c", c.class, "-p", c.denies); strings.TrimSpace(rules) != "" {
			t.Errorf("it may %s %s:%s: %s", c.denies, c.target, c.class, rules)
		}
	}
	says(t, search("-A", "-s", "audisp_history_t", "-c", "netlink_audit_socket", "-p", "nlmsg_write"), "[ audisp_history_restore_rules ]:True")
	contexts, err := os.ReadFile(root + "/etc/selinux/default/contexts/files/file_contexts")
	must(t, err)
	says(t, string(contexts), "system_u:object_r:audisp_history_exec_t:s0", "/var/lib/audisp-history(/.*)?")
}

package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/elastic/go-libaudit/v2"
	"github.com/elastic/go-libaudit/v2/rule"
	"github.com/elastic/go-libaudit/v2/rule/flags"

	"audisp-history/plugin/rules"
)

// system is a machine made of a directory and a kernel that is told what to answer. healthy gives one that works.
type system struct {
	t       *testing.T
	root    string
	status  *libaudit.AuditStatus
	rules   []string // as auditctl takes them
	refuses error    // the kernel's answer, if it is one
	version string
	owner   map[string]uint32 // of files that are not root's
	free    map[string]uint64 // of directories that do not have much
	noNodes bool
	uid     int
	paths   Paths
	config  error
	asked   []string // configurations that were read
}

const output = "/var/log/audisp-history/history.log"

func healthy(t *testing.T) *system {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the rules are x86_64's, and libaudit builds rules for its own architecture only")
	}
	m, err := rules.ForGo("amd64")
	if err != nil {
		t.Fatal(err)
	}
	s := &system{
		t: t, root: t.TempDir(), version: "auditctl version 3.0.9\n",
		status: &libaudit.AuditStatus{Enabled: 1, PID: 500, BacklogLimit: 8192},
		owner:  map[string]uint32{}, free: map[string]uint64{}, paths: Paths{Outputs: []string{output}},
	}
	for _, f := range rules.Files(m) {
		for line := range strings.Lines(f.Text) {
			if strings.HasPrefix(line, "-a") {
				s.rules = append(s.rules, strings.TrimSpace(line))
			}
		}
	}
	s.put("/usr/sbin/auditd", "", 0o755)
	s.put("/usr/sbin/audisp-history", "", 0o750)
	s.put("/etc/audit/auditd.conf", "#\n# comment\n\nlocal_events = yes\nwrite_logs = yes\nlog_format = ENRICHED\n"+
		"name_format = NONE\nq_depth = 2000\nplugin_dir = /etc/audit/plugins.d\n", 0o640)
	s.put("/etc/audit/plugins.d/syslog.conf", "active = no\npath = /sbin/audisp-syslog\n", 0o640)
	s.put("/etc/audit/plugins.d/history.conf", "# a comment\n\nactive = yes\ndirection = out\n"+
		"path = /usr/sbin/audisp-history\ntype = always\nargs = run\nformat = string\n", 0o640)
	s.put("/etc/systemd/journald.conf", "[Journal]\n#Storage=auto\n#Audit=yes\n", 0o644)
	s.put(output, "", 0o600)
	s.put("/proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro audit=1 audit_backlog_limit=8192 quiet\n", 0o444)
	s.put("/proc/stat", "cpu  1 1 1 1\nbtime 1700000000\n", 0o444)
	s.put("/proc/uptime", "100.50 100.00\n", 0o444)
	s.process(1, 0, "systemd")
	s.process(500, 1, "auditd")
	s.process(501, 500, "audisp-history")
	return s
}

func (s *system) put(name, text string, mode os.FileMode) {
	s.t.Helper()
	path := filepath.Join(s.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.remove(name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) remove(name string) {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.root, name)); err != nil {
		s.t.Fatal(err)
	}
}

// edit replaces text in a file.
func (s *system) edit(name, from, to string) {
	s.t.Helper()
	path := filepath.Join(s.root, name)
	data, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(data), from) {
		s.t.Fatalf("%s: no %q", name, from)
	}
	info, err := os.Stat(path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.put(name, strings.Replace(string(data), from, to, 1), info.Mode())
}

func (s *system) process(pid, ppid int, name string) {
	dir := fmt.Sprintf("/proc/%d", pid)
	s.put(dir+"/stat", fmt.Sprintf("%d (%s) S %d %d 1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0 0\n", pid, name, ppid, pid, pid), 0o444)
	s.put(dir+"/status", fmt.Sprintf("Name:\t%s\nTgid:\t%d\nNSpid:\t%d\n", name, pid, pid), 0o444)
	s.put(dir+"/comm", name+"\n", 0o444)
	s.put(dir+"/cmdline", name+"\x00", 0o444)
}

func (s *system) GetStatus() (*libaudit.AuditStatus, error) { return s.status, s.refuses }

func (s *system) GetRules() ([][]byte, error) {
	var all [][]byte
	for _, line := range s.rules {
		line = strings.ReplaceAll(strings.ReplaceAll(line, ",435", ",clone3"), "&", `\&`) // as a shell reads it
		parsed, err := flags.Parse(line)
		if err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		data, err := rule.Build(parsed)
		if err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		all = append(all, data)
	}
	return all, nil
}

// files are the system's, whoever runs the test: root's, on a disk with room.
type files struct {
	Tree
	of *system
}

func (f files) Stat(name string) (Stat, error) {
	stat, err := f.Tree.Stat(name)
	stat.UID = f.of.owner[name]
	return stat, err
}

func (f files) Free(dir string) (uint64, bool, error) {
	if _, _, err := f.Tree.Free(dir); err != nil {
		return 0, false, err
	}
	if free, found := f.of.free[dir]; found {
		return free, f.of.noNodes, nil
	}
	return 1 << 40, f.of.noNodes, nil
}

func (s *system) findings() []Finding {
	s.t.Helper()
	m, err := rules.ForGo("amd64")
	if err != nil {
		s.t.Fatal(err)
	}
	findings := Judge(Gather(context.Background(), Sources{
		Kernel:  func() (Kernel, error) { return s, nil },
		Files:   files{Tree(s.root), s},
		Proc:    filepath.Join(s.root, "proc"),
		Version: func() (string, error) { return s.version, nil },
		Config: func(path string) (Paths, error) {
			s.asked = append(s.asked, path)
			return s.paths, s.config
		},
		UID:     s.uid,
		Machine: m,
	}))
	for i := range findings { // the directory has another name each time
		findings[i].Problem = strings.ReplaceAll(findings[i].Problem, s.root, "")
	}
	return findings
}

// breaks are ways to break a healthy system; each must give the findings named, and no others.
var breaks = []struct {
	name  string
	by    func(*system)
	finds string // the ids, in order
}{
	{"disabled", func(s *system) { s.status.Enabled = 0 }, "disabled"},
	{"locked-without-rules", func(s *system) { s.status.Enabled, s.rules = 2, nil }, "uncovered uncovered locked"},
	{"locked-with-rules", func(s *system) { s.status.Enabled = 2 }, ""},
	{"no-32-bit", func(s *system) {
		s.rules = slices.DeleteFunc(s.rules, func(r string) bool { return strings.Contains(r, "b32") })
	}, "uncovered"},
	{"users-only", func(s *system) { s.rules[6] += " -F auid>=1000" }, "partly-covered"},
	{"other-key", func(s *system) { s.rules[6] = "-a always,exit -F arch=b64 -S execve,execveat -k exec" }, ""},
	{"never-first", func(s *system) {
		s.rules = append([]string{"-a never,exit -F arch=b64 -S all -F exe=/usr/bin/make"}, s.rules...)
	}, "never-rule"},
	{"task-never", func(s *system) { s.rules = append(s.rules, "-a never,task") }, "task-never"},
	{"excluded", func(s *system) {
		s.rules = append(s.rules, "-a always,exclude -F msgtype=EOE", "-a always,exclude -F auid=1000")
	}, "excluded excluded"},
	{"backlog", func(s *system) { s.status.BacklogLimit, s.status.Lost, s.status.RateLimit = 64, 17, 100 }, "backlog-limit rate-limit lost"},
	{"backlog-unlimited", func(s *system) { s.status.BacklogLimit = 0 }, ""},
	{"boot", func(s *system) { s.edit("/proc/cmdline", "audit=1 ", "") }, "boot-audit"},
	{"boot-backlog", func(s *system) { s.edit("/proc/cmdline", " audit_backlog_limit=8192", "") }, "boot-backlog"},
	{"boot-off-later", func(s *system) { s.edit("/proc/cmdline", "quiet", "audit=0") }, "boot-audit"},
	{"booted-without", func(s *system) {
		s.refuses = syscall.ECONNREFUSED
		s.edit("/proc/cmdline", "audit=1", "audit=off")
	}, "boot-audit"},
	{"no-audit", func(s *system) { s.refuses = fmt.Errorf("audit not supported by kernel: %w", syscall.EPROTONOSUPPORT) }, "no-audit"},
	{"container", func(s *system) { s.refuses = syscall.ECONNREFUSED }, "no-answer"},
	{"journald-default", func(s *system) { s.edit("/etc/systemd/journald.conf", "Audit=yes", "Audit=no") }, "journald"},
	{"journald-drop-in", func(s *system) {
		s.put("/usr/lib/systemd/journald.conf.d/10-vendor.conf", "[Journal]\nAudit=yes\n", 0o644)
		s.put("/run/systemd/journald.conf.d/50-off.conf", "[Journal]\nAudit = off\n", 0o644)
	}, "journald"},
	{"journald-put-right", func(s *system) {
		s.edit("/etc/systemd/journald.conf", "#Audit=yes", "Audit=no")
		s.put("/etc/systemd/journald.conf.d/90-audit.conf", "[Journal]\nAudit=yes\n", 0o644)
	}, ""},
	{"journald-comment-later", func(s *system) {
		s.edit("/etc/systemd/journald.conf", "#Audit=yes", "Audit=yes")
		s.put("/etc/systemd/journald.conf.d/90.conf", "[Journal]\n#Audit=no\n", 0o644)
	}, ""},
	{"journald-masked", func(s *system) {
		s.put("/usr/lib/systemd/journald.conf.d/50-off.conf", "[Journal]\nAudit=no\n", 0o644)
		s.put("/etc/systemd/journald.conf.d/50-off.conf", "", 0o644)
	}, ""},
	{"journald-other-section", func(s *system) { s.put("/etc/systemd/journald.conf.d/1.conf", "[Other]\nAudit=no\n", 0o644) }, ""},
	{"no-auditd", func(s *system) {
		s.status.PID = 0
		s.remove("/usr/sbin/auditd")
		s.remove("/etc/audit")
	}, "no-auditd"},
	{"auditd-stopped", func(s *system) { s.status.PID = 0 }, "auditd-stopped"},
	{"auditd-settings", func(s *system) {
		s.version = "auditctl version 4.2.1\n"
		s.put("/etc/audit/auditd.conf", "local_events = no\nwrite_logs = NO\nlog_format = raw\nq_depth = 400\n", 0o640)
	}, "q-depth local-events write-logs log-format"},
	{"raw-elsewhere", func(s *system) { s.edit("/etc/audit/auditd.conf", "ENRICHED", "RAW") }, ""},
	{"auditd-2", func(s *system) {
		s.version = "auditctl version 2.8.5\n"
		s.put("/etc/audisp/audispd.conf", "q_depth = 250\n", 0o640)
		s.put("/etc/audisp/plugins.d/history.conf", "active = yes\ndirection = out\npath = /usr/sbin/audisp-history\nargs = run\n", 0o640)
		s.process(502, 500, "audispd")
		s.process(501, 502, "audisp-history")
	}, "q-depth"},
	{"auditd-2-default", func(s *system) {
		s.version = "auditctl version 2.8.5\n"
		s.put("/etc/audisp/audispd.conf", "\n", 0o640)
		s.put("/etc/audisp/plugins.d/history.conf", "active = no\ndirection = out\npath = /usr/sbin/audisp-history\nargs = run\n", 0o640)
	}, "q-depth plugin-inactive"},
	{"node", func(s *system) {
		s.edit("/etc/audit/auditd.conf", "name_format = NONE", "name_format = user\nname = db7")
	}, "node"},
	{"node-known", func(s *system) {
		s.edit("/etc/audit/auditd.conf", "name_format = NONE", "name_format = user\nname = db7")
		s.paths.Node = "db7"
	}, ""},
	{"plugin-missing", func(s *system) { s.remove("/etc/audit/plugins.d/history.conf") }, "plugin-missing"},
	{"plugin-inactive", func(s *system) { s.edit("/etc/audit/plugins.d/history.conf", "active = yes", "active = no") }, "plugin-inactive"},
	{"plugin-arguments", func(s *system) {
		s.edit("/etc/audit/plugins.d/history.conf", "args = run", "args = run --config /etc/h.yaml")
	}, "plugin-args"},
	{"plugin-conf", func(s *system) {
		s.edit("/etc/audit/plugins.d/history.conf", "direction = out", "direction = in")
		s.edit("/etc/audit/plugins.d/history.conf", "format = string", "format = binary")
		s.edit("/etc/audit/plugins.d/history.conf", "type = always", "type=always")
		s.edit("/etc/audit/plugins.d/history.conf", "# a comment", "colour = red")
	}, "plugin-conf plugin-conf plugin-conf plugin-conf"},
	{"plugin-modes", func(s *system) {
		s.put("/usr/sbin/audisp-history", "", 0o775)
		s.owner["/etc/audit/plugins.d/history.conf"] = 1000
	}, "plugin-file plugin-binary"},
	{"plugin-writable", func(s *system) {
		path := filepath.Join(s.root, "/etc/audit/plugins.d/history.conf")
		if err := os.Chmod(path, 0o662); err != nil {
			s.t.Fatal(err)
		}
	}, "plugin-file"},
	{"plugin-owner", func(s *system) { s.owner["/usr/sbin/audisp-history"] = 1000 }, "plugin-binary"},
	{"plugin-gone", func(s *system) { s.remove("/usr/sbin/audisp-history") }, "plugin-binary"},
	{"plugin-down", func(s *system) { s.remove("/proc/501") }, "plugin-down"},
	{"plugin-of-another", func(s *system) { s.process(501, 1, "audisp-history") }, "plugin-down"},
	{"config", func(s *system) { s.config = errors.New("h.yaml:3: \"colour\" is not known") }, "config"},
	{"watched", func(s *system) { s.rules = append(s.rules, "-a always,exit -S all -F dir=/var/log -F perm=wa -k logs") }, "watched"},
	{"watched-state", func(s *system) {
		s.paths.State = "/var/lib/audisp-history"
		s.rules = append(s.rules, "-a always,exit -S all -F dir=/var/lib/audisp-history -F perm=wa -k state")
	}, "watched"},
	{"no-space", func(s *system) {
		s.paths.State = "/var/lib/audisp-history"
		s.free["/var"] = 3 << 20 // /var/lib is not there yet
		s.free["/var/log/audisp-history"] = 100 << 20
	}, "space space"},
	{"no-inodes", func(s *system) { s.noNodes = true }, "space"},
	{"not-root", func(s *system) { s.uid, s.refuses = 1000, syscall.EPERM }, "not-root"},
	{"no-capability", func(s *system) { s.refuses = syscall.EPERM }, "no-answer"},
	{"unreadable", func(s *system) {
		s.put("/proc/cmdline", strings.Repeat("x", maxFile), 0o444)
		s.remove("/etc/audit/auditd.conf")
		s.put("/etc/audit/auditd.conf/x", "", 0o600) // a directory
	}, "unread boot-audit"},
}

package auditlog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestParseConf(t *testing.T) {
	for _, c := range []struct {
		name, conf string
		want       string // the log, or a part of the error
		off        bool
	}{
		{"empty", "", DefaultPath, false},
		{"as shipped", "#\n# This file controls the configuration of the audit daemon\n#\n\nlocal_events = yes\n" +
			"write_logs = yes\nlog_file = /var/log/audit/audit.log\nlog_group = root\nlog_format = ENRICHED\nnum_logs = 5\n",
			DefaultPath, false},
		{"another file", "log_file = /srv/a.log\n", "/srv/a.log", false},
		{"spaces", "   log_file    =   /srv/a.log   \n", "/srv/a.log", false},
		{"odd case", "LOG_File = /srv/A.log\nWrite_Logs = YES\n", "/srv/A.log", false},
		{"comments", "# log_file = /no\n  #log_file = /no\nlog_file = /srv/a.log\n#write_logs = no\n", "/srv/a.log", false},
		{"the last one counts", "log_file = /a/b\nlog_file = /srv/a.log\n", "/srv/a.log", false},
		{"= in the name", "log_file = /srv/a=b\n", "/srv/a=b", false},
		{"names that only begin like it", "log_file_x = /no\nxlog_file = /no\n", DefaultPath, false},
		{"nonsense elsewhere", "=\n= =\nname\nspace_left = = 7\n\x00\xff\n", DefaultPath, false},
		{"a line too long for auditd", "log_file = /" + strings.Repeat("x", 147) + "\n", DefaultPath, false},
		{"the longest line", "log_file = /" + strings.Repeat("x", 146) + "\n", "/" + strings.Repeat("x", 146), false},
		{"no newline at the end", "log_file = /srv/a.log", DefaultPath, false},
		{"off", "write_logs = no\n", "c:1: write_logs = \"no\": auditd writes no log: set write_logs = yes", true},
		{"off in odd case", "\nWRITE_LOGS = No\n", "c:2: write_logs", true},
		{"off in the old way", "log_format = NOLOG\n", "c:1: log_format", true},
		{"off in the old way, in odd case", "log_format = nolog\n", "c:1: log_format", true},
		{"the old way overrides", "write_logs = yes\nlog_format = NOLOG\n", "c:2: log_format", true},
		{"unless the new one comes later", "log_format = NOLOG\nwrite_logs = yes\n", DefaultPath, false},
		{"off, then on", "write_logs = no\nwrite_logs = yes\n", DefaultPath, false},
		{"off, another format", "write_logs = no\nlog_format = RAW\n", "c:1: write_logs", true},
		{"neither on nor off", "\n\nwrite_logs = maybe\n", "c:3: write_logs = \"maybe\": neither yes nor no", false},
		{"a relative path", "log_file = audit.log\n", "c:1: log_file = \"audit.log\": not an absolute path", false},
		{"two paths", "log_file = /a /b\n", "not an absolute path without spaces", false},
		{"no path", "log_file =\n", "not an absolute path", false},
		{"no equals sign", "log_file /a\n", DefaultPath, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, err := parseConf("c", []byte(c.conf))
			if errors.Is(err, ErrOff) != c.off {
				t.Errorf("error %v, want ErrOff: %v", err, c.off)
			}
			if err == nil && path != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q, %v, want %q", path, err, c.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, conf, want, err string }{
		{"no such file", filepath.Join(dir, "none"), DefaultPath, ""},
		{"a file", file("conf", "log_file = /srv/x/../a.log\n"), "/srv/a.log", ""},
		{"off", file("off", "write_logs = no\n"), "", "auditd's configuration: " + dir + "/off:1: write_logs"},
		{"a directory", dir, "", "not a regular file"},
		{"a FIFO that nobody writes to", fifo, "", "not a regular file"},
		{"below a file", filepath.Join(dir, "conf", "x"), "", "not a directory"},
		{"too long", file("long", strings.Repeat("#\n", maxConf/2)+"#"), "", "more than 1048576 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := Find(c.conf)
			switch {
			case c.err == "" && err != nil:
				t.Error(err)
			case c.err == "" && l.Path() != c.want:
				t.Errorf("%s, want %s", l.Path(), c.want)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("error %v, want one of %q", err, c.err)
			}
		})
	}
}

func FuzzConf(f *testing.F) {
	for _, seed := range []string{
		"", "LOG_FILE", "log_file = /a\n", "LOG_FILE=/a\nwrite_logs = no\n", "log_format = NOLOG\nwrite_logs = yes\n",
		"#\n\n\r\nlog_file = \t/a\r\n", "write_logs =\n", "log_file = /a\x00b\n", "=\n", strings.Repeat("a", 500) + "\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path, err := parseConf("f", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") || path != "" || len(err.Error()) > 1000 {
				t.Fatalf("%q, error %v", path, err)
			}
			return
		}
		if !filepath.IsAbs(path) || path != DefaultPath && !strings.Contains(string(data), path) {
			t.Fatalf("a log at %q", path)
		}
		if len(data) > 0 && data[len(data)-1] != '\n' {
			return // the last line does not count, but would if one followed
		}
		// What comes later counts.
		again, err := parseConf("f", append(data, "log_file = /later\nwrite_logs = yes\n"...))
		if err != nil || again != "/later" {
			t.Fatalf("then %q, %v", again, err)
		}
	})
}

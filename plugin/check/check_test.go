package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"audisp-history/plugin/rules"
)

var update = flag.Bool("update", false, "write testdata/*.txt anew; look at the difference before you keep it")

func ids(findings []Finding) string {
	all := make([]string, len(findings))
	for i, f := range findings {
		all[i] = f.ID
	}
	return strings.Join(all, " ")
}

func text(t *testing.T, findings []Finding) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteText(&b, findings); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestHealthy(t *testing.T) {
	if got := text(t, healthy(t).findings()); got != AllWell+"\n" {
		t.Errorf("got %s", got)
	}
}

// Each way to break a system is found, and nothing else is.
func TestBroken(t *testing.T) {
	for _, c := range breaks {
		t.Run(c.name, func(t *testing.T) {
			s := healthy(t)
			c.by(s)
			findings := s.findings()
			if got := ids(findings); got != c.finds {
				t.Fatalf("finds %q, want %q:\n%s", got, c.finds, text(t, findings))
			}
			for _, f := range findings {
				if f.Problem == "" || f.Why == "" || f.Remedy == "" || strings.Contains(f.Problem+f.Why+f.Remedy, "\n") {
					t.Errorf("not one line each: %+v", f)
				}
			}
			if len(findings) > 0 {
				golden(t, c.name, text(t, findings))
			}
		})
	}
}

// golden compares with what is kept; every word of it is read by an administrator.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("\n got %swant %s", got, want)
	}
}

func TestJSON(t *testing.T) {
	for name, broken := range map[string]bool{"healthy": false, "stopped": true} {
		t.Run(name, func(t *testing.T) {
			s := healthy(t)
			if broken {
				s.status.PID = 0
			}
			var b bytes.Buffer
			if err := WriteJSON(&b, s.findings()); err != nil {
				t.Fatal(err)
			}
			var got struct {
				OK       *bool
				Findings []Finding
			}
			if err := json.Unmarshal(b.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got.OK == nil || *got.OK == broken || got.Findings == nil || (len(got.Findings) == 1) != broken {
				t.Errorf("got %s", &b)
			}
		})
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestWriteFails(t *testing.T) {
	if err := errors.Join(WriteText(full{}, nil)); err == nil {
		t.Error("text: no error")
	}
	if err := WriteJSON(full{}, nil); err == nil {
		t.Error("JSON: no error")
	}
}

// What is to be written by hand is what the package installs.
func TestPluginLines(t *testing.T) {
	b, err := os.ReadFile("../../packaging/plugins.d/history.conf")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(pluginLines, "\n") + "\n"; !strings.HasSuffix(string(b), "\n\n"+want) {
		t.Errorf("the package has\n%swant\n%s", b, want)
	}
}

// The configuration that is looked at is the one auditd hands to the plugin.
func TestConfigOfPlugin(t *testing.T) {
	for args, want := range map[string]string{
		"run": "", "run --config=/etc/h.yaml": "/etc/h.yaml", "run -config=/etc/h.yaml": "/etc/h.yaml",
		"run --config /etc/h.yaml": "/etc/h.yaml", "run --config": "",
	} {
		s := healthy(t)
		s.edit("/etc/audit/plugins.d/history.conf", "args = run", "args = "+args)
		s.findings()
		if len(s.asked) != 1 || s.asked[0] != want {
			t.Errorf("%s: read %q, want %q", args, s.asked, want)
		}
	}
}

// Nothing at all can be read: that is said, and nothing is made up.
func TestNothingThere(t *testing.T) {
	refused := errors.New("refused")
	findings := Judge(Gather(context.Background(), Sources{
		Kernel:  func() (Kernel, error) { return nil, refused },
		Files:   Tree(t.TempDir()),
		Proc:    filepath.Join(t.TempDir(), "none"),
		Version: func() (string, error) { return "", refused },
		Config:  func(string) (Paths, error) { return Paths{Outputs: []string{"/x/y"}}, nil },
		Machine: rules.Machine{},
	}))
	if got := ids(findings); got != "no-answer unread no-auditd" {
		t.Errorf("finds %q", got)
	}
}

// What others have written goes to a terminal: no control characters.
func TestPrintable(t *testing.T) {
	s := healthy(t)
	s.edit("/etc/systemd/journald.conf", "#Audit=yes", "Audit=no")
	s.config = errors.New("a \x1b[2J trap\x07")
	if got := text(t, s.findings()); strings.ContainsAny(got, "\x1b\x07") {
		t.Errorf("got %q", got)
	}
}

func TestParseSettings(t *testing.T) {
	s := parseSettings([]byte("# c\n\nA = one two\n a = three\nb=4\nc =\n" + "d = " + strings.Repeat("x", maxLine) + "\ne = last"))
	for name, want := range map[string]string{"a": "three", "b": "", "c": "", "d": "", "e": "last"} {
		if got := s.get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if bad := s[badLine]; bad.line != 5 {
		t.Errorf("the first bad line is %d", bad.line)
	}
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte("active = yes\nargs = run --config=/x\n"), []byte("[Journal]\nAudit=no\n"))
	f.Add([]byte("= = =\n"), []byte("#Audit="))
	f.Fuzz(func(t *testing.T, conf, journald []byte) {
		s := parseSettings(conf)
		for name, v := range s {
			if len(v.values) == 0 || v.line < 1 {
				t.Errorf("%q: %+v", name, v)
			}
		}
		p := Plugin{Conf: s}
		p.config()
		parseVersion(string(conf))
		var j Journald
		j.take("x", journald)
		if j.off() && j.From == "" {
			t.Error("off, but nobody says so")
		}
	})
}

package auditlog

import (
	"os"
	"path/filepath"
	"testing"
)

func TestNode(t *testing.T) {
	for conf, want := range map[string]string{
		"":                                     "",
		"name_format = NONE\n":                 "",
		"name_format = hostname\n":             "here",
		"name_format = HOSTNAME\nname = db7\n": "here",
		"##name = db6\nname_format = user\nname = db7\n": "db7",
		"name_format = user\n":                           "",
		"name_format = fqd\n":                            "",
		"name_format = numeric\n":                        "",
		"name_format = hostname\nname_format = none\n":   "",
		"name_format = hostname":                         "", // auditd skips a last line without its end
	} {
		file := filepath.Join(t.TempDir(), "auditd.conf")
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Node(file, "here"); got != want {
			t.Errorf("%q: %q, want %q", conf, got, want)
		}
	}
	if got := Node(filepath.Join(t.TempDir(), "missing"), "here"); got != "" {
		t.Errorf("no file: %q", got)
	}
}

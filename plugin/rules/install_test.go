package rules

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var two = []File{{"15-a.rules", "-a one\n"}, {"85-b.rules", "-a two\n"}}

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	for _, step := range []struct {
		name   string
		before func()
		writes int
	}{
		{"into an empty directory", func() {}, 2},
		{"again", func() {}, 0},
		{"over other text", func() { put(t, dir, "15-a.rules", "-a old\n", 0o640) }, 1},
		{"over other permissions", func() { put(t, dir, "85-b.rules", "-a two\n", 0o666) }, 1},
		{"over a link, not through it", func() {
			if err := os.Remove(filepath.Join(dir, "15-a.rules")); err != nil {
				t.Fatal(err)
			}
			put(t, dir, "target", "", 0o600)
			if err := os.Symlink("target", filepath.Join(dir, "15-a.rules")); err != nil {
				t.Fatal(err)
			}
		}, 1},
	} {
		step.before()
		written, err := Install(dir, two)
		if err != nil || len(written) != step.writes {
			t.Errorf("%s: wrote %q, %v, want %d", step.name, written, err, step.writes)
		}
		for _, f := range two {
			name := filepath.Join(dir, f.Name)
			text, err := os.ReadFile(name)
			info, statErr := os.Lstat(name)
			if err != nil || statErr != nil || string(text) != f.Text || info.Mode() != 0o640 {
				t.Errorf("%s: %s: %q %v %v %v", step.name, name, text, info.Mode(), err, statErr)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, "target")); len(text) > 0 {
		t.Errorf("wrote through the link: %q", text)
	}
}

func put(t *testing.T, dir, name, text string, mode os.FileMode) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func TestInstallNowhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	written, err := Install(dir, two)
	if err == nil || len(written) > 0 {
		t.Fatalf("wrote %q, %v", written, err)
	}
	for _, part := range []string{dir, "15-a.rules", "install auditd", "be root"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v: does not say %q", err, part)
		}
	}
}

// A directory stands where the file should: nothing of the attempt is left.
func TestInstallBlocked(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "85-b.rules", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	written, err := Install(dir, two)
	if err == nil || len(written) != 1 {
		t.Errorf("wrote %q, %v", written, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestLoad(t *testing.T) {
	for _, c := range []struct {
		name, script, says string
		fails              bool
	}{
		{"well", `[ "$1" = --load ] && echo loaded`, "loaded", false},
		{"not well", "echo line 3 is wrong >&2; exit 1", "line 3 is wrong", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, "augenrules", "#!/bin/sh\n"+c.script+"\n", 0o755)
			said, err := Load(context.Background(), filepath.Join(dir, "augenrules"))
			if said != c.says || (err != nil) != c.fails {
				t.Errorf("%q, %v", said, err)
			}
		})
	}
	if _, err := Load(context.Background(), filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no augenrules, no error")
	}
}

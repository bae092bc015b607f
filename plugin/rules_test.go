package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/elastic/go-libaudit/v2"

	"audisp-history/plugin/check"
	"audisp-history/plugin/rules"
)

func TestRulesPrints(t *testing.T) {
	m, err := rules.ForGo(runtime.GOARCH)
	must(t, err)
	r := good(t, nil, "rules")
	for _, f := range rules.Files(m) {
		if !strings.Contains(r.out, "### /etc/audit/rules.d/"+f.Name+"\n"+f.Text) {
			t.Errorf("does not print %s", f.Name)
		}
	}
}

func TestRulesMistakes(t *testing.T) {
	for _, args := range [][]string{{"rules", "now"}, {"rules", "--load"}, {"check", "now"}, {"check", "--xml"}} {
		if r := runArgs(nil, args...); r.code != exitUsage || !strings.HasPrefix(r.err, "audisp-history: "+args[0]) || r.out != "" {
			t.Errorf("%q: %+v", args, r)
		}
	}
}

// A file that is there already is not written again, but loaded; what augenrules says is passed on.
func TestRulesInstall(t *testing.T) {
	dir := t.TempDir()
	load := filepath.Join(t.TempDir(), "augenrules")
	files := []rules.File{{Name: "15-x.rules", Text: "-a x\n"}}
	for _, c := range []struct {
		script, out, err string
		fails            bool
	}{
		{"echo No change", "written: " + dir + "/15-x.rules\nloaded", "No change\n", false},
		{"exit 0", "as they should be\nloaded", "", false},
		{"echo line 3; exit 1", "as they should be\n", "line 3\n", true},
	} {
		must(t, os.WriteFile(load, []byte("#!/bin/sh\n"+c.script+"\n"), 0o755))
		var out, said strings.Builder
		err := installRules(stdio{nil, &out, &said, false}, files, dir, load)
		if (err != nil) != c.fails || !strings.Contains(out.String(), c.out) || said.String() != c.err {
			t.Errorf("%s: %q, %q, %v", c.script, &out, &said, err)
		}
		if c.fails == strings.Contains(out.String(), "loaded") {
			t.Errorf("%s: says %q", c.script, &out)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "15-x.rules"))
	must(t, err)
	if string(text) != "-a x\n" {
		t.Errorf("wrote %q", text)
	}
}

type kernel struct{}

func (kernel) GetStatus() (*libaudit.AuditStatus, error) {
	return &libaudit.AuditStatus{Enabled: 1, BacklogLimit: 8192}, nil
}

func (kernel) GetRules() ([][]byte, error) { return nil, nil }

// The exit code is 0 only without findings; a machine without ABIs wants no rules.
func TestCheckExits(t *testing.T) {
	m := rules.Machine{}
	root := t.TempDir()
	put := func(name, text string, mode os.FileMode) {
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), mode))
	}
	put("proc/cmdline", "audit=1 audit_backlog_limit=8192", 0o600)
	s := check.Sources{
		Kernel: func() (check.Kernel, error) { return kernel{}, nil },
		Files:  check.Tree(root), Proc: filepath.Join(root, "proc"), Machine: m,
		Version: func() (string, error) { return "", nil },
		Config:  pathsOf,
	}
	s.ConfigPath = write(t, "h.yaml", []byte("outputs:\n- file:\n    path: /a/b\n"))
	var out strings.Builder
	err := runCheck(stdio{nil, &out, &out, false}, false, s)
	if err == nil || !strings.Contains(err.Error(), "1 finding") || !strings.Contains(out.String(), "[no-auditd]") {
		t.Errorf("%v: %s", err, &out)
	}
	s.ConfigPath = write(t, "h.yaml", []byte("outputs:\n- colour: red\n"))
	out.Reset()
	if err := runCheck(stdio{nil, &out, &out, false}, true, s); err == nil || !strings.Contains(out.String(), "h.yaml:2: ") {
		t.Errorf("%v: %s", err, &out)
	}
}

// As it is here: with or without auditd, rights and audit in the kernel, it answers.
func TestCheckAnswers(t *testing.T) {
	r := runArgs(nil, "check", "--json")
	if r.code == exitUsage || !strings.HasPrefix(r.out, "{\n  \"ok\": ") || (r.code == exitOK) != strings.Contains(r.out, `"ok": true`) {
		t.Errorf("exit code %d: %s%s", r.code, r.out, r.err)
	}
}

package rules

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// What is added to the kernel is byte for byte what auditctl would make of the files.
func TestRulesAreThoseOfTheFiles(t *testing.T) {
	needsX8664(t)
	m := machine(t, "amd64")
	text := lines(Files(m))
	needs := m.needs()
	if len(needs) != len(text) {
		t.Fatalf("%d rules, %d in the files", len(needs), len(text))
	}
	for i := range needs {
		if got := "-a " + needs[i].text(); got != text[i] {
			t.Errorf("rule %d is %q, in the file %q", i, got, text[i])
		}
		rule := needs[i].rule()
		want := wire(t, text[i])
		if got := rule.data(); !bytes.Equal(got, want[:len(got)]) || len(bytes.Trim(want[len(got):], "\x00")) > 0 { // it pads
			t.Errorf("%s: not what libaudit makes of it", text[i])
		}
	}
}

// Every machine's own rules close all its holes, and each can be read back.
func TestRulesOfEveryMachine(t *testing.T) {
	for _, m := range machines {
		var all []Rule
		for _, n := range m.needs() {
			rule := n.rule()
			read, err := Parse(rule.data())
			if err != nil || !read.same(&rule) {
				t.Errorf("%s: %s: %v", m.Name, n.text(), err)
			}
			all = append(all, read)
		}
		if holes := Holes(m.Wanted(), all); len(holes) > 0 {
			t.Errorf("%s: %v", m.Name, holes)
		}
		none := m.plan(nil, Holes(m.Wanted(), nil))
		if len(none) != len(all) {
			t.Errorf("%s: %d steps for %d rules", m.Name, len(none), len(all))
		}
	}
}

func TestRestore(t *testing.T) {
	needsX8664(t)
	m := machine(t, "amd64")
	ours := lines(Files(m))
	const (
		threads64, threads32 = 0, 1
		life64               = 2
		exit64               = 4
		exec64               = 6
		other                = "-w /etc/passwd -p wa -k passwd"
		otherNever           = "-a never,exit -F arch=b64 -S all -F exe=/usr/bin/make"
		otherExec            = "-a always,exit -F arch=b64 -S execve,execveat -F key=execs"
	)
	without := func(drop ...int) (left []string) {
		for i, line := range ours {
			if !slices.Contains(drop, i) {
				left = append(left, line)
			}
		}
		return left
	}
	step := func(option string, i int) string { return option + strings.TrimPrefix(ours[i], "-a") }
	for _, c := range []struct {
		name  string
		rules []string
		steps []string
		want  []string // the rules then
		left  int      // holes
	}{
		{"nothing is missing", ours, nil, ours, 0},
		{"all were deleted", nil, []string{step("-A", 5), step("-A", 4), step("-A", 3), step("-A", 2), step("-A", 1), step("-A", 0), step("-a", 6), step("-a", 7)},
			ours, 0},
		{"others have been added since", []string{other, otherNever}, nil, slices.Concat(ours[:6], []string{other, otherNever}, ours[6:]), 1},
		{"forks only", slices.Concat([]string{other}, without(life64)),
			[]string{step("-A", life64), "-d" + strings.TrimPrefix(ours[threads64], "-a"), step("-A", threads64)},
			slices.Concat([]string{ours[threads64], ours[life64], other}, without(threads64, life64)), 0},
		{"exits only", slices.Concat([]string{other}, without(exit64)), []string{step("-A", exit64)},
			slices.Concat([]string{ours[exit64], other}, without(exit64)), 0},
		{"execs only", slices.Concat(without(exec64), []string{other}), []string{step("-a", exec64)},
			slices.Concat(without(exec64), []string{other, ours[exec64]}), 0},
		{"execs that another rule records", slices.Concat(without(exec64), []string{otherExec}), nil, slices.Concat(without(exec64), []string{otherExec}), 0},
		{"a rule is in the way of ours", slices.Concat([]string{otherNever}, ours), nil, slices.Concat([]string{otherNever}, ours), 1},
		{"threads are recorded as well, which is no hole", without(threads64), nil, without(threads64), 0},
		{"threads and exits", without(threads32, exit64), []string{step("-A", exit64), step("-A", threads32)},
			slices.Concat([]string{ours[threads32], ours[exit64]}, without(threads32, exit64)), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKernel(t, c.rules...)
			got, err := Restore(k, m)
			if err != nil {
				t.Fatal(err)
			}
			if (c.steps != nil || len(c.want) == len(c.rules)) && !slices.Equal(got.Steps, c.steps) {
				t.Errorf("did %q, want %q", got.Steps, c.steps)
			}
			if have, want := k.lines(), listed(t, c.want...); !slices.Equal(have, want) {
				t.Errorf("\nhave %s\nwant %s", strings.Join(have, "\n     "), strings.Join(want, "\n     "))
			}
			if len(got.Left) != c.left {
				t.Errorf("left %v", got.Left)
			}
			if again, err := Restore(k, m); err != nil || len(again.Steps) > 0 {
				t.Errorf("again: %q, %v", again.Steps, err)
			}
		})
	}
}

// The kernel would refuse it, and record that.
func TestRestoreLocked(t *testing.T) {
	needsX8664(t)
	k := newKernel(t)
	k.status.Enabled = locked
	got, err := Restore(k, machine(t, "amd64"))
	if err == nil || len(got.Steps)+len(k.did) > 0 || !strings.Contains(err.Error(), "locked") {
		t.Errorf("did %q, %v", k.did, err)
	}
}

// What was done before a failure is told.
func TestRestoreFails(t *testing.T) {
	needsX8664(t)
	k := newKernel(t)
	k.refuse = "vfork"
	got, err := Restore(k, machine(t, "amd64"))
	if err == nil || !strings.Contains(err.Error(), "auditctl -A always,exit -F arch=b32 -S fork,vfork") || len(got.Steps) != 2 || len(k.did) != 2 {
		t.Errorf("did %q, %v", got.Steps, err)
	}
	k.silent = errors.New("refused")
	if _, err := Restore(k, machine(t, "amd64")); !errors.Is(err, k.silent) {
		t.Errorf("got %v", err)
	}
}

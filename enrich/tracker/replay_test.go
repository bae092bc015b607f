package tracker

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"audisp-history/enrich/packed"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
)

var limits = task.Limits{Tasks: 100, Ended: 100, Execs: 1000, Depth: 100}

// feed hands SYSCALL records to a tracker, each an event of its own.
func feed(t *Tracker, calls ...string) {
	serial := 0
	a := record.NewAssembler(10, func(e *record.Event) { t.Event(e, false) })
	for _, c := range calls {
		serial++
		a.Add(fmt.Appendf(nil, "type=SYSCALL msg=audit(1767225600.%03d:%d): arch=c000003e %s\n", serial, serial, c), 0)
	}
	a.Flush()
}

// TestAReplayTellsNobody: what it finds out was told of, and asked for, before.
func TestAReplayTellsNobody(t *testing.T) {
	var journal packed.Writer
	asked, told := 0, 0
	c := Config{
		Limits: limits, PendingForks: 10, Journal: &journal,
		Gap: func(Gap) { told++ }, KernelThread: func(pid uint32) bool { asked++; return pid == 2000 },
	}
	first := New(c)
	feed(
		first,
		`syscall=59 success=yes exit=0 a0=0 ppid=0 pid=1 comm="init" exe="/init"`,
		`syscall=57 success=yes exit=10 a0=0 ppid=0 pid=1 comm="init" exe="/init"`,
		`syscall=59 success=yes exit=0 a0=0 ppid=1 pid=10 comm="sh" exe="/bin/sh"`,
		`syscall=59 success=yes exit=0 a0=0 ppid=2000 pid=30 comm="modprobe" exe="/modprobe"`,
		`syscall=257 success=yes exit=0 a0=0 ppid=3000 pid=40 comm="x" exe="/x"`,
	)
	first.Lose(Gap{Reason: EventsLost, To: 1767225600500})
	first.EndChanges()
	if asked != 2 || told != 2 {
		t.Fatalf("asked %d times, told of %d gaps", asked, told)
	}
	changes := bytes.Clone(journal.Bytes())
	journal.Reset()
	second := New(c)
	var r packed.Reader
	r.Feed(changes)
	if err := second.Replay(&r); err != nil || r.More() {
		t.Fatal(err, r.More())
	}
	if asked != 2 || told != 2 || journal.Len() != 0 {
		t.Errorf("asked %d times, told of %d gaps, %d bytes of journal", asked, told, journal.Len())
	}
	for _, pid := range []uint32{1, 10, 30, 40} {
		want, got := history(first, pid), history(second, pid)
		if got != want || want == "" {
			t.Errorf("%d is %s, was %s", pid, got, want)
		}
	}
	if k := second.Machine("").Lookup(2000); k == nil || !k.Kernel {
		t.Error("the kernel thread is not known")
	}
}

func history(t *Tracker, pid uint32) string {
	k := t.Machine("").Lookup(pid)
	if k == nil {
		return ""
	}
	var s string
	for e := k.Exec; e != nil; e = e.Prev {
		s += fmt.Sprintf("%s %s %d %d %s;", e.Name, e.Exe, e.PID, e.Start, e.Via)
	}
	return s
}

// TestAJournalCutOrChanged makes sense or gives an error; either way what was read is a table.
func TestAJournalCutOrChanged(t *testing.T) {
	var journal packed.Writer
	c := Config{Limits: limits, PendingForks: 10, Journal: &journal}
	first := New(c)
	feed(
		first,
		`syscall=59 success=yes exit=0 a0=0 ppid=0 pid=1 comm="init" exe="/init"`,
		`syscall=56 success=yes exit=10 a0=20000000 ppid=0 pid=1 comm="init" exe="/init"`,
		`syscall=435 success=yes exit=11 a0=0 ppid=1 pid=10 comm="init" exe="/init"`,
		`syscall=272 success=yes exit=0 a0=20000000 ppid=1 pid=10 comm="init" exe="/init"`,
		`syscall=231 a0=0 ppid=1 pid=10 comm="init" exe="/init"`,
	)
	first.EndChanges()
	all := slices.Clone(journal.Bytes())
	replay := func(b []byte) error {
		second := New(Config{Limits: limits, PendingForks: 10})
		var r packed.Reader
		r.Feed(b)
		err := second.Replay(&r)
		if m := second.Machine(""); m != nil {
			_, n := second.Counts()
			if n.Tasks < 0 || n.Execs < 0 || n.Tasks > 100 {
				t.Errorf("%+v", n)
			}
		}
		return err
	}
	if err := replay(all); err != nil {
		t.Fatal(err)
	}
	for n := range all {
		if replay(all[:n]) == nil {
			t.Errorf("cut after %d of %d: no error", n, len(all))
		}
		for bit := range 8 {
			bad := slices.Clone(all)
			bad[n] ^= 1 << bit
			_ = replay(bad) // many still make sense; the checksum of the store is for those
		}
	}
	for _, bad := range [][]byte{{byte(changeKinds)}, {changeRules, 0, 0, changeEnd}, {changeMachine, 0, 0, changeRules, 0, byte(ruleChanges), changeEnd}} {
		if replay(bad) == nil {
			t.Errorf("%v: no error", bad)
		}
	}
}

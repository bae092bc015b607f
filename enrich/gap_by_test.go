package enrich_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"audisp-history/enrich"
	"audisp-history/enrich/history"
	"audisp-history/enrich/packed"
	"audisp-history/enrich/record"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
)

// removal is what auditctl -D by process 20 looks like: its parent, a shell, has been logged into. Then the rules come
// back, and forks and execs are seen again.
func removal() []string {
	serial, at := 100, int64(storyBegin)
	event := func(ms int, before string, number int, result string, pid, ppid int, comm string) string {
		serial, at = serial+1, at+int64(ms)
		stamp := fmt.Sprintf("msg=audit(%d.%03d:%d): ", at/1000, at%1000, serial)
		if before != "" {
			before = "type=CONFIG_CHANGE " + stamp + before + "\n"
		}
		return before + fmt.Sprintf("type=SYSCALL %sarch=c000003e syscall=%d success=yes exit=%s a0=0 a1=0 a2=0 a3=0 items=0 ppid=%d pid=%d auid=0 uid=0 comm=%q exe=%q key=(null)\ntype=EOE %s\n",
			stamp, number, result, ppid, pid, comm, "/bin/"+comm, stamp)
	}
	const fork, exec, send = 57, 59, 44
	return []string{
		event(10, "", exec, "0", 1, 0, "init"),
		event(10, "", fork, "10", 1, 0, "init"),
		event(10, "", exec, "0", 10, 1, "sh"),
		event(10, "", fork, "20", 10, 1, "sh"),
		event(2000, "", exec, "0", 20, 10, "auditctl"), // here the gap of the start is over
		event(10, `auid=0 ses=1 subj=kernel op=remove_rule key="history" list=4 res=1`, send, "56", 20, 10, "auditctl"),
		event(10, "", exec, "0", 10, 1, "bash"), // a rule of somebody else's
		event(10, `auid=0 ses=1 subj=kernel op=add_rule key="history" list=4 res=1`, send, "56", 20, 10, "auditctl"),
		event(10, "", fork, "30", 10, 1, "bash"),
		event(10, "", exec, "0", 30, 10, "ls"),
		event(2000, "", send, "1", 30, 10, "ls"),
	}
}

// blamed is a stream whose gaps are written.
type blamed struct {
	stream *enrich.Stream
	format *text.Format
	out    []byte
}

func newBlamed() *blamed {
	b := &blamed{format: text.New(text.Field, history.NewRenderer(history.Middle, 0))}
	c := config
	c.Journal = &packed.Writer{}
	b.stream = enrich.New(c, b)
	return b
}

func (b *blamed) Event(*record.Event, []tracker.Mark) {}

func (b *blamed) Gap(g tracker.Gap) { b.out = b.format.AppendGap(b.out, &g, &text.Self{Exe: "/x"}) }

func (b *blamed) play(events []string) {
	for _, e := range events {
		for line := range bytes.Lines([]byte(e)) {
			b.stream.Line(line, 0)
		}
	}
}

// The record of a gap says who removed the rules, with the history of then, also if the program was started again in the
// middle, from a snapshot or from the journal.
func TestGapSaysWhoMadeIt(t *testing.T) {
	const want = ` exe="/x" by=20 bhistory="name=swapper/0;pid=1;start=20260101000000;via=seen=>name=init;pid=1;start=20260101000000=>name=sh;pid=10;start=20260101000000=>name=auditctl;pid=20;start=20260101000002" res=failed'`
	for _, saved := range []string{"never", "snapshot", "journal"} {
		t.Run(saved, func(t *testing.T) {
			events := removal()
			b := newBlamed()
			b.play(events[:5])
			b.stream.Tick(config.Wait, 0) // from here on events are handled at once
			pieces := b.stream.Snapshot(nil, false)
			b.play(events[5:7])
			if saved != "never" {
				b = again(t, b, saved, pieces)
			}
			b.out = nil
			b.play(events[7:])
			b.stream.Close(nil)
			if got := string(b.out); !strings.Contains(got, "reason=rules-removed") || !strings.Contains(got, want) {
				t.Errorf("got %s\nwant %s", got, want)
			}
		})
	}
}

// again is what a program that is started again knows.
func again(t *testing.T, b *blamed, saved string, snapshot [][]byte) *blamed {
	t.Helper()
	var changes []byte
	if saved == "journal" {
		changes = b.stream.Changes(nil)
	} else {
		snapshot = b.stream.Snapshot(nil, false)
	}
	next := newBlamed()
	l := enrich.NewLoader(next.stream)
	for _, p := range snapshot {
		if err := l.Snapshot(p); err != nil {
			t.Fatal(err)
		}
	}
	if changes != nil {
		if err := l.Journal(changes); err != nil {
			t.Fatal(err)
		}
	}
	l.Finish()
	next.stream.Resume(false)
	return next
}

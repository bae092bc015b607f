package text

import (
	"bytes"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"audisp-history/enrich/history"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
	"audisp-history/enrich/tracker"
)

// longest is the longest line that ausearch reads whole.
const longest = 8969

// chain makes a history of n execs.
func chain(n int) *task.Exec {
	t := task.NewTable(task.Limits{Tasks: 10, Ended: 10, Execs: 1 << 20, Depth: 1 << 20}, 0)
	k := t.New(1, nil, nil, 0)
	for i := range n {
		t.Execute(k, fmt.Appendf(nil, "p%d", i), nil, 1691750738000, task.Recorded)
	}
	return k.Exec
}

// one is the history of chain(1).
const one = "name=p0;pid=1;start=20230811104538"

// events puts lines together.
func events(lines ...string) []*record.Event {
	var all []*record.Event
	a := record.NewAssembler(100, func(e *record.Event) { all = append(all, e) })
	for _, l := range lines {
		a.Add([]byte(l), 0)
	}
	a.Flush()
	return all
}

// write writes lines, of which those at the indexes of marks get a history. Events follow each other.
func write(f *Format, lines []string, marks ...tracker.Mark) string {
	out := []byte("before\n")
	i := 0
	for _, e := range events(lines...) {
		var own []tracker.Mark
		for _, m := range marks {
			if m.Record >= i && m.Record < i+len(e.Records) {
				m.Record -= i
				own = append(own, m)
			}
		}
		out = f.Append(out, e, own)
		i += len(e.Records)
	}
	return strings.TrimPrefix(string(out), "before\n")
}

func TestFieldStyle(t *testing.T) {
	const (
		h    = ` history="` + one + `"`
		call = "type=SYSCALL msg=audit(1.000:1): arch=c000003e pid=1 key=(null)"
		prog = "type=USER_CMD msg=audit(1.000:1): pid=1 uid=0 msg='op=x res=success'"
	)
	for _, c := range []struct{ name, before, after string }{
		{"newline", call, "\n"},
		{"enriched", call, "\x1dARCH=x86_64 SYSCALL=kill\n"},
		{"nothing after the separator", call, "\x1d\n"},
		{"carriage return", call, "\r\n"},
		{"NUL before the newline", call, "\x00\n"},
		{"NUL before the separator", call, "\x00\x1dARCH=x86_64\n"},
		{"no newline", call, ""},
		{"no newline, enriched", call, "\x1dARCH=x86_64"},
		{"a node", "node=h " + call, "\x1dARCH=x86_64\n"},
		{"two separators", call, "\x1dARCH=x86_64\x1dX=1\n"},
		{"a program's", prog, "\n"},
		{"a program's, enriched", prog, "\x1dUID=\"root\"\n"},
		{"a program's, with a separator inside", strings.Replace(prog, "op=x", "op=\x1d", 1), "\x1dUID=\"root\"\n"},
		{"a program's, with a separator inside, raw", strings.Replace(prog, "op=x", "op=\x1d", 1), "\n"},
		{"no body", "type=LOGIN msg=audit(1.000:1):", "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New(Field, history.NewRenderer(history.Middle, 0))
			got := write(f, []string{c.before + c.after}, tracker.Mark{Record: 0, Exec: chain(1)})
			if want := c.before + h + c.after; got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if f.Written != 1 || f.NoRoom != 0 {
				t.Errorf("%d written, %d without room", f.Written, f.NoRoom)
			}
		})
	}
}

// signal is an event as auditd writes it.
var signal = []string{
	"node=h type=SYSCALL msg=audit(1691750738.271:108): arch=c000003e syscall=62 pid=7 comm=\"sh\" exe=\"/bin/sh\"\x1dARCH=x86_64\n",
	"node=h type=OBJ_PID msg=audit(1691750738.271:108): opid=9 ocomm=\"sleep\"\x1dOAUID=\"root\"\n",
	"node=h type=PROCTITLE msg=audit(1691750738.271:108): proctitle=\"sh\"\n",
}

func TestFieldStyleOfAWholeEvent(t *testing.T) {
	f := New(Field, history.NewRenderer(history.Middle, 0))
	got := write(f, signal, tracker.Mark{Record: 1, Target: true, Exec: chain(1)}, tracker.Mark{Record: 0, Exec: chain(1)})
	want := strings.Replace(signal[0], "\x1d", ` history="`+one+"\"\x1d", 1) +
		strings.Replace(signal[1], "\x1d", ` ohistory="`+one+"\"\x1d", 1) + signal[2]
	if got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	if got := write(f, signal); got != strings.Join(signal, "") || f.Written != 2 {
		t.Errorf("without marks: %q, %d written", got, f.Written)
	}
}

func TestRecordStyle(t *testing.T) {
	const r = "node=h type=UNKNOWN[1340] msg=audit(1691750738.271:108): history=\"" + one + "\"\n"
	f := New(Record, history.NewRenderer(history.Middle, 0))
	got := write(f, signal, tracker.Mark{Record: 0, Exec: chain(1)}, tracker.Mark{Record: 1, Target: true, Exec: chain(1)})
	if want := signal[0] + r + signal[1] + signal[2]; got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	if f.Written != 1 || f.NoRoom != 0 {
		t.Errorf("%d written, %d without room", f.Written, f.NoRoom)
	}
	for _, c := range []struct{ name, line, record string }{
		{"no node", "type=SYSCALL msg=audit(1.002:3): pid=1\n", "type=UNKNOWN[1340] msg=audit(1.002:3): history=\"" + one + "\"\n"},
		{"io_uring", "type=URINGOP msg=audit(1.002:3): pid=1\n", "type=UNKNOWN[1340] msg=audit(1.002:3): history=\"" + one + "\"\n"},
		{"io_uring, by number", "node=h type=UNKNOWN[1336] msg=audit(1.002:3): pid=1\n",
			"node=h type=UNKNOWN[1340] msg=audit(1.002:3): history=\"" + one + "\"\n"},
		{"odd digits stay", "type=SYSCALL msg=audit(01.2:003): pid=1\r\n", "type=UNKNOWN[1340] msg=audit(01.2:003): history=\"" + one + "\"\n"},
		{"not in a program's event", "type=USER_CMD msg=audit(1.002:3): pid=1 msg='x'\n", ""},
		{"not in an event without a system call", "type=LOGIN msg=audit(1.002:3): pid=1\n", ""},
		{"not behind a line without end", "type=SYSCALL msg=audit(1.002:3): pid=1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New(Record, history.NewRenderer(history.Middle, 0))
			if got := write(f, []string{c.line}, tracker.Mark{Exec: chain(1)}); got != c.line+c.record {
				t.Errorf("%q, want %q", got, c.line+c.record)
			}
			if written := uint64(min(len(c.record), 1)); f.Written != written {
				t.Errorf("%d written", f.Written)
			}
		})
	}
}

// padded makes a line of n bytes.
func padded(n int, end string) string {
	const begin = "type=SYSCALL msg=audit(1691750738.271:108): pid=1 key="
	return begin + strings.Repeat("x", n-len(begin)-len(end)) + end
}

func TestNoLineGetsTooLong(t *testing.T) {
	for _, end := range []string{"\n", "\x1dARCH=x86_64\n", ""} {
		for _, execs := range []int{1, 2, 30, 400} {
			e := chain(execs)
			renderer := history.NewRenderer(history.Middle, 0)
			most := 0
			for n := 100; n < 9200; n++ {
				if n < 8850 && n%100 != 0 {
					continue
				}
				for name, target := range map[string]bool{` history="`: false, ` ohistory="`: true} {
					f := New(Field, renderer)
					line := padded(n, end)
					got := write(f, []string{line}, tracker.Mark{Exec: e, Target: target})
					most = max(most, len(got))
					if len(got) > max(longest, len(line)) {
						t.Fatalf("a line of %d bytes got %d", n, len(got))
					}
					if stripped := strip(got); stripped != line {
						t.Fatalf("%q is not %q", stripped, line)
					}
					if got == line != (f.NoRoom == 1) || f.Written+f.NoRoom != 1 {
						t.Fatalf("a line of %d bytes: %d written, %d without room", n, f.Written, f.NoRoom)
					}
					if room := longest - n - len(name) - 1; got == line && room >= 40 {
						t.Fatalf("a line of %d bytes: room for %d and nothing written", n, room)
					}
				}
			}
			if execs == 400 && most < longest-100 {
				t.Errorf("the longest line has %d bytes", most)
			}
		}
	}
}

// strip takes the inserted parts out.
func strip(text string) string {
	for _, field := range []string{` history="`, ` ohistory="`} {
		for {
			before, after, ok := strings.Cut(text, field)
			if !ok {
				break
			}
			_, after, _ = strings.Cut(after, `"`)
			text = before + after
		}
	}
	var out strings.Builder
	for l := range strings.Lines(text) {
		if !strings.Contains(l, "type=UNKNOWN[1340]") {
			out.WriteString(l)
		}
	}
	return out.String()
}

func TestALineNearTheLimitGetsACutHistory(t *testing.T) {
	e := chain(100)
	for _, c := range []struct {
		style Style
		line  string
	}{
		{Field, padded(8500, "\x1dARCH=x86_64\n")},
		{Record, padded(8500, "\n")},
	} {
		f := New(c.style, history.NewRenderer(history.Middle, 0))
		got := write(f, []string{c.line}, tracker.Mark{Exec: e})
		if c.style == Field && (!strings.Contains(got, "=>omitted=") || len(got) > longest || len(got) < longest-100) {
			t.Errorf("%d bytes: …%s", len(got), got[8480:])
		}
		if strip(got) != c.line {
			t.Errorf("style %d: the line has changed", c.style)
		}
	}
	// A record of its own has a line to itself.
	f := New(Record, history.NewRenderer(history.Middle, 0))
	got := write(f, []string{padded(8969, "\n")}, tracker.Mark{Exec: chain(1000)})
	added := got[8969:]
	if len(added) > longest || len(added) < longest-100 || !strings.Contains(added, "=>omitted=") || f.Written != 1 {
		t.Errorf("%d bytes added", len(added))
	}
}

func TestARecordOfItsOwnFillsItsLine(t *testing.T) {
	e := chain(220)
	whole := string(history.NewRenderer(history.Middle, 0).Append(nil, e, longest))
	renderer := history.NewRenderer(history.Middle, 0)
	for n := 1; n < 1500; n++ {
		begin := "node=" + strings.Repeat("h", n) + " type="
		line := begin + "SYSCALL msg=audit(1.000:1): pid=1\n"
		want := begin + `UNKNOWN[1340] msg=audit(1.000:1): history="` + whole + "\"\n"
		got := strings.TrimPrefix(write(New(Record, renderer), []string{line}, tracker.Mark{Exec: e}), line)
		if len(want) <= longest != (got == want) || len(got) > longest {
			t.Fatalf("%d bytes where the whole history needs %d", len(got), len(want))
		}
	}
}

func TestMaxBytes(t *testing.T) {
	f := New(Field, history.NewRenderer(history.Front, 100))
	got := write(f, []string{padded(200, "\n")}, tracker.Mark{Exec: chain(50)})
	_, value, _ := strings.Cut(got, ` history="`)
	value = strings.TrimSuffix(value, "\"\n")
	if len(value) > 100 || !strings.HasPrefix(value, "omitted=48=>") {
		t.Errorf("%d bytes: %s", len(value), value)
	}
}

func TestCorrectionsAreWritten(t *testing.T) {
	tab := task.NewTable(task.Limits{Tasks: 10, Ended: 10, Execs: 100, Depth: 100}, 0)
	k := tab.New(1, nil, nil, 0)
	e := tab.Execute(k, []byte("guess"), nil, 0, task.Seen)
	f := New(Field, history.NewRenderer(history.Middle, 0))
	f.Revise(tab.Revision())
	write(f, []string{padded(100, "\n")}, tracker.Mark{Exec: e})
	tab.Correct(e, []byte("right"), nil, 0, task.Recorded)
	f.Revise(tab.Revision())
	if got := write(f, []string{padded(100, "\n")}, tracker.Mark{Exec: e}); !strings.Contains(got, `history="name=right;`) {
		t.Errorf("%s", got)
	}
}

// Of whatever bytes the records are, without what is added the output is the input.
func TestWithoutWhatIsAddedTheOutputIsTheInput(t *testing.T) {
	parts := []string{"\x1d", "\r", "\x00", " msg='", "'", "\"", " pid=1", " comm=\"a\\\"", "=>", " ", "x", "AUID=\"root\"", " key=(null)"}
	types := []string{"SYSCALL", "URINGOP", "OBJ_PID", "USER_CMD", "DAEMON_END", "LOGIN", "PROCTITLE"}
	for seed := range int64(150) {
		r := rand.New(rand.NewSource(seed))
		exec := chain(1 + r.Intn(300))
		var lines []string
		var marks []tracker.Mark
		serial := 0
		for i := range 30 {
			if serial += r.Intn(2); r.Intn(20) == 0 {
				serial++
				lines = append(lines, "garbage "+parts[r.Intn(len(parts))]+"\n")
				continue
			}
			l := fmt.Sprintf("%stype=%s msg=audit(1.000:%d): ", []string{"", "node=h "}[serial%2], types[r.Intn(len(types))], serial)
			for range r.Intn(12) {
				l += parts[r.Intn(len(parts))]
			}
			if r.Intn(4) == 0 {
				l += strings.Repeat("y", r.Intn(9000))
			}
			if i < 29 || r.Intn(2) == 0 {
				l += "\n"
			}
			lines = append(lines, l)
		}
		for i := range lines {
			if r.Intn(2) == 0 {
				marks = append(marks, tracker.Mark{Record: i, Target: r.Intn(4) == 0, Exec: exec})
			}
		}
		whole := strings.HasSuffix(lines[len(lines)-1], "\n")
		var in bytes.Buffer
		for _, e := range events(lines...) {
			for i := range e.Records {
				in.Write(e.Line(i))
			}
		}
		for _, style := range []Style{Field, Record} {
			f := New(style, history.NewRenderer(history.Middle, 4096))
			got := write(f, lines, marks...)
			if strip(got) != in.String() {
				t.Fatalf("seed %d, style %d: %q\nwithout what is added is not\n%q", seed, style, got, in.String())
			}
			for l := range strings.Lines(got) {
				// A line without end may be followed by those of an event that ends later.
				if whole && len(l) > longest && !strings.Contains(in.String(), l) {
					t.Errorf("seed %d, style %d: a line of %d bytes", seed, style, len(l))
				}
			}
		}
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	exec := chain(8)
	for _, style := range []Style{Field, Record} {
		f := New(style, history.NewRenderer(history.Middle, 4096))
		e := events(signal...)[0]
		marks := []tracker.Mark{{Record: 0, Exec: exec}, {Record: 1, Target: true, Exec: exec}}
		dst := make([]byte, 0, 16<<10)
		if n := testing.AllocsPerRun(100, func() { f.Append(dst, e, marks) }); n != 0 {
			t.Errorf("style %d: %v allocations", style, n)
		}
	}
}

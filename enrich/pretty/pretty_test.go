package pretty

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"audisp-history/enrich"
	"audisp-history/enrich/history"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
)

// chain is systemd, sshd and a program with a name.
func chain(name string) *task.Exec {
	t := task.NewTable(task.Limits{Tasks: 10, Ended: 10, Execs: 100, Depth: 100}, 0)
	k := t.New(1, nil, nil, 0)
	t.Execute(k, []byte("systemd"), nil, 1691783079000, task.Proc)
	k = t.New(3660, k, k.Exec, 0)
	t.Execute(k, []byte("sshd"), nil, 1691750704123, task.Recorded)
	k = t.New(3767, k, k.Exec, 0)
	t.Execute(k, []byte(name), nil, 1691750735271, task.Recorded)
	return k.Exec
}

// show is what lines look like, each event with the same marks.
func show(f *Format, marks []tracker.Mark, lines ...string) string {
	var out []byte
	a := record.NewAssembler(100, func(e *record.Event) { out = f.Append(out, e, marks) })
	for _, l := range lines {
		a.Add([]byte(l), 0)
	}
	a.Flush()
	return string(out)
}

const head = " msg=audit(1691750738.271:108): "

func TestEvents(t *testing.T) {
	bash := []tracker.Mark{{Record: 0, PID: 3767, Exec: chain("bash")}}
	const call = "type=SYSCALL" + head + `arch=c000003e syscall=59 success=yes exit=0 ppid=3660 pid=3767 auid=1000 uid=0 ses=2 comm="bash" exe="/usr/bin/bash" key=`
	const enriched = "\x1dARCH=x86_64 SYSCALL=execve AUID=\"ann\" UID=\"root\"\n"
	for _, c := range []struct {
		name  string
		marks []tracker.Mark
		lines []string
		want  string
	}{
		{"exec", bash, []string{call + `"exec"` + enriched, "type=EXECVE" + head + "argc=3 a0=\"bash\" a1=\"-c\" a2=6C7320226122\n", "type=PATH" + head + "item=0 name=\"/bin/bash\" nametype=NORMAL\n"},
			"2023-08-11 10:45:38.271 #108 execve ok  bash[3767] /usr/bin/bash  root (login ann)  key=exec\n" +
				"    exec bash -c \"ls \\\"a\\\"\"\n" +
				"    systemd(proc) › sshd[3660] › bash[3767]\n"},
		{"signal to two", []tracker.Mark{{Record: 0, PID: 3767, Exec: chain("bash")}, {Record: 1, Target: true, PID: 330, Exec: chain("x").Prev}, {Record: 2, Target: true, PID: 331, Exec: chain("x").Prev.Prev}},
			[]string{"node=web type=SYSCALL" + head + "arch=c000003e syscall=62 success=no exit=-1 pid=3767 auid=4294967295 uid=1000 comm=\"bash\" exe=\"/usr/bin/bash\" key=610162\n", "node=web type=OBJ_PID" + head + "opid=330 ocomm=\"sleep\"\n", "node=web type=OBJ_PID" + head + "opid=331 ocomm=\"cat\"\n"},
			"2023-08-11 10:45:38.271 #108 web kill failed -1  bash[3767] /usr/bin/bash  1000  key=a  key=b\n" +
				"    systemd(proc) › sshd[3660] › bash[3767]\n" +
				"  → sleep[330] systemd(proc) › sshd[3660]\n" +
				"  → cat[331] systemd(proc)\n"},
		{"files", nil, []string{"type=SYSCALL" + head + "arch=c000003e syscall=263 success=yes exit=0 pid=7 comm=\"rm\" exe=\"/bin/rm\" key=(null)\n", "type=PATH" + head + "item=0 name=\"/tmp\" nametype=PARENT\n", "type=PATH" + head + "item=1 name=2F746D702F612062 nametype=DELETE\n", "type=PATH" + head + "item=2 name=(null) nametype=NORMAL\n"},
			"2023-08-11 10:45:38.271 #108 unlinkat ok  rm[7] /bin/rm\n    /tmp/a b (delete)\n    (no name)\n"},
		{"connection", nil, []string{"type=SYSCALL" + head + "arch=c000003e syscall=42 success=yes exit=0 pid=7\n", "type=SOCKADDR" + head + "saddr=020001BB0A000001\n"},
			"2023-08-11 10:45:38.271 #108 connect ok  pid 7\n    inet 10.0.0.1:443\n"},
		{"IPv6", nil, []string{"type=SOCKADDR" + head + "saddr=0A0001BB0000000020010DB8000000000000000000000001\n"}, "2023-08-11 10:45:38.271 #108 SOCKADDR\n    inet6 [2001:db8::1]:443\n"},
		{"login", bash, []string{"type=USER_LOGIN" + head + "pid=7 uid=0 auid=1000 ses=3 msg='op=login acct=\"ann b\" exe=\"/usr/sbin/sshd\" hostname=? addr=10.0.0.1 terminal=ssh res=failed'\x1dUID=\"root\" AUID=\"ann\"\n"},
			"2023-08-11 10:45:38.271 #108 USER_LOGIN failed  pid 7  /usr/sbin/sshd  root (login ann)\n    op=login acct=\"ann b\" addr=10.0.0.1 terminal=ssh\n    systemd(proc) › sshd[3660] › bash[3767]\n"},
		{"SELinux", nil, []string{"type=AVC" + head + "avc:  denied  { read } for  pid=7 comm=\"x\"\n", "type=SYSCALL" + head + "arch=c000003e syscall=2 success=no exit=-13 pid=7 comm=\"x\" exe=\"/x\"\n"},
			"2023-08-11 10:45:38.271 #108 AVC open failed -13  x[7] /x\n    avc:  denied  { read } for  pid=7 comm=\"x\"\n"},
		{"configuration", nil, []string{"type=CONFIG_CHANGE" + head + "auid=0 ses=1 op=remove_rule key=\"x\" list=4 res=1\n"}, "2023-08-11 10:45:38.271 #108 CONFIG_CHANGE ok  (login 0)  key=x\n    op=remove_rule\n"},
		{"an unknown call", nil, []string{"type=SYSCALL" + head + "arch=c000003e syscall=9999 pid=7\n"}, "2023-08-11 10:45:38.271 #108 call 9999  pid 7\n"},
		{"no record", nil, []string{"hello\x1b[31m\n"}, "? hello\\x1b[31m\n"},
		{"nothing but an end", nil, []string{"type=EOE" + head + "\n"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := show(New(false, history.Middle, 0), c.marks, c.lines...); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

func TestManyPathsAndArguments(t *testing.T) {
	lines := []string{"type=SYSCALL" + head + "arch=c000003e syscall=2 pid=7\n"}
	for range 10 {
		lines = append(lines, "type=PATH"+head+"name=\"/x\" nametype=NORMAL\n")
	}
	if got := show(New(false, history.Middle, 0), nil, lines...); strings.Count(got, "/x\n") != maxPaths || !strings.HasSuffix(got, "    and 2 more paths\n") {
		t.Errorf("%s", got)
	}
	got := show(New(false, history.Middle, 0), nil, "type=EXECVE"+head+"argc=900"+strings.Repeat(` a0="xxxxxxxxxx"`, 900)+"\n")
	if len(got) > 2*maxArgs || !strings.HasSuffix(got, "xx …\n") {
		t.Errorf("%s", got)
	}
}

func TestAHistoryThatIsTooLong(t *testing.T) {
	table := task.NewTable(task.Limits{Tasks: 10, Ended: 10, Execs: 100, Depth: 100}, 0)
	k := table.New(1, nil, nil, 0)
	for _, name := range strings.Fields("a b c d e f g h i j k l m n o p") {
		table.Execute(k, []byte(name), nil, 0, task.Recorded)
	}
	marks := []tracker.Mark{{Record: 0, Exec: k.Exec}}
	f := New(false, history.Middle, 60)
	if got := show(f, marks, "type=CWD"+head+"cwd=\"/\"\n"); !strings.HasSuffix(got, "    a › … 11 … › m › n › o › p\n") || f.Written != 1 {
		t.Errorf("%s", got)
	}
	f = New(false, history.Middle, 1)
	if got := show(f, marks, "type=CWD"+head+"cwd=\"/\"\n"); strings.Contains(got, "\n ") || f.NoRoom != 1 {
		t.Errorf("%s", got)
	}
}

func TestNamesAreSafe(t *testing.T) {
	for name, want := range map[string]string{
		"a": "a", "a b": "a b", "\x1b[2J": `\x1b[2J`, "\n": `\x0a`, "\x7f": `\x7f`, "\x9b31m": `\x9b31m`, "\u009b31m": `\u{9b}31m`,
		"\u202egpj": `\u{202e}gpj`, "\u2066x": `\u{2066}x`, "\u200b": `\u{200b}`, "\u2028": `\u{2028}`, "\ufeff": `\u{feff}`, "\u00a0": `\u{a0}`,
		"ümlaut": "ümlaut", "日本": "日本", "\xff\xc3": `\xff\xc3`, `\x1b`: `\\x1b`, "\ufffd": "\ufffd", "\r": `\x0d`, "\x00": `\x00`, "\xed\xa0\x80": `\xed\xa0\x80`,
	} {
		if got := string(appendSafe(nil, name)); got != want || string(appendSafe(nil, []byte(name))) != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

func TestColours(t *testing.T) {
	marks := []tracker.Mark{{Record: 0, Exec: chain("x")}}
	line := "type=SYSCALL" + head + "arch=c000003e syscall=2 success=no pid=7 comm=\"x\" key=\"k\"\n"
	got := show(New(true, history.Middle, 0), marks, line)
	if !strings.Contains(got, "\x1b[31mfailed\x1b[0m") || !strings.Contains(got, "\x1b[33mkey=k\x1b[0m") || !strings.Contains(got, "systemd(proc)\x1b[2m › \x1b[0msshd") {
		t.Errorf("%q", got)
	}
	if plain := colours.ReplaceAllString(got, ""); plain != show(New(false, history.Middle, 0), marks, line) {
		t.Errorf("without its colours: %s", plain)
	}
}

func TestGaps(t *testing.T) {
	g := tracker.Gap{Reason: tracker.EventsLost, From: 1795339340803, To: 1795339352007, At: 1795339353120, Lost: 3}
	want := "2026-11-22 09:22:33.120 #0 web gap: events-lost from 2026-11-22 09:22:20.803 to 2026-11-22 09:22:32.007, 3 events lost\n"
	if got := string(New(false, history.Middle, 0).AppendGap(nil, &g, &text.Self{Node: "web"})); got != want {
		t.Error(got)
	}
	if got := string(New(false, history.Middle, 0).AppendGap(nil, &tracker.Gap{At: 1000}, &text.Self{})); got != "1970-01-01 00:00:01.000 #0 gap: start\n" {
		t.Error(got)
	}
}

// colours are the escape sequences of this package.
var colours = regexp.MustCompile("\x1b\\[(0|1|2|31|32|33)m")

// safe reports what a terminal could take for a command.
func safe(t *testing.T, out []byte) {
	t.Helper()
	if !utf8.Valid(out) || len(out) > 0 && out[len(out)-1] != '\n' {
		t.Fatalf("%q", out)
	}
	for _, r := range string(colours.ReplaceAll(out, nil)) {
		if r < 0x20 && r != '\n' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			t.Fatalf("%U in %q", r, out)
		}
	}
}

type stream struct {
	*enrich.Stream
	event func(*record.Event, []tracker.Mark)
}

func (s *stream) Event(e *record.Event, m []tracker.Mark) { s.event(e, m) }
func (s *stream) Gap(tracker.Gap)                         {}

type handler struct{ *enrich.Stream }

func (h handler) Line(line []byte)  { h.Stream.Line(line, 0) }
func (h handler) Piece(part []byte) { h.Stream.Piece(part, 0) }

func feed(tb testing.TB, name string, event func(*stream, *record.Event, []tracker.Mark)) {
	tb.Helper()
	f, err := os.Open(filepath.Join("..", "..", "testdata", "captures", name, "stream.log.gz"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	s := &stream{}
	s.event = func(e *record.Event, m []tracker.Mark) { event(s, e, m) }
	s.Stream = enrich.New(enrich.Config{
		Limits:       task.Limits{Tasks: 1 << 20, Ended: 1 << 16, Execs: 1 << 22, Depth: 1024},
		PendingForks: 1 << 16, OpenEvents: 4096, Wait: 1000,
	}, s)
	var lines record.Lines
	lines.Feed(b, handler{s.Stream})
	s.Close(lines.Rest())
}

// Every event of the captures is shown, each mark with a line of its own.
func TestCaptures(t *testing.T) {
	for _, name := range []string{"boot", "parallel", "rulesgone"} {
		t.Run(name, func(t *testing.T) {
			f := New(true, history.Middle, 0)
			events := 0
			feed(t, name, func(s *stream, e *record.Event, marks []tracker.Mark) {
				f.Revise(s.Tracker().Revision())
				out := f.Append(nil, e, marks)
				safe(t, out)
				if events++; bytes.Count(out, []byte{'\n'}) < 1+len(marks) {
					t.Fatalf("%s", out)
				}
				for _, m := range marks {
					if m.Exec.Via != task.Folded && !bytes.Contains(out, appendSafe(nil, m.Exec.Name)) {
						t.Fatalf("%s\nwant %s", out, m.Exec.Name)
					}
				}
			})
			if events < 4000 {
				t.Errorf("%d events", events)
			}
		})
	}
}

func FuzzAppend(f *testing.F) {
	for _, s := range []string{
		"type=SYSCALL" + head + "arch=c000003e syscall=59 success=yes pid=1 comm=1B5B314A exe=\"\x1b\" key=9B\x1dSYSCALL=\x1b UID=\"\x9b\"\ntype=EXECVE" + head + "argc=1 a0=1B\n",
		"node=\x1b type=USER_LOGIN" + head + "pid=\x1b msg='\x1b op=\x9b acct=1B res=1'\n",
		"type=SOCKADDR" + head + "saddr=01001B\ntype=OBJ_PID" + head + "opid=1 ocomm=1B\ntype=PATH" + head + "name=1B nametype=\x1b\n",
		"type=\x1b" + head + "\x1b\ntype=AVC" + head + "\x1b\ntype=CONFIG_CHANGE" + head + "op=\x1b\nno record \x1b\n",
	} {
		f.Add([]byte(s), "\x1b\u009b", true)
		f.Add([]byte(s), "\u202e", false)
	}
	f.Fuzz(func(t *testing.T, log []byte, name string, colour bool) {
		if len(log) > 1<<16 || len(name) > 4096 {
			return
		}
		exec := chain(name)
		format := New(colour, history.Middle, 0)
		var out []byte
		a := record.NewAssembler(10, func(e *record.Event) {
			var marks []tracker.Mark
			for i, r := range e.Records {
				marks = append(marks, tracker.Mark{Record: i, Target: r.Kind == record.Target, Exec: exec, PID: 7})
			}
			out = format.Append(out, e, marks)
		})
		for line := range bytes.Lines(log) {
			a.Add(line, 0)
		}
		a.Flush()
		safe(t, out)
		if !colour && bytes.IndexByte(out, 0x1b) >= 0 {
			t.Fatalf("colour in %q", out)
		}
	})
}

// BenchmarkAppend is what an event costs, per record.
func BenchmarkAppend(b *testing.B) {
	var all []*record.Event
	var marks [][]tracker.Mark
	feed(b, "boot", func(_ *stream, e *record.Event, m []tracker.Mark) {
		n := len(all)
		a := record.NewAssembler(1, func(c *record.Event) { all = append(all, c) })
		for i := range e.Records {
			a.Add(e.Line(i), 0)
		}
		if a.Flush(); len(all) != n+1 { // its records came in two parts
			all = all[:n]
			return
		}
		marks = append(marks, append([]tracker.Mark(nil), m...))
	})
	f := New(false, history.Middle, 4096)
	var out []byte
	done, size := 0, 0
	b.ReportAllocs()
	b.ResetTimer()
	for done < b.N {
		for i, e := range all {
			out = f.Append(out[:0], e, marks[i])
			size += len(out)
			if done += len(e.Records); done >= b.N {
				break
			}
		}
	}
	b.ReportMetric(float64(size)/float64(done), "B/record")
}

package jsonl

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"audisp-history/enrich"
	"audisp-history/enrich/history"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
)

var captures = []string{"boot", "gap", "late", "parallel", "restart", "rulesgone"}

// capture is the stream of a capture.
func capture(tb testing.TB, name string) []byte {
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
	return b
}

// both writes each event as JSON and as text.
type both struct {
	stream *enrich.Stream
	json   *Format
	text   *text.Format
	event  func(json, text []byte)
	gaps   int
}

func newBoth(event func(json, text []byte)) *both {
	b := &both{json: New(history.Middle, 0), text: text.New(text.Field, history.NewRenderer(history.Middle, 0)), event: event}
	b.stream = enrich.New(enrich.Config{
		Limits:       task.Limits{Tasks: 1 << 20, Ended: 1 << 16, Execs: 1 << 22, Depth: 1024},
		PendingForks: 1 << 16, OpenEvents: 4096, Wait: 1000,
	}, b)
	return b
}

func (b *both) Event(e *record.Event, marks []tracker.Mark) {
	b.json.Revise(b.stream.Tracker().Revision())
	b.text.Revise(b.stream.Tracker().Revision())
	b.event(b.json.Append(nil, e, marks), b.text.Append(nil, e, marks))
}

func (b *both) Gap(g tracker.Gap) {
	b.gaps++
	b.event(New(history.Middle, 0).AppendGap(nil, &g, &text.Self{}), nil)
}

func (b *both) Line(line []byte)  { b.stream.Line(line, 0) }
func (b *both) Piece(part []byte) { b.stream.Piece(part, 0) }

// An exec of a history, as JSON has it.
type exec struct {
	Name    string
	PID     uint32
	Start   string
	Via     string
	Omitted uint64
}

// asText writes a history as the field history= has it.
func asText(h []exec) string {
	var parts []string
	for _, x := range h {
		if x.Omitted > 0 {
			parts = append(parts, fmt.Sprintf("omitted=%d", x.Omitted))
			continue
		}
		var name strings.Builder
		for _, c := range unescape(x.Name) {
			if c-'0' <= 9 || (c|0x20)-'a' <= 25 || strings.IndexByte("._-/", c) >= 0 {
				name.WriteByte(c)
			} else {
				fmt.Fprintf(&name, "\\%03o", c)
			}
		}
		start := strings.NewReplacer("-", "", "T", "", ":", "").Replace(x.Start[:len("2006-01-02T15:04:05")])
		part := fmt.Sprintf("name=%s;pid=%d;start=%s", name.String(), x.PID, start)
		if x.Via != "" {
			part += ";via=" + x.Via
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "=>")
}

// histories are the values of history= or ohistory= in text.
func histories(enriched []byte, field string) []string {
	var all []string
	for line := range bytes.Lines(enriched) {
		if _, h, ok := strings.Cut(string(line), " "+field+`="`); ok {
			h, _, _ = strings.Cut(h, `"`)
			all = append(all, h)
		}
	}
	return all
}

// shape is what a line looks like without its numbers. Most lines of a capture differ in them only, and to check one
// takes long: there is one of each shape.
func shape(line []byte) string {
	out := make([]byte, 0, len(line))
	for i := 0; i < len(line); {
		n, digits := 0, 0
		for ; i+n < len(line) && (line[i+n]-'0' <= 9 || line[i+n]-'a' <= 5); n++ {
			if line[i+n] <= '9' {
				digits++
			}
		}
		switch {
		case digits > 0:
			out = append(out, '0')
		case n > 0:
			out = append(out, line[i:i+n]...)
		default:
			out = append(out, line[i])
			n = 1
		}
		i += n
	}
	return string(out)
}

// Every line of every capture is as the schema says, and its histories are those of the text.
func TestCaptures(t *testing.T) {
	for _, name := range captures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, own, targets := 0, 0, 0
			shapes := map[string]bool{}
			b := newBoth(func(text, enriched []byte) {
				events++
				if s := shape(text); !shapes[s] {
					shapes[s] = true
					checkLines(t, text)
				}
				var e line
				if err := json.Unmarshal(text, &e); err != nil {
					t.Fatal(err)
				}
				if want := histories(enriched, "history"); len(want) > 1 || len(want) == 1 && asText(e.History) != want[0] || len(want) == 0 && e.History != nil {
					t.Fatalf("%s\nhistory %s\nwant %s", text, asText(e.History), want)
				}
				own += min(len(e.History), 1)
				want := histories(enriched, "ohistory")
				if len(e.Targets) != len(want) {
					t.Fatalf("%s\n%d targets, want %d", text, len(e.Targets), len(want))
				}
				for i, h := range want {
					if asText(e.Targets[i].History) != h {
						t.Fatalf("%s\ntarget %s\nwant %s", text, asText(e.Targets[i].History), h)
					}
				}
				targets += len(want)
				sameRecords(t, &e, text, enriched)
			})
			var lines record.Lines
			lines.Feed(capture(t, name), b)
			b.stream.Close(lines.Rest())
			t.Logf("%d objects of %d shapes, %d histories, %d of targets, %d gaps", events, len(shapes), own, targets, b.gaps)
			if events < 4000 || own < events*9/10 || targets == 0 || b.gaps == 0 {
				t.Errorf("%d objects, %d histories, %d of targets, %d gaps", events, own, targets, b.gaps)
			}
		})
	}
}

// A line is what the test reads of one.
type line struct {
	Records struct {
		SYSCALL *struct {
			PID, PPID uint32
			Comm, Exe string
		}
		PATH   []struct{ Name *string }
		EXECVE *struct{ Argv []string }
	}
	History []exec
	Targets []struct{ History []exec } `json:"target_history"`
}

// sameRecords holds what JSON says of the SYSCALL, PATH and EXECVE records against the text, read another way.
func sameRecords(t *testing.T, e *line, text, enriched []byte) {
	t.Helper()
	paths := 0
	var execve [][]byte
	for l := range bytes.Lines(enriched) {
		p, _ := record.Split(l)
		switch string(p.Type) {
		case "SYSCALL":
			var c record.Call
			if !c.Parse(p.Raw) || e.Records.SYSCALL == nil {
				t.Fatalf("%s", text)
			}
			s := e.Records.SYSCALL
			if s.PID != c.PID || s.PPID != c.PPID || string(unescape(s.Comm)) != string(record.AppendDecoded(nil, c.Comm)) ||
				string(unescape(s.Exe)) != string(record.AppendDecoded(nil, c.Exe)) {
				t.Fatalf("%s", text)
			}
		case "PATH":
			v, _ := record.Find(p.Raw, "name")
			if got := e.Records.PATH[paths].Name; got == nil != (string(v) == "(null)") || got != nil && string(unescape(*got)) != string(record.AppendDecoded(nil, v)) {
				t.Fatalf("%s", text)
			}
			paths++
		case "EXECVE":
			execve = append(execve, p.Raw)
		}
	}
	if execve == nil {
		return
	}
	want, err := record.Args(execve...)
	if err != nil || len(want) != len(e.Records.EXECVE.Argv) {
		t.Fatalf("%s: %v", text, err)
	}
	for i := range want {
		if string(unescape(e.Records.EXECVE.Argv[i])) != want[i] {
			t.Fatalf("%s: want %q", text, want)
		}
	}
}

// BenchmarkAppend is what an event costs, per record.
func BenchmarkAppend(b *testing.B) {
	var events []*record.Event
	var marks [][]tracker.Mark
	records := 0
	s := &collector{}
	s.stream = enrich.New(enrich.Config{
		Limits:       task.Limits{Tasks: 1 << 20, Ended: 1 << 16, Execs: 1 << 22, Depth: 1024},
		PendingForks: 1 << 16, OpenEvents: 4096, Wait: 1000,
	}, s)
	s.event = func(e *record.Event, m []tracker.Mark) {
		a := record.NewAssembler(1, func(c *record.Event) { events = append(events, c) })
		n := len(events)
		for i := range e.Records {
			a.Add(e.Line(i), 0)
		}
		a.Flush()
		if len(events) != n+1 { // its records came in two parts
			events = events[:n]
			return
		}
		records += len(e.Records)
		marks = append(marks, append([]tracker.Mark(nil), m...))
	}
	var lines record.Lines
	lines.Feed(capture(b, "boot"), s)
	format := New(history.Middle, 4096)
	var out []byte
	bytes := 0
	b.ReportAllocs()
	b.ResetTimer()
	done := 0
	for done < b.N {
		for i, e := range events {
			out = format.Append(out[:0], e, marks[i])
			bytes += len(out)
			if done += len(e.Records); done >= b.N {
				break
			}
		}
	}
	b.ReportMetric(float64(bytes)/float64(done), "B/record")
}

type collector struct {
	stream *enrich.Stream
	event  func(*record.Event, []tracker.Mark)
}

func (c *collector) Event(e *record.Event, m []tracker.Mark) { c.event(e, m) }
func (c *collector) Gap(tracker.Gap)                         {}
func (c *collector) Line(line []byte)                        { c.stream.Line(line, 0) }
func (c *collector) Piece(part []byte)                       { c.stream.Piece(part, 0) }

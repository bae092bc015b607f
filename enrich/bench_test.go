package enrich_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"audisp-history/enrich"
	"audisp-history/enrich/history"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
)

// config is what the program's defaults come to.
var config = enrich.Config{
	Limits:       task.Limits{Tasks: 1 << 20, Ended: 1 << 16, Execs: 1 << 22, Depth: 1024},
	PendingForks: 1 << 16,
	OpenEvents:   4096,
	Wait:         1000,
}

// capture is the stream of a capture.
func capture(tb testing.TB, name string) []byte {
	tb.Helper()
	return unzip(tb, filepath.Join("..", "testdata", "captures", name, "stream.log.gz"))
}

func unzip(tb testing.TB, file string) []byte {
	tb.Helper()
	f, err := os.Open(file)
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

// writer collects the enriched text of a stream.
type writer struct {
	stream *enrich.Stream
	format *text.Format
	out    []byte
	gaps   []tracker.Gap
	keep   bool
}

func newWriter(c enrich.Config, style text.Style) *writer {
	w := &writer{format: text.New(style, history.NewRenderer(history.Middle, 4096)), keep: true}
	w.stream = enrich.New(c, w)
	return w
}

func (w *writer) Event(e *record.Event, marks []tracker.Mark) {
	w.format.Revise(w.stream.Tracker().Revision())
	w.out = w.format.Append(w.out, e, marks)
	if !w.keep {
		w.out = w.out[:0]
	}
}

func (w *writer) Gap(g tracker.Gap) {
	w.gaps = append(w.gaps, g)
	w.out = text.AppendGap(w.out, &g, &text.Self{PID: 4242, AUID: 4294967295, Session: 4294967295, Exe: "/x"})
}

func (w *writer) Line(line []byte)  { w.stream.Line(line, 0) }
func (w *writer) Piece(part []byte) { w.stream.Piece(part, 0) }

// BenchmarkStream is the whole way of a record, from its bytes to the bytes with the history, per record.
func BenchmarkStream(b *testing.B) {
	for _, name := range []string{"boot", "parallel", "restart"} {
		b.Run(name, func(b *testing.B) {
			log := capture(b, name)
			records := bytes.Count(log, []byte{'\n'})
			b.SetBytes(int64(len(log) / records))
			b.ReportAllocs()
			for left := b.N; left > 0; left -= records {
				b.StopTimer()
				w := newWriter(config, text.Field)
				w.keep = false
				end := len(log)
				if left < records {
					end = nthLine(log, left)
				}
				var lines record.Lines
				b.StartTimer()
				lines.Feed(log[:end], w)
			}
		})
	}
}

func nthLine(b []byte, n int) int {
	end := 0
	for range n {
		end += bytes.IndexByte(b[end:], '\n') + 1
	}
	return end
}

// BenchmarkParts is what the parts of the way cost, each with those before it, per record.
func BenchmarkParts(b *testing.B) {
	log := capture(b, "boot")
	records := bytes.Count(log, []byte{'\n'})
	for _, part := range []struct {
		name string
		make func() record.LineHandler
	}{
		{"lines", func() record.LineHandler { return nothing{} }},
		{"events", func() record.LineHandler {
			a := &assembling{}
			a.assembler = record.NewAssembler(config.OpenEvents, func(e *record.Event) { a.assembler.Release(e) })
			return a
		}},
		{"tasks", func() record.LineHandler {
			t := &tracking{}
			t.stream = enrich.New(config, t)
			return t
		}},
		{"text", func() record.LineHandler {
			w := newWriter(config, text.Field)
			w.keep = false
			return w
		}},
	} {
		b.Run(part.name, func(b *testing.B) {
			b.ReportAllocs()
			for left := b.N; left > 0; left -= records {
				b.StopTimer()
				h, end := part.make(), len(log)
				if left < records {
					end = nthLine(log, left)
				}
				var lines record.Lines
				b.StartTimer()
				lines.Feed(log[:end], h)
			}
		})
	}
}

type nothing struct{}

func (nothing) Line([]byte)  {}
func (nothing) Piece([]byte) {}

type assembling struct{ assembler *record.Assembler }

func (a *assembling) Line(line []byte)  { a.assembler.Add(line, 0) }
func (a *assembling) Piece(part []byte) { a.assembler.Pass(part, 0) }

type tracking struct{ stream *enrich.Stream }

func (t *tracking) Gap(tracker.Gap)                     {}
func (t *tracking) Line(line []byte)                    { t.stream.Line(line, 0) }
func (t *tracking) Piece(part []byte)                   { t.stream.Piece(part, 0) }
func (t *tracking) Event(*record.Event, []tracker.Mark) {}

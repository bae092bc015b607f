package enrich_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"audisp-history/enrich"
	"audisp-history/enrich/packed"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
	"audisp-history/enrich/text"
)

// BenchmarkJournal is the whole way of a record, without and with a journal that is kept every hundred records, and how
// many bytes of journal a fork, exec or exit takes.
func BenchmarkJournal(b *testing.B) {
	log := capture(b, "restart")
	records := bytes.Count(log, []byte{'\n'})
	for _, name := range []string{"without", "with"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			kept, transitions := 0, uint64(0)
			for left := b.N; left > 0; left -= records {
				b.StopTimer()
				c := config
				if name == "with" {
					c.Journal = &packed.Writer{}
				}
				w := newWriter(c, text.Field)
				w.keep = false
				end := len(log)
				if left < records {
					end = nthLine(log, left)
				}
				k := journaling{writer: w, on: c.Journal != nil}
				var lines record.Lines
				b.StartTimer()
				lines.Feed(log[:end], &k)
				kept += k.kept
				n := w.stream.Counts().Tasks
				transitions += n.Forks + n.Execed + n.Exits
			}
			if kept > 0 {
				b.ReportMetric(float64(kept)/float64(transitions), "B/transition")
			}
		})
	}
}

type journaling struct {
	*writer
	on          bool
	lines, kept int
}

func (j *journaling) Line(line []byte) {
	j.writer.Line(line)
	if j.lines++; j.on && j.lines%100 == 0 {
		j.kept += len(j.stream.Changes(nil))
	}
}

// crowd makes a stream that knows n living tasks with three execs each, and what those take of the heap.
func crowd(n int) (stream *enrich.Stream, heap int64) {
	c := config
	c.Limits = task.Limits{Tasks: 1 << 21, Ended: 1 << 16, Execs: 1 << 23, Depth: 1024}
	c.Journal = &packed.Writer{}
	before := heapInUse()
	t := &tracking{}
	t.stream = enrich.New(c, t)
	serial := 0
	call := func(text string) {
		serial++
		at := storyBegin + int64(serial)/10
		stamp := fmt.Sprintf("msg=audit(%d.%03d:%d):", at/1000, at%1000, serial)
		t.Line(fmt.Appendf(nil, "type=SYSCALL %s arch=c000003e %s auid=0\n", stamp, text))
		t.Line(fmt.Appendf(nil, "type=EOE %s \n", stamp))
	}
	call(`syscall=59 success=yes exit=0 a0=0 ppid=0 pid=1 comm="init" exe="/sbin/init"`)
	for pid := 300; pid < 300+n; pid++ {
		call(fmt.Sprintf(`syscall=57 success=yes exit=%d a0=0 ppid=0 pid=1 comm="init" exe="/sbin/init"`, pid))
		for i := range 3 {
			program := fmt.Sprint("program", (pid*3+i)%1000)
			call(fmt.Sprintf(`syscall=59 success=yes exit=0 a0=0 ppid=1 pid=%d comm="%s" exe="/usr/bin/%s"`, pid, program, program))
		}
		if pid%1000 == 0 {
			t.stream.Changes(nil)
		}
	}
	t.stream.Close(nil)
	t.stream.Changes(nil)
	return t.stream, heapInUse() - before
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// crowds runs a benchmark with tables of several sizes, the largest only where there is time for it.
func crowds(b *testing.B, run func(b *testing.B, stream *enrich.Stream, n int)) {
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			if n > 100_000 && testing.Short() {
				b.Skip("takes long: without -short only")
			}
			stream, heap := crowd(n)
			if c := stream.Counts().Tasks; c.Tasks != n+1 || c.Execs != 3*n+2 {
				b.Fatalf("%+v", c)
			}
			run(b, stream, n)
			b.ReportMetric(float64(heap)/float64(n), "heapB/task")
			runtime.KeepAlive(stream)
		})
	}
}

func size(pieces [][]byte) (bytes int) {
	for _, p := range pieces {
		bytes += len(p)
	}
	return bytes
}

// BenchmarkSnapshot saves all that is known.
func BenchmarkSnapshot(b *testing.B) {
	crowds(b, func(b *testing.B, stream *enrich.Stream, n int) {
		bytes := 0
		for b.Loop() {
			bytes = size(stream.Snapshot(nil, false))
		}
		b.ReportMetric(float64(bytes), "state-bytes")
		b.ReportMetric(float64(bytes)/float64(n), "B/task")
		b.ReportMetric(float64(b.Elapsed())/float64(time.Millisecond)/float64(b.N), "ms/save")
	})
}

// BenchmarkLoad loads it.
func BenchmarkLoad(b *testing.B) {
	crowds(b, func(b *testing.B, stream *enrich.Stream, n int) {
		pieces := stream.Snapshot(nil, false)
		c := config
		c.Limits = task.Limits{Tasks: 1 << 21, Ended: 1 << 16, Execs: 1 << 23, Depth: 1024}
		before := heapInUse()
		var t *tracking
		for b.Loop() {
			t = &tracking{}
			t.stream = enrich.New(c, t)
			l := enrich.NewLoader(t.stream)
			for _, piece := range pieces {
				if err := l.Snapshot(piece); err != nil {
					b.Fatal(err)
				}
			}
			l.Finish()
		}
		b.ReportMetric(float64(b.Elapsed())/float64(time.Millisecond)/float64(b.N), "ms/load")
		b.ReportMetric(float64(size(pieces)), "state-bytes")
		b.ReportMetric(float64(heapInUse()-before)/float64(n), "loadedB/task")
		if got := t.stream.Counts().Tasks; got.Tasks != n+1 {
			b.Fatalf("%+v", got)
		}
	})
}

package spool

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"
)

// BenchmarkMemory puts chunks and takes them in one goroutine, or the one in one and the other in another.
func BenchmarkMemory(b *testing.B) {
	for _, size := range []int{200, 4 << 10, 64 << 10} {
		chunk := bytes.Repeat([]byte{'x'}, size)
		b.Run(fmt.Sprintf("%d bytes, in turn", size), func(b *testing.B) {
			q := New(Config{Memory: 64 << 20})
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				q.Put(chunk, 1)
				<-q.Ready()
				c, items, _ := q.Next()
				q.Done(len(c), items)
			}
		})
		b.Run(fmt.Sprintf("%d bytes, together", size), func(b *testing.B) {
			q := New(Config{Memory: 64 << 20})
			b.SetBytes(int64(size))
			b.ReportAllocs()
			go func() {
				for i := range b.N {
					q.Put(chunk, 1)
					if i%64 == 0 {
						for m, _, _ := q.Size(); m > 32<<20; m, _, _ = q.Size() {
							runtime.Gosched()
						}
					}
				}
				q.End(io.EOF)
			}()
			for range q.Ready() {
				c, items, err := q.Next()
				if err != nil {
					break
				}
				q.Done(len(c), items)
			}
			if l := q.Counts().Lost.Items; l > 0 {
				b.Errorf("%d are lost", l)
			}
		})
	}
}

// BenchmarkFile puts more than memory holds, and takes it from the file.
func BenchmarkFile(b *testing.B) {
	chunk := bytes.Repeat([]byte{'x'}, 64<<10)
	q := New(Config{Memory: 8 << 20, Dir: b.TempDir(), File: 1 << 30})
	defer q.Close()
	b.SetBytes(256 << 20)
	for b.Loop() {
		for range 256 << 4 {
			for m, _, _ := q.Size(); m > 5<<20; m, _, _ = q.Size() {
				runtime.Gosched()
			}
			q.Put(chunk, 1)
		}
		for {
			c, items, _ := q.Next()
			if len(c) == 0 {
				if m, f, _ := q.Size(); m+f == 0 {
					break
				}
				<-q.Ready()
				continue
			}
			q.Done(len(c), items)
		}
	}
	if l := q.Counts().Lost.Items; l > 0 {
		b.Errorf("%d are lost", l)
	}
}

// BenchmarkPut says how long a Put takes at the worst (which on a busy machine is when it has to wait for a processor), in a queue that has been full for long, whose file does not answer
// or answers slowly.
func BenchmarkPut(b *testing.B) {
	for name, hang := range map[string]time.Duration{"no file": 0, "slow disk": time.Millisecond, "disk hangs": time.Minute} {
		b.Run(name, func(b *testing.B) {
			conf := Config{Memory: 8 << 20}
			if hang > 0 {
				conf.Dir, conf.File = "dir", 32<<20
			}
			q := newQueue(conf, &fakeDisk{most: 64 << 20, hang: hang})
			defer q.Close()
			chunk := bytes.Repeat([]byte{'x'}, 16<<10)
			for range 4096 {
				q.Put(chunk, 1)
			}
			var took []time.Duration
			b.SetBytes(int64(len(chunk)))
			for b.Loop() {
				begin := time.Now()
				q.Put(chunk, 1)
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*999/1000].Nanoseconds())/1e3, "µs-99.9%")
			b.ReportMetric(float64(took[len(took)-1].Nanoseconds())/1e3, "µs-worst")
		})
	}
}

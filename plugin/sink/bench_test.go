package sink

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// BenchmarkWrite appends 64 KiB at a time, and says how long the slowest took, which are those that rotate.
func BenchmarkWrite(b *testing.B) {
	var batch []byte
	for i := 0; len(batch) < 64<<10; i++ {
		batch = fmt.Appendf(batch, "type=SYSCALL msg=audit(1795339375.721:%d): arch=c000003e syscall=59 success=yes exit=0 pid=%d\n", i, i*7919%65536)
	}
	batch = bytes.Clone(batch)
	for _, c := range []struct {
		name string
		r    Rotation
	}{
		{"one file", Rotation{}},
		{"rotated", Rotation{Bytes: 16 << 20, Keep: 8}},
		{"compressed", Rotation{Bytes: 16 << 20, Keep: 8, Compress: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			f, err := New(Config{Path: filepath.Join(b.TempDir(), "log"), Mode: 0o600, Rotate: c.r})
			if err != nil {
				b.Fatal(err)
			}
			var took []time.Duration
			b.SetBytes(int64(len(batch)))
			for b.Loop() {
				begin := time.Now()
				if err := f.Write(batch); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(begin))
			}
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-99%")
			b.ReportMetric(float64(took[len(took)-1].Microseconds()), "µs-worst")
		})
	}
}

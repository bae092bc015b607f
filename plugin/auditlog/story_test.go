package auditlog

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"audisp-history/enrich/record"
)

// TestStories writes, rotates and reads at random, also between any two looks of the reader at a name: every line comes
// once, in order.
func TestStories(t *testing.T) {
	for seed := range uint64(120) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { story(t, rand.New(rand.NewPCG(seed, 3))) })
	}
}

func story(t *testing.T, r *rand.Rand) {
	a := newAuditd(t, []int{0, 2, 3, 5}[r.IntN(4)])
	// Rotations begun since the reader was at the end. Of what auditd keeps n files of, n are safe.
	begun := 0
	act := func() {
		switch n := r.IntN(20); {
		case a.renames != nil && n < 12, a.renames == nil && n < 3 && (a.keep == 0 || begun < a.keep):
			if a.renames == nil {
				begun++
			}
			a.step()
		case a.renames != nil: // it writes when it is done
		case n < 6 && a.half == "":
			a.begin("")
		default:
			a.write(strings.Repeat("x", r.IntN(200)))
		}
	}
	for range r.IntN(60) {
		act()
		begun = min(len(a.renames), 1)
	}
	l := a.log()
	bursts := 10 // left; without an end open would give up
	l.lstat = func(name string) (fs.FileInfo, error) {
		if bursts > 0 && r.IntN(8) == 0 {
			bursts--
			for range 1 + r.IntN(4) {
				act()
			}
		}
		return os.Lstat(name)
	}
	s, err := l.Back(math.MaxInt64, never)
	must(t, err)
	defer s.Close()
	bursts = 0
	got := first(t, a, s)
	for range 150 {
		for range r.IntN(4) {
			act()
		}
		for range r.IntN(12) {
			bursts = 10
			line, err := s.Next()
			if err == io.EOF {
				begun = unread(a, s)
				break
			}
			must(t, err)
			got = append(got, string(line))
		}
	}
	bursts = 0
	for a.renames != nil {
		a.step()
	}
	torn := a.torn
	got = append(got, drain(t, s)...)
	same(t, got, a.lines)
	if s.Skipped() > torn {
		t.Errorf("%d lines skipped, %d never got an end", s.Skipped(), torn)
	}
}

// unread is how many rotations there are, at the most, between the file that was read to its end and the one to come.
func unread(a *auditd, s *Span) int {
	n := min(len(a.renames), 1) // the one under way
	now, err1 := os.Lstat(a.path)
	read, err2 := s.files[0].Stat()
	if err1 != nil || err2 != nil || !os.SameFile(now, read) {
		n++
	}
	return n
}

// first reads the first line, and returns with it those before, which auditd had removed by then.
func first(t *testing.T, a *auditd, s *Span) []string {
	t.Helper()
	line, err := s.Next()
	if err == io.EOF {
		return slices.Clone(a.lines)
	}
	must(t, err)
	i := slices.Index(a.lines, string(line))
	if i < 0 || a.keep == 0 && i > 0 {
		t.Fatalf("begins with %q", line)
	}
	return slices.Clone(a.lines[:i+1])
}

// A writer and a reader at the same time.
func TestConcurrently(t *testing.T) {
	a := newAuditd(t, 0)
	a.write("")
	s := a.back(math.MaxInt64, never)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 4000 {
			a.write("")
			if i%40 == 39 {
				a.rotate()
			}
		}
	}()
	var got []string
	for over := false; ; {
		got = append(got, drain(t, s)...)
		if over {
			break
		}
		select {
		case <-done:
			over = true
		default:
			runtime.Gosched()
		}
	}
	same(t, got, a.lines)
}

// FuzzSpan reads arbitrary bytes in up to three files: every complete line once, in order, from where the limit or the
// serial asked for has it begin.
func FuzzSpan(f *testing.F) {
	line := text(7, "")
	f.Add([]byte(line+line), uint16(5), uint16(60), uint8(16), int64(1000), uint64(7))
	f.Add([]byte("\n\na\n"+text(1, "")+"half"), uint16(0), uint16(3), uint8(1), int64(40), uint64(0))
	f.Add([]byte(strings.Repeat(text(3, " x"), 9)), uint16(130), uint16(200), uint8(255), int64(200), uint64(3))
	f.Add(bytes.Repeat([]byte("0123456789abcdef"), 9000), uint16(1), uint16(2), uint8(9), int64(math.MaxInt64), uint64(1))
	f.Add([]byte{}, uint16(0), uint16(0), uint8(0), int64(-1), uint64(0))
	dir := f.TempDir()
	path := filepath.Join(dir, "audit.log")
	f.Fuzz(func(t *testing.T, data []byte, cut1, cut2 uint16, block uint8, limit int64, serial uint64) {
		i := min(int(cut1), len(data))
		j := min(max(int(cut2), i), len(data))
		files := [][]byte{data[:i], data[i:j], data[j:]} // oldest first
		for n, b := range files {
			name := path
			if n < 2 {
				name = fmt.Sprint(path, ".", 2-n)
			}
			must(t, os.WriteFile(name, b, 0o600))
		}
		l := At(path)
		l.block = int(block) + 1
		if len(data) > 8<<10 { // to the byte it would take long
			l.block *= 100
		}
		checkSpan(t, l, limit, func(*record.Header) bool { return false }, suffix(files, limit), false)

		wanted := func(h *record.Header) bool { return h.Serial == serial }
		all := suffix(files, math.MaxInt64)
		last := len(all) - 1 // the line that must be found
		for ; last >= 0; last-- {
			if h, ok := record.ParseHeader([]byte(all[last])); ok && wanted(&h) {
				break
			}
		}
		checkSpan(t, l, math.MaxInt64, wanted, all[max(last, 0):], last >= 0)
	})
}

// checkSpan wants the lines at the end of a Span, and nothing before them unless it was found enough.
func checkSpan(t *testing.T, l *Log, limit int64, enough func(*record.Header) bool, want []string, found bool) {
	t.Helper()
	s, err := l.Back(limit, enough)
	must(t, err)
	defer s.Close()
	if s.Enough() != found {
		t.Fatalf("enough: %v, want %v", s.Enough(), found)
	}
	got := drain(t, s)
	if found && len(got) > len(want) {
		got = got[len(got)-len(want):]
	}
	same(t, got, want)
}

// suffix is which lines begin in the last limit bytes of files, without those that are too long or not complete.
func suffix(files [][]byte, limit int64) []string {
	var lines []string
	for n, b := range slices.Backward(files) {
		if limit <= 0 && n < len(files)-1 {
			break
		}
		from := int64(len(b)) - min(max(limit, 0), int64(len(b)))
		limit -= int64(len(b))
		var of []string
		at := int64(0)
		for line := range bytes.Lines(b) {
			if at >= from && len(line) <= record.MaxLine && line[len(line)-1] == '\n' {
				of = append(of, string(line))
			}
			at += int64(len(line))
		}
		lines = append(of, lines...)
	}
	return lines
}

// bigLog is 40 MB in five files.
func bigLog(b *testing.B) *Log {
	a := newAuditd(b, 0)
	var text bytes.Buffer
	for n := range 5 {
		if n > 0 {
			a.rotate()
		}
		for text.Reset(); text.Len() < 8<<20; a.serial++ {
			fmt.Fprintf(&text, "type=SYSCALL msg=audit(1700000000.123:%d): arch=c000003e syscall=59 success=yes exit=0 "+
				"a0=55d0 a1=55d1 a2=55d2 a3=8 items=2 ppid=1 pid=%d auid=1000 uid=0 comm=\"ls\" exe=\"/usr/bin/ls\"\n", a.serial, n)
		}
		a.put(text.String())
	}
	b.SetBytes(int64(5 * text.Len()))
	return At(a.path)
}

func BenchmarkBack(b *testing.B) {
	l := bigLog(b)
	for b.Loop() {
		s, err := l.Back(math.MaxInt64, never)
		must(b, err)
		must(b, s.Close())
	}
}

func BenchmarkNext(b *testing.B) {
	l := bigLog(b)
	for b.Loop() {
		s, err := l.Back(math.MaxInt64, never)
		must(b, err)
		for err == nil {
			_, err = s.Next()
		}
		must(b, s.Close())
	}
}

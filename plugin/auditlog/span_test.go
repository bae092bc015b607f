package auditlog

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"strings"
	"testing"

	"audisp-history/enrich/record"
)

func TestFollow(t *testing.T) {
	for _, c := range []struct {
		name  string
		keep  int
		story func(a *auditd, s *Span)
		left  int // lines that are to come after the story
	}{
		{"appended", 0, func(a *auditd, _ *Span) { a.write(""); a.write("") }, 2},
		{"a half line, then the rest", 0, func(a *auditd, s *Span) {
			a.begin("")
			a.want(s, len(a.lines))
			a.write("")
		}, 1},
		{"appended before the rotation and after", 0, func(a *auditd, _ *Span) { a.write(""); a.rotate(); a.write("") }, 2},
		{"several rotations", 0, func(a *auditd, _ *Span) {
			for range 5 {
				a.write("")
				a.rotate()
			}
		}, 5},
		{"rotated until the one that was read has gone", 3, func(a *auditd, _ *Span) {
			for range 3 {
				a.write("")
				a.rotate()
			}
		}, 3},
		{"the log has gone, then is there again", 0, func(a *auditd, s *Span) {
			must(a.t, os.Rename(a.path, a.path+".1"))
			a.write("")
			a.want(s, len(a.lines)-1)
			a.file.Close()
			a.create()
			a.write("")
			a.want(s, len(a.lines)-1)
			a.write("")
		}, 1},
		{"moved away by somebody else", 0, func(a *auditd, _ *Span) {
			a.write("")
			must(a.t, os.Rename(a.path, a.path+"-yesterday"))
			a.file.Close()
			a.create()
			a.write("")
		}, 2},
		{"truncated to nothing", 0, func(a *auditd, _ *Span) {
			must(a.t, a.file.Truncate(0))
			a.write("")
		}, 1},
		{"truncated before it is rotated", 0, func(a *auditd, _ *Span) {
			must(a.t, a.file.Truncate(0))
			a.rotate()
			a.write("")
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAuditd(t, c.keep)
			a.write("")
			a.rotate()
			a.write("")
			a.write("")
			s := a.back(math.MaxInt64, upTo(3))
			got := drain(t, s)
			same(t, got, a.lines[3-len(got):])
			c.story(a, s)
			a.want(s, len(a.lines)-c.left)
			a.want(s, len(a.lines))
		})
	}
}

// auditd writes and rotates after Next has come to the end of the file, but before it looks whether there is another.
func TestWrittenBeforeTheRotation(t *testing.T) {
	a := chain(t)
	l := a.log()
	s, err := l.Back(math.MaxInt64, never)
	must(t, err)
	defer s.Close()
	a.want(s, 0)
	l.lstat = func(name string) (fs.FileInfo, error) {
		l.lstat = os.Lstat
		a.write("")
		a.rotate()
		a.write("")
		return os.Lstat(name)
	}
	a.want(s, 9)
	if len(a.lines) != 11 || s.Skipped() != 0 {
		t.Errorf("%d lines, %d skipped", len(a.lines), s.Skipped())
	}
}

func TestSkipped(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n-1) + "\n" }
	for _, c := range []struct {
		name    string
		files   []string // oldest first
		want    []string
		skipped uint64
	}{
		{"the longest line", []string{long(record.MaxLine)}, []string{long(record.MaxLine)}, 0},
		{"a byte more", []string{"a\n" + long(record.MaxLine+1) + "b\n"}, []string{"a\n", "b\n"}, 1},
		{"much more", []string{"a\n" + long(3*chunk) + "b\n" + long(2*chunk) + "c\n"}, []string{"a\n", "b\n", "c\n"}, 2},
		{"an end that never comes", []string{"a\nb", "c\n"}, []string{"a\n", "c\n"}, 1},
		{"a long one that never ends", []string{"a\n" + strings.Repeat("x", 3*chunk), "c\n"}, []string{"a\n", "c\n"}, 1},
		{"an end that may come yet", []string{"a\nb"}, []string{"a\n"}, 0},
		{"empty lines", []string{"\n\na\n\n"}, []string{"\n", "\n", "a\n", "\n"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAuditd(t, 0)
			for i, text := range c.files {
				if i > 0 {
					a.rotate()
				}
				a.put(text)
			}
			l := At(a.path)
			s, err := l.Back(math.MaxInt64, never)
			must(t, err)
			defer s.Close()
			same(t, drain(t, s), c.want)
			if s.Skipped() != c.skipped {
				t.Errorf("%d skipped, want %d", s.Skipped(), c.skipped)
			}
		})
	}
}

func TestTheLongestLineInHalves(t *testing.T) {
	a := chain(t)
	s := a.back(math.MaxInt64, never)
	a.want(s, 0)
	half := strings.Repeat("x", record.MaxLine-1)
	a.put(half)
	a.want(s, 9)
	a.put("\n")
	same(t, drain(t, s), []string{half + "\n"})
}

func TestTruncatedInTheMiddle(t *testing.T) {
	a := chain(t)
	s := a.back(math.MaxInt64, never)
	a.want(s, 0)
	must(t, a.file.Truncate(int64(len(a.lines[6])+10)))
	same(t, drain(t, s), a.lines[6:7]) // twice; and the half line is not given
	a.put("\n")
	same(t, drain(t, s), []string{a.lines[7][:10] + "\n"})
}

// The log turns into something else while it is followed: an error, and it goes on when that is put right.
func TestFollowAfterAnError(t *testing.T) {
	a := chain(t)
	s := a.back(math.MaxInt64, never)
	a.want(s, 0)
	a.rotate()
	must(t, os.Rename(a.path, a.path+".aside"))
	must(t, os.Mkdir(a.path, 0o700))
	for range 2 {
		_, err := s.Next()
		if !errors.Is(err, errIrregular) || strings.Count(err.Error(), "auditd's log") != 1 {
			t.Fatalf("error %v", err)
		}
	}
	must(t, os.Remove(a.path))
	must(t, os.Rename(a.path+".aside", a.path))
	a.write("")
	a.want(s, 9)
}

// However many files there are, few stay open that are not to be read, and Close leaves none.
func TestClose(t *testing.T) {
	a := newAuditd(t, 0)
	for range 50 {
		a.write("")
		a.rotate()
	}
	a.write("")
	before := descriptors(t)
	s := a.back(math.MaxInt64, upTo(51))
	if n := descriptors(t) - before; n > 3 {
		t.Errorf("%d files open for one that is read", n)
	}
	drain(t, s)
	must(t, s.Close())
	must(t, s.Close())
	s = a.back(math.MaxInt64, never)
	drain(t, s)
	if n := descriptors(t) - before; n > 2 {
		t.Errorf("%d files open at the end", n)
	}
	must(t, s.Close())
	if n := descriptors(t) - before; n != 0 {
		t.Errorf("%d files left open", n)
	}
	if _, err := s.Next(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

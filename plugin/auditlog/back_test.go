package auditlog

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"audisp-history/enrich/record"
)

func drain(t testing.TB, s *Span) []string {
	t.Helper()
	var lines []string
	for {
		line, err := s.Next()
		if err == io.EOF {
			return lines
		}
		must(t, err)
		lines = append(lines, string(line))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Three lines each in audit.log.2 (1 to 3), .1 (4 to 6) and audit.log (7 to 9).
func chain(t *testing.T) *auditd {
	a := newAuditd(t, 0)
	for i := range 9 {
		if i > 0 && i%3 == 0 {
			a.rotate()
		}
		a.write("")
	}
	return a
}

// A block is a little longer than a line.
func TestBack(t *testing.T) {
	size := int64(len(text(1, "")))
	for _, c := range []struct {
		name   string
		limit  int64
		enough func(*record.Header) bool
		found  bool
		from   int // how many lines are left out
	}{
		{"never enough", math.MaxInt64, never, false, 0},
		{"the last line", math.MaxInt64, upTo(9), true, 8},
		{"a line in the log", math.MaxInt64, upTo(8), true, 7},
		{"the first line of the log", math.MaxInt64, upTo(7), true, 6},
		{"the last line of a rotation", math.MaxInt64, upTo(6), true, 5},
		{"the oldest line", math.MaxInt64, upTo(1), true, 0},
		{"no bytes", 0, upTo(9), false, 9},
		{"fewer than none", -1, upTo(9), false, 9},
		{"less than a line", size - 1, upTo(9), false, 9},
		{"one line, the start of which is not known", size, never, false, 8},
		{"into the log", 2*size + 5, never, false, 7},
		{"into it, more than enough", 2*size + 5, upTo(9), true, 8},
		{"all of the log", 3 * size, never, false, 6},
		{"all of the log and a byte", 3*size + 1, never, false, 6},
		{"into a rotation", 5 * size, never, false, 4},
		{"all there is", 9 * size, never, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := chain(t)
			s := a.back(c.limit, c.enough)
			if s.Enough() != c.found {
				t.Errorf("enough: %v, want %v", s.Enough(), c.found)
			}
			got := drain(t, s)
			if c.found && len(got) == 9-c.from+1 { // the block has a line more
				c.from--
			}
			same(t, got, a.lines[c.from:])
			if s.Skipped() != 0 {
				t.Errorf("%d lines skipped", s.Skipped())
			}
		})
	}
}

// Each complete line is asked about once, those that lie in many blocks, too, and none after enough was reported.
func TestBackAsksOnce(t *testing.T) {
	for _, block := range []int{1, 63, 64, 65, 1000, 256 << 10} {
		a := newAuditd(t, 0)
		for i := range 300 {
			if i%77 == 76 {
				a.rotate()
			}
			a.write(strings.Repeat("x", i*i%401))
		}
		a.begin(" unfinished")
		l := At(a.path)
		l.block = block

		asked := make(map[uint64]int)
		s, err := l.Back(math.MaxInt64, func(h *record.Header) bool {
			asked[h.Serial]++
			return false
		})
		must(t, err)
		a.want(s, 0)
		must(t, s.Close())
		for i := uint64(1); i <= 300; i++ {
			if asked[i] != 1 {
				t.Errorf("blocks of %d: asked %d times about line %d", block, asked[i], i)
			}
		}
		if len(asked) != 300 {
			t.Errorf("blocks of %d: asked about %d lines", block, len(asked))
		}

		found, after := false, 0
		s, err = l.Back(math.MaxInt64, func(h *record.Header) bool {
			if found {
				after++
			}
			found = h.Serial == 150
			return found
		})
		must(t, err)
		if after != 0 || !s.Enough() {
			t.Errorf("blocks of %d: enough %v, asked %d times more after it was", block, s.Enough(), after)
		}
		if got := drain(t, s); len(got) < 151 {
			t.Errorf("blocks of %d: begins behind the line that was enough: %q", block, got[0])
		}
		must(t, s.Close())
	}
}

func TestRotations(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(a *auditd)
		from  int
	}{
		{"one file", func(a *auditd) { a.write("") }, 0},
		{"an empty log", func(*auditd) {}, 0},
		{"an empty log after rotations", func(a *auditd) { a.write(""); a.rotate(); a.rotate() }, 0},
		{"more than nine", func(a *auditd) {
			for range 25 {
				a.write("")
				a.rotate()
			}
		}, 0},
		{"the oldest are removed", func(a *auditd) {
			a.keep = 3
			for range 10 {
				a.write("")
				a.rotate()
			}
		}, 8},
		{"files of other names", func(a *auditd) {
			for _, suffix := range []string{".1.gz", ".01", ".0", ".-1", ".+1", ".x", ".", "1", ".99999999999999999999", "-2"} {
				must(a.t, os.WriteFile(a.path+suffix, []byte("not read\n"), 0o600))
			}
			a.write("")
			a.rotate()
			a.write("")
		}, 0},
		{"a gap in the numbers", func(a *auditd) {
			a.write("")
			a.rotate()
			a.write("")
			must(a.t, os.Rename(a.path+".1", a.path+".7"))
		}, 0},
		{"no log, but a rotation", func(a *auditd) {
			a.write("")
			must(a.t, os.Rename(a.path, a.path+".1"))
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAuditd(t, 0)
			c.story(a)
			a.want(a.back(math.MaxInt64, never), c.from)
		})
	}
}

// At every step of a rotation nothing is left out, and nothing comes twice.
func TestDuringARotation(t *testing.T) {
	for steps := range 6 {
		a := chain(t)
		for range steps {
			a.step()
		}
		s := a.back(math.MaxInt64, never)
		a.want(s, 0)
		for a.renames != nil {
			a.step()
			a.want(s, len(a.lines))
		}
		a.write("")
		a.want(s, len(a.lines)-1)
	}
}

// Rotations between any two looks at a name: whatever Back and Next find, it is all the lines once.
func TestRotationsWhileLooking(t *testing.T) {
	for look := range 40 {
		a := chain(t)
		l := a.log()
		looks := 0
		l.lstat = func(name string) (fs.FileInfo, error) {
			if looks++; looks > look && looks < look+7 {
				if a.renames == nil {
					a.write("")
				}
				a.step()
			}
			return os.Lstat(name)
		}
		s, err := l.Back(math.MaxInt64, never)
		must(t, err)
		got := append(drain(t, s), drain(t, s)...)
		l.lstat = os.Lstat
		for a.renames != nil {
			a.step()
		}
		same(t, append(got, drain(t, s)...), a.lines)
		must(t, s.Close())
	}
}

func TestRenamedAllTheTime(t *testing.T) {
	a := chain(t)
	l := a.log()
	l.lstat = func(name string) (fs.FileInfo, error) {
		a.step()
		return os.Lstat(name)
	}
	if _, err := l.Back(math.MaxInt64, never); !errors.Is(err, errMoved) {
		t.Errorf("error %v", err)
	}
}

// Another file takes the place of the log while it is opened, and gives it back.
func TestAnotherFileForAMoment(t *testing.T) {
	a := chain(t)
	l := a.log()
	looks := 0
	l.lstat = func(name string) (fs.FileInfo, error) {
		if looks++; looks == 4 {
			must(t, os.Rename(a.path+".aside", a.path))
		}
		info, err := os.Lstat(name)
		if looks == 3 {
			must(t, os.Rename(a.path, a.path+".aside"))
			must(t, os.WriteFile(a.path, []byte("another\n"), 0o600))
		}
		return info, err
	}
	s, err := l.Back(math.MaxInt64, never)
	must(t, err)
	defer s.Close()
	a.want(s, 0)
}

// A FIFO that takes the place of the log between two looks: open does not wait, and the next attempt says what it is.
func TestBecomesAFIFO(t *testing.T) {
	a := chain(t)
	l := a.log()
	looks := 0
	l.lstat = func(name string) (fs.FileInfo, error) {
		info, err := os.Lstat(name)
		if looks++; looks == 3 {
			must(t, os.Remove(a.path))
			must(t, syscall.Mkfifo(a.path, 0o600))
		}
		return info, err
	}
	if _, err := l.Back(math.MaxInt64, never); !errors.Is(err, errIrregular) {
		t.Errorf("error %v", err)
	}
}

func TestNoLog(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(path string) error
		is   error
		part string
	}{
		{"none", func(string) error { return nil }, fs.ErrNotExist, "log_file in auditd.conf must name it"},
		{"no directory", func(path string) error { return os.Remove(filepath.Dir(path)) }, fs.ErrNotExist, "must name it"},
		{"a directory", func(path string) error { return os.Mkdir(path, 0o700) }, errIrregular, "must name one"},
		{"a FIFO", func(path string) error { return syscall.Mkfifo(path, 0o600) }, errIrregular, "must name one"},
		{"a symbolic link", func(path string) error { return os.Symlink("/dev/null", path) }, errIrregular, "must name one"},
		{"a directory for a rotation", func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Mkdir(path+".1", 0o700))
		}, errIrregular, "audit.log.1: not a regular file"},
		{"a FIFO for a rotation", func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), syscall.Mkfifo(path+".1", 0o600))
		}, errIrregular, "audit.log.1: not a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit", "audit.log")
			must(t, os.Mkdir(filepath.Dir(path), 0o700))
			must(t, c.make(path))
			_, err := At(path).Back(math.MaxInt64, never)
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.part) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// What is left of a line, its middle cut out, is none.
func TestCutDuringBack(t *testing.T) {
	a := newAuditd(t, 0)
	a.write("")
	a.write("")
	l := a.log()
	l.block = 10
	var asked []uint64
	s, err := l.Back(math.MaxInt64, func(h *record.Header) bool {
		asked = append(asked, h.Serial)
		must(t, a.file.Truncate(int64(len(a.lines[0])-10)))
		return false
	})
	must(t, err)
	defer s.Close()
	if len(asked) != 1 || asked[0] != 2 {
		t.Errorf("asked about %d, want 2 only", asked)
	}
}

// Truncated while Back walks: no panic, and what is left comes.
func TestTruncatedDuringBack(t *testing.T) {
	a := chain(t)
	asked := 0
	s := a.back(math.MaxInt64, func(*record.Header) bool {
		if asked++; asked == 2 {
			must(t, a.file.Truncate(20))
			must(t, os.Truncate(a.path+".1", 0))
		}
		return false
	})
	same(t, drain(t, s), a.lines[:3])
	if s.Skipped() != 0 {
		t.Errorf("%d skipped", s.Skipped())
	}
}

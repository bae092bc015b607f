package auditlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"audisp-history/enrich/record"
)

// An auditd writes and rotates a log as the real one does (auditd/src/auditd-event.c: rotate_logs, shift_logs), step by
// step.
type auditd struct {
	t       testing.TB
	path    string
	keep    int // num_logs; 0 keeps all
	file    *os.File
	serial  int
	lines   []string // complete ones, as written
	half    string   // the beginning of one that is not
	torn    uint64   // lines that never got an end
	renames []string // what is left to do of a rotation, oldest first; nil if there is none
}

func newAuditd(t testing.TB, keep int) *auditd {
	a := &auditd{t: t, path: filepath.Join(t.TempDir(), "audit.log"), keep: keep}
	a.create()
	t.Cleanup(func() { a.file.Close() })
	return a
}

func (a *auditd) create() {
	var err error
	a.file, err = os.OpenFile(a.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	must(a.t, err)
}

func (a *auditd) put(text string) {
	_, err := a.file.WriteString(text)
	must(a.t, err)
}

func text(serial int, pad string) string {
	return fmt.Sprintf("type=SYSCALL msg=audit(1700000000.123:%d): arch=c000003e%s\n", serial, pad)
}

// write writes one line, or the rest of it.
func (a *auditd) write(pad string) {
	if a.half == "" {
		a.begin(pad)
	}
	a.put("\n")
	a.lines = append(a.lines, a.half+"\n")
	a.half = ""
}

// begin writes a line without its end.
func (a *auditd) begin(pad string) {
	a.serial++
	line := text(a.serial, pad)
	a.half = line[:len(line)-1]
	a.put(a.half)
}

// step does the next step of a rotation, the first if none is under way.
func (a *auditd) step() {
	if a.renames == nil {
		a.file.Close()
		if a.half != "" {
			a.torn++
			a.half = ""
		}
		a.renames = a.names()
	}
	if n := len(a.renames); n > 1 {
		err := os.Rename(a.renames[n-2], a.renames[n-1])
		if !errors.Is(err, fs.ErrNotExist) {
			must(a.t, err)
		}
		a.renames = a.renames[:n-1]
		return
	}
	a.create()
	a.renames = nil
}

// names are those of the log and of as many rotations as are kept.
func (a *auditd) names() []string {
	names := []string{a.path}
	for n := 1; a.keep == 0 || n < a.keep; n++ {
		name := fmt.Sprintf("%s.%d", a.path, n)
		names = append(names, name)
		if _, err := os.Lstat(name); err != nil && a.keep == 0 {
			break
		}
	}
	return names
}

func (a *auditd) rotate() {
	for a.step(); a.renames != nil; {
		a.step()
	}
}

func (a *auditd) log() *Log {
	l := At(a.path)
	l.block = 64
	return l
}

func never(*record.Header) bool { return false }

func upTo(serial int) func(*record.Header) bool {
	return func(h *record.Header) bool { return h.Serial <= uint64(serial) }
}

func (a *auditd) back(limit int64, enough func(*record.Header) bool) *Span {
	a.t.Helper()
	s, err := a.log().Back(limit, enough)
	must(a.t, err)
	a.t.Cleanup(func() { s.Close() })
	return s
}

// want wants the lines written so far, from one on, and then io.EOF.
func (a *auditd) want(s *Span, from int) {
	a.t.Helper()
	same(a.t, drain(a.t, s), a.lines[from:])
}

func same(t testing.TB, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	t.Fatalf("%d lines, want %d; from line %d on\n got %.100q\nwant %.100q", len(got), len(want), i+1,
		got[i:min(i+2, len(got))], want[i:min(i+2, len(want))])
}

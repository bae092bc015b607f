package auditlog

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"

	"audisp-history/enrich/record"
)

// chunk is how many bytes a Span reads at once; more than a line.
const chunk = 256 << 10

// A Span is the log from a place in the past to its end. It holds its files open, so it stays good while auditd rotates
// and removes them. It is not safe for concurrent use.
type Span struct {
	log    *Log
	enough bool
	// The files not read to the end, oldest first; the first is being read. Where there is more than one, nothing is
	// written any more to those before the last: auditd closes a log before it renames it (auditd/src/auditd-event.c:
	// rotate_logs).
	files []*os.File
	// The one that is older than files[0], if there is, held open to be known again: see newer.
	older   *os.File
	off     int64  // where in files[0] to read on
	buf     []byte // what was read
	lo, hi  int    // buf[lo:hi] is not handed out yet
	inside  bool   // within a line that is left out
	skipped uint64
}

// newSpan begins in files, which are newest first, at a place in files[oldest].
func newSpan(l *Log, files []*os.File, oldest int, at int64, enough bool) *Span {
	s := &Span{log: l, enough: enough, buf: make([]byte, chunk)}
	s.files = slices.Clone(files[:oldest+1])
	slices.Reverse(s.files)
	if rest := files[oldest+1:]; len(rest) > 0 {
		s.older = rest[0]
		closeAll(rest[1:])
	}
	if at > 0 { // the byte before tells whether a line begins there
		s.off, s.inside = at-1, true
	}
	return s
}

// Enough is false where [Log.Back] came to the beginning of the oldest log, or to its limit, first.
func (s *Span) Enough() bool { return s.enough }

// Skipped is how many lines were left out so far: longer than [record.MaxLine], or without an end and never to get one,
// since auditd has gone on to another file.
func (s *Span) Skipped() uint64 { return s.skipped }

// Next is the next complete line, oldest first, with its newline; it is valid until the next call. The error is io.EOF
// at the end of what there is now. Next may be called again then: what is written to the log later follows, through as
// many rotations as come, unless auditd has already removed it. After another error, too, Next goes on where it was.
//
// auditd never truncates a log. If somebody else does, Next goes on at its beginning, so lines that were left in it come
// twice.
func (s *Span) Next() ([]byte, error) {
	if len(s.files) == 0 {
		return nil, s.log.explain(os.ErrClosed)
	}
	for {
		if line := s.cut(); line != nil {
			return line, nil
		}
		n, err := s.fill()
		if err == nil && n == 0 {
			err = s.goOn()
		}
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, s.log.explain(err)
		}
	}
}

// cut takes the next line from what was read. It leaves less than MaxLine bytes if there is none.
func (s *Span) cut() []byte {
	for {
		rest := s.buf[s.lo:s.hi]
		n := bytes.IndexByte(rest, '\n') + 1
		if !s.inside && (n > record.MaxLine || n == 0 && len(rest) >= record.MaxLine) {
			s.skipped++
			s.inside = true
		}
		switch {
		case n == 0 && s.inside:
			s.lo = s.hi
			return nil
		case n == 0:
			return nil
		}
		s.lo += n
		if !s.inside {
			return rest[:n:n]
		}
		s.inside = false
	}
}

// fill reads on. It reads nothing at the end of the file.
func (s *Span) fill() (int, error) {
	s.hi = copy(s.buf, s.buf[s.lo:s.hi])
	s.lo = 0
	n, err := s.files[0].ReadAt(s.buf[s.hi:], s.off)
	s.hi += n
	s.off += int64(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// goOn finds out what comes at the end of a file: io.EOF if nothing.
func (s *Span) goOn() error {
	info, err := s.files[0].Stat()
	if err != nil {
		return err
	}
	if info.Size() < s.off { // truncated
		s.begin()
		return nil
	}
	if len(s.files) > 1 {
		if s.older != nil {
			_ = s.older.Close() // only read from
		}
		s.older, s.files = s.files[0], s.files[1:]
		s.begin()
		return nil
	}
	// If there are newer files, this one must be read once more: auditd may have written to it before it rotated.
	newer, err := s.newer(info)
	if err == nil && len(newer) == 0 {
		return io.EOF
	}
	s.files = append(s.files, newer...)
	return err
}

// begin begins a file.
func (s *Span) begin() {
	if s.lo < s.hi {
		s.skipped++
	}
	s.off, s.lo, s.hi, s.inside = 0, 0, 0, false
}

// newer opens the files that are newer than the one read, oldest first.
func (s *Span) newer(read os.FileInfo) ([]*os.File, error) {
	if now, err := s.log.lstat(s.log.path); err == nil && os.SameFile(now, read) {
		return nil, nil
	}
	marks := []os.FileInfo{read}
	if s.older != nil {
		info, err := s.older.Stat()
		if err != nil {
			return nil, err
		}
		marks = append(marks, info)
	}
	files, err := s.log.open(func(places []place) []place { return after(places, marks) })
	slices.Reverse(files)
	return files, err
}

// after takes the places of what is newer than the file marks[0]. Where that one has gone: if somebody has moved it
// away, the file that came before it, marks[1], is there still; if auditd has removed it, since it keeps so many only,
// it has removed those before it, too, and all there is is newer.
func after(places []place, marks []os.FileInfo) []place {
	for _, mark := range marks {
		i := slices.IndexFunc(places, func(p place) bool { return os.SameFile(p.info, mark) })
		if i >= 0 {
			return places[:i]
		}
	}
	return places
}

// Close ends the use of the files.
func (s *Span) Close() error {
	if s.older != nil {
		_ = s.older.Close() // only read from
	}
	closeAll(s.files)
	s.older, s.files = nil, nil
	return nil
}

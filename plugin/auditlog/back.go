package auditlog

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"audisp-history/enrich/record"
)

// Back opens the log at a place that is far enough back. It walks backwards from the end, block by block and through
// the rotations, until enough reports true for a header in the block (the Span begins with the first line of that
// block), until no older file is left, or until limit bytes were walked. It asks enough about the complete lines, the
// last one first, about each at most once, and never again after it reported true; the header is valid during the call
// only.
//
// The error wraps fs.ErrNotExist if there is no log.
func (l *Log) Back(limit int64, enough func(h *record.Header) bool) (*Span, error) {
	files, err := l.open(func(places []place) []place { return within(places, limit) })
	if err != nil {
		return nil, l.explain(err)
	}
	if len(files) == 0 {
		return nil, l.explain(fs.ErrNotExist)
	}
	w := walk{buf: make([]byte, l.block), left: limit, enough: enough}
	var at int64
	oldest := 0
	for i, f := range files {
		if i > 0 && (w.found || w.left <= 0) {
			break
		}
		if at, err = w.file(f); err != nil {
			closeAll(files)
			return nil, l.explain(err)
		}
		oldest = i
	}
	return newSpan(l, files, oldest, at, w.found), nil
}

// within takes the newest files that make up limit bytes and, as a Span wants it, one more.
func within(places []place, limit int64) []place {
	n := 0
	for ; n < len(places) && n < maxFiles-1 && (n == 0 || limit > 0); n++ {
		limit -= places[n].info.Size()
	}
	return places[:min(n+1, len(places))]
}

// A walk reads files from their ends to their beginnings.
type walk struct {
	buf    []byte
	left   int64 // bytes that may still be read
	enough func(h *record.Header) bool
	found  bool
	// What follows the place reached, up to the end of its line. nil where that line does not end or is too long.
	tail []byte
	room []byte // where the tail lies
	head record.Header
}

// file walks through one and returns the place reached.
func (w *walk) file(f *os.File) (at int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	at, w.tail = info.Size(), nil
	for at > 0 && w.left > 0 && !w.found {
		n := min(int64(len(w.buf)), at, w.left)
		at -= n
		w.left -= n
		got, err := f.ReadAt(w.buf[:n], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if int64(got) < n { // somebody has truncated it
			w.tail = nil
		}
		w.block(w.buf[:got], at == 0)
	}
	return at, nil
}

// block looks into the lines that begin in b, which is what comes before the tail.
func (w *walk) block(b []byte, first bool) {
	end := bytes.IndexByte(b, '\n') + 1 // of the line that began before b
	last := bytes.LastIndexByte(b, '\n') + 1
	if last > 0 {
		w.look(w.join(b[last:]))
		w.tail = b[:end]
	} else {
		w.tail = w.join(b)
	}
	for b := b[end:last]; len(b) > 0 && !w.found; {
		n := bytes.LastIndexByte(b[:len(b)-1], '\n') + 1
		w.look(b[n:])
		b = b[:n]
	}
	if first {
		w.look(w.tail)
	}
	w.tail = w.keep(w.tail)
}

// join puts b before the tail.
func (w *walk) join(b []byte) []byte {
	if w.tail == nil || len(b)+len(w.tail) > record.MaxLine {
		return nil
	}
	return slices.Concat(b, w.tail)
}

// keep copies a tail out of the block, which will be read over.
func (w *walk) keep(tail []byte) []byte {
	if tail == nil || len(tail) > record.MaxLine {
		return nil
	}
	w.room = append(w.room[:0], tail...)
	return w.room
}

// look asks about one complete line.
func (w *walk) look(line []byte) {
	if w.found || len(line) > record.MaxLine {
		return
	}
	var ok bool
	if w.head, ok = record.ParseHeader(line); ok {
		w.found = w.enough(&w.head)
	}
}

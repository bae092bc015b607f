package record

import "bytes"

// Lines cuts a stream of bytes into lines. The zero value is ready to use.
type Lines struct {
	partial []byte // the beginning of a line whose end has not come
	long    bool   // the line so far was longer than MaxLine: what follows belongs to it
}

// A LineHandler gets the lines of a stream. The slices are valid during the call only.
type LineHandler interface {
	// Line gets a line with its newline. The last of a stream may have none.
	Line(line []byte)
	// Piece gets a part of a line that is longer than MaxLine, the last with its newline.
	Piece(part []byte)
}

// Feed takes the next bytes of the stream and hands on the lines that they complete.
func (l *Lines) Feed(chunk []byte, h LineHandler) {
	for len(chunk) > 0 {
		n := bytes.IndexByte(chunk, '\n') + 1
		whole := n > 0
		if !whole {
			n = len(chunk)
		}
		l.take(chunk[:n], whole, h)
		chunk = chunk[n:]
	}
}

func (l *Lines) take(b []byte, whole bool, h LineHandler) {
	switch {
	case l.long || len(l.partial)+len(b) > MaxLine:
		l.piece(h)
		h.Piece(b)
		l.long = !whole
	case !whole:
		l.partial = append(l.partial, b...)
	case len(l.partial) > 0:
		l.partial = append(l.partial, b...)
		h.Line(l.partial)
		l.partial = l.partial[:0]
	default:
		h.Line(b)
	}
}

func (l *Lines) piece(h LineHandler) {
	if len(l.partial) > 0 {
		h.Piece(l.partial)
		l.partial = l.partial[:0]
	}
}

// Rest returns what came after the last newline, unless it is part of a long line, and forgets it. See Open for that.
func (l *Lines) Rest() []byte {
	rest := l.partial
	l.partial, l.long = nil, false
	return rest
}

// Open reports whether the stream so far ends within a long line, of which the handler has got what there is.
func (l *Lines) Open() bool { return l.long }

// Package packed is a compact binary encoding: small numbers in few bytes, each string once. What is read is taken for
// hostile: nothing is believed of a length but what the bytes that are there can hold.
package packed

import "encoding/binary"

// MaxString is the longest string in bytes.
const MaxString = 4096

// The strings of a dictionary are bounded, in number and in bytes. Any more are written out each time.
const (
	maxStrings     = 1 << 16
	maxStringBytes = 4 << 20
)

// A Writer appends values to a buffer. The zero value is ready to use.
type Writer struct {
	buf   []byte
	known map[string]uint32
	bytes int // of the strings that are known
}

// Byte appends a byte.
func (w *Writer) Byte(b byte) { w.buf = append(w.buf, b) }

// Uint appends a number, in one byte if it is below 128.
func (w *Writer) Uint(v uint64) { w.buf = binary.AppendUvarint(w.buf, v) }

// Int appends a number of either sign, in one byte if it is from -64 to 63.
func (w *Writer) Int(v int64) { w.buf = binary.AppendVarint(w.buf, v) }

// Bool appends a truth.
func (w *Writer) Bool(b bool) {
	if b {
		w.Byte(1)
		return
	}
	w.Byte(0)
}

// String appends a string, of which only the first MaxString bytes are kept: its number if it was written before, else 0
// and the string.
func (w *Writer) String(s string) {
	s = s[:min(len(s), MaxString)]
	if n, ok := w.known[s]; ok {
		w.Uint(uint64(n))
		return
	}
	w.fresh(s)
}

// Text is String for bytes.
func (w *Writer) Text(b []byte) {
	b = b[:min(len(b), MaxString)]
	if n, ok := w.known[string(b)]; ok {
		w.Uint(uint64(n))
		return
	}
	w.fresh(string(b))
}

// Raw appends bytes, of which no dictionary is kept.
func (w *Writer) Raw(b []byte) {
	b = b[:min(len(b), MaxString)]
	w.Uint(uint64(len(b)))
	w.buf = append(w.buf, b...)
}

func (w *Writer) fresh(s string) {
	w.Byte(0)
	w.Uint(uint64(len(s)))
	w.buf = append(w.buf, s...)
	if !room(len(w.known), w.bytes, len(s)) {
		return
	}
	if w.known == nil {
		w.known = make(map[string]uint32)
	}
	w.bytes += len(s)
	w.known[s] = uint32(len(w.known) + 1)
}

// room reports whether a dictionary takes one more string.
func room(count, bytes, length int) bool {
	return count < maxStrings && bytes+length <= maxStringBytes
}

// Bytes is what was appended since the last Cut. It is valid until the next call.
func (w *Writer) Bytes() []byte { return w.buf }

// Len is how many bytes that are.
func (w *Writer) Len() int { return len(w.buf) }

// Cut forgets the bytes and keeps the dictionary: what follows is a further piece of the same.
func (w *Writer) Cut() { w.buf = w.buf[:0] }

// Reset forgets both.
func (w *Writer) Reset() {
	w.Cut()
	clear(w.known)
	w.bytes = 0
}

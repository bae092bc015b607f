package packed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A Reader reads what a Writer wrote, piece by piece. The first error stays: after it every value is zero. The zero
// value is ready for Feed.
type Reader struct {
	buf   []byte
	err   error
	known []string
	bytes int
}

// The errors.
var (
	ErrShort   = errors.New("ends too early")
	ErrInvalid = errors.New("is no value")
)

// Feed takes the next piece, whose bytes must not change while they are read; what was left of the one before is
// dropped. After an error it takes nothing: the dictionary may lack strings that later pieces refer to.
func (r *Reader) Feed(b []byte) {
	if r.err == nil {
		r.buf = b
	}
}

// More reports whether there is more to read.
func (r *Reader) More() bool { return r.err == nil && len(r.buf) > 0 }

// Err is the first error.
func (r *Reader) Err() error { return r.err }

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("packed: %w", err)
	}
	r.buf = nil
}

// Byte reads a byte.
func (r *Reader) Byte() byte {
	if len(r.buf) == 0 {
		r.fail(ErrShort)
		return 0
	}
	b := r.buf[0]
	r.buf = r.buf[1:]
	return b
}

// Uint reads a number.
func (r *Reader) Uint() uint64 {
	v, n := binary.Uvarint(r.buf)
	if n <= 0 {
		r.broken(n)
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

// Uint32 reads a number that must fit.
func (r *Reader) Uint32() uint32 {
	v := r.Uint()
	if v > math.MaxUint32 {
		r.fail(ErrInvalid)
		return 0
	}
	return uint32(v)
}

// Int reads a number of either sign.
func (r *Reader) Int() int64 {
	v, n := binary.Varint(r.buf)
	if n <= 0 {
		r.broken(n)
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *Reader) broken(n int) {
	if n == 0 {
		r.fail(ErrShort)
		return
	}
	r.fail(ErrInvalid)
}

// Bool reads a truth.
func (r *Reader) Bool() bool {
	b := r.Byte()
	if b > 1 {
		r.fail(ErrInvalid)
	}
	return b == 1
}

// Count reads how many things follow, each of at least size bytes. It is an error if what is left of the piece cannot
// hold them: so a slice may be made that large.
func (r *Reader) Count(size int) int {
	n := r.Uint()
	if n > uint64(len(r.buf)/max(size, 1)) {
		r.fail(ErrShort)
		return 0
	}
	return int(n)
}

// Raw reads bytes, which belong to the piece.
func (r *Reader) Raw() []byte {
	n := r.Count(1)
	if n > MaxString {
		r.fail(ErrInvalid)
		return nil
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

// String reads a string.
func (r *Reader) String() string {
	n := r.Uint()
	switch {
	case n > uint64(len(r.known)):
		r.fail(ErrInvalid)
		return ""
	case n > 0:
		return r.known[n-1]
	}
	length := r.Count(1)
	if length > MaxString {
		r.fail(ErrInvalid)
		return ""
	}
	if r.err != nil {
		return ""
	}
	s := string(r.buf[:length])
	r.buf = r.buf[length:]
	if room(len(r.known), r.bytes, length) {
		r.known = append(r.known, s)
		r.bytes += length
	}
	return s
}

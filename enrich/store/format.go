// Package store keeps what a program knows in a directory, so that it survives the program: for each boot snapshots,
// which hold everything, and journals, which hold what has changed since. What they hold are payloads, which mean nothing
// to this package.
//
//	lock                           held by the process that writes
//	boot-000007/snapshot-000003    one directory a boot, ascending
//	boot-000007/journal-000003     what came after snapshot 3, or, if that was never finished, after journal 2
//	damaged/…                      what could not be read
//
// A file is a header and batches, each with a checksum. What is read is taken for hostile: no length is believed but
// what the file's size allows, and nothing behind the first damage is used.
package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// Version is the version of the format. A file of a newer one is set aside.
const Version = 1

const (
	magic      = "AHST"
	maxPayload = 16 << 20
	maxBoot    = 64
	batchHead  = 8 // length and checksum
	// endMark, in place of a length, ends a snapshot: it is whole.
	endMark = 1<<32 - 1
)

type kind byte

const (
	snapshot kind = 's'
	journal  kind = 'j'
)

func (k kind) String() string {
	if k == snapshot {
		return "snapshot"
	}
	return "journal"
}

// The errors of a file that cannot be read.
var (
	ErrDamaged = errors.New("damaged")
	ErrNewer   = errors.New("written by a newer version of the program")
	errCut     = fmt.Errorf("%w: ends too early", ErrDamaged)
)

// cut is the error of a read that gave too little: the file ends there, unless the disk has failed.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header begins a file: magic, version, kind, generation, boot id, and their checksum.
func header(k kind, generation uint64, boot string) []byte {
	b := append([]byte(magic), 0, 0, byte(k))
	binary.LittleEndian.PutUint16(b[4:], Version)
	b = binary.LittleEndian.AppendUint64(b, generation)
	b = append(b, byte(len(boot)))
	b = append(b, boot...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// seal is a batch's head: its length, and the checksum of its place and its payload, so that batches which are doubled,
// left out or of another file are found out.
func seal(k kind, generation, index uint64, length uint32, payload []byte) [batchHead]byte {
	var place [21]byte
	place[0] = byte(k)
	binary.LittleEndian.PutUint64(place[1:], generation)
	binary.LittleEndian.PutUint64(place[9:], index)
	binary.LittleEndian.PutUint32(place[17:], length)
	sum := crc32.Update(crc32.Checksum(place[:], castagnoli), castagnoli, payload)
	var head [batchHead]byte
	binary.LittleEndian.PutUint32(head[:], length)
	binary.LittleEndian.PutUint32(head[4:], sum)
	return head
}

// A fileHeader is what a file says of itself.
type fileHeader struct {
	kind       kind
	generation uint64
	boot       string
	length     int64
}

// readHeader reads a header. That of a newer version is read as far as it can be.
func readHeader(r io.Reader) (fileHeader, error) {
	fixed := make([]byte, 16)
	if _, err := io.ReadFull(r, fixed); err != nil {
		return fileHeader{}, cut(err)
	}
	if string(fixed[:4]) != magic {
		return fileHeader{}, fmt.Errorf("%w: not a file of this program", ErrDamaged)
	}
	if fixed[15] > maxBoot {
		return fileHeader{}, fmt.Errorf("%w: its header", ErrDamaged)
	}
	rest := make([]byte, int(fixed[15])+4)
	if _, err := io.ReadFull(r, rest); err != nil {
		return fileHeader{}, cut(err)
	}
	head := slices.Concat(fixed, rest)
	end := len(head) - 4
	if crc32.Checksum(head[:end], castagnoli) != binary.LittleEndian.Uint32(head[end:]) {
		return fileHeader{}, fmt.Errorf("%w: its header", ErrDamaged)
	}
	h := fileHeader{kind(head[6]), binary.LittleEndian.Uint64(head[7:]), string(head[16:end]), int64(len(head))}
	if v := binary.LittleEndian.Uint16(head[4:]); v > Version {
		return h, fmt.Errorf("%w: format %d, known is %d", ErrNewer, v, Version)
	}
	return h, nil
}

// A reader reads the batches of a file.
type reader struct {
	r          io.Reader
	kind       kind
	generation uint64
	index      uint64
	left       int64 // bytes of the file that have not been read
	good       int64 // where the last whole batch ended
	buf        []byte
	ended      bool // the end mark has come
}

// newReader reads the header of a file of a size, which must be that of a boot, a kind and a generation.
func newReader(r io.Reader, size int64, k kind, generation uint64, boot string) (*reader, error) {
	h, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	if h.kind != k || h.generation != generation || h.boot != boot {
		return nil, fmt.Errorf("%w: it is another file's content", ErrDamaged)
	}
	return &reader{r: bufio.NewReaderSize(r, 256<<10), kind: k, generation: generation, left: size - h.length, good: h.length}, nil
}

// next is the next payload, valid until the call after it; io.EOF behind the last.
func (r *reader) next() ([]byte, error) {
	if r.left == 0 {
		if r.kind == snapshot && !r.ended {
			return nil, errCut
		}
		return nil, io.EOF
	}
	if r.ended {
		return nil, fmt.Errorf("%w: something follows its end", ErrDamaged)
	}
	var head [batchHead]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return nil, cut(err)
	}
	length := binary.LittleEndian.Uint32(head[:])
	if length == endMark && r.kind == snapshot {
		if seal(r.kind, r.generation, r.index, length, nil) != head {
			return nil, fmt.Errorf("%w: a checksum is wrong", ErrDamaged)
		}
		r.ended = true
		r.done(0)
		return r.next()
	}
	if length > maxPayload { // nobody has begun to write that
		return nil, fmt.Errorf("%w: a batch of %d bytes", ErrDamaged, length)
	}
	if int64(length) > r.left-batchHead {
		return nil, errCut
	}
	if cap(r.buf) < int(length) {
		r.buf = make([]byte, length)
	}
	payload := r.buf[:length]
	if _, err := io.ReadFull(r.r, payload); err != nil {
		return nil, cut(err)
	}
	if seal(r.kind, r.generation, r.index, length, payload) != head {
		return nil, fmt.Errorf("%w: a checksum is wrong", ErrDamaged)
	}
	r.done(int(length))
	return payload, nil
}

func (r *reader) done(length int) {
	r.index++
	r.left -= int64(batchHead + length)
	r.good += int64(batchHead + length)
}

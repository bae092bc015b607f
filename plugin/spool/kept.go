package spool

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A queue goes with the process. What is in it when the process ends in good order can be kept in a file of its own:
//
//	magic | piece … | piece without bytes
//	piece: bytes of the label, bytes of the data, items, CRC-32C of the place and all of it (4 bytes each) | label | data

// A Piece is some items of a kept queue. Label says what they are, to whoever takes them.
type Piece struct {
	Label string
	Data  []byte
	Items int
}

// ErrDamaged says that a file of pieces could not be read to its end.
var ErrDamaged = errors.New("damaged")

const (
	keptMagic = "AHWAIT1\n"
	keptHead  = 16
	mostLabel = 4 << 10
	mostPiece = 256 << 20
)

// Save writes pieces to a file that replaces the one of that name once all of it is on the disk.
func Save(name string, pieces iter.Seq[Piece]) error {
	temporary := name + ".new"
	if err := unlink(temporary); err != nil {
		return err
	}
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 64<<10)
	err = errors.Join(writePieces(w, pieces), w.Flush(), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(temporary, name)
	}
	if err != nil {
		return errors.Join(err, unlink(temporary))
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func writePieces(w *bufio.Writer, pieces iter.Seq[Piece]) error {
	_, err := w.WriteString(keptMagic)
	index := uint32(0)
	for p := range pieces {
		if len(p.Data) == 0 {
			continue
		}
		if len(p.Label) > mostLabel || len(p.Data) > mostPiece {
			return fmt.Errorf("a piece of %d bytes is too long", len(p.Data))
		}
		if err == nil {
			err = writePiece(w, index, &p)
		}
		if err != nil {
			return err
		}
		index++
	}
	return errors.Join(err, writePiece(w, index, &Piece{}))
}

func writePiece(w *bufio.Writer, index uint32, p *Piece) error {
	var head [keptHead]byte
	binary.LittleEndian.PutUint32(head[0:], uint32(len(p.Label)))
	binary.LittleEndian.PutUint32(head[4:], uint32(len(p.Data)))
	binary.LittleEndian.PutUint32(head[8:], uint32(min(max(p.Items, 0), math.MaxUint32)))
	binary.LittleEndian.PutUint32(head[12:], pieceSum(index, head[:12], p))
	_, err := w.Write(head[:])
	_, errLabel := w.WriteString(p.Label)
	_, errData := w.Write(p.Data)
	return errors.Join(err, errLabel, errData)
}

func pieceSum(index uint32, head []byte, p *Piece) uint32 {
	sum := crc32.Update(0, castagnoli, binary.LittleEndian.AppendUint32(nil, index))
	sum = crc32.Update(sum, castagnoli, head)
	sum = crc32.Update(sum, castagnoli, []byte(p.Label))
	return crc32.Update(sum, castagnoli, p.Data)
}

// Load hands the pieces of a file to take, which owns them, up to its end or the first damage, which is an ErrDamaged. The
// error is fs.ErrNotExist if there is no such file.
func Load(name string, take func(Piece)) error {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w: not a regular file", name, ErrDamaged)
	}
	if err := readPieces(bufio.NewReaderSize(f, 64<<10), info.Size(), take); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// readPieces reads what writePieces wrote, in so many bytes.
func readPieces(r io.Reader, size int64, take func(Piece)) error {
	magic := make([]byte, len(keptMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != keptMagic {
		return fmt.Errorf("%w: it does not begin as such a file does", ErrDamaged)
	}
	size -= int64(len(magic))
	for index := uint32(0); ; index++ {
		var head [keptHead]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return fmt.Errorf("%w: piece %d: %w", ErrDamaged, index, err)
		}
		label, data := binary.LittleEndian.Uint32(head[0:]), binary.LittleEndian.Uint32(head[4:])
		size -= keptHead + int64(label) + int64(data)
		if label > mostLabel || data > mostPiece || size < 0 {
			return fmt.Errorf("%w: piece %d is longer than it can be", ErrDamaged, index)
		}
		body := make([]byte, label+data)
		if _, err := io.ReadFull(r, body); err != nil {
			return fmt.Errorf("%w: piece %d: %w", ErrDamaged, index, err)
		}
		p := Piece{Label: string(body[:label]), Data: body[label:], Items: int(binary.LittleEndian.Uint32(head[8:]))}
		if pieceSum(index, head[:12], &p) != binary.LittleEndian.Uint32(head[12:]) {
			return fmt.Errorf("%w: piece %d has another checksum", ErrDamaged, index)
		}
		if data == 0 {
			return nil
		}
		take(p)
	}
}

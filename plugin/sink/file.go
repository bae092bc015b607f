// Package sink is where enriched records go.
package sink

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxPending is how many bytes a file that cannot be written holds back before it loses what comes after them.
const maxPending = 64 << 20

// A File appends to a file and outlives whatever happens to it: what cannot be written is held back, up to a bound, and
// tried again. It is not safe for concurrent use.
type File struct {
	path    string
	mode    fs.FileMode
	file    *os.File
	pending []byte
	bound   int    // of pending
	torn    []byte // the beginning of a line that is in the file while its rest is held back
	lost    uint64
	place   Place
}

// NewFile makes a sink for path, created with mode where it is missing, its directory with 0750. The error says why it
// cannot be opened now; the sink may be used all the same and tries again with every Retry.
func NewFile(path string, mode fs.FileMode) (*File, error) {
	f := &File{path: path, mode: mode, bound: maxPending}
	return f, f.open()
}

func (f *File) open() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o750); err != nil {
		return fmt.Errorf("output directory of %s: %w: create it, or set output.path", f.path, err)
	}
	file, err := f.openOrCreate()
	if errors.Is(err, syscall.ELOOP) {
		return fmt.Errorf("output %s: is a symbolic link, which is not followed: name the file itself in output.path", f.path)
	}
	if errors.Is(err, syscall.ENXIO) { // open(2): a socket
		return fmt.Errorf("output %s: %w", f.path, errIrregular)
	}
	if err != nil {
		return fmt.Errorf("output: %w: uid %d must be able to append to it, or set output.path", err, os.Geteuid())
	}
	if err := endLine(file); err != nil {
		_ = file.Close() // nothing was written
		return fmt.Errorf("output %s: %w", f.path, err)
	}
	f.file = file
	return f.locate()
}

var errIrregular = errors.New("not a regular file: set output.path")

// openOrCreate opens the file for reading, too: endLine reads, and should it be a FIFO, open does not wait for somebody
// who reads it (fifo(7)).
func (f *File) openOrCreate() (*os.File, error) {
	const flags = os.O_RDWR | os.O_APPEND | syscall.O_NOFOLLOW
	file, err := os.OpenFile(f.path, flags, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	file, err = os.OpenFile(f.path, flags|os.O_CREATE|os.O_EXCL, f.mode)
	if err == nil {
		_ = file.Chmod(f.mode) // whatever the umask; not all file systems have modes
	}
	return file, err
}

// endLine ends the line that a program which was killed, or a disk that was full, left unfinished at the end of file.
func endLine(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errIrregular
	}
	if info.Size() == 0 {
		return nil
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], info.Size()-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = file.Write([]byte{'\n'})
	return err
}

// Write appends whole lines. The error is for telling somebody: the bytes are kept for Retry, or counted as lost.
func (f *File) Write(b []byte) error {
	if len(f.pending) > 0 {
		err := f.Retry()
		if len(f.pending) > 0 {
			f.keep(b)
			return err
		}
	}
	n, err := f.append(b)
	if err != nil {
		f.keep(b[n:])
	}
	return err
}

func (f *File) append(b []byte) (int, error) {
	if f.file == nil {
		if err := f.open(); err != nil {
			return 0, err
		}
	}
	n, err := f.file.Write(b)
	f.place.Size += int64(n)
	if i := bytes.LastIndexByte(b[:n], '\n'); i >= 0 {
		f.torn = append(f.torn[:0], b[i+1:n]...)
	} else {
		f.torn = append(f.torn, b[:n]...)
	}
	if err != nil {
		return n, fmt.Errorf("output: %w: records are held back until it can be written", err)
	}
	return n, nil
}

func (f *File) keep(b []byte) {
	if len(f.pending)+len(b) > f.bound {
		f.lost += lines(b)
		return
	}
	f.pending = append(f.pending, b...)
}

// lines counts lines, the last of which may have no newline.
func lines(b []byte) uint64 {
	n := bytes.Count(b, []byte{'\n'})
	if len(b) > 0 && b[len(b)-1] != '\n' {
		n++
	}
	return uint64(n)
}

// Retry writes what was held back.
func (f *File) Retry() error {
	if len(f.pending) == 0 {
		return nil
	}
	n, err := f.append(f.pending)
	switch n {
	case 0: // nothing to move, which would take long with every write on a full disk
	case len(f.pending):
		f.pending = nil
	default:
		f.pending = append(f.pending[:0], f.pending[n:]...)
	}
	return err
}

// Reopen closes the file and opens it anew by its name, after somebody has moved it away.
func (f *File) Reopen() error {
	err := f.leave()
	return errors.Join(err, f.open())
}

// leave writes what was held back and closes the file. A line of which only the beginning could be written is taken out
// of it and held back whole.
func (f *File) leave() error {
	err := f.Retry()
	if f.file == nil {
		return err
	}
	if len(f.pending) > 0 && len(f.torn) > 0 {
		// Where it cannot be taken out, the half line stays and open ends it.
		if info, err := f.file.Stat(); err == nil {
			_ = f.file.Truncate(info.Size() - int64(len(f.torn)))
		}
		f.pending = append(f.torn, f.pending...)
	}
	f.torn = nil
	err = errors.Join(err, f.file.Close())
	f.file = nil
	return err
}

// Pending is how many bytes are held back.
func (f *File) Pending() int { return len(f.pending) }

// Lost is how many lines were given up because too much was held back.
func (f *File) Lost() uint64 { return f.lost }

// Close writes what was held back and closes the file. What cannot be written even now is lost.
func (f *File) Close() error {
	err := f.leave()
	f.lost += lines(f.pending)
	f.pending = nil
	return err
}

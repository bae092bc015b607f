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
	lost    uint64
}

// NewFile makes a sink for path, created with mode where it is missing, its directory with 0750. The error says why it
// cannot be opened now; the sink may be used all the same and tries again with every Retry.
func NewFile(path string, mode fs.FileMode) (*File, error) {
	f := &File{path: path, mode: mode}
	return f, f.open()
}

func (f *File) open() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o750); err != nil {
		return fmt.Errorf("output directory of %s: %w: create it, or set output.path", f.path, err)
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW, f.mode)
	if errors.Is(err, syscall.ELOOP) {
		return fmt.Errorf("output %s: is a symbolic link, which is not followed: name the file itself in output.path", f.path)
	}
	if err != nil {
		return fmt.Errorf("output: %w: uid %d must be able to append to it, or set output.path", err, os.Geteuid())
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file: set output.path")
	}
	if err != nil {
		_ = file.Close() // nothing was written
		return fmt.Errorf("output %s: %w", f.path, err)
	}
	f.file = file
	return nil
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
	if err != nil {
		return n, fmt.Errorf("output: %w: records are held back until it can be written", err)
	}
	return n, nil
}

func (f *File) keep(b []byte) {
	if len(f.pending)+len(b) > maxPending {
		f.lost += uint64(bytes.Count(b, []byte{'\n'}))
		return
	}
	f.pending = append(f.pending, b...)
}

// Retry writes what was held back.
func (f *File) Retry() error {
	if len(f.pending) == 0 {
		return nil
	}
	n, err := f.append(f.pending)
	f.pending = append(f.pending[:0], f.pending[n:]...)
	if len(f.pending) == 0 {
		f.pending = nil
	}
	return err
}

// Reopen closes the file and opens it anew by its name, after somebody has moved it away.
func (f *File) Reopen() error {
	err := f.Retry()
	if f.file != nil {
		err = errors.Join(err, f.file.Close())
		f.file = nil
	}
	return errors.Join(err, f.open())
}

// Pending is how many bytes are held back, Lost how many lines were given up.
func (f *File) Pending() int { return len(f.pending) }

// Lost is how many lines were given up because too much was held back.
func (f *File) Lost() uint64 { return f.lost }

// Close writes what was held back and closes the file.
func (f *File) Close() error {
	err := f.Retry()
	if n := bytes.Count(f.pending, []byte{'\n'}); n > 0 {
		f.lost += uint64(n)
		f.pending = nil
	}
	if f.file != nil {
		err = errors.Join(err, f.file.Close())
		f.file = nil
	}
	return err
}

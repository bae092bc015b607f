package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A disk is where files are made, but for what tests put between.
type disk interface {
	// create makes a file in a directory, to read and write, that has no name there when create returns.
	create(dir string) (file, error)
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
}

type osDisk struct{}

// fileName is that of the file for an instant. One that is found was left by a process killed in that instant, or is just
// being made by another queue, which needs the name no longer than this one.
const fileName = "queue.spool"

func (osDisk) create(dir string) (file, error) {
	name := filepath.Join(dir, fileName)
	var f *os.File
	err := fs.ErrExist
	for try := 0; try < 10 && errors.Is(err, fs.ErrExist); try++ {
		if err := unlink(name); err != nil {
			return nil, err
		}
		// Package os adds O_CLOEXEC.
		f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	}
	if err != nil {
		return nil, err
	}
	if err := unlink(name); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

// unlink is os.Remove, but for directories.
func unlink(name string) error {
	if err := unix.Unlink(name); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unlink %s: %w", name, err)
	}
	return nil
}

// slots are the parts of the file, all of the size of a block.
type slots struct {
	used []bool // up to the last that is
}

// take finds the first n free slots that follow one another, among most.
func (s *slots) take(n, most int) (first int, ok bool) {
	run := 0
	for i := 0; i < most && run < n; i++ {
		if i < len(s.used) && s.used[i] {
			run = 0
			continue
		}
		if run == 0 {
			first = i
		}
		run++
	}
	if run < n {
		return 0, false
	}
	for len(s.used) < first+n {
		s.used = append(s.used, false)
	}
	for i := range n {
		s.used[first+i] = true
	}
	return first, true
}

// free reports whether there are fewer slots now up to the last used one.
func (s *slots) free(first, n int) (fewer bool) {
	for i := range n {
		s.used[first+i] = false
	}
	for len(s.used) > 0 && !s.used[len(s.used)-1] {
		s.used, fewer = s.used[:len(s.used)-1], true
	}
	return fewer
}

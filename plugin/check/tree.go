package check

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Files is a file system. Names are absolute.
type Files interface {
	Read(name string) ([]byte, error)
	List(dir string) ([]string, error) // the names in dir, sorted
	Stat(name string) (Stat, error)
	Free(dir string) (bytes uint64, noInodes bool, err error)
}

// maxFile bounds what is read of one file; configuration files have a few kilobytes.
const maxFile = 1 << 20

// Tree is the file system below a directory: "/", or a test's.
type Tree string

func (t Tree) at(name string) string { return filepath.Join(string(t), name) }

// Read returns the content of a file of at most a megabyte.
func (t Tree) Read(name string) ([]byte, error) {
	f, err := os.OpenFile(t.at(name), os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO must not be waited for
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s: more than %d bytes: is it a configuration file?", f.Name(), maxFile)
	}
	return data, err
}

// List returns the names in dir, sorted.
func (t Tree) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(t.at(dir))
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// Stat says what a file is, following links, as auditd does.
func (t Tree) Stat(name string) (Stat, error) {
	info, err := os.Stat(t.at(name))
	if err != nil {
		return Stat{}, err
	}
	s := Stat{Mode: info.Mode()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.UID = sys.Uid
	}
	return s, nil
}

// Free is how many bytes an ordinary user could still write below dir; file systems that do not count inodes have 0 of 0.
func (t Tree) Free(dir string) (bytes uint64, noInodes bool, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(t.at(dir), &s); err != nil {
		return 0, false, fmt.Errorf("%s: %w", dir, err)
	}
	return s.Bavail * uint64(s.Bsize), s.Files > 0 && s.Ffree == 0, nil
}

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// files is the file system, but for what tests put between.
type files interface {
	create(name string) (file, error) // to write, must not exist
	rename(from, to string) error
	remove(name string) error
	syncDir(name string) error
}

// file is one that is written.
type file interface {
	Write(b []byte) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

type disk struct{}

func (disk) create(name string) (file, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
}
func (disk) rename(from, to string) error { return os.Rename(from, to) }
func (disk) remove(name string) error     { return os.Remove(name) }

func (disk) syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// open opens a file for reading: a regular one, not behind a link.
func open(name string) (*os.File, int64, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w: not a regular file", name, ErrDamaged)
	}
	if err != nil {
		_ = f.Close() // it was not even read
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// A Boot is what is kept of one.
type Boot struct {
	Sequence uint64 // ascending
	ID       string // as the kernel names it; "" if no file says so
	Bytes    int64
	dir      string
}

const bootPrefix = "boot-"

// Boots lists what is kept in a state directory, the newest boot first.
func Boots(dir string) ([]Boot, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	var boots []Boot
	for _, e := range entries {
		n, ok := number(e.Name(), bootPrefix)
		if !ok || !e.IsDir() {
			continue
		}
		b := Boot{Sequence: n, dir: filepath.Join(dir, e.Name())}
		b.ID, b.Bytes = contents(b.dir)
		boots = append(boots, b)
	}
	slices.SortFunc(boots, func(a, b Boot) int { return int(b.Sequence) - int(a.Sequence) })
	return boots, nil
}

// number reads a name that is a prefix and a number.
func number(name, prefix string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	if !ok || len(digits) < 6 || len(digits) > 12 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}

func bootDir(dir string, sequence uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%s%06d", bootPrefix, sequence))
}

func name(dir string, k kind, generation uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%06d", k, generation))
}

// contents says whose a boot's directory is, by the first file that says so, and how large.
func contents(dir string) (id string, bytes int64) {
	entries, _ := os.ReadDir(dir) // what cannot be listed has no size
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			bytes += info.Size()
		}
		if id == "" {
			id = bootOf(filepath.Join(dir, e.Name()))
		}
	}
	return id, bytes
}

// bootOf is the boot that a file is about, by its header; empty if that cannot be read.
func bootOf(name string) string {
	f, _, err := open(name)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // it was only read
	head, err := readHeader(f)
	if err != nil && !errors.Is(err, ErrNewer) {
		return ""
	}
	return head.boot
}

// generations lists the files of a kind in a boot's directory, ascending.
func generations(dir string, k kind) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []uint64
	for _, e := range entries {
		if n, ok := number(e.Name(), k.String()+"-"); ok {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list, nil
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

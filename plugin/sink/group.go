package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// groups are the numbers of the names that were found: once confined, the program may not reach /etc/group any more, and
// it can give files to none but the groups that it found before.
var groups sync.Map

// LookupGroup is the number of a group that is given by name or number. A name keeps the number that it had first.
func LookupGroup(group string) (int, error) {
	if n, err := strconv.ParseUint(group, 10, 32); err == nil {
		if n == 1<<32-1 { // chown(2): leaves the group as it is
			return 0, fmt.Errorf("group %s: no group has this number", group)
		}
		return int(n), nil
	}
	if n, ok := groups.Load(group); ok {
		return n.(int), nil
	}
	g, err := user.LookupGroup(group)
	if unknown := user.UnknownGroupError(""); errors.As(err, &unknown) {
		return 0, fmt.Errorf("group %q: not in /etc/group: name one that is there, or give its number", group)
	}
	if err != nil {
		return 0, fmt.Errorf("group %q: %w", group, err)
	}
	n, err := strconv.Atoi(g.Gid)
	if err == nil {
		groups.Store(group, n)
	}
	return n, err
}

// own gives a file that has just been created to the group. If it cannot be, the file is used all the same: it is more
// private than it should be, and records are not lost.
func (f *File) own(file *os.File) {
	if f.conf.Group == "" {
		return
	}
	gid, err := LookupGroup(f.conf.Group)
	if err == nil {
		err = file.Chown(-1, gid)
	}
	if err != nil {
		f.notice("output %s: keeps its group: %w", file.Name(), err)
	}
}

// makeDir creates a directory where it is missing, and those above it.
func (f *File) makeDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if above := filepath.Dir(dir); above != dir {
		if err := f.makeDir(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) { // somebody else was faster
			return nil
		}
		return err
	}
	d, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	f.own(d)
	return errors.Join(d.Chmod(0o750), d.Close())
}

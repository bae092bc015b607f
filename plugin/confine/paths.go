package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// paths tries each path without the capabilities that pass over owners and modes. Root gets them back where it needs them;
// what another user cannot write is an error.
func (a *applying) paths(paths []Path) (extra set, err error) {
	var wrong []error
	for _, p := range paths {
		failed, missing := a.reach(p)
		switch {
		case failed == nil || missing && within(p, paths):
		case !p.Write && a.who.uid == 0:
			extra |= bit(unix.CAP_DAC_READ_SEARCH)
			a.note("CAP_DAC_READ_SEARCH stays: %s: root itself cannot read it: chown it to root", p.Name)
		case a.who.uid == 0:
			extra |= bit(unix.CAP_DAC_OVERRIDE)
			a.note("CAP_DAC_OVERRIDE stays: %s: root itself cannot write to it: chown it to root", p.Name)
		case !p.Write || !a.who.other:
			a.note("%s: user %s cannot use it: %v", p.Name, a.who.name, failed)
		default:
			wrong = append(wrong, a.refused(p.Name, missing))
		}
	}
	return extra, errors.Join(wrong...)
}

func (a *applying) refused(name string, missing bool) error {
	w := &a.who
	if missing {
		return fmt.Errorf("%s: is not there, and user %s (uid %d) cannot make it: install -d -o %s -g %s -m 0750 %s",
			name, w.name, w.uid, w.name, w.group, name)
	}
	return fmt.Errorf("%s: user %s (uid %d) cannot write to it: make it the user's with chown -R %s:%s %s, or configure another",
		name, w.name, w.uid, w.name, w.group, name)
}

// reach tells why a path cannot be used. One that is to be written and is missing will be made, so it is the
// directory there is on the way to it that matters.
func (a *applying) reach(p Path) (failed error, missing bool) {
	name, mode := p.Name, uint32(unix.R_OK)
	if p.Write {
		mode |= unix.W_OK
	}
	for {
		info, err := os.Stat(name)
		if err == nil {
			if info.IsDir() {
				mode |= unix.X_OK
			}
			return a.access(name, mode, info), missing
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err, missing
		}
		if !p.Write || name == filepath.Dir(name) {
			return nil, missing // nothing to read
		}
		name, missing, mode = filepath.Dir(name), true, unix.W_OK
	}
}

// access tells why a path cannot be used in that mode. Before Linux 5.8 the kernel cannot be asked, and the user's own files
// are taken for usable.
func (a *applying) access(name string, mode uint32, info fs.FileInfo) error {
	errno := a.kernel.access(name, mode)
	switch {
	case errno == 0:
		return nil
	case errno != syscall.ENOSYS:
		return errno
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != a.who.uid {
		return syscall.EACCES
	}
	return nil
}

// within tells whether p lies in a directory among paths that is written.
func within(p Path, paths []Path) bool {
	return slices.ContainsFunc(paths, func(dir Path) bool { return dir.Write && dir.Name != p.Name && beneath(p.Name, dir.Name) })
}

// beneath tells whether name is dir or lies in it. Both are absolute.
func beneath(name, dir string) bool {
	name, dir = filepath.Clean(name), filepath.Clean(dir)
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

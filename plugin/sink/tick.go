package sink

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Tick does what is to be done now and then, some times a second: it writes what was held back, begins a new file if the
// old one is not there any more under its name, and rotates it if its time has come. The error is that of Retry.
func (f *File) Tick(now time.Time) error {
	f.now = now
	f.over = f.over || f.ends()
	err := errors.Join(f.Retry(), f.watch())
	if f.over && f.file != nil && len(f.pending) == 0 { // else a part of what was written at once may be in it
		f.rotate()
	}
	if err := f.old.trouble(); err != nil {
		f.notice("output %s: an old file is not compressed: %w", f.conf.Path, err)
	}
	return err
}

// watch finds out what others have done to the file.
func (f *File) watch() error {
	if f.file == nil {
		return nil
	}
	info, err := os.Lstat(f.conf.Path)
	if err == nil {
		if at := placeOf(info); at.Device == f.place.Device && at.Inode == f.place.Inode {
			return f.measure(at.Size)
		}
	} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return nil // that does not say that it is not there
	}
	what := "was renamed or replaced: what comes now goes to a new file"
	if info, err := f.file.Stat(); err == nil {
		if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Nlink == 0 {
			what = "was removed, with what had been written to it: what comes now goes to a new file"
		}
	}
	f.notice("output %s: %s", f.conf.Path, what)
	return f.Reopen()
}

// measure compares the size that the file has with that which it should have.
func (f *File) measure(size int64) error {
	switch {
	case size == f.place.Size:
		return nil
	case size < f.place.Size:
		f.notice("output %s: was cut from %d to %d bytes by somebody else", f.conf.Path, f.place.Size, size)
		f.mend()
	case !f.shared:
		f.notice("output %s: somebody else writes to it as well: give each program a file of its own", f.conf.Path)
		f.shared = true
	}
	return f.locate()
}

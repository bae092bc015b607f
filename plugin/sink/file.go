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
	"time"
)

// maxPending is how many bytes a file that cannot be written holds back before it loses what comes after them.
const maxPending = 64 << 20

// A Config says what a file is like, and what becomes of it.
type Config struct {
	// Path is absolute.
	Path string
	// Mode is that of files that are created.
	Mode fs.FileMode
	// Group is the group, by name or number, of files and directories that are created. Empty: the process's.
	Group string
	// Rotate says when the file is renamed and a new one begun. The zero value: never; somebody else may do it.
	Rotate Rotation
	// Notice gets what somebody should know although records are written, such as that the file was removed. It is called
	// by the goroutine that uses the File. It may be nil.
	Notice func(error)
}

// A File appends to a file and outlives whatever happens to it: what cannot be written is held back, up to a bound, and
// tried again. It is not safe for concurrent use. It knows the time from Tick alone.
type File struct {
	conf    Config
	file    *os.File
	pending []byte
	bound   int    // of pending
	torn    []byte // the beginning of a line that is in the file while its rest is held back
	lost    uint64
	place   Place
	shared  bool // somebody else writes to it, too, which has been said

	now    time.Time // as of the last Tick
	last   time.Time // when the file was written
	over   bool      // its time is over
	old    *archive
	barred time.Time // rotating failed, and is not tried before this
	stuck  bool      // it failed the last time
}

// NewFile is New for a file that is not rotated.
func NewFile(path string, mode fs.FileMode) (*File, error) {
	return New(Config{Path: path, Mode: mode})
}

// New makes a sink for a file, which is created where it is missing, as is its directory, with mode 0750. The error says
// why it cannot be opened now; the sink may be used all the same and tries again with every Retry and Tick.
func New(c Config) (*File, error) {
	f := &File{conf: c, bound: maxPending, old: newArchive(c.Path, c.Rotate.Keep)}
	f.old.clean()
	return f, f.open()
}

func (f *File) notice(format string, args ...any) {
	if f.conf.Notice != nil {
		f.conf.Notice(fmt.Errorf(format, args...))
	}
}

func (f *File) open() error {
	path := f.conf.Path
	if err := f.makeDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("output directory of %s: %w: create it, or set file.path", path, err)
	}
	file, err := f.openOrCreate()
	if errors.Is(err, syscall.ELOOP) {
		return fmt.Errorf("output %s: is a symbolic link, which is not followed: name the file itself in file.path", path)
	}
	if errors.Is(err, syscall.ENXIO) { // open(2): a socket
		return fmt.Errorf("output %s: %w", path, errIrregular)
	}
	if err != nil {
		return fmt.Errorf("output: %w: uid %d must be able to append to it, or set file.path", err, os.Geteuid())
	}
	if f.last, err = endLine(file); err != nil {
		_ = file.Close() // nothing was written
		return fmt.Errorf("output %s: %w", path, err)
	}
	f.file, f.over = file, false
	return f.locate()
}

var errIrregular = errors.New("not a regular file: set file.path")

// openOrCreate opens the file for reading, too: endLine reads, and should it be a FIFO, open does not wait for somebody
// who reads it (fifo(7)).
func (f *File) openOrCreate() (*os.File, error) {
	const flags = os.O_RDWR | os.O_APPEND | syscall.O_NOFOLLOW
	file, err := os.OpenFile(f.conf.Path, flags, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	file, err = os.OpenFile(f.conf.Path, flags|os.O_CREATE|os.O_EXCL, 0o600) // the group comes before its permissions
	if err == nil {
		f.own(file)
		_ = file.Chmod(f.conf.Mode) // whatever the umask; not all file systems have modes
	}
	return file, err
}

// endLine ends the line that a program which was killed, or a disk that was full, left unfinished at the end of file. It
// returns when the file was written before.
func endLine(file *os.File) (written time.Time, err error) {
	info, err := file.Stat()
	if err != nil {
		return written, err
	}
	if !info.Mode().IsRegular() {
		return written, errIrregular
	}
	if info.Size() == 0 {
		return info.ModTime(), nil
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], info.Size()-1); err != nil || last[0] == '\n' {
		return info.ModTime(), err
	}
	_, err = file.Write([]byte{'\n'})
	return info.ModTime(), err
}

// Write appends whole events, which all go into the same file. The error is for telling somebody: the bytes are kept for
// Retry, or counted as lost.
func (f *File) Write(b []byte) error {
	if len(f.pending) > 0 {
		err := f.Retry()
		if len(f.pending) > 0 {
			f.keep(b)
			return err
		}
	}
	if f.full(len(b)) && f.watch() == nil && f.full(len(b)) { // it may be another file now
		f.rotate()
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
	if !f.now.IsZero() {
		f.last = f.now
	}
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
		f.mend()
	}
	f.torn = nil
	err = errors.Join(err, f.file.Close())
	f.file = nil
	return err
}

// mend holds a line back whole of which only the beginning could be written, and is not in the file any more.
func (f *File) mend() {
	if len(f.pending) > 0 {
		f.pending = append(f.torn, f.pending...)
	}
	f.torn = nil
}

// Pending is how many bytes are held back.
func (f *File) Pending() int { return len(f.pending) }

// Lost is how many lines were given up because too much was held back.
func (f *File) Lost() uint64 { return f.lost }

// Close writes what was held back and closes the file. What cannot be written even now is lost. A compression that goes on
// is given up.
func (f *File) Close() error {
	err := f.leave()
	f.lost += lines(f.pending)
	f.pending = nil
	f.old.close()
	return err
}

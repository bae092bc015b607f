package sink

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A Place is how far a file has been written. It names the file itself, which may have got another name since.
type Place struct {
	Device, Inode uint64
	Size          int64
}

// Place is where the next line goes. It is of no use while anything is Pending.
func (f *File) Place() Place { return f.place }

// Tail is the place so many bytes before the end of a file, or at its beginning. Where the file is shorter and there are
// rotated ones, PATH.1 and on, it is in one of them.
func Tail(path string, bytes int64) (Place, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) { // it has just been rotated
		if first, old := os.Lstat(numbered(path, 1)); old == nil {
			info, err = first, nil
		}
	}
	if err != nil {
		return Place{}, fmt.Errorf("output: %w", err)
	}
	p := placeOf(info)
	for n := 1; p.Size < bytes; n++ {
		older, err := os.Lstat(numbered(path, n))
		if err != nil || !older.Mode().IsRegular() {
			break
		}
		if at := placeOf(older); at.Inode != p.Inode { // else it is where this began
			bytes -= p.Size
			p = at
		}
	}
	p.Size = max(0, p.Size-bytes)
	return p, nil
}

// locate finds out where the end of the file is that has just been opened.
func (f *File) locate() error {
	info, err := f.file.Stat()
	if err != nil {
		return fmt.Errorf("output %s: %w", f.conf.Path, err)
	}
	f.place = placeOf(info)
	return nil
}

func placeOf(info fs.FileInfo) Place {
	p := Place{Size: info.Size()}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		p.Device, p.Inode = uint64(s.Dev), s.Ino //nolint:unconvert // Dev has another type on other architectures
	}
	return p
}

// Since calls line for every line that was written to path since a place: to the file that was there then, whatever its
// name in that directory is now, to those that have been rotated since, and to the one that is there now. A last line
// without an end is handed over as it is. The files are read only.
func Since(path string, p Place, line func(file string, offset int64, line []byte) error) error {
	first, err := find(path, p)
	if err != nil {
		return err
	}
	for _, name := range since(path, first) {
		from := int64(0)
		if name == first {
			from = p.Size
		}
		err := readLines(name, from, line)
		if err != nil && (name == first || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	return nil
}

// since are the names of the file of a place and of those after it, up to path. first may be empty.
func since(path, first string) (names []string) {
	if first == path {
		return []string{path}
	}
	if first != "" {
		names = append(names, first)
	}
	if n, _, ok := number(path, first); ok {
		for n--; n > 0; n-- {
			names = append(names, numbered(path, n))
		}
	}
	return append(names, path)
}

// find is the name of the file of a place, in the directory of path; "" if it is not there.
func find(path string, p Place) (string, error) {
	is := func(name string) bool {
		info, err := os.Lstat(name)
		if err != nil || !info.Mode().IsRegular() {
			return false
		}
		at := placeOf(info)
		return at.Device == p.Device && at.Inode == p.Inode && at.Size >= p.Size
	}
	if is(path) {
		return path, nil
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("output directory of %s: %w", path, err)
	}
	for _, e := range entries {
		if name := filepath.Join(filepath.Dir(path), e.Name()); is(name) {
			return name, nil
		}
	}
	return "", nil
}

func readLines(path string, from int64, line func(string, int64, []byte) error) error {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return fmt.Errorf("output %s: %w", path, err)
	}
	r := bufio.NewReaderSize(file, 256<<10)
	for {
		b, err := r.ReadSlice('\n')
		if len(b) > 0 {
			if err := line(path, from, b); err != nil {
				return err
			}
			from += int64(len(b))
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("output %s: %w", path, err)
		}
	}
}

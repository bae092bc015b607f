package spool

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A fakeDisk is one that breaks when it is told to.
type fakeDisk struct {
	t    *testing.T
	most int64 // bytes that the file may never be longer than

	mutex    sync.Mutex
	bytes    []byte
	files    int
	open     int
	noCreate error
	noRead   error
	noWrite  error // after half of the bytes
	short    bool  // writes write half, and do not say so
	flip     bool  // reads get a bit wrong
	hang     time.Duration
}

// set changes what is wrong.
func (d *fakeDisk) set(change func()) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	change()
}

func (d *fakeDisk) heal() {
	d.set(func() { d.noCreate, d.noRead, d.noWrite, d.short, d.flip, d.hang = nil, nil, nil, false, false, 0 })
}

func (d *fakeDisk) size() int {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return len(d.bytes)
}

func (d *fakeDisk) create(string) (file, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.noCreate != nil {
		return nil, d.noCreate
	}
	d.files++
	d.open++
	d.bytes = nil
	return d, nil
}

func (d *fakeDisk) wait() {
	d.mutex.Lock()
	hang := d.hang
	d.mutex.Unlock()
	if hang > 0 {
		<-time.After(hang) // nothing else stops it, as with a disk
	}
}

func (d *fakeDisk) WriteAt(b []byte, at int64) (int, error) {
	d.wait()
	d.mutex.Lock()
	defer d.mutex.Unlock()
	n := len(b)
	if d.noWrite != nil || d.short {
		n /= 2
	}
	if grown := int(at) + n - len(d.bytes); grown > 0 {
		d.bytes = append(d.bytes, make([]byte, grown)...)
	}
	copy(d.bytes[at:], b[:n])
	if int64(len(d.bytes)) > d.most {
		d.t.Errorf("the file has %d bytes, more than %d", len(d.bytes), d.most)
	}
	return n, d.noWrite
}

func (d *fakeDisk) ReadAt(b []byte, at int64) (int, error) {
	d.wait()
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.noRead != nil {
		return 0, d.noRead
	}
	if at > int64(len(d.bytes)) {
		return 0, io.EOF
	}
	n := copy(b, d.bytes[at:])
	if d.flip && n > 0 {
		b[n/2] ^= 1
	}
	if n < len(b) || int(at)+n == len(d.bytes) {
		return n, io.EOF
	}
	return n, nil
}

func (d *fakeDisk) Truncate(size int64) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.bytes = d.bytes[:min(size, int64(len(d.bytes)))]
	return nil
}

func (d *fakeDisk) Close() error {
	d.set(func() { d.open-- })
	return nil
}

// The file has no name from the beginning, belongs to the program alone, and is not handed on to other programs.
func TestFileHasNoName(t *testing.T) {
	dir := t.TempDir()
	f, err := osDisk{}.create(dir)
	must(t, err)
	defer f.Close()
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) > 0 {
		t.Errorf("%s is in the directory", entries[0].Name())
	}
	fd := int(f.(*os.File).Fd())
	var st unix.Stat_t
	must(t, unix.Fstat(fd, &st))
	if st.Mode&0o7777 != 0o600 || st.Nlink != 0 {
		t.Errorf("mode %#o, %d names", st.Mode&0o7777, st.Nlink)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v: stays open over exec", flags, err)
	}
}

// What stands under the name of the file is removed, whatever it is, and never written to.
func TestFileTakesThePlaceOfAnother(t *testing.T) {
	for name, put := range map[string]func(t *testing.T, name, other string){
		"a file of a process that was killed": func(t *testing.T, name, _ string) { must(t, os.WriteFile(name, nil, 0o644)) },
		"a symbolic link":                     func(t *testing.T, name, other string) { must(t, os.Symlink(other, name)) },
		"a link":                              func(t *testing.T, name, other string) { must(t, os.Link(other, name)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			other := filepath.Join(t.TempDir(), "other")
			must(t, os.WriteFile(other, []byte("mine"), 0o600))
			put(t, filepath.Join(dir, fileName), other)
			f, err := osDisk{}.create(dir)
			must(t, err)
			_, err = f.WriteAt([]byte("yours"), 0)
			must(t, errors.Join(err, f.Close()))
			if b, err := os.ReadFile(other); err != nil || string(b) != "mine" {
				t.Errorf("the other file has %q, %v", b, err)
			}
		})
	}
	t.Run("a directory stays, and is an error", func(t *testing.T) {
		dir := t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, fileName), 0o700))
		if _, err := (osDisk{}).create(dir); err == nil {
			t.Error("no error")
		}
	})
}

func TestSlots(t *testing.T) {
	var s slots
	take := func(n, want int) {
		t.Helper()
		if got, ok := s.take(n, 6); !ok || got != want {
			t.Errorf("took %d, %v, want %d, of %v", got, ok, want, s.used)
		}
	}
	full := func(n int) {
		t.Helper()
		if got, ok := s.take(n, 6); ok {
			t.Errorf("took %d of %v", got, s.used)
		}
	}
	free := func(first, n int, fewer bool) {
		t.Helper()
		if got := s.free(first, n); got != fewer {
			t.Errorf("fewer: %v, want %v: %v", got, fewer, s.used)
		}
	}
	take(1, 0)
	take(3, 1)
	full(3)
	take(2, 4)
	full(1)
	free(0, 1, false)
	full(2)
	take(1, 0)
	free(1, 3, false)
	take(2, 1)
	free(4, 2, true)
	take(3, 3)
	free(0, 1, false)
	free(1, 2, false)
	free(3, 3, true)
	if len(s.used) != 0 {
		t.Errorf("%d are left", len(s.used))
	}
}

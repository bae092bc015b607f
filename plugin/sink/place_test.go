package sink

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSince writes to a file, remembers the place, and lets things happen to the file.
func TestSince(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(t *testing.T, path string)
		want  string // FILE@OFFSET LINE, with | after each
	}{
		{"nothing", func(*testing.T, string) {}, ""},
		{"the same file", func(t *testing.T, path string) { add(t, path, "c\nd\n") }, "log@4 c|log@6 d|"},
		{"a torn last line", func(t *testing.T, path string) { add(t, path, "c\nhal") }, "log@4 c|log@6 hal|"},
		{"a long line in pieces", func(t *testing.T, path string) {
			add(t, path, strings.Repeat("x", 256<<10)+"y\n")
		}, "log@4 " + strings.Repeat("x", 256<<10) + fmt.Sprintf("|log@%d y|", 4+256<<10)},
		{"renamed, nothing new", func(t *testing.T, path string) {
			add(t, path, "c\n")
			move(t, path, path+".1")
		}, "log.1@4 c|"},
		{"renamed, and a new one", func(t *testing.T, path string) {
			add(t, path, "c\n")
			move(t, path, path+".1")
			add(t, path, "d\n")
		}, "log.1@4 c|log@0 d|"},
		{"renamed out of reach, and a new one", func(t *testing.T, path string) {
			add(t, path, "c\n")
			move(t, path, filepath.Join(t.TempDir(), "log"))
			add(t, path, "d\n")
		}, "log@0 d|"},
		{"renamed twice", func(t *testing.T, path string) {
			add(t, path, "c\n")
			move(t, path, path+".1")
			move(t, path+".1", path+"-yesterday")
			add(t, path, "d\n")
		}, "log-yesterday@4 c|log@0 d|"},
		{"copied and truncated", func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path+".1", b, 0o600))
			must(t, os.Truncate(path, 0))
			add(t, path, "d\n")
		}, "log@0 d|"},
		{"removed", func(t *testing.T, path string) { must(t, os.Remove(path)) }, ""},
		{"its directory removed", func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Dir(path))) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "dir", "log")
			f := newFile(t, path)
			must(t, f.Write([]byte("a\nb\n")))
			must(t, f.Close())
			f = newFile(t, path) // the place of a file that was there before
			place := f.Place()
			if place.Size != 4 || place.Inode == 0 {
				t.Fatalf("place %+v", place)
			}
			must(t, f.Close())
			c.story(t, path)
			var got strings.Builder
			must(t, Since(path, place, func(file string, offset int64, line []byte) error {
				fmt.Fprintf(&got, "%s@%d %s|", filepath.Base(file), offset, strings.TrimSuffix(string(line), "\n"))
				return nil
			}))
			want(t, "lines", got.String(), c.want)
		})
	}
}

func add(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	must(t, err)
	_, err = f.WriteString(text)
	must(t, errors.Join(err, f.Close()))
}

func move(t *testing.T, from, to string) {
	t.Helper()
	must(t, os.Rename(from, to))
}

// The place follows what is written.
func TestPlaceMoves(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := newFile(t, path)
	for i, size := range []int64{0, 4, 8} {
		if got := f.Place().Size; got != size {
			t.Errorf("after %d writes at %d, want %d", i, got, size)
		}
		must(t, f.Write([]byte("abc\n")))
	}
	inode := f.Place().Inode
	must(t, os.Rename(path, path+".1"))
	must(t, f.Reopen())
	if p := f.Place(); p.Size != 0 || p.Inode == inode {
		t.Errorf("reopened at %+v, was file %d", p, inode)
	}
}

// A half line that is ended on opening is before the place.
func TestPlaceAfterAHalfLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	add(t, path, "hal")
	if got := newFile(t, path).Place().Size; got != 4 {
		t.Errorf("at %d, want 4", got)
	}
}

// What line says ends the reading.
func TestSinceStops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	add(t, path, "a\nb\n")
	p, err := Tail(path, 100)
	must(t, err)
	enough := errors.New("enough")
	n := 0
	err = Since(path, p, func(string, int64, []byte) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("after %d lines: %v", n, err)
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if _, err := Tail(path, 1); err == nil || !strings.HasPrefix(err.Error(), "output: ") {
		t.Errorf("no file: %v", err)
	}
	add(t, path, "0123456789")
	for bytes, want := range map[int64]int64{0: 10, 3: 7, 10: 0, 11: 0} {
		p, err := Tail(path, bytes)
		must(t, err)
		if p.Size != want {
			t.Errorf("%d bytes before the end: at %d, want %d", bytes, p.Size, want)
		}
	}
}

// A name that has become a link is not followed.
func TestSinceFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	add(t, filepath.Join(dir, "secret"), "x\n")
	must(t, os.Symlink("secret", path))
	err := Since(path, Place{}, func(_ string, _ int64, line []byte) error { return fmt.Errorf("read %q", line) })
	if err == nil || !strings.Contains(err.Error(), "too many levels of symbolic links") {
		t.Errorf("%v", err)
	}
}

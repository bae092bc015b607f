package sink

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// limitFileSize makes writes beyond size bytes fail, after as much as fits has been written: what a full disk does, for
// any user. The limit is the process's, so these tests do not run in parallel.
func limitFileSize(t *testing.T, size uint64) {
	t.Helper()
	limit := fileSizeLimit(t)
	limit.Cur = min(size, limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
}

func fileSizeLimit(t *testing.T) syscall.Rlimit {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	return limit
}

// fillDisk lets files grow to size bytes until heal is called, at the latest at the end of the test.
func fillDisk(t *testing.T, size uint64) (heal func()) {
	t.Helper()
	before := fileSizeLimit(t)
	signal.Ignore(syscall.SIGXFSZ)
	heal = func() { _ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before) }
	t.Cleanup(func() {
		heal()
		signal.Reset(syscall.SIGXFSZ)
	})
	limitFileSize(t, size)
	return heal
}

func newFile(t *testing.T, path string) *File {
	t.Helper()
	f, err := NewFile(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s\n got %.300q\nwant %.300q", what, got, want)
	}
}

func TestAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, text := range []string{"one\ntwo\n", "three\n"} {
		f := newFile(t, path)
		must(t, f.Write([]byte(text)))
		must(t, f.Write([]byte("more\n")))
		must(t, f.Close())
	}
	want(t, "after two runs", content(t, path), "one\ntwo\nmore\nthree\nmore\n")
}

// A program that was killed, or input without a final newline, leaves half a line: the next one must not be joined to it.
func TestEndsAnUnfinishedLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	must(t, os.WriteFile(path, []byte("whole\nhal"), 0o600))
	f := newFile(t, path)
	must(t, f.Write([]byte("next\n")))
	want(t, "content", content(t, path), "whole\nhal\nnext\n")
}

func TestCreatesWithMode(t *testing.T) {
	before := syscall.Umask(0o027)
	t.Cleanup(func() { syscall.Umask(before) })
	for _, mode := range []fs.FileMode{0o600, 0o640, 0o664} {
		t.Run(mode.String(), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a", "b")
			f, err := NewFile(filepath.Join(dir, "log"), mode)
			must(t, err)
			must(t, f.Close())
			for path, want := range map[string]fs.FileMode{dir: 0o750, filepath.Join(dir, "log"): mode} {
				info, err := os.Stat(path)
				must(t, err)
				if got := info.Mode().Perm(); got != want {
					t.Errorf("%s has mode %04o, want %04o", path, got, want)
				}
			}
		})
	}
	t.Run("a file that is there keeps its own", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "log")
		must(t, os.WriteFile(path, nil, 0o620))
		must(t, os.Chmod(path, 0o620))
		newFile(t, path)
		info, err := os.Stat(path)
		must(t, err)
		if got := info.Mode().Perm(); got != 0o620 {
			t.Errorf("mode %04o, want 0620", got)
		}
	})
}

// Whatever stands at the path, the error says what to do, nothing is written to it, and once it has gone all that was
// written meanwhile is in the file.
func TestRefuses(t *testing.T) {
	cases := []struct {
		name string
		put  func(t *testing.T, path string)
		says []string
	}{
		{"symbolic link", func(t *testing.T, path string) {
			must(t, os.WriteFile(path+".target", nil, 0o600))
			must(t, os.Symlink(path+".target", path))
		}, []string{"symbolic link", "file.path"}},
		{"dangling symbolic link", func(t *testing.T, path string) {
			must(t, os.Symlink(path+".target", path))
		}, []string{"symbolic link", "file.path"}},
		{"FIFO that nobody reads", func(t *testing.T, path string) {
			must(t, syscall.Mkfifo(path, 0o600))
		}, []string{"not a regular file", "file.path"}},
		{"socket", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			must(t, err)
			t.Cleanup(func() { _ = l.Close() })
		}, []string{"not a regular file", "file.path"}},
		{"directory", func(t *testing.T, path string) {
			must(t, os.Mkdir(path, 0o700))
		}, []string{"is a directory", "file.path"}},
		{"directory that is a file", func(t *testing.T, path string) {
			must(t, os.Remove(filepath.Dir(path)))
			must(t, os.WriteFile(filepath.Dir(path), nil, 0o600))
		}, []string{"output directory", "not a directory", "file.path"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dir")
			must(t, os.Mkdir(dir, 0o700))
			path := filepath.Join(dir, "log")
			c.put(t, path)
			f, err := NewFile(path, 0o600)
			if err == nil {
				t.Fatal("no error")
			}
			for _, text := range append(c.says, path) {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error %q does not say %q", err, text)
				}
			}
			for _, line := range []string{"one\n", "two\n"} {
				if err := f.Write([]byte(line)); err == nil {
					t.Error("writing: no error")
				}
			}
			if info, err := os.Stat(path + ".target"); err == nil && info.Size() > 0 {
				t.Error("it wrote through the link")
			}
			must(t, os.RemoveAll(dir))
			must(t, f.Retry())
			must(t, f.Close())
			want(t, "content", content(t, path), "one\ntwo\n")
		})
	}
	t.Run("device", func(t *testing.T) {
		_, err := NewFile("/dev/full", 0o600)
		if err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("got %v", err)
		}
	})
}

func TestHoldsBackWhatCannotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := newFile(t, path)
	must(t, f.Write([]byte("first\n")))
	heal := fillDisk(t, 10)
	for _, line := range []string{"second\n", "third\n", "fourth\n"} {
		err := f.Write([]byte(line))
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "held back") {
			t.Errorf("writing %q: got error %v", line, err)
		}
	}
	want(t, "on the full disk", content(t, path), "first\nseco")
	if got, want := f.Pending(), len("nd\nthird\nfourth\n"); got != want {
		t.Errorf("%d bytes held back, want %d", got, want)
	}
	if err := f.Retry(); err == nil {
		t.Error("retry on the full disk: no error")
	}
	limitFileSize(t, 17) // in the middle of the third
	if err := f.Retry(); err == nil {
		t.Error("retry on the disk with little room: no error")
	}
	heal()
	must(t, f.Write([]byte("fifth\n")))
	want(t, "healed", content(t, path), "first\nsecond\nthird\nfourth\nfifth\n")
	if f.Pending() != 0 || f.Lost() != 0 {
		t.Errorf("%d bytes held back, %d lines lost, want none", f.Pending(), f.Lost())
	}
}

func TestCountsWhatIsLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := newFile(t, path)
	heal := fillDisk(t, 0)
	block := func(name string) []byte {
		return bytes.Repeat([]byte(name+strings.Repeat("x", 62)+"\n"), 1024) // 64 KiB, 1024 lines
	}
	const kept = 16
	f.bound = kept << 16
	for range kept {
		_ = f.Write(block("a"))
	}
	if f.Lost() != 0 {
		t.Fatalf("%d lines lost before the bound", f.Lost())
	}
	_ = f.Write(block("b"))
	_ = f.Write([]byte("b\nb\n"))
	if got := f.Lost(); got != 1026 {
		t.Errorf("%d lines lost, want 1026", got)
	}
	if f.Pending() > f.bound {
		t.Errorf("%d bytes held back, more than %d", f.Pending(), f.bound)
	}
	heal()
	must(t, f.Write([]byte("c\n")))
	got := content(t, path)
	if want := strings.Repeat(string(block("a")), kept) + "c\n"; got != want {
		t.Errorf("%d bytes written, want %d: the oldest, whole, and what came after healing", len(got), len(want))
	}
}

func TestCloseOnFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := newFile(t, path)
	must(t, f.Write([]byte("one\n")))
	fillDisk(t, 6)
	_ = f.Write([]byte("two\nthree\n"))
	if err := f.Close(); err == nil {
		t.Error("no error")
	}
	if f.Lost() != 2 {
		t.Errorf("%d lines lost, want 2", f.Lost())
	}
	want(t, "no half line", content(t, path), "one\n")
}

func TestReopen(t *testing.T) {
	t.Run("after a rename", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "log")
		f := newFile(t, path)
		must(t, f.Write([]byte("one\n")))
		must(t, os.Rename(path, path+".1"))
		must(t, f.Write([]byte("two\n")))
		must(t, f.Reopen())
		must(t, f.Write([]byte("three\n")))
		want(t, "old file", content(t, path+".1"), "one\ntwo\n")
		want(t, "new file", content(t, path), "three\n")
	})
	t.Run("without one", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "log")
		f := newFile(t, path)
		must(t, f.Write([]byte("one\n")))
		must(t, f.Reopen())
		must(t, f.Write([]byte("two\n")))
		want(t, "content", content(t, path), "one\ntwo\n")
	})
	for _, rename := range []bool{true, false} {
		t.Run(fmt.Sprintf("on a full disk, in the middle of a line, renamed %t", rename), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			f := newFile(t, path)
			heal := fillDisk(t, 6)
			_ = f.Write([]byte("one\ntwo\nthree\n"))
			want(t, "full", content(t, path), "one\ntw")
			old := ""
			if rename {
				must(t, os.Rename(path, path+".1"))
			}
			limitFileSize(t, 5)
			_ = f.Reopen()
			heal()
			must(t, f.Write([]byte("four\n")))
			if rename {
				old = content(t, path+".1")
			}
			want(t, "both files", old+content(t, path), "one\ntwo\nthree\nfour\n")
		})
	}
	t.Run("not possible now", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "log")
		f := newFile(t, path)
		must(t, os.Remove(path))
		must(t, os.Symlink(path+".target", path))
		if err := f.Reopen(); err == nil {
			t.Error("no error")
		}
		_ = f.Write([]byte("one\n"))
		must(t, os.Remove(path))
		must(t, f.Retry())
		want(t, "content", content(t, path), "one\n")
	})
}

// TestAnyTrouble does anything in any order: the lines in all files, oldest first, must be those written.
func TestAnyTrouble(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	heal := fillDisk(t, 1<<30)
	for range 200 {
		path := filepath.Join(t.TempDir(), "log")
		f := newFile(t, path)
		var all, rotated strings.Builder
		for step := range 60 {
			switch random.IntN(8) {
			case 0:
				limitFileSize(t, random.Uint64N(3000))
			case 1:
				heal()
			case 2:
				_ = f.Retry()
			case 3:
				if random.IntN(2) == 0 {
					must(t, os.Rename(path, path+".1"))
				}
				_ = f.Reopen()
				if old, err := os.ReadFile(path + ".1"); err == nil {
					rotated.Write(old)
					must(t, os.Remove(path+".1"))
				}
				if _, err := os.Stat(path); err != nil {
					t.Fatalf("seed %d: not opened again: %v", seed, err)
				}
			default:
				var b []byte
				for range 1 + random.IntN(5) {
					b = fmt.Appendf(b, "%d%s\n", step, strings.Repeat("x", random.IntN(200)))
				}
				all.Write(b)
				_ = f.Write(b)
			}
		}
		heal()
		must(t, f.Close())
		if got := rotated.String() + content(t, path); got != all.String() {
			t.Fatalf("seed %d:\n got %q\nwant %q", seed, got, all.String())
		}
	}
}

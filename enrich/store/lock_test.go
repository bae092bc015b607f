package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLockMakesTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "var", "lib", "state")
	if Held(dir) {
		t.Error("held before it is there")
	}
	d := lock(t, dir)
	info, err := os.Lstat(dir)
	must(t, err)
	if info.Mode() != os.ModeDir|0o700 {
		t.Errorf("%v, want mode 0700", info.Mode())
	}
	if !Held(dir) {
		t.Error("not held")
	}
	must(t, d.Close())
	if Held(dir) {
		t.Error("held after Close")
	}
}

func TestLockRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(dir string) error
		dir  string // below that, or from the root, is what is locked
		want string
	}{
		{"a file", func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
			"", "is no directory: remove it, or set state.dir"},
		{"a symlink to a directory", func(dir string) error { return os.Symlink(filepath.Dir(dir), dir) },
			"", "is no directory: remove it, or set state.dir"},
		{"somebody else's", func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, 12345, -1)) },
			"", "belongs to uid 12345, not to uid EUID which must trust it: chown it"},
		{"everybody's to write", func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)) },
			"", "others can write it (mode 0777): chmod 0700 DIR"},
		{"the group's to write", func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o720)) },
			"", "others can write it (mode 0720): chmod 0700 DIR"},
		{"below a file", func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
			"below/state", "not a directory: create it, or set state.dir"},
		{"where not even root can make one", func(string) error { return nil },
			"/proc/audisp-history", "cannot be made by uid EUID: "},
		{"in which no lock can be made", func(dir string) error { return os.MkdirAll(filepath.Join(dir, "lock"), 0o700) },
			"", "not writable by uid EUID: "},
		{"whose lock is a symlink", func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.Symlink("/dev/null", filepath.Join(dir, "lock")))
		}, "", "not writable by uid EUID: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.Contains(c.want, "12345") && os.Geteuid() != 0 {
				t.Skip("only root can give a directory away")
			}
			dir := filepath.Join(t.TempDir(), "state")
			must(t, c.make(dir))
			if dir = filepath.Join(dir, c.dir); filepath.IsAbs(c.dir) {
				dir = c.dir
			}
			want := strings.NewReplacer("DIR", dir, "EUID", fmt.Sprint(os.Geteuid())).Replace(c.want)
			d, err := Lock(context.Background(), dir)
			if err == nil {
				must(t, d.Close())
				t.Fatal("no error")
			}
			if !strings.HasPrefix(err.Error(), "state directory "+dir+": ") || !strings.Contains(err.Error(), want) {
				t.Errorf("error %q, want %q", err, want)
			}
		})
	}
}

func TestLockHeldByAnother(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first := lock(t, dir)
	ctx, cancel := context.WithTimeout(context.Background(), 3*lockPoll)
	defer cancel()
	_, err := Lock(ctx, dir)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v, want that of ctx", err)
	}
	want := fmt.Sprintf("state directory %s: in use by process %d: only one may write it", dir, os.Getpid())
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %q, want %q", err, want)
	}
	must(t, os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600))
	if _, err = Lock(ctx, dir); err == nil || !strings.Contains(err.Error(), "in use by process ?") {
		t.Errorf("error %v, want an unknown process", err)
	}
	must(t, first.Close())
	d, err := Lock(ctx, dir) // there is nothing to wait for
	must(t, err)
	must(t, d.Close())
}

// waiting is a context that says when somebody waits for it.
type waiting struct {
	context.Context
	once sync.Once
	here chan struct{}
}

func (w *waiting) Done() <-chan struct{} {
	w.once.Do(func() { close(w.here) })
	return w.Context.Done()
}

func TestLockIsPassedOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first := lock(t, dir)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	w := &waiting{Context: ctx, here: make(chan struct{})}
	got := make(chan error, 1)
	go func() {
		second, err := Lock(w, dir)
		if err == nil {
			err = second.Close()
		}
		got <- err
	}()
	<-w.here // it was tried in vain
	must(t, first.Close())
	must(t, <-got)
}

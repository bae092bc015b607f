package sink

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Compressing is no matter of haste: it rests after each piece, so that it takes no more than about a fourth of one
// processor. A low priority (setpriority(2)) would be wrong: a thread that does not get a processor, but must stop before
// the garbage collector can begin, holds up all others.
const (
	compressBytes = 128 << 10
	compressPause = 10 * time.Millisecond
)

// temporary is the name of what is not complete yet.
func (a *archive) temporary() string { return a.path + ".gz.tmp" }

// compress compresses all old files but the newest, oldest first, one after the other, unless that goes on already.
// Those of a run that failed are tried again with the next one.
//
// The newest is left as it is: after a restart, the place where the output was is looked up by its inode.
func (a *archive) compress() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.running {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.running, a.cancel = true, cancel
	a.done.Go(func() {
		defer cancel()
		for {
			from, err := a.begin()
			if from == nil && err == nil {
				return
			}
			if err == nil {
				err = errors.Join(a.squeeze(ctx, from), from.Close())
			}
			if err != nil {
				a.fail(ctx, err)
				return
			}
		}
	})
}

func (a *archive) fail(ctx context.Context, err error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.running, a.job = false, 0
	if ctx.Err() == nil { // else the program ends
		a.err = err
	}
}

// begin opens the next one to be compressed, nil if there is none.
func (a *archive) begin() (*os.File, error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	all, err := a.list()
	if err != nil {
		return nil, err
	}
	a.job = 0
	for n, o := range all {
		if n > 1 && o.plain {
			a.job = max(a.job, n)
		}
	}
	if a.job == 0 {
		a.running = false
		return nil, nil
	}
	return os.OpenFile(numbered(a.path, a.job), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// squeeze compresses a file, and puts what comes of it in its place. At any time one of the two is there, whole.
func (a *archive) squeeze(ctx context.Context, from *os.File) error {
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", from.Name())
	}
	if err := unlink(a.temporary()); err != nil {
		return err
	}
	to, err := os.OpenFile(a.temporary(), os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	packed, err := to.Stat()
	err = errors.Join(err, a.pack(ctx, to, from, info), to.Close())
	if err == nil {
		err = a.replace(info, packed)
	}
	if err != nil {
		return errors.Join(err, unlink(a.temporary()))
	}
	return nil
}

// pack writes a file compressed, with the owner, permissions and times of the original, and brings it to the disk.
func (a *archive) pack(ctx context.Context, to, from *os.File, info fs.FileInfo) error {
	z := gzip.NewWriter(to)
	z.Name, z.ModTime = filepath.Base(a.path), info.ModTime()
	buf := make([]byte, compressBytes)
	for {
		n, err := from.Read(buf)
		if _, err := z.Write(buf[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(a.pause):
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = to.Chown(int(s.Uid), int(s.Gid)) // as far as the program may; else it is more private
	}
	_ = to.Chmod(info.Mode().Perm()) // not all file systems have modes
	_ = os.Chtimes(to.Name(), info.ModTime(), info.ModTime())
	return to.Sync()
}

// replace names what is complete after the original, which may have another number by now, and removes that. If both are
// there, because the machine stopped in between, the original counts.
func (a *archive) replace(original, packed fs.FileInfo) error {
	err := a.locked(original, func(plain string) error {
		// A process that ends may overlap with the next one.
		if now, err := os.Lstat(a.temporary()); err != nil || !os.SameFile(now, packed) {
			return fmt.Errorf("%s was replaced by somebody else", a.temporary())
		}
		return os.Rename(a.temporary(), plain+gz)
	})
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(a.path))
	if err != nil {
		return err
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return err
	}
	return a.locked(original, unlink)
}

// locked does something with the name that the original has now, unless it was removed.
func (a *archive) locked(original fs.FileInfo, do func(plain string) error) error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.job == 0 {
		return unlink(a.temporary())
	}
	plain := numbered(a.path, a.job)
	if now, err := os.Lstat(plain); err != nil || !os.SameFile(now, original) {
		return fmt.Errorf("%s was renamed by somebody else: one program should rotate, not two", plain)
	}
	return do(plain)
}

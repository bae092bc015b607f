package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Dir is a state directory that this process holds. It is not safe for concurrent use.
type Dir struct {
	path string
	lock *os.File
	disk files

	boot       string // the id of the present one
	dir        string // its directory
	generation uint64 // of the journal that is written
	journal    file
	size       int64 // of that journal
	half       bool  // behind that is a part of a batch, which must go before anything else is written
	index      uint64
	older      int64 // bytes of the journals before it that no snapshot has replaced
	saved      int64 // bytes of the last snapshot
	done       chan error
	writing    int64 // bytes of the snapshot that is being written
}

// lockPoll is how often a lock that another process holds is tried.
const lockPoll = 20 * time.Millisecond

// Lock takes a state directory, which it makes, with mode 0700, if it is not there. While another process holds it, it
// waits until ctx is done.
func Lock(ctx context.Context, dir string) (*Dir, error) {
	if err := prepare(dir); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory %s: not writable by uid %d: %w", dir, os.Geteuid(), err)
	}
	if err := hold(ctx, lock); err != nil {
		return nil, errors.Join(fmt.Errorf("state directory %s: %w", dir, err), lock.Close())
	}
	d := &Dir{path: dir, lock: lock, disk: disk{}}
	if err := lock.Truncate(0); err == nil {
		_, err = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err != nil { // it only tells others who holds it
			_ = lock.Truncate(0)
		}
	}
	return d, nil
}

// prepare makes the directory, and refuses one in which others could change what is believed.
func prepare(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // /var/lib is everybody's to see
		return fmt.Errorf("state directory %s: %w: create it, or set state.dir", dir, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("state directory %s: cannot be made by uid %d: %w: create it, or set state.dir", dir, os.Geteuid(), err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("state directory %s: is no directory: remove it, or set state.dir", dir)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("state directory %s: belongs to uid %d, not to uid %d which must trust it: chown it", dir, s.Uid, os.Geteuid())
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("state directory %s: others can write it (mode %#o): chmod 0700 %s", dir, mode, dir)
	}
	return nil
}

// hold takes the lock.
func hold(ctx context.Context, lock *os.File) error {
	ticker := time.NewTicker(lockPoll)
	defer ticker.Stop()
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("cannot be locked: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("in use by process %s: only one may write it: %w", holder(lock), ctx.Err())
		case <-ticker.C:
		}
	}
}

func holder(lock *os.File) string {
	var b [16]byte
	n, _ := lock.ReadAt(b[:], 0) // whoever it is
	if pid := strings.TrimSpace(string(b[:n])); pid != "" {
		return pid
	}
	return "?"
}

// JournalBytes is how much would have to be replayed by a Load.
func (d *Dir) JournalBytes() int64 { return d.older + d.size }

// SnapshotBytes is how long the last snapshot is, that is being written if one is.
func (d *Dir) SnapshotBytes() int64 { return max(d.saved, d.writing) }

// begin begins the journal of a generation.
func (d *Dir) begin(generation uint64) error {
	if exists(name(d.dir, journal, generation)) { // one that was begun, failed, and could not be removed
		if err := d.disk.remove(name(d.dir, journal, generation)); err != nil {
			return fmt.Errorf("state directory %s: %w", d.path, err)
		}
	}
	f, err := d.disk.create(name(d.dir, journal, generation))
	if err != nil {
		return fmt.Errorf("state directory %s: %w", d.path, err)
	}
	head := header(journal, generation, d.boot)
	if _, err := f.Write(head); err != nil {
		return errors.Join(fmt.Errorf("state directory %s: %w", d.path, err), f.Close(), d.disk.remove(name(d.dir, journal, generation)))
	}
	d.journal, d.generation, d.index, d.size = f, generation, 0, int64(len(head))
	return nil
}

// Append adds a batch to the journal. It is there when the process dies, but not when the machine does; see Sync. After
// an error nothing has been added, and the same payload can be tried again.
func (d *Dir) Append(payload []byte) error {
	if len(payload) > maxPayload {
		return fmt.Errorf("state directory %s: a batch of %d bytes is too long", d.path, len(payload))
	}
	if d.journal == nil {
		if err := d.begin(d.generation + 1); err != nil {
			return err
		}
	}
	if err := d.undo(); err != nil {
		return err
	}
	head := seal(journal, d.generation, d.index, uint32(len(payload)), payload)
	batch := append(head[:], payload...)
	if _, err := d.journal.Write(batch); err != nil {
		d.half = true
		_ = d.undo() // else it is tried again
		return fmt.Errorf("state directory %s: %w", d.path, err)
	}
	d.index++
	d.size += int64(len(batch))
	return nil
}

// undo takes back half a batch. Until that is done nothing can be added, to another journal neither: whoever reads this
// one stops at the half, and takes what follows it for lost.
func (d *Dir) undo() error {
	if !d.half {
		return nil
	}
	if err := d.journal.Truncate(d.size); err != nil {
		return fmt.Errorf("state directory %s: half a batch cannot be taken back: %w", d.path, err)
	}
	d.half = false
	return nil
}

// Sync brings the journal to the disk. The function it returns may be called by another goroutine.
func (d *Dir) Sync() func() error {
	f := d.journal
	return func() error {
		if f == nil {
			return nil
		}
		if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			return fmt.Errorf("state directory: %w", err)
		}
		return nil
	}
}

// Close waits for a snapshot that is being written, brings the journal to the disk and gives the directory up.
func (d *Dir) Close() error {
	var err error
	if d.done != nil {
		err = d.finished(<-d.done)
	}
	if d.journal != nil {
		err = errors.Join(err, d.Sync()(), d.journal.Close())
	}
	return errors.Join(err, d.lock.Close())
}

// Held reports whether a process holds a state directory.
func Held(dir string) bool {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer lock.Close() //nolint:errcheck // which gives up the lock, too
	return errors.Is(unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

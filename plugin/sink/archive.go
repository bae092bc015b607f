package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// An archive is the old files of a path. A goroutine compresses some of them, so all that changes names holds the mutex.
type archive struct {
	path  string
	keep  int
	pause time.Duration // while compressing

	mutex   sync.Mutex
	job     int // the number of the file that is being compressed, 0 if there is none or it was removed
	running bool
	err     error // why compressing failed, if nobody has asked

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// mostOld is how many there may be: other programs put dates behind a name.
const mostOld = 999

func newArchive(path string, keep int) *archive {
	return &archive{path: path, keep: min(max(keep, 1), mostOld), pause: compressPause, cancel: func() {}}
}

const gz = ".gz"

// numbered is the name of an old file, of 1 or more.
func numbered(path string, n int) string { return path + "." + strconv.Itoa(n) }

// number is that of an old file, of its name as it is or compressed.
func number(path, name string) (n int, compressed, ok bool) {
	rest, ok := strings.CutPrefix(name, path+".")
	if !ok {
		return 0, false, false
	}
	rest, compressed = strings.CutSuffix(rest, gz)
	n, err := strconv.Atoi(rest)
	return n, compressed, err == nil && n > 0 && n <= mostOld && rest == strconv.Itoa(n)
}

// An old is which files there are of a number.
type old struct{ plain, compressed bool }

// list is what there is, by number.
func (a *archive) list() (map[int]old, error) {
	entries, err := os.ReadDir(filepath.Dir(a.path))
	if err != nil {
		return nil, err
	}
	all := map[int]old{}
	for _, e := range entries {
		n, compressed, ok := number(a.path, filepath.Join(filepath.Dir(a.path), e.Name()))
		if !ok {
			continue
		}
		o := all[n]
		o.plain, o.compressed = o.plain || !compressed, o.compressed || compressed
		all[n] = o
	}
	return all, nil
}

// take makes the file at path the newest of the old ones. Where it is interrupted a number may be missing afterwards,
// which the next one fills.
func (a *archive) take() error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	all, err := a.list()
	if err != nil {
		return err
	}
	for n := range all {
		if n < a.keep {
			continue
		}
		if err := a.remove(n); err != nil {
			return err
		}
		delete(all, n)
	}
	free := 1
	for all[free] != (old{}) {
		free++
	}
	for n := free - 1; n > 0; n-- {
		if err := a.shift(n, all[n]); err != nil {
			return err
		}
	}
	return os.Rename(a.path, numbered(a.path, 1))
}

func (a *archive) shift(n int, o old) error {
	from, to := numbered(a.path, n), numbered(a.path, n+1)
	if o.plain {
		if err := os.Rename(from, to); err != nil {
			return err
		}
	}
	if a.job == n {
		a.job++
	}
	if o.compressed {
		return os.Rename(from+gz, to+gz)
	}
	return nil
}

func (a *archive) remove(n int) error {
	if a.job == n {
		a.job = 0
	}
	name := numbered(a.path, n)
	return cmp.Or(unlink(name), unlink(name+gz))
}

// unlink removes a file, if there is one.
func unlink(name string) error {
	if err := syscall.Unlink(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s cannot be removed: %w", name, err)
	}
	return nil
}

// clean removes what a compression has left that was interrupted.
func (a *archive) clean() { _ = unlink(a.temporary()) } // else the next one says so

// trouble is why an old file could not be compressed, once.
func (a *archive) trouble() error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	err := a.err
	a.err = nil
	return err
}

// close gives up what goes on.
func (a *archive) close() {
	a.cancel()
	a.done.Wait()
}

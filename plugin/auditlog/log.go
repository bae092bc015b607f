package auditlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// attempts is how often opening files begins anew because auditd renamed some meanwhile. It renames them in a
	// burst, one a log at the most, which is over sooner than so many attempts.
	attempts = 100
	// maxFiles is how many files are held open at the most: auditd's limit on num_logs (auditd/src/auditd-config.c:
	// num_logs_parser).
	maxFiles = 999
)

// A Log is auditd's log, a file and its rotations: audit.log, audit.log.1, audit.log.2 …, the older the higher.
type Log struct {
	path  string
	block int // bytes that Back reads at once
	lstat func(name string) (fs.FileInfo, error)
}

// At is the log whose newest file is path.
func At(path string) *Log {
	return &Log{path: filepath.Clean(path), block: 256 << 10, lstat: os.Lstat}
}

// Path is where the newest file of the log is.
func (l *Log) Path() string { return l.path }

// A place is one of the log's names and the file that had it.
type place struct {
	name   string
	number int // 0 is the log itself, the others are rotations
	info   fs.FileInfo
}

// list is what places there are, newest first. While auditd rotates it may be wrong; see open.
func (l *Log) list() ([]place, error) {
	dir, base := filepath.Split(l.path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	var places []place
	for _, e := range entries {
		if n, ok := number(e.Name(), base); ok {
			places = append(places, place{name: dir + e.Name(), number: n})
		}
	}
	slices.SortFunc(places, func(a, b place) int { return a.number - b.number })
	there := places[:0]
	for _, p := range places {
		p.info, err = l.lstat(p.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		there = append(there, p)
	}
	return there, nil
}

// number reads the number of a rotation from its name. auditd writes it without leading zeros, and compresses nothing
// (auditd/src/auditd-event.c: rotate_logs).
func number(name, base string) (int, bool) {
	if name == base {
		return 0, true
	}
	suffix, ok := strings.CutPrefix(name, base+".")
	n, err := strconv.Atoi(suffix)
	return n, ok && err == nil && n > 0 && strconv.Itoa(n) == suffix
}

// open opens, of the places there are at one moment, those that pick takes, which are newest first.
//
// A rotation is not one step: auditd renames audit.log.1 to .2, but .2 to .3 before that, and so on, and makes a new
// audit.log at last. In between, any one name is missing. But a file only ever goes up, and no new one can be taken for
// one that is held open. So if all names stand for the same files before and after opening, they did so in between; a
// name that is missing is then no end.
func (l *Log) open(pick func([]place) []place) ([]*os.File, error) {
	for i := range attempts {
		if i > attempts/2 { // on a busy machine the burst lasts as long as auditd has to wait for a processor
			<-time.After(time.Millisecond)
		}
		before, err := l.list()
		if err != nil {
			return nil, err
		}
		files, err := openAll(pick(before))
		if err != nil && !errors.Is(err, errMoved) {
			return nil, err
		}
		if err == nil {
			after, err := l.list()
			if err == nil && slices.EqualFunc(before, after, samePlace) {
				return files, nil
			}
		}
		closeAll(files)
	}
	return nil, errMoved
}

func samePlace(a, b place) bool { return a.number == b.number && os.SameFile(a.info, b.info) }

var (
	errMoved     = errors.New("its files are being renamed all the time: try again when auditd rotates less")
	errIrregular = errors.New("not a regular file: log_file in auditd.conf must name one")
)

// openAll opens files and fails with errMoved if one is not where it was.
func openAll(places []place) ([]*os.File, error) {
	var files []*os.File
	for _, p := range places {
		f, err := openPlace(p)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func openPlace(p place) (*os.File, error) {
	if !p.info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", p.name, errIrregular)
	}
	// Should it be a FIFO by now, open does not wait for somebody who writes to it (fifo(7)).
	f, err := os.OpenFile(p.name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) {
		return nil, errMoved
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(info, p.info) {
		err = errMoved
	}
	if err != nil {
		_ = f.Close() // nothing was read
		return nil, err
	}
	return f, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // only read from
	}
}

// explain says what an error means for the log.
func (l *Log) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("auditd's log %s: %w: uid %d must be able to read it", l.path, err, os.Geteuid())
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("auditd's log %s: %w: log_file in auditd.conf must name it, write_logs be yes", l.path, err)
	}
	return fmt.Errorf("auditd's log %s: %w", l.path, err)
}

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What is set aside is bounded: the newest files stay.
const (
	asideDir   = "damaged"
	asideFiles = 8
	asideBytes = 64 << 20
)

// sweep removes snapshots that were never finished.
func (d *Dir) sweep() error {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	var failed error
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), temporarySuffix) {
			failed = errors.Join(failed, d.disk.remove(filepath.Join(d.dir, e.Name())))
		}
	}
	return failed
}

// setAside keeps what could not be read of a file, for whoever wants to find out why.
func (d *Dir) setAside(file string, from int64) (string, error) {
	in, size, err := open(file)
	if errors.Is(err, ErrDamaged) { // a directory, or the like
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer in.Close() //nolint:errcheck // it was only read
	dir := filepath.Join(d.path, asideDir)
	if os.MkdirAll(dir, 0o700) != nil {
		return "", nil // on a full disk it is lost, which is said
	}
	sequence := uint64(1)
	for _, old := range asides(dir) {
		sequence = max(sequence, old.number+1)
	}
	target := filepath.Join(dir, fmt.Sprintf("%06d-%s-%s-from-%d", sequence, filepath.Base(d.dir), filepath.Base(file), from))
	out, err := d.disk.create(target)
	if err != nil {
		return "", nil //nolint:nilerr // the same
	}
	_, err = io.Copy(out, io.NewSectionReader(in, from, min(size-from, asideBytes/2)))
	if err = errors.Join(err, out.Close()); err != nil {
		_ = d.disk.remove(target) // half of it is of no use
		return "", nil
	}
	limitAside(dir)
	return target, nil
}

// untoldFile says that damage was found which nobody was told of: whoever loaded the state died before that.
const untoldFile = "untold"

var errUntold = errors.New("was damaged the last time")

func (d *Dir) remember() {
	f, err := d.disk.create(filepath.Join(d.path, asideDir, untoldFile))
	if err == nil {
		_ = f.Close() // nothing is in it
	}
}

func (d *Dir) untold() bool { return exists(filepath.Join(d.path, asideDir, untoldFile)) }

// Told says that somebody was told of the damage that Load has found. Before, the next Load finds it again.
func (d *Dir) Told() {
	if d.untold() {
		_ = d.disk.remove(filepath.Join(d.path, asideDir, untoldFile)) // else it is told of twice
	}
}

type aside struct {
	path   string
	number uint64
	size   int64
}

// asides lists what was set aside, the newest first.
func asides(dir string) []aside {
	entries, _ := os.ReadDir(dir) // what cannot be listed is not counted
	var list []aside
	for _, e := range entries {
		n, ok := number(e.Name()[:min(6, len(e.Name()))], "")
		info, err := e.Info()
		if ok && err == nil {
			list = append(list, aside{filepath.Join(dir, e.Name()), n, info.Size()})
		}
	}
	slices.SortFunc(list, func(a, b aside) int { return int(b.number) - int(a.number) })
	return list
}

func limitAside(dir string) {
	bytes := int64(0)
	for i, a := range asides(dir) {
		bytes += a.size
		if i >= asideFiles || bytes > asideBytes {
			_ = os.Remove(a.path) // it is tried again the next time
		}
	}
}

// size is how long a file is, 0 if it is not there.
func size(file string) int64 {
	info, err := os.Lstat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}

package store

import (
	"errors"
	"fmt"
)

// ErrBusy says that the last snapshot is still being written.
var ErrBusy = errors.New("a snapshot is being written")

// Busy reports whether a snapshot is being written.
func (d *Dir) Busy() bool { return d.done != nil }

// Snapshot begins a journal at once, which follows what the payloads hold, and writes them, which must not be changed any
// more, in a goroutine of its own. When it is done, it replaces all that was before.
func (d *Dir) Snapshot(payloads [][]byte) error {
	if d.done != nil {
		return ErrBusy
	}
	for _, p := range payloads {
		if len(p) > maxPayload {
			return fmt.Errorf("state directory %s: a piece of a snapshot of %d bytes is too long", d.path, len(p))
		}
	}
	if err := d.undo(); err != nil {
		return err
	}
	old, older := d.journal, d.older+d.size
	if err := d.begin(d.generation + 1); err != nil {
		return err
	}
	d.older = older
	s := writer{disk: d.disk, dir: d.dir, boot: d.boot, generation: d.generation, old: old}
	d.writing = 0
	for _, p := range payloads {
		d.writing += int64(batchHead + len(p))
	}
	d.done = make(chan error, 1)
	go func(done chan<- error) { done <- s.write(payloads) }(d.done)
	return nil
}

// Done reports whether the snapshot that was being written is finished, once, and how that went.
func (d *Dir) Done() (finished bool, err error) {
	if d.done == nil {
		return false, nil
	}
	select {
	case err := <-d.done:
		return true, d.finished(err)
	default:
		return false, nil
	}
}

func (d *Dir) finished(err error) error {
	d.done = nil
	if err != nil {
		d.writing = 0
		return fmt.Errorf("state directory %s: snapshot: %w", d.path, err)
	}
	d.saved, d.writing, d.older = d.writing, 0, 0
	return nil
}

// A writer writes one snapshot.
type writer struct {
	disk       files
	dir, boot  string
	generation uint64
	old        file // the journal before it, nil if there is none
}

func (s *writer) write(payloads [][]byte) error {
	if s.old != nil { // what follows it must not be there without it
		if err := errors.Join(s.old.Sync(), s.old.Close()); err != nil {
			return err
		}
	}
	final := name(s.dir, snapshot, s.generation)
	temporary := final + temporarySuffix
	if exists(temporary) {
		if err := s.disk.remove(temporary); err != nil {
			return err
		}
	}
	f, err := s.disk.create(temporary)
	if err != nil {
		return err
	}
	if err := errors.Join(s.fill(f, payloads), f.Close()); err != nil {
		return errors.Join(err, s.disk.remove(temporary))
	}
	if err := s.disk.rename(temporary, final); err != nil {
		return errors.Join(err, s.disk.remove(temporary))
	}
	if err := s.disk.syncDir(s.dir); err != nil {
		return err
	}
	return clean(s.disk, s.dir, s.generation)
}

const temporarySuffix = ".new"

func (s *writer) fill(f file, payloads [][]byte) error {
	if _, err := f.Write(header(snapshot, s.generation, s.boot)); err != nil {
		return err
	}
	for i, p := range payloads {
		head := seal(snapshot, s.generation, uint64(i), uint32(len(p)), p)
		if _, err := f.Write(append(head[:], p...)); err != nil {
			return err
		}
	}
	end := seal(snapshot, s.generation, uint64(len(payloads)), endMark, nil)
	if _, err := f.Write(end[:]); err != nil {
		return err
	}
	return f.Sync()
}

// clean removes what a snapshot has replaced.
func clean(disk files, dir string, generation uint64) error {
	var failed error
	for _, k := range []kind{snapshot, journal} {
		list, err := generations(dir, k)
		if err != nil {
			return err
		}
		for _, g := range list {
			if g < generation {
				failed = errors.Join(failed, disk.remove(name(dir, k, g)))
			}
		}
	}
	return failed
}

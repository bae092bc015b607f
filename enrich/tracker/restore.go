package tracker

import (
	"errors"
	"fmt"

	"audisp-history/enrich/packed"
	"audisp-history/enrich/task"
)

var errState = errors.New("a saved state that makes no sense")

// A Restorer reads what Tracker.Save wrote, into a tracker that knows of no task. What was read of a state that turns
// out to be damaged is there; Finish must be called all the same.
type Restorer struct {
	tracker *Tracker
	machine *machine
	tasks   *task.Restorer
}

// Restore begins to read a saved state.
func (t *Tracker) Restore() *Restorer { return &Restorer{tracker: t} }

// Read reads the entries of one piece.
func (s *Restorer) Read(r *packed.Reader) error {
	for r.More() {
		tag := r.Byte()
		if err := s.entry(tag, r); err != nil {
			return err
		}
		if r.Err() != nil {
			return r.Err()
		}
	}
	return nil
}

func (s *Restorer) entry(tag byte, r *packed.Reader) error {
	if tag == entryMachine {
		return s.begin(r)
	}
	m := s.machine
	if m == nil {
		return fmt.Errorf("%w: no machine", errState)
	}
	switch tag {
	case entryFork:
		return s.fork(r)
	case entryEarly:
		k, err := s.tasks.Task(r.Uint())
		if err != nil || k == nil {
			return fmt.Errorf("%w: a child that is none: %w", errState, err)
		}
		m.forks.addEarly(k)
	case entryAhead:
		f := aheadFork{}
		f.restore(r)
		f.serial, f.caller, f.taken = r.Uint(), r.Uint32(), r.Bool()
		m.ahead = append(m.ahead, f)
	case entryBy:
		by := r.Uint32()
		exec, err := s.tasks.Exec(r.Uint())
		if err != nil {
			return err
		}
		if m.open != nil && m.open.By == 0 {
			m.open.By, m.open.ByExec = by, m.Hold(exec)
		}
	case entryPairs:
		p := &pairs{}
		init := r.Uint32()
		p.restore(r)
		if len(m.pairs) < namespacesKept {
			m.pairs[init] = p
		}
	default:
		return s.tasks.Entry(tag, r)
	}
	return nil
}

func (s *Restorer) begin(r *packed.Reader) error {
	s.Finish()
	m := s.tracker.machine(r.String())
	if m == nil || r.Err() != nil {
		return fmt.Errorf("%w: a machine too many: %w", errState, r.Err())
	}
	m.reset()
	m.gap, m.first, m.boot = r.Int(), r.Int(), r.Int()
	m.looked.begin, m.looked.end = r.Int(), r.Int()
	open, err := restoreGap(m.name, r)
	if err != nil {
		return err
	}
	m.open = open
	m.clock.restore(r)
	s.machine, s.tasks = m, task.NewRestorer(m.Table)
	return nil
}

func (s *Restorer) fork(r *packed.Reader) error {
	orphan := r.Bool()
	caller, err := s.tasks.Task(r.Uint())
	if err != nil || caller == nil {
		return fmt.Errorf("%w: a fork by nobody: %w", errState, err)
	}
	exec, err := s.tasks.Exec(r.Uint())
	if err != nil {
		return err
	}
	f := fork{caller: caller, exec: exec}
	f.restore(r)
	if r.Err() != nil {
		return r.Err()
	}
	m := s.machine
	if !orphan {
		m.addFork(f)
		return nil
	}
	m.Hold(f.exec)
	m.forks.count++
	m.forks.orphans = append(m.forks.orphans, f)
	if len(m.forks.orphans) > orphanLimit {
		m.forks.orphans = m.dropOldest(m.forks.orphans)
	}
	return nil
}

// Finish ends reading.
func (s *Restorer) Finish() {
	if s.tasks != nil {
		s.tasks.Finish()
	}
	s.machine, s.tasks = nil, nil
}

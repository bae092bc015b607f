package task

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"audisp-history/enrich/packed"
)

// What a Saver writes are entries: a byte that says which, and fields. Whoever saves more than tasks has entries of its
// own, above these.
const (
	EntryExec = 1
	EntryTask = 2
)

// A Saver writes the tasks and execs of a table, each once and after those it points to. Nothing may change meanwhile.
type Saver struct {
	w     *packed.Writer
	execs []*Exec
	tasks []*Task
	line  []*Exec // scratch: execs that are still to write, newest first
	chain []*Task // scratch: the same for creators
	last  int64   // the time written last
}

// NewSaver makes a saver that writes to w.
func NewSaver(w *packed.Writer) *Saver { return &Saver{w: w} }

// Exec writes an exec and those before it, as far as they have not been, and returns its number, 0 for none.
func (s *Saver) Exec(e *Exec) uint64 {
	s.line = s.line[:0]
	for p := e; p != nil && !s.hasExec(p); p = p.Prev {
		s.line = append(s.line, p)
	}
	for i := len(s.line) - 1; i >= 0; i-- {
		s.exec(s.line[i])
	}
	if e == nil {
		return 0
	}
	return uint64(e.saved) + 1
}

func (s *Saver) hasExec(e *Exec) bool { return int(e.saved) < len(s.execs) && s.execs[e.saved] == e }

func (s *Saver) exec(e *Exec) {
	w := s.w
	w.Byte(EntryExec)
	w.Byte(byte(e.Via))
	prev := uint64(0)
	if e.Prev != nil { // most follow the one written last
		prev = uint64(len(s.execs)) - uint64(e.Prev.saved)
	}
	w.Uint(prev)
	w.String(e.Name)
	w.String(e.Exe)
	s.time(e.Start)
	w.Uint(uint64(e.PID))
	if e.Via == Folded {
		w.Uint(uint64(e.Omitted))
	}
	e.saved = uint32(len(s.execs))
	s.execs = append(s.execs, e)
}

func (s *Saver) time(at int64) {
	s.w.Int(at - s.last)
	s.last = at
}

// Task writes a task and its creators, as far as they have not been, and returns its number, 0 for none.
func (s *Saver) Task(t *Table, k *Task) uint64 {
	s.chain = s.chain[:0]
	for c := k; c != nil && !s.hasTask(c); c = c.Creator {
		s.chain = append(s.chain, c)
	}
	for i := len(s.chain) - 1; i >= 0; i-- {
		s.task(t, s.chain[i])
	}
	if k == nil {
		return 0
	}
	return uint64(k.saved) + 1
}

func (s *Saver) hasTask(k *Task) bool { return int(k.saved) < len(s.tasks) && s.tasks[k.saved] == k }

// The flags of a task.
const (
	flagKernel = 1 << iota
	flagForeign
	flagUnsure
	flagEarly
	flagShown
	flagProvisional
	flagFromProc
	flagUndated
	flagCurrent // it is what its pid leads to
	flagListed  // it has ended and is remembered; its rank follows, lower for those that ended before
	flagSpawns  // two bits
)

func (k *Task) flags() uint64 {
	n := uint64(k.Spawns) * flagSpawns
	for i, set := range []bool{k.Kernel, k.Foreign, k.Unsure, k.Early, k.Shown, k.Provisional, k.FromProc, k.Undated} {
		if set {
			n |= 1 << i
		}
	}
	return n
}

func (k *Task) setFlags(n uint64) {
	for i, p := range []*bool{&k.Kernel, &k.Foreign, &k.Unsure, &k.Early, &k.Shown, &k.Provisional, &k.FromProc, &k.Undated} {
		*p = n&(1<<i) != 0
	}
	k.Spawns = Spawn(n / flagSpawns)
}

func (s *Saver) task(t *Table, k *Task) {
	e := s.Exec(k.Exec)
	flags := k.flags()
	if t.tasks[k.PID] == k {
		flags |= flagCurrent
	}
	if k.listed {
		flags |= flagListed
	}
	w := s.w
	w.Byte(EntryTask)
	w.Uint(flags)
	if k.listed {
		w.Uint(uint64(k.saved))
	}
	w.Uint(e)
	creator := uint64(0)
	if k.Creator != nil {
		creator = uint64(k.Creator.saved) + 1
	}
	w.Uint(creator)
	s.time(k.Start)
	w.Int(k.Last - k.Start)
	if k.Ended == 0 {
		w.Uint(0)
	} else {
		w.Uint(1)
		w.Int(k.Ended - k.Start)
	}
	w.Int(k.Place)
	w.Uint(k.Ticks)
	for _, n := range []uint32{k.PID, k.PPID, k.Init, k.SpawnInit} {
		w.Uint(uint64(n))
	}
	k.saved = uint32(len(s.tasks))
	s.tasks = append(s.tasks, k)
}

// Save writes a table, and calls cut after every entry: there what has been written may be taken away.
func (s *Saver) Save(t *Table, cut func()) {
	for i := range t.count { // creators are written first, whenever they ended: until its turn comes, saved is a task's rank
		t.ended[(t.head+i)%len(t.ended)].saved = uint32(i)
	}
	for i := range t.count {
		s.Task(t, t.ended[(t.head+i)%len(t.ended)])
		cut()
	}
	for _, k := range t.tasks {
		s.Task(t, k)
		cut()
	}
}

// A Restorer reads what a Saver wrote into an empty table.
type Restorer struct {
	table *Table
	execs []*Exec
	tasks []*Task
	ended []ranked
	last  int64
}

// ranked is a task that has ended, and its place among those.
type ranked struct {
	task *Task
	rank uint64
}

// NewRestorer makes a restorer that fills t.
func NewRestorer(t *Table) *Restorer { return &Restorer{table: t} }

var errEntry = errors.New("a saved task that makes no sense")

// Entry reads one entry, whose first byte was tag.
func (s *Restorer) Entry(tag byte, r *packed.Reader) error {
	switch tag {
	case EntryExec:
		return s.exec(r)
	case EntryTask:
		return s.task(r)
	}
	return fmt.Errorf("%w: entry %d", errEntry, tag)
}

// Exec is the exec of a number that the saver gave out, nil for 0.
func (s *Restorer) Exec(number uint64) (*Exec, error) {
	if number > uint64(len(s.execs)) {
		return nil, fmt.Errorf("%w: there is no exec %d", errEntry, number)
	}
	if number == 0 {
		return nil, nil
	}
	return s.execs[number-1], nil
}

// Task is the same for tasks.
func (s *Restorer) Task(number uint64) (*Task, error) {
	if number > uint64(len(s.tasks)) {
		return nil, fmt.Errorf("%w: there is no task %d", errEntry, number)
	}
	if number == 0 {
		return nil, nil
	}
	return s.tasks[number-1], nil
}

func (s *Restorer) time(r *packed.Reader) int64 {
	s.last += r.Int()
	return s.last
}

func (s *Restorer) exec(r *packed.Reader) error {
	via, back := Via(r.Byte()), r.Uint()
	if via > Folded || back > uint64(len(s.execs)) {
		return fmt.Errorf("%w: exec %d", errEntry, len(s.execs))
	}
	var prev *Exec
	if back > 0 {
		prev = s.execs[uint64(len(s.execs))-back]
	}
	name, exe, start, pid := r.String(), r.String(), s.time(r), r.Uint32()
	omitted := uint32(0)
	if via == Folded {
		omitted = r.Uint32()
	}
	if r.Err() != nil {
		return r.Err()
	}
	e := s.table.newExec(prev)
	e.Program, e.Start, e.PID, e.Via = s.table.share(Program{name, exe, omitted}), start, pid, via
	s.execs = append(s.execs, e.hold()) // until Finish: a task may be forgotten before the next one is read
	return nil
}

func (s *Restorer) task(r *packed.Reader) error {
	flags, rank := r.Uint(), uint64(0)
	if flags&flagListed != 0 {
		rank = r.Uint()
	}
	e, err := s.Exec(r.Uint())
	if err != nil {
		return err
	}
	creator, err := s.Task(r.Uint())
	if err != nil {
		return err
	}
	if flags >= 4*flagSpawns || flags/flagSpawns > uint64(Joined) {
		return fmt.Errorf("%w: task %d", errEntry, len(s.tasks))
	}
	k := &Task{Creator: creator, Start: s.time(r)}
	k.setFlags(flags)
	k.Last = k.Start + r.Int()
	if r.Uint() != 0 {
		k.Ended = max(k.Start+r.Int(), 1)
	}
	k.Place, k.Ticks = r.Int(), r.Uint()
	k.PID, k.PPID, k.Init, k.SpawnInit = r.Uint32(), r.Uint32(), r.Uint32(), r.Uint32()
	if r.Err() != nil {
		return r.Err()
	}
	if err := s.enter(k, flags, rank); err != nil {
		return err
	}
	if flags&(flagCurrent|flagListed) != 0 { // a dead creator has no history
		k.Exec = e.hold()
	}
	s.tasks = append(s.tasks, k)
	return nil
}

func (s *Restorer) enter(k *Task, flags, rank uint64) error {
	t := s.table
	current, listed := flags&flagCurrent != 0, flags&flagListed != 0
	if current && t.tasks[k.PID] != nil || listed && k.Lives() || current && !listed && !k.Lives() {
		return fmt.Errorf("%w: task %d", errEntry, len(s.tasks))
	}
	if !current && !listed && k.Lives() {
		return fmt.Errorf("%w: task %d lives, but %d is another's", errEntry, len(s.tasks), k.PID)
	}
	if current {
		t.tasks[k.PID] = k
	}
	switch {
	case listed:
		s.ended = append(s.ended, ranked{k, rank})
	case current:
		t.live++
		if t.live > t.limits.Tasks {
			t.evict(k)
		}
	}
	return nil
}

// Finish ends reading, of a state that may have been read in part only.
func (s *Restorer) Finish() {
	slices.SortStableFunc(s.ended, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	for _, k := range s.ended {
		if s.table.count == s.table.limits.Ended {
			s.table.forgetOldest()
		}
		s.table.remember(k.task)
	}
	s.ended = nil
	for _, e := range s.execs {
		s.table.release(e)
	}
	s.execs, s.tasks = nil, nil
}

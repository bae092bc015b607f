package tracker

import (
	"errors"
	"fmt"

	"audisp-history/enrich/packed"
)

// A journal holds what was handled since a state was saved, in the order in which it was: replayed on top of that
// state it gives the present one, whatever had to be inferred. Times and serials are written as differences.
//
// A change is a byte, its kind in the low five bits and three flags, and its fields. changeEnd ends a list of them.
const (
	changeEnd     = iota
	changeMachine // those that follow are about another machine: its node
	changeBegin   // the first event of a machine: time
	changeBoot    // the machine has booted
	changeMention // pid, time; flag: it dies
	changeAhead   // a fork that is ahead, as actFork
	changeLose    // events are missing: time of the next one
	changeRules   // what changed, by whom, time
	changeTold    // the open gap was told of
	changeClosed  // the open gap has ended: time
	changeLook    // a look took effect, which is not in the journal: time
	changeGone    // a task has ended unrecorded: pid, time
	changeThread  // what was taken for a task is a thread: pid
	changeLeader  // what may have been a thread is a task: pid
	changeCall    // news, by act
	changeClone3  = changeCall + int(acts)
	changeKinds   = changeClone3 + 1

	changeKind = 1<<5 - 1
	flagLate   = 1 << 5 // of mentions: it dies; of a fork ahead: by clone3
	flagExe    = 1 << 6 // a name and a program follow
	flagKernel = 1 << 7
)

// A writtenChange is the one before, from which the next differs little.
type writtenChange struct {
	machine *machine
	at      int64
	serial  uint64
}

// journal is where changes go, nil if nobody keeps them or while they are read.
func (t *Tracker) journal() *packed.Writer {
	if t.replaying {
		return nil
	}
	return t.config.Journal
}

// FreshJournal begins a journal: the changes to come follow the state that is saved now.
func (t *Tracker) FreshJournal() { t.written = writtenChange{} }

// EndChanges ends the changes that have been written to the journal since the last call.
func (t *Tracker) EndChanges() { t.config.Journal.Byte(changeEnd) }

func (t *Tracker) note(kind byte) {
	if w := t.journal(); w != nil {
		w.Byte(kind)
	}
}

func (t *Tracker) noteMachine(m *machine) {
	w := t.journal()
	if w == nil || t.written.machine == m {
		return
	}
	t.written.machine = m
	w.Byte(changeMachine)
	w.String(m.name)
}

func (t *Tracker) noteAt(m *machine, kind byte, at int64) {
	w := t.journal()
	if w == nil {
		return
	}
	t.noteMachine(m)
	w.Byte(kind)
	w.Int(at - t.written.at)
	t.written.at = at
}

func (t *Tracker) noteBegin(m *machine, at int64) { t.noteAt(m, changeBegin, at) }
func (t *Tracker) noteLose(m *machine, to int64)  { t.noteAt(m, changeLose, to) }
func (t *Tracker) noteLook(m *machine, at int64)  { t.noteAt(m, changeLook, at) }

func (t *Tracker) noteRules(m *machine, c ruleChange, at int64, by uint32) {
	if w := t.journal(); w != nil {
		t.noteAt(m, changeRules, at)
		w.Byte(byte(c))
		w.Uint(uint64(by))
	}
}

func (t *Tracker) notePID(m *machine, kind byte, pid uint32, at int64) {
	if w := t.journal(); w != nil {
		t.noteAt(m, kind, at)
		w.Uint(uint64(pid))
	}
}

func (t *Tracker) noteMention(m *machine, pid uint32, at int64, dies bool) {
	kind := byte(changeMention)
	if dies {
		kind |= flagLate
	}
	t.notePID(m, kind, pid, at)
}

func (t *Tracker) noteAhead(m *machine, n *news) {
	w := t.journal()
	if w == nil {
		return
	}
	kind := byte(changeAhead)
	if n.clone3 {
		kind |= flagLate
	}
	t.noteMachine(m)
	w.Byte(kind)
	t.noteStamp(w, n)
	w.Uint(uint64(n.child))
	w.Uint(n.flags)
}

func (t *Tracker) noteStamp(w *packed.Writer, n *news) {
	w.Uint(uint64(n.pid))
	w.Uint(uint64(n.ppid))
	w.Int(n.at - t.written.at)
	w.Int(int64(n.serial - t.written.serial))
	t.written.at, t.written.serial = n.at, n.serial
}

func (t *Tracker) noteNews(m *machine, n *news) {
	w := t.journal()
	if w == nil {
		return
	}
	t.noteMachine(m)
	head := changeCall + byte(n.act)
	if n.clone3 && n.act == actFork {
		head = byte(changeClone3)
	}
	if n.late {
		head |= flagLate
	}
	if n.exe != nil {
		head |= flagExe
	}
	if n.kernel {
		head |= flagKernel
	}
	w.Byte(head)
	t.noteStamp(w, n)
	if n.exe != nil {
		w.Text(n.comm)
		w.Text(n.exe)
	}
	if n.act == actFork {
		w.Uint(uint64(n.child))
		w.Uint(n.flags)
	}
}

var errChange = errors.New("a change that makes no sense")

// Replay applies the changes of a journal, up to where EndChanges was called. What it finds out is told to nobody.
func (t *Tracker) Replay(r *packed.Reader) error {
	t.replaying = true
	defer func() { t.replaying = false }()
	for {
		head := r.Byte()
		if r.Err() != nil {
			return r.Err()
		}
		if head == changeEnd {
			return nil
		}
		if err := t.replay(r, head); err != nil {
			return err
		}
	}
}

func (t *Tracker) replay(r *packed.Reader, head byte) error {
	kind := int(head & changeKind)
	if kind >= changeKinds {
		return fmt.Errorf("%w: kind %d", errChange, kind)
	}
	last := &t.written
	if kind == changeMachine {
		last.machine = t.machine(r.String())
	}
	m := last.machine
	if m == nil {
		return fmt.Errorf("%w: of no machine", errChange)
	}
	if kind == changeAhead || kind >= changeCall {
		return t.replayCall(r, m, head)
	}
	switch kind {
	case changeMachine:
		return r.Err()
	case changeBoot:
		m.reset()
		return nil
	case changeTold:
		if m.open != nil {
			m.open.told = true
		}
		return nil
	}
	last.at += r.Int()
	switch kind {
	case changeBegin:
		m.begin(last.at)
	case changeLose, changeLook: // without the look, what happened unseen before it is not known
		m.lose(last.at)
	case changeRules:
		c := ruleChange(r.Byte())
		if c >= ruleChanges {
			return fmt.Errorf("%w: rule change %d", errChange, c)
		}
		m.change(c, last.at, r.Uint32())
	case changeClosed:
		if m.open != nil {
			m.closeGap(last.at)
		}
	default:
		pid := r.Uint32()
		if r.Err() == nil {
			m.replayPID(kind, pid, last.at, head&flagLate != 0)
		}
	}
	return r.Err()
}

func (m *machine) replayPID(kind int, pid uint32, at int64, dies bool) {
	k := m.Lookup(pid)
	if k == nil {
		return
	}
	switch kind {
	case changeMention:
		m.mention(k, at, dies)
	case changeGone:
		m.end(k, at)
	case changeThread:
		m.Forget(k)
	case changeLeader:
		k.Provisional = false
	}
}

func (t *Tracker) replayCall(r *packed.Reader, m *machine, head byte) error {
	kind := int(head & changeKind)
	n := &t.news
	*n = news{pid: r.Uint32(), ppid: r.Uint32(), late: head&flagLate != 0, kernel: head&flagKernel != 0}
	t.written.at += r.Int()
	t.written.serial += uint64(r.Int())
	n.at, n.serial = t.written.at, t.written.serial
	switch kind {
	case changeAhead:
		n.act, n.clone3, n.late = actFork, n.late, false
	case changeClone3:
		n.act, n.clone3 = actFork, true
	default:
		n.act = act(kind - changeCall)
	}
	if head&flagExe != 0 {
		t.comm = append(t.comm[:0], r.String()...)
		t.exe = append(t.exe[:0], r.String()...)
		n.comm, n.exe = t.comm, program(t.exe)
	}
	if n.act == actFork {
		n.child, n.flags = int64(r.Uint32()), r.Uint()
	}
	if r.Err() != nil {
		return r.Err()
	}
	if kind == changeAhead {
		m.foresee(n)
		return nil
	}
	m.take(n)
	return nil
}

package tracker

import (
	"slices"

	"audisp-history/enrich/task"
)

// Flags of clone and unshare: include/uapi/linux/sched.h.
const (
	cloneParent = 0x00008000
	cloneThread = 0x00010000
	cloneNewPID = 0x20000000
)

// A fork is a successful call that made a task, or a thread.
type fork struct {
	caller  *task.Task
	exec    *task.Exec // the caller's newest then
	ppid    uint32     // the parent the child will name
	at      int64      // the call's entry
	child   int64      // what it returned: the child's pid in the caller's pid namespace
	flags   uint64
	clone3  bool // the flags are not known
	late    bool
	foreign bool // the child is born into another pid namespace than the caller's
}

// fork enters what a fork made.
func (m *machine) fork(caller *task.Task, f fork) {
	if f.flags&cloneThread != 0 || f.child <= 0 || f.child >= 1<<31 {
		return
	}
	f.caller, f.exec, f.ppid = caller, m.historyAt(caller, f), caller.PID
	if f.flags&cloneParent != 0 {
		f.ppid = caller.PPID
	}
	f.foreign = f.flags&cloneNewPID != 0 || caller.Spawns != task.Here
	if caller.Foreign {
		if !m.forks.confirm(f) {
			m.forks.add(m, f)
		}
		return
	}
	m.child(f)
}

// historyAt is what the caller had executed when it forked. In the order of serials that is its history now; a late
// fork may have been overtaken by execs of the caller.
func (m *machine) historyAt(caller *task.Task, f fork) *task.Exec {
	e := caller.Exec
	for f.late && e != nil && e.Prev != nil && e.PID == caller.PID && e.Start > f.at {
		e = e.Prev
	}
	return e
}

// child enters a task by the fork that made it, whose return value is its pid.
func (m *machine) child(f fork) {
	pid := uint32(f.child)
	k := m.Lookup(pid)
	if k != nil && m.settled(k, f) {
		return
	}
	own, ended := m.split(k, f)
	exec := m.Hold(f.exec) // New may be what ends the last task that holds it
	k = m.New(pid, f.caller, exec, f.at)
	m.Release(exec)
	k.PPID, k.Provisional = f.ppid, f.clone3
	f.born(k)
	for _, e := range own {
		m.Execute(k, []byte(e.Name), []byte(e.Exe), e.Start, e.Via)
	}
	if ended > 0 {
		m.End(k, ended)
	}
}

// split finds what was put down to a task that had ended unseen and is the child's, who had its pid, and the same
// parent, before the fork was recorded: whatever came after the fork began.
func (m *machine) split(k *task.Task, f fork) (own []task.Exec, ended int64) {
	if k == nil || k.PPID != f.ppid || k.Last < f.at {
		return nil, 0
	}
	for e := k.Exec; e != nil && e.PID == k.PID && e.Start >= f.at; e = e.Prev {
		own = append(own, *e)
	}
	slices.Reverse(own)
	return own, k.Ended
}

// settled reports whether the task that has the child's pid is the child itself, placed by its own records before the
// fork was, or one that came after it.
func (m *machine) settled(k *task.Task, f fork) bool {
	if k == f.caller {
		return true
	}
	if !k.Early {
		return k.Start > f.at && !k.FromProc && f.late
	}
	if k.Last < f.at || !k.Lives() && k.Ended < f.at {
		return false // it was there before: the pid is another's now
	}
	if k.PPID != f.ppid && k.Creator != f.caller && !k.Descends(f.caller.PID) && !f.clone3 {
		return false
	}
	if k.Start < f.at {
		return false
	}
	k.Early, k.Undated = false, false
	if k.Creator != f.caller {
		m.Rebase(k, f.exec)
		k.Creator = f.caller
	}
	f.born(k)
	return true
}

// born sets where a child lives.
func (f fork) born(k *task.Task) {
	c := f.caller
	k.Foreign, k.Init = c.Foreign || f.foreign, c.Init
	if !f.foreign {
		return
	}
	// The first task of a namespace is its init. One that was joined has had its init before.
	if c.Spawns == task.Apart && c.SpawnInit == 0 {
		c.SpawnInit = k.PID
	}
	k.Init = c.SpawnInit
	if f.flags&cloneNewPID != 0 {
		k.Init = k.PID
	}
}

const (
	// perCaller is how many forks of one task may wait for the child's first record.
	perCaller = 64
	// soon is how long, in milliseconds, a fork is believed to be the one of a child whose first record is an exec,
	// if its caller has executed something since.
	soon = 5000
	// earlyLimit is how many children may wait for the record of their fork.
	earlyLimit = 1024
)

// forks are those made in other pid namespaces: the number that the caller got is not the child's pid in records, so
// they wait for the first record of an unknown task with the right parent. Some are threads and never show one.
type forks struct {
	limit   int
	waiting []fork // oldest first
	early   []*task.Task
}

// add keeps a fork until its child shows up.
func (w *forks) add(m *machine, f fork) {
	f.exec = m.Hold(f.exec)
	mine, first := 0, -1
	for i := range w.waiting {
		if w.waiting[i].caller == f.caller {
			if mine++; first < 0 {
				first = i
			}
		}
	}
	switch {
	case mine >= perCaller:
		w.drop(m, first)
	case len(w.waiting) >= max(w.limit, 1):
		w.drop(m, 0)
	}
	w.waiting = append(w.waiting, f)
}

func (w *forks) drop(m *machine, i int) {
	m.tracker.counts.Unmatched++
	m.Release(w.waiting[i].exec)
	w.waiting = append(w.waiting[:i], w.waiting[i+1:]...)
}

// match finds the fork that made an unknown task, and takes it: the newest that is not after the record. The caller of
// the fork releases its history.
func (w *forks) match(m *machine, parent *task.Task, n *news) (fork, bool) {
	best := -1
	for i := len(w.waiting) - 1; i >= 0; i-- {
		f := &w.waiting[i]
		if f.at > n.at || !w.fits(f, parent, n) {
			continue
		}
		if f.ppid == n.ppid {
			best = i
			break
		}
		if best < 0 {
			best = i
		}
	}
	if best < 0 {
		return fork{}, false
	}
	f := w.waiting[best]
	w.waiting = append(w.waiting[:best], w.waiting[best+1:]...)
	return f, true
}

// fits reports whether the child of a fork may be the task that a record with the given parent shows: one whose parent
// has died names a subreaper or the init of its namespace instead.
func (w *forks) fits(f *fork, parent *task.Task, n *news) bool {
	if f.ppid != n.ppid {
		if f.caller.Lives() || parent.PID != f.caller.Init && !f.caller.Descends(parent.PID) {
			return false
		}
	}
	if !n.exec {
		return n.exe == nil || f.exec == nil || sameProgram(f.exec.Exe, n.exe)
	}
	return f.exec == f.caller.Exec || n.at-f.at <= soon
}

func (w *forks) addEarly(k *task.Task) {
	if len(w.early) >= earlyLimit {
		w.early = append(w.early[:0], w.early[1:]...)
	}
	w.early = append(w.early, k)
}

// confirm finds the child of a fork among those that showed up before it.
func (w *forks) confirm(f fork) bool {
	for i, k := range w.early {
		if k.PPID == f.ppid && k.Creator != nil && k.Start >= f.at && k.Early {
			k.Early, k.Undated = false, false
			w.early = append(w.early[:i], w.early[i+1:]...)
			return true
		}
	}
	return false
}

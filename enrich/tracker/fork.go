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
	caller *task.Task
	exec   *task.Exec // the caller's newest then
	ppid   uint32     // the parent the child will name
	at     int64      // the call's entry
	child  int64      // what it returned: the child's pid in the caller's pid namespace
	flags  uint64
	clone3 bool // the flags are not known
	late   bool
	// The child's pid was given out between these places (see pidClock), or a little after.
	low, high int64
}

// fork enters what a fork made.
func (m *machine) fork(caller *task.Task, f fork) {
	f.caller, f.exec, f.ppid = caller, m.historyAt(caller, f), caller.PID
	if f.flags&cloneParent != 0 {
		f.ppid = caller.PPID
	}
	f.low, f.high = max(m.clock.before(f.at), caller.Place), m.clock.top
	if caller.Unsure && !f.late {
		m.settleNamespace(caller, &f)
	}
	if caller.Foreign || caller.Unsure {
		if !m.forks.confirm(f) {
			m.addFork(f)
		}
		return
	}
	if !f.late {
		m.clock.again(uint32(f.child), m.clock.before(f.at))
	}
	m.clock.born(uint32(f.child))
	m.child(f)
}

// settleNamespace finds out where a caller lives by what its fork returned: elsewhere the numbers are lower.
func (m *machine) settleNamespace(caller *task.Task, f *fork) {
	if f.low == 0 {
		return // no pid is known to compare with
	}
	caller.Unsure = false
	if m.clock.next(uint32(f.child), f.low) {
		return
	}
	caller.Foreign = true
	if caller.Init != 0 {
		caller.Init = caller.PID // made by clone3 into a new namespace; one that was joined has its init already
	}
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
	k = m.New(pid, f.caller, f.exec, f.at)
	k.PPID, k.Provisional = f.ppid, f.clone3
	f.born(k)
	for _, e := range own {
		m.Execute(k, []byte(e.Name), []byte(e.Exe), e.Start, e.Via)
	}
	if ended > 0 {
		m.end(k, ended)
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
	if k.Start < f.at || f.caller.Descends(k.PID) { // nobody is made by his own descendant
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
	k.Foreign, k.Init, k.Unsure = c.Foreign, c.Init, c.Unsure
	switch {
	case f.flags&cloneNewPID != 0:
		k.Foreign, k.Init = true, k.PID
	case c.Spawns == task.Apart: // the first task of a namespace is its init
		if c.SpawnInit == 0 {
			c.SpawnInit = k.PID
		}
		k.Foreign, k.Init = true, c.SpawnInit
	case c.Spawns == task.Joined:
		k.Unsure, k.Init = !k.Foreign, 0
	case f.clone3:
		k.Unsure = !k.Foreign
	}
	k.Unsure = k.Unsure && !k.Foreign
}

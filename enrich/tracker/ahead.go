package tracker

import (
	"slices"

	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
)

// A task's first record often comes a few events before that of the fork that made it: a vfork returns when the child
// has executed something, and on several CPUs so may a fork. Who hands events to a tracker may therefore let such an
// event wait for a moment (Ready) and tell of the forks behind it (Foresee), so that the child is placed where it
// belongs from its first record on.

// An aheadFork is a fork that has been recorded but not handled yet.
type aheadFork struct {
	fork
	serial uint64
	caller uint32
	taken  bool // its child has been placed
}

// Ready reports whether an event can be handled now: false if it is the first of a task whose fork may follow soon.
func (t *Tracker) Ready(e *record.Event) bool {
	if e.Call < 0 {
		return true
	}
	m := t.machine(e.Node)
	if m == nil {
		return true
	}
	n, ok := t.newsOf(e)
	if !ok {
		return true
	}
	k := m.at(n.pid, n.at)
	if k != nil && (!k.Lives() || m.same(k, n)) {
		return true
	}
	parent := m.parent(n)
	if parent == nil || parent.Kernel || n.pid == initPID {
		return true
	}
	if _, ok := m.foreseen(n); ok {
		return true
	}
	return elsewhere(parent) && (m.likelyFork(parent, n, true) || m.likelyOrphan(parent, n))
}

// Foresee notes what an event that waits says of forks.
func (t *Tracker) Foresee(e *record.Event) {
	m := t.machine(e.Node)
	if e.Call < 0 || m == nil {
		return
	}
	n, ok := t.newsOf(e)
	if !ok || n.act != actFork || m.isAhead(n.serial) {
		return
	}
	m.foresee(n)
	t.noteAhead(m, n)
}

// isAhead reports whether a fork is known to be ahead: before a restart of the program its event may have waited, too.
func (m *machine) isAhead(serial uint64) bool {
	return slices.ContainsFunc(m.ahead, func(f aheadFork) bool { return f.serial == serial })
}

func (m *machine) foresee(n *news) {
	f := fork{at: n.at, child: n.child, flags: n.flags, clone3: n.clone3, low: m.clock.before(n.at), ppid: n.pid}
	if f.flags&cloneParent != 0 {
		f.ppid = n.ppid
	}
	m.ahead = append(m.ahead, aheadFork{fork: f, serial: n.serial, caller: n.pid})
}

// handled takes a fork off those ahead when its own turn has come, and reports whether its child was placed by it.
func (m *machine) handled(serial uint64) (taken bool) {
	for i := range m.ahead {
		if m.ahead[i].serial == serial {
			taken = m.ahead[i].taken
			m.ahead = slices.Delete(m.ahead, i, i+1)
			return taken
		}
	}
	return false
}

// foreseen finds the fork that made an unknown task among those ahead.
func (m *machine) foreseen(n *news) (*aheadFork, bool) {
	for i := range m.ahead {
		f := &m.ahead[i]
		if f.taken || f.at > n.at || f.ppid != n.ppid {
			continue
		}
		caller := m.Lookup(f.caller)
		if caller == nil || !caller.Lives() {
			continue
		}
		if elsewhere(caller) && m.clock.place(n.pid) > max(f.low, caller.Place) || !caller.Foreign && f.child == int64(n.pid) {
			f.fork.caller = caller
			return f, true
		}
	}
	return nil, false
}

// elsewhere reports whether a task lives, or may live, in another pid namespace.
func elsewhere(k *task.Task) bool { return k.Foreign || k.Unsure }

// placeForeseen enters a task by a fork that is ahead.
func (m *machine) placeForeseen(f *aheadFork, n *news) *task.Task {
	f.taken = true
	k := m.New(n.pid, f.fork.caller, f.fork.caller.Exec, f.at)
	if k.Creator.Foreign {
		k.Place = m.clock.place(n.pid)
		m.pairUp(k.Creator.Init, f.child, k.Place)
	}
	k.PPID, k.Early = n.ppid, true
	f.born(k)
	return k
}

// likelyFork reports whether there is a fork of the parent waiting that can hardly be another's than this task's. One by
// clone3 is likely only where no other is known: it most often makes a thread, or what is executed before it returns.
func (m *machine) likelyFork(parent *task.Task, n *news, clone3 bool) bool {
	place := m.clock.place(n.pid)
	for _, f := range m.forks.waiting[n.ppid] {
		if since, ok := f.fits(n, place); ok && since <= likely && (!f.clone3 || clone3 && f.exec == parent.Exec) {
			return true
		}
	}
	return false
}

// likelyOrphan is the same for forks of tasks that have ended, if the child would name the init of the namespace: a
// subreaper, which any ancestor may be, more often has made a child itself.
func (m *machine) likelyOrphan(parent *task.Task, n *news) bool {
	place := m.clock.place(n.pid)
	for i := range m.forks.orphans {
		f := &m.forks.orphans[i]
		if since, ok := f.fits(n, place); ok && since <= likely && !f.clone3 && f.adopts(parent) &&
			(parent == f.caller || parent.PID == f.caller.Init) {
			return true
		}
	}
	return false
}

// likely is how many pids may have been given out after a fork until its child got one.
const likely = 16

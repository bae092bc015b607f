package tracker

import (
	"cmp"
	"slices"

	"audisp-history/enrich/task"
)

const (
	// perParent is how many forks with one parent may wait for the child's first record.
	perParent = 64
	// orphanLimit is how many forks of dead callers may.
	orphanLimit = 1024
	// earlyLimit is how many children may wait for the record of their fork.
	earlyLimit = 1024
	// soon is how long, in milliseconds, a fork is believed to be the one of a child whose first record is an exec,
	// if its caller has executed something since.
	soon = 5000
)

// forks are those made in other pid namespaces: the number that the caller got is not the child's pid in records, so
// they wait for the first record of an unknown task with the right parent. Some are threads and never show one.
type forks struct {
	limit   int
	count   int
	waiting map[uint32][]fork // by the parent that the child will name, oldest first
	orphans []fork            // those whose caller has ended: the child will name another; oldest first
	early   []*task.Task      // children that showed up before the record of their fork
}

func newForks(limit int) forks {
	return forks{limit: max(limit, 1), waiting: make(map[uint32][]fork)}
}

// add keeps a fork until its child shows up.
func (m *machine) addFork(f fork) {
	w := &m.forks
	m.Hold(f.exec)
	w.waiting[f.ppid] = append(w.waiting[f.ppid], f)
	w.count++
	if list := w.waiting[f.ppid]; len(list) > perParent {
		w.waiting[f.ppid] = m.dropOldest(list)
	}
	for ppid, list := range w.waiting {
		if w.count <= w.limit {
			break
		}
		m.keepForks(ppid, m.dropOldest(list))
	}
}

func (m *machine) dropOldest(list []fork) []fork {
	m.forks.count--
	m.tracker.counts.Unmatched++
	m.Release(list[0].exec)
	return slices.Delete(list, 0, 1)
}

func (m *machine) keepForks(ppid uint32, list []fork) {
	if len(list) == 0 {
		delete(m.forks.waiting, ppid)
		return
	}
	m.forks.waiting[ppid] = list
}

// orphan sees to it that forks are found whose caller ends: their children get another parent.
func (m *machine) orphan(k *task.Task) {
	w := &m.forks
	list := w.waiting[k.PID]
	if len(list) == 0 {
		return
	}
	delete(w.waiting, k.PID)
	for w.orphans = append(w.orphans, list...); len(w.orphans) > orphanLimit; {
		w.orphans = m.dropOldest(w.orphans)
	}
}

// end ends a task.
func (m *machine) end(k *task.Task, at int64) {
	m.orphan(k)
	m.End(k, at)
}

// matchFork finds the fork that made an unknown task, and takes it. The caller releases its history.
func (m *machine) matchFork(parent *task.Task, n *news) (fork, bool) {
	w := &m.forks
	var best candidate
	list := w.waiting[n.ppid]
	for i := len(list) - 1; i >= 0; i-- {
		best.improve(m, &list[i], i, n)
	}
	direct := best.fork != nil
	// A child whose parent has died names a subreaper, or the init of its namespace.
	for i := len(w.orphans) - 1; i >= 0; i-- {
		if f := &w.orphans[i]; f.adopts(parent) && best.improve(m, f, i, n) {
			direct = false
		}
	}
	if best.fork == nil {
		return fork{}, false
	}
	f := *best.fork
	if direct {
		m.keepForks(n.ppid, slices.Delete(list, best.index, best.index+1))
	} else {
		w.orphans = slices.Delete(w.orphans, best.index, best.index+1)
	}
	w.count--
	if !f.clone3 { // that may have made a thread, and this be the child of a vfork that is yet to return
		m.pairUp(f.caller.Init, f.child, m.clock.place(n.pid))
	}
	return f, true
}

// A candidate is the fork that is most likely the one of an unknown task: one that was made when pids were about that of
// the task, rather not one whose child would have come to a subreaper, nor by clone3, which most often makes a thread;
// of those the one whose number in its namespace is in order with the task's pid and as far from its neighbours; and of
// several the newest.
type candidate struct {
	fork    *fork
	index   int
	since   int64
	stray   int
	crossed int
	off     int64
}

func (c *candidate) improve(m *machine, f *fork, index int, n *news) bool {
	place := m.clock.place(n.pid)
	since, ok := f.fits(n, place)
	if !ok {
		return false
	}
	o := candidate{fork: f, index: index, since: since}
	if n.ppid != f.ppid && n.ppid != f.caller.Init {
		o.stray = 1
	}
	o.crossed, o.off = m.pairs[f.caller.Init].misfit(f.child, place)
	if c.fork != nil && c.compare(&o) <= 0 {
		return false
	}
	*c = o
	return true
}

// compare is negative if c is the better candidate, positive if o is.
func (c *candidate) compare(o *candidate) int {
	thread := func(f *fork) int {
		if f.clone3 {
			return 1
		}
		return 0
	}
	// A few pids more or less say nothing: which was the newest when the fork returned is known only by who has shown up.
	far := func(c *candidate) int64 { return max(c.since-likely, 0) }
	return cmp.Or(cmp.Compare(far(c), far(o)), cmp.Compare(c.stray, o.stray), cmp.Compare(thread(c.fork), thread(o.fork)),
		cmp.Compare(c.crossed, o.crossed), cmp.Compare(c.off, o.off), cmp.Compare(c.since, o.since))
}

// adopts reports whether a task may have got the child of a fork whose caller has ended: the init of their namespace, or
// a subreaper in it.
func (f *fork) adopts(parent *task.Task) bool {
	c := f.caller
	if parent == c || parent.PID == c.Init { // a child may still name a parent that has just ended
		return true
	}
	return (parent.Init == c.Init || parent.Init == 0 || c.Init == 0) && c.Descends(parent.PID)
}

// fits reports whether the child of a fork may be the task that a record shows first, and how many pids were given out
// since the fork until it got its own.
func (f *fork) fits(n *news, place int64) (since int64, ok bool) {
	if f.at > n.at || place <= f.low {
		return 0, false
	}
	since = max(place-f.high, 0)
	if !n.exec() {
		return since, n.exe == nil || f.exec == nil || sameProgram(f.exec.Exe, n.exe)
	}
	return since, f.exec == f.caller.Exec || n.at-f.at <= soon
}

func (w *forks) addEarly(k *task.Task) {
	if len(w.early) >= earlyLimit {
		w.early = slices.Delete(w.early, 0, earlyLimit/2)
	}
	w.early = append(w.early, k)
}

// confirm finds the child of a fork among those that showed up before it.
func (w *forks) confirm(f fork) bool {
	for i, k := range w.early {
		if k.PPID == f.ppid && k.Creator != nil && k.Start >= f.at && k.Early {
			k.Early, k.Undated = false, false
			w.early = slices.Delete(w.early, i, i+1)
			return true
		}
	}
	return false
}

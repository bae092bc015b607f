package tracker

import "audisp-history/enrich/task"

// Tasks that a signal ends leave no record. Whoever can ask /proc does so now and then, and tells of what it finds.

// A Check is a task to ask /proc about.
type Check struct {
	PID   uint32
	Ticks uint64 // when it started, as /proc shows it; 0 if that is not known
	// Provisional: it may be a thread.
	Provisional bool
}

// A Finding is the answer. At is the time of day when /proc was asked, in milliseconds since 1970.
type Finding struct {
	Check
	At    int64
	Found bool   // there is a task of that number
	Start uint64 // when it started
	Group uint32 // of what is Provisional: the thread group it belongs to
}

// Living appends the checks of all living tasks of this machine.
func (t *Tracker) Living(dst []Check) []Check {
	m := t.machines[""]
	if m == nil {
		return dst
	}
	for k := range m.All {
		if k.Lives() {
			dst = append(dst, Check{PID: k.PID, Ticks: k.Ticks, Provisional: k.Provisional})
		}
	}
	return dst
}

// Swept takes findings into account.
func (t *Tracker) Swept(findings []Finding) {
	m := t.machines[""]
	if m == nil {
		return
	}
	for i := range findings {
		f := &findings[i]
		if k := m.Lookup(f.PID); k != nil && k.Lives() && k.Ticks == f.Ticks && k.Start < f.At-sweepSlack {
			m.swept(k, f)
		}
	}
}

// sweepSlack is how much older than the answer, in milliseconds, a task must be, so that it is not another one which got
// the number since: records come late.
const sweepSlack = 2000

func (m *machine) swept(k *task.Task, f *Finding) {
	switch {
	case !f.Found, f.Ticks != 0 && f.Start != f.Ticks:
		m.tracker.notePID(m, changeGone, k.PID, f.At)
		m.tracker.counts.Swept++
		m.end(k, f.At)
	case !k.Provisional: // or no more: a record of its own has come since
	case f.Provisional && f.Group != k.PID:
		m.tracker.notePID(m, changeThread, k.PID, f.At)
		m.Forget(k)
	case f.Provisional:
		m.tracker.notePID(m, changeLeader, k.PID, f.At)
		k.Provisional = false
	}
	if f.Found && k.Ticks == 0 && m.startsLike(k, f.Start) {
		k.Ticks = f.Start
	}
}

// startsLike reports whether a task may have started at a tick: not after it was last heard of.
func (m *machine) startsLike(k *task.Task, ticks uint64) bool {
	const milliseconds = 10 // of a tick: procfs.TicksPerSecond
	return m.boot != 0 && m.boot+int64(ticks)*milliseconds <= k.Last+lookSlack
}

package tracker

import (
	"fmt"

	"audisp-history/enrich/packed"
	"audisp-history/enrich/task"
)

// The entries of a saved state, beside those of package task: for each machine entryMachine, its tasks and execs, and
// what else it remembers.
const (
	entryMachine = task.EntryTask + 1 + iota
	entryFork
	entryAhead
	entryPairs
	entryEarly
	entryBy
)

// Save writes all that is known, and calls cut after every entry: there what has been written may be taken away. What
// was written is read by a Restorer. Looks that have not taken effect are not saved.
func (t *Tracker) Save(w *packed.Writer, cut func()) {
	for _, m := range t.machines {
		m.save(w, cut)
	}
}

func (m *machine) save(w *packed.Writer, cut func()) {
	w.Byte(entryMachine)
	w.String(m.name)
	for _, at := range []int64{m.gap, m.first, m.boot, m.looked.begin, m.looked.end} {
		w.Int(at)
	}
	m.open.save(w)
	m.clock.save(w)
	cut()
	s := task.NewSaver(w)
	s.Save(m.Table, cut)
	for _, list := range m.forks.waiting {
		m.saveForks(w, s, list, false, cut)
	}
	m.saveForks(w, s, m.forks.orphans, true, cut)
	for _, k := range m.forks.early {
		number := s.Task(m.Table, k)
		w.Byte(entryEarly)
		w.Uint(number)
		cut()
	}
	if m.open != nil && m.open.By != 0 {
		exec := s.Exec(m.open.ByExec)
		w.Byte(entryBy)
		w.Uint(uint64(m.open.By))
		w.Uint(exec)
		cut()
	}
	for i := range m.ahead {
		f := &m.ahead[i]
		w.Byte(entryAhead)
		f.save(w)
		w.Uint(f.serial)
		w.Uint(uint64(f.caller))
		w.Bool(f.taken)
		cut()
	}
	for init, p := range m.pairs {
		w.Byte(entryPairs)
		w.Uint(uint64(init))
		p.save(w)
		cut()
	}
}

func (m *machine) saveForks(w *packed.Writer, s *task.Saver, list []fork, orphan bool, cut func()) {
	for i := range list {
		f := &list[i]
		caller, exec := s.Task(m.Table, f.caller), s.Exec(f.exec)
		w.Byte(entryFork)
		w.Bool(orphan)
		w.Uint(caller)
		w.Uint(exec)
		f.save(w)
		cut()
	}
}

func (f *fork) save(w *packed.Writer) {
	w.Uint(uint64(f.ppid))
	w.Int(f.at)
	w.Int(f.child)
	w.Uint(f.flags)
	w.Bool(f.clone3)
	w.Bool(f.late)
	w.Int(f.low)
	w.Int(f.high)
}

func (f *fork) restore(r *packed.Reader) {
	f.ppid, f.at, f.child, f.flags = r.Uint32(), r.Int(), r.Int(), r.Uint()
	f.clone3, f.late, f.low, f.high = r.Bool(), r.Bool(), r.Int(), r.Int()
}

func (o *openGap) save(w *packed.Writer) {
	w.Bool(o != nil)
	if o == nil {
		return
	}
	w.Byte(byte(o.Reason))
	w.Int(o.From)
	w.Int(o.To)
	w.Int(o.changed)
	for _, b := range []bool{o.added, o.told, o.off, o.forks, o.exec} {
		w.Bool(b)
	}
}

func restoreGap(node string, r *packed.Reader) (*openGap, error) {
	if !r.Bool() {
		return nil, nil
	}
	o := &openGap{Gap: Gap{Node: node, Reason: Reason(r.Byte())}}
	if o.Reason >= reasons {
		return nil, fmt.Errorf("%w: reason %d", errState, o.Reason)
	}
	o.From, o.To, o.changed = r.Int(), r.Int(), r.Int()
	o.added, o.told, o.off, o.forks, o.exec = r.Bool(), r.Bool(), r.Bool(), r.Bool(), r.Bool()
	return o, nil
}

func (c *pidClock) save(w *packed.Writer) {
	w.Int(c.top)
	w.Int(c.base)
	w.Int(c.most)
	n := min(c.count, uint64(len(c.marks)))
	w.Uint(n)
	for i := c.count - n; i < c.count; i++ {
		m := &c.marks[i%uint64(len(c.marks))]
		w.Int(m.at)
		w.Int(m.top)
	}
}

func (c *pidClock) restore(r *packed.Reader) {
	c.top, c.base, c.most = r.Int(), r.Int(), r.Int()
	n := r.Count(2)
	for i := range min(n, len(c.marks)) {
		c.marks[i].at, c.marks[i].top = r.Int(), r.Int()
		c.count++
	}
}

func (p *pairs) save(w *packed.Writer) {
	n := min(p.count, pairsKept)
	w.Uint(uint64(n))
	for i := p.count - n; i < p.count; i++ {
		q := p.ring[i%pairsKept]
		w.Int(q.number)
		w.Int(q.place)
	}
}

func (p *pairs) restore(r *packed.Reader) {
	for range min(r.Count(2), pairsKept) {
		p.ring[p.count] = pair{r.Int(), r.Int()}
		p.count++
	}
}

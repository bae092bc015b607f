package tracker

import (
	"slices"

	"audisp-history/enrich/procfs"
	"audisp-history/enrich/task"
)

// lookSlack is how far, in milliseconds, times taken from /proc may be off from those of records: the boot time is
// given in whole seconds and start times in hundredths (fs/proc/stat.c: btime; fs/proc/array.c: do_task_stat).
const lookSlack = 2000

// Look takes a look at this machine's /proc. It takes effect at its own moment in the stream: before the first event
// that is younger, or when Elapse says that the moment has passed.
func (t *Tracker) Look(l *procfs.Look) {
	m := t.machine(t.config.Node)
	if m == nil {
		return
	}
	i, _ := slices.BinarySearchFunc(m.looks, l, func(a, b *procfs.Look) int { return a.Begin.Compare(b.Begin) })
	m.looks = slices.Insert(m.looks, i, l)
}

// Elapse lets looks take effect that are older than a time, for when no events come.
func (t *Tracker) Elapse(now int64) {
	if m := t.machines[""]; m != nil {
		m.lookBefore(now)
		m.watch(now, true)
	}
}

func (m *machine) lookBefore(at int64) {
	for len(m.looks) > 0 && m.looks[0].Begin.UnixMilli() < at {
		l := m.looks[0]
		m.looks = m.looks[1:]
		m.apply(l)
	}
}

// apply brings the table to what a look shows: what is missing is filled in, and what is gone ends. A look takes its
// time, so events that are younger may have been handled when it is there; what they said stands.
func (m *machine) apply(l *procfs.Look) {
	if l.Begin.UnixMilli() <= m.looked.begin {
		return // it has been taken into account, before a restart
	}
	m.tracker.counts.Looks++
	m.lookID++
	m.looked.begin, m.looked.end = l.Begin.UnixMilli(), l.End.UnixMilli()+lookSlack
	m.boot = l.Boot.UnixMilli()
	m.tracker.noteLook(m, m.looked.begin)
	byPID := make(map[int]*procfs.Process, len(l.Processes))
	for i := range l.Processes {
		p := &l.Processes[i]
		byPID[p.PID] = p
	}
	for i := range l.Processes {
		p := &l.Processes[i]
		k := m.Lookup(uint32(p.PID))
		switch {
		case k != nil && (k.Start > m.looked.begin || k.Ended > m.looked.begin):
			continue
		case k == nil || !k.Lives() || !isProcess(k, p):
			k = m.enter(p, byPID[p.PPID], l)
		default:
			m.refresh(k, p, l)
		}
		k.Last = max(k.Last, m.looked.begin)
		k.Ticks = p.StartTicks
		k.ShownIn(m.lookID)
		k.Provisional = false
		if len(p.NamespacePIDs) > 0 {
			k.Foreign, k.Unsure = len(p.NamespacePIDs) > 1, false
			if p.NamespacePIDs[len(p.NamespacePIDs)-1] == initPID {
				k.Init = k.PID
			}
		}
	}
	m.adopt(l, byPID)
	m.endUnseen()
}

// adopt places the tasks under the parents that the look shows whose records came before anything was known of those:
// on a machine that runs, the events of the first moment are older than the first look.
func (m *machine) adopt(l *procfs.Look, byPID map[int]*procfs.Process) {
	adopted := false
	for i := range l.Processes {
		p := &l.Processes[i]
		k, parent := m.Lookup(uint32(p.PID)), m.Lookup(uint32(p.PPID))
		if k == nil || !k.WasShownIn(m.lookID) || k.Creator != nil || k.PID == initPID || k.Kernel {
			continue
		}
		if parent == nil || !parent.WasShownIn(m.lookID) || parent.Exec == nil || comesFrom(parent, k) {
			continue
		}
		// If it runs what its parent does, it has likely only been forked.
		forked := k.Exec != nil && k.Exec.Prev == nil && k.Exec.Via == task.Seen && unchanged(parent.Exec, p, byPID[p.PPID])
		if m.Precede(k, parent.Exec, forked) {
			k.Creator = parent
			adopted = true
		}
	}
	if adopted {
		m.Measure()
	}
}

// comesFrom reports whether a task is another, or was made by it or its children.
func comesFrom(k, other *task.Task) bool {
	for k != nil && k != other {
		k = k.Creator
	}
	return k != nil
}

// endUnseen ends the tasks that the look does not show.
func (m *machine) endUnseen() {
	var gone []*task.Task
	for k := range m.All {
		if k.Lives() && !k.WasShownIn(m.lookID) && k.Last < m.looked.begin-lookSlack {
			gone = append(gone, k)
		}
	}
	for _, k := range gone {
		if k.Provisional {
			m.Forget(k)
			continue
		}
		m.end(k, m.looked.begin)
	}
}

// isProcess reports whether a task of the table is the process that /proc shows under its pid. It is if it is known to
// have started at the same tick; it is not if that started after the task was last heard of.
func isProcess(k *task.Task, p *procfs.Process) bool {
	if k.Kernel != p.KernelThread {
		return false
	}
	if k.Ticks != 0 && p.StartTicks != 0 {
		return k.Ticks == p.StartTicks
	}
	if p.KernelThread || k.PPID == uint32(p.PPID) && k.Exec != nil && sameProgram(k.Exec.Exe, program([]byte(p.Exe))) {
		return true
	}
	return p.Start.UnixMilli() <= k.Last+lookSlack
}

// refresh adds the exec that a known task has made unseen.
func (m *machine) refresh(k *task.Task, p *procfs.Process, l *procfs.Look) {
	if k.PID == initPID {
		m.dateBoot(k, l)
	}
	exe := program([]byte(p.Exe))
	if p.KernelThread || len(exe) == 0 {
		return
	}
	e := k.Exec
	if e != nil && e.PID == k.PID && e.Start > m.looked.begin {
		return
	}
	if e == nil || e.Exe == "" && e.Via == task.Proc || !sameProgram(e.Exe, exe) {
		start := p.Start.UnixMilli()
		if e != nil {
			start = max(start, e.Start)
		}
		m.Execute(k, []byte(p.Name), exe, start, task.Proc)
	}
}

// dateBoot gives the very first entry of all histories its time.
func (m *machine) dateBoot(k *task.Task, l *procfs.Look) {
	e := k.Exec
	for e != nil && e.Prev != nil {
		e = e.Prev
	}
	if e != nil && e.Name == string(swapper) && e.Via == task.Seen {
		m.Correct(e, swapper, nil, l.Boot.UnixMilli(), task.Proc)
	}
}

// enter adds a process that the table does not know. It has executed something if it differs from its parent.
func (m *machine) enter(p, shown *procfs.Process, l *procfs.Look) *task.Task {
	start := p.Start.UnixMilli()
	parent := m.Lookup(uint32(p.PPID))
	if parent != nil && !parent.Lives() {
		parent = nil
	}
	exe := program([]byte(p.Exe))
	n := news{pid: uint32(p.PID), ppid: uint32(p.PPID), at: start + lookSlack, exe: exe}
	var base *task.Exec
	via := task.Proc
	var born fork
	switch {
	case p.PID == initPID, p.KernelThread:
	case parent != nil && parent.Kernel:
		via = task.Helper
	case parent != nil:
		base = parent.Exec
		born = fork{caller: parent}
		if f, ok := m.matchFork(parent, &n); ok {
			base, born = f.exec, f
			defer m.Release(f.exec)
		}
	}
	k := m.New(n.pid, parent, base, start)
	k.PPID, k.FromProc, k.Kernel = n.ppid, true, p.KernelThread
	if born.caller != nil {
		born.born(k)
	}
	if p.KernelThread {
		return k
	}
	if p.PID == initPID {
		k.Init = initPID
		m.Execute(k, swapper, nil, l.Boot.UnixMilli(), task.Proc)
	}
	if base == nil || !unchanged(base, p, shown) {
		m.Execute(k, []byte(p.Name), exe, start, via)
	}
	return k
}

// unchanged reports whether a process still runs what its parent does: it has only been forked. An exe or a command
// line that cannot be read, as in a zombie, tells nothing.
func unchanged(base *task.Exec, p, parent *procfs.Process) bool {
	if p.Exe != "" && !sameProgram(base.Exe, program([]byte(p.Exe))) {
		return false
	}
	return parent == nil || parent.Cmdline == p.Cmdline || p.Cmdline == ""
}

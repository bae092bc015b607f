package tracker

import (
	"bytes"
	"cmp"
	"strings"

	"audisp-history/enrich/task"
)

const (
	// exitGrace is for how long, in milliseconds, a task that has ended may still be named as somebody's parent: its
	// exit is recorded before its children get another, and their record has the time of a call's entry.
	exitGrace = 1000
	// kthreadd is the parent of all kernel threads and of the programs that the kernel starts
	// (kernel/umh.c: call_usermodehelper_exec_work).
	kthreadd = 2
	initPID  = 1
)

// subject finds the task a record is about, or places it.
func (m *machine) subject(n *news) *task.Task {
	k := m.at(n.pid, n.at)
	if known := cmp.Or(k, m.Lookup(n.ppid)); known != nil {
		n.doubtful = known.Last < m.gap
	}
	switch {
	case k == nil, !k.Lives() && n.exec() && !n.late: // nothing executes after its exit: the clock was set back
		k = m.place(n)
	case k.Lives() && !m.same(k, n):
		m.tracker.counts.Reused++
		k = m.place(n)
	case k.Lives() && !n.late:
		k.PPID = n.ppid
	}
	if !k.Shown && !k.FromProc && !k.Undated {
		m.clock.shown(n.pid, n.at)
	}
	k.Shown, k.Provisional = true, false
	k.Last = max(k.Last, n.at)
	if !n.exec() && n.exe != nil {
		m.compare(k, n)
	}
	return k
}

// same reports whether a living task can be the one a record is about, by its parent. The parent of a task changes only
// when that dies, and then to an ancestor (a subreaper) or the init of the task's pid namespace.
func (m *machine) same(k *task.Task, n *news) bool {
	switch {
	case k.Kernel: // its number is another's: kernel threads make no system calls
		return false
	case n.late:
		return true
	case n.ppid == k.PPID:
		return !m.succeeded(k)
	case k.PPID == 0, k.PID == initPID: // nothing was known of its parent
	case n.ppid == initPID, n.ppid == k.Init, k.Descends(n.ppid):
	case (k.Foreign || k.Unsure) && k.Init == 0 && m.isInitFor(k, n.ppid): // it joined a namespace, we do not know which
	case k.Ancestor() == nil && (k.Exec == nil || sameProgram(k.Exec.Exe, n.exe)): // nothing is known of its ancestors
	default:
		return false
	}
	return true
}

// succeeded reports whether the number of a task's parent is another's by now: who names it is not that task, which got
// another parent when its own ended.
func (m *machine) succeeded(k *task.Task) bool {
	c := k.Creator
	if c == nil || c.PID != k.PPID || c.Lives() {
		return false
	}
	p := m.Lookup(k.PPID)
	return p != nil && p != c && p.Lives()
}

// isInitFor reports whether pid is the init of a pid namespace, other than the initial one, that a task may live in: it
// was there before the task was.
func (m *machine) isInitFor(k *task.Task, pid uint32) bool {
	i := m.Lookup(pid)
	return i != nil && i.Lives() && i.Init == pid && (i.Undated || i.Start <= k.Start)
}

// place enters a task by its own first record: the one of the fork that made it comes later, or names it by another
// number, or never comes.
func (m *machine) place(n *news) *task.Task {
	parent := m.parent(n)
	switch {
	case n.pid == initPID:
		return m.placeInit(n.at)
	case n.ppid == kthreadd || parent != nil && parent.Kernel || parent == nil && m.madeByKernel(n):
		return m.placeHelper(parent, n)
	case parent == nil:
		k := m.New(n.pid, nil, nil, n.at)
		k.PPID, k.Early, k.Undated, k.Unsure = n.ppid, true, true, true
		return k
	}
	if f, ok := m.foreseen(n); ok && (!elsewhere(f.fork.caller) || !m.likelyFork(parent, n, false)) {
		return m.placeForeseen(f, n)
	}
	if f, ok := m.matchFork(parent, n); ok {
		k := m.New(n.pid, f.caller, f.exec, f.at)
		m.Release(f.exec)
		k.PPID, k.Place = n.ppid, m.clock.place(n.pid)
		f.born(k)
		return k
	}
	// Its fork has not come: the parent's history is a guess, which is marked on what it executes.
	n.doubtful = true
	k := m.New(n.pid, parent, parent.Exec, n.at)
	m.clock.shown(n.pid, n.at)
	k.Early, k.Undated = true, true
	fork{caller: parent}.born(k)
	if k.Foreign || k.Unsure {
		m.forks.addEarly(k)
	}
	return k
}

// parent is the task that ppid= names.
func (m *machine) parent(n *news) *task.Task {
	p := m.Lookup(n.ppid)
	if p == nil || n.ppid == n.pid || !p.Lives() && n.at > p.Ended+exitGrace {
		return nil
	}
	return p
}

// placeInit enters the first process. The kernel's own thread becomes it by executing init, so its history begins with
// that thread (init/main.c: rest_init, kernel_init).
func (m *machine) placeInit(at int64) *task.Task {
	k := m.New(initPID, nil, nil, at)
	k.Init, k.Undated = initPID, true
	m.Execute(k, swapper, nil, m.first, task.Seen)
	return k
}

var swapper = []byte("swapper/0")

// madeByKernel reports whether a parent that nobody knows is a kernel thread: those come without any record. Only /proc
// can tell, for as long as it lives, which most kernel threads do.
func (m *machine) madeByKernel(n *news) bool {
	ask := m.tracker.config.KernelThread
	if !m.tracker.replaying && ask != nil && m.name == "" && n.ppid != 0 {
		n.kernel = ask(n.ppid)
	}
	return n.kernel
}

// placeHelper enters a program that the kernel started. There is no record of its exec.
func (m *machine) placeHelper(parent *task.Task, n *news) *task.Task {
	if parent == nil {
		parent = m.New(n.ppid, nil, nil, 0)
		parent.Kernel = true
	}
	k := m.New(n.pid, parent, nil, n.at)
	k.PPID, k.Init, k.Undated, k.Foreign, k.Unsure = n.ppid, initPID, true, false, false
	if !n.exec() && n.exe != nil {
		m.Execute(k, n.comm, n.exe, n.at, task.Helper)
	}
	return k
}

// compare notices an exec that nobody recorded: the task runs another program than its newest.
func (m *machine) compare(k *task.Task, n *news) {
	if n.late || len(n.exe) == 0 || string(n.exe) == "(null)" {
		return
	}
	if e := k.Exec; e != nil && (e.Exe == "" && e.Via == task.Proc && (e.PID == k.PID || e.Name == string(n.comm)) || sameProgram(e.Exe, n.exe)) {
		return // where /proc did not show what its parent runs, the name must do
	}
	m.Execute(k, n.comm, n.exe, n.at, task.Seen)
}

// exec enters an exec that was recorded.
func (m *machine) exec(k *task.Task, n *news) {
	if !k.Lives() {
		return
	}
	if !n.late {
		k.Place = m.clock.top // an exec leaves one thread, which forks after it
	}
	e := k.Exec
	via := task.Recorded
	switch {
	case e == nil && k.Creator != nil && k.Creator.Kernel:
		via = task.Helper // whose first program is not known by name
	case e != nil && n.doubtful && !n.late && e.PID == k.PID && e.Via == task.Proc && inferredFrom(e, n) && n.at <= m.looked.end:
		m.Correct(e, n.comm, n.exe, n.at, task.Seen) // the look had shown it; what was before it is still not known
		return
	case e == nil, n.doubtful && !n.late:
		via = task.Seen // what was before it is not known
	case e.PID != k.PID || e.Via == task.Recorded && !n.late:
	case inferredFrom(e, n) && (e.Via == task.Seen && n.late || e.Via == task.Proc && n.at <= m.looked.end):
		// The look, or a later record, had already shown this very exec.
		m.Correct(e, n.comm, n.exe, n.at, task.Recorded)
		return
	case n.late && e.Start > n.at:
		m.tracker.counts.Late++
		return
	}
	m.Execute(k, n.comm, n.exe, n.at, via)
}

// inferredFrom reports whether an exec that was inferred can be the one that was recorded. Where /proc did not show the
// program, the name must do.
func inferredFrom(e *task.Exec, n *news) bool {
	return e.Name == string(n.comm) && (e.Exe == "" && e.Via == task.Proc || sameProgram(e.Exe, n.exe))
}

var deleted = []byte(" (deleted)")

// maxPath is how much of a path is kept, from its end: enough to tell programs apart, too little to fill the memory with.
const maxPath = 512

// program is the path of a program without what the kernel appends to that of a file that is gone (fs/d_path.c:
// d_path).
func program(exe []byte) []byte {
	exe = bytes.TrimSuffix(exe, deleted)
	return exe[max(len(exe)-maxPath, 0):]
}

// sameProgram reports whether two paths can be those of one program file. A path is as seen from the task's root
// directory, so it loses its beginning in a chroot or after pivot_root.
func sameProgram(a string, b []byte) bool {
	if len(a) == len(b) {
		return a == string(b)
	}
	if len(a) < len(b) {
		return len(a) > 1 && a[0] == '/' && string(b[len(b)-len(a):]) == a
	}
	return len(b) > 1 && b[0] == '/' && strings.HasSuffix(a, string(b))
}

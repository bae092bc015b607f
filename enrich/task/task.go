package task

import "slices"

// A Task is a process: a thread group, named by its thread-group id in the initial pid namespace. Its fields are for
// whoever drives the table to read; those that are not about the history it may set as well.
type Task struct {
	Exec    *Exec // the newest; nil for kernel threads and tasks of which nothing is known
	Creator *Task // who forked it, nil if unknown; see Ancestor for the living

	Start int64 // when it was forked, or first seen; milliseconds since 1970, UTC
	Last  int64 // the latest moment it is known to have lived
	Ended int64 // when it ended, 0 while it lives
	// Place is where the pids stood when it last executed something, for whoever follows their order.
	Place int64
	Ticks uint64 // start time as /proc shows it, 0 if never looked at

	PID, PPID uint32 // PPID is the current parent
	Init      uint32 // pid of the init of its pid namespace, 0 if that is not known; 1 in the initial one
	SpawnInit uint32 // the init of the namespace that Spawns is about, 0 if it has none yet or it is not known
	look      uint32 // the last look that showed it
	saved     uint32 // its number, for a Saver

	Kernel      bool // a kernel thread
	Foreign     bool // it lives in another pid namespace: what fork returns to it is no key here
	Unsure      bool // it may
	Spawns      Spawn
	Early       bool // placed by its own records, the fork that made it has not been seen
	Shown       bool // a record of its own has been seen
	Provisional bool // made by clone3, may be but a thread
	FromProc    bool // first known from a look at /proc
	Undated     bool // Start is when it was first seen, it may be older
	listed      bool // in the list of the ended
}

// Spawn says where a task's next children are born.
type Spawn uint8

// The places.
const (
	Here   Spawn = iota // in the task's own pid namespace
	Apart               // in a new one, whose init is the first of them
	Joined              // in one that was there before, which may be that of the task
)

// ShownIn notes that a look at /proc showed the task; WasShownIn asks for it.
func (k *Task) ShownIn(look uint32) { k.look = look }

// WasShownIn reports whether the last look that showed the task is this one.
func (k *Task) WasShownIn(look uint32) bool { return k.look == look }

// Lives reports whether the task is not known to have ended.
func (k *Task) Lives() bool { return k.Ended == 0 }

// Ancestor is the nearest creator that still lives, nil if there is none.
func (k *Task) Ancestor() *Task {
	c := k.Creator
	for c != nil && !c.Lives() {
		c = c.Creator
	}
	return c
}

// Descends reports whether pid is that of a living ancestor.
func (k *Task) Descends(pid uint32) bool {
	for c := k.Ancestor(); c != nil; c = c.Ancestor() {
		if c.PID == pid {
			return true
		}
	}
	return false
}

// Limits bound what a table keeps. Each is at least 1, Depth at least 16 and at most 65535.
type Limits struct {
	Tasks int // that live
	Ended int // that have ended and are remembered for late news of them
	Execs int // of all histories together
	Depth int // of one history; its middle is folded away beyond it
}

// Counts says what a table holds and what it had to give up.
type Counts struct {
	Tasks, Ended, Execs  int
	EvictedTasks         uint64 // forgotten because too many lived
	EvictedEnded         uint64 // forgotten early because there were too many execs
	FoldedHistories      uint64
	Forks, Execed, Exits uint64
	InferredExecs        uint64
}

// A Table holds the tasks of one machine from one boot on. It is not safe for concurrent use.
type Table struct {
	limits Limits
	tasks  map[uint32]*Task
	live   int
	ended  []*Task // a ring, oldest first from head
	head   int
	count  int

	execs    int
	lastID   uint64
	free     *Exec
	spare    int
	programs map[Program]*Program
	shared   int // bytes of their names

	revision uint64
	counts   Counts
}

// NewTable makes an empty table. Its execs get IDs above firstID, so that those of several tables can be told apart.
func NewTable(l Limits, firstID uint64) *Table {
	l.Tasks, l.Ended, l.Execs, l.Depth = max(l.Tasks, 1), max(l.Ended, 1), max(l.Execs, 1), min(max(l.Depth, 16), maxDepth)
	return &Table{limits: l, lastID: firstID, tasks: make(map[uint32]*Task), programs: make(map[Program]*Program)}
}

// Lookup returns the task that last had a pid, ended or not, or nil.
func (t *Table) Lookup(pid uint32) *Task { return t.tasks[pid] }

// Counts returns the table's counters.
func (t *Table) Counts() Counts {
	c := t.counts
	c.Tasks, c.Ended, c.Execs = t.live, t.count, t.execs
	return c
}

// All calls yield for every task, in no order, those included that have ended and are remembered.
func (t *Table) All(yield func(*Task) bool) {
	for _, k := range t.tasks {
		if !yield(k) {
			return
		}
	}
}

// New enters a task whose creator may be nil, with a history copied from base. Who had its pid before has ended.
func (t *Table) New(pid uint32, creator *Task, base *Exec, start int64) *Task {
	base = base.hold() // first: the task to drop may be the last that holds it
	if old := t.tasks[pid]; old != nil {
		t.drop(old, start)
	}
	k := &Task{PID: pid, Creator: creator, Exec: base, Start: start, Last: start}
	if creator != nil {
		creator.Creator = creator.Ancestor() // keeps the line of the dead short
		k.PPID, k.Foreign, k.Unsure, k.Init = creator.PID, creator.Foreign, creator.Unsure, creator.Init
	}
	t.tasks[pid] = k
	t.live++
	t.counts.Forks++
	if t.live > t.limits.Tasks {
		t.evict(k)
	}
	return k
}

// Execute enters an exec of a task. name and exe may be changed by the caller afterwards.
func (t *Table) Execute(k *Task, name, exe []byte, start int64, via Via) *Exec {
	if depth := t.depth(); k.Exec != nil && int(k.Exec.Depth) >= depth {
		t.counts.FoldedHistories++
		t.SetHistory(k, t.fold(k.Exec, depth))
	}
	e := t.newExec(k.Exec)
	e.Program, e.PID, e.Start, e.Via = t.program(name, exe), k.PID, start, via
	t.SetHistory(k, e)
	if via == Recorded {
		t.counts.Execed++
	} else {
		t.counts.InferredExecs++
	}
	for t.execs > t.limits.Execs && t.count > 0 {
		t.counts.EvictedEnded++
		t.forgetOldest()
	}
	return e
}

// depth is how long a history may be: short while there are more execs than the table should hold, so that a crowd of
// tasks that execute without end cannot fill the memory.
func (t *Table) depth() int {
	if t.execs > t.limits.Execs {
		return 16
	}
	return t.limits.Depth
}

// SetHistory gives a task another history.
func (t *Table) SetHistory(k *Task, e *Exec) {
	old := k.Exec
	k.Exec = e.hold()
	t.release(old)
}

// Rebase puts what a task has itself executed on top of another history than it was placed on.
func (t *Table) Rebase(k *Task, base *Exec) {
	var own []*Exec
	for e := k.Exec; e != nil && e.PID == k.PID && e.Start >= k.Start; e = e.Prev {
		own = append(own, e)
	}
	at := base
	for i := len(own) - 1; i >= 0; i-- {
		at = t.copyExec(own[i], at)
	}
	t.SetHistory(k, at)
}

// Precede puts the history base before the first exec of a task whose creator was not known, for all who inherited
// that, and reports whether it could: a history does not come before itself. If the task has only been forked, its first
// exec was none, and becomes the newest of base. Measure belongs behind it.
func (t *Table) Precede(k *Task, base *Exec, forked bool) bool {
	first := k.Exec
	for first != nil && first.Prev != nil {
		first = first.Prev
	}
	if first == nil {
		t.SetHistory(k, base)
		return true
	}
	for e := base; e != nil; e = e.Prev {
		if e == first {
			return false
		}
	}
	before := base
	if forked && base != nil {
		first.Program, first.Start, first.PID, first.Via = base.Program, base.Start, base.PID, base.Via
		before = base.Prev
	}
	first.Prev = before.hold()
	t.revision++
	return true
}

// Measure sets the depth of all execs anew, which Precede leaves as it was.
func (t *Table) Measure() {
	measured := make(map[*Exec]bool, t.execs)
	var path []*Exec
	for k := range t.All {
		e := k.Exec
		for path = path[:0]; e != nil && !measured[e]; e = e.Prev {
			path = append(path, e)
		}
		for _, e := range slices.Backward(path) {
			e.Depth = e.Prev.deeper()
			measured[e] = true
		}
	}
}

// Correct changes what is known of an exec that was inferred, for all who inherited it.
func (t *Table) Correct(e *Exec, name, exe []byte, start int64, via Via) {
	e.Program, e.Start, e.Via = t.program(name, exe), start, via
	t.revision++
}

// Revision changes whenever an exec that others may have inherited is corrected: what was derived from histories
// before is out of date.
func (t *Table) Revision() uint64 { return t.revision }

// End ends a task. It is remembered for a while: news of it may still be on the way.
func (t *Table) End(k *Task, at int64) {
	if !k.Lives() {
		return
	}
	k.Ended = max(at, 1)
	k.Creator = k.Ancestor()
	t.live--
	t.counts.Exits++
	if t.count == t.limits.Ended {
		t.forgetOldest()
	}
	t.remember(k)
}

// Forget takes a task out of the table as if it had never been: a thread, after all.
func (t *Table) Forget(k *Task) { t.drop(k, k.Last) }

func (t *Table) remember(k *Task) {
	if len(t.ended) == t.count && len(t.ended) < t.limits.Ended {
		grown := make([]*Task, min(max(64, 2*len(t.ended)), t.limits.Ended))
		for i := range t.count {
			grown[i] = t.ended[(t.head+i)%len(t.ended)]
		}
		t.ended, t.head = grown, 0
	}
	t.ended[(t.head+t.count)%len(t.ended)] = k
	t.count++
	k.listed = true
}

func (t *Table) forgetOldest() {
	k := t.ended[t.head]
	t.ended[t.head] = nil
	t.head = (t.head + 1) % len(t.ended)
	t.count--
	k.listed = false
	if t.tasks[k.PID] == k {
		delete(t.tasks, k.PID)
	}
	t.SetHistory(k, nil)
}

// drop takes a task out of the table, because its pid is another's now.
func (t *Table) drop(k *Task, at int64) {
	if k.Lives() {
		k.Ended = max(at, 1)
		k.Creator = k.Ancestor()
		t.live--
		t.counts.Exits++
	}
	if t.tasks[k.PID] == k {
		delete(t.tasks, k.PID)
	}
	if !k.listed {
		t.SetHistory(k, nil)
	}
}

// evict makes room: of a few living tasks, the one heard of least lately goes.
func (t *Table) evict(keep *Task) {
	var victim *Task
	n := 0
	for _, k := range t.tasks {
		if !k.Lives() || k == keep || k.PID <= 2 {
			continue
		}
		if victim == nil || k.Provisional && !victim.Provisional || k.Provisional == victim.Provisional && k.Last < victim.Last {
			victim = k
		}
		if n++; n == 16 {
			break
		}
	}
	if victim != nil {
		t.counts.EvictedTasks++
		t.drop(victim, victim.Last)
	}
}

// maxPrograms and maxShared bound the programs that are shared between execs; those in use live on without being shared.
const (
	maxPrograms = 1 << 16
	maxShared   = 8 << 20 // bytes of names
)

func (t *Table) program(name, exe []byte) *Program {
	if p, ok := t.programs[Program{Name: string(name), Exe: string(exe)}]; ok {
		return p
	}
	return t.share(Program{Name: string(name), Exe: string(exe)})
}

// share makes a program that others may have as well.
func (t *Table) share(p Program) *Program {
	if shared, ok := t.programs[p]; ok {
		return shared
	}
	bytes := len(p.Name) + len(p.Exe)
	if t.shared += bytes; len(t.programs) >= maxPrograms || t.shared > maxShared {
		clear(t.programs)
		t.shared = bytes
	}
	shared := &p
	t.programs[p] = shared
	return shared
}

// Add adds the counts of another table.
func (c *Counts) Add(o Counts) {
	c.Tasks += o.Tasks
	c.Ended += o.Ended
	c.Execs += o.Execs
	c.EvictedTasks += o.EvictedTasks
	c.EvictedEnded += o.EvictedEnded
	c.FoldedHistories += o.FoldedHistories
	c.Forks += o.Forks
	c.Execed += o.Execed
	c.Exits += o.Exits
	c.InferredExecs += o.InferredExecs
}

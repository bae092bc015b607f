// Package tracker turns events into what they say about tasks: fork, exec and exit. It keeps a table of tasks for each
// machine and finds, for each record, the history that belongs on it.
//
// It relies on the order of the serials and on nothing else: not on the time of records, which is that of the system
// call's entry on a coarse clock, and not on a task's first record coming after its parent's clone.
package tracker

import (
	"audisp-history/enrich/packed"
	"audisp-history/enrich/procfs"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
)

// Config is what a Tracker is told.
type Config struct {
	Limits       task.Limits
	PendingForks int // forks in other pid namespaces that may wait for their child's first record
	// Node is the node= name of this machine, where looks at /proc belong. Records without node= are this machine's.
	Node string
	// KernelThread asks this machine's /proc whether a pid is that of a kernel thread; nil where there is no /proc to
	// ask. It is asked about parents that are not known, only.
	KernelThread func(pid uint32) bool
	// Gap is told of spans in which transitions may have gone unseen; nil if nobody wants to know.
	Gap func(Gap)
	// Journal gets every change, for Replay; nil if nobody keeps it.
	Journal *packed.Writer
}

// A Mark says which history belongs on a record of an event.
type Mark struct {
	Record int
	Target bool // the history of opid=, the task a signal was sent to
	Exec   *task.Exec
	PID    uint32 // of the task that has this history
	// Creator is the pid of the task that forked it, 0 if that is not known. A record's ppid= is that of its parent now.
	Creator uint32
}

// Counts says what a tracker did.
type Counts struct {
	Events    uint64 // handled
	Unknown   uint64 // records with a pid= of which nothing is known
	Reused    uint64 // tasks that had ended unseen and whose pid had another owner
	Late      uint64 // transitions not applied, because the state was past them
	Unmatched uint64 // forks in other pid namespaces whose child was never seen
	Looks     uint64 // looks at /proc that took effect
	Gaps      uint64 // spans in which transitions may have gone unseen, that of the beginning included
	Swept     uint64 // tasks that had ended without a record
	Machines  int
}

// maxMachines bounds the nodes whose tasks are tracked; records of any more pass without history.
const maxMachines = 1 << 10

// A Tracker tracks the tasks of any number of machines. It is not safe for concurrent use.
type Tracker struct {
	config   Config
	machines map[string]*machine
	last     *machine
	lastNode string
	made     uint64
	counts   Counts
	call     record.Call
	parsed   *record.Event // the event that news is of, until it has been handled
	news     news
	written  writtenChange
	// replaying: what is handled was handled before.
	replaying bool
	marks     []Mark
	comm      []byte // scratch: decoded values
	exe       []byte
}

// New makes a tracker that knows of no task.
func New(c Config) *Tracker {
	return &Tracker{config: c, machines: make(map[string]*machine)}
}

// A machine is what is known of one node since it booted.
type machine struct {
	*task.Table
	tracker *Tracker
	name    string // its node, "" for this machine
	forks   forks
	looks   []*procfs.Look // that have not taken effect, the earliest first
	lookID  uint32
	looked  struct{ begin, end int64 } // the moment of the last one that did
	boot    int64                      // when the kernel started, 0 if no look has told
	open    *openGap                   // one that has begun and not ended
	clock   pidClock
	ahead   []aheadFork
	pairs   map[uint32]*pairs // by the init of the namespace
	gap     int64             // when the last gap ended: until then tasks may have done things unseen
	first   int64             // the time of the first event, as near to the boot as is known without /proc
}

// Machine returns the table of a node's tasks, nil if nothing was heard of it.
func (t *Tracker) Machine(node string) *task.Table {
	if m := t.machines[t.local(node)]; m != nil {
		return m.Table
	}
	return nil
}

// Counts returns the counters, and those of the tables added up.
func (t *Tracker) Counts() (Counts, task.Counts) {
	c, sum := t.counts, task.Counts{}
	c.Machines = len(t.machines)
	for _, m := range t.machines {
		sum.Add(m.Counts())
	}
	return c, sum
}

// Revision changes whenever histories handed out before have been corrected.
func (t *Tracker) Revision() uint64 {
	if len(t.machines) == 1 && t.last != nil {
		return t.last.Revision() + t.made
	}
	sum := t.made
	for _, m := range t.machines {
		sum += m.Revision()
	}
	return sum
}

// local gives this machine one name, whether its records carry it or not.
func (t *Tracker) local(node string) string {
	if node == t.config.Node {
		return ""
	}
	return node
}

func (t *Tracker) machine(node string) *machine {
	if t.last != nil && t.lastNode == node {
		return t.last
	}
	name := t.local(node)
	m := t.machines[name]
	if m == nil {
		if len(t.machines) >= maxMachines {
			return nil
		}
		m = &machine{tracker: t, name: name}
		m.reset()
		t.machines[name] = m
	}
	t.last, t.lastNode = m, node
	return m
}

// reset begins with an empty table: the machine has booted.
func (m *machine) reset() {
	m.tracker.made++
	m.Table = task.NewTable(m.tracker.config.Limits, m.tracker.made<<44)
	m.forks = newForks(m.tracker.config.PendingForks)
	m.first, m.gap, m.clock, m.ahead = 0, 0, pidClock{}, nil
	m.pairs = make(map[uint32]*pairs)
	m.open = &openGap{Gap: Gap{Node: m.name, Reason: Start}}
}

// Restart forgets the tasks of a node, which has booted.
func (t *Tracker) Restart(node string) {
	if m := t.machine(node); m != nil {
		t.noteMachine(m)
		t.note(changeBoot)
		m.reset()
	}
}

// Event handles one event and returns the histories that belong on its records, valid until the next call. A late event
// comes after others with higher serials: what it says is applied only where the state is not already past it.
func (t *Tracker) Event(e *record.Event, late bool) []Mark {
	t.marks = t.marks[:0]
	if e.Records[0].Kind == record.Unreadable {
		return nil
	}
	m := t.machine(e.Node)
	if m == nil {
		return nil
	}
	t.counts.Events++
	if e.Ordered {
		m.lookBefore(e.Time)
		m.watch(e.Time, false)
		if m.first == 0 {
			m.begin(e.Time)
		}
	}
	if e.Call >= 0 {
		t.callEvent(m, e, late)
	} else {
		t.plainEvent(m, e)
	}
	for i := range e.Records {
		switch e.Records[i].Kind {
		case record.Target:
			t.target(m, e, i)
		case record.ConfigChange:
			t.configChange(m, e, i)
		}
	}
	return t.marks
}

func (t *Tracker) mark(i int, target bool, k *task.Task, creator uint32) {
	if k.Exec != nil {
		t.marks = append(t.marks, Mark{Record: i, Target: target, Exec: k.Exec, PID: k.PID, Creator: creator})
	}
}

// creator is the pid of the task that forked k. Of one that has ended it is not known any more, see task.Table.End.
func creator(k *task.Task) uint32 {
	if k.Creator == nil || !k.Lives() {
		return 0
	}
	return k.Creator.PID
}

// newsOf is what the system call of an event says of its task, false if that cannot be read.
func (t *Tracker) newsOf(e *record.Event) (*news, bool) {
	if t.parsed == e {
		return &t.news, true
	}
	t.parsed = nil
	c, n := &t.call, &t.news
	if !c.Parse(e.Body(e.Call)) {
		return nil, false
	}
	*n = news{pid: c.PID, ppid: c.PPID, at: e.Time, serial: e.Serial}
	if c.Exe != nil {
		t.comm = record.AppendDecoded(t.comm[:0], c.Comm)
		t.exe = record.AppendDecoded(t.exe[:0], c.Exe)
		n.comm, n.exe = t.comm, program(t.exe)
	}
	if e.Records[e.Call].Kind == record.Syscall {
		n.deed(c)
	}
	t.parsed = e
	return n, true
}

// callEvent handles an event with a SYSCALL or URINGOP record.
func (t *Tracker) callEvent(m *machine, e *record.Event, late bool) {
	n, ok := t.newsOf(e)
	t.parsed = nil
	if !ok {
		t.counts.Unknown++
		return
	}
	n.late = late
	k := m.take(n)
	t.noteNews(m, n)
	if k.Exec == nil {
		t.counts.Unknown++
	}
	t.mark(e.Call, false, k, n.creator)
}

// take applies what a system call says, and returns the task it says it of.
func (m *machine) take(n *news) *task.Task {
	k := m.subject(n)
	n.creator = creator(k)
	switch n.act {
	case actExec:
		m.exec(k, n)
	case actExit:
		m.end(k, n.at)
	case actFork:
		f := fork{at: n.at, child: n.child, flags: n.flags, clone3: n.clone3, late: n.late}
		if taken := m.handled(n.serial); !taken || !elsewhere(k) {
			m.fork(k, f)
		}
	case actApart:
		k.Spawns, k.SpawnInit = task.Apart, 0
	case actJoin:
		k.Spawns, k.SpawnInit = task.Joined, 0
	}
	m.witness(n)
	return k
}

// plainEvent handles an event without a system call: each record with a pid= of its own names its task.
func (t *Tracker) plainEvent(m *machine, e *record.Event) {
	for i := range e.Records {
		r := &e.Records[i]
		if r.Kind == record.Unreadable || r.Kind == record.Target || r.Kind == record.End || r.Kind == record.Title {
			continue
		}
		v, ok := record.Find(e.Body(i), "pid")
		if !ok {
			continue
		}
		pid, ok := record.PID(v)
		if !ok {
			continue
		}
		k := m.at(pid, e.Time)
		if k == nil || k.Exec == nil {
			t.counts.Unknown++
			continue
		}
		by := creator(k)
		m.mention(k, e.Time, r.Kind == record.Abend)
		t.noteMention(m, pid, e.Time, r.Kind == record.Abend)
		t.mark(i, false, k, by)
	}
}

// mention notes that a record names a task which lives, or has just died.
func (m *machine) mention(k *task.Task, at int64, dies bool) {
	k.Last = max(k.Last, at)
	if dies {
		m.end(k, at)
	}
}

// at finds the task that had a pid at a time: one that had ended before is not it.
func (m *machine) at(pid uint32, at int64) *task.Task {
	k := m.Lookup(pid)
	if k == nil || !k.Lives() && at > k.Ended {
		return nil
	}
	return k
}

// target finds the task a signal was sent to. One that has ended still is it: until its parent has waited for it, its
// number is not given away.
func (t *Tracker) target(m *machine, e *record.Event, i int) {
	v, _ := record.Find(e.Body(i), "opid")
	pid, ok := record.PID(v)
	if !ok {
		return
	}
	k := m.Lookup(pid)
	if k == nil || k.Exec == nil {
		t.counts.Unknown++
		return
	}
	t.mark(i, true, k, creator(k))
}

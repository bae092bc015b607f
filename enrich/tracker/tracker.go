// Package tracker turns events into what they say about tasks: fork, exec and exit. It keeps a table of tasks for each
// machine and finds, for each record, the history that belongs on it.
//
// It relies on the order of the serials and on nothing else: not on the time of records, which is that of the system
// call's entry on a coarse clock, and not on a task's first record coming after its parent's clone.
package tracker

import (
	"audisp-history/enrich/abi"
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
}

// A Mark says which history belongs on a record of an event.
type Mark struct {
	Record int
	Target bool // the history of opid=, the task a signal was sent to
	Exec   *task.Exec
}

// Counts says what a tracker did.
type Counts struct {
	Events    uint64 // handled
	Unknown   uint64 // records with a pid= of which nothing is known
	Reused    uint64 // tasks that had ended unseen and whose pid had another owner
	Late      uint64 // transitions not applied, because the state was past them
	Unmatched uint64 // forks in other pid namespaces whose child was never seen
	Looks     uint64 // looks at /proc that took effect
	Switched  uint64 // times the rules or auditing as a whole were seen to be taken away
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
	parsed   *record.Event // the event that call and news are of, until it has been handled
	news     news
	marks    []Mark
	comm     []byte // scratch: decoded values
	exe      []byte
}

// New makes a tracker that knows of no task.
func New(c Config) *Tracker {
	return &Tracker{config: c, machines: make(map[string]*machine)}
}

// A machine is what is known of one node since it booted.
type machine struct {
	*task.Table
	tracker *Tracker
	forks   forks
	looks   []*procfs.Look // that have not taken effect, the earliest first
	lookID  uint32
	looked  struct{ begin, end int64 } // the moment of the last one that did
	off     bool                       // rules or auditing were taken away, and nothing came back since
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
		m = &machine{tracker: t}
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
}

// Restart forgets the tasks of a node, which has booted.
func (t *Tracker) Restart(node string) {
	if m := t.machine(node); m != nil {
		m.reset()
	}
}

// Lose says that events of a node are missing up to a time.
func (t *Tracker) Lose(node string, to int64) {
	if m := t.machine(node); m != nil {
		m.gap = max(m.gap, to)
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
		if m.first == 0 {
			m.first = e.Time
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

func (t *Tracker) mark(i int, target bool, x *task.Exec) {
	if x != nil {
		t.marks = append(t.marks, Mark{i, target, x})
	}
}

// newsOf is what the system call of an event says of its task, false if that cannot be read.
func (t *Tracker) newsOf(e *record.Event) (news, bool) {
	c := &t.call
	if t.parsed == e {
		return t.news, true
	}
	t.parsed = nil
	if !c.Parse(e.Body(e.Call)) {
		return news{}, false
	}
	n := news{pid: c.PID, ppid: c.PPID, at: e.Time}
	if c.Exe != nil {
		t.comm = record.AppendDecoded(t.comm[:0], c.Comm)
		t.exe = record.AppendDecoded(t.exe[:0], c.Exe)
		n.comm, n.exe = t.comm, program(t.exe)
	}
	if e.Records[e.Call].Kind == record.Syscall {
		n.call = abi.Lookup(c.Arch, c.Number)
	}
	n.exec = n.call == abi.Exec && c.Succeeded
	t.parsed, t.news = e, n
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
	k := m.subject(&n)
	switch {
	case n.exec:
		m.exec(k, &n)
	case n.call == abi.ExitGroup:
		m.end(k, e.Time)
	case t.call.Succeeded:
		m.called(k, &n, e.Serial)
	}
	if k.Exec == nil {
		t.counts.Unknown++
	}
	t.mark(e.Call, false, k.Exec)
}

// called applies a system call that succeeded and makes tasks or namespaces.
func (m *machine) called(k *task.Task, n *news, serial uint64) {
	c := &m.tracker.call
	if f, ok := forkOf(n.call, c, n.at); ok {
		f.late = n.late
		if taken := m.handled(serial); !taken || !elsewhere(k) {
			m.fork(k, f)
		}
		return
	}
	switch n.call {
	case abi.Unshare:
		if c.A0&cloneNewPID != 0 {
			k.Spawns, k.SpawnInit = task.Apart, 0
		}
	case abi.SetNS:
		// With 0 the file descriptor may be that of any namespace: whether the children's pids are keys here is
		// then unknown, which is handled as if they were not.
		if c.A1 == 0 || c.A1&cloneNewPID != 0 {
			k.Spawns, k.SpawnInit = task.Joined, 0
		}
	}
}

// forkOf reads a call that may have made a task.
func forkOf(call abi.Call, c *record.Call, at int64) (fork, bool) {
	f := fork{at: at, child: c.Exit}
	switch call {
	case abi.Clone:
		f.flags = c.A0
		if abi.CloneFlagsArg(c.Arch) == 1 {
			f.flags = c.A1
		}
	case abi.Clone3:
		f.clone3 = true
	case abi.Fork, abi.VFork:
	default:
		return f, false
	}
	return f, f.flags&cloneThread == 0 && f.child > 0 && f.child < 1<<31
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
		k.Last = max(k.Last, e.Time)
		t.mark(i, false, k.Exec)
		if r.Kind == record.Abend {
			m.end(k, e.Time)
		}
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
	t.mark(i, true, k.Exec)
}

// configChange notices that auditing is switched off or a rule is taken away (kernel/audit.c: audit_log_config_change,
// kernel/auditfilter.c: audit_log_rule_change).
func (t *Tracker) configChange(m *machine, e *record.Event, i int) {
	var op, enabled string
	for f := record.FieldsOf(e.Body(i)); f.Next(); {
		switch string(f.Key) {
		case "op":
			op = string(f.Value)
		case "audit_enabled":
			enabled = string(f.Value)
		}
	}
	switch off := op == "remove_rule" || op == "set" && enabled == "0"; {
	case off && !m.off: // auditctl -D takes away one rule after the other
		t.counts.Switched++
		m.off = true
	case op == "add_rule", op == "set" && enabled != "" && !off:
		m.off = false
	}
	if op == "remove_rule" || op == "add_rule" || op == "set" && enabled != "" {
		m.gap = max(m.gap, e.Time) // it ends with the last rule that comes back
	}
}

package tracker

import (
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
)

// A Gap is a span in which transitions may have gone unseen.
type Gap struct {
	Node   string
	Reason Reason
	// From and To are when it began and ended, in milliseconds since 1970; 0 where that is not known, or for a To that
	// has not come. A gap whose end is long in coming is told of twice.
	From, To int64
	Lost     uint64 // events that the serials say are missing
	First    uint64 // the serial of the first of them
	At       int64  // when it is told of: the time of the event before which it is
	// By is who removed the rules or switched auditing off, as far as that was recorded, and ByExec the history of that
	// task then, valid while the gap is told of.
	By     uint32
	ByExec *task.Exec
}

// Reason says why transitions may be missing.
type Reason uint8

// The reasons.
const (
	Start         Reason = iota // nothing is known of what was before
	RulesRemoved                // rules were taken away
	AuditDisabled               // auditing was switched off
	EventsLost                  // events are missing from the stream
	PluginDown                  // nobody read the stream, and it could not be caught up
	StateLost                   // what was kept of the past could not be read
	OutputLost                  // not a gap in what is known: an output had no room, and events are missing there only
	reasons
)

// String is the value of reason=.
func (r Reason) String() string {
	return [...]string{"start", "rules-removed", "audit-disabled", "events-lost", "plugin-down", "state-lost", "output-lost"}[r]
}

// An openGap has begun and not ended. One by missing rules ends when the stream shows forks and execs again, and no rule
// has changed for a while: they come and go one by one.
type openGap struct {
	Gap
	changed     int64 // when a rule last came or went, 0 if none has
	added       bool  // some have come back
	told        bool
	off         bool // auditing has been switched off meanwhile
	forks, exec bool // seen since
}

const (
	// ruleQuiet is for how long, in milliseconds, no rule may change before they are taken for complete.
	ruleQuiet = 1000
	// tellAfter is when a gap that does not end is told of.
	tellAfter = 5000
)

// Lose says that events of a node are missing, and tells of the gap. The state knows nothing of what they said.
func (t *Tracker) Lose(g Gap) {
	m := t.machine(g.Node)
	if m == nil {
		return
	}
	g.Node = m.name
	m.lose(g.To)
	t.noteLose(m, g.To)
	t.tell(g)
}

func (m *machine) lose(to int64) {
	m.gap = max(m.gap, to)
}

// tell counts a gap and passes it on.
func (t *Tracker) tell(g Gap) {
	if t.replaying {
		return
	}
	t.counts.Gaps++
	if t.config.Gap != nil {
		t.config.Gap(g)
	}
}

// begin sees the first event of a machine.
func (m *machine) begin(at int64) {
	m.tracker.noteBegin(m, at)
	m.first = at
	if m.open != nil && m.open.To == 0 {
		m.open.To = at
	}
}

// configChange notices that auditing is switched off or a rule comes or goes (kernel/audit.c: audit_log_config_change,
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
	c := ruleChange(0)
	switch {
	case op == "remove_rule":
		c = ruleRemoved
	case op == "add_rule":
		c = ruleAdded
	case op == "set" && enabled == "0":
		c = auditOff
	case op == "set" && enabled != "":
		c = auditOn
	default:
		return
	}
	by := uint32(0)
	if e.Call >= 0 { // the event's call has just been read
		by = t.call.PID
	}
	t.change(m, c, e.Time, by)
}

func (t *Tracker) change(m *machine, c ruleChange, at int64, by uint32) {
	m.change(c, at, by)
	t.noteRules(m, c, at, by)
}

// Rules tells what was found out by asking the kernel of this machine: that rules which are needed are gone, or back. Not
// all that happens to them is recorded.
func (t *Tracker) Rules(gone bool, at int64) {
	if m := t.machine(t.config.Node); m != nil && gone == (m.open == nil) {
		c := ruleAdded
		if gone {
			c = ruleRemoved
		}
		t.change(m, c, at, 0)
	}
}

// Auditing tells in the same way that auditing is off, or on again.
func (t *Tracker) Auditing(on bool, at int64) {
	if m := t.machine(t.config.Node); m != nil && on == (m.open != nil) {
		c := auditOff
		if on {
			c = auditOn
		}
		t.change(m, c, at, 0)
	}
}

type ruleChange uint8

const (
	ruleRemoved ruleChange = iota
	ruleAdded
	auditOff
	auditOn
	ruleChanges
)

func (m *machine) change(c ruleChange, at int64, by uint32) {
	switch {
	case m.open != nil:
	case c == ruleRemoved:
		m.openGap(RulesRemoved, at, by)
	case c == auditOff:
		m.openGap(AuditDisabled, at, by)
	}
	o := m.open
	if o == nil {
		return
	}
	m.lose(at) // it ends with the last rule that comes back
	switch c {
	case ruleRemoved, ruleAdded:
		o.changed, o.To = at, at
		o.added = o.added || c == ruleAdded
		o.forks, o.exec = false, false
	case auditOff:
		o.off = o.Reason != AuditDisabled
		o.forks, o.exec = false, false
	case auditOn:
		m.auditing(at)
	}
}

func (m *machine) openGap(why Reason, at int64, by uint32) {
	m.open = &openGap{Gap: Gap{Node: m.name, Reason: why, From: at, By: by}}
	if k := m.Lookup(by); k != nil && by != 0 {
		m.open.ByExec = m.Hold(k.Exec)
	}
}

// auditing sees a sign that auditing is on while a gap is open.
func (m *machine) auditing(at int64) {
	o := m.open
	switch {
	case o.Reason == AuditDisabled:
		m.closeGap(at)
	case o.off: // it lasted at least until now, and something is missing whatever the rules were
		o.off, o.added = false, true
		o.changed, o.To = at, at
		m.lose(at)
	}
}

// witness sees what the rules show.
func (m *machine) witness(n *news) {
	o := m.open
	if o == nil {
		return
	}
	if m.auditing(n.at); m.open == nil { // nothing is recorded while it is off
		return
	}
	switch n.act {
	case actFork:
		o.forks = true
	case actExec:
		o.exec = true
	}
}

// watch ends a gap, or tells of one that does not end, before an event, or when idle while none comes.
func (m *machine) watch(at int64, idle bool) {
	o := m.open
	switch {
	case o == nil, o.Reason == AuditDisabled && !idle: // this event may be the first since it is on again
	case o.forks && o.exec && at-o.changed >= ruleQuiet:
		m.tracker.noteAt(m, changeClosed, at)
		m.closeGap(at)
	case !o.told && at-max(o.From, o.changed, m.first) >= tellAfter && m.first > 0:
		o.told = true
		m.tracker.noteMachine(m)
		m.tracker.note(changeTold)
		g := m.dated(o.Gap)
		g.To, g.At = 0, at
		m.tracker.tell(g)
	}
}

// closeGap ends the one that is open.
func (m *machine) closeGap(at int64) {
	o := m.open
	m.open = nil
	defer m.Release(o.ByExec)
	if o.Reason == AuditDisabled {
		o.To = at
		m.lose(at)
	}
	// Rules that went and left forks and execs recorded were none that matter.
	if o.Reason == RulesRemoved && !o.added && !o.told {
		return
	}
	o.At = at
	m.tracker.tell(m.dated(o.Gap))
}

// dated gives the gap of the start its beginning, if a look has told when that was.
func (m *machine) dated(g Gap) Gap {
	if g.Reason == Start && g.From == 0 {
		g.From = m.boot
	}
	return g
}

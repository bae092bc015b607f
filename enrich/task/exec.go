// Package task is the model: tasks, the programs they have executed, and how both come and go. It knows nothing of
// audit records; whoever sees a fork, an exec or an exit, by whatever means, tells the table.
//
// An exec is immutable and points to the one before it; a task points to its newest. Fork copies the pointer, exec adds
// a node, exit drops the task. A history is shared by all who inherit it and lives as long as one of them does.
package task

// Via says where an exec is known from.
type Via uint8

// The ways to know of an exec.
const (
	Recorded Via = iota // a record of the exec itself
	Proc                // inferred from /proc
	Seen                // nobody recorded it, or what was before it: the task was seen running another program
	Helper              // a program the kernel itself started
	Folded              // no exec: stands for the Omitted ones that a very long history had here
)

// String is the value of via= in a history, empty for what needs no mark.
func (v Via) String() string {
	switch v {
	case Proc:
		return "proc"
	case Seen:
		return "seen"
	case Helper:
		return "helper"
	}
	return ""
}

// A Program is what was executed. It is never changed: many execs share it.
type Program struct {
	Name    string // comm after the exec: up to 15 bytes of any kind
	Exe     string // the path it was executed from, empty if unknown
	Omitted uint32 // of a Folded exec: how many it stands for
}

// An Exec is one program that was executed, and by Prev all that were before it. Only its table changes it. There are
// more of them than of anything else; they take 48 bytes.
type Exec struct {
	Prev *Exec
	*Program
	Start int64  // when, in milliseconds since 1970, UTC
	ID    uint64 // unique within its table, never used again
	PID   uint32
	refs  int32  // tasks and execs that point here
	saved uint32 // its number, for a Saver
	Depth uint16 // nodes from the first to this one, at most maxDepth
	Via   Via
}

// maxDepth is the longest history that a node can count.
const maxDepth = 1<<16 - 1

// unnamed is the program of an exec that has been given none.
var unnamed = &Program{}

// hold and release count who points at an exec, so that the table knows how many there are and uses their memory again.
func (e *Exec) hold() *Exec {
	if e != nil {
		e.refs++
	}
	return e
}

// Hold keeps a history that is remembered outside of any task, until Release.
func (t *Table) Hold(e *Exec) *Exec { return e.hold() }

// Release gives up what Hold kept.
func (t *Table) Release(e *Exec) { t.release(e) }

func (t *Table) release(e *Exec) {
	for e != nil {
		e.refs--
		if e.refs > 0 {
			return
		}
		prev := e.Prev
		*e = Exec{Program: unnamed}
		if t.spare < maxSpare {
			e.Prev, t.free = t.free, e
			t.spare++
		}
		t.execs--
		e = prev
	}
}

// maxSpare is how many execs are kept for use again; a burst beyond it goes back to the runtime.
const maxSpare = 1 << 14

func (t *Table) newExec(prev *Exec) *Exec {
	e := t.free
	if e == nil {
		e = &Exec{}
	} else {
		t.free = e.Prev
		t.spare--
	}
	t.lastID++
	t.execs++
	*e = Exec{Prev: prev.hold(), Program: unnamed, ID: t.lastID, Depth: prev.deeper()}
	return e
}

// deeper is the depth of the exec after e, or of the first.
func (e *Exec) deeper() uint16 {
	if e == nil {
		return 1
	}
	return min(e.Depth, maxDepth-1) + 1
}

// fold shortens a history to less than depth nodes: it keeps the oldest eighth and the newest half, and one node says
// how many were between. Done once in so many execs, it costs each of them a few steps.
func (t *Table) fold(e *Exec, depth int) *Exec {
	keepOld, keepNew := depth/8, depth/2
	newest := make([]*Exec, 0, keepNew)
	p := e
	for ; len(newest) < keepNew; p = p.Prev {
		newest = append(newest, p)
	}
	first := newest[keepNew-1]
	omitted := uint32(0)
	for ; int(p.Depth) > keepOld; p = p.Prev {
		omitted += max(p.Omitted, 1)
	}
	at := t.newExec(p)
	at.Via, at.Program, at.PID, at.Start = Folded, &Program{Omitted: omitted}, first.PID, first.Start
	for i := keepNew - 1; i >= 0; i-- {
		at = t.copyExec(newest[i], at)
	}
	return at
}

// copyExec makes the same exec on top of another history.
func (t *Table) copyExec(e, prev *Exec) *Exec {
	c := t.newExec(prev)
	c.Program, c.Start, c.PID, c.Via = e.Program, e.Start, e.PID, e.Via
	return c
}

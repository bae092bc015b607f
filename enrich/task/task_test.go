package task

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

var roomy = Limits{Tasks: 10_000, Ended: 10_000, Execs: 100_000, Depth: 10_000}

// names are those of a history, oldest first; one that stands for others is *N.
func names(e *Exec) string {
	var s []string
	for ; e != nil; e = e.Prev {
		name := e.Name
		if e.Via == Folded {
			name = fmt.Sprint("*", e.Omitted)
		}
		s = append(s, name)
	}
	slices.Reverse(s)
	return strings.Join(s, " ")
}

func (t *Table) exec(k *Task, names ...string) {
	for _, name := range names {
		t.Execute(k, []byte(name), []byte("/bin/"+name), k.Start, Recorded)
	}
}

func wantHistory(t *testing.T, k *Task, want string) {
	t.Helper()
	if got := names(k.Exec); got != want {
		t.Errorf("history of %d is %q, want %q", k.PID, got, want)
	}
}

// checkTable recounts everything that a table counts. held are the execs kept by Hold.
func checkTable(t *testing.T, tab *Table, held ...*Exec) {
	t.Helper()
	live := 0
	known := make(map[*Task]bool)
	for k := range tab.All {
		known[k] = true
		if tab.Lookup(k.PID) != k {
			t.Errorf("%d is entered under another number", k.PID)
		}
		if k.Lives() {
			live++
		}
		if k.Lives() == k.listed {
			t.Errorf("%d lives: %v, is in the list of the ended: %v", k.PID, k.Lives(), k.listed)
		}
	}
	for p, shared := range tab.programs {
		if *shared != p {
			t.Errorf("a program that others share has been changed: %+v, was %+v", *shared, p)
		}
	}
	for i := range tab.count {
		k := tab.ended[(tab.head+i)%len(tab.ended)]
		if k == nil || k.Lives() || !k.listed {
			t.Fatalf("in the list of the ended: %+v", k)
		}
		known[k] = true
	}
	refs := make(map[*Exec]int32)
	point := func(e *Exec) {
		for ; e != nil; e = e.Prev {
			refs[e]++
			if refs[e] > 1 {
				return
			}
		}
	}
	for k := range known {
		point(k.Exec)
	}
	for _, e := range held {
		point(e)
	}
	for e, n := range refs {
		if e.refs != n {
			t.Errorf("%d point at %s, counted are %d", n, e.Name, e.refs)
		}
		depth := uint16(1)
		if e.Prev != nil {
			depth += e.Prev.Depth
		}
		if e.Depth != depth || e.ID == 0 {
			t.Errorf("%s: depth %d, want %d; ID %d", e.Name, e.Depth, depth, e.ID)
		}
	}
	spare := 0
	for e := tab.free; e != nil; e = e.Prev {
		if spare++; refs[e] != 0 || e.ID != 0 {
			t.Fatal("an exec in use is kept for use again")
		}
	}
	c := tab.Counts()
	if c.Tasks != live || c.Ended != tab.count || c.Execs != len(refs) || spare != tab.spare || spare > maxSpare {
		t.Errorf("counted %d tasks, %d ended, %d execs, %d spare; want %d, %d, %d, %d",
			c.Tasks, c.Ended, c.Execs, tab.spare, live, tab.count, len(refs), spare)
	}
}

func TestForkCopiesAndExecExtendsOnlyItsTask(t *testing.T) {
	tab := NewTable(roomy, 100)
	parent := tab.New(1, nil, nil, 10)
	tab.exec(parent, "init")
	child := tab.New(2, parent, parent.Exec, 20)
	if child.Exec != parent.Exec || tab.Counts().Execs != 1 {
		t.Error("the child has not the same history as its parent")
	}
	tab.exec(child, "sh")
	tab.exec(parent, "systemd")
	grandchild := tab.New(3, child, child.Exec, 30)
	tab.exec(child, "ls")
	wantHistory(t, parent, "init systemd")
	wantHistory(t, child, "init sh ls")
	wantHistory(t, grandchild, "init sh")
	checkTable(t, tab)
	e := grandchild.Exec
	if e.Name != "sh" || e.Exe != "/bin/sh" || e.PID != 2 || e.Start != 20 || e.Via != Recorded || e.Depth != 2 || e.ID <= 100 {
		t.Errorf("%+v", e)
	}
	if c := tab.Counts(); c.Forks != 3 || c.Execed != 4 || c.InferredExecs != 0 {
		t.Errorf("%+v", c)
	}
}

func TestWhatAChildInheritsBesideItsHistory(t *testing.T) {
	tab := NewTable(roomy, 0)
	parent := tab.New(7, nil, nil, 1)
	parent.Foreign, parent.Init, parent.Kernel, parent.Spawns = true, 5, true, Apart
	k := tab.New(8, parent, nil, 33)
	if k.PPID != 7 || !k.Foreign || k.Init != 5 || k.Creator != parent || k.Start != 33 || k.Last != 33 || !k.Lives() {
		t.Errorf("%+v", k)
	}
	if k.Kernel || k.Spawns != Here {
		t.Errorf("inherits what is its parent's own: %+v", k)
	}
}

func TestAnExecKeepsItsNamesWhateverTheCallerDoesWithTheBytes(t *testing.T) {
	tab := NewTable(roomy, 0)
	k := tab.New(1, nil, nil, 0)
	b := []byte("abc")
	tab.Execute(k, b, b, 0, Proc)
	copy(b, "xyz")
	tab.Execute(k, b, b, 0, Seen)
	wantHistory(t, k, "abc xyz")
	if c := tab.Counts(); c.InferredExecs != 2 || c.Execed != 0 {
		t.Errorf("%+v", c)
	}
}

func TestExitDropsAndRemembers(t *testing.T) {
	tab := NewTable(Limits{Tasks: 100, Ended: 2, Execs: 100, Depth: 100}, 0)
	for pid := uint32(10); pid < 13; pid++ {
		tab.exec(tab.New(pid, nil, nil, 5), fmt.Sprint("p", pid))
	}
	for pid := uint32(10); pid < 12; pid++ {
		k := tab.Lookup(pid)
		tab.End(k, 77)
		if k.Lives() || k.Ended != 77 || tab.Lookup(pid) != k {
			t.Errorf("ended: %+v", k)
		}
		wantHistory(t, k, fmt.Sprint("p", pid))
		tab.End(k, 99) // is already over
		if k.Ended != 77 {
			t.Errorf("ended again: %+v", k)
		}
	}
	checkTable(t, tab)
	tab.End(tab.Lookup(12), 0)
	if tab.Lookup(10) != nil || tab.Lookup(11) == nil || tab.Lookup(12).Lives() {
		t.Error("the oldest is not the one to forget")
	}
	checkTable(t, tab)
	if c := tab.Counts(); c.Tasks != 0 || c.Ended != 2 || c.Execs != 2 || c.Exits != 3 || c.EvictedEnded != 0 {
		t.Errorf("%+v", c)
	}
}

func TestTheEndedAreForgottenInTheirOrder(t *testing.T) {
	const limit = 1000
	tab := NewTable(Limits{Tasks: 10_000, Ended: limit, Execs: 100_000, Depth: 100}, 0)
	for pid := uint32(1); pid <= 5000; pid++ {
		k := tab.New(pid, nil, nil, 0)
		tab.exec(k, "x")
		tab.End(k, 1)
		if pid > limit && tab.Lookup(pid-limit) != nil || pid >= limit && tab.Lookup(pid-limit+1) == nil {
			t.Fatalf("after the end of %d", pid)
		}
	}
	checkTable(t, tab)
}

func TestDeadAncestorsLiveAsLongAsADescendant(t *testing.T) {
	tab := NewTable(Limits{Tasks: 10, Ended: 1, Execs: 100_000, Depth: 1000}, 0)
	k := tab.New(1, nil, nil, 0)
	tab.exec(k, "p0")
	want := "p0"
	for i := 1; i <= 200; i++ {
		child := tab.New(uint32(1+i), k, k.Exec, 0)
		tab.exec(child, fmt.Sprint("p", i))
		want += fmt.Sprint(" p", i)
		tab.End(k, 1)
		k = child
	}
	side := tab.New(5000, k, k.Exec, 0)
	tab.exec(side, "side")
	wantHistory(t, k, want)
	wantHistory(t, side, want+" side")
	if n := tab.Counts().Execs; n != 202 {
		t.Errorf("%d execs, want 202", n)
	}
	tab.End(k, 1)
	checkTable(t, tab)
	tab.End(side, 1) // k is forgotten
	if n := tab.Counts().Execs; n != 202 {
		t.Errorf("%d execs with the last descendant remembered, want 202", n)
	}
	tab.End(tab.New(6000, nil, nil, 0), 1) // side is forgotten
	if n := tab.Counts().Execs; n != 0 {
		t.Errorf("%d execs when all are gone", n)
	}
	checkTable(t, tab)
}

func TestAPidThatIsGivenAgain(t *testing.T) {
	tab := NewTable(roomy, 0)
	init := tab.New(1, nil, nil, 0)
	tab.exec(init, "init")
	old := tab.New(9, init, init.Exec, 10)
	tab.exec(old, "old")
	child := tab.New(10, old, old.Exec, 20)
	k := tab.New(9, init, init.Exec, 30)
	if tab.Lookup(9) != k || old.Lives() || old.Ended != 30 || old.Exec != nil {
		t.Errorf("the one before: %+v", old)
	}
	wantHistory(t, k, "init")
	wantHistory(t, child, "init old")
	if child.Ancestor() != init {
		t.Errorf("ancestor %+v", child.Ancestor())
	}
	checkTable(t, tab)
	tab.End(k, 40)
	again := tab.New(9, init, init.Exec, 50) // an ended one is replaced as well, and stays in the list
	checkTable(t, tab)
	if tab.Lookup(9) != again || k.Ended != 40 {
		t.Errorf("%+v", k)
	}
	if c := tab.Counts(); c.Exits != 2 || c.Tasks != 3 || c.Ended != 1 {
		t.Errorf("%+v", c)
	}
}

func TestAPidGivenAgainMayInheritFromTheOneBefore(t *testing.T) {
	tab := NewTable(roomy, 0)
	old := tab.New(9, nil, nil, 0)
	tab.exec(old, "a", "b")
	k := tab.New(9, nil, old.Exec, 5)
	wantHistory(t, k, "a b")
	checkTable(t, tab)
}

func TestForgetLeavesNoTrace(t *testing.T) {
	tab := NewTable(roomy, 0)
	init := tab.New(1, nil, nil, 0)
	tab.exec(init, "init")
	thread := tab.New(2, init, init.Exec, 0)
	tab.exec(thread, "x")
	tab.Forget(thread)
	tab.Forget(thread)
	if tab.Lookup(2) != nil || tab.Counts().Execs != 1 || tab.Counts().Tasks != 1 {
		t.Errorf("%+v", tab.Counts())
	}
	ended := tab.New(3, init, init.Exec, 0)
	tab.End(ended, 5)
	tab.Forget(ended)
	if tab.Lookup(3) != nil {
		t.Error("an ended one is still there")
	}
	checkTable(t, tab)
}

func TestAncestorsAcrossTheDead(t *testing.T) {
	tab := NewTable(roomy, 0)
	var line []*Task
	for pid := uint32(10); pid <= 15; pid++ {
		var creator *Task
		if len(line) > 0 {
			creator = line[len(line)-1]
		}
		line = append(line, tab.New(pid, creator, nil, 0))
	}
	last := line[5]
	descends := func(when string, pids ...uint32) {
		t.Helper()
		for pid := uint32(9); pid <= 16; pid++ {
			if got := last.Descends(pid); got != slices.Contains(pids, pid) {
				t.Errorf("%s: descends from %d: %v", when, pid, got)
			}
		}
	}
	descends("all live", 10, 11, 12, 13, 14)
	tab.End(line[4], 1)
	descends("the parent is dead", 10, 11, 12, 13)
	tab.End(line[2], 1)
	tab.Forget(line[3])
	descends("three are dead", 10, 11)
	if last.Ancestor() != line[1] {
		t.Errorf("ancestor %+v", last.Ancestor())
	}
	tab.End(line[0], 1)
	tab.End(line[1], 1)
	descends("all are dead")
	if last.Ancestor() != nil {
		t.Errorf("ancestor %+v", last.Ancestor())
	}
}

// A daemon that replaces itself by its child again and again must not keep all that were before it.
func TestTheLineOfTheDeadStaysShort(t *testing.T) {
	for _, deadFirst := range []bool{false, true} {
		tab := NewTable(Limits{Tasks: 10, Ended: 1, Execs: 100, Depth: 16}, 0)
		k := tab.New(10, nil, nil, 0)
		for i := range uint32(1000) {
			before := k.Creator
			if deadFirst {
				tab.End(k, 1)
			}
			k = tab.New(11+i%5, k, nil, 0)
			if before != nil && before.Lives() {
				tab.End(before, 1)
			}
		}
		n := 0
		for c := k.Creator; c != nil; c = c.Creator {
			n++
		}
		if n > 3 {
			t.Errorf("dead first: %v: %d are kept", deadFirst, n)
		}
	}
}

func TestAForkFreesTheLineOfTheDead(t *testing.T) {
	tab := NewTable(Limits{Tasks: 1000, Ended: 1, Execs: 100, Depth: 16}, 0)
	line := []*Task{tab.New(10, nil, nil, 0)}
	for i := range uint32(500) {
		line = append(line, tab.New(11+i, line[i], nil, 0))
	}
	last := line[500]
	for i := 499; i > 0; i-- {
		tab.End(line[i], 1) // the newest first: each has a creator that still lives
	}
	tab.New(2000, last, nil, 0)
	if last.Creator != line[0] {
		t.Errorf("the creator is %+v", last.Creator)
	}
}

func TestHoldKeepsAHistory(t *testing.T) {
	tab := NewTable(roomy, 0)
	k := tab.New(2, nil, nil, 0)
	tab.exec(k, "a", "b")
	e := tab.Hold(k.Exec)
	tab.Forget(k)
	checkTable(t, tab, e)
	if names(e) != "a b" {
		t.Errorf("%q", names(e))
	}
	tab.Release(e)
	checkTable(t, tab)
	if tab.Counts().Execs != 0 || tab.Hold(nil) != nil {
		t.Error("still there")
	}
	tab.Release(nil)
}

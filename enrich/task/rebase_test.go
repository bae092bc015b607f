package task

import "testing"

func TestRebase(t *testing.T) {
	tab := NewTable(roomy, 0)
	init := tab.New(1, nil, nil, 0)
	tab.exec(init, "init")
	wrong := tab.New(9, init, init.Exec, 10) // the task that had the number before
	tab.exec(wrong, "wrong")
	k := tab.New(20, wrong, wrong.Exec, 100)
	tab.exec(k, "own1", "own2")
	child := tab.New(21, k, k.Exec, 110)
	right := tab.New(30, init, init.Exec, 50)
	tab.exec(right, "right")
	tab.Rebase(k, right.Exec)
	wantHistory(t, k, "init right own1 own2")
	wantHistory(t, child, "init wrong own1 own2")
	e := k.Exec
	if e.Exe != "/bin/own2" || e.PID != 20 || e.Start != 100 || e.ID == child.Exec.ID {
		t.Errorf("%+v", e)
	}
	checkTable(t, tab)

	tab.Rebase(child, init.Exec) // has executed nothing itself
	wantHistory(t, child, "init")
	tab.Rebase(k, nil)
	wantHistory(t, k, "own1 own2")
	tab.Rebase(right, right.Exec.Prev)
	wantHistory(t, right, "init right")
	checkTable(t, tab)
}

func TestRebaseTellsTwoTasksOfOneNumberApart(t *testing.T) {
	tab := NewTable(roomy, 0)
	first := tab.New(9, nil, nil, 10)
	tab.exec(first, "first")
	between := tab.New(10, first, first.Exec, 20)
	tab.exec(between, "between")
	second := tab.New(9, between, between.Exec, 30)
	tab.exec(second, "second")
	base := tab.New(11, nil, nil, 0)
	tab.exec(base, "base")
	tab.Rebase(second, base.Exec)
	wantHistory(t, second, "base second")
	checkTable(t, tab)
}

func TestCorrectIsSeenByAllWhoInherited(t *testing.T) {
	tab := NewTable(roomy, 0)
	k := tab.New(1, nil, nil, 0)
	tab.Execute(k, []byte("guess"), nil, 0, Seen)
	e := k.Exec
	child := tab.New(2, k, e, 0)
	tab.exec(child, "x")
	before := tab.Revision()
	id := e.ID
	tab.Correct(e, []byte("right"), []byte("/right"), 44, Proc)
	if tab.Revision() == before {
		t.Error("the revision is the same")
	}
	wantHistory(t, child, "right x")
	if e.Exe != "/right" || e.Start != 44 || e.Via != Proc || e.ID != id {
		t.Errorf("%+v", e)
	}
	before = tab.Revision()
	tab.exec(child, "y")
	tab.End(child, 1)
	if tab.Revision() != before {
		t.Error("the revision changes without a correction")
	}
}

func TestPrecedePutsAHistoryBeforeTheFirstExec(t *testing.T) {
	tab := NewTable(roomy, 0)
	parent := tab.New(1, nil, nil, 0)
	tab.exec(parent, "init", "sh")
	k := tab.New(10, nil, nil, 50)
	tab.exec(k, "vi")
	child := tab.New(11, k, k.Exec, 60)
	tab.exec(child, "ls")
	if !tab.Precede(k, parent.Exec, false) {
		t.Fatal("refused")
	}
	tab.Measure()
	wantHistory(t, k, "init sh vi")
	wantHistory(t, child, "init sh vi ls")
	checkTable(t, tab)
	if tab.Precede(parent, child.Exec, false) {
		t.Error("a history was put before itself")
	}
	wantHistory(t, parent, "init sh")
	checkTable(t, tab)
}

func TestPrecedeOfAForkedTaskAddsNothing(t *testing.T) {
	tab := NewTable(roomy, 0)
	parent := tab.New(1, nil, nil, 0)
	tab.exec(parent, "init", "sh")
	k := tab.New(10, nil, nil, 50)
	tab.exec(k, "sh")
	tab.Precede(k, parent.Exec, true)
	wantHistory(t, k, "init sh")
	bare := tab.New(12, nil, nil, 50)
	tab.Precede(bare, parent.Exec, true)
	tab.Measure()
	wantHistory(t, bare, "init sh")
	checkTable(t, tab)
}

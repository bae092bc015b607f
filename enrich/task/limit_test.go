package task

import (
	"fmt"
	"strings"
	"testing"
)

func TestLimitsOfZeroAreTheLeast(t *testing.T) {
	tab := NewTable(Limits{}, 0)
	for pid := uint32(1); pid < 50; pid++ {
		k := tab.New(pid, nil, nil, 0)
		tab.exec(k, "a", "b")
		checkTable(t, tab)
		tab.End(k, 1)
		checkTable(t, tab)
	}
}

func TestTooManyTasks(t *testing.T) {
	const limit = 12 // fewer than are looked at for a victim
	tab := NewTable(Limits{Tasks: limit, Ended: 5, Execs: 100, Depth: 16}, 0)
	for pid := uint32(1); pid <= limit; pid++ {
		k := tab.New(pid, nil, nil, int64(pid))
		tab.exec(k, "x")
	}
	tab.Lookup(1).Last, tab.Lookup(2).Last = -2, -1
	tab.Lookup(3).Last = 1000
	tab.Lookup(7).Provisional, tab.Lookup(8).Provisional = true, true
	tab.Lookup(7).Last = 500
	for i, victim := range []uint32{8, 7, 4, 5, 6, 9} {
		tab.New(uint32(100+i), nil, nil, 2000)
		if tab.Lookup(victim) != nil {
			t.Errorf("%d is still there", victim)
		}
		if c := tab.Counts(); c.Tasks != limit || c.EvictedTasks != uint64(i+1) {
			t.Errorf("%+v", c)
		}
		checkTable(t, tab)
	}
	if tab.Lookup(1) == nil || tab.Lookup(2) == nil {
		t.Error("the first two are gone")
	}
}

func TestAMillionTasksStayWithinTheLimit(t *testing.T) {
	const limit = 1000
	tab := NewTable(Limits{Tasks: limit, Ended: 100, Execs: 5000, Depth: 16}, 0)
	init := tab.New(1, nil, nil, 0)
	tab.exec(init, "init")
	k := init
	for i := range uint32(100_000) {
		if i%10 == 0 {
			k = init
		}
		k = tab.New(2+i%32768, k, k.Exec, int64(i))
		tab.exec(k, "a")
		if i%7 == 0 {
			tab.End(k, int64(i))
		}
		if c := tab.Counts(); c.Tasks > limit || c.Ended > 100 || len(tab.tasks) > limit+100 || c.Execs > 100*limit {
			t.Fatalf("%+v, %d in the table", c, len(tab.tasks))
		}
	}
	checkTable(t, tab)
	wantHistory(t, init, "init")
	if tab.Counts().EvictedTasks == 0 {
		t.Error("none was evicted")
	}
}

func TestTooManyExecs(t *testing.T) {
	const limit = 100
	tab := NewTable(Limits{Tasks: 1000, Ended: 1000, Execs: limit, Depth: 1000}, 0)
	for pid := uint32(1); pid <= 60; pid++ {
		k := tab.New(pid, nil, nil, 0)
		tab.exec(k, "a", "b")
		tab.End(k, 1)
	}
	c := tab.Counts()
	if c.Execs > limit+1 || c.EvictedEnded == 0 || c.Ended+int(c.EvictedEnded) != 60 || tab.Lookup(60) == nil || tab.Lookup(1) != nil {
		t.Errorf("%+v", c)
	}
	// When nobody who has ended is left to forget, histories get short.
	k := tab.New(100, nil, nil, 0)
	for i := range 1000 {
		tab.exec(k, fmt.Sprint("e", i))
		if n := tab.Counts().Execs; n > limit+16 {
			t.Fatalf("%d execs", n)
		}
	}
	if c = tab.Counts(); c.Ended != 0 || c.FoldedHistories == 0 {
		t.Errorf("%+v", c)
	}
	if !strings.HasPrefix(names(k.Exec), "e0 e1 ") || !strings.HasSuffix(names(k.Exec), " e998 e999") || total(k.Exec) != 1000 {
		t.Errorf("%d: %s", total(k.Exec), names(k.Exec))
	}
	checkTable(t, tab)
}

// total is how many execs a history stands for.
func total(e *Exec) int {
	n := 0
	for ; e != nil; e = e.Prev {
		n += int(max(e.Omitted, 1))
	}
	return n
}

func TestVeryLongHistoriesAreFolded(t *testing.T) {
	for _, depth := range []int{16, 17, 40, 1024} {
		tab := NewTable(Limits{Tasks: 10, Ended: 10, Execs: 100_000, Depth: depth}, 0)
		k := tab.New(2, nil, nil, 0)
		var twin *Task
		for i := range 5 * depth {
			tab.exec(k, fmt.Sprint("e", i))
			if int(k.Exec.Depth) > depth || total(k.Exec) != i+1 {
				t.Fatalf("depth %d after %d execs: %d nodes for %d execs", depth, i+1, k.Exec.Depth, total(k.Exec))
			}
			if i == depth-1 {
				twin = tab.New(3, k, k.Exec, 0) // as long as a history may be
			}
		}
		all := strings.Split(names(k.Exec), " ")
		for i, name := range all[:depth/8] {
			if name != fmt.Sprint("e", i) {
				t.Errorf("depth %d: the oldest are %v", depth, all[:depth/8])
				break
			}
		}
		if !strings.HasPrefix(all[depth/8], "*") || strings.Count(names(k.Exec), "*") != 1 {
			t.Errorf("depth %d: %v", depth, all)
		}
		for i, name := range all[depth/8+1:] {
			if want := fmt.Sprint("e", 5*depth-len(all)+depth/8+1+i); name != want {
				t.Errorf("depth %d: %s instead of %s", depth, name, want)
			}
		}
		if int(twin.Exec.Depth) != depth || strings.Contains(names(twin.Exec), "*") {
			t.Errorf("depth %d: the twin's history was folded with it", depth)
		}
		if n := tab.Counts().FoldedHistories; n == 0 || n > 20 {
			t.Errorf("depth %d: folded %d times", depth, n)
		}
		checkTable(t, tab)
	}
}

func TestSharedNamesAreBounded(t *testing.T) {
	tab := NewTable(roomy, 0)
	k := tab.New(2, nil, nil, 0)
	tab.exec(k, "first")
	for i := range maxPrograms + 1000 {
		other := tab.New(3, nil, nil, 0)
		tab.Execute(other, fmt.Append(nil, i), nil, 0, Recorded)
		if len(tab.programs) > maxPrograms {
			t.Fatalf("%d names", len(tab.programs))
		}
	}
	wantHistory(t, k, "first")
	wantHistory(t, tab.Lookup(3), fmt.Sprint(maxPrograms+999))
}

func TestCountsAdd(t *testing.T) {
	a := Counts{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	a.Add(Counts{100, 200, 300, 400, 500, 600, 700, 800, 900, 1000})
	if want := (Counts{101, 202, 303, 404, 505, 606, 707, 808, 909, 1010}); a != want {
		t.Errorf("%+v, want %+v", a, want)
	}
}

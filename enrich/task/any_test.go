package task

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
)

// A modelExec and a modelTask are the model as one would write it down: each task has its own list of execs.
type modelExec struct {
	name  string
	pid   uint32
	start int64
}

type modelTask struct {
	task  *Task
	execs []*modelExec
}

func (m *modelTask) String() string {
	s := ""
	for _, e := range m.execs {
		s += fmt.Sprintf("%s/%d/%d ", e.name, e.pid, e.start)
	}
	return s
}

// story is a table and its model through random operations.
type story struct {
	*rand.Rand
	tab   *Table
	model map[uint32]*modelTask
	now   int64
	held  []*Exec
	kept  [][]*modelExec
}

func (s *story) pick() *modelTask {
	pids := make([]uint32, 0, len(s.model))
	for pid := range s.model {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return s.model[pids[s.Intn(len(pids))]]
}

// exec is a random exec of a task's history, and its place in the model.
func (s *story) exec(m *modelTask) (*Exec, int) {
	if len(m.execs) == 0 {
		return nil, -1
	}
	i := s.Intn(len(m.execs))
	e := m.task.Exec
	for n := len(m.execs) - 1; n > i; n-- {
		e = e.Prev
	}
	return e, i
}

func (s *story) step() {
	s.now++
	m := s.pick()
	switch n := s.Intn(20); {
	case n < 6:
		s.fork(m)
	case n < 11:
		e := &modelExec{fmt.Sprint("e", s.now), m.task.PID, s.now}
		s.tab.Execute(m.task, []byte(e.name), nil, s.now, Via(s.Intn(4)))
		m.execs = append(slices.Clip(m.execs), e)
	case n < 14:
		s.tab.End(m.task, s.now)
	case n < 15:
		s.tab.Forget(m.task)
		delete(s.model, m.task.PID)
	case n < 16:
		s.rebase(m)
	case n < 17:
		if e, i := s.exec(m); e != nil {
			*m.execs[i] = modelExec{fmt.Sprint("c", s.now), e.PID, s.now}
			s.tab.Correct(e, []byte(m.execs[i].name), nil, s.now, Proc)
		}
	case n < 18:
		e, i := s.exec(m)
		s.held = append(s.held, s.tab.Hold(e))
		s.kept = append(s.kept, m.execs[:i+1])
	case n < 19 && len(s.held) > 0:
		i := s.Intn(len(s.held))
		s.tab.Release(s.held[i])
		s.held, s.kept = slices.Delete(s.held, i, i+1), slices.Delete(s.kept, i, i+1)
	default:
		other := s.pick()
		s.tab.SetHistory(m.task, other.task.Exec)
		m.execs = other.execs
	}
	if len(s.model) == 0 {
		s.model[1] = &modelTask{task: s.tab.New(1, nil, nil, s.now)}
	}
}

func (s *story) fork(m *modelTask) {
	pid := uint32(1 + s.Intn(30))
	creator := m.task
	if creator.PID == pid {
		creator = nil
	}
	child := &modelTask{execs: m.execs}
	child.task = s.tab.New(pid, creator, m.task.Exec, s.now)
	s.model[pid] = child
}

func (s *story) rebase(m *modelTask) {
	base := s.pick()
	from := len(m.execs)
	for from > 0 && m.execs[from-1].pid == m.task.PID && m.execs[from-1].start >= m.task.Start {
		from--
	}
	own := m.execs[from:]
	s.tab.Rebase(m.task, base.task.Exec)
	m.execs = slices.Clone(base.execs)
	for _, e := range own {
		c := *e
		m.execs = append(m.execs, &c)
	}
}

// forget takes those out of the model that the table has forgotten, which may be the ended only.
func (s *story) forget(t *testing.T) {
	for pid, m := range s.model {
		if s.tab.Lookup(pid) != m.task {
			if m.task.Lives() {
				t.Errorf("%d lives and is gone", pid)
			}
			delete(s.model, pid)
		}
	}
	if len(s.model) == 0 {
		s.model[1] = &modelTask{task: s.tab.New(1, nil, nil, s.now)}
	}
}

func (s *story) check(t *testing.T) {
	t.Helper()
	checkTable(t, s.tab, s.held...)
	if c := s.tab.Counts(); c.Tasks+c.Ended < len(s.model) {
		t.Errorf("%+v, but %d tasks", c, len(s.model))
	}
	for _, m := range s.model {
		compare(t, m.task.Exec, m.execs)
	}
	for i, e := range s.held {
		compare(t, e, s.kept[i])
	}
}

func compare(t *testing.T, e *Exec, want []*modelExec) {
	t.Helper()
	for i := len(want) - 1; i >= 0; i-- {
		if e == nil || e.Name != want[i].name || e.PID != want[i].pid || e.Start != want[i].start {
			t.Fatalf("exec %d is %+v, want %+v", i, e, want[i])
		}
		e = e.Prev
	}
	if e != nil {
		t.Fatalf("one more exec: %+v", e)
	}
}

func TestAnyOperationsGiveWhatTheModelSays(t *testing.T) {
	for seed := range int64(60) {
		s := &story{Rand: rand.New(rand.NewSource(seed)), model: map[uint32]*modelTask{}}
		s.tab = NewTable(Limits{Tasks: 1000, Ended: 1 + s.Intn(20), Execs: 1 << 30, Depth: 1 << 30}, 1000)
		s.model[1] = &modelTask{task: s.tab.New(1, nil, nil, 0)}
		for range 400 {
			s.step()
			s.forget(t)
			s.check(t)
			if t.Failed() {
				t.Fatalf("seed %d, after %d", seed, s.now)
			}
		}
	}
}

// With little room the table forgets and folds; what it counts stays right, and what it shows are true ends of the
// histories.
func TestAnyOperationsWithLittleRoom(t *testing.T) {
	for seed := range int64(60) {
		r := rand.New(rand.NewSource(seed))
		l := Limits{Tasks: 3 + r.Intn(20), Ended: 1 + r.Intn(10), Execs: 10 + r.Intn(100), Depth: 16 + r.Intn(10)}
		tab := NewTable(l, 0)
		tab.New(1, nil, nil, 0)
		for now := range int64(400) {
			var all []*Task
			for k := range tab.All {
				all = append(all, k)
			}
			slices.SortFunc(all, func(a, b *Task) int { return int(a.PID) - int(b.PID) })
			if len(all) == 0 {
				all = append(all, tab.New(1, nil, nil, now))
			}
			k := all[r.Intn(len(all))]
			switch n := r.Intn(10); {
			case n < 4:
				if pid := uint32(1 + r.Intn(60)); pid != k.PID {
					tab.New(pid, k, k.Exec, now)
				}
			case n < 8 && k.Lives():
				if e := tab.Execute(k, fmt.Append(nil, now), nil, now, Recorded); k.Exec != e || e.Start != now {
					t.Fatalf("seed %d: %+v", seed, e)
				}
			case n < 9:
				tab.End(k, now)
			default:
				tab.Rebase(k, all[r.Intn(len(all))].Exec)
			}
			checkTable(t, tab)
			if c := tab.Counts(); c.Tasks > max(l.Tasks, 3) || c.Ended > l.Ended || len(tab.tasks) > max(l.Tasks, 3)+l.Ended {
				t.Errorf("%+v with %+v", c, l)
			}
			if t.Failed() {
				t.Fatalf("seed %d after %d", seed, now)
			}
		}
	}
}

package task

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"audisp-history/enrich/packed"
)

// saved is a table as it is saved, in pieces of at least size bytes.
func saved(tab *Table, size int, held ...*Exec) (pieces [][]byte, numbers []uint64) {
	var w packed.Writer
	take := func() {
		if w.Len() >= size {
			pieces = append(pieces, slices.Clone(w.Bytes()))
			w.Cut()
		}
	}
	s := NewSaver(&w)
	s.Save(tab, take)
	for _, e := range held {
		numbers = append(numbers, s.Exec(e))
	}
	return append(pieces, slices.Clone(w.Bytes())), numbers
}

// restored reads pieces into an empty table, whatever an error says, which it returns.
func restored(pieces [][]byte, l Limits, numbers ...uint64) (tab *Table, held []*Exec, err error) {
	tab = NewTable(l, 0)
	s := NewRestorer(tab)
	err = read(s, pieces)
	for _, n := range numbers {
		if e, bad := s.Exec(n); bad == nil {
			held = append(held, tab.Hold(e))
		}
	}
	s.Finish()
	return tab, held, err
}

func read(s *Restorer, pieces [][]byte) error {
	var r packed.Reader
	for _, piece := range pieces {
		for r.Feed(piece); r.More(); {
			if err := s.Entry(r.Byte(), &r); err != nil {
				return err
			}
		}
	}
	return r.Err()
}

// whole is a history with all that is kept of it.
func whole(e *Exec) string {
	var b strings.Builder
	for ; e != nil; e = e.Prev {
		fmt.Fprintf(&b, "%s %s %d %d %d %d|", e.Name, e.Exe, e.Start, e.PID, e.Omitted, e.Via)
	}
	return b.String()
}

// portrait is a task with all that is kept of it; its creators by their numbers and beginnings.
func portrait(k *Task) string {
	plain := *k
	plain.Exec, plain.Creator, plain.saved, plain.look = nil, nil, 0, 0
	line := fmt.Sprintf("%+v %s", plain, whole(k.Exec))
	for c := k.Creator; c != nil; c = c.Creator {
		line += fmt.Sprintf(" <%d %d %d", c.PID, c.Start, c.Ended)
	}
	return line
}

// portraits are those of all tasks by number, and of the ended in the order in which they are forgotten.
func portraits(tab *Table) []string {
	var list []string
	for k := range tab.All {
		list = append(list, portrait(k))
	}
	slices.Sort(list)
	for i := range tab.count {
		list = append(list, portrait(tab.ended[(tab.head+i)%len(tab.ended)]))
	}
	return list
}

// adorn sets what the tracker keeps in tasks.
func adorn(r *rand.Rand, tab *Table) {
	var tasks []*Task
	for k := range tab.All {
		tasks = append(tasks, k)
	}
	slices.SortFunc(tasks, func(a, b *Task) int { return int(a.PID) - int(b.PID) })
	for _, k := range tasks {
		listed := k.listed
		k.setFlags(uint64(r.Intn(3*flagSpawns)) &^ (flagCurrent | flagListed))
		k.listed = listed
		k.Place, k.Ticks, k.Last = r.Int63()-r.Int63(), r.Uint64(), k.Start+r.Int63n(1000)
		k.PPID, k.Init, k.SpawnInit = r.Uint32(), r.Uint32(), r.Uint32()
	}
}

// anyTable is a table after random operations.
func anyTable(seed int64, steps int) *story {
	s := &story{Rand: rand.New(rand.NewSource(seed)), model: map[uint32]*modelTask{}}
	s.tab = NewTable(Limits{Tasks: 1000, Ended: 1 + s.Intn(20), Execs: 1 << 30, Depth: 1 << 30}, 1000)
	s.model[1] = &modelTask{task: s.tab.New(1, nil, nil, 0)}
	for range steps {
		s.step()
		for pid, m := range s.model {
			if s.tab.Lookup(pid) != m.task {
				delete(s.model, pid)
			}
		}
		if len(s.model) == 0 {
			s.model[1] = &modelTask{task: s.tab.New(1, nil, nil, s.now)}
		}
	}
	adorn(s.Rand, s.tab)
	return s
}

func TestWhatIsSavedIsRestored(t *testing.T) {
	for seed := range int64(100) {
		s := anyTable(seed, int(seed)*5)
		want := portraits(s.tab)
		pieces, numbers := saved(s.tab, s.Intn(200), s.held...)
		tab, held, err := restored(pieces, s.tab.limits, numbers...)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		checkTable(t, tab, held...)
		if got := portraits(tab); !slices.Equal(got, want) {
			t.Errorf("seed %d:\ngot  %q\nwant %q", seed, got, want)
		}
		for i, e := range s.held {
			if whole(held[i]) != whole(e) {
				t.Errorf("seed %d: held is %s, want %s", seed, whole(held[i]), whole(e))
			}
		}
		was, is := s.tab.Counts(), tab.Counts()
		if was.Tasks != is.Tasks || was.Ended != is.Ended || was.Execs != is.Execs {
			t.Errorf("seed %d: %+v, was %+v", seed, is, was)
		}
		if t.Failed() {
			return
		}
	}
}

// TestSavedTwice: a table is saved as often as one likes, and what has changed in between is in the later state.
func TestSavedTwice(t *testing.T) {
	s := anyTable(7, 200)
	first, _ := saved(s.tab, 100)
	for range 100 {
		s.step()
		s.forget(t)
	}
	second, numbers := saved(s.tab, 100, s.held...)
	tab, held, err := restored(second, s.tab.limits, numbers...)
	if err != nil || !slices.Equal(portraits(tab), portraits(s.tab)) {
		t.Errorf("the second state is not right: %v", err)
	}
	checkTable(t, tab, held...)
	if tab, _, err = restored(first, s.tab.limits); err != nil {
		t.Error(err)
	}
	checkTable(t, tab)
}

// TestAStateThatIsCut: what was read is there, and what it counts is right.
func TestAStateThatIsCut(t *testing.T) {
	for seed := range int64(6) {
		s := anyTable(seed, 60)
		pieces, _ := saved(s.tab, 0)
		var all []byte
		for _, p := range pieces {
			all = append(all, p...)
		}
		most := -1
		for n := range len(all) + 1 {
			tab, _, err := restored([][]byte{all[:n]}, s.tab.limits)
			checkTable(t, tab)
			if err == nil && n < len(all) && len(tab.tasks)+tab.count < most {
				t.Errorf("seed %d: more bytes, less tasks", seed)
			}
			most = len(tab.tasks) + tab.count
			empty(t, tab)
			if t.Failed() {
				t.Fatalf("seed %d, cut after %d: %v", seed, n, err)
			}
		}
		for range 300 {
			bad := slices.Clone(all)
			bad[s.Intn(len(bad))] ^= 1 << s.Intn(8)
			tab, _, err := restored([][]byte{bad}, Limits{Tasks: 10, Ended: 5, Execs: 100, Depth: 16})
			checkTable(t, tab)
			empty(t, tab)
			if t.Failed() {
				t.Fatalf("seed %d, a bit is wrong: %v", seed, err)
			}
		}
	}
}

// empty ends and forgets all tasks: no exec is left.
func empty(t *testing.T, tab *Table) {
	t.Helper()
	for k := range tab.All {
		tab.End(k, k.Last)
	}
	for tab.count > 0 {
		tab.forgetOldest()
	}
	if c := tab.Counts(); c.Execs != 0 || c.Tasks != 0 || len(tab.tasks) != 0 {
		t.Errorf("in the empty table: %+v", c)
	}
}

func TestLowerLimitsAreObeyed(t *testing.T) {
	for seed := range int64(60) {
		s := anyTable(seed, 400)
		l := Limits{Tasks: 1 + s.Intn(12), Ended: 1 + s.Intn(5), Execs: 1 + s.Intn(60), Depth: 16 + s.Intn(10)}
		pieces, _ := saved(s.tab, 50)
		tab, _, err := restored(pieces, l)
		if err != nil {
			t.Fatal(err)
		}
		checkTable(t, tab)
		was, is := s.tab.Counts(), tab.Counts()
		if is.Tasks > max(l.Tasks, 3) || is.Ended > l.Ended || is.Tasks+int(is.EvictedTasks) != was.Tasks {
			t.Errorf("seed %d: %+v of %+v with %+v", seed, is, was, l)
		}
		// The ended who stay are those who ended last.
		if is.Ended > 0 {
			got, want := portraits(tab), portraits(s.tab)
			ended := func(line string) string { return strings.Split(line, "Ended:")[1][:20] }
			if ended(got[len(got)-1]) != ended(want[len(want)-1]) {
				t.Errorf("seed %d: the last who ended is %s, want %s", seed, got[len(got)-1], want[len(want)-1])
			}
		}
		// Histories and execs come down to their limits when there are more of them.
		k := tab.New(4_000_000, nil, nil, 0)
		for k := range tab.All {
			if k.Lives() {
				tab.exec(k, "more")
			}
		}
		tab.exec(k, "more")
		if c := tab.Counts(); c.Execs > l.Execs && c.Ended > 0 {
			t.Errorf("seed %d: %+v with %+v", seed, c, l)
		}
		for k := range tab.All {
			if k.Lives() && k.Exec != nil && int(k.Exec.Depth) > l.Depth {
				t.Errorf("seed %d: a history of %d with %+v", seed, k.Exec.Depth, l)
			}
		}
		checkTable(t, tab)
		empty(t, tab)
		if t.Failed() {
			return
		}
	}
}

// TestAFoldedHistoryIsSaved, with the number of those that are folded away.
func TestAFoldedHistoryIsSaved(t *testing.T) {
	tab := NewTable(Limits{Tasks: 10, Ended: 10, Execs: 1000, Depth: 16}, 0)
	k := tab.New(5, nil, nil, 100)
	for i := range 300 {
		tab.exec(k, fmt.Sprint("e", i))
	}
	pieces, _ := saved(tab, 1<<20)
	other, _, err := restored(pieces, tab.limits)
	if err != nil || whole(other.Lookup(5).Exec) != whole(k.Exec) || total(other.Lookup(5).Exec) != 300 {
		t.Errorf("%v: %s", err, whole(other.Lookup(5).Exec))
	}
}

func TestEntriesThatMakeNoSense(t *testing.T) {
	exec := []any{EntryExec, 0, 0, "a", "/a", 0, 5}
	task := func(flags, exec, creator uint64, ended ...any) []any {
		line := []any{EntryTask, flags}
		if flags&flagListed != 0 {
			line = append(line, 3)
		}
		line = append(line, exec, creator, 10, 0)
		if len(ended) == 0 {
			ended = []any{0}
		}
		return append(append(line, ended...), 0, 0, 7, 1, 0, 0)
	}
	for _, c := range []struct {
		name    string
		entries [][]any
		ok      bool
	}{
		{"a task", [][]any{exec, task(flagCurrent, 1, 0)}, true},
		{"one that has ended", [][]any{exec, task(flagCurrent|flagListed, 1, 0, 1, 5)}, true},
		{"a dead creator", [][]any{task(0, 0, 0, 1, 5), task(flagCurrent, 0, 1)}, true},
		{"no such entry", [][]any{{EntryTask + 1}}, false},
		{"a way to know that there is not", [][]any{{EntryExec, int(Folded) + 1, 0, "a", "/a", 0, 5}}, false},
		{"an exec before the first", [][]any{{EntryExec, 0, 1, "a", "/a", 0, 5}}, false},
		{"an exec that has not come yet", [][]any{task(flagCurrent, 1, 0)}, false},
		{"a creator that has not come yet", [][]any{task(flagCurrent, 0, 1)}, false},
		{"no such flag", [][]any{task(4*flagSpawns|flagCurrent, 0, 0)}, false},
		{"no such place", [][]any{task(3*flagSpawns|flagCurrent, 0, 0)}, false},
		{"two tasks of a number", [][]any{task(flagCurrent, 0, 0), task(flagCurrent, 0, 0)}, false},
		{"lives among the ended", [][]any{task(flagCurrent|flagListed, 0, 0)}, false},
		{"ended among the living", [][]any{task(flagCurrent, 0, 0, 1, 5)}, false},
		{"lives without a number", [][]any{task(0, 0, 0)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w packed.Writer
			for _, entry := range c.entries {
				writeEntry(&w, entry)
			}
			tab, _, err := restored([][]byte{w.Bytes()}, roomy)
			if (err == nil) != c.ok {
				t.Error(err)
			}
			checkTable(t, tab)
			empty(t, tab)
		})
	}
}

// writeEntry writes small numbers, of which Int takes twice as many bits.
func writeEntry(w *packed.Writer, entry []any) {
	signed := map[int]bool{5: true}
	if entry[0] == EntryTask {
		// From the end: place; when it ended, if it has; last, start.
		signed = map[int]bool{len(entry) - 6: true, len(entry) - 8: true, len(entry) - 9: true}
		if entry[len(entry)-8] == 1 {
			signed = map[int]bool{len(entry) - 6: true, len(entry) - 7: true, len(entry) - 9: true, len(entry) - 10: true}
		}
	}
	for i, v := range entry {
		switch v := v.(type) {
		case string:
			w.String(v)
		case uint64:
			w.Uint(v)
		case int:
			if signed[i] {
				w.Int(int64(v))
			} else {
				w.Uint(uint64(v))
			}
		}
	}
}

package history

import (
	"fmt"
	"math/rand"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"audisp-history/enrich/task"
)

// elements is the reference: every element of a history, oldest first, and how many execs each stands for.
func elements(e *task.Exec) (texts []string, counts []int) {
	for ; e != nil; e = e.Prev {
		text, count := "", 1
		if e.Via == task.Folded {
			count = int(e.Omitted)
			text = fmt.Sprintf("omitted=%d", count)
		} else {
			text = string(appendElement(nil, e))
		}
		texts, counts = append([]string{text}, texts...), append([]int{count}, counts...)
	}
	return texts, counts
}

// checkCut compares a rendered history with all of its elements: those shown are the first and the last ones, as they
// are, and the marks between add up to the rest.
func checkCut(t *testing.T, got string, e *task.Exec, cut Cut, limit int) {
	t.Helper()
	texts, counts := elements(e)
	whole := strings.Join(texts, "=>")
	if len(whole) <= limit {
		if got != whole {
			t.Errorf("limit %d: %s, want all of %s", limit, got, whole)
		}
		return
	}
	if len(got) > limit {
		t.Errorf("limit %d: %d bytes: %s", limit, len(got), got)
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	mark := fmt.Sprint("omitted=", total)
	if got == "" {
		if limit >= len("omitted=")+10+4 {
			t.Errorf("limit %d: nothing, though there is room for %s", limit, mark)
		}
		return
	}
	shown := strings.Split(got, "=>")
	sum, omitted := 0, 0
	for _, s := range shown {
		if n, ok := strings.CutPrefix(s, "omitted="); ok {
			v, err := strconv.Atoi(n)
			if err != nil || v < 1 {
				t.Errorf("limit %d: %s", limit, s)
			}
			sum += v
			omitted++
		} else {
			sum++
		}
	}
	if sum != total || omitted == 0 {
		t.Errorf("limit %d: %d execs in %s, want %d", limit, sum, got, total)
	}
	head := 0
	for head < len(shown) && shown[head] == texts[head] {
		head++
	}
	tail := 0
	for tail < len(shown)-head && shown[len(shown)-1-tail] == texts[len(texts)-1-tail] {
		tail++
	}
	if head+tail != len(shown)-1 || !strings.HasPrefix(shown[head], "omitted=") {
		t.Errorf("limit %d: %s is not the first and the last of %s", limit, got, whole)
	}
	// The marker's room is reckoned generously; the rest goes to the elements, a quarter of it to the oldest.
	room := limit - len("omitted=") - 10 - 4
	if newest := len(texts[len(texts)-1]) + 2; tail == 0 && newest <= room-room/4 {
		t.Errorf("limit %d: the newest is not in %s", limit, got)
	}
	if oldest := len(texts[0]) + 2; cut == Middle && head == 0 && oldest <= room/4 && counts[0] == 1 {
		t.Errorf("limit %d: the oldest is not in %s", limit, got)
	}
	if cut == Front && head > 0 {
		t.Errorf("limit %d: the oldest are in %s", limit, got)
	}
	if longest := 120; len(got) < limit-3*longest && limit > 500 {
		t.Errorf("limit %d: only %d bytes of %d", limit, len(got), len(whole))
	}
}

var cuts = map[string]Cut{"middle": Middle, "front": Front}

func TestCut(t *testing.T) {
	k := chain(table(), 60)
	for name, cut := range cuts {
		t.Run(name, func(t *testing.T) {
			for limit := 1; limit < 2200; limit += 1 + limit/200 {
				checkCut(t, render(k.Exec, cut, limit), k.Exec, cut, limit)
				// The same limit, once the line's and once the renderer's.
				if a, b := render(k.Exec, cut, limit), string(NewRenderer(cut, 0).Append(nil, k.Exec, limit)); a != b {
					t.Errorf("max_bytes %d gives %s, the line %s", limit, a, b)
				}
			}
		})
	}
}

func TestCutOfFewElements(t *testing.T) {
	for n := 1; n <= 3; n++ {
		k := chain(table(), n)
		for _, cut := range cuts {
			for limit := 1; limit < 130; limit++ {
				checkCut(t, render(k.Exec, cut, limit), k.Exec, cut, limit)
			}
		}
	}
}

func TestCutExamples(t *testing.T) {
	k := chain(table(), 60)
	for _, c := range []struct {
		cut  Cut
		want string
	}{
		{Middle, "name=p0;pid=1;start=20230811104538=>omitted=56=>name=p57;pid=1;start=20230811104635" +
			"=>name=p58;pid=1;start=20230811104636=>name=p59;pid=1;start=20230811104637"},
		{Front, "omitted=56=>name=p56;pid=1;start=20230811104634=>name=p57;pid=1;start=20230811104635" +
			"=>name=p58;pid=1;start=20230811104636=>name=p59;pid=1;start=20230811104637"},
	} {
		if got := render(k.Exec, c.cut, 190); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}

func TestNoLimitIsTheLines(t *testing.T) {
	k := chain(table(), 1000)
	got := string(NewRenderer(Middle, 0).Append(nil, k.Exec, 8800))
	checkCut(t, got, k.Exec, Middle, 8800)
	if len(got) < 8000 {
		t.Errorf("%d bytes of 8800", len(got))
	}
}

func TestCutOfFoldedHistories(t *testing.T) {
	for _, depth := range []int{16, 20, 33} {
		tab := task.NewTable(task.Limits{Tasks: 10, Ended: 10, Execs: 10_000, Depth: depth}, 0)
		k := chain(tab, 200)
		if tab.Counts().FoldedHistories == 0 {
			t.Fatal("nothing was folded")
		}
		for name, cut := range cuts {
			t.Run(fmt.Sprint(name, " of depth ", depth), func(t *testing.T) {
				if got, want := shown(render(k.Exec, cut, 0)), 200; got != want {
					t.Errorf("%d execs, want %d", got, want)
				}
				for limit := 20; limit < 1500; limit += 3 {
					got := render(k.Exec, cut, limit)
					if n := shown(got); n != 200 || len(got) > limit || adjacent.MatchString(got) {
						t.Fatalf("limit %d: %d execs in %d bytes: %s", limit, n, len(got), got)
					}
				}
			})
		}
	}
}

// adjacent are two marks that should be one.
var adjacent = regexp.MustCompile(`omitted=\d+=>omitted=`)

// shown is how many execs a history stands for.
func shown(text string) int {
	n := 0
	for _, s := range strings.Split(text, "=>") {
		v, err := strconv.Atoi(strings.TrimPrefix(s, "omitted="))
		if err != nil {
			v = 1
		}
		n += v
	}
	return n
}

// Execs of two tables, and of one, may have the same place in the cache.
func TestTheCacheTellsExecsApart(t *testing.T) {
	one := task.NewTable(task.Limits{Tasks: 10, Ended: 10, Execs: 100_000, Depth: 100}, 0)
	two := task.NewTable(task.Limits{Tasks: 10, Ended: 10, Execs: 100_000, Depth: 100}, 1<<44)
	r := NewRenderer(Middle, 0)
	for i := range 2 * slots {
		for name, tab := range map[string]*task.Table{"one": one, "two": two} {
			k := tab.New(1, nil, nil, 0)
			tab.Execute(k, []byte(name), nil, int64(i)*1000, task.Recorded)
			first := k.Exec
			tab.Execute(k, []byte(name), nil, 0, task.Recorded)
			for _, e := range []*task.Exec{k.Exec, first, k.Exec} {
				texts, _ := elements(e)
				if got, want := string(r.Append(nil, e, 1000)), strings.Join(texts, "=>"); got != want {
					t.Fatalf("%s, want %s", got, want)
				}
			}
		}
	}
}

// Whatever was rendered before, the text is the same as that of a renderer that has seen nothing.
func TestTheCacheChangesNothing(t *testing.T) {
	for seed := range int64(15) {
		r := rand.New(rand.NewSource(seed))
		tab := task.NewTable(task.Limits{Tasks: 10_000, Ended: 10, Execs: 100_000, Depth: 16 + r.Intn(60)}, r.Uint64()>>1)
		tasks := []*task.Task{chain(tab, 1)}
		for pid := range uint32(300) {
			parent := tasks[r.Intn(len(tasks))]
			k := tab.New(2+pid, parent, parent.Exec, int64(pid))
			tasks = append(tasks, k)
			for range r.Intn(4) {
				name := make([]byte, 1+r.Intn(15))
				r.Read(name)
				tab.Execute(k, name, nil, r.Int63n(1<<42), task.Via(r.Intn(4)))
			}
			if r.Intn(8) == 0 {
				tab.Execute(parent, []byte("again"), nil, 0, task.Recorded) // the others keep the history they have
			}
		}
		cut := Cut(r.Intn(2))
		limit := []int{0, 60, 300, 4096}[r.Intn(4)]
		cached := NewRenderer(cut, limit)
		for range 300 {
			e := tasks[r.Intn(len(tasks))].Exec
			for up := r.Intn(3); up > 0 && e.Prev != nil; up-- {
				e = e.Prev
			}
			room := r.Intn(9000)
			got := string(cached.Append(nil, e, room))
			want := string(NewRenderer(cut, limit).Append(nil, e, room))
			if got != want {
				t.Fatalf("seed %d, limit %d, room %d:\n%s\nwant\n%s", seed, limit, room, got, want)
			}
		}
	}
}

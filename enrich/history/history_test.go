package history

import (
	"fmt"
	"strings"
	"testing"

	"audisp-history/enrich/task"
)

// table makes tables whose limits do not matter.
func table() *task.Table {
	return task.NewTable(task.Limits{Tasks: 1000, Ended: 1000, Execs: 100_000, Depth: 100_000}, 0)
}

// start is the moment of the first exec of chain, in seconds.
const start = 1_691_750_738

// chain makes a task that has executed n programs.
func chain(t *task.Table, n int) *task.Task {
	k := t.New(1, nil, nil, 0)
	for i := range n {
		t.Execute(k, fmt.Appendf(nil, "p%d", i), nil, (start+int64(i))*1000, task.Recorded)
	}
	return k
}

// render renders with a renderer that has seen nothing before.
func render(e *task.Exec, cut Cut, limit int) string {
	return string(NewRenderer(cut, limit).Append(nil, e, 1<<20))
}

// The example of the kernel patch's own description.
func TestAHistoryIsWrittenAsTheKernelPatchWroteIt(t *testing.T) {
	tab := table()
	k := tab.New(1, nil, nil, 0)
	tab.Execute(k, []byte("swapper/0"), nil, 1691783009000, task.Recorded)
	tab.Execute(k, []byte("init"), nil, 1691783023000, task.Recorded)
	k = tab.New(3767, k, k.Exec, 0)
	tab.Execute(k, []byte("sshd"), nil, 1691750735271, task.Recorded)
	const want = "name=swapper/0;pid=1;start=20230811194329=>name=init;pid=1;start=20230811194343" +
		"=>name=sshd;pid=3767;start=20230811104535"
	if got := render(k.Exec, Middle, 4096); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
}

func TestNoHistoryIsNothing(t *testing.T) {
	if got := NewRenderer(Middle, 0).Append([]byte("x"), nil, 100); string(got) != "x" {
		t.Errorf("%q", got)
	}
}

func TestEveryByteOfAName(t *testing.T) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/"
	for c := range 256 {
		want := fmt.Sprintf("\\%03o", c)
		if strings.IndexByte(letters, byte(c)) >= 0 {
			want = string(rune(c))
		}
		tab := table()
		k := tab.New(1, nil, nil, 0)
		tab.Execute(k, []byte{'<', byte(c), 'z'}, nil, 0, task.Recorded)
		if got := render(k.Exec, Middle, 0); got != `name=\074`+want+"z;pid=1;start=19700101000000" {
			t.Errorf("byte %d: %s", c, got)
		}
	}
}

func TestNoNameForgesAnElement(t *testing.T) {
	tab := table()
	k := tab.New(7, nil, nil, 0)
	tab.Execute(k, []byte("a;pid=1=>name=b\"\n\\x"), nil, 0, task.Recorded)
	const want = `name=a\073pid\0751\075\076name\075b\042\012\134x;pid=7;start=19700101000000`
	if got := render(k.Exec, Middle, 0); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestVia(t *testing.T) {
	for via, want := range map[task.Via]string{
		task.Recorded: "", task.Proc: ";via=proc", task.Seen: ";via=seen", task.Helper: ";via=helper",
	} {
		tab := table()
		k := tab.New(9, nil, nil, 0)
		tab.Execute(k, []byte("x"), nil, 1000, via)
		if got := render(k.Exec, Middle, 0); got != "name=x;pid=9;start=19700101000001"+want {
			t.Errorf("%d: %s", via, got)
		}
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	r := NewRenderer(Middle, 100)
	k := chain(table(), 50)
	for _, room := range []int{1000, 90, 30, 5, 0, -1, -5000} {
		got := string(r.Append([]byte(`history="`), k.Exec, room))
		value, ok := strings.CutPrefix(got, `history="`)
		if !ok || len(value) > max(room, 0) {
			t.Errorf("room %d: %s", room, got)
		}
	}
}

func TestCorrectionsAreSeenAfterRevise(t *testing.T) {
	tab := table()
	k := chain(tab, 3)
	child := tab.New(2, k, k.Exec, 0)
	tab.Execute(child, []byte("child"), nil, 0, task.Recorded)
	r := NewRenderer(Middle, 0)
	r.Revise(tab.Revision())
	r.Append(nil, child.Exec, 1000)
	tab.Correct(k.Exec, []byte("corrected"), nil, 5000, task.Proc)
	r.Revise(tab.Revision())
	got := string(r.Append(nil, child.Exec, 1000))
	if want := render(child.Exec, Middle, 0); got != want || !strings.Contains(got, "name=corrected;pid=1;start=19700101000005;via=proc") {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	k := chain(table(), 8)
	long := chain(table(), 500)
	for _, c := range []struct {
		name string
		of   *task.Task
		room int
		warm bool
	}{
		{"chain of 8, cached", k, 4096, true},
		{"chain of 8, not cached", k, 4096, false},
		{"chain of 8, cut to the line", k, 200, true},
		{"chain of 500, cached", long, 4096, true},
		{"chain of 500, not cached", long, 4096, false},
		{"chain of 500, cut to the line", long, 1000, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewRenderer(Middle, 4096)
			dst := make([]byte, 0, 8192)
			revision := uint64(0)
			run := func() {
				if !c.warm {
					revision++
					r.Revise(revision)
				}
				if len(r.Append(dst, c.of.Exec, c.room)) == 0 {
					t.Fatal("nothing")
				}
			}
			run()
			if n := testing.AllocsPerRun(100, run); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

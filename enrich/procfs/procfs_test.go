package procfs

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func at(ticks uint64) time.Time { return treeBoot.Add(time.Duration(ticks) * 10 * time.Millisecond) }

func look(t *testing.T, tr *tree) *Look {
	t.Helper()
	look, err := Read(context.Background(), tr.root)
	if err != nil {
		t.Fatal(err)
	}
	return look
}

func TestReadOneProcess(t *testing.T) {
	for _, c := range []struct {
		name string
		task task
		want Process
	}{
		{"a program", task{pid: 9, ppid: 1, name: "sshd", ticks: 1234, exe: "/usr/sbin/sshd", cmdline: "sshd: x\x00\x00", threads: 3},
			Process{PID: 9, PPID: 1, Name: "sshd", StartTicks: 1234, Exe: "/usr/sbin/sshd", Cmdline: "sshd: x\x00\x00",
				NamespacePIDs: []int{9}, Threads: 3}},
		{"a deleted program", task{pid: 9, name: "x", exe: "/tmp/x (deleted)"},
			Process{PID: 9, Name: "x", Exe: "/tmp/x (deleted)", NamespacePIDs: []int{9}, Threads: 1}},
		{"a kernel thread's exe and cmdline are not read", task{pid: 2, name: "kthreadd", kernel: true, exe: "/no", cmdline: "no"},
			Process{PID: 2, Name: "kthreadd", KernelThread: true, NamespacePIDs: []int{2}, Threads: 1}},
		{"a zombie", task{pid: 7, ppid: 3, name: "gone", state: 'Z', exe: "/no"},
			Process{PID: 7, PPID: 3, Name: "gone", Zombie: true, NamespacePIDs: []int{7}, Threads: 1}},
		{"a dead leader with living threads", task{pid: 7, name: "t", state: 'Z', threads: 4},
			Process{PID: 7, Name: "t", Zombie: true, NamespacePIDs: []int{7}, Threads: 4}},
		{"dead", task{pid: 7, name: "t", state: 'X'}, Process{PID: 7, Name: "t", Zombie: true, NamespacePIDs: []int{7}, Threads: 1}},
		{"a parenthesis in the name", task{pid: 7, ppid: 3, name: "a) S 1 (b", ticks: 5},
			Process{PID: 7, PPID: 3, Name: "a) S 1 (b", StartTicks: 5, NamespacePIDs: []int{7}, Threads: 1}},
		{"a newline in the name that looks like NSpid", task{pid: 7, name: "\nNSpid:\t4\n"},
			Process{PID: 7, Name: "\nNSpid:\t4\n", NamespacePIDs: []int{7}, Threads: 1}},
		{"a name of blanks", task{pid: 7, name: "  "}, Process{PID: 7, Name: "  ", NamespacePIDs: []int{7}, Threads: 1}},
		{"no name", task{pid: 7, name: ""}, Process{PID: 7, NamespacePIDs: []int{7}, Threads: 1}},
		{"not UTF-8", task{pid: 7, name: "\xff\xe9"}, Process{PID: 7, Name: "\xff\xe9", NamespacePIDs: []int{7}, Threads: 1}},
		{"no comm: the name of stat", task{pid: 7, name: "a)b\n", without: []string{"comm"}},
			Process{PID: 7, Name: "a)b\n", NamespacePIDs: []int{7}, Threads: 1}},
		{"two namespaces deep", task{pid: 70, name: "c", pids: []int{70, 8, 1}},
			Process{PID: 70, Name: "c", NamespacePIDs: []int{70, 8, 1}, Threads: 1}},
		{"no status", task{pid: 7, name: "c", without: []string{"status"}}, Process{PID: 7, Name: "c", Threads: 1}},
		{"no command line", task{pid: 7, name: "c", exe: "/c", without: []string{"cmdline"}},
			Process{PID: 7, Name: "c", Exe: "/c", NamespacePIDs: []int{7}, Threads: 1}},
		{"as many groups as can be, before NSpid", task{pid: 7, name: "c", groups: 65536, pids: []int{7, 1}},
			Process{PID: 7, Name: "c", NamespacePIDs: []int{7, 1}, Threads: 1}},
		{"a command line too long", task{pid: 7, name: "c", cmdline: strings.Repeat("x", 5000)},
			Process{PID: 7, Name: "c", Cmdline: strings.Repeat("x", 4096), NamespacePIDs: []int{7}, Threads: 1}},
		{"a name too long", task{pid: 7, name: strings.Repeat("n", 70)},
			Process{PID: 7, Name: strings.Repeat("n", 64), NamespacePIDs: []int{7}, Threads: 1}},
		{"the highest pid", task{pid: MaxPID, name: "c"}, Process{PID: MaxPID, Name: "c", NamespacePIDs: []int{MaxPID}, Threads: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := look(t, newTree(t, c.task))
			c.want.Start = at(c.want.StartTicks)
			if len(got.Processes) != 1 || !reflect.DeepEqual(got.Processes[0], c.want) {
				t.Errorf("got  %+v\nwant %+v", got.Processes, c.want)
			}
			if got.Vanished != 0 {
				t.Errorf("%d vanished, want 0", got.Vanished)
			}
		})
	}
}

func TestReadTheMoment(t *testing.T) {
	got := look(t, newTree(t))
	want := &Look{Begin: treeBoot.Add(100500 * time.Millisecond), End: treeBoot.Add(100500 * time.Millisecond), Boot: treeBoot,
		BootID: treeBootID, Processes: []Process{}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got.Begin.Location() != time.UTC {
		t.Errorf("Begin is in %v, want UTC", got.Begin.Location())
	}
}

func TestReadNoBootID(t *testing.T) {
	tr := newTree(t)
	tr.remove("sys")
	if got := look(t, tr); got.BootID != "" {
		t.Errorf("BootID %q, want none", got.BootID)
	}
}

func TestReadVanished(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func(tr *tree)
	}{
		{"no stat", func(tr *tree) { tr.remove("7/stat") }},
		{"an empty directory", func(tr *tree) { tr.remove("7"); tr.write("7/x", "") }},
		{"a file in place of the directory", func(tr *tree) { tr.remove("7"); tr.write("7", "") }},
		{"an empty stat", func(tr *tree) { tr.write("7/stat", "") }},
		{"half a stat", func(tr *tree) { tr.write("7/stat", "7 (x) S 1 1 1") }},
		{"another process's stat", func(tr *tree) { tr.write("7/stat", statLine(task{pid: 8, name: "x"})) }},
		{"stat is a link", func(tr *tree) { tr.move("7/stat", "7/real"); tr.link("real", "7/stat") }},
		{"the directory is a link", func(tr *tree) { tr.move("7", "seven"); tr.link("seven", "7") }},
		{"stat is a pipe that nobody writes to", func(tr *tree) {
			tr.remove("7/stat")
			if err := unix.Mkfifo(tr.path("7/stat"), 0o600); err != nil {
				tr.tb.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := newTree(t, task{pid: 6, name: "stays"}, task{pid: 7, name: "goes"})
			c.lose(tr)
			got := look(t, tr)
			if len(got.Processes) != 1 || got.Processes[0].PID != 6 || got.Vanished != 1 {
				t.Errorf("got %+v, %d vanished; want process 6 and 1 vanished", got.Processes, got.Vanished)
			}
		})
	}
}

func TestReadTakesOnlyPIDs(t *testing.T) {
	tr := newTree(t, task{pid: 5, name: "five"})
	for _, name := range []string{"05", "0", "-5", "+5", "5x", "4194305", "99999999999999999999", "self5"} {
		tr.write(name+"/stat", statLine(task{pid: 5, name: "no"}))
	}
	got := look(t, tr)
	if len(got.Processes) != 1 || got.Processes[0].Name != "five" || got.Vanished != 0 {
		t.Errorf("got %+v, %d vanished; want process 5 alone", got.Processes, got.Vanished)
	}
}

func TestReadOrder(t *testing.T) {
	for _, c := range []struct {
		name  string
		tasks []task
		want  []int
	}{
		{"by start", []task{{pid: 3, ticks: 9}, {pid: 4, ticks: 8}, {pid: 5, ticks: 7}}, []int{5, 4, 3}},
		{"equal start: by number", []task{{pid: 30, ticks: 7}, {pid: 4, ticks: 7}, {pid: 5, ticks: 7}}, []int{4, 5, 30}},
		{"a child with a lower number, later", []task{{pid: 1}, {pid: 32000, ppid: 1, ticks: 10}, {pid: 300, ppid: 32000, ticks: 11}},
			[]int{1, 32000, 300}},
		{"the numbers wrap within one tick", []task{{pid: 1}, {pid: 300, ppid: 32767, ticks: 10}, {pid: 301, ppid: 300, ticks: 10},
			{pid: 302, ppid: 1, ticks: 10}, {pid: 32767, ppid: 1, ticks: 10}}, []int{1, 32767, 300, 301, 302}},
		{"a parent that has taken a dead one's number", []task{{pid: 1}, {pid: 9, ppid: 20, ticks: 5}, {pid: 20, ppid: 1, ticks: 50}},
			[]int{1, 20, 9}},
		{"a parent that is not there", []task{{pid: 9, ppid: 20, ticks: 5}}, []int{9}},
		{"its own parent", []task{{pid: 9, ppid: 9}, {pid: 10, ppid: 9}}, []int{9, 10}},
		{"a ring of parents", []task{{pid: 9, ppid: 11}, {pid: 10, ppid: 9}, {pid: 11, ppid: 10}}, []int{10, 11, 9}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []int
			for _, p := range look(t, newTree(t, c.tasks...)).Processes {
				got = append(got, p.PID)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(tr *tree)
		says  []string
	}{
		{"no directory", func(tr *tree) { tr.remove("") }, []string{"open /proc", "name a mounted /proc"}},
		{"no stat", func(tr *tree) { tr.remove("stat") }, []string{"/stat", "a copy of one, has it"}},
		{"no boot time", func(tr *tree) { tr.write("stat", "cpu 1\nxbtime 5\n") }, []string{"/stat", "btime"}},
		{"no number", func(tr *tree) { tr.write("stat", "btime 17x\n") }, []string{"/stat", "btime"}},
		{"a boot time beyond all years", func(tr *tree) { tr.write("stat", "btime 137438953473\n") }, []string{"/stat", "btime"}},
		{"no uptime", func(tr *tree) { tr.remove("uptime") }, []string{"/uptime", "a copy of one, has it"}},
		{"not an uptime", func(tr *tree) { tr.write("uptime", "12\n") }, []string{"/uptime", "copy of /proc/uptime"}},
		{"not a UUID", func(tr *tree) { tr.write("sys/kernel/random/boot_id", "../../x\n") }, []string{"/boot_id", "UUID"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := newTree(t)
			c.spoil(tr)
			_, err := Read(context.Background(), tr.root)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range append(c.says, tr.root) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Read(ctx, newTree(t, task{pid: 5}).root); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestManyProcesses(t *testing.T) {
	const n = 1100 // more than one batch of names, and of namespace numbers
	tr := newTree(t)
	for pid := 1; pid <= n; pid++ {
		tr.add(task{pid: pid, ppid: pid / 2, name: fmt.Sprint("p", pid), ticks: uint64(pid), pids: []int{pid, pid + 1}})
	}
	for i, p := range look(t, tr).Processes {
		pid := i + 1
		if p.PID != pid || p.Name != fmt.Sprint("p", pid) || !slices.Equal(p.NamespacePIDs, []int{pid, pid + 1}) {
			t.Fatalf("process %d is %+v", pid, p)
		}
	}
}

package procfs

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func open(tb testing.TB, root string) *Reader {
	tb.Helper()
	reader, err := Open(root)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := reader.Close(); err != nil {
			tb.Error(err)
		}
	})
	return reader
}

func TestStart(t *testing.T) {
	tr := newTree(t, task{pid: 9, name: "a) b", ticks: 1234}, task{pid: 10, name: "z", ticks: 7, state: 'Z'})
	tr.write("11/stat", "11 (torn")
	reader := open(t, tr.root)
	for _, c := range []struct {
		name  string
		pid   int
		ticks uint64
		found bool
		fails string
	}{
		{"alive", 9, 1234, true, ""},
		{"a zombie still holds its number", 10, 7, true, ""},
		{"gone", 12, 0, false, ""},
		{"no pid", 0, 0, false, ""},
		{"negative", -1, 0, false, ""},
		{"too high", MaxPID + 1, 0, false, ""},
		{"torn", 11, 0, false, "11/stat"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ticks, found, err := reader.Start(c.pid)
			if ticks != c.ticks || found != c.found {
				t.Errorf("got %d, %v, want %d, %v", ticks, found, c.ticks, c.found)
			}
			if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("error %v, want %q", err, c.fails)
			}
		})
	}
}

func TestThreadGroup(t *testing.T) {
	tr := newTree(t, task{pid: 9, name: "p"})
	tr.write("10/status", statusText(task{pid: 9, name: "thread of 9"}))
	tr.write("11/status", "Name:\tx\n")
	reader := open(t, tr.root)
	for _, c := range []struct {
		name  string
		pid   int
		tgid  int
		found bool
		fails string
	}{
		{"a process", 9, 9, true, ""},
		{"a thread", 10, 9, true, ""},
		{"gone", 12, 0, false, ""},
		{"torn", 11, 0, false, "11/status"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tgid, found, err := reader.ThreadGroup(c.pid)
			if tgid != c.tgid || found != c.found {
				t.Errorf("got %d, %v, want %d, %v", tgid, found, c.tgid, c.found)
			}
			if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("error %v, want %q", err, c.fails)
			}
		})
	}
}

func TestReadKeepsItsLimit(t *testing.T) {
	tr := newTree(t)
	tr.write("long", strings.Repeat("x", 100_000))
	reader := open(t, tr.root)
	for _, limit := range []int{1, 5000, 16 << 10, 50_000, 100_000, 200_000} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			text, err := reader.read(reader.fd, "long", limit)
			if want := min(limit, 100_000); err != nil || len(text) != want {
				t.Errorf("%d bytes, %v, want %d", len(text), err, want)
			}
		})
	}
}

// TestGoneHalfWay takes a process away between its stat and the rest.
func TestGoneHalfWay(t *testing.T) {
	tr := newTree(t, task{pid: 7, name: "c", exe: "/c"})
	reader := open(t, tr.root)
	reader.texts = map[string]string{}
	dir, err := openat(reader.fd, "7", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(dir) }()
	if _, err := reader.stat(dir, 7); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stat", "status", "comm", "cmdline", "exe"} {
		tr.remove("7/" + name)
	}
	if err := reader.details(dir, &Process{PID: 7}); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v, want ENOENT", err)
	}
}

// TestEndedHalfWay has a process become a zombie between its stat and the rest.
func TestEndedHalfWay(t *testing.T) {
	tr := newTree(t, task{pid: 7, name: "c", state: 'Z', without: []string{"cmdline"}})
	reader := open(t, tr.root)
	reader.texts = map[string]string{}
	dir, err := openat(reader.fd, "7", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(dir) }()
	p := Process{PID: 7} // as stat showed it: alive
	if err := reader.details(dir, &p); err != nil || !p.Zombie {
		t.Errorf("got %+v, %v, want a zombie", p, err)
	}
}

// TestKernelsOwnProc reads the real /proc, and there a child in all its states.
func TestKernelsOwnProc(t *testing.T) {
	child := exec.Command("sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	pid := child.Process.Pid
	defer func() { _ = child.Process.Kill() }()
	reader := open(t, "/proc")

	living := find(t, reader, pid)
	if living.PPID != os.Getpid() || living.KernelThread || living.Zombie || living.Threads != 1 {
		t.Errorf("the child is %+v, want a living one of %d", living, os.Getpid())
	}
	if n := len(living.NamespacePIDs); n == 0 || living.NamespacePIDs[0] != pid {
		t.Errorf("NSpid is %v, want %d first", living.NamespacePIDs, pid)
	}
	if age := time.Since(living.Start); age < -time.Minute || age > 10*time.Minute {
		t.Errorf("the child began %v ago", age)
	}
	if ticks, found, err := reader.Start(pid); err != nil || !found || ticks != living.StartTicks {
		t.Errorf("Start is %d, %v, %v, want %d", ticks, found, err, living.StartTicks)
	}

	dir, err := openat(reader.fd, strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(dir) }()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if dead := find(t, reader, pid); !dead.Zombie || dead.Exe != "" || dead.StartTicks != living.StartTicks {
		t.Errorf("the killed child is %+v, want a zombie", dead)
	}
	if _, found, err := reader.Start(pid); err != nil || !found {
		t.Errorf("the zombie is found %v, %v, want true", found, err)
	}

	_ = child.Wait()
	reader.texts = map[string]string{}
	if err := reader.process(dir, &Process{PID: pid}); !errors.Is(err, unix.ENOENT) && !errors.Is(err, syscall.ESRCH) {
		t.Errorf("reading the reaped child gives %v, want ENOENT or ESRCH", err)
	}
	if _, found, err := reader.Start(pid); err != nil || found {
		t.Errorf("the reaped child is found %v, %v, want false", found, err)
	}
}

func find(t *testing.T, reader *Reader, pid int) Process {
	t.Helper()
	look, err := reader.Look(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(look.Processes, func(p Process) bool { return p.PID == pid })
	if i < 0 {
		t.Fatalf("process %d is not among %d", pid, len(look.Processes))
	}
	return look.Processes[i]
}

func TestOutOfResources(t *testing.T) {
	for _, err := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
		if !outOfResources(err) {
			t.Errorf("%v is not taken for our own trouble", err)
		}
	}
	for _, err := range []error{nil, unix.ENOENT, unix.ESRCH, unix.EACCES, unix.EPERM, errStat} {
		if outOfResources(err) {
			t.Errorf("%v is taken for our own trouble", err)
		}
	}
}

// TestStartAllocates holds a sweep to one small string a process, the path that the system call wants.
func TestStartAllocates(t *testing.T) {
	reader := open(t, newTree(t, task{pid: 7, name: "c"}).root)
	allocs := testing.AllocsPerRun(100, func() {
		if _, found, err := reader.Start(7); !found || err != nil {
			t.Error(found, err)
		}
	})
	if allocs > 2 {
		t.Errorf("%v allocations, want 2 at most", allocs)
	}
}

func BenchmarkRead(b *testing.B) {
	tr := newTree(b)
	for pid := 1; pid <= 2000; pid++ {
		tr.add(task{pid: pid, ppid: pid / 2, name: "worker" + strconv.Itoa(pid%40), ticks: uint64(pid), exe: "/usr/bin/worker",
			cmdline: "worker\x00--number\x00" + strconv.Itoa(pid) + "\x00"})
	}
	for _, c := range []struct{ name, root string }{{"tree", tr.root}, {"proc", "/proc"}} {
		b.Run(c.name, func(b *testing.B) {
			reader := open(b, c.root)
			b.ReportAllocs()
			processes := 0
			for b.Loop() {
				look, err := reader.Look(context.Background())
				if err != nil {
					b.Fatal(err)
				}
				processes += len(look.Processes) + look.Vanished
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(processes), "ns/process")
		})
	}
}

func BenchmarkStart(b *testing.B) {
	reader := open(b, "/proc")
	pid := os.Getpid()
	b.ReportAllocs()
	for b.Loop() {
		if _, found, err := reader.Start(pid); !found || err != nil {
			b.Fatal(found, err)
		}
	}
}

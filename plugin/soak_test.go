package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/rs/zerolog"

	"audisp-history/conf"
	"audisp-history/enrich"
	"audisp-history/enrich/packed"
	"audisp-history/plugin/sink"
)

// Numbers of system calls on x86_64 (arch/x86/entry/syscalls/syscall_64.tbl).
const (
	callFork = 57
	callExec = 59
	callExit = 231
	callOpen = 257
	callKill = 62
)

// A teller tells of system calls in SYSCALL records, each an event of its own, with an EOE as auditd's plugins get it.
type teller struct {
	serial uint64
	at     int64 // milliseconds since 1970
}

// call is the records of one. result is what follows success=yes exit=; empty, there is no such field.
func (k *teller) call(number int, result string, pid, ppid int, comm string) []byte {
	k.serial++
	k.at++
	if result != "" {
		result = "success=yes exit=" + result + " "
	}
	stamp := fmt.Sprintf("msg=audit(%d.%03d:%d): ", k.at/1000, k.at%1000, k.serial)
	return fmt.Appendf(nil, "type=SYSCALL %sarch=c000003e syscall=%d %sa0=0 a1=0 a2=0 a3=0 items=0 ppid=%d pid=%d auid=0 uid=0 ses=1 comm=%q exe=\"/bin/%s\" key=\"history\"\ntype=EOE %s\n",
		stamp, number, result, ppid, pid, comm, comm, stamp)
}

// A crowd is tasks that come and go. Never more than most live, and their numbers are given out again and again.
type crowd struct {
	teller
	random *rand.Rand
	live   []member
	free   []int
	most   int
	counts struct{ forks, execs, exits int }
}

type member struct {
	pid, ppid int
	name      string
}

const pidMax = 4000

func newCrowd(seed uint64) *crowd {
	c := &crowd{teller: teller{at: 1_800_000_000_000}, random: rand.New(rand.NewPCG(seed, 9)), most: 1000}
	for pid := 2; pid < pidMax; pid++ {
		c.free = append(c.free, pid)
	}
	c.live = []member{{pid: 1, name: "init"}}
	return c
}

// step is the records of the next transition.
func (c *crowd) step() []byte {
	i := c.random.IntN(len(c.live))
	m := &c.live[i]
	switch n := c.random.IntN(3); {
	case n == 0 && len(c.live) < c.most || len(c.live) == 1:
		return c.fork(*m)
	case i == 0:
		return c.call(callOpen, "3", m.pid, m.ppid, m.name)
	case n == 1:
		c.counts.execs++
		m.name = fmt.Sprint("prog", c.random.IntN(50))
		return c.call(callExec, "0", m.pid, m.ppid, m.name)
	}
	c.counts.exits++
	gone := *m
	c.live[i] = c.live[len(c.live)-1]
	c.live = c.live[:len(c.live)-1]
	for j := range c.live { // init gets its children
		if c.live[j].ppid == gone.pid {
			c.live[j].ppid = 1
		}
	}
	c.free = append(c.free, gone.pid)
	return c.call(callExit, "", gone.pid, gone.ppid, gone.name)
}

func (c *crowd) fork(parent member) []byte {
	c.counts.forks++
	at := c.random.IntN(min(len(c.free), 100)) // the kernel gives out the one that was free for long
	pid := c.free[at]
	c.free = append(c.free[:at], c.free[at+1:]...)
	child := member{pid: pid, ppid: parent.pid, name: parent.name}
	c.live = append(c.live, child)
	return c.call(callFork, strconv.Itoa(pid), parent.pid, parent.ppid, parent.name)
}

// soakAll in the environment makes TestSoak take its ten million transitions.
const soakAll = "AUDISP_HISTORY_SOAK"

// TestSoak: however long the program runs, it holds no more than what lives and what is remembered of the ended, in
// memory as well as in the state directory. Ten million transitions take minutes with the race detector, so it is
// 200 000 without AUDISP_HISTORY_SOAK=1 (make soak).
func TestSoak(t *testing.T) {
	part := 20_000
	if os.Getenv(soakAll) != "" {
		part = 1_000_000
	}
	t.Logf("10 times %d transitions", part)
	dir := filepath.Join(t.TempDir(), "state")
	conf := conf.Default()
	conf.State.Dir = dir
	conf.Limits.Ended = 1000
	sc := streamConfig(&conf)
	sc.Journal = &packed.Writer{}
	stream := enrich.New(sc, silent{}) // to write the histories would take most of the time
	d, _, err := openState(context.Background(), &conf, "soak", enrich.NewLoader(stream))
	must(t, err)
	k := keeper{stream: stream, dir: d, log: zerolog.Nop()}
	c := newCrowd(4)
	var heaps, disks []int64
	for round := range 10 {
		for i := range part {
			b := c.step()
			cut := cutAfterLine(b, 1)
			now := c.at - 1_800_000_000_000
			stream.Line(b[:cut], now)
			stream.Line(b[cut:], now)
			if stream.Unkept() > keepBytes || i%1000 == 0 {
				k.keep([]keptOutput{{name: "history", file: true, place: sink.Place{Size: c.at}}})
			}
		}
		n := stream.Counts()
		var files int64
		files, heap := bytesBelow(t, dir), liveHeap()
		heaps, disks = append(heaps, heap), append(disks, files)
		t.Logf("part %d: %d live, %d ended, %d execs, %d bytes of heap, %d of files", round, n.Tasks.Tasks, n.Tasks.Ended, n.Tasks.Execs, heap, files)
		if n.Tasks.Tasks != len(c.live) {
			t.Errorf("part %d: %d tasks live, want %d", round, n.Tasks.Tasks, len(c.live))
		}
		if n.Tasks.Ended > conf.Limits.Ended {
			t.Errorf("part %d: %d ended tasks are remembered, want at most %d", round, n.Tasks.Ended, conf.Limits.Ended)
		}
		// That of init is not in the records.
		if int(n.Tasks.Forks) != c.counts.forks+1 || int(n.Tasks.Exits) != c.counts.exits || int(n.Tasks.Execed) != c.counts.execs {
			t.Errorf("part %d: %d forks, %d execs, %d exits, want %+v", round, n.Tasks.Forks, n.Tasks.Execed, n.Tasks.Exits, c.counts)
		}
		if n.Lost+n.Unreadable+n.LateEvents+n.Tasks.EvictedTasks > 0 || n.Open+n.Held > 1 {
			t.Errorf("part %d: %+v", round, n)
		}
	}
	for i := 3; i < len(heaps); i++ {
		if limit := heaps[2]*3/2 + 4<<20; heaps[i] > limit {
			t.Errorf("after part %d the heap is %d bytes, and was %d", i, heaps[i], heaps[2])
		}
		if limit := int64(2*leastJournal + 8<<20); disks[i] > limit {
			t.Errorf("after part %d there are %d bytes of state", i, disks[i])
		}
	}
	k.close([]keptOutput{{name: "history", file: true, place: sink.Place{Size: c.at}}})
	sameTasks(t, stream, dir)
}

// sameTasks compares what a stream knows of tasks with what is kept.
func sameTasks(t *testing.T, s *enrich.Stream, dir string) {
	t.Helper()
	kept, err := readState(dir, 0)
	must(t, err)
	got, want := kept.Tracker().Machine(""), s.Tracker().Machine("")
	if g, w := got.Counts(), want.Counts(); g.Tasks != w.Tasks || g.Ended < w.Ended { // show remembers more of them
		t.Errorf("kept are %d live tasks, %d ended, want %d, %d", g.Tasks, g.Ended, w.Tasks, w.Ended)
	}
	for k := range want.All {
		g := got.Lookup(k.PID)
		if g == nil || g.Lives() != k.Lives() || g.Start != k.Start {
			t.Fatalf("process %d: kept %+v, want %+v", k.PID, g, k)
		}
		a, b := g.Exec, k.Exec
		for ; a != nil && b != nil; a, b = a.Prev, b.Prev {
			if a.Name != b.Name || a.PID != b.PID || a.Start != b.Start || a.Via != b.Via || a.Omitted != b.Omitted {
				t.Fatalf("process %d: kept %+v, want %+v", k.PID, a, b)
			}
		}
		if a != nil || b != nil {
			t.Fatalf("process %d: the histories are not equally long", k.PID)
		}
	}
}

func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// bytesBelow is how long the files of a directory are together.
func bytesBelow(t *testing.T, dir string) int64 {
	t.Helper()
	var n int64
	must(t, filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		if os.IsNotExist(err) { // a snapshot was finished meanwhile
			return nil
		}
		return err
	}))
	return n
}

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"audisp-history/conf"
	"audisp-history/enrich/procfs"
	"audisp-history/enrich/tracker"
)

// procTree is a directory laid out like /proc (see the tests of procfs), of a machine that has booted an hour before now.
func procTree(t testing.TB, dir string, now time.Time, pids ...int) {
	t.Helper()
	put := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("stat", fmt.Sprintf("cpu  1 2 3\nbtime %d\n", now.Unix()-3600))
	put("uptime", "3600.00 0.00\n")
	put("sys/kernel/random/boot_id", "01234567-89ab-cdef-0123-456789abcdef\n")
	for _, pid := range pids {
		name, parent := fmt.Sprint("prog", pid), 1
		if pid == 1 {
			name, parent = "init", 0
		}
		put(fmt.Sprintf("%d/stat", pid), fmt.Sprintf("%d (%s) S %d 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 4096 77\n", pid, name, parent, pid))
		put(fmt.Sprintf("%d/status", pid), fmt.Sprintf("Name:\t%s\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\nNSpid:\t%d\n", name, pid, pid, parent, pid))
		put(fmt.Sprintf("%d/comm", pid), name+"\n")
		put(fmt.Sprintf("%d/cmdline", pid), name+"\x00")
		if err := os.Symlink("/bin/"+name, filepath.Join(dir, fmt.Sprint(pid), "exe")); err != nil {
			t.Fatal(err)
		}
	}
}

// Tasks that vanish from /proc leave within a minute, the others stay; and if /proc shows nobody, nobody leaves.
func TestSweep(t *testing.T) {
	for _, c := range []struct {
		name   string
		vanish []string
		swept  uint64
	}{
		{"one", []string{"300"}, 1},
		{"two", []string{"300", "4"}, 2},
		{"all, which is not to be believed", []string{"1", "300", "4", "5"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				proc := filepath.Join(dir, "proc")
				procTree(t, proc, time.Now(), 1, 4, 5, 300)
				conf := conf.Default()
				conf.Outputs = toFile(filepath.Join(dir, "history.log"))
				conf.State.Dir, conf.Auditd = filepath.Join(dir, "state"), ""
				r := newRunner(&conf, io.Discard, zerolog.Nop())
				in, out := io.Pipe()
				ended := make(chan error, 1)
				go func() { ended <- r.run(in, proc, make(chan os.Signal)) }()
				_, err := fmt.Fprintf(out, "type=SYSCALL msg=audit(%d.000:7): arch=c000003e syscall=231 a0=0 ppid=1 pid=9 comm=\"x\" exe=\"/x\"\n", time.Now().Unix())
				must(t, err)
				<-time.After(10 * time.Minute)
				rep, err := readReport(conf.State.Dir)
				must(t, err)
				if rep.Tasks != 4 || rep.Swept != 0 {
					t.Fatalf("%d tasks, %d swept, before anything has gone", rep.Tasks, rep.Swept)
				}
				for _, pid := range c.vanish {
					must(t, os.RemoveAll(filepath.Join(proc, pid)))
				}
				<-time.After(time.Minute)
				must(t, out.Close())
				must(t, <-ended)
				n := r.stream.Counts()
				if n.Tracker.Swept != c.swept || n.Tasks.Tasks != 4-int(c.swept) {
					t.Errorf("after a minute %d tasks swept, want %d; %d live", n.Tracker.Swept, c.swept, n.Tasks.Tasks)
				}
			})
		})
	}
}

// Each task is asked about once a round and at the same place in it, a few at a time, spread over the round.
func TestSweepSpreads(t *testing.T) {
	for _, tasks := range []int{1, 256, 257, 10_000, 100_000, 300_000} {
		t.Run(fmt.Sprint(tasks), func(t *testing.T) {
			s := &sweeper{asked: make(chan []tracker.Check, 1), found: make(chan []tracker.Finding, 1)}
			rounds, turn := 0, uint32(0)
			living := func(dst []tracker.Check) []tracker.Check {
				rounds++
				turn += 7777 // they come in no order
				for i := range tasks {
					dst = append(dst, tracker.Check{PID: (uint32(i)+turn)%uint32(tasks) + 1})
				}
				return dst
			}
			begin := time.Unix(1_000_000, 0)
			asked := make(map[uint32]time.Duration, tasks) // when, the last time
			most, worst, n := 0, time.Duration(0), 0
			for d := time.Duration(0); d < 3*sweepRound; d += tick {
				now := begin.Add(d)
				s.waiting = false // found what it asked a tick ago
				s.tick(now, living)
				select {
				case checks := <-s.asked:
					most = max(most, len(checks))
					for _, c := range checks {
						if last, before := asked[c.PID]; before {
							worst = max(worst, d-last)
						}
						asked[c.PID] = d
						n++
					}
				default:
				}
			}
			if len(asked) != tasks || rounds != 3 || n != 3*tasks {
				t.Errorf("%d of %d tasks asked about, %d times, in %d rounds", len(asked), tasks, n, rounds)
			}
			if worst > sweepRound+time.Second {
				t.Errorf("a task was not asked about for %s", worst)
			}
			if limit := max(sweepBatch, tasks/100+1); most > limit {
				t.Errorf("%d asked about at once, want at most %d", most, limit)
			}
		})
	}
}

// BenchmarkSweep asks the real /proc about this process: what a question costs, and what share of a core it takes to ask
// about 100 000 tasks a minute.
func BenchmarkSweep(b *testing.B) {
	proc, err := procfs.Open("/proc")
	if err != nil {
		b.Fatal(err)
	}
	defer proc.Close()
	checks := make([]tracker.Check, sweepBatch)
	for i := range checks {
		checks[i].PID = uint32(os.Getpid())
	}
	for b.Loop() {
		if n := len(look(proc, checks)); n != len(checks) {
			b.Fatalf("%d answers to %d questions", n, len(checks))
		}
	}
	each := b.Elapsed() / time.Duration(b.N*len(checks))
	b.ReportMetric(float64(each.Nanoseconds()), "ns/task")
	b.ReportMetric(100*each.Seconds()*100_000/sweepRound.Seconds(), "%core/100000tasks")
}

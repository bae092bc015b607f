package e2e

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A promise is what a scenario must keep besides: no history is wrong, nothing is lost untold.
type promise struct {
	lossless bool // nothing at all is lost or incomplete
	overflow bool // auditd's queue may be full
}

// finish stops everything and judges.
func (h *host) finish(p promise) *judge {
	h.t.Helper()
	h.settle()
	h.stop(syscall.SIGTERM)
	h.unload()
	told, err := os.ReadFile(h.path("told"))
	must(h.t, err)
	j, err := newJudge(string(told), h.output())
	must(h.t, err)
	for _, text := range j.list {
		h.t.Error(text)
	}
	if p.lossless && (j.lost > 0 || j.out.lost() > 0) {
		h.t.Errorf("%d events are lost, %d by their serials", j.lost, j.out.lost())
	}
	for _, text := range []string{"queue is full", "dispatch err", "queue to plugins is full"} {
		if says := h.syslog.text(); !p.overflow && strings.Contains(says, text) {
			h.t.Errorf("auditd says that it has lost records:\n%s", says)
		}
	}
	j.row(h)
	return j
}

func (j *judge) row(h *host) {
	var reasons []string
	for _, g := range j.out.gaps {
		reasons = append(reasons, g.reason)
	}
	slices.Sort(reasons)
	gaps := strings.Join(slices.Compact(slices.Clone(reasons)), ",")
	begin, end := int64(0), int64(0)
	for _, e := range j.out.events {
		if begin == 0 || e.at < begin {
			begin = e.at
		}
		end = max(end, e.at)
	}
	share := 100 * float64(h.ticks("program")) / float64(max(1, h.ticks("auditd")))
	table = append(table, fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d: %s\t%d\t%d/%d = %.0f %%",
		strings.TrimPrefix(h.t.Name(), "Test"), j.events, j.counts[right], j.targets, j.counts[incomplete], j.counts[wrong], j.lost, j.out.lost(),
		len(reasons), gaps, int64(len(j.out.events))*1000/max(1, end-begin), h.ticks("program"), h.ticks("auditd"), share))
}

func newScenario(t *testing.T) *host { return newScenarioWith(t, calmDepth, nil) }

func newScenarioWith(t *testing.T, depth int, outputs func(*host) string) *host {
	if os.Getenv(wanted) == "" {
		t.Skip("changes the machine's audit state: make e2e")
	}
	return newHost(t, depth, outputs)
}

// TestForms: every way to make, change and end a process, alone and four at a time.
func TestForms(t *testing.T) {
	h := newScenario(t)
	h.run("all 1")
	h.run("all 4")
	h.finish(promise{lossless: true})
}

// TestSignals: who sent a signal, and to whom.
func TestSignals(t *testing.T) {
	h := newScenario(t)
	for range 5 {
		h.run("form signals")
	}
	if j := h.finish(promise{lossless: true}); j.targets < 5*28 {
		t.Errorf("%d histories of targets", j.targets)
	}
}

// TestStorm: as many processes as the machine can make, with what the program costs beside auditd.
func TestStorm(t *testing.T) {
	h := newScenario(t)
	h.run("storm 4 10")
	h.finish(promise{lossless: true})
}

// TestRulesRemoved: auditctl -D in the middle, and the rules back.
func TestRulesRemoved(t *testing.T) {
	h := newScenario(t)
	finish := h.begin("storm 3 10")
	h.grown(1 << 20)
	h.unload()
	<-time.After(3 * time.Second)
	h.load()
	finish()
	h.run("all 1")
	h.finish(promise{})
}

// TestAuditdRestarts: stopped and started, killed and started.
func TestAuditdRestarts(t *testing.T) {
	h := newScenario(t)
	finish := h.begin("storm 3 12")
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGTERM} {
		h.grown(1 << 20)
		h.stop(signal)
		<-time.After(time.Second)
		h.start()
	}
	finish()
	h.run("all 1")
	h.finish(promise{})
}

// TestPluginKilled: auditd starts the program again, which finds in auditd's log what it has missed.
func TestPluginKilled(t *testing.T) {
	h := newScenario(t)
	finish := h.begin("storm 3 10")
	for range 5 {
		h.grown(1 << 20)
		h.measure()
		old := h.plugin()
		must(t, syscall.Kill(old, syscall.SIGKILL))
		eventually(t, "auditd has started it again", func() bool {
			list := h.plugins()
			return len(list) == 1 && list[0] != old
		})
	}
	finish()
	h.run("all 1")
	h.finish(promise{lossless: true})
}

// TestHangup: logrotate renames the output and auditd is told to begin anew.
func TestHangup(t *testing.T) {
	h := newScenario(t)
	finish := h.begin("storm 3 8")
	for range 3 {
		h.grown(1 << 20)
		h.moved++
		must(t, os.Rename(h.path("history.log"), h.path(fmt.Sprintf("history.log.%d", h.moved))))
		// auditd asks the kernel who has sent the signal, and forgets it if the answer is lost, which happens when it is
		// busy (auditd 3.0.9: DAEMON_CONFIG op=reconfigure res=failed).
		again := time.Now()
		eventually(t, "the output is there again", func() bool {
			if now := time.Now(); !now.Before(again) {
				must(t, h.auditd.Process.Signal(syscall.SIGHUP))
				again = now.Add(time.Second)
			}
			return h.size() > 0
		})
	}
	finish()
	h.run("all 1")
	h.finish(promise{lossless: true})
}

// TestOverflow: the program is held for so long that auditd drops what is for it. Its log has it all.
func TestOverflow(t *testing.T) {
	h := newScenarioWith(t, debianDepth, nil)
	finish := h.begin("storm 3 12")
	h.grown(1 << 20)
	pid := h.plugin()
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	<-time.After(5 * time.Second)
	must(t, syscall.Kill(pid, syscall.SIGCONT))
	finish()
	h.run("all 1")
	h.finish(promise{overflow: true})
}

// TestBlockedOutput: an output that takes nothing for as long as the storm lasts. The others and auditd do not notice,
// and it gets all of it when it takes again.
func TestBlockedOutput(t *testing.T) {
	var stuck *net.UnixConn
	h := newScenarioWith(t, calmDepth, func(h *host) string {
		var err error
		stuck, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: h.path("stuck"), Net: "unixgram"})
		must(t, err)
		t.Cleanup(func() { _ = stuck.Close() })
		return fmt.Sprintf("  - {name: stuck, everything: true, syslog: {to: \"unix:%s\"}}\n", h.path("stuck"))
	})
	h.run("storm 3 5")
	h.settle()
	want := map[string]bool{}
	for _, m := range stamps.FindAllString(h.output(), -1) {
		want[m] = true
	}
	must(t, stuck.SetReadDeadline(time.Now().Add(deadline)))
	for buf := make([]byte, 1<<16); len(want) > 0; {
		n, err := stuck.Read(buf)
		if err != nil {
			t.Fatalf("%d events have not come to the output that was blocked: %v", len(want), err)
		}
		for _, m := range stamps.FindAll(buf[:n], -1) {
			delete(want, string(m))
		}
	}
	must(t, stuck.SetReadDeadline(time.Time{}))
	go func() {
		for buf := make([]byte, 1<<16); ; {
			if _, err := stuck.Read(buf); err != nil {
				return // closed
			}
		}
	}()
	h.finish(promise{lossless: true})
}

// stamps finds the names of events.
var stamps = regexp.MustCompile(`audit\(\d+\.\d{3}:\d+\)`)

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"audisp-history/enrich/filter"
	"audisp-history/enrich/record"
)

// A host is a machine on which auditd writes its log and hands every record to the program, which dies again and again.
type host struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	log    *os.File // auditd's
	child  *exec.Cmd
	out    *os.File // the program's standard input
	says   bytes.Buffer
	kills  int
	damage func() // done to the state while the program is not running, if it is not nil
}

func newHost(t *testing.T, seed uint64) *host {
	h := &host{t: t, random: rand.New(rand.NewPCG(seed, 3)), dir: t.TempDir()}
	must(t, os.MkdirAll(filepath.Join(h.dir, "proc/sys/kernel/random"), 0o755))
	must(t, os.WriteFile(filepath.Join(h.dir, "proc/sys/kernel/random/boot_id"), []byte("01234567-89ab-cdef-0123-456789abcdef\n"), 0o600))
	must(t, os.WriteFile(h.path("auditd.conf"), []byte("log_file = "+h.path("audit.log")+"\n"), 0o600))
	must(t, os.WriteFile(h.path("c.yaml"), fmt.Appendf(nil, "outputs:\n- {everything: true, file: {path: %s}}\n- {name: few, file: {path: %s}}\n- {name: json, format: json, everything: true, file: {path: %s}}\nstate: {dir: %s}\nauditd_conf: %s\n",
		h.path("history.log"), h.path("few.log"), h.path("json.log"), h.path("state"), h.path("auditd.conf")), 0o600))
	h.rotate()
	t.Cleanup(h.kill)
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

// rotate begins a new log, as auditd does.
func (h *host) rotate() {
	if h.log != nil {
		must(h.t, h.log.Close())
	}
	for i := 40; i >= 0; i-- {
		name := func(i int) string {
			if i == 0 {
				return h.path("audit.log")
			}
			return fmt.Sprintf("%s.%d", h.path("audit.log"), i)
		}
		if err := os.Rename(name(i), name(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.t.Fatal(err)
		}
	}
	log, err := os.OpenFile(h.path("audit.log"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	must(h.t, err)
	h.log = log
}

func (h *host) spawn() {
	self, err := os.Executable()
	must(h.t, err)
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(h.t, err)
	in := os.NewFile(uintptr(fds[0]), "in")
	h.out = os.NewFile(uintptr(fds[1]), "out")
	h.child = exec.Command(self, "run", "--config="+h.path("c.yaml"))
	h.child.Stdin, h.child.Stderr, h.child.Dir = in, &h.says, "/"
	h.child.Env = []string{asProc + "=" + h.path("proc")}
	must(h.t, h.child.Start())
	must(h.t, in.Close())
}

func (h *host) kill() {
	if h.child == nil {
		return
	}
	_ = h.child.Process.Kill()
	_ = h.child.Wait() // killed
	_ = h.out.Close()
	h.child = nil
}

// die kills the program at some instant from now, while records come or while none do, and lets some be missed.
func (h *host) die() {
	if h.random.IntN(3) > 0 {
		<-time.After(time.Duration(h.random.IntN(60)) * time.Millisecond)
	}
	h.kill()
	h.kills++
	if h.damage != nil {
		h.damage()
	}
}

// record writes one to the log and to the program.
func (h *host) record(line []byte) {
	_, err := h.log.Write(line)
	must(h.t, err)
	if h.child != nil {
		if _, err = h.out.Write(line); err != nil {
			h.t.Fatalf("%v\n%s", err, h.says.Bytes())
		}
	}
}

// end lets the program end.
func (h *host) end() string {
	if h.child == nil {
		h.spawn()
	}
	must(h.t, h.out.Close())
	timer := time.AfterFunc(deadline, func() { _ = h.child.Process.Kill() })
	defer timer.Stop()
	if err := h.child.Wait(); err != nil {
		h.t.Fatalf("%v\n%s", err, h.says.Bytes())
	}
	h.child = nil
	return records(h.t, h.path("history.log"))
}

// keeps reports whether something is kept.
func (h *host) keeps() bool {
	journals, err := filepath.Glob(h.path("state/boot-*/journal-*"))
	must(h.t, err)
	return len(journals) > 0 && hasContent(journals[0])()
}

// live hands a stream to the program, which is killed about kills times.
func (h *host) live(stream []byte, kills int) string {
	lines := bytes.SplitAfter(stream, []byte("\n"))
	lines = lines[:len(lines)-1]
	h.spawn()
	h.record(lines[0])
	for lines = lines[1:]; !h.keeps(); lines = lines[1:] { // before, nobody knows that it has ever run
		h.record(lines[0])
	}
	missed := 0 // records that come before it is started again
	for _, line := range lines {
		if h.child == nil && missed == 0 {
			h.spawn()
		}
		missed = max(missed-1, 0)
		h.record(line)
		if h.random.IntN(5000) == 0 {
			h.rotate()
		}
		if h.child != nil && h.random.IntN(len(lines)/kills) == 0 {
			h.die()
			missed = h.random.IntN(1 + h.random.IntN(300))
		}
	}
	return h.end()
}

// anonymous takes out of the records of gaps which process wrote them.
func anonymous(text string) string {
	return regexp.MustCompile(`(:0\): pid=)\d+`).ReplaceAllString(text, "${1}X")
}

// TestKilled: however often the program is killed, the output is that of an undisturbed run, byte for byte.
func TestKilled(t *testing.T) {
	for _, c := range []struct {
		name  string
		kills int
	}{{"boot", 60}, {"parallel", 80}, {"rulesgone", 60}, {"restart", 20}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			stream := capture(t, c.name)
			want := anonymous(good(t, bytes.NewReader(stream), "replay", "-").out)
			h := newHost(t, seed)
			got := anonymous(h.live(stream, c.kills))
			t.Logf("killed %d times", h.kills)
			if got != want {
				t.Errorf("%s\n%s", differenceAt(got, want), lastLines(h.says.String(), 20))
			}
			objects := good(t, bytes.NewReader(stream), "replay", "--format", "json", "-").out
			if got := records(t, h.path("json.log")); got != objects {
				t.Errorf("json.log: %s\n%s", differenceAt(got, objects), lastLines(h.says.String(), 20))
			}
			few := anonymous(records(t, h.path("few.log")))
			if want = withoutHistoryEvents(want); few != want {
				t.Errorf("few.log: %s\n%s", differenceAt(few, want), lastLines(h.says.String(), 20))
			}
		})
	}
}

// withoutHistoryEvents leaves out what the filter of an output leaves out by default.
func withoutHistoryEvents(text string) string {
	var b strings.Builder
	f := filter.New(nil, false)
	a := record.NewAssembler(1, func(e *record.Event) {
		for i := range e.Records {
			if f.Keep(e) {
				b.Write(e.Line(i))
			}
		}
	})
	for line := range strings.Lines(text) {
		a.Add([]byte(line), 0)
	}
	a.Flush()
	return b.String()
}

func differenceAt(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d\n got %s\nwant %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

func lastLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"audisp-history/enrich/store"
	"audisp-history/plugin/auditlog"
)

// shell is records of a shell: init forks it, it executes, forks a program, which executes and does something.
func shell(k *teller) []byte {
	return bytes.Join([][]byte{
		k.call(callFork, "10", 1, 0, "init"),
		k.call(callExec, "0", 10, 1, "sh"),
		k.call(callFork, "11", 10, 1, "sh"),
		k.call(callExec, "0", 11, 10, "ls"),
		k.call(callOpen, "3", 11, 10, "ls"),
	}, nil)
}

func newTeller() *teller { return &teller{at: 1_800_000_000_000, serial: 100} }

// message is the only line of a log that says a thing, "" if none does.
func message(t *testing.T, log, says string) string {
	t.Helper()
	found := ""
	for line := range strings.Lines(log) {
		if !strings.Contains(line, says) {
			continue
		}
		if found != "" {
			t.Errorf("said twice: %s", line)
		}
		found = line
	}
	return found
}

// TestStateCannotBeKept: whatever is wrong with the state directory is said once, with what to do, and records are
// written all the same.
func TestStateCannotBeKept(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, state string) string // which state directory is configured
		says  string                                  // DIR stands for it
		root  bool
	}{
		{"its parent is a file", func(t *testing.T, state string) string {
			must(t, os.WriteFile(state, nil, 0o600))
			return state + "/below"
		}, "state directory DIR: mkdir PARENT: not a directory: create it, or set state.dir", false},
		{"a file", func(t *testing.T, state string) string {
			must(t, os.WriteFile(state, nil, 0o600))
			return state
		}, "state directory DIR: is no directory: remove it, or set state.dir", false},
		{"a link", func(t *testing.T, state string) string {
			must(t, os.Mkdir(state+"-target", 0o700))
			must(t, os.Symlink(state+"-target", state))
			return state
		}, "state directory DIR: is no directory: remove it, or set state.dir", false},
		{"others can write it", func(t *testing.T, state string) string {
			must(t, os.Mkdir(state, 0o700))
			must(t, os.Chmod(state, 0o777))
			return state
		}, "state directory DIR: others can write it (mode 0777): chmod 0700 DIR", false},
		{"another's", func(t *testing.T, state string) string {
			must(t, os.Mkdir(state, 0o700))
			must(t, os.Chown(state, 12345, 12345))
			return state
		}, "state directory DIR: belongs to uid 12345, not to uid 0 which must trust it: chown it", true},
		{"a file system on which nothing can be made", func(*testing.T, string) string { return "/proc/audisp-history" },
			fmt.Sprintf("state directory DIR: cannot be made by uid %d: mkdir DIR: no such file or directory: create it, or set state.dir", os.Geteuid()), false},
		{"a read-only file system", func(t *testing.T, state string) string {
			must(t, os.Mkdir(state, 0o700))
			mount(t, state, syscall.MS_RDONLY, "mode=0700")
			return state
		}, "state directory DIR: not writable by uid 0: open DIR/lock: read-only file system", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.root && os.Geteuid() != 0 {
				t.Skip("only root can make what is wrong")
			}
			dir := t.TempDir()
			state := c.spoil(t, filepath.Join(dir, "state"))
			config := write(t, "c.yaml", fmt.Appendf(nil, "output: {path: %s/log}\nstate: {dir: %s}\nauditd_conf: \"\"\n", dir, state))
			stream := shell(newTeller())
			var log bytes.Buffer
			must(t, runIn(dir+"/proc", []string{"--config", config}, stdio{bytes.NewReader(stream), io.Discard, &log}))
			sameEvents(t, without(records(t, dir+"/log"), "field"), string(stream))
			want := strings.NewReplacer("DIR", state, "PARENT", filepath.Dir(state)).Replace(c.says)
			line := message(t, log.String(), "histories are kept in memory only")
			if !strings.Contains(line, `"error":"`+want+`"`) {
				t.Errorf("says %s\nwant %s", line, want)
			}
		})
	}
}

// mount puts an empty file system over a directory until the test ends.
func mount(t *testing.T, dir string, flags uintptr, options string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		t.Skipf("a file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
}

// A full disk is said once, and once that there is room again; then what was kept in memory only is kept, too.
func TestStateDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	h := newHost(t, 1)
	must(t, os.Mkdir(h.path("state"), 0o700))
	mount(t, h.path("state"), 0, "size=256k,mode=0700")
	must(t, os.WriteFile(h.path("state/ballast"), make([]byte, 200<<10), 0o600))
	k := newTeller()
	h.spawnLogged()
	h.record(shell(k))
	eventually(t, "something is kept", h.keeps)
	n := 0
	says := func(text string) func() bool {
		return func() bool {
			n++
			h.record(k.call(callFork, fmt.Sprint(1000+n), 11, 10, "ls"))
			h.record(k.call(callExec, "0", 1000+n, 11, fmt.Sprint("prog", n)))
			return strings.Contains(h.said(), text)
		}
	}
	eventually(t, "the full disk is told of", func() bool {
		for range 50 {
			if says("histories are kept in memory only")() {
				return true
			}
		}
		return false
	})
	full := n
	for range 5 { // what cannot be kept now is not told of again
		says("")()
		<-time.After(2 * tick)
	}
	h.written(k.serial)
	must(t, os.Remove(h.path("state/ballast")))
	eventually(t, "the end of it is told of", says("histories are kept on disk again"))
	h.record(k.call(callOpen, "3", 1000+full, 11, fmt.Sprint("prog", full)))
	h.written(k.serial)
	h.kill() // everything after the last piece that was kept is caught up
	h.spawnLogged()
	for i := range n {
		h.record(k.call(callOpen, "3", 1001+i, 11, fmt.Sprint("prog", i+1)))
	}
	got := histories(h.end())
	for i := range n {
		id := fmt.Sprintf("%d.%03d:%d", (k.at-int64(n-1-i))/1000, (k.at-int64(n-1-i))%1000, k.serial-uint64(n-1-i))
		if want := fmt.Sprintf("=>name=prog%d;pid=%d;", i+1, 1001+i); !strings.Contains(got[id], want) || !strings.Contains(got[id], "name=sh;pid=10;") {
			t.Fatalf("event %s: %q, want %s", id, got[id], want)
		}
	}
	for _, text := range []string{"histories are kept in memory only", "histories are kept on disk again"} {
		if n := strings.Count(h.said(), text); n != 1 {
			t.Errorf("said %d times: %s\n%s", n, text, h.said())
		}
	}
}

// spawnLogged is spawn with what the program says in a file, where it can be read while it runs.
func (h *host) spawnLogged() {
	self, err := os.Executable()
	must(h.t, err)
	log, err := os.OpenFile(h.path("says"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(h.t, err)
	in, out := socketpair(h.t)
	h.out = out
	h.child = exec.Command(self, "run", "--config="+h.path("c.yaml"))
	h.child.Stdin, h.child.Stderr, h.child.Dir = in, log, "/"
	h.child.Env = []string{asProc + "=" + h.path("proc")}
	must(h.t, h.child.Start())
	must(h.t, errors.Join(in.Close(), log.Close()))
}

// said is what the program has said so far.
func (h *host) said() string {
	b, err := os.ReadFile(h.path("says"))
	must(h.t, err)
	return string(b)
}

// While another process holds the state directory, records are buffered; when it ends, they are handled with what that
// one knew, each once.
func TestTwoAtOnce(t *testing.T) {
	k := newTeller()
	first, second := shell(k), append(k.call(callFork, "12", 11, 10, "ls"), k.call(callOpen, "3", 12, 11, "ls")...)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		in1, out1 := io.Pipe()
		a := start(dir, in1)
		send(t, out1, first)
		<-time.After(time.Second)
		in2, out2 := io.Pipe()
		b := start(dir, in2)
		send(t, out2, second)
		<-time.After(lockWait / 2)
		synctest.Wait()
		if got := a.output(t); strings.Contains(got, fmt.Sprintf(":%d)", k.serial)) {
			t.Errorf("it did not wait: %s", got)
		}
		must(t, out1.Close())
		must(t, <-a.ended)
		<-time.After(time.Second)
		must(t, out2.Close())
		must(t, <-b.ended)
		got := b.output(t)
		sameEvents(t, without(got, "field"), string(first)+string(second))
		if n := strings.Count(got, "name=sh;pid=10;"); n != 6 {
			t.Errorf("%d histories have the shell, want 6:\n%s", n, got)
		}
		if strings.Contains(b.log.String(), "in memory only") {
			t.Errorf("log: %s", b.log)
		}
	})
}

// If the other one never ends, records are handled without what it knows, and its process is named.
func TestStateHeldForever(t *testing.T) {
	k := newTeller()
	stream := shell(k)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		procTree(t, filepath.Join(dir, "proc"), time.Now(), 1)
		held, err := store.Lock(context.Background(), filepath.Join(dir, "state"))
		must(t, err)
		in, out := io.Pipe()
		p := start(dir, in)
		send(t, out, stream)
		<-time.After(lockWait - time.Second)
		if _, err := os.Stat(p.path); err == nil {
			t.Error("it did not wait")
		}
		<-time.After(2*time.Second + lookWait)
		sameEvents(t, without(p.output(t), "field"), string(stream))
		must(t, out.Close())
		must(t, <-p.ended)
		must(t, held.Close())
		want := fmt.Sprintf(`"error":"state directory %s: in use by process %d: only one may write it: context deadline exceeded"`, filepath.Join(dir, "state"), os.Getpid())
		if line := message(t, p.log.String(), "histories are kept in memory only"); !strings.Contains(line, want) {
			t.Errorf("says %s\nwant %s", line, want)
		}
	})
}

// A clock that is set back an hour changes no history: it is neither a boot nor the end of anything.
func TestClockStepsBack(t *testing.T) {
	k := newTeller()
	stream := shell(k)
	k.at -= 3_600_000
	for _, b := range [][]byte{
		k.call(callOpen, "3", 11, 10, "ls"),
		k.call(callFork, "12", 11, 10, "ls"),
		k.call(callExec, "0", 12, 11, "cat"),
		k.call(callOpen, "3", 12, 11, "cat"),
		k.call(callOpen, "3", 10, 1, "sh"),
	} {
		stream = append(stream, b...)
	}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		p := start(dir, in)
		for line := range bytes.Lines(stream) {
			send(t, out, line)
			<-time.After(50 * time.Millisecond)
		}
		must(t, out.Close())
		must(t, <-p.ended)
		got := p.output(t)
		sameEvents(t, without(got, "field"), string(stream))
		if n := strings.Count(got, "op=history-gap"); n != 1 || !strings.Contains(got, "reason=start") {
			t.Errorf("%d gaps, want that of the start:\n%s", n, got)
		}
		for serial, want := range map[uint64]string{106: "init sh ls", 108: "init sh ls cat", 109: "init sh ls cat", 110: "init sh"} {
			if names := namesOf(got, serial); !strings.HasSuffix(names, want) {
				t.Errorf("event %d: %s, want %s", serial, names, want)
			}
		}
	})
}

// namesOf is the names in the history of an event.
func namesOf(text string, serial uint64) string {
	for id, history := range histories(text) {
		if !strings.HasSuffix(id, fmt.Sprint(":", serial)) {
			continue
		}
		var names []string
		for e := range strings.SplitSeq(history, "=>") {
			name, _, _ := strings.Cut(strings.TrimPrefix(e, "name="), ";")
			names = append(names, name)
		}
		return strings.Join(names, " ")
	}
	return ""
}

// TestNoLogToCatchUp: what is wrong with auditd's log is said once, after a restart it is a gap, and nothing else fails.
func TestNoLogToCatchUp(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, h *host)
		says  string // once in each of two runs
	}{
		{"auditd.conf is missing", func(t *testing.T, h *host) {
			if _, err := os.Stat(auditlog.DefaultPath); err == nil {
				t.Skip("auditd is at work on this machine: its log would be read")
			}
			must(t, os.Remove(h.path("auditd.conf")))
		}, "auditd's log cannot be read"},
		{"auditd writes no log", func(t *testing.T, h *host) {
			must(t, os.WriteFile(h.path("auditd.conf"), []byte("write_logs = no\n"), 0o600))
		}, "what comes while the program is not running will be missed"},
		{"the log is a directory", func(t *testing.T, h *host) {
			must(t, os.Remove(h.path("audit.log")))
			must(t, os.Mkdir(h.path("audit.log"), 0o700))
		}, "auditd's log cannot be read"},
		{"the log is missing", func(t *testing.T, h *host) { must(t, os.Remove(h.path("audit.log"))) }, "auditd's log cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t, 1)
			c.spoil(t, h)
			k := newTeller()
			before := shell(k)
			h.spawnLogged()
			h.record(before)
			eventually(t, "something is kept", h.keeps)
			h.end()
			k.call(callOpen, "3", 10, 1, "sh") // nobody hears of it
			after := k.call(callOpen, "3", 11, 10, "ls")
			h.spawnLogged()
			h.record(after)
			got := h.end()
			sameEvents(t, without(got, "field"), string(before)+string(after))
			if !strings.Contains(got, "reason=plugin-down") || !strings.Contains(got, "lost=1 ") {
				t.Errorf("no gap of one event:\n%s\n%s", got, h.said())
			}
			if names := namesOf(got, k.serial); !strings.HasSuffix(names, "init sh ls") {
				t.Errorf("the history is %s", names)
			}
			if strings.Count(h.said(), c.says) != 2 {
				t.Errorf("does not say twice %q: %s", c.says, h.said())
			}
		})
	}
}

// TestCatchUp tells stories of what happens while the program is not running. Each begins with five events that it has
// handled; the stories' own are of the shell, 10.
func TestCatchUp(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(h *host, k *teller, event func() []byte)
		gap   string // what the record of the gap says besides that of the start; empty for none
		twice bool   // the program has started anew
	}{
		{"nothing happened", func(h *host, _ *teller, event func() []byte) {
			h.spawnLogged()
			h.record(event())
		}, "", false},
		{"the log has it", func(h *host, _ *teller, event func() []byte) {
			h.record(event())
			h.record(event())
			h.spawnLogged()
			h.record(event())
		}, "", false},
		{"the log was rotated", func(h *host, _ *teller, event func() []byte) {
			h.record(event())
			h.rotate()
			h.record(event())
			h.rotate()
			h.spawnLogged()
			h.record(event())
		}, "", false},
		{"the log was rotated and removed", func(h *host, _ *teller, event func() []byte) {
			event()
			event()
			h.rotate()
			must(h.t, os.Remove(h.path("audit.log.1")))
			h.record(event())
			h.spawnLogged()
			h.record(event())
		}, "reason=plugin-down from=1800000000.005 to=1800000000.009 lost=3 ", false},
		{"the log ends in the middle of an event", func(h *host, _ *teller, event func() []byte) {
			e := event()
			cut := cutAfterLine(e, 0)
			h.record(e[:cut])
			h.spawnLogged()
			h.record(e[cut:])
			h.record(event())
		}, "", false},
		{"standard input brings again what the log had", func(h *host, _ *teller, event func() []byte) {
			e, f := event(), event()
			h.record(e)
			h.record(f)
			h.spawnLogged()
			h.toProgram(e)
			h.toProgram(f)
			h.record(event())
		}, "", false},
		{"a hole on standard input that the log has", func(h *host, _ *teller, event func() []byte) {
			h.spawnLogged()
			h.record(event())
			h.written(106) // it has caught up, and reads standard input
			h.record(event())
			h.written(107)
			h.toLog(event())
			h.record(event())
			h.written(109)
		}, "", false},
		{"a hole on standard input that nobody has", func(h *host, _ *teller, event func() []byte) {
			h.spawnLogged()
			h.record(event())
			event()
			h.record(event())
		}, "reason=events-lost from=1800000000.006 to=1800000000.008 lost=1 ", false},
		{"killed while it catches up", func(h *host, _ *teller, event func() []byte) {
			for range 20_000 {
				h.record(event())
			}
			for range 3 {
				before := h.outputSize()
				h.spawnLogged()
				eventually(h.t, "more is written", func() bool { return h.outputSize() > before })
				h.kill()
			}
			h.spawnLogged()
			h.record(event())
		}, "", false},
		{"killed between writing and keeping", func(h *host, _ *teller, event func() []byte) {
			h.spawnLogged()
			for range 100 {
				h.record(event())
			}
			h.written(205)
			h.kill()
			journals, err := filepath.Glob(h.path("state/boot-*/journal-*"))
			must(h.t, err)
			info, err := os.Stat(journals[len(journals)-1])
			must(h.t, err)
			must(h.t, os.Truncate(journals[len(journals)-1], info.Size()-1))
			h.spawnLogged()
			h.record(event())
		}, "", false},
		{"the output was renamed", func(h *host, _ *teller, event func() []byte) {
			must(h.t, os.Rename(h.path("history.log"), h.path("history.log.1")))
			h.record(event())
			h.spawnLogged()
			h.record(event())
		}, "", false},
		{"another boot", func(h *host, k *teller, event func() []byte) {
			must(h.t, os.WriteFile(h.path("proc/sys/kernel/random/boot_id"), []byte(bootB+"\n"), 0o600))
			h.rotate()
			k.serial, k.at = 100, k.at+60_000
			h.spawnLogged()
			h.record(shell(k))
			h.record(event())
		}, "reason=start from=0.000 to=1800000060.006 lost=0 ", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, 1)
			k := newTeller()
			want := shell(k)
			h.spawnLogged()
			h.record(want)
			h.written(105)
			eventually(t, "it is kept", h.keeps)
			h.kill()
			all := map[uint64]bool{}
			c.story(h, k, func() []byte {
				e := k.call(callOpen, "3", 10, 1, "sh")
				all[k.serial] = true
				return e
			})
			got := h.end()
			if old := h.path("history.log.1"); hasContent(old)() {
				got = records(t, old) + got
			}
			var gaps []string
			for line := range strings.Lines(got) {
				if _, says, ok := strings.Cut(line, "op=history-gap "); ok {
					gaps = append(gaps, says)
				}
			}
			if n := len(gaps); n == 0 || c.gap == "" && n != 1 || c.gap != "" && (n != 2 || !strings.HasPrefix(gaps[1], c.gap)) {
				t.Errorf("gaps %q, want %q\n%s", gaps, c.gap, h.said())
			}
			lost := map[uint64]bool{}
			for serial := range all {
				if n := strings.Count(got, fmt.Sprintf(":%d): arch", serial)); n == 0 {
					lost[serial] = true
				} else if n > 1 && !c.twice {
					t.Errorf("event %d is there %d times", serial, n)
				}
			}
			if c.gap == "" && len(lost) > 0 {
				t.Errorf("lost %v\n%s", lost, h.said())
			}
			if !c.twice && !strings.HasSuffix(namesOf(got, k.serial), "init sh") {
				t.Errorf("the last history is %s", namesOf(got, k.serial))
			}
			if c.twice {
				out := good(t, nil, "show", "--state-dir", h.path("state"), "--boot", "1", "11").out
				if !strings.Contains(out, " ls ") {
					t.Errorf("show --boot 1: %s", out)
				}
			}
		})
	}
}

// written waits until an event is in the output.
func (h *host) written(serial uint64) {
	h.t.Helper()
	eventually(h.t, "it is written", func() bool {
		b, err := os.ReadFile(h.path("history.log"))
		return err == nil && bytes.Contains(b, fmt.Appendf(nil, ":%d): arch", serial))
	})
}

func (h *host) outputSize() int64 {
	info, err := os.Stat(h.path("history.log"))
	must(h.t, err)
	return info.Size()
}

// toProgram writes to the program only, toLog to the log only.
func (h *host) toProgram(b []byte) {
	_, err := h.out.Write(b)
	must(h.t, err)
}

func (h *host) toLog(b []byte) {
	_, err := h.log.Write(b)
	must(h.t, err)
}

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
			config := write(t, "c.yaml", fmt.Appendf(nil, "outputs: [{everything: true, file: {path: %s/log}}]\nstate: {dir: %s}\nauditd_conf: \"\"\n", dir, state))
			stream := shell(newTeller())
			var log bytes.Buffer
			must(t, runIn(dir+"/proc", []string{"--config", config}, stdio{bytes.NewReader(stream), io.Discard, &log, false}))
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
	const size = 4 << 20
	mount(t, h.path("state"), 0, fmt.Sprintf("size=%d,mode=0700", size))
	k := newTeller()
	h.spawnLogged()
	h.record(shell(k))
	eventually(t, "something is kept", h.keeps)
	if err := os.WriteFile(h.path("state/ballast"), make([]byte, size), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
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
		h.written(k.serial) // however slow the machine is, no more is recorded than it takes
		<-time.After(tick)
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

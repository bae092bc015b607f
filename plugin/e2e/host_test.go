package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// deadline is longer than anything that is waited for takes.
const deadline = 2 * time.Minute

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for end := time.After(deadline); !is(); {
		select {
		case <-look.C:
		case <-end:
			t.Fatalf("after %s still not so: %s", deadline, what)
		}
	}
}

// A host is an auditd of its own, with the program as its only plugin, and a tree of processes that it follows. Its
// files are in a directory of their own; /dev/log and /run, whose names are built into auditd, are its own as well, in a
// mount namespace.
type host struct {
	t      *testing.T
	dir    string
	auditd *exec.Cmd
	exited chan struct{} // closed when auditd has ended
	syslog syslog
	root   *exec.Cmd
	say    io.Writer
	said   *bufio.Scanner
	used   map[int]usage
	moved  int // outputs that were renamed
}

// newHost starts the root of the tree, then auditd, and loads the rules when the program has looked at /proc. It returns
// when the gap of the start is over.
func newHost(t *testing.T, depth int, outputs func(*host) string) *host {
	h := &host{t: t, dir: newDir(t), used: map[int]usage{}}
	more := ""
	if outputs != nil {
		more = outputs(h)
	}
	h.listen()
	_, err := auditctl("-e", "1") // who is made while auditing has never been on cannot be audited
	must(t, err)
	_, err = auditctl("-b", "8192") // as Debian's own rules have it
	must(t, err)
	h.plant()
	h.configure(depth, more)
	t.Cleanup(h.abandon)
	h.start()
	eventually(t, "the program has looked at /proc", func() bool { return h.looks() > 0 })
	h.load()
	eventually(t, "the gap of the start is over", func() bool {
		h.run("form fork")
		return strings.Contains(h.output(), "reason=start ") && strings.Contains(h.output(), " to=")
	})
	return h
}

func newDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "e2e")
	must(t, err)
	must(t, os.Chmod(dir, 0o755)) // the workload's root is, but its files may be looked at
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the files are in %s", dir)
			return
		}
		must(t, os.RemoveAll(dir))
	})
	for _, name := range []string{"etc/plugins.d", "dev", "run", "log", "names"} {
		must(t, os.MkdirAll(filepath.Join(dir, name), 0o750))
	}
	return dir
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) write(name, text string, mode os.FileMode) {
	h.t.Helper()
	must(h.t, os.WriteFile(h.path(name), []byte(text), mode))
}

// Depths of auditd's queue for its plugins, in records.
const (
	// debianDepth is what Debian sets.
	debianDepth = 2000
	// calmDepth is so much that only a program which does not read for a good part of a second makes it full. With
	// debianDepth, the scheduler does: when every processor is busy, even a plugin that does nothing but read does not run
	// for as long as it takes the storm to make that many.
	calmDepth = 20000
)

// configure writes the configuration of auditd, as Debian has it but for the names of files and the depth of its queue,
// and the program's, with further outputs.
func (h *host) configure(depth int, outputs string) {
	h.write("etc/auditd.conf", fmt.Sprintf(`local_events = yes
write_logs = yes
log_file = %s
log_group = root
log_format = ENRICHED
flush = INCREMENTAL_ASYNC
freq = 50
max_log_file = 8
num_logs = 99
max_log_file_action = ROTATE
priority_boost = 4
name_format = NONE
space_left = 2
space_left_action = SYSLOG
admin_space_left = 1
admin_space_left_action = SYSLOG
disk_full_action = SYSLOG
disk_error_action = SYSLOG
q_depth = %d
overflow_action = SYSLOG
max_restarts = 10
plugin_dir = %s
`, h.path("log/audit.log"), depth, h.path("etc/plugins.d")), 0o640)
	h.write("etc/plugins.d/history.conf", fmt.Sprintf(`active = yes
direction = out
path = %s
type = always
args = run --config=%s
format = string
`, built.program, h.path("history.yaml")), 0o640)
	h.write("history.yaml", fmt.Sprintf(`outputs:
  - {name: history, everything: true, file: {path: %s}}
%shistory: {max_bytes: 0}
state: {dir: %s}
auditd_conf: %s
`, h.path("history.log"), outputs, h.path("state"), h.path("etc/auditd.conf")), 0o640)
	text, err := ruleText()
	must(h.t, err)
	h.write("history.rules", text, 0o640)
}

// start starts auditd, which starts the program.
func (h *host) start() {
	h.t.Helper()
	must(h.t, os.WriteFile(h.path("dev/null"), nil, 0o600))
	const private = `mount --make-rprivate / && mount --bind /dev/null "$1/dev/null" && mount --rbind "$1/dev" /dev &&
mount --bind "$1/run" /run && exec auditd -n -c "$1/etc"`
	h.auditd = exec.Command("sh", "-c", private, "sh", h.dir)
	var says bytes.Buffer
	h.auditd.Stdout, h.auditd.Stderr = &says, &says
	h.auditd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Setsid: true}
	must(h.t, h.auditd.Start())
	cmd, exited := h.auditd, make(chan struct{})
	h.exited = exited
	go func() {
		_ = cmd.Wait() // it may be killed
		close(exited)
	}()
	eventually(h.t, "auditd is the kernel's daemon and has started the program", func() bool {
		select {
		case <-exited:
			h.t.Fatalf("auditd has ended: %s\n%s", says.String(), h.syslog.text())
		default:
		}
		is, err := status()
		must(h.t, err)
		return is["pid"] == strconv.Itoa(cmd.Process.Pid) && len(h.plugins()) == 1
	})
}

// stop ends auditd by a signal, and waits for it and the program.
func (h *host) stop(signal syscall.Signal) {
	h.t.Helper()
	h.measure()
	plugins := h.plugins()
	must(h.t, h.auditd.Process.Signal(signal))
	<-h.exited
	for _, pid := range plugins {
		eventually(h.t, "the program has ended", func() bool { return !lives(pid) })
	}
}

// abandon stops what a test that has failed has left.
func (h *host) abandon() {
	if lives(h.auditd.Process.Pid) {
		if err := end(h.auditd.Process.Pid); err != nil {
			h.t.Error(err)
		}
		<-h.exited
	}
	if _, err := auditctl("-D"); err != nil {
		h.t.Error(err)
	}
}

// plugins are the programs that auditd runs.
func (h *host) plugins() []int {
	var list []int
	for _, pid := range children(h.auditd.Process.Pid) {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && exe == built.program {
			list = append(list, pid)
		}
	}
	return list
}

// plugin is the program that auditd runs.
func (h *host) plugin() int {
	h.t.Helper()
	var list []int
	eventually(h.t, "auditd runs the program", func() bool { list = h.plugins(); return len(list) == 1 })
	return list[0]
}

func (h *host) load() {
	h.t.Helper()
	_, err := auditctl("-R", h.path("history.rules"))
	must(h.t, err)
}

func (h *host) unload() {
	h.t.Helper()
	_, err := auditctl("-D")
	must(h.t, err)
}

// looks is how often the program has looked at /proc.
func (h *host) looks() int {
	b, err := os.ReadFile(h.path("state/status.json"))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), `"looks": `)
	n, _ := strconv.Atoi(rest[:max(0, strings.IndexAny(rest, ",\n"))])
	return n
}

// plant starts the root of the tree.
func (h *host) plant() {
	h.t.Helper()
	must(h.t, os.Link(built.workload, h.path("workload")))
	h.write("counter", string(make([]byte, 4096)), 0o600)
	h.root = exec.Command(h.path("workload"), "root", loginUID, h.path("told"), h.path("counter"))
	h.root.Dir, h.root.Stderr = h.dir, os.Stderr
	in, err := h.root.StdinPipe()
	must(h.t, err)
	out, err := h.root.StdoutPipe()
	must(h.t, err)
	must(h.t, h.root.Start())
	h.say, h.said = in, bufio.NewScanner(out)
	h.t.Cleanup(func() {
		_ = in.Close() // it ends with its input
		_ = h.root.Wait()
	})
	if line := h.hear(); line != "ready" {
		h.t.Fatalf("the workload says %q", line)
	}
}

func (h *host) hear() string {
	h.t.Helper()
	if !h.said.Scan() {
		h.t.Fatalf("the workload has ended: %v", h.said.Err())
	}
	return h.said.Text()
}

// begin has the root begin a scenario; the result waits for its end.
func (h *host) begin(scenario string) (finish func()) {
	h.t.Helper()
	_, err := fmt.Fprintln(h.say, scenario)
	must(h.t, err)
	return func() {
		h.t.Helper()
		if line := h.hear(); line != "done" {
			h.t.Fatalf("the workload says %q", line)
		}
	}
}

func (h *host) run(scenario string) { h.begin(scenario)() }

// output is all that the program has written.
func (h *host) output() string {
	var all strings.Builder
	for i := 1; i <= h.moved; i++ {
		b, err := os.ReadFile(h.path(fmt.Sprintf("history.log.%d", i)))
		must(h.t, err)
		all.Write(b)
	}
	b, err := os.ReadFile(h.path("history.log"))
	if err != nil && h.moved == 0 {
		return ""
	}
	must(h.t, err)
	all.Write(b)
	return all.String()
}

// size is how long the output is.
func (h *host) size() int64 {
	info, err := os.Stat(h.path("history.log"))
	if err != nil {
		return 0
	}
	return info.Size()
}

// grown waits until the output has grown by n bytes.
func (h *host) grown(n int64) {
	h.t.Helper()
	begin := h.size()
	eventually(h.t, "the output grows", func() bool { return h.size() >= begin+n })
}

// settle waits until what the tree has done is in the output.
func (h *host) settle() {
	h.t.Helper()
	h.run("form fork")
	told, err := os.ReadFile(h.path("told"))
	must(h.t, err)
	lines := strings.Split(strings.TrimSpace(string(told)), "\n")
	last := strings.Fields(lines[len(lines)-1])[1]
	eventually(h.t, "the last event is in the output", func() bool {
		return strings.Contains(h.output(), " a0="+last+" ") || strings.Contains(h.output(), " a2="+last+" ")
	})
}

// A usage is what a process has used of the processors, in ticks, by name.
type usage struct {
	name  string
	ticks int
}

// measure notes what auditd and the program have used so far.
func (h *host) measure() {
	take := func(name string, pid int) {
		if f := stat(pid); len(f) > 12 {
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			h.used[pid] = usage{name, user + system}
		}
	}
	take("auditd", h.auditd.Process.Pid)
	for _, pid := range h.plugins() {
		take("program", pid)
	}
}

// ticks is what all processes of a name have used.
func (h *host) ticks(name string) int {
	all := 0
	for _, u := range h.used {
		if u.name == name {
			all += u.ticks
		}
	}
	return all
}

// A syslog holds what auditd says.
type syslog struct {
	mutex sync.Mutex
	all   strings.Builder
}

func (s *syslog) text() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.all.String()
}

// listen takes what is sent to the host's /dev/log.
func (h *host) listen() {
	h.t.Helper()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: h.path("dev/log"), Net: "unixgram"})
	must(h.t, err)
	h.t.Cleanup(func() { _ = socket.Close() })
	go func() {
		for buf := make([]byte, 8192); ; {
			n, err := socket.Read(buf)
			if err != nil {
				return // closed
			}
			h.syslog.mutex.Lock()
			h.syslog.all.Write(append(buf[:n:n], '\n'))
			h.syslog.mutex.Unlock()
		}
	}()
}

package confine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What is confined stays so, hence every story is told by a process of its own: this test binary, with the name of the story
// in asStory and its input in asInput.
const (
	asStory = "AUDISP_HISTORY_TEST_STORY"
	asInput = "AUDISP_HISTORY_TEST_INPUT"
)

// A told is what a story has seen.
type told struct {
	Notices []string
	Err     string
	Threads []map[string]string // /proc/self/task/*/status
	Did     map[string]string   // what was tried: "" if it worked
}

var stories = map[string]func(in input) told{}

// An input is what a story is about.
type input struct {
	Config Config
	Paths  []Path
	Try    []string // "read PATH", "write PATH", "link PATH" …
	Lacks  []lack
}

// A lack is a system call that fails; Op is its first argument.
type lack struct {
	Trap, Op uintptr
	Errno    syscall.Errno
}

func (in *input) kernel() kernel {
	k := realKernel
	k.lacks = func(trap, a1 uintptr) syscall.Errno {
		for _, l := range in.Lacks {
			if l.Trap == trap && (l.Op == a1 || l.Op == anyOp) {
				return l.Errno
			}
		}
		return 0
	}
	return k
}

const anyOp = ^uintptr(0)

func TestMain(m *testing.M) {
	name := os.Getenv(asStory)
	if name == "" {
		code := m.Run()
		if builtIn != "" {
			_ = os.RemoveAll(builtIn)
		}
		os.Exit(code)
	}
	var in input
	if err := json.Unmarshal([]byte(os.Getenv(asInput)), &in); err != nil {
		panic(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(stories[name](in)); err != nil {
		panic(err)
	}
}

// builtIn is the directory of the program that static has built.
var builtIn string

// static is this test binary as the program is built, without cgo, which the race detector needs.
var static = sync.OnceValues(func() (string, error) {
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_GETPID, 0, 0, 0); errno == 0 {
		return os.Executable()
	}
	dir, err := os.MkdirTemp("", "confine")
	if err != nil {
		return "", err
	}
	builtIn = dir
	binary := filepath.Join(dir, "confine.test")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, said)
	}
	return binary, os.Chmod(dir, 0o755) // for another user
})

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root has anything to drop")
	}
}

// tell has a process tell a story.
func tell(t *testing.T, story string, in input) told {
	t.Helper()
	binary, err := static()
	must(t, err)
	about, err := json.Marshal(in)
	must(t, err)
	cmd := exec.Command("/bin/sh", "-c", `trap "" $(seq 1 8) $(seq 10 18) $(seq 20 31) $(seq 34 64); exec "$0"`, binary) // as auditd
	cmd.Env = []string{"PATH=/usr/bin:/bin", asStory + "=" + story, asInput + "=" + string(about)}
	cmd.Dir = "/"
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	var got told
	must(t, json.Unmarshal(out, &got))
	return got
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// busy has threads that are in system calls and threads that run, before and while the process is confined.
func busy(n int) (stop func()) {
	quit := make(chan struct{})
	var ready sync.WaitGroup
	for range n {
		ready.Add(2)
		pipe := make([]int, 2)
		if err := unix.Pipe(pipe); err != nil {
			panic(err)
		}
		go func() { // blocked in the kernel
			runtime.LockOSThread()
			ready.Done()
			_, _ = unix.Read(pipe[0], make([]byte, 1))
		}()
		go func() {
			runtime.LockOSThread()
			ready.Done()
			for {
				select {
				case <-quit:
					return
				default:
					runtime.Gosched()
				}
			}
		}()
	}
	ready.Wait()
	return func() { close(quit) }
}

// threads is the status of every thread, those of busy and a new one.
func threads() []map[string]string {
	begun, end := make(chan struct{}), make(chan struct{})
	defer close(end)
	go func() {
		runtime.LockOSThread()
		close(begun)
		<-end
	}()
	<-begun
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		panic(err)
	}
	var all []map[string]string
	for _, task := range tasks {
		text, err := os.ReadFile(filepath.Join("/proc/self/task", task.Name(), "status"))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			panic(err)
		}
		status := map[string]string{}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			status[name] = strings.Join(strings.Fields(value), " ")
		}
		all = append(all, status)
	}
	return all
}

// try does what is written in words, and returns what went wrong with each.
func try(words []string) map[string]string {
	did := map[string]string{}
	for _, w := range words {
		did[w] = ""
		verb, object, _ := strings.Cut(w, " ")
		if err := verbs[verb](object); err != nil {
			did[w] = err.Error()
		}
	}
	return did
}

var verbs = map[string]func(object string) error{
	"read": func(name string) error { _, err := os.ReadFile(name); return err },
	"list": func(name string) error { _, err := os.ReadDir(name); return err },
	"write": func(name string) error {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteString("x")
		return errors.Join(err, f.Close())
	},
	"replace": func(name string) error {
		return errors.Join(os.WriteFile(name+".new", nil, 0o600), os.Rename(name+".new", name))
	},
	"chgrp": func(name string) error {
		return errors.Join(os.Chown(name, -1, 12345), CheckGroup(12345), os.Chown(name, -1, 4))
	},
	"remove":  os.RemoveAll,
	"mkdir":   func(name string) error { return os.MkdirAll(name, 0o700) },
	"symlink": func(name string) error { return os.Symlink("x", name) },
	"link":    func(name string) error { _, err := os.Readlink(name); return err },
	"run":     func(name string) error { return exec.Command(name).Run() },
	"send": func(name string) error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		return unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrUnix{Name: name})
	},
	"netlink": func(string) error { return askKernel() },
	"self": func(string) error {
		_, err := os.Readlink("/proc/self/exe")
		_, err2 := os.ReadFile("/proc/self/loginuid")
		_, err3 := os.ReadDir("/proc/self/fd")
		return errors.Join(err, err2, err3)
	},
	"dumpable": func(string) error {
		if n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); n != 0 || err != nil {
			return fmt.Errorf("dumpable %d, %v", n, err)
		}
		return nil
	},
}

func init() {
	stories["apply"] = func(in input) told {
		defer busy(4)()
		var got told
		var err error
		got.Notices, err = apply(in.Config, in.kernel())
		if err != nil {
			got.Err = err.Error()
			return got
		}
		got.Threads, got.Did = threads(), try(in.Try)
		return got
	}
	stories["enclose"] = func(in input) told {
		defer busy(4)()
		var got told
		notices, err := apply(in.Config, in.kernel())
		if err != nil {
			return told{Err: err.Error()}
		}
		e, more := enclose(in.Paths, in.kernel(), "/proc/self/mountinfo")
		got.Notices = slices.Concat(notices, more)
		got.Threads, got.Did = threads(), try(in.Try)
		if e == nil {
			got.Err = "not enclosed"
		}
		return got
	}
}

// all checks a line of the status of every thread.
func (got *told) all(t *testing.T, name, want string) {
	t.Helper()
	if len(got.Threads) < 9 {
		t.Fatalf("%d threads", len(got.Threads))
	}
	for _, status := range got.Threads {
		if status[name] != want {
			t.Errorf("%s is %q in thread %s, want %q", name, status[name], status["Pid"], want)
		}
	}
}

// works and fails check what was tried.
func (got *told) works(t *testing.T, words ...string) {
	t.Helper()
	for _, w := range words {
		if err, tried := got.Did[w]; err != "" || !tried {
			t.Errorf("%s: %s (tried: %t)", w, err, tried)
		}
	}
}

func (got *told) fails(t *testing.T, words ...string) {
	t.Helper()
	for _, w := range words {
		if err := got.Did[w]; err == "" {
			t.Errorf("%s works", w)
		}
	}
}

// quiet checks that there was nothing to say.
func (got *told) quiet(t *testing.T) {
	t.Helper()
	if len(got.Notices) > 0 || got.Err != "" {
		t.Errorf("says %q, error %q", got.Notices, got.Err)
	}
}

func (got *told) says(t *testing.T, part string) {
	t.Helper()
	if !slices.ContainsFunc(got.Notices, func(n string) bool { return strings.Contains(n, part) && !strings.Contains(n, "\n") }) {
		t.Errorf("does not say %q but %q", part, got.Notices)
	}
}

// sleeper is a process of that user.
func sleeper(t *testing.T, uid uint32) string {
	t.Helper()
	c := exec.Command("sleep", "600")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	must(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	exe := fmt.Sprintf("/proc/%d/exe", c.Process.Pid)
	deadline := time.Now().Add(time.Minute)
	for name := ""; !strings.HasSuffix(name, "sleep"); name, _ = os.Readlink(exe) {
		if time.Now().After(deadline) {
			t.Fatal("sleep does not start")
		}
		runtime.Gosched()
	}
	return fmt.Sprintf("/proc/%d", c.Process.Pid)
}

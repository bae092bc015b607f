package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"audisp-history/conf"
)

// asProgram in the environment makes the test binary the program.
const asProgram = "AUDISP_HISTORY_TEST_AS_PROGRAM=1"

// asProc in the environment names a directory that the program takes for /proc.
const asProc = "AUDISP_HISTORY_TEST_PROC"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asProc); dir != "" {
		if err := runIn(dir, os.Args[2:], stdio{os.Stdin, os.Stdout, os.Stderr, false}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exitError)
		}
		os.Exit(exitOK)
	}
	if name, value, _ := strings.Cut(asProgram, "="); os.Getenv(name) == value {
		main()
	}
	os.Exit(m.Run())
}

// deadline is far longer than anything here takes, even on a busy machine.
const deadline = time.Minute

// A child is the program as a process of its own.
type child struct {
	*exec.Cmd
	out    *os.File // what auditd writes to
	output string
	log    bytes.Buffer
}

// spawn runs the program as auditd does (audisp/audispd.c: start_one_plugin): a socket as standard input, in /, no
// environment but what makes it the program, the signals ignored.
func spawn(t *testing.T) *child {
	t.Helper()
	dir := t.TempDir()
	c := &child{output: filepath.Join(dir, "history.log")}
	config := write(t, "c.yaml", []byte("outputs: [{everything: true, file: {path: "+c.output+"}}]\nstate: {dir: "+filepath.Join(dir, "state")+"}\nauditd_conf: \"\"\n"))
	self, err := os.Executable()
	must(t, err)
	in, out := socketpair(t)
	c.out = out
	c.Cmd = exec.Command(self, "run", "--config", config)
	c.Stdin, c.Stderr, c.Dir, c.Env = in, &c.log, "/", []string{asProgram}
	signal.Ignore(syscall.SIGTERM, syscall.SIGHUP)
	err = c.Start()
	signal.Reset(syscall.SIGTERM, syscall.SIGHUP)
	must(t, err)
	must(t, in.Close())
	t.Cleanup(func() {
		if c.ProcessState == nil {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	})
	return c
}

// ends waits for the end of the program, which must be a clean one.
func (c *child) ends(t *testing.T) {
	t.Helper()
	timer := time.AfterFunc(deadline, func() { _ = c.Process.Kill() })
	defer timer.Stop()
	if err := c.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, c.log.Bytes())
	}
}

func (c *child) signal(t *testing.T, s os.Signal) {
	t.Helper()
	must(t, c.Process.Signal(s))
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for end := time.After(deadline); !is(); {
		select {
		case <-look.C:
		case <-end:
			t.Fatalf("after %s still not so: %s", deadline, what)
		}
	}
}

func hasContent(path string) func() bool {
	return func() bool {
		info, err := os.Stat(path)
		return err == nil && info.Size() > 0
	}
}

// records is what the files hold together. Each must end with a whole record.
func records(t *testing.T, paths ...string) string {
	t.Helper()
	var all strings.Builder
	for _, path := range paths {
		b, err := os.ReadFile(path)
		must(t, err)
		if len(b) > 0 && b[len(b)-1] != '\n' {
			t.Errorf("%s ends with half a record: %q", path, b[max(0, len(b)-100):])
		}
		all.Write(b)
	}
	return all.String()
}

// auditd before 4.2: systemd sends SIGTERM to the whole control group, and auditd writes what it still has.
func TestProcessTerminated(t *testing.T) {
	stream := capture(t, "boot")
	c := spawn(t)
	send(t, c.out, stream[:len(stream)/3])
	eventually(t, "records are written", hasContent(c.output))
	c.signal(t, syscall.SIGTERM)
	send(t, c.out, stream[len(stream)/3:])
	c.ends(t) // though the socket is still open
	sameEvents(t, without(records(t, c.output), "field"), string(stream))
}

// logrotate, and auditd's SIGHUP, in the middle of a record.
func TestProcessHangup(t *testing.T) {
	stream := capture(t, "boot")
	c := spawn(t)
	send(t, c.out, stream[:len(stream)/2])
	eventually(t, "records are written", hasContent(c.output))
	must(t, os.Rename(c.output, c.output+".1"))
	c.signal(t, syscall.SIGHUP)
	eventually(t, "the file is there again", func() bool {
		_, err := os.Stat(c.output)
		return err == nil
	})
	send(t, c.out, stream[len(stream)/2:])
	must(t, c.out.Close())
	c.ends(t)
	if !hasContent(c.output)() {
		t.Error("nothing is in the new file")
	}
	sameEvents(t, without(records(t, c.output+".1", c.output), "field"), string(stream))
}

// slowLog takes longer than silence to write an error: it stands for any output that blocks.
type slowLog struct{}

func (slowLog) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(`"level":"error"`)) {
		<-time.After(2 * silence)
	}
	return len(b), nil
}

// Records that were read while an output blocked are not forgotten because that took longer than silence after SIGTERM.
// Which of two things that are ready is taken is left to chance, so it is tried several times.
func TestRunTerminatedWhileOutputBlocks(t *testing.T) {
	stream := capture(t, "boot")
	stream = stream[:cutAfterLine(stream, 20_000)]
	half := cutAfterLine(stream, len(stream)/2)
	for range 20 {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			in, out := io.Pipe()
			defer out.Close()
			conf := conf.Default()
			path := filepath.Join(dir, "history.log")
			conf.Outputs = toFile(path)
			conf.State.Dir, conf.Auditd = "", ""
			signals, ended := make(chan os.Signal), make(chan error, 1)
			r := newRunner(&conf, io.Discard, zerolog.New(slowLog{}))
			go func() { ended <- r.run(in, "/proc/none", signals) }()
			first, err := out.Write(stream[:half])
			must(t, err)
			synctest.Wait()
			<-time.After(2 * silence) // the first look at /proc, too, is an error
			signals <- syscall.SIGTERM
			must(t, os.Symlink("nowhere", path+".link"))
			must(t, os.Rename(path, path+".1"))
			must(t, os.Rename(path+".link", path)) // which the program may have made anew meanwhile
			signals <- syscall.SIGHUP              // cannot be opened again: an error
			synctest.Wait()
			must(t, os.Remove(path))
			_, err = out.Write(stream[first:])
			must(t, err)
			must(t, <-ended)
			got := records(t, path+".1", path)
			sameEvents(t, without(got, "field"), string(stream))
		})
		if t.Failed() {
			return
		}
	}
}

func TestReplayStandardInputTwice(t *testing.T) {
	r := runArgs(strings.NewReader(""), "replay", "-", captureFile("boot"), "-")
	if r.code != exitUsage || !strings.Contains(r.err, "twice") {
		t.Errorf("exit code %d: %s", r.code, r.err)
	}
}

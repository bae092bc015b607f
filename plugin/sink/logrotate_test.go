package sink

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asProgram makes a process of this test stand for the program: it writes what it is told to its output.
const asProgram = "AUDISP_HISTORY_SINK_TEST_OUTPUT"

func TestMain(m *testing.M) {
	if path := os.Getenv(asProgram); path != "" {
		if err := beProgram(path, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// beProgram writes the lines that come to the output, and says when each is written, and when the output is reopened
// because of a signal.
func beProgram(path string, in io.Reader, out io.Writer) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	f, err := New(Config{Path: path, Mode: 0o640})
	if err != nil {
		return err
	}
	lines := make(chan string)
	go func() {
		for s := bufio.NewScanner(in); s.Scan(); {
			lines <- s.Text()
		}
		close(lines)
	}()
	fmt.Fprintln(out, "ready")
	for {
		select {
		case <-hangups:
			if err := f.Reopen(); err != nil {
				return err
			}
			fmt.Fprintln(out, "reopened")
		case line, more := <-lines:
			if !more {
				return f.Close()
			}
			if err := f.Write([]byte(line + "\n")); err != nil {
				return err
			}
			fmt.Fprintln(out, "written")
		}
	}
}

// The rules for logrotate that are installed make the program begin a new file, and keep what it has written.
func TestLogrotate(t *testing.T) {
	for _, tool := range []string{"logrotate", "pkill"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (Debian: apt-get install logrotate procps); .ci/run installs it", tool)
		}
	}
	dir := t.TempDir()
	s := &rotated{T: t, path: filepath.Join(dir, "log", "history.log")}
	must(t, os.Mkdir(filepath.Dir(s.path), 0o750))
	name := filepath.Join(dir, "audisp-history")
	rules := filepath.Join(dir, "rules")
	b, err := os.ReadFile("../../packaging/logrotate/audisp-history")
	must(t, err)
	text := strings.ReplaceAll(string(b), "/var/log/audisp-history/history.log", s.path)
	text = strings.ReplaceAll(text, "/usr/sbin/audisp-history", name)
	must(t, os.WriteFile(rules, []byte(text), 0o600))
	must(t, os.Chmod(rules, 0o644))

	self, err := os.Executable()
	must(t, err)
	program := exec.Command(self)
	program.Args = []string{name, "run"} // as auditd starts it
	program.Env = append(os.Environ(), asProgram+"="+s.path)
	program.Stderr = os.Stderr
	in, err := program.StdinPipe()
	must(t, err)
	out, err := program.StdoutPipe()
	must(t, err)
	must(t, program.Start())
	t.Cleanup(func() { _ = program.Process.Kill(); _ = program.Wait() })
	answers := bufio.NewScanner(out)
	says := func(want string) {
		t.Helper()
		if !answers.Scan() || answers.Text() != want {
			t.Fatalf("the program says %q, want %q", answers.Text(), want)
		}
	}
	write := func(line string) {
		t.Helper()
		_, err := io.WriteString(in, line+"\n")
		must(t, err)
		says("written")
	}
	rotate := func() {
		t.Helper()
		if out, err := exec.Command("logrotate", "--force", "--state", filepath.Join(dir, "state"), rules).CombinedOutput(); err != nil {
			t.Fatalf("logrotate: %v\n%s", err, out)
		}
		says("reopened")
	}

	says("ready")
	write("one")
	rotate()
	write("two")
	s.files("history.log=two,", "history.log.1=one,")
	rotate()
	write("three")
	write("four")
	rotate()
	s.files("history.log=", "history.log.1=three,four,", "history.log.2.gz=two,", "history.log.3.gz=one,")
	info, err := os.Stat(s.path)
	must(t, err)
	if info.Mode() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}
	must(t, in.Close())
	must(t, program.Wait())
}

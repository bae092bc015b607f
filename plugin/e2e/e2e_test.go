// Package e2e runs the program under a real auditd on the real kernel, with processes that tell themselves what they
// do. It needs root, auditd and a C compiler, and a machine that nobody else audits: "make e2e".
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
)

// wanted in the environment says that the machine's audit state may be used.
const wanted = "AUDISP_HISTORY_E2E"

// built is what is built once for all.
var built struct{ program, workload string }

// table is what the tests have found out, a line each.
var table []string

func TestMain(m *testing.M) {
	if os.Getenv(asGuard) != "" {
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		os.Exit(guard())
	}
	if os.Getenv(wanted) == "" {
		os.Exit(m.Run())
	}
	code, err := onMachine(m)
	if err != nil {
		fmt.Fprintf(os.Stderr, "end-to-end tests: %v\n", err)
		os.Exit(1)
	}
	os.Exit(code)
}

// onMachine runs the tests on a machine that is as before afterwards.
func onMachine(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "e2e-built")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := build(dir); err != nil {
		return 1, err
	}
	machine, err := take()
	if err != nil {
		return 1, err
	}
	code = m.Run()
	err = machine.release()
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "scenario\tevents\tright\tof targets\tincomplete\twrong\tlost\tlost by serials\tgaps told\tevents/s\tprogram/auditd CPU")
	for _, line := range table {
		fmt.Fprintln(w, line)
	}
	w.Flush()
	return code, err
}

func build(dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	built.program, built.workload = filepath.Join(dir, "audisp-history"), filepath.Join(dir, "workload")
	source, err := filepath.Glob("testdata/workload/*.c")
	if err != nil {
		return err
	}
	compile := exec.Command("gcc", append([]string{"-O2", "-Wall", "-Wextra", "-Werror", "-static", "-pthread", "-o", built.workload}, source...)...)
	program := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", built.program, "audisp-history/plugin")
	program.Env = append(os.Environ(), "CGO_ENABLED=0")
	for _, c := range []*exec.Cmd{compile, program} {
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, out)
		}
	}
	return os.Chmod(built.program, 0o750) // auditd runs nothing else
}

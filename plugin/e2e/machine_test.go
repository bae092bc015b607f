package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"audisp-history/plugin/rules"
)

// loginUID marks the processes of the workload: the rules record nothing of anybody else, since the kernel is that of
// the machine.
const loginUID = "54321"

// asGuard in the environment makes the test binary the guard.
const asGuard = "AUDISP_HISTORY_E2E_GUARD"

// A machine is the kernel's audit state as it was found. A guard, a process of its own, puts it back when this process
// ends, however it ends: a kernel that is left with rules for a workload that is gone would be a poor host.
type machine struct {
	was    map[string]string
	guard  *exec.Cmd
	alive  io.Closer // the guard acts when it is closed
	report strings.Builder
}

// kept are the settings that the test changes and that must be as before. Counters are not settings.
var kept = map[string]string{
	"enabled": "-e", "failure": "-f", "rate_limit": "-r", "backlog_limit": "-b", "backlog_wait_time": "--backlog_wait_time",
}

func auditctl(args ...string) (string, error) {
	out, err := exec.Command("auditctl", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("auditctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// status is what auditctl -s says.
func status() (map[string]string, error) {
	out, err := auditctl("-s")
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for line := range strings.Lines(out) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			all[name] = value
		}
	}
	return all, nil
}

// take refuses a machine on which somebody else audits, and begins to guard it.
func take() (*machine, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("the end-to-end tests need root: they start auditd and load audit rules")
	}
	was, err := status()
	if err != nil {
		return nil, err
	}
	if was["pid"] != "0" {
		return nil, fmt.Errorf("process %s is this machine's audit daemon; stop it before the end-to-end tests", was["pid"])
	}
	if was["enabled"] == "2" {
		return nil, errors.New("the audit configuration is locked (auditctl -e 2) until the next boot; the end-to-end tests must change it")
	}
	loaded, err := auditctl("-l")
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(loaded) != "No rules" {
		return nil, fmt.Errorf("this machine has audit rules, which the end-to-end tests would delete; delete them first (auditctl -D):\n%s", loaded)
	}
	m := &machine{was: was}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	m.guard = exec.Command(self)
	m.guard.Env = append(os.Environ(), asGuard+"=1")
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		m.guard.Env = append(m.guard.Env, "WAS_"+name+"="+was[name])
	}
	m.guard.Stdout, m.guard.Stderr = &m.report, &m.report
	m.guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what interrupts this must not interrupt the guard
	if m.alive, err = m.guard.StdinPipe(); err != nil {
		return nil, err
	}
	return m, m.guard.Start()
}

// release has the guard put everything back, and checks that it did.
func (m *machine) release() error {
	_ = m.alive.Close() // that is all that it waits for
	if err := m.guard.Wait(); err != nil {
		return fmt.Errorf("the audit state could not be put back: %w\n%s", err, m.report.String())
	}
	is, err := status()
	if err != nil {
		return err
	}
	for name := range kept {
		if is[name] != m.was[name] {
			return fmt.Errorf("the kernel's audit status has %s %s, and had %s", name, is[name], m.was[name])
		}
	}
	loaded, err := auditctl("-l")
	if err == nil && (is["pid"] != "0" || strings.TrimSpace(loaded) != "No rules") {
		err = fmt.Errorf("the audit daemon is %s, the rules are %s", is["pid"], loaded)
	}
	return err
}

// guard waits for its standard input to end, then stops the auditd that there is and puts the settings back. It returns
// an exit code.
func guard() int {
	for in := bufio.NewReader(os.Stdin); ; {
		if _, err := in.ReadByte(); err != nil {
			break
		}
	}
	var failed []error
	if is, err := status(); err != nil {
		failed = append(failed, err)
	} else if pid, _ := strconv.Atoi(is["pid"]); pid > 1 {
		failed = append(failed, end(pid))
	}
	_, err := auditctl("-D")
	failed = append(failed, err)
	for name, flag := range kept {
		if value := os.Getenv("WAS_" + name); value != "" {
			_, err := auditctl(flag, value)
			failed = append(failed, err)
		}
	}
	if err := errors.Join(failed...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// end stops a process, and lets its children go on that are held, so that they can end as well.
func end(pid int) error {
	for _, child := range children(pid) {
		_ = syscall.Kill(child, syscall.SIGCONT) // it may have ended
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(pid, signal); err != nil {
			return nil // it is gone
		}
		for range 200 {
			<-time.After(50 * time.Millisecond)
			if !lives(pid) {
				return nil
			}
		}
	}
	return fmt.Errorf("auditd, process %d, does not end", pid)
}

// lives reports whether a process is there and no zombie.
func lives(pid int) bool {
	f := stat(pid)
	return len(f) > 0 && f[0] != "Z" && f[0] != "X"
}

// stat is what /proc says of a process from its state on, nil if there is none.
func stat(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
}

// children are the living children of a process.
func children(pid int) []int {
	names, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	var list []int
	for _, name := range names {
		child, err := strconv.Atoi(filepath.Base(name))
		if f := stat(child); err == nil && len(f) > 1 && f[0] != "Z" && f[1] == strconv.Itoa(pid) {
			list = append(list, child)
		}
	}
	return list
}

// ruleText is the rules that histories need, and some that show what is done with them, for the workload only.
func ruleText() (string, error) {
	host, err := rules.ForGo(runtime.GOARCH)
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, f := range rules.Files(host) {
		for line := range strings.Lines(f.Text) {
			if !strings.HasPrefix(line, "-a ") {
				continue
			}
			rule, key, _ := strings.Cut(strings.TrimSpace(line), " -F key=")
			if rule += " -F auid=" + loginUID; key != "" {
				rule += " -F key=" + key
			}
			fmt.Fprintln(&all, rule)
		}
	}
	for _, a := range host.ABIs {
		fmt.Fprintf(&all, "-a always,exit -F arch=%s -S kill,tkill,tgkill -F auid=%s -F key=signal\n", a.Name, loginUID)
		fmt.Fprintf(&all, "-a always,exit -F arch=%s -S getpgid -F auid=%s -F key=probe\n", a.Name, loginUID)
		fmt.Fprintf(&all, "-a always,exit -F arch=%s -S execve,execveat -F success=0 -F auid=%s -F key=failed\n", a.Name, loginUID)
	}
	return all.String(), nil
}

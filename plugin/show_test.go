package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// keptState runs the program over a stream with a state directory of a boot.
func keptState(t *testing.T, dir, boot string, stream []byte) (state string) {
	t.Helper()
	proc := filepath.Join(t.TempDir(), "proc")
	must(t, os.MkdirAll(proc+"/sys/kernel/random", 0o755))
	must(t, os.WriteFile(proc+"/sys/kernel/random/boot_id", []byte(boot+"\n"), 0o600))
	state = filepath.Join(dir, "state")
	config := write(t, "c.yaml", fmt.Appendf(nil, "outputs: [{everything: true, file: {path: %s/log}}]\nstate: {dir: %s}\nauditd_conf: \"\"\n", dir, state))
	must(t, runIn(proc, []string{"--config", config}, stdio{bytes.NewReader(stream), io.Discard, io.Discard, false}))
	return state
}

const bootA, bootB = "aaaaaaaa-89ab-cdef-0123-456789abcdef", "bbbbbbbb-89ab-cdef-0123-456789abcdef"

func TestShow(t *testing.T) {
	k := newTeller()
	stream := shell(k)
	stream = append(stream, k.call(callExit, "", 11, 10, "ls")...)
	dir := t.TempDir()
	state := keptState(t, dir, bootA, stream)
	old := &teller{at: 1_800_000_000_000, serial: 10}
	keptState(t, dir, bootB, append(old.call(callFork, "77", 1, 0, "init"), old.call(callExec, "0", 77, 1, "cron")...))
	const init = "  2027-01-15T08:00:00.001Z        1  swapper/0       seen     \n" +
		"  2027-01-15T08:00:00.001Z        1  init            seen     /bin/init\n"
	for _, c := range []struct {
		name     string
		args     []string
		code     int
		out, err string
	}{
		{"live", []string{"--boot", "1", "10"}, exitOK, "process 10, parent 1, live\n" + init +
			"  2027-01-15T08:00:00.002Z       10  sh              recorded /bin/sh\n", ""},
		{"ended", []string{"--boot", "1", "11"}, exitOK, "process 11, parent 10, ended 2027-01-15T08:00:00.006Z\n" + init +
			"  2027-01-15T08:00:00.002Z       10  sh              recorded /bin/sh\n" +
			"  2027-01-15T08:00:00.004Z       11  ls              recorded /bin/ls\n", ""},
		{"the present boot", []string{"77"}, exitOK, "process 77, parent 1, live\n" + init +
			"  2027-01-15T08:00:00.002Z       77  cron            recorded /bin/cron\n", ""},
		{"unknown", []string{"10", "11"}, exitError, "", "audisp-history: show: nothing is known of process 10, 11\n"},
		{"a boot that is not kept", []string{"--boot", "9", "10"}, exitError, "",
			"audisp-history: show: state directory " + state + ": boot 9: nothing is kept of that boot: there are 2\n"},
		{"a boot to come", []string{"--boot", "-1", "10"}, exitUsage, "",
			"audisp-history: show: --boot -1: give how many boots ago, 0 or more\n"},
		{"another node", []string{"--node", "web1", "77"}, exitError, "", "audisp-history: show: nothing is known of process 77\n"},
		{"no pid", nil, exitUsage, "", "audisp-history: show: no PID given\n"},
		{"no number", []string{"init"}, exitUsage, "", "audisp-history: show: \"init\" is not a process id\n"},
		{"zero", []string{"0"}, exitUsage, "", "audisp-history: show: \"0\" is not a process id\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runArgs(nil, append([]string{"show", "--state-dir", state}, c.args...)...)
			if r.code != c.code || r.out != c.out || r.err != c.err {
				t.Errorf("exit code %d\n%s%s\nwant %d\n%s%s", r.code, r.out, r.err, c.code, c.out, c.err)
			}
		})
	}
}

func TestShowNothingKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	r := runArgs(nil, "show", "--state-dir", dir, "1")
	if r.code != exitError || !strings.Contains(r.err, "state directory") || !strings.Contains(r.err, dir) || !strings.Contains(r.err, notHere) {
		t.Errorf("exit code %d: %s", r.code, r.err)
	}
	r = runArgs(nil, "show", "--config", write(t, "c.yaml", []byte("state: {dir: \"\"}\n")), "1")
	if r.code != exitUsage || !strings.Contains(r.err, "nothing is kept; give --state-dir") {
		t.Errorf("exit code %d: %s", r.code, r.err)
	}
}

// What a process calls itself does nothing to the terminal, and makes no line of its own.
func TestShowHostileNames(t *testing.T) {
	const name = "\x1b[2J\nprocess\xff\\"
	k := newTeller()
	exec := k.call(callExec, "0", 10, 1, "x")
	exec = bytes.Replace(exec, []byte(`comm="x" exe="/bin/x"`), fmt.Appendf(nil, "comm=%X exe=%X", name, "/"+name), 1)
	state := keptState(t, t.TempDir(), bootA, exec)
	out := good(t, nil, "show", "--state-dir", state, "10").out
	const want = `\033[2J\012process\377\134`
	if !strings.Contains(out, want) || !strings.Contains(out, "/"+want) {
		t.Errorf("shows %q", out)
	}
	if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }); i >= 0 {
		t.Errorf("byte %d is not printable: %q", i, out)
	}
}

// While the program writes, show answers, and what it says never gets less.
func TestShowWhileWritten(t *testing.T) {
	h := newHost(t, 1)
	k := newTeller()
	h.spawnLogged()
	h.record(shell(k))
	eventually(t, "something is kept", h.keeps)
	longest := 0
	for i := range 100 {
		h.record(k.call(callExec, "0", 11, 10, fmt.Sprint("prog", i)))
		r := runArgs(nil, "show", "--state-dir", h.path("state"), "1")
		if r.code != exitOK {
			t.Fatalf("exit code %d: %s", r.code, r.err)
		}
		n := strings.Count(runArgs(nil, "show", "--state-dir", h.path("state"), "11").out, "\n")
		if n < longest {
			t.Fatalf("%d lines, after %d", n, longest)
		}
		longest = n
	}
	eventually(t, "all is shown", func() bool {
		return strings.Contains(runArgs(nil, "show", "--state-dir", h.path("state"), "11").out, "prog99")
	})
	h.end()
}

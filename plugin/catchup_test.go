package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"audisp-history/plugin/auditlog"
)

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
		{"an earlier boot of half a minute ago in a log before", func(h *host, k *teller, event func() []byte) {
			must(h.t, os.WriteFile(h.path("audit.log.1"), h.earlierBoot(k), 0o600))
			h.afterBoot(k, event)
		}, "reason=events-lost from=1800000000.007 to=1800000000.008 lost=96 ", false},
		{"an earlier boot of half a minute ago in the same log", func(h *host, k *teller, event func() []byte) {
			log, err := os.ReadFile(h.path("audit.log"))
			must(h.t, err)
			must(h.t, os.WriteFile(h.path("audit.log"), slices.Concat(h.earlierBoot(k), log), 0o600))
			_, err = h.log.Seek(0, io.SeekEnd)
			must(h.t, err)
			h.afterBoot(k, event)
		}, "reason=events-lost from=1800000000.007 to=1800000000.008 lost=96 ", false},
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
		{"a hole that the log has after the clock was set back", func(h *host, _ *teller, event func() []byte) {
			must(h.t, os.WriteFile(h.path("proc/stat"), []byte("cpu  1 2 3\nbtime 1800003600\n"), 0o600))
			h.spawnLogged()
			h.toProgram(event())
			h.written(106)
			must(h.t, os.WriteFile(h.path("proc/stat"), []byte("cpu  1 2 3\nbtime 1799999990\n"), 0o600))
			h.toLog(event())
			h.record(event())
			h.written(108)
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
			if info.Size() > 0 { // else nothing is kept yet
				must(h.t, os.Truncate(journals[len(journals)-1], info.Size()-1))
			}
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

// earlierBoot is what the log has of a boot half a minute ago, with higher serials than the present one, which has just
// begun.
func (h *host) earlierBoot(k *teller) []byte {
	must(h.t, os.WriteFile(h.path("proc/stat"), []byte("cpu  1 2 3\nbtime 1799999990\n"), 0o600))
	earlier := &teller{serial: 200, at: k.at - 30_000}
	return slices.Concat(shell(earlier), earlier.call(callOpen, "3", 10, 1, "sh"))
}

func (h *host) afterBoot(k *teller, event func() []byte) {
	h.record(event())
	h.spawnLogged()
	h.record(event())
	k.serial = 203 // what is lost has serials of the earlier boot
	h.record(event())
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

// TestNodeOfAuditd: what auditd calls this host is this host, though the configuration does not say so.
func TestNodeOfAuditd(t *testing.T) {
	h := newHost(t, 1)
	must(t, os.WriteFile(h.path("auditd.conf"), []byte("log_file = "+h.path("audit.log")+"\nname_format = user\nname = db7\n"), 0o600))
	h.spawnLogged()
	named := bytes.ReplaceAll(shell(newTeller()), []byte("type="), []byte("node=db7 type="))
	h.record(named)
	sameEvents(t, without(h.end(), "field"), string(named))
	if said := good(t, nil, "status", "--state-dir", h.path("state")).out; !strings.Contains(said, "next serial 106") {
		t.Errorf("status does not know of this host's events: %s", said)
	}
}

// TestCleanRestartsAfterAKill: what was written when the program was killed, and that auditd's log does not have, stays, and
// so does the last event at each later end.
func TestCleanRestartsAfterAKill(t *testing.T) {
	h, k := newHost(t, 1), newTeller()
	want := string(shell(k))
	event := func() {
		e := k.call(callOpen, "3", 10, 1, "sh")
		want += string(e)
		h.record(e)
	}
	h.spawnLogged()
	h.record([]byte(want))
	h.written(105)
	eventually(t, "it is kept", h.keeps)
	for range 20 {
		event()
	}
	h.written(k.serial)
	h.kill()
	h.forget(t)
	must(t, h.log.Truncate(0))
	_, err := h.log.Seek(0, io.SeekStart)
	must(t, err)
	for range 3 {
		h.spawnLogged()
		event()
		h.written(k.serial)
		sameEvents(t, without(withoutGaps(h.end()), "field"), want)
	}
}

// TestAnotherNodeBootsAfterARestart: its serials begin again, below those that were handled before; they are other events.
func TestAnotherNodeBootsAfterARestart(t *testing.T) {
	for name, after := range map[string]int64{"at once": 5_000, "later": 500_000} {
		t.Run(name, func(t *testing.T) {
			h, k, other := newHost(t, 1), newTeller(), newTeller()
			there := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("type="), []byte("node=there type=")) }
			want := string(shell(k)) + string(there(shell(other)))
			h.spawnLogged()
			h.record([]byte(want))
			h.written(105)
			eventually(t, "it is kept", h.keeps)
			h.end()
			h.spawnLogged()
			other.serial, other.at = 1, other.at+after
			for range 20 {
				e := there(other.call(callOpen, "3", 10, 1, "sh"))
				want += string(e)
				h.record(e)
			}
			got := h.end()
			sameEvents(t, without(withoutGaps(got), "field"), want)
		})
	}
}

// TestTornInALaterHeader: what a kill left of a record, without saying of which event, is of the one before it.
func TestTornInALaterHeader(t *testing.T) {
	for _, keep := range []int{3, len("type=PROCTITLE msg=audit(18")} {
		h, k := newHost(t, 1), newTeller()
		want := string(shell(k))
		h.spawnLogged()
		h.record([]byte(want))
		h.written(105)
		eventually(t, "it is kept", h.keeps)
		for range 5 {
			e := k.call(callOpen, "3", 10, 1, "sh")
			want += string(e)
			h.record(e)
		}
		h.written(k.serial)
		h.kill()
		h.forget(t)
		b, err := os.ReadFile(h.path("history.log"))
		must(t, err)
		torn := bytes.LastIndexByte(b[:len(b)-1], '\n') + 1 // where the last record begins
		must(t, os.Truncate(h.path("history.log"), int64(torn+keep)))
		h.spawnLogged()
		e := k.call(callOpen, "3", 10, 1, "sh")
		want += string(e)
		h.record(e)
		sameEvents(t, without(withoutGaps(h.end()), "field"), want)
	}
}

// forget takes away what was kept last: what is written is not known as handled.
func (h *host) forget(t *testing.T) {
	t.Helper()
	journals, err := filepath.Glob(h.path("state/boot-*/journal-*"))
	must(t, err)
	last := journals[len(journals)-1]
	info, err := os.Stat(last)
	must(t, err)
	must(t, os.Truncate(last, max(info.Size()-1, 0)))
}

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"gopkg.in/yaml.v3"

	"audisp-history/conf"
	"audisp-history/plugin/syslog"
)

// startConf runs a plugin with a configuration and standard output.
func startConf(c conf.Config, dir string, in io.Reader, out io.Writer, again func() (conf.Config, error)) *plugin {
	p := &plugin{log: &journal{}, signals: make(chan os.Signal), ended: make(chan error, 1)}
	c.State.Dir, c.Auditd = filepath.Join(dir, "state"), ""
	r := newRunner(&c, out, zerolog.New(p.log))
	r.again = again
	go func() { p.ended <- r.run(in, filepath.Join(dir, "proc"), p.signals) }()
	return p
}

// parse is a configuration.
func parse(t *testing.T, format string, args ...any) conf.Config {
	t.Helper()
	c, err := conf.Parse("c.yaml", fmt.Appendf(nil, format, args...))
	must(t, err)
	return c
}

// Each of several outputs gets what its filter keeps, in its own style.
func TestOutputsAtOnce(t *testing.T) {
	stream := capture(t, "boot")
	dir := t.TempDir()
	var stdout bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		c := parse(t, `outputs:
- {name: all, everything: true, file: {path: %[1]s/all}}
- {name: few, file: {path: %[1]s/few}}
- {name: kernel, style: record, everything: true, file: {path: %[1]s/kernel}}
- {name: signals, stdout: {}, filter: [{keep: {key: signal}}, {drop: {type: "*"}}]}`, dir)
		p := startConf(c, dir, in, &stdout, nil)
		send(t, out, stream)
		must(t, out.Close())
		must(t, <-p.ended)
	})
	want := good(t, bytes.NewReader(stream), "replay", "-").out
	sameEvents(t, records(t, dir+"/all"), want)
	sameEvents(t, records(t, dir+"/few"), withoutHistoryEvents(want))
	sameEvents(t, records(t, dir+"/kernel"), good(t, bytes.NewReader(stream), "replay", "--style", "record", "-").out)
	signals := 0
	for line := range strings.Lines(want) {
		if strings.HasPrefix(line, "type=SYSCALL") && strings.Contains(line, `key="signal"`) {
			signals++
		}
	}
	if got := strings.Count(stdout.String(), "type=SYSCALL"); got != signals || signals == 0 {
		t.Errorf("%d signals, want %d", got, signals)
	}
}

// stuck is a writer that takes nothing until it is let go.
type stuck struct {
	bytes.Buffer
	free chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) {
	<-s.free
	return s.Buffer.Write(b)
}

// An output that blocks for a minute holds up neither the reading nor another output, and gets everything in the end.
func TestOutputBlocks(t *testing.T) {
	stream := capture(t, "boot")
	dir := t.TempDir()
	out := &stuck{free: make(chan struct{})}
	synctest.Test(t, func(t *testing.T) {
		out.free = make(chan struct{})
		in, auditd := io.Pipe()
		c := parse(t, `outputs:
- {name: all, everything: true, file: {path: %[1]s/all}}
- {name: stuck, everything: true, stdout: {}}
spool: {memory_bytes: 1048576}`, dir)
		p := startConf(c, dir, in, out, nil)
		<-time.After(lookWait) // there is no /proc to look at
		began, longest := time.Now(), time.Duration(0)
		const parts = 600
		for i := range parts {
			before := time.Now()
			_, err := auditd.Write(stream[i*len(stream)/parts : (i+1)*len(stream)/parts])
			must(t, err)
			longest = max(longest, time.Since(before))
			<-time.After(time.Minute / parts)
		}
		synctest.Wait()
		if longest > 50*time.Millisecond || time.Since(began) > 61*time.Second {
			t.Errorf("records waited for %s, all for %s", longest, time.Since(began))
		}
		<-time.After(2 * time.Second) // an event that is missing at the end is given up
		if got := records(t, dir+"/all"); strings.Count(got, "\n") < bytes.Count(stream, []byte("\n"))-10 {
			t.Errorf("the other output has %d lines of %d", strings.Count(got, "\n"), bytes.Count(stream, []byte("\n")))
		}
		close(out.free)
		must(t, auditd.Close())
		must(t, <-p.ended)
	})
	all := records(t, dir+"/all")
	sameEvents(t, without(all, "field"), string(stream))
	if got := out.String(); got != all {
		t.Error(differenceAt(got, all))
	}
}

// SIGHUP takes another configuration: outputs come, change and go, and the one that stays loses nothing.
func TestReload(t *testing.T) {
	stream := capture(t, "boot")
	dir := t.TempDir()
	part := func(i int) []byte { return stream[i*len(stream)/4 : (i+1)*len(stream)/4] }
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		next, broken := parse(t, `outputs:
- {name: stays, everything: true, file: {path: %[1]s/stays}}
- {name: changes, everything: true, file: {path: %[1]s/changed}}
- {name: comes, everything: true, file: {path: %[1]s/comes}}
limits: {depth: 100}`, dir), true
		p := startConf(parse(t, `outputs:
- {name: stays, everything: true, file: {path: %[1]s/stays}}
- {name: changes, everything: true, file: {path: %[1]s/changes}}
- {name: goes, everything: true, file: {path: %[1]s/goes}}`, dir), dir, in, io.Discard, func() (conf.Config, error) {
			if broken {
				return conf.Parse("c.yaml", []byte("outputs: 7\n"))
			}
			next.State.Dir, next.Auditd = filepath.Join(dir, "state"), ""
			return next, nil
		})
		send(t, out, part(0))
		synctest.Wait()
		p.signals <- syscall.SIGHUP
		synctest.Wait()
		if says := p.log.String(); !strings.Contains(says, "c.yaml:1: outputs: here goes a list") || !strings.Contains(says, "the one before stays") {
			t.Errorf("log: %s", says)
		}
		send(t, out, part(1))
		synctest.Wait()
		broken = false
		p.signals <- syscall.SIGHUP
		synctest.Wait()
		send(t, out, part(2))
		synctest.Wait()
		p.signals <- syscall.SIGHUP // nothing has changed
		send(t, out, part(3))
		must(t, out.Close())
		must(t, <-p.ended)
		if says := `"keys":"limits","message":"these settings take effect when the program starts again"`; !strings.Contains(p.log.String(), says) {
			t.Errorf("log: %s", p.log)
		}
	})
	want := good(t, bytes.NewReader(stream), "replay", "-").out
	stays := records(t, dir+"/stays")
	sameEvents(t, stays, want)
	for _, c := range []struct{ first, second string }{{"changes", "changed"}, {"goes", "comes"}} {
		if got := records(t, dir+"/"+c.first) + records(t, dir+"/"+c.second); got != stays {
			t.Errorf("%s and %s: %s", c.first, c.second, differenceAt(got, stays))
		}
	}
}

// SIGHUP takes nothing from an output that is broken: what waits goes where the new configuration says.
func TestReloadKeepsWhatWaits(t *testing.T) {
	stream := capture(t, "boot")
	half := bytes.LastIndexByte(stream[:len(stream)/2], '\n') + 1
	for _, c := range []struct{ name, before, after string }{
		{"another filter", "everything: true, stdout: {}", "everything: true, filter: [{drop: {key: nosuch}}], stdout: {}"},
		{"another receiver", `everything: true, syslog: {to: "tcp://127.0.0.1:1"}`, `everything: true, syslog: {to: "tcp://%[2]s", max_bytes: 65536}`},
		{"another format", `everything: true, syslog: {to: "tcp://127.0.0.1:1"}`, `everything: true, format: json, syslog: {to: "tcp://%[2]s", max_bytes: 65536}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			net := newReceiver(t)
			dir := t.TempDir()
			out := &stuck{free: make(chan struct{})}
			in, auditd := io.Pipe()
			other := "{name: all, everything: true, file: {path: %[1]s/all}}"
			p := startConf(parse(t, "outputs: [{name: one, "+c.before+"}, "+other+"]", dir), dir, in, out, func() (conf.Config, error) {
				next := parse(t, "outputs: [{name: one, "+c.after+"}, "+other+"]", dir, net.address)
				next.State.Dir, next.Auditd = filepath.Join(dir, "state"), ""
				return next, nil
			})
			send(t, auditd, stream[:half])
			eventually(t, "it is handled", func() bool {
				return hasContent(dir+"/all")() && strings.Count(records(t, dir+"/all"), "\n") > bytes.Count(stream[:half], []byte("\n"))*9/10
			})
			p.signals <- syscall.SIGHUP
			eventually(t, "it has changed", func() bool { return strings.Contains(p.log.String(), "has changed") })
			close(out.free)
			send(t, auditd, stream[half:])
			must(t, auditd.Close())
			must(t, <-p.ended)
			all := records(t, dir+"/all")
			got := out.String()
			if got == "" {
				eventually(t, "it has arrived", func() bool { got = strings.Join(net.messages(), "\n"); return len(net.messages()) > 100 })
			}
			if c.name == "another format" { // what had the one before is lost, and that is told
				if !strings.Contains(got, `"reason":"output-lost"`) || !strings.Contains(p.log.String(), "events were on their way") {
					t.Errorf("no gap in %.300s", got)
				}
				return
			}
			if n, want := strings.Count(got, "type=SYSCALL"), strings.Count(all, "type=SYSCALL"); n != want {
				t.Errorf("%d events, want %d", n, want)
			}
		})
	}
}

// TestSyslogLimitsAgree: conf takes and refuses what the sender of messages does, so that it is said with its line.
func TestSyslogLimitsAgree(t *testing.T) {
	for _, c := range []string{
		"max_bytes: 479", "max_bytes: 480", "max_bytes: 1048576", "max_bytes: 1048577", "to: 'udp://h:1', max_bytes: 65507",
		"to: 'udp://h:1', max_bytes: 65508", "tag: 'a]b'", "tag: 'a[b'", "tag: 'a:b'", "tag: a.b", "tag: " + strings.Repeat("t", 48),
		"tag: " + strings.Repeat("t", 49), "to: 'unix:/" + strings.Repeat("s", 106) + "'", "to: 'unix:/" + strings.Repeat("s", 107) + "'",
		"to: 'unix:///dev/log'", "to: 'unix://dev/log'", "to: 'tcp://[::1]:601'", "to: 'tcp://me@h:601'", "to: 'tcp://h%zz:601'",
	} {
		s := conf.Syslog{To: "unix:/dev/log", Facility: "authpriv", Severity: "info", Tag: "t"}
		must(t, yaml.Unmarshal([]byte("{"+c+"}"), &s))
		_, refused := conf.Parse("c.yaml", []byte("outputs: [{syslog: {"+c+"}}]"))
		if _, err := syslog.New(syslogConfig(&s)); (err == nil) != (refused == nil) {
			t.Errorf("%s: conf says %v, syslog %v", c, refused, err)
		}
	}
}

// TestSyslogRefused: a tag that syslog does not take, should conf let it through, is an output that takes nothing, and no crash.
func TestSyslogRefused(t *testing.T) {
	stream, dir := capture(t, "boot"), t.TempDir()
	c := parse(t, `outputs: [{name: net, syslog: {to: "tcp://127.0.0.1:1"}}, {everything: true, file: {path: %s/history.log}}]`, dir)
	c.Outputs[0].Syslog.Tag = "a]b"
	p := startConf(c, dir, bytes.NewReader(stream), io.Discard, nil)
	must(t, <-p.ended)
	sameEvents(t, without(records(t, dir+"/history.log"), "field"), string(stream))
	if !strings.Contains(p.log.String(), `"output":"net"`) {
		t.Errorf("nothing is said of it: %s", p.log.String())
	}
}

// TestUnkeptIsBounded: behind a file that cannot be written, and a filter that keeps little, what is not kept does not
// grow for ever. What is kept then says that the output is behind.
func TestUnkeptIsBounded(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/file", nil, 0o600))
	run := func(outputs string, in io.Reader, out io.Writer) chan error {
		c := parse(t, "%s", outputs)
		c.State.Dir, c.Auditd = filepath.Join(dir, "state"), ""
		r := newRunner(&c, out, zerolog.New(&journal{}))
		r.unkeptMost = 4 << 10
		ended := make(chan error, 1)
		go func() { ended <- r.run(in, filepath.Join(dir, "proc"), make(chan os.Signal)) }()
		return ended
	}
	in, auditd := io.Pipe()
	ended := run("outputs: [{name: one, filter: [{keep: {syscall: kill}}, {drop: {type: '*'}}], file: {path: "+dir+"/file/log}}]", in, io.Discard)
	send(t, auditd, capture(t, "boot"))
	eventually(t, "it is kept", func() bool {
		files, err := filepath.Glob(dir + "/state/boot-*/journal-*")
		must(t, err)
		return slices.ContainsFunc(files, func(f string) bool { return hasContent(f)() })
	})
	must(t, auditd.Close())
	must(t, <-ended)
	var out bytes.Buffer
	must(t, <-run("outputs: [{name: one, stdout: {}}]", bytes.NewReader(nil), &out))
	if !strings.Contains(out.String(), "reason=output-lost") {
		t.Errorf("the output does not say that it was behind: %s", out.String())
	}
}

package syslog

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A daemon is a real rsyslogd with files of its own.
type daemon struct {
	t    testing.TB
	dir  string
	conf string
	cmd  *exec.Cmd

	mu  sync.Mutex
	log bytes.Buffer // what it says itself
}

func (d *daemon) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(b)
}

func (d *daemon) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// newDaemon makes a daemon with a configuration, which stands behind what every rsyslog.conf has.
func newDaemon(t testing.TB, conf string) *daemon {
	t.Helper()
	if _, err := exec.LookPath("rsyslogd"); err != nil {
		t.Skip("rsyslogd is not installed (Debian: rsyslog, rsyslog-gnutls, rsyslog-openssl)")
	}
	if os.Getuid() != 0 {
		t.Skip("the configuration lets only root write, and its files are root's: run the tests as root")
	}
	d := &daemon{t: t, dir: t.TempDir()}
	must(t, os.Mkdir(filepath.Join(d.dir, "work"), 0o700))
	head := fmt.Sprintf("global(workDirectory=%q net.enableDNS=\"off\")\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\n", filepath.Join(d.dir, "work"))
	d.conf = head + conf
	t.Cleanup(func() {
		d.stop(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("rsyslogd says:\n%s\nits configuration:\n%s", d.said(), d.conf)
		}
	})
	return d
}

// start runs the daemon until ready says that it listens.
func (d *daemon) start(ready func() bool) {
	d.t.Helper()
	file := filepath.Join(d.dir, "rsyslog.conf")
	must(d.t, os.WriteFile(file, []byte(d.conf), 0o600))
	d.cmd = exec.Command("rsyslogd", "-n", "-i", filepath.Join(d.dir, "pid"), "-f", file)
	d.cmd.Stdout, d.cmd.Stderr = d, d
	must(d.t, d.cmd.Start())
	eventually(d.t, "rsyslogd listens", ready)
}

// stop ends the daemon with a signal.
func (d *daemon) stop(s syscall.Signal) {
	if d.cmd != nil {
		_ = d.cmd.Process.Signal(s)
		_ = d.cmd.Wait()
		d.cmd = nil
	}
}

func answers(network, address string) func() bool {
	return func() bool {
		c, err := net.Dial(network, address)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
}

// freePort is a port that nobody listens on.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	return port
}

// snippet is one that is shipped, with other places in it.
func snippet(t testing.TB, name string, places ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "packaging", "rsyslog", name))
	must(t, err)
	for i := 0; i < len(places); i += 2 {
		if !bytes.Contains(b, []byte(places[i])) {
			t.Fatalf("%s: there is no %s in it", name, places[i])
		}
	}
	return strings.NewReplacer(places...).Replace(string(b))
}

// lines are those of a file, none if there is no file.
func lines(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// escaped is a record as rsyslog writes it, with its control bytes escaped; it drops what no UTF-8 needs nothing.
func escaped(all []Message) []Message {
	var list []Message
	for _, m := range all {
		var b []byte
		for _, c := range []byte(arrives(m)) {
			if c < ' ' || c == 0x7f {
				b = append(b, fmt.Sprintf("#%03o", c)...)
				continue
			}
			b = append(b, c)
		}
		list = append(list, Message{Time: m.Time, Text: b})
	}
	return list
}

// wantFile waits until a file holds the last message and compares it with what was sent.
func wantFile(t testing.TB, path string, sent []Message, once bool) {
	t.Helper()
	sent = escaped(sent)
	last := arrives(sent[len(sent)-1])
	defer func() {
		if t.Failed() {
			t.Logf("%d lines; missing are %v", len(lines(path)), missing(lines(path), sent))
		}
	}()
	eventually(t, "the last message is in "+path, func() bool {
		l := lines(path)
		return len(l) >= len(sent) && l[len(l)-1] == last
	})
	wantAll(t, lines(path), sent, once)
}

// socketDir is a directory as tmpfiles.conf makes it.
func socketDir(t testing.TB) string {
	t.Helper()
	var name string
	var mode os.FileMode
	line := ""
	for _, l := range strings.Split(snippet(t, "tmpfiles.conf"), "\n") {
		if !strings.HasPrefix(l, "#") {
			line += l
		}
	}
	if _, err := fmt.Sscanf(line, "d %s %o root root -", &name, &mode); err != nil || name != "/run/audisp-history" {
		t.Fatalf("tmpfiles.conf: %q: %v", line, err)
	}
	dir := filepath.Join(t.TempDir(), "run")
	must(t, os.Mkdir(dir, mode))
	return dir
}

func localDaemon(t testing.TB) (d *daemon, socket, file string) {
	t.Helper()
	dir := t.TempDir()
	socket, file = filepath.Join(socketDir(t), "syslog"), filepath.Join(dir, "syslog.log")
	d = newDaemon(t, snippet(t, "local.conf", "/run/audisp-history/syslog", socket, "/var/log/audisp-history", dir))
	d.start(answers("unixgram", socket))
	return d, socket, file
}

func TestRsyslogLocal(t *testing.T) {
	all := messages(t, 3000)
	d, socket, file := localDaemon(t)
	s := newSender(t, Config{To: "unix:" + socket})
	send(t, s, all[:1000])
	d.stop(syscall.SIGTERM)
	n, err := s.Send(context.Background(), all[1000:1100])
	wantError(t, err, "there is no such socket: start the syslog daemon")
	d.start(answers("unixgram", socket))
	sendAll(t, s, all[1000+n:])
	wantFile(t, file, all, false)
	if c := s.Counts(); c != (Counts{Repeated: c.Repeated}) || c.Repeated > 200 {
		t.Errorf("%+v", c)
	}
}

// The file is one that the audit tools read, and gives the answers of the records as they were sent.
func TestRsyslogsFileIsReadByAusearch(t *testing.T) {
	if _, err := exec.LookPath("ausearch"); err != nil {
		t.Skip("ausearch is not installed (Debian: auditd)")
	}
	all := messages(t, 8000)
	_, socket, file := localDaemon(t)
	s := newSender(t, Config{To: "unix:" + socket})
	send(t, s, all)
	wantFile(t, file, all, true)
	var sent []byte
	for _, m := range all {
		sent = append(sent, m.Text...)
	}
	original := filepath.Join(t.TempDir(), "original.log")
	must(t, os.WriteFile(original, sent, 0o600))
	for _, args := range [][]string{
		{"ausearch", "--format", "csv"}, {"ausearch", "--format", "text"}, {"ausearch", "-m", "EXECVE", "--format", "csv"},
		{"aureport", "-x", "--summary"}, {"aureport", "-s"}, {"aureport", "-p"},
	} {
		a, b := ask(t, args, original), ask(t, args, file)
		if a != b || strings.Count(a, "\n") < 5 {
			t.Errorf("%v: %d bytes, %d of the file of rsyslog", args, len(a), len(b))
		}
	}
}

func ask(t *testing.T, args []string, file string) string {
	t.Helper()
	out, err := exec.Command(args[0], append(args[1:], "-if", file)...).Output()
	must(t, err)
	return string(out)
}

// Whoever can write to the socket can forge records: nobody else can.
func TestOnlyRootWritesToRsyslogsSocket(t *testing.T) {
	logger, err := exec.LookPath("logger")
	if err != nil {
		t.Skip("logger is not installed (Debian: bsdutils)")
	}
	all := numbered(1, 100)
	_, socket, file := localDaemon(t)
	for dir := filepath.Dir(filepath.Dir(socket)); dir != os.TempDir(); dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755)) // what stands above it is open to all
	}
	forge := exec.Command(logger, "--socket-errors=on", "-u", socket, "-t", "audisp-history", "type=SYSCALL forged")
	forge.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, _ := forge.CombinedOutput()
	if !strings.Contains(string(out), "Permission denied") {
		t.Errorf("logger says: %s", out)
	}
	s := newSender(t, Config{To: "unix:" + socket})
	send(t, s, all)
	wantFile(t, file, all, true)
}

// plain is a daemon that writes what comes over TCP, with its header, to a file.
func plain(t *testing.T) (d *daemon, address, file string) {
	t.Helper()
	port, file := freePort(t), filepath.Join(t.TempDir(), "log")
	d = newDaemon(t, fmt.Sprintf(`module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port=%q)
template(name="all" type="string" string="%%timereported:::date-rfc3339%% %%hostname%% %%app-name%% %%procid%% %%pri-text%%|%%msg:::drop-last-lf%%\n")
*.* action(type="omfile" file=%q template="all")
`, port, file))
	address = "127.0.0.1:" + port
	d.start(answers("tcp", address))
	return d, address, file
}

// withoutHeader are the lines of plain's file without what is before the text, of this program's messages.
func withoutHeader(path string) []string {
	var list []string
	for _, l := range lines(path) {
		if head, text, _ := strings.Cut(l, "|"); strings.Contains(head, " audisp-history ") {
			list = append(list, strings.TrimPrefix(text, " "))
		}
	}
	return list
}

func TestRsyslogOverTCP(t *testing.T) {
	for name, c := range map[string]Config{
		"octets":         {},
		"newline":        {Framing: Newline},
		"octets, old":    {Protocol: RFC3164},
		"newline, old":   {Protocol: RFC3164, Framing: Newline},
		"separator kept": {Separator: Keep},
	} {
		t.Run(name, func(t *testing.T) {
			all := messages(t, 2000)
			_, address, file := plain(t)
			c.To, c.Host, c.Facility, c.Severity = "tcp://"+address, "somehost", "local3", "notice"
			s := newSender(t, c)
			send(t, s, all)
			must(t, s.Close(context.Background()))
			eventually(t, "all are there", func() bool { return len(withoutHeader(file)) >= len(all) })
			sent := escaped(all)
			if c.Separator == Keep { // what users see if rsyslog is not told otherwise
				for i := range all {
					sent[i].Text = []byte(strings.ReplaceAll(strings.TrimSuffix(string(all[i].Text), "\n"), "\x1d", "#035"))
				}
			}
			wantAll(t, withoutHeader(file), sent, true)
			head, _, _ := strings.Cut(lines(file)[0], "|")
			if want := fmt.Sprintf(" somehost audisp-history %d local3.notice", os.Getpid()); !strings.HasSuffix(head, want) {
				t.Errorf("%s, want %s", head, want)
			}
			wantTime(t, head, all[0].Time, c.Protocol)
		})
	}
}

// A stream of messages goes on while rsyslogd is stopped and started, time and again: it has each in the end.
func TestRsyslogOverTCPStartedAnew(t *testing.T) {
	all := messages(t, 12000)
	d, address, file := plain(t)
	s := newSender(t, Config{To: "tcp://" + address, Host: "h"})
	s.hold = hold
	rest := all
	for i := range 4 {
		for len(rest) > len(all)*(3-i)/4 {
			n, _ := s.Send(context.Background(), rest[:min(100, len(rest))])
			rest = rest[n:]
		}
		if i < 3 {
			d.stop(syscall.SIGTERM) // rsyslogd closes its connections, whatever is in them
			d.start(answers("tcp", address))
		}
	}
	settle(t, s)
	must(t, s.Close(context.Background()))
	last := arrives(escaped(all[len(all)-1:])[0])
	eventually(t, "the last message is there", func() bool { l := withoutHeader(file); return l[len(l)-1] == last })
	wantAll(t, withoutHeader(file), escaped(all), false)
	t.Logf("%d messages of %d were sent again", s.Counts().Repeated, len(all))
}

// What the kernel has accepted and a killed rsyslogd has not read is not lost.
func TestRsyslogKilled(t *testing.T) {
	all := messages(t, 4000)
	d, address, file := plain(t)
	s := newSender(t, Config{To: "tcp://" + address, Host: "h"})
	s.hold = hold
	send(t, s, all[:2000])
	eventually(t, "the first half is there", func() bool { return len(withoutHeader(file)) == 2000 })
	must(t, d.cmd.Process.Signal(syscall.SIGSTOP))
	send(t, s, all[2000:3000])
	eventually(t, "the kernel has them", func() bool { n, ok := s.link.unread(); return ok && n == 0 })
	d.stop(syscall.SIGKILL)
	must(t, os.Remove(filepath.Join(d.dir, "pid")))
	d.start(answers("tcp", address))
	sendAll(t, s, all[3000:])
	must(t, s.Close(context.Background()))
	eventually(t, "all are there", func() bool { return len(withoutHeader(file)) >= 4000+2000 })
	wantAll(t, withoutHeader(file), escaped(all), false)
	if r := s.Counts().Repeated; r != 3000 {
		t.Errorf("%d messages were sent again", r)
	}
}

// What rsyslog cuts, and this program therefore must not send: longer messages than 8096 bytes.
func TestRsyslogTakesMessagesAsLongAsIsSaid(t *testing.T) {
	_, address, file := plain(t)
	s := newSender(t, Config{To: "tcp://" + address, Host: "h"})
	head := len(s.format.appendHeader(nil, 0))
	all := numbered(2, defaultBytes-head)
	send(t, s, all[:1])
	eventually(t, "it is there", func() bool { return len(lines(file)) == 1 })
	wantAll(t, withoutHeader(file), all[:1], true)
	send(t, s, numbered(1, defaultBytes-head+100))
	eventually(t, "it is there, in two", func() bool { return len(lines(file)) == 3 })
	if s.Counts().TooLong != 1 {
		t.Error(s.Counts())
	}
}

// wantTime checks that the event's time is the message's: to the millisecond, or to the second without a year.
func wantTime(t *testing.T, head string, ms int64, p Protocol) {
	t.Helper()
	stamp, _, _ := strings.Cut(head, " ")
	got, err := time.Parse(time.RFC3339Nano, stamp)
	must(t, err)
	want := time.UnixMilli(ms)
	if p == RFC3164 {
		if a, b := got.Local().Format(time.Stamp), want.Local().Format(time.Stamp); a != b {
			t.Errorf("time %s, want %s", a, b)
		}
		return
	}
	if !got.Equal(want) {
		t.Errorf("time %s, want %s", got, want)
	}
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"audisp-history/conf"
)

// away is a writer that takes nothing until it is back.
type away struct {
	bytes.Buffer
	back bool
}

func (a *away) Write(b []byte) (int, error) {
	if !a.back {
		return 0, errors.New("nobody reads it")
	}
	return a.Buffer.Write(b)
}

// runOnce runs the program on a stream to its end, and returns what it has said.
func runOnce(t *testing.T, c conf.Config, dir string, stream []byte, out io.Writer) string {
	t.Helper()
	p := startConf(c, dir, bytes.NewReader(stream), out, nil)
	must(t, <-p.ended)
	return p.log.String()
}

// What waits for a reader when the program ends waits on, as often as that happens, and comes first when he is back, in
// every format; auditd's log is not needed for it.
func TestWhatWaitsOutlivesTheProgram(t *testing.T) {
	for _, format := range []conf.Format{conf.FormatAudit, conf.FormatJSON, conf.FormatECS} {
		t.Run(string(format), func(t *testing.T) {
			dir, k, out := t.TempDir(), newTeller(), &away{}
			c := parse(t, "outputs: [{name: out, format: %s, everything: true, stdout: {}}]", format)
			all := bytes.Clone(shell(k))
			runOnce(t, c, dir, all, out)
			for range 2 {
				more := k.call(callOpen, "3", 11, 10, "ls")
				all = append(all, more...)
				runOnce(t, c, dir, more, out)
			}
			name := filepath.Join(dir, "state", "waiting-out")
			if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
				t.Fatalf("%v, %v", info, err)
			}
			out.back = true
			last := k.call(callOpen, "3", 10, 1, "sh")
			runOnce(t, c, dir, last, out)
			if _, err := os.Stat(name); err == nil {
				t.Error("the file is still there when all of it has been delivered")
			}
			got := out.String()
			want := &away{back: true}
			runOnce(t, c, t.TempDir(), append(all, last...), want)
			if got != want.String() || strings.Contains(got, "output-lost") {
				t.Errorf("delivered\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// hearer takes messages at a TCP port. It hangs up on the first connection after some bytes, as one that crashes does.
type hearer struct {
	listener net.Listener
	mutex    sync.Mutex
	got      bytes.Buffer
}

func receive(t *testing.T, at string) *hearer {
	t.Helper()
	l, err := net.Listen("tcp", at)
	must(t, err)
	return &hearer{listener: l}
}

// crash takes one connection and resets it with messages unread.
func (r *hearer) crash() {
	c, err := r.listener.Accept()
	if err != nil {
		return
	}
	_, _ = io.ReadFull(c, make([]byte, 100)) // whatever came
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = r.listener.Close()
	_ = c.Close()
}

func (r *hearer) serve() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			for buf := make([]byte, 1<<16); ; {
				n, err := c.Read(buf)
				r.mutex.Lock()
				r.got.Write(buf[:n])
				r.mutex.Unlock()
				if err != nil {
					_ = c.Close()
					return
				}
			}
		}()
	}
}

func (r *hearer) text() string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.got.String()
}

// Messages that a receiver had not read when it crashed are sent again by the next program.
func TestMessagesOutliveTheProgram(t *testing.T) {
	first := receive(t, "127.0.0.1:0")
	at := first.listener.Addr().String()
	go first.crash()
	dir, stream := t.TempDir(), capture(t, "boot")
	stream = stream[:cutAfterLine(stream, 1<<20)]
	c := parse(t, "outputs: [{name: far, everything: true, syslog: {to: \"tcp://%s\"}}]", at)
	runOnce(t, c, dir, stream, io.Discard)
	second := receive(t, at)
	go second.serve()
	said := runOnce(t, c, dir, nil, io.Discard)
	must(t, second.listener.Close())
	if !strings.Contains(said, "is delivered first") || strings.Contains(said, `"messages":0`) {
		t.Errorf("no messages waited: %s", said)
	}
	got := second.text()
	missing := 0
	for line := range strings.Lines(good(t, bytes.NewReader(stream), "replay", "-").out) {
		if !strings.Contains(got, strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\x1d", " ")) {
			missing++
		}
	}
	if missing > 1 { // that which the first has read
		t.Errorf("%d records are missing of %d bytes", missing, len(got))
	}
	if strings.Contains(got, "output-lost") {
		t.Error("something is said to be lost")
	}
}

// What waits and cannot be used is told of: in the output itself, if there is one.
func TestWhatWaitsCannotBeUsed(t *testing.T) {
	const line = "outputs: [{name: out, everything: true, stdout: {}}]"
	for _, c := range []struct {
		name, config string
		spoil        func(t *testing.T, file string)
		gap, says    string
	}{
		{"another format", "outputs: [{name: out, format: json, everything: true, stdout: {}}]", nil, `"lost":6`, `"lost":6`},
		{"another output", "outputs: [{name: other, everything: true, stdout: {}}]", nil, "", "events waited for an output that is gone, and are lost"},
		{"a bit has flipped", line, func(t *testing.T, file string) {
			b, err := os.ReadFile(file)
			must(t, err)
			b[len(b)/2] ^= 1
			must(t, os.WriteFile(file, b, 0o600))
		}, "reason=output-lost", "waiting-out: damaged: piece 0 has another checksum"},
		{"it is a directory", line, func(t *testing.T, file string) {
			must(t, os.Remove(file))
			must(t, os.Mkdir(file, 0o700))
		}, "reason=output-lost", "not a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, k := t.TempDir(), newTeller()
			runOnce(t, parse(t, line), dir, shell(k), &away{})
			file := filepath.Join(dir, "state", "waiting-out")
			if c.spoil != nil {
				c.spoil(t, file)
			}
			out := &away{back: true}
			said := runOnce(t, parse(t, "%s", c.config), dir, k.call(callOpen, "3", 10, 1, "sh"), out)
			if !strings.Contains(said, c.says) {
				t.Errorf("says %s\nwant %s", said, c.says)
			}
			if !strings.Contains(out.String(), c.gap) || !strings.Contains(out.String(), fmt.Sprint(":", k.serial)) {
				t.Errorf("delivered %s\nwant %s", out, c.gap)
			}
			if _, err := os.Stat(file); err == nil {
				t.Error("the file is still there")
			}
		})
	}
}

// Without room for what waits, the next program says that events may be missing.
func TestWhatWaitsCannotBeKept(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	dir, k := t.TempDir(), newTeller()
	must(t, os.Mkdir(filepath.Join(dir, "state"), 0o700))
	mount(t, filepath.Join(dir, "state"), 0, "size=1m,mode=0700")
	c := parse(t, "outputs: [{name: out, everything: true, stdout: {}}]")
	runOnce(t, c, dir, shell(k), &away{back: true})
	ballast := filepath.Join(dir, "state", "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	said := runOnce(t, c, dir, bytes.Repeat(k.call(callOpen, "3", 10, 1, "sh"), 1), &away{})
	if !strings.Contains(said, "what waits for the output cannot be kept") || !strings.Contains(said, "no space left on device") {
		t.Errorf("says %s", said)
	}
}

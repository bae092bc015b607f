package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"audisp-history/plugin/output"
)

// A receiver is a syslog server for TCP with octet counting (RFC 6587, 3.4.1).
type receiver struct {
	t       *testing.T
	address string

	mutex    sync.Mutex
	listener net.Listener
	conns    []net.Conn
	got      []string // messages without their headers
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, address: "127.0.0.1:0"}
	r.begin()
	t.Cleanup(r.stop)
	return r
}

func (r *receiver) begin() {
	l, err := net.Listen("tcp", r.address)
	must(r.t, err)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.listener, r.address = l, l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.mutex.Lock()
			if r.listener != l { // it has stopped since
				_ = c.Close()
			}
			r.conns = append(r.conns, c)
			r.mutex.Unlock()
			go r.read(c)
		}
	}()
}

func (r *receiver) stop() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	_ = r.listener.Close()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.listener, r.conns = nil, nil
}

func (r *receiver) read(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		length, err := in.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSpace(length))
		if err != nil {
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return
		}
		// <PRI>1 TIME HOST APP PID - - MESSAGE
		parts := strings.SplitN(string(b), " ", 8)
		r.mutex.Lock()
		r.got = append(r.got, parts[len(parts)-1])
		r.mutex.Unlock()
	}
}

func (r *receiver) messages() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return append([]string(nil), r.got...)
}

// stateOf is how an output is doing, as status shows it.
func stateOf(t *testing.T, dir, name string) output.State {
	t.Helper()
	rep, err := readReport(filepath.Join(dir, "state"))
	must(t, err)
	for _, o := range rep.Outputs {
		if o.Name == name {
			return o
		}
	}
	t.Fatalf("no output %s", name)
	return output.State{}
}

// TestFaultsDuringARun: while a capture runs through all formats and destinations at once, the receiver goes away, a file is
// deleted and a disk is full. Nothing is lost, nobody waits for another, and everything is as it should be afterwards.
func TestFaultsDuringARun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	stream := capture(t, "boot")
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/small", 0o700))
	mount(t, dir+"/small", 0, "size=1m,mode=0700")
	r := newReceiver(t)
	in, out := io.Pipe()
	p := startConf(parse(t, `outputs:
- {name: text, everything: true, file: {path: %[1]s/text.log}}
- {name: small, everything: true, file: {path: %[1]s/small/text.log}}
- {name: json, format: json, everything: true, file: {path: %[1]s/json.log}}
- {name: ecs, format: ecs, everything: true, file: {path: %[1]s/ecs.log}}
- {name: net, everything: true, syslog: {to: "tcp://%[2]s"}}
- {name: objects, format: json, everything: true, syslog: {to: "tcp://%[2]s"}}`, dir, r.address), dir, in, io.Discard, nil)
	quarter := func(i int) []byte { return stream[i*len(stream)/4 : (i+1)*len(stream)/4] }
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.log)
		}
	})
	send(t, out, quarter(0))
	eventually(t, "messages arrive", func() bool { return len(r.messages()) > 100 })
	r.stop()
	must(t, os.WriteFile(dir+"/small/ballast", make([]byte, 500<<10), 0o600))
	send(t, out, quarter(1))
	send(t, out, quarter(2))
	eventually(t, "the full disk is noticed", func() bool { return strings.Contains(p.log.String(), "no space left on device") })
	for _, name := range []string{"net", "objects"} {
		eventually(t, "the receiver is missed by "+name, func() bool {
			return strings.Contains(p.log.String(), `"output":"`+name+`","error":"syslog receiver tcp://`)
		})
	}
	eventually(t, "the other outputs have all", func() bool {
		b, err := os.ReadFile(dir + "/json.log")
		return err == nil && bytes.Count(b, []byte("\n")) > 3000
	})
	must(t, os.Rename(dir+"/text.log", dir+"/text.gone"))
	p.signals <- syscall.SIGHUP
	must(t, os.Remove(dir+"/small/ballast"))
	must(t, syscall.Mount("tmpfs", dir+"/small", "tmpfs", syscall.MS_REMOUNT, "size=64m,mode=0700"))
	r.begin()
	send(t, out, quarter(3))
	eventually(t, "the slowest is nearly done", func() bool {
		b, err := os.ReadFile(dir + "/ecs.log")
		return err == nil && bytes.Count(b, []byte("\n")) > 6000
	})
	must(t, out.Close())
	must(t, <-p.ended)

	want := good(t, bytes.NewReader(stream), "replay", "-").out
	text := records(t, dir+"/text.gone", dir+"/text.log")
	sameEvents(t, withoutGaps(text), withoutGaps(want))
	if small := records(t, dir+"/small/text.log"); small != text {
		t.Errorf("small: %s", differenceAt(small, text))
	}
	histories := 0
	for line := range strings.Lines(records(t, dir+"/json.log")) {
		var v struct{ History []any }
		must(t, json.Unmarshal([]byte(line), &v))
		if len(v.History) > 0 {
			histories++
		}
	}
	if marked := strings.Count(want, ` history="`); histories < marked*99/100 || histories > marked {
		t.Errorf("%d objects have a history, and %d records", histories, marked)
	}
	if n, events := strings.Count(records(t, dir+"/ecs.log"), "\n"), strings.Count(records(t, dir+"/json.log"), "\n"); n != events {
		t.Errorf("%d documents of %d events", n, events)
	}
	sent := map[string]int{}
	for _, m := range r.messages() {
		sent[m]++
	}
	for line := range strings.Lines(text + records(t, dir+"/json.log")) {
		// auditd's separator is written as a blank.
		m := strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\x1d", " ")
		if sent[m] == 0 && len(m) < 4000 {
			t.Fatalf("did not arrive: %s", m)
		}
	}
	for _, name := range []string{"text", "small", "json", "ecs", "net", "objects"} {
		if s := stateOf(t, dir, name); s.Lost != 0 || s.Waiting != 0 || s.Fault != "" || s.Delivered < 6000 {
			t.Errorf("%+v", s)
		}
	}
}

// What is beyond memory is lost, told of in the output itself, and counted: exactly that.
func TestLossIsCounted(t *testing.T) {
	stream := capture(t, "boot")
	dir := t.TempDir()
	block := filepath.Join(dir, "out")
	must(t, os.WriteFile(block, nil, 0o600)) // where the directory of the output should be
	procTree(t, filepath.Join(dir, "proc"), time.Now(), 1)
	in, out := io.Pipe()
	p := startConf(parse(t, `outputs: [{name: late, format: json, everything: true, file: {path: %s/late.log}}]
spool: {memory_bytes: 6291456, file_bytes: 0}`, block), dir, in, io.Discard, nil)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.log)
		}
	})
	send(t, out, stream)
	eventually(t, "records are lost", func() bool { return strings.Contains(p.log.String(), "records are lost") })
	must(t, os.Remove(block))
	eventually(t, "it is over", func() bool { return strings.Contains(p.log.String(), "no more records are lost") })
	must(t, out.Close())
	must(t, <-p.ended)
	events, told := 0, uint64(0)
	for line := range strings.Lines(records(t, block+"/late.log")) {
		var v struct{ Gap *writtenGap }
		must(t, json.Unmarshal([]byte(line), &v))
		events++
		if v.Gap != nil && v.Gap.Reason == "output-lost" {
			told += v.Gap.Lost
		}
	}
	s := stateOf(t, dir, "late")
	if s.Lost == 0 || told != s.Lost || uint64(events) != s.Delivered || events < 500 {
		t.Errorf("%d lines, %d told of as lost; %+v", events, told, s)
	}
	rep, err := readReport(filepath.Join(dir, "state"))
	must(t, err)
	if rep.Unread != 0 || rep.Events+rep.GapCount+uint64(strings.Count(p.log.String(), "no more records are lost")) != s.Delivered+s.Lost {
		t.Errorf("%d delivered and %d lost are not the %d events, the %d gaps and the records of the loss", s.Delivered, s.Lost, rep.Events, rep.GapCount)
	}
}

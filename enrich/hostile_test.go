package enrich_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
	"audisp-history/enrich/text"
)

// encoded writes a name as the kernel does: quoted, or in hexadecimal if it holds what could end or break a value
// (kernel/audit.c: audit_string_contains_control).
func encoded(name string) string {
	for i := range len(name) {
		if c := name[i]; c == '"' || c < 0x21 || c > 0x7e {
			return strings.ToUpper(hex.EncodeToString([]byte(name)))
		}
	}
	return `"` + name + `"`
}

// TestNoNameForgesAHistory lets a program choose its name.
func TestNoNameForgesAHistory(t *testing.T) {
	for _, name := range []string{
		`a"b`, `a;pid=1`, `a=>name=b`, `evil\`, "new\nline", `history="`, `pid=1`, `a history=`, "\x1dA=b", "ümlaut", `a'b`, "", "\\040", "=>",
	} {
		w := newWriter(config, text.Field)
		line := func(serial int, ppid, pid, call, rest, comm string) {
			w.stream.Line(fmt.Appendf(nil, "type=SYSCALL msg=audit(1767225600.%03d:%d): arch=c000003e syscall=%s success=yes %s a0=0 a1=0 a2=0 a3=0 items=0 ppid=%s pid=%s auid=0 uid=0 gid=0 comm=%s exe=%s key=(null)\x1dARCH=x86_64 SYSCALL=x\n",
				serial, serial, call, rest, ppid, pid, encoded(comm), encoded("/bin/"+comm)), 0)
			w.stream.Line(fmt.Appendf(nil, "type=EOE msg=audit(1767225600.%03d:%d): \n", serial, serial), 0)
		}
		line(1, "0", "1", "59", "exit=0", "init")
		line(2, "0", "1", "57", "exit=10", "init")
		line(3, "1", "10", "59", "exit=0", name)
		line(4, "1", "10", "257", "exit=3", name)
		w.stream.Close(nil)

		lines := bytes.Split(withoutGaps(w.out), []byte("\n"))
		raw := string(lines[6][:record.Raw(lines[6], false)])
		_, history, ok := strings.Cut(raw, ` key=(null) history="`)
		if !ok {
			t.Fatalf("name %q: no history on %q", name, lines[6])
		}
		list := elements(t, strings.TrimSuffix(history, `"`))
		if len(list) != 3 || list[2].pid != 10 || unescape(list[2].name) != name {
			t.Errorf("name %q: history %s", name, history)
		}
		if !bytes.HasSuffix(lines[6], []byte("\x1dARCH=x86_64 SYSCALL=x")) {
			t.Errorf("name %q: the enriched part is not as it was: %q", name, lines[6])
		}
	}
}

func unescape(name string) string {
	var b []byte
	for i := 0; i < len(name); i++ {
		if name[i] == '\\' {
			b = append(b, (name[i+1]-'0')<<6|(name[i+2]-'0')<<3|(name[i+3]-'0'))
			i += 3
			continue
		}
		b = append(b, name[i])
	}
	return string(b)
}

// TestHostileStreamLosesNoLine mixes everything that is not as it should be.
func TestHostileStreamLosesNoLine(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var in bytes.Buffer
	good := capture(t, "boot")[:400<<10]
	good = good[:bytes.LastIndexByte(good, '\n')+1]
	n := 0
	for line := range bytes.Lines(good) {
		in.Write(line)
		switch n++; random.IntN(40) {
		case 0:
			fmt.Fprintf(&in, "type=SYSCALL msg=audit(1795338941.0:%d): a0=%s pid=1\n", random.Uint64()>>1, strings.Repeat("f", 1<<20))
		case 1:
			in.WriteString("garbage \x00\xff\r\n\n\r\n")
		case 2:
			fmt.Fprintf(&in, "type=SYSCALL msg=audit(9999999999.999:%d): pid=1 ppid=0 comm=\"x\" exe=\"/x\"\n", random.Uint64()>>1)
		case 3:
			fmt.Fprintf(&in, "node=n%d type=SYSCALL msg=audit(1.000:%d): arch=c000003e syscall=56 success=yes exit=%d a0=0 a1=0 ppid=%d pid=%d comm=\"x\" exe=\"/x\"\n",
				random.IntN(3000), random.IntN(10), random.IntN(40000), random.IntN(40000), random.IntN(40000))
		case 4:
			in.Write(line[:random.IntN(len(line))])
			in.WriteByte('\n')
		case 5:
			fmt.Fprintf(&in, "type=AVC msg=audit(1795338941.123:%d): avc: denied { x } for pid=%d\n", random.IntN(100000), random.IntN(2000))
		}
	}
	in.WriteString("type=SYSCALL msg=audit(1795338941.0:7): pid=1") // half a line
	w := newWriter(config, text.Field)
	var lines record.Lines
	for rest := in.Bytes(); len(rest) > 0; {
		n := min(1+random.IntN(100000), len(rest))
		lines.Feed(rest[:n], w)
		rest = rest[n:]
	}
	w.stream.Close(lines.Rest())
	sameEvents(t, in.Bytes(), strip(w.out))
}

// TestLongLineIsNotBrokenUp: nothing comes between its parts, nor behind it when it never ends.
func TestLongLineIsNotBrokenUp(t *testing.T) {
	for _, end := range []string{"\n", ""} {
		w := newWriter(config, text.Field)
		record1 := "type=SYSCALL msg=audit(1767225600.000:2): arch=c000003e syscall=257 success=yes exit=3 a0=0 a1=0 ppid=1 pid=10 comm=\"x\" exe=\"/x\"\n"
		long := strings.Repeat("x", 3*record.MaxLine) + end
		var lines record.Lines
		for part := []byte(record1 + long); len(part) > 0; {
			n := min(100000, len(part)) // so that the line has begun to come out before time passes
			lines.Feed(part[:n], w)
			w.stream.Tick(10000, 0)
			part = part[n:]
		}
		if open := lines.Open(); open != (end == "") {
			t.Errorf("line that ends with %q: open %v", end, open)
		}
		w.stream.Close(lines.Rest())
		if out := strip(w.out); string(out) != record1+long {
			t.Errorf("line that ends with %q: %d bytes came out of %d", end, len(out), len(record1)+len(long))
		}
	}
}

// TestTenThousandOpenEvents: events that never end are handed on, and few are kept.
func TestTenThousandOpenEvents(t *testing.T) {
	w := newWriter(config, text.Field)
	var in bytes.Buffer
	for i := range 10000 {
		fmt.Fprintf(&in, "type=SYSCALL msg=audit(1767225600.000:%d): arch=c000003e syscall=257 success=yes exit=3 a0=0 a1=0 ppid=1 pid=%d comm=\"x\" exe=\"/x\"\n", i+1, i+10)
	}
	for i := range 10000 {
		fmt.Fprintf(&in, "type=PATH msg=audit(1767225600.000:%d): name=\"x\"\n", i+1)
	}
	most := 0
	var lines record.Lines
	for line := range bytes.Lines(in.Bytes()) {
		lines.Feed(line, w)
		most = max(most, w.stream.Counts().Open)
	}
	w.stream.Close(nil)
	sameEvents(t, in.Bytes(), strip(w.out))
	if most > config.OpenEvents {
		t.Errorf("%d events were open at once, more than %d", most, config.OpenEvents)
	}
}

// TestMemoryIsBounded: a crowd that forks and executes without end, and threads that are taken for tasks.
func TestMemoryIsBounded(t *testing.T) {
	c := config
	c.Limits = task.Limits{Tasks: 500, Ended: 200, Execs: 2000, Depth: 64}
	c.PendingForks = 100
	w := newWriter(c, text.Field)
	w.keep = false
	serial := 0
	call := func(ppid, pid, number, exit int, a0 string) {
		serial++
		w.stream.Line(fmt.Appendf(nil, "type=SYSCALL msg=audit(17672%05d.%03d:%d): arch=c000003e syscall=%d success=yes exit=%d a0=%s a1=0 a2=0 a3=0 items=0 ppid=%d pid=%d comm=\"c%d\" exe=\"/bin/c%d\"\n",
			serial/1000%100000, serial%1000, serial, number, exit, a0, ppid, pid, serial%7000, serial%7000), 0)
		w.stream.Line(fmt.Appendf(nil, "type=EOE msg=audit(17672%05d.%03d:%d): \n", serial/1000%100000, serial%1000, serial), 0)
	}
	call(0, 1, 59, 0, "0")
	call(0, 1, 56, 7, "20000000") // a container
	for i := range 60000 {
		pid := 100 + i%3000
		call(1, 1, 57, pid, "0")  // a fork
		call(1, pid, 59, 0, "0")  // its exec
		call(1, pid, 435, 5, "0") // maybe a thread
		call(1, 7, 435, 9, "0")   // a fork in the container whose child is never seen
		call(1, 50, 59, 0, "0")   // one task that executes for ever
	}
	counts := w.stream.Counts()
	if k := counts.Tasks; k.Tasks > 500 || k.Ended > 200 || k.Execs > 500*17+200 {
		t.Errorf("%d tasks, %d ended, %d execs; limits are %+v", k.Tasks, k.Ended, k.Execs, c.Limits)
	}
	if counts.Tasks.EvictedTasks == 0 || counts.Tasks.FoldedHistories == 0 || counts.Tracker.Unmatched == 0 {
		t.Errorf("nothing was counted as given up: %+v", counts)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 64<<20 {
		t.Errorf("%d MiB in use", m.HeapAlloc>>20)
	}
}

// FuzzStream: whatever comes in goes out, and nothing panics.
func FuzzStream(f *testing.F) {
	f.Add([]byte("type=SYSCALL msg=audit(1.000:1): arch=c000003e syscall=59 success=yes exit=0 ppid=0 pid=1 comm=\"a\" exe=\"/a\"\ntype=EOE msg=audit(1.000:1): \n"), true)
	f.Add([]byte("node=a type=OBJ_PID msg=audit(1.000:1): opid=1\ntype=USER_X msg=audit(1.000:2): pid=1 msg='x\x1dy'\x1dA=b\r\n"), false)
	f.Add([]byte("type=SYSCALL msg=audit(1.0:2): arch=c000003e syscall=56 success=yes exit=9 a0=20000000 a1=0 ppid=1 pid=2 comm=\"a\" exe=\"/a\"\ntype=SYSCALL msg=audit(1.0:3): arch=c000003e syscall=435 success=yes exit=2 a0=0 a1=0 ppid=2 pid=9 comm=\"a\" exe=\"/a\"\ntype=SYSCALL msg=audit(1.0:4): arch=c000003e syscall=231 a0=0 a1=0 ppid=9 pid=11 comm=\"a\" exe=\"/b\""), true)
	// Two tasks that each seem to have made the other.
	f.Add([]byte("type=SYSCALL msg=audit(1.0:2): arch=c000003e syscall=56 success=yes exit=9 a0=20000000 a1=0 ppid=1 pid=2 comm=\"a\" exe=\"/a\"\ntype=SYSCALL msg=audit(1.0:3): arch=c000003e syscall=435 success=yes exit=2 a0=0 a1=0 ppid=2 pid=9 comm=\"a\" exe=\"/a\"\ntype=SYSCALL msg=audit(1.0:4): arch=c000003e syscall=231 a0=0 a1=0 pid=9 pid=11 comm=\"a\" exe=\"/b\""), true)
	boot := capture(f, "boot")
	f.Add(boot[:4000], true)
	f.Add(boot[200000:206000], false)
	f.Fuzz(func(t *testing.T, in []byte, field bool) {
		if bytes.Contains(in, []byte("history")) || bytes.Contains(in, []byte("1340")) {
			return // it would be taken out below
		}
		style := text.Record
		if field {
			style = text.Field
		}
		w := newWriter(config, style)
		var lines record.Lines
		half := len(in) / 2
		lines.Feed(in[:half], w)
		w.stream.Tick(1500, 1500)
		lines.Feed(in[half:], w)
		w.stream.Close(lines.Rest())
		out := strip(w.out)
		if !field {
			out = withoutRecords(withoutGaps(w.out))
		}
		sameEvents(t, in, out)
	})
}

func withoutRecords(out []byte) []byte {
	var in []byte
	for line := range bytes.Lines(out) {
		if h, ok := record.ParseHeader(line); ok && string(h.Type) == "UNKNOWN[1340]" {
			continue
		}
		in = append(in, line...)
	}
	return in
}

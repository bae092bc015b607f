package record

import (
	"bytes"
	"testing"
)

func TestParseHeader(t *testing.T) {
	for _, c := range []struct {
		name, line string
		node, typ  string
		time       int64
		serial     uint64
		body       string
	}{
		{"plain", "type=SYSCALL msg=audit(1691750738.271:108): arch=c000003e\n", "", "SYSCALL", 1691750738271, 108, "arch=c000003e\n"},
		{"node", "node=host.example type=CWD msg=audit(1.002:3): cwd=\"/\"", "host.example", "CWD", 1002, 3, "cwd=\"/\""},
		{"unknown type", "type=UNKNOWN[1340] msg=audit(1.000:1): x=1", "", "UNKNOWN[1340]", 1000, 1, "x=1"},
		{"no body", "type=EOE msg=audit(1.000:1): \n", "", "EOE", 1000, 1, "\n"},
		{"no body, no blank", "type=EOE msg=audit(1.000:1):", "", "EOE", 1000, 1, ""},
		{"no blank before the body", "type=EOE msg=audit(1.000:1):a=1", "", "EOE", 1000, 1, "a=1"},
		{"two blanks before the body", "type=AVC msg=audit(1.000:1):  avc", "", "AVC", 1000, 1, " avc"},
		{"time and serial zero", "type=KERNEL msg=audit(0.000:0): initialized", "", "KERNEL", 0, 0, "initialized"},
		{"zeros in front", "type=A msg=audit(0000000001.020:0007): b", "", "A", 1020, 7, "b"},
		{"largest serial of the kernel", "type=A msg=audit(1.000:4294967295): b", "", "A", 1000, 4294967295, "b"},
		{"year beyond 9999", "type=A msg=audit(999999999999.999:1): b", "", "A", 999999999999999, 1, "b"},
		{"a node that looks like a type", "node=type=X type=A msg=audit(1.000:1): b", "type=X", "A", 1000, 1, "b"},
		{"a second header in the body", "type=A msg=audit(1.000:1): type=B msg=audit(2.000:2): b", "", "A", 1000, 1, "type=B msg=audit(2.000:2): b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, ok := ParseHeader([]byte(c.line))
			if !ok {
				t.Fatalf("ParseHeader(%q) reports no record", c.line)
			}
			if string(h.Node) != c.node || string(h.Type) != c.typ || h.Time != c.time || h.Serial != c.serial {
				t.Errorf("node %q type %q time %d serial %d, want %q %q %d %d",
					h.Node, h.Type, h.Time, h.Serial, c.node, c.typ, c.time, c.serial)
			}
			if got := c.line[h.Body:]; got != c.body {
				t.Errorf("body %q, want %q", got, c.body)
			}
		})
	}
}

func TestParseHeaderRefuses(t *testing.T) {
	for _, c := range []struct{ name, line string }{
		{"nothing", ""},
		{"newline", "\n"},
		{"text", "Oct 11 22:14:15 host su: failed"},
		{"type only", "type=SYSCALL"},
		{"empty type", "type= msg=audit(1.000:1): b"},
		{"blank in front", " type=A msg=audit(1.000:1): b"},
		{"upper case", "TYPE=A msg=audit(1.000:1): b"},
		{"node only", "node=h"},
		{"empty node", "node= type=A msg=audit(1.000:1): b"},
		{"two blanks after node", "node=h  type=A msg=audit(1.000:1): b"},
		{"two blanks after type", "type=A  msg=audit(1.000:1): b"},
		{"no stamp", "type=A msg=audit(): b"},
		{"no parenthesis", "type=A msg=audit 1.000:1): b"},
		{"stamp cut short", "type=A msg=audit(1.000:1"},
		{"no colon at the end", "type=A msg=audit(1.000:1) b"},
		{"no milliseconds", "type=A msg=audit(1:1): b"},
		{"empty seconds", "type=A msg=audit(.000:1): b"},
		{"empty milliseconds", "type=A msg=audit(1.:1): b"},
		{"empty serial", "type=A msg=audit(1.000:): b"},
		{"too many milliseconds", "type=A msg=audit(1.1000:1): b"},
		{"negative seconds", "type=A msg=audit(-1.000:1): b"},
		{"hexadecimal serial", "type=A msg=audit(1.000:ff): b"},
		{"seconds of 13 digits", "type=A msg=audit(9999999999999.000:1): b"},
		{"seconds that wrap", "type=A msg=audit(18446744073709551617.000:1): b"},
		{"serial that wraps to 0", "type=A msg=audit(1.000:18446744073709551616): b"},
		{"serial that wraps to 1", "type=A msg=audit(1.000:18446744073709551617): b"},
		{"serial of 30 digits", "type=A msg=audit(1.000:100000000000000000000000000000): b"},
		{"NUL in the serial", "type=A msg=audit(1.000:1\x00): b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if h, ok := ParseHeader([]byte(c.line)); ok {
				t.Errorf("ParseHeader(%q) takes it for a record: %+v", c.line, h)
			}
		})
	}
}

func TestParseHeaderAllocatesNothing(t *testing.T) {
	line := []byte("node=host type=SYSCALL msg=audit(1691750738.271:108): arch=c000003e syscall=62\n")
	if n := testing.AllocsPerRun(100, func() {
		if h, ok := ParseHeader(line); !ok || KindOf(h.Type) != Syscall {
			t.Fatal("not read")
		}
	}); n != 0 {
		t.Errorf("%v allocations a header", n)
	}
}

// inside reports where a slice lies in the one it was cut from, and whether it does.
func inside(whole, part []byte) (int, bool) {
	from := cap(whole) - cap(part)
	if from < 0 || from+len(part) > len(whole) {
		return 0, false
	}
	return from, len(part) == 0 || &whole[from] == &part[0]
}

func FuzzHeader(f *testing.F) {
	for _, s := range []string{
		"type=SYSCALL msg=audit(1691750738.271:108): arch=c000003e\n",
		"node=h type=UNKNOWN[1336] msg=audit(1.000:1): b\x1dENRICHED\r\n",
		"type=A msg=audit(1.000:18446744073709551616): b",
		"type=EOE msg=audit(1.000:1):",
		"node=\x1d type=USER_CMD msg=audit(1.000:1): pid=1 msg='x'\x1dUID=\"root\"\x00\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		h, ok := ParseHeader(line)
		if !bytes.Equal(line, before) {
			t.Fatal("the line was changed")
		}
		if !ok {
			return
		}
		for _, part := range [][]byte{h.Node, h.Type} {
			if _, ok := inside(line, part); part != nil && !ok {
				t.Errorf("%q is no part of the line", part)
			}
		}
		if len(h.Type) == 0 || h.Time < 0 || h.Body > len(line) || !bytes.Contains(line[:h.Body], []byte("):")) {
			t.Errorf("%+v of %q", h, line)
		}
		kind := KindOf(h.Type)
		for _, message := range []bool{kind == User || kind == Daemon, true, false} {
			raw := Raw(line, message)
			if raw < 0 || raw > len(line) || raw == len(line) && bytes.HasSuffix(line, []byte{'\n'}) {
				t.Errorf("Raw(%q, %v) = %d", line, message, raw)
			}
		}
	})
}

func TestSplit(t *testing.T) {
	for _, c := range []struct{ name, line, raw, enriched string }{
		{"enriched", "type=SYSCALL msg=audit(1.000:1): pid=1\x1dUID=\"root\"\n", "pid=1", `UID="root"`},
		{"not enriched", "type=SYSCALL msg=audit(1.000:1): pid=1\n", "pid=1", ""},
		{"padding", "type=SYSCALL msg=audit(1.000:1): pid=1\x00\x1dUID=1\r\n", "pid=1", "UID=1"},
		{"separator in a message", "type=USER_CMD msg=audit(1.000:1): msg='a\x1db'\x1dUID=1", "msg='a\x1db'", "UID=1"},
		{"nothing behind the separator", "type=CWD msg=audit(1.000:1): a=1\x1d\n", "a=1", ""},
		{"no body", "type=EOE msg=audit(1.000:1): \n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, ok := Split([]byte(c.line))
			if !ok || string(p.Raw) != c.raw || string(p.Enriched) != c.enriched || string(p.Line) != c.line || p.Kind != KindOf(p.Type) {
				t.Errorf("%v %q %q %v", ok, p.Raw, p.Enriched, p.Kind)
			}
			var e *Event
			a := NewAssembler(1, func(got *Event) { e = got })
			a.Add([]byte(c.line), 0)
			a.Flush()
			if q := e.Parts(0); string(q.Raw) != c.raw || string(q.Enriched) != c.enriched || q.Kind != p.Kind || string(q.Type) != string(p.Type) {
				t.Errorf("of an event: %q %q %v", q.Raw, q.Enriched, q.Kind)
			}
		})
	}
	if p, ok := Split([]byte("hello\n")); ok || string(p.Line) != "hello\n" || p.Raw != nil {
		t.Errorf("%v %+v", ok, p)
	}
}

package record

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func pairs(body string) []string {
	var got []string
	for f := FieldsOf([]byte(body)); f.Next(); {
		got = append(got, string(f.Key)+"|"+string(f.Value))
	}
	return got
}

func TestFields(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"empty", "", nil},
		{"blanks", "   ", nil},
		{"one", "a=1", []string{"a|1"}},
		{"some", "a=1 b=2  c=3 ", []string{"a|1", "b|2", "c|3"}},
		{"empty values", "a= b= c=", []string{"a|", "b|", "c|"}},
		{"no key", "=1 b=2", []string{"|1", "b|2"}},
		{"words without =", "avc:  denied  { read } for  pid=7 comm=\"x\" end", []string{"pid|7", "comm|\"x\""}},
		{"= in a value", "a=b=c d=1", []string{"a|b=c", "d|1"}},
		{"quoted", `comm="sh" exe="/bin/sh"`, []string{`comm|"sh"`, `exe|"/bin/sh"`}},
		{"blank inside quotes", `exe="/a b" pid=1`, []string{`exe|"/a b"`, "pid|1"}},
		{"a field inside quotes is none", `comm="a pid=1" pid=2`, []string{`comm|"a pid=1"`, "pid|2"}},
		{"a backslash is no escape", `comm="evil\" pid=3 exe="/x"`, []string{`comm|"evil\"`, "pid|3", `exe|"/x"`}},
		{"open quote", `comm="a pid=1`, []string{`comm|"a`, "pid|1"}},
		{"only a quote", `comm="`, []string{`comm|"`}},
		{"text after quotes", `a="b"c d=1`, []string{`a|"b"c`, "d|1"}},
		{"bare hexadecimal", "comm=6120706964 pid=4", []string{"comm|6120706964", "pid|4"}},
		{"null", "key=(null) pid=4", []string{"key|(null)", "pid|4"}},
		{"none", "tty=(none) pid=4", []string{"tty|(none)", "pid|4"}},
		{"message", "pid=1 uid=0 msg='op=login pid=2 history=\"x\" res=success'",
			[]string{"pid|1", "uid|0", "msg|'op=login pid=2 history=\"x\" res=success'"}},
		{"message that pretends to end", "pid=1 msg='op=x' pid=2 msg='y'", []string{"pid|1", "msg|'op=x' pid=2 msg='y'"}},
		{"message that never ends", "pid=1 msg='op=x pid=2", []string{"pid|1", "msg|'op=x pid=2"}},
		{"tab and newline are no blanks", "a=1\tb=2\nc=3 d=4", []string{"a|1\tb=2\nc=3", "d|4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := pairs(c.body); !slices.Equal(got, c.want) {
				t.Errorf("fields of %q:\n got %q\nwant %q", c.body, got, c.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		name, body, key, want string
		ok                    bool
	}{
		{"first of two", "pid=1 pid=2", "pid", "1", true},
		{"not the end of another name", "ppid=1 opid=2", "pid", "", false},
		{"not inside a value", `comm="x pid=1"`, "pid", "", false},
		{"not inside a message", "uid=0 msg='pid=1'", "pid", "", false},
		{"empty", "a=1 pid=", "pid", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := Find([]byte(c.body), c.key)
			if ok != c.ok || string(got) != c.want {
				t.Errorf("%q %v, want %q %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func TestRaw(t *testing.T) {
	const message = true
	for _, c := range []struct {
		name, line string
		message    bool
		want       string
	}{
		{"plain", "a=1\n", false, "a=1"},
		{"no newline", "a=1", false, "a=1"},
		{"empty", "", false, ""},
		{"newline only", "\n", message, ""},
		{"enriched", "a=1\x1dA=\"one\"\n", false, "a=1"},
		{"nothing after the separator", "a=1\x1d\n", false, "a=1"},
		{"two separators of a kernel record: the first", "a=1\x1dA=\x1d\n", false, "a=1"},
		{"carriage return", "a=1\r\n", false, "a=1"},
		{"NUL before the newline", "a=1\x00\n", false, "a=1"},
		{"NUL and carriage return", "a=1\x00\r\n", message, "a=1"},
		{"NUL in the middle stays", "a=1\x00b=2\n", false, "a=1\x00b=2"},
		{"NUL before the separator", "a=1\x00\x1dA=1\n", false, "a=1"},
		{"only one newline goes", "a=1\n\n", false, "a=1\n"},
		{"message", "pid=1 msg='x'\n", message, "pid=1 msg='x'"},
		{"message, enriched", "pid=1 msg='x'\x1dUID=\"root\"\n", message, "pid=1 msg='x'"},
		{"a separator inside a message", "pid=1 msg='a\x1db'\n", message, "pid=1 msg='a\x1db'"},
		{"a separator inside a message, enriched", "pid=1 msg='a\x1db'\x1dUID=\"root\"\n", message, "pid=1 msg='a\x1db'"},
		{"a message that pretends to be enriched", "pid=1 msg='a'\x1dUID=\"me\" b'\x1dUID=\"root\"\n", message,
			"pid=1 msg='a'\x1dUID=\"me\" b'"},
		{"separators only inside a message without end", "pid=1 msg='a\x1db\x1dc\n", message, "pid=1 msg='a\x1db\x1dc"},
		{"a daemon's record has no message", "op=start res=success\x1dAUID=\"unset\"\n", message, "op=start res=success"},
		{"msg=' after the separator is no message", "res=success\x1dAUID=\"unset\" msg='x'\x1d\n", message, "res=success"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.line[:Raw([]byte(c.line), c.message)]; got != c.want {
				t.Errorf("raw part of %q is %q, want %q", c.line, got, c.want)
			}
		})
	}
}

func TestAppendDecoded(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"empty", "", ""},
		{"quoted", `"sh"`, "sh"},
		{"empty quotes", `""`, ""},
		{"only a quote", `"`, ""},
		{"open quote", `"sh`, "sh"},
		{"a backslash stays", `"evil\"`, `evil\`},
		{"hexadecimal inside quotes stays", `"6162"`, "6162"},
		{"hexadecimal", "6120B10a", "a \xb1\n"},
		{"small letters", "ff00", "\xff\x00"},
		{"odd number of digits", "612", "612"},
		{"not hexadecimal", "61g2", "61g2"},
		{"null", "(null)", ""},
		{"null inside quotes is a name", `"(null)"`, "(null)"},
		{"none", "(none)", "(none)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(AppendDecoded([]byte("> "), []byte(c.value))); got != "> "+c.want {
				t.Errorf("%q, want %q", got, "> "+c.want)
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	type number struct {
		n  uint64
		ok bool
	}
	for _, c := range []struct {
		text           string
		uint, hex, pid number
	}{
		{"", number{}, number{}, number{}},
		{"0", number{0, true}, number{0, true}, number{0, true}},
		{"10", number{10, true}, number{16, true}, number{10, true}},
		{"c000003E", number{}, number{0xc000003e, true}, number{}},
		{"2147483647", number{1<<31 - 1, true}, number{0x2147483647, true}, number{1<<31 - 1, true}},
		{"2147483648", number{1 << 31, true}, number{0x2147483648, true}, number{}},
		{"4294967297", number{1<<32 + 1, true}, number{0x4294967297, true}, number{}},
		{"9999999999999999999", number{9999999999999999999, true}, number{}, number{}},
		{"10000000000000000000", number{}, number{}, number{}},
		{"ffffffffffffffff", number{}, number{1<<64 - 1, true}, number{}},
		{"00000000000000001", number{1, true}, number{}, number{1, true}},
		{"-1", number{}, number{}, number{}},
		{"+1", number{}, number{}, number{}},
		{" 1", number{}, number{}, number{}},
		{"1 ", number{}, number{}, number{}},
		{"\"1\"", number{}, number{}, number{}},
		{"1g", number{}, number{}, number{}},
		{"1:", number{}, number{}, number{}},
		{"1/", number{}, number{}, number{}},
	} {
		b := []byte(c.text)
		if n, ok := Uint(b); ok != c.uint.ok || ok && n != c.uint.n {
			t.Errorf("Uint(%q) = %d, %v", b, n, ok)
		}
		if n, ok := Hex(b); ok != c.hex.ok || ok && n != c.hex.n {
			t.Errorf("Hex(%q) = %x, %v", b, n, ok)
		}
		if n, ok := PID(b); ok != c.pid.ok || ok && uint64(n) != c.pid.n {
			t.Errorf("PID(%q) = %d, %v", b, n, ok)
		}
	}
}

func FuzzFields(f *testing.F) {
	for _, s := range []string{
		`arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 ppid=1 pid=2 comm="sh" exe="/bin/sh" key=(null)`,
		`comm="evil\" pid=1 exe=2F62 comm=`,
		"pid=1 msg='op=x pid=2'\x1dUID=\"root\"",
		`argc=2 a0="ls" a1_len=3 a1[0]=61 a1[1]=62`,
		`avc:  denied  { read } for  pid=7 x="`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		at := 0
		for fields := FieldsOf(body); fields.Next(); {
			key, ok := inside(body, fields.Key)
			value, ok2 := inside(body, fields.Value)
			if !ok || !ok2 || key < at || value != key+len(fields.Key)+1 || body[value-1] != '=' {
				t.Fatalf("%q=%q at %d and %d, after %d", fields.Key, fields.Value, key, value, at)
			}
			at = value + len(fields.Value)
			if at < len(body) && body[at] != ' ' {
				t.Fatalf("the value %q ends before %q", fields.Value, body[at])
			}
			if bytes.ContainsAny(fields.Key, " =") {
				t.Fatalf("key %q", fields.Key)
			}
			if n := len(AppendDecoded(nil, fields.Value)); n > len(fields.Value) {
				t.Fatalf("%q decoded has %d bytes", fields.Value, n)
			}
		}
		checkCall(t, body)
		if args, err := Args(body); err == nil && strings.Join(args, "") != "" && !bytes.Contains(body, []byte("argc=")) {
			t.Errorf("arguments %q of %q", args, body)
		}
		if !bytes.Equal(body, before) {
			t.Fatal("the body was changed")
		}
	})
}

// checkCall compares the two ways Parse has: a field in front keeps it from the fast one, which relies on what stands
// before comm= being the kernel's.
func checkCall(t *testing.T, body []byte) {
	t.Helper()
	var fast, slow Call
	if !fast.parseUsual(body) {
		return
	}
	if !slow.Parse(append([]byte("x=0 "), body...)) {
		t.Fatalf("%q is read in the usual order only", body)
	}
	front, _, _ := bytes.Cut(body, []byte(" comm="))
	if bytes.Count(front, []byte("pid=")) != 2 || bytes.ContainsAny(front, `"'`) || bytes.Contains(front, []byte(" exe=")) {
		return
	}
	if !slow.Succeeded {
		slow.Exit = 0
	}
	if describe(&fast) != describe(&slow) {
		t.Errorf("%q read in two ways:\n%s\n%s", body, describe(&fast), describe(&slow))
	}
}

func TestWordsBetweenFields(t *testing.T) {
	for body, want := range map[string]string{
		"avc:  denied  { read } for  pid=7 comm=\"x\" end": "avc:  denied  { read } for  |pid;|comm;end|",
		"a=1  b=2":   "|a; |b;|",
		"words only": "words only|",
		"":           "|",
		"a='x' b=1":  "|a;|",
	} {
		var got strings.Builder
		f := FieldsOf([]byte(body))
		for f.Next() {
			got.WriteString(string(f.Words) + "|" + string(f.Key) + ";")
		}
		got.WriteString(string(f.Words) + "|")
		if got.String() != want {
			t.Errorf("%q: %q, want %q", body, got.String(), want)
		}
	}
}

package jsonl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"audisp-history/enrich/history"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
	"audisp-history/enrich/tracker"
)

// unescape is what the package's documentation says of strings: it gives the bytes back.
func unescape(s string) []byte {
	var b []byte
	for {
		before, after, found := strings.Cut(s, "\ufffd")
		b = append(b, before...)
		if !found {
			return b
		}
		var c byte
		if _, err := fmt.Sscanf(after[:2], "%02x", &c); err != nil {
			panic(err)
		}
		b, s = append(b, c), after[2:]
	}
}

func checkString(t *testing.T, b []byte) {
	t.Helper()
	out := AppendString(nil, b)
	if !utf8.Valid(out) || !bytes.Equal(out, AppendString(nil, string(b))) {
		t.Errorf("%q gives %q", b, out)
	}
	for _, r := range string(out) {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			t.Errorf("%q gives %q", b, out)
		}
	}
	var s string
	if err := json.Unmarshal(out, &s); err != nil {
		t.Errorf("%q gives %q: %v", b, out, err)
	}
	if got := unescape(s); !bytes.Equal(got, b) {
		t.Errorf("%q comes back as %q", b, got)
	}
	if utf8.Valid(b) && !bytes.Contains(b, []byte("\ufffd")) && s != string(b) {
		t.Errorf("%q is UTF-8, and is read as %q", b, s)
	}
}

func TestStringsComeBack(t *testing.T) {
	for c := range 256 {
		checkString(t, []byte{byte(c)})
		checkString(t, []byte{'a', byte(c), 0xc3, byte(c), 'b', byte(c)})
	}
	for _, s := range []string{"", "a", "ümlaut", "日本", "\U0001f600", "\ufffd", "\ufffdff", "a\ufffd", "\xef\xbf", "\xed\xa0\x80", "\xc0\x80",
		"\u0085", "\u2028\u2029", "\\xff", "\x7f", "\xf0\x9f\x98", "%25", "\"\\/"} {
		checkString(t, []byte(s))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		b := make([]byte, random.IntN(12))
		for i := range b {
			b[i] = []byte("a\\\"\xef\xbf\xbd\xff\xc3\xa9\n f0")[random.IntN(13)]
		}
		checkString(t, b)
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add([]byte("a\xff\xef\xbf\xbdff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 1<<16 {
			checkString(t, b)
		}
	})
}

// The two ways of reading arguments say the same.
func TestPlainArgumentsAreThoseOfArgs(t *testing.T) {
	for _, body := range []string{`argc=0`, `argc=1 a0="x"`, `argc=2 a0=414220 a1=(null)`, `argc=1`, `argc=1 a1="x"`, `argc=1 a0="x" a1="y"`,
		`argc=1 a0="x" words`, `argc=2 a0="x" a1[0]="y"`, `argc=x a0="x"`, `a0="x" argc=1`, `argc=2  a0="x"   a1="y" `, `argc=1 argc=1 a0=""`} {
		var r Records
		var plain struct{ Argv []string }
		out, ok := r.appendPlainArgs(nil, []byte(body))
		want, err := record.Args([]byte(body))
		if !ok {
			continue
		}
		if json.Unmarshal(out, &plain) != nil || err != nil || !slices.Equal(plain.Argv, want) {
			t.Errorf("%s: %s, want %q %v", body, out, want, err)
		}
	}
}

// members walks through a value and reports names that come twice in one object.
func members(t *testing.T, d *json.Decoder) {
	t.Helper()
	token, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch token {
	case json.Delim('{'):
		seen := map[string]bool{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				t.Fatal(err)
			}
			if s, _ := name.(string); seen[s] {
				t.Fatalf("%q comes twice", s)
			} else {
				seen[s] = true
			}
			members(t, d)
		}
		_, _ = d.Token()
	case json.Delim('['):
		for d.More() {
			members(t, d)
		}
		_, _ = d.Token()
	}
}

// checkLines checks what Append promises for any input.
func checkLines(t *testing.T, out []byte) {
	t.Helper()
	for line := range bytes.Lines(out) {
		if line[len(line)-1] != '\n' || !utf8.Valid(line) || !json.Valid(line) {
			t.Fatalf("not a line of JSON: %q", line)
		}
		for _, r := range string(line[:len(line)-1]) {
			if r < 0x20 || r >= 0x7f && r < 0xa0 {
				t.Fatalf("control character %U in %q", r, line)
			}
		}
		valid(t, line)
	}
}

// checkNames reports lines that are more than one object, and names that come twice in one.
func checkNames(t *testing.T, out []byte) {
	t.Helper()
	for line := range bytes.Lines(out) {
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		members(t, d)
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			t.Fatalf("more than one object: %q", line)
		}
	}
}

// seeds are lines that try things out.
var seeds = []string{
	"type=SYSCALL msg=audit(1.000:1): arch=c000003e syscall=59 a0=1 pid=1 comm=\"a\" exe=2F key=0161\x1dARCH=x86_64 SYSCALL=execve UID=\"root\"\n",
	"type=EXECVE msg=audit(1.000:1): argc=2 a0=\"a\" a1_len=3 a1[0]=4142\n",
	"type=SOCKADDR msg=audit(1.000:1): saddr=0200003501020304 addr=x family=y saddr=01\n",
	"type=USER_CMD msg=audit(1.000:2): pid=1 msg='op=x msg='y' avc: res=1'\x1dUID=\"root\"\n",
	"type=PROCTITLE msg=audit(1.000:1): proctitle=6100\n",
	"type=OBJ_PID msg=audit(1.000:1): opid=7 ocomm=\"x\"\n",
	"type=A\xff\" msg=audit(1.000:3): a=1 a=2 =3 text=4 \xff=\xff\n",
	"node=\xff type=CWD msg=audit(1.000:4): cwd=\"\\\"\n",
	"no record\n", "half",
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte(strings.Join(seeds, "")), "name\xff", uint8(0))
	for _, s := range seeds {
		f.Add([]byte(s+s), "a\nb", uint8(7))
	}
	f.Fuzz(func(t *testing.T, log []byte, name string, limit uint8) {
		if len(log) > 1<<16 || len(name) > 4096 {
			return
		}
		table := task.NewTable(task.Limits{Tasks: 10, Ended: 10, Execs: 100, Depth: 100}, 0)
		k := table.New(1, nil, nil, 0)
		for range 3 {
			table.Execute(k, []byte(name), []byte(name), 1<<40, task.Seen)
		}
		format := New(history.Cut(limit&1), int(limit)*4)
		var out []byte
		a := record.NewAssembler(10, func(e *record.Event) {
			var marks []tracker.Mark
			for i, r := range e.Records {
				marks = append(marks, tracker.Mark{Record: i, Target: r.Kind == record.Target, Exec: k.Exec, PID: 7})
			}
			out = format.Append(out, e, marks)
		})
		for line := range bytes.Lines(log) {
			a.Add(line, 0)
		}
		a.Flush()
		checkLines(t, out)
		checkNames(t, out)
	})
}

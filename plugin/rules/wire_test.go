package rules

import (
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/elastic/go-libaudit/v2/rule"
	"github.com/elastic/go-libaudit/v2/rule/flags"
)

// wire is the rule as libaudit makes it from auditctl's words, which is what the kernel lists.
func wire(t testing.TB, line string) []byte {
	t.Helper()
	line = strings.ReplaceAll(strings.ReplaceAll(line, ",435", ",clone3"), "&", `\&`) // it takes names, and words as a shell does
	parsed, err := flags.Parse(line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	data, err := rule.Build(parsed)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return data
}

func parse(t testing.TB, lines ...string) []Rule {
	t.Helper()
	list := make([][]byte, len(lines))
	for i, line := range lines {
		list[i] = wire(t, line)
	}
	rules, err := ParseAll(list)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// needsX8664: libaudit builds rules for the machine it runs on only.
func needsX8664(t testing.TB) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the lines are x86_64's, and libaudit builds rules for its own architecture only")
	}
}

func TestParse(t *testing.T) {
	needsX8664(t)
	for _, c := range []struct {
		line         string
		list, action uint32
		calls        []int // the first eight of the mask
		fields       []field
		text         string
	}{
		{"-a always,exit -F arch=b64 -S fork,execve,435 -F success=1 -F key=history", listExit, actionAlways, []int{57, 59, 435},
			[]field{{fieldArch, opEqual, 0xc000003e, ""}, {fieldSuccess, opEqual, 1, ""}, {fieldKey, opEqual, 7, "history"}},
			"-a always,exit -F arch=b64 -S fork,execve,clone3 -F success=1 -F key=history"},
		{"-a never,exit -F arch=b32 -S clone -F a0&0x10000", listExit, actionNever, []int{120},
			[]field{{fieldArch, opEqual, 0x40000003, ""}, {fieldArg0, opBitMask, 0x10000, ""}},
			"-a never,exit -F arch=b32 -S clone -F a0&65536"},
		{"-a never,task", listTask, actionNever, []int{0, 1, 2, 3, 4, 5, 6, 7}, nil, "-a never,task"},
		{"-a always,exclude -F msgtype=EOE", listExclude, actionAlways, []int{0, 1, 2, 3, 4, 5, 6, 7},
			[]field{{fieldMsgType, opEqual, 1320, ""}}, "-a always,exclude -F msgtype=EOE"},
		{"-w /var/log/x -p wa -k logs", listExit, actionAlways, []int{0, 1, 2, 3, 4, 5, 6, 7},
			[]field{{fieldWatch, opEqual, 10, "/var/log/x"}, {fieldPerm, opEqual, 10, ""}, {fieldKey, opEqual, 4, "logs"}},
			"-w /var/log/x -p wa -k logs"},
	} {
		t.Run(c.line, func(t *testing.T) {
			r := parse(t, c.line)[0]
			if r.list != c.list || r.action != c.action {
				t.Errorf("list %d, action %d, want %d, %d", r.list, r.action, c.list, c.action)
			}
			var calls []int
			for n := range maskBits {
				if r.about(n) && len(calls) < 8 {
					calls = append(calls, n)
				}
			}
			if !slices.Equal(calls, c.calls) {
				t.Errorf("calls %v, want %v", calls, c.calls)
			}
			if !slices.Equal(r.fields, c.fields) {
				t.Errorf("fields %v, want %v", r.fields, c.fields)
			}
			if r.String() != c.text {
				t.Errorf("is %q, want %q", r.String(), c.text)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	good := minimal()
	put := func(word int, value uint32) func([]byte) []byte {
		return func(b []byte) []byte {
			binary.NativeEndian.PutUint32(b[4*word:], value)
			return b
		}
	}
	for name, change := range map[string]func([]byte) []byte{
		"nothing":                func([]byte) []byte { return nil },
		"a header cut short":     func(b []byte) []byte { return b[:headBytes-1] },
		"too many fields":        put(2, maxFields+1),
		"strings cut short":      put(bufferLen, 8),
		"a size that wraps":      put(bufferLen, 0xffffffff),
		"a string beyond them":   put(valuesAt, 5),
		"a string's size wraps":  put(valuesAt, 0xfffffffc),
		"more than any rule has": func(b []byte) []byte { return append(b, make([]byte, maxRuleLen)...) },
	} {
		if r, err := Parse(change(slices.Clone(good))); err == nil {
			t.Errorf("%s: taken for %s", name, &r)
		}
	}
	if _, err := Parse(good); err != nil {
		t.Errorf("what was changed: %v", err)
	}
	if _, err := ParseAll([][]byte{good, good[:9]}); err == nil || !strings.Contains(err.Error(), "rule 2 of 2") {
		t.Errorf("got %v", err)
	}
}

// minimal is a rule with one field, a key of four bytes.
func minimal() []byte {
	b := make([]byte, headBytes+4)
	for word, value := range map[int]uint32{0: listExit, 1: actionAlways, 2: 1, fieldsAt: fieldKey, valuesAt: 4, opsAt: opEqual, bufferLen: 4} {
		binary.NativeEndian.PutUint32(b[4*word:], value)
	}
	copy(b[headBytes:], "keys")
	return b
}

// Whatever the bytes, nothing is read beyond them, and a rule that is taken can be asked everything.
func FuzzParse(f *testing.F) {
	f.Add(minimal())
	if runtime.GOARCH == "amd64" {
		for _, line := range lines(Files(machine(f, "amd64"))) {
			f.Add(wire(f, line))
		}
		f.Add(wire(f, "-a never,exclude -F msgtype=SYSCALL -F auid>=1000"))
		f.Add(wire(f, "-w /var/log/audisp-history -p wa"))
	}
	m := machine(f, "amd64")
	wanted := m.Wanted()
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data)
		if err != nil {
			return
		}
		if len(r.fields) > maxFields || strings.ContainsAny(r.String(), "\x00\n\x1b") {
			t.Errorf("%d fields, %q", len(r.fields), &r)
		}
		all := []Rule{r}
		Holes(wanted, all)
		Exclusions([]uint16{1300}, all)
		Watching(m, "/var/log/audisp-history/history.log", all)
	})
}

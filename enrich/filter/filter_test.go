package filter

import (
	"bytes"
	"path"
	"strings"
	"testing"

	"audisp-history/enrich/record"
)

// events puts lines together.
func events(text string) []*record.Event {
	var all []*record.Event
	a := record.NewAssembler(100, func(e *record.Event) { all = append(all, e) })
	a.Add([]byte("type=EOE msg=audit(0.001:1): \n"), 0) // from here on events end with EOE
	all = nil
	for line := range strings.Lines(text) {
		a.Add([]byte(line), 0)
	}
	a.Flush()
	return all
}

const (
	call  = `type=SYSCALL msg=audit(1.001:7): arch=c000003e syscall=257 success=yes exit=3 a0=0 a1=0 a2=0 a3=0 items=1 ppid=1 pid=9 auid=1000 uid=33 gid=0 ses=1 comm="less" exe="/usr/bin/less" subj=unconfined key=`
	end   = "type=PATH msg=audit(1.001:7): item=0 name=\"key=\"\ntype=PROCTITLE msg=audit(1.001:7): proctitle=\"x\"\ntype=EOE msg=audit(1.001:7): \n"
	avc   = "type=AVC msg=audit(1.001:7): avc:  denied  { read } for  pid=9\n"
	login = `type=USER_LOGIN msg=audit(1.001:7): pid=9 uid=0 auid=1000 ses=1 msg='op=login id=1000 uid=7 exe="/usr/sbin/sshd" hostname=? addr=? terminal=ssh res=failed'` + "\n"
)

// What is there only because of the history rules is left out, and nothing else.
func TestDefault(t *testing.T) {
	for name, c := range map[string]struct {
		event string
		keep  bool
	}{
		"recorded for the history":             {call + "\"history\"\n" + end, false},
		"auditd's additions":                   {call + "\"history\"\x1dARCH=x86_64\n" + end, false},
		"under a key of the user's":            {call + "\"probe\"\n" + end, true},
		"under a key that begins the same":     {call + "\"history-of-mine\"\n" + end, true},
		"without a key":                        {call + "(null)\n" + end, true},
		"under two keys, one of the user's":    {call + "686973746F72790170726F6265\n" + end, true}, // history, probe
		"under two keys, both history":         {call + "686973746F727901686973746F7279\n" + end, false},
		"with a denial":                        {avc + call + "\"history\"\n" + end, true},
		"a program whose name is the key":      {strings.Replace(call, `"less"`, `"key=history"`, 1) + "\"probe\"\n" + end, true},
		"a field after the key":                {call + "\"history\" more=1\n" + end, false},
		"a program's own record":               {login, true},
		"no record at all":                     {"hello\n", true},
		"the end of an event, come too late":   {"type=EOE msg=audit(1.001:7): \n", false},
		"a part of an event that came late":    {"type=PATH msg=audit(1.001:7): item=0\n", true},
		"a signal under the history rules":     {call + "\"history\"\ntype=OBJ_PID msg=audit(1.001:7): opid=3\n" + end, false},
		"io_uring under the history rules":     {"type=URINGOP msg=audit(1.001:7): uring_op=18 ppid=1 pid=9 uid=0 key=\"history\"\n" + end, false},
		"a change of the rules, with its call": {"type=CONFIG_CHANGE msg=audit(1.001:7): op=remove_rule\n" + call + "\"history\"\n" + end, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := events(c.event)
			if len(e) != 1 {
				t.Fatalf("%d events", len(e))
			}
			f := New(nil, false)
			if got := f.Keep(e[0]); got != c.keep || (f.Dropped == 0) != c.keep {
				t.Errorf("kept: %v, want %v; %d dropped", got, c.keep, f.Dropped)
			}
			if !New(nil, true).Keep(e[0]) {
				t.Error("not kept, though everything is wanted")
			}
		})
	}
}

// Each condition alone, once with a value that holds and once with one that does not.
func TestConditions(t *testing.T) {
	hexed := strings.Replace(call, `comm="less"`, `comm=6C65207373`, 1)
	for _, c := range []struct {
		name, event string
		yes, no     Match
	}{
		{"key", call + "\"probe\"\n" + end, Match{Keys: []string{"x", "probe"}}, Match{Keys: []string{"prob"}}},
		{"one of two keys", call + "686973746F72790170726F6265\n" + end, Match{Keys: []string{"prob*"}}, Match{Keys: []string{"history?probe"}}},
		{"no key", call + "(null)\n" + end, Match{UIDs: []uint32{33}}, Match{Keys: []string{"*"}}},
		{"type", call + "\"probe\"\n" + end, Match{Types: []string{"PATH"}}, Match{Types: []string{"CWD", "LOGIN"}}},
		{"type of a program's", login, Match{Types: []string{"USER_*"}}, Match{Types: []string{"SYSCALL"}}},
		{"system call", call + "\"probe\"\n" + end, Match{Syscalls: []string{"openat"}}, Match{Syscalls: []string{"open"}}},
		{"no system call", login, Match{Exes: []string{"*sshd"}}, Match{Syscalls: []string{"*"}}},
		{"exe", call + "\"probe\"\n" + end, Match{Exes: []string{"/usr/*/less"}}, Match{Exes: []string{"less"}}},
		{"exe that a program tells", login, Match{Exes: []string{"/usr/sbin/sshd"}}, Match{Exes: []string{"/usr/bin/less"}}},
		{"comm", hexed + "\"probe\"\n" + end, Match{Comms: []string{"le ss"}}, Match{Comms: []string{"less"}}},
		{"no comm", login, Match{}, Match{Comms: []string{"*"}}},
		{"uid", call + "\"probe\"\n" + end, Match{UIDs: []uint32{0, 33}}, Match{UIDs: []uint32{1000}}},
		{"uid is the kernel's", login, Match{UIDs: []uint32{0}}, Match{UIDs: []uint32{7}}},
		{"auid", login, Match{AUIDs: []uint32{1000}}, Match{AUIDs: []uint32{Unset}}},
		{"auid that is not set", strings.Replace(call, "auid=1000", "auid=4294967295", 1) + "\"probe\"\n" + end, Match{AUIDs: []uint32{Unset}}, Match{AUIDs: []uint32{0}}},
		{"success", call + "\"probe\"\n" + end, Match{Result: Success}, Match{Result: Failed}},
		{"failure of a program's", login, Match{Result: Failed}, Match{Result: Success}},
		{"no result", "type=ANOM_ABEND msg=audit(1.001:7): auid=1 uid=2 pid=3 comm=\"x\"\n", Match{UIDs: []uint32{2}}, Match{Result: Success}},
		{"all of several", login, Match{Types: []string{"USER_LOGIN"}, Result: Failed}, Match{Types: []string{"USER_LOGIN"}, Result: Success}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := events(c.event)[0]
			if !New([]Rule{{Keep: true, Match: c.yes}, {Match: Match{}}}, false).Keep(e) {
				t.Error("does not match what should")
			}
			if New([]Rule{{Keep: true, Match: c.no}, {Match: Match{}}}, false).Keep(e) {
				t.Error("matches what should not")
			}
		})
	}
}

// The first rule that matches decides, before it is asked what the event is there for.
func TestFirstDecides(t *testing.T) {
	execs := Rule{Keep: true, Match: Match{Syscalls: []string{"openat"}}}
	never := Rule{Match: Match{Comms: []string{"less"}}}
	history, probe := events(call + "\"history\"\n" + end)[0], events(call + "\"probe\"\n" + end)[0]
	if f := New([]Rule{execs, never}, false); !f.Keep(history) || !f.Keep(probe) {
		t.Error("keep does not come first")
	}
	if f := New([]Rule{never, execs}, true); f.Keep(history) || f.Keep(probe) || f.Dropped != 2 {
		t.Error("drop does not come first")
	}
}

// Patterns with many stars take no longer than the text is long, and agree with path.Match where that has the same "*".
func TestPatterns(t *testing.T) {
	for _, p := range []string{"", "*", "a", "*a", "a*", "*a*", "a*b", "*a*b*", "**", "ab*ab", "*ab", "aab*b"} {
		for _, s := range []string{"", "a", "b", "ab", "ba", "aab", "abab", "aabb", "ababab", "bbb"} {
			want, err := path.Match(p, s)
			if err != nil {
				t.Fatal(err)
			}
			if got := matches(p, []byte(s)); got != want {
				t.Errorf("%q %q: %v, want %v", p, s, got, want)
			}
		}
	}
	if matches(strings.Repeat("*a", 1000)+"b", bytes.Repeat([]byte("a"), 8000)) {
		t.Error("matches")
	}
}

func FuzzKeep(f *testing.F) {
	f.Add(call+"\"history\"\n"+end, "a*b")
	f.Add(login+avc, "*")
	f.Fuzz(func(_ *testing.T, text, pattern string) {
		p := []string{pattern}
		filter := New([]Rule{{Match: Match{Keys: p}}, {Match: Match{Types: p, Syscalls: p}}, {Keep: true, Match: Match{Exes: p, Comms: p}}}, false)
		for _, e := range events(text) {
			filter.Keep(e)
		}
	})
}

func BenchmarkKeep(b *testing.B) {
	for name, event := range map[string]string{"history": call + "\"history\"\n" + end, "probe": call + "\"probe\"\n" + end} {
		e := events(event)[0]
		for kind, f := range map[string]*Filter{"default": New(nil, false), "rules": New([]Rule{{Match: Match{Exes: []string{"/x*"}, Keys: []string{"y"}}}}, false)} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					f.Keep(e)
				}
			})
		}
	}
}

package jsonl

import (
	"encoding/json"
	"strings"
	"testing"

	"audisp-history/enrich/history"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
)

// chain is systemd, sshd and bash.
func chain() *task.Exec {
	t := task.NewTable(task.Limits{Tasks: 10, Ended: 10, Execs: 100, Depth: 100}, 0)
	k := t.New(1, nil, nil, 0)
	t.Execute(k, []byte("systemd"), []byte("/usr/lib/systemd/systemd"), 1691783079000, task.Proc)
	k = t.New(3660, k, k.Exec, 0)
	t.Execute(k, []byte("sshd"), nil, 1691750704123, task.Recorded)
	k = t.New(3767, k, k.Exec, 0)
	t.Execute(k, []byte("b\xe9sh\n"), []byte("/usr/bin/bash"), 1691750735271, task.Seen)
	return k.Exec
}

const chainJSON = `[{"name":"systemd","pid":1,"start":"2023-08-11T19:44:39.000Z","exe":"/usr/lib/systemd/systemd","via":"proc"},` +
	`{"name":"sshd","pid":3660,"start":"2023-08-11T10:45:04.123Z"},` +
	`{"name":"b` + "\ufffd" + `e9sh\n","pid":3767,"start":"2023-08-11T10:45:35.271Z","exe":"/usr/bin/bash","via":"seen"}]`

// events puts lines together.
func events(lines ...string) []*record.Event {
	var all []*record.Event
	a := record.NewAssembler(100, func(e *record.Event) { all = append(all, e) })
	for _, l := range lines {
		a.Add([]byte(l), 0)
	}
	a.Flush()
	return all
}

// write writes what lines make, each event with the same marks.
func write(t *testing.T, f *Format, marks []tracker.Mark, lines ...string) string {
	t.Helper()
	var out []byte
	for _, e := range events(lines...) {
		out = f.Append(out, e, marks)
	}
	for line := range strings.Lines(string(out)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	return string(out)
}

// The example of the package's documentation: kill, by a shell that somebody logged in for.
func TestAnEvent(t *testing.T) {
	f := New(history.Middle, 0)
	marks := []tracker.Mark{{Record: 1, Target: true, PID: 330, Exec: chain()}, {Record: 0, PID: 3767, Exec: chain()}}
	got := write(t, f, marks,
		"node=web type=SYSCALL msg=audit(1691750738.271:108): arch=c000003e syscall=62 success=yes exit=0 a0=14a a1=f a2=0 a3=7ffd items=0 ppid=3660 pid=3767 auid=1000 uid=0 tty=pts0 ses=2 comm=\"bash\" exe=\"/usr/bin/bash\" subj=unconfined key=7369676E616C01726F6F74\x1dARCH=x86_64 SYSCALL=kill AUID=\"ann\" UID=\"root\"\n",
		"node=web type=OBJ_PID msg=audit(1691750738.271:108): opid=330 oauid=-1 ouid=0 oses=-1 obj=unconfined ocomm=\"sleep\"\x1dOAUID=\"unset\" OUID=\"root\"\n",
		"node=web type=PROCTITLE msg=audit(1691750738.271:108): proctitle=62617368002D6C\n",
		"node=web type=EOE msg=audit(1691750738.271:108): \n")
	want := `{"id":"1691750738.271:108","time":"2023-08-11T10:45:38.271Z","node":"web","records":{` +
		`"SYSCALL":{"arch":"0xc000003e","syscall":62,"success":"yes","exit":0,"a0":"0x14a","a1":"0xf","a2":"0x0","a3":"0x7ffd",` +
		`"items":0,"ppid":3660,"pid":3767,"auid":1000,"uid":0,"tty":"pts0","ses":2,"comm":"bash","exe":"/usr/bin/bash",` +
		`"subj":"unconfined","keys":["signal","root"],"ARCH":"x86_64","SYSCALL":"kill","AUID":"ann","UID":"root"},` +
		`"OBJ_PID":[{"opid":330,"oauid":-1,"ouid":0,"oses":-1,"obj":"unconfined","ocomm":"sleep","OAUID":"unset","OUID":"root"}],` +
		`"PROCTITLE":{"argv":["bash","-l"]}},` +
		`"history":` + chainJSON + `,"target_history":[{"opid":330,"history":` + chainJSON + `}]}` + "\n"
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if f.Written != 2 || f.NoRoom != 0 {
		t.Errorf("%d written, %d without room", f.Written, f.NoRoom)
	}
}

// recordsOf is the object records of what lines make.
func recordsOf(t *testing.T, lines ...string) string {
	t.Helper()
	got := write(t, New(history.Middle, 0), nil, lines...)
	_, got, _ = strings.Cut(got, `"records":{`)
	return strings.TrimSuffix(got, "}}\n")
}

const head = " msg=audit(1691750738.271:108): "

func TestRecords(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"path", `PATH` + head + `item=0 name=2F746D702F612062 inode=15 dev=00:02 mode=0100755 ouid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fe=0` + "\x1dOUID=\"root\"",
			`"PATH":[{"item":0,"name":"/tmp/a b","inode":15,"dev":"00:02","mode":"0100755","ouid":0,"rdev":"00:00","nametype":"NORMAL","cap_fp":"0x0","cap_fe":0,"OUID":"root"}]`},
		{"path without a name", `PATH` + head + `item=0 name=(null)`, `"PATH":[{"item":0,"name":null}]`},
		{"a name that is a number stays a string", `PATH` + head + `item=0 name="12345678"`, `"PATH":[{"item":0,"name":"12345678"}]`},
		{"arguments are not decoded", `SYSCALL` + head + `a0=4142 a1=61`, `"SYSCALL":{"a0":"0x4142","a1":"0x61"}`},
		{"a name that ends in a backslash", `SYSCALL` + head + `pid=1 comm="evil\" exe="/x"`, `"SYSCALL":{"pid":1,"comm":"evil\\","exe":"/x"}`},
		{"names of call and architecture without auditd's", `SYSCALL` + head + `arch=c00000b7 syscall=221`,
			`"SYSCALL":{"arch":"0xc00000b7","syscall":221,"ARCH":"aarch64","SYSCALL":"execve"}`},
		{"an unknown call", `SYSCALL` + head + `arch=c000003e syscall=99999`, `"SYSCALL":{"arch":"0xc000003e","syscall":99999,"ARCH":"x86_64"}`},
		{"no key", `SYSCALL` + head + `pid=1 key=(null)`, `"SYSCALL":{"pid":1,"keys":[]}`},
		{"cwd", `CWD` + head + `cwd="/root"`, `"CWD":{"cwd":"/root"}`},
		{"arguments", `EXECVE` + head + `argc=3 a0="ls" a1=2D6C20 a2=""`, `"EXECVE":{"argc":3,"argv":["ls","-l ",""]}`},
		{"arguments in pieces", `EXECVE` + head + `argc=2 a0="ls" a1_len=4 a1[0]="ab" a1[1]=6364`, `"EXECVE":{"argc":2,"argv":["ls","abcd"]}`},
		{"an argument is missing", `EXECVE` + head + `argc=9 a0="ls" a2="x"`,
			`"EXECVE":{"argc":9,"argv":["ls","","x"],"error":"EXECVE records: argument a1 of 9 is missing","text":"argc=9 a0=\"ls\" a2=\"x\""}`},
		{"title with an empty argument", `PROCTITLE` + head + `proctitle=6C7300002D6C00`, `"PROCTITLE":{"argv":["ls","","-l"]}`},
		{"title that was set", `PROCTITLE` + head + `proctitle="(sd-pam)"`, `"PROCTITLE":{"argv":["(sd-pam)"]}`},
		{"title, not known", `PROCTITLE` + head + `proctitle=(null)`, `"PROCTITLE":{"argv":[]}`},
		{"IPv4", `SOCKADDR` + head + `saddr=02000035C0A80101` + "\x1dSADDR={ saddr_fam=inet laddr=192.168.1.1 lport=53 }", `"SOCKADDR":[{"family":"inet","addr":"192.168.1.1","port":53}]`},
		{"IPv6", `SOCKADDR` + head + `saddr=0A00001600000000FE80000000000000000000000000000103000000`, `"SOCKADDR":[{"family":"inet6","addr":"fe80::1","port":22,"scope":3}]`},
		{"a path with a brace", `SOCKADDR` + head + `saddr=01002F72756E2F7D2000` + "\x1dSADDR={ saddr_fam=local path=/run/} X=1 }", `"SOCKADDR":[{"family":"unix","path":"/run/} "}]`},
		{"abstract socket", `SOCKADDR` + head + `saddr=01000078`, `"SOCKADDR":[{"family":"unix","abstract":"x"}]`},
		{"netlink", `SOCKADDR` + head + `saddr=100000000700000000000000`, `"SOCKADDR":[{"family":"netlink","port":7,"groups":0}]`},
		{"another family", `SOCKADDR` + head + `saddr=1100AA`, `"SOCKADDR":[{"saddr":"1100AA"}]`},
		{"a program's message", `USER_CMD` + head + `pid=7 uid=1000 auid=1000 ses=1 msg='cwd="/root" cmd=6C73202D6C pid=1 terminal=pts/1 res=success'` + "\x1dUID=\"ann\"",
			`"USER_CMD":[{"pid":7,"uid":1000,"auid":1000,"ses":1,"msg":{"cwd":"/root","cmd":"ls -l","pid":1,"terminal":"pts/1","res":"success"},"UID":"ann"}]`},
		{"a message with words", `USER_AVC` + head + `pid=1 msg='avc:  denied  { send_msg } for msgtype=signal  exe="/x" '`,
			`"USER_AVC":[{"pid":1,"msg":{"msgtype":"signal","exe":"/x","text":"avc:  denied  { send_msg } for"}}]`},
		{"a message that never ends", `USER_CMD` + head + `pid=1 msg='op=x`, `"USER_CMD":[{"pid":1,"msg":{"op":"x"}}]`},
		{"a key in a message is one of the program", `USER_CMD` + head + `pid=1 msg='key="a" msg='x''`, `"USER_CMD":[{"pid":1,"msg":{"key":"a","msg":"'x'"}}]`},
		{"SELinux", `AVC` + head + `avc:  denied  { read write } for  pid=7 comm="x" path="/a" dev="sda1" ino=7 permissive=0`,
			`"AVC":[{"pid":7,"comm":"x","path":"/a","dev":"sda1","ino":7,"permissive":0,"text":"avc:  denied  { read write } for"}]`},
		{"a field that comes twice", `CONFIG_CHANGE` + head + `op=set pid=1 op=x end`, `"CONFIG_CHANGE":[{"op":"set","pid":1,"text":"op=x end"}]`},
		{"a field named as ours", `AVC` + head + `text=1 argv=2 keys=3 pid=1`, `"AVC":[{"pid":1,"text":"text=1 argv=2 keys=3"}]`},
		{"numbers that are none", `LOGIN` + head + `pid=abc uid=007 auid=4294967295 ses=-1 inode=18446744073709551615 exit=`,
			`"LOGIN":[{"pid":"abc","uid":"007","auid":4294967295,"ses":-1,"inode":"18446744073709551615","exit":""}]`},
		{"unset ids of auditd", `DAEMON_END` + head + `op=terminate auid=-1 res=success` + "\x1dAUID=\"unset\"", `"DAEMON_END":[{"op":"terminate","auid":-1,"res":"success","AUID":"unset"}]`},
		{"an unknown type", `UNKNOWN[1999]` + head + `x=1`, `"UNKNOWN[1999]":[{"x":"1"}]`},
		{"what auditd does not write behind the separator", `SYSCALL` + head + "pid=1\x1dUID=\"root\" syscall=5 words", `"SYSCALL":{"pid":1,"UID":"root","text":"syscall=5 words"}`},
		{"nothing in it", `AVC` + head, `"AVC":[{}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := recordsOf(t, "type="+c.line+"\n"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestRecordsOfOneTypeAreTogether(t *testing.T) {
	got := recordsOf(t,
		"type=SYSCALL"+head+"pid=1\n",
		"type=EXECVE"+head+"argc=3 a0=\"a\" a1[0]=\"b\"\n",
		"type=EXECVE"+head+"a1[1]=\"c\" a2=\"d\"\n",
		"type=PATH"+head+"item=0\n",
		"type=CWD"+head+"cwd=\"/\"\n",
		"type=PATH"+head+"item=1\n")
	want := `"SYSCALL":{"pid":1},"EXECVE":{"argc":3,"argv":["a","bc","d"]},"PATH":[{"item":0},{"item":1}],"CWD":{"cwd":"/"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A second record of a type of which the kernel writes but one does not change the shape, nor is it lost.
func TestASecondSyscallRecord(t *testing.T) {
	got := write(t, New(history.Middle, 0), nil, "type=SYSCALL"+head+"pid=1\n", "type=SYSCALL"+head+"pid=2\xff\n")
	want := `"records":{"SYSCALL":{"pid":1}},"unparsed":["type=SYSCALL msg=audit(1691750738.271:108): pid=2` + "\ufffdff" + `"]}` + "\n"
	if !strings.HasSuffix(got, want) {
		t.Errorf("%s", got)
	}
}

// What comes late is an event of its own, as valid as the first.
func TestTheRestOfAnEvent(t *testing.T) {
	f := New(history.Middle, 0)
	got := write(t, f, nil, "type=USER_CMD"+head+"pid=1\n", "type=CWD"+head+"cwd=\"/\"\n")
	if n := strings.Count(got, "\n"); n != 2 || !strings.Contains(got, `"records":{"CWD":{"cwd":"/"}}}`) {
		t.Errorf("%s", got)
	}
	if got := write(t, f, nil, "type=EOE"+head+"\n"); got != "" {
		t.Errorf("nothing but an end: %s", got)
	}
}

func TestLinesThatAreNoRecords(t *testing.T) {
	for line, want := range map[string]string{
		"hello\n":                     `{"unparsed":["hello"]}`,
		"\n":                          `{"unparsed":[""]}`,
		"a\xffb\r\n":                  `{"unparsed":["a` + "\ufffd" + `ffb\r"]}`,
		"half":                        `{"unparsed":["half"],"continues":true}`,
		"type=SYSCALL msg=audit(x)\n": `{"unparsed":["type=SYSCALL msg=audit(x)"]}`,
	} {
		if got := write(t, New(history.Middle, 0), nil, line); got != want+"\n" {
			t.Errorf("%q: %s", line, got)
		}
	}
}

// An event without SYSCALL whose records are about two processes: the kernel writes none, but nothing is lost of it.
func TestTwoProcessesInOneEvent(t *testing.T) {
	x := chain()
	got := write(t, New(history.Middle, 0), []tracker.Mark{{Record: 0, PID: 1, Exec: x.Prev.Prev}, {Record: 1, PID: 2, Exec: x.Prev}},
		"type=AVC"+head+"pid=1\n", "type=AVC"+head+"pid=2\n")
	var e struct {
		Records struct {
			AVC []struct{ History []json.RawMessage }
		}
		History []json.RawMessage
	}
	if err := json.Unmarshal([]byte(got), &e); err != nil {
		t.Fatal(err)
	}
	if len(e.History) != 1 || e.Records.AVC[0].History != nil || len(e.Records.AVC[1].History) != 2 {
		t.Errorf("%s", got)
	}
}

func TestAHistoryIsCutToTheLimit(t *testing.T) {
	f := New(history.Middle, 150)
	got := write(t, f, []tracker.Mark{{Record: 0, Exec: chain()}}, "type=CWD"+head+"cwd=\"/\"\n")
	want := `"history":[{"omitted":2},{"name":"b` + "\ufffd" + `e9sh\n","pid":3767,"start":"2023-08-11T10:45:35.271Z","exe":"/usr/bin/bash","via":"seen"}]}` + "\n"
	if !strings.HasSuffix(got, want) {
		t.Errorf("%s", got)
	}
	f = New(history.Middle, 5)
	got = write(t, f, []tracker.Mark{{Record: 0, Exec: chain()}}, "type=CWD"+head+"cwd=\"/\"\n")
	if strings.Contains(got, "history") || f.NoRoom != 1 {
		t.Errorf("%s %d", got, f.NoRoom)
	}
}

// The revision says that an exec was corrected: what was rendered of it must not be used again.
func TestRevise(t *testing.T) {
	f := New(history.Middle, 0)
	x := chain()
	marks := []tracker.Mark{{Record: 0, Exec: x}}
	write(t, f, marks, "type=CWD"+head+"cwd=\"/\"\n")
	x.Name = "corrected"
	f.Revise(1)
	if got := write(t, f, marks, "type=CWD"+head+"cwd=\"/\"\n"); !strings.Contains(got, "corrected") {
		t.Errorf("%s", got)
	}
}

func TestAppendGap(t *testing.T) {
	for _, c := range []struct {
		name string
		gap  tracker.Gap
		want string
	}{
		{"events lost", tracker.Gap{Reason: tracker.EventsLost, From: 1795339340803, To: 1795339352007, At: 1795339353120, Lost: 3, First: 7},
			`{"id":"1795339353.120:0","time":"2026-11-22T09:22:33.120Z","node":"here","gap":{"reason":"events-lost","from":"2026-11-22T09:22:20.803Z","to":"2026-11-22T09:22:32.007Z","lost":3,"first":7}}`},
		{"from boot on, no end, another node", tracker.Gap{Node: "there", Reason: tracker.Start, At: 1000},
			`{"id":"1.000:0","time":"1970-01-01T00:00:01.000Z","node":"there","gap":{"reason":"start","lost":0}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(New(history.Middle, 0).AppendGap([]byte("x"), &c.gap, &text.Self{Node: "here"})); got != "x"+c.want+"\n" {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestTimesOutOfRange(t *testing.T) {
	if got := string(AppendTime(nil, -1)); got != `"1970-01-01T00:00:00.000Z"` {
		t.Error(got)
	}
	if got := string(AppendTime(nil, 1<<62)); got != `"9999-12-31T23:59:59.999Z"` {
		t.Error(got)
	}
	if got := string(AppendID(nil, 1005, 7)); got != `"1.005:7"` {
		t.Error(got)
	}
}

package ecs

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"audisp-history/enrich"
	"audisp-history/enrich/history"
	"audisp-history/enrich/jsonl"
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
	t.Execute(k, []byte("sshd"), []byte("/usr/sbin/sshd"), 1691750704123, task.Recorded)
	k = t.New(3767, k, k.Exec, 0)
	t.Execute(k, []byte("bash"), []byte("/usr/bin/bash"), 1691750735271, task.Recorded)
	return k.Exec
}

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

// documents are those of lines, each event with the same marks.
func documents(t *testing.T, marks []tracker.Mark, lines ...string) string {
	t.Helper()
	f := New(history.Middle, 0)
	var frames []byte
	for _, e := range events(lines...) {
		frames = f.Append(frames, e, marks)
	}
	out, err := Document(nil, frames)
	if err != nil {
		t.Fatal(err)
	}
	check(t, out)
	return string(out)
}

// field is a field of a document as JSON, empty if it is not there.
func field(t *testing.T, doc, path string) string {
	t.Helper()
	var value any
	d := json.NewDecoder(strings.NewReader(doc))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(path, ".") {
		m, _ := value.(map[string]any)
		value = m[name]
	}
	if value == nil {
		return ""
	}
	b, _ := json.Marshal(value)
	return string(b)
}

type fields map[string]string

// want compares fields of a document. An empty one is not there.
func (want fields) compare(t *testing.T, doc string) {
	t.Helper()
	for path, value := range want {
		if got := field(t, doc, path); got != value {
			t.Errorf("%s is %s, want %s", path, got, value)
		}
	}
	if t.Failed() {
		t.Log(doc)
	}
}

const head = " msg=audit(1691750738.271:108): "

func TestAnExec(t *testing.T) {
	doc := documents(t, []tracker.Mark{{Record: 0, PID: 3767, Creator: 3660, Exec: chain()}},
		"node=web type=SYSCALL"+head+"arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=4 items=2 ppid=1 pid=3767 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=2 comm=\"bash\" exe=\"/usr/bin/bash\" subj=unconfined key=\"exec\"\x1dARCH=x86_64 SYSCALL=execve AUID=\"ann\" UID=\"root\" GID=\"root\" EUID=\"root\" SUID=\"root\" FSUID=\"root\" EGID=\"root\" SGID=\"root\" FSGID=\"root\"\n",
		"node=web type=EXECVE"+head+"argc=2 a0=\"bash\" a1=2D6320\n",
		"node=web type=CWD"+head+"cwd=2F686F6D652F612062\n",
		"node=web type=PATH"+head+"item=0 name=\"/bin/bash\" inode=15 dev=00:02 mode=0100755 ouid=0 ogid=0 rdev=00:00 obj=system_u:object_r:shell_exec_t:s0 nametype=NORMAL\x1dOUID=\"root\" OGID=\"root\"\n",
		"node=web type=PROCTITLE"+head+"proctitle=62617368002D6320\n",
		"node=web type=EOE"+head+"\n")
	fields{
		"@timestamp": `"2023-08-11T10:45:38.271Z"`, "ecs.version": `"8.11.0"`, "host.name": `"web"`, "event.kind": `"event"`,
		"event.category": `["process"]`, "event.type": `["start"]`, "event.action": `"executed"`, "event.outcome": `"success"`,
		"event.module": `"auditd"`, "service.type": `"auditd"`, "event.id": `"1691750738.271:108"`, "event.sequence": `108`,
		"process.pid": `3767`, "process.name": `"bash"`, "process.executable": `"/usr/bin/bash"`, "process.args": `["bash","-c "]`,
		"process.args_count": `2`, "process.title": `"bash -c "`, "process.working_directory": `"/home/a b"`,
		"process.parent": `{"executable":"/usr/sbin/sshd","name":"sshd","pid":3660}`, // not ppid=1
		"user.id":        `"0"`, "user.name": `"root"`, "user.audit": `{"id":"1000","name":"ann"}`, "user.effective": "",
		"user.selinux.user": `"unconfined"`, "related.user": `["ann","root"]`,
		"file.path": `"/bin/bash"`, "file.owner": `"root"`, "file.group": `"root"`, "file.mode": `"0755"`, "file.inode": `"15"`,
		"file.selinux.domain": `"shell_exec_t"`, "tags": `["exec"]`,
		"auditd.message_type": `"syscall"`, "auditd.sequence": `108`, "auditd.session": `"2"`, "auditd.result": `"success"`,
		"auditd.summary.actor": `{"primary":"ann","secondary":"root"}`, "auditd.summary.how": `"bash"`,
		"auditd.data.syscall": `"execve"`, "auditd.data.arch": `"x86_64"`, "auditd.data.a0": `"1"`, "auditd.data.tty": `"(none)"`,
		"error": "", "auditd.records": "",
	}.compare(t, doc)
	var chain []struct{ Name string }
	if json.Unmarshal([]byte(field(t, doc, "auditd.history")), &chain) != nil || len(chain) != 3 || chain[1].Name != "sshd" {
		t.Errorf("%s", doc)
	}
}

func TestASignal(t *testing.T) {
	x := chain()
	doc := documents(t, []tracker.Mark{{Record: 0, PID: 3767, Exec: x}, {Record: 1, Target: true, PID: 330, Exec: x.Prev}, {Record: 2, Target: true, PID: 331, Exec: x.Prev.Prev}},
		"type=SYSCALL"+head+"arch=c000003e syscall=62 success=no exit=-1 a0=0 a1=f a2=0 a3=0 items=0 ppid=3660 pid=3767 auid=0 uid=0 comm=\"bash\" exe=\"/usr/bin/bash\" key=(null)\n",
		"type=OBJ_PID"+head+"opid=330 oauid=-1 ouid=0 oses=-1 ocomm=\"a\"\n",
		"type=OBJ_PID"+head+"opid=331 oauid=-1 ouid=0 oses=-1 ocomm=\"b\"\n")
	fields{
		"event.outcome": `"failure"`, "auditd.data.exit": `"EPERM"`, "auditd.data.opid": `"330"`, "auditd.data.ocomm": `"a"`,
		// ppid= is right: it is who executed what the creator ran.
		"process.parent":         `{"executable":"/usr/sbin/sshd","name":"sshd","pid":3660}`,
		"auditd.records.OBJ_PID": `[{"oauid":-1,"ocomm":"b","opid":331,"oses":-1,"ouid":0}]`, "tags": "",
	}.compare(t, doc)
	var targets []struct {
		Opid    int
		History []any
	}
	if json.Unmarshal([]byte(field(t, doc, "auditd.target_history")), &targets) != nil || len(targets) != 2 ||
		targets[0].Opid != 330 || len(targets[0].History) != 2 || targets[1].Opid != 331 || len(targets[1].History) != 1 {
		t.Errorf("%s", doc)
	}
}

// Who the parent was is not known, and the parent now is another: then its program is not either.
func TestAParentThatIsNotTheCreator(t *testing.T) {
	doc := documents(t, []tracker.Mark{{Record: 0, PID: 3767, Exec: chain()}}, "type=SYSCALL"+head+"arch=c000003e syscall=2 success=yes exit=3 ppid=1 pid=3767 comm=\"bash\" exe=\"/usr/bin/bash\"\n")
	fields{"process.parent": `{"pid":1}`}.compare(t, doc)
}

// What blinds go-libaudit's parser, which takes \" for an escape.
func TestANameThatEndsInABackslash(t *testing.T) {
	doc := documents(t, nil, "type=SYSCALL"+head+"arch=c000003e syscall=2 success=yes exit=3 ppid=1 pid=7 auid=5 uid=6 comm=\"evil\\\" exe=\"/x\\\" key=\"a\\\"\n")
	fields{"process.name": `"evil\\"`, "process.executable": `"/x\\"`, "process.pid": "7", "user.id": `"6"`, "tags": `["a\\"]`}.compare(t, doc)
}

func TestNamesOfEveryKind(t *testing.T) {
	for name, encoded := range map[string]string{
		"~0~": `"~0~"`, "~1~": `"~1~"`, "ABCD": `"ABCD"`, "a b": "612062", "pid=1": `"pid=1"`, "it's": `"it's"`, `a"b`: "612262", "42": `"42"`,
		"\n": "0A", "a\ufffde9": "61E9", "?!": `"?!"`,
	} {
		doc := documents(t, nil, "type=SYSCALL"+head+"arch=c000003e syscall=2 success=yes exit=3 ppid=1 pid=7 comm="+encoded+" exe="+encoded+"\n",
			"type=PATH"+head+"item=0 name="+encoded+" nametype=NORMAL\n", "type=CWD"+head+"cwd="+encoded+"\n")
		want, _ := json.Marshal(name)
		fields{"process.name": string(want), "process.executable": string(want), "file.path": string(want), "process.working_directory": string(want),
			"process.pid": "7", "error": ""}.compare(t, doc)
	}
}

// What a program says of itself does not replace what the kernel says of it.
func TestAMessageOverridesNothing(t *testing.T) {
	doc := documents(t, nil, "type=USER_LOGIN"+head+"pid=7 uid=0 auid=1000 ses=3 msg='op=login id=1000 pid=1 uid=99 auid=98 syscall=59 key=\"x\" exe=\"/usr/sbin/sshd\" hostname=? addr=10.0.0.1 terminal=ssh res=success'\x1dUID=\"root\" AUID=\"ann\" ID=\"ann\"\n")
	fields{
		"process.pid": "7", "user.audit.id": `"1000"`, "auditd.data.msg_pid": `"1"`, "auditd.data.msg_uid": `"99"`, "auditd.data.msg_syscall": `"59"`,
		"tags": "", "event.action": `"logged-in"`, "event.category": `["authentication"]`, "process.executable": `"/usr/sbin/sshd"`,
		"source.ip": `"10.0.0.1"`, "network.direction": `"ingress"`, "related.ip": `["10.0.0.1"]`, "auditd.session": `"3"`, "event.outcome": `"success"`,
	}.compare(t, doc)
}

// The type of source.ip is ip: Elasticsearch would refuse the document.
func TestAnAddressThatIsNone(t *testing.T) {
	doc := documents(t, nil, "type=USER_LOGIN"+head+"pid=7 uid=0 auid=1 ses=3 msg='op=login acct=\"x\" exe=\"/s\" hostname=? addr=not-an-ip terminal=ssh res=failed'\n")
	fields{"source.address": `"not-an-ip"`, "source.ip": "", "event.outcome": `"failure"`}.compare(t, doc)
}

func TestAConnection(t *testing.T) {
	const call = "type=SYSCALL" + head + "arch=c000003e syscall=42 success=yes exit=0 ppid=1 pid=7 auid=5 uid=6 comm=\"curl\" exe=\"/usr/bin/curl\"\n"
	doc := documents(t, nil, call, "type=SOCKADDR"+head+"saddr=020001BB0A000001\x1dSADDR={ saddr_fam=inet laddr=10.0.0.1 lport=443 }\n")
	fields{"destination": `{"ip":"10.0.0.1","port":443}`, "network.direction": `"egress"`, "event.category": `["network"]`,
		"auditd.data.socket": `{"addr":"10.0.0.1","family":"ipv4","port":"443"}`}.compare(t, doc)
	doc = documents(t, nil, call, "type=SOCKADDR"+head+"saddr=01002F72756EFF2000\n")
	fields{"destination": `{"path":"/run` + "\ufffd" + `ff "}`}.compare(t, doc)
}

func TestSELinux(t *testing.T) {
	doc := documents(t, nil, "type=AVC"+head+"avc:  denied  { read write } for  pid=7 comm=\"x y\" path=2F61 dev=\"sda1\" ino=7 scontext=a:b:c:s0 tcontext=d:e:f:s0 tclass=file permissive=0\n")
	fields{"auditd.data.seresult": `"denied"`, "auditd.data.seperms": `"read,write"`, "auditd.data.path": `"/a"`, "event.action": `"violated-selinux-policy"`}.compare(t, doc)
}

// What go-libaudit makes nothing of is there all the same, and says so.
func TestWhatCannotBeRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  fields
	}{
		{"records without a SYSCALL", []string{"type=AVC" + head + "apparmor=\"DENIED\" pid=7 name=2F61\n", "type=CONFIG_CHANGE" + head + "op=x\n"},
			fields{"error.message": `"go-libaudit: missing syscall message in compound event"`, "auditd.records": `{"AVC":[{"apparmor":"DENIED","name":"/a","pid":7}],"CONFIG_CHANGE":[{"op":"x"}]}`}},
		{"an unknown type", []string{"type=NEW_ONE" + head + "pid=7\n"},
			fields{"error.message": `"NEW_ONE: record type \"NEW_ONE\": invalid message type; no record that can be read"`, "auditd.records": `{"NEW_ONE":[{"pid":7}]}`}},
		{"a system call that is none", []string{"type=SYSCALL" + head + "arch=c000003e syscall=x pid=7 comm=\"a\"\n"},
			fields{"auditd.records.SYSCALL.syscall": `"x"`, "auditd.records.SYSCALL.pid": "7", "event.action": ""}},
		{"arguments that are missing", []string{"type=SYSCALL" + head + "arch=c000003e syscall=59 pid=7\n", "type=EXECVE" + head + "argc=3 a0=\"x\"\n"},
			fields{"error.message": `"EXECVE records: argument a1 of 3 is missing"`, "process.args": "", "process.pid": "7"}},
		{"a line that is no record", []string{"hello\xff\n"},
			fields{"error.message": `"no audit record"`, "event.kind": `"pipeline_error"`, "event.original": `"hello` + "\ufffd" + `ff"`, "@timestamp": `"1970-01-01T00:00:00.000Z"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.compare(t, documents(t, nil, c.lines...))
		})
	}
}

// A kernel thread has no program.
func TestAKernelThread(t *testing.T) {
	doc := documents(t, nil, "type=SYSCALL"+head+"arch=c000003e syscall=41 success=yes exit=3 ppid=2 pid=7 comm=\"kworker/0:1\" exe=(null)\n")
	fields{"process.name": `"kworker/0:1"`, "process.executable": "", "auditd.data.syscall": `"socket"`, "error": ""}.compare(t, doc)
}

// A line that is no record has the time of the event before it: a document must have one.
func TestALineBetweenEvents(t *testing.T) {
	docs := documents(t, nil, "type=USER_CMD"+head+"pid=7 msg='cmd=6C73 res=success'\n", "hello\n")
	_, second, _ := strings.Cut(docs, "\n")
	fields{"@timestamp": `"2023-08-11T10:45:38.271Z"`}.compare(t, second)
	if docs := documents(t, nil, "type=EOE"+head+"\n"); docs != "" {
		t.Errorf("nothing but an end: %s", docs)
	}
}

func TestAGap(t *testing.T) {
	frames := New(history.Middle, 0).AppendGap(nil, &tracker.Gap{Reason: tracker.EventsLost, From: 1795339340803, To: 1795339352007, At: 1795339353120, Lost: 3, First: 7}, &text.Self{Node: "web"})
	out, err := Document(nil, frames)
	if err != nil {
		t.Fatal(err)
	}
	check(t, out)
	fields{
		"@timestamp": `"2026-11-22T09:22:33.120Z"`, "host.name": `"web"`, "event.action": `"history-gap"`, "event.reason": `"events-lost"`,
		"event.start": `"2026-11-22T09:22:20.803Z"`, "event.end": `"2026-11-22T09:22:32.007Z"`,
		"auditd.gap.lost": "3", "auditd.gap.first": "7",
	}.compare(t, string(out))
}

func TestFramesThatAreNone(t *testing.T) {
	frames := New(history.Middle, 0).AppendGap(nil, &tracker.Gap{}, &text.Self{})
	for i := 1; i < len(frames); i++ {
		if out, err := Document(nil, frames[:i]); err == nil || len(out) > 0 {
			t.Errorf("%d of %d bytes: %s", i, len(frames), out)
		}
	}
	out, err := Document(nil, append(frames, 1, 'X'))
	if err == nil || bytes.Count(out, []byte{'\n'}) != 1 {
		t.Errorf("%v %s", err, out)
	}
}

// stream enriches and hands on.
type stream struct {
	*enrich.Stream
	event func(*record.Event, []tracker.Mark)
}

func newStream(event func(*record.Event, []tracker.Mark)) *stream {
	s := &stream{event: event}
	s.Stream = enrich.New(enrich.Config{
		Limits:       task.Limits{Tasks: 1 << 20, Ended: 1 << 16, Execs: 1 << 22, Depth: 1024},
		PendingForks: 1 << 16, OpenEvents: 4096, Wait: 1000,
	}, s)
	return s
}

func (s *stream) Event(e *record.Event, m []tracker.Mark) { s.event(e, m) }
func (s *stream) Gap(tracker.Gap)                         {}

func (s *stream) feed(tb testing.TB, name string) {
	tb.Helper()
	f, err := os.Open(filepath.Join("..", "..", "testdata", "captures", name, "stream.log.gz"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	var lines record.Lines
	lines.Feed(b, handler{s.Stream})
	s.Close(lines.Rest())
}

type handler struct{ *enrich.Stream }

func (h handler) Line(line []byte)  { h.Stream.Line(line, 0) }
func (h handler) Piece(part []byte) { h.Stream.Piece(part, 0) }

// shape is what an event looks like without its numbers. Most events of a capture differ in them only, and to check one
// takes long: there is one of each shape.
func shape(lines []byte) string {
	out := make([]byte, 0, len(lines))
	for i := 0; i < len(lines); {
		n, digits := 0, 0
		for ; i+n < len(lines) && (lines[i+n]-'0' <= 9 || lines[i+n]-'a' <= 5); n++ {
			if lines[i+n] <= '9' {
				digits++
			}
		}
		switch {
		case digits > 0:
			out = append(out, '0')
		case n > 0:
			out = append(out, lines[i:i+n]...)
		default:
			out = append(out, lines[i])
			n = 1
		}
		i += n
	}
	return string(out)
}

// Every kind of document of every capture has the fields of the table and no others, and the histories of JSON Lines.
func TestCaptures(t *testing.T) {
	for _, name := range []string{"boot", "gap", "late", "parallel", "restart", "rulesgone"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, j := New(history.Middle, 0), jsonl.New(history.Middle, 0)
			docs, failed, parents := 0, 0, 0
			shapes := map[string]bool{}
			var s *stream
			s = newStream(func(e *record.Event, marks []tracker.Mark) {
				var all []byte
				for i := range e.Records {
					all = append(all, e.Line(i)...)
				}
				kind := shape(all)
				if shapes[kind] {
					return
				}
				shapes[kind] = true
				f.Revise(s.Tracker().Revision())
				j.Revise(s.Tracker().Revision())
				out, err := Document(nil, f.Append(nil, e, marks))
				if err != nil {
					t.Fatal(err)
				}
				check(t, out)
				docs++
				if bytes.Contains(out, []byte(`"error":{`)) {
					failed++
				}
				if bytes.Contains(out, []byte(`"parent":{"executable":`)) {
					parents++
				}
				line := j.Append(nil, e, marks)
				if i := bytes.Index(line, []byte(`,"history":[`)); i > 0 && len(marks) == 1 {
					want := bytes.TrimSuffix(line[i+1:], []byte("}\n"))
					if !bytes.Contains(out, want) {
						t.Fatalf("%s\nwant %s", out, want)
					}
				}
			})
			s.feed(t, name)
			t.Logf("%d documents, %d with an error, %d with the parent's program", docs, failed, parents)
			if docs < 200 || failed > docs/50 || parents < docs/2 {
				t.Errorf("%d documents, %d with an error, %d with the parent's program", docs, failed, parents)
			}
		})
	}
}

func FuzzDocument(f *testing.F) {
	for _, s := range []string{
		"type=SYSCALL" + head + "arch=c000003e syscall=59 success=yes exit=-1 pid=1 auid=0 uid=0 comm=\"a\\\" exe=2F key=0161\x1dUID=\"root\"\ntype=PATH" + head + "item=0 name=41 mode=0100644\n",
		"type=USER_LOGIN" + head + "pid=1 msg='op=x acct=\"y\" addr=::1%eth0 pid=2 msg='z' res=1'\n",
		"type=SOCKADDR" + head + "saddr=0200003501020304\ntype=SYSCALL" + head + "arch=c000003e syscall=42 pid=1\n",
		"type=AVC" + head + "avc:  denied  { a } for  pid=1 socket=x socket_y=z ~0~=1 x=~0~ y=~1~\n",
		"type=EXECVE" + head + "argc=2 a0=\"a\"\ntype=SECCOMP" + head + "sig=1 arch=x\nno record\n",
	} {
		f.Add([]byte(s), "name\xff")
	}
	f.Fuzz(func(t *testing.T, log []byte, name string) {
		if len(log) > 1<<16 || len(name) > 4096 {
			return
		}
		table := task.NewTable(task.Limits{Tasks: 10, Ended: 10, Execs: 100, Depth: 100}, 0)
		k := table.New(1, nil, nil, 0)
		table.Execute(k, []byte(name), []byte(name), 1<<40, task.Seen)
		format := New(history.Middle, 0)
		var frames []byte
		n := 0
		a := record.NewAssembler(10, func(e *record.Event) {
			var marks []tracker.Mark
			for i, r := range e.Records {
				marks = append(marks, tracker.Mark{Record: i, Target: r.Kind == record.Target, Exec: k.Exec, PID: 7, Creator: uint32(len(name))})
			}
			before := len(frames)
			if frames = format.Append(frames, e, marks); len(frames) > before {
				n++
			}
		})
		for line := range bytes.Lines(log) {
			a.Add(line, 0)
		}
		a.Flush()
		out, err := Document(nil, frames)
		if err != nil || bytes.Count(out, []byte{'\n'}) != n {
			t.Fatalf("%v: %d documents of %d frames", err, bytes.Count(out, []byte{'\n'}), n)
		}
		check(t, out)
	})
}

func FuzzFrames(f *testing.F) {
	f.Add(New(history.Middle, 0).AppendGap(nil, &tracker.Gap{}, &text.Self{}))
	f.Add([]byte{3, 'E', 0, 0})
	f.Fuzz(func(t *testing.T, frames []byte) {
		if len(frames) < 1<<14 {
			_, _ = Document(nil, frames)
		}
	})
}

// BenchmarkAppend is what copying an event into a frame costs, BenchmarkDocument what its document does, per record.
func BenchmarkAppend(b *testing.B) {
	records, size := 0, 0
	f := New(history.Middle, 4096)
	var frames []byte
	var all []*record.Event
	var marks [][]tracker.Mark
	newStream(func(e *record.Event, m []tracker.Mark) {
		var lines []string
		for i := range e.Records {
			lines = append(lines, string(e.Line(i)))
		}
		if c := events(lines...); len(c) == 1 {
			all = append(all, c[0])
			marks = append(marks, append([]tracker.Mark(nil), m...))
		}
	}).feed(b, "boot")
	b.ReportAllocs()
	b.ResetTimer()
	for records < b.N {
		for i, e := range all {
			frames = f.Append(frames[:0], e, marks[i])
			size += len(frames)
			if records += len(e.Records); records >= b.N {
				break
			}
		}
	}
	b.ReportMetric(float64(size)/float64(records), "B/record")
}

func BenchmarkDocument(b *testing.B) {
	f := New(history.Middle, 4096)
	var frames [][]byte
	var records []int
	newStream(func(e *record.Event, m []tracker.Mark) {
		frames = append(frames, f.Append(nil, e, m))
		records = append(records, len(e.Records))
	}).feed(b, "boot")
	var out []byte
	b.ReportAllocs()
	b.ResetTimer()
	done, size := 0, 0
	for done < b.N {
		for i, frame := range frames {
			out, _ = Document(out[:0], frame)
			size += len(out)
			if done += records[i]; done >= b.N {
				break
			}
		}
	}
	b.ReportMetric(float64(size)/float64(done), "B/record")
}

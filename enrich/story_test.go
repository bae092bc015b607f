package enrich_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"audisp-history/enrich"
	"audisp-history/enrich/procfs"
	"audisp-history/enrich/record"
	"audisp-history/enrich/tracker"
)

// A story is a stream of events in a short notation, one a line, with the history that each must get:
//
//	[@SERIAL] [+MS] PID<PPID VERB ARGUMENT… [= HISTORY]
//
// Verbs are those of verbs below. The program a task runs follows from the story; "as NAME" says otherwise. A line
// counts one serial and 10 ms further than the one before it; @SERIAL gives another serial, +MS another time. In a
// history each exec is NAME:PID, with ? for via=seen, * for via=proc, ! for via=helper; "-" is none; a second one, after
// "/", is that of the target of a signal. Lines that begin with # are comments.
type story struct {
	t       *testing.T
	stream  *enrich.Stream
	serial  uint64
	at      int64
	node    string
	arch    string
	program map[string]string
	got     map[uint64]string // histories by serial
	wants   []want
	gaps    []tracker.Gap
}

type want struct {
	line, history string
	serial        uint64
}

// storyBegin is when stories begin: 2026-01-01T00:00:00Z.
const storyBegin = 1767225600000

func newStory(t *testing.T) *story {
	s := &story{t: t, at: storyBegin, serial: 100, arch: "c000003e", program: map[string]string{}, got: map[uint64]string{}}
	c := config
	c.Node = "here"
	s.stream = enrich.New(c, s)
	return s
}

// tell runs a story from its beginning: init, pid 1, is known.
func tell(t *testing.T, text string) {
	t.Helper()
	s := newStory(t)
	s.tell("1<0 exec init\n" + text)
	s.end()
}

func (s *story) tell(text string) {
	s.t.Helper()
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			s.line(line)
		}
	}
}

// end ends the stream and compares.
func (s *story) end() {
	s.t.Helper()
	s.stream.Close(nil)
	for _, w := range s.wants {
		if got := s.got[w.serial]; got != w.history {
			s.t.Errorf("%s\n  got %s", w.line, got)
		}
	}
}

// verbs give the number of each system call on x86_64, and say what its argument is.
var verbs = map[string]struct {
	number   int
	argument string
}{
	"fork":    {57, "child"},
	"vfork":   {58, "child"},
	"clone":   {56, "child"},
	"clone3":  {435, "child"},
	"exec":    {59, "program"},
	"badexec": {59, "failure"},
	"exit":    {231, ""},
	"texit":   {60, ""},
	"open":    {257, ""},
	"kill":    {62, "target"},
	"unshare": {272, "flags"},
	"setns":   {308, "flags"},
}

func (s *story) line(line string) {
	s.t.Helper()
	text, history, expected := strings.Cut(line, " = ")
	words := strings.Fields(text)
	s.serial++
	s.at += 10
	serial, at := s.serial, s.at
	for len(words) > 0 && strings.ContainsAny(words[0][:1], "@+-") {
		n, err := strconv.ParseInt(words[0][1:], 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		switch words[0][0] {
		case '@':
			serial = uint64(n)
			s.serial--
		case '+':
			s.at += n
			at = s.at
		case '-':
			at -= n
		}
		words = words[1:]
	}
	pid, ppid, ok := strings.Cut(words[0], "<")
	if !ok || len(words) < 2 {
		s.t.Fatalf("story: %q", line)
	}
	if expected {
		s.wants = append(s.wants, want{line, strings.TrimSpace(history), serial})
	}
	s.call(serial, at, pid, ppid, words[1], words[2:])
}

func (s *story) call(serial uint64, at int64, pid, ppid, verb string, args []string) {
	v, ok := verbs[verb]
	if !ok {
		s.t.Fatalf("story: no verb %q", verb)
	}
	if s.program[pid] == "" {
		s.program[pid] = s.program[ppid]
	}
	result, a0, a1, target := "success=yes exit=0", "0", "0", ""
	switch v.argument {
	case "child":
		result = "success=yes exit=" + args[0]
		if s.program[args[0]] == "" {
			s.program[args[0]] = s.program[pid]
		}
		if len(args) > 1 && args[1] != "as" {
			a0 = args[1]
		}
	case "program":
		s.program[pid] = args[0]
	case "failure":
		result = "success=no exit=-2"
	case "target":
		target = args[0]
	case "flags":
		a0, a1 = args[0], args[0]
	}
	if v.number == 231 || v.number == 60 {
		result = ""
	}
	program := s.program[pid]
	for i, a := range args {
		if a == "as" {
			program = args[i+1]
			s.program[pid] = program
		}
	}
	if result != "" {
		result += " "
	}
	stamp := fmt.Sprintf("msg=audit(%d.%03d:%d):", at/1000, at%1000, serial)
	node := ""
	if s.node != "" {
		node = "node=" + s.node + " "
	}
	s.write(fmt.Sprintf(`%stype=SYSCALL %s arch=%s syscall=%d %sa0=%s a1=%s a2=0 a3=0 items=0 ppid=%s pid=%s auid=0 uid=0 ses=1 comm="%.15s" exe="/bin/%s" key="history"`,
		node, stamp, s.arch, v.number, result, a0, a1, ppid, pid, program, program))
	if target != "" {
		s.write(fmt.Sprintf(`%stype=OBJ_PID %s opid=%s oauid=0 ouid=0 oses=1 ocomm="x"`, node, stamp, target))
	}
	s.write(fmt.Sprintf("%stype=EOE %s ", node, stamp))
	if verb == "exit" {
		delete(s.program, pid)
	}
}

func (s *story) write(line string) { s.stream.Line([]byte(line+"\n"), 0) }

// Gap notes a gap.
func (s *story) Gap(g tracker.Gap) { s.gaps = append(s.gaps, g) }

// Event notes the histories that an event got.
func (s *story) Event(e *record.Event, marks []tracker.Mark) {
	own, target := "-", ""
	for _, m := range marks {
		if m.Target {
			target = " / " + brief(m)
			continue
		}
		own = brief(m)
	}
	if _, seen := s.got[e.Serial]; !seen {
		s.got[e.Serial] = own + target
	}
}

// brief is a history in the notation of stories, without the two execs of init that all begin with.
func brief(m tracker.Mark) string {
	var parts []string
	for e := m.Exec; e != nil; e = e.Prev {
		mark := map[string]string{"seen": "?", "proc": "*", "helper": "!"}[e.Via.String()]
		parts = append([]string{fmt.Sprintf("%s:%d%s", e.Name, e.PID, mark)}, parts...)
	}
	text := strings.Join(parts, " ")
	for _, init := range []string{"swapper/0:1? init:1", "swapper/0:1* init:1*", "swapper/0:1* init:1"} {
		if rest, ok := strings.CutPrefix(text, init); ok && (rest == "" || rest[0] == ' ') {
			return "init" + rest
		}
	}
	return text
}

// look gives the stream a look at /proc, at the story's present moment. Each process is PID<PPID NAME, started before
// the story began unless it is followed by a time in the story's milliseconds.
func (s *story) look(processes ...string) {
	s.t.Helper()
	s.at += 10
	l := &procfs.Look{Begin: msTime(s.at), End: msTime(s.at), Boot: msTime(storyBegin - 60000)}
	for _, text := range processes {
		words := strings.Fields(text)
		pid, ppid, _ := strings.Cut(words[0], "<")
		p := procfs.Process{PID: atoi(s.t, pid), PPID: atoi(s.t, ppid), Name: words[1], Start: msTime(storyBegin - 50000)}
		p.Exe, p.Cmdline = "/bin/"+words[1], words[1]
		p.NamespacePIDs = []int{p.PID}
		for _, w := range words[2:] {
			switch {
			case w == "kernel":
				p.KernelThread, p.Exe, p.Cmdline = true, "", ""
			case w == "hidden": // its exe cannot be read
				p.Exe = ""
			case strings.HasPrefix(w, "args="):
				p.Cmdline = w
			case strings.HasPrefix(w, "ns="):
				p.NamespacePIDs = append(p.NamespacePIDs, atoi(s.t, w[3:]))
			default:
				p.Start = msTime(storyBegin + int64(atoi(s.t, w)))
			}
		}
		s.program[pid] = words[1]
		l.Processes = append(l.Processes, p)
	}
	s.stream.Look(l)
}

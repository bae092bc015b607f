// Package pretty writes events for people at a terminal: what happened in words, who did it, and the history.
//
//	2023-08-11 10:45:38.271 #108 kill ok  bash[3767] /usr/bin/bash  root (login ann)  key=signal
//	    systemd › sshd[3660] › bash[3767]
//	  → sleep[330] systemd › sshd[3660] › sleep[330]
//
// Times are UTC. Names are chosen by attackers: whatever is no printable character is shown as \xNN or \u{…}, a
// backslash as \\, so that nothing but this package's own colours gets to the terminal.
package pretty

import (
	"bytes"
	"strconv"
	"time"

	"audisp-history/enrich/abi"
	"audisp-history/enrich/history"
	"audisp-history/enrich/jsonl"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
)

// A Format writes events. It is not safe for concurrent use.
type Format struct {
	paint
	histories *history.Renderer
	parts     []record.Parts
	decoded   []byte

	Written uint64 // histories written
	NoRoom  uint64 // histories left out because not even the number of execs was within the limit
}

// longestHistory bounds a history, whatever the limit: 4096 of them are kept.
const longestHistory = 8 << 10

// New makes a format, in colour or not, whose histories take at most limit bytes each, and at most 8 KiB; 0 is no limit
// of its own.
func New(colour bool, cut history.Cut, limit int) *Format {
	f := &Format{paint: paint(colour)}
	separator := f.in(dim, " › ")
	f.histories = history.NewEncoded(history.Encoding{
		Element: appendExec, Omitted: appendOmitted, Separator: separator, Longest: longestHistory,
	}, cut, limit)
	return f
}

// Revise tells the format that histories may have been corrected (see tracker.Tracker.Revision).
func (f *Format) Revise(revision uint64) { f.histories.Revise(revision) }

// appendExec appends a name and its pid, and how the exec is known if not from a record. Process 1 needs no pid.
func appendExec(dst []byte, e *task.Exec) []byte {
	if e.Via == task.Folded {
		return appendOmitted(dst, uint64(e.Omitted))
	}
	dst = appendSafe(dst, e.Name)
	if e.PID != 1 {
		dst = append(strconv.AppendUint(append(dst, '['), uint64(e.PID), 10), ']')
	}
	if via := e.Via.String(); via != "" {
		dst = append(append(append(dst, '('), via...), ')')
	}
	return dst
}

func appendOmitted(dst []byte, execs uint64) []byte {
	return append(strconv.AppendUint(append(dst, "… "...), execs, 10), " …"...)
}

// Append appends an event. It appends nothing for an event that is nothing but an end (EOE).
func (f *Format) Append(dst []byte, e *record.Event, marks []tracker.Mark) []byte {
	if e.Records[0].Kind == record.Unreadable {
		for i := range e.Records {
			dst = append(f.begin(dst, dim), "? "...)
			dst = append(f.end(appendSafe(dst, bytes.TrimRight(e.Line(i), "\r\n")), dim), '\n')
		}
		return dst
	}
	f.parts = f.parts[:0]
	for i := range e.Records {
		if e.Records[i].Kind != record.End {
			f.parts = append(f.parts, e.Parts(i))
		}
	}
	if len(f.parts) == 0 {
		return dst
	}
	dst = f.appendHead(dst, e.Time, e.Serial, e.Node)
	dst = append(f.appendEvent(dst), '\n')
	dst = f.appendDetail(dst)
	return f.appendHistories(dst, e, marks)
}

func (f *Format) appendHead(dst []byte, ms int64, serial uint64, node string) []byte {
	dst = f.begin(dst, dim)
	dst = time.UnixMilli(min(max(ms, 0), lastMilli)).UTC().AppendFormat(dst, "2006-01-02 15:04:05.000")
	dst = strconv.AppendUint(append(dst, " #"...), serial, 10)
	if node != "" {
		dst = appendSafe(append(dst, ' '), node)
	}
	return append(f.end(dst, dim), ' ')
}

// lastMilli is the end of the year 9999.
const lastMilli = 253402300799999

// main is the record that says what happened: SYSCALL or URINGOP, else the first.
func (f *Format) main() *record.Parts {
	for i := range f.parts {
		if k := f.parts[i].Kind; k == record.Syscall || k == record.Uring {
			return &f.parts[i]
		}
	}
	return &f.parts[0]
}

// appendEvent appends what happened, with what result, and who did it.
func (f *Format) appendEvent(dst []byte) []byte {
	p := f.main()
	for i := range f.parts { // what was logged during the call comes first: AVC, CONFIG_CHANGE, LOGIN
		if q := &f.parts[i]; q != p && q.Kind != record.Title && !isPart(q.Type) {
			dst = append(f.end(appendSafe(f.begin(dst, bold), q.Type), bold), ' ')
		}
	}
	message := messageOf(p.Raw)
	dst = f.end(f.appendWhat(f.begin(dst, bold), p), bold)
	dst = f.appendResult(dst, p.Raw, message)
	dst = f.appendProgram(dst, p.Raw, message)
	dst = f.appendUser(dst, p)
	return f.appendKeys(dst, p.Raw)
}

// isPart reports whether records of a type only say more about a system call.
func isPart(typ []byte) bool {
	switch string(typ) {
	case "PATH", "CWD", "EXECVE", "SOCKADDR", "BPRM_FCAPS", "OBJ_PID", "FD_PAIR", "MMAP", "SYSCALL", "URINGOP":
		return true
	}
	return false
}

// messageOf is what stands in msg='…'.
func messageOf(body []byte) []byte {
	v, _ := record.Find(body, "msg")
	if len(v) == 0 || v[0] != '\'' {
		return nil
	}
	return bytes.TrimSuffix(v[1:], []byte{'\''})
}

// appendWhat appends the name of the system call, or the type of the record.
func (f *Format) appendWhat(dst []byte, p *record.Parts) []byte {
	if p.Kind != record.Syscall {
		return appendSafe(dst, p.Type)
	}
	if name, ok := record.Find(p.Enriched, "SYSCALL"); ok {
		return appendSafe(dst, name)
	}
	v, _ := record.Find(p.Raw, "syscall")
	number, ok := record.PID(v)
	v, _ = record.Find(p.Raw, "arch")
	arch, known := record.Hex(v)
	if ok && known && arch < 1<<32 {
		if name := abi.Name(uint32(arch), int(number)); name != "" {
			return append(dst, name...)
		}
		return strconv.AppendUint(append(dst, "call "...), uint64(number), 10)
	}
	return appendSafe(dst, p.Type)
}

// appendResult appends ok, or failed and with which exit code.
func (f *Format) appendResult(dst []byte, body, message []byte) []byte {
	result, ok := record.Find(body, "success")
	if !ok {
		if result, ok = record.Find(body, "res"); !ok {
			if result, ok = record.Find(message, "res"); !ok {
				return dst
			}
		}
	}
	switch string(result) {
	case "yes", "1", "success":
		return append(append(dst, ' '), f.in(green, "ok")...)
	}
	dst = append(f.begin(append(dst, ' '), red), "failed"...)
	if exit, ok := record.Find(body, "exit"); ok {
		dst = appendSafe(append(dst, ' '), exit)
	}
	return f.end(dst, red)
}

// value appends a field's decoded value, with what stands before it, and reports whether there is one.
func (f *Format) value(dst []byte, before string, body []byte, key string) ([]byte, bool) {
	v, ok := record.Find(body, key)
	if !ok {
		return dst, false
	}
	f.decoded = jsonl.AppendDecoded(f.decoded[:0], []byte(key), v)
	if len(f.decoded) == 0 || string(f.decoded) == "?" {
		return dst, false
	}
	return appendSafe(append(dst, before...), f.decoded), true
}

// appendProgram appends the program: name, pid and path. A user-space record has its path in the message.
func (f *Format) appendProgram(dst []byte, body, message []byte) []byte {
	dst, named := f.value(dst, "  ", body, "comm")
	before := "  pid "
	if named {
		before = "["
	}
	dst, ok := f.value(dst, before, body, "pid")
	if ok && named {
		dst = append(dst, ']')
	}
	before = "  "
	if named {
		before = " "
	}
	if dst, ok = f.value(dst, before, body, "exe"); !ok {
		dst, _ = f.value(dst, "  ", message, "exe")
	}
	return dst
}

// appendUser appends the user, and who that logged in as, by name where auditd gave it.
func (f *Format) appendUser(dst []byte, p *record.Parts) []byte {
	dst, ok := f.user(dst, "  ", p, "uid", "UID")
	before := "  (login "
	if ok {
		before = " (login "
	}
	if v, _ := record.Find(p.Raw, "auid"); string(v) == "4294967295" || string(v) == "-1" {
		return dst
	}
	if dst, ok = f.user(dst, before, p, "auid", "AUID"); ok {
		dst = append(dst, ')')
	}
	return dst
}

func (f *Format) user(dst []byte, before string, p *record.Parts, id, name string) ([]byte, bool) {
	if dst, ok := f.value(dst, before, p.Enriched, name); ok {
		return dst, true
	}
	return f.value(dst, before, p.Raw, id)
}

func (f *Format) appendKeys(dst []byte, body []byte) []byte {
	v, _ := record.Find(body, "key")
	f.decoded = jsonl.AppendDecoded(f.decoded[:0], []byte("key"), v)
	for keys, more := f.decoded, len(f.decoded) > 0; more; {
		var key []byte
		key, keys, more = bytes.Cut(keys, []byte{1})
		dst = f.end(appendSafe(append(f.begin(append(dst, "  "...), yellow), "key="...), key), yellow)
	}
	return dst
}

func (f *Format) appendHistories(dst []byte, e *record.Event, marks []tracker.Mark) []byte {
	for i := range marks {
		m := &marks[i]
		begin := len(dst)
		if m.Target {
			dst = append(append(dst, "  "...), f.in(yellow, "→ ")...)
			dst, _ = f.value(dst, "", e.Body(m.Record), "ocomm")
			dst = append(strconv.AppendUint(append(dst, '['), uint64(m.PID), 10), "] "...)
		} else {
			dst = append(dst, indent...)
		}
		from := len(dst)
		if dst = f.histories.Append(dst, m.Exec, longestHistory); len(dst) == from {
			f.NoRoom++
			dst = dst[:begin]
			continue
		}
		f.Written++
		dst = append(dst, '\n')
	}
	return dst
}

// AppendGap appends a gap.
func (f *Format) AppendGap(dst []byte, g *tracker.Gap, self *text.Self) []byte {
	node := g.Node
	if node == "" {
		node = self.Node
	}
	dst = f.appendHead(dst, g.At, 0, node)
	dst = append(append(f.begin(dst, red), "gap: "...), g.Reason.String()...)
	dst = f.end(dst, red)
	const layout = "2006-01-02 15:04:05.000"
	if g.From > 0 {
		dst = time.UnixMilli(min(g.From, lastMilli)).UTC().AppendFormat(append(dst, " from "...), layout)
	}
	if g.To > 0 {
		dst = time.UnixMilli(min(g.To, lastMilli)).UTC().AppendFormat(append(dst, " to "...), layout)
	}
	if g.Lost > 0 {
		dst = append(strconv.AppendUint(append(dst, ", "...), g.Lost, 10), " events lost"...)
	}
	if g.By > 0 {
		dst = append(strconv.AppendUint(append(dst, ", by "...), uint64(g.By), 10), "\n    "...)
		dst = f.histories.Append(dst, g.ByExec, longestHistory)
	}
	return append(dst, '\n')
}

package jsonl

import (
	"strconv"

	"audisp-history/enrich/history"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
)

// A Format writes events. It is not safe for concurrent use.
type Format struct {
	records   Records
	histories *history.Renderer
	parts     []record.Parts
	marks     []tracker.Mark
	own       *task.Exec // whose history is that of the event

	Written uint64 // histories written
	NoRoom  uint64 // histories left out because not even the number of execs was within the limit
}

// New makes a format whose histories take at most limit bytes of JSON each, and at most 16 KiB; 0 is no limit of its own.
func New(cut history.Cut, limit int) *Format {
	f := &Format{histories: NewHistories(cut, limit)}
	f.records.after = f.appendFurther
	return f
}

// Revise tells the format that histories may have been corrected (see tracker.Tracker.Revision).
func (f *Format) Revise(revision uint64) { f.histories.Revise(revision) }

// Append appends an event as one line. It appends nothing for an event that is nothing but an end (EOE).
func (f *Format) Append(dst []byte, e *record.Event, marks []tracker.Mark) []byte {
	if e.Records[0].Kind == record.Unreadable {
		return appendUnparsed(dst, e)
	}
	f.parts = f.parts[:0]
	ends := 0
	for i := range e.Records {
		f.parts = append(f.parts, e.Parts(i))
		if e.Records[i].Kind == record.End {
			ends++
		}
	}
	if ends == len(e.Records) {
		return dst
	}
	f.marks, f.own = marks, ownHistory(marks)
	dst = appendHead(dst, e.Time, e.Serial, e.Node)
	dst, left := f.records.Append(append(dst, `,"records":`...), f.parts)
	if len(left) > 0 {
		dst = append(dst, `,"unparsed":[`...)
		for _, i := range left {
			dst = AppendString(separated(dst), withoutEnd(f.parts[i].Line))
		}
		dst = append(dst, ']')
	}
	if f.own != nil {
		dst = f.appendHistory(dst, f.own)
	}
	return append(f.appendTargets(dst), "}\n"...)
}

// appendHead appends what every event begins with.
func appendHead(dst []byte, ms int64, serial uint64, node string) []byte {
	dst = AppendID(append(dst, `{"id":`...), ms, serial)
	dst = AppendTime(append(dst, `,"time":`...), ms)
	if node != "" {
		dst = AppendString(append(dst, `,"node":`...), node)
	}
	return dst
}

// ownHistory is the history of the process that the event is about, nil if it is not known.
func ownHistory(marks []tracker.Mark) *task.Exec {
	for i := range marks {
		if !marks[i].Target {
			return marks[i].Exec
		}
	}
	return nil
}

func (f *Format) appendHistory(dst []byte, e *task.Exec) []byte {
	const name = `,"history":[`
	begin := len(dst)
	dst = append(dst, name...)
	dst = f.histories.Append(dst, e, longestHistory)
	if len(dst) == begin+len(name) {
		f.NoRoom++
		return dst[:begin]
	}
	f.Written++
	return append(dst, ']')
}

func (f *Format) appendTargets(dst []byte) []byte {
	open := false
	for i := range f.marks {
		m := &f.marks[i]
		if !m.Target {
			continue
		}
		if !open {
			dst = append(dst, `,"target_history":[`...)
			open = true
		}
		dst = strconv.AppendUint(append(separated(dst), `{"opid":`...), uint64(m.PID), 10)
		dst = append(f.appendHistory(dst, m.Exec), '}')
	}
	if open {
		dst = append(dst, ']')
	}
	return dst
}

// appendFurther appends the history of a record that is about another process than the event. The kernel writes no such
// events.
func (f *Format) appendFurther(dst []byte, i int) []byte {
	for j := range f.marks {
		if m := &f.marks[j]; m.Record == i && !m.Target && m.Exec != f.own {
			return f.appendHistory(dst, m.Exec)
		}
	}
	return dst
}

// appendUnparsed appends a line that is no audit record, or a part of one.
func appendUnparsed(dst []byte, e *record.Event) []byte {
	dst = append(dst, `{"unparsed":[`...)
	whole := true
	for i := range e.Records {
		line := e.Line(i)
		dst = AppendString(separated(dst), withoutEnd(line))
		whole = len(line) > 0 && line[len(line)-1] == '\n'
	}
	dst = append(dst, ']')
	if !whole {
		dst = append(dst, `,"continues":true`...)
	}
	return append(dst, "}\n"...)
}

// withoutEnd takes the newline off a line.
func withoutEnd(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		return line[:n-1]
	}
	return line
}

// AppendGap appends a gap as one line. Its serial is 0, which the kernel never gives out: it belongs to no event.
func (f *Format) AppendGap(dst []byte, g *tracker.Gap, self *text.Self) []byte {
	node := g.Node
	if node == "" {
		node = self.Node
	}
	dst = appendHead(dst, g.At, 0, node)
	return append(AppendGapObject(append(dst, `,"gap":`...), g, f.histories), "}\n"...)
}

// AppendGapObject appends what is known of a gap as an object: reason, from, to, lost, first, by and by_history. What is
// not known is left out.
func AppendGapObject(dst []byte, g *tracker.Gap, histories *history.Renderer) []byte {
	dst = AppendString(append(dst, `{"reason":`...), g.Reason.String())
	if g.From > 0 {
		dst = AppendTime(append(dst, `,"from":`...), g.From)
	}
	if g.To > 0 {
		dst = AppendTime(append(dst, `,"to":`...), g.To)
	}
	dst = strconv.AppendUint(append(dst, `,"lost":`...), g.Lost, 10)
	if g.First > 0 {
		dst = strconv.AppendUint(append(dst, `,"first":`...), g.First, 10)
	}
	if g.By > 0 {
		dst = strconv.AppendUint(append(dst, `,"by":`...), uint64(g.By), 10)
		begin := len(dst)
		const field = `,"by_history":[`
		dst = histories.Append(append(dst, field...), g.ByExec, longestHistory)
		if len(dst) == begin+len(field) {
			dst = dst[:begin]
		} else {
			dst = append(dst, ']')
		}
	}
	return append(dst, '}')
}

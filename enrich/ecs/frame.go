package ecs

import (
	"encoding/binary"
	"errors"

	"audisp-history/enrich/history"
	"audisp-history/enrich/jsonl"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
)

// The kinds of frames.
const (
	eventFrame = 'E'
	lineFrame  = 'L' // a line that is no audit record
	gapFrame   = 'G'
)

// A Format copies events into frames, of which Document makes documents. It is not safe for concurrent use.
type Format struct {
	histories *history.Renderer
	body      []byte
	history   []byte
	last      int64 // the time of the last event

	Written uint64 // histories written
	NoRoom  uint64 // histories left out because not even the number of execs was within the limit
}

// New makes a format whose histories take at most limit bytes of JSON each, and at most 16 KiB; 0 is no limit of its own.
func New(cut history.Cut, limit int) *Format {
	return &Format{histories: jsonl.NewHistories(cut, limit)}
}

// Revise tells the format that histories may have been corrected (see tracker.Tracker.Revision).
func (f *Format) Revise(revision uint64) { f.histories.Revise(revision) }

// longestHistory is more than a history ever takes.
const longestHistory = 1 << 20

// Append appends an event as a frame. It appends nothing for an event that is nothing but an end (EOE).
func (f *Format) Append(dst []byte, e *record.Event, marks []tracker.Mark) []byte {
	if e.Records[0].Kind == record.Unreadable {
		f.body = begin(f.body[:0], lineFrame, f.last, 0, "")
		for i := range e.Records {
			f.body = append(f.body, e.Line(i)...)
		}
		return seal(dst, f.body)
	}
	f.last = e.Time
	f.body = begin(f.body[:0], eventFrame, e.Time, e.Serial, e.Node)
	f.appendOwn(marks)
	f.appendTargets(marks)
	lines := 0
	for i := range e.Records {
		if e.Records[i].Kind != record.End {
			f.body = bytesOf(f.body, e.Line(i))
			lines++
		}
	}
	if lines == 0 {
		return dst
	}
	return seal(dst, f.body)
}

// begin begins a frame: what it is, when, and of which machine.
func begin(b []byte, kind byte, ms int64, serial uint64, node string) []byte {
	b = binary.AppendVarint(append(b, kind), ms)
	return bytesOf(binary.AppendUvarint(b, serial), node)
}

func bytesOf[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// seal appends a frame with its length before it.
func seal(dst, body []byte) []byte { return bytesOf(dst, body) }

// appendOwn appends what is known of the process that the event is about, and of the one that made it.
func (f *Format) appendOwn(marks []tracker.Mark) {
	var own tracker.Mark
	for i := range marks {
		if !marks[i].Target {
			own = marks[i]
			break
		}
	}
	f.body = binary.AppendUvarint(f.body, uint64(own.PID))
	f.body = binary.AppendUvarint(f.body, uint64(own.Creator))
	parent := before(own.Exec, own.PID)
	if parent == nil {
		parent = &task.Exec{Program: &task.Program{}}
	}
	f.body = binary.AppendUvarint(f.body, uint64(parent.PID))
	f.body = bytesOf(bytesOf(f.body, parent.Name), parent.Exe)
	f.appendHistory(own.Exec)
}

// before is the program that a task's creator ran when it forked the task: the newest that the task has not itself
// executed; nil if that is not known.
func before(e *task.Exec, pid uint32) *task.Exec {
	for e != nil && e.PID == pid && e.Via != task.Folded {
		e = e.Prev
	}
	if e == nil || e.Via == task.Folded {
		return nil
	}
	return e
}

func (f *Format) appendHistory(e *task.Exec) {
	f.history = f.histories.Append(f.history[:0], e, longestHistory)
	switch {
	case len(f.history) > 0:
		f.Written++
	case e != nil:
		f.NoRoom++
	}
	f.body = bytesOf(f.body, f.history)
}

func (f *Format) appendTargets(marks []tracker.Mark) {
	n := 0
	for i := range marks {
		if marks[i].Target {
			n++
		}
	}
	f.body = binary.AppendUvarint(f.body, uint64(n))
	for i := range marks {
		if marks[i].Target {
			f.body = binary.AppendUvarint(f.body, uint64(marks[i].PID))
			f.appendHistory(marks[i].Exec)
		}
	}
}

// AppendGap appends a gap as a frame.
func (f *Format) AppendGap(dst []byte, g *tracker.Gap, self *text.Self) []byte {
	node := g.Node
	if node == "" {
		node = self.Node
	}
	b := begin(nil, gapFrame, g.At, 0, node)
	b = bytesOf(b, g.Reason.String())
	b = binary.AppendVarint(binary.AppendVarint(b, g.From), g.To)
	return seal(dst, jsonl.AppendGapObject(b, g, f.histories))
}

// A frame is what was read of one.
type frame struct {
	kind   byte
	ms     int64
	serial uint64
	node   string

	pid, creator uint64
	parent       uint64 // who executed the program that the creator ran
	name, exe    string // that program
	history      []byte
	targets      []target
	lines        [][]byte

	reason   string
	from, to int64
	rest     []byte // of a line the line, of a gap its object
}

type target struct {
	opid    uint64
	history []byte
}

var errFrame = errors.New("a frame that Append has not made")

// reader reads a frame; bad turns true with the first thing that is not there.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// next takes the first frame off frames.
func next(frames []byte) (f frame, rest []byte, err error) {
	outer := reader{rest: frames}
	r := reader{rest: outer.bytes()}
	if outer.bad || len(r.rest) == 0 {
		return f, nil, errFrame
	}
	f.kind, r.rest = r.rest[0], r.rest[1:]
	f.ms, f.serial, f.node = r.int(), r.uint(), string(r.bytes())
	switch f.kind {
	case eventFrame:
		r.event(&f)
	case gapFrame:
		f.reason, f.from, f.to = string(r.bytes()), r.int(), r.int()
	case lineFrame:
	default:
		r.bad = true
	}
	f.rest = r.rest
	if r.bad {
		return f, nil, errFrame
	}
	return f, outer.rest, nil
}

func (r *reader) event(f *frame) {
	f.pid, f.creator, f.parent = r.uint(), r.uint(), r.uint()
	f.name, f.exe = string(r.bytes()), string(r.bytes())
	f.history = r.bytes()
	for n := r.uint(); n > 0 && !r.bad; n-- {
		f.targets = append(f.targets, target{r.uint(), r.bytes()})
	}
	for len(r.rest) > 0 {
		f.lines = append(f.lines, r.bytes())
	}
}

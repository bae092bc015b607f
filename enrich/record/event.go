package record

// A Record is one line of an event.
type Record struct {
	Kind Kind
	// Where in the event's bytes the line begins, its body begins and the line ends, newline included.
	start, body, end int
	raw              int // where its raw part ends, 0 if nobody has asked
}

// An Event is the records that share a node, a time and a serial, in the order they came in. It and all that it hands
// out are valid until it is given back to its assembler.
type Event struct {
	Node    string
	Time    int64 // milliseconds since 1970, UTC
	Serial  uint64
	Arrived int64 // when its first record came, on the clock handed to the assembler
	Records []Record
	// Ordered is false for what carries no serial of the kernel's: DAEMON_* records, this program's own, and lines that
	// are no records.
	Ordered bool
	// Call is the index of the SYSCALL or URINGOP record, -1 if there is none.
	Call int
	// Lacks is for whoever keeps events: this one is [Event.Headless], and the rest of it may still be had.
	Lacks bool
	// Rest is for whoever keeps events: further parts of this one, that came after it was complete.
	Rest *Event

	data   []byte
	titled bool   // its PROCTITLE has come
	seenAt uint64 // the assembler's count of events begun when its last record came
	chain  *Event // the next one in its hash bucket
	lane   *lane
	older  *Event // its neighbours in the lane
	newer  *Event
}

// Line is the whole line of the i-th record as it was read, newline included where it had one.
func (e *Event) Line(i int) []byte { r := e.Records[i]; return e.data[r.start:r.end] }

// Body is the raw body of the i-th record: what the kernel or a program wrote, without what auditd added.
func (e *Event) Body(i int) []byte {
	raw := e.RawEnd(i)
	r := &e.Records[i]
	return e.data[r.body : r.start+raw]
}

// RawEnd is where in Line(i) the raw part ends: the place to add a field.
func (e *Event) RawEnd(i int) int {
	r := &e.Records[i]
	if r.raw == 0 {
		r.raw = r.start + max(Raw(e.Line(i), r.Kind == User || r.Kind == Daemon), r.body-r.start)
	}
	return r.raw - r.start
}

// Parts takes the i-th record apart. Of what is no record, only the line is known.
func (e *Event) Parts(i int) Parts {
	line := e.Line(i)
	if e.Records[i].Kind == Unreadable {
		return Parts{Line: line}
	}
	return split(line, e.Header(i), e.Records[i].Kind, e.RawEnd(i))
}

// Header reads the header of the i-th record once more.
func (e *Event) Header(i int) Header { h, _ := ParseHeader(e.Line(i)); return h }

func (e *Event) add(line []byte, kind Kind, body int) {
	start := len(e.data)
	e.data = append(e.data, line...)
	if e.Call < 0 && (kind == Syscall || kind == Uring) {
		e.Call = len(e.Records)
	}
	e.Records = append(e.Records, Record{Kind: kind, start: start, body: start + body, end: start + len(line)})
}

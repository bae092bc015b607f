package record

// Limits and delays of an Assembler.
const (
	// An event that no record ended is taken for complete when so many later ones have begun since its last record:
	// few where it has no SYSCALL record (a kernel record that stands alone), more where it has one and events are
	// known to have an end, since their records interleave.
	moveOnBare = 16
	moveOnCall = 512
	// MaxAge is how long an event may stay open, in milliseconds.
	MaxAge = 1000
	// maxEvent is how many bytes of an event are kept together. What comes after them is an event of its own: it has
	// no SYSCALL record, which comes first.
	maxEvent = 1 << 20
	buckets  = 1 << 12
)

// An Assembler puts the records of a stream together to events and hands each on, once, when it is complete: at EOE;
// where the stream has no EOE (auditd's log), at PROCTITLE; else when the stream has moved on, at the latest MaxAge
// after its first record. Records that come later still make a further event of the same name.
type Assembler struct {
	emit    func(*Event)
	limit   int // open events
	hash    [buckets]*Event
	bare    lane // open, without a SYSCALL record so far
	calls   lane // open, with one
	open    int
	begun   uint64
	last    *Event // the one of the record before
	ends    bool   // EOE records come
	titles  bool   // PROCTITLE records come
	free    []*Event
	node    string // the last one's, so that equal names share their bytes
	Evicted uint64 // events that had to be called complete because too many were open
}

// A lane lists open events, oldest first.
type lane struct{ oldest, newest *Event }

// NewAssembler makes an assembler that keeps at most limit events open. emit gets each complete event and gives it
// back with Release.
func NewAssembler(limit int, emit func(*Event)) *Assembler {
	return &Assembler{emit: emit, limit: max(limit, 1)}
}

// Add takes one line, which it copies. now is the arrival time in milliseconds on a clock that need not be the wall's.
func (a *Assembler) Add(line []byte, now int64) {
	h, ok := ParseHeader(line)
	if !ok {
		a.Pass(line, now)
		return
	}
	kind := KindOf(h.Type)
	e := a.find(&h)
	if e == nil {
		e = a.begin(&h, kind, now)
	}
	e.add(line, kind, h.Body)
	e.seenAt, a.last = a.begun, e
	if kind == Syscall || kind == Uring {
		a.move(e)
	}
	a.titles = a.titles || kind == Title
	a.ends = a.ends || kind == End
	e.titled = e.titled || kind == Title
	// A title is the last record of a system call. Under load it may overtake the first.
	titled := e.titled && e.Call >= 0 && !a.ends
	if kind == End || kind == User || kind == Daemon || titled || len(e.data) > maxEvent {
		a.complete(e)
	}
}

// Pass hands on a line that is no audit record, as an event without a name.
func (a *Assembler) Pass(line []byte, now int64) {
	e := a.take()
	e.Arrived = now
	e.add(line, Unreadable, 0)
	a.emit(e)
}

// Tick hands on what has been open for too long. Call it now and then while no records come.
func (a *Assembler) Tick(now int64) {
	for _, l := range []*lane{&a.bare, &a.calls} {
		for l.oldest != nil && now-l.oldest.Arrived >= MaxAge {
			a.complete(l.oldest)
		}
	}
}

// Flush hands on all open events, oldest first: the stream has ended.
func (a *Assembler) Flush() {
	for a.bare.oldest != nil || a.calls.oldest != nil {
		e := a.bare.oldest
		if c := a.calls.oldest; e == nil || c != nil && c.Serial < e.Serial {
			e = c
		}
		a.complete(e)
	}
}

// Open is how many events are being put together.
func (a *Assembler) Open() int { return a.open }

// Opened calls yield for every event that is being put together.
func (a *Assembler) Opened(yield func(*Event) bool) {
	for _, l := range []*lane{&a.bare, &a.calls} {
		for e := l.oldest; e != nil; e = e.newer {
			if !yield(e) {
				return
			}
		}
	}
}

// Release takes back an event that emit got.
func (a *Assembler) Release(e *Event) {
	if len(a.free) >= 1024 || cap(e.data) > 64<<10 {
		return
	}
	*e = Event{data: e.data[:0], Records: e.Records[:0]}
	a.free = append(a.free, e)
}

func (a *Assembler) take() *Event {
	n := len(a.free)
	if n == 0 {
		return &Event{Call: -1}
	}
	e := a.free[n-1]
	a.free = a.free[:n-1]
	e.Call = -1
	return e
}

func (a *Assembler) find(h *Header) *Event {
	if a.last != nil && a.last.is(h) {
		return a.last
	}
	for e := a.hash[h.Serial%buckets]; e != nil; e = e.chain {
		if e.is(h) {
			return e
		}
	}
	return nil
}

func (e *Event) is(h *Header) bool {
	return e.Serial == h.Serial && e.Time == h.Time && e.Node == string(h.Node)
}

func (a *Assembler) begin(h *Header, kind Kind, now int64) *Event {
	if a.node != string(h.Node) {
		a.node = string(h.Node)
	}
	e := a.take()
	e.Node, e.Time, e.Serial, e.Arrived, e.Ordered = a.node, h.Time, h.Serial, now, ordered(kind, h.Serial)
	a.moveOn(now)
	b := &a.hash[h.Serial%buckets]
	e.chain, *b = *b, e
	a.bare.push(e)
	a.open++
	a.begun++
	return e
}

// moveOn completes what the stream has left behind, before one more event begins.
func (a *Assembler) moveOn(now int64) {
	call := uint64(moveOnBare)
	if a.ends || a.titles {
		call = moveOnCall
	}
	a.leave(&a.bare, moveOnBare, now)
	a.leave(&a.calls, call, now)
	for a.open >= a.limit {
		a.Evicted++
		e := a.bare.oldest
		if c := a.calls.oldest; e == nil || c != nil && c.Arrived < e.Arrived {
			e = c
		}
		a.complete(e)
	}
}

func (a *Assembler) leave(l *lane, behind uint64, now int64) {
	for e := l.oldest; e != nil && (a.begun-e.seenAt >= behind || now-e.Arrived >= MaxAge); e = l.oldest {
		a.complete(e)
	}
}

func (a *Assembler) complete(e *Event) {
	e.lane.remove(e)
	p := &a.hash[e.Serial%buckets]
	for *p != e {
		p = &(*p).chain
	}
	*p, e.chain = e.chain, nil
	a.open--
	if a.last == e {
		a.last = nil
	}
	a.emit(e)
}

func (a *Assembler) move(e *Event) {
	if e.lane == &a.bare {
		e.lane.remove(e)
		a.calls.push(e)
	}
}

// push enters an event behind those that arrived before it.
func (l *lane) push(e *Event) {
	older, newer := l.newest, (*Event)(nil)
	for older != nil && older.Arrived > e.Arrived {
		older, newer = older.older, older
	}
	if older != nil {
		older.newer = e
	} else {
		l.oldest = e
	}
	if newer != nil {
		newer.older = e
	} else {
		l.newest = e
	}
	e.lane, e.older, e.newer = l, older, newer
}

func (l *lane) remove(e *Event) {
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		l.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		l.newest = e.older
	}
	e.lane, e.older, e.newer = nil, nil, nil
}

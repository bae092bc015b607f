// Package enrich puts histories on audit records: records in, records with history out.
//
//	line → record.Assembler → event → order.Order → tracker.Tracker → Output
//
// It has no clock, reads no files and starts no goroutines: time and looks at /proc are handed in.
package enrich

import (
	"slices"

	"audisp-history/enrich/order"
	"audisp-history/enrich/packed"
	"audisp-history/enrich/procfs"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
	"audisp-history/enrich/tracker"
)

// Config is what a Stream is told. The zero value of a limit is the least possible, not none.
type Config struct {
	Node         string // see tracker.Config
	Limits       task.Limits
	PendingForks int
	OpenEvents   int
	// Wait is how long, in milliseconds of arrival time, the events behind a missing one wait for it.
	Wait int64
	// KernelThread may ask /proc, see tracker.Config.
	KernelThread func(pid uint32) bool
	// Journal gets what changes, see tracker.Config; nil if nobody keeps it.
	Journal *packed.Writer
	// Missing is asked for events that have not come in time, see order.Handler. It hands the records of those that it
	// has, in the order of their log, to line; nil where there is nobody to ask.
	Missing func(node string, first, count uint64, since int64, line func([]byte))
}

// An Output gets the events in order, each with the histories that belong on its records, and the gaps between them.
// What it gets is valid during the call only.
type Output interface {
	Event(e *record.Event, marks []tracker.Mark)
	Gap(g tracker.Gap)
}

// Counts says what a stream has seen and done.
type Counts struct {
	Lines      uint64 // read, of any kind
	Unreadable uint64 // lines that are no audit records: passed on
	Events     uint64
	Lost       uint64 // events that the serials say are missing
	Holes      uint64 // places where some are
	Restarts   uint64
	LateEvents uint64
	CutEvents  uint64 // handed on before their end because too many were open
	Open, Held int    // events being put together, and waiting for those before them
	Tracker    tracker.Counts
	Tasks      task.Counts
}

// A Stream enriches one stream of records, of one machine or of several. It is not safe for concurrent use.
type Stream struct {
	output    Output
	assembler *record.Assembler
	order     *order.Order
	tracker   *tracker.Tracker
	now       int64
	counts    Counts
	missing   func(node string, first, count uint64, since int64, line func([]byte))
	waiting   []waiter
	places    map[string]*place
	journal   *packed.Writer
	follows   byte   // what the next piece of the journal follows
	kept      Counts // when the last piece was taken
	inLine    bool   // the last piece did not end its line
}

// A waiter is the first event of a task, which waits for that of the fork that made it, or one behind such an event.
type waiter struct {
	event *record.Event
	late  bool
}

// forkEvents is how many events may wait for a fork that is recorded after its child's first event, and forkWait for
// how many milliseconds of arrival time, or until the next hole is filled, which it may be in.
const (
	forkEvents = 512
	forkWait   = 200
)

// New makes a stream that writes to output.
func New(c Config, output Output) *Stream {
	s := &Stream{output: output, missing: c.Missing, journal: c.Journal, follows: followsJournal, places: make(map[string]*place)}
	s.assembler = record.NewAssembler(c.OpenEvents, s.assembled)
	s.order = order.New(c.Wait, handler{s})
	s.tracker = tracker.New(tracker.Config{
		Limits: c.Limits, PendingForks: c.PendingForks, Node: c.Node,
		KernelThread: c.KernelThread, Gap: output.Gap, Journal: c.Journal,
	})
	return s
}

// Line takes one line, newline included, which it copies. now is the arrival time in milliseconds, on a clock that does
// not go back.
func (s *Stream) Line(line []byte, now int64) {
	s.now = now
	s.counts.Lines++
	s.assembler.Add(line, now)
}

// Piece takes a part of a line that is too long to be a record. It is passed on at once, and all that waits before it,
// so that nothing comes between it and the next part.
func (s *Stream) Piece(part []byte, now int64) {
	s.now = now
	if !s.inLine {
		s.flush()
	}
	s.inLine = part[len(part)-1] != '\n'
	if !s.inLine {
		s.counts.Lines++
	}
	s.assembler.Pass(part, now)
}

// Look takes a look at /proc, which takes effect at its own moment in the stream.
func (s *Stream) Look(l *procfs.Look) { s.tracker.Look(l) }

// Tick hands on what has waited for long enough; call it now and then while no lines come. wall is the time of day in
// milliseconds since 1970: looks that are a little older take effect.
func (s *Stream) Tick(now, wall int64) {
	s.now = now
	s.assembler.Tick(now)
	s.order.Tick(now)
	s.proceed(now)
	if !s.inLine {
		s.tracker.Elapse(wall - record.MaxAge)
	}
}

// Close hands on everything: the stream has ended. rest is what came after its last newline; it is handed on last, so
// that nothing is appended to it.
func (s *Stream) Close(rest []byte) {
	s.flush()
	if len(rest) > 0 {
		s.Line(rest, s.now)
		s.flush()
	}
}

func (s *Stream) flush() {
	s.assembler.Flush()
	s.order.Flush(s.now)
	s.drain()
}

// Lose tells of a gap before the next event. What was done in it is not known.
func (s *Stream) Lose(g tracker.Gap) { s.tracker.Lose(g) }

// Opened calls yield for every event whose records are still coming.
func (s *Stream) Opened(yield func(*record.Event) bool) { s.assembler.Opened(yield) }

// Tracker is the stream's tracker, to ask for tasks.
func (s *Stream) Tracker() *tracker.Tracker { return s.tracker }

// Counts returns the counters.
func (s *Stream) Counts() Counts {
	c := s.counts
	c.Tracker, c.Tasks = s.tracker.Counts()
	c.LateEvents, c.CutEvents = s.order.Late, s.assembler.Evicted
	c.Open, c.Held = s.assembler.Open(), s.order.Held()
	return c
}

func (s *Stream) assembled(e *record.Event) {
	if e.Records[0].Kind == record.Unreadable {
		s.counts.Unreadable++
	}
	s.order.Add(e, s.now)
}

// handler gets what the order finds out, without showing that to the users of a Stream.
type handler struct{ *Stream }

func (h handler) Event(e *record.Event, late bool) {
	if len(h.waiting) == 0 && (late || h.tracker.Ready(e)) {
		h.handle(e, late)
		return
	}
	h.tracker.Foresee(e)
	h.waiting = append(h.waiting, waiter{e, late})
	h.proceed(0) // time counts while nothing comes, only
}

// proceed handles the events that wait, as far as they need not wait for those behind them.
func (s *Stream) proceed(now int64) {
	for len(s.waiting) > 0 {
		w := s.waiting[0]
		if !w.late && len(s.waiting) < forkEvents && (now-w.event.Arrived < forkWait || s.order.Held() > 0) && !s.tracker.Ready(w.event) {
			return
		}
		s.next()
	}
}

func (s *Stream) next() {
	w := s.waiting[0]
	s.waiting = slices.Delete(s.waiting, 0, 1)
	s.handle(w.event, w.late)
}

// drain handles all events that wait.
func (s *Stream) drain() {
	for len(s.waiting) > 0 {
		s.next()
	}
}

func (s *Stream) handle(e *record.Event, late bool) {
	if e.Records[0].Kind != record.End {
		s.counts.Events++
	}
	marks := s.tracker.Event(e, late)
	if late || !e.Ordered {
		s.mark(e)
	}
	s.output.Event(e, marks)
	s.assembler.Release(e)
}

// missingOpen is how many events that fill a hole are put together at once.
const missingOpen = 4096

func (h handler) Missing(node string, first, count uint64, since int64) {
	if h.missing == nil {
		return
	}
	// What the log has in part at its end is not whole yet, and is not taken.
	a := record.NewAssembler(missingOpen, func(e *record.Event) { h.order.Add(e, h.now) })
	h.missing(node, first, count, since, func(line []byte) { a.Add(line, h.now) })
}

func (h handler) Lost(node string, first, count uint64, from, to int64) {
	h.drain()
	h.counts.Lost += count
	h.counts.Holes++
	p := h.place(node)
	why := tracker.EventsLost
	if first == p.resumed && first > 0 {
		why = tracker.PluginDown
	}
	p.lose(first, count)
	h.tracker.Lose(tracker.Gap{Node: node, Reason: why, First: first, Lost: count, From: from, To: to, At: to})
}

func (h handler) Restarted(node string, _ uint64, _ int64) {
	h.drain()
	h.counts.Restarts++
	delete(h.places, node)
	h.tracker.Restart(node)
}

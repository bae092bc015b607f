// Package enrich puts histories on audit records: records in, records with history out.
//
//	line → record.Assembler → event → order.Order → tracker.Tracker → Output
//
// It has no clock, reads no files and starts no goroutines: time and looks at /proc are handed in.
package enrich

import (
	"slices"

	"audisp-history/enrich/order"
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
}

// An Output gets the events in order, each with the histories that belong on its records. Both are valid during the
// call only.
type Output interface {
	Event(e *record.Event, marks []tracker.Mark)
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
	losses    []Loss
	waiting   []waiter
	inLine    bool // the last piece did not end its line
}

// A waiter is the first event of a task, which waits for that of the fork that made it, or one behind such an event.
type waiter struct {
	event *record.Event
	late  bool
}

// forkEvents is how many events may wait for a fork that is recorded after its child's first event, and forkWait for
// how many milliseconds of arrival time.
const (
	forkEvents = 512
	forkWait   = 200
)

// A Loss is a place in the stream where events are missing.
type Loss struct {
	Node         string
	First, Count uint64
	From, To     int64 // the times of the events around it, in milliseconds since 1970
}

// maxLosses bounds the losses that are kept for a report.
const maxLosses = 1000

// New makes a stream that writes to output.
func New(c Config, output Output) *Stream {
	s := &Stream{output: output}
	s.assembler = record.NewAssembler(c.OpenEvents, s.assembled)
	s.order = order.New(c.Wait, handler{s})
	s.tracker = tracker.New(tracker.Config{Limits: c.Limits, PendingForks: c.PendingForks, Node: c.Node, KernelThread: c.KernelThread})
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
	s.tracker.Elapse(wall - record.MaxAge)
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

// Tracker is the stream's tracker, to ask for tasks.
func (s *Stream) Tracker() *tracker.Tracker { return s.tracker }

// Losses returns the places where events are missing, the first thousand of them.
func (s *Stream) Losses() []Loss { return s.losses }

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
	h.proceed(h.now)
}

// proceed handles the events that wait, as far as they need not wait for those behind them.
func (s *Stream) proceed(now int64) {
	for len(s.waiting) > 0 {
		w := s.waiting[0]
		if !w.late && len(s.waiting) < forkEvents && now-w.event.Arrived < forkWait && !s.tracker.Ready(w.event) {
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
	s.output.Event(e, s.tracker.Event(e, late))
	s.assembler.Release(e)
}

func (h handler) Lost(node string, first, count uint64, from, to int64) {
	h.drain()
	h.counts.Lost += count
	h.counts.Holes++
	h.tracker.Lose(node, to)
	if len(h.losses) < maxLosses {
		h.losses = append(h.losses, Loss{node, first, count, from, to})
	}
}

func (h handler) Restarted(node string, _ uint64, _ int64) {
	h.drain()
	h.counts.Restarts++
	h.tracker.Restart(node)
}

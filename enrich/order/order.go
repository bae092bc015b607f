// Package order brings events into the order of their serials.
//
// The kernel takes an event's serial when the system call ends, one after the other and without leaving any out, but
// under load the events arrive in another order (kernel/audit.c: kauditd's retry and hold queues; several CPUs). So an
// event whose serial is the next one goes straight on; behind a hole events wait, for a bounded time and number, and
// what has not come by then is lost.
package order

import (
	"hash/maphash"

	"audisp-history/enrich/record"
)

// Window is how many serials an event may be ahead of the next one and still wait for those before it.
const Window = 1 << 12

// lateness is how far behind the next serial an event may be, and jump how many events must agree on a new place in the
// serials before it is believed: a machine has booted, or very many events are lost. A single odd serial moves nothing.
const (
	lateness = 1 << 14
	jump     = 64
	// Slack is how much later, in milliseconds, the time of a late event may be than that of those handled before it.
	Slack = 1000
	// gathered is how long after an event, in milliseconds, all those before it have come or are where they can be had.
	gathered = 100
	// ahead is by how many serials the first events seen may have overtaken others.
	ahead = 512
	// strayWait is how many events of the old place may come while strays wait for company.
	strayWait = 1 << 10
	// maxNodes bounds the machines whose events are ordered; those of any more pass as they come.
	maxNodes = 1 << 10
)

// A Handler gets what an Order finds out.
type Handler interface {
	// Event gets each event once. A late one has a serial before that of one handed on earlier.
	Event(e *record.Event, late bool)
	// Missing says that of count events from the serial first on some have not come in time, or not whole, the first of
	// them one. Those that can be had elsewhere are to be handed to Add before it returns; what is there already does no
	// harm. since is the latest time of the events before them.
	Missing(node string, first, count uint64, since int64)
	// Lost says that count events are missing, from the serial first on, with the times of the events around them.
	Lost(node string, first, count uint64, from, to int64)
	// Restarted says that a node's serials began again at first: it has booted.
	Restarted(node string, first uint64, at int64)
}

// An Order orders the events of any number of nodes, each by itself.
type Order struct {
	handler Handler
	wait    int64
	nodes   map[string]*sequence
	list    []*sequence // the same, in the order in which they came
	last    *sequence
	Late    uint64 // events that came after they were given up
	// fetching: what comes now fills a hole, and nothing is given up meanwhile.
	fetching bool
	now      int64
	seed     maphash.Seed
}

// New makes an order that waits for a missing event for wait milliseconds of arrival time.
func New(wait int64, h Handler) *Order {
	return &Order{handler: h, wait: wait, nodes: make(map[string]*sequence), seed: maphash.MakeSeed()}
}

// A sequence is the serials of one node.
type sequence struct {
	node    string
	started bool
	// starting: the first events wait a little for some that may have overtaken them; nothing before them is lost.
	starting bool
	resumed  uint64 // the serial that was due before a restart of the program, until events have come since
	fetched  uint64 // what is missing before this serial has been asked for
	asked    int64  // when, on the clock of arrival
	next     uint64 // the serial that is due
	held     int    // events that wait behind a hole
	first    uint64 // the lowest serial of theirs
	last     uint64 // the highest
	latest   int64  // the latest of their times
	ring     []*record.Event
	newest   int64 // the latest event time handed on
	strays   []*record.Event
	strayed  int64 // when the first of the strays came
	passed   int   // events handed on since
	again    bool  // one of them has the serial of an event handed on, at another time
	fetches  fetches
}

// Add takes one complete event. now is the arrival time in milliseconds.
func (o *Order) Add(e *record.Event, now int64) {
	o.now = now
	s := o.sequence(e)
	if s == nil || !e.Ordered {
		o.handler.Event(e, false)
		return
	}
	if !s.started {
		s.started, s.starting = true, true
		s.next = max(e.Serial-min(e.Serial, ahead), s.resumed)
	}
	if o.fetching {
		o.note(s, e)
	} else if e = o.less(s, e); e == nil {
		return
	}
	e.Lacks = !o.fetching && e.Headless()
	if e.Serial == s.next && s.held == 0 && !e.Lacks {
		o.hand(s, e)
		if len(s.strays) > 0 {
			o.settle(s, now)
		}
		return
	}
	if s.starting && s.held > 0 && e.Serial <= s.last && e.Time > s.latest+Slack {
		// That is none that was overtaken: the serials begin again.
		o.release(s)
	}
	o.place(s, e, now)
	o.settle(s, now)
}

func (o *Order) sequence(e *record.Event) *sequence {
	if o.last != nil && o.last.node == e.Node {
		return o.last
	}
	o.last = o.of(e.Node)
	return o.last
}

func (o *Order) of(node string) *sequence {
	s := o.nodes[node]
	if s == nil && len(o.nodes) < maxNodes {
		s = &sequence{node: node}
		o.nodes[node] = s
		o.list = append(o.list, s)
	}
	return s
}

// Next is the serial that is due of a node's, and the latest time of those handed on; 0 if none has come.
func (o *Order) Next(node string) (serial uint64, newest int64) {
	s := o.nodes[node]
	if s == nil || !s.started || s.starting {
		return 0, 0
	}
	return s.next, s.newest
}

// Nodes are the nodes of which events have come, in the order in which they came first.
func (o *Order) Nodes() []string {
	nodes := make([]string, len(o.list))
	for i, s := range o.list {
		nodes[i] = s.node
	}
	return nodes
}

// Resume goes on where an order before a restart of the program was, by its Next. With gap, what has come in between
// cannot be had: the first event to come ends the hole.
func (o *Order) Resume(node string, serial uint64, newest int64, gap bool) {
	if s := o.of(node); s != nil && serial > 0 {
		s.next, s.resumed, s.newest, s.started = serial, serial, newest, !gap
	}
}

// place puts an event that is not simply the next one where it belongs.
func (o *Order) place(s *sequence, e *record.Event, now int64) {
	switch {
	case e.Serial >= s.next && e.Serial-s.next < Window:
		if o.fetching && s.ring != nil && s.ring[e.Serial%Window] != nil {
			s.complete(e)
		} else {
			s.hold(e)
		}
	case o.fetching && e.Serial > s.next && e.Serial <= s.fetched: // beyond what can wait: what is missing before it is not there, either
		o.release(s)
		if e.Serial > s.next {
			o.handler.Lost(s.node, s.next, e.Serial-s.next, s.newest, e.Time)
		}
		o.hand(s, e)
	case o.fetching:
	case e.Serial < s.next && s.next-e.Serial <= lateness && e.Time <= s.newest+Slack:
		o.Late++
		o.handler.Event(e, true)
	default:
		if len(s.strays) == 0 {
			s.strayed, s.passed = now, 0
		}
		s.strays = append(s.strays, e)
		// The last serial handed on, given out once more: that of a boot so short that the next one catches up with it.
		s.again = s.again || e.Serial+1 == s.next && !s.starting
	}
}

// settle hands on what can be, and gives up what has been waited for long enough.
func (o *Order) settle(s *sequence, now int64) {
	o.drain(s)
	if o.fetching {
		return
	}
	if s.starting && s.held > 0 && (s.held >= ahead/8 || now-s.firstHeld().Arrived >= o.wait/10) {
		o.skip(s, s.firstHeld())
		o.drain(s)
	}
	for s.held > 0 && (s.held >= Window/2 || now-s.firstHeld().Arrived >= o.wait) {
		o.skip(s, s.firstHeld())
		o.drain(s)
	}
	if len(s.strays) == 0 {
		return
	}
	switch {
	case s.again || len(s.strays) >= jump || now-s.strayed >= o.wait && s.passed == 0:
		o.resettle(s, now)
	case s.passed >= strayWait || now-s.strayed >= o.wait:
		for _, e := range s.takeStrays() {
			o.Late++
			o.handler.Event(e, true)
		}
	}
}

func (o *Order) hand(s *sequence, e *record.Event) {
	if s.starting {
		s.starting = false
		if s.resumed > 0 && e.Serial > s.resumed {
			o.handler.Lost(s.node, s.resumed, e.Serial-s.resumed, s.newest, e.Time)
		}
	}
	s.next = e.Serial + 1
	s.newest = max(s.newest, e.Time)
	s.passed++
	o.handler.Event(e, false)
}

// skip gives up the serials before that of e, which waits, unless they can be had elsewhere.
func (o *Order) skip(s *sequence, e *record.Event) {
	if s.starting {
		s.next, e.Lacks = e.Serial, false
		return
	}
	to := e.Serial
	if e.Lacks {
		to++
	}
	if s.asked-e.Arrived < gathered { // what was missing then may not have been there yet
		s.fetched = min(s.fetched, s.next)
	}
	next := s.next
	o.fetch(s, to)
	if s.next == next { // else the hole is filled, and the one after it has its own time
		o.lose(s)
	}
}

// lose gives up the serials before the first event that waits, or what that lacks: then it is as good as lost itself,
// and what there is of it comes late.
func (o *Order) lose(s *sequence) {
	if s.held == 0 {
		return
	}
	e, to := s.firstHeld(), s.first
	if e.Lacks {
		to++
	}
	if to > s.next {
		o.handler.Lost(s.node, s.next, to-s.next, s.newest, e.Time)
		s.next = to
	}
	if e.Lacks {
		o.handLate(s.pop())
	}
}

// fetch asks, once, for what is missing before a serial, and in between what waits.
func (o *Order) fetch(s *sequence, to uint64) {
	if to <= s.fetched || o.fetching {
		return
	}
	if s.held > 0 {
		to = max(to, s.last+1) // and what those lack
	}
	s.fetched, s.asked = to, o.now
	o.fetching = true
	o.handler.Missing(s.node, s.next, to-s.next, s.newest)
	o.fetching = false
	o.drain(s)
}

// resettle goes on from where the strays are: what waits goes first, then they begin anew in their order.
func (o *Order) resettle(s *sequence, now int64) {
	o.release(s)
	strays := o.lateAmong(s, s.takeStrays())
	if len(strays) == 0 {
		return
	}
	first := strays[0]
	for _, e := range strays {
		if e.Serial < first.Serial {
			first = e
		}
	}
	switch {
	case first.Serial < s.next:
		o.handler.Restarted(s.node, first.Serial, first.Time)
		s.next, s.newest = first.Serial, first.Time
		s.resumed, s.fetched = 0, 0
	case s.starting:
		s.next = first.Serial
	default:
		o.fetch(s, first.Serial)
		o.release(s)
		if first.Serial > s.next {
			o.handler.Lost(s.node, s.next, first.Serial-s.next, s.newest, first.Time)
			s.next = first.Serial
		}
	}
	for _, e := range strays {
		o.place(s, e, now)
		o.drain(s)
	}
}

// lateAmong hands on those of the strays that are not later than what was handed on, and returns the others: to come from
// far behind makes an event late, not a boot, which it would be taken for with a jump ahead that comes next. Only if there
// are many, and no others, they stay: a machine has booted whose clock was set back.
func (o *Order) lateAmong(s *sequence, strays []*record.Event) []*record.Event {
	late := func(e *record.Event) bool { return e.Serial < s.next && e.Time <= s.newest+Slack }
	others := 0
	for _, e := range strays {
		if !late(e) {
			others++
		}
	}
	if others == len(strays) || others == 0 && len(strays) >= jump {
		return strays
	}
	rest := make([]*record.Event, 0, others)
	for _, e := range strays {
		if late(e) {
			o.Late++
			o.handler.Event(e, true)
		} else {
			rest = append(rest, e)
		}
	}
	return rest
}

func (s *sequence) takeStrays() []*record.Event {
	strays := s.strays
	s.strays, s.again = nil, false
	return strays
}

// release hands on all that waits, whatever is missing.
func (o *Order) release(s *sequence) {
	for s.held > 0 {
		o.drain(s)
		if s.held > 0 {
			o.skip(s, s.firstHeld())
		}
	}
}

// Tick gives up what has been waited for long enough. Call it now and then while no events come.
func (o *Order) Tick(now int64) {
	o.now = now
	for _, s := range o.list {
		o.settle(s, now)
	}
}

// Flush hands on all that waits: the stream has ended.
func (o *Order) Flush(now int64) {
	o.now = now + gathered // all has come
	for _, s := range o.list {
		for s.held > 0 || len(s.strays) > 0 {
			o.release(s)
			if len(s.strays) > 0 {
				o.resettle(s, now)
			}
		}
	}
}

// Held is how many events wait.
func (o *Order) Held() int {
	n := 0
	for _, s := range o.list {
		n += s.held + len(s.strays)
	}
	return n
}

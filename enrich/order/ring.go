package order

import "audisp-history/enrich/record"

// hold keeps an event behind the hole. A further part of one that waits follows it.
func (s *sequence) hold(e *record.Event) {
	if s.ring == nil {
		s.ring = make([]*record.Event, Window)
	}
	if s.held == 0 {
		s.last, s.latest = e.Serial, e.Time
	}
	s.last, s.latest = max(s.last, e.Serial), max(s.latest, e.Time)
	slot := &s.ring[e.Serial%Window]
	if *slot == nil {
		if s.held == 0 || e.Serial < s.first {
			s.first = e.Serial
		}
		s.held++
	}
	for *slot != nil {
		slot = &(*slot).Rest
	}
	*slot = e
}

func (s *sequence) firstHeld() *record.Event { return s.ring[s.first%Window] }

func (o *Order) drain(s *sequence) {
	for s.held > 0 && s.first == s.next && !s.firstHeld().Lacks && (!o.fetching || s.fetches.has(s.first)) {
		e := s.pop()
		rest := e.Rest
		e.Rest = nil
		o.hand(s, e)
		o.handLate(rest)
	}
}

// pop takes the first event that waits.
func (s *sequence) pop() *record.Event {
	e := s.firstHeld()
	s.ring[s.first%Window] = nil
	s.held--
	for s.first++; s.held > 0 && s.firstHeld() == nil; s.first++ {
	}
	return e
}

// handLate hands on an event, and the further parts of it, that come too late for their place.
func (o *Order) handLate(e *record.Event) {
	for e != nil {
		rest := e.Rest
		e.Rest = nil
		o.handler.Event(e, true)
		e = rest
	}
}

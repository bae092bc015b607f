package main

import (
	"bytes"
	"time"

	"audisp-history/enrich/record"
)

// whole completes the events whose records are still coming when the input ends. auditd replaces a program between two
// records, be they of one event (audisp/audispd.c: reconfigure); the next one is told the rest and takes it for what has
// been handled. auditd writes its log first, so the rest is there or will be at once. What never gets a PROCTITLE is
// waited for in vain, for 200 ms.
func (r *runner) whole() {
	for try := range tailTries {
		if r.audit == nil || !r.torn() {
			return
		}
		if try > 0 {
			<-time.After(tailWait)
		}
		r.fetchRest()
	}
}

// torn reports whether the end of an event is still missing.
func (r *runner) torn() bool {
	for e := range r.stream.Opened {
		if !e.Ordered {
			continue
		}
		titled := false
		for i := range e.Records {
			titled = titled || e.Records[i].Kind == record.Title
		}
		if !titled {
			return true
		}
	}
	return false
}

// fetchRest reads in auditd's log what is there of the open events besides what they have.
func (r *runner) fetchRest() {
	open := map[stamp]*record.Event{}
	first := map[string]uint64{}
	for e := range r.stream.Opened {
		if e.Ordered {
			open[stamp{e.Node, e.Time, e.Serial}] = e
			if f, known := first[e.Node]; !known || e.Serial < f {
				first[e.Node] = e.Serial
			}
		}
	}
	var rest [][]byte
	span, err := r.audit.Back(holeLimit, func(h *record.Header) bool {
		f, known := first[string(h.Node)]
		return known && record.Ordered(h) && h.Serial+disorder <= f
	})
	if err != nil {
		return // it has been said at the start
	}
	defer span.Close() //nolint:errcheck // it was only read
	for {
		line, err := span.Next()
		if err != nil {
			break
		}
		if h, ok := record.ParseHeader(line); ok {
			if e := open[stampOf(&h)]; e != nil && !holds(e, line) {
				rest = append(rest, bytes.Clone(line))
			}
		}
	}
	for _, line := range rest {
		r.stream.Line(line, r.now())
	}
}

// holds reports whether a record is one of an event's.
func holds(e *record.Event, line []byte) bool {
	for i := range e.Records {
		if bytes.Equal(e.Line(i), line) {
			return true
		}
	}
	return false
}

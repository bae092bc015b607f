package main

import (
	"errors"
	"io"
	"time"

	"audisp-history/enrich/record"
	"audisp-history/plugin/auditlog"
)

// What came while the program was not running is in auditd's log. It is handled before anything that comes on standard
// input, some of which is in the log, too, and is then left out. auditd writes a record to its log before it hands it to
// its plugins (auditd/src/auditd-event.c: handle_event, auditd.c: distribute_event), so what is not in the log yet when
// its end has been read will come on standard input.

const (
	// disorder is how many serials records may be away from their place in the log: more than ever seen.
	disorder = 8192
	// disorderTime is the same in milliseconds, for a log that began less than disorder serials ago.
	disorderTime = 60_000
	// ownSlack is how late in milliseconds what auditd says of itself may come, which has no place in the order.
	ownSlack = 6_000
	// backLimit is how much of the log is read at the most.
	backLimit = 1 << 30
	// holeLimit is how much of it is read for the sake of a hole.
	holeLimit = 64 << 20
	// An event that the log ends in the middle of is waited for, so long and so often.
	tailWait  = 20 * time.Millisecond
	tailTries = 10
)

// openLog finds auditd's log.
func (r *runner) openLog() {
	if r.conf.Auditd == "" {
		return
	}
	log, err := auditlog.Find(r.conf.Auditd)
	if err != nil {
		r.log.Warn().Err(err).Msg("what comes while the program is not running will be missed")
		return
	}
	r.audit = log
}

// back opens the log before the place where the stream was, if that is known. covered says that nothing since is missing
// from it.
func (r *runner) back(known bool) (span *auditlog.Span, covered bool) {
	if r.audit == nil {
		return nil, false
	}
	span, err := r.audit.Back(backLimit, func(h *record.Header) bool {
		next, newest := r.stream.Saved(string(h.Node))
		switch {
		case !known:
			return true
		case next == 0 || !record.Ordered(h):
			return false
		case r.earlierBoot(h, newest):
			return true
		case h.Serial > next:
			return false
		}
		covered = covered || h.Time <= newest
		return h.Serial+disorder <= next || h.Time+disorderTime < newest
	})
	if err != nil {
		r.log.Warn().Err(err).Msg("auditd's log cannot be read")
		return nil, false
	}
	return span, covered
}

// catchUp handles what is in the log since the place where the stream was.
func (r *runner) catchUp(span *auditlog.Span) {
	before := r.stream.Counts().Events
	r.feed(span, r.isNew)
	for try := 0; try < tailTries && r.stream.Counts().Open > 0; try++ {
		r.keep(catchUpWait)
		<-time.After(tailWait)
		r.feed(span, func(h *record.Header) bool { return r.fed.has(stampOf(h)) })
	}
	for e := range r.stream.Opened {
		r.halve(e)
	}
	r.keep(catchUpWait)
	if n := r.stream.Counts().Events - before; n > 0 {
		r.log.Info().Uint64("events", n).Str("from", r.audit.Path()).Msg("caught up")
	}
}

// halve prepares for the rest of an event that the log, as far as it goes, has in part: it will come on standard input,
// maybe with what the log has, which is known by its bytes.
func (r *runner) halve(e *record.Event) {
	s := stamp{e.Node, e.Time, e.Serial}
	r.fed.drop(s)
	for i := range e.Records {
		r.halves[string(e.Line(i))] = struct{}{}
	}
}

// isNew reports whether a record of the log is to be handled, and notes its event.
func (r *runner) isNew(h *record.Header) bool {
	_, newest := r.stream.Saved(string(h.Node))
	if r.stream.Handled(h) || r.earlierBoot(h, newest) {
		return false
	}
	if !record.Ordered(h) { // only of those since, not of all that the log begins with
		slack := int64(ownSlack)
		if r.assumed { // those before are not known one by one
			slack = 0
		}
		if h.Time < r.newest()-slack {
			return false
		}
	}
	r.fed.add(stampOf(h))
	if o := r.overlap[string(h.Node)]; record.Ordered(h) && h.Time >= o.time {
		r.overlap[string(h.Node)] = overlap{h.Serial, h.Time}
	}
	return true
}

// earlierBoot reports whether a record of the log is from before the boot that its node is in, whose latest event is
// given; serials begin anew with each. Of this machine the time of the boot is known. It is that by the present clock: if
// the clock was put forward since, what was written before that seems to be older, and if it is missing it will be told of
// as lost.
func (r *runner) earlierBoot(h *record.Header, newest int64) bool {
	if len(h.Node) == 0 || string(h.Node) == r.conf.Node {
		return h.Time < r.boot
	}
	return record.Ordered(h) && h.Time+2*disorderTime < newest
}

// newest is the latest time of what this machine's stream had handled.
func (r *runner) newest() int64 {
	_, newest := r.stream.Saved(r.conf.Node)
	if _, unnamed := r.stream.Saved(""); unnamed > newest {
		return unnamed
	}
	return newest
}

// feed handles the records of the log that take agrees to.
func (r *runner) feed(span *auditlog.Span, take func(*record.Header) bool) {
	for {
		line, err := span.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			r.log.Warn().Err(err).Msg("auditd's log cannot be read")
			return
		}
		if h, ok := record.ParseHeader(line); ok && take(&h) {
			r.stream.Line(line, r.now())
			if r.stream.Unkept() > keepBytes {
				r.outlets.tick(time.Now())
				r.keep(catchUpWait)
			}
		}
	}
}

// missing looks up what has not come in time.
func (r *runner) missing(node string, first, count uint64, since int64, line func([]byte)) {
	if r.audit == nil {
		return
	}
	if boot := bootTime(r.proc); boot > 0 { // by the clock that it is now
		r.boot = boot
	}
	span, err := r.audit.Back(holeLimit, func(h *record.Header) bool {
		return record.Ordered(h) && string(h.Node) == node && (h.Serial+disorder <= first || r.earlierBoot(h, since))
	})
	if err != nil {
		return // it has been said at the start, and what is missing will be told of
	}
	defer span.Close() //nolint:errcheck // it was only read
	for {
		b, err := span.Next()
		if err != nil {
			return
		}
		h, ok := record.ParseHeader(b)
		if ok && record.Ordered(&h) && string(h.Node) == node && h.Serial >= first && h.Serial-first < count &&
			!r.earlierBoot(&h, since) {
			line(b)
		}
	}
}

package main

import (
	"context"
	"time"

	"audisp-history/enrich"
	"audisp-history/enrich/record"
	"audisp-history/enrich/store"
	"audisp-history/enrich/tracker"
)

// start brings the runner to where it was: it loads what is kept, finds out what the outputs have, and catches up. Records
// wait in the queue meanwhile.
func (r *runner) start(ctx context.Context) {
	r.openLog()
	r.boot = bootTime(r.proc)
	past := r.restore(ctx)
	span, covered := r.back(past.known)
	switch {
	case covered:
		r.cut()
	case past.known: // what the outputs have beyond it will not come again
		for _, o := range r.outlets.list {
			o.written = stamps{}
		}
	}
	r.outlets.open()
	r.tellLost(&past)
	if past.known {
		r.stream.Resume(!covered)
		r.filter = true
	}
	if !past.known || !covered {
		r.awaitLook()
	}
	if covered {
		r.catchUp(span)
	}
	if r.filter {
		r.overlaps()
	}
	if span != nil {
		_ = span.Close() // it was only read
	}
}

// awaitLook waits for the first look: what was forked before the first record, or while nobody read them, is only in
// /proc.
func (r *runner) awaitLook() {
	select {
	case l := <-r.looker.looks:
		r.look(l)
	case <-time.After(lookWait):
	}
}

// A past is what is known of how far the program was when it ended.
type past struct {
	known  bool // how far the stream was
	lost   *tracker.Gap
	behind []string // outputs that may lack events
}

// restore loads what is kept of this boot and finds out what the outputs have since.
func (r *runner) restore(ctx context.Context) past {
	if r.conf.State.Dir == "" {
		return past{}
	}
	l := enrich.NewLoader(r.stream)
	dir, loaded, err := openState(ctx, r.conf, bootID(r.proc), l)
	if err != nil {
		r.keeper.report(err)
		return past{}
	}
	r.keeper.dir, r.outlets.dir = dir, r.conf.State.Dir
	if rep, err := readReport(r.conf.State.Dir); err == nil { // else it is the first, or was cut off
		for _, g := range rep.Gaps {
			r.status.add(g)
		}
	}
	r.keeper.looks = r.stream.Counts().Tracker.Looks
	p := past{lost: r.damaged(loaded.Damaged)}
	kept, known := unpackOutputs(l.Extra())
	switch {
	case known:
		p.known, p.behind = true, r.resumeOutputs(kept)
	case !loaded.Fresh || loaded.Lost: // it has run in this boot
		p.known = r.assumePlaces()
	}
	return p
}

// damaged tells of what could not be read of the state, and returns the gap that it makes.
func (r *runner) damaged(files []store.Damage) *tracker.Gap {
	for i := range files {
		d := &files[i]
		r.log.Error().Str("file", d.File).Int64("from", d.Offset).Str("aside", d.Aside).Bool("torn", d.Torn).Err(d.Err).Msg("state is damaged")
		r.status.damaged++
		if !d.Torn {
			r.keeper.whole = true
		}
	}
	if !r.keeper.whole {
		return nil
	}
	now := time.Now().UnixMilli()
	return &tracker.Gap{Node: r.conf.Node, Reason: tracker.StateLost, From: r.newest(), To: now, At: now}
}

// resumeOutputs finds out what the outputs have since what was kept, and which of them may lack something.
func (r *runner) resumeOutputs(kept []keptOutput) (behind []string) {
	for i := range kept {
		k := &kept[i]
		o := r.outlets.find(k.name)
		if o == nil {
			continue
		}
		if k.behind {
			behind = append(behind, k.name)
		}
		if !k.file || o.conf.File == nil {
			continue
		}
		if err := o.resume(k.place, r.boot); err != nil {
			r.log.Warn().Str("output", k.name).Err(err).Msg("events may be written twice")
		}
	}
	return behind
}

// assumePlaces finds out from the outputs themselves how far they are. What happened since the last lines of the one that
// is the least far began is then handled once more, but not written again.
func (r *runner) assumePlaces() bool {
	begins := map[string]span{}
	for _, o := range r.outlets.list {
		if o.conf.File == nil {
			continue
		}
		has, err := o.assume(r.boot)
		if err != nil {
			r.log.Warn().Str("output", o.conf.Name).Err(err).Msg("events may be written twice")
		}
		if !has {
			continue
		}
		for node, p := range o.tail.places {
			if b, found := begins[node]; !found || p.first < b.first {
				begins[node] = *p
			}
		}
	}
	for node, b := range begins {
		r.assumed = true
		r.stream.Assume(node, b.first, b.time)
	}
	return r.assumed
}

// cut takes what may be half an event out of the outputs. It can be had again.
func (r *runner) cut() {
	for _, o := range r.outlets.list {
		if o.tail != nil && o.tail.last.whole && r.stream.Handled(o.tail.last.header()) {
			continue // it would not be handled again
		}
		if err := o.cut(); err != nil {
			r.log.Warn().Str("output", o.conf.Name).Err(err).Msg("the last event may be written twice, and the first time in part")
		}
	}
}

// tellLost writes records of what is missing from now on, into all outputs and into those that may lack events.
func (r *runner) tellLost(p *past) {
	if p.lost != nil {
		r.stream.Lose(*p.lost)
	}
	now := time.Now().UnixMilli()
	for _, name := range p.behind {
		r.log.Error().Str("output", name).Msg("events that were on their way to the output when the program was killed may be missing there")
		r.outlets.find(name).Gap(&tracker.Gap{Reason: tracker.OutputLost, From: r.newest(), To: now, At: now})
	}
	if r.keeper.dir != nil && r.outlets.settle(time.Now(), catchUpWait) {
		r.keeper.dir.Told() // of what is damaged
	}
}

// An overlap is how far the events of a node had been handled when standard input was read first: what comes from well
// beyond that comes for the first time.
type overlap struct {
	serial uint64
	time   int64
}

// overlapLimit ends the filter in any case: auditd has long handed on what it had in its queue.
const overlapLimit = 10 * time.Minute

// overlaps notes how far every node's events have been handled.
func (r *runner) overlaps() {
	r.filterEnd = time.Now().Add(overlapLimit)
	for _, node := range r.stream.Nodes() {
		next, newest := r.stream.Next(node)
		saved, savedTime := r.stream.Saved(node)
		o := overlap{max(next, saved), max(newest, savedTime)}
		if o.time == 0 { // only what has no place in the order has come
			o.time = r.now()
		}
		if fed := r.overlap[node]; fed.time < o.time {
			r.overlap[node] = o
		}
	}
}

// isFed reports whether a line is of an event that has been handled because it is in auditd's log, too. Once the lines of
// a node are past those, it is not asked any more.
func (r *runner) isFed(line []byte) bool {
	h, ok := record.ParseHeader(line)
	if !ok {
		return false
	}
	o, open := r.overlap[string(h.Node)]
	if !open {
		return false
	}
	if record.Ordered(&h) && (h.Serial > o.serial+disorder || h.Time > o.time+disorderTime) {
		delete(r.overlap, string(h.Node))
		if len(r.overlap) == 0 {
			r.endFilter()
		}
		return false
	}
	if _, has := r.halves[string(line)]; has {
		return true
	}
	return r.fed.has(stampOf(&h)) || r.stream.Handled(&h)
}

// endFilter forgets what had been handled: all of it has come again, or will not.
func (r *runner) endFilter() {
	r.filter, r.fed, r.overlap = false, stamps{}, map[string]overlap{}
	clear(r.halves)
	for _, o := range r.outlets.list {
		o.caughtUp()
	}
}

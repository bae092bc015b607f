package main

import (
	"context"
	"time"

	"audisp-history/enrich"
	"audisp-history/enrich/record"
	"audisp-history/enrich/tracker"
	"audisp-history/plugin/sink"
)

// start brings the runner to where it was: it loads what is kept, finds out what the output has, and catches up. Records
// wait in the queue meanwhile.
func (r *runner) start(ctx context.Context) {
	r.openLog()
	known, tail := r.restore(ctx)
	span, covered := r.back()
	if tail != nil && covered {
		r.cut(tail)
	}
	file, err := sink.NewFile(r.conf.Output.Path, r.conf.Output.Mode.FileMode())
	r.file = file
	r.report(err)
	if r.write(); r.keeper.dir != nil && err == nil {
		r.keeper.dir.Told() // of what is damaged, in the record of a gap
	}
	if known {
		r.stream.Resume(!covered)
		r.filter = true
	}
	if !known || !covered {
		r.awaitLook()
	}
	if known && covered {
		r.catchUp(span)
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

// restore loads what is kept of this boot and finds out what the output has since. known is false if nothing says how
// far the stream was.
func (r *runner) restore(ctx context.Context) (known bool, since *tail) {
	if r.conf.State.Dir == "" {
		return false, nil
	}
	l := enrich.NewLoader(r.stream)
	dir, loaded, err := openState(ctx, r.conf, bootID(r.proc), l)
	if err != nil {
		r.keeper.report(err)
		return false, nil
	}
	r.keeper.dir = dir
	if rep, err := readReport(r.conf.State.Dir); err == nil { // else it is the first, or was cut off
		for _, g := range rep.Gaps {
			r.status.add(g)
		}
	}
	r.keeper.looks = r.stream.Counts().Tracker.Looks
	for i := range loaded.Damaged {
		d := &loaded.Damaged[i]
		r.log.Error().Str("file", d.File).Int64("from", d.Offset).Str("aside", d.Aside).Bool("torn", d.Torn).Err(d.Err).Msg("state is damaged")
		r.status.damaged++
		if !d.Torn {
			r.keeper.whole = true
		}
	}
	if r.keeper.whole {
		now := time.Now().UnixMilli()
		r.stream.Lose(tracker.Gap{Node: r.conf.Node, Reason: tracker.StateLost, From: r.newest(), To: now, At: now})
	}
	if place, ok := unpackPlace(l.Extra()); ok {
		return true, r.readOutput(place)
	}
	if !loaded.Fresh || loaded.Lost { // it has run in this boot
		since, known = r.assumePlace()
	}
	return known, since
}

// isFed reports whether a line is of an event that has been handled because it is in auditd's log, too. Once the lines
// are past those, it is not asked any more.
func (r *runner) isFed(line []byte) bool {
	h, ok := record.ParseHeader(line)
	if !ok {
		return false
	}
	if record.Ordered(&h) && h.Serial > r.fed.last+disorder && r.fed.last > 0 {
		r.filter, r.fed, r.written = false, stamps{}, stamps{}
		clear(r.gaps)
		clear(r.halves)
		return false
	}
	if _, has := r.halves[string(line)]; has {
		return true
	}
	return r.fed.has(stampOf(&h)) || r.stream.Handled(&h)
}

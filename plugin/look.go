package main

import (
	"context"
	"time"

	"audisp-history/enrich/procfs"
)

const (
	// lookWait is how long the first look at /proc may take before records are handled without it.
	lookWait = 5 * time.Second
	// After a look the next one waits for lookRest times as long as that took, and for leastRest.
	lookRest  = 10
	leastRest = time.Second
)

// A looker looks at /proc in a goroutine of its own when somebody wants it.
type looker struct {
	ctx   context.Context //nolint:containedctx // it is that of run, which has the looker
	root  string
	looks chan seen
	want  bool
	under bool // a look is under way
	since time.Time
	next  time.Time
}

func (l *looker) begin() {
	l.want, l.under, l.since = false, true, time.Now()
	go func() {
		look, err := procfs.Read(l.ctx, l.root)
		l.looks <- seen{look, err}
	}()
}

// A seen is a look, or why there is none.
type seen struct {
	look *procfs.Look
	err  error
}

// took notes that a look has been received.
func (l *looker) took() {
	now := time.Now()
	l.under = false
	l.next = now.Add(max(leastRest, lookRest*now.Sub(l.since)))
}

func (l *looker) tick(now time.Time) {
	if l.want && !l.under && !now.Before(l.next) {
		l.begin()
	}
}

// look hands a look to the stream.
func (r *runner) look(s seen) {
	r.looker.took()
	r.shutIn()
	if s.err != nil {
		r.log.Error().Err(s.err).Msg("what runs already has no history")
		return
	}
	r.stream.Look(s.look)
}

// openProc opens /proc for single questions, by the runner and by the sweep.
func (r *runner) openProc(proc string) {
	r.proc = proc
	if reader, err := procfs.Open(proc); err == nil {
		r.ask = reader
	}
	if reader, err := procfs.Open(proc); err == nil {
		r.sweep = newSweeper(reader)
	}
}

func (r *runner) closeProc() {
	if r.ask != nil {
		_ = r.ask.Close() // it was only read
	}
	if r.sweep != nil {
		r.sweep.close()
	}
}

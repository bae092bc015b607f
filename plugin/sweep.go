package main

import (
	"cmp"
	"slices"
	"time"

	"audisp-history/enrich/procfs"
	"audisp-history/enrich/tracker"
)

// The sweep asks /proc about every living task within sweepRound, a few at a time, in a goroutine of its own. Of many
// tasks more are asked about at once, so that sweepBatches of them, each some ticks after the one before, are a round.
const (
	sweepRound   = 57 * time.Second
	sweepBatch   = 256
	sweepBatches = 100
)

// A sweeper keeps the round.
type sweeper struct {
	asked   chan []tracker.Check
	found   chan []tracker.Finding
	left    []tracker.Check // of this round
	waiting bool            // for findings
	batch   int             // how many are asked about at once
	next    time.Time       // when the next batch is due
	every   time.Duration   // between two batches
	round   time.Time       // when this one began
}

// newSweeper begins to sweep with a reader of /proc that it has for itself. It ends with close.
func newSweeper(proc *procfs.Reader) *sweeper {
	s := &sweeper{asked: make(chan []tracker.Check, 1), found: make(chan []tracker.Finding, 1)}
	go func() {
		defer close(s.found)
		for checks := range s.asked {
			s.found <- look(proc, checks)
		}
		_ = proc.Close() // it was only read
	}()
	return s
}

func (s *sweeper) close() { close(s.asked) }

// tick asks about the next tasks when it is time.
func (s *sweeper) tick(now time.Time, living func([]tracker.Check) []tracker.Check) {
	if s.waiting || now.Before(s.next) {
		return
	}
	if len(s.left) == 0 {
		if now.Sub(s.round) < sweepRound {
			return
		}
		s.round, s.next = now, now
		s.left = living(nil)
		if len(s.left) == 0 {
			return
		}
		// In the same order in every round, so that none waits for two.
		slices.SortFunc(s.left, func(a, b tracker.Check) int { return cmp.Compare(a.PID, b.PID) })
		s.batch = max(sweepBatch, len(s.left)/sweepBatches+1)
		s.every = sweepRound / time.Duration(len(s.left)/s.batch+1)
	}
	n := min(s.batch, len(s.left))
	s.asked <- s.left[:n:n]
	s.left = s.left[n:]
	s.waiting, s.next = true, s.next.Add(s.every)
}

// look asks about some tasks. Where /proc does not even show this process, or will not answer, nothing is found out.
func look(proc *procfs.Reader, checks []tracker.Check) []tracker.Finding {
	if _, found, err := proc.Start(1); err != nil || !found {
		return nil
	}
	findings := make([]tracker.Finding, 0, len(checks))
	for _, c := range checks {
		f := tracker.Finding{Check: c, At: time.Now().UnixMilli()}
		var err error
		f.Start, f.Found, err = proc.Start(int(c.PID))
		if err == nil && f.Found && c.Provisional {
			var group int
			group, _, err = proc.ThreadGroup(int(c.PID))
			f.Group = uint32(group)
		}
		if err == nil {
			findings = append(findings, f)
		}
	}
	return findings
}

package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
)

// summary says what a replay read and did.
func (r *replay) summary(w io.Writer) {
	c := r.stream.Counts()
	line := func(name string, n uint64, note string) {
		if note != "" {
			note = "  " + note
		}
		fmt.Fprintf(w, "%-22s %10d%s\n", name, n, note)
	}
	line("records", c.Lines, "")
	line("events", c.Events, "")
	line("tasks", uint64(c.Tasks.Tasks), fmt.Sprintf("live at the end; %d forks, %d execs, %d exits", c.Tasks.Forks, c.Tasks.Execed, c.Tasks.Exits))
	line("histories written", r.written-r.noRoom(), "")
	line("inferred", c.Tasks.InferredExecs, "execs that no record showed, marked via=")
	line("without history", c.Tracker.Unknown, "records of tasks of which nothing is known")
	line("gaps", c.Tracker.Gaps, fmt.Sprintf("%d events lost", c.Lost))
	for _, g := range r.gaps {
		fmt.Fprintf(w, "  %s\n", describe(&g))
	}
	line("lines not understood", c.Unreadable, "passed through")
	if n := c.LateEvents; n > 0 {
		line("late events", n, "came after they were given up")
	}
	if n := c.Restarts; n > 0 {
		line("restarts", n, "serials began again: a boot")
	}
	if n := c.CutEvents + r.noRoom() + c.Tasks.EvictedTasks + c.Tasks.EvictedEnded + c.Tasks.FoldedHistories; n > 0 {
		fmt.Fprintf(w, "limits: %d events cut, %d histories without room, %d tasks and %d ended ones forgotten, %d histories folded\n",
			c.CutEvents, r.noRoom(), c.Tasks.EvictedTasks, c.Tasks.EvictedEnded, c.Tasks.FoldedHistories)
	}
}

// noRoom is how many histories did not fit their line.
func (r *replay) noRoom() uint64 {
	if f, ok := r.format.(*text.Format); ok {
		return f.NoRoom
	}
	return 0
}

// describe says what a gap is.
func describe(g *tracker.Gap) string {
	from, to := "the boot", "it lasts"
	if g.From > 0 {
		from = moment(g.From)
	}
	if g.To > 0 {
		to = moment(g.To)
	}
	text := fmt.Sprintf("%s: from %s to %s", g.Reason, from, to)
	if g.Lost > 0 {
		text += fmt.Sprintf(", %d events from serial %d on", g.Lost, g.First)
	}
	if g.Node != "" {
		text += ", of " + g.Node
	}
	return text
}

func moment(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// progress shows how far a replay is, on a terminal.
type progress struct {
	w     io.Writer // nil if it is no terminal
	total int64
	shown int64
}

func newProgress(w io.Writer) *progress {
	if isTerminal(w) {
		return &progress{w: w}
	}
	return &progress{}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS) // as isatty(3) asks
	return err == nil
}

// show draws the bar, if it has moved by a hundredth.
func (p *progress) show(done int64) {
	if p.w == nil || p.total == 0 {
		return
	}
	percent := min(done*100/p.total, 100)
	if percent == p.shown {
		return
	}
	p.shown = percent
	const width = 40
	bar := make([]byte, width)
	for i := range bar {
		bar[i] = '.'
		if int64(i)*100 < percent*width {
			bar[i] = '#'
		}
	}
	fmt.Fprintf(p.w, "\r[%s] %3d %%", bar, percent)
}

// clear takes the bar away.
func (p *progress) clear() {
	if p.w != nil && p.shown > 0 {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

package main

import (
	"context"
	"runtime"
	"strings"
	"time"

	"github.com/elastic/go-libaudit/v2"

	"audisp-history/conf"
	"audisp-history/enrich/record"
	"audisp-history/plugin/rules"
)

// openKernel opens a socket to the kernel's audit.
func openKernel() (rules.Kernel, error) { return libaudit.NewAuditClient(nil) }

// A watch is what the runner knows of the kernel's rules and status by asking.
type watch struct {
	watcher *rules.Watcher // nil if nobody asks
	reports chan *rules.Report
	holes   bool // the rules had some the last time
	off     bool // auditing was off
}

// watchRules begins to ask the kernel, in a goroutine of its own, until ctx ends.
func (r *runner) watchRules(ctx context.Context) {
	if r.kernel == nil {
		return
	}
	machine, err := rules.ForGo(runtime.GOARCH)
	if err != nil {
		r.log.Warn().Err(err).Msg("nobody looks after the rules")
		return
	}
	reports := make(chan *rules.Report)
	r.watch = watch{reports: reports, watcher: rules.NewWatcher(rules.Watch{
		Machine: machine, Open: r.kernel, Restore: r.conf.Rules.OnRemoval == conf.RemovalRestore,
		Report: func(report *rules.Report) {
			select {
			case reports <- report:
			case <-ctx.Done():
			}
		},
	})}
	go r.watch.watcher.Run(ctx)
}

// configChanged has the rules asked for, after a record that says they have changed.
func (r *runner) configChanged(e *record.Event) {
	if r.watch.watcher == nil {
		return
	}
	for i := range e.Records {
		if e.Records[i].Kind == record.ConfigChange {
			r.watch.watcher.Changed()
			return
		}
	}
}

// reported takes what the kernel says: what no record told of makes a gap, or ends one.
func (r *runner) reported(p *rules.Report) {
	now := time.Now().UnixMilli()
	w := &r.watch
	if p.News&(rules.NewsFirst|rules.NewsHoles) != 0 {
		holes := len(p.Holes) > 0
		switch {
		case holes:
			r.log.Error().Str("missing", holesText(p.Holes)).Msg("rules that histories need are missing; audisp-history check says what to do")
			if !w.holes && p.News&rules.NewsFirst == 0 {
				r.stream.Tracker().Rules(true, now)
			}
		case w.holes:
			r.log.Info().Msg("the rules that histories need are there again")
			r.stream.Tracker().Rules(false, now)
			r.looker.want = true
		}
		w.holes = holes
	}
	if p.News&(rules.NewsFirst|rules.NewsEnabled) != 0 {
		off := !p.Enabled
		if off != w.off {
			r.log.Warn().Msg(map[bool]string{true: "auditing is off: nothing is recorded (auditctl -e 1)", false: "auditing is on again"}[off])
			r.stream.Tracker().Auditing(p.Enabled, now)
			r.looker.want = r.looker.want || p.Enabled
		}
		w.off = off
	}
	r.logReport(p)
}

// logReport tells of what is neither a gap nor the end of one.
func (r *runner) logReport(p *rules.Report) {
	if p.News&rules.NewsLost != 0 {
		r.log.Error().Uint32("lost", p.Lost).Uint32("backlog_limit", p.Status.BacklogLimit).
			Msg("the kernel has lost events; a larger backlog limit (-b in /etc/audit/rules.d) may help")
	}
	if p.News&rules.NewsRestored != 0 {
		r.log.Warn().Strs("rules", p.Steps).Msg("rules that were removed have been restored")
	}
	if p.News&rules.NewsUnrestored != 0 && p.Unrestored != nil {
		r.log.Error().Err(p.Unrestored).Msg("rules that were removed have not been restored")
	}
	if p.News&rules.NewsSilent != 0 {
		r.log.Warn().Err(p.Err).Msg("the kernel does not say what its rules are")
	}
}

// holesText is what is missing, in a few words.
func holesText(holes []rules.Hole) string {
	var parts []string
	for i := range holes {
		parts = append(parts, holes[i].ABI+": "+strings.Join(holes[i].Calls, " "))
	}
	return strings.Join(parts, "; ")
}

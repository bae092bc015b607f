package main

import (
	"fmt"
	"slices"
	"strings"
)

// A verdict is the row of a scenario, and what is wrong with it.
type verdict struct {
	scenario                       string
	events                         int // in auditd's log, in its time
	right, wrong, incomplete, lost int
	unsure                         int      // incomplete without a gap, and marked so
	gaps                           []string // reasons, in order
	faults                         []string
}

// How far a start may be off, in seconds: the workload notes it after the exec, which takes seconds when the machine's
// own one is busy; the record's clock is coarse and shows when the call began. What was inferred is known from when it
// was seen.
const (
	slack         = 2
	slackBefore   = 10
	slackInferred = 20
	// A gap is told from the last record before it to the first behind it; somebody may have been between two calls.
	around = 3.0
)

// judge compares a scenario with the output, and with auditd's log.
func judge(s *scenario, o *output, logged map[id]bool) verdict {
	v := verdict{scenario: s.name}
	gaps := s.gapsIn(o, around)
	for _, g := range s.gapsIn(o, 0) {
		v.gaps = append(v.gaps, g.reason)
		if !s.allowed(g.reason) {
			v.fault("gap reported that should not be: %s from %.3f to %.3f", g.reason, g.from, g.to)
		}
	}
	for _, reason := range s.need {
		if !slices.Contains(v.gaps, reason) {
			v.fault("no gap with reason=%s is reported", reason)
		}
	}
	for i := range s.probes {
		v.probe(s, &s.probes[i], o, gaps)
	}
	if n := len(s.probes); n < s.least {
		v.fault("the workload said its chain %d times, at least %d were expected", n, s.least)
	}
	if v.unsure*100 > s.unsure*len(s.probes) {
		v.fault("%d of %d histories begin in the middle, more than %d %%", v.unsure, len(s.probes), s.unsure)
	}
	v.unwritten(s, o, logged)
	v.twice(s, o)
	v.everyRecord(s, o)
	if s.dense != 0 {
		v.denseSerials(s, o)
	}
	for _, text := range s.bad {
		v.fault("%s", text)
	}
	return v
}

// most is how many faults of a scenario are told; more of them tell nothing more.
const most = 4

func (v *verdict) fault(format string, args ...any) {
	if len(v.faults) == most {
		v.faults = append(v.faults, "…")
	}
	if len(v.faults) < most {
		v.faults = append(v.faults, fmt.Sprintf(format, args...))
	}
}

// gapsIn are those that overlap the scenario's time, or are not further away than so many seconds. A gap is told of when it goes on for long, and again when it ends;
// the second counts.
func (s *scenario) gapsIn(o *output, around float64) []gap {
	var in []gap
	for _, g := range o.gaps {
		if g.from-around > s.to || g.to != 0 && g.to+around < s.from {
			continue
		}
		if g.to == 0 && slices.ContainsFunc(o.gaps, func(h gap) bool { return h.reason == g.reason && h.from == g.from && h.to != 0 }) {
			continue
		}
		in = append(in, g)
	}
	return in
}

func (v *verdict) probe(s *scenario, p *probe, o *output, gaps []gap) {
	got, found := o.tokens[p.token]
	excused := inGap(gaps, p.at)
	switch {
	case !found && excused:
		v.lost++
	case !found:
		v.lost++
		v.fault("%s at %.3f: no event, and no gap tells why", p.token, p.at)
	case !got.present && excused:
		v.incomplete++
	case !got.present:
		v.wrong++
		v.fault("%s at %.3f: its event has no history", p.token, p.at)
	default:
		v.compare(s, p, got.history, gaps)
	}
}

func (v *verdict) compare(s *scenario, p *probe, history []entry, gaps []gap) {
	want := slices.Concat(s.prefix, p.chain)
	difference := differ(want, history)
	switch {
	case difference == "":
		v.right++
	case isPartOf(want, history) && marked(history) && anyBefore(gaps, p.at):
		v.incomplete++
	case s.unsure > 0 && isPartOf(want, history) && history[0].name != "swapper/0" && history[0].via != "":
		v.incomplete++
		v.unsure++
	default:
		v.wrong++
		v.fault("%s at %.3f: %s\n      want %s\n      got  %s", p.token, p.at, difference, links(want), entries(history))
	}
}

// differ says how a history is not what it should be, or nothing. A mark is no difference where it is allowed, nor in the
// chain, if the entry under it is right: there the mark only says that it was not certain.
func differ(want []link, history []entry) string {
	if len(want) != len(history) {
		return fmt.Sprintf("%d execs instead of %d", len(history), len(want))
	}
	for i := range want {
		if !same(&want[i], &history[i]) {
			return fmt.Sprintf("exec %d is another", i+1)
		}
		if history[i].via != "" && want[i].start == 0 && !want[i].marked {
			return fmt.Sprintf("exec %d is marked via=%s", i+1, history[i].via)
		}
	}
	return ""
}

// same compares name, pid and start.
func same(l *link, e *entry) bool {
	if l.name != e.name || l.pid != 0 && l.pid != e.pid {
		return false
	}
	off := e.start - l.start
	if l.start == 0 || off >= -slackBefore && off <= slack {
		return true
	}
	return e.via != "" && off >= -slackInferred && off <= slackInferred
}

// isPartOf tells whether a history has nothing that should not be there, in the right order.
func isPartOf(want []link, history []entry) bool {
	for i := range history {
		at := slices.IndexFunc(want, func(l link) bool { return same(&l, &history[i]) || inferred(&l, &history[i]) })
		if at < 0 {
			return false
		}
		want = want[at+1:]
	}
	return true
}

// inferred tells whether an entry shows an exec of which nothing is known but that a task was seen running its program:
// its pid and start are then those of whoever was seen, who may have inherited it.
func inferred(l *link, e *entry) bool {
	return l.name == e.name && (e.via == "seen" || e.via == "proc")
}

func marked(history []entry) bool {
	return slices.ContainsFunc(history, func(e entry) bool { return e.via != "" })
}

func inGap(gaps []gap, at float64) bool {
	return slices.ContainsFunc(gaps, func(g gap) bool { return g.from-around <= at && (g.to == 0 || at <= g.to+around) })
}

func anyBefore(gaps []gap, at float64) bool {
	return slices.ContainsFunc(gaps, func(g gap) bool { return g.from-around <= at })
}

func (s *scenario) holds(millis int64) bool {
	at := float64(millis) / 1000
	return s.from <= at && at <= s.to
}

// unwritten looks for events that auditd has logged and that are not in the output.
func (v *verdict) unwritten(s *scenario, o *output, logged map[id]bool) {
	for at := range logged {
		if !s.holds(at.millis) {
			continue
		}
		v.events++
		if !o.events[at] {
			v.lost++
			v.fault("event %d.%03d:%d is in auditd's log and not in the output", at.millis/1000, at.millis%1000, at.serial)
		}
	}
}

func (v *verdict) twice(s *scenario, o *output) {
	for at, n := range o.syscalls {
		if n > 1 && s.holds(at.millis) {
			v.fault("event %d.%03d:%d is in the output %d times", at.millis/1000, at.millis%1000, at.serial, n)
		}
	}
}

// everyRecord looks at the system's own processes: their histories are not known exec by exec, but each must begin at the
// beginning.
func (v *verdict) everyRecord(s *scenario, o *output) {
	for _, claim := range s.every {
		exe, kinds, seen := claim[0], claim[1:], 0
		for i := range o.histories {
			h := &o.histories[i]
			if !s.holds(h.at) || h.exe != exe || !slices.Contains(kinds, h.kind) {
				continue
			}
			seen++
			if first := h.history[0]; first.name == "swapper/0" || first.via == "helper" {
				v.right++
				continue
			}
			v.wrong++
			v.fault("%s of %s at %d: %s", h.kind, exe, h.at/1000, entries(h.history))
		}
		if seen == 0 {
			v.fault("no %s record of %s has a history", strings.Join(kinds, " or "), exe)
		}
	}
}

// denseSerials wants all events of a boot in the output, from the first that a record can have to the scenario's end.
func (v *verdict) denseSerials(s *scenario, o *output) {
	have := map[uint64]bool{}
	last := uint64(0)
	for at := range o.events {
		if t := float64(at.millis) / 1000; t >= s.dense && t <= s.to && at.serial > 0 {
			have[at.serial] = true
			last = max(last, at.serial)
		}
	}
	missing := 0
	for serial := uint64(2); serial <= last; serial++ {
		if !have[serial] {
			missing++
			v.fault("serial %d of %d is missing", serial, last)
		}
	}
	v.lost += missing
}

func links(want []link) string {
	var b strings.Builder
	for _, l := range want {
		fmt.Fprintf(&b, "=>%s:%d", l.name, l.pid)
	}
	return strings.TrimPrefix(b.String(), "=>")
}

func entries(history []entry) string {
	var b strings.Builder
	for _, e := range history {
		fmt.Fprintf(&b, "=>%s:%d", e.name, e.pid)
		if e.via != "" {
			fmt.Fprintf(&b, ";%s", e.via)
		}
	}
	return strings.TrimPrefix(b.String(), "=>")
}

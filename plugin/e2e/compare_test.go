package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A verdict is what a history is worth.
type verdict int

const (
	right verdict = iota
	incomplete
	wrong
)

const (
	// early and late are how many milliseconds a start may be before and after the workload's own time: an exec's is told
	// in whole seconds, and taken when the call begins.
	early, late = 1100, 1500
	// slack is how far from a gap its consequences may be, in milliseconds.
	slack = 2000
)

// A judge holds the output of the program against what the workload tells.
type judge struct {
	*story
	out     *output
	root    step
	before  []element // what leads to the root, known from /proc
	counts  map[verdict]int
	targets int // histories of targets, among them
	events  int
	unknown int // events that the workload tells nothing of
	lost    int // what is told of and not in the output
	complaints
}

// complaints are the first of each kind.
type complaints struct {
	list  []string
	count map[string]int
}

func (c *complaints) complain(kind, format string, args ...any) {
	if c.count == nil {
		c.count = map[string]int{}
	}
	if c.count[kind]++; c.count[kind] <= 3 {
		c.list = append(c.list, kind+": "+fmt.Sprintf(format, args...))
	}
}

func newJudge(told, written string) (*judge, error) {
	s, err := parseStory(told)
	if err != nil {
		return nil, fmt.Errorf("what the workload tells: %w", err)
	}
	o, err := parseOutput(written)
	if err != nil {
		return nil, fmt.Errorf("the output: %w", err)
	}
	j := &judge{story: s, out: o, root: s.calls[0].chain[0], counts: map[verdict]int{}}
	j.judge()
	return j, nil
}

func (j *judge) judge() {
	for _, line := range j.out.twice {
		j.complain("twice", "%s", line)
	}
	// What was given up and told of as lost may come all the same, an event or so at the end of a hole: the kernel hands on
	// what it has kept for a new auditd in no good order. No fewer may be told of than are missing.
	missing, lost := j.out.missing(), j.out.lost()
	if lost < missing || lost-missing > uint64(len(j.out.gaps)) {
		j.complain("serials", "%d are missing, the gaps tell of %d: %+v", missing, lost, j.out.gaps)
	}
	found := map[uint64]bool{}
	serials := make([]uint64, 0, len(j.out.events))
	for serial := range j.out.events {
		serials = append(serials, serial)
	}
	slices.Sort(serials)
	for _, serial := range serials {
		j.event(j.out.events[serial], found)
	}
	for i := range j.calls {
		c := &j.calls[i]
		if c.token == 0 || found[c.token] {
			continue
		}
		j.lost++
		if !j.out.excuses(c.at, slack, "start") {
			j.complain("lost and not told of", "%s %x of %d at %d", c.kind, c.token, c.pid, c.at)
		}
	}
}

// event judges one event, if it is the workload's.
func (j *judge) event(e *event, found map[uint64]bool) {
	i := slices.IndexFunc(e.records, func(r string) bool { return strings.HasPrefix(r, "type=SYSCALL ") })
	if i < 0 {
		i = slices.IndexFunc(e.records, func(r string) bool { return strings.HasPrefix(r, "type=ANOM_ABEND ") })
	}
	if i < 0 {
		return
	}
	f := fields(e.records[i])
	if f["auid"] != loginUID {
		return
	}
	pid, _ := strconv.Atoi(f["pid"])
	c := j.byToken[tokenOf(e, f)]
	switch {
	case c == nil:
		c = j.teller(pid, f, e.at)
	case c.pid != pid:
		c = nil
	default:
		found[c.token] = true
	}
	if c == nil {
		j.unknown++
		j.complain("not told of", "%s", e.records[i])
		return
	}
	j.events++
	j.history(e.records[i], f["history"], c.chain, c)
	for _, r := range e.records {
		if !strings.HasPrefix(r, "type=OBJ_PID ") {
			continue
		}
		f := fields(r)
		target, _ := strconv.Atoi(f["opid"])
		chain := c.victims[target]
		if chain == nil && target == pid {
			chain = c.chain
		}
		if chain == nil {
			j.complain("a target not told of", "%s", r)
			continue
		}
		j.targets++
		j.history(r, f["ohistory"], chain, c)
	}
}

// teller finds who tells about an event without a token: its process, or the parent of one that says nothing because it
// is a shell's.
func (j *judge) teller(pid int, f map[string]string, at int64) *call {
	name := text(f["comm"])
	if c := j.near(pid, name, at); c != nil {
		return c
	}
	parent, _ := strconv.Atoi(f["ppid"]) // 0, of whom nothing is told, if there is none
	return j.near(parent, name, at)
}

var tokenArg = regexp.MustCompile(` a\d+="T=([0-9a-f]+)"`)

// firstToken is where the workload's tokens begin.
const firstToken = 0x5a000000

// tokenOf finds the token of an event, 0 if it has none: in an argument of what is executed, else in one of the call
// that is not used.
func tokenOf(e *event, f map[string]string) uint64 {
	for _, r := range e.records {
		if m := tokenArg.FindStringSubmatch(r); m != nil && strings.HasPrefix(r, "type=EXECVE ") {
			n, _ := strconv.ParseUint(m[1], 16, 64) // hexadecimal digits
			return n
		}
	}
	for _, key := range []string{"a0", "a1", "a2", "a3"} {
		if n, err := strconv.ParseUint(f[key], 16, 64); err == nil && n >= firstToken && n < firstToken+1<<24 {
			return n
		}
	}
	return 0
}

// history judges one history of a process, or of the target of its call.
func (j *judge) history(record, value string, want []step, c *call) {
	v, why := wrong, "there is none"
	if value != "" {
		got, err := parseHistory(value)
		if err != nil {
			why = err.Error()
		} else {
			v, why = j.compare(want, got, c)
		}
	}
	j.counts[v]++
	switch v {
	case wrong:
		j.complain("wrong", "%s\n%s\nwant %s", why, record, describe(want))
	case incomplete:
		if why != "" {
			j.complain("incomplete and not told of", "%s\n%s\nwant %s", why, record, describe(want))
		}
	}
}

// compare holds a history against the steps that led there. What led to the root of the tree is known from /proc, and is
// the same in all histories as in the first one that has the root. An incomplete history lacks steps, or marks some, and
// has none that is not true; why is empty if gaps are told of that explain it: one when the exec was, or a fork that
// led there.
func (j *judge) compare(want []step, got []element, c *call) (v verdict, why string) {
	if i := slices.IndexFunc(got, func(e element) bool { return e.pid == j.root.pid && e.name == j.root.name }); i >= 0 && j.before == nil {
		for _, e := range got[:i] {
			if e.via != "proc" || got[i].via != "proc" {
				return wrong, fmt.Sprintf("%q, before the root, or itself, is not known from /proc", e.name)
			}
		}
		j.before = got[:i]
	}
	full := make([]element, 0, len(j.before)+len(want))
	full = append(full, j.before...)
	for i, s := range want {
		full = append(full, element{step: s})
		if i == 0 {
			full[len(full)-1].via = "proc" // the root itself
		}
	}
	var amiss []element // what is marked or lacks
	marked := false
	for _, g := range got {
		k := slices.IndexFunc(full, func(w element) bool {
			return g.omitted == 0 && w.pid == g.pid && w.name == g.name && (g.via != "" || g.at >= w.at-early && g.at <= w.at+late)
		})
		if k < 0 && j.inherited(full, g) { // whether it has executed that itself, /proc does not tell
			marked = true
			continue
		}
		if k < 0 {
			return wrong, fmt.Sprintf("nobody executed %q as %d at %d", g.name, g.pid, g.at)
		}
		amiss = append(amiss, full[:k]...)
		if g.via != full[k].via {
			amiss = append(amiss, full[k])
			marked = true
		}
		full = full[k+1:]
	}
	amiss = append(amiss, full...)
	switch {
	case len(amiss) == 0:
		return right, ""
	case !marked:
		return wrong, "it lacks execs and has no mark"
	case slices.ContainsFunc(c.forks, func(at int64) bool { return j.out.excuses(at, slack, "") }):
		return incomplete, ""
	}
	for _, e := range amiss {
		if e.via == "proc" || !j.out.excuses(e.at, slack, "") {
			return incomplete, fmt.Sprintf("%q of %d at %d is marked or lacks, and no gap tells why", e.name, e.pid, e.at)
		}
	}
	return incomplete, ""
}

// inherited reports whether an element is what /proc says of a process that has the program of who made it, and was made in
// a gap.
func (j *judge) inherited(full []element, g element) bool {
	k := slices.IndexFunc(full, func(w element) bool { return w.name == g.name && w.pid != g.pid })
	return k >= 0 && g.via == "proc" && j.out.excuses(g.at, slack, "") &&
		(k+1 == len(full) || full[k+1].pid == g.pid)
}

func describe(chain []step) string {
	var b strings.Builder
	for _, s := range chain {
		fmt.Fprintf(&b, "%d %q %d, ", s.pid, s.name, s.at)
	}
	return b.String()
}

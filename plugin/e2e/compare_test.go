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
	pid     int // of the root of the tree
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

func newJudge(told, written string, root int) (*judge, error) {
	s, err := parseStory(told)
	if err != nil {
		return nil, fmt.Errorf("what the workload tells: %w", err)
	}
	o, err := parseOutput(written)
	if err != nil {
		return nil, fmt.Errorf("the output: %w", err)
	}
	j := &judge{story: s, out: o, pid: root, counts: map[verdict]int{}}
	j.judge()
	return j, nil
}

func (j *judge) judge() {
	for _, line := range j.out.twice {
		j.complain("twice", "%s", line)
	}
	if missing, lost := j.out.missing(), j.out.lost(); missing != lost {
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
		if !j.out.excuses(c.at, slack) {
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
	j.history(e, e.records[i], f["history"], c.chain)
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
		j.history(e, r, f["ohistory"], chain)
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

// history judges one history.
func (j *judge) history(e *event, record, value string, want []step) {
	v, why := wrong, "there is none"
	if value != "" {
		got, err := parseHistory(value)
		if err != nil {
			why = err.Error()
		} else {
			v, why = j.compare(want, got)
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

// compare holds a history from the root of the tree on against the steps that led there. What is before the root is
// known from /proc. An incomplete history lacks steps, or marks some, and has none that is not true; why is empty if
// a gap is told of for each of them.
func (j *judge) compare(want []step, got []element) (v verdict, why string) {
	i := slices.IndexFunc(got, func(e element) bool { return e.pid == want[0].pid && e.name == want[0].name })
	if i < 0 {
		return wrong, "the root is not in it"
	}
	for _, e := range got[:i] {
		if e.via != "proc" && e.name != "swapper/0" {
			return wrong, fmt.Sprintf("%s before the root is not known from /proc", e.name)
		}
	}
	want, got = want[1:], got[i+1:]
	var amiss []step // what is marked or lacks
	for _, g := range got {
		if g.omitted > 0 {
			return wrong, "it is cut"
		}
		k := slices.IndexFunc(want, func(s step) bool {
			return s.pid == g.pid && s.name == g.name && (g.via != "" || g.at >= s.at-early && g.at <= s.at+late)
		})
		if k < 0 {
			return wrong, fmt.Sprintf("nobody executed %q as %d at %d", g.name, g.pid, g.at)
		}
		amiss = append(amiss, want[:k]...)
		if g.via != "" {
			amiss = append(amiss, want[k])
		}
		want = want[k+1:]
	}
	amiss = append(amiss, want...)
	if len(amiss) == 0 {
		return right, ""
	}
	for _, s := range amiss {
		if !j.out.excuses(s.at, slack) {
			return incomplete, fmt.Sprintf("%q of %d at %d is marked or lacks, and no gap tells why", s.name, s.pid, s.at)
		}
	}
	if !slices.ContainsFunc(got, func(e element) bool { return e.via != "" }) {
		return wrong, "it lacks execs and has no mark"
	}
	return incomplete, ""
}

func describe(chain []step) string {
	var b strings.Builder
	for _, s := range chain {
		fmt.Fprintf(&b, "%d %q %d, ", s.pid, s.name, s.at)
	}
	return b.String()
}

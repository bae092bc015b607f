package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This reads the program's output with means of its own, so that a mistake in how the program reads records is not made
// a second time here. Fields of the records that are looked at hold no blanks: a name with one is hexadecimal.

// An output is what the program has written.
type output struct {
	events map[uint64]*event // by serial
	gaps   []gap
	first  uint64
	last   uint64
	twice  []string // records that are there more than once
}

// An event is the records of one serial, without what auditd has added to enrich them.
type event struct {
	serial  uint64
	at      int64
	records []string
}

// A gap is what the program says that it has missed. A time that is not said is 0.
type gap struct {
	reason   string
	from, to int64
	lost     uint64
}

var (
	header  = regexp.MustCompile(`^type=(\S+) msg=audit\((\d+\.\d{3}):(\d+)\): ?`)
	daemons = regexp.MustCompile(`^type=DAEMON_`)
)

func parseOutput(text string) (*output, error) {
	o := &output{events: map[uint64]*event{}}
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		h := header.FindStringSubmatch(line)
		if h == nil {
			return nil, fmt.Errorf("not a record: %q", line)
		}
		if daemons.MatchString(line) { // their serials are auditd's own
			continue
		}
		if strings.Contains(line, "op=history-gap ") {
			g, err := parseGap(line)
			if err != nil {
				return nil, err
			}
			o.gaps = append(o.gaps, g)
			continue
		}
		if seen[line] {
			o.twice = append(o.twice, line)
		}
		seen[line] = true
		if err := o.add(h, line); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (o *output) add(h []string, line string) error {
	at, err := milliseconds(h[2])
	if err != nil {
		return err
	}
	serial, err := strconv.ParseUint(h[3], 10, 64)
	if err != nil {
		return err
	}
	e := o.events[serial]
	if e == nil {
		e = &event{serial: serial, at: at}
		o.events[serial] = e
		o.last = max(o.last, serial)
		if o.first == 0 || serial < o.first {
			o.first = serial
		}
	}
	raw, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\x1d")
	e.records = append(e.records, raw)
	return nil
}

func parseGap(line string) (gap, error) {
	f := fields(line[strings.Index(line, "msg='")+len("msg='"):])
	g := gap{reason: f["reason"]}
	var err error
	if g.from, err = milliseconds(f["from"]); err != nil {
		return g, err
	}
	if f["to"] != "" {
		if g.to, err = milliseconds(f["to"]); err != nil {
			return g, err
		}
	}
	g.lost, err = strconv.ParseUint(f["lost"], 10, 64)
	return g, err
}

// missing is how many serials are not there between the first and the last, or without the record of their system call,
// which the kernel writes before all that these consist of. Of the very first one the beginning may have come before auditd
// was there to take it.
func (o *output) missing() uint64 {
	all := o.last - o.first + 1 - uint64(len(o.events))
	for _, e := range o.events {
		if e.serial != o.first && !slices.ContainsFunc(e.records, func(r string) bool { return !parts.MatchString(r) }) {
			all++
		}
	}
	return all
}

var parts = regexp.MustCompile(`^type=(EOE|PROCTITLE|PATH|CWD|EXECVE|BPRM_FCAPS|OBJ_PID) `)

// lost is how many events are missing by what the program says.
func (o *output) lost() uint64 {
	all := uint64(0)
	for _, g := range o.gaps {
		all += g.lost
	}
	return all
}

// excuses reports whether something at a time may be amiss, because the program has said so. A gap that was open for a
// while is told of twice. Gaps of the reason but are no excuse.
func (o *output) excuses(at, slack int64, but string) bool {
	return slices.ContainsFunc(o.gaps, func(g gap) bool {
		return g.reason != but && at >= g.from-slack && g.to != 0 && at <= g.to+slack
	})
}

// fields are those of a record.
func fields(record string) map[string]string {
	all := map[string]string{}
	for _, f := range strings.Fields(record) {
		if key, value, ok := strings.Cut(f, "="); ok {
			if _, again := all[key]; !again {
				all[key] = value
			}
		}
	}
	return all
}

// text is a value that may be quoted or hexadecimal.
func text(value string) string {
	if strings.HasPrefix(value, `"`) {
		return strings.Trim(value, `"`)
	}
	var b []byte
	for i := 0; i+2 <= len(value); i += 2 {
		n, err := strconv.ParseUint(value[i:i+2], 16, 8)
		if err != nil {
			return value
		}
		b = append(b, byte(n))
	}
	return string(b)
}

// An element is one of a history.
type element struct {
	step
	via     string
	omitted int
}

var octal = regexp.MustCompile(`\\[0-7]{3}`)

func parseHistory(value string) ([]element, error) {
	var list []element
	for _, part := range strings.Split(strings.Trim(value, `"`), "=>") {
		if n, ok := strings.CutPrefix(part, "omitted="); ok {
			count, err := strconv.Atoi(n)
			if err != nil {
				return nil, err
			}
			list = append(list, element{omitted: count})
			continue
		}
		f := fields(strings.ReplaceAll(part, ";", " "))
		pid, err := strconv.Atoi(f["pid"])
		if err != nil {
			return nil, fmt.Errorf("not an element: %q", part)
		}
		start, err := time.Parse("20060102150405", f["start"])
		if err != nil {
			return nil, fmt.Errorf("not an element: %q: %w", part, err)
		}
		name := octal.ReplaceAllStringFunc(f["name"], func(s string) string {
			n, _ := strconv.ParseUint(s[1:], 8, 16) // three octal digits
			return string([]byte{byte(n)})
		})
		list = append(list, element{step: step{pid, name, start.UnixMilli()}, via: f["via"]})
	}
	return list, nil
}

package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// An entry is one exec of a history.
type entry struct {
	name  string
	pid   int
	start int64 // seconds since 1970
	via   string
}

// A said is what the output has of one token: the history on its event. Its own of several outputs differ only if
// something was written twice.
type said struct {
	history []entry
	present bool // the record has a history
}

type gap struct {
	reason   string
	from, to float64 // seconds since 1970; to is 0 if it had not ended
	lost     int
}

// An id names an event on one machine for all time.
type id struct {
	millis int64
	serial uint64
}

// Output is what the plugin wrote.
type output struct {
	tokens    map[string]said
	gaps      []gap
	syscalls  map[id]int // how many SYSCALL records an event has; more than one: it was written twice
	events    map[id]bool
	histories []lone // of records that are not a workload's
}

// A lone is a record of the system's own processes, with its history.
type lone struct {
	at      int64 // milliseconds since 1970
	kind    string
	exe     string
	history []entry
}

func newOutput() *output {
	return &output{tokens: map[string]said{}, syscalls: map[id]int{}, events: map[id]bool{}}
}

const separator = "\x1d"

// read takes in one file of the output.
func (o *output) read(r io.Reader) error {
	return eachLine(r, func(line string) error {
		kind, at, ok := header(line)
		if !ok {
			return fmt.Errorf("not a record: %.200q", line)
		}
		if kind == "TRUSTED_APP" && strings.Contains(line, "op=history-gap") {
			return o.gap(line, at)
		}
		if strings.HasPrefix(kind, "DAEMON_") {
			return nil // auditd's own, with serials of their own
		}
		o.events[at] = true
		raw, _, _ := strings.Cut(line, separator)
		if kind != "SYSCALL" {
			return o.lone(kind, at, raw)
		}
		o.syscalls[at]++
		if m := probeArgs.FindStringSubmatch(raw); m != nil {
			history, present, err := historyOf(raw)
			o.tokens[m[1]] = said{history, present}
			return err
		}
		return o.lone(kind, at, raw)
	})
}

// probeArgs finds chain's probes: an unshare without flags, a token, and chain's mark.
var probeArgs = regexp.MustCompile(` a0=0 a1=([0-9a-f]+) a2=c4a1 `)

func (o *output) lone(kind string, at id, raw string) error {
	history, present, err := historyOf(raw)
	if err != nil || !present {
		return err
	}
	o.histories = append(o.histories, lone{at.millis, kind, field(raw, "exe"), history})
	return nil
}

var gapFields = regexp.MustCompile(`reason=(\S+) from=(\S+)(?: to=(\S+))? lost=(\d+)`)

// bootSeconds is how long before its end, at the most, a gap from the boot on began: such a one says from=0.000.
const bootSeconds = 10

func (o *output) gap(line string, at id) error {
	m := gapFields.FindStringSubmatch(line)
	if m == nil {
		return fmt.Errorf("not a gap: %q", line)
	}
	g := gap{reason: m[1]}
	var err error
	if g.from, err = strconv.ParseFloat(m[2], 64); err != nil {
		return fmt.Errorf("from of a gap: %w", err)
	}
	if m[3] != "" {
		if g.to, err = strconv.ParseFloat(m[3], 64); err != nil {
			return fmt.Errorf("to of a gap: %w", err)
		}
	}
	if g.lost, err = strconv.Atoi(m[4]); err != nil {
		return fmt.Errorf("lost of a gap: %w", err)
	}
	if g.from == 0 {
		g.from = max(g.to, float64(at.millis)/1000) - bootSeconds
	}
	o.gaps = append(o.gaps, g)
	return nil
}

// eachLine hands on the lines of a file of records.
func eachLine(r io.Reader, f func(line string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	for n := 1; lines.Scan(); n++ {
		if err := f(lines.Text()); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return lines.Err()
}

var headerFields = regexp.MustCompile(`^type=(\S+) msg=audit\((\d+)\.(\d{3}):(\d+)\):`)

func header(line string) (kind string, at id, ok bool) {
	m := headerFields.FindStringSubmatch(line)
	if m == nil {
		return "", id{}, false
	}
	millis, err1 := strconv.ParseInt(m[2]+m[3], 10, 64)
	serial, err2 := strconv.ParseUint(m[4], 10, 64)
	return m[1], id{millis, serial}, err1 == nil && err2 == nil
}

// field is the value of the first field of a name, without its quotes; the judge asks only for those whose values are
// quoted and hold none.
func field(raw, name string) string {
	_, after, found := strings.Cut(raw, " "+name+`="`)
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(after, `"`)
	return value
}

func historyOf(raw string) (history []entry, present bool, err error) {
	text := field(raw, "history")
	if text == "" {
		return nil, false, nil
	}
	history, err = parseHistory(text)
	return history, true, err
}

const startLayout = "20060102150405"

// parseHistory reads name=…;pid=…;start=…[;via=…]=>….
func parseHistory(text string) ([]entry, error) {
	var history []entry
	for element := range strings.SplitSeq(text, "=>") {
		var e entry
		for part := range strings.SplitSeq(element, ";") {
			key, value, _ := strings.Cut(part, "=")
			var err error
			switch key {
			case "name":
				e.name, err = unescape(value)
			case "pid":
				e.pid, err = strconv.Atoi(value)
			case "start":
				var at time.Time
				at, err = time.Parse(startLayout, value)
				e.start = at.Unix()
			case "via":
				e.via = value
			case "omitted":
				e.via = "omitted"
			default:
				err = fmt.Errorf("unknown part")
			}
			if err != nil {
				return nil, fmt.Errorf("history element %q: %q: %w", element, part, err)
			}
		}
		history = append(history, e)
	}
	return history, nil
}

// unescape undoes \ooo.
func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i+4 > len(s) {
			return "", fmt.Errorf("name %q: half an escape", s)
		}
		n, err := strconv.ParseUint(s[i+1:i+4], 8, 8)
		if err != nil {
			return "", fmt.Errorf("name %q: %w", s, err)
		}
		b.WriteByte(byte(n))
		i += 3
	}
	return b.String(), nil
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A link is one exec as the workload tells of it, or as a scenario says that it must have been before the workload.
type link struct {
	name   string
	pid    int   // 0: any
	start  int64 // seconds since 1970; 0: any
	marked bool  // it may carry via=
}

// A probe is one line of chain's log: somebody who knows what its history is.
type probe struct {
	token string
	at    float64 // seconds since 1970
	chain []link
}

// A scenario is what a script has left of one in a directory: tokens, chain's log, and claims, lines of a word and what it
// says:
//
//	prefix NAME:PID…   the execs before the first of a chain; PID * is any, and a ? after it allows a mark via=
//	from T, to T       when it was, in seconds since 1970
//	allow REASON…      gaps that may be reported; in their times histories may be incomplete, and lost
//	need REASON…       gaps that must be; allowed, too
//	unsure PERCENT     so many histories may lack their beginning, if they are marked, without a gap: in pid namespaces the
//	                   parent of a task may not be known yet
//	least N            how many histories there must be at least
//	dense T            all serials of the boot that began at T must be in the output, from 2 to the scenario's end
//	every EXE KIND…    each record of such a kind and program must have a history that begins with swapper/0, and there must be one
//	ok TEXT, bad TEXT  what the script has found out itself
type scenario struct {
	name        string
	prefix      []link
	from, to    float64
	allow, need []string
	unsure      int
	least       int
	dense       float64
	every       [][]string
	ok, bad     []string
	probes      []probe
}

func readScenario(dir string) (*scenario, error) {
	s := &scenario{name: filepath.Base(dir)}
	if err := lines(filepath.Join(dir, "claims"), s.claim); err != nil {
		return nil, err
	}
	err := lines(filepath.Join(dir, "tokens"), func(line string) error {
		p, err := parseProbe(line)
		s.probes = append(s.probes, p)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if s.from == 0 || s.to < s.from {
		return nil, fmt.Errorf("%s: claims: from and to are missing, so the script did not get to its end", dir)
	}
	return s, nil
}

// lines hands on each line of a file.
func lines(name string, f func(string) error) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	scanner.Buffer(make([]byte, 64<<10), 1<<20)
	for scanner.Scan() {
		if err := f(scanner.Text()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return scanner.Err()
}

func (s *scenario) claim(line string) (err error) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "prefix":
		s.prefix = nil
		for text := range strings.FieldsSeq(rest) {
			l, err := parseLink(text)
			if err != nil {
				return err
			}
			s.prefix = append(s.prefix, l)
		}
	case "from":
		s.from, err = strconv.ParseFloat(rest, 64)
	case "to":
		s.to, err = strconv.ParseFloat(rest, 64)
	case "allow":
		s.allow = append(s.allow, strings.Fields(rest)...)
	case "need":
		s.need = append(s.need, strings.Fields(rest)...)
	case "unsure":
		s.unsure, err = strconv.Atoi(rest)
	case "least":
		s.least, err = strconv.Atoi(rest)
	case "dense":
		s.dense, err = strconv.ParseFloat(rest, 64)
	case "every":
		s.every = append(s.every, strings.Fields(rest))
	case "ok":
		s.ok = append(s.ok, rest)
	case "bad":
		s.bad = append(s.bad, rest)
	default:
		err = fmt.Errorf("unknown claim %q", line)
	}
	return err
}

// parseLink reads NAME:PID of a prefix, PID being a number or *, and ? behind it.
func parseLink(text string) (link, error) {
	var l link
	text, l.marked = strings.CutSuffix(text, "?")
	name, number, found := strings.Cut(text, ":")
	if !found {
		return l, fmt.Errorf("prefix element %q is not NAME:PID", text)
	}
	l.name = name
	if number == "*" {
		return l, nil
	}
	var err error
	l.pid, err = strconv.Atoi(number)
	return l, err
}

// parseProbe reads TOKEN, time and PID:SECONDS:NAME…, with tabs between.
func parseProbe(line string) (probe, error) {
	fields := strings.Split(line, "\t")
	if len(fields) < 3 {
		return probe{}, fmt.Errorf("token line %q: too short", line)
	}
	p := probe{token: fields[0]}
	var err error
	if p.at, err = strconv.ParseFloat(fields[1], 64); err != nil {
		return p, fmt.Errorf("token line %q: %w", line, err)
	}
	for _, element := range fields[2:] {
		parts := strings.SplitN(element, ":", 3)
		if len(parts) != 3 {
			return p, fmt.Errorf("token line %q: element %q", line, element)
		}
		pid, err1 := strconv.Atoi(parts[0])
		start, err2 := strconv.ParseInt(parts[1], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return p, fmt.Errorf("token line %q: %w", line, err)
		}
		p.chain = append(p.chain, link{name: parts[2], pid: pid, start: start})
	}
	return p, nil
}

// allowed are the reasons of gaps that may be reported.
func (s *scenario) allowed(reason string) bool {
	return slices.Contains(s.allow, reason) || slices.Contains(s.need, reason)
}

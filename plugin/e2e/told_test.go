package e2e

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// A step is one exec as the workload tells it.
type step struct {
	pid  int
	name string
	at   int64 // just before it, in milliseconds since 1970
}

// A call is one line of what the workload tells: who did something, and which steps have led there.
type call struct {
	kind    string
	token   uint64
	pid     int
	at      int64
	chain   []step
	forks   []int64 // when the forks were that led to who did it
	victims map[int][]step
}

// A story is all that the workload tells.
type story struct {
	calls   []call
	byToken map[uint64]*call
	byPID   map[int][]*call
	chains  map[string][]step // by their text
}

func parseStory(text string) (*story, error) {
	s := &story{byToken: map[uint64]*call{}, byPID: map[int][]*call{}, chains: map[string][]step{}}
	for line := range strings.Lines(text) {
		c, err := s.parse(line)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		s.calls = append(s.calls, c)
	}
	for i := range s.calls {
		c := &s.calls[i]
		s.byPID[c.pid] = append(s.byPID[c.pid], c)
		if c.token == 0 {
			continue
		}
		if s.byToken[c.token] != nil {
			return nil, fmt.Errorf("the token %x is told of twice", c.token)
		}
		s.byToken[c.token] = c
	}
	return s, nil
}

func (s *story) parse(line string) (call, error) {
	f := strings.Fields(line)
	if len(f) < 6 {
		return call{}, fmt.Errorf("%d fields", len(f))
	}
	c := call{kind: f[0], victims: map[int][]step{}}
	var err error
	if c.token, err = strconv.ParseUint(f[1], 16, 64); err != nil {
		return c, err
	}
	if c.pid, err = strconv.Atoi(f[2]); err != nil {
		return c, err
	}
	if c.at, err = milliseconds(f[3]); err != nil {
		return c, err
	}
	if c.chain, err = s.parseChain(f[4]); err != nil {
		return c, err
	}
	if c.forks, err = parseForks(f[5]); err != nil {
		return c, err
	}
	for _, victim := range f[6:] {
		id, text, _ := strings.Cut(victim, "=")
		pid, err := strconv.Atoi(id)
		if err != nil {
			return c, err
		}
		if c.victims[pid], err = s.parseChain(text); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (s *story) parseChain(text string) ([]step, error) {
	if chain := s.chains[text]; chain != nil {
		return chain, nil
	}
	var chain []step
	for _, part := range strings.Split(text, ",") {
		f := strings.Split(part, ":")
		if len(f) != 3 {
			return nil, fmt.Errorf("not a step: %q", part)
		}
		pid, err := strconv.Atoi(f[0])
		if err != nil {
			return nil, err
		}
		name, err := hex.DecodeString(f[1])
		if err != nil {
			return nil, err
		}
		at, err := milliseconds(f[2])
		if err != nil {
			return nil, err
		}
		chain = append(chain, step{pid, string(name), at})
	}
	s.chains[text] = chain
	return chain, nil
}

// parseForks reads times that follow a dash.
func parseForks(text string) ([]int64, error) {
	var list []int64
	for _, part := range strings.Split(text, ",")[1:] {
		at, err := milliseconds(part)
		if err != nil {
			return nil, err
		}
		list = append(list, at)
	}
	return list, nil
}

// near is what a process told nearest to a time while it had a name, nil if it told nothing.
func (s *story) near(pid int, name string, at int64) *call {
	var best *call
	for _, c := range s.byPID[pid] {
		if c.chain[len(c.chain)-1].name == name && (best == nil || distance(c.at, at) < distance(best.at, at)) {
			best = c
		}
	}
	return best
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// milliseconds reads seconds with three decimals.
func milliseconds(text string) (int64, error) {
	whole, part, ok := strings.Cut(text, ".")
	if !ok || len(part) != 3 {
		return 0, fmt.Errorf("not a time: %q", text)
	}
	return strconv.ParseInt(whole+part, 10, 64)
}

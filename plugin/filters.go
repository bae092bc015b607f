package main

import (
	"strconv"

	"audisp-history/conf"
	"audisp-history/enrich/filter"
)

// newFilter is an output's.
func newFilter(c *conf.Output) *filter.Filter {
	rules := make([]filter.Rule, len(c.Filter))
	for i := range c.Filter {
		m := c.Filter[i].Drop
		if c.Filter[i].Keep != nil {
			m, rules[i].Keep = c.Filter[i].Keep, true
		}
		rules[i].Match = filter.Match{
			Keys: m.Key, Types: m.Type, Syscalls: m.Syscall, Exes: m.Exe, Comms: m.Comm,
			UIDs: userIDs(m.UID), AUIDs: userIDs(m.AUID),
		}
		switch m.Result {
		case conf.ResultSuccess:
			rules[i].Match.Result = filter.Success
		case conf.ResultFailed:
			rules[i].Match.Result = filter.Failed
		}
	}
	return filter.New(rules, c.Everything)
}

// userIDs are those that the configuration has checked.
func userIDs(ids []string) []uint32 {
	var numbers []uint32
	for _, id := range ids {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			n = filter.Unset
		}
		numbers = append(numbers, uint32(n))
	}
	return numbers
}

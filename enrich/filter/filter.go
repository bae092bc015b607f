// Package filter decides which events are worth writing.
//
// Forks, execs and exits are recorded for the sake of the histories and would bury what one wants to see. So an event
// that exists only because of the history rules is left out, unless everything is wanted; rules of the user's come before
// that.
package filter

import (
	"bytes"

	"audisp-history/enrich/record"
)

// Key is the key of the history rules.
const Key = "history"

// A Rule keeps or drops the events that match.
type Rule struct {
	Keep  bool
	Match Match
}

// A Filter decides about events. It is not safe for concurrent use.
type Filter struct {
	rules      []Rule
	everything bool
	facts      facts

	Dropped uint64 // events that were not kept
}

// New makes a filter. The first of the rules that matches decides. If none does, everything is kept, or all but the
// events that are there only because of the history rules.
func New(rules []Rule, everything bool) *Filter {
	return &Filter{rules: rules, everything: everything}
}

// Keep reports whether an event is to be written.
func (f *Filter) Keep(e *record.Event) bool {
	keep := f.decide(e)
	if !keep {
		f.Dropped++
	}
	return keep
}

func (f *Filter) decide(e *record.Event) bool {
	if len(f.rules) > 0 {
		f.facts.read(e)
		for i := range f.rules {
			if f.rules[i].Match.matches(&f.facts) {
				return f.rules[i].Keep
			}
		}
	}
	return f.everything || !forHistory(e)
}

// forHistory reports whether the history rules are the only reason for an event: a system call that was recorded under
// no other key, without a record that the kernel writes whatever the rules are (AVC, LOGIN, CONFIG_CHANGE …). The end of
// an event that has been handed on before says nothing of its own.
func forHistory(e *record.Event) bool {
	if len(e.Records) == 1 && e.Records[0].Kind == record.End {
		return true
	}
	if e.Call < 0 || !onlyKey(e.Body(e.Call)) {
		return false
	}
	for i := range e.Records {
		switch e.Records[i].Kind {
		case record.Syscall, record.Uring, record.Title, record.End, record.Target:
		case record.Other:
			if !record.Accompanies(e.Header(i).Type) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// onlyKey reports whether a SYSCALL record has the history rules' key and no other.
func onlyKey(body []byte) bool {
	// The kernel writes the key last (kernel/auditsc.c: audit_log_exit), and no value that it writes has a blank.
	const field = " key="
	v := body[bytes.LastIndex(body, []byte(field))+1:]
	if bytes.IndexByte(v, ' ') < 0 && bytes.HasPrefix(v, []byte(field[1:])) {
		v = v[len(field)-1:]
	} else if v, _ = record.Find(body, "key"); v == nil {
		return false
	}
	if string(v) == `"`+Key+`"` {
		return true
	}
	if len(v) == 0 || v[0] == '"' || len(v)%(2*(len(Key)+1)) != 2*len(Key) {
		return false
	}
	var buf [256]byte
	keys := record.AppendDecoded(buf[:0], v)
	for len(keys) > len(Key) && string(keys[:len(Key)]) == Key && keys[len(Key)] == keySeparator {
		keys = keys[len(Key)+1:]
	}
	return string(keys) == Key
}

// keySeparator stands between the keys of a rule that has several (include/uapi/linux/audit.h via lib/libaudit.h:
// AUDIT_KEY_SEPARATOR); such a value is written in hexadecimal.
const keySeparator = 0x01

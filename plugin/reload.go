package main

import (
	"reflect"
	"strings"

	"audisp-history/conf"
)

// reload reads the configuration again, and opens anew what somebody may have moved away. A configuration that is not
// right changes nothing.
func (r *runner) reload() {
	if r.again == nil {
		r.outlets.reopen()
		return
	}
	c, err := r.again()
	if err != nil {
		r.log.Error().Err(err).Msg("the configuration is not right; the one before stays")
		r.outlets.reopen()
		return
	}
	for i := range c.Outputs {
		if old := r.outlets.find(c.Outputs[i].Name); old != nil && reflect.DeepEqual(old.conf, c.Outputs[i]) {
			continue // it works as it is
		}
		if err := r.usable(&c.Outputs[i]); err != nil {
			r.log.Error().Str("output", c.Outputs[i].Name).Err(err).Msg("the configuration cannot be used; the one before stays")
			r.outlets.reopen()
			return
		}
	}
	if later := needStart(r.conf, &c); len(later) > 0 {
		r.log.Warn().Str("keys", strings.Join(later, ", ")).Msg("these settings take effect when the program starts again")
	}
	r.outlets.change(&c)
	now := *r.conf
	now.Outputs, now.History, now.Log = c.Outputs, c.History, c.Log
	if r.diary != nil {
		r.diary.SetLevel(level(&c))
	}
	r.conf = &now
}

// needStart lists the keys in which b differs from a and that are only looked at when the program starts.
func needStart(a, b *conf.Config) []string {
	var keys []string
	for _, k := range []struct {
		key  string
		a, b any
	}{
		{"state", a.State, b.State},
		{"spool", a.Spool, b.Spool},
		{"auditd_conf", a.Auditd, b.Auditd},
		{"node", a.Node, b.Node},
		{"user", a.User, b.User},
		{"rules", a.Rules, b.Rules},
		{"limits", a.Limits, b.Limits},
	} {
		if !reflect.DeepEqual(k.a, k.b) {
			keys = append(keys, k.key)
		}
	}
	return keys
}

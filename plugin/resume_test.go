package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"audisp-history/conf"
	"audisp-history/enrich/record"
)

// Whatever the format, a line says which event it is of, so that after a restart no event is written twice.
func TestMentions(t *testing.T) {
	stream := capture(t, "rulesgone")
	stream = append(stream, "type=DAEMON_END msg=audit(1795339400.001:77): op=terminate auid=0 pid=1 res=success\n"...)
	stream = bytes.ReplaceAll(stream, []byte("type="), []byte("node=db7 type="))
	events, gaps := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(good(t, bytes.NewReader(stream), "replay", "-").out) {
		m, ok := mentionOf([]byte(line))
		if !ok {
			t.Fatalf("not read: %s", line)
		}
		if m.gap != "" {
			gaps[m.gap] = true
			continue
		}
		h, _ := record.ParseHeader([]byte(line))
		events[fmt.Sprint(stampOf(&h), m.ordered)] = true
	}
	if len(events) < 1000 || len(gaps) < 3 || !events[fmt.Sprint(stamp{"db7", 1795339400001, 77}, false)] {
		t.Fatalf("%d events, %v", len(events), gaps)
	}
	for _, format := range []conf.Format{conf.FormatJSON, conf.FormatECS} {
		t.Run(string(format), func(t *testing.T) {
			hasEvents, hasGaps := map[string]bool{}, map[string]bool{}
			for line := range strings.Lines(good(t, bytes.NewReader(stream), "replay", "--format", string(format), "-").out) {
				m, ok := mentions[format]([]byte(line))
				switch {
				case !ok:
					t.Fatalf("not read: %s", line)
				case m.gap != "":
					hasGaps[m.gap] = true
				default:
					hasEvents[fmt.Sprint(m.stamp, m.ordered)] = true
				}
			}
			for e := range events {
				if !hasEvents[e] {
					t.Fatalf("event %s is missing among %d of %d", e, len(hasEvents), len(events))
				}
			}
			if fmt.Sprint(hasGaps) != fmt.Sprint(gaps) || len(hasEvents) != len(events) {
				t.Errorf("%v, want %v; %d events, want %d", hasGaps, gaps, len(hasEvents), len(events))
			}
		})
	}
	for _, line := range []string{"", "x\n", "{}\n", `{"id":"7"}`, `{"id":7}`, `{"event":{"id":"1.2"}}`} {
		for format, read := range mentions {
			if m, ok := read([]byte(line)); ok {
				t.Errorf("%s: %q is read as %+v", format, line, m)
			}
		}
	}
}

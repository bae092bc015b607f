package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// auditd replaces the program between two records, be they of one event: what the first was told the beginning of, the
// second is told the rest of (audisp/audispd.c: reconfigure). Each record is there once, and nothing is said to be lost.
func TestReplacedWithinAnEvent(t *testing.T) {
	const lines = 4
	for cut := 1; cut < lines; cut++ {
		t.Run(fmt.Sprintf("after %d of %d records", cut, lines), func(t *testing.T) {
			t.Parallel()
			h, k := newHost(t, 1), newTeller()
			before := shell(k)
			call, eoe := split(k.call(callOpen, "3", 10, 1, "sh"))
			id := call[bytes.Index(call, []byte("msg=")) : bytes.Index(call, []byte("): "))+2]
			torn := fmt.Appendf(call, "type=CWD %s cwd=\"/\"\ntype=PROCTITLE %s proctitle=\"sh\"\n", id, id)
			after := k.call(callOpen, "4", 10, 1, "sh")
			at := 0
			for range cut {
				at = cutAfterLine(torn, at)
			}

			h.spawnLogged()
			h.record(before)
			h.record(torn[:at])
			h.written(105)
			if at < len(torn) {
				h.toLog(torn[at:]) // auditd writes its log first
			}
			h.end()

			h.spawnLogged()
			h.toProgram(append(torn[at:len(torn):len(torn)], eoe...))
			h.record(after)
			got := h.end()
			sameEvents(t, without(got, "field"), string(before)+string(torn)+string(after))
			if n := strings.Count(got, "op=history-gap "); n != 1 || !strings.Contains(got, "reason=start") {
				t.Errorf("%d gaps, want that of the start only\n%s", n, h.said())
			}
		})
	}
}

// split takes the last record, EOE, off an event.
func split(event []byte) (call, eoe []byte) {
	at := cutAfterLine(event, 0)
	return event[:at:at], event[at:]
}

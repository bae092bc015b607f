// Package text writes events as they came, in auditd's own text format, with their histories.
package text

import (
	"audisp-history/enrich/history"
	"audisp-history/enrich/record"
	"audisp-history/enrich/tracker"
)

// maxLine is the longest line that ausearch reads whole, newline included (src/ausearch-lookup.h, lib/libaudit.h:
// MAX_AUDIT_MESSAGE_LENGTH, read with fgets).
const maxLine = 8969

// Style says where the history is written.
type Style uint8

// The styles.
const (
	// Field adds history="…", or ohistory="…" for the target of a signal, to the end of a record's raw part.
	Field Style = iota
	// Record adds a record of type 1340 after the SYSCALL record, as the kernel patch did.
	Record
)

// A Format writes events. It is not safe for concurrent use.
type Format struct {
	style    Style
	renderer *history.Renderer

	Written uint64 // histories written
	NoRoom  uint64 // histories left out because the line was full
}

// New makes a format.
func New(s Style, r *history.Renderer) *Format { return &Format{style: s, renderer: r} }

// Append appends the lines of an event. Without what it adds, they are what was read, byte for byte.
func (f *Format) Append(dst []byte, e *record.Event, marks []tracker.Mark) []byte {
	for i := range e.Records {
		if f.style == Record {
			dst = f.appendWithRecord(dst, e, i, marks)
			continue
		}
		dst = f.appendWithField(dst, e, i, marks)
	}
	return dst
}

func (f *Format) appendWithField(dst []byte, e *record.Event, i int, marks []tracker.Mark) []byte {
	line := e.Line(i)
	m := find(marks, i)
	if m == nil {
		return append(dst, line...)
	}
	raw := e.RawEnd(i)
	dst = append(dst, line[:raw]...)
	field := ` history="`
	if m.Target {
		field = ` ohistory="`
	}
	dst = f.value(dst, field, m, maxLine-len(line)-len(field)-1)
	return append(dst, line[raw:]...)
}

func (f *Format) appendWithRecord(dst []byte, e *record.Event, i int, marks []tracker.Mark) []byte {
	line := e.Line(i)
	dst = append(dst, line...)
	m := find(marks, i)
	if m == nil || i != e.Call || line[len(line)-1] != '\n' {
		return dst
	}
	h := e.Header(i)
	begin := len(dst)
	if len(h.Node) > 0 {
		dst = append(append(append(dst, "node="...), h.Node...), ' ')
	}
	dst = append(dst, "type=UNKNOWN[1340]"...)
	// From " msg=audit(" to the body the record is the same as the one before it.
	from := len(dst) - begin - len("UNKNOWN[1340]") + len(h.Type)
	dst = append(dst, line[from:h.Body]...)
	const field = `history="`
	full := f.value(dst, field, m, maxLine-(len(dst)-begin)-len(field)-2)
	if len(full) == len(dst) {
		return dst[:begin]
	}
	return append(full, '\n')
}

// value appends a field with a history of at most room bytes, nothing if there is no room.
func (f *Format) value(dst []byte, field string, m *tracker.Mark, room int) []byte {
	begin := len(dst)
	dst = append(dst, field...)
	full := f.renderer.Append(dst, m.Exec, room)
	if len(full) == len(dst) {
		f.NoRoom++
		return dst[:begin]
	}
	f.Written++
	return append(full, '"')
}

func find(marks []tracker.Mark, i int) *tracker.Mark {
	for j := range marks {
		if marks[j].Record == i {
			return &marks[j]
		}
	}
	return nil
}

// Revise tells the format that histories may have been corrected (see tracker.Tracker.Revision).
func (f *Format) Revise(revision uint64) { f.renderer.Revise(revision) }

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"audisp-history/conf"
	"audisp-history/enrich/record"
	"audisp-history/plugin/sink"
)

// After a restart the outputs that are files may hold events that are not known as handled. Those are handled again, and
// not written again.

// A stamp names an event.
type stamp struct {
	node   string
	time   int64
	serial uint64
}

func stampOf(h *record.Header) stamp { return stamp{string(h.Node), h.Time, h.Serial} }

// stamps are events that are not to be handled, or written, a second time.
type stamps struct {
	set    map[stamp]bool // whether it has been asked for
	unseen int            // those that have not been asked for
}

func (s *stamps) add(e stamp) {
	if s.set == nil {
		s.set = make(map[stamp]bool)
	}
	if _, has := s.set[e]; !has {
		s.unseen++
	}
	s.set[e] = false
}

func (s *stamps) drop(e stamp) {
	if seen, has := s.set[e]; has && !seen {
		s.unseen--
	}
	delete(s.set, e)
}

func (s *stamps) has(e stamp) bool {
	_, has := s.set[e]
	return has
}

// take is has, and notes that it was asked.
func (s *stamps) take(e stamp) bool {
	seen, has := s.set[e]
	if has && !seen {
		s.unseen--
		s.set[e] = true
	}
	return has
}

// lostPlace is how much of an output is read to find out how far it is when nothing else says so.
const lostPlace = 8 << 20

// A mention is what a line of an output is about.
type mention struct {
	stamp
	ordered bool   // its serial is one of the kernel's
	gap     string // names the gap that the line tells of, "" if it is none
}

// header is that of one of the event's records.
func (m *mention) header() *record.Header {
	h := &record.Header{Node: []byte(m.node), Time: m.time, Serial: m.serial, Type: []byte("SYSCALL")}
	if !m.ordered {
		h.Type = []byte("DAEMON_START")
	}
	return h
}

// mentionOf reads a line of auditd's text.
func mentionOf(line []byte) (mention, bool) {
	h, ok := record.ParseHeader(line)
	gap, isGap := gapIn(line)
	if !ok || isGap {
		return mention{gap: gap}, isGap
	}
	return mention{stamp: stampOf(&h), ordered: record.Ordered(&h)}, true
}

// mentions read lines of a format. What is written for people is not read: after kill -9 some events may be there twice.
var mentions = map[conf.Format]func([]byte) (mention, bool){
	conf.FormatAudit:  mentionOf,
	conf.FormatJSON:   mentionInJSON,
	conf.FormatECS:    mentionInECS,
	conf.FormatPretty: func([]byte) (mention, bool) { return mention{}, false },
}

// A writtenGap is a gap as JSON has it.
type writtenGap struct {
	Reason   string
	From, To time.Time
	Lost     uint64
}

// name is what gapIn finds in the same gap's record.
func (g *writtenGap) name() string {
	name := "reason=" + g.Reason + " from=" + seconds(g.From)
	if !g.To.IsZero() {
		name += " to=" + seconds(g.To)
	}
	return name + " lost=" + strconv.FormatUint(g.Lost, 10)
}

// seconds is a time as auditd writes it; the zero one is 0.000.
func seconds(t time.Time) string {
	if t.IsZero() {
		return "0.000"
	}
	return fmt.Sprintf("%d.%03d", t.Unix(), t.UnixMilli()%1000)
}

func mentionInJSON(line []byte) (mention, bool) {
	var v struct {
		ID, Node string
		Gap      *writtenGap
		Records  map[string]json.RawMessage
	}
	if json.Unmarshal(line, &v) != nil {
		return mention{}, false
	}
	kernel := true
	for typ := range v.Records {
		kernel = kernel && !strings.HasPrefix(typ, "DAEMON_")
	}
	return mentionWith(v.ID, v.Node, kernel, v.Gap)
}

func mentionInECS(line []byte) (mention, bool) {
	var v struct {
		Event struct{ ID string }
		Host  struct{ Name string }
		Audit struct {
			Type string `json:"message_type"`
			Gap  *writtenGap
		} `json:"auditd"`
	}
	if json.Unmarshal(line, &v) != nil {
		return mention{}, false
	}
	return mentionWith(v.Event.ID, v.Host.Name, !strings.HasPrefix(v.Audit.Type, "daemon_"), v.Audit.Gap)
}

// mentionWith takes an id as ausearch shows it, seconds.milliseconds:serial.
func mentionWith(id, node string, kernel bool, gap *writtenGap) (mention, bool) {
	if gap != nil {
		return mention{gap: gap.name()}, true
	}
	h, ok := record.ParseHeader([]byte("type=X msg=audit(" + id + "): "))
	s := stampOf(&h)
	s.node = node
	return mention{stamp: s, ordered: kernel && h.Serial != 0}, ok
}

// gapIn is what names the gap that a record tells of: all but the process that wrote it. Only the program's own records
// have the serial 0.
func gapIn(line []byte) (string, bool) {
	if h, ok := record.ParseHeader(line); !ok || h.Serial != 0 || string(h.Type) != "TRUSTED_APP" {
		return "", false
	}
	_, rest, ok := strings.Cut(string(line), "msg='op=history-gap ")
	name, _, _ := strings.Cut(rest, ` exe=`)
	return name, ok
}

// A tail is what is in the output since a place.
type tail struct {
	read    func(line []byte) (mention, bool)
	boot    int64 // when the machine has booted
	written stamps
	gaps    map[string]struct{}
	places  map[string]*span // by node
	last    struct {         // the last event: it may not be whole
		mention
		file   string
		offset int64
		whole  bool // its last line has an end
	}
}

// A span is where the events of a node in a tail begin: the lowest serial, and its time.
type span struct {
	first uint64
	time  int64
}

func (t *tail) line(file string, offset int64, line []byte) error {
	m, ok := t.read(line)
	t.last.whole = line[len(line)-1] == '\n'
	if l := &t.last; !ok && !l.whole && l.file == file && l.serial > 0 && l.gap == "" {
		return nil // torn before it said of which event it is: of that of the line before
	}
	if l := &t.last; m.stamp != l.stamp || m.gap != l.gap || file != l.file {
		l.mention, l.file, l.offset = m, file, offset
	}
	switch {
	case !ok:
	case m.gap != "":
		t.gaps[m.gap] = struct{}{}
	default:
		t.written.add(m.stamp)
		if m.ordered && m.time >= t.boot {
			t.see(m.stamp)
		}
	}
	return nil
}

func (t *tail) see(s stamp) {
	if p := t.places[s.node]; p == nil || s.serial < p.first {
		t.places[s.node] = &span{s.serial, s.time}
	}
}

// resume finds out what the output has since the place that was kept.
func (o *outlet) resume(place sink.Place, boot int64) error {
	t := &tail{read: o.read, boot: boot, gaps: map[string]struct{}{}, places: map[string]*span{}}
	err := sink.Since(o.conf.File.Path, place, t.line)
	o.written, o.gaps, o.place, o.tail = t.written, t.gaps, place, t
	return err
}

// assume is resume without a place: it is that of the last lines. It reports whether there are any.
func (o *outlet) assume(boot int64) (bool, error) {
	place, err := sink.Tail(o.conf.File.Path, lostPlace)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = o.resume(place, boot)
	}
	return err == nil && len(o.tail.places) > 0, err
}

// cut takes the last event out of the output, which can be had again: it may not be whole.
func (o *outlet) cut() error {
	t := o.tail
	if t == nil || t.last.file == "" || t.last.gap != "" && t.last.whole { // a gap is not in the log
		return nil
	}
	if err := os.Truncate(t.last.file, t.last.offset); err != nil {
		return err
	}
	o.written.drop(t.last.stamp)
	delete(o.gaps, t.last.gap)
	return nil
}

// caughtUp forgets what the output had: all of it has come again, or will not.
func (o *outlet) caughtUp() {
	o.written, o.gaps, o.tail = stamps{}, nil, nil
}

// upTo is how far the output is known to hold just what has been handled: while there is more in it, where that begins.
func (o *outlet) upTo() sink.Place {
	if o.written.unseen > 0 {
		return o.place
	}
	return o.file.Place()
}

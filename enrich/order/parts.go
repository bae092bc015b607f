package order

import (
	"bytes"
	"hash/maphash"
	"slices"

	"audisp-history/enrich/record"
)

// An event may come in parts: some on the stream and, after a hole, all of it from elsewhere. What was had from elsewhere
// is whole but for its end, so of what comes on the stream afterwards only what it did not have is handed on.

// maxFetches bounds the events that are remembered because they were had from elsewhere.
const maxFetches = 2 * Window

// fetches are hashes of the records of such events, by serial.
type fetches struct {
	lines   map[uint64][]uint64
	serials []uint64 // in the order in which they were had
}

// has reports whether an event was had from elsewhere. While some are, those on the stream wait for what they may lack.
func (f *fetches) has(serial uint64) bool { return f.lines[serial] != nil }

// note remembers an event that is had from elsewhere.
func (o *Order) note(s *sequence, e *record.Event) {
	f := &s.fetches
	if f.lines == nil {
		f.lines = make(map[uint64][]uint64)
	}
	if f.lines[e.Serial] == nil {
		f.serials = append(f.serials, e.Serial)
	}
	for i := range e.Records {
		f.lines[e.Serial] = append(f.lines[e.Serial], o.hash(e.Line(i)))
	}
	for len(f.serials) > maxFetches {
		delete(f.lines, f.serials[0])
		f.serials = f.serials[1:]
	}
}

func (o *Order) hash(line []byte) uint64 { return maphash.Bytes(o.seed, bytes.TrimRight(line, "\n")) }

// less is what has not been had from elsewhere of an event that comes on the stream, nil if that is nothing.
func (o *Order) less(s *sequence, e *record.Event) *record.Event {
	if len(s.fetches.lines) == 0 {
		return e
	}
	known := s.fetches.lines[e.Serial]
	if known == nil {
		return e
	}
	return e.Without(func(line []byte) bool { return slices.Contains(known, o.hash(line)) })
}

// complete puts an event that was had from elsewhere in the place of the one that waits with its serial. What that has
// besides, such as its end, stays.
func (s *sequence) complete(e *record.Event) {
	slot := &s.ring[e.Serial%Window]
	if e.Headless() {
		return
	}
	for part := *slot; part != nil; part = part.Rest {
		e.Join(part)
	}
	*slot = e
}

package enrich

import (
	"errors"
	"fmt"
	"slices"

	"audisp-history/enrich/order"
	"audisp-history/enrich/packed"
	"audisp-history/enrich/record"
)

// A Stream knows which events it has handled, so that after a restart of the program each is handled once: of each node
// all before a serial, but for those that were given up and have not come since; and the last ones without a serial of
// the kernel's.

// place is how far a stream is with the events of one node.
type place struct {
	saved   uint64 // the serial that was due when this was saved, for Resume
	newest  int64  // and the latest time
	resumed uint64 // the same, if the stream goes on from there behind a gap
	holes   []hole // serials that were given up, ascending
	strays  []stamp
}

type hole struct{ first, count uint64 }

// A stamp names an event that is not in the order of serials.
type stamp struct {
	time   int64
	serial uint64
}

// maxHoles and maxStrays bound what is remembered of a node. Nothing that was given up that long ago is likely to come.
const (
	maxHoles  = 64
	maxStrays = 64
)

func (s *Stream) place(node string) *place {
	p := s.places[node]
	if p == nil {
		p = &place{}
		if len(s.places) < maxPlaces {
			s.places[node] = p
		}
	}
	return p
}

// maxPlaces bounds the nodes that are remembered.
const maxPlaces = 1024

func (p *place) lose(first, count uint64) {
	if len(p.holes) == maxHoles {
		p.holes = slices.Delete(p.holes, 0, 1)
	}
	p.holes = append(p.holes, hole{first, count})
}

// fill takes a serial out of the holes.
func (p *place) fill(serial uint64) {
	for i, h := range p.holes {
		if serial < h.first || serial-h.first >= h.count {
			continue
		}
		var rest []hole
		if serial > h.first {
			rest = append(rest, hole{h.first, serial - h.first})
		}
		if last := h.first + h.count - 1; serial < last {
			rest = append(rest, hole{serial + 1, last - serial})
		}
		p.holes = slices.Replace(p.holes, i, i+1, rest...)
		return
	}
}

func (p *place) gaveUp(serial uint64) bool {
	return slices.ContainsFunc(p.holes, func(h hole) bool { return serial >= h.first && serial-h.first < h.count })
}

// mark remembers an event that is handled out of the order of serials.
func (s *Stream) mark(e *record.Event) {
	p := s.place(e.Node)
	switch {
	case e.Ordered:
		p.fill(e.Serial)
	case e.Records[0].Kind != record.Unreadable:
		if len(p.strays) == maxStrays {
			p.strays = slices.Delete(p.strays, 0, 1)
		}
		p.strays = append(p.strays, stamp{e.Time, e.Serial})
	}
}

// due is the first serial of a node that has not been handled.
func (s *Stream) due(node string) (serial uint64, newest int64) {
	serial, newest = s.order.Next(node)
	for _, w := range s.waiting {
		if e := w.event; e.Node == node && e.Ordered && !w.late {
			return min(serial, e.Serial), newest
		}
	}
	return serial, newest
}

// Next is the first serial of a node that has not been handled, and the latest time of those that have been; 0 if
// nothing was heard of it.
func (s *Stream) Next(node string) (serial uint64, newest int64) { return s.due(node) }

// Begun reports whether any event in the order of serials has been handled: before, there is no place to go on from.
func (s *Stream) Begun() bool {
	for _, node := range s.order.Nodes() {
		if next, _ := s.due(node); next > 0 {
			return true
		}
	}
	return false
}

// Nodes are those of which events have come, before a restart or since.
func (s *Stream) Nodes() []string { return s.order.Nodes() }

// Handled reports whether an event has been handled, by the header of one of its records. One that is later than all
// that have been is none of them, whatever its serial: its node has booted since.
func (s *Stream) Handled(h *record.Header) bool {
	p := s.places[string(h.Node)]
	if p == nil {
		return false
	}
	if !record.Ordered(h) {
		return slices.Contains(p.strays, stamp{h.Time, h.Serial})
	}
	next, newest := s.due(string(h.Node))
	return h.Serial < max(next, p.saved) && h.Time <= max(newest, p.newest)+order.Slack && !p.gaveUp(h.Serial)
}

// savePlace writes how far the stream is.
func (s *Stream) savePlace(w *packed.Writer) {
	nodes := s.order.Nodes()
	w.Uint(uint64(len(nodes)))
	for _, node := range nodes {
		p := s.place(node)
		next, newest := s.due(node)
		w.String(node)
		w.Uint(next)
		w.Int(newest)
		holes := s.unhandled(node, p.holes)
		w.Uint(uint64(len(holes)))
		for _, h := range holes {
			w.Uint(h.first)
			w.Uint(h.count)
		}
		w.Uint(uint64(len(p.strays)))
		for _, d := range p.strays {
			w.Int(d.time)
			w.Uint(d.serial)
		}
	}
}

// unhandled adds the late events that wait to the holes.
func (s *Stream) unhandled(node string, holes []hole) []hole {
	for _, w := range s.waiting {
		if e := w.event; w.late && e.Node == node && len(holes) < maxHoles {
			holes = append(slices.Clip(holes), hole{e.Serial, 1})
		}
	}
	return holes
}

// restorePlace reads what savePlace wrote. Resume goes on from there. After an error it is where it was.
func (s *Stream) restorePlace(r *packed.Reader) error {
	places := make(map[string]*place)
	for range r.Count(4) {
		node := r.String()
		p := &place{saved: r.Uint(), newest: r.Int()}
		for range r.Count(2) {
			p.holes = append(p.holes, hole{r.Uint(), r.Uint()})
		}
		for range r.Count(2) {
			p.strays = append(p.strays, stamp{r.Int(), r.Uint()})
		}
		if len(p.holes) > maxHoles || len(p.strays) > maxStrays {
			return fmt.Errorf("%w: %d holes, %d strays", errPlace, len(p.holes), len(p.strays))
		}
		if len(places) < maxPlaces {
			places[node] = p
		}
	}
	if r.Err() == nil {
		s.places = places
	}
	return r.Err()
}

var errPlace = errors.New("a saved place that makes no sense")

// Saved is the serial that was due of a node, and the latest time, as it was saved; 0 if nothing was known of it.
func (s *Stream) Saved(node string) (serial uint64, newest int64) {
	if p := s.places[node]; p != nil {
		return p.saved, p.newest
	}
	return 0, 0
}

// Assume takes a serial for the one that was due of a node, where what was kept does not say.
func (s *Stream) Assume(node string, serial uint64, newest int64) {
	*s.place(node) = place{saved: serial, newest: newest}
}

// Resume goes on from the place that was restored. With gap, what has come in between cannot be had, and the first
// events to come say how much it was.
func (s *Stream) Resume(gap bool) {
	for node, p := range s.places {
		if gap {
			p.resumed = p.saved
		}
		s.order.Resume(node, p.saved, p.newest, gap)
	}
}

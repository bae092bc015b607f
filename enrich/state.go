package enrich

import (
	"bytes"
	"errors"
	"fmt"

	"audisp-history/enrich/packed"
	"audisp-history/enrich/tracker"
)

// What a stream knows is kept in pieces: a snapshot is all of it, a journal what has changed since, a piece for each time
// it was written. Each piece of a journal ends with how far the stream was, and what its user wants to keep with that.
//
//	snapshot: place, extra | entries of the tracker | entries …
//	journal:  follows, changes of the tracker, place, extra | …

// pieceSize is how long the pieces of a snapshot are, about.
const pieceSize = 256 << 10

// What a piece of a journal follows.
const (
	followsPiece    = iota // the one before it
	followsJournal         // the one before it, or the snapshot, but it has its own dictionary
	followsSnapshot        // the snapshot only: pieces before it have been dropped
	followKinds
)

// Snapshot returns what is known, in pieces, and begins a new journal. extra is handed back by Loader.Extra. hole says
// that pieces of the journal before were dropped, so that the new one is of no use without this snapshot.
func (s *Stream) Snapshot(extra []byte, hole bool) [][]byte {
	var pieces [][]byte
	var w packed.Writer
	take := func() {
		pieces = append(pieces, bytes.Clone(w.Bytes()))
		w.Cut()
	}
	s.savePlace(&w)
	w.Raw(extra)
	take()
	s.tracker.Save(&w, func() {
		if w.Len() >= pieceSize {
			take()
		}
	})
	take()
	if s.journal != nil {
		s.journal.Reset()
	}
	s.tracker.FreshJournal()
	s.follows, s.kept = followsJournal, s.counts
	if hole {
		s.follows = followsSnapshot
	}
	return pieces
}

// Unkept is about how many bytes Changes would return.
func (s *Stream) Unkept() int {
	if s.journal == nil {
		return 0
	}
	return s.journal.Len()
}

// Changes returns what has changed since the last call, as one piece of the journal, nil if nothing has. The caller
// must keep it, and in order: each piece is understood after those before it only.
func (s *Stream) Changes(extra []byte) []byte {
	if s.journal == nil || s.counts == s.kept && s.journal.Len() == 0 {
		return nil
	}
	w := s.journal
	s.tracker.EndChanges()
	s.savePlace(w)
	w.Raw(extra)
	piece := append(make([]byte, 0, w.Len()+1), s.follows)
	piece = append(piece, w.Bytes()...)
	w.Cut()
	s.follows, s.kept = followsPiece, s.counts
	return piece
}

// A Loader fills a stream that has handled nothing yet with what was kept of another, piece by piece. What was read
// before an error is there, and right.
type Loader struct {
	stream   *Stream
	snapshot packed.Reader
	journal  packed.Reader
	restorer *tracker.Restorer
	extra    []byte
	whole    bool // a snapshot was read
	pieces   int  // of journals
}

// NewLoader makes a loader that fills s.
func NewLoader(s *Stream) *Loader { return &Loader{stream: s} }

var errPiece = errors.New("a saved piece that makes no sense")

// Snapshot reads the next piece of a snapshot.
func (l *Loader) Snapshot(piece []byte) error {
	r := &l.snapshot
	r.Feed(piece)
	if l.restorer == nil {
		if err := l.place(r); err != nil {
			return err
		}
		l.restorer, l.whole = l.stream.tracker.Restore(), true
	}
	return l.restorer.Read(r)
}

// Journal reads the next piece of a journal. The first one ends the snapshot.
func (l *Loader) Journal(piece []byte) error {
	l.endSnapshot()
	if len(piece) == 0 || piece[0] >= followKinds {
		return errPiece
	}
	r := &l.journal
	if piece[0] == followsSnapshot && (!l.whole || l.pieces > 0) {
		return fmt.Errorf("%w: the snapshot that it follows is missing", errPiece)
	}
	if l.pieces++; piece[0] != followsPiece {
		*r = packed.Reader{}
		l.stream.tracker.FreshJournal()
	}
	r.Feed(piece[1:])
	if err := l.stream.tracker.Replay(r); err != nil {
		return err
	}
	if err := l.place(r); err != nil {
		return err
	}
	if r.More() {
		return fmt.Errorf("%w: more than there should be", errPiece)
	}
	return nil
}

func (l *Loader) place(r *packed.Reader) error {
	if err := l.stream.restorePlace(r); err != nil {
		return err
	}
	l.extra = append(l.extra[:0], r.Raw()...)
	return r.Err()
}

func (l *Loader) endSnapshot() {
	if l.restorer != nil {
		l.restorer.Finish()
		l.restorer = nil
	}
}

// Extra is what was kept with the last piece that was read.
func (l *Loader) Extra() []byte { return l.extra }

// Finish ends loading.
func (l *Loader) Finish() {
	l.endSnapshot()
	l.stream.tracker.FreshJournal()
}

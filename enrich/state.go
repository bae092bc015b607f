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
//	journal:  fresh, changes of the tracker, place, extra | …

// pieceSize is how long the pieces of a snapshot are, about.
const pieceSize = 256 << 10

// Snapshot returns what is known, in pieces, and begins a new journal. extra is handed back by Loader.Extra.
func (s *Stream) Snapshot(extra []byte) [][]byte {
	var pieces [][]byte
	var w packed.Writer
	take := func() {
		pieces = append(pieces, bytes.Clone(w.Bytes()))
		w.Cut()
	}
	s.savePlace(&w)
	w.Text(extra)
	take()
	s.tracker.Save(&w, func() {
		if w.Len() >= pieceSize {
			take()
		}
	})
	take()
	s.journal.Reset()
	s.tracker.FreshJournal()
	s.fresh, s.kept = true, s.counts
	return pieces
}

// Changes returns what has changed since the last call, as one piece of the journal, nil if nothing has. The caller
// must keep it, and in order: each piece is understood after those before it only.
func (s *Stream) Changes(extra []byte) []byte {
	if s.counts == s.kept && s.journal.Len() == 0 {
		return nil
	}
	w := s.journal
	s.tracker.EndChanges()
	s.savePlace(w)
	w.Text(extra)
	piece := make([]byte, 0, w.Len()+1)
	if s.fresh {
		piece = append(piece, 1)
	} else {
		piece = append(piece, 0)
	}
	piece = append(piece, w.Bytes()...)
	w.Cut()
	s.fresh, s.kept = false, s.counts
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
		l.restorer = l.stream.tracker.Restore()
	}
	return l.restorer.Read(r)
}

// Journal reads the next piece of a journal. The first one ends the snapshot.
func (l *Loader) Journal(piece []byte) error {
	l.endSnapshot()
	if len(piece) == 0 || piece[0] > 1 {
		return errPiece
	}
	r := &l.journal
	if piece[0] == 1 {
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
	l.extra = append(l.extra[:0], r.String()...)
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

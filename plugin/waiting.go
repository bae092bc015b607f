package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"audisp-history/conf"
	"audisp-history/enrich/tracker"
	"audisp-history/plugin/spool"
)

// What waits for a receiver when the program ends is kept in the state directory, a file for each output that is none, and
// goes first after the next start. The file stays until all of it has arrived: what is delivered twice is better than what
// is not.

const waitingPrefix = "waiting-"

// waitingFile is where what waits for an output is kept, "" if it is not.
func (s *outlets) waitingFile(o *outlet) string {
	if s.dir == "" || o.conf.File != nil {
		return ""
	}
	return filepath.Join(s.dir, waitingPrefix+o.conf.Name)
}

// eventLabel says what the events are that wait: what another format or, for what is still to be converted, another
// program has made cannot be used.
func (o *outlet) eventLabel() string {
	label := "events " + string(o.conf.Format)
	if o.conf.Format == conf.FormatECS {
		label += " " + version
	}
	return label
}

// messageLabel is the same of messages that have all that a receiver wants.
func (o *outlet) messageLabel() string { return fmt.Sprintf("messages %+v", *o.conf.Syslog) }

var errNotAll = errors.New("not all of it could be read back")

// save keeps what waits for an output that has ended.
func (s *outlets) save(o *outlet) error {
	whole := true
	err := spool.Save(s.waitingFile(o), func(yield func(spool.Piece) bool) {
		message := func(m []byte) bool { return yield(spool.Piece{Label: o.messageLabel(), Data: m, Items: 1}) }
		for _, m := range o.unsent {
			if !message(m) {
				return
			}
		}
		if o.syslog != nil {
			for m := range o.syslog.Unsent {
				if !message(m) {
					return
				}
			}
		}
		whole = o.Rest(func(chunk []byte, events int) bool {
			return yield(spool.Piece{Label: o.eventLabel(), Data: chunk, Items: events})
		})
	})
	if err == nil && !whole {
		err = errNotAll
	}
	if err != nil {
		return fmt.Errorf("state directory %s: %w", s.dir, err)
	}
	return nil
}

// openWaiting opens an output with what has waited for it.
func (s *outlets) openWaiting(o *outlet) {
	events, messages, others := 0, 0, 0
	err := fs.ErrNotExist
	if name := s.waitingFile(o); name != "" {
		err = spool.Load(name, func(p spool.Piece) {
			switch {
			case o.Output == nil && o.conf.Syslog != nil && p.Label == o.messageLabel():
				o.unsent = append(o.unsent, p.Data)
				messages++
			case p.Label == o.eventLabel():
				if o.Output == nil {
					s.openOne(o)
				}
				o.Refill(p.Data, p.Items)
				events += p.Items
			default:
				others += p.Items
			}
		})
	}
	if o.Output == nil {
		s.openOne(o)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	o.refilled = true
	log := s.log.With().Str("output", o.conf.Name).Logger()
	if err != nil || others > 0 {
		log.Error().Err(err).Int("lost", others).Msg("of what waited when the program ended, not all can be used")
		now := time.Now().UnixMilli()
		o.Gap(&tracker.Gap{Reason: tracker.OutputLost, From: now, To: now, At: now, Lost: uint64(others)})
	}
	if events+messages == 0 {
		return
	}
	log.Info().Int("events", events).Int("messages", messages).Msg("what waited when the program ended is delivered first")
}

// arrived removes the file of what has waited, once all of it has been delivered.
func (s *outlets) arrived(o *outlet) {
	if !o.refilled || len(o.unsent) > 0 || !o.Delivered() {
		return
	}
	if err := os.Remove(s.waitingFile(o)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Error().Str("output", o.conf.Name).Err(err).Msg("what has waited may be delivered again")
	}
	o.refilled = false
}

// forget removes what waits for outputs that are not configured any more.
func (s *outlets) forget() {
	if s.dir == "" {
		return
	}
	names, _ := filepath.Glob(filepath.Join(s.dir, waitingPrefix+"*")) // the pattern is right, and what cannot be listed is tried again
	for _, name := range names {
		base := strings.TrimPrefix(filepath.Base(name), waitingPrefix)
		if o := s.find(base); o != nil && o.conf.File == nil {
			continue
		}
		err := os.Remove(name)
		if !strings.HasSuffix(base, ".new") {
			s.log.Error().Str("output", base).Err(err).Msg("events waited for an output that is gone, and are lost")
		}
	}
}

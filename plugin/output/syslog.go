package output

import (
	"bytes"
	"context"
	"time"

	"audisp-history/plugin/syslog"
)

// closeTime is how long a receiver may take for what is left at the end.
const closeTime = time.Second

// A Syslog is a syslog receiver as a destination. What it has taken is on its way; see package syslog.
type Syslog struct {
	sender *syslog.Sender
	held   int
	time   func(line []byte) int64
	batch  []syslog.Message
	ends   []int // where in the chunk the messages end, newline included
}

// NewSyslog makes a destination of a receiver. time is the time of a line's event, in milliseconds since 1970.
func NewSyslog(c syslog.Config, time func(line []byte) int64) (*Syslog, error) {
	sender, err := syslog.New(c)
	if err != nil {
		return nil, err
	}
	return &Syslog{sender: sender, time: time}, nil
}

// Deliver sends each line as a message.
func (s *Syslog) Deliver(chunk []byte) (int, error) {
	s.batch, s.ends = s.batch[:0], s.ends[:0]
	at := 0
	for line := range bytes.Lines(chunk) {
		at += len(line)
		s.batch = append(s.batch, syslog.Message{Time: s.time(line), Text: bytes.TrimRight(line, "\n")})
		s.ends = append(s.ends, at)
	}
	n, err := s.send(s.batch)
	clear(s.batch)
	if n == 0 {
		return 0, err
	}
	return s.ends[n-1], err
}

// send sends messages. While all is well, the kernel has whatever the sender keeps a copy of, and sends it although the
// program ends. Otherwise it is the sender's alone.
func (s *Syslog) send(batch []syslog.Message) (int, error) {
	n, err := s.sender.Send(context.Background(), batch)
	if s.held = 0; err != nil {
		s.held = s.sender.Unconfirmed()
	}
	return n, err
}

// Held is how many messages the sender alone has, and after Close those that may not have arrived.
func (s *Syslog) Held() int { return s.held }

// Unsent calls yield for the messages that Held counts, after Close.
func (s *Syslog) Unsent(yield func(message []byte) bool) { s.sender.Unsent(yield) }

// Restore takes a message that another made alike had Unsent, before anything is delivered.
func (s *Syslog) Restore(message []byte) {
	s.sender.Restore(message)
	s.held = s.sender.Unconfirmed()
}

// Tick finds out what has arrived, and sends again what has not.
func (s *Syslog) Tick(time.Time) error {
	if s.sender.Unconfirmed() == 0 {
		return nil
	}
	_, err := s.send(nil)
	return err
}

// Reopen has nothing to do: a connection that is broken is made anew, and certificates are read for each.
func (s *Syslog) Reopen() error { return nil }

// Close sends what is left.
func (s *Syslog) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := s.sender.Close(ctx)
	s.held = s.sender.Unconfirmed()
	return err
}

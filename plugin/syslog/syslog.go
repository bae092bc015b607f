// Package syslog sends messages to a syslog receiver: a local daemon's socket, or a host, by UDP, TCP or TLS.
//
// A Sender delivers at least once, as far as kernels tell what arrives. It keeps copies of messages until they have been
// read from a local socket, or are acknowledged over TCP and the connection has lasted for a second after that; when a
// connection breaks, it sends them again over the next one. That covers a receiver that is stopped, killed or started
// again, also with data in its kernel that it has not read, if it is less than the 1 MiB that is kept of what was
// acknowledged. It does not cover what a receiver has read and loses (syslog knows no acknowledgement by the
// receiver itself), what is between two receivers, a receiver that stands still for more than a second and is killed
// then, and, with UDP, whatever the network loses without telling. A message may arrive twice.
package syslog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// hold is how long a connection must have lasted after a message was acknowledged until it is believed to have
	// arrived: a receiver that dies leaves what its kernel has and it has not read.
	hold = time.Second
	// heldBytes bounds what is kept of acknowledged messages.
	heldBytes = 1 << 20
	// keptBytes bounds all that is kept. No more is taken until some of it has arrived.
	keptBytes = 4 << 20
	// pause is how often it is asked whether that has happened.
	pause = 5 * time.Millisecond
	// farewell is how long Close waits for the receiver to say that it has read everything.
	farewell = 5 * time.Second
)

// A Sender sends messages to one receiver. It has no goroutines of its own and is not safe for concurrent use.
type Sender struct {
	conf    Config
	to      receiver
	format  *format
	link    *link // nil while there is no connection
	backlog backlog
	counts  Counts

	hold                 time.Duration
	heldBytes, keptBytes int
}

// New makes a sender. It does not connect: the first Send does. The error joins a KeyError for everything in c that makes
// no sense.
func New(c Config) (*Sender, error) {
	to, err := c.complete()
	if err != nil {
		return nil, err
	}
	host := c.Host
	if host == "" {
		if host, err = os.Hostname(); err != nil || !word(host, 255) {
			host = "-" // RFC 5424: NILVALUE
		}
	}
	return &Sender{
		conf: c, to: to, format: newFormat(&c, to.scheme == "unix", host, os.Getpid(), time.Local),
		hold: hold, heldBytes: heldBytes, keptBytes: keptBytes,
	}, nil
}

// Counts are how many messages came out other than they are, so far.
func (s *Sender) Counts() Counts { return s.counts }

// Unconfirmed is how many of the messages that were taken last are not known to have arrived. The sender sends them
// again if it must, but they are lost if the program ends: a spool on disk should forget a message only when it is no
// longer among them.
func (s *Sender) Unconfirmed() int { return s.backlog.len() }

// Unsent calls yield for the messages that Unconfirmed counts, as they are sent.
func (s *Sender) Unsent(yield func(message []byte) bool) {
	b := &s.backlog
	at := b.firstByte
	for i := b.firstItem; i < len(b.items); i++ {
		end := at + b.items[i].size
		if !yield(b.text[at:end]) {
			return
		}
		at = end
	}
}

// Restore takes a message that was among the Unsent of a sender made with the same Config.
func (s *Sender) Restore(message []byte) {
	s.backlog.text = append(s.backlog.text, message...)
	s.backlog.added(len(message))
}

var (
	errStalled = errors.New("it takes no messages")
	errClosed  = errors.New("it has closed the connection")
	errUnread  = errors.New("it has not acknowledged them")
	errUnsent  = errors.New("there is no connection")
)

// Send takes messages in order, as many as it can, and returns how many; the others must be given to it again. Those it
// has taken are its own affair. The error says why it could not take all, or not send what it took; it names the receiver
// and what can be done. The caller should wait a little then.
//
// Send connects if there is no connection. Called without messages, it connects, sends what is left from before and
// finds out what has arrived; that should be done about every second while there is nothing to send. It waits for the
// receiver as long as the timeouts allow, or until ctx ends.
func (s *Sender) Send(ctx context.Context, batch []Message) (int, error) {
	taken := 0
	for {
		lasted := s.link != nil && s.link.proven
		n, err := s.try(ctx, batch[taken:])
		taken += n
		if err == nil {
			return taken, nil
		}
		// The receiver may have been started anew: one that has served us before gets a second chance.
		if !lasted || s.link != nil || ctx.Err() != nil {
			return taken, s.explain(err)
		}
	}
}

func (s *Sender) try(ctx context.Context, batch []Message) (int, error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	taken := 0
	for taken < len(batch) {
		if err := s.makeRoom(ctx); err != nil {
			return taken, err
		}
		taken += s.take(batch[taken:])
		if err := s.pump(ctx); err != nil {
			return taken, err
		}
		if err := s.check(); err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// ready makes sure that there is a connection and that it has been given everything that was taken.
func (s *Sender) ready(ctx context.Context) error {
	if s.link != nil {
		if err := s.check(); err != nil {
			return err
		}
	} else if err := s.connect(ctx); err != nil {
		return err
	}
	return s.pump(ctx)
}

func (s *Sender) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.conf.ConnectTimeout)
	defer cancel()
	l, err := dial(ctx, &s.to, s.conf.Framing)
	if err != nil {
		return err
	}
	if s.to.scheme == "tls" {
		if err := l.secure(ctx, &s.conf, s.to.host); err != nil {
			_ = l.Close() // nothing was sent
			return err
		}
	}
	s.link = l
	s.counts.Repeated += uint64(s.backlog.rewind())
	return nil
}

// check drops a connection that the receiver has closed, and finds out what has arrived.
func (s *Sender) check() error {
	// Asked before the other side is known to live: a dead one has nothing left that it has not read.
	unread, known := s.link.unread()
	if err := s.link.check(); err != nil {
		return s.fail(err)
	}
	if time.Since(s.link.born) >= s.hold {
		s.link.proven = true
	}
	if known {
		s.confirm(unread)
	}
	return nil
}

// fail drops the connection, which has broken. If it ended well, what was acknowledged was read; with TLS that says
// little, since the library behind it may have read what the receiver has not (seen with rsyslog and OpenSSL).
func (s *Sender) fail(err error) error {
	l := s.link
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // the latter is from TLS
		if l.tls == nil && l.ended() {
			s.forgetAll()
		}
		err = errClosed
	}
	if l.stream && !l.proven {
		err = &refusedError{cause: err, later: true, asked: l.asked}
	}
	s.drop()
	return err
}

func (s *Sender) drop() {
	_ = s.link.Close() // what was not sent is kept
	s.link = nil
}

// take formats a chunk of messages into the backlog.
func (s *Sender) take(batch []Message) int {
	b := &s.backlog
	limit, hard := s.conf.MaxBytes, !s.link.stream
	if hard {
		limit = min(limit, s.link.most)
	}
	begin := len(b.text)
	for i := range batch {
		before := len(b.text)
		b.text = s.format.appendMessage(b.text, batch[i], limit, hard, &s.counts)
		b.added(len(b.text) - before)
		if len(b.text)-begin >= chunkBytes {
			return i + 1
		}
	}
	return len(batch)
}

// makeRoom waits until less is kept than may be.
func (s *Sender) makeRoom(ctx context.Context) error {
	if s.backlog.size() < s.keptBytes {
		return nil
	}
	stalled := time.NewTimer(s.conf.WriteTimeout)
	defer stalled.Stop()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		if err := s.check(); err != nil {
			return err
		}
		if s.backlog.size() < s.keptBytes {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-stalled.C:
			return errStalled
		case <-tick.C:
		}
	}
}

// pump gives the connection everything in the backlog.
func (s *Sender) pump(ctx context.Context) error {
	for {
		if err := s.flush(ctx); err != nil {
			return err
		}
		if s.backlog.given == s.backlog.len() {
			return nil
		}
		if err := s.give(ctx); err != nil {
			return err
		}
	}
}

// flush writes what the socket did not take before.
func (s *Sender) flush(ctx context.Context) error {
	return s.judge(ctx, s.link.flush(ctx, s.conf.WriteTimeout))
}

// judge drops the connection unless an error only says that the receiver is slow.
func (s *Sender) judge(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case isTimeout(err), errors.Is(err, unix.ENOBUFS):
		return fmt.Errorf("%w: %w", errStalled, err)
	}
	return s.fail(err)
}

// give gives the connection the next part of the backlog.
func (s *Sender) give(ctx context.Context) error {
	if !s.link.stream {
		text, _ := s.backlog.next(0)
		if err := s.datagram(ctx, text); err != nil {
			return s.judge(ctx, err)
		}
		s.backlog.gave(1, 0, time.Now())
		return nil
	}
	text, items := s.backlog.next(chunkBytes)
	if err := s.link.put(text, items); err != nil {
		return s.fail(err)
	}
	s.backlog.gave(len(items), s.link.end(), time.Now())
	return nil
}

// datagram sends a message, cut as often as it takes until the network can carry it.
func (s *Sender) datagram(ctx context.Context, message []byte) error {
	err := s.link.datagram(ctx, s.conf.WriteTimeout, message)
	for limit := len(message) / 2; errors.Is(err, unix.EMSGSIZE) && limit >= LeastBytes; limit /= 2 {
		s.link.most = limit
		message = s.format.shorten(message, limit, &s.counts)
		err = s.link.datagram(ctx, s.conf.WriteTimeout, message)
	}
	return err
}

// confirm forgets what has arrived, if the other side had not taken so many bytes and lives.
func (s *Sender) confirm(unread uint64) {
	l := s.link
	switch {
	case l.local():
		// What its reader has not read is among the newest, and at most so much.
		for s.backlog.given > 0 && uint64(s.backlog.givenSize) > unread {
			s.backlog.forget()
		}
	case l.stream:
		s.forgetAcknowledged(unread, s.hold, s.heldBytes)
	default:
		s.forgetHeld(s.hold, s.heldBytes, func(*item) bool { return true })
	}
}

// forgetAcknowledged forgets messages of a stream that the other kernel has, if the connection has lasted long enough
// after that or too much of them is kept.
func (s *Sender) forgetAcknowledged(unread uint64, hold time.Duration, most int) {
	if unread > s.link.sent {
		return
	}
	acknowledged := s.link.sent - unread
	s.forgetHeld(hold, most, func(it *item) bool { return it.end <= acknowledged })
}

// forgetAll forgets what was acknowledged on a connection that has ended well.
func (s *Sender) forgetAll() {
	if unread, known := s.link.unread(); known {
		s.forgetAcknowledged(unread, 0, 0)
	}
}

func (s *Sender) forgetHeld(hold time.Duration, most int, arrived func(*item) bool) {
	now := time.Now()
	for s.backlog.given > 0 {
		it := s.backlog.oldest()
		old := now.Sub(it.given) >= hold
		surplus := s.link.proven && s.backlog.size() > most
		if !arrived(it) || !old && !surplus {
			return
		}
		s.backlog.forget()
	}
}

// Close sends what is left, waits until the receiver has read it and ends the connection. The error says how many
// messages may not have arrived; they stay with the sender, whose next Send connects again.
func (s *Sender) Close(ctx context.Context) error {
	err := errUnsent
	if s.link != nil {
		err = s.end(ctx)
	}
	if n := s.backlog.len(); n > 0 {
		return fmt.Errorf("%d messages may not have arrived: %w", n, s.explain(err))
	}
	return nil
}

// end ends a connection in good order, if that is possible.
func (s *Sender) end(ctx context.Context) error {
	if err := s.pump(ctx); err != nil {
		if s.link != nil {
			s.drop()
		}
		return err
	}
	if !s.link.stream { // what was sent can be read although the sender is gone
		for s.backlog.given > 0 {
			s.backlog.forget()
		}
		s.drop()
		return nil
	}
	err := s.link.finish(ctx, min(s.conf.WriteTimeout, farewell))
	if errors.Is(err, io.EOF) || isTimeout(err) {
		s.forgetAll()
		err = errUnread
	}
	s.drop()
	return err
}

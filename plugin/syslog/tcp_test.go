package syslog

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestTCP(t *testing.T) {
	for _, framing := range []Framing{Octets, Newline} {
		t.Run(string(framing), func(t *testing.T) {
			all := messages(t, 3000)
			f := listen(t, "tcp", "127.0.0.1:0", framing)
			s := newSender(t, Config{To: f.to("tcp"), Framing: framing, Host: "h"})
			send(t, s, all)
			must(t, s.Close(context.Background()))
			eventually(t, "all are there", func() bool { return f.count() >= len(all) })
			wantAll(t, f.received(), all, true)
			if f.bad != nil || s.Counts().TooLong > 0 {
				t.Error(f.bad, s.Counts())
			}
		})
	}
}

// silent is a receiver that accepts connections and does nothing else with them.
func silent(t *testing.T) (net.Listener, chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	conns := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(conns)
				return
			}
			conns <- c
		}
	}()
	return l, conns
}

// A receiver that dies has lost what its kernel had acknowledged and it had not read.
func TestWhatAResetReceiverHasNotReadIsSentAgain(t *testing.T) {
	all := numbered(100, 400)
	l, conns := silent(t)
	s := newSender(t, Config{To: "tcp://" + l.Addr().String(), Host: "h"})
	s.hold = time.Hour
	send(t, s, all)
	eventually(t, "the kernel has all", func() bool { n, ok := s.link.unread(); return ok && n == 0 })
	(<-conns).Close() // unread, so that the kernel resets
	l.Close()
	eventually(t, "the sender notices", func() bool { _, err := s.Send(context.Background(), nil); return err != nil })
	f := listen(t, "tcp", l.Addr().String(), Octets)
	send(t, s, nil)
	eventually(t, "all are there", func() bool { return f.count() >= len(all) })
	wantAll(t, f.received(), all, true)
	if c := s.Counts(); c.Repeated != 100 {
		t.Errorf("%d repeated", c.Repeated)
	}
}

// A receiver that ends a connection after reading everything has everything: nothing is sent twice.
func TestNothingIsRepeatedAfterAGoodEnd(t *testing.T) {
	all := numbered(200, 400)
	f := listen(t, "tcp", "127.0.0.1:0", Octets)
	s := newSender(t, Config{To: f.to("tcp"), Host: "h"})
	send(t, s, all[:100])
	eventually(t, "the first half is there", func() bool { return f.count() == 100 })
	send(t, s, nil) // it has lasted
	s.hold = time.Hour
	f.close()
	again := listen(t, "tcp", f.listener.Addr().String(), Octets)
	eventually(t, "the sender notices", func() bool { return s.link.check() != nil })
	send(t, s, all[100:])
	eventually(t, "the second half is there", func() bool { return again.count() >= 100 })
	wantAll(t, append(f.received(), again.received()...), all, true)
}

// What stands in the send buffer when the receiver goes has not arrived, whatever write said.
func TestWhatIsNotAcknowledgedIsSentAgain(t *testing.T) {
	all := numbered(12000, 400)
	l, conns := silent(t)
	s := newSender(t, Config{To: "tcp://" + l.Addr().String(), Host: "h", WriteTimeout: 50 * time.Millisecond})
	n, err := s.Send(context.Background(), all)
	wantError(t, err, "takes no messages", l.Addr().String())
	if n == 0 || n == len(all) || s.Unconfirmed() > n {
		t.Fatalf("%d taken, %d unconfirmed", n, s.Unconfirmed())
	}
	first := s.Unconfirmed()
	(<-conns).Close()
	l.Close()
	eventually(t, "the sender notices", func() bool { _, err := s.Send(context.Background(), nil); return err != nil && s.link == nil })
	if s.Unconfirmed() != first {
		t.Errorf("%d unconfirmed, %d before", s.Unconfirmed(), first)
	}
	f := listen(t, "tcp", l.Addr().String(), Octets)
	sendAll(t, s, all[n:])
	eventually(t, "the last is there", func() bool { return f.count() >= len(all)-n+first })
	wantAll(t, f.received(), all[n-first:], true)
}

// A receiver that is slow gets everything once: the connection is not given up with a message half written.
func TestASlowReceiverGetsEverythingOnce(t *testing.T) {
	all := numbered(30000, 400)
	l, conns := silent(t)
	s := newSender(t, Config{To: "tcp://" + l.Addr().String(), Host: "h", WriteTimeout: 20 * time.Millisecond})
	n, err := s.Send(context.Background(), all)
	if !errors.Is(err, errStalled) {
		t.Fatal(err)
	}
	for range 3 {
		more, err := s.Send(context.Background(), all[n:])
		if n += more; !errors.Is(err, errStalled) {
			t.Fatal(err)
		}
	}
	f := &fake{}
	t.Cleanup(f.close)
	go f.serve(<-conns, Octets)
	sendAll(t, s, all[n:])
	eventually(t, "all are there", func() bool { return f.count() >= len(all) })
	wantAll(t, f.received(), all, true)
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	all := numbered(5000, 400)
	l, _ := silent(t)
	s := newSender(t, Config{To: "tcp://" + l.Addr().String(), Host: "h", WriteTimeout: 20 * time.Millisecond})
	s.hold, s.keptBytes = time.Hour, 300_000
	n, err := s.Send(context.Background(), all)
	wantError(t, err, "takes no messages")
	if size := s.backlog.size(); n == 0 || size < 300_000 || size > 300_000+chunkBytes+500 {
		t.Errorf("%d messages, %d bytes kept", n, size)
	}
}

// Once a connection has lasted, little is kept of what is acknowledged.
func TestLittleIsKeptOfALastingConnection(t *testing.T) {
	f := listen(t, "tcp", "127.0.0.1:0", Octets)
	s := newSender(t, Config{To: f.to("tcp"), Host: "h"})
	send(t, s, nil)
	send(t, s, nil) // it has lasted
	s.hold, s.heldBytes = time.Hour, 100_000
	send(t, s, numbered(5000, 400))
	eventually(t, "the rest is acknowledged", func() bool { must(t, s.check()); return s.backlog.size() <= 100_000 })
	if s.backlog.size() < 99_000 {
		t.Errorf("%d bytes kept", s.backlog.size())
	}
}

// A receiver that closes every connection at once must not be taken for one that works.
func TestAReceiverThatHangsUpIsAnError(t *testing.T) {
	all := numbered(1000, 100)
	l, conns := silent(t)
	go func() {
		for c := range conns {
			c.Close()
		}
	}()
	s := newSender(t, Config{To: "tcp://" + l.Addr().String(), Host: "h"})
	s.hold = time.Hour
	taken, failed := 0, 0
	eventually(t, "it fails again and again", func() bool {
		n, err := s.Send(context.Background(), all[taken:min(taken+2, len(all))])
		taken += n
		if err != nil {
			wantError(t, err, "the new connection has ended", l.Addr().String())
			failed++
		}
		return failed == 5
	})
	if s.Unconfirmed() != taken {
		t.Errorf("%d taken, %d kept", taken, s.Unconfirmed())
	}
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l.Close()
	s := newSender(t, Config{To: "tcp://" + l.Addr().String()})
	n, err := s.Send(context.Background(), numbered(1, 10))
	wantError(t, err, "syslog receiver tcp://"+l.Addr().String(), "connection refused", "start the receiver, or set syslog.to")
	if n != 0 || s.Unconfirmed() != 0 {
		t.Error(n, s.Unconfirmed())
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	l, _ := silent(t)
	s := newSender(t, Config{To: "tcp://" + l.Addr().String(), Host: "h"})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	begin := time.Now()
	n, err := s.Send(ctx, numbered(50000, 400))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 10*time.Second {
		t.Errorf("%d taken, after %s: %v", n, time.Since(begin), err)
	}
}

// Close says what it cannot be sure of.
func TestCloseOfAReceiverThatReadsNothing(t *testing.T) {
	l, _ := silent(t)
	s := newSender(t, Config{To: "tcp://" + l.Addr().String(), Host: "h", WriteTimeout: 20 * time.Millisecond})
	n, _ := s.Send(context.Background(), numbered(50000, 400))
	err := s.Close(context.Background())
	wantError(t, err, "messages may not have arrived", l.Addr().String())
	if s.Unconfirmed() == 0 || s.Unconfirmed() > n {
		t.Error(s.Unconfirmed())
	}
}

func TestCloseWaitsForTheReceiverToRead(t *testing.T) {
	l, conns := silent(t)
	s := newSender(t, Config{To: "tcp://" + l.Addr().String(), Host: "h"})
	s.hold = time.Hour
	send(t, s, numbered(10, 100))
	go func() {
		c := <-conns
		io.Copy(io.Discard, c)
		c.Close()
	}()
	must(t, s.Close(context.Background()))
	if s.Unconfirmed() != 0 {
		t.Error(s.Unconfirmed())
	}
	must(t, s.Close(context.Background()))
}

// A receiver that says something is not a receiver of syslog, but a greeting does no harm.
func TestWhatAReceiverSaysIsIgnored(t *testing.T) {
	l, conns := silent(t)
	s := newSender(t, Config{To: "tcp://" + l.Addr().String(), Host: "h"})
	send(t, s, nil)
	c := <-conns
	f := &fake{}
	t.Cleanup(f.close)
	_, err := c.Write([]byte(strings.Repeat("220 welcome\r\n", 50000)))
	must(t, err)
	go f.serve(c, Octets)
	sendAll(t, s, numbered(10, 100))
	eventually(t, "all are there", func() bool { return f.count() == 10 })
}

package syslog

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"audisp-history/enrich"
	"audisp-history/enrich/history"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
)

// deadline is far longer than anything here takes, even on a busy machine.
const deadline = time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until is is true.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(deadline)
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: not within %s", what, deadline)
		}
	}
}

// An enricher collects the lines of a stream, with histories.
type enricher struct {
	stream *enrich.Stream
	format *text.Format
	out    []byte
}

func (e *enricher) Line(line []byte)  { e.stream.Line(line, 0) }
func (e *enricher) Piece(part []byte) { e.stream.Piece(part, 0) }
func (e *enricher) Gap(tracker.Gap)   {}
func (e *enricher) Event(ev *record.Event, marks []tracker.Mark) {
	e.format.Revise(e.stream.Tracker().Revision())
	e.out = e.format.Append(e.out, ev, marks)
}

// captured is the records of a captured boot as the program writes them.
var captured = sync.OnceValues(func() ([]Message, error) {
	f, err := os.Open(filepath.Join("..", "..", "testdata", "captures", "boot", "stream.log.gz"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	e := &enricher{format: text.New(text.Field, history.NewRenderer(history.Middle, 4096))}
	e.stream = enrich.New(enrich.Config{
		Limits: task.Limits{Tasks: 1 << 20, Ended: 1 << 16, Execs: 1 << 22, Depth: 1024}, PendingForks: 1 << 16, OpenEvents: 4096, Wait: 1000,
	}, e)
	var lines record.Lines
	lines.Feed(b, e)
	e.stream.Close(lines.Rest())
	var messages []Message
	for line := range strings.Lines(string(e.out)) {
		h, _ := record.ParseHeader([]byte(line))
		messages = append(messages, Message{Time: h.Time, Text: []byte(line)}) // the newline is none of the message
	}
	return messages, nil
})

// messages are n captured ones.
func messages(t testing.TB, n int) []Message {
	t.Helper()
	all, err := captured()
	must(t, err)
	if len(all) < n {
		t.Fatalf("%d messages in the capture", len(all))
	}
	return all[:n]
}

// numbered are messages of size bytes, each different.
func numbered(n, size int) []Message {
	var list []Message
	for i := range n {
		s := fmt.Sprintf("type=SYSCALL msg=audit(1795339340.803:%d): n=%d ", i, i)
		list = append(list, Message{Time: 1795339340803, Text: []byte(s + strings.Repeat("x", max(0, size-len(s))))})
	}
	return list
}

// arrives is what of a message stands in the text of one that arrived.
func arrives(m Message) string {
	return strings.ReplaceAll(strings.TrimSuffix(string(m.Text), "\n"), "\x1d", " ")
}

// wantAll compares what arrived with what was sent: every message, in order, none of them changed, and none more than
// once if once is set.
func wantAll(t testing.TB, got []string, sent []Message, once bool) {
	t.Helper()
	next := 0
	known := map[string]bool{}
	for i, g := range got {
		switch {
		case next < len(sent) && g == arrives(sent[next]):
			next++
			known[g] = true
		case once || !known[g]:
			want := "nothing"
			if next < len(sent) {
				want = arrives(sent[next])
			}
			t.Fatalf("message %d, the %dth that arrived:\n got %q\nwant %q", next, i, g, want)
		}
	}
	if next < len(sent) {
		t.Fatalf("%d messages of %d arrived", next, len(sent))
	}
}

// textOf is what follows the header of a message.
func textOf(message string) string {
	if _, text, ok := strings.Cut(message, "]: "); ok && !strings.Contains(message, "> 1 ") && !strings.Contains(message[:8], ">1 ") {
		return text
	}
	_, text, _ := strings.Cut(message, " - - ")
	return text
}

// A fake is a receiver that can be as bad as it likes.
type fake struct {
	listener net.Listener // of streams
	packet   net.PacketConn

	mu    sync.Mutex
	got   []string
	conns []net.Conn
	bad   error // a stream that is not as it should be
}

// serve reads messages of a stream as they come in.
func (f *fake) serve(conn net.Conn, framing Framing) {
	f.mu.Lock()
	f.conns = append(f.conns, conn)
	f.mu.Unlock()
	r := bufio.NewReader(conn)
	for {
		m, err := readFrame(r, framing)
		f.mu.Lock()
		if err != nil {
			if err != io.EOF {
				f.bad = err
			}
			f.mu.Unlock()
			conn.Close()
			return
		}
		f.got = append(f.got, textOf(m))
		f.mu.Unlock()
	}
}

// readFrame reads one message of a stream. It returns io.EOF only between two.
func readFrame(r *bufio.Reader, framing Framing) (string, error) {
	if framing == Newline {
		s, err := r.ReadString('\n')
		if err == io.EOF && s != "" {
			err = io.ErrUnexpectedEOF
		}
		return strings.TrimSuffix(s, "\n"), err
	}
	length, err := r.ReadString(' ')
	if err == io.EOF && length != "" {
		return "", io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, " "))
	if err != nil || n <= 0 || length[0] == '0' {
		return "", fmt.Errorf("%q is no length", length)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", io.ErrUnexpectedEOF
	}
	return string(b), nil
}

// accept serves every connection until the listener is closed.
func (f *fake) accept(framing Framing) {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		go f.serve(conn, framing)
	}
}

// listen makes a receiver of streams that reads everything.
func listen(t testing.TB, network, address string, framing Framing) *fake {
	t.Helper()
	l, err := net.Listen(network, address)
	must(t, err)
	f := &fake{listener: l}
	t.Cleanup(f.close)
	go f.accept(framing)
	return f
}

// close ends a receiver and its connections.
func (f *fake) close() {
	if f.listener != nil {
		f.listener.Close()
	}
	if f.packet != nil {
		f.packet.Close()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.Close()
	}
}

func (f *fake) received() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.got...)
}

func (f *fake) count() int { return len(f.received()) }

func (f *fake) to(scheme string) string { return scheme + "://" + f.listener.Addr().String() }

// newSender makes a sender that believes at once what the kernel says.
func newSender(t testing.TB, c Config) *Sender {
	t.Helper()
	s, err := New(c)
	must(t, err)
	s.hold = 0
	t.Cleanup(func() {
		if s.link != nil {
			s.drop()
		}
	})
	return s
}

func send(t testing.TB, s *Sender, batch []Message) {
	t.Helper()
	n, err := s.Send(context.Background(), batch)
	if err != nil || n != len(batch) {
		t.Fatalf("%d messages of %d taken: %v", n, len(batch), err)
	}
}

// sendAll sends in batches, again and again until all are taken, and then until all have arrived.
func sendAll(t testing.TB, s *Sender, all []Message) {
	t.Helper()
	eventually(t, "all messages are taken", func() bool {
		n, _ := s.Send(context.Background(), all[:min(len(all), 100)])
		all = all[n:]
		return len(all) == 0
	})
	settle(t, s)
}

// settle sends what is left until nothing is.
func settle(t testing.TB, s *Sender) {
	t.Helper()
	eventually(t, "all messages have arrived", func() bool {
		_, err := s.Send(context.Background(), nil)
		return err == nil && s.Unconfirmed() == 0
	})
}

// wantError checks that an error says all of this.
func wantError(t testing.TB, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %q in it", err, text)
		}
	}
}

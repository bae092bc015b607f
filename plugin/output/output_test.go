package output

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"audisp-history/enrich/filter"
	"audisp-history/enrich/record"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
	"audisp-history/plugin/spool"
)

// lines is a format that writes the lines of an event.
type lines struct{ revision uint64 }

func (l *lines) Append(dst []byte, e *record.Event, _ []tracker.Mark) []byte {
	for i := range e.Records {
		dst = append(dst, e.Line(i)...)
	}
	return dst
}

func (l *lines) AppendGap(dst []byte, g *tracker.Gap, _ *text.Self) []byte {
	return fmt.Appendf(dst, "gap %s lost=%d\n", g.Reason, g.Lost)
}

func (l *lines) Revise(revision uint64) { l.revision = revision }

var errAway = errors.New("the receiver is away")

// A place is a destination that takes everything, nothing, or a few bytes at a time.
type place struct {
	mutex    sync.Mutex
	got      bytes.Buffer
	away     bool
	atMost   int // bytes at once, 0: all
	takes    time.Duration
	calls    int
	reopened int
	closed   bool
}

func (p *place) Deliver(chunk []byte) (int, error) {
	<-time.After(p.takes)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.calls++
	if p.away {
		return 0, errAway
	}
	n := len(chunk)
	if p.atMost > 0 {
		n = min(n, p.atMost)
	}
	p.got.Write(chunk[:n])
	return n, nil
}

func (p *place) Tick(time.Time) error { return nil }
func (p *place) Held() int            { return 0 }
func (p *place) Reopen() error        { p.mutex.Lock(); defer p.mutex.Unlock(); p.reopened++; return nil }
func (p *place) Close() error         { p.mutex.Lock(); defer p.mutex.Unlock(); p.closed = true; return nil }

func (p *place) set(away bool) { p.mutex.Lock(); defer p.mutex.Unlock(); p.away = away }

func (p *place) text() string { p.mutex.Lock(); defer p.mutex.Unlock(); return p.got.String() }

// event is one of so many bytes.
func event(serial, bytes int) *record.Event {
	var e *record.Event
	a := record.NewAssembler(1, func(got *record.Event) { e = got })
	head := fmt.Sprintf("type=USER_CMD msg=audit(1.001:%d): pid=1 ", serial)
	a.Add([]byte(head+strings.Repeat("x", max(0, bytes-len(head)-1))+"\n"), 0)
	return e
}

type fixture struct {
	*Output
	place *place
	log   *bytes.Buffer
}

func begin(p *place, c spool.Config) fixture {
	f := fixture{place: p, log: &bytes.Buffer{}}
	f.Output = New(Config{
		Name: "here", Filter: filter.New(nil, true), Format: &lines{}, Destination: p, Spool: c, Self: &text.Self{},
		Log: zerolog.New(zerolog.SyncWriter(f.log)),
	})
	return f
}

func (f fixture) finish(t *testing.T) {
	t.Helper()
	f.End()
	<-f.Ended()
	if !f.place.closed {
		t.Error("the destination was not closed")
	}
}

// serials are those of the events in a text.
func serials(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if _, rest, ok := strings.Cut(line, "msg=audit(1.001:"); ok {
			n, _, _ := strings.Cut(rest, ")")
			b.WriteString(n + " ")
			continue
		}
		b.WriteString(line)
	}
	return strings.TrimSpace(b.String())
}

func TestDeliversAll(t *testing.T) {
	for _, atMost := range []int{0, 7} {
		synctest.Test(t, func(t *testing.T) {
			f := begin(&place{atMost: atMost}, spool.Config{})
			var want bytes.Buffer
			for i := range 100 {
				e := event(i, 60)
				want.Write(e.Line(0))
				f.Event(e, nil, 0)
			}
			f.Flush()
			synctest.Wait()
			if !f.Delivered() || f.place.text() != want.String() {
				t.Errorf("%d bytes, want %d", f.place.got.Len(), want.Len())
			}
			if s := f.State(); s.Delivered != 100 || s.Waiting != 0 || s.Lost != 0 || s.Fault != "" {
				t.Errorf("%+v", s)
			}
			f.finish(t)
		})
	}
}

// A receiver that is away is told of once, and tried again; when it is back, everything comes in order.
func TestReceiverAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := begin(&place{away: true}, spool.Config{})
		began := time.Now()
		for i := range 600 {
			f.Event(event(i, 60), nil, 0)
			f.Tick(time.Now())
			<-time.After(100 * time.Millisecond)
		}
		if since, lost := f.Behind(); since.Sub(began) > 2*time.Second || lost {
			t.Errorf("behind since %s, lost %v", since.Sub(began), lost)
		}
		if s := f.State(); s.Waiting != 600 || s.Fault != errAway.Error() {
			t.Errorf("%+v", s)
		}
		if n := f.place.calls; n < 20 || n > 60 {
			t.Errorf("tried %d times in a minute", n)
		}
		f.place.set(false)
		<-time.After(lastRetry)
		synctest.Wait()
		f.Tick(time.Now())
		if since, _ := f.Behind(); !since.IsZero() || !f.Delivered() {
			t.Error("still behind")
		}
		if got := strings.Count(f.place.text(), "\n"); got != 600 {
			t.Errorf("%d events, want 600", got)
		}
		for _, says := range []string{"records cannot be written", "records are written again"} {
			if n := strings.Count(f.log.String(), says); n != 1 {
				t.Errorf("said %d times: %s\n%s", n, says, f.log)
			}
		}
		f.finish(t)
	})
}

// What there is no room for is lost, the oldest first, and told of in a record in its place.
func TestLossIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := begin(&place{away: true}, spool.Config{Memory: 64 << 10})
		for i := range 200 {
			f.Event(event(i, 1000), nil, 0)
			f.Flush()
		}
		f.Tick(time.Now())
		if _, lost := f.Behind(); !lost {
			t.Error("nothing is said to be lost")
		}
		f.place.set(false)
		for range 100 {
			<-time.After(100 * time.Millisecond)
			f.Tick(time.Now())
		}
		if _, lost := f.Behind(); lost {
			t.Error("it never recovers")
		}
		f.Event(event(200, 100), nil, 0)
		f.finish(t)
		text := f.place.text()
		events := strings.Count(text, "type=USER_CMD")
		if want := fmt.Sprintf("gap output-lost lost=%d\n", 201-events); events > 70 || strings.Count(text, want) != 1 {
			t.Errorf("%d events; no %q in %s", events, want, serials(text))
		}
		if got := serials(text); !strings.HasSuffix(got, "\n200") || strings.Contains(got, " 100 101 ") || !strings.Contains(got, " 198 199 ") {
			t.Errorf("the newest are not kept: %s", got)
		}
		if s := f.State(); s.Lost != uint64(201-events) {
			t.Errorf("%+v", s)
		}
		for _, says := range []string{"records are lost", "no more records are lost"} {
			if n := strings.Count(f.log.String(), `"message":"`+says); n != 1 {
				t.Errorf("said %d times: %s\n%s", n, says, f.log)
			}
		}
	})
}

// At the end a healthy output delivers everything, however slowly; a broken one is left, and what it had is counted.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := begin(&place{takes: time.Minute, atMost: 100}, spool.Config{})
		broken := begin(&place{away: true}, spool.Config{})
		for i := range 10 {
			slow.Event(event(i, 100), nil, 0)
			broken.Event(event(i, 100), nil, 0)
		}
		began := time.Now()
		for _, f := range []fixture{slow, broken} {
			f.End()
			f.Leave()
		}
		<-broken.Ended()
		if took := time.Since(began); took > time.Second || broken.Left() != 10 {
			t.Errorf("the broken one ended after %s, %d left", took, broken.Left())
		}
		<-slow.Ended()
		if slow.Left() != 0 || strings.Count(slow.place.text(), "\n") != 10 {
			t.Errorf("the slow one has %s, %d left", serials(slow.place.text()), slow.Left())
		}
	})
}

func TestReopen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := begin(&place{away: true}, spool.Config{})
		f.Event(event(1, 50), nil, 0)
		f.Flush()
		<-time.After(10 * lastRetry)
		f.place.set(false)
		synctest.Wait()
		f.Reopen() // it is tried again at once
		synctest.Wait()
		if f.place.reopened != 1 || serials(f.place.text()) != "1" {
			t.Errorf("reopened %d times, has %q", f.place.reopened, f.place.text())
		}
		f.finish(t)
	})
}

// What the filter drops goes nowhere, and is counted; gaps always go.
func TestFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &place{}
		o := New(Config{
			Name: "here", Filter: filter.New([]filter.Rule{{Match: filter.Match{Types: []string{"USER_CMD"}}}}, false),
			Format: &lines{}, Destination: p, Self: &text.Self{}, Log: zerolog.Nop(),
		})
		o.Event(event(1, 50), nil, 0)
		o.Gap(&tracker.Gap{Reason: tracker.EventsLost, Lost: 3})
		o.End()
		<-o.Ended()
		if got := p.text(); got != "gap events-lost lost=3\n" || o.State().Filtered != 1 {
			t.Errorf("%q, %+v", got, o.State())
		}
	})
}

// A conversion is made once, and counts as delivered when all that came of it is.
func TestConverted(t *testing.T) {
	p := &place{atMost: 5}
	calls := 0
	c := &Converted{Destination: p, Convert: func(dst, chunk []byte) ([]byte, error) {
		calls++
		return append(dst, strings.ToUpper(string(chunk))...), nil
	}}
	p.set(true)
	if n, err := c.Deliver([]byte("hello, world\n")); n != 0 || !errors.Is(err, errAway) {
		t.Errorf("%d, %v", n, err)
	}
	p.set(false)
	if n, err := c.Deliver([]byte("hello, world\n")); n != 13 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if p.text() != "HELLO, WORLD\n" || calls != 1 {
		t.Errorf("%q after %d conversions", p.text(), calls)
	}
}

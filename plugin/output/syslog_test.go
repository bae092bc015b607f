package output

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"audisp-history/enrich/filter"
	"audisp-history/enrich/text"
	"audisp-history/plugin/syslog"
)

// toReceiver begins an output to a receiver.
func toReceiver(t *testing.T, address string) *Output {
	t.Helper()
	d, err := NewSyslog(syslog.Config{To: "tcp://" + address}, func([]byte) int64 { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{
		Name: "net", Filter: filter.New(nil, true), Format: &lines{}, Destination: d, Self: &text.Self{}, Log: zerolog.Nop(),
	})
}

func listenAt(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// A receiver keeps what it is sent on its first connection.
type receiver struct {
	mutex sync.Mutex
	got   bytes.Buffer
}

func (r *receiver) Write(b []byte) (int, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.got.Write(b)
}

func (r *receiver) events() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return strings.Count(r.got.String(), "type=USER_CMD")
}

func receive(t *testing.T, address string) *receiver {
	l, r := listenAt(t, address), &receiver{}
	go func() {
		if conn, err := l.Accept(); err == nil {
			_, _ = io.Copy(r, conn)
			_ = conn.Close()
		}
	}()
	return r
}

func hand(o *Output, events int) {
	for i := range events {
		o.Event(event(i, 60), nil, 0)
	}
	o.Flush()
}

// heldBy hands events to an output whose receiver is killed before it has read any, and waits until that is known.
func heldBy(t *testing.T, events int) (o *Output, address string) {
	t.Helper()
	l := listenAt(t, "127.0.0.1:0")
	address = l.Addr().String()
	o = toReceiver(t, address)
	hand(o, events)
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is not sent", func() bool { return o.State().Delivered == uint64(events) })
	_ = l.Close()
	_ = conn.(*net.TCPConn).SetLinger(0) // the connection is reset, as the kernel does for bytes that nobody has read
	_ = conn.Close()
	eventually(t, "what the sender holds counts as arrived", func() bool { return !o.Delivered() })
	return o, address
}

// What a receiver that died has not read is with the sender only: it has not arrived, and is left when the output ends
// before there is a receiver again, so that the next start hands it over once more.
func TestSyslogHeldIsLeft(t *testing.T) {
	const events = 10
	o, address := heldBy(t, events)
	o.Tick(time.Now())
	if since, _ := o.Behind(); since.IsZero() || o.State().Held != events {
		t.Errorf("behind since %s, %+v", since, o.State())
	}
	o.End()
	o.Leave()
	<-o.Ended()
	if o.Left() != events {
		t.Fatalf("%d left, want %d", o.Left(), events)
	}

	r, next := receive(t, address), toReceiver(t, address)
	hand(next, events)
	next.End()
	<-next.Ended()
	if n := r.events(); next.Left() != 0 || n != events {
		t.Errorf("%d events of %d arrived, %d left", n, events, next.Left())
	}
}

// What the sender holds is sent, without any more to deliver, when the receiver is back.
func TestSyslogHeldIsSent(t *testing.T) {
	o, address := heldBy(t, 1)
	o.Tick(time.Now())
	r := receive(t, address)
	eventually(t, "it is not sent again", o.Delivered)
	o.Tick(time.Now())
	if since, _ := o.Behind(); !since.IsZero() {
		t.Error("still behind")
	}
	o.End()
	<-o.Ended()
	if n := r.events(); o.Left() != 0 || n != 1 {
		t.Errorf("%d events arrived, %d left", n, o.Left())
	}
}

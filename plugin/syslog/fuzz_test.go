package syslog

import (
	"bufio"
	"bytes"
	"io"
	"testing"
	"time"
)

// FuzzFraming: whatever the texts, what is written to a stream reads as just as many messages, each with a header of its
// own, without a byte that ends it, and not longer than it may be unless that is counted.
func FuzzFraming(f *testing.F) {
	for _, seed := range []string{"", "a\nb\x00c\x1dd\n", "12 <86>1 x", "type=X history=\"name=a;pid=1;start=1=>name=b;pid=2;start=2\"\x1dY"} {
		f.Add([]byte(seed), []byte("7 another"), int64(1795339340803), 480, true)
		f.Add([]byte("\n\n"), []byte(seed), int64(-1), 0, false)
	}
	f.Fuzz(func(t *testing.T, one, two []byte, ms int64, limit int, old bool) {
		if len(one)+len(two) > 1<<14 {
			return
		}
		c := Config{To: "tcp://x", Protocol: RFC5424}
		if old {
			c.Protocol = RFC3164
		}
		if _, err := c.complete(); err != nil {
			t.Fatal(err)
		}
		format := newFormat(&c, false, "h", 1, time.UTC)
		limit = min(max(limit, LeastBytes), MostBytes)
		for _, hard := range []bool{false, true} {
			var counts Counts
			var list [][]byte
			for _, text := range [][]byte{one, two} {
				m := format.appendMessage(nil, Message{ms, text}, limit, hard, &counts)
				if hard && len(m) > limit || len(m) > limit && counts.TooLong == 0 {
					t.Fatalf("%d bytes, limit %d", len(m), limit)
				}
				if bytes.ContainsAny(m, "\n\x00") {
					t.Fatalf("%q", m)
				}
				list = append(list, m)
			}
			for _, framing := range []Framing{Octets, Newline} {
				checkStream(t, list, framing)
			}
		}
	})
}

func checkStream(t *testing.T, list [][]byte, framing Framing) {
	var stream []byte
	for _, m := range list {
		stream = appendFrame(stream, m, framing)
	}
	r := bufio.NewReader(bytes.NewReader(stream))
	for _, m := range list {
		if got, err := readFrame(r, framing); err != nil || got != string(m) {
			t.Fatalf("%s: %q, %v, want %q", framing, got, err, m)
		}
	}
	if rest, err := readFrame(r, framing); err != io.EOF {
		t.Fatalf("%s: %q, %v behind the last", framing, rest, err)
	}
}

// FuzzReceiver: no text makes parsing panic, and what is accepted can be dialled.
func FuzzReceiver(f *testing.F) {
	for _, seed := range []string{"unix:/dev/log", "udp://h", "tcp://[::1]:601", "tls://h:6514/", "tcp://[::1%25eth0]", "tls://%41", "unix:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, to string) {
		r, err := parseReceiver(to)
		if err != nil {
			return
		}
		if r.address == "" || r.scheme != "unix" && r.host == "" {
			t.Fatalf("%q: %+v", to, r)
		}
	})
}

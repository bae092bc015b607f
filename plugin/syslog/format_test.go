package syslog

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// moment is 2026-11-02T09:05:03.007Z.
var moment = time.Date(2026, 11, 2, 9, 5, 3, 7_000_000, time.UTC).UnixMilli()

// formatted is a message as it is sent in a time zone two hours ahead of UTC.
func formatted(t *testing.T, c Config, text string) string {
	t.Helper()
	to, err := c.complete()
	must(t, err)
	f := newFormat(&c, to.scheme == "unix", "web", 42, time.FixedZone("", 2*3600))
	var counts Counts
	return string(f.appendMessage(nil, Message{moment, []byte(text)}, c.MaxBytes, false, &counts))
}

func TestFormat(t *testing.T) {
	for name, c := range map[string]struct {
		conf Config
		want string
	}{
		"local":                   {Config{To: "unix:/dev/log"}, "<86>Nov  2 11:05:03 audisp-history[42]: text"},
		"remote":                  {Config{To: "tcp://x"}, "<86>1 2026-11-02T09:05:03.007Z web audisp-history 42 - - text"},
		"the old one, remote":     {Config{To: "udp://x", Protocol: RFC3164}, "<86>Nov  2 11:05:03 web audisp-history[42]: text"},
		"the new one, local":      {Config{To: "unix:/dev/log", Protocol: RFC5424}, "<86>1 2026-11-02T09:05:03.007Z web audisp-history 42 - - text"},
		"a facility and severity": {Config{To: "tcp://x", Facility: "local7", Severity: "debug"}, "<191>1 2026-11-02T09:05:03.007Z web audisp-history 42 - - text"},
		"the first of both":       {Config{To: "tcp://x", Facility: "kern", Severity: "emerg"}, "<0>1 2026-11-02T09:05:03.007Z web audisp-history 42 - - text"},
		"a tag":                   {Config{To: "unix:/x", Tag: "audit"}, "<86>Nov  2 11:05:03 audit[42]: text"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := formatted(t, c.conf, "text"); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestBytesThatReceiversDoNotTake(t *testing.T) {
	for text, want := range map[string]string{
		"a record\n":            "a record",
		"auditd 4 cut it\x00\n": "auditd 4 cut it",
		"two\nlines\n":          "two lines",
		"a\x00b":                "a b",
		"raw\x1dADDED=\"x\"":    "raw ADDED=\"x\"",
		"\t\x01\xff stay":       "\t\x01\xff stay",
		"":                      "",
	} {
		if got := textOf(formatted(t, Config{To: "unix:/x"}, text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := textOf(formatted(t, Config{To: "unix:/x", Separator: Keep}, "raw\x1dADDED")); got != "raw\x1dADDED" {
		t.Errorf("kept: %q", got)
	}
}

func TestTimesBeyondReason(t *testing.T) {
	for ms, want := range map[int64]string{-1: "1970-01-01T00:00:00.000Z", 1 << 60: "9999-12-31T23:59:59.999Z"} {
		c := Config{To: "tcp://x"}
		_, err := c.complete()
		must(t, err)
		if got := string(newFormat(&c, false, "h", 1, time.UTC).appendHeader(nil, ms)); !strings.HasPrefix(got, "<86>1 "+want+" h ") {
			t.Errorf("%d: %s", ms, got)
		}
	}
}

// The text is not touched by what is done to a message.
func TestTheCallersTextStaysAsItIs(t *testing.T) {
	text := []byte("a\x1db\nc\n")
	c := Config{To: "tcp://x"}
	_, err := c.complete()
	must(t, err)
	newFormat(&c, false, "h", 1, time.UTC).appendMessage(nil, Message{0, text}, 1000, true, &Counts{})
	if string(text) != "a\x1db\nc\n" {
		t.Errorf("%q", text)
	}
}

// The middle of a history goes, the record and what auditd added stay.
func TestAHistoryIsShortenedToFit(t *testing.T) {
	var execs []string
	for i := range 100 {
		execs = append(execs, fmt.Sprintf("name=p%d;pid=%d;start=20261122091539", i, i))
	}
	record := "type=SYSCALL msg=audit(1.000:2): key=\"signal\" history=\"" + strings.Join(execs, "=>") + "\"\x1dARCH=x86_64"
	f := datagrams(t, "unixgram", socketPath(t))
	s := newSender(t, Config{To: "unix:" + f.packet.LocalAddr().String(), MaxBytes: 1000})
	send(t, s, []Message{{0, []byte(record)}})
	eventually(t, "it is there", func() bool { return f.count() == 1 })
	got := f.received()[0]
	if len(got) > 1000 || !strings.HasPrefix(got, "type=SYSCALL msg=audit(1.000:2): key=\"signal\" history=\"name=p0;") ||
		!strings.HasSuffix(got, "=>"+execs[99]+"\" ARCH=x86_64") || !strings.Contains(got, "=>omitted=") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
	if c := s.Counts(); c != (Counts{Shortened: 1}) {
		t.Errorf("%+v", c)
	}
}

func TestReceivers(t *testing.T) {
	for to, want := range map[string]receiver{
		"unix:/dev/log":         {"unix", "/dev/log", ""},
		"unix:///dev/log":       {"unix", "/dev/log", ""},
		"udp://logs":            {"udp", "logs:514", "logs"},
		"tcp://logs":            {"tcp", "logs:601", "logs"},
		"tls://logs.example":    {"tls", "logs.example:6514", "logs.example"},
		"tls://logs:10514/":     {"tls", "logs:10514", "logs"},
		"tcp://[2001:db8::1]":   {"tcp", "[2001:db8::1]:601", "2001:db8::1"},
		"udp://192.0.2.1:65535": {"udp", "192.0.2.1:65535", "192.0.2.1"},
	} {
		if got, err := parseReceiver(to); err != nil || got != want {
			t.Errorf("%s: %+v, %v", to, got, err)
		}
	}
	for _, to := range []string{
		"", "/dev/log", "unix:", "unix:dev/log", "unix:/" + strings.Repeat("x", 107), "logs:514", "http://logs", "tcp://", "tcp://:601",
		"tcp://logs:0", "tcp://logs:65536", "tcp://logs:x", "tcp://u@logs", "tcp://logs/path", "tcp://logs?x", "tcp://logs#x", "tls:logs", "tcp://\x00",
	} {
		if got, err := parseReceiver(to); err == nil {
			t.Errorf("%q: %+v", to, got)
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	for name, c := range map[string]struct {
		conf Config
		keys []string
	}{
		"nothing":               {Config{}, []string{"to"}},
		"values":                {Config{To: "tcp://x", Protocol: "x", Framing: "x", Separator: "x", Facility: "x", Severity: "x"}, []string{"protocol", "framing", "separator", "facility", "severity"}},
		"names":                 {Config{To: "tcp://x", Tag: "a b", Host: "a b"}, []string{"tag", "host"}},
		"a tag that ends":       {Config{To: "tcp://x", Tag: "a:"}, []string{"tag"}},
		"a long tag":            {Config{To: "tcp://x", Tag: strings.Repeat("x", 49)}, []string{"tag"}},
		"times":                 {Config{To: "tcp://x", ConnectTimeout: -1, WriteTimeout: -1}, []string{"connect_timeout", "write_timeout"}},
		"short":                 {Config{To: "tcp://x", MaxBytes: 479}, []string{"max_bytes"}},
		"long":                  {Config{To: "tcp://x", MaxBytes: MostBytes + 1}, []string{"max_bytes"}},
		"long for UDP":          {Config{To: "udp://x", MaxBytes: 65508}, []string{"max_bytes"}},
		"TLS where there is no": {Config{To: "tcp://x", CA: "/a", ServerName: "x"}, []string{"ca", "server_name"}},
		"a relative name":       {Config{To: "tls://x", CA: "a"}, []string{"ca"}},
		"no key":                {Config{To: "tls://x", Certificate: "/a"}, []string{"certificate"}},
		"no certificate":        {Config{To: "tls://x", Key: "/a"}, []string{"certificate"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c.conf)
			var keys []string
			joined, ok := err.(interface{ Unwrap() []error })
			if !ok {
				t.Fatalf("%T", err)
			}
			for _, e := range joined.Unwrap() {
				var key *KeyError
				if !errors.As(e, &key) || !strings.HasPrefix(e.Error(), "syslog."+key.Key+": ") {
					t.Fatalf("%v names no key", e)
				}
				keys = append(keys, key.Key)
			}
			if !slices.Equal(keys, c.keys) {
				t.Errorf("%v, want %v: %v", keys, c.keys, err)
			}
		})
	}
}

func TestTheHostsNameIsTheSystemsByDefault(t *testing.T) {
	s, err := New(Config{To: "tcp://x"})
	must(t, err)
	host, err := os.Hostname()
	must(t, err)
	if got := string(s.format.name); !strings.HasPrefix(got, " "+host+" ") {
		t.Error(got)
	}
}

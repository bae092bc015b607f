package syslog

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config says where messages go and what they look like. Everything but To has a default.
type Config struct {
	// To is the receiver: unix:/dev/log (a stream or a datagram socket), udp://HOST[:514], tcp://HOST[:601] or
	// tls://HOST[:6514].
	To string

	Protocol  Protocol  // RFC3164 for a local receiver, else RFC5424
	Framing   Framing   // Octets; tcp and tls only
	Separator Separator // Blank

	Facility string // authpriv
	Severity string // info
	Tag      string // audisp-history: APP-NAME of RFC 5424, TAG of RFC 3164
	Host     string // this host's name; a local receiver knows it

	// TLS. The files hold PEM. They are read for every connection, so that a renewed certificate needs no restart.
	CA          string // the authorities that the receiver's certificate may be from, the system's if empty
	Certificate string // shown to the receiver, followed by intermediate ones
	Key         string // of Certificate
	ServerName  string // in the receiver's certificate; the host in To if empty

	ConnectTimeout time.Duration // 10 s: to look up a name, to connect and for the handshake of TLS together
	WriteTimeout   time.Duration // 30 s: how long a receiver may take nothing

	// MaxBytes is the longest message the receiver takes, header included. The default is rsyslog's, 8096.
	MaxBytes int
}

// Protocol is how a message begins.
type Protocol string

// The protocols.
const (
	// RFC3164 is the old one: <PRI>Mmm dd hh:mm:ss TAG[PID]: in local time, as local daemons expect it, with the host's
	// name before TAG for a receiver elsewhere.
	RFC3164 Protocol = "rfc3164"
	// RFC5424 is the new one: <PRI>1 TIME HOST APP-NAME PID - -, with the time in UTC to the millisecond.
	RFC5424 Protocol = "rfc5424"
)

// Framing tells where in a stream a message ends.
type Framing string

// The framings.
const (
	// Octets is RFC 6587's octet counting, the only one that RFC 5425 allows for TLS.
	Octets Framing = "octets"
	// Newline ends messages with a newline, for receivers that know nothing else.
	Newline Framing = "newline"
)

// Separator says what becomes of the byte 0x1D between what the kernel wrote and what auditd added.
type Separator string

// The separators.
const (
	// Blank writes a blank instead, as auditd's own syslog plugin does.
	Blank Separator = "blank"
	// Keep keeps the byte. rsyslog writes it as #035 unless it is told not to.
	Keep Separator = "keep"
)

// The bounds of MaxBytes.
const (
	// LeastBytes is what every receiver must take (RFC 5424, section 6.1).
	LeastBytes = 480
	// MostBytes is beyond all that is written.
	MostBytes = 1 << 20

	// defaultBytes is rsyslog's limit unless maxMessageSize is set (seen with 8.2302: a datagram is cut there, of a
	// stream the rest becomes a message of its own).
	defaultBytes = 8096
	// maxDatagram is the longest datagram of UDP over IPv4.
	maxDatagram = 65507
)

// facilities are their names by number (RFC 5424, section 6.2.1; syslog(3) for the names).
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit",
	"alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// severities are their names by number.
var severities = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

// A KeyError is a value that makes no sense.
type KeyError struct {
	Key     string // its name below output.syslog in the configuration
	Problem string // what is wrong, and what to write instead
}

func (e *KeyError) Error() string { return "syslog." + e.Key + ": " + e.Problem }

// A receiver is To, taken apart.
type receiver struct {
	scheme  string // unix, udp, tcp or tls
	address string // a path, or host:port
	host    string // without the port
}

var ports = map[string]string{"udp": "514", "tcp": "601", "tls": "6514"}

func parseReceiver(to string) (receiver, error) {
	const remedy = "write unix:/dev/log, udp://HOST:514, tcp://HOST:601 or tls://HOST:6514"
	wrong := &KeyError{"to", fmt.Sprintf("%q names no receiver; %s", to, remedy)}
	if name, ok := strings.CutPrefix(to, "unix:"); ok {
		name = strings.TrimPrefix(name, "//")
		if !path.IsAbs(name) || len(name) > 107 { // unix(7): sun_path
			return receiver{}, &KeyError{"to", fmt.Sprintf("%q is not the absolute name of a socket, 107 bytes at the most", name)}
		}
		return receiver{scheme: "unix", address: name}, nil
	}
	u, err := url.Parse(to)
	if err != nil || u.Hostname() == "" || ports[u.Scheme] == "" {
		return receiver{}, wrong
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return receiver{}, wrong
	}
	port := cmp.Or(u.Port(), ports[u.Scheme])
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return receiver{}, wrong
	}
	return receiver{scheme: u.Scheme, address: net.JoinHostPort(u.Hostname(), port), host: u.Hostname()}, nil
}

// stream reports whether messages follow each other in a stream of bytes, rather than each in a datagram; a local socket
// tells when it is connected to.
func (r *receiver) stream() bool { return r.scheme == "tcp" || r.scheme == "tls" }

// complete fills in defaults and checks the rest. The error joins a KeyError for everything that is wrong.
func (c *Config) complete() (receiver, error) {
	to, err := parseReceiver(c.To)
	wrong := []error{err}
	fault := func(bad bool, key, format string, args ...any) {
		if bad {
			wrong = append(wrong, &KeyError{key, fmt.Sprintf(format, args...)})
		}
	}
	protocol := RFC5424
	if to.scheme == "unix" {
		protocol = RFC3164
	}
	c.Protocol = cmp.Or(c.Protocol, protocol)
	c.Framing = cmp.Or(c.Framing, Octets)
	c.Separator = cmp.Or(c.Separator, Blank)
	c.Facility = cmp.Or(c.Facility, "authpriv")
	c.Severity = cmp.Or(c.Severity, "info")
	c.Tag = cmp.Or(c.Tag, "audisp-history")
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 10*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 30*time.Second)
	c.MaxBytes = cmp.Or(c.MaxBytes, defaultBytes)

	fault(c.Protocol != RFC3164 && c.Protocol != RFC5424, "protocol", "%q is not known; choose one of: rfc3164, rfc5424", c.Protocol)
	fault(c.Framing != Octets && c.Framing != Newline, "framing", "%q is not known; choose one of: octets, newline", c.Framing)
	fault(c.Separator != Blank && c.Separator != Keep, "separator", "%q is not known; choose one of: blank, keep", c.Separator)
	fault(!slices.Contains(facilities, c.Facility), "facility", "%q is not known; choose one of: %s", c.Facility, strings.Join(facilities, ", "))
	fault(!slices.Contains(severities, c.Severity), "severity", "%q is not known; choose one of: %s", c.Severity, strings.Join(severities, ", "))
	// RFC 5424 allows 48 bytes; the others end a tag of RFC 3164.
	fault(!word(c.Tag, 48) || strings.ContainsAny(c.Tag, "[]:"), "tag", "%q is not one word of at most 48 letters, digits and marks other than [ ] :", c.Tag)
	fault(c.Host != "" && !word(c.Host, 255), "host", "%q is not the name of a host", c.Host)
	fault(c.ConnectTimeout < 0, "connect_timeout", "%s is negative", c.ConnectTimeout)
	fault(c.WriteTimeout < 0, "write_timeout", "%s is negative", c.WriteTimeout)
	most := MostBytes
	if to.scheme == "udp" {
		most = maxDatagram
	}
	fault(c.MaxBytes < LeastBytes || c.MaxBytes > most, "max_bytes", "%d is out of range; give %d to %d", c.MaxBytes, LeastBytes, most)
	c.checkTLS(to.scheme == "tls", fault)
	return to, errors.Join(wrong...)
}

func (c *Config) checkTLS(used bool, fault func(bool, string, string, ...any)) {
	for key, v := range map[string]string{"ca": c.CA, "certificate": c.Certificate, "key": c.Key} {
		fault(v != "" && !used, key, "is of use with tls:// only; take it out, or write to: tls://…")
		fault(v != "" && !path.IsAbs(v), key, "%q is not an absolute file name", v)
	}
	fault(c.ServerName != "" && !used, "server_name", "is of use with tls:// only; take it out, or write to: tls://…")
	fault((c.Certificate == "") != (c.Key == ""), "certificate", "a certificate and its key belong together; set certificate and key, or neither")
}

// word reports whether s is printable ASCII without blanks.
func word(s string, most int) bool {
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}

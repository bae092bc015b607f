package diary

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// maxLine is how long a message in syslog may be, in bytes, with what is before the text. RFC 3164 says 1024; syslog daemons
// and journald take 8 KiB and more from a local socket, but not all log readers do.
const maxLine = 2048

// facility is LOG_DAEMON (RFC 3164, 4.1.1).
const facility = 3

// severity is how syslog calls a level.
func severity(level zerolog.Level) int {
	switch level {
	case zerolog.PanicLevel:
		return 1 // alert
	case zerolog.FatalLevel:
		return 2 // critical
	case zerolog.ErrorLevel:
		return 3
	case zerolog.WarnLevel:
		return 4
	case zerolog.DebugLevel, zerolog.TraceLevel:
		return 7
	}
	return 6 // informational
}

// syslog sends datagrams to a local syslog daemon.
type syslog struct {
	path string
	pid  int
	fd   int // -1: none yet
}

// send reports whether the daemon has taken the message. The name is looked up for every datagram, so it does not matter if
// the socket is made anew, and it does not wait while the daemon's queue is full.
func (s *syslog) send(m *message, now time.Time) bool {
	if s.fd < 0 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return false
		}
		s.fd = fd
	}
	line := s.line(m, now)
	for {
		err := unix.Sendto(s.fd, line, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: s.path})
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}

func (s *syslog) close() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd) // what was sent is sent
		s.fd = -1
	}
}

// line is the datagram, as RFC 3164 and syslog(3) have it: local time, and no host before the tag.
func (s *syslog) line(m *message, now time.Time) []byte {
	b := append([]byte{'<'}, strconv.Itoa(facility<<3|severity(m.level))...)
	b = append(b, '>')
	b = now.AppendFormat(b, time.Stamp)
	b = append(b, ' ')
	b = append(b, Program...)
	b = append(b, '[')
	b = strconv.AppendInt(b, int64(s.pid), 10)
	b = append(b, "]: "...)
	return append(b, cut(render(m), maxLine-len(b))...)
}

// render is the text of a message with its fields behind it: text error="…" name=value.
func render(m *message) string {
	var b bytes.Buffer
	w := zerolog.ConsoleWriter{
		Out: &b, NoColor: true, PartsOrder: []string{zerolog.MessageFieldName}, FieldsExclude: []string{"program"},
		FormatMessage: plain, FormatFieldValue: plain, FormatErrFieldValue: plain,
	}
	if _, err := w.Write(m.event); err != nil {
		return clean(m.text)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// plain is how a part of a message is written.
func plain(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return clean(v)
	case []byte:
		return clean(string(v))
	case interface{ String() string }: // a json.Number
		return clean(v.String())
	}
	return ""
}

// clean has a space for every control character: the names in messages may be an attacker's.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
}

// cut leaves at most limit bytes, whole characters.
func cut(text string, limit int) string {
	const mark = "…"
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-len(mark)], "") + mark
}

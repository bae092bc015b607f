package syslog

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"audisp-history/enrich/excerpt"
	"audisp-history/enrich/record"
)

// A Message is one record, or one event in JSON.
type Message struct {
	Time int64  // of the event, in milliseconds since 1970
	Text []byte // without a newline
}

// Counts are how many messages came out other than they are.
type Counts struct {
	Shortened uint64 // lost a part of their history, for MaxBytes
	TooLong   uint64 // longer than MaxBytes even without one, and sent as they are: the receiver may cut them
	Truncated uint64 // longer than a datagram even without one, and cut, with ` truncated=N` at the end
	Repeated  uint64 // sent once more, since the connection broke before they were known to have arrived
}

// A format writes messages.
type format struct {
	protocol  Protocol
	separator Separator
	priority  []byte // <PRI>, and the version of RFC 5424
	name      []byte // what stands between time and text
	zone      *time.Location
}

// newFormat makes the format of a completed configuration.
func newFormat(c *Config, local bool, host string, pid int, zone *time.Location) *format {
	f := &format{protocol: c.Protocol, separator: c.Separator, zone: zone}
	priority := slices.Index(facilities, c.Facility)*8 + slices.Index(severities, c.Severity)
	f.priority = append(strconv.AppendInt([]byte{'<'}, int64(priority), 10), '>')
	if c.Protocol == RFC5424 {
		f.priority = append(f.priority, "1 "...)
		f.name = []byte(" " + host + " " + c.Tag + " " + strconv.Itoa(pid) + " - - ")
		return f
	}
	if !local {
		f.name = []byte(" " + host)
	}
	f.name = append(f.name, " "+c.Tag+"["+strconv.Itoa(pid)+"]: "...)
	return f
}

// lastMoment is the last of the year 9999, beyond which a time has another form.
const lastMoment = 253402300799999

func (f *format) appendHeader(dst []byte, ms int64) []byte {
	dst = append(dst, f.priority...)
	t := time.UnixMilli(min(max(ms, 0), lastMoment))
	if f.protocol == RFC5424 {
		dst = t.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	} else {
		dst = t.In(f.zone).AppendFormat(dst, time.Stamp)
	}
	return append(dst, f.name...)
}

// appendMessage appends a message that fits limit, cut if hard says that a longer one cannot be sent at all.
func (f *format) appendMessage(dst []byte, m Message, limit int, hard bool, counts *Counts) []byte {
	begin := len(dst)
	dst = f.appendHeader(dst, m.Time)
	head := len(dst)
	text := bytes.TrimRight(m.Text, "\r\n\x00") // auditd 4 may leave a NUL before the newline
	dst = appendFitting(dst, text, limit-(head-begin), hard, counts)
	f.clean(dst[head:])
	return dst
}

func appendFitting(dst, text []byte, room int, hard bool, counts *Counts) []byte {
	begin := len(dst)
	dst, outcome := excerpt.Fit(dst, text, room)
	switch {
	case outcome == excerpt.Shorter:
		counts.Shortened++
	case outcome == excerpt.TooLong && !hard:
		counts.TooLong++
	case outcome == excerpt.TooLong:
		counts.Truncated++
		dst = append(dst[:begin], excerpt.Cut(nil, dst[begin:], room)...)
	}
	return dst
}

// shorten makes a message that was formatted fit limit.
func (f *format) shorten(message []byte, limit int, counts *Counts) []byte {
	head := len(f.appendHeader(nil, 0)) // all times are equally long
	dst := append([]byte{}, message[:head]...)
	return appendFitting(dst, message[head:], limit-head, true, counts)
}

// clean replaces bytes that some receiver takes for the end of a message, and the separator if that is wanted.
func (f *format) clean(text []byte) {
	replace(text, '\n')
	replace(text, 0)
	if f.separator == Blank {
		replace(text, record.Separator)
	}
}

func replace(text []byte, c byte) {
	for {
		i := bytes.IndexByte(text, c)
		if i < 0 {
			return
		}
		text[i] = ' '
		text = text[i+1:]
	}
}

// appendFrame appends a message as it stands in a stream.
func appendFrame(dst, message []byte, framing Framing) []byte {
	if framing == Newline {
		return append(append(dst, message...), '\n')
	}
	dst = strconv.AppendInt(dst, int64(len(message)), 10)
	return append(append(dst, ' '), message...)
}

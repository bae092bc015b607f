// Package record reads audit records: the lines auditd writes to its plugins and logs, and the events they form.
//
// A line is
//
//	[node=HOST ]type=TYPE msg=audit(SECONDS.MILLISECONDS:SERIAL): BODY[0x1D ENRICHED]
//
// Nothing here allocates for a record that is well formed, nothing keeps a slice of the caller's line, and no byte of a
// line is ever changed: what cannot be understood is carried along as it is.
package record

// MaxLine is the longest line, newline included, that is looked into. auditd's own limit is 8970 bytes and a node name
// (lib/libaudit.h: MAX_AUDIT_MESSAGE_LENGTH); longer lines are passed on unread.
const MaxLine = 64 << 10

// Separator stands between the record as the kernel wrote it and what auditd added (log_format = ENRICHED).
// auditd/src/auditd-event.c: AUDIT_INTERP_SEPARATOR.
const Separator = 0x1d

// A Header is what every record begins with. Node and Type are parts of the line it was read from.
type Header struct {
	Node   []byte // without "node="; empty where auditd's name_format is none
	Type   []byte // SYSCALL, UNKNOWN[1340], …
	Time   int64  // milliseconds since 1970, UTC
	Serial uint64
	Body   int // where in the line the body begins
}

// ParseHeader reads the header of a line. It reports false for whatever is not an audit record.
func ParseHeader(line []byte) (Header, bool) {
	var h Header
	i := 0
	if hasPrefixAt(line, 0, "node=") {
		end := indexFrom(line, 5, ' ')
		if end <= 5 {
			return h, false
		}
		h.Node = line[5:end]
		i = end + 1
	}
	if !hasPrefixAt(line, i, "type=") {
		return h, false
	}
	i += len("type=")
	end := indexFrom(line, i, ' ')
	if end <= i || !hasPrefixAt(line, end, " msg=audit(") {
		return h, false
	}
	h.Type = line[i:end]
	return h, h.parseStamp(line, end+len(" msg=audit("))
}

// Parts is a line taken apart. The slices are parts of the line.
type Parts struct {
	Line []byte // the whole of it, newline included where it has one
	Header
	Kind     Kind
	Raw      []byte // the body as the kernel or a program wrote it
	Enriched []byte // what auditd added behind the separator, empty where it added nothing
}

// Split takes a line apart. It reports false, and says nothing but the line, for what is no audit record.
func Split(line []byte) (Parts, bool) {
	h, ok := ParseHeader(line)
	if !ok {
		return Parts{Line: line}, false
	}
	kind := KindOf(h.Type)
	return split(line, h, kind, max(Raw(line, kind == User || kind == Daemon), h.Body)), true
}

func split(line []byte, h Header, kind Kind, raw int) Parts {
	p := Parts{Line: line, Header: h, Kind: kind, Raw: line[h.Body:raw]}
	// Padding may stand before the separator, see Raw.
	if i := indexFrom(line, raw, Separator); i >= 0 {
		end := len(line)
		for end > i+1 && (line[end-1] == '\n' || line[end-1] == '\r' || line[end-1] == 0) {
			end--
		}
		p.Enriched = line[i+1 : end]
	}
	return p
}

// Ordered reports whether a record's serial is one of the kernel's, which are in order. Those of DAEMON_* records are
// auditd's own; 0, which the kernel never gives out, is what this program's records have.
func Ordered(h *Header) bool { return ordered(KindOf(h.Type), h.Serial) }

func ordered(k Kind, serial uint64) bool { return k != Daemon && serial != 0 }

// parseStamp reads "SECONDS.MILLISECONDS:SERIAL):" at i.
func (h *Header) parseStamp(line []byte, i int) bool {
	sec, i, ok := digits(line, i, '.', 1<<40)
	if !ok {
		return false
	}
	ms, i, ok := digits(line, i, ':', 999)
	if !ok {
		return false
	}
	serial, i, ok := digits(line, i, ')', 1<<60)
	if !ok || i >= len(line) || line[i] != ':' {
		return false
	}
	i++
	if i < len(line) && line[i] == ' ' {
		i++
	}
	h.Time, h.Serial, h.Body = int64(sec)*1000+int64(ms), serial, i
	return true
}

// digits reads a decimal number of at most limit that ends with the byte stop, and returns where the next one begins.
func digits(b []byte, i int, stop byte, limit uint64) (n uint64, next int, ok bool) {
	start := i
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		n = n*10 + uint64(b[i]-'0')
		if n > limit {
			return 0, i, false
		}
	}
	if i == start || i >= len(b) || b[i] != stop {
		return 0, i, false
	}
	return n, i + 1, true
}

func hasPrefixAt(b []byte, i int, s string) bool {
	return len(b) >= i+len(s) && string(b[i:i+len(s)]) == s
}

func indexFrom(b []byte, i int, c byte) int {
	for ; i < len(b); i++ {
		if b[i] == c {
			return i
		}
	}
	return -1
}

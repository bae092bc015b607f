package filter

import (
	"bytes"
	"slices"

	"audisp-history/enrich/abi"
	"audisp-history/enrich/record"
)

// A Match is conditions that must all hold. Each list is of alternatives, an empty one no condition. In a pattern "*"
// stands for any bytes, also none.
type Match struct {
	Keys     []string // patterns: one of the event's keys
	Types    []string // patterns: the type of one of its records
	Syscalls []string // patterns: the name of the system call
	Exes     []string // patterns
	Comms    []string // patterns
	UIDs     []uint32
	AUIDs    []uint32 // Unset is that of whom nobody has logged in
	Result   Result
}

// Unset is the login uid of what no login began (include/uapi/linux/audit.h: AUDIT_UID_UNSET).
const Unset = 1<<32 - 1

// Result is how what an event tells of has ended.
type Result uint8

// The results.
const (
	Unknown Result = iota // in a Match: no condition
	Success
	Failed
)

// facts is what an event says of who did what. They are those of its SYSCALL record if there is one.
type facts struct {
	event     *record.Event
	syscall   string
	keys      []byte // separated by keySeparator
	comm, exe []byte
	uid, auid uint32
	has       uint // which of them were found
	result    Result
}

const (
	hasUID uint = 1 << iota
	hasAUID
	hasComm
	hasExe
	hasKey
)

func (f *facts) read(e *record.Event) {
	*f = facts{event: e, keys: f.keys[:0], comm: f.comm[:0], exe: f.exe[:0]}
	if e.Call >= 0 {
		f.call(e.Body(e.Call))
		f.fields(e.Body(e.Call))
		return
	}
	for i := range e.Records {
		if e.Records[i].Kind != record.Unreadable {
			f.fields(e.Body(i))
		}
	}
}

func (f *facts) call(body []byte) {
	var c record.Call
	if c.Parse(body) {
		f.syscall = abi.Name(c.Arch, c.Number)
	}
}

// fields takes what it finds first. What a program says in its msg='…' comes after what the kernel says of the program.
func (f *facts) fields(body []byte) {
	for p := record.FieldsOf(body); p.Next(); {
		switch string(p.Key) {
		case "uid":
			f.number(&f.uid, hasUID, p.Value)
		case "auid":
			f.number(&f.auid, hasAUID, p.Value)
		case "comm":
			f.comm = f.text(f.comm, hasComm, p.Value)
		case "exe":
			f.exe = f.text(f.exe, hasExe, p.Value)
		case "key":
			f.keys = f.text(f.keys, hasKey, p.Value)
		case "success", "res":
			f.ended(p.Value)
		case "msg":
			inner := bytes.TrimSuffix(bytes.TrimPrefix(p.Value, []byte("'")), []byte("'"))
			f.fields(inner)
		}
	}
}

func (f *facts) number(to *uint32, bit uint, v []byte) {
	if n, ok := record.Uint(v); ok && f.has&bit == 0 && n <= Unset {
		*to, f.has = uint32(n), f.has|bit
	}
}

func (f *facts) text(to []byte, bit uint, v []byte) []byte {
	if f.has&bit != 0 {
		return to
	}
	f.has |= bit
	return record.AppendDecoded(to, v)
}

// ended reads the kernel's success=yes and res=1, and the programs' res=success.
func (f *facts) ended(v []byte) {
	if f.result != Unknown {
		return
	}
	switch string(v) {
	case "yes", "1", "success":
		f.result = Success
	case "no", "0", "failed":
		f.result = Failed
	}
}

func (m *Match) matches(f *facts) bool {
	switch {
	case m.Result != Unknown && m.Result != f.result:
	case len(m.UIDs) > 0 && (f.has&hasUID == 0 || !slices.Contains(m.UIDs, f.uid)):
	case len(m.AUIDs) > 0 && (f.has&hasAUID == 0 || !slices.Contains(m.AUIDs, f.auid)):
	case len(m.Syscalls) > 0 && (f.syscall == "" || !like(m.Syscalls, []byte(f.syscall))):
	case len(m.Comms) > 0 && (f.has&hasComm == 0 || !like(m.Comms, f.comm)):
	case len(m.Exes) > 0 && (f.has&hasExe == 0 || !like(m.Exes, f.exe)):
	case len(m.Keys) > 0 && !m.ofKey(f):
	case len(m.Types) > 0 && !m.ofType(f.event):
	default:
		return true
	}
	return false
}

func (m *Match) ofKey(f *facts) bool {
	if len(f.keys) == 0 {
		return false
	}
	for key := range bytes.SplitSeq(f.keys, []byte{keySeparator}) {
		if like(m.Keys, key) {
			return true
		}
	}
	return false
}

func (m *Match) ofType(e *record.Event) bool {
	for i := range e.Records {
		if e.Records[i].Kind != record.Unreadable && like(m.Types, e.Header(i).Type) {
			return true
		}
	}
	return false
}

// like reports whether one of the patterns matches.
func like(patterns []string, text []byte) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, text) })
}

// matches compares text with a pattern in which "*" stands for any bytes. It goes back to the last "*" only, so it takes
// at most as many steps as the two are long, multiplied.
func matches(pattern string, text []byte) bool {
	p, t := 0, 0
	star, from := -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
		case p < len(pattern) && pattern[p] == text[t]:
			p++
			t++
		case star >= 0:
			from++
			p, t = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

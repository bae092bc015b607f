package excerpt

import (
	"bytes"

	"audisp-history/enrich/record"
)

// findText finds the history of a record. A value is one only if all of it reads as such and nothing but what auditd
// added follows; the last such value is it, since it stands behind whatever a program may have written into its message.
func findText(line []byte) []list {
	const key = `history="`
	line = beforeAdded(line)
	for end := len(line); end > 0; {
		i := bytes.LastIndex(line[:end], []byte(key))
		if i < 0 {
			break
		}
		end = i
		begin := i
		if begin > 0 && line[begin-1] == 'o' {
			begin--
		}
		if begin == 0 || line[begin-1] != ' ' {
			continue
		}
		if l, ok := readText(line, i+len(key)); ok {
			l.outerBegin = begin - 1
			return []list{l}
		}
	}
	return nil
}

// beforeAdded is a record without what auditd added, if the kernel wrote it: it encodes the separator in all values. In
// a message of a program any separator may be the right one (see record.Raw).
func beforeAdded(line []byte) []byte {
	i := bytes.IndexByte(line, record.Separator)
	if i < 0 || bytes.Contains(line[:i], []byte(" msg='")) {
		return line
	}
	return line[:i]
}

// readText reads a history up to its closing quote.
func readText(line []byte, at int) (list, bool) {
	l := list{begin: at, form: &textForm}
	for {
		e, ok := readElement(line, at)
		if !ok {
			return l, false
		}
		l.elements = append(l.elements, e)
		at = e.end
		if at < len(line) && line[at] == '"' {
			l.end, l.outerEnd = at, at+1
			return l, l.sane() && endsRaw(line[at+1:])
		}
		if !bytes.HasPrefix(line[at:], []byte("=>")) {
			return l, false
		}
		at += len("=>")
	}
}

// endsRaw reports whether the raw part of a record ends before rest: with auditd's padding or separator, if any.
func endsRaw(rest []byte) bool {
	for _, c := range rest {
		switch c {
		case record.Separator:
			return true
		case 0, '\r':
		default:
			return false
		}
	}
	return true
}

// readElement reads name=NAME;pid=N;start=N[;via=WORD] or omitted=N (see enrich/history).
func readElement(line []byte, at int) (element, bool) {
	e := element{begin: at, end: at}
	r := line[at:]
	if rest, ok := bytes.CutPrefix(r, []byte("omitted=")); ok {
		n, size := readNumber(rest)
		e.omitted, e.end = n, at+len("omitted=")+size
		return e, n > 0
	}
	for _, part := range []struct {
		key   string
		value func(byte) bool
		least int
	}{{"name=", nameByte, 0}, {";pid=", digit, 1}, {";start=", digit, 1}} {
		rest, ok := bytes.CutPrefix(r, []byte(part.key))
		n := span(rest, part.value)
		if !ok || n < part.least {
			return e, false
		}
		r = rest[n:]
	}
	if rest, ok := bytes.CutPrefix(r, []byte(";via=")); ok {
		r = rest[span(rest, func(c byte) bool { return c-'a' <= 25 }):]
	}
	e.end = len(line) - len(r)
	return e, true
}

// readNumber reads a number without leading zeros; 0 if there is none or it is too large.
func readNumber(b []byte) (n uint64, size int) {
	size = span(b, digit)
	if size == 0 || b[0] == '0' {
		return 0, size
	}
	for _, c := range b[:size] {
		if n = n*10 + uint64(c-'0'); n > maxOmitted {
			return 0, size
		}
	}
	return n, size
}

func span(b []byte, is func(byte) bool) int {
	n := 0
	for n < len(b) && is(b[n]) {
		n++
	}
	return n
}

func digit(c byte) bool { return c-'0' <= 9 }

func nameByte(c byte) bool {
	return digit(c) || (c|0x20)-'a' <= 25 || c == '.' || c == '_' || c == '-' || c == '/' || c == '\\'
}

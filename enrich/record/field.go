package record

import "bytes"

// Raw returns where the part of a line ends that the kernel or the sending program wrote: before the newline, before
// what auditd added after the separator, and before padding (a carriage return; the NUL auditd 4 may leave in front of
// the newline of a record it cut). message says that a program wrote the record, whose msg='…' may hold any byte; the
// kernel encodes them.
func Raw(line []byte, message bool) int {
	end := len(line)
	if end > 0 && line[end-1] == '\n' {
		end--
	}
	i := bytes.IndexByte(line[:end], Separator)
	if i >= 0 && message {
		i = separator(line[:end], i)
	}
	if i >= 0 {
		end = i
	}
	for end > 0 && (line[end-1] == '\r' || line[end-1] == 0) {
		end--
	}
	return end
}

// separator finds the byte that auditd set in a record whose message may hold others like it, the first of them at
// first: it follows the closing quote of msg='…'.
func separator(line []byte, first int) int {
	if !bytes.Contains(line[:first], []byte(" msg='")) {
		return first
	}
	i := bytes.LastIndexByte(line, Separator)
	for i > 0 && line[i-1] != '\'' {
		i = bytes.LastIndexByte(line[:i], Separator)
	}
	return i
}

// Fields steps through the key=value pairs of a record's raw body, in whatever order they stand. Words without "="
// are skipped. What stands inside a quoted value is never taken for a field, and msg='…', which others than the kernel
// fill, ends the record.
type Fields struct {
	Key, Value []byte // Value as written: quoted, bare hexadecimal, (null) or plain
	// Words is what stands before the field, or behind the last one, and is no field: words and the blanks around them.
	Words []byte
	rest  []byte
}

// FieldsOf begins at a body, from Header.Body to Raw.
func FieldsOf(body []byte) Fields { return Fields{rest: body} }

// Next moves to the next field and reports whether there is one.
func (f *Fields) Next() bool {
	from := f.rest
	for len(f.rest) > 0 {
		n := wordEnd(f.rest)
		if n == len(f.rest) || f.rest[n] == ' ' {
			f.rest = f.rest[min(n+1, len(f.rest)):]
			continue
		}
		f.Words = from[:len(from)-len(f.rest)]
		f.Key = f.rest[:n]
		f.rest = f.rest[n+1:]
		f.takeValue()
		return true
	}
	f.Words = from
	return false
}

// wordEnd is the place of the first "=" or blank.
func wordEnd(b []byte) int {
	for i, c := range b {
		if c == '=' || c == ' ' {
			return i
		}
	}
	return len(b)
}

func (f *Fields) takeValue() {
	b := f.rest
	if len(b) > 0 && b[0] == '\'' {
		f.Value, f.rest = b, nil
		return
	}
	from := 0
	if len(b) > 0 && b[0] == '"' {
		// The kernel never writes a quote inside quotes: such a value is hexadecimal (kernel/audit.c:
		// audit_string_contains_control), and it knows no escapes.
		if i := bytes.IndexByte(b[1:], '"'); i >= 0 {
			from = i + 2
		}
	}
	if i := bytes.IndexByte(b[from:], ' '); i >= 0 {
		f.Value, f.rest = b[:from+i], b[from+i+1:]
		return
	}
	f.Value, f.rest = b, nil
}

// Find returns the value of the first field named key.
func Find(body []byte, key string) ([]byte, bool) {
	for f := FieldsOf(body); f.Next(); {
		if string(f.Key) == key {
			return f.Value, true
		}
	}
	return nil, false
}

// AppendDecoded appends what a value stands for: the inside of quotes, the bytes of bare hexadecimal, anything else as
// it is, and nothing for (null).
func AppendDecoded(dst, value []byte) []byte {
	if n := len(value); n > 0 && value[0] == '"' {
		if n > 1 && value[n-1] == '"' {
			n--
		}
		return append(dst, value[1:n]...)
	}
	if string(value) == "(null)" {
		return dst
	}
	if !isHex(value) {
		return append(dst, value...)
	}
	for i := 0; i < len(value); i += 2 {
		dst = append(dst, hexDigit(value[i])<<4|hexDigit(value[i+1]))
	}
	return dst
}

func isHex(b []byte) bool {
	if len(b)%2 != 0 {
		return false
	}
	for _, c := range b {
		if hexDigit(c) > 15 {
			return false
		}
	}
	return true
}

// hexDigit is the value of a hexadecimal digit, 255 of any other byte.
func hexDigit(c byte) byte { return hexDigits[c] }

var hexDigits = func() (t [256]byte) {
	for c := range t {
		t[c] = 255
	}
	for i, c := range "0123456789abcdef" {
		t[c] = byte(i)
	}
	for i, c := range "ABCDEF" {
		t[c] = byte(10 + i)
	}
	return t
}()

// Uint reads a decimal number of up to 19 digits and reports false for anything else.
func Uint(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// Hex reads a number in base 16 of up to 16 digits and reports false for anything else.
func Hex(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		d := hexDigit(c)
		if d > 15 {
			return 0, false
		}
		n = n<<4 | uint64(d)
	}
	return n, true
}

// PID reads a process id: a decimal number of at most 31 bits.
func PID(b []byte) (uint32, bool) {
	n, ok := Uint(b)
	if !ok || n >= 1<<31 {
		return 0, false
	}
	return uint32(n), true
}

package jsonl

import (
	"bytes"
	"strconv"

	"audisp-history/enrich/record"
	"audisp-history/enrich/sockaddr"
)

// A writer writes the members of one object at a time. No name is written twice: what would be goes into the member
// text, with the words of the record that are no fields.
type writer struct {
	keys    [][]byte // the names in the object, and before them those of the objects around it
	text    []byte   // the same
	now     object
	decoded []byte
}

// An object is where the names and the text of an object begin, and a filter that says which names it may have.
type object struct {
	keys, text int
	mask       [4]uint64 // a bit for each name: where it is not set, the name is new
}

func (w *writer) open() object {
	outer := w.now
	w.now = object{keys: len(w.keys), text: len(w.text)}
	return outer
}

// close appends the member text, and goes back to the object around this one.
func (w *writer) close(dst []byte, outer object) []byte {
	if text := w.text[w.now.text:]; len(text) > 0 {
		dst = AppendString(append(separated(dst), `"text":`...), text)
	}
	w.keys, w.text = w.keys[:w.now.keys], w.text[:w.now.text]
	w.now = outer
	return dst
}

// bit is the place of a name in a mask.
func bit(key []byte) (word, bit uint) {
	n := uint(len(key))
	if n == 0 {
		return 0, 0
	}
	h := (uint(key[0])*31+uint(key[n/2]))*31 + uint(key[n-1])*5 + n
	return h >> 6 & 3, h & 63
}

func (w *writer) has(key string) bool { return w.named([]byte(key)) }

func (w *writer) named(key []byte) bool {
	word, bit := bit(key)
	return w.now.mask[word]>>bit&1 == 1 && w.listed(key)
}

func (w *writer) listed(key []byte) bool {
	for _, k := range w.keys[w.now.keys:] {
		if bytes.Equal(k, key) {
			return true
		}
	}
	return false
}

// maxMembers bounds the members of an object, since each name is looked for among all of them.
const maxMembers = 256

// member appends the name of a member, and reports false if there can be none of that name.
func (w *writer) member(dst []byte, key []byte) ([]byte, bool) {
	if w.named(key) || string(key) == "text" || len(w.keys)-w.now.keys >= maxMembers {
		return dst, false
	}
	word, bit := bit(key)
	w.now.mask[word] |= 1 << bit
	w.keys = append(w.keys, key)
	return append(AppendString(separated(dst), key), ':'), true
}

// keep adds words to the text.
func (w *writer) keep(words ...[]byte) {
	words[0] = bytes.TrimLeft(words[0], " ")
	last := len(words) - 1
	words[last] = bytes.TrimRight(words[last], " ")
	if last == 0 && len(words[0]) == 0 {
		return
	}
	if len(w.text) > w.now.text {
		w.text = append(w.text, ' ')
	}
	for _, word := range words {
		w.text = append(w.text, word...)
	}
}

var equals = []byte{'='}

// appendFields appends the fields of a record's raw part.
func (w *writer) appendFields(dst []byte, body []byte, kind record.Kind) []byte {
	f := record.FieldsOf(body)
	for f.Next() {
		if len(f.Words) > 0 {
			w.keep(f.Words)
		}
		out, ok := w.appendField(dst, &f, kind)
		if !ok {
			w.keep(f.Key, equals, f.Value)
		}
		dst = out
	}
	if len(f.Words) > 0 {
		w.keep(f.Words)
	}
	return dst
}

// inMessage is the kind of what stands within msg='…': it was written by a program.
const inMessage = record.Unreadable

func (w *writer) appendField(dst []byte, f *record.Fields, kind record.Kind) ([]byte, bool) {
	switch string(f.Key) {
	case "key":
		if kind != inMessage {
			return w.appendList(dst, "keys", f.Value, 1)
		}
	case "proctitle":
		if kind == record.Title {
			return w.appendList(dst, "argv", f.Value, 0)
		}
	case "saddr":
		if out, ok := w.appendAddress(dst, f.Value); ok {
			return out, true
		}
	case "msg":
		if kind != inMessage && len(f.Value) > 0 && f.Value[0] == '\'' {
			return w.appendMessage(dst, f.Value[1:])
		}
	case "keys", "argv":
		return dst, false
	}
	out, ok := w.member(dst, f.Key)
	if !ok {
		return dst, false
	}
	return w.appendValue(out, formOf(f.Key), f.Value), true
}

// appendMessage appends the fields of msg='…' as an object of its own, so that none of them is taken for one that the
// kernel wrote.
func (w *writer) appendMessage(dst []byte, message []byte) ([]byte, bool) {
	dst, ok := w.member(dst, []byte("msg"))
	if !ok {
		return dst, false
	}
	if n := len(message); n > 0 && message[n-1] == '\'' {
		message = message[:n-1]
	}
	outer := w.open()
	dst = w.appendFields(append(dst, '{'), message, inMessage)
	return append(w.close(dst, outer), '}'), true
}

// appendList appends an encoded value as an array of what stands between separators, empty for (null). A separator at
// the end ends the last of them.
func (w *writer) appendList(dst []byte, name string, value []byte, separator byte) ([]byte, bool) {
	dst, ok := w.member(dst, []byte(name))
	if !ok {
		return dst, false
	}
	dst = append(dst, '[')
	if string(value) != "(null)" {
		for rest, more := w.decode(value), true; more; {
			var item []byte
			item, rest, more = bytes.Cut(rest, []byte{separator})
			dst = AppendString(separated(dst), item)
			more = more && len(rest) > 0
		}
	}
	return append(dst, ']'), true
}

// appendAddress appends what a socket's address says, and reports false if it says nothing.
func (w *writer) appendAddress(dst []byte, value []byte) ([]byte, bool) {
	a, ok := sockaddr.Parse(w.decode(value))
	if !ok || len(w.keys) > w.now.keys { // it stands alone in its record
		return dst, false
	}
	member := func(name string) {
		dst, _ = w.member(dst, []byte(name))
	}
	number := func(name string, n uint32) {
		member(name)
		dst = strconv.AppendUint(dst, uint64(n), 10)
	}
	member("family")
	dst = AppendString(dst, a.FamilyName())
	switch {
	case a.HasPort():
		member("addr")
		dst = append(a.IP.AppendTo(append(dst, '"')), '"')
		number("port", a.Port)
		if a.Scope != 0 {
			number("scope", a.Scope)
		}
	case a.IsNetlink():
		number("port", a.Scope)
		number("groups", a.Groups)
	case a.IsVsock():
		number("cid", a.Scope)
		number("port", a.Port)
	case a.Abstract != nil:
		member("abstract")
		dst = AppendString(dst, a.Abstract)
	default:
		member("path")
		dst = AppendString(dst, a.Path)
	}
	return dst, true
}

// appendEnriched appends the names that auditd added. It writes them in capitals; nothing else there is taken for a field.
func (w *writer) appendEnriched(dst []byte, enriched []byte) []byte {
	f := record.FieldsOf(enriched)
	for f.Next() {
		if string(f.Key) == "SADDR" { // the last, and not to be told apart from what is in a path
			return dst
		}
		if len(f.Words) > 0 {
			w.keep(f.Words)
		}
		out, ok := dst, false
		if !bytes.ContainsAny(f.Key, lowerCase) {
			out, ok = w.member(dst, f.Key)
		}
		if !ok {
			w.keep(f.Key, equals, f.Value)
			continue
		}
		dst = AppendString(out, unquoted(f.Value))
	}
	if len(f.Words) > 0 {
		w.keep(f.Words)
	}
	return dst
}

const lowerCase = "abcdefghijklmnopqrstuvwxyz"

// appendExecve appends the records of an execve, of which the i-th is the first, as one.
func (r *Records) appendExecve(dst []byte, i int) []byte {
	r.bodies = append(r.bodies[:0], r.parts[i].Raw)
	for j := range r.others(i) {
		r.bodies = append(r.bodies, r.parts[j].Raw)
	}
	if len(r.bodies) == 1 {
		if out, ok := r.appendPlainArgs(dst, r.bodies[0]); ok {
			return out
		}
	}
	args, err := record.Args(r.bodies...)
	dst = append(dst, '{')
	if argc, ok := record.Find(r.bodies[0], "argc"); ok {
		dst = append(r.appendValue(append(dst, `"argc":`...), decimal, argc), ',')
	}
	for err != nil && len(args) > 0 && args[len(args)-1] == "" {
		args = args[:len(args)-1]
	}
	dst = append(dst, `"argv":[`...)
	for _, arg := range args {
		dst = AppendString(separated(dst), arg)
	}
	dst = append(dst, ']')
	if err != nil {
		dst = AppendString(append(dst, `,"error":`...), err.Error())
		dst = AppendString(append(dst, `,"text":`...), bytes.Join(r.bodies, []byte{' '}))
	}
	return append(dst, '}')
}

// appendPlainArgs appends arguments that are all there, in order and in one piece each, as nearly all are. It reports
// false for others, which record.Args reads.
func (r *Records) appendPlainArgs(dst []byte, body []byte) ([]byte, bool) {
	f := record.FieldsOf(body)
	if !f.Next() || string(f.Key) != "argc" {
		return dst, false
	}
	argc, ok := record.Uint(f.Value)
	if !ok {
		return dst, false
	}
	out := append(strconv.AppendUint(append(dst, `{"argc":`...), argc, 10), `,"argv":[`...)
	var key [20]byte
	for i := range argc {
		if !f.Next() || !bytes.Equal(f.Key, strconv.AppendUint(append(key[:0], 'a'), i, 10)) || len(f.Words) > 0 {
			return dst, false
		}
		out = AppendString(separated(out), r.decode(f.Value))
	}
	if f.Next() || len(bytes.TrimLeft(f.Words, " ")) > 0 {
		return dst, false
	}
	return append(out, `]}`...), true
}

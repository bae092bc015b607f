package ecs

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/elastic/go-libaudit/v2/aucoalesce"
	"github.com/elastic/go-libaudit/v2/auparse"

	"audisp-history/enrich/jsonl"
	"audisp-history/enrich/record"
)

// messages makes of records what go-libaudit's parser cannot misread. It finds fields by a regular expression that takes
// a backslash before a quote for an escape, lets fields of msg='…' replace those of the kernel, and decodes some fields
// and not others. So each record is written anew: fields and their decoded values, where a value that could be mistaken
// for anything is replaced by a mark, ~N~. Marks are replaced by the values when all is done.
type messages struct {
	values []string
	text   []byte
	named  map[string]bool // fields of the record so far
}

// never are the fields that only the kernel may set: in msg='…' they are what a program says.
func never(key []byte) bool {
	switch string(key) {
	case "pid", "ppid", "auid", "uid", "gid", "euid", "suid", "fsuid", "egid", "sgid", "fsgid", "ses", "subj",
		"arch", "syscall", "success", "exit", "items", "tty", "key":
		return true
	}
	return false
}

// add makes a message of a record.
func (m *messages) add(p *record.Parts) (*auparse.AuditMessage, error) {
	typ, err := auparse.GetAuditMessageType(string(p.Type))
	if err != nil {
		return nil, fmt.Errorf("record type %.40q: %w", p.Type, err)
	}
	m.text = append(m.text[:0], "audit(0.000:0):"...)
	m.named = map[string]bool{}
	m.fields(p, p.Raw, false)
	if name := required(p.Type); name != "" && !m.named[name] {
		m.mark(name, "")
	}
	return auparse.Parse(typ, string(m.text))
}

// required is the field without which the parser reads nothing of a record: exe=(null) is that of a kernel thread.
func required(typ []byte) string {
	switch string(typ) {
	case "SYSCALL", "SECCOMP":
		return "exe"
	case "USER_CMD":
		return "cmd"
	case "TTY", "USER_TTY":
		return "data"
	}
	return ""
}

func (m *messages) fields(p *record.Parts, body []byte, message bool) {
	f := record.FieldsOf(body)
	for f.Next() {
		if string(p.Type) == "AVC" { // its words say what was denied
			m.words(f.Words)
		}
		if !message && string(f.Key) == "msg" && len(f.Value) > 0 && f.Value[0] == '\'' {
			m.fields(p, bytes.TrimSuffix(f.Value[1:], []byte{'\''}), true)
			continue
		}
		key := f.Key
		if message && never(key) {
			key = append([]byte("msg_"), key...)
		}
		if string(key) != "key" {
			m.field(key, f.Value)
		}
	}
}

func (m *messages) field(key, value []byte) {
	if !isName(key) || m.named[string(key)] {
		return
	}
	name := bytes.TrimPrefix(key, []byte("msg_"))
	decoded := jsonl.AppendDecoded(nil, name, value)
	if len(decoded) == 0 {
		return
	}
	m.named[string(key)] = true
	if !isSafe(decoded) || decodes(name) && isHex(decoded) {
		m.mark(string(key), string(decoded))
		return
	}
	m.text = append(append(append(append(m.text, ' '), key...), '='), decoded...)
}

// mark appends a field whose value stands elsewhere.
func (m *messages) mark(key, value string) {
	m.text = fmt.Appendf(m.text, " %s=~%d~", key, len(m.values))
	m.values = append(m.values, value)
}

// words keeps the words before a field, as far as they are ones.
func (m *messages) words(words []byte) {
	for _, w := range bytes.Fields(words) {
		if isSafe(w) || len(w) == 1 && (w[0] == '{' || w[0] == '}') {
			m.text = append(append(m.text, ' '), w...)
		}
	}
}

// isName reports whether the parser takes something for a field's name.
func isName(key []byte) bool {
	for _, c := range key {
		if c-'a' > 25 && c-'0' > 9 && c != '_' && c != '-' {
			return false
		}
	}
	return len(key) > 0
}

// isSafe reports whether nothing in a value can be mistaken for its end.
func isSafe(value []byte) bool {
	for _, c := range value {
		if (c|0x20)-'a' > 25 && c-'0' > 9 && strings.IndexByte("_./:-+@,?", c) < 0 {
			return false
		}
	}
	return len(value) > 0
}

// decodes reports whether the parser takes what looks like hexadecimal for that in a field.
func decodes(key []byte) bool {
	switch string(key) {
	case "cwd", "exe", "cmd", "data", "name", "acct", "proctitle":
		return true
	}
	return false
}

func isHex(b []byte) bool {
	for _, c := range b {
		if c-'0' > 9 && (c|0x20)-'a' > 5 {
			return false
		}
	}
	return true
}

// back puts the values in the place of their marks, wherever the event has them.
func (m *messages) back(e *aucoalesce.Event) {
	for _, s := range []*string{
		&e.Result, &e.Session, &e.Summary.Actor.Primary, &e.Summary.Actor.Secondary, &e.Summary.Action, &e.Summary.How,
		&e.Summary.Object.Type, &e.Summary.Object.Primary, &e.Summary.Object.Secondary,
		&e.Process.PID, &e.Process.PPID, &e.Process.Title, &e.Process.Name, &e.Process.Exe, &e.Process.CWD,
		&e.ECS.User.Name, &e.ECS.User.ID, &e.ECS.User.Effective.Name, &e.ECS.User.Effective.ID, &e.ECS.User.Target.Name,
		&e.ECS.User.Target.ID, &e.ECS.User.Changes.Name, &e.ECS.User.Changes.ID, &e.ECS.Group.Name, &e.ECS.Group.ID,
	} {
		*s = m.value(*s)
	}
	for _, o := range []map[string]string{e.Data, e.User.IDs, e.User.SELinux} {
		m.all(o)
	}
	for _, p := range e.Paths {
		m.all(p)
	}
	if f := e.File; f != nil {
		for _, s := range []*string{&f.Path, &f.Device, &f.Inode, &f.Mode, &f.UID, &f.GID} {
			*s = m.value(*s)
		}
		m.all(f.SELinux)
	}
	for _, a := range []*aucoalesce.Address{e.Source, e.Dest} {
		if a != nil {
			a.Hostname, a.IP, a.Port, a.Path = m.value(a.Hostname), m.value(a.IP), m.value(a.Port), m.value(a.Path)
		}
	}
}

func (m *messages) all(values map[string]string) {
	for k, v := range values {
		values[k] = m.value(v)
	}
}

func (m *messages) value(s string) string {
	if len(s) < 3 || s[0] != '~' || s[len(s)-1] != '~' {
		return s
	}
	i, err := strconv.Atoi(s[1 : len(s)-1])
	if err != nil || i < 0 || i >= len(m.values) {
		return s
	}
	return m.values[i]
}

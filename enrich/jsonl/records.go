package jsonl

import (
	"bytes"

	"audisp-history/enrich/abi"
	"audisp-history/enrich/record"
)

// maxTypes bounds the types of records that one event may have, since each is looked for among all of them.
const maxTypes = 64

// Records writes records as JSON. The zero value is ready to use; it is not safe for concurrent use.
type Records struct {
	writer
	parts  []record.Parts
	left   []int // records that have no place in the object
	done   []bool
	bodies [][]byte
	after  func(dst []byte, i int) []byte // appends members to the object of the i-th record
}

// Append appends the object records: its members are the types of the records. It reports which records have no place
// in it: lines that are none, more than one of a type of which there is but one, and any of too many types.
func (r *Records) Append(dst []byte, parts []record.Parts) (out []byte, left []int) {
	r.parts, r.left = parts, r.left[:0]
	r.done = append(r.done[:0], make([]bool, len(parts))...)
	types := 0
	dst = append(dst, '{')
	for i := range parts {
		switch {
		case r.done[i] || parts[i].Kind == record.End:
		case parts[i].Kind == record.Unreadable || types == maxTypes:
			r.left = append(r.left, i)
		default:
			types++
			dst = AppendString(separated(dst), parts[i].Type)
			dst = r.appendType(append(dst, ':'), i)
		}
	}
	return append(dst, '}'), r.left
}

// separated appends a comma where something stands before.
func separated(dst []byte) []byte {
	if c := dst[len(dst)-1]; c != '{' && c != '[' {
		return append(dst, ',')
	}
	return dst
}

// appendType appends all records of the type of the i-th, which is the first of them. Four types are one object, any
// other is an array.
func (r *Records) appendType(dst []byte, i int) []byte {
	switch typ := r.parts[i].Type; string(typ) {
	case "EXECVE":
		return r.appendExecve(dst, i)
	case "SYSCALL", "CWD", "PROCTITLE":
		for j := range r.others(i) {
			r.left = append(r.left, j)
		}
		return r.appendRecord(dst, i)
	}
	dst = r.appendRecord(append(dst, '['), i)
	for j := range r.others(i) {
		dst = r.appendRecord(append(dst, ','), j)
	}
	return append(dst, ']')
}

// others are the records behind the i-th that have its type. They are done with then.
func (r *Records) others(i int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for j := i + 1; j < len(r.parts); j++ {
			if r.parts[j].Kind == r.parts[i].Kind && bytes.Equal(r.parts[j].Type, r.parts[i].Type) {
				r.done[j] = true
				if !yield(j) {
					return
				}
			}
		}
	}
}

func (r *Records) appendRecord(dst []byte, i int) []byte {
	p := &r.parts[i]
	dst = append(dst, '{')
	o := r.open()
	dst = r.appendFields(dst, p.Raw, p.Kind)
	dst = r.appendEnriched(dst, p.Enriched)
	if p.Kind == record.Syscall {
		dst = r.appendNames(dst, p.Raw)
	}
	if r.after != nil {
		dst = r.after(dst, i)
	}
	return append(r.close(dst, o), '}')
}

// appendNames names the system call and its architecture, where auditd has not.
func (r *Records) appendNames(dst []byte, body []byte) []byte {
	if r.has("ARCH") && r.has("SYSCALL") {
		return dst
	}
	v, _ := record.Find(body, "arch")
	arch, ok := record.Hex(v)
	if !ok || arch > 1<<32-1 {
		return dst
	}
	if name := abi.ArchName(uint32(arch)); name != "" {
		dst = r.appendName(dst, "ARCH", name)
	}
	v, _ = record.Find(body, "syscall")
	number, ok := record.Uint(v)
	if !ok || number > 1<<31-1 {
		return dst
	}
	if name := abi.Name(uint32(arch), int(number)); name != "" {
		dst = r.appendName(dst, "SYSCALL", name)
	}
	return dst
}

func (r *Records) appendName(dst []byte, key, name string) []byte {
	if r.has(key) {
		return dst
	}
	dst, _ = r.member(dst, []byte(key))
	return AppendString(dst, name)
}

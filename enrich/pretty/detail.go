package pretty

import (
	"bytes"
	"strconv"

	"audisp-history/enrich/jsonl"
	"audisp-history/enrich/record"
	"audisp-history/enrich/sockaddr"
)

const indent = "    "

// appendDetail appends, each on a line of its own, what was executed, the files, the address, and what a message says.
func (f *Format) appendDetail(dst []byte) []byte {
	paths := 0
	executes := false
	for i := range f.parts {
		executes = executes || string(f.parts[i].Type) == "EXECVE"
	}
	for i := range f.parts {
		p := &f.parts[i]
		switch string(p.Type) {
		case "EXECVE":
			dst = f.appendArgs(dst, p.Raw)
		case "PATH": // those of an exec are its program and its loader
			if paths++; !executes && paths <= maxPaths {
				dst = f.appendPath(dst, p.Raw)
			}
		case "SOCKADDR":
			dst = f.appendAddress(dst, p.Raw)
		case "AVC":
			dst = append(appendSafe(append(dst, indent...), p.Raw), '\n')
		}
		if m := messageOf(p.Raw); m != nil {
			dst = f.appendMessage(dst, m)
		} else if p.Kind == record.ConfigChange {
			dst, _ = f.value(append(dst, indent...), "op=", p.Raw, "op")
			dst = append(dst, '\n')
		}
	}
	if !executes && paths > maxPaths {
		dst = append(strconv.AppendInt(append(dst, indent+"and "...), int64(paths-maxPaths), 10), " more paths\n"...)
	}
	return dst
}

// maxPaths and maxArgs bound what is shown of one event.
const (
	maxPaths = 8
	maxArgs  = 1024 // bytes
)

func (f *Format) appendArgs(dst []byte, body []byte) []byte {
	dst = append(dst, indent+"exec"...)
	begin := len(dst)
	for fields := record.FieldsOf(body); fields.Next(); {
		if string(fields.Key) == "argc" || bytes.HasSuffix(fields.Key, []byte("_len")) {
			continue
		}
		if len(dst)-begin > maxArgs {
			dst = append(dst, " …"...)
			break
		}
		f.decoded = record.AppendDecoded(f.decoded[:0], fields.Value)
		dst = appendQuoted(append(dst, ' '), f.decoded)
	}
	return append(dst, '\n')
}

func (f *Format) appendPath(dst []byte, body []byte) []byte {
	kind, _ := record.Find(body, "nametype")
	if string(kind) == "PARENT" {
		return dst
	}
	dst, ok := f.value(dst, indent, body, "name")
	if !ok {
		dst = append(dst, indent+"(no name)"...)
	}
	if len(kind) > 0 && string(kind) != "NORMAL" {
		dst = append(appendSafe(append(dst, " ("...), bytes.ToLower(kind)), ')')
	}
	return append(dst, '\n')
}

func (f *Format) appendAddress(dst []byte, body []byte) []byte {
	v, _ := record.Find(body, "saddr")
	f.decoded = record.AppendDecoded(f.decoded[:0], v)
	a, _ := sockaddr.Parse(f.decoded)
	dst = append(append(append(dst, indent...), a.FamilyName()...), ' ')
	switch {
	case a.HasPort() && a.IP.IsValid():
		if a.IP.Is6() {
			dst = append(a.IP.AppendTo(append(dst, '[')), ']')
		} else {
			dst = a.IP.AppendTo(dst)
		}
		dst = strconv.AppendUint(append(dst, ':'), uint64(a.Port), 10)
	case a.IsVsock():
		dst = strconv.AppendUint(append(strconv.AppendUint(dst, uint64(a.Scope), 10), ':'), uint64(a.Port), 10)
	case a.Abstract != nil:
		dst = appendSafe(append(dst, '@'), a.Abstract)
	default:
		dst = appendSafe(dst, a.Path)
	}
	return append(bytes.TrimRight(dst, " "), '\n')
}

// appendMessage appends what a program says, but for what stands elsewhere or says nothing.
func (f *Format) appendMessage(dst []byte, message []byte) []byte {
	begin := len(dst)
	dst = append(dst, indent...)
	fields := record.FieldsOf(message)
	for fields.Next() {
		dst = appendWords(dst, fields.Words)
		f.decoded = jsonl.AppendDecoded(f.decoded[:0], fields.Key, fields.Value)
		switch string(fields.Key) {
		case "exe", "res":
			continue
		}
		if len(f.decoded) == 0 || string(f.decoded) == "?" {
			continue
		}
		dst = appendQuoted(append(appendSafe(dst, fields.Key), '='), f.decoded)
		dst = append(dst, ' ')
	}
	dst = appendWords(dst, fields.Words)
	if len(dst) == begin+len(indent) {
		return dst[:begin]
	}
	return append(dst[:len(dst)-1], '\n')
}

func appendWords(dst []byte, words []byte) []byte {
	for _, w := range bytes.Fields(words) {
		dst = append(appendSafe(dst, w), ' ')
	}
	return dst
}

package jsonl

import (
	"audisp-history/enrich/record"
)

// A form says how a value is written in JSON.
type form uint8

const (
	verbatim form = iota // as a string, without the quotes that it may have
	decimal              // as a number
	hex                  // as a string that begins with 0x
	encoded              // as a string; a value without quotes is in hexadecimal
)

// formOf is the form of a field. What is not listed is a string, so that the type of a field never depends on its
// value: op=1 of one program is op=start of another.
func formOf(key []byte) form {
	switch string(key) {
	case "pid", "ppid", "opid", "auid", "uid", "gid", "euid", "suid", "fsuid", "egid", "sgid", "fsgid", "oauid", "ouid",
		"ogid", "iuid", "igid", "sauid", "ses", "oses", "old-auid", "old-ses", "items", "item", "argc", "exit", "syscall",
		"uring_op", "inode", "ino", "sig", "cap_fe", "cap_frootid", "fe", "frootid", "list", "fd", "nargs", "prog-id",
		"nl-mcgrp", "permissive", "compat":
		return decimal
	case "arch", "a0", "a1", "a2", "a3", "a4", "a5", "per", "cap_fp", "cap_fi", "cap_fver", "fp", "fi", "fver",
		"old_pp", "old_pi", "old_pe", "old_pa", "pp", "pi", "pe", "pa", "qbytes":
		return hex
	// What the kernel writes with audit_log_untrustedstring, and programs with audit_encode_nv_string.
	case "comm", "exe", "name", "cwd", "proctitle", "key", "acct", "path", "dir", "file", "cmd", "data", "watch", "ocomm",
		"grp", "vm", "device", "profile", "peer", "info", "root_dir", "sw", "cgroup", "invalid_context",
		"old-disk", "new-disk", "old-fs", "new-fs", "old-rng", "new-rng", "old-chardev", "new-chardev":
		return encoded
	}
	return verbatim
}

// appendValue appends a value in its form. A value that is not what its form says is a string, as it is.
func (w *writer) appendValue(dst []byte, f form, value []byte) []byte {
	if string(value) == "(null)" {
		return append(dst, "null"...)
	}
	switch f {
	case decimal:
		if isNumber(value) {
			return append(dst, value...)
		}
		return AppendString(dst, value)
	case hex:
		if _, ok := record.Hex(value); ok {
			return append(append(append(dst, `"0x`...), value...), '"')
		}
		return AppendString(dst, value)
	case encoded:
		return AppendString(dst, w.decode(value))
	}
	return AppendString(dst, unquoted(value))
}

// decode returns what an encoded value stands for, valid until the next call.
func (w *writer) decode(value []byte) []byte {
	if len(value) == 0 || value[0] == '"' {
		return unquoted(value)
	}
	w.decoded = record.AppendDecoded(w.decoded[:0], value)
	return w.decoded
}

// unquoted takes the quotes off a value that is in quotes.
func unquoted(value []byte) []byte {
	if n := len(value); n > 1 && value[0] == '"' && value[n-1] == '"' {
		return value[1 : n-1]
	}
	return value
}

// maxDigits is how many digits a number may have, so that every reader of JSON that knows 64-bit integers can read it.
const maxDigits = 18

// isNumber reports whether a value is a whole number as JSON writes it.
func isNumber(b []byte) bool {
	if len(b) > 1 && b[0] == '-' {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > maxDigits || b[0] == '0' && len(b) > 1 {
		return false
	}
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

// AppendDecoded appends what the value of a field stands for: what is in quotes, or the bytes that hexadecimal encodes if
// the field is one of those that are encoded so. Nothing for (null).
func AppendDecoded(dst, key, value []byte) []byte {
	if string(value) == "(null)" {
		return dst
	}
	if formOf(key) == encoded && len(value) > 0 && value[0] != '"' {
		return record.AppendDecoded(dst, value)
	}
	return append(dst, unquoted(value)...)
}

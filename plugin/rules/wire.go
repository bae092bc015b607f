package rules

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/elastic/go-libaudit/v2/rule"
)

// The layout of struct audit_rule_data (include/uapi/linux/audit.h), in words of 32 bits in the machine's order:
// flags, action, field_count, mask[64], fields[64], values[64], fieldflags[64], buflen; then buflen bytes of strings.
const (
	maskWords  = 64 // AUDIT_BITMASK_SIZE
	maskBits   = maskWords * 32
	maxFields  = 64 // AUDIT_MAX_FIELDS
	headWords  = 3 + maskWords + 3*maxFields + 1
	headBytes  = headWords * 4
	fieldsAt   = 3 + maskWords
	valuesAt   = fieldsAt + maxFields
	opsAt      = valuesAt + maxFields
	bufferLen  = opsAt + maxFields
	maxRuleLen = 1 << 20 // far more than 64 strings of PATH_MAX
)

// The lists of rules (AUDIT_FILTER_*) and the actions (AUDIT_NEVER, AUDIT_ALWAYS) that matter here.
const (
	listTask    = 1
	listExit    = 4
	listExclude = 5

	actionNever  = 0
	actionAlways = 2
)

// Fields of rules (AUDIT_*).
const (
	fieldLoginUID   = 9
	fieldArch       = 11
	fieldMsgType    = 12
	fieldSubjFirst  = 13
	fieldSubjLast   = 17
	fieldObjFirst   = 19
	fieldObjLast    = 23
	fieldLoginUIDIs = 24 // AUDIT_LOGINUID_SET
	fieldDevMajor   = 100
	fieldDevMinor   = 101
	fieldInode      = 102
	fieldExit       = 103
	fieldSuccess    = 104
	fieldWatch      = 105
	fieldPerm       = 106
	fieldDir        = 107
	fieldFileType   = 108
	fieldObjUID     = 109
	fieldObjGID     = 110
	fieldExe        = 112
	fieldArg0       = 200
	fieldKey        = 210
)

// Bits of fieldPerm (AUDIT_PERM_*).
const (
	permExec  = 1
	permWrite = 2
)

// Operators of fields (AUDIT_BIT_MASK, AUDIT_LESS_THAN …).
const (
	opBitMask      = 0x08000000
	opLess         = 0x10000000
	opGreater      = 0x20000000
	opNotEqual     = 0x30000000
	opEqual        = 0x40000000
	opBitTest      = 0x48000000
	opLessEqual    = 0x50000000
	opGreaterEqual = 0x60000000
)

// A Rule is a rule as the kernel holds it.
type Rule struct {
	list, action uint32
	mask         [maskWords]uint32 // the system calls it is about
	fields       []field           // all must match
	line         string
}

type field struct {
	id, op, value uint32
	text          string // of the fields that hold one
}

var errCut = errors.New("audit rule: cut short")

// Parse reads a rule as the kernel lists it (struct audit_rule_data; AUDIT_LIST_RULES, libaudit's GetRules).
func Parse(data []byte) (Rule, error) {
	if len(data) < headBytes {
		return Rule{}, errCut
	}
	if len(data) > maxRuleLen {
		return Rule{}, fmt.Errorf("audit rule: %d bytes are too many for one", len(data))
	}
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(data[4*i:]) }
	count, size := word(2), word(bufferLen)
	if count > maxFields {
		return Rule{}, fmt.Errorf("audit rule: %d fields, more than %d", count, maxFields)
	}
	if uint64(size) > uint64(len(data)-headBytes) {
		return Rule{}, errCut
	}
	r := Rule{list: word(0), action: word(1), fields: make([]field, count)}
	for i := range r.mask {
		r.mask[i] = word(3 + i)
	}
	buffer := data[headBytes : headBytes+int(size)]
	for i := range r.fields {
		f := &r.fields[i]
		*f = field{id: word(fieldsAt + i), op: word(opsAt + i), value: word(valuesAt + i)}
		if !f.hasText() {
			continue
		}
		if uint64(f.value) > uint64(len(buffer)) {
			return Rule{}, errCut
		}
		f.text, buffer = string(buffer[:f.value]), buffer[f.value:]
	}
	r.line = line(data, &r)
	return r, nil
}

// ParseAll reads the rules in the order in which the kernel tries them, which is that of its list.
func ParseAll(list [][]byte) ([]Rule, error) {
	all := make([]Rule, len(list))
	for i, data := range list {
		r, err := Parse(data)
		if err != nil {
			return nil, fmt.Errorf("rule %d of %d: %w", i+1, len(list), err)
		}
		all[i] = r
	}
	return all, nil
}

// hasText tells whether the field's value is the length of a string in the buffer (kernel/auditfilter.c:
// audit_data_to_entry).
func (f *field) hasText() bool {
	switch f.id {
	case fieldWatch, fieldDir, fieldExe, fieldKey:
		return true
	}
	return f.id >= fieldSubjFirst && f.id <= fieldSubjLast || f.id >= fieldObjFirst && f.id <= fieldObjLast
}

// about tells whether the rule is tried for the system call number (kernel/auditsc.c: audit_in_mask).
func (r *Rule) about(number int) bool {
	return number >= 0 && number < maskBits && r.mask[number/32]&(1<<(number%32)) != 0
}

// TaskNever tells whether the rule keeps new tasks from ever being audited.
func (r *Rule) TaskNever() bool { return r.list == listTask && r.action == actionNever }

// String is the rule nearly as auditctl -l prints it, in one line.
func (r *Rule) String() string { return r.line }

// line asks libaudit, which knows names. It knows neither every field nor other architectures' calls.
func line(data []byte, r *Rule) string {
	text, err := rule.ToCommandLine(data, false)
	if err != nil || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return fmt.Sprintf("a rule of list %d with action %d and %d fields", r.list, r.action, len(r.fields))
	}
	return text
}

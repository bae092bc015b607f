package rules

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/elastic/go-libaudit/v2"

	"audisp-history/enrich/abi"
)

// prepend with the number of a list puts a rule before all others of the list (AUDIT_FILTER_PREPEND).
const prepend = 0x10

// Kernel is the kernel's audit. A *libaudit.AuditClient is one, by a socket of its own; all it does takes CAP_AUDIT_CONTROL.
type Kernel interface {
	GetStatus() (*libaudit.AuditStatus, error)
	GetRules() ([][]byte, error)
	AddRule(rule []byte) error
	DeleteRule(rule []byte) error
	Close() error
}

// Dial opens a socket to the kernel's audit, as [Watch].Open does.
func Dial() (Kernel, error) {
	client, err := libaudit.NewAuditClient(nil)
	if err != nil {
		return nil, err
	}
	return client, nil
}

// rule is the need as the kernel lists it.
func (n *need) rule() Rule {
	r := Rule{list: listExit, action: actionAlways, fields: []field{{id: fieldArch, op: opEqual, value: n.abi.Arch}}}
	for i := range n.calls {
		number := n.calls[i].Number
		r.mask[number/32] |= 1 << (number % 32)
	}
	if n.part == threads {
		r.action = actionNever
		argument := uint32(fieldArg0 + abi.CloneFlagsArg(n.abi.Arch))
		r.fields = append(r.fields, field{id: argument, op: opBitMask, value: cloneThread})
		return r
	}
	if n.part != ends {
		r.fields = append(r.fields, field{id: fieldSuccess, op: opEqual, value: 1})
	}
	r.fields = append(r.fields, field{id: fieldKey, op: opEqual, value: uint32(len(Key)), text: Key})
	return r
}

// data is the rule as the kernel takes it (struct audit_rule_data).
func (r *Rule) data() []byte {
	b := make([]byte, headBytes)
	put := func(word int, value uint32) { binary.NativeEndian.PutUint32(b[4*word:], value) }
	put(0, r.list)
	put(1, r.action)
	put(2, uint32(len(r.fields)))
	for i, bits := range r.mask {
		put(3+i, bits)
	}
	for i := range r.fields {
		f := &r.fields[i]
		put(fieldsAt+i, f.id)
		put(valuesAt+i, f.value)
		put(opsAt+i, f.op)
		b = append(b, f.text...)
	}
	put(bufferLen, uint32(len(b)-headBytes))
	return b
}

// same is what the kernel takes for the same rule, of which it holds only one (kernel/auditfilter.c: audit_compare_rule).
func (r *Rule) same(o *Rule) bool {
	return r.list == o.list && r.action == o.action && r.mask == o.mask && slices.Equal(r.fields, o.fields)
}

// A step changes the kernel's rules.
type step struct {
	what byte // as auditctl's options: A prepends, a appends, d deletes
	need need
}

// String is the step as it would be done with auditctl.
func (s *step) String() string { return "-" + string(s.what) + " " + s.need.text() }

func (s *step) do(k Kernel) error {
	rule := s.need.rule()
	switch s.what {
	case 'd':
		return k.DeleteRule(rule.data())
	case 'A':
		rule.list |= prepend
	}
	return k.AddRule(rule.data())
}

// plan says how the holes are closed. Only rules of m's own are added, and of these only what would record calls that are
// missing. The early ones go before all others, the last of them first, and what is said of threads goes before
// these; if it is there already it is moved, as the kernel has only one of each. The late ones go behind all others.
func (m Machine) plan(have []Rule, holes []Hole) []step {
	var before, after []step
	clones := map[string]bool{} // ABIs
	all := m.needs()
	for _, n := range slices.Backward(all) {
		rule := n.rule()
		present := slices.ContainsFunc(have, func(r Rule) bool { return r.same(&rule) })
		switch {
		case n.part == threads:
			if present && clones[n.abi.Name] {
				before = append(before, step{'d', n})
			}
			if !present || clones[n.abi.Name] {
				before = append(before, step{'A', n})
			}
		case present || !n.closes(holes):
		case n.part == execs:
			after = append([]step{{'a', n}}, after...)
		default:
			before = append(before, step{'A', n})
			clones[n.abi.Name] = clones[n.abi.Name] || n.part == life
		}
	}
	if !slices.ContainsFunc(append(before, after...), func(s step) bool { return s.need.part != threads }) {
		return nil
	}
	return append(before, after...)
}

// closes tells whether the rule records calls of a hole.
func (n *need) closes(holes []Hole) bool {
	return slices.ContainsFunc(holes, func(h Hole) bool {
		return h.ABI == n.abi.Name && slices.ContainsFunc(n.calls, func(w Want) bool { return slices.Contains(h.Calls, w.Name) })
	})
}

// A Restoration is what was done to get the rules back.
type Restoration struct {
	// Steps are the changes that were made, in auditctl's words and in order: "-A always,exit …".
	Steps []string
	// Left are the holes that are there now.
	Left []Hole
}

// errLocked is why nothing is restored after auditctl -e 2.
var errLocked = errors.New("the rules are locked until the next boot (auditctl -e 2)")

// Restore puts the rules of [Files] back into the kernel, as far as calls are not recorded for want of them. Nothing is done
// if none of them is missing, as when another rule is in the way. The error says which change failed; those before it
// are made.
func Restore(k Kernel, m Machine) (Restoration, error) {
	status, err := k.GetStatus()
	if err != nil {
		return Restoration{}, fmt.Errorf("the kernel's audit status: %w", err)
	}
	if status.Enabled == locked {
		return Restoration{}, errLocked
	}
	have, _, err := list(k)
	if err != nil {
		return Restoration{}, err
	}
	holes := Holes(m.Wanted(), have)
	r := Restoration{Left: holes}
	steps := m.plan(have, holes)
	for i := range steps {
		if err := steps[i].do(k); err != nil {
			return r, fmt.Errorf("auditctl %s: %w", &steps[i], err)
		}
		r.Steps = append(r.Steps, steps[i].String())
	}
	if len(steps) == 0 {
		return r, nil
	}
	if have, _, err = list(k); err != nil {
		return r, err
	}
	r.Left = Holes(m.Wanted(), have)
	return r, nil
}

// locked is the value of AuditStatus.Enabled after auditctl -e 2.
const locked = 2

// list asks for the rules, which come as they are as well.
func list(k Kernel) ([]Rule, [][]byte, error) {
	raw, err := k.GetRules()
	if err != nil {
		return nil, nil, fmt.Errorf("the kernel's rules: %w", err)
	}
	rules, err := ParseAll(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("the kernel's rules: %w", err)
	}
	if raw == nil { // there are none, which is known then
		raw = [][]byte{}
	}
	return rules, raw, nil
}

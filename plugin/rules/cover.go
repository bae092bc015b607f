package rules

import (
	"path"
	"slices"
	"strings"

	"audisp-history/enrich/abi"
)

// cloneThread is CLONE_THREAD (include/uapi/linux/sched.h).
const cloneThread = 0x00010000

// unset is the login uid of whatever nobody logged in to start, auditd's plugins among them.
const unset = ^uint32(0)

// verdict is whether a rule matches all the events one asks about.
type verdict uint8

const (
	no    verdict = iota // none of them
	maybe                // some, depending on what is not known here
	yes                  // all
)

// all is the verdict on what must all be so.
func all(of []field, one func(*field) verdict) verdict {
	v := yes
	for i := range of {
		v = min(v, one(&of[i]))
	}
	return v
}

func whether(b bool) verdict {
	if b {
		return yes
	}
	return no
}

// compare is kernel/auditfilter.c: audit_comparator.
func compare(left, op, right uint32) bool {
	switch op {
	case opEqual:
		return left == right
	case opNotEqual:
		return left != right
	case opLess:
		return left < right
	case opLessEqual:
		return left <= right
	case opGreater:
		return left > right
	case opGreaterEqual:
		return left >= right
	case opBitMask:
		return left&right != 0
	case opBitTest:
		return left&right == right
	}
	return false
}

// A Hole is a group of system calls that are not recorded, or not all of them.
type Hole struct {
	ABI   string   // b64 or b32
	Calls []string // by name
	// Rule is the rule in the way: one that says never, or, if Never is not set, one that would record the calls but
	// for its conditions. Empty if no rule is about them at all.
	Rule  string
	Never bool
	// Partly: only some of the calls are missing: those that Rule's conditions are about.
	Partly bool
}

// Holes tells which of the wanted system calls the kernel will not record with these rules, given in its own order. The
// first rule that matches a call decides (kernel/auditsc.c: audit_filter_rules and its rule->prio), whatever its key.
func Holes(wanted []Want, rules []Rule) []Hole {
	var holes []Hole
	for i := range wanted {
		for _, h := range holesOf(&wanted[i], rules) {
			holes = group(holes, h)
		}
	}
	return holes
}

// group adds h to the hole that differs from it only in its calls.
func group(holes []Hole, h Hole) []Hole {
	for i := range holes {
		o := &holes[i]
		if o.ABI == h.ABI && o.Rule == h.Rule && o.Never == h.Never && o.Partly == h.Partly {
			o.Calls = append(o.Calls, h.Calls...)
			return holes
		}
	}
	return append(holes, h)
}

func holesOf(w *Want, rules []Rule) []Hole {
	var holes []Hole
	missing := Hole{ABI: w.ABI.Name, Calls: []string{w.Name}}
	for i := range rules {
		r := &rules[i]
		v := r.takes(w)
		switch {
		case v == no:
		case r.action == actionNever:
			holes = append(holes, Hole{missing.ABI, slices.Clone(missing.Calls), r.line, true, v == maybe || missing.Rule != ""})
			if v == yes {
				return holes
			}
		case v == yes:
			return holes // covered, but for what was taken away before
		case missing.Rule == "":
			missing.Rule, missing.Partly = r.line, true
		}
	}
	return append(holes, missing)
}

// takes tells whether the rule decides about w.
func (r *Rule) takes(w *Want) verdict {
	if r.list != listExit || r.action != actionNever && r.action != actionAlways || !r.about(w.Number) {
		return no
	}
	return all(r.fields, func(f *field) verdict { return f.matches(w) })
}

// matches tells whether the field matches when w happens and succeeds.
func (f *field) matches(w *Want) verdict {
	switch f.id {
	case fieldKey:
		return yes // it filters nothing
	case fieldArch:
		return whether(compare(w.ABI.Arch, f.op, f.value))
	case fieldSuccess: // its operator is not looked at (kernel/auditsc.c: audit_filter_rules)
		return whether(w.Call != abi.ExitGroup && f.value != 0)
	case fieldExit:
		switch w.Call {
		case abi.ExitGroup:
			return no // does not return, so there is nothing to compare
		case abi.Exec, abi.Unshare, abi.SetNS:
			return whether(compare(0, f.op, f.value))
		}
	case uint32(fieldArg0 + abi.CloneFlagsArg(w.ABI.Arch)):
		if w.Call == abi.Clone && f.threadsOnly() {
			return no // only clones that make processes are wanted
		}
	case fieldPerm: // kernel/auditsc.c: audit_match_perm
		if w.Call != abi.Exec || f.value&permExec == 0 {
			return no
		}
	}
	if f.ofFile() && w.Call != abi.Exec {
		return no // these calls name no file
	}
	return maybe
}

// ofFile tells whether the field is about the files that a call names.
func (f *field) ofFile() bool {
	switch f.id {
	case fieldWatch, fieldDir, fieldInode, fieldDevMajor, fieldDevMinor, fieldFileType, fieldObjUID, fieldObjGID:
		return true
	}
	return f.id >= fieldObjFirst && f.id <= fieldObjLast
}

func (f *field) threadsOnly() bool {
	return f.op == opBitMask && f.value == cloneThread || f.op == opBitTest && f.value&cloneThread != 0
}

// An Exclusion is a rule of the exclude list that keeps records from being written.
type Exclusion struct {
	Rule string
	// Types are those of the asked record types that it is about; Partly: not all of them, only those of some users,
	// programs or processes.
	Types  []uint16
	Partly bool
}

// Exclusions lists the rules that keep records of these types (AUDIT_SYSCALL …) from being written. Whatever their action
// says: the list excludes (kernel/auditfilter.c: audit_filter).
func Exclusions(types []uint16, rules []Rule) []Exclusion {
	var found []Exclusion
	for i := range rules {
		r := &rules[i]
		if r.list != listExclude || len(r.fields) == 0 {
			continue // without a field nothing matches
		}
		e := Exclusion{Rule: r.line}
		for _, t := range types {
			v := all(r.fields, func(f *field) verdict {
				if f.id == fieldMsgType {
					return whether(compare(uint32(t), f.op, f.value))
				}
				return maybe
			})
			if v != no {
				e.Types = append(e.Types, t)
				e.Partly = v == maybe
			}
		}
		if len(e.Types) > 0 {
			found = append(found, e)
		}
	}
	return found
}

// Watching returns the rules, as text, that record what a daemon on m does when it opens, renames or removes file, which
// is an absolute path.
func Watching(m Machine, file string, rules []Rule) []string {
	var found []string
	for i := range rules {
		r := &rules[i]
		if r.list == listExit && r.action == actionAlways && r.watches(m, path.Clean(file)) {
			found = append(found, r.line)
		}
	}
	return found
}

func (r *Rule) watches(m Machine, file string) bool {
	watched := false
	v := all(r.fields, func(f *field) verdict {
		switch f.id {
		case fieldDir:
			watched = true
			return whether(strings.HasPrefix(file+"/", strings.TrimSuffix(path.Clean(f.text), "/")+"/"))
		case fieldWatch:
			watched = true
			return whether(file == path.Clean(f.text))
		case fieldPerm: // the daemon opens for writing
			return whether(f.value&permWrite != 0)
		case fieldLoginUID:
			return whether(compare(unset, f.op, f.value))
		case fieldLoginUIDIs:
			return whether(compare(0, f.op, f.value))
		}
		return maybe
	})
	return watched && v != no && r.opens(m)
}

// opens tells whether the rule is about the call by which files are opened.
func (r *Rule) opens(m Machine) bool {
	for _, a := range m.ABIs[:1] { // the daemon's own
		for number := range maskBits {
			if r.about(number) && abi.Name(a.Arch, number) == "openat" {
				return true
			}
		}
	}
	return false
}

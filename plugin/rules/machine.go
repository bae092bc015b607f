// Package rules is about the kernel's audit rules: the ones that histories need, as files for auditctl, and what the
// rules that the kernel has make of them.
package rules

import (
	"fmt"
	"slices"

	"audisp-history/enrich/abi"
)

// An ABI is one way for programs to call the kernel. System calls have numbers of their own in each.
type ABI struct {
	Name string // what auditctl takes after arch=: b64 or b32
	Arch uint32 // AUDIT_ARCH_*, the value of the rule's field and of the record's arch=
}

// A Machine is an architecture with its ABIs, the wider one first.
type Machine struct {
	Name string // as Go names it
	ABIs []ABI
}

// machines holds the architectures whose system calls a rule can name and that auditctl knows. MIPS is not one of them:
// its numbers begin at 4000, a rule's mask ends at 2047.
var machines = []Machine{
	{"amd64", []ABI{{"b64", 0xc000003e}, {"b32", 0x40000003}}},
	{"386", []ABI{{"b32", 0x40000003}}},
	{"arm64", []ABI{{"b64", 0xc00000b7}, {"b32", 0x40000028}}},
	{"arm", []ABI{{"b32", 0x40000028}}},
	{"ppc64", []ABI{{"b64", 0x80000015}, {"b32", 0x00000014}}},
	{"ppc64le", []ABI{{"b64", 0xc0000015}}},
	{"riscv64", []ABI{{"b64", 0xc00000f3}}},
	{"s390x", []ABI{{"b64", 0x80000016}, {"b32", 0x00000016}}},
}

// ForGo is the machine of a GOARCH. The program must be built for the kernel's own architecture: a 32-bit build does
// not know of the other ABI.
func ForGo(goarch string) (Machine, error) {
	for _, m := range machines {
		if m.Name == goarch {
			return m, nil
		}
	}
	return Machine{}, fmt.Errorf("no audit rules are known for the architecture %s: histories need "+
		"rules for fork, exec and exit, which auditctl cannot write there", goarch)
}

// A Want is a system call that must be recorded, each time it succeeds.
type Want struct {
	ABI    ABI
	Call   abi.Call
	Name   string // of the system call: execveat, where Call is Exec
	Number int
}

// lifeCalls and execCalls are the calls of the early and of the late file.
var (
	lifeCalls = []abi.Call{abi.Fork, abi.VFork, abi.Clone, abi.Clone3, abi.Unshare, abi.SetNS, abi.ExitGroup}
	execCalls = []abi.Call{abi.Exec}
)

// Wanted lists what must be recorded on m, ABI by ABI. Of clone it is the calls that make a process, not the threads.
func (m Machine) Wanted() []Want {
	var all []Want
	for _, a := range m.ABIs {
		all = append(all, a.wanted(lifeCalls)...)
		all = append(all, a.wanted(execCalls)...)
	}
	return all
}

// x32First is where x32's own numbers begin in x86_64's table. Their calls come with bit 30 set, beyond every rule's
// mask (kernel/auditsc.c: audit_in_mask), so no rule can record them.
const (
	archX8664 = 0xc000003e
	x32First  = 512
)

// wanted lists the system calls of a that are one of calls, in the order of calls.
func (a ABI) wanted(calls []abi.Call) []Want {
	end := maskBits
	if a.Arch == archX8664 {
		end = x32First
	}
	var all []Want
	for number := range end {
		if call := abi.Lookup(a.Arch, number); slices.Contains(calls, call) {
			all = append(all, Want{a, call, abi.Name(a.Arch, number), number})
		}
	}
	slices.SortStableFunc(all, func(x, y Want) int {
		return slices.Index(calls, x.Call) - slices.Index(calls, y.Call)
	})
	return all
}

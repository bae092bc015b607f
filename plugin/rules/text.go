package rules

import (
	"fmt"
	"strconv"
	"strings"

	"audisp-history/enrich/abi"
)

// Key is the key of the rules. It is for people: events are never selected by it, because the kernel takes the first
// rule that matches, and that may be another one.
const Key = "history"

// A File is a file of rules as it stands in rules.d.
type File struct {
	Name string
	Text string
}

const lifeHead = `## audisp-history, 1 of 2: how processes are made, change namespaces and end.
## Early, because the kernel takes the first rule that matches.
## "audisp-history rules" prints this file; "audisp-history check" says whether
## the rules in force do what they should.

## A thread is no process. Its clone is told by CLONE_THREAD; clone3 hides its
## flags behind a pointer. 435 is clone3, a name that auditctl 2 does not know.
`

const exitHead = `
## No success= here: exit_group never returns, so the kernel has no result to
## compare, and the rule would never match.
`

const execHead = `## audisp-history, 2 of 2: which programs processes execute. Late, so that your
## own rules give their keys to the executions they are about: any rule that
## records an execution will do.
`

// A part is a group of the rules that histories need, in the order in which the kernel must try them.
type part uint8

const (
	threads part = iota // what is not wanted
	life
	ends
	execs // all before are early, these are late
)

// A need is one of those rules.
type need struct {
	part  part
	abi   ABI
	calls []Want
}

// needs lists the rules for m in the order of the files.
func (m Machine) needs() []need {
	var all []need
	for _, p := range []struct {
		part  part
		calls []abi.Call
	}{
		{threads, []abi.Call{abi.Clone}},
		{life, lifeCalls[:len(lifeCalls)-1]},
		{ends, lifeCalls[len(lifeCalls)-1:]},
		{execs, execCalls},
	} {
		for _, a := range m.ABIs {
			all = append(all, need{p.part, a, a.wanted(p.calls)})
		}
	}
	return all
}

// text is the rule as auditctl takes it, but for -a or -A before it.
func (n *need) text() string {
	action, end := "always", " -F success=1 -F key="+Key
	switch n.part {
	case threads:
		action, end = "never", fmt.Sprintf(" -F a%d&%#x", abi.CloneFlagsArg(n.abi.Arch), cloneThread)
	case ends:
		end = " -F key=" + Key
	}
	return fmt.Sprintf("%s,exit -F arch=%s -S %s%s", action, n.abi.Name, names(n.calls), end)
}

// Files makes the two files for m: one early, so that no other rule takes a fork or an exit away, and one late, so that
// other rules may have an exec under their own key.
func Files(m Machine) []File {
	var texts [execs + 1]strings.Builder
	for _, n := range m.needs() {
		fmt.Fprintf(&texts[n.part], "-a %s\n", n.text())
	}
	return []File{
		{"15-history.rules", lifeHead + texts[threads].String() + texts[life].String() + exitHead + texts[ends].String()},
		{"85-history-exec.rules", execHead + texts[execs].String()},
	}
}

// names joins the calls as auditctl takes them. clone3 is from 2019, after the last auditctl 2; a name that is not known
// makes it refuse the whole file, a number never does (auditctl.c: parse_syscall).
func names(wanted []Want) string {
	list := make([]string, len(wanted))
	for i, w := range wanted {
		list[i] = w.Name
		if w.Call == abi.Clone3 {
			list[i] = strconv.Itoa(w.Number)
		}
	}
	return strings.Join(list, ",")
}

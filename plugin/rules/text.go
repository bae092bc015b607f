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

// Files makes the two files for m: one early, so that no other rule takes a fork or an exit away, and one late, so that
// other rules may have an exec under their own key.
func Files(m Machine) []File {
	var life, ends, execs strings.Builder
	for _, a := range m.ABIs {
		fmt.Fprintf(&life, "-a never,exit -F arch=%s -S clone -F a%d&%#x\n", a.Name, abi.CloneFlagsArg(a.Arch), cloneThread)
	}
	for _, a := range m.ABIs {
		fmt.Fprintf(&life, "-a always,exit -F arch=%s -S %s -F success=1 -F key=%s\n",
			a.Name, names(a.wanted(lifeCalls[:len(lifeCalls)-1])), Key)
		fmt.Fprintf(&ends, "-a always,exit -F arch=%s -S exit_group -F key=%s\n", a.Name, Key)
		fmt.Fprintf(&execs, "-a always,exit -F arch=%s -S %s -F success=1 -F key=%s\n",
			a.Name, names(a.wanted(execCalls)), Key)
	}
	return []File{
		{"15-history.rules", lifeHead + life.String() + exitHead + ends.String()},
		{"85-history-exec.rules", execHead + execs.String()},
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

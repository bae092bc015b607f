package check

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/elastic/go-libaudit/v2/auparse"

	"audisp-history/plugin/rules"
)

// needed are the record types that histories cannot do without.
var needed = []uint16{
	uint16(auparse.AUDIT_SYSCALL),
	uint16(auparse.AUDIT_EOE),
	uint16(auparse.AUDIT_CONFIG_CHANGE),
}

const (
	install = "audisp-history rules --install"
	locked  = 2
)

func (j *judge) rules() {
	if !j.HaveRules {
		return
	}
	before := len(j.findings)
	for i := range j.Rules {
		if j.Rules[i].TaskNever() {
			j.found(Error, "task-never", "rule: "+j.Rules[i].String(),
				"tasks that begin while it is there are never audited, even when it is gone",
				"take it out of /etc/audit/rules.d (grep -rn 'task' /etc/audit/rules.d; often 10-no-audit.rules), augenrules --load, then reboot")
		}
	}
	for _, h := range rules.Holes(j.Machine.Wanted(), j.Rules) {
		j.hole(&h)
	}
	for _, e := range rules.Exclusions(needed, j.Rules) {
		j.exclusion(&e)
	}
	if j.Status != nil && j.Status.Enabled == locked && len(j.findings) > before {
		j.found(Error, "locked", "the rules are locked (enabled 2) as they are", "they cannot be changed before the next boot",
			"change the files in /etc/audit/rules.d ("+install+"), then reboot")
	}
}

func (j *judge) hole(h *rules.Hole) {
	calls := h.ABI + ": " + strings.Join(h.Calls, ", ")
	switch {
	case h.Never:
		what := calls + ": not recorded, because of the rule: " + h.Rule
		if h.Partly {
			what = calls + ": not always recorded, because of the rule: " + h.Rule
		}
		j.found(Error, "never-rule", what, "the kernel takes the first rule that matches, and this one says never",
			"take the rule out of /etc/audit/rules.d, or move it behind 85-history-exec.rules, then augenrules --load")
	case h.Partly:
		j.found(Error, "partly-covered", calls+": recorded only under the conditions of the rule: "+h.Rule,
			"histories need all of them, whoever does it and wherever", install)
	default:
		j.found(Error, "uncovered", calls+": not recorded by any rule",
			j.missing(h.ABI), install)
	}
}

// missing says why calls of an ABI count.
func (j *judge) missing(abi string) string {
	if len(j.Machine.ABIs) > 1 && abi != j.Machine.ABIs[0].Name {
		return "what 32-bit programs do is missing from the histories, and a 64-bit kernel runs them unless it is built without"
	}
	return "what these do is missing from the histories, also from those of all children"
}

func (j *judge) exclusion(e *rules.Exclusion) {
	names := make([]string, len(e.Types))
	for i, t := range e.Types {
		names[i] = auparse.AuditMessageType(t).String()
	}
	what := strings.Join(names, ", ") + ": never written, because of the rule: " + e.Rule
	why := "SYSCALL is what tells of forks, execs and exits, EOE that an event is complete, CONFIG_CHANGE that rules were removed"
	if e.Partly {
		what = strings.Join(names, ", ") + ": not written for some, because of the rule: " + e.Rule
		why = "whoever is excluded makes processes all the same; their children have no history"
	}
	j.found(Error, "excluded", what, why,
		"take the rule out of /etc/audit/rules.d (grep -rn 'exclude' /etc/audit/rules.d), then augenrules --load")
}

// number is s as a decimal number, 0 if it is none.
func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		return 0
	}
	return n
}

// mebibytes is for people.
func mebibytes(bytes uint64) string { return fmt.Sprintf("%d MiB", bytes>>20) }

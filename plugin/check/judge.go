package check

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"unicode"
)

// Judge makes findings of facts, the worst kind of thing first: what could not be asked, the kernel, auditd, the plugin,
// its files. None: all is well.
func Judge(f *Facts) []Finding {
	j := &judge{Facts: f}
	j.access()
	j.status()
	j.rules()
	j.boot()
	j.auditd()
	j.plugin()
	j.places()
	return j.findings
}

type judge struct {
	*Facts
	findings []Finding
}

// found adds a finding. Names out of files and rules are somebody else's text, and this goes to a terminal.
func (j *judge) found(severity Severity, id, problem, why, remedy string) {
	j.findings = append(j.findings, Finding{id, severity, printable(problem), printable(why), printable(remedy)})
}

func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return '?'
	}, s)
}

// access says what could not be asked.
func (j *judge) access() {
	err := j.KernelErr
	switch {
	case err == nil:
	case errors.Is(err, syscall.EPERM) && j.UID != 0:
		j.found(Warning, "not-root",
			fmt.Sprintf("not root (uid %d): the kernel's audit status and rules were not checked", j.UID),
			"only root may ask the kernel for them, and most of /etc/audit is root's, too; what is below is what could be checked",
			"run it as root: sudo audisp-history check")
	case errors.Is(err, syscall.EPROTONOSUPPORT), errors.Is(err, syscall.EAFNOSUPPORT), errors.Is(err, syscall.EINVAL):
		j.found(Error, "no-audit", "this kernel has no auditing: "+err.Error(),
			"all records come from the kernel's audit subsystem", "boot a kernel with CONFIG_AUDIT=y and CONFIG_AUDITSYSCALL=y")
	case j.bootedWithout():
		// boot says so
	default:
		j.found(Error, "no-answer", "the kernel's audit cannot be asked: "+err.Error(),
			"in a container, or without CAP_AUDIT_CONTROL, it does not answer; the host's audit is the one that counts",
			"run it on the host, as root with all capabilities")
	}
	if len(j.Unread) > 0 {
		remedy := "make sure that these can be read and run it again"
		if j.UID != 0 {
			remedy = "run it as root: sudo audisp-history check"
		}
		j.found(Warning, "unread", "not checked: "+strings.Join(j.Unread, "; "), "what cannot be read may stand in the way", remedy)
	}
}

// Bounds. Seen: a boot with a backlog of 8192 carries 8000 events to auditd without a hole; 2000 is auditd's own default.
const (
	leastBacklog = 8192
	leastQueue   = 2000
	leastFree    = 256 << 20
)

func (j *judge) status() {
	s := j.Status
	if s == nil {
		return
	}
	if s.Enabled == 0 {
		j.found(Error, "disabled", "auditing is disabled (enabled 0)", "the kernel records nothing",
			"auditctl -e 1, and see that no file in /etc/audit/rules.d says -e 0")
	}
	if s.BacklogLimit > 0 && s.BacklogLimit < leastBacklog { // 0 is no limit
		j.found(Warning, "backlog-limit", fmt.Sprintf("backlog_limit is %d, less than %d", s.BacklogLimit, leastBacklog),
			"while auditd is busy or restarted, the kernel keeps no more records than that; after it, programs wait and records are lost",
			fmt.Sprintf("-b %d in /etc/audit/rules.d/audit.rules, then augenrules --load", leastBacklog))
	}
	if s.RateLimit > 0 {
		j.found(Error, "rate-limit", fmt.Sprintf("rate_limit is %d", s.RateLimit),
			"the kernel throws away what comes faster than that many records a second",
			"auditctl -r 0, and take -r out of /etc/audit/rules.d")
	}
	if s.Lost > 0 {
		j.found(Warning, "lost", fmt.Sprintf("the kernel has lost %d records since it last counted from 0", s.Lost),
			"histories from then may have gaps; the plugin marks those it notices",
			"see to the other findings, then auditctl --reset-lost")
	}
	if s.PID == 0 && j.Auditd.Installed {
		j.found(Error, "auditd-stopped", "auditd is not running", "nobody takes the kernel's records to the plugin",
			"service auditd start, and systemctl enable auditd")
	}
}

// boot is about what comes before auditd.
func (j *judge) boot() {
	if j.CommandLine != nil {
		j.commandLine()
	}
	if a := &j.Journald; a.off() {
		what := fmt.Sprintf("%s: Audit=%s", a.From, a.Audit)
		if a.Default {
			what = fmt.Sprintf("systemd-journald's default here (%s) is Audit=%s", a.From, a.Audit)
		}
		j.found(Warning, "journald", what+": journald switches auditing off when it starts",
			"until auditd switches it on again, nothing is recorded: seconds of each boot",
			`printf '[Journal]\nAudit=yes\n' > /etc/systemd/journald.conf.d/90-audit.conf (make the directory first), then reboot`)
	}
}

// parameter is the last value of a kernel parameter; the kernel takes them in order.
func (j *judge) parameter(name string) (value string) {
	for _, word := range j.CommandLine {
		if v, found := strings.CutPrefix(word, name+"="); found {
			value = v
		}
	}
	return strings.Trim(value, `"`)
}

// bootedWithout tells whether audit=0 has switched auditing off for good (kernel/audit.c: audit_enable).
func (j *judge) bootedWithout() bool {
	v := strings.ToLower(j.parameter("audit"))
	return v == "0" || v == "off"
}

const bootRemedy = "add audit=1 audit_backlog_limit=8192 to the kernel command line " +
	"(GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub or grub2-mkconfig) and reboot"

func (j *judge) commandLine() {
	on := strings.ToLower(j.parameter("audit"))
	switch {
	case j.bootedWithout():
		j.found(Error, "boot-audit", "the kernel was booted with audit="+on, "that switches auditing off until the next boot",
			bootRemedy+", with audit="+on+" taken out")
		return
	case on != "1" && on != "on":
		j.found(Warning, "boot-audit", "the kernel command line has no audit=1",
			"tasks that begin before auditing is switched on are never audited, init among them: what they fork and execute is not recorded",
			bootRemedy)
		return
	}
	if limit := j.parameter("audit_backlog_limit"); number(limit) < leastBacklog {
		what := "no audit_backlog_limit: it is 64"
		if limit != "" {
			what = "audit_backlog_limit=" + limit
		}
		j.found(Warning, "boot-backlog", "the kernel command line has "+what,
			"records from before auditd starts wait in that backlog; a boot makes thousands", bootRemedy)
	}
}

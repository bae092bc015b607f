package record

import (
	"strconv"

	"github.com/elastic/go-libaudit/v2/auparse"
)

// A Kind says how a record takes part in its event. Only the types that matter to the history have one of their own.
type Kind uint8

// The kinds.
const (
	Unreadable   Kind = iota // not an audit record
	Other                    // a kernel record that belongs to an event or stands alone
	Syscall                  // SYSCALL
	Uring                    // URINGOP
	Target                   // OBJ_PID: the task a signal was sent to
	ConfigChange             // CONFIG_CHANGE
	Abend                    // ANOM_ABEND: a task dies of a signal that dumps core
	Title                    // PROCTITLE: the last record of an event but for EOE
	End                      // EOE: the end of an event, written to plugins only
	User                     // written by a trusted program through the kernel; an event of its own
	Daemon                   // written by auditd itself, with a serial of its own
)

// KindOf classifies a record by its type= value.
func KindOf(typ []byte) Kind {
	switch string(typ) {
	case "SYSCALL":
		return Syscall
	case "PROCTITLE":
		return Title
	case "EOE":
		return End
	case "PATH", "CWD", "EXECVE", "SOCKADDR", "BPRM_FCAPS":
		return Other
	case "OBJ_PID":
		return Target
	case "URINGOP":
		return Uring
	case "CONFIG_CHANGE":
		return ConfigChange
	case "ANOM_ABEND":
		return Abend
	}
	return kindOfNumber(number(typ))
}

// AUDIT_URINGOP is newer than some auditd: its record then comes as UNKNOWN[1336].
const uringOp = 1336

// kindOfNumber follows the ranges of include/uapi/linux/audit.h: 1100–1199 and 2100–2999 come from programs,
// 1200–1299 from auditd, all others from the kernel.
func kindOfNumber(n int) Kind {
	switch {
	case n == uringOp:
		return Uring
	case n == 1005, n >= 1100 && n < 1200, n >= 2100 && n < 3000:
		return User
	case n >= 1200 && n < 1300:
		return Daemon
	}
	return Other
}

// number is a type's number, 0 if the name is not known.
func number(typ []byte) int {
	const unknown = "UNKNOWN["
	if hasPrefixAt(typ, 0, unknown) && typ[len(typ)-1] == ']' {
		n, _ := strconv.Atoi(string(typ[len(unknown) : len(typ)-1]))
		return n
	}
	return typeNumbers[string(typ)]
}

var typeNumbers = func() map[string]int {
	m := make(map[string]int, 256)
	for n := auparse.AuditMessageType(1000); n < 3000; n++ {
		if name := n.String(); !hasPrefixAt([]byte(name), 0, "UNKNOWN") {
			m[name] = int(n)
		}
	}
	return m
}()

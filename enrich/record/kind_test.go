package record

import (
	"fmt"
	"testing"
)

func TestKindOf(t *testing.T) {
	for kind, types := range map[Kind][]string{
		Syscall:      {"SYSCALL"},
		Uring:        {"URINGOP", "UNKNOWN[1336]"},
		Target:       {"OBJ_PID"},
		ConfigChange: {"CONFIG_CHANGE"},
		Abend:        {"ANOM_ABEND"},
		Title:        {"PROCTITLE"},
		End:          {"EOE"},
		User: {"USER", "USER_AUTH", "USER_ACCT", "USER_MGMT", "CRED_ACQ", "CRED_DISP", "USER_START", "USER_END", "USER_CMD",
			"USER_LOGIN", "USER_TTY", "USER_AVC", "TRUSTED_APP", "SERVICE_START", "SERVICE_STOP", "SYSTEM_BOOT",
			"SYSTEM_SHUTDOWN", "SYSTEM_RUNLEVEL", "SOFTWARE_UPDATE", "ANOM_LOGIN_FAILURES", "RESP_ACCT_LOCK",
			"USER_ROLE_CHANGE", "CRYPTO_SESSION", "VIRT_CONTROL", "UNKNOWN[1100]", "UNKNOWN[1199]", "UNKNOWN[2100]",
			"UNKNOWN[2999]"},
		Daemon: {"DAEMON_START", "DAEMON_END", "DAEMON_ABORT", "DAEMON_CONFIG", "DAEMON_RECONFIG", "DAEMON_ROTATE",
			"DAEMON_RESUME", "DAEMON_ACCEPT", "DAEMON_CLOSE", "DAEMON_ERR", "UNKNOWN[1200]", "UNKNOWN[1299]"},
		Other: {"PATH", "CWD", "EXECVE", "SOCKADDR", "BPRM_FCAPS", "LOGIN", "IPC", "SOCKETCALL", "FD_PAIR", "TTY", "MMAP",
			"NETFILTER_CFG", "SECCOMP", "FEATURE_CHANGE", "KERN_MODULE", "FANOTIFY", "TIME_INJOFFSET", "BPF", "EVENT_LISTENER",
			"OPENAT2", "AVC", "SELINUX_ERR", "MAC_STATUS", "MAC_UNLBL_ALLOW", "ANOM_PROMISCUOUS", "ANOM_LINK", "INTEGRITY_DATA",
			"INTEGRITY_RULE", "KERNEL", "CAPSET", "UNKNOWN[1300]", "UNKNOWN[1337]", "UNKNOWN[1340]", "UNKNOWN[1399]",
			"UNKNOWN[1099]", "UNKNOWN[2099]", "UNKNOWN[3000]", "UNKNOWN[]", "UNKNOWN[", "UNKNOWN[x]", "UNKNOWN[1136",
			"UNKNOWN[99999999999999999999]", "UNKNOWN[-1136]", "syscall", "SYSCALL2", "SYSCAL", "", "\xff"},
	} {
		for _, typ := range types {
			if got := KindOf([]byte(typ)); got != kind {
				t.Errorf("KindOf(%q) = %d, want %d", typ, got, kind)
			}
		}
	}
}

// A program can send the kernel records of these types only (kernel/audit.c: audit_receive_msg), and none of them may
// be taken for what the kernel says.
func TestNoTypeOfAProgramIsTheKernels(t *testing.T) {
	for n := 1100; n < 3000; n++ {
		program := n < 1200 || n >= 2100
		typ := fmt.Sprintf("UNKNOWN[%d]", n)
		if got := KindOf([]byte(typ)); (got == User) != program {
			t.Errorf("KindOf(%s) = %d, a program's: %v", typ, got, program)
		}
	}
}

func TestKindOfAllocatesNothing(t *testing.T) {
	for _, typ := range []string{"SYSCALL", "USER_LOGIN", "DAEMON_START", "UNKNOWN[1340]", "NOT_KNOWN_TO_ANYONE", "LOGIN"} {
		b := []byte(typ)
		if n := testing.AllocsPerRun(100, func() { KindOf(b) }); n != 0 {
			t.Errorf("%s: %v allocations", typ, n)
		}
	}
}

// Package confine takes from the program what it does not need, so that an error in it is worth little to an attacker.
//
// [Apply] comes early, before the program makes or opens a file: it becomes the configured user, if there is one, and
// drops capabilities from all sets. Which ones stay, found by trying (seen, kernel 6.18; capabilities(7)):
//
//	CAP_SYS_PTRACE       PID/exe of other processes (fs/proc/base.c: proc_pid_readlink), and all of them where /proc is
//	                     mounted with hidepid=. Root has it only by this. [Enclose] drops it, see there.
//	CAP_AUDIT_CONTROL    asking the kernel for its rules and status, and restoring rules (kernel/audit.c:
//	                     audit_netlink_ok); only if Config.Rules says so. There is no lesser one for asking.
//	CAP_DAC_READ_SEARCH  auditd's log (0600) and configuration (0640), which belong to root: only for another user, or where
//	                     a path that is read is not root's.
//	CAP_DAC_OVERRIDE     only for root, and only where a path that is written is not root's.
//
// None is needed for stat, status, cmdline and comm of all processes, for root's own files, to send datagrams to /dev/log,
// or to give a file to a group that one is a member of, which Config.Groups sees to (without CAP_CHOWN). The bounding set loses all of them: it
// limits only what an exec could gain, and the program executes nothing.
//
// No new privileges can be gained by an exec (PR_SET_NO_NEW_PRIVS). The process is not dumpable: a core holds what all
// users executed, with its arguments, and another process of the same user could read it with ptrace. Its /proc/self then
// belongs to root, which hinders neither itself nor root.
//
// [Enclose] comes last, when all is open and the first look at /proc is taken. All system calls here are made by all
// threads at once, which Go's runtime does in a program without cgo only (syscall.AllThreadsSyscall).
package confine

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Config is what the program must be able to do.
type Config struct {
	// User is the user to become, a name or number of /etc/passwd, with its groups. Empty: the user it is.
	User string
	// Groups are the groups that files are given to. The process becomes a member of them.
	Groups []int
	// Rules tells that the kernel is asked for its audit rules and status.
	Rules bool
	// Paths are the files and directories that are used, for telling early which of them the user cannot use. A
	// directory that is written and is not there is about to be made; so is a file, and it comes with its directory.
	Paths []Path
}

// A Path is a file, or a directory with all that is in it.
type Path struct {
	Name  string // absolute
	Write bool   // written as well as read
}

// Apply does what the package says. Each notice is a line about what could not be done; without it the program is less
// confined, and works. The error is about what the user has asked for: no such user, or files that are not that user's.
// The process may then be half way: it should end.
func Apply(c Config) (notices []string, err error) {
	return apply(c, realKernel)
}

func apply(c Config, k kernel) ([]string, error) {
	who, err := lookup(c.User)
	if err != nil {
		return nil, err
	}
	a := applying{kernel: k, who: who}
	if errno := a.prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno == syscall.ENOTSUP {
		a.note("all privileges stay: this build uses cgo, with which they cannot be dropped; build with CGO_ENABLED=0")
		return a.notices, a.unable(errno)
	} else if errno != 0 {
		a.note("an exec may gain privileges: PR_SET_NO_NEW_PRIVS: %v", errno)
	}
	a.dropBounding()
	a.join(c.Groups)
	if err := a.become(); err != nil {
		return a.notices, err
	}
	if err := a.drop(&c); err != nil {
		return a.notices, err
	}
	// It belongs to the memory that all threads share, and a change of user sets it anew (kernel/cred.c: commit_creds).
	if _, errno := k.once(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0); errno != 0 {
		a.note("a crash may leave a core with audit data: PR_SET_DUMPABLE: %v", errno)
	}
	return a.notices, nil
}

// applying is an Apply under way.
type applying struct {
	kernel
	who     identity
	notices []string
}

func (a *applying) note(format string, args ...any) {
	a.notices = append(a.notices, fmt.Sprintf(format, args...))
}

// unable is the error for not becoming the user, nil if none was asked for.
func (a *applying) unable(err error) error {
	if !a.who.other {
		return nil
	}
	return fmt.Errorf("user %s: cannot become it: %w; start as root, or leave the user empty", a.who.name, err)
}

// join adds to the groups that the process will have.
func (a *applying) join(groups []int) {
	if a.who.other {
		a.who.groups = append(a.who.groups, groups...)
		return
	}
	has, err := syscall.Getgroups()
	missing := slices.DeleteFunc(slices.Clone(groups), func(gid int) bool { return gid == a.who.gid || slices.Contains(has, gid) })
	if err == nil && len(missing) > 0 {
		err = syscall.Setgroups(append(has, missing...))
	}
	if err != nil {
		a.note("files cannot be given to the groups %v: %v: it takes CAP_SETGID, which root has", missing, err)
	}
}

// become changes to the user and keeps what is permitted. What is effective is lost, and [applying.drop] sets it anew.
func (a *applying) become() error {
	if !a.who.other {
		return nil
	}
	if errno := a.prctl(unix.PR_SET_KEEPCAPS, 1, 0); errno != 0 {
		return a.unable(errno)
	}
	if err := errors.Join(syscall.Setgroups(a.who.groups), syscall.Setresgid(a.who.gid, a.who.gid, a.who.gid)); err != nil {
		return a.unable(err)
	}
	if err := syscall.Setresuid(a.who.uid, a.who.uid, a.who.uid); err != nil {
		return a.unable(err)
	}
	if errno := a.prctl(unix.PR_SET_KEEPCAPS, 0, 0); errno != 0 {
		return a.unable(errno)
	}
	return nil
}

// dropBounding empties what an exec could gain or hand on.
func (a *applying) dropBounding() {
	if errno := a.prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0); errno != 0 {
		a.note("ambient capabilities stay: %v", errno) // before Linux 4.3
	}
	for c := uintptr(0); c < 64; c++ {
		has, errno := a.once(unix.SYS_PRCTL, unix.PR_CAPBSET_READ, c, 0, 0)
		if errno != 0 {
			return // the kernel knows no more of them
		}
		if has == 0 {
			continue
		}
		if errno := a.prctl(unix.PR_CAPBSET_DROP, c, 0); errno != 0 {
			a.note("the bounding set of capabilities stays: %v: it takes CAP_SETPCAP, which root has", errno)
			return
		}
	}
}

// drop leaves the capabilities that are needed. Whether a path needs one is tried without it.
func (a *applying) drop(c *Config) error {
	had, errno := a.permitted()
	if errno != 0 {
		a.note("all capabilities stay: capget: %v", errno)
		return nil
	}
	keep := bit(unix.CAP_SYS_PTRACE)
	if c.Rules {
		keep |= bit(unix.CAP_AUDIT_CONTROL)
	}
	if a.who.uid != 0 {
		keep |= bit(unix.CAP_DAC_READ_SEARCH)
	}
	keep &= had
	if errno := a.setCapabilities(had, keep); errno != 0 {
		a.note("all capabilities stay: capset: %v", errno)
		return nil
	}
	extra, err := a.paths(c.Paths)
	if err != nil {
		return err
	}
	keep |= extra & had
	if errno := a.setCapabilities(keep, keep); errno != 0 {
		a.note("capabilities are only lowered, not dropped: capset: %v", errno)
	}
	return nil
}

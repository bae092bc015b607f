package confine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What is allowed beneath a path, of the rights in unix.LANDLOCK_ACCESS_FS_*. All others are denied everywhere: to
// execute, to make links, devices, FIFOs and sockets, to move files from one directory to another. Connecting to the
// socket of a path, as /dev/log, is not among what is handled here (LANDLOCK_ACCESS_FS_RESOLVE_UNIX, ABI 9).
const (
	readFile  = unix.LANDLOCK_ACCESS_FS_READ_FILE
	writeFile = readFile | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	readDir   = readFile | unix.LANDLOCK_ACCESS_FS_READ_DIR
	writeDir  = readDir | writeFile | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR
)

// logSameExecOff is LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF, ABI 7: what is denied makes no audit records. A look at
// /proc would make one for every process (security/landlock/task.c: hook_ptrace_access_check), and they would come
// back on standard input.
const logSameExecOff = 1

func flags(abi int) uintptr {
	if abi >= 7 {
		return logSameExecOff
	}
	return 0
}

// handled is all that a kernel can deny of what matters here.
func handled(abi int) uint64 {
	rights := uint64(unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1) // EXECUTE to MAKE_SYM, ABI 1
	if abi >= 2 {
		rights |= unix.LANDLOCK_ACCESS_FS_REFER // ABI 1 denies it always
	}
	if abi >= 3 {
		rights |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= 5 {
		rights |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	return rights
}

// landlockABI is the version of what the kernel has: ENOSYS or EOPNOTSUPP where Landlock is not built in or not switched on.
func landlockABI() (int, syscall.Errno) {
	abi, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	return int(abi), errno
}

// Enclose shuts the program into paths with Landlock (Linux 5.13 and later): for good, and it can only ever get tighter.
// Files that are open stay usable. [Apply] must have been called.
//
// A path that names a directory stands for all that is in it, now and later. One that names a file stands for that
// very file and not for another that takes its place, so for files that are replaced (/etc/resolv.conf, an output that is
// rotated) their directory has to be named. One that is missing is skipped.
//
// There is a price: Landlock keeps a process from looking into others outside (ptrace(2)), whatever its capabilities, and
// PID/exe of /proc counts as that (seen). Later looks at /proc have command lines, but no programs. CAP_SYS_PTRACE is of
// no use then and is dropped, which is a gain: with it, and no Landlock, a process is as good as root. Where /proc
// is mounted with hidepid=, all processes would vanish, so nothing is done there.
//
// The enclosure is nil if nothing was done, and a notice says why.
func Enclose(paths []Path) (*Enclosure, []string) {
	return enclose(paths, realKernel, "/proc/self/mountinfo")
}

func enclose(paths []Path, k kernel, mounts string) (*Enclosure, []string) {
	if hidden, err := hidesProcesses(mounts); err != nil || hidden {
		return nil, []string{"no Landlock: /proc is mounted with hidepid=, and would show nothing; mount it without"}
	}
	abi, errno := k.abi()
	if errno != 0 || abi < 1 {
		return nil, []string{fmt.Sprintf("no Landlock: %v: the kernel has none, or it is off (Linux 5.13, lsm=landlock,…)", errno)}
	}
	e := &Enclosure{}
	notices, err := e.restrict(paths, &k, abi)
	if err != nil {
		return nil, append(notices, fmt.Sprintf("no Landlock: %v", err))
	}
	if permitted, errno := k.permitted(); errno == 0 {
		permitted &^= bit(unix.CAP_SYS_PTRACE)
		if errno := k.setCapabilities(permitted, permitted); errno != 0 {
			notices = append(notices, fmt.Sprintf("CAP_SYS_PTRACE stays: capset: %v", errno))
		}
	}
	return e, notices
}

// hidesProcesses tells whether /proc shows processes only to those who may look into them (fs/proc/root.c: hidepid).
func hidesProcesses(mounts string) (bool, error) {
	text, err := os.ReadFile(mounts)
	if err != nil {
		return false, err
	}
	hidden := false
	for line := range bytes.Lines(text) { // ID PARENT DEVICE ROOT PLACE OPTIONS … - proc SOURCE OPTIONS
		fields := strings.Fields(string(line))
		if len(fields) > 5 && fields[4] == "/proc" {
			hidden = strings.Contains(fields[len(fields)-1], "hidepid=") // the last mount there is the one that is seen
		}
	}
	return hidden, nil
}

// restrict makes the rules and puts all threads under them.
func (e *Enclosure) restrict(paths []Path, k *kernel, abi int) (notices []string, err error) {
	attr := unix.LandlockRulesetAttr{Access_fs: handled(abi)}
	// Only the first word, which all kernels know (security/landlock/syscalls.c: copy_min_struct_from_user).
	//nolint:gosec // the kernel takes pointers
	fd, errno := k.once(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr.Access_fs), 0, 0)
	if errno != 0 {
		return nil, fmt.Errorf("landlock_create_ruleset: %w", errno)
	}
	ruleset := os.NewFile(fd, "landlock ruleset")
	defer ruleset.Close() //nolint:errcheck // nothing is written
	for _, p := range paths {
		err := e.allow(p, k, fd, attr.Access_fs)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			notices = append(notices, fmt.Sprintf("%s: is not there, so it cannot be used before auditd is restarted", p.Name))
		case err != nil:
			notices = append(notices, fmt.Sprintf("%s: cannot be used before auditd is restarted: %v", p.Name, err))
		}
	}
	if errno := k.all(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, flags(abi), 0); errno != 0 {
		return notices, fmt.Errorf("landlock_restrict_self: %w", errno)
	}
	return notices, nil
}

// allow adds a rule for what lies at a path.
func (e *Enclosure) allow(p Path, k *kernel, ruleset uintptr, handled uint64) error {
	file, err := os.OpenFile(p.Name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only its name was opened
	info, err := file.Stat()
	if err != nil {
		return err
	}
	rights := map[[2]bool]uint64{
		{false, false}: readFile, {false, true}: writeFile, {true, false}: readDir, {true, true}: writeDir,
	}[[2]bool{info.IsDir(), p.Write}]
	if err := addRule(k, ruleset, rights&handled, file.Fd()); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(p.Name)
	if err != nil {
		return err
	}
	e.places = append(e.places, place{real, p.Write, info})
	return nil
}

func addRule(k *kernel, ruleset uintptr, rights uint64, parent uintptr) error {
	// struct landlock_path_beneath_attr is packed, which Go's is not at its end; what is behind it is not read.
	attr := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(parent)}
	//nolint:gosec // the kernel takes pointers
	_, errno := k.once(unix.SYS_LANDLOCK_ADD_RULE, ruleset, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&attr)), 0)
	if errno != 0 {
		return fmt.Errorf("landlock_add_rule: %w", errno)
	}
	return nil
}

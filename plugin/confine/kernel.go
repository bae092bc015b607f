package confine

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A kernel makes system calls.
type kernel struct {
	// lacks says which calls fail, by the call and its first argument; nil but in tests.
	lacks func(trap, a1 uintptr) syscall.Errno
	// abi is how much of Landlock there is (see landlockABI).
	abi func() (int, syscall.Errno)
}

var realKernel = kernel{abi: landlockABI}

// all makes a call in every thread, and so in those to come, which inherit from the one that makes them. If it fails in
// the first thread it is made in no other (runtime: syscall_runtime_doAllThreadsSyscall).
//
//go:uintptrescapes
func (k *kernel) all(trap, a1, a2, a3 uintptr) syscall.Errno {
	if errno := k.lacking(trap, a1); errno != 0 {
		return errno
	}
	_, _, errno := syscall.AllThreadsSyscall6(trap, a1, a2, a3, 0, 0, 0)
	return errno
}

// once makes it in one thread.
//
//go:uintptrescapes
func (k *kernel) once(trap, a1, a2, a3, a4 uintptr) (uintptr, syscall.Errno) {
	if errno := k.lacking(trap, a1); errno != 0 {
		return 0, errno
	}
	r, _, errno := syscall.Syscall6(trap, a1, a2, a3, a4, 0, 0)
	return r, errno
}

func (k *kernel) lacking(trap, a1 uintptr) syscall.Errno {
	if k.lacks == nil {
		return 0
	}
	return k.lacks(trap, a1)
}

// prctl is prctl(2) in all threads. The kernel wants the arguments that an option does not take to be 0.
func (k *kernel) prctl(option, a2, a3 uintptr) syscall.Errno {
	return k.all(unix.SYS_PRCTL, option, a2, a3)
}

// A set holds capabilities by their numbers.
type set uint64

func bit(capability uint) set { return 1 << capability }

// capData is what capget and capset take: low and high words of the sets.
type capData [2]unix.CapUserData

// permitted is what this thread, and so every one, may have.
func (k *kernel) permitted() (set, syscall.Errno) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data capData
	//nolint:gosec // the kernel takes pointers
	_, errno := k.once(unix.SYS_CAPGET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data[0])), 0, 0)
	return set(data[1].Permitted)<<32 | set(data[0].Permitted), errno
}

// setCapabilities sets permitted and effective, and empties inheritable. The header's pid 0 is the calling thread.
func (k *kernel) setCapabilities(permitted, effective set) syscall.Errno {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := capData{
		{Permitted: uint32(permitted), Effective: uint32(effective)},
		{Permitted: uint32(permitted >> 32), Effective: uint32(effective >> 32)},
	}
	//nolint:gosec // the kernel takes pointers
	return k.all(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data[0])), 0)
}

// access is faccessat2(2) with the effective identity.
func (k *kernel) access(name string, mode uint32) syscall.Errno {
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		return syscall.EINVAL
	}
	here := unix.AT_FDCWD
	//nolint:gosec // the kernel takes pointers
	_, errno := k.once(unix.SYS_FACCESSAT2, uintptr(here), uintptr(unsafe.Pointer(path)), uintptr(mode), unix.AT_EACCESS)
	return errno
}

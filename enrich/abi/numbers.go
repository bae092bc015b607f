package abi

import (
	"maps"

	"github.com/elastic/go-libaudit/v2/auparse"
)

// generic is include/uapi/asm-generic/unistd.h, the table of every architecture that came after it: no fork, no vfork.
var generic = numbers(0, calls{"exit": 93, "exit_group": 94, "unshare": 97, "clone": 220, "execve": 221,
	"setns": 268, "execveat": 281, "clone3": 435})

// own holds the architectures of which go-libaudit v2.6.2 knows the name but not the calls, and the three of which
// it knows neither. Where the kernel only reserves clone3's number (ia64, alpha), the call fails and nothing comes
// of it. Architectures that left the kernel are cited as of the last version that had them.
var own = map[string]map[int]string{
	// Numbers of asm-generic; 32-bit ones differ from aarch64's in calls that are no transition.
	"c6x": generic, "c6xbe": generic, "h8300": generic, "nios2": generic, "loongarch32": generic, "riscv32": generic,

	// arch/alpha/kernel/syscalls/syscall.tbl
	"alpha": numbers(0, calls{"exit": 1, "fork": 2, "execve": 59, "vfork": 66, "clone": 312, "exit_group": 405,
		"unshare": 465, "setns": 501, "execveat": 513, "clone3": 545}),
	// arch/cris/include/uapi/asm/unistd.h (4.16)
	"cris": numbers(0, calls{"exit": 1, "fork": 2, "execve": 11, "clone": 120, "vfork": 190, "exit_group": 252,
		"unshare": 310, "setns": 335}),
	// arch/frv/include/uapi/asm/unistd.h (4.16)
	"frv": numbers(0, calls{"exit": 1, "fork": 2, "execve": 11, "clone": 120, "vfork": 190, "exit_group": 252,
		"unshare": 310, "setns": 337}),
	// arch/ia64/kernel/syscalls/syscall.tbl (6.6): "add 1024"; no fork, no vfork
	"ia64": numbers(1024, calls{"exit": 1, "execve": 9, "clone": 104, "clone2": 189, "exit_group": 212,
		"unshare": 272, "setns": 306, "execveat": 318, "clone3": 435}),
	// arch/m32r/include/uapi/asm/unistd.h (4.16)
	"m32r": numbers(0, calls{"exit": 1, "fork": 2, "execve": 11, "clone": 120, "vfork": 190, "exit_group": 252,
		"unshare": 310, "setns": 325}),
	// arch/m68k/kernel/syscalls/syscall.tbl
	"m68k": numbers(0, calls{"exit": 1, "fork": 2, "execve": 11, "clone": 120, "vfork": 190, "exit_group": 247,
		"unshare": 303, "setns": 344, "execveat": 355, "clone3": 435}),

	// arch/mips/kernel/syscalls/syscall_{o32,n64,n32}.tbl; arch/mips/include/uapi/asm/unistd.h: __NR_Linux is 4000,
	// 5000 and 6000. No vfork: libc makes it of clone.
	"mips": mipsO32, "mipsel": mipsO32, "mips64": mipsN64, "mipsel64": mipsN64, "mips64n32": mipsN32, "mipsel64n32": mipsN32,

	// arch/parisc/kernel/syscalls/syscall.tbl
	"parisc": pariscCalls, "parisc64": pariscCalls,
	// arch/sh/kernel/syscalls/syscall.tbl; arch/sh/include/uapi/asm/unistd_64.h (5.7)
	"sh": shCalls, "shel": shCalls, "sh64": sh64Calls, "shel64": sh64Calls,
	// arch/sparc/kernel/syscalls/syscall.tbl: execv is SunOS's, for 32-bit programs only
	"sparc": sparcCalls, "sparc64": sparcCalls,
}

var (
	mipsO32 = numbers(4000, calls{"exit": 1, "fork": 2, "execve": 11, "clone": 120, "exit_group": 246,
		"unshare": 303, "setns": 344, "execveat": 356, "clone3": 435})
	mipsN64 = numbers(5000, calls{"clone": 55, "fork": 56, "execve": 57, "exit": 58, "exit_group": 205,
		"unshare": 262, "setns": 303, "execveat": 316, "clone3": 435})
	mipsN32 = numbers(6000, calls{"clone": 55, "fork": 56, "execve": 57, "exit": 58, "exit_group": 205,
		"unshare": 266, "setns": 308, "execveat": 320, "clone3": 435})
	pariscCalls = numbers(0, calls{"exit": 1, "fork": 2, "execve": 11, "vfork": 113, "clone": 120, "exit_group": 222,
		"unshare": 288, "setns": 328, "execveat": 342, "clone3": 435})
	shCalls = numbers(0, calls{"exit": 1, "fork": 2, "execve": 11, "clone": 120, "vfork": 190, "exit_group": 252,
		"unshare": 310, "setns": 364, "execveat": 376, "clone3": 435})
	sh64Calls = numbers(0, calls{"exit": 1, "fork": 2, "execve": 11, "clone": 120, "vfork": 190, "exit_group": 280,
		"unshare": 338, "setns": 375, "execveat": 387})
	sparcCalls = numbers(0, calls{"exit": 1, "fork": 2, "execv": 11, "execve": 59, "vfork": 66, "exit_group": 188,
		"clone": 217, "unshare": 299, "setns": 337, "execveat": 350, "clone3": 435})
	// x32 replaces the calls whose arguments hold pointers to pointers (arch/x86/entry/syscalls/syscall_64.tbl, 512 on).
	x32Calls = numbers(0, calls{"execve": 520, "execveat": 545})
)

// calls is a table as it reads best; numbers turns it around.
type calls map[string]int

func numbers(base int, of calls) map[int]string {
	names := make(map[int]string, len(of))
	for name, number := range of {
		names[base+number] = name
	}
	return names
}

// build makes the tables of every architecture that go-libaudit names, and the three it does not.
func build() []table {
	archs := map[uint32]string{archAlpha: "alpha", archRISCV32: "riscv32", archRISCV64: "riscv64"}
	for arch, name := range auparse.AuditArchNames {
		archs[uint32(arch)] = name
	}
	all := make([]table, 0, len(archs))
	for arch, name := range archs {
		all = append(all, newTable(arch, name, namesOf(name)))
	}
	return all
}

// namesOf finds the table behind an architecture's name: some share one.
func namesOf(arch string) map[int]string {
	switch arch {
	case "armeb":
		// OABI calls come with their 0x900000 taken off (arch/arm/kernel/entry-common.S), EABI has none.
		return auparse.AuditSyscalls["arm"]
	case "riscv64", "loongarch64":
		return auparse.AuditSyscalls["aarch64"] // asm-generic as well, and 64 bits wide
	case "x86_64":
		names := maps.Clone(auparse.AuditSyscalls[arch])
		maps.Copy(names, x32Calls)
		return names
	}
	if names, found := auparse.AuditSyscalls[arch]; found {
		return names
	}
	return own[arch]
}

func newTable(arch uint32, name string, names map[int]string) table {
	t := table{arch: arch, name: name, names: names}
	low, high := -1, -1
	for number, name := range names {
		if callOf(name) == Other {
			continue
		}
		if low < 0 || number < low {
			low = number
		}
		high = max(high, number)
	}
	if low < 0 {
		return t
	}
	t.base, t.calls = low, make([]Call, high-low+1)
	for number, name := range names {
		if call := callOf(name); call != Other {
			t.calls[number-low] = call
		}
	}
	return t
}

func callOf(name string) Call {
	switch name {
	case "fork":
		return Fork
	case "vfork":
		return VFork
	case "clone", "clone2":
		return Clone
	case "clone3":
		return Clone3
	case "execve", "execveat", "execv":
		return Exec
	case "exit_group":
		return ExitGroup
	case "exit":
		return Exit
	case "unshare":
		return Unshare
	case "setns":
		return SetNS
	}
	return Other
}

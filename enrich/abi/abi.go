// Package abi says which transition a system call is.
//
// A number means nothing without its architecture: 59 is execve on x86_64, vfork's neighbour on others and
// oldolduname on i386. So the record's arch= decides first, then its syscall=. The numbers come from
// go-libaudit's tables where it has one and from the kernel's own (numbers.go) where it has not.
package abi

// Call is what a system call does to the set of processes.
type Call uint8

// The calls.
const (
	Other     Call = iota // nothing
	Fork                  // a child
	VFork                 // a child; the caller waits until it executes or ends
	Clone                 // a child or a thread; flags in an argument, see [CloneFlagsArg]. Also ia64's clone2
	Clone3                // a child or a thread; the flags are behind a pointer, so the record does not show them
	Exec                  // another program: execve, execveat, sparc's execv
	ExitGroup             // the end of the process
	Exit                  // the end of one thread
	Unshare               // namespaces left; flags are argument 0
	SetNS                 // another namespace; its type is argument 1, or 0
)

// String names the call as Linux does; Exec stands for all of its family.
func (c Call) String() string {
	switch c {
	case Fork:
		return "fork"
	case VFork:
		return "vfork"
	case Clone:
		return "clone"
	case Clone3:
		return "clone3"
	case Exec:
		return "execve"
	case ExitGroup:
		return "exit_group"
	case Exit:
		return "exit"
	case Unshare:
		return "unshare"
	case SetNS:
		return "setns"
	}
	return "other"
}

// AUDIT_ARCH_* values that this package must tell apart (include/uapi/linux/audit.h). The last three are not in
// go-libaudit v2.6.2.
const (
	archX8664   = 0xc000003e
	archS390    = 0x00000016
	archS390X   = 0x80000016
	archCRIS    = 0x4000004c
	archRISCV32 = 0x400000f3
	archRISCV64 = 0xc00000f3
	archAlpha   = 0xc0009026
)

// x32Bit marks a call of the x32 ABI, whose records carry x86_64's arch= (arch/x86/include/uapi/asm/unistd.h:
// __X32_SYSCALL_BIT; the entry code hands the number to audit with the bit in it).
const x32Bit = 0x40000000

// table is what is known of one architecture. It does not change after build.
type table struct {
	arch  uint32
	name  string
	base  int            // the number of calls[0]; MIPS and ia64 do not count from 0
	calls []Call         // dense from the lowest transition to the highest
	names map[int]string // at least the transitions
}

// tables is read only.
var tables = build()

// Lookup says which transition the call number is on arch, the value of the record's hexadecimal arch= field
// (AUDIT_ARCH_*); number is its syscall= field. An architecture or a number that is not known is Other.
//
// x86_64's and x32's numbers are both taken with and without x32's bit: they do not collide (x32's own begin at
// 512, arch/x86/entry/syscalls/syscall_64.tbl), kernels before 5.4 accept either form, later ones answer ENOSYS,
// and a call that failed is no transition anyway.
func Lookup(arch uint32, number int) Call {
	t := find(arch)
	if t == nil {
		return Other
	}
	if arch == archX8664 {
		number &^= x32Bit
	}
	if i := uint(number - t.base); i < uint(len(t.calls)) {
		return t.calls[i]
	}
	return Other
}

// CloneFlagsArg is the index of the argument that holds clone's flags: 1 where the kernel is built with
// CONFIG_CLONE_BACKWARDS2 (kernel/fork.c: clone; arch/s390/Kconfig, and arch/cris/Kconfig until 4.16), else 0.
func CloneFlagsArg(arch uint32) int {
	switch arch {
	case archS390, archS390X, archCRIS:
		return 1
	}
	return 0
}

// Name is the call's name for people, "" if it is not known. Where go-libaudit has no table of the architecture,
// only transitions have names.
func Name(arch uint32, number int) string {
	t := find(arch)
	if t == nil {
		return ""
	}
	if arch == archX8664 {
		number &^= x32Bit
	}
	return t.names[number]
}

// ArchName is the architecture's name as the audit tools write it ("x86_64", "i386", "aarch64"), "" if it is not
// known. x32 is an x86_64 here.
func ArchName(arch uint32) string {
	if t := find(arch); t != nil {
		return t.name
	}
	return ""
}

// slots leads from an architecture to its place in tables, plus one; 0 is none. It takes 4 ns where a
// binary search takes 11, and this runs for every record.
var slots = index(tables)

// slot is a number below 4096 that no two known architectures share: the three flags at the top of an AUDIT_ARCH_*
// value (64 bits, little endian, MIPS's n32) and the low nine bits of its ELF machine number.
func slot(arch uint32) uint32 { return arch>>29<<9 | arch&0x1ff }

func index(tables []table) *[1 << 12]uint8 {
	var slots [1 << 12]uint8
	for i := range tables {
		slots[slot(tables[i].arch)] = uint8(i + 1)
	}
	return &slots
}

func find(arch uint32) *table {
	i := int(slots[slot(arch)]) - 1
	if i < 0 || i >= len(tables) || tables[i].arch != arch {
		return nil
	}
	return &tables[i]
}

package abi

import (
	"slices"
	"testing"

	"github.com/elastic/go-libaudit/v2/auparse"
)

const (
	x8664       = 0xc000003e
	i386        = 0x40000003
	aarch64     = 0xc00000b7
	arm         = 0x40000028
	armeb       = 0x28
	ppc64le     = 0xc0000015
	ppc         = 0x14
	s390        = 0x16
	s390x       = 0x80000016
	riscv32     = 0x400000f3
	riscv64     = 0xc00000f3
	loongarch64 = 0xc0000102
	mips        = 0x8
	mipsel      = 0x40000008
	mipsel64    = 0xc0000008
	mips64n32   = 0xa0000008
	alpha       = 0xc0009026
	ia64        = 0xc0000032
	parisc      = 0xf
	sparc       = 0x2
	sparc64     = 0x8000002b
	sh64        = 0x8000002a
	m68k        = 0x4
	cris        = 0x4000004c
)

func TestLookup(t *testing.T) {
	type want map[int]Call
	for _, arch := range []struct {
		name  string
		arch  uint32
		calls want
	}{
		{"x86_64", x8664, want{56: Clone, 57: Fork, 58: VFork, 59: Exec, 60: Exit, 231: ExitGroup, 272: Unshare,
			308: SetNS, 322: Exec, 435: Clone3, 0: Other, 62: Other, 120: Other, 436: Other, -1: Other}},
		{"x32", x8664, want{x32Bit | 56: Clone, x32Bit | 57: Fork, x32Bit | 58: VFork, x32Bit | 60: Exit,
			x32Bit | 231: ExitGroup, x32Bit | 272: Unshare, x32Bit | 308: SetNS, x32Bit | 435: Clone3,
			x32Bit | 520: Exec, x32Bit | 545: Exec, x32Bit | 519: Other, x32Bit | 546: Other}},
		{"x32 on a kernel before 5.4", x8664, want{520: Exec, 545: Exec, x32Bit | 59: Exec, x32Bit | 322: Exec}},
		{"i386", i386, want{1: Exit, 2: Fork, 11: Exec, 120: Clone, 190: VFork, 252: ExitGroup, 310: Unshare,
			346: SetNS, 358: Exec, 435: Clone3, 59: Other, 56: Other, x32Bit | 2: Other}},
		{"aarch64", aarch64, want{93: Exit, 94: ExitGroup, 97: Unshare, 220: Clone, 221: Exec, 268: SetNS, 281: Exec,
			435: Clone3, 57: Other, 58: Other, 2: Other, 0: Other}},
		{"arm", arm, want{1: Exit, 2: Fork, 11: Exec, 120: Clone, 190: VFork, 248: ExitGroup, 337: Unshare, 375: SetNS,
			387: Exec, 435: Clone3}},
		{"armeb", armeb, want{1: Exit, 2: Fork, 11: Exec, 120: Clone, 190: VFork, 248: ExitGroup, 337: Unshare, 375: SetNS,
			387: Exec, 435: Clone3}},
		{"ppc64le", ppc64le, want{1: Exit, 2: Fork, 11: Exec, 120: Clone, 189: VFork, 190: Other, 234: ExitGroup,
			282: Unshare, 350: SetNS, 362: Exec, 435: Clone3}},
		{"ppc", ppc, want{2: Fork, 11: Exec, 120: Clone, 189: VFork, 234: ExitGroup, 435: Clone3}},
		{"s390x", s390x, want{1: Exit, 2: Fork, 11: Exec, 120: Clone, 190: VFork, 248: ExitGroup, 303: Unshare,
			339: SetNS, 354: Exec, 435: Clone3}},
		{"s390", s390, want{2: Fork, 11: Exec, 120: Clone, 190: VFork, 248: ExitGroup, 435: Clone3}},
		{"riscv64", riscv64, want{93: Exit, 94: ExitGroup, 97: Unshare, 220: Clone, 221: Exec, 268: SetNS, 281: Exec, 435: Clone3}},
		{"riscv32", riscv32, want{93: Exit, 94: ExitGroup, 97: Unshare, 220: Clone, 221: Exec, 268: SetNS, 281: Exec, 435: Clone3}},
		{"loongarch64", loongarch64, want{93: Exit, 94: ExitGroup, 220: Clone, 221: Exec, 281: Exec, 435: Clone3}},
		{"mips o32", mips, want{4001: Exit, 4002: Fork, 4011: Exec, 4120: Clone, 4246: ExitGroup, 4303: Unshare, 4344: SetNS,
			4356: Exec, 4435: Clone3, 11: Other, 5057: Other}},
		{"mipsel o32", mipsel, want{4002: Fork, 4011: Exec}},
		{"mips64 n64", mipsel64, want{5055: Clone, 5056: Fork, 5057: Exec, 5058: Exit, 5205: ExitGroup, 5262: Unshare,
			5303: SetNS, 5316: Exec, 5435: Clone3, 57: Other, 4011: Other}},
		{"mips64 n32", mips64n32, want{6055: Clone, 6056: Fork, 6057: Exec, 6058: Exit, 6205: ExitGroup, 6266: Unshare,
			6308: SetNS, 6320: Exec, 6435: Clone3, 5057: Other}},
		{"alpha", alpha, want{2: Fork, 59: Exec, 66: VFork, 312: Clone, 405: ExitGroup, 465: Unshare, 501: SetNS, 513: Exec,
			435: Other, 545: Clone3}},
		{"ia64 with clone2", ia64, want{1025: Exit, 1033: Exec, 1128: Clone, 1213: Clone, 1236: ExitGroup, 1342: Exec}},
		{"parisc", parisc, want{2: Fork, 11: Exec, 113: VFork, 120: Clone, 190: Other, 222: ExitGroup, 342: Exec}},
		{"sparc with execv", sparc, want{2: Fork, 11: Exec, 59: Exec, 66: VFork, 188: ExitGroup, 217: Clone, 350: Exec, 435: Clone3}},
		{"sparc64", sparc64, want{2: Fork, 59: Exec, 66: VFork, 188: ExitGroup, 217: Clone, 299: Unshare, 337: SetNS}},
		{"sh64", sh64, want{2: Fork, 11: Exec, 190: VFork, 252: Other, 280: ExitGroup, 387: Exec}},
		{"m68k", m68k, want{2: Fork, 11: Exec, 190: VFork, 247: ExitGroup, 355: Exec}},
		{"an unknown architecture", 0xdeadbeef, want{59: Other, 11: Other, 221: Other}},
		{"no architecture", 0, want{59: Other}},
		{"an unknown architecture in x86_64's slot", 0xc000023e, want{59: Other}},
		{"above the highest", 0xffffffff, want{59: Other}},
	} {
		t.Run(arch.name, func(t *testing.T) {
			for number, want := range arch.calls {
				if got := Lookup(arch.arch, number); got != want {
					t.Errorf("Lookup(%x, %d) = %v, want %v", arch.arch, number, got, want)
				}
			}
		})
	}
}

// has lists the calls that an architecture's table leads to.
func has(arch uint32) []Call {
	var found []Call
	for number := -10; number < 8000; number++ {
		if call := Lookup(arch, number); call != Other {
			found = append(found, call)
		}
	}
	return found
}

// TestEveryArchitecture would notice an architecture that a newer go-libaudit names and this package cannot read.
func TestEveryArchitecture(t *testing.T) {
	archs := map[uint32]string{riscv32: "riscv32", riscv64: "riscv64", alpha: "alpha"}
	for arch, name := range auparse.AuditArchNames {
		archs[uint32(arch)] = name
	}
	if len(archs) != len(tables) {
		t.Errorf("%d tables, want %d", len(tables), len(archs))
	}
	// Left the kernel before execveat (3.19) or clone3 (5.3) reached them.
	noClone3 := []string{"cris", "frv", "m32r", "sh64", "shel64"}
	noExecveat := []string{"cris", "frv", "m32r"}
	for arch, name := range archs {
		t.Run(name, func(t *testing.T) {
			if got := ArchName(arch); got != name {
				t.Errorf("ArchName(%x) = %q, want %q", arch, got, name)
			}
			found := has(arch)
			want := []Call{Clone, Exec, ExitGroup, Exit, Unshare, SetNS}
			if !slices.Contains(noClone3, name) {
				want = append(want, Clone3)
			}
			for _, call := range want {
				if !slices.Contains(found, call) {
					t.Errorf("%s has no %v", name, call)
				}
			}
			if slices.Contains(noExecveat, name) {
				return
			}
			if !hasName(arch, "execveat") {
				t.Errorf("%s has no execveat", name)
			}
		})
	}
}

func hasName(arch uint32, name string) bool {
	for number := range 8000 {
		if Name(arch, number) == name {
			return true
		}
	}
	return false
}

func TestArchitecturesDoNotShareASlot(t *testing.T) {
	taken := map[uint32]string{}
	for _, table := range tables {
		if other, found := taken[slot(table.arch)]; found {
			t.Errorf("%s (%x) and %s share slot %d: one of them is not found", table.name, table.arch, other, slot(table.arch))
		}
		taken[slot(table.arch)] = table.name
	}
	if len(tables) > 255 {
		t.Errorf("%d tables do not fit the slots' uint8", len(tables))
	}
}

func TestCloneFlagsArg(t *testing.T) {
	for _, c := range []struct {
		name string
		arch uint32
		want int
	}{
		{"x86_64", x8664, 0}, {"aarch64", aarch64, 0}, {"ia64", ia64, 0},
		{"s390", s390, 1}, {"s390x", s390x, 1}, {"cris", cris, 1}, {"unknown", 7, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := CloneFlagsArg(c.arch); got != c.want {
				t.Errorf("CloneFlagsArg(%x) = %d, want %d", c.arch, got, c.want)
			}
		})
	}
}

func TestName(t *testing.T) {
	for _, c := range []struct {
		name   string
		arch   uint32
		number int
		want   string
	}{
		{"a call of go-libaudit's table", x8664, 62, "kill"},
		{"x32, shared number", x8664, x32Bit | 62, "kill"},
		{"x32, its own number", x8664, x32Bit | 520, "execve"},
		{"riscv64 reads aarch64's table", riscv64, 129, "kill"},
		{"our own table", sparc, 11, "execv"},
		{"our own table, no transition", sparc, 37, ""},
		{"unknown number", x8664, 100000, ""},
		{"unknown architecture", 0xdeadbeef, 59, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Name(c.arch, c.number); got != c.want {
				t.Errorf("Name(%x, %d) = %q, want %q", c.arch, c.number, got, c.want)
			}
		})
	}
	if got := ArchName(0xdeadbeef); got != "" {
		t.Errorf("ArchName of an unknown architecture = %q, want nothing", got)
	}
}

func TestCallNames(t *testing.T) {
	for call := Fork; call <= SetNS; call++ {
		if got := callOf(call.String()); got != call {
			t.Errorf("%d is called %q, which is read as %v", call, call, got)
		}
	}
	if got := Other.String(); got != "other" {
		t.Errorf("Other is called %q", got)
	}
}

func TestNoAllocations(t *testing.T) {
	sum := 0
	allocs := testing.AllocsPerRun(100, func() {
		sum += int(Lookup(x8664, 59)) + int(Lookup(mips, 4011)) + CloneFlagsArg(s390x) + len(Name(x8664, 62)) + len(ArchName(arm))
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, c := range []struct {
		name   string
		arch   uint32
		number int
	}{{"x86_64/execve", x8664, 59}, {"x86_64/openat", x8664, 257}, {"aarch64/clone", aarch64, 220}, {"unknown", 0xdeadbeef, 1}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			sum := 0
			for b.Loop() {
				sum += int(Lookup(c.arch, c.number))
			}
			_ = sum
		})
	}
}

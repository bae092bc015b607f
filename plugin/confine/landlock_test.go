package confine

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func needsLandlock(t *testing.T) {
	t.Helper()
	needsRoot(t)
	if abi, errno := landlockABI(); errno != 0 || abi < 3 {
		t.Skipf("this kernel has no Landlock, or an old one: ABI %d, %v", abi, errno)
	}
}

func TestEnclosed(t *testing.T) {
	needsLandlock(t)
	log := file(t, 0, 0o600)
	state, outside := filepath.Dir(file(t, 0, 0o600)), filepath.Dir(file(t, 0, 0o600))
	logs := filepath.Dir(log)
	others := sleeper(t, 0)
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: outside + "/log", Net: "unixgram"})
	must(t, err)
	defer socket.Close()

	works := []string{
		"read " + log, "list " + logs, "write " + state + "/new", "replace " + state + "/file", "mkdir " + state + "/a/b", "write " + state + "/a/b/c",
		"remove " + state + "/a", "list " + state, "read " + others + "/stat", "read " + others + "/cmdline", "read /proc/uptime",
		"send " + outside + "/log", "netlink", "self", "dumpable",
	}
	fails := []string{
		"write " + log, "replace " + log, "remove " + log, "mkdir " + logs + "/new", "read " + outside + "/file", "list " + outside,
		"write " + outside + "/file", "write " + outside + "/new", "symlink " + state + "/link", "read /etc/passwd", "list /", "run /bin/true",
		"link " + others + "/exe",
	}
	got := tell(t, "enclose", input{
		Config: Config{Rules: true},
		Paths:  []Path{{"/proc", false}, {logs, false}, {state, true}},
		Try:    append(works, fails...),
	})
	got.quiet(t)
	got.works(t, works...)
	got.fails(t, fails...)
	got.all(t, "CapEff", "0000000040000000")
	got.all(t, "CapPrm", "0000000040000000")
	got.all(t, "NoNewPrivs", "1")
}

// A single file may be named, and nothing beside it can be used then.
func TestEnclosedWithFiles(t *testing.T) {
	needsLandlock(t)
	readable, writable := file(t, 0, 0o600), file(t, 0, 0o600)
	got := tell(t, "enclose", input{
		Paths: []Path{{readable, false}, {writable, true}, {"/proc", false}},
		Try: []string{"read " + readable, "read " + writable, "write " + writable, "write " + readable,
			"list " + filepath.Dir(readable), "write " + writable + ".1", "replace " + writable},
	})
	got.quiet(t)
	got.works(t, "read "+readable, "read "+writable, "write "+writable)
	got.fails(t, "write "+readable, "list "+filepath.Dir(readable), "write "+writable+".1", "replace "+writable)
}

func TestEnclosedAsOtherUser(t *testing.T) {
	needsLandlock(t)
	log, secret, state := file(t, 0, 0o600), file(t, 0, 0o600), filepath.Dir(file(t, nobody, 0o600))
	got := tell(t, "enclose", input{
		Config: Config{User: "nobody"},
		Paths:  []Path{{"/proc", false}, {filepath.Dir(log), false}, {state, true}},
		Try:    []string{"read " + log, "write " + state + "/new", "read " + secret},
	})
	got.quiet(t)
	got.works(t, "read "+log, "write "+state+"/new")
	got.fails(t, "read "+secret)
	got.all(t, "CapEff", "0000000000000004")
}

func TestEnclosedMissingPath(t *testing.T) {
	needsLandlock(t)
	state := filepath.Dir(file(t, 0, 0o600))
	got := tell(t, "enclose", input{
		Paths: []Path{{"/proc", false}, {"/no/such/directory", true}, {state, true}},
		Try:   []string{"write " + state + "/new"},
	})
	got.says(t, "/no/such/directory: is not there")
	if len(got.Notices) != 1 || got.Err != "" {
		t.Errorf("says %q, error %q", got.Notices, got.Err)
	}
	got.works(t, "write "+state+"/new")
}

// What the kernel lacks or refuses leaves the program as it was, with one line.
func TestNotEnclosed(t *testing.T) {
	needsRoot(t)
	other := file(t, 0, 0o600)
	for _, trap := range []uintptr{unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_RESTRICT_SELF} {
		for _, errno := range []syscall.Errno{syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.EPERM} {
			got := tell(t, "enclose", input{
				Paths: []Path{{"/proc", false}}, Lacks: []lack{{trap, anyOp, errno}}, Try: []string{"write " + other},
			})
			got.says(t, "no Landlock: ")
			got.says(t, errno.Error())
			if len(got.Notices) != 1 || got.Err != "not enclosed" {
				t.Errorf("says %q, error %q", got.Notices, got.Err)
			}
			got.works(t, "write "+other)
			got.all(t, "CapEff", ptraceOnly)
		}
	}
}

// A probe that finds nothing ends it, and so does a /proc in which all others would vanish. Nothing of this process changes.
func TestNothingToEncloseWith(t *testing.T) {
	none := realKernel
	none.abi = func() (int, syscall.Errno) { return 0, syscall.EOPNOTSUPP }
	e, notices := enclose([]Path{{"/proc", false}}, none, "/proc/self/mountinfo")
	if e != nil || len(notices) != 1 || !strings.Contains(notices[0], "no Landlock: operation not supported") {
		t.Errorf("%v, says %q", e, notices)
	}
	mounts := filepath.Join(t.TempDir(), "mountinfo")
	const hidden = "22 1 0:20 / /proc rw,relatime - proc proc rw,gid=4,hidepid=invisible\n"
	for text, hides := range map[string]bool{
		hidden: true,
		"22 1 0:20 / /proc rw,relatime - proc proc rw,hidepid=2\n":                         true,
		hidden + "30 22 0:21 / /proc rw,relatime shared:7 - proc proc rw\n":                false, // mounted over it
		"22 1 0:20 / /proc rw - proc proc rw\n23 1 0:20 / /x/proc rw - proc p hidepid=2\n": false,
		"garbage\n": false,
	} {
		must(t, os.WriteFile(mounts, []byte(text), 0o600))
		got, err := hidesProcesses(mounts)
		must(t, err)
		if got != hides {
			t.Errorf("%q: %t", text, got)
		}
	}
	must(t, os.WriteFile(mounts, []byte(hidden), 0o600))
	e, notices = enclose([]Path{{"/proc", false}}, realKernel, mounts)
	if e != nil || len(notices) != 1 || !strings.Contains(notices[0], "hidepid") {
		t.Errorf("%v, says %q", e, notices)
	}
}

// Older kernels know fewer rights, and refuse what they do not know (include/uapi/linux/landlock.h).
func TestRightsByABI(t *testing.T) {
	for abi, want := range map[int]uint64{1: 0x1fff, 2: 0x3fff, 3: 0x7fff, 4: 0x7fff, 5: 0xffff, 7: 0xffff, 99: 0xffff} {
		if got := handled(abi); got != want {
			t.Errorf("ABI %d: %#x, want %#x", abi, got, want)
		}
		if quiet := flags(abi) == logSameExecOff; quiet != (abi >= 7) {
			t.Errorf("ABI %d: quiet: %t", abi, quiet)
		}
	}
}

// Each version of the past is asked for from this kernel, which knows them all.
func TestOlderABIs(t *testing.T) {
	needsLandlock(t)
	for _, abi := range []string{"1", "2", "3", "5"} {
		state, outside := filepath.Dir(file(t, 0, 0o600)), file(t, 0, 0o600)
		got := tell(t, "abi "+abi, input{
			Paths: []Path{{"/proc", false}, {state, true}},
			Try:   []string{"replace " + state + "/file", "write " + outside, "write " + state + "/x"},
		})
		got.quiet(t)
		got.works(t, "replace "+state+"/file", "write "+state+"/x")
		got.fails(t, "write "+outside)
	}
}

func init() {
	for name, abi := range map[string]int{"1": 1, "2": 2, "3": 3, "5": 5} {
		stories["abi "+name] = func(in input) told {
			k := realKernel
			k.abi = func() (int, syscall.Errno) { return abi, 0 }
			if _, err := apply(Config{}, k); err != nil {
				return told{Err: err.Error()}
			}
			e, notices := enclose(in.Paths, k, "/proc/self/mountinfo")
			if e == nil {
				return told{Err: "not enclosed", Notices: notices}
			}
			return told{Notices: notices, Did: try(in.Try)}
		}
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"log", "state", "other"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o700))
	}
	must(t, os.WriteFile(dir+"/conf", nil, 0o600))
	must(t, os.WriteFile(dir+"/gone", nil, 0o600))
	must(t, os.Symlink(dir+"/state", dir+"/link"))
	must(t, os.Symlink(dir+"/other", dir+"/state/out"))
	e := &Enclosure{}
	for _, p := range []Path{{dir + "/log", false}, {dir + "/state", true}, {dir + "/conf", false}, {dir + "/gone", true}} {
		info, err := os.Stat(p.Name)
		must(t, err)
		e.places = append(e.places, place{resolve(p.Name), p.Write, info})
	}
	must(t, os.WriteFile(dir+"/new", nil, 0o600))
	must(t, os.Rename(dir+"/new", dir+"/gone"))
	for _, c := range []struct {
		path Path
		says string
	}{
		{Path{dir + "/log/audit.log", false}, ""},
		{Path{dir + "/log/audit.log", true}, "may only be read"},
		{Path{dir + "/state", true}, ""},
		{Path{dir + "/state/a/b/c", true}, ""},
		{Path{dir + "/link/new", true}, ""},
		{Path{dir + "/state/out/new", true}, "lies outside"},
		{Path{dir + "/state/../other", false}, "lies outside"},
		{Path{dir + "/statement", true}, "lies outside"},
		{Path{dir + "/conf", false}, ""},
		{Path{dir + "/gone", true}, "lies outside"}, // another file by that name
		{Path{"/", false}, "lies outside"},
	} {
		err := e.Check(c.path)
		if (err == nil) != (c.says == "") || err != nil && !strings.HasPrefix(err.Error(), c.path.Name+": "+c.says) {
			t.Errorf("%v: %v, want %q", c.path, err, c.says)
		}
		if err != nil && !strings.Contains(err.Error(), "restart auditd") {
			t.Errorf("%v: no remedy: %v", c.path, err)
		}
	}
	if err := (*Enclosure)(nil).Check(Path{"/anywhere", true}); err != nil {
		t.Errorf("not enclosed: %v", err)
	}
}

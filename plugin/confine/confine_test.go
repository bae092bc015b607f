package confine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/elastic/go-libaudit/v2"
	"golang.org/x/sys/unix"
)

// askKernel asks for status and rules, which changes nothing.
func askKernel() error {
	c, err := libaudit.NewAuditClient(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.GetStatus(); err != nil {
		return err
	}
	_, err = c.GetRules()
	return err
}

// The capabilities as /proc writes them.
const (
	none       = "0000000000000000"
	ptraceOnly = "0000000000080000"
	nobody     = 65534
)

// file makes one with content, of that owner and mode; open tells that everybody may pass through its directories.
func file(t *testing.T, uid int, mode os.FileMode) string {
	t.Helper()
	dir := filepath.Join(open(t), "d")
	must(t, os.Mkdir(dir, 0o700))
	name := filepath.Join(dir, "file")
	must(t, os.WriteFile(name, []byte("x"), mode))
	must(t, os.Chown(name, uid, uid))
	must(t, os.Chown(dir, uid, uid))
	return name
}

// open is a temporary directory that everybody may pass through.
func open(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	return dir
}

func TestRootDropsAllButPtrace(t *testing.T) {
	needsRoot(t)
	own, roots, others := file(t, 0, 0o600), sleeper(t, 0), sleeper(t, nobody)
	got := tell(t, "apply", input{Config: Config{Paths: []Path{{filepath.Dir(own), true}, {"/proc", false}}}, Try: []string{
		"read " + own, "write " + own, "link " + roots + "/exe", "link " + others + "/exe", "read " + others + "/cmdline",
		"netlink", "self", "dumpable"}})
	got.quiet(t)
	for _, name := range []string{"CapEff", "CapPrm"} {
		got.all(t, name, ptraceOnly)
	}
	for _, name := range []string{"CapBnd", "CapInh", "CapAmb"} {
		got.all(t, name, none)
	}
	got.all(t, "NoNewPrivs", "1")
	got.all(t, "Seccomp", "0")
	got.all(t, "Uid", "0 0 0 0")
	got.works(t, "read "+own, "write "+own, "link "+roots+"/exe", "link "+others+"/exe", "read "+others+"/cmdline", "self", "dumpable")
	got.fails(t, "netlink") // Rules is not set
}

func TestRulesKeepAuditControl(t *testing.T) {
	needsRoot(t)
	got := tell(t, "apply", input{Config: Config{Rules: true}, Try: []string{"netlink"}})
	got.quiet(t)
	got.all(t, "CapEff", "0000000040080000")
	got.works(t, "netlink")
}

// What root has no part in is another's file: it could be read and written before only because root may do anything.
func TestRootWithoutPowerOverFilesOfOthers(t *testing.T) {
	needsRoot(t)
	others := file(t, nobody, 0o600)
	got := tell(t, "apply", input{Try: []string{"read " + others, "write " + others}})
	got.quiet(t)
	got.fails(t, "read "+others, "write "+others)
}

func TestRootKeepsPowerOverFilesItIsToldOf(t *testing.T) {
	needsRoot(t)
	others := file(t, nobody, 0o600)
	dir := filepath.Dir(others)
	for _, c := range []struct {
		path       Path
		capability string
		caps       string
	}{
		{Path{others, false}, "CAP_DAC_READ_SEARCH", "0000000000080004"},
		{Path{others, true}, "CAP_DAC_OVERRIDE", "0000000000080002"},
		{Path{dir, true}, "CAP_DAC_OVERRIDE", "0000000000080002"},
	} {
		for _, lacks := range [][]lack{nil, {{unix.SYS_FACCESSAT2, anyOp, syscall.ENOSYS}}} { // before Linux 5.8, too
			got := tell(t, "apply", input{Config: Config{Paths: []Path{c.path}}, Lacks: lacks, Try: []string{"read " + others}})
			got.says(t, c.capability+" stays: "+c.path.Name)
			got.all(t, "CapEff", c.caps)
			got.works(t, "read "+others)
		}
	}
}

func TestOtherUser(t *testing.T) {
	needsRoot(t)
	log, state, roots, others := file(t, 0, 0o600), filepath.Dir(file(t, nobody, 0o600)), sleeper(t, 0), sleeper(t, 1)
	for _, name := range []string{"nobody", fmt.Sprint(nobody)} {
		got := tell(t, "apply", input{
			Config: Config{User: name, Rules: true, Paths: []Path{{state, true}, {state + "/new", true}, {filepath.Dir(log), false}}},
			Try: []string{"read " + log, "write " + log, "write " + state + "/new", "link " + roots + "/exe", "link " + others + "/exe",
				"netlink", "self", "dumpable"}})
		got.quiet(t)
		got.all(t, "Uid", "65534 65534 65534 65534")
		got.all(t, "Gid", "65534 65534 65534 65534")
		got.all(t, "Groups", "65534")
		got.all(t, "CapEff", "0000000040080004")
		got.all(t, "CapPrm", "0000000040080004")
		got.all(t, "CapBnd", none)
		got.all(t, "NoNewPrivs", "1")
		got.works(t, "read "+log, "write "+state+"/new", "link "+roots+"/exe", "link "+others+"/exe", "netlink", "self", "dumpable")
		got.fails(t, "write "+log)
	}
}

func TestOtherUserCannotWrite(t *testing.T) {
	needsRoot(t)
	old := file(t, nobody, 0o600)
	must(t, os.Chown(old, 0, 0)) // from a time as root
	roots := filepath.Dir(file(t, 0, 0o600))
	for name, want := range map[string]string{
		roots:           ": user nobody (uid 65534) cannot write to it: make it the user's with chown -R nobody:nogroup " + roots,
		old:             ": user nobody (uid 65534) cannot write to it: make it the user's with chown -R nobody:nogroup " + old,
		roots + "/a/b":  ": is not there, and user nobody (uid 65534) cannot make it: install -d -o nobody -g nogroup -m 0750 ",
		open(t) + "/ab": ": is not there, and user nobody",
	} {
		got := tell(t, "apply", input{Config: Config{User: "nobody", Paths: []Path{{name, true}}}})
		if !strings.HasPrefix(got.Err, name+want) {
			t.Errorf("%s: error %q, want %q", name, got.Err, want)
		}
	}
	got := tell(t, "apply", input{Config: Config{User: "nobody", Paths: []Path{{roots, true}, {roots + "/new", true}, {old, true}}}})
	if strings.Count(got.Err, "\n") != 1 { // of a file that will be made, its directory is enough
		t.Errorf("says %q", got.Err)
	}
}

func TestUnknownUser(t *testing.T) {
	for _, name := range []string{"no-such-user", "4000000", "-1"} {
		_, err := Apply(Config{User: name})
		if err == nil || !strings.Contains(err.Error(), "user "+name) || !strings.Contains(err.Error(), "useradd --system") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A member of a group needs no capability to give it files.
func TestGroups(t *testing.T) {
	needsRoot(t)
	for name, want := range map[string]string{"": "4 12345", "nobody": "4 12345 65534"} {
		dir := filepath.Dir(file(t, nobody, 0o600))
		if name == "" {
			dir = filepath.Dir(file(t, 0, 0o600))
		}
		got := tell(t, "apply", input{Config: Config{User: name, Groups: []int{4, 12345}}, Try: []string{
			"write " + dir + "/new", "chgrp " + dir + "/new"}})
		got.quiet(t)
		got.works(t, "chgrp "+dir+"/new")
		for _, status := range got.Threads {
			for gid := range strings.FieldsSeq(want) {
				if !slices.Contains(strings.Fields(status["Groups"]), gid) {
					t.Errorf("user %q: groups %s, want %s", name, status["Groups"], want)
				}
			}
		}
	}
}

// The user that one is already is no other.
func TestSameUser(t *testing.T) {
	needsRoot(t)
	got := tell(t, "apply", input{Config: Config{User: "root"}})
	got.quiet(t)
	got.all(t, "CapEff", ptraceOnly)
}

// With cgo nothing can be dropped. That is said, and is an error only if another user was asked for.
func TestCgo(t *testing.T) {
	needsRoot(t)
	cgo := []lack{{unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, syscall.ENOTSUP}}
	got := tell(t, "apply", input{Lacks: cgo})
	got.says(t, "CGO_ENABLED=0")
	if got.Err != "" || got.Threads[0]["CapEff"] == ptraceOnly {
		t.Errorf("error %q, %v", got.Err, got.Threads[0])
	}
	got = tell(t, "apply", input{Lacks: cgo, Config: Config{User: "nobody"}})
	if !strings.HasPrefix(got.Err, "user nobody: cannot become it: ") {
		t.Errorf("error %q", got.Err)
	}
}

// Each step that the kernel refuses is left out, with one line, and the others are not.
func TestStepsRefused(t *testing.T) {
	needsRoot(t)
	for _, c := range []struct {
		lack  lack
		says  string
		field string // what stays as it was
	}{
		{lack{unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, syscall.EINVAL}, "an exec may gain privileges", "NoNewPrivs"},
		{lack{unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, syscall.EPERM}, "bounding set of capabilities stays", "CapBnd"},
		{lack{unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, syscall.EINVAL}, "ambient capabilities stay", ""},
		{lack{unix.SYS_CAPGET, anyOp, syscall.EPERM}, "all capabilities stay: capget", "CapEff CapPrm"},
		{lack{unix.SYS_CAPSET, anyOp, syscall.EPERM}, "all capabilities stay: capset", "CapEff CapPrm"},
		{lack{unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, syscall.EINVAL}, "a crash may leave a core", ""},
	} {
		got := tell(t, "apply", input{Lacks: []lack{c.lack}})
		got.says(t, c.says)
		if len(got.Notices) != 1 || got.Err != "" {
			t.Errorf("%s: says %q, error %q", c.says, got.Notices, got.Err)
		}
		for name, want := range map[string]string{"NoNewPrivs": "1", "CapBnd": none, "CapEff": ptraceOnly, "CapPrm": ptraceOnly} {
			if !strings.Contains(c.field, name) {
				got.all(t, name, want)
			}
		}
	}
}

// Who is not root has nothing to drop, and hears of it in one line.
func TestNotRoot(t *testing.T) {
	needsRoot(t)
	got := tell(t, "as nobody", input{})
	got.says(t, "it takes CAP_SETPCAP")
	if len(got.Notices) != 1 || got.Err != "" {
		t.Errorf("says %q, error %q", got.Notices, got.Err)
	}
	got = tell(t, "as nobody", input{Config: Config{User: "root"}})
	if !strings.Contains(got.Err, "user root: cannot become it") || !strings.Contains(got.Err, "start as root") {
		t.Errorf("error %q", got.Err)
	}
}

func init() {
	stories["as nobody"] = func(in input) told {
		must := func(err error) {
			if err != nil {
				panic(err)
			}
		}
		must(syscall.Setresgid(nobody, nobody, nobody))
		must(syscall.Setresuid(nobody, nobody, nobody))
		return stories["apply"](in)
	}
}

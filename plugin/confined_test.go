package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"audisp-history/conf"
	"audisp-history/plugin/confine"
)

// A confined is the program as root starts it, built as packages have it: with cgo it could not confine itself.
type confined struct {
	*exec.Cmd
	config, log string
	out         *os.File // what auditd writes to
}

func spawnConfined(t *testing.T, config string) *confined {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root has anything to drop")
	}
	if _, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno != 0 {
		t.Skipf("no Landlock: %v", errno)
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "audisp-history")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	c := &confined{config: write(t, "c.yaml", []byte(config)), log: filepath.Join(dir, "stderr")}
	log, err := os.Create(c.log)
	must(t, err)
	in, out := socketpair(t)
	c.out = out
	c.Cmd = exec.Command(binary, "run", "--config", c.config)
	c.Stdin, c.Stderr, c.Dir, c.Env = in, log, "/", []string{}
	must(t, c.Start())
	must(t, in.Close())
	must(t, log.Close())
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if t.Failed() {
			said, _ := os.ReadFile(c.log)
			t.Logf("%s", said)
		}
	})
	eventually(t, "all capabilities but AUDIT_CONTROL are dropped", func() bool { // Enclose drops the last
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
		return err == nil && (bytes.Contains(status, []byte("CapPrm:\t0000000040000000")) || bytes.Contains(status, []byte("CapPrm:\t0000000000000000")))
	})
	return c
}

// reload gives the program another configuration.
func (c *confined) reload(t *testing.T, config string) {
	t.Helper()
	must(t, os.WriteFile(c.config, []byte(config), 0o600))
	must(t, c.Process.Signal(syscall.SIGHUP))
}

func (c *confined) says(t *testing.T, what string) {
	t.Helper()
	eventually(t, "the program says: "+what, func() bool {
		said, err := os.ReadFile(c.log)
		return err == nil && bytes.Contains(said, []byte(what))
	})
}

// Root gives its files to a group after it has dropped CAP_CHOWN, and reads the configuration again without /etc.
func TestConfinedGroup(t *testing.T) {
	adm, err := user.LookupGroup("adm")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "history.log")
	config := func(group string, keep int) string {
		return fmt.Sprintf("outputs: [{name: o, everything: true, file: {path: %s, group: %s, rotate_bytes: 65536, keep: %d, compress: true}}]\n"+
			"state: {dir: %s}\nauditd_conf: \"\"\n", path, group, keep, filepath.Join(dir, "state"))
	}
	c := spawnConfined(t, config("adm", 5))
	stream := capture(t, "boot")
	send(t, c.out, stream)
	eventually(t, "a file is compressed", hasContent(path+".2.gz"))
	for _, name := range []string{path, path + ".1", path + ".2.gz"} {
		eventually(t, name+" is adm's", func() bool {
			var s syscall.Stat_t
			return syscall.Stat(name, &s) == nil && strconv.Itoa(int(s.Gid)) == adm.Gid
		})
	}
	c.reload(t, config("adm", 6))
	c.says(t, "the output is new or has changed")
	c.reload(t, config("12345", 6)) // that it did not join
	c.says(t, "group 12345: the program did not join it")
}

// A link is allowed with the directory that it leads to, also for a file that takes the place of that there.
func TestLinked(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	must(t, os.Mkdir(filepath.Join(dir, "etc"), 0o700))
	must(t, os.Mkdir(filepath.Join(dir, "run"), 0o700))
	file, link, root := filepath.Join(dir, "run", "file"), filepath.Join(dir, "etc", "link"), filepath.Join(dir, "etc", "root")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Symlink("../run/file", link))
	must(t, os.Symlink("../run", filepath.Join(dir, "etc", "dir")))
	must(t, os.Symlink("gone", filepath.Join(dir, "etc", "dangling")))
	must(t, os.Symlink("/", root))
	for name, want := range map[string]string{
		file: "[]", link: "[{" + dir + "/run false}]", dir + "/etc/dir": "[{" + dir + "/run false}]",
		dir + "/etc/dangling": "[]", dir + "/etc/missing": "[]", root: "[]",
	} {
		if got := fmt.Sprint(linked(name)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// A receiver's CA is a link to another directory, and is replaced and read after the program was shut in.
func TestConfinedLinkedCA(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	go func() {
		for {
			wire, err := listener.Accept()
			if err != nil {
				return
			}
			_ = wire.Close() // so that it is tried again
		}
	}()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "etc"), 0o700))
	must(t, os.Mkdir(filepath.Join(dir, "run"), 0o700))
	ca, link := filepath.Join(dir, "run", "ca.pem"), filepath.Join(dir, "etc", "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	must(t, os.Symlink("../run/ca.pem", link))
	c := spawnConfined(t, fmt.Sprintf("outputs: [{name: o, everything: true, syslog: {to: \"tls://%s\", ca: %s}}]\n"+
		"state: {dir: %s}\nauditd_conf: \"\"\n", listener.Addr(), link, filepath.Join(dir, "state")))
	must(t, os.Remove(ca))
	must(t, os.WriteFile(ca, []byte("another"), 0o600))
	send(t, c.out, capture(t, "boot"))
	c.says(t, "holds no certificate in PEM")
}

// A directory that a system need not have is no reason to refuse a receiver that has changed.
func TestConfinedReloadWithoutOptionalDirectories(t *testing.T) {
	defer func(dirs []string) { helpfulDirs = dirs }(helpfulDirs)
	helpfulDirs = []string{"/no/such/directory", t.TempDir()}
	o := conf.Output{Syslog: &conf.Syslog{To: "udp://localhost:514"}}
	if paths := outputPaths(&o); len(paths) != 1 || paths[0].Name != "/etc" {
		t.Errorf("a reload asks for %v", paths)
	}
	paths := helpfulPaths(&o)
	if !slices.Contains(paths, pathOf(helpfulDirs[1])) || slices.Contains(paths, pathOf(helpfulDirs[0])) {
		t.Errorf("%v", paths)
	}
	state := t.TempDir()
	config := func(facility string) string {
		return fmt.Sprintf("outputs: [{name: o, syslog: {to: \"udp://127.0.0.1:9\", facility: %s}}]\nstate: {dir: %s}\nauditd_conf: \"\"\n", facility, state)
	}
	c := spawnConfined(t, config("local0"))
	c.reload(t, config("local1"))
	c.says(t, "the output is new or has changed")
}

func pathOf(name string) confine.Path { return confine.Path{Name: name} }

package rules

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"audisp-history/enrich/abi"
)

func machine(t testing.TB, goarch string) Machine {
	t.Helper()
	m, err := ForGo(goarch)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// lines are the rules of all files, without comments.
func lines(files []File) []string {
	var all []string
	for _, f := range files {
		for line := range strings.Lines(f.Text) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				all = append(all, line)
			}
		}
	}
	return all
}

// What the package installs is what "audisp-history rules" prints.
func TestPackagingIsX8664(t *testing.T) {
	dir := filepath.Join("..", "..", "packaging", "rules.d")
	files := Files(machine(t, "amd64"))
	for _, f := range files {
		got, err := os.ReadFile(filepath.Join(dir, f.Name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != f.Text {
			t.Errorf("%s is not what is printed", f.Name)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(files) {
		t.Errorf("%d files in %s, %v, want %d", len(entries), dir, err, len(files))
	}
}

func TestFiles(t *testing.T) {
	for arch, want := range map[string][]string{
		"amd64": {
			"-a never,exit -F arch=b64 -S clone -F a0&0x10000",
			"-a never,exit -F arch=b32 -S clone -F a0&0x10000",
			"-a always,exit -F arch=b64 -S fork,vfork,clone,435,unshare,setns -F success=1 -F key=history",
			"-a always,exit -F arch=b32 -S fork,vfork,clone,435,unshare,setns -F success=1 -F key=history",
			"-a always,exit -F arch=b64 -S exit_group -F key=history",
			"-a always,exit -F arch=b32 -S exit_group -F key=history",
			"-a always,exit -F arch=b64 -S execve,execveat -F success=1 -F key=history",
			"-a always,exit -F arch=b32 -S execve,execveat -F success=1 -F key=history",
		},
		"arm64": { // no fork and no vfork of its own, but 32-bit programs have them
			"-a never,exit -F arch=b64 -S clone -F a0&0x10000",
			"-a never,exit -F arch=b32 -S clone -F a0&0x10000",
			"-a always,exit -F arch=b64 -S clone,435,unshare,setns -F success=1 -F key=history",
			"-a always,exit -F arch=b32 -S fork,vfork,clone,435,unshare,setns -F success=1 -F key=history",
			"-a always,exit -F arch=b64 -S exit_group -F key=history",
			"-a always,exit -F arch=b32 -S exit_group -F key=history",
			"-a always,exit -F arch=b64 -S execve,execveat -F success=1 -F key=history",
			"-a always,exit -F arch=b32 -S execve,execveat -F success=1 -F key=history",
		},
		"ppc64le": {
			"-a never,exit -F arch=b64 -S clone -F a0&0x10000",
			"-a always,exit -F arch=b64 -S fork,vfork,clone,435,unshare,setns -F success=1 -F key=history",
			"-a always,exit -F arch=b64 -S exit_group -F key=history",
			"-a always,exit -F arch=b64 -S execve,execveat -F success=1 -F key=history",
		},
	} {
		if got := lines(Files(machine(t, arch))); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", arch, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	}
}

// s390x has the flags of clone in its second argument.
func TestFilesOfS390(t *testing.T) {
	got := lines(Files(machine(t, "s390x")))
	for _, want := range []string{
		"-a never,exit -F arch=b64 -S clone -F a1&0x10000",
		"-a never,exit -F arch=b32 -S clone -F a1&0x10000",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s in %q", want, got)
		}
	}
}

// The files say nothing that is the administrator's to say, and every machine has all it needs.
func TestEveryMachine(t *testing.T) {
	for _, m := range machines {
		for _, line := range lines(Files(m)) {
			if !strings.HasPrefix(line, "-a always,exit -F arch=b") && !strings.HasPrefix(line, "-a never,exit -F arch=b") {
				t.Errorf("%s: %s", m.Name, line)
			}
			if strings.Contains(line, "exit_group") && strings.Contains(line, "success") {
				t.Errorf("%s: never matches: %s", m.Name, line)
			}
		}
		for _, a := range m.ABIs {
			seen := map[abi.Call]int{}
			for _, w := range m.Wanted() {
				if w.ABI == a {
					seen[w.Call]++
				}
			}
			want := map[abi.Call]int{abi.Clone: 1, abi.Clone3: 1, abi.Unshare: 1, abi.SetNS: 1, abi.ExitGroup: 1, abi.Exec: 2}
			for call, n := range want {
				if seen[call] != n {
					t.Errorf("%s %s: %d of %s, want %d", m.Name, a.Name, seen[call], call, n)
				}
			}
		}
	}
}

func TestUnknownMachine(t *testing.T) {
	if _, err := ForGo("mips64"); err == nil || !strings.Contains(err.Error(), "mips64") {
		t.Errorf("got %v", err)
	}
}

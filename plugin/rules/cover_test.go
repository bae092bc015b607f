package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// show writes a hole in one line.
func show(h Hole) string {
	s := h.ABI + " " + strings.Join(h.Calls, ",")
	if h.Partly {
		s += " partly"
	}
	if h.Never {
		s += " never"
	}
	if h.Rule != "" {
		s += ": " + h.Rule
	}
	return s
}

func TestHoles(t *testing.T) {
	needsX8664(t)
	m := machine(t, "amd64")
	ours := lines(Files(m))
	early, late := ours[:6], ours[6:]
	const rest = "fork,vfork,clone,clone3,unshare,setns,exit_group,execve,execveat"
	for _, c := range []struct {
		name  string
		rules []string
		want  []string
	}{
		{"our files", ours, nil},
		{"no rules", nil, []string{"b64 " + rest, "b32 " + rest}},
		{"the other ABI is forgotten", slices.DeleteFunc(slices.Clone(ours), func(s string) bool { return strings.Contains(s, "b32") }),
			[]string{"b32 " + rest}},
		{"exec under another key", slices.Concat(early, []string{"-a always,exit -F arch=b64 -S execve,execveat -k exec",
			"-a always,exit -F arch=b32 -S execve,execveat -k exec"}), nil},
		{"all calls", []string{"-a always,exit -S all -k all"}, nil},
		{"execs of users only", slices.Concat(early, []string{
			"-a always,exit -F arch=b64 -S execve,execveat -F auid>=1000 -k users", late[1]}),
			[]string{"b64 execve,execveat partly: -a always,exit -F arch=b64 -S execve,execveat -F auid>=1000 -F key=users"}},
		{"execs of users under a key, the rest under ours", slices.Concat(early, []string{
			"-a always,exit -F arch=b64 -S execve -F auid>=1000 -k users"}, late), nil},
		{"an earlier never for a program", slices.Concat([]string{"-a never,exit -F arch=b64 -S all -F exe=/usr/bin/make"}, ours),
			[]string{"b64 " + rest + " partly never: -a never,exit -F arch=b64 -S all -F exe=/usr/bin/make"}},
		{"an earlier never for one call", slices.Concat([]string{"-a never,exit -F arch=b64 -S vfork"}, ours),
			[]string{"b64 vfork never: -a never,exit -F arch=b64 -S vfork"}},
		{"a never without arch counts by number, in both ABIs", slices.Concat([]string{"-a never,exit -S 120"}, ours),
			[]string{"b32 clone never: "}}, // 120 is getresgid on x86_64
		{"nothing but a never", []string{"-a never,exit -S all"}, []string{
			"b64 " + rest + " never: -a never,exit -S all", "b32 " + rest + " never: -a never,exit -S all"}},
		{"a never for the files of a directory", slices.Concat([]string{"-a never,exit -F arch=b64 -S all -F dir=/dev/shm"}, ours),
			[]string{"b64 execve,execveat partly never: -a never,exit -F arch=b64 -S all -F dir=/dev/shm"}},
		{"exit_group with a result", slices.Concat(ours[:4], []string{
			"-a always,exit -F arch=b64 -S exit_group -F exit>=0", ours[5]}, late),
			[]string{"b64 exit_group"}},
		{"a never behind ours", slices.Concat(ours, []string{"-a never,exit -S all"}), nil},
		{"a never between the early and the late file", slices.Concat(early, []string{"-a never,exit -F arch=b64 -S all -F dir=/dev/shm"}, late),
			[]string{"b64 execve,execveat partly never: -a never,exit -F arch=b64 -S all -F dir=/dev/shm"}},
		{"a never about files takes no fork away", slices.Concat([]string{"-a never,exit -F arch=b64 -S all -F dir=/dev/shm -F perm=wa"}, ours), nil},
		{"a never for failures", slices.Concat([]string{"-a never,exit -F arch=b64 -S all -F success=0"}, ours), nil},
		{"a never for one error", slices.Concat([]string{"-a never,exit -F arch=b64 -S execve -F exit=-ENOENT"}, ours), nil},
		{"a never in another list", slices.Concat([]string{"-a never,user -F uid=0"}, ours), nil},
		{"exit_group with success", slices.Concat(ours[:4], []string{
			"-a always,exit -F arch=b64 -S exit_group -F success=1", ours[5]}, late),
			[]string{"b64 exit_group"}},
		{"threads hidden by all their flags", slices.Concat([]string{"-a never,exit -F arch=b64 -S clone -F a0&=0x10100"}, ours), nil},
		{"posix_spawn hidden with the threads", slices.Concat([]string{"-a never,exit -F arch=b64 -S clone -F a0&0x10100"}, ours),
			[]string{"b64 clone partly never: -a never,exit -F arch=b64 -S clone -F a0&65792"}},
		{"the wrong argument", slices.Concat([]string{"-a never,exit -F arch=b64 -S clone -F a1&0x10000"}, ours),
			[]string{"b64 clone partly never: -a never,exit -F arch=b64 -S clone -F a1&65536"}},
		{"failed execs only", slices.Concat(early, []string{"-a always,exit -F arch=b64 -S execve,execveat -F success=0", late[1]}),
			[]string{"b64 execve,execveat"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			holes := Holes(m.Wanted(), parse(t, c.rules...))
			var got []string
			for _, h := range holes {
				got = append(got, show(h))
			}
			same := slices.EqualFunc(got, c.want, func(g, w string) bool {
				return g == w || strings.HasSuffix(w, ": ") && strings.HasPrefix(g, w)
			})
			if !same {
				t.Errorf("\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
			}
		})
	}
}

func TestTaskNever(t *testing.T) {
	needsX8664(t)
	for line, want := range map[string]bool{
		"-a never,task": true, "-a always,task": false, "-a never,exit -S fork": false, "-a never,task -F uid=99": true,
	} {
		if got := parse(t, line)[0].TaskNever(); got != want {
			t.Errorf("%s: %t", line, got)
		}
	}
}

func TestExclusions(t *testing.T) {
	needsX8664(t)
	types := []uint16{1300, 1305, 1320}
	for line, want := range map[string]string{
		"-a always,exclude -F msgtype=EOE":                  "[1320] false",
		"-a never,exclude -F msgtype=SYSCALL":               "[1300] false", // the list excludes, whatever the action
		"-a always,exclude -F msgtype=CWD":                  "",
		"-a always,exclude -F msgtype>=1300":                "[1300 1305 1320] false",
		"-a always,exclude -F msgtype!=USER_LOGIN":          "[1300 1305 1320] false",
		"-a always,exclude -F auid=1000":                    "[1300 1305 1320] true",
		"-a always,exclude -F msgtype=SYSCALL -F auid=1000": "[1300] true",
		"-a always,exit -S all":                             "",
	} {
		got := ""
		for _, e := range Exclusions(types, parse(t, line)) {
			got = fmt.Sprint(e.Types, e.Partly)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestWatching(t *testing.T) {
	needsX8664(t)
	m := machine(t, "amd64")
	const file = "/var/log/audisp-history/history.log"
	for line, want := range map[string]bool{
		"-a always,exit -S all -F dir=/var/log -F perm=wa":                           true,
		"-a always,exit -S all -F dir=/ -F perm=w":                                   true,
		"-a always,exit -S all -F dir=/var/log/audisp -F perm=wa":                    false, // a prefix of the name only
		"-a always,exit -S all -F dir=/var/log/audisp-history -F perm=r":             false,
		"-a always,exit -F arch=b64 -S openat -F dir=/var/log":                       true,
		"-a always,exit -F arch=b64 -S execve -F dir=/var/log":                       false,
		"-a always,exit -S all -F path=" + file + " -F perm=w":                       true,
		"-a always,exit -S all -F path=" + file + ".1 -F perm=w":                     false,
		"-a never,exit -S all -F dir=/var/log":                                       false,
		"-a always,exit -S all -F dir=/var/log -F perm=wa -F auid>=1000 -F auid!=-1": false, // a daemon has none
		"-a always,exit -S all -F dir=/var/log -F perm=wa -F uid=0":                  true,
		"-a always,exit -S openat":                                                   false, // not of this place
	} {
		if got := len(Watching(m, file, parse(t, line))) > 0; got != want {
			t.Errorf("%s: %t", line, got)
		}
	}
}

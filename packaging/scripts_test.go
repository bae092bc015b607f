//go:build packages

package packaging

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const (
	plugin = "etc/audit/plugins.d/history.conf"
	early  = "etc/audit/rules.d/15-history.rules"
	late   = "etc/audit/rules.d/85-history-exec.rules"
)

// A system is one way of installing.
type system struct {
	name                     string
	install, upgrade, remove string
}

func systems() []system {
	return []system{
		{"deb", "$DPKG -i " + built.deb, "$DPKG -i " + built.deb2, "$DPKG -r audisp-history"},
		{"rpm", "$RPM -i " + built.rpm, "$RPM -U " + built.rpm2, "$RPM -e audisp-history"},
	}
}

// each runs a story for both kinds of package.
func each(t *testing.T, story func(t *testing.T, s system, w *world)) {
	for _, s := range systems() {
		t.Run(s.name, func(t *testing.T) { story(t, s, newWorld(t)) })
	}
}

var ourLine = regexp.MustCompile(`(?m)^audisp-history: `)

// After an install auditd runs the plugin, the rules are in force, and three lines say so.
func TestInstall(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		out := w.run(s.install)
		if n := len(ourLine.FindAllString(out, -1)); n != 3 {
			t.Errorf("%d lines, want 3:\n%s", n, out)
		}
		says(t, out, "auditd runs it", "/var/log/audisp-history/history.log", "history.log by default", "rules.d/*history*.rules): loaded", "audisp-history check")
		w.called("load, hup")
		says(t, w.loaded(), "-S exit_group -F key=history", "-S execve,execveat")
		w.has(plugin, early, late, "var/lib/audisp-history", "var/log/audisp-history", "!etc/audisp")
		for dir, mode := range map[string]os.FileMode{"var/lib/audisp-history": 0o700, "var/log/audisp-history": 0o750} {
			if info, err := os.Stat(w.path(dir)); err != nil || info.Mode().Perm() != mode {
				t.Errorf("%s: %v %v", dir, info.Mode(), err)
			}
		}
	})
}

// An upgrade leaves the rules alone, because loading them would be a gap, and has auditd replace the program.
func TestUpgrade(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		w.run(s.install)
		w.write("var/lib/audisp-history/snapshot", "kept")
		must(t, os.Chown(w.path("var/lib/audisp-history"), 12345, 12345)) // the user of the configuration
		w.write("etc/audit/audisp-history.yaml", "log: {level: warn}\n")
		says(t, w.run(s.upgrade), "in force, as before")
		w.called("hup")
		w.has("var/lib/audisp-history/snapshot", plugin)
		says(t, string(read(t, w, "etc/audit/audisp-history.yaml")), "level: warn")
		if out := command(t, "stat", "-c", "%u", w.path("var/lib/audisp-history")); out != "12345\n" {
			t.Errorf("the state directory belongs to %s", out)
		}
	})
}

func read(t *testing.T, w *world, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(w.path(name))
	must(t, err)
	return b
}

// After a removal auditd has ended the plugin, our rules are no longer in force, and what is known is still there.
func TestRemove(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		w.run(s.install)
		w.write("var/lib/audisp-history/snapshot", "kept")
		w.run(s.remove)
		w.called("hup, load")
		w.has("!"+plugin, "!"+early, "!"+late, "!usr/sbin/audisp-history", "var/lib/audisp-history/snapshot", "etc/audit/rules.d/audit.rules")
		if strings.Contains(w.loaded(), "history") {
			t.Errorf("our rules are still loaded: %s", w.loaded())
		}
	})
}

// What was edited before a removal is there again with the next installation.
func TestRemoveAndInstallAgain(t *testing.T) {
	w := newWorld(t)
	w.run("$DPKG -i " + built.deb)
	edited := strings.Replace(string(read(t, w, plugin)), "args = run", "args = run --config=/etc/mine.yaml", 1)
	w.write(plugin, edited)
	w.run("$DPKG -r audisp-history")
	w.has("!" + plugin)
	w.run("$DPKG -i " + built.deb2)
	w.called("load, hup")
	w.has(early, late, "!"+plugin+".removed")
	if got := string(read(t, w, plugin)); got != edited {
		t.Errorf("history.conf is\n%s", got)
	}
}

// Rules that the administrator has made his own stay as he left them.
func TestEditedRulesStay(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		w.run(s.install)
		w.write(late, "-a always,exit -F arch=b64 -S execve -F key=mine\n")
		must(t, os.Remove(w.path("etc/audit/audit.rules")))
		w.run(s.upgrade)
		w.called("load, hup")
		says(t, w.loaded(), "key=mine")
	})
}

// Purging leaves nothing.
func TestPurge(t *testing.T) {
	w := newWorld(t)
	before := w.files("etc") + w.files("usr") + w.files("var/log")
	w.run("$DPKG -i " + built.deb)
	w.write("var/lib/audisp-history/boot-000001/snapshot-000001", "known")
	w.write("var/log/audisp-history/history.log", "type=SYSCALL\n")
	w.write(plugin, "active = no\n")
	w.run("$DPKG -P audisp-history")
	w.has("!var/lib/audisp-history", "!var/log/audisp-history")
	after := w.files("etc") + w.files("usr") + w.files("var/log")
	after = strings.Replace(after, "\n/etc/audit/audit.rules.prev", "", 1) // augenrules', of what was before
	if after != before {
		t.Errorf("left:\n%s\nwas:\n%s", after, before)
	}
}

// Every script may run again.
func TestScriptsTwice(t *testing.T) {
	w := newWorld(t)
	w.run("$DPKG -i " + built.deb)
	out := w.run(`chroot "$ROOT" /var/lib/dpkg/info/audisp-history.postinst configure 1 && chroot "$ROOT" /var/lib/dpkg/info/audisp-history.preinst upgrade 1`)
	says(t, out, "in force, as before")
	w.called("hup")
	w.run(`for i in 1 2; do chroot "$ROOT" /var/lib/dpkg/info/audisp-history.prerm remove; done`)
	w.called("hup, load, hup")
	w.run(`chroot "$ROOT" /var/lib/dpkg/info/audisp-history.postinst abort-remove`)
	w.has(plugin, early)
	w.called("load, hup")
	w.run(`for i in 1 2; do chroot "$ROOT" /var/lib/dpkg/info/audisp-history.postrm purge; done`)
	w.called("")
}

// auditd 2 has its plugins elsewhere.
func TestAuditd2(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		w.program("sbin/audispd", "#!/bin/sh\n")
		must(t, os.MkdirAll(w.path("etc/audisp/plugins.d"), 0o750))
		w.run(s.install)
		w.called("load, hup")
		link := "etc/audisp/plugins.d/history.conf"
		if to, err := os.Readlink(w.path(link)); err != nil || to != "/"+plugin {
			t.Errorf("%s: %q %v", link, to, err)
		}
		w.run(s.upgrade)
		w.has(link)
		w.run(s.remove)
		w.called("hup, load")
		w.has("!"+link, "etc/audisp/plugins.d")
	})
}

// A file that the administrator has put into auditd 2's directory is his.
func TestAuditd2OwnFile(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		w.program("sbin/audispd", "#!/bin/sh\n")
		w.write("etc/audisp/plugins.d/history.conf", "active = no\n")
		w.run(s.install)
		w.run(s.remove)
		says(t, string(read(t, w, "etc/audisp/plugins.d/history.conf")), "active = no")
	})
}

// plugin_dir in auditd.conf may name another directory.
func TestPluginDir(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		w.write("etc/audit/auditd.conf", "plugin_dir = /etc/plugins\n")
		must(t, os.MkdirAll(w.path("etc/plugins"), 0o750))
		w.run(s.install)
		w.has("etc/plugins/history.conf")
		w.run(s.remove)
		w.has("!etc/plugins/history.conf")
	})
}

// Locked rules are not touched, and that is said.
func TestLockedRules(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		w.write("run/status", "enabled 2\n")
		says(t, w.run(s.install), "not loaded: the rules are locked")
		w.called("hup")
		says(t, w.run(s.remove), "the rules are locked (-e 2): its rules stay in force until the next boot")
		w.called("hup")
	})
}

// Rules that somebody wrote by hand are not replaced by augenrules.
func TestHandMadeRules(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		w.write("etc/audit/audit.rules", "-D\n-w /etc/passwd -p wa\n")
		says(t, w.run(s.install), "not loaded: /etc/audit/audit.rules was not made by augenrules")
		w.called("hup")
		says(t, string(read(t, w, "etc/audit/audit.rules")), "-w /etc/passwd")
		w.write("etc/audit/audit.rules", "-D\n-w /etc/passwd -p wa\n-a always,exit -F arch=b64 -S execve -F key=history\n")
		says(t, w.run(s.remove), "/etc/audit/audit.rules was not made by augenrules: take the lines with key=history out")
	})
}

// A plugin that the administrator has switched off is not said to run.
func TestSwitchedOff(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		w.run(s.install)
		w.write(plugin, "active = no\n")
		out := w.run(s.upgrade)
		says(t, out, "auditd does not run it", "active = yes")
		if strings.Contains(out, "auditd runs it") {
			t.Errorf("said to run:\n%s", out)
		}
	})
}

// Links to nowhere, where the directories and auditd 2's file should be, do not make the installation fail.
func TestLinksToNowhere(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		must(t, os.MkdirAll(w.path("var/lib"), 0o755))
		for _, dir := range []string{"var/lib/audisp-history", "var/log/audisp-history"} {
			must(t, os.Symlink("/mnt/none", w.path(dir)))
		}
		w.write("etc/audit/auditd.conf", "plugin_dir = /proc/sys\n") // nobody can make a link there
		out := w.run(s.install)
		says(t, out, "/var/lib/audisp-history cannot be made; if it is a link", "/var/log/audisp-history cannot be made",
			"/proc/sys/history.conf cannot be made", "auditd runs it")
		w.called("load, hup")
	})
}

// What early-boot has done to the boot is done again when the rules change, and taken back before it goes.
func TestEarlyBoot(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		w.run(s.install)
		w.program("usr/share/audisp-history/early-boot", recorder+"rm /etc/audit/audisp-history-early-boot\n")
		w.write("etc/audit/audisp-history-early-boot", "")
		w.run(s.upgrade)
		w.has("etc/audit/audisp-history-early-boot")
		w.program("usr/share/audisp-history/early-boot", recorder+"rm /etc/audit/audisp-history-early-boot\n")
		if s.name == "deb" {
			w.write(early, "-a always,exit -F arch=b64 -S fork -F key=history\n")
			w.program("usr/share/audisp-history/early-boot", recorder)
			w.run(`chroot "$ROOT" /var/lib/dpkg/info/audisp-history.postinst configure 99.0`)
			w.called("load, early-boot on, hup")
			w.program("usr/share/audisp-history/early-boot", recorder+"rm /etc/audit/audisp-history-early-boot\n")
		}
		w.run(s.remove)
		says(t, w.calls(), "early-boot off")
	})
}

// Without auditd nothing is loaded: the kernel would put every fork into its log.
func TestAuditdStopped(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		says(t, w.runStopped(s.install), "auditd will run it when it starts", "not loaded: auditd is not running here")
		w.called("")
		says(t, w.runStopped(s.remove), "auditd is not running here; its rules will be gone when it starts")
		w.called("")
	})
}

// In a chroot the auditd that the kernel tells of is the host's: it and the host's rules are left alone.
func TestChroot(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		before := `mkdir "$ROOT/host"; mount --bind "$ROOT" "$ROOT/host"; mount -t tmpfs tmpfs "$ROOT/tmp"; mkdir "$ROOT/tmp/host"
for dir in bin sbin run; do mkdir "$ROOT/tmp/host/$dir"; mount --bind "$ROOT/$dir" "$ROOT/tmp/host/$dir"; done; touch "$ROOT/tmp/host/calls"
chroot "$ROOT/tmp/host" /sbin/auditd & while [ ! -s "$ROOT/run/auditd.pid" ]; do sleep 0.01; done`
		out := w.runWith(s.install, before, `cp "$ROOT/tmp/host/calls" "$ROOT/run/host-calls"; rm "$ROOT/run/auditd.pid"`)
		says(t, out, "it is not running here", "not loaded")
		w.called("")
		if got := string(read(t, w, "run/host-calls")); got != "" {
			t.Errorf("the host's auditd got %q", got)
		}
	})
}

// Another program may be the kernel's audit daemon; SIGHUP could end it.
func TestAnotherDaemon(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		w.program("sbin/auditbeat", auditdText)
		out := w.runWith(s.install, `chroot "$ROOT" /sbin/auditbeat & while [ ! -s "$ROOT/run/auditd.pid" ]; do sleep 0.01; done`,
			`kill "$(cat "$ROOT/run/auditd.pid")"; rm "$ROOT/run/auditd.pid"`)
		says(t, out, "not running here")
		w.called("")
	})
}

// Where SELinux is in use the module comes and goes with the package, before auditd starts the program.
func TestSELinuxModule(t *testing.T) {
	each(t, func(t *testing.T, s system, w *world) {
		for _, name := range []string{"semodule", "restorecon"} {
			w.program("usr/sbin/"+name, recorder)
		}
		w.program("usr/sbin/selinuxenabled", "#!/bin/sh\n")
		w.run(s.install)
		calls := w.calls()
		says(t, calls, "semodule -i /usr/share/selinux/packages/audisp-history/audisp_history.pp, restorecon -RF /usr/sbin/audisp-history")
		if !strings.HasSuffix(calls, ", load, hup") {
			t.Errorf("auditd starts it too early: %s", calls)
		}
		w.run(s.remove)
		says(t, w.calls(), "semodule -r audisp_history")
		w.program("usr/sbin/semodule", "#!/bin/sh\nexit 1\n")
		says(t, w.run(s.install), "does not fit this policy", "/usr/share/selinux/packages/audisp-history/README")
	})
}

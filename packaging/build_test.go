//go:build packages

// Package packaging tests the packages: go test -tags packages ./packaging, or make packages-test. It needs root, for
// chroot, and the tools that it names where they are missing.
package packaging

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The packages that are tested. next is a later version of the same.
var built struct {
	dir       string
	next      string
	deb, rpm  string // of this machine's architecture, amd64
	deb2      string
	rpm2      string
	debs      []string
	rpms      []string
	checksums string
}

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "audisp-history-packages-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	built.dir, built.next = filepath.Join(dir, "dist"), filepath.Join(dir, "next")
	if err := makeIn("..", "dist", "DIST="+built.dir); err != nil {
		return 1, err
	}
	cmd := exec.Command("./build.sh", "amd64", "bin/amd64/audisp-history", built.next)
	cmd.Env = append(os.Environ(), "VERSION=99.0", "SOURCE_DATE_EPOCH=2000000000", "GO=go")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build.sh: %w\n%s", err, out)
	}
	built.debs, built.rpms = glob(built.dir, "*.deb"), glob(built.dir, "*.rpm")
	built.deb, built.rpm = only(built.dir, "*_amd64.deb"), only(built.dir, "*.x86_64.rpm")
	built.deb2, built.rpm2 = only(built.next, "*.deb"), only(built.next, "*.rpm")
	sums, err := os.ReadFile(filepath.Join(built.dir, "SHA256SUMS"))
	built.checksums = string(sums)
	if err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func makeIn(dir string, args ...string) error {
	out, err := exec.Command("make", append([]string{"-C", dir}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func glob(dir, pattern string) []string {
	names, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is a good one
	return names
}

func only(dir, pattern string) string {
	names := glob(dir, pattern)
	if len(names) != 1 {
		panic(fmt.Sprintf("%s: %v", pattern, names))
	}
	return names[0]
}

// The same commit gives the same bytes, in another directory and at another time.
func TestReproducible(t *testing.T) {
	tree := filepath.Join(t.TempDir(), "elsewhere")
	must(t, os.Mkdir(tree, 0o755))
	root, err := filepath.Abs("..")
	must(t, err)
	command(t, "sh", "-c", `cd "$0" && { git ls-files; echo .git; } | tar -cf - -T - | tar -xf - -C "$1"`, root, tree)
	must(t, makeIn(tree, "dist"))
	sums, err := os.ReadFile(filepath.Join(tree, "dist", "SHA256SUMS"))
	must(t, err)
	if string(sums) != built.checksums {
		t.Errorf("first\n%s\nthen\n%s", built.checksums, sums)
	}
	if n := strings.Count(built.checksums, "\n"); n != 4 {
		t.Errorf("%d packages, want 4", n)
	}
}

// What must be in both, with mode and owner; the rest may be in either.
var wanted = map[string]string{
	"/usr/sbin/audisp-history":                                     "-rwxr-x---",
	"/etc/audit/plugins.d/history.conf":                            "-rw-r-----",
	"/etc/audit/audisp-history.yaml":                               "-rw-r-----",
	"/etc/audit/rules.d/15-history.rules":                          "-rw-r-----",
	"/etc/audit/rules.d/85-history-exec.rules":                     "-rw-r-----",
	"/etc/logrotate.d/audisp-history":                              "-rw-r--r--",
	"/usr/lib/tmpfiles.d/audisp-history.conf":                      "-rw-r--r--",
	"/usr/share/man/man8/audisp-history.8.gz":                      "-rw-r--r--",
	"/usr/share/man/man5/audisp-history.yaml.5.gz":                 "-rw-r--r--",
	"/usr/share/man/man7/audisp-history-format.7.gz":               "-rw-r--r--",
	"/usr/share/bash-completion/completions/audisp-history":        "-rw-r--r--",
	"/usr/share/fish/vendor_completions.d/audisp-history.fish":     "-rw-r--r--",
	"/usr/share/selinux/packages/audisp-history/audisp_history.pp": "-rw-r--r--",
	"/usr/share/doc/audisp-history/changelog.gz":                   "-rw-r--r--",
}

// listing maps each path of a package to its mode and owner.
func listing(t *testing.T, text string, owner, group int) map[string]string {
	t.Helper()
	files := map[string]string{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		name := strings.TrimPrefix(f[len(f)-1], ".")
		files[name] = f[0]
		if who := f[owner] + "/" + f[group]; who != "root/root" && who != "root/root/root/root" {
			t.Errorf("%s belongs to %s", name, who)
		}
	}
	return files
}

func TestContents(t *testing.T) {
	for _, deb := range built.debs {
		t.Run(filepath.Base(deb), func(t *testing.T) {
			files := listing(t, command(t, "dpkg-deb", "-c", deb), 1, 1)
			wants(t, files, "/usr/share/zsh/vendor-completions/_audisp-history", "/usr/share/doc/audisp-history/copyright",
				"/usr/share/doc/audisp-history/changelog.Debian.gz")
		})
	}
	for _, rpm := range built.rpms {
		t.Run(filepath.Base(rpm), func(t *testing.T) {
			files := listing(t, command(t, "rpm", "-qpl", "-v", rpm), 2, 3)
			wants(t, files, "/usr/share/zsh/site-functions/_audisp-history", "/usr/share/licenses/audisp-history/LICENSE")
			if files["/var/lib/audisp-history"] != "drwx------" || files["/var/log/audisp-history"] != "drwxr-x---" {
				t.Error("the directories of state and records are not the package's")
			}
		})
	}
}

func wants(t *testing.T, files map[string]string, also ...string) {
	t.Helper()
	for name, mode := range wanted {
		if files[name] != mode {
			t.Errorf("%s: %q, want %q", name, files[name], mode)
		}
	}
	for _, name := range also {
		if files[name] != "-rw-r--r--" {
			t.Errorf("%s: %q", name, files[name])
		}
	}
}

// The program in a package is of its architecture, and its rules are for that.
func TestArchitectures(t *testing.T) {
	for _, c := range []struct{ deb, says, calls string }{
		{"*_amd64.deb", "x86-64", "-S fork,vfork,clone,435,"},
		{"*_arm64.deb", "ARM aarch64", "-F arch=b64 -S clone,435,"},
	} {
		dir := t.TempDir()
		command(t, "dpkg-deb", "-x", only(built.dir, c.deb), dir)
		says(t, command(t, "file", dir+"/usr/sbin/audisp-history"), c.says, "statically linked")
		rules, err := os.ReadFile(dir + "/etc/audit/rules.d/15-history.rules")
		must(t, err)
		says(t, string(rules), c.calls)
	}
}

func TestVersionOfTheProgram(t *testing.T) {
	dir := t.TempDir()
	command(t, "dpkg-deb", "-x", built.deb, dir)
	out := command(t, dir+"/usr/sbin/audisp-history", "version")
	says(t, out, strings.TrimSpace(command(t, "git", "describe", "--tags", "--always", "--dirty")), "go1.", "linux/amd64")
}

// Versions are in the order of what they name, for dpkg and for rpm.
func TestVersions(t *testing.T) {
	order := []string{"", "v0.9.0-rc1", "v0.9.0-rc1-2-g0123abc", "v0.9.0-rc2", "v0.9.0", "v0.9.0-3-gfedc012", "v0.9.1", "v0.10.0"}
	for i := range order[1:] {
		older, newer := version(t, order[i]), version(t, order[i+1])
		command(t, "dpkg", "--compare-versions", older+"-1", "lt", newer+"-1")
		if got := command(t, "rpm", "--eval", fmt.Sprintf(`%%{lua:print(rpm.vercmp("%s", "%s"))}`, older, newer)); got != "-1\n" {
			t.Errorf("rpm does not take %s for older than %s: %s", older, newer, got)
		}
	}
}

func version(t *testing.T, described string) string {
	t.Helper()
	return strings.TrimSpace(command(t, "./version.sh", described))
}

func TestControl(t *testing.T) {
	says(t, command(t, "dpkg-deb", "-f", built.deb), "Depends: auditd (>= 1:2.8)", "Architecture: amd64", "Section: admin")
	dir := t.TempDir()
	command(t, "dpkg-deb", "-e", built.deb, dir)
	conffiles, err := os.ReadFile(dir + "/conffiles")
	must(t, err)
	says(t, string(conffiles), "/etc/audit/plugins.d/history.conf\n", "/etc/audit/audisp-history.yaml\n",
		"/etc/audit/rules.d/15-history.rules\n", "/etc/logrotate.d/audisp-history\n")
	command(t, "sh", "-c", "cd "+dir+" && dpkg-deb -x "+built.deb+" tree && cd tree && md5sum --quiet -c ../md5sums")
}

func TestRPMDependencies(t *testing.T) {
	says(t, command(t, "rpm", "-qp", "--requires", built.rpm), "audit >= 2.8", "logrotate", "/bin/sh")
	config := command(t, "rpm", "-qp", "--qf", "[%{FILEFLAGS:fflags} %{FILENAMES}\n]", built.rpm)
	says(t, config, "cn /etc/audit/plugins.d/history.conf", "cn /etc/audit/audisp-history.yaml", "cn /etc/audit/rules.d/15-history.rules",
		"g /var/lib/audisp-history")
	says(t, command(t, "rpm", "-qp", "--scripts", built.rpm), "postinstall scriptlet (using /bin/sh):",
		"preuninstall scriptlet (using /bin/sh):", "postuninstall scriptlet (using /bin/sh):")
}

func TestLintian(t *testing.T) {
	args := append([]string{"--allow-root", "--fail-on", "error,warning"}, built.debs...)
	command(t, "lintian", args...)
}

func TestRPMLint(t *testing.T) {
	out := command(t, "rpmlint", append([]string{"-c", "rpm/rpmlint.toml"}, built.rpms...)...)
	says(t, out, " 0 errors")
}

func TestShellcheck(t *testing.T) {
	dir := t.TempDir()
	command(t, "dpkg-deb", "-e", built.deb, dir)
	scripts := glob(dir, "p*")
	for _, part := range []string{"POSTIN", "PREUN", "POSTUN"} {
		text := command(t, "rpm", "-qp", "--qf", "%{"+part+"}", built.rpm)
		name := filepath.Join(dir, "rpm-"+part)
		must(t, os.WriteFile(name, []byte(text+"\n"), 0o600))
		scripts = append(scripts, name)
	}
	command(t, "shellcheck", append([]string{"-s", "sh"}, scripts...)...)
	command(t, "shellcheck", "build.sh", "version.sh", "man/page.sh", "completion/audisp-history.bash")
}

// The pages are right for both formatters; mandoc's wish for short source lines is not one of ours.
func TestManualPages(t *testing.T) {
	dir := t.TempDir()
	command(t, "dpkg-deb", "-x", built.deb, dir)
	for _, page := range glob(dir, "usr/share/man/man*/*.gz") {
		lint, _ := exec.Command("sh", "-c", "gzip -dc "+page+" | mandoc -Tlint").CombinedOutput()
		for line := range strings.Lines(string(lint)) {
			if !strings.Contains(line, "input text line longer than 80 bytes") {
				t.Error(line)
			}
		}
		if out := command(t, "sh", "-c", "man --warnings -E UTF-8 -l "+page+" >/dev/null"); out != "" {
			t.Error(out)
		}
		says(t, command(t, "gzip", "-dc", page), `" "audisp-history `+version(t, describe(t)))
	}
	says(t, command(t, "sh", "-c", "MANWIDTH=100 man -E ascii -l "+dir+"/usr/share/man/man5/*.gz"), "Every key is shown with its default", "max_bytes: 4096")
}

// describe is the commit as version.sh sees it, "" without a tag.
func describe(t *testing.T) string {
	out, err := exec.Command("git", "describe", "--tags", "--dirty", "--match", "v[0-9]*").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// bash, zsh and fish take their files, and bash completes.
func TestShells(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"audisp-history re", "replay"},
		{"audisp-history st", "status"},
		{"audisp-history status --s", "--state-dir"},
		{"audisp-history replay --style ", "field record"},
		{"audisp-history replay --style = r", "record"},
		{"audisp-history check --config man/", "man/audisp-history.8.md"},
	} {
		words := strings.Split(c.line, " ")
		script := fmt.Sprintf(`. completion/audisp-history.bash; COMP_WORDS=("$@"); COMP_CWORD=%d; _audisp_history; echo "${COMPREPLY[*]}"`, len(words)-1)
		out := command(t, "bash", append([]string{"-c", script, "bash"}, words...)...)
		says(t, out, c.want)
	}
	command(t, "zsh", "-n", "completion/_audisp-history")
	out := command(t, "fish", "--no-config", "-c", "source completion/audisp-history.fish; complete -C 'audisp-history status --'")
	says(t, out, "--state-dir", "--json", "--config")
}

// README's commands name the packages that make packages makes. Those for Debian are run by packages-vm-test.
func TestREADMEInstall(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	must(t, err)
	_, install, _ := strings.Cut(string(text), "\n### Install\n")
	install, _, _ = strings.Cut(install, "\n##")
	for _, tool := range []string{"dpkg -i ", "rpm -U "} {
		_, name, found := strings.Cut(install, "\n    "+tool)
		name, _, _ = strings.Cut(name, "\n")
		if !found || len(glob(built.dir, strings.TrimPrefix(name, "dist/"))) != 1 {
			t.Errorf("%s%q: no such package is made", tool, name)
		}
	}
}

package main

import (
	"os"
	"path/filepath"
	"slices"

	"audisp-history/conf"
	"audisp-history/plugin/auditlog"
	"audisp-history/plugin/confine"
	"audisp-history/plugin/sink"
)

// The program keeps what it needs and gives up the rest: capabilities before it makes or opens anything, the file system
// when everything is open and /proc has been looked at (see package confine).

// usedPaths are the files and directories that the program uses while it runs.
func usedPaths(c *conf.Config, config string) []confine.Path {
	read := func(name string) confine.Path { return confine.Path{Name: name} }
	write := func(name string) confine.Path { return confine.Path{Name: name, Write: true} }
	if config == "" {
		config = conf.DefaultPath
	}
	paths := []confine.Path{read("/proc"), read(filepath.Dir(config)), read("/etc/localtime")}
	if c.State.Dir != "" {
		paths = append(paths, write(c.State.Dir))
	}
	if c.Auditd != "" {
		paths = append(paths, read(filepath.Dir(c.Auditd)))
		if log, err := auditlog.Find(c.Auditd); err == nil { // else it is said when it is looked for
			paths = append(paths, read(filepath.Dir(log.Path())))
		}
	}
	for i := range c.Outputs {
		paths = append(paths, outputPaths(&c.Outputs[i])...)
		paths = append(paths, helpfulPaths(&c.Outputs[i])...)
	}
	return paths
}

// outputPaths are what an output cannot do without.
func outputPaths(o *conf.Output) []confine.Path {
	var paths []confine.Path
	if o.File != nil {
		paths = append(paths, confine.Path{Name: filepath.Dir(o.File.Path), Write: true})
	}
	if s := o.Syslog; s != nil {
		// To find the host and to trust it: files that are replaced, so it is their directories.
		paths = append(paths, confine.Path{Name: "/etc"})
		for _, name := range []string{s.CA, s.Certificate, s.Key} {
			if name != "" {
				paths = append(paths, confine.Path{Name: filepath.Dir(name)})
				paths = append(paths, linked(name)...)
			}
		}
	}
	return paths
}

var (
	// lookedUp are files of /etc that finding a host and trusting it take (packages net and crypto/x509), and that may be
	// links to somewhere else.
	lookedUp = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services", "/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem", "/etc/ssl/certs", "/etc/pki/tls/certs"}
	// helpfulDirs are where such links lead to, on systems where the files may be made after the program has started: those
	// of systemd-resolved, NetworkManager, SUSE; Debian's links in /etc/ssl/certs lead to two of them.
	helpfulDirs = []string{"/run/systemd/resolve", "/run/NetworkManager", "/var/lib/ca-certificates",
		"/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/usr/share/zoneinfo"}
)

// linked is the directory of the file that a symbolic link leads to; the file itself, if that is the root. Landlock
// asks where a file is, not by which name it was found.
func linked(name string) []confine.Path {
	real, err := filepath.EvalSymlinks(name)
	if err != nil || real == filepath.Clean(name) || real == "/" {
		return nil // it is missing, or its directory is known already, or it would be all there is
	}
	if info, err := os.Stat(real); err == nil && !info.IsDir() && filepath.Dir(real) != "/" {
		real = filepath.Dir(real) // for the next file of that name
	}
	return []confine.Path{{Name: real}}
}

// helpfulPaths are what an output reads if it is there. A reload does not ask for them: a system may lack them, or have
// replaced them.
func helpfulPaths(o *conf.Output) []confine.Path {
	var names []string
	if o.File != nil && o.File.Group != "" {
		names = append(names, "/etc/group") // another name in it for a group that was joined
	}
	var paths []confine.Path
	if o.Syslog != nil {
		names = append(names, helpfulDirs...)
		for _, name := range lookedUp {
			paths = append(paths, linked(name)...)
		}
	}
	for _, name := range names {
		if _, err := os.Stat(name); err == nil {
			paths = append(paths, confine.Path{Name: name})
		}
	}
	return paths
}

// outputGroups are the groups that files are given to.
func outputGroups(outputs []conf.Output) []int {
	var groups []int
	for i := range outputs {
		f := outputs[i].File
		if f == nil || f.Group == "" {
			continue
		}
		// The configuration was loaded, so they are all known.
		if gid, err := sink.LookupGroup(f.Group); err == nil && !slices.Contains(groups, gid) {
			groups = append(groups, gid)
		}
	}
	return groups
}

// usable tells whether an output that is new or changed works with what the program has kept.
func (r *runner) usable(o *conf.Output) error {
	for _, p := range outputPaths(o) {
		if err := r.enclosure.Check(p); err != nil {
			return err
		}
	}
	for _, gid := range outputGroups([]conf.Output{*o}) {
		if err := confine.CheckGroup(gid); err != nil {
			return err
		}
	}
	return nil
}

// privileges are given up at once. The error is about what the configuration asks for.
func (r *runner) dropPrivileges(config string) error {
	notices, err := confine.Apply(confine.Config{
		User: r.conf.User, Groups: outputGroups(r.conf.Outputs), Rules: r.kernel != nil, Paths: usedPaths(r.conf, config)})
	for _, n := range notices {
		r.log.Info().Msg(n)
	}
	return err
}

// shutIn gives up the file system but for what is used.
func (r *runner) shutIn() {
	if r.enclose == nil {
		return
	}
	var notices []string
	r.enclosure, notices = r.enclose()
	r.enclose = nil
	for _, n := range notices {
		r.log.Info().Msg(n)
	}
}

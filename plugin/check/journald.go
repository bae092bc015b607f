package check

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Where systemd looks for its configuration, the first that has a file of a name wins (journald.conf(5)). Old systems
// have /lib beside /usr/lib.
var systemdDirs = []string{"/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd"}

// journald reads journald.conf, then its drop-ins by name.
func (g *gatherer) journald() Journald {
	var j Journald
	for _, dir := range systemdDirs {
		name := path.Join(dir, "journald.conf")
		if data, found := g.read(name); found {
			j.take(name, data)
			break
		}
	}
	for _, name := range g.dropIns("journald.conf.d") {
		if data, found := g.read(name); found {
			j.take(name, data)
		}
	}
	return j
}

// dropIns lists the *.conf files of the directories in the order in which they are read.
func (g *gatherer) dropIns(sub string) []string {
	where := map[string]string{} // file name to path
	for _, dir := range slices.Backward(systemdDirs) {
		names, err := g.files.List(path.Join(dir, sub))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			g.unread(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, ".conf") {
				where[name] = path.Join(dir, sub, name)
			}
		}
	}
	names := make([]string, 0, len(where))
	for name := range where {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = where[name]
	}
	return names
}

// take reads one file. systemd ships journald.conf with its defaults in comments ("#Audit=no" on Debian, which changes
// the one of upstream), and that is the only place where they can be read.
func (j *Journald) take(name string, data []byte) {
	section := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		key, value, _ := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		switch {
		case section != "[Journal]":
		case strings.TrimSpace(key) == "Audit":
			*j = Journald{Audit: value, From: name}
		case key == "#Audit" && j.From == "":
			*j = Journald{Audit: value, From: name, Default: true}
		}
	}
}

// off tells whether journald switches auditing off (systemd's parse_boolean; an empty value and keep leave it alone).
func (j *Journald) off() bool {
	return slices.Contains([]string{"0", "no", "n", "false", "f", "off"}, strings.ToLower(j.Audit))
}

package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/elastic/go-libaudit/v2"

	"audisp-history/enrich/procfs"
	"audisp-history/plugin/rules"
)

// Kernel is the kernel's audit. A *libaudit.AuditClient is one.
type Kernel interface {
	GetStatus() (*libaudit.AuditStatus, error)
	GetRules() ([][]byte, error)
}

// Sources is where facts come from.
type Sources struct {
	Kernel  func() (Kernel, error) // called once
	Files   Files
	Proc    string                           // a directory like /proc
	Version func() (string, error)           // what auditctl -v prints; called if auditd is installed
	Config  func(path string) (Paths, error) // reads the plugin's configuration; "" is the default file
	UID     int
	Machine rules.Machine
	// ConfigPath is the configuration to look at; "": the one that auditd hands to the plugin.
	ConfigPath string
}

// lookTime is how long /proc may take.
const lookTime = 10 * time.Second

type gatherer struct {
	files Files
	facts *Facts
}

// Gather asks all sources. What cannot be read is noted, never an error: the rest is worth knowing.
func Gather(ctx context.Context, s Sources) *Facts {
	f := &Facts{UID: s.UID, Machine: s.Machine}
	g := &gatherer{s.Files, f}
	g.kernel(s.Kernel)
	if line, err := Tree(s.Proc).Read("cmdline"); err == nil {
		f.CommandLine = strings.Fields(string(line))
	} else {
		g.unread(err)
	}
	f.Auditd = g.auditd(s.Version)
	f.Plugin = g.plugin(ctx, s.Proc)
	f.Journald = g.journald()
	config := s.ConfigPath
	if config == "" {
		config = f.Plugin.config()
	}
	g.paths(s.Config(config))
	return f
}

// paths notes the plugin's configuration and looks at where it writes.
func (g *gatherer) paths(p Paths, err error) {
	if errors.Is(err, fs.ErrPermission) {
		g.unread(err)
		return
	}
	g.facts.Paths, g.facts.ConfigErr = p, err
	if err != nil {
		return
	}
	g.facts.Paths.Known = true
	for _, output := range p.Outputs {
		g.space(path.Dir(output))
	}
	if p.State != "" {
		g.space(p.State)
	}
}

// unread notes what could not be found out.
func (g *gatherer) unread(err error) { g.facts.Unread = append(g.facts.Unread, err.Error()) }

// read returns a file, if it is there and can be read.
func (g *gatherer) read(name string) ([]byte, bool) {
	data, err := g.files.Read(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		g.unread(err)
	}
	return data, err == nil
}

func (g *gatherer) kernel(open func() (Kernel, error)) {
	f := g.facts
	kernel, err := open()
	if err != nil {
		f.KernelErr = err
		return
	}
	if f.Status, f.KernelErr = kernel.GetStatus(); f.KernelErr != nil {
		f.Status = nil
		return
	}
	list, err := kernel.GetRules()
	if err == nil {
		f.Rules, err = rules.ParseAll(list)
	}
	if err != nil {
		g.unread(fmt.Errorf("the kernel's rules: %w", err))
		return
	}
	f.HaveRules = true
}

// Where auditd's programs and files are; /sbin is a link to /usr/sbin on most systems.
var (
	auditdBinaries = []string{"/usr/sbin/auditd", "/sbin/auditd"}
	auditdConf     = "/etc/audit/auditd.conf"
	dispatchConf   = "/etc/audisp/audispd.conf"
)

const (
	pluginDir    = "/etc/audit/plugins.d"
	oldPluginDir = "/etc/audisp/plugins.d"
)

func (g *gatherer) auditd(version func() (string, error)) Auditd {
	var a Auditd
	for _, name := range auditdBinaries {
		if _, err := g.files.Stat(name); err == nil {
			a.Installed = true
		}
	}
	if !a.Installed {
		return a
	}
	if g.facts.UID == 0 { // auditctl answers nobody else
		if text, err := version(); err != nil {
			g.unread(fmt.Errorf("auditd's version: %w", err))
		} else {
			a.Version = parseVersion(text)
		}
	}
	if data, found := g.read(auditdConf); found {
		a.Conf = parseSettings(data)
	}
	a.PluginDir = pluginDir
	if dir := a.Conf.get("plugin_dir"); dir != "" {
		a.PluginDir = dir
	}
	if !a.old(g.files) {
		return a
	}
	a.PluginDir = oldPluginDir
	if data, found := g.read(dispatchConf); found {
		a.Dispatch = parseSettings(data)
	}
	return a
}

// parseVersion takes the number from "auditctl version 3.0.9".
func parseVersion(text string) string {
	words := strings.Fields(text)
	if len(words) == 0 {
		return ""
	}
	v := words[len(words)-1]
	if v[0] < '0' || v[0] > '9' {
		return ""
	}
	return v
}

// old tells auditd 2, whose dispatcher is a program of its own with its own files. These may be left over from it.
func (a *Auditd) old(files Files) bool {
	if a.Version != "" {
		return strings.HasPrefix(a.Version, "2.")
	}
	_, err := files.Stat(pluginDir)
	_, oldErr := files.Stat(dispatchConf)
	return errors.Is(err, fs.ErrNotExist) && oldErr == nil
}

// Binary is the program's name, by which its file in plugins.d is found, whatever that is called.
const Binary = "audisp-history"

func (g *gatherer) plugin(ctx context.Context, proc string) Plugin {
	var p Plugin
	dir := g.facts.Auditd.PluginDir
	if dir == "" {
		return p
	}
	names, err := g.files.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		g.unread(err)
	}
	for _, name := range names {
		file := path.Join(dir, name)
		if !strings.HasSuffix(name, ".conf") {
			continue // auditd reads no others
		}
		data, found := g.read(file)
		if conf := parseSettings(data); found && path.Base(conf.get("path")) == Binary {
			p.File, p.Conf = file, conf
			break
		}
	}
	if p.File == "" {
		return p
	}
	if p.FileStat, err = g.files.Stat(p.File); err != nil {
		g.unread(err)
	}
	stat, err := g.files.Stat(p.Conf.get("path"))
	switch {
	case err == nil:
		p.Binary = &stat
	case !errors.Is(err, fs.ErrNotExist):
		g.unread(err)
	}
	g.running(ctx, proc, &p)
	return p
}

// running looks for the plugin among the children of auditd, or of its dispatcher, which auditd 2 has between.
func (g *gatherer) running(ctx context.Context, proc string, p *Plugin) {
	if g.facts.Status == nil || g.facts.Status.PID == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	look, err := procfs.Read(ctx, proc)
	if err != nil {
		g.unread(err)
		return
	}
	p.LookedAt = true
	parents := map[int]int{}
	for i := range look.Processes {
		parents[look.Processes[i].PID] = look.Processes[i].PPID
	}
	auditd := int(g.facts.Status.PID)
	p.Running = slices.ContainsFunc(look.Processes, func(q procfs.Process) bool {
		return q.Name == Binary && !q.Zombie && (q.PPID == auditd || parents[q.PPID] == auditd)
	})
}

// config is the file that the plugin is told to read, "" for the default.
func (p *Plugin) config() string {
	args := p.Conf["args"].values
	for i, a := range args {
		if value, found := strings.CutPrefix(strings.TrimLeft(a, "-"), "config="); found {
			return value
		}
		if strings.TrimLeft(a, "-") == "config" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// space looks at the file system of dir, or of what there is of the way to it.
func (g *gatherer) space(dir string) {
	for {
		free, none, err := g.files.Free(dir)
		if errors.Is(err, fs.ErrNotExist) && dir != "/" {
			dir = path.Dir(dir)
			continue
		}
		if err != nil {
			g.unread(fmt.Errorf("space: %w", err))
			return
		}
		g.facts.Space = append(g.facts.Space, Space{dir, free, none})
		return
	}
}

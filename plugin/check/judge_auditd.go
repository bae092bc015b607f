package check

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"audisp-history/plugin/rules"
)

// reload is how auditd is told to read its configuration; auditctl 2 has no --signal.
func (j *judge) reload() string {
	if j.Auditd.PluginDir == oldPluginDir {
		return ", then pkill -HUP -x auditd"
	}
	return ", then auditctl --signal hup"
}

func (j *judge) auditd() {
	a := &j.Auditd
	if !a.Installed {
		j.found(Error, "no-auditd", "auditd is not installed", "the plugin gets its records from auditd",
			"apt-get install auditd, or dnf install audit")
		return
	}
	j.queue(a)
	if a.Conf == nil {
		return
	}
	if a.Conf.is("local_events", "no", "yes") {
		j.found(Error, "local-events", auditdConf+": local_events = no", "auditd does not listen to this kernel",
			"local_events = yes in "+auditdConf+", then restart auditd")
	}
	if a.Conf.is("write_logs", "no", "yes") || a.Conf.is("log_format", "nolog", "") {
		j.found(Warning, "write-logs", auditdConf+": auditd writes no log",
			"what happens while the plugin is down is caught up from auditd's log; without one it is lost",
			"write_logs = yes in "+auditdConf+j.reload())
	}
	if a.Conf.is("log_format", "raw", "") && (a.Version == "4.2.0" || a.Version == "4.2.1" || a.Version == "4.2") {
		j.found(Error, "log-format", fmt.Sprintf("%s: log_format = RAW with auditd %s", auditdConf, a.Version),
			"this version cuts records in that format, so fields are missing from them",
			"log_format = ENRICHED in "+auditdConf+j.reload()+"; or a later auditd")
	}
	j.node(a)
}

// queue looks at q_depth, which has moved from audispd.conf to auditd.conf. Where auditd 2 is told nothing, it is 80
// (audispd-config.c: clear_config); later ones have enough by default.
func (j *judge) queue(a *Auditd) {
	file, conf, byDefault := auditdConf, a.Conf, ""
	if a.PluginDir == oldPluginDir {
		file, conf, byDefault = dispatchConf, a.Dispatch, "80"
	}
	depth := conf.get("q_depth")
	if conf == nil || depth == "" && byDefault == "" {
		return
	}
	if depth == "" {
		depth = byDefault
	}
	if number(depth) < leastQueue {
		j.found(Warning, "q-depth", fmt.Sprintf("%s: q_depth is %s, less than %d", file, depth, leastQueue),
			"auditd drops records for all plugins when its queue is full, and a burst of forks fills a short one",
			fmt.Sprintf("q_depth = %d in %s, then restart auditd", leastQueue, file))
	}
}

// node compares what auditd writes as node= with what the plugin takes for this host.
func (j *judge) node(a *Auditd) {
	format := strings.ToLower(a.Conf.get("name_format"))
	if a.Dispatch != nil {
		format = strings.ToLower(a.Dispatch.get("name_format"))
	}
	if !j.Paths.Known || format == "" || format == "none" {
		return
	}
	name := a.Conf.get("name")
	if j.Paths.Node != "" && (format != "user" || name == "" || name == j.Paths.Node) {
		return // hostname, fqd and numeric: only a record shows what they come to
	}
	if name == "" || format != "user" {
		name = "NAME, as it stands after node= in this host's records"
	}
	j.found(Warning, "node", fmt.Sprintf("name_format = %s, but the plugin's node is %q", format, j.Paths.Node),
		"the plugin takes this host's records for another's and does not look at /proc for them",
		"node: "+name+", in the plugin's configuration")
}

// pluginLines has auditd start the plugin; packaging/plugins.d/history.conf is the same.
var pluginLines = []string{
	"active = yes", "direction = out", "path = /usr/sbin/" + Binary, "type = always", "args = run", "format = string",
}

func (j *judge) plugin() {
	p := &j.Plugin
	if !j.Auditd.Installed {
		return
	}
	if p.File == "" {
		if len(j.Unread) == 0 { // else it may be there
			j.found(Error, "plugin-missing", "no file in "+j.Auditd.PluginDir+" names the plugin", "auditd does not start it",
				"install the package again, with dpkg --force-confmiss where there is dpkg; or write this to "+j.Auditd.PluginDir+"/history.conf, with owner root and mode 0640, a line each: "+
					strings.Join(pluginLines, ", ")+j.reload())
		}
		return
	}
	before := len(j.findings)
	j.pluginFile(p)
	j.pluginConf(p)
	j.pluginBinary(p)
	if p.LookedAt && !p.Running && len(j.findings) == before {
		j.found(Error, "plugin-down", "auditd is running, the plugin is not",
			"auditd starts it when it starts or is told to, and gives up on it after max_restarts",
			"service auditd restart; what goes wrong is in the system's log")
	}
}

func (j *judge) pluginFile(p *Plugin) {
	mode := p.FileStat.Mode
	if mode == 0 && p.FileStat.UID == 0 {
		return // it is in Unread
	}
	if p.FileStat.UID == 0 && mode.IsRegular() && mode.Perm()&0o022 == 0 {
		return
	}
	j.found(Error, "plugin-file", fmt.Sprintf("%s: mode %04o, owner %d", p.File, mode.Perm(), p.FileStat.UID),
		"auditd refuses such a file, because others than root could put their program into it",
		fmt.Sprintf("chown root:root %s; chmod 0640 %s", p.File, p.File)+j.reload())
}

// mustBe are the values that auditd and the plugin agree on, and what auditd takes where nothing is said
// (audispd-pconfig.c: clear_pconfig).
var mustBe = []struct{ name, value, byDefault string }{
	{"direction", "out", ""},
	{"type", "always", "always"},
	{"format", "string", "string"},
}

var knownNames = []string{"active", "direction", "path", "type", "args", "format"}

// most is how many arguments auditd passes on; a plugin with more it does not start, and 3.0.9 does not say so.
const most = 2

func (j *judge) pluginConf(p *Plugin) {
	if bad, found := p.Conf[badLine]; found {
		j.refused(p, bad.line, "is not of the form \"name = value\", with blanks around the = and at most 158 bytes")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Conf)) {
		if name != badLine && !slices.Contains(knownNames, name) {
			j.refused(p, p.Conf[name].line, "sets "+strconv.Quote(name)+", which auditd does not know")
		}
	}
	if !p.Conf.is("active", "yes", "no") {
		j.found(Error, "plugin-inactive", p.File+": active is not yes", "auditd does not start the plugin", "active = yes in "+p.File+j.reload())
	}
	for _, m := range mustBe {
		if !p.Conf.is(m.name, m.value, m.byDefault) {
			j.found(Error, "plugin-conf", fmt.Sprintf("%s: %s is not %s", p.File, m.name, m.value),
				"auditd does not start the plugin, or hands it what it cannot read", m.name+" = "+m.value+" in "+p.File+j.reload())
		}
	}
	if n := len(p.Conf["args"].values); n > most {
		j.found(Error, "plugin-args", fmt.Sprintf("%s: args has %d words", p.File, n),
			"auditd passes on two at the most and does not start a plugin with more; 3.0.9 does not even say so",
			"args = run --config=FILE in "+p.File+j.reload())
	}
}

func (j *judge) refused(p *Plugin, line int, what string) {
	j.found(Error, "plugin-conf", fmt.Sprintf("%s:%d: the line %s", p.File, line, what),
		"auditd skips the line or refuses the whole file", "put the line right"+j.reload())
}

func (j *judge) pluginBinary(p *Plugin) {
	name := p.Conf.get("path")
	if p.Binary == nil {
		if len(j.Unread) == 0 {
			j.found(Error, "plugin-binary", name+": there is no such program", "auditd cannot start it",
				"install the package again, or the program as "+name+" with owner root and mode 0750"+j.reload())
		}
		return
	}
	perm := p.Binary.Mode.Perm()
	if p.Binary.UID == 0 && p.Binary.Mode.IsRegular() && (perm == 0o750 || perm == 0o755) {
		return
	}
	j.found(Error, "plugin-binary", fmt.Sprintf("%s: mode %04o, owner %d", name, perm, p.Binary.UID),
		"auditd starts only what belongs to root and has the mode 0750 or 0755",
		fmt.Sprintf("chown root:root %s; chmod 0750 %s", name, name)+j.reload())
}

// places is about where the plugin writes.
func (j *judge) places() {
	if j.ConfigErr != nil {
		j.found(Error, "config", "the plugin's configuration: "+strings.ReplaceAll(j.ConfigErr.Error(), "\n", "; "),
			"the plugin does not start with it", "put right what is said there"+j.reload())
		return
	}
	var watching []string
	for _, output := range j.Paths.Outputs {
		watching = append(watching, rules.Watching(j.Machine, output, j.Rules)...)
	}
	if j.Paths.State != "" {
		watching = append(watching, rules.Watching(j.Machine, path.Join(j.Paths.State, "file"), j.Rules)...)
	}
	slices.Sort(watching)
	for _, rule := range slices.Compact(watching) {
		j.found(Warning, "watched", "the plugin writes to a place that a rule watches: "+rule,
			"what it opens there makes records, which it writes there, too",
			"narrow the rule, or set the path of the output (now "+strings.Join(j.Paths.Outputs, ", ")+") or state.dir to a place that no rule watches")
	}
	for _, s := range j.Space {
		switch {
		case s.NoNode:
			j.found(Error, "space", s.Dir+": no inode is left", "the plugin cannot create files there",
				"remove files there, or choose another file system")
		case s.Free < leastFree:
			j.found(Error, "space", fmt.Sprintf("%s: %s are free, less than %s", s.Dir, mebibytes(s.Free), mebibytes(leastFree)),
				"a busy hour fills that, and records that cannot be written are lost",
				"make room, or choose another file system, and rotate the output")
		}
	}
}

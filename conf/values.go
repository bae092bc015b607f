package conf

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// auditLogs is auditd's own directory. It renames and counts the files there,
// and the program reads audit.log* in it, so its output cannot go there too.
const auditLogs = "/var/log/audit"

// UnmarshalYAML reads m from three or four octal digits, quoted or not
// ("0640"). The owner must be able to read and write; execute bits and write
// permission for everyone are refused.
func (m *Mode) UnmarshalYAML(n *yaml.Node) error {
	const remedy = `write octal digits in quotes, such as "0600" or "0640"`
	v, err := strconv.ParseUint(n.Value, 8, 32)
	if err != nil || len(n.Value) < 3 || len(n.Value) > 4 {
		return fmt.Errorf("%s is not a file mode; %s", quoted(n.Value), remedy)
	}
	if v&0o600 != 0o600 {
		return fmt.Errorf("%s keeps the owner from reading and writing; %s", quoted(n.Value), remedy)
	}
	if v&^0o664 != 0 {
		return fmt.Errorf("%s lets everyone write, or execute, or has a special bit; %s", quoted(n.Value), remedy)
	}
	*m = Mode(v)
	return nil
}

// MarshalYAML writes m as UnmarshalYAML reads it.
func (m Mode) MarshalYAML() (any, error) { return fmt.Sprintf("%04o", uint32(m)), nil }

// values checks the values that have their type. What the file does not set is
// a default, and those are right.
func (r *reader) values(c Config) {
	r.outputs(c.Outputs)
	r.oneOf("history.cut", string(c.History.Cut), string(CutMiddle), string(CutFront))
	if c.History.MaxBytes != 0 {
		// Less than 256 holds no three elements, more than 8192 no longer fits a
		// line together with the record itself.
		r.between("history.max_bytes", c.History.MaxBytes, 256, 8192, "; 0 is no limit but the line's")
	}
	r.optionalPath("state.dir", c.State.Dir, "such as /var/lib/audisp-history; \"\" keeps nothing")
	r.between("state.boots", c.State.Boots, 0, 1000, "")
	r.between("state.boots_bytes", c.State.BootsBytes, 0, 1<<40, "")
	// Less than a record and a chunk would drop everything.
	r.between("spool.memory_bytes", c.Spool.Memory, 1<<20, 1<<36, "")
	r.between("spool.file_bytes", c.Spool.File, 0, 1<<44, "; 0 uses no file")
	r.optionalPath("auditd_conf", c.Auditd, "such as /etc/audit/auditd.conf; \"\" reads no log of auditd's")
	r.word("node", c.Node, "a node name; give the one word that stands after node= in this host's records")

	r.oneOf("rules.on_removal", string(c.Rules.OnRemoval), string(RemovalReport), string(RemovalRestore))
	r.word("user", c.User, "a user; give a name or a number")
	// The kernel has at most 4194304 pids (include/linux/threads.h:
	// PID_MAX_LIMIT); other nodes' tasks come on top.
	r.between("limits.tasks", c.Limits.Tasks, 1024, 1<<24, "")
	r.between("limits.ended", c.Limits.Ended, 64, 1<<24, "")
	r.between("limits.execs", c.Limits.Execs, 1024, 1<<26, "")
	r.between("limits.depth", c.Limits.Depth, 8, 1<<16-1, "")
	r.between("limits.open_events", c.Limits.OpenEvents, 16, 1<<20, "")
	r.between("limits.pending_forks", c.Limits.PendingForks, 16, 1<<22, "")
	r.oneOf("log.level", string(c.Log.Level), string(LevelDebug), string(LevelInfo), string(LevelWarn), string(LevelError))
}

// wrong notes a problem with the value of key, unless it has one already.
func (r *reader) wrong(key, format string, args ...any) {
	if line, set := r.lines[key]; set {
		r.add(line, "%s: %s", key, fmt.Sprintf(format, args...))
	}
}

func (r *reader) between(key string, v, least, most int, also string) {
	if v < least || v > most {
		r.wrong(key, "%d is out of range; give %d to %d%s", v, least, most, also)
	}
}

func (r *reader) oneOf(key, v string, choices ...string) {
	if !slices.Contains(choices, v) {
		r.wrong(key, "%s is not known; choose one of: %s", quoted(v), strings.Join(choices, ", "))
	}
}

func (r *reader) outputPath(key, v string) {
	const example = "such as /var/log/audisp-history/history.log"
	switch {
	case !path.IsAbs(v) || strings.HasSuffix(v, "/"):
		// auditd starts its plugins in / (DESIGN.md, section 5), so a relative
		// name would not mean what its writer thought.
		r.wrong(key, "%s is not an absolute file name; give one, %s", quoted(v), example)
	case len(v) > 4095 || strings.ContainsFunc(v, isControl):
		r.wrong(key, "%s is too long or holds a control character; give a plain file name, %s", quoted(v), example)
	case strings.HasPrefix(path.Clean(v)+"/", auditLogs+"/"):
		r.wrong(key, "%s is in auditd's own directory; choose another, %s", quoted(v), example)
	}
}

// optionalPath checks an absolute name that may be empty.
func (r *reader) optionalPath(key, v, example string) {
	switch {
	case v == "":
	case !path.IsAbs(v):
		r.wrong(key, "%s is not an absolute name; give one, %s", quoted(v), example)
	case len(v) > 4095 || strings.ContainsFunc(v, isControl):
		r.wrong(key, "%s is too long or holds a control character; give a plain name, %s", quoted(v), example)
	}
}

// word checks what must be one word, or nothing.
func (r *reader) word(key, v, what string) {
	if len(v) > 255 || strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c > '~' }) {
		r.wrong(key, "%s is not %s", quoted(v), what)
	}
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

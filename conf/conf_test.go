package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// full sets every key to something that is not its default.
const full = `output:
  path: /srv/audit/h.log
  mode: "0640"
history:
  style: record
  cut: front
  max_bytes: 0
state:
  dir: /srv/state
  boots: 5
  boots_bytes: 1000
auditd_conf: /srv/auditd.conf
node: db7
limits:
  tasks: 2048
  ended: 128
  execs: 4096
  depth: 64
  open_events: 32
  pending_forks: 16
log:
  level: debug
`

func TestParseReadsEveryKey(t *testing.T) {
	want := Config{
		Output:  Output{Path: "/srv/audit/h.log", Mode: 0o640},
		History: History{Style: StyleRecord, Cut: CutFront, MaxBytes: 0},
		State:   State{Dir: "/srv/state", Boots: 5, BootsBytes: 1000},
		Auditd:  "/srv/auditd.conf",
		Node:    "db7",
		Limits:  Limits{Tasks: 2048, Ended: 128, Execs: 4096, Depth: 64, OpenEvents: 32, PendingForks: 16},
		Log:     Log{Level: LevelDebug},
	}
	got, err := Parse("f", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// full must not leave a key at its default, or the test proves nothing of it.
	eachLeaf(reflect.ValueOf(got), reflect.ValueOf(Default()), "", func(path string, v, d reflect.Value) {
		if v.Equal(d) {
			t.Errorf("%s: the test's file gives it its default", path)
		}
	})
}

func TestParseTakesDefaults(t *testing.T) {
	some := Default()
	some.History.Cut = CutFront
	bare := Default()
	bare.Output.Mode = 0o644
	beside := Default()
	beside.Output.Path = "/var/log/audit2/h"
	digits := Default()
	digits.Node = "10"
	for name, c := range map[string]struct {
		file string
		want Config
	}{
		"empty":                  {"", Default()},
		"only comments":          {"# nothing\n", Default()},
		"an empty document":      {"---\n", Default()},
		"a heading without keys": {"history:\n#  cut: front\nlimits:\n", Default()},
		"one key":                {"history:\n  cut: front\n", some},
		"one key in braces":      {"history: {cut: front}\n", some},
		"JSON":                   {`{"history": {"cut": "front"}}`, some},
		"a byte order mark":      {"\ufeffhistory:\n  cut: front\n", some},
		"carriage returns":       {"history:\r\n  cut: front\r\n", some},
		"an end of document":     {"history:\n  cut: front\n...\n", some},
		"a mode without quotes":  {"output:\n  mode: 0644\n", bare},
		"a mode of three digits": {"output:\n  mode: '644'\n", bare},
		"a node name of digits":  {"node: 10\n", digits},
		"numbers at their least": {numbers(256, 1024, 64, 1024, 8, 16, 16), limits(256, 1024, 64, 1024, 8, 16, 16)},
		"numbers at their most": {numbers(8192, 16777216, 16777216, 67108864, 65536, 1048576, 4194304),
			limits(8192, 16777216, 16777216, 67108864, 65536, 1048576, 4194304)},
		"a directory named like auditd's": {"output:\n  path: /var/log/audit2/h\n", beside},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse("f", []byte(c.file))
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want []string // the start of each line of the error
	}{
		"an unknown key": {"history:\n  styel: field\n", []string{`f:2: unknown key "styel" under "history"; known keys: style, cut, max_bytes`}},
		"an unknown key at the top": {"\nhistorie:\n  style: field\n",
			[]string{`f:2: unknown key "historie" at the top level; known keys: output, history, state, auditd_conf, node, limits, log`}},
		"a key in capitals":           {"Node: x\n", []string{`f:1: unknown key "Node" at the top level`}},
		"the same key twice":          {"node: a\nlog:\n  level: info\nnode: b\n", []string{`f:4: key "node" at the top level is already set in line 1; keep one`}},
		"the same block twice":        {"log:\n  level: info\nlog:\n  level: warn\n", []string{`f:3: key "log" at the top level is already set in line 1`}},
		"two documents":               {"node: a\n---\nnode: b\n", []string{`f:2: a second document begins here`}},
		"a broken second document":    {"node: a\n---\n[\n", []string{`f:`}},
		"no YAML":                     {"history:\n\tstyle: field\n", []string{`f:2: found character that cannot start any token`}},
		"a list at the top":           {"- a\n", []string{`f:1: the file: here go "key: value" lines; known keys: output`}},
		"a word at the top":           {"hello\n", []string{`f:1: the file: here go "key: value" lines`}},
		"a word for a block":          {"history: field\n", []string{`f:1: history: here go "key: value" lines; known keys: style`}},
		"a list for a word":           {"history:\n  style: [field]\n", []string{`f:2: history.style: here goes a single value`}},
		"a block for a word":          {"node:\n  name: x\n", []string{`f:2: node: here goes a single value`}},
		"a relative directory":        {"state:\n  dir: state\n", []string{`f:2: state.dir: "state" is not an absolute name; give one, such as /var/lib/audisp-history`}},
		"a negative number of boots":  {"state:\n  boots: -1\n", []string{`f:2: state.boots: -1 is out of range; give 0 to 1000`}},
		"a control in a name":         {"auditd_conf: \"/a\\u0001\"\n", []string{`f:1: auditd_conf: "/a\x01" is too long or holds a control character`}},
		"no value":                    {"history:\n  style:\n", []string{`f:2: history.style: has no value`}},
		"an alias":                    {"node: &a x\nlog:\n  level: *a\n", []string{`f:3: log.level: an alias (*a); write the value itself`}},
		"a merge":                     {"log: &a {level: info}\nhistory:\n  <<: *a\n", []string{`f:3: unknown key "<<" under "history"`}},
		"a key that is no word":       {"? [a, b]\n: c\n", []string{`f:1: unknown key "" at the top level`}},
		"an unknown style":            {"history:\n  style: fields\n", []string{`f:2: history.style: "fields" is not known; choose one of: field, record`}},
		"a style in capitals":         {"history:\n  style: Field\n", []string{`f:2: history.style: "Field" is not known`}},
		"an unknown cut":              {"history:\n  cut: back\n", []string{`f:2: history.cut: "back" is not known; choose one of: middle, front`}},
		"an unknown level":            {"log:\n  level: loud\n", []string{`f:2: log.level: "loud" is not known; choose one of: debug, info, warn, error`}},
		"a word for a number":         {"history:\n  max_bytes: many\n", []string{`f:2: history.max_bytes: "many" is not a whole number`}},
		"a number in quotes":          {"history:\n  max_bytes: '4096'\n", []string{`f:2: history.max_bytes: "4096" is not a whole number`}},
		"a fraction":                  {"history:\n  max_bytes: 4096.5\n", []string{`f:2: history.max_bytes: "4096.5" is not a whole number`}},
		"an octal number":             {"limits:\n  depth: 0100\n", []string{`f:2: limits.depth: "0100" is not a whole number`}},
		"a number beyond all":         {"limits:\n  depth: 99999999999999999999\n", []string{`f:2: limits.depth: "99999999999999999999" is not a whole number`}},
		"max_bytes below zero":        {"history:\n  max_bytes: -1\n", []string{`f:2: history.max_bytes: -1 is out of range`}},
		"a wrong number is told once": {"limits:\n  depth: 070000000\n", []string{`f:2: limits.depth: "070000000" is not a whole number`}},
		"a relative path":             {"output:\n  path: history.log\n", []string{`f:2: output.path: "history.log" is not an absolute file name`}},
		"an empty path":               {"output:\n  path: ''\n", []string{`f:2: output.path: "" is not an absolute file name`}},
		"a directory":                 {"output:\n  path: /var/log/\n", []string{`f:2: output.path: "/var/log/" is not an absolute file name`}},
		"a newline in a path":         {"output:\n  path: \"/a\\nb\"\n", []string{`f:2: output.path: "/a\nb" is too long or holds a control character`}},
		"a path beyond PATH_MAX":      {"output:\n  path: /" + strings.Repeat("x", 4095) + "\n", []string{`f:2: output.path: "/xxx`}},
		"auditd's directory":          {"output:\n  path: /var/log/audit/history.log\n", []string{`f:2: output.path: "/var/log/audit/history.log" is in auditd's own directory`}},
		"auditd's directory, crooked": {"output:\n  path: /var/log/./x/../audit//h\n", []string{`f:2: output.path: "/var/log/./x/../audit//h" is in auditd's own`}},
		"a mode in words":             {"output:\n  mode: u=rw\n", []string{`f:2: output.mode: "u=rw" is not a file mode; write octal digits in quotes`}},
		"a mode that is not octal":    {"output:\n  mode: '0680'\n", []string{`f:2: output.mode: "0680" is not a file mode`}},
		"a mode with a prefix":        {"output:\n  mode: 0o600\n", []string{`f:2: output.mode: "0o600" is not a file mode`}},
		"a mode for nobody":           {"output:\n  mode: '0400'\n", []string{`f:2: output.mode: "0400" keeps the owner from reading and writing`}},
		"a mode for everybody":        {"output:\n  mode: '0666'\n", []string{`f:2: output.mode: "0666" lets everyone write`}},
		"an executable":               {"output:\n  mode: '0700'\n", []string{`f:2: output.mode: "0700" lets everyone write, or execute`}},
		"a setuid file":               {"output:\n  mode: '4600'\n", []string{`f:2: output.mode: "4600" lets everyone write, or execute, or has a special bit`}},
		"a node of two words":         {"node: a b\n", []string{`f:1: node: "a b" is not a node name`}},
		"a node outside ASCII":        {"node: bücher\n", []string{`f:1: node: "bücher" is not a node name`}},
		"control characters":          {"node: \"\\e[31m\"\n", []string{`f:1: node: "\x1b[31m" is not a node name`}},
		"a long value is clipped":     {"node: '" + strings.Repeat("x", 300) + "'\n", []string{`f:1: node: "` + strings.Repeat("x", 60) + `…" is not`}},
		"everything at once, by line": {"log:\n  level: loud\nhistory:\n  styel: field\n  max_bytes: 1\noutput:\n  mode: 9\n  path: x\nnode:\n",
			[]string{"f:2: log.level", `f:4: unknown key "styel"`, "f:5: history.max_bytes", "f:7: output.mode", "f:8: output.path", "f:9: node: has no value"}},
		"two on one line":                                {"history: {style: a, cut: b}\n", []string{"f:1: history.style", "f:1: history.cut"}},
		"problem upon problem":                           {strings.Repeat("a: b\n", 20_000), append(slices.Repeat([]string{`f:`}, 50), "f: and 19950 more problems")},
		"a mapping for a word, of one key over and over": {"node:\n" + strings.Repeat(" a: b\n", 30_000), []string{`f:2: node: here goes a single value`}},
		"a megabyte":                                     {strings.Repeat("#", MaxFileBytes+1), []string{"f: more than 1048576 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f", []byte(c.file))
			if err == nil {
				t.Fatal("accepted")
			}
			got := strings.Split(err.Error(), "\n")
			if len(got) != len(c.want) {
				t.Fatalf("%d problems, want %d:\n%v", len(got), len(c.want), err)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("got  %s\nwant %s", got[i], want)
				}
			}
		})
	}
}

func TestParseBoundsNumbers(t *testing.T) {
	for _, c := range []struct {
		block, key  string
		least, most int
	}{
		{"history", "max_bytes", 256, 8192},
		{"limits", "tasks", 1024, 16777216},
		{"limits", "ended", 64, 16777216},
		{"limits", "execs", 1024, 67108864},
		{"limits", "depth", 8, 65536},
		{"limits", "open_events", 16, 1048576},
		{"limits", "pending_forks", 16, 4194304},
	} {
		t.Run(c.key, func(t *testing.T) {
			for _, v := range []int{-1, c.least - 1, c.most + 1} {
				_, err := Parse("f", fmt.Appendf(nil, "%s:\n  %s: %d\n", c.block, c.key, v))
				want := fmt.Sprintf("f:2: %s.%s: %d is out of range; give %d to %d", c.block, c.key, v, c.least, c.most)
				if err == nil || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("got  %v\nwant %s", err, want)
				}
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.yaml")
	big := filepath.Join(dir, "big.yaml")
	write(t, good, full)
	write(t, big, strings.Repeat("#\n", MaxFileBytes))

	t.Run("a file", func(t *testing.T) {
		c, err := Load(good)
		if err != nil {
			t.Fatal(err)
		}
		if c.Node != "db7" {
			t.Errorf("node %q, want db7", c.Node)
		}
	})
	t.Run("a missing file is told from a bad one", func(t *testing.T) {
		_, err := Load(filepath.Join(dir, "none.yaml"))
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v does not wrap fs.ErrNotExist", err)
		}
	})
	t.Run("a directory", func(t *testing.T) {
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("error %v, want one that names %s", err, dir)
		}
	})
	t.Run("a file that is too large", func(t *testing.T) {
		if _, err := Load(big); err == nil || !strings.HasPrefix(err.Error(), big+": more than") {
			t.Errorf("error %v, want its size refused", err)
		}
	})
}

// The file that is shipped documents every key and changes nothing.
func TestShippedFile(t *testing.T) {
	const name = "../packaging/audisp-history.yaml"
	c, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	if c != Default() {
		t.Errorf("it gives   %+v\nthe default %+v", c, Default())
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := document(data)
	if err != nil {
		t.Fatal(err)
	}
	r := reader{lines: map[string]int{}}
	r.read(doc, &c)
	lines := strings.Split(string(data), "\n")
	eachLeaf(reflect.ValueOf(c), reflect.ValueOf(c), "", func(path string, _, _ reflect.Value) {
		line, set := r.lines[path]
		if !set {
			t.Errorf("key %s is missing", path)
			return
		}
		if before := strings.TrimSpace(lines[line-2]); !strings.HasPrefix(before, "#") {
			t.Errorf("key %s (line %d) has no comment before it", path, line)
		}
	})
}

// numbers is a file that sets all numbers, limits the configuration it gives.
func numbers(maxBytes, tasks, ended, execs, depth, open, pending int) string {
	return fmt.Sprintf("history:\n  max_bytes: %d\nlimits:\n  tasks: %d\n  ended: %d\n  execs: %d\n"+
		"  depth: %d\n  open_events: %d\n  pending_forks: %d\n", maxBytes, tasks, ended, execs, depth, open, pending)
}

func limits(maxBytes, tasks, ended, execs, depth, open, pending int) Config {
	c := Default()
	c.History.MaxBytes = maxBytes
	c.Limits = Limits{tasks, ended, execs, depth, open, pending}
	return c
}

// eachLeaf calls do for every key that has a value, with it in a and in b.
func eachLeaf(a, b reflect.Value, path string, do func(path string, a, b reflect.Value)) {
	for i := range a.NumField() {
		p := join(path, a.Type().Field(i).Tag.Get("yaml"))
		if a.Field(i).Kind() == reflect.Struct {
			eachLeaf(a.Field(i), b.Field(i), p, do)
			continue
		}
		do(p, a.Field(i), b.Field(i))
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

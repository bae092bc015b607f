package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// full sets every key to something that is not its default.
const full = `outputs:
  - name: a
    format: json
    style: record
    file:
      path: /srv/audit/h.log
      mode: "0640"
      group: adm
      rotate_bytes: 65536
      rotate_hours: 24
      keep: 1
      compress: true
    everything: true
    filter:
      - keep:
          key: k*
          type: [USER_AUTH, LOGIN]
          syscall: kill
          exe: /bin/*
          comm: sh
          uid: [0, "33"]
          auid: unset
          result: failed
      - drop: {key: [x]}
  - name: b
    syslog:
      to: tls://log:6514
      protocol: rfc5424
      facility: local3
      severity: notice
      tag: t
      hostname: h
      max_bytes: 2048
      ca: /srv/ca.pem
      certificate: /srv/c.pem
      key: /srv/k.pem
      server_name: log.example
  - name: c
    stdout: {}
history:
  cut: front
  max_bytes: 0
state:
  dir: /srv/state
  boots: 5
  boots_bytes: 1000
spool:
  memory_bytes: 2000000
  file_bytes: 0
auditd_conf: /srv/auditd.conf
node: db7
user: audit
rules: {on_removal: restore}
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
		Outputs: []Output{
			{
				Name: "a", Format: FormatJSON, Style: StyleRecord, Everything: true,
				File: &File{"/srv/audit/h.log", 0o640, "adm", 65536, 24, 1, true},
				Filter: []Rule{
					{Keep: &Match{
						[]string{"k*"}, []string{"USER_AUTH", "LOGIN"}, []string{"kill"}, []string{"/bin/*"},
						[]string{"sh"}, []string{"0", "33"}, []string{"unset"}, ResultFailed,
					}},
					{Drop: &Match{Key: []string{"x"}}},
				},
			},
			{
				Name: "b", Format: FormatAudit, Style: StyleField,
				Syslog: &Syslog{"tls://log:6514", ProtocolFull, "local3", "notice", "t", "h", 2048, "/srv/ca.pem", "/srv/c.pem", "/srv/k.pem", "log.example"},
			},
			{Name: "c", Format: FormatAudit, Style: StyleField, Stdout: &Stdout{}},
		},
		History: History{Cut: CutFront, MaxBytes: 0},
		State:   State{Dir: "/srv/state", Boots: 5, BootsBytes: 1000},
		Spool:   Spool{Memory: 2_000_000, File: 0},
		User:    "audit",
		Rules:   Rules{OnRemoval: RemovalRestore},
		Auditd:  "/srv/auditd.conf",
		Node:    "db7",
		Limits:  Limits{Tasks: 2048, Ended: 128, Execs: 4096, Depth: 64, OpenEvents: 32, PendingForks: 16},
		Log:     Log{Level: LevelDebug},
	}
	got, err := Parse("f", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// full must not leave a key at its default, or the test proves nothing of it.
	eachLeaf(reflect.ValueOf(got), reflect.ValueOf(Default()), "", func(path string, v, d reflect.Value) {
		if reflect.DeepEqual(v.Interface(), d.Interface()) {
			t.Errorf("%s: the test's file gives it its default", path)
		}
	})
}

func TestParseTakesDefaults(t *testing.T) {
	some := Default()
	some.History.Cut = CutFront
	bare := Default()
	bare.Outputs[0].File.Mode = 0o644
	beside := Default()
	beside.Outputs[0].File.Path = "/var/log/audit2/h"
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
		"a mode without quotes":  {"outputs:\n- file:\n    mode: 0644\n", bare},
		"a mode of three digits": {"outputs:\n- file:\n    mode: '644'\n", bare},
		"a node name of digits":  {"node: 10\n", digits},
		"numbers at their least": {numbers(256, 1024, 64, 1024, 8, 16, 16), limits(256, 1024, 64, 1024, 8, 16, 16)},
		"numbers at their most": {numbers(8192, 16777216, 16777216, 67108864, 65535, 1048576, 4194304),
			limits(8192, 16777216, 16777216, 67108864, 65535, 1048576, 4194304)},
		"a directory named like auditd's": {"outputs:\n- file:\n    path: /var/log/audit2/h\n", beside},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse("f", []byte(c.file))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
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
		"an unknown key": {"history:\n  cat: front\n", []string{`f:2: unknown key "cat" under "history"; known keys: cut, max_bytes`}},
		"an unknown key at the top": {"\nhistorie:\n  style: field\n",
			[]string{`f:2: unknown key "historie" at the top level; known keys: outputs, history, state, spool, auditd_conf, node, user, rules, limits, log`}},
		"a key in capitals":           {"Node: x\n", []string{`f:1: unknown key "Node" at the top level`}},
		"the same key twice":          {"node: a\nlog:\n  level: info\nnode: b\n", []string{`f:4: key "node" at the top level is already set in line 1; keep one`}},
		"the same block twice":        {"log:\n  level: info\nlog:\n  level: warn\n", []string{`f:3: key "log" at the top level is already set in line 1`}},
		"two documents":               {"node: a\n---\nnode: b\n", []string{`f:2: a second document begins here`}},
		"a broken second document":    {"node: a\n---\n[\n", []string{`f:`}},
		"no YAML":                     {"history:\n\tstyle: field\n", []string{`f:2: found character that cannot start any token`}},
		"a list at the top":           {"- a\n", []string{`f:1: the file: here go "key: value" lines; known keys: outputs`}},
		"a word at the top":           {"hello\n", []string{`f:1: the file: here go "key: value" lines`}},
		"a word for a block":          {"history: field\n", []string{`f:1: history: here go "key: value" lines; known keys: cut`}},
		"a list for a word":           {"history:\n  cut: [front]\n", []string{`f:2: history.cut: here goes a single value`}},
		"a block for a word":          {"node:\n  name: x\n", []string{`f:2: node: here goes a single value`}},
		"a relative directory":        {"state:\n  dir: state\n", []string{`f:2: state.dir: "state" is not an absolute name; give one, such as /var/lib/audisp-history`}},
		"a negative number of boots":  {"state:\n  boots: -1\n", []string{`f:2: state.boots: -1 is out of range; give 0 to 1000`}},
		"a control in a name":         {"auditd_conf: \"/a\\u0001\"\n", []string{`f:1: auditd_conf: "/a\x01" is too long or holds a control character`}},
		"no value":                    {"history:\n  cut:\n", []string{`f:2: history.cut: has no value`}},
		"an alias":                    {"node: &a x\nlog:\n  level: *a\n", []string{`f:3: log.level: an alias (*a); write the value itself`}},
		"a merge":                     {"log: &a {level: info}\nhistory:\n  <<: *a\n", []string{`f:3: unknown key "<<" under "history"`}},
		"a key that is no word":       {"? [a, b]\n: c\n", []string{`f:1: unknown key "" at the top level`}},
		"an unknown style":            {"outputs:\n- style: fields\n  stdout: {}\n", []string{`f:2: outputs[0].style: "fields" is not known; choose one of: field, record`}},
		"a style in capitals":         {"outputs:\n- style: Field\n  stdout: {}\n", []string{`f:2: outputs[0].style: "Field" is not known`}},
		"an unknown cut":              {"history:\n  cut: back\n", []string{`f:2: history.cut: "back" is not known; choose one of: middle, front`}},
		"an unknown level":            {"log:\n  level: loud\n", []string{`f:2: log.level: "loud" is not known; choose one of: debug, info, warn, error`}},
		"a word for a number":         {"history:\n  max_bytes: many\n", []string{`f:2: history.max_bytes: "many" is not a whole number`}},
		"a number in quotes":          {"history:\n  max_bytes: '4096'\n", []string{`f:2: history.max_bytes: "4096" is not a whole number`}},
		"a fraction":                  {"history:\n  max_bytes: 4096.5\n", []string{`f:2: history.max_bytes: "4096.5" is not a whole number`}},
		"an octal number":             {"limits:\n  depth: 0100\n", []string{`f:2: limits.depth: "0100" is not a whole number`}},
		"a number beyond all":         {"limits:\n  depth: 99999999999999999999\n", []string{`f:2: limits.depth: "99999999999999999999" is not a whole number`}},
		"max_bytes below zero":        {"history:\n  max_bytes: -1\n", []string{`f:2: history.max_bytes: -1 is out of range`}},
		"a wrong number is told once": {"limits:\n  depth: 070000000\n", []string{`f:2: limits.depth: "070000000" is not a whole number`}},
		"a relative path":             {"outputs:\n- file:\n    path: history.log\n", []string{`f:3: outputs[0].file.path: "history.log" is not an absolute file name`}},
		"an empty path":               {"outputs:\n- file:\n    path: ''\n", []string{`f:3: outputs[0].file.path: "" is not an absolute file name`}},
		"a directory":                 {"outputs:\n- file:\n    path: /var/log/\n", []string{`f:3: outputs[0].file.path: "/var/log/" is not an absolute file name`}},
		"a newline in a path":         {"outputs:\n- file:\n    path: \"/a\\nb\"\n", []string{`f:3: outputs[0].file.path: "/a\nb" is too long or holds a control character`}},
		"a path beyond PATH_MAX":      {"outputs:\n- file:\n    path: /" + strings.Repeat("x", 4095) + "\n", []string{`f:3: outputs[0].file.path: "/xxx`}},
		"auditd's directory":          {"outputs:\n- file:\n    path: /var/log/audit/history.log\n", []string{`f:3: outputs[0].file.path: "/var/log/audit/history.log" is in auditd's own directory`}},
		"auditd's directory, crooked": {"outputs:\n- file:\n    path: /var/log/./x/../audit//h\n", []string{`f:3: outputs[0].file.path: "/var/log/./x/../audit//h" is in auditd's own`}},
		"a mode in words":             {"outputs:\n- file:\n    mode: u=rw\n", []string{`f:3: outputs[0].file.mode: "u=rw" is not a file mode; write octal digits in quotes`}},
		"a mode that is not octal":    {"outputs:\n- file:\n    mode: '0680'\n", []string{`f:3: outputs[0].file.mode: "0680" is not a file mode`}},
		"a mode with a prefix":        {"outputs:\n- file:\n    mode: 0o600\n", []string{`f:3: outputs[0].file.mode: "0o600" is not a file mode`}},
		"a mode for nobody":           {"outputs:\n- file:\n    mode: '0400'\n", []string{`f:3: outputs[0].file.mode: "0400" keeps the owner from reading and writing`}},
		"a mode for everybody":        {"outputs:\n- file:\n    mode: '0666'\n", []string{`f:3: outputs[0].file.mode: "0666" lets everyone write`}},
		"an executable":               {"outputs:\n- file:\n    mode: '0700'\n", []string{`f:3: outputs[0].file.mode: "0700" lets everyone write, or execute`}},
		"a setuid file":               {"outputs:\n- file:\n    mode: '4600'\n", []string{`f:3: outputs[0].file.mode: "4600" lets everyone write, or execute, or has a special bit`}},
		"a node of two words":         {"node: a b\n", []string{`f:1: node: "a b" is not a node name`}},
		"a node outside ASCII":        {"node: bücher\n", []string{`f:1: node: "bücher" is not a node name`}},
		"control characters":          {"node: \"\\e[31m\"\n", []string{`f:1: node: "\x1b[31m" is not a node name`}},
		"a long value is clipped":     {"node: '" + strings.Repeat("x", 300) + "'\n", []string{`f:1: node: "` + strings.Repeat("x", 60) + `…" is not`}},
		"everything at once, by line": {"log:\n  level: loud\nhistory:\n  cat: front\n  max_bytes: 1\noutputs:\n- file: {mode: 9,\n   path: x}\nnode:\n",
			[]string{"f:2: log.level", `f:4: unknown key "cat"`, "f:5: history.max_bytes", "f:7: outputs[0].file.mode", "f:8: outputs[0].file.path", "f:9: node: has no value"}},
		"two on one line":                                {"history: {cut: a, max_bytes: b}\n", []string{"f:1: history.max_bytes", "f:1: history.cut"}},
		"no output":                                      {"outputs: []\n", []string{`f:1: outputs: is empty`}},
		"a word for a list":                              {"outputs: x\n", []string{`f:1: outputs: here goes a list`}},
		"a list of nothing":                              {"outputs:\n-\n", []string{`f:2: outputs[0]: has 0 destinations; give exactly one`}},
		"two destinations":                               {"outputs:\n- file:\n  stdout: {}\n", []string{`f:2: outputs[0]: has 2 destinations`}},
		"two outputs of a name":                          {"outputs:\n- stdout: {}\n- file: {}\n", []string{`f:3: outputs[1]: "history" is also the name of outputs[0]`}},
		"two outputs to a file":                          {"outputs:\n- file: {}\n- name: b\n  file: {}\n", []string{`f:3: outputs[1]: "/var/log/audisp-history/history.log" is also written by outputs[0]`}},
		"two spellings of a file":                        {"outputs:\n- file: {path: /a/b}\n- name: b\n  file:\n    path: /a/./x/..//b\n", []string{`f:5: outputs[1].file.path: "/a/./x/..//b" is also written by outputs[0]; give each output a file of its own`}},
		"a type that does not exist":                     {"outputs:\n- file: {}\n  filter:\n  - drop:\n      type: [SYSCALL, USER_AUHT]\n", []string{`f:5: outputs[0].filter[0].drop.type[1]: "USER_AUHT" is no record type; give one as in type=, such as USER_AUTH`}},
		"a type in small letters":                        {"outputs:\n- file: {}\n  filter:\n  - keep: {type: syscall}\n", []string{`f:4: outputs[0].filter[0].keep.type[0]: "syscall" is no record type`}},
		"an unknown type without its number":             {"outputs:\n- file: {}\n  filter:\n  - keep: {type: \"UNKNOWN[x]\"}\n", []string{`f:4: outputs[0].filter[0].keep.type[0]: "UNKNOWN[x]" is no record type`}},
		"a call that does not exist":                     {"outputs:\n- file: {}\n  filter:\n  - keep: {syscall: opennat}\n", []string{`f:4: outputs[0].filter[0].keep.syscall[0]: "opennat" is no system call; give its name, such as openat`}},
		"a call by number":                               {"outputs:\n- file: {}\n  filter:\n  - keep: {syscall: 257}\n", []string{`f:4: outputs[0].filter[0].keep.syscall[0]: "257" is no system call`}},
		"true in quotes":                                 {"outputs:\n- file: {}\n  everything: \"true\"\n", []string{`f:3: outputs[0].everything: "true" is neither true nor false; write true or false, without quotes`}},
		"1 for true":                                     {"outputs:\n- file:\n    compress: 1\n", []string{`f:3: outputs[0].file.compress: "1" is neither true nor false; write true or false`}},
		"an old file of another":                         {"outputs:\n- file: {path: /a/b, rotate_hours: 1}\n- name: b\n  file:\n    path: /a//b.12\n", []string{`f:5: outputs[1].file.path: "/a//b.12" is what outputs[0] calls an old file when it rotates; choose another name`}},
		"an old file of a later one, compressed":         {"outputs:\n- file:\n    path: /a/b.1.gz\n- name: b\n  file: {path: /a/b, rotate_bytes: 65536}\n", []string{`f:3: outputs[0].file.path: "/a/b.1.gz" is what outputs[1] calls an old file`}},
		"a file being compressed":                        {"outputs:\n- file:\n    path: /a/b.gz.tmp\n- name: b\n  file: {path: /a/b, rotate_bytes: 65536}\n", []string{`f:3: outputs[0].file.path: "/a/b.gz.tmp" is what outputs[1] calls an old file`}},
		"a name with a blank":                            {"outputs:\n- name: a b\n  stdout: {}\n", []string{`f:2: outputs[0].name: "a b" is not a name`}},
		"no receiver":                                    {"outputs:\n- syslog:\n    to: loghost\n", []string{`f:3: outputs[0].syslog.to: "loghost" is no receiver; give unix:/dev/log`}},
		"a receiver without a port":                      {"outputs:\n- syslog:\n    to: tcp://loghost\n", []string{`f:3: outputs[0].syslog.to: "tcp://loghost" is no receiver`}},
		"a facility nobody knows":                        {"outputs:\n- syslog:\n    facility: audit\n", []string{`f:3: outputs[0].syslog.facility: "audit" is not known`}},
		"a certificate without a key":                    {"outputs:\n- syslog:\n    to: tls://h:1\n    certificate: /c\n", []string{`f:2: outputs[0].syslog: has only one of certificate and key`}},
		"a CA without TLS":                               {"outputs:\n- syslog:\n    ca: /c\n", []string{`f:2: outputs[0].syslog: has ca, certificate or server_name, which are for tls:// only`}},
		"neither keep nor drop":                          {"outputs:\n- file: {}\n  filter:\n  - {}\n", []string{`f:4: outputs[0].filter[0]: must have either keep or drop`}},
		"a match of everything":                          {"outputs:\n- file: {}\n  filter:\n  - drop: {}\n", []string{`f:4: outputs[0].filter[0].drop: has no condition`}},
		"a user by name":                                 {"outputs:\n- file: {}\n  filter:\n  - drop: {uid: root}\n", []string{`f:4: outputs[0].filter[0].drop.uid[0]: "root" is not a user id`}},
		"a list with a block":                            {"outputs:\n- file: {}\n  filter:\n  - drop: {key: [{a: b}]}\n", []string{`f:4: outputs[0].filter[0].drop.key[0]: here goes a single value`}},
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

// Names that only look like those of old files are accepted, and so are those of a file that is not rotated.
func TestNamesLikeOldFiles(t *testing.T) {
	for _, c := range []struct{ file, other string }{
		{"/a/b", "/a/b.1"}, {"/a/b, rotate_hours: 1", "/a/b.log"}, {"/a/b, rotate_hours: 1", "/a/b.1.txt"},
		{"/a/b, rotate_hours: 1", "/a/b.gz"}, {"/a/b, rotate_hours: 1", "/a/b1"}, {"/a/b, rotate_hours: 1", "/c/b.1"},
	} {
		if _, err := Parse("f", fmt.Appendf(nil, "outputs:\n- file: {path: %s}\n- name: b\n  file: {path: %s}\n", c.file, c.other)); err != nil {
			t.Errorf("%s and %s: %v", c.file, c.other, err)
		}
	}
}

// All that records may be called is accepted, and so are patterns.
func TestKnownNames(t *testing.T) {
	const file = "outputs:\n- file: {}\n  filter:\n  - keep: {type: ['SYSCALL', 'URINGOP', 'AVC', 'UNKNOWN[1340]', 'UNKNOWN[1336]', 'NEWER_*', '*'], " +
		"syscall: [openat, clone3, execveat, fork, socketcall, execv, clone2, 'opennat*']}\n"
	if _, err := Parse("f", []byte(file)); err != nil {
		t.Error(err)
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
		{"limits", "depth", 8, 65535},
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
	if !reflect.DeepEqual(c, Default()) {
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

// What the shipped file cannot set, because another destination is the default, it shows in comments.
func TestShippedFileNamesEveryKey(t *testing.T) {
	data, err := os.ReadFile("../packaging/audisp-history.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range []any{Output{}, File{}, Syslog{}, Rule{}, Match{}} {
		for i := range reflect.TypeOf(block).NumField() {
			if key := keyOf(reflect.TypeOf(block).Field(i)); !regexp.MustCompile(`\b` + key + ":").Match(data) {
				t.Errorf("key %s is not shown", key)
			}
		}
	}
	// With its comments taken away, the example is right, too.
	_, example, ok := strings.Cut(string(data), "  # An example")
	example, _, _ = strings.Cut(example, "\n\n")
	if !ok {
		t.Fatal("no example")
	}
	var b strings.Builder
	b.WriteString("outputs:\n")
	for line := range strings.Lines(example) {
		if text, ok := strings.CutPrefix(line, "  #   "); ok {
			b.WriteString(text)
		}
	}
	c, err := Parse("example", []byte(b.String()))
	if err != nil || c.Outputs[0].Syslog == nil || len(c.Outputs[0].Filter) != 5 {
		t.Errorf("%+v, %v\n%s", c.Outputs, err, b.String())
	}
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
		p := join(path, keyOf(a.Type().Field(i)))
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

// TestSyslogLimits: what the sender of messages would not take is refused with its line, and what it takes is not.
func TestSyslogLimits(t *testing.T) {
	socket := func(n int) string { return "to: unix:/" + strings.Repeat("s", n-1) }
	for _, c := range []struct{ line, says string }{
		{"max_bytes: 480", ""},
		{"max_bytes: 479", "max_bytes: 479 is out of range; give 480 to 1048576"},
		{"max_bytes: 1048576", ""},
		{"max_bytes: 1048577", "max_bytes: 1048577 is out of range; give 480 to 1048576"},
		{"to: udp://h:514\n    max_bytes: 65507", ""},
		{"to: udp://h:514\n    max_bytes: 65508", "max_bytes: 65508 is out of range; give 480 to 65507"},
		{"to: tcp://h:601\n    max_bytes: 65508", ""},
		{"tag: a.b-c/d", ""},
		{"tag: a]b", `tag: "a]b" is not a tag`},
		{"tag: a[b", `tag: "a[b" is not a tag`},
		{"tag: a:b", `tag: "a:b" is not a tag`},
		{"tag: " + strings.Repeat("t", 48), ""},
		{"tag: " + strings.Repeat("t", 49), `tag: "` + strings.Repeat("t", 49) + `" is not a tag`},
		{"to: unix:///dev/log", ""},
		{"to: unix://dev/log", `to: "dev/log" is not an absolute name`},
		{"to: 'unix:'", "to: names no socket"},
		{socket(107), ""},
		{socket(108), `to: "/` + strings.Repeat("s", 59) + `…" is too long for a socket's name, which has at most 107 bytes`},
		{"to: tcp://[::1]:601", ""},
		{"to: tcp://h:+601", `to: "tcp://h:+601" is no receiver`},
		{"to: tcp://h:0", `to: "tcp://h:0" is no receiver`},
		{"to: tcp://h:65536", `to: "tcp://h:65536" is no receiver`},
		{"to: tcp://me@h:601", `to: "tcp://me@h:601" is no receiver`},
		{"to: tcp://h?x:601", `to: "tcp://h?x:601" is no receiver`},
		{"to: tcp://h%zz:601", `to: "tcp://h%zz:601" is no receiver`},
	} {
		_, err := Parse("f", []byte("outputs:\n- syslog:\n    "+c.line+"\n"))
		want := fmt.Sprintf("f:%d: outputs[0].syslog.%s", 3+strings.Count(c.line, "\n"), c.says)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s:\n got %v\nwant %s", c.line, err, want)
		}
	}
}

// Package conf is the program's configuration: one struct, its defaults, its
// file and its checks.
//
// The file is YAML. A key that does not exist, a key given twice and a value
// that makes no sense are errors, each with its file, its line and what to
// write instead, because a typing error that is silently taken for a default
// would only be noticed when the records are needed.
package conf

import (
	"os"
)

// DefaultPath is the file that is read when the command line names none. It
// may be missing; [Default] holds then.
const DefaultPath = "/etc/audit/audisp-history.yaml"

// MaxFileBytes is the size in bytes beyond which a configuration file is
// refused unread: nobody writes one of a megabyte by hand.
const MaxFileBytes = 1 << 20

// Config is everything that can be configured.
type Config struct {
	Output  Output  `yaml:"output"`
	History History `yaml:"history"`
	State   State   `yaml:"state"`

	// Auditd is auditd's own configuration file, absolute, which says where its log is: what came while the program was
	// not running is read there. Empty: nothing is.
	Auditd string `yaml:"auditd_conf"`

	// Node is the name that auditd writes as node= on this host's own records
	// (name_format in auditd.conf). Records without node= are always this
	// host's; those of another node are never looked up in this host's /proc.
	Node string `yaml:"node"`

	Limits Limits `yaml:"limits"`
	Log    Log    `yaml:"log"`
}

// Output says where the enriched records go.
type Output struct {
	// Path is the file appended to, absolute, outside /var/log/audit.
	Path string `yaml:"path"`
	// Mode is the file's permissions when the program creates it.
	Mode Mode `yaml:"mode"`
}

// State says what is kept of the past.
type State struct {
	// Dir is the directory, absolute, that only the program may write to. Empty: nothing is kept.
	Dir string `yaml:"dir"`
	// Boots is how many boots before the present one are kept, for questions.
	Boots int `yaml:"boots"`
	// BootsBytes is how many bytes all of them may take together.
	BootsBytes int `yaml:"boots_bytes"`
}

// History says how a history is written.
type History struct {
	Style Style `yaml:"style"`
	Cut   Cut   `yaml:"cut"`
	// MaxBytes is the length in bytes that a history is cut to, 256 to 8192;
	// 0 leaves only the limit of the whole line, 8969 bytes.
	MaxBytes int `yaml:"max_bytes"`
}

// Style is where a history stands in the audit text.
type Style string

const (
	// StyleField appends history="…" to the record that names its process.
	StyleField Style = "field"
	// StyleRecord adds a record of type 1340 after the SYSCALL record, as the
	// kernel patch of 2023 did.
	StyleRecord Style = "record"
)

// Cut is which part of a history that is too long is left out.
type Cut string

const (
	// CutMiddle keeps the oldest and the newest execs.
	CutMiddle Cut = "middle"
	// CutFront drops the oldest execs, as the kernel patch of 2023 did.
	CutFront Cut = "front"
)

// Limits bounds the memory. What is put out to keep a bound is counted and
// shows in the summary.
type Limits struct {
	// Tasks is how many live tasks are known at once.
	Tasks int `yaml:"tasks"`
	// Ended is how many ended tasks are remembered for records that come late.
	Ended int `yaml:"ended"`
	// Execs is how many execs all histories hold together.
	Execs int `yaml:"execs"`
	// Depth is how many execs one history holds; beyond it the middle is
	// folded into omitted=N.
	Depth int `yaml:"depth"`
	// OpenEvents is how many events are in assembly at once.
	OpenEvents int `yaml:"open_events"`
	// PendingForks is how many forks wait for the first record of a child
	// whose number they could not tell (pid namespaces).
	PendingForks int `yaml:"pending_forks"`
}

// Log is the program's own log, not the audit records.
type Log struct {
	Level Level `yaml:"level"`
}

// Level is the least severity that is logged.
type Level string

// The levels, least severe first.
const (
	LevelDebug Level = "debug"
	LevelInfo  Level = "info"
	LevelWarn  Level = "warn"
	LevelError Level = "error"
)

// Mode is a file's permission bits, written in the file as an octal string
// ("0600").
type Mode os.FileMode

// FileMode is m as package os takes it.
func (m Mode) FileMode() os.FileMode { return os.FileMode(m) }

// Default is what holds where the file says nothing.
func Default() Config {
	return Config{
		Output:  Output{Path: "/var/log/audisp-history/history.log", Mode: 0o600},
		History: History{Style: StyleField, Cut: CutMiddle, MaxBytes: 4096},
		State:   State{Dir: "/var/lib/audisp-history", Boots: 3, BootsBytes: 256 << 20},
		Auditd:  "/etc/audit/auditd.conf",
		Limits: Limits{
			Tasks:        1 << 20,
			Ended:        1 << 16,
			Execs:        1 << 22,
			Depth:        1024,
			OpenEvents:   4096,
			PendingForks: 1 << 16,
		},
		Log: Log{Level: LevelInfo},
	}
}

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
	// Outputs are where the enriched records go, each on its own.
	Outputs []Output `yaml:"outputs"`
	History History  `yaml:"history"`
	State   State    `yaml:"state"`
	Spool   Spool    `yaml:"spool"`

	// Auditd is auditd's own configuration file, absolute, which says where its log is: what came while the program was
	// not running is read there. Empty: nothing is.
	Auditd string `yaml:"auditd_conf"`

	// Node is the name that auditd writes as node= on this host's own records,
	// empty where auditd.conf says it (name_format). Records without node= are
	// always this host's; those of another node are never looked up in this
	// host's /proc.
	Node string `yaml:"node"`

	// User is whom the program becomes when it has begun; a name or a number. Empty: it stays who it is. Either way it
	// keeps no more capabilities than it needs.
	User string `yaml:"user"`

	Rules  Rules  `yaml:"rules"`
	Limits Limits `yaml:"limits"`
	Log    Log    `yaml:"log"`
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
	Cut Cut `yaml:"cut"`
	// MaxBytes is the length in bytes that a history is cut to, 256 to 8192;
	// 0 leaves only the limit of the whole line, 8969 bytes.
	MaxBytes int `yaml:"max_bytes"`
}

// Spool says how much may wait, on its way in and before each output.
type Spool struct {
	// Memory is how many bytes of each wait in memory.
	Memory int `yaml:"memory_bytes"`
	// File is how many more wait in a file in the state directory. Beyond that the oldest are dropped, and counted.
	File int `yaml:"file_bytes"`
}

// Rules says what is done about the audit rules that histories need.
type Rules struct {
	OnRemoval OnRemoval `yaml:"on_removal"`
}

// OnRemoval is what is done when rules are removed that histories need.
type OnRemoval string

const (
	// RemovalReport tells of it.
	RemovalReport OnRemoval = "report"
	// RemovalRestore also puts the program's own rules back.
	RemovalRestore OnRemoval = "restore"
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
		Outputs: []Output{defaultOutput()},
		History: History{Cut: CutMiddle, MaxBytes: 4096},
		State:   State{Dir: "/var/lib/audisp-history", Boots: 3, BootsBytes: 256 << 20},
		Spool:   Spool{Memory: 64 << 20, File: 1 << 30},
		Auditd:  "/etc/audit/auditd.conf",
		Rules:   Rules{OnRemoval: RemovalReport},
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

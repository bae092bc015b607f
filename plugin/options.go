package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"audisp-history/conf"
	"audisp-history/enrich"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
	"audisp-history/enrich/text"
	"audisp-history/plugin/auditlog"
	"audisp-history/plugin/sink"
)

var errHelp = errors.New("help")

// usageError is an error of the command line: exit code 2.
func usageError(format string, args ...any) error {
	return &marked{fmt.Errorf(format, args...), errUsage}
}

// marked is an error that is also another, without saying so in its text.
type marked struct{ error, mark error }

func (m *marked) Unwrap() []error { return []error{m.error, m.mark} }
func (m *marked) Error() string   { return m.error.Error() }

// parseFlags reads the flags of a command, which define has set up, and returns what is none. As with other programs,
// flags may follow operands; after "--" none does.
func parseFlags(command string, args []string, define func(*flag.FlagSet)) ([]string, error) {
	set := flag.NewFlagSet(command, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	define(set)
	var operands []string
	for {
		if err := set.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, errHelp
			}
			return nil, usageError("%s: %w; see audisp-history help", command, err)
		}
		// Parse ends at an operand, or takes a "--" away and ends behind it.
		rest := set.Args()
		parsed := len(args) - len(rest)
		if len(rest) == 0 || parsed > 0 && args[parsed-1] == "--" {
			return append(operands, rest...), nil
		}
		operands, args = append(operands, rest[0]), rest[1:]
	}
}

// texts is a flag that may be given several times.
type texts []string

func (t *texts) String() string     { return strings.Join(*t, ",") }
func (t *texts) Set(s string) error { *t = append(*t, s); return nil }

// loadConfig reads the file of --config, or the default one if it is there.
func loadConfig(path string) (conf.Config, error) {
	optional := path == ""
	if optional {
		path = conf.DefaultPath
	}
	c, err := conf.Load(path)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return conf.Default(), nil
	}
	if err != nil {
		return c, &marked{err, errUsage}
	}
	for i := range c.Outputs {
		f := c.Outputs[i].File
		if f == nil || f.Group == "" {
			continue
		}
		if _, err := sink.LookupGroup(f.Group); err != nil {
			return c, &marked{fmt.Errorf("%s: outputs[%d].file.group: %w", path, i, err), errUsage}
		}
	}
	return c, nil
}

// loadOwn is loadConfig for the records of this host, with the node that auditd gives them.
func loadOwn(path string) (conf.Config, error) {
	c, err := loadConfig(path)
	if err == nil && c.Node == "" && c.Auditd != "" {
		name, _ := os.Hostname() // unknown, it stays empty
		c.Node = auditlog.Node(c.Auditd, name)
	}
	return c, err
}

// streamConfig is the part of the configuration that the enrichment needs.
func streamConfig(c *conf.Config) enrich.Config {
	return enrich.Config{
		Node: c.Node,
		Limits: task.Limits{
			Tasks: c.Limits.Tasks,
			Ended: c.Limits.Ended,
			Execs: c.Limits.Execs,
			Depth: c.Limits.Depth,
		},
		PendingForks: c.Limits.PendingForks,
		OpenEvents:   c.Limits.OpenEvents,
		Wait:         holeWait,
	}
}

// holeWait is how long events wait for a missing one before them, in milliseconds: a little longer than for its records.
const holeWait = record.MaxAge + 100

// self is the program as the records of gaps name it.
func self(c *conf.Config) text.Self {
	const unset = 1<<32 - 1 // include/uapi/linux/audit.h: AUDIT_UID_UNSET, AUDIT_SID_UNSET
	s := text.Self{PID: uint32(os.Getpid()), UID: uint32(os.Getuid()), AUID: unset, Session: unset, Node: c.Node}
	s.Exe, _ = os.Executable() // unknown, it stays empty
	if n, ok := ownNumber("loginuid"); ok {
		s.AUID = n
	}
	if n, ok := ownNumber("sessionid"); ok {
		s.Session = n
	}
	return s
}

func ownNumber(name string) (uint32, bool) {
	b, err := os.ReadFile("/proc/self/" + name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	return uint32(n), err == nil
}

// Command audisp-history is an auditd plugin that writes the history of a task, every program executed from boot to
// now, on the audit records that name it.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
)

// version and commit are set by the Makefile.
var version, commit = "dev", ""

// Exit codes, as documented in the usage.
const (
	exitOK    = 0
	exitError = 1 // something could not be read or written
	exitUsage = 2 // the command line or the configuration is wrong
)

const usage = `audisp-history writes on each audit record how its process came to be.

Usage:
  audisp-history run [--config FILE]
        Read records from standard input, as auditd's dispatcher writes them, and
        write them with their histories to the configured outputs, until the input
        ends or SIGTERM comes. SIGHUP reads the configuration again and reopens
        files, SIGUSR1 writes a report for status. Without arguments, as auditd may
        start it: the same.

  audisp-history replay [--config FILE] [--proc DIR]... [--format FORMAT] [--style field|record] FILE...
        Read audit logs and write every event with its histories to standard output,
        a summary to standard error. FILE may be compressed with gzip; "-" is
        standard input; rotated logs may be given in any order. Each DIR is laid
        out like /proc: a look that takes effect at the moment it was taken. FORMAT
        is audit, json, ecs or pretty; without it, audit. --style is for audit.

  audisp-history rules [--install]
        Print the audit rules that histories need, for this architecture. With
        --install, put them into /etc/audit/rules.d and load them with augenrules.

  audisp-history check [--config FILE] [--json]
        Ask the kernel, auditd's configuration and the system what stands in the
        way of complete histories, and print it, why it matters and what to do.

  audisp-history show [--state-dir DIR] [--boot N] [--node NAME] PID...
        The history of processes, live or lately ended, one exec a line: when, by
        which process, what, and where it is known from. N is how many boots ago
        they lived: 0, the present one, without it.

  audisp-history status [--state-dir DIR] [--json]
        What the program has done and does: events, tasks, sizes, gaps. It may be
        running or not. As show, it reads the state directory and disturbs nobody.

  audisp-history version
        Print the version.

Without --config, /etc/audit/audisp-history.yaml is read if it exists. show and
status take --config as well.

Exit codes: 0 all is well; 1 something could not be read or written, or check
has found something; 2 the command line or the configuration is wrong.
`

// errUsage marks errors of the command line and the configuration.
var errUsage = errors.New("usage")

// stdio is what a command talks through.
type stdio struct {
	in       io.Reader
	out, err io.Writer
	own      bool // the process is the command's own: what it does not need may be given up for good
}

func main() {
	os.Exit(execute(os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr, true}))
}

// execute runs the command that args name and returns the exit code.
func execute(args []string, std stdio) int {
	err := command(args, std)
	if errors.Is(err, errHelp) {
		err = answer(std.out, usage)
	}
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(std.err, "audisp-history: %v\n", err)
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitError
}

func command(args []string, std stdio) error {
	name := "run"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "run":
		return runCommand(args, std)
	case "replay":
		return replayCommand(args, std)
	case "rules":
		return rulesCommand(args, std)
	case "check":
		return checkCommand(args, std)
	case "show":
		return showCommand(args, std)
	case "status":
		return statusCommand(args, std)
	case "version", "--version", "-version":
		return answer(std.out, versionLine()+"\n")
	case "help", "--help", "-help", "-h":
		return errHelp
	}
	return usageError("there is no command %q; see audisp-history help", name)
}

// answer writes all that a command has to say. That it could not be written is an error: a full disk must not pass for an
// answer.
func answer(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

func versionLine() string {
	line := "audisp-history " + version
	if commit != "" {
		line += " commit " + commit
	}
	return line + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}

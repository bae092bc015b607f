package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"runtime"

	"audisp-history/plugin/rules"
)

// Where auditd keeps its rules and what loads them (augenrules(8)); every distribution has /sbin, or a link there.
const (
	rulesDir   = "/etc/audit/rules.d"
	augenrules = "/sbin/augenrules"
)

func rulesCommand(args []string, std stdio) error {
	var install bool
	rest, err := parseFlags("rules", args, func(f *flag.FlagSet) { f.BoolVar(&install, "install", false, "") })
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usageError("rules: unexpected argument %q", rest[0])
	}
	machine, err := rules.ForGo(runtime.GOARCH)
	if err != nil {
		return err
	}
	files := rules.Files(machine)
	if install {
		return installRules(std, files, rulesDir, augenrules)
	}
	return printRules(std.out, files)
}

// printRules writes the files one after the other, each with its name before it.
func printRules(w io.Writer, files []rules.File) error {
	for i, f := range files {
		gap := "\n"
		if i == 0 {
			gap = ""
		}
		if _, err := fmt.Fprintf(w, "%s### %s/%s\n%s", gap, rulesDir, f.Name, f.Text); err != nil {
			return fmt.Errorf("standard output: %w", err)
		}
	}
	return nil
}

// installRules writes the files into dir and has the program load put them in force.
func installRules(std stdio, files []rules.File, dir, load string) error {
	written, err := rules.Install(dir, files)
	for _, name := range written {
		fmt.Fprintf(std.out, "written: %s\n", name)
	}
	if err != nil {
		return err
	}
	if len(written) == 0 {
		fmt.Fprintf(std.out, "the files in %s are as they should be\n", dir)
	}
	said, err := rules.Load(context.Background(), load)
	if said != "" {
		fmt.Fprintln(std.err, said)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(std.out, "loaded; audisp-history check says whether anything still stands in the way")
	return nil
}

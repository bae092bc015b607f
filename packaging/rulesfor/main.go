// Command rulesfor writes the audit rules for an architecture, as "audisp-history rules" prints them there, into a
// directory: a package for it may be built on a machine that cannot run the program.
package main

import (
	"fmt"
	"os"

	"audisp-history/plugin/rules"
)

func main() {
	if err := write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rulesfor:", err)
		os.Exit(1)
	}
}

func write(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: rulesfor GOARCH DIR")
	}
	machine, err := rules.ForGo(args[0])
	if err != nil {
		return err
	}
	_, err = rules.Install(args[1], rules.Files(machine))
	return err
}

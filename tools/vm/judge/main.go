// Judge compares what the plugin wrote in a virtual machine with what the processes there said of themselves, and prints
// a table.
//
//	judge DIR
//
// DIR holds a directory for each boot, 1, 2, …; in each are scenarios (scenario.go), and in the last one logs/, with the
// plugin's output, history.log*, and auditd's log, audit.log*, of all boots. The exit code is 1 if anything is wrong.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: judge DIR")
		os.Exit(2)
	}
	good, err := judgeAll(os.Args[1], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(2)
	}
	if !good {
		os.Exit(1)
	}
}

func judgeAll(dir string, w io.Writer) (good bool, err error) {
	boots, err := filepath.Glob(filepath.Join(dir, "[0-9]"))
	if err != nil || len(boots) == 0 {
		return false, errors.Join(fmt.Errorf("%s: no results of any boot", dir), err)
	}
	logs := filepath.Join(boots[len(boots)-1], "logs")
	out := newOutput()
	if err := readAll(filepath.Join(logs, "history.log*"), out.read); err != nil {
		return false, err
	}
	logged, err := readLogged(filepath.Join(logs, "audit.log*"))
	if err != nil {
		return false, err
	}
	dirs, err := filepath.Glob(filepath.Join(dir, "[0-9]", "scenarios", "*"))
	if err != nil || len(dirs) == 0 {
		return false, errors.Join(fmt.Errorf("%s: no scenarios", dir), err)
	}
	var verdicts []verdict
	for _, d := range dirs {
		s, err := readScenario(d)
		if err != nil {
			return false, err
		}
		verdicts = append(verdicts, judge(s, out, logged))
	}
	return report(w, verdicts), nil
}

// readAll reads the files of a pattern.
func readAll(pattern string, read func(io.Reader) error) error {
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		return errors.Join(fmt.Errorf("%s: no such file", pattern), err)
	}
	for _, name := range names {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		err = read(file)
		file.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// readLogged lists the events of auditd's log. What auditd says of itself has serials of its own, and not all of it is
// handed to plugins.
func readLogged(pattern string) (map[id]bool, error) {
	logged := map[id]bool{}
	err := readAll(pattern, func(r io.Reader) error {
		return eachLine(r, func(line string) error {
			kind, at, ok := header(line)
			if !ok {
				return fmt.Errorf("not a record: %.200q", line)
			}
			if !strings.HasPrefix(kind, "DAEMON_") {
				logged[at] = true
			}
			return nil
		})
	})
	return logged, err
}

func report(w io.Writer, verdicts []verdict) (good bool) {
	good = true
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "scenario\tevents\tright\twrong\tincomplete\tlost\tgaps\t")
	for i := range verdicts {
		v := &verdicts[i]
		mark := ""
		if len(v.faults) > 0 {
			mark, good = "FAILED", false
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", v.scenario, v.events, v.right, v.wrong, v.incomplete, v.lost, counted(v.gaps), mark)
	}
	table.Flush()
	for i := range verdicts {
		for _, f := range verdicts[i].faults {
			fmt.Fprintf(w, "%s: %s\n", verdicts[i].scenario, f)
		}
	}
	return good
}

// counted writes each reason once, with how often.
func counted(reasons []string) string {
	if len(reasons) == 0 {
		return "none"
	}
	var parts []string
	for _, r := range slices.Compact(slices.Sorted(slices.Values(reasons))) {
		n := 0
		for _, other := range reasons {
			if other == r {
				n++
			}
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, r))
	}
	return strings.Join(parts, ", ")
}

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"audisp-history/conf"
	"audisp-history/enrich"
	"audisp-history/enrich/packed"
	"audisp-history/enrich/record"
	"audisp-history/enrich/store"
	"audisp-history/enrich/task"
	"audisp-history/enrich/tracker"
)

// silent is an output that nothing is written to.
type silent struct{}

func (silent) Event(*record.Event, []tracker.Mark) {}
func (silent) Gap(tracker.Gap)                     {}

func showCommand(args []string, std stdio) error {
	var config, dir, node string
	var boot int
	rest, err := parseFlags("show", args, func(f *flag.FlagSet) {
		f.StringVar(&config, "config", "", "")
		f.StringVar(&dir, "state-dir", "", "")
		f.IntVar(&boot, "boot", 0, "")
		f.StringVar(&node, "node", "", "")
	})
	if err != nil {
		return err
	}
	if boot < 0 {
		return usageError("show: --boot %d: give how many boots ago, 0 or more", boot)
	}
	pids, err := parsePIDs(rest)
	if err != nil {
		return err
	}
	if dir, err = stateDir("show", config, dir); err != nil {
		return err
	}
	stream, err := readState(dir, boot)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("show: %w: %s", err, notHere)
	}
	if err != nil {
		return fmt.Errorf("show: %w", err)
	}
	text, unknown := showAll(stream.Tracker().Machine(node), pids)
	if err := answer(std.out, text); err != nil {
		return err
	}
	if len(unknown) > 0 {
		return fmt.Errorf("show: nothing is known of process %s", strings.Join(unknown, ", "))
	}
	return nil
}

// showAll is what is known of processes, and the numbers of those of which nothing is.
func showAll(table *task.Table, pids []uint32) (text string, unknown []string) {
	var b strings.Builder
	for _, pid := range pids {
		var k *task.Task
		if table != nil {
			k = table.Lookup(pid)
		}
		if k == nil {
			unknown = append(unknown, strconv.Itoa(int(pid)))
			continue
		}
		showTask(&b, k)
	}
	return b.String(), unknown
}

func parsePIDs(args []string) ([]uint32, error) {
	if len(args) == 0 {
		return nil, usageError("show: no PID given")
	}
	var pids []uint32
	for _, a := range args {
		n, err := strconv.ParseUint(a, 10, 32)
		if err != nil || n == 0 {
			return nil, usageError("show: %q is not a process id", a)
		}
		pids = append(pids, uint32(n))
	}
	return pids, nil
}

// readState loads what is kept of a boot, so many boots ago, without disturbing who keeps it. What is damaged is left
// out.
func readState(dir string, boot int) (*enrich.Stream, error) {
	c := conf.Default()
	var stream *enrich.Stream
	var loader *enrich.Loader
	_, err := store.Read(dir, boot, func() store.Visitor {
		sc := streamConfig(&c)
		sc.Journal = &packed.Writer{}
		stream = enrich.New(sc, silent{})
		loader = enrich.NewLoader(stream)
		return loader
	})
	if err != nil && (stream == nil || !errors.Is(err, store.ErrDamaged)) {
		return nil, err
	}
	loader.Finish()
	return stream, nil
}

// showTask prints a task and its history, one exec a line.
func showTask(w io.Writer, k *task.Task) {
	state := "live"
	if !k.Lives() {
		state = "ended " + moment(k.Ended)
	}
	fmt.Fprintf(w, "process %d, parent %d, %s\n", k.PID, k.PPID, state)
	var execs []*task.Exec
	for e := k.Exec; e != nil; e = e.Prev {
		execs = append(execs, e)
	}
	if len(execs) == 0 {
		fmt.Fprintln(w, "  nothing is known of what it has executed")
	}
	for i := len(execs) - 1; i >= 0; i-- {
		e := execs[i]
		if e.Omitted > 0 {
			fmt.Fprintf(w, "  … %d execs left out\n", e.Omitted)
			continue
		}
		via := e.Via.String()
		if via == "" {
			via = "recorded"
		}
		fmt.Fprintf(w, "  %s %8d  %-15s %-8s %s\n", moment(e.Start), e.PID, printable(e.Name), via, printable(e.Exe))
	}
}

// printable writes what a terminal might obey as \ooo.
func printable(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

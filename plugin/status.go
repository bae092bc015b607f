package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"audisp-history/enrich/store"
	"audisp-history/enrich/tracker"
	"audisp-history/plugin/output"
)

const (
	statusFile  = "status.json"
	statusEvery = 5 * time.Second
	statusGaps  = 100     // the last ones are kept, those of the process before included
	statusMost  = 1 << 20 // bytes that are read
)

// A gapReport is a gap as status shows it; times are RFC 3339, empty where they are not known.
type gapReport struct {
	Reason string `json:"reason"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	Lost   uint64 `json:"lost"`
	Node   string `json:"node,omitempty"`
}

// A report is what the program says of itself. Counters are since Started.
type report struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	Started string `json:"started"`
	Time    string `json:"time"` // of this report
	Ended   bool   `json:"ended"`

	LastEvent string `json:"last_event,omitempty"` // the latest time of the events handled
	Serial    uint64 `json:"next_serial"`          // the first one not handled

	Records    uint64 `json:"records"`
	Events     uint64 `json:"events"`
	Histories  uint64 `json:"histories"`
	Unreadable uint64 `json:"unreadable"`
	Lost       uint64 `json:"lost_events"`
	Late       uint64 `json:"late_events"`

	Tasks    int    `json:"tasks"`
	Ending   int    `json:"ended_tasks"`
	Execs    int    `json:"execs"`
	Inferred uint64 `json:"inferred_execs"`
	Swept    uint64 `json:"swept_tasks"`
	Evicted  uint64 `json:"evicted_tasks"`
	Looks    uint64 `json:"looks"`

	Queue    int64          `json:"queue_bytes_memory"`
	Spooled  int64          `json:"queue_bytes_file"`
	Unread   uint64         `json:"queue_lost_records"`
	Outputs  []output.State `json:"outputs"`
	Kept     bool           `json:"state_kept"`
	Snapshot int64          `json:"snapshot_bytes"`
	Journal  int64          `json:"journal_bytes"`
	Damaged  int            `json:"damaged_files"`
	GapCount uint64         `json:"gap_count"`
	Gaps     []gapReport    `json:"gaps"` // the last ones, the newest last
}

// status collects what a report needs and nobody else keeps.
type status struct {
	started   time.Time
	saved     time.Time
	damaged   int
	histories uint64 // handed to the outputs
	gaps      []gapReport
}

func (s *status) gap(g *tracker.Gap) {
	r := gapReport{Reason: g.Reason.String(), Lost: g.Lost, Node: g.Node}
	if g.From > 0 {
		r.From = moment(g.From)
	}
	if g.To > 0 {
		r.To = moment(g.To)
	}
	s.add(r)
}

func (s *status) add(r gapReport) {
	if len(s.gaps) == statusGaps {
		s.gaps = slices.Delete(s.gaps, 0, 1)
	}
	s.gaps = append(s.gaps, r)
}

// saveStatus writes a report into the state directory, where the status command finds it.
func (r *runner) saveStatus(now time.Time, ended bool) {
	if r.keeper.dir == nil {
		return
	}
	r.status.saved = now
	b, err := json.MarshalIndent(r.state(now, ended), "", "  ")
	if err != nil {
		return // nothing in it can fail
	}
	// It is worth nothing to be lost with the machine, and not worth a message on a full disk.
	name := filepath.Join(r.conf.State.Dir, statusFile)
	if os.WriteFile(name+".new", append(b, '\n'), 0o600) == nil {
		_ = os.Rename(name+".new", name)
	}
}

func (r *runner) state(now time.Time, ended bool) report {
	c := r.stream.Counts()
	serial, newest := r.stream.Next(r.conf.Node)
	if s, n := r.stream.Next(""); n > newest {
		serial, newest = s, n
	}
	rep := report{
		Version: version, PID: os.Getpid(), Started: moment(r.status.started.UnixMilli()), Time: moment(now.UnixMilli()), Ended: ended,
		Serial: serial, Records: c.Lines, Events: c.Events, Histories: r.status.histories, Unreadable: c.Unreadable,
		Lost: c.Lost, Late: c.LateEvents,
		Tasks: c.Tasks.Tasks, Ending: c.Tasks.Ended, Execs: c.Tasks.Execs, Inferred: c.Tasks.InferredExecs,
		Swept: c.Tracker.Swept, Evicted: c.Tasks.EvictedTasks + c.Tasks.EvictedEnded, Looks: c.Tracker.Looks,
		Unread: r.queue.Counts().Lost.Items,
		Kept:   !r.keeper.broken, Snapshot: r.keeper.dir.SnapshotBytes(), Journal: r.keeper.dir.JournalBytes(),
		Damaged: r.status.damaged, GapCount: c.Tracker.Gaps, Gaps: r.status.gaps,
	}
	rep.Queue, rep.Spooled, _ = r.queue.Size()
	for _, o := range r.outlets.list {
		rep.Outputs = append(rep.Outputs, o.State())
	}
	if newest > 0 {
		rep.LastEvent = moment(newest)
	}
	return rep
}

// readReport reads the last report.
func readReport(dir string) (report, error) {
	var rep report
	f, err := os.Open(filepath.Join(dir, statusFile))
	if err != nil {
		return rep, fmt.Errorf("state directory %s: %w", dir, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	b, err := io.ReadAll(io.LimitReader(f, statusMost))
	if err == nil {
		err = json.Unmarshal(b, &rep)
	}
	if err != nil {
		return rep, fmt.Errorf("state directory %s: %s: %w", dir, statusFile, err)
	}
	return rep, nil
}

func statusCommand(args []string, std stdio) error {
	var config, dir string
	var asJSON bool
	rest, err := parseFlags("status", args, func(f *flag.FlagSet) {
		f.StringVar(&config, "config", "", "")
		f.StringVar(&dir, "state-dir", "", "")
		f.BoolVar(&asJSON, "json", false, "")
	})
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usageError("status: unexpected argument %q", rest[0])
	}
	if dir, err = stateDir("status", config, dir); err != nil {
		return err
	}
	rep, err := readReport(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("status: %w: %s", err, notHere)
	}
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	if asJSON {
		b, err := json.MarshalIndent(rep, "", "  ")
		if err != nil {
			return err
		}
		return answer(std.out, string(b)+"\n")
	}
	boots, err := store.Boots(dir)
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	var b strings.Builder
	rep.print(&b, store.Held(dir), boots)
	return answer(std.out, b.String())
}

// notHere says why there may be nothing to read in a state directory.
const notHere = "the program has not run here, or another directory is configured; give --state-dir"

// stateDir is the directory that the command line names, or the configuration.
func stateDir(command, config, dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	c, err := loadConfig(config)
	if err != nil {
		return "", err
	}
	if c.State.Dir == "" {
		return "", usageError("%s: state.dir is empty: nothing is kept; give --state-dir", command)
	}
	return c.State.Dir, nil
}

func (r *report) print(w io.Writer, running bool, boots []store.Boot) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	state := "running"
	if !running {
		state = "not running"
		if !r.Ended {
			state += ", and it did not end by itself"
		}
	}
	line("program", "%s, version %s, process %d, since %s", state, r.Version, r.PID, r.Started)
	line("last event", "%s, next serial %d; as of %s", r.LastEvent, r.Serial, r.Time)
	line("records", "%d, %d events, %d histories written, %d lines not understood", r.Records, r.Events, r.Histories, r.Unreadable)
	line("tasks", "%d live, %d ended remembered, %d execs, %d of them inferred", r.Tasks, r.Ending, r.Execs, r.Inferred)
	line("swept", "%d tasks that ended unrecorded; %d forgotten for lack of room; %d looks at /proc", r.Swept, r.Evicted, r.Looks)
	line("queue", "%d bytes in memory, %d in a file; %d records lost", r.Queue, r.Spooled, r.Unread)
	for i := range r.Outputs {
		o := &r.Outputs[i]
		line("output", "%s: %d events delivered, %d left out by the filter, %d lost; %d waiting in %d bytes", o.Name,
			o.Delivered, o.Filtered, o.Lost, o.Waiting, o.Memory+o.File)
		if o.Held > 0 {
			line("", "%s: %d messages are sent again when the receiver is back", o.Name, o.Held)
		}
		if o.Fault != "" {
			line("", "%s: %s", o.Name, o.Fault)
		}
	}
	kept := "on disk"
	if !r.Kept {
		kept = "in memory only"
	}
	line("state", "%s: snapshot %d bytes, journal %d bytes, %d damaged files set aside", kept, r.Snapshot, r.Journal, r.Damaged)
	for i, b := range boots {
		line("boot", "%d: %s, %d bytes", i, b.ID, b.Bytes)
	}
	line("gaps", "%d since the program began; %d events lost, %d late", r.GapCount, r.Lost, r.Late)
	for _, g := range r.Gaps {
		from, to := g.From, g.To
		if from == "" {
			from = "the boot"
		}
		if to == "" {
			to = "it lasts"
		}
		fmt.Fprintf(w, "  %s: from %s to %s, %d events lost\n", g.Reason, from, to, g.Lost)
	}
}

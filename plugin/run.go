package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"audisp-history/conf"
	"audisp-history/enrich"
	"audisp-history/enrich/packed"
	"audisp-history/enrich/procfs"
	"audisp-history/enrich/record"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
	"audisp-history/plugin/auditlog"
	"audisp-history/plugin/sink"
)

const (
	// gcPercent is how much garbage there may be beside what is in use: little is made, and much is kept.
	gcPercent = 40
	// tick is how often waiting events and outputs are looked after while no records come.
	tick = 100 * time.Millisecond
	// silence is how long no record may come after SIGTERM before the end is believed: auditd before 4.2 may still
	// write (systemd signals the whole control group at once).
	silence = 500 * time.Millisecond
)

func runCommand(args []string, std stdio) error { return runIn("/proc", args, std) }

// runIn is runCommand on a machine whose /proc is proc.
func runIn(proc string, args []string, std stdio) error {
	var config string
	rest, err := parseFlags("run", args, func(f *flag.FlagSet) { f.StringVar(&config, "config", "", "") })
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usageError("run: unexpected argument %q", rest[0])
	}
	c, err := loadConfig(config)
	if err != nil {
		return err
	}
	debug.SetGCPercent(gcPercent)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	r := newRunner(&c, newLog(&c, std.err))
	return r.run(std.in, proc, signals)
}

func newLog(c *conf.Config, w io.Writer) zerolog.Logger {
	level, err := zerolog.ParseLevel(string(c.Log.Level))
	if err != nil {
		level = zerolog.InfoLevel
	}
	return zerolog.New(w).Level(level).With().Timestamp().Str("program", "audisp-history").Logger()
}

// A runner enriches the records of one auditd. All but reading is done by the goroutine that calls run.
type runner struct {
	conf   *conf.Config
	stream *enrich.Stream
	format *text.Format
	file   *sink.File
	log    zerolog.Logger
	self   text.Self
	begin  time.Time // the zero of arrival times, which must not jump with the clock
	buf    []byte
	broken bool // the output could not be written the last time
	keeper keeper
	queue  *queue

	proc   string         // where /proc is
	ask    *procfs.Reader // for single questions, nil if it cannot be read
	looker looker
	sweep  *sweeper
	status status

	audit   *auditlog.Log // auditd's, nil if there is none
	fed     stamps        // events that were read there and may come on standard input as well
	filter  bool
	assumed bool       // only the output says how far the stream was
	written stamps     // events that the output has already
	place   sink.Place // where in it they begin
	gaps    map[string]struct{}
	halves  map[string]struct{} // records of events of which the log had a part
}

func newRunner(c *conf.Config, log zerolog.Logger) *runner {
	r := &runner{conf: c, self: self(c), format: textFormat(c), log: log, begin: time.Now(), queue: newQueue(), gaps: map[string]struct{}{}, halves: map[string]struct{}{}}
	sc := streamConfig(c)
	sc.KernelThread = r.kernelThread
	sc.Missing = r.missing
	if c.State.Dir != "" {
		sc.Journal = &packed.Writer{}
	}
	r.stream = enrich.New(sc, r)
	r.status.started = r.begin
	r.keeper = keeper{stream: r.stream, log: log}
	return r
}

// kernelThread asks /proc about a task, while there is one to ask.
func (r *runner) kernelThread(pid uint32) bool {
	return r.ask != nil && r.ask.KernelThread(int(pid))
}

// report says once that the output is broken, and once that it is well again.
func (r *runner) report(err error) {
	switch {
	case err != nil && !r.broken:
		r.log.Error().Err(err).Msg("records cannot be written")
	case err == nil && r.broken:
		r.log.Info().Uint64("lost", r.file.Lost()).Msg("records are written again")
	}
	r.broken = err != nil
}

func (r *runner) now() int64 { return time.Since(r.begin).Milliseconds() }

// run handles records until in ends, or until a signal ends it and no more come.
func (r *runner) run(in io.Reader, proc string, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	q := r.queue
	go q.read(in)
	r.openProc(proc)
	defer r.closeProc()
	r.looker = looker{ctx: ctx, root: proc, looks: make(chan seen, 1)}
	r.looker.begin()
	r.start(ctx)
	go debug.FreeOSMemory() // what loading has left

	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var lines record.Lines
	var quiet <-chan time.Time // set by SIGTERM
	for {
		select {
		case <-q.ready:
			piece, ended, err := q.take()
			if ended {
				return r.finish(lines.Rest(), err)
			}
			lines.Feed(piece, r)
			if quiet != nil && len(piece) > 0 {
				quiet = time.After(silence)
			}
			if len(r.buf) >= outBuffer || q.empty() {
				r.write()
			}
		case <-ticker.C:
			r.tick(q.empty())
		case l := <-r.looker.looks:
			r.look(l)
		case s := <-signals:
			if s == syscall.SIGHUP {
				r.write()
				r.report(r.file.Reopen())
				r.keep()
				continue
			}
			r.log.Info().Str("signal", s.String()).Msg("ending")
			quiet = time.After(silence)
		case <-quiet:
			if !q.empty() { // they came in time, and wait because the output is slow
				quiet = time.After(silence)
				continue
			}
			return r.finish(lines.Rest(), nil)
		}
	}
}

// tick does what is to be done now and then. What the stream waits for may be in the queue, unless that is empty.
func (r *runner) tick(idle bool) {
	now := time.Now()
	if idle {
		r.stream.Tick(r.now(), now.UnixMilli())
	}
	r.write()
	r.report(r.file.Retry())
	r.keep()
	r.keeper.tick(now)
	r.looker.tick(now)
	if r.sweep != nil {
		select {
		case found := <-r.sweep.found:
			r.sweep.waiting = false
			r.stream.Tracker().Swept(found)
		default:
		}
		r.sweep.tick(now, r.stream.Tracker().Living)
	}
	r.saveStatus(now, false)
}

// Line and Piece make a runner the handler of its lines.
func (r *runner) Line(line []byte) {
	if r.filter && r.isFed(line) {
		return
	}
	r.stream.Line(line, r.now())
}

// Piece passes on a part of a line that is too long.
func (r *runner) Piece(part []byte) { r.stream.Piece(part, r.now()) }

// Event writes an event.
func (r *runner) Event(e *record.Event, marks []tracker.Mark) {
	if len(r.written.set) > 0 && r.written.take(stamp{e.Node, e.Time, e.Serial}) {
		return
	}
	r.format.Revise(r.stream.Tracker().Revision())
	r.buf = r.format.Append(r.buf, e, marks)
}

// Gap writes a gap's record. What is there after it is looked up in /proc.
func (r *runner) Gap(g tracker.Gap) {
	r.status.gap(&g)
	r.looker.want = true
	begin := len(r.buf)
	r.buf = text.AppendGap(r.buf, &g, &r.self)
	if len(r.gaps) > 0 {
		name, _ := isGap(r.buf[begin:])
		if _, written := r.gaps[name]; written {
			r.buf = r.buf[:begin]
		}
	}
}

// write writes what has been handled.
func (r *runner) write() {
	if len(r.buf) > 0 {
		r.report(r.file.Write(r.buf))
		r.buf = r.buf[:0]
	}
	if r.stream.Unkept() > keepBytes || !r.keeper.begun {
		r.keep()
	}
}

// keep keeps what has been handled and written. What is not written yet is handled again after a restart, so it must not
// be known as handled; but what is lost is lost.
func (r *runner) keep() {
	if r.file.Pending() > 0 && r.file.Lost() == 0 {
		return
	}
	r.keeper.keep(r.upTo())
}

// upTo is how far the output is known to hold just what has been handled: while there is more in it, where that begins.
func (r *runner) upTo() sink.Place {
	if r.written.unseen > 0 {
		return r.place
	}
	return r.file.Place()
}

// keepBytes is how much may have changed before it is kept; after a tick it is in any case, and so is the very first.
const keepBytes = 64 << 10

// flush writes and keeps.
func (r *runner) flush() {
	r.write()
	r.keep()
}

func (r *runner) finish(rest []byte, failed error) error {
	r.stream.Close(rest)
	r.write()
	r.saveStatus(time.Now(), true)
	if r.file.Pending() == 0 {
		r.keeper.close(r.upTo())
	} else {
		r.keeper.leave()
	}
	err := errors.Join(failed, r.file.Close())
	c := r.stream.Counts()
	r.log.Info().Uint64("records", c.Lines).Uint64("events", c.Events).Uint64("histories", r.format.Written).
		Uint64("lost", c.Lost).Uint64("unreadable", c.Unreadable).Uint64("unwritten", r.file.Lost()).Msg("ended")
	return err
}

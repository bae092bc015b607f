package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
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
	"audisp-history/plugin/confine"
	"audisp-history/plugin/diary"
	"audisp-history/plugin/rules"
	"audisp-history/plugin/spool"
)

const (
	// gcPercent is how much garbage there may be beside what is in use: little is made, and much is kept.
	gcPercent = 40
	// tick is how often waiting events and outputs are looked after while no records come.
	tick = 100 * time.Millisecond
	// handleRest is how long nothing is handled after all there was has been, so that records are handled in numbers: to wake
	// a goroutine for each one costs several times as much as to handle it.
	handleRest = 10 * time.Millisecond
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
	d := openDiary(&std)
	defer d.Close()
	log := d.Logger()
	c, err := loadOwn(config)
	if err != nil {
		if std.own { // under auditd nobody reads standard error
			log.Error().Err(err).Msg("the configuration is not right, and the program ends")
		}
		return err
	}
	d.SetLevel(level(&c))
	debug.SetGCPercent(gcPercent)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)
	r := newRunner(&c, std.out, log)
	r.diary = d
	r.again = func() (conf.Config, error) {
		again, err := loadConfig(config)
		again.Node = cmp.Or(again.Node, c.Node) // auditd may have told it, whose file only root may read
		return again, err
	}
	if std.own {
		r.kernel = openKernel
		if err := r.dropPrivileges(config); err != nil {
			log.Error().Err(err).Msg("the program ends")
			return &marked{err, errUsage}
		}
		paths := usedPaths(&c, config)
		r.enclose = func() (*confine.Enclosure, []string) { return confine.Enclose(paths) }
	}
	return r.run(&calm{in: std.in}, proc, signals)
}

// openDiary opens the program's own log: to syslog, and to standard error where somebody reads it.
func openDiary(std *stdio) *diary.Diary {
	c := diary.Config{Stderr: std.err, PID: os.Getpid(), Level: zerolog.InfoLevel, Now: time.Now}
	if std.own {
		c.Socket = diary.Socket
	}
	return diary.Open(c)
}

// level is the least severe that the configuration has logged.
func level(c *conf.Config) zerolog.Level {
	l, err := zerolog.ParseLevel(string(c.Log.Level))
	if err != nil { // the configuration has been checked
		return zerolog.InfoLevel
	}
	return l
}

// A runner enriches the records of one auditd. All but reading is done by the goroutine that calls run.
type runner struct {
	conf    *conf.Config
	stream  *enrich.Stream
	outlets *outlets
	log     zerolog.Logger
	diary   *diary.Diary // where log goes; nil: somewhere else
	self    text.Self
	begin   time.Time // the zero of arrival times, which must not jump with the clock
	keeper  keeper
	queue   *spool.Queue
	crowded bool      // records are lost on their way in
	rest    time.Time // before this, nothing is kept: the outputs were not ready
	again   func() (conf.Config, error)
	kernel  func() (rules.Kernel, error) // nil if it is not asked
	watch   watch

	enclose   func() (*confine.Enclosure, []string) // what is still to be given up; nil: nothing
	enclosure *confine.Enclosure

	proc   string         // where /proc is
	boot   int64          // when this machine has booted, in milliseconds since 1970; 0 if /proc does not say
	ask    *procfs.Reader // for single questions, nil if it cannot be read
	looker looker
	sweep  *sweeper
	status status

	audit      *auditlog.Log // auditd's, nil if there is none
	fed        stamps        // events that were read there and may come on standard input as well
	filter     bool
	overlap    map[string]overlap // by node, while there is a filter
	filterEnd  time.Time
	unkeptMost int                 // bytes
	assumed    bool                // only the outputs say how far the stream was
	halves     map[string]struct{} // records of events of which the log had a part
}

func newRunner(c *conf.Config, out io.Writer, log zerolog.Logger) *runner {
	r := &runner{conf: c, self: self(c), log: log, begin: time.Now(), unkeptMost: unkeptMost, halves: map[string]struct{}{}, overlap: map[string]overlap{}}
	r.queue = spool.New(spoolConfig(c))
	r.outlets = newOutlets(c, &r.self, out, log)
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

func (r *runner) now() int64 { return time.Since(r.begin).Milliseconds() }

// run handles records until in ends, or until a signal ends it and no more come.
func (r *runner) run(in io.Reader, proc string, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { r.queue.End(r.queue.Fill(in)) }()
	defer r.queue.Close()
	r.openProc(proc)
	defer r.closeProc()
	r.looker = looker{ctx: ctx, root: proc, looks: make(chan seen, 1)}
	r.looker.begin()
	r.start(ctx)
	r.watchRules(ctx)
	go debug.FreeOSMemory() // what loading has left

	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var lines record.Lines
	var quiet <-chan time.Time // set by SIGTERM
	var rest <-chan time.Time
	for {
		ready := r.queue.Ready()
		if rest != nil {
			ready = nil
		}
		select {
		case <-rest:
			rest = nil
		case <-ready:
			piece, _, err := r.queue.Next()
			if len(piece) == 0 && err != nil {
				return r.finish(lines.Rest(), err)
			}
			lines.Feed(piece, r)
			r.queue.Done(len(piece), 0)
			if quiet != nil && len(piece) > 0 {
				quiet = time.After(silence)
			}
			if r.stream.Unkept() > keepBytes || !r.keeper.begun {
				r.keep(settleWait)
			}
			if r.idle() && quiet == nil {
				rest = time.After(handleRest)
			}
		case <-ticker.C:
			r.tick()
		case l := <-r.looker.looks:
			r.look(l)
		case p := <-r.watch.reports:
			r.reported(p)
		case s := <-signals:
			switch s {
			case syscall.SIGHUP:
				r.reload()
			case syscall.SIGUSR1:
				r.saveStatus(time.Now(), false)
			default:
				r.log.Info().Str("signal", s.String()).Msg("ending")
				quiet = time.After(silence)
			}
		case <-quiet:
			if !r.idle() { // they came in time, and wait because something else took long
				quiet = time.After(silence)
				continue
			}
			return r.finish(lines.Rest(), nil)
		}
	}
}

// idle reports whether all that was read has been handled.
func (r *runner) idle() bool {
	_, _, items := r.queue.Size()
	return items == 0
}

// tick does what is to be done now and then.
func (r *runner) tick() {
	now := time.Now()
	if r.idle() { // else what the stream waits for may be in the queue
		r.stream.Tick(r.now(), now.UnixMilli())
	}
	r.outlets.tick(now)
	r.reportQueue()
	r.keep(settleWait)
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
	if r.filter && now.After(r.filterEnd) {
		r.endFilter()
	}
	if r.diary != nil {
		r.diary.Tick()
	}
	if now.Sub(r.status.saved) >= statusEvery {
		r.saveStatus(now, false)
	}
}

// reportQueue says once that records are lost on their way in, and once that they are not any more. The gap is told of
// when their serials are missed, and auditd's log does not have them.
func (r *runner) reportQueue() {
	err := r.queue.Trouble()
	switch {
	case err != nil && !r.crowded:
		r.log.Error().Err(err).Msg("records come faster than they are handled")
	case err == nil && r.crowded:
		r.log.Info().Uint64("lost", r.queue.Counts().Lost.Items).Msg("records are handled as they come again")
	}
	r.crowded = err != nil
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
	r.status.histories += uint64(len(marks))
	r.configChanged(e)
	r.outlets.event(e, marks, r.stream.Tracker().Revision())
}

// Gap writes a gap's record. What is there after it is looked up in /proc.
func (r *runner) Gap(g tracker.Gap) {
	r.status.gap(&g)
	r.looker.want = true
	r.outlets.gap(&g)
}

// keep keeps what has been handled and written, if the outputs have it within a while. What is not written yet is handled
// again after a restart, so it must not be known as handled; but what is lost is lost.
func (r *runner) keep(wait time.Duration) {
	now := time.Now()
	if now.Before(r.rest) {
		return
	}
	if !r.outlets.settle(now, wait) && r.stream.Unkept() < r.unkeptMost {
		r.rest = time.Now().Add(settleRest)
		return
	}
	r.keeper.keep(r.outlets.kept(now))
}

// keepBytes is how much may have changed before it is kept; after a tick it is in any case, and so is the very first.
const keepBytes = 64 << 10

// unkeptMost is how much may wait to be kept for outputs that do not get on. Beyond it, it is kept all the same, and that
// they are behind: after kill -9 they lack what was on its way, and say so.
const unkeptMost = 16 << 20

// finish ends everything. What cannot be written now is not known as handled, so that it will be after the next start. An
// output that is broken is no reason for auditd to think that the program has failed.
func (r *runner) finish(rest []byte, failed error) error {
	if len(rest) == 0 {
		r.whole()
	}
	r.stream.Close(rest)
	settled, kept := r.outlets.end(), r.outlets.kept(time.Now())
	r.saveStatus(time.Now(), true)
	if settled {
		r.keeper.close(kept)
	} else {
		r.keeper.leave()
	}
	c := r.stream.Counts()
	r.log.Info().Uint64("records", c.Lines).Uint64("events", c.Events).Uint64("histories", r.status.histories).
		Uint64("lost", c.Lost).Uint64("unreadable", c.Unreadable).Msg("ended")
	if failed == nil || errors.Is(failed, io.EOF) {
		return nil
	}
	return fmt.Errorf("standard input: %w", failed)
}

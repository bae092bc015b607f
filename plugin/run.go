package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"audisp-history/conf"
	"audisp-history/enrich"
	"audisp-history/enrich/procfs"
	"audisp-history/enrich/record"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
	"audisp-history/plugin/sink"
)

const (
	// tick is how often waiting events and outputs are looked after while no records come.
	tick = 100 * time.Millisecond
	// silence is how long no record may come after SIGTERM before the end is believed: auditd before 4.2 may still
	// write (systemd signals the whole control group at once).
	silence = 500 * time.Millisecond
	// lookWait is how long the first look at /proc may take before records are handled without it.
	lookWait = 5 * time.Second
	// A queue of chunks lies between reading and handling; auditd writes one record at a time, so a chunk is small.
	chunkSize = 64 << 10
	queueSize = 1 << 10
)

func runCommand(args []string, std stdio) error {
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
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	r := newRunner(&c, newLog(&c, std.err))
	return r.run(std.in, "/proc", signals)
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
	stream *enrich.Stream
	format *text.Format
	file   *sink.File
	log    zerolog.Logger
	begin  time.Time // the zero of arrival times, which must not jump with the clock
	buf    []byte
	broken bool // the output could not be written the last time
	proc   *procfs.Reader
	self   text.Self
}

func newRunner(c *conf.Config, log zerolog.Logger) *runner {
	r := &runner{self: self(c), format: textFormat(c), log: log, begin: time.Now()}
	sc := streamConfig(c)
	sc.KernelThread = r.kernelThread
	r.stream = enrich.New(sc, r)
	file, err := sink.NewFile(c.Output.Path, c.Output.Mode.FileMode())
	r.file = file
	r.report(err)
	return r
}

// kernelThread asks /proc about a task, while there is one to ask.
func (r *runner) kernelThread(pid uint32) bool {
	return r.proc != nil && r.proc.KernelThread(int(pid))
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
	if reader, err := procfs.Open(proc); err == nil {
		r.proc = reader
		defer reader.Close() //nolint:errcheck // it was only read
	}
	looks := make(chan *procfs.Look, 1)
	go func() { looks <- readLook(ctx, proc, r.log) }()
	chunks := make(chan []byte, queueSize)
	ended := make(chan error, 1)
	go func() { ended <- read(in, chunks) }()

	select { // records wait in the queue meanwhile: what was forked before the first of them is only in /proc
	case l := <-looks:
		r.look(l)
	case <-time.After(lookWait):
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var lines record.Lines
	var quiet <-chan time.Time // set by SIGTERM
	for {
		select {
		case chunk, more := <-chunks:
			if !more {
				return r.finish(lines.Rest(), <-ended)
			}
			lines.Feed(chunk, r)
			if quiet != nil {
				quiet = time.After(silence)
			}
			if len(chunks) == 0 || len(r.buf) >= outBuffer {
				r.write()
			}
		case <-ticker.C:
			r.stream.Tick(r.now(), time.Now().UnixMilli())
			r.write()
			r.report(r.file.Retry())
		case l := <-looks:
			r.look(l)
		case s := <-signals:
			if s == syscall.SIGHUP {
				r.report(r.file.Reopen())
				continue
			}
			r.log.Info().Str("signal", s.String()).Msg("ending")
			quiet = time.After(silence)
		case <-quiet:
			if len(chunks) > 0 { // they came in time, and wait because the output is slow
				quiet = time.After(silence)
				continue
			}
			return r.finish(lines.Rest(), nil)
		}
	}
}

// read passes on what comes. It never waits for anything but in, as long as there is room in the queue.
func read(in io.Reader, chunks chan<- []byte) error {
	defer close(chunks)
	buf := make([]byte, chunkSize)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			chunks <- append([]byte(nil), buf[:n]...)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
	}
}

// readLook looks at /proc, nil if it cannot.
func readLook(ctx context.Context, proc string, log zerolog.Logger) *procfs.Look {
	l, err := procfs.Read(ctx, proc)
	if err != nil {
		log.Error().Err(err).Msg("what runs already has no history")
		return nil
	}
	return l
}

func (r *runner) look(l *procfs.Look) {
	if l != nil {
		r.stream.Look(l)
	}
}

// Line and Piece make a runner the handler of its lines.
func (r *runner) Line(line []byte) { r.stream.Line(line, r.now()) }

// Piece passes on a part of a line that is too long.
func (r *runner) Piece(part []byte) { r.stream.Piece(part, r.now()) }

// Event writes an event.
func (r *runner) Event(e *record.Event, marks []tracker.Mark) {
	r.format.Revise(r.stream.Tracker().Revision())
	r.buf = r.format.Append(r.buf, e, marks)
}

// Gap writes a gap's record.
func (r *runner) Gap(g tracker.Gap) { r.buf = text.AppendGap(r.buf, &g, &r.self) }

func (r *runner) write() {
	if len(r.buf) > 0 {
		r.report(r.file.Write(r.buf))
		r.buf = r.buf[:0]
	}
}

func (r *runner) finish(rest []byte, failed error) error {
	r.stream.Close(rest)
	r.write()
	err := errors.Join(failed, r.file.Close())
	c := r.stream.Counts()
	r.log.Info().Uint64("records", c.Lines).Uint64("events", c.Events).Uint64("histories", r.format.Written).
		Uint64("lost", c.Lost).Uint64("unreadable", c.Unreadable).Uint64("unwritten", r.file.Lost()).Msg("ended")
	return err
}

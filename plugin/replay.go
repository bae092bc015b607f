package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"audisp-history/conf"
	"audisp-history/enrich"
	"audisp-history/enrich/ecs"
	"audisp-history/enrich/procfs"
	"audisp-history/enrich/record"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
	"audisp-history/plugin/output"
)

func replayCommand(args []string, std stdio) error {
	var config, format, style string
	var procs texts
	files, err := parseFlags("replay", args, func(f *flag.FlagSet) {
		f.StringVar(&config, "config", "", "")
		f.StringVar(&format, "format", string(conf.FormatAudit), "")
		f.StringVar(&style, "style", string(conf.StyleField), "")
		f.Var(&procs, "proc", "")
	})
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return usageError("replay: no FILE given; use - to read standard input")
	}
	if first := slices.Index(files, "-"); first >= 0 && slices.Contains(files[first+1:], "-") {
		return usageError("replay: - given twice; standard input can be read once only")
	}
	c, err := loadConfig(config)
	if err != nil {
		return err
	}
	if !slices.Contains(conf.Formats, format) {
		return usageError("replay: --format %q: it is one of %s", format, strings.Join(conf.Formats, ", "))
	}
	if s := conf.Style(style); s != conf.StyleField && s != conf.StyleRecord {
		return usageError("replay: --style %q: it is field or record", style)
	}
	sources, err := openSources(files, std.in)
	if err != nil {
		return err
	}
	defer sources.close()
	r := newReplay(&c, &conf.Output{Format: conf.Format(format), Style: conf.Style(style)}, std)
	for _, dir := range procs {
		look, err := procfs.Read(context.Background(), dir)
		if err != nil {
			return fmt.Errorf("replay: --proc: %w", err)
		}
		r.stream.Look(look)
	}
	err = r.play(sources)
	r.progress.clear()
	r.summary(std.err)
	return err
}

// replay enriches whole logs. It has no clock: how long to wait for an event that is missing is measured in events.
type replay struct {
	stream   *enrich.Stream
	format   output.Format
	written  uint64                                 // histories
	convert  func(dst, made []byte) ([]byte, error) // of what the format makes, nil: that is it
	made     []byte
	out      io.Writer
	buf      []byte
	failed   error
	self     text.Self
	gaps     []tracker.Gap // the first of them
	progress *progress
}

// outBuffer is how many bytes are collected before they are written.
const outBuffer = 256 << 10

func newReplay(c *conf.Config, o *conf.Output, std stdio) *replay {
	r := &replay{out: std.out, self: self(c), format: newFormat(o, &c.History, coloured(std.out)), progress: newProgress(std.err)}
	if o.Format == conf.FormatECS {
		r.convert = ecs.Document
	}
	r.stream = enrich.New(streamConfig(c), r)
	return r
}

// coloured reports whether w shows colours: a terminal, and nobody has said otherwise (https://no-color.org).
func coloured(w io.Writer) bool { return isTerminal(w) && os.Getenv("NO_COLOR") == "" }

// Event writes an event.
func (r *replay) Event(e *record.Event, marks []tracker.Mark) {
	r.format.Revise(r.stream.Tracker().Revision())
	r.buf = r.format.Append(r.buf, e, marks)
	r.written += uint64(len(marks))
	if len(r.buf) >= outBuffer {
		r.write()
	}
}

// Gap writes a gap's record.
func (r *replay) Gap(g tracker.Gap) {
	r.buf = r.format.AppendGap(r.buf, &g, &r.self)
	if len(r.gaps) < maxGaps {
		r.gaps = append(r.gaps, g)
	}
}

// maxGaps bounds the gaps that are kept for the summary.
const maxGaps = 1000

func (r *replay) write() {
	b := r.buf
	r.buf = r.buf[:0]
	if r.failed != nil || len(b) == 0 {
		return
	}
	if r.convert != nil {
		if r.made, r.failed = r.convert(r.made[:0], b); r.failed != nil {
			return
		}
		b = r.made
	}
	_, r.failed = r.out.Write(b)
}

// Line and Piece make a replay the handler of its lines.
func (r *replay) Line(line []byte) { r.stream.Line(line, 0) }

// Piece passes on a part of a line that is too long.
func (r *replay) Piece(part []byte) { r.stream.Piece(part, 0) }

func (r *replay) play(s *sources) error {
	chunk := make([]byte, 128<<10)
	r.progress.total = s.size
	for _, src := range s.list {
		var lines record.Lines
		for {
			n, err := src.read.Read(chunk)
			lines.Feed(chunk[:n], r)
			r.progress.show(src.before + src.file.n)
			if r.failed != nil {
				return fmt.Errorf("replay: standard output: %w", r.failed)
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				r.stream.Close(lines.Rest())
				r.write()
				return fmt.Errorf("replay: %s: %w", src.name, err)
			}
		}
		open, rest := lines.Open(), lines.Rest()
		switch last := src == s.list[len(s.list)-1]; {
		case last && len(rest) > 0:
			r.stream.Close(rest)
		case last:
		case open: // the next file begins a line of its own
			r.Piece([]byte{'\n'})
		case len(rest) > 0:
			r.Line(append(rest, '\n'))
		}
	}
	r.stream.Close(nil)
	r.write()
	if r.failed != nil {
		return fmt.Errorf("replay: standard output: %w", r.failed)
	}
	return nil
}

// sources are the logs of a replay, oldest first.
type sources struct {
	list []*source
	size int64
}

type source struct {
	name   string
	read   *bufio.Reader
	file   *counter
	before int64 // bytes of the files before it
	size   int64
	time   int64 // of the first record
	serial uint64
	close  func() error
}

// counter counts the bytes read from a file, compressed or not.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func openSources(names []string, stdin io.Reader) (*sources, error) {
	s := &sources{}
	for _, name := range names {
		src, err := openSource(name, stdin)
		if err != nil {
			s.close()
			return nil, err
		}
		s.list = append(s.list, src)
	}
	slices.SortStableFunc(s.list, func(a, b *source) int {
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.serial, b.serial))
	})
	for _, src := range s.list {
		src.before = s.size
		s.size += src.size
	}
	return s, nil
}

func (s *sources) close() {
	for _, src := range s.list {
		if src.close != nil {
			_ = src.close() // it was only read
		}
	}
}

func openSource(name string, stdin io.Reader) (*source, error) {
	src := &source{name: name, file: &counter{r: stdin}}
	if name == "-" {
		src.name = "standard input"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("replay: %w", err)
		}
		src.file.r, src.close = f, f.Close
		if info, err := f.Stat(); err == nil {
			src.size = info.Size()
		}
	}
	src.read = bufio.NewReaderSize(src.file, record.MaxLine)
	if magic, _ := src.read.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(src.read)
		if err != nil {
			return nil, fmt.Errorf("replay: %s: %w", src.name, err)
		}
		src.read = bufio.NewReaderSize(z, record.MaxLine)
	}
	if src.enriched() {
		return nil, fmt.Errorf("replay: %s: its records have histories already, and those of forks and execs may be left out; give the log that auditd wrote, audit.log", src.name)
	}
	src.date()
	return src, nil
}

// enriched reports whether a log looks like one that this program wrote.
func (s *source) enriched() bool {
	head, _ := s.read.Peek(record.MaxLine)
	for line := range bytes.Lines(head) {
		if _, isGap := gapIn(line); isGap || hasHistory(line) {
			return true
		}
	}
	return false
}

// hasHistory reports whether a record ends in a field of ours. A program's message, which may hold anything, ends in a '.
func hasHistory(line []byte) bool {
	line, _, _ = bytes.Cut(bytes.TrimRight(line, "\n"), []byte{record.Separator})
	i := bytes.LastIndex(line, []byte(`history="name=`))
	return i > 0 && (line[i-1] == ' ' || line[i-1] == 'o') && bytes.IndexByte(line[i+len(`history="`):], '"') == len(line)-i-len(`history="`)-1
}

// date finds the first kernel record near the beginning, to put rotated logs into order by it.
func (s *source) date() {
	head, _ := s.read.Peek(16 << 10)
	for line := range bytes.Lines(head) {
		if h, ok := record.ParseHeader(line); ok && record.KindOf(h.Type) != record.Daemon {
			s.time, s.serial = h.Time, h.Serial
			return
		}
	}
}

package main

import (
	"io"
	"os"
	"reflect"
	"time"

	"github.com/rs/zerolog"

	"audisp-history/conf"
	"audisp-history/enrich/ecs"
	"audisp-history/enrich/record"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
	"audisp-history/plugin/output"
	"audisp-history/plugin/sink"
	"audisp-history/plugin/spool"
	"audisp-history/plugin/syslog"
)

const (
	// settleWait is how long the outputs may take to write what was handed to them, before what is known is kept without
	// waiting: they are a few milliseconds behind when all is well. catchUpWait is the same while nothing but the outputs is
	// in the way, and settleRest how long it is not tried again.
	settleWait  = 50 * time.Millisecond
	catchUpWait = time.Second
	settleRest  = 100 * time.Millisecond
	// holdFor is how long an output that is no file may be behind before what is known is kept all the same. After kill -9
	// it then lacks what it was behind with; else that is kept, too.
	holdFor = time.Minute
	// endWait is how long outputs that are slow may take at the end, and stillWait how long one may take nothing at all.
	// Who comes after waits for the state for lockWait, which is longer.
	endWait   = 20 * time.Second
	stillWait = 2 * time.Second
)

// An outlet is an output, what the configuration says of it, and what it has already, after a restart.
type outlet struct {
	*output.Output
	conf    conf.Output
	history conf.History
	file    *output.File   // nil if it is none
	syslog  *output.Syslog // nil if it is none

	unsent   [][]byte // messages that waited when the program ended before, until syslog has them
	refilled bool     // there is a file with what waited then
	saved    bool     // all that was left at the end is in such a file
	unsaved  bool     // or it is not

	read    func(line []byte) (mention, bool)
	written stamps     // events that it has
	place   sink.Place // where in it they begin
	gaps    map[string]struct{}
	tail    *tail
}

// outlets are all outputs.
type outlets struct {
	list  []*outlet
	out   io.Writer // for those that go to standard output
	self  *text.Self
	log   zerolog.Logger
	spool spool.Config
	dir   string // where what waits at the end is kept, "" if nowhere
}

// newOutlets makes outlets that have not been opened.
func newOutlets(c *conf.Config, self *text.Self, out io.Writer, log zerolog.Logger) *outlets {
	s := &outlets{out: out, self: self, log: log, spool: spoolConfig(c)}
	for i := range c.Outputs {
		s.list = append(s.list, newOutlet(c.Outputs[i], c.History))
	}
	return s
}

// find is the one of a name, nil if there is none.
func (s *outlets) find(name string) *outlet {
	for _, o := range s.list {
		if o.conf.Name == name {
			return o
		}
	}
	return nil
}

func newOutlet(c conf.Output, h conf.History) *outlet {
	return &outlet{conf: c, history: h, read: mentions[c.Format]}
}

func spoolConfig(c *conf.Config) spool.Config {
	return spool.Config{Memory: int64(c.Spool.Memory), Dir: c.State.Dir, File: int64(c.Spool.File)}
}

// open opens all, of which what cannot be opened now is tried again.
func (s *outlets) open() {
	s.forget()
	for _, o := range s.list {
		s.openWaiting(o)
	}
}

func (s *outlets) openOne(o *outlet) {
	destination, err := s.destination(o)
	o.Output = output.New(output.Config{
		Name: o.conf.Name, Filter: newFilter(&o.conf), Format: newFormat(&o.conf, &o.history, false), Destination: destination, Err: err,
		Spool: s.spool, Self: s.self, Log: s.log,
	})
}

// destination makes the destination of an output. After an error it is tried again.
func (s *outlets) destination(o *outlet) (output.Destination, error) {
	d, err := s.receiver(o)
	if o.conf.Format == conf.FormatECS {
		d = &output.Converted{Destination: d, Convert: ecs.Document}
	}
	return d, err
}

func (s *outlets) receiver(o *outlet) (output.Destination, error) {
	switch c := &o.conf; {
	case c.File != nil:
		var err error
		o.file, err = output.NewFile(s.sinkConfig(c))
		return o.file, err
	case c.Syslog != nil:
		d, err := output.NewSyslog(syslogConfig(c.Syslog), func(line []byte) int64 {
			m, _ := o.read(line)
			return m.time
		})
		if err != nil { // the configuration's own checks let something through
			return &output.Refused{Err: err}, err
		}
		for _, m := range o.unsent {
			d.Restore(m)
		}
		o.syslog, o.unsent = d, nil
		return d, nil
	default:
		return &output.Stream{Name: "standard output", Writer: s.out}, nil
	}
}

func (s *outlets) sinkConfig(c *conf.Output) sink.Config {
	return sink.Config{
		Path: c.File.Path, Mode: c.File.Mode.FileMode(), Group: c.File.Group,
		Rotate: sink.Rotation{
			Bytes: int64(c.File.RotateBytes), Every: time.Duration(c.File.RotateHours) * time.Hour,
			Keep: c.File.Keep, Compress: c.File.Compress,
		},
		Notice: func(err error) {
			s.log.Warn().Str("output", c.Name).Err(err).Msg("somebody has changed the output")
		},
	}
}

func syslogConfig(c *conf.Syslog) syslog.Config {
	return syslog.Config{
		To: c.To, Protocol: syslog.Protocol(c.Protocol), Facility: c.Facility, Severity: c.Severity, Tag: c.Tag, Host: c.Hostname,
		CA: c.CA, Certificate: c.Certificate, Key: c.Key, ServerName: c.ServerName, MaxBytes: c.MaxBytes,
	}
}

// event hands an event to every output that does not have it.
func (s *outlets) event(e *record.Event, marks []tracker.Mark, revision uint64) {
	for _, o := range s.list {
		if len(o.written.set) > 0 && o.written.take(stamp{e.Node, e.Time, e.Serial}) {
			continue
		}
		o.Event(e, marks, revision)
	}
}

func (s *outlets) gap(g *tracker.Gap) {
	var name string
	for _, o := range s.list {
		if len(o.gaps) > 0 {
			if name == "" {
				name, _ = gapIn(text.AppendGap(nil, g, s.self))
			}
			if _, has := o.gaps[name]; has {
				continue
			}
		}
		o.Gap(g)
	}
}

func (s *outlets) flush() {
	for _, o := range s.list {
		o.Flush()
	}
}

func (s *outlets) tick(now time.Time) {
	for _, o := range s.list {
		o.Tick(now)
		s.arrived(o)
	}
}

// reopen opens anew what somebody else may have moved away.
func (s *outlets) reopen() {
	for _, o := range s.list {
		o.Flush()
		o.Reopen()
	}
}

// settle flushes all and reports whether all has arrived that must have, before it may be known as handled. It waits for
// outputs that are not behind already.
func (s *outlets) settle(now time.Time, wait time.Duration) bool {
	s.flush()
	var timer <-chan time.Time
	for _, o := range s.list {
		if !o.holds(now) {
			continue
		}
		for !o.Delivered() {
			if since, _ := o.Behind(); !since.IsZero() && now.Sub(since) > time.Second {
				return false
			}
			if timer == nil {
				timer = time.After(wait)
			}
			select {
			case <-o.Moved():
			case <-timer:
				return false
			}
		}
	}
	return true
}

// holds reports whether nothing may be known as handled that has not arrived here: what is lost is lost, and what waits
// for a receiver must not wait for ever.
func (o *outlet) holds(now time.Time) bool {
	since, lost := o.Behind()
	return !lost && (o.file != nil || since.IsZero() || now.Sub(since) < holdFor)
}

// kept is how far the outputs are, to be kept with what the stream knows.
func (s *outlets) kept(now time.Time) []keptOutput {
	all := make([]keptOutput, len(s.list))
	for i, o := range s.list {
		all[i] = keptOutput{name: o.conf.Name, behind: o.unsaved || !o.holds(now) || !o.Delivered()}
		if o.saved {
			_, all[i].behind = o.Behind()
		}
		if o.file != nil {
			all[i].file, all[i].place = true, o.upTo()
		}
	}
	return all
}

// end delivers what is on its way, as far as that can be done now, and reports whether nothing is left that must not be
// known as handled.
func (s *outlets) end() bool {
	holds := make([]bool, len(s.list))
	for i, o := range s.list {
		holds[i] = o.holds(time.Now())
		o.End()
		o.Leave()
	}
	settled := true
	deadline := time.Now().Add(endWait)
	for i, o := range s.list {
		left, ended := o.finish(deadline)
		if left > 0 {
			s.left(o, left, ended, holds[i])
		} else {
			s.arrived(o)
		}
		settled = settled && (left == 0 || o.saved || !holds[i])
		o.Close()
	}
	return settled
}

// left keeps what was left of an output at the end, or says that it is not kept.
func (s *outlets) left(o *outlet, left int, ended, holds bool) {
	log := s.log.With().Str("output", o.conf.Name).Int("events", left).Logger()
	if ended && s.waitingFile(o) != "" {
		err := s.save(o)
		if o.saved = err == nil; o.saved {
			log.Warn().Msg("events had not been delivered when the program ended; they wait for the next start")
			return
		}
		log.Error().Err(err).Msg("what waits for the output cannot be kept")
	}
	o.unsaved = true
	log.Error().Bool("again", holds).
		Msg("events had not been written when the program ended; if again, auditd's log has them for the next start")
}

// finish waits until the output has ended, as long as it gets on, and returns how many events are left, and whether it
// has.
func (o *outlet) finish(deadline time.Time) (left int, ended bool) {
	look := time.NewTicker(stillWait)
	defer look.Stop()
	for before := o.Waiting(); ; before = o.Waiting() {
		select {
		case <-o.Ended():
			return o.Left(), true
		case now := <-look.C:
			if o.Waiting() == before || now.After(deadline) {
				s := o.State()
				return max(s.Waiting+s.Held, 1), false
			}
		}
	}
}

// change takes another configuration. What is on its way to an output stays on its way where that can be.
func (s *outlets) change(c *conf.Config) {
	before := map[string]*outlet{}
	for _, o := range s.list {
		before[o.conf.Name] = o
	}
	s.list = nil
	for i := range c.Outputs {
		name := c.Outputs[i].Name
		s.list = append(s.list, s.changeOne(before[name], newOutlet(c.Outputs[i], c.History)))
		delete(before, name)
	}
	for _, old := range before {
		s.drop(old)
		s.log.Info().Str("output", old.conf.Name).Msg("the output is gone")
	}
}

// changeOne makes an output what o says, and returns it; old is nil if it is a new one.
func (s *outlets) changeOne(old, o *outlet) *outlet {
	same := old != nil && old.conf.Format == o.conf.Format // what is on its way is in it
	switch {
	case same && reflect.DeepEqual(old.conf, o.conf) && old.history == o.history:
		old.Flush()
		old.Reopen()
		return old
	case same && reflect.DeepEqual(old.conf.File, o.conf.File) && reflect.DeepEqual(old.conf.Syslog, o.conf.Syslog):
		old.Flush()
		old.Reopen()
	case same && old.conf.Syslog != nil && o.conf.Syslog != nil:
		old.Redirect(s.destination(o))
		old.syslog = o.syslog
	default:
		lost := 0
		if old != nil {
			lost = s.drop(old)
		}
		s.openOne(o)
		if now := time.Now().UnixMilli(); lost > 0 {
			o.Gap(&tracker.Gap{Reason: tracker.OutputLost, From: now, To: now, At: now, Lost: uint64(lost)})
		}
		s.log.Info().Str("output", o.conf.Name).Msg("the output is new or has changed")
		return o
	}
	old.View(newFilter(&o.conf), newFormat(&o.conf, &o.history, false))
	old.conf, old.history = o.conf, o.history
	s.log.Info().Str("output", o.conf.Name).Msg("the output is new or has changed")
	return old
}

// drop ends an output that is not configured any more, and returns how many events it did not take.
func (s *outlets) drop(o *outlet) int {
	o.End()
	o.Leave()
	left, _ := o.finish(time.Now())
	o.Close()
	if o.refilled {
		_ = os.Remove(s.waitingFile(o)) // else it is delivered again
	}
	if left > 0 {
		s.log.Error().Str("output", o.conf.Name).Int("lost", left).Msg("events were on their way to an output that is gone")
	}
	return left
}

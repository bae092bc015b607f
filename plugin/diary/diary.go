// Package diary is where the program's own messages go: to syslog and, where somebody reads it, to standard error. Writing
// one never waits, and a message that is repeated does not drown the others.
//
// Standard error is /dev/null under auditd. If it is a terminal, the messages are written to it for people; if it
// is anything else, a file or a pipe, each is a line of JSON.
package diary

import (
	"encoding/json"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// Program is the tag of messages in syslog.
const Program = "audisp-history"

// Socket is where syslog listens.
const Socket = "/dev/log"

// Config says where messages go.
type Config struct {
	Socket string    // of syslog, [Socket] or another; "" writes nothing to it
	Stderr io.Writer // nil writes nothing to it
	PID    int
	Level  zerolog.Level // less severe ones are left out
	Now    func() time.Time
}

// A Diary takes messages from a [zerolog.Logger]. It may be used by several goroutines.
type Diary struct {
	now     func() time.Time
	level   atomic.Int32
	dropped atomic.Uint64

	mutex  sync.Mutex // of all below
	syslog *syslog    // nil: none
	sheet  *sheet     // nil: none
	floods floods
}

// Open begins a diary. There is nothing that could fail: syslog may come later.
func Open(c Config) *Diary {
	d := &Diary{now: c.Now, sheet: openSheet(c.Stderr)}
	if c.Socket != "" {
		d.syslog = &syslog{path: c.Socket, pid: c.PID, fd: -1}
	}
	d.floods.emit = d.emit
	d.SetLevel(c.Level)
	return d
}

// SetLevel changes which messages are left out.
func (d *Diary) SetLevel(level zerolog.Level) { d.level.Store(int32(level)) }

// Logger makes a logger that writes into the diary, by the diary's clock.
func (d *Diary) Logger() zerolog.Logger {
	stamp := zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, _ string) {
		e.Time(zerolog.TimestampFieldName, d.now())
	})
	return zerolog.New(d).Hook(stamp).With().Str("program", Program).Logger()
}

// Write makes a Diary an [io.Writer]; messages without a level are as important as info.
func (d *Diary) Write(event []byte) (int, error) { return d.WriteLevel(zerolog.InfoLevel, event) }

// WriteLevel takes a message as zerolog writes it, a JSON object. It never fails: what cannot be written is counted.
func (d *Diary) WriteLevel(level zerolog.Level, event []byte) (int, error) {
	if level < zerolog.Level(d.level.Load()) {
		return len(event), nil
	}
	var e struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(event, &e) != nil {
		d.dropped.Add(1)
		return len(event), nil
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.floods.take(&message{level, e.Message, event}, d.now())
	return len(event), nil
}

// A message is one as zerolog wrote it.
type message struct {
	level zerolog.Level
	text  string // of its field message
	event []byte
}

// emit writes a message wherever it belongs. Each place that does not take it counts.
func (d *Diary) emit(m *message, now time.Time) {
	if d.syslog != nil && !d.syslog.send(m, now) {
		d.dropped.Add(1)
	}
	if d.sheet != nil && !d.sheet.write(m) {
		d.dropped.Add(1)
	}
}

// Tick sums up what was held back when its time has come. It is cheap, and is to be called every second or so.
func (d *Diary) Tick() {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.floods.end(d.now(), false)
}

// Dropped is how many messages could not be written to syslog or standard error without waiting.
func (d *Diary) Dropped() uint64 { return d.dropped.Load() }

// Close sums up what was held back. Messages after it are written all the same.
func (d *Diary) Close() {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.floods.end(d.now(), true)
	if d.syslog != nil {
		d.syslog.close()
	}
}

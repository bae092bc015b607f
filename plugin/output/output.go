// Package output takes events from the goroutine that handles them to where they are written, without making it wait.
//
// Each output has a filter, a format, a queue and a destination. Filter and format are used by the goroutine that calls
// Event and Gap, the destination by one of the output's own; the queue lies between. So an output that is slow or
// broken holds up neither the reading nor another output.
package output

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"audisp-history/enrich/filter"
	"audisp-history/enrich/record"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
	"audisp-history/plugin/spool"
)

// A Format appends events and gaps as they are to be written, or in a form from which the destination makes that.
type Format interface {
	Append(dst []byte, e *record.Event, marks []tracker.Mark) []byte
	AppendGap(dst []byte, g *tracker.Gap, self *text.Self) []byte
	// Revise is told the revision of the histories (see tracker.Tracker.Revision), before each event.
	Revise(revision uint64)
}

// A Destination is where chunks go. It is used by one goroutine.
type Destination interface {
	// Deliver takes whole events. It returns how many bytes of them have arrived or are held; after an error it is called
	// again with the rest. It must not take for ever.
	Deliver(chunk []byte) (int, error)
	// Held is how many messages were taken and would be lost if the program ended now; after Close, how many are. The
	// destination tries to send them with each Deliver and Tick.
	Held() int
	// Tick is called at least once a second while nothing is delivered, and now and then otherwise.
	Tick(now time.Time) error
	// Reopen opens anew what somebody else may have replaced.
	Reopen() error
	Close() error
}

// Config makes an output. Self is who writes the records of gaps.
type Config struct {
	Name        string
	Filter      *filter.Filter
	Format      Format
	Destination Destination
	Err         error // why the destination takes nothing yet
	Spool       spool.Config
	Self        *text.Self
	Log         zerolog.Logger
}

const (
	// chunkBytes is how much is collected before it is put into the queue.
	chunkBytes = 128 << 10
	// ticks is how often a destination is looked after.
	ticks = 500 * time.Millisecond
	// A delivery that failed is tried again after firstRetry, then after twice as long each time up to lastRetry.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 2 * time.Second
	// What is put back waits for the queue's file so often and so long, all together; then the oldest is lost.
	refillTries = 2000
	refillPause = 5 * time.Millisecond
)

// An Output is used by one goroutine, that which handles events.
type Output struct {
	conf  Config
	queue *spool.Queue
	buf   []byte
	items int // events in buf

	lost   uint64    // events that had been lost when that was last told of
	since  time.Time // when something was first lost that has not been told of
	mark   uint64    // bytes that had been flushed at behind
	behind time.Time // when the oldest of what has not arrived was flushed, or later; zero: all has arrived
	overan bool      // something was lost since all had arrived

	requests chan request
	next     atomic.Pointer[redirection]
	moved    chan struct{} // something has been delivered
	ended    chan struct{}
	leave    chan struct{} // give up what cannot be delivered now
	held     atomic.Int64  // messages that have left the queue and are with the destination only
	gone     atomic.Uint64 // messages that were held by a destination that was replaced
	left     atomic.Int64  // events given up, and messages that were held then
	before   atomic.Uint64 // events that the queue had lost by then

	kept    int // events that Rest has taken out
	refills int // how often Refill has waited

	odd string // what was last said of the destination, by the goroutine that uses it

	mutex sync.Mutex
	fault string // why the destination does not take anything, "" if it does
}

type request uint8

const reopen request = 0

// New begins an output. It ends with Close.
func New(c Config) *Output {
	o := &Output{
		conf: c, queue: spool.New(c.Spool), requests: make(chan request, 1), moved: make(chan struct{}, 1),
		ended: make(chan struct{}), leave: make(chan struct{}),
	}
	o.report(c.Err)
	go o.deliver()
	return o
}

// Refill puts back what Rest had of an output with the same format. It waits while the queue has no room, for ten seconds
// in all: the disk may be full.
func (o *Output) Refill(chunk []byte, events int) {
	for ; o.refills < refillTries && o.conf.Spool.File > 0; o.refills++ {
		if memory, _, _ := o.queue.Size(); memory <= o.conf.Spool.Memory/2 {
			break
		}
		<-time.After(refillPause)
	}
	o.queue.Put(chunk, events)
}

// Event writes an event with its histories, unless the filter drops it.
func (o *Output) Event(e *record.Event, marks []tracker.Mark, revision uint64) {
	if !o.conf.Filter.Keep(e) {
		return
	}
	o.conf.Format.Revise(revision)
	o.buf = o.conf.Format.Append(o.buf, e, marks)
	o.took()
}

// Gap writes a gap's record.
func (o *Output) Gap(g *tracker.Gap) {
	o.buf = o.conf.Format.AppendGap(o.buf, g, o.conf.Self)
	o.took()
}

func (o *Output) took() {
	o.items++
	if len(o.buf) >= chunkBytes {
		o.Flush()
	}
}

// Flush puts what has been collected on its way.
func (o *Output) Flush() {
	if len(o.buf) > 0 {
		o.queue.Put(o.buf, o.items)
		o.buf, o.items = o.buf[:0], 0
	}
}

// Delivered reports whether all that was flushed has arrived, or has been lost.
func (o *Output) Delivered() bool {
	_, _, items := o.queue.Size()
	return items == 0 && o.held.Load() == 0 // in this order, see hold
}

// Moved gets a value when something has arrived.
func (o *Output) Moved() <-chan struct{} { return o.moved }

// Waiting is how many bytes are on their way.
func (o *Output) Waiting() int64 {
	memory, file, _ := o.queue.Size()
	return memory + file
}

// Behind is since when something has been on its way, zero if nothing is, and whether something has been lost since all
// had arrived. It is as of the last Tick, and never too early.
func (o *Output) Behind() (since time.Time, lost bool) { return o.behind, o.overan }

// Tick looks after what is on its way, and tells of what was lost: in a record, when nothing is any more.
func (o *Output) Tick(now time.Time) {
	o.Flush()
	c, trouble := o.queue.Counts(), o.queue.Trouble()
	lost := c.Lost.Items + o.gone.Load()
	o.overan = o.overan || lost > o.lost
	o.follow(now, &c)
	if lost == o.lost {
		return
	}
	if o.since.IsZero() {
		o.since = now
		o.conf.Log.Error().Str("output", o.conf.Name).Err(trouble).Msg("records are lost")
	}
	if trouble == nil {
		o.tellLost(now)
	}
}

// follow finds out since when something has been on its way. What is held has been so the longest.
func (o *Output) follow(now time.Time, c *spool.Counts) {
	gone := c.Done.Bytes + c.Lost.Bytes
	if held := o.held.Load() > 0; held && !o.behind.IsZero() || !held && gone < o.mark {
		return
	} else if !held && gone == c.Put.Bytes {
		o.mark, o.behind, o.overan = c.Put.Bytes, time.Time{}, false
		return
	}
	o.mark, o.behind = c.Put.Bytes, now
}

func (o *Output) tellLost(now time.Time) {
	n := o.queue.Counts().Lost.Items + o.gone.Load()
	o.conf.Log.Error().Str("output", o.conf.Name).Uint64("lost", n-o.lost).Msg("no more records are lost")
	o.Gap(&tracker.Gap{Reason: tracker.OutputLost, From: o.since.UnixMilli(), To: now.UnixMilli(), At: now.UnixMilli(), Lost: n - o.lost})
	o.Flush()
	o.lost, o.since = n, time.Time{}
}

// Reopen has the destination opened anew, and what failed tried again at once.
func (o *Output) Reopen() {
	select {
	case o.requests <- reopen:
	default: // it has been asked for already
	}
}

// View changes what is written from now on, and how. What is on its way stays as it is, so the destination must know
// both.
func (o *Output) View(f *filter.Filter, format Format) {
	o.Flush()
	f.Dropped = o.conf.Filter.Dropped
	o.conf.Filter, o.conf.Format = f, format
}

// A redirection is where an output goes from now on.
type redirection struct {
	destination Destination
	err         error // why it takes nothing yet
}

// Redirect changes where what is on its way goes, and what comes after it. The destination before is closed.
func (o *Output) Redirect(d Destination, err error) {
	o.Flush()
	if unused := o.next.Swap(&redirection{d, err}); unused != nil {
		_ = unused.destination.Close() // nothing was given to it
	}
	o.Reopen()
}

// End says that nothing more comes. What is on its way is still delivered, until Leave.
func (o *Output) End() {
	o.Flush()
	o.queue.End(errEnd)
}

// Ended is closed when all has been delivered after End, or given up after Leave.
func (o *Output) Ended() <-chan struct{} { return o.ended }

// Leave gives up what the destination does not take at once.
func (o *Output) Leave() { close(o.leave) }

// Left is how many events were given up when the output ended. Of what the destination held then each message counts, and
// an event may be several.
func (o *Output) Left() int { return int(o.left.Load()) }

// State is how an output is doing.
type State struct {
	Name      string `json:"name"`
	Delivered uint64 `json:"delivered_events"`
	Filtered  uint64 `json:"filtered_events"` // left out by the filter
	Lost      uint64 `json:"lost_events"`     // for which there was no room
	Waiting   int    `json:"waiting_events"`
	Held      int    `json:"held_messages,omitempty"` // of those delivered, with the destination until its receiver is back
	Memory    int64  `json:"waiting_bytes_memory"`
	File      int64  `json:"waiting_bytes_file"`
	Fault     string `json:"fault,omitempty"` // why nothing is delivered now
}

// State says how the output is doing.
func (o *Output) State() State {
	c := o.queue.Counts()
	s := State{Name: o.conf.Name, Delivered: c.Done.Items, Filtered: o.conf.Filter.Dropped, Lost: c.Lost.Items + o.gone.Load()}
	s.Memory, s.File, s.Waiting = o.queue.Size()
	s.Delivered -= uint64(o.kept)
	s.Waiting += o.kept
	s.Held, s.Fault = int(o.held.Load()), o.Fault()
	return s
}

// Fault is why the destination does not take anything, "" if it does.
func (o *Output) Fault() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.fault
}

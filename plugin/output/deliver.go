package output

import (
	"errors"
	"time"
)

// errEnd ends the queue.
var errEnd = errors.New("no more events come")

// deliver is the output's goroutine: it takes chunks to the destination, until the queue ends.
func (o *Output) deliver() {
	defer close(o.ended)
	ticker := time.NewTicker(ticks)
	defer ticker.Stop()
	pause := firstRetry
	for {
		chunk, _, err := o.queue.Next()
		if len(chunk) == 0 && err != nil {
			o.finish()
			return
		}
		var again <-chan time.Time
		if len(chunk) > 0 {
			if o.pass(chunk) {
				pause = firstRetry
			} else {
				again = time.After(pause)
				pause = min(2*pause, lastRetry)
			}
		}
		if o.wait(ticker.C, again, len(chunk) > 0 && again == nil) {
			o.lastTry()
			o.finish()
			return
		}
	}
}

// lastTry delivers what can be delivered after all.
func (o *Output) lastTry() {
	for {
		chunk, _, _ := o.queue.Next()
		if len(chunk) == 0 || !o.pass(chunk) {
			return
		}
	}
}

// finish closes the destination, and counts what has not arrived in the end.
func (o *Output) finish() {
	err := o.conf.Destination.Close()
	o.hold()
	_, _, items := o.queue.Size()
	o.before.Store(o.queue.Counts().Lost.Items)
	o.left.Store(int64(items) + o.held.Load())
	o.report(err)
}

// restWait is how long the queue's file may take for the next of what is in it.
const restWait = 2 * time.Second

// Rest takes what was given up out of the queue, after Ended, and calls yield for each piece of it with the events in it.
// It reports whether that was all: the queue's file may not be readable.
func (o *Output) Rest(yield func(chunk []byte, events int) bool) bool {
	for {
		chunk, events, err := o.queue.Next()
		switch {
		case len(chunk) > 0:
			if !yield(chunk, events) {
				return false
			}
			o.kept += events
			o.queue.Done(len(chunk), 0)
		case err != nil:
			return o.queue.Counts().Lost.Items == o.before.Load()
		default:
			select {
			case <-o.queue.Ready():
			case <-time.After(restWait):
				return false
			}
		}
	}
}

// Close gives back what the output has, once it has ended.
func (o *Output) Close() {
	go func() {
		<-o.ended
		o.queue.Close()
	}()
}

// hold notes what the destination holds. It comes before what was taken leaves the queue: what is in neither has arrived.
func (o *Output) hold() {
	now := int64(o.conf.Destination.Held())
	if before := o.held.Swap(now); now < before {
		o.tellMoved()
	}
}

func (o *Output) tellMoved() {
	select {
	case o.moved <- struct{}{}:
	default:
	}
}

// pass delivers what it can of a chunk, and reports whether that was all.
func (o *Output) pass(chunk []byte) bool {
	n, err := o.conf.Destination.Deliver(chunk)
	o.hold()
	o.queue.Done(n, 0)
	o.report(err)
	if n > 0 {
		o.tellMoved()
	}
	return err == nil
}

// wait waits until there is something to do: at once if there is more to deliver, and not before again if that is set. It
// reports whether the output is to be left.
func (o *Output) wait(tick, again <-chan time.Time, more bool) bool {
	ready, leave := o.queue.Ready(), o.leave
	if again != nil { // what comes meanwhile has to wait, too
		ready = nil
	} else { // it takes what there is
		leave = nil
	}
	var now <-chan struct{}
	if more {
		now = closed
	}
	for {
		select {
		case at := <-tick:
			o.note(o.conf.Destination.Tick(at))
			o.hold()
			continue
		case <-o.requests:
			if next := o.next.Swap(nil); next != nil {
				o.replace(next)
			} else if err := o.conf.Destination.Reopen(); err != nil { // that it could be opened does not say that it takes anything
				o.report(err)
			}
		case <-leave:
			return true
		case <-ready:
		case <-again:
		case <-now:
		}
		return false
	}
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// note tells, once, of what is odd about a destination that works.
func (o *Output) note(err error) {
	odd := ""
	if err != nil {
		odd = err.Error()
	}
	if odd != "" && odd != o.odd && o.Fault() == "" {
		o.conf.Log.Warn().Str("output", o.conf.Name).Err(err).Msg("the output is not as it should be")
	}
	o.odd = odd
}

// report says once that the destination is broken, and once that it is well again.
func (o *Output) report(err error) {
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	o.mutex.Lock()
	before := o.fault
	o.fault = fault
	o.mutex.Unlock()
	switch {
	case fault != "" && before == "":
		o.conf.Log.Error().Str("output", o.conf.Name).Err(err).Msg("records cannot be written")
	case fault == "" && before != "":
		o.conf.Log.Info().Str("output", o.conf.Name).Msg("records are written again")
	}
}

// replace changes the destination. What the one before did not take is still in the queue; what it alone held is lost.
func (o *Output) replace(next *redirection) {
	_ = o.conf.Destination.Close()
	o.hold()
	o.gone.Add(uint64(o.held.Swap(0)))
	o.conf.Destination = next.destination
	o.report(next.err)
}

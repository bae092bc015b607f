package output

import "time"

// Refused is a destination that cannot be made, for the reason Err: it takes nothing, and the queue before it does what a
// queue does.
type Refused struct{ Err error }

// Deliver takes nothing.
func (r *Refused) Deliver([]byte) (int, error) { return 0, r.Err }

// Tick says why nothing is taken.
func (r *Refused) Tick(time.Time) error { return r.Err }

// Reopen changes nothing.
func (r *Refused) Reopen() error { return r.Err }

// Held is nothing, for nothing is taken.
func (r *Refused) Held() int { return 0 }

// Close does nothing.
func (r *Refused) Close() error { return nil }

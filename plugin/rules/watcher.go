package rules

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/elastic/go-libaudit/v2"
)

// A Watcher asks the kernel for its status and its rules now and then. Not all that happens to them leaves a record: none
// says that auditing is switched on again, or what was changed while it was off.
type Watcher struct {
	watch   Watch
	changed chan struct{}

	last     Report
	known    bool // there was an answer
	rules    []Rule
	raw      [][]byte  // rules as the kernel listed them; nil if they are not known
	since    time.Time // for so long there is no sign that they changed
	told     time.Time // the first change that was told of since they were asked for
	fails    int
	pending  chan answer
	attempts []time.Time // at restoring

	nextStatus, nextRules time.Time
}

// NewWatcher makes a Watcher, for Run.
func NewWatcher(w Watch) *Watcher {
	return &Watcher{watch: w, changed: make(chan struct{}, 1)}
}

// Changed tells that a CONFIG_CHANGE record came: the rules are asked for soon. It never waits.
func (w *Watcher) Changed() {
	select {
	case w.changed <- struct{}{}:
	default: // one that has not been seen to yet will do
	}
}

// Run asks until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	for ctx.Err() == nil {
		next := w.nextStatus
		if w.nextRules.Before(next) {
			next = w.nextRules
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
		case <-w.changed:
			w.delay(time.Now())
		case <-timer.C:
			w.look(ctx)
		}
		timer.Stop()
	}
}

// delay has the rules asked for when no further change comes.
func (w *Watcher) delay(now time.Time) {
	if w.told.IsZero() {
		w.told = now
	}
	w.since, w.nextRules = now, now.Add(changeRest)
	if latest := w.told.Add(changeMost); latest.Before(w.nextRules) {
		w.nextRules = latest
	}
}

// look asks and reports.
func (w *Watcher) look(ctx context.Context) {
	now := time.Now()
	a := w.ask(ctx, question{
		machine: w.watch.Machine,
		rules:   !now.Before(w.nextRules) || w.raw == nil,
		enabled: w.last.Status.Enabled,
		restore: w.may(now),
		raw:     w.raw,
	})
	if ctx.Err() != nil && a.status == nil && a.did == nil {
		return
	}
	now = time.Now()
	w.nextStatus = now.Add(statusEvery)
	r := w.take(&a, now)
	w.plan(r, now)
	w.last = *r
	w.watch.Report(r)
}

// A question is what is asked through one socket.
type question struct {
	machine Machine
	rules   bool
	enabled uint32   // as it was; if it has changed the rules are asked for, too
	restore bool     // what is missing, if the rules are still as in raw
	raw     [][]byte // as they were
}

// An answer is what the kernel said, as far as it did.
type answer struct {
	status *libaudit.AuditStatus
	rules  []Rule
	raw    [][]byte // nil if the rules are not known
	err    error

	did     *Restoration // nil if it was not tried
	failure error        // of did
}

var errNoAnswer = fmt.Errorf("the kernel's audit gives no answer within %s; it may be busy with a change of rules", answerTime)

// ask asks in a goroutine of its own, because a system call cannot be called off. While one is under way no other begins,
// and what it brings in the end is the answer: it may have restored something.
func (w *Watcher) ask(ctx context.Context, q question) answer {
	if w.pending == nil {
		pending, open := make(chan answer, 1), w.watch.Open
		w.pending = pending
		go func() { pending <- q.put(open) }()
	}
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	select {
	case a := <-w.pending:
		w.pending = nil
		return a
	case <-timer.C:
		return answer{err: errNoAnswer}
	case <-ctx.Done():
		return answer{err: ctx.Err()}
	}
}

func (q *question) put(open func() (Kernel, error)) answer {
	k, err := open()
	if err != nil {
		return answer{err: fmt.Errorf("the kernel's audit: %w", err)}
	}
	defer k.Close() //nolint:errcheck // all has been said
	var a answer
	if a.status, err = k.GetStatus(); err != nil {
		a.status, a.err = nil, fmt.Errorf("the kernel's audit status: %w", err)
		return a
	}
	if !q.rules && !q.restore && a.status.Enabled == q.enabled {
		return a
	}
	if a.rules, a.raw, a.err = list(k); a.err != nil {
		return a
	}
	if !q.restore || !sameRules(a.raw, q.raw) {
		return a
	}
	did, err := Restore(k, q.machine)
	a.did, a.failure = &did, err
	if len(did.Steps) > 0 {
		a.rules, a.raw, a.err = list(k)
	}
	return a
}

func sameRules(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

// take makes a report of an answer.
func (w *Watcher) take(a *answer, now time.Time) *Report {
	r := w.last
	r.News, r.Time, r.Err, r.Lost, r.Steps = 0, now, a.err, 0, nil
	w.heard(&r)
	if a.status != nil {
		w.status(&r, a.status)
	}
	if a.raw != nil {
		w.ruled(&r, a, now)
	}
	if a.did != nil && (len(a.did.Steps) > 0 || a.failure != nil) {
		r.Steps = a.did.Steps
		w.attempts = append(w.attempts, now)
		if len(r.Steps) > 0 {
			r.News |= NewsRestored
		}
	}
	r.unrestored(a.failure)
	if a.err != nil {
		w.nextRules = now.Add(statusEvery)
	}
	return &r
}

// heard notes that the kernel has fallen silent or answers again. One question without an answer is no news.
func (w *Watcher) heard(r *Report) {
	if r.Err != nil {
		if w.fails++; w.fails == failMost {
			r.News |= NewsSilent
		}
		return
	}
	if w.fails >= failMost {
		r.News |= NewsAnswers
	}
	w.fails = 0
}

func (w *Watcher) status(r *Report, s *libaudit.AuditStatus) {
	before := w.last
	r.Status, r.Enabled, r.Locked = *s, s.Enabled != 0, s.Enabled == locked
	if !w.known {
		w.known = true
		r.News |= NewsFirst
		return
	}
	if r.Enabled != before.Enabled {
		r.News |= NewsEnabled
	}
	if r.Locked != before.Locked {
		r.News |= NewsLocked
	}
	switch {
	case s.Lost >= before.Status.Lost:
		r.Lost = s.Lost - before.Status.Lost
	default: // auditctl --reset-lost, and what was lost since
		r.Lost = s.Lost
	}
	if r.Lost > 0 {
		r.News |= NewsLost
	}
}

func (w *Watcher) ruled(r *Report, a *answer, now time.Time) {
	if w.raw == nil || !sameRules(a.raw, w.raw) {
		w.since = now
	}
	w.rules, w.raw, w.told, w.nextRules = a.rules, a.raw, time.Time{}, now.Add(rulesEvery)
	r.Holes = Holes(w.watch.Machine.Wanted(), a.rules)
	if !reflect.DeepEqual(r.Holes, w.last.Holes) {
		r.News |= NewsHoles
	}
}

var errTooOften = fmt.Errorf("rules were restored %d times within %s, and are missing again: something removes them",
	restoreMost, restoreSpan)

// plan says when rules are restored, or why they are not.
func (w *Watcher) plan(r *Report, now time.Time) {
	if !w.watch.Restore || len(w.watch.Machine.plan(w.rules, r.Holes)) == 0 {
		r.Unrestored = nil
		return
	}
	due := w.since.Add(settleTime)
	switch {
	case r.Locked:
		r.unrestored(errLocked)
		return
	case w.recent(now) >= restoreMost:
		r.unrestored(errTooOften)
		due = w.attempts[0].Add(restoreSpan)
	}
	if !due.After(now) {
		due = now.Add(settleTime) // it has just failed
	}
	if due.Before(w.nextRules) {
		w.nextRules = due
	}
}

// unrestored notes why something was not restored, which is news if it is another reason than before.
func (r *Report) unrestored(err error) {
	if err == nil {
		return
	}
	if r.Unrestored == nil || r.Unrestored.Error() != err.Error() {
		r.News |= NewsUnrestored
	}
	r.Unrestored = err
}

// recent is how often it was tried to restore rules within restoreSpan; what is older is forgotten.
func (w *Watcher) recent(now time.Time) int {
	w.attempts = slices.DeleteFunc(w.attempts, func(t time.Time) bool { return now.Sub(t) >= restoreSpan })
	return len(w.attempts)
}

// may tells whether rules that are missing may be restored now: nobody has touched them for a while.
func (w *Watcher) may(now time.Time) bool {
	return w.watch.Restore && w.raw != nil && !w.last.Locked && len(w.last.Holes) > 0 &&
		now.Sub(w.since) >= settleTime && w.recent(now) < restoreMost
}

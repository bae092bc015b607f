package rules

import (
	"time"

	"github.com/elastic/go-libaudit/v2"
)

const (
	statusEvery = 10 * time.Second
	rulesEvery  = time.Minute
	// Rules are seldom changed one at a time: after a change they are asked for when no other has come for changeRest, and
	// changeMost after the first at the latest.
	changeRest = time.Second
	changeMost = 5 * time.Second
	// answerTime is how long an answer may take. The kernel gives none while somebody else's change of rules is under way
	// (kernel/audit.c: audit_ctl_lock).
	answerTime = 10 * time.Second
	// settleTime is how long the rules must have been as they are before they are restored. auditctl -R deletes all rules,
	// adds those of its file one after the other and stops at one that is there already: what is restored
	// in between would keep the administrator's rules from being loaded.
	settleTime = 10 * time.Second
	// Rules are restored restoreMost times in restoreSpan, and no more if somebody keeps removing them.
	restoreMost = 3
	restoreSpan = time.Minute
	// failMost is how many questions in a row may remain without an answer before that is news.
	failMost = 2
)

// News says what a report tells that was not so at the one before.
type News uint16

// The news. A report without any says that nothing has changed.
const (
	NewsFirst      News = 1 << iota // the first that is known
	NewsEnabled                     // Enabled has changed
	NewsLocked                      // Locked has changed
	NewsLost                        // Lost is not 0
	NewsHoles                       // Holes has changed; empty now, they are closed
	NewsRestored                    // Steps is not empty
	NewsUnrestored                  // Unrestored is another error than before
	NewsSilent                      // the kernel does not answer any more, Err says why
	NewsAnswers                     // it does again
)

// A Report is what the kernel's audit is like.
type Report struct {
	News News
	Time time.Time
	// Err is why the kernel could not be asked, or not for all; what it did not say is as it was known before.
	Err     error
	Status  libaudit.AuditStatus // of it, Backlog and BacklogLimit change all the time
	Enabled bool                 // events are recorded
	Locked  bool                 // nothing can be changed before the next boot
	Lost    uint32               // events that the kernel has lost since the last report
	// Holes are the calls that are not recorded.
	Holes []Hole
	// Steps are the changes made to restore rules, in auditctl's words.
	Steps []string
	// Unrestored is why rules that should be restored are not, or not all of them.
	Unrestored error
}

// A Watch says what a [Watcher] does.
type Watch struct {
	Machine Machine
	// Open opens a socket to the kernel. It is closed after every question.
	Open func() (Kernel, error)
	// Restore tells that rules which are removed are put back ([Restore]).
	Restore bool
	// Report is called after every question, by the goroutine of Run.
	Report func(*Report)
}

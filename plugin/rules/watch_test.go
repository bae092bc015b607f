package rules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A watching is a Watcher at work, in a bubble of its own time.
type watching struct {
	*Watcher
	k       *fakeKernel
	mutex   sync.Mutex
	reports []Report
}

// watch runs story while a Watcher looks at k.
func watch(t *testing.T, restore bool, k *fakeKernel, story func(w *watching)) {
	t.Helper()
	needsX8664(t)
	synctest.Test(t, func(t *testing.T) {
		w := &watching{k: k}
		w.Watcher = NewWatcher(Watch{Machine: machine(t, "amd64"), Open: k.dial, Restore: restore, Report: func(r *Report) {
			w.mutex.Lock()
			defer w.mutex.Unlock()
			w.reports = append(w.reports, *r)
		}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			w.Run(ctx)
			close(ended)
		}()
		story(w)
		cancel()
		<-ended
		synctest.Wait()
		if k.sockets() != 0 {
			t.Errorf("%d sockets are left open", k.sockets())
		}
	})
}

// after lets time pass and returns what was news in it.
func (w *watching) after(d time.Duration) []Report {
	<-time.After(d)
	synctest.Wait()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	all := slices.DeleteFunc(w.reports, func(r Report) bool { return r.News == 0 })
	w.reports = nil
	return all
}

// one is the only report there must be.
func one(t *testing.T, reports []Report, news News) *Report {
	t.Helper()
	if len(reports) != 1 || reports[0].News != news {
		t.Fatalf("want one report with news %b, got %s", news, showReports(reports))
	}
	return &reports[0]
}

func nothing(t *testing.T, reports []Report) {
	t.Helper()
	if len(reports) > 0 {
		t.Fatalf("want no news, got %s", showReports(reports))
	}
}

func showReports(reports []Report) string {
	var b strings.Builder
	for _, r := range reports {
		fmt.Fprintf(&b, "\n%b at %s: enabled %t, locked %t, lost %d, %d holes, did %q, %v, %v",
			r.News, r.Time.Format(time.TimeOnly), r.Enabled, r.Locked, r.Lost, len(r.Holes), r.Steps, r.Unrestored, r.Err)
	}
	return b.String()
}

func ourRules(t *testing.T) []string { return lines(Files(machine(t, "amd64"))) }

func TestWatchQuietSystem(t *testing.T) {
	k := newKernel(t, ourRules(t)...)
	k.status.Lost = 7 // before there was anybody to watch
	watch(t, false, k, func(w *watching) {
		r := one(t, w.after(time.Second), NewsFirst)
		if !r.Enabled || r.Locked || r.Lost != 0 || len(r.Holes) > 0 || r.Status.Lost != 7 {
			t.Errorf("got %s", showReports([]Report{*r}))
		}
		nothing(t, w.after(10*time.Minute))
		if k.asked.sockets != 61 || k.questions() != 11 {
			t.Errorf("asked %d times, for rules %d times", k.asked.sockets, k.questions())
		}
	})
}

// auditctl -e 0 and -e 1; the latter leaves no record.
func TestWatchSwitchedOff(t *testing.T) {
	k := newKernel(t, ourRules(t)...)
	watch(t, false, k, func(w *watching) {
		w.after(time.Second)
		k.set(func() { k.status.Enabled = 0 })
		if r := one(t, w.after(statusEvery), NewsEnabled); r.Enabled {
			t.Error("still on")
		}
		k.set(func() { k.rules = nil }) // no record of this either
		k.set(func() { k.status.Enabled = 1 })
		if r := one(t, w.after(statusEvery), NewsEnabled|NewsHoles); !r.Enabled || len(r.Holes) != 2 {
			t.Errorf("got %s", showReports([]Report{*r}))
		}
		k.set(func() { k.status.Enabled = locked })
		if r := one(t, w.after(statusEvery), NewsLocked); !r.Enabled || !r.Locked {
			t.Errorf("got %s", showReports([]Report{*r}))
		}
	})
}

func TestWatchLost(t *testing.T) {
	k := newKernel(t, ourRules(t)...)
	k.status.Lost = 100
	watch(t, false, k, func(w *watching) {
		w.after(time.Second)
		for _, c := range []struct{ total, lost uint32 }{{105, 5}, {106, 1}, {3, 3}} { // auditctl --reset-lost
			k.set(func() { k.status.Lost = c.total })
			if r := one(t, w.after(statusEvery), NewsLost); r.Lost != c.lost {
				t.Errorf("%d lost, want %d", r.Lost, c.lost)
			}
		}
		k.set(func() { k.status.Lost = 0 })
		nothing(t, w.after(statusEvery))
	})
}

func TestWatchRulesVanish(t *testing.T) {
	k := newKernel(t, ourRules(t)...)
	watch(t, false, k, func(w *watching) {
		w.after(time.Second)
		k.set(func() { k.rules = nil })
		if r := one(t, w.after(rulesEvery), NewsHoles); len(r.Holes) != 2 {
			t.Errorf("holes %v", r.Holes)
		}
		nothing(t, w.after(2*rulesEvery))
		k.set(func() { k.rules = parse(t, ourRules(t)...) })
		if r := one(t, w.after(rulesEvery), NewsHoles); len(r.Holes) != 0 {
			t.Errorf("holes %v", r.Holes)
		}
		if len(k.made()) > 0 {
			t.Errorf("did %q", k.made())
		}
	})
}

// A record says that the rules have changed: they are asked for when the change is over, or at last when it takes long.
func TestWatchTold(t *testing.T) {
	k := newKernel(t, ourRules(t)...)
	watch(t, false, k, func(w *watching) {
		w.after(time.Second)
		k.set(func() { k.rules = nil })
		for range 3 {
			w.Changed()
			w.Changed()
			nothing(t, w.after(changeRest/2))
		}
		one(t, w.after(changeRest), NewsHoles)

		k.set(func() { k.rules = parse(t, ourRules(t)...) })
		begin := time.Now()
		for time.Since(begin) < time.Minute {
			w.Changed()
			if got := w.after(changeRest / 2); len(got) > 0 {
				one(t, got, NewsHoles)
				break
			}
		}
		if took := time.Since(begin); took > changeMost+changeRest {
			t.Errorf("took %s", took)
		}
		asked := k.questions()
		nothing(t, w.after(2*changeMost))
		if k.questions() > asked+1 {
			t.Errorf("asked %d times more", k.questions()-asked)
		}
	})
}

func TestWatchRestores(t *testing.T) {
	k := newKernel(t, ourRules(t)...)
	watch(t, true, k, func(w *watching) {
		w.after(time.Second)
		k.set(func() { k.rules = nil })
		w.Changed()
		one(t, w.after(changeRest), NewsHoles)
		r := one(t, w.after(settleTime), NewsHoles|NewsRestored)
		if len(r.Holes) > 0 || len(r.Steps) != 8 || !slices.Equal(k.lines(), listed(t, ourRules(t)...)) {
			t.Errorf("did %q", r.Steps)
		}
		w.Changed() // our own
		nothing(t, w.after(10*time.Minute))
		if len(k.made()) != 8 {
			t.Errorf("did %q", k.made())
		}
	})
}

// augenrules deletes all and adds one after the other: nothing is added while it does, however long that takes.
func TestWatchLeavesALoadAlone(t *testing.T) {
	k := newKernel(t, ourRules(t)...)
	watch(t, true, k, func(w *watching) {
		w.after(time.Second)
		k.set(func() { k.rules = nil })
		w.Changed()
		for _, line := range append([]string{"-w /etc/passwd -p wa", "-w /etc/group -p wa"}, ourRules(t)...) {
			w.after(settleTime - changeRest)
			if len(k.made()) > 0 {
				t.Fatalf("did %q before %s", k.made(), line)
			}
			k.set(func() { k.rules = append(k.rules, parse(t, line)...) })
			w.Changed()
		}
		w.after(10 * time.Minute)
		if len(k.made()) > 0 {
			t.Errorf("did %q", k.made())
		}
	})
}

// A record that comes while the rules look the same, as of one that is deleted and added again, begins the wait anew.
func TestWatchWaitsForSettledRules(t *testing.T) {
	k := newKernel(t, ourRules(t)...)
	watch(t, true, k, func(w *watching) {
		w.after(time.Second)
		k.set(func() { k.rules = nil })
		w.Changed()
		w.after(settleTime / 2)
		w.Changed()
		w.after(settleTime - time.Second)
		if len(k.made()) > 0 {
			t.Errorf("did %q", k.made())
		}
		w.after(2 * time.Second)
		if len(k.made()) != 8 {
			t.Errorf("did %q", k.made())
		}
	})
}

// A load without a record of it, as while auditing is off.
func TestWatchLeavesASilentLoadAlone(t *testing.T) {
	k := newKernel(t, ourRules(t)...)
	watch(t, true, k, func(w *watching) {
		w.after(time.Second)
		k.set(func() { k.rules = nil })
		for range 30 {
			w.after(5 * time.Second)
			k.set(func() { k.rules = parse(t, fmt.Sprintf("-w /etc/passwd -p wa -k %d", time.Now().Unix())) })
		}
		if len(k.made()) > 0 {
			t.Errorf("did %q", k.made())
		}
	})
}

func TestWatchRestoresThreeTimesAMinute(t *testing.T) {
	k := newKernel(t, ourRules(t)...)
	watch(t, true, k, func(w *watching) {
		w.after(time.Second)
		begin, restored := time.Now(), 0
		var held bool
		for time.Since(begin) < 2*restoreSpan {
			k.set(func() { k.rules = nil })
			w.Changed()
			for _, r := range w.after(changeRest + settleTime) {
				if r.News&NewsRestored != 0 {
					restored++
				}
				held = held || errors.Is(r.Unrestored, errTooOften)
			}
			if since := time.Since(begin); since < restoreSpan && restored > restoreMost {
				t.Fatalf("%d times within %s", restored, since)
			}
		}
		if restored <= restoreMost || restored > 2*restoreMost || !held {
			t.Errorf("%d times, held back %t", restored, held)
		}
	})
}

func TestWatchRestoresNothingLocked(t *testing.T) {
	k := newKernel(t)
	k.status.Enabled = locked
	watch(t, true, k, func(w *watching) {
		r := one(t, w.after(time.Second), NewsFirst|NewsHoles|NewsUnrestored)
		if !errors.Is(r.Unrestored, errLocked) {
			t.Errorf("%v", r.Unrestored)
		}
		nothing(t, w.after(10*time.Minute))
		if len(k.made()) > 0 {
			t.Errorf("did %q", k.made())
		}
	})
}

func TestWatchRestoringFails(t *testing.T) {
	k := newKernel(t)
	k.refuse = "vfork"
	watch(t, true, k, func(w *watching) {
		w.after(time.Second)
		var failed *Report
		for _, r := range w.after(30 * time.Second) {
			if r.News&NewsUnrestored != 0 && failed == nil {
				failed = &r
			}
		}
		if failed == nil || failed.News&NewsRestored == 0 || len(failed.Steps) != 2 || !strings.Contains(failed.Unrestored.Error(), "vfork") {
			t.Fatalf("got %+v", failed)
		}
		k.set(func() { k.refuse = "" })
		w.after(2 * restoreSpan)
		if !slices.Equal(k.lines(), listed(t, ourRules(t)...)) {
			t.Errorf("have %q", k.lines())
		}
		if w.last.Unrestored != nil || len(w.last.Holes) > 0 {
			t.Errorf("%v, %v", w.last.Unrestored, w.last.Holes)
		}
	})
}

// What fails is tried again, but not at once.
func TestWatchRestoringFailsAtOnce(t *testing.T) {
	k := newKernel(t)
	k.refuse = "exit_group"
	watch(t, true, k, func(w *watching) {
		w.after(2*settleTime - time.Second)
		if k.failed() != 1 {
			t.Errorf("tried %d times", k.failed())
		}
		w.after(settleTime)
		if k.failed() != 2 {
			t.Errorf("tried %d times", k.failed())
		}
	})
}

// Another rule is in the way: ours are all there, so there is nothing to restore.
func TestWatchRestoresNothingThatIsThere(t *testing.T) {
	k := newKernel(t, append([]string{"-a never,exit -F arch=b64 -S vfork"}, ourRules(t)...)...)
	watch(t, true, k, func(w *watching) {
		if r := one(t, w.after(time.Second), NewsFirst|NewsHoles); len(r.Holes) != 1 {
			t.Errorf("holes %v", r.Holes)
		}
		nothing(t, w.after(10*time.Minute))
		if len(k.made()) > 0 {
			t.Errorf("did %q", k.made())
		}
	})
}

// One question without an answer is no news, two are, and so is the next answer.
func TestWatchSilence(t *testing.T) {
	k := newKernel(t, ourRules(t)...)
	watch(t, false, k, func(w *watching) {
		w.after(time.Second)
		refused := errors.New("no reply received")
		k.set(func() { k.silent = refused })
		nothing(t, w.after(statusEvery))
		k.set(func() { k.silent = nil })
		nothing(t, w.after(statusEvery))
		k.set(func() { k.silent = refused })
		if r := one(t, w.after(10*statusEvery), NewsSilent); !errors.Is(r.Err, refused) || !r.Enabled {
			t.Errorf("got %s", showReports([]Report{*r}))
		}
		k.set(func() { k.silent = nil })
		if r := one(t, w.after(statusEvery), NewsAnswers); r.Err != nil {
			t.Error(r.Err)
		}
	})
}

func TestWatchCannotOpen(t *testing.T) {
	refused := errors.New("permission denied")
	synctest.Test(t, func(t *testing.T) {
		var news []News
		ctx, cancel := context.WithTimeout(t.Context(), 55*time.Second)
		defer cancel()
		NewWatcher(Watch{Open: func() (Kernel, error) { return nil, refused }, Report: func(r *Report) {
			news = append(news, r.News)
			if !errors.Is(r.Err, refused) {
				t.Error(r.Err)
			}
		}}).Run(ctx)
		if !slices.Equal(news, []News{0, NewsSilent, 0, 0, 0, 0}) {
			t.Errorf("news %b", news)
		}
	})
}

// While the kernel does not answer at all nobody else waits for it, and no further question is put.
func TestWatchBusyKernel(t *testing.T) {
	k := newKernel(t, ourRules(t)...)
	watch(t, false, k, func(w *watching) {
		w.after(time.Second)
		busy := make(chan struct{})
		k.set(func() { k.busy = busy; k.rules = nil })
		r := one(t, w.after(5*(statusEvery+answerTime)), NewsSilent)
		if !errors.Is(r.Err, errNoAnswer) || k.sockets() != 1 {
			t.Errorf("%v, %d sockets", r.Err, k.sockets())
		}
		for range 100 {
			w.Changed() // does not wait
		}
		k.set(func() { k.busy = nil })
		close(busy)
		got := w.after(2 * statusEvery)
		if len(got) == 0 || got[0].News&NewsAnswers == 0 || len(w.last.Holes) != 2 {
			t.Errorf("got %s", showReports(got))
		}
	})
}

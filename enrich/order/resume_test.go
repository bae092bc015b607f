package order

import (
	"fmt"
	"slices"
	"testing"

	"audisp-history/enrich/record"
)

// A logger is a bench that has a log to look up what is missing.
type logger struct {
	*bench
	has func(first, count uint64) []*record.Event
}

// withLog is a bench with a log, whose next event is first.
func withLog(first uint64, has func(first, count uint64) []*record.Event) *bench {
	b := newBench()
	b.Order = New(wait, &logger{b, has})
	b.Resume("", first, event(first-1).Time, false)
	return b
}

func (l *logger) Missing(node string, first, count uint64, since int64) {
	l.log = append(l.log, fmt.Sprintf("%smissing %d from %d since %d", node, count, first, (since-boot)/10))
	for _, e := range l.has(first, count) {
		l.Add(e, l.now)
	}
}

func nothing(uint64, uint64) []*record.Event { return nil }

// these is a log that holds some events, whatever is asked for.
func these(serials ...uint64) func(uint64, uint64) []*record.Event {
	return func(uint64, uint64) (list []*record.Event) {
		for _, s := range serials {
			list = append(list, event(s))
		}
		return list
	}
}

func TestResume(t *testing.T) {
	for _, c := range []struct {
		name string
		gap  bool
		adds []uint64
		want []string
	}{
		{"nothing is missing", false, span(100, 102), []string{"100", "101", "102"}},
		{"nothing is missing, with a gap", true, span(100, 102), []string{"100", "101", "102"}},
		{"they overtake each other", false, []uint64{102, 101, 100, 103}, []string{"100", "101", "102", "103"}},
		{"they overtake each other, with a gap", true, []uint64{102, 101, 100, 103}, []string{"100", "101", "102", "103"}},
		{"some are missing", false, []uint64{110, 111}, []string{"lost 10 from 100, 110 ms", "110", "111"}},
		{"some are missing, with a gap", true, []uint64{111, 110, 112}, []string{"lost 10 from 100, 110 ms", "110", "111", "112"}},
		{"very many are missing, with a gap", true, []uint64{70_000, 70_001}, []string{"lost 69900 from 100, 699010 ms", "70000", "70001"}},
		{"one from before comes", false, []uint64{99, 100}, []string{"99 late", "100"}},
		{"one from before comes, with a gap", true, []uint64{99, 100}, []string{"99 late", "100"}},
		{"a further hole", true, []uint64{110, 112}, []string{"lost 10 from 100, 110 ms", "110", "lost 1 from 111, 20 ms", "112"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench()
			b.Resume("", 100, event(99).Time, c.gap)
			b.add(c.adds...)
			b.now += wait / 10 // a gap is no reason to wait for long
			b.Tick(b.now)
			if c.gap && !slices.Equal(b.log, c.want[:len(b.log)]) || c.gap && len(b.log) == 0 {
				t.Errorf("soon: %q", b.log)
			}
			b.now += wait
			b.Tick(b.now)
			b.want(t, "in the end", c.want...)
			if next, newest := b.Next(""); next != slices.Max(c.adds)+1 || newest < event(99).Time {
				t.Errorf("next is %d after %d", next, newest)
			}
		})
	}
}

func TestResumeOfNothing(t *testing.T) {
	b := newBench()
	b.Resume("", 0, 0, true)
	b.add(50, 51)
	b.now += wait
	b.Tick(b.now)
	b.want(t, "all", "50", "51")
}

func TestNextTellsWhereToResume(t *testing.T) {
	b := newBench()
	if next, newest := b.Next(""); next != 0 || newest != 0 {
		t.Errorf("of nothing: %d, %d", next, newest)
	}
	b.add(100)
	if next, _ := b.Next(""); next != 0 {
		t.Errorf("while the first wait: %d", next)
	}
	b.now += wait
	b.Tick(b.now)
	b.add(101, 103)
	if next, newest := b.Next(""); next != 102 || newest != event(101).Time {
		t.Errorf("before a hole: %d, %d", next, newest-boot)
	}
	if nodes := b.Nodes(); !slices.Equal(nodes, []string{""}) {
		t.Errorf("nodes %q", nodes)
	}
}

// A machine boots while the program is down.
func TestABootBeforeItIsResumed(t *testing.T) {
	for _, gap := range []bool{false, true} {
		b := newBench()
		b.Resume("", 5000, event(4999).Time, gap)
		for _, s := range span(1, 100) {
			b.Add(later(s), b.now)
		}
		b.now += wait
		b.Tick(b.now)
		b.want(t, fmt.Sprint("gap ", gap), append([]string{"restarted at 1"}, texts(span(1, 100), "")...)...)
		// What was due before is forgotten.
		b.Add(later(102), b.now)
		b.now += wait
		b.Tick(b.now)
		b.want(t, "a loss after it", "lost 1 from 101, 20 ms", "102")
	}
}

func TestTheLogIsAskedOnceAHole(t *testing.T) {
	b := withLog(100, nothing)
	b.add(100, 103, 105, 108)
	b.now += wait
	b.Tick(b.now)
	b.want(t, "three holes at once", "100", "missing 8 from 101 since 100",
		"lost 2 from 101, 30 ms", "103", "lost 1 from 104, 20 ms", "105", "lost 2 from 106, 30 ms", "108")
	b.add(109, 111)
	b.now += wait
	b.Tick(b.now)
	b.want(t, "a later one", "109", "missing 2 from 110 since 109", "lost 1 from 110, 20 ms", "111")
	b.add(112, 113)
	b.now += wait
	b.Tick(b.now)
	b.want(t, "no hole", "112", "113")
}

// After a boot the serials are small again: what was asked for before is no reason not to ask.
func TestTheLogIsAskedAfterABoot(t *testing.T) {
	b := withLog(5000, nothing)
	b.add(5002)
	b.now += wait
	b.Tick(b.now)
	for _, s := range append(span(1, 70), 72) {
		e := later(s)
		e.Arrived = b.now
		b.Add(e, b.now)
	}
	b.log = nil
	b.now += wait
	b.Tick(b.now)
	b.want(t, "a hole", fmt.Sprintf("missing 2 from 71 since %d", 70+360_000), "lost 1 from 71, 20 ms", "72")
}

func TestTheLogFillsAHole(t *testing.T) {
	for _, c := range []struct {
		name string
		log  []uint64
		want []string
	}{
		{"all", []uint64{101, 102, 104}, []string{"101", "102", "103", "104", "105"}},
		{"in another order", []uint64{104, 102, 101}, []string{"101", "102", "103", "104", "105"}},
		{"with what is there", span(101, 105), []string{"101", "102", "103", "104", "105"}},
		{"with what was before", span(90, 105), []string{"101", "102", "103", "104", "105"}},
		{"with what comes after", span(101, 110), texts(span(101, 110), "")},
		{"twice", []uint64{101, 101, 102, 102, 104, 104, 101}, []string{"101", "102", "103", "104", "105"}},
		{"in part", []uint64{102}, []string{"lost 1 from 101, 20 ms", "102", "103", "lost 1 from 104, 20 ms", "105"}},
		{"the end", []uint64{104}, []string{"lost 2 from 101, 30 ms", "103", "104", "105"}},
		{"with one that makes no sense", []uint64{1 << 40, 0, 101, 102, 104}, []string{"101", "102", "103", "104", "105"}},
	} {
		for _, how := range []string{"by Tick", "by the end"} {
			t.Run(c.name+" "+how, func(t *testing.T) {
				b := withLog(100, these(c.log...))
				b.add(100, 103, 105)
				if how == "by Tick" {
					b.now += wait
					b.Tick(b.now)
				} else {
					b.Flush(b.now)
				}
				b.want(t, "filled", append([]string{"100", "missing 5 from 101 since 100"}, c.want...)...)
				if b.Held() != 0 || b.Late != 0 {
					t.Errorf("%d held, %d late", b.Held(), b.Late)
				}
			})
		}
	}
}

// An event that waits in parts is whole in the log.
func TestTheLogRepeatsNoPart(t *testing.T) {
	b := withLog(100, these(101, 102))
	b.add(102, 102, 101) // 100 is missing
	b.now += wait
	b.Tick(b.now)
	b.want(t, "all", "missing 3 from 100 since 99", "lost 1 from 100, 20 ms", "101", "102")
}

// Nothing is given up before the log has been read to its end, however much it holds.
func TestNothingIsGivenUpWhileTheLogIsRead(t *testing.T) {
	b := withLog(100, func(first, count uint64) (list []*record.Event) {
		for s := first + count; s > first+1; s-- { // the first ones come last
			list = append(list, event(s-1))
		}
		return append(list, event(first))
	})
	b.add(100 + Window - 10)
	b.now += 10 * wait
	b.Tick(b.now)
	want := append([]string{fmt.Sprintf("missing %d from 100 since 99", Window-9)}, texts(span(100, 100+Window-10), "")...)
	b.want(t, "all", want...)
}

func TestAJumpIsLookedUp(t *testing.T) {
	const first, last = 101, 60_000
	b := withLog(100, these(span(first, last)...))
	b.add(100)
	b.add(span(last+1, last+200)...)
	want := append([]string{"100", fmt.Sprintf("missing %d from 101 since 100", last-100)}, texts(span(first, last+200), "")...)
	b.want(t, "all", want...)
}

// The events that fill a hole may be late all the same: they come when the log has been asked in vain.
func TestLateEventsAfterTheLog(t *testing.T) {
	b := withLog(100, nothing)
	b.add(102)
	b.now += wait
	b.Tick(b.now)
	b.add(101, 103, 100)
	b.want(t, "all", "missing 3 from 100 since 99", "lost 2 from 100, 30 ms", "102", "101 late", "103", "100 late")
}

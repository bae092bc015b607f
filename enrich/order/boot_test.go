package order

import (
	"fmt"
	"slices"
	"testing"

	"audisp-history/enrich/record"
)

// later makes the event of a serial, an hour after those of event.
func later(serial uint64) *record.Event {
	e := event(serial)
	e.Time += 3_600_000
	return e
}

// A machine boots: its serials begin again, with later times. However short the first boot was, its events come first.
func TestABoot(t *testing.T) {
	for _, first := range [][2]uint64{{1, 1}, {1, 5}, {1, 40}, {1, 63}, {1, 64}, {2, 100}, {1, 3000}, {1, 20_000}, {70_000, 70_010}, {70_000, 72_000}} {
		for _, from := range []uint64{1, 2, 3} {
			for _, n := range []uint64{300, 70, 3} {
				if from > first[1] {
					continue // nothing but the time tells it from an event of the first boot
				}
				t.Run(fmt.Sprintf("%d to %d, then %d from %d", first[0], first[1], n, from), func(t *testing.T) {
					b := newBench()
					for _, s := range span(first[0], first[1]) {
						b.Add(event(s), 0)
					}
					for _, s := range span(from, from+n-1) {
						b.Add(later(s), 0)
					}
					b.Flush(0)
					want := texts(span(first[0], first[1]), "")
					want = append(want, fmt.Sprint("restarted at ", from))
					want = append(want, texts(span(from, from+n-1), "")...)
					if !slices.Equal(b.log, want) {
						t.Errorf("%q", b.log)
					}
				})
			}
		}
	}
}

func TestABootThatIsQuiet(t *testing.T) {
	b := settled(5000)
	for _, s := range span(1, 5) {
		b.Add(later(s), b.now)
	}
	b.now += wait - 1
	b.Tick(b.now)
	b.want(t, "before")
	b.now++
	b.Tick(b.now)
	b.want(t, "after the wait", "restarted at 1", "1", "2", "3", "4", "5")
	b.Add(later(6), b.now)
	b.want(t, "the next", "6")
}

func TestABootWhoseEventsOvertakeEachOther(t *testing.T) {
	b := settled(5000)
	for _, s := range []uint64{4, 2, 1, 3, 7, 6, 5} {
		b.Add(later(s), b.now)
	}
	for _, s := range span(8, 100) {
		b.Add(later(s), b.now)
	}
	b.want(t, "in order", append([]string{"restarted at 1"}, texts(span(1, 100), "")...)...)
}

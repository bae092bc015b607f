package order

import (
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"audisp-history/enrich/record"
)

// checkOnce reports events that did not come out as often as they went in.
func checkOnce(t *testing.T, log []string, want map[string]int) {
	t.Helper()
	got := make(map[string]int)
	for _, s := range log {
		if s = strings.TrimSuffix(s, " late"); !strings.Contains(s, " ") {
			got[s]++
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("events out %v\nin %v", got, want)
	}
}

// shuffle moves each serial by less than window places' worth.
func shuffle(r *rand.Rand, serials []uint64, window int) {
	key := make(map[uint64]int, len(serials))
	for i, s := range serials {
		key[s] = i + r.Intn(window)
	}
	slices.SortStableFunc(serials, func(a, b uint64) int { return key[a] - key[b] })
}

func TestAnyOrderWithinAWindowComesOutSorted(t *testing.T) {
	for seed := range int64(100) {
		r := rand.New(rand.NewSource(seed))
		serials := span(100, 100+uint64(r.Intn(3000)))
		sorted := slices.Clone(serials)
		shuffle(r, serials, 1+r.Intn(1000))
		b := settled(100)
		b.add(serials...)
		if !slices.Equal(b.log, texts(sorted, "")) {
			t.Fatalf("seed %d: %q", seed, b.log)
		}
	}
}

// With events missing, the rest is sorted too, and the losses name exactly those that are missing.
func TestWhatIsMissingIsNamed(t *testing.T) {
	for seed := range int64(300) {
		r := rand.New(rand.NewSource(seed))
		var serials, missing []uint64
		for s := uint64(100); s < 100+uint64(r.Intn(2000)); s++ {
			if r.Intn(10) == 0 {
				missing = append(missing, s)
			} else {
				serials = append(serials, s)
			}
		}
		serials = append(serials, 3000)
		missing = append(missing, span(missing1(serials, missing), 2999)...)
		sorted := slices.Clone(serials)
		shuffle(r, serials[:len(serials)-1], 1+r.Intn(500))
		b := settled(100)
		b.add(serials...)
		b.Flush(b.now)
		var events, lost []uint64
		for _, s := range b.log {
			var first, count uint64
			if n, _ := fmt.Sscanf(s, "lost %d from %d,", &count, &first); n == 2 {
				lost = append(lost, span(first, first+count-1)...)
				continue
			}
			if n, _ := fmt.Sscanf(s, "%d", &first); n != 1 || strings.Contains(s, "late") {
				t.Fatalf("seed %d: %q", seed, s)
			}
			events = append(events, first)
		}
		if !slices.Equal(events, sorted) || !slices.Equal(lost, missing) {
			t.Fatalf("seed %d:\nevents %v\nlost %v\nwant %v", seed, events, lost, missing)
		}
	}
}

// missing1 is the first serial of the stretch that is missing at the end.
func missing1(serials, missing []uint64) uint64 {
	last := uint64(99)
	if n := len(serials); n > 1 {
		last = serials[n-2]
	}
	if n := len(missing); n > 0 {
		last = max(last, missing[n-1])
	}
	return last + 1
}

func FuzzOrder(f *testing.F) {
	f.Add([]byte{1, 1, 1, 1, 200, 1, 3, 253, 1})
	f.Add([]byte{0, 255, 128, 127, 64, 65, 2, 254, 77, 77, 77, 0, 0, 0})
	f.Add(slices.Repeat([]byte{1, 250, 7, 1}, 60))
	f.Fuzz(func(t *testing.T, steps []byte) {
		b := newBench()
		want := make(map[string]int)
		serial, last, high := uint64(lateness), uint64(0), map[uint64]bool{}
		for i, step := range steps {
			switch {
			case step < 128:
				serial += uint64(step % 4)
			case step < 200:
				serial -= min(serial, uint64(step%8))
			case step < 210:
				serial += uint64(step-200) * 1000
			case step < 220:
				serial -= min(serial, uint64(step-210)*4000)
			default:
				b.now += int64(step)
			}
			e := event(serial)
			if step%32 == 31 {
				e.Time += 1 << (step / 16)
			}
			e.Node, e.Arrived = []string{"", "n"}[i%7/6], b.now
			want[fmt.Sprint(e.Node, serial)]++
			b.Add(e, b.now)
		}
		b.Flush(b.now)
		checkOnce(t, b.log, want)
		if b.Held() != 0 {
			t.Errorf("%d held after the end", b.Held())
		}
		// Between restarts, what is not late comes in rising order of the serials.
		for _, s := range b.log {
			var n uint64
			if k, _ := fmt.Sscanf(s, "%d", &n); k != 1 || strings.HasSuffix(s, "late") {
				if strings.HasPrefix(s, "restarted") {
					clear(high)
					last = 0
				}
				continue
			}
			if n < last || high[n] {
				t.Errorf("%d after %d: %q", n, last, b.log)
			}
			last, high[n] = n, true
		}
	})
}

func TestOrderAllocatesNothing(t *testing.T) {
	nothing := &quiet{}
	o := New(wait, nothing)
	events := make([]*record.Event, 1000)
	for i := range events {
		events[i] = &record.Event{Ordered: true}
	}
	serial := uint64(0)
	for _, c := range []struct {
		name string
		swap bool
	}{{"in order", false}, {"with holes that are filled", true}} {
		run := func() {
			for i, e := range events {
				e.Serial = serial + uint64(i)
				if c.swap {
					e.Serial ^= 3
				}
				o.Add(e, 0)
			}
			serial += uint64(len(events))
		}
		run()
		if n := testing.AllocsPerRun(10, run); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
	if o.Held() != 0 || nothing.late != 0 || nothing.lost != 0 || nothing.events != int(serial) {
		t.Errorf("%+v of %d events, %d held", nothing, serial, o.Held())
	}
}

type quiet struct{ events, late, lost int }

func (q *quiet) Event(_ *record.Event, late bool) {
	q.events++
	if late {
		q.late++
	}
}
func (q *quiet) Missing(string, uint64, uint64, int64) {}

func (q *quiet) Lost(string, uint64, uint64, int64, int64) { q.lost++ }
func (q *quiet) Restarted(string, uint64, int64)           {}

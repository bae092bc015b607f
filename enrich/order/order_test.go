package order

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"audisp-history/enrich/record"
)

const (
	wait = 1000
	boot = 1_700_000_000_000 // a time
)

// bench notes what an order finds out, and has a clock.
type bench struct {
	*Order
	log []string
	now int64
}

func newBench() *bench {
	b := &bench{}
	b.Order = New(wait, b)
	return b
}

func (b *bench) Event(e *record.Event, late bool) {
	s := fmt.Sprint(e.Node, e.Serial)
	if late {
		s += " late"
	}
	b.log = append(b.log, s)
}

func (b *bench) Missing(string, uint64, uint64, int64) {}

func (b *bench) Lost(node string, first, count uint64, from, to int64) {
	b.log = append(b.log, fmt.Sprintf("%slost %d from %d, %d ms", node, count, first, to-from))
}

func (b *bench) Restarted(node string, first uint64, _ int64) {
	b.log = append(b.log, fmt.Sprintf("%srestarted at %d", node, first))
}

// event makes the event of a serial, 10 ms after that of the serial before.
func event(serial uint64) *record.Event {
	return &record.Event{Serial: serial, Time: boot + 10*int64(serial), Ordered: true}
}

func (b *bench) add(serials ...uint64) {
	for _, s := range serials {
		e := event(s)
		e.Arrived = b.now
		b.Add(e, b.now)
	}
}

// settled is a bench whose beginning is over: the next event is first.
func settled(first uint64) *bench {
	b := newBench()
	b.add(first - 1)
	b.now += wait
	b.Tick(b.now)
	b.log = nil
	return b
}

func (b *bench) want(t *testing.T, when string, want ...string) {
	t.Helper()
	if !slices.Equal(b.log, want) {
		t.Errorf("%s: %q, want %q", when, b.log, want)
	}
	b.log = nil
}

// span lists serials.
func span(from, to uint64) []uint64 {
	var s []uint64
	for ; from <= to; from++ {
		s = append(s, from)
	}
	return s
}

// texts lists events as the log has them.
func texts(serials []uint64, suffix string) []string {
	var s []string
	for _, n := range serials {
		s = append(s, fmt.Sprint(n)+suffix)
	}
	return s
}

func TestEventsInOrderPassAtOnce(t *testing.T) {
	b := settled(100)
	for s := uint64(100); s < 10000; s++ {
		b.add(s)
		if len(b.log) != int(s)-99 || b.Held() != 0 {
			t.Fatalf("event %d is held", s)
		}
	}
	b.want(t, "all", texts(span(100, 9999), "")...)
}

func TestAHoleIsWaitedFor(t *testing.T) {
	b := settled(100)
	b.add(100)
	b.add(span(102, 567)...)
	b.want(t, "before the late event", "100")
	if b.Held() != 466 {
		t.Errorf("%d events held", b.Held())
	}
	b.now += wait - 1
	b.add(568)
	b.want(t, "before the wait is over")
	b.add(101)
	b.want(t, "filled", texts(span(101, 568), "")...)
	if b.Late != 0 || b.Held() != 0 {
		t.Errorf("%d late, %d held", b.Late, b.Held())
	}
}

func TestAHoleThatIsNotFilledIsLoss(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(b *bench)
	}{
		{"by Tick", func(b *bench) { b.Tick(b.now) }},
		{"by an event", func(b *bench) { b.add(109) }},
		{"at the end of the stream", func(b *bench) { b.Flush(b.now) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := settled(100)
			b.add(100, 106, 105, 108)
			b.now += wait - 1
			b.Tick(b.now)
			b.want(t, "before", "100")
			b.now++
			c.end(b)
			want := []string{"lost 4 from 101, 50 ms", "105", "106", "lost 1 from 107, 20 ms", "108", "109"}
			b.want(t, "after", want[:len(b.log)]...)
			if b.Held() != 0 {
				t.Errorf("%d held", b.Held())
			}
			b.add(103)
			b.want(t, "too late", "103 late")
			if b.Late != 1 {
				t.Errorf("%d counted as late", b.Late)
			}
		})
	}
}

// Events that take long are recorded with the time they began: one that is late is told from one of another boot by
// the latest time of all that were handed on.
func TestTimesAreNotInOrder(t *testing.T) {
	b := settled(100)
	slow := event(101)
	slow.Time += 60_000
	b.Add(slow, b.now)
	b.now += wait
	b.Tick(b.now)
	b.add(102)
	b.log = nil
	late := event(100)
	late.Time += 50_000
	b.Add(late, b.now)
	b.want(t, "late", "100 late")
}

func TestSeveralHolesDoNotEachWaitAnew(t *testing.T) {
	b := settled(100)
	b.add(101, 103, 105, 107, 109)
	b.now += wait
	b.Tick(b.now)
	want := []string{}
	for s := uint64(100); s < 110; s += 2 {
		want = append(want, fmt.Sprintf("lost 1 from %d, 20 ms", s), fmt.Sprint(s+1))
	}
	b.want(t, "all at once", want...)
}

func TestOnlySoManyEventsWait(t *testing.T) {
	b := settled(100)
	for s := uint64(101); s < 100_000; s++ {
		b.add(s)
		if b.Held() > Window/2 {
			t.Fatalf("%d events wait", b.Held())
		}
	}
	if b.log[0] != "lost 1 from 100, 20 ms" || len(b.log) != 100_000-101+1 {
		t.Errorf("%q … %d entries", b.log[:2], len(b.log))
	}
}

func TestAFurtherPartFollowsItsEvent(t *testing.T) {
	b := settled(100)
	b.add(102, 101, 102, 101, 102)
	b.add(100)
	b.want(t, "after those that waited", "100", "101", "101 late", "102", "102 late", "102 late")
	b.add(102)
	b.want(t, "after one that has gone on", "102 late")
}

func TestUnorderedEventsPassAtOnce(t *testing.T) {
	b := settled(100)
	b.add(101)
	e := event(5000)
	e.Ordered = false
	b.Add(e, b.now)
	b.want(t, "at once", "5000")
	b.add(100, 102)
	b.want(t, "no part of the order", "100", "101", "102")
}

func TestASingleOddSerialMovesNothing(t *testing.T) {
	const next = 100_000
	for _, odd := range []uint64{0, 1, next - lateness - 2, next + Window, next + 1<<20, 1 << 32, 1 << 59} {
		t.Run(fmt.Sprint(odd), func(t *testing.T) {
			b := settled(next)
			b.add(odd)
			if b.Held() != 1 {
				t.Errorf("%q", b.log)
			}
			b.add(span(next, next+500)...)
			b.now += wait
			b.add(span(next+501, next+2000)...)
			want := texts(span(next, next+2000), "")
			want = slices.Insert(want, 502, fmt.Sprint(odd, " late"))
			b.want(t, "all", want...)
			if b.Held() != 0 || b.Late != 1 {
				t.Errorf("%d held, %d late", b.Held(), b.Late)
			}
		})
	}
	t.Run("in a stream without a clock", func(t *testing.T) {
		b := settled(next)
		b.add(next + 1<<20)
		b.add(span(next, next+2000)...)
		if b.Held() != 0 || b.Late != 1 || len(b.log) != 2002 {
			t.Errorf("%d held, %d late, %d entries", b.Held(), b.Late, len(b.log))
		}
	})
}

func TestAJumpAheadIsOneLoss(t *testing.T) {
	for _, by := range []uint64{Window, Window + 1, 100_000, 1 << 31} {
		b := settled(100)
		b.add(100)
		first := 101 + by
		b.add(span(first, first+199)...)
		want := append([]string{"100", fmt.Sprintf("lost %d from 101, %d ms", by, 10*(by+1))}, texts(span(first, first+199), "")...)
		b.want(t, fmt.Sprint("by ", by), want...)
	}
}

func TestAJumpAheadKeepsWhatWaited(t *testing.T) {
	b := settled(100)
	b.add(101, 102)
	b.add(span(50_000, 50_000+jump)...)
	want := append([]string{"lost 1 from 100, 20 ms", "101", "102", "lost 49897 from 103, 498980 ms"}, texts(span(50_000, 50_000+jump), "")...)
	b.want(t, "all", want...)
}

func TestNodesAreIndependent(t *testing.T) {
	b := newBench()
	add := func(node string, serial uint64) {
		e := event(serial)
		e.Node, e.Arrived = node, b.now
		b.Add(e, b.now)
	}
	add("a", 10)
	add("b", 5000)
	b.now += wait
	b.Tick(b.now)
	slices.Sort(b.log)
	b.want(t, "beginnings", "a10", "b5000")
	add("a", 12)
	add("b", 5001)
	add("a", 13)
	add("b", 5002)
	add("a", 11)
	b.want(t, "a waits, b does not", "b5001", "b5002", "a11", "a12", "a13")
	add("b", 5004)
	b.now += wait
	add("a", 14)
	b.Tick(b.now)
	b.want(t, "b has lost one", "a14", "blost 1 from 5003, 20 ms", "b5004")
}

func TestNodesAreBounded(t *testing.T) {
	b := newBench()
	for i := range maxNodes + 100 {
		e := event(7)
		e.Node = fmt.Sprintf("node%d-", i)
		b.Add(e, 0)
	}
	if len(b.nodes) != maxNodes || len(b.log) != 100 {
		t.Errorf("%d nodes, %d events passed", len(b.nodes), len(b.log))
	}
	b.Flush(0)
	if len(b.log) != maxNodes+100 {
		t.Errorf("%d events came out", len(b.log))
	}
}

func TestTheBeginningLosesNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(b *bench)
	}{
		{"when a tenth of the wait is over", func(b *bench) { b.now++; b.Tick(b.now) }},
		{"when many have come", func(b *bench) { b.add(span(1002, 1100)...) }},
		{"at the end", func(b *bench) { b.Flush(b.now) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench()
			b.add(1000, 998, 1001, 999)
			b.now += wait/10 - 1
			b.Tick(b.now)
			b.want(t, "before")
			c.end(b)
			b.want(t, "the beginning", texts(span(998, 997+uint64(len(b.log))), "")...)
			b.add(997)
			b.want(t, "one before", "997 late")
		})
	}
}

func TestFlushHandsOnEverything(t *testing.T) {
	for seed := range int64(200) {
		r := rand.New(rand.NewSource(seed))
		b := newBench()
		n := r.Intn(300)
		want := make(map[string]int)
		for range n {
			e := event(uint64(r.Intn(40_000)))
			if r.Intn(10) == 0 {
				e.Serial = r.Uint64() >> (4 + r.Intn(60))
			}
			e.Time += int64(r.Intn(2)) * int64(r.Intn(100_000))
			e.Node = []string{"", "a", "b"}[r.Intn(3)]
			e.Arrived = b.now
			b.now += int64(r.Intn(20))
			want[fmt.Sprint(e.Node, e.Serial)]++
			b.Add(e, b.now)
		}
		b.Flush(b.now)
		if b.Held() != 0 {
			t.Fatalf("seed %d: %d held", seed, b.Held())
		}
		checkOnce(t, b.log, want)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Events from further behind than late ones ever are, with times before those handed on, are late all the same and no boot:
// whether a jump ahead follows, or nothing more comes.
func TestVeryLateEventsAreNoBoot(t *testing.T) {
	const next = 100_000
	odd := []uint64{70_000, 70_002}
	lates := texts(odd, " late")
	t.Run("before a jump ahead", func(t *testing.T) {
		b := settled(next)
		b.add(odd...)
		b.add(span(next+15_000, next+15_000+jump)...)
		lost := []string{fmt.Sprintf("lost 15000 from %d, 150010 ms", next)}
		b.want(t, "all", slices.Concat(lates, lost, texts(span(next+15_000, next+15_000+jump), ""))...)
	})
	t.Run("and nothing after them", func(t *testing.T) {
		b := settled(next)
		b.add(odd...)
		b.now += wait
		b.Tick(b.now)
		b.want(t, "after the wait", lates...)
	})
	t.Run("at the end", func(t *testing.T) {
		b := settled(next)
		b.add(odd...)
		b.Flush(b.now)
		b.want(t, "all", lates...)
	})
	t.Run("many, before a jump ahead", func(t *testing.T) {
		b := settled(next)
		b.add(next + 15_000)
		b.add(span(70_000, 70_000+jump)...)
		b.add(next + 15_001)
		b.Flush(b.now)
		want := append(texts(span(70_000, 70_000+jump-2), " late"), fmt.Sprintf("lost 15000 from %d, 150010 ms", next), fmt.Sprint(next+15_000), fmt.Sprint(next+15_001))
		want = append(want, texts(span(70_000+jump-1, 70_000+jump), " late")...)
		b.want(t, "all", want...)
	})
}

// A machine whose clock has been set back boots: its serials begin again with earlier times. So many that agree, and nothing
// in between, are believed.
func TestABootWithAClockSetBack(t *testing.T) {
	const next = 100_000
	b := settled(next)
	b.add(span(1, 200)...)
	b.want(t, "all", append([]string{"restarted at 1"}, texts(span(1, 200), "")...)...)
}

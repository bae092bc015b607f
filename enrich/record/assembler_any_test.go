package record

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"testing"
)

// name is what a line's event is known by, the same for all lines that are no records.
func name(line []byte) string {
	h, ok := ParseHeader(line)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%q %d %d", h.Node, h.Time, h.Serial)
}

// byEvent sorts lines by their events and keeps their order within each.
func byEvent(lines [][]byte) map[string][]string {
	m := make(map[string][]string)
	for _, l := range lines {
		m[name(l)] = append(m[name(l)], string(l))
	}
	return m
}

// checkAssembled runs lines through an assembler: all must come out, those of an event in their order.
func checkAssembled(t *testing.T, lines [][]byte, limit int, step int64) {
	t.Helper()
	var out [][]byte
	var a *Assembler
	a = NewAssembler(limit, func(e *Event) {
		for i := range e.Records {
			out = append(out, bytes.Clone(e.Line(i)))
			if e.Records[i].Kind != Unreadable && (e.Time != e.Header(i).Time || e.Serial != e.Header(i).Serial) {
				t.Errorf("%q in the event %d of %d", e.Line(i), e.Serial, e.Time)
			}
			e.Body(i)
		}
		isCall := func(r Record) bool { return r.Kind == Syscall || r.Kind == Uring }
		if want := slices.IndexFunc(e.Records, isCall); e.Call != want {
			t.Errorf("record %d as the SYSCALL record, want %d", e.Call, want)
		}
		a.Release(e)
	})
	now := int64(0)
	for i, l := range lines {
		a.Add(l, now)
		now += step
		if i%16 == 0 {
			a.Tick(now)
		}
		if a.Open() > limit {
			t.Fatalf("%d events open, at most %d may be", a.Open(), limit)
		}
	}
	a.Flush()
	if a.Open() != 0 || a.bare != (lane{}) || a.calls != (lane{}) || a.hash != ([buckets]*Event{}) {
		t.Errorf("%d events open after the end", a.Open())
	}
	want, got := byEvent(lines), byEvent(out)
	if !maps.EqualFunc(want, got, slices.Equal) {
		t.Errorf("lines in:\n%q\nlines out:\n%q", lines, out)
	}
}

// randomEvents makes events of any shape and deals their records like cards.
func randomEvents(r *rand.Rand) [][]byte {
	types := []string{"SYSCALL", "URINGOP", "PATH", "CWD", "PROCTITLE", "EOE", "USER_AUTH", "DAEMON_END", "AVC", "OBJ_PID", "UNKNOWN[1340]"}
	var events [][][]byte
	for n := r.Intn(60); n > 0; n-- {
		node := []string{"", "", "node=a ", "node=b "}[r.Intn(4)]
		stamp := fmt.Sprintf("%d.%03d:%d", r.Intn(2), r.Intn(2), r.Intn(30)+buckets*r.Intn(2))
		var e [][]byte
		for i := range 1 + r.Intn(6) {
			e = append(e, fmt.Appendf(nil, "%stype=%s msg=audit(%s): n=%d i=%d\n", node, types[r.Intn(len(types))], stamp, n, i))
		}
		events = append(events, e)
	}
	var lines [][]byte
	spread := 1 + r.Intn(20) // how many events are open side by side
	for len(events) > 0 {
		i := r.Intn(min(len(events), spread))
		lines = append(lines, events[i][0])
		if events[i] = events[i][1:]; len(events[i]) == 0 {
			events = slices.Delete(events, i, i+1)
		}
		if r.Intn(20) == 0 {
			lines = append(lines, fmt.Appendf(nil, "garbage %d", len(lines)))
		}
	}
	return lines
}

func TestNothingIsLostAndEventsKeepTheirOrder(t *testing.T) {
	for seed := range int64(500) {
		r := rand.New(rand.NewSource(seed))
		checkAssembled(t, randomEvents(r), 1+r.Intn(20), int64(r.Intn(200)))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzAssembler(f *testing.F) {
	f.Add([]byte("type=SYSCALL msg=audit(1.000:1): a\ntype=PATH msg=audit(1.000:1): b\ntype=EOE msg=audit(1.000:1): \n"), uint8(3))
	f.Add([]byte("node=a type=AVC msg=audit(1.0:1): a\nnode=b type=AVC msg=audit(1.0:1): b\nnode=a type=AVC msg=audit(1.000:01): c"), uint8(1))
	f.Add([]byte("garbage\x00\r\n\n\ntype=USER msg=audit(1.000:1): msg='\x1d'\x1d\x00\n"), uint8(200))
	r := rand.New(rand.NewSource(1))
	for range 3 {
		f.Add(bytes.Join(randomEvents(r), nil), uint8(r.Intn(256)))
	}
	f.Fuzz(func(t *testing.T, stream []byte, shape uint8) {
		var lines splitter
		var l Lines
		for chunk := range slices.Chunk(stream, 1+int(shape)) {
			l.Feed(chunk, &lines)
		}
		lines.got = append(lines.got, bytes.Clone(l.Rest()))
		if joined := bytes.Join(lines.got, nil); !bytes.Equal(joined, stream) {
			t.Fatalf("%q in lines is %q", stream, joined)
		}
		checkAssembled(t, lines.got, 1+int(shape&15), int64(shape>>4)*50)
	})
}

type splitter struct{ got [][]byte }

func (s *splitter) Line(b []byte)  { s.got = append(s.got, bytes.Clone(b)) }
func (s *splitter) Piece(b []byte) { s.got = append(s.got, bytes.Clone(b)) }

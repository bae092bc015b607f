package enrich_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"audisp-history/enrich/record"
	"audisp-history/enrich/text"
	"audisp-history/enrich/tracker"
)

// auditd writes every record to its log, but when its queue for the plugins is full it drops single records
// (auditd/audisp/queue.c: enqueue). What is missing on the stream is had from the log, each record once.

// A queue drops some of what is put into it.
type queue struct {
	w       *writer
	log     [][]byte // of auditd: all but EOE
	dropped int
	now     int64
}

func newQueue() *queue {
	q := &queue{}
	c := config
	c.Wait = record.MaxAge + 100
	c.Missing = func(_ string, first, count uint64, _ int64, line func([]byte)) {
		for _, l := range q.log {
			if h, ok := record.ParseHeader(l); ok && record.Ordered(&h) && h.Serial >= first && h.Serial-first < count {
				line(l)
			}
		}
	}
	q.w = newWriter(c, text.Field)
	return q
}

func (q *queue) put(line []byte, drop bool) {
	if !bytes.HasPrefix(line, []byte("type=EOE")) {
		q.log = append(q.log, line)
	}
	q.now++
	if drop {
		q.dropped++
		return
	}
	q.w.stream.Line(line, q.now)
}

func (q *queue) end() string {
	for range 30 {
		q.now += 100
		q.w.stream.Tick(q.now, 0)
	}
	q.w.stream.Close(nil)
	return string(q.w.out)
}

// deliveredLines is the beginning of a capture as auditd hands it to its plugins.
func deliveredLines(t *testing.T, events int) [][]byte {
	var lines [][]byte
	for line := range bytes.Lines(capture(t, "boot")) {
		if lines = append(lines, line); !bytes.HasPrefix(line, []byte("type=PROCTITLE")) {
			continue
		}
		id := line[bytes.IndexByte(line, ' '):]
		lines = append(lines, slices.Concat([]byte("type=EOE"), id[:bytes.Index(id, []byte("): "))+3], []byte("\n")))
		if events--; events == 0 {
			break
		}
	}
	return lines
}

// sorted is the lines of a text, less the EOE records.
func sorted(out string) []string {
	var list []string
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "type=EOE") {
			list = append(list, line)
		}
	}
	slices.Sort(list)
	return list
}

// dropsOf says which records of an event auditd drops: by their place in it, the EOE record being the last. first: it is
// the first of several.
type dropsOf func(r *rand.Rand, first bool, syscall, records int) (from, to int)

// TestDroppedRecordsAreHadFromTheLog: the output is that of a stream without a loss, but for EOE records.
func TestDroppedRecordsAreHadFromTheLog(t *testing.T) {
	for name, drops := range map[string]dropsOf{
		"whole events": func(_ *rand.Rand, _ bool, _, records int) (int, int) { return 0, records },
		"heads": func(r *rand.Rand, _ bool, syscall, records int) (int, int) {
			return 0, syscall + 1 + r.IntN(records-syscall-1)
		},
		"SYSCALL": func(_ *rand.Rand, _ bool, syscall, _ int) (int, int) { return syscall, syscall + 1 },
		"ends":    func(_ *rand.Rand, _ bool, _, records int) (int, int) { return records - 1, records },
		// Behind one whose head is missing the others wait, so that it is seen what they lack.
		"all but the head": func(_ *rand.Rand, first bool, syscall, records int) (int, int) {
			if first {
				return 0, syscall + 1
			}
			return syscall + 1, records
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				testDropped(t, rand.New(rand.NewPCG(seed, 1)), drops)
			}
		})
	}
}

func testDropped(t *testing.T, r *rand.Rand, drops dropsOf) {
	t.Helper()
	lines := deliveredLines(t, 1500)
	whole, q := newQueue(), newQueue()
	for _, line := range lines {
		whole.put(line, false)
	}
	for i, drop := range dropped(t, r, lines, drops) {
		q.put(lines[i], drop)
	}
	if q.dropped == 0 {
		t.Fatal("nothing was dropped")
	}
	got, want := sorted(q.end()), sorted(whole.end())
	if !slices.Equal(got, want) {
		t.Fatalf("%d records dropped, gaps %+v: %s", q.dropped, q.w.gaps, difference(got, want))
	}
}

// dropped decides which lines are dropped: of some events in the order of their serials, time and again.
func dropped(t *testing.T, r *rand.Rand, lines [][]byte, drops dropsOf) []bool {
	places := map[string][]int{} // of the lines of an event
	var ids []string
	for i, line := range lines {
		id := string(line[bytes.Index(line, []byte("msg=")):bytes.Index(line, []byte("):"))])
		if places[id] == nil {
			ids = append(ids, id)
		}
		places[id] = append(places[id], i)
	}
	serial := func(id string) int { return atoi(t, id[strings.LastIndexByte(id, ':')+1:]) }
	slices.SortFunc(ids, func(a, b string) int { return serial(a) - serial(b) })
	out := make([]bool, len(lines))
	full, first := 0, false
	for n, id := range ids {
		if full == 0 && n > 100 && n < len(ids)-50 && r.IntN(60) == 0 {
			full, first = 1+r.IntN(20), true
		}
		syscall := slices.IndexFunc(places[id], func(i int) bool { return bytes.HasPrefix(lines[i], []byte("type=SYSCALL")) })
		if full == 0 || syscall < 0 {
			continue
		}
		full--
		from, to := drops(r, first, syscall, len(places[id]))
		first = false
		for _, i := range places[id][from:to] {
			out[i] = true
		}
	}
	return out
}

func difference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return "\n got " + got[i] + "want " + want[i]
		}
	}
	return strings.Join(append(got[min(len(got), len(want)):], want[min(len(got), len(want)):]...), "")
}

// What the log does not have is lost, also where a part of it has come; that part is handed on.
func TestHeadlessEventThatTheLogDoesNotHave(t *testing.T) {
	c := config
	c.Wait = 100
	c.Missing = func(string, uint64, uint64, int64, func([]byte)) {}
	w := newWriter(c, text.Field)
	lines := deliveredLines(t, 300)
	const event = 250
	seen, title := 0, ""
	for i, line := range lines {
		if bytes.HasPrefix(line, []byte("type=SYSCALL")) {
			if seen++; seen == event {
				continue
			}
		}
		if seen == event && title == "" && bytes.HasPrefix(line, []byte("type=PROCTITLE")) {
			title = string(line)
		}
		w.stream.Line(line, int64(i))
	}
	w.stream.Tick(int64(len(lines)+200), 0)
	w.stream.Close(nil)
	last := w.gaps[len(w.gaps)-1]
	if last.Reason != tracker.EventsLost || last.Lost != 1 {
		t.Errorf("gaps %+v", w.gaps)
	}
	if n := strings.Count(string(w.out), title); n != 1 {
		t.Errorf("its title is there %d times", n)
	}
}

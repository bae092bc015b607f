package enrich_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"audisp-history/enrich"
	"audisp-history/enrich/packed"
	"audisp-history/enrich/record"
	"audisp-history/enrich/task"
	"audisp-history/enrich/text"
)

// bootState is what is kept of a part of the boot capture.
func bootState(tb testing.TB, lines int) *keeper {
	tb.Helper()
	c := config
	c.Journal = &packed.Writer{}
	w := newWriter(c, text.Field)
	k := &keeper{}
	log := capture(tb, "boot")
	end := nthLine(log, lines)
	for line := range bytes.Lines(log[:end]) {
		if w.Line(line); len(w.out) > 1<<16 {
			k.keep(w, false)
			w.out = w.out[:0]
		}
	}
	k.keep(w, false)
	return k
}

// load reads pieces until one makes no sense, and has the stream go on. It returns how many were read.
func load(c enrich.Config, k *keeper) (w *writer, read int) {
	c.Journal = &packed.Writer{}
	w = newWriter(c, text.Field)
	l := enrich.NewLoader(w.stream)
	for _, piece := range k.snapshot {
		if l.Snapshot(piece) != nil {
			break
		}
		read++
	}
	for _, piece := range k.journal {
		if l.Journal(piece) != nil {
			break
		}
		read++
	}
	l.Finish()
	w.stream.Resume(true)
	return w, read
}

// goOn is some traffic, at the end of which all processes but init are gone.
func goOn(w *writer) {
	line := func(i int, text string) {
		w.Line(fmt.Appendf(nil, "type=SYSCALL msg=audit(1899999999.%03d:%d): arch=c000003e %s auid=0 comm=\"a\" exe=\"/bin/a\"\n", i%1000, 9_000_000+i, text))
		w.Line(fmt.Appendf(nil, "type=EOE msg=audit(1899999999.%03d:%d): \n", i%1000, 9_000_000+i))
	}
	for i := range 100 {
		line(3*i, fmt.Sprintf("syscall=56 success=yes exit=%d a0=0 ppid=0 pid=1", 2+i))
		line(3*i+1, fmt.Sprintf("syscall=59 success=yes exit=0 ppid=1 pid=%d", 2+i))
		line(3*i+2, fmt.Sprintf("syscall=231 ppid=1 pid=%d", 2+i))
	}
	w.stream.Close(nil)
}

// TestAStateCutAfterAnyPiece: what was read is there, and the stream goes on.
func TestAStateCutAfterAnyPiece(t *testing.T) {
	k := bootState(t, 12000)
	if len(k.journal) < 5 {
		t.Fatalf("only %d pieces", len(k.journal))
	}
	last := -1
	for n := range len(k.journal) + 1 {
		w, read := load(config, &keeper{snapshot: k.snapshot, journal: k.journal[:n]})
		if read != len(k.snapshot)+n {
			t.Fatalf("%d pieces read of %d", read, len(k.snapshot)+n)
		}
		next, _ := w.stream.Saved("")
		if int(next) < last || n == len(k.journal) && next < 1000 {
			t.Errorf("after %d pieces the place is %d, before it was %d", n, next, last)
		}
		last = int(next)
		goOn(w)
	}
}

func TestPiecesThatMakeNoSense(t *testing.T) {
	for _, piece := range [][]byte{nil, {}, {3}, {255}, {0}, {2, 0, 0, 0}} { // 2 follows a snapshot that is missing
		if err := enrich.NewLoader(newWriter(config, text.Field).stream).Journal(piece); err == nil {
			t.Errorf("%v: no error", piece)
		}
	}
}

// TestAPlaceThatMakesNoSense is not taken: the one before it stays.
func TestAPlaceThatMakesNoSense(t *testing.T) {
	for name, holes := range map[string]int{"cut": 3, "too many holes": 100} {
		var w packed.Writer
		w.Byte(0) // follows the piece before it
		w.Byte(0) // no changes
		w.Uint(2)
		for _, node := range []string{"", "other"} {
			w.String(node)
			w.Uint(77)
			w.Int(1)
			w.Uint(uint64(holes))
			for range 2 * holes {
				w.Uint(1)
			}
			w.Uint(0)
			holes = max(holes, 65)
		}
		piece := w.Bytes()
		if name == "cut" {
			piece = piece[:20]
		}
		k := bootState(t, 3000)
		good, _ := load(config, k)
		before, _ := good.stream.Saved("")
		k.journal = append(k.journal, piece)
		bad, read := load(config, k)
		if after, _ := bad.stream.Saved(""); read != len(k.snapshot)+len(k.journal)-1 || after != before || before == 0 {
			t.Errorf("%s: %d pieces read, due is %d, before %d", name, read, after, before)
		}
		pieces := bad.stream.Snapshot(nil, false)
		if again, read := load(config, &keeper{snapshot: pieces}); read != len(pieces) || again.stream.Counts().Tasks.Tasks == 0 {
			t.Errorf("%s: what is kept of it cannot be read", name)
		}
	}
}

// TestADamagedState: each piece cut short, dropped, or with a bit flipped.
func TestADamagedState(t *testing.T) {
	k := bootState(t, 6000)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 3))
	small := config
	small.Limits = task.Limits{Tasks: 20, Ended: 5, Execs: 50, Depth: 16}
	small.PendingForks = 3
	for range 300 {
		bad := &keeper{snapshot: slices.Clone(k.snapshot), journal: slices.Clone(k.journal)}
		list := bad.journal
		if random.IntN(3) == 0 || len(list) == 0 {
			list = bad.snapshot
		}
		i := random.IntN(len(list))
		piece := bytes.Clone(list[i])
		switch at := random.IntN(len(piece)); random.IntN(3) {
		case 0:
			piece = piece[:at]
		case 1:
			piece[at] ^= 1 << random.IntN(8)
		default:
			piece = list[random.IntN(len(list))]
		}
		list[i] = piece
		for _, c := range []enrich.Config{config, small} {
			w, _ := load(c, bad)
			goOn(w)
			n := w.stream.Counts() // a bit may have made two machines of one
			if m := n.Tracker.Machines; c.Limits.Tasks == 20 && (n.Tasks.Tasks > 21*m || n.Tasks.Ended > 5*m) {
				t.Fatalf("%+v", n)
			}
		}
	}
}

// TestLowerLimitsThanBefore are obeyed by what is loaded.
func TestLowerLimitsThanBefore(t *testing.T) {
	k := bootState(t, 12000)
	whole, _ := load(config, k)
	before := whole.stream.Counts().Tasks
	for _, l := range []task.Limits{{Tasks: 10, Ended: 4, Execs: 40, Depth: 16}, {Tasks: before.Tasks - 1, Ended: before.Ended / 2, Execs: before.Execs, Depth: 1024}, {}} {
		c := config
		c.Limits = l
		w, read := load(c, k)
		if read != len(k.snapshot)+len(k.journal) {
			t.Errorf("%+v: %d pieces read", l, read)
		}
		got := w.stream.Counts().Tasks
		if got.Tasks > max(l.Tasks, 3) || got.Ended > max(l.Ended, 1) {
			t.Errorf("%+v: %+v", l, got)
		}
		goOn(w)
	}
}

// TestOneThatFillsAHoleAfterARestartIsTakenOnce.
func TestOneThatFillsAHoleAfterARestartIsTakenOnce(t *testing.T) {
	header := func(serial uint64, at int64) *record.Header {
		return &record.Header{Serial: serial, Time: at, Type: []byte("SYSCALL")}
	}
	s := newKeptStory(t)
	s.tell("@110 10<1 open\n@111 10<1 open") // 105 to 109 are missing
	s.stream.Tick(3*config.Wait, 0)
	s.tell("@107 -100 10<1 open") // this one comes late
	s.serial = 111
	daemon := fmt.Sprintf("type=DAEMON_ROTATE msg=audit(%d.000:7): op=rotate pid=1 res=success", storyBegin/1000)
	s.write(daemon)
	for range 3 {
		s.restart(s.kept(nil), false)
		for serial, want := range map[uint64]bool{104: true, 105: false, 106: false, 107: true, 108: false, 109: false, 110: true, 111: true, 112: false, 113: false} {
			if got := s.stream.Handled(header(serial, s.at)); got != want {
				t.Errorf("%d is handled: %v, want %v", serial, got, want)
			}
		}
		h, _ := record.ParseHeader([]byte(daemon))
		other := h
		other.Serial++
		if !s.stream.Handled(&h) || s.stream.Handled(&other) {
			t.Error("which of auditd's own records are handled is not known")
		}
	}
	// Now 105, and after one more restart 109; each is late, and then handled.
	for _, serial := range []uint64{105, 109} {
		before := s.stream.Counts().LateEvents
		s.tell(fmt.Sprintf("@%d -100 10<1 open", serial))
		if !s.stream.Handled(header(serial, s.at)) || s.stream.Counts().LateEvents != before+1 {
			t.Errorf("%d was not taken as late", serial)
		}
		s.restart(s.kept(nil), false)
		if !s.stream.Handled(header(serial, s.at)) || s.stream.Handled(header(106, s.at)) {
			t.Errorf("%d is not known to be handled after a restart", serial)
		}
	}
	if serial, newest := s.stream.Saved(""); serial != 112 || newest == 0 {
		t.Errorf("due is %d, %d", serial, newest)
	}
	if serial, newest := s.stream.Saved("elsewhere"); serial != 0 || newest != 0 {
		t.Errorf("elsewhere due is %d, %d", serial, newest)
	}
}

func TestWhatIsAssumedIsResumed(t *testing.T) {
	s := newKeptStory(t)
	s.stream = s.fresh()
	s.stream.Assume("", 500, storyBegin)
	s.stream.Resume(false)
	s.serial = 499
	s.tell("1<0 open as init\n@502 1<0 open")
	s.end()
	if c := s.stream.Counts(); c.Lost != 1 || s.stream.Handled(&record.Header{Serial: 501, Type: []byte("SYSCALL")}) {
		t.Errorf("lost %d", c.Lost)
	}
}

// TestItsOwnOutputIsItsInput: the gaps in it move nothing and are no loss.
func TestItsOwnOutputIsItsInput(t *testing.T) {
	for _, name := range []string{"rulesgone", "gap", "late"} {
		once := replay(t, name, text.Record)
		if len(once.gaps) < 2 {
			t.Fatalf("%d gaps", len(once.gaps))
		}
		w := newWriter(config, text.Record)
		var lines record.Lines
		lines.Feed(once.out, w)
		w.stream.Close(lines.Rest())
		was, is := once.stream.Counts(), w.stream.Counts()
		if is.Lost != was.Lost || is.LateEvents != was.LateEvents || is.Restarts != was.Restarts || is.Unreadable != was.Unreadable {
			t.Errorf("%s: %+v, was %+v", name, is, was)
		}
		if got, want := serials(w.out), serials(once.out); !slices.Equal(got, want) {
			t.Errorf("%s: another order", name)
		}
	}
}

// serials are those of a stream's events in their order, without gaps.
func serials(out []byte) (list []uint64) {
	for line := range bytes.Lines(out) {
		if h, ok := record.ParseHeader(line); ok && h.Serial > 0 {
			list = append(list, h.Serial)
		}
	}
	return slices.Compact(list)
}

// FuzzLoad reads arbitrary bytes as what was kept: nothing crashes, and nothing takes more memory than it is long. The
// bytes are pieces with their lengths before them, the first few of the snapshot.
func FuzzLoad(f *testing.F) {
	for _, lines := range []int{300, 3000} {
		k := bootState(f, lines)
		f.Add(byte(len(k.snapshot)), joined(append(slices.Clone(k.snapshot), k.journal...)))
		f.Add(byte(0), joined(k.journal))
		f.Add(byte(1), joined(k.journal))
	}
	f.Add(byte(1), []byte{3, 0, 0, 0, 1, 2, 0, 0})
	c := config
	c.Limits = task.Limits{Tasks: 50, Ended: 20, Execs: 100, Depth: 16}
	c.PendingForks = 10
	f.Fuzz(func(t *testing.T, snapshots byte, data []byte) {
		if len(data) > 1<<18 {
			return
		}
		var k keeper
		for i := 0; len(data) > 1; i++ {
			n := min(int(binary.LittleEndian.Uint16(data)), len(data)-2)
			piece := data[2 : 2+n]
			if data = data[2+n:]; i < int(snapshots) {
				k.snapshot = append(k.snapshot, piece)
			} else {
				k.journal = append(k.journal, piece)
			}
		}
		w, _ := load(c, &k)
		// What was read can be kept again.
		again, read := load(c, &keeper{snapshot: w.stream.Snapshot(nil, false)})
		if a, b := w.stream.Counts().Tasks, again.stream.Counts().Tasks; read == 0 || a.Tasks != b.Tasks || a.Ended != b.Ended || a.Execs != b.Execs {
			t.Errorf("%+v, kept and loaded %+v", a, b)
		}
		goOn(w)
		if n := w.stream.Counts().Tasks; n.Tasks > 60*max(1, w.stream.Counts().Tracker.Machines) {
			t.Errorf("%+v", n)
		}
	})
}

func joined(pieces [][]byte) (all []byte) {
	for _, p := range pieces {
		for len(p) > 0 {
			n := min(len(p), 1<<16-1)
			all = append(binary.LittleEndian.AppendUint16(all, uint16(n)), p[:n]...)
			p = p[n:]
		}
	}
	return all
}

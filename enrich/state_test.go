package enrich_test

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"

	"audisp-history/enrich"
	"audisp-history/enrich/packed"
	"audisp-history/enrich/record"
	"audisp-history/enrich/text"
)

// A keeper keeps what a stream knows, as a state directory would.
type keeper struct {
	snapshot, journal [][]byte
}

// restart begins a new stream from what was kept of another.
func (k *keeper) restart(t *testing.T) *writer {
	t.Helper()
	c := config
	c.Journal = &packed.Writer{}
	w := newWriter(c, text.Field)
	if k.snapshot == nil {
		return w
	}
	l := enrich.NewLoader(w.stream)
	for _, piece := range k.snapshot {
		if err := l.Snapshot(piece); err != nil {
			t.Fatal(err)
		}
	}
	for _, piece := range k.journal {
		if err := l.Journal(piece); err != nil {
			t.Fatal(err)
		}
	}
	l.Finish()
	w.stream.Resume(false)
	return w
}

func (k *keeper) keep(w *writer, all bool) {
	if all || k.snapshot == nil {
		k.snapshot, k.journal = w.stream.Snapshot(nil, false), nil
		return
	}
	if piece := w.stream.Changes(nil); piece != nil {
		k.journal = append(k.journal, piece)
	}
}

// TestRestartsChangeNothing stops the stream again and again in the middle of things, and begins anew from what was kept
// and from the log.
func TestRestartsChangeNothing(t *testing.T) {
	for _, name := range []string{"boot", "gap", "late", "parallel", "rulesgone", "restart"} {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 1))
			log := capture(t, name)
			want := replay(t, name, text.Field).out

			var k keeper
			var out []byte
			w := k.restart(t)
			lines := bytes.SplitAfter(log, []byte("\n"))
			lines = lines[:len(lines)-1]
			restarts := 0
			for i := 0; i < len(lines); i++ {
				w.Line(lines[i])
				if random.IntN(50) == 0 {
					k.keep(w, random.IntN(50) == 0)
					out = append(out, w.out...)
					w.out = w.out[:0]
				}
				if random.IntN(len(lines)/60) > 0 || k.snapshot == nil {
					continue
				}
				// What was written since is lost with the process, and written again.
				restarts++
				w = k.restart(t)
				from := max(0, i-20000)
				for _, line := range lines[from : i+1] {
					if h, ok := record.ParseHeader(line); ok && !w.stream.Handled(&h) {
						w.Line(line)
					}
				}
			}
			w.stream.Close(nil)
			out = append(out, w.out...)
			if !bytes.Equal(out, want) {
				t.Errorf("%d restarts: %s", restarts, firstDifference(out, want))
			}
		})
	}
}

func firstDifference(got, want []byte) string {
	g, w := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(g), len(w)) {
		if !bytes.Equal(g[i], w[i]) {
			return "line " + itoa(i) + "\n got " + string(g[i]) + "\nwant " + string(w[i])
		}
	}
	return itoa(len(g)) + " lines, want " + itoa(len(w))
}

func itoa(n int) string { return strconv.Itoa(n) }

package output

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"audisp-history/plugin/spool"
)

// rest ends an output and takes what is left.
func (f fixture) rest(t *testing.T) (chunks [][]byte, events int) {
	t.Helper()
	f.End()
	f.Leave()
	<-f.Ended()
	if !f.Rest(func(chunk []byte, n int) bool {
		chunks = append(chunks, bytes.Clone(chunk))
		events += n
		return true
	}) {
		t.Error("that was not all")
	}
	f.Close()
	return chunks, events
}

// What one output had left, in memory and in its file, another delivers.
func TestRestIsRefilled(t *testing.T) {
	c := spool.Config{Memory: 1 << 20, Dir: t.TempDir(), File: 64 << 20}
	const n = 5000
	first := begin(&place{away: true}, c)
	var want bytes.Buffer
	for i := range n {
		e := event(i, 1000)
		want.Write(e.Line(0))
		first.Event(e, nil, 0)
		if i%500 == 0 {
			first.Flush()
			<-time.After(5 * time.Millisecond) // for the file
		}
	}
	chunks, events := first.rest(t)
	if s := first.State(); events != n || s.Delivered != 0 || s.Waiting != n || s.Lost != 0 {
		t.Errorf("%d events are left, %+v", events, s)
	}
	second := begin(&place{}, c)
	for _, chunk := range chunks {
		second.Refill(chunk, bytes.Count(chunk, []byte("\n")))
	}
	second.finish(t)
	second.Close()
	if got := second.place.text(); got != want.String() || second.Left() != 0 {
		t.Errorf("%d bytes of %d, %d left", len(got), want.Len(), second.Left())
	}
}

// When there is no room, putting back does not wait for ever, and what is lost for that is counted.
func TestRefillWithoutRoom(t *testing.T) {
	dir := t.TempDir() + "/missing"
	synctest.Test(t, func(t *testing.T) {
		f := begin(&place{away: true}, spool.Config{Memory: 1 << 20, Dir: dir, File: 64 << 20})
		began := time.Now()
		for range 40 {
			f.Refill(bytes.Repeat([]byte("x"), 256<<10), 10)
		}
		if d := time.Since(began); d < time.Second || d > 15*time.Second {
			t.Errorf("it took %s", d)
		}
		_, events := f.rest(t)
		if s := f.State(); s.Lost == 0 || int(s.Lost)+events != 400 {
			t.Errorf("%d events are left, %+v", events, s)
		}
		synctest.Wait()
	})
}

package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
)

// drain takes all there is, and returns it with how the queue ended, if it has.
func drain(q *queue) (got []byte, ended bool, err error) {
	for {
		piece, ended, err := q.take()
		if len(piece) == 0 {
			return got, ended, err
		}
		got = append(got, piece...)
	}
}

// What is put by one goroutine is taken by another, whole and in order, in pieces of no more than pieceBytes.
func TestQueueOrder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	want := make([]byte, 8<<20)
	for i := range want {
		want[i] = byte(random.Uint32())
	}
	q := newQueue()
	in, out := io.Pipe()
	go q.read(in)
	go func() {
		random := rand.New(rand.NewPCG(seed, 1))
		for b := want; len(b) > 0; {
			n := min(len(b), 1+random.IntN(1<<random.IntN(19)))
			_, _ = out.Write(b[:n]) // a pipe in memory
			b = b[n:]
		}
		_ = out.Close()
	}()
	var got []byte
	for ended := false; !ended; {
		<-q.ready
		for range 1 + random.IntN(3) {
			var piece []byte
			var err error
			piece, ended, err = q.take()
			must(t, err)
			if len(piece) > pieceBytes {
				t.Fatalf("a piece of %d bytes", len(piece))
			}
			got = append(got, piece...)
			if ended {
				break
			}
		}
	}
	if !bytes.Equal(got, want) {
		t.Errorf("took %d bytes that are not the %d that were put", len(got), len(want))
	}
	if !q.empty() {
		t.Errorf("%d bytes are left", q.size())
	}
}

// Who puts too much waits, and goes on when some has been taken.
func TestQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		chunk := make([]byte, readBytes)
		const chunks = queueBytes/readBytes + 100
		put := 0
		go func() {
			for range chunks {
				q.put(chunk)
				put++
			}
			q.end(io.EOF)
		}()
		synctest.Wait()
		if put != queueBytes/readBytes || q.size() != queueBytes {
			t.Fatalf("%d chunks were put, %d bytes; there is room for %d", put, q.size(), queueBytes)
		}
		piece, _, err := q.take()
		must(t, err)
		synctest.Wait()
		if put != chunks {
			t.Errorf("after %d bytes were taken, %d chunks of %d were put", len(piece), put, chunks)
		}
		n := len(piece)
		for {
			piece, ended, err := q.take()
			must(t, err)
			n += len(piece)
			if ended {
				break
			}
		}
		if n != chunks*readBytes {
			t.Errorf("%d bytes were taken, want %d", n, chunks*readBytes)
		}
	})
}

// The end comes after all that was read before it.
func TestQueueEnds(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		in   io.Reader
		says string
	}{
		{"end of file", strings.NewReader("abc"), ""},
		{"with the last bytes", &lastBytes{[]byte("abc"), io.EOF}, ""},
		{"an error with the last bytes", &lastBytes{[]byte("abc"), broken}, "standard input: broken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newQueue()
			q.read(c.in)
			<-q.ready
			piece, ended, err := q.take()
			if string(piece) != "abc" || ended || err != nil {
				t.Fatalf("took %q, ended %v, %v", piece, ended, err)
			}
			for range 2 {
				<-q.ready
				piece, ended, err = q.take()
				q.signal() // whoever asks again is told again
				says := ""
				if err != nil {
					says = err.Error()
				}
				if len(piece) > 0 || !ended || says != c.says {
					t.Errorf("then took %q, ended %v, %q, want %q", piece, ended, says, c.says)
				}
			}
		})
	}
}

// lastBytes gives some bytes and an error at once, as io.Reader allows.
type lastBytes struct {
	b   []byte
	err error
}

func (l *lastBytes) Read(p []byte) (int, error) {
	n := copy(p, l.b)
	l.b = l.b[n:]
	return n, l.err
}

// What a burst took is given back when it is over.
func TestQueueAfterBurst(t *testing.T) {
	q := newQueue()
	held := func() int { return cap(q.in) + cap(q.buf) + cap(q.out) }
	burst := make([]byte, readBytes)
	for range 2 * queueBytes / readBytes / 3 {
		q.put(burst)
	}
	if held() < queueBytes/2 {
		t.Fatalf("%d bytes are held in a burst", held())
	}
	_, _, err := drain(q)
	must(t, err)
	for range 4 {
		q.put(burst)
		_, _, err := drain(q)
		must(t, err)
	}
	if n := held(); n > 8*pieceBytes {
		t.Errorf("%d bytes are held after it", n)
	}
}

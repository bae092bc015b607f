package spool

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestInMemory(t *testing.T) {
	tell(t, 0, func(s *story) {
		for range 10 {
			from := s.next
			s.put(30)
			s.wants(s.take(), from, s.next)
		}
		s.lost(0)
		s.says("")
	})
}

// What is handed out stays in the queue until it is confirmed, and as it is.
func TestConfirm(t *testing.T) {
	tell(t, 0, func(s *story) {
		s.put(3)
		b, items, _ := s.Next()
		if len(b) != 3*1024 || items != 9 {
			t.Fatalf("got %d bytes, %d items", len(b), items)
		}
		kept := bytes.Clone(b)
		s.put(2)
		again, items, _ := s.Next()
		if items != 9 || !bytes.Equal(b, kept) || !bytes.Equal(again, kept) {
			t.Errorf("it has changed, or its %d items", items)
		}
		if memory, _, items := s.Size(); memory != 5*1024 || items != 15 {
			t.Errorf("%d bytes, %d items, before they are confirmed", memory, items)
		}
		s.Done(1024, 3)
		if memory, _, items := s.Size(); memory != 4*1024 || items != 12 {
			t.Errorf("%d bytes, %d items, after one chunk is confirmed", memory, items)
		}
		s.wants(s.take(), 1, 5)
		s.Done(1024, 3) // nothing is handed out
	})
}

// What has been handed out is not dropped, whatever else is.
func TestKeepsWhatIsHandedOut(t *testing.T) {
	tell(t, 0, func(s *story) {
		s.put(8)
		b, _, _ := s.Next() // a block
		kept := bytes.Clone(b)
		s.put(200)
		if !bytes.Equal(b, kept) {
			t.Error("it has changed")
		}
		numbers := s.take()
		s.wants(numbers[:4], 0, 4)
		s.wants(numbers[4:], s.next-60, s.next)
		s.lost(208 - 64)
	})
}

// Without a file the oldest are lost, and nothing else; it is told once, and again when it is over.
func TestDropsTheOldest(t *testing.T) {
	tell(t, 0, func(s *story) {
		s.put(64)
		s.says("")
		s.lost(0)
		s.put(1)
		s.lost(4) // a block
		s.put(1)
		s.lost(4)
		s.says("12 items in 4096 bytes are lost")
		s.says("are lost") // memory is full still
		s.wants(s.take(), 4, 66)
		s.says("are lost") // until there was room when it was asked
		s.says("")
		s.put(3)
		s.says("")
	})
}

// More than memory holds waits in the file, which is empty again in the end.
func TestSpills(t *testing.T) {
	tell(t, 100, func(s *story) {
		s.put(64 + 300)
		memory, file, items := s.Size()
		if memory > small || file == 0 || items != 3*s.next {
			t.Errorf("%d bytes in memory, %d in the file, %d items", memory, file, items)
		}
		s.balanced()
		s.says("")
		s.wants(s.take(), 0, s.next)
		s.lost(0)
		if n := s.disk.size(); n != 0 {
			t.Errorf("the empty file has %d bytes", n)
		}
		s.put(300)
		s.wants(s.take(), 364, s.next)
		if s.disk.files != 1 {
			t.Errorf("%d files were made", s.disk.files)
		}
	})
}

// What fits into memory never touches the disk.
func TestDoesNotSpill(t *testing.T) {
	tell(t, 100, func(s *story) {
		for range 100 {
			s.put(32)
			s.take()
		}
		if s.disk.files != 0 || s.Counts().Filed != (Amount{}) {
			t.Errorf("%d files, %+v was written", s.disk.files, s.Counts().Filed)
		}
	})
}

// When memory and file are full the oldest of all are lost.
func TestFileIsFull(t *testing.T) {
	tell(t, 20, func(s *story) {
		s.put(1000)
		memory, file, _ := s.Size()
		if file != 20*4096 || memory < small*3/4 {
			t.Errorf("%d bytes in memory, %d in the file", memory, file)
		}
		s.says("are lost")
		numbers := s.take()
		s.wants(numbers, s.next-len(numbers), s.next)
		s.lost(1000 - len(numbers))
	})
}

// A queue that never becomes empty goes on for ever in its file.
func TestNeverEmpty(t *testing.T) {
	tell(t, 30, func(s *story) {
		s.put(120)
		for range 1000 {
			s.put(4)
			b, items, _ := s.Next()
			s.Done(len(b), items)
			synctest.Wait()
			s.balanced()
		}
		s.lost(0)
		if n := s.disk.size(); n > 25*4096 {
			t.Errorf("the file has %d bytes, for %d chunks", n, 120)
		}
		s.wants(s.take(), s.next-120, s.next)
	})
}

// A chunk larger than a block is kept, in memory and in the file; one larger than memory is lost alone.
func TestLargeChunks(t *testing.T) {
	tell(t, 100, func(s *story) {
		var want []int
		put := func(size int) {
			s.Put(chunk(s.next, size, 3), 3)
			synctest.Wait()
			s.next++
		}
		for i := range 10 {
			want = append(want, s.next, s.next+1)
			put(4096*(i%5) + 100)
			put(17)
		}
		before := s.Counts()
		put(small + 1)
		if n := s.Counts().Lost.Bytes - before.Lost.Bytes; n != small+1 {
			t.Errorf("%d bytes are lost", n)
		}
		if got := s.take(); len(got) != len(want) {
			t.Errorf("took %v, want %v", got, want)
		}
		if s.Counts().Filed == before.Filed && before.Filed == (Amount{}) {
			t.Error("none was in the file")
		}
	})
}

// A chunk for which there would be room, were it not for what is being delivered, is lost alone.
func TestLargeChunkBesideADelivery(t *testing.T) {
	tell(t, 0, func(s *story) {
		s.put(20)
		b, items, _ := s.Next()
		s.Put(chunk(1000, small, 1), 1)
		s.balanced()
		if n := s.Counts().Lost; n != (Amount{1, small}) {
			t.Errorf("lost %+v", n)
		}
		s.says("queue is full")
		s.Done(len(b), items)
		s.wants(s.take(), 4, 20)
	})
}

// The end comes after all that was put before it, from the file as well.
func TestEnd(t *testing.T) {
	tell(t, 100, func(s *story) {
		s.put(200)
		s.End(io.ErrUnexpectedEOF)
		for range 200 / 4 {
			<-s.Ready()
			b, items, err := s.Next()
			if len(b) == 0 || err != nil {
				t.Fatalf("%d bytes, %v", len(b), err)
			}
			s.Done(len(b), items)
			synctest.Wait()
		}
		<-s.Ready()
		for range 2 {
			if b, _, err := s.Next(); len(b) != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		}
	})
}

// What a burst took is given back when it is over.
func TestAfterABurst(t *testing.T) {
	q := New(Config{Memory: 64 << 20})
	chunk := make([]byte, 64<<10)
	take := func() {
		for {
			b, items, _ := q.Next()
			if len(b) == 0 {
				return
			}
			q.Done(len(b), items)
		}
	}
	for range 512 {
		q.Put(chunk, 1)
	}
	take()
	for range 512 / 4 {
		q.Put(chunk, 1)
		take()
	}
	if q.held != 0 || len(q.spare) != spareBlocks {
		t.Errorf("%d bytes, %d buffers are held", q.held, len(q.spare))
	}
}

// Several put, one takes, from a real file.
func TestTogether(t *testing.T) {
	const producers, each = 4, 5000
	dir := t.TempDir()
	q := New(Config{Memory: 256 << 10, Dir: dir, File: 1 << 30})
	defer q.Close()
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := range each {
				for { // not faster than the disk
					if memory, _, _ := q.Size(); memory < 160<<10 {
						break
					}
					runtime.Gosched()
				}
				q.Put(chunk(p*each+i, 100+i%3000, 1), 1)
			}
		})
	}
	go func() {
		wg.Wait()
		q.End(io.EOF)
	}()
	var next [producers]int
	for range q.Ready() {
		b, items, err := q.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		for rest := b; len(rest) > 0; {
			number, _, size := first(t, rest)
			rest = rest[size:]
			p := number / each
			if number%each != next[p] {
				t.Fatalf("chunk %d of producer %d, want %d", number%each, p, next[p])
			}
			next[p]++
		}
		q.Done(len(b), items)
	}
	if c := q.Counts(); c.Done.Items != producers*each || c.Lost.Items != 0 || c.Filed.Items == 0 {
		t.Errorf("%+v", c)
	}
}

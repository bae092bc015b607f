package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const headBytes = 12

// chunk is one that tells its number, how long it is and how many items it holds.
func chunk(number, size, items int) []byte {
	b := bytes.Repeat([]byte{byte(number)}, max(size, headBytes))
	binary.LittleEndian.PutUint32(b, uint32(number))
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	binary.LittleEndian.PutUint32(b[8:], uint32(items))
	return b
}

// first checks the first chunk of b and cuts it off.
func first(t *testing.T, b []byte) (number, items int, size int) {
	t.Helper()
	if len(b) < headBytes {
		t.Fatalf("a chunk of %d bytes", len(b))
	}
	number = int(binary.LittleEndian.Uint32(b))
	size = int(binary.LittleEndian.Uint32(b[4:]))
	items = int(binary.LittleEndian.Uint32(b[8:]))
	if size > len(b) || !bytes.Equal(b[:size], chunk(number, size, items)) {
		t.Fatalf("chunk %d of %d bytes is torn, there are %d", number, size, len(b))
	}
	return number, items, size
}

// A story is a queue with its small memory, on a disk that can break.
type story struct {
	*testing.T
	*Queue
	disk *fakeDisk
	next int
}

const small = 16 * 4096 // 16 blocks

// tell runs a story with a file of so many blocks, in a time of its own.
func tell(t *testing.T, blocks int, what func(s *story)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &story{T: t, disk: &fakeDisk{t: t, most: int64(blocks) * 4096}}
		dir := ""
		if blocks > 0 {
			dir = "dir"
		}
		s.Queue = newQueue(Config{Memory: small, Dir: dir, File: int64(blocks) * 4096}, s.disk)
		what(s)
		s.balanced()
		s.Close()
		synctest.Wait()
		s.balanced()
		if s.disk.open != 0 {
			t.Errorf("%d files are open at the end", s.disk.open)
		}
	})
}

// put puts so many chunks of a fourth of a block, of 3 items, and lets the queue settle after each.
func (s *story) put(chunks int) {
	for range chunks {
		s.Put(chunk(s.next, 1024, 3), 3)
		s.next++
		synctest.Wait()
	}
}

// take takes all there is, and returns the numbers of the chunks.
func (s *story) take() (numbers []int) {
	s.Helper()
	for {
		b, items, err := s.Next()
		if len(b) == 0 {
			if err != nil {
				s.Fatal(err)
			}
			return numbers
		}
		for rest := b; len(rest) > 0; {
			number, _, size := first(s.T, rest)
			numbers = append(numbers, number)
			rest = rest[size:]
		}
		s.Done(len(b), items)
		synctest.Wait()
	}
}

// wants checks that the numbers are those from one up to but not including another.
func (s *story) wants(numbers []int, from, to int) {
	s.Helper()
	if len(numbers) != to-from {
		s.Fatalf("%d chunks, want %d to %d: %v", len(numbers), from, to, numbers)
	}
	for i, n := range numbers {
		if n != from+i {
			s.Fatalf("chunk %d is %d, want %d", i, n, from+i)
		}
	}
}

// lost checks how many of the chunks that put puts are lost.
func (s *story) lost(chunks int) {
	s.Helper()
	if got, want := s.Counts().Lost, (Amount{uint64(3 * chunks), uint64(1024 * chunks)}); got != want {
		s.Errorf("lost %+v, want %+v", got, want)
	}
}

// balanced checks that everything is somewhere, and that the bounds are kept.
func (s *story) balanced() {
	s.Helper()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	c := s.counts
	for _, sum := range [][2]uint64{
		{c.Put.Items, c.Done.Items + c.Lost.Items + s.waiting.Items},
		{c.Put.Bytes, c.Done.Bytes + c.Lost.Bytes + s.waiting.Bytes},
	} {
		if sum[0] != sum[1] {
			s.Fatalf("put %d, which are %d done, lost or waiting: %+v, %+v", sum[0], sum[1], c, s.waiting)
		}
	}
	items, memory, file, held, most := 0, 0, 0, int64(0), s.conf.Memory
	for _, list := range [][]*block{s.front, s.back} {
		for _, b := range list {
			items += b.items
			memory += len(b.data) - b.done
			held += int64(cap(b.data))
			if b.data != nil && cap(b.data) > s.block { // see loadable
				most = s.conf.Memory + int64(cap(b.data))
			}
		}
	}
	for _, e := range s.filed {
		items += e.items
		file += e.size
	}
	if s.moving > int64(s.block) {
		most += s.moving
	}
	if items != int(s.waiting.Items) || memory+file != int(s.waiting.Bytes) || file != int(s.inFile) {
		s.Fatalf("%d items, %d and %d bytes are there, %+v counted, %d in the file", items, memory, file, s.waiting, s.inFile)
	}
	if s.moving == 0 && held != s.held || s.held < held || s.held > most {
		s.Fatalf("%d bytes are held, %d counted of %d", held, s.held, most)
	}
}

// says checks what Trouble says; "" is nothing.
func (s *story) says(want string) {
	s.Helper()
	err := s.Trouble()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		s.Errorf("trouble: %v, want %q", err, want)
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

// Whatever keeps the file from being written, what waits stays in memory; and it heals.
func TestCannotBeWritten(t *testing.T) {
	for name, breaks := range map[string]func(d *fakeDisk){
		"input/output error":  func(d *fakeDisk) { d.noWrite = unix.EIO },
		"no space left":       func(d *fakeDisk) { d.noWrite = unix.ENOSPC },
		"short write":         func(d *fakeDisk) { d.short = true },
		"read-only":           func(d *fakeDisk) { d.noCreate = unix.EROFS },
		"no such file or dir": func(d *fakeDisk) { d.noCreate = unix.ENOENT },
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, 100, func(s *story) {
				s.disk.set(func() { breaks(s.disk) })
				s.put(60)
				s.lost(0)
				s.says(name)
				s.put(40)
				s.lost(40) // one block is kept free for reading
				s.says("are lost so far: they come faster than they are used; queue in dir: ")
				if n := s.disk.size(); n != 0 && s.disk.open > 0 {
					t.Errorf("%d bytes are in the file", n)
				}
				s.disk.heal()
				<-time.After(2 * retryAfter)
				synctest.Wait()
				s.says("are lost") // once more at the least
				s.says("")
				s.put(200)
				s.wants(s.take(), 40, s.next)
				s.says("")
			})
		})
	}
}

// A file that breaks when a part of the queue is in it is read and used again.
func TestBreaksLater(t *testing.T) {
	tell(t, 100, func(s *story) {
		s.put(150)
		s.disk.set(func() { s.disk.noWrite = unix.ENOSPC })
		s.put(10)
		s.says("no space left")
		s.disk.heal()
		<-time.After(2 * retryAfter)
		s.put(50)
		s.says("no space left") // it may not have been asked before
		s.says("")
		s.wants(s.take(), 0, s.next)
		s.lost(0)
	})
}

// While the disk does not answer, Put does not wait, nor does who takes what is in memory.
func TestDiskHangs(t *testing.T) {
	tell(t, 100, func(s *story) {
		s.disk.set(func() { s.disk.hang = time.Minute })
		begin := time.Now()
		s.put(100)
		if d := time.Since(begin); d != 0 {
			t.Errorf("putting took %s", d)
		}
		s.balanced()
		s.lost(40)
		numbers := s.take() // but for the block that is being written, the oldest were dropped
		s.wants(numbers[:4], 16, 20)
		s.wants(numbers[4:], 44, 100)
		if time.Since(begin) != 0 || len(numbers) != 60 {
			t.Errorf("%d chunks after %s", len(numbers), time.Since(begin))
		}
		s.put(100)
		<-time.After(10 * time.Second)
		s.says("has not answered for 10s")
		s.disk.heal()
		<-time.After(time.Minute)
		s.take()
		s.says("lost")
		s.says("")
		s.balanced()
	})
}

// A block that is delivered while it is being written is not used again before that is over.
func TestTakenWhileItIsWritten(t *testing.T) {
	tell(t, 100, func(s *story) {
		s.disk.set(func() { s.disk.hang = time.Minute })
		s.put(48) // 12 blocks, of which the fifth is being written
		take := func(blocks, from int) {
			for range blocks {
				b, items, _ := s.Next()
				for rest := b; len(rest) > 0; from++ {
					number, _, size := first(t, rest)
					s.wants([]int{number}, from, from+1)
					rest = rest[size:]
				}
				s.Done(len(b), items)
			}
		}
		take(5, 0)
		s.put(2)
		take(7, 20)
		s.disk.set(func() { s.disk.hang = 0 })
		<-time.After(time.Minute)
		synctest.Wait()
		s.wants(s.take(), 48, 50)
		s.lost(0)
	})
}

// A queue is closed while the disk does not answer.
func TestClosesWhileTheDiskHangs(t *testing.T) {
	for name, spilled := range map[string]int{"writing": 0, "reading": 200} {
		t.Run(name, func(t *testing.T) {
			tell(t, 100, func(s *story) {
				s.put(spilled)
				s.disk.set(func() { s.disk.hang = time.Minute })
				begin := time.Now()
				s.take()
				s.put(50)
				s.Close()
				if d := time.Since(begin); d != 0 {
					t.Errorf("it took %s", d)
				}
				if _, _, err := s.Next(); !errors.Is(err, os.ErrClosed) {
					t.Errorf("next: %v", err)
				}
				s.put(1)
				if c := s.Counts(); c.Put.Items != c.Done.Items+c.Lost.Items {
					t.Errorf("%+v", c)
				}
				<-time.After(2 * time.Minute)
			})
		})
	}
}

// What cannot be read back, or is not what was written, is lost, and only that. Nothing torn is handed out.
func TestCannotBeRead(t *testing.T) {
	for name, breaks := range map[string]func(d *fakeDisk){
		"input/output error":                      func(d *fakeDisk) { d.noRead = unix.EIO },
		"what was read is not what was written":   func(d *fakeDisk) { d.flip = true },
		"what was read is not what was written: ": func(d *fakeDisk) { d.bytes = d.bytes[:len(d.bytes)/2] },
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, 100, func(s *story) {
				s.put(400)
				_, file, _ := s.Size()
				half := 0
				s.disk.set(func() { breaks(s.disk); half = len(s.disk.bytes) })
				// The first to be read is lost; the others would be, too.
				for range 2 {
					b, items, _ := s.Next()
					s.Done(len(b), items)
					synctest.Wait()
				}
				if half == int(file) {
					s.says(name)
					s.disk.heal()
				}
				rest := s.take()
				lost := int(s.Counts().Lost.Bytes / 1024)
				if lost == 0 || len(rest)+8+lost != 400 || rest[len(rest)-1] != 399 {
					t.Errorf("%d of %d bytes in the file are lost, %d chunks left", lost*1024, file, len(rest))
				}
			})
		})
	}
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

package spool

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"testing/synctest"
)

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
				most = max(most, s.conf.Memory+int64(cap(b.data)))
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

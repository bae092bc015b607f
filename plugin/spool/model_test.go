package spool

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// A model is a queue that loses nothing, and what was taken out of the real one.
type model struct {
	*story
	random *rand.Rand
	put    []int // the items of each chunk
	taken  int   // the number after that of the last chunk that was taken
	items  int   // taken
	bytes  int
}

// TestAnyTrouble puts and takes anything, on a disk that breaks in any way: what is taken is what was put, in order, and
// what is missing has been counted, to the byte. When all is well and everything has room, nothing is missing.
func TestAnyTrouble(t *testing.T) {
	for round := range 25 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("%d seed %d", round, seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			tell(t, []int{0, 1, 20, 200}[random.IntN(4)], func(s *story) {
				m := &model{story: s, random: random}
				for range 2000 {
					m.step()
				}
				s.disk.heal()
				for range 1000 { // until the disk has answered, and all is read
					<-time.After(2 * time.Minute)
					if m.takeSome(); s.waiting == (Amount{}) {
						break
					}
				}
				m.check()
				s.says2()
			})
		})
	}
}

// says2 asks what may still be told of, and wants no trouble after it.
func (s *story) says2() {
	s.Helper()
	_ = s.Trouble()
	s.says("")
}

func (m *model) step() {
	switch m.random.IntN(20) {
	case 0, 1, 2:
		m.takeSome()
	case 3:
		m.disk.set(func() {
			switch m.random.IntN(7) {
			case 0:
				m.disk.noWrite = unix.ENOSPC
			case 1:
				m.disk.noRead = unix.EIO
			case 2:
				m.disk.short = true
			case 3:
				m.disk.flip = true
			case 4:
				m.disk.hang = time.Duration(m.random.IntN(60_000)) * time.Millisecond
			case 5:
				m.disk.noCreate = unix.EROFS
			case 6:
				m.disk.bytes = m.disk.bytes[:len(m.disk.bytes)/2]
			}
		})
	case 4, 5:
		m.disk.heal()
	case 6:
		<-time.After(time.Duration(m.random.IntN(5000)) * time.Millisecond)
	case 7:
		synctest.Wait()
		m.balanced()
	case 8:
		_ = m.Trouble()
	default:
		for range 1 + m.random.IntN(8) {
			m.putOne()
		}
	}
}

func (m *model) putOne() {
	size, items := 1+m.random.IntN(1<<m.random.IntN(14)), m.random.IntN(10)
	if m.random.IntN(200) == 0 {
		size = m.random.IntN(2 * small)
	}
	begin := time.Now()
	m.Put(chunk(len(m.put), size, items), items)
	if d := time.Since(begin); d != 0 {
		m.Fatalf("putting took %s", d)
	}
	m.put = append(m.put, items)
}

// takeSome takes some of what is there, and confirms it in whole or in part.
func (m *model) takeSome() {
	for range 1 + m.random.IntN(20) {
		b, items, err := m.Next()
		if err != nil {
			m.Fatal(err)
		}
		if len(b) == 0 {
			return
		}
		sum := 0
		for rest := b; len(rest) > 0; {
			_, n, size := first(m.T, rest)
			rest = rest[size:]
			sum += n
		}
		if sum != items {
			m.Fatalf("%d items in chunks of %d", items, sum)
		}
		if m.random.IntN(5) == 0 { // it could not be delivered
			continue
		}
		bytes, items := m.confirm(b)
		m.Done(bytes, items)
		if m.random.IntN(2) == 0 {
			synctest.Wait()
		}
	}
}

// confirm says how much of some chunks was delivered: all, or the first of them.
func (m *model) confirm(b []byte) (bytes, items int) {
	some := m.random.IntN(4) > 0
	for len(b) > bytes {
		number, n, size := first(m.T, b[bytes:])
		if number < m.taken || m.put[number] != n {
			m.Fatalf("chunk %d with %d items, after %d", number, n, m.taken-1)
		}
		m.taken = number + 1
		bytes, items = bytes+size, items+n
		if some && m.random.IntN(10) == 0 {
			break
		}
	}
	m.items, m.bytes = m.items+items, m.bytes+bytes
	return bytes, items
}

func (m *model) check() {
	c := m.Counts()
	put := 0
	for _, n := range m.put {
		put += n
	}
	if m.waiting != (Amount{}) || m.inFile != 0 || m.held != 0 || m.disk.size() != 0 {
		m.Errorf("%+v are left, %d bytes in the file, %d held, %d on the disk", m.waiting, m.inFile, m.held, m.disk.size())
	}
	if int(c.Put.Items) != put || int(c.Done.Items) != m.items || int(c.Lost.Items) != put-m.items {
		m.Errorf("put %d, taken %d: %+v", put, m.items, c)
	}
	if int(c.Done.Bytes) != m.bytes {
		m.Errorf("taken %d bytes: %+v", m.bytes, c)
	}
}

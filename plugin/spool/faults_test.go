package spool

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

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

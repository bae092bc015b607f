package spool

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// A mover is what the goroutine has that writes blocks to the file and reads them back.
type mover struct {
	disk    disk
	wake    chan struct{}
	closing chan struct{}

	// Guarded by the queue's mutex.
	moving int64     // bytes of the buffer that is being read into or written from
	begun  time.Time // when that began
	fault  error     // why an operation on the file failed
	well   bool      // one has succeeded since

	// The goroutine's own.
	file  file
	slots slots
	retry time.Time // when the file may be written again, zero if it may be now
}

// move moves blocks until the queue is closed.
func (q *Queue) move() {
	defer func() {
		if q.file != nil {
			_ = q.file.Close() // nothing of it is needed any more
		}
	}()
	for {
		loaded, spilled := q.load(), q.spill() // in turn, so that neither waits for the other for ever
		if loaded || spilled {
			continue
		}
		var again <-chan time.Time
		if !q.retry.IsZero() {
			again = time.After(time.Until(q.retry))
		}
		select {
		case <-q.closing:
			return
		case <-q.wake:
		case <-again:
		}
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// near is how many blocks are kept in memory for who takes them, when others are in the file.
func (q *Queue) near() int { return int(q.conf.Memory / 4 / int64(q.block)) }

// load reads the first block in the file, if there is room for it.
func (q *Queue) load() bool {
	e, b := q.loadable()
	if b == nil {
		return false
	}
	b.data = b.data[:e.size]
	n, err := q.file.ReadAt(b.data, q.offset(e.at))
	switch {
	case n == e.size && crc32.Checksum(b.data, castagnoli) == e.sum:
		err = nil // at the end of the file an io.ReaderAt may say io.EOF
	case err == nil || errors.Is(err, io.EOF):
		err = errors.New("what was read is not what was written")
	}
	q.loaded(e, b, err)
	q.free(e)
	return true
}

func (q *Queue) loadable() (extent, *block) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if len(q.filed) == 0 || len(q.front) >= q.near() {
		return extent{}, nil
	}
	e := q.filed[0]
	size := max(e.size, q.block)
	// There is always room for a block (grow). A large one goes beyond the bound if somebody may wait for it.
	if q.held+int64(size) > q.conf.Memory && len(q.front) > 0 {
		return extent{}, nil
	}
	q.moving, q.begun = int64(size), time.Now()
	return e, q.fresh(size)
}

func (q *Queue) loaded(e extent, b *block, err error) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.moving, q.begun = 0, time.Time{}
	if q.closed() {
		return
	}
	if q.filed = q.filed[1:]; len(q.filed) == 0 {
		q.filed = nil
	}
	if q.well = err == nil; err != nil {
		q.fault = fmt.Errorf("queue in %s: %w: what cannot be read back is lost", q.conf.Dir, err)
		q.unread(e)
		q.release(b)
	} else {
		q.inFile -= int64(e.size)
		b.items = e.items
		q.front = append(q.front, b)
	}
	signal(q.ready)
}

// unread counts a block in the file as lost.
func (q *Queue) unread(e extent) {
	q.inFile -= int64(e.size)
	q.settle(e.items, e.size)
	q.counts.Lost.add(e.items, e.size)
}

// spill writes the oldest block behind those that are kept for who takes them, if memory is short.
func (q *Queue) spill() bool {
	if time.Now().Before(q.retry) {
		return false
	}
	q.retry = time.Time{}
	e, b := q.spillable()
	if b == nil {
		return false
	}
	err := q.write(&e, b)
	if err != nil {
		q.retry = time.Now().Add(retryAfter)
	}
	if filed := q.spilled(e, b, err); !filed {
		q.free(e)
		if err != nil && len(q.slots.used) == 0 && q.file != nil { // another file may do
			_ = q.file.Close()
			q.file = nil
		}
	}
	return true
}

func (q *Queue) spillable() (extent, *block) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for len(q.filed) == 0 && len(q.front) < q.near() && len(q.back) > 1 {
		q.advance()
	}
	if q.held <= q.mark() || len(q.back) < 2 {
		return extent{}, nil
	}
	b := q.back[0]
	e := extent{size: len(b.data), items: b.items, slots: (len(b.data) + q.block - 1) / q.block}
	var ok bool
	if e.at, ok = q.slots.take(e.slots, int(q.conf.File/int64(q.block))); !ok {
		return extent{}, nil
	}
	b.busy = true
	q.moving, q.begun = int64(cap(b.data)), time.Now()
	return e, b
}

func (q *Queue) write(e *extent, b *block) error {
	if q.file == nil {
		f, err := q.disk.create(q.conf.Dir)
		if err != nil {
			return err
		}
		q.file = f
	}
	e.sum = crc32.Checksum(b.data, castagnoli)
	n, err := q.file.WriteAt(b.data, q.offset(e.at))
	if err == nil && n < len(b.data) {
		err = io.ErrShortWrite
	}
	return err
}

// spilled reports whether the block is in the file now, and nowhere else.
func (q *Queue) spilled(e extent, b *block, err error) bool {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.moving, q.begun, b.busy = 0, time.Time{}, false
	if q.well = err == nil; err != nil {
		q.fault = fmt.Errorf("queue in %s: %w: what waits stays in memory, up to %d bytes", q.conf.Dir, err, q.conf.Memory)
	}
	if q.closed() {
		return false
	}
	if b.gone {
		q.release(b)
		return false
	}
	if err != nil || len(q.back) == 0 || q.back[0] != b { // it may have been handed out meanwhile
		return false
	}
	q.back = pop(q.back)
	q.filed = append(q.filed, e)
	q.inFile += int64(e.size)
	q.counts.Filed.add(e.items, e.size)
	q.release(b)
	return true
}

func (q *Queue) offset(slot int) int64 { return int64(slot) * int64(q.block) }

// free gives the place of a block in the file back, and what is behind all others to the file system.
func (q *Queue) free(e extent) {
	if q.slots.free(e.at, e.slots) && q.file != nil {
		_ = q.file.Truncate(q.offset(len(q.slots.used))) // else it keeps to its bound all the same
	}
}

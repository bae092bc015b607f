// Package spool holds what one goroutine makes and another one uses: first in memory, then in a file, in order.
package spool

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// A Config says how much may wait, and where.
type Config struct {
	// Memory is how many bytes of memory are used at the most. Less than 64 KiB is taken for 64 KiB.
	Memory int64
	// Dir is the directory that the file lies in, which must be there when the file is needed and must not be writable
	// for others. Empty: there is no file.
	Dir string
	// File is how many bytes the file has at the most. Less than a block, see New: there is no file.
	File int64
}

const (
	leastMemory = 64 << 10
	// blockBytes is how much is handed out, written or read at once.
	blockBytes = 256 << 10
	// spareBlocks are kept when nothing waits any more; of others, one goes back to the runtime each time that happens.
	spareBlocks = 8
	// retryAfter is how long a file that could not be written is left alone.
	retryAfter = time.Second
	// hangs is after how long an operation on the file is called trouble.
	hangs = 5 * time.Second
)

// An Amount is so many items in so many bytes.
type Amount struct{ Items, Bytes uint64 }

func (a *Amount) add(items, bytes int) {
	a.Items += uint64(items)
	a.Bytes += uint64(bytes)
}

// Counts are since the queue was made. Put is Done, Lost and what is waiting.
type Counts struct {
	Put   Amount
	Done  Amount
	Lost  Amount
	Filed Amount // was written to the file, at some time
}

// A Queue holds chunks in the order in which they were put. Any number of goroutines may put them, one takes them. The
// file has no name, so it goes with the process, however that ends: what must outlive it has to be kept elsewhere.
//
// Put waits for nothing. When memory is full, because there is no file, or it is full, cannot be written, or not as fast,
// the oldest chunks in memory are dropped, a block at a time, but for a block that is being delivered or written. Those in
// the file stay: dropping them would make no room in memory.
type Queue struct {
	conf  Config
	block int // bytes
	ready chan struct{}

	mutex   sync.Mutex
	front   []*block // the oldest; in memory
	filed   []extent // those behind them; in the file
	back    []*block // the newest; in memory. Chunks are added to the last one
	taken   bool     // the first block of front has been handed out
	held    int64    // bytes of the buffers of all blocks in memory
	spare   []*block
	waiting Amount
	inFile  int64
	counts  Counts
	full    bool // chunks were dropped for want of room, and Trouble has not said so, or there is little room still
	ended   bool
	err     error // why

	mover
}

// A block is a run of whole chunks in memory.
type block struct {
	data  []byte
	done  int  // bytes of data that have been delivered
	items int  // that have not
	busy  bool // it is being written: its buffer must stay as it is
	gone  bool // it was delivered meanwhile
}

// An extent is a block in the file.
type extent struct {
	at, slots int
	size      int // bytes
	items     int
	sum       uint32
}

// New makes a queue. Chunks are kept in blocks of a sixteenth of the memory, 256 KiB at the most.
func New(c Config) *Queue { return newQueue(c, osDisk{}) }

func newQueue(c Config, d disk) *Queue {
	c.Memory = max(c.Memory, leastMemory)
	q := &Queue{conf: c, ready: make(chan struct{}, 1), block: int(min(blockBytes, c.Memory/16))}
	q.mover = mover{disk: d, wake: make(chan struct{}, 1), closing: make(chan struct{})}
	if q.hasFile() {
		go q.move()
	}
	return q
}

func (q *Queue) hasFile() bool { return q.conf.Dir != "" && q.conf.File >= int64(q.block) }

// Ready gets a value when Next may have something to say. Some are sent for nothing.
func (q *Queue) Ready() <-chan struct{} { return q.ready }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Put copies a chunk, which holds so many items, into the queue. It never fails: what there is no room for is counted as
// lost, as is all that comes after Close.
func (q *Queue) Put(chunk []byte, items int) {
	if len(chunk) == 0 {
		return
	}
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.counts.Put.add(items, len(chunk))
	b := q.last()
	if b == nil || len(b.data)+len(chunk) > cap(b.data) {
		if b = q.grow(len(chunk)); b == nil {
			q.counts.Lost.add(items, len(chunk))
			return
		}
	}
	b.data = append(b.data, chunk...)
	b.items += items
	q.waiting.add(items, len(chunk))
	if len(q.filed) == 0 || len(q.front) > 0 {
		signal(q.ready)
	}
}

// last is the block that chunks are added to, nil if there is none.
func (q *Queue) last() *block {
	if len(q.back) == 0 {
		return nil
	}
	return q.back[len(q.back)-1]
}

// grow makes a block with room for so many bytes, at the cost of the oldest if need be. It is nil if there cannot be one.
func (q *Queue) grow(bytes int) *block {
	size, room := int64(max(bytes, q.block)), q.conf.Memory
	if q.hasFile() {
		room -= int64(q.block) // without which nothing could be read back
	}
	if q.closed() {
		return nil
	}
	if size > room-q.pinned() {
		q.full = true
		return nil
	}
	for q.held+size > room && q.drop() {
	}
	b := q.fresh(int(size))
	q.back = append(q.back, b)
	if q.held > q.mark() {
		signal(q.wake)
	}
	return b
}

// mark is beyond how many bytes in memory the file is used.
func (q *Queue) mark() int64 { return q.conf.Memory / 2 }

// pinned is how much cannot be dropped.
func (q *Queue) pinned() int64 {
	if q.taken && !q.front[0].busy {
		return q.moving + int64(cap(q.front[0].data))
	}
	return q.moving
}

// drop loses the oldest block in memory that can be lost.
func (q *Queue) drop() bool {
	for _, list := range []*[]*block{&q.front, &q.back} {
		for i, b := range *list {
			if b.busy || list == &q.front && i == 0 && q.taken {
				continue
			}
			*list = append((*list)[:i], (*list)[i+1:]...)
			q.forget(b)
			q.release(b)
			q.full = true
			return true
		}
	}
	return false
}

// forget counts the rest of a block as lost.
func (q *Queue) forget(b *block) {
	q.settle(b.items, len(b.data)-b.done)
	q.counts.Lost.add(b.items, len(b.data)-b.done)
}

func (q *Queue) settle(items, bytes int) {
	q.waiting.Items -= uint64(items)
	q.waiting.Bytes -= uint64(bytes)
}

// fresh is an empty block with room for so many bytes.
func (q *Queue) fresh(size int) *block {
	q.held += int64(size)
	if size != q.block {
		q.spare = nil // so that all buffers together keep to the bound
		return &block{data: make([]byte, 0, size)}
	}
	if n := len(q.spare); n > 0 {
		b := q.spare[n-1]
		q.spare = q.spare[:n-1]
		return b
	}
	return &block{data: make([]byte, 0, size)}
}

// release takes back a block that is in no list any more.
func (q *Queue) release(b *block) {
	q.held -= int64(cap(b.data))
	if cap(b.data) == q.block {
		*b = block{data: b.data[:0]}
		q.spare = append(q.spare, b)
	}
	if n := len(q.spare); n > spareBlocks && q.waiting.Bytes == 0 { // a burst may be over
		q.spare[n-1] = nil
		q.spare = q.spare[:n-1]
	}
}

// Next is what has waited longest and has not been confirmed with Done: some whole chunks, one behind the other, and how
// many items they hold. It stays as it is, and stays in the queue, until it is confirmed. Without any, and without an
// error, there is nothing now; Ready tells when to ask again. The error is that of End, after all that was put before it.
func (q *Queue) Next() (chunks []byte, items int, err error) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if len(q.front) == 0 && len(q.filed) == 0 && len(q.back) > 0 {
		q.advance()
	}
	if len(q.front) > 0 {
		b := q.front[0]
		q.taken = true
		return b.data[b.done:len(b.data):len(b.data)], b.items, nil
	}
	if q.ended && len(q.filed) == 0 {
		return nil, 0, q.err
	}
	return nil, 0, nil
}

// advance makes the first block of back the last of front.
func (q *Queue) advance() {
	q.front = append(q.front, q.back[0])
	q.back = pop(q.back)
}

// pop removes the first block of a list, in place: there are few, and their array is used again.
func pop(list []*block) []*block {
	n := copy(list, list[1:])
	list[n] = nil
	return list[:n]
}

// Done confirms so many bytes of what Next has handed out, and the items in them: they are out of the queue. Those that
// are confirmed in part are handed out next from there on.
func (q *Queue) Done(bytes, items int) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if !q.taken {
		return
	}
	b := q.front[0]
	bytes = min(bytes, len(b.data)-b.done)
	if items = min(items, b.items); b.done+bytes == len(b.data) {
		items = b.items
	}
	b.done += bytes
	b.items -= items
	q.settle(items, bytes)
	q.counts.Done.add(items, bytes)
	if b.done < len(b.data) {
		signal(q.ready)
		return
	}
	q.front, q.taken = pop(q.front), false
	if b.busy {
		b.gone = true
	} else {
		q.release(b)
	}
	if len(q.filed) > 0 {
		signal(q.wake)
	}
	signal(q.ready)
}

// End says that nothing more is put, and what Next returns when all that was put has been confirmed, such as io.EOF.
func (q *Queue) End(err error) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.ended, q.err = true, err
	signal(q.ready)
}

// Close gives everything back. What is still in the queue is lost, and counted. It does not wait for the file.
func (q *Queue) Close() {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if q.closed() {
		return
	}
	for _, list := range [][]*block{q.front, q.back} {
		for _, b := range list {
			q.forget(b)
		}
	}
	for _, e := range q.filed {
		q.unread(e)
	}
	q.front, q.filed, q.back, q.spare = nil, nil, nil, nil
	q.taken, q.held, q.inFile = false, 0, 0
	q.ended, q.err = true, os.ErrClosed
	close(q.closing)
	signal(q.ready)
}

func (q *Queue) closed() bool { return errors.Is(q.err, os.ErrClosed) }

// Size is how many bytes in memory and in the file, and how many items in both, have not been confirmed.
func (q *Queue) Size() (memory, file int64, items int) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return int64(q.waiting.Bytes) - q.inFile, q.inFile, int(q.waiting.Items)
}

// Counts are those until now.
func (q *Queue) Counts() Counts {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return q.counts
}

// Trouble is what is wrong now: there is no room, or the file is needed and cannot be used. It is meant to be asked now and
// then, by one goroutine, which tells somebody when it begins and when it is over: every trouble, however short, is an
// error once at the least. It is nil when all is well.
func (q *Queue) Trouble() error {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	var full error
	if q.full {
		full = fmt.Errorf("queue is full: %d items in %d bytes are lost so far: they come faster than they are used",
			q.counts.Lost.Items, q.counts.Lost.Bytes)
		q.full = q.held > q.mark()
	}
	fault := q.fault
	if q.well || q.held <= q.mark() && len(q.filed) == 0 {
		q.fault = nil
	}
	if d := time.Since(q.begun); !q.begun.IsZero() && d > hangs {
		fault = fmt.Errorf("queue in %s: the disk has not answered for %s: what waits stays in memory", q.conf.Dir,
			d.Truncate(time.Second))
	}
	if full != nil && fault != nil {
		return fmt.Errorf("%w; %w", full, fault)
	}
	return cmp.Or(full, fault)
}

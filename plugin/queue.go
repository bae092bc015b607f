package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// queueBytes is how much may have been read and not been handled.
	queueBytes = 64 << 20
	// pieceBytes is how much is handled at once, before anything else is looked after.
	pieceBytes = 256 << 10
	readBytes  = 64 << 10
)

// A queue lies between reading and handling, so that reading waits for nothing else, as long as there is room.
type queue struct {
	ready chan struct{} // there is something to take

	mutex sync.Mutex
	room  *sync.Cond
	in    []byte // read, not taken
	ended bool
	err   error

	out, buf []byte // taken: what is left of buf
}

func newQueue() *queue {
	q := &queue{ready: make(chan struct{}, 1)}
	q.room = sync.NewCond(&q.mutex)
	return q
}

// read puts what comes into the queue, until it ends.
func (q *queue) read(in io.Reader) {
	buf := make([]byte, readBytes)
	for {
		n, err := in.Read(buf)
		q.put(buf[:n])
		if err != nil {
			q.end(err)
			return
		}
	}
}

func (q *queue) put(b []byte) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for len(q.in) > 0 && len(q.in)+len(b) > queueBytes {
		q.room.Wait()
	}
	q.in = append(q.in, b...)
	q.signal()
}

func (q *queue) end(err error) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.ended = true
	if !errors.Is(err, io.EOF) {
		q.err = fmt.Errorf("standard input: %w", err)
	}
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take is the next piece, valid until the next call. At the end ended is true, and err says why if it is not EOF.
func (q *queue) take() (piece []byte, ended bool, err error) {
	if len(q.out) == 0 {
		q.mutex.Lock()
		q.in, q.buf = q.buf[:0], q.in
		ended, err = q.ended, q.err
		q.room.Signal()
		q.mutex.Unlock()
		q.out = q.buf
		if len(q.out) == 0 {
			return nil, ended, err
		}
		if cap(q.buf) > 4*pieceBytes && len(q.buf) <= pieceBytes { // a burst is over
			q.buf = nil
		}
	}
	piece = q.out[:min(len(q.out), pieceBytes)]
	q.out = q.out[len(piece):]
	q.signal() // there is more, or the end
	return piece, false, nil
}

// size is how many bytes have been read and not been taken.
func (q *queue) size() int {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return len(q.in) + len(q.out)
}

// empty reports whether all that was read has been taken.
func (q *queue) empty() bool {
	return q.size() == 0
}

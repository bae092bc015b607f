package output

import (
	"sync/atomic"
	"time"

	"audisp-history/plugin/sink"
)

// A File is a file as a destination.
type File struct {
	file  *sink.File
	given int // bytes of a chunk that the file holds back a part of
	place atomic.Pointer[sink.Place]
}

// NewFile makes a destination of a file. The error says why it cannot be opened now; it is tried again.
func NewFile(c sink.Config) (*File, error) {
	file, err := sink.New(c)
	f := &File{file: file}
	f.settle()
	return f, err
}

// Place is where the next chunk goes. It is of use only while nothing is on its way to the file.
func (f *File) Place() sink.Place { return *f.place.Load() }

func (f *File) settle() {
	p := f.file.Place()
	f.place.Store(&p)
}

// Deliver writes a chunk, all of it or, as far as the queue is told, nothing: what the file holds back is tried again when
// the chunk comes again.
func (f *File) Deliver(chunk []byte) (int, error) {
	var err error
	if f.given > 0 {
		err = f.file.Retry()
	} else {
		f.given = len(chunk)
		err = f.file.Write(chunk)
	}
	if f.file.Pending() > 0 {
		return 0, err
	}
	n := f.given
	f.given = 0
	f.settle()
	return n, nil
}

// Tick rotates the file when it is time, and notices when it is gone.
func (f *File) Tick(now time.Time) error {
	defer f.settle()
	return f.file.Tick(now)
}

// Reopen opens the file anew by its name.
func (f *File) Reopen() error {
	defer f.settle()
	return f.file.Reopen()
}

// Held is nothing: what the file holds back is still in the queue.
func (f *File) Held() int { return 0 }

// Close closes the file. What it holds back is still in the queue, and counted there.
func (f *File) Close() error { return f.file.Close() }

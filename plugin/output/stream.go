package output

import (
	"fmt"
	"io"
	"time"
)

// A Stream is a writer that cannot be opened anew, such as standard output.
type Stream struct {
	Name   string
	Writer io.Writer
}

// Deliver writes a chunk.
func (s *Stream) Deliver(chunk []byte) (int, error) {
	n, err := s.Writer.Write(chunk)
	if err != nil {
		return n, fmt.Errorf("%s: %w", s.Name, err)
	}
	return n, nil
}

// Tick has nothing to do.
func (s *Stream) Tick(time.Time) error { return nil }

// Reopen has nothing to do.
func (s *Stream) Reopen() error { return nil }

// Held is nothing: what is written is the reader's affair.
func (s *Stream) Held() int { return 0 }

// Close leaves the writer open: it is not the Stream's.
func (s *Stream) Close() error { return nil }

// A Converted destination takes chunks in the form in which a format has left them, makes of them what is to be written,
// in the output's own goroutine, and hands that on.
type Converted struct {
	Destination
	// Convert appends what a whole chunk stands for. After an error the rest of the chunk is left out.
	Convert func(dst, chunk []byte) ([]byte, error)

	made []byte
	left []byte // of made, not delivered
	of   int    // bytes of the chunk it was made of; 0: there is none
	err  error  // of the conversion
}

// Deliver converts a chunk once and delivers what came of it. To the queue it has arrived when all of that has.
func (c *Converted) Deliver(chunk []byte) (int, error) {
	if c.of == 0 {
		c.made, c.err = c.Convert(c.made[:0], chunk)
		c.left, c.of = c.made, len(chunk)
	}
	for len(c.left) > 0 {
		n, err := c.Destination.Deliver(c.left)
		c.left = c.left[n:]
		if err != nil {
			return 0, err
		}
	}
	n := c.of
	c.of = 0
	return n, c.err
}

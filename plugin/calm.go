package main

import (
	"io"
	"time"
)

const (
	// readRest is how long reading rests when there was little to read. auditd writes each record by itself; to be woken
	// for every one costs more than all the rest of the program. What comes meanwhile waits in the socket, which holds some
	// 200 records: more than auditd can write in this time.
	readRest = 3 * time.Millisecond
	// readMuch is how many bytes at once say that there is more to read.
	readMuch = 32 << 10
)

// A calm reader lets what it reads come in numbers.
type calm struct {
	in     io.Reader
	little bool // was read the last time
}

// Read reads what is there.
func (c *calm) Read(p []byte) (int, error) {
	if c.little {
		<-time.After(readRest)
	}
	n, err := c.in.Read(p)
	c.little = n < readMuch
	return n, err
}

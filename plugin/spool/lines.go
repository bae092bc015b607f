package spool

import (
	"bytes"
	"io"
)

const readBytes = 64 << 10

// Fill puts the lines that come from in, until it ends, and returns why it did: io.EOF or another error. A chunk is as
// many whole lines as could be read at once, and a line is an item, so that no line is lost in part; only one of more
// than 64 KiB is several chunks.
func (q *Queue) Fill(in io.Reader) error {
	buf, held := make([]byte, readBytes), 0 // held is the beginning of a line whose end has not come
	for {
		n, err := in.Read(buf[held:])
		all, whole := buf[:held+n], 0
		if i := bytes.LastIndexByte(all[held:], '\n'); i >= 0 {
			whole = held + i + 1
		} else if len(all) == len(buf) {
			whole = len(all)
		}
		q.Put(all[:whole], bytes.Count(all[:whole], []byte{'\n'}))
		held = copy(buf, all[whole:])
		if err != nil {
			if held > 0 {
				q.Put(buf[:held], 1)
			}
			return err
		}
	}
}

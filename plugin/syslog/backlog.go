package syslog

import "time"

// A backlog holds the messages that were taken and are not known to have arrived, oldest first: those that the present
// connection has been given, and behind them those it has not.
type backlog struct {
	text  []byte
	items []item

	given     int // how many of the items, from the first on
	givenSize int // and their bytes

	// What stands before these is gone.
	firstByte, firstItem int
}

// An item is one message of a backlog.
type item struct {
	size  int
	end   uint64    // where in the connection's stream it ends, once it was given
	given time.Time // when
}

func (b *backlog) len() int  { return len(b.items) - b.firstItem }
func (b *backlog) size() int { return len(b.text) - b.firstByte }

// added notes that a message was appended to text.
func (b *backlog) added(size int) { b.items = append(b.items, item{size: size}) }

// oldest is the first item of a backlog that is not empty.
func (b *backlog) oldest() *item { return &b.items[b.firstItem] }

// next is what was not given yet: as many messages as limit bytes hold, at least one unless there is none.
func (b *backlog) next(limit int) (text []byte, items []item) {
	from, first := b.firstByte+b.givenSize, b.firstItem+b.given
	end, last := from, first
	for last < len(b.items) && (last == first || end-from+b.items[last].size <= limit) {
		end += b.items[last].size
		last++
	}
	return b.text[from:end], b.items[first:last]
}

// gave notes that the connection was given the next n messages and that its stream now ends at end.
func (b *backlog) gave(n int, end uint64, now time.Time) {
	first := b.firstItem + b.given
	for i := range b.items[first : first+n] {
		it := &b.items[first+i]
		it.end, it.given = end, now
		b.givenSize += it.size
	}
	b.given += n
}

// forget drops the oldest message, which was given.
func (b *backlog) forget() {
	size := b.oldest().size
	b.firstByte += size
	b.firstItem++
	b.given--
	b.givenSize -= size
	if b.firstByte > len(b.text)/2 {
		b.text = append(b.text[:0], b.text[b.firstByte:]...)
		b.items = append(b.items[:0], b.items[b.firstItem:]...)
		b.firstByte, b.firstItem = 0, 0
	}
}

// rewind notes that there is a new connection, which has been given nothing. It returns how many messages that puts back.
func (b *backlog) rewind() int {
	n := b.given
	b.given, b.givenSize = 0, 0
	return n
}

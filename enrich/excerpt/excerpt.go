// Package excerpt makes a line that is too long for its receiver shorter, by leaving execs out of the histories in it.
//
// A line is an audit record as enrich/text writes it, with history="…" or ohistory="…" at the end of its raw part, or an
// object of JSON with arrays of objects named history and target_history. The oldest and the newest execs stay. What is
// left out is counted in omitted=N, or {"omitted":N}, together with what had been left out before. Everything else in
// the line stays as it is, byte for byte.
package excerpt

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// An Outcome says what became of a line.
type Outcome uint8

// The outcomes.
const (
	Whole   Outcome = iota // the line as it was
	Shorter                // it fits, because execs were left out
	TooLong                // it does not fit, even without any history
)

// A list is a history in a line.
type list struct {
	begin, end           int // where the elements stand, without quotes or brackets
	outerBegin, outerEnd int // what goes if the history is left out altogether
	elements             []element
	form                 *form
}

// An element is one exec, or the number of those that were left out before.
type element struct {
	begin, end int
	omitted    uint64 // 0 for an exec
}

// A form is how a history is written.
type form struct {
	join, markBegin, markEnd string
}

var (
	textForm = form{join: "=>", markBegin: "omitted="}
	jsonForm = form{join: ",", markBegin: `{"omitted":`, markEnd: "}"}
)

func (f *form) appendMark(dst []byte, n uint64) []byte {
	return append(strconv.AppendUint(append(dst, f.markBegin...), n, 10), f.markEnd...)
}

// maxOmitted bounds the number in a mark: a larger one was not written by this program.
const maxOmitted = 1 << 40

// Fit appends a line, which has no newline, with so many execs left out that it is at most limit bytes long. A line
// that is longer even without its histories is appended without them.
func Fit(dst, line []byte, limit int) ([]byte, Outcome) {
	if len(line) <= limit {
		return append(dst, line...), Whole
	}
	lists := find(line)
	begin := len(dst)
	dst = appendWith(dst, line, lists, share(line, lists, limit))
	if len(dst)-begin <= limit {
		return dst, Shorter
	}
	dst = appendWithout(dst[:begin], line, lists)
	if len(dst)-begin <= limit {
		return dst, Shorter
	}
	return dst, TooLong
}

func find(line []byte) []list {
	if len(line) > 0 && line[0] == '{' {
		return findJSON(line)
	}
	return findText(line)
}

// A choice is which elements of a list stay: the first head ones and those from tail on. Those between are omitted.
type choice struct{ head, tail int }

// share decides what stays of each list if they share what the rest of the line leaves of limit. What a short one does
// not need is for the longer ones.
func share(line []byte, lists []list, limit int) []choice {
	order := make([]int, len(lists))
	room := limit - len(line)
	for i := range lists {
		order[i] = i
		room += lists[i].size()
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(lists[a].size(), lists[b].size()) })
	choices := make([]choice, len(lists))
	for n, i := range order {
		choices[i] = lists[i].choose(room / (len(lists) - n))
		room -= lists[i].sizeOf(choices[i])
	}
	return choices
}

func (l *list) size() int { return l.end - l.begin }

func (l *list) whole() choice { return choice{len(l.elements), len(l.elements)} }

func (l *list) sizeOf(c choice) int {
	if c == l.whole() {
		return l.size()
	}
	return len(l.append(nil, nil, c))
}

// choose keeps as much as room bytes hold, a quarter of them for the oldest execs. What was left out before becomes part
// of what is left out now, so that there is one mark. It may come out longer if there is not even room for that.
func (l *list) choose(room int) choice {
	if l.size() <= room {
		return l.whole()
	}
	n := len(l.elements)
	room -= len(l.form.appendMark(nil, l.omitted(0, n)))
	c := choice{tail: n}
	oldest := room / 4
	room -= oldest
	oldest = l.growHead(&c, oldest)
	room = l.growTail(&c, room+oldest)
	l.growHead(&c, room) // if a mark stopped the tail
	return c
}

// growHead keeps further elements at the beginning, and returns what room is left.
func (l *list) growHead(c *choice, room int) int {
	for c.head < c.tail && l.cost(c.head) <= room {
		room -= l.cost(c.head)
		c.head++
	}
	return room
}

func (l *list) growTail(c *choice, room int) int {
	for c.tail > c.head && l.cost(c.tail-1) <= room {
		room -= l.cost(c.tail - 1)
		c.tail--
	}
	return room
}

// cost is what it takes to keep an element: more than there is for a mark.
func (l *list) cost(i int) int {
	e := &l.elements[i]
	if e.omitted > 0 {
		return math.MaxInt
	}
	return e.size() + len(l.form.join)
}

func (e *element) size() int { return e.end - e.begin }

// omitted is how many execs the elements from head to tail stand for.
func (l *list) omitted(head, tail int) uint64 {
	n := uint64(0)
	for i := range l.elements[head:tail] {
		n += max(l.elements[head+i].omitted, 1)
	}
	return n
}

// sane reports whether the number of all execs could be read again.
func (l *list) sane() bool { return l.omitted(0, len(l.elements)) <= maxOmitted }

// append appends what is chosen of a list. Without a line it appends as many bytes, of no meaning.
func (l *list) append(dst, line []byte, c choice) []byte {
	for i := range l.elements {
		if i >= c.head && i < c.tail && i > c.head {
			continue
		}
		if i > 0 {
			dst = append(dst, l.form.join...)
		}
		switch e := &l.elements[i]; {
		case i == c.head && i < c.tail:
			dst = l.form.appendMark(dst, l.omitted(c.head, c.tail))
		case line == nil:
			dst = append(dst, make([]byte, e.size())...)
		default:
			dst = append(dst, line[e.begin:e.end]...)
		}
	}
	return dst
}

func appendWith(dst, line []byte, lists []list, choices []choice) []byte {
	at := 0
	for i := range lists {
		l := &lists[i]
		if choices[i] == l.whole() {
			continue
		}
		dst = append(dst, line[at:l.begin]...)
		dst = l.append(dst, line, choices[i])
		at = l.end
	}
	return append(dst, line[at:]...)
}

func appendWithout(dst, line []byte, lists []list) []byte {
	at := 0
	for i := range lists {
		dst = append(dst, line[at:lists[i].outerBegin]...)
		at = lists[i].outerEnd
	}
	return append(dst, line[at:]...)
}

// MinCut is the least limit of Cut.
const MinCut = 64

// Cut appends the first bytes of a line and ` truncated=N`, for the N bytes that are left out, together at most limit
// bytes, but no less than MinCut. It is the last resort, for a line that does not fit into the one datagram it has.
func Cut(dst, line []byte, limit int) []byte {
	limit = max(limit, MinCut)
	if len(line) <= limit {
		return append(dst, line...)
	}
	const mark = " truncated="
	keep := limit - len(mark) - len(strconv.Itoa(len(line)))
	// Not within a character, where there are any.
	start := keep
	for start > keep-utf8.UTFMax && !utf8.RuneStart(line[start]) {
		start--
	}
	if utf8.RuneStart(line[start]) {
		keep = start
	}
	dst = append(append(dst, line[:keep]...), mark...)
	return strconv.AppendInt(dst, int64(len(line)-keep), 10)
}

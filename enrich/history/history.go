// Package history writes the history of a task as text: the value of the fields history= and ohistory=.
//
//	name=swapper/0;pid=1;start=20230811194329=>name=systemd;pid=1;start=20230811194439;via=proc=>…
//
// The oldest exec stands first. A name keeps its ASCII letters and digits and . _ - / and has every other byte as \ooo,
// so that no name can look like more than a name. Start is in UTC. via= marks what is inferred, omitted=N stands for N
// execs that are left out.
package history

import (
	"math"
	"strconv"

	"audisp-history/enrich/task"
)

// Cut says which execs to leave out of a history that is too long.
type Cut uint8

// The cuts.
const (
	Middle Cut = iota // keep the oldest and the newest
	Front             // keep the newest
)

// An Encoding says how a history is written.
type Encoding struct {
	Element   func(dst []byte, e *task.Exec) []byte // appends an exec
	Omitted   func(dst []byte, execs uint64) []byte // appends what stands for execs that are left out
	Separator string                                // stands between two of them
	// Longest bounds what is kept rendered of one history, whatever the limit.
	Longest int
}

// maxText is the longest text: a line has no room for more.
const maxText = 8969

// slots is how many histories are kept rendered; with the longest of them, as text, that is 32 MiB at the very most.
const slots = 1 << 12

// A Renderer renders histories and remembers those it rendered last. It is not safe for concurrent use.
type Renderer struct {
	cut      Cut
	limit    int
	encoding Encoding
	gap      int // the bytes that what stands for execs left out takes at the most, with its separators

	cache    []slot
	nodes    []*task.Exec // scratch: a history, oldest first
	text     []byte       // scratch: its elements
	ends     []int        // scratch: where in text each ends
	revision uint64
}

// A slot holds the history up to one exec, whole or not.
type slot struct {
	id    uint64
	whole bool
	text  []byte
}

// NewRenderer makes a renderer of histories as text, of at most limit bytes, 0 for as many as the caller has room.
func NewRenderer(cut Cut, limit int) *Renderer {
	return NewEncoded(Encoding{appendElement, appendOmitted, "=>", maxText}, cut, limit)
}

// NewEncoded makes a renderer of histories in another encoding. The limit is in bytes of that.
func NewEncoded(c Encoding, cut Cut, limit int) *Renderer {
	gap := len(c.Omitted(nil, math.MaxUint32)) + 2*len(c.Separator)
	return &Renderer{cut: cut, limit: limit, encoding: c, gap: gap, cache: make([]slot, slots)}
}

// Revise forgets what was rendered if the histories have another revision (see task.Table.Revision) than before.
func (r *Renderer) Revise(revision uint64) {
	if r.revision == revision {
		return
	}
	r.revision = revision
	for i := range r.cache {
		r.cache[i].id = 0
	}
}

// Append appends the history that ends with e, cut to the renderer's limit and to room bytes. It appends nothing if not
// even the number of execs fits.
func (r *Renderer) Append(dst []byte, e *task.Exec, room int) []byte {
	if e == nil {
		return dst
	}
	limit := room
	if r.limit > 0 {
		limit = min(limit, r.limit)
	}
	s := &r.cache[e.ID%slots]
	if s.id != e.ID {
		r.fill(s, e)
	}
	if len(s.text) <= limit {
		return append(dst, s.text...)
	}
	r.elements(e)
	text, _ := r.fit(dst, limit)
	return text
}

func (r *Renderer) fill(s *slot, e *task.Exec) {
	limit := r.encoding.Longest
	if r.limit > 0 {
		limit = min(limit, r.limit)
	}
	if p := e.Prev; p != nil {
		before := &r.cache[p.ID%slots]
		if before != s && before.id == p.ID && before.whole {
			text := r.encoding.Element(append(append(s.text[:0], before.text...), r.encoding.Separator...), e)
			s.id, s.whole, s.text = e.ID, true, text
			if len(text) <= limit {
				return
			}
		}
	}
	r.elements(e)
	s.id = e.ID
	s.text, s.whole = r.fit(s.text[:0], limit)
}

// elements renders every exec up to e into the scratch buffers.
func (r *Renderer) elements(e *task.Exec) {
	r.nodes = r.nodes[:0]
	for p := e; p != nil; p = p.Prev {
		r.nodes = append(r.nodes, p)
	}
	r.text, r.ends = r.text[:0], r.ends[:0]
	for i, j := 0, len(r.nodes)-1; i < j; i, j = i+1, j-1 {
		r.nodes[i], r.nodes[j] = r.nodes[j], r.nodes[i]
	}
	for _, n := range r.nodes {
		r.text = r.encoding.Element(r.text, n)
		r.ends = append(r.ends, len(r.text))
	}
}

// fit appends the elements with as many left out as must be, and reports whether none was.
func (r *Renderer) fit(dst []byte, limit int) ([]byte, bool) {
	n := len(r.nodes)
	separator := len(r.encoding.Separator)
	if len(r.text)+separator*(n-1) <= limit {
		return r.join(dst, 0, n), true
	}
	budget := limit - r.gap
	head := 0
	if r.cut == Middle {
		head = r.take(budget/4, 0, 1)
		if head > 0 {
			budget -= r.ends[head-1] + separator*head
		}
	}
	tail := n - r.take(budget, n-1, -1)
	for head > 0 && r.nodes[head-1].Via == task.Folded {
		head--
	}
	for tail < n && r.nodes[tail].Via == task.Folded {
		tail++
	}
	omitted := uint64(0)
	for _, e := range r.nodes[head:tail] {
		omitted += uint64(max(e.Omitted, 1))
	}
	out := dst
	if head > 0 {
		out = append(r.join(out, 0, head), r.encoding.Separator...)
	}
	out = r.encoding.Omitted(out, omitted)
	if tail < n {
		out = r.join(append(out, r.encoding.Separator...), tail, n)
	}
	if len(out)-len(dst) > limit {
		return dst, false
	}
	return out, false
}

// take counts the elements that fit into budget bytes, from the i-th on in steps of d.
func (r *Renderer) take(budget, i, d int) int {
	taken := 0
	for ; i >= 0 && i < len(r.nodes); i += d {
		budget -= r.size(i) + len(r.encoding.Separator)
		if budget < 0 {
			break
		}
		taken++
	}
	return taken
}

func (r *Renderer) size(i int) int {
	if i == 0 {
		return r.ends[0]
	}
	return r.ends[i] - r.ends[i-1]
}

func (r *Renderer) join(dst []byte, from, to int) []byte {
	for i := from; i < to; i++ {
		if i > from {
			dst = append(dst, r.encoding.Separator...)
		}
		dst = append(dst, r.text[r.ends[i]-r.size(i):r.ends[i]]...)
	}
	return dst
}

func appendOmitted(dst []byte, n uint64) []byte {
	return strconv.AppendUint(append(dst, "omitted="...), n, 10)
}

func appendElement(dst []byte, e *task.Exec) []byte {
	if e.Via == task.Folded {
		return appendOmitted(dst, uint64(e.Omitted))
	}
	dst = appendName(append(dst, "name="...), e.Name)
	dst = strconv.AppendUint(append(dst, ";pid="...), uint64(e.PID), 10)
	dst = appendTime(append(dst, ";start="...), e.Start)
	if via := e.Via.String(); via != "" {
		dst = append(append(dst, ";via="...), via...)
	}
	return dst
}

func appendName(dst []byte, name string) []byte {
	for i := range len(name) {
		if c := name[i]; plain(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		}
	}
	return dst
}

func plain(c byte) bool {
	return c-'0' <= 9 || (c|0x20)-'a' <= 25 || c == '.' || c == '_' || c == '-' || c == '/'
}

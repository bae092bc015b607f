package record

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
)

// cut collects what Lines hands on. Parts of one long line are joined, since where they are cut depends on the chunks.
type cut struct {
	got  []string
	long []byte
}

func (c *cut) Line(line []byte) { c.got = append(c.got, "line "+string(line)) }

func (c *cut) Piece(part []byte) {
	c.long = append(c.long, part...)
	if bytes.HasSuffix(part, []byte{'\n'}) {
		c.end()
	}
}

func (c *cut) end() {
	if len(c.long) > 0 {
		c.got = append(c.got, "long "+string(c.long))
	}
	c.long = c.long[:0]
}

func feed(chunks ...string) []string {
	var l Lines
	var c cut
	for _, s := range chunks {
		b := []byte(s)
		l.Feed(b, &c)
		clear(b) // the caller reads the next chunk into the same bytes
	}
	c.end()
	if rest := l.Rest(); len(rest) > 0 {
		c.got = append(c.got, "rest "+string(rest))
	}
	return c.got
}

func TestLines(t *testing.T) {
	full := strings.Repeat("x", MaxLine-1)
	for _, c := range []struct {
		name   string
		stream string
		want   []string
	}{
		{"nothing", "", nil},
		{"lines", "a\nb\n", []string{"line a\n", "line b\n"}},
		{"empty lines", "\n\na\n", []string{"line \n", "line \n", "line a\n"}},
		{"no final newline", "a\nb", []string{"line a\n", "rest b"}},
		{"NUL and carriage return", "a\x00b\r\n\x00\n", []string{"line a\x00b\r\n", "line \x00\n"}},
		{"the longest line", full + "\nb\n", []string{"line " + full + "\n", "line b\n"}},
		{"one byte too long", full + "x\nb\n", []string{"long " + full + "x\n", "line b\n"}},
		{"four times too long", full + full + full + full + "\nb\n", []string{"long " + full + full + full + full + "\n", "line b\n"}},
		{"the longest without newline", full + "x", []string{"rest " + full + "x"}},
		{"too long and no newline", "a\n" + full + "xy", []string{"line a\n", "long " + full + "xy"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 4096, MaxLine - 1, MaxLine, MaxLine + 1, len(c.stream) + 1} {
				var chunks []string
				for s := range slices.Chunk([]byte(c.stream), size) {
					chunks = append(chunks, string(s))
				}
				if got := feed(chunks...); !slices.Equal(got, c.want) {
					t.Errorf("in chunks of %d: %.100q, want %.100q", size, got, c.want)
				}
			}
		})
	}
}

func TestLinesAtEveryBorder(t *testing.T) {
	const stream = "type=A msg=audit(1.000:1): a\x00\r\n\n\nb\x1dB=\"x\"\nlast"
	want := feed(stream)
	if len(want) != 5 {
		t.Fatalf("%q", want)
	}
	for i := range stream {
		for j := i; j < len(stream); j++ {
			if got := feed(stream[:i], stream[i:j], stream[j:]); !slices.Equal(got, want) {
				t.Fatalf("cut at %d and %d: %q, want %q", i, j, got, want)
			}
		}
	}
}

func TestLinesAfterRestBeginAnew(t *testing.T) {
	var l Lines
	var c cut
	l.Feed([]byte(strings.Repeat("x", MaxLine)), &c)
	l.Feed([]byte("y"), &c)
	if rest := l.Rest(); len(rest) > 0 {
		t.Errorf("rest of %d bytes after a line too long, whose parts were all handed on", len(rest))
	}
	c = cut{}
	l.Feed([]byte("a\n"), &c)
	if want := []string{"line a\n"}; !slices.Equal(c.got, want) {
		t.Errorf("%q, want %q", c.got, want)
	}
}

func TestLinesKeepMemoryBounded(t *testing.T) {
	var l Lines
	var c counter
	chunk := bytes.Repeat([]byte("x"), 1000)
	for range 10000 {
		l.Feed(chunk, &c)
	}
	if c.bytes+len(l.Rest()) != 10000*1000 {
		t.Errorf("%d bytes handed on", c.bytes)
	}
	if cap(l.partial) > 2*MaxLine {
		t.Errorf("%d bytes kept", cap(l.partial))
	}
}

type counter struct{ bytes int }

func (c *counter) Line(b []byte)  { c.bytes += len(b) }
func (c *counter) Piece(b []byte) { c.bytes += len(b) }

func TestLinesAllocateNothing(t *testing.T) {
	var stream []byte
	r := rand.New(rand.NewSource(1))
	for i := range 200 {
		stream = fmt.Appendf(stream, "%d %s\n", i, bytes.Repeat([]byte("x"), r.Intn(3000)))
	}
	var l Lines
	var c counter
	all := func() {
		for s := range slices.Chunk(stream, 8192) {
			l.Feed(s, &c)
		}
	}
	all()
	if n := testing.AllocsPerRun(10, all); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

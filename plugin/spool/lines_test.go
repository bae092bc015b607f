package spool

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// got is all chunks that a queue has, one a string, and how many items they are. The blocks are too small for two.
func got(t *testing.T, q *Queue) (chunks []string, items int) {
	t.Helper()
	for {
		b, n, err := q.Next()
		must(t, err)
		if len(b) == 0 {
			return chunks, items
		}
		chunks, items = append(chunks, string(b)), items+n
		q.Done(len(b), n)
	}
}

// Lines are put whole, however they come.
func TestFill(t *testing.T) {
	long := strings.Repeat("x", 2*readBytes)
	for name, in := range map[string]string{
		"nothing":          "",
		"lines":            "one\ntwo\nthree\n",
		"empty lines":      "\n\n\n",
		"no end":           "one\ntwo",
		"a long line":      "one\n" + long + "y\ntwo\n",
		"only a long line": long,
		"just as long":     strings.Repeat("x", readBytes-1) + "\n" + strings.Repeat("y", readBytes) + "\nz\n",
	} {
		for how, read := range map[string]func(io.Reader) io.Reader{
			"at once":        func(r io.Reader) io.Reader { return r },
			"bytes":          iotest.OneByteReader,
			"halves":         iotest.HalfReader,
			"with the error": iotest.DataErrReader,
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				q := New(Config{Memory: 1 << 20})
				defer q.Close()
				if err := q.Fill(read(strings.NewReader(in))); !errors.Is(err, io.EOF) {
					t.Errorf("ended with %v", err)
				}
				chunks, items := got(t, q)
				lines := strings.Count(in, "\n")
				if in != "" && !strings.HasSuffix(in, "\n") {
					lines++
				}
				if all := strings.Join(chunks, ""); all != in || items != lines && len(in) < readBytes {
					t.Errorf("%d bytes, %d items, want %d, %d", len(all), items, len(in), lines)
				}
			})
		}
	}
}

// Each chunk ends with a line, so that dropping one cuts none.
func TestFillChunks(t *testing.T) {
	q := New(Config{Memory: 1 << 20})
	defer q.Close()
	in, out := io.Pipe()
	done := make(chan error)
	go func() { done <- q.Fill(in) }()
	for _, c := range []struct{ write, want string }{
		{"one\ntw", "one\n"},
		{"o\nthree\nfo", "two\nthree\n"},
		{"u", ""},
		{"r", ""},
		{"\n", "four\n"},
	} {
		if _, err := out.Write([]byte(c.write)); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(nil); err != nil { // it is read when what was before it has been put
			t.Fatal(err)
		}
		chunks, _ := got(t, q)
		if all := strings.Join(chunks, "|"); all != c.want {
			t.Errorf("after %q: %q, want %q", c.write, all, c.want)
		}
	}
	broken := errors.New("broken")
	_ = out.CloseWithError(broken) // never fails
	if err := <-done; !errors.Is(err, broken) {
		t.Errorf("ended with %v", err)
	}
}

// FuzzFill: what comes in, in reads of any size, comes out, and only a line that is too long is cut.
func FuzzFill(f *testing.F) {
	f.Add([]byte("one\ntwo\n"), uint16(3))
	f.Add([]byte("no end"), uint16(100))
	f.Add(bytes.Repeat([]byte("x"), 3*readBytes), uint16(1000))
	f.Fuzz(func(t *testing.T, in []byte, size uint16) {
		if len(in) > 1<<20 {
			return
		}
		q := New(Config{Memory: 4 << 20})
		defer q.Close()
		_ = q.Fill(&sized{in, int(size) + 1}) // it ends with io.EOF
		var all []byte
		for {
			b, items, _ := q.Next()
			if len(b) == 0 {
				break
			}
			all = append(all, b...)
			q.Done(len(b), items)
		}
		if !bytes.Equal(all, in) || q.Counts().Lost != (Amount{}) {
			t.Errorf("%d bytes, want %d", len(all), len(in))
		}
	})
}

// sized gives so many bytes with a read.
type sized struct {
	b    []byte
	size int
}

func (s *sized) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.size)], s.b)
	s.b = s.b[n:]
	return n, nil
}

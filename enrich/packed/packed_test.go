package packed

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
)

func TestValuesComeBack(t *testing.T) {
	var w Writer
	w.Byte(7)
	for _, v := range []uint64{0, 127, 128, math.MaxUint32, math.MaxUint64} {
		w.Uint(v)
	}
	for _, v := range []int64{0, -1, math.MinInt64, math.MaxInt64} {
		w.Int(v)
	}
	w.Bool(true)
	w.Bool(false)
	for _, s := range []string{"", "bash", "", "bash", "a\x00b"} {
		w.String(s)
	}
	w.Text([]byte("bash"))
	w.Uint(2)
	w.Uint(1)
	w.Uint(2)

	var r Reader
	r.Feed(w.Bytes())
	got := fmt.Sprint(r.Byte(), r.Uint(), r.Uint(), r.Uint(), r.Uint32(), r.Uint(), r.Int(), r.Int(), r.Int(), r.Int(),
		r.Bool(), r.Bool())
	got += fmt.Sprintf(" %q", []string{r.String(), r.String(), r.String(), r.String(), r.String(), r.String()})
	got += fmt.Sprint(r.Count(1), r.More(), r.Uint(), r.Uint(), r.More())
	const want = `7 0 127 128 4294967295 18446744073709551615 0 -1 -9223372036854775808 9223372036854775807 true false` +
		` ["" "bash" "" "bash" "a\x00b" "bash"]2 true 1 2 false`
	if got != want || r.Err() != nil {
		t.Errorf("got  %s\nwant %s\n%v", got, want, r.Err())
	}
}

func TestSize(t *testing.T) {
	cases := []struct {
		name  string
		write func(*Writer)
		want  int
	}{
		{"a small number", func(w *Writer) { w.Uint(127) }, 1},
		{"a small negative one", func(w *Writer) { w.Int(-64) }, 1},
		{"a new string", func(w *Writer) { w.String("new") }, 5},
		{"a known string", func(w *Writer) { w.String("known") }, 1},
		{"a known string, as bytes", func(w *Writer) { w.Text([]byte("known")) }, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var w Writer
			w.String("known")
			w.Cut()
			c.write(&w)
			if w.Len() != c.want {
				t.Errorf("%d bytes, want %d", w.Len(), c.want)
			}
		})
	}
}

func TestLongStringIsCut(t *testing.T) {
	var w Writer
	w.String(strings.Repeat("x", MaxString+1))
	w.Text([]byte(strings.Repeat("y", MaxString+1)))
	w.Raw([]byte(strings.Repeat("z", MaxString+1)))
	var r Reader
	r.Feed(w.Bytes())
	if a, b, c := r.String(), r.String(), r.Raw(); min(len(a), len(b), len(c)) != MaxString || r.More() || r.Err() != nil {
		t.Errorf("%d, %d and %d bytes, %v", len(a), len(b), len(c), r.Err())
	}
}

func TestResetForgetsStrings(t *testing.T) {
	var w Writer
	w.String("old")
	w.Reset()
	if w.Len() != 0 || w.bytes != 0 {
		t.Errorf("%d bytes, and %d in the dictionary", w.Len(), w.bytes)
	}
	w.String("new")
	w.String("old")
	var r Reader
	r.Feed(w.Bytes())
	if a, b := r.String(), r.String(); a != "new" || b != "old" || r.Err() != nil {
		t.Errorf("got %q, %q, %v", a, b, r.Err())
	}
}

func TestErrors(t *testing.T) {
	cases := []struct {
		name string
		in   string
		read func(*Reader)
		want error
	}{
		{"byte of nothing", "", func(r *Reader) { r.Byte() }, ErrShort},
		{"number of nothing", "", func(r *Reader) { r.Uint() }, ErrShort},
		{"number cut", "\x80", func(r *Reader) { r.Uint() }, ErrShort},
		{"number of 65 bits", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", func(r *Reader) { r.Uint() }, ErrInvalid},
		{"number of 33 bits", "\x80\x80\x80\x80\x10", func(r *Reader) { r.Uint32() }, ErrInvalid},
		{"signed number cut", "\x80", func(r *Reader) { r.Int() }, ErrShort},
		{"neither true nor false", "\x02", func(r *Reader) { r.Bool() }, ErrInvalid},
		{"string nobody wrote", "\x01", func(r *Reader) { _ = r.String() }, ErrInvalid},
		{"string cut", "\x00\x03ab", func(r *Reader) { _ = r.String() }, ErrShort},
		{"string without a length", "\x00", func(r *Reader) { _ = r.String() }, ErrShort},
		{"string too long", "\x00\x81\x20" + strings.Repeat("x", MaxString+1), func(r *Reader) { _ = r.String() }, ErrInvalid},
		{"bytes cut", "\x03ab", func(r *Reader) { r.Raw() }, ErrShort},
		{"too many bytes", "\x81\x20" + strings.Repeat("x", MaxString+1), func(r *Reader) { r.Raw() }, ErrInvalid},
		{"more things than bytes", "\x03abcde", func(r *Reader) { r.Count(2) }, ErrShort},
		{"countless things", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", func(r *Reader) { r.Count(1) }, ErrShort},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var r Reader
			r.Feed([]byte(c.in))
			c.read(&r)
			if !errors.Is(r.Err(), c.want) {
				t.Fatalf("error %v, want %v", r.Err(), c.want)
			}
			first := r.Err()
			r.Feed([]byte("\x01\x01\x01\x00\x01a\x01\x01"))
			if r.More() || r.Byte() != 0 || r.Uint() != 0 || r.Uint32() != 0 || r.Int() != 0 || r.Bool() ||
				r.String() != "" || r.Count(1) != 0 || r.Err() != first {
				t.Errorf("values after an error, or another error: %v", r.Err())
			}
		})
	}
}

// The dictionary is full by number or by bytes; what does not fit is written out, and both sides still agree.
func TestFullDictionary(t *testing.T) {
	long := strings.Repeat("x", MaxString-8)
	cases := []struct {
		name   string
		count  int
		format string
	}{
		{"by number", maxStrings + 100, "%d"},
		{"by bytes", maxStringBytes/MaxString + 100, "%08d" + long},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var w Writer
			var r Reader
			for range 2 {
				for i := range c.count {
					w.Cut()
					w.String(fmt.Sprintf(c.format, i))
					r.Feed(w.Bytes())
					if got, want := r.String(), fmt.Sprintf(c.format, i); got != want || r.More() || r.Err() != nil {
						t.Fatalf("%d: got %.20q, want %.20q, %v", i, got, want, r.Err())
					}
				}
			}
			if len(w.known) != len(r.known) || w.bytes != r.bytes {
				t.Errorf("the writer knows %d strings, %d bytes; the reader %d, %d", len(w.known), w.bytes, len(r.known), r.bytes)
			}
			if len(w.known) > maxStrings || w.bytes > maxStringBytes || len(w.known) == c.count {
				t.Errorf("%d strings, %d bytes are known", len(w.known), w.bytes)
			}
		})
	}
}

// A script is a random sequence of values, written to w and compared with what r reads.
func script(t *testing.T, rng *rand.Rand, w *Writer, r *Reader) {
	type value struct {
		kind   int
		number uint64
		text   string
	}
	for range 1 + rng.IntN(4) { // pieces
		values := make([]value, rng.IntN(50))
		w.Cut()
		for i := range values {
			v := value{kind: rng.IntN(6), number: rng.Uint64() >> rng.IntN(64), text: fmt.Sprint("s", rng.IntN(30))}
			values[i] = v
			switch v.kind {
			case 0:
				w.Byte(byte(v.number))
			case 1:
				w.Uint(v.number)
			case 2:
				w.Int(int64(v.number))
			case 3:
				w.Bool(v.number&1 == 1)
			case 4:
				w.String(v.text)
			case 5:
				w.Raw([]byte(v.text))
			}
		}
		r.Feed(w.Bytes())
		for i, v := range values {
			var ok bool
			switch v.kind {
			case 0:
				ok = r.Byte() == byte(v.number)
			case 1:
				ok = r.Uint() == v.number
			case 2:
				ok = r.Int() == int64(v.number)
			case 3:
				ok = r.Bool() == (v.number&1 == 1)
			case 4:
				ok = r.String() == v.text
			case 5:
				ok = string(r.Raw()) == v.text
			}
			if !ok || r.Err() != nil {
				t.Fatalf("value %d of kind %d is another: %v", i, v.kind, r.Err())
			}
		}
		if r.More() {
			t.Fatal("there is more than was written")
		}
	}
}

func TestAnythingComesBack(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		script(t, rng, &Writer{}, &Reader{})
	}
}

// readAll reads in as the methods that ops names say, twice, as two pieces.
func readAll(in, ops []byte) (sum int) {
	var r Reader
	for range 2 {
		r.Feed(in)
		for i := 0; r.More(); i++ {
			op := byte(i)
			if len(ops) > 0 {
				op = ops[i%len(ops)]
			}
			switch op % 8 {
			case 0:
				r.Byte()
			case 1:
				r.Uint()
			case 2:
				r.Uint32()
			case 3:
				r.Int()
			case 4:
				r.Bool()
			case 5:
				sum += len(r.String())
			case 6:
				things := make([]uint32, r.Count(4))
				for i := range 4 * len(things) {
					things[i/4] += uint32(r.Byte())
				}
				sum += len(things)
			case 7:
				sum += len(r.Raw())
			}
		}
	}
	return sum
}

func FuzzReader(f *testing.F) {
	var w Writer
	w.String("bash")
	w.Uint(300)
	w.String("bash")
	f.Add(w.Bytes(), []byte{5, 1})
	f.Add([]byte("\x00\x00\x00\x00\x01\x02"), []byte{5})
	f.Add([]byte("\xff\xff\xff\xff\x0f"), []byte{6})
	f.Add([]byte("\x81\x80\x00\x05"), []byte{2, 3, 4, 0})
	f.Fuzz(func(_ *testing.T, in, ops []byte) { readAll(in, ops) })
}

// Hostile bytes cost a small multiple of themselves in memory.
func TestMemoryOfHostileBytes(t *testing.T) {
	cases := []struct{ name, unit, ops string }{
		{"empty strings", "\x00\x00", "\x05"},
		{"strings of one byte", "\x00\x01a", "\x05"},
		{"counts", "\xff\x7f", "\x06"},
		{"lengths", "\x00\xff\xff\xff\x7f", "\x05"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := []byte(strings.Repeat(c.unit, 1<<20/len(c.unit)))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			readAll(in, []byte(c.ops))
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 64*uint64(len(in)) {
				t.Errorf("%d bytes allocated for %d", n, len(in))
			}
		})
	}
}

func TestKnownStringsAllocateNothing(t *testing.T) {
	var w Writer
	text := []byte("/usr/bin/bash")
	w.String("bash")
	w.Text(text)
	first := append([]byte(nil), w.Bytes()...)
	w.Cut()
	var piece []byte
	if n := testing.AllocsPerRun(100, func() {
		w.Cut()
		w.String("bash")
		w.Text(text)
		piece = w.Bytes()
	}); n != 0 {
		t.Errorf("writing: %v allocations", n)
	}
	var r Reader
	r.Feed(first)
	_, _ = r.String(), r.String()
	if n := testing.AllocsPerRun(100, func() {
		r.Feed(piece)
		_, _ = r.String(), r.String()
	}); n != 0 || r.Err() != nil {
		t.Errorf("reading: %v allocations, %v", n, r.Err())
	}
}

func BenchmarkWriter(b *testing.B) {
	var w Writer
	w.String("/usr/bin/bash")
	b.ReportAllocs()
	for b.Loop() {
		w.Cut()
		w.Uint(123456)
		w.Int(1_700_000_000)
		w.String("/usr/bin/bash")
	}
}

func BenchmarkReader(b *testing.B) {
	var w Writer
	w.String("/usr/bin/bash")
	var r Reader
	r.Feed(append([]byte(nil), w.Bytes()...))
	_ = r.String()
	w.Cut()
	w.Uint(123456)
	w.Int(1_700_000_000)
	w.String("/usr/bin/bash")
	b.ReportAllocs()
	for b.Loop() {
		r.Feed(w.Bytes())
		r.Uint()
		r.Int()
		_ = r.String()
	}
}

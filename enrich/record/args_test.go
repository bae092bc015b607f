package record

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestArgs(t *testing.T) {
	for _, c := range []struct {
		name   string
		bodies []string
		want   []string
		err    string // a part of it
	}{
		{"none", nil, []string{}, ""},
		{"argc=0", []string{"argc=0"}, []string{}, ""},
		{"some", []string{`argc=3 a0="ls" a1="-l" a2=2F746D702F612062`}, []string{"ls", "-l", "/tmp/a b"}, ""},
		{"an empty one", []string{`argc=2 a0="ls" a1=""`}, []string{"ls", ""}, ""},
		{"one that reads as null", []string{`argc=2 a0="(null)" a1=(null)`}, []string{"(null)", ""}, ""},
		{"a name that ends in a backslash", []string{`argc=2 a0="a\" a1="b"`}, []string{`a\`, "b"}, ""},
		{"fields inside an argument", []string{`argc=2 a0="a argc=9 a1=x" a1="b"`}, []string{"a argc=9 a1=x", "b"}, ""},
		{"over two records", []string{`argc=3 a0="tar" a1="c"`, `a2="d"`}, []string{"tar", "c", "d"}, ""},
		{"in pieces over three records", []string{
			`argc=3 a0="sh" a1="-c" a2_len=12 a2[0]=65636820`, `a2[1]=6869`, `a2[2]="!!"`},
			[]string{"sh", "-c", "ech hi!!"}, ""},
		{"two in pieces", []string{`argc=2 a0_len=4 a0[0]=61`, `a0[1]=62 a1_len=4 a1[0]=63`, `a1[1]=64`}, []string{"ab", "cd"}, ""},
		{"one is missing", []string{`argc=3 a0="a" a2="c"`}, []string{"a", "", "c"}, "a1 of 3"},
		{"the first record is missing", []string{`a2="c"`}, []string{}, ""},
		{"more than argc says", []string{`argc=1 a0="a" a1="b" a4294967296="c"`}, []string{"a"}, ""},
		{"odd keys", []string{`argc=1 a="x" aa="x" a-1="x" a[0]="x" a0x="x" a0]="x" a0["x" a0="y"`}, []string{"y"}, ""},
		{"argc is no number", []string{`argc=x a0="a"`}, nil, "argc="},
		{"argc is huge", []string{`argc=1048577 a0="a"`}, nil, "argc="},
		{"argc is very long", []string{"argc=" + strings.Repeat("9", 5000)}, nil, "argc="},
	} {
		t.Run(c.name, func(t *testing.T) {
			var bodies [][]byte
			for _, b := range c.bodies {
				bodies = append(bodies, []byte(b))
			}
			got, err := Args(bodies...)
			if !slices.Equal(got, c.want) || got == nil != (c.want == nil) {
				t.Errorf("arguments %q, want %q", got, c.want)
			}
			switch {
			case c.err == "" && err != nil:
				t.Errorf("error %v", err)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("error %v, want one of %q", err, c.err)
			case err != nil && len(err.Error()) > 200:
				t.Errorf("error of %d bytes", len(err.Error()))
			}
		})
	}
}

// A megabyte in one argument comes in pieces of some thousand bytes.
func TestArgsOfAMegabyte(t *testing.T) {
	piece := strings.Repeat("61", 3750)
	bodies := [][]byte{[]byte(`argc=2 a0="echo" a1_len=2250000 a1[0]=` + piece)}
	for i := 1; i < 300; i++ {
		bodies = append(bodies, fmt.Appendf(nil, "a1[%d]=%s", i, piece))
	}
	got, err := Args(bodies...)
	if err != nil || len(got) != 2 || got[1] != strings.Repeat("a", 3750*300) {
		t.Fatalf("%d arguments, error %v", len(got), err)
	}
	for range 3000 {
		bodies = append(bodies, bodies[1])
	}
	if _, err := Args(bodies...); err == nil {
		t.Error("arguments of 12 MB are read without end")
	}
}

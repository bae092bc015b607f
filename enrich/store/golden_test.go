package store

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "write testdata anew: only for a new Version, whose directory is then another one")

// TestGolden: what version 1 has written is read, and the present code writes the same, byte by byte. A failure means that
// the format has changed without Version.
func TestGolden(t *testing.T) {
	golden := filepath.Join("testdata", "v1")
	k := makeKept(t)
	if *update {
		must(t, errors.Join(os.RemoveAll(golden), os.CopyFS(golden, os.DirFS(k.dir)), os.Remove(filepath.Join(golden, "lock"))))
	}
	var names []string
	for _, f := range k.files {
		b, err := os.ReadFile(filepath.Join(golden, f.name))
		must(t, err)
		if !slices.Equal(b, f.data) {
			t.Errorf("%s is written differently", f.name)
		}
		names = append(names, filepath.Base(f.name))
	}
	slices.Sort(names)
	if got := namesIn(t, filepath.Join(golden, "boot-000001")); !slices.Equal(got, names) {
		t.Errorf("files %q, want %q", got, names)
	}
	want := []string{"one", "two", "three", "four", "five", "six", "seven"}
	var r reading
	b, err := Read(golden, 0, func() Visitor { return &r })
	if err != nil || b.ID != boot || b.Sequence != 1 || !slices.Equal(r.all(), want) {
		t.Errorf("Read: %+v, %q, error %v", b, r.all(), err)
	}
	d, l, got := loaded(t, copied(t, golden), boot)
	if l.Fresh || len(l.Damaged) > 0 || !slices.Equal(got, want) {
		t.Errorf("Load: %+v, %q", l, got)
	}
	must(t, d.Close())
}

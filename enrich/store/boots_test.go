package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
)

// ids are those of boots, the newest first.
func ids(t *testing.T, dir string) []string {
	t.Helper()
	boots, err := Boots(dir)
	must(t, err)
	var list []string
	for _, b := range boots {
		list = append(list, b.ID)
	}
	return list
}

func TestPrune(t *testing.T) {
	const each = 16 + 1 + 4 + batchHead + 100 // bytes of a boot
	for _, c := range []struct {
		name string
		now  string // the present boot; a, b, c and d were before
		keep Keep
		want []string
	}{
		{"all", "e", Keep{9, 9 * each}, []string{"e", "d", "c", "b", "a"}},
		{"two", "e", Keep{2, 9 * each}, []string{"e", "d", "c"}},
		{"none", "e", Keep{0, 9 * each}, []string{"e"}},
		{"the bytes of three", "e", Keep{9, 3 * each}, []string{"e", "d", "c", "b"}},
		{"a byte less", "e", Keep{9, 3*each - 1}, []string{"e", "d", "c"}},
		{"no bytes", "e", Keep{9, 0}, []string{"e"}},
		{"the present one is not counted", "d", Keep{1, each}, []string{"d", "c"}},
		{"the present one stays", "d", Keep{}, []string{"d"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			for _, id := range []string{"a", "b", "c", "d"} {
				d, _, _ := load(t, dir, id)
				appended(t, d, fmt.Sprintf("%100s", id))
				must(t, d.Close())
			}
			d := lock(t, dir)
			var r reading
			l, err := d.Load(c.now, c.keep, &r)
			must(t, err)
			if l.Fresh != (c.now == "e") || l.Fresh != (len(r.all()) == 0) || l.Fresh && l.Previous != "d" {
				t.Errorf("%+v, read %q", l, r.all())
			}
			appended(t, d, "x")
			must(t, d.Close())
			if got := ids(t, dir); !slices.Equal(got, c.want) {
				t.Errorf("boots %q, want %q", got, c.want)
			}
		})
	}
}

// A boot of which nothing could be written before the program died is the present one, or was.
func TestEmptyBoot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	d, _, _ := load(t, dir, "a")
	appended(t, d, "of a")
	must(t, d.Close())
	for _, id := range []string{"b", "b", "c"} {
		d, l, r := load(t, dir, id)
		if !l.Fresh || l.Previous != "a" || len(r.all()) > 0 || len(l.Damaged) > 0 {
			t.Errorf("%s: %+v, %q", id, l, r.all())
		}
		must(t, d.Close())
	}
	if got := ids(t, dir); !slices.Equal(got, []string{"", "a"}) {
		t.Errorf("boots %q", got)
	}
	if b, err := Read(dir, 0, func() Visitor { return &reading{} }); err != nil || b.ID != "" {
		t.Errorf("Read: %+v, %v", b, err)
	}
	d, _, _ = load(t, dir, "c")
	appended(t, d, "of c")
	must(t, d.Close())
	if got := ids(t, dir); !slices.Equal(got, []string{"c", "a"}) {
		t.Errorf("boots %q", got)
	}
}

func TestLoadRefusesLongBoot(t *testing.T) {
	d := lock(t, filepath.Join(t.TempDir(), "state"))
	if _, err := d.Load(fmt.Sprintf("%0*d", maxBoot+1, 0), keepAll, &reading{}); err == nil {
		t.Error("no error")
	}
	if _, err := d.Load(fmt.Sprintf("%0*d", maxBoot, 0), keepAll, &reading{}); err != nil {
		t.Error(err)
	}
	must(t, d.Close())
}

func TestBootsOfOther(t *testing.T) {
	if _, err := Boots(filepath.Join(t.TempDir(), "no")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	dir := t.TempDir()
	for _, name := range []string{"boot-1", "boot-00000x", "boot--00001", "boot-0000000000001", "old-boot-000001", "damaged", "boot-000012", "boot-1000000"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	must(t, os.WriteFile(filepath.Join(dir, "boot-000013"), nil, 0o600))
	must(t, os.Symlink("/", filepath.Join(dir, "boot-000014")))
	boots, err := Boots(dir)
	if err != nil || len(boots) != 2 || boots[0].Sequence != 1000000 || boots[1].Sequence != 12 {
		t.Errorf("%+v, error %v", boots, err)
	}
}

// Read goes as far as Load, and changes nothing.
func TestReadDamaged(t *testing.T) {
	k := makeKept(t)
	for i, f := range k.files {
		for cut := range f.data {
			dir := k.changed(t, i, f.data[:cut])
			var r reading
			_, err := Read(dir, 0, func() Visitor { r = reading{}; return &r })
			boundary := i > 0 && slices.Contains(f.ends, cut)
			if fine := boundary || i == len(k.files)-1; fine != (err == nil) || !fine && !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s cut at %d: error %v", f.name, cut, err)
			}
			want := k.want(i, f.good(cut), boundary)
			if i == 0 {
				want = want[:f.good(cut)]
			}
			if !slices.Equal(r.all(), want) {
				t.Fatalf("%s cut at %d: %q, want %q", f.name, cut, r.all(), want)
			}
			if b, _ := os.ReadFile(filepath.Join(dir, f.name)); len(b) != cut {
				t.Fatalf("%s is changed", f.name)
			}
		}
	}
}

// What is read while another writes is all that was there at some moment since Read was called, and nothing else.
func TestReadIsConsistent(t *testing.T) {
	for round := range 30 {
		dir := filepath.Join(t.TempDir(), "state")
		d, _, _ := load(t, dir, boot)
		d.disk = unsynced() // else little happens
		appended(t, d, "0")
		var there atomic.Int64
		there.Store(1)
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 2)
		for range cap(done) {
			go func() {
				for ctx.Err() == nil {
					least := there.Load()
					var r *reading
					_, err := Read(dir, 0, func() Visitor { r = &reading{}; return r })
					if err == nil {
						err = ascending(r.all(), int(least))
					}
					if err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
		all := [][]byte{[]byte("0")}
		for i := 1; i < 60; i++ {
			b := []byte(strconv.Itoa(i))
			must(t, d.Append(b))
			all = append(all, b)
			there.Store(int64(len(all)))
			if _, err := d.Done(); err != nil {
				t.Error(err)
			}
			if i%(round+3) == 0 && !d.Busy() {
				must(t, d.Snapshot(slices.Clone(all)))
			}
		}
		stop()
		for range cap(done) {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		must(t, d.Close())
	}
}

// ascending fails if payloads are not 0, 1, 2 … up to at least so many.
func ascending(payloads []string, least int) error {
	for i, p := range payloads {
		if p != strconv.Itoa(i) {
			return fmt.Errorf("%q in place %d", p, i)
		}
	}
	if len(payloads) < least {
		return fmt.Errorf("%d payloads, %d were there before", len(payloads), least)
	}
	return nil
}

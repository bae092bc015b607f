package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// kept is a state directory with a snapshot and two journals, and what is in them.
type kept struct {
	dir   string
	files []keptFile // in the order in which they are read
}

type keptFile struct {
	name  string // below dir
	data  []byte
	lines []string
	ends  []int // of its header and its payloads
}

// makeKept makes one: snapshot 2 follows journal 1, and snapshot 3 fails.
func makeKept(t testing.TB) *kept {
	k := &kept{dir: filepath.Join(t.TempDir(), "state")}
	d, _, _ := load(t, k.dir, boot)
	appended(t, d, "one", "two")
	if err := whole(d, "one", "two"); err != nil {
		t.Fatal(err)
	}
	appended(t, d, "three", "four", "five")
	faulty := true
	d.disk = failing(&faulty, "", "rename")
	if whole(d) == nil {
		t.Fatal("no error")
	}
	appended(t, d, "six", "seven")
	must(t, d.Close())
	k.read(t, "snapshot-000002", "one", "two")
	k.read(t, "journal-000002", "three", "four", "five")
	k.read(t, "journal-000003", "six", "seven")
	return k
}

func (k *kept) read(t testing.TB, name string, lines ...string) {
	f := keptFile{name: filepath.Join("boot-000001", name), lines: lines, ends: []int{16 + len(boot) + 4}}
	var err error
	if f.data, err = os.ReadFile(filepath.Join(k.dir, f.name)); err != nil {
		t.Fatal(err)
	}
	for i, line := range lines {
		f.ends = append(f.ends, f.ends[i]+batchHead+len(line))
	}
	k.files = append(k.files, f)
}

// loaded is what load says, with what was read.
func loaded(t testing.TB, dir, id string) (*Dir, Loaded, []string) {
	t.Helper()
	d, l, r := load(t, dir, id)
	return d, l, r.all()
}

// good is how many payloads of a file are whole if only so many of its bytes are good.
func (f *keptFile) good(n int) int {
	i, exact := slices.BinarySearch(f.ends, n)
	if !exact {
		i--
	}
	return max(i, 0)
}

// want is what is read if so many payloads of a file are good, and whether what follows it is.
func (k *kept) want(file, good int, follow bool) []string {
	var want []string
	for i, f := range k.files {
		switch {
		case i == file:
			want = append(want, f.lines[:good]...)
		case i < file || follow || file == 0: // what follows a snapshot is right all the same
			want = append(want, f.lines...)
		}
	}
	return want
}

// changed is the directory with other content in a file. It is for one use: the next one is in the same place.
func (k *kept) changed(t *testing.T, file int, data []byte) string {
	t.Helper()
	dir := filepath.Join(filepath.Dir(k.dir), "changed")
	if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(k.dir)), os.Chmod(dir, 0o700),
		os.WriteFile(filepath.Join(dir, k.files[file].name), data, 0o600)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// again loads a directory in which damage was found, after that was told of.
func again(t *testing.T, dir string, got []string) {
	t.Helper()
	d, l, second := loaded(t, dir, boot)
	if !slices.Equal(second, got) || len(l.Damaged) > 0 {
		t.Fatalf("the second time: %q, %+v, want %q", second, l.Damaged, got)
	}
	d.disk = unsynced()
	appended(t, d, "more")
	must(t, d.Close())
	d, l, third := loaded(t, dir, boot)
	if !slices.Equal(third, append(slices.Clone(got), "more")) || len(l.Damaged) > 0 {
		t.Fatalf("the third time: %q, %+v, want %q and more", third, l.Damaged, got)
	}
	must(t, d.Close())
}

// checkAside fails if what is set aside is not what could not be read.
func checkAside(t *testing.T, dir string, dam Damage, data []byte) {
	t.Helper()
	b, err := os.ReadFile(dam.Aside)
	if err != nil || filepath.Dir(dam.Aside) != filepath.Join(dir, "damaged") {
		t.Fatalf("%+v: %v", dam, err)
	}
	if !bytes.Equal(b, data[dam.Offset:]) {
		t.Fatalf("aside are %d bytes, want %d", len(b), len(data[dam.Offset:]))
	}
	if !strings.Contains(dam.Error(), dam.Aside) || !strings.Contains(dam.Error(), dam.File) {
		t.Fatalf("message %q", dam.Error())
	}
}

func TestCutAnywhere(t *testing.T) {
	k := makeKept(t)
	for i, f := range k.files {
		journals := i > 0
		for cut := range f.data {
			t.Run(fmt.Sprintf("%s at %d", f.name, cut), func(t *testing.T) {
				boundary := journals && slices.Contains(f.ends, cut)
				dir := k.changed(t, i, f.data[:cut])
				d, l, got := loaded(t, dir, boot)
				if want := k.want(i, f.good(cut), boundary); !slices.Equal(got, want) {
					t.Fatalf("read %q, want %q", got, want)
				}
				if boundary != (len(l.Damaged) == 0) {
					t.Fatalf("reported: %+v", l.Damaged)
				}
				for j, dam := range l.Damaged {
					if dam.Torn != (j == 0 && i == len(k.files)-1) {
						t.Fatalf("torn %t: %+v", dam.Torn, dam)
					}
				}
				if len(l.Damaged) > 0 {
					checkAside(t, dir, l.Damaged[0], f.data[:cut])
				}
				if i == 1 && !boundary { // and what follows it
					checkAside(t, dir, l.Damaged[1], k.files[2].data)
				}
				d.Told()
				must(t, d.Close())
				again(t, dir, got)
			})
		}
	}
}

func TestFlipAnywhere(t *testing.T) {
	k := makeKept(t)
	for i, f := range k.files {
		for at := range f.data {
			t.Run(fmt.Sprintf("%s at %d", f.name, at), func(t *testing.T) {
				data := bytes.Clone(f.data)
				data[at] ^= 1 << (at % 8)
				dir := k.changed(t, i, data)
				d, l, got := loaded(t, dir, boot)
				if want := k.want(i, f.good(at), false); !slices.Equal(got, want) {
					t.Fatalf("read %q, want %q", got, want)
				}
				if len(l.Damaged) == 0 || i == 1 && len(l.Damaged) != 2 {
					t.Fatalf("reported: %+v", l.Damaged)
				}
				// A length that has become too large looks like a file that ends too early.
				before, _ := slices.BinarySearch(f.ends, at+1)
				length := at == 15 || before > 0 && at < f.ends[before-1]+4
				if dam := l.Damaged[0]; dam.Torn && (!length || i != len(k.files)-1) {
					t.Fatalf("torn: %+v", dam)
				}
				checkAside(t, dir, l.Damaged[0], data)
				d.Told()
				must(t, d.Close())
				again(t, dir, got)
			})
		}
	}
}

func TestMisplaced(t *testing.T) {
	k := makeKept(t)
	part := func(file, batch int) []byte {
		f := k.files[file]
		return f.data[f.ends[batch]:f.ends[batch+1]]
	}
	head := func(file int) []byte { return k.files[file].data[:k.files[file].ends[0]] }
	end := k.files[0].data[k.files[0].ends[2]:]
	for _, c := range []struct {
		name string
		file int
		data []byte
		want int // how many of its payloads are good
		err  error
		torn bool
	}{
		{"a batch twice", 2, slices.Concat(head(2), part(2, 0), part(2, 0), part(2, 1)), 1, ErrDamaged, false},
		{"a batch left out", 2, slices.Concat(head(2), part(2, 1)), 0, ErrDamaged, false},
		{"two batches in the wrong order", 2, slices.Concat(head(2), part(2, 1), part(2, 0)), 0, ErrDamaged, false},
		{"a batch of the journal before", 2, slices.Concat(head(2), part(1, 0)), 0, ErrDamaged, false},
		{"a batch of a snapshot", 1, slices.Concat(head(1), part(0, 0)), 0, ErrDamaged, false},
		{"the end of a snapshot in a journal", 2, slices.Concat(k.files[2].data, end), 2, ErrDamaged, false},
		{"the journal before", 2, k.files[1].data, 0, ErrDamaged, false},
		{"a snapshot for a journal", 2, k.files[0].data, 0, ErrDamaged, false},
		{"another boot's", 2, header(journal, 3, "another boot"), 0, ErrDamaged, false},
		{"another program's", 2, []byte(strings.Repeat("#!/bin/sh\n", 9)), 0, ErrDamaged, false},
		{"a boot id that is too long", 2, header(journal, 3, strings.Repeat("x", maxBoot+1)), 0, ErrDamaged, false},
		{"nothing", 2, nil, 0, errCut, true},
		{"zeros behind it", 2, slices.Concat(k.files[2].data, make([]byte, 4096)), 2, ErrDamaged, false},
		{"a length that no batch has", 2, slices.Concat(k.files[2].data, []byte{1, 0, 0, 1, 0, 0, 0, 0}), 2, ErrDamaged, false},
		{"a length that goes beyond the end", 2, slices.Concat(k.files[2].data, []byte{1, 0, 0, 0, 0, 0, 0, 0}), 2, errCut, true},
		{"a snapshot without a payload", 0, slices.Concat(head(0), part(0, 0), end), 1, ErrDamaged, false},
		{"something behind a snapshot", 0, slices.Concat(k.files[0].data, []byte{0}), 2, ErrDamaged, false},
		{"two ends of a snapshot", 0, slices.Concat(k.files[0].data, end), 2, ErrDamaged, false},
		{"a snapshot without an end", 0, k.files[0].data[:k.files[0].ends[2]], 2, ErrDamaged, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := k.changed(t, c.file, c.data)
			d, l, got := loaded(t, dir, boot)
			if want := k.want(c.file, c.want, false); !slices.Equal(got, want) {
				t.Errorf("read %q, want %q", got, want)
			}
			if len(l.Damaged) == 0 || !errors.Is(l.Damaged[0].Err, c.err) || l.Damaged[0].Torn != c.torn {
				t.Fatalf("reported: %+v", l.Damaged)
			}
			checkAside(t, dir, l.Damaged[0], c.data)
			d.Told()
			must(t, d.Close())
			again(t, dir, got)
		})
	}
}

// newer is a file as a version that comes later may write it.
func newer(k kind, generation uint64, boot string) []byte {
	b := header(k, generation, boot)
	b = b[:len(b)-4]
	b[4] = Version + 1
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return append(b, "what it holds"...)
}

func TestNewerVersion(t *testing.T) {
	k := makeKept(t)
	for i, f := range k.files {
		t.Run(f.name, func(t *testing.T) {
			kd, g := journal, uint64(2)
			if i == 0 {
				kd = snapshot
			}
			if i == 2 {
				g = 3
			}
			data := newer(kd, g, boot)
			dir := k.changed(t, i, data)
			if _, err := Read(dir, 0, func() Visitor { return &reading{} }); !errors.Is(err, ErrNewer) {
				t.Errorf("Read: error %v, want ErrNewer", err)
			}
			d, l, got := loaded(t, dir, boot)
			if want := k.want(i, 0, false); !slices.Equal(got, want) {
				t.Errorf("read %q, want %q", got, want)
			}
			if len(l.Damaged) == 0 || !errors.Is(l.Damaged[0].Err, ErrNewer) || l.Damaged[0].Torn {
				t.Fatalf("reported: %+v", l.Damaged)
			}
			checkAside(t, dir, l.Damaged[0], data)
			d.Told()
			must(t, d.Close())
			again(t, dir, got)
		})
	}
	t.Run("nothing else", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		files := filepath.Join(dir, "boot-000004")
		if err := errors.Join(os.MkdirAll(files, 0o700), os.Chmod(dir, 0o700),
			os.WriteFile(filepath.Join(files, "snapshot-000009"), newer(snapshot, 9, boot), 0o600)); err != nil {
			t.Fatal(err)
		}
		boots, err := Boots(dir)
		if err != nil || len(boots) != 1 || boots[0].ID != boot {
			t.Errorf("boots %+v, error %v", boots, err)
		}
		d, l, got := loaded(t, dir, boot)
		if len(got) > 0 || len(l.Damaged) != 1 || !errors.Is(l.Damaged[0].Err, ErrNewer) {
			t.Errorf("read %q, reported %+v", got, l.Damaged)
		}
		d.Told()
		must(t, d.Close())
		again(t, dir, nil)
	})
}

func TestRefusedByVisitor(t *testing.T) {
	k := makeKept(t)
	for i, f := range k.files {
		for j, line := range f.lines {
			t.Run(line, func(t *testing.T) {
				dir := k.changed(t, i, f.data)
				d := lock(t, dir)
				v := reading{refuse: line}
				l, err := d.Load(boot, keepAll, &v)
				if err != nil {
					t.Fatal(err)
				}
				if want := k.want(i, j, false); !slices.Equal(v.all(), want) {
					t.Errorf("read %q, want %q", v.all(), want)
				}
				if len(l.Damaged) == 0 || !errors.Is(l.Damaged[0].Err, ErrDamaged) || l.Damaged[0].Torn || l.Damaged[0].Offset != int64(f.ends[j]) {
					t.Fatalf("reported: %+v", l.Damaged)
				}
				checkAside(t, dir, l.Damaged[0], f.data)
				d.Told()
				must(t, d.Close())
				again(t, dir, v.all())
			})
		}
	}
}

// What could not be read is not what has not been written: the disk may be damaged.
func TestUnreadableIsNotTorn(t *testing.T) {
	k := makeKept(t)
	f := k.files[2]
	bad := errors.New("input/output error")
	for at := range f.data {
		r, err := newReader(io.MultiReader(bytes.NewReader(f.data[:at]), iotest.ErrReader(bad)), int64(len(f.data)), journal, 3, boot)
		for err == nil {
			_, err = r.next()
		}
		if !errors.Is(err, ErrDamaged) || !errors.Is(err, bad) || errors.Is(err, errCut) {
			t.Fatalf("at %d: error %v, want damage by %v", at, err, bad)
		}
	}
}

package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A reading is what a visitor got: a snapshot stands for everything before it.
type reading struct {
	snapshots, journal []string
	refuse             string // a payload that it does not understand
}

var errRefused = errors.New("not understood")

func (r *reading) Snapshot(p []byte) error {
	if r.refuse != "" && string(p) == r.refuse {
		return errRefused
	}
	r.snapshots = append(r.snapshots, string(p))
	return nil
}

func (r *reading) Journal(p []byte) error {
	if r.refuse != "" && string(p) == r.refuse {
		return errRefused
	}
	r.journal = append(r.journal, string(p))
	return nil
}

func (r *reading) all() []string { return append(slices.Clone(r.snapshots), r.journal...) }

const boot = "01234567-89ab-cdef-0123-456789abcdef"

var keepAll = Keep{Boots: 3, Bytes: 1 << 30}

func lock(t testing.TB, path string) *Dir {
	t.Helper()
	d, err := Lock(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func load(t testing.TB, path, id string) (*Dir, Loaded, *reading) {
	t.Helper()
	d, r := lock(t, path), &reading{}
	l, err := d.Load(id, keepAll, r)
	if err != nil {
		t.Fatal(err)
	}
	return d, l, r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func snapshotted(t testing.TB, d *Dir, payloads ...string) {
	t.Helper()
	var list [][]byte
	for _, p := range payloads {
		list = append(list, []byte(p))
	}
	must(t, d.Snapshot(list))
	must(t, d.finished(<-d.done))
}

func TestWhatIsAppendedIsLoaded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "state")
	d, l, _ := load(t, path, boot)
	if !l.Fresh || l.Previous != "" {
		t.Errorf("%+v", l)
	}
	must(t, d.Append([]byte("one")))
	must(t, d.Append(nil))
	must(t, d.Close())
	d, l, r := load(t, path, boot)
	if l.Fresh || !slices.Equal(r.all(), []string{"one", ""}) {
		t.Errorf("%+v: %q", l, r.all())
	}
	must(t, d.Append([]byte("two")))
	snapshotted(t, d, "all", "of it")
	must(t, d.Append([]byte("three")))
	must(t, d.Close())
	d, _, r = load(t, path, boot)
	if !slices.Equal(r.snapshots, []string{"all", "of it"}) || !slices.Equal(r.journal, []string{"three"}) {
		t.Errorf("%q, %q", r.snapshots, r.journal)
	}
	must(t, d.Close())
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestOtherBoots(t *testing.T) {
	path := t.TempDir()
	must(t, os.Chmod(path, 0o700))
	for i := range 6 {
		d, l, r := load(t, path, fmt.Sprint("boot ", i))
		if !l.Fresh || len(r.all()) > 0 || i > 0 && l.Previous != fmt.Sprint("boot ", i-1) {
			t.Errorf("boot %d: %+v", i, l)
		}
		must(t, d.Append(fmt.Append(nil, "of boot ", i)))
		must(t, d.Close())
	}
	boots, err := Boots(path)
	must(t, err)
	if len(boots) != 4 || boots[0].ID != "boot 5" || boots[3].ID != "boot 2" || boots[0].Bytes == 0 {
		t.Errorf("%+v", boots)
	}
	for back := range 4 {
		r := &reading{}
		b, err := Read(path, back, func() Visitor { return r })
		if err != nil || b.ID != fmt.Sprint("boot ", 5-back) || !slices.Equal(r.all(), []string{fmt.Sprint("of boot ", 5-back)}) {
			t.Errorf("%d back: %v %q %v", back, b, r.all(), err)
		}
	}
	if _, err := Read(path, 4, func() Visitor { return &reading{} }); !errors.Is(err, ErrNoBoot) {
		t.Errorf("a boot that is not there: %v", err)
	}
	d := lock(t, path)
	if _, err := d.Load("boot 6", Keep{Boots: 10, Bytes: boots[0].Bytes + 1}, &reading{}); err != nil {
		t.Fatal(err)
	}
	must(t, d.Close())
	if boots, _ = Boots(path); len(boots) != 2 {
		t.Errorf("one boot's bytes may be kept: %+v", boots)
	}
}

func TestLockedByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	first := lock(t, path)
	ctx, cancel := context.WithTimeout(context.Background(), 3*lockPoll)
	defer cancel()
	_, err := Lock(ctx, path)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d", os.Getpid())) {
		t.Errorf("%v", err)
	}
	if !Held(path) {
		t.Error("nobody holds it")
	}
	got := make(chan *Dir)
	go func() {
		d, err := Lock(context.Background(), path)
		if err != nil {
			t.Error(err)
		}
		got <- d
	}()
	must(t, first.Close())
	must(t, (<-got).Close())
	if Held(path) {
		t.Error("somebody holds it")
	}
}

// fill makes a state of a snapshot and two journals, and returns its files and what they hold.
func fill(t testing.TB, path string) (files []string, want []string) {
	t.Helper()
	d, _, _ := load(t, path, boot)
	must(t, d.Append([]byte("before")))
	snapshotted(t, d, "s1", "s2", "s3")
	for i := range 3 {
		must(t, d.Append(fmt.Append(nil, "a", i)))
	}
	must(t, d.Close())
	d, _, _ = load(t, path, boot)
	for i := range 3 {
		must(t, d.Append(fmt.Append(nil, "b", i)))
	}
	must(t, d.Close())
	files, err := filepath.Glob(filepath.Join(path, "boot-000001", "*"))
	must(t, err)
	if len(files) != 3 {
		t.Fatalf("%q", files)
	}
	return files, []string{"s1", "s2", "s3", "a0", "a1", "a2", "b0", "b1", "b2"}
}

// TestEveryByteDamaged cuts every file at every byte, and changes every byte: what is loaded is right, the damage is told
// of, and the second time everything is well.
func TestEveryByteDamaged(t *testing.T) {
	model := filepath.Join(t.TempDir(), "state")
	files, want := fill(t, model)
	for _, file := range files {
		whole, err := os.ReadFile(file)
		must(t, err)
		for at := range whole {
			for _, cut := range []bool{true, false} {
				path := filepath.Join(t.TempDir(), "state")
				must(t, os.CopyFS(path, os.DirFS(model)))
				must(t, os.Chmod(path, 0o700))
				b := slices.Clone(whole)
				if cut {
					b = b[:at]
				} else {
					b[at] ^= 0x10
				}
				rel, _ := filepath.Rel(model, file)
				must(t, os.WriteFile(filepath.Join(path, rel), b, 0o600))
				checkDamaged(t, fmt.Sprintf("%s at %d, cut %v", filepath.Base(file), at, cut), path, want)
				must(t, os.RemoveAll(path))
				if t.Failed() {
					return
				}
			}
		}
	}
}

func checkDamaged(t *testing.T, name, path string, want []string) {
	t.Helper()
	d, l, r := load(t, path, boot)
	if !subsequence(r.all(), want) {
		t.Errorf("%s: %q", name, r.all())
	}
	if len(l.Damaged) == 0 && len(r.all()) < len(want) && !prefixOfJournals(r.all(), want) {
		t.Errorf("%s: nothing is said of what is missing: %q", name, r.all())
	}
	for _, dam := range l.Damaged {
		if dam.Aside == "" && dam.File != d.dir {
			t.Errorf("%s: nothing is set aside: %+v", name, dam)
		}
	}
	d.Told()
	must(t, d.Append([]byte("after")))
	must(t, d.Close())
	d, l2, again := load(t, path, boot)
	if len(l2.Damaged) > 0 || !slices.Equal(again.all(), append(r.all(), "after")) {
		t.Errorf("%s: the second time %+v, %q; the first time %q", name, l2.Damaged, again.all(), r.all())
	}
	must(t, d.Close())
}

// prefixOfJournals reports whether only the ends of journals are missing, cut off between two batches: nobody can tell that
// from a journal that was not written any further.
func prefixOfJournals(got, want []string) bool {
	return len(got) >= 3 && slices.Equal(got[:3], want[:3])
}

func subsequence(got, want []string) bool {
	for _, g := range got {
		i := slices.Index(want, g)
		if i < 0 {
			return false
		}
		want = want[i+1:]
	}
	return true
}

func TestDamageIsToldOfUntilSomebodyHasHeard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	files, _ := fill(t, path)
	snap := files[len(files)-1]
	b, err := os.ReadFile(snap)
	must(t, err)
	b[len(b)/2] ^= 1
	must(t, os.WriteFile(snap, b, 0o600))
	for i := range 3 {
		d, l, _ := load(t, path, boot)
		if (len(l.Damaged) > 0) != (i < 2) {
			t.Errorf("load %d: %+v", i, l.Damaged)
		}
		if i == 1 {
			d.Told()
		}
		must(t, d.Close())
	}
}

func TestWhatIsNotUnderstoodIsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	fill(t, path)
	d, r := lock(t, path), &reading{refuse: "a1"}
	l, err := d.Load(boot, keepAll, r)
	must(t, err)
	if len(l.Damaged) != 2 || l.Damaged[0].Torn || !errors.Is(l.Damaged[0].Err, errRefused) || !slices.Equal(r.all(), []string{"s1", "s2", "s3", "a0"}) {
		t.Errorf("%+v %q", l.Damaged, r.all())
	}
	must(t, d.Close())
}

func TestNewerFormatIsSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	files, _ := fill(t, path)
	b := header(journal, 3, boot)
	b[4] = Version + 1
	must(t, os.WriteFile(files[1], resum(b), 0o600))
	d, l, _ := load(t, path, boot)
	if len(l.Damaged) != 1 || !errors.Is(l.Damaged[0].Err, ErrNewer) || l.Damaged[0].Aside == "" {
		t.Errorf("%+v", l.Damaged)
	}
	must(t, d.Close())
}

// TestFormatOfVersion1 reads a state that version 1 has written, byte by byte as it is here.
func TestFormatOfVersion1(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	must(t, os.MkdirAll(filepath.Join(path, "boot-000001"), 0o700))
	must(t, os.Chmod(path, 0o700))
	const file = "AHST\x01\x00j\x01\x00\x00\x00\x00\x00\x00\x00\x04boots8:\xd6\x03\x00\x00\x00\xbc\xb0C\xa1one"
	must(t, os.WriteFile(filepath.Join(path, "boot-000001", "journal-000001"), []byte(file), 0o600))
	d, l, r := load(t, path, "boot")
	if len(l.Damaged) > 0 || !slices.Equal(r.all(), []string{"one"}) {
		t.Errorf("%+v %q", l.Damaged, r.all())
	}
	must(t, d.Close())
}

func TestAsideIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	for range 3 * asideFiles {
		d, _, _ := load(t, path, boot)
		must(t, d.Append([]byte("x")))
		must(t, d.Close())
		last := name(d.dir, journal, d.generation)
		b, err := os.ReadFile(last)
		must(t, err)
		b[len(b)-1] ^= 1
		must(t, os.WriteFile(last, b, 0o600))
	}
	if n := len(asides(filepath.Join(path, asideDir))); n != asideFiles {
		t.Errorf("%d files are set aside", n)
	}
}

func TestReadWhileAnotherWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	d, _, _ := load(t, path, boot)
	must(t, d.Append([]byte("0")))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := d.Append([]byte(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
			if i%20 == 0 && !d.Busy() {
				if err := d.Snapshot([][]byte{[]byte(fmt.Sprint(i))}); err != nil {
					t.Error(err)
				}
			}
			_, _ = d.Done()
		}
	}()
	for range 200 {
		r := &reading{}
		if _, err := Read(path, 0, func() Visitor { *r = reading{}; return r }); err != nil {
			t.Fatal(err)
		}
		last := -1
		for i, p := range r.all() {
			var n int
			_, _ = fmt.Sscan(p, &n)
			if i > 0 && n != last+1 {
				t.Fatalf("%d follows %d", n, last)
			}
			last = n
		}
	}
	close(stop)
	<-done
	must(t, d.Close())
}

// resum makes a header's checksum right.
func resum(b []byte) []byte {
	b = b[:len(b)-4]
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func BenchmarkAppend(b *testing.B) {
	d, _, _ := load(b, filepath.Join(b.TempDir(), "state"), boot)
	payload := make([]byte, 4096)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		must(b, d.Append(payload))
	}
	must(b, d.Close())
}

// FuzzFile: whatever a file holds, loading neither panics nor takes more than its size.
func FuzzFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "state")
	files, _ := fill(f, path)
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(f, err)
		f.Add(b, strings.Contains(file, "snapshot"))
	}
	f.Fuzz(func(t *testing.T, b []byte, isSnapshot bool) {
		path := filepath.Join(t.TempDir(), "state")
		must(t, os.MkdirAll(filepath.Join(path, "boot-000001"), 0o700))
		must(t, os.Chmod(path, 0o700))
		k := journal
		if isSnapshot {
			k = snapshot
		}
		must(t, os.WriteFile(name(filepath.Join(path, "boot-000001"), k, 2), b, 0o600))
		d, _, r := load(t, path, boot)
		n := 0
		for _, p := range r.all() {
			n += len(p)
		}
		if n > len(b) {
			t.Errorf("%d bytes of %d", n, len(b))
		}
		must(t, d.Close())
	})
}

// faulty is a disk on which anything may fail.
type faulty struct {
	disk
	random *rand.Rand
	rate   int // one of so many fails, 0: none
}

var errDisk = errors.New("the disk fails")

func (f *faulty) fails() bool { return f.rate > 0 && f.random.IntN(f.rate) == 0 }

func (f *faulty) create(name string) (file, error) {
	if f.fails() {
		return nil, errDisk
	}
	inner, err := f.disk.create(name)
	return &faultyFile{inner, f}, err
}

func (f *faulty) rename(from, to string) error {
	if f.fails() {
		return errDisk
	}
	return f.disk.rename(from, to)
}

type faultyFile struct {
	file
	on *faulty
}

func (f *faultyFile) Write(b []byte) (int, error) {
	if f.on.fails() {
		n, _ := f.file.Write(b[:f.on.random.IntN(len(b)+1)])
		return n, errDisk
	}
	return f.file.Write(b)
}

// TestNothingIsLostOnABadDisk appends and snapshots while anything fails, and loads copies made at any moment.
func TestNothingIsLostOnABadDisk(t *testing.T) {
	for range 40 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 5))
		path := filepath.Join(t.TempDir(), "state")
		d, _, _ := load(t, path, boot)
		bad := &faulty{random: random, rate: 2 + random.IntN(10)}
		d.disk = bad
		next := 0
		for range 150 {
			switch random.IntN(12) {
			case 0:
				if d.Snapshot([][]byte{[]byte(fmt.Sprint(next - 1))}) == nil {
					_ = d.finished(<-d.done) // it may have failed, and then what was before counts
				}
			case 1:
				crash := filepath.Join(t.TempDir(), "state")
				must(t, os.CopyFS(crash, os.DirFS(path)))
				must(t, os.Chmod(crash, 0o700))
				copied, _, r := load(t, crash, boot)
				checkNumbers(t, seed, r.all(), next)
				must(t, copied.Close())
			default:
				if d.Append([]byte(fmt.Sprint(next))) == nil {
					next++
				}
			}
			if t.Failed() {
				return
			}
		}
		bad.rate = 0
		must(t, d.Close())
	}
}

// checkNumbers: the last number is next-1, and all before it follow each other, from a snapshot on, which says which were
// before.
func checkNumbers(t *testing.T, seed uint64, got []string, next int) {
	t.Helper()
	last := -1
	for i, p := range got {
		var n int
		_, _ = fmt.Sscan(p, &n)
		if n != last+1 && i > 0 {
			t.Errorf("seed %d: %d follows %d: %q", seed, n, last, got)
		}
		last = n
	}
	if last != next-1 {
		t.Errorf("seed %d: ends with %d, appended were %d: %q", seed, last, next, got)
	}
}

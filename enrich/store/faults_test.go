package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func appended(t testing.TB, d *Dir, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		must(t, d.Append([]byte(p)))
	}
}

// whole takes a snapshot and waits for it.
func whole(d *Dir, payloads ...string) error {
	var list [][]byte
	for _, p := range payloads {
		list = append(list, []byte(p))
	}
	if err := d.Snapshot(list); err != nil {
		return err
	}
	return d.finished(<-d.done)
}

func copied(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	must(t, errors.Join(os.CopyFS(to, os.DirFS(dir)), os.Chmod(to, 0o700)))
	return to
}

func namesIn(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A tap is a disk of which every call goes through around, with the number of bytes that are written. What do returns is
// what the disk has done.
type tap struct {
	around func(op, name string, n int, do func(n int) error) error
}

func (p tap) create(name string) (f file, err error) {
	err = p.around("create", name, 0, func(int) error {
		f, err = disk{}.create(name)
		return err
	})
	if err == nil {
		return tapFile{p, name, f}, nil
	}
	if f != nil {
		_ = f.Close()
	}
	return nil, err
}

func (p tap) rename(from, to string) error {
	return p.around("rename", from, 0, func(int) error { return disk{}.rename(from, to) })
}

func (p tap) remove(name string) error {
	return p.around("remove", name, 0, func(int) error { return disk{}.remove(name) })
}

func (p tap) syncDir(name string) error {
	return p.around("sync", name, 0, func(int) error { return disk{}.syncDir(name) })
}

type tapFile struct {
	tap  tap
	name string
	f    file
}

func (f tapFile) Write(b []byte) (n int, err error) {
	err = f.tap.around("write", f.name, len(b), func(most int) error {
		n, err = f.f.Write(b[:most])
		return err
	})
	return n, err
}

func (f tapFile) Truncate(size int64) error {
	return f.tap.around("truncate", f.name, 0, func(int) error { return f.f.Truncate(size) })
}

func (f tapFile) Sync() error {
	return f.tap.around("sync", f.name, 0, func(int) error { return f.f.Sync() })
}

func (f tapFile) Close() error {
	return f.tap.around("close", f.name, 0, func(int) error { return f.f.Close() })
}

// failing is a disk on which some operations fail on files whose name has something in it; half of what is to be written
// is written then.
func failing(when *bool, on string, ops ...string) tap {
	return tap{func(op, name string, n int, do func(int) error) error {
		if !*when || !slices.Contains(ops, op) || !strings.Contains(name, on) {
			return do(n)
		}
		if op == "write" {
			_ = do(n / 2)
		}
		return syscall.ENOSPC
	}}
}

// unsynced is a disk that is not waited for.
func unsynced() tap {
	return tap{func(op, _ string, n int, do func(int) error) error {
		if op == "sync" {
			return nil
		}
		return do(n)
	}}
}

func TestFaults(t *testing.T) {
	appendB := func(d *Dir) error { return d.Append([]byte("b")) }
	wholeAB := func(d *Dir) error { return whole(d, "a", "b") }
	for _, c := range []struct {
		name string
		ops  []string           // that fail
		on   string             // if the name of the file has this in it
		do   func(d *Dir) error // while they do
		kept bool               // what was done is there all the same
	}{
		{"half a batch", []string{"write"}, "journal", appendB, false},
		{"half a batch that cannot be taken back", []string{"write", "truncate"}, "journal", appendB, false},
		{"a snapshot that cannot begin", []string{"create"}, "journal", wholeAB, false},
		{"a snapshot that begins with half a header", []string{"write"}, "journal", wholeAB, false},
		{"half a header that stays", []string{"write", "remove"}, "journal", wholeAB, false},
		{"a snapshot that cannot be made", []string{"create"}, ".new", wholeAB, false},
		{"half a snapshot", []string{"write"}, ".new", wholeAB, false},
		{"half a snapshot that stays", []string{"write", "remove"}, ".new", wholeAB, false},
		{"a snapshot that does not reach the disk", []string{"sync"}, ".new", wholeAB, false},
		{"a journal before it that does not", []string{"sync"}, "journal", wholeAB, false},
		{"a snapshot that is not renamed", []string{"rename"}, ".new", wholeAB, false},
		{"what it replaces stays", []string{"remove"}, "journal", wholeAB, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, faulty := filepath.Join(t.TempDir(), "state"), false
			d, _, _ := load(t, dir, boot)
			d.disk = failing(&faulty, c.on, c.ops...)
			appended(t, d, "a")
			faulty = true
			if err := c.do(d); !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "state directory "+dir+": ") {
				t.Fatalf("error %v, want that of the disk", err)
			}
			want := []string{"a"}
			if c.kept {
				want = append(want, "b")
			}
			crashed, _, r := load(t, copied(t, dir), boot)
			if !slices.Equal(r.all(), want) {
				t.Errorf("after a crash: %q, want %q", r.all(), want)
			}
			must(t, crashed.Close())
			faulty = false
			if !c.kept {
				appended(t, d, "b")
			}
			appended(t, d, "c")
			must(t, whole(d, "a", "b", "c"))
			appended(t, d, "d")
			must(t, d.Close())
			d, l, r := load(t, dir, boot)
			if !slices.Equal(r.all(), []string{"a", "b", "c", "d"}) || len(l.Damaged) > 0 {
				t.Errorf("in the end: %q, %+v", r.all(), l.Damaged)
			}
			number := fmt.Sprintf("%06d", d.generation)
			if files := namesIn(t, d.dir); !slices.Equal(files, []string{"journal-" + number, "snapshot-" + number}) {
				t.Errorf("files %q", files)
			}
			must(t, d.Close())
		})
	}
}

// hazard makes what is done to the disk fail, and copies the directory as it would be if the process died there.
type hazard struct {
	mu      sync.Mutex
	t       *testing.T
	rng     *rand.Rand
	dir     string
	faults  bool
	kept    []string // what Append has returned nil for
	pending string   // what it was called with
	crashes []crash
}

type crash struct {
	dir     string
	kept    []string
	pending string
}

// around does something with up to n bytes, or a part of it, or not at all.
func (h *hazard) around(op, _ string, n int, do func(n int) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rng.IntN(10) == 0 && len(h.crashes) < 12 {
		h.crashes = append(h.crashes, crash{copied(h.t, h.dir), slices.Clone(h.kept), h.pending})
	}
	if !h.faults || h.rng.IntN(5) != 0 {
		return do(n)
	}
	switch {
	case op == "write":
		_ = do(h.rng.IntN(n + 1))
	case op == "close" || h.rng.IntN(4) == 0:
		_ = do(n) // it is done, and reported to have failed all the same
	}
	return fmt.Errorf("%s: %w", op, []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS}[h.rng.IntN(3)])
}

func (h *hazard) set(faults bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = faults
}

// append tries until it is kept, with a snapshot of what is kept so far now and then in between.
func (h *hazard) append(d *Dir, payload string, rng *rand.Rand) {
	h.mu.Lock()
	h.pending = payload
	h.mu.Unlock()
	for try := 0; d.Append([]byte(payload)) != nil; try++ {
		if rng.IntN(4) == 0 {
			h.snapshot(d, rng)
		}
		if try == 20 { // a fault that lasts
			h.set(false)
		}
		if try > 100 {
			h.t.Fatal("the fault is over, and nothing can be appended all the same")
		}
	}
	h.mu.Lock()
	h.kept, h.pending = append(h.kept, payload), ""
	h.mu.Unlock()
}

// snapshot takes one of all that is kept, and waits for it, or not.
func (h *hazard) snapshot(d *Dir, rng *rand.Rand) {
	h.mu.Lock()
	var all [][]byte
	for _, p := range h.kept {
		all = append(all, []byte(p))
	}
	h.mu.Unlock()
	_ = d.Snapshot(all)
	if d.Busy() && rng.IntN(2) == 0 {
		_ = d.finished(<-d.done)
	}
	_, _ = d.Done()
}

// restart gives the directory up and takes it again.
func (h *hazard) restart(d *Dir) *Dir {
	_ = d.Close()
	h.set(false)
	d, _, r := load(h.t, h.dir, boot)
	if !slices.Equal(r.all(), h.kept) {
		h.t.Fatalf("after a restart there are %d payloads, want %d", len(r.all()), len(h.kept))
	}
	d.Told()
	d.disk = tap{h.around}
	return d
}

func (c *crash) check(t *testing.T, faults bool) {
	d, l, r := load(t, c.dir, boot)
	if !slices.Equal(r.all(), c.kept) && !slices.Equal(r.all(), append(slices.Clone(c.kept), c.pending)) {
		t.Fatalf("%d payloads, want %d; %+v", len(r.all()), len(c.kept), l)
	}
	// The copy may have been made in the middle of a write.
	l.Damaged = slices.DeleteFunc(l.Damaged, func(d Damage) bool { return d.Torn })
	if !faults && len(l.Damaged) > 0 {
		t.Fatalf("nothing was damaged: %+v", l.Damaged)
	}
	d.Told()
	d.disk = unsynced()
	appended(t, d, "more")
	must(t, d.Close())
	d, l, again := load(t, c.dir, boot)
	if !slices.Equal(again.all(), append(r.all(), "more")) || len(l.Damaged) > 0 {
		t.Fatalf("loaded again: %d payloads, want %d and one more; %+v", len(again.all()), len(r.all()), l)
	}
	must(t, d.Close())
}

// TestNothingIsLost: what Append has returned nil for is there whenever the process dies, once, and in order, whatever the
// disk does and whatever snapshot is under way.
func TestNothingIsLost(t *testing.T) {
	for seed := range uint64(30) {
		faults := seed%3 > 0
		t.Run(fmt.Sprintf("seed %d, faults %t", seed, faults), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			h := &hazard{t: t, rng: rand.New(rand.NewPCG(seed, 1)), dir: filepath.Join(t.TempDir(), "state")}
			d, _, _ := load(t, h.dir, boot)
			d.disk = tap{h.around}
			for i := range 60 {
				h.set(faults && rng.IntN(3) > 0)
				switch n := rng.IntN(20); {
				case n < 2:
					h.snapshot(d, rng)
				case n == 2:
					_ = d.Sync()()
				case n == 3:
					d = h.restart(d)
				default:
					h.append(d, fmt.Sprintf("%d %s", i, strings.Repeat("x", rng.IntN(300))), rng)
				}
			}
			must(t, h.restart(d).Close())
			for _, c := range h.crashes {
				c.check(t, faults)
			}
		})
	}
}

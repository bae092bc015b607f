package store

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestSizes(t *testing.T) {
	dir, faulty := filepath.Join(t.TempDir(), "state"), false
	d, _, _ := load(t, dir, boot)
	d.disk = failing(&faulty, "", "rename")
	sizes := func(what string, journals, snapshots int64) {
		t.Helper()
		if d.JournalBytes() != journals || d.SnapshotBytes() != snapshots {
			t.Errorf("%s: journals %d, snapshot %d, want %d, %d", what, d.JournalBytes(), d.SnapshotBytes(), journals, snapshots)
		}
	}
	const head, batch, ten = 16 + 36 + 4, batchHead + 10, "1234567890"
	sizes("empty", 0, 0)
	appended(t, d, ten, ten)
	sizes("two", head+2*batch, 0)
	faulty = true
	if whole(d, ten, ten) == nil {
		t.Fatal("no error")
	}
	faulty = false
	appended(t, d, ten)
	sizes("a snapshot that failed", 2*head+3*batch, 0)
	must(t, d.Snapshot([][]byte{[]byte(ten), []byte(ten + ten)}))
	if !d.Busy() || !errors.Is(d.Snapshot(nil), ErrBusy) {
		t.Error("a second snapshot at once")
	}
	sizes("a snapshot under way", 3*head+3*batch, 2*batch+10)
	must(t, d.finished(<-d.done))
	appended(t, d, ten)
	sizes("a snapshot", head+batch, 2*batch+10)
	must(t, d.Close())
	d, _, _ = load(t, dir, boot)
	sizes("loaded", head+batch, head+2*batch+10+batchHead)
	must(t, d.Close())
}

func TestTooLong(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	d, _, _ := load(t, dir, boot)
	long := strings.Repeat("x", maxPayload)
	if err := d.Append([]byte(long + "x")); err == nil {
		t.Error("a batch that cannot be read again")
	}
	if err := d.Snapshot([][]byte{nil, []byte(long + "x")}); err == nil || d.Busy() {
		t.Error("a snapshot that cannot be read again")
	}
	want := []string{long, "", "a"}
	appended(t, d, want...)
	must(t, d.Close())
	d, _, r := load(t, dir, boot)
	if !slices.Equal(r.all(), want) {
		t.Errorf("%d payloads, want 3", len(r.all()))
	}
	must(t, whole(d, want...))
	must(t, d.Close())
	d, l, r := load(t, dir, boot)
	if !slices.Equal(r.all(), want) || len(l.Damaged) > 0 {
		t.Errorf("%d payloads, want 3; %+v", len(r.all()), l.Damaged)
	}
	must(t, d.Close())
}

func TestSync(t *testing.T) {
	faulty := false
	d, _, _ := load(t, filepath.Join(t.TempDir(), "state"), boot)
	d.disk = failing(&faulty, "journal", "sync")
	must(t, d.Sync()()) // of nothing
	appended(t, d, "a")
	sync := d.Sync()
	must(t, sync())
	must(t, whole(d, "a"))
	must(t, sync()) // of a journal that a snapshot has replaced
	faulty = true
	if err := d.Sync()(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v, want that of the disk", err)
	}
	if err := d.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Close: error %v, want that of the disk", err)
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"audisp-history/conf"
	"audisp-history/enrich"
	"audisp-history/enrich/packed"
	"audisp-history/enrich/store"
	"audisp-history/plugin/sink"
)

const (
	// lockWait is how long another process may hold the state directory: the one before this, which is ending.
	lockWait = 30 * time.Second
	// syncEvery is how often the journal is brought to the disk.
	syncEvery = 5 * time.Second
	// A snapshot is taken when the journal is longer than leastJournal and than a fourth of the last snapshot: a journal
	// takes about four times as long to load as a snapshot of its length.
	leastJournal = 2 << 20
	journalShare = 4
	// snapshotAgain is how long after a snapshot that failed the next one begins: each leaves files behind.
	snapshotAgain = 2 * time.Second
	// maxUnkept is how many bytes of the journal are kept in memory while they cannot be written.
	maxUnkept = 16 << 20
)

// A keeper keeps what the stream knows in the state directory, and goes on without it where that cannot be.
type keeper struct {
	dir     *store.Dir // nil if nothing is kept
	stream  *enrich.Stream
	log     zerolog.Logger
	unkept  [][]byte  // pieces that could not be written yet
	waiting int       // bytes of them
	whole   bool      // a snapshot is due, because pieces were dropped or damaged
	again   time.Time // before this, no snapshot is tried: one has failed
	look    bool      // or because of a look at /proc
	broken  bool      // the directory could not be written the last time
	synced  time.Time
	dirty   bool // something was written since
	begun   bool // something was ever written
	syncing chan error
	looks   uint64 // looks at /proc that the snapshot knows of
}

// A keptOutput is what is kept of an output beside what the stream knows: how far it is.
type keptOutput struct {
	name   string
	place  sink.Place // of a file
	file   bool
	behind bool // it may lack events that are known as handled
}

// packOutputs and unpackOutputs write and read them.
func packOutputs(outputs []keptOutput) []byte {
	var w packed.Writer
	w.Uint(uint64(len(outputs)))
	for i := range outputs {
		o := &outputs[i]
		w.String(o.name)
		w.Bool(o.file)
		w.Bool(o.behind)
		w.Uint(o.place.Device)
		w.Uint(o.place.Inode)
		w.Int(o.place.Size)
	}
	return bytes.Clone(w.Bytes())
}

func unpackOutputs(b []byte) ([]keptOutput, bool) {
	if len(b) == 0 {
		return nil, false
	}
	var r packed.Reader
	r.Feed(b)
	var outputs []keptOutput
	for range r.Count(6) {
		o := keptOutput{name: r.String(), file: r.Bool(), behind: r.Bool()}
		o.place = sink.Place{Device: r.Uint(), Inode: r.Uint(), Size: r.Int()}
		if o.place.Size < 0 {
			return nil, false
		}
		outputs = append(outputs, o)
	}
	return outputs, r.Err() == nil
}

// openState takes the state directory and loads what is there. The error says why nothing is kept.
func openState(ctx context.Context, c *conf.Config, boot string, l *enrich.Loader) (*store.Dir, store.Loaded, error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	dir, err := store.Lock(ctx, c.State.Dir)
	if err != nil {
		return nil, store.Loaded{}, err
	}
	// Nothing of what is loaded is garbage.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	loaded, err := dir.Load(boot, store.Keep{Boots: c.State.Boots, Bytes: int64(c.State.BootsBytes)}, l)
	l.Finish()
	if err != nil {
		return nil, loaded, errors.Join(err, dir.Close())
	}
	return dir, loaded, nil
}

// keep writes what has changed. What is written to the outputs must be there already: what is kept as handled is not
// written again.
func (k *keeper) keep(outputs []keptOutput) {
	if k.dir == nil || !k.begun && !k.stream.Begun() {
		return
	}
	k.collect()
	if n := k.stream.Counts().Tracker.Looks; n != k.looks { // the journal cannot hold them
		k.looks, k.look = n, true
	}
	extra := packOutputs(outputs)
	if k.wantsWhole() && !time.Now().Before(k.again) {
		k.snapshot(extra)
		return
	}
	if piece := k.stream.Changes(extra); piece != nil && !k.whole {
		k.unkept = append(k.unkept, piece)
		k.waiting += len(piece)
	}
	k.write()
}

func (k *keeper) wantsWhole() bool {
	n := k.dir.JournalBytes()
	return k.whole || k.look || n > leastJournal && n > k.dir.SnapshotBytes()/journalShare
}

// snapshot writes all there is. Until it is whole, what was before stays.
func (k *keeper) snapshot(extra []byte) {
	if k.dir.Busy() {
		return
	}
	// What has not been written so far is in the snapshot; but should that fail, the journal must be without a hole.
	if k.write(); len(k.unkept) > 0 && !k.whole {
		return
	}
	hole := k.whole
	k.whole, k.look = false, false
	k.drop()
	if err := k.dir.Snapshot(k.stream.Snapshot(extra, hole)); err != nil {
		k.failed(err)
	}
}

// failed has the snapshot tried again, but not at once. Until then there is nothing to add to the journal.
func (k *keeper) failed(err error) {
	k.whole, k.again = true, time.Now().Add(snapshotAgain)
	k.report(err)
}

func (k *keeper) drop() {
	k.unkept, k.waiting = nil, 0
}

// write writes the pieces that wait. When there are too many, a snapshot will do in their place.
func (k *keeper) write() {
	for len(k.unkept) > 0 {
		if err := k.dir.Append(k.unkept[0]); err != nil {
			k.report(err)
			if k.waiting > maxUnkept {
				k.drop()
				k.whole = true
			}
			return
		}
		k.waiting -= len(k.unkept[0])
		k.unkept[0] = nil
		k.unkept = k.unkept[1:]
		k.dirty, k.begun = true, true
		k.report(nil)
	}
}

// report says once that nothing can be kept, and once that it can again.
func (k *keeper) report(err error) {
	switch {
	case err != nil && !k.broken:
		k.log.Error().Err(err).Msg("histories are kept in memory only")
	case err == nil && k.broken:
		k.log.Info().Msg("histories are kept on disk again")
	}
	k.broken = err != nil
}

// collect learns how a snapshot and a sync went that were under way.
func (k *keeper) collect() {
	if finished, err := k.dir.Done(); finished {
		if k.report(err); err != nil {
			k.failed(err)
		}
	}
	select {
	case err := <-k.syncing:
		k.syncing = nil
		k.report(err)
	default:
	}
}

// tick brings the journal to the disk now and then, without waiting for it.
func (k *keeper) tick(now time.Time) {
	if k.dir == nil || !k.dirty || k.syncing != nil || now.Sub(k.synced) < syncEvery {
		return
	}
	k.dirty, k.synced = false, now
	k.syncing = make(chan error, 1)
	sync := k.dir.Sync()
	go func(done chan<- error) { done <- sync() }(k.syncing)
}

// close keeps what can be kept and gives the directory up.
func (k *keeper) close(outputs []keptOutput) {
	if k.dir == nil {
		return
	}
	k.again = time.Time{}
	k.keep(outputs)
	if err := k.dir.Close(); err != nil {
		k.report(err)
	}
	k.dir = nil
}

// leave gives the directory up as it is: what is not written to the outputs must not be known as handled.
func (k *keeper) leave() {
	if k.dir == nil {
		return
	}
	k.write()
	if err := k.dir.Close(); err != nil {
		k.report(err)
	}
	k.dir = nil
}

// bootTime is when the machine has booted, in milliseconds since 1970, or a little before; 0 if /proc does not say.
func bootTime(proc string) int64 {
	b, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "\nbtime ")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseInt(line, 10, 64)
	if err != nil {
		return 0
	}
	return (n - 1) * 1000
}

// bootID is the id of the present boot, empty if /proc does not say.
func bootID(proc string) string {
	b, err := os.ReadFile(proc + "/sys/kernel/random/boot_id")
	if err != nil || len(b) != 37 {
		return ""
	}
	return string(b[:36])
}

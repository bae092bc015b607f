package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// A Visitor gets the payloads of a boot, in order: those of a snapshot, if there is one, then those of the journals. One
// that it cannot understand is taken for damaged. They are valid during the call only.
type Visitor interface {
	Snapshot(payload []byte) error
	Journal(payload []byte) error
}

// Keep says what is kept of boots before the present one.
type Keep struct {
	Boots int
	Bytes int64
}

// Loaded says what a Load has found.
type Loaded struct {
	Fresh    bool   // nothing is known of this boot
	Lost     bool   // then: something was, or was about to be
	Previous string // then: the boot of which something is
	Damaged  []Damage
}

// Damage is a file that could not be read to its end.
type Damage struct {
	File   string
	Offset int64 // up to which it was good
	// Torn: it is the journal that was written last, and ends in the middle of a batch, as it does when its writer is
	// killed. What was in that batch was not handled, as far as the rest knows.
	Torn  bool
	Aside string // where the rest is now, empty if it could not be kept
	Err   error
}

func (d *Damage) Error() string {
	text := fmt.Sprintf("%s: %v, from byte %d on", d.File, d.Err, d.Offset)
	if d.Aside != "" {
		text += "; the rest is in " + d.Aside
	}
	return text
}

// Load hands what is kept of a boot to v and makes the directory ready for Append. Of a file that is damaged, what comes
// before the damage is used, and kept, and the rest is set aside. What is kept of earlier boots is cut down to keep.
func (d *Dir) Load(boot string, keep Keep, v Visitor) (Loaded, error) {
	boots, err := Boots(d.path)
	if err != nil {
		return Loaded{}, err
	}
	if len(boot) > maxBoot {
		return Loaded{}, fmt.Errorf("state directory %s: a boot id of %d bytes", d.path, len(boot))
	}
	d.boot = boot
	var l Loaded
	switch {
	case len(boots) > 0 && (boots[0].ID == boot || boots[0].ID == ""):
		d.dir = boots[0].dir
		boots = boots[1:]
		err = d.load(&l, v)
		if l.Fresh && len(boots) > 0 {
			l.Previous = boots[0].ID
		}
	default:
		l.Fresh = true
		sequence := uint64(1)
		if len(boots) > 0 {
			l.Previous, sequence = boots[0].ID, boots[0].Sequence+1
		}
		d.dir = bootDir(d.path, sequence)
		err = os.Mkdir(d.dir, 0o700)
	}
	if err == nil {
		err = prune(boots, keep)
	}
	if err != nil {
		return l, fmt.Errorf("state directory %s: %w", d.path, err)
	}
	return l, nil
}

func prune(boots []Boot, keep Keep) error {
	var failed error
	for i, b := range boots {
		keep.Bytes -= b.Bytes
		if i >= keep.Boots || keep.Bytes < 0 {
			failed = errors.Join(failed, os.RemoveAll(b.dir))
		}
	}
	return failed
}

// load reads the files of the present boot.
func (d *Dir) load(l *Loaded, v Visitor) error {
	if err := d.sweep(); err != nil {
		return err
	}
	snapshots, err := generations(d.dir, snapshot)
	if err != nil {
		return err
	}
	journals, err := generations(d.dir, journal)
	if err != nil {
		return err
	}
	if d.untold() {
		l.Damaged = append(l.Damaged, Damage{File: d.dir, Err: errUntold})
	}
	l.Fresh = len(snapshots)+len(journals) == 0
	l.Lost = l.Fresh
	base := uint64(0)
	if len(snapshots) > 0 {
		base = slices.Max(snapshots)
		if err := clean(d.disk, d.dir, base); err != nil {
			return err
		}
		if err := d.use(l, snapshot, base, v.Snapshot); err != nil {
			return err
		}
		d.saved = size(name(d.dir, snapshot, base))
	}
	d.generation = base
	journals = slices.DeleteFunc(journals, func(g uint64) bool { return g < base })
	return d.loadJournals(l, journals, v)
}

// loadJournals reads journals up to the first damage. That of a snapshot before them does not matter: what they say is
// right all the same.
func (d *Dir) loadJournals(l *Loaded, journals []uint64, v Visitor) error {
	broken := false
	for i, g := range journals {
		d.generation = g
		file := name(d.dir, journal, g)
		if broken {
			if err := d.drop(l, file); err != nil {
				return err
			}
			continue
		}
		before := len(l.Damaged)
		if err := d.use(l, journal, g, v.Journal); err != nil {
			return err
		}
		if broken = len(l.Damaged) > before; broken && i == len(journals)-1 {
			l.Damaged[before].Torn = errors.Is(l.Damaged[before].Err, errCut)
		}
		d.older += size(file)
	}
	return nil
}

// use reads one file, and mends it if it is damaged.
func (d *Dir) use(l *Loaded, k kind, generation uint64, visit func([]byte) error) error {
	file := name(d.dir, k, generation)
	r, err := visitFile(file, k, generation, d.boot, visit)
	if err == nil {
		return nil
	}
	damage := Damage{File: file, Err: err}
	if r != nil {
		damage.Offset = r.good
	}
	torn := k == journal && errors.Is(err, errCut)
	damage.Aside, err = d.setAside(file, damage.Offset)
	if err != nil {
		return err
	}
	if !torn {
		d.remember()
	}
	l.Damaged = append(l.Damaged, damage)
	if r == nil {
		return d.disk.remove(file)
	}
	return mend(file, r)
}

// drop sets a whole file aside that may be good, but follows one that is not.
func (d *Dir) drop(l *Loaded, file string) error {
	aside, err := d.setAside(file, 0)
	if err != nil {
		return err
	}
	d.remember()
	l.Damaged = append(l.Damaged, Damage{File: file, Aside: aside, Err: errFollows})
	return d.disk.remove(file)
}

var errFollows = errors.New("follows a damaged file")

// visitFile hands the payloads of a file to visit. The reader, nil if not even the header is good, says how far that went.
func visitFile(file string, k kind, generation uint64, boot string, visit func([]byte) error) (*reader, error) {
	f, size, err := open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	r, err := newReader(f, size, k, generation, boot)
	if err != nil {
		return nil, err
	}
	for {
		payload, err := r.next()
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return r, err
		}
		if err := visit(payload); err != nil {
			r.index--
			r.good -= int64(batchHead + len(payload))
			return r, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
}

// mend cuts a file off where it was good, so that it is whole again.
func mend(file string, r *reader) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if r.ended { // something follows the end
		r.index--
		r.good -= batchHead
	}
	err = f.Truncate(r.good)
	if err == nil && r.kind == snapshot {
		end := seal(snapshot, r.generation, r.index, endMark, nil)
		_, err = f.WriteAt(end[:], r.good)
	}
	return errors.Join(err, f.Close())
}

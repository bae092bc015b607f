package store

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// ErrNoBoot says that nothing is kept of a boot.
var ErrNoBoot = errors.New("nothing is kept of that boot")

// readTries is how often a state that is replaced while it is read is read again.
const readTries = 10

// Read hands what is kept of a boot to visitors without changing anything, while another process may be writing it: back
// says how many boots ago, 0 being the newest. If files are replaced meanwhile, it begins again, with a new visitor.
func Read(dir string, back int, begin func() Visitor) (Boot, error) {
	for try := 0; ; try++ {
		boots, err := Boots(dir)
		if err != nil {
			return Boot{}, err
		}
		if back < 0 || back >= len(boots) {
			return Boot{}, fmt.Errorf("state directory %s: boot %d: %w: there are %d", dir, back, ErrNoBoot, len(boots))
		}
		b := boots[back]
		err = b.read(begin())
		replaced := errors.Is(err, fs.ErrNotExist) || err != nil && b.ID == "" // whose it is was looked for in files that went
		if !replaced || try == readTries {
			return b, err
		}
	}
}

func (b *Boot) read(v Visitor) error {
	// The journals first: of those that a snapshot replaces between the two, the snapshot is found.
	journals, err := generations(b.dir, journal)
	if err != nil {
		return err
	}
	snapshots, err := generations(b.dir, snapshot)
	if err != nil {
		return err
	}
	base := uint64(0)
	if len(snapshots) > 0 {
		base = slices.Max(snapshots)
		if err := b.visit(snapshot, base, v.Snapshot); err != nil {
			return err
		}
	}
	for i, g := range journals {
		if g < base {
			continue
		}
		err := b.visit(journal, g, v.Journal)
		if errors.Is(err, errCut) && i == len(journals)-1 {
			return nil // its last batch may be half written
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// visit reads a file.
func (b *Boot) visit(k kind, generation uint64, visit func([]byte) error) error {
	file := name(b.dir, k, generation)
	_, err := visitFile(file, k, generation, b.ID, visit)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

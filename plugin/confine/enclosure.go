package confine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// An Enclosure is what the program is shut into. nil is everywhere.
type Enclosure struct {
	places []place
}

// A place is a path as it was when the program was shut in.
type place struct {
	name  string // without symbolic links
	write bool
	info  os.FileInfo
}

// ErrOutside is the error for a path that cannot be used, though the user may.
var ErrOutside = errors.New("lies outside of what the program shut itself into when it started (Landlock); " +
	"restart auditd to use it (service auditd restart)")

// Check tells whether a path lies outside, for a configuration that is read anew: the error names the path and says what to
// do, where the kernel only says "permission denied". The last part of the path, or more, may not exist yet.
func (e *Enclosure) Check(p Path) error {
	if e == nil {
		return nil
	}
	name := resolve(p.Name)
	for i := range e.places {
		if e.places[i].holds(name, p.Write) {
			return nil
		}
	}
	if p.Write && e.Check(Path{Name: p.Name}) == nil {
		return fmt.Errorf("%s: may only be read: as a place to write to, it %w", p.Name, ErrOutside)
	}
	return fmt.Errorf("%s: %w", p.Name, ErrOutside)
}

func (l *place) holds(name string, write bool) bool {
	if write && !l.write || !beneath(name, l.name) {
		return false
	}
	now, err := os.Stat(l.name)
	return err == nil && os.SameFile(now, l.info) // else another has taken its name
}

// resolve follows the symbolic links in what there is of a path.
func resolve(name string) string {
	name = filepath.Clean(name)
	for rest := ""; ; {
		if real, err := filepath.EvalSymlinks(name); err == nil {
			return filepath.Join(real, rest)
		}
		dir, last := filepath.Split(name)
		dir = filepath.Clean(dir)
		if dir == name {
			return filepath.Join(name, rest)
		}
		name, rest = dir, filepath.Join(last, rest)
	}
}

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestUntoldDamage(t *testing.T) {
	k := makeKept(t)
	for _, c := range []struct {
		name string
		file int
		cut  int
		want bool
	}{
		{"of a snapshot", 0, 70, true},
		{"of a journal in between", 1, 70, true},
		{"a journal that ends too early", 2, 70, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := k.changed(t, c.file, k.files[c.file].data[:c.cut])
			d, _, _ := load(t, dir, boot)
			must(t, d.Close())
			d, l, _ := load(t, dir, boot)
			if c.want != (len(l.Damaged) == 1 && errors.Is(l.Damaged[0].Err, errUntold)) {
				t.Errorf("the second time: %+v", l.Damaged)
			}
			d.Told()
			must(t, d.Close())
			d, l, _ = load(t, dir, boot)
			if len(l.Damaged) > 0 {
				t.Errorf("once it was told of: %+v", l.Damaged)
			}
			must(t, d.Close())
		})
	}
}

func TestNewestStaysAside(t *testing.T) {
	t.Run("in number", func(t *testing.T) {
		k := makeKept(t)
		dir := k.changed(t, 2, k.files[2].data)
		var all []string
		for i := range 3 * asideFiles {
			if err := os.WriteFile(filepath.Join(dir, k.files[2].name), fmt.Appendf(nil, "damage %d", i), 0o600); err != nil {
				t.Fatal(err)
			}
			d, l, _ := load(t, dir, boot)
			all = append(all, filepath.Base(l.Damaged[len(l.Damaged)-1].Aside))
			d.Told()
			must(t, d.Close())
		}
		if names := namesIn(t, filepath.Join(dir, "damaged")); !slices.Equal(names, all[2*asideFiles:]) {
			t.Errorf("kept are %q, want the newest %d", names, asideFiles)
		}
	})
	t.Run("in bytes", func(t *testing.T) {
		k := makeKept(t)
		dir := k.changed(t, 2, nil)
		for i := range 4 {
			file := filepath.Join(dir, k.files[2].name)
			if err := errors.Join(os.WriteFile(file, []byte{byte(i)}, 0o600), os.Truncate(file, asideBytes)); err != nil {
				t.Fatal(err)
			}
			d, l, _ := load(t, dir, boot)
			if size(l.Damaged[0].Aside) != asideBytes/2 {
				t.Errorf("%d bytes are kept of %d", size(l.Damaged[0].Aside), asideBytes)
			}
			d.Told()
			must(t, d.Close())
		}
		names := namesIn(t, filepath.Join(dir, "damaged"))
		if len(names) != 2 || !strings.HasPrefix(names[0], "000003-") {
			t.Errorf("kept are %q, want the newest 2", names)
		}
	})
}

func TestNoPlaceAside(t *testing.T) {
	for _, c := range []struct {
		name    string
		blocked string // by a link to nowhere
		faulty  bool
	}{
		{"the directory cannot be made", "damaged", false},
		{"the file cannot be made", "other", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := makeKept(t)
			dir := k.changed(t, 0, k.files[0].data[:k.files[0].ends[1]])
			must(t, os.Symlink("/nowhere", filepath.Join(dir, c.blocked)))
			d, r := lock(t, dir), &reading{}
			d.disk = failing(&c.faulty, "damaged", "create")
			l, err := d.Load(boot, keepAll, r)
			must(t, err)
			if want := k.want(0, 1, true); !slices.Equal(r.all(), want) || len(l.Damaged) != 1 || l.Damaged[0].Aside != "" {
				t.Errorf("read %q, want %q; %+v", r.all(), want, l.Damaged)
			}
			d.Told()
			must(t, d.Close())
			again(t, dir, r.all())
		})
	}
}

func TestNotRegular(t *testing.T) {
	k := makeKept(t)
	dir := k.changed(t, 2, nil)
	file := filepath.Join(dir, k.files[2].name)
	if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700)); err != nil {
		t.Fatal(err)
	}
	d, l, got := loaded(t, dir, boot)
	if want := k.want(2, 0, false); !slices.Equal(got, want) || len(l.Damaged) != 1 || l.Damaged[0].Torn {
		t.Errorf("read %q, want %q; %+v", got, want, l.Damaged)
	}
	d.Told()
	must(t, d.Close())
	again(t, dir, got)
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "boot-000001", "journal-000009")); err != nil {
		t.Fatal(err)
	}
	d = lock(t, dir)
	if _, err := d.Load(boot, keepAll, &reading{}); err == nil || !strings.Contains(err.Error(), "journal-000009") {
		t.Errorf("a link is followed: error %v", err)
	}
}

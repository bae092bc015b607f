package spool

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

var somePieces = []Piece{{"message", []byte("<13>hello"), 1}, {"audit", []byte("one\ntwo\n"), 2}, {"audit", bytes.Repeat([]byte("x"), 100_000), 7}}

func loadPieces(t testing.TB, name string) ([]Piece, error) {
	t.Helper()
	var got []Piece
	err := Load(name, func(p Piece) { got = append(got, p) })
	return got, err
}

func TestWhatIsSavedIsLoaded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "waiting-a")
	for _, pieces := range [][]Piece{somePieces, nil, somePieces[:1]} { // each replaces the one before
		if err := Save(name, slices.Values(pieces)); err != nil {
			t.Fatal(err)
		}
		if got, err := loadPieces(t, name); err != nil || !reflect.DeepEqual(got, pieces) {
			t.Errorf("%d pieces, %v", len(got), err)
		}
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := loadPieces(t, name+"-not"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := Save(filepath.Join(name, "below"), slices.Values(somePieces)); err == nil {
		t.Error("saved below a file")
	}
}

// Cut anywhere, or with a bit flipped anywhere, a file gives the pieces before that, and says so.
func TestDamageIsFound(t *testing.T) {
	name := filepath.Join(t.TempDir(), "waiting-a")
	if err := Save(name, slices.Values(somePieces[:2])); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, at int, b []byte) {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := loadPieces(t, name)
		if !errors.Is(err, ErrDamaged) || len(got) > 2 || !reflect.DeepEqual(got, slices.Clip(somePieces[:len(got):len(got)])) && len(got) > 0 {
			t.Errorf("%s %d: %v, %v", what, at, got, err)
		}
	}
	for at := range whole {
		check("cut at", at, whole[:at])
		flipped := bytes.Clone(whole)
		flipped[at] ^= 1 << (at % 8)
		check("flipped in", at, flipped)
	}
}

func FuzzLoad(f *testing.F) {
	name := filepath.Join(f.TempDir(), "waiting-a")
	if err := Save(name, slices.Values(somePieces[:2])); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(keptMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		all := 0
		err := readPieces(bytes.NewReader(b), int64(len(b)), func(p Piece) { all += len(p.Data) + len(p.Label) })
		if all > len(b) || err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes, %v", all, err)
		}
	})
}

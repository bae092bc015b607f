package sink

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A rotated is a file that rotates, and what it has given notice of.
type rotated struct {
	*testing.T
	*File
	path    string
	notices []string
}

func rotating(t *testing.T, r Rotation) *rotated {
	t.Helper()
	s := &rotated{T: t, path: filepath.Join(t.TempDir(), "log")}
	s.begin(r)
	return s
}

// begin opens the file, as after a restart.
func (s *rotated) begin(r Rotation) {
	s.Helper()
	if s.File != nil {
		must(s.T, s.Close())
	}
	f, err := New(Config{Path: s.path, Mode: 0o640, Rotate: r, Notice: func(err error) { s.notices = append(s.notices, err.Error()) }})
	must(s.T, err)
	s.File = f
	s.Cleanup(func() { _ = f.Close() })
}

func (s *rotated) write(texts ...string) {
	s.Helper()
	for _, text := range texts {
		must(s.T, s.Write([]byte(text)))
	}
}

// files wants these files in the directory, and nothing else: NAME=CONTENT, with a comma for a newline. What is compressed
// is read.
func (s *rotated) files(want ...string) {
	s.Helper()
	entries, err := os.ReadDir(filepath.Dir(s.path))
	must(s.T, err)
	got := make([]string, 0, len(entries))
	for _, e := range entries {
		got = append(got, e.Name()+"="+strings.ReplaceAll(read(s.T, filepath.Join(filepath.Dir(s.path), e.Name())), "\n", ","))
	}
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		s.Errorf("files\n got %.500q\nwant %.500q", got, want)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	if strings.HasSuffix(name, gz) {
		z, err := gzip.NewReader(bytes.NewReader(b))
		must(t, err)
		b, err = io.ReadAll(z)
		must(t, err)
	}
	return string(b)
}

// noticed wants one notice that says something, or none if it is empty, since it was asked last.
func (s *rotated) noticed(says string) {
	s.Helper()
	if says == "" && len(s.notices) > 0 || says != "" && (len(s.notices) != 1 || !strings.Contains(s.notices[0], says)) {
		s.Errorf("notices: %q, want %q", s.notices, says)
	}
	s.notices = nil
}

func TestRotatesBySize(t *testing.T) {
	s := rotating(t, Rotation{Bytes: 10, Keep: 3})
	s.write("1111\n", "2222\n")
	s.files("log=1111,2222,")
	s.write("3333\n")
	s.files("log=3333,", "log.1=1111,2222,")
	s.write("44\n44\n")
	s.files("log=44,44,", "log.1=3333,", "log.2=1111,2222,") // what is written at once is not cut
	s.write("55555\n55555\n55555\n", "6\n")
	s.files("log=6,", "log.1=55555,55555,55555,", "log.2=44,44,", "log.3=3333,")
	s.begin(Rotation{Bytes: 10, Keep: 1})
	s.write("777777777\n")
	s.files("log=777777777,", "log.1=6,")
	s.noticed("")
}

// A file is of one period: what comes in the next one goes to another, after a restart as well.
func TestRotatesByTime(t *testing.T) {
	day := 24 * time.Hour
	now := time.Date(2026, 3, 1, 23, 59, 0, 0, time.UTC)
	s := rotating(t, Rotation{Every: day, Keep: 9})
	tick := func(d time.Duration) {
		t.Helper()
		now = now.Add(d)
		must(t, s.Tick(now))
	}
	tick(0)
	tick(day)
	s.files("log=") // an empty one stays
	s.write("1\n")
	tick(59 * time.Second)
	s.files("log=1,")
	tick(time.Second)
	s.files("log=", "log.1=1,")
	s.write("2\n")
	tick(day - time.Second)
	s.write("3\n")
	tick(-2*day - time.Hour) // the clock is set back
	s.files("log=2,3,", "log.1=1,")

	must(t, os.Chtimes(s.path, now, now))
	s.begin(Rotation{Every: day, Keep: 9})
	tick(time.Minute)
	s.files("log=2,3,", "log.1=1,")
	must(t, os.Chtimes(s.path, now, now))
	s.begin(Rotation{Every: day, Keep: 9})
	tick(day)
	s.files("log=", "log.1=2,3,", "log.2=1,")
}

// A file that somebody else has put in the place of the one that is full is not renamed for that.
func TestRotatesItsOwn(t *testing.T) {
	s := rotating(t, Rotation{Bytes: 10, Keep: 3})
	s.write("11111111\n")
	add(t, s.path+".new", "x\n")
	move(t, s.path+".new", s.path)
	s.write("2\n")
	s.files("log=x,2,")
	s.noticed("was removed")
}

// What was written at once stays in one file, though the disk was full in the middle of it when the day was over.
func TestRotatesNothingHalf(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	s := rotating(t, Rotation{Every: time.Hour, Bytes: 12, Keep: 9})
	must(t, s.Tick(now))
	heal := fillDisk(t, 5)
	_ = s.Write([]byte("1\n1\n1\n1\n"))
	_ = s.Tick(now.Add(time.Hour))
	s.files("log=1,1,1")
	heal()
	must(t, s.Tick(now.Add(time.Hour+time.Second)))
	s.write("2\n2\n", "3\n")
	s.files("log=2,2,3,", "log.1=1,1,1,1,")
	s.write("4\n4\n4\n4\n4\n")
	s.files("log=4,4,4,4,4,", "log.1=2,2,3,", "log.2=1,1,1,1,")
}

// A missing number is filled, what is too old is removed, and what has another kind of name is nobody's business.
func TestRotatesAmongOthers(t *testing.T) {
	s := rotating(t, Rotation{Bytes: 1, Keep: 4})
	dir := filepath.Dir(s.path)
	for _, name := range []string{"log.1", "log.3", "log.7", "log.999", "log.1000", "log.02", "log.1.bak", "log-20260101",
		"log.20260101", "other.1"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600))
	}
	s.write("a\n", "b\n")
	s.files("log=b,", "log.1=a,", "log.2=log.1", "log.3=log.3", "log.02=log.02", "log.1.bak=log.1.bak", "log.1000=log.1000",
		"log-20260101=log-20260101", "log.20260101=log.20260101", "other.1=other.1")
}

// While the file cannot be renamed it grows; that is said once, and tried again later.
func TestCannotRotate(t *testing.T) {
	s := rotating(t, Rotation{Bytes: 4, Keep: 1})
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	must(t, s.Tick(now))
	must(t, os.MkdirAll(s.path+".1/x", 0o700))
	s.write("1\n", "2\n", "3\n", "4\n")
	want(t, "content", content(t, s.path), "1\n2\n3\n4\n")
	s.noticed("cannot be rotated and grows: " + s.path + ".1 cannot be removed: ")
	must(t, s.Tick(now.Add(rotateAgain)))
	s.write("5\n")
	s.noticed("")
	must(t, os.RemoveAll(s.path+".1"))
	s.write("6\n") // it was tried a moment ago
	must(t, s.Tick(now.Add(2*rotateAgain)))
	s.write("7\n")
	s.files("log=7,", "log.1=1,2,3,4,5,6,")
	s.noticed("")
}

// settle waits until nothing is compressed any more.
func (s *rotated) settle() { s.old.done.Wait() }

// All old files but the newest are compressed, and look like the originals.
func TestCompresses(t *testing.T) {
	s := rotating(t, Rotation{Bytes: 1, Keep: 3, Compress: true})
	s.write("1\n", "2\n")
	s.settle()
	s.files("log=2,", "log.1=1,")
	then := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	must(t, os.Chtimes(s.path+".1", then, then))
	s.write("3\n")
	s.settle()
	s.files("log=3,", "log.1=2,", "log.2.gz=1,")
	info, err := os.Stat(s.path + ".2.gz")
	must(t, err)
	if info.Mode() != 0o640 || !info.ModTime().Equal(then) {
		t.Errorf("mode %v, time %v", info.Mode(), info.ModTime())
	}
	s.write("4\n", "5\n")
	s.settle()
	s.write("6\n")
	s.settle()
	s.files("log=6,", "log.1=5,", "log.2.gz=4,", "log.3.gz=3,")
	must(t, s.Tick(time.Now()))
	s.noticed("")
}

// long is some text that is read in several pieces.
func long(name string) string { return strings.Repeat(name+"\n", 3*compressBytes/(len(name)+1)) }

// Rotating waits for nothing, and what is compressed meanwhile gets the number that it has in the end.
func TestRotatesWhileCompressing(t *testing.T) {
	for name, c := range map[string]struct {
		keep int
		more int
		want func(path string) map[string]string
	}{
		"moves on": {9, 2, func(path string) map[string]string {
			return map[string]string{path + ".1": "m1\n", path + ".2": "", path + ".2.gz": "m0\n", path + ".4.gz": long("a"), path + ".4": ""}
		}},
		"is removed": {2, 2, func(path string) map[string]string {
			return map[string]string{path + ".1": "m1\n", path + ".2.gz": "m0\n", path + ".3": "", path + ".3.gz": "", path + ".4.gz": ""}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := rotating(t, Rotation{Bytes: 1, Keep: c.keep, Compress: true})
				s.write(long("a"), long("b"), "m0\n") // the first one is being compressed
				synctest.Wait()
				begin := time.Now()
				for i := range c.more {
					s.write(fmt.Sprintf("m%d\n", i+1))
				}
				if d := time.Since(begin); d != 0 {
					t.Errorf("it took %s", d)
				}
				s.settle()
				for name, text := range c.want(s.path) {
					if text == "" {
						if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
							t.Errorf("%s is there: %v", name, err)
						}
						continue
					}
					want(t, name, read(t, name), text)
				}
				must(t, s.Tick(time.Now()))
				s.noticed("")
				if _, err := os.Stat(s.old.temporary()); err == nil {
					t.Error("the temporary file is there")
				}
			})
		})
	}
}

// A program that ends gives up what it compresses. What it, or a crash, leaves, is put right.
func TestCompressingIsInterrupted(t *testing.T) {
	r := Rotation{Bytes: 1, Keep: 9, Compress: true}
	s := rotating(t, r)
	s.old.pause = time.Hour
	s.write(long("a"), "b\n", "c\n")
	must(t, s.Close())
	s.files("log=c,", "log.1=b,", "log.2="+strings.ReplaceAll(long("a"), "\n", ","))
	s.File = nil
	must(t, os.WriteFile(s.path+".gz.tmp", []byte("half"), 0o600))
	s.begin(r)
	s.files("log=c,", "log.1=b,", "log.2="+strings.ReplaceAll(long("a"), "\n", ","))
	must(t, os.WriteFile(s.path+".2.gz", []byte("half"), 0o600)) // the original is there: it counts
	s.write("d\n")
	s.settle()
	s.files("log=d,", "log.1=c,", "log.2.gz=b,", "log.3.gz="+strings.ReplaceAll(long("a"), "\n", ","))
	s.noticed("")
}

// On a full disk nothing is lost, and compressing is tried again with the next rotation.
func TestCompressingFails(t *testing.T) {
	s := rotating(t, Rotation{Bytes: 1, Keep: 9, Compress: true})
	s.write("1\n", "2\n")
	heal := fillDisk(t, 8)
	s.write("3\n")
	s.settle()
	heal()
	s.files("log=3,", "log.1=2,", "log.2=1,")
	must(t, s.Tick(time.Now()))
	s.noticed("an old file is not compressed: write " + s.path + ".gz.tmp: file too large")
	must(t, s.Tick(time.Now()))
	s.noticed("")
	s.write("4\n")
	s.settle()
	s.files("log=4,", "log.1=3,", "log.2.gz=2,", "log.3.gz=1,")
}

// A file that is no file is not compressed, and does not hold up the others for ever.
func TestCompressesOnlyFiles(t *testing.T) {
	s := rotating(t, Rotation{Bytes: 1, Keep: 9, Compress: true})
	must(t, os.WriteFile(s.path+".target", []byte("secret"), 0o600))
	must(t, os.Symlink(s.path+".target", s.path+".2"))
	s.write("1\n", "2\n")
	s.settle()
	must(t, s.Tick(time.Now()))
	s.noticed("not compressed: open " + s.path + ".2: too many levels of symbolic links")
}

// Since a place, whatever has been rotated meanwhile, there is each line, once.
func TestSinceThroughRotations(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	type mark struct {
		place Place
		lines int
	}
	for range 10 {
		s := rotating(t, Rotation{Bytes: 1 + random.Int64N(60), Keep: mostOld})
		var lines []string
		marks := []mark{{s.Place(), 0}}
		for i := range 1 + random.IntN(50) {
			text := fmt.Sprintf("%d %s\n", i, strings.Repeat("x", random.IntN(30)))
			s.write(text)
			lines = append(lines, text)
			marks = append(marks, mark{s.Place(), len(lines)})
			if random.IntN(10) == 0 {
				s.begin(Rotation{Bytes: 1 + random.Int64N(60), Keep: mostOld})
			}
		}
		for _, m := range marks {
			var got []string
			must(t, Since(s.path, m.place, func(_ string, _ int64, line []byte) error {
				got = append(got, string(line))
				return nil
			}))
			if !slices.Equal(got, lines[m.lines:]) {
				t.Fatalf("since %+v\n got %q\nwant %q", m.place, got, lines[m.lines:])
			}
		}
		all := strings.Join(lines, "")
		for range 40 {
			n := random.IntN(len(all) + 3)
			p, err := Tail(s.path, int64(n))
			must(t, err)
			var got strings.Builder
			must(t, Since(s.path, p, func(_ string, _ int64, line []byte) error { got.Write(line); return nil }))
			want(t, fmt.Sprintf("the last %d bytes", n), got.String(), all[max(0, len(all)-n):])
		}
	}
}

// Between renaming the file and making the new one, a crash leaves none.
func TestTailWithoutAFile(t *testing.T) {
	s := rotating(t, Rotation{})
	s.write("1\n2\n")
	must(t, s.Close())
	must(t, os.Rename(s.path, s.path+".1"))
	p, err := Tail(s.path, 2)
	must(t, err)
	var got strings.Builder
	must(t, Since(s.path, p, func(_ string, _ int64, line []byte) error { got.Write(line); return nil }))
	want(t, "the last line", got.String(), "2\n")
}

// TestAnyTroubleWithRotation does anything in any order to a file that rotates: the lines in all files, oldest first, must
// be those written, and what was written at once is in one file if the disk was not full.
func TestAnyTroubleWithRotation(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	heal := fillDisk(t, 1<<30)
	for range 12 {
		s := rotating(t, Rotation{Bytes: 500, Every: time.Hour, Keep: mostOld, Compress: random.IntN(2) == 0})
		s.old.pause = 0
		now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		var all strings.Builder
		for step := range 100 {
			switch random.IntN(12) {
			case 0:
				limitFileSize(t, random.Uint64N(1000))
			case 1, 2:
				heal()
			case 3, 4:
				now = now.Add(time.Duration(random.IntN(1000)) * time.Second)
				_ = s.Tick(now)
			case 5:
				_ = s.Reopen()
			default:
				var b []byte
				for range 1 + random.IntN(5) {
					b = fmt.Appendf(b, "%d%s\n", step, strings.Repeat("x", random.IntN(200)))
				}
				all.Write(b)
				_ = s.Write(b)
			}
		}
		heal()
		must(t, s.Tick(now.Add(24*time.Hour)))
		s.settle()
		must(t, s.Close())
		var got strings.Builder
		for n := mostOld; n > 0; n-- {
			name := numbered(s.path, n)
			for _, name := range []string{name, name + gz} {
				if _, err := os.Stat(name); err == nil {
					got.WriteString(read(t, name))
				}
			}
		}
		got.WriteString(content(t, s.path))
		if got.String() != all.String() {
			t.Fatalf("seed %d:\n got %q\nwant %q", seed, got.String(), all.String())
		}
	}
}

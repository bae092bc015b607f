package sink

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Whatever others do to the file, the next tick notices, and what is written then is under its name again.
func TestNoticesOthers(t *testing.T) {
	for _, c := range []struct {
		name  string
		does  func(t *testing.T, path string)
		says  string
		files []string // afterwards, when a line has been written
	}{
		{"nothing", func(*testing.T, string) {}, "", []string{"log=1,2,3,"}},
		{"removed", func(t *testing.T, path string) { must(t, os.Remove(path)) },
			"was removed, with what had been written to it", []string{"log=3,"}},
		{"renamed", func(t *testing.T, path string) { move(t, path, path+".old") },
			"was renamed or replaced", []string{"log=3,", "log.old=1,2,"}},
		{"renamed, and another made", func(t *testing.T, path string) {
			move(t, path, path+".old")
			add(t, path, "x\n")
		}, "was renamed or replaced", []string{"log=x,3,", "log.old=1,2,"}},
		{"replaced", func(t *testing.T, path string) {
			add(t, path+".new", "x\n")
			move(t, path+".new", path)
		}, "was removed", []string{"log=x,3,"}},
		{"emptied", func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) },
			"was cut from 4 to 0 bytes", []string{"log=3,"}},
		{"written to", func(t *testing.T, path string) { add(t, path, "x\n") },
			"somebody else writes to it", []string{"log=1,2,x,3,"}},
		{"directory removed", func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Dir(path))) },
			"was removed", []string{"log=3,"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := rotating(t, Rotation{})
			s.write("1\n")
			must(t, s.Tick(time.Now()))
			s.write("2\n")
			c.does(t, s.path)
			must(t, s.Tick(time.Now()))
			s.noticed(c.says)
			must(t, s.Tick(time.Now()))
			s.noticed("")
			s.write("3\n")
			s.files(c.files...)
			info, err := os.Stat(s.path)
			must(t, err)
			if p := s.Place(); p != placeOf(info) {
				t.Errorf("place %+v, the file is at %+v", p, placeOf(info))
			}
		})
	}
}

// A link in the place of the file is not followed; what is written meanwhile is not lost.
func TestReplacedByALink(t *testing.T) {
	s := rotating(t, Rotation{Every: time.Hour, Keep: 9})
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	must(t, s.Tick(now))
	s.write("1\n")
	must(t, os.Remove(s.path))
	must(t, os.Symlink(s.path+".target", s.path))
	if err := s.Tick(now.Add(time.Hour)); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("tick: %v", err)
	}
	if err := s.Write([]byte("2\n")); err == nil {
		t.Error("writing: no error")
	}
	must(t, os.Remove(s.path)) // nor renamed, though the hour is over
	must(t, s.Tick(now.Add(time.Hour)))
	s.files("log=2,")
}

// Half a line on a full disk, and then somebody empties the file: the line is written whole.
func TestEmptiedInTheMiddleOfALine(t *testing.T) {
	s := rotating(t, Rotation{})
	heal := fillDisk(t, 6)
	_ = s.Write([]byte("one\ntwo\nthree\n"))
	want(t, "full", content(t, s.path), "one\ntw")
	must(t, os.Truncate(s.path, 0))
	limitFileSize(t, 0)
	_ = s.Tick(time.Now())
	heal()
	must(t, s.Tick(time.Now()))
	want(t, "content", content(t, s.path), "two\nthree\n")
}

// anotherGroup is one that this process may give files to and that is not its own, if there is any.
func anotherGroup(t *testing.T) (name string, gid int) {
	t.Helper()
	gids, err := os.Getgroups()
	must(t, err)
	if os.Geteuid() == 0 {
		gids = append([]int{1}, gids...) // daemon on most systems, a mere number on others
	}
	gids = append(gids, os.Getegid())
	if g, err := user.LookupGroupId(strconv.Itoa(gids[0])); err == nil {
		return g.Name, gids[0]
	}
	return strconv.Itoa(gids[0]), gids[0]
}

// What is created belongs to the group: files, directories, and what is compressed. What was there before keeps its own.
func TestGroup(t *testing.T) {
	name, gid := anotherGroup(t)
	for _, group := range []string{name, strconv.Itoa(gid)} {
		t.Run(group, func(t *testing.T) {
			above := t.TempDir()
			path := filepath.Join(above, "a", "b", "log")
			f, err := New(Config{Path: path, Mode: 0o640, Group: group, Rotate: Rotation{Bytes: 1, Keep: 5, Compress: true},
				Notice: func(err error) { t.Errorf("notice: %v", err) }})
			must(t, err)
			for range 4 {
				must(t, f.Write([]byte("a\n")))
			}
			f.old.done.Wait()
			must(t, f.Close())
			for path, mode := range map[string]uint32{
				filepath.Join(above, "a"): 0o750, filepath.Join(above, "a", "b"): 0o750,
				path: 0o640, path + ".1": 0o640, path + ".2.gz": 0o640,
			} {
				var st syscall.Stat_t
				must(t, syscall.Stat(path, &st))
				if int(st.Gid) != gid || st.Mode&0o7777 != mode {
					t.Errorf("%s: group %d, mode %#o, want %d, %#o", path, st.Gid, st.Mode&0o7777, gid, mode)
				}
			}
			var st syscall.Stat_t
			must(t, syscall.Stat(above, &st))
			if int(st.Gid) == gid && gid != os.Getegid() {
				t.Error("the directory that was there was given away")
			}
		})
	}
}

// A group that is not known is told of, and records are written all the same.
func TestUnknownGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var notices []string
	f, err := New(Config{Path: path, Mode: 0o640, Group: "no-such-group", Notice: func(err error) { notices = append(notices, err.Error()) }})
	must(t, err)
	must(t, f.Write([]byte("1\n")))
	must(t, f.Close())
	want(t, "content", content(t, path), "1\n")
	want(t, "notices", strings.Join(notices, "|"), fmt.Sprintf(
		"output %s: keeps its group: group %q: not in /etc/group: name one that is there, or give its number", path, "no-such-group"))
	for _, bad := range []string{"4294967295", "4294967296", "-1", "no-such-group", " "} {
		if n, err := LookupGroup(bad); err == nil {
			t.Errorf("group %q is %d", bad, n)
		}
	}
}

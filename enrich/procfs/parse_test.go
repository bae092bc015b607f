package procfs

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const tail = " S 1 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 "

func TestParseStat(t *testing.T) {
	for _, c := range []struct {
		name, line string
		want       stat
		ok         bool
	}{
		{"as the kernel writes it", "69 (jbd2/vda-8) S 2 0 0 0 -1 2359360 0 0 0 0 0 3 0 0 20 0 1 0 269 0 0 18446744073709551615 0\n",
			stat{pid: 69, ppid: 2, name: []byte("jbd2/vda-8"), state: 'S', flags: 2359360, threads: 1, ticks: 269}, true},
		{"ends after the start", "1 (a)" + tail + "5\n", stat{pid: 1, ppid: 1, name: []byte("a"), state: 'S', flags: 4194304, threads: 1, ticks: 5}, true},
		{"the highest start", "1 (a)" + tail + "1844674407370", stat{pid: 1, ppid: 1, name: []byte("a"), state: 'S', flags: 4194304, threads: 1, ticks: maxTicks}, true},
		{"a start beyond 64 bits of nanoseconds", "1 (a)" + tail + "1844674407371", stat{}, false},
		{"a negative start", "1 (a)" + tail + "-1", stat{}, false},
		{"a start that overflows", "1 (a)" + tail + strings.Repeat("9", 30), stat{}, false},
		{"no start", "1 (a)" + tail, stat{}, false},
		{"two blanks", "1 (a)" + strings.Replace(tail, " S ", " S  ", 1) + "5", stat{}, false},
		{"no state", "1 (a)" + strings.Replace(tail, " S ", "  ", 1) + "5", stat{}, false},
		{"a state of two letters", "1 (a)" + strings.Replace(tail, " S ", " SS ", 1) + "5", stat{}, false},
		{"flags beyond 32 bits", "1 (a)" + strings.Replace(tail, "4194304", "4294967296", 1) + "5", stat{}, false},
		{"a parent beyond all", "1 (a)" + strings.Replace(tail, " S 1 ", " S 4194305 ", 1) + "5", stat{}, false},
		{"no blank after the name", "1 (a)S 1 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 5", stat{}, false},
		{"no closing parenthesis", "1 (a" + tail + "5", stat{}, false},
		{"closed before it opens", "1 )a(" + tail + "5", stat{}, false},
		{"no pid", "(a)" + tail + "5", stat{}, false},
		{"pid 0", "0 (a)" + tail + "5", stat{}, false},
		{"pid beyond all", "4194305 (a)" + tail + "5", stat{}, false},
		{"empty", "", stat{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseStat([]byte(c.line))
			if (err == nil) != c.ok {
				t.Fatalf("error %v, want ok %v", err, c.ok)
			}
			if c.ok && !sameStat(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func sameStat(a, b stat) bool {
	same := bytes.Equal(a.name, b.name)
	a.name, b.name = nil, nil
	return same && a.pid == b.pid && a.ppid == b.ppid && a.state == b.state && a.flags == b.flags && a.threads == b.threads && a.ticks == b.ticks
}

func TestParseStatus(t *testing.T) {
	deepest := strings.Repeat("\t1", maxNamespaces)
	for _, c := range []struct {
		name, text string
		tgid       int
		pids       []int
		ok         bool
	}{
		{"one namespace", "Name:\ta\nTgid:\t5\nNgid:\t0\nNSpid:\t5\n", 5, []int{5}, true},
		{"nested", "Tgid:\t5\nNSpid:\t5\t2\t1\n", 5, []int{5, 2, 1}, true},
		{"not in the reader's namespace", "Tgid:\t5\nNSpid:\t0\t2\n", 5, []int{0, 2}, true},
		{"as deep as can be", "Tgid:\t5\nNSpid:" + deepest, 5, slices.Repeat([]int{1}, maxNamespaces), true},
		{"deeper", "Tgid:\t5\nNSpid:" + deepest + "\t1\n", 0, nil, false},
		{"a kernel without namespaces", "Tgid:\t5\n", 5, nil, true},
		{"NSpid of nothing", "Tgid:\t5\nNSpid:\n", 0, nil, false},
		{"NSpid of a word", "Tgid:\t5\nNSpid:\tx\n", 0, nil, false},
		{"NSpid beyond all", "Tgid:\t5\nNSpid:\t4194305\n", 0, nil, false},
		{"NSpid without a tab", "Tgid:\t5\nNSpid: 5\n", 0, nil, false},
		{"no thread group", "Name:\ta\nNSpid:\t5\n", 0, nil, false},
		{"thread group 0", "Tgid:\t0\nNSpid:\t5\n", 0, nil, false},
		{"within another line", "Name:\tTgid:\t5\n", 0, nil, false},
		{"empty", "", 0, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseStatus([]byte(c.text), nil)
			if (err == nil) != c.ok {
				t.Fatalf("error %v, want ok %v", err, c.ok)
			}
			if got.tgid != c.tgid || !slices.Equal(got.pids, c.pids) {
				t.Errorf("got %+v, want %d, %v", got, c.tgid, c.pids)
			}
		})
	}
}

func TestParseUptime(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       time.Duration
		ok         bool
	}{
		{"as the kernel writes it", "37.71 21.83\n", 37710 * time.Millisecond, true},
		{"alone", "0.05", 50 * time.Millisecond, true},
		{"136 years", "4294967296.99 1.00\n", 4294967296*time.Second + 990*time.Millisecond, true},
		{"longer", "4294967297.00 1.00\n", 0, false},
		{"one digit", "1.5 1.00\n", 0, false},
		{"whole seconds", "15 1.00\n", 0, false},
		{"negative", "-1.00 1.00\n", 0, false},
		{"empty", "", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := parseUptime([]byte(c.text)); got != c.want || ok != c.ok {
				t.Errorf("got %v, %v, want %v, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		name, text string
		limit      uint64
		want       uint64
		ok         bool
	}{
		{"the limit", "255", 255, 255, true},
		{"one more", "256", 255, 0, false},
		{"ten times", "2550", 255, 0, false},
		{"below ten", "3", 2, 0, false},
		{"all bits", "18446744073709551615", math.MaxUint64, math.MaxUint64, true},
		{"more than all bits", "18446744073709551616", math.MaxUint64, 0, false},
		{"zeros in front", "007", 255, 7, true},
		{"nothing", "", 255, 0, false},
		{"a sign", "+1", 255, 0, false},
		{"a letter", "1a", 255, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := number([]byte(c.text), c.limit); got != c.want || ok != c.ok {
				t.Errorf("got %d, %v, want %d, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func TestStartTimeStaysInFourDigitYears(t *testing.T) {
	if last := StartTime(time.Unix(maxBoot, 0), maxTicks); last.Year() > 9999 {
		t.Errorf("the latest start is %v", last)
	}
}

// FuzzStat: what the kernel could write is read back whatever the name; what is read at all is within bounds.
func FuzzStat(f *testing.F) {
	f.Add([]byte("69 (jbd2/vda-8) S 2 0 0 0 -1 2359360 0 0 0 0 0 3 0 0 20 0 1 0 269 0 0\n"), 69, 2, uint64(269))
	f.Add([]byte("a) S 1 (b"), 1, 0, uint64(0))
	f.Add([]byte(")\n("), MaxPID, MaxPID, uint64(maxTicks))
	f.Add([]byte(""), 5, 5, uint64(1))
	f.Fuzz(func(t *testing.T, text []byte, pid, ppid int, ticks uint64) {
		if s, err := parseStat(text); err == nil {
			if s.pid <= 0 || s.pid > MaxPID || s.ppid < 0 || s.ppid > MaxPID || s.threads < 0 || s.ticks > maxTicks || !bytes.Contains(text, s.name) {
				t.Fatalf("%q gives %+v", text, s)
			}
		}
		if pid <= 0 || pid > MaxPID || ppid < 0 || ppid > MaxPID || ticks > maxTicks {
			return
		}
		line := statLine(task{pid: pid, ppid: ppid, name: string(text), ticks: ticks})
		s, err := parseStat([]byte(line))
		want := stat{pid: pid, ppid: ppid, name: text, state: 'S', flags: 0x400040, threads: 1, ticks: ticks}
		if err != nil || !sameStat(s, want) {
			t.Fatalf("%q gives %+v, %v, want %+v", line, s, err, want)
		}
	})
}

// FuzzStatus: no name forges another line's value, and what is read at all is within bounds.
func FuzzStatus(f *testing.F) {
	f.Add([]byte("Name:\ta\nTgid:\t5\nNSpid:\t5\t2\n"), 5)
	f.Add([]byte("\nTgid:\t7\nNSpid:\t1"), 9)
	f.Add([]byte("\\\nTgid:\t7"), 9)
	f.Add([]byte(""), 1)
	f.Fuzz(func(t *testing.T, text []byte, pid int) {
		if s, err := parseStatus(text, nil); err == nil {
			if s.tgid <= 0 || s.tgid > MaxPID || len(s.pids) > maxNamespaces || slices.ContainsFunc(s.pids, func(p int) bool { return p < 0 || p > MaxPID }) {
				t.Fatalf("%q gives %+v", text, s)
			}
		}
		if pid <= 0 || pid > MaxPID {
			return
		}
		whole := statusText(task{pid: pid, name: string(text), pids: []int{pid, 1}})
		s, err := parseStatus([]byte(whole), nil)
		if err != nil || s.tgid != pid || !slices.Equal(s.pids, []int{pid, 1}) {
			t.Fatalf("%q gives %+v, %v", whole, s, err)
		}
	})
}

// FuzzMoment: whatever stat, uptime and the directory's names hold, the times stay in years of four digits.
func FuzzMoment(f *testing.F) {
	f.Add([]byte("cpu 1\nbtime 1700000000\n"))
	f.Add([]byte("37.71 21.83\n"))
	f.Add([]byte("4194304"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if boot, ok := parseBoot(text); ok && (boot.Year() < 1970 || boot.Year() > 9999) {
			t.Errorf("%q is the boot time %v", text, boot)
		}
		if uptime, ok := parseUptime(text); ok && uptime < 0 {
			t.Errorf("%q is the uptime %v", text, uptime)
		}
		if pid, ok := parsePID(string(text)); ok && strconv.Itoa(pid) != string(text) {
			t.Errorf("%q is the process %d", text, pid)
		}
	})
}

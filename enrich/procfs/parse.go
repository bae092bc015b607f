package procfs

import (
	"bytes"
	"errors"
	"math"
	"time"
)

// stat is what is wanted of PID/stat.
type stat struct {
	pid, ppid int
	name      []byte // part of the input
	state     byte
	flags     uint64 // PF_*
	threads   int
	ticks     uint64
}

// pfKthread is PF_KTHREAD (include/linux/sched.h).
const pfKthread = 0x00200000

func (s *stat) kernelThread() bool { return s.flags&pfKthread != 0 }

// zombie covers the dead as well; x was 2.6.33 to 3.13 (fs/proc/array.c: task_state_array).
func (s *stat) zombie() bool { return s.state == 'Z' || s.state == 'X' || s.state == 'x' }

// maxTicks is the most the kernel can say: 64 bits of nanoseconds (kernel/time/time.c: nsec_to_clock_t).
const maxTicks = math.MaxUint64 / uint64(time.Second/TicksPerSecond)

var errStat = errors.New("not a line of /proc/PID/stat")

// parseStat reads a line of PID/stat (fs/proc/array.c: do_task_stat). The name stands in parentheses as it is and may
// hold parentheses, blanks and newlines; what follows it cannot, so the last ')' ends it.
func parseStat(line []byte) (stat, error) {
	var s stat
	first, last := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if first < 2 || last < first || line[first-1] != ' ' {
		return s, errStat
	}
	pid, ok := number(line[:first-1], MaxPID)
	if !ok || pid == 0 {
		return s, errStat
	}
	s.pid, s.name = int(pid), line[first+1:last]
	return s, s.parseFields(line[last+1:])
}

// parseFields reads the fields after the name, each with a blank before it. proc(5) counts them from 3.
func (s *stat) parseFields(rest []byte) error {
	const state, ppid, flags, threads, start = 3, 4, 9, 20, 22
	for n := state; n <= start; n++ {
		if len(rest) < 2 || rest[0] != ' ' || rest[1] == ' ' {
			return errStat
		}
		field := rest[1:]
		if end := bytes.IndexByte(field, ' '); end >= 0 {
			field = field[:end]
		}
		rest = rest[1+len(field):]
		var value uint64
		ok := true
		switch n {
		case state:
			s.state, ok = field[0], len(field) == 1
		case ppid:
			value, ok = number(field, MaxPID)
			s.ppid = int(value)
		case flags:
			s.flags, ok = number(field, math.MaxUint32)
		case threads:
			value, ok = number(field, math.MaxInt32)
			s.threads = int(value)
		case start:
			s.ticks, ok = number(bytes.TrimSuffix(field, []byte("\n")), maxTicks)
		}
		if !ok {
			return errStat
		}
	}
	return nil
}

// status is what is wanted of PID/status.
type status struct {
	tgid int
	pids []int // NSpid, nil if there is none
}

// maxNamespaces is how many numbers a process can have: the namespaces nest 32 deep
// (include/linux/pid_namespace.h: MAX_PID_NS_LEVEL).
const maxNamespaces = 1 + 32

var errStatus = errors.New("not a /proc/PID/status")

// parseStatus reads PID/status, appending the numbers of NSpid to pids. The name, which comes first, cannot forge a
// line: its newlines are escaped here, unlike in stat (fs/proc/array.c: proc_task_name).
func parseStatus(text []byte, pids []int) (status, error) {
	var s status
	for len(text) > 0 && (s.tgid == 0 || s.pids == nil) {
		line := text
		if end := bytes.IndexByte(text, '\n'); end >= 0 {
			line, text = text[:end], text[end+1:]
		} else {
			text = nil
		}
		if value, found := bytes.CutPrefix(line, []byte("Tgid:\t")); found {
			tgid, ok := number(value, MaxPID)
			if !ok || tgid == 0 {
				return status{}, errStatus
			}
			s.tgid = int(tgid)
		}
		if value, found := bytes.CutPrefix(line, []byte("NSpid:")); found {
			var ok bool
			if s.pids, ok = appendPIDs(pids, value); !ok {
				return status{}, errStatus
			}
		}
	}
	if s.tgid == 0 {
		return status{}, errStatus
	}
	return s, nil
}

// appendPIDs reads numbers that each have a tab before them. 0 stands for "none in that namespace".
func appendPIDs(pids []int, text []byte) ([]int, bool) {
	n := 0
	for ; len(text) > 0; n++ {
		if text[0] != '\t' || n == maxNamespaces {
			return nil, false
		}
		field := text[1:]
		if end := bytes.IndexByte(field, '\t'); end >= 0 {
			field = field[:end]
		}
		text = text[1+len(field):]
		pid, ok := number(field, MaxPID)
		if !ok {
			return nil, false
		}
		pids = append(pids, int(pid))
	}
	return pids, n > 0
}

// maxBoot keeps every time computed from a boot time within the years of four digits.
const maxBoot = 1 << 37

// parseBoot finds the btime line of /proc/stat: seconds since 1970.
func parseBoot(text []byte) (time.Time, bool) {
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		if value, found := bytes.CutPrefix(line, []byte("btime ")); found {
			seconds, ok := number(value, maxBoot)
			return time.Unix(int64(seconds), 0).UTC(), ok
		}
		text = rest
	}
	return time.Time{}, false
}

// parseUptime reads the first number of /proc/uptime, seconds and hundredths (fs/proc/uptime.c).
func parseUptime(text []byte) (time.Duration, bool) {
	text = bytes.TrimSuffix(text, []byte("\n"))
	text, _, _ = bytes.Cut(text, []byte(" "))
	whole, part, found := bytes.Cut(text, []byte("."))
	seconds, ok := number(whole, 1<<32)
	hundredths, ok2 := number(part, 99)
	if !found || !ok || !ok2 || len(part) != 2 {
		return 0, false
	}
	return time.Duration(seconds)*time.Second + time.Duration(hundredths)*10*time.Millisecond, true
}

// parsePID reads the name of a process's directory: digits, no zero in front. Anything else in /proc is not one.
func parsePID(name string) (int, bool) {
	if name == "" || name[0] < '1' || name[0] > '9' || len(name) > len("4194304") {
		return 0, false
	}
	pid := 0
	for i := range len(name) {
		if name[i] < '0' || name[i] > '9' {
			return 0, false
		}
		pid = pid*10 + int(name[i]-'0')
	}
	return pid, pid <= MaxPID
}

// number reads digits, and nothing else, up to limit.
func number(text []byte, limit uint64) (uint64, bool) {
	if len(text) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range text {
		digit := uint64(c - '0')
		if digit > 9 || digit > limit || n > (limit-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, true
}
